//! What the security officer does: initialising the token and setting PINs, on all members or on none (PKCS #11 3.2
//! sections 5.5.7, 5.5.8 and 5.5.9).

use crate::error::{Error, Result};
use crate::fault::{Answer, Fault};
use crate::member::User;
use crate::report::Condition;
use crate::session::Session;
use crate::station::Station;
use crate::token::{Token, note};
use std::sync::Arc;
use tandem_values::{Secret, ck::*};

impl Token {
    /// C_InitToken: everything is erased and a new log begins. The first login of the user pairs the members anew.
    pub fn init_token(&self, pin: Option<&Secret>, label: &str) -> Result {
        self.may_init()?;
        if !self.open_sessions().is_empty() {
            return Err(CKR_SESSION_EXISTS.into());
        }
        let _turn = self.login_turn.lock();
        self.end_rest();
        // What fenced a member is what this puts right, so it counts as there; unless nothing comes of it.
        let fenced = self.unfence_all();
        let done = self.init_members(pin, label);
        if done.is_err() {
            for station in fenced {
                self.heed_fence(station);
            }
        }
        done
    }

    fn init_members(&self, pin: Option<&Secret>, label: &str) -> Result {
        // A token outside the ring may be anybody's: it is not erased with the others, and nothing is left apart.
        self.all_up(self.stations.iter())?;
        let mut done = 0_usize;
        for station in &self.stations {
            station.leave();
            let own = station.settings.label.as_deref().unwrap_or(label);
            if let Err(fault) = station.member.init_token(pin, own) {
                if done == 0 {
                    return Err(fault.into());
                }
                self.begin_anew(label)?;
                return Err(self.half_way(station, fault, "C_InitToken"));
            }
            station.forget();
            done = done.saturating_add(1);
        }
        self.begin_anew(label)
    }

    /// Lets fenced members in, and answers which they were. The notes that fenced them go when a new log begins.
    fn unfence_all(&self) -> Vec<&Arc<Station>> {
        let fenced: Vec<_> = self
            .stations
            .iter()
            .filter(|station| station.condition().0 == Condition::Fenced)
            .collect();
        for station in &fenced {
            station.health(crate::health::Health::unfence);
        }
        fenced
    }

    /// Keeps a member out, in every process, until it is initialised.
    fn fence(&self, station: &Station, reason: &str) {
        let name = note::member(station.name(), note::FENCED);
        if let Err(error) = self.store.set_note(&name, Some(reason.as_bytes())) {
            log::error!(
                "that member {} is fenced could not be noted for other processes: {error}",
                station.name()
            );
        }
        station.fence(reason.to_owned());
    }

    /// Keeps out what another process has fenced.
    pub(crate) fn heed_fence(&self, station: &Station) {
        if let Ok(Some(reason)) = self.store.note(&note::member(station.name(), note::FENCED)) {
            let reason = String::from_utf8_lossy(&reason).into_owned();
            station.health(|health| health.fence(reason));
        }
    }

    /// Empties the store. The serial number and the site stay: the slot is the same as before.
    fn begin_anew(&self, label: &str) -> Result {
        let (serial, site) = (self.store.note(note::SERIAL)?, self.store.note(note::SITE)?);
        self.store.begin_anew()?;
        self.store.set_note(note::SERIAL, serial.as_deref())?;
        self.store.set_note(note::SITE, site.as_deref())?;
        self.store.set_note(note::LABEL, Some(label.as_bytes()))?;
        self.store.set_note(note::FRESH, Some(b"1"))?;
        self.shelf.clear();
        *self.ring.write() = None;
        self.heed_roster();
        for station in &self.stations {
            self.note_abilities(station);
        }
        Ok(())
    }

    fn may_init(&self) -> Result {
        if self.settings.allow_init {
            return Ok(());
        }
        Err(Error::new(
            CKR_TOKEN_WRITE_PROTECTED,
            format!(
                "token {}: initialising it and changing its PINs is switched off; `allow_init = true` in the configuration \
                 allows it",
                self.settings.label
            ),
        ))
    }

    /// Every member must be there: what only some of them took would leave them apart.
    fn all_up<'a>(&self, mut wanted: impl Iterator<Item = &'a Arc<Station>>) -> Result {
        self.wake_all();
        match wanted.find(|station| !station.is_up()) {
            None => Ok(()),
            Some(away) => Err(Error::new(
                CKR_DEVICE_REMOVED,
                format!(
                    "token {}: member {} is away ({}), and this must be done on all members or on none; bring it back or \
                     take it out of the configuration",
                    self.settings.label,
                    away.name(),
                    away.condition().1
                ),
            )),
        }
    }

    /// A member failed after others had done it: it is kept out until it is initialised.
    fn half_way(&self, station: &Station, fault: Fault, what: &str) -> Error {
        let reason =
            format!("{what} failed there while others did it ({fault}); initialise it again");
        self.fence(station, &reason);
        Error::new(
            fault.rv.0,
            format!(
                "member {}: {what} failed ({fault}) after others had done it: it is fenced until {what} succeeds",
                station.name()
            ),
        )
    }

    /// True if a member says that its user PIN is set.
    pub(crate) fn has_user_pin(&self) -> bool {
        self.stations
            .iter()
            .filter(|station| station.is_up())
            .find_map(|station| station.member.token().ok())
            .is_some_and(|info| info.flags & CKF_USER_PIN_INITIALIZED != 0)
    }

    fn set_pins(&self, user: User, old: Option<&Secret>, new: Option<&Secret>) -> Result {
        self.all_up(self.members())?;
        let mut done: Vec<&Arc<Station>> = Vec::new();
        for station in self.members().filter(|s| user == User::So || s.settings.pin.is_none()) {
            match change_pin(station, old, new) {
                Ok(()) => done.push(station),
                Err(fault) => {
                    let stuck: Vec<_> = done
                        .iter()
                        .filter(|station| change_pin(station, new, old).is_err())
                        .map(|station| station.name().to_owned())
                        .collect();
                    for name in &stuck {
                        if let Some(station) = self.station(name) {
                            self.fence(
                                station,
                                "its PIN was changed and could not be set back; set it by hand, or initialise the token",
                            );
                        }
                    }
                    return Err(if done.is_empty() {
                        fault.into()
                    } else {
                        Error::new(
                            fault.rv.0,
                            format!(
                                "member {} did not change its PIN ({fault}); the others were set back",
                                station.name()
                            ),
                        )
                    });
                }
            }
        }
        Ok(())
    }
}

/// C_SetPIN in a session of its own.
fn change_pin(station: &Arc<Station>, old: Option<&Secret>, new: Option<&Secret>) -> Answer {
    let lease = station.lease()?;
    station.member.set_pin(lease.session(), old, new)
}

impl Session {
    /// C_InitPIN.
    pub fn init_pin(&self, pin: Option<&Secret>) -> Result {
        let token = self.token();
        if !token.login.read().is_so() {
            return Err(CKR_USER_NOT_LOGGED_IN.into());
        }
        token.may_init()?;
        token.all_up(token.members())?;
        if let Some(out) = token.members().find(|station| station.logged_in() != Some(User::So)) {
            return Err(Error::new(
                CKR_DEVICE_REMOVED,
                format!(
                    "member {}: the security officer is not logged in there; see `tandem status`",
                    out.name()
                ),
            ));
        }
        let mut done = false;
        for station in token.members() {
            let own = station.settings.pin.as_ref().map(|source| source.pin()).transpose();
            let own = own.map_err(|reason| {
                Error::new(CKR_DEVICE_ERROR, format!("member {}: {reason}", station.name()))
            })?;
            let answer = station
                .lease()
                .and_then(|lease| station.member.init_pin(lease.session(), own.as_ref().or(pin)));
            match answer {
                Ok(()) => done = true,
                Err(fault) if done => return Err(token.half_way(station, fault, "C_InitPIN")),
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(())
    }

    /// C_SetPIN: the PIN of who is logged in, the user's if nobody is.
    pub fn set_pin(&self, old: Option<&Secret>, new: Option<&Secret>) -> Result {
        let token = self.token();
        if !self.writes() {
            return Err(CKR_SESSION_READ_ONLY.into());
        }
        token.may_init()?;
        let user = token.login.read().user().unwrap_or(User::User);
        let _turn = token.login_turn.lock();
        token.end_rest();
        token.set_pins(user, old, new)?;
        if token.login.read().user().is_some() {
            token.keep_pin(new);
        }
        Ok(())
    }
}

impl Station {
    /// Keeps the member out until the operator, or an initialisation, brings it back.
    pub(crate) fn fence(&self, reason: String) {
        log::error!("member {} is fenced: {reason}", self.name());
        self.health(|health| health.fence(reason));
        self.forget();
    }

    /// Closes our sessions there, so that the token can be initialised.
    pub(crate) fn leave(&self) {
        self.close_idle();
        self.close_anchor();
    }
}
