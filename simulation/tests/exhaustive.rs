//! Every placement of one trouble in every short script.

use tandem_simulation::exhaustive::{SCRIPTS, Search, everywhere};
use tandem_simulation::setup;

#[test]
fn no_single_trouble_in_any_short_script_does_harm() {
    let (snapshot, _) = setup::pair(2).unwrap();
    let mut failed = 0;
    for script in SCRIPTS {
        let found =
            everywhere(&snapshot, script, Search { troubles: 1, bug: None, limit: u64::MAX });
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
