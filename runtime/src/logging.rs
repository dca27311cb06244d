//! Where messages go: the host's log, standard error, a file, or nowhere.
//!
//! Inside an application nothing is kept open between two messages. Daemons close every file descriptor they don't know,
//! log files are rotated, processes fork: a descriptor held here would by then be somebody else's.

use arc_swap::ArcSwap;
use log::{LevelFilter, Log, Metadata, Record};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, LazyLock, Once};
use tandem_config::meant::{self, Destination, Level};

/// The environment variable that overrides the level.
pub const VARIABLE: &str = "TANDEM_LOG";

/// Most bytes of one message: what a host's log takes whole.
const MESSAGE_BYTES_MAX: usize = 2048;
/// Where the host's log listens.
const SYSLOG: &str = "/dev/log";
/// RFC 5424 section 6.2.1: facility *user*, in the upper bits of a message's priority.
const FACILITY: u8 = 1 << 3;

/// Which program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The module inside an application, whose standard error is not ours.
    Module,
    /// The operator's tool.
    Tool,
}

/// Sends messages where the configuration says, from now on.
pub fn set_up(program: Program, wanted: &meant::Log) {
    let usual = match program {
        Program::Module => Destination::Syslog,
        Program::Tool => Destination::Stderr,
    };
    // What the module writes belongs to the application's host; what the tool does, to the person before it.
    let destination = match (program, &wanted.destination) {
        (Program::Tool, Some(Destination::Syslog)) | (_, None) => usual,
        (_, Some(other)) => other.clone(),
    };
    let told = std::env::var(VARIABLE).ok().filter(|level| !level.is_empty());
    let from_variable = told.as_deref().and_then(|level| level.parse().ok());
    let level =
        from_variable.unwrap_or_else(|| wanted.level.map_or_else(|| usual_level(program), filter));

    SET.call_once(|| {
        // Another logger can only be the tool's own test harness.
        let _ = log::set_logger(&*LOGGER);
    });
    LOGGER.destination.store(Arc::new(destination));
    log::set_max_level(level);
    if let (Some(told), None) = (told, from_variable) {
        log::warn!("{VARIABLE}={told:?} is no level; write error, warn, info, debug, trace or off");
    }
}

/// The tool's own output says what was done.
const fn usual_level(program: Program) -> LevelFilter {
    match program {
        Program::Module => LevelFilter::Info,
        Program::Tool => LevelFilter::Warn,
    }
}

const fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::Error,
        Level::Warn => LevelFilter::Warn,
        Level::Info => LevelFilter::Info,
        Level::Debug => LevelFilter::Debug,
        Level::Trace => LevelFilter::Trace,
    }
}

static SET: Once = Once::new();
static LOGGER: LazyLock<Logger> =
    LazyLock::new(|| Logger { destination: ArcSwap::from_pointee(Destination::Off) });

struct Logger {
    destination: ArcSwap<Destination>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = one_line(&record.args().to_string());
        let level = record.level().as_str().to_lowercase();
        // A message that can't be written is not worth an application's call.
        let _ = match &**self.destination.load() {
            Destination::Off => Ok(()),
            Destination::Stderr => {
                writeln!(std::io::stderr().lock(), "tandem: {level}: {message}")
            }
            Destination::Syslog => syslog(record.level(), &message),
            Destination::File(file) => {
                let line = format!("{} {} {level}: {message}\n", now(), std::process::id());
                OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o660)
                    .open(file)
                    .and_then(|mut file| file.write_all(line.as_bytes()))
            }
        };
    }

    fn flush(&self) {}
}

/// Never waits: a log daemon that hangs must not stop a signer.
fn syslog(level: log::Level, message: &str) -> std::io::Result<()> {
    let severity = match level {
        log::Level::Error => 3,
        log::Level::Warn => 4,
        log::Level::Info => 6,
        log::Level::Debug | log::Level::Trace => 7,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    let line = format!("<{}>tandem[{}]: {message}", FACILITY | severity, std::process::id());
    socket.send_to(line.as_bytes(), SYSLOG).map(drop)
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A label or a vendor's text may hold line ends and escapes: they forge no message of ours.
fn one_line(message: &str) -> String {
    let mut line: String = message
        .chars()
        .flat_map(|c| {
            let (plain, escaped) =
                if c.is_control() { (None, Some(c.escape_default())) } else { (Some(c), None) };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect();
    if line.len() > MESSAGE_BYTES_MAX {
        let end = (0..=MESSAGE_BYTES_MAX).rev().find(|end| line.is_char_boundary(*end));
        line.truncate(end.unwrap_or(0));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line() {
        assert_eq!(one_line("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(one_line("schön"), "schön");
        let long = one_line(&"ß".repeat(MESSAGE_BYTES_MAX));
        assert!(long.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8() && long.ends_with('…'));
    }
}
