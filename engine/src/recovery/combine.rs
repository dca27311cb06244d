//! The key ring back on members that lack it, and nothing else: what they are to hold comes afterwards, from the log or from
//! a backup, and needs no shares then.

use super::carry::{Lost, Reached};
use crate::backup::{Source, Sources};
use crate::error::{Error, Result};
use crate::joining::Bringing;
use crate::pair;
use crate::ring::Ring;
use crate::seal::Seal;
use crate::token::{Token, note};
use std::sync::Arc;
use tandem_values::{Secret, ck::*};

/// What combining came to.
#[derive(Clone, Debug)]
pub struct Combined {
    /// The ring.
    pub ring: Arc<Ring>,
    /// What told of it.
    pub told: Told,
    /// The members that hold it now, in the order of the configuration.
    pub members: Vec<Carried>,
    /// Members that could not be reached or could not take it, with the reason.
    pub away: Vec<(String, String)>,
}

/// What told of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The log.
    Log,
    /// A log that is not restored to its end.
    LogInPart,
    /// A bundle: there is no log.
    Bundle,
}

/// A member that holds the ring.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Its name.
    pub name: String,
    /// True if it was given the ring now.
    pub given: bool,
    /// True if the log counts it: it needs nothing else.
    pub counts: bool,
    /// True if the log has ever counted a member of this name.
    pub known: bool,
}

/// Members that hold the ring, and those that don't, with the reason.
type Everywhere = (Vec<Carried>, Vec<(String, String)>);

impl Token {
    /// Brings the ring to every member of the configuration that can be reached and lacks it: as the log tells of it, or else
    /// as a bundle does. The log counts no such member before it is brought in, and nothing is put into the log. Run again it
    /// changes nothing.
    pub fn combine_recovery(
        self: &Arc<Self>,
        pin: &Secret,
        bundle: Option<&dyn Source>,
        bringing: &Bringing<'_>,
    ) -> Result<Combined> {
        let bundles: Vec<_> = bundle.into_iter().collect();
        let sources = Sources::of(&bundles)?;
        let header = sources.first().ok();
        let ring = match (self.known_ring()?, header) {
            (Some(ours), None) => ours,
            (Some(ours), Some(header)) => {
                self.is_of_ring(&header.ring, &ours)?;
                ours
            }
            (None, Some(header)) => Arc::new((*header.ring).clone()),
            (None, None) => return Err(self.untold()),
        };
        let told = self.told()?;
        let bears_out = |seal: &Seal| match told {
            Told::Log | Told::LogInPart => self.journal.at(seal, 1).map(drop),
            Told::Bundle => sources.each(seal, &mut |_| Ok(())),
        };
        let lost = Lost { ring: &ring, bears_out: &bears_out };
        let (members, away) = self.as_user(pin, || self.carry_everywhere(pin, &lost, bringing))?;
        Ok(Combined { ring, told, members, away })
    }

    fn told(&self) -> Result<Told> {
        Ok(match (self.store.head()?.position, self.store.note(note::RESTORING)?) {
            (0, _) => Told::Bundle,
            (_, Some(_)) => Told::LogInPart,
            (_, None) => Told::Log,
        })
    }

    fn carry_everywhere(
        self: &Arc<Self>,
        pin: &Secret,
        lost: &Lost<'_>,
        bringing: &Bringing<'_>,
    ) -> Result<Everywhere> {
        let (reached, away) = self.reach_all(pin);
        let seal = Self::open_seal((&reached, &away), lost, bringing)?;
        *self.seal.write() = Some(seal);
        self.take_in_log()?;
        let mut away: Vec<_> =
            away.into_iter().map(|(name, error)| (name, error.to_string())).collect();
        let mut members = Vec::new();
        for member in &reached {
            match self.carry_to(member, lost.ring, bringing) {
                Ok(carried) => members.push(carried),
                Err(error) => away.push((member.station.name().to_owned(), error.to_string())),
            }
        }
        match (members.is_empty(), away.last()) {
            (true, Some((_, why))) => Err(Error::new(CKR_DEVICE_ERROR, why.clone())),
            _ => Ok((members, away)),
        }
    }

    /// Brings the ring to a member.
    fn carry_to(&self, member: &Reached, ring: &Ring, bringing: &Bringing<'_>) -> Result<Carried> {
        let (name, desk) = (member.station.name(), member.lease.desk());
        let roster = self.roster()?;
        // A log that is restored in part is not written to; whoever restores the rest brings the members in.
        let whole = self.told()? == Told::Log;
        let counted = roster.as_ref().is_some_and(|it| it.since.contains_key(name));
        let left = roster.as_ref().is_some_and(|it| it.left.contains(name));
        let given = pair::find(&desk, ring).is_err();
        if given {
            pair::tidy(&desk, Some(&ring.id), &[])?;
            self.examine(&member.lease, bringing)?;
            self.give_ring(&desk, ring, (false, counted && whole), bringing)?;
        }
        Ok(Carried {
            name: name.to_owned(),
            given,
            counts: counted && !given,
            known: counted || left,
        })
    }

    /// Nothing says which ring is meant.
    fn untold(&self) -> Error {
        let label = &self.settings.label;
        let message = format!(
            "token {label} has no log, so nothing here tells of its key ring: name one of its bundles with --from FILE. (If it never \
             was paired, `tandem pair --token {label}` makes a ring)"
        );
        Error::new(CKR_ARGUMENTS_BAD, message)
    }
}
