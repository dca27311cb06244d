//! Operations, step by step, with every kind of room.

use crate::key::{bytes, init, kek, out, pair, secret, sign, verify};
use crate::token::{Kind, TestToken, session};
use tandem_engine::member::Member;
use tandem_engine::step::{Bytes, Output, Room, Step, Verb};
use tandem_values::{Mechanism, Parameter, Part, ck::*};

const MUCH: Room = Room::Bytes(4096);

#[test]
fn a_query_and_a_short_buffer_leave_the_operation_as_it_was() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "rooms");
        let member = token.member();
        let session = session(&member);
        let made = pair(&member, session, false);
        let digest = [1_u8; 32];
        let begin = init(Verb::Sign, Mechanism::plain(CKM_ECDSA), made.private);
        member.step(session, &begin, Room::Query).unwrap();
        let whole = Step::Whole(Verb::Sign, bytes(digest));
        let asked = member.step(session, &whole, Room::Query).unwrap();
        assert!(matches!(asked, Output::Length(64)), "{kind:?}");
        for room in [0, 1, 63] {
            let short = member.step(session, &whole, Room::Bytes(room)).unwrap();
            assert!(matches!(short, Output::Short(64)), "{kind:?}");
        }
        let signature = out(member.step(session, &whole, Room::Bytes(64)).unwrap());
        verify(&member, session, made.public, &digest, &signature).unwrap();
        let over = member.step(session, &whole, MUCH);
        assert_eq!(over.err().map(|fault| fault.rv.0), Some(CKR_OPERATION_NOT_INITIALIZED));
    }
}

#[test]
fn in_parts_and_whole_is_the_same() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "parts");
        let member = token.member();
        let session = session(&member);
        let digest = |data: &[&[u8]]| {
            let sha = Mechanism::plain(CKM_SHA256);
            let begin =
                Step::Init { verb: Verb::Digest, mechanism: sha, key: None, signature: None };
            member.step(session, &begin, Room::Query).unwrap();
            if let [whole] = data {
                let whole = Step::Whole(Verb::Digest, bytes(whole));
                return out(member.step(session, &whole, MUCH).unwrap());
            }
            for part in data {
                let part = Step::Feed(Verb::Digest, bytes(part));
                assert!(member.step(session, &part, Room::Query).unwrap() == Output::Nothing);
            }
            out(member.step(session, &Step::Last(Verb::Digest), MUCH).unwrap())
        };
        assert_eq!(digest(&[b"abc"]), digest(&[b"a", b"", b"bc"]));
        assert_eq!(digest(&[b"abc"])[..4], [0xba, 0x78, 0x16, 0xbf]);

        let key = kek(&member, session);
        let cbc = || Mechanism::flat(CKM_AES_CBC_PAD, &[6; 16]);
        member.step(session, &init(Verb::Encrypt, cbc(), key), Room::Query).unwrap();
        let whole = Step::Whole(Verb::Encrypt, bytes([4; 40]));
        let whole = out(member.step(session, &whole, MUCH).unwrap());
        assert_eq!(whole.len(), 48);
        member.step(session, &init(Verb::Encrypt, cbc(), key), Room::Query).unwrap();
        let mut parts = Vec::new();
        for part in [[4; 20], [4; 20]] {
            let part = Step::Part(Verb::Encrypt, bytes(part));
            parts.extend(out(member.step(session, &part, MUCH).unwrap()));
        }
        parts.extend(out(member.step(session, &Step::Last(Verb::Encrypt), MUCH).unwrap()));
        assert_eq!(parts, whole);
        member.step(session, &init(Verb::Decrypt, cbc(), key), Room::Query).unwrap();
        let back = Step::Whole(Verb::Decrypt, bytes(whole));
        assert_eq!(out(member.step(session, &back, MUCH).unwrap()), [4; 40]);
    }
}

#[test]
fn parameters_with_pointers_reach_the_vendor() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "gcm");
        let member = token.member();
        let session = session(&member);
        let key = kek(&member, session);
        let gcm = |associated: &str| Mechanism {
            kind: CKM_AES_GCM,
            parameter: Parameter::Parts(vec![
                Part::Bytes(Some(secret([2; 12]))),
                Part::Number(96),
                Part::Bytes(Some(secret(associated))),
                Part::Number(128),
            ]),
        };
        let whole = |verb, associated: &str, data: Bytes| {
            member.step(session, &init(verb, gcm(associated), key), Room::Query)?;
            member.step(session, &Step::Whole(verb, data), MUCH).map(out)
        };
        let sealed = whole(Verb::Encrypt, "header", bytes("text")).unwrap();
        assert_eq!(sealed.len(), 4 + 16);
        assert_eq!(whole(Verb::Decrypt, "header", bytes(&sealed)).unwrap(), b"text");
        assert!(whole(Verb::Decrypt, "other", bytes(&sealed)).is_err(), "{kind:?}");
    }
}

/// Sign, verify and digest in parts, ended before their end: afterwards the next begins.
#[test]
fn an_operation_that_is_cancelled_makes_room_for_the_next() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "cancel");
        let member = token.member();
        let session = session(&member);
        let made = pair(&member, session, false);
        let key = kek(&member, session);
        let cbc = Mechanism::flat(CKM_AES_CBC, &[6; 16]);
        let begun = [
            init(Verb::Sign, Mechanism::plain(CKM_ECDSA), made.private),
            init(Verb::Verify, Mechanism::plain(CKM_ECDSA), made.public),
            init(Verb::Sign, Mechanism::plain(CKM_ECDSA_SHA256), made.private),
            init(Verb::Encrypt, cbc.clone(), key),
            init(Verb::Decrypt, cbc, key),
            Step::Init {
                verb: Verb::Digest,
                mechanism: Mechanism::plain(CKM_SHA256),
                key: None,
                signature: None,
            },
        ];
        for step in begun {
            let Step::Init { verb, mechanism, .. } = &step else { unreachable!() };
            match member.step(session, &step, Room::Query) {
                // Not every vendor hashes by itself.
                Err(fault) if fault.rv.0 == CKR_MECHANISM_INVALID => continue,
                begun => assert!(begun.unwrap() == Output::Nothing),
            }
            let twice = member.step(session, &step, Room::Query);
            let twice = twice.err().map(|fault| fault.rv.0);
            assert_eq!(twice, Some(CKR_OPERATION_ACTIVE), "{kind:?} {mechanism:?}");
            member.cancel(session, *verb).unwrap();
            let again = member.step(session, &step, Room::Query);
            assert!(again.is_ok(), "{kind:?} {verb:?} {mechanism:?}: {:?}", again.err());
            member.cancel(session, *verb).unwrap();
        }
        // The session is as good as before.
        let signature = sign(&member, session, made.private, &[1; 32]).unwrap();
        verify(&member, session, made.public, &[1; 32], &signature).unwrap();
    }
}

/// The nonce and the tag are the token's, and come back in the parameter.
#[test]
fn messages_bring_back_what_the_token_made() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "messages");
        let member = token.member();
        let session = session(&member);
        let key = kek(&member, session);
        let begin = |verb| init(verb, Mechanism::plain(CKM_AES_GCM), key);
        member.step(session, &begin(Verb::MessageEncrypt), Room::Query).unwrap();
        let asked = |nonce, generator, tag| {
            Parameter::Parts(vec![
                Part::Bytes(Some(secret([nonce; 12]))),
                Part::Number(0),
                Part::Number(generator),
                Part::Bytes(Some(secret([tag; 16]))),
            ])
        };
        let seal = |nonce, generator| {
            let (parameter, text) = (asked(nonce, generator, 0), bytes("a message"));
            let seal = Step::Message(Verb::MessageEncrypt, parameter, bytes("header"), text);
            member.step(session, &seal, MUCH)
        };
        // Where the module has no messages each is an operation of its own, whose nonce the application brings.
        let made = if kind == Kind::SoftHsm {
            let refused = seal(0, CKG_GENERATE_RANDOM).map(drop);
            assert_eq!(refused.unwrap_err().rv.0, CKR_MECHANISM_PARAM_INVALID);
            seal(7, CKG_NO_GENERATE)
        } else {
            seal(0, CKG_GENERATE_RANDOM)
        };
        let Output::Message(sealed, parameter) = made.unwrap() else { panic!("no message") };
        assert_eq!(sealed.len(), 9);
        let Parameter::Parts(parts) = &parameter else { panic!("no parts") };
        assert!(parts[0] != Part::Bytes(Some(secret([0; 12]))), "there is a nonce");
        assert!(parts[3] != Part::Bytes(Some(secret([0; 16]))), "a tag was made");
        member.step(session, &Step::MessageFinal(Verb::MessageEncrypt), Room::Query).unwrap();

        // Kryoptic ends the operation when a message is refused, so each begins anew.
        let open = |associated: &str| {
            member.step(session, &begin(Verb::MessageDecrypt), Room::Query).unwrap();
            let open = Step::Message(
                Verb::MessageDecrypt,
                parameter.clone(),
                bytes(associated),
                sealed.clone(),
            );
            member.step(session, &open, MUCH)
        };
        assert!(open("another header").is_err());
        let Output::Message(opened, _) = open("header").unwrap() else { panic!("no message") };
        assert_eq!(opened.as_slice(), b"a message");
        member.cancel(session, Verb::MessageDecrypt).unwrap();
    }
}
