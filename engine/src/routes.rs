//! What can be carried from where to where, as pairing found it: a key that a member could never take is refused before
//! it is made.

use crate::error::{Error, Result};
use crate::ring::{Ring, Route};
use crate::settings::{Duty, Offer};
use crate::station::Station;
use crate::token::Token;
use tandem_values::{Template, ck::*};

/// The name by which pairing tried keys like this one: all of it, or what it begins with.
fn kind(template: &Template) -> Option<(&'static str, bool)> {
    let odd = template.number(CKA_VALUE_LEN).is_some_and(|len| len % 8 != 0);
    Some(match (template.class()?, template.key_type()?) {
        (CKO_PRIVATE_KEY, CKK_RSA) => ("rsa:", false),
        (CKO_PRIVATE_KEY, CKK_EC) => ("ec:", false),
        (CKO_PRIVATE_KEY, CKK_EC_EDWARDS) => ("ed25519", false),
        (CKO_SECRET_KEY, CKK_AES) => ("aes:", false),
        (CKO_SECRET_KEY, CKK_GENERIC_SECRET) => ("generic:", odd),
        _ => return None,
    })
}

/// The routes that pairing tried for keys like this one. Odd lengths are their own kind.
fn tried<'a>(ring: &'a Ring, prefix: &'static str, odd: bool) -> impl Iterator<Item = &'a Route> {
    ring.routes.iter().filter(move |route| {
        let len = route.kind.strip_prefix("generic:").and_then(|len| len.parse::<u64>().ok());
        route.kind.starts_with(prefix) && len.is_none_or(|len| (len % 8 != 0) == odd)
    })
}

impl Token {
    /// The same to members that hold keys: what can't go to a backup token or a generator need not.
    fn tried_at_work<'a>(
        &'a self,
        ring: &'a Ring,
        prefix: &'static str,
        odd: bool,
    ) -> impl Iterator<Item = &'a Route> {
        tried(ring, prefix, odd).filter(|route| self.keeps_keys(&route.to))
    }

    /// Refuses a token object that some member could never take from those whose duty it is to make it, or that too few could
    /// where the token offers what any can do, and says which and why.
    pub(crate) fn can_be_carried(&self, template: &Template, duty: Duty) -> Result {
        if !template.is(CKA_TOKEN) {
            return Ok(());
        }
        let (mut able, mut unable) = (0_usize, None);
        for station in self.keepers() {
            let why = self.lacks(station, template);
            match why.or_else(|| self.not_carried(station, template, &[duty])) {
                None => able = able.saturating_add(1),
                Some(why) => unable = unable.or_else(|| Some((station.name(), why))),
            }
        }
        let Some((name, why)) = unable else { return Ok(()) };
        let (label, wanted) = (&self.settings.label, self.settings.min_replicas.max(1));
        let told = match self.settings.mechanisms {
            Offer::Common => format!(
                "token {label}: member {name} can't take keys of this kind ({why}), so none is made; choose a kind that every member \
                 holds (`tandem doctor` lists them)"
            ),
            Offer::Any if able >= wanted => return Ok(()),
            Offer::Any => format!(
                "token {label}: {able} of its members can hold keys of this kind and min_replicas = {wanted}, so none is made: \
                 member {name} can't ({why}); add a member that can, lower min_replicas, or choose another kind"
            ),
        };
        Err(Error::new(CKR_KEY_NOT_WRAPPABLE, told))
    }

    /// Why pairing could bring a member no keys like this one from those that have these duties; `None` if it could, or has not
    /// tried such keys.
    pub(crate) fn not_carried(
        &self,
        station: &Station,
        template: &Template,
        from: &[Duty],
    ) -> Option<String> {
        let ((prefix, odd), ring) = (kind(template)?, self.ring.read().clone()?);
        let generators: Vec<_> = match from {
            [Duty::Keys] => Vec::new(),
            _ => self.generators().map(|station| station.name()).collect(),
        };
        let makes = |name: &str| {
            from.iter().any(|duty| match duty {
                Duty::Keys => self.keeps_keys(name),
                Duty::Making => generators.contains(&name),
            })
        };
        let failures = self
            .tried_at_work(&ring, prefix, odd)
            .filter(|route| route.to == station.name() && makes(&route.from));
        let mut failures = failures.peekable();
        failures.peek()?;
        let reason = failures.try_fold("", |_, route| route.failure.as_deref().ok_or(()));
        reason.ok().map(|reason| format!("{prefix} {reason}"))
    }

    /// True if pairing carried such keys from this member to every other that can hold them: it is asked first to make one.
    pub(crate) fn carries_everywhere(&self, from: &str, template: &Template) -> bool {
        let (Some((prefix, odd)), Some(ring)) = (kind(template), self.ring.read().clone()) else {
            return true;
        };
        let can_hold = |name: &str| {
            self.any_station(name).is_none_or(|to| self.beyond(to, template).is_none())
        };
        self.tried_at_work(&ring, prefix, odd)
            .filter(|route| route.from == from && can_hold(&route.to))
            .all(|route| route.failure.is_none())
    }
}
