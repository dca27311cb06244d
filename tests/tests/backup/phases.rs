//! Prepare, run, commit, roll back, in order and out of order.

use super::{argument, back_up, done, file, is_backed_up, refused};
use std::fs;
use tandem_tests::{Demo, Wanted, alone};

fn make(demo: &Demo, label: &str) {
    done(demo, &["keys", "generate", "--type", "ec:p256", "--label", label]);
}

#[test]
fn phases_out_of_order_are_refused_and_change_nothing() {
    alone(&Wanted::mixed(), |demo| {
        make(demo, "k");
        refused(demo, &["backup", "commit"], &["tandem backup prepare"]);
        refused(demo, &["backup", "rollback"], &["tandem backup prepare"]);
        let prepared = done(demo, &["backup", "prepare"]);
        let id = prepared["backup"]["id"].as_str().expect("an identity").to_owned();
        refused(demo, &["backup", "prepare"], &["is prepared already", &id]);
        refused(demo, &["backup", "commit"], &["no verified artefact", "--out FILE"]);
        done(demo, &["backup", "run", "--out", &argument(demo, "one.bundle")]);
        done(demo, &["backup", "commit"]);
        refused(demo, &["backup", "commit"], &["tandem backup prepare"]);
        refused(demo, &["backup", "rollback"], &["tandem backup prepare"]);
        assert!(is_backed_up(demo, "k"));

        make(demo, "later");
        done(demo, &["backup", "prepare"]);
        done(demo, &["backup", "run", "--out", &argument(demo, "two.bundle")]);
        let given_up = done(demo, &["backup", "rollback"]);
        assert_eq!(given_up["backup"]["state"], "rolled-back");
        assert!(!is_backed_up(demo, "later") && is_backed_up(demo, "k"));
        let list = done(demo, &["backup", "list"]);
        let counts: Vec<_> = list["backups"].as_array().expect("backups").iter().collect();
        assert_eq!(counts.len(), 2);
        assert_eq!((&counts[0]["counts"], &counts[1]["counts"]), (&true.into(), &false.into()));
    });
}

#[test]
fn a_bundle_is_never_written_over_another_file() {
    alone(&Wanted::mixed(), |demo| {
        make(demo, "k");
        fs::write(file(demo, "mine"), "of somebody").expect("a file");
        let run = ["backup", "run", "--commit", "--out", &argument(demo, "mine")];
        refused(demo, &run, &["is there already"]);
        assert_eq!(fs::read(file(demo, "mine")).expect("a file"), b"of somebody");
        assert!(!is_backed_up(demo, "k"));
        back_up(demo, "one.bundle");
        // The bundle of a backup that has ended is somebody's file too.
        let again = ["backup", "run", "--commit", "--out", &argument(demo, "one.bundle")];
        refused(demo, &again, &["is there already"]);
        let nowhere = argument(demo, "nowhere/one.bundle");
        refused(demo, &["backup", "run", "--out", &nowhere], &["can't be written", &nowhere]);
        let left: Vec<_> = fs::read_dir(demo.dir())
            .expect("a folder")
            .filter_map(Result::ok)
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".part"))
            .collect();
        assert!(left.is_empty(), "nothing is left lying about: {left:?}");
    });
}

#[test]
fn a_part_and_what_came_after_count_for_what_they_hold() {
    alone(&Wanted::mixed(), |demo| {
        for label in ["a", "b", "c"] {
            make(demo, label);
        }
        let some = argument(demo, "some.bundle");
        let chosen = ["backup", "run", "--commit", "--out", &some, "--label", "a"];
        assert_eq!(done(demo, &chosen)["backup"]["artefacts"][0]["selected"], 2);
        let told: Vec<_> = ["a", "b", "c"].iter().map(|label| is_backed_up(demo, label)).collect();
        assert_eq!(told, [true, false, false]);
        let unknown = ["backup", "run", "--out", &argument(demo, "x"), "--label", "nobody"];
        refused(demo, &unknown, &["no object is labelled \"nobody\""]);
        done(demo, &["backup", "rollback"]);

        let more = argument(demo, "more.bundle");
        let incremental = ["backup", "run", "--commit", "--out", &more, "--incremental"];
        refused(demo, &incremental, &["no committed bundle to build on"]);
        done(demo, &["backup", "rollback"]);
        let whole = back_up(demo, "whole.bundle");
        make(demo, "d");
        let built = done(demo, &incremental);
        assert_eq!(built["backup"]["artefacts"][0]["base"], whole["backup"]["id"]);
        assert!(built["bundle"]["records"].as_u64() < whole["bundle"]["records"].as_u64());
        assert!(is_backed_up(demo, "b") && is_backed_up(demo, "d"));

        // A base that is gone takes with it what was built on it.
        let id = whole["backup"]["id"].as_str().expect("an identity").to_owned();
        done(demo, &["backup", "withdraw", &id, "--reason", "lost"]);
        let told: Vec<_> =
            ["a", "b", "c", "d"].iter().map(|label| is_backed_up(demo, label)).collect();
        assert_eq!(told, [true, false, false, false], "the part of a stands by itself");
    });
}

#[test]
fn the_vendors_own_procedure_counts_on_the_operators_word() {
    alone(&Wanted::mixed(), |demo| {
        make(demo, "k");
        done(demo, &["backup", "prepare"]);
        make(demo, "later");
        let run = ["backup", "run", "--vendor", "cards 4 and 5, safe of Tuesday"];
        let made = done(demo, &run);
        let artefact = &made["backup"]["artefacts"][0];
        assert_eq!((&artefact["kind"], &artefact["verified"]), (&"vendor".into(), &false.into()));
        done(demo, &["backup", "commit"]);
        assert!(is_backed_up(demo, "k") && !is_backed_up(demo, "later"));
    });
}
