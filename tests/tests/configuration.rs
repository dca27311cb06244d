//! What an operator can get wrong: the configuration, the modules, the tokens, the state folder. C_Initialize says no
//! where no key would be safe, and otherwise goes on with what works; either way the log has one line that says what is
//! wrong and where.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::UserType;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use tandem_tests::keys::Kind;
use tandem_tests::{Demo, USER_PIN, Wanted, alone, application, artefacts, pin, skip};

/// Where a host's log daemon listens, and where messages go before a configuration has said otherwise.
const SYSLOG: &str = "/dev/log";

/// The host's log daemon, if there is no other.
struct Syslog(Option<UnixDatagram>);

impl Syslog {
    fn listen() -> Self {
        let socket =
            (!Path::new(SYSLOG).exists()).then(|| UnixDatagram::bind(SYSLOG).ok()).flatten();
        match &socket {
            Some(socket) => socket.set_nonblocking(true).expect("a socket"),
            None => skip("this host's log is another's: messages that go there are not looked at"),
        }
        Self(socket)
    }

    /// What came since the last time; `None` if nobody listens.
    fn heard(&self) -> Option<Vec<String>> {
        let socket = self.0.as_ref()?;
        let mut buffer = [0; 8192];
        let messages = std::iter::from_fn(|| {
            let len = socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..len]).into_owned())
        });
        Some(messages.collect())
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        if self.0.is_some() {
            let _ = fs::remove_file(SYSLOG);
        }
    }
}

fn initialize() -> Result<(), Error> {
    let pkcs11 = Pkcs11::new(artefacts::module()).expect("libtandem.so");
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    pkcs11.finalize()
}

fn set(variable: &str, value: impl AsRef<std::ffi::OsStr>) {
    // SAFETY: tests have a process each, and no other thread of it reads the environment now.
    unsafe { std::env::set_var(variable, value) };
}

/// The key that was made while all was well is there, and works.
fn nothing_is_lost() {
    let (_application, session) = application();
    let made = Kind::P256.find(&session, "key").expect("the key");
    Kind::P256.work(&session, made).expect("a signature");
}

fn make_key() {
    let (_application, session) = application();
    Kind::P256.make(&session, "key").expect("a key");
}

#[test]
fn a_configuration_that_makes_no_sense_is_a_general_error_and_names_its_place() {
    alone(&Wanted::mixed(), |demo| {
        make_key();
        let syslog = Syslog::listen();
        let sound = fs::read_to_string(demo.config()).expect("tandem.toml");
        let file = demo.config().display().to_string();
        let line_of = |text: &str, what: &str| {
            1 + text.lines().position(|line| line.contains(what)).expect("the line")
        };
        let unknown = sound.replace("allow_init", "alow_init");
        let relative = sound.replace("module = \"/", "module = \"");
        let negative = sound.replacen(
            "[[token.member]]",
            "[token.policy]\nmin_replicas = 0\n\n[[token.member]]",
            1,
        );
        let twice = sound.replace("name = \"b\"", "name = \"a\"");
        let cases = [
            (
                unknown.clone(),
                vec![
                    format!("{file}:{}", line_of(&unknown, "alow_init")),
                    "alow_init".into(),
                    "allow_init".into(),
                ],
            ),
            (
                relative.clone(),
                vec![format!("{file}:{}", line_of(&relative, "module = ")), "module".into()],
            ),
            (
                negative.clone(),
                vec![
                    format!("{file}:{}", line_of(&negative, "min_replicas")),
                    "min_replicas".into(),
                ],
            ),
            (twice, vec![file.clone(), "name".into()]),
            (sound.replace("[[token]]", "[[token"), vec![file.clone()]),
            (sound.replace("label = \"demo\"", "label = 7"), vec![file.clone(), "label".into()]),
            (sound.replace("label = \"demo\"\n", ""), vec![file.clone(), "label".into()]),
            (String::new(), vec![file.clone(), "token".into()]),
            ("\u{0}".into(), vec![file.clone()]),
        ];
        for (text, told) in cases {
            fs::write(demo.config(), &text).expect("tandem.toml");
            refused_at_start(&syslog, RvError::GeneralError, &told);
            // The operator's tool says the same.
            let output = demo.tandem(&["status"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{said}");
            for part in &told {
                assert!(said.contains(part), "tandem doesn't say {part:?}: {said}");
            }
        }
        fs::write(demo.config(), &sound).expect("tandem.toml");
        nothing_is_lost();

        // Files that aren't there, or aren't to be trusted.
        let mode = |mode| {
            fs::set_permissions(demo.config(), fs::Permissions::from_mode(mode)).expect("a mode");
        };
        mode(0o666);
        refused_at_start(&syslog, RvError::GeneralError, &[file, "chmod".into()]);
        mode(0o644);
        nothing_is_lost();
        let missing = demo.dir().join("missing.toml").display().to_string();
        set("TANDEM_CONFIG", &missing);
        refused_at_start(&syslog, RvError::GeneralError, &[missing]);
        if !Path::new("/etc/tandem/tandem.toml").exists() {
            set("TANDEM_CONFIG", "");
            set("HOME", demo.dir());
            refused_at_start(
                &syslog,
                RvError::GeneralError,
                &["TANDEM_CONFIG".into(), "/etc/tandem/tandem.toml".into()],
            );
            // The user's own file, where it is looked for.
            fs::create_dir_all(demo.dir().join(".config/tandem")).expect("a folder");
            symlink(demo.config(), demo.dir().join(".config/tandem/tandem.toml")).expect("a link");
            nothing_is_lost();
        }
        set("TANDEM_CONFIG", demo.config());
        nothing_is_lost();
    });
}

/// C_Initialize is refused, with one message that has all these parts.
fn refused_at_start(syslog: &Syslog, with: RvError, told: &[String]) {
    let _ = syslog.heard();
    let answer = initialize();
    assert!(
        matches!(answer, Err(Error::Pkcs11(rv, _)) if rv == with),
        "{told:?}: {with:?}, not {answer:?}"
    );
    let Some(heard) = syslog.heard() else { return };
    assert_eq!(heard.len(), 1, "one line: {heard:?}");
    for part in told {
        assert!(heard[0].contains(part), "{part:?} is not said: {heard:?}");
    }
}

#[test]
fn a_state_that_cannot_be_used_is_a_failed_function_and_names_its_place() {
    alone(&Wanted::mixed(), |demo| {
        make_key();
        let state = demo.dir().join("state");
        let refused = |told: &[&str]| {
            let (answer, lines) = demo.logged(initialize);
            assert!(matches!(answer, Err(Error::Pkcs11(RvError::FunctionFailed, _))), "{answer:?}");
            assert_eq!(lines.len(), 1, "one line: {lines:?}");
            for part in told {
                assert!(lines[0].contains(part), "{part:?} is not said: {lines:?}");
            }
        };
        let place = state.display().to_string();

        // Others may write to it.
        let mode =
            |mode| fs::set_permissions(&state, fs::Permissions::from_mode(mode)).expect("a mode");
        mode(0o2777);
        refused(&[&place, "chmod"]);
        mode(0o2770);
        let database = demo.database();
        fs::set_permissions(&database, fs::Permissions::from_mode(0o666)).expect("a mode");
        refused(&[&database.display().to_string(), "chmod"]);
        fs::set_permissions(&database, fs::Permissions::from_mode(0o660)).expect("a mode");
        nothing_is_lost();

        // It is no folder, or nowhere where one can be made.
        let aside = demo.dir().join("aside");
        fs::rename(&state, &aside).expect("a rename");
        fs::write(&state, "no folder").expect("a file");
        refused(&[&place]);
        fs::remove_file(&state).expect("a file");
        symlink("/proc/1/nowhere", &state).expect("a link");
        refused(&[&place]);
        fs::remove_file(&state).expect("a link");

        // Its database is something else.
        fs::create_dir(&state).expect("a folder");
        mode(0o2770);
        fs::write(&database, [7; 4096]).expect("a file");
        fs::set_permissions(&database, fs::Permissions::from_mode(0o660)).expect("a mode");
        refused(&[&place]);
        fs::remove_dir_all(&state).expect("a folder");

        fs::rename(&aside, &state).expect("a rename");
        nothing_is_lost();
    });
}

/// What is wrong with a member: a change of tandem.toml, and what the log must say.
fn a_member_is_out(demo: &Demo, change: impl FnOnce(String) -> String, told: &[&str]) {
    let sound = fs::read_to_string(demo.config()).expect("tandem.toml");
    demo.configure(|text| {
        let changed = change(text.clone());
        assert_ne!(text, changed, "nothing was changed for {told:?}");
        changed
    });
    let (_, lines) = demo.logged(nothing_is_lost);
    // Members start together: whoever is told between its start and its first session says that it is down, too.
    let is_reason = |line: &&String| line.contains("member b") && !line.contains("b is down");
    let about: Vec<_> = lines.iter().filter(is_reason).collect();
    assert_eq!(about.len(), 1, "one line about the member: {lines:?}");
    for part in told {
        assert!(about[0].contains(part), "{part:?} is not said: {about:?}");
    }
    // The operator sees it, with what to do.
    let doctor = demo.report(&["doctor"]);
    let wrong: Vec<_> = doctor["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| {
            finding["verdict"] == "wrong" && finding["subject"] == "token demo, member b"
        })
        .collect();
    assert!(!wrong.is_empty(), "the doctor finds nothing wrong: {doctor}");
    let found = |part: &str| {
        wrong
            .iter()
            .any(|finding| finding["found"].as_str().is_some_and(|said| said.contains(part)))
    };
    assert!(told.iter().any(|part| found(part)), "the doctor says something else: {wrong:?}");
    assert!(
        wrong.iter().all(|finding| finding["remedy"] != ""),
        "a finding without a remedy: {wrong:?}"
    );
    fs::write(demo.config(), sound).expect("tandem.toml");
}

/// A module's path in the text of tandem.toml, replaced.
fn module(text: &str, with: &Path) -> String {
    let kryoptic = artefacts::kryoptic();
    text.replace(&kryoptic.display().to_string(), &with.display().to_string())
}

#[test]
fn a_member_whose_module_or_token_is_wrong_is_out_and_the_other_goes_on() {
    alone(&Wanted::mixed(), |demo| {
        make_key();
        let file = |name: &str| demo.dir().join(name);
        let missing = file("missing.so");
        a_member_is_out(demo, |text| module(&text, &missing), &["missing.so"]);
        fs::write(file("text.so"), "no library").expect("a file");
        a_member_is_out(demo, |text| module(&text, &file("text.so")), &["text.so"]);
        let libc = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6"];
        if let Some(libm) = libc.iter().map(Path::new).find(|libm| libm.exists()) {
            a_member_is_out(demo, |text| module(&text, libm), &["libm.so.6", "C_GetFunctionList"]);
        }
        fs::copy(artefacts::kryoptic(), file("open.so")).expect("a copy");
        fs::set_permissions(file("open.so"), fs::Permissions::from_mode(0o777)).expect("a mode");
        a_member_is_out(
            demo,
            |text| module(&text, &file("open.so")),
            &["open.so", "written to by everybody"],
        );
        a_member_is_out(
            demo,
            |text| text.replace("label = \"b\"", "label = \"nobody\""),
            &["nobody"],
        );
        nothing_is_lost();
    });
}

#[test]
fn tandem_is_no_member_of_itself_by_any_name_and_the_doctor_says_so_in_the_same_words() {
    alone(&Wanted::mixed(), |demo| {
        make_key();
        let copy = demo.dir().join("copy.so");
        fs::copy(artefacts::module(), &copy).expect("a copy");
        for file in [artefacts::module(), copy] {
            let words = format!("the module {} is Tandem itself", file.display());
            a_member_is_out(demo, |text| module(&text, &file), &[&words]);

            // Before there is any state the doctor looks at the files alone.
            let (sound, state) = (fs::read_to_string(demo.config()), demo.dir().join("state"));
            let aside = demo.dir().join("aside");
            fs::rename(&state, &aside).expect("a rename");
            demo.configure(|text| module(&text, &file));
            let doctor = demo.report(&["doctor"]).to_string();
            assert!(doctor.contains(&words), "{doctor}");
            fs::write(demo.config(), sound.expect("tandem.toml")).expect("tandem.toml");
            fs::rename(&aside, &state).expect("a rename");
        }
        nothing_is_lost();
    });
}

#[test]
fn two_members_on_one_token_are_refused() {
    alone(&Wanted::mixed(), |demo| {
        make_key();
        let status = demo.report(&["status"]);
        let serial = status["tokens"][0]["members"][0]["token"]["serial"]
            .as_str()
            .expect("a serial")
            .to_owned();
        // The second member becomes the first one's token, told by its serial number, so that only the modules can know.
        a_member_is_out(
            demo,
            |text| {
                let at =
                    |from: usize| text[from..].find("[[token.member]]").expect("a member") + from;
                let (first, second) = (at(0), at(at(0) + 1));
                let twin = text[first..second]
                    .replace("name = \"a\"", "name = \"b\"")
                    .replace("label = \"a\"", &format!("serial = \"{serial}\""));
                let log = &text[text.find("[log]").expect("where messages go")..];
                format!("{}{twin}\n{log}", &text[..second])
            },
            &["\"a\""],
        );
        nothing_is_lost();
    });
}

#[test]
fn a_token_that_is_not_paired_lets_nobody_in_and_says_what_to_do() {
    alone(&Wanted::mixed(), |demo| {
        make_key();
        let state = demo.dir().join("state");
        let aside = demo.dir().join("aside");
        fs::rename(&state, &aside).expect("a rename");
        let application = tandem_tests::initialised();
        let session = application.open(true);
        let (answer, _) = demo.logged(|| session.login(UserType::User, Some(&pin(USER_PIN))));
        assert!(matches!(answer, Err(Error::Pkcs11(RvError::FunctionFailed, _))), "{answer:?}");
        let log = demo.log();
        let last = log.lines().last().expect("a line");
        assert!(last.contains("C_Login") && last.contains("tandem pair"), "{last}");
        let info = session.get_session_info().expect("the session goes on");
        assert!(matches!(info.session_state(), cryptoki::session::SessionState::RwPublic));
        drop(session);
        application.finalize();
        fs::remove_dir_all(&state).expect("the new folder");
        fs::rename(&aside, &state).expect("a rename");
        nothing_is_lost();
    });
}

#[test]
fn with_no_member_at_all_nothing_hangs_and_all_is_well_when_they_are_back() {
    alone(&Wanted::mixed(), |demo| {
        make_key();
        for (member, _) in demo.members() {
            demo.take_away(member);
        }
        let application = tandem_tests::initialised();
        let session = application.open(true);
        let answer = session.login(UserType::User, Some(&pin(USER_PIN)));
        let told = [RvError::DeviceRemoved, RvError::DeviceError, RvError::TokenNotPresent];
        assert!(matches!(&answer, Err(Error::Pkcs11(rv, _)) if told.contains(rv)), "{answer:?}");
        for (member, _) in demo.members() {
            demo.bring_back(member);
        }
        // No C_Finalize: the members are tried again once their time has come.
        let mut answer = answer;
        for _ in 0..40 {
            answer = session.login(UserType::User, Some(&pin(USER_PIN)));
            if answer.is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(250));
        }
        answer.expect("a login when the members are back");
        let made = Kind::P256.find(&session, "key").expect("the key");
        Kind::P256.work(&session, made).expect("a signature");
    });
}
