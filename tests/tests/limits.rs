//! Deadlines too short for any call, and members that are all drained: what an operator may do to a token whose HSMs are
//! well. Calls are answered, the log and the tool say what is wrong and what to do, and nothing is lost.

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use std::thread;
use std::time::{Duration, Instant};
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Demo, USER_PIN, Wanted, alone, application, initialised, pin};

fn login(session: &Session) -> Result<(), Error> {
    session.login(UserType::User, Some(&pin(USER_PIN)))
}

/// The key works, and its signature is the key's.
fn works(session: &Session, label: &str) -> bool {
    let Some(made) = Kind::P256.find(session, label) else { return false };
    let public = Kind::P256.public(session, made).expect("a public key");
    Kind::P256.work(session, made).is_ok_and(|signature| public.verifies(&DIGEST, &signature))
}

/// Waits until something is so.
#[track_caller]
fn within(seconds: u64, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(seconds);
    while !so() {
        assert!(Instant::now() < until, "it is not so after {seconds} s");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_deadline_shorter_than_any_call_is_told_and_loses_nothing() {
    alone(&Wanted::mixed(), |demo| {
        let mut acknowledged = vec!["before".to_owned()];
        {
            let (_application, session) = application();
            Kind::P256.make(&session, "before").expect("a key");
        }
        let sound = std::fs::read_to_string(demo.config()).expect("tandem.toml");
        demo.configure(|text| {
            text.replace("[[token.member]]", "[[token.member]]\ndeadline_ms = 1")
        });
        let (application_, log) = demo.logged(initialised);
        let named = |line: &&String| line.contains("tandem.toml:") && line.contains("deadline_ms");
        assert_eq!(log.iter().filter(named).count(), 2, "each member's deadline is told: {log:?}");
        let doctor = demo.report(&["doctor"]).to_string();
        assert!(doctor.contains("1 ms is less than many HSMs take"), "{doctor}");

        // Whether a call is quick enough is chance; every one is answered soon, and what is answered well counts.
        let begun = Instant::now();
        let session = application_.open(true);
        for attempt in 0..20 {
            let (answer, log) = demo.logged(|| login(&session));
            match answer {
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(Error::Pkcs11(RvError::DeviceError | RvError::DeviceRemoved, _)) => {
                    let told = log.iter().any(|line| line.contains("C_Login"));
                    assert!(told, "nothing is said of a login that failed: {log:?}");
                    continue;
                }
                Err(other) => panic!("C_Login: {other}"),
            }
            let label = format!("made {attempt}");
            if Kind::P256.make(&session, &label).is_ok() {
                acknowledged.push(label);
            }
            let _ = works(&session, "before");
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "calls hang: {:?}", begun.elapsed());
        let status = demo.report(&["status"]).to_string();
        drop(session);
        application_.finalize();
        let late = demo.log().contains("no answer in time");
        println!("| {} of 20 made at 1 ms | late: {late} | {status} |", acknowledged.len() - 1);

        std::fs::write(demo.config(), sound).expect("tandem.toml");
        let (_application, session) = application();
        for label in &acknowledged {
            assert!(works(&session, label), "{label} is lost");
        }
        assert!(demo.tandem(&["verify"]).status.success());
    });
}

#[test]
fn members_that_are_all_drained_are_told_and_one_that_is_enabled_serves_without_a_restart() {
    alone(&Wanted::mixed(), |demo| {
        {
            let (_application, session) = application();
            Kind::P256.make(&session, "key").expect("a key");
        }
        member(demo, &["drain", "a"]);
        let last = demo.tandem(&["member", "drain", "b"]);
        let said = String::from_utf8_lossy(&last.stderr).into_owned();
        assert_eq!(last.status.code(), Some(1), "{said}");
        assert!(said.contains("b is the last member that isn't drained"), "{said}");
        let taken_out = demo.tandem(&["member", "remove", "b"]);
        let said = String::from_utf8_lossy(&taken_out.stderr).into_owned();
        assert_eq!(taken_out.status.code(), Some(1), "{said}");
        assert!(said.contains("tandem member enable"), "{said}");

        // An application whose configuration has the drained one alone.
        let sound = std::fs::read_to_string(demo.config()).expect("tandem.toml");
        demo.configure(|text| without_second_member(&text));
        let application_ = initialised();
        let session = application_.open(true);
        for _ in 0..3 {
            let (answer, log) = demo.logged(|| login(&session));
            assert!(
                matches!(answer, Err(Error::Pkcs11(RvError::DeviceError, _))),
                "C_Login: {answer:?}"
            );
            let told = log.iter().any(|line| line.contains("tandem member enable"));
            assert!(told, "what to do is not said: {log:?}");
        }
        let state = &demo.report(&["status"])["tokens"][0];
        assert_eq!(state["members"][0]["condition"], "drained", "{state}");

        member(demo, &["enable", "a"]);
        within(20, || login(&session).is_ok());
        assert!(works(&session, "key"));
        drop(session);
        application_.finalize();

        // One drained and the other gone, under an application that signs.
        std::fs::write(demo.config(), sound).expect("tandem.toml");
        let (_application, session) = application();
        assert!(works(&session, "key"));
        member(demo, &["drain", "b"]);
        demo.take_away("a");
        within(20, || !works(&session, "key"));
        let made = Kind::P256.find(&session, "key").expect("finding asks no member");
        let (answer, log) = demo.logged(|| Kind::P256.work(&session, made));
        assert!(matches!(answer, Err(Error::Pkcs11(RvError::DeviceError, _))), "{answer:?}");
        let told = |line: &String| line.contains("a: Down") && line.contains("b: Drained");
        assert!(log.iter().any(told), "{log:?}");
        member(demo, &["enable", "b"]);
        within(20, || works(&session, "key"));
        demo.bring_back("a");
        within(30, || demo.tandem(&["verify"]).status.success());
    });
}

fn member(demo: &Demo, arguments: &[&str]) {
    let done = demo.tandem(&[&["member"], arguments].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// tandem.toml without its second member.
fn without_second_member(text: &str) -> String {
    let second = text.rfind("[[token.member]]").expect("a member");
    let rest = &text[second..];
    let end = rest.find("\n[log]").expect("the table after it");
    format!("{}{}", &text[..second], &rest[end..])
}
