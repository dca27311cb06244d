//! Whether a member counts: what the log tells of it is heeded in every process, while it runs.
//!
//! A member that the configuration names and the log doesn't is left alone. It may be anybody's token.

use crate::error::Result;
use crate::log::Position;
use crate::report::Condition;
use crate::settings::Duty;
use crate::station::Station;
use crate::token::Token;
use std::sync::Arc;

/// What a member is to the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// The token is not paired: whoever is configured will be a member.
    Unpaired,
    /// It has held the ring since this position of the log.
    Member(Position),
    /// The log doesn't count it among the members.
    Outside,
    /// This process is about to bring it in, or to wipe it, or it is a backup token: the rest of the engine leaves it alone.
    Aside,
}

impl Standing {
    const fn counts(self) -> bool {
        !matches!(self, Self::Outside | Self::Aside)
    }
}

impl Token {
    /// The members: those of the configuration that the log counts.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Arc<Station>> {
        self.stations.iter().filter(|station| !station.health(|health| health.is_outside()))
    }

    /// Those of them that hold keys: all but the generators.
    pub(crate) fn keepers(&self) -> impl Iterator<Item = &Arc<Station>> {
        self.members().filter(|station| station.does(Duty::Keys))
    }

    /// True for the name of a member that holds keys, as far as the configuration tells.
    pub(crate) fn keeps_keys(&self, name: &str) -> bool {
        self.any_station(name).is_none_or(|station| station.does(Duty::Keys))
    }

    /// The generators to which new keys are left. One that is down is one all the same: a key made elsewhere would not have
    /// what it is there for. One that the operator has drained or taken out is none.
    pub(crate) fn generators(&self) -> impl Iterator<Item = &Arc<Station>> {
        self.members().filter(|station| {
            station.does(Duty::Making) && !self.is_drained(station).unwrap_or(false)
        })
    }

    /// Takes in who holds the ring now, unless the store can't be read: nothing changes then of what was known.
    pub(crate) fn heed_roster(&self) {
        let _ = self.read_roster();
    }

    /// The same for who is about to write to a member: an error says that it may not be one any more.
    pub(crate) fn read_roster(&self) -> Result {
        let roster = self.roster()?;
        if let Some(roster) = &roster
            && let Some(ring) = &mut *self.ring.write()
        {
            *ring = Arc::clone(&roster.ring);
        }
        for station in &self.stations {
            let standing = match &roster {
                None => Standing::Unpaired,
                Some(roster) => roster
                    .since
                    .get(station.name())
                    .map_or(Standing::Outside, |at| Standing::Member(*at)),
            };
            if station.standing() != Standing::Aside {
                self.take_standing(station, standing);
            }
        }
        Ok(())
    }

    fn take_standing(&self, station: &Station, now: Standing) {
        let before = station.set_standing(now);
        if before == now {
            return;
        }
        let name = station.name();
        match (before, now) {
            (Standing::Unknown, Standing::Outside) => {}
            (_, Standing::Outside) => {
                log::info!("member {name} has left token {}", self.settings.label);
                station.go();
            }
            (Standing::Outside | Standing::Aside | Standing::Member(_), Standing::Member(_)) => {
                log::info!("member {name} has joined token {}", self.settings.label);
                station.begin_again("it has joined and is looked for");
            }
            (Standing::Outside | Standing::Aside, Standing::Unpaired) => {
                station.begin_again("a new log has begun");
            }
            _ => {}
        }
    }

    /// Says which members of the configuration are not used.
    pub(crate) fn tell_outsiders(&self) {
        let outside = |station: &&Arc<Station>| station.standing() == Standing::Outside;
        for station in self.stations.iter().filter(outside) {
            let (_, why) = station.condition();
            log::warn!("token {}: member {}: {why}", self.settings.label, station.name());
        }
    }

    /// Keeps a member apart from what the rest of the engine does, until [`Token::settle`].
    pub(crate) fn set_aside(station: &Station) {
        station.set_standing(Standing::Aside);
        station.go();
    }

    /// Ends what [`Token::set_aside`] began: the member is to this process what the log says.
    pub(crate) fn settle(&self, station: &Station) {
        // A backup token stays apart, whatever the log says of it.
        if self.is_vault(station.name()) {
            Self::set_aside(station);
            station.stop();
            return;
        }
        if station.standing() == Standing::Aside {
            station.go();
            station.set_standing(Standing::Outside);
            self.heed_roster();
        }
    }
}

impl Station {
    /// What it is to the token.
    pub(crate) fn standing(&self) -> Standing {
        *self.standing.lock()
    }

    /// Notes what it is to the token, and answers what it was.
    pub(crate) fn set_standing(&self, now: Standing) -> Standing {
        self.health(|health| health.set_outside(!now.counts()));
        std::mem::replace(&mut *self.standing.lock(), now)
    }

    /// True if the log counts it among the members, or there is none yet.
    pub(crate) fn counts(&self) -> bool {
        self.standing().counts()
    }

    /// Leaves it: our login and sessions there end.
    fn go(&self) {
        self.logout();
        self.leave();
        self.forget();
    }

    /// Whatever was known of it counts no more: it is brought up from the start, at once.
    fn begin_again(&self, why: &str) {
        self.leave();
        self.forget();
        self.health(|health| {
            health.renew();
            health.lose(self.now_ms(), why.to_owned());
        });
    }
}

/// Why a member that does not count is not used.
pub(crate) fn outside(name: &str) -> (Condition, String) {
    (
        Condition::Outside,
        format!(
            "it does not hold the key ring of this token; `tandem member add {name} --shares DIR` brings it in"
        ),
    )
}
