//! What is left after the process was killed, seen by a fresh one with the faults off.

use super::act::{Act, NAME, OTHER};
use crate::common::{View, World, look_at_member, look_at_token, same};
use cryptoki::session::Session;
use std::fs;
use tandem_tests::application;
use tandem_tests::keys::{DIGEST, Kind};

/// Logs in and looks, and says what came of the act.
pub(crate) fn child() {
    let Some((act, world)) = Act::told() else { return };
    let returned =
        fs::read_to_string(world.file("returned")).is_ok_and(|text| text.starts_with("Ok"));
    let before = members(&world);
    let (application, session) = application();
    let token = look_at_token(&session);
    let after = members(&world);
    same("after the login", &token, &after);
    let subject = act.kind().find(&session, NAME);
    no_half(&token);
    whole(&world, &session, Kind::P256, OTHER);
    if subject.is_some() {
        whole(&world, &session, act.kind(), NAME);
    }
    let done = match act {
        Act::Make(_) => subject.is_some(),
        Act::Destroy => !token.iter().any(|object| object.id == NAME.as_bytes()),
    };
    assert!(done || !returned, "the call had returned, and its effect is gone");
    let finished = before.iter().all(|(_, member)| *member == token);
    let outcome = match (act, done, finished) {
        (Act::Make(_), true, true) => "made whole",
        (Act::Destroy, true, true) => "destroyed everywhere",
        (Act::Destroy, false, _) if subject.is_none() => "the public key is left, whole",
        (Act::Destroy, false, _) => "nothing destroyed",
        (_, true, false) => "finished at the next login",
        (_, false, true) => "nothing made",
        (_, false, false) => "nothing made, members tidied at the next login",
    };
    drop(session);
    drop(application);
    fs::write(world.file("outcome"), outcome).expect("a file");
}

fn members(world: &World) -> Vec<(&'static str, View)> {
    world.members().into_iter().map(|name| (name, look_at_member(world, name))).collect()
}

/// Of a pair that is being made both halves are seen or none.
fn no_half(token: &View) {
    for object in token.iter().filter(|object| object.class.contains("PRIVATE")) {
        let public =
            token.iter().filter(|other| other.class.contains("PUBLIC") && other.id == object.id);
        assert_eq!(public.count(), 1, "a private key without its public key: {object:?}");
    }
}

/// The key works by Tandem and on each member alone, and all of them mean the same key.
fn whole(world: &World, session: &Session, kind: Kind, name: &str) {
    let made = kind.find(session, name).expect("a key that is whole");
    let public = kind.public(session, made);
    let own = kind.work(session, made).expect("the key works by Tandem");
    let agrees = |answer: &[u8]| match &public {
        Some(public) => {
            let message = DIGEST;
            public.verifies(&message, answer)
        }
        None => answer == own,
    };
    assert!(agrees(&own), "{name}: what Tandem answers is wrong");
    for member in world.members() {
        let direct = world.demo.direct(member);
        let there = kind.find(&direct, name).expect("the key on the member");
        let answer = kind.work(&direct, there).expect("the key works on the member alone");
        assert!(agrees(&answer), "{name}: member {member} holds another key");
        assert_eq!(
            kind.public(&direct, there),
            public,
            "{name}: member {member} shows another public key"
        );
    }
}
