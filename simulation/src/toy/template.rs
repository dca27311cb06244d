//! What a template may say (PKCS #11 3.2 section 4), as a toy HSM judges it.

use tandem_values::{AttributeType, Template, ck::*};

/// Usage flags, false unless said otherwise.
const USAGE: [AttributeType; 8] = [
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_SIGN,
    CKA_VERIFY,
    CKA_WRAP,
    CKA_UNWRAP,
    CKA_DERIVE,
    CKA_SIGN_RECOVER,
];

/// A template in which everything is said once; a contradiction is refused.
pub(super) fn once(template: &Template) -> Result<Template, u64> {
    let mut once = Template::new();
    for attribute in template {
        match once.get(attribute.kind) {
            Some(value) if *value != attribute.value => return Err(CKR_TEMPLATE_INCONSISTENT),
            Some(_) => {}
            None => once.push(attribute.clone()),
        }
    }
    Ok(once)
}

/// Completes the template of a new object.
pub(super) fn complete(template: &mut Template) {
    let class = template.class().unwrap_or(CKO_DATA);
    template.set_default(CKA_TOKEN, false);
    template.set_default(CKA_PRIVATE, matches!(class, CKO_PRIVATE_KEY | CKO_SECRET_KEY));
    for flag in [CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE] {
        template.set_default(flag, true);
    }
    template.set_default(CKA_LABEL, "");
    if matches!(class, CKO_PRIVATE_KEY | CKO_SECRET_KEY | CKO_PUBLIC_KEY) {
        template.set_default(CKA_ID, "");
        for flag in USAGE {
            template.set_default(flag, false);
        }
    }
    if matches!(class, CKO_PRIVATE_KEY | CKO_SECRET_KEY) {
        template.set_default(CKA_SENSITIVE, true);
        template.set_default(CKA_EXTRACTABLE, false);
    }
}

/// Adds what an unwrapping key demands; a contradiction is refused (section 4.7).
pub(super) fn impose(template: &mut Template, demanded: &Template) -> Result<(), u64> {
    for attribute in demanded {
        match template.get(attribute.kind) {
            Some(value) if *value != attribute.value => return Err(CKR_TEMPLATE_INCONSISTENT),
            Some(_) => {}
            None => template.set(attribute.kind, attribute.value.clone()),
        }
    }
    Ok(())
}

/// May these changes be made to an object, in place or in a copy of it?
pub(super) fn may_change(object: &Template, changes: &Template, copying: bool) -> Result<(), u64> {
    for attribute in changes {
        let kind = attribute.kind;
        let now = object.flag(kind);
        let new = changes.flag(kind);
        let allowed = match kind {
            CKA_TOKEN | CKA_PRIVATE | CKA_MODIFIABLE | CKA_DESTROYABLE => copying,
            CKA_COPYABLE | CKA_EXTRACTABLE => now != Some(false) || new == Some(false),
            CKA_SENSITIVE => now != Some(true) || new == Some(true),
            CKA_LABEL | CKA_ID | CKA_SUBJECT | CKA_APPLICATION | CKA_START_DATE | CKA_END_DATE => {
                true
            }
            CKA_VALUE => object.class() == Some(CKO_DATA),
            kind => USAGE.contains(&kind),
        };
        if !allowed {
            return Err(CKR_ATTRIBUTE_READ_ONLY);
        }
    }
    Ok(())
}

/// May a key be used so, with this mechanism?
pub(super) fn may_use(key: &Template, usage: AttributeType, mechanism: u64) -> Result<(), u64> {
    let allowed = key.numbers(CKA_ALLOWED_MECHANISMS).filter(|allowed| !allowed.is_empty());
    if allowed.is_some_and(|allowed| !allowed.contains(&mechanism)) {
        return Err(CKR_MECHANISM_INVALID);
    }
    if key.is(usage) { Ok(()) } else { Err(CKR_KEY_FUNCTION_NOT_PERMITTED) }
}
