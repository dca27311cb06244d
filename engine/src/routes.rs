//! What can be carried from where to where, as pairing found it: a key that a member could never take is refused before
//! it is made.

use crate::error::{Error, Result};
use crate::ring::{Ring, Route};
use crate::settings::Duty;
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

    /// Refuses a token object that some member could never take from those whose duty it is to make it, and says which and why.
    pub(crate) fn can_be_carried(&self, template: &Template, duty: Duty) -> Result {
        let (Some((prefix, odd)), Some(ring)) = (kind(template), self.ring.read().clone()) else {
            return Ok(());
        };
        if !template.is(CKA_TOKEN) {
            return Ok(());
        }
        let generators: Vec<_> = match duty {
            Duty::Keys => Vec::new(),
            Duty::Making => self.generators().map(|station| station.name()).collect(),
        };
        let makes = |name: &str| match duty {
            Duty::Keys => self.keeps_keys(name),
            Duty::Making => generators.contains(&name),
        };
        for station in self.keepers() {
            let failures = self
                .tried_at_work(&ring, prefix, odd)
                .filter(|route| route.to == station.name() && makes(&route.from));
            let mut failures = failures.peekable();
            if failures.peek().is_none() {
                continue;
            }
            let reason = failures.try_fold("", |_, route| route.failure.as_deref().ok_or(()));
            if let Ok(reason) = reason {
                return Err(Error::new(
                    CKR_KEY_NOT_WRAPPABLE,
                    format!(
                        "token {}: member {} can't take keys of this kind ({prefix} {reason}), so none is made; choose a kind that \
                         every member holds (`tandem doctor` lists them)",
                        self.settings.label,
                        station.name()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// True if pairing carried such keys from this member to every other: it is asked first to make one.
    pub(crate) fn carries_everywhere(&self, from: &str, template: &Template) -> bool {
        let (Some((prefix, odd)), Some(ring)) = (kind(template), self.ring.read().clone()) else {
            return true;
        };
        self.tried_at_work(&ring, prefix, odd)
            .filter(|route| route.from == from)
            .all(|route| route.failure.is_none())
    }
}
