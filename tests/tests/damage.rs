//! A log that somebody or something has changed: what was changed is not used, and nothing else is lost.

use cryptoki::object::{Attribute, KeyType};
use rusqlite::{Connection, params};
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Demo, USER_PIN, Wanted, alone, application, child, initialised, pin};

use cryptoki::session::UserType;

/// Three keys, whose events are the log's last.
fn make_keys() {
    let (_application, session) = application();
    for name in ["first", "second", "third"] {
        Kind::Aes(32).make(&session, name).expect("a key");
    }
}

/// Changes the log behind Tandem's back.
fn damage(demo: &Demo, change: impl FnOnce(&Connection, i64)) {
    let log = Connection::open(demo.database()).expect("the log");
    let last: i64 =
        log.query_row("SELECT max(position) FROM records", [], |row| row.get(0)).expect("a record");
    // The second key's event.
    change(&log, last - 1);
}

/// A bit of a column of the second key's event is another.
fn flip(demo: &Demo, column: &str) {
    damage(demo, |log, position| {
        let read = format!("SELECT {column} FROM records WHERE position = ?1");
        let mut bytes: Vec<u8> =
            log.query_row(&read, [position], |row| row.get(0)).expect("a record");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let write = format!("UPDATE records SET {column} = ?1 WHERE position = ?2");
        assert_eq!(log.execute(&write, params![bytes, position]).expect("a change"), 1);
    });
}

/// The keys whose events are whole work; the log says what isn't.
fn only_the_second_is_lost(demo: &Demo, how: &str) {
    let ((), said) = demo.logged(|| {
        let (_application, session) = application();
        for name in ["first", "third"] {
            let made = Kind::Aes(32)
                .find(&session, name)
                .unwrap_or_else(|| panic!("{how}: {name} is lost"));
            Kind::Aes(32)
                .work(&session, made)
                .unwrap_or_else(|error| panic!("{how}: {name}: {error}"));
        }
        if let Some(made) = Kind::Aes(32).find(&session, "second") {
            let used = Kind::Aes(32).work(&session, made);
            assert!(used.is_err(), "{how}: a key whose event was changed is used");
        }
        Kind::P256.make(&session, "after").expect("a key after that");
    });
    let about: Vec<_> =
        said.iter().filter(|line| line.contains("log") || line.contains("record")).collect();
    assert!(!about.is_empty(), "{how}: nothing is said: {said:?}");
    // The doctor and the others go on, and a new key is everywhere.
    let (_application, session) = application();
    let made = Kind::P256.find(&session, "after").expect("the key");
    let public = Kind::P256.public(&session, made).expect("a public key");
    assert!(public.verifies(&DIGEST, &Kind::P256.work(&session, made).expect("a signature")));
    for (member, _) in demo.members() {
        assert!(Kind::P256.find(&demo.direct(member), "after").is_some(), "{how}: {member}");
    }
}

#[test]
fn an_event_whose_body_was_changed_is_not_used() {
    alone(&Wanted::mixed(), |demo| {
        make_keys();
        flip(demo, "body");
        only_the_second_is_lost(demo, "body");
    });
}

#[test]
fn an_event_whose_seal_was_changed_is_not_used() {
    alone(&Wanted::mixed(), |demo| {
        make_keys();
        flip(demo, "mac");
        only_the_second_is_lost(demo, "mac");
    });
}

#[test]
fn an_event_whose_wrapped_key_was_changed_is_not_used() {
    alone(&Wanted::mixed(), |demo| {
        make_keys();
        flip(demo, "wrapped");
        // The members have the key from before, and it is proven there; but what is in the log opens no more.
        let ((), said) = demo.logged(|| {
            let (_application, session) = application();
            for name in ["first", "third"] {
                let made = Kind::Aes(32).find(&session, name).expect("a key");
                Kind::Aes(32).work(&session, made).expect("a ciphertext");
            }
        });
        assert!(
            said.iter().any(|line| line.contains("record") || line.contains("log")),
            "{said:?}"
        );
    });
}

#[test]
fn a_key_that_somebody_slipped_into_the_log_is_not_used() {
    alone(&Wanted::mixed(), |demo| {
        make_keys();
        // A copy of the second event under a position of its own, as somebody would write who can't seal.
        damage(demo, |log, position| {
            let inserted = log.execute(
                "INSERT INTO records SELECT position + 2, site, counter + 2, epoch, at_ms, wrapped_hash, link, mac, \
                 erased, body, wrapped FROM records WHERE position = ?1",
                [position],
            );
            assert_eq!(inserted.expect("a record"), 1);
        });
        let ((), said) = demo.logged(|| {
            let (_application, session) = application();
            for name in ["first", "second", "third"] {
                let made =
                    Kind::Aes(32).find(&session, name).unwrap_or_else(|| panic!("{name} is lost"));
                Kind::Aes(32).work(&session, made).expect("a ciphertext");
            }
            let named =
                session.find_objects(&[Attribute::Label(b"second".to_vec())]).expect("a search");
            assert_eq!(named.len(), 1, "the copy is no second key");
        });
        assert!(
            said.iter().any(|line| line.contains("record") || line.contains("log")),
            "{said:?}"
        );
    });
}

#[test]
fn a_catalogue_that_was_changed_is_no_better_than_the_log() {
    alone(&Wanted::mixed(), |demo| {
        make_keys();
        // The catalogue is only folded from the log: another label there is none.
        let log = Connection::open(demo.database()).expect("the catalogue");
        log.execute(
            "UPDATE objects SET body = NULL WHERE handle = (SELECT min(handle) FROM objects)",
            [],
        )
        .expect("a change");
        drop(log);
        let application = initialised();
        let session = application.open(true);
        session.login(UserType::User, Some(&pin(USER_PIN))).expect("a login");
        for name in ["first", "second", "third"] {
            let made = Kind::Aes(32).find(&session, name).expect("a key");
            Kind::Aes(32).work(&session, made).expect("a ciphertext");
        }
        Kind::P256.make(&session, "after").expect("a key after that");
    });
}

/// Changes a key's label in the catalogue behind Tandem's back, and leaves the log as it is.
fn rename_in_catalogue(demo: &Demo, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let catalogue = Connection::open(demo.database()).expect("the catalogue");
    let mut rows = catalogue.prepare("SELECT handle, body FROM objects").expect("rows");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    let rows: Vec<(i64, Option<Vec<u8>>)> = rows.map(|row| row.expect("a row")).collect();
    let mut changed = 0;
    for (handle, body) in rows {
        let Some(mut body) = body else { continue };
        let Some(at) = body.windows(from.len()).position(|part| part == from.as_bytes()) else {
            continue;
        };
        body[at..at + to.len()].copy_from_slice(to.as_bytes());
        catalogue
            .execute("UPDATE objects SET body = ?1 WHERE handle = ?2", params![body, handle])
            .expect("a change");
        changed += 1;
    }
    assert_eq!(changed, 1, "a row with {from}");
}

#[test]
fn a_row_of_the_catalogue_that_somebody_changed_is_written_anew_at_login() {
    alone(&Wanted::mixed(), |demo| {
        make_keys();
        rename_in_catalogue(demo, "second", "SECOND");
        let ((), said) = demo.logged(|| {
            let (_application, session) = application();
            assert!(Kind::Aes(32).find(&session, "SECOND").is_none());
            let made = Kind::Aes(32).find(&session, "second").expect("the key");
            Kind::Aes(32).work(&session, made).expect("a ciphertext");
        });
        assert!(said.iter().any(|line| line.contains("catalogue")), "{said:?}");
        let ((), said) = demo.logged(|| drop(application()));
        assert!(said.is_empty(), "it is in order again: {said:?}");
    });
}

#[test]
fn a_row_that_somebody_changed_while_we_are_logged_in_is_not_believed() {
    alone(&Wanted::mixed(), |demo| {
        make_keys();
        let (_application, session) = application();
        assert!(Kind::Aes(32).find(&session, "second").is_some());
        // Another process makes a key, and somebody writes into its row before we look.
        let made = demo
            .command(["keys", "generate", "--count", "1", "--type", "aes:256"])
            .output()
            .expect("tandem runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // In a process of its own: SQLite's locks are a process's, and closing a file gives them all up.
        let changed = child(|| {
            let catalogue = Connection::open(demo.database()).expect("the catalogue");
            let last = "DELETE FROM objects WHERE handle = (SELECT max(handle) FROM objects)";
            catalogue.execute(last, []).expect("a change") == 1
        });
        assert!(changed);
        let (keys, said) = demo.logged(|| {
            session.find_objects(&[Attribute::KeyType(KeyType::AES)]).expect("a search").len()
        });
        assert_eq!(keys, 4, "the key that the log has is there");
        assert!(said.iter().any(|line| line.contains("catalogue")), "{said:?}");
    });
}

#[test]
fn a_log_that_says_nothing_of_its_ring_lets_nobody_in() {
    alone(&Wanted::mixed(), |demo| {
        make_keys();
        damage(demo, |log, _| {
            log.execute("UPDATE records SET body = x'00' WHERE position = 1", [])
                .expect("a change");
        });
        let application = initialised();
        let session = application.open(true);
        let (answer, _) = demo.logged(|| session.login(UserType::User, Some(&pin(USER_PIN))));
        assert!(answer.is_err(), "a log without a ring is a log of somebody else's");
        let doctor = demo.tandem(&["doctor"]);
        assert_eq!(doctor.status.code(), Some(1), "the doctor finds it");
    });
}

#[test]
fn a_deletion_that_nobody_sealed_deletes_nothing() {
    alone(&Wanted::mixed(), |demo| {
        make_keys();
        {
            let (_application, session) = application();
            let made = Kind::Aes(32).find(&session, "third").expect("a key");
            session.destroy_object(made.key).expect("C_DestroyObject");
        }
        // The deletion of the third, with the second's name in it.
        let log = Connection::open(demo.database()).expect("the log");
        let id = |label: &str| -> Vec<u8> {
            let keys = demo.report(&["keys"]);
            let objects = keys["objects"].as_array().expect("objects");
            let object = objects.iter().find(|object| object["label"] == label).expect("an object");
            let id = object["object_id"].as_str().expect("an id").replace('-', "");
            (0..16)
                .map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).expect("hex"))
                .collect()
        };
        let second = id("second");
        let (last, mut body): (i64, Vec<u8>) = log
            .query_row(
                "SELECT position, body FROM records ORDER BY position DESC LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .expect("the deletion");
        let at = body.len() - 16;
        body[at..].copy_from_slice(&second);
        log.execute("UPDATE records SET body = ?1 WHERE position = ?2", params![body, last])
            .expect("a change");
        // As if no process had taken it in yet.
        log.execute("UPDATE state SET folded = ?1 - 1", [last]).expect("a change");
        drop(log);
        let (_application, session) = application();
        for name in ["first", "second"] {
            let made =
                Kind::Aes(32).find(&session, name).unwrap_or_else(|| panic!("{name} is lost"));
            Kind::Aes(32).work(&session, made).expect("a ciphertext");
        }
        Kind::P256.make(&session, "after").expect("a key after that");
    });
}
