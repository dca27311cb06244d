//! The same for new shares of the recovery, and for the key ring on new tokens: whatever is left, shares that were in force
//! open the ring, and no backup is lost.

use super::{Case, bundle, counts, done, kill_at_each, make_key, path, said, shares, words};
use crate::common::{World, again};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tandem_tests::{Demo, Wanted, alone};

/// How many new shares are made, and how many of them are to be enough.
const NEW: (usize, usize) = (4, 2);

fn in_safe(world: &World, name: &str) -> PathBuf {
    bundle(world).with_file_name(name)
}

fn split(world: &World, from: &[String], to: &str) -> Vec<String> {
    let (shares, threshold) = (NEW.0.to_string(), NEW.1.to_string());
    let to = in_safe(world, to).display().to_string();
    let terms = ["recovery", "split", "--shares", &shares, "--threshold", &threshold];
    let mut arguments = words(&[&terms[..], &["--shares-dir", &to]].concat());
    for from in from {
        arguments.extend(words(&["--shares-from", from]));
    }
    arguments
}

fn is_done(world: &World, arguments: &[String]) -> Value {
    done(world, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The files of shares in a folder that have all their words.
fn whole_shares(folder: &Path) -> Vec<String> {
    let mut whole: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry").path())
        .filter(|file| fs::read_to_string(file).is_ok_and(|text| text.split(' ').count() > 30))
        .map(|file| file.display().to_string())
        .collect();
    whole.sort();
    whole
}

/// The shares that were in force before are in force, or all the new ones are; and whichever are whole open the ring.
fn one_or_the_other(world: &World) -> String {
    let known = done(world, &["recovery", "show"]);
    let new = whole_shares(&in_safe(world, "new"));
    let is_split = known["earlier"].as_array().is_some_and(|earlier| !earlier.is_empty());
    assert_eq!(counts(world).1, 0, "a split takes no backup away");
    assert_eq!(known["backups"][0]["counts"], true, "{known:#}");
    let outcome = if is_split {
        assert_eq!(new.len(), NEW.0, "all of them were handed out before they count");
        "the new shares are in force".to_owned()
    } else {
        format!("the old shares are in force, {} new ones are written", new.len())
    };
    is_done(world, &split(world, &[shares(world)], "by-old"));
    if new.len() >= NEW.1 {
        is_done(world, &split(world, &new[new.len() - NEW.1..], "by-new"));
    }
    outcome
}

fn split_in_the_end(world: &World) {
    is_done(world, &split(world, &[shares(world)], "again"));
    let again = whole_shares(&in_safe(world, "again"));
    is_done(world, &split(world, &again[..NEW.1], "last"));
    assert_eq!(done(world, &["verify"])["verified"], true);
    assert_eq!(counts(world).1, 0);
}

fn back_up(world: &World) {
    make_key(world);
    done(world, &["backup", "run", "--commit", "--out", &path(world)]);
}

#[test]
fn splitting_the_recovery() {
    alone(&Wanted::mixed(), |demo| {
        kill_at_each(
            World::around(again(demo)),
            &Case {
                name: "recovery split",
                prepare: back_up,
                arguments: |world| split(world, &[shares(world)], "new"),
                judge: one_or_the_other,
                finish: split_in_the_end,
            },
        );
    });
}

/// Puts new tokens in the place of all members' own.
fn lose_every_token(world: &World) {
    back_up(world);
    let dir = world.demo.dir().join("spare");
    let spare = Demo::unpaired(&Wanted::mixed(), &dir);
    for member in world.members() {
        for name in ["tokens", "token.sql"] {
            let (old, new) =
                (world.demo.storage(member).join(name), spare.storage(member).join(name));
            if new.exists() {
                let _ = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
                fs::rename(new, old).expect("a token in the place of another");
            }
        }
    }
}

/// Nobody takes a new token for the old one: whoever has the ring and was not brought in is not used.
fn counted(world: &World) -> String {
    let status = done(world, &["status"]);
    let names = status["tokens"][0]["ring"]["members"].as_array().expect("names").len();
    let output = super::run(world, &["verify", "--json"]);
    let said = said(&output);
    let why = ["no member let us log in", "none of the members that answer holds its key ring"];
    assert!(why.iter().any(|why| said.contains(why)), "{said}");
    format!("the log counts {names}, and none is used")
}

fn combined_in_the_end(world: &World) {
    let combined = done(world, &["recovery", "combine", "--shares", &shares(world)]);
    assert_eq!(combined["members"].as_array().map(Vec::len), Some(2), "{combined:#}");
    for command in combined["next"].as_array().expect("commands") {
        let command = words(&command.as_str().expect("a command").split(' ').collect::<Vec<_>>());
        is_done(world, &command[1..]);
    }
    assert_eq!(done(world, &["verify"])["verified"], true);
    let keys = done(world, &["keys"]);
    assert_eq!(keys["objects"].as_array().map(Vec::len), Some(3), "{keys:#}");
    assert_eq!(counts(world).1, 0, "a backup that held them holds them still");
    assert_eq!(done(world, &["log", "check"])["sound"], true);
    assert_eq!(done(world, &["reconcile", "--plan"])["steps"], serde_json::json!([]));
}

#[test]
fn combining_the_recovery_on_new_tokens() {
    alone(&Wanted::mixed(), |demo| {
        kill_at_each(
            World::around(again(demo)),
            &Case {
                name: "recovery combine with the log",
                prepare: lose_every_token,
                arguments: |world| words(&["recovery", "combine", "--shares", &shares(world)]),
                judge: counted,
                finish: combined_in_the_end,
            },
        );
    });
}

/// The token can be restored from its bundle, with shares or without.
fn restored_in_the_end(world: &World) {
    let combined =
        done(world, &["recovery", "combine", "--from", &path(world), "--shares", &shares(world)]);
    assert_eq!(combined["members"].as_array().map(Vec::len), Some(2), "{combined:#}");
    done(world, &["restore", &path(world)]);
    assert_eq!(done(world, &["verify"])["verified"], true);
    let keys = done(world, &["keys"]);
    assert_eq!(keys["objects"].as_array().map(Vec::len), Some(3), "{keys:#}");
    assert_eq!(counts(world).1, 0);
}

#[test]
fn combining_the_recovery_with_nothing_but_a_bundle() {
    alone(&Wanted::mixed(), |demo| {
        kill_at_each(
            World::around(again(demo)),
            &Case {
                name: "recovery combine with a bundle",
                prepare: |world| {
                    lose_every_token(world);
                    fs::remove_dir_all(world.demo.dir().join("state")).expect("a folder");
                    // Something must be there to be put back.
                    fs::create_dir(world.demo.dir().join("state")).expect("a folder");
                },
                arguments: |world| {
                    let shares = shares(world);
                    words(&["recovery", "combine", "--from", &path(world), "--shares", &shares])
                },
                judge: |world| {
                    let said = said(&super::run(world, &["verify"]));
                    let told = ["not paired", "is gone: `tandem restore FILE`"];
                    let told = told.iter().find(|told| said.contains(**told));
                    format!("the tool says: {}", told.unwrap_or_else(|| panic!("{said}")))
                },
                finish: restored_in_the_end,
            },
        );
    });
}
