//! Section 4.14: profile objects. A token that says that it is something must be it (PKCS #11 Profiles 3.2 section 5).

use crate::answer::{Verdict, ensure, fail, skip};
use crate::argument::{Place, Several};
use crate::case::{Cases, Need, State};
use crate::function;
use crate::key::{Sort, Usage};
use crate::template;
use crate::token::{LABEL, Token};
use crate::value::Mechanism;
use tandem_values::ck::*;

/// Where profile objects stand in the specification.
const SECTION: &str = "4.14";

pub(super) fn add(cases: &mut Cases) {
    cases.begin(State::Alone);
    objects(cases);
    baseline(cases);
    extended(cases);
    cases.begin(State::LoggedIn);
    read_only(cases);
    authentication(cases);
}

/// A profile object: its handle, and the profile.
type Profile = (CK_OBJECT_HANDLE, CK_PROFILE_ID);

/// The profile objects of a token; a case without any is skipped.
fn profiles(token: &Token<'_>, session: CK_SESSION_HANDLE) -> Verdict<Vec<Profile>> {
    let found = token.find(session, template! { CKA_CLASS: CKO_PROFILE })?;
    if found.is_empty() {
        return skip("the token has no profile objects");
    }
    let mut profiles = Vec::new();
    for object in found {
        match token.read(session, object, CKA_PROFILE_ID) {
            Ok(bytes) => match bytes.as_slice().try_into() {
                Ok(bytes) => profiles.push((object, CK_PROFILE_ID::from_ne_bytes(bytes))),
                Err(_) => return fail("CKA_PROFILE_ID is no CK_PROFILE_ID"),
            },
            Err(answer) => return answer.ok().and_then(|()| fail("CKA_PROFILE_ID isn't shown")),
        }
    }
    Ok(profiles)
}

/// The profile object of a profile; a case about one that the token doesn't say it has is skipped.
fn claimed(
    token: &Token<'_>,
    session: CK_SESSION_HANDLE,
    profile: CK_PROFILE_ID,
) -> Verdict<CK_OBJECT_HANDLE> {
    match profiles(token, session)?.into_iter().find(|(_, id)| *id == profile) {
        Some((object, _)) => Ok(object),
        None => skip("the token doesn't say that it has this profile"),
    }
}

/// None of these functions is a stub.
fn has_functions(token: &Token<'_>, names: &[&str]) -> Verdict {
    for name in names {
        let answer =
            function::named(name).map(|function| (function.plain)(token.module, CK_INVALID_HANDLE));
        ensure(answer.is_some_and(|answer| answer.rv != CKR_FUNCTION_NOT_SUPPORTED), || {
            format!("the profile has {name}, and the module doesn't")
        })?;
    }
    Ok(())
}

fn objects(cases: &mut Cases) {
    cases.add_of(
        SECTION,
        "profile objects: seen by nobody who is logged in, each once",
        &[],
        |token| {
            let session = token.session_with(0)?;
            let mut ids: Vec<_> =
                profiles(token, session.handle)?.into_iter().map(|(_, id)| id).collect();
            ensure(!ids.contains(&CKP_INVALID_ID), || "one is CKP_INVALID_ID".into())?;
            ids.sort_unstable();
            let count = ids.len();
            ids.dedup();
            ensure(ids.len() == count, || "a profile is there twice".into())
        },
    );
    cases.add_of(
        SECTION,
        "profile objects: found by the profile, and of their class",
        &[],
        |token| {
            let session = token.session_with(0)?;
            for (object, id) in profiles(token, session.handle)? {
                let wanted = template! { CKA_CLASS: CKO_PROFILE, CKA_PROFILE_ID: id };
                let found = token.find(session.handle, wanted)?;
                ensure(found == [object], || format!("{found:?} were found, not {object}"))?;
                token.shows(session.handle, object, CKA_CLASS, &CKO_PROFILE.to_ne_bytes())?;
            }
            Ok(())
        },
    );
    cases.add_of(SECTION, "profile objects: each profile builds on the baseline", &[], |token| {
        let session = token.session_with(0)?;
        let ids = profiles(token, session.handle)?;
        ensure(ids.iter().any(|(_, id)| *id == CKP_BASELINE_PROVIDER), || {
            "CKP_BASELINE_PROVIDER is not among them".into()
        })
    });
    cases.add_of(SECTION, "profile objects: the same in another session", &[], |token| {
        let (one, other) = (token.session_with(0)?, token.session()?);
        let ids = profiles(token, one.handle)?;
        ensure(profiles(token, other.handle)? == ids, || "they are others".into())
    });
}

fn baseline(cases: &mut Cases) {
    cases.add_of(SECTION, "CKP_BASELINE_PROVIDER: its functions are there", &[], |token| {
        let session = token.session_with(0)?;
        claimed(token, session.handle, CKP_BASELINE_PROVIDER)?;
        ensure(token.module.version() >= (3, 0), || {
            "the profile has C_GetInterface, and the module doesn't".into()
        })?;
        has_functions(
            token,
            &[
                "C_GetInfo",
                "C_GetSlotList",
                "C_GetSlotInfo",
                "C_GetTokenInfo",
                "C_OpenSession",
                "C_CloseSession",
                "C_GetSessionInfo",
                "C_FindObjectsInit",
                "C_FindObjects",
                "C_FindObjectsFinal",
                "C_GetAttributeValue",
            ],
        )
    });
    cases.add_of(SECTION, "CKP_BASELINE_PROVIDER: its attributes are there", &[], |token| {
        let session = token.session()?;
        let profile = claimed(token, session.handle, CKP_BASELINE_PROVIDER)?;
        let unique = token.read(session.handle, profile, CKA_UNIQUE_ID);
        ensure(unique.is_ok_and(|id| !id.is_empty()), || "CKA_UNIQUE_ID isn't shown".into())?;
        token.login(session.handle, CKU_USER).ok()?;
        let data = token.create(
            session.handle,
            template! { CKA_CLASS: CKO_DATA, CKA_TOKEN: false, CKA_PRIVATE: false, CKA_LABEL: LABEL, CKA_VALUE: b"value" },
        )?;
        let no = [CK_FALSE];
        for (kind, value) in [
            (CKA_CLASS, &CKO_DATA.to_ne_bytes()[..]),
            (CKA_TOKEN, &no),
            (CKA_PRIVATE, &no),
            (CKA_LABEL, LABEL.as_bytes()),
            (CKA_VALUE, b"value"),
        ] {
            token.shows(session.handle, data, kind, value)?;
        }
        let modifiable = token.read(session.handle, data, CKA_MODIFIABLE);
        ensure(modifiable.is_ok(), || "CKA_MODIFIABLE isn't shown".into())
    });
}

fn extended(cases: &mut Cases) {
    cases.add_of(SECTION, "CKP_EXTENDED_PROVIDER: mechanisms are told of", &[], |token| {
        let session = token.session_with(0)?;
        claimed(token, session.handle, CKP_EXTENDED_PROVIDER)?;
        let mut kinds = Several::room(0, 4096);
        token.module.C_GetMechanismList(token.slot(), &mut kinds).ok()?;
        for kind in kinds.first(kinds.count) {
            token.module.C_GetMechanismInfo(token.slot(), *kind, &mut Place::new()).ok()?;
        }
        Ok(())
    });
    cases.add_of(SECTION, "CKP_EXTENDED_PROVIDER: in and out by C_Login", &[], |token| {
        let session = token.session()?;
        claimed(token, session.handle, CKP_EXTENDED_PROVIDER)?;
        token.login(session.handle, CKU_USER).ok()?;
        token.module.C_Logout(session.handle).ok()
    });
    cases.add_of(SECTION, "CKP_EXTENDED_PROVIDER: in and out by C_LoginUser", &[], |token| {
        let session = token.session()?;
        claimed(token, session.handle, CKP_EXTENDED_PROVIDER)?;
        let pin = token.reach.pin.expose();
        token.module.C_LoginUser(session.handle, CKU_USER, pin.into(), b"".into()).ok()?;
        token.module.C_Logout(session.handle).ok()
    });
}

fn read_only(cases: &mut Cases) {
    cases.add_of(
        SECTION,
        "profile objects: what they say is nobody's to change",
        &[Need::Writable],
        |token| {
            let session = token.session()?;
            let before = profiles(token, session.handle)?;
            for (object, id) in &before {
                let other = id.wrapping_add(1);
                let module = token.module;
                module
                    .C_SetAttributeValue(
                        session.handle,
                        *object,
                        &mut template! { CKA_PROFILE_ID: other },
                    )
                    .refused()?;
                module
                    .C_CopyObject(
                        session.handle,
                        *object,
                        &mut template! { CKA_TOKEN: false, CKA_PROFILE_ID: other },
                        &mut Place::new(),
                    )
                    .refused()?;
                module.C_DestroyObject(session.handle, *object).refused()?;
            }
            ensure(profiles(token, session.handle)? == before, || "they are others now".into())
        },
    );
    cases.add_of(SECTION, "profile objects: they are no keys", &[], |token| {
        let session = token.session()?;
        for (object, _) in profiles(token, session.handle)? {
            let mut mechanism = Mechanism::plain(CKM_RSA_PKCS);
            token.module.C_SignInit(session.handle, &mut mechanism, object).refused()?;
            let mut mechanism = Mechanism::plain(CKM_AES_ECB);
            token.module.C_EncryptInit(session.handle, &mut mechanism, object).refused()?;
        }
        Ok(())
    });
}

/// How private keys sign, each by a mechanism without a parameter.
const SIGNERS: [(Sort, CK_MECHANISM_TYPE); 5] = [
    (Sort::Ec, CKM_ECDSA),
    (Sort::Rsa, CKM_RSA_PKCS),
    (Sort::Edwards, CKM_EDDSA),
    (Sort::MlDsa, CKM_ML_DSA),
    (Sort::SlhDsa, CKM_SLH_DSA),
];

fn authentication(cases: &mut Cases) {
    cases.add_of(SECTION, "CKP_AUTHENTICATION_TOKEN: a private key signs", &[], |token| {
        let session = token.session()?;
        claimed(token, session.handle, CKP_AUTHENTICATION_TOKEN)?;
        let offered = |kind| token.mechanism(kind).is_some_and(|info| info.flags & CKF_SIGN != 0);
        let Some((sort, kind)) = SIGNERS.into_iter().find(|(_, kind)| offered(*kind)) else {
            return skip("it signs by mechanisms that are not known here");
        };
        let key = token.key(sort, Usage::All)?;
        let (mut mechanism, data) = (Mechanism::plain(kind), [7; 32]);
        let signature = token.sign(session.handle, &mechanism, key.private, &data)?;
        ensure(!signature.is_empty(), || "the signature is empty".into())?;
        token.module.C_VerifyInit(session.handle, &mut mechanism, key.public).ok()?;
        token.module.C_Verify(session.handle, (&data[..]).into(), signature.as_slice().into()).ok()
    });
}
