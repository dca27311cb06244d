//! A thread that works, and checks every output.

use super::tally::Tally;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::AttributeType;
use cryptoki::session::Session;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::value;

/// What is signed by ECDSA, as its digest.
const MESSAGE: &[u8] = b"what is signed";
/// What comes in parts.
const PARTS: [&[u8]; 4] = [&DIGEST, &[1; 48], &[2; 7], &[3; 9]];

/// The keys that all callers use, and what they must put out.
pub(crate) struct Keys {
    p256: Made,
    rsa: Made,
    mac: Made,
    cipher: Made,
    /// An uncompressed point.
    point: Vec<u8>,
    signature: Vec<u8>,
    code: Vec<u8>,
    sealed: Vec<u8>,
}

impl Keys {
    /// Makes them, and has OpenSSL judge the signature that is expected from then on.
    pub(crate) fn make(session: &Session) -> Self {
        let make = |kind: Kind, name: &str| kind.make(session, name).expect("a key");
        let (p256, rsa) = (make(Kind::P256, "p256"), make(Kind::Rsa(2048), "rsa"));
        let (mac, cipher) = (make(Kind::Generic(32), "mac"), make(Kind::Aes(32), "cipher"));
        let signature = Kind::Rsa(2048).work(session, rsa).expect("a signature");
        let public = Kind::Rsa(2048).public(session, rsa).expect("a public key");
        assert!(public.verifies(&DIGEST, &signature), "OpenSSL doesn't verify the signature");
        let point = value(session, p256.public.expect("a public key"), AttributeType::EcPoint);
        let code = in_parts(session, &mac).expect("a MAC");
        let sealed = encrypted(session, &cipher).expect("a ciphertext");
        // Inside the OCTET STRING.
        Self { p256, rsa, mac, cipher, point: point[2..].to_vec(), signature, code, sealed }
    }
}

fn in_parts(session: &Session, key: &Made) -> Result<Vec<u8>, Error> {
    session.sign_init(&Mechanism::Sha256Hmac, key.key)?;
    for part in PARTS {
        session.sign_update(part)?;
    }
    session.sign_final()
}

fn encrypted(session: &Session, key: &Made) -> Result<Vec<u8>, Error> {
    session.encrypt_init(&Mechanism::AesCbcPad([7; 16]), key.key)?;
    let mut whole = Vec::new();
    for part in PARTS {
        whole.extend(session.encrypt_update(part)?);
    }
    whole.extend(session.encrypt_final()?);
    Ok(whole)
}

/// A thread's session and keys.
pub(crate) struct Caller<'a> {
    number: usize,
    session: Session,
    keys: &'a Keys,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(number: usize, session: Session, keys: &'a Keys) -> Self {
        Self { number, session, keys }
    }

    /// Works until it is over. A call that is longer than one function is timed as a whole: the application waits for all.
    pub(crate) fn call_until(&self, over: &AtomicBool) -> Tally {
        let mut tally = Tally::default();
        let mut round = self.number;
        while !over.load(Ordering::Acquire) {
            let began = Instant::now();
            let answer = self.call(round);
            tally.times.push(began.elapsed());
            if let Err(problem) = answer {
                tally.failed.push(problem);
            }
            round += 1;
        }
        tally
    }

    fn call(&self, round: usize) -> Result<(), String> {
        let (session, keys) = (&self.session, self.keys);
        let same = |what: &str, found: Result<Vec<u8>, Error>, expected: &[u8]| match found {
            Ok(found) if found == expected => Ok(()),
            Ok(_) => Err(format!("{what}: another output")),
            Err(error) => Err(format!("{what}: {error}")),
        };
        match round % 4 {
            0 => {
                let hash = digest(&SHA256, MESSAGE);
                let signed = session.sign(&Mechanism::Ecdsa, keys.p256.key, hash.as_ref());
                let signed = signed.map_err(|error| format!("ECDSA: {error}"))?;
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &keys.point)
                    .verify(MESSAGE, &signed)
                    .map_err(|_| "ECDSA: the signature is wrong".to_owned())
            }
            1 => same("RSA", Kind::Rsa(2048).work(session, keys.rsa), &keys.signature),
            2 => same("HMAC in parts", in_parts(session, &keys.mac), &keys.code),
            _ => same("AES-CBC in parts", encrypted(session, &keys.cipher), &keys.sealed),
        }
    }
}
