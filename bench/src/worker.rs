//! A process of its own for each module: it does what it is asked, as often as it can in the time it is given.
//!
//! One line of JSON in, one out. Its first line tells how long it took to be ready.

use crate::case::{Case, Keys, Subject, find_one};
use crate::contender::Reach;
use crate::module::{Module, Result};
use cryptoki_sys::{CKM_ECDSA, CKO_PRIVATE_KEY};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::sync::Barrier;
use std::thread::{ScopedJoinHandle, scope};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A slice of work.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Ask {
    /// What.
    pub case: Case,
    /// By how many threads.
    pub threads: usize,
    /// For how long, in milliseconds; each thread does it once at least.
    pub millis: u64,
    /// With which keys.
    pub keys: Keys,
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
    /// Finding the slot, C_OpenSession.
    pub open: u64,
    /// C_Login.
    pub login: u64,
    /// The first C_FindObjects; 0 if no key was named.
    pub find: u64,
    /// The first signature; 0 if no key was named.
    pub sign: u64,
    /// The process's memory then, in KiB.
    pub memory: u64,
}

impl Ready {
    /// All of it.
    pub const fn total(&self) -> u64 {
        self.initialise + self.open + self.login + self.find + self.sign
    }
}

/// An answer: what came of it, or why nothing did.
pub type Answer<T> = std::result::Result<T, String>;

/// Serves until its input ends. The first line says how the token is reached.
pub fn serve(input: &mut dyn BufRead, output: &mut dyn Write) -> Result<()> {
    let reach = reach(input)?;
    let mut ready = Ready::default();
    let mut stopwatch = Stopwatch(Instant::now());
    // Whoever asks is told why it came to nothing.
    let module = told(output, Module::start(&reach.module, &reach.initialise))?;
    ready.initialise = stopwatch.lap();
    let opened = module.slot(&reach.token).and_then(|slot| Ok((slot, module.open(slot)?)));
    let (slot, session) = told(output, opened)?;
    ready.open = stopwatch.lap();
    told(output, session.login(&reach.pin))?;
    ready.login = stopwatch.lap();
    if let Some(label) = &reach.first {
        let key = told(output, find_one(&session, CKO_PRIVATE_KEY, label))?;
        ready.find = stopwatch.lap();
        told(output, session.sign(CKM_ECDSA, key, &[7; 32], &mut [0; 128]))?;
        ready.sign = stopwatch.lap();
    }
    ready.memory = memory();
    tell(output, &Answer::Ok(ready))?;
    drop(reach);
    let mut crew = Crew { module: &module, slot, of: None, subjects: Vec::new() };
    for line in input.lines() {
        let line = line.map_err(|error| error.to_string())?;
        let ask: Ask = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        tell(output, &crew.work(ask))?;
    }
    drop((crew, session));
    module.stop()
}

fn reach(input: &mut dyn BufRead) -> Result<Reach> {
    let mut line = Zeroizing::new(String::new());
    input.read_line(&mut line).map_err(|error| error.to_string())?;
    serde_json::from_str(&line).map_err(|error| error.to_string())
}

/// Time from lap to lap.
struct Stopwatch(Instant);

impl Stopwatch {
    fn lap(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.0, Instant::now());
        nanos(self.0 - before)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What was answered; a failure is told, too.
fn told<T>(output: &mut dyn Write, answer: Result<T>) -> Result<T> {
    if let Err(error) = &answer {
        tell(output, &Answer::<Ready>::Err(error.clone()))?;
    }
    answer
}

fn tell<T: Serialize>(output: &mut dyn Write, answer: &Answer<T>) -> Result<()> {
    let line = serde_json::to_string(answer).map_err(|error| error.to_string())?;
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(|error| error.to_string())
}

/// What tells one piece of work from another.
type Work = (Case, usize, Keys);

/// Threads' sessions, with what they need: prepared once for all rounds.
struct Crew<'a> {
    module: &'a Module,
    slot: u64,
    of: Option<Work>,
    subjects: Vec<Subject<'a>>,
}

impl Crew<'_> {
    /// Works for a while.
    fn work(&mut self, ask: Ask) -> Answer<Done> {
        let work = (ask.case, ask.threads, ask.keys);
        if self.of != Some(work) {
            self.of = None;
            self.subjects = Vec::new();
            self.subjects = self.prepare(work)?;
            self.of = Some(work);
        }
        let together = Barrier::new(ask.threads);
        let runs = scope(|scope| {
            let each = |subject| scope.spawn(|| run(subject, &together, ask.millis));
            joined(self.subjects.iter_mut().map(each).collect())
        })?;
        let times = runs.iter().map(|(times, ..)| times).sum();
        let begun = runs.iter().map(|(_, begun, _)| *begun).min();
        let ended = runs.iter().map(|(.., ended)| *ended).max();
        let took = ended.zip(begun).map_or(Duration::ZERO, |(ended, begun)| ended - begun);
        Ok(Done { times, nanos: nanos(took), memory: memory() })
    }
}

impl<'a> Crew<'a> {
    /// All at the same time: keys that are made spread over the members of a virtual token as keys do under load.
    fn prepare(&self, (case, threads, keys): Work) -> Result<Vec<Subject<'a>>> {
        let (module, slot) = (self.module, self.slot);
        scope(|scope| {
            let each =
                |seed| scope.spawn(move || Subject::prepare(module.open(slot)?, case, seed, keys));
            joined((0..threads).map(each).collect())
        })
    }
}

fn joined<T>(threads: Vec<ScopedJoinHandle<'_, Result<T>>>) -> Result<Vec<T>> {
    let end = |thread: ScopedJoinHandle<'_, _>| {
        thread.join().unwrap_or_else(|_| Err("a thread has panicked".to_owned()))
    };
    // Each is waited for, also after one has failed.
    let ends: Vec<_> = threads.into_iter().map(end).collect();
    ends.into_iter().collect()
}

/// Does it again and again. What is asked for first fills caches and is not counted.
fn run(
    subject: &mut Subject<'_>,
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
