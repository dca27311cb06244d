//! Mechanisms under other numbers, for what is between two of these modules and lets only some numbers through.
//!
//! The near module gives a mechanism the number of its carrier, and the far one gives it back its own. A parameter travels as
//! the label of RSA-OAEP, a layout with room for bytes that p11-kit 0.24.1 knows: first the parameter as it is, then what
//! its pointers lead to, one after the other.

use crate::face::{Word, size};
use crate::table::Function;
use std::mem::size_of;
use tandem_values::ck::*;
use tandem_values::mechanism::{FLAT_BYTES_MAX, layout};
use tandem_values::{Field, Layout};

/// What the `mgf` of an OAEP parameter says that carries another mechanism's: no such function exists.
const CARRIES: CK_RSA_PKCS_MGF_TYPE = 0x7461_6e64;

/// On which side of the carrier a module is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The application's.
    Near,
    /// The vendor's.
    Far,
}

/// Which mechanisms go under which numbers.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Carry {
    end: End,
    pairs: Vec<Pair>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Pair {
    own: CK_MECHANISM_TYPE,
    carrier: CK_MECHANISM_TYPE,
}

/// A mechanism in place of the application's, kept until the call is done.
pub(crate) struct Dressed {
    mechanism: CK_MECHANISM,
    label: CK_RSA_PKCS_OAEP_PARAMS,
    /// What the label, or the parameter, consists of.
    words: Vec<CK_ULONG>,
}

impl Carry {
    /// Reads `near 0x210A=0x1036 …` or `far …`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let end = match words.next() {
            Some("near") => End::Near,
            Some("far") => End::Far,
            _ => return Err("it begins with neither \"near\" nor \"far\"".into()),
        };
        let pairs = words.map(pair).collect::<Result<_, _>>()?;
        Ok(Self { end, pairs })
    }

    /// The number that the wrapped module gets for this one.
    fn inwards(&self, number: CK_MECHANISM_TYPE) -> Option<CK_MECHANISM_TYPE> {
        match self.end {
            End::Near => self.find(|pair| (pair.own, pair.carrier), number),
            End::Far => self.find(|pair| (pair.carrier, pair.own), number),
        }
    }

    /// The number that the application gets for this one of the wrapped module's.
    fn outwards(&self, number: CK_MECHANISM_TYPE) -> Option<CK_MECHANISM_TYPE> {
        match self.end {
            End::Near => self.find(|pair| (pair.carrier, pair.own), number),
            End::Far => self.find(|pair| (pair.own, pair.carrier), number),
        }
    }

    fn find(
        &self,
        of: impl Fn(&Pair) -> (CK_MECHANISM_TYPE, CK_MECHANISM_TYPE),
        number: CK_MECHANISM_TYPE,
    ) -> Option<CK_MECHANISM_TYPE> {
        self.pairs.iter().map(of).find(|(from, _)| *from == number).map(|(_, to)| to)
    }

    /// Changes the mechanism of a call that is about to be forwarded. What is answered must live until it is done.
    pub(crate) fn dress(&self, function: Function, words: &mut [CK_ULONG]) -> Option<Box<Dressed>> {
        let word = words.get_mut(1)?;
        if function == Function::C_GetMechanismInfo {
            *word = self.inwards(*word)?;
            return None;
        }
        if !takes_mechanism(function) {
            return None;
        }
        // SAFETY: null, or the application's mechanism.
        let mechanism = *unsafe { <*mut CK_MECHANISM>::argument(*word).as_ref() }?;
        let mut dressed = match self.end {
            End::Near => self.wrap(mechanism)?,
            End::Far => self.unwrap(mechanism)?,
        };
        *word = (&raw mut dressed.mechanism).word();
        Some(dressed)
    }

    /// Puts a mechanism under its carrier's number, and its parameter into a label.
    fn wrap(&self, mechanism: CK_MECHANISM) -> Option<Box<Dressed>> {
        let own = mechanism.mechanism;
        let carrier = self.inwards(own)?;
        if mechanism.pParameter.is_null() {
            return Some(Box::new(Dressed::plain(CK_MECHANISM {
                mechanism: carrier,
                ..mechanism
            })));
        }
        let (words, bytes) = packed(own, mechanism.pParameter.cast(), mechanism.ulParameterLen)?;
        let mut dressed = Box::new(Dressed::plain(mechanism));
        dressed.words = words;
        dressed.label = CK_RSA_PKCS_OAEP_PARAMS {
            hashAlg: carrier,
            mgf: CARRIES,
            source: 0,
            pSourceData: dressed.words.as_mut_ptr().cast(),
            ulSourceDataLen: bytes,
        };
        dressed.mechanism = CK_MECHANISM {
            mechanism: CKM_RSA_PKCS_OAEP,
            pParameter: (&raw mut dressed.label).cast(),
            ulParameterLen: LABEL_BYTES,
        };
        Some(dressed)
    }

    /// Undoes [`Carry::wrap`].
    fn unwrap(&self, mechanism: CK_MECHANISM) -> Option<Box<Dressed>> {
        if mechanism.mechanism != CKM_RSA_PKCS_OAEP || mechanism.ulParameterLen != LABEL_BYTES {
            let own = self.inwards(mechanism.mechanism)?;
            return Some(Box::new(Dressed::plain(CK_MECHANISM { mechanism: own, ..mechanism })));
        }
        let label = mechanism.pParameter.cast::<CK_RSA_PKCS_OAEP_PARAMS>();
        // SAFETY: null, or the parameter of this mechanism, as long as one.
        let label = unsafe { label.as_ref() }.filter(|label| label.mgf == CARRIES)?;
        let own = self.inwards(label.hashAlg)?;
        let (words, bytes) = unpacked(own, label.pSourceData.cast(), label.ulSourceDataLen)?;
        let mut dressed = Box::new(Dressed::plain(mechanism));
        dressed.words = words;
        dressed.mechanism = CK_MECHANISM {
            mechanism: own,
            pParameter: dressed.words.as_mut_ptr().cast(),
            ulParameterLen: bytes,
        };
        Some(dressed)
    }

    /// Gives the mechanisms of a list that was answered the numbers that the application knows.
    pub(crate) fn undress(&self, function: Function, words: &[CK_ULONG]) {
        let (Function::C_GetMechanismList, [_, list, count]) = (function, words) else { return };
        let list = <*mut CK_MECHANISM_TYPE>::argument(*list);
        // SAFETY: the module has just written there how many there are.
        let count = unsafe { <*mut CK_ULONG>::argument(*count).as_ref() };
        if list.is_null() {
            return;
        }
        // SAFETY: the module has just written so many.
        let list =
            unsafe { std::slice::from_raw_parts_mut(list, size(count.copied().unwrap_or(0))) };
        for number in list {
            *number = self.outwards(*number).unwrap_or(*number);
        }
    }
}

impl Dressed {
    fn plain(mechanism: CK_MECHANISM) -> Self {
        Self { mechanism, label: CK_RSA_PKCS_OAEP_PARAMS::default(), words: Vec::new() }
    }
}

/// What a parameter looks like.
struct Shape {
    /// Where it has pointers and their lengths, in words.
    pointers: Vec<(usize, usize)>,
    /// How long it is, if that is known.
    bytes: Option<usize>,
}

/// The shape of a mechanism's parameter; `None` for one with pointers to pointers.
fn shape(own: CK_MECHANISM_TYPE) -> Option<Shape> {
    let (Layout::Fields(fields) | Layout::OptionalFields(fields)) = layout(own)? else {
        return Some(Shape { pointers: Vec::new(), bytes: None });
    };
    let (mut found, mut at) = (Vec::new(), 0);
    for field in fields {
        match field {
            Field::Number | Field::Key | Field::Inline(_) => {}
            Field::Bytes => found.push((at, at + 1)),
            Field::LengthBytes => found.push((at + 1, at)),
            Field::Bits | Field::Nested(_) => return None,
        }
        at += field.words();
    }
    Some(Shape { pointers: found, bytes: Some(at * WORD) })
}

const WORD: usize = size_of::<CK_ULONG>();

/// A parameter, and after it what its pointers lead to: in words, so that it stands where structures may, and its bytes.
fn packed(
    own: CK_MECHANISM_TYPE,
    parameter: *mut u8,
    len: CK_ULONG,
) -> Option<(Vec<CK_ULONG>, CK_ULONG)> {
    let Shape { pointers, bytes: wanted } = shape(own)?;
    let mut bytes = copied(parameter, len)?;
    if wanted.is_some_and(|wanted| wanted != bytes.len()) {
        return None;
    }
    let row = words(&bytes);
    for (pointer, len) in pointers {
        bytes.extend(copied(<*mut u8>::argument(*row.get(pointer)?), *row.get(len)?)?);
    }
    Some((words(&bytes), CK_ULONG::try_from(bytes.len()).ok()?))
}

/// Undoes [`packed`]. The pointers lead into the words that are answered.
fn unpacked(
    own: CK_MECHANISM_TYPE,
    label: *mut u8,
    len: CK_ULONG,
) -> Option<(Vec<CK_ULONG>, CK_ULONG)> {
    let Shape { pointers, bytes: wanted } = shape(own)?;
    let bytes = copied(label, len)?;
    let mut row = words(&bytes);
    let base = row.as_mut_ptr().cast::<u8>();
    let mut at = wanted.unwrap_or(bytes.len());
    let parameter = at;
    for (pointer, len) in pointers {
        let len = size(*row.get(len)?);
        if bytes.len().saturating_sub(at) < len {
            return None;
        }
        let place = row.get_mut(pointer)?;
        if *place != 0 {
            *place = base.wrapping_add(at).word();
        }
        at += len;
    }
    Some((row, CK_ULONG::try_from(parameter).ok()?))
}

/// Bytes at a place; none at null.
fn copied(place: *mut u8, len: CK_ULONG) -> Option<Vec<u8>> {
    let len = size(len);
    if len > FLAT_BYTES_MAX {
        return None;
    }
    if place.is_null() {
        return (len == 0).then(Vec::new);
    }
    // SAFETY: the application says that so many bytes are there.
    Some(unsafe { std::slice::from_raw_parts(place, len) }.to_vec())
}

/// Bytes as words, the last one filled up.
fn words(bytes: &[u8]) -> Vec<CK_ULONG> {
    let word = |part: &[u8]| {
        let mut word = [0; WORD];
        word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        CK_ULONG::from_ne_bytes(word)
    };
    bytes.chunks(WORD).map(word).collect()
}

const LABEL_BYTES: CK_ULONG = size_of::<CK_RSA_PKCS_OAEP_PARAMS>() as CK_ULONG;

fn pair(word: &str) -> Result<Pair, String> {
    let number = |text: &str| {
        let digits = text.strip_prefix("0x")?;
        CK_MECHANISM_TYPE::from_str_radix(digits, 16).ok()
    };
    let pair = word
        .split_once('=')
        .and_then(|(own, carrier)| Some(Pair { own: number(own)?, carrier: number(carrier)? }));
    pair.ok_or_else(|| format!("{word} is not of the form 0x210A=0x1036"))
}

/// True if the second argument is a mechanism.
const fn takes_mechanism(function: Function) -> bool {
    use Function::{
        C_DecapsulateKey, C_DecryptInit, C_DeriveKey, C_DigestInit, C_EncapsulateKey,
        C_EncryptInit, C_GenerateKey, C_GenerateKeyPair, C_MessageDecryptInit,
        C_MessageEncryptInit, C_MessageSignInit, C_MessageVerifyInit, C_SignInit,
        C_SignRecoverInit, C_UnwrapKey, C_UnwrapKeyAuthenticated, C_VerifyInit,
        C_VerifyRecoverInit, C_VerifySignatureInit, C_WrapKey, C_WrapKeyAuthenticated,
    };
    matches!(
        function,
        C_EncryptInit
            | C_DecryptInit
            | C_DigestInit
            | C_SignInit
            | C_SignRecoverInit
            | C_VerifyInit
            | C_VerifyRecoverInit
            | C_VerifySignatureInit
            | C_MessageEncryptInit
            | C_MessageDecryptInit
            | C_MessageSignInit
            | C_MessageVerifyInit
            | C_GenerateKey
            | C_GenerateKeyPair
            | C_WrapKey
            | C_UnwrapKey
            | C_WrapKeyAuthenticated
            | C_UnwrapKeyAuthenticated
            | C_DeriveKey
            | C_EncapsulateKey
            | C_DecapsulateKey
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    const TABLE: &str = "0x210A=0x1036 0x1085=0x1008 0x1087=0x1070";

    fn end(name: &str) -> Carry {
        Carry::parse(&format!("{name} {TABLE}")).unwrap()
    }

    /// Under which number a mechanism travels, and what a vendor sees of it.
    fn travel<T>(
        mechanism: &mut CK_MECHANISM,
        see: impl FnOnce(&CK_MECHANISM) -> T,
    ) -> (CK_MECHANISM_TYPE, T) {
        let mut words = [7, ptr::from_mut(mechanism).word(), 8];
        let at = |words: &[CK_ULONG; 3]| <*mut CK_MECHANISM>::argument(words[1]);
        let _near = end("near").dress(Function::C_EncryptInit, &mut words);
        // SAFETY: the application's mechanism, or one that is kept.
        let carried = unsafe { at(&words).read() }.mechanism;
        let _far = end("far").dress(Function::C_EncryptInit, &mut words);
        assert_eq!((words[0], words[2]), (7, 8));
        // SAFETY: as above.
        (carried, see(&unsafe { at(&words).read() }))
    }

    fn bytes(place: *mut std::ffi::c_void, len: CK_ULONG) -> Vec<u8> {
        copied(place.cast(), len).unwrap()
    }

    #[test]
    fn a_mechanism_travels_under_its_carriers_number() {
        let mut bare = CK_MECHANISM { mechanism: 0x210A, ..CK_MECHANISM::default() };
        let (carried, seen) = travel(&mut bare, |seen| *seen);
        assert_eq!((carried, seen.mechanism, seen.ulParameterLen), (0x1036, 0x210A, 0));
        assert!(seen.pParameter.is_null());
    }

    #[test]
    fn a_parameter_travels_in_a_label() {
        let mut iv: Vec<u8> = (1..=16).collect();
        let parameter = iv.as_mut_ptr().cast();
        let mut cbc =
            CK_MECHANISM { mechanism: CKM_AES_CBC_PAD, pParameter: parameter, ulParameterLen: 16 };
        let (carried, seen) =
            travel(&mut cbc, |seen| (seen.mechanism, bytes(seen.pParameter, seen.ulParameterLen)));
        assert_eq!((carried, seen), (CKM_RSA_PKCS_OAEP, (CKM_AES_CBC_PAD, iv)));
        assert_eq!(cbc.mechanism, CKM_AES_CBC_PAD, "the application's own is left alone");
    }

    #[test]
    fn what_a_parameter_points_at_travels_with_it() {
        let (mut iv, mut aad) = ([1_u8; 12], [2_u8; 5]);
        let mut gcm = CK_GCM_PARAMS {
            pIv: iv.as_mut_ptr(),
            ulIvLen: 12,
            ulIvBits: 96,
            pAAD: aad.as_mut_ptr(),
            ulAADLen: 5,
            ulTagBits: 128,
        };
        let len = CK_ULONG::try_from(size_of::<CK_GCM_PARAMS>()).unwrap();
        let parameter = (&raw mut gcm).cast();
        let mut mechanism =
            CK_MECHANISM { mechanism: CKM_AES_GCM, pParameter: parameter, ulParameterLen: len };
        let (carried, ()) = travel(&mut mechanism, |seen| {
            assert_eq!((seen.mechanism, seen.ulParameterLen), (CKM_AES_GCM, len));
            // SAFETY: a parameter of this mechanism.
            let seen = unsafe { seen.pParameter.cast::<CK_GCM_PARAMS>().read() };
            assert_eq!((seen.ulIvBits, seen.ulTagBits), (96, 128));
            assert_eq!(bytes(seen.pIv.cast(), seen.ulIvLen), iv);
            assert_eq!(bytes(seen.pAAD.cast(), seen.ulAADLen), aad);
            assert!(seen.pIv != gcm.pIv && seen.pAAD != gcm.pAAD, "nothing leads back");
        });
        assert_eq!(carried, CKM_RSA_PKCS_OAEP);
    }

    #[test]
    fn other_mechanisms_and_functions_are_left_alone() {
        let mut label = CK_RSA_PKCS_OAEP_PARAMS::default();
        let parameter = (&raw mut label).cast();
        let mut oaep = CK_MECHANISM {
            mechanism: CKM_RSA_PKCS_OAEP,
            pParameter: parameter,
            ulParameterLen: LABEL_BYTES,
        };
        let (carried, seen) = travel(&mut oaep, |seen| (seen.mechanism, seen.pParameter));
        assert_eq!((carried, seen), (CKM_RSA_PKCS_OAEP, (CKM_RSA_PKCS_OAEP, parameter)));
        let mut words = [7, 0x210A, 8];
        assert!(end("near").dress(Function::C_Sign, &mut words).is_none());
        assert_eq!(words, [7, 0x210A, 8]);
    }

    #[test]
    fn lists_and_questions_are_translated() {
        let mut words = [0, 0x210A, 0];
        assert!(end("near").dress(Function::C_GetMechanismInfo, &mut words).is_none());
        assert_eq!(words[1], 0x1036);
        assert!(end("far").dress(Function::C_GetMechanismInfo, &mut words).is_none());
        assert_eq!(words[1], 0x210A);
        let (mut list, mut count): ([CK_MECHANISM_TYPE; 3], CK_ULONG) = ([1, 0x1085, 0x210A], 3);
        let words = [0, list.as_mut_ptr().word(), (&raw mut count).word()];
        end("far").undress(Function::C_GetMechanismList, &words);
        assert_eq!(list, [1, 0x1008, 0x1036]);
        end("near").undress(Function::C_GetMechanismList, &words);
        assert_eq!(list, [1, 0x1085, 0x210A]);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in ["", "0x210A=0x1036", "near 210A=1036", "far 0x210A"] {
            assert!(Carry::parse(text).is_err(), "{text}");
        }
    }
}
