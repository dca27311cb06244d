//! A process: an application over Tandem, which may die anywhere and be started anew.

use crate::toy::Life;
use crate::truth::Real;
use std::sync::Arc;
use tandem_engine::object::ObjectId;
use tandem_engine::session::Session;
use tandem_engine::step::Verb;
use tandem_engine::token::Token;

/// A process that runs.
#[derive(Clone)]
pub struct Running {
    /// Which of its lives this is.
    pub life: Life,
    /// Its token.
    pub token: Arc<Token>,
    /// Its session.
    pub session: Arc<Session>,
}

/// An operation that the application has begun.
#[derive(Clone)]
pub struct Begun {
    /// Sign or encrypt.
    pub verb: Verb,
    /// With which mechanism.
    pub mechanism: u64,
    /// By which key.
    pub key: ObjectId,
    /// The key's value.
    pub value: Vec<u8>,
    /// The IV.
    pub iv: Vec<u8>,
    /// What was fed.
    pub fed: Vec<u8>,
    /// What came out.
    pub released: Vec<u8>,
    /// Whether it may still be the true output, and the output of a member that lost its mind when it began.
    pub may_be: [bool; 2],
    /// A member gave out wrong bytes: nothing can be said any more.
    pub tainted: bool,
}

/// A process as the script sees it: the same through all its lives.
#[derive(Default)]
pub struct Process {
    /// `None` while it doesn't run.
    pub running: Option<Running>,
    /// The application has logged in.
    pub logged_in: bool,
    /// The operation that it has begun.
    pub begun: Option<Begun>,
    /// A call of it is under way.
    pub busy: bool,
}

/// What a line was asked of, as it was when the line began.
#[derive(Clone, Default)]
pub struct Asked {
    /// The object it is about.
    pub object: Option<Real>,
    /// Its value or the like, which only an oracle knows.
    pub secret: Option<Vec<u8>>,
    /// Members at which nothing was wrong, and on which the object was proven.
    pub works: Vec<bool>,
    /// The generator, if the log counts it.
    pub generator: Option<usize>,
    /// How many keys each HSM had drawn.
    pub drawn: Vec<u64>,
    /// An operator's command that can be done as things stand.
    pub sensible: bool,
}
