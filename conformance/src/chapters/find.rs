//! Section 5.7: searching for objects.

use crate::answer::{Verdict, ensure, skip};
use crate::argument::{Place, Several};
use crate::case::{Cases, Need, State};
use crate::template;
use crate::token::{LABEL, Token};
use crate::value::Template;
use tandem_values::ck::*;

pub(super) fn add(cases: &mut Cases) {
    states(cases);
    without_search(cases);
    matching(cases);
    odd_ones(cases);
    cases.begin(State::Alone);
    cases.add(
        "C_FindObjects",
        "a private object is not seen by nobody",
        &[Need::Writable],
        |token| {
            let session = token.session()?;
            token.login(session.handle, CKU_USER).ok()?;
            let object = token.create(
                session.handle,
                named("private").with(CKA_TOKEN, true).with(CKA_PRIVATE, true),
            )?;
            token.module.C_Logout(session.handle).ok()?;
            let seen = token
                .find(session.handle, template! { CKA_APPLICATION: "private", CKA_LABEL: LABEL });
            token.login(session.handle, CKU_USER).ok()?;
            let seen_again = token
                .find(session.handle, template! { CKA_APPLICATION: "private", CKA_LABEL: LABEL });
            for one in seen_again.as_deref().unwrap_or(&[object]) {
                token.module.C_DestroyObject(session.handle, *one).ok()?;
            }
            ensure(seen?.is_empty(), || "it was found when nobody was logged in".into())?;
            ensure(seen_again?.len() == 1, || "it was not found after the next login".into())
        },
    );
}

/// A data object of the session with a name of its own.
fn named(name: &str) -> Template {
    template! {
        CKA_CLASS: CKO_DATA, CKA_TOKEN: false, CKA_PRIVATE: false, CKA_LABEL: LABEL, CKA_APPLICATION: name,
        CKA_VALUE: b"value",
    }
}

fn states(cases: &mut Cases) {
    cases.add("C_FindObjectsInit", "while a search is active", &[], |token| {
        let session = token.session()?;
        token.module.C_FindObjectsInit(session.handle, &mut template! {}).ok()?;
        token
            .module
            .C_FindObjectsInit(session.handle, &mut template! {})
            .is(CKR_OPERATION_ACTIVE)?;
        token.module.C_FindObjectsFinal(session.handle).ok()
    });
    cases.add(
        "C_FindObjectsInit",
        "a null pointer for a template that isn't empty",
        &[],
        |token| {
            let session = token.session()?;
            token
                .module
                .C_FindObjectsInit(session.handle, &mut Template::null(1))
                .is(CKR_ARGUMENTS_BAD)
        },
    );
    cases.add("C_FindObjectsInit", "a null pointer for an empty template", &[], |token| {
        let session = token.session()?;
        token.module.C_FindObjectsInit(session.handle, &mut Template::null(0)).ok()?;
        token.module.C_FindObjectsFinal(session.handle).ok()
    });
}

fn without_search(cases: &mut Cases) {
    cases.add("C_FindObjects", "without C_FindObjectsInit", &[], |token| {
        let session = token.session()?;
        let answer =
            token.module.C_FindObjects(session.handle, &mut Several::room(0, 4), &mut Place::new());
        answer.is(CKR_OPERATION_NOT_INITIALIZED)
    });
    cases.add("C_FindObjects", "no place for the handles or for their count", &[], |token| {
        let session = token.session()?;
        let module = token.module;
        module.C_FindObjectsInit(session.handle, &mut template! {}).ok()?;
        module
            .C_FindObjects(session.handle, &mut Several::nowhere(4), &mut Place::new())
            .is(CKR_ARGUMENTS_BAD)?;
        let _ = module.C_FindObjectsFinal(session.handle);
        module.C_FindObjectsInit(session.handle, &mut template! {}).ok()?;
        module
            .C_FindObjects(session.handle, &mut Several::room(0, 4), &mut Place::null())
            .is(CKR_ARGUMENTS_BAD)
    });
    cases.add("C_FindObjectsFinal", "without C_FindObjectsInit, and twice", &[], |token| {
        let session = token.session()?;
        let module = token.module;
        module.C_FindObjectsFinal(session.handle).is(CKR_OPERATION_NOT_INITIALIZED)?;
        module.C_FindObjectsInit(session.handle, &mut template! {}).ok()?;
        module.C_FindObjectsFinal(session.handle).ok()?;
        module.C_FindObjectsFinal(session.handle).is(CKR_OPERATION_NOT_INITIALIZED)
    });
    cases.add(
        "C_FindObjectsInit",
        "a search goes beside an operation",
        &[Need::Mechanism(CKM_SHA256, CKF_DIGEST)],
        |token| {
            let session = token.session()?;
            let mut digest = crate::value::Mechanism::plain(CKM_SHA256);
            token.module.C_DigestInit(session.handle, &mut digest).ok()?;
            let answer =
                token.module.C_FindObjectsInit(session.handle, &mut template! { CKA_LABEL: LABEL });
            if answer.rv == CKR_OPERATION_ACTIVE {
                return skip("the token does one thing at a time in a session");
            }
            answer.ok()?;
            token.module.C_FindObjectsFinal(session.handle).ok()?;
            let mut out = crate::argument::Out::room(32);
            token.module.C_Digest(session.handle, b"abc".into(), &mut out).ok()?;
            crate::answer::same("the digest", out.bytes(), &crate::vectors::SHA256_ABC)
        },
    );
}

/// The search must find these and nothing else.
fn finds(
    token: &Token<'_>,
    session: CK_SESSION_HANDLE,
    wanted: Template,
    objects: &[CK_OBJECT_HANDLE],
) -> Verdict {
    let mut found = token.find(session, wanted)?;
    let mut objects = objects.to_vec();
    found.sort_unstable();
    objects.sort_unstable();
    ensure(found == objects, || format!("{found:?} were found, not {objects:?}"))
}

fn matching(cases: &mut Cases) {
    cases.add("C_FindObjects", "by one attribute, by several, by none that match", &[], |token| {
        let session = token.session()?;
        let one = token.create(session.handle, named("one"))?;
        let other = token.create(session.handle, named("other"))?;
        let find = |wanted, objects: &[_]| finds(token, session.handle, wanted, objects);
        find(template! { CKA_APPLICATION: "one" }, &[one])?;
        find(template! { CKA_LABEL: LABEL, CKA_TOKEN: false, CKA_CLASS: CKO_DATA }, &[one, other])?;
        find(template! { CKA_LABEL: LABEL, CKA_APPLICATION: "none" }, &[])?;
        find(template! { CKA_APPLICATION: "one", CKA_CLASS: CKO_CERTIFICATE }, &[])
    });
    cases.add(
        "C_FindObjects",
        "no templates are patterns: a part of a label doesn't match",
        &[],
        |token| {
            let session = token.session()?;
            let object = token.create(session.handle, named("whole"))?;
            finds(token, session.handle, template! { CKA_APPLICATION: "who" }, &[])?;
            finds(token, session.handle, template! { CKA_APPLICATION: "wholesale" }, &[])?;
            finds(token, session.handle, template! { CKA_APPLICATION: "whole" }, &[object])
        },
    );
    cases.add("C_FindObjects", "one at a time, then none for ever", &[], |token| {
        let session = token.session()?;
        for _ in 0..3 {
            token.create(session.handle, named("several"))?;
        }
        let module = token.module;
        module
            .C_FindObjectsInit(session.handle, &mut template! { CKA_APPLICATION: "several" })
            .ok()?;
        let mut seen = Vec::new();
        for round in 0..5 {
            let (mut batch, mut count) = (Several::room(0, 1), Place::new());
            module.C_FindObjects(session.handle, &mut batch, &mut count).ok()?;
            ensure(count.value == u64::from(round < 3), || {
                format!("call {round} found {}", count.value)
            })?;
            seen.extend_from_slice(batch.first(count.value));
        }
        module.C_FindObjectsFinal(session.handle).ok()?;
        seen.sort_unstable();
        seen.dedup();
        ensure(seen.len() == 3, || "a handle was told twice".into())
    });
}

fn odd_ones(cases: &mut Cases) {
    cases.add("C_FindObjects", "what is made after C_FindObjectsInit does no harm", &[], |token| {
        let session = token.session()?;
        token
            .module
            .C_FindObjectsInit(session.handle, &mut template! { CKA_APPLICATION: "later" })
            .ok()?;
        token.create(session.handle, named("later"))?;
        let mut count = Place::new();
        token.module.C_FindObjects(session.handle, &mut Several::room(0, 4), &mut count).ok()?;
        token.module.C_FindObjectsFinal(session.handle).ok()
    });
    cases.add("C_FindObjects", "an attribute that there isn't matches nothing", &[], |token| {
        let session = token.session()?;
        token.create(session.handle, named("vendor"))?;
        let mut wanted =
            template! { CKA_APPLICATION: "vendor" }.with(CKA_VENDOR_DEFINED | 0x3fff_fff0, &[1]);
        let answer = token.module.C_FindObjectsInit(session.handle, &mut wanted);
        answer.is_one_of(&[CKR_OK, CKR_ATTRIBUTE_TYPE_INVALID])?;
        if answer.rv == CKR_OK {
            let mut count = Place::new();
            token
                .module
                .C_FindObjects(session.handle, &mut Several::room(0, 4), &mut count)
                .ok()?;
            ensure(count.value == 0, || format!("{} objects match", count.value))?;
        }
        Ok(())
    });
    cases.add("C_FindObjects", "a destroyed object is not found", &[], |token| {
        let session = token.session()?;
        let object = token.create(session.handle, named("gone"))?;
        token.module.C_DestroyObject(session.handle, object).ok()?;
        finds(token, session.handle, template! { CKA_APPLICATION: "gone" }, &[])
    });
}
