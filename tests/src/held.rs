//! What a process holds: threads, open files, what is mapped, memory. What a module leaves behind is seen by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::str::FromStr;
use std::time::Duration;

/// What this process holds at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// How many threads it has.
    pub threads: usize,
    /// How many files it has open.
    pub files: usize,
    /// How many mappings are of libtandem.so.
    pub own: usize,
    /// How many copies of vendors' modules are mapped.
    pub copies: usize,
    /// Its memory that is resident, in KiB.
    pub resident_kib: usize,
}

impl Holdings {
    /// This process's.
    pub fn now() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
        Self {
            threads: threads(),
            files: open_files().values().sum(),
            own: maps.lines().filter(|line| line.ends_with("/libtandem.so")).count(),
            copies: copies(&maps),
            resident_kib: resident_kib(),
        }
    }
}

/// How many threads there are, once it is twice the same: one that has been joined may be listed for a moment longer.
fn threads() -> usize {
    let count = || fs::read_dir("/proc/self/task").expect("/proc").count();
    let mut last = count();
    loop {
        std::thread::sleep(Duration::from_millis(5));
        let now = count();
        if now == last {
            return now;
        }
        last = now;
    }
}

/// What this process has open, and how often. The listing's own descriptor doesn't count.
pub fn open_files() -> BTreeMap<String, usize> {
    let mut open = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").expect("/proc") {
        let target = fs::read_link(entry.expect("an entry").path());
        let target = target.map(|path| path.display().to_string()).unwrap_or_default();
        if !target.contains("/proc/") {
            *open.entry(target).or_insert(0) += 1;
        }
    }
    open
}

/// Vendors' modules by their files: those of the disk, and copies that have none.
fn copies(maps: &str) -> usize {
    let vendors =
        |line: &&str| ["softhsm", "kryoptic", "memfd:"].iter().any(|it| line.contains(it));
    let inode = |line: &str| line.split_whitespace().nth(4).map(str::to_owned);
    maps.lines().filter(vendors).filter_map(inode).collect::<BTreeSet<_>>().len()
}

fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// A line that [`Holdings::from_str`] reads.
impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { threads, files, own, copies, resident_kib } = self;
        write!(
            f,
            "threads {threads} files {files} own {own} copies {copies} resident {resident_kib}"
        )
    }
}

impl FromStr for Holdings {
    type Err = String;
    fn from_str(line: &str) -> Result<Self, String> {
        let numbers: Vec<usize> =
            line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [threads, files, own, copies, resident_kib] => {
                Ok(Self { threads, files, own, copies, resident_kib })
            }
            _ => Err(format!("no holdings: {line}")),
        }
    }
}
