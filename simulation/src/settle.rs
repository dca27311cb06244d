//! The liveness phase: everything is healed, and then all must come together.

use crate::act;
use crate::plan::Plan;
use crate::process::Running;
use crate::run::{QUIET_MS, Run};
use crate::setup::{self, PIN};
use crate::toy::{Hsm, Thing, crypto};
use crate::trouble::{Place, member_name};
use crate::truth::{Real, handle_of};
use std::collections::BTreeSet;
use std::sync::Arc;
use tandem_engine::heads::HeadRecord;
use tandem_engine::report::{Quiet, Replica};
use tandem_engine::step::{Output, Room, Step, Verb};
use tandem_values::{Handle, Mechanism, Secret, Template, ck::*};

/// What is judged.
type Judgement = Result<(), String>;

/// Enough for whatever comes out.
const ROOM: Room = Room::Bytes(4_096);

/// What is left to be repaired by an operator after a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Replicas that are on a follower's list of what it could not take.
    pub excepted: usize,
    /// Replicas that are proven where they should be.
    pub proven: usize,
    /// Replicas that are not to be, since they are beyond the member.
    pub beyond: usize,
}

impl Run {
    /// Heals everything and checks that all comes together.
    pub fn settle(self: &Arc<Self>) -> Result<Settled, String> {
        self.verdict()?;
        self.world.set_plan(Plan::Nothing);
        self.world.tell(|| "--- healed ---".into());
        for hsm in &self.world.hsms {
            let mut hsm = hsm.lock();
            hsm.heal();
            hsm.pin = PIN.to_vec();
        }
        // The operator has set the PIN right and enables the member.
        self.world.books.lock().notes.retain(|name, _| !name.ends_with("/refused-pin"));
        self.world.pass(QUIET_MS);
        self.finish_commands()?;
        let settled = self.operate()?;
        self.each_process()?;
        self.stop_all();
        self.oracle.lock().follow(self)?;
        self.members_hold_the_truth()?;
        self.nothing_is_under_old_keks()?;
        self.wiped_is_empty()?;
        self.verdict()?;
        Ok(settled)
    }

    /// A new process logs in and proves every replica.
    fn operate(self: &Arc<Self>) -> Result<Settled, String> {
        let life = self.world.be_born();
        let token = setup::token(&self.world, &self.options, life);
        token.start();
        let session =
            token.login(&Secret::new(PIN)).map_err(|error| format!("no login: {error}"))?;
        let reports = token.verify(&Quiet).map_err(|error| format!("no verification: {error}"))?;
        self.oracle.lock().excuse_nothing();
        self.oracle.lock().follow(self)?;
        let living = self.oracle.lock().truth.living().count();
        if reports.len() != living {
            return Err(format!("{living} objects live and {} are known", reports.len()));
        }
        let mut settled = Settled::default();
        let mut members = self.oracle.lock().truth.members.clone();
        members.retain(|name| !self.is_generator(name));
        for report in reports {
            let on: BTreeSet<_> = report.replicas.iter().map(|(name, _)| name.clone()).collect();
            if on != members {
                return Err(format!("members are {members:?}, and asked were {on:?}"));
            }
            for (member, replica) in report.replicas {
                let (_, excepted) = self.world.books.lock().follower(&member);
                let is_beyond = !self.can_hold(&member, &report.template);
                match replica {
                    Replica::Beyond(_) if is_beyond => settled.beyond += 1,
                    replica if is_beyond => {
                        return Err(format!(
                            "object {} is beyond {member}, and there: {replica:?}",
                            report.handle
                        ));
                    }
                    Replica::Proven => settled.proven += 1,
                    Replica::Failed(_) if excepted.contains(&report.id) => settled.excepted += 1,
                    // It has lied, and is found out.
                    Replica::Failed(_) if self.has_lied(&member) => settled.excepted += 1,
                    replica => {
                        return Err(format!("object {} on {member}: {replica:?}", report.handle));
                    }
                }
            }
        }
        session.close();
        token.stop();
        self.world.bury(life);
        Ok(settled)
    }

    /// True for the name of a member that can hold such an object.
    pub(crate) fn can_hold(&self, member: &str, template: &Template) -> bool {
        let named = |(number, _): &(usize, _)| member_name(*number) == member;
        let hsm = self.world.hsms.iter().enumerate().find(named);
        hsm.is_none_or(|(_, hsm)| hsm.lock().can_hold(template))
    }

    pub(crate) fn has_lied(&self, member: &str) -> bool {
        self.world.hits().iter().any(|hit| hit.trouble.is_lie() && hit.place.to_string() == member)
    }

    /// Every process that still runs works with each member alone.
    fn each_process(&self) -> Judgement {
        for process in &self.processes {
            let (running, logged_in) = {
                let process = process.lock();
                (process.running.clone(), process.logged_in && process.begun.is_none())
            };
            let Some(running) = running.filter(|_| logged_in) else { continue };
            self.world.begin_line(running.life, 0);
            for alone in (0..self.options.members).filter(|number| self.counts(*number)) {
                // It has refused this process's PIN, and is left alone until another is brought.
                if !self.world.hsms.get(alone).is_some_and(|hsm| hsm.lock().refused.is_empty()) {
                    continue;
                }
                self.plug_in_only(Some(alone));
                self.works(&running, alone)?;
                self.plug_in_only(None);
                running.session.random(1).map_err(|error| format!("not at all: {error}"))?;
            }
        }
        Ok(())
    }

    /// True for a member that the log counts.
    fn counts(&self, number: usize) -> bool {
        self.oracle.lock().truth.members.contains(&member_name(number))
    }

    /// True for the name of the member that makes the others' keys.
    fn is_generator(&self, name: &str) -> bool {
        self.options.generator.is_some_and(|number| member_name(number) == name)
    }

    fn plug_in_only(&self, alone: Option<usize>) {
        for (number, hsm) in self.world.hsms.iter().enumerate() {
            hsm.lock().away = alone.is_some_and(|alone| alone != number);
        }
        self.world.pass(QUIET_MS);
    }

    /// A process uses every key that is proven on a member, while no other is there: none, on a generator.
    fn works(&self, running: &Running, alone: usize) -> Judgement {
        let keeps = self.options.keeps_keys(alone);
        let keys: Vec<_> = {
            let oracle = self.oracle.lock();
            let books = self.world.books.lock();
            let (position, excepted) = books.follower(&member_name(alone));
            oracle
                .truth
                .living()
                .filter(|real| keeps && real.object.class() == CKO_PRIVATE_KEY)
                .filter(|real| !real.object.is_in_stock())
                .filter(|real| position >= real.object.born && !excepted.contains(&real.object.id))
                .filter_map(|real| Some((real.clone(), handle_of(&books, real.object.id)?)))
                .collect()
        };
        let member = member_name(alone);
        running
            .session
            .random(1)
            .map_err(|error| format!("life {} and {member} alone: {error}", running.life))?;
        for (real, handle) in keys {
            sign(running, &real, handle).map_err(|error| {
                format!("life {} and {member} alone, signing by {handle}: {error}", running.life)
            })?;
        }
        Ok(())
    }

    fn stop_all(&self) {
        for process in &self.processes {
            let running = process.lock().running.take();
            if let Some(running) = running {
                running.session.close();
                running.token.stop();
                drop(running.session);
                self.world.bury(running.life);
            }
        }
    }

    /// Every member holds every living object that is resident once, and nothing else; a generator holds none.
    fn members_hold_the_truth(&self) -> Judgement {
        let oracle = self.oracle.lock();
        let books = self.world.books.lock();
        for (number, hsm) in self.world.hsms.iter().enumerate() {
            let (hsm, name) = (hsm.lock(), member_name(number));
            if hsm.session_objects() > 0 {
                return Err(format!("session objects are left on {name}"));
            }
            if !oracle.truth.members.contains(&name) {
                continue;
            }
            knows_the_end(&hsm, books.records().len())?;
            let mut held: Vec<&Thing> =
                hsm.token_objects().filter(|thing| !thing.is_of_ring()).collect();
            let (_, excepted) = books.follower(&name);
            // What is held on demand is on no member: left over from its use it would be an orphan.
            let keeps = !self.is_generator(&name);
            for real in oracle.truth.living().filter(|real| keeps && !real.object.is_on_demand()) {
                let secret = oracle.truth.secret(&books, real);
                let at = held.iter().position(|thing| is_replica(thing, real, secret.as_deref()));
                match at {
                    Some(at) => _ = held.swap_remove(at),
                    None if excepted.contains(&real.object.id) || self.has_lied(&name) => {}
                    None => {
                        let label = label(real.object.template.bytes(CKA_LABEL));
                        return Err(format!("{label:?} is not on {name}"));
                    }
                }
            }
            // A member that doesn't know its own keys by what they sign can't be told from one that hasn't them, and a wrong
            // key that could not be removed where it was made bears our name and is left alone.
            if self
                .world
                .hits()
                .iter()
                .any(|hit| hit.place == Place::Member(number) && hit.trouble.is_lie())
            {
                held.retain(|thing| {
                    !oracle.truth.objects.values().any(|real| {
                        let secret = oracle.truth.secret(&books, real);
                        thing.template.class() == real.object.template.class()
                            && (secret.is_none()
                                || secret.as_ref() == Some(&thing.secret)
                                || thing.template.bytes(CKA_LABEL)
                                    == real.object.template.bytes(CKA_LABEL))
                    })
                });
            }
            // What a follower could not remove is on its list, and is tried again.
            held.retain(|thing| {
                !oracle.truth.objects.values().any(|real| {
                    excepted.contains(&real.object.id)
                        && thing.template.class() == real.object.template.class()
                })
            });
            if let Some(orphan) = held.first() {
                let label = label(orphan.template.bytes(CKA_LABEL));
                let class = orphan.template.class();
                return Err(format!("{label:?} (class {class:?}) is an orphan on {name}"));
            }
        }
        Ok(())
    }
}

/// A member that answers to the end knows where the log ends, by one head record.
fn knows_the_end(hsm: &Hsm, end: usize) -> Judgement {
    let heads: Vec<_> = hsm
        .token_objects()
        .filter(|thing| thing.is_head())
        .map(|thing| thing.template.bytes(CKA_VALUE).and_then(HeadRecord::unchecked))
        .map(|head| head.map(|head| head.position))
        .collect();
    match heads.as_slice() {
        [Some(position)] if usize::try_from(*position) == Ok(end) => Ok(()),
        _ => Err(format!("{} knows of {heads:?}, and the log ends at {end}", hsm.serial)),
    }
}

fn label(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// True if an object on a member is the one of the log: by what it is, and by its label.
fn is_replica(thing: &Thing, real: &Real, secret: Option<&[u8]>) -> bool {
    let wanted = &real.object.template;
    let same = |kind| {
        thing.template.bytes(kind).unwrap_or_default() == wanted.bytes(kind).unwrap_or_default()
    };
    if thing.template.class() != wanted.class() || !same(CKA_LABEL) {
        return false;
    }
    match real.object.class() {
        CKO_PRIVATE_KEY | CKO_SECRET_KEY => {
            Some(thing.secret.as_slice()) == secret
                && thing.template.is(CKA_SENSITIVE)
                && thing.template.flag(CKA_EXTRACTABLE) == Some(false)
        }
        CKO_PUBLIC_KEY => same(CKA_MODULUS) && same(CKA_EC_POINT),
        _ if real.object.kek.is_some() => thing.template.bytes(CKA_VALUE) == secret,
        _ => same(CKA_VALUE),
    }
}

fn sign(running: &Running, real: &Real, key: Handle) -> Judgement {
    let mechanism = Mechanism::plain(act::signing(real));
    let kind = mechanism.kind;
    let init = Step::Init { verb: Verb::Sign, mechanism, key: Some(key), signature: None };
    let session = &running.session;
    session.step(init, Room::Query).map_err(|error| error.to_string())?;
    let whole = Step::Whole(Verb::Sign, b"settled".as_slice().into());
    let output = session.step(whole, ROOM).map_err(|error| error.to_string())?;
    let public = real.object.public.clone().unwrap_or_default();
    match output {
        Output::Bytes(bytes) if *bytes == crypto::sign(&public, kind, b"settled", false) => Ok(()),
        _ => Err("a wrong signature".into()),
    }
}
