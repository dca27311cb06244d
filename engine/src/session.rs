//! A session of the application with a virtual token (PKCS #11 3.2 sections 5.6 and 5.7). Making is in `make` and `import`,
//! operations in `operation`, PINs in `admin`.

use crate::check::{self, Purpose};
use crate::error::{Error, Result};
use crate::held::Held;
use crate::member::User;
use crate::object::{Kek, Object};
use crate::operation::{Activity, Begun};
use crate::shelf::Entry;
use crate::shown;
use crate::step::Step;
use crate::token::Token;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_values::template::Reading;
use tandem_values::vendor_attributes::{self as tandem, is_tandem};
use tandem_values::{Attribute, AttributeType, Handle, Secret, Template, Value, ck::*};

/// What C_GetSessionInfo tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// CKS_…
    pub state: u64,
    /// CKF_RW_SESSION, CKF_SERIAL_SESSION.
    pub flags: u64,
}

/// A session of the application.
pub struct Session {
    token: Arc<Token>,
    number: u64,
    writes: bool,
    closed: AtomicBool,
    found: Mutex<Option<VecDeque<Handle>>>,
    /// The operations under way. A session belongs to one thread at a time (section 5.6.1), so this lock, the only one
    /// held while a vendor's code runs, makes nobody wait but who breaks that rule.
    pub(crate) activity: Mutex<Activity>,
    /// How its operations were begun.
    pub(crate) begun: Mutex<Begun>,
}

impl Session {
    pub(crate) fn new(token: Arc<Token>, number: u64, writes: bool) -> Self {
        Self {
            token,
            number,
            writes,
            closed: AtomicBool::new(false),
            found: Mutex::default(),
            activity: Mutex::default(),
            begun: Mutex::default(),
        }
    }

    /// The token it belongs to.
    pub fn token(&self) -> &Arc<Token> {
        &self.token
    }

    /// Its number, which names it within the token.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// True if it was opened for writing.
    pub(crate) fn writes(&self) -> bool {
        self.writes
    }

    /// C_CloseSession. The module forgets the handle first. Session objects go; the last session's end is a logout.
    pub fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.end_operations();
            self.token.forget_session(self.number);
        }
    }

    /// Ends every operation without a result.
    pub fn end_operations(&self) {
        *self.found.lock() = None;
        *self.activity.lock() = Activity::default();
    }

    /// C_GetSessionInfo: the virtual token's state, never that of a member (section 5.6.1).
    pub fn info(&self) -> SessionInfo {
        let login = self.token.login.read();
        let state = match (login.user(), self.writes) {
            (Some(User::So), _) => CKS_RW_SO_FUNCTIONS,
            (Some(_), true) => CKS_RW_USER_FUNCTIONS,
            (Some(_), false) => CKS_RO_USER_FUNCTIONS,
            (None, true) => CKS_RW_PUBLIC_SESSION,
            (None, false) => CKS_RO_PUBLIC_SESSION,
        };
        let flags = CKF_SERIAL_SESSION | if self.writes { CKF_RW_SESSION } else { 0 };
        SessionInfo { state, flags }
    }

    /// C_Login.
    pub fn login(&self, user: User, pin: Option<&Secret>) -> Result {
        match user {
            User::Context => self.authenticate(pin),
            User::So | User::User => self.token.log_in(user, pin),
        }
    }

    /// C_Login(CKU_CONTEXT_SPECIFIC): for the operation just begun, and again wherever it moves.
    fn authenticate(&self, pin: Option<&Secret>) -> Result {
        if !self.token.login.read().is_user() {
            return Err(CKR_USER_NOT_LOGGED_IN.into());
        }
        self.step(Step::Authenticate(pin.cloned()), crate::step::Room::Query).map(|_| ())
    }

    /// C_Logout.
    pub fn logout(&self) -> Result {
        self.token.log_out()
    }

    /// C_FindObjectsInit: takes a snapshot of what matches now. Private objects are found after login only.
    pub fn find_init(&self, template: &Template) -> Result {
        if self.found.lock().is_some() {
            return Err(CKR_OPERATION_ACTIVE.into());
        }
        if let Err(error) = self.token.shelf.refresh() {
            log::warn!("{error}; answering from what this process knows");
        }
        let user = self.token.login.read().is_user();
        let (own, plain) = split(template);
        let seen = |object: &Object| user || !object.is_private();
        let mut found = self.token.shelf.handles(&plain, user)?;
        let sealed = self.find_sealed(&plain)?.into_iter();
        found.extend(sealed.filter(|entry| seen(&entry.object)).map(|entry| entry.handle));
        let transients = self.token.transients.find(&plain).into_iter();
        found.extend(transients.filter(|t| seen(&t.object)).map(|t| t.handle));
        found.extend(self.token.find_profiles(template, &plain));
        if !own.is_empty() {
            found = self.having(found, &own)?;
        }
        *self.found.lock() = Some(found.into());
        Ok(())
    }

    /// Objects whose value is sealed in the log and is the one that is looked for: they are known by its fingerprint.
    fn find_sealed(&self, wanted: &Template) -> Result<Vec<Arc<Entry>>> {
        let (Some(value), Ok(seal)) = (wanted.bytes(CKA_VALUE), self.token.seal()) else {
            return Ok(Vec::new());
        };
        let fingerprint = Some(seal.fingerprint(value));
        let mut found = self.token.shelf.find(&wanted.filtered(|kind| kind != CKA_VALUE))?;
        found.retain(|entry| {
            entry.object.kek == Some(Kek::Data) && entry.object.fingerprint == fingerprint
        });
        Ok(found)
    }

    /// Of these the ones that have attributes of Tandem's own.
    fn having(&self, handles: Vec<Handle>, own: &Template) -> Result<Vec<Handle>> {
        let mut having = Vec::new();
        for handle in handles {
            let held = self.token.named(handle)?;
            having.extend(held.filter(|held| self.has_own(held, own)).map(|_| handle));
        }
        Ok(having)
    }

    /// True if an object has these attributes of Tandem's own.
    fn has_own(&self, held: &Held, own: &Template) -> bool {
        own.iter()
            .all(|Attribute { kind, value }| self.own(held, *kind) == Reading::Value(value.clone()))
    }

    /// C_FindObjects: at most `max` further handles.
    pub fn find_next(&self, max: usize) -> Result<Vec<Handle>> {
        let mut found = self.found.lock();
        let found = found.as_mut().ok_or_else(|| Error::from(CKR_OPERATION_NOT_INITIALIZED))?;
        let count = max.min(found.len());
        Ok(found.drain(..count).collect())
    }

    /// C_FindObjectsFinal.
    pub fn find_final(&self) -> Result {
        self.found.lock().take().map(|_| ()).ok_or_else(|| CKR_OPERATION_NOT_INITIALIZED.into())
    }

    /// C_GetAttributeValue: an answer for each attribute asked, in order.
    pub fn read(&self, object: Handle, kinds: &[AttributeType]) -> Result<Vec<Reading>> {
        let held = self.token.held(object)?;
        let secret = |kind: &AttributeType| shown::is_secret(held.object().class(), *kind);
        let hidden = is_hidden(held.object());
        let wanted: Vec<_> = kinds.iter().copied().filter(|kind| secret(kind) && !hidden).collect();
        let mut secrets =
            if wanted.is_empty() { Vec::new() } else { self.token.read_secret(&held, &wanted)? }
                .into_iter();
        kinds
            .iter()
            .map(|kind| match kind {
                kind if secret(kind) && hidden => Ok(Reading::Sensitive),
                kind if secret(kind) => Ok(secrets.next().unwrap_or(Reading::Invalid)),
                kind => self.reading(&held, *kind),
            })
            .collect()
    }

    fn reading(&self, held: &Held, kind: AttributeType) -> Result<Reading> {
        if is_tandem(kind) || kind == CKA_UNIQUE_ID {
            return Ok(self.own(held, kind));
        }
        if kind == CKA_VALUE && held.object().kek == Some(Kek::Data) {
            return Ok(Reading::Value(self.token.read_data(held.object())?.to_vec().into()));
        }
        Ok(held
            .object()
            .template
            .get(kind)
            .map_or(Reading::Invalid, |value| Reading::Value(value.clone())))
    }

    /// An attribute of Tandem's own (`pkcs11-headers/tandem-pkcs11.h`).
    fn own(&self, held: &Held, kind: AttributeType) -> Reading {
        let object = held.object();
        if is_tandem(kind) && object.class() == CKO_PROFILE {
            return Reading::Invalid;
        }
        Reading::Value(match kind {
            CKA_UNIQUE_ID => object.id.to_string().as_str().into(),
            tandem::CKA_TANDEM_BACKED_UP => self.token.backed_up(held).is_some().into(),
            tandem::CKA_TANDEM_BACKED_UP_AT => {
                let at = self.token.backed_up(held).map(|(_, at_ms)| rfc3339(at_ms));
                at.unwrap_or_default().as_str().into()
            }
            tandem::CKA_TANDEM_BACKUP_ID => {
                let id = self.token.backed_up(held).map(|(id, _)| id.to_string());
                id.unwrap_or_default().as_str().into()
            }
            tandem::CKA_TANDEM_CREATED_AT => rfc3339(object.created_at_ms).as_str().into(),
            tandem::CKA_TANDEM_OBJECT_ID => object.id.0.as_slice().into(),
            tandem::CKA_TANDEM_REPLICAS => match held {
                Held::Token(entry) => {
                    u64::try_from(self.token.replicas_of(entry)).unwrap_or(0).into()
                }
                Held::Transient(_) => Value::Number(0),
            },
            _ => return Reading::Invalid,
        })
    }

    /// C_GetObjectSize, in bytes: what the object takes in the catalogue and, wrapped, in the log.
    pub fn size(&self, object: Handle) -> Result<u64> {
        let held = self.token.held(object)?;
        let shown = minicbor::to_vec(held.object()).map_err(|_| Error::from(CKR_GENERAL_ERROR))?;
        u64::try_from(shown.len()).map_err(|_| CKR_GENERAL_ERROR.into())
    }

    /// C_DestroyObject.
    pub fn destroy(&self, object: Handle) -> Result {
        let held = self.token.held(object)?;
        self.may_change(&held)?;
        if held.object().template.flag(CKA_DESTROYABLE) == Some(false) {
            return Err(CKR_ACTION_PROHIBITED.into());
        }
        match held {
            Held::Token(entry) => self.token.destroy_token_object(&entry),
            Held::Transient(transient) => {
                if let Some(transient) = self.token.transients.remove(transient.handle) {
                    self.token.destroy_places(&transient);
                }
                Ok(())
            }
        }
    }

    /// May this session change or destroy this object?
    pub(crate) fn may_change(&self, held: &Held) -> Result {
        if held.object().is_token() && !self.writes {
            return Err(CKR_SESSION_READ_ONLY.into());
        }
        if held.object().is_token() && !self.token.login.read().is_user() {
            return Err(CKR_USER_NOT_LOGGED_IN.into());
        }
        Ok(())
    }

    /// C_SetAttributeValue.
    pub fn write(&self, object: Handle, template: &Template) -> Result {
        let held = self.token.held(object)?;
        self.may_change(&held)?;
        let template = &check::template(template, Purpose::Set)?;
        let shown = &held.object().template;
        if shown.flag(CKA_MODIFIABLE) == Some(false) {
            return Err(CKR_ACTION_PROHIBITED.into());
        }
        check_changes(shown, template, false)?;
        match &held {
            Held::Token(entry) => self.token.change_token_object(entry, template),
            Held::Transient(transient) => {
                let mut object = transient.object.clone();
                let tightened = self.token.tightened(&held, template)?;
                object.template.merge(template);
                let mut wrapped = transient.wrapped.clone();
                if let Some(tightened) = tightened {
                    object.set_under(Some(tightened.under));
                    wrapped = Some(tightened.bytes);
                }
                self.token.transients.replace(transient, object, wrapped);
                Ok(())
            }
        }
    }

    /// C_GenerateRandom.
    pub fn random(&self, len: usize) -> Result<Vec<u8>> {
        self.token.on_random(|lease| lease.station().member.random(lease.session(), len))
    }

    /// C_SeedRandom: given to every member that takes it; one that takes seeds is enough.
    pub fn seed(&self, seed: &[u8]) -> Result {
        self.token.on_random(|lease| lease.station().member.seed(lease.session(), seed))
    }
}

/// Every attribute that a change sets must be one that may be set, and flags go one way (section 4.1.2).
pub(crate) fn check_changes(shown: &Template, changes: &Template, copying: bool) -> Result {
    for attribute in changes {
        let same = shown.get(attribute.kind) == Some(&attribute.value);
        if !same || !copying {
            check::settable(shown, attribute.kind, copying)?;
        }
        let loosens = match attribute.kind {
            CKA_SENSITIVE | CKA_WRAP_WITH_TRUSTED => {
                shown.is(attribute.kind) && attribute.value == Value::Flag(false)
            }
            CKA_EXTRACTABLE | CKA_COPYABLE => {
                shown.flag(attribute.kind) == Some(false) && attribute.value == Value::Flag(true)
            }
            _ => false,
        };
        if loosens {
            return Err(CKR_ATTRIBUTE_READ_ONLY.into());
        }
    }
    Ok(())
}

/// True if a key's secret attributes may not be seen.
pub(crate) fn is_hidden(object: &Object) -> bool {
    let keyed = matches!(object.class(), CKO_PRIVATE_KEY | CKO_SECRET_KEY);
    keyed
        && (object.template.flag(CKA_SENSITIVE) != Some(false)
            || !object.template.is(CKA_EXTRACTABLE))
}

/// A find template, parted into Tandem's own attributes and the others. CKA_UNIQUE_ID is Tandem's to make up.
fn split(template: &Template) -> (Template, Template) {
    let own = |kind: AttributeType| is_tandem(kind) || kind == CKA_UNIQUE_ID;
    (template.filtered(own), template.filtered(|kind| !own(kind)))
}

/// Milliseconds since the Unix epoch as RFC 3339 (UTC), by the civil calendar.
pub fn rfc3339(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    // Days since 0000-03-01, so that the leap day ends the year.
    let z = days.saturating_add(719_468);
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let seconds = rest / 1_000;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        rest % 1_000
    )
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_civil() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_798_761_599_000), "2026-12-31T23:59:59.000Z");
    }
}
