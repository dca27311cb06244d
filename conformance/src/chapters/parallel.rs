//! Sections 5.20 and 5.21: what remains of parallel functions, and asynchronous ones.

use crate::answer::skip;
use crate::argument::{Out, Place};
use crate::case::{Cases, Need};
use tandem_values::ck::*;

pub(super) fn add(cases: &mut Cases) {
    cases.add("C_GetFunctionStatus", "there are no parallel functions", &[], |token| {
        let session = token.session()?;
        token.module.C_GetFunctionStatus(session.handle).is(CKR_FUNCTION_NOT_PARALLEL)
    });
    cases.add("C_CancelFunction", "there are no parallel functions", &[], |token| {
        let session = token.session()?;
        token.module.C_CancelFunction(session.handle).is(CKR_FUNCTION_NOT_PARALLEL)
    });
    cases.add(
        "C_AsyncComplete",
        "nothing is pending",
        &[Need::Function("C_AsyncComplete")],
        |token| {
            let session = token.session()?;
            let function = Some(c"C_Sign");
            let answer = token.module.C_AsyncComplete(session.handle, function, &mut Place::new());
            if answer.rv == CKR_FUNCTION_NOT_SUPPORTED {
                return skip("the module has no C_AsyncComplete");
            }
            answer.refused()
        },
    );
    cases.add("C_AsyncGetID", "nothing is pending", &[Need::Function("C_AsyncGetID")], |token| {
        let session = token.session()?;
        let answer = token.module.C_AsyncGetID(session.handle, Some(c"C_Sign"), &mut Place::new());
        answer.is(CKR_OPERATION_NOT_INITIALIZED)
    });
    cases.add("C_AsyncJoin", "no such operation", &[Need::Function("C_AsyncJoin")], |token| {
        let session = token.session()?;
        let answer =
            token.module.C_AsyncJoin(session.handle, Some(c"C_Sign"), 77, &mut Out::room(64));
        answer.is(CKR_SAVED_STATE_INVALID)
    });
    cases.add_of("5.21", "Asynchronous functions are there together or not at all", &[], |token| {
        let list = token.module.list();
        if list.C_AsyncComplete.is_none() {
            return skip("the module's list has no asynchronous functions");
        }
        crate::answer::ensure(list.C_AsyncGetID.is_some() && list.C_AsyncJoin.is_some(), || {
            "C_AsyncComplete is there, and C_AsyncGetID or C_AsyncJoin is a null pointer".into()
        })
    });
}
