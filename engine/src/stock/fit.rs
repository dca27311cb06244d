//! Whether a key in stock is one that an application asks for: what can't be made so any more must be so already.

use crate::check;
use tandem_values::{AttributeType, Template, Value, ck::*};

/// What an application names as it likes: names, dates, and what only the virtual token upholds.
const fn is_free(kind: AttributeType) -> bool {
    matches!(
        kind,
        CKA_ID
            | CKA_LABEL
            | CKA_SUBJECT
            | CKA_START_DATE
            | CKA_END_DATE
            | CKA_MODIFIABLE
            | CKA_COPYABLE
            | CKA_DESTROYABLE
    )
}

/// What a key may be used for: it may be for less than the stock's.
fn is_usage(stocked: &Template, kind: AttributeType) -> bool {
    // That a secret key derives decides which key of the ring wraps it.
    check::is_use(kind) && (kind != CKA_DERIVE || stocked.class() != Some(CKO_SECRET_KEY))
}

/// What the type of a key says, by which its stock was found; a curve is written in more than one way.
const fn is_told_by_type(kind: AttributeType) -> bool {
    matches!(kind, CKA_EC_PARAMS | CKA_MODULUS_BITS | CKA_VALUE_LEN)
}

/// What is to be set of an object in stock, or half of one, so that it shows what an application asks for; `None` if it can't
/// be that one. What was asked is complete.
pub(super) fn changes(stocked: &Template, asked: &Template) -> Option<Template> {
    let mut changes = Template::new();
    for attribute in asked {
        let (kind, value) = (attribute.kind, &attribute.value);
        let now = stocked.get(kind);
        if now == Some(value) || is_told_by_type(kind) {
            continue;
        }
        if kind == CKA_PUBLIC_EXPONENT && is_same_number(now, value) {
            continue;
        }
        let is_less = is_usage(stocked, kind) && *value == Value::Flag(false);
        if !is_free(kind) && !is_less {
            return None;
        }
        changes.set(kind, value.clone());
    }
    Some(changes)
}

/// True of an RSA exponent, which may have zeroes before it.
fn is_same_number(now: Option<&Value>, asked: &Value) -> bool {
    let bare =
        |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
    match (now, asked) {
        (Some(Value::Bytes(now)), Value::Bytes(asked)) => {
            !asked.is_empty() && bare(now) == bare(asked) && now.len() != asked.len()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::shown::{self, Origin};
    use tandem_values::keytype::{KeyType, Recipe};

    /// The halves of a key of this type as they are in stock, or asked for by whoever asks for no more than the recipe.
    fn made(kind: &str) -> Vec<Template> {
        let (mechanism, halves) = match kind.parse::<KeyType>().unwrap().recipe(b"id", "label") {
            Recipe::Pair(mechanism, public, private) => (
                mechanism,
                vec![
                    public.with(CKA_CLASS, CKO_PUBLIC_KEY),
                    private.with(CKA_CLASS, CKO_PRIVATE_KEY),
                ],
            ),
            Recipe::Secret(mechanism, key) => {
                (mechanism, vec![key.with(CKA_CLASS, CKO_SECRET_KEY)])
            }
        };
        let key_type = check::generated(mechanism.kind).unwrap().1;
        let complete = |mut half: Template| {
            half.set(CKA_KEY_TYPE, key_type);
            shown::complete(&mut half, Origin::Generated(mechanism.kind));
            half
        };
        halves.into_iter().map(complete).collect()
    }

    #[test]
    fn names_dates_and_less_usage_may_be_asked_for() {
        for stocked in
            ["ec:p256", "rsa:2048", "aes:256", "generic:32", "ed25519"].map(made).concat()
        {
            let mut asked = stocked.clone();
            let may_be = [
                (CKA_ID, Value::from("other")),
                (CKA_LABEL, Value::from("zone")),
                (CKA_END_DATE, Value::from("20300101")),
                (CKA_MODIFIABLE, false.into()),
                (CKA_DESTROYABLE, false.into()),
            ];
            for (kind, value) in may_be {
                asked.set(kind, value);
            }
            let pair = stocked.class() != Some(CKO_SECRET_KEY);
            let stocked = if pair { stocked.with(CKA_DERIVE, true) } else { stocked };
            for usage in [CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP, CKA_SIGN_RECOVER] {
                if asked.has(usage) {
                    asked.set(usage, false);
                }
            }
            let changes = changes(&stocked, &asked).unwrap();
            let mut shows = stocked.clone();
            shows.merge(&changes);
            assert!(shows.matches(&asked) && !changes.has(CKA_KEY_TYPE));
        }
    }

    #[test]
    fn what_can_not_be_changed_later_must_be_so() {
        for stocked in ["ec:p256", "rsa:2048", "aes:256"].map(made).concat() {
            assert_eq!(changes(&stocked, &stocked), Some(Template::new()));
            let flags = [CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_DERIVE];
            for kind in flags.into_iter().filter(|kind| stocked.has(*kind)) {
                let asked = stocked.clone().with(kind, !stocked.is(kind));
                assert_eq!(changes(&stocked, &asked), None, "{kind:#x}");
            }
            for kind in [CKA_KEY_TYPE, CKA_KEY_GEN_MECHANISM] {
                assert_eq!(changes(&stocked, &stocked.clone().with(kind, 0x77)), None);
            }
            let mechanisms = stocked.clone().with(CKA_ALLOWED_MECHANISMS, vec![CKM_ECDSA]);
            assert_eq!(changes(&stocked, &mechanisms), None);
            let narrow = stocked.clone().with(CKA_SIGN, false).with(CKA_VERIFY, false);
            let narrow = narrow.with(CKA_ENCRYPT, false).with(CKA_DECRYPT, false);
            assert_eq!(changes(&narrow, &stocked), None, "more than the stock's may do");
        }
    }

    #[test]
    fn an_exponent_is_a_number() {
        let [public, _] = made("rsa:2048").try_into().unwrap();
        let exponent = |bytes: &[u8]| public.clone().with(CKA_PUBLIC_EXPONENT, bytes);
        assert!(changes(&exponent(&[1, 0, 1]), &exponent(&[0, 1, 0, 1])).is_some());
        assert!(changes(&exponent(&[1, 0, 1]), &exponent(&[3])).is_none());
        let named = |id: &[u8]| public.clone().with(CKA_ID, id);
        let changed = changes(&named(&[7]), &named(&[0, 7])).unwrap();
        assert_eq!(changed.bytes(CKA_ID), Some(&[0, 7][..]), "a name is none");
    }
}
