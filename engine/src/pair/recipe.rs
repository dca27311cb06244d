//! The templates of pairing: what a key of the ring is on a member, and what a closed one lets out.

use crate::desk::Desk;
use crate::ring::{Generation, Ring, RingKey};
use tandem_values::{Mechanism, Template, ck::*};

/// CKA_ID of every key of every ring: one search finds them, and the label tells which is which.
pub(super) const RING_ID: &[u8] = b"tandem key ring";
/// How long every key of a ring is, in bytes.
pub(super) const KEY_LEN: u64 = 32;

/// Where an unwrapped key of the ring goes.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// To the token, as a key of the ring of this identity and generation.
    Token(&'a [u8; 16], Generation),
    /// Into the session, for a check.
    Session,
    /// Into the session, where what it opens can be wrapped again.
    Bench,
    /// Into the session, where it can be wrapped itself.
    Passing,
}

/// AES for the keys that wrap or encrypt, a generic secret for the one that MACs.
const fn key_type(key: RingKey) -> u64 {
    match key {
        RingKey::Private | RingKey::Secret | RingKey::Open | RingKey::Data => CKK_AES,
        RingKey::Log => CKK_GENERIC_SECRET,
    }
}

/// How a key of the ring is generated.
pub(super) const fn generator(key: RingKey) -> Mechanism {
    Mechanism::plain(match key {
        RingKey::Private | RingKey::Secret | RingKey::Open | RingKey::Data => CKM_AES_KEY_GEN,
        RingKey::Log => CKM_GENERIC_SECRET_KEY_GEN,
    })
}

/// The key as it is generated: it can be wrapped, and can do nothing else, for the moment that it lives.
pub(super) fn fresh(key: RingKey) -> Template {
    let template = Template::new()
        .with(CKA_CLASS, CKO_SECRET_KEY)
        .with(CKA_KEY_TYPE, key_type(key))
        .with(CKA_VALUE_LEN, KEY_LEN)
        .with(CKA_TOKEN, false)
        .with(CKA_PRIVATE, true)
        .with(CKA_SENSITIVE, true)
        .with(CKA_EXTRACTABLE, true);
    with_usage(template, &[])
}

/// The one mechanism that a key of the ring may be used with on this member.
pub(super) fn mechanism(desk: &Desk<'_>, key: RingKey) -> u64 {
    match key {
        RingKey::Private | RingKey::Secret | RingKey::Open => desk.member.quirks().kwp,
        RingKey::Log => CKM_SHA256_HMAC,
        RingKey::Data => CKM_AES_GCM,
    }
}

/// True for the keys that wrap others.
pub(super) const fn is_kek(key: RingKey) -> bool {
    matches!(key, RingKey::Private | RingKey::Secret | RingKey::Open)
}

/// What a key of the ring may do.
const fn usage(key: RingKey) -> &'static [u64] {
    match key {
        RingKey::Private | RingKey::Secret | RingKey::Open => &[CKA_WRAP, CKA_UNWRAP],
        RingKey::Log => &[CKA_SIGN, CKA_VERIFY],
        RingKey::Data => &[CKA_ENCRYPT, CKA_DECRYPT],
    }
}

/// Everything that a secret key may be allowed to do.
pub(super) const USAGE: [u64; 7] =
    [CKA_WRAP, CKA_UNWRAP, CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_DERIVE];

fn with_usage(mut template: Template, allowed: &[u64]) -> Template {
    for kind in USAGE {
        template.set(kind, allowed.contains(&kind));
    }
    template
}

/// The key as it is unwrapped on a member, locked.
///
/// CKA_MODIFIABLE stands last: SoftHSM applies attributes in order, and nothing after it. Each of the others was
/// found to be needed against one attack or another on SoftHSM or Kryoptic; [`super::attack`] tries them all.
pub(super) fn locked(desk: &Desk<'_>, key: RingKey, place: Place<'_>) -> Template {
    let mut template =
        Template::new().with(CKA_CLASS, CKO_SECRET_KEY).with(CKA_KEY_TYPE, key_type(key));
    match place {
        Place::Token(ring, generation) => {
            template.set(CKA_TOKEN, true);
            template.set(CKA_ID, RING_ID);
            template.set(CKA_LABEL, Ring::label(ring, key, generation).as_str());
        }
        Place::Session => template.set(CKA_TOKEN, false),
        Place::Bench => return unlocked(template, key, false),
        Place::Passing => return unlocked(template, key, true),
    }
    let template =
        template.with(CKA_PRIVATE, true).with(CKA_SENSITIVE, true).with(CKA_EXTRACTABLE, false);
    let mut template = with_usage(template, usage(key)).with(CKA_COPYABLE, false);
    template.set(CKA_ALLOWED_MECHANISMS, vec![mechanism(desk, key)]);
    if let Some(class) = opens(key) {
        template.set(CKA_UNWRAP_TEMPLATE, close(Template::new().with(CKA_CLASS, class)));
    }
    template.with(CKA_MODIFIABLE, false)
}

/// A key that is replaced, for as long as that takes: a session object without the locks that it has on the token.
fn unlocked(template: Template, key: RingKey, extractable: bool) -> Template {
    let template = template
        .with(CKA_TOKEN, false)
        .with(CKA_PRIVATE, true)
        .with(CKA_SENSITIVE, true)
        .with(CKA_EXTRACTABLE, extractable);
    with_usage(template, usage(key))
}

/// The class of the keys that a closed KEK opens; `None` for the others.
pub(super) const fn opens(key: RingKey) -> Option<u64> {
    match key {
        RingKey::Private => Some(CKO_PRIVATE_KEY),
        RingKey::Secret => Some(CKO_SECRET_KEY),
        RingKey::Open | RingKey::Log | RingKey::Data => None,
    }
}

/// A template of a key with all that a closed KEK demands of what it opens. Every flag is stated, since SoftHSM takes one
/// left out for the other.
///
/// Nothing may be derived from a secret key, nor that be changed, nor the key copied: Kryoptic 1.5.4 derives keys by
/// XOR, concatenation and extraction that show the key and don't inherit its lock (its `native/simplekdf.rs`, against
/// PKCS #11 3.2 section 6.43). So a key from which its owner wants to derive is the open KEK's.
pub(crate) fn close(mut template: Template) -> Template {
    template.set(CKA_SENSITIVE, true);
    template.set(CKA_EXTRACTABLE, false);
    if template.class() == Some(CKO_SECRET_KEY) {
        template.set(CKA_DERIVE, false);
        template.set(CKA_COPYABLE, false);
        // Last, as in `locked`.
        template.remove(CKA_MODIFIABLE);
        template.set(CKA_MODIFIABLE, false);
    }
    template
}

/// A session key with this usage as a closed KEK lets it out.
pub(super) fn closed(class: u64, key_type: u64, usage: &[u64]) -> Template {
    let mut template = Template::new()
        .with(CKA_CLASS, class)
        .with(CKA_KEY_TYPE, key_type)
        .with(CKA_TOKEN, false)
        .with(CKA_PRIVATE, true);
    for kind in usage {
        template.set(*kind, true);
    }
    close(template)
}
