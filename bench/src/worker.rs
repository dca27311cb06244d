//! A process of its own for each module: it does what it is asked, as often as it can in the time it is given.
//!
//! One line of JSON in, one out. Its first line tells how long it took to be ready.

use crate::case::{Case, Subject, find_one};
use crate::module::{Module, Result};
use cryptoki_sys::{CKM_ECDSA, CKO_PRIVATE_KEY};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Barrier;
use std::thread::scope;
use std::time::{Duration, Instant};

/// A slice of work.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Ask {
    /// What.
    pub case: Case,
    /// By how many threads.
    pub threads: usize,
    /// For how long, in milliseconds; each thread does it once at least.
    pub millis: u64,
    /// How many keys fill the token.
    pub filled: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Done {
    /// How often it was done.
    pub times: u64,
    /// From the first beginning to the last end, in nanoseconds.
    pub nanos: u64,
    /// The process's memory, in KiB.
    pub memory: u64,
}

/// How long it took to be ready, in nanoseconds each.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Ready {
    /// C_Initialize, with loading the module.
    pub initialise: u64,
    /// Finding the slot, opening a session, C_Login.
    pub login: u64,
    /// The first C_FindObjects.
    pub find: u64,
    /// The first signature.
    pub sign: u64,
    /// The process's memory then, in KiB.
    pub memory: u64,
}

impl Ready {
    /// All of it.
    pub const fn total(&self) -> u64 {
        self.initialise + self.login + self.find + self.sign
    }
}

/// An answer: what came of it, or why nothing did.
pub type Answer<T> = std::result::Result<T, String>;

/// Serves until its input ends. The PIN is the first line.
pub fn serve(
    module: &Path,
    label: &str,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
) -> Result<()> {
    let mut pin = String::new();
    input.read_line(&mut pin).map_err(|error| error.to_string())?;
    let mut stopwatch = Instant::now();
    let mut lap = || {
        let took = stopwatch.elapsed();
        stopwatch = Instant::now();
        u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
    };
    let module = Module::start(module)?;
    let initialise = lap();
    let slot = module.slot(label)?;
    let session = module.open(slot)?;
    session.login(pin.trim_end().as_bytes())?;
    let login = lap();
    let key = find_one(&session, CKO_PRIVATE_KEY, "bench-p256")?;
    let find = lap();
    session.sign(CKM_ECDSA, key, &[7; 32], &mut [0; 128])?;
    let ready = Ready { initialise, login, find, sign: lap(), memory: memory() };
    tell(output, &Answer::Ok(ready))?;
    for line in input.lines() {
        let line = line.map_err(|error| error.to_string())?;
        let ask: Ask = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        tell(output, &slice(&module, slot, ask))?;
    }
    drop(session);
    module.stop()
}

fn tell<T: Serialize>(output: &mut dyn Write, answer: &Answer<T>) -> Result<()> {
    let line = serde_json::to_string(answer).map_err(|error| error.to_string())?;
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(|error| error.to_string())
}

/// Works for a while.
fn slice(module: &Module, slot: u64, ask: Ask) -> Answer<Done> {
    let subjects: Vec<_> = (0..ask.threads)
        .map(|number| Subject::prepare(module.open(slot)?, ask.case, number, ask.filled))
        .collect::<Result<_>>()?;
    let together = Barrier::new(ask.threads);
    let runs = scope(|scope| {
        let runs: Vec<_> = subjects
            .into_iter()
            .map(|subject| scope.spawn(|| run(subject, &together, ask.millis)))
            .collect();
        let join = |run: std::thread::ScopedJoinHandle<'_, _>| {
            run.join().unwrap_or_else(|_| Err("a thread has panicked".to_owned()))
        };
        runs.into_iter().map(join).collect::<Result<Vec<(u64, Instant, Instant)>>>()
    })?;
    let times = runs.iter().map(|(times, ..)| times).sum();
    let begun = runs.iter().map(|(_, begun, _)| *begun).min();
    let ended = runs.iter().map(|(.., ended)| *ended).max();
    let took = ended.zip(begun).map_or(Duration::ZERO, |(ended, begun)| ended - begun);
    Ok(Done { times, nanos: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), memory: memory() })
}

/// Does it again and again. What is asked for first fills caches and is not counted.
fn run(
    mut subject: Subject<'_>,
    together: &Barrier,
    millis: u64,
) -> Result<(u64, Instant, Instant)> {
    let ready = if millis > 0 { subject.once() } else { Ok(()) };
    together.wait();
    ready?;
    let (begun, enough) = (Instant::now(), Duration::from_millis(millis));
    let mut times = 0;
    loop {
        subject.once()?;
        times += 1;
        let now = Instant::now();
        if now - begun >= enough {
            return Ok((times, begun, now));
        }
    }
}

/// How much memory the process has, in KiB; 0 if the host doesn't tell.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}
