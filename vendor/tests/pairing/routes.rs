//! What can be carried from where to where (`facts.md` g).

use crate::tokens::{Fixture, Vendor};
use crate::world::{self, Paired};
use Vendor::{Kryoptic, SoftHsm};
use tandem_engine::desk::Desk;
use tandem_engine::report::Quiet;
use tandem_engine::ring::Route;
use tandem_vendor::MemberConfig;

const KINDS: [&str; 12] = [
    "rsa:2048",
    "ec:p256",
    "ec:p384",
    "ec:p521",
    "ed25519",
    "aes:128",
    "aes:256",
    "generic:16",
    "generic:20",
    "generic:32",
    "generic:33",
    "generic:64",
];

/// Why a kind of key doesn't go from one vendor to the other; `None` if it does.
fn expected(from: Vendor, to: Vendor, kind: &str) -> Option<&'static str> {
    match (from, to, kind) {
        // SoftHSM can't wrap Ed25519, and can't unwrap it either.
        (SoftHsm, _, "ed25519") => Some("CKR_KEY_NOT_WRAPPABLE"),
        (_, SoftHsm, "ed25519") => Some("CKR_FUNCTION_FAILED"),
        // SoftHSM pads them when it wraps; it unwraps them well.
        (SoftHsm, _, "generic:20" | "generic:33") => Some("pads"),
        _ => None,
    }
}

fn is_as_known(vendors: [Vendor; 2]) {
    let paired = Paired::new(&vendors);
    let routes = &paired.ring.routes;
    assert_eq!(routes.len(), 4 * KINDS.len());
    for (from, from_vendor) in ["a", "b"].iter().zip(vendors) {
        for (to, to_vendor) in ["a", "b"].iter().zip(vendors) {
            for kind in KINDS {
                let is =
                    |route: &&Route| (&*route.from, &*route.to, &*route.kind) == (from, to, kind);
                let route = routes.iter().find(is).expect("each cell is there");
                match (&route.failure, expected(from_vendor, to_vendor, kind)) {
                    (None, None) => {}
                    (Some(reason), Some(part)) => assert!(reason.contains(part), "{route:?}"),
                    (_, expected) => panic!("{route:?}, expected {expected:?}"),
                }
            }
        }
    }
}

#[test]
fn between_softhsm_and_softhsm() {
    is_as_known([SoftHsm, SoftHsm]);
}

#[test]
fn between_softhsm_and_kryoptic() {
    is_as_known([SoftHsm, Kryoptic]);
}

#[test]
fn between_kryoptic_and_kryoptic() {
    is_as_known([Kryoptic, Kryoptic]);
}

/// A MAC doesn't tell a key of 20 bytes from the 24 that SoftHSM makes of it, and its CKA_VALUE_LEN says 0: the length is
/// measured.
#[test]
fn a_vendor_that_pads_is_found_out_though_nobody_said_so() {
    let undeclared =
        |config: &mut MemberConfig| config.quirks.wraps_multiples_of_eight = Some(false);
    let (a, b) = (Fixture::with(SoftHsm, "a", undeclared), Fixture::new(Kryoptic, "b"));
    let desks = [a.desk(), b.desk()];
    let (ring, _) = world::pair(&desks, None, &Quiet).unwrap();
    for to in ["a", "b"] {
        for (kind, reason) in
            [("generic:20", "24 bytes, and 20"), ("generic:33", "40 bytes, and 33")]
        {
            let is = |route: &&Route| (&*route.from, &*route.to, &*route.kind) == ("a", to, kind);
            let route = ring.routes.iter().find(is).expect("the cell is there");
            assert!(
                route.failure.as_ref().is_some_and(|failure| failure.contains(reason)),
                "{route:?}"
            );
        }
    }
    desks.into_iter().for_each(Desk::leave);
}
