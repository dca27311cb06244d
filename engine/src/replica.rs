//! Where an object is on a member: found and proven, or brought there.

use crate::carry;
use crate::desk::Desk;
use crate::encapsulation;
use crate::error::Result;
use crate::event::Event;
use crate::fault::{Answer, Call, Class, Fault};
use crate::held::{Held, Transient};
use crate::inquiry::Inquiry;
use crate::log::Position;
use crate::object::{Hold, Kek, Object, ObjectId, Under, Wrapped};
use crate::pair;
use crate::profiles;
use crate::prove::{self, Failure, Proof};
use crate::settings::Duty;
use crate::shelf::Entry;
use crate::signature::Signature;
use crate::station::{Lease, Station};
use crate::token::Token;
use crate::waking::LOST_MAX;
use std::sync::Arc;
use tandem_values::template::Reading;
use tandem_values::{AttributeType, Handle, Template, Value, ck::*};

impl Token {
    /// The handle, on a member, of what an application's handle names.
    pub(crate) fn place(&self, lease: &Lease, held: &Held) -> Answer<Handle> {
        match held {
            Held::Token(entry) => {
                profiles::is_no_profile(entry.handle)?;
                let entry = &self.as_it_is(entry);
                match entry.object.hold {
                    Hold::Resident => self.place_resident(lease, entry),
                    Hold::OnDemand => self.place_on_demand(lease, entry),
                }
            }
            Held::Transient(transient) => self.place_transient(lease.station(), transient),
        }
    }

    /// An object may have been renamed, or moved, since the operation began.
    pub(crate) fn as_it_is(&self, entry: &Arc<Entry>) -> Arc<Entry> {
        self.shelf.by_id(entry.object.id).ok().flatten().unwrap_or_else(|| Arc::clone(entry))
    }

    fn place_resident(&self, lease: &Lease, entry: &Entry) -> Answer<Handle> {
        let (station, object) = (lease.station(), &entry.object);
        if let Some(handle) = station.replica(lease.life(), object.id) {
            return Ok(handle);
        }
        let following = self.store.following(station.name());
        if let Ok(following) = &following
            && following.position < entry.position
            && let Ok(Some(form)) = self.last_known(object.id, following.position.saturating_add(1))
            && form.is_on_demand()
        {
            // It is resident from now on, and this member has not come to that yet.
            return self.place_on_demand(lease, entry);
        }
        // When the store can't be asked, the member itself is: what it holds and proves still serves.
        if let Ok(following) = following
            && object.holders.is_none()
            && (following.excepts(object.id) || !self.has_taken(object, following.position))
        {
            return Err(Fault::new(Call::Find, CKR_TOKEN_WRITE_PROTECTED));
        }
        if let Some(handle) = self.locate_as_followed(lease, entry)? {
            station.set_replica(lease.life(), object.id, handle);
            return Ok(handle);
        }
        // Private objects are not found where our login is gone, which is no loss of theirs.
        lease.check_login()?;
        // Somebody may have logged in again since it was looked for.
        if let Some(handle) = self.locate(&lease.desk(), object)? {
            station.set_replica(lease.life(), object.id, handle);
            return Ok(handle);
        }
        // Another process may have destroyed it meanwhile, which is no loss of the member's, or holds it on demand by now.
        if self.shelf.refresh().is_ok() {
            match self.shelf.by_id(object.id) {
                Ok(None) => return Err(destroyed()),
                Ok(Some(now)) if now.object.is_on_demand() => {
                    return self.place_on_demand(lease, &now);
                }
                _ => {}
            }
        }
        self.suspect(station);
        station.health(|health| {
            health.suspect(format!("object {} is missing there, or is another", object.id));
        });
        log::warn!("member {} has lost object {}; run `tandem verify`", station.name(), object.id);
        Err(Fault::new(Call::Find, CKR_DEVICE_MEMORY))
    }

    /// Looks for an object as it is and, where the member has not followed its last change yet, as it was.
    fn locate_as_followed(&self, lease: &Lease, entry: &Entry) -> Answer<Option<Handle>> {
        let (desk, object) = (lease.desk(), &entry.object);
        let found = self.locate(&desk, object)?;
        let position = match self.store.following(lease.station().name()) {
            Ok(following) if found.is_none() => following.position,
            _ => return Ok(found),
        };
        if position < entry.position {
            let forms = self.forms(object.id, position.saturating_add(1)).unwrap_or_default();
            if let Some(handle) = self.locate_first(&desk, &forms)? {
                return Ok(Some(handle));
            }
        }
        // Another process may have followed the change while it was looked for.
        self.locate(&desk, object)
    }

    /// True if a member at this position of the log has taken the object. A key that was tightened since has new wrapped
    /// bytes in the log, and is the same on the member, where it was closed from the start.
    fn has_taken(&self, object: &Object, position: Position) -> bool {
        let before = |id| self.last_known(id, position.saturating_add(1));
        position >= object.born
            || object.kek != Some(Kek::Data) && before(object.id).is_ok_and(|form| form.is_some())
    }

    /// A member that doesn't hold what it should: if the ring is gone as well, its storage is.
    fn suspect(&self, station: &Arc<Station>) {
        let gone = match (self.known_ring(), station.lease()) {
            (Ok(Some(ring)), Ok(lease)) => {
                lease.ring().is_ok()
                    && pair::find(&lease.desk(), &ring).is_err()
                    && lease.check_login().is_ok()
            }
            (_, Err(_)) => true,
            _ => false,
        };
        if gone {
            station.fail_because("its storage is gone, or is not the one that was paired");
        }
    }

    /// Looks for an object on a member and proves what it finds. Ids and labels are only where to look.
    pub(crate) fn locate(&self, desk: &Desk<'_>, object: &Object) -> Answer<Option<Handle>> {
        let (mut otherwise, mut untold) = (None, None);
        let candidates = desk.member.find(desk.session, &carry::search(object))?;
        for candidate in candidates.iter().copied() {
            // Of our own keys and records none is of another class than these.
            let may_be_ours = matches!(object.class(), CKO_SECRET_KEY | CKO_DATA);
            if may_be_ours && is_hidden(desk, candidate)? {
                continue;
            }
            match self.prove_in_place(desk, candidate, object) {
                Ok(()) if candidates.len() == 1 || may_do_the_same(desk, candidate, object)? => {
                    return Ok(Some(candidate));
                }
                // The same key, but for what it may do: it may be another object's, of the same name.
                Ok(()) => otherwise = otherwise.or(Some(candidate)),
                Err(Failure::Fault(fault)) if fault.class == Class::Unable => untold = Some(fault),
                Err(Failure::Fault(fault)) if fault.class != Class::Refused => return Err(fault),
                Err(_) => {}
            }
        }
        // One that could not be looked at may be the one: making another would make two.
        otherwise.map_or_else(|| untold.map_or(Ok(None), Err), |found| Ok(Some(found)))
    }

    /// Proves what stands on a member by what it may do itself.
    pub(crate) fn prove_in_place(&self, desk: &Desk<'_>, handle: Handle, object: &Object) -> Proof {
        if object.class() == CKO_PRIVATE_KEY
            && let Some(public) = &object.public
            && let Some(method) = prove::private_method(&object.template)
        {
            // It says more than any attribute could.
            return self.prove_signing((desk, desk), handle, &method, public);
        }
        prove::compare(desk, handle, &prove::telling(object))?;
        match (object.class(), &object.public, object.fingerprint) {
            (CKO_PRIVATE_KEY, Some(public), _) if encapsulation::proves(&object.template) => {
                encapsulation::prove(desk, desk, handle, public)
            }
            (CKO_PRIVATE_KEY, Some(_), _) => Ok(()),
            (CKO_SECRET_KEY | CKO_PRIVATE_KEY, _, Some(expected)) => {
                match Self::own_method(object) {
                    Some(method) => self.same_fingerprint(desk, handle, &method, expected),
                    None => Ok(()),
                }
            }
            (CKO_DATA | CKO_CERTIFICATE, _, Some(expected)) => {
                self.same_value(desk, handle, expected)
            }
            _ => Ok(()),
        }
    }

    /// The same, of a private object that holds data rather than a key.
    fn same_value(&self, desk: &Desk<'_>, handle: Handle, expected: [u8; 32]) -> Proof {
        let seal = self.seal().map_err(|_| Fault::new(Call::Login, CKR_USER_NOT_LOGGED_IN))?;
        match desk.member.read(desk.session, handle, &[CKA_VALUE])?.first() {
            Some(Reading::Value(Value::Bytes(value))) if seal.fingerprint(value) == expected => {
                Ok(())
            }
            _ => Err(Failure::Different("its value differs".into())),
        }
    }

    /// True if what stands on a member is proven to be this object by more than what it shows.
    pub(crate) fn proves_itself(object: &Object) -> bool {
        match (object.class(), &object.public) {
            (CKO_PRIVATE_KEY, Some(_)) => {
                prove::private_method(&object.template).is_some()
                    || encapsulation::proves(&object.template)
            }
            (CKO_PRIVATE_KEY | CKO_SECRET_KEY, _) => {
                object.fingerprint.is_some() && Self::own_method(object).is_some()
            }
            _ => true,
        }
    }

    /// How a key answers by itself, if its flags let it.
    fn own_method(object: &Object) -> Option<prove::Method> {
        let method = prove::keyed_method(object)?;
        let allowed =
            object.template.numbers(CKA_ALLOWED_MECHANISMS).filter(|allowed| !allowed.is_empty());
        let may = method.usage.iter().all(|kind| object.template.is(*kind))
            && !object.template.is(CKA_ALWAYS_AUTHENTICATE)
            && allowed.is_none_or(|allowed| allowed.contains(&method.mechanism.kind));
        may.then_some(method)
    }

    fn same_fingerprint(
        &self,
        desk: &Desk<'_>,
        key: Handle,
        method: &prove::Method,
        expected: [u8; 32],
    ) -> Proof {
        let seal = self.seal().map_err(|_| Fault::new(Call::Login, CKR_USER_NOT_LOGGED_IN))?;
        if prove::fingerprint(desk, key, method, &seal)? == expected {
            Ok(())
        } else {
            Err(Failure::Different("it answers otherwise than the key in the log".into()))
        }
    }

    /// Proves a replica that was just unwrapped: by itself if its flags allow, else by a twin of the same wrapped bytes.
    pub(crate) fn prove_replica(
        &self,
        desk: &Desk<'_>,
        judge: &Desk<'_>,
        handle: Handle,
        object: &Object,
        kek: Handle,
        wrapped: &[u8],
    ) -> Proof {
        if object.class() == CKO_PRIVATE_KEY
            && let Some(public) = &object.public
        {
            if let Some(method) = prove::private_method(&object.template) {
                // A signature under the one public key says more than any attribute could, and where thousands are brought
                // each call counts.
                return self.prove_signing((desk, judge), handle, &method, public);
            }
            prove::compare(desk, handle, &prove::telling(object))?;
            if encapsulation::proves(&object.template) {
                return encapsulation::prove(desk, judge, handle, public);
            }
            let twin = carry::twin(object, &[(CKA_SIGN, true)]);
            let Some(method) = prove::private_method(&twin) else {
                return Self::prove_agreement(desk, judge, object, kek, wrapped);
            };
            return with_twin(desk, kek, wrapped, &twin, |twin| {
                self.prove_signing((desk, judge), twin, &method, public)
            });
        }
        // A MAC alone would not tell a key from the same one with zeroes after it.
        prove::compare(desk, handle, &prove::telling(object))?;
        let (Some(expected), Some(method)) = (object.fingerprint, prove::keyed_method(object))
        else {
            return Err(Failure::Different("nothing is known by which it could be proven".into()));
        };
        if let Some(method) = Self::own_method(object) {
            return self.same_fingerprint(desk, handle, &method, expected);
        }
        let twin = carry::twin(object, &method.flags());
        with_twin(desk, kek, wrapped, &twin, |twin| {
            self.same_fingerprint(desk, twin, &method, expected)
        })
    }

    /// Proves a private key by a signature, which the host judges, or else the other member.
    pub(crate) fn prove_signing(
        &self,
        (desk, judge): (&Desk<'_>, &Desk<'_>),
        key: Handle,
        method: &prove::Method,
        public: &Template,
    ) -> Proof {
        let challenge = self.challenge();
        let signature = Signature::by(desk, key, method, public, &challenge)?;
        if signature.is_good(&*self.verifier) { Ok(()) } else { signature.judged_by(judge) }
    }

    /// Proves a key that can only agree (X25519, DH, ML-KEM): both ends of an agreement come out equal.
    pub(crate) fn prove_agreement(
        desk: &Desk<'_>,
        judge: &Desk<'_>,
        object: &Object,
        kek: Handle,
        wrapped: &[u8],
    ) -> Proof {
        let usage = prove::agrees_by(object.template.key_type());
        let twin = carry::twin(object, &[(usage, true)]);
        let public = object
            .public
            .as_ref()
            .ok_or_else(|| Failure::Different("its public key is not known".into()))?;
        with_twin(desk, kek, wrapped, &twin, |twin| prove::agreement(desk, judge, twin, public))
    }

    fn place_transient(
        &self,
        station: &Arc<Station>,
        transient: &Arc<Transient>,
    ) -> Answer<Handle> {
        if let Some(handle) = transient.place(station) {
            return Ok(handle);
        }
        let desk = self.transients.home(transient.owner, station)?;
        let has_ring = station.has_ring_in(desk.life);
        let handle = match (transient.object.under(), &transient.wrapped, has_ring) {
            (None, _, _)
                if !matches!(transient.object.class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY) =>
            {
                let template = carry::public(&transient.object).with(CKA_TOKEN, false);
                desk.member.create(desk.session, &template)?
            }
            (Some(under), Some(wrapped), true) => {
                let template = carry::locked(&transient.object).with(CKA_TOKEN, false);
                carry::unwrap(&desk, self.kek_at(&desk, station, under)?, wrapped, &template)?
            }
            // It was not wrapped when it was made: it lives and dies where it is. This member is not to blame.
            _ => {
                let away = Fault::new(Call::Find, CKR_DEVICE_REMOVED);
                return Err(Fault { class: Class::Unable, ..away });
            }
        };
        transient.set_place(station, desk.spot(handle));
        Ok(handle)
    }

    /// Destroys a session object wherever it is.
    pub(crate) fn destroy_places(&self, transient: &Transient) {
        for station in &self.stations {
            if let Ok(home) = self.transients.home(transient.owner, station)
                && let Some(handle) = transient.place(station)
            {
                home.discard(handle);
                transient.forget_place(station);
            }
        }
    }

    /// What an object is or was before a position of the log, the last form first, by its sealed records: the catalogue
    /// keeps the last form only, and forgets what is destroyed.
    pub(crate) fn forms(&self, id: ObjectId, before: Position) -> Result<Vec<Object>> {
        let seal = self.seal()?;
        let mut forms: Vec<Object> = Vec::new();
        // A record that somebody has changed tells nothing.
        let records = self.journal.about(&seal, id)?;
        for record in records.into_iter().filter(|record| record.position < before) {
            if let Some(event) = record.event()
                && let Some(form) = event.fold(forms.last().cloned(), record.position)
            {
                forms.push(form);
            }
        }
        forms.reverse();
        Ok(forms)
    }

    /// The last form of an object before a position of the log.
    pub(crate) fn last_known(&self, id: ObjectId, before: Position) -> Result<Option<Object>> {
        Ok(self.forms(id, before)?.into_iter().next())
    }

    /// An object's secret part as the log holds it. What was put elsewhere since the object was taken up, by a rotation or a
    /// change, is found there.
    pub(crate) fn wrapped(&self, object: &Object) -> Result<Wrapped> {
        let missing = match self.wrapped_as(object) {
            Ok(wrapped) => return Ok(wrapped),
            Err(missing) => missing,
        };
        self.shelf.refresh()?;
        match self.shelf.by_id(object.id)? {
            Some(now) if now.object.wrapped_at() != object.wrapped_at() => {
                self.wrapped_as(&now.object)
            }
            _ => Err(missing),
        }
    }

    /// The secret part of what a handle names; `None` if it was never wrapped.
    pub(crate) fn wrapped_of(&self, held: &Held) -> Result<Option<Wrapped>> {
        Ok(match held {
            Held::Token(entry) if entry.object.kek.is_none() => None,
            Held::Token(entry) => Some(self.wrapped(&entry.object)?),
            Held::Transient(transient) => {
                // What could not be wrapped anew in time is as good as never wrapped.
                let in_force = |under: &Under| !self.is_rotated_out(Some(under.generation));
                let under = transient.object.under().filter(in_force);
                let both = under.zip(transient.wrapped.clone());
                both.map(|(under, bytes)| Wrapped { under, bytes })
            }
        })
    }

    /// The same, where this form of it says.
    fn wrapped_as(&self, object: &Object) -> Result<Wrapped> {
        let record = self.journal.at(&self.seal()?, object.wrapped_at())?;
        let about = match record.event() {
            Some(Event::Created(created)) => created.id == object.id,
            Some(Event::Changed { id, .. } | Event::Rewrapped { id, .. }) => id == object.id,
            _ => false,
        };
        match (record.wrapped, object.under()) {
            (Some(bytes), Some(under)) if about => Ok(Wrapped { under, bytes }),
            _ => Err(crate::journal::damaged(record.position, "the wrapped key is not there")),
        }
    }

    /// Reads secret attributes of a key that its owner may see, from a twin on a member.
    pub(crate) fn read_secret(&self, held: &Held, kinds: &[AttributeType]) -> Result<Vec<Reading>> {
        let object = held.object();
        let wrapped = self.wrapped_of(held)?.ok_or(CKR_KEY_UNEXTRACTABLE)?;
        let twin = carry::twin(object, &[(CKA_SENSITIVE, false), (CKA_EXTRACTABLE, true)]);
        self.on_makers_of(&object.template, |lease| {
            let desk = lease.desk();
            let kek = self.kek_at(&desk, lease.station(), wrapped.under)?;
            let handle = carry::unwrap(&desk, kek, &wrapped.bytes, &twin)?;
            let readings = desk.member.read(desk.session, handle, kinds);
            desk.discard(handle);
            readings
        })
    }

    /// Does something on the first member that can hold keys and is able to do it. Only for what leaves no effect, so that
    /// trying again elsewhere is safe: one is enough, also where a new key would want more.
    pub(crate) fn on_makers<T>(&self, work: impl FnMut(&Lease) -> Answer<T>) -> Result<T> {
        self.on_makers_of(&Template::new(), work)
    }

    /// The same with an object of these attributes: members to which it is beyond come last, or not at all.
    pub(crate) fn on_makers_of<T>(
        &self,
        template: &Template,
        mut work: impl FnMut(&Lease) -> Answer<T>,
    ) -> Result<T> {
        let mut holders = self.holders_up(template)?;
        holders.sort_by_key(|station| self.beyond(station, template).is_some());
        let is_able = |station: &Arc<Station>| self.lacks(station, template).is_none();
        let is_fit = |station: &Arc<Station>| station.is_ready() && is_able(station);
        self.on_each(self.in_turn(Duty::Keys, holders, is_fit), &mut work)
    }
}

impl Token {
    /// Does something on the first of these members that is able to.
    pub(crate) fn on_each<T>(
        &self,
        stations: impl IntoIterator<Item = Arc<Station>>,
        work: &mut impl FnMut(&Lease) -> Answer<T>,
    ) -> Result<T> {
        let mut inquiry = Inquiry::default();
        let mut last = None;
        for station in stations {
            match self.retry_lost(&station, work) {
                Ok(value) => {
                    inquiry.done();
                    return Ok(value);
                }
                Err(fault) => match self.judge(&mut inquiry, &station, fault) {
                    Class::Refused => return Err(fault.into()),
                    Class::Lost | Class::Unable | Class::Ill => last = Some(fault),
                },
            }
        }
        Err(inquiry.undone(last.map_or_else(|| self.nobody(), Into::into)))
    }

    /// Does something in a leased session; when our session or login was lost there, again in a new one.
    pub(crate) fn retry_lost<T>(
        &self,
        station: &Arc<Station>,
        work: &mut impl FnMut(&Lease) -> Answer<T>,
    ) -> Answer<T> {
        self.surely(station, || {
            let lease = station.lease()?;
            let answer = work(&lease);
            if let Err(fault) = &answer {
                lease.spoil();
                lease.forget_kept(*fault);
            }
            answer
        })
    }

    /// Does something on a member, as a call in flight there; when our session or login was lost there, again when they are
    /// back.
    pub(crate) fn surely<T>(
        &self,
        station: &Arc<Station>,
        mut work: impl FnMut() -> Answer<T>,
    ) -> Answer<T> {
        let _flight = station.load.begin();
        for _ in 1..LOST_MAX {
            match work() {
                Err(fault) if fault.class == Class::Lost => {
                    station.judge(fault);
                    self.bring_back(station);
                }
                answer => return answer,
            }
        }
        work()
    }
}

/// What an operation hears whose key was destroyed meanwhile.
pub(crate) fn destroyed() -> Fault {
    Fault { class: Class::Refused, ..Fault::new(Call::Find, CKR_KEY_HANDLE_INVALID) }
}

/// Unwraps a twin, works with it and destroys it again.
pub(crate) fn with_twin(
    desk: &Desk<'_>,
    kek: Handle,
    wrapped: &[u8],
    template: &Template,
    work: impl FnOnce(Handle) -> Proof,
) -> Proof {
    let twin = carry::unwrap(desk, kek, wrapped, template)?;
    let proof = work(twin);
    desk.discard(twin);
    proof
}

/// True if an object on a member is a key of a ring, its head record, or part of a bundle: no application ever sees those.
pub(crate) fn is_hidden(desk: &Desk<'_>, handle: Handle) -> Answer<bool> {
    let readings = desk.member.read(desk.session, handle, &[CKA_LABEL])?;
    Ok(match readings.first() {
        Some(Reading::Value(Value::Bytes(label))) => {
            pair::is_ring_label(label) || crate::backup::is_sheet_label(label)
        }
        _ => false,
    })
}

/// True if what stands on a member may be used as the object may.
pub(crate) fn may_do_the_same(desk: &Desk<'_>, handle: Handle, object: &Object) -> Answer<bool> {
    let used = object.template.filtered(crate::check::is_use);
    match prove::compare(desk, handle, &used) {
        Err(Failure::Fault(fault)) if fault.class != Class::Refused => Err(fault),
        compared => Ok(compared.is_ok()),
    }
}
