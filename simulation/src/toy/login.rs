//! Sessions and logins of a toy HSM. A login belongs to a process, and ends with its last session.

use super::{Hsm, Life, Sitting};
use std::collections::BTreeMap;
use tandem_engine::fault::{Answer, Call, Fault};
use tandem_engine::member::{SessionId, User};
use tandem_values::ck::*;

/// So many wrong PINs in a row lock the token.
const TRIES_MAX: usize = 10;

impl Hsm {
    /// C_OpenSession.
    pub fn open(&mut self, life: Life, writes: bool) -> SessionId {
        self.sittings_made += 1;
        let sitting = Sitting { life, writes, operations: BTreeMap::new() };
        self.sittings.insert(self.sittings_made, sitting);
        SessionId(self.sittings_made)
    }

    /// C_CloseSession.
    pub fn close(&mut self, life: Life, session: SessionId) -> Answer {
        self.sitting(life, session, Call::Session)?;
        self.end_sitting(session.0);
        if !self.sittings.values().any(|sitting| sitting.life == life) {
            self.logins.remove(&life);
        }
        Ok(())
    }

    pub(super) fn end_sitting(&mut self, number: u64) {
        self.sittings.remove(&number);
        self.objects.retain(|_, thing| thing.session != Some(number));
    }

    /// C_Login. A wrong PIN is noted, and too many of them lock the token.
    pub fn login(
        &mut self,
        life: Life,
        session: SessionId,
        user: User,
        pin: Option<&[u8]>,
    ) -> Answer {
        self.sitting(life, session, Call::Login)?;
        if user != User::User {
            return Err(Fault::new(Call::Login, CKR_FUNCTION_NOT_SUPPORTED));
        }
        if self.logins.contains_key(&life) {
            return Err(Fault::new(Call::Login, CKR_USER_ALREADY_LOGGED_IN));
        }
        if self.refused.len() >= TRIES_MAX {
            return Err(Fault::new(Call::Login, CKR_PIN_LOCKED));
        }
        if pin != Some(&self.pin) {
            self.refused.push((life, pin.unwrap_or_default().to_vec()));
            return Err(Fault::new(Call::Login, CKR_PIN_INCORRECT));
        }
        self.logins.insert(life, user);
        Ok(())
    }

    /// C_Logout.
    pub fn logout(&mut self, life: Life, session: SessionId) -> Answer {
        self.sitting(life, session, Call::Login)?;
        if !self.logins.contains_key(&life) {
            return Err(Fault::new(Call::Login, CKR_USER_NOT_LOGGED_IN));
        }
        self.log_out(life);
        Ok(())
    }

    /// Ends a login: private session objects of the process go.
    pub(super) fn log_out(&mut self, life: Life) {
        self.logins.remove(&life);
        let sittings = &mut self.sittings;
        let own = |of: u64| sittings.get(&of).is_some_and(|sitting| sitting.life == life);
        self.objects
            .retain(|_, thing| !(thing.session.is_some_and(own) && thing.template.is(CKA_PRIVATE)));
        for sitting in sittings.values_mut().filter(|sitting| sitting.life == life) {
            sitting.operations.clear();
        }
    }

    /// C_GetSessionInfo: CKS_….
    pub fn state(&mut self, life: Life, session: SessionId) -> Answer<u64> {
        let user = self.is_user(life);
        let sitting = self.sitting(life, session, Call::Session)?;
        Ok(match (user, sitting.writes) {
            (true, true) => CKS_RW_USER_FUNCTIONS,
            (true, false) => CKS_RO_USER_FUNCTIONS,
            (false, true) => CKS_RW_PUBLIC_SESSION,
            (false, false) => CKS_RO_PUBLIC_SESSION,
        })
    }

    /// C_SetPIN.
    pub fn set_pin(&mut self, life: Life, session: SessionId, old: &[u8], new: &[u8]) -> Answer {
        self.sitting(life, session, Call::Admin)?;
        if old != self.pin {
            self.refused.push((life, old.to_vec()));
            return Err(Fault::new(Call::Admin, CKR_PIN_INCORRECT));
        }
        self.pin = new.to_vec();
        Ok(())
    }
}
