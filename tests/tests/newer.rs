//! Functions that few modules have: combined operations, messages, signatures that come first, recovery. Over two members
//! that have them they work, whichever member is there; where no member has one the answer is the specification's.

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki_sys::*;
use std::ptr;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::openssl::sha256;
use tandem_tests::{Demo, Raw, Vendor, Wanted, alone, application, call, name_of};

/// A C program's session, beside the one that made its keys.
struct Program {
    raw: Raw,
    session: CK_SESSION_HANDLE,
}

const TEXT: &[u8] = b"a text of more than one block, so that there is something to put together";
/// Bytes of an AES block.
const BLOCK: usize = 16;

fn number(handle: ObjectHandle) -> CK_OBJECT_HANDLE {
    handle.handle()
}

fn mechanism<T>(kind: CK_MECHANISM_TYPE, parameter: &mut [T]) -> CK_MECHANISM {
    CK_MECHANISM {
        mechanism: kind,
        pParameter: if parameter.is_empty() {
            ptr::null_mut()
        } else {
            parameter.as_mut_ptr().cast()
        },
        ulParameterLen: size_of_val(parameter) as CK_ULONG,
    }
}

fn plain(kind: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    mechanism::<u8>(kind, &mut [])
}

/// A message's parameter: an IV that is brought, and room for a tag.
fn gcm_message(iv: &mut [u8], tag: &mut [u8]) -> CK_GCM_MESSAGE_PARAMS {
    CK_GCM_MESSAGE_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: iv.len() as CK_ULONG,
        ulIvFixedBits: 0,
        ivGenerator: CKG_NO_GENERATE,
        pTag: tag.as_mut_ptr(),
        ulTagBits: tag.len() as CK_ULONG * 8,
    }
}

/// The call must have been done.
#[track_caller]
fn done(rv: CK_RV) {
    assert_eq!(name_of(rv), "CKR_OK");
}

/// Runs a call that has output.
fn output(call: impl FnOnce(*mut u8, *mut CK_ULONG) -> CK_RV) -> Vec<u8> {
    let mut out = vec![0; 1024];
    let mut len = out.len() as CK_ULONG;
    done(call(out.as_mut_ptr(), &raw mut len));
    out.truncate(usize::try_from(len).expect("a length"));
    out
}

impl Program {
    /// C_DigestEncryptUpdate and C_DecryptDigestUpdate: one digest on both ways, and the text again.
    fn combined(&self, key: CK_OBJECT_HANDLE) {
        let (raw, session) = (&self.raw, self.session);
        let mut text = TEXT[..4 * BLOCK].to_vec();
        let mut iv = [7_u8; BLOCK];
        let (mut cipher, mut hash) = (mechanism(CKM_AES_CBC, &mut iv), plain(CKM_SHA256));
        done(call!(raw, C_DigestInit(session, &raw mut hash)));
        done(call!(raw, C_EncryptInit(session, &raw mut cipher, key)));
        let mut ciphertext = Vec::new();
        for part in text.chunks_mut(2 * BLOCK) {
            ciphertext.extend(output(|out, len| {
                call!(
                    raw,
                    C_DigestEncryptUpdate(
                        session,
                        part.as_mut_ptr(),
                        part.len() as CK_ULONG,
                        out,
                        len
                    )
                )
            }));
        }
        ciphertext.extend(output(|out, len| call!(raw, C_EncryptFinal(session, out, len))));
        let digest = output(|out, len| call!(raw, C_DigestFinal(session, out, len)));
        assert_eq!(digest, sha256(&text));

        done(call!(raw, C_DigestInit(session, &raw mut hash)));
        done(call!(raw, C_DecryptInit(session, &raw mut cipher, key)));
        let mut opened = Vec::new();
        for part in ciphertext.chunks_mut(2 * BLOCK) {
            opened.extend(output(|out, len| {
                call!(
                    raw,
                    C_DecryptDigestUpdate(
                        session,
                        part.as_mut_ptr(),
                        part.len() as CK_ULONG,
                        out,
                        len
                    )
                )
            }));
        }
        opened.extend(output(|out, len| call!(raw, C_DecryptFinal(session, out, len))));
        let again = output(|out, len| call!(raw, C_DigestFinal(session, out, len)));
        assert_eq!((opened, again), (text, digest));
    }

    /// C_EncryptMessage and C_DecryptMessage: two messages under one operation each.
    fn messages(&self, key: CK_OBJECT_HANDLE) {
        let (raw, session) = (&self.raw, self.session);
        let mut gcm = plain(CKM_AES_GCM);
        done(call!(raw, C_MessageEncryptInit(session, &raw mut gcm, key)));
        let mut sealed = Vec::new();
        for nonce in [1_u8, 2] {
            let (mut iv, mut tag, mut aad, mut text) =
                ([nonce; 12], [0_u8; 16], *b"about", TEXT.to_vec());
            let mut parameter = gcm_message(&mut iv, &mut tag);
            let place = (&raw mut parameter).cast();
            let size = size_of::<CK_GCM_MESSAGE_PARAMS>() as CK_ULONG;
            let ciphertext = output(|out, len| {
                call!(
                    raw,
                    C_EncryptMessage(
                        session,
                        place,
                        size,
                        aad.as_mut_ptr(),
                        5,
                        text.as_mut_ptr(),
                        text.len() as CK_ULONG,
                        out,
                        len
                    )
                )
            });
            assert_ne!(tag, [0; 16], "the tag is written");
            sealed.push((iv, tag, ciphertext));
        }
        done(call!(raw, C_MessageEncryptFinal(session)));
        assert_ne!(sealed[0].2, sealed[1].2);

        done(call!(raw, C_MessageDecryptInit(session, &raw mut gcm, key)));
        for (mut iv, mut tag, mut ciphertext) in sealed {
            let mut aad = *b"about";
            let mut parameter = gcm_message(&mut iv, &mut tag);
            let place = (&raw mut parameter).cast();
            let size = size_of::<CK_GCM_MESSAGE_PARAMS>() as CK_ULONG;
            let text = output(|out, len| {
                call!(
                    raw,
                    C_DecryptMessage(
                        session,
                        place,
                        size,
                        aad.as_mut_ptr(),
                        5,
                        ciphertext.as_mut_ptr(),
                        ciphertext.len() as CK_ULONG,
                        out,
                        len
                    )
                )
            });
            assert_eq!(text, TEXT);
        }
        done(call!(raw, C_MessageDecryptFinal(session)));
    }

    /// C_EncryptMessage makes what C_Encrypt makes, and what somebody changed does not open.
    fn sealed_as_by_itself(&self, key: CK_OBJECT_HANDLE) {
        let (raw, session) = (&self.raw, self.session);
        let (mut iv, mut tag, mut text) = ([5_u8; 12], [0_u8; 12], TEXT.to_vec());
        let mut by_itself = [CK_GCM_PARAMS {
            pIv: iv.as_mut_ptr(),
            ulIvLen: 12,
            ulIvBits: 96,
            pAAD: ptr::null_mut(),
            ulAADLen: 0,
            ulTagBits: 96,
        }];
        let mut kind = mechanism(CKM_AES_GCM, &mut by_itself);
        done(call!(raw, C_EncryptInit(session, &raw mut kind, key)));
        let size = text.len() as CK_ULONG;
        let place = text.as_mut_ptr();
        let whole = output(|out, len| call!(raw, C_Encrypt(session, place, size, out, len)));

        let mut parameter = gcm_message(&mut iv, &mut tag);
        let bytes = size_of::<CK_GCM_MESSAGE_PARAMS>() as CK_ULONG;
        let given = (&raw mut parameter).cast();
        let mut gcm = plain(CKM_AES_GCM);
        let none = ptr::null_mut();
        let message = |text: *mut u8, size, out, len| {
            call!(raw, C_EncryptMessage(session, given, bytes, none, 0, text, size, out, len))
        };
        done(call!(raw, C_MessageEncryptInit(session, &raw mut gcm, key)));
        let mut len = 0;
        done(message(place, size, ptr::null_mut(), &raw mut len));
        assert_eq!(len, size, "the tag is not among it");
        let (mut little, mut short) = ([0_u8; 4], 4);
        let rv = message(place, size, little.as_mut_ptr(), &raw mut short);
        assert_eq!((name_of(rv), short), ("BufferTooSmall".into(), size));
        let mut sealed = output(|out, len| message(place, size, out, len));
        assert_eq!([&sealed[..], &tag[..]].concat(), whole);
        done(call!(raw, C_MessageEncryptFinal(session)));

        sealed[3] ^= 1;
        done(call!(raw, C_MessageDecryptInit(session, &raw mut gcm, key)));
        let (mut room, mut len) = ([0_u8; 256], 256);
        let (from, size) = (sealed.as_mut_ptr(), sealed.len() as CK_ULONG);
        let (out, to) = (room.as_mut_ptr(), &raw mut len);
        let rv = call!(raw, C_DecryptMessage(session, given, bytes, none, 0, from, size, out, to));
        assert_ne!(rv, CKR_OK);
        assert_eq!(room, [0; 256], "nothing of what does not open is given out");
    }

    /// C_SignMessage and C_VerifyMessage: messages whole and in parts, under one operation each.
    fn signed_messages(&self, key: CK_OBJECT_HANDLE, public: CK_OBJECT_HANDLE, signature: &[u8]) {
        let (raw, session) = (&self.raw, self.session);
        let (mut kind, none) = (plain(CKM_SHA256_RSA_PKCS), ptr::null_mut());
        let mut text = DIGEST.to_vec();
        let (place, size) = (text.as_mut_ptr(), text.len() as CK_ULONG);
        done(call!(raw, C_MessageSignInit(session, &raw mut kind, key)));
        for _ in 0..2 {
            let signed = output(|out, len| {
                call!(raw, C_SignMessage(session, none, 0, place, size, out, len))
            });
            assert_eq!(signed, signature, "such a signature is always the same");
        }
        done(call!(raw, C_SignMessageBegin(session, none, 0)));
        let middle = text.len() / 2;
        let half = middle as CK_ULONG;
        let rest = size - half;
        let nowhere = ptr::null_mut();
        done(call!(raw, C_SignMessageNext(session, none, 0, place, half, nowhere, nowhere.cast())));
        // SAFETY: the second half of the text.
        let second = unsafe { place.add(middle) };
        let next =
            |out, len| call!(raw, C_SignMessageNext(session, none, 0, second, rest, out, len));
        let mut len = 0;
        done(next(ptr::null_mut(), &raw mut len));
        assert_eq!(len, signature.len() as CK_ULONG);
        assert_eq!(output(next), signature);
        done(call!(raw, C_MessageSignFinal(session)));

        let mut good = signature.to_vec();
        let long = good.len() as CK_ULONG;
        let mut wrong = signature.to_vec();
        wrong[9] ^= 1;
        done(call!(raw, C_MessageVerifyInit(session, &raw mut kind, public)));
        let check = |signature: *mut u8| {
            call!(raw, C_VerifyMessage(session, none, 0, place, size, signature, long))
        };
        done(check(good.as_mut_ptr()));
        done(check(good.as_mut_ptr()));
        done(call!(raw, C_VerifyMessageBegin(session, none, 0)));
        done(call!(raw, C_VerifyMessageNext(session, none, 0, place, half, nowhere, 0)));
        let signature = good.as_mut_ptr();
        done(call!(raw, C_VerifyMessageNext(session, none, 0, second, rest, signature, long)));
        assert_eq!(name_of(check(wrong.as_mut_ptr())), "SignatureInvalid");
        done(check(good.as_mut_ptr()));
        done(call!(raw, C_MessageVerifyFinal(session)));
    }

    /// C_VerifySignature…: the signature first, then the data, whole and in parts.
    fn signature_first(&self, key: CK_OBJECT_HANDLE, public: CK_OBJECT_HANDLE, signature: &[u8]) {
        let (raw, session) = (&self.raw, self.session);
        assert_ne!(key, public);
        let begin = |signature: &[u8]| {
            let (mut kind, mut signature) = (plain(CKM_SHA256_RSA_PKCS), signature.to_vec());
            let len = signature.len() as CK_ULONG;
            done(call!(
                raw,
                C_VerifySignatureInit(session, &raw mut kind, public, signature.as_mut_ptr(), len)
            ));
        };
        let mut text = DIGEST.to_vec();
        begin(signature);
        done(call!(raw, C_VerifySignature(session, text.as_mut_ptr(), text.len() as CK_ULONG)));
        begin(signature);
        for part in text.chunks_mut(7) {
            done(call!(
                raw,
                C_VerifySignatureUpdate(session, part.as_mut_ptr(), part.len() as CK_ULONG)
            ));
        }
        done(call!(raw, C_VerifySignatureFinal(session)));
        let mut wrong = signature.to_vec();
        wrong[9] ^= 1;
        begin(&wrong);
        let rv = call!(raw, C_VerifySignature(session, text.as_mut_ptr(), text.len() as CK_ULONG));
        assert_eq!(name_of(rv), "SignatureInvalid");
    }

    /// C_SignRecover and C_VerifyRecover, which neither vendor has.
    fn recover(&self, key: CK_OBJECT_HANDLE) {
        let (raw, session) = (&self.raw, self.session);
        let mut kind = plain(CKM_RSA_PKCS);
        for rv in [
            call!(raw, C_SignRecoverInit(session, &raw mut kind, key)),
            call!(raw, C_VerifyRecoverInit(session, &raw mut kind, key)),
        ] {
            let refused = ["KeyFunctionNotPermitted", "FunctionNotSupported", "MechanismInvalid"];
            assert!(refused.contains(&&*name_of(rv)), "{}", name_of(rv));
        }
        let (mut out, mut len, mut data) = ([0_u8; 512], 512, DIGEST);
        let rv = call!(
            raw,
            C_SignRecover(session, data.as_mut_ptr(), 32, out.as_mut_ptr(), &raw mut len)
        );
        assert_eq!(name_of(rv), "OperationNotInitialized");
    }
}

fn all(session: &Session) {
    let program = Program { raw: Raw::tandem(), session: session.handle() };
    let aes = Kind::Aes(32).find(session, "aes").expect("a key");
    let rsa = Kind::Rsa(2048).find(session, "rsa").expect("a key");
    program.combined(number(aes.key));
    program.messages(number(aes.key));
    let signature = session
        .sign(&cryptoki::mechanism::Mechanism::Sha256RsaPkcs, rsa.key, &DIGEST)
        .expect("a signature");
    program.signature_first(
        number(rsa.key),
        number(rsa.public.expect("its public key")),
        &signature,
    );
    program.recover(number(rsa.key));
}

/// Messages, where members have functions for them and where they have none.
fn messages(session: &Session) {
    let program = Program { raw: Raw::tandem(), session: session.handle() };
    let aes = number(Kind::Aes(32).find(session, "aes").expect("a key").key);
    let rsa = Kind::Rsa(2048).find(session, "rsa").expect("a key");
    program.messages(aes);
    program.sealed_as_by_itself(aes);
    let signature = session
        .sign(&cryptoki::mechanism::Mechanism::Sha256RsaPkcs, rsa.key, &DIGEST)
        .expect("a signature");
    let public = number(rsa.public.expect("its public key"));
    program.signed_messages(number(rsa.key), public, &signature);
}

fn messages_on(demo: &Demo) {
    {
        let (_application, session) = application();
        Kind::Aes(32).make(&session, "aes").expect("a key");
        Kind::Rsa(2048).make(&session, "rsa").expect("a key");
    }
    for (member, _) in demo.members() {
        demo.take_away(member);
        let (application_, session) = application();
        messages(&session);
        drop((session, application_));
        demo.bring_back(member);
    }
}

#[test]
fn messages_work_on_members_of_a_version_that_has_no_functions_for_them() {
    alone(&Wanted::over(&[Vendor::SoftHsm, Vendor::SoftHsm]), |demo: &Demo| messages_on(demo));
}

#[test]
fn messages_work_on_one_that_signs_none() {
    alone(&Wanted::mixed(), |demo: &Demo| messages_on(demo));
}

#[test]
fn functions_that_few_modules_have_work_on_either_member() {
    alone(&Wanted::over(&[Vendor::Kryoptic, Vendor::Kryoptic]), |demo: &Demo| {
        {
            let (_application, session) = application();
            Kind::Aes(32).make(&session, "aes").expect("a key");
            Kind::Rsa(2048).make(&session, "rsa").expect("a key");
            all(&session);
        }
        for (member, _) in demo.members() {
            demo.take_away(member);
            let (application_, session) = application();
            all(&session);
            drop((session, application_));
            demo.bring_back(member);
        }
    });
}
