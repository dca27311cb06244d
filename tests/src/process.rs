//! Tests in processes of their own. What a test does to its process (the environment, one initialised module, forks)
//! reaches no other test, and a test that hangs or crashes is one that failed.

use crate::{Demo, Vendor, Wanted};
use std::any::type_name_of_val;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Says to a process that it is a test's own, and where its demo is.
const INSIDE: &str = "TANDEM_TEST_DEMO";
/// How long a test may take on a machine that is busy with others; `TANDEM_TEST_SECONDS` says otherwise, for those that are
/// told to do more than usual.
fn seconds_max() -> Duration {
    let said = std::env::var("TANDEM_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(said.unwrap_or(300))
}

/// Runs the body of a test in a process of its own, with a demo of its own that `TANDEM_CONFIG` names.
///
/// It must be the test's only statement, and the body a closure: the test's name is taken from it.
pub fn alone(wanted: &Wanted, body: impl FnOnce(&Demo)) {
    if let Some(dir) = std::env::var_os(INSIDE) {
        // What the test tells begins a line of its own.
        println!();
        body(&Demo::at(Path::new(&dir), &wanted.members));
        return;
    }
    let name = test_of(&body);
    let (dir, demo) = Demo::make(wanted);
    let mut command = Command::new(std::env::current_exe().expect("a path of this program"));
    command
        .args(["--exact", &name, "--nocapture", "--include-ignored", "--test-threads=1"])
        .env("TANDEM_CONFIG", demo.config())
        .env_remove("TANDEM_PIN")
        .env(INSIDE, dir.path());
    let (status, said) = run(command);
    let ran = said.contains("1 passed");
    if !(status.is_some_and(|status| status.success()) && ran) {
        let log = demo.log();
        let log: Vec<_> = log.lines().rev().take(40).collect();
        let log: Vec<_> = log.into_iter().rev().collect();
        let kept = std::env::var_os("TANDEM_TEST_KEEP").map(|_| dir.keep());
        panic!(
            "{name}: {status:?}\n{said}\n--- tandem.log ---\n{}\n{}",
            log.join("\n"),
            shown(kept)
        );
    }
    // What the test tells (a table, a reason to skip) is shown as if it had been said here.
    for line in said.lines().filter(|line| line.starts_with('|') || line.starts_with("skipped")) {
        println!("{line}");
    }
}

fn shown(kept: Option<PathBuf>) -> String {
    kept.map(|dir| format!("kept: {}", dir.display())).unwrap_or_default()
}

/// The name of the test whose closure this is.
fn test_of<T>(body: &T) -> String {
    let name = type_name_of_val(body);
    let (_, path) = name.split_once("::").expect("a path");
    path.split("::{{closure}}").next().expect("a name").to_owned()
}

/// Runs a program to its end, or to the end of patience. Answers how it ended and what it said.
fn run(mut command: Command) -> (Option<ExitStatus>, String) {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    command.stdin(Stdio::null());
    command.stdout(writer.try_clone().expect("a pipe")).stderr(writer);
    let mut child = command.spawn().expect("the test's own process");
    // The pipe's other end is the child's alone from here on.
    drop(command);
    let said = thread::spawn(move || {
        let mut said = Vec::new();
        let _ = reader.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    });
    let until = Instant::now() + seconds_max();
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break Some(status),
            None if Instant::now() > until => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    (status, said.join().expect("what was said"))
}

/// Says why a test does nothing here.
pub fn skip(why: &str) {
    println!("skipped: {why}");
}

/// How long a forked child may take.
const CHILD_SECONDS_MAX: u64 = 60;

/// Does something in a forked child and answers how it ended: true if the work said so. Should it panic, or take too long,
/// that is false.
pub fn child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child has one thread, this one; it allocates (which glibc allows) and leaves by `_exit`.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // SAFETY: ends this process and nothing else.
            unsafe { libc::_exit(i32::from(!matches!(done, Ok(true)))) }
        }
        pid => {
            let until = Instant::now() + Duration::from_secs(CHILD_SECONDS_MAX);
            let mut status = ended(pid, libc::WNOHANG);
            while status.is_none() && Instant::now() < until {
                thread::sleep(Duration::from_millis(5));
                status = ended(pid, libc::WNOHANG);
            }
            if status.is_none() {
                println!("a child hangs");
                // SAFETY: `pid` is our child, which nobody has waited for yet.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                status = ended(pid, 0);
            }
            status.is_some_and(|it| libc::WIFEXITED(it) && libc::WEXITSTATUS(it) == 0)
        }
    }
}

/// How a child has ended, if it has.
fn ended(pid: libc::pid_t, options: libc::c_int) -> Option<libc::c_int> {
    let mut status = 0;
    // SAFETY: `pid` is our child, and `status` is a place for its end.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, options) };
    (waited == pid).then_some(status)
}

/// The pair of members that a test is about, for its messages.
impl std::fmt::Display for Vendor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SoftHsm => "SoftHSM",
            Self::Kryoptic => "Kryoptic",
        })
    }
}

/// Runs a command and kills it (SIGKILL) as soon as something is so.
pub fn kill_when(mut command: Command, so: impl Fn() -> bool) {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running(command.spawn().expect("a process"));
    // Whoever watches comes before what is watched, however much else this machine has to do.
    let process = running.0.id();
    // SAFETY: numbers alone.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, process, 19) };
    let until = Instant::now() + seconds_max();
    while !so() {
        assert!(running.0.try_wait().expect("a child").is_none(), "it ended before it was killed");
        assert!(Instant::now() < until, "it never came so far");
    }
    running.0.kill().expect("it still runs");
    let status = running.0.wait().expect("a child");
    assert!(status.code().is_none(), "it was done before it could be killed: {status}");
}

/// A process that doesn't outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
