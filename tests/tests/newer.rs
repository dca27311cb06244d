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
            let mut parameter = CK_GCM_MESSAGE_PARAMS {
                pIv: iv.as_mut_ptr(),
                ulIvLen: 12,
                ulIvFixedBits: 0,
                ivGenerator: CKG_NO_GENERATE,
                pTag: tag.as_mut_ptr(),
                ulTagBits: 128,
            };
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
            let mut parameter = CK_GCM_MESSAGE_PARAMS {
                pIv: iv.as_mut_ptr(),
                ulIvLen: 12,
                ulIvFixedBits: 0,
                ivGenerator: CKG_NO_GENERATE,
                pTag: tag.as_mut_ptr(),
                ulTagBits: 128,
            };
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
