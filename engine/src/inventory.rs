//! What members really hold, looked at one object after the other, and what is done about it: each step of a plan is an
//! exception of the member's follower, which tries it again like any other.

use crate::carry;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::fault::Answer;
use crate::joining::unwell;
use crate::member::User;
use crate::object::{Object, ObjectId};
use crate::pair;
use crate::prove::says_beyond;
use crate::reconcile::{Action, Found, Inventory, Step, Wanted, plan};
use crate::replica::is_hidden;
use crate::report::{Outcome, Progress, Reconciliation};
use crate::station::{Lease, Station};
use crate::strangers::{everything, named};
use crate::token::Token;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tandem_values::{Handle, Template, ck::*};

/// An object of the log with every form that it had, the last one first.
pub(crate) struct Known {
    pub(crate) wanted: Wanted,
    pub(crate) forms: Vec<Object>,
}

impl Token {
    /// Looks at what every member holds, and plans what is to be done so that it is what the log says. Nothing is
    /// changed. Needs a login.
    pub fn plan(&self, progress: &dyn Progress) -> Result<Reconciliation> {
        self.seal()?;
        self.shelf.refresh()?;
        self.try_again();
        self.catch_up();
        let mut away = Vec::new();
        for station in self.keepers().filter(|station| !station.is_ready()) {
            away.push((station.name().to_owned(), self.is_only_away(station)?));
        }
        let known = self.known_objects()?;
        let (mut inventories, mut strangers) = (Vec::new(), Vec::new());
        for station in self.keepers().filter(|station| station.is_ready()) {
            let lease = station.lease().map_err(|fault| unwell(station.name(), fault))?;
            let (inventory, others) = self.look_over(&lease, &known, progress)?;
            inventories.push(inventory);
            strangers.push((station.name().to_owned(), others));
        }
        let wanted: Vec<_> = known.iter().map(|known| known.wanted.clone()).collect();
        let name = |id: &ObjectId| {
            let form = known.iter().find(|known| known.wanted.id == *id)?.forms.first()?;
            let bytes = |kind| form.template.bytes(kind).unwrap_or_default();
            Some((*id, named(form.template.class(), bytes(CKA_LABEL), bytes(CKA_ID))))
        };
        let steps = plan(&wanted, &inventories);
        let names = steps.iter().filter_map(|step| name(&step.object)).collect();
        Ok(Reconciliation { steps, names, away, strangers })
    }

    /// Does what a plan says, by the code with which every member follows the log. Answers what came of each step.
    pub fn reconcile(&self, steps: &[Step], progress: &dyn Progress) -> Result<Vec<Outcome>> {
        self.seal()?;
        let mut by_member: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
        for step in steps.iter().filter(|step| step.action != Action::Look) {
            by_member.entry(&step.member).or_default().push(step);
        }
        let mut undone: BTreeMap<(String, ObjectId), String> = BTreeMap::new();
        for (name, steps) in by_member {
            let station = self.named_station(name)?;
            for (id, reason) in self.try_steps(station, &steps, progress)? {
                undone.insert((name.to_owned(), id), reason);
            }
        }
        let outcome = |step: &Step| match step.action {
            Action::Look => Outcome::Left,
            _ => match undone.get(&(step.member.clone(), step.object)) {
                Some(reason) => Outcome::Failed(reason.clone()),
                None => Outcome::Done,
            },
        };
        Ok(steps.iter().map(outcome).collect())
    }

    /// Has a member try steps. Answers those that it could not do, with the reason.
    fn try_steps(
        &self,
        station: &Arc<Station>,
        steps: &[&Step],
        progress: &dyn Progress,
    ) -> Result<Vec<(ObjectId, String)>> {
        let name = station.name();
        progress
            .stage(&format!("putting {name} in order"), u64::try_from(steps.len()).unwrap_or(0));
        let mut writing = self.alone_at(name)?;
        for step in steps {
            writing.except(step.object, step.reason)?;
            station.forget_replica(step.object);
        }
        drop(writing);
        station.try_again_at_once();
        if let Err(error) = self.follow(station, &mut Vec::new(), progress) {
            log::warn!("member {name} could not be put in order: {error}");
        }
        let left = self.store.following(name)?.exceptions;
        Ok(left.into_iter().filter(|(id, _)| steps.iter().any(|step| step.object == *id)).collect())
    }

    /// Every object that the log speaks of.
    pub(crate) fn known_objects(&self) -> Result<Vec<Known>> {
        let entries = self.shelf.find(&Template::new())?;
        let alive: BTreeSet<_> = entries.iter().map(|entry| entry.object.id).collect();
        let mut known = Vec::with_capacity(entries.len());
        for entry in &entries {
            let (id, holders) = (entry.object.id, entry.object.holders.clone());
            let forms = self.forms_of(&entry.object)?;
            let resident = !entry.object.is_on_demand();
            known.push(Known { wanted: Wanted { id, alive: true, resident, holders }, forms });
        }
        for id in self.store.mentioned()? {
            if !alive.contains(&id) {
                let forms = self.forms(id, u64::MAX)?;
                let wanted = Wanted { id, alive: false, resident: false, holders: None };
                known.push(Known { wanted, forms });
            }
        }
        Ok(known)
    }

    /// Looks for each object on a member. Answers what was found, and how many objects there are nobody's.
    fn look_over(
        &self,
        lease: &Lease,
        known: &[Known],
        progress: &dyn Progress,
    ) -> Result<(Inventory, usize)> {
        let desk = lease.desk();
        let name = lease.station().name();
        let ill = |fault| unwell(name, fault);
        progress.stage(
            &format!("looking at what {name} holds"),
            u64::try_from(known.len()).unwrap_or(0),
        );
        let exceptions = self.store.following(name)?.exceptions;
        let beyond = exceptions.iter().filter(|(_, reason)| says_beyond(reason).is_some());
        let mut inventory = Inventory {
            member: name.to_owned(),
            beyond: beyond.map(|(id, _)| *id).collect(),
            exceptions: exceptions.iter().map(|(id, _)| *id).collect(),
            found: BTreeMap::new(),
        };
        let mut others = everything(&desk).map_err(ill)?;
        for object in known {
            progress.step();
            if others.is_empty() {
                continue;
            }
            if let Some((handle, found)) = self.look_for(&desk, object).map_err(ill)? {
                others.remove(&handle);
                inventory.found.insert(object.wanted.id, found);
            }
        }
        for object in known.iter().filter(|object| object.wanted.alive && object.wanted.resident) {
            if !inventory.found.contains_key(&object.wanted.id)
                && let Some(form) = object.forms.first()
                && bears_its_name(&desk, form, &others).map_err(ill)?
            {
                inventory.found.insert(object.wanted.id, Found::Another);
            }
        }
        Ok((inventory, others.len()))
    }

    /// An object as it is now, or else as it once was.
    fn look_for(&self, desk: &Desk<'_>, object: &Known) -> Answer<Option<(Handle, Found)>> {
        let (now, before) = match object.forms.split_first() {
            Some((now, before)) => (std::slice::from_ref(now), before),
            None => return Ok(None),
        };
        if let Some(handle) = self.locate_first(desk, now)? {
            return Ok(Some((handle, Found::Proven)));
        }
        Ok(self.locate_first(desk, before)?.map(|handle| (handle, Found::Stale)))
    }

    /// Why a member is not looked at. An error if it answers and holds another ring, or none: nothing that is done there
    /// would be right.
    fn is_only_away(&self, station: &Arc<Station>) -> Result<String> {
        let (name, ring) = (station.name(), self.paired()?);
        let why = station.condition().1;
        let pin = self.login.read().pin().cloned();
        if station.start().is_err() || self.enter_other(station, User::User, pin.as_ref()).is_err()
        {
            return Ok(why);
        }
        let Ok(lease) = station.lease() else { return Ok(why) };
        match pair::rings(&lease.desk()) {
            Ok(rings) if !rings.contains(&ring.ring.id) => Err(Error::new(
                CKR_TOKEN_NOT_RECOGNIZED,
                format!(
                    "member {name}: its token holds {}, so nothing is held against it. Put back the token that was paired, or run \
                     `tandem member replace {name} --shares DIR`",
                    if rings.is_empty() {
                        "no key ring"
                    } else {
                        "another key ring than this virtual token's"
                    }
                ),
            )),
            _ => Ok(why),
        }
    }
}

/// True if an object that is nobody's bears the name and class of this one.
fn bears_its_name(desk: &Desk<'_>, form: &Object, others: &BTreeSet<Handle>) -> Answer<bool> {
    if others.is_empty() {
        return Ok(false);
    }
    for candidate in desk.member.find(desk.session, &carry::search(form))? {
        if others.contains(&candidate) && !is_hidden(desk, candidate)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Reconciliation {
    /// How people call an object.
    pub fn name(&self, id: ObjectId) -> &str {
        self.names.get(&id).map_or("", String::as_str)
    }

    /// True if members hold what the log says.
    pub fn is_in_order(&self) -> bool {
        self.steps.is_empty()
    }
}
