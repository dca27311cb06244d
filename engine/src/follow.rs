//! Following the log: the one way in which anything gets onto a member. An outage, a replaced member, a restore and a key
//! just made are all the same here: catch up from your position.

use crate::carry;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::event::{Event, Record};
use crate::fault::{Answer, Call, Class, Fault};
use crate::journal::{BROKEN, damaged};
use crate::log::{Following, Lease as Writing, Position};
use crate::object::{Hold, Kek, Object, ObjectId, Wrapped};
use crate::prove::Failure;
use crate::replica::is_hidden;
use crate::report::{Progress, Quiet};
use crate::seal::Seal;
use crate::settings::Duty;
use crate::station::{Lease, Station, names_nothing};
use crate::token::{Token, note};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_values::template::Reading;
use tandem_values::{Handle, Template, ck::*};

/// How many records are taken before the position is moved on.
const BATCH: usize = 64;

/// What a member could not take.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    /// The object.
    pub(crate) id: ObjectId,
    /// Why.
    pub(crate) failure: Failure,
}

/// What comes of taking an object over.
pub(crate) type Taken = Result<(), Failure>;

/// A member at work on the log.
pub(crate) struct Follower<'a> {
    pub(crate) station: &'a Arc<Station>,
    pub(crate) desk: Desk<'a>,
    pub(crate) judge: Desk<'a>,
    seal: Seal,
    /// Something may have been left half-done by a process that died: look before making.
    pub(crate) look_first: bool,
    /// The token held objects of ours when it was brought in: look before making, all the way.
    look_always: bool,
    pub(crate) progress: &'a dyn Progress,
    /// The record at which this member has failed once and answered again.
    doubted: Option<Position>,
    /// Objects that were destroyed before this follower came to where they were made, and that nobody can have begun to
    /// make here: there is nothing to look for when it comes to their tombstones.
    never_here: BTreeSet<ObjectId>,
}

/// Where a member failed.
struct Stop {
    position: Position,
    fault: Fault,
}

impl Token {
    /// Lets every member that can hold keys catch up with the log, all at once. Answers what could not be taken.
    pub(crate) fn catch_up(&self) -> Vec<(String, Exception)> {
        let ready: Vec<_> = self.stations.iter().filter(|station| station.is_ready()).collect();
        self.look_at_heads();
        let exceptions = Mutex::new(Vec::new());
        // What can't be read says nothing: following says it again.
        let behind =
            ready.iter().copied().filter(|station| self.is_behind(station).unwrap_or(true));
        self.at_once(behind, |station| {
            let left = self.catch_up_one(station);
            let named = left.into_iter().map(|exception| (station.name().to_owned(), exception));
            exceptions.lock().extend(named);
        });
        // One that turned out to have forgotten us is due at once, and catches up when it is back.
        for station in ready.into_iter().filter(|station| !station.is_up()) {
            self.wake(station);
        }
        if !self.is_tended() {
            self.tell_heads(false);
        }
        exceptions.into_inner()
    }

    /// True if a member that is ready has something to follow.
    pub(crate) fn is_anybody_behind(&self) -> Result<bool> {
        for station in self.stations.iter().filter(|station| station.is_ready()) {
            if self.is_behind(station)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True if a member has something to follow, or to try again.
    fn is_behind(&self, station: &Station) -> Result<bool> {
        let head = self.store.head()?.position;
        let following = self.following(station)?;
        Ok(following.position < head || self.is_due(station, &following))
    }

    /// The right to write to a member, which no other process has meanwhile. Who follows next looks first what is there.
    pub(crate) fn alone_at(&self, name: &str) -> Result<Box<dyn Writing>> {
        self.store.lease(name, self.settings.lease_wait_ms)?.ok_or_else(|| {
            let message =
                format!("member {name}: another process is writing to it; run this again");
            Error::new(CKR_DEVICE_ERROR, message)
        })
    }

    /// How far a member has come. A generator takes nothing over, and so is where the log is.
    pub(crate) fn following(&self, station: &Station) -> Result<Following> {
        if station.does(Duty::Making) {
            let position = self.store.head()?.position;
            return Ok(Following { position, ..Following::default() });
        }
        Ok(self.store.following(station.name())?)
    }

    /// Lets one member catch up. A member that fails meanwhile is down, and goes on from its position when it is back.
    pub(crate) fn catch_up_one(&self, station: &Arc<Station>) -> Vec<Exception> {
        let mut exceptions = Vec::new();
        self.look_at_head(station);
        if self.is_in_doubt() {
            return exceptions;
        }
        match self.follow(station, &mut exceptions, &Quiet) {
            Ok(()) => {}
            Err(error) => log::warn!("member {} could not catch up: {error}", station.name()),
        }
        exceptions
    }

    /// Follows the log to its end, unless another process is at it. An error says why the member stopped on the way.
    pub(crate) fn follow(
        &self,
        station: &Arc<Station>,
        exceptions: &mut Vec<Exception>,
        progress: &dyn Progress,
    ) -> Result {
        // Another process may just have taken it out of the ring: nothing is brought there any more.
        self.read_roster()?;
        if !station.counts() {
            return Ok(());
        }
        self.look_at_head(station);
        self.is_borne_out()?;
        if !self.is_behind(station)? {
            return Ok(());
        }
        self.knows_types(station)?;
        let Some(mut writing) = self.store.lease(station.name(), self.settings.lease_wait_ms)?
        else {
            log::info!(
                "member {}: another process is writing to it and will take what is new",
                station.name()
            );
            return Ok(());
        };
        let clean = station.clean_epoch.load(Ordering::Acquire);
        let look_first = clean.checked_add(1) != Some(writing.epoch());
        station.clean_epoch.store(u64::MAX, Ordering::Release);
        let look_always = self.store.note(&note::member(station.name(), note::LOOK))?.is_some();
        let mut doubted = None;
        loop {
            let lease = lease_to_follow(station)?;
            lease.ring()?;
            let judge = self.judge_for(station, None, doubted.is_some());
            let mut follower = Follower {
                station,
                desk: lease.desk(),
                judge: judge.as_ref().map_or_else(|| lease.desk(), Lease::desk),
                seal: self.seal()?,
                look_first: look_first || look_always || doubted.is_some(),
                look_always,
                progress,
                doubted,
                never_here: BTreeSet::new(),
            };
            let known = exceptions.len();
            let followed = self.follow_with(&mut follower, &mut *writing, exceptions);
            if exceptions.len() > known || !matches!(followed, Ok(Ok(()))) {
                // What could not be proven may have left an operation half-way in either session; so may what ended the
                // store's work.
                lease.spoil();
                if let Some(judge) = &judge {
                    judge.spoil();
                }
            }
            let Err(stop) = followed? else {
                if look_always {
                    self.store.set_note(&note::member(station.name(), note::LOOK), None)?;
                }
                station.clean_epoch.store(writing.epoch(), Ordering::Release);
                return Ok(());
            };
            drop((lease, judge));
            station.close_idle();
            let answers = station.lease().is_ok_and(|lease| self.is_well(&lease.desk()));
            if !answers || doubted == Some(stop.position) {
                // What is done so far counts, the rest waits.
                station.judge(stop.fault);
                return Err(stop.fault.into());
            }
            // It answers again: once more, looking first what came of the first try.
            doubted = Some(stop.position);
        }
    }

    /// Another member to judge signatures, so that none is the judge of its own. Where something has failed it may have
    /// been the judge, who must then show that it is well.
    pub(crate) fn judge_for(
        &self,
        station: &Arc<Station>,
        key: Option<&Object>,
        doubtful: bool,
    ) -> Option<Lease> {
        let can_tell =
            |other: &Arc<Station>| key.is_none_or(|key| self.lacks(other, &key.template).is_none());
        self.stations
            .iter()
            .filter(|other| !Arc::ptr_eq(other, station) && other.is_ready())
            .filter(|other| other.does(Duty::Keys) && can_tell(other))
            .filter_map(|other| other.lease().ok())
            .find_map(|lease| {
                if !doubtful || self.is_well(&lease.desk()) {
                    return Some(lease);
                }
                // Something may be half-way in it.
                lease.spoil();
                None
            })
    }

    fn follow_with(
        &self,
        follower: &mut Follower<'_>,
        writing: &mut dyn Writing,
        exceptions: &mut Vec<Exception>,
    ) -> Result<Result<(), Stop>> {
        let mut position = writing.following()?.position;
        if follower.look_first
            && let Err(fault) = Self::remove_nameless(&follower.desk, follower.station)
        {
            return Ok(Err(Stop { position, fault }));
        }
        let mut link = self.journal.link_at(position)?;
        loop {
            let records = self.store.read(position, BATCH)?;
            let Some(last) = records.last().map(|record| record.position) else {
                let again = self.take_exceptions(follower, writing, exceptions)?;
                return Ok(again.map_err(|fault| Stop { position, fault }));
            };
            for record in &records {
                let before = std::mem::replace(&mut link, record.link);
                if !follower.seal.holds(record, &before) {
                    log::error!("{}", damaged(record.position, BROKEN));
                    continue;
                }
                if let Err(fault) = self.take(follower, writing, record, exceptions)? {
                    writing.advance(record.position.saturating_sub(1))?;
                    return Ok(Err(Stop { position: record.position, fault }));
                }
                follower.progress.step();
            }
            writing.advance(last)?;
            follower.look_first = follower.look_always;
            position = last;
        }
    }

    /// Takes one record over. The inner fault is one that stops the follower; what the member merely can't take is an
    /// exception.
    fn take(
        &self,
        follower: &mut Follower<'_>,
        writing: &mut dyn Writing,
        record: &Record,
        exceptions: &mut Vec<Exception>,
    ) -> Result<Answer> {
        let event = record.event();
        if let Some(Event::Rotated(_)) = event {
            return self.take_rotated(follower);
        }
        let about = event.as_ref().and_then(Event::about);
        let Some((event, id)) = event.zip(about) else { return Ok(Ok(())) };
        let taken = self.take_event(follower, writing, record, event)?;
        if let Some(fault) = ill_or_lost(&taken)
            && (follower.doubted != Some(record.position) || !self.is_well(&follower.desk))
        {
            return Ok(Err(fault));
        }
        if let Err(failure) = taken {
            let name = follower.station.name();
            writing.except(id, &failure.to_string())?;
            if let Failure::Beyond(why) = &failure {
                log::info!("member {name} is not to hold object {id}: {why}");
                return Ok(Ok(()));
            }
            log::error!("member {name} does not take object {id}: {failure}");
            exceptions.push(Exception { id, failure });
        }
        Ok(Ok(()))
    }

    fn take_event(
        &self,
        follower: &mut Follower<'_>,
        writing: &mut dyn Writing,
        record: &Record,
        event: Event,
    ) -> Result<Result<(), Failure>> {
        match event {
            Event::Created(object) => self.take_created(follower, record, &object),
            Event::Changed { id, template, kek, .. } => {
                if kek.is_some() {
                    self.erase_superseded(id)?;
                }
                self.take_changed(follower, id, &template, kek)
            }
            Event::Claimed { id, template, .. } => self.take_changed(follower, id, &template, None),
            Event::Held { id, hold } => self.take_held(follower, id, hold),
            Event::Rewrapped { id, .. } => {
                // What a member holds is the same key.
                self.erase_superseded(id)?;
                Ok(Ok(()))
            }
            Event::Destroyed(id) => {
                self.erase_superseded(id)?;
                if follower.never_here.remove(&id) {
                    return Ok(Ok(()));
                }
                let left = writing
                    .following()?
                    .exceptions
                    .iter()
                    .any(|(other, reason)| *other == id && crate::prove::says_left(reason));
                writing.resolve(id)?;
                if left && let Err(failure) = self.sweep(follower, id)? {
                    return Ok(Err(failure));
                }
                self.take_destroyed(follower, id, record.position)
            }
            _ => Ok(Ok(())),
        }
    }

    /// True if a member that has just failed still shows its ring: then it was this object that it could not take, and
    /// going down for it would keep everything after it from being followed.
    pub(crate) fn is_well(&self, desk: &Desk<'_>) -> bool {
        self.ring_as_known().is_some_and(|ring| crate::pair::find(desk, &ring).is_ok())
    }

    fn take_created(
        &self,
        follower: &mut Follower<'_>,
        record: &Record,
        object: &Object,
    ) -> Result<Result<(), Failure>> {
        let held_by = object
            .holders
            .as_ref()
            .is_some_and(|holders| !holders.iter().any(|n| n == follower.station.name()));
        if object.holders.is_some() {
            // Adopted as it stands: it is there already, or it never will be.
            return Ok(if held_by {
                Err(Failure::Different("it is on other members and can't be copied".into()))
            } else {
                Ok(())
            });
        }
        self.shelf.refresh()?;
        let Some(now) = self.shelf.by_id(object.id)? else {
            // Destroyed meanwhile: the tombstone is all there is to follow.
            if !follower.look_first && !object.stood_on(follower.station.name()) {
                follower.never_here.insert(object.id);
            }
            return Ok(Ok(()));
        };
        if now.object.is_on_demand() {
            // It comes when it is used; whether it can is tried where others could not be taken.
            let wrapped = || self.wrapped(&now.object).ok();
            return Ok(match self.beyond(follower.station, &now.object.template) {
                Some(_) => self.bring(follower, &now.object, wrapped().as_ref()),
                None => Ok(()),
            });
        }
        let mut object = now.object.clone();
        let wrapped = match (&record.wrapped, object.under()) {
            (Some(bytes), Some(under)) if object.wrapped_at() == record.position => {
                Some(Wrapped { under, bytes: bytes.clone() })
            }
            _ => self.wrapped(&object).ok(),
        };
        object.born = record.position;
        let taken = self.bring(follower, &object, wrapped.as_ref());
        // Looked at again: a deletion that came meanwhile must not leave the key behind.
        self.shelf.refresh()?;
        if taken.is_ok() && self.shelf.by_id(object.id)?.is_none() {
            return self.take_destroyed(follower, object.id, Position::MAX);
        }
        Ok(taken)
    }

    /// Makes and proves a replica, or proves that there could be one where it is held on demand.
    pub(crate) fn bring(
        &self,
        follower: &Follower<'_>,
        object: &Object,
        wrapped: Option<&Wrapped>,
    ) -> Result<(), Failure> {
        self.may_be_brought(follower.station, object)?;
        let taken = if object.is_on_demand() {
            self.try_out_again(follower, object, wrapped)
        } else {
            self.bring_resident(follower, object, wrapped)
        };
        self.as_paired(follower.station, object, taken)
    }

    fn bring_resident(
        &self,
        follower: &Follower<'_>,
        object: &Object,
        wrapped: Option<&Wrapped>,
    ) -> Taken {
        let desk = &follower.desk;
        let known = follower.station.replica(follower.desk.life, object.id);
        let may_change = matches!(object.class(), CKO_DATA | CKO_CERTIFICATE);
        if let Some(handle) = known.filter(|_| !may_change || object.holders.is_some()) {
            return Ok(Self::keep_found(follower, object, handle)?);
        }
        if object.kek == Some(Kek::Data) {
            // Its value is opened and then it is brought like any object without a secret part.
            let wrapped = wrapped
                .ok_or_else(|| Failure::Different("its value is not in the log any more".into()))?;
            let key = self.kek_at(desk, follower.station, wrapped.under)?;
            let value = crate::data::open(desk, key, object.id, &wrapped.bytes)?;
            if object.fingerprint.is_some_and(|known| known != follower.seal.fingerprint(&value)) {
                return Err(Failure::Different("its value came out of the log as another".into()));
            }
            let mut open = object.clone();
            open.template.set(CKA_VALUE, value.to_vec());
            open.kek = None;
            return self.bring(follower, &open, None);
        }
        if let Some(handle) = known
            && self.is_as_it_should_be(follower, object, handle)?
        {
            return Ok(());
        }
        if (follower.look_first || object.stood_on(follower.station.name()))
            && let Some(handle) = self.find_begun(desk, object)?
        {
            follower.station.set_stray(follower.desk.life, object.id, None);
            follower.station.set_replica(follower.desk.life, object.id, handle);
            return Ok(());
        }
        let kek = match (object.kek, wrapped) {
            (Some(_), Some(wrapped)) => {
                Some((self.kek_at(desk, follower.station, wrapped.under)?, &wrapped.bytes))
            }
            _ => None,
        };
        let handle = match (object.kek, kek) {
            (None, _) => desk.member.create(desk.session, &carry::public(object))?,
            (Some(_), Some((kek, bytes))) => {
                carry::unwrap(desk, kek, bytes, &carry::locked(object))?
            }
            (Some(_), None) => {
                return Err(Failure::Different(
                    "its wrapped key is not in the log any more".into(),
                ));
            }
        };
        let proof = match kek {
            Some((kek, bytes)) => self.with_judge(follower, object, |judge| {
                self.prove_replica(desk, judge, handle, object, kek, bytes)
            }),
            None => crate::prove::compare(desk, handle, &crate::prove::telling(object)),
        };
        if let Err(failure) = proof {
            return Err(Self::discard(follower, object, handle, failure));
        }
        follower.station.set_replica(follower.desk.life, object.id, handle);
        Ok(())
    }

    /// True if what holds a value of its own is there as it should be. It may be as it was before a change that failed, or another process may
    /// have put another in its place: what is older goes.
    fn is_as_it_should_be(
        &self,
        follower: &Follower<'_>,
        object: &Object,
        known: Handle,
    ) -> Result<bool, Failure> {
        let desk = &follower.desk;
        let telling = crate::prove::telling(object);
        let forms = || {
            let forms = self.forms(object.id, Position::MAX);
            forms.map_err(|error| Failure::Different(error.to_string()))
        };
        let mut there = Some(known);
        while let Some(handle) = there.take() {
            match crate::prove::compare(desk, handle, &telling) {
                Ok(()) => {
                    follower.station.set_replica(desk.life, object.id, handle);
                    return Ok(true);
                }
                Err(Failure::Fault(fault)) if !names_nothing(fault) => return Err(fault.into()),
                Err(Failure::Fault(_)) => {
                    follower.station.forget_replica(object.id);
                    if handle == known {
                        there = self.locate_first(desk, &forms()?)?;
                    }
                }
                Err(_) => {
                    follower.station.forget_replica(object.id);
                    desk.member.destroy(desk.session, handle)?;
                }
            }
        }
        Ok(false)
    }

    /// What stood here before Tandem came was proven when it was found. A key that is in the log from now on leaves
    /// through Tandem only.
    fn keep_found(follower: &Follower<'_>, object: &Object, handle: Handle) -> Answer {
        if !matches!(object.class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY) {
            return Ok(());
        }
        let desk = &follower.desk;
        let lock = Template::new().with(CKA_SENSITIVE, true).with(CKA_EXTRACTABLE, false);
        let kinds: Vec<_> = lock.kinds().collect();
        // Setting a flag that is set already is refused by some.
        let changes: Template = lock
            .iter()
            .zip(desk.member.read(desk.session, handle, &kinds)?)
            .filter(|(flag, reading)| *reading != Reading::Value(flag.value.clone()))
            .map(|(flag, _)| flag.clone())
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        match desk.member.write(desk.session, handle, &changes) {
            Err(fault) if crate::prove::is_refusal(fault) => {
                log::warn!(
                    "member {}: object {} can't be locked there ({fault}): whoever has the member's PIN can take it out",
                    follower.station.name(),
                    object.id
                );
                Ok(())
            }
            answer => answer,
        }
    }

    /// Sets what was changed.
    pub(crate) fn take_changed(
        &self,
        follower: &Follower<'_>,
        id: ObjectId,
        template: &Template,
        kek: Option<Kek>,
    ) -> Result<Taken> {
        let mut held = template.filtered(|kind| {
            !carry::is_catalogue_only(kind) && !matches!(kind, CKA_SENSITIVE | CKA_EXTRACTABLE)
        });
        if held.is_empty() && kek != Some(Kek::Data) {
            return Ok(Ok(()));
        }
        self.shelf.refresh()?;
        let Some(entry) = self.shelf.by_id(id)? else { return Ok(Ok(())) };
        let object = &entry.object;
        if object.is_on_demand() {
            // It is loaded anew, as it is now.
            return Ok(Ok(()));
        }
        let adopted = object.holders.is_some();
        let wrapped = match object.kek.or(kek) {
            Some(kek) if !adopted || kek == Kek::Data => Some(self.wrapped(object)?),
            _ => None,
        };
        let desk = &follower.desk;
        if let (Some(Kek::Data), Some(wrapped)) = (kek, &wrapped) {
            let key = self.kek_at(desk, follower.station, wrapped.under);
            match key.and_then(|key| crate::data::open(desk, key, id, &wrapped.bytes)) {
                Ok(value) => held.set(CKA_VALUE, value.to_vec()),
                Err(fault) => return Ok(Err(fault.into())),
            }
        }
        match self.write_changed(follower, object, template, &held)? {
            Ok(true) => return Ok(Ok(())),
            Ok(false) => {}
            Err(fault) => return Ok(Err(fault.into())),
        }
        if adopted {
            return Ok(Err(Failure::Fault(Fault::new(Call::Write, CKR_ATTRIBUTE_READ_ONLY))));
        }
        Ok(self.bring(follower, object, wrapped.as_ref()))
    }

    /// Sets what was changed on the replica that is there; false if none is, or none any more: a module that won't change an attribute
    /// gets a new one that has it from the start.
    fn write_changed(
        &self,
        follower: &Follower<'_>,
        object: &Object,
        changed: &Template,
        held: &Template,
    ) -> Result<Answer<bool>> {
        let (desk, id) = (&follower.desk, object.id);
        let mut known = follower.station.replica(desk.life, id);
        loop {
            let was_known = known.is_some();
            let handle = match known.take() {
                Some(handle) => Some(handle),
                None => match self.find_changed(desk, object, changed)? {
                    Ok(handle) => handle,
                    Err(fault) => return Ok(Err(fault)),
                },
            };
            let Some(handle) = handle else { return Ok(Ok(false)) };
            let fault = match desk.member.write(desk.session, handle, held) {
                Ok(()) => return Ok(Ok(true)),
                Err(fault) => fault,
            };
            if was_known && names_nothing(fault) {
                // Another process has put a new replica in its place.
                follower.station.forget_replica(id);
                continue;
            }
            if matches!(fault.class, Class::Ill | Class::Lost) {
                return Ok(Err(fault));
            }
            if object.holders.is_some() {
                return Ok(Ok(false));
            }
            follower.station.forget_replica(id);
            return Ok(desk.member.destroy(desk.session, handle).map(|()| false));
        }
    }

    /// The replica of an object that has just changed in the catalogue but perhaps not there: looked for as it is, as it was,
    /// and by class and type alone; and proven.
    fn find_changed(
        &self,
        desk: &Desk<'_>,
        object: &Object,
        changed: &Template,
    ) -> Result<Answer<Option<Handle>>> {
        let mut wider = object.clone();
        for kind in
            changed.kinds().filter(|kind| matches!(*kind, CKA_ID | CKA_LABEL | CKA_APPLICATION))
        {
            wider.template.remove(kind);
        }
        // By name first: a copy is the same key, and only its name tells which of the two it is.
        let found = self.locate_first(desk, &self.forms(object.id, Position::MAX)?);
        if !matches!(found, Ok(None)) || self.has_copy(object) {
            return Ok(found);
        }
        Ok(self.locate(desk, &wider))
    }

    /// True if another object is the same key, or may be: then nothing but its name tells them apart.
    fn has_copy(&self, object: &Object) -> bool {
        let same = |other: &Object| {
            other.id != object.id
                && other.class() == object.class()
                && other.public == object.public
                && other.fingerprint == object.fingerprint
        };
        let alike = Template::new().with(CKA_CLASS, object.class());
        let found = self.shelf.find(&alike);
        found.map_or(true, |found| found.iter().any(|entry| same(&entry.object)))
    }

    /// What is there already of an object that another process may have begun to bring.
    pub(crate) fn find_begun(
        &self,
        desk: &Desk<'_>,
        object: &Object,
    ) -> Result<Option<Handle>, Failure> {
        let names = self.names_of(object)?;
        Ok(self.beyond_half_made(desk, object, &|| self.locate_first(desk, &names))?)
    }

    /// The first of some forms of an object that is found.
    pub(crate) fn locate_first(&self, desk: &Desk<'_>, forms: &[Object]) -> Answer<Option<Handle>> {
        for form in forms {
            if let Some(handle) = self.locate(desk, form)? {
                return Ok(Some(handle));
            }
        }
        Ok(None)
    }

    /// Destroys what is left of an object there; `before` is where the log says that it is destroyed.
    pub(crate) fn take_destroyed(
        &self,
        follower: &Follower<'_>,
        id: ObjectId,
        before: Position,
    ) -> Result<Taken> {
        let known = follower.station.replica(follower.desk.life, id);
        follower.station.forget_replica(id);
        let desk = &follower.desk;
        let forms = self.forms(id, before)?;
        let object = forms.first();
        if !forms.iter().any(|form| form.hold == Hold::Resident) && object.is_some() {
            // It never stood there.
            return Ok(Ok(()));
        }
        let handle = match (known, object) {
            (Some(handle), _) => Some(handle),
            (None, Some(object)) => match self.locate_doomed(desk, object, &forms) {
                Ok(handle) => handle,
                Err(fault) => return Ok(Err(fault.into())),
            },
            (None, None) => None,
        };
        let Some(handle) = handle else { return Ok(self.holds_no_more(desk).map_err(Into::into)) };
        // A handle that names nothing any more is no proof that the object is gone: it is looked for by what it is.
        Ok(destroy_surely(desk, handle, object).map_err(Into::into))
    }

    /// Nothing is found either where our login is gone, or on a token whose storage is away: what comes back with it must not
    /// stay.
    pub(crate) fn holds_no_more(&self, desk: &Desk<'_>) -> Answer {
        if self.is_well(desk) {
            return Ok(());
        }
        let away = || Fault::new(Call::Find, CKR_DEVICE_REMOVED);
        Err(desk.check_login().err().unwrap_or_else(away))
    }

    /// An object under every name it had: a replica that was left half-done may have been named before a change.
    pub(crate) fn names_of(&self, object: &Object) -> Result<Vec<Object>, Failure> {
        let forms = self.forms(object.id, Position::MAX);
        let forms = forms.map_err(|e| Failure::Different(e.to_string()))?;
        let named = |form: Object| Object { template: form.template, ..object.clone() };
        Ok(std::iter::once(object.clone()).chain(forms.into_iter().map(named)).collect())
    }

    /// A replica to be destroyed, by all its forms: a member that was away for a change as well has it under an older name.
    pub(crate) fn locate_doomed(
        &self,
        desk: &Desk<'_>,
        object: &Object,
        forms: &[Object],
    ) -> Answer<Option<Handle>> {
        self.beyond_half_made(desk, object, &|| match self.locate_first(desk, forms)? {
            Some(handle) => Ok(Some(handle)),
            None => self.locate_any(desk, object),
        })
    }

    /// A replica to be destroyed. It is proven like any other, so that another key of the same name is left alone.
    fn locate_any(&self, desk: &Desk<'_>, object: &Object) -> Answer<Option<Handle>> {
        if let Some(handle) = self.locate(desk, object)? {
            return Ok(Some(handle));
        }
        // A key that can't be proven by itself and has a name of its own is the one.
        let mut candidates = Vec::new();
        for candidate in desk.member.find(desk.session, &carry::search(object))? {
            if !is_hidden(desk, candidate)?
                && crate::prove::compare(desk, candidate, &crate::prove::telling(object)).is_ok()
            {
                candidates.push(candidate);
            }
        }
        match candidates.as_slice() {
            [only] if crate::prove::private_method(&object.template).is_none() => Ok(Some(*only)),
            _ => Ok(None),
        }
    }

    /// Members on which an object is, as their positions and exceptions tell.
    pub(crate) fn proven_on(&self, id: ObjectId, born: Position) -> Vec<String> {
        self.keepers()
            .filter(|station| {
                self.store
                    .following(station.name())
                    .is_ok_and(|following| following.position >= born && !following.excepts(id))
            })
            .map(|station| station.name().to_owned())
            .collect()
    }
}

/// A session in which the user is logged in. A member that has none for us is down: up, it would stay behind until the
/// next change.
fn lease_to_follow(station: &Arc<Station>) -> Answer<Lease> {
    let lease = station.lease();
    lease.and_then(|lease| lease.check_login().map(|()| lease)).inspect_err(|fault| {
        station.judge(*fault);
    })
}

/// The fault, if it says that the member is ill or has lost us, rather than something of the object.
pub(crate) fn ill_or_lost(taken: &Taken) -> Option<Fault> {
    let grave = |fault: &Fault| matches!(fault.class, Class::Ill | Class::Lost);
    match taken {
        Err(Failure::Fault(fault) | Failure::Left(_, fault)) if grave(fault) => Some(*fault),
        _ => None,
    }
}

/// Destroys a replica and looks whether it is gone: Kryoptic answers CKR_OK when its storage can't be written, and the
/// object is there again under another handle.
pub(crate) fn destroy_surely(desk: &Desk<'_>, handle: Handle, object: Option<&Object>) -> Answer {
    let Some(object) = object else { return desk.member.destroy(desk.session, handle) };
    let search = carry::search(object);
    let before = desk.member.find(desk.session, &search)?.len();
    desk.member.destroy(desk.session, handle)?;
    // None before: it stands there under another name, and there is nothing to count.
    if before == 0 || desk.member.find(desk.session, &search)?.len() < before {
        return Ok(());
    }
    Err(Fault::new(Call::Destroy, CKR_DEVICE_ERROR))
}
