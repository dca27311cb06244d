//! OpenDNSSEC's own bookkeeping taken along: it hears of a backup in the order that never lets it call a key backed up that is not. The
//! enforcer is a program that writes down what it was asked; the real one runs in `tests/disaster.sh`.

use super::{argument, back_up, done, file, is_backed_up, refused};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tandem_tests::{Demo, Wanted, alone};

/// Writes down each question, and whether it was given a PIN; fails at the one that the file `fails` names.
const ENFORCER: &str = "#!/bin/sh\ncd \"${0%/*}\"\necho \"$1 $2${TANDEM_PIN:+ with a PIN}\" >> asked\n! grep -qsx \"$2\" fails\n";

fn enforcer(demo: &Demo) -> String {
    fs::create_dir(file(demo, "ods")).expect("a folder");
    let program = file(demo, "ods/enforcer");
    fs::write(&program, ENFORCER).expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("a mode");
    program.display().to_string()
}

/// What it was asked since the last time.
fn asked(demo: &Demo) -> Vec<String> {
    let asked = fs::read_to_string(file(demo, "ods/asked")).unwrap_or_default();
    let _ = fs::remove_file(file(demo, "ods/asked"));
    asked.lines().map(str::to_owned).collect()
}

fn make_key(demo: &Demo, label: &str) {
    done(demo, &["keys", "generate", "--type", "ec:p256", "--label", label]);
}

#[test]
fn opendnssec_is_prepared_first_and_told_last() {
    alone(&Wanted::mixed(), |demo| {
        let program = enforcer(demo);
        make_key(demo, "one");
        let (out, next) = (argument(demo, "one.bundle"), argument(demo, "two.bundle"));
        let with = |out| ["backup", "run", "--commit", "--opendnssec", &program, "--out", out];
        done(demo, &with(&out));
        assert_eq!(asked(demo), ["backup prepare", "backup commit"], "and never with the PIN");
        assert!(is_backed_up(demo, "one"));

        // What is there is never written over, and then nothing is backed up for anybody.
        make_key(demo, "two");
        refused(demo, &with(&out), &["rolled back as well"]);
        assert_eq!(asked(demo), ["backup prepare", "backup rollback"]);
        assert!(!is_backed_up(demo, "two"));

        // Where it can't prepare, nothing is begun.
        fs::write(file(demo, "ods/fails"), "prepare\n").expect("a file");
        refused(demo, &with(&next), &["nothing was begun"]);
        assert_eq!(asked(demo), ["backup prepare"]);
        refused(demo, &["backup", "rollback"], &["no backup is prepared"]);

        // Tandem's backup counts before it is told.
        fs::write(file(demo, "ods/fails"), "commit\n").expect("a file");
        refused(demo, &with(&next), &["is committed, and OpenDNSSEC was not told"]);
        assert!(is_backed_up(demo, "two"));
    });
}

#[test]
fn a_backup_that_began_before_opendnssec_was_asked_is_not_taken_for_its_own() {
    alone(&Wanted::mixed(), |demo| {
        let program = enforcer(demo);
        done(demo, &["backup", "prepare"]);
        // OpenDNSSEC would call it backed up, and it comes after the backup's position.
        make_key(demo, "late");
        let out = argument(demo, "one.bundle");
        let arguments = ["backup", "run", "--commit", "--opendnssec", &program, "--out", &out];
        refused(demo, &arguments, &["is prepared already"]);
        assert_eq!(asked(demo), [""; 0], "it was not even asked");
        done(demo, &["backup", "rollback"]);
        done(demo, &arguments);
        assert!(is_backed_up(demo, "late"));
        back_up(demo, "two.bundle");
    });
}
