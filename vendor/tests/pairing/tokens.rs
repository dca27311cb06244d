//! Fresh tokens of real modules.

use std::fs;
use std::path::{Path, PathBuf};
use tandem_engine::desk::Desk;
use tandem_engine::member::{Member, User};
use tandem_values::Secret;
use tandem_vendor::{Initialise, MemberConfig, TokenSelector, VendorMember};
use tempfile::TempDir;

const SO_PIN: &[u8] = b"12345678";
const USER_PIN: &[u8] = b"123456";

/// A vendor whose module is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    SoftHsm,
    Kryoptic,
}

/// A member with a fresh token, which is gone when this is dropped.
pub struct Fixture {
    pub member: VendorMember,
    _folder: TempDir,
}

impl Fixture {
    /// Makes a token and logs in on it.
    pub fn new(vendor: Vendor, name: &str) -> Self {
        let folder = folder();
        let config = config(vendor, name, folder.path());
        let member = VendorMember::new(config);
        member.start().expect("the module starts");
        member.init_token(Some(&Secret::new(SO_PIN)), name).expect("the token is initialised");
        let desk = Desk::open(&member, true).unwrap();
        member.login(desk.session, User::So, Some(&Secret::new(SO_PIN))).unwrap();
        member.init_pin(desk.session, Some(&Secret::new(USER_PIN))).unwrap();
        member.logout(desk.session).unwrap();
        member.login(desk.session, User::User, Some(&Secret::new(USER_PIN))).unwrap();
        // The login lasts as long as a session is open: this one stays.
        Self { member, _folder: folder }
    }

    /// A session of its own.
    pub fn desk(&self) -> Desk<'_> {
        Desk::open(&self.member, true).unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.member.stop();
    }
}

/// In memory where there is such a place: tokens on a disk make every write wait.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

fn config(vendor: Vendor, name: &str, folder: &Path) -> MemberConfig {
    let token = TokenSelector::Uninitialised;
    match vendor {
        Vendor::SoftHsm => {
            let (tokens, file) = (folder.join("tokens"), folder.join("softhsm2.conf"));
            fs::create_dir(&tokens).unwrap();
            let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
            fs::write(&file, text).unwrap();
            let mut config = MemberConfig::new(name, softhsm(), token);
            config.environment = vec![("SOFTHSM2_CONF".into(), file.display().to_string())];
            config
        }
        Vendor::Kryoptic => {
            let file = folder.join("kryoptic.conf");
            let store = folder.join("token.sql");
            let text = format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", store.display());
            fs::write(&file, text).unwrap();
            let mut config = MemberConfig::new(name, kryoptic(), token);
            config.initialise = Initialise::Reserved(format!("kryoptic_conf={}", file.display()));
            config
        }
    }
}

fn softhsm() -> PathBuf {
    needed(PathBuf::from("/usr/lib/softhsm/libsofthsm2.so"), "apt-get install softhsm2")
}

fn kryoptic() -> PathBuf {
    let vendor = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
    needed(vendor.join("../target/release/libkryoptic_pkcs11.so").canonicalize().unwrap_or_default(), "make members")
}

fn needed(module: PathBuf, how: &str) -> PathBuf {
    assert!(module.is_file(), "a module is missing: {how}");
    module
}
