//! The operator's tool killed at every step of a backup, a commit, a rollback, a restore: between any two calls of a member
//! and any two writes to its folders. Whatever is left is never a false "backed up", and the same command run again gets there.

mod recovery;
mod token;

use crate::common::{World, again, compiled_shim};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use tandem_tests::{Demo, Wanted, alone};

/// How many of the telling steps of each command are tried; `TANDEM_KILL_STEPS` says otherwise, and `TANDEM_KILL_STRIDE=1` tries
/// every step.
fn steps_max() -> usize {
    std::env::var("TANDEM_KILL_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

/// A command, and where it begins.
struct Case {
    name: &'static str,
    /// Brings the world to where the command begins.
    prepare: fn(&World),
    /// The command.
    arguments: fn(&World) -> Vec<String>,
    /// Looks at what a kill has left, and answers what came of it.
    judge: fn(&World) -> String,
    /// Runs it to its end, and looks at that.
    finish: fn(&World),
}

fn bundle(world: &World) -> PathBuf {
    world.demo.dir().join("safe/one.bundle")
}

fn run(world: &World, arguments: &[&str]) -> Output {
    world.demo.command(arguments).output().expect("tandem runs")
}

fn done(world: &World, arguments: &[&str]) -> serde_json::Value {
    let output = run(world, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "tandem {arguments:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{:?} {}{}", output.status, text(&output.stdout), text(&output.stderr))
}

fn path(world: &World) -> String {
    bundle(world).display().to_string()
}

fn make_key(world: &World) {
    done(world, &["keys", "generate", "--type", "ec:p256", "--label", "subject"]);
    done(world, &["keys", "generate", "--type", "generic:20", "--label", "subject"]);
}

fn counts(world: &World) -> (usize, usize) {
    let list = done(world, &["backup", "list"]);
    let number = |name: &str| list[name].as_u64().expect("a number");
    let both = (number("backed_up"), number("not_backed_up"));
    (usize::try_from(both.0).expect("few"), usize::try_from(both.1).expect("few"))
}

/// All or nothing is backed up, and what is can be read back.
fn never_falsely(world: &World) -> String {
    let list = done(world, &["backup", "list"]);
    let (yes, no) = counts(world);
    assert!(yes == 0 || no == 0, "all or nothing: {list:#}");
    if yes > 0 {
        assert_eq!(done(world, &["backup", "verify", &path(world)])["verified"], true);
    }
    let last = list["backups"].as_array().expect("backups").last();
    last.map_or("nothing begun", |last| last["state"].as_str().expect("a state")).to_owned()
}

fn commit_in_the_end(world: &World) {
    if counts(world).1 > 0 {
        done(world, &["backup", "run", "--commit", "--out", &path(world)]);
    }
    assert_eq!(counts(world).1, 0, "everything is backed up");
    assert_eq!(done(world, &["backup", "verify", &path(world)])["verified"], true);
    assert_eq!(done(world, &["verify"])["verified"], true);
}

fn words(of: &[&str]) -> Vec<String> {
    of.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn backing_up_in_one_step() {
    alone(&Wanted::mixed(), |demo| {
        kill_at_each(
            World::around(again(demo)),
            &Case {
                name: "backup run --commit",
                prepare: make_key,
                arguments: |world| words(&["backup", "run", "--commit", "--out", &path(world)]),
                judge: never_falsely,
                finish: commit_in_the_end,
            },
        );
    });
}

#[test]
fn preparing_committing_and_rolling_back() {
    alone(&Wanted::mixed(), |demo| {
        let world = World::around(again(demo));
        let prepare = Case {
            name: "backup prepare",
            prepare: make_key,
            arguments: |_| words(&["backup", "prepare"]),
            judge: never_falsely,
            finish: commit_in_the_end,
        };
        let world = kill_at_each(world, &prepare);
        let commit = Case {
            name: "backup commit",
            prepare: |world| {
                done(world, &["backup", "run", "--out", &path(world)]);
            },
            arguments: |_| words(&["backup", "commit"]),
            ..prepare
        };
        let world = kill_at_each(world, &commit);
        let roll_back = Case {
            name: "backup rollback",
            prepare: |_| {},
            arguments: |_| words(&["backup", "rollback"]),
            judge: |world| {
                let state = never_falsely(world);
                assert_eq!(counts(world).0, 0, "what is given up never counted");
                state
            },
            finish: |world| {
                let _ = run(world, &["backup", "rollback"]);
                assert_eq!(counts(world).0, 0);
                let other = world.demo.dir().join("safe/two.bundle").display().to_string();
                done(world, &["backup", "run", "--commit", "--out", &other]);
                assert_eq!(counts(world).1, 0, "and the next one does");
            },
        };
        kill_at_each(world, &roll_back);
    });
}

#[test]
fn verifying_a_backup() {
    alone(&Wanted::mixed(), |demo| {
        kill_at_each(
            World::around(again(demo)),
            &Case {
                name: "backup verify",
                prepare: |world| {
                    make_key(world);
                    done(world, &["backup", "run", "--commit", "--out", &path(world)]);
                },
                arguments: |world| words(&["backup", "verify", &path(world)]),
                judge: |world| {
                    assert_eq!(counts(world).1, 0, "that nobody looked to its end says nothing");
                    never_falsely(world)
                },
                finish: commit_in_the_end,
            },
        );
    });
}

/// The log is where it should be, once everything is done.
fn restored(world: &World) {
    done(world, &["restore", &path(world), "--shares", &shares(world)]);
    assert_eq!(done(world, &["log", "check", &path(world)])["sound"], true);
    assert_eq!(done(world, &["verify"])["verified"], true);
    let keys = done(world, &["keys"]);
    assert_eq!(keys["objects"].as_array().map(Vec::len), Some(3), "{keys:#}");
    assert_eq!(counts(world).1, 0);
}

fn shares(world: &World) -> String {
    world.demo.dir().join("shares").display().to_string()
}

/// A token that can't be used before the restore is done is told; one that can has everything.
fn half_restored(world: &World) -> String {
    let output = run(world, &["verify", "--json"]);
    if output.status.success() {
        return "works".to_owned();
    }
    if serde_json::from_slice::<serde_json::Value>(&output.stdout).is_ok() {
        // The log is whole, and the members that were brought in work.
        return "works in part".to_owned();
    }
    let said = said(&output);
    assert!(
        ["restore", "not paired"].iter().any(|word| said.contains(word)),
        "it says what to do: {said}"
    );
    "says that it is to be restored".to_owned()
}

#[test]
fn restoring_a_lost_state_folder() {
    alone(&Wanted::mixed(), |demo| {
        kill_at_each(
            World::around(again(demo)),
            &Case {
                name: "restore of a lost state folder",
                prepare: |world| {
                    make_key(world);
                    done(world, &["backup", "run", "--commit", "--out", &path(world)]);
                    fs::remove_dir_all(world.demo.dir().join("state")).expect("a folder");
                    // Something must be there to be put back.
                    fs::create_dir(world.demo.dir().join("state")).expect("a folder");
                },
                arguments: |world| words(&["restore", &path(world)]),
                judge: half_restored,
                finish: restored,
            },
        );
    });
}

#[test]
fn restoring_onto_new_tokens() {
    alone(&Wanted::mixed(), |demo| {
        done(&World::at(demo.dir(), &Wanted::mixed()), &["status"]);
        let old = World::at(demo.dir(), &Wanted::mixed());
        make_key(&old);
        fs::create_dir(demo.dir().join("safe")).expect("a folder");
        done(&old, &["backup", "run", "--commit", "--out", &path(&old)]);
        let dir = demo.dir().join("new");
        let new = Demo::unpaired(&Wanted::mixed(), &dir);
        for what in ["safe", "shares"] {
            let copied = Command::new("cp").arg("-a").arg(demo.dir().join(what)).arg(&dir).status();
            assert!(copied.expect("cp").success());
        }
        kill_at_each(
            World::around(new),
            &Case {
                name: "restore onto new tokens",
                prepare: |world| {
                    let _ = fs::create_dir(world.demo.dir().join("state"));
                },
                arguments: |world| words(&["restore", &path(world), "--shares", &shares(world)]),
                judge: half_restored,
                finish: restored,
            },
        );
    });
}

/// A place to be killed at.
#[derive(Clone, Debug)]
enum Step {
    /// Before a call of a member's.
    Call(&'static str, u64, String),
    /// Before a write.
    Write(u64, String),
}

impl Step {
    /// False for what is done many times over and changes nothing.
    fn is_telling(&self) -> bool {
        match self {
            Self::Call(_, _, function) => !function.starts_with("C_GetMechanism"),
            Self::Write(_, what) => !what.contains("lock "),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Call(member, number, function) => {
                format!("member {member}, before call {number}: {function}")
            }
            Self::Write(number, what) => format!("before write {number}: {what}"),
        }
    }
}

/// Kills the command at its steps, one after the other. The world is where the command begins, afterwards as before.
fn kill_at_each(world: World, case: &Case) -> World {
    world.calm();
    let _ = fs::create_dir(world.demo.dir().join("safe"));
    (case.prepare)(&world);
    world.keep_also("safe");
    let all = std::env::var_os("TANDEM_KILL_STRIDE").is_some_and(|stride| stride == "1");
    let mut steps = count(&world, case);
    steps.retain(|step| all || step.is_telling());
    let stride = if all { 1 } else { steps.len().div_ceil(steps_max()).max(1) };
    let mut table = format!("| {} | killed | what was left |\n| --- | --- | --- |\n", case.name);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate().step_by(stride) {
        world.restore_also("safe");
        let outcome = kill_at(&world, case, step);
        let _ = writeln!(table, "| {} | {} | {outcome} |", at + 1, step.show());
        *outcomes.entry(outcome).or_default() += 1;
    }
    world.restore_also("safe");
    print!("{table}");
    println!(
        "| {} | {} of {} steps | {outcomes:?} |",
        case.name,
        steps.len().div_ceil(stride),
        steps.len()
    );
    world
}

/// The command, with its writes counted.
fn command(world: &World, case: &Case) -> Command {
    let mut command = world.demo.command((case.arguments)(world));
    command
        .env("LD_PRELOAD", compiled_shim())
        // State folder and safe begin so.
        .env("TANDEM_SHIM_DIR", world.demo.dir().join("s"))
        .env("TANDEM_SHIM_ARMED", "1")
        .env("TANDEM_SHIM_LOG", world.file("shim.log"));
    command
}

/// Runs the command once to its end, and answers its steps.
fn count(world: &World, case: &Case) -> Vec<Step> {
    world.calm();
    let _ = fs::remove_file(world.file("shim.log"));
    let output = command(world, case).output().expect("tandem runs");
    assert!(output.status.success(), "{}: {}", case.name, said(&output));
    let mut steps = Vec::new();
    for member in world.members() {
        let calls = world.calls(member);
        steps.extend(calls.into_iter().map(|call| Step::Call(member, call.number, call.function)));
    }
    let writes = fs::read_to_string(world.file("shim.log")).expect("the shim's log");
    steps.extend(writes.lines().map(|line| {
        let (number, what) = line.split_once(' ').expect("a number");
        Step::Write(number.parse().expect("a number"), what.to_owned())
    }));
    steps
}

fn kill_at(world: &World, case: &Case, step: &Step) -> String {
    world.calm();
    let mut command = command(world, case);
    match step {
        Step::Call(member, number, _) => world.script(member, &format!("at {number} kill\n")),
        Step::Write(number, _) => {
            command.env("TANDEM_SHIM_KILL", number.to_string());
        }
    }
    let output = command.output().expect("tandem runs");
    world.calm();
    // A run is not always the same to the call: one that ends before the step has nothing left to be killed at.
    let killed = output.status.signal() == Some(libc::SIGKILL);
    assert!(killed || output.status.success(), "{}: {}", step.show(), said(&output));
    let outcome = (case.judge)(world);
    (case.finish)(world);
    if killed { outcome } else { format!("not killed: {outcome}") }
}
