//! The world: virtual time, bytes that look random, toy HSMs, the store, and what goes wrong. Everything in it follows from
//! a seed and a plan.

use crate::chance::Chance;
use crate::plan::{Moment, Plan};
use crate::planted::Bug;
use crate::store::Books;
use crate::toy::{Hsm, Life};
use crate::trouble::{Kind, Place, Trouble};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tandem_engine::ports::{Clock, Entropy};

/// What an unwinding carries when a process dies.
pub struct Crash(pub Life);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A call of the engine, and what came of it.
    Call {
        /// When.
        moment: Moment,
        /// Which process, in which of its lives.
        life: Life,
        /// To whom.
        place: Place,
        /// What.
        name: &'static str,
        /// What went wrong.
        trouble: Option<Trouble>,
    },
    /// A line of the script, and what came of it.
    Line(String),
}

/// Something that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// In which call.
    pub moment: Moment,
    /// To whom.
    pub place: Place,
    /// What.
    pub trouble: Trouble,
}

/// What another process does in the middle of a call.
pub type Intruder = Box<dyn FnOnce() + Send>;

struct State {
    now_ms: u64,
    chance: Chance,
    plan: Plan,
    /// Where each living process is: its line, and how many calls it has made in it.
    lives: BTreeMap<Life, Moment>,
    lives_begun: Life,
    /// Of each member: when something last went wrong there.
    troubled_ms: BTreeMap<usize, u64>,
    hits: Vec<Hit>,
    events: Option<Vec<Event>>,
    intruder: Option<Intruder>,
    calls: u64,
}

/// The world.
pub struct World {
    /// The toy HSMs.
    pub hsms: Vec<Mutex<Hsm>>,
    /// What the store holds.
    pub books: Arc<Mutex<Books>>,
    /// The bug that is switched on.
    pub bug: Option<Bug>,
    state: Mutex<State>,
}

/// 2026-11-22, by which nothing is decided.
const BEGINNING_MS: u64 = 1_795_305_600_000;
/// A deadline, and a little more.
const LATE_MS: u64 = 5_100;

impl World {
    /// A world with these HSMs and this store, in which nothing goes wrong yet.
    pub fn new(hsms: Vec<Hsm>, books: Books, seed: u64, bug: Option<Bug>) -> Arc<Self> {
        Arc::new(Self {
            hsms: hsms.into_iter().map(Mutex::new).collect(),
            books: Arc::new(Mutex::new(books)),
            bug,
            state: Mutex::new(State {
                now_ms: 1_000_000,
                chance: Chance::new(seed),
                plan: Plan::Nothing,
                lives: BTreeMap::new(),
                lives_begun: 0,
                troubled_ms: BTreeMap::new(),
                hits: Vec::new(),
                events: None,
                intruder: None,
                calls: 0,
            }),
        })
    }

    /// From now on things go wrong by this plan. Answers the plan there was.
    pub fn set_plan(&self, plan: Plan) -> Plan {
        std::mem::replace(&mut self.state.lock().plan, plan)
    }

    /// From now on what happens is written down.
    pub fn record(&self) {
        self.state.lock().events = Some(Vec::new());
    }

    /// What was written down.
    pub fn events(&self) -> Vec<Event> {
        self.state.lock().events.clone().unwrap_or_default()
    }

    /// Writes a line down.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        if let Some(events) = &mut self.state.lock().events {
            events.push(Event::Line(line()));
        }
    }

    /// The virtual time in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.state.lock().now_ms
    }

    /// Lets time pass.
    pub fn pass(&self, ms: u64) {
        self.state.lock().now_ms += ms;
    }

    /// A number that looks random.
    pub fn draw(&self) -> u64 {
        self.state.lock().chance.number()
    }

    /// How many calls the engine has made.
    pub fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// A process begins.
    pub fn be_born(&self) -> Life {
        let mut state = self.state.lock();
        state.lives_begun += 1;
        let life = state.lives_begun;
        state.lives.insert(life, (0, 0));
        life
    }

    /// A process has ended, however: what it held is free.
    pub fn bury(&self, life: Life) {
        self.state.lock().lives.remove(&life);
        for hsm in &self.hsms {
            hsm.lock().forget_sessions(life);
        }
        self.books.lock().free(life);
    }

    /// True if a process lives.
    pub fn is_alive(&self, life: Life) -> bool {
        self.state.lock().lives.contains_key(&life)
    }

    /// A process comes to a line of the script. Answers where it was.
    pub fn begin_line(&self, life: Life, line: u32) {
        if let Some(moment) = self.state.lock().lives.get_mut(&life)
            && (moment.0 != line || line == 0)
        {
            *moment = (line, 0);
        }
    }

    /// In which line of the script a process is.
    pub fn line_of(&self, life: Life) -> u32 {
        self.state.lock().lives.get(&life).map_or(0, |(line, _)| *line)
    }

    /// What went wrong in a line.
    pub fn hits_in(&self, line: u32) -> Vec<Hit> {
        self.state.lock().hits.iter().filter(|hit| hit.moment.0 == line).copied().collect()
    }

    /// Everything that went wrong.
    pub fn hits(&self) -> Vec<Hit> {
        self.state.lock().hits.clone()
    }

    /// For how long nothing has gone wrong at a member, in milliseconds.
    pub fn quiet_ms(&self, member: usize) -> u64 {
        let state = self.state.lock();
        state.troubled_ms.get(&member).map_or(u64::MAX, |at| state.now_ms.saturating_sub(*at))
    }

    /// Something goes wrong at a member now, outside of any call.
    pub fn disturb(&self, member: usize) {
        let mut state = self.state.lock();
        let now = state.now_ms;
        state.troubled_ms.insert(member, now);
    }

    /// What another process will do in the middle of a call.
    pub fn set_intruder(&self, intruder: Option<Intruder>) {
        self.state.lock().intruder = intruder;
    }

    /// A process calls: `Err` if it is dead, otherwise what goes wrong. A crash before the call doesn't come back.
    pub fn enter(
        &self,
        life: Life,
        place: Place,
        kind: Kind,
        name: &'static str,
    ) -> Result<Option<Trouble>, Dead> {
        let (trouble, intruder) = self.decide(life, place, kind, name)?;
        if let Some(intruder) = intruder {
            intruder();
        }
        match trouble {
            Some(Trouble::CrashBefore) => self.crash(life),
            Some(Trouble::Slow) => self.pass(LATE_MS),
            _ => {}
        }
        Ok(trouble)
    }

    fn decide(
        &self,
        life: Life,
        place: Place,
        kind: Kind,
        name: &'static str,
    ) -> Result<(Option<Trouble>, Option<Intruder>), Dead> {
        let mut state = self.state.lock();
        let Some(now) = state.lives.get_mut(&life) else { return Err(Dead) };
        let moment = *now;
        now.1 += 1;
        state.now_ms += 1;
        state.calls += 1;
        let trouble = if moment.0 == 0 { None } else { state.plan.decide(moment, place, kind) };
        let mut intruder = None;
        if let Some(trouble) = trouble {
            if trouble == Trouble::Intruder {
                intruder = state.intruder.take();
            }
            state.hits.push(Hit { moment, place, trouble });
            let benign =
                matches!(trouble, Trouble::CrashBefore | Trouble::CrashAfter | Trouble::Intruder);
            if let (Place::Member(member), false) = (place, benign) {
                let now = state.now_ms;
                state.troubled_ms.insert(member, now);
            }
        }
        if let Some(events) = &mut state.events {
            events.push(Event::Call { moment, life, place, name, trouble });
        }
        Ok((trouble, intruder))
    }

    /// The process dies here: nothing of it runs any more but what an unwinding drops, whose calls do nothing.
    pub fn crash(&self, life: Life) -> ! {
        self.state.lock().lives.remove(&life);
        std::panic::resume_unwind(Box::new(Crash(life)))
    }
}

/// The process that calls is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead;

impl Clock for World {
    fn wall_ms(&self) -> u64 {
        BEGINNING_MS + self.now_ms()
    }
    fn steady_ns(&self) -> u64 {
        self.now_ms() * 1_000_000
    }
}

impl Entropy for World {
    fn fill(&self, buffer: &mut [u8]) {
        self.state.lock().chance.fill(buffer);
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => f.write_str(line),
            Self::Call { moment: (line, call), life, place, name, trouble } => {
                write!(f, "    {line}.{call} life {life} -> {place}: {name}")?;
                match trouble {
                    Some(trouble) => write!(f, "   <== {trouble:?}"),
                    None => Ok(()),
                }
            }
        }
    }
}
