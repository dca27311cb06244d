use super::rv;
use crate::abi::mechanism::{mechanism, mechanism_of_messages};
use std::ffi::c_void;
use std::ptr;
use tandem_engine::error::Result;
use tandem_values::mechanism::FLAT_BYTES_MAX;
use tandem_values::{Mechanism, Parameter, Part, ck::*};
use zeroize::Zeroizing;

fn decode(kind: CK_MECHANISM_TYPE, place: *mut c_void, len: usize) -> Result<Mechanism> {
    let raw = CK_MECHANISM { mechanism: kind, pParameter: place, ulParameterLen: len as CK_ULONG };
    // SAFETY: each test passes a parameter of this length, or one that must not be read.
    unsafe { mechanism(&raw const raw) }
}

fn with<T>(kind: CK_MECHANISM_TYPE, parameter: &mut T) -> Result<Mechanism> {
    decode(kind, (&raw mut *parameter).cast(), size_of::<T>())
}

fn parts(decoded: Result<Mechanism>) -> Vec<Part> {
    match decoded.unwrap().parameter {
        Parameter::Parts(parts) => parts,
        _ => panic!("not a structure"),
    }
}

fn bytes(bytes: &[u8]) -> Part {
    Part::Bytes(Some(Zeroizing::new(bytes.to_vec())))
}

#[test]
fn flat_parameters_are_copied() {
    let mut iv = [7u8; 16];
    assert!(with(CKM_AES_CBC_PAD, &mut iv).unwrap() == Mechanism::flat(CKM_AES_CBC_PAD, &iv));
    let plain = decode(CKM_ECDSA, ptr::null_mut(), 0).unwrap();
    assert!(plain == Mechanism::plain(CKM_ECDSA));
    // A pointer with no length is no parameter.
    assert!(decode(CKM_ECDSA, (&raw mut iv).cast(), 0).unwrap() == Mechanism::plain(CKM_ECDSA));
}

#[test]
fn structures_are_followed_to_their_ends() {
    let (mut iv, mut aad) = (*b"twelve bytes", *b"aad");
    let mut gcm = CK_GCM_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: 12,
        ulIvBits: 96,
        pAAD: aad.as_mut_ptr(),
        ulAADLen: 3,
        ulTagBits: 128,
    };
    let expected = [bytes(&iv), Part::Number(96), bytes(&aad), Part::Number(128)];
    assert!(parts(with(CKM_AES_GCM, &mut gcm)) == expected);

    let mut point = [4u8; 65];
    let mut ecdh = CK_ECDH1_DERIVE_PARAMS {
        kdf: CKD_NULL,
        ulSharedDataLen: 0,
        pSharedData: ptr::null_mut(),
        ulPublicDataLen: 65,
        pPublicData: point.as_mut_ptr(),
    };
    let expected = [Part::Number(CKD_NULL), Part::Bytes(None), bytes(&point)];
    assert!(parts(with(CKM_ECDH1_DERIVE, &mut ecdh)) == expected);

    let mut oaep = CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: CKM_SHA_1,
        mgf: CKG_MGF1_SHA1,
        source: CKZ_DATA_SPECIFIED,
        pSourceData: ptr::null_mut(),
        ulSourceDataLen: 0,
    };
    let mut wrap = CK_RSA_AES_KEY_WRAP_PARAMS { ulAESKeyBits: 256, pOAEPParams: &raw mut oaep };
    let inner = vec![
        Part::Number(CKM_SHA_1),
        Part::Number(CKG_MGF1_SHA1),
        Part::Number(CKZ_DATA_SPECIFIED),
        Part::Bytes(None),
    ];
    let expected = [Part::Number(256), Part::Nested(Some(inner))];
    assert!(parts(with(CKM_RSA_AES_KEY_WRAP, &mut wrap)) == expected);
    wrap.pOAEPParams = ptr::null_mut();
    let expected = [Part::Number(256), Part::Nested(None)];
    assert!(parts(with(CKM_RSA_AES_KEY_WRAP, &mut wrap)) == expected);

    let mut data = *b"data";
    let mut cbc = CK_AES_CBC_ENCRYPT_DATA_PARAMS {
        iv: *b"sixteen bytes iv",
        pData: data.as_mut_ptr(),
        length: 4,
    };
    let expected = [Part::Inline(b"sixteen bytes iv".to_vec()), bytes(&data)];
    assert!(parts(with(CKM_AES_CBC_ENCRYPT_DATA, &mut cbc)) == expected);
}

#[test]
fn lengths_in_bits_are_whole_bytes() {
    let (mut counter, mut nonce) = ([1u8; 4], [2u8; 12]);
    let mut chacha = CK_CHACHA20_PARAMS {
        pBlockCounter: counter.as_mut_ptr(),
        blockCounterBits: 32,
        pNonce: nonce.as_mut_ptr(),
        ulNonceBits: 96,
    };
    assert!(parts(with(CKM_CHACHA20, &mut chacha)) == [bytes(&counter), bytes(&nonce)]);
    chacha.ulNonceBits = 95;
    assert_eq!(rv(with(CKM_CHACHA20, &mut chacha)), CKR_MECHANISM_PARAM_INVALID);
}

#[test]
fn an_optional_structure_may_be_left_out() {
    assert!(decode(CKM_EDDSA, ptr::null_mut(), 0).unwrap() == Mechanism::plain(CKM_EDDSA));
    assert_eq!(rv(decode(CKM_AES_GCM, ptr::null_mut(), 0)), CKR_MECHANISM_PARAM_INVALID);
    assert_eq!(rv(decode(CKM_EDDSA, ptr::null_mut(), 24)), CKR_MECHANISM_PARAM_INVALID);
}

#[test]
fn hostile_parameters_are_refused_before_they_are_read() {
    let invalid = CKR_MECHANISM_PARAM_INVALID;
    let wild: *mut c_void = ptr::without_provenance_mut(8);
    for len in [1, 40, 47, 49, 1 << 40, usize::MAX] {
        assert_eq!(rv(decode(CKM_AES_GCM, wild, len)), invalid);
    }
    assert_eq!(rv(decode(CKM_AES_CBC, wild, FLAT_BYTES_MAX + 1)), invalid);
    assert_eq!(rv(decode(CKM_AES_CBC, wild, usize::MAX)), invalid);
    assert_eq!(rv(decode(CKM_AES_CBC, ptr::null_mut(), 16)), invalid);

    let mut gcm = CK_GCM_PARAMS { ulIvLen: 12, ..CK_GCM_PARAMS::default() };
    assert_eq!(rv(with(CKM_AES_GCM, &mut gcm)), invalid, "null with a length");
    gcm = CK_GCM_PARAMS { pIv: wild.cast(), ulIvLen: CK_ULONG::MAX, ..CK_GCM_PARAMS::default() };
    assert_eq!(rv(with(CKM_AES_GCM, &mut gcm)), invalid, "longer than memory");
    gcm.ulIvLen = FLAT_BYTES_MAX as CK_ULONG + 1;
    assert_eq!(rv(with(CKM_AES_GCM, &mut gcm)), invalid, "longer than the limit");
}

#[test]
fn mechanisms_nobody_knows_are_refused_whatever_they_point_at() {
    let wild = ptr::without_provenance_mut(8);
    for kind in [CKM_VENDOR_DEFINED | 1, CKM_TLS12_MASTER_KEY_DERIVE, CK_ULONG::MAX] {
        assert_eq!(rv(decode(kind, wild, 48)), CKR_MECHANISM_INVALID);
    }
}

#[test]
fn messages_bring_their_own_parameter() {
    let decode = |kind, place, len| {
        let raw = CK_MECHANISM { mechanism: kind, pParameter: place, ulParameterLen: len };
        // SAFETY: a parameter that is not looked at, or none.
        unsafe { mechanism_of_messages(&raw const raw) }
    };
    let wild = ptr::without_provenance_mut(8);
    let plain = Mechanism::plain(CKM_AES_GCM);
    assert!(decode(CKM_AES_GCM, ptr::null_mut(), 0).unwrap() == plain);
    let len = size_of::<CK_GCM_MESSAGE_PARAMS>() as CK_ULONG;
    assert!(decode(CKM_AES_GCM, wild, len).unwrap() == plain);
    assert_eq!(rv(decode(CKM_AES_GCM, wild, len + 1)), CKR_MECHANISM_PARAM_INVALID);
    assert!(decode(CKM_ECDSA, ptr::null_mut(), 0).unwrap() == Mechanism::plain(CKM_ECDSA));
    assert_eq!(rv(decode(CKM_AES_CBC, ptr::null_mut(), 16)), CKR_MECHANISM_PARAM_INVALID);
    assert_eq!(rv(decode(CK_ULONG::MAX, wild, 0)), CKR_MECHANISM_INVALID);
}
