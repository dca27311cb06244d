use super::rv;
use crate::abi::RawParameter;
use std::ffi::c_void;
use std::ptr;
use tandem_values::{Parameter, Part, ck::*};
use zeroize::Zeroizing;

fn raw<T>(parameter: &mut T) -> RawParameter<'_> {
    // SAFETY: a structure of this length.
    unsafe { RawParameter::new((&raw mut *parameter).cast(), size_of::<T>() as CK_ULONG) }
}

fn bytes(bytes: &[u8]) -> Part {
    Part::Bytes(Some(Zeroizing::new(bytes.to_vec())))
}

#[test]
fn a_nonce_and_a_tag_come_back() {
    let (mut iv, mut tag) = ([0u8; 12], [0u8; 16]);
    let mut gcm = CK_GCM_MESSAGE_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: 12,
        ulIvFixedBits: 32,
        ivGenerator: CKG_GENERATE,
        pTag: tag.as_mut_ptr(),
        ulTagBits: 128,
    };
    let raw = raw(&mut gcm);
    let Parameter::Parts(mut parts) = raw.read(CKM_AES_GCM).unwrap() else { panic!() };
    assert!(
        parts == [bytes(&[0; 12]), Part::Number(32), Part::Number(CKG_GENERATE), bytes(&[0; 16])]
    );
    parts[0] = bytes(&[1; 12]);
    parts[3] = bytes(&[2; 16]);
    raw.write(CKM_AES_GCM, &Parameter::Parts(parts)).unwrap();
    assert_eq!((iv, tag), ([1; 12], [2; 16]));
}

#[test]
fn a_tag_without_a_length_has_sixteen_bytes() {
    let (mut nonce, mut tag) = ([3u8; 12], [0u8; 17]);
    let mut chacha = CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS {
        pNonce: nonce.as_mut_ptr(),
        ulNonceLen: 12,
        pTag: tag.as_mut_ptr(),
    };
    let raw = raw(&mut chacha);
    let Parameter::Parts(mut parts) = raw.read(CKM_CHACHA20_POLY1305).unwrap() else { panic!() };
    parts[1] = Part::Nested(Some(vec![Part::Inline(vec![4; 16])]));
    raw.write(CKM_CHACHA20_POLY1305, &Parameter::Parts(parts)).unwrap();
    assert_eq!((nonce, &tag[..16], tag[16]), ([3; 12], &[4; 16][..], 0));
}

#[test]
fn nothing_is_written_past_the_applications_room() {
    let mut tag = [0u8; 16];
    let mut gcm = CK_GCM_MESSAGE_PARAMS {
        pTag: tag.as_mut_ptr(),
        ulTagBits: 96,
        ..CK_GCM_MESSAGE_PARAMS::default()
    };
    let raw = raw(&mut gcm);
    let long = [Part::Bytes(None), Part::Number(0), Part::Number(0), bytes(&[9; 16])];
    let written = raw.write(CKM_AES_GCM, &Parameter::Parts(long.to_vec()));
    assert_eq!((rv(written), tag), (CKR_MECHANISM_PARAM_INVALID, [0; 16]));
    // A member that answers with fewer parts, or with others, is not believed either.
    let other = [bytes(&[1; 12]), bytes(&[1; 12])];
    assert_eq!(
        rv(raw.write(CKM_AES_GCM, &Parameter::Parts(other.to_vec()))),
        CKR_MECHANISM_PARAM_INVALID
    );
}

#[test]
fn a_parameter_of_another_shape_is_refused() {
    let mut wrong = [0u64; 5];
    assert_eq!(rv(raw(&mut wrong).read(CKM_AES_GCM)), CKR_MECHANISM_PARAM_INVALID);
    assert_eq!(rv(raw(&mut wrong).read(CKM_ECDSA)), CKR_MECHANISM_PARAM_INVALID);
    let none = |len| {
        // SAFETY: null, so it is not read.
        unsafe { RawParameter::new(ptr::null_mut::<c_void>(), len) }
    };
    assert!(none(0).read(CKM_ECDSA).unwrap() == Parameter::None);
    assert_eq!(rv(none(48).read(CKM_AES_GCM)), CKR_ARGUMENTS_BAD);
    assert_eq!(rv(none(0).read(CKM_AES_GCM)), CKR_MECHANISM_PARAM_INVALID);
}
