//! Bringing back some objects from a backup, into a token that lives. What is there stays as it is; what was destroyed comes
//! back only when it is asked for by name, and then as another object: a tombstone is for ever.

use super::choice::Choice;
use super::source::{Source, Sources};
use crate::data;
use crate::error::{Error, Result};
use crate::event::{Event, Record};
use crate::fault::{Call, Fault};
use crate::journal::Entry;
use crate::object::{Kek, Object, ObjectId, Wrapped};
use crate::pair::{self, Bench};
use crate::report::Progress;
use crate::ring::{Generation, Ring, RingKey};
use crate::token::Token;
use std::collections::{BTreeMap, BTreeSet};
use tandem_values::{Secret, Template, ck::*};

/// What bringing objects back came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picked {
    /// Objects that are back, by the identity that they have now.
    pub restored: Vec<ObjectId>,
    /// Objects that were there all the time.
    pub present: Vec<ObjectId>,
    /// Objects that did not come back, with the reason.
    pub left: Vec<(ObjectId, String)>,
}

/// An object as a backup has it.
struct Kept {
    /// Its last form while it lived.
    object: Object,
    /// It was destroyed before the backup ended.
    destroyed: bool,
    /// Its secret part.
    wrapped: Option<Vec<u8>>,
}

/// What opens a bundle under keys that no member holds any more.
struct Opener<'a> {
    /// The ring, as bundles tell of it.
    rings: Vec<&'a Ring>,
    shares: &'a [Secret],
}

impl Opener<'_> {
    /// The ring as it tells of these keys, and as the shares open it.
    fn told(&self, generation: Generation) -> Result<&Ring> {
        let knows = |ring: &&&Ring| ring.entry(RingKey::Open, generation).is_some();
        for ring in self.rings.iter().filter(knows) {
            if !self.shares.is_empty() && pair::opens(ring, self.shares)? {
                return Ok(ring);
            }
        }
        let recovery = self.rings.last().and_then(|ring| ring.recovery.as_ref());
        let message = format!(
            "it is under {generation}, which was rotated out, and only shares that open the backup open it: name those of set {} with \
             --shares DIR",
            recovery.map_or(0, |recovery| recovery.set)
        );
        Err(Error::new(CKR_ARGUMENTS_BAD, message))
    }
}

/// What becomes of an object of the backup.
enum Fate {
    /// It is there.
    Present,
    /// It is there, and its wrapped key is gone from the log.
    Bare,
    /// It comes back as it was.
    Back,
    /// It comes back as another object.
    Anew,
    /// It was destroyed, and nobody asked for it by name.
    Dead,
}

impl Token {
    /// Brings back objects from bundles: those that are chosen, or, without a choice, all that the token never had. Needs a
    /// login, and shares for what is under keys of the ring that were rotated out. Every key is proven before it is taken in, and on
    /// every member after.
    pub fn pick(
        &self,
        bundles: &[&dyn Source],
        chosen: Option<&[Choice]>,
        shares: &[Secret],
        progress: &dyn Progress,
    ) -> Result<Picked> {
        self.shelf.refresh()?;
        let sources = Sources::of(bundles)?;
        self.is_ours(sources.first()?)?;
        progress.stage("reading the backup", 0);
        let mut kept = self.kept(&sources)?;
        self.name_claimed(&mut kept)?;
        choose(&mut kept, chosen)?;
        self.fetch(&sources, &mut kept)?;
        progress.stage("bringing keys back", u64::try_from(kept.len()).unwrap_or(0));
        let opener = Opener { rings: sources.rings(), shares };
        self.take_back(kept, (chosen.is_some(), &opener), progress)
    }

    /// Every object of the backup, without its secret part.
    fn kept(&self, sources: &Sources<'_>) -> Result<BTreeMap<ObjectId, Kept>> {
        let mut kept: BTreeMap<ObjectId, Kept> = BTreeMap::new();
        sources.each(&self.seal()?, &mut |record| {
            let Some(event) = record.event() else { return Ok(()) };
            let Some(id) = event.about() else { return Ok(()) };
            let before = kept.get(&id).map(|kept| kept.object.clone());
            match event.fold(before, record.position) {
                Some(object) => {
                    kept.insert(id, Kept { object, destroyed: false, wrapped: None });
                }
                None => {
                    kept.entry(id).and_modify(|kept| kept.destroyed = true);
                }
            }
            Ok(())
        })?;
        Ok(kept)
    }

    /// What was in stock when the backup was made comes back as what it was claimed as since. Where the log tells of no claim, who
    /// knows whether there was one?
    fn name_claimed(&self, kept: &mut BTreeMap<ObjectId, Kept>) -> Result {
        let seal = self.seal()?;
        for (id, kept) in kept.iter_mut().filter(|(_, kept)| kept.object.is_in_stock()) {
            for position in self.store.mentions(Some(*id), kept.object.born)? {
                let record = self.journal.sound(&seal, position)?;
                if let Some(claim) = record.and_then(|record| record.event_of_claim())
                    && claim.about() == Some(*id)
                    && let Some(claimed) = claim.fold(Some(kept.object.clone()), position)
                {
                    kept.object = claimed;
                }
            }
        }
        kept.retain(|_, kept| !kept.object.is_in_stock());
        Ok(())
    }

    /// Reads the secret parts of what was chosen.
    fn fetch(&self, sources: &Sources<'_>, kept: &mut BTreeMap<ObjectId, Kept>) -> Result {
        sources.each(&self.seal()?, &mut |record: Record| {
            let about = record.event().and_then(|event| event.about());
            if let Some(kept) = about.and_then(|id| kept.get_mut(&id))
                && kept.object.wrapped_at() == record.position
            {
                kept.wrapped = record.wrapped;
            }
            Ok(())
        })
    }

    fn take_back(
        &self,
        kept: BTreeMap<ObjectId, Kept>,
        (by_name, opener): (bool, &Opener<'_>),
        progress: &dyn Progress,
    ) -> Result<Picked> {
        let mut picked = Picked::default();
        let anew: BTreeMap<ObjectId, ObjectId> =
            kept.keys().map(|id| (*id, self.new_object_id())).collect();
        let mut entries = Vec::new();
        for (id, mut kept) in kept {
            progress.step();
            let fate = self.fate(&kept, by_name)?;
            let comes = !matches!(fate, Fate::Present | Fate::Dead);
            if comes && let Err(error) = self.unseal(&mut kept, opener) {
                picked.left.push((id, error.to_string()));
                continue;
            }
            let object = match fate {
                Fate::Present => {
                    picked.present.push(id);
                    continue;
                }
                Fate::Bare => {
                    match self.entry_of(&kept, kept.object.clone()) {
                        Ok(entry) => entries.push(put_back(id, entry)),
                        Err(error) => picked.left.push((id, error.to_string())),
                    }
                    continue;
                }
                Fate::Dead => {
                    picked.left.push((id, "it was destroyed; ask for it by name".into()));
                    continue;
                }
                Fate::Back => kept.object.clone(),
                Fate::Anew => renamed(&kept.object, &anew),
            };
            match self.entry_of(&kept, object) {
                Ok(entry) => entries.push(entry),
                Err(error) => picked.left.push((id, error.to_string())),
            }
        }
        picked.restored = entries.iter().filter_map(|entry| entry.event.about()).collect();
        if !entries.is_empty() {
            self.append_all(entries, Vec::new())?;
            self.shelf.refresh()?;
            for (member, exception) in self.catch_up() {
                picked.left.push((exception.id, format!("member {member}: {}", exception.failure)));
            }
        }
        Ok(picked)
    }

    /// Wraps what is under keys that were rotated out under those in force, by shares that open the bundle.
    fn unseal(&self, kept: &mut Kept, opener: &Opener<'_>) -> Result {
        let (Some(bytes), Some(under)) = (&kept.wrapped, kept.object.under()) else {
            return Ok(());
        };
        if !self.is_rotated_out(Some(under.generation)) {
            return Ok(());
        }
        let told = opener.told(under.generation)?;
        let wrapped = Wrapped { under, bytes: bytes.clone() };
        let mut nonce = [0; 12];
        self.entropy.fill(&mut nonce);
        let (generation, bytes) = self.on_makers_of(&kept.object.template, |lease| {
            let keks = self.newest_keks_at(&lease.desk(), lease.station())?;
            let is_it = |generation| generation == under.generation;
            let bench = Bench::open(&lease.desk(), keks, told, opener.shares, is_it)
                .map_err(|error| Fault::new(Call::Unwrap, error.rv.0))?;
            Ok((keks.generation, bench.rewrap(&kept.object, &wrapped, &nonce)?))
        })?;
        kept.object.generation = generation;
        kept.wrapped = Some(bytes);
        Ok(())
    }

    fn fate(&self, kept: &Kept, by_name: bool) -> Result<Fate> {
        let id = kept.object.id;
        Ok(match (self.shelf.by_id(id)?.is_some(), self.store.row(id)?) {
            (true, _) if self.is_bare(id)? => Fate::Bare,
            (true, _) => Fate::Present,
            (false, None) if !kept.destroyed => Fate::Back,
            // The row of what was destroyed stays for its handle, which is never used again.
            (false, _) if by_name => Fate::Anew,
            (false, _) => Fate::Dead,
        })
    }

    /// True if the log has lost an object's wrapped key.
    fn is_bare(&self, id: ObjectId) -> Result<bool> {
        Ok(self.shelf.by_id(id)?.is_some_and(|entry| {
            entry.object.kek.is_some() && self.wrapped(&entry.object).is_err()
        }))
    }

    /// The event that brings an object back, once its secret part has been proven.
    fn entry_of(&self, kept: &Kept, mut object: Object) -> Result<Entry> {
        (object.born, object.found_on, object.rewrapped) = (0, None, None);
        let has_secret =
            matches!(object.class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY) || object.kek.is_some();
        let wrapped = match (&kept.wrapped, has_secret) {
            (_, false) => None,
            (None, true) => {
                return Err(Error::new(
                    CKR_KEY_UNEXTRACTABLE,
                    "its key material is not in the backup: it had been destroyed, or could not be copied",
                ));
            }
            (Some(wrapped), true) => {
                self.prove_record(&kept.object, wrapped)?
                    .map_err(|failure| Error::new(CKR_DATA_INVALID, failure.to_string()))?;
                Some(self.bound_to(&kept.object, &mut object, wrapped)?)
            }
        };
        Ok(Entry { event: Event::Created(Box::new(object)), wrapped })
    }

    /// Wrapped bytes for an object's new identity: private values are bound to the old one.
    fn bound_to(&self, old: &Object, new: &mut Object, wrapped: &[u8]) -> Result<Vec<u8>> {
        let (Some(under), true) = (old.under(), old.kek == Some(Kek::Data) && old.id != new.id)
        else {
            return Ok(wrapped.to_vec());
        };
        let mut nonce = [0; 12];
        self.entropy.fill(&mut nonce);
        let (under, sealed) = self.on_makers(|lease| {
            let (desk, station) = (lease.desk(), lease.station());
            let value = data::open(&desk, self.kek_at(&desk, station, under)?, old.id, wrapped)?;
            let (under, key) = self.newest_at(&desk, station, Kek::Data)?;
            Ok((under, data::seal(&desk, key, new.id, &nonce, &value)?))
        })?;
        new.set_under(Some(under));
        Ok(sealed)
    }
}

/// The event that puts a wrapped key back into the log.
fn put_back(id: ObjectId, entry: Entry) -> Entry {
    let Event::Created(object) = entry.event else { return entry };
    let Object { kek, generation, .. } = *object;
    let template = Template::new();
    let event = Event::Changed { id, template, kek, fingerprint: None, generation };
    Entry { event, wrapped: entry.wrapped }
}

/// The same object under another identity, and its other half with it.
fn renamed(object: &Object, anew: &BTreeMap<ObjectId, ObjectId>) -> Object {
    let name = |id: ObjectId| anew.get(&id).copied();
    let id = name(object.id).unwrap_or(object.id);
    Object { id, mate: object.mate.and_then(name), ..object.clone() }
}

/// Keeps what was chosen, with the other halves of key pairs. Without a choice all of it is meant.
fn choose(kept: &mut BTreeMap<ObjectId, Kept>, chosen: Option<&[Choice]>) -> Result {
    let Some(choices) = chosen else { return Ok(()) };
    let mut wanted = BTreeSet::new();
    for choice in choices {
        let before = wanted.len();
        for kept in kept.values().filter(|kept| choice.means(&kept.object)) {
            wanted.insert(kept.object.id);
            wanted.extend(kept.object.mate);
        }
        if wanted.len() == before {
            let message = format!("nothing in the backup is {choice}");
            return Err(Error::new(CKR_ARGUMENTS_BAD, message));
        }
    }
    kept.retain(|id, _| wanted.contains(id));
    Ok(())
}
