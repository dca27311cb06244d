//! Every placement of one trouble in every short script; of those in which a member is brought in, a sample. `make simulation`
//! tries them all.

use tandem_simulation::exhaustive::{SCRIPTS, Search, everywhere};
use tandem_simulation::setup;

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
