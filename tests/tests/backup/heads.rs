//! Each member holds a record of the log's end: an older copy of the state folder and a log that was cut short are noticed at
//! the next login, by both vendors' members.

use super::{argument, back_up, done, file, is_backed_up, refused};
use cryptoki::error::RvError;
use cryptoki::object::{Attribute, ObjectClass};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Demo, Wanted, alone, application, rv};

/// An older copy of the state folder, as a snapshot of a machine has it.
fn copy_state(demo: &Demo) {
    let old = demo.dir().join("old");
    let copied =
        std::process::Command::new("cp").arg("-a").arg(file(demo, "state")).arg(old).status();
    assert!(copied.expect("cp").success());
}

/// Puts the older copy back.
fn put_back(demo: &Demo) {
    fs::remove_dir_all(file(demo, "state")).expect("a folder");
    fs::rename(demo.dir().join("old"), file(demo, "state")).expect("a folder");
}

/// How the log stands to each member's head record, and the position that it names.
fn heads(demo: &Demo, arguments: &[&str]) -> BTreeMap<String, (String, Option<u64>)> {
    let report = demo.report(&[&["log", "check"], arguments].concat());
    told(&report)
}

fn told(report: &Value) -> BTreeMap<String, (String, Option<u64>)> {
    let heads = report["heads"].as_array().expect("heads").iter();
    let text = |head: &Value, field| head[field].as_str().expect("text").to_owned();
    heads
        .map(|head| (text(head, "member"), (text(head, "verdict"), head["position"].as_u64())))
        .collect()
}

/// True if every member says so.
fn all_say(heads: &BTreeMap<String, (String, Option<u64>)>, verdict: &str) -> bool {
    heads.len() == 2 && heads.values().all(|(told, _)| told == verdict)
}

/// An application makes keys and ends.
fn make(labels: &[&str]) {
    let (application, session) = application();
    for label in labels {
        Kind::P256.make(&session, label).expect("a key");
    }
    drop(session);
    application.finalize();
}

/// What stands on a member under the label of a head record.
fn on_member(demo: &Demo, member: &str) -> Vec<String> {
    let direct = demo.direct(member);
    let data = direct.find_objects(&[Attribute::Class(ObjectClass::DATA)]).expect("a search");
    let label = |object| {
        let bytes = tandem_tests::value(&direct, object, cryptoki::object::AttributeType::Label);
        String::from_utf8(bytes).expect("text")
    };
    data.into_iter().map(label).collect()
}

#[test]
fn an_older_copy_of_the_state_folder_is_noticed_at_the_next_login_and_a_bundle_heals_it() {
    alone(&Wanted::mixed(), |demo| {
        let (first, session) = application();
        let kept = Kind::P256.make(&session, "kept").expect("a key");
        let public = Kind::P256.public(&session, kept).expect("a public key");
        let gone = Kind::P256.make(&session, "gone").expect("a key");
        back_up(demo, "one.bundle");
        drop(session);
        first.finalize();
        copy_state(demo);
        let (second, session) = application();
        for label in ["late", "later"] {
            Kind::P256.make(&session, label).expect("a key");
        }
        let found = Kind::P256.find(&session, "gone").expect("it is there");
        session.destroy_object(found.key).expect("destroyed");
        session.destroy_object(found.public.expect("a pair")).expect("destroyed");
        drop(session);
        second.finalize();
        back_up(demo, "two.bundle");
        let head = demo.head();
        let before = heads(demo, &[]);
        assert!(all_say(&before, "holds"), "{before:?}");
        assert!(before.values().all(|(_, position)| *position == Some(head)), "{before:?}");
        put_back(demo);

        // Noticed and named, by a process that is told of nothing, before it changes anything.
        let ((third, session), lines) = demo.logged(|| {
            let (third, session) = application();
            assert_eq!(rv(Kind::P256.make(&session, "early")), RvError::DeviceError);
            (third, session)
        });
        let grave: Vec<_> = lines.iter().filter(|line| line.contains(" error: ")).collect();
        assert!(grave.iter().any(|line| line.contains("older copy")), "{lines:?}");
        for member in ["a", "b"] {
            let named = format!("member {member} knew the log up to position {head}");
            assert!(grave.iter().any(|line| line.contains(&named)), "{lines:?}");
        }
        // Signing goes on, and nothing is changed.
        let key = Kind::P256.find(&session, "kept").expect("it is there");
        let signature = Kind::P256.work(&session, key).expect("a signature");
        assert!(public.verifies(&DIGEST, &signature));
        assert_eq!(rv(Kind::P256.make(&session, "refused")), RvError::DeviceError);
        assert_eq!(rv(session.destroy_object(key.key)), RvError::DeviceError);
        drop(session);
        third.finalize();
        let short = demo.head();
        assert!(short < head);
        // Nothing counts as backed up, and operators are told.
        assert!(!is_backed_up(demo, "kept") && !is_backed_up(demo, "gone"));
        let _ = gone;
        let list = done(demo, &["backup", "list"]);
        assert_eq!(list["backups"][0]["counts"], false, "{list}");
        refused(demo, &["log", "check"], &["the log ends before", "older copy", "tandem restore"]);
        let against = heads(demo, &[]);
        assert!(all_say(&against, "cut-short"), "{against:?}");
        refused(demo, &["keys", "generate", "--type", "ec:p256", "--label", "x"], &["member a"]);
        refused(demo, &["doctor"], &["its log is in doubt", "tandem restore"]);
        let doubt = done(demo, &["status"])["tokens"][0]["doubt"].clone();
        assert!(doubt.as_str().expect("a doubt").contains("older copy"), "{doubt}");
        assert_eq!(demo.head(), short, "nothing was put into the log");

        // The bundle heals it. What was destroyed does not come back.
        let restored = done(demo, &["restore", &argument(demo, "two.bundle")]);
        assert!(restored["records"].as_u64() > Some(0), "{restored}");
        let healed = heads(demo, &[]);
        assert!(all_say(&healed, "holds"), "{healed:?}");
        assert_eq!(done(demo, &["log", "check"])["sound"], true);
        assert!(done(demo, &["status"])["tokens"][0]["doubt"].is_null());
        for label in ["kept", "late", "later"] {
            assert!(is_backed_up(demo, label), "{label}");
        }
        let (fourth, session) = application();
        let key = Kind::P256.find(&session, "kept").expect("it is there");
        let signature = Kind::P256.work(&session, key).expect("a signature");
        assert!(public.verifies(&DIGEST, &signature));
        assert!(Kind::P256.find(&session, "gone").is_none(), "nothing comes back from the dead");
        Kind::P256.make(&session, "after").expect("a key");
        drop(session);
        fourth.finalize();
        assert!(done(demo, &["verify"])["verified"].as_bool().expect("a flag"));
        assert!(
            done(demo, &["reconcile", "--plan"])["steps"].as_array().is_some_and(Vec::is_empty)
        );
    });
}

#[test]
fn an_older_copy_is_healed_by_a_bundle_that_is_no_newer() {
    alone(&Wanted::mixed(), |demo| {
        done(demo, &["keys", "generate", "--type", "ec:p256", "--label", "early"]);
        back_up(demo, "one.bundle");
        copy_state(demo);
        done(demo, &["keys", "generate", "--type", "ec:p256", "--label", "late"]);
        put_back(demo);
        refused(demo, &["log", "check"], &["the log ends before"]);
        let restored = done(demo, &["restore", &argument(demo, "one.bundle")]);
        assert_eq!(restored["records"], 0, "{restored}");
        let newer = restored["newer"].as_array().expect("objects");
        assert!(newer.iter().any(|object| object["label"] == "late"), "{restored}");
        assert!(is_backed_up(demo, "early") && !is_backed_up(demo, "late"));
        assert_eq!(done(demo, &["log", "check"])["sound"], true);
        assert!(done(demo, &["verify"])["verified"].as_bool().expect("a flag"));
    });
}

#[test]
fn a_log_whose_last_records_were_cut_off_is_noticed_and_can_be_accepted() {
    alone(&Wanted::mixed(), |demo| {
        make(&["one", "two", "three"]);
        back_up(demo, "one.bundle");
        make(&["cut"]);
        let head = demo.head();
        let store = rusqlite::Connection::open(demo.database()).expect("the log");
        let cut =
            store.execute("DELETE FROM records WHERE position > ?1 - 2", [head.cast_signed()]);
        assert_eq!(cut.expect("a change"), 2);
        drop(store);

        refused(demo, &["log", "check"], &["the log ends before"]);
        assert!(!is_backed_up(demo, "one"));
        refused(demo, &["keys", "generate", "--type", "ec:p256", "--label", "x"], &["cut off"]);
        // Nobody can be asked here.
        let unasked = demo.tandem(&["log", "check", "--accept"]);
        assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
        assert_eq!(demo.head(), head - 2, "nothing is accepted unasked");

        let accepted = done(demo, &["log", "check", "--accept", "--yes"]);
        assert_eq!((&accepted["accepted"], &accepted["sound"]), (&true.into(), &true.into()));
        assert!(all_say(&told(&accepted), "holds"), "{accepted}");
        assert!(is_backed_up(demo, "one"), "backups count again");
        let again = done(demo, &["log", "check", "--accept", "--yes"]);
        assert_eq!(again["accepted"], false, "{again}");
        // What the log lacks is nobody's on the members, and what comes next is brought to all of them.
        let plan = done(demo, &["reconcile", "--plan"]);
        let strangers = plan["strangers"].as_array().expect("members").iter();
        let strangers: Vec<_> = strangers.map(|member| member["objects"].as_u64()).collect();
        assert_eq!(strangers, [Some(2), Some(2)], "{plan}");
        make(&["next"]);
        assert!(done(demo, &["verify"])["verified"].as_bool().expect("a flag"));
        let (application, session) = application();
        for label in ["one", "two", "three", "next"] {
            let key = Kind::P256.find(&session, label).unwrap_or_else(|| panic!("{label}"));
            Kind::P256.work(&session, key).expect("a signature");
        }
        drop(session);
        application.finalize();
    });
}

#[test]
fn no_application_sees_a_head_record_and_a_member_that_is_wiped_keeps_none() {
    alone(&Wanted::mixed(), |demo| {
        for label in ["one", "two"] {
            done(demo, &["keys", "generate", "--type", "ec:p256", "--label", label]);
        }
        let (application, session) = application();
        let data = session.find_objects(&[Attribute::Class(ObjectClass::DATA)]);
        assert_eq!(data.expect("a search"), []);
        assert_eq!(session.find_objects(&[]).expect("a search").len(), 4);
        drop(session);
        application.finalize();
        for member in ["a", "b"] {
            let there = on_member(demo, member);
            assert_eq!(there.len(), 1, "{member}: {there:?}");
            assert!(there[0].starts_with("tandem:") && there[0].ends_with(":head"), "{there:?}");
        }
        done(demo, &["member", "remove", "b", "--wipe"]);
        assert_eq!(on_member(demo, "b"), [""; 0]);
        assert_eq!(on_member(demo, "a").len(), 1);
    });
}
