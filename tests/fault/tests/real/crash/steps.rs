//! Every step of an act in turn: counted once without a kill, then killed at each.

use super::act::Act;
use crate::common::{World, child_of_test, compiled_shim};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use tandem_tests::Wanted;

/// A place to be killed at.
#[derive(Clone, Debug)]
enum Step {
    /// Before or after a call of a member's.
    Call { member: &'static str, number: u64, function: String, after: bool },
    /// Before a write to the state folder.
    Write { number: u64, what: String },
    /// Nowhere: the process ends when the call has returned.
    Returned,
}

/// The functions that change something on a member.
const CHANGES: [&str; 8] = [
    "C_CreateObject",
    "C_CopyObject",
    "C_DestroyObject",
    "C_SetAttributeValue",
    "C_GenerateKey",
    "C_GenerateKeyPair",
    "C_UnwrapKey",
    "C_WrapKey",
];

/// Kills a process at each step of an act, and looks at what is left.
pub(crate) fn kill_at_each(wanted: &Wanted, act: Act) {
    let world = World::make(wanted);
    let shim = compiled_shim();
    let mut prepare = child_of_test("crash::child", &world);
    act.tell(prepare.env("TANDEM_FAULT_PREPARE", "1"));
    succeeded("preparing", &prepare.output().expect("a process"));
    world.keep();
    let stride: usize =
        std::env::var("TANDEM_KILL_STRIDE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let steps = count(&world, act, &shim);
    let mut table = "| # | step | what came of it |\n| --- | --- | --- |\n".to_owned();
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut failed = Vec::new();
    let mut tried = 0;
    for (at, step) in steps.iter().enumerate().step_by(stride) {
        let outcome = kill_at(&world, act, step, &shim).unwrap_or_else(|report| {
            failed.push(format!("step {}: {}\n{report}", at + 1, step.show()));
            "FAILED".to_owned()
        });
        tried += 1;
        let _ = writeln!(table, "| {} | {} | {outcome} |", at + 1, step.show());
        *outcomes.entry(outcome).or_default() += 1;
        if failed.len() >= 10 {
            break;
        }
    }
    let vendors: Vec<_> = wanted.members.iter().map(ToString::to_string).collect();
    println!(
        "{act:?} on {}: killed at {tried} of {} steps: {outcomes:?}",
        vendors.join(" + "),
        steps.len()
    );
    print!("{table}");
    assert!(
        failed.is_empty(),
        "{} steps of {tried} failed:\n{}",
        failed.len(),
        failed.join("\n\n")
    );
}

impl Step {
    fn show(&self) -> String {
        match self {
            Self::Call { member, number, function, after } => {
                format!(
                    "member {member}, {} call {number}: {function}",
                    if *after { "after" } else { "before" }
                )
            }
            Self::Write { number, what } => format!("state folder, before write {number}: {what}"),
            Self::Returned => "after the call has returned".to_owned(),
        }
    }
}

/// Runs the act once to its end, and answers its steps.
fn count(world: &World, act: Act, shim: &PathBuf) -> Vec<Step> {
    begin(world, &Step::Returned);
    let mut command = child(world, act, shim);
    command.env_remove("TANDEM_SHIM_KILL");
    succeeded("the act itself", &command.output().expect("a process"));
    let mut steps = Vec::new();
    for member in world.members() {
        for call in world.calls(member) {
            let step = |after| Step::Call {
                member,
                number: call.number,
                function: call.function.clone(),
                after,
            };
            steps.push(step(false));
            if CHANGES.contains(&call.function.as_str()) {
                steps.push(step(true));
            }
        }
    }
    let writes = fs::read_to_string(world.file("shim.log")).expect("the shim's log");
    for line in writes.lines() {
        let (number, what) = line.split_once(' ').expect("a number");
        steps
            .push(Step::Write { number: number.parse().expect("a number"), what: what.to_owned() });
    }
    steps.push(Step::Returned);
    steps
}

/// Puts the world back and writes the scripts for a step.
fn begin(world: &World, step: &Step) {
    world.restore();
    for name in ["returned", "outcome", "shim.log"] {
        let _ = fs::remove_file(world.file(name));
    }
    world.calm();
    for name in world.members() {
        let plan = match step {
            Step::Call { member, number, after, .. } if *member == name => {
                format!("at {number} {}\n", if *after { "kill-after" } else { "kill" })
            }
            _ => "# no faults\n".to_owned(),
        };
        fs::write(world.file(&format!("{name}.plan")), plan).expect("a plan");
    }
}

fn child(world: &World, act: Act, shim: &PathBuf) -> Command {
    let mut command = child_of_test("crash::child", world);
    act.tell(&mut command);
    command
        .env("LD_PRELOAD", shim)
        .env("TANDEM_SHIM_DIR", world.demo.dir().join("state"))
        .env("TANDEM_SHIM_LOG", world.file("shim.log"));
    command
}

/// Kills a process at a step. Answers what came of it, or a report of what is wrong.
fn kill_at(world: &World, act: Act, step: &Step, shim: &PathBuf) -> Result<String, String> {
    begin(world, step);
    let mut command = child(world, act, shim);
    if let Step::Write { number, .. } = step {
        command.env("TANDEM_SHIM_KILL", number.to_string());
    }
    let killed = command.output().expect("a process");
    let by_signal = killed.status.signal() == Some(libc::SIGKILL);
    // The members are written to at the same time, so there are a few writes more or less each time.
    let came_to_its_end = !by_signal && killed.status.success();
    let may_end = matches!(step, Step::Returned | Step::Write { .. });
    if (came_to_its_end && !may_end) || (!came_to_its_end && !by_signal) {
        return Err(format!("it ended otherwise: {}", said(&killed)));
    }
    if by_signal && matches!(step, Step::Returned) {
        return Err(format!("nothing was to kill it: {}", said(&killed)));
    }
    world.calm();
    let mut after = child_of_test("crash::after", world);
    act.tell(&mut after);
    let looked = after.output().expect("a process");
    let outcome = fs::read_to_string(world.file("outcome"));
    let (Ok(outcome), true) = (outcome, looked.status.success()) else {
        return Err(format!("{}\n--- tandem.log\n{}", said(&looked), world.demo.log()));
    };
    let verified = world.demo.report(&["verify"]);
    if verified["verified"] != true {
        return Err(format!("tandem verify: {verified:#}"));
    }
    Ok(outcome)
}

fn said(output: &Output) -> String {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{:?}\n{out}{err}", output.status)
}

#[track_caller]
fn succeeded(what: &str, output: &Output) {
    assert!(output.status.success(), "{what}: {}", said(output));
}
