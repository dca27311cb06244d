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
use crate::ring::{Ring, RingEntry, RingHandles, RingKey};
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
            find::clear(desk, &pairing.id);
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
    let roads = roads(&scratch, desks, pairing)?;
    let fresh = generate(&scratch)?;
    let (recovery, shares, copies) = match pairing.recovery {
        Some(settings) => {
            pairing.progress.stage("making the recovery", 1);
            let made = recovery::make(maker, &fresh, settings, chance)?;
            pairing.progress.step();
            (Some(made.recovery), made.shares, made.wrapped)
        }
        None => (None, Vec::new(), Vec::new()),
    };
    let installs = u64::try_from(desks.len().saturating_mul(fresh.len())).unwrap_or(0);
    pairing.progress.stage("installing the key ring", installs);
    let mut checks: Vec<(RingKey, Vec<u8>)> = Vec::new();
    let mut handles = Vec::with_capacity(desks.len());
    for road in &roads {
        handles.push(find::of_each(|key| {
            let known = checks.iter().find(|(other, _)| *other == key);
            let check = known.map(|(_, value)| value.as_slice());
            let (handle, value) = carry(&scratch, road, key, &fresh, &pairing.id, check)?;
            if check.is_none() {
                checks.push((key, value));
            }
            pairing.progress.step();
            Ok(handle)
        })?);
    }
    let copy = |key| copies.iter().find(|(of, _)| *of == key).map(|(_, copy)| copy.clone());
    let entry = |(key, check)| RingEntry { key, check, recovery: copy(key).unwrap_or_default() };
    let keys = checks.into_iter().map(entry).collect();
    let (members, routes) = (Vec::new(), Vec::new());
    Ok((Ring { id: pairing.id, keys, recovery, members, routes }, shares, handles))
}

/// The way from the maker to one member: its transport key pair, and the public half of it where the maker is.
struct Road<'a> {
    scratch: Scratch<'a>,
    private: Handle,
    public: Handle,
}

fn roads<'a>(
    maker: &Scratch<'_>,
    desks: &[Desk<'a>],
    pairing: &Pairing<'_>,
) -> Result<Vec<Road<'a>>> {
    pairing.progress.stage("making transport keys", u64::try_from(desks.len()).unwrap_or(0));
    let road = |desk: &Desk<'a>| {
        let scratch = Scratch::at(desk);
        let pair = transport::generate(&scratch, transport::TRANSPORT_BITS, false)
            .at(desk, "making a transport key pair")?;
        let key = transport::public_key(desk, pair.public)?;
        let doing = format!("importing the transport key of member {}", desk.name());
        let public = transport::import(maker, &key).at(&maker.desk, &doing)?;
        pairing.progress.step();
        Ok(Road { scratch, private: pair.private, public })
    };
    desks.iter().map(road).collect()
}

fn generate(scratch: &Scratch<'_>) -> Result<Vec<(RingKey, Handle)>> {
    let desk = &scratch.desk;
    let make = |key: RingKey| {
        let (mechanism, template) = (recipe::generator(key), recipe::fresh(key));
        let made = desk.member.generate(desk.session, &mechanism, &template);
        let handle = made.at(desk, &format!("generating the {} key of the ring", key.name()))?;
        Ok((key, scratch.keep(handle)))
    };
    RingKey::ALL.into_iter().map(make).collect()
}

/// Carries one key to one member and installs it there.
fn carry(
    maker: &Scratch<'_>,
    road: &Road<'_>,
    key: RingKey,
    fresh: &[(RingKey, Handle)],
    id: &RingId,
    check: Option<&[u8]>,
) -> Result<(Handle, Vec<u8>)> {
    let made = fresh.iter().find(|(other, _)| *other == key);
    let (_, handle) = made.ok_or_else(|| wrong(&maker.desk, "a key of the ring was not made"))?;
    let doing = format!("wrapping the {} key for member {}", key.name(), road.scratch.desk.name());
    let wrapped = transport::wrap(&maker.desk, road.public, *handle).at(&maker.desk, &doing)?;
    install(&road.scratch.desk, id, road.private, &Parcel { key, wrapped: &wrapped, check })
}
