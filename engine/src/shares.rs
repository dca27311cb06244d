//! The recovery's shares: one secret split into words for people to keep (`docs/threat-model.md`, Recovery).
//!
//! Shamir's scheme over GF(2^8) with the polynomial 0x11d, by `blahaj`: every byte of the secret is the constant of
//! a random polynomial, a share is its number and the polynomials' values there. Any `threshold` shares make the
//! secret again; fewer say nothing of it. A share is written as thirty words of the English list of BIP-39, which are
//! told apart by their first four letters:
//!
//! ```text
//! version 8 | set 16 | threshold 8 | number 8 | value 256 | checksum 34     = 330 bits = 30 words of 11 bits
//! ```
//!
//! The checksum is the beginning of a SHA-256 over the rest. People mistype: so what is wrong with a share is found
//! and named, down to the word, and never by repeating a word, which is part of a secret.

#[cfg(test)]
mod tests;
mod text;

use crate::ports::Entropy;
use std::collections::BTreeMap;
use std::convert::Infallible;
use tandem_values::Secret;
use tandem_values::ck::CKR_ARGUMENTS_BAD;
use zeroize::Zeroizing;

/// How long the secret is, in bytes: an AES-256 key.
pub const SECRET_LEN: usize = 32;
/// How many words a share has.
pub const WORDS: usize = text::WORDS;
/// The version of the format.
const VERSION: u8 = 1;

/// One share, as words with a checksum.
#[derive(Clone, PartialEq, Eq)]
pub struct Share {
    /// The set that it is of.
    pub set: u16,
    /// Its number, from 1.
    pub number: u8,
    /// Its words, for one person to write down and keep.
    pub words: Secret,
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "share {} of set {}", self.number, self.set)
    }
}

/// What is wrong with shares. `place` counts the shares as they were given, from 1; words count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Two of the shares have the same number and are not the same.
    #[error(
        "shares {first} and {second} (in the order given) both say that they are number {number} of set {set}, and \
         differ: they come from two different splits"
    )]
    Conflict {
        /// The first of them.
        first: usize,
        /// The other.
        second: usize,
        /// The number that both bear.
        number: u8,
        /// The set that both name.
        set: u16,
    },
    /// More than one word is wrong.
    #[error(
        "share {place} (in the order given): its checksum is wrong; more than one word is mistyped"
    )]
    Damaged {
        /// The share.
        place: usize,
    },
    /// The same share was given twice.
    #[error(
        "shares {first} and {second} (in the order given) are the same share, number {number}: leave one out"
    )]
    Duplicate {
        /// The first of them.
        first: usize,
        /// The other.
        second: usize,
        /// The number that both bear.
        number: u8,
    },
    /// Shares of more than one set.
    #[error(
        "share {place} (in the order given) is of set {set}, the first one of set {expected}: they don't belong together"
    )]
    Foreign {
        /// The share.
        place: usize,
        /// The set it is of.
        set: u16,
        /// The set the first one is of.
        expected: u16,
    },
    /// Not as many words as a share has.
    #[error("share {place} (in the order given) has {words} words: a share has {WORDS}")]
    Length {
        /// The share.
        place: usize,
        /// How many words it has.
        words: usize,
    },
    /// One word is another word of the list than it should be.
    #[error(
        "share {place} (in the order given): word {word} is mistyped; another word of the list belongs there"
    )]
    Mistyped {
        /// The share.
        place: usize,
        /// The word.
        word: usize,
    },
    /// Two words have changed places.
    #[error("share {place} (in the order given): words {first} and {second} have changed places")]
    Swapped {
        /// The share.
        place: usize,
        /// The first of them.
        first: usize,
        /// The other.
        second: usize,
    },
    /// A share of another set among those of the ring's.
    #[error(
        "share {place} (in the order given) is of set {set}, and others are of set {expected}, this ring's: it comes from another \
         split, or opens another ring; leave it out"
    )]
    OfAnother {
        /// The share.
        place: usize,
        /// The set it is of.
        set: u16,
        /// The set of the ring's recovery.
        expected: u16,
    },
    /// A split that can't be.
    #[error(
        "{threshold} of {shares} shares is no split: at least 1 share is needed, and no more than there are"
    )]
    Terms {
        /// How many shares were asked for.
        shares: u8,
        /// How many of them should be enough.
        threshold: u8,
    },
    /// Fewer shares than are needed.
    #[error("{given} of {needed} shares of set {set} were given: bring {} more", needed.saturating_sub(*given))]
    TooFew {
        /// How many were given.
        given: u8,
        /// How many are needed.
        needed: u8,
        /// The set.
        set: u16,
    },
    /// A word that is not in the list.
    #[error(
        "share {place} (in the order given): word {word} is not in the list; look at its spelling"
    )]
    Unknown {
        /// The share.
        place: usize,
        /// The word.
        word: usize,
    },
    /// A share of a later Tandem.
    #[error(
        "share {place} (in the order given) is of version {version}, which this Tandem doesn't know: use a newer one"
    )]
    Version {
        /// The share.
        place: usize,
        /// Its version.
        version: u8,
    },
    /// No share at all.
    #[error("no share was given")]
    Nothing,
}

impl ShareError {
    /// The shares that it is about, counted from 1 as they were given; none if it is about all of them.
    pub fn places(&self) -> Vec<usize> {
        match *self {
            Self::Conflict { first, second, .. } | Self::Duplicate { first, second, .. } => {
                vec![first, second]
            }
            Self::Damaged { place }
            | Self::Foreign { place, .. }
            | Self::Length { place, .. }
            | Self::Mistyped { place, .. }
            | Self::OfAnother { place, .. }
            | Self::Swapped { place, .. }
            | Self::Unknown { place, .. }
            | Self::Version { place, .. } => vec![place],
            Self::Terms { .. } | Self::TooFew { .. } | Self::Nothing => Vec::new(),
        }
    }
}

impl From<ShareError> for crate::error::Error {
    fn from(error: ShareError) -> Self {
        Self::new(CKR_ARGUMENTS_BAD, error.to_string())
    }
}

/// How a secret is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Tells these shares from those of another split.
    pub set: u16,
    /// How many shares are made.
    pub shares: u8,
    /// How many of them make the secret again.
    pub threshold: u8,
}

/// The secret that shares made, and the set they are of.
#[derive(Clone, PartialEq, Eq)]
pub struct Combined {
    /// The set.
    pub set: u16,
    /// The secret.
    pub secret: Secret,
}

/// A share as its words say it.
struct Fields {
    version: u8,
    set: u16,
    threshold: u8,
    number: u8,
    value: Zeroizing<[u8; SECRET_LEN]>,
}

/// Splits a secret into shares.
///
/// The polynomials' coefficients come from `entropy`: whoever can tell them needs one share only.
pub fn split(
    secret: &Zeroizing<[u8; SECRET_LEN]>,
    split: Split,
    entropy: &dyn Entropy,
) -> Result<Vec<Share>, ShareError> {
    let Split { set, shares, threshold } = split;
    if threshold == 0 || threshold > shares {
        return Err(ShareError::Terms { shares, threshold });
    }
    let mut random = Random(entropy);
    let dealer = blahaj::Sharks(threshold).dealer_rng(secret.as_slice(), &mut random);
    let made = dealer.take(usize::from(shares)).filter_map(|share| {
        let bytes = Zeroizing::new(Vec::from(&share));
        let (number, value) = bytes.split_first()?;
        let value = Zeroizing::new(<[u8; SECRET_LEN]>::try_from(value).ok()?);
        let fields = Fields { version: VERSION, set, threshold, number: *number, value };
        Some(Share { set, number: *number, words: text::write(&fields) })
    });
    Ok(made.collect())
}

/// Makes the secret of its shares, each a text of words. Upper and lower case and any white space will do.
pub fn combine<'a>(shares: impl IntoIterator<Item = &'a Secret>) -> Result<Combined, ShareError> {
    let mut first: Option<Fields> = None;
    let mut points: BTreeMap<u8, (usize, blahaj::Share)> = BTreeMap::new();
    for (place, words) in (1..).zip(shares) {
        let fields = text::read(words, place)?;
        if let Some(first) = &first
            && (first.set, first.threshold) != (fields.set, fields.threshold)
        {
            return Err(ShareError::Foreign { place, set: fields.set, expected: first.set });
        }
        let point = point(&fields).ok_or(ShareError::Damaged { place })?;
        if let Some((earlier, known)) = points.get(&fields.number) {
            let (first, second, number, set) = (*earlier, place, fields.number, fields.set);
            return Err(if known.y == point.y {
                ShareError::Duplicate { first, second, number }
            } else {
                ShareError::Conflict { first, second, number, set }
            });
        }
        points.insert(fields.number, (place, point));
        first.get_or_insert(fields);
    }
    let Some(Fields { set, threshold, .. }) = first else { return Err(ShareError::Nothing) };
    let given = u8::try_from(points.len()).unwrap_or(u8::MAX);
    let too_few = ShareError::TooFew { given, needed: threshold, set };
    let secret = blahaj::Sharks(threshold)
        .recover(points.values().map(|(_, point)| point))
        .map_err(|_| too_few)?;
    Ok(Combined { set, secret: Secret::new(secret) })
}

/// Makes sure that shares make a secret, whichever. Where they are of several sets, and one of these is the set that is
/// known, the first share of another is named.
pub fn check(shares: &[Secret], known: Option<u16>) -> Result<(), ShareError> {
    let combined = combine(shares).map(drop);
    let (Err(ShareError::Foreign { .. }), Some(expected)) = (&combined, known) else {
        return combined;
    };
    let sets = (1..).zip(shares).map(|(place, words)| Ok((place, text::read(words, place)?.set)));
    let sets = sets.collect::<Result<Vec<_>, ShareError>>()?;
    let is_known = |(_, set): &&(usize, u16)| *set == expected;
    match sets.iter().find(|place| !is_known(place)) {
        Some((place, set)) if sets.iter().any(|place| is_known(&place)) => {
            Err(ShareError::OfAnother { place: *place, set: *set, expected })
        }
        _ => combined,
    }
}

/// A share as `blahaj` takes it. Number 0 would be the secret itself, so nobody made such a share.
fn point(fields: &Fields) -> Option<blahaj::Share> {
    let bytes = std::iter::once(fields.number).chain(fields.value.iter().copied());
    let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(bytes.collect());
    (fields.number != 0).then(|| blahaj::Share::try_from(bytes.as_slice()).ok())?
}

/// Our entropy, as `blahaj` asks for it.
struct Random<'a>(&'a dyn Entropy);

impl rand_core::TryRng for Random<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = Zeroizing::new([0; 4]);
        self.0.fill(bytes.as_mut_slice());
        Ok(u32::from_le_bytes(*bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = Zeroizing::new([0; 8]);
        self.0.fill(bytes.as_mut_slice());
        Ok(u64::from_le_bytes(*bytes))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(buffer);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Random<'_> {}
