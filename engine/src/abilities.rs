//! What the virtual token can do: what all its members can, or what any of them can, as the operator wants it; remembered, so
//! that it stays the same while members come and go.

use crate::check;
use crate::error::Result;
use crate::fault::Answer;
use crate::log::{StoreError, Stored};
use crate::settings::{Duty, Offer};
use crate::station::Station;
use crate::token::{Token, note};
use minicbor::{Decode, Encode};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_values::info::MechanismInfo;
use tandem_values::{MechanismType, Template, ck::*, mechanism};

/// Mechanisms and what is said of them.
pub(crate) type Mechanisms = BTreeMap<u64, MechanismInfo>;

/// Why notes could not be read, if any could not.
#[derive(Default)]
pub(crate) struct Unread(Option<StoreError>);

impl Unread {
    /// What was read; what could not be is remembered.
    pub(crate) fn except<T>(&mut self, read: Stored<T>) -> Option<T> {
        read.map_err(|error| self.0 = Some(error)).ok()
    }

    fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }
}

/// As of when what is made of members' notes was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The numbers of the notes, and of what the log tells of members.
    Noted(u64, u64),
    /// When the shelf was last brought up, where notes can't be asked for their number.
    Shelf(u64),
}

/// What is made of members' notes, as of when the shelf was last brought up: whoever uses keys does that each time.
pub(crate) struct AsSeen<T>(Mutex<Option<Seen<T>>>);

/// What was made, of the notes of a moment, and the number of the shelf then: while it has that one nothing more is noted.
struct Seen<T> {
    shelf: u64,
    moment: Moment,
    made: Arc<T>,
}

impl<T> Default for AsSeen<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> AsSeen<T> {
    /// What it is now. What was known before the store went away still is.
    pub(crate) fn as_of(&self, token: &Token, make: impl FnOnce() -> (T, Unread)) -> Arc<T> {
        // Before the notes are asked for their number: what comes between is seen the next time.
        let shelf = token.shelf.seen();
        let moment = token.moment();
        if let Some(seen) = &mut *self.0.lock()
            && seen.moment == moment
        {
            seen.shelf = shelf;
            return Arc::clone(&seen.made);
        }
        let (made, unread) = make();
        let made = Arc::new(made);
        let mut known = self.0.lock();
        match (unread.0, known.as_ref()) {
            // What was noted meanwhile may or may not have been read.
            (None, _) if token.moment() != moment => {}
            (None, _) => *known = Some(Seen { shelf, moment, made: Arc::clone(&made) }),
            (Some(error), before) => {
                log::warn!("token {}: {error}", token.settings.label);
                if let Some(before) = before {
                    return Arc::clone(&before.made);
                }
            }
        }
        made
    }

    /// What it is if the shelf, which was brought up just now, is as it was when this was made. No file is asked for that.
    fn while_shelf_is(&self, seen: u64) -> Option<Arc<T>> {
        let known = self.0.lock();
        known.as_ref().filter(|known| known.shelf == seen).map(|known| Arc::clone(&known.made))
    }
}

/// What a member can do, as it last said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Abilities {
    #[n(0)]
    mechanisms: BTreeMap<u64, MechanismInfo>,
    #[n(1)]
    pin_len_min: u64,
    #[n(2)]
    pin_len_max: u64,
    /// What it listed and whose it was, by which it is seen that nothing has changed.
    #[n(3)]
    told: Told,
}

/// The mechanisms that a member lists, and who says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Told {
    #[n(0)]
    listed: Vec<u64>,
    /// The library's, the hardware's and the firmware's, each major and minor.
    #[n(1)]
    versions: [(u8, u8); 3],
    /// The token's manufacturer, model and serial number.
    #[n(2)]
    token: [String; 3],
    /// How this program read it: [`READING`].
    #[n(3)]
    reading: u8,
}

/// Another number whenever what a module says of a mechanism is read otherwise, so that it is asked again.
const READING: u8 = 2;

/// Flags that say what a mechanism does, as against how it does it.
const FUNCTIONS: u64 = CKF_ENCRYPT
    | CKF_DECRYPT
    | CKF_DIGEST
    | CKF_SIGN
    | CKF_SIGN_RECOVER
    | CKF_VERIFY
    | CKF_VERIFY_RECOVER
    | CKF_GENERATE
    | CKF_GENERATE_KEY_PAIR
    | CKF_WRAP
    | CKF_UNWRAP
    | CKF_DERIVE
    | CKF_MESSAGE_ENCRYPT
    | CKF_MESSAGE_DECRYPT
    | CKF_MESSAGE_SIGN
    | CKF_MESSAGE_VERIFY
    | CKF_ENCAPSULATE
    | CKF_DECAPSULATE;

/// Flags of what makes keys.
const MAKES: u64 = CKF_GENERATE | CKF_GENERATE_KEY_PAIR;

impl Token {
    /// Asks a member what it can do and remembers it. A token that lists what it did before, in the versions of before,
    /// is not asked about each mechanism again.
    pub(crate) fn note_abilities(&self, station: &Station) {
        let noted = self.noted(station);
        let asked = ask(station, noted.as_ref());
        // What it said before may have changed since.
        station.abilities_unasked.store(asked.is_err(), Ordering::Relaxed);
        let Ok(abilities) = asked else { return };
        if noted.as_ref() == Some(&abilities) {
            return;
        }
        let name = note::member(station.name(), note::ABILITIES);
        let Ok(bytes) = minicbor::to_vec(&abilities) else { return };
        if let Err(error) = self.store.set_note(&name, Some(&bytes)) {
            log::warn!(
                "token {}: what member {} can do is not noted: {error}",
                self.settings.label,
                station.name()
            );
        }
    }

    fn noted(&self, station: &Station) -> Option<Abilities> {
        let bytes = self.store.note(&note::member(station.name(), note::ABILITIES)).ok()??;
        minicbor::decode(&bytes).ok()
    }

    /// Shortest and longest PIN of a member in bytes, as it last said.
    pub(crate) fn noted_pin_lengths(&self, station: &Station) -> Option<(u64, u64)> {
        self.noted(station).map(|abilities| (abilities.pin_len_min, abilities.pin_len_max))
    }

    fn moment(&self) -> Moment {
        self.store.noted().map_or_else(
            || Moment::Shelf(self.shelf.seen()),
            |noted| Moment::Noted(noted, self.shelf.told().0),
        )
    }

    /// What the token offers. A member that never answered limits nothing yet, and adds nothing.
    pub(crate) fn offered(&self) -> Arc<Mechanisms> {
        self.offered.as_of(self, || {
            // Members may have come and gone since, and with them what is noted.
            self.heed_roster();
            self.combine()
        })
    }

    /// What the token can do, and why some of it can't be read: what the members can do that hold keys, and make such keys as the
    /// generators can where there are any, and can bring to the others.
    fn combine(&self) -> (Mechanisms, Unread) {
        let (common, unread) = self.combined(self.keepers());
        if self.duty_to_make() == Duty::Keys {
            return (common, unread);
        }
        let (made, unread_too) = self.combined(self.generators());
        if made.is_empty() {
            // None of them has answered yet.
            return (common, unread.or(unread_too));
        }
        let (own, mut all): (Mechanisms, _) =
            common.into_iter().partition(|(_, info)| info.flags & MAKES != 0);
        let carried = |kind: &u64| self.can_be_carried(&made_by(*kind), Duty::Making).is_ok();
        let made = made.into_iter().filter(|(kind, info)| info.flags & MAKES != 0 && carried(kind));
        // A member that makes such keys itself says how long they may be to be held there.
        all.extend(
            made.map(|(kind, info)| {
                (kind, own.get(&kind).map_or(info, |own| narrower(own, &info)))
            }),
        );
        (all, unread.or(unread_too))
    }

    /// What all of these can do whose notes can be read, or any of them, and why some can't be read.
    fn combined<'a>(
        &self,
        stations: impl Iterator<Item = &'a Arc<Station>>,
    ) -> (Mechanisms, Unread) {
        let mut unread = Unread::default();
        let members: Vec<_> =
            stations.filter_map(|station| unread.except(self.noted_mechanisms(station))?).collect();
        let with = match self.settings.mechanisms {
            Offer::Common => intersection,
            Offer::Any => union,
        };
        let mut all =
            members.into_iter().reduce(|all, member| with(all, &member)).unwrap_or_default();
        all.retain(|kind, info| mechanism::layout(*kind).is_some() && info.flags & FUNCTIONS != 0);
        (all, unread)
    }

    /// The mechanisms of a member, as it last said; `None` if it never did.
    pub(crate) fn noted_mechanisms(&self, station: &Station) -> Stored<Option<Mechanisms>> {
        let noted = self.store.note(&note::member(station.name(), note::ABILITIES))?;
        let noted = noted.and_then(|bytes| minicbor::decode::<Abilities>(&bytes).ok());
        Ok(noted.map(|abilities| abilities.mechanisms))
    }

    /// The mechanisms that the token offers.
    pub fn mechanisms(&self) -> Vec<MechanismType> {
        // Where the store can't be read what was known of it stands.
        let _ = self.shelf.refresh();
        self.offered().keys().copied().collect()
    }

    /// One of them, with the narrower key sizes. CKR_MECHANISM_INVALID if it is none of them.
    pub fn mechanism(&self, kind: MechanismType) -> Result<MechanismInfo> {
        // Where the store can't be read what was known of it stands.
        let _ = self.shelf.refresh();
        self.mechanism_as_seen(kind)
    }

    /// CKR_MECHANISM_INVALID if the token doesn't offer a mechanism. What it offered a moment ago it is taken to offer: who then does the
    /// work finds out.
    pub(crate) fn check_offered(&self, kind: MechanismType) -> Result {
        self.mechanism_as_seen(kind).or_else(|_| self.mechanism(kind)).map(drop)
    }

    /// One of them as of when the shelf was last brought up.
    pub(crate) fn mechanism_as_seen(&self, kind: MechanismType) -> Result<MechanismInfo> {
        let as_seen = self.offered.while_shelf_is(self.shelf.seen());
        let offered = as_seen.unwrap_or_else(|| self.offered());
        offered.get(&kind).copied().ok_or_else(|| CKR_MECHANISM_INVALID.into())
    }
}

/// What a member can do, of which this much is known.
fn ask(station: &Station, noted: Option<&Abilities>) -> Answer<Abilities> {
    let member = &station.member;
    let (library, token) = (member.library()?, member.token()?);
    let versions = [library.version, token.hardware_version, token.firmware_version];
    let who = [token.manufacturer, token.model, token.serial];
    let told = Told { listed: member.mechanism_list()?, versions, token: who, reading: READING };
    let mechanisms = match noted {
        Some(noted) if noted.told == told => noted.mechanisms.clone(),
        _ => member.mechanisms()?.into_iter().collect(),
    };
    let (pin_len_min, pin_len_max) = (token.pin_len_min, token.pin_len_max);
    Ok(Abilities { mechanisms, pin_len_min, pin_len_max, told })
}

/// A token key as a mechanism makes it, as far as that tells.
fn made_by(kind: u64) -> Template {
    let key = Template::new().with(CKA_TOKEN, true);
    match check::generated(kind) {
        Some((class, key_type)) => key.with(CKA_CLASS, class).with(CKA_KEY_TYPE, key_type),
        None => key,
    }
}

/// What both can do.
fn intersection(a: Mechanisms, b: &Mechanisms) -> Mechanisms {
    let both = |(kind, a): (u64, MechanismInfo)| Some((kind, narrower(&a, b.get(&kind)?)));
    a.into_iter().filter_map(both).collect()
}

/// What either can do. Of a key that both have a mechanism for nobody says on which it will be: its size is one that both take.
fn union(mut a: Mechanisms, b: &Mechanisms) -> Mechanisms {
    for (kind, b) in b {
        let info = a.get(kind).map_or(*b, |a| {
            let narrower = narrower(a, b);
            MechanismInfo { flags: narrower.flags | ((a.flags | b.flags) & FUNCTIONS), ..narrower }
        });
        a.insert(*kind, info);
    }
    a
}

fn narrower(a: &MechanismInfo, b: &MechanismInfo) -> MechanismInfo {
    // Zero is "no limit said".
    let smaller = |a: u64, b: u64| match (a, b) {
        (0, other) | (other, 0) => other,
        _ => a.min(b),
    };
    let flags = a.flags & b.flags;
    MechanismInfo {
        key_size_min: a.key_size_min.max(b.key_size_min),
        key_size_max: smaller(a.key_size_max, b.key_size_max),
        // It is done in hardware only if all do it there; the virtual token can't say which member will.
        flags,
    }
}
