//! Sessions and logins: who may do what, and what the token says of it (PKCS #11 3.2 sections 5.6 and 5.7).

use cryptoki::error::RvError::{
    SessionExists, SessionHandleInvalid, SessionParallelNotSupported, SessionReadOnly,
    SessionReadOnlyExists, SessionReadWriteSoExists, UserAlreadyLoggedIn,
    UserAnotherAlreadyLoggedIn, UserNotLoggedIn, UserTypeInvalid,
};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki_sys::*;
use std::ptr::null_mut;
use tandem_tests::keys::Kind;
use tandem_tests::{
    Raw, SO_PIN, USER_PIN, Wanted, alone, call, initialised, name_of, pin, refused,
};

fn state(session: &Session) -> String {
    let state = session.get_session_info().expect("C_GetSessionInfo").session_state();
    match state {
        SessionState::RoPublic => "R/O public",
        SessionState::RwPublic => "R/W public",
        SessionState::RoUser => "R/O user",
        SessionState::RwUser => "R/W user",
        SessionState::RwSecurityOfficer => "R/W SO",
    }
    .to_owned()
}

fn user(session: &Session) -> cryptoki::error::Result<()> {
    session.login(UserType::User, Some(&pin(USER_PIN)))
}

fn officer(session: &Session) -> cryptoki::error::Result<()> {
    session.login(UserType::So, Some(&pin(SO_PIN)))
}

#[test]
fn the_state_of_every_session_follows_the_login() {
    alone(&Wanted::mixed(), |_| {
        let application = initialised();
        let (reads, writes) = (application.open(false), application.open(true));
        let states = || [state(&reads), state(&writes)];
        assert_eq!(states(), ["R/O public", "R/W public"]);
        user(&reads).expect("a login by a session that only reads");
        assert_eq!(states(), ["R/O user", "R/W user"]);
        assert_eq!(state(&application.open(false)), "R/O user", "a new session is logged in too");
        refused("C_Login again", user(&writes), &[UserAlreadyLoggedIn]);
        refused("C_Login of the other", officer(&writes), &[UserAnotherAlreadyLoggedIn]);
        writes.logout().expect("C_Logout");
        assert_eq!(states(), ["R/O public", "R/W public"]);
        refused("C_Logout again", reads.logout(), &[UserNotLoggedIn]);
        // The last session's end is the login's end.
        user(&writes).expect("a login");
        drop((reads, writes));
        assert_eq!(state(&application.open(true)), "R/W public");
    });
}

#[test]
fn a_security_officer_has_sessions_that_write_only() {
    alone(&Wanted::mixed(), |_| {
        let application = initialised();
        let (reads, writes) = (application.open(false), application.open(true));
        refused("C_Login", officer(&writes), &[SessionReadOnlyExists]);
        drop(reads);
        officer(&writes).expect("a login of the security officer");
        assert_eq!(state(&writes), "R/W SO");
        refused(
            "C_OpenSession",
            application.open_ro_session(application.slot),
            &[SessionReadWriteSoExists],
        );
        refused("C_Login", user(&writes), &[UserAnotherAlreadyLoggedIn]);
        // An officer has no keys.
        assert!(Kind::P256.make(&writes, "an officer's").is_err());
        assert!(writes.find_objects(&[Attribute::Private(true)]).expect("a search").is_empty());
        writes.logout().expect("C_Logout");
        user(&writes).expect("a login of the user");
    });
}

#[test]
fn a_session_that_only_reads_changes_nothing_on_the_token() {
    alone(&Wanted::mixed(), |_| {
        let application = initialised();
        let writes = application.log_in();
        let made = Kind::P256.make(&writes, "key").expect("a key");
        let reads = application.open(false);
        let only = [SessionReadOnly];
        refused("C_GenerateKeyPair", Kind::P256.make(&reads, "another"), &only);
        refused("C_GenerateKey", Kind::Aes(32).make(&reads, "another"), &only);
        let data = |token| {
            [
                Attribute::Class(ObjectClass::DATA),
                Attribute::Token(token),
                Attribute::Label(b"data".to_vec()),
            ]
        };
        refused("C_CreateObject", reads.create_object(&data(true)), &only);
        refused("C_CopyObject", reads.copy_object(made.key, &[Attribute::Token(true)]), &only);
        refused("C_DestroyObject", reads.destroy_object(made.key), &only);
        let label = [Attribute::Label(b"mine".to_vec())];
        refused("C_SetAttributeValue", reads.update_attributes(made.key, &label), &only);
        refused("C_SetPIN", reads.set_pin(&pin(USER_PIN), &pin("7777777")), &only);
        // What is its own it may make, and it may use what is there.
        let passing = reads.create_object(&data(false)).expect("a session object");
        reads.destroy_object(passing).expect("C_DestroyObject");
        let template = [Attribute::Token(false), Attribute::ValueLen(32.into())];
        reads.generate_key(&Mechanism::AesKeyGen, &template).expect("a session key");
        Kind::P256.work(&reads, made).expect("a signature");
    });
}

#[test]
fn without_a_login_there_is_nothing_private() {
    alone(&Wanted::mixed(), |_| {
        let application = initialised();
        let session = application.open(true);
        let no = [UserNotLoggedIn];
        refused("C_GenerateKeyPair", Kind::P256.make(&session, "key"), &no);
        let private = [
            Attribute::Class(ObjectClass::DATA),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Value(b"x".to_vec()),
        ];
        refused("C_CreateObject", session.create_object(&private), &no);
        // A public session object needs nobody.
        let public = [
            Attribute::Class(ObjectClass::DATA),
            Attribute::Token(false),
            Attribute::Private(false),
            Attribute::Value(b"x".to_vec()),
        ];
        session.create_object(&public).expect("a public session object");
        session.digest(&Mechanism::Sha256, b"x").expect("a digest");
        assert_eq!(session.generate_random_vec(8).expect("random bytes").len(), 8);
    });
}

#[test]
fn sessions_end_one_by_one_or_all_together() {
    alone(&Wanted::mixed(), |_| {
        let application = initialised();
        let raw = Raw::tandem();
        let slot = application.slot.id();
        let count = || {
            let token = application.get_token_info(application.slot).expect("a token");
            (format!("{:?}", token.session_count()), format!("{:?}", token.rw_session_count()))
        };
        let open = |flags| {
            let mut handle = 0;
            let rv = call!(raw, C_OpenSession(slot, flags, null_mut(), None, &raw mut handle));
            (name_of(rv), handle)
        };
        let (rv, _) = open(CKF_RW_SESSION);
        assert_eq!(rv, format!("{SessionParallelNotSupported:?}"));
        let before = count();
        let handles: Vec<_> = (0..20)
            .map(|n| open(CKF_SERIAL_SESSION | if n % 2 == 0 { CKF_RW_SESSION } else { 0 }))
            .inspect(|(rv, _)| assert_eq!(rv, "CKR_OK"))
            .map(|(_, handle)| handle)
            .collect();
        let mut distinct = handles.clone();
        distinct.dedup();
        assert_eq!(distinct.len(), 20);
        assert_ne!(count(), before);
        let closed = call!(raw, C_CloseSession(handles[0]));
        assert_eq!(name_of(closed), "CKR_OK");
        assert_eq!(
            name_of(call!(raw, C_CloseSession(handles[0]))),
            format!("{SessionHandleInvalid:?}")
        );
        // C_InitToken waits for nobody.
        let mut label = [b' '; 32];
        let mut so_pin = SO_PIN.as_bytes().to_vec();
        let rv = call!(raw, C_InitToken(slot, so_pin.as_mut_ptr(), 8, label.as_mut_ptr()));
        assert_eq!(name_of(rv), format!("{SessionExists:?}"));
        assert_eq!(name_of(call!(raw, C_CloseAllSessions(slot))), "CKR_OK");
        assert_eq!(count(), before);
        for handle in &handles {
            let mut info = CK_SESSION_INFO::default();
            let rv = call!(raw, C_GetSessionInfo(*handle, &raw mut info));
            assert_eq!(name_of(rv), format!("{SessionHandleInvalid:?}"));
        }
        let (_, fresh) = open(CKF_SERIAL_SESSION);
        assert!(!handles.contains(&fresh), "a handle is never given twice");
    });
}

#[test]
fn closing_every_session_ends_the_login() {
    alone(&Wanted::mixed(), |_| {
        let application = initialised();
        let session = application.log_in();
        let raw = Raw::tandem();
        let rv = call!(raw, C_CloseAllSessions(application.slot.id()));
        assert_eq!(name_of(rv), "CKR_OK");
        drop(session);
        let again = application.open(true);
        let state = again.get_session_info().expect("a session").session_state();
        assert_eq!(state, SessionState::RwPublic);
        again.login(UserType::User, Some(&pin(USER_PIN))).expect("nobody is logged in");
    });
}

#[test]
fn nobody_else_logs_in() {
    alone(&Wanted::mixed(), |_| {
        let application = initialised();
        let session = application.open(true);
        let raw = Raw::tandem();
        for user in [3, 7, CK_ULONG::MAX] {
            let mut user_pin = USER_PIN.as_bytes().to_vec();
            let rv = call!(raw, C_Login(session.handle(), user, user_pin.as_mut_ptr(), 6));
            assert_eq!(name_of(rv), format!("{UserTypeInvalid:?}"), "{user}");
        }
        let context = session.login(UserType::ContextSpecific, Some(&pin(USER_PIN)));
        let told = [UserNotLoggedIn, cryptoki::error::RvError::OperationNotInitialized];
        refused("without an operation", context, &told);
        // The name of C_LoginUser: a token has one user, who has none.
        let (mut user_pin, mut name) = (USER_PIN.as_bytes().to_vec(), *b"somebody");
        let mut login = |len| {
            let (user_pin, name) = (user_pin.as_mut_ptr(), name.as_mut_ptr());
            name_of(call!(raw, C_LoginUser(session.handle(), CKU_USER, user_pin, 6, name, len)))
        };
        assert_eq!(login(8), "FunctionNotSupported");
        assert_eq!(login(0), "CKR_OK");
        assert_eq!(state(&session), "R/W user");
    });
}

#[test]
fn a_key_that_asks_for_the_pin_each_time_gets_it_each_time() {
    alone(&Wanted::mixed(), |demo| {
        let application = initialised();
        let session = application.log_in();
        let careful = [
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::AlwaysAuthenticate(true),
        ];
        let made = Kind::P256.make_with(&session, "careful", &careful).expect("a key");
        let public = Kind::P256.public(&session, made).expect("a public key");
        let digest = tandem_tests::keys::DIGEST;
        let whole = |user_pin: Option<&str>| {
            let mut mechanism =
                CK_MECHANISM { mechanism: CKM_ECDSA, pParameter: null_mut(), ulParameterLen: 0 };
            let raw = Raw::tandem();
            let s = session.handle();
            let rv = call!(raw, C_SignInit(s, &raw mut mechanism, made.key.handle()));
            assert_eq!(name_of(rv), "CKR_OK");
            if let Some(user_pin) = user_pin {
                session.login(UserType::ContextSpecific, Some(&pin(user_pin)))?;
            }
            let (mut data, mut signature, mut len) = (digest, vec![0; 64], 64);
            let rv =
                call!(raw, C_Sign(s, data.as_mut_ptr(), 32, signature.as_mut_ptr(), &raw mut len));
            Ok::<_, cryptoki::error::Error>((name_of(rv), signature))
        };
        let (rv, signature) = whole(Some(USER_PIN)).expect("the PIN");
        assert_eq!(rv, "CKR_OK");
        assert!(public.verifies(&digest, &signature));
        let (rv, _) = whole(None).expect("no PIN");
        assert_eq!(rv, "UserNotLoggedIn");
        refused("a wrong PIN", whole(Some("654321")), &[cryptoki::error::RvError::PinIncorrect]);
        let _ = session.sign_final();
        // And on the member that is left.
        demo.take_away("a");
        let (rv, signature) = whole(Some(USER_PIN)).expect("the PIN");
        assert_eq!(rv, "CKR_OK");
        assert!(public.verifies(&digest, &signature));
    });
}
