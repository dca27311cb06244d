//! What a member could not take, and takes later: an exception is not for ever.

use super::each::Vendors;
use crate::common::{World, look_at_member, look_at_token, same};
use cryptoki::session::Session;
use serde_json::Value;
use tandem_tests::keys::Kind;
use tandem_tests::{Demo, application};

fn world(demo: &Demo) -> World {
    World::around(Demo::at(demo.dir(), &demo.members().map_vendors()))
}

/// The exceptions that the operator is shown, as text.
fn exceptions(world: &World) -> String {
    let status = world.demo.report(&["status"]);
    let members = status["tokens"][0]["members"].as_array().expect("members");
    let shown = members.iter().map(|member| member["exceptions"].clone());
    let shown: Vec<_> = shown.filter(|e| e.as_array().is_none_or(|e| !e.is_empty())).collect();
    Value::from(shown).to_string()
}

fn nothing_is_wrong(world: &World, session: &Session, when: &str) {
    assert_eq!(exceptions(world), "[]", "{when}");
    let token = look_at_token(session);
    let members = world.members().into_iter().map(|name| (name, look_at_member(world, name)));
    same(when, &token, &members.collect::<Vec<_>>());
}

/// A deletion that a member refuses is tried again while other keys are made, and at the next login.
pub(crate) fn of_deletions(demo: &Demo) {
    let world = world(demo);
    for later in ["later keys", "a later login"] {
        let (application_, session) = application();
        let made = Kind::Aes(32).make(&session, "doomed").expect("a key");
        world.script("b", "C_DestroyObject return CKR_ACTION_PROHIBITED");
        session.destroy_object(made.key).expect("it is gone from the token");
        assert_ne!(exceptions(&world), "[]", "the member has refused");
        Kind::Aes(32).make(&session, "once more").expect("a key");
        assert_ne!(exceptions(&world), "[]", "it refuses still");
        world.calm();
        let (_application, session) = if later == "later keys" {
            for round in 0..4 {
                Kind::Aes(32).make(&session, &format!("{round}")).expect("a key");
            }
            (application_, session)
        } else {
            drop((session, application_));
            application()
        };
        nothing_is_wrong(&world, &session, later);
    }
}

/// A key that a member had no room for is brought when it has.
pub(crate) fn of_creations(demo: &Demo) {
    let world = world(demo);
    let (application_, session) = application();
    world.script("b", "return CKR_DEVICE_ERROR");
    // The member goes down before there is anything to take.
    Kind::P256.make(&session, "away").expect("a key");
    drop((session, application_));

    world.script("b", "C_UnwrapKey return CKR_DEVICE_MEMORY");
    let (application_, session) = application();
    assert!(exceptions(&world).contains("CKR_DEVICE_MEMORY"), "{}", exceptions(&world));
    let made = Kind::P256.find(&session, "away").expect("the key");
    Kind::P256.work(&session, made).expect("the other member has it");
    drop((session, application_));

    world.calm();
    let (_application, session) = application();
    nothing_is_wrong(&world, &session, "after the next login");
}

/// A copy that failed its proof and could not be removed is told of, and removed when that can be done.
pub(crate) fn of_unproven_copies(demo: &Demo) {
    let world = world(demo);
    for another in [false, true] {
        let (application_, session) = application();
        Kind::P256.make(&session, "other").expect("a key");
        world.script("b", "C_UnwrapKey wrong-key\nC_DestroyObject return CKR_ACTION_PROHIBITED");
        let (made, log) = world.demo.logged(|| Kind::P256.make(&session, "wrong"));
        assert!(made.is_err(), "{made:?}");
        assert!(log.iter().any(|line| line.contains("could not be removed")), "{log:#?}");
        let left = look_at_member(&world, "b");
        assert!(left.iter().any(|object| object.label == b"wrong"), "the member refused");
        let (_application, session) = if another {
            // Another process knows of it by the exception alone.
            drop((session, application_));
            world.calm();
            application()
        } else {
            world.calm();
            for round in 0..4 {
                Kind::Aes(32).make(&session, &format!("{round}")).expect("a key");
            }
            (application_, session)
        };
        nothing_is_wrong(&world, &session, "once it can be removed");
    }
}
