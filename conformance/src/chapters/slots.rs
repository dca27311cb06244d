//! Section 5.5: slots, tokens, mechanisms, and the token's PINs.

use crate::answer::{Verdict, ensure, fail, skip};
use crate::argument::{Data, Place, Several};
use crate::case::{Cases, Need, State};
use crate::token::{Token, text};
use tandem_values::ck::*;

/// A slot that there isn't.
const NO_SLOT: CK_SLOT_ID = 0x7fff_ffff_ffff_fff0;

pub(super) fn add(cases: &mut Cases) {
    cases.begin(State::Alone);
    lists(cases);
    about(cases);
    mechanisms(cases);
    events(cases);
    pins(cases);
    wiping(cases);
}

fn lists(cases: &mut Cases) {
    cases.add("C_GetSlotList", "how many, then all of them", &[], |token| {
        for present in [CK_TRUE, CK_FALSE] {
            let mut count = Several::query();
            token.module.C_GetSlotList(present, &mut count).ok()?;
            let mut all = Several::room(0, usize::try_from(count.count).unwrap_or(0));
            token.module.C_GetSlotList(present, &mut all).ok()?;
            let there = all.first(all.count).contains(&token.slot());
            ensure(there, || {
                format!("slot {} is not among {:?}", token.slot(), all.first(all.count))
            })?;
        }
        Ok(())
    });
    cases.add("C_GetSlotList", "too little room", &[], |token| {
        let mut none = Several::room(0, 0);
        token.module.C_GetSlotList(CK_TRUE, &mut none).is(CKR_BUFFER_TOO_SMALL)?;
        ensure(none.count > 0, || "the count isn't told".into())
    });
    cases.add("C_GetSlotList", "a null pointer for the count", &[], |token| {
        token.module.C_GetSlotList(CK_TRUE, &mut Several::without_count()).is(CKR_ARGUMENTS_BAD)
    });
}

fn about(cases: &mut Cases) {
    cases.add("C_GetSlotInfo", "there is a token in the slot", &[], |token| {
        let mut info = Place::new();
        token.module.C_GetSlotInfo(token.slot(), &mut info).ok()?;
        ensure(info.value.flags & CKF_TOKEN_PRESENT != 0, || {
            "CKF_TOKEN_PRESENT is not set".into()
        })?;
        ensure(!info.value.slotDescription.contains(&0), || {
            "a text is not padded with blanks".into()
        })
    });
    cases.add("C_GetSlotInfo", "no such slot, no place", &[], |token| {
        token.module.C_GetSlotInfo(NO_SLOT, &mut Place::new()).is(CKR_SLOT_ID_INVALID)?;
        token.module.C_GetSlotInfo(token.slot(), &mut Place::null()).is(CKR_ARGUMENTS_BAD)
    });
    cases.add("C_GetTokenInfo", "label, flags, counts and lengths of PINs", &[], |token| {
        let mut info = Place::new();
        token.module.C_GetTokenInfo(token.slot(), &mut info).ok()?;
        let info = info.value;
        ensure(text(&info.label) == token.reach.label, || "the label is another".into())?;
        ensure(!info.label.contains(&0), || "the label is not padded with blanks".into())?;
        let wanted = CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED;
        ensure(info.flags & wanted == wanted, || format!("the flags are {:#x}", info.flags))?;
        ensure(info.ulMinPinLen <= info.ulMaxPinLen, || {
            "the shortest PIN is longer than the longest".into()
        })?;
        let most = [CK_UNAVAILABLE_INFORMATION, CK_EFFECTIVELY_INFINITE];
        let counted = |count: CK_ULONG, max: CK_ULONG| {
            most.contains(&count) || most.contains(&max) || count <= max
        };
        ensure(counted(info.ulSessionCount, info.ulMaxSessionCount), || {
            "more sessions are open than may be".into()
        })
    });
    cases.add("C_GetTokenInfo", "the count of sessions", &[], |token| {
        let count = |token: &Token<'_>| -> Verdict<CK_ULONG> {
            let mut info = Place::new();
            token.module.C_GetTokenInfo(token.slot(), &mut info).ok()?;
            match info.value.ulSessionCount {
                CK_UNAVAILABLE_INFORMATION => skip("the token doesn't tell"),
                count => Ok(count),
            }
        };
        let before = count(token)?;
        let _session = token.session()?;
        let with = count(token)?;
        ensure(with == before + 1, || format!("{before} before C_OpenSession, {with} after it"))
    });
    cases.add("C_GetTokenInfo", "no such slot, no place", &[], |token| {
        token.module.C_GetTokenInfo(NO_SLOT, &mut Place::new()).is(CKR_SLOT_ID_INVALID)?;
        token.module.C_GetTokenInfo(token.slot(), &mut Place::null()).is(CKR_ARGUMENTS_BAD)
    });
}

fn mechanisms(cases: &mut Cases) {
    cases.add("C_GetMechanismList", "how many, then all of them, each once", &[], |token| {
        let mut count = Several::query();
        token.module.C_GetMechanismList(token.slot(), &mut count).ok()?;
        let mut all = Several::room(0, usize::try_from(count.count).unwrap_or(0));
        token.module.C_GetMechanismList(token.slot(), &mut all).ok()?;
        let mut kinds = all.first(all.count).to_vec();
        let told = kinds.len();
        kinds.sort_unstable();
        kinds.dedup();
        ensure(kinds.len() == told, || format!("{} of {told} are there twice", told - kinds.len()))
    });
    cases.add("C_GetMechanismList", "too little room", &[], |token| {
        let mut one = Several::room(0, 1);
        token.module.C_GetMechanismList(token.slot(), &mut one).is(CKR_BUFFER_TOO_SMALL)?;
        ensure(one.count > 1, || "the count isn't told".into())
    });
    cases.add("C_GetMechanismList", "no such slot, no place for the count", &[], |token| {
        token.module.C_GetMechanismList(NO_SLOT, &mut Several::query()).is(CKR_SLOT_ID_INVALID)?;
        token
            .module
            .C_GetMechanismList(token.slot(), &mut Several::without_count())
            .is(CKR_ARGUMENTS_BAD)
    });
    cases.add("C_GetMechanismInfo", "every mechanism of the list", &[], |token| {
        let mut all = Several::room(0, 4096);
        token.module.C_GetMechanismList(token.slot(), &mut all).ok()?;
        for kind in all.first(all.count) {
            let mut info = Place::new();
            token.module.C_GetMechanismInfo(token.slot(), *kind, &mut info).ok()?;
            ensure(info.value.ulMinKeySize <= info.value.ulMaxKeySize, || {
                format!("the smallest key of {kind:#x} is larger than the largest")
            })?;
        }
        Ok(())
    });
    cases.add("C_GetMechanismInfo", "no such mechanism, slot or place", &[], |token| {
        let (module, slot) = (token.module, token.slot());
        let none = CKM_VENDOR_DEFINED | 0x7fff_fff0;
        module.C_GetMechanismInfo(slot, none, &mut Place::new()).is(CKR_MECHANISM_INVALID)?;
        module
            .C_GetMechanismInfo(NO_SLOT, CKM_SHA256, &mut Place::new())
            .is(CKR_SLOT_ID_INVALID)?;
        if token.mechanism(CKM_SHA256).is_none() {
            return skip("the token has no CKM_SHA256");
        }
        module.C_GetMechanismInfo(slot, CKM_SHA256, &mut Place::null()).is(CKR_ARGUMENTS_BAD)
    });
}

fn events(cases: &mut Cases) {
    cases.add("C_WaitForSlotEvent", "nothing has happened", &[], |token| {
        // What happened before may be told once.
        for _ in 0..16 {
            let answer = token.module.C_WaitForSlotEvent(CKF_DONT_BLOCK, &mut Place::new(), false);
            if answer.rv == CKR_NO_EVENT {
                return Ok(());
            }
            answer.ok()?;
        }
        fail("events don't end though nothing happens")
    });
    cases.add("C_WaitForSlotEvent", "a null pointer, something in pReserved", &[], |token| {
        let module = token.module;
        let answer = module.C_WaitForSlotEvent(CKF_DONT_BLOCK, &mut Place::new(), true);
        answer.is(CKR_ARGUMENTS_BAD)?;
        module.C_WaitForSlotEvent(CKF_DONT_BLOCK, &mut Place::null(), false).is(CKR_ARGUMENTS_BAD)
    });
}

fn pins(cases: &mut Cases) {
    cases.add("C_InitToken", "no such slot", &[Need::So], |token| {
        let answer = token.module.C_InitToken(NO_SLOT, token.so_pin()?.into(), Some(&[b' '; 32]));
        answer.is(CKR_SLOT_ID_INVALID)
    });
    cases.add("C_InitPIN", "without the security officer", &[], |token| {
        let session = token.session()?;
        token.module.C_InitPIN(session.handle, b"123456".into()).is(CKR_USER_NOT_LOGGED_IN)?;
        token.login(session.handle, CKU_USER).ok()?;
        token.module.C_InitPIN(session.handle, b"123456".into()).is(CKR_USER_NOT_LOGGED_IN)
    });
    cases.add("C_SetPIN", "in a session that only reads", &[], |token| {
        let session = token.session_with(0)?;
        let pin = token.reach.pin.expose();
        token.module.C_SetPIN(session.handle, pin.into(), pin.into()).is(CKR_SESSION_READ_ONLY)
    });
}

/// Cases that may leave the token with other PINs, or wiped, if the module dies in one of them.
fn wiping(cases: &mut Cases) {
    let needs = [Need::MayWipe, Need::So, Need::Writable];
    cases.add("C_SetPIN", "the user's PIN is changed, and changed back", &needs, |token| {
        let (session, pin, other) = (token.session()?, token.reach.pin.expose(), b"conformance-1");
        token.login(session.handle, CKU_USER).ok()?;
        let module = token.module;
        module.C_SetPIN(session.handle, pin.into(), other.into()).ok()?;
        module.C_Logout(session.handle).ok()?;
        let refused = token.login(session.handle, CKU_USER);
        let logged_in = module.C_Login(session.handle, CKU_USER, other.into());
        // Whatever came, the PIN is what it was.
        module.C_SetPIN(session.handle, other.into(), pin.into()).ok()?;
        refused.is(CKR_PIN_INCORRECT)?;
        logged_in.ok()
    });
    cases.add("C_SetPIN", "a wrong PIN, and a null pointer", &needs, |token| {
        let (session, pin) = (token.session()?, token.reach.pin.expose());
        let module = token.module;
        token.login(session.handle, CKU_USER).ok()?;
        module.C_SetPIN(session.handle, b"not-the-pin".into(), pin.into()).is(CKR_PIN_INCORRECT)?;
        module.C_SetPIN(session.handle, Data::null(6), pin.into()).is(CKR_ARGUMENTS_BAD)
    });
    cases.add("C_SetPIN", "a PIN of a length that the token doesn't take", &needs, |token| {
        let mut info = Place::new();
        token.module.C_GetTokenInfo(token.slot(), &mut info).ok()?;
        let Some(shorter) =
            usize::try_from(info.value.ulMinPinLen).ok().and_then(|least| least.checked_sub(1))
        else {
            return skip("any length will do");
        };
        let (session, pin) = (token.session()?, token.reach.pin.expose());
        let short = vec![b'1'; shorter];
        token.login(session.handle, CKU_USER).ok()?;
        let answer = token.module.C_SetPIN(session.handle, pin.into(), (&short).into());
        if answer.rv == CKR_OK {
            token.module.C_SetPIN(session.handle, (&short).into(), pin.into()).ok()?;
        }
        answer.is_one_of(&[CKR_PIN_LEN_RANGE, CKR_PIN_INVALID])
    });
    cases.add("C_InitPIN", "by the security officer", &needs, |token| {
        let session = token.session()?;
        token.login(session.handle, CKU_SO).ok()?;
        token.module.C_InitPIN(session.handle, token.reach.pin.expose().into()).ok()?;
        token.module.C_Logout(session.handle).ok()?;
        token.login(session.handle, CKU_USER).ok()
    });
    cases.add("C_InitToken", "while a session is open", &needs, |token| {
        let _session = token.session()?;
        let label = padded(&token.reach.label);
        let answer = token.module.C_InitToken(token.slot(), token.so_pin()?.into(), Some(&label));
        answer.is(CKR_SESSION_EXISTS)
    });
    cases.add("C_InitToken", "a wrong PIN", &needs, |token| {
        let label = padded(&token.reach.label);
        let answer = token.module.C_InitToken(token.slot(), b"not-the-so-pin".into(), Some(&label));
        answer.is(CKR_PIN_INCORRECT)
    });
}

fn padded(label: &str) -> [u8; 32] {
    let mut padded = [b' '; 32];
    for (to, from) in padded.iter_mut().zip(label.bytes()) {
        *to = from;
    }
    padded
}
