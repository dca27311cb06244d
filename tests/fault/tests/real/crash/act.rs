//! What is done while the process is killed.

use crate::common::World;
use std::fs;
use std::path::Path;
use std::process::Command;
use tandem_tests::keys::Kind;
use tandem_tests::{Wanted, application};

/// The key that is made or destroyed.
pub(crate) const NAME: &str = "subject";
/// A key that is there before, and stays.
pub(crate) const OTHER: &str = "bystander";

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// A key is made.
    Make(Kind),
    /// A pair of P-256 is destroyed: the private key, then the public key.
    Destroy,
}

const ACT: &str = "TANDEM_FAULT_ACT";

impl Act {
    /// The kind of the key.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Make(kind) => kind,
            Self::Destroy => Kind::P256,
        }
    }

    /// Tells a process what to do.
    pub(crate) fn tell(self, command: &mut Command) {
        command.env(
            ACT,
            match self {
                Self::Make(Kind::P256) => "p256",
                Self::Make(Kind::Rsa(_)) => "rsa",
                Self::Make(Kind::Wrapping(_)) => "wrapping",
                Self::Make(_) => "aes",
                Self::Destroy => "destroy",
            },
        );
    }

    /// What this process was told.
    pub(crate) fn told() -> Option<(Self, World)> {
        let act = match std::env::var(ACT).ok()?.as_str() {
            "p256" => Self::Make(Kind::P256),
            "rsa" => Self::Make(Kind::Rsa(2048)),
            "wrapping" => Self::Make(Kind::Wrapping(32)),
            "aes" => Self::Make(Kind::Aes(32)),
            _ => Self::Destroy,
        };
        let dir = std::env::var_os("TANDEM_FAULT_DEMO")?;
        // Only the number of members matters from here on, and their vendors.
        let wanted = if fs::read_to_string(Path::new(&dir).join("members/b/env"))
            .unwrap()
            .contains("SOFTHSM2")
        {
            Wanted::over(&[tandem_tests::Vendor::SoftHsm; 2])
        } else {
            Wanted::mixed()
        };
        Some((act, World::at(Path::new(&dir), &wanted)))
    }

    /// Brings a fresh world to where the act begins.
    pub(crate) fn prepare(self) {
        let (_application, session) = application();
        Kind::P256.make(&session, OTHER).expect("a key");
        if matches!(self, Self::Destroy) {
            Kind::P256.make(&session, NAME).expect("a key");
        }
    }
}

/// Logs in, lets the faults begin, acts, says that the call has returned, and ends as if killed then.
pub(crate) fn child() {
    let Some((act, world)) = Act::told() else { return };
    if std::env::var_os("TANDEM_FAULT_PREPARE").is_some() {
        act.prepare();
        return;
    }
    let (_application, session) = application();
    let subject = act.kind().find(&session, NAME);
    for member in world.members() {
        world.script(
            member,
            &fs::read_to_string(world.file(&format!("{member}.plan"))).unwrap_or_default(),
        );
    }
    arm();
    let answer = match (act, subject) {
        (Act::Make(kind), None) => kind.make(&session, NAME).map(|_| ()),
        (Act::Destroy, Some(made)) => session
            .destroy_object(made.key)
            .and_then(|()| session.destroy_object(made.public.unwrap())),
        (act, subject) => panic!("{act:?} with {subject:?}"),
    };
    fs::write(world.file("returned"), format!("{answer:?}")).expect("a file");
    // SAFETY: ends this process, with what it holds on the members as it is.
    unsafe { libc::_exit(if answer.is_ok() { 0 } else { 3 }) }
}

/// From now on the shim counts writes, if it is there.
fn arm() {
    // SAFETY: looks a name up.
    let arm = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"tandem_shim_arm".as_ptr()) };
    if !arm.is_null() {
        // SAFETY: the shim's function has this type.
        let arm: extern "C" fn() = unsafe { std::mem::transmute(arm) };
        arm();
    }
}
