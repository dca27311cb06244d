//! Every step of an act in turn: counted once without a kill, then killed at each.

use super::act::Act;
use crate::common::{World, child_of_test, compiled_shim};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use tandem_tests::{Demo, Wanted};

/// A place to be killed at.
#[derive(Clone, Debug)]
enum Step {
    /// Before or after a call of a member's.
    Call { member: &'static str, number: u64, function: String, after: bool },
    /// Before a write to the folder that is watched.
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

/// How often the file of one of SoftHSM's objects is locked and cut short from before it has a name until it is whole, at least.
const LAST_WRITES: usize = 10;

/// What is killed, and where.
struct Killing {
    world: World,
    act: Act,
    shim: PathBuf,
    /// The folder of which writes are counted.
    folder: PathBuf,
}

/// Kills a process at each step of an act, and looks at what is left.
pub(crate) fn kill_at_each(wanted: &Wanted, act: Act) {
    let killing = Killing::of(wanted, act, |demo| demo.dir().join("state"));
    let steps = killing.count();
    killing.kill_at_each(&steps);
}

/// The same within SoftHSM's own calls: before each of the last writes of each object's file.
pub(crate) fn kill_within_softhsm(wanted: &Wanted, act: Act) {
    let killing = Killing::of(wanted, act, |demo| demo.storage("a"));
    let mut of_file = BTreeMap::<String, Vec<Step>>::new();
    for step in killing.count() {
        if let Step::Write { what, .. } = &step
            && let Some(file) =
                what.strip_prefix("lock ").or_else(|| what.strip_prefix("truncate "))
            && file.ends_with(".object")
            && !file.ends_with("token.object")
        {
            of_file.entry(file.to_owned()).or_default().push(step);
        }
    }
    let steps: Vec<_> =
        of_file.into_values().flat_map(|steps| steps.into_iter().rev().take(LAST_WRITES)).collect();
    assert!(!steps.is_empty(), "SoftHSM writes nothing that is seen");
    killing.kill_at_each(&steps);
}

impl Killing {
    fn of(wanted: &Wanted, act: Act, folder: impl Fn(&Demo) -> PathBuf) -> Self {
        let world = World::make(wanted);
        let mut prepare = child_of_test("crash::child", &world);
        act.tell(prepare.env("TANDEM_FAULT_PREPARE", "1"));
        succeeded("preparing", &prepare.output().expect("a process"));
        world.keep();
        let folder = folder(&world.demo);
        Self { world, act, shim: compiled_shim(), folder }
    }

    /// Kills a process at each of these steps.
    fn kill_at_each(&self, steps: &[Step]) {
        let stride = std::env::var("TANDEM_KILL_STRIDE").ok().and_then(|text| text.parse().ok());
        let mut table = "| # | step | what came of it |\n| --- | --- | --- |\n".to_owned();
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        let mut failed = Vec::new();
        let mut tried = 0;
        for (at, step) in steps.iter().enumerate().step_by(stride.unwrap_or(1)) {
            let outcome = self.kill_at(step).unwrap_or_else(|report| {
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
        let vendors = self.world.demo.members().into_iter().map(|(_, vendor)| vendor.to_string());
        println!(
            "{:?} on {}: killed at {tried} of {} steps: {outcomes:?}",
            self.act,
            vendors.collect::<Vec<_>>().join(" + "),
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

    /// Runs the act once to its end, and answers its steps.
    fn count(&self) -> Vec<Step> {
        self.begin(&Step::Returned);
        let mut command = self.child();
        command.env_remove("TANDEM_SHIM_KILL");
        succeeded("the act itself", &command.output().expect("a process"));
        let mut steps = Vec::new();
        for member in self.world.members() {
            for call in self.world.calls(member) {
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
        let writes = fs::read_to_string(self.world.file("shim.log")).expect("the shim's log");
        for line in writes.lines() {
            let (number, what) = line.split_once(' ').expect("a number");
            steps.push(Step::Write {
                number: number.parse().expect("a number"),
                what: what.to_owned(),
            });
        }
        steps.push(Step::Returned);
        steps
    }

    /// Puts the world back and writes the scripts for a step.
    fn begin(&self, step: &Step) {
        self.world.restore();
        for name in ["returned", "outcome", "shim.log"] {
            let _ = fs::remove_file(self.world.file(name));
        }
        self.world.calm();
        for name in self.world.members() {
            let plan = match step {
                Step::Call { member, number, after, .. } if *member == name => {
                    format!("at {number} {}\n", if *after { "kill-after" } else { "kill" })
                }
                _ => "# no faults\n".to_owned(),
            };
            fs::write(self.world.file(&format!("{name}.plan")), plan).expect("a plan");
        }
    }

    fn child(&self) -> Command {
        let mut command = child_of_test("crash::child", &self.world);
        self.act.tell(&mut command);
        command
            .env("LD_PRELOAD", &self.shim)
            .env("TANDEM_SHIM_DIR", &self.folder)
            .env("TANDEM_SHIM_LOG", self.world.file("shim.log"));
        command
    }

    /// Kills a process at a step. Answers what came of it, or a report of what is wrong.
    fn kill_at(&self, step: &Step) -> Result<String, String> {
        self.begin(step);
        let mut command = self.child();
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
        self.world.calm();
        let mut after = child_of_test("crash::after", &self.world);
        self.act.tell(&mut after);
        let looked = after.output().expect("a process");
        let outcome = fs::read_to_string(self.world.file("outcome"));
        let (Ok(outcome), true) = (outcome, looked.status.success()) else {
            return Err(format!("{}\n--- tandem.log\n{}", said(&looked), self.world.demo.log()));
        };
        let verified = self.world.demo.report(&["verify"]);
        if verified["verified"] != true {
            return Err(format!("tandem verify: {verified:#}"));
        }
        Ok(outcome)
    }
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
            Self::Write { number, what } => format!("before write {number}: {what}"),
            Self::Returned => "after the call has returned".to_owned(),
        }
    }
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
