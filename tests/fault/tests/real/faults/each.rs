//! Every call of a scenario in turn, with every kind of failure.

use super::scenario::{SUBJECT, Scenario};
use crate::common::{World, look_at_member, look_at_token, same};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Demo, application};

/// What a member may answer that is ill.
pub(crate) const ILL: [&str; 2] = ["CKR_DEVICE_ERROR", "CKR_GENERAL_ERROR"];
/// What a member may answer that knows nothing of us any more.
pub(crate) const LOST: [&str; 2] = ["CKR_SESSION_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID"];
/// Both.
pub(crate) const ALL: [&str; 4] = [ILL[0], ILL[1], LOST[0], LOST[1]];

/// Members fail at every third call, unless `TANDEM_FAULT_STRIDE` says otherwise.
const STRIDE: usize = 3;

/// Lets a member fail at each of its calls: once and not done, once and done nevertheless, and for good.
pub(crate) fn call(demo: &Demo, scenario: Scenario, member: &str, answers: &[&str]) {
    let world = World::around(Demo::at(demo.dir(), &demo.members().map_vendors()));
    let (application_, session) = application();
    scenario.prepare(&session);
    drop((session, application_));
    world.keep();
    let (expected, calls) = once(&world, scenario, member, "").expect("it works without faults");
    assert!(!calls.is_empty(), "member {member} is asked nothing");
    let stride: usize = std::env::var("TANDEM_FAULT_STRIDE")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(STRIDE);
    let mut tried = 0;
    let mut failed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for answer in answers {
        for (when, what) in [("at", "return"), ("at", "return-after"), ("from", "return")] {
            for (number, function) in calls.iter().enumerate().step_by(stride) {
                let line = format!("{when} {} {what} {answer}", number + 1);
                tried += 1;
                let problem = match once(&world, scenario, member, &line) {
                    Ok((found, _)) if found == expected => continue,
                    Ok(_) => "another result".to_owned(),
                    Err(problem) => problem,
                };
                failed.entry(problem).or_default().push(format!("{line} ({function})"));
            }
        }
    }
    let failures: usize = failed.values().map(Vec::len).sum();
    println!(
        "| {scenario:?} | member {member} fails | {} calls | {tried} runs | {failures} noticed |",
        calls.len()
    );
    assert!(failed.is_empty(), "{failures} of {tried} noticed: {failed:#?}");
}

/// Runs the scenario with a fault. Answers its result and the functions that the member was asked.
fn once(
    world: &World,
    scenario: Scenario,
    member: &str,
    line: &str,
) -> Result<(Vec<u8>, Vec<String>), String> {
    if scenario.changes() {
        world.restore();
    }
    world.calm();
    let (application_, session) = application();
    world.script(member, line);
    let answer = catch_unwind(AssertUnwindSafe(|| scenario.run(&session)));
    let calls = world.calls(member).into_iter().map(|call| call.function).collect();
    world.calm();
    drop((session, application_));
    let answer = answer.map_err(|panic| format!("the application saw: {}", text(&*panic)))?;
    let answer = answer.map_err(|error| format!("the application saw: {error}"))?;
    if scenario.changes() {
        catch_unwind(AssertUnwindSafe(|| settled(world, scenario)))
            .map_err(|panic| format!("afterwards: {}", text(&*panic)))?;
    }
    Ok((answer, calls))
}

/// With the faults off, a login later, every member holds what the token shows.
fn settled(world: &World, scenario: Scenario) {
    let (_application, session) = application();
    let token = look_at_token(&session);
    let members: Vec<_> =
        world.members().into_iter().map(|name| (name, look_at_member(world, name))).collect();
    same("after the next login", &token, &members);
    let made = Kind::P256.find(&session, SUBJECT);
    assert_eq!(made.is_some(), scenario == Scenario::Generate);
    let Some(made) = made else { return };
    let public = Kind::P256.public(&session, made).expect("a public key");
    for member in world.members() {
        let direct = world.demo.direct(member);
        let there = Kind::P256.find(&direct, SUBJECT).expect("the key");
        let signature = Kind::P256.work(&direct, there).expect("a signature");
        assert!(public.verifies(&DIGEST, &signature), "member {member} holds another key");
    }
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Finds are answered from the catalogue.
pub(crate) fn finding(demo: &Demo) {
    let world = World::around(Demo::at(demo.dir(), &demo.members().map_vendors()));
    let (_application, session) = application();
    Scenario::Destroy.prepare(&session);
    for member in world.members() {
        world.script(member, "return CKR_DEVICE_ERROR");
    }
    let found = Kind::P256.find(&session, SUBJECT).expect("the key is found");
    assert!(Kind::P256.public(&session, found).is_some());
    for member in world.members() {
        assert!(world.calls(member).is_empty(), "member {member} was asked");
    }
}

/// The vendors of a demo's members.
pub(crate) trait Vendors {
    /// In their order.
    fn map_vendors(self) -> Vec<tandem_tests::Vendor>;
}

impl Vendors for Vec<(&'static str, tandem_tests::Vendor)> {
    fn map_vendors(self) -> Vec<tandem_tests::Vendor> {
        self.into_iter().map(|(_, vendor)| vendor).collect()
    }
}
