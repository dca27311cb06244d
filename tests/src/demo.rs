//! A virtual token over real ones, in a folder of its own: what `tandem demo` makes.

use crate::{Direct, SO_PIN, USER_PIN, artefacts};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A vendor of HSMs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// SoftHSM 2.6.1, of Debian.
    SoftHsm,
    /// Kryoptic 1.5.4, built from its crate.
    Kryoptic,
}

impl Vendor {
    /// Its module.
    pub fn module(self) -> PathBuf {
        match self {
            Self::SoftHsm => artefacts::softhsm(),
            Self::Kryoptic => artefacts::kryoptic(),
        }
    }

    /// As `tandem demo --members` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SoftHsm => "softhsm",
            Self::Kryoptic => "kryoptic",
        }
    }

    /// The variable that names its configuration.
    pub fn variable(self) -> &'static str {
        match self {
            Self::SoftHsm => "SOFTHSM2_CONF",
            Self::Kryoptic => "KRYOPTIC_CONF",
        }
    }
}

/// Which demo a test wants.
#[derive(Clone)]
pub struct Wanted {
    /// Its members, `a`, `b`, …
    pub members: Vec<Vendor>,
    backup: Option<Vendor>,
    generator: Option<&'static str>,
    settings: Vec<String>,
}

impl Wanted {
    /// A token over these members.
    pub fn over(members: &[Vendor]) -> Self {
        Self { members: members.to_vec(), backup: None, generator: None, settings: Vec::new() }
    }

    /// A member of each vendor: SoftHSM as `a`, Kryoptic as `b`.
    pub fn mixed() -> Self {
        Self::over(&[Vendor::SoftHsm, Vendor::Kryoptic])
    }

    /// The same with a backup token of this vendor, `backup`, that nobody has filled.
    #[must_use]
    pub fn with_backup_token(mut self, vendor: Vendor) -> Self {
        self.backup = Some(vendor);
        self
    }

    /// The same, paired with this member as a generator.
    #[must_use]
    pub fn with_generator(mut self, name: &'static str) -> Self {
        self.generator = Some(name);
        self
    }

    /// The same with a key of `[[token]]` set, as in `balance=primary`.
    #[must_use]
    pub fn with(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }
}

/// A virtual token `demo` over members `a`, `b`, …
pub struct Demo {
    dir: PathBuf,
    members: Vec<Vendor>,
}

impl Demo {
    /// A demo of one's own. It goes with the folder.
    pub fn make(wanted: &Wanted) -> (TempDir, Self) {
        let dir = tempfile::Builder::new().prefix("tandem-").tempdir().expect("a temporary folder");
        copy(&template(wanted), dir.path());
        let demo = Self::at(dir.path(), &wanted.members);
        for setting in &wanted.settings {
            demo.configure(|text| set(&text, setting));
        }
        (dir, demo)
    }

    /// Has the tool make a demo in a folder, with what `change` adds to the command.
    pub fn make_with(wanted: &Wanted, dir: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let names: Vec<_> = wanted.members.iter().map(|vendor| vendor.name()).collect();
        let mut command = Command::new(artefacts::tool());
        command.args(["demo", "--members", &names.join(",")]).arg("--dir").arg(dir);
        let log = format!("log.destination=file:{}", dir.join("tandem.log").display());
        if let Some(vendor) = wanted.backup {
            command.args(["--backup-token", vendor.name()]);
        }
        for setting in wanted.settings.iter().chain([&log]) {
            command.args(["--set", setting]);
        }
        change(&mut command);
        let made = command.output().expect("tandem runs");
        assert!(made.status.success(), "tandem demo: {}{}", text(&made.stdout), text(&made.stderr));
        Self::at(dir, &wanted.members)
    }

    /// New tokens that nobody has paired, under the same names.
    pub fn unpaired(wanted: &Wanted, dir: &Path) -> Self {
        Self::make_with(wanted, dir, |command| {
            command.arg("--unpaired");
        })
    }

    /// The demo in a folder.
    pub fn at(dir: &Path, members: &[Vendor]) -> Self {
        Self { dir: dir.canonicalize().expect("the demo's folder"), members: members.to_vec() }
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// tandem.toml.
    pub fn config(&self) -> PathBuf {
        self.dir.join("tandem.toml")
    }

    /// Changes the text of tandem.toml.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(self.config()).expect("tandem.toml");
        fs::write(self.config(), change(text)).expect("tandem.toml can be written");
    }

    /// Gives a member a role.
    pub fn give_role(&self, member: &str, role: &str) {
        let name = format!("name = \"{member}\"\n");
        self.configure(|text| text.replacen(&name, &format!("{name}role = \"{role}\"\n"), 1));
    }

    /// Its members' names and vendors.
    pub fn members(&self) -> Vec<(&'static str, Vendor)> {
        ["a", "b", "c", "d"].into_iter().zip(self.members.iter().copied()).collect()
    }

    /// The vendor of a member.
    pub fn vendor(&self, name: &str) -> Vendor {
        let found = self.members().into_iter().find(|(member, _)| *member == name);
        found.expect("a member of this name").1
    }

    /// A member's storage.
    pub fn storage(&self, member: &str) -> PathBuf {
        self.dir.join("members").join(member)
    }

    /// The vendor's configuration of a member, which its file `env` names.
    pub fn vendor_config(&self, member: &str) -> String {
        let env = fs::read_to_string(self.storage(member).join("env")).expect("a file env");
        let begin = format!("export {}=", self.vendor(member).variable());
        let line = env.lines().find_map(|line| line.strip_prefix(&begin));
        line.expect("the vendor's variable").trim_matches('\'').to_owned()
    }

    /// Takes a member away until it is brought back.
    pub fn take_away(&self, member: &str) {
        fs::rename(self.storage(member), self.away(member)).expect("a member that is there");
    }

    /// Brings a member back.
    pub fn bring_back(&self, member: &str) {
        fs::rename(self.away(member), self.storage(member)).expect("a member that is away");
    }

    fn away(&self, member: &str) -> PathBuf {
        self.dir.join("members").join(format!("{member}-away"))
    }

    /// Uses a member by its own vendor's module, without Tandem.
    pub fn direct(&self, member: &str) -> Direct {
        Direct::new(self.vendor(member), &self.vendor_config(member), member, USER_PIN)
    }

    /// Gives a Kryoptic member an index that its own database lacks, so that looking at thousands of its objects takes
    /// seconds: without it each read looks at all of them. No process may have the member open.
    pub fn index(&self, member: &str) {
        if self.vendor(member) == Vendor::Kryoptic {
            let database = rusqlite::Connection::open(self.storage(member).join("token.sql"));
            let index = "CREATE INDEX IF NOT EXISTS by_value ON objects (attr, val)";
            database.expect("its database").execute(index, ()).expect("an index");
        }
    }

    /// The log's database.
    pub fn database(&self) -> PathBuf {
        self.dir.join("state/tandem.sqlite")
    }

    /// The last position of the log, asked as it changes; 0 while there is none.
    pub fn head(&self) -> u64 {
        self.asked("SELECT max(position) FROM records")
    }

    /// Where a member is in the log, asked as it changes.
    pub fn position(&self, member: &str) -> u64 {
        self.asked(&format!("SELECT position FROM followers WHERE name = '{member}'"))
    }

    /// A number of the store. Not in a process in which Tandem is at work: two copies of SQLite in one process take each
    /// other's locks away.
    fn asked(&self, question: &str) -> u64 {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let number = rusqlite::Connection::open_with_flags(self.database(), flags)
            .and_then(|store| store.query_row(question, (), |row| row.get::<_, Option<i64>>(0)));
        number.ok().flatten().map_or(0, i64::cast_unsigned)
    }

    /// What Tandem has written to its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("tandem.log")).unwrap_or_default()
    }

    /// Does something, and answers the lines of the log of these levels that came of it.
    pub fn logged<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<String>) {
        let before = self.log().len();
        let done = work();
        let log = self.log();
        let grave = |line: &&str| line.contains(" error: ") || line.contains(" warn: ");
        let lines = log[before..].lines().filter(grave).map(str::to_owned);
        (done, lines.collect())
    }

    /// The operator's tool on this demo, with the user PIN at hand.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(artefacts::tool());
        command.args(arguments).env("TANDEM_CONFIG", self.config()).env("TANDEM_PIN", USER_PIN);
        command
    }

    /// Runs the operator's tool; whether it is done is for the caller to see.
    pub fn tandem(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("tandem runs")
    }

    /// Runs the operator's tool with `--json`, which must be done, and reads its report.
    pub fn report(&self, arguments: &[&str]) -> Value {
        let output =
            self.command(arguments.iter().chain(&["--json"])).output().expect("tandem runs");
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        serde_json::from_str(&out).unwrap_or_else(|error| {
            panic!("tandem {arguments:?}: {}, no JSON ({error}): {out}{err}", output.status);
        })
    }
}

/// Text that a program has written.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sets a key of `[[token]]` in the text of tandem.toml.
fn set(text: &str, setting: &str) -> String {
    let (key, value) = setting.split_once('=').expect("KEY=VALUE");
    assert!(!key.contains('.'), "only the token's own keys are set: {key}");
    let plain = value == "true" || value == "false" || value.parse::<u64>().is_ok();
    let line = if plain { format!("{key} = {value}") } else { format!("{key} = \"{value}\"") };
    let kept = text.lines().filter(|line| !line.starts_with(&format!("{key} = ")));
    let set = kept.flat_map(|kept| [Some(kept), (kept == "[[token]]").then_some(line.as_str())]);
    set.flatten().collect::<Vec<_>>().join("\n")
}

/// Stands for the demo's folder in the files of a template.
const PLACE: &str = "@DEMO@";

/// The files that name the demo's folder.
fn names_folder(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    matches!(&*name, "tandem.toml" | "softhsm2.conf" | "kryoptic.conf" | "env")
}

/// A demo that is copied and never used: making one takes seconds, copying it milliseconds.
fn template(wanted: &Wanted) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (&wanted.members, wanted.backup, wanted.generator).hash(&mut hasher);
    for file in [artefacts::tool(), artefacts::kryoptic()] {
        let metadata = file.metadata().expect("a file that was built");
        (metadata.mtime(), metadata.mtime_nsec(), metadata.len(), file).hash(&mut hasher);
    }
    let folder = artefacts::folder().join("tandem-tests");
    fs::create_dir_all(&folder).expect("a folder for templates");
    let template = folder.join(format!("{:016x}", hasher.finish()));
    let lock = File::create(template.with_extension("lock")).expect("a lock file");
    lock.lock().expect("a lock");
    if !template.exists() {
        make_template(&Wanted { settings: Vec::new(), ..wanted.clone() }, &template);
    }
    template
}

fn make_template(wanted: &Wanted, template: &Path) {
    let dir = tempfile::Builder::new().prefix("tandem-").tempdir().expect("a temporary folder");
    let dir = dir.path();
    let make = |unpaired: &[&str]| {
        Demo::make_with(wanted, dir, |command| {
            command.env("TANDEM_KRYOPTIC", artefacts::kryoptic()).args(unpaired);
        })
    };
    if let Some(generator) = wanted.generator {
        make(&["--unpaired"]).give_role(generator, "generator");
    }
    make(&[]);
    let _ = fs::remove_file(dir.join("tandem.log"));
    let unfinished = template.with_extension("new");
    let _ = fs::remove_dir_all(&unfinished);
    copy_changed(dir, &unfinished, &dir.display().to_string(), PLACE);
    fs::rename(unfinished, template).expect("the template");
}

fn copy(template: &Path, dir: &Path) {
    let place = dir.canonicalize().expect("a folder").display().to_string();
    copy_changed(template, dir, PLACE, &place);
}

/// Copies a folder with the modes of what is in it, and names its place anew.
fn copy_changed(from: &Path, to: &Path, old: &str, new: &str) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (file, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().expect("a type").is_dir() {
            copy_changed(&file, &copy, old, new);
        } else {
            fs::copy(&file, &copy).expect("a copy");
            if names_folder(&file) {
                let text = fs::read_to_string(&file).expect("a text");
                fs::write(&copy, text.replace(old, new)).expect("a text");
            }
        }
        let metadata = entry.metadata().expect("its mode");
        fs::set_permissions(&copy, metadata.permissions()).expect("its mode");
    }
}

/// The PINs of a demo are the ones that the tests use.
const _: () = assert!(USER_PIN.len() == 6 && SO_PIN.len() == 8);
