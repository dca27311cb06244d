//! The calls that bringing a key to a vendor's token takes, with nothing around them: what benchmarks are held against.

use crate::application::value;
use crate::demo::Vendor;
use crate::keys::{DIGEST, P256};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

/// A wrapped key, and what opens it.
pub struct Bare<'a> {
    session: &'a Session,
    wrap: Mechanism<'static>,
    kek: ObjectHandle,
    wrapped: Vec<u8>,
    point: Vec<u8>,
}

impl<'a> Bare<'a> {
    /// Makes one in a session of the vendor's own module.
    pub fn new(session: &'a Session, vendor: Vendor) -> Self {
        let kek = session
            .generate_key(
                &Mechanism::AesKeyGen,
                &[
                    // On the token, as a key ring is: some modules look for it there each time.
                    Attribute::Token(true),
                    Attribute::ValueLen(32.into()),
                    Attribute::Wrap(true),
                    Attribute::Unwrap(true),
                ],
            )
            .expect("a key");
        let wrap = match vendor {
            Vendor::SoftHsm => Mechanism::AesKeyWrapPad,
            // Its number for RFC 5649 is one that the crate has no name for; this takes as long.
            Vendor::Kryoptic => Mechanism::AesCbcPad([7; 16]),
        };
        let (public, private) = pair(session);
        let wrapped = session.wrap_key(&wrap, kek, private).expect("a wrapped key");
        let point = value(session, public, AttributeType::EcPoint);
        Self { session, wrap, kek, wrapped, point }
    }

    /// Makes a pair for the session, wraps its private key, reads its point and lets both go: what making a key takes before it
    /// is brought anywhere.
    pub fn fresh(&self) {
        let session = self.session;
        let (public, private) = pair(session);
        session.wrap_key(&self.wrap, self.kek, private).expect("a wrapped key");
        value(session, public, AttributeType::EcPoint);
        for key in [public, private] {
            session.destroy_object(key).expect("a key that goes");
        }
    }

    /// Unwraps the private key, creates its public object, signs with the one and verifies with the other. Answers both.
    pub fn one(&self, name: &str, token: bool) -> [ObjectHandle; 2] {
        let common = [
            Attribute::Token(token),
            Attribute::KeyType(KeyType::EC),
            Attribute::Label(name.into()),
            Attribute::Id(name.into()),
        ];
        let private = [
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(true),
            Attribute::Sign(true),
        ];
        let public = [
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::EcParams(P256.to_vec()),
            Attribute::EcPoint(self.point.clone()),
            Attribute::Verify(true),
        ];
        let session = self.session;
        let key = session
            .unwrap_key(&self.wrap, self.kek, &self.wrapped, &[&common[..], &private].concat())
            .expect("an unwrapped key");
        let public = session.create_object(&[&common[..], &public].concat()).expect("a public key");
        let signature = session.sign(&Mechanism::Ecdsa, key, &DIGEST).expect("a signature");
        session.verify(&Mechanism::Ecdsa, public, &DIGEST, &signature).expect("it verifies");
        [key, public]
    }
}

/// A pair for the session, public key first.
fn pair(session: &Session) -> (ObjectHandle, ObjectHandle) {
    session
        .generate_key_pair(
            &Mechanism::EccKeyPairGen,
            &[Attribute::EcParams(P256.to_vec())],
            &[Attribute::Extractable(true), Attribute::Sensitive(true), Attribute::Sign(true)],
        )
        .expect("a pair")
}
