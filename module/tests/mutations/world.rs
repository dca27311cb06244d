//! Two real tokens of SoftHSM, and one virtual token over them.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::ptr;
use tandem::abi::*;
use tandem_values::ck::*;
use tempfile::TempDir;

pub(crate) const USER_PIN: &[u8] = b"123456";
pub(crate) const SO_PIN: &[u8] = b"12345678";
const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// They live as long as this does.
pub(crate) struct World {
    folder: TempDir,
}

/// A text with room for C to write in.
pub(crate) fn own(text: &[u8]) -> Vec<u8> {
    text.to_vec()
}

/// The call must succeed.
#[track_caller]
pub(crate) fn ok(rv: CK_RV) {
    assert_eq!(tandem_values::names::rv(rv), "CKR_OK");
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        let folder = world.folder.path();
        let mut config = format!(
            "[log]\ndestination = \"file:{0}/log\"\nlevel = \"debug\"\n\
             [[token]]\nlabel = \"wild\"\nstate = \"{0}/state\"\nallow_init = true\n",
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
        initialise(&std::fs::read_to_string(&file).unwrap());
        world
    }

    /// What the log says so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends it all and tells what the log says.
    pub(crate) fn end(self) -> String {
        // SAFETY: null, as it must be.
        ok(unsafe { C_Finalize(ptr::null_mut()) });
        self.log()
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

/// The first life of the virtual token: both PINs are set, and the first login pairs its members.
fn initialise(config: &str) {
    let (mut so_pin, mut user_pin) = (own(SO_PIN), own(USER_PIN));
    let mut label = *b"wild                            ";
    let mut session = 0;
    let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    // SAFETY: null asks for nothing.
    let started = unsafe { C_Initialize(ptr::null_mut()) };
    assert_eq!(started, CKR_OK, "{config}");
    // SAFETY: PINs with their lengths, a label of 32 bytes, room for a handle.
    unsafe {
        ok(C_InitToken(0, so_pin.as_mut_ptr(), so_pin.len() as u64, label.as_mut_ptr()));
        ok(C_OpenSession(0, flags, ptr::null_mut(), None, &raw mut session));
        ok(C_Login(session, CKU_SO, so_pin.as_mut_ptr(), so_pin.len() as u64));
        ok(C_InitPIN(session, user_pin.as_mut_ptr(), user_pin.len() as u64));
        ok(C_Logout(session));
        ok(C_CloseSession(session));
    }
}
