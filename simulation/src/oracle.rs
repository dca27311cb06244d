//! The oracle: a plain map of what the virtual token holds, and what must be true after every call.

use crate::act::{self, Said};
use crate::process::{Asked, Begun};
use crate::run::{Outcome, QUIET_MS, Run};
use crate::script::{Action, Line};
use crate::setup::PIN;
use crate::toy::crypto;
use crate::trouble::member_name;
use crate::truth::{Real, Truth, handle_of};
use crate::world::Hit;
use std::collections::{BTreeMap, BTreeSet};
use tandem_engine::error::Error;
use tandem_engine::event::{Event, Record};
use tandem_engine::heads::HeadRecord;
use tandem_engine::object::{Object, ObjectId};
use tandem_engine::step::Verb;
use tandem_values::template::Reading;
use tandem_values::{Handle, Value, ck::*};

/// A line, and what was answered.
pub struct Report {
    /// The line.
    pub line: Line,
    /// What it was about.
    pub asked: Asked,
    /// The operation that it went on with, as it was before.
    pub begun: Option<Begun>,
    /// What was answered.
    pub said: Outcome<Said>,
}

/// What is judged.
type Judgement = Result<(), String>;

/// The oracle.
pub struct Oracle {
    /// What the virtual token holds.
    pub truth: Truth,
    /// Which object every handle that was ever seen names.
    handles: BTreeMap<Handle, ObjectId>,
    /// How often applications have brought each PIN.
    pins: BTreeMap<Vec<u8>, usize>,
    /// Objects whose earlier wrapped bytes may stay until the members have followed.
    excused: BTreeSet<ObjectId>,
    /// How many lines were answered, refused and died in.
    pub tally: [u64; 3],
}

/// What the events of one line come to.
#[derive(Default)]
struct Effects {
    created: Vec<ObjectId>,
    changed: Vec<ObjectId>,
    claimed: Vec<ObjectId>,
    destroyed: Vec<ObjectId>,
    joined: Vec<String>,
    left: Vec<String>,
}

impl Oracle {
    /// An oracle that knows the ring.
    pub fn new(truth: Truth) -> Self {
        Self {
            truth,
            handles: BTreeMap::new(),
            pins: BTreeMap::new(),
            excused: BTreeSet::new(),
            tally: [0; 3],
        }
    }

    /// An application brings a PIN.
    pub fn note_pin(&mut self, pin: &[u8]) {
        *self.pins.entry(pin.to_vec()).or_default() += 1;
    }

    /// Judges a line.
    pub fn judge(&mut self, run: &Run, report: &Report) -> Judgement {
        let hits = run.world.hits_in(report.line.number);
        let books = run.world.books.lock();
        let handles = &mut self.handles;
        for row in books.rows() {
            if *handles.entry(row.handle).or_insert(row.id) != row.id {
                return Err(format!("handle {} names two objects", row.handle));
            }
        }
        drop(books);
        let effects = Self::effects(run, report.line)?;
        let cut_off = matches!(report.said, Outcome::Died);
        if cut_off || hits.iter().any(|hit| hit.trouble.is_store()) {
            self.excused.extend(effects.changed.iter().chain(&effects.destroyed));
        }
        self.follow(run)?;
        self.judge_pins(run)?;
        Self::judge_heads(run)?;
        let judge = Judge { run, report, hits: &hits, effects: &effects, truth: &self.truth };
        run.world.tell(|| judge.described());
        let tally = match &report.said {
            Outcome::Answered(Ok(_)) => 0,
            Outcome::Answered(Err(_)) => 1,
            Outcome::Died => 2,
        };
        if let Some(count) = self.tally.get_mut(tally) {
            *count += 1;
        }
        judge.judge()
    }

    /// Everything is healed and every member has followed: no excuse is left.
    pub fn excuse_nothing(&mut self) {
        self.excused.clear();
    }

    /// Takes in what the log has grown by, and checks that nothing gone is left in it.
    pub fn follow(&mut self, run: &Run) -> Judgement {
        self.learn(run);
        let books = run.world.books.lock();
        self.truth.follow(&books)?;
        let objects = self.truth.objects.iter().filter(|(id, _)| !self.excused.contains(id));
        for (_, real) in objects {
            let current = real.alive.then_some(real.object.wrapped_at());
            for position in real.wrapped_at.iter().filter(|at| Some(**at) != current) {
                let record = books.records().iter().find(|record| record.position == *position);
                if record.is_some_and(|record| record.wrapped.is_some()) {
                    return Err(format!("record {position} still holds wrapped bytes"));
                }
            }
        }
        Ok(())
    }

    /// Knows what keys of the ring there are.
    pub fn learn(&mut self, run: &Run) {
        for hsm in &run.world.hsms {
            self.truth.learn(&hsm.lock());
        }
    }

    fn effects(run: &Run, line: Line) -> Result<Effects, String> {
        let books = run.world.books.lock();
        let mut effects = Effects::default();
        if line.number == 0 {
            return Ok(effects);
        }
        for position in books.appended_in(line.number) {
            let record = books.records().iter().find(|record| record.position == position);
            match record.and_then(Record::event) {
                Some(Event::Created(object)) => effects.created.push(object.id),
                Some(Event::Changed { id, .. }) => effects.changed.push(id),
                Some(Event::Claimed { id, .. }) => effects.claimed.push(id),
                Some(Event::Destroyed(id)) => effects.destroyed.push(id),
                Some(Event::Joined(joined)) => effects.joined.push(joined.member.name.clone()),
                Some(Event::Left(name)) => effects.left.push(name),
                Some(
                    Event::Rotating(_)
                    | Event::Rewrapped { .. }
                    | Event::Given { .. }
                    | Event::Rotated(_),
                ) if line.action == Action::Rotate => {}
                // Bringing in one that is a member gives it what it lacks.
                Some(Event::Given { .. })
                    if matches!(line.action, Action::Add(_) | Action::Replace(_)) => {}
                // No script backs up.
                Some(_) | None => {
                    return Err("a strange record".into());
                }
            }
        }
        Ok(effects)
    }

    /// What members were told of the log's end is in the log, and nobody doubts it.
    fn judge_heads(run: &Run) -> Judgement {
        let books = run.world.books.lock();
        if books.notes.contains_key("doubt") {
            return Err("the log is doubted, and is what it was".into());
        }
        for hsm in &run.world.hsms {
            let hsm = hsm.lock();
            for thing in hsm.token_objects().filter(|thing| thing.is_head()) {
                let told = thing.template.bytes(CKA_VALUE).and_then(HeadRecord::unchecked);
                let told = told.ok_or_else(|| format!("{} holds a strange head", hsm.serial))?;
                let is_it =
                    |record: &Record| (record.position, record.link) == (told.position, told.link);
                if !books.records().iter().any(is_it) {
                    return Err(format!(
                        "{} was told of position {}, which the log does not have",
                        hsm.serial, told.position
                    ));
                }
            }
        }
        Ok(())
    }

    /// No member is asked to take a wrong PIN more often than applications brought it.
    fn judge_pins(&self, run: &Run) -> Judgement {
        for hsm in &run.world.hsms {
            let hsm = hsm.lock();
            let mut tries: BTreeMap<&[u8], usize> = BTreeMap::new();
            for (_, pin) in &hsm.refused {
                *tries.entry(pin).or_default() += 1;
            }
            for (pin, tried) in tries {
                let brought = self.pins.get(pin).copied().unwrap_or(0);
                if tried > brought {
                    return Err(format!(
                        "{} was tried with a wrong PIN {tried} times, and applications brought it {brought} times",
                        hsm.serial
                    ));
                }
            }
        }
        Ok(())
    }
}

/// The judgement of one line.
struct Judge<'a> {
    run: &'a Run,
    report: &'a Report,
    hits: &'a [Hit],
    effects: &'a Effects,
    truth: &'a Truth,
}

impl Judge<'_> {
    fn described(&self) -> String {
        let said = match &self.report.said {
            Outcome::Answered(Ok(Said::Nothing | Said::Commanded)) => "done".into(),
            Outcome::Answered(Ok(Said::Made(handles))) => format!("made {handles:?}"),
            Outcome::Answered(Ok(Said::Found(handles))) => format!("found {handles:?}"),
            Outcome::Answered(Ok(Said::Bytes(bytes))) => format!("{} bytes", bytes.len()),
            Outcome::Answered(Ok(Said::Shown(_))) => "shown".into(),
            Outcome::Answered(Ok(Said::Skipped)) => "nothing to do".into(),
            Outcome::Answered(Err(error)) => format!("{error}"),
            Outcome::Died => "DIED".into(),
        };
        format!("{} -> {said}", self.report.line)
    }

    fn judge(&self) -> Judgement {
        self.one_effect()?;
        self.drawn_where_it_should()?;
        self.members_as_commanded()?;
        match &self.report.said {
            Outcome::Answered(Ok(said)) => self.answered(said),
            Outcome::Answered(Err(error)) => self.refused(error),
            Outcome::Died => Ok(()),
        }
    }

    fn store_failed(&self) -> bool {
        self.hits.iter().any(|hit| hit.trouble.is_store())
    }

    fn lied(&self) -> bool {
        self.hits.iter().any(|hit| hit.trouble.is_lie())
    }

    /// Something was done once, wholly or not at all; and what was acknowledged was done.
    fn one_effect(&self) -> Judgement {
        if matches!(self.report.line.action, Action::Stock | Action::Drop) {
            return self.stock_alone();
        }
        let wanted = wanted(self.report.line.action);
        let effects = self.effects;
        let claimed = effects.claimed.len();
        if claimed > 0 && (!effects.created.is_empty() || claimed != wanted[0]) {
            return Err(format!("claimed {claimed}, and made {}", effects.created.len()));
        }
        if effects.created.is_empty() && wanted[0] > 0 && claimed > 0 {
            let is_clean = effects.changed.is_empty() && effects.destroyed.is_empty();
            let may_be = match &self.report.said {
                Outcome::Answered(Err(_)) => self.store_failed() || self.disturbed(),
                _ => true,
            };
            return if is_clean && may_be { Ok(()) } else { Err("claimed, and more".into()) };
        }
        self.claims_what_is_there()?;
        let made = effects.created.iter().filter(|id| !effects.destroyed.contains(id)).count();
        let undone = effects.created.len() - made;
        let gone = effects.destroyed.len() - undone;
        let real = [made, effects.changed.len(), gone];
        let fits = match &self.report.said {
            Outcome::Answered(Ok(Said::Skipped)) => real == [0; 3],
            Outcome::Answered(Ok(_)) => real == wanted && undone == 0,
            Outcome::Answered(Err(_)) if !self.store_failed() && !self.disturbed() => {
                real == [0; 3]
            }
            Outcome::Answered(Err(_)) | Outcome::Died => real == [0; 3] || real == wanted,
        };
        let about = self.report.asked.object.as_ref().map(|real| real.object.id);
        let meant = effects.changed.iter().chain(&effects.destroyed);
        let meant = meant.copied().all(|id| Some(id) == about || effects.created.contains(&id));
        if fits && meant {
            return Ok(());
        }
        Err(format!(
            "made {made}, changed {}, destroyed {gone}, undone {undone}; wanted {wanted:?}",
            effects.changed.len()
        ))
    }

    /// Only keys in stock are made, no more than are wanted, and only keys that nobody has claimed are destroyed.
    fn stock_alone(&self) -> Judgement {
        let Effects { created, changed, claimed, destroyed, .. } = self.effects;
        if !changed.is_empty() || !claimed.is_empty() {
            return Err("keeping the stock changed or claimed something".into());
        }
        let object = |id: &ObjectId| self.truth.objects.get(id).map(|real| &real.object);
        let is_in_stock = |id: &ObjectId| object(id).is_some_and(Object::is_in_stock);
        // One that was made may be claimed by another by now.
        if let Some(id) = destroyed.iter().find(|id| !is_in_stock(id)) {
            return Err(format!("object {id} was destroyed, which was claimed"));
        }
        let secret = |real: &&Real| real.object.class() == CKO_SECRET_KEY;
        let stocked = self.truth.living().filter(|real| real.object.is_in_stock());
        let there = u64::try_from(stocked.filter(secret).count()).unwrap_or(u64::MAX);
        if there > self.run.options.stock {
            return Err(format!("{there} secret keys are in stock"));
        }
        let is_done = matches!(&self.report.said, Outcome::Answered(Ok(_))) && !self.disturbed();
        match self.report.line.action {
            Action::Stock if is_done && there < self.run.options.stock => {
                Err(format!("the stock was filled and has {there}, after {}", created.len()))
            }
            Action::Drop if is_done && there > 0 => Err(format!("{there} keys were left in stock")),
            _ => Ok(()),
        }
    }

    /// Nobody makes a key while there is one in stock that is proven.
    fn claims_what_is_there(&self) -> Judgement {
        let Action::Make(kind) = self.report.line.action else { return Ok(()) };
        let stocked = match kind {
            crate::script::KeyKind::Ec => CKO_PRIVATE_KEY,
            crate::script::KeyKind::Hmac => CKO_SECRET_KEY,
            _ => return Ok(()),
        };
        if self.effects.created.is_empty() || !self.hits.is_empty() || self.comes_between() {
            return Ok(());
        }
        let books = self.run.world.books.lock();
        let (given, held_back) = books.follower("stock/keys");
        let is_there = |real: &&Real| {
            let object = &real.object;
            let holds = |name: &&String| {
                let (position, excepted) = books.follower(name);
                (object.is_on_demand() || position >= object.born) && !excepted.contains(&object.id)
            };
            object.is_in_stock()
                && object.class() == stocked
                && object.born <= given
                && !held_back.contains(&object.id)
                && self.truth.members.iter().filter(holds).count() == self.truth.members.len()
        };
        match self.truth.living().find(is_there) {
            Some(real) => Err(format!("a key was made while {} was in stock", real.object.id)),
            None => Ok(()),
        }
    }

    /// While the log counts a generator no other member draws a key.
    fn drawn_where_it_should(&self) -> Judgement {
        let made = matches!(self.report.line.action, Action::Make(_));
        let Some(generator) = self.report.asked.generator.filter(|_| made && !self.disturbed())
        else {
            return Ok(());
        };
        for (number, (hsm, before)) in
            self.run.world.hsms.iter().zip(&self.report.asked.drawn).enumerate()
        {
            if number != generator && hsm.lock().drawn != *before {
                let (other, name) = (member_name(number), member_name(generator));
                return Err(format!("{other} drew a key, and {name} is the generator"));
            }
        }
        Ok(())
    }

    fn answered(&self, said: &Said) -> Judgement {
        if let Some(process) = self.run.processes.get(self.report.line.process) {
            let mut process = process.lock();
            match self.report.line.action {
                Action::LogIn => process.logged_in = true,
                Action::LogOut => {
                    process.logged_in = false;
                    process.begun = None;
                }
                _ => {}
            }
        }
        match (self.report.line.action, said) {
            (_, Said::Skipped) => Ok(()),
            (Action::LogInWrongly, _) => Err("a wrong PIN was taken".into()),
            (Action::Make(_) | Action::Create { .. } | Action::Copy(_), Said::Made(handles)) => {
                self.made(handles)
            }
            (Action::Find, Said::Found(handles)) => self.found(handles),
            (Action::Read(_), Said::Shown(reading)) => self.shown(reading),
            (Action::Sign(_), Said::Bytes(bytes)) => self.signed(bytes),
            (Action::Feed(_) | Action::End, Said::Bytes(bytes)) => self.went_on(bytes),
            (Action::BeginMac(_) | Action::BeginEncrypt(_), _) => {
                self.began();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Only an operator's command brings a member in or takes one out, the one that it names, and what is done is done.
    fn members_as_commanded(&self) -> Judgement {
        let action = self.report.line.action;
        let (joined, left) = (&self.effects.joined, &self.effects.left);
        let Some(number) = action.commanded() else {
            let none = joined.is_empty() && left.is_empty();
            return if none { Ok(()) } else { Err("members came or went unbidden".into()) };
        };
        let name = member_name(number);
        if joined.iter().chain(left).any(|told| *told != name) || joined.len().max(left.len()) > 1 {
            return Err(format!("of {name} alone: joined {joined:?}, left {left:?}"));
        }
        if !matches!(self.report.said, Outcome::Answered(Ok(_))) || self.disturbed() {
            return Ok(());
        }
        let brings = matches!(action, Action::Add(_) | Action::Replace(_));
        if self.truth.members.contains(&name) != brings {
            return Err(format!("members are {:?} now", self.truth.members));
        }
        if brings && !self.lied() && self.run.options.keeps_keys(number) {
            let books = self.run.world.books.lock();
            let (position, excepted) = books.follower(&name);
            let excused = !self.hits.is_empty() || self.is_bad(number);
            let lacks = |real: &&Real| {
                let excused = excused || !self.run.can_hold(&name, &real.object.template);
                position < real.object.born || (excepted.contains(&real.object.id) && !excused)
            };
            if let Some(real) = self.truth.living().find(lacks) {
                return Err(format!("{name} was brought in without {}", real.object.id));
            }
        }
        Ok(())
    }

    fn made(&self, handles: &[Handle]) -> Judgement {
        let books = self.run.world.books.lock();
        let Effects { created, claimed, .. } = self.effects;
        let named: Vec<_> =
            created.iter().chain(claimed).filter_map(|id| handle_of(&books, *id)).collect();
        if named == handles {
            Ok(())
        } else {
            Err(format!("answered handles {handles:?} for what is {named:?}"))
        }
    }

    fn found(&self, handles: &[Handle]) -> Judgement {
        let logged_in = self.is_logged_in();
        let books = self.run.world.books.lock();
        let mut expected: Vec<_> = self
            .truth
            .living()
            .filter(|real| logged_in || !real.object.is_private())
            .filter(|real| !real.object.is_in_stock())
            .filter_map(|real| handle_of(&books, real.object.id))
            .collect();
        expected.sort_unstable();
        if handles == expected || self.store_failed() || self.disturbed() {
            return Ok(());
        }
        Err(format!("found {handles:?}, and there are {expected:?}"))
    }

    fn is_logged_in(&self) -> bool {
        let process = self.run.processes.get(self.report.line.process);
        process.is_some_and(|process| process.lock().logged_in)
    }

    /// Something went wrong, besides that another process did something in the middle.
    fn is_troubled(&self) -> bool {
        self.hits.iter().any(|hit| hit.trouble != crate::trouble::Trouble::Intruder)
    }

    /// What was made has been destroyed since, if only by another process.
    fn is_undone(&self) -> bool {
        let is_gone = |id| self.truth.objects.get(id).is_none_or(|real| !real.alive);
        self.effects.created.iter().any(is_gone)
    }

    /// Another process did something in the middle.
    fn disturbed(&self) -> bool {
        self.hits.iter().any(|hit| hit.trouble == crate::trouble::Trouble::Intruder)
    }

    fn shown(&self, reading: &Reading) -> Judgement {
        let Some(real) = &self.report.asked.object else { return Ok(()) };
        let label = real.object.template.get(CKA_LABEL).cloned().unwrap_or_else(|| Value::from(""));
        if *reading == Reading::Value(label) || self.store_failed() || self.disturbed() {
            return Ok(());
        }
        Err("it shows another label".into())
    }

    fn signed(&self, bytes: &[u8]) -> Judgement {
        let Some(real) = &self.report.asked.object else { return Ok(()) };
        let Some(public) = &real.object.public else { return Err("a key without public".into()) };
        let data = act::signed_by(self.report.line);
        let expected = crypto::sign(public, act::signing(real), &data, false);
        if bytes == expected || self.lied() { Ok(()) } else { Err("a wrong signature".into()) }
    }

    /// The member may have lost its mind when it began.
    fn began(&self) {
        let process = self.run.processes.get(self.report.line.process);
        if let Some(process) = process.filter(|_| self.lied())
            && let Some(begun) = &mut process.lock().begun
        {
            begun.may_be = [true, true];
        }
    }

    /// What comes out of an operation never contradicts what came out before.
    fn went_on(&self, bytes: &[u8]) -> Judgement {
        let Some(before) = &self.report.begun else { return Err("no operation".into()) };
        let process = self.run.processes.get(self.report.line.process);
        let mut after = process.and_then(|process| process.lock().begun.clone());
        let mut now = after.clone().unwrap_or_else(|| before.clone());
        let skewed = self.hits.iter().any(|hit| hit.trouble == crate::trouble::Trouble::Skew);
        let spoilt = self.lied() && !skewed;
        now.tainted |= spoilt;
        if skewed && before.released.is_empty() {
            now.may_be = [true, true];
        }
        let ends = self.report.line.action == Action::End;
        let all = [expected(&now, false), expected(&now, true)];
        for (may, expected) in now.may_be.iter_mut().zip(all) {
            *may &= match (now.verb, ends) {
                (Verb::Encrypt, false) => now.released == expected,
                (_, false) => bytes.is_empty(),
                (Verb::Encrypt, true) => bytes.is_empty() && before.released == expected,
                (_, true) => bytes == expected,
            };
        }
        let good = now.tainted || now.may_be.contains(&true);
        if let Some(after) = &mut after {
            (after.may_be, after.tainted) = (now.may_be, now.tainted);
        }
        if let Some(process) = process
            && after.is_some()
        {
            process.lock().begun = after;
        }
        if good {
            Ok(())
        } else {
            Err("what came out contradicts what must or did come out".into())
        }
    }

    /// An error, which must have a reason.
    fn refused(&self, error: &Error) -> Judgement {
        let action = self.report.line.action;
        let rv = error.rv.0;
        if action.is_command() {
            return self.command_refused(error);
        }
        let gone = matches!(rv, CKR_OBJECT_HANDLE_INVALID | CKR_KEY_HANDLE_INVALID);
        if gone && (self.is_gone() || self.store_failed()) {
            return Ok(());
        }
        if !self.is_logged_in() && !matches!(action, Action::LogIn | Action::Find | Action::Random)
        {
            return Ok(());
        }
        let logged_in = self.is_logged_in();
        // What goes on in the session can't move with a key that is gone, nor can a key be used whose record has just come.
        if self.stuck_with_gone_key() || (rv == CKR_TOKEN_WRITE_PROTECTED && self.is_newer()) {
            return Ok(());
        }
        // A process that has only just come, and could read of no member what it can do, or not read a key that it has not used
        // before; tried twice.
        if matches!(rv, CKR_MECHANISM_INVALID | CKR_DEVICE_ERROR)
            && self.hits.iter().filter(|h| h.trouble.is_store()).count() > 1
        {
            return Ok(());
        }
        let reason = match action {
            Action::LogInWrongly => true,
            Action::LogIn if logged_in => rv == CKR_USER_ALREADY_LOGGED_IN,
            Action::LogIn if rv == CKR_PIN_INCORRECT => self.pins_differ(),
            Action::LogIn => self.store_failed() || !self.one_works(),
            Action::LogOut | Action::Find | Action::Read(_) => self.store_failed(),
            Action::Sign(_) | Action::BeginMac(_) | Action::BeginEncrypt(_) | Action::Random => {
                !self.one_works()
            }
            Action::Feed(_) | Action::End => !self.one_works() || self.is_stuck(),
            _ => {
                self.store_failed()
                    // Operators took out more than new keys can do without.
                    || self.run.able(self.truth) < self.run.options.min_replicas
                    || self.is_troubled()
                    || self.is_undone()
                    || self.anything_wrong()
                    || self.comes_between()
            }
        };
        if reason { Ok(()) } else { Err(format!("failed without a reason: {error}")) }
    }

    /// A command that was not done, which must have a reason.
    fn command_refused(&self, error: &Error) -> Judgement {
        let sound = |number: usize| self.run.sound().get(number).copied().unwrap_or(false);
        let about = self.report.line.action.commanded();
        let reason = !self.report.asked.sensible
            || !self.hits.is_empty()
            || self.comes_between()
            || self.anything_wrong()
            || about.is_some_and(|number| !sound(number) && self.is_bad(number));
        if reason { Ok(()) } else { Err(format!("not done without a reason: {error}")) }
    }

    /// Something is wrong at an HSM besides that it doesn't hold the ring.
    fn is_bad(&self, number: usize) -> bool {
        let hsm = self.run.world.hsms.get(number).map(|hsm| hsm.lock());
        hsm.is_none_or(|hsm| hsm.away || hsm.full || hsm.pin != PIN || !hsm.refused.is_empty())
            || self.run.world.quiet_ms(number) <= QUIET_MS
    }

    fn is_gone(&self) -> bool {
        let asked = self.report.asked.object.as_ref();
        let now = asked.and_then(|real| self.truth.objects.get(&real.object.id));
        now.is_some_and(|real| !real.alive)
    }

    /// It comes in the middle of another process's call, which may hold a lease.
    fn comes_between(&self) -> bool {
        self.run.processes.iter().filter(|process| process.lock().busy).count() > 1
    }

    fn stuck_with_gone_key(&self) -> bool {
        let begun = self.report.begun.as_ref();
        let key = begun.and_then(|begun| self.truth.objects.get(&begun.key));
        key.is_some_and(|real| !real.alive)
    }

    fn is_newer(&self) -> bool {
        self.report.asked.object.as_ref().is_some_and(|asked| {
            let now = self.truth.objects.get(&asked.object.id);
            now.is_some_and(|now| now.object.born > asked.object.born)
        })
    }

    /// An operation that can't move: it has grown past the limit, or what came out was a lie.
    fn is_stuck(&self) -> bool {
        self.report.begun.as_ref().is_some_and(|begun| {
            begun.fed.len() + begun.released.len() + 256 > self.run.options.replay_bytes_max
                || begun.tainted
                || begun.may_be != [true, false]
        })
    }

    /// A member at which nothing was or went wrong, and which has proven the key, could have done it.
    fn one_works(&self) -> bool {
        let sound = self.run.sound();
        let works = self.report.asked.works.iter().zip(sound).enumerate();
        let counts = |number| self.truth.members.contains(&member_name(number));
        works.into_iter().any(|(number, (worked, works))| {
            *worked && works && counts(number) && self.run.options.keeps_keys(number)
        })
    }

    /// The member that is asked first has another PIN: what it refuses is tried nowhere else.
    fn pins_differ(&self) -> bool {
        self.run.world.hsms.iter().any(|hsm| hsm.lock().pin != PIN)
    }

    fn anything_wrong(&self) -> bool {
        let works = self.run.sound().into_iter().zip(&self.report.asked.works);
        works.enumerate().any(|(number, (sound, worked))| {
            let counts = self.truth.members.contains(&member_name(number));
            let full = self.run.world.hsms.get(number).is_some_and(|hsm| hsm.lock().full);
            counts && (!sound || !*worked || full)
        })
    }
}

/// What comes of an operation.
fn expected(begun: &Begun, skewed: bool) -> Vec<u8> {
    match begun.verb {
        Verb::Encrypt => crypto::encrypt_blocks(&begun.value, Some(&begun.iv), &begun.fed, skewed),
        _ => crypto::mac(&begun.value, begun.mechanism, &begun.fed, skewed),
    }
}

/// How much a line makes, changes and destroys.
const fn wanted(action: Action) -> [usize; 3] {
    use crate::script::KeyKind;
    match action {
        Action::Make(KeyKind::Rsa | KeyKind::Ec) => [2, 0, 0],
        Action::Make(_) | Action::Create { .. } | Action::Copy(_) => [1, 0, 0],
        Action::Relabel(_) | Action::Tighten(_) => [0, 1, 0],
        Action::Destroy(_) => [0, 0, 1],
        _ => [0; 3],
    }
}
