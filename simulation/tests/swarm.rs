//! A few hundred seeds: nothing wrong may happen, and after healing all must come together.

use tandem_simulation::shrink::{show, shrink};
use tandem_simulation::swarm::{Case, Nests};

/// Seeds by which bugs were found: a change that came while the shelf was looked at, replicas under an older name, wrapped bytes
/// that stayed, what a wiped member kept, what a member that had come back could do, a seal that a member had made wrong twice,
/// a logout that came to a member which had been restarted.
const FOUND: [u64; 11] = [698, 1908, 2519, 2776, 3271, 4255, 4706, 6255, 6963, 9356, 29007];

#[test]
fn seeds_do_no_harm() {
    let seeds = 300;
    let nests = Nests::new().unwrap();
    let mut failed = 0;
    for seed in (1..=seeds).chain(FOUND) {
        let mut case = Case::of(seed);
        if FOUND.contains(&seed) {
            // What they found they found without.
            case.options.generator = None;
        }
        let played = case.play(&nests, None, false).unwrap();
        if let Err(what) = played.verdict {
            failed += 1;
            if failed <= 12 {
                let (case, what) = shrink(&nests, &case, None).unwrap_or((case, what));
                println!("{}", show(&case, &what));
            }
        }
    }
    assert_eq!(failed, 0, "of {seeds} seeds");
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    let nests = Nests::new().unwrap();
    let mut events = 0;
    for seed in 1..=20 {
        let case = Case::of(seed);
        let (once, again) =
            (case.play(&nests, None, true).unwrap(), case.play(&nests, None, true).unwrap());
        events += once.events.len();
        assert_eq!(once.events, again.events, "seed {seed}");
    }
    assert!(events > 10_000, "{events}");
}
