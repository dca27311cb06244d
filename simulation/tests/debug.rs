//! x
use tandem_simulation::exhaustive::{SCRIPTS, once};
use tandem_simulation::plan::Plan;
use tandem_simulation::setup;
#[test]
fn show() {
    let (snapshot, _) = setup::pair(2).unwrap();
    let name = std::env::var("SCRIPT").unwrap();
    let script = SCRIPTS.iter().find(|s| s.name == name).unwrap();
    let spec = std::env::var("PLAN").unwrap_or_default();
    let plan = spec
        .split_whitespace()
        .map(|one| {
            let p: Vec<_> = one.split('.').collect();
            let trouble = [
                tandem_simulation::trouble::Kind::Output,
                tandem_simulation::trouble::Kind::Unwrap,
                tandem_simulation::trouble::Kind::Begin,
                tandem_simulation::trouble::Kind::Write,
            ]
            .iter()
            .flat_map(|k| k.troubles())
            .find(|t| format!("{t:?}") == p[2])
            .unwrap();
            ((p[0].parse().unwrap(), p[1].parse().unwrap()), *trouble)
        })
        .collect();
    let (verdict, run, _) = once(&snapshot, script, Plan::Written(plan), None, true);
    for event in run.world.events() {
        println!("{event}");
    }
    println!("{verdict:?}");
}
