//! A member behind p11-kit's remoting: its vendor's module works in another process, which is killed and stopped as a test likes.

use super::world::fault_module;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tandem_tests::Demo;

/// p11-kit's client, of Debian's p11-kit-modules.
pub(crate) const CLIENT: &str = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";

/// What p11-kit 0.24.1 doesn't carry, under numbers that it carries and no vendor has: AES key wrap with padding by either of
/// its numbers, AES-CBC with and without padding, AES-GCM.
const CARRIED: &str = "0x210A=0x1036 0x210B=0x1065 0x1082=0x1008 0x1085=0x400 0x1087=0x1070";

/// How long a server may take to begin.
const BEGIN: Duration = Duration::from_secs(10);

/// What can befall what serves a member, until it is put right.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    /// The process that serves us is killed. Another one serves whoever connects anew.
    Killed,
    /// The process that serves us is stopped: what is asked of it is answered when it goes on.
    Stopped,
    /// Nobody serves us, and nobody accepts a connection.
    Gone,
    /// The process that serves us is killed, and who connects anew gets no answer.
    Deaf,
}

/// What serves one member: a process that listens, and one of its children for each connection.
pub(crate) struct Server {
    socket: PathBuf,
    script: PathBuf,
    vendor: (PathBuf, &'static str, String),
    listener: Mutex<Child>,
}

impl Server {
    /// Begins to serve a member of a demo.
    pub(crate) fn of(demo: &Demo, member: &str) -> Self {
        let file = |what: &str| demo.dir().join("faults").join(format!("{member}.{what}"));
        let vendor = demo.vendor(member);
        let vendor = (vendor.module(), vendor.variable(), demo.vendor_config(member));
        let (socket, script) = (file("socket"), file("far"));
        let listener = Mutex::new(listen(&socket, &script, &vendor));
        Self { socket, script, vendor, listener }
    }

    /// What the member is configured with in Tandem's process, beside what every fault module is.
    pub(crate) fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("TANDEM_FAULT_MODULE", CLIENT.to_owned()),
            ("TANDEM_FAULT_CARRY", format!("near {CARRIED}")),
            ("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", self.socket.display())),
        ]
    }

    /// Gives the fault module on the server's side another script, from the next call on.
    pub(crate) fn script(&self, text: &str) {
        let unfinished = self.script.with_extension("new");
        fs::write(&unfinished, text).expect("a script");
        fs::rename(unfinished, &self.script).expect("a script");
    }

    /// Does it some harm.
    pub(crate) fn harm(&self, harm: Harm) {
        let mut listener = self.listener();
        match harm {
            Harm::Killed => self.signal(&listener, libc::SIGKILL),
            Harm::Stopped => self.signal(&listener, libc::SIGSTOP),
            Harm::Deaf => {
                signal(pid(&listener), libc::SIGSTOP);
                kill_all(serving(pid(&listener)));
            }
            Harm::Gone => {
                let serving = serving(pid(&listener));
                end(&mut listener);
                kill_all(serving);
            }
        }
    }

    /// Puts that right.
    pub(crate) fn mend(&self, harm: Harm) {
        let mut listener = self.listener();
        match harm {
            Harm::Killed => {}
            Harm::Stopped => self.signal(&listener, libc::SIGCONT),
            Harm::Deaf => signal(pid(&listener), libc::SIGCONT),
            Harm::Gone => *listener = listen(&self.socket, &self.script, &self.vendor),
        }
    }

    fn listener(&self) -> MutexGuard<'_, Child> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a signal to the processes that serve, of which there must be one.
    fn signal(&self, listener: &Child, number: i32) {
        let serving = serving(pid(listener));
        assert!(!serving.is_empty(), "nobody is served at {}", self.socket.display());
        for process in serving {
            signal(process, number);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut listener = self.listener();
        let serving = serving(pid(&listener));
        end(&mut listener);
        kill_all(serving);
    }
}

/// From now on this process dies of SIGPIPE as any other does; Rust's own programs ignore it.
pub(crate) fn dies_of_sigpipe() {
    // SAFETY: the default, in place of the ignoring that Rust has begun with.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Starts a process that listens, with the fault module around the vendor's.
fn listen(socket: &PathBuf, script: &PathBuf, vendor: &(PathBuf, &str, String)) -> Child {
    let _ = fs::remove_file(socket);
    let (module, variable, config) = vendor;
    let mut command = Command::new("p11-kit");
    command.args(["server", "--foreground", "--name"]).arg(socket);
    command.arg("--provider").arg(fault_module()).arg("pkcs11:");
    command.env("TANDEM_FAULT_MODULE", module).env("TANDEM_FAULT_SCRIPT", script);
    command.env("TANDEM_FAULT_CARRY", format!("far {CARRIED}")).env(variable, config);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let ends_with_us = || {
        // SAFETY: takes numbers; concerns this process alone.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: it calls prctl and nothing else, which a child may before it is another program.
    unsafe { command.pre_exec(ends_with_us) };
    let listener = command.spawn().expect("p11-kit, of Debian's package of that name");
    let until = Instant::now() + BEGIN;
    while !socket.exists() {
        assert!(Instant::now() < until, "p11-kit server doesn't listen");
        sleep(Duration::from_millis(5));
    }
    listener
}

fn end(listener: &mut Child) {
    let _ = listener.kill();
    let _ = listener.wait();
}

fn pid(process: &Child) -> i32 {
    i32::try_from(process.id()).expect("a process")
}

fn signal(process: i32, number: i32) {
    // SAFETY: takes numbers. What has ended meanwhile gets no signal.
    unsafe { libc::kill(process, number) };
}

fn kill_all(processes: Vec<i32>) {
    for process in processes {
        signal(process, libc::SIGKILL);
    }
}

/// The children of a process that have not ended.
fn serving(parent: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let ours = |process: i32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // After the name, which is in brackets and may be anything: the state, and the parent.
        let mut words = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let (state, its_parent) = (words.next()?, words.next()?.parse::<i32>().ok()?);
        (its_parent == parent && state != "Z").then_some(process)
    };
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    processes.filter_map(number).filter_map(ours).collect()
}
