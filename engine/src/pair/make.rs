//! Making a ring on every member.

use super::at::{At, wrong};
use super::chance::Chance;
use super::find::{self, RingId};
use super::install::{Parcel, install};
use super::scratch::Scratch;
use super::{recipe, recovery, transport, trial};
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::ports::Entropy;
use crate::report::Progress;
use crate::ring::{Generation, Ring, RingEntry, RingHandles, RingKey};
use crate::settings::RecoverySettings;
use crate::shares::Share;
use tandem_values::Handle;
use tandem_values::ck::CKR_ARGUMENTS_BAD;

/// What a pairing is to make.
pub struct Pairing<'a> {
    /// The identity of the ring to make ([`new_id`]). Whoever pairs notes it first, so that what an interrupted pairing
    /// leaves behind is known as its own ([`super::tidy`]).
    pub id: RingId,
    /// How the recovery is split; `None` makes none, and then a locked ring never travels again.
    pub recovery: Option<&'a RecoverySettings>,
    /// The operating system's random bytes.
    pub entropy: &'a dyn Entropy,
    /// Hears how far it has come.
    pub progress: &'a dyn Progress,
}

/// The identity of a ring that is to be made: a UUID of random bytes (version 4).
pub fn new_id(entropy: &dyn Entropy) -> RingId {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().into_bytes()
}

/// Makes a ring on every member of a virtual token, each with a session where the user is logged in and may write, and
/// tries on it what is known of attacks and routes. Answers the ring for the log, and the recovery's shares for people.
///
/// An error leaves nothing behind on members that still answer; on the others [`super::tidy`] finds it later.
pub fn make(desks: &[Desk<'_>], pairing: &Pairing<'_>) -> Result<(Ring, Vec<Share>)> {
    let made = ring(desks, pairing);
    if made.is_err() {
        for desk in desks {
            find::clear(desk, |desk| find::remove(desk, &pairing.id));
        }
    }
    made
}

fn ring(desks: &[Desk<'_>], pairing: &Pairing<'_>) -> Result<(Ring, Vec<Share>)> {
    let (Some(maker), Some(last)) = (desks.first(), desks.last()) else {
        return Err(Error::new(CKR_ARGUMENTS_BAD, "a token without members can't be paired"));
    };
    let chance = Chance::new(pairing.entropy, maker).at(maker, "asking for random bytes")?;
    let (mut ring, shares, handles) = keys(maker, desks, pairing, &chance)?;
    if let Some(made) = &ring.recovery {
        let enough = recovery::enough(&shares, made.threshold);
        recovery::attest(&mut ring, &enough)?;
        recovery::prove(last, &ring, &enough)?;
    }

    let places: Vec<_> = desks.iter().copied().zip(handles).collect();
    trial::all(&mut ring, &places, &chance, pairing.progress)?;
    Ok((ring, shares))
}

/// Makes the keys at one desk and installs them at all. The keys as they were made are gone when this returns.
fn keys(
    maker: &Desk<'_>,
    desks: &[Desk<'_>],
    pairing: &Pairing<'_>,
    chance: &Chance<'_>,
) -> Result<(Ring, Vec<Share>, Vec<RingHandles>)> {
    let scratch = Scratch::at(maker);
    let roads = roads(&scratch, desks, pairing.progress)?;
    let fresh = generate(&scratch, &RingKey::ALL, Generation::FIRST)?;
    let (recovery, shares, copies) = match pairing.recovery {
        Some(settings) => {
            pairing.progress.stage("making the recovery", 1);
            let made = recovery::make(maker, &fresh, (settings, &[]), chance)?;
            pairing.progress.step();
            (Some(made.recovery), made.shares, made.wrapped)
        }
        None => (None, Vec::new(), Vec::new()),
    };
    let mut convoy = Convoy::of(&scratch, &pairing.id, &fresh, pairing.progress, desks.len());
    let mut handles = Vec::with_capacity(desks.len());
    for road in &roads {
        let newest = find::keks(Generation::FIRST, |key| convoy.carry(road, key))?;
        let log = convoy.carry(road, RingKey::Log)?;
        handles.push(RingHandles { newest, older: None, log });
    }
    let keys = convoy.entries(&copies);
    let (members, routes, replaced) = (Vec::new(), Vec::new(), Vec::new());
    let oldest = Generation::FIRST;
    let ring = Ring { id: pairing.id, keys, recovery, members, routes, oldest, replaced };
    Ok((ring, shares, handles))
}

/// A key of the ring that was just made, or opened, as a session object of the maker.
#[derive(Clone, Copy)]
pub(super) struct Fresh {
    pub(super) key: RingKey,
    pub(super) generation: Generation,
    pub(super) handle: Handle,
}

/// New keys on their way from where they were made to every member.
pub(super) struct Convoy<'a> {
    maker: &'a Scratch<'a>,
    id: &'a RingId,
    fresh: &'a [Fresh],
    progress: &'a dyn Progress,
    /// The check values that the first member found.
    checks: Vec<(RingKey, Generation, Vec<u8>)>,
}

impl<'a> Convoy<'a> {
    pub(super) fn of(
        maker: &'a Scratch<'a>,
        id: &'a RingId,
        fresh: &'a [Fresh],
        progress: &'a dyn Progress,
        members: usize,
    ) -> Self {
        let installs = members.saturating_mul(fresh.len());
        progress.stage("installing the key ring", u64::try_from(installs).unwrap_or(0));
        Self { maker, id, fresh, progress, checks: Vec::new() }
    }

    /// Carries one key to one member, and answers where it is there. It must be the same on all.
    pub(super) fn carry(&mut self, road: &Road<'_>, key: RingKey) -> Result<Handle> {
        let made = self.fresh.iter().find(|fresh| fresh.key == key);
        let fresh =
            made.ok_or_else(|| wrong(&self.maker.desk, "a key of the ring was not made"))?;
        let known = self.checks.iter().find(|(other, ..)| *other == key);
        let check = known.map(|(.., value)| value.as_slice());
        let (handle, value) = carry(self.maker, road, *fresh, self.id, check)?;
        if check.is_none() {
            self.checks.push((key, fresh.generation, value));
        }
        self.progress.step();
        Ok(handle)
    }

    /// What the log is to know of the keys that arrived, with their recovery copies.
    pub(super) fn entries(self, copies: &[(RingKey, Generation, Vec<u8>)]) -> Vec<RingEntry> {
        let copy = |key, generation| {
            copies.iter().find(|(of, at, _)| (*of, *at) == (key, generation)).map(|it| it.2.clone())
        };
        let entry = |(key, generation, check)| {
            let recovery = copy(key, generation).unwrap_or_default();
            RingEntry { key, check, recovery, generation }
        };
        self.checks.into_iter().map(entry).collect()
    }
}

/// The way from the maker to one member: its transport key pair, and the public half of it where the maker is.
pub(super) struct Road<'a> {
    scratch: Scratch<'a>,
    private: Handle,
    public: Handle,
}

pub(super) fn roads<'a>(
    maker: &Scratch<'_>,
    desks: &[Desk<'a>],
    progress: &dyn Progress,
) -> Result<Vec<Road<'a>>> {
    progress.stage("making transport keys", u64::try_from(desks.len()).unwrap_or(0));
    let road = |desk: &Desk<'a>| {
        let scratch = Scratch::at(desk);
        let pair = transport::generate(&scratch, transport::TRANSPORT_BITS, false)
            .at(desk, "making a transport key pair")?;
        let key = transport::public_key(desk, pair.public)?;
        let doing = format!("importing the transport key of member {}", desk.name());
        let public = transport::import(maker, &key).at(&maker.desk, &doing)?;
        progress.step();
        Ok(Road { scratch, private: pair.private, public })
    };
    desks.iter().map(road).collect()
}

/// Makes keys of a generation, which go with the session.
pub(super) fn generate(
    scratch: &Scratch<'_>,
    keys: &[RingKey],
    generation: Generation,
) -> Result<Vec<Fresh>> {
    let desk = &scratch.desk;
    let make = |key: &RingKey| {
        let key = *key;
        let (mechanism, template) = (recipe::generator(key), recipe::fresh(key));
        let made = desk.member.generate(desk.session, &mechanism, &template);
        let handle = made.at(desk, &format!("generating the {} key of the ring", key.name()))?;
        Ok(Fresh { key, generation, handle: scratch.keep(handle) })
    };
    keys.iter().map(make).collect()
}

/// Carries one key to one member and installs it there.
fn carry(
    maker: &Scratch<'_>,
    road: &Road<'_>,
    fresh: Fresh,
    id: &RingId,
    check: Option<&[u8]>,
) -> Result<(Handle, Vec<u8>)> {
    let Fresh { key, generation, handle } = fresh;
    let doing = format!("wrapping the {} key for member {}", key.name(), road.scratch.desk.name());
    let wrapped = transport::wrap(&maker.desk, road.public, handle).at(&maker.desk, &doing)?;
    let parcel = Parcel { key, generation, wrapped: &wrapped, check };
    install(&road.scratch.desk, id, road.private, &parcel)
}
