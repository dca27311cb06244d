//! Section 5.4.1, CKF_OS_LOCKING_OK: several threads, each with sessions of its own.

use crate::answer::{Verdict, ensure, fail, same};
use crate::argument::Out;
use crate::case::{Cases, Need};
use crate::key::{Sort, Usage};
use crate::module::Module;
use crate::token::Token;
use crate::value::Mechanism;
use crate::{template, vectors};
use std::thread;
use tandem_values::ck::*;

const THREADS: usize = 8;
const ROUNDS: usize = 50;

/// What a thread does with its own session.
type Round = fn(&Module, CK_SESSION_HANDLE, CK_OBJECT_HANDLE, usize) -> Verdict;

pub(super) fn add(cases: &mut Cases) {
    cases.add_of(
        "5.4.1",
        "Eight threads digest, each in its own session",
        &[Need::Mechanism(CKM_SHA256, CKF_DIGEST)],
        |token| {
            together(token, CK_INVALID_HANDLE, |module, session, _, _| {
                let mut out = Out::room(32);
                module.C_DigestInit(session, &mut Mechanism::plain(CKM_SHA256)).ok()?;
                module.C_DigestUpdate(session, b"ab".into()).ok()?;
                module.C_DigestUpdate(session, b"c".into()).ok()?;
                module.C_DigestFinal(session, &mut out).ok()?;
                same("a digest", out.bytes(), &vectors::SHA256_ABC)
            })
        },
    );
    cases.add_of(
        "5.4.1",
        "Eight threads sign with one key",
        &[Need::Mechanism(CKM_SHA256_HMAC, CKF_SIGN)],
        |token| {
            let key = token.key(Sort::Secret, Usage::All)?.private;
            together(token, key, |module, session, key, _| {
                let mac = |out: &mut Out| -> Verdict {
                    module.C_SignInit(session, &mut Mechanism::plain(CKM_SHA256_HMAC), key).ok()?;
                    module.C_Sign(session, b"data".into(), out).ok()
                };
                let (mut one, mut other) = (Out::room(32), Out::room(32));
                mac(&mut one)?;
                mac(&mut other)?;
                same("a second MAC", one.bytes(), other.bytes())
            })
        },
    );
    cases.add_of("5.4.1", "Eight threads make, find and destroy objects", &[], |token| {
        together(token, CK_INVALID_HANDLE, |module, session, _, number| {
            let name = format!("thread {number}");
            let mut wanted = template! {
                CKA_CLASS: CKO_DATA, CKA_TOKEN: false, CKA_PRIVATE: false, CKA_APPLICATION: name.as_str(), CKA_VALUE: b"value",
            };
            let mut object = crate::argument::Place::new();
            module.C_CreateObject(session, &mut wanted, &mut object).ok()?;
            let (mut found, mut count) = (crate::argument::Several::room(0, 4), crate::argument::Place::new());
            module.C_FindObjectsInit(session, &mut template! { CKA_APPLICATION: name.as_str() }).ok()?;
            module.C_FindObjects(session, &mut found, &mut count).ok()?;
            module.C_FindObjectsFinal(session).ok()?;
            ensure(found.first(count.value) == [object.value], || format!("{} objects are called {name}", count.value))?;
            module.C_DestroyObject(session, object.value).ok()
        })
    });
    cases.add_of("5.4.1", "Eight threads open and close sessions", &[], |token| {
        together(token, token.slot(), |module, _, slot, _| {
            let mut handle = crate::argument::Place::new();
            module
                .C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, (), (), &mut handle)
                .ok()?;
            module.C_CloseSession(handle.value).ok()
        })
    });
}

/// Every thread does the same again and again. The number is a key's handle or a slot.
fn together(token: &Token<'_>, number: CK_ULONG, round: Round) -> Verdict {
    let sessions = (0..THREADS).map(|_| token.session()).collect::<Verdict<Vec<_>>>()?;
    let module = token.module;
    thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .iter()
            .enumerate()
            .map(|(thread, session)| {
                let session = session.handle;
                scope.spawn(move || {
                    (0..ROUNDS).try_for_each(|_| round(module, session, number, thread))
                })
            })
            .collect();
        // Each is waited for, also after one has failed.
        let ends: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| fail("a thread has panicked")))
            .collect();
        ends.into_iter().collect()
    })
}
