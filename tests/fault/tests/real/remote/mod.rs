//! Members in other processes, by p11-kit's remoting, whose processes are stopped and killed in the middle of a call: callers
//! are answered in time, and the application lives.

use crate::common::{Harm, RECOVERY, World, again, dies_of_sigpipe, log_in_patiently};
use cryptoki::session::Session;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::{Application, Demo, Wanted, alone, initialised};

/// Within which every call must be answered, but for what a busy machine adds.
const DEADLINE: Duration = Duration::from_secs(1);
/// Machines are noisy, and times are printed for whoever reads them: what takes this long is a fault whatever the machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a signature takes on the member that is struck.
const SIGNING: &str = "C_Sign delay 400";
/// When it is struck, after the call has begun.
const MIDDLE: Duration = Duration::from_millis(200);
/// How often each is done.
const ROUNDS: usize = 3;

/// A token that works on its remote member `a` as long as that is up.
fn remote(demo: &Demo) -> World {
    dies_of_sigpipe();
    let world = World::remote(again(demo));
    world.deadline_ms(u64::try_from(DEADLINE.as_millis()).expect("milliseconds"));
    world
}

fn wanted() -> Wanted {
    Wanted::mixed().with("balance=primary")
}

fn key(session: &Session) -> Made {
    Kind::P256.make(session, "p256").expect("a key")
}

/// Signs and has OpenSSL judge it. How long the signature took.
fn sign(session: &Session, key: Made) -> Duration {
    let began = Instant::now();
    let signature = Kind::P256.work(session, key).expect("a signature");
    let took = began.elapsed();
    let public = Kind::P256.public(session, key).expect("a public key");
    assert!(public.verifies(&DIGEST, &signature), "OpenSSL doesn't verify the signature");
    took
}

/// Harms member `a` in the middle of a signature. How long the signature took.
fn struck(world: &World, session: &Session, key: Made, harm: Harm) -> Duration {
    let server = world.server("a");
    server.script(SIGNING);
    let took = scope(|scope| {
        scope.spawn(|| {
            sleep(MIDDLE);
            server.harm(harm);
        });
        sign(session, key)
    });
    server.script("");
    took
}

/// Harms member `a` in the middle of a signature, again and again. The times that the signatures took.
fn rounds(world: &World, application: &Application, harm: Harm) -> Vec<Duration> {
    let session = world.log_in(application);
    let key = key(&session);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let took = struck(world, &session, key, harm);
        assert!(!world.is_up("a"), "the member was not in the middle of the call");
        assert!(took < PATIENCE, "{harm:?}: {took:?}");
        // The others are answered while it is away.
        assert!(sign(&session, key) < PATIENCE);
        world.server("a").mend(harm);
        world.wait_for("a");
        times.push(took);
    }
    println!("| {harm:?} in the middle of a signature | answered after {times:?} |");
    times
}

#[test]
fn who_waits_for_a_member_that_is_stopped_is_answered_within_the_deadline() {
    alone(&wanted(), |demo| {
        let world = remote(demo);
        let times = rounds(&world, &initialised(), Harm::Stopped);
        let waited = times.iter().all(|time| *time > DEADLINE / 2);
        assert!(waited, "the member was waited for: {times:?}");
    });
}

#[test]
fn an_application_lives_when_a_member_is_killed() {
    alone(&wanted(), |demo| {
        let world = remote(demo);
        rounds(&world, &initialised(), Harm::Killed);
    });
}

#[test]
fn so_does_one_on_whose_own_thread_the_members_are_called() {
    alone(&wanted(), |demo| {
        let world = remote(demo);
        world.deadline_ms(0);
        let application = initialised();
        rounds(&world, &application, Harm::Killed);
        // Between two calls, so that the next one writes to nobody.
        let session = world.log_in(&application);
        let key = key(&session);
        world.server("a").harm(Harm::Killed);
        sign(&session, key);
        assert!(!world.is_up("a"), "it was asked");
    });
}

#[test]
fn an_application_lives_when_all_members_are_killed_and_works_when_they_are_back() {
    alone(&wanted(), |demo| {
        let world = remote(demo);
        let application = initialised();
        let session = world.log_in(&application);
        let key = key(&session);
        for harm in [Harm::Gone, Harm::Deaf, Harm::Killed] {
            world.members().into_iter().for_each(|member| world.server(member).harm(harm));
            let began = Instant::now();
            let answer = Kind::P256.work(&session, key);
            let took = began.elapsed();
            println!("| {harm:?}, all of them | {answer:?} after {took:?} |");
            assert!(took < PATIENCE, "{harm:?}: {took:?}");
            world.members().into_iter().for_each(|member| world.server(member).mend(harm));
            let until = Instant::now() + RECOVERY;
            while Kind::P256.work(&session, key).is_err() {
                assert!(Instant::now() < until, "the token does not come back");
                sleep(Duration::from_millis(20));
            }
            sign(&session, key);
            world.members().into_iter().for_each(|member| world.wait_for(member));
        }
    });
}

#[test]
fn a_member_that_hangs_as_it_starts_keeps_no_other_from_starting() {
    alone(&wanted(), |demo| {
        let world = remote(demo);
        world.server("a").harm(Harm::Deaf);
        let application = initialised();
        let began = Instant::now();
        // The first call may have waited for it as long as a call may.
        let session = log_in_patiently(&application);
        println!("| Deaf as it starts | logged in after {:?} |", began.elapsed());
        sign(&session, key(&session));
        assert!(world.is_up("b") && !world.is_up("a"));
        world.server("a").mend(Harm::Deaf);
        world.wait_for("a");
        sign(&session, key(&session));
    });
}

#[test]
fn an_application_ends_well_when_its_members_are_killed_or_stopped() {
    alone(&wanted(), |demo| {
        let world = remote(demo);
        for harm in [Harm::Killed, Harm::Gone, Harm::Stopped] {
            let application = initialised();
            let session = world.log_in(&application);
            key(&session);
            world.members().into_iter().for_each(|member| world.server(member).harm(harm));
            let began = Instant::now();
            drop(session);
            application.finalize();
            let took = began.elapsed();
            println!("| {harm:?}, all of them | C_CloseSession and C_Finalize took {took:?} |");
            // Each may take a deadline for each member, and end what hangs there no sooner.
            assert!(took < PATIENCE * 2, "{harm:?}: {took:?}");
            world.forget_log();
            world.members().into_iter().for_each(|member| world.server(member).mend(harm));
        }
        sign_anew(&world);
    });
}

/// An application that begins afterwards works.
fn sign_anew(world: &World) {
    let application = initialised();
    let session = world.log_in(&application);
    sign(&session, key(&session));
}
