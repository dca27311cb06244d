//! The recovery of a ring: an RSA key pair to whose public half the ring is wrapped, and whose private half opens with
//! shares that people keep.
//!
//! Once locked, a key of the ring can't travel. So this is made while the ring's keys are still session objects.

use super::at::{At, wrong};
use super::chance::Chance;
use super::make::Fresh;
use super::scratch::Scratch;
use super::{check, install, recipe, transport};
use crate::carry;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::event::Hash;
use crate::ports::Entropy;
use crate::ring::{Generation, Recovery, Ring, RingKey};
use crate::seal::Seal;
use crate::settings::RecoverySettings;
use crate::shares::{self, Combined, SECRET_LEN, Share, Split};
use sha2::{Digest, Sha256};
use tandem_values::{Handle, Secret, ck::*};
use zeroize::Zeroizing;

/// The size of the recovery key, which lives as long as the ring, in bits.
const RECOVERY_BITS: u64 = 3072;

/// A recovery that was made.
pub(super) struct Made {
    /// What the log keeps of it.
    pub(super) recovery: Recovery,
    /// What people keep of it.
    pub(super) shares: Vec<Share>,
    /// The ring's keys, wrapped to it.
    pub(super) wrapped: Vec<(RingKey, Generation, Vec<u8>)>,
}

/// Makes the recovery of keys that are session objects at this desk, with a set of shares that is none of the `old` ones.
pub(super) fn make(
    desk: &Desk<'_>,
    keys: &[Fresh],
    (settings, old): (&RecoverySettings, &[u16]),
    chance: &Chance<'_>,
) -> Result<Made> {
    let scratch = Scratch::at(desk);
    let secret = chance.bytes::<SECRET_LEN>();
    let (split, shares) = deal(&secret, settings, old, chance)?;

    let pair = transport::generate(&scratch, RECOVERY_BITS, true)
        .at(desk, "making the recovery key pair")?;
    let public = transport::public_key(desk, pair.public)?;
    let lock = check::import(&scratch, &secret, &[(CKA_EXTRACTABLE, false), (CKA_WRAP, true)])
        .at(desk, "importing the key that the shares make")?;
    let private = carry::wrap(desk, lock, pair.private)
        .at(desk, "wrapping the private half of the recovery key pair")?;
    let mut wrapped = Vec::with_capacity(keys.len());
    for Fresh { key, generation, handle } in keys {
        let doing = format!("wrapping the {} key to the recovery key", key.name());
        let copy = transport::wrap(desk, pair.public, *handle).at(desk, &doing)?;
        wrapped.push((*key, *generation, copy));
    }
    let recovery = Recovery {
        modulus: public.modulus,
        exponent: public.exponent,
        private,
        set: split.set,
        shares: split.shares,
        threshold: split.threshold,
        // Follows when the whole ring is there.
        witness: [0; 32],
    };
    Ok(Made { recovery, shares, wrapped })
}

/// Makes the shares of a secret, of a set that none of the old ones is of.
fn deal(
    secret: &Zeroizing<[u8; SECRET_LEN]>,
    settings: &RecoverySettings,
    old: &[u16],
    chance: &Chance<'_>,
) -> Result<(Split, Vec<Share>)> {
    let drawn = u16::from_be_bytes(*chance.bytes());
    let mut sets = (0..=u16::MAX).map(|next| drawn.wrapping_add(next));
    let split = Split {
        set: sets.find(|set| !old.contains(set)).unwrap_or(drawn),
        shares: settings.shares,
        threshold: settings.threshold,
    };
    let shares = shares::split(secret, split, chance)?;
    prove_shares(&shares, secret, split)?;
    Ok((split, shares))
}

/// Splits the secret of a ring's recovery anew. That the old shares open the ring is seen here, inside the member, and that
/// the new ones do as well. `old` are the sets that were there before.
///
/// The session must be one where the user is logged in. Nothing is left there.
pub fn split(
    desk: &Desk<'_>,
    ring: &Ring,
    shares: &[Secret],
    settings: &RecoverySettings,
    old: &[u16],
    entropy: &dyn Entropy,
) -> Result<(Split, Vec<Share>)> {
    prove(desk, ring, shares)?;
    let chance = Chance::new(entropy, desk).at(desk, "asking for random bytes")?;
    let secret = secret_of(&shares::combine(shares)?)?;
    let (split, new) = deal(&secret, settings, old, &chance)?;
    prove(desk, ring, &enough(&new, split.threshold))?;
    Ok((split, new))
}

/// Every share is one of as many as are needed, and these make the secret: before anyone is told to keep them.
fn prove_shares(shares: &[Share], secret: &[u8; SECRET_LEN], split: Split) -> Result {
    for first in 0..shares.len() {
        let some = shares.iter().cycle().skip(first).take(usize::from(split.threshold));
        let combined = shares::combine(some.map(|share| &share.words))?;
        if combined.secret.expose() != secret || combined.set != split.set {
            return Err(Error::new(
                CKR_GENERAL_ERROR,
                "the recovery's shares don't make its secret",
            ));
        }
    }
    Ok(())
}

/// The secret that shares made, as an AES key.
fn secret_of(combined: &Combined) -> Result<Zeroizing<[u8; SECRET_LEN]>> {
    let secret = combined.secret.expose().try_into().map(Zeroizing::new);
    secret.map_err(|_| Error::new(CKR_ARGUMENTS_BAD, "the shares make no key of 32 bytes"))
}

/// What only the secret says of a ring: that these are its keys.
fn witness(ring: &Ring, recovery: &Recovery, secret: &[u8; SECRET_LEN]) -> Result<Hash> {
    let mut digest = Sha256::new_with_prefix(b"tandem recovery");
    let mut part = |bytes: &[u8]| {
        digest.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(bytes);
    };
    part(&ring.id);
    part(&recovery.modulus);
    part(&recovery.exponent);
    for entry in &ring.keys {
        part(entry.name().as_bytes());
        part(&entry.check);
    }
    let seal = Seal::of(secret).ok_or_else(|| Error::from(CKR_GENERAL_ERROR))?;
    Ok(seal.witness(&digest.finalize().into()))
}

/// Has the secret that these shares make bear witness of a ring that was just made.
pub(super) fn attest(ring: &mut Ring, shares: &[Secret]) -> Result {
    let secret = secret_of(&shares::combine(shares)?)?;
    let Some(mut recovery) = ring.recovery.take() else { return Ok(()) };
    recovery.witness = witness(ring, &recovery, &secret)?;
    ring.recovery = Some(recovery);
    Ok(())
}

/// True if these shares open a ring, as far as can be told without a member: they are shares, and their secret bears witness of it.
pub fn opens(ring: &Ring, shares: &[Secret]) -> Result<bool> {
    let Some(recovery) = &ring.recovery else { return Ok(false) };
    let secret = secret_of(&shares::combine(shares)?)?;
    Ok(witness(ring, recovery, &secret)? == recovery.witness)
}

/// Opens the private half of a ring's recovery key pair at a desk, by shares of whichever set: the secret stays the same when
/// it is split anew, and a ring that a bundle tells of knows only the sets that were there when it was made.
pub(super) fn open(scratch: &Scratch<'_>, ring: &Ring, shares: &[Secret]) -> Result<Handle> {
    let desk = &scratch.desk;
    let Some(recovery) = &ring.recovery else {
        let message = "this ring was paired without a recovery: no shares open it. Make a new ring while a member holds this one";
        return Err(Error::new(CKR_ARGUMENTS_BAD, message));
    };
    let combined = shares::combine(shares)?;
    let secret = secret_of(&combined)?;
    if witness(ring, recovery, &secret)? != recovery.witness {
        let message = format!(
            "these shares of set {} don't open this ring, whose recovery is known as set {}: they are of another ring, or what tells \
             of the ring was changed by somebody",
            combined.set, recovery.set
        );
        return Err(Error::new(CKR_ARGUMENTS_BAD, message));
    }
    let lock = check::import(scratch, &secret, &[(CKA_EXTRACTABLE, false), (CKA_UNWRAP, true)])
        .at(desk, "importing the key that the shares make")?;
    let template =
        transport::private(false).with(CKA_CLASS, CKO_PRIVATE_KEY).with(CKA_KEY_TYPE, CKK_RSA);
    let doing = "opening the recovery key with these shares";
    let private = carry::unwrap(desk, lock, &recovery.private, &template).at(desk, doing)?;
    Ok(scratch.keep(private))
}

/// As many of new shares as are needed, the last ones.
pub(super) fn enough(shares: &[Share], threshold: u8) -> Vec<Secret> {
    shares.iter().rev().take(usize::from(threshold)).map(|share| share.words.clone()).collect()
}

/// Opens the ring as it would be after a loss, by shares, with nothing left behind. Answers the seal of its log.
pub fn prove(desk: &Desk<'_>, ring: &Ring, shares: &[Secret]) -> Result<Seal> {
    let scratch = Scratch::at(desk);
    let private = open(&scratch, ring, shares)?;
    let mut seal = None;
    for entry in &ring.keys {
        let handle = install::unwrap_as(&scratch, private, entry, recipe::Place::Session)?;
        if entry.key == RingKey::Log {
            seal = Some(Seal::derive(desk, handle).at(desk, "deriving the seal of the log")?);
        }
    }
    seal.ok_or_else(|| wrong(desk, "the ring has no log key"))
}
