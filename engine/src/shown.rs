//! What an object shows: the attributes of its class, completed once when it is made, so that they read alike whichever
//! member answers, before and after any failover (PKCS #11 3.2 section 4).

use tandem_values::{AttributeType, Template, Value, ck::*};

/// How an object came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Generated here, by this mechanism.
    Generated(u64),
    /// Imported, unwrapped or derived: its past is unknown.
    Imported,
    /// Derived from a key whose past is known: was it always sensitive, was it never extractable?
    Derived {
        /// CKA_ALWAYS_SENSITIVE of the base key.
        always_sensitive: bool,
        /// CKA_NEVER_EXTRACTABLE of the base key.
        never_extractable: bool,
    },
}

/// Completes the template of an object with the defaults of its class. What the caller asked stays.
pub fn complete(template: &mut Template, origin: Origin) {
    let class = template.class().unwrap_or(CKO_DATA);
    let private = matches!(class, CKO_PRIVATE_KEY | CKO_SECRET_KEY);
    template.set_default(CKA_TOKEN, false);
    template.set_default(CKA_PRIVATE, private);
    for flag in [CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE] {
        template.set_default(flag, true);
    }
    template.set_default(CKA_LABEL, "");
    match class {
        CKO_PRIVATE_KEY | CKO_PUBLIC_KEY | CKO_SECRET_KEY => complete_key(template, class, origin),
        CKO_CERTIFICATE => complete_certificate(template),
        CKO_DATA => {
            for kind in [CKA_APPLICATION, CKA_OBJECT_ID, CKA_VALUE] {
                template.set_default(kind, "");
            }
        }
        _ => {}
    }
}

fn complete_key(template: &mut Template, class: u64, origin: Origin) {
    for kind in [CKA_ID, CKA_START_DATE, CKA_END_DATE] {
        template.set_default(kind, "");
    }
    template.set_default(CKA_ALLOWED_MECHANISMS, Vec::<u64>::new());
    let generated_by = match origin {
        Origin::Generated(mechanism) => Some(mechanism),
        Origin::Imported | Origin::Derived { .. } => None,
    };
    template.set(CKA_LOCAL, generated_by.is_some());
    template.set(CKA_KEY_GEN_MECHANISM, generated_by.unwrap_or(CK_UNAVAILABLE_INFORMATION));
    let key_type = template.key_type().unwrap_or(CK_UNAVAILABLE_INFORMATION);
    for (kind, default) in usage(class, key_type) {
        template.set_default(*kind, *default);
    }
    if class == CKO_PUBLIC_KEY {
        template.set_default(CKA_SUBJECT, "");
        template.set_default(CKA_TRUSTED, false);
        return;
    }
    if class == CKO_PRIVATE_KEY {
        template.set_default(CKA_SUBJECT, "");
        template.set_default(CKA_ALWAYS_AUTHENTICATE, false);
    } else {
        template.set_default(CKA_TRUSTED, false);
    }
    template.set_default(CKA_WRAP_WITH_TRUSTED, false);
    template.set_default(CKA_SENSITIVE, true);
    template.set_default(CKA_EXTRACTABLE, false);
    let (sensitive, extractable) = (template.is(CKA_SENSITIVE), template.is(CKA_EXTRACTABLE));
    let (always, never) = match origin {
        Origin::Generated(_) => (sensitive, !extractable),
        Origin::Imported => (false, false),
        Origin::Derived { always_sensitive, never_extractable } => {
            (always_sensitive && sensitive, never_extractable && !extractable)
        }
    };
    template.set(CKA_ALWAYS_SENSITIVE, always);
    template.set(CKA_NEVER_EXTRACTABLE, never);
}

fn complete_certificate(template: &mut Template) {
    template.set_default(CKA_CERTIFICATE_CATEGORY, CK_CERTIFICATE_CATEGORY_UNSPECIFIED);
    for kind in [
        CKA_ID,
        CKA_SUBJECT,
        CKA_ISSUER,
        CKA_SERIAL_NUMBER,
        CKA_VALUE,
        CKA_START_DATE,
        CKA_END_DATE,
    ] {
        template.set_default(kind, "");
    }
    template.set_default(CKA_TRUSTED, false);
}

/// The usage flags of a class and their defaults: what the key type can do, as the software tokens in the field have it.
const fn usage(class: u64, key_type: u64) -> &'static [(AttributeType, bool)] {
    match (class, key_type) {
        (CKO_PRIVATE_KEY, CKK_RSA) => &[
            (CKA_DECRYPT, true),
            (CKA_SIGN, true),
            (CKA_SIGN_RECOVER, true),
            (CKA_UNWRAP, true),
            (CKA_DERIVE, false),
        ],
        (CKO_PRIVATE_KEY, CKK_EC | CKK_EC_EDWARDS | CKK_DSA | CKK_ML_DSA | CKK_SLH_DSA) => &[
            (CKA_DECRYPT, false),
            (CKA_SIGN, true),
            (CKA_SIGN_RECOVER, false),
            (CKA_UNWRAP, false),
            (CKA_DERIVE, false),
        ],
        (CKO_PRIVATE_KEY, CKK_ML_KEM) => &[
            (CKA_DECRYPT, false),
            (CKA_SIGN, false),
            (CKA_SIGN_RECOVER, false),
            (CKA_UNWRAP, false),
            (CKA_DERIVE, false),
            (CKA_DECAPSULATE, true),
        ],
        (CKO_PRIVATE_KEY, _) => &[
            (CKA_DECRYPT, false),
            (CKA_SIGN, false),
            (CKA_SIGN_RECOVER, false),
            (CKA_UNWRAP, false),
            (CKA_DERIVE, true),
        ],
        (CKO_PUBLIC_KEY, CKK_RSA) => &[
            (CKA_ENCRYPT, true),
            (CKA_VERIFY, true),
            (CKA_VERIFY_RECOVER, true),
            (CKA_WRAP, true),
            (CKA_DERIVE, false),
        ],
        (CKO_PUBLIC_KEY, CKK_EC | CKK_EC_EDWARDS | CKK_DSA | CKK_ML_DSA | CKK_SLH_DSA) => &[
            (CKA_ENCRYPT, false),
            (CKA_VERIFY, true),
            (CKA_VERIFY_RECOVER, false),
            (CKA_WRAP, false),
            (CKA_DERIVE, false),
        ],
        (CKO_PUBLIC_KEY, CKK_ML_KEM) => &[
            (CKA_ENCRYPT, false),
            (CKA_VERIFY, false),
            (CKA_VERIFY_RECOVER, false),
            (CKA_WRAP, false),
            (CKA_DERIVE, false),
            (CKA_ENCAPSULATE, true),
        ],
        (CKO_PUBLIC_KEY, _) => &[
            (CKA_ENCRYPT, false),
            (CKA_VERIFY, false),
            (CKA_VERIFY_RECOVER, false),
            (CKA_WRAP, false),
            (CKA_DERIVE, false),
        ],
        _ => &[
            (CKA_ENCRYPT, true),
            (CKA_DECRYPT, true),
            (CKA_SIGN, true),
            (CKA_VERIFY, true),
            (CKA_WRAP, true),
            (CKA_UNWRAP, true),
            (CKA_DERIVE, false),
        ],
    }
}

/// True for an attribute that may never be seen of a sensitive or unextractable key (PKCS #11 3.2 section 4.2).
pub fn is_secret(class: u64, kind: AttributeType) -> bool {
    match class {
        CKO_SECRET_KEY => kind == CKA_VALUE,
        CKO_PRIVATE_KEY => matches!(
            kind,
            CKA_VALUE
                | CKA_PRIVATE_EXPONENT
                | CKA_PRIME_1
                | CKA_PRIME_2
                | CKA_EXPONENT_1
                | CKA_EXPONENT_2
                | CKA_COEFFICIENT
                | CKA_SEED
        ),
        _ => false,
    }
}

/// The attributes of a private key that its public part gives it.
pub fn public_of_private(public: &Template) -> Template {
    public.filtered(|kind| {
        matches!(
            kind,
            CKA_MODULUS
                | CKA_PUBLIC_EXPONENT
                | CKA_EC_PARAMS
                | CKA_PRIME
                | CKA_SUBPRIME
                | CKA_BASE
                | CKA_PARAMETER_SET
        )
    })
}

/// The attributes that are a public key: what a judge needs to verify with it.
pub const fn is_public_part(kind: AttributeType) -> bool {
    matches!(
        kind,
        CKA_CLASS
            | CKA_KEY_TYPE
            | CKA_MODULUS
            | CKA_PUBLIC_EXPONENT
            | CKA_EC_PARAMS
            | CKA_EC_POINT
            | CKA_PRIME
            | CKA_SUBPRIME
            | CKA_BASE
            | CKA_VALUE
            | CKA_PARAMETER_SET
    )
}

/// The attributes to read of a fresh public key of this type, of a fresh private or secret key, and of fresh domain parameters.
pub const fn material(class: u64, key_type: u64) -> &'static [AttributeType] {
    match (class, key_type) {
        (CKO_PUBLIC_KEY, CKK_RSA) => &[CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_MODULUS_BITS],
        (CKO_PRIVATE_KEY, CKK_RSA) => &[CKA_MODULUS, CKA_PUBLIC_EXPONENT],
        (CKO_PUBLIC_KEY, CKK_EC | CKK_EC_EDWARDS | CKK_EC_MONTGOMERY) => {
            &[CKA_EC_PARAMS, CKA_EC_POINT]
        }
        (CKO_PRIVATE_KEY, CKK_EC | CKK_EC_EDWARDS | CKK_EC_MONTGOMERY) => &[CKA_EC_PARAMS],
        (CKO_PUBLIC_KEY, CKK_DSA) => &[CKA_PRIME, CKA_SUBPRIME, CKA_BASE, CKA_VALUE],
        (CKO_PRIVATE_KEY | CKO_DOMAIN_PARAMETERS, CKK_DSA) => &[CKA_PRIME, CKA_SUBPRIME, CKA_BASE],
        (CKO_PUBLIC_KEY, CKK_DH) => &[CKA_PRIME, CKA_BASE, CKA_VALUE],
        (CKO_PRIVATE_KEY | CKO_DOMAIN_PARAMETERS, CKK_DH) => &[CKA_PRIME, CKA_BASE],
        (CKO_PUBLIC_KEY, _) => &[CKA_PARAMETER_SET, CKA_VALUE],
        (CKO_PRIVATE_KEY, _) => &[CKA_PARAMETER_SET],
        (CKO_SECRET_KEY, _) => &[CKA_VALUE_LEN],
        _ => &[],
    }
}

/// The CKA_MODULUS_BITS of a modulus.
pub fn modulus_bits(modulus: &[u8]) -> u64 {
    let mut bytes = modulus.iter().skip_while(|byte| **byte == 0);
    let Some(first) = bytes.next() else { return 0 };
    let rest = u64::try_from(bytes.count()).unwrap_or(0);
    rest.saturating_mul(8).saturating_add(u64::from(8u32.saturating_sub(first.leading_zeros())))
}

/// A flag as a value, for comparisons.
pub const fn flag(value: bool) -> Value {
    Value::Flag(value)
}
