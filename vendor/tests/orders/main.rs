//! Every order of events (loom), for the files by which this crate's threads meet: the very files, with loom's locks in the
//! place of the ordinary ones.

#![expect(
    clippy::arc_with_non_send_sync,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test, which says how much it tried"
)]

#[expect(dead_code, reason = "its own tests run in their own place")]
#[path = "../../src/gate.rs"]
mod gate;
#[expect(dead_code, reason = "some reasons for no answer are given by its users")]
#[path = "../../src/handover.rs"]
mod handover;
mod sync;

use gate::Gate;
use handover::{NoAnswer, handover};
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// As long as it takes.
const LONG: Duration = Duration::from_secs(3_600);
/// Not at all.
const SHORT: Duration = Duration::ZERO;

/// A gate and what is behind it: loom tells if two are there at once of whom one has shut it.
#[derive(Default)]
struct Place {
    gate: Gate,
    behind: UnsafeCell<()>,
}

impl Place {
    fn call(&self, wait: Duration) -> bool {
        let pass = self.gate.enter(wait);
        pass.is_some_and(|_pass| self.behind.with(|_| true))
    }

    fn alone(&self, wait: Duration) -> bool {
        let shut = self.gate.shut(wait);
        shut.is_some_and(|_shut| self.behind.with_mut(|_| true))
    }
}

/// What a thread does at a place; true if it got there.
type Deed = fn(&Place) -> bool;

/// Runs deeds side by side in every order, and answers how many orders there were.
fn in_every_order(deeds: &'static [Deed], judge: fn(&[bool])) -> usize {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    model(move || {
        counted.fetch_add(1, SeqCst);
        let place = Arc::new(Place::default());
        let threads: Vec<_> = deeds
            .iter()
            .map(|deed| {
                let place = Arc::clone(&place);
                thread::spawn(move || deed(&place))
            })
            .collect();
        let done: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        judge(&done);
        assert!(place.alone(SHORT) && place.call(SHORT), "the gate is left as it was");
    });
    orders.load(SeqCst)
}

/// Threads are interrupted where they need not be at most so often in one order.
const INTERRUPTIONS: usize = 3;

fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(INTERRUPTIONS);
    builder.check(run);
}

fn all(done: &[bool]) {
    assert!(done.iter().all(|got_there| *got_there), "{done:?}");
}

fn calls_pass_and_a_shutting_is_alone() -> usize {
    in_every_order(&[|place| place.call(LONG), |place| place.alone(LONG)], all)
}

fn two_calls_and_a_shutting() -> usize {
    let call: Deed = |place| place.call(LONG);
    let deeds: &'static [Deed] = Box::leak(Box::new([call, call, |place| place.alone(LONG)]));
    in_every_order(deeds, all)
}

fn two_shuttings_and_a_call() -> usize {
    let alone: Deed = |place| place.alone(LONG);
    let deeds: &'static [Deed] = Box::leak(Box::new([alone, alone, |place| place.call(LONG)]));
    in_every_order(deeds, all)
}

fn who_gives_up_lets_the_others_in() -> usize {
    let deeds: &'static [Deed] =
        &[|place| place.call(LONG), |place| place.alone(SHORT), |place| place.alone(LONG)];
    in_every_order(deeds, |done| assert!(done[0] && done[2], "{done:?}"))
}

/// One answer, and how the wait for it and the answer can meet.
fn an_answer(patience: Duration, panics: bool) -> usize {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    model(move || {
        counted.fetch_add(1, SeqCst);
        let stuck = Arc::new(sync::AtomicUsize::new(0));
        let late = Arc::new(AtomicUsize::new(0));
        let (waiting, answering) = handover::<u8>(&stuck);
        let dropped = Arc::clone(&late);
        let worker = thread::spawn(move || {
            let value: std::thread::Result<u8> = if panics { Err(Box::new(())) } else { Ok(7) };
            answering.answer(value, |_| _ = dropped.fetch_add(1, SeqCst));
        });
        let answer = waiting.wait(patience);
        worker.join().unwrap();
        let was_late = late.load(SeqCst);
        match answer {
            Ok(value) => assert!(value == 7 && !panics && was_late == 0),
            Err(NoAnswer::Late) => {
                assert!(patience.is_zero() && was_late == usize::from(!panics), "{was_late}");
            }
            Err(none) => assert!(panics && none == NoAnswer::Broken && was_late == 0),
        }
        assert_eq!(stuck.load(SeqCst), 0, "nothing hangs any more");
    });
    orders.load(SeqCst)
}

/// What is tried, and the trying, which answers how many orders there were.
type Model = (&'static str, fn() -> usize);

fn main() {
    let models: [Model; 8] = [
        ("calls pass and a shutting is alone", calls_pass_and_a_shutting_is_alone),
        ("two calls and a shutting", two_calls_and_a_shutting),
        ("two shuttings and a call", two_shuttings_and_a_call),
        ("who gives up lets the others in", who_gives_up_lets_the_others_in),
        ("an answer that is waited for", || an_answer(LONG, false)),
        ("an answer that is given up", || an_answer(SHORT, false)),
        ("a panic that is waited for", || an_answer(LONG, true)),
        ("a panic that is given up", || an_answer(SHORT, true)),
    ];
    for (name, run) in models {
        println!("{name}: {} orders", run());
    }
}
