//! Using keys that are held on demand: a key is unwrapped on a member when it is used there, and proven before that.

use crate::carry;
use crate::desk::Desk;
use crate::error::Result;
use crate::fault::{Answer, Call, Class, Fault};
use crate::first_use::FirstUse;
use crate::follow::{Follower, Taken, destroy_surely};
use crate::found::Life;
use crate::held::Held;
use crate::inquiry::Inquiry;
use crate::loaded::{Asked, Coming, LoadedKey};
use crate::object::{Hold, Object, ObjectId, Wrapped};
use crate::prove::{Failure, Proof};
use crate::replica::destroyed;
use crate::shelf::Entry;
use crate::station::{Lease, Station};
use crate::token::Token;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_values::{Handle, Template, ck::*};

impl Token {
    /// The handle, on a member, of a key that is held on demand. It stays there as long as the lease.
    pub(crate) fn place_on_demand(&self, lease: &Lease, entry: &Entry) -> Answer<Handle> {
        self.place_for(lease, entry, None)
    }

    /// The same for a first use, by which a key is proven that is not there yet.
    pub(crate) fn place_for(
        &self,
        lease: &Lease,
        entry: &Entry,
        first: Option<&mut FirstUse>,
    ) -> Answer<Handle> {
        let (station, id) = (lease.station(), entry.object.id);
        // One that was only wrapped anew since is the key that it was.
        let changed = entry.object.changed_at(entry.position);
        let key = match station.loaded.ask(lease.life(), id, changed) {
            Asked::Here(key) => key,
            Asked::Bring(coming) => match self.load(lease, entry, coming, first) {
                Ok(key) => key,
                // That one member won't take it says nothing of the others.
                Err(Failure::Fault(fault)) if fault.class == Class::Refused => {
                    let gone = fault == destroyed();
                    return Err(if gone { fault } else { Fault { class: Class::Unable, ..fault } });
                }
                Err(Failure::Fault(fault)) => return Err(fault),
                Err(failure) => {
                    station.loaded.refuse(lease.life(), id);
                    self.except(station, id, &failure);
                    return Err(Fault::new(Call::Find, CKR_TOKEN_WRITE_PROTECTED));
                }
            },
        };
        Ok(lease.keep(id, key))
    }

    /// Brings a key to a member, with room made for it.
    fn load(
        &self,
        lease: &Lease,
        entry: &Entry,
        coming: Coming<'_>,
        mut first: Option<&mut FirstUse>,
    ) -> Result<Arc<LoadedKey>, Failure> {
        let (station, life) = (lease.station(), lease.life());
        coming.make_room();
        let mut may_be_closed = true;
        loop {
            let home = station.home(life)?;
            home.destroy(station.loaded.take_doomed(life));
            let first = first.as_deref_mut();
            let fault = match self.bring_on_demand(lease, &home.desk(), entry, first) {
                Ok(handle) => return Ok(coming.arrived(handle, home.session)),
                Err(Failure::Fault(fault)) => fault,
                Err(failure) => return Err(failure),
            };
            let is_lost = home.is_lost(fault);
            let again = if has_no_room(fault) {
                coming.make_more_room()
            } else {
                // It may have been closed while nobody was in it.
                is_lost && fault.class == Class::Lost && mem::take(&mut may_be_closed)
            };
            if !again {
                return Err(fault.into());
            }
        }
    }

    /// Unwraps a key in a session where it stays, and proves it in another.
    fn bring_on_demand(
        &self,
        lease: &Lease,
        home: &Desk<'_>,
        entry: &Entry,
        first: Option<&mut FirstUse>,
    ) -> Result<Handle, Failure> {
        let (station, object) = (lease.station(), &entry.object);
        if object.kek.is_none() {
            return Ok(home.member.create(home.session, &visiting(&carry::public(object)))?);
        }
        if self.is_unfit(station, lease.life(), object.id) {
            return Err(Fault::new(Call::Find, CKR_TOKEN_WRITE_PROTECTED).into());
        }
        let wrapped = self.wrapped_to_load(object)?;
        let bench = station.lease()?;
        if bench.life() != lease.life() {
            // What is unwrapped now would be proven elsewhere.
            return Err(Fault::new(Call::Session, CKR_SESSION_HANDLE_INVALID).into());
        }
        let handle = self.unwrap_visitor(lease, home, object, &wrapped)?;
        let is_proven = match first {
            Some(first) => first.proves(&bench, handle, object, &*self.verifier),
            None => Ok(false),
        };
        let proof = match is_proven {
            Ok(true) => Ok(()),
            Ok(false) => self.prove_visitor(&bench, handle, object, &wrapped),
            Err(fault) => {
                bench.spoil();
                Err(fault.into())
            }
        };
        proof.map(|()| handle).inspect_err(|_| home.discard(handle))
    }

    /// Proves a key where it was unwrapped just now.
    fn prove_visitor(
        &self,
        lease: &Lease,
        handle: Handle,
        object: &Object,
        wrapped: &Wrapped,
    ) -> Proof {
        let kek = self.kek_at(&lease.desk(), lease.station(), wrapped.under)?;
        self.judged(lease, object, |judge| {
            self.prove_replica(&lease.desk(), judge, handle, object, kek, &wrapped.bytes)
        })
    }

    /// The wrapped bytes of a key that is wanted now. That they can't be had is no fault of the member's.
    fn wrapped_to_load(&self, object: &Object) -> Answer<Wrapped> {
        // Once more where it fails: signing waits for nobody else.
        self.wrapped(object).or_else(|_| self.wrapped(object)).map_err(|error| {
            if self.is_destroyed(object.id) {
                return destroyed();
            }
            log::error!(
                "token {}: key {} can't be loaded: {error}",
                self.settings.label,
                object.id
            );
            Fault { class: Class::Unable, ..Fault::new(Call::Find, CKR_DEVICE_ERROR) }
        })
    }

    /// Proves something on a member, with another to judge it. Where that fails it may have been the judge, who must then show
    /// that it is well; where nobody else is, the member is its own judge.
    fn judged(&self, lease: &Lease, key: &Object, prove: impl Fn(&Desk<'_>) -> Proof) -> Proof {
        let mut told: Option<Fault> = None;
        for attempt in [Judging::Another, Judging::OneThatIsWell, Judging::Itself] {
            let another = || {
                let doubtful = attempt == Judging::OneThatIsWell;
                self.judge_for(lease.station(), Some(key), doubtful)
            };
            let judge = if attempt == Judging::Itself { None } else { another() };
            let proof = prove(&judge.as_ref().map_or_else(|| lease.desk(), Lease::desk));
            let Err(Failure::Fault(fault)) = proof else { return proof };
            // Something may be half-way in either session.
            lease.spoil();
            judge.iter().for_each(Lease::spoil);
            // That the session is gone after the first time says nothing new.
            told = told.filter(|_| fault.class == Class::Lost).or(Some(fault));
            if judge.is_none() {
                break;
            }
        }
        told.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// Unwraps a key as it is while it is used.
    fn unwrap_visitor(
        &self,
        lease: &Lease,
        desk: &Desk<'_>,
        object: &Object,
        wrapped: &Wrapped,
    ) -> Result<Handle, Failure> {
        let kek = self.kek_at(desk, lease.station(), wrapped.under)?;
        let template = visiting(&carry::locked(object));
        Ok(carry::unwrap(desk, kek, &wrapped.bytes, &template)?)
    }

    /// Proves that a member can use a key that is held on demand, as it would be there; it does not stay.
    fn try_out(&self, lease: &Lease, object: &Object, wrapped: &Wrapped) -> Proof {
        let desk = lease.desk();
        let handle = self.unwrap_visitor(lease, &desk, object, wrapped)?;
        let proof = self.prove_visitor(lease, handle, object, wrapped);
        desk.discard(handle);
        proof
    }

    /// Proves new keys that are held on demand on as many members as the operator asks for, those first that did not make them.
    /// Answers how many that is, and what failed.
    pub(crate) fn try_out_new(
        &self,
        ids: &[ObjectId],
        maker: Option<&str>,
    ) -> Result<(usize, Option<(String, Failure)>)> {
        let wanted = self.settings.min_replicas.max(1);
        let entries: Vec<_> =
            ids.iter().filter_map(|id| self.shelf.by_id(*id).transpose()).collect::<Result<_>>()?;
        let (mut proven, mut inquiry) = (0_usize, Inquiry::default());
        // Where nobody can hold keys just now, nobody has proven these.
        let mut able = self.makers().unwrap_or_default();
        able.retain(|station| {
            self.knows_types(station).is_ok()
                && entries
                    .iter()
                    .all(|entry| self.beyond(station, &entry.object.template).is_none())
        });
        able.sort_by_key(|station| Some(station.name()) == maker);
        for station in &able {
            let tried = self.retry_lost(station, &mut |lease| self.try_out_each(lease, &entries));
            match tried {
                Ok(None) => proven = proven.saturating_add(1),
                Ok(Some(failure)) => return Ok((proven, Some((station.name().into(), failure)))),
                Err(fault) => {
                    self.judge(&mut inquiry, station, fault);
                }
            }
            if proven >= wanted {
                break;
            }
        }
        if proven > 0 {
            // Where nobody could do it nobody is to blame.
            inquiry.done();
        }
        Ok((proven, None))
    }

    /// What a member can't use of these. A fault that says more of the member than of them is one.
    pub(crate) fn try_out_each(
        &self,
        lease: &Lease,
        entries: &[Arc<Entry>],
    ) -> Answer<Option<Failure>> {
        for entry in entries.iter().filter(|entry| entry.object.kek.is_some()) {
            let wrapped = match self.wrapped_to_load(&entry.object) {
                // There is nothing to use any more.
                Err(fault) if fault == destroyed() => continue,
                wrapped => wrapped?,
            };
            match self.try_out(lease, &entry.object, &wrapped) {
                Ok(()) => {}
                Err(Failure::Fault(fault)) if fault.class != Class::Refused => return Err(fault),
                Err(failure) => return Ok(Some(failure)),
            }
        }
        Ok(None)
    }

    /// Follows a move: what is held on demand from now on stands there no longer, what is resident from now on is brought.
    pub(crate) fn take_held(
        &self,
        follower: &Follower<'_>,
        id: ObjectId,
        hold: Hold,
    ) -> Result<Taken> {
        self.shelf.refresh()?;
        let Some(entry) = self.shelf.by_id(id)?.filter(|entry| entry.object.hold == hold) else {
            // Destroyed, or moved again: what comes of it comes later in the log.
            return Ok(Ok(()));
        };
        let object = &entry.object;
        if hold == Hold::OnDemand {
            return Ok(self.remove_resident(follower, object));
        }
        let wrapped = object.kek.map(|_| self.wrapped(object)).transpose()?;
        Ok(self.bring_moved(follower, object, wrapped.as_ref()))
    }

    /// Another process may have brought it when it followed what came before the move.
    fn bring_moved(
        &self,
        follower: &Follower<'_>,
        object: &Object,
        wrapped: Option<&Wrapped>,
    ) -> Taken {
        let (station, desk) = (follower.station, &follower.desk);
        if station.replica(desk.life, object.id).is_none()
            && let Some(handle) = self.find_begun(desk, object)?
        {
            station.set_replica(desk.life, object.id, handle);
            return Ok(());
        }
        self.bring(follower, object, wrapped)
    }

    /// A member that could not use a key that is held on demand, or let go of its replica, tries again.
    pub(crate) fn try_out_again(
        &self,
        follower: &Follower<'_>,
        object: &Object,
        wrapped: Option<&Wrapped>,
    ) -> Taken {
        if follower.look_first {
            self.remove_resident(follower, object)?;
        }
        if object.kek.is_none() {
            return Ok(());
        }
        let wrapped = wrapped
            .ok_or_else(|| Failure::Different("its wrapped key can't be read in the log".into()))?;
        let kek = self.kek_at(&follower.desk, follower.station, wrapped.under)?;
        self.with_judge(follower, object, |judge| {
            self.prove_wrapped((&follower.desk, judge), object, kek, &wrapped.bytes)
        })
    }

    fn remove_resident(&self, follower: &Follower<'_>, object: &Object) -> Taken {
        let (station, desk) = (follower.station, &follower.desk);
        let known = station.replica(desk.life, object.id);
        station.forget_replica(object.id);
        let handle = match known {
            Some(handle) => Some(handle),
            None => self.locate_doomed(desk, object, &self.names_of(object)?)?,
        };
        match handle {
            Some(handle) => Ok(destroy_surely(desk, handle, Some(object))?),
            None => Ok(self.holds_no_more(desk)?),
        }
    }

    /// True if a key was changed or moved since an application's operation took it up.
    pub(crate) fn has_moved(&self, held: &Held) -> bool {
        let Held::Token(entry) = held else { return false };
        let now = self.shelf.refresh().and_then(|()| self.shelf.by_id(entry.object.id));
        matches!(now, Ok(Some(now)) if now.position != entry.position)
    }

    /// True if an object is known to be destroyed, by any process.
    fn is_destroyed(&self, id: ObjectId) -> bool {
        self.shelf.refresh().is_ok() && matches!(self.shelf.by_id(id), Ok(None))
    }

    /// True if a member was found to have a key as another, and nobody has found since that all is well. What it could not take
    /// or remove says nothing of using the key.
    fn is_unfit(&self, station: &Station, life: Life, id: ObjectId) -> bool {
        let is_noted = || {
            let following = self.store.following(station.name());
            following.is_ok_and(|following| following.excepts(id))
        };
        // When the store can't be asked the proof still is.
        station.loaded.is_unfit(life, id) && is_noted()
    }

    /// Notes that a member has a key as another. Where another process is writing to the member, who uses the key there next
    /// will.
    pub(crate) fn except(&self, station: &Station, id: ObjectId, failure: &Failure) {
        log::error!("member {} can't use key {id}: {failure}", station.name());
        let noted = self.store.lease(station.name(), 0).and_then(|writing| match writing {
            Some(mut writing) => {
                station.stays_clean(writing.epoch());
                writing.except(id, &failure.to_string())
            }
            None => Ok(()),
        });
        if let Err(error) = noted {
            log::warn!("token {}: {error}", self.settings.label);
        }
    }

    /// Evicts keys that were destroyed, by this process or another.
    pub(crate) fn unload_destroyed(&self) {
        if let Err(error) = self.shelf.refresh() {
            log::debug!("token {}: {error}", self.settings.label);
            return;
        }
        let gone = self.shelf.gone();
        if self.unloaded.load(Ordering::Acquire) == gone {
            return;
        }
        for station in &self.stations {
            for id in station.loaded.ids() {
                // What can't be read may be there.
                if matches!(self.shelf.by_id(id), Ok(None)) {
                    station.loaded.evict(id);
                }
            }
            station.destroy_evicted();
        }
        self.unloaded.store(gone, Ordering::Release);
    }
}

/// Who judges what a member has made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judging {
    Another,
    /// Another that failed, or a further one, and now shows that it is well.
    OneThatIsWell,
    Itself,
}

/// The template of a key that stays as long as it is used. Nobody looks for it by its name.
fn visiting(template: &Template) -> Template {
    template.filtered(|kind| !matches!(kind, CKA_ID | CKA_LABEL)).with(CKA_TOKEN, false)
}

/// True if a member has no room for one more session object.
fn has_no_room(fault: Fault) -> bool {
    matches!(fault.call, Call::Unwrap | Call::Create)
        && matches!(fault.rv.0, CKR_DEVICE_MEMORY | CKR_HOST_MEMORY)
}
