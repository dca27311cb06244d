//! Several processes, of several users, on one token; and a process that forks.

use cryptoki::context::{CInitializeArgs, CInitializeFlags};
use cryptoki::error::RvError;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::UserType;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tandem_tests::keys::{DIGEST, Kind, P256};
use tandem_tests::openssl::PublicKey;
use tandem_tests::{
    Demo, Vendor, Wanted, alone, application, artefacts, child, pin, refused, rv, skip,
};

use Vendor::{Kryoptic, SoftHsm};

#[test]
fn two_users_in_three_processes_share_a_token_whatever_their_umask() {
    let Some(host) = Host::with_two_users() else {
        skip("users are made and changed by root only");
        return;
    };
    let demo = host.demo();
    let mut enforcer = Process::of(&host, 0);
    let mut signer = Process::of(&host, 1);
    let mut other = Process::of(&host, 1);

    // Each makes a key, and each finds and uses the keys of all.
    enforcer.told("make ksk");
    signer.told("make zsk");
    other.told("make csk");
    for process in [&mut enforcer, &mut signer, &mut other] {
        assert_eq!(
            process.asked("list"),
            "csk ksk zsk",
            "keys of others are seen at the next find"
        );
        for label in ["csk", "ksk", "zsk"] {
            let signature = process.asked(&format!("sign {label}"));
            let point = process.asked(&format!("public {label}"));
            let public = PublicKey::ec(&P256, &bytes(&point));
            assert!(public.verifies(&DIGEST, &bytes(&signature)), "{label}: {signature}");
        }
    }

    // What one destroys, nobody else uses again: not even by a handle that worked a moment ago.
    assert_eq!(signer.asked("destroy ksk"), "destroyed");
    for process in [&mut enforcer, &mut other] {
        assert_eq!(process.asked("sign ksk"), "KeyHandleInvalid", "it is gone at the next init");
        assert_eq!(process.asked("list"), "csk zsk");
    }

    // Several at a time: every key that was made is there, once.
    let labels = |who: &str| (0..4).map(|n| format!("{who}{n}")).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        for (process, who) in [(&mut enforcer, "e"), (&mut signer, "s"), (&mut other, "o")] {
            scope.spawn(move || {
                for label in labels(who) {
                    process.told(&format!("make {label}"));
                }
            });
        }
    });
    let mut all = ["e", "s", "o"].map(labels).concat();
    all.extend(["csk".to_owned(), "zsk".to_owned()]);
    all.sort();
    for process in [&mut enforcer, &mut signer, &mut other] {
        assert_eq!(process.asked("list"), all.join(" "));
    }
    drop((enforcer, signer, other));

    host.state_is_shared(&demo);
    let verified = demo.tandem(&["verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    for (member, _) in demo.members() {
        let direct = demo.direct(member);
        for label in &all {
            let found = Kind::P256.find(&direct, label);
            assert!(found.is_some(), "{member} has no {label}");
        }
    }
}

#[test]
fn a_key_that_another_process_has_just_changed_is_used_while_no_member_has_followed() {
    alone(&Wanted::mixed().with("lease_wait_ms=100"), |demo| {
        let (_application, session) = application();
        let open = [Attribute::Sensitive(false), Attribute::Extractable(true)];
        let made = Kind::P256.make_with(&session, "key", &open).expect("a key");
        let public = Kind::P256.public(&session, made).expect("a public key");
        let head = |demo: &Demo| demo.report(&["status"])["tokens"][0]["head"].clone();
        let before = head(demo);

        // Nobody can write to a member from here on: as if a process that does were very slow.
        let leases: Vec<_> = ["a", "b"].map(|name| held_lease(demo, name)).into();
        let tightened = [Attribute::Sensitive(true), Attribute::Extractable(false)];
        session.update_attributes(made.key, &tightened).expect("C_SetAttributeValue");
        let renamed = [Attribute::Label(b"renamed".to_vec()), Attribute::Id(b"renamed".to_vec())];
        for (label, change) in [("key", None), ("renamed", Some(renamed))] {
            if let Some(change) = change {
                session.update_attributes(made.key, &change).expect("C_SetAttributeValue");
            }
            // A process that knows of no handle on any member: it has to look.
            let mut other = Process::start(Command::new(helper()), demo.config());
            let signature = other.asked(&format!("sign {label}"));
            assert!(signature.len() == 128, "{label}: {signature}\n{}", demo.log());
            assert!(public.verifies(&DIGEST, &bytes(&signature)), "{label}: {signature}");
        }
        let status = demo.report(&["status"]);
        for member in status["tokens"][0]["members"].as_array().expect("members") {
            assert_eq!(member["position"], before, "it should not have followed: {status}");
            assert_ne!(member["condition"], "suspect", "{status}");
        }
        assert!(!demo.log().contains("has lost object"), "{}", demo.log());
        drop(leases);
        assert!(demo.tandem(&["verify"]).status.success());
        let direct = demo.direct("a");
        let found = direct.find_objects(&[Attribute::Id(b"renamed".to_vec())]).expect("a search");
        assert_eq!(found.len(), 1, "the change was followed");
    });
}

#[test]
fn a_value_that_processes_change_in_turn_is_the_last_one_everywhere() {
    alone(&Wanted::mixed(), |demo| {
        let (_application, session) = application();
        let mut other = Process::start(Command::new(helper()), demo.config());
        for (label, private) in [("open", false), ("private", true)] {
            let template = [
                Attribute::Class(ObjectClass::DATA),
                Attribute::Token(true),
                Attribute::Private(private),
                Attribute::Label(label.into()),
                Attribute::Value(b"made".to_vec()),
            ];
            let object = session.create_object(&template).expect("C_CreateObject");
            for turn in 0..3 {
                // A member that takes no other value gets another object, of which the one who changes it next knows no handle.
                assert_eq!(other.asked(&format!("note {label}=its {turn}")), "noted");
                is_whole(demo, label, &format!("its {turn}"));
                let ours = Attribute::Value(format!("ours {turn}").into());
                session.update_attributes(object, &[ours]).expect("C_SetAttributeValue");
                is_whole(demo, label, &format!("ours {turn}"));
            }
        }
        assert!(!demo.log().contains("does not take"), "{}", demo.log());
    });
}

/// Every member has the data object once, with this value.
fn is_whole(demo: &Demo, label: &str, value: &str) {
    let verified = demo.tandem(&["verify"]);
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{label} {value}: {said}\n{}", demo.log());
    for (member, _) in demo.members() {
        let direct = demo.direct(member);
        let wanted = [Attribute::Class(ObjectClass::DATA), Attribute::Label(label.into())];
        let found = direct.find_objects(&wanted).expect("a search");
        let values: Vec<_> = found
            .iter()
            .map(|object| tandem_tests::value(&direct, *object, AttributeType::Value))
            .collect();
        assert_eq!(values, [value.as_bytes()], "member {member}, {label}\n{}", demo.log());
    }
}

/// The lease of a member, held.
fn held_lease(demo: &Demo, member: &str) -> fs::File {
    let path = demo.dir().join("state").join(format!("lease-{member}"));
    let file = fs::File::options().write(true).open(&path).expect("a lease's file");
    file.lock().expect("the lease");
    file
}

#[test]
fn a_forked_child_must_log_in_with_the_right_pin_on_softhsm() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| fork(demo));
}

#[test]
fn a_forked_child_must_log_in_with_the_right_pin_on_kryoptic() {
    alone(&Wanted::over(&[Kryoptic, Kryoptic]), |demo| fork(demo));
}

#[test]
fn a_forked_child_must_log_in_with_the_right_pin_on_both() {
    alone(&Wanted::mixed(), |demo| fork(demo));
}

fn fork(_: &Demo) {
    let (application, session) = application();
    let made = Kind::P256.make(&session, "key").expect("a key");
    let public = Kind::P256.public(&session, made).expect("a public key");
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);

    let stranger = child(|| {
        // What the parent had is not the child's.
        let not_initialised = [RvError::CryptokiNotInitialized];
        refused("the parent's session", session.get_session_info(), &not_initialised);
        refused(
            "the parent's slot",
            application.open_rw_session(application.slot),
            &not_initialised,
        );
        refused("the parent's C_Finalize", application.clone().finalize(), &not_initialised);
        // A wrong PIN lets nobody in, though the parent is logged in: on any member, alone or not.
        application.initialize(arguments).expect("C_Initialize in a child");
        let own = application.open(true);
        let login = |user_pin| own.login(UserType::User, Some(&pin(user_pin)));
        assert_eq!(rv(login("654321")), RvError::PinIncorrect);
        assert!(Kind::P256.find(&own, "key").is_none(), "a private key is shown to a stranger");
        assert_eq!(rv(Kind::P256.work(&own, made)), RvError::KeyHandleInvalid);
        true
    });
    assert!(stranger, "see what the child said");

    let heir = child(|| {
        application.initialize(arguments).expect("C_Initialize in a child");
        let own = application.log_in();
        let found = Kind::P256.find(&own, "key").expect("the parent's key");
        let signature = Kind::P256.work(&own, found).expect("a signature");
        assert!(public.verifies(&DIGEST, &signature));
        Kind::P256.make(&own, "the child's").expect("a key of the child's");
        drop(own);
        application.clone().finalize().expect("C_Finalize in a child");
        true
    });
    assert!(heir, "see what the child said");

    // The parent goes on as if nothing had been.
    let signature = Kind::P256.work(&session, made).expect("a signature of the parent's");
    assert!(public.verifies(&DIGEST, &signature));
    assert!(Kind::P256.find(&session, "the child's").is_some(), "the child's key is seen");
}

/// A host with a group of two users, and what they may read.
struct Host {
    dir: tempfile::TempDir,
    group: (String, u32),
    users: Vec<(String, u32)>,
}

impl Host {
    fn with_two_users() -> Option<Self> {
        // SAFETY: asks for a number.
        if unsafe { libc::geteuid() } != 0 {
            return None;
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let name = |what: &str| format!("tandem-{what}{}", std::process::id());
        let group = name("g");
        administer("groupadd", &[&group]);
        let mut host = Self { dir, group: (group.clone(), 0), users: Vec::new() };
        host.group.1 = number("group", &group);
        for user in [name("e"), name("s")] {
            administer("useradd", &["-M", "-N", "-g", &group, &user]);
            let uid = number("passwd", &user);
            host.users.push((user, uid));
        }
        Some(host)
    }

    /// A demo of SoftHSM and Kryoptic that the tool makes for the group, under umask 022.
    fn demo(&self) -> Demo {
        for file in [artefacts::module(), artefacts::kryoptic(), helper()] {
            let copy = self.file(&file);
            fs::copy(&file, &copy).expect("a copy");
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("a mode");
        }
        let wanted = Wanted::mixed().with(&format!("group={}", self.group.0));
        let kryoptic = self.file(&artefacts::kryoptic());
        let demo = Demo::make_with(&wanted, &self.dir.path().join("demo"), |command| {
            umask(command, 0o022);
            command.env("TANDEM_KRYOPTIC", &kryoptic);
        });
        self.state_is_shared(&demo);
        // How the vendors share their storage is theirs to say: SoftHSM by a setting, Kryoptic by SQLite.
        let conf = demo.vendor_config("a");
        let text = fs::read_to_string(&conf).expect("softhsm2.conf");
        fs::write(&conf, format!("{text}objectstore.umask = 0007\n")).expect("softhsm2.conf");
        let members = demo.dir().join("members").display().to_string();
        administer("chgrp", &["-R", &self.group.0, &members]);
        administer("chmod", &["-R", "g+rwX", &members]);
        administer("find", &[&members, "-type", "d", "-exec", "chmod", "g+s", "{}", "+"]);
        demo
    }

    fn file(&self, of: &Path) -> PathBuf {
        self.dir.path().join(of.file_name().expect("a name"))
    }

    /// design.md section 6: the folder is 2770 and its files are 0660, the group's.
    fn state_is_shared(&self, demo: &Demo) {
        let state = demo.dir().join("state");
        let folder = state.metadata().expect("a folder");
        assert_eq!(
            (folder.mode() & 0o7777, folder.gid()),
            (0o2770, self.group.1),
            "the state folder"
        );
        let mut files = 0;
        for entry in fs::read_dir(&state).expect("the state folder") {
            let entry = entry.expect("an entry");
            let file = entry.metadata().expect("a file");
            let what = entry.file_name();
            assert_eq!(
                (file.mode() & 0o7777, file.gid()),
                (0o660, self.group.1),
                "{}",
                what.display()
            );
            files += 1;
        }
        assert!(files >= 2, "there are files in the state folder");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for (user, _) in &self.users {
            let _ = Command::new("userdel").arg(user).output();
        }
        let _ = Command::new("groupdel").arg(&self.group.0).output();
    }
}

/// The helper program, `src/bin/tandem-test-user.rs`.
fn helper() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_tandem-test-user"))
}

fn administer(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output().expect(program);
    assert!(
        done.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// The number of a user or a group.
fn number(database: &str, name: &str) -> u32 {
    let found = Command::new("getent").args([database, name]).output().expect("getent");
    let line = String::from_utf8(found.stdout).expect("a line");
    line.split(':').nth(2).and_then(|number| number.parse().ok()).expect("a number")
}

fn umask(command: &mut Command, mask: u32) {
    // SAFETY: between fork and exec only the mask is set.
    unsafe {
        command.pre_exec(move || {
            libc::umask(mask);
            Ok(())
        })
    };
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16);
    (0..hex.len())
        .step_by(2)
        .map(|at| digit(at).unwrap_or_else(|_| panic!("no hex: {hex}")))
        .collect()
}

/// A process of one of the users that uses Tandem.
struct Process {
    child: Child,
    told: Option<ChildStdin>,
    says: BufReader<ChildStdout>,
}

impl Process {
    fn of(host: &Host, user: usize) -> Self {
        let mut command = Command::new(host.file(&helper()));
        command
            .env("TANDEM_ARTIFACTS", host.dir.path())
            .uid(host.users[user].1)
            .gid(host.group.1)
            .current_dir("/");
        umask(&mut command, 0o022);
        Self::start(command, host.dir.path().join("demo/tandem.toml"))
    }

    fn start(mut command: Command, config: PathBuf) -> Self {
        command.env("TANDEM_CONFIG", config).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process that uses Tandem");
        let told = child.stdin.take();
        let says = BufReader::new(child.stdout.take().expect("its output"));
        let mut process = Self { child, told, says };
        assert_eq!(process.answer(), "ready");
        process
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("an answer");
        line.trim_end().to_owned()
    }

    fn asked(&mut self, what: &str) -> String {
        writeln!(self.told.as_mut().expect("its input"), "{what}").expect("its input");
        self.answer()
    }

    fn told(&mut self, what: &str) {
        assert_eq!(self.asked(what), "made", "{what}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.told.take());
        let _ = self.child.wait();
    }
}
