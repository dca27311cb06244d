//! Whose fault it is: a request that no member can do takes none of them down; a member that alone can't do it is ill.

use super::each::Vendors;
use crate::common::World;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use tandem_tests::keys::{Kind, Made};
use tandem_tests::{Demo, application, value};

/// The members that are up.
fn up(world: &World) -> Vec<String> {
    let status = world.demo.report(&["status"]);
    let members = status["tokens"][0]["members"].as_array().expect("members").iter();
    let up = members.filter(|member| member["condition"] == "up");
    up.map(|member| member["name"].as_str().expect("a name").to_owned()).collect()
}

fn derive(session: &Session, made: Made) -> Result<ObjectHandle, Error> {
    let point = value(session, made.public.expect("a public key"), AttributeType::EcPoint);
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::ValueLen(32.into()),
    ];
    let parameter = Ecdh1DeriveParams::new(EcKdf::null(), &point[2..]);
    session.derive_key(&Mechanism::Ecdh1Derive(parameter), made.key, &template)
}

/// Every member answers that it is ill, and is well.
pub(crate) fn of_all(demo: &Demo) {
    let world = World::around(Demo::at(demo.dir(), &demo.members().map_vendors()));
    let (_application, session) = application();
    let made = Kind::P256.make_with(&session, "key", &[Attribute::Derive(true)]).expect("a key");
    derive(&session, made).expect("without faults it is done");
    for member in world.members() {
        world.script(
            member,
            "C_DeriveKey return CKR_DEVICE_ERROR\nC_Digest return CKR_DEVICE_ERROR",
        );
    }
    let (derived, log) = world.demo.logged(|| derive(&session, made));
    assert!(
        matches!(derived, Err(Error::Pkcs11(RvError::MechanismParamInvalid, _))),
        "{derived:?}"
    );
    assert!(!log.iter().any(|line| line.contains("is down")), "{log:#?}");
    let (digest, log) = world.demo.logged(|| session.digest(&Mechanism::Sha256, b"text"));
    assert!(matches!(digest, Err(Error::Pkcs11(RvError::FunctionFailed, _))), "{digest:?}");
    assert!(!log.iter().any(|line| line.contains("is down")), "{log:#?}");
    // They were asked, each of them, and each goes on with what it can do.
    for member in world.members() {
        let calls = world.calls(member);
        assert!(calls.iter().any(|call| call.function == "C_DeriveKey"), "{member}");
        assert!(calls.iter().any(|call| call.function == "C_Digest"), "{member}");
    }
    Kind::P256.work(&session, made).expect("a signature");
    assert_eq!(up(&world), world.members());
}

/// One member can't do what the other does.
pub(crate) fn of_one(demo: &Demo) {
    let world = World::around(Demo::at(demo.dir(), &demo.members().map_vendors()));
    let (_application, session) = application();
    let made = Kind::P256.make(&session, "key").expect("a key");
    world.script("a", "C_Sign return CKR_DEVICE_ERROR");
    let (signed, log) = world.demo.logged(|| Kind::P256.work(&session, made));
    signed.expect("the other member signs");
    assert!(log.iter().any(|line| line.contains("member a is down")), "{log:#?}");
}
