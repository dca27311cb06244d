//! What a broken application may pass: null pointers, impossible lengths, handles of nothing. Each is answered with the
//! CK_RV that the specification names and one line in the log, and nothing is read or lost for it.

use cryptoki_sys::*;
use std::ptr::null_mut;
use tandem_tests::keys::{Kind, Made};
use tandem_tests::{
    Broken, Demo, Raw, Wanted, alone, application, attribute, call, name_of, verbose,
};

/// A length that no memory has.
const HUGE: CK_ULONG = CK_ULONG::MAX / 2;
/// No session, slot or object has this number.
const NOTHING: CK_ULONG = 0x7fff_ffff;

fn broken(demo: &Demo, act: impl FnOnce(&Broken<'_>, &cryptoki::session::Session)) {
    verbose();
    let (_application, session) = application();
    act(&Broken::new(demo, session.handle()), &session);
    // Whatever was done, the session works as before.
    let made = Kind::P256.make(&session, "after").expect("a key");
    Kind::P256.work(&session, made).expect("a signature");
}

const fn mechanism(kind: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 }
}

#[test]
fn null_pointers_of_general_functions_are_bad_arguments() {
    alone(&Wanted::mixed(), |demo| {
        broken(demo, |broken, _| {
            let bad = CKR_ARGUMENTS_BAD;
            broken.expect("C_GetInfo", bad, |raw, _| call!(raw, C_GetInfo(null_mut())));
            broken.expect("C_GetFunctionList", bad, |raw, _| {
                call!(raw, C_GetFunctionList(null_mut()))
            });
            broken.expect("C_GetInterfaceList", bad, |raw, _| {
                call!(raw, C_GetInterfaceList(null_mut(), null_mut()))
            });
            broken.expect("C_GetInterface", bad, |raw, _| {
                call!(raw, C_GetInterface(null_mut(), null_mut(), null_mut(), 0))
            });
            broken.expect("C_GetSlotList", bad, |raw, _| {
                call!(raw, C_GetSlotList(CK_TRUE, null_mut(), null_mut()))
            });
            broken.expect("C_GetSlotInfo", bad, |raw, _| call!(raw, C_GetSlotInfo(0, null_mut())));
            broken
                .expect("C_GetTokenInfo", bad, |raw, _| call!(raw, C_GetTokenInfo(0, null_mut())));
            broken.expect("C_GetMechanismList", bad, |raw, _| {
                call!(raw, C_GetMechanismList(0, null_mut(), null_mut()))
            });
            broken.expect("C_GetMechanismInfo", bad, |raw, _| {
                call!(raw, C_GetMechanismInfo(0, CKM_AES_ECB, null_mut()))
            });
            broken.expect("C_InitToken without a label", bad, |raw, _| {
                call!(raw, C_InitToken(0, b"12345678".as_ptr().cast_mut(), 8, null_mut()))
            });
            broken.expect("C_InitToken with a PIN of nowhere", bad, |raw, _| {
                let mut label = [b' '; 32];
                call!(raw, C_InitToken(0, null_mut(), 8, label.as_mut_ptr()))
            });
            broken.expect("C_WaitForSlotEvent", bad, |raw, _| {
                call!(raw, C_WaitForSlotEvent(CKF_DONT_BLOCK, null_mut(), null_mut()))
            });
            broken.expect("C_Finalize with something reserved", bad, |raw, s| {
                call!(raw, C_Finalize((&raw const s).cast_mut().cast()))
            });
            broken.expect("C_OpenSession", bad, |raw, _| {
                call!(raw, C_OpenSession(0, CKF_SERIAL_SESSION, null_mut(), None, null_mut()))
            });
            broken.expect("C_GetSessionInfo", bad, |raw, s| {
                call!(raw, C_GetSessionInfo(s, null_mut()))
            });
            broken.expect("C_Login with a PIN of nowhere", bad, |raw, s| {
                call!(raw, C_Login(s, CKU_USER, null_mut(), 6))
            });
            broken.expect("C_SetPIN with PINs of nowhere", bad, |raw, s| {
                call!(raw, C_SetPIN(s, null_mut(), 6, null_mut(), 6))
            });
            broken.expect("C_InitPIN with a PIN of nowhere", bad, |raw, s| {
                call!(raw, C_InitPIN(s, null_mut(), 6))
            });
            broken.expect("C_GenerateRandom", bad, |raw, s| {
                call!(raw, C_GenerateRandom(s, null_mut(), 8))
            });
            broken.expect("C_SeedRandom", bad, |raw, s| call!(raw, C_SeedRandom(s, null_mut(), 8)));
        });
    });
}

#[test]
fn null_pointers_of_object_functions_are_bad_arguments() {
    alone(&Wanted::mixed(), |demo| {
        broken(demo, |broken, session| {
            let bad = CKR_ARGUMENTS_BAD;
            let made = Kind::Aes(32).make(session, "key").expect("a key").key.handle();
            let mut handle = 0;
            let mut label = *b"label";
            let mut one = [attribute(CKA_LABEL, &mut label)];
            let one = one.as_mut_ptr();
            broken.expect("C_CreateObject without a template", bad, |raw, s| {
                call!(raw, C_CreateObject(s, null_mut(), 3, &raw mut handle))
            });
            broken.expect("C_CreateObject without a place", bad, |raw, s| {
                call!(raw, C_CreateObject(s, one, 1, null_mut()))
            });
            broken.expect("C_CreateObject of nothing", CKR_TEMPLATE_INCOMPLETE, |raw, s| {
                call!(raw, C_CreateObject(s, null_mut(), 0, &raw mut handle))
            });
            broken.expect("C_CopyObject without a place", bad, |raw, s| {
                call!(raw, C_CopyObject(s, made, one, 1, null_mut()))
            });
            broken.expect("C_GetObjectSize", bad, |raw, s| {
                call!(raw, C_GetObjectSize(s, made, null_mut()))
            });
            broken.expect("C_GetAttributeValue", bad, |raw, s| {
                call!(raw, C_GetAttributeValue(s, made, null_mut(), 1))
            });
            broken.expect("C_SetAttributeValue", bad, |raw, s| {
                call!(raw, C_SetAttributeValue(s, made, null_mut(), 1))
            });
            broken.expect("C_FindObjectsInit", bad, |raw, s| {
                call!(raw, C_FindObjectsInit(s, null_mut(), 1))
            });
            let mut count = 0;
            assert_eq!(call!(broken.raw, C_FindObjectsInit(broken.session, null_mut(), 0)), CKR_OK);
            broken.expect("C_FindObjects without a buffer", bad, |raw, s| {
                call!(raw, C_FindObjects(s, null_mut(), 1, &raw mut count))
            });
            broken.expect("C_FindObjects without a count", bad, |raw, s| {
                call!(raw, C_FindObjects(s, &raw mut handle, 1, null_mut()))
            });
            let _ = call!(broken.raw, C_FindObjectsFinal(broken.session));
            let mut aes = mechanism(CKM_AES_KEY_GEN);
            let aes = &raw mut aes;
            let mut ec = mechanism(CKM_EC_KEY_PAIR_GEN);
            let ec = &raw mut ec;
            broken.expect("C_GenerateKey without a mechanism", bad, |raw, s| {
                call!(raw, C_GenerateKey(s, null_mut(), one, 1, &raw mut handle))
            });
            broken.expect("C_GenerateKey without a place", bad, |raw, s| {
                call!(raw, C_GenerateKey(s, aes, one, 1, null_mut()))
            });
            broken.expect("C_GenerateKeyPair without a mechanism", bad, |raw, s| {
                let (public, private) = (&raw mut handle, &raw mut count);
                call!(raw, C_GenerateKeyPair(s, null_mut(), one, 1, one, 1, public, private))
            });
            broken.expect("C_GenerateKeyPair without a template", bad, |raw, s| {
                let (public, private) = (&raw mut handle, &raw mut count);
                call!(raw, C_GenerateKeyPair(s, ec, null_mut(), 1, one, 1, public, private))
            });
            broken.expect("C_GenerateKeyPair without a place", bad, |raw, s| {
                let public = &raw mut handle;
                call!(raw, C_GenerateKeyPair(s, ec, one, 1, one, 1, public, null_mut()))
            });
            broken.expect("C_WrapKey without a length", bad, |raw, s| {
                call!(raw, C_WrapKey(s, aes, made, made, null_mut(), null_mut()))
            });
            broken.expect("C_UnwrapKey of nothing", bad, |raw, s| {
                call!(raw, C_UnwrapKey(s, aes, made, null_mut(), 40, one, 1, &raw mut handle))
            });
            broken.expect("C_DeriveKey without a mechanism", bad, |raw, s| {
                call!(raw, C_DeriveKey(s, null_mut(), made, one, 1, &raw mut handle))
            });
        });
    });
}

#[test]
fn null_pointers_of_operations_are_bad_arguments_and_end_them() {
    alone(&Wanted::mixed(), |demo| {
        broken(demo, |broken, session| {
            let bad = CKR_ARGUMENTS_BAD;
            let Made { key, public } = Kind::P256.make(session, "pair").expect("a key");
            let (key, public) = (key.handle(), public.expect("a public key").handle());
            let aes = Kind::Aes(32).make(session, "aes").expect("a key").key.handle();
            let mut ecdsa = mechanism(CKM_ECDSA);
            let ecdsa = &raw mut ecdsa;
            let mut ecb = mechanism(CKM_AES_ECB);
            let ecb = &raw mut ecb;
            let mut sha = mechanism(CKM_SHA256);
            let sha = &raw mut sha;
            let mut data = [7_u8; 32];
            let data = data.as_mut_ptr();
            let mut out = [0_u8; 128];
            let out = out.as_mut_ptr();
            let mut len: CK_ULONG = 128;
            let len = &raw mut len;

            for what in
                ["C_SignInit", "C_VerifyInit", "C_EncryptInit", "C_DecryptInit", "C_DigestInit"]
            {
                broken.expect(what, bad, |raw, s| match what {
                    "C_SignInit" => call!(raw, C_SignInit(s, null_mut(), key)),
                    "C_VerifyInit" => call!(raw, C_VerifyInit(s, null_mut(), public)),
                    "C_EncryptInit" => call!(raw, C_EncryptInit(s, null_mut(), aes)),
                    "C_DecryptInit" => call!(raw, C_DecryptInit(s, null_mut(), aes)),
                    _ => call!(raw, C_DigestInit(s, null_mut())),
                });
            }
            let ended = CKR_OPERATION_NOT_INITIALIZED;
            let begin = |broken: &Broken<'_>| {
                let s = broken.session;
                assert_eq!(call!(broken.raw, C_SignInit(s, ecdsa, key)), CKR_OK);
                assert_eq!(call!(broken.raw, C_VerifyInit(s, ecdsa, public)), CKR_OK);
                assert_eq!(call!(broken.raw, C_EncryptInit(s, ecb, aes)), CKR_OK);
                assert_eq!(call!(broken.raw, C_DecryptInit(s, ecb, aes)), CKR_OK);
                assert_eq!(call!(broken.raw, C_DigestInit(s, sha)), CKR_OK);
            };
            begin(broken);
            broken.expect("C_Sign of nothing", bad, |raw, s| {
                call!(raw, C_Sign(s, null_mut(), 32, out, len))
            });
            broken
                .expect("C_Sign ended", ended, |raw, s| call!(raw, C_Sign(s, data, 32, out, len)));
            broken.expect("C_Verify of nothing", bad, |raw, s| {
                call!(raw, C_Verify(s, data, 32, null_mut(), 64))
            });
            broken.expect("C_Verify ended", ended, |raw, s| {
                call!(raw, C_Verify(s, data, 32, out, 64))
            });
            broken.expect("C_Encrypt of nothing", bad, |raw, s| {
                call!(raw, C_Encrypt(s, null_mut(), 32, out, len))
            });
            broken.expect("C_Encrypt ended", ended, |raw, s| {
                call!(raw, C_Encrypt(s, data, 32, out, len))
            });
            broken.expect("C_Decrypt without a length", bad, |raw, s| {
                call!(raw, C_Decrypt(s, data, 32, out, null_mut()))
            });
            broken.expect("C_Decrypt ended", ended, |raw, s| {
                call!(raw, C_Decrypt(s, data, 32, out, len))
            });
            broken.expect("C_DigestUpdate of nothing", bad, |raw, s| {
                call!(raw, C_DigestUpdate(s, null_mut(), 32))
            });
            broken.expect("C_DigestFinal ended", ended, |raw, s| {
                call!(raw, C_DigestFinal(s, out, len))
            });

            // In parts.
            begin(broken);
            broken.expect("C_SignUpdate of nothing", bad, |raw, s| {
                call!(raw, C_SignUpdate(s, null_mut(), 1))
            });
            broken
                .expect("C_SignFinal ended", ended, |raw, s| call!(raw, C_SignFinal(s, out, len)));
            broken.expect("C_VerifyUpdate of nothing", bad, |raw, s| {
                call!(raw, C_VerifyUpdate(s, null_mut(), 1))
            });
            broken.expect("C_VerifyFinal ended", ended, |raw, s| {
                call!(raw, C_VerifyFinal(s, out, 64))
            });
            broken.expect("C_EncryptUpdate of nothing", bad, |raw, s| {
                call!(raw, C_EncryptUpdate(s, null_mut(), 16, out, len))
            });
            broken.expect("C_EncryptFinal ended", ended, |raw, s| {
                call!(raw, C_EncryptFinal(s, out, len))
            });
            broken.expect("C_DecryptUpdate without a length", bad, |raw, s| {
                call!(raw, C_DecryptUpdate(s, data, 16, out, null_mut()))
            });
            broken.expect("C_DecryptFinal ended", ended, |raw, s| {
                call!(raw, C_DecryptFinal(s, out, len))
            });
            broken.expect("C_Digest without a length", bad, |raw, s| {
                call!(raw, C_Digest(s, data, 32, out, null_mut()))
            });
            broken.expect("C_Digest ended", ended, |raw, s| {
                call!(raw, C_Digest(s, data, 32, out, len))
            });
        });
    });
}

#[test]
fn lengths_that_no_memory_has_are_refused_unread() {
    alone(&Wanted::mixed(), |demo| {
        broken(demo, |broken, session| {
            let Made { key, public } = Kind::P256.make(session, "pair").expect("a key");
            let (key, public) = (key.handle(), public.expect("a public key").handle());
            let aes = Kind::Aes(32).make_with(
                session,
                "aes",
                &[cryptoki::object::Attribute::Unwrap(true)],
            );
            let aes = aes.expect("a key").key.handle();
            let (mut byte, mut len, mut handle) = (7_u8, 64, 0);
            let (byte, len, handle) = (&raw mut byte, &raw mut len, &raw mut handle);
            let (mut ecdsa, mut ecb) = (mechanism(CKM_ECDSA), mechanism(CKM_AES_ECB));
            let mut wrap = mechanism(CKM_AES_KEY_WRAP);
            let mut out = [0_u8; 64];
            let out = out.as_mut_ptr();
            let mut row = CK_ATTRIBUTE { type_: CKA_LABEL, pValue: byte.cast(), ulValueLen: HUGE };
            let row = &raw mut row;

            let raw = &broken.raw;
            let s = broken.session;
            assert_eq!(call!(raw, C_SignInit(s, &raw mut ecdsa, key)), CKR_OK);
            broken.expect("C_Sign", CKR_DATA_LEN_RANGE, |raw, s| {
                call!(raw, C_Sign(s, byte, HUGE, out, len))
            });
            assert_eq!(call!(raw, C_VerifyInit(s, &raw mut ecdsa, public)), CKR_OK);
            broken.expect("C_Verify", CKR_SIGNATURE_LEN_RANGE, |raw, s| {
                call!(raw, C_Verify(s, byte, 1, byte, HUGE))
            });
            assert_eq!(call!(raw, C_EncryptInit(s, &raw mut ecb, aes)), CKR_OK);
            broken.expect("C_Encrypt", CKR_DATA_LEN_RANGE, |raw, s| {
                call!(raw, C_Encrypt(s, byte, CK_ULONG::MAX, out, len))
            });
            assert_eq!(call!(raw, C_DecryptInit(s, &raw mut ecb, aes)), CKR_OK);
            broken.expect("C_DecryptUpdate", CKR_ENCRYPTED_DATA_LEN_RANGE, |raw, s| {
                call!(raw, C_DecryptUpdate(s, byte, HUGE, out, len))
            });
            broken.expect("C_UnwrapKey", CKR_WRAPPED_KEY_LEN_RANGE, |raw, s| {
                call!(raw, C_UnwrapKey(s, &raw mut wrap, aes, byte, HUGE, null_mut(), 0, handle))
            });
            broken.expect("C_SeedRandom", CKR_ARGUMENTS_BAD, |raw, s| {
                call!(raw, C_SeedRandom(s, byte, HUGE))
            });
            broken.expect("C_GenerateRandom", CKR_ARGUMENTS_BAD, |raw, s| {
                call!(raw, C_GenerateRandom(s, byte, HUGE))
            });
            broken.expect("C_CreateObject of many attributes", CKR_ARGUMENTS_BAD, |raw, s| {
                call!(raw, C_CreateObject(s, row, HUGE, handle))
            });
            broken.expect(
                "C_CreateObject of one long attribute",
                CKR_ATTRIBUTE_VALUE_INVALID,
                |raw, s| call!(raw, C_CreateObject(s, row, 1, handle)),
            );
            broken.expect(
                "C_FindObjectsInit of one long attribute",
                CKR_ATTRIBUTE_VALUE_INVALID,
                |raw, s| call!(raw, C_FindObjectsInit(s, row, 1)),
            );
            broken.expect("C_GetAttributeValue of many attributes", CKR_ARGUMENTS_BAD, |raw, s| {
                call!(raw, C_GetAttributeValue(s, key, row, HUGE))
            });
            // A template inside a template.
            let mut inner =
                CK_ATTRIBUTE { type_: CKA_UNWRAP_TEMPLATE, pValue: row.cast(), ulValueLen: HUGE };
            broken.expect(
                "C_CreateObject of a template without end",
                CKR_ATTRIBUTE_VALUE_INVALID,
                |raw, s| call!(raw, C_CreateObject(s, &raw mut inner, 1, handle)),
            );
            // A mechanism's parameter.
            let mut long = CK_MECHANISM {
                mechanism: CKM_AES_CBC,
                pParameter: byte.cast(),
                ulParameterLen: HUGE,
            };
            broken.expect("C_EncryptInit", CKR_MECHANISM_PARAM_INVALID, |raw, s| {
                call!(raw, C_EncryptInit(s, &raw mut long, aes))
            });
        });
    });
}

#[test]
fn empty_input_is_input() {
    alone(&Wanted::mixed(), |demo| {
        broken(demo, |broken, _| {
            let (raw, s) = (&broken.raw, broken.session);
            let mut sha = mechanism(CKM_SHA256);
            let (mut digest, mut len) = ([0_u8; 32], 32);
            assert_eq!(call!(raw, C_DigestInit(s, &raw mut sha)), CKR_OK);
            assert_eq!(
                call!(raw, C_Digest(s, null_mut(), 0, digest.as_mut_ptr(), &raw mut len)),
                CKR_OK
            );
            assert_eq!(digest[..], tandem_tests::openssl::sha256(&[])[..]);
            assert_eq!(call!(raw, C_GenerateRandom(s, null_mut(), 0)), CKR_OK);
            assert_eq!(call!(raw, C_FindObjectsInit(s, null_mut(), 0)), CKR_OK);
            let mut count = 9;
            let rv = call!(raw, C_FindObjects(s, null_mut(), 0, &raw mut count));
            assert_eq!((rv, count), (CKR_OK, 0), "a search for no more than nothing");
            assert_eq!(call!(raw, C_FindObjectsFinal(s)), CKR_OK);
        });
    });
}

#[test]
fn handles_of_nothing_are_named() {
    alone(&Wanted::mixed(), |demo| {
        broken(demo, |broken, session| {
            let aes = Kind::Aes(32).make_with(
                session,
                "aes",
                &[
                    cryptoki::object::Attribute::Wrap(true),
                    cryptoki::object::Attribute::Unwrap(true),
                ],
            );
            let aes = aes.expect("a key").key.handle();
            let (mut ecdsa, mut wrap) = (mechanism(CKM_ECDSA), mechanism(CKM_AES_KEY_WRAP));
            let (mut ecb, mut ecdh) = (mechanism(CKM_AES_ECB), mechanism(CKM_ECDH1_DERIVE));
            let (mut token, mut handle, mut len) = (CK_FALSE, 0, 64);
            let mut row = attribute(CKA_TOKEN, &mut token);
            let mut bytes = [0_u8; 64];
            let bytes = bytes.as_mut_ptr();

            // Sessions and slots.
            for nothing in [0, NOTHING, CK_ULONG::MAX] {
                let invalid = CKR_SESSION_HANDLE_INVALID;
                broken.expect("C_CloseSession", invalid, |raw, _| {
                    call!(raw, C_CloseSession(nothing))
                });
                broken.expect("C_Logout", invalid, |raw, _| call!(raw, C_Logout(nothing)));
                broken.expect("C_SignInit", invalid, |raw, _| {
                    call!(raw, C_SignInit(nothing, &raw mut ecdsa, aes))
                });
                broken.expect("C_FindObjectsInit", invalid, |raw, _| {
                    call!(raw, C_FindObjectsInit(nothing, null_mut(), 0))
                });
                broken.expect("C_GenerateRandom", invalid, |raw, _| {
                    call!(raw, C_GenerateRandom(nothing, bytes, 8))
                });
            }
            for nothing in [1, NOTHING, CK_ULONG::MAX] {
                let invalid = CKR_SLOT_ID_INVALID;
                let mut info = CK_TOKEN_INFO::default();
                broken.expect("C_GetTokenInfo", invalid, |raw, _| {
                    call!(raw, C_GetTokenInfo(nothing, &raw mut info))
                });
                broken.expect("C_CloseAllSessions", invalid, |raw, _| {
                    call!(raw, C_CloseAllSessions(nothing))
                });
                broken.expect("C_OpenSession", invalid, |raw, _| {
                    call!(
                        raw,
                        C_OpenSession(
                            nothing,
                            CKF_SERIAL_SESSION,
                            null_mut(),
                            None,
                            &raw mut handle
                        )
                    )
                });
            }

            // Objects and keys.
            for nothing in [0, NOTHING, CK_ULONG::MAX] {
                let invalid = CKR_OBJECT_HANDLE_INVALID;
                broken.expect("C_DestroyObject", invalid, |raw, s| {
                    call!(raw, C_DestroyObject(s, nothing))
                });
                broken.expect("C_GetAttributeValue", invalid, |raw, s| {
                    call!(raw, C_GetAttributeValue(s, nothing, &raw mut row, 1))
                });
                broken.expect("C_SetAttributeValue", invalid, |raw, s| {
                    call!(raw, C_SetAttributeValue(s, nothing, &raw mut row, 1))
                });
                broken.expect("C_CopyObject", invalid, |raw, s| {
                    call!(raw, C_CopyObject(s, nothing, &raw mut row, 1, &raw mut handle))
                });
                broken.expect("C_GetObjectSize", invalid, |raw, s| {
                    call!(raw, C_GetObjectSize(s, nothing, &raw mut handle))
                });
                let invalid = CKR_KEY_HANDLE_INVALID;
                broken.expect("C_SignInit", invalid, |raw, s| {
                    call!(raw, C_SignInit(s, &raw mut ecdsa, nothing))
                });
                broken.expect("C_EncryptInit", invalid, |raw, s| {
                    call!(raw, C_EncryptInit(s, &raw mut ecb, nothing))
                });
                broken.expect("C_WrapKey: the key", invalid, |raw, s| {
                    call!(raw, C_WrapKey(s, &raw mut wrap, aes, nothing, bytes, &raw mut len))
                });
                broken.expect("C_WrapKey: by", CKR_WRAPPING_KEY_HANDLE_INVALID, |raw, s| {
                    call!(raw, C_WrapKey(s, &raw mut wrap, nothing, aes, bytes, &raw mut len))
                });
                broken.expect("C_UnwrapKey: by", CKR_UNWRAPPING_KEY_HANDLE_INVALID, |raw, s| {
                    let key = &raw mut handle;
                    call!(
                        raw,
                        C_UnwrapKey(s, &raw mut wrap, nothing, bytes, 24, &raw mut row, 1, key)
                    )
                });
                let mut parameter = CK_ECDH1_DERIVE_PARAMS {
                    kdf: CKD_NULL,
                    ulSharedDataLen: 0,
                    pSharedData: null_mut(),
                    ulPublicDataLen: 64,
                    pPublicData: bytes,
                };
                ecdh.pParameter = (&raw mut parameter).cast();
                ecdh.ulParameterLen = size_of_val(&parameter) as CK_ULONG;
                broken.expect("C_DeriveKey: from", invalid, |raw, s| {
                    call!(
                        raw,
                        C_DeriveKey(s, &raw mut ecdh, nothing, &raw mut row, 1, &raw mut handle)
                    )
                });
            }
        });
    });
}

#[test]
fn calls_out_of_turn_are_named() {
    alone(&Wanted::mixed(), |demo| {
        broken(demo, |broken, session| {
            let Made { key, .. } = Kind::P256.make(session, "pair").expect("a key");
            let key = key.handle();
            let (mut out, mut len) = ([0_u8; 64], 64);
            let out = out.as_mut_ptr();
            let mut ecdsa = mechanism(CKM_ECDSA);
            let not = CKR_OPERATION_NOT_INITIALIZED;
            broken
                .expect("C_Sign", not, |raw, s| call!(raw, C_Sign(s, out, 32, out, &raw mut len)));
            broken
                .expect("C_SignFinal", not, |raw, s| call!(raw, C_SignFinal(s, out, &raw mut len)));
            broken.expect("C_FindObjects", not, |raw, s| {
                call!(raw, C_FindObjects(s, null_mut(), 0, &raw mut len))
            });
            broken.expect("C_FindObjectsFinal", not, |raw, s| call!(raw, C_FindObjectsFinal(s)));
            let (raw, s) = (&broken.raw, broken.session);
            assert_eq!(call!(raw, C_SignInit(s, &raw mut ecdsa, key)), CKR_OK);
            broken.expect("C_SignInit", CKR_OPERATION_ACTIVE, |raw, s| {
                call!(raw, C_SignInit(s, &raw mut ecdsa, key))
            });
            // A null mechanism ends what is active (PKCS #11 3.0).
            assert_eq!(call!(raw, C_SignInit(s, null_mut(), key)), CKR_OK);
            broken
                .expect("C_Sign", not, |raw, s| call!(raw, C_Sign(s, out, 32, out, &raw mut len)));
            assert_eq!(call!(raw, C_FindObjectsInit(s, null_mut(), 0)), CKR_OK);
            broken.expect("C_FindObjectsInit", CKR_OPERATION_ACTIVE, |raw, s| {
                call!(raw, C_FindObjectsInit(s, null_mut(), 0))
            });
            assert_eq!(call!(raw, C_FindObjectsFinal(s)), CKR_OK);

            // Functions that no token serves any more, or that Tandem doesn't.
            broken.expect("C_GetFunctionStatus", CKR_FUNCTION_NOT_PARALLEL, |raw, s| {
                call!(raw, C_GetFunctionStatus(s))
            });
            broken.expect("C_CancelFunction", CKR_FUNCTION_NOT_PARALLEL, |raw, s| {
                call!(raw, C_CancelFunction(s))
            });
            broken.expect("C_GetOperationState", CKR_OPERATION_NOT_INITIALIZED, |raw, s| {
                call!(raw, C_GetOperationState(s, out, &raw mut len))
            });
            broken.expect("C_WaitForSlotEvent", CKR_NO_EVENT, |raw, _| {
                call!(raw, C_WaitForSlotEvent(CKF_DONT_BLOCK, &raw mut len, null_mut()))
            });
            // Mechanisms and keys that don't fit.
            let mut unknown = mechanism(0x7654_3210);
            broken.expect("C_SignInit by an unknown mechanism", CKR_MECHANISM_INVALID, |raw, s| {
                call!(raw, C_SignInit(s, &raw mut unknown, key))
            });
            broken.expect(
                "C_SignInit by a mechanism that doesn't sign",
                CKR_MECHANISM_INVALID,
                |raw, s| {
                    let mut generate = mechanism(CKM_AES_KEY_GEN);
                    call!(raw, C_SignInit(s, &raw mut generate, key))
                },
            );
            broken.expect(
                "C_SignInit by a mechanism that doesn't sign, with a key that isn't one for it",
                CKR_MECHANISM_INVALID,
                |raw, s| {
                    let mut ecb = mechanism(CKM_AES_ECB);
                    call!(raw, C_SignInit(s, &raw mut ecb, key))
                },
            );
            broken.expect(
                "C_VerifyInit with a key that signs",
                CKR_KEY_FUNCTION_NOT_PERMITTED,
                |raw, s| {
                    let mut ecdsa = mechanism(CKM_ECDSA);
                    call!(raw, C_VerifyInit(s, &raw mut ecdsa, key))
                },
            );
            // It must not decrypt, either, but of two errors this one is told (section 5.1.7).
            broken.expect(
                "C_DecryptInit by AES with an EC key",
                CKR_KEY_TYPE_INCONSISTENT,
                |raw, s| {
                    let mut ecb = mechanism(CKM_AES_ECB);
                    call!(raw, C_DecryptInit(s, &raw mut ecb, key))
                },
            );
            broken.expect(
                "C_SignInit by RSA with an EC key",
                CKR_KEY_TYPE_INCONSISTENT,
                |raw, s| {
                    let mut rsa = mechanism(CKM_RSA_PKCS);
                    call!(raw, C_SignInit(s, &raw mut rsa, key))
                },
            );
            let aes = Kind::Aes(32).make(session, "aes").expect("a key").key.handle();
            let rsa = Kind::Rsa(2048).make(session, "rsa").expect("a key").key.handle();
            let mut short = [0_u8; 5];
            let parameter = short.as_mut_ptr().cast();
            for (what, mechanism) in
                [("PSS", CKM_RSA_PKCS_PSS), ("GCM", CKM_AES_GCM), ("CBC", CKM_AES_CBC)]
            {
                for (parameter, len) in [(parameter, 5), (null_mut(), 0), (null_mut(), 5)] {
                    let mut mechanism =
                        CK_MECHANISM { mechanism, pParameter: parameter, ulParameterLen: len };
                    let mechanism = &raw mut mechanism;
                    let (what, invalid) =
                        (format!("of {len} bytes for {what}"), CKR_MECHANISM_PARAM_INVALID);
                    if what.ends_with("PSS") {
                        broken.expect(&format!("C_SignInit {what}"), invalid, |raw, s| {
                            call!(raw, C_SignInit(s, mechanism, rsa))
                        });
                    } else {
                        broken.expect(&format!("C_EncryptInit {what}"), invalid, |raw, s| {
                            call!(raw, C_EncryptInit(s, mechanism, aes))
                        });
                    }
                }
            }
        });
    });
}

extern "C" fn lock(_: *mut std::ffi::c_void) -> CK_RV {
    panic!("Tandem locks with the operating system's primitives");
}

#[test]
fn nothing_is_served_before_initialize_nor_after_finalize() {
    alone(&Wanted::mixed(), |_| {
        let raw = Raw::tandem();
        let closed = || {
            let (mut info, mut count) = (CK_INFO::default(), 0);
            for rv in [
                call!(raw, C_GetInfo(&raw mut info)),
                call!(raw, C_GetSlotList(CK_TRUE, null_mut(), &raw mut count)),
                call!(raw, C_OpenSession(0, CKF_SERIAL_SESSION, null_mut(), None, &raw mut count)),
                call!(raw, C_CloseSession(1)),
                call!(raw, C_FindObjectsFinal(1)),
                call!(raw, C_Finalize(null_mut())),
            ] {
                assert_eq!(name_of(rv), name_of(CKR_CRYPTOKI_NOT_INITIALIZED));
            }
        };
        closed();
        let mut arguments = CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, ..Default::default() };
        arguments.pReserved = (&raw mut arguments).cast();
        let initialize = |arguments: &mut CK_C_INITIALIZE_ARGS| {
            name_of(call!(raw, C_Initialize(std::ptr::from_mut(arguments).cast())))
        };
        assert_eq!(initialize(&mut arguments), name_of(CKR_ARGUMENTS_BAD), "pReserved");
        arguments.pReserved = null_mut();
        arguments.LockMutex = Some(lock);
        assert_eq!(
            initialize(&mut arguments),
            name_of(CKR_ARGUMENTS_BAD),
            "some of the mutex functions"
        );
        arguments.LockMutex = None;
        closed();
        assert_eq!(initialize(&mut arguments), "CKR_OK");
        assert_eq!(initialize(&mut arguments), name_of(CKR_CRYPTOKI_ALREADY_INITIALIZED));
        assert_eq!(call!(raw, C_Finalize(null_mut())), CKR_OK);
        closed();
    });
}
