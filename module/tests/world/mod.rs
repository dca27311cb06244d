//! Two real tokens of SoftHSM, and one virtual token over them that nobody has initialised yet.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

pub(crate) const USER_PIN: &[u8] = b"123456";
pub(crate) const SO_PIN: &[u8] = b"12345678";
/// The virtual token's label, as C has it.
pub(crate) const LABEL: &[u8; 32] = b"wild                            ";
const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// They live as long as this does.
pub(crate) struct World {
    folder: TempDir,
}

impl World {
    /// Makes them, and points `TANDEM_CONFIG` there.
    pub(crate) fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        let folder = world.folder.path();
        let mut config = format!(
            "[log]\ndestination = \"file:{0}/log\"\nlevel = \"debug\"\n\
             [[token]]\nlabel = \"wild\"\nstate = \"{0}/state\"\nallow_init = true\n\
             [token.recovery]\nshares_dir = \"{0}/shares\"\n",
            folder.display()
        );
        std::fs::create_dir(folder.join("state")).unwrap();
        for name in ["a", "b"] {
            make_token(&folder.join(name), name);
            write!(
                config,
                "[[token.member]]\nname = \"{name}\"\nmodule = \"{SOFTHSM}\"\n\
                 token = {{ label = \"{name}\" }}\ndeadline_ms = 0\n\
                 environment = {{ SOFTHSM2_CONF = \"{}/{name}/conf\" }}\n",
                folder.display()
            )
            .unwrap();
        }
        let file = folder.join("tandem.toml");
        std::fs::write(&file, config).unwrap();
        // SAFETY: no other thread of this test looks at the environment yet.
        unsafe { std::env::set_var("TANDEM_CONFIG", &file) };
        world
    }

    /// What the module's log says so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
}

fn make_token(folder: &Path, label: &str) {
    std::fs::create_dir_all(folder.join("tokens")).unwrap();
    let conf = folder.join("conf");
    std::fs::write(&conf, format!("directories.tokendir = {}/tokens\n", folder.display())).unwrap();
    let pins = ["--pin", "123456", "--so-pin", "12345678"];
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", label])
        .args(pins)
        .env("SOFTHSM2_CONF", &conf)
        // Not ours to watch.
        .env_remove("LD_PRELOAD")
        .output()
        .expect("softhsm2-util is needed: apt install softhsm2");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
