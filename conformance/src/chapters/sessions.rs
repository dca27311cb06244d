//! Section 5.6: sessions, logins and their states, cancelling, and the state of operations.

use crate::answer::{Verdict, ensure, same, skip};
use crate::argument::{Data, Out, Place};
use crate::case::{Cases, Need, State};
use crate::token::Token;
use crate::value::Mechanism;
use tandem_values::ck::*;

/// A slot that there isn't.
const NO_SLOT: CK_SLOT_ID = 0x7fff_ffff_ffff_fff0;

pub(super) fn add(cases: &mut Cases) {
    cases.begin(State::Alone);
    opening(cases);
    closing(cases);
    logins(cases);
    refused_logins(cases);
    security_officer(cases);
    by_name(cases);
    cases.begin(State::LoggedIn);
    cancelling(cases);
    saved_states(cases);
    validation(cases);
}

/// The session must be in a state.
fn state(token: &Token<'_>, session: CK_SESSION_HANDLE, wanted: CK_STATE) -> Verdict {
    let mut info = Place::new();
    token.module.C_GetSessionInfo(session, &mut info).ok()?;
    let info = info.value;
    ensure(info.state == wanted, || format!("the state is {}, not {wanted}", info.state))?;
    ensure(info.slotID == token.slot(), || {
        format!("the slot is {}, not {}", info.slotID, token.slot())
    })
}

fn opening(cases: &mut Cases) {
    cases.add("C_OpenSession", "one that writes and one that only reads", &[], |token| {
        let (writes, reads) = (token.session()?, token.session_with(0)?);
        ensure(writes.handle != reads.handle, || "both have one handle".into())?;
        ensure(writes.handle != CK_INVALID_HANDLE, || "the handle is 0".into())?;
        state(token, writes.handle, CKS_RW_PUBLIC_SESSION)?;
        state(token, reads.handle, CKS_RO_PUBLIC_SESSION)
    });
    cases.add("C_OpenSession", "without CKF_SERIAL_SESSION", &[], |token| {
        let answer =
            token.module.C_OpenSession(token.slot(), CKF_RW_SESSION, (), (), &mut Place::new());
        answer.is(CKR_SESSION_PARALLEL_NOT_SUPPORTED)
    });
    cases.add("C_OpenSession", "no such slot, no place", &[], |token| {
        let open = |slot, place: &mut Place<CK_ULONG>| {
            token.module.C_OpenSession(slot, CKF_SERIAL_SESSION, (), (), place)
        };
        open(NO_SLOT, &mut Place::new()).is(CKR_SLOT_ID_INVALID)?;
        open(token.slot(), &mut Place::null()).is(CKR_ARGUMENTS_BAD)
    });
    cases.add(
        "C_OpenSession",
        "CKF_ASYNC_SESSION, with which calls may answer CKR_PENDING",
        &[Need::Function("C_AsyncComplete")],
        |token| {
            let mut handle = Place::new();
            let flags = CKF_SERIAL_SESSION | CKF_ASYNC_SESSION;
            let answer = token.module.C_OpenSession(token.slot(), flags, (), (), &mut handle);
            answer.is_one_of(&[CKR_OK, CKR_SESSION_ASYNC_NOT_SUPPORTED])
        },
    );
    cases.add("C_OpenSession", "a hundred at once, each with a handle of its own", &[], |token| {
        let mut open = Vec::new();
        for _ in 0..100 {
            open.push(token.session()?);
        }
        let mut handles: Vec<_> = open.iter().map(|session| session.handle).collect();
        handles.sort_unstable();
        handles.dedup();
        ensure(handles.len() == 100, || format!("only {} handles are different", handles.len()))
    });
    cases.add("C_GetSessionInfo", "a null pointer", &[], |token| {
        let session = token.session()?;
        token.module.C_GetSessionInfo(session.handle, &mut Place::null()).is(CKR_ARGUMENTS_BAD)
    });
}

fn closing(cases: &mut Cases) {
    cases.add("C_CloseSession", "its handle is gone", &[], |token| {
        let session = token.session()?;
        token.module.C_CloseSession(session.handle).ok()?;
        token.module.C_CloseSession(session.handle).is(CKR_SESSION_HANDLE_INVALID)?;
        let answer = token.module.C_GetSessionInfo(session.handle, &mut Place::new());
        answer.is(CKR_SESSION_HANDLE_INVALID)
    });
    cases.add("C_CloseSession", "the last one ends the login", &[], |token| {
        let session = token.session()?;
        token.login(session.handle, CKU_USER).ok()?;
        drop(session);
        state(token, token.session()?.handle, CKS_RW_PUBLIC_SESSION)
    });
    cases.add("C_CloseSession", "the login stays while another session is open", &[], |token| {
        let (first, second) = (token.session()?, token.session()?);
        token.login(first.handle, CKU_USER).ok()?;
        drop(first);
        state(token, second.handle, CKS_RW_USER_FUNCTIONS)
    });
    cases.add("C_CloseAllSessions", "all of them, and the login", &[], |token| {
        let (first, second) = (token.session()?, token.session()?);
        token.login(first.handle, CKU_USER).ok()?;
        token.module.C_CloseAllSessions(token.slot()).ok()?;
        for session in [&first, &second] {
            let answer = token.module.C_GetSessionInfo(session.handle, &mut Place::new());
            answer.is(CKR_SESSION_HANDLE_INVALID)?;
        }
        state(token, token.session()?.handle, CKS_RW_PUBLIC_SESSION)
    });
    cases.add("C_CloseAllSessions", "when there is none", &[], |token| {
        token.module.C_CloseAllSessions(token.slot()).ok()
    });
    cases.add("C_CloseAllSessions", "no such slot", &[], |token| {
        token.module.C_CloseAllSessions(NO_SLOT).is(CKR_SLOT_ID_INVALID)
    });
}

fn logins(cases: &mut Cases) {
    cases.add("C_Login", "it is every session's, those opened later too", &[], |token| {
        let (writes, reads) = (token.session()?, token.session_with(0)?);
        token.login(reads.handle, CKU_USER).ok()?;
        state(token, writes.handle, CKS_RW_USER_FUNCTIONS)?;
        state(token, reads.handle, CKS_RO_USER_FUNCTIONS)?;
        state(token, token.session()?.handle, CKS_RW_USER_FUNCTIONS)
    });
    cases.add("C_Login", "twice", &[], |token| {
        let session = token.session()?;
        token.login(session.handle, CKU_USER).ok()?;
        token.login(session.handle, CKU_USER).is(CKR_USER_ALREADY_LOGGED_IN)
    });
    cases.add("C_Logout", "it is every session's", &[], |token| {
        let (one, other) = (token.session()?, token.session_with(0)?);
        token.login(one.handle, CKU_USER).ok()?;
        token.module.C_Logout(other.handle).ok()?;
        state(token, one.handle, CKS_RW_PUBLIC_SESSION)?;
        state(token, other.handle, CKS_RO_PUBLIC_SESSION)
    });
    cases.add("C_Logout", "when nobody is logged in", &[], |token| {
        let session = token.session()?;
        token.module.C_Logout(session.handle).is(CKR_USER_NOT_LOGGED_IN)
    });
    cases.add("C_Logout", "a private session object is gone", &[], |token| {
        let session = token.session()?;
        token.login(session.handle, CKU_USER).ok()?;
        let wanted = crate::template! { CKA_CLASS: CKO_DATA, CKA_PRIVATE: true, CKA_TOKEN: false, CKA_VALUE: "private" };
        let object = token.create(session.handle, wanted)?;
        token.module.C_Logout(session.handle).ok()?;
        token.login(session.handle, CKU_USER).ok()?;
        let answer = token.module.C_GetObjectSize(session.handle, object, &mut Place::new());
        answer.is(CKR_OBJECT_HANDLE_INVALID)
    });
    cases.add("C_Logout", "and in again, ten times", &[], |token| {
        let session = token.session()?;
        for _ in 0..10 {
            token.login(session.handle, CKU_USER).ok()?;
            token.module.C_Logout(session.handle).ok()?;
        }
        Ok(())
    });
}

fn refused_logins(cases: &mut Cases) {
    cases.add("C_Login", "a wrong PIN, then the right one", &[], |token| {
        let session = token.session()?;
        let answer = token.module.C_Login(session.handle, CKU_USER, b"not-the-pin".into());
        answer.is(CKR_PIN_INCORRECT)?;
        state(token, session.handle, CKS_RW_PUBLIC_SESSION)?;
        token.login(session.handle, CKU_USER).ok()
    });
    cases.add("C_Login", "no such kind of user", &[], |token| {
        let session = token.session()?;
        let answer = token.module.C_Login(session.handle, 77, token.reach.pin.expose().into());
        answer.is(CKR_USER_TYPE_INVALID)
    });
    cases.add("C_Login", "a null pointer", &[], |token| {
        let mut info = Place::new();
        token.module.C_GetTokenInfo(token.slot(), &mut info).ok()?;
        if info.value.flags & CKF_PROTECTED_AUTHENTICATION_PATH != 0 {
            return skip("the token takes its PIN by a path of its own");
        }
        let session = token.session()?;
        token.module.C_Login(session.handle, CKU_USER, Data::null(6)).is(CKR_ARGUMENTS_BAD)
    });
    cases.add("C_Login", "for one operation, when none is active", &[], |token| {
        let session = token.session()?;
        token.login(session.handle, CKU_USER).ok()?;
        token.login(session.handle, CKU_CONTEXT_SPECIFIC).is(CKR_OPERATION_NOT_INITIALIZED)
    });
}

fn security_officer(cases: &mut Cases) {
    let needs = [Need::So];
    cases.add("C_Login", "the security officer", &needs, |token| {
        let session = token.session()?;
        token.login(session.handle, CKU_SO).ok()?;
        state(token, session.handle, CKS_RW_SO_FUNCTIONS)?;
        token.login(session.handle, CKU_SO).is(CKR_USER_ALREADY_LOGGED_IN)?;
        token.login(session.handle, CKU_USER).is(CKR_USER_ANOTHER_ALREADY_LOGGED_IN)?;
        token.module.C_Logout(session.handle).ok()
    });
    cases.add("C_Login", "the security officer while the user is logged in", &needs, |token| {
        let session = token.session()?;
        token.login(session.handle, CKU_USER).ok()?;
        token.login(session.handle, CKU_SO).is(CKR_USER_ANOTHER_ALREADY_LOGGED_IN)
    });
    cases.add("C_Login", "the security officer while a session only reads", &needs, |token| {
        let (_reads, session) = (token.session_with(0)?, token.session()?);
        token.login(session.handle, CKU_SO).is(CKR_SESSION_READ_ONLY_EXISTS)
    });
    cases.add(
        "C_OpenSession",
        "one that only reads while the security officer is logged in",
        &needs,
        |token| {
            let session = token.session()?;
            token.login(session.handle, CKU_SO).ok()?;
            let answer = token.module.C_OpenSession(
                token.slot(),
                CKF_SERIAL_SESSION,
                (),
                (),
                &mut Place::new(),
            );
            answer.is(CKR_SESSION_READ_WRITE_SO_EXISTS)
        },
    );
    cases.add("C_Login", "the security officer can't make private objects", &needs, |token| {
        let session = token.session()?;
        token.login(session.handle, CKU_SO).ok()?;
        let mut wanted = crate::template! { CKA_CLASS: CKO_DATA, CKA_PRIVATE: true, CKA_TOKEN: false, CKA_VALUE: "private" };
        let answer = token.module.C_CreateObject(session.handle, &mut wanted, &mut Place::new());
        answer.is(CKR_USER_NOT_LOGGED_IN)
    });
}

fn by_name(cases: &mut Cases) {
    let needs = [Need::Function("C_LoginUser")];
    cases.add("C_LoginUser", "with an empty name, as C_Login", &needs, |token| {
        let session = token.session()?;
        let pin = token.reach.pin.expose();
        let answer = token.module.C_LoginUser(session.handle, CKU_USER, pin.into(), b"".into());
        answer.is_one_of(&[CKR_OK, CKR_FUNCTION_NOT_SUPPORTED, CKR_ARGUMENTS_BAD])?;
        if answer.rv != CKR_OK {
            return skip("the token has no users with names");
        }
        state(token, session.handle, CKS_RW_USER_FUNCTIONS)
    });
    cases.add("C_LoginUser", "a wrong PIN", &needs, |token| {
        let session = token.session()?;
        let answer =
            token.module.C_LoginUser(session.handle, CKU_USER, b"not-the-pin".into(), b"".into());
        match answer.rv {
            CKR_FUNCTION_NOT_SUPPORTED | CKR_ARGUMENTS_BAD => {
                skip("the token has no users with names")
            }
            _ => answer.is(CKR_PIN_INCORRECT),
        }
    });
}

fn cancelling(cases: &mut Cases) {
    let needs = [Need::Function("C_SessionCancel")];
    cases.add("C_SessionCancel", "when nothing is active", &needs, |token| {
        let session = token.session()?;
        let all = CKF_ENCRYPT | CKF_DECRYPT | CKF_DIGEST | CKF_SIGN | CKF_VERIFY | CKF_FIND_OBJECTS;
        token.module.C_SessionCancel(session.handle, all).ok()
    });
    cases.add(
        "C_SessionCancel",
        "what isn't named goes on",
        &[needs[0], Need::Mechanism(CKM_SHA256, CKF_DIGEST)],
        |token| {
            let session = token.session()?;
            token.module.C_DigestInit(session.handle, &mut Mechanism::plain(CKM_SHA256)).ok()?;
            token.module.C_SessionCancel(session.handle, CKF_SIGN).ok()?;
            token.module.C_Digest(session.handle, b"abc".into(), &mut Out::room(32)).ok()
        },
    );
    cases.add("C_SessionCancel", "a search", &needs, |token| {
        let session = token.session()?;
        token.module.C_FindObjectsInit(session.handle, &mut crate::template! {}).ok()?;
        token.module.C_SessionCancel(session.handle, CKF_FIND_OBJECTS).ok()?;
        token.module.C_FindObjectsFinal(session.handle).is(CKR_OPERATION_NOT_INITIALIZED)
    });
}

/// C_GetOperationState where it is served: most tokens don't.
fn saved_states(cases: &mut Cases) {
    let needs = [Need::Mechanism(CKM_SHA256, CKF_DIGEST)];
    cases.add("C_GetOperationState", "nothing is active", &[], |token| {
        let session = token.session()?;
        let answer = token.module.C_GetOperationState(session.handle, &mut Out::room(4096));
        answer.is(CKR_OPERATION_NOT_INITIALIZED)
    });
    cases.add("C_SetOperationState", "a digest goes on in another session", &needs, |token| {
        let (first, second) = (token.session()?, token.session()?);
        let module = token.module;
        module.C_DigestInit(first.handle, &mut Mechanism::plain(CKM_SHA256)).ok()?;
        module.C_DigestUpdate(first.handle, b"ab".into()).ok()?;
        let mut saved = Out::room(65_536);
        let answer = module.C_GetOperationState(first.handle, &mut saved);
        if matches!(answer.rv, CKR_FUNCTION_NOT_SUPPORTED | CKR_STATE_UNSAVEABLE) {
            return skip(format!("the token doesn't save states: {answer}"));
        }
        answer.ok()?;
        module.C_SetOperationState(second.handle, saved.bytes().into(), 0, 0).ok()?;
        let mut out = Out::room(32);
        module.C_DigestUpdate(second.handle, b"c".into()).ok()?;
        module.C_DigestFinal(second.handle, &mut out).ok()?;
        same("the digest", out.bytes(), &crate::vectors::SHA256_ABC)
    });
    cases.add("C_SetOperationState", "what is no state", &[], |token| {
        let session = token.session()?;
        let answer =
            token.module.C_SetOperationState(session.handle, b"no state at all".into(), 0, 0);
        answer.is(CKR_SAVED_STATE_INVALID)
    });
}

fn validation(cases: &mut Cases) {
    let needs = [Need::Function("C_GetSessionValidationFlags")];
    cases.add("C_GetSessionValidationFlags", "of the last operation", &needs, |token| {
        let session = token.session()?;
        let answer = token.module.C_GetSessionValidationFlags(
            session.handle,
            CKS_LAST_VALIDATION_OK,
            &mut Place::new(),
        );
        answer.ok()
    });
    cases.add("C_GetSessionValidationFlags", "a null pointer", &needs, |token| {
        let session = token.session()?;
        let answer = token.module.C_GetSessionValidationFlags(
            session.handle,
            CKS_LAST_VALIDATION_OK,
            &mut Place::null(),
        );
        answer.is(CKR_ARGUMENTS_BAD)
    });
}
