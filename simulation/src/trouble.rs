//! What can go wrong, and where.

use std::fmt;

/// Where a call of the engine goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// To a member, by its number.
    Member(usize),
    /// To the store.
    Store,
}

/// What kind of call it is, as far as that decides what can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Of a member: nothing comes of it that could be wrong.
    Plain,
    /// Of a member: bytes come out that could be wrong.
    Output,
    /// Of a member: a key is unwrapped, which could be another.
    Unwrap,
    /// Of a member: an operation begins, which could go wrong from here on.
    Begin,
    /// Of the store: nothing is written.
    Read,
    /// Of the store: something is written.
    Write,
}

/// What goes wrong in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// The member is ill and has done nothing (CKR_DEVICE_ERROR).
    IllBefore,
    /// The member is ill and has done what was asked.
    IllAfter,
    /// The member fails and says nothing of why (CKR_GENERAL_ERROR).
    Vague,
    /// The member does it, and the answer comes after the deadline.
    Slow,
    /// The member can't just now (CKR_DEVICE_MEMORY).
    Unable,
    /// The member takes no further token object.
    MemberFull,
    /// The member has forgotten our sessions.
    ForgotSessions,
    /// The member has forgotten our login.
    ForgotLogin,
    /// The member was switched off and on.
    Rebooted,
    /// The member is unplugged and stays so.
    Unplugged,
    /// An empty token stands where the member's was.
    Emptied,
    /// The bytes that come out are others.
    Lie,
    /// The bytes that come out are too few.
    Short,
    /// The key that was unwrapped is another.
    WrongKey,
    /// The operation that begins here comes out wrong.
    Skew,
    /// The store is full: nothing was written.
    StoreFull,
    /// The store can't be reached: nothing was written.
    StoreBefore,
    /// The store has written, and the answer is lost.
    StoreAfter,
    /// The process dies before the call.
    CrashBefore,
    /// The process dies after the call.
    CrashAfter,
    /// Another process does something first.
    Intruder,
}

use Trouble::{
    CrashAfter, CrashBefore, Emptied, ForgotLogin, ForgotSessions, IllAfter, IllBefore, Intruder,
    Lie, MemberFull, Rebooted, Short, Skew, Slow, StoreAfter, StoreBefore, StoreFull, Unable,
    Unplugged, Vague, WrongKey,
};

const PLAIN: &[Trouble] = &[
    IllBefore,
    IllAfter,
    Vague,
    Slow,
    Unable,
    MemberFull,
    ForgotSessions,
    ForgotLogin,
    Rebooted,
    Unplugged,
    Emptied,
    CrashBefore,
    CrashAfter,
    Intruder,
];
const OUTPUT: &[Trouble] = &[
    IllBefore,
    IllAfter,
    Vague,
    Slow,
    Unable,
    MemberFull,
    ForgotSessions,
    ForgotLogin,
    Rebooted,
    Unplugged,
    Emptied,
    CrashBefore,
    CrashAfter,
    Intruder,
    Lie,
    Short,
];
const UNWRAP: &[Trouble] = &[
    IllBefore,
    IllAfter,
    Vague,
    Slow,
    Unable,
    MemberFull,
    ForgotSessions,
    ForgotLogin,
    Rebooted,
    Unplugged,
    Emptied,
    CrashBefore,
    CrashAfter,
    Intruder,
    WrongKey,
];
const BEGIN: &[Trouble] = &[
    IllBefore,
    IllAfter,
    Vague,
    Slow,
    Unable,
    MemberFull,
    ForgotSessions,
    ForgotLogin,
    Rebooted,
    Unplugged,
    Emptied,
    CrashBefore,
    CrashAfter,
    Intruder,
    Skew,
];
const READ: &[Trouble] = &[StoreBefore, CrashBefore, Intruder];
const WRITE: &[Trouble] = &[StoreFull, StoreBefore, StoreAfter, CrashBefore, CrashAfter, Intruder];

impl Kind {
    /// What can go wrong in such a call.
    pub const fn troubles(self) -> &'static [Trouble] {
        match self {
            Self::Plain => PLAIN,
            Self::Output => OUTPUT,
            Self::Unwrap => UNWRAP,
            Self::Begin => BEGIN,
            Self::Read => READ,
            Self::Write => WRITE,
        }
    }
}

impl Trouble {
    /// Every trouble, some of them more than once.
    pub fn all() -> impl Iterator<Item = Self> {
        [OUTPUT, UNWRAP, BEGIN, WRITE].into_iter().flatten().copied()
    }

    /// True where a member answers, and its answer isn't true. No virtual token can tell that of a single signature.
    pub const fn is_lie(self) -> bool {
        matches!(self, Lie | Short | WrongKey | Skew)
    }

    /// True where the store failed.
    pub const fn is_store(self) -> bool {
        matches!(self, StoreFull | StoreBefore | StoreAfter)
    }

    /// True where the member says no, as it may for the request's sake.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Unable | MemberFull | Vague)
    }

    /// True where the process died.
    pub const fn is_crash(self) -> bool {
        matches!(self, CrashBefore | CrashAfter)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(number) => f.write_str(&member_name(*number)),
            Self::Store => f.write_str("store"),
        }
    }
}

/// The name of a member: a, b, c, ….
pub fn member_name(number: usize) -> String {
    let letter = u8::try_from(number).ok().and_then(|number| b'a'.checked_add(number));
    char::from(letter.unwrap_or(b'?')).to_string()
}
