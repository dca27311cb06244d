//! A member that answers wrongly while a key is made: its replica is destroyed and never used, the call fails and says so,
//! and nothing is left.

use super::each::Vendors;
use crate::common::{View, World, look_at_member, look_at_token, same};
use tandem_tests::keys::Kind;
use tandem_tests::{Demo, application, rv};

/// What is wrong, for which keys.
const WRONG: [(&str, &[Kind]); 4] = [
    ("C_UnwrapKey wrong-key", &[Kind::P256, Kind::Rsa(2048), Kind::Aes(32), Kind::Generic(32)]),
    ("C_Sign wrong-signature", &[Kind::P256, Kind::Rsa(2048), Kind::Generic(32)]),
    ("C_Sign wrong-length", &[Kind::P256, Kind::Rsa(2048), Kind::Generic(32)]),
    ("C_Encrypt wrong-output", &[Kind::Aes(32)]),
];

/// Makes keys while one member after the other answers wrongly.
pub(crate) fn making(demo: &Demo) {
    let world = World::around(Demo::at(demo.dir(), &demo.members().map_vendors()));
    let (application_, session) = application();
    Kind::P256.make(&session, "bystander").expect("a key");
    let before = look_at_token(&session);
    drop((session, application_));
    let members = |world: &World| -> Vec<(&'static str, View)> {
        world.members().into_iter().map(|name| (name, look_at_member(world, name))).collect()
    };
    for member in world.members() {
        for (line, kinds) in WRONG {
            for kind in kinds {
                let what = format!("{kind} while member {member} does {line}");
                // A member that was caught may be down, so each case begins with all of them.
                let (application_, session) = application();
                // The wrong key of the next one.
                let other = kind.make(&session, "other").expect("a key");
                world.script(member, line);
                let (made, log) = world.demo.logged(|| kind.make(&session, "wrong"));
                let spoilt =
                    world.calls(member).iter().any(|call| line.starts_with(&call.function));
                world.calm();
                assert!(spoilt, "{what}: it was not asked");
                assert!(made.is_err(), "{what}: it was made");
                assert!(
                    log.iter().any(|line| line.contains("does not take object")),
                    "{what}: not reported: {log:#?}"
                );
                if line.starts_with("C_Sign") && matches!(kind, Kind::P256 | Kind::Rsa(_)) {
                    let named = format!("the signature that {member} gives");
                    let told = log.iter().any(|line| line.contains(&named));
                    assert!(told, "{what}: what is wrong, and where, is not told: {log:#?}");
                }
                println!("| {what} | {:?} |", rv(made));
                for object in [Some(other.key), other.public].into_iter().flatten() {
                    session.destroy_object(object).expect("the other key is destroyed");
                }
                drop((session, application_));
                let (_application, session) = application();
                let token = look_at_token(&session);
                assert!(token == before, "{what}: something is left on the token");
                same(&what, &token, &members(&world));
            }
        }
    }
    let report = world.demo.report(&["verify"]);
    assert_eq!(report["verified"], true, "{report:#}");
}
