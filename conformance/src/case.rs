//! A case: one thing that the specification says, asked of a module.

use crate::answer::Verdict;
use crate::function;
use crate::token::Token;
use tandem_values::ck::*;
use tandem_values::names;

/// How the module must be when a case begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// C_Initialize hasn't been called.
    Finalised,
    /// Initialised, without sessions and without a login.
    Alone,
    /// A session is open in which the user is logged in.
    #[default]
    LoggedIn,
}

/// What a case needs of a token. One that doesn't have it skips the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// This mechanism, with this flag (CKF_SIGN…).
    Mechanism(CK_MECHANISM_TYPE, CK_FLAGS),
    /// This function: the module's list has it, and it isn't a stub.
    Function(&'static str),
    /// The module's newest list is of this version or a later one.
    Since(u8, u8),
    /// The token does two operations at once in one session (CKF_DUAL_CRYPTO_OPERATIONS).
    Dual,
    /// Objects can be kept on the token.
    Writable,
    /// The security officer's PIN is at hand.
    So,
    /// The operator has said that the token may be wiped and its PINs changed.
    MayWipe,
}

/// What a case does.
pub type Run = Box<dyn Fn(&Token<'_>) -> Verdict>;

/// A case.
pub struct Case {
    /// The chapter: the file that it is in.
    pub chapter: &'static str,
    /// Its name, which no other case has. Lists of known deviations go by it, so it stays.
    pub name: String,
    /// The section of PKCS #11 3.2 that says what is asked.
    pub section: &'static str,
    /// How it begins.
    pub state: State,
    /// What it needs.
    pub needs: Vec<Need>,
    /// What it does.
    pub run: Run,
}

/// The cases of a chapter, as they are written down.
pub struct Cases {
    chapter: &'static str,
    state: State,
    list: Vec<Case>,
}

impl Cases {
    /// None yet.
    pub const fn of(chapter: &'static str) -> Self {
        Self { chapter, state: State::LoggedIn, list: Vec::new() }
    }

    /// How the cases that follow begin.
    pub const fn begin(&mut self, state: State) {
        self.state = state;
    }

    /// A case about a function. Its section is the function's.
    pub fn add(
        &mut self,
        function: &'static str,
        what: &str,
        needs: &[Need],
        run: impl Fn(&Token<'_>) -> Verdict + 'static,
    ) {
        let section = function::named(function).map_or("5", |function| function.section);
        self.put(format!("{function}: {what}"), section, needs, run);
    }

    /// A case about a function with a mechanism.
    pub fn add_with(
        &mut self,
        function: &'static str,
        mechanism: CK_MECHANISM_TYPE,
        what: &str,
        needs: &[Need],
        run: impl Fn(&Token<'_>) -> Verdict + 'static,
    ) {
        let section = function::named(function).map_or("5", |function| function.section);
        let name = format!("{function} with {}: {what}", names::mechanism(mechanism));
        self.put(name, section, needs, run);
    }

    /// A case about what another section says.
    pub fn add_of(
        &mut self,
        section: &'static str,
        what: &str,
        needs: &[Need],
        run: impl Fn(&Token<'_>) -> Verdict + 'static,
    ) {
        self.put(what.to_owned(), section, needs, run);
    }

    fn put(
        &mut self,
        name: String,
        section: &'static str,
        needs: &[Need],
        run: impl Fn(&Token<'_>) -> Verdict + 'static,
    ) {
        self.list.push(Case {
            chapter: self.chapter,
            name,
            section,
            state: self.state,
            needs: needs.to_vec(),
            run: Box::new(run),
        });
    }

    /// All of them.
    pub fn done(self) -> Vec<Case> {
        self.list
    }
}
