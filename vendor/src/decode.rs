//! What a vendor wrote, as values. Nothing it says of lengths is trusted, and a value of a wrong length is no value.

use tandem_values::ck::*;
use tandem_values::info::{LibraryInfo, MechanismInfo, TokenInfo};
use tandem_values::{AttributeType, Form, Value};
use zeroize::Zeroizing;

/// The value of an attribute; `None` if these bytes can't be one. A template's is an array of pointers and is
/// read by `read`.
pub(crate) fn value(kind: AttributeType, bytes: Zeroizing<Vec<u8>>) -> Option<Value> {
    Some(match Form::of(kind) {
        Form::Flag => match bytes.as_slice() {
            [flag] => Value::Flag(*flag != CK_FALSE),
            _ => return None,
        },
        Form::Number => Value::Number(u64::from_ne_bytes(bytes.as_slice().try_into().ok()?)),
        Form::Bytes => Value::Bytes(bytes),
        Form::Numbers => match bytes.as_chunks::<8>() {
            (numbers, []) => {
                Value::Numbers(numbers.iter().map(|number| u64::from_ne_bytes(*number)).collect())
            }
            _ => return None,
        },
        Form::Template => return None,
    })
}

/// Text of a fixed length without its padding: blanks by the specification, zeroes with some vendors.
pub(crate) fn text(padded: &[CK_UTF8CHAR]) -> String {
    let end = padded.iter().position(|byte| *byte == 0).unwrap_or(padded.len());
    String::from_utf8_lossy(padded.get(..end).unwrap_or_default()).trim_end().to_owned()
}

const fn version(version: CK_VERSION) -> (u8, u8) {
    (version.major, version.minor)
}

/// CK_TOKEN_INFO.
pub(crate) fn token_info(info: &CK_TOKEN_INFO) -> TokenInfo {
    TokenInfo {
        label: text(&info.label),
        manufacturer: text(&info.manufacturerID),
        model: text(&info.model),
        serial: text(&info.serialNumber),
        flags: info.flags,
        pin_len_min: info.ulMinPinLen,
        pin_len_max: info.ulMaxPinLen,
        free_public_memory: info.ulFreePublicMemory,
        free_private_memory: info.ulFreePrivateMemory,
        sessions_max: info.ulMaxSessionCount,
        hardware_version: version(info.hardwareVersion),
        firmware_version: version(info.firmwareVersion),
    }
}

/// CK_INFO, with the version that is spoken.
pub(crate) fn library_info(info: &CK_INFO, interface: (u8, u8)) -> LibraryInfo {
    LibraryInfo {
        manufacturer: text(&info.manufacturerID),
        description: text(&info.libraryDescription),
        version: version(info.libraryVersion),
        interface,
    }
}

/// CK_MECHANISM_INFO.
pub(crate) const fn mechanism_info(info: &CK_MECHANISM_INFO) -> MechanismInfo {
    MechanismInfo {
        key_size_min: info.ulMinKeySize,
        key_size_max: info.ulMaxKeySize,
        flags: info.flags,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(kind: AttributeType, bytes: &[u8]) -> Option<Value> {
        value(kind, Zeroizing::new(bytes.to_vec()))
    }

    #[test]
    fn values_of_the_right_length() {
        assert!(decoded(CKA_TOKEN, &[1]) == Some(Value::Flag(true)));
        // Any byte but zero is true: some vendors answer 0xff.
        assert!(decoded(CKA_TOKEN, &[0xff]) == Some(Value::Flag(true)));
        assert!(decoded(CKA_TOKEN, &[0]) == Some(Value::Flag(false)));
        assert!(decoded(CKA_CLASS, &3_u64.to_ne_bytes()) == Some(Value::Number(3)));
        assert!(decoded(CKA_LABEL, b"label") == Some(Value::from("label")));
        assert!(decoded(CKA_ALLOWED_MECHANISMS, &[]) == Some(Value::Numbers(vec![])));
        let two: Vec<u8> = [7_u64, 8].iter().flat_map(|n| n.to_ne_bytes()).collect();
        assert!(decoded(CKA_ALLOWED_MECHANISMS, &two) == Some(Value::Numbers(vec![7, 8])));
    }

    #[test]
    fn values_of_a_wrong_length_are_none() {
        for len in [0, 2, 7, 9, 16] {
            assert!(decoded(CKA_TOKEN, &vec![1; len]).is_none());
            assert!(decoded(CKA_MODULUS_BITS, &vec![1; len]).is_none());
        }
        assert!(decoded(CKA_ALLOWED_MECHANISMS, &[0; 9]).is_none());
        assert!(decoded(CKA_UNWRAP_TEMPLATE, &[0; 24]).is_none());
    }

    #[test]
    fn padding_is_trimmed() {
        assert_eq!(text(b"label           "), "label");
        assert_eq!(text(b"label\0\0\0garbage"), "label");
        assert_eq!(text(b"  two words  \0"), "  two words");
        assert_eq!(text(&[0xff, b'a']), "\u{fffd}a");
        assert_eq!(text(b""), "");
    }
}
