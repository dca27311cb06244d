//! Keys that are beyond a member: it has no mechanism for their type, or pairing found no way to bring it such keys.
//!
//! Where a token offers what any of its members can do, such a key lives on the others. That is an exception of the member's
//! follower like any other, told apart from what could not be taken yet: it is tried again when the member can do more.

use crate::abilities::Unread;
use crate::check;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::follow::{Follower, Taken};
use crate::held::Held;
use crate::object::Object;
use crate::prove::{self, Failure, Proof};
use crate::settings::{Duty, Offer};
use crate::station::{Lease, Station};
use crate::token::Token;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_values::{Template, ck::*, names};

/// The types of keys that a member has mechanisms for.
pub(crate) type Types = BTreeSet<u64>;

/// True for a type whose mechanisms tell whether a member can hold such keys. A generic secret is used by mechanisms that say
/// nothing of it.
const fn is_told(key_type: u64) -> bool {
    matches!(
        key_type,
        CKK_RSA
            | CKK_DSA
            | CKK_DH
            | CKK_EC
            | CKK_EC_EDWARDS
            | CKK_EC_MONTGOMERY
            | CKK_ML_DSA
            | CKK_ML_KEM
            | CKK_SLH_DSA
            | CKK_AES
            | CKK_CHACHA20
    )
}

impl Token {
    /// Why a key with these attributes is beyond a member. `None` if it isn't, as far as can be told; and always where a token
    /// offers what all its members can do, since there each must take each key.
    pub(crate) fn beyond(&self, station: &Station, template: &Template) -> Option<String> {
        if self.settings.mechanisms == Offer::Common {
            return None;
        }
        self.lacks(station, template).or_else(|| {
            let duties = [Duty::Keys, Duty::Making];
            template.is(CKA_TOKEN).then(|| self.not_carried(station, template, &duties)).flatten()
        })
    }

    /// The same of a key that is made or used there, which need not be brought.
    pub(crate) fn lacks(&self, station: &Station, template: &Template) -> Option<String> {
        if self.settings.mechanisms == Offer::Common {
            return None;
        }
        let key_type = template.key_type().filter(|key_type| is_told(*key_type))?;
        let lacks = self.types(station).is_some_and(|types| !types.contains(&key_type));
        lacks.then(|| format!("it has no mechanism for keys of type {}", names::key_type(key_type)))
    }

    /// The failure, if a member has no mechanism for an object's type: nothing is tried then.
    pub(crate) fn may_be_brought(&self, station: &Station, object: &Object) -> Taken {
        self.lacks(station, &object.template).map_or(Ok(()), |why| Err(Failure::Beyond(why)))
    }

    /// What comes of an object that was brought to a member. One that the member refuses as it refused others of its kind when it
    /// was paired is beyond it. What failed at one time only may be taken at another.
    pub(crate) fn as_paired(&self, station: &Station, object: &Object, taken: Taken) -> Taken {
        match taken {
            Err(Failure::Fault(fault)) if prove::is_refusal(fault) => {
                let why = self.beyond(station, &object.template);
                Err(why.map_or(Failure::Fault(fault), Failure::Beyond))
            }
            taken => taken,
        }
    }

    /// Proves something of a key by the follower's judge, or by another to which such keys are not beyond it: the member itself,
    /// where there is none.
    pub(crate) fn with_judge(
        &self,
        follower: &Follower<'_>,
        key: &Object,
        prove: impl FnOnce(&Desk<'_>) -> Proof,
    ) -> Proof {
        let is_able = self
            .station(follower.judge.name())
            .is_none_or(|judge| self.lacks(judge, &key.template).is_none());
        if is_able {
            return prove(&follower.judge);
        }
        let other = self.judge_for(follower.station, Some(key), follower.look_first);
        let proof = prove(&other.as_ref().map_or(follower.desk, Lease::desk));
        if let (Some(other), Err(_)) = (&other, &proof) {
            // An operation may be half-way in it.
            other.spoil();
        }
        proof
    }

    /// True if a member has mechanisms for the types of all of these.
    pub(crate) fn is_able(&self, station: &Station, keys: &[Held]) -> bool {
        self.settings.mechanisms == Offer::Common
            || keys.iter().all(|held| self.lacks(station, &held.object().template).is_none())
    }

    /// The types that a member has mechanisms for, as of when the shelf was last brought up. `None` if it never said, or if that
    /// can't be read now and nobody has read it before.
    fn types(&self, station: &Station) -> Option<Arc<Types>> {
        let types = station.types.as_of(self, || {
            let mut unread = Unread::default();
            let noted = unread.except(self.noted_mechanisms(station)).flatten();
            let types =
                noted.map(|mechanisms| mechanisms.keys().copied().filter_map(works_with).collect());
            (types.map(Arc::new), unread)
        });
        types.as_ref().clone()
    }

    /// What a member can do must be known before it follows the log: what is beyond it is not looked at again.
    pub(crate) fn knows_types(&self, station: &Station) -> Result {
        let common = self.settings.mechanisms == Offer::Common;
        let stale = station.abilities_unasked.load(Ordering::Relaxed);
        if !stale && (common || self.types(station).is_some()) {
            return Ok(());
        }
        self.note_abilities(station);
        if common {
            return Ok(());
        }
        self.shelf.refresh()?;
        if self.types(station).is_some() {
            return Ok(());
        }
        Err(Error::new(
            CKR_DEVICE_ERROR,
            format!(
                "member {}: what it can do is not known, so nothing is brought to it; see `tandem doctor`",
                station.name()
            ),
        ))
    }
}

/// The type of the keys that a mechanism makes or works with, if it tells.
fn works_with(mechanism: u64) -> Option<u64> {
    check::generated(mechanism)
        .map(|(_, key_type)| key_type)
        .or_else(|| check::works_with(mechanism))
}
