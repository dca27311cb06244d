//! Many threads at work while members fail, hang and come back: no call fails, every output is right, and no call takes
//! longer than the deadline.

mod caller;
mod tally;
mod weather;

use crate::common::{World, again, dies_of_sigpipe};
use caller::{Caller, Keys};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tally::Tally;
use tandem_tests::{Vendor, Wanted, alone, initialised};
use weather::Blow;

/// Within which every call must be answered, but for what a busy machine adds.
const DEADLINE_MS: u64 = 1_000;
/// How many threads call.
const THREADS: usize = 16;

/// How long, in seconds; `TANDEM_STORM_SECONDS` says otherwise.
fn seconds() -> u64 {
    std::env::var("TANDEM_STORM_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[test]
fn nobody_notices_that_members_fail_hang_and_come_back() {
    alone(&Wanted::mixed(), |demo| {
        storm(&World::around(again(demo)), weather::NEAR);
    });
}

#[test]
fn nor_where_both_are_kryoptic() {
    alone(&Wanted::over(&[Vendor::Kryoptic, Vendor::Kryoptic]), |demo| {
        storm(&World::around(again(demo)), weather::NEAR);
    });
}

#[test]
fn nor_where_both_are_softhsm() {
    alone(&Wanted::over(&[Vendor::SoftHsm, Vendor::SoftHsm]), |demo| {
        storm(&World::around(again(demo)), weather::NEAR);
    });
}

#[test]
fn nor_where_keys_are_held_on_demand() {
    alone(&Wanted::mixed().with("hold=on-demand"), |demo| {
        storm(&World::around(again(demo)), weather::NEAR);
    });
}

#[test]
fn nor_where_both_are_remote_and_killed_or_stopped() {
    alone(&Wanted::mixed(), |demo| {
        dies_of_sigpipe();
        storm(&World::remote(again(demo)), weather::REMOTE);
    });
}

fn storm(world: &World, falls: &[Blow]) {
    let demo = &world.demo;
    let vendors: Vec<_> = demo.members().into_iter().map(|(_, vendor)| vendor).collect();
    world.deadline_ms(DEADLINE_MS);
    let application = initialised();
    let session = world.log_in(&application);
    let keys = Keys::make(&session);
    let over = AtomicBool::new(false);
    let until = Instant::now() + Duration::from_secs(seconds());
    let (tallies, blows) = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..THREADS)
            .map(|number| {
                let caller = Caller::new(number, application.open(true), &keys);
                let over = &over;
                scope.spawn(move || caller.call_until(over))
            })
            .collect();
        let blows = catch_unwind(AssertUnwindSafe(|| weather::until(world, falls, until)));
        over.store(true, Ordering::Release);
        let blows = blows.unwrap_or_else(|panic| resume_unwind(panic));
        let tallies = callers.into_iter().map(|caller| caller.join().expect("a caller"));
        (tallies.collect::<Vec<_>>(), blows)
    });
    let moves = demo.log().matches("is down").count();
    let all = Tally::sum(tallies);
    println!("| {vendors:?} | {blows} blows, {moves} times a member went down | {all} |");
    assert!(all.failed.is_empty(), "{} calls failed: {:?}", all.failed.len(), all.failed);
    assert!(moves >= blows / 2, "the weather was felt: {moves} of {blows}");
    // How long the longest call took is printed and judged by whoever reads it: machines are noisy. What hangs for a
    // multiple of the deadline is a fault whatever the machine.
    assert!(all.longest() < Duration::from_millis(DEADLINE_MS * 5), "{all}");
}
