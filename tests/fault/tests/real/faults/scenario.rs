//! What an application does while a member fails.

use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::session::Session;
use tandem_tests::keys::{DIGEST, Kind};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// A signature with ECDSA.
    Sign,
    /// A signature with RSA over several parts.
    SignParts,
    /// A digest of several parts.
    Digest,
    /// A MAC in several parts.
    Mac,
    /// An encryption in several parts.
    Encrypt,
    /// A key pair is made.
    Generate,
    /// A key pair is destroyed.
    Destroy,
}

const SIGNER: &str = "signer";
const MAC: &str = "mac";
const CIPHER: &str = "cipher";
/// The key that is made or destroyed.
pub(crate) const SUBJECT: &str = "subject";

impl Scenario {
    /// True if it changes what the token holds.
    pub(crate) const fn changes(self) -> bool {
        matches!(self, Self::Generate | Self::Destroy)
    }

    /// Makes what the scenario needs.
    pub(crate) fn prepare(self, session: &Session) {
        let made = match self {
            Self::Sign | Self::Generate => Kind::P256.make(session, SIGNER),
            Self::SignParts => Kind::Rsa(2048).make(session, SIGNER),
            Self::Digest => return,
            Self::Mac => Kind::Generic(32).make(session, MAC),
            Self::Encrypt => Kind::Aes(32).make(session, CIPHER),
            Self::Destroy => Kind::P256.make(session, SUBJECT),
        };
        made.expect("a key");
    }

    /// Does it. Answers what must be the same each time.
    pub(crate) fn run(self, session: &Session) -> Result<Vec<u8>, Error> {
        let parts = [&DIGEST[..], &[1; 48], &[2; 7], &[3; 9]];
        match self {
            Self::Sign => {
                let made = Kind::P256.find(session, SIGNER).expect("a key");
                let signature = Kind::P256.work(session, made)?;
                let public = Kind::P256.public(session, made).expect("a public key");
                assert!(
                    public.verifies(&DIGEST, &signature),
                    "OpenSSL doesn't verify the signature"
                );
                Ok(Vec::new())
            }
            Self::SignParts => {
                let made = Kind::Rsa(2048).find(session, SIGNER).expect("a key");
                session.sign_init(&Mechanism::Sha256RsaPkcs, made.key)?;
                for part in parts {
                    session.sign_update(part)?;
                }
                session.sign_final()
            }
            Self::Digest => {
                session.digest_init(&Mechanism::Sha256)?;
                for part in parts {
                    session.digest_update(part)?;
                }
                session.digest_final()
            }
            Self::Mac => {
                let made = Kind::Generic(32).find(session, MAC).expect("a key");
                session.sign_init(&Mechanism::Sha256Hmac, made.key)?;
                for part in parts {
                    session.sign_update(part)?;
                }
                session.sign_final()
            }
            Self::Encrypt => {
                let made = Kind::Aes(32).find(session, CIPHER).expect("a key");
                session.encrypt_init(&Mechanism::AesCbcPad([7; 16]), made.key)?;
                let mut whole = Vec::new();
                for part in parts {
                    whole.extend(session.encrypt_update(part)?);
                }
                whole.extend(session.encrypt_final()?);
                Ok(whole)
            }
            Self::Generate => {
                let made = Kind::P256.make(session, SUBJECT)?;
                let signature = Kind::P256.work(session, made)?;
                let public = Kind::P256.public(session, made).expect("a public key");
                assert!(
                    public.verifies(&DIGEST, &signature),
                    "OpenSSL doesn't verify the signature"
                );
                Ok(Vec::new())
            }
            Self::Destroy => {
                let made = Kind::P256.find(session, SUBJECT).expect("a key");
                session.destroy_object(made.key)?;
                session.destroy_object(made.public.expect("a public key"))?;
                assert!(Kind::P256.find(session, SUBJECT).is_none(), "it is gone");
                Ok(Vec::new())
            }
        }
    }
}
