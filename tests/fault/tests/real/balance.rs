//! Who gets the work: members behind a network, as the fault module makes them, and how many of the calls each gets.

use crate::common::{World, again};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tandem_tests::keys::Kind;
use tandem_tests::{Application, Vendor, Wanted, alone, initialised};
use toml::{Table, Value};

/// By when something must be so.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two members of one vendor, so that nothing but the script makes them different.
fn equals() -> Wanted {
    Wanted::over(&[Vendor::SoftHsm, Vendor::SoftHsm])
}

/// How many signatures a member has begun since its script was changed.
fn signatures(world: &World, member: &str) -> usize {
    count(world, member, "C_SignInit")
}

fn count(world: &World, member: &str, function: &str) -> usize {
    world.calls(member).iter().filter(|call| call.function == function).count()
}

/// Has so many threads sign until so many signatures are made, under these scripts. Answers how many each member made.
fn load(world: &World, application: &Application, threads: usize, total: usize) -> [usize; 2] {
    let left = AtomicUsize::new(total);
    let before = ["a", "b"].map(|member| signatures(world, member));
    thread::scope(|scope| {
        for _ in 0..threads {
            let session = application.open(true);
            let left = &left;
            scope.spawn(move || {
                let key = Kind::P256.find(&session, "key").expect("the key");
                let take = |left: usize| left.checked_sub(1);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                    Kind::P256.work(&session, key).expect("a signature");
                }
            });
        }
    });
    let after = ["a", "b"].map(|member| signatures(world, member));
    [after[0] - before[0], after[1] - before[1]]
}

#[test]
fn one_caller_alone_stays_with_one_member() {
    alone(&equals(), |demo| {
        let world = &World::around(again(demo));
        let application = initialised();
        let session = world.log_in(&application);
        Kind::P256.make(&session, "key").expect("a key");
        for member in ["a", "b"] {
            world.script(member, "every delay 20");
        }
        let begun = Instant::now();
        let shares = load(world, &application, 1, 60);
        let looks = usize::try_from(begun.elapsed().as_secs()).expect("a number") + 1;
        let [less, more] = [shares[0].min(shares[1]), shares[0].max(shares[1])];
        assert_eq!(less + more, 60, "{shares:?}");
        assert!(less <= looks, "{shares:?}: more than a look in a second");
    });
}

#[test]
fn a_slow_member_gets_little_work_and_one_quick_again_its_share() {
    alone(&equals(), |demo| {
        let world = &World::around(again(demo));
        let application = initialised();
        let session = world.log_in(&application);
        Kind::P256.make(&session, "key").expect("a key");
        let equal = "every delay 5\nlanes 4";
        for member in ["a", "b"] {
            world.script(member, equal);
        }
        let shares = load(world, &application, 16, 400);
        assert!(shares.iter().all(|share| *share > 120), "equals share: {shares:?}");

        world.script("b", "every delay 50\nlanes 4");
        // What is on its way when it becomes slow is none of its choice.
        load(world, &application, 16, 100);
        let shares = load(world, &application, 16, 400);
        assert!((1..=100).contains(&shares[1]), "the slow one is at work, a little: {shares:?}");
        // Four calls at once are no more than the quick one does at a time: the slow one is looked at, and no more.
        let shares = load(world, &application, 3, 200);
        assert!(shares[1] <= 20, "{shares:?}");

        world.script("b", equal);
        let until = Instant::now() + PATIENCE;
        loop {
            let shares = load(world, &application, 16, 200);
            if shares[1] > 60 {
                break;
            }
            assert!(Instant::now() < until, "b is quick again and gets no work: {shares:?}");
        }
    });
}

#[test]
fn a_member_at_rest_is_seen_to_be_quick_again() {
    alone(&equals(), |demo| {
        let world = &World::around(again(demo));
        let application = initialised();
        let session = world.log_in(&application);
        Kind::P256.make(&session, "key").expect("a key");
        // The first member is as slow as b never was: b is looked at, and gets the work of one caller alone.
        world.script("a", "every delay 50");
        let until = Instant::now() + PATIENCE;
        while load(world, &application, 1, 10)[1] < 9 {
            assert!(Instant::now() < until, "nobody looks at b");
        }
        // And the other way round.
        world.script("a", "");
        world.script("b", "every delay 50");
        while load(world, &application, 1, 10)[0] < 9 {
            assert!(Instant::now() < until, "nobody looks at a");
        }
    });
}

/// Says of every member how many calls it works on at a time.
fn with_lanes(world: &World, lanes: i64) {
    world.demo.configure(|text| {
        let mut config: Table = toml::from_str(&text).expect("tandem.toml");
        let tokens = config.get_mut("token").and_then(Value::as_array_mut).expect("tokens");
        let members = tokens[0].get_mut("member").and_then(Value::as_array_mut);
        for member in members.expect("members") {
            member.as_table_mut().expect("a member").insert("lanes".into(), lanes.into());
        }
        toml::to_string(&config).expect("tandem.toml")
    });
}

/// How many keys are being made on a member: all hang.
fn making(world: &World, member: &str) -> usize {
    count(world, member, "C_GenerateKeyPair")
}

#[test]
fn key_making_leaves_lanes_to_signatures() {
    alone(&equals(), |demo| {
        let world = &World::around(again(demo));
        with_lanes(world, 4);
        let application = initialised();
        let session = world.log_in(&application);
        let key = Kind::P256.make(&session, "key").expect("a key");
        for member in ["a", "b"] {
            world.script(member, "C_GenerateKeyPair hang");
        }
        thread::scope(|scope| {
            for number in 0..8 {
                let session = application.open(true);
                // Whether a key comes of it when both members fail at once is not asked here.
                scope.spawn(move || drop(Kind::P256.make(&session, &format!("key {number}"))));
            }
            let until = Instant::now() + PATIENCE;
            while making(world, "a") + making(world, "b") < 4 {
                assert!(Instant::now() < until, "the makers don't begin");
                thread::sleep(Duration::from_millis(20));
            }
            // Signatures go on meanwhile, and no more makers come in.
            for _ in 0..50 {
                Kind::P256.work(&session, key).expect("a signature");
                thread::sleep(Duration::from_millis(10));
            }
            let hang = ["a", "b"].map(|member| making(world, member));
            world.calm();
            assert_eq!(hang, [2, 2], "of four lanes one is for signing, one for bringing keys");
        });
        // Who waited goes on when those have ended.
        world.wait_for("a");
        world.wait_for("b");
        let until = Instant::now() + PATIENCE;
        while Kind::P256.make(&session, "after").is_err() {
            assert!(Instant::now() < until, "no key can be made any more");
            thread::sleep(Duration::from_millis(100));
        }
        Kind::P256.work(&session, key).expect("a signature");
    });
}
