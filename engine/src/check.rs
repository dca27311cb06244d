//! What a template may ask: the rules that hold for every object, before any member is asked.

use crate::error::{Error, Result};
use std::borrow::Cow;
use tandem_values::{AttributeType, Template, ck::*, names, vendor_attributes};

/// What the template is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// C_CreateObject: everything is given.
    Create,
    /// C_GenerateKey, C_GenerateKeyPair, C_UnwrapKey, C_DeriveKey: the token adds the key itself.
    Make,
    /// C_CopyObject.
    Copy,
    /// C_SetAttributeValue.
    Set,
}

/// The greatest length of a key that is asked of a member, in bits or bytes as the attribute has it. A module that is
/// asked for more may try to find the memory, and take the application down when there is none.
const KEY_LENGTH_MAX: u64 = 1 << 16;

/// Checks a template that an application gave (PKCS #11 3.2 section 4.1.1 and 4.1.3), and answers it with everything
/// named once: vendors differ on whether an attribute may be repeated.
pub fn template(template: &Template, purpose: Purpose) -> Result<Template> {
    let mut once = Template::new();
    for attribute in template {
        let kind = attribute.kind;
        if is_read_only(kind) || (kind == CKA_TRUSTED && template.is(CKA_TRUSTED)) {
            return Err(CKR_ATTRIBUTE_READ_ONLY.into());
        }
        if !is_known(kind) {
            return Err(CKR_ATTRIBUTE_TYPE_INVALID.into());
        }
        if is_key_length(kind)
            && template.number(kind).is_some_and(|length| length > KEY_LENGTH_MAX)
        {
            return Err(CKR_ATTRIBUTE_VALUE_INVALID.into());
        }
        match once.get(kind) {
            Some(value) if *value != attribute.value => {
                return Err(CKR_TEMPLATE_INCONSISTENT.into());
            }
            Some(_) => {}
            None => once.push(attribute.clone()),
        }
    }
    if matches!(purpose, Purpose::Set) && template.has(CKA_CLASS) {
        return Err(CKR_ATTRIBUTE_READ_ONLY.into());
    }
    Ok(once)
}

/// Attributes of every object that is stored (PKCS #11 3.2 section 4.4).
const STORED: [AttributeType; 7] =
    [CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE, CKA_LABEL, CKA_COPYABLE, CKA_DESTROYABLE];

/// Attributes of data objects (section 4.5).
const OF_DATA: [AttributeType; 3] = [CKA_APPLICATION, CKA_OBJECT_ID, CKA_VALUE];

/// Attributes of certificates (section 4.6).
const OF_CERTIFICATES: [AttributeType; 20] = [
    CKA_CERTIFICATE_TYPE,
    CKA_TRUSTED,
    CKA_CERTIFICATE_CATEGORY,
    CKA_CHECK_VALUE,
    CKA_START_DATE,
    CKA_END_DATE,
    CKA_PUBLIC_KEY_INFO,
    CKA_SUBJECT,
    CKA_ID,
    CKA_ISSUER,
    CKA_SERIAL_NUMBER,
    CKA_VALUE,
    CKA_URL,
    CKA_HASH_OF_SUBJECT_PUBLIC_KEY,
    CKA_HASH_OF_ISSUER_PUBLIC_KEY,
    CKA_JAVA_MIDP_SECURITY_DOMAIN,
    CKA_NAME_HASH_ALGORITHM,
    CKA_OWNER,
    CKA_AC_ISSUER,
    CKA_ATTR_TYPES,
];

/// Checks an object that no member judges when it is made: it has what its class must have and nothing that it can't.
pub fn whole(template: &Template) -> Result {
    let own: &[AttributeType] = match template.class() {
        Some(CKO_DATA) => &OF_DATA,
        Some(CKO_CERTIFICATE) => &OF_CERTIFICATES,
        _ => return Ok(()),
    };
    if template.iter().any(|one| !STORED.contains(&one.kind) && !own.contains(&one.kind)) {
        return Err(CKR_ATTRIBUTE_TYPE_INVALID.into());
    }
    if template.class() == Some(CKO_CERTIFICATE) && !is_whole_certificate(template) {
        return Err(CKR_TEMPLATE_INCOMPLETE.into());
    }
    Ok(())
}

/// A certificate has a type; one of X.509 a subject, and a value unless it says where that is (section 4.6.3).
fn is_whole_certificate(template: &Template) -> bool {
    let has = |kind| template.has(kind);
    match template.number(CKA_CERTIFICATE_TYPE) {
        Some(CKC_X_509) => has(CKA_SUBJECT) && (has(CKA_VALUE) || has(CKA_URL)),
        kind => kind.is_some(),
    }
}

const fn is_key_length(kind: AttributeType) -> bool {
    matches!(
        kind,
        CKA_VALUE_LEN | CKA_VALUE_BITS | CKA_MODULUS_BITS | CKA_PRIME_BITS | CKA_SUBPRIME_BITS
    )
}

/// No key that is to be made is of no length, nor an AES key of one that AES doesn't have: some modules take a zero for a
/// length that wasn't given, and some any length. Nor is it for no mechanism at all: some members tell an empty list of a key that
/// is for all, so that nobody could tell the one from the other.
pub fn values(template: &Template) -> Result {
    let none =
        [CKA_VALUE_LEN, CKA_MODULUS_BITS].iter().any(|kind| template.number(*kind) == Some(0));
    let value = template.bytes(CKA_VALUE).map(|value| value.len() as u64);
    let len = value.or_else(|| template.number(CKA_VALUE_LEN));
    let odd =
        template.key_type() == Some(CKK_AES) && len.is_some_and(|len| !matches!(len, 16 | 24 | 32));
    let idle = template.numbers(CKA_ALLOWED_MECHANISMS).is_some_and(<[u64]>::is_empty);
    if none || odd || idle { Err(CKR_ATTRIBUTE_VALUE_INVALID.into()) } else { Ok(()) }
}

/// Checks that a template's class and key type, where given, are what the call makes, and sets them.
pub fn expect(template: &mut Template, class: u64, key_type: Option<u64>) -> Result {
    if template.class().is_some_and(|given| given != class) {
        return Err(CKR_TEMPLATE_INCONSISTENT.into());
    }
    template.set(CKA_CLASS, class);
    if let Some(key_type) = key_type {
        if template.key_type().is_some_and(|given| given != key_type) {
            return Err(CKR_TEMPLATE_INCONSISTENT.into());
        }
        template.set(CKA_KEY_TYPE, key_type);
    }
    Ok(())
}

/// Attributes that no application sets.
pub const fn is_read_only(kind: AttributeType) -> bool {
    vendor_attributes::is_tandem(kind)
        || matches!(
            kind,
            CKA_LOCAL
                | CKA_KEY_GEN_MECHANISM
                | CKA_ALWAYS_SENSITIVE
                | CKA_NEVER_EXTRACTABLE
                | CKA_UNIQUE_ID
        )
}

/// True for attributes of the specification. A vendor's own mean nothing to the other members.
pub fn is_known(kind: AttributeType) -> bool {
    matches!(names::attribute(kind), Cow::Borrowed(_))
}

/// The key type that a key generation mechanism makes (PKCS #11 3.2 section 6).
pub const fn generated(mechanism: u64) -> Option<(u64, u64)> {
    Some(match mechanism {
        CKM_RSA_PKCS_KEY_PAIR_GEN | CKM_RSA_X9_31_KEY_PAIR_GEN => (CKO_PRIVATE_KEY, CKK_RSA),
        CKM_DSA_KEY_PAIR_GEN => (CKO_PRIVATE_KEY, CKK_DSA),
        CKM_DH_PKCS_KEY_PAIR_GEN => (CKO_PRIVATE_KEY, CKK_DH),
        CKM_EC_KEY_PAIR_GEN | CKM_EC_KEY_PAIR_GEN_W_EXTRA_BITS => (CKO_PRIVATE_KEY, CKK_EC),
        CKM_EC_EDWARDS_KEY_PAIR_GEN => (CKO_PRIVATE_KEY, CKK_EC_EDWARDS),
        CKM_EC_MONTGOMERY_KEY_PAIR_GEN => (CKO_PRIVATE_KEY, CKK_EC_MONTGOMERY),
        CKM_ML_DSA_KEY_PAIR_GEN => (CKO_PRIVATE_KEY, CKK_ML_DSA),
        CKM_SLH_DSA_KEY_PAIR_GEN => (CKO_PRIVATE_KEY, CKK_SLH_DSA),
        CKM_ML_KEM_KEY_PAIR_GEN => (CKO_PRIVATE_KEY, CKK_ML_KEM),
        CKM_GOSTR3410_KEY_PAIR_GEN => (CKO_PRIVATE_KEY, CKK_GOSTR3410),
        CKM_GENERIC_SECRET_KEY_GEN => (CKO_SECRET_KEY, CKK_GENERIC_SECRET),
        CKM_AES_KEY_GEN => (CKO_SECRET_KEY, CKK_AES),
        CKM_AES_XTS_KEY_GEN => (CKO_SECRET_KEY, CKK_AES_XTS),
        CKM_DES_KEY_GEN => (CKO_SECRET_KEY, CKK_DES),
        CKM_DES2_KEY_GEN => (CKO_SECRET_KEY, CKK_DES2),
        CKM_DES3_KEY_GEN => (CKO_SECRET_KEY, CKK_DES3),
        CKM_CHACHA20_KEY_GEN => (CKO_SECRET_KEY, CKK_CHACHA20),
        CKM_POLY1305_KEY_GEN => (CKO_SECRET_KEY, CKK_POLY1305),
        CKM_HKDF_KEY_GEN => (CKO_SECRET_KEY, CKK_HKDF),
        CKM_SHA_1_KEY_GEN => (CKO_SECRET_KEY, CKK_SHA_1_HMAC),
        CKM_SHA224_KEY_GEN => (CKO_SECRET_KEY, CKK_SHA224_HMAC),
        CKM_SHA256_KEY_GEN => (CKO_SECRET_KEY, CKK_SHA256_HMAC),
        CKM_SHA384_KEY_GEN => (CKO_SECRET_KEY, CKK_SHA384_HMAC),
        CKM_SHA512_KEY_GEN => (CKO_SECRET_KEY, CKK_SHA512_HMAC),
        CKM_GOST28147_KEY_GEN => (CKO_SECRET_KEY, CKK_GOST28147),
        CKM_DSA_PARAMETER_GEN => (CKO_DOMAIN_PARAMETERS, CKK_DSA),
        CKM_DH_PKCS_PARAMETER_GEN => (CKO_DOMAIN_PARAMETERS, CKK_DH),
        _ => return None,
    })
}

/// The type of the keys that a mechanism works with, where there is but one (PKCS #11 3.2 section 6).
pub const fn works_with(mechanism: u64) -> Option<u64> {
    Some(match mechanism {
        CKM_RSA_PKCS
        | CKM_RSA_X_509
        | CKM_RSA_PKCS_OAEP
        | CKM_RSA_PKCS_PSS
        | CKM_SHA1_RSA_PKCS
        | CKM_SHA224_RSA_PKCS
        | CKM_SHA256_RSA_PKCS
        | CKM_SHA384_RSA_PKCS
        | CKM_SHA512_RSA_PKCS
        | CKM_SHA1_RSA_PKCS_PSS
        | CKM_SHA224_RSA_PKCS_PSS
        | CKM_SHA256_RSA_PKCS_PSS
        | CKM_SHA384_RSA_PKCS_PSS
        | CKM_SHA512_RSA_PKCS_PSS => CKK_RSA,
        CKM_ECDSA | CKM_ECDSA_SHA1 | CKM_ECDSA_SHA224 | CKM_ECDSA_SHA256 | CKM_ECDSA_SHA384
        | CKM_ECDSA_SHA512 => CKK_EC,
        CKM_EDDSA => CKK_EC_EDWARDS,
        CKM_ML_DSA | CKM_HASH_ML_DSA | CKM_HASH_ML_DSA_SHA224..=CKM_HASH_ML_DSA_SHAKE256 => {
            CKK_ML_DSA
        }
        CKM_SLH_DSA | CKM_HASH_SLH_DSA | CKM_HASH_SLH_DSA_SHA224..=CKM_HASH_SLH_DSA_SHAKE256 => {
            CKK_SLH_DSA
        }
        CKM_ML_KEM => CKK_ML_KEM,
        CKM_AES_ECB
        | CKM_AES_CBC
        | CKM_AES_CBC_PAD
        | CKM_AES_CTR
        | CKM_AES_GCM
        | CKM_AES_CCM
        | CKM_AES_CMAC
        | CKM_AES_KEY_WRAP
        | CKM_AES_KEY_WRAP_PAD
        | CKM_AES_KEY_WRAP_KWP
        | CKM_AES_KEY_WRAP_PKCS7 => CKK_AES,
        _ => return None,
    })
}

/// May an attribute of this object be set (PKCS #11 3.2 sections 4.1.2 and 4.4 to 4.10)?
pub fn settable(object: &Template, kind: AttributeType, copying: bool) -> Result {
    let refused = || Err(Error::from(CKR_ATTRIBUTE_READ_ONLY));
    match kind {
        CKA_TOKEN | CKA_PRIVATE | CKA_MODIFIABLE | CKA_DESTROYABLE | CKA_COPYABLE if copying => {
            Ok(())
        }
        // A copyable object may be made uncopyable, never the other way.
        CKA_COPYABLE => Ok(()),
        CKA_LABEL
        | CKA_ID
        | CKA_SUBJECT
        | CKA_START_DATE
        | CKA_END_DATE
        | CKA_SENSITIVE
        | CKA_EXTRACTABLE
        | CKA_DERIVE
        | CKA_ENCRYPT
        | CKA_DECRYPT
        | CKA_SIGN
        | CKA_SIGN_RECOVER
        | CKA_VERIFY
        | CKA_VERIFY_RECOVER
        | CKA_WRAP
        | CKA_UNWRAP
        | CKA_ENCAPSULATE
        | CKA_DECAPSULATE
        | CKA_ISSUER
        | CKA_SERIAL_NUMBER
        | CKA_URL
        | CKA_APPLICATION
        | CKA_OBJECT_ID
        | CKA_CHECK_VALUE
        | CKA_WRAP_WITH_TRUSTED
        | CKA_ALLOWED_MECHANISMS
        | CKA_TRUSTED => {
            if object.has(kind) || kind == CKA_TRUSTED {
                Ok(())
            } else {
                Err(CKR_ATTRIBUTE_TYPE_INVALID.into())
            }
        }
        CKA_VALUE if object.class() == Some(CKO_DATA) => Ok(()),
        _ => refused(),
    }
}

/// True of an attribute that says what a key may be used for (PKCS #11 3.2 sections 4.8 to 4.10).
pub(crate) const fn is_use(kind: AttributeType) -> bool {
    matches!(
        kind,
        CKA_ENCRYPT
            | CKA_DECRYPT
            | CKA_SIGN
            | CKA_SIGN_RECOVER
            | CKA_VERIFY
            | CKA_VERIFY_RECOVER
            | CKA_WRAP
            | CKA_UNWRAP
            | CKA_DERIVE
    )
}
