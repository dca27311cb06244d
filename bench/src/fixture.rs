//! Tokens with so many keys on them: made once, kept from run to run.

use crate::drawer::Drawer;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tandem_bench::case::{Case, FILL, FIRST, LABELS};
use tandem_bench::contender::{Contender, Reach};
use tandem_bench::module::{Chosen, Initialise};
use toml::{Table, Value};

/// The user's PIN of every demo.
const PIN: &str = "123456";
/// The label of its virtual token.
const LABEL: &str = "demo";
/// p11-kit's proxy, as Debian has it.
const PROXY: &str = "/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so";

/// Files that are kept in memory.
const MEMORY: &str = "/dev/shm";

/// Where tokens are kept, and what they are made with.
pub(crate) struct Shelf<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) artefacts: &'a Path,
}

/// A virtual token over one or more members of a vendor, and its members.
pub(crate) struct Fixture {
    dir: PathBuf,
    artefacts: PathBuf,
    /// The labels of the keys to work with, and whether this vendor could make them.
    labels: BTreeMap<String, bool>,
}

impl Shelf<'_> {
    /// The one of this vendor, with so many members and keys; it is made if it is not there.
    pub(crate) fn fixture(
        &self,
        vendor: &str,
        members: usize,
        keys: usize,
    ) -> Result<Fixture, String> {
        let dir = std::path::absolute(self.dir.join(format!("{vendor}-{members}-{keys}")));
        let artefacts = self.artefacts.canonicalize();
        let mut fixture = Fixture {
            dir: dir.map_err(|error| error.to_string())?,
            artefacts: artefacts.map_err(|e| format!("{}: {e}", self.artefacts.display()))?,
            labels: BTreeMap::new(),
        };
        // A mark says that it is whole: what was interrupted is made anew.
        let whole = fixture.dir.join("whole.json");
        let mark = fs::read(&whole).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(labels) = mark {
            fixture.labels = labels;
        } else {
            eprintln!("making {members} of {vendor} with {keys} keys");
            let _ = fs::remove_dir_all(&fixture.dir);
            fixture.make(vendor, members, keys)?;
        }
        fixture.make_labelled();
        let mark = serde_json::to_string(&fixture.labels).map_err(|error| error.to_string())?;
        fs::write(&whole, mark).map_err(|error| format!("{}: {error}", whole.display()))?;
        Ok(fixture)
    }
}

impl Fixture {
    /// Makes it in memory where that is possible, and moves it: on a disk each key waits for it a dozen times.
    fn make(&mut self, vendor: &str, members: usize, keys: usize) -> Result<(), String> {
        let memory = Path::new(MEMORY).join(format!("tandem-bench-{}", std::process::id()));
        if fs::create_dir(&memory).is_err() {
            return self.make_here(vendor, members, keys);
        }
        let place = std::mem::replace(&mut self.dir, memory.clone());
        let made = self.make_here(vendor, members, keys);
        self.dir = place;
        let moved = made.and_then(|()| self.take_from(&memory));
        let _ = fs::remove_dir_all(&memory);
        moved
    }

    fn make_here(&self, vendor: &str, members: usize, keys: usize) -> Result<(), String> {
        let dir = self.dir.display().to_string();
        let names = vec![vendor; members].join(",");
        // No search of thousands of objects is late while keys are made.
        let patient = ["--set", "member.deadline_ms=0"];
        self.tool(&[&["demo", "--dir", &dir, "--members", &names], &patient[..]].concat())?;
        let mut drawer = Drawer::new(&self.dir)?;
        let mut made = 0_usize;
        while made < keys {
            made = made.saturating_add(drawer.lot()).min(keys);
            let count = made.to_string();
            let fill = ["--type", "ec:p256", "--label", FILL, "--resume", "--count", &count];
            self.tool(&[&["keys", "generate"], &fill[..]].concat())?;
            drawer.put_aside()?;
        }
        drawer.put_back()
    }

    /// Takes everything from another folder, whose place some files name.
    fn take_from(&self, other: &Path) -> Result<(), String> {
        let told = |error: std::io::Error| format!("{}: {error}", self.dir.display());
        let parent = self.dir.parent().unwrap_or(&self.dir);
        fs::create_dir_all(parent).map_err(told)?;
        let copied = Command::new("cp").arg("-a").args([other, &self.dir]).output();
        let copied = copied.map_err(told)?;
        if !copied.status.success() {
            return Err(String::from_utf8_lossy(&copied.stderr).into_owned());
        }
        let mut files = vec![self.file("tandem.toml")];
        for member in fs::read_dir(self.file("members")).map_err(told)? {
            let member = member.map_err(told)?.path();
            files.extend(["env", "softhsm2.conf", "kryoptic.conf"].map(|name| member.join(name)));
        }
        let (old, new) = (other.display().to_string(), self.dir.display().to_string());
        for file in files.into_iter().filter(|file| file.is_file()) {
            let text = fs::read_to_string(&file).map_err(told)?;
            fs::write(&file, text.replace(&old, &new)).map_err(told)?;
        }
        Ok(())
    }

    /// Makes the keys to work with that nobody has tried to make yet. A vendor need not be able to make all.
    fn make_labelled(&mut self) {
        for (label, kind) in LABELS {
            if !self.labels.contains_key(label) {
                let made = self.tool(&["keys", "generate", "--type", kind, "--label", label]);
                if let Err(error) = &made {
                    eprintln!("{label} is left out: {error}");
                }
                self.labels.insert(label.to_owned(), made.is_ok());
            }
        }
    }

    /// True if the key that a case works with is there.
    pub(crate) fn can(&self, case: Case) -> bool {
        case.key().is_none_or(|(_, label)| self.labels.get(label).is_some_and(|made| *made))
    }

    fn tool(&self, arguments: &[&str]) -> Result<(), String> {
        let done = Command::new(self.artefacts.join("tandem"))
            .args(arguments)
            .env("TANDEM_CONFIG", self.dir.join("tandem.toml"))
            .env("TANDEM_PIN", PIN)
            .output()
            .map_err(|error| error.to_string())?;
        if done.status.success() {
            return Ok(());
        }
        // Why a key could not be made is in the report, on standard output.
        let said = [done.stdout, done.stderr].concat();
        Err(format!("tandem {}: {}", arguments.join(" "), String::from_utf8_lossy(&said).trim()))
    }

    /// A file of this fixture.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The vendor's own module on the first member.
    pub(crate) fn direct(&self) -> Result<Contender, String> {
        let env = self.dir.join("members/a/env");
        let text = fs::read_to_string(&env).map_err(|e| format!("{}: {e}", env.display()))?;
        let lines = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        let mut environment: Vec<_> = lines
            .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
            .collect();
        let at = environment.iter().position(|(name, _)| name == "P11_MODULE");
        let module = at.map(|at| environment.swap_remove(at).1).ok_or("env names no module")?;
        Ok(contender("direct", module, "a", environment))
    }

    /// p11-kit's proxy over it.
    pub(crate) fn proxy(&self) -> Result<Contender, String> {
        let direct = self.direct()?;
        let home = self.dir.join("home");
        let modules = home.join(".config/pkcs11/modules");
        let text = format!("module: {}\n", direct.reach.module.display());
        fs::create_dir_all(&modules)
            .and_then(|()| fs::write(modules.join("bench.module"), text))
            .map_err(|error| format!("{}: {error}", modules.display()))?;
        let mut environment = direct.environment;
        for (name, folder) in [("HOME", home.clone()), ("XDG_CONFIG_HOME", home.join(".config"))] {
            environment.push((name.to_owned(), folder.display().to_string()));
        }
        Ok(contender("p11-kit proxy", PROXY, "a", environment))
    }

    /// Tandem over all members, each as `change` makes it in the configuration.
    pub(crate) fn tandem(
        &self,
        name: &str,
        mut change: impl FnMut(&str, &mut Table) -> Result<(), String>,
    ) -> Result<Contender, String> {
        let config = self.dir.join("tandem.toml");
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", config.display());
        let text = fs::read_to_string(&config).map_err(|error| told(&error))?;
        let mut table: Table = toml::from_str(&text).map_err(|error| told(&error))?;
        for member in items(&mut table, "token").flat_map(|token| items(token, "member")) {
            let name = member.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            change(&name, member)?;
        }
        let text = toml::to_string(&table).map_err(|error| told(&error))?;
        let changed = self.dir.join(format!("{}.toml", name.replace(' ', "-")));
        fs::write(&changed, text).map_err(|e| format!("{}: {e}", changed.display()))?;
        let environment = vec![("TANDEM_CONFIG".into(), changed.display().to_string())];
        Ok(contender(name, self.artefact("libtandem.so"), LABEL, environment))
    }

    /// Something that was built.
    pub(crate) fn artefact(&self, name: &str) -> PathBuf {
        self.artefacts.join(name)
    }
}

/// A demo's PIN is no secret.
fn contender(
    name: &str,
    module: impl Into<PathBuf>,
    label: &str,
    environment: Vec<(String, String)>,
) -> Contender {
    let reach = Reach {
        module: module.into(),
        initialise: Initialise::Standard,
        token: Chosen::Label(label.to_owned()),
        pin: PIN.into(),
        first: Some(FIRST.to_owned()),
    };
    Contender { name: name.to_owned(), reach, environment }
}

/// The tables of a list.
fn items<'t>(table: &'t mut Table, list: &str) -> impl Iterator<Item = &'t mut Table> {
    let list = table.get_mut(list).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_table_mut)
}
