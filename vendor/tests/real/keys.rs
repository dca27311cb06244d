//! Keys made on one member and carried to another.

use crate::key::{kek, pair, replica, sign, verify};
use crate::token::{Kind, TestToken, session};
use tandem_engine::fault::{Call, Class};
use tandem_engine::member::Member;
use tandem_values::template::Reading;
use tandem_values::{Mechanism, Template, Value, ck::*};

/// Generated in a session here, wrapped, unwrapped as a token object there, and the same key.
#[test]
fn a_key_travels_from_every_vendor_to_every_vendor() {
    for from in Kind::all() {
        for to in Kind::all() {
            let (there, here) = (TestToken::new(to, "there"), TestToken::new(from, "here"));
            let (here, there) = (here.member(), there.member());
            let (at_home, abroad) = (session(&here), session(&there));
            let made = pair(&here, at_home, false);
            let wrapped = here
                .wrap(
                    at_home,
                    &Mechanism::plain(here.quirks().kwp),
                    kek(&here, at_home),
                    made.private,
                )
                .unwrap();
            let replica = there
                .unwrap(
                    abroad,
                    &Mechanism::plain(there.quirks().kwp),
                    kek(&there, abroad),
                    &wrapped,
                    &replica(),
                )
                .unwrap();

            let digest = [7; 32];
            let signature = sign(&there, abroad, replica, &digest).unwrap();
            verify(&here, at_home, made.public, &digest, &signature).unwrap();
            let forged = verify(&here, at_home, made.public, &[8; 32], &signature).unwrap_err();
            assert_eq!(forged.rv.0, CKR_SIGNATURE_INVALID, "{from:?} to {to:?}");

            let flags = [CKA_EXTRACTABLE, CKA_SENSITIVE, CKA_TOKEN];
            let readings = there.read(abroad, replica, &flags).unwrap();
            let flag = |flag: bool| Reading::Value(Value::Flag(flag));
            assert_eq!(readings, [flag(false), flag(true), flag(true)], "{from:?} to {to:?}");

            // The replica is a token object, the original went with its session.
            let wanted =
                Template::new().with(CKA_CLASS, CKO_PRIVATE_KEY).with(CKA_ID, vec![1_u8, 2]);
            assert_eq!(there.find(abroad, &wanted).unwrap(), [replica]);
            there.restart().unwrap();
            here.restart().unwrap();
            assert_eq!(there.find(session(&there), &wanted).unwrap().len(), 1);
            assert_eq!(here.find(session(&here), &wanted).unwrap(), []);
        }
    }
}

#[test]
fn secret_keys_come_back_with_their_length() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "secrets");
        let member = token.member();
        let session = session(&member);
        let kwp = Mechanism::plain(member.quirks().kwp);
        let kek = kek(&member, session);
        for len in [16_usize, 20, 32] {
            if member.quirks().wraps_multiples_of_eight && len % 8 != 0 {
                continue;
            }
            let template = Template::new()
                .with(CKA_CLASS, CKO_SECRET_KEY)
                .with(CKA_KEY_TYPE, CKK_GENERIC_SECRET)
                .with(CKA_TOKEN, false)
                .with(CKA_SENSITIVE, false)
                .with(CKA_EXTRACTABLE, true);
            let made = template.clone().with(CKA_VALUE, vec![9_u8; len]);
            let made = member.create(session, &made).unwrap();
            let wrapped = member.wrap(session, &kwp, kek, made).unwrap();
            let back = member.unwrap(session, &kwp, kek, &wrapped, &template).unwrap();
            let readings = member.read(session, back, &[CKA_VALUE, CKA_VALUE_LEN]).unwrap();
            // SoftHSM forgets the length of a key that it unwraps.
            let known = if kind == Kind::SoftHsm { 0 } else { len as u64 };
            let expected = [Value::from(vec![9_u8; len]), Value::from(known)];
            assert!(readings == expected.map(Reading::Value), "{kind:?}, {len}: {readings:?}");
        }
    }
}

#[test]
fn a_locked_key_is_not_wrapped() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "locked");
        let member = token.member();
        let session = session(&member);
        let made = pair(&member, session, true);
        let kek = kek(&member, session);
        let kwp = Mechanism::plain(member.quirks().kwp);
        let fault = member.wrap(session, &kwp, kek, made.private).unwrap_err();
        assert_eq!(fault.call, Call::Wrap);
        assert!(
            matches!(fault.rv.0, CKR_KEY_UNEXTRACTABLE | CKR_KEY_FUNCTION_NOT_PERMITTED),
            "{fault:?}"
        );
        member.destroy(session, made.private).unwrap();
        let gone = member.destroy(session, made.private).unwrap_err();
        assert_eq!((gone.rv.0, gone.class), (CKR_OBJECT_HANDLE_INVALID, Class::Lost));
    }
}

#[test]
fn objects_are_copied_changed_and_measured() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "objects");
        let member = token.member();
        let session = session(&member);
        let data = Template::new()
            .with(CKA_CLASS, CKO_DATA)
            .with(CKA_TOKEN, false)
            .with(CKA_LABEL, "one")
            .with(CKA_VALUE, vec![5_u8; 5000]);
        let one = member.create(session, &data).unwrap();
        let two = member.copy(session, one, &Template::new().with(CKA_LABEL, "two")).unwrap();
        member.write(session, one, &Template::new().with(CKA_LABEL, "three")).unwrap();
        let label = |object| member.read(session, object, &[CKA_LABEL]).unwrap();
        assert!(label(one) == [Reading::Value("three".into())]);
        assert!(label(two) == [Reading::Value("two".into())]);
        let value = member.read(session, two, &[CKA_VALUE]).unwrap();
        assert!(value == [Reading::Value(vec![5_u8; 5000].into())]);
        // Not every vendor can tell, but each says so.
        if let Err(fault) = member.size(session, one) {
            assert_eq!(fault.rv.0, CKR_FUNCTION_NOT_SUPPORTED);
        }
    }
}
