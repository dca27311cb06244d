//! Section 5.19: random numbers.

use crate::answer::ensure;
use crate::argument::{Data, Out};
use crate::case::Cases;
use tandem_values::ck::*;

pub(super) fn add(cases: &mut Cases) {
    cases.add(
        "C_GenerateRandom",
        "as many bytes as are asked for, others each time",
        &[],
        |token| {
            let session = token.session()?;
            for len in [1, 16, 4096] {
                let (mut one, mut other) = (Out::room(len), Out::room(len));
                token.module.C_GenerateRandom(session.handle, &mut one).ok()?;
                token.module.C_GenerateRandom(session.handle, &mut other).ok()?;
                ensure(len < 16 || one.bytes() != other.bytes(), || {
                    format!("{len} bytes came twice")
                })?;
                let tail = one.bytes().iter().rev().take(16);
                ensure(len < 16 || tail.clone().any(|byte| *byte != 0xa5), || {
                    format!("the end of {len} bytes wasn't filled")
                })?;
            }
            Ok(())
        },
    );
    cases.add("C_GenerateRandom", "no bytes", &[], |token| {
        let (session, mut none) = (token.session()?, Out::room(1));
        none.len = 0;
        token
            .module
            .C_GenerateRandom(session.handle, &mut none)
            .is_one_of(&[CKR_OK, CKR_ARGUMENTS_BAD])?;
        ensure(none.is_untouched(), || "a byte was written".into())
    });
    cases.add("C_GenerateRandom", "a null pointer", &[], |token| {
        let session = token.session()?;
        token.module.C_GenerateRandom(session.handle, &mut Out::nowhere(16)).is(CKR_ARGUMENTS_BAD)
    });
    cases.add("C_SeedRandom", "some bytes", &[], |token| {
        let session = token.session()?;
        let answer = token.module.C_SeedRandom(session.handle, b"seed".into());
        answer.is_one_of(&[CKR_OK, CKR_RANDOM_SEED_NOT_SUPPORTED])
    });
    cases.add("C_SeedRandom", "a null pointer", &[], |token| {
        let session = token.session()?;
        let answer = token.module.C_SeedRandom(session.handle, Data::null(16));
        answer.is_one_of(&[CKR_ARGUMENTS_BAD, CKR_RANDOM_SEED_NOT_SUPPORTED])
    });
}
