//! Real tokens for tests: SoftHSM's, made with its own tool, and Kryoptic's, made through its module.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tandem_engine::member::{Member, SessionId, User};
use tandem_values::Secret;
use tandem_vendor::{Initialise, MemberConfig, TokenSelector, VendorMember};

pub(crate) const SO_PIN: &str = "12345678";
pub(crate) const USER_PIN: &str = "123456";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    SoftHsm,
    Kryoptic,
}

impl Kind {
    /// The vendors whose modules are here. SoftHSM must be; Kryoptic's is built by `make members`.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::SoftHsm];
        match Self::Kryoptic.module() {
            Some(_) => all.push(Self::Kryoptic),
            None => eprintln!("skipped: Kryoptic is not built (make members)"),
        }
        all
    }

    pub(crate) fn module(self) -> Option<PathBuf> {
        let path = match self {
            Self::SoftHsm => PathBuf::from("/usr/lib/softhsm/libsofthsm2.so"),
            Self::Kryoptic => {
                let here = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
                here.parent().unwrap().join("target/release/libkryoptic_pkcs11.so")
            }
        };
        path.exists().then_some(path)
    }
}

/// A token in a folder of its own, which goes with it.
pub(crate) struct TestToken {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: MemberConfig,
}

impl TestToken {
    /// A token of this label with both PINs.
    pub(crate) fn new(kind: Kind, label: &str) -> Self {
        let token = Self::blank(kind, label);
        match kind {
            Kind::SoftHsm => token.add_softhsm(label),
            Kind::Kryoptic => token.add_by_module(label),
        }
        token
    }

    /// Storage without a token, and a member of this name that looks for one with this label.
    pub(crate) fn blank(kind: Kind, label: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("storage")).unwrap();
        let storage = folder.path().join("storage").display().to_string();
        let file = folder.path().join("vendor.conf");
        let module = kind.module().expect("the vendor's module");
        let mut config = MemberConfig::new(label, module, TokenSelector::Label(label.into()));
        let text = match kind {
            Kind::SoftHsm => {
                config.environment = vec![("SOFTHSM2_CONF".into(), file.display().to_string())];
                format!("directories.tokendir = {storage}\nlog.level = ERROR\n")
            }
            Kind::Kryoptic => {
                config.initialise =
                    Initialise::Reserved(format!("kryoptic_conf={}", file.display()));
                let database = format!("{storage}/token.sql");
                format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{database}\"\n")
            }
        };
        fs::write(file, text).unwrap();
        Self { folder, config }
    }

    /// One more SoftHSM token in the same storage.
    pub(crate) fn add_softhsm(&self, label: &str) {
        let done = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label, "--pin", USER_PIN])
            .args(["--so-pin", SO_PIN])
            .env("SOFTHSM2_CONF", self.folder.path().join("vendor.conf"))
            .output()
            .expect("softhsm2-util: apt-get install softhsm2");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A token made by nothing but a member's own calls.
    pub(crate) fn add_by_module(&self, label: &str) {
        let config = MemberConfig { token: TokenSelector::Uninitialised, ..self.config.clone() };
        let maker = VendorMember::new(config);
        maker.try_start().unwrap();
        maker.init_token(Some(&pin(SO_PIN)), label).unwrap();
        let session = maker.open(true).unwrap();
        maker.login(session, User::So, Some(&pin(SO_PIN))).unwrap();
        maker.init_pin(session, Some(&pin(USER_PIN))).unwrap();
        maker.stop().unwrap();
    }

    /// A started member on it.
    pub(crate) fn member(&self) -> VendorMember {
        let member = VendorMember::new(self.config.clone());
        member.try_start().unwrap();
        member
    }

    /// Its storage, and where it goes when it is taken away.
    pub(crate) fn storage(&self) -> (PathBuf, PathBuf) {
        (self.folder.path().join("storage"), self.folder.path().join("away"))
    }
}

pub(crate) fn pin(text: &str) -> Secret {
    Secret::new(text)
}

/// A session in which the user is logged in.
pub(crate) fn session(member: &VendorMember) -> SessionId {
    let session = member.open(true).unwrap();
    member.login(session, User::User, Some(&pin(USER_PIN))).unwrap();
    session
}
