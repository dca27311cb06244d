//! Pairing interrupted at each call to a vendor in turn, and run again.

use crate::cut::{Cut, Plan};
use crate::tokens::{Fixture, Vendor};
use crate::world::{Different, TWO_OF_THREE, kept};
use std::sync::atomic::{AtomicUsize, Ordering};
use tandem_engine::desk::Desk;
use tandem_engine::error::Result;
use tandem_engine::member::Member;
use tandem_engine::pair::{self, Pairing, RingId};
use tandem_engine::report::Progress;
use tandem_engine::ring::{Ring, RingKey};

/// Two members whose calls are counted together.
struct Line<'a> {
    real: [&'a dyn Member; 2],
    plan: &'a Plan,
    members: [Cut<'a>; 2],
    entropy: Different,
    /// After so many calls the ring was on the members, and attacks began.
    whole: AtomicUsize,
}

impl Progress for Line<'_> {
    fn stage(&self, what: &str, _: u64) {
        if what.contains("attacks") {
            self.whole.store(self.plan.made(), Ordering::Relaxed);
        }
    }

    fn step(&self) {}
}

impl<'a> Line<'a> {
    fn new(real: [&'a dyn Member; 2], plan: &'a Plan) -> Self {
        let members = real.map(|member| Cut::new(member, plan));
        let (entropy, whole) = (Different::default(), AtomicUsize::new(0));
        Self { real, plan, members, entropy, whole }
    }

    /// Pairs, with calls failing from `first` to `last`; what the sessions held is gone afterwards.
    fn pair(&self, id: RingId, first: usize, last: usize) -> Result<Ring> {
        let sessions = self.real.map(|member| member.open(true).unwrap());
        let desks =
            [Desk::new(&self.members[0], sessions[0]), Desk::new(&self.members[1], sessions[1])];
        self.plan.fail(first, last);
        let recovery = Some(&TWO_OF_THREE);
        let pairing = Pairing { id, recovery, entropy: &self.entropy, progress: self };
        let made = pair::make(&desks, &pairing);
        for (member, session) in self.real.iter().zip(sessions) {
            member.close(session).unwrap();
        }
        self.members.iter().for_each(Cut::forget_session);
        made.map(|(ring, _)| ring)
    }

    /// The calls to fail at: every one until the ring is on the members; then, when nothing of it is written any more,
    /// one of a few.
    fn points(&self) -> Vec<usize> {
        self.pair(self.new_id(), usize::MAX, usize::MAX)
            .map(|ring| self.tidy(None, &[ring.id]))
            .unwrap();
        let (whole, all) = (self.whole.load(Ordering::Relaxed), self.plan.made());
        assert!(whole > 100 && all > whole, "{whole} {all}");
        (0..whole).chain((whole..all).step_by(41)).collect()
    }

    fn new_id(&self) -> RingId {
        pair::new_id(&self.entropy)
    }

    fn tidy(&self, keep: Option<&RingId>, begun: &[RingId]) {
        for member in self.real {
            let desk = Desk::open(member, true).unwrap();
            pair::tidy(&desk, keep, begun).unwrap();
            desk.leave();
        }
    }

    /// How many objects are on the tokens.
    fn kept(&self) -> [usize; 2] {
        self.real.map(|member| kept(member).len())
    }

    fn is_whole(&self, ring: &Ring) {
        for member in self.real {
            let desk = Desk::open(member, true).unwrap();
            pair::find(&desk, ring).unwrap();
            desk.leave();
        }
        assert_eq!(self.kept(), [RingKey::ALL.len(); 2]);
    }
}

/// The process is killed: from some call on, none is answered. The next process takes away what was left, and is killed at
/// the next call.
#[test]
fn killed_at_each_call_and_run_again() {
    let (a, b) = (Fixture::new(Vendor::SoftHsm, "a"), Fixture::new(Vendor::Kryoptic, "b"));
    let plan = Plan::default();
    let line = Line::new([&a.member, &b.member], &plan);
    let mut begun = vec![];
    let mut left = 0;
    let points = line.points();
    for at in &points {
        let id = line.new_id();
        match line.pair(id, *at, usize::MAX) {
            Err(error) => assert!(error.to_string().contains("CKR_DEVICE_ERROR"), "{error}"),
            // While routes are tried nothing is an error: what doesn't go is a cell of the table.
            Ok(ring) => line.is_whole(&ring),
        }
        left += usize::from(line.kept() != [0, 0]);
        begun = vec![id];
        line.tidy(None, &begun);
        assert_eq!(line.kept(), [0, 0], "after call {at}");
    }
    assert!(left > 20 && left < points.len(), "{left}");
    let ring = line.pair(line.new_id(), usize::MAX, usize::MAX).unwrap();
    line.tidy(Some(&ring.id), &begun);
    line.is_whole(&ring);
}

/// One call fails and the next ones are answered: pairing itself leaves nothing behind, or ends well.
#[test]
fn one_call_fails_and_nothing_is_left() {
    let (a, b) = (Fixture::new(Vendor::Kryoptic, "a"), Fixture::new(Vendor::SoftHsm, "b"));
    let plan = Plan::default();
    let line = Line::new([&a.member, &b.member], &plan);
    let (mut failed, mut done) = (0, 0);
    for at in line.points() {
        match line.pair(line.new_id(), at, at) {
            Err(error) => {
                assert!(error.to_string().contains("CKR_DEVICE_ERROR"), "{error}");
                failed += 1;
            }
            // What failed was the removal of something that goes with the session anyway, or it is in a table.
            Ok(ring) => {
                line.is_whole(&ring);
                line.tidy(None, &[ring.id]);
                done += 1;
            }
        }
        assert_eq!(line.kept(), [0, 0], "after call {at}");
    }
    assert!(failed > 50 && done > 10, "{failed} {done}");
}
