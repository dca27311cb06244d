//! A process that makes, uses and destroys keys on many threads while members fail, killed at random again and again:
//! afterwards every acknowledged key is whole and on every member, every acknowledged deletion is gone everywhere, and
//! nothing else is there.

mod ledger;
mod life;
mod tokens;

use crate::common::{View, World, child_of_test, look_at_member, look_at_token, same};
use cryptoki::session::Session;
use ledger::Ledger;
use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tandem_tests::keys::DIGEST;
use tandem_tests::{Vendor, Wanted, application};
use tokens::Tokens;

/// How often the process is killed; `TANDEM_KILLS` says otherwise.
fn kills() -> usize {
    std::env::var("TANDEM_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// What befalls a member during a life.
const TROUBLES: [&str; 6] = [
    "",
    "every 30 return CKR_DEVICE_ERROR",
    "every 25 return-after CKR_GENERAL_ERROR",
    "every 60 lose-sessions",
    "every 20 delay 30",
    "return CKR_DEVICE_REMOVED",
];

#[test]
fn nothing_acknowledged_is_lost_however_often_the_process_is_killed() {
    killed_at_random(&Wanted::mixed());
}

#[test]
fn nor_where_both_are_kryoptic() {
    killed_at_random(&Wanted::over(&[Vendor::Kryoptic, Vendor::Kryoptic]));
}

#[test]
fn nor_where_both_are_softhsm() {
    killed_at_random(&Wanted::over(&[Vendor::SoftHsm, Vendor::SoftHsm]));
}

#[test]
fn nor_where_keys_are_held_on_demand() {
    killed_at_random(&Wanted::mixed().with("hold=on-demand"));
}

/// The process that is killed. Does nothing when it is not started by a test.
#[test]
#[ignore = "a process of the other tests"]
fn child() {
    life::live();
}

/// The process that looks what is left. Does nothing when it is not started by a test.
#[test]
#[ignore = "a process of the other tests"]
fn after() {
    let Some(world) = life::told() else { return };
    let (_application, session) = application();
    look(&world, &session);
}

fn killed_at_random(wanted: &Wanted) {
    let world = World::make(wanted);
    world.deadline_ms(2_000);
    let seed = std::env::var("TANDEM_SEED").ok().and_then(|text| text.parse().ok());
    let mut chance = Chance(seed.unwrap_or(1));
    let members = world.members();
    let tokens = Tokens::of(&world);
    let mut put_back = 0;
    for number in 0..kills() {
        let struck = members[chance.below(members.len())];
        world.script(struck, TROUBLES[chance.below(TROUBLES.len())]);
        let mut process = start(&world, number);
        wait_until_at_work(&world, number, &mut process);
        std::thread::sleep(Duration::from_millis(20 + u64::try_from(chance.below(600)).unwrap()));
        // What an acknowledged call has done must outlive even this.
        process.kill().expect("a process that is alive");
        process.wait().expect("a child");
        world.calm();
        put_back += tokens.put_back();
    }
    // Nobody works any more: what is judged now may be looked at quickly.
    for name in &members {
        world.demo.index(name);
    }
    let done = child_of_test("kills::after", &world).output().expect("a process");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "seed {seed:?}: {said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    for line in said.lines().filter(|line| line.starts_with('|')) {
        println!("{line} {put_back} tokens put back that SoftHSM had cut off |");
    }
}

fn start(world: &World, number: usize) -> Child {
    let mut command: Command = child_of_test("kills::child", world);
    command.env(life::NUMBER, number.to_string()).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a process")
}

/// Waits for the first word that a life writes into its ledger. One that says nothing doesn't outlive the test.
fn wait_until_at_work(world: &World, number: usize, process: &mut Child) {
    let until = Instant::now() + Duration::from_secs(120);
    while Ledger::read(world, number).is_empty() {
        let ended = process.try_wait().expect("a child");
        assert!(ended.is_none(), "it ended by itself: {ended:?}\n{}", world.demo.log());
        if Instant::now() > until {
            let _ = process.kill();
            panic!("it does not begin to work\n{}", world.demo.log());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Looks at what is left, by Tandem and on each member, against what was acknowledged.
fn look(world: &World, session: &Session) {
    let ledger = Ledger::read_all(world);
    let until = Instant::now() + Duration::from_secs(120);
    while !settled(world) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(200));
    }
    let token = look_at_token(session);
    let there: Vec<_> =
        world.members().iter().map(|name| (*name, on_member(world, name))).collect();
    if is_on_demand(world) {
        same("after all lives", &View::new(), &there);
    } else {
        same("after all lives", &token, &there);
    }
    let names: BTreeSet<String> =
        token.iter().map(|object| String::from_utf8_lossy(&object.id).into_owned()).collect();
    for name in ledger.kept() {
        assert!(names.contains(name), "{name} was acknowledged and is gone");
    }
    for name in ledger.gone() {
        assert!(!names.contains(name), "{name} was destroyed and is there");
    }
    let known: BTreeSet<_> = ledger.begun().map(str::to_owned).collect();
    let strange: Vec<_> = names.difference(&known).collect();
    assert!(strange.is_empty(), "nobody made {strange:?}");
    for name in ledger.kept() {
        works(world, session, name);
    }
    let verified = world.demo.tandem(&["verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    println!(
        "\n| {} lives, {} keys acknowledged and kept, {} destroyed, {} begun and never acknowledged, {} objects |",
        ledger.lives(),
        ledger.kept().count(),
        ledger.gone().count(),
        ledger.begun().count() - ledger.kept().count() - ledger.gone().count(),
        token.len()
    );
}

/// True if keys stand on no member.
fn is_on_demand(world: &World) -> bool {
    let config = fs::read_to_string(world.demo.config()).expect("a configuration");
    config.contains("on-demand")
}

/// What a member holds, but for secrets without name and value that SoftHSM leaves when it is killed while it makes them:
/// nothing tells them from somebody's key, so Tandem leaves them alone.
fn on_member(world: &World, name: &str) -> View {
    let mut view = look_at_member(world, name);
    if world.demo.vendor(name) == Vendor::SoftHsm {
        view.retain(|object| {
            !(object.class == "CKO_SECRET_KEY" && object.id.is_empty() && object.label.is_empty())
        });
    }
    view
}

/// True if every member has come to the end of the log, and could take all of it.
fn settled(world: &World) -> bool {
    let status = world.demo.report(&["status"]);
    let members = status["tokens"][0]["members"].as_array().expect("members").clone();
    let whole = |member: &serde_json::Value| {
        member["behind"].as_u64() == Some(0)
            && member["exceptions"].as_array().is_some_and(Vec::is_empty)
    };
    members.iter().all(whole)
}

/// An acknowledged key works, and its public half verifies what it makes.
fn works(world: &World, session: &Session, name: &str) {
    let kind = life::kind_of(name);
    let made = kind.find(session, name).unwrap_or_else(|| panic!("{name}: {}", world.demo.log()));
    let answer = kind.work(session, made).expect("the key works");
    if let Some(public) = kind.public(session, made) {
        assert!(public.verifies(&DIGEST, &answer), "{name}: OpenSSL does not verify its signature");
    }
}

/// A small generator of numbers that a seed makes again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}
