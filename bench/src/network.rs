//! Members that are as far away as a network HSM: SoftHSM behind the fault-injecting module, each call so many
//! milliseconds late and only some of them at a time.

use crate::fixture::Fixture;
use crate::measured::{Part, Row, Section, Unit};
use crate::plan::with_deadline;
use crate::plan::{start_all, starting};
use crate::run::Run;
use std::fs;
use std::path::Path;
use tandem_bench::case::{Case, Keys};
use tandem_bench::contender::Contender;
use tandem_bench::race;
use tandem_bench::worker::Ask;
use toml::{Table, Value};

/// The vendor behind it.
const VENDOR: &str = "softhsm";
/// How late each call is, in milliseconds.
const LATE: [u64; 2] = [1, 5];
/// How many calls a member takes at a time.
const LANES: usize = 4;
/// How much later a member is that is slow.
const SLOW: u64 = 10;
/// How many threads sign.
const THREADS: usize = 64;
/// How long a slice takes at least, in milliseconds: long against a call of a slow member, on which its end waits.
const MILLIS_MIN: u64 = 4_000;
/// How throughput depends on the number of keys is told elsewhere.
const FEW_KEYS: usize = 100;
/// The first member of every fixture.
const FIRST: &str = "a";

/// Throughput, where there are few keys; and the start.
pub(crate) fn run(run: &mut Run<'_>, keys: usize) -> Result<(), String> {
    let [one, two] = [1, 2].map(|members| run.shelf().fixture(VENDOR, members, keys));
    let (one, two) = (one?, two?);
    let mut rows = Vec::new();
    if keys <= FEW_KEYS {
        let four = run.shelf().fixture(VENDOR, 4, keys)?;
        for late in LATE {
            let row = throughput(run, [&one, &two, &four], (late, keys))?;
            run.tell(&row);
            rows.push(row);
        }
    }
    let contenders = [
        direct(&one, LATE[0])?,
        tandem(&one, "Tandem", |_| LATE[0])?,
        tandem(&two, "Tandem over two", |_| LATE[0])?,
    ];
    for row in starting(run, &format!(", {} ms a call", LATE[0]), &contenders)? {
        run.tell(&row);
        rows.push(row);
    }
    run.done(Section::now(Part::Network, VENDOR, keys, rows))
}

fn throughput(
    run: &Run<'_>,
    [one, two, four]: [&Fixture; 3],
    (late, keys): (u64, usize),
) -> Result<Row, String> {
    let slow = |name: &str| if name == FIRST { late } else { late * SLOW };
    let contenders = [
        direct(one, late)?,
        tandem(one, "Tandem", |_| late)?,
        tandem(two, "Tandem over two", |_| late)?,
        tandem(four, "Tandem over four", |_| late)?,
        tandem(two, "over two, one slow", slow)?,
    ];
    let mut running = start_all(&contenders)?;
    let mut racing: Vec<_> = running.iter_mut().collect();
    let millis = run.args.millis.max(MILLIS_MIN);
    let keys = Keys::Prepared { filled: keys };
    let ask = Ask { case: Case::SignP256, threads: THREADS, millis, keys };
    let [results, _] = race::run(&mut racing, ask, run.args.rounds.get())?;
    let what = format!("{}, {late} ms a call", Case::SignP256.name());
    Ok(Row { what, threads: THREADS, unit: Unit::Time, results })
}

/// The module that is late around the vendor's own.
fn direct(fixture: &Fixture, late: u64) -> Result<Contender, String> {
    let mut direct = fixture.direct()?;
    let script = fixture.file(&format!("direct-{late}.script"));
    write(&script, late)?;
    let module =
        std::mem::replace(&mut direct.reach.module, fixture.artefact("libtandem_fault.so"));
    for (name, value) in variables(&module.display().to_string(), &script) {
        direct.environment.push((name.to_owned(), value));
    }
    Ok(direct)
}

/// Tandem over such members; `late` says of each how late.
fn tandem(fixture: &Fixture, name: &str, late: impl Fn(&str) -> u64) -> Result<Contender, String> {
    let around = fixture.artefact("libtandem_fault.so").display().to_string();
    // Configurations that differ have names that differ.
    let file = format!("network {name} {}", late(FIRST));
    let contender = fixture.tandem(&file, |member, table| {
        with_deadline(member, table)?;
        let script = fixture.file(&format!("{}-{member}.script", file.replace(' ', "-")));
        write(&script, late(member))?;
        let module = table.insert("module".into(), Value::String(around.clone()));
        let module = module.as_ref().and_then(Value::as_str).unwrap_or_default();
        for (name, value) in variables(module, &script) {
            set(table, "environment", name, Value::String(value));
        }
        // Each with its own script: two of them must not be one instance.
        set(table, "quirks", "private_copy", Value::Boolean(true));
        Ok(())
    })?;
    Ok(Contender { name: name.to_owned(), ..contender })
}

fn variables(module: &str, script: &Path) -> [(&'static str, String); 2] {
    [
        ("TANDEM_FAULT_MODULE", module.to_owned()),
        ("TANDEM_FAULT_SCRIPT", script.display().to_string()),
    ]
}

fn write(script: &Path, late: u64) -> Result<(), String> {
    fs::write(script, format!("every delay {late}\nlanes {LANES}\n"))
        .map_err(|error| format!("{}: {error}", script.display()))
}

/// Sets a key of a table inside a table.
fn set(table: &mut Table, inner: &str, key: &str, value: Value) {
    let inner = table.entry(inner).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(inner) = inner {
        inner.insert(key.to_owned(), value);
    }
}
