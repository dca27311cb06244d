//! Mechanisms with their parameters as C has them, by the table of layouts in `values::mechanism`.

use crate::buffer::{Buffer, ulong};
use std::ffi::c_void;
use std::ptr;
use tandem_values::ck::*;
use tandem_values::mechanism::layout;
use tandem_values::{Field, Layout, Mechanism, Parameter, Part, Rv, rv::Result};

/// A parameter structure is a row of these.
#[derive(Clone, Copy)]
#[repr(C)]
union Word {
    number: u64,
    pointer: *mut c_void,
}

/// A structure of words, and the memory its pointers lead to, wiped when dropped.
pub(crate) struct Row {
    words: Vec<Word>,
    // What the words point at, in order. Moving the vectors moves no byte of it.
    buffers: Vec<Buffer>,
    rows: Vec<Self>,
}

impl Row {
    /// Parts as the structure of these fields. CKR_MECHANISM_PARAM_INVALID if they don't fit.
    fn new(fields: &[Field], parts: &[Part]) -> Result<Self> {
        if fields.len() != parts.len() {
            return Err(Rv(CKR_MECHANISM_PARAM_INVALID));
        }
        let mut row = Self { words: Vec::new(), buffers: Vec::new(), rows: Vec::new() };
        for (field, part) in fields.iter().zip(parts) {
            row.push(*field, part)?;
        }
        Ok(row)
    }

    fn push(&mut self, field: Field, part: &Part) -> Result {
        match (field, part) {
            (Field::Number, Part::Number(number)) | (Field::Key, Part::Key(number)) => {
                self.words.push(Word { number: *number });
            }
            (Field::Bytes | Field::LengthBytes | Field::Bits, Part::Bytes(bytes)) => {
                let len = bytes.as_ref().map_or(0, |bytes| bytes.len());
                let pointer = bytes.as_ref().map_or(ptr::null_mut(), |bytes| self.keep(bytes));
                let pointer = Word { pointer };
                let len = if field == Field::Bits { len.saturating_mul(8) } else { len };
                let number = Word { number: ulong(len) };
                let pair = match field {
                    Field::LengthBytes => [number, pointer],
                    _ => [pointer, number],
                };
                self.words.extend(pair);
            }
            (Field::Inline(len), Part::Inline(bytes)) if bytes.len() == len => {
                let (words, _) = bytes.as_chunks::<8>();
                self.words
                    .extend(words.iter().map(|word| Word { number: u64::from_ne_bytes(*word) }));
            }
            (Field::Nested(_), Part::Nested(None)) => {
                self.words.push(Word { pointer: ptr::null_mut() });
            }
            (Field::Nested(fields), Part::Nested(Some(parts))) => {
                let mut row = Self::new(fields, parts)?;
                self.words.push(Word { pointer: row.words.as_mut_ptr().cast() });
                self.rows.push(row);
            }
            _ => return Err(Rv(CKR_MECHANISM_PARAM_INVALID)),
        }
        Ok(())
    }

    /// Keeps bytes as long as the row lives and says where they are.
    fn keep(&mut self, bytes: &[u8]) -> *mut c_void {
        let mut buffer = Buffer::from_bytes(bytes);
        let pointer = buffer.as_mut_ptr().cast();
        self.buffers.push(buffer);
        pointer
    }

    /// The parts as the vendor left them: the bytes behind each pointer and the words of the structure. Lengths
    /// and pointers are ours, whatever the vendor wrote over them.
    fn read(&self, fields: &[Field], parts: &[Part]) -> Vec<Part> {
        let mut words = self.words.iter();
        let mut buffers = self.buffers.iter();
        let mut rows = self.rows.iter();
        let mut read = Vec::with_capacity(parts.len());
        for (field, part) in fields.iter().zip(parts) {
            let own: Vec<Word> = words.by_ref().take(field.words()).copied().collect();
            read.push(match (field, part) {
                (Field::Number, Part::Number(number)) => {
                    Part::Number(own.first().copied().map_or(*number, number_of))
                }
                (_, Part::Bytes(Some(bytes))) => {
                    Part::Bytes(buffers.next().map(|buffer| buffer.take(bytes.len())))
                }
                (Field::Inline(_), Part::Inline(_)) => Part::Inline(
                    own.into_iter().flat_map(|word| number_of(word).to_ne_bytes()).collect(),
                ),
                (Field::Nested(fields), Part::Nested(Some(parts))) => {
                    Part::Nested(rows.next().map(|row| row.read(fields, parts)))
                }
                _ => part.clone(),
            });
        }
        read
    }
}

/// A word as a number.
fn number_of(word: Word) -> u64 {
    // SAFETY: every bit pattern of a word is a number.
    unsafe { word.number }
}

/// A parameter in C.
pub(crate) enum Encoded {
    None,
    Flat(Buffer),
    Row(Row),
}

impl Encoded {
    /// A parameter of this layout; `None` where nothing is known of it but that it has no structure.
    pub(crate) fn new(fields: Option<&[Field]>, parameter: &Parameter) -> Result<Self> {
        match (fields, parameter) {
            (_, Parameter::None) => Ok(Self::None),
            (None, Parameter::Flat(bytes)) => Ok(Self::Flat(Buffer::from_bytes(bytes))),
            (Some(fields), Parameter::Parts(parts)) => Row::new(fields, parts).map(Self::Row),
            _ => Err(Rv(CKR_MECHANISM_PARAM_INVALID)),
        }
    }

    /// Where it begins; null if there is none.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut c_void {
        match self {
            Self::None => ptr::null_mut(),
            Self::Flat(buffer) => buffer.as_mut_ptr().cast(),
            Self::Row(row) => row.words.as_mut_ptr().cast(),
        }
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> CK_ULONG {
        match self {
            Self::None => 0,
            Self::Flat(buffer) => ulong(buffer.len()),
            Self::Row(row) => ulong(size_of_val(row.words.as_slice())),
        }
    }

    /// The parameter as the vendor left it (an IV it made, a tag it wrote).
    pub(crate) fn read(&self, fields: Option<&[Field]>, asked: &Parameter) -> Parameter {
        match (self, fields, asked) {
            (Self::Flat(buffer), ..) => Parameter::Flat(buffer.take(buffer.len())),
            (Self::Row(row), Some(fields), Parameter::Parts(parts)) => {
                Parameter::Parts(row.read(fields, parts))
            }
            _ => asked.clone(),
        }
    }
}

/// A mechanism in C.
pub(crate) struct CMechanism {
    raw: CK_MECHANISM,
    _parameter: Encoded,
}

impl CMechanism {
    /// A mechanism in C. CKR_MECHANISM_INVALID if its layout is unknown, CKR_MECHANISM_PARAM_INVALID if its
    /// parameter doesn't have that layout: a vendor would follow pointers that are none.
    pub(crate) fn new(mechanism: &Mechanism) -> Result<Self> {
        if matches!(layout(mechanism.kind), Some(Layout::Fields(_)))
            && mechanism.parameter == Parameter::None
        {
            return Err(Rv(CKR_MECHANISM_PARAM_INVALID));
        }
        Self::for_messages(mechanism)
    }

    /// A mechanism for C_Message…Init, where the parameter may be left out: each message brings its own.
    pub(crate) fn for_messages(mechanism: &Mechanism) -> Result<Self> {
        let fields = match layout(mechanism.kind).ok_or(Rv(CKR_MECHANISM_INVALID))? {
            Layout::Flat => None,
            Layout::Fields(fields) | Layout::OptionalFields(fields) => Some(fields),
        };
        let mut parameter = Encoded::new(fields, &mechanism.parameter)?;
        let raw = CK_MECHANISM {
            mechanism: mechanism.kind,
            pParameter: parameter.as_mut_ptr(),
            ulParameterLen: parameter.len(),
        };
        Ok(Self { raw, _parameter: parameter })
    }

    /// Where it is.
    pub(crate) const fn as_mut_ptr(&mut self) -> *mut CK_MECHANISM {
        &raw mut self.raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_values::MechanismType;
    use tandem_values::mechanism::message_layout;
    use zeroize::Zeroizing;

    fn bytes(bytes: &[u8]) -> Part {
        Part::Bytes(Some(Zeroizing::new(bytes.to_vec())))
    }

    fn parts(kind: MechanismType, parts: Vec<Part>) -> Result<CMechanism> {
        CMechanism::new(&Mechanism { kind, parameter: Parameter::Parts(parts) })
    }

    /// What a vendor sees as the parameter.
    fn seen<T: Copy>(mechanism: &mut CMechanism) -> T {
        // SAFETY: our own mechanism.
        let raw = unsafe { *mechanism.as_mut_ptr() };
        assert_eq!(crate::buffer::len(raw.ulParameterLen), size_of::<T>());
        // SAFETY: a structure of that length, made of words, of which each pattern is valid.
        unsafe { *raw.pParameter.cast::<T>() }
    }

    /// What a vendor sees at a pointer.
    unsafe fn at<'a>(pointer: *mut CK_BYTE, len: CK_ULONG) -> &'a [u8] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(pointer, crate::buffer::len(len)) }
    }

    #[test]
    fn gcm_is_the_structure_of_the_header() {
        let encoded = parts(
            CKM_AES_GCM,
            vec![bytes(b"twelve bytes"), Part::Number(96), bytes(b"aad"), Part::Number(128)],
        );
        let mut mechanism = Box::new(encoded.unwrap());
        assert_eq!(mechanism.raw.mechanism, CKM_AES_GCM);
        let gcm: CK_GCM_PARAMS = seen(&mut mechanism);
        // SAFETY: the structure's own lengths.
        assert_eq!(unsafe { at(gcm.pIv, gcm.ulIvLen) }, b"twelve bytes");
        // SAFETY: the structure's own lengths.
        assert_eq!(unsafe { at(gcm.pAAD, gcm.ulAADLen) }, b"aad");
        assert_eq!((gcm.ulIvBits, gcm.ulTagBits), (96, 128));
    }

    #[test]
    fn ecdh_has_its_lengths_first_and_null_stays_null() {
        let mut mechanism = parts(
            CKM_ECDH1_DERIVE,
            vec![Part::Number(CKD_NULL), Part::Bytes(None), bytes(&[4, 1, 2])],
        )
        .unwrap();
        let raw: CK_ECDH1_DERIVE_PARAMS = seen(&mut mechanism);
        assert_eq!((raw.kdf, raw.ulSharedDataLen), (CKD_NULL, 0));
        assert!(raw.pSharedData.is_null());
        // SAFETY: the structure's own length.
        assert_eq!(unsafe { at(raw.pPublicData, raw.ulPublicDataLen) }, [4, 1, 2]);
    }

    #[test]
    fn lengths_in_bits_inline_bytes_and_nested_structures() {
        let mut chacha = parts(CKM_CHACHA20, vec![bytes(&[1; 4]), bytes(&[2; 12])]).unwrap();
        let raw: CK_CHACHA20_PARAMS = seen(&mut chacha);
        assert_eq!((raw.blockCounterBits, raw.ulNonceBits), (32, 96));

        let iv: Vec<u8> = (0..16).collect();
        let mut cbc =
            parts(CKM_AES_CBC_ENCRYPT_DATA, vec![Part::Inline(iv.clone()), bytes(b"data")])
                .unwrap();
        let raw: CK_AES_CBC_ENCRYPT_DATA_PARAMS = seen(&mut cbc);
        assert_eq!((raw.iv.to_vec(), raw.length), (iv, 4));

        let oaep = Part::Nested(Some(vec![
            Part::Number(CKM_SHA_1),
            Part::Number(CKG_MGF1_SHA1),
            Part::Number(1),
            Part::Bytes(None),
        ]));
        let mut wrap = parts(CKM_RSA_AES_KEY_WRAP, vec![Part::Number(256), oaep]).unwrap();
        let raw: CK_RSA_AES_KEY_WRAP_PARAMS = seen(&mut wrap);
        assert_eq!(raw.ulAESKeyBits, 256);
        // SAFETY: the nested structure.
        let inner = unsafe { *raw.pOAEPParams };
        assert_eq!((inner.hashAlg, inner.mgf), (CKM_SHA_1, CKG_MGF1_SHA1));
    }

    #[test]
    fn a_parameter_that_does_not_fit_is_refused() {
        let invalid = |encoded: Result<CMechanism>| {
            assert_eq!(encoded.err(), Some(Rv(CKR_MECHANISM_PARAM_INVALID)));
        };
        invalid(parts(CKM_AES_GCM, vec![bytes(b"iv")]));
        invalid(parts(CKM_AES_GCM, vec![Part::Number(1); 4]));
        invalid(parts(CKM_AES_CBC_ENCRYPT_DATA, vec![Part::Inline(vec![0; 15]), bytes(b"")]));
        invalid(parts(CKM_AES_CBC, vec![Part::Number(1)]));
        invalid(CMechanism::new(&Mechanism::flat(CKM_AES_GCM, &[0; 48])));
        invalid(CMechanism::new(&Mechanism::plain(CKM_AES_GCM)));
        assert!(CMechanism::new(&Mechanism::plain(CKM_EDDSA)).is_ok());
        assert!(CMechanism::for_messages(&Mechanism::plain(CKM_AES_GCM)).is_ok());
        let unknown = CMechanism::new(&Mechanism::plain(CKM_VENDOR_DEFINED | 1));
        assert_eq!(unknown.err(), Some(Rv(CKR_MECHANISM_INVALID)));
    }

    #[test]
    fn what_a_vendor_writes_into_a_message_parameter_comes_back() {
        let fields = message_layout(CKM_AES_GCM);
        let asked = Parameter::Parts(vec![
            bytes(&[0; 12]),
            Part::Number(32),
            Part::Number(CKG_GENERATE),
            bytes(&[0; 16]),
        ]);
        let mut encoded = Encoded::new(fields, &asked).unwrap();
        assert_eq!(crate::buffer::len(encoded.len()), size_of::<CK_GCM_MESSAGE_PARAMS>());
        // SAFETY: a structure of our own of that length.
        let raw = unsafe { &mut *encoded.as_mut_ptr().cast::<CK_GCM_MESSAGE_PARAMS>() };
        assert_eq!((raw.ulIvFixedBits, raw.ulTagBits), (32, 128));
        // SAFETY: the IV has twelve bytes.
        unsafe { raw.pIv.write_bytes(7, 12) };
        // SAFETY: the tag has sixteen bytes.
        unsafe { raw.pTag.write_bytes(9, 16) };
        // A vendor that scribbles over lengths and pointers changes nothing.
        raw.ulIvLen = 1 << 40;
        raw.pTag = ptr::null_mut();
        let expected = Parameter::Parts(vec![
            bytes(&[7; 12]),
            Part::Number(32),
            Part::Number(CKG_GENERATE),
            bytes(&[9; 16]),
        ]);
        assert!(encoded.read(fields, &asked) == expected);
    }

    #[test]
    fn a_tag_without_a_length_comes_back() {
        let fields = message_layout(CKM_CHACHA20_POLY1305);
        let tag = |byte| Part::Nested(Some(vec![Part::Inline(vec![byte; 16])]));
        let asked = Parameter::Parts(vec![bytes(&[1; 12]), tag(0)]);
        let mut encoded = Encoded::new(fields, &asked).unwrap();
        let raw = encoded.as_mut_ptr().cast::<CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS>();
        // SAFETY: a structure of our own.
        let raw = unsafe { *raw };
        // SAFETY: its tag has sixteen bytes.
        unsafe { raw.pTag.write_bytes(5, 16) };
        let expected = Parameter::Parts(vec![bytes(&[1; 12]), tag(5)]);
        assert!(encoded.read(fields, &asked) == expected);
    }
}
