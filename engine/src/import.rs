//! Objects that come from elsewhere: created from values, unwrapped, derived, copied, changed, destroyed. All take the path
//! of `make`.

use crate::carry;
use crate::check::{self, Purpose};
use crate::data;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::fault::{Answer, Call, Fault};
use crate::held::Held;
use crate::journal::Entry as Appended;
use crate::make::{Source, kek_for};
use crate::object::{Kek, Object, Wrapped};
use crate::operation;
use crate::point;
use crate::prove::{self, Failure};
use crate::replica::with_twin;
use crate::ring::Generation;
use crate::rotation::in_force_at_last;
use crate::session::{Session, check_changes};
use crate::settings::Duty;
use crate::shelf::Entry;
use crate::shown::{self, Origin};
use crate::station::Lease;
use crate::token::Token;
use std::sync::Arc;
use tandem_values::{Bytes, Handle, Mechanism, Parameter, Part, Template, ck::*};

impl Session {
    /// C_CreateObject.
    pub fn create(&self, template: &Template) -> Result<Handle> {
        let mut template = check::template(template, Purpose::Create)?;
        let class = template.class().ok_or_else(|| Error::from(CKR_TEMPLATE_INCOMPLETE))?;
        match class {
            CKO_PRIVATE_KEY | CKO_SECRET_KEY => self.create_key(&template),
            CKO_PUBLIC_KEY | CKO_CERTIFICATE | CKO_DATA | CKO_DOMAIN_PARAMETERS => {
                if class == CKO_PUBLIC_KEY {
                    template.key_type().ok_or_else(|| Error::from(CKR_TEMPLATE_INCOMPLETE))?;
                }
                check::whole(&template)?;
                shown::complete(&mut template, Origin::Imported);
                self.may_make(&template)?;
                self.create_open(template)
            }
            _ => Err(CKR_ATTRIBUTE_VALUE_INVALID.into()),
        }
    }

    /// A key whose value the application brings.
    fn create_key(&self, template: &Template) -> Result<Handle> {
        template.key_type().ok_or_else(|| Error::from(CKR_TEMPLATE_INCOMPLETE))?;
        check::values(template)?;
        let class = template.class().unwrap_or_default();
        let value = template.filtered(|kind| shown::is_secret(class, kind));
        let mut shown_template = template.filtered(|kind| !shown::is_secret(class, kind));
        shown_template.remove(CKA_VALUE_LEN);
        shown::complete(&mut shown_template, Origin::Imported);
        self.may_make(&shown_template)?;
        self.make_one(&shown_template, Source::Brought, |desk, scratch| {
            let mut full = scratch.clone();
            full.merge(&value);
            desk.member.create(desk.session, &full)
        })
    }

    /// An object without a key's secret: public key, certificate, data.
    fn create_open(&self, template: Template) -> Result<Handle> {
        let token = self.token();
        if template.class() == Some(CKO_PUBLIC_KEY) {
            // A member judges whether this is a key at all.
            return self.make_one(&template, Source::Brought, |desk, scratch| {
                desk.member.create(desk.session, scratch)
            });
        }
        let object = token.new_object(template);
        if !object.is_token() {
            return Ok(token.transients.add(self.number(), object, None).handle);
        }
        in_force_at_last(|| {
            let mut object = object.clone();
            let wrapped = token.hide_value(&mut object)?;
            let made = token.commit(vec![(object, wrapped)], None)?;
            made.first().copied().ok_or_else(|| CKR_GENERAL_ERROR.into())
        })
    }

    /// C_UnwrapKey.
    pub fn unwrap(
        &self,
        mechanism: &Mechanism,
        by: Handle,
        wrapped: &[u8],
        template: &Template,
    ) -> Result<Handle> {
        let by = self.usable(by, mechanism, CKA_UNWRAP, CKR_UNWRAPPING_KEY_HANDLE_INVALID)?;
        let mut template = check::template(template, Purpose::Make)?;
        if let Some(required) = by.object().template.template(CKA_UNWRAP_TEMPLATE) {
            impose(&mut template, required)?;
        }
        let len = template.number(CKA_VALUE_LEN);
        template.remove(CKA_VALUE_LEN);
        template.class().ok_or_else(|| Error::from(CKR_TEMPLATE_INCOMPLETE))?;
        template.key_type().ok_or_else(|| Error::from(CKR_TEMPLATE_INCOMPLETE))?;
        shown::complete(&mut template, Origin::Imported);
        self.may_make(&template)?;
        self.make_with(&[by], &template, |desk, keys, scratch| {
            let by = keys.first().copied().unwrap_or_default();
            let scratch = match len {
                Some(len) => scratch.clone().with(CKA_VALUE_LEN, len),
                None => scratch.clone(),
            };
            desk.member.unwrap(desk.session, mechanism, by, wrapped, &scratch)
        })
    }

    /// C_DeriveKey.
    pub fn derive(
        &self,
        mechanism: &Mechanism,
        base: Handle,
        template: &Template,
    ) -> Result<Handle> {
        let base = self.usable(base, mechanism, CKA_DERIVE, CKR_KEY_HANDLE_INVALID)?;
        let mut template = check::template(template, Purpose::Make)?;
        if let Some(required) = base.object().template.template(CKA_DERIVE_TEMPLATE) {
            impose(&mut template, required)?;
        }
        template.set_default(CKA_CLASS, CKO_SECRET_KEY);
        template.set_default(CKA_KEY_TYPE, CKK_GENERIC_SECRET);
        let len = template.number(CKA_VALUE_LEN);
        let past = &base.object().template;
        let origin = Origin::Derived {
            always_sensitive: past.is(CKA_ALWAYS_SENSITIVE),
            never_extractable: past.is(CKA_NEVER_EXTRACTABLE),
        };
        shown::complete(&mut template, origin);
        self.may_make(&template)?;
        let mut keys = vec![base];
        keys.extend(self.keys_in(mechanism)?);
        self.make_with(&keys, &template, |desk, keys, scratch| {
            let scratch = match len {
                Some(len) => scratch.clone().with(CKA_VALUE_LEN, len),
                None => scratch.clone(),
            };
            let (base, others) =
                keys.split_first().ok_or_else(|| Fault::new(Call::Derive, CKR_GENERAL_ERROR))?;
            desk.member.derive(desk.session, &with_keys(mechanism, others), *base, &scratch)
        })
    }

    /// The keys that a mechanism's parameter names.
    pub(crate) fn keys_in(&self, mechanism: &Mechanism) -> Result<Vec<Held>> {
        let Parameter::Parts(parts) = &mechanism.parameter else { return Ok(Vec::new()) };
        let named = parts.iter().filter_map(|part| match part {
            Part::Key(handle) if *handle != CK_INVALID_HANDLE => Some(*handle),
            _ => None,
        });
        named
            .map(|handle| self.token().held(handle).map_err(|_| CKR_KEY_HANDLE_INVALID.into()))
            .collect()
    }

    /// Makes one object on a member where these keys are, by the first of them.
    pub(crate) fn make_with(
        &self,
        keys: &[Held],
        template: &Template,
        work: impl Fn(&Desk<'_>, &[Handle], &Template) -> Answer<Handle>,
    ) -> Result<Handle> {
        let token = self.token();
        let holders: Vec<_> =
            token.holders(keys).iter().map(|station| station.name().to_owned()).collect();
        let unbound = keys.first().map(|by| token.unbound(by)).transpose()?.flatten();
        self.make_one(template, Source::Brought, |desk, scratch| {
            if !holders.iter().any(|name| name == desk.name()) {
                return Err(Fault::new(Call::Find, CKR_FUNCTION_NOT_SUPPORTED));
            }
            let station = token
                .station(desk.name())
                .ok_or_else(|| Fault::new(Call::Find, CKR_DEVICE_REMOVED))?;
            let lease = station.lease()?;
            let mut handles =
                keys.iter().map(|key| token.place(&lease, key)).collect::<Answer<Vec<_>>>()?;
            let twin = match unbound.as_ref().filter(|_| station.has_ring()) {
                Some(Unbound { wrapped, twin }) => {
                    let kek = token.kek_at(desk, station, wrapped.under)?;
                    Some(carry::unwrap(desk, kek, &wrapped.bytes, twin)?)
                }
                None => None,
            };
            if let (Some(twin), Some(first)) = (twin, handles.first_mut()) {
                *first = twin;
            }
            let answer =
                work(desk, &handles, scratch).inspect_err(|fault| lease.forget_kept(*fault));
            if let Some(twin) = twin {
                desk.discard(twin);
            }
            answer
        })
    }

    /// A key that may be used so by this session.
    pub(crate) fn usable(
        &self,
        key: Handle,
        mechanism: &Mechanism,
        usage: u64,
        missing: u64,
    ) -> Result<Held> {
        let held = self.token().held(key).map_err(|_| Error::from(missing))?;
        self.token().check_offered(mechanism.kind)?;
        if !operation::fits(held.object(), mechanism.kind) {
            return Err(Error::from(match usage {
                CKA_WRAP => CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
                CKA_UNWRAP => CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
                _ => CKR_KEY_TYPE_INCONSISTENT,
            }));
        }
        operation::permitted(held.object(), mechanism.kind, usage)?;
        if matches!(usage, CKA_UNWRAP | CKA_DERIVE | CKA_DECAPSULATE) {
            self.token().admit(&held)?;
        }
        Ok(held)
    }

    /// C_WrapKey.
    pub fn wrap(&self, mechanism: &Mechanism, by: Handle, key: Handle) -> Result<Vec<u8>> {
        let by = self.usable(by, mechanism, CKA_WRAP, CKR_WRAPPING_KEY_HANDLE_INVALID)?;
        let token = self.token();
        let key = token.held(key).map_err(|_| Error::from(CKR_KEY_HANDLE_INVALID))?;
        let shown = &key.object().template;
        if !matches!(key.object().class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY) {
            return Err(CKR_KEY_NOT_WRAPPABLE.into());
        }
        if !shown.is(CKA_EXTRACTABLE) {
            return Err(CKR_KEY_UNEXTRACTABLE.into());
        }
        if shown.is(CKA_WRAP_WITH_TRUSTED) && !by.object().template.is(CKA_TRUSTED) {
            return Err(CKR_KEY_NOT_WRAPPABLE.into());
        }
        if by
            .object()
            .template
            .template(CKA_WRAP_TEMPLATE)
            .is_some_and(|wanted| !shown.matches(wanted))
        {
            return Err(CKR_KEY_HANDLE_INVALID.into());
        }
        let wrapped = token.wrapped_of(&key)?;
        token.on_holders(std::slice::from_ref(&by), |lease| {
            let desk = lease.desk();
            let by = token.place(lease, &by)?;
            let Some(wrapped) = wrapped.as_ref().filter(|_| lease.station().has_ring()) else {
                let key = token.place(lease, &key)?;
                return desk.member.wrap(desk.session, mechanism, by, key);
            };
            // The replica is locked; a twin of the same bytes is what the owner said may leave.
            let template = carry::twin(key.object(), &[(CKA_EXTRACTABLE, true)]);
            let kek = token.kek_at(&desk, lease.station(), wrapped.under)?;
            let twin = carry::unwrap(&desk, kek, &wrapped.bytes, &template)?;
            let answer = desk.member.wrap(desk.session, mechanism, by, twin);
            desk.discard(twin);
            answer
        })
    }

    /// C_CopyObject.
    pub fn copy(&self, object: Handle, template: &Template) -> Result<Handle> {
        in_force_at_last(|| self.copy_once(object, template))
    }

    fn copy_once(&self, object: Handle, template: &Template) -> Result<Handle> {
        // One of this session is put into the log as it was wrapped.
        self.token().renew_session_keys();
        let held = self.token().held(object)?;
        let template = &check::template(template, Purpose::Copy)?;
        let old = &held.object().template;
        if old.flag(CKA_COPYABLE) == Some(false) {
            return Err(CKR_ACTION_PROHIBITED.into());
        }
        check_changes(old, template, true)?;
        if held.object().holders.is_some() {
            return Err(Error::new(
                CKR_KEY_NOT_WRAPPABLE,
                format!("object {} was found on a member and can't be copied", held.id()),
            ));
        }
        let token = self.token();
        let tightened = token.tightened(&held, template)?;
        let mut object = token.new_object(old.clone());
        object.template.merge(template);
        object.hold = token.settings.hold_of(&object.template);
        self.may_make(&object.template)?;
        let from = held.object();
        (object.mate, object.public, object.fingerprint) =
            (None, from.public.clone(), from.fingerprint);
        let mut secret = token.wrapped_of(&held)?;
        if tightened.is_some() {
            secret = tightened;
        }
        if from.kek == Some(Kek::Data) {
            // Its value is sealed to its own identity, so the copy's is sealed anew.
            object.template.set(CKA_VALUE, token.read_data(from)?.to_vec());
            secret = None;
        }
        object.set_under(secret.as_ref().map(|secret| secret.under));
        let mut wrapped = secret.map(|secret| secret.bytes);
        if !object.is_token() {
            return Ok(token.transients.add(self.number(), object, wrapped).handle);
        }
        if matches!(object.class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY) {
            if wrapped.is_none() {
                return Err(CKR_KEY_UNEXTRACTABLE.into());
            }
            if let Some(wrapped) = &wrapped
                && point::is_missing(&object)
            {
                object.public = Some(token.point_of(&object, wrapped)?);
            }
            if object.public.is_none() && object.fingerprint.is_none() {
                object.fingerprint = token.fingerprint_of(&held, &object)?;
            }
        } else if object.kek.is_none() {
            wrapped = token.hide_value(&mut object)?;
        }
        token
            .commit(vec![(object, wrapped)], None)?
            .first()
            .copied()
            .ok_or_else(|| CKR_GENERAL_ERROR.into())
    }
}

/// The bytes of a key whose template binds what is made by it, and the template of a twin that binds nothing.
struct Unbound {
    wrapped: Wrapped,
    twin: Template,
}

impl Token {
    /// A key with CKA_UNWRAP_TEMPLATE or its like. What that demands is imposed on what the application asks for; a
    /// member would demand it of the copy that is made to be mirrored, too, which must be extractable for a moment.
    fn unbound(&self, by: &Held) -> Result<Option<Unbound>> {
        let object = by.object();
        let binds = |kind| object.template.template(kind).is_some_and(|bound| !bound.is_empty());
        if ![CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE, CKA_DECAPSULATE_TEMPLATE]
            .into_iter()
            .any(binds)
        {
            return Ok(None);
        }
        let uses = [CKA_UNWRAP, CKA_DERIVE, CKA_DECAPSULATE].into_iter();
        let usage: Vec<_> =
            uses.filter(|kind| object.template.is(*kind)).map(|kind| (kind, true)).collect();
        let twin = carry::twin(object, &usage);
        Ok(self.wrapped_of(by)?.map(|wrapped| Unbound { wrapped, twin }))
    }

    /// The value of a private object that is no key.
    pub(crate) fn read_data(&self, object: &Object) -> Result<Bytes> {
        let sealed = self.wrapped(object)?;
        self.on_makers(|lease| {
            let key = self.kek_at(&lease.desk(), lease.station(), sealed.under)?;
            data::open(&lease.desk(), key, object.id, &sealed.bytes)
        })
    }

    /// The public part of a private EC key that was a session object until now.
    fn point_of(&self, object: &Object, wrapped: &[u8]) -> Result<Template> {
        let under = object.under().ok_or_else(|| Error::from(CKR_KEY_UNEXTRACTABLE))?;
        self.on_makers(|lease| {
            let kek = self.kek_at(&lease.desk(), lease.station(), under)?;
            point::find(&lease.desk(), kek, object, wrapped, &self.challenge())
        })
    }

    /// The fingerprint of a session key that is copied to the token, from a twin.
    fn fingerprint_of(&self, held: &Held, object: &Object) -> Result<Option<[u8; 32]>> {
        let Held::Transient(transient) = held else { return Ok(held.object().fingerprint) };
        let wrapped = self.wrapped_of(held)?.ok_or_else(|| Error::from(CKR_KEY_UNEXTRACTABLE))?;
        let method =
            prove::keyed_method(object).ok_or_else(|| Error::from(CKR_KEY_NOT_WRAPPABLE))?;
        let seal = self.seal()?;
        let twin = carry::twin(&transient.object, &method.flags());
        self.on_makers_of(&twin, |lease| {
            let desk = lease.desk();
            let kek = self.kek_at(&desk, lease.station(), wrapped.under)?;
            let key = carry::unwrap(&desk, kek, &wrapped.bytes, &twin)?;
            let fingerprint = prove::fingerprint(&desk, key, &method, &seal);
            desk.discard(key);
            fingerprint.map(Some)
        })
    }

    /// A key under the open KEK that a change makes unextractable and sensitive: its bytes, wrapped by the closed one.
    pub(crate) fn tightened(&self, held: &Held, changes: &Template) -> Result<Option<Wrapped>> {
        let object = held.object();
        if object.kek == Some(Kek::Secret) && changes.is(CKA_DERIVE) {
            // Its KEK lets out no key that may derive, and it can't travel to another.
            return Err(CKR_ATTRIBUTE_READ_ONLY.into());
        }
        let mut after = object.template.clone();
        after.merge(changes);
        let closed = kek_for(&after);
        if object.kek != Some(Kek::Open) || closed == Kek::Open {
            return Ok(None);
        }
        let wrapped = self.wrapped_of(held)?.ok_or_else(|| Error::from(CKR_KEY_UNEXTRACTABLE))?;
        if wrapped.under.kek != Kek::Open {
            // Another has tightened it meanwhile.
            return Ok(None);
        }
        let twin = carry::twin(object, &[(CKA_EXTRACTABLE, true)]);
        let tightened = self.on_makers_of(&twin, |lease| {
            let desk = lease.desk();
            let open = self.kek_at(&desk, lease.station(), wrapped.under)?;
            let (under, kek) = self.newest_at(&desk, lease.station(), closed)?;
            let key = carry::unwrap(&desk, open, &wrapped.bytes, &twin)?;
            let bytes = carry::wrap(&desk, kek, key);
            desk.discard(key);
            let bytes = bytes?;
            let mut tightened = object.clone();
            tightened.set_under(Some(under));
            match self.prove_wrapped((&desk, &desk), &tightened, kek, &bytes) {
                Ok(()) => Ok(Wrapped { under, bytes }),
                Err(Failure::Fault(fault)) => Err(fault),
                Err(Failure::Different(_) | Failure::Beyond(_) | Failure::Left(..)) => {
                    Err(Fault::new(Call::Wrap, CKR_FUNCTION_FAILED))
                }
            }
        })?;
        Ok(Some(tightened))
    }

    /// Proves that wrapped bytes are the key they should be, by a twin.
    pub(crate) fn prove_wrapped(
        &self,
        (desk, judge): (&Desk<'_>, &Desk<'_>),
        object: &Object,
        kek: Handle,
        wrapped: &[u8],
    ) -> prove::Proof {
        let known = object.fingerprint.zip(prove::keyed_method(object));
        if let (None, Some(public)) = (&known, &object.public) {
            let twin = carry::twin(object, &[(CKA_SIGN, true)]);
            let Some(method) = prove::private_method(&twin) else {
                return Self::prove_agreement(desk, judge, object, kek, wrapped);
            };
            return with_twin(desk, kek, wrapped, &twin, |key| {
                self.prove_signing((desk, judge), key, &method, public)
            });
        }
        let Some((expected, method)) = known else {
            // Nothing is known by which it could be proven; that it opens is what can be seen.
            return with_twin(desk, kek, wrapped, &carry::twin(object, &[]), |_| Ok(()));
        };
        let seal = self.seal().map_err(|_| Fault::new(Call::Login, CKR_USER_NOT_LOGGED_IN))?;
        let twin = carry::twin(object, &method.flags());
        with_twin(desk, kek, wrapped, &twin, |key| {
            if prove::fingerprint(desk, key, &method, &seal)? == expected {
                return Ok(());
            }
            Err(Failure::Different("it was wrapped as another key".into()))
        })
    }

    /// C_SetAttributeValue on a token object: an event, which every member follows.
    pub(crate) fn change_token_object(&self, entry: &Arc<Entry>, template: &Template) -> Result {
        let erases = in_force_at_last(|| {
            let change = self.change_of(entry, template)?;
            // New wrapped bytes take the old ones' place.
            let erase: Vec<_> = change.wrapped.iter().map(|_| entry.object.wrapped_at()).collect();
            let erases = !erase.is_empty();
            self.append_all(vec![change], erase).map(|_| erases)
        })?;
        if erases {
            self.erase_superseded_now(entry.object.id);
        }
        self.shelf.refresh()?;
        self.catch_up();
        Ok(())
    }

    fn change_of(&self, entry: &Arc<Entry>, template: &Template) -> Result<Appended> {
        let id = entry.object.id;
        if entry.object.kek == Some(Kek::Data) && template.has(CKA_VALUE) {
            let mut after = entry.object.clone();
            after.template.merge(template);
            let wrapped = self.hide_value(&mut after)?;
            let template = template.filtered(|kind| kind != CKA_VALUE);
            let Object { kek, fingerprint, generation, .. } = after;
            return Ok(Appended {
                event: Event::Changed { id, template, kek, fingerprint, generation },
                wrapped,
            });
        }
        let tightened = self.tightened(&Held::Token(Arc::clone(entry)), template)?;
        let under = tightened.as_ref().map(|tightened| tightened.under);
        let (kek, template) = (under.map(|under| under.kek), template.clone());
        let generation = under.map_or_else(Generation::default, |under| under.generation);
        let event = Event::Changed { id, template, kek, fingerprint: None, generation };
        Ok(Appended { event, wrapped: tightened.map(|tightened| tightened.bytes) })
    }

    /// C_DestroyObject on a token object: a tombstone, and the wrapped key is erased.
    pub(crate) fn destroy_token_object(&self, entry: &Entry) -> Result {
        let (id, erase) = (entry.object.id, vec![entry.object.wrapped_at()]);
        let event = Event::Destroyed(id).into();
        self.append_all(vec![event], erase)?;
        self.erase_superseded_now(id);
        self.shelf.refresh()?;
        self.unload_destroyed();
        self.catch_up();
        Ok(())
    }

    /// A member that works, by name.
    pub(crate) fn station(&self, name: &str) -> Option<&Arc<crate::station::Station>> {
        self.stations.iter().find(|station| station.name() == name)
    }

    /// Does something with random numbers: on a generator, or else on the first other member that is able to.
    pub(crate) fn on_random<T>(&self, mut work: impl FnMut(&Lease) -> Answer<T>) -> Result<T> {
        let others = self.holders_in_turn(&[]);
        let generators = self.up(Duty::Making);
        // One that hangs leaves them some of the time.
        generators.iter().for_each(|station| station.set_others(1));
        self.on_each(generators.into_iter().chain(others), &mut work)
    }

    /// Does something that has no effect on the first member where these keys are.
    pub(crate) fn on_holders<T>(
        &self,
        keys: &[Held],
        mut work: impl FnMut(&Lease) -> Answer<T>,
    ) -> Result<T> {
        self.on_each(self.holders_in_turn(keys), &mut work)
    }

    /// How many members hold an object and have proven it; of a key that is held on demand, how many would.
    pub(crate) fn replicas_of(&self, entry: &Entry) -> usize {
        // They need not have come to it in the log: it is proven when they load it.
        let since = if entry.object.is_on_demand() { 0 } else { entry.object.born };
        let able = |name: &&String| {
            self.station(name).is_none_or(|it| self.beyond(it, &entry.object.template).is_none())
        };
        self.proven_on(entry.object.id, since).iter().filter(able).count()
    }
}

/// Adds what a key's template demands of the keys it makes; a contradiction is refused (section 4.7).
pub(crate) fn impose(template: &mut Template, required: &Template) -> Result {
    for attribute in required {
        match template.get(attribute.kind) {
            Some(value) if *value != attribute.value => {
                return Err(CKR_TEMPLATE_INCONSISTENT.into());
            }
            Some(_) => {}
            None => template.set(attribute.kind, attribute.value.clone()),
        }
    }
    Ok(())
}

/// A mechanism whose parameter names keys by the member's handles.
pub(crate) fn with_keys(mechanism: &Mechanism, handles: &[Handle]) -> Mechanism {
    let Parameter::Parts(parts) = &mechanism.parameter else { return mechanism.clone() };
    let mut handles = handles.iter();
    let parts = parts
        .iter()
        .map(|part| match part {
            Part::Key(handle) if *handle != CK_INVALID_HANDLE => {
                Part::Key(handles.next().copied().unwrap_or_default())
            }
            part => part.clone(),
        })
        .collect();
    Mechanism { kind: mechanism.kind, parameter: Parameter::Parts(parts) }
}
