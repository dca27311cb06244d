//! Taking over what members held before Tandem came: found, matched across members by key and never by name, and shown.
//! What can be copied is copied; what only some members hold and can't give away is listed as such.

use crate::data;
use crate::desk::Desk;
use crate::error::Result;
use crate::event::Event;
use crate::fault::{Answer, Call, Class, Fault};
use crate::found::Spot;
use crate::journal::Entry;
use crate::make::kek_for;
use crate::object::{Kek, Object, ObjectId};
use crate::prove::{self, Failure};
use crate::replica::is_hidden;
use crate::report::Progress;
use crate::settings::Duty;
use crate::shown::{self, Origin};
use crate::station::Station;
use crate::token::Token;
use crate::{carry, check};
use std::sync::Arc;
use tandem_values::template::Reading;
use tandem_values::{AttributeType, Handle, Template, ck::*};

/// What was found on one member.
struct Found {
    template: Template,
    public: Option<Template>,
    fingerprint: Option<[u8; 32]>,
    spot: Spot,
}

/// An object found on one or more members.
struct Foundling {
    found: Found,
    on: Vec<(String, Spot)>,
}

/// What adoption came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Adopted {
    /// Objects taken over.
    pub(crate) all: u64,
    /// Of these, the ones that not every member holds.
    pub(crate) partly: u64,
    /// What was taken over.
    pub(crate) ids: Vec<ObjectId>,
}

/// Attributes read of an object that is taken over. What a member doesn't have, or doesn't show, is completed.
const READ: &[AttributeType] = &[
    CKA_CLASS,
    CKA_KEY_TYPE,
    CKA_CERTIFICATE_TYPE,
    CKA_PRIVATE,
    CKA_LABEL,
    CKA_ID,
    CKA_APPLICATION,
    CKA_OBJECT_ID,
    CKA_SUBJECT,
    CKA_ISSUER,
    CKA_SERIAL_NUMBER,
    CKA_START_DATE,
    CKA_END_DATE,
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_SIGN,
    CKA_SIGN_RECOVER,
    CKA_VERIFY,
    CKA_VERIFY_RECOVER,
    CKA_WRAP,
    CKA_UNWRAP,
    CKA_DERIVE,
    CKA_SENSITIVE,
    CKA_EXTRACTABLE,
    CKA_ALWAYS_AUTHENTICATE,
    CKA_ALLOWED_MECHANISMS,
    CKA_MODIFIABLE,
    CKA_COPYABLE,
    CKA_DESTROYABLE,
    CKA_VALUE_LEN,
    CKA_MODULUS,
    CKA_PUBLIC_EXPONENT,
    CKA_EC_PARAMS,
    CKA_EC_POINT,
    CKA_PRIME,
    CKA_SUBPRIME,
    CKA_BASE,
];

impl Token {
    /// Takes over what the members hold and the log doesn't know.
    pub(crate) fn adopt(&self, progress: &dyn Progress) -> Result<Adopted> {
        let all: Vec<_> = self.stations.iter().map(|station| station.name().to_owned()).collect();
        self.adopt_from(&all, progress)
    }

    /// The same of these members only.
    pub(crate) fn adopt_from(&self, names: &[String], progress: &dyn Progress) -> Result<Adopted> {
        let mut foundlings: Vec<Foundling> = Vec::new();
        let is_meant = |station: &&Arc<Station>| {
            station.is_ready()
                && station.does(Duty::Keys)
                && names.iter().any(|name| name == station.name())
        };
        for station in self.stations.iter().filter(is_meant) {
            let lease = station.lease()?;
            let desk = lease.desk();
            let handles = desk.member.find(desk.session, &Template::new().with(CKA_TOKEN, true))?;
            progress.stage(
                &format!("looking at what {} holds", station.name()),
                u64::try_from(handles.len()).unwrap_or(0),
            );
            for handle in handles {
                progress.step();
                if let Some(found) = self.look_at(&desk, handle)? {
                    sort_in(&mut foundlings, station, found);
                }
            }
        }
        let mut strangers = Vec::new();
        for foundling in foundlings {
            if !self.is_known(&foundling.found)? && !self.is_replica(&foundling)? {
                strangers.push(foundling);
            }
        }
        let foundlings = strangers;
        progress.stage("taking over", u64::try_from(foundlings.len()).unwrap_or(0));
        let mut adopted = Adopted::default();
        for foundling in foundlings {
            progress.step();
            let (id, whole) = self.take_over(foundling)?;
            adopted.ids.push(id);
            adopted.all = adopted.all.saturating_add(1);
            adopted.partly = adopted.partly.saturating_add(u64::from(!whole));
        }
        Ok(adopted)
    }

    /// Reads an object and learns how it is known again. `None` for what is hidden, or is no object of storage.
    fn look_at(&self, desk: &Desk<'_>, handle: Handle) -> Answer<Option<Found>> {
        if is_hidden(desk, handle)? {
            return Ok(None);
        }
        let readings = desk.member.read(desk.session, handle, READ)?;
        let mut template: Template = READ
            .iter()
            .zip(readings)
            .filter_map(|(kind, reading)| match reading {
                Reading::Value(value) => Some(tandem_values::Attribute { kind: *kind, value }),
                Reading::Sensitive | Reading::Invalid => None,
            })
            .collect();
        let class = template.class().unwrap_or(CK_UNAVAILABLE_INFORMATION);
        if (matches!(class, CKO_DATA | CKO_CERTIFICATE)
            || (class == CKO_PUBLIC_KEY && matches!(template.key_type(), Some(CKK_DSA | CKK_DH))))
            && let Some(Reading::Value(value)) =
                desk.member.read(desk.session, handle, &[CKA_VALUE])?.into_iter().next()
        {
            template.set(CKA_VALUE, value);
        }
        if !matches!(
            class,
            CKO_DATA | CKO_CERTIFICATE | CKO_PUBLIC_KEY | CKO_PRIVATE_KEY | CKO_SECRET_KEY
        ) {
            return Ok(None);
        }
        template.set(CKA_TOKEN, true);
        shown::complete(&mut template, Origin::Imported);
        let mut found =
            Found { template, public: None, fingerprint: None, spot: desk.spot(handle) };
        match class {
            CKO_PRIVATE_KEY => found.public = self.public_half(desk, handle, &found.template)?,
            CKO_SECRET_KEY => {
                found.fingerprint = self.found_fingerprint(desk, handle, &found.template);
            }
            _ => {}
        }
        Ok(Some(found))
    }

    /// The public key of a private one: the one on the same member under which its signature verifies.
    fn public_half(
        &self,
        desk: &Desk<'_>,
        handle: Handle,
        private: &Template,
    ) -> Answer<Option<Template>> {
        let Some(key_type) = private.key_type() else { return Ok(None) };
        if key_type == CKK_RSA && private.has(CKA_MODULUS) && private.has(CKA_PUBLIC_EXPONENT) {
            let public = private
                .filtered(|kind| matches!(kind, CKA_KEY_TYPE | CKA_MODULUS | CKA_PUBLIC_EXPONENT));
            return Ok(Some(public.with(CKA_CLASS, CKO_PUBLIC_KEY)));
        }
        let Some(method) = prove::private_method(private) else { return Ok(None) };
        let wanted = Template::new().with(CKA_CLASS, CKO_PUBLIC_KEY).with(CKA_KEY_TYPE, key_type);
        let mut candidates = desk.member.find(desk.session, &wanted)?;
        // The one with the same id is tried first; the proof decides.
        let id = private.bytes(CKA_ID).unwrap_or_default();
        let same_id = desk.member.find(desk.session, &wanted.clone().with(CKA_ID, id))?;
        candidates.retain(|candidate| !same_id.contains(candidate));
        for candidate in same_id.into_iter().chain(candidates) {
            let mut public = wanted.clone();
            Self::read_material(desk, candidate, &mut public)?;
            let public = public.filtered(shown::is_public_part);
            if self.prove_signing((desk, desk), handle, &method, &public).is_ok() {
                return Ok(Some(public));
            }
        }
        Ok(None)
    }

    fn found_fingerprint(
        &self,
        desk: &Desk<'_>,
        handle: Handle,
        template: &Template,
    ) -> Option<[u8; 32]> {
        let method = prove::secret_method(
            template.key_type()?,
            template.number(CKA_VALUE_LEN).unwrap_or(0),
        )?;
        let seal = self.seal().ok()?;
        let may = method.usage.iter().all(|kind| template.is(*kind));
        may.then(|| prove::fingerprint(desk, handle, &method, &seal).ok()).flatten()
    }

    /// True if the catalogue has this object already.
    fn is_known(&self, found: &Found) -> Result<bool> {
        let class = found.template.class().unwrap_or_default();
        Ok(self.shelf.find(&name_of(found))?.iter().any(|entry| {
            let object = &entry.object;
            match class {
                CKO_PRIVATE_KEY => {
                    object.public.as_ref().map(key_part) == found.public.as_ref().map(key_part)
                }
                CKO_SECRET_KEY => object.fingerprint == found.fingerprint,
                _ => {
                    same_content(&object.template, &found.template) || object.kek == Some(Kek::Data)
                }
            }
        }))
    }

    /// True if it proves itself as an object of the catalogue, though its module doesn't show it as such: SoftHSM doesn't tell
    /// the length of a key that it has unwrapped.
    fn is_replica(&self, foundling: &Foundling) -> Result<bool> {
        let namesakes = self.shelf.find(&name_of(&foundling.found))?;
        for (name, spot) in foundling.on.iter().filter(|_| !namesakes.is_empty()) {
            let Some(station) = self.station(name) else { continue };
            let lease = station.lease()?;
            let Some(handle) = spot.within(lease.life()) else { continue };
            for entry in &namesakes {
                match self.prove_in_place(&lease.desk(), handle, &entry.object) {
                    Ok(()) => return Ok(true),
                    Err(Failure::Fault(fault)) if !prove::is_refusal(fault) => {
                        return Err(fault.into());
                    }
                    Err(_) => {}
                }
            }
        }
        Ok(false)
    }

    /// Takes one object into the log. True if every member has it, or will.
    fn take_over(&self, foundling: Foundling) -> Result<(ObjectId, bool)> {
        let Foundling { found, on } = foundling;
        let mut object = self.new_object(found.template);
        (object.public, object.fingerprint) = (found.public, found.fingerprint);
        let names: Vec<_> = on.iter().map(|(name, _)| name.clone()).collect();
        object.found_on = Some(names.clone());
        let wrapped = match object.class() {
            CKO_PRIVATE_KEY | CKO_SECRET_KEY => self.wrap_found(&mut object, &on)?,
            _ => self.hide_value(&mut object)?,
        };
        let copied =
            !matches!(object.class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY) || wrapped.is_some();
        if !copied {
            object.holders = Some(names.clone());
        }
        let whole = copied || on.len() == self.keepers().count();
        if !whole {
            log::warn!(
                "object {} ({:?}) is on {} only and can't be copied: it is used there, and lost with that member",
                object.id,
                object.template.bytes(CKA_LABEL).map(String::from_utf8_lossy).unwrap_or_default(),
                names.join(", ")
            );
        }
        // Where it stands already it is its own replica, and nothing is made beside it.
        for (name, spot) in &on {
            if let Some(station) = self.station(name) {
                station.set_replica(spot.life, object.id, spot.handle);
            }
        }
        let id = object.id;
        let entry = Entry { event: Event::Created(Box::new(object)), wrapped };
        self.append_all(vec![entry], Vec::new())?;
        self.shelf.refresh()?;
        Ok((id, whole))
    }

    /// Wraps a key that its member lets go.
    fn wrap_found(&self, object: &mut Object, on: &[(String, Spot)]) -> Result<Option<Vec<u8>>> {
        let provable = object.public.is_some() || object.fingerprint.is_some();
        if !object.template.is(CKA_EXTRACTABLE) || !provable {
            return Ok(None);
        }
        for (name, spot) in on {
            let Some(station) = self.station(name) else { continue };
            let lease = station.lease()?;
            let Some(handle) = spot.within(lease.life()) else {
                return Err(Fault::new(Call::Find, CKR_OBJECT_HANDLE_INVALID).into());
            };
            if lease.ring().is_err() {
                continue;
            }
            let (under, kek) =
                match self.newest_at(&lease.desk(), station, kek_for(&object.template)) {
                    Ok(newest) => newest,
                    // It was away for a rotation.
                    Err(fault) if fault.class == Class::Unable => continue,
                    Err(fault) => return Err(fault.into()),
                };
            let odd = object.template.number(CKA_VALUE_LEN).is_some_and(|len| len % 8 != 0);
            if odd && station.member.quirks().wraps_multiples_of_eight {
                continue;
            }
            match carry::wrap(&lease.desk(), kek, handle) {
                Ok(wrapped) => {
                    object.set_under(Some(under));
                    return Ok(Some(wrapped));
                }
                Err(fault) if prove::is_refusal(fault) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(None)
    }

    /// Takes the value of a private object that is no key out of what is shown, and seals it for the log.
    pub(crate) fn hide_value(&self, object: &mut Object) -> Result<Option<Vec<u8>>> {
        if !object.is_private() || !matches!(object.class(), CKO_DATA | CKO_CERTIFICATE) {
            return Ok(None);
        }
        let Some(value) = object.template.bytes(CKA_VALUE).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        let mut nonce = [0; 12];
        self.entropy.fill(&mut nonce);
        let (under, sealed) = self.on_makers(|lease| {
            let (under, key) = self.newest_at(&lease.desk(), lease.station(), Kek::Data)?;
            Ok((under, data::seal(&lease.desk(), key, object.id, &nonce, &value)?))
        })?;
        object.fingerprint = Some(self.seal()?.fingerprint(&value));
        object.template.remove(CKA_VALUE);
        object.set_under(Some(under));
        Ok(Some(sealed))
    }
}

/// The name of what was found: class, id and label.
fn name_of(found: &Found) -> Template {
    found.template.filtered(|kind| matches!(kind, CKA_CLASS | CKA_ID | CKA_LABEL))
}

/// Puts an object with the same one from another member, if it is there, or by itself.
fn sort_in(foundlings: &mut Vec<Foundling>, station: &Arc<Station>, found: Found) {
    let place = (station.name().to_owned(), found.spot);
    let same = foundlings.iter_mut().find(|other| {
        !other.on.iter().any(|(name, _)| name == station.name()) && is_same(&other.found, &found)
    });
    match same {
        Some(other) => other.on.push(place),
        None => foundlings.push(Foundling { on: vec![place], found }),
    }
}

/// The same key: by what proves it, never by id or label alone.
fn is_same(one: &Found, other: &Found) -> bool {
    if one.template.class() != other.template.class()
        || one.template.bytes(CKA_ID) != other.template.bytes(CKA_ID)
    {
        return false;
    }
    match one.template.class() {
        Some(CKO_PRIVATE_KEY) => match (&one.public, &other.public) {
            (Some(one), Some(other)) => key_part(one) == key_part(other),
            _ => false,
        },
        Some(CKO_SECRET_KEY) => one.fingerprint.is_some() && one.fingerprint == other.fingerprint,
        _ => same_content(&one.template, &other.template),
    }
}

/// What makes a public key the key it is, with the padding of integers taken off.
fn key_part(public: &Template) -> Vec<(u64, Vec<u8>)> {
    [CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_EC_POINT, CKA_VALUE, CKA_PRIME, CKA_BASE]
        .into_iter()
        .filter_map(|kind| {
            let bytes = public.bytes(kind)?;
            let trimmed = bytes
                .iter()
                .skip_while(|byte| kind != CKA_EC_POINT && **byte == 0)
                .copied()
                .collect();
            Some((kind, trimmed))
        })
        .collect()
}

fn same_content(one: &Template, other: &Template) -> bool {
    let content = |template: &Template| {
        template.filtered(|kind| {
            check::is_known(kind)
                && matches!(
                    kind,
                    CKA_LABEL
                        | CKA_ID
                        | CKA_VALUE
                        | CKA_APPLICATION
                        | CKA_OBJECT_ID
                        | CKA_KEY_TYPE
                        | CKA_CERTIFICATE_TYPE
                )
        })
    };
    let (one, other) =
        (content(one).with(0, key_bytes(one)), content(other).with(0, key_bytes(other)));
    one.len() == other.len() && one.matches(&other)
}

fn key_bytes(template: &Template) -> Vec<u8> {
    key_part(template).into_iter().flat_map(|(_, bytes)| bytes).collect()
}
