//! `tandem keys generate`: makes keys, few or many, by several threads.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::{GeneratedReport, MadeLine, hex};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use tandem_engine::report::Progress;
use tandem_engine::session::Session;
use tandem_values::ck::{CKA_CLASS, CKA_LABEL, CKO_PRIVATE_KEY, CKO_SECRET_KEY};
use tandem_values::keytype::{self, KeyType, Recipe};
use tandem_values::template::Reading;
use tandem_values::{Handle, Template};

/// Bytes of a new key's CKA_ID: enough that chance never makes two alike.
const ID_BYTES: usize = 16;
/// The most threads that make keys.
const THREADS_MAX: i64 = 64;

#[derive(clap::Args)]
pub(super) struct Args {
    /// How many
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// ec:p256, ec:p384, ec:p521, ed25519, ed448, rsa:BITS, ml-dsa:44|65|87, slh-dsa:sha2-128s (and the like), ml-kem:512|768|1024,
    /// aes:128|192|256 or generic:BYTES
    #[arg(long = "type", value_name = "TYPE")]
    kind: KeyType,
    /// CKA_LABEL of the key; of more than one, each with its number
    #[arg(long, default_value = "")]
    label: String,
    /// Make those only that are not there yet, by their labels: goes on where a run before ended
    #[arg(long)]
    resume: bool,
    /// How many are made at a time; those of one time are written together
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=THREADS_MAX))]
    threads: u16,
}

impl Args {
    /// The label of a key, by its number from 1.
    fn label(&self, number: u64) -> String {
        match self.count {
            1 => self.label.clone(),
            _ if self.label.is_empty() => String::new(),
            _ => format!("{}-{number}", self.label),
        }
    }
}

pub(super) fn run(context: &mut Context<'_>, wanted: &Args) -> Result<bool> {
    if wanted.resume && wanted.label.is_empty() {
        return Err(Error::usage("--resume knows keys by their labels: say --label too"));
    }
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let login = context.login(live)?;

    let bar = Bar::new(context.screen.json());
    bar.stage(&format!("making {}", wanted.kind), wanted.count);
    let work = Work::new(wanted, &bar);
    thread::scope(|scope| {
        for _ in 1..u64::from(wanted.threads).min(wanted.count) {
            scope.spawn(|| match live.token.open(true) {
                Ok(session) => {
                    work.go_on(&session);
                    session.close();
                }
                // Those who have a session do it.
                Err(error) => log::warn!("{error}"),
            });
        }
        work.go_on(&login);
    });
    bar.clear();
    login.close();

    let report = work.report(live.token.label());
    runtime.stop();
    context.screen.report(&report)?;
    Ok(report.error.is_none())
}

/// Keys that several threads make, each whichever is next.
struct Work<'a> {
    wanted: &'a Args,
    bar: &'a Bar,
    next: AtomicU64,
    ended: AtomicBool,
    there: AtomicU64,
    done: Mutex<Done>,
}

/// What came of it.
#[derive(Default)]
struct Done {
    /// By their numbers.
    made: Vec<(u64, MadeLine)>,
    error: Option<String>,
}

impl<'a> Work<'a> {
    fn new(wanted: &'a Args, bar: &'a Bar) -> Self {
        Self {
            wanted,
            bar,
            next: AtomicU64::new(1),
            ended: AtomicBool::new(false),
            there: AtomicU64::new(0),
            done: Mutex::default(),
        }
    }

    /// Makes keys as long as there are some to make and none has failed.
    fn go_on(&self, session: &Session) {
        while !self.ended.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number > self.wanted.count {
                return;
            }
            match self.make(session, self.wanted.label(number)) {
                Ok(made) => self.note(|done| done.made.extend(made.map(|made| (number, made)))),
                // What was made before stays made, so it is reported however this ends.
                Err(error) => {
                    self.ended.store(true, Ordering::Relaxed);
                    self.note(|done| {
                        done.error.get_or_insert_with(|| error.to_string());
                    });
                }
            }
            self.bar.step();
        }
    }

    fn note(&self, note: impl FnOnce(&mut Done)) {
        note(&mut self.done.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Makes a key unless it is there and need not be made again.
    fn make(&self, session: &Session, label: String) -> Result<Option<MadeLine>> {
        if self.wanted.resume && is_there(session, &self.wanted.kind, &label)? {
            self.there.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        make(session, &self.wanted.kind, label).map(Some)
    }

    fn report(self, token: String) -> GeneratedReport {
        let mut done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.made.sort_unstable_by_key(|(number, _)| *number);
        GeneratedReport {
            token,
            count: self.wanted.count,
            there: self.there.into_inner(),
            made: done.made.into_iter().map(|(_, made)| made).collect(),
            error: done.error,
        }
    }
}

/// True if there is a key of this type with this label: what a run before has made.
fn is_there(session: &Session, kind: &KeyType, label: &str) -> Result<bool> {
    let class = match kind.recipe(&[], label) {
        Recipe::Secret(..) => CKO_SECRET_KEY,
        Recipe::Pair(..) => CKO_PRIVATE_KEY,
    };
    session.find_init(&Template::new().with(CKA_CLASS, class).with(CKA_LABEL, label))?;
    let found = session.find_next(usize::MAX);
    session.find_final()?;
    for key in found? {
        if kind.is_of(&told_by(session, key)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What tells the type of a key.
fn told_by(session: &Session, key: Handle) -> Result<Template> {
    let mut template = Template::new();
    for (kind, reading) in keytype::TOLD_BY.iter().zip(session.read(key, &keytype::TOLD_BY)?) {
        if let Reading::Value(value) = reading {
            template.set(*kind, value);
        }
    }
    Ok(template)
}

fn make(session: &Session, kind: &KeyType, label: String) -> Result<MadeLine> {
    let mut id = [0; ID_BYTES];
    getrandom::fill(&mut id).map_err(|error| {
        Error::failed(format!("the operating system gives no random bytes ({error})"))
    })?;
    let (handle, public_handle) = match kind.recipe(&id, &label) {
        Recipe::Secret(mechanism, template) => (session.generate(&mechanism, &template)?, None),
        Recipe::Pair(mechanism, public, private) => {
            let pair = session.generate_pair(&mechanism, &public, &private)?;
            (pair.private, Some(pair.public))
        }
    };
    Ok(MadeLine { key_type: kind.to_string(), id: hex(&id), label, handle, public_handle })
}
