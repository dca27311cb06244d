//! What a function answered, and what a case makes of it.

use std::fmt::Write;
use tandem_values::ck::*;
use tandem_values::names;

/// How a case ends when it doesn't pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The module doesn't do what the specification says: what was expected, and what came.
    Failed(String),
    /// The module can't run the case: why.
    Skipped(String),
}

/// What a case comes to.
pub type Verdict<T = ()> = Result<T, Stop>;

/// Fails a case.
pub fn fail<T>(reason: impl Into<String>) -> Verdict<T> {
    Err(Stop::Failed(reason.into()))
}

/// Skips a case.
pub fn skip<T>(reason: impl Into<String>) -> Verdict<T> {
    Err(Stop::Skipped(reason.into()))
}

/// What must hold; the reason says what came instead.
pub fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { fail(reason()) }
}

/// Bytes that must be these.
pub fn same(what: &str, got: &[u8], wanted: &[u8]) -> Verdict {
    ensure(got == wanted, || format!("{what} is {}, not {}", hex(got), hex(wanted)))
}

/// The first bytes, as people read them.
pub fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 24;
    let mut text = String::new();
    for byte in bytes.iter().take(SHOWN) {
        let _ = write!(text, "{byte:02x}");
    }
    if bytes.len() > SHOWN {
        text.push('…');
    }
    format!("{text} ({} bytes)", bytes.len())
}

/// The answers by which a module says that it can't do something, as opposed to doing it wrongly.
const CANT: [CK_RV; 14] = [
    CKR_FUNCTION_NOT_SUPPORTED,
    CKR_MECHANISM_INVALID,
    CKR_MECHANISM_PARAM_INVALID,
    CKR_TEMPLATE_INCONSISTENT,
    CKR_TEMPLATE_INCOMPLETE,
    CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_ATTRIBUTE_READ_ONLY,
    CKR_KEY_SIZE_RANGE,
    CKR_CURVE_NOT_SUPPORTED,
    CKR_DOMAIN_PARAMS_INVALID,
    CKR_PARAMETER_SET_NOT_SUPPORTED,
    CKR_KEY_NOT_WRAPPABLE,
    CKR_ACTION_PROHIBITED,
];

/// A function's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Answer {
    /// C_…
    pub function: &'static str,
    /// CKR_…
    pub rv: CK_RV,
}

impl Answer {
    /// What the function of this name answered.
    pub const fn new(function: &'static str, rv: CK_RV) -> Self {
        Self { function, rv }
    }

    /// It must be this.
    pub fn is(self, wanted: CK_RV) -> Verdict {
        self.is_one_of(&[wanted])
    }

    /// It must be one of these: where the specification leaves a choice. A module that says that it doesn't have the function
    /// at all is not judged.
    pub fn is_one_of(self, wanted: &[CK_RV]) -> Verdict {
        if wanted.contains(&self.rv) {
            return Ok(());
        }
        if self.rv == CKR_FUNCTION_NOT_SUPPORTED {
            return skip(format!("the module has no {}", self.function));
        }
        let wanted: Vec<_> = wanted.iter().map(|rv| names::rv(*rv)).collect();
        fail(format!("{self}; {} was expected", wanted.join(" or ")))
    }

    /// It must be CKR_OK.
    pub fn ok(self) -> Verdict {
        self.is(CKR_OK)
    }

    /// It must be anything but CKR_OK: where the specification names no error. A function that isn't there refuses nothing.
    pub fn refused(self) -> Verdict {
        match self.rv {
            CKR_OK => fail(format!("{self}; an error was expected")),
            CKR_FUNCTION_NOT_SUPPORTED => skip(format!("the module has no {}", self.function)),
            _ => Ok(()),
        }
    }

    /// It prepares what a case is about: a module that says that it can't is not judged.
    pub fn prepares(self) -> Verdict {
        match self.rv {
            CKR_OK => Ok(()),
            rv if CANT.contains(&rv) => skip(format!("the token can't prepare it: {self}")),
            _ => fail(format!("{self} while the case was prepared")),
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} answered {}", self.function, names::rv(self.rv))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_passes_and_anything_else_says_what_came() {
        let answer = Answer::new("C_Sign", CKR_DATA_LEN_RANGE);
        assert_eq!(answer.is_one_of(&[CKR_DATA_INVALID, CKR_DATA_LEN_RANGE]), Ok(()));
        let told = "C_Sign answered CKR_DATA_LEN_RANGE; CKR_OK was expected";
        assert_eq!(answer.ok(), Err(Stop::Failed(told.into())));
        assert_eq!(answer.refused(), Ok(()));
        let missing = Answer::new("C_Sign", CKR_FUNCTION_NOT_SUPPORTED);
        for verdict in [missing.ok(), missing.refused()] {
            assert_eq!(verdict, Err(Stop::Skipped("the module has no C_Sign".into())));
        }
    }

    #[test]
    fn a_module_that_cant_is_not_judged_and_one_that_breaks_is() {
        let cant = Answer::new("C_GenerateKey", CKR_MECHANISM_INVALID).prepares();
        assert!(matches!(cant, Err(Stop::Skipped(_))));
        let breaks = Answer::new("C_GenerateKey", CKR_GENERAL_ERROR).prepares();
        assert!(matches!(breaks, Err(Stop::Failed(_))));
    }
}
