//! A paired token, and what tests ask of it.

use crate::tokens::{Fixture, Vendor};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tandem_engine::desk::Desk;
use tandem_engine::error::Result;
use tandem_engine::member::Member;
use tandem_engine::pair::{self, Pairing};
use tandem_engine::ports::Entropy;
use tandem_engine::report::{Progress, Quiet};
use tandem_engine::ring::Ring;
use tandem_engine::settings::RecoverySettings;
use tandem_engine::shares::Share;
use tandem_values::ck::{
    CKA_CLASS, CKA_TOKEN, CKO_CERTIFICATE, CKO_DATA, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY,
    CKO_SECRET_KEY,
};
use tandem_values::{Handle, Secret, Template};

/// Different at each run, which is all that a test needs.
pub(crate) struct Different(RandomState, AtomicU64);

impl Default for Different {
    fn default() -> Self {
        Self(RandomState::new(), AtomicU64::new(0))
    }
}

impl Entropy for Different {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let mut hasher = self.0.build_hasher();
            hasher.write_u64(self.1.fetch_add(1, Ordering::Relaxed));
            chunk.copy_from_slice(&hasher.finish().to_ne_bytes()[..chunk.len()]);
        }
    }
}

/// How the recovery is split in these tests.
pub(crate) const TWO_OF_THREE: RecoverySettings = RecoverySettings { shares: 3, threshold: 2 };

/// A paired token.
pub(crate) struct Paired {
    pub(crate) members: Vec<Fixture>,
    pub(crate) ring: Ring,
    pub(crate) shares: Vec<Share>,
}

impl Paired {
    /// Fresh tokens of these vendors, named `a`, `b`, …, paired.
    pub(crate) fn new(vendors: &[Vendor]) -> Self {
        let members: Vec<_> = vendors
            .iter()
            .zip(["a", "b", "c"])
            .map(|(vendor, name)| Fixture::new(*vendor, name))
            .collect();
        let desks: Vec<_> = members.iter().map(Fixture::desk).collect();
        let (ring, shares) = pair(&desks, Some(&TWO_OF_THREE), &Quiet).unwrap();
        desks.into_iter().for_each(Desk::leave);
        Self { members, ring, shares }
    }

    /// The set that the pairing's shares are of.
    pub(crate) fn set(&self) -> u16 {
        self.ring.recovery.as_ref().unwrap().set
    }

    /// The words of these shares, by number.
    pub(crate) fn words(&self, numbers: &[u8]) -> Vec<Secret> {
        let words = |number: &u8| self.shares[usize::from(*number) - 1].words.clone();
        numbers.iter().map(words).collect()
    }
}

/// Pairs members.
pub(crate) fn pair(
    desks: &[Desk<'_>],
    recovery: Option<&RecoverySettings>,
    progress: &dyn Progress,
) -> Result<(Ring, Vec<Share>)> {
    let entropy = Different::default();
    let id = pair::new_id(&entropy);
    pair::make(desks, &Pairing { id, recovery, entropy: &entropy, progress })
}

/// Every object that a desk sees, of the token and of every session with it. (Kryoptic also shows one for each of its
/// mechanisms.)
pub(crate) fn objects(desk: &Desk<'_>) -> Vec<Handle> {
    found(desk, &Template::new())
}

/// Every object of the token.
pub(crate) fn kept(member: &dyn Member) -> Vec<Handle> {
    let desk = Desk::open(member, true).unwrap();
    let kept = found(&desk, &Template::new().with(CKA_TOKEN, true));
    desk.leave();
    kept
}

fn found(desk: &Desk<'_>, template: &Template) -> Vec<Handle> {
    let of_class = |class| {
        let template = template.clone().with(CKA_CLASS, class);
        desk.member.find(desk.session, &template).unwrap()
    };
    [CKO_DATA, CKO_CERTIFICATE, CKO_PUBLIC_KEY, CKO_PRIVATE_KEY, CKO_SECRET_KEY]
        .into_iter()
        .flat_map(of_class)
        .collect()
}

/// Counts the steps of each stage.
#[derive(Default)]
pub(crate) struct Counted(pub(crate) Mutex<Stages>);

#[derive(Default)]
pub(crate) struct Stages {
    pub(crate) order: Vec<String>,
    pub(crate) steps: HashMap<String, (u64, u64)>,
}

impl Progress for Counted {
    fn stage(&self, what: &str, total: u64) {
        let mut stages = self.0.lock().unwrap();
        stages.order.push(what.into());
        stages.steps.insert(what.into(), (total, 0));
    }

    fn step(&self) {
        let mut stages = self.0.lock().unwrap();
        let stage = stages.order.last().expect("a stage has begun").clone();
        stages.steps.entry(stage).or_default().1 += 1;
    }
}
