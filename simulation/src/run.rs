//! A run: a script in a world, line by line, judged by the oracle after each.

use crate::act::{self, Said};
use crate::operator::Operators;
use crate::oracle::{Oracle, Report};
use crate::process::{Asked, Process, Running};
use crate::script::{Action, Line};
use crate::setup::{self, Options, Snapshot};
use crate::trouble::member_name;
use crate::truth::{Truth, handle_of};
use crate::world::{Crash, World};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tandem_engine::error::{Error, Result};
use tandem_engine::member::User;
use tandem_values::{Handle, Secret, Template, ck::*};

/// A member at which nothing has gone wrong for so long is due, however often it failed before.
pub const QUIET_MS: u64 = 310_000;

/// A run under way.
pub struct Run {
    /// The world.
    pub world: Arc<World>,
    /// How the token is set up.
    pub options: Options,
    /// The processes.
    pub processes: Vec<Mutex<Process>>,
    /// The oracle.
    pub oracle: Mutex<Oracle>,
    /// What operators have begun and left.
    pub operators: Mutex<Operators>,
    /// Shares that operators were given, by the number of their set: as many of each as open the recovery.
    pub shares: Mutex<BTreeMap<u16, Vec<Secret>>>,
    script: Vec<Line>,
    done: Mutex<Vec<bool>>,
    /// Lines that only run in the middle of others.
    asides: bool,
    violation: Mutex<Option<String>>,
}

/// What came of a call: it was answered, or the process died in it.
pub enum Outcome<T> {
    /// Answered.
    Answered(Result<T>),
    /// The process died.
    Died,
}

impl Run {
    /// A run of a script that begins at a snapshot.
    pub fn new(
        world: &Arc<World>,
        snapshot: &Snapshot,
        options: &Options,
        processes: usize,
    ) -> Self {
        Self {
            world: Arc::clone(world),
            options: options.clone(),
            processes: (0..processes).map(|_| Mutex::default()).collect(),
            oracle: Mutex::new(Oracle::new(snapshot.truth.clone())),
            operators: Mutex::default(),
            shares: Mutex::new(BTreeMap::from([(snapshot.truth.set, snapshot.shares.clone())])),
            script: Vec::new(),
            done: Mutex::default(),
            asides: false,
            violation: Mutex::default(),
        }
    }

    /// The script. Where `asides` is set, lines of other processes than the first run in the middle of its lines only.
    #[must_use]
    pub fn with_script(mut self, script: Vec<Line>, asides: bool) -> Arc<Self> {
        self.done = Mutex::new(vec![false; script.len()]);
        self.script = script;
        self.asides = asides;
        Arc::new(self)
    }

    /// Runs the script. An error is a violation.
    pub fn play(self: &Arc<Self>) -> std::result::Result<(), String> {
        for at in 0..self.script.len() {
            let waits = self.asides && self.script.get(at).is_some_and(|line| line.process > 0);
            if !waits && self.claim(at) {
                self.play_line(at);
            }
            self.verdict()?;
        }
        Ok(())
    }

    /// What has been found so far.
    pub fn verdict(&self) -> std::result::Result<(), String> {
        self.violation.lock().clone().map_or(Ok(()), Err)
    }

    /// Notes a violation; the first one counts.
    pub fn violate(&self, line: &str, what: &str) {
        self.world.tell(|| format!("VIOLATION {what}"));
        self.violation.lock().get_or_insert_with(|| format!("{line}: {what}"));
    }

    fn claim(&self, at: usize) -> bool {
        let mut done = self.done.lock();
        done.get_mut(at).is_some_and(|done| !std::mem::replace(done, true))
    }

    /// Plays a line, with another process's next line at hand as what may come between.
    fn play_line(self: &Arc<Self>, at: usize) {
        let Some(line) = self.script.get(at).copied() else { return };
        let run = Arc::downgrade(self);
        self.world.set_intruder(Some(Box::new(move || {
            if let Some(run) = run.upgrade() {
                run.intrude();
            }
        })));
        self.line(line);
        self.world.set_intruder(None);
    }

    fn intrude(self: &Arc<Self>) {
        let free = |line: &Line| {
            self.processes.get(line.process).is_some_and(|process| !process.lock().busy)
        };
        let next = {
            let done = self.done.lock();
            let open = |(at, line): &(usize, &Line)| {
                done.get(*at) == Some(&false) && free(line) && !is_outside(line.action)
            };
            self.script.iter().enumerate().find(open).map(|(at, _)| at)
        };
        if let Some(at) = next
            && self.claim(at)
            && let Some(line) = self.script.get(at)
        {
            self.line(*line);
        }
    }

    /// One line: asked, answered, judged.
    pub fn line(self: &Arc<Self>, line: Line) {
        if is_outside(line.action) {
            self.happen(line);
            return;
        }
        let Some(process) = self.processes.get(line.process) else { return };
        process.lock().busy = true;
        if line.action.is_command() {
            self.command(line);
        } else if let Some(running) = self.ensure_running(line) {
            self.world.begin_line(running.life, line.number);
            let asked = self.asked(line);
            let before = process.lock().begun.clone();
            let answer = self.guard(line, &running, || act::act(self, line, &running, &asked));
            let report = Report { line, asked, begun: before, said: answer };
            let judged = self.oracle.lock().judge(self, &report);
            if let Err(what) = judged {
                self.violate(&line.to_string(), &what);
            }
        }
        process.lock().busy = false;
        if let Err(what) = self.nothing_outside_is_written_to() {
            self.violate(&line.to_string(), &what);
        }
    }

    /// Runs a call of a process. If the process dies in it, what it held is freed.
    pub fn guard<T>(
        &self,
        line: Line,
        running: &Running,
        call: impl FnOnce() -> Result<T>,
    ) -> Outcome<T> {
        let outcome = self.outlive(line, call);
        if matches!(outcome, Outcome::Died) {
            self.bury(line.process, running);
        }
        outcome
    }

    /// Runs what a process does, and goes on if it dies in it.
    pub fn outlive<T>(&self, line: Line, call: impl FnOnce() -> Result<T>) -> Outcome<T> {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(answer) => Outcome::Answered(answer),
            Err(payload) => {
                if !payload.is::<Crash>() {
                    self.violate(&line.to_string(), "the engine panicked");
                }
                Outcome::Died
            }
        }
    }

    fn bury(&self, process: usize, running: &Running) {
        if let Some(process) = self.processes.get(process) {
            let mut process = process.lock();
            process.running = None;
            process.begun = None;
            process.logged_in = false;
        }
        self.world.bury(running.life);
    }

    /// The process runs and is logged in, if that was to be had.
    fn ensure_running(self: &Arc<Self>, line: Line) -> Option<Running> {
        let process = self.processes.get(line.process)?;
        if let Some(running) = process.lock().running.clone() {
            return Some(running);
        }
        let life = self.world.be_born();
        self.world.begin_line(life, line.number);
        let token = setup::token(&self.world, &self.options, life);
        let begun = catch_unwind(AssertUnwindSafe(|| {
            token.start();
            token.open(true)
        }));
        let Ok(Ok(session)) = begun else {
            self.world.bury(life);
            return None;
        };
        let running = Running { life, token, session };
        process.lock().running = Some(running.clone());
        if !matches!(line.action, Action::LogIn | Action::LogInWrongly) {
            let log_in = Line { action: Action::LogIn, ..line };
            let asked = self.asked(log_in);
            let said = self.guard(line, &running, || {
                let pin = Secret::new(setup::PIN);
                self.oracle.lock().note_pin(setup::PIN);
                running.session.login(User::User, Some(&pin)).map(|()| Said::Nothing)
            });
            let report = Report { line: log_in, asked, begun: None, said };
            let judged = self.oracle.lock().judge(self, &report);
            if let Err(what) = judged {
                self.violate(&log_in.to_string(), &what);
            }
            if !process.lock().logged_in {
                return None;
            }
        }
        Some(running)
    }

    /// The generator, if the log counts it.
    pub fn generator(&self, truth: &Truth) -> Option<usize> {
        self.options.generator.filter(|number| truth.members.contains(&member_name(*number)))
    }

    /// How many of the members hold keys.
    pub fn keepers(&self, truth: &Truth) -> usize {
        truth.members.len() - usize::from(self.generator(truth).is_some())
    }

    /// How many of them can hold every key that is made; none, if there is a generator and it can't make each.
    pub fn able(&self, truth: &Truth) -> usize {
        let every = Template::new().with(CKA_KEY_TYPE, CKK_EC);
        let able = |number: &usize| {
            let hsm = self.world.hsms.get(*number);
            hsm.is_some_and(|hsm| hsm.lock().can_hold(&every))
        };
        if self.generator(truth).is_some_and(|number| !able(&number)) {
            return 0;
        }
        let counts = |number: &usize| truth.members.contains(&member_name(*number));
        let numbers = (0..self.options.members).filter(counts);
        numbers.filter(|number| self.options.keeps_keys(*number)).filter(able).count()
    }

    /// HSMs at which nothing is wrong, and which hold the ring.
    pub fn sound(&self) -> Vec<bool> {
        self.world
            .hsms
            .iter()
            .enumerate()
            .map(|(number, hsm)| {
                let hsm = hsm.lock();
                let whole = !hsm.away && !hsm.is_replaced() && hsm.pin == setup::PIN;
                whole
                    && hsm.holds_ring()
                    && hsm.refused.is_empty()
                    && self.world.quiet_ms(number) > QUIET_MS
            })
            .collect()
    }

    pub(crate) fn asked(&self, line: Line) -> Asked {
        let mut oracle = self.oracle.lock();
        oracle.learn(self);
        let books = self.world.books.lock();
        if let Err(what) = oracle.truth.follow(&books) {
            self.violate(&line.to_string(), &what);
        }
        let begun = self.processes.get(line.process).and_then(|p| p.lock().begun.clone());
        let object = act::object_of(&oracle.truth, line.action, begun.as_ref());
        let secret = object.as_ref().and_then(|real| oracle.truth.secret(&books, real));
        let proven = |number: usize| {
            let name = member_name(number);
            let counts = oracle.truth.members.contains(&name);
            // A generator lacks nothing, and can be used for none.
            counts
                && (!self.options.keeps_keys(number)
                    || object.as_ref().is_none_or(|real| {
                        let (position, exceptions) = books.follower(&name);
                        position >= real.object.born
                            && !exceptions.contains(&real.object.id)
                            && (!real.object.is_on_demand()
                                || oracle.truth.opens(&name, &real.object))
                    }))
        };
        let proven: Vec<_> = (0..self.options.members).map(proven).collect();
        let sensible = self.is_sensible(line.action, &oracle.truth, &books);
        let generator = self.generator(&oracle.truth);
        let drawn = self.world.hsms.iter().map(|hsm| hsm.lock().drawn).collect();
        drop((oracle, books));
        let works = self.sound().into_iter().zip(proven).map(|(sound, proven)| sound && proven);
        Asked { object, secret, works: works.collect(), generator, drawn, sensible }
    }

    /// The handle of an object that a line is about.
    pub fn handle(&self, asked: &Asked) -> Result<Handle> {
        let books = self.world.books.lock();
        asked
            .object
            .as_ref()
            .and_then(|real| handle_of(&books, real.object.id))
            .ok_or_else(|| Error::from(CKR_OBJECT_HANDLE_INVALID))
    }

    /// Something happens around the applications.
    fn happen(&self, line: Line) {
        if line.action == Action::Kill {
            let running = self.processes.get(line.process).and_then(|p| p.lock().running.clone());
            if let Some(running) = running {
                self.bury(line.process, &running);
            }
        }
        if let Action::Pass(ms) = line.action {
            self.world.pass(ms);
        }
        let Some(number) = member_of(line.action).map(|n| n % self.options.members) else { return };
        let Some(hsm) = self.world.hsms.get(number) else { return };
        let mut hsm = hsm.lock();
        match line.action {
            Action::Unplug(_) => hsm.away = true,
            Action::PlugIn(_) => hsm.away = false,
            Action::Reboot(_) => hsm.reboot(),
            Action::FillUp(_) => hsm.full = true,
            Action::MakeRoom(_) => hsm.full = false,
            Action::ChangePin(_) => hsm.pin = b"another".to_vec(),
            Action::Swap(_) => hsm.swap(),
            _ => {}
        }
        drop(hsm);
        self.world.disturb(number);
        self.world.tell(|| line.to_string());
    }
}

/// True for what happens around the applications.
const fn is_outside(action: Action) -> bool {
    matches!(action, Action::Kill | Action::Pass(_)) || member_of(action).is_some()
}

const fn member_of(action: Action) -> Option<usize> {
    match action {
        Action::Unplug(n)
        | Action::PlugIn(n)
        | Action::Reboot(n)
        | Action::FillUp(n)
        | Action::MakeRoom(n)
        | Action::ChangePin(n)
        | Action::Swap(n) => Some(n),
        _ => None,
    }
}
