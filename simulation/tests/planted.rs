//! Every planted bug is found in the short script where it would show.

use tandem_simulation::planted::{Bug, hunt};
use tandem_simulation::setup;

#[test]
fn every_planted_bug_is_found() {
    let (pair, _) = setup::pair(2).unwrap();
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        match hunt(&pair, bug) {
            Some(found) => {
                println!("{bug:?}: {} ({} runs): {}", found.by, found.runs, found.what);
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
