//! Other processes: this test program, started again with a task. What a helper says to its test begins with `@`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tandem_engine::log::{Append, Catalogue, Followers, Log};
use tandem_store::contract::{append, record_after};
use tandem_store::{SqliteStore, Step, watch};

/// A helper says or does nothing for so long only if it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Helper {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Helper {
    pub(crate) fn start(task: &str, folder: &Path) -> Self {
        Self::start_under("", &[], task, folder)
    }

    /// Starts a helper after `setup`, a line of shell, and through a program that runs another.
    pub(crate) fn start_under(setup: &str, through: &[&str], task: &str, folder: &Path) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("{setup}\nexec \"$@\""), "sh"])
            .args(through)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "helper::helper", "--nocapture", "--test-threads=1"])
            .env("TANDEM_STORE_TASK", task)
            .env("TANDEM_STORE_FOLDER", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some((_, said)) = line.split_once("@ ") {
                    let _ = sender.send(said.to_owned());
                }
            }
        });
        Self { stdin: child.stdin.take(), child, lines }
    }

    /// What it says next.
    pub(crate) fn hear(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the helper says nothing")
    }

    /// What it has said since, without waiting for more than what it has written.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.lines.recv_timeout(Duration::from_secs(5)).ok()).collect()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has done its task well.
    pub(crate) fn finish(mut self) -> Vec<String> {
        drop(self.stdin.take());
        let said: Vec<String> =
            std::iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok()).collect();
        assert!(self.child.wait().unwrap().success(), "the helper failed: {said:?}");
        said
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a helper: says something to the test.
pub(crate) fn say(said: impl std::fmt::Display) {
    println!("@ {said}");
}

/// In a helper: what the test tells; `None` when it has nothing more to tell.
pub(crate) fn told() -> Option<String> {
    std::io::stdin().lines().next()?.ok()
}

pub(crate) fn forever() -> ! {
    loop {
        std::thread::sleep(PATIENCE);
    }
}

/// In a helper.
pub(crate) fn store(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, None).unwrap()
}

#[test]
fn helper() {
    let Ok(task) = std::env::var("TANDEM_STORE_TASK") else { return };
    let folder = PathBuf::from(std::env::var_os("TANDEM_STORE_FOLDER").unwrap());
    let (task, argument) = task.split_once(' ').unwrap_or((&task, ""));
    match task {
        "append" => appends(&folder, argument.parse().unwrap()),
        "kill-at" => stops(&folder, argument),
        "churn" => churns(&folder),
        "lease" => leases(&folder, argument),
        "count" => counts(&folder, argument.parse().unwrap()),
        "generation" => generations(&folder),
        "user" => crate::folder::be_a_user(&folder, argument.parse().unwrap()),
        "fill" => crate::trouble::fill(&folder),
        "fork-storm" => crate::forks::storm(&folder),
        "fork-lease" => crate::forks::lease(&folder, argument),
        "fork-inside" => crate::forks::inside(&folder),
        "fork-bare" => crate::forks::bare(&folder),
        "fork-first" => crate::forks::first(&folder),
        _ => panic!("no such task: {task}"),
    }
}

/// Appends so many records, and says each position once it is acknowledged.
fn appends(folder: &Path, count: u32) {
    let store = store(folder);
    for _ in 0..count {
        let body = std::process::id().to_be_bytes();
        say(append(&store, &body, Some(&body)).unwrap().position);
    }
}

/// Appends a record and erases the first one's bytes, and stops for ever at a step of that.
fn stops(folder: &Path, step: &str) {
    let store = store(folder);
    let step = step.to_owned();
    watch(move |now: Step| {
        if format!("{now:?}") == step {
            say("stopped");
            forever();
        }
    });
    let _ = store.append(&mut |head| {
        Ok(Append { records: vec![record_after(head, b"killed", None)], erase: vec![1] })
    });
    panic!("never came to the step");
}

/// Appends for ever, erasing what came ten records before.
fn churns(folder: &Path) {
    let store = store(folder);
    loop {
        let head = store
            .append(&mut |head| {
                let wrapped = vec![head.position.to_be_bytes()[7]; 300];
                let record = record_after(head, b"churn", Some(&wrapped));
                let erase = record.position.checked_sub(10).filter(|position| *position > 0);
                Ok(Append { records: vec![record], erase: erase.into_iter().collect() })
            })
            .unwrap();
        say(head.position);
    }
}

/// Takes a lease, and advances when told to.
fn leases(folder: &Path, follower: &str) {
    let store = store(folder);
    let mut lease = store.lease(follower, 0).unwrap().unwrap();
    say(lease.epoch());
    while let Some(position) = told() {
        match lease.advance(position.parse().unwrap()) {
            Ok(()) => say("advanced"),
            Err(error) => say(error),
        }
    }
}

/// Counts up under a lease.
fn counts(folder: &Path, times: u32) {
    let store = store(folder);
    for _ in 0..times {
        let mut lease = store.lease("counter", 60_000).unwrap().unwrap();
        let position = lease.following().unwrap().position;
        lease.advance(position + 1).unwrap();
    }
}

/// Says the generation whenever it is asked.
fn generations(folder: &Path) {
    let store = store(folder);
    say(store.generation());
    while told().is_some() {
        say(store.generation());
    }
}
