//! A token that is paired, made once; every run begins with a copy of it.

use crate::member::Toy;
use crate::planted::Bug;
use crate::store::{Books, Hand};
use crate::toy::{Hsm, Life, crypto};
use crate::truth::Truth;
use crate::world::World;
use std::sync::Arc;
use tandem_engine::error::{Error, Result};
use tandem_engine::member::Member;
use tandem_engine::ports::{NoVerifier, OneHand, Verifier};
use tandem_engine::report::{PairReport, Quiet};

use tandem_engine::settings::{
    Balance, CHECKPOINT_AFTER, Hold, MemberSettings, Offer, RecoverySettings, RequireBackup, Role,
    SessionObjects, Settings, StockSettings,
};
use tandem_engine::token::{Parts, Token};
use tandem_values::{
    Secret, Template,
    ck::{CKK_EC, CKR_FUNCTION_FAILED},
};

/// The user's PIN.
pub const PIN: &[u8] = b"123456";

/// So many shares open the recovery.
pub const THRESHOLD: u8 = 2;

/// The types of keys that may be in stock.
pub const STOCKED: [&str; 2] = ["ec:p256", "generic:32"];

/// An HSM with an empty token.
fn toy(number: usize) -> Hsm {
    Hsm::new(&format!("toy-{number}"), PIN)
}

/// How a run's token is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many members it has.
    pub members: usize,
    /// Which of them makes the others' keys.
    pub generator: Option<usize>,
    /// Which of them does the work.
    pub balance: Balance,
    /// How many of them must have proven a new key.
    pub min_replicas: usize,
    /// The most bytes of an operation that are kept so that it can move.
    pub replay_bytes_max: usize,
    /// How many calls each member is said to work on at a time.
    pub lanes: Option<usize>,
    /// Where keys live.
    pub hold: Hold,
    /// The most keys held on demand that each member is given at a time.
    pub loaded_max: usize,
    /// How many keys of each type in [`STOCKED`] are kept in stock.
    pub stock: u64,
    /// How many changed objects are kept in memory before a checkpoint takes them.
    pub checkpoint_after: usize,
    /// Which member has no elliptic curves. The token then offers what any of its members can do.
    pub lacking: Option<usize>,
    /// The host can judge signatures.
    pub judging: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            members: 2,
            generator: None,
            balance: Balance::Primary,
            min_replicas: 1,
            replay_bytes_max: 4_096,
            lanes: None,
            hold: Hold::Resident,
            loaded_max: 2,
            stock: 0,
            checkpoint_after: CHECKPOINT_AFTER,
            lacking: None,
            judging: false,
        }
    }
}

impl Options {
    /// True for a member that holds keys.
    pub fn keeps_keys(&self, number: usize) -> bool {
        self.generator != Some(number)
    }

    /// What is kept in stock.
    pub fn stocks(&self) -> Vec<StockSettings> {
        let kinds = STOCKED.iter().filter_map(|kind| kind.parse().ok());
        let stock =
            |kind| StockSettings { kind, count: self.stock, hold: self.hold, derive: false };
        if self.stock == 0 { Vec::new() } else { kinds.map(stock).collect() }
    }

    fn role(&self, number: usize) -> Role {
        if self.keeps_keys(number) { Role::Active } else { Role::Generator }
    }
}

/// A process's token over the world's members and store.
pub fn token(world: &Arc<World>, options: &Options, life: Life) -> Arc<Token> {
    let settings = |number| MemberSettings {
        role: options.role(number),
        pin: None,
        label: None,
        lanes: options.lanes,
        loaded_max: options.loaded_max,
    };
    let member = |number| Arc::new(Toy::new(world, number, life)) as Arc<dyn Member>;
    Token::new(Parts {
        settings: Settings {
            label: "simulated".into(),
            hold: options.hold,
            rules: Vec::new(),
            stock: options.stocks(),
            balance: options.balance,
            session_objects: SessionObjects::Mirrored,
            mechanisms: options.lacking.map_or(Offer::Common, |_| Offer::Any),
            require_backup: RequireBackup::Off,
            min_replicas: options.min_replicas,
            allow_init: true,
            allow_host_keygen: false,
            recovery: RecoverySettings { shares: 3, threshold: THRESHOLD },
            replay_bytes_max: options.replay_bytes_max,
            checkpoint_after: options.checkpoint_after,
            lease_wait_ms: 50,
        },
        members: (0..options.members).map(|number| (member(number), settings(number))).collect(),
        store: Arc::new(Hand::new(world, life)),
        clock: Arc::clone(world) as Arc<_>,
        entropy: Arc::clone(world) as Arc<_>,
        verifier: if options.judging { Arc::new(Judge) } else { Arc::new(NoVerifier) },
        // Runs are to be the same each time.
        hands: Arc::new(OneHand),
        shares: None,
        names: None,
    })
}

/// A host that knows how the toys sign.
struct Judge;

impl Verifier for Judge {
    fn is_good(&self, public: &Template, mechanism: u64, data: &[u8], signature: &[u8]) -> bool {
        signature == crypto::sign(public, mechanism, data, false)
    }
}

/// Members and store after pairing.
#[derive(Clone)]
pub struct Snapshot {
    /// The toy HSMs.
    pub hsms: Vec<Hsm>,
    /// What the store holds.
    pub books: Books,
    /// As many of the recovery's shares as open it.
    pub shares: Vec<Secret>,
    /// What the token holds.
    pub truth: Truth,
}

impl Snapshot {
    /// With so many more HSMs in the configuration, which nobody has brought in.
    #[must_use]
    pub fn with_spares(&self, count: usize) -> Self {
        let mut with = self.clone();
        let spares = (with.hsms.len()..).take(count).map(toy);
        with.hsms.extend(spares);
        with
    }

    /// With this member without elliptic curves, if any.
    #[must_use]
    pub fn lacking(mut self, number: Option<usize>) -> Self {
        if let Some(hsm) = number.and_then(|number| self.hsms.get_mut(number)) {
            hsm.lack(CKK_EC);
        }
        self
    }

    /// A world that begins here.
    pub fn world(&self, seed: u64, bug: Option<Bug>) -> Arc<World> {
        World::new(self.hsms.clone(), self.books.clone(), seed, bug)
    }
}

/// Pairs so many toy HSMs by the engine's own pairing.
pub fn pair(members: usize) -> Result<(Snapshot, PairReport)> {
    let hsms = (0..members).map(toy).collect();
    let world = World::new(hsms, Books::default(), 7, None);
    let life = world.be_born();
    let options = Options { members, ..Options::default() };
    let token = token(&world, &options, life);
    token.start();
    let mut shares = Vec::new();
    let report = token.pair(&Secret::new(PIN), &Quiet, &mut |made| {
        shares = made.iter().take(THRESHOLD.into()).map(|share| share.words.clone()).collect();
        Ok(())
    })?;
    token.stop();
    world.bury(life);
    let hsms: Vec<_> = world.hsms.iter().map(|hsm| hsm.lock().clone()).collect();
    let books = world.books.lock().clone();
    let mut truth = hsms.first().map(Truth::new).unwrap_or_default();
    truth.follow(&books).map_err(|what| Error::new(CKR_FUNCTION_FAILED, what))?;
    Ok((Snapshot { hsms, books, shares, truth }, report))
}
