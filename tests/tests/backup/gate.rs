//! `require_backup`: what is not backed up does not sign, and what is does, in the same running application.

use super::{argument, back_up, done, enforce, is_backed_up, rule};
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::{Demo, USER_PIN, Wanted, alone, application, artefacts, refused, value};

/// CKA_TANDEM_BACKED_UP (`pkcs11-headers/tandem-pkcs11.h`).
const BACKED_UP: u64 = 0x8000_0000 | 0x1444_0000 | 1;
const BACKED_UP_AT: u64 = BACKED_UP + 1;
const BACKUP_ID: u64 = BACKED_UP + 2;

fn own(kind: u64, value: Vec<u8>) -> Attribute {
    Attribute::VendorDefined((AttributeType::VendorDefined(kind), value))
}

/// The labels of what is found, and is backed up or not.
fn found(session: &Session, backed_up: bool, more: &[Attribute]) -> BTreeSet<String> {
    let template = [&[own(BACKED_UP, vec![u8::from(backed_up)])], more].concat();
    let found = session.find_objects(&template).expect("a search");
    found
        .into_iter()
        .map(|object| {
            String::from_utf8(value(session, object, AttributeType::Label)).expect("a label")
        })
        .collect()
}

fn text(session: &Session, object: cryptoki::object::ObjectHandle, kind: u64) -> String {
    String::from_utf8(value(session, object, AttributeType::VendorDefined(kind))).expect("text")
}

fn labels(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|label| (*label).to_owned()).collect()
}

/// Every use that the gate is about is refused.
fn is_shut(session: &Session, kind: Kind, made: Made) {
    let shut = [RvError::KeyFunctionNotPermitted];
    match kind {
        Kind::Aes(_) => {
            let cbc = Mechanism::AesCbc([7; 16]);
            let sealed = session.encrypt(&cbc, made.key, &DIGEST).expect("encrypting stays open");
            refused("decrypting", session.decrypt(&cbc, made.key, &sealed), &shut);
        }
        kind => refused("signing", kind.work(session, made), &shut),
    }
}

#[test]
fn a_key_signs_once_another_process_has_committed_a_backup_of_it() {
    alone(&Wanted::mixed(), |demo| {
        enforce(demo);
        let (_application, session) = application();
        let kinds = [Kind::P256, Kind::Rsa(2048), Kind::Generic(32), Kind::Aes(32)];
        let first: Vec<_> = kinds
            .iter()
            .map(|kind| (*kind, kind.make(&session, &format!("{kind}")).expect("a key")))
            .collect();
        let names: BTreeSet<_> = kinds.iter().map(|kind| format!("{kind}")).collect();
        for (kind, made) in &first {
            is_shut(&session, *kind, *made);
            assert_eq!(text(&session, made.key, BACKED_UP_AT), "");
        }
        assert_eq!(found(&session, false, &[]), names);
        assert_eq!(found(&session, true, &[]), labels(&[]));

        done(demo, &["backup", "prepare"]);
        let late = Kind::P256.make(&session, "late").expect("a key");
        done(demo, &["backup", "run", "--out", &argument(demo, "one.bundle")]);
        // Made and verified, and it does not count yet.
        is_shut(&session, Kind::P256, first[0].1);
        let committed = done(demo, &["backup", "commit"]);
        assert_eq!(committed["backup"]["counts"], true, "{committed}");
        for (kind, made) in &first {
            kind.work(&session, *made).unwrap_or_else(|error| panic!("{kind} works: {error}"));
            assert_eq!(text(&session, made.key, BACKUP_ID), committed["backup"]["id"]);
            assert!(text(&session, made.key, BACKED_UP_AT).starts_with("20"));
            if let Some(public) = made.public {
                assert_eq!(text(&session, public, BACKUP_ID), committed["backup"]["id"]);
            }
        }
        is_shut(&session, Kind::P256, late);
        assert_eq!(found(&session, true, &[]), names);
        assert_eq!(found(&session, false, &[]), labels(&["late"]));
        let private = [Attribute::Class(ObjectClass::PRIVATE_KEY)];
        assert_eq!(found(&session, false, &private), labels(&["late"]));
        assert_eq!(found(&session, true, &[Attribute::Label("late".into())]), labels(&[]));

        // And shut again.
        let id = committed["backup"]["id"].as_str().expect("an identity").to_owned();
        done(demo, &["backup", "withdraw", &id, "--reason", "the safe was robbed"]);
        for (kind, made) in &first {
            is_shut(&session, *kind, *made);
        }
        assert_eq!(found(&session, true, &[]), labels(&[]));
        let log = demo.log();
        assert!(log.contains("tandem backup run --commit"), "the log says what to do");
        assert!(log.contains("\"late\""), "and of which key");
    });
}

/// The C program of `list.c`, compiled.
fn c_program(demo: &Demo) -> PathBuf {
    let program = demo.dir().join("list");
    let repository = artefacts::repository();
    let status = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-I/usr/include/p11-kit-1/p11-kit", "-I"])
        .arg(repository.join("pkcs11-headers"))
        .arg(repository.join("tests/tests/backup/list.c"))
        .arg("-o")
        .arg(&program)
        .arg("-ldl")
        .status();
    assert!(status.expect("cc").success(), "it compiles without a warning");
    program
}

#[test]
fn a_c_program_lists_exactly_the_right_keys_at_every_stage() {
    alone(&Wanted::mixed(), |demo| {
        enforce(demo);
        let program = c_program(demo);
        let listed = |which: &str| {
            let output = Command::new(&program)
                .arg(artefacts::module())
                .args([USER_PIN, which])
                .output()
                .expect("the program");
            assert!(output.status.success(), "{}", super::said(&output));
            let text = String::from_utf8(output.stdout).expect("text");
            text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let lines = |of: &[&str]| -> BTreeSet<String> { labels(of) };
        let generate = |label: &str| {
            done(demo, &["keys", "generate", "--type", "ec:p256", "--label", label]);
        };
        let (one, two) = (["2 one", "3 one"], ["2 two", "3 two"]);
        generate("one");
        assert_eq!((listed("no"), listed("yes")), (lines(&one), lines(&[])));
        done(demo, &["backup", "prepare"]);
        generate("two");
        done(demo, &["backup", "run", "--out", &argument(demo, "one.bundle")]);
        assert_eq!(listed("yes"), lines(&[]), "made, and not committed");
        done(demo, &["backup", "commit"]);
        assert_eq!((listed("no"), listed("yes")), (lines(&two), lines(&one)));
        back_up(demo, "two.bundle");
        assert_eq!((listed("no"), listed("yes")), (lines(&[]), listed("any")));
        assert_eq!(listed("any").len(), 4);
    });
}

#[test]
fn session_keys_and_verifying_pass() {
    alone(&Wanted::mixed(), |demo| {
        enforce(demo);
        let (_application, session) = application();
        let made = Kind::P256.make(&session, "p256").expect("a key");
        is_shut(&session, Kind::P256, made);
        let mechanism = Mechanism::GenericSecretKeyGen;
        let template =
            [Attribute::ValueLen(32.into()), Attribute::Sign(true), Attribute::Verify(true)];
        let key = session.generate_key(&mechanism, &template).expect("a session key");
        let mac = session.sign(&Mechanism::Sha256Hmac, key, &DIGEST).expect("a MAC");
        session.verify(&Mechanism::Sha256Hmac, key, &DIGEST, &mac).expect("it verifies");
        // What nobody can set.
        let set = session.update_attributes(made.key, &[own(BACKED_UP, vec![1])]);
        refused("setting", set, &[RvError::AttributeReadOnly]);
        // The public half is as open as ever: it answers about the signature, not about the key.
        let public = made.public.expect("a pair");
        let judged = session.verify(&Mechanism::Ecdsa, public, &DIGEST, &[1; 64]);
        refused("verifying", judged, &[RvError::SignatureInvalid]);
    });
}

#[test]
fn a_warning_says_which_key_and_the_key_works() {
    alone(&Wanted::mixed(), |demo| {
        rule(demo, "warn");
        let (_application, session) = application();
        let made = Kind::P256.make(&session, "p256").expect("a key");
        for _ in 0..3 {
            Kind::P256.work(&session, made).expect("a signature");
        }
        let told = |demo: &Demo| demo.log().matches("is in no committed backup").count();
        assert_eq!(told(demo), 1, "once, not each time");
        back_up(demo, "one.bundle");
        Kind::P256.work(&session, made).expect("a signature");
        assert!(is_backed_up(demo, "p256"));
    });
}
