//! A token with so many keys that the most are in a checkpoint of its catalogue: what is there, what has changed since, and what
//! becomes of it when somebody changes the file.

use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::Session;
use std::fs;
use std::path::PathBuf;
use tandem_tests::keys::{Kind, Made};
use tandem_tests::{Demo, Vendor, Wanted, alone, application};

/// So many pairs are worth a checkpoint when a login ends.
const KEYS: usize = 1_100;
/// How many bytes a page of the file has.
const PAGE: usize = 4_096;

fn file(demo: &Demo) -> PathBuf {
    demo.dir().join("state/checkpoint")
}

/// The pair of this label.
fn find(session: &Session, label: &str) -> Option<Made> {
    let of = |class| {
        let wanted = [Attribute::Class(class), Attribute::Label(label.into())];
        let found = session.find_objects(&wanted).expect("a search");
        assert!(found.len() < 2, "{label}: {found:?}");
        found.into_iter().next()
    };
    Some(Made { key: of(ObjectClass::PRIVATE_KEY)?, public: of(ObjectClass::PUBLIC_KEY) })
}

fn works(session: &Session, label: &str) {
    let made = find(session, label).unwrap_or_else(|| panic!("{label} is not found"));
    Kind::P256.work(session, made).unwrap_or_else(|error| panic!("{label}: {error}"));
}

/// Some keys that the checkpoint knows, one that was changed since, one that is gone since, and one that has come since.
fn all_is_there() {
    let (_application, session) = application();
    for name in ["many-1", "many-500", "many-1100", "since"] {
        works(&session, name);
    }
    assert!(find(&session, "many-7").is_none(), "it was destroyed");
    assert!(find(&session, "many-0").is_none(), "it never was");
}

#[test]
fn most_keys_are_in_a_checkpoint() {
    let wanted = Wanted::over(&[Vendor::SoftHsm, Vendor::Kryoptic]).with("hold=on-demand");
    alone(&wanted, |demo| {
        assert!(!file(demo).exists());
        let count = KEYS.to_string();
        let generate = ["keys", "generate", "--type", "ec:p256", "--label", "many"];
        let made = demo.report(&[&generate[..], &["--count", &count, "--threads", "8"]].concat());
        assert!(made["error"].is_null(), "{}", made["error"]);
        let first = fs::read(file(demo)).expect("a checkpoint, once the command has ended");
        assert_eq!(first.len() % PAGE, 0);

        let (application, session) = application();
        Kind::P256.make(&session, "since").expect("a key");
        let gone = find(&session, "many-7").expect("a key");
        for object in [Some(gone.key), gone.public].into_iter().flatten() {
            session.destroy_object(object).expect("destroyed");
        }
        drop(session);
        application.finalize();
        assert_eq!(fs::read(file(demo)).expect("a checkpoint"), first, "little has changed");
        all_is_there();

        // Whoever may write to the state folder changes a byte of every page.
        for at in [0, PAGE / 3, PAGE - 1] {
            let mut changed = first.clone();
            changed.chunks_mut(PAGE).for_each(|page| page[at] ^= 0x10);
            fs::write(file(demo), changed).expect("a change");
            let ((), said) = demo.logged(all_is_there);
            let told = |line: &String| line.contains("checkpoint");
            assert!(said.iter().any(told), "it is told: {said:?}");
        }
        fs::write(file(demo), &first[..first.len() / 2]).expect("a change");
        all_is_there();
        fs::remove_file(file(demo)).expect("it goes");
        all_is_there();
        assert!(file(demo).exists(), "it is made anew by whoever has read the whole log");
        all_is_there();
        let checked = demo.report(&["log", "check"]);
        assert_eq!(checked["sound"], true, "{checked}");
    });
}
