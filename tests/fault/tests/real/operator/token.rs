//! Backup tokens that are full, or pulled out half-way; and the tool killed while it fills one.

use super::{Case, counts, done, kill_at_each, make_key, run, said, shares, words};
use crate::common::{World, again};
use std::collections::BTreeMap;
use tandem_tests::{Demo, Vendor, Wanted, alone};

/// How many of the calls of a run the token is pulled out before; `TANDEM_FAULT_STRIDE=1` tries every one.
const PULLS: usize = 24;

fn with(vendor: Vendor) -> Wanted {
    Wanted::mixed().with_backup_token(vendor)
}

fn fill(world: &World) -> Vec<String> {
    let shares = shares(world);
    words(&["backup", "run", "--commit", "--to", "backup", "--shares", &shares])
}

fn filled(world: &World) {
    let fill = fill(world);
    done(world, &fill.iter().map(String::as_str).collect::<Vec<_>>());
}

/// All or nothing is backed up, and what is can be read back from the token.
fn never_falsely(world: &World) -> String {
    let list = done(world, &["backup", "list"]);
    let (yes, no) = counts(world);
    assert!(yes == 0 || no == 0, "all or nothing: {list:#}");
    if yes > 0 {
        assert_eq!(done(world, &["backup", "verify", "--from", "backup"])["verified"], true);
    }
    let last = list["backups"].as_array().expect("backups").last();
    last.map_or("nothing begun", |last| last["state"].as_str().expect("a state")).to_owned()
}

fn commit_in_the_end(world: &World) {
    if counts(world).1 > 0 {
        let list = done(world, &["backup", "list"]);
        let last = list["backups"].as_array().expect("backups").last();
        // It was noted before the tool was killed: it is on the token, and may be committed.
        if last.is_some_and(|last| last["state"] == "made") {
            done(world, &["backup", "commit"]);
        } else {
            filled(world);
        }
    }
    assert_eq!(counts(world).1, 0, "everything is backed up");
    assert_eq!(done(world, &["backup", "verify", "--from", "backup"])["verified"], true);
    assert_eq!(done(world, &["verify"])["verified"], true);
}

fn kill_while_filling(demo: &Demo) {
    kill_at_each(
        World::around(again(demo)),
        &Case {
            name: "backup run --commit --to",
            prepare: make_key,
            arguments: fill,
            judge: never_falsely,
            finish: commit_in_the_end,
        },
    );
}

#[test]
fn filling_a_softhsm() {
    alone(&with(Vendor::SoftHsm), |demo| {
        kill_while_filling(demo);
    });
}

#[test]
fn filling_a_kryoptic() {
    alone(&with(Vendor::Kryoptic), |demo| {
        kill_while_filling(demo);
    });
}

/// A token that is filled, and a key that is newer.
fn filled_once(world: &World) {
    make_key(world);
    filled(world);
    assert_eq!(counts(world), (3, 0));
    done(world, &["keys", "generate", "--type", "ec:p256", "--label", "newer"]);
    assert_eq!(counts(world), (3, 2));
}

#[test]
fn a_backup_token_that_is_full() {
    alone(&with(Vendor::SoftHsm), |demo| {
        let world = World::around(again(demo));
        world.calm();
        filled_once(&world);
        let arguments = ["backup", "run", "--commit", "--to", "backup"];
        world.keep();
        world.calm();
        filled(&world);
        let calls = world.calls("backup");
        let created = calls.iter().filter(|call| call.function == "C_CreateObject").count();
        // At its end: the public half of the new key, the sheets of the bundle, and its index.
        for nth in created - 3..=created {
            world.restore();
            world
                .script("backup", &format!("from C_CreateObject {nth} return CKR_DEVICE_MEMORY\n"));
            let output = run(&world, &arguments);
            assert_eq!(output.status.code(), Some(1), "{}", said(&output));
            assert!(said(&output).contains("backup token backup is full"), "{}", said(&output));
            world.calm();
            assert_eq!(counts(&world), (3, 2), "what was backed up still is");
            assert_eq!(done(&world, &["backup", "verify", "--from", "backup"])["verified"], true);
        }
        // Room for the bundle, and none for the key.
        world.restore();
        world.script("backup", "C_UnwrapKey return CKR_DEVICE_MEMORY\n");
        let output = run(&world, &[&arguments[..], &["--json"]].concat());
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let left_out = told["left_out"].as_array().expect("objects");
        assert_eq!((left_out.len(), &left_out[0]["label"]), (1, &"newer".into()), "{told}");
        world.calm();
        assert_eq!(counts(&world), (4, 1), "its public half is on the token");
        filled(&world);
        assert_eq!(counts(&world), (5, 0));
    });
}

/// The token is gone from a call on, each time another: nothing is committed that is not there.
fn pull_out(demo: &Demo, vendor: Vendor) {
    let world = World::around(again(demo));
    world.calm();
    filled_once(&world);
    world.keep();
    world.calm();
    filled(&world);
    let calls = world.calls("backup").len();
    let all = std::env::var_os("TANDEM_FAULT_STRIDE").is_some_and(|stride| stride == "1");
    let stride = if all { 1 } else { calls.div_ceil(PULLS) };
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for number in (1..=calls).step_by(stride) {
        world.restore();
        world.script("backup", &format!("from {number} return CKR_DEVICE_REMOVED\n"));
        let output = run(&world, &["backup", "run", "--commit", "--to", "backup"]);
        world.calm();
        let (yes, no) = counts(&world);
        // At its end, when everything is committed, it may go.
        assert_eq!(output.status.success(), no == 0, "call {number}: {}", said(&output));
        assert!(yes >= 3, "call {number}: what was backed up still is");
        assert_eq!(done(&world, &["backup", "verify", "--from", "backup"])["verified"], true);
        let outcome = if no == 0 { "committed before" } else { "the earlier backup counts" };
        *outcomes.entry(outcome.to_owned()).or_default() += 1;
        filled(&world);
        assert_eq!(counts(&world), (5, 0), "call {number}: it is filled in the end");
    }
    println!("| {vendor:?} pulled out | {calls} calls | {outcomes:?} |");
}

#[test]
fn a_softhsm_that_is_pulled_out() {
    alone(&with(Vendor::SoftHsm), |demo| pull_out(demo, Vendor::SoftHsm));
}

#[test]
fn a_kryoptic_that_is_pulled_out() {
    alone(&with(Vendor::Kryoptic), |demo| pull_out(demo, Vendor::Kryoptic));
}
