//! Two real tokens, and one virtual token over them that nobody has initialised yet. They are SoftHSM's; of Kryoptic
//! where `TANDEM_TEST_KRYOPTIC` says where its module is.

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
        let kryoptic = std::env::var("TANDEM_TEST_KRYOPTIC").ok();
        for name in ["a", "b"] {
            let own = folder.join(name);
            std::fs::create_dir(&own).unwrap();
            let (module, setting) = match &kryoptic {
                Some(module) => (module.as_str(), make_kryoptic(module, &own, name)),
                None => (SOFTHSM, make_softhsm(&own, name)),
            };
            write!(
                config,
                "[[token.member]]\nname = \"{name}\"\nmodule = \"{module}\"\n\
                 token = {{ label = \"{name}\" }}\ndeadline_ms = 0\n{setting}\n",
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

/// Makes a token, and says how a member finds it.
fn make_softhsm(folder: &Path, label: &str) -> String {
    std::fs::create_dir(folder.join("tokens")).unwrap();
    let conf = folder.join("conf");
    std::fs::write(&conf, format!("directories.tokendir = {}/tokens\n", folder.display())).unwrap();
    let arguments = ["--init-token", "--free", "--pin", "123456", "--so-pin", "12345678"];
    run("softhsm2-util", &arguments, label, "SOFTHSM2_CONF", &conf);
    format!("environment = {{ SOFTHSM2_CONF = \"{}\" }}", conf.display())
}

/// The same of Kryoptic.
fn make_kryoptic(module: &str, folder: &Path, label: &str) -> String {
    let conf = folder.join("conf");
    let store = folder.join("token.sql");
    let slot =
        format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", store.display());
    std::fs::write(&conf, slot).unwrap();
    let so = ["--module", module, "--so-pin", "12345678"];
    let init = [&so[..], &["--slot", "1", "--init-token"]].concat();
    run("pkcs11-tool", &init, label, "KRYOPTIC_CONF", &conf);
    let login = ["--login", "--login-type", "so", "--init-pin", "--pin", "123456"];
    run("pkcs11-tool", &[&so[..], &login].concat(), label, "KRYOPTIC_CONF", &conf);
    format!("init = \"reserved:kryoptic_conf={}\"", conf.display())
}

fn run(program: &str, arguments: &[&str], label: &str, variable: &str, conf: &Path) {
    let which = if arguments.contains(&"--login") { "--token-label" } else { "--label" };
    let ran = Command::new(program)
        .args(arguments)
        .args([which, label])
        .env(variable, conf)
        .output()
        .expect("softhsm2 and opensc are needed");
    assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
}
