//! The process that is killed: threads that make keys, use them, and destroy some, until the end.

use super::ledger::{Pen, Stage};
use crate::common::World;
use cryptoki::session::Session;
use std::path::Path;
use tandem_tests::keys::Kind;
use tandem_tests::{Vendor, Wanted, initialised};

/// The variable that says which life this is.
pub(crate) const NUMBER: &str = "TANDEM_FAULT_LIFE";
/// How many threads it has.
const THREADS: usize = 4;
/// What they make.
const KINDS: [Kind; 3] = [Kind::P256, Kind::Aes(32), Kind::Generic(32)];

/// The world that a test told this process of.
pub(crate) fn told() -> Option<World> {
    let dir = std::env::var_os("TANDEM_FAULT_DEMO")?;
    let dir = Path::new(&dir);
    let vendor = |name: &str| {
        let env = std::fs::read_to_string(dir.join("members").join(name).join("env"));
        if env.expect("a member").contains("SOFTHSM2") { Vendor::SoftHsm } else { Vendor::Kryoptic }
    };
    Some(World::at(dir, &Wanted::over(&["a", "b"].map(vendor))))
}

/// The kind of a key, which its name tells.
pub(crate) fn kind_of(name: &str) -> Kind {
    let number: usize = name.rsplit('-').next().and_then(|text| text.parse().ok()).expect("a name");
    KINDS[number % KINDS.len()]
}

/// Lives until it is killed.
pub(crate) fn live() {
    let (Some(world), Ok(number)) = (told(), std::env::var(NUMBER)) else { return };
    let number = number.parse().expect("a number");
    let pen = Pen::of(&world, number);
    let application = initialised();
    let first = application.log_in();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let session = application.open(true);
            let (pen, prefix) = (&pen, format!("{number}-{thread}"));
            scope.spawn(move || work(&session, pen, &prefix));
        }
    });
    drop(first);
}

/// Makes keys for ever; every fourth is destroyed again.
fn work(session: &Session, pen: &Pen, prefix: &str) {
    for round in 0.. {
        let name = format!("{prefix}-{round}");
        let kind = kind_of(&name);
        pen.write(Stage::Making, &name);
        let Ok(made) = kind.make(session, &name) else { continue };
        pen.write(Stage::Made, &name);
        // Both members may be in trouble at once: that is no matter here, where only what is acknowledged counts.
        let _ = kind.work(session, made);
        if round % 4 != 3 {
            continue;
        }
        pen.write(Stage::Destroying, &name);
        let public = made.public.map_or(Ok(()), |public| session.destroy_object(public));
        if session.destroy_object(made.key).and(public).is_ok() {
            pen.write(Stage::Destroyed, &name);
        }
    }
}
