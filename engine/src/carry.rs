//! Carrying an object to a member: the templates with which it is unwrapped or created there.

use crate::bare;
use crate::desk::Desk;
use crate::fault::Answer;
use crate::object::{Kek, Object};
use crate::pair;
use tandem_values::{AttributeType, Handle, Mechanism, Template, ck::*, vendor_attributes};

/// Attributes that only the catalogue keeps: the virtual token enforces or makes them up, so that a replica can always
/// be repaired or removed, and reads alike whichever vendor holds it.
pub const fn is_catalogue_only(kind: AttributeType) -> bool {
    vendor_attributes::is_tandem(kind)
        || matches!(
            kind,
            CKA_MODIFIABLE
                | CKA_COPYABLE
                | CKA_DESTROYABLE
                | CKA_START_DATE
                | CKA_END_DATE
                | CKA_LOCAL
                | CKA_NEVER_EXTRACTABLE
                | CKA_ALWAYS_SENSITIVE
                | CKA_KEY_GEN_MECHANISM
                | CKA_MODULUS_BITS
                | CKA_UNIQUE_ID
                | CKA_TRUSTED
                | CKA_CHECK_VALUE
                | CKA_PUBLIC_KEY_INFO
                | CKA_WRAP_WITH_TRUSTED
                | CKA_PROFILE_ID
        )
}

/// True for an attribute that a key's own material decides, so that no unwrap template may name it. A CKA_VALUE_LEN
/// there makes some modules cut a key short without a word.
const fn is_material(kind: AttributeType) -> bool {
    matches!(
        kind,
        CKA_VALUE
            | CKA_VALUE_LEN
            | CKA_MODULUS
            | CKA_PUBLIC_EXPONENT
            | CKA_PRIVATE_EXPONENT
            | CKA_PRIME_1
            | CKA_PRIME_2
            | CKA_EXPONENT_1
            | CKA_EXPONENT_2
            | CKA_COEFFICIENT
            | CKA_EC_PARAMS
            | CKA_EC_POINT
            | CKA_PRIME
            | CKA_SUBPRIME
            | CKA_BASE
            | CKA_VALUE_BITS
            | CKA_SEED
            | CKA_PARAMETER_SET
    )
}

/// True for text and the like that is empty: vendors differ on whether they take an empty one.
fn is_empty(template: &Template, kind: AttributeType) -> bool {
    let may_be_left_out = matches!(
        kind,
        CKA_SUBJECT
            | CKA_ISSUER
            | CKA_SERIAL_NUMBER
            | CKA_ALLOWED_MECHANISMS
            | CKA_ID
            | CKA_LABEL
            | CKA_APPLICATION
            | CKA_OBJECT_ID
            | CKA_VALUE
    );
    may_be_left_out
        && (template.bytes(kind).is_some_and(<[u8]>::is_empty)
            || template.numbers(kind).is_some_and(<[u64]>::is_empty))
}

/// The template with which a key is unwrapped on a member: the caller's id, label and usage, and locked.
pub fn locked(object: &Object) -> Template {
    let shown = &object.template;
    let template = shown
        .filtered(|kind| !is_catalogue_only(kind) && !is_material(kind) && !is_empty(shown, kind));
    match object.kek {
        Some(Kek::Private | Kek::Secret) => pair::close(template),
        kek => sized(template, kek, object).with(CKA_SENSITIVE, true).with(CKA_EXTRACTABLE, false),
    }
}

/// The value of a key doesn't say of which parameter set it is, as a wrapped private key does. So the template of one that is
/// carried by its value, and only that, names the set.
fn sized(mut template: Template, kek: Option<Kek>, object: &Object) -> Template {
    if let (Some(Kek::Bare), Some(set)) = (kek, object.template.get(CKA_PARAMETER_SET)) {
        template.set(CKA_PARAMETER_SET, set.clone());
    }
    template
}

/// A twin: a session object of the same wrapped bytes, with usage of our own, for proofs and for what a locked replica
/// must not do.
pub fn twin(object: &Object, usage: &[(AttributeType, bool)]) -> Template {
    let mut template = stripped(object).with(CKA_EXTRACTABLE, false);
    for (kind, flag) in usage {
        template.set(*kind, *flag);
    }
    match object.kek {
        Some(Kek::Private | Kek::Secret) => pair::close(template),
        kek => sized(template, kek, object),
    }
}

/// A private session key of an object's class and type.
fn stripped(object: &Object) -> Template {
    let mut template = Template::new();
    template.set(CKA_CLASS, object.class());
    if let Some(key_type) = object.template.key_type() {
        template.set(CKA_KEY_TYPE, key_type);
    }
    template.with(CKA_TOKEN, false).with(CKA_PRIVATE, true).with(CKA_SENSITIVE, true)
}

/// A key on its way from one KEK to another: a session object that can be wrapped, for that moment. One that is carried by its value
/// stays a value.
pub fn passing(object: &Object) -> Template {
    if object.kek == Some(Kek::Bare) {
        return bare::passing();
    }
    stripped(object).with(CKA_EXTRACTABLE, true)
}

/// The template with which an object without a secret part is created on a member.
pub fn public(object: &Object) -> Template {
    let shown = &object.template;
    shown.filtered(|kind| !is_catalogue_only(kind) && !is_empty(shown, kind))
}

/// The attributes by which a replica is looked for on a member. They are no proof: ids and labels aren't unique.
pub fn search(object: &Object) -> Template {
    let shown = &object.template;
    shown
        .filtered(|kind| {
            matches!(
                kind,
                CKA_CLASS
                    | CKA_KEY_TYPE
                    | CKA_ID
                    | CKA_LABEL
                    | CKA_APPLICATION
                    | CKA_CERTIFICATE_TYPE
            ) && !is_empty(shown, kind)
        })
        .with(CKA_TOKEN, true)
}

/// Wraps a key under a key of the ring, by RFC 5649 under the number this member's module has for it.
pub fn wrap(desk: &Desk<'_>, kek: Handle, key: Handle) -> Answer<Vec<u8>> {
    desk.member.wrap(desk.session, &Mechanism::plain(desk.member.quirks().kwp), kek, key)
}

/// Unwraps a key under a key of the ring.
pub fn unwrap(desk: &Desk<'_>, kek: Handle, wrapped: &[u8], template: &Template) -> Answer<Handle> {
    if template.has(CKA_PARAMETER_SET) {
        return bare::unwrap(desk, kek, wrapped, template);
    }
    desk.member.unwrap(
        desk.session,
        &Mechanism::plain(desk.member.quirks().kwp),
        kek,
        wrapped,
        template,
    )
}
