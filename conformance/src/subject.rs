//! Whose turn it is: a module and a token, as the command line names them, and the processes that work on them.

use crate::module::{Result, Start};
use crate::token::Reach;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;
use tandem_values::Secret;

/// The variable with the user's PIN.
pub const PIN: &str = "P11_PIN";
/// The variable with the security officer's PIN.
pub const SO_PIN: &str = "P11_SO_PIN";
/// The variable with the user's PIN of the other token; without it that is the same.
pub const OTHER_PIN: &str = "P11_AGAINST_PIN";
/// The variable with the security officer's PIN of the other token.
pub const OTHER_SO_PIN: &str = "P11_AGAINST_SO_PIN";

/// A module and a token.
#[derive(Clone)]
pub struct Subject {
    /// The module's file.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
    /// How the module is initialised, as it is written: [`Start`].
    pub start: String,
    /// The user's PIN.
    pub pin: Secret,
    /// The security officer's PIN.
    pub so_pin: Option<Secret>,
    /// True if the token may be wiped.
    pub may_wipe: bool,
    /// True if what the module writes to standard error is shown.
    pub verbose: bool,
}

/// A variable of the environment as a secret.
pub fn secret(name: &str) -> Option<Secret> {
    let value = std::env::var_os(name)?;
    Some(Secret::new(std::os::unix::ffi::OsStringExt::into_vec(value)))
}

impl Subject {
    /// How the token is reached.
    pub fn reach(&self) -> Result<Reach> {
        let start: Start = self.start.parse()?;
        Ok(Reach {
            start,
            label: self.label.clone(),
            pin: self.pin.clone(),
            so_pin: self.so_pin.clone(),
            may_wipe: self.may_wipe,
        })
    }

    /// Starts this program again, to work on the token. Whatever it forks is in one group with it.
    pub fn process(&self, command: &str, arguments: &[&str]) -> Result<Process> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut process = Command::new(program);
        process.arg(command).arg("--module").arg(&self.module).args(["--token", &self.label]);
        process.args(["--init", &self.start]);
        if self.may_wipe {
            process.arg("--may-wipe");
        }
        process.args(arguments).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        process.stderr(if self.verbose { Stdio::inherit() } else { Stdio::null() });
        // Secrets never reach an argument.
        let os = |secret: &Secret| -> std::ffi::OsString {
            std::os::unix::ffi::OsStringExt::from_vec(secret.expose().to_vec())
        };
        process.env(PIN, os(&self.pin)).env_remove(SO_PIN);
        if let Some(pin) = &self.so_pin {
            process.env(SO_PIN, os(pin));
        }
        let child = process
            .spawn()
            .map_err(|error| format!("another process can't be started: {error}"))?;
        Ok(Process::of(child))
    }
}

/// A process of this program that works on a token and tells by lines.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    input: Option<ChildStdin>,
}

/// What came from a process.
pub enum Heard {
    /// A line.
    Line(String),
    /// It has ended: how.
    Ended(String),
    /// Nothing in the time it was given; it is ended.
    Silent,
}

impl Process {
    fn of(mut child: Child) -> Self {
        let (sender, lines) = channel();
        let input = child.stdin.take();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Self { child, lines, input }
    }

    /// Says a line to it. Whether it hears is told by what comes from it.
    pub fn say(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = std::io::Write::write_all(input, format!("{line}\n").as_bytes());
        }
    }

    /// What comes next.
    pub fn hear(&mut self, limit: Duration) -> Heard {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Heard::Line(line),
            Err(RecvTimeoutError::Timeout) => {
                self.end();
                Heard::Silent
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait();
                Heard::Ended(match status {
                    Ok(status) => match (status.signal(), status.code()) {
                        (Some(signal), _) => {
                            format!("the process ended by signal {signal}{}", named(signal))
                        }
                        (None, Some(code)) => format!("the process ended with exit code {code}"),
                        (None, None) => "the process ended".to_owned(),
                    },
                    Err(error) => error.to_string(),
                })
            }
        }
    }

    fn end(&mut self) {
        crate::module::end_group(self.child.id());
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that is done goes by itself when nobody speaks to it any more; one that isn't is ended.
        self.input = None;
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.end();
        }
    }
}

fn named(signal: i32) -> &'static str {
    match signal {
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGFPE => " (SIGFPE)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGPIPE => " (SIGPIPE)",
        libc::SIGKILL => " (SIGKILL)",
        _ => "",
    }
}
