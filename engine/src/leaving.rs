//! Taking a member out: the log counts it no longer, and nothing waits for it.

use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::fault::{Answer, Fault};
use crate::follow::destroy_surely;
use crate::joining::unwell;
use crate::object::Object;
use crate::pair;
use crate::report::{Condition, LeaveReport, ObjectReport, Progress, Replica};
use crate::ring::Ring;
use crate::roll::Roster;
use crate::station::Station;
use crate::strangers::{everything, named};
use crate::token::Token;
use std::sync::Arc;
use tandem_values::{Secret, ck::*};

/// How many keys are named before the others are only counted.
const NAMED_MAX: usize = 20;

/// What happens to what the member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongings {
    /// It stays as it is.
    Left,
    /// Tandem's objects and the ring's keys are destroyed there.
    Wiped,
}

impl Token {
    /// Takes a member out. Refused for the last one, and for one that alone holds something, proven, when the others have
    /// taken over what they can. Run again it goes on where it stopped; it need not be in the configuration any more.
    pub fn remove_member(
        self: &Arc<Self>,
        pin: &Secret,
        name: &str,
        belongings: Belongings,
        progress: &dyn Progress,
    ) -> Result<LeaveReport> {
        self.as_user(pin, || {
            let roster = self.paired()?;
            let counted = roster.since.contains_key(name);
            self.may_go(name, &roster)?;
            self.enter(crate::member::User::User, Some(pin))?;
            self.unlock_with(&roster.ring)?;
            let station = self.any_station(name).map(Arc::clone);
            let works = counted && !self.is_vault(name);
            if works && self.keeps_keys(name) {
                self.leaves_others(name, station.as_ref())?;
                self.is_not_alone_with(name)?;
            }
            if belongings == Belongings::Wiped {
                Self::is_reachable(name, station.as_ref(), works)?;
                self.part_with_vault(name, pin)?;
            }
            if counted {
                self.append(Event::Left(name.to_owned()))?;
            }
            if let Some(station) = &station {
                Self::set_aside(station);
            }
            let done = self.part(name, station.as_ref(), &roster.ring, (pin, belongings, progress));
            if let Some(station) = &station {
                self.settle(station);
            }
            let wiped = done?;
            // The log has grown by what it says of the member.
            self.catch_up();
            let left = &self.paired()?.ring.members;
            let left = left.iter().filter(|member| !self.is_vault(&member.name));
            let members = left.map(|member| member.name.clone()).collect();
            Ok(LeaveReport { changed: counted, members, wiped })
        })
    }

    /// True names of members, and not the last one's.
    fn may_go(&self, name: &str, roster: &Roster) -> Result {
        // A backup token or a generator does no work in its place.
        let others = || roster.since.keys().filter(|other| *other != name);
        // Not even a generator goes if nobody else holds the ring: a keeper may be in the middle of its replacement.
        let is_needed = (self.keeps_keys(name) && !others().any(|other| self.keeps_keys(other)))
            || (!self.is_vault(name) && others().all(|other| self.is_vault(other)));
        if roster.since.contains_key(name) && is_needed {
            let message = format!(
                "token {}: {name} is its last member: without it nothing holds its keys, or its key ring. Bring in another first with \
                 `tandem member add`",
                self.settings.label
            );
            return Err(Error::new(CKR_ARGUMENTS_BAD, message));
        }
        let known = roster.since.contains_key(name) || roster.left.contains(name);
        if known { Ok(()) } else { self.named_station(name).map(drop) }
    }

    /// Where all others are drained, nothing could sign without it.
    fn leaves_others(&self, name: &str, station: Option<&Arc<Station>>) -> Result {
        let works = station.map_or(Ok(false), |station| self.is_drained(station).map(|it| !it))?;
        if !works || self.others_may_work(name)? {
            return Ok(());
        }
        let message = format!(
            "token {}: {name} is the last member that isn't drained: nothing could sign; `tandem member enable` another first",
            self.settings.label
        );
        Err(Error::new(CKR_ARGUMENTS_BAD, message))
    }

    /// Whatever the member holds, another must hold, proven.
    fn is_not_alone_with(&self, name: &str) -> Result {
        let alone: Vec<_> =
            self.objects()?.into_iter().filter(|object| is_alone(object, name)).collect();
        if alone.is_empty() {
            return Ok(());
        }
        let named: Vec<_> = alone.iter().take(NAMED_MAX).map(describe).collect();
        let more = match alone.len().saturating_sub(named.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Err(Error::new(
            CKR_ARGUMENTS_BAD,
            format!(
                "token {}: no other member holds a proven copy of {}{more}, so {name} is not taken out. Bring the others back and let \
                 them catch up (`tandem status`); what can't be copied must be destroyed, or {name} must stay",
                self.settings.label,
                named.join(", ")
            ),
        ))
    }

    fn is_reachable(name: &str, station: Option<&Arc<Station>>, counted: bool) -> Result {
        let why = match station {
            None => "it is not in the configuration".to_owned(),
            // One that rests is asked all the same.
            Some(station) if counted && !station.is_ready() && !is_resting(station) => {
                station.condition().1
            }
            Some(_) => return Ok(()),
        };
        Err(Error::new(
            CKR_DEVICE_REMOVED,
            format!(
                "member {name} can't be wiped ({why}), so it is not taken out: bring it back, or run this again without --wipe and \
                 erase it with its vendor's tools"
            ),
        ))
    }

    /// Forgets the member, and wipes it if that is wanted. Answers how many objects and keys of the ring were destroyed.
    fn part(
        &self,
        name: &str,
        station: Option<&Arc<Station>>,
        ring: &Ring,
        (pin, belongings, progress): (&Secret, Belongings, &dyn Progress),
    ) -> Result<Option<u64>> {
        self.forget_follower(name)?;
        match (station, belongings) {
            (Some(station), Belongings::Wiped) => {
                // Nobody is left who still brings it something.
                let alone = self.store.lease(name, self.settings.lease_wait_ms)?;
                let Some(alone) = alone else { return Err(still_written_to(name)) };
                let lease = self.reach(station, pin)?;
                let wiped = self.wipe(&lease.desk(), ring, progress)?;
                // A member that has forgotten our login shows nothing private, as if it were gone.
                lease.check_login().map_err(|fault| half_wiped(name, fault))?;
                drop((lease, alone));
                self.forget_follower(name)?;
                Ok(Some(wiped))
            }
            _ => Ok(None),
        }
    }

    /// Destroys every replica of ours on a member, those of what is long destroyed too, and the ring.
    fn wipe(&self, desk: &Desk<'_>, ring: &Ring, progress: &dyn Progress) -> Result<u64> {
        // What another process has made meanwhile may be there as well.
        self.shelf.refresh()?;
        let there = everything(desk).map_err(|fault| unwell(desk.name(), fault))?;
        let known = if there.is_empty() { Vec::new() } else { self.known_objects()? };
        progress.stage(&format!("wiping {}", desk.name()), u64::try_from(known.len()).unwrap_or(0));
        let mut wiped = 0_u64;
        for object in known {
            progress.step();
            // What was there before Tandem came, and is in nobody's log, is not ours to destroy.
            if object.wanted.holders.is_some() {
                continue;
            }
            let gone = self.wipe_one(desk, &object.forms);
            wiped =
                wiped.saturating_add(u64::from(gone.map_err(|fault| unwell(desk.name(), fault))?));
        }
        let bundles = crate::backup::remove_bundles(desk)?;
        let keys = pair::remove(desk, &ring.id)?;
        let hidden = u64::try_from(keys).unwrap_or(0).saturating_add(bundles);
        Ok(wiped.saturating_add(hidden))
    }

    /// Destroys what stands there of an object, in whichever form. Answers false if nothing does.
    fn wipe_one(&self, desk: &Desk<'_>, forms: &[Object]) -> Answer<bool> {
        let Some(object) = forms.first() else { return Ok(false) };
        let Some(handle) = self.locate_doomed(desk, object, forms)? else { return Ok(false) };
        destroy_surely(desk, handle, Some(object)).map(|()| true)
    }
}

/// True if the operator wants no work for it, and nothing else is wrong with it.
fn is_resting(station: &Station) -> bool {
    station.condition().0 == Condition::Drained
}

/// Another process is about to bring it something.
fn still_written_to(name: &str) -> Error {
    let message = format!(
        "member {name} is taken out, but was not wiped: another process writes to it just now; run the same command again"
    );
    Error::new(CKR_DEVICE_ERROR, message)
}

/// It was lost while it was wiped.
fn half_wiped(name: &str, fault: Fault) -> Error {
    let message = format!(
        "member {name} is taken out, but may still hold something of ours: it was lost while it was wiped ({fault}); run the same \
         command again"
    );
    Error::new(fault.rv.0, message)
}

/// True if the member holds a proven copy, or may hold one, and nobody else does; the same of who can load it.
fn is_alone(object: &ObjectReport, name: &str) -> bool {
    let proven =
        |(_, replica): &(String, Replica)| matches!(replica, Replica::Proven | Replica::OnDemand);
    let own = object.replicas.iter().find(|(holder, _)| holder == name);
    let others = object.replicas.iter().filter(|(holder, _)| holder != name);
    own.is_none_or(proven) && !others.into_iter().any(proven)
}

/// An object as people know it.
fn describe(object: &ObjectReport) -> String {
    named(
        object.template.class(),
        object.template.bytes(CKA_LABEL).unwrap_or_default(),
        object.template.bytes(CKA_ID).unwrap_or_default(),
    )
}
