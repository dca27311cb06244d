//! Pairing over real modules (design.md section 6; `facts.md` g, l, m).

mod tokens;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tandem_engine::desk::Desk;
use tandem_engine::pair::{self, Pairing};
use tandem_engine::ports::Entropy;
use tandem_engine::report::Quiet;
use tandem_engine::settings::RecoverySettings;
use tokens::{Fixture, Vendor};

/// Different each time; unpredictable it need not be in a test.
struct Different(AtomicU64);
impl Different { fn new() -> Self { Self(AtomicU64::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64)) } }
impl Entropy for Different {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            let mut x = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            *byte = (x >> 32) as u8;
        }
    }
}

#[test]
fn first() {
    let a = Fixture::new(Vendor::SoftHsm, "a");
    let b = Fixture::new(Vendor::Kryoptic, "b");
    let desks = [a.desk(), b.desk()];
    let entropy = Different::new();
    let settings = RecoverySettings { shares: 3, threshold: 2 };
    let pairing = Pairing { id: pair::new_id(&entropy), recovery: Some(&settings), entropy: &entropy, progress: &Quiet };
    let t = std::time::Instant::now();
    let (ring, shares) = pair::make(&desks, &pairing).unwrap();
    println!("{:?}", t.elapsed());
    for m in &ring.members { for a in &m.attacks { println!("{} {:50} {} {}", m.name, a.name, if a.refused {"refused"} else {"OPEN"}, a.answer); } }
    for r in &ring.routes { println!("{} -> {} {:12} {:?}", r.from, r.to, r.kind, r.failure); }
    println!("{shares:?} {}", minicbor::to_vec(&ring).unwrap().len());
}
