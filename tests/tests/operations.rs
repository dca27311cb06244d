//! Operations, whole and in parts: what they put out is what OpenSSL says, on two vendors' members, and they come to their
//! end when a member's storage goes away in their middle.

use cryptoki::error::RvError::{
    BufferTooSmall, DataLenRange, DeviceRemoved, EncryptedDataInvalid, EncryptedDataLenRange,
    KeyUnextractable, SignatureInvalid, SignatureLenRange,
};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki_sys::*;
use std::ptr;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::openssl::{aes_256_cbc, hmac_sha256, sha256};
use tandem_tests::{
    Demo, Raw, USER_PIN, Vendor, Wanted, alone, application, call, name_of, pin, refused,
};

/// Longer than any block, hash or buffer inside, and no multiple of any.
fn message() -> Vec<u8> {
    (0..100_003_u32).map(|n| u8::try_from(n % 251).expect("a byte")).collect()
}

/// The parts of a message, of all sizes.
fn parts(message: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut parts, mut len) = (message, Vec::new(), 1);
    while !rest.is_empty() {
        let (part, after) = rest.split_at(len.min(rest.len()));
        parts.push(part);
        (rest, len) = (after, len * 3 + 1);
    }
    parts
}

const KEY: [u8; 32] = *b"a key that everybody may know...";
const IV: [u8; 16] = *b"16 bytes to mix.";

/// A secret that the test knows, on the token or in the session.
fn import(session: &Session, key_type: KeyType, token: bool) -> ObjectHandle {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(key_type),
        Attribute::Token(token),
        Attribute::Value(KEY.to_vec()),
        Attribute::Encrypt(key_type == KeyType::AES),
        Attribute::Decrypt(key_type == KeyType::AES),
        Attribute::Sign(true),
        Attribute::Verify(true),
    ];
    session.create_object(&template).expect("an import")
}

#[test]
fn signatures_are_what_openssl_verifies_whole_and_in_parts() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        let message = message();
        let made = Kind::Rsa(2048).make(&session, "rsa").expect("a key");
        let public = Kind::Rsa(2048).public(&session, made).expect("a public key");
        let whole =
            session.sign(&Mechanism::Sha256RsaPkcs, made.key, &message).expect("a signature");
        assert!(public.verifies(&sha256(&message), &whole));
        session.sign_init(&Mechanism::Sha256RsaPkcs, made.key).expect("C_SignInit");
        for part in parts(&message) {
            session.sign_update(part).expect("C_SignUpdate");
        }
        assert_eq!(session.sign_final().expect("C_SignFinal"), whole);

        // And back: verified here, whole and in parts, and not when a bit is wrong.
        let key = made.public.expect("a public key");
        let verify = |signature: &[u8]| {
            session.verify_init(&Mechanism::Sha256RsaPkcs, key)?;
            parts(&message).into_iter().try_for_each(|part| session.verify_update(part))?;
            session.verify_final(signature)
        };
        session.verify(&Mechanism::Sha256RsaPkcs, key, &message, &whole).expect("C_Verify");
        verify(&whole).expect("C_VerifyFinal");
        let mut wrong = whole.clone();
        wrong[100] ^= 1;
        refused(
            "C_Verify",
            session.verify(&Mechanism::Sha256RsaPkcs, key, &message, &wrong),
            &[SignatureInvalid],
        );
        refused("C_VerifyFinal", verify(&wrong), &[SignatureInvalid]);
        let short = [SignatureLenRange, SignatureInvalid];
        refused(
            "a short signature",
            session.verify(&Mechanism::Sha256RsaPkcs, key, &message, &whole[1..]),
            &short,
        );
        refused("no signature", verify(&[]), &short);

        // Random ones: each is another, and each is good.
        let pss = Mechanism::Sha256RsaPkcsPss(PkcsPssParams {
            hash_alg: MechanismType::SHA256,
            mgf: PkcsMgfType::MGF1_SHA256,
            s_len: 32.into(),
        });
        let signatures =
            [0; 4].map(|_| session.sign(&pss, made.key, &message).expect("a PSS signature"));
        for signature in &signatures {
            session.verify(&pss, key, &message, signature).expect("C_Verify");
        }
        assert_ne!(signatures[0], signatures[1]);
        for kind in [Kind::P256, Kind::P384] {
            let made = kind.make(&session, &kind.to_string()).expect("a key");
            let public = kind.public(&session, made).expect("a public key");
            for _ in 0..4 {
                let signature = kind.work(&session, made).expect("a signature");
                assert!(public.verifies(&DIGEST, &signature));
                let key = made.public.expect("a public key");
                session.verify(&Mechanism::Ecdsa, key, &DIGEST, &signature).expect("C_Verify");
            }
        }
    });
}

#[test]
fn ciphertexts_are_what_openssl_makes_whole_and_in_parts() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        let message = message();
        let blocks = &message[..99_984];
        for token in [true, false] {
            let key = import(&session, KeyType::AES, token);
            let cbc = Mechanism::AesCbc(IV);
            let whole = session.encrypt(&cbc, key, blocks).expect("a ciphertext");
            assert_eq!(whole, aes_256_cbc(&KEY, &IV, blocks));
            assert_eq!(encrypted(&session, &cbc, key, blocks), whole);
            assert_eq!(session.decrypt(&cbc, key, &whole).expect("a plaintext"), blocks);
            assert_eq!(decrypted(&session, &cbc, key, &whole), blocks);

            let pad = Mechanism::AesCbcPad(IV);
            let whole = session.encrypt(&pad, key, &message).expect("a ciphertext");
            assert_eq!(encrypted(&session, &pad, key, &message), whole);
            assert_eq!(decrypted(&session, &pad, key, &whole), message);
            refused("half a block", session.encrypt(&cbc, key, &message), &[DataLenRange]);
            let told = [EncryptedDataInvalid, EncryptedDataLenRange];
            refused("a cut ciphertext", session.decrypt(&pad, key, &whole[..33]), &told);

            let mut iv = *b"twelve bytes";
            let gcm = Mechanism::AesGcm(
                GcmParams::new(&mut iv, b"said openly", 128.into()).expect("parameters"),
            );
            let sealed = session.encrypt(&gcm, key, &message).expect("a ciphertext");
            assert_eq!(sealed.len(), message.len() + 16);
            assert_eq!(session.decrypt(&gcm, key, &sealed).expect("a plaintext"), message);
            let mut wrong = sealed;
            wrong[7] ^= 1;
            assert!(session.decrypt(&gcm, key, &wrong).is_err(), "a ciphertext that was changed");
            assert_eq!(
                session.encrypt(&cbc, key, blocks).expect("the members are well"),
                aes_256_cbc(&KEY, &IV, blocks)
            );
        }
    });
}

fn encrypted(
    session: &Session,
    mechanism: &Mechanism<'_>,
    key: ObjectHandle,
    data: &[u8],
) -> Vec<u8> {
    session.encrypt_init(mechanism, key).expect("C_EncryptInit");
    let mut out = Vec::new();
    for part in parts(data) {
        out.extend(session.encrypt_update(part).expect("C_EncryptUpdate"));
    }
    out.extend(session.encrypt_final().expect("C_EncryptFinal"));
    out
}

fn decrypted(
    session: &Session,
    mechanism: &Mechanism<'_>,
    key: ObjectHandle,
    data: &[u8],
) -> Vec<u8> {
    session.decrypt_init(mechanism, key).expect("C_DecryptInit");
    let mut out = Vec::new();
    for part in parts(data) {
        out.extend(session.decrypt_update(part).expect("C_DecryptUpdate"));
    }
    out.extend(session.decrypt_final().expect("C_DecryptFinal"));
    out
}

#[test]
fn digests_and_macs_are_what_openssl_makes_whole_and_in_parts() {
    alone(&Wanted::mixed(), |_| {
        let (application, session) = application();
        let message = message();
        assert_eq!(
            session.digest(&Mechanism::Sha256, &message).expect("a digest"),
            sha256(&message)
        );
        session.digest_init(&Mechanism::Sha256).expect("C_DigestInit");
        for part in parts(&message) {
            session.digest_update(part).expect("C_DigestUpdate");
        }
        assert_eq!(session.digest_final().expect("C_DigestFinal"), sha256(&message));
        // A digest needs no login.
        let other = application.open(false);
        assert_eq!(other.digest(&Mechanism::Sha256, b"").expect("a digest"), sha256(b""));

        for token in [true, false] {
            let key = import(&session, KeyType::GENERIC_SECRET, token);
            let mac = session.sign(&Mechanism::Sha256Hmac, key, &message).expect("a MAC");
            assert_eq!(mac, hmac_sha256(&KEY, &message));
            session.sign_init(&Mechanism::Sha256Hmac, key).expect("C_SignInit");
            for part in parts(&message) {
                session.sign_update(part).expect("C_SignUpdate");
            }
            assert_eq!(session.sign_final().expect("C_SignFinal"), mac);
            session.verify(&Mechanism::Sha256Hmac, key, &message, &mac).expect("C_Verify");
            let wrong = session.verify(&Mechanism::Sha256Hmac, key, &message[1..], &mac);
            refused("another message", wrong, &[SignatureInvalid]);
        }
    });
}

#[test]
fn asking_for_a_length_or_with_too_short_a_buffer_ends_nothing() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        let raw = Raw::tandem();
        let s = session.handle();
        let made = Kind::Rsa(2048).make(&session, "rsa").expect("a key");
        let aes = import(&session, KeyType::AES, true);
        let mut data = DIGEST;
        let data = data.as_mut_ptr();
        let mut out = [0_u8; 512];
        let place = out.as_mut_ptr();
        let short = format!("{BufferTooSmall:?}");

        let mut pkcs = CK_MECHANISM {
            mechanism: CKM_RSA_PKCS,
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        assert_eq!(call!(raw, C_SignInit(s, &raw mut pkcs, made.key.handle())), CKR_OK);
        let mut len = 0;
        for _ in 0..3 {
            assert_eq!(call!(raw, C_Sign(s, data, 32, ptr::null_mut(), &raw mut len)), CKR_OK);
            assert_eq!(len, 256);
            len = 255;
            assert_eq!(name_of(call!(raw, C_Sign(s, data, 32, place, &raw mut len))), short);
            assert_eq!(len, 256);
        }
        assert_eq!(call!(raw, C_Sign(s, data, 32, place, &raw mut len)), CKR_OK);
        let key = made.public.expect("a public key");
        session.verify(&Mechanism::RsaPkcs, key, &DIGEST, &out[..256]).expect("the signature");

        // A length that was never set claims all the memory there is.
        assert_eq!(call!(raw, C_SignInit(s, &raw mut pkcs, made.key.handle())), CKR_OK);
        let mut len = CK_ULONG::MAX;
        assert_eq!(call!(raw, C_Sign(s, data, 32, place, &raw mut len)), CKR_OK);
        assert_eq!(len, 256);

        let mut iv = IV;
        let mut cbc = CK_MECHANISM {
            mechanism: CKM_AES_CBC_PAD,
            pParameter: iv.as_mut_ptr().cast(),
            ulParameterLen: 16,
        };
        assert_eq!(call!(raw, C_EncryptInit(s, &raw mut cbc, aes.handle())), CKR_OK);
        let mut len = 0;
        assert_eq!(call!(raw, C_Encrypt(s, data, 32, ptr::null_mut(), &raw mut len)), CKR_OK);
        assert!(len >= 48, "{len}");
        len = 47;
        assert_eq!(name_of(call!(raw, C_Encrypt(s, data, 32, place, &raw mut len))), short);
        // In place: input and output overlap (section 5.2).
        let mut own = [0_u8; 48];
        own[..32].copy_from_slice(&DIGEST);
        let own_place = own.as_mut_ptr();
        len = 48;
        assert_eq!(call!(raw, C_Encrypt(s, own_place, 32, own_place, &raw mut len)), CKR_OK);
        assert_eq!(
            session.encrypt(&Mechanism::AesCbcPad(IV), aes, &DIGEST).expect("a ciphertext"),
            own
        );

        let mut sha =
            CK_MECHANISM { mechanism: CKM_SHA256, pParameter: ptr::null_mut(), ulParameterLen: 0 };
        assert_eq!(call!(raw, C_DigestInit(s, &raw mut sha)), CKR_OK);
        assert_eq!(call!(raw, C_DigestUpdate(s, data, 32)), CKR_OK);
        len = 31;
        assert_eq!(name_of(call!(raw, C_DigestFinal(s, place, &raw mut len))), short);
        assert_eq!(len, 32);
        assert_eq!(call!(raw, C_DigestFinal(s, place, &raw mut len)), CKR_OK);
        assert_eq!(out[..32], sha256(&DIGEST));
    });
}

#[test]
fn a_pinned_session_key_ends_with_its_member() {
    let wanted = Wanted::mixed().with("balance=primary").with("session_objects=pinned");
    alone(&wanted, |demo| {
        let (_application, session) = application();
        let (cbc, blocks) = (Mechanism::AesCbc(IV), &message()[..64]);
        let expected = aes_256_cbc(&KEY, &IV, blocks);
        let key = import(&session, KeyType::AES, false);
        assert_eq!(session.encrypt(&cbc, key, blocks).expect("C_Encrypt"), expected);
        let onto_the_token = session.copy_object(key, &[Attribute::Token(true)]);
        refused("copying it onto the token", onto_the_token, &[KeyUnextractable]);
        let drained = demo.tandem(&["member", "drain", "a"]);
        assert!(drained.status.success(), "{drained:?}");
        let until = Instant::now() + Duration::from_secs(20);
        while session.encrypt(&cbc, key, blocks).is_ok() && Instant::now() < until {
            sleep(Duration::from_millis(50));
        }
        refused("its member is drained", session.encrypt(&cbc, key, blocks), &[DeviceRemoved]);
        // Another is made where there is somebody to make it.
        let other = import(&session, KeyType::AES, false);
        assert_eq!(session.encrypt(&cbc, other, blocks).expect("C_Encrypt"), expected);
    });
}

/// Begins operations, takes a member away in their middle, and finishes them.
fn survive(demo: &Demo, away: &str) {
    let (application, session) = application();
    let message = message();
    let blocks = &message[..99_984];
    let made = Kind::Rsa(2048).make(&session, "rsa").expect("a key");
    let public = Kind::Rsa(2048).public(&session, made).expect("a public key");
    let aes = import(&session, KeyType::AES, true);
    let passing = import(&session, KeyType::AES, false);
    let mac = import(&session, KeyType::GENERIC_SECRET, true);
    let cbc = Mechanism::AesCbc(IV);
    let ciphertext = aes_256_cbc(&KEY, &IV, blocks);

    // A session for each, all half-way when it happens.
    let sessions: Vec<_> = (0..6).map(|_| application.open(true)).collect();
    let [signs, macs, digests, encrypts, decrypts, passes] =
        sessions.try_into().expect("six sessions");
    let (first, rest) = message.split_at(50_001);
    signs.sign_init(&Mechanism::Sha256RsaPkcs, made.key).expect("C_SignInit");
    signs.sign_update(first).expect("C_SignUpdate");
    macs.sign_init(&Mechanism::Sha256Hmac, mac).expect("C_SignInit");
    macs.sign_update(first).expect("C_SignUpdate");
    digests.digest_init(&Mechanism::Sha256).expect("C_DigestInit");
    digests.digest_update(first).expect("C_DigestUpdate");
    let (plain, plain_rest) = blocks.split_at(50_001);
    encrypts.encrypt_init(&cbc, aes).expect("C_EncryptInit");
    let mut encrypted = encrypts.encrypt_update(plain).expect("C_EncryptUpdate");
    passes.encrypt_init(&cbc, passing).expect("C_EncryptInit");
    let mut passed = passes.encrypt_update(plain).expect("C_EncryptUpdate");
    let (cipher, cipher_rest) = ciphertext.split_at(50_001);
    decrypts.decrypt_init(&cbc, aes).expect("C_DecryptInit");
    let mut decrypted = decrypts.decrypt_update(cipher).expect("C_DecryptUpdate");

    demo.take_away(away);

    signs.sign_update(rest).expect("C_SignUpdate");
    assert!(public.verifies(&sha256(&message), &signs.sign_final().expect("C_SignFinal")));
    macs.sign_update(rest).expect("C_SignUpdate");
    assert_eq!(macs.sign_final().expect("C_SignFinal"), hmac_sha256(&KEY, &message));
    digests.digest_update(rest).expect("C_DigestUpdate");
    assert_eq!(digests.digest_final().expect("C_DigestFinal"), sha256(&message));
    encrypted.extend(encrypts.encrypt_update(plain_rest).expect("C_EncryptUpdate"));
    encrypted.extend(encrypts.encrypt_final().expect("C_EncryptFinal"));
    assert!(encrypted == ciphertext, "the ciphertext");
    passed.extend(passes.encrypt_update(plain_rest).expect("C_EncryptUpdate"));
    passed.extend(passes.encrypt_final().expect("C_EncryptFinal"));
    assert!(passed == ciphertext, "the session key's ciphertext");
    decrypted.extend(decrypts.decrypt_update(cipher_rest).expect("C_DecryptUpdate"));
    decrypted.extend(decrypts.decrypt_final().expect("C_DecryptFinal"));
    assert!(decrypted == blocks, "the plaintext");

    // And what begins now, many times over: nothing of it is lost, nothing asks for C_Finalize.
    for _ in 0..20 {
        let signature =
            session.sign(&Mechanism::Sha256RsaPkcs, made.key, &message).expect("a signature");
        assert!(public.verifies(&sha256(&message), &signature));
        assert_eq!(session.encrypt(&cbc, aes, blocks).expect("a ciphertext"), ciphertext);
        assert_eq!(session.encrypt(&cbc, passing, blocks).expect("a ciphertext"), ciphertext);
        assert_eq!(
            session.sign(&Mechanism::Sha256Hmac, mac, b"x").expect("a MAC"),
            hmac_sha256(&KEY, b"x")
        );
    }
    demo.bring_back(away);
    for _ in 0..5 {
        assert_eq!(session.encrypt(&cbc, aes, blocks).expect("a ciphertext"), ciphertext);
    }
}

#[test]
fn operations_outlive_the_first_of_two_softhsm_members() {
    use tandem_tests::Vendor::SoftHsm;
    alone(&Wanted::over(&[SoftHsm, SoftHsm]).with("balance=primary"), |demo| survive(demo, "a"));
}

#[test]
fn operations_outlive_softhsm_beside_kryoptic() {
    alone(&Wanted::mixed().with("balance=primary"), |demo| survive(demo, "a"));
}

#[test]
fn operations_outlive_kryoptic_beside_softhsm() {
    use tandem_tests::Vendor::{Kryoptic, SoftHsm};
    alone(&Wanted::over(&[Kryoptic, SoftHsm]).with("balance=primary"), |demo| survive(demo, "a"));
}

#[test]
fn every_way_of_balancing_serves_while_either_member_is_away() {
    alone(&Wanted::mixed().with("balance=round-robin"), |demo| {
        survive(demo, "b");
    });
}

#[test]
fn random_bytes_are_as_many_as_were_asked_and_never_the_same() {
    alone(&Wanted::mixed(), |demo| {
        let (_application, session) = application();
        let random = |len| session.generate_random_vec(len).expect("random bytes");
        for len in [1, 31, 4_096, 1_000_000] {
            let one = random(len);
            assert_eq!(one.len(), usize::try_from(len).expect("a length"));
            if len > 8 {
                assert_ne!(one, random(len));
            }
        }
        session.seed_random(b"more chance").expect("C_SeedRandom");
        demo.take_away("a");
        assert_ne!(random(32), random(32));
        assert!(random(4_096).iter().any(|byte| *byte != 0));
    });
}

#[test]
fn a_key_that_nobody_has_looked_for_yet_joins_an_operation_that_goes_on() {
    alone(&Wanted::over(&[Vendor::Kryoptic, Vendor::Kryoptic]), |_| {
        let kinds = [(Kind::Aes(32), "one"), (Kind::Aes(32), "two"), (Kind::Generic(16), "short")];
        let (first, session) = application();
        for (kind, name) in kinds {
            kind.make(&session, name).expect(name);
        }
        drop(session);
        first.finalize();
        // A member proves such keys by what is active in the session just then: encryption, a digest.
        let (_second, session) = application();
        let [one, two, short] =
            kinds.map(|(kind, name)| kind.find(&session, name).expect(name).key);
        session.encrypt_init(&Mechanism::AesEcb, one).expect("C_EncryptInit");
        let encrypted = session.encrypt_update(&DIGEST).expect("C_EncryptUpdate");
        session.digest_init(&Mechanism::Sha256).expect("C_DigestInit");
        session.decrypt_init(&Mechanism::AesEcb, two).expect("C_DecryptInit beside both");
        session.digest_key(short).expect("C_DigestKey beside both");
        session.digest_final().expect("C_DigestFinal");
        session.decrypt_update(&DIGEST).expect("C_DecryptUpdate");
        session.decrypt_final().expect("C_DecryptFinal");
        assert!(session.encrypt_final().expect("C_EncryptFinal").is_empty());
        assert_eq!(
            session.decrypt(&Mechanism::AesEcb, one, &encrypted).expect("C_Decrypt"),
            DIGEST
        );
    });
}

#[test]
fn what_a_member_can_make_no_sense_of_leaves_it_up() {
    alone(&Wanted::mixed(), |_| {
        let (_application, session) = application();
        let made = Kind::Rsa(2048).make_with(&session, "small", &[]).expect("a key");
        let public = made.public.expect("a public key");
        // More than the modulus holds: Kryoptic says CKR_DEVICE_ERROR of it. Members take turns, so each is asked first once.
        for _ in 0..2 {
            assert!(session.encrypt(&Mechanism::RsaPkcs, public, &[1; 512]).is_err());
        }
        // It is done on all members or not at all.
        session.set_pin(&pin(USER_PIN), &pin("654321")).expect("no member is down");
    });
}
