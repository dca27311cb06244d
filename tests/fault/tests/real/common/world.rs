//! A demo with libtandem_fault.so around each member, which can be put back to where it was.

use super::remote::Server;
use cryptoki::session::{Session, UserType};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tandem_tests::{Application, Demo, USER_PIN, Wanted, artefacts, pin};
use tempfile::TempDir;
use toml::{Table, Value};

/// By when a member must be back after its trouble: longer than any back-off that the troubles of these tests lead to.
pub(crate) const RECOVERY: Duration = Duration::from_secs(30);

/// libtandem_fault.so.
pub(crate) fn fault_module() -> PathBuf {
    let module = artefacts::folder().join("libtandem_fault.so");
    assert!(module.exists(), "{} is missing: make build", module.display());
    module
}

/// A demo with faults.
pub(crate) struct World {
    pub(crate) demo: Demo,
    servers: BTreeMap<&'static str, Server>,
    dir: Option<TempDir>,
}

/// A call that a member's fault module has written down: its number since the script was changed.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) function: String,
}

/// What a test that failed leaves may be kept (`TANDEM_TEST_KEEP`), to be looked at.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking()
            && std::env::var_os("TANDEM_TEST_KEEP").is_some()
            && let Some(dir) = self.dir.take()
        {
            println!("kept: {}", dir.keep().display());
        }
    }
}

impl World {
    /// A demo with faults around these members; no script says any yet.
    pub(crate) fn make(wanted: &Wanted) -> Self {
        let (dir, demo) = Demo::make(wanted);
        let mut world = Self::around(demo);
        world.dir = Some(dir);
        world
    }

    /// A demo that is there already, with faults from now on.
    pub(crate) fn around(demo: Demo) -> Self {
        Self::with(demo, |_, _| None)
    }

    /// The same with every member behind p11-kit's remoting.
    pub(crate) fn remote(demo: Demo) -> Self {
        Self::with(demo, |demo, member| Some(Server::of(demo, member)))
    }

    fn with(demo: Demo, server: impl Fn(&Demo, &str) -> Option<Server>) -> Self {
        fs::create_dir(demo.dir().join("faults")).expect("a folder");
        let names = demo.members().into_iter().map(|(name, _)| name);
        let servers = names.filter_map(|name| Some((name, server(&demo, name)?))).collect();
        demo.configure(|text| configured(&text, demo.dir(), &servers));
        Self { demo, servers, dir: None }
    }

    /// The same, in a process that a test has started.
    pub(crate) fn at(dir: &Path, wanted: &Wanted) -> Self {
        let demo = Demo::at(dir, &wanted.members);
        Self { demo, servers: BTreeMap::new(), dir: None }
    }

    /// What serves a member that is remote.
    pub(crate) fn server(&self, member: &str) -> &Server {
        self.servers.get(member).expect("a remote member")
    }

    /// A file beside the scripts.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.demo.dir().join("faults").join(name)
    }

    /// The names of its members, and of its backup token if it has one.
    pub(crate) fn members(&self) -> Vec<&'static str> {
        let members = self.demo.members().into_iter().map(|(name, _)| name);
        members.chain(self.demo.storage("backup").exists().then_some("backup")).collect()
    }

    /// Gives a member another script, from the next call on, and forgets the calls before.
    pub(crate) fn script(&self, member: &str, text: &str) {
        let _ = fs::write(self.log_of(member), "");
        let unfinished = self.file(&format!("{member}.new"));
        fs::write(&unfinished, text).expect("a script");
        fs::rename(unfinished, self.file(&format!("{member}.script"))).expect("a script");
    }

    /// Gives every member another deadline, in milliseconds.
    pub(crate) fn deadline_ms(&self, deadline_ms: u64) {
        self.demo.configure(|text| {
            let mut config: Table = toml::from_str(&text).expect("tandem.toml");
            let tokens = config.get_mut("token").and_then(Value::as_array_mut).expect("tokens");
            let members = tokens[0].get_mut("member").and_then(Value::as_array_mut);
            for member in members.expect("members") {
                let deadline = i64::try_from(deadline_ms).expect("a deadline");
                member
                    .as_table_mut()
                    .expect("a member")
                    .insert("deadline_ms".into(), deadline.into());
            }
            toml::to_string(&config).expect("tandem.toml")
        });
    }

    /// No faults any more.
    pub(crate) fn calm(&self) {
        for member in self.members() {
            self.script(member, "");
        }
    }

    /// True unless the log says that a member is down or has forgotten us.
    pub(crate) fn is_up(&self, member: &str) -> bool {
        let log = self.demo.log();
        let about = |what: &str| log.rfind(&format!("member {member} {what}"));
        about("is down").max(about("has forgotten us")) <= about("is up again")
    }

    /// Waits until a member that went down is up again.
    pub(crate) fn wait_for(&self, member: &str) {
        let until = Instant::now() + RECOVERY;
        while !self.is_up(member) {
            assert!(Instant::now() < until, "member {member} does not come back");
            sleep(Duration::from_millis(20));
        }
    }

    /// An application's login, and all members up. On a busy machine a module may take longer to start than a call may take.
    pub(crate) fn log_in(&self, application: &Application) -> Session {
        let session = log_in_patiently(application);
        self.members().into_iter().for_each(|member| self.wait_for(member));
        session
    }

    /// Forgets what Tandem has logged, of an application that has ended.
    pub(crate) fn forget_log(&self) {
        let _ = fs::remove_file(self.demo.dir().join("tandem.log"));
    }

    fn log_of(&self, member: &str) -> PathBuf {
        self.file(&format!("{member}.log"))
    }

    /// The calls since the script was changed.
    pub(crate) fn calls(&self, member: &str) -> Vec<Call> {
        let text = fs::read_to_string(self.log_of(member)).unwrap_or_default();
        let call = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let number = words.next()?.parse().ok()?;
            Some(Call { number, function: words.next()?.to_owned() })
        };
        text.lines().map(|line| call(line).expect("a line of a log of calls")).collect()
    }

    /// Keeps state and members as they are now, to be put back by [`World::restore`].
    pub(crate) fn keep(&self) {
        let kept = self.demo.dir().join("kept");
        let _ = fs::remove_dir_all(&kept);
        fs::create_dir(&kept).expect("a folder");
        copy(&self.demo.dir().join("state"), &kept);
        copy(&self.demo.dir().join("members"), &kept);
    }

    /// The same with another folder of the demo.
    pub(crate) fn keep_also(&self, folder: &str) {
        self.keep();
        copy(&self.demo.dir().join(folder), &self.demo.dir().join("kept"));
    }

    /// Puts state and members back.
    pub(crate) fn restore(&self) {
        for name in ["state", "members"] {
            self.put_back(name);
        }
        self.forget_log();
    }

    /// The same with another folder of the demo.
    pub(crate) fn restore_also(&self, folder: &str) {
        self.restore();
        self.put_back(folder);
    }

    fn put_back(&self, name: &str) {
        fs::remove_dir_all(self.demo.dir().join(name)).expect("a folder that is there");
        copy(&self.demo.dir().join("kept").join(name), self.demo.dir());
    }
}

/// Copies a folder into another, with modes and owners.
fn copy(folder: &Path, into: &Path) {
    let done = Command::new("cp").arg("-a").arg(folder).arg(into).status().expect("cp");
    assert!(done.success(), "cp -a {} {}", folder.display(), into.display());
}

/// tandem.toml with the fault module around each member, or around p11-kit's client where that is served elsewhere.
fn configured(text: &str, dir: &Path, servers: &BTreeMap<&str, Server>) -> String {
    let mut config: Table = toml::from_str(text).expect("tandem.toml");
    let tokens = config.get_mut("token").and_then(Value::as_array_mut).expect("tokens");
    let members = tokens[0].get_mut("member").and_then(Value::as_array_mut).expect("members");
    for member in members {
        let member = member.as_table_mut().expect("a member");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let name = text(&member["name"]);
        let module = text(&member["module"]);
        let file =
            |what: &str| dir.join("faults").join(format!("{name}.{what}")).display().to_string();
        let faults: BTreeMap<_, _> = [
            ("TANDEM_FAULT_MODULE", module),
            ("TANDEM_FAULT_SCRIPT", file("script")),
            ("TANDEM_FAULT_LOG", file("log")),
        ]
        .into();
        let environment = member.entry("environment").or_insert_with(|| Table::new().into());
        let environment = environment.as_table_mut().expect("an environment");
        let mut set = |(name, value): (&str, String)| {
            environment.insert(name.to_owned(), Value::from(value));
        };
        faults.into_iter().for_each(&mut set);
        let mut quirks = Table::from_iter([("private_copy".to_owned(), Value::from(true))]);
        if let Some(server) = servers.get(&*name) {
            server.environment().into_iter().for_each(&mut set);
            // What Tandem knows of p11-kit's client by the name of its file.
            quirks.insert("heals_by_restart".to_owned(), Value::from(true));
            member.insert("serialize".to_owned(), Value::from(true));
            // What the vendor is configured with goes to the server.
            member.remove("init");
        }
        member.insert("module".to_owned(), fault_module().display().to_string().into());
        member.insert("quirks".to_owned(), quirks.into());
    }
    toml::to_string(&config).expect("tandem.toml")
}

/// An application's login, as soon as a member lets it in.
pub(crate) fn log_in_patiently(application: &Application) -> Session {
    let session = application.open(true);
    let until = Instant::now() + RECOVERY;
    while let Err(error) = session.login(UserType::User, Some(&pin(USER_PIN))) {
        assert!(Instant::now() < until, "C_Login: {error}");
        sleep(Duration::from_millis(20));
    }
    session
}

/// The demo of a test's own process, for a world of its own.
pub(crate) fn again(demo: &Demo) -> Demo {
    let vendors: Vec<_> = demo.members().into_iter().map(|(_, vendor)| vendor).collect();
    Demo::at(demo.dir(), &vendors)
}

/// A test of this program in a process of its own.
pub(crate) fn child_of_test(name: &str, world: &World) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path of this program"));
    command
        .args(["--exact", name, "--nocapture", "--ignored", "--test-threads=1"])
        .env("TANDEM_CONFIG", world.demo.config())
        .env("TANDEM_FAULT_DEMO", world.demo.dir())
        .env("RUST_BACKTRACE", "1");
    command
}
