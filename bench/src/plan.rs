//! What is held against what: the vendor's module alone, p11-kit's proxy over it, Tandem.

use crate::fixture::Fixture;
use crate::measured::{Part, Row, Section, Unit};
use crate::run::Run;
use std::process::Command;
use tandem_bench::case::{Case, Keys};
use tandem_bench::contender::{Contender, Running};
use tandem_bench::race::{self, float};
use tandem_bench::worker::Ask;
use toml::Table;

/// What is done by several threads.
const WORK: [Case; 6] = [
    Case::SignP256,
    Case::SignRsa2048,
    Case::SignEd25519,
    Case::Hmac,
    Case::Gcm16,
    Case::GcmMebibyte,
];
/// What is asked of the catalogue.
const READS: [Case; 6] =
    [Case::Read, Case::FindId, Case::FindLabel, Case::FindMiss, Case::List, Case::ListRead];
/// From how many keys on listing takes some modules minutes: it is done once.
const MANY: usize = 100;

fn start(contender: &Contender) -> Result<Running, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(own);
    command.arg("serve");
    contender.start(command)
}

/// Starts all of them.
pub(crate) fn start_all(contenders: &[Contender]) -> Result<Vec<Running>, String> {
    contenders.iter().map(start).collect()
}

/// One vendor, with so many keys: the parts that are wanted.
pub(crate) fn race_of(run: &mut Run<'_>, vendor: &str, keys: usize) -> Result<(), String> {
    let parts = [Part::Start, Part::Work, Part::Reads, Part::Make];
    if !parts.iter().any(|part| run.wants(*part)) {
        return Ok(());
    }
    let one = run.shelf().fixture(vendor, 1, keys)?;
    let two = run.shelf().fixture(vendor, 2, keys)?;
    let contenders = contenders(&one, &two)?;
    if run.wants(Part::Start) {
        let rows = starting(run, "", &contenders)?;
        for row in &rows {
            run.tell(row);
        }
        run.done(Section::now(Part::Start, vendor, keys, rows))?;
    }
    let mut running = start_all(&contenders)?;
    let mut race = Race { run, racing: running.iter_mut().collect(), keys };
    for part in parts {
        if part == Part::Start || !race.run.wants(part) {
            continue;
        }
        let rows = match part {
            Part::Work => race.work(|case| one.can(case) && two.can(case))?,
            Part::Reads => race.reads()?,
            _ => race.make()?,
        };
        race.run.done(Section::now(part, vendor, keys, rows))?;
    }
    Ok(())
}

fn contenders(one: &Fixture, two: &Fixture) -> Result<Vec<Contender>, String> {
    let mut contenders = vec![one.direct()?];
    // The proxy takes in only what the host's configuration, or this user's, lets it.
    let proxy = one.proxy()?;
    match start(&proxy) {
        Ok(_) => contenders.push(proxy),
        Err(error) => eprintln!("left out: {error}"),
    }
    let inline = |_: &str, member: &mut Table| {
        member.insert("deadline_ms".into(), 0.into());
        Ok(())
    };
    contenders.push(one.tandem("Tandem inline", inline)?);
    contenders.push(one.tandem("Tandem", with_deadline)?);
    contenders.push(two.tandem("Tandem over two", with_deadline)?);
    Ok(contenders)
}

/// The deadline that members have by default.
#[expect(clippy::unnecessary_wraps, reason = "changes of a configuration may fail")]
pub(crate) fn with_deadline(_: &str, member: &mut Table) -> Result<(), String> {
    member.remove("deadline_ms");
    Ok(())
}

/// How long each takes from nothing to its first signature, lap by lap.
pub(crate) fn starting(
    run: &Run<'_>,
    what: &str,
    contenders: &[Contender],
) -> Result<Vec<Row>, String> {
    let mut contenders = contenders.to_vec();
    let measured = race::rounds(
        run.args.rounds.get(),
        &mut contenders,
        |one| one.name.as_str(),
        |one| {
            let ready = start(one)?.ready;
            let laps = [
                ready.initialise,
                ready.open,
                ready.login,
                ready.find,
                ready.sign,
                ready.total(),
                ready.memory,
            ];
            Ok(laps.map(float))
        },
    )?;
    let laps = [
        "load and initialise",
        "open a session",
        "log in",
        "first find",
        "first signature",
        "all of these",
        "memory then",
    ];
    let rows = laps.into_iter().zip(measured).enumerate().map(|(at, (lap, results))| Row {
        what: format!("{lap}{what}"),
        threads: 1,
        unit: if at == 6 { Unit::Memory } else { Unit::Time },
        results,
    });
    Ok(rows.collect())
}

/// Contenders that are asked for one thing after another.
struct Race<'r, 'a, 'c> {
    run: &'r mut Run<'a>,
    racing: Vec<&'c mut Running>,
    keys: usize,
}

impl Race<'_, '_, '_> {
    /// A row of times, and one of the memory that was taken afterwards.
    fn measure(&mut self, case: Case, threads: usize, is_long: bool) -> Result<[Row; 2], String> {
        let args = self.run.args;
        let (count, millis) = if is_long { (1, 0) } else { (args.rounds.get(), args.millis) };
        let ask = Ask { case, threads, millis, keys: Keys::Prepared { filled: self.keys } };
        let [times, memory] = race::run(&mut self.racing, ask, count)?;
        let row = |what: &str, unit, results| Row { what: what.to_owned(), threads, unit, results };
        let rows =
            [row(case.name(), Unit::Time, times), row("memory after that", Unit::Memory, memory)];
        self.run.tell(&rows[0]);
        Ok(rows)
    }

    fn work(&mut self, can: impl Fn(Case) -> bool) -> Result<Vec<Row>, String> {
        let mut rows = Vec::new();
        for case in WORK.into_iter().filter(|case| can(*case)) {
            for threads in &self.run.args.threads {
                let [row, _] = self.measure(case, threads.get(), false)?;
                rows.push(row);
            }
        }
        Ok(rows)
    }

    fn reads(&mut self) -> Result<Vec<Row>, String> {
        let (mut rows, mut last) = (Vec::new(), None);
        for case in READS {
            let is_long = self.keys > MANY && matches!(case, Case::List | Case::ListRead);
            let [row, memory] = self.measure(case, 1, is_long)?;
            rows.push(row);
            last = Some(memory);
        }
        rows.extend(last);
        Ok(rows)
    }

    fn make(&mut self) -> Result<Vec<Row>, String> {
        let mut rows = Vec::new();
        for threads in &self.run.args.threads {
            let [row, _] = self.measure(Case::Make, threads.get(), false)?;
            rows.push(row);
        }
        Ok(rows)
    }
}
