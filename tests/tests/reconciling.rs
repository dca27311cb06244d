//! What members really hold is held against the log: what somebody did behind Tandem's back is found, told and put right.

use cryptoki::session::Session;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use tandem_tests::keys::Kind;
use tandem_tests::{Demo, Direct, USER_PIN, Vendor, Wanted, alone, application};

use Vendor::{Kryoptic, SoftHsm};

#[test]
fn what_is_missing_is_brought_and_nothing_is_done_by_a_plan() {
    alone(&Wanted::mixed(), |demo| {
        make(&["one", "two"]);
        assert!(steps(&reconcile(demo, &["--plan"], 0)).is_empty(), "all is in order");
        destroy(&demo.direct("b"), "one");

        let expected = [("b", "bring", "planned"), ("b", "bring", "planned")];
        for _ in 0..2 {
            let plan = reconcile(demo, &["--plan"], 0);
            assert_eq!((steps(&plan), &plan["executed"]), (lines(&expected), &Value::Bool(false)));
        }
        assert!(Kind::P256.find(&demo.direct("b"), "one").is_none(), "a plan changes nothing");
        let done = reconcile(demo, &[], 0);
        assert_eq!(steps(&done), lines(&[("b", "bring", "done"), ("b", "bring", "done")]));
        let direct = demo.direct("b");
        let made = Kind::P256.find(&direct, "one").expect("it was brought");
        Kind::P256.work(&direct, made).expect("a signature");
        drop(direct);
        assert!(demo.tandem(&["verify"]).status.success());
        assert!(steps(&reconcile(demo, &[], 0)).is_empty(), "there is nothing left to do");
    });
}

#[test]
fn a_token_restored_from_an_old_copy_loses_what_was_destroyed_and_gets_what_was_made() {
    alone(&Wanted::over(&[SoftHsm, Kryoptic]), |demo| {
        make(&["old", "kept"]);
        let (tokens, copy) = (demo.storage("a").join("tokens"), demo.dir().join("copy"));
        copy_folder(&tokens, &copy);
        let (application, session) = application();
        destroy(&session, "old");
        Kind::P256.make(&session, "new").expect("a key");
        drop(session);
        application.finalize();
        std::fs::remove_dir_all(&tokens).expect("a folder");
        copy_folder(&copy, &tokens);

        let done = reconcile(demo, &[], 0);
        let expected = [
            ("a", "bring", "done"),
            ("a", "bring", "done"),
            ("a", "remove", "done"),
            ("a", "remove", "done"),
        ];
        assert_eq!(steps(&done), lines(&expected));
        let direct = demo.direct("a");
        assert!(
            Kind::P256.find(&direct, "old").is_none() && Kind::P256.find(&direct, "new").is_some()
        );
        drop(direct);
        assert!(demo.tandem(&["verify"]).status.success());
    });
}

#[test]
fn another_key_in_the_place_of_ours_is_told_and_left_alone() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        make(&["ours"]);
        let direct = demo.direct("b");
        destroy(&direct, "ours");
        Kind::P256.make(&direct, "ours").expect("another key");
        drop(direct);
        let told = reconcile(demo, &[], 1);
        assert_eq!(steps(&told), lines(&[("b", "look", "left"), ("b", "look", "left")]));
        assert_eq!(told["strangers"][1]["objects"], 2);
        assert!(Kind::P256.find(&demo.direct("b"), "ours").is_some(), "it may be somebody's");
    });
}

#[test]
fn a_member_of_another_ring_is_not_reconciled_with() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        make(&["one"]);
        let other = tempfile::tempdir().expect("a folder");
        let other = Demo::make_with(&Wanted::over(&[SoftHsm]), other.path(), |_| {});
        let tokens = demo.storage("a").join("tokens");
        std::fs::remove_dir_all(&tokens).expect("a folder");
        copy_folder(&other.storage("a").join("tokens"), &tokens);
        let theirs = Direct::new(SoftHsm, &demo.vendor_config("a"), "a", USER_PIN);
        Kind::P256.make(&theirs, "theirs").expect("a key of another Tandem's token");
        let held = |direct: &Direct| direct.find_objects(&[]).expect("a search").len();
        let before = held(&theirs);
        drop(theirs);
        for arguments in [&["reconcile", "--plan"][..], &["reconcile"]] {
            let output = demo.tandem(arguments);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains("member a: its token holds another key ring"), "{said}");
            assert!(said.contains("tandem member replace a"), "what to do is not said: {said}");
        }
        // Nothing of theirs was touched, and nothing of ours is lost.
        assert_eq!(held(&demo.direct("a")), before);
        let (_application, session) = application();
        let made = Kind::P256.find(&session, "one").expect("the key");
        Kind::P256.work(&session, made).expect("a signature of the other member's");
    });
}

fn make(labels: &[&str]) {
    let (_application, session) = application();
    for label in labels {
        Kind::P256.make(&session, label).expect("a key");
    }
}

fn destroy(session: &Session, label: &str) {
    let made = Kind::P256.find(session, label).expect("a key");
    for object in made.public.into_iter().chain([made.key]) {
        session.destroy_object(object).expect("C_DestroyObject");
    }
}

/// `tandem reconcile --json`, which ends with this exit code.
fn reconcile(demo: &Demo, arguments: &[&str], code: i32) -> Value {
    let output = demo.tandem(&[&["reconcile", "--json"], arguments].concat());
    let (out, err) = (&output.stdout, &output.stderr);
    let (out, err) = (String::from_utf8_lossy(out), String::from_utf8_lossy(err));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    serde_json::from_str(&out).expect("JSON")
}

/// Member, action and outcome of each step.
fn steps(report: &Value) -> Vec<String> {
    let text = |step: &Value, key: &str| step[key].as_str().expect("a text").to_owned();
    let line = |step: &Value| ["member", "action", "outcome"].map(|key| text(step, key)).join(" ");
    report["steps"].as_array().expect("steps").iter().map(line).collect()
}

fn lines(steps: &[(&str, &str, &str)]) -> Vec<String> {
    steps.iter().map(|(member, action, outcome)| format!("{member} {action} {outcome}")).collect()
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().expect("cp");
    assert!(copied.success());
}
