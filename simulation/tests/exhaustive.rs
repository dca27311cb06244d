//! Every placement of one trouble in every short script; of those in which a member is brought in, a sample. `make simulation`
//! tries them all.

use tandem_simulation::exhaustive::{SCRIPTS, Search, everywhere, once};
use tandem_simulation::plan::Plan;
use tandem_simulation::setup;
use tandem_simulation::trouble::Trouble;
use tandem_simulation::world::Event;

/// So many placements are tried in the long scripts.
const SAMPLE: usize = 500;

#[test]
fn no_single_trouble_in_any_short_script_does_harm() {
    let (snapshot, _) = setup::pair(2).unwrap();
    let mut failed = 0;
    for script in SCRIPTS {
        let sample = script.is_long().then_some(SAMPLE);
        let found = everywhere(&snapshot, script, Search { sample, ..Search::all(1, 2) });
        println!(
            "{:40} {:6} runs, {:8} calls, {:?}, {} excepted, {} violations",
            script.name, found.runs, found.calls, found.tally, found.excepted, found.violated
        );
        for violation in &found.violations {
            println!("    {} {:?}", violation.what, violation.plan);
        }
        failed += found.violated;
    }
    assert_eq!(failed, 0);
}

/// A member that another process wipes while a key is made, and a store that then can't be read: once a head record was
/// written to what had just been wiped.
#[test]
fn a_member_that_is_wiped_meanwhile_stays_empty_though_the_log_cannot_be_read() {
    let (snapshot, _) = setup::pair(2).unwrap();
    let script = SCRIPTS.iter().find(|script| script.name == "make while another wipes").unwrap();
    let scene = script.scene(&snapshot);
    for wiped in 60..100 {
        for unread in wiped + 1..=wiped + 30 {
            let plan =
                [((1, wiped), Trouble::Intruder), ((1, unread), Trouble::StoreBefore)].into();
            let (verdict, ..) = once(&scene, script, Plan::Written(plan), None, false);
            assert!(verdict.is_ok(), "wiped at {wiped}, unread at {unread}: {verdict:?}");
        }
    }
}

/// A key that is brought to be used is proven by that use. A signature that isn't good is not given out: the key is proven by a challenge,
/// and signs again.
#[test]
fn the_first_signature_by_a_key_on_demand_is_its_proof() {
    let (snapshot, _) = setup::pair(2).unwrap();
    let made = |name: &str, plan: Plan| {
        let script = SCRIPTS.iter().find(|script| script.name == name).unwrap();
        let (verdict, run, _) = once(&script.scene(&snapshot), script, plan, None, true);
        assert!(verdict.is_ok(), "{name}: {verdict:?}");
        let signs = |event: Event| match event {
            Event::Call { moment, name: "whole", .. } if moment.0 == 1 => Some(moment),
            _ => None,
        };
        run.world.events().into_iter().filter_map(signs).collect::<Vec<_>>()
    };
    assert_eq!(
        made("sign on demand", Plan::Nothing).len(),
        3,
        "a challenge, its judgement, its use"
    );
    let first = made("sign on demand, a proof", Plan::Nothing);
    assert_eq!(first.len(), 1);
    let lie = Plan::Written([(first[0], Trouble::Lie)].into());
    assert_eq!(made("sign on demand, a proof", lie).len(), 3, "the lie, a challenge, its use");
}
