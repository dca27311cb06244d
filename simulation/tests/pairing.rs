//! The engine's own pairing runs on toy members, and they withstand what is known of attacks.

use tandem_simulation::setup;

#[test]
fn toys_are_paired_and_refuse_every_attack() {
    for members in 2..=4 {
        let (snapshot, report) = setup::pair(members).unwrap();
        assert_eq!(report.ring.members.len(), members);
        for member in &report.ring.members {
            let done: Vec<_> = member.attacks.iter().filter(|attack| !attack.refused).collect();
            assert!(done.is_empty(), "{}: {done:?}", member.name);
        }
        let failed: Vec<_> =
            report.ring.routes.iter().filter(|route| route.failure.is_some()).collect();
        assert!(failed.iter().all(|route| route.kind == "ed25519"), "{failed:?}");
        for hsm in &snapshot.hsms {
            let heads = hsm.token_objects().filter(|thing| thing.is_head()).count();
            assert_eq!((hsm.token_objects().count(), heads, hsm.session_objects()), (6, 1, 0));
        }
    }
}
