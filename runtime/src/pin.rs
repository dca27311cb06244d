//! PINs from files, environment variables and programs.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tandem_config::meant::PinSource;
use tandem_config::permission;
use tandem_values::Secret;
use zeroize::Zeroizing;

/// How long a program may take to tell a PIN.
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// How often a program that has said everything is looked at until it ends.
const COMMAND_PAUSE: Duration = Duration::from_millis(10);
/// Most bytes that are read in search of the first line.
const BYTES_MAX: usize = 4096;

/// A PIN source, and who may read it.
pub struct Pins {
    source: PinSource,
    /// The group that may read a PIN file beside its owner.
    group: Option<u32>,
}

impl Pins {
    /// A source as the operator named it.
    pub const fn new(source: PinSource, group: Option<u32>) -> Self {
        Self { source, group }
    }

    /// The PIN; an error says where it was looked for and what to do, and never what was found there.
    pub fn pin(&self) -> Result<Secret, String> {
        let bytes = match &self.source {
            PinSource::File(file) => from_file(file, self.group)?,
            PinSource::Env(name) => from_env(name)?,
            PinSource::Command(words) => from_command(words)?,
        };
        first_line(bytes).ok_or_else(|| match &self.source {
            PinSource::File(file) => format!("{} has no PIN in its first line", file.display()),
            PinSource::Env(name) => format!("the environment variable {name} is empty"),
            PinSource::Command(words) => format!("{} wrote no PIN", program(words)),
        })
    }
}

impl tandem_engine::settings::PinSource for Pins {
    fn pin(&self) -> Result<Secret, String> {
        Self::pin(self)
    }
}

/// The first line without its end; `None` if there is nothing in it.
fn first_line(mut bytes: Zeroizing<Vec<u8>>) -> Option<Secret> {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    bytes.truncate(end);
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    (!bytes.is_empty()).then(|| Secret::new(std::mem::take(&mut *bytes)))
}

fn from_file(file: &Path, group: Option<u32>) -> Result<Zeroizing<Vec<u8>>, String> {
    permission::read_only_by(file, group)
        .map_err(|refusal| format!("{}; {}", refusal.problem, refusal.remedy))?;
    let unreadable = |error: std::io::Error| {
        format!(
            "the PIN file {} can't be read ({error}); let the user of this program read it",
            file.display()
        )
    };
    let mut file = std::fs::File::open(file).map_err(unreadable)?;
    let mut bytes = Zeroizing::new(vec![0; BYTES_MAX]);
    let length = read_up(&mut file, &mut bytes).map_err(unreadable)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// Reads until the end or until the buffer is full. Nothing grows, so no copy is left behind.
fn read_up(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
        match from.read(room) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn from_env(name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    use std::os::unix::ffi::OsStringExt;
    let value = std::env::var_os(name)
        .ok_or_else(|| format!("the environment variable {name} is not set; set it to the PIN"))?;
    Ok(Zeroizing::new(value.into_vec()))
}

fn program(words: &[String]) -> &str {
    words.first().map_or("", String::as_str)
}

fn from_command(words: &[String]) -> Result<Zeroizing<Vec<u8>>, String> {
    let program = program(words);
    let mut child = Command::new(program)
        .args(words.iter().skip(1))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program}, which tells the PIN, can't be run ({error})"))?;
    let until = Instant::now() + COMMAND_MAX;
    let told = listen(&mut child, until);
    let ended = end(&mut child, until);
    match (told, ended) {
        (Some(bytes), Some(status)) if status.success() => Ok(bytes),
        (_, None) | (None, _) => Err(format!(
            "{program}, which tells the PIN, did not end within {} s",
            COMMAND_MAX.as_secs()
        )),
        (_, Some(status)) => Err(format!(
            "{program}, which tells the PIN, failed ({status}); run it by hand to see why"
        )),
    }
}

/// What a program writes until it closes its output; `None` if it doesn't in time.
fn listen(child: &mut Child, until: Instant) -> Option<Zeroizing<Vec<u8>>> {
    let mut output = child.stdout.take()?;
    let mut bytes = Zeroizing::new(vec![0; BYTES_MAX]);
    let mut length = 0;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut watched = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, timeout) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return None,
        }
        let room = bytes.get_mut(length..).filter(|room| !room.is_empty());
        let Some(room) = room else { break };
        match output.read(room) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    bytes.truncate(length);
    Some(bytes)
}

/// How a program ended; it is killed if it doesn't in time.
fn end(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            // The application collects its children itself, and got this one: what it wrote must do.
            Err(_) => return Some(ExitStatus::from_raw(0)),
            Ok(None) if Instant::now() >= until => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            Ok(None) => std::thread::sleep(COMMAND_PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn shown(source: PinSource) -> Result<String, String> {
        let pin = Pins::new(source, None).pin()?;
        Ok(String::from_utf8(pin.expose().to_vec()).unwrap())
    }

    fn command(words: &[&str]) -> PinSource {
        PinSource::Command(words.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn first_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pin");
        for (text, pin) in [("123456\n", "123456"), ("12 34 \r\nx", "12 34 "), ("123", "123")] {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            assert_eq!(shown(PinSource::File(file.clone())).unwrap(), pin);
        }
        std::fs::write(&file, "\n123").unwrap();
        let error = shown(PinSource::File(file.clone())).unwrap_err();
        assert_eq!(error, format!("{} has no PIN in its first line", file.display()));
    }

    #[test]
    fn files_that_others_may_read_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pin");
        std::fs::write(&file, "123456\n").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
        let error = shown(PinSource::File(file)).unwrap_err();
        assert!(error.contains("others than its owner may read it"), "{error}");
        assert!(!error.contains("123456"), "{error}");
    }

    #[test]
    fn programs() {
        assert_eq!(shown(command(&["/bin/echo", "12", "34"])).unwrap(), "12 34");
        let error = shown(command(&["/bin/false"])).unwrap_err();
        assert!(error.contains("/bin/false, which tells the PIN, failed"), "{error}");
        let error = shown(command(&["/nowhere"])).unwrap_err();
        assert!(error.contains("can't be run"), "{error}");
        assert_eq!(shown(command(&["/bin/true"])).unwrap_err(), "/bin/true wrote no PIN");
    }

    #[test]
    fn variables() {
        let error = shown(PinSource::Env("TANDEM_NO_SUCH_VARIABLE".into())).unwrap_err();
        assert!(error.contains("TANDEM_NO_SUCH_VARIABLE is not set"), "{error}");
    }
}
