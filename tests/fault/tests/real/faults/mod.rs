//! A member that fails at each of its calls in turn, while the application notices nothing; and one that answers wrongly
//! when a key is made, which must not be used.

mod each;
mod exceptions;
mod last;
mod left;
mod request;
mod returned;
mod scenario;
mod wrong;

use scenario::Scenario;
use tandem_tests::{Vendor, Wanted, alone};

/// The member that comes first does the work as long as it can.
fn first(vendor: Vendor) -> Wanted {
    let other = if vendor == Vendor::SoftHsm { Vendor::Kryoptic } else { Vendor::SoftHsm };
    Wanted::over(&[vendor, other]).with("balance=primary")
}

macro_rules! at_each_call {
    ($($name:ident: $vendor:ident, $scenario:ident, $member:literal, $answers:ident;)*) => {$(
        #[test]
        fn $name() {
            alone(&first(Vendor::$vendor), |demo| {
                each::call(demo, Scenario::$scenario, $member, &each::$answers);
            });
        }
    )*};
}

at_each_call! {
    signing_when_softhsm_fails: SoftHsm, Sign, "a", ALL;
    signing_when_kryoptic_fails: Kryoptic, Sign, "a", ALL;
    mac_in_parts_when_softhsm_fails: SoftHsm, Mac, "a", ALL;
    mac_in_parts_when_kryoptic_fails: Kryoptic, Mac, "a", ALL;
    encrypting_in_parts_when_softhsm_fails: SoftHsm, Encrypt, "a", ALL;
    encrypting_in_parts_when_kryoptic_fails: Kryoptic, Encrypt, "a", ALL;
    signing_in_parts_when_softhsm_fails: SoftHsm, SignParts, "a", ALL;
    signing_in_parts_when_kryoptic_fails: Kryoptic, SignParts, "a", ALL;
    digesting_in_parts_when_softhsm_fails: SoftHsm, Digest, "a", ALL;
    digesting_in_parts_when_kryoptic_fails: Kryoptic, Digest, "a", ALL;
    generating_when_softhsm_makes_and_is_ill: SoftHsm, Generate, "a", ILL;
    generating_when_softhsm_makes_and_loses_us: SoftHsm, Generate, "a", LOST;
    generating_when_kryoptic_makes_and_is_ill: Kryoptic, Generate, "a", ILL;
    generating_when_kryoptic_makes_and_loses_us: Kryoptic, Generate, "a", LOST;
    generating_when_softhsm_follows_and_is_ill: Kryoptic, Generate, "b", ILL;
    generating_when_softhsm_follows_and_loses_us: Kryoptic, Generate, "b", LOST;
    generating_when_kryoptic_follows_and_is_ill: SoftHsm, Generate, "b", ILL;
    generating_when_kryoptic_follows_and_loses_us: SoftHsm, Generate, "b", LOST;
    destroying_when_softhsm_is_ill: SoftHsm, Destroy, "a", ILL;
    destroying_when_softhsm_loses_us: SoftHsm, Destroy, "a", LOST;
    destroying_when_kryoptic_is_ill: Kryoptic, Destroy, "a", ILL;
    destroying_when_kryoptic_loses_us: Kryoptic, Destroy, "a", LOST;
}

#[test]
fn a_call_left_behind_on_softhsm_is_not_in_the_way_of_the_next_key() {
    alone(&Wanted::over(&[Vendor::SoftHsm]), |demo| {
        left::behind(demo);
    });
}

#[test]
fn a_call_left_behind_on_kryoptic_is_not_in_the_way_of_the_next_key() {
    alone(&Wanted::over(&[Vendor::Kryoptic]), |demo| {
        left::behind(demo);
    });
}

#[test]
fn finding_asks_no_member() {
    alone(&first(Vendor::SoftHsm), |demo| {
        each::finding(demo);
    });
}

#[test]
fn a_wrong_answer_when_a_key_is_made() {
    alone(&first(Vendor::SoftHsm), |demo| {
        wrong::making(demo);
    });
}

#[test]
fn a_wrong_answer_when_a_key_is_made_on_kryoptic_first() {
    alone(&first(Vendor::Kryoptic), |demo| {
        wrong::making(demo);
    });
}

macro_rules! on_either {
    ($($softhsm:ident, $kryoptic:ident: $case:path;)*) => {$(
        #[test]
        fn $softhsm() {
            alone(&first(Vendor::SoftHsm), |demo| $case(demo));
        }

        #[test]
        fn $kryoptic() {
            alone(&first(Vendor::Kryoptic), |demo| $case(demo));
        }
    )*};
}

on_either! {
    a_request_that_no_member_can_do, a_request_that_no_member_can_do_kryoptic_first: request::of_all;
    a_member_that_alone_cannot_do_it, a_member_that_alone_cannot_do_it_kryoptic_first: request::of_one;
    deletions_refused_by_kryoptic, deletions_refused_by_softhsm: exceptions::of_deletions;
    keys_not_taken_by_kryoptic, keys_not_taken_by_softhsm: exceptions::of_creations;
    unproven_copies_left_on_kryoptic, unproven_copies_left_on_softhsm: exceptions::of_unproven_copies;
}
