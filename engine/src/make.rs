//! Making objects: once, on one member, wrapped, in the log, and from there to every member (`design` in
//! `docs/decisions/0002-keys-are-made-once.md`).
//!
//! Until the event is in the log nothing exists: what stands on the maker is a session object that goes with its
//! session. From then on the object can't be lost.

use crate::bare;
use crate::carry;
use crate::check::{self, Purpose};
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::fault::{Answer, Call, Class, Fault};
use crate::follow::Exception;
use crate::found::Spot;
use crate::inquiry::Inquiry;
use crate::journal::Entry;
use crate::lanes::Haste;
use crate::object::{Hold, Kek, Object, ObjectId};
use crate::point;
use crate::prove::{self, Failure};
use crate::ring::Generation;
use crate::rotation::in_force_at_last;
use crate::session::Session;
use crate::settings::{Duty, SessionObjects};
use crate::shown::{self, Origin};
use crate::station::Station;
use crate::token::Token;
use crate::waking::LOST_MAX;
use std::sync::Arc;
use tandem_values::keytype::Recipe;
use tandem_values::template::{Pair, Reading};
use tandem_values::{Handle, Mechanism, Template, ck::*};

/// An object that is made and not yet anywhere but on its maker, as a session object.
pub(crate) struct Draft {
    pub(crate) object: Object,
    pub(crate) wrapped: Option<Vec<u8>>,
    /// Where it stands on its maker.
    pub(crate) scratch: Spot,
}

/// Where the secret of a new key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A member draws it at random: a generator, where the token has one.
    Drawn,
    /// Somebody brings it, or it is made of other keys. So is what has no secret.
    Brought,
}

impl Token {
    /// An object of this template that has just come into being.
    pub(crate) fn new_object(&self, template: Template) -> Object {
        Object {
            id: self.new_object_id(),
            mate: None,
            public: None,
            kek: None,
            fingerprint: None,
            holders: None,
            found_on: None,
            hold: Hold::Resident,
            generation: Generation::default(),
            rewrapped: None,
            stock: None,
            template,
            created_at_ms: self.clock.wall_ms(),
            born: 0,
        }
    }

    /// Appends events, lets every member follow, and answers the handles when all members that are up have proven the
    /// objects. What a member that is up can't take is undone everywhere.
    ///
    /// `maker` is the member that made them, if one did.
    pub(crate) fn commit(
        &self,
        drafts: Vec<(Object, Option<Vec<u8>>)>,
        maker: Option<&str>,
    ) -> Result<Vec<Handle>> {
        // What needs no maker has asked nobody yet: who is due is tried before it is undone for want of members.
        self.wake_all();
        let ids: Vec<_> = drafts.iter().map(|(object, _)| object.id).collect();
        let on_demand = drafts.iter().all(|(object, _)| object.is_on_demand());
        let entries: Vec<_> = drafts
            .into_iter()
            .map(|(object, wrapped)| Entry { event: Event::Created(Box::new(object)), wrapped })
            .collect();
        let first = self.append_all(entries, Vec::new())?;
        self.shelf.refresh()?;
        let (proven, refused) = if on_demand {
            self.try_out_new(&ids, maker)?
        } else {
            let refused = self.bring_everywhere(&ids, first);
            let proven = ids.iter().map(|id| self.proven_on(*id, first).len()).min();
            (proven.unwrap_or(0), refused.map(|(member, exception)| (member, exception.failure)))
        };
        if let Some((member, failure)) = refused {
            self.undo(&ids, first)?;
            return Err(refusal(&member, &failure));
        }
        if proven < self.settings.min_replicas.max(1) {
            self.undo(&ids, first)?;
            return Err(Error::new(
                CKR_DEVICE_ERROR,
                format!(
                    "token {}: the new object was proven on {proven} members and min_replicas asks for {}; nothing was \
                         made; see `tandem status`",
                    self.settings.label, self.settings.min_replicas
                ),
            ));
        }
        ids.iter()
            .map(|id| {
                let entry = self.shelf.by_id(*id)?;
                entry.map(|entry| entry.handle).ok_or_else(|| {
                    let label = &self.settings.label;
                    let what =
                        "the new object was destroyed by another process as soon as it was made";
                    Error::new(CKR_GENERAL_ERROR, format!("token {label}: {what}"))
                })
            })
            .collect()
    }

    /// Lets every member follow. Answers what one that is up can't take. Where all have forgotten us just now, they are
    /// brought back and follow then.
    fn bring_everywhere(&self, ids: &[ObjectId], first: u64) -> Option<(String, Exception)> {
        // A member that was away for a rotation takes it when it is given the keys.
        let refuses = |exception: &Exception| {
            ids.contains(&exception.id) && !prove::is_for_want_of_keys(&exception.failure)
        };
        let follow = || self.catch_up().into_iter().find(|(_, exception)| refuses(exception));
        for _ in 1..LOST_MAX {
            let refused = follow();
            let is_anywhere = |id: &ObjectId| !self.proven_on(*id, first).is_empty();
            if refused.is_some() || ids.iter().all(is_anywhere) {
                return refused;
            }
            self.wake_all();
            self.wait_for_anybody(Duty::Keys);
        }
        follow()
    }

    fn undo(&self, ids: &[ObjectId], first: u64) -> Result {
        let entries: Vec<_> = ids.iter().map(|id| Entry::from(Event::Destroyed(*id))).collect();
        let count = u64::try_from(ids.len()).unwrap_or(0);
        let mut born: Vec<_> = (first..first.saturating_add(count)).collect();
        // Another process may have changed them already, and their bytes are then in its record.
        self.shelf.refresh()?;
        for id in ids {
            let now = self.shelf.by_id(*id)?.map(|entry| entry.object.wrapped_at());
            born.extend(now.filter(|at| *at >= first.saturating_add(count)));
        }
        self.append_all(entries, born)?;
        self.shelf.refresh()?;
        self.catch_up();
        Ok(())
    }

    /// Reads what a fresh object is made of, and adds it to its template.
    pub(crate) fn read_material(
        desk: &Desk<'_>,
        handle: Handle,
        template: &mut Template,
    ) -> Answer {
        let class = template.class().unwrap_or(CKO_DATA);
        let kinds =
            shown::material(class, template.key_type().unwrap_or(CK_UNAVAILABLE_INFORMATION));
        for (kind, reading) in kinds.iter().zip(desk.member.read(desk.session, handle, kinds)?) {
            if let Reading::Value(value) = reading {
                template.set(*kind, value);
            }
        }
        if let Some(modulus) = template.bytes(CKA_MODULUS)
            && class == CKO_PUBLIC_KEY
        {
            template.set(CKA_MODULUS_BITS, shown::modulus_bits(modulus));
        }
        Ok(())
    }

    /// Wraps a fresh private or secret key that stands on a member, and learns how it will be known again.
    pub(crate) fn wrap_fresh(
        &self,
        desk: &Desk<'_>,
        station: &Station,
        object: &mut Object,
        key: Handle,
    ) -> Answer<Vec<u8>> {
        let is_bare = self.is_carried_bare(&object.template);
        let kek = if is_bare { Kek::Bare } else { kek_for(&object.template) };
        let (under, kek) = self.newest_at(desk, station, kek)?;
        if is_bare {
            let wrapped = bare::wrap(desk, kek, key)?;
            object.set_under(Some(under));
            return Ok(wrapped);
        }
        let odd = object.template.number(CKA_VALUE_LEN).is_some_and(|len| len % 8 != 0);
        if object.class() == CKO_SECRET_KEY
            && odd
            && station.member.quirks().wraps_multiples_of_eight
        {
            return Err(Fault::new(Call::Wrap, CKR_KEY_NOT_WRAPPABLE));
        }
        let wrapped = carry::wrap(desk, kek, key).map_err(|fault| {
            if !(bare::is_meant(&object.template) && prove::is_refusal(fault)) {
                return fault;
            }
            if object.is_token() {
                log::warn!(
                    "member {} doesn't wrap keys of this type ({fault}), so no other member could hold this one; `allow_host_keygen = \
                     true` lets their values pass through the memory of this host",
                    desk.name()
                );
            }
            Fault::new(Call::Wrap, CKR_KEY_NOT_WRAPPABLE)
        })?;
        object.set_under(Some(under));
        Ok(wrapped)
    }

    /// True if a fresh key will be carried by its value.
    pub(crate) fn is_carried_bare(&self, template: &Template) -> bool {
        self.settings.allow_host_keygen && bare::is_meant(template)
    }

    /// The keyed fingerprint of a key that no public key speaks for.
    pub(crate) fn fingerprint_fresh(
        &self,
        desk: &Desk<'_>,
        object: &mut Object,
        key: Handle,
    ) -> Answer {
        if object.public.is_some() {
            return Ok(());
        }
        let seal = self.seal().map_err(|_| Fault::new(Call::Login, CKR_USER_NOT_LOGGED_IN))?;
        let refused = |why: &str| {
            log::warn!(
                "a key of this type and length can't be proven on member {}: {why}",
                desk.name()
            );
            Fault::new(Call::Step, CKR_KEY_NOT_WRAPPABLE)
        };
        let method = prove::keyed_method(object).ok_or_else(|| refused("no way is known"))?;
        let print = prove::fingerprint(desk, key, &method, &seal);
        object.fingerprint = Some(print.map_err(|fault| {
            if prove::is_refusal(fault) { refused(&fault.to_string()) } else { fault }
        })?);
        Ok(())
    }
}

/// The KEK that fits what the caller asked: the closed ones open nothing that could be extracted or seen.
pub(crate) fn kek_for(template: &Template) -> Kek {
    let open = template.is(CKA_EXTRACTABLE) || template.flag(CKA_SENSITIVE) == Some(false);
    match (open, template.class()) {
        (true, _) => Kek::Open,
        // What derives from a secret key can show it on some module, so the closed KEK lets none out that may derive.
        (false, Some(CKO_SECRET_KEY)) if template.is(CKA_DERIVE) => Kek::Open,
        (false, Some(CKO_SECRET_KEY)) => Kek::Secret,
        (false, _) => Kek::Private,
    }
}

fn refusal(member: &str, failure: &Failure) -> Error {
    let remedy = "choose a key type that all members hold (`tandem doctor` lists them)";
    let (rv, remedy) = match failure.cause() {
        Failure::Fault(fault) if fault.call == Call::Unwrap => (CKR_KEY_NOT_WRAPPABLE, remedy),
        Failure::Beyond(_) => (CKR_KEY_NOT_WRAPPABLE, remedy),
        Failure::Fault(fault) => (fault.rv.0, remedy),
        Failure::Different(_) | Failure::Left(..) => {
            (CKR_FUNCTION_FAILED, "something is wrong with that member: `tandem doctor`")
        }
    };
    Error::new(
        rv,
        format!(
            "member {member} does not hold this object ({failure}), so it was made nowhere; {remedy}"
        ),
    )
}

/// The template with which a key is made on its maker: a session object that can be wrapped, and asked for its proof.
fn scratch(shown: &Template, working: bool) -> Template {
    let mut template = shown.filtered(|kind| {
        // The length is what a key is generated by; once there is a modulus, it says so itself.
        let sized = kind == CKA_MODULUS_BITS && !shown.has(CKA_MODULUS);
        sized
            || (!carry::is_catalogue_only(kind)
                && !matches!(kind, CKA_ALLOWED_MECHANISMS | CKA_SUBJECT))
    });
    let empty: Vec<_> = template
        .iter()
        .filter(|attribute| {
            matches!(attribute.kind, CKA_ID | CKA_LABEL)
                && template.bytes(attribute.kind).is_some_and(<[u8]>::is_empty)
        })
        .map(|attribute| attribute.kind)
        .collect();
    for kind in empty {
        template.remove(kind);
    }
    template.set(CKA_TOKEN, false);
    if !matches!(template.class(), Some(CKO_PRIVATE_KEY | CKO_SECRET_KEY)) {
        return template;
    }
    template.set(CKA_EXTRACTABLE, true);
    if !working {
        template.set(CKA_SENSITIVE, true);
    }
    // The engine itself upholds the caller's usage flags; the maker's copy must be able to answer for its proof.
    if template.class() == Some(CKO_SECRET_KEY)
        && let Some(method) = prove::secret_method(
            template.key_type().unwrap_or_default(),
            template.number(CKA_VALUE_LEN).unwrap_or(0),
        )
    {
        for kind in method.usage {
            template.set(*kind, true);
        }
    }
    if template.is(CKA_ALWAYS_AUTHENTICATE) {
        template.set(CKA_ALWAYS_AUTHENTICATE, working);
    }
    template
}

impl Session {
    /// Checks that this session may make an object of this template (PKCS #11 3.2 sections 4.1.1 and 5.6).
    pub(crate) fn may_make(&self, template: &Template) -> Result {
        let login = self.token().login.read();
        let private = template.is(CKA_PRIVATE);
        if template.is(CKA_TOKEN) && !self.writes() {
            return Err(CKR_SESSION_READ_ONLY.into());
        }
        if private && !login.is_user() {
            return Err(CKR_USER_NOT_LOGGED_IN.into());
        }
        if template.is(CKA_TOKEN) && !login.is_user() {
            // The log is sealed with a key that only a login opens.
            return Err(CKR_USER_NOT_LOGGED_IN.into());
        }
        Ok(())
    }

    /// Where a key is made: in the session's own home on a member, so that a session object lives as long as the session.
    fn bench<'a>(&self, station: &'a Arc<Station>) -> Answer<Desk<'a>> {
        self.token().transients.home(self.number(), station)
    }

    /// C_GenerateKeyPair.
    pub fn generate_pair(
        &self,
        mechanism: &Mechanism,
        public: &Template,
        private: &Template,
    ) -> Result<Pair> {
        let (public, private) = self.pair_templates(mechanism, public, private)?;
        let handles = match self.token().claim(&private, Some(&public))? {
            Some(handles) => handles,
            None => self.make(&private, Source::Drawn, |token, station| {
                self.generated_pair((token, station), mechanism, &public, &private)
            })?,
        };
        match handles.as_slice() {
            [public, private] => Ok(Pair { public: *public, private: *private }),
            _ => Err(CKR_GENERAL_ERROR.into()),
        }
    }

    /// What a fresh key pair is to show: its public and its private half.
    fn pair_templates(
        &self,
        mechanism: &Mechanism,
        public: &Template,
        private: &Template,
    ) -> Result<(Template, Template)> {
        let Some((CKO_PRIVATE_KEY, key_type)) = check::generated(mechanism.kind) else {
            return Err(CKR_MECHANISM_INVALID.into());
        };
        self.token().check_offered(mechanism.kind)?;
        let (mut public, mut private) = (public.clone(), private.clone());
        for (template, class) in [(&mut public, CKO_PUBLIC_KEY), (&mut private, CKO_PRIVATE_KEY)] {
            *template = check::template(template, Purpose::Make)?;
            check::expect(template, class, Some(key_type))?;
            check::values(template)?;
            shown::complete(template, Origin::Generated(mechanism.kind));
            self.may_make(template)?;
        }
        if self.token().is_carried_bare(&private) {
            // The host has seen it.
            private.merge(
                &Template::new()
                    .with(CKA_ALWAYS_SENSITIVE, false)
                    .with(CKA_NEVER_EXTRACTABLE, false),
            );
        }
        Ok((public, private))
    }

    /// Has a member generate a key pair.
    fn generated_pair(
        &self,
        (token, station): (&Token, &Arc<Station>),
        mechanism: &Mechanism,
        public: &Template,
        private: &Template,
    ) -> Answer<Vec<Draft>> {
        let desk = self.bench(station)?;
        let mut fresh = scratch(private, !private.is(CKA_TOKEN));
        if token.is_carried_bare(private) {
            fresh.set(CKA_SENSITIVE, false);
        }
        let pair =
            desk.member.generate_pair(desk.session, mechanism, &scratch(public, true), &fresh);
        let pair = pair.map_err(|fault| {
            // Vendors have no better word for a curve that they don't know.
            let unknown = fault.may_be_the_request()
                && public.has(CKA_EC_PARAMS)
                && station.judge(fault) == Class::Unable;
            if unknown { Fault::new(Call::Generate, CKR_CURVE_NOT_SUPPORTED) } else { fault }
        })?;
        let drafts = drafts_of_pair(token, &desk, station, public, private, pair);
        if drafts.is_err() {
            for handle in [pair.public, pair.private] {
                desk.discard(handle);
            }
        }
        drafts
    }

    /// C_GenerateKey.
    pub fn generate(&self, mechanism: &Mechanism, template: &Template) -> Result<Handle> {
        let template = self.key_template(mechanism, template)?;
        if let Some(handles) = self.token().claim(&template, None)? {
            return handles.first().copied().ok_or_else(|| CKR_GENERAL_ERROR.into());
        }
        self.make_one(&template, Source::Drawn, |desk, scratch| {
            desk.member.generate(desk.session, mechanism, scratch)
        })
    }

    /// What a fresh key, or the domain parameters of keys, are to show.
    fn key_template(&self, mechanism: &Mechanism, template: &Template) -> Result<Template> {
        let Some((class, key_type)) = check::generated(mechanism.kind) else {
            return Err(CKR_MECHANISM_INVALID.into());
        };
        self.token().check_offered(mechanism.kind)?;
        let mut template = check::template(template, Purpose::Make)?;
        check::expect(&mut template, class, Some(key_type))?;
        check::values(&template)?;
        shown::complete(&mut template, Origin::Generated(mechanism.kind));
        self.may_make(&template)?;
        Ok(template)
    }

    /// Has a member make a key by a recipe that is not for an application, and takes it off that member: what is left of it is
    /// for the log.
    pub(crate) fn made_apart(&self, recipe: &Recipe) -> Result<Vec<(Object, Option<Vec<u8>>)>> {
        let (station, drafts) = match recipe {
            Recipe::Pair(mechanism, public, private) => {
                let (public, private) = self.pair_templates(mechanism, public, private)?;
                self.drafted(&private, Source::Drawn, |token, station| {
                    self.generated_pair((token, station), mechanism, &public, &private)
                })?
            }
            Recipe::Secret(mechanism, template) => {
                let template = self.key_template(mechanism, template)?;
                self.drafted_one(&template, Source::Drawn, |desk, scratch| {
                    desk.member.generate(desk.session, mechanism, scratch)
                })?
            }
        };
        for draft in &drafts {
            self.put_away(&station, draft);
        }
        Ok(drafts.into_iter().map(|draft| (draft.object, draft.wrapped)).collect())
    }

    /// Makes one object on a member by `work`, which gets the template of the maker's copy.
    pub(crate) fn make_one(
        &self,
        template: &Template,
        source: Source,
        work: impl Fn(&Desk<'_>, &Template) -> Answer<Handle>,
    ) -> Result<Handle> {
        let handles = in_force_at_last(|| {
            let (station, drafts) = self.drafted_one(template, source, &work)?;
            self.take_in(&station, drafts)
        })?;
        handles.first().copied().ok_or_else(|| CKR_GENERAL_ERROR.into())
    }

    fn drafted_one(
        &self,
        template: &Template,
        source: Source,
        work: impl Fn(&Desk<'_>, &Template) -> Answer<Handle>,
    ) -> Result<(Arc<Station>, Vec<Draft>)> {
        self.drafted(template, source, |token, station| {
            let desk = self.bench(station)?;
            let handle = work(&desk, &scratch(template, !template.is(CKA_TOKEN)))?;
            let draft = draft_of_key(token, &desk, station, template, handle, None);
            if draft.is_err() {
                desk.discard(handle);
            }
            Ok(vec![draft?])
        })
    }

    /// Makes objects on the first member that can, and takes them in: token objects through the log, session objects
    /// where they are.
    pub(crate) fn make(
        &self,
        template: &Template,
        source: Source,
        work: impl Fn(&Token, &Arc<Station>) -> Answer<Vec<Draft>>,
    ) -> Result<Vec<Handle>> {
        in_force_at_last(|| {
            let (station, drafts) = self.drafted(template, source, &work)?;
            self.take_in(&station, drafts)
        })
    }

    /// Makes objects on the first member that can, and no more than that.
    fn drafted(
        &self,
        template: &Template,
        source: Source,
        work: impl Fn(&Token, &Arc<Station>) -> Answer<Vec<Draft>>,
    ) -> Result<(Arc<Station>, Vec<Draft>)> {
        let token = self.token();
        let duty = match source {
            Source::Drawn => token.duty_to_make(),
            Source::Brought => Duty::Keys,
        };
        token.can_be_carried(template, duty)?;
        let haste = haste(template, source);
        token.on_bench(template, (duty, haste), |station| work(token, station))
    }

    /// What is to go through the log, or was made on a generator, stays no longer where it was made.
    fn put_away(&self, station: &Arc<Station>, draft: &Draft) {
        let home = self.token().transients.home(self.number(), station);
        if let Ok(desk) = home
            && let Some(scratch) = draft.scratch.within(desk.life)
        {
            desk.discard(scratch);
        }
    }

    /// Takes drafts in.
    pub(crate) fn take_in(
        &self,
        station: &Arc<Station>,
        drafts: Vec<Draft>,
    ) -> Result<Vec<Handle>> {
        let token = self.token();
        let mut committed = Vec::new();
        let mut handles = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let is_token = draft.object.is_token();
            if is_token || station.does(Duty::Making) {
                self.put_away(station, &draft);
            }
            if is_token {
                handles.push(None);
                committed.push((draft.object, draft.wrapped));
            } else {
                let transient = token.transients.add(self.number(), draft.object, draft.wrapped);
                if station.does(Duty::Keys) {
                    transient.set_place(station, draft.scratch);
                }
                handles.push(Some(transient.handle));
            }
        }
        let mut made = if committed.is_empty() {
            Vec::new()
        } else {
            match token.commit(committed, Some(station.name())) {
                Ok(made) => made,
                Err(error) => {
                    for transient in handles
                        .into_iter()
                        .flatten()
                        .filter_map(|handle| token.transients.remove(handle))
                    {
                        token.destroy_places(&transient);
                    }
                    return Err(error);
                }
            }
        }
        .into_iter();
        Ok(handles.into_iter().filter_map(|handle| handle.or_else(|| made.next())).collect())
    }
}

/// The drafts of a fresh key pair, public key first.
fn drafts_of_pair(
    token: &Token,
    desk: &Desk<'_>,
    station: &Station,
    public: &Template,
    private: &Template,
    pair: Pair,
) -> Answer<Vec<Draft>> {
    let mut public_object = token.new_object(public.clone());
    Token::read_material(desk, pair.public, &mut public_object.template)?;
    let part = public_object.template.filtered(shown::is_public_part);
    let mut draft = draft_of_key(token, desk, station, private, pair.private, Some(part))?;
    // Its rule is for both halves.
    public_object.hold = draft.object.hold;
    draft.object.mate = Some(public_object.id);
    public_object.mate = Some(draft.object.id);
    Ok(vec![Draft { object: public_object, wrapped: None, scratch: desk.spot(pair.public) }, draft])
}

/// A key that is drawn and stays can wait; one of a session is wanted now, and so is what somebody brings.
fn haste(template: &Template, source: Source) -> Haste {
    let waits = source == Source::Drawn && template.is(CKA_TOKEN);
    if waits { Haste::Background } else { Haste::Now }
}

/// How much longer a key is when it is wrapped by RFC 5649, but for what fills it up to eight bytes.
const KWP_BYTES: usize = 8;

/// The draft of a fresh private or secret key that stands on a member; of any other object, which has no secret part.
pub(crate) fn draft_of_key(
    token: &Token,
    desk: &Desk<'_>,
    station: &Station,
    template: &Template,
    handle: Handle,
    public: Option<Template>,
) -> Answer<Draft> {
    let mut object = token.new_object(template.clone());
    Token::read_material(desk, handle, &mut object.template)?;
    if !matches!(object.class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY) {
        object.hold = token.settings.hold_of(&object.template);
        return Ok(Draft { object, wrapped: None, scratch: desk.spot(handle) });
    }
    object.public = public.or_else(|| public_of(&object.template));
    // No work is done on a generator: what is made there must leave it.
    let may_stay = !object.is_token() && station.does(Duty::Keys);
    if may_stay && token.settings.session_objects == SessionObjects::Pinned {
        return Ok(Draft { object, wrapped: None, scratch: desk.spot(handle) });
    }
    let has_ring = station.has_ring_in(desk.life);
    let wrapped = match token.wrap_fresh(desk, station, &mut object, handle) {
        Ok(wrapped) => Some(wrapped),
        Err(_) if may_stay && !has_ring => None,
        // A session object that can't be wrapped may still work where it is; a token object may not be so.
        Err(fault) if may_stay && prove::is_refusal(fault) => None,
        Err(fault) => return Err(fault),
    };
    if let (Some(0), Some(wrapped)) = (object.template.number(CKA_VALUE_LEN), &wrapped) {
        // SoftHSM doesn't say how long a key is that it has unwrapped; RFC 5649 does, to the eight bytes it adds.
        let len = wrapped.len().saturating_sub(KWP_BYTES);
        object.template.set(CKA_VALUE_LEN, u64::try_from(len).unwrap_or(0));
    }
    object.hold = token.settings.hold_of(&object.template);
    if object.is_token() {
        if let (Some(wrapped), Some(under)) = (&wrapped, object.under())
            && point::is_missing(&object)
        {
            let (kek, challenge) = (token.kek_at(desk, station, under)?, token.challenge());
            object.public = Some(point::find(desk, kek, &object, wrapped, &challenge)?);
        }
        token.fingerprint_fresh(desk, &mut object, handle)?;
    }
    Ok(Draft { object, wrapped, scratch: desk.spot(handle) })
}

/// The public part that a private key itself shows: RSA's modulus and exponent are all of it.
fn public_of(template: &Template) -> Option<Template> {
    let (modulus, exponent) = (template.bytes(CKA_MODULUS)?, template.bytes(CKA_PUBLIC_EXPONENT)?);
    (template.key_type() == Some(CKK_RSA) && !modulus.is_empty() && !exponent.is_empty()).then(
        || {
            Template::new()
                .with(CKA_CLASS, CKO_PUBLIC_KEY)
                .with(CKA_KEY_TYPE, CKK_RSA)
                .with(CKA_MODULUS, modulus)
                .with(CKA_PUBLIC_EXPONENT, exponent)
        },
    )
}

impl Token {
    /// Does something on the first member that can make objects. Nothing it does counts before the log says so, so a
    /// member that fails is left and the next one asked. What may wait goes where there is room for it.
    pub(crate) fn on_bench<T>(
        &self,
        template: &Template,
        (duty, haste): (Duty, Haste),
        work: impl Fn(&Arc<Station>) -> Answer<T>,
    ) -> Result<(Arc<Station>, T)> {
        let is_user = self.login.read().is_user();
        // Whoever makes it, somebody must be there to hold it.
        let is_able = |station: &Arc<Station>| self.lacks(station, template).is_none();
        let mut stations =
            if is_user { self.makers_of(template)? } else { self.candidates(Duty::Keys) };
        if duty == Duty::Making {
            stations = self.generators_up()?;
        }
        stations.retain(|station| is_able(station));
        let is_best = |station: &Arc<Station>| self.carries_everywhere(station.name(), template);
        stations.sort_by_key(|station| !is_best(station));
        let mut begun = None;
        if haste == Haste::Background {
            let best = stations.first().map(is_best);
            let equals =
                stations.iter().take_while(|station| Some(is_best(station)) == best).count();
            begun = self.makers.begin(stations.get(..equals).unwrap_or_default());
            stations
                .sort_by_key(|station| !begun.as_ref().is_some_and(|begun| begun.is_on(station)));
        }
        let is_fit = |station: &Arc<Station>| (!is_user || station.is_ready()) && is_able(station);
        let stations = self.in_turn(duty, stations, is_fit);
        let mut inquiry = Inquiry::default();
        let mut last: Option<(String, Fault)> = None;
        for station in stations {
            let _making = begun.take().or_else(|| {
                let waits = haste == Haste::Background;
                waits.then(|| self.makers.begin(std::slice::from_ref(&station))).flatten()
            });
            match self.surely(&station, || work(&station)) {
                Ok(value) => {
                    inquiry.done();
                    return Ok((station, value));
                }
                Err(fault) => {
                    if self.judge(&mut inquiry, &station, fault) == Class::Refused {
                        return Err(fault.into());
                    }
                    last = Some((station.name().to_owned(), fault));
                }
            }
        }
        let last = last.map_or_else(
            || self.nobody(),
            |(name, fault)| {
                Error::new(
                    fault.heard(),
                    format!("no member can make this object; {name} answered {fault}"),
                )
            },
        );
        Err(inquiry.undone(last))
    }
}
