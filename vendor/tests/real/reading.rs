//! Attributes, tokens and mechanisms of real modules.

use crate::key::{P256, pair};
use crate::token::{Kind, TestToken, session};
use tandem_engine::member::Member;
use tandem_values::template::Reading;
use tandem_values::{Template, Value, ck::*};

#[test]
fn sensitive_unknown_and_plain_attributes_in_one_question() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "reading");
        let member = token.member();
        let session = session(&member);
        let made = pair(&member, session, false);
        let kinds = [CKA_CLASS, CKA_VALUE, CKA_MODULUS, CKA_KEY_TYPE, CKA_EC_PARAMS, CKA_SIGN];
        let readings = member.read(session, made.private, &kinds).unwrap();
        let expected = [
            Reading::Value(CKO_PRIVATE_KEY.into()),
            Reading::Sensitive,
            Reading::Invalid,
            Reading::Value(CKK_EC.into()),
            Reading::Value(P256.as_slice().into()),
            Reading::Value(true.into()),
        ];
        assert!(readings == expected, "{kind:?}: {readings:?}");
    }
}

#[test]
fn lists_and_templates_in_attributes() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "nested");
        let member = token.member();
        let session = session(&member);
        let unwrapped = Template::new().with(CKA_SENSITIVE, true).with(CKA_EXTRACTABLE, false);
        let mechanisms = vec![CKM_AES_KEY_WRAP];
        let key = Template::new()
            .with(CKA_CLASS, CKO_SECRET_KEY)
            .with(CKA_KEY_TYPE, CKK_AES)
            .with(CKA_VALUE, vec![1_u8; 32])
            .with(CKA_TOKEN, false)
            .with(CKA_UNWRAP, true)
            .with(CKA_ALLOWED_MECHANISMS, mechanisms.clone())
            .with(CKA_UNWRAP_TEMPLATE, unwrapped.clone());
        let key = member.create(session, &key).unwrap();
        let kinds = [CKA_ALLOWED_MECHANISMS, CKA_UNWRAP_TEMPLATE];
        let readings = member.read(session, key, &kinds).unwrap();
        assert_eq!(readings[0], Reading::Value(mechanisms.into()), "{kind:?}");
        let Reading::Value(Value::Template(read)) = &readings[1] else {
            panic!("{kind:?}: {readings:?}");
        };
        assert!(read.matches(&unwrapped) && read.len() == 2, "{kind:?}: {read:?}");
    }
}

#[test]
fn tokens_libraries_and_mechanisms_say_what_they_are() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "itself");
        let member = token.member();
        let info = member.token().unwrap();
        assert_eq!(info.label, "itself");
        assert!(!info.serial.is_empty() && info.flags & CKF_TOKEN_INITIALIZED != 0);
        let library = member.library().unwrap();
        let (maker, interface) = match kind {
            Kind::SoftHsm => ("SoftHSM", (2, 40)),
            Kind::Kryoptic => ("Kryoptic", (3, 2)),
        };
        assert!(library.manufacturer.contains(maker), "{library:?}");
        assert_eq!(library.interface, interface);
        let mechanisms = member.mechanisms().unwrap();
        let (_, ec) =
            mechanisms.iter().find(|(mechanism, _)| *mechanism == CKM_EC_KEY_PAIR_GEN).unwrap();
        assert!(ec.flags & CKF_GENERATE_KEY_PAIR != 0 && ec.key_size_max >= 256);
        assert!(mechanisms.iter().any(|(known, _)| *known == member.quirks().kwp));
    }
}

#[test]
fn random_bytes_and_states() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "random");
        let member = token.member();
        let public = member.open(false).unwrap();
        assert_eq!(member.state(public).unwrap(), CKS_RO_PUBLIC_SESSION);
        let (one, two) = (member.random(public, 32).unwrap(), member.random(public, 32).unwrap());
        assert!(one.len() == 32 && one != two && one != [0; 32]);
        let user = session(&member);
        assert_eq!(member.state(user).unwrap(), CKS_RW_USER_FUNCTIONS);
        assert_eq!(member.state(public).unwrap(), CKS_RO_USER_FUNCTIONS);
        member.logout(user).unwrap();
        assert_eq!(member.state(user).unwrap(), CKS_RW_PUBLIC_SESSION);
        member.close(user).unwrap();
        assert_eq!(member.state(user).unwrap_err().rv.0, CKR_SESSION_HANDLE_INVALID);
        assert_eq!(member.close(user).unwrap_err().rv.0, CKR_SESSION_HANDLE_INVALID);
    }
}
