//! Operators who bring members in and take them out: each command is a process of its own, and what it comes to is judged
//! by what the log says of the members.

use crate::act::Said;
use crate::oracle::Report;
use crate::run::{Outcome, Run};
use crate::script::{Action, Line};
use crate::setup::{self, PIN, THRESHOLD};
use crate::store::Books;
use crate::toy::RING_KEYS;
use crate::trouble::member_name;
use crate::truth::Truth;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tandem_engine::error::Result;
use tandem_engine::event::Event;
use tandem_engine::joining::Bringing;
use tandem_engine::leaving::Belongings;
use tandem_engine::report::Quiet;
use tandem_engine::settings::RecoverySettings;
use tandem_engine::token::Token;
use tandem_values::Secret;
use tandem_values::ck::{CKA_LABEL, CKR_ARGUMENTS_BAD};

/// What operators have begun and left.
#[derive(Default)]
pub struct Operators {
    /// Commands that were not done to their end.
    open: BTreeMap<usize, Action>,
    /// So is a rotation of the KEKs.
    rotates: bool,
    /// It can't wrap some keys anew.
    keeps_back: bool,
    /// Members that were wiped, and not brought in since.
    wiped: BTreeSet<usize>,
    /// Members that a command of the line under way is about.
    touched: BTreeSet<usize>,
    /// How often each token had been written to that the log doesn't count, when the last line ended.
    outside: BTreeMap<usize, u64>,
}

impl Run {
    /// A line of an operator.
    pub(crate) fn command(self: &Arc<Self>, line: Line) {
        let asked = self.asked(line);
        let said = self.tool(line);
        let report = Report { line, asked, begun: None, said };
        let judged = self.oracle.lock().judge(self, &report);
        if let Err(what) = judged {
            self.violate(&line.to_string(), &what);
        }
    }

    /// The operator's tool: a process that lives as long as its command.
    fn tool(self: &Arc<Self>, line: Line) -> Outcome<Said> {
        if line.action == Action::Rotate {
            return self.rotate(line);
        }
        let Some(number) = line.action.commanded() else { return Outcome::Died };
        let life = self.world.be_born();
        self.world.begin_line(life, line.number);
        self.oracle.lock().note_pin(PIN);
        {
            let mut operators = self.operators.lock();
            operators.touched.insert(number);
            operators.wiped.remove(&number);
            operators.open.insert(number, line.action);
        }
        let token = setup::token(&self.world, &self.options, life);
        let said = self.outlive(line, || {
            token.start();
            let done = self.ask_tool(&token, line.action, &member_name(number));
            token.stop();
            done.map(|()| Said::Commanded)
        });
        drop(token);
        self.world.bury(life);
        if matches!(said, Outcome::Answered(Ok(_))) {
            let mut operators = self.operators.lock();
            operators.open.remove(&number);
            let hsm = self.world.hsms.get(number).map(|hsm| hsm.lock());
            let emptied = hsm.is_none_or(|hsm| hsm.is_replaced());
            // Otherwise it was the empty token in its place that was wiped.
            if matches!(line.action, Action::Wipe(_)) && !emptied {
                operators.wiped.insert(number);
            }
        }
        said
    }

    /// `tandem kek rotate`, which is left where the rotation is not finished.
    fn rotate(self: &Arc<Self>, line: Line) -> Outcome<Said> {
        let life = self.world.be_born();
        self.world.begin_line(life, line.number);
        self.oracle.lock().note_pin(PIN);
        self.operators.lock().rotates = true;
        let token = setup::token(&self.world, &self.options, life);
        let mut finished = false;
        let said = self.outlive(line, || {
            token.start();
            let done = token.login(&Secret::new(PIN)).and_then(|session| {
                let done = self.ask_to_rotate(&token);
                session.close();
                done
            });
            token.stop();
            finished = *done.as_ref().unwrap_or(&false);
            done.map(|_| Said::Commanded)
        });
        drop(token);
        self.world.bury(life);
        self.operators.lock().rotates = !finished;
        said
    }

    fn ask_to_rotate(&self, token: &Arc<Token>) -> Result<bool> {
        let settings = RecoverySettings { shares: 3, threshold: THRESHOLD };
        let shares = self.shares_in_force();
        let rotated = token.rotate_keks(&shares, &settings, &Quiet, &mut |made| {
            let kept = made.iter().take(THRESHOLD.into()).map(|share| share.words.clone());
            let set = made.first().map(|share| share.set).unwrap_or_default();
            self.shares.lock().insert(set, kept.collect());
            Ok(())
        })?;
        self.world.tell(|| format!("{rotated:?}"));
        self.operators.lock().keeps_back = !rotated.left.is_empty();
        Ok(rotated.finished && rotated.left.is_empty())
    }

    /// The shares that an operator brings: those of the set of which the log tells.
    fn shares_in_force(&self) -> Vec<Secret> {
        let books = self.world.books.lock();
        let set = books.records().iter().rev().find_map(|record| match record.event() {
            Some(Event::Rotating(rotation)) => Some(rotation.recovery.set),
            Some(Event::Paired(ring)) => ring.recovery.map(|recovery| recovery.set),
            _ => None,
        });
        set.and_then(|set| self.shares.lock().get(&set).cloned()).unwrap_or_default()
    }

    fn ask_tool(&self, token: &Arc<Token>, action: Action, name: &str) -> Result<()> {
        let pin = Secret::new(PIN);
        let shares = self.shares_in_force();
        let bringing = Bringing { shares: &shares, keep_foreign: false, progress: &Quiet };
        match action {
            Action::Add(_) => token.add_member(&pin, name, &bringing).map(drop),
            Action::Replace(_) => token.replace_member(&pin, name, &bringing).map(drop),
            Action::Remove(_) => {
                token.remove_member(&pin, name, Belongings::Left, &Quiet).map(drop)
            }
            _ => token.remove_member(&pin, name, Belongings::Wiped, &Quiet).map(drop),
        }
    }

    /// Whether a command can be done as things stand.
    pub(crate) fn is_sensible(&self, action: Action, truth: &Truth, books: &Books) -> bool {
        let Some(number) = action.commanded() else { return true };
        let name = member_name(number);
        let counts = truth.members.contains(&name);
        let hsm = self.world.hsms.get(number).map(|hsm| hsm.lock());
        let holds = hsm.is_some_and(|hsm| hsm.holds_ring());
        match action {
            // It is one already, on another token.
            Action::Add(_) => holds || !counts,
            Action::Replace(_) => truth.known.contains(&name),
            _ => {
                let generator = self.generator(truth);
                if generator == Some(number) {
                    // Somebody must hold the ring.
                    return !counts || truth.members.len() > 1;
                }
                let generator = generator.map(member_name);
                let is_other =
                    |other: &&String| **other != name && generator.as_ref() != Some(other);
                let mut others = truth.members.iter().filter(is_other);
                let holds_all = |other: &String| {
                    let (position, excepted) = books.follower(other);
                    excepted.is_empty() && truth.living().all(|real| position >= real.object.born)
                };
                !counts || others.any(holds_all)
            }
        }
    }

    /// After healing every command that was left is run again, and must be done.
    pub(crate) fn finish_commands(self: &Arc<Self>) -> std::result::Result<(), String> {
        let members = 0..self.options.members;
        // What was lost comes first: others may be all that is left without it.
        for (number, lost) in members.clone().map(|n| (n, true)).chain(members.map(|n| (n, false)))
        {
            let open = self.operators.lock().open.get(&number).copied();
            let Some(action) = self.what_is_left(number, open)? else { continue };
            if lost && !matches!(action, Action::Replace(_)) {
                continue;
            }
            let line = Line { number: 0, process: 0, action };
            self.world.tell(|| format!("--- again: {action:?} ---"));
            match self.tool(line) {
                Outcome::Answered(Ok(_)) => self.oracle.lock().follow(self)?,
                // It alone holds something, as long as another is not looked after.
                Outcome::Answered(Err(error))
                    if error.rv.0 == CKR_ARGUMENTS_BAD && !self.others_hold_all(number) => {}
                Outcome::Answered(Err(error)) => {
                    return Err(format!("{action:?}, run again, is not done: {error}"));
                }
                Outcome::Died => return Err(format!("{action:?}, run again, died")),
            }
        }
        self.finish_rotation()
    }

    /// A rotation that was left is gone on with, and must be finished: everybody is there.
    fn finish_rotation(self: &Arc<Self>) -> std::result::Result<(), String> {
        self.oracle.lock().follow(self)?;
        let is_open = self.operators.lock().rotates || self.oracle.lock().truth.is_rotating();
        if !is_open {
            return Ok(());
        }
        let line = Line { number: 0, process: 0, action: Action::Rotate };
        self.world.tell(|| "--- again: Rotate ---".into());
        match self.tool(line) {
            Outcome::Answered(Ok(_)) if !self.operators.lock().rotates => {}
            Outcome::Answered(Ok(_)) if self.has_spoilt_keys() => {}
            Outcome::Answered(Ok(_)) => {
                return Err("a rotation, gone on with, is not finished".into());
            }
            Outcome::Answered(Err(error)) => {
                return Err(format!("a rotation, gone on with, is not done: {error}"));
            }
            Outcome::Died => return Err("a rotation, gone on with, died".into()),
        }
        self.oracle.lock().follow(self)
    }

    /// A member lied when a key was made, and nobody's copy of that proves itself: a rotation leaves it as it is, and waits for it
    /// to be destroyed.
    fn has_spoilt_keys(&self) -> bool {
        let has_lied = self.world.hits().iter().any(|hit| hit.trouble.is_lie());
        has_lied && self.operators.lock().keeps_back
    }

    /// Where no rotation is under way members hold the newest KEKs alone, and nothing that lives is wrapped under others.
    pub(crate) fn nothing_is_under_old_keks(&self) -> std::result::Result<(), String> {
        let oracle = self.oracle.lock();
        if oracle.truth.is_rotating() && self.has_spoilt_keys() {
            return Ok(());
        }
        let newest = oracle.truth.newest;
        if let Some(real) = oracle
            .truth
            .living()
            .find(|real| real.object.under().is_some_and(|under| under.generation != newest))
        {
            return Err(format!("{} is wrapped under old KEKs", real.object.id));
        }
        for (number, hsm) in self.world.hsms.iter().enumerate() {
            let name = member_name(number);
            let hsm = hsm.lock();
            let old = hsm.token_objects().filter(|thing| thing.is_of_ring() && !thing.is_head());
            let old: Vec<_> = old.filter_map(|thing| thing.template.bytes(CKA_LABEL)).collect();
            if oracle.truth.members.contains(&name) && old.len() != RING_KEYS {
                let old: Vec<_> = old.iter().map(|it| String::from_utf8_lossy(it)).collect();
                return Err(format!("{name} holds {old:?} as keys of the ring"));
            }
        }
        Ok(())
    }

    /// Another member holds everything.
    fn others_hold_all(&self, number: usize) -> bool {
        let oracle = self.oracle.lock();
        self.is_sensible(Action::Remove(number), &oracle.truth, &self.world.books.lock())
    }

    /// The command that an operator runs for a member now.
    fn what_is_left(
        &self,
        number: usize,
        open: Option<Action>,
    ) -> std::result::Result<Option<Action>, String> {
        let mut oracle = self.oracle.lock();
        oracle.follow(self)?;
        let (truth, name) = (&oracle.truth, member_name(number));
        let Some(hsm) = self.world.hsms.get(number).map(|hsm| hsm.lock()) else { return Ok(None) };
        let lost = truth.members.contains(&name) && !hsm.holds_ring();
        let keeps = self.options.keeps_keys(number);
        let last = truth.members.contains(&name)
            && (truth.members.len() == 1 || (keeps && self.keepers(truth) == 1));
        let is_missed = keeps && truth.known.contains(&name) && self.keepers(truth) == 0;
        Ok(match open {
            // It stays, whatever was asked.
            Some(Action::Remove(_) | Action::Wipe(_)) if last => {
                lost.then_some(Action::Replace(number))
            }
            // It went in the middle of its replacement, and was the last that keeps keys.
            None | Some(Action::Remove(_) | Action::Wipe(_)) if is_missed => {
                Some(Action::Replace(number))
            }
            // There is nothing to wipe on a token that came in its place.
            Some(Action::Wipe(_)) if lost => Some(Action::Remove(number)),
            Some(Action::Remove(_) | Action::Wipe(_)) => open,
            _ if lost => Some(Action::Replace(number)),
            // It was never one, so there is nothing to replace.
            Some(Action::Replace(_)) if !truth.known.contains(&name) => None,
            open => open,
        })
    }

    /// A token that the log doesn't count is written to by nobody but whoever brings it in or takes it out.
    pub(crate) fn nothing_outside_is_written_to(&self) -> std::result::Result<(), String> {
        if self.processes.iter().any(|process| process.lock().busy) {
            return Ok(());
        }
        let oracle = self.oracle.lock();
        let mut operators = self.operators.lock();
        let touched = std::mem::take(&mut operators.touched);
        for (number, hsm) in self.world.hsms.iter().enumerate() {
            let name = member_name(number);
            if oracle.truth.members.contains(&name) {
                operators.outside.remove(&number);
                continue;
            }
            let written = hsm.lock().written;
            let before = operators.outside.insert(number, written);
            if before.is_some_and(|before| before != written) && !touched.contains(&number) {
                return Err(format!("{name} is no member, and was written to"));
            }
        }
        Ok(())
    }

    /// Nothing is left of ours on what was wiped.
    pub(crate) fn wiped_is_empty(&self) -> std::result::Result<(), String> {
        let members = self.oracle.lock().truth.members.clone();
        for number in &self.operators.lock().wiped {
            // Another brought it in again while it was wiped.
            if members.contains(&member_name(*number)) {
                continue;
            }
            // A key that signs otherwise than it should is nobody's that we know.
            if self.has_lied(&member_name(*number)) {
                continue;
            }
            let left = self.world.hsms.get(*number).map(|hsm| hsm.lock().token_objects().count());
            if left.unwrap_or(0) > 0 {
                return Err(format!("{} was wiped and holds objects", member_name(*number)));
            }
        }
        Ok(())
    }
}
