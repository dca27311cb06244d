//! Programs of others: how long they take with the vendor's module, and with Tandem in its place.

use crate::measured::{Part, Row, Section, Unit};
use crate::plan::with_deadline;
use crate::run::Run;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tandem_bench::contender::Contender;
use tandem_bench::module::Chosen;
use tandem_bench::race;

/// The vendor whose tokens they list.
const VENDOR: &str = "softhsm";
/// Beyond so many keys `p11tool` takes too long without Tandem.
const P11TOOL_KEYS_MAX: usize = 1_000;
/// The same of `ods-hsmutil`.
const ODS_KEYS_MAX: usize = 4_000;
/// What takes longer is not done again.
const LONG: Duration = Duration::from_secs(5);
/// How often is looked whether a program has ended.
const LOOK: Duration = Duration::from_micros(500);

/// A program, as it is called for a module.
struct Program {
    name: &'static str,
    keys_max: usize,
    command: fn(&Contender, &Path) -> Result<Command, String>,
}

const PROGRAMS: [Program; 2] = [
    Program { name: "ods-hsmutil list", keys_max: ODS_KEYS_MAX, command: ods_hsmutil },
    Program { name: "p11tool --list-all", keys_max: P11TOOL_KEYS_MAX, command: p11tool },
];

/// All programs, with so many keys.
pub(crate) fn run(run: &mut Run<'_>, keys: usize) -> Result<(), String> {
    let fitting: Vec<_> = PROGRAMS.iter().filter(|program| keys <= program.keys_max).collect();
    if fitting.is_empty() {
        return Ok(());
    }
    let one = run.shelf().fixture(VENDOR, 1, keys)?;
    let two = run.shelf().fixture(VENDOR, 2, keys)?;
    let contenders = [
        one.direct()?,
        one.tandem("Tandem", with_deadline)?,
        two.tandem("Tandem over two", with_deadline)?,
    ];
    let mut rows = Vec::new();
    for program in fitting {
        let row = measure(run, program, &contenders, (keys, &one.file("program")))?;
        run.tell(&row);
        rows.push(row);
    }
    run.done(Section::now(Part::Programs, VENDOR, keys, rows))
}

/// What takes long is done once, the others round by round.
fn measure(
    run: &Run<'_>,
    program: &Program,
    contenders: &[Contender],
    (keys, place): (usize, &Path),
) -> Result<Row, String> {
    let patience = Duration::from_secs(run.args.patience);
    let mut all = vec![Vec::new(); contenders.len()];
    let mut stopped = vec![false; contenders.len()];
    for round in 0..run.args.rounds.get() {
        for ((contender, times), stopped) in contenders.iter().zip(&mut all).zip(&mut stopped) {
            let is_long = times.first().is_some_and(|first| *first > LONG.as_secs_f64() * 1e9);
            if round == 0 || !is_long {
                let command = (program.command)(contender, place)?;
                let took = listed(command, keys, patience).map_err(|error| {
                    format!("{} with {}: {error}", program.name, contender.name)
                })?;
                *stopped = took.is_none();
                times.push(took.unwrap_or(patience).as_secs_f64() * 1e9);
            }
        }
    }
    let first = all.first().cloned().unwrap_or_default();
    let each = contenders.iter().zip(&all).zip(stopped);
    let results = each.map(|((contender, times), is_more)| race::Result {
        is_more,
        ..race::Result::of(&contender.name, times, &first)
    });
    let what = program.name.to_owned();
    Ok(Row { what, threads: 1, unit: Unit::Time, results: results.collect() })
}

/// Runs a program to its end, which must have listed so many keys. `None`: it was stopped when patience was over.
fn listed(
    mut command: Command,
    keys: usize,
    patience: Duration,
) -> Result<Option<Duration>, String> {
    // To files: a pipe that nobody empties would make it wait.
    let out = Scratch::new("out")?;
    let err = Scratch::new("err")?;
    command.stdin(Stdio::null()).stdout(out.open()?).stderr(err.open()?);
    let begun = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if begun.elapsed() > patience => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(None);
            }
            None => sleep(LOOK),
        }
    };
    let took = begun.elapsed();
    let lines = out.text().lines().count();
    if !status.success() || lines < keys {
        return Err(format!("{status}, {lines} lines: {}", err.text().trim()));
    }
    Ok(Some(took))
}

/// A file for what a program says. It goes when nobody needs it.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self, String> {
        let name = format!("tandem-bench-{}-{name}", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.open().map(|_| file)
    }

    fn open(&self) -> Result<File, String> {
        File::create(&self.0).map_err(|error| format!("{}: {error}", self.0.display()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.0).unwrap_or_default()).into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn p11tool(contender: &Contender, _: &Path) -> Result<Command, String> {
    let mut command = Command::new("p11tool");
    command.arg("--provider").arg(&contender.reach.module);
    command.args(["--batch", "--login", "--list-all"]);
    command.arg(format!("pkcs11:token={}", label(contender)?));
    let pin = String::from_utf8_lossy(&contender.reach.pin).into_owned();
    command.env("GNUTLS_PIN", pin).envs(contender.environment.iter().cloned());
    Ok(command)
}

fn ods_hsmutil(contender: &Contender, place: &Path) -> Result<Command, String> {
    let config = place.with_extension(format!("{}.xml", contender.name.replace(' ', "-")));
    let pin = String::from_utf8_lossy(&contender.reach.pin).into_owned();
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Configuration><RepositoryList><Repository name=\"hsm\">\
         <Module>{}</Module><TokenLabel>{}</TokenLabel><PIN>{pin}</PIN></Repository></RepositoryList></Configuration>\n",
        contender.reach.module.display(),
        label(contender)?,
    );
    fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
    let mut command = Command::new("ods-hsmutil");
    command.arg("-c").arg(&config).arg("list").envs(contender.environment.iter().cloned());
    Ok(command)
}

fn label(contender: &Contender) -> Result<&str, String> {
    match &contender.reach.token {
        Chosen::Label(label) => Ok(label),
        other => Err(format!("a token {other}, and not by its label")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_must_list_what_there_is_and_in_time() {
        let patience = Duration::from_secs(30);
        assert!(listed(shell("echo one; echo two"), 2, patience).unwrap().is_some());
        let error = listed(shell("echo one; echo no HSM >&2; exit 1"), 1, patience).unwrap_err();
        assert!(error.contains("no HSM"), "{error}");
        assert!(listed(shell("echo one"), 2, patience).is_err());
        assert_eq!(listed(shell("sleep 30"), 0, Duration::from_millis(50)).unwrap(), None);
    }
}
