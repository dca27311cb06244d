//! `tandem runway` over real tokens: which keys count as unused and backed up, wherever it is said what is needed.

use rusqlite::Connection;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tandem_tests::{Demo, USER_PIN, Wanted};
use tempfile::TempDir;

/// What OpenDNSSEC's package ships: `scripts/setup.sh test` installs it.
const SHIPPED: &str = "/usr/share/opendnssec";

/// 2100-01-01T00:00:00Z, in seconds since the Unix epoch: backups of these tests are older.
const CENTURY: i64 = 4_102_444_800;
const DAY: i64 = 86_400;

/// From the first day of 2100, with half-yearly backups.
const DATES: [&str; 6] = ["--now", "2100-01-01", "--next", "2100-07-01", "--next", "2101-01-01"];

fn demo() -> (TempDir, Demo) {
    Demo::make(&Wanted::mixed())
}

/// Makes key pairs; their CKA_IDs.
fn make(demo: &Demo, kind: &str, label: &str, count: usize) -> Vec<String> {
    let count = count.to_string();
    let arguments = ["keys", "generate", "--type", kind, "--label", label, "--count", &count];
    let made = demo.report(&arguments)["made"].as_array().expect("keys").clone();
    made.iter().map(|key| key["id"].as_str().expect("an id").to_owned()).collect()
}

fn back_up(demo: &Demo, name: &str, more: &[&str]) -> String {
    let file = demo.dir().join(name).display().to_string();
    let made = demo.report(&[&["backup", "run", "--commit", "--out", &file], more].concat());
    assert_eq!(made["backup"]["counts"], true, "{made}");
    made["backup"]["id"].as_str().expect("an identity").to_owned()
}

/// What is said, with this exit code.
fn runway(demo: &Demo, arguments: &[&str], code: i32) -> Value {
    let output = demo.tandem(&[&["runway", "--json"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// It says nothing but why not.
fn refused(demo: &Demo, arguments: &[&str], code: i32, says: &str) {
    let command = demo.command([&["runway"], arguments].concat());
    is_refused(command, code, says);
}

/// The same where nobody knows the PIN.
fn refused_at_once(demo: &Demo, arguments: &[&str], code: i32, says: &str) {
    let mut command = demo.command([&["runway"], arguments].concat());
    command.env_remove("TANDEM_PIN").stdin(Stdio::null());
    is_refused(command, code, says);
}

fn is_refused(mut command: Command, code: i32, says: &str) {
    let output = command.output().expect("tandem runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
    assert!(said.contains(says), "{command:?}: {says:?} is not in: {said}");
    assert!(output.stdout.is_empty(), "{command:?}");
    assert!(!said.contains(USER_PIN) && !said.contains("0815"), "a PIN is told: {said}");
}

/// Of each stock: its name, how many keys are backed up, how many are not, and the verdict.
fn stocks(report: &Value) -> Vec<(&str, u64, u64, &str)> {
    let number = |value: &Value| value.as_u64().expect("a number");
    let text = |value: &'static str, stock| -> &str {
        let stock: &Value = stock;
        stock[value].as_str().expect("a text")
    };
    let all = report["stocks"].as_array().expect("stocks").iter();
    all.map(|stock| {
        let (there, bare) = (number(&stock["backed_up"]), number(&stock["not_backed_up"]));
        (text("name", stock), there, bare, text("verdict", stock))
    })
    .collect()
}

/// A note that says this.
fn noted(report: &Value, says: &str) {
    let notes = report["notes"].as_array().expect("notes").iter();
    let mut notes = notes.map(|note| note.as_str().expect("a text"));
    assert!(notes.any(|note| note.contains(says)), "{says:?} is not in {}", report["notes"]);
}

fn write(demo: &Demo, name: &str, text: &str) -> String {
    let file = demo.dir().join(name);
    fs::write(&file, text).expect("a file");
    file.display().to_string()
}

/// Adds tables to tandem.toml, after the members.
fn configure(demo: &Demo, more: &str) {
    demo.configure(|text| format!("{text}\n{more}\n"));
}

#[test]
fn only_unused_keys_in_a_backup_that_counts_count() {
    let (_folder, demo) = demo();
    configure(
        &demo,
        "[token.backup]\nevery = \"6mo\"\n\
         [[token.rollover]]\nname = \"zsk\"\ntype = \"ec:p256\"\nlabel = \"zsk-*\"\nlifetime = \"90d\"\nsince = \"2099-12-31\"\n\
         [[token.rollover]]\nname = \"others\"\ntype = \"ec:p256\"\nlifetime = \"3650d\"\nsince = \"2099-12-31\"",
    );
    let used = make(&demo, "ec:p256", "zsk", 2);
    make(&demo, "ec:p384", "zsk", 2);
    make(&demo, "ec:p256", "else", 1);

    // No backup at all: nothing lasts, though no key of the others is needed for ten years.
    let report = runway(&demo, &DATES, 1);
    assert_eq!(report["last_backup"], Value::Null);
    let expected = [("ec:p256", 0, 1, "short"), ("ec:p256 zsk-*", 0, 2, "short")];
    assert_eq!(stocks(&report), expected);
    noted(&report, "no backup of everything counts");
    noted(&report, "every key of these types and labels counts as unused");

    let whole = back_up(&demo, "one.bundle", &[]);
    make(&demo, "ec:p256", "zsk-later", 3);
    let ids = write(&demo, "used", &format!("# in use\n{}\n0badcafe\n", used[0].to_uppercase()));
    let asked = [&DATES[..], &["--used-ids", &ids]].concat();
    let report = runway(&demo, &asked, 1);
    // Taken on 31 March, 29 June, 27 September, 26 December: two before the next backup, and one is there.
    let expected = [("ec:p256", 1, 0, "lasts"), ("ec:p256 zsk-*", 1, 3, "short")];
    assert_eq!(stocks(&report), expected);
    let zsk = &report["stocks"][1];
    assert_eq!(zsk["taken"][0]["at"], "2100-03-31T00:00:00Z");
    assert_eq!((&zsk["to_next"]["taken"], &zsk["to_next"]["missing"]), (&2.into(), &1.into()));
    assert_eq!(zsk["runs_out"], "2100-06-29T00:00:00Z");
    assert_eq!(zsk["remedy"], "make a backup before 2100-06-29");
    noted(&report, "1 id is of --used-ids not on the token");

    // A backup of chosen keys counts for these, and is none of the schedule.
    back_up(&demo, "two.bundle", &["--label", "zsk-later-1", "--label", "zsk-later-2"]);
    let report = runway(&demo, &asked, 0);
    assert_eq!(stocks(&report)[1], ("ec:p256 zsk-*", 3, 1, "lasts"));
    let last = report["last_backup"].clone();
    demo.report(&["backup", "withdraw", &whole, "--reason", "lost"]);
    let report = runway(&demo, &asked, 1);
    assert_eq!((&report["last_backup"], last.is_string()), (&Value::Null, true));
    assert_eq!(stocks(&report)[1], ("ec:p256 zsk-*", 2, 2, "short"));
    noted(&report, "1 key is in use and in no backup that counts");
}

#[test]
fn the_schedule_is_counted_from_the_last_backup_and_the_exit_code_says_whether_keys_last() {
    let (_folder, demo) = demo();
    make(&demo, "rsa:2048", "k", 1);
    configure(
        &demo,
        "[token.backup]\nevery = \"6mo\"\n[[token.rollover]]\nname = \"k\"\ntype = \"rsa:2048\"\nlifetime = \"180d\"\nsince = \"2099-12-31\"",
    );
    back_up(&demo, "one.bundle", &[]);
    // Decades after the last one the backups are overdue, and the keys must last to where the next would be.
    let report = demo.report(&["runway", "--now", "2100-01-01"]);
    assert!(report["overdue"].is_string(), "{report}");
    noted(&report, "was not made");
    let until = |more: &[&str], code| {
        runway(&demo, &[&["--now", "2100-01-01"], more].concat(), code)["stocks"][0]["verdict"]
            .clone()
    };
    // The next keys are needed on 29 June and 26 December.
    assert_eq!(until(&["--next", "2100-07-01", "--next", "2100-12-25"], 0), "lasts");
    assert_eq!(until(&["--next", "2100-07-01", "--next", "2101-01-01"], 1), "next-only");
    let to_next = ["--next", "2100-07-01", "--next", "2101-01-01", "--to", "next"];
    assert_eq!(until(&to_next, 0), "next-only");
    assert_eq!(until(&["--next", "2100-12-26", "--to", "next"], 1), "short");
    assert_eq!(until(&["--next", "2100-12-25", "--every", "1d"], 1), "next-only");

    refused(&demo, &["--now", "2026-01-01"], 1, "and the last backup was made later");
    refused(&demo, &["--next", "soon"], 2, "--next: \"soon\" is no date");
    refused(&demo, &["--every=-6mo"], 2, "--every: \"-6mo\" is negative");
    refused(&demo, &["--used-ids", "/nonexistent"], 1, "--used-ids: /nonexistent can't be read");
    let ids = write(&demo, "used", "k-1\n");
    refused(&demo, &["--used-ids", &ids], 1, "used:1: \"k-1\" is no CKA_ID");
    demo.configure(|text| text.replace("rsa:2048", "rsa2048"));
    refused(&demo, &[], 1, "[[token.rollover]] \"k\": type: \"rsa2048\" is no type of key");
    demo.configure(|text| {
        text.replace("[[token.rollover]]", "[token.policy]").replace(
            "name = \"k\"\ntype = \"rsa2048\"\nlifetime = \"180d\"\nsince = \"2099-12-31\"",
            "",
        )
    });
    refused(&demo, &[], 2, "nothing says which keys are needed: give --opendnssec");
}

/// OpenDNSSEC's files for a demo: the policies that it ships, and a database with its own tables.
struct Dns {
    conf: String,
    database: Connection,
}

impl Dns {
    fn of(demo: &Demo) -> Self {
        let shipped = |name: &str| {
            fs::read_to_string(Path::new(SHIPPED).join(name)).unwrap_or_else(|error| {
                panic!("{SHIPPED}/{name}: {error}; run scripts/setup.sh test")
            })
        };
        let dir = demo.dir();
        let kasp =
            shipped("kasp.xml").replace("SoftHSM", "hsm").replace("\"1024\">8", "\"256\">13");
        write(demo, "kasp.xml", &kasp);
        write(
            demo,
            "zonelist.xml",
            "<ZoneList><Zone name=\"a\"><Policy>default</Policy></Zone></ZoneList>",
        );
        let conf = shipped("conf.xml")
            .replace("<TokenLabel>OpenDNSSEC<", "<TokenLabel>demo<")
            .replace("name=\"SoftHSM\"", "name=\"hsm\"")
            .replace("<PIN>1234<", "<PIN>4711-0815<")
            .replace("/etc/opendnssec", &dir.display().to_string())
            .replace("/var/lib/opendnssec", &dir.display().to_string());
        let database = Connection::open(dir.join("kasp.db")).expect("a database");
        database.execute_batch(&shipped("schema.sqlite")).expect("OpenDNSSEC's tables");
        let dns = Self { conf: write(demo, "conf.xml", &conf), database };
        dns.import();
        dns
    }

    fn run(&self, statement: &str) {
        self.database
            .execute_batch(statement)
            .unwrap_or_else(|error| panic!("{error}: {statement}"));
    }

    /// What `ods-enforcer policy import` and `zone add` leave: the shipped policies, as 2.1.12 wrote them, and a zone.
    fn import(&self) {
        self.run("INSERT INTO databaseVersion VALUES (1, 1, 1)");
        for (id, name) in [(1, "default"), (2, "lab")] {
            self.run(&format!(
                "INSERT INTO policy VALUES ({id},1,'{name}','',0,0,0,0,0,0,NULL,0,0,0,0,0,0,0,0,'',0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0)"
            ));
        }
        self.run(
            "INSERT INTO policyKey VALUES (1,1,1,1,8,2048,31536000,'hsm',0,0,0,4), (2,1,1,2,13,256,7776000,'hsm',0,0,0,1),
                (3,1,2,1,8,2048,31536000,'hsm',0,0,0,4), (4,1,2,2,13,256,14400,'hsm',0,0,0,1)",
        );
        self.run(
            "INSERT INTO zone VALUES (1,1,1,'a',0,'',0,0,0,0,0,0,0,'File','','File','',0,0,0)",
        );
    }

    /// The enforcer knows a key: unused (1) or used by the zone (2) since so many days before the century.
    fn knows(&self, id: &str, role: i64, used_for: Option<i64>) {
        let (algorithm, bits) = if role == 1 { (8, 2048) } else { (13, 256) };
        let state = if used_for.is_some() { 2 } else { 1 };
        self.run(&format!(
            "INSERT INTO hsmKey (policyId, locator, state, bits, algorithm, role, inception, isRevoked, keyType, repository, backup)
                VALUES (1,'{id}',{state},{bits},{algorithm},{role},0,0,1,'hsm',0)"
        ));
        if let Some(days) = used_for {
            let taken = CENTURY - days * DAY;
            self.run(&format!(
                "INSERT INTO keyData (zoneId, hsmKeyId, algorithm, inception, role, introducing, shouldRevoke, standby,
                    activeZsk, publish, activeKsk, dsAtParent, keytag, minimize)
                    VALUES (1,{},{algorithm},{taken},{role},1,0,0,0,0,0,0,0,0)",
                self.database.last_insert_rowid()
            ));
        }
    }
}

#[test]
fn opendnssec_says_itself_which_keys_it_has_taken_and_which_it_will_take() {
    let (_folder, demo) = demo();
    let dns = Dns::of(&demo);
    let zsks = make(&demo, "ec:p256", "zsk", 4);
    let ksks = make(&demo, "rsa:2048", "ksk", 2);
    make(&demo, "ec:p256", "stranger", 1);
    back_up(&demo, "one.bundle", &[]);
    let late = make(&demo, "ec:p256", "late", 1);
    // A zone has had its ZSK for 30 days and its KSK for 300.
    dns.knows(&zsks[0], 2, Some(30));
    dns.knows(&ksks[0], 1, Some(300));
    for id in zsks[1..].iter().chain(&late) {
        dns.knows(id, 2, None);
    }
    dns.knows(&ksks[1], 1, None);
    let asked = |more: &[&'static str], code| {
        runway(&demo, &[&["--opendnssec", &dns.conf], &DATES[..], more].concat(), code)
    };

    // ZSKs after 60 and 150 days, then 240 and 330; the KSK after 65. A year's stock: five and one.
    let report = asked(&[], 0);
    let expected = [("default KSK", 1, 0, "lasts"), ("default ZSK", 3, 1, "lasts")];
    assert_eq!(
        (report["source"].as_str(), stocks(&report)),
        (Some("opendnssec"), expected.to_vec())
    );
    let [ksk, zsk] = [&report["stocks"][0], &report["stocks"][1]];
    let at: Vec<_> = zsk["taken"].as_array().expect("moments").iter().map(|it| &it["at"]).collect();
    let days = ["2100-03-02", "2100-05-31", "2100-08-29", "2100-11-27"];
    assert_eq!(at, days.map(|day| format!("{day}T00:00:00Z")).iter().collect::<Vec<_>>());
    assert_eq!(ksk["taken"][0]["at"], "2100-03-07T00:00:00Z");
    assert_eq!((&zsk["kept"], &ksk["kept"]), (&5.into(), &1.into()));
    assert_eq!(
        (&zsk["to_next"]["available"], &zsk["to_after"]["available"]),
        (&3.into(), &5.into())
    );
    assert_eq!(zsk["runs_out"], "2100-11-27T00:00:00Z");
    noted(&report, "1 key is on the token unknown to OpenDNSSEC");

    // A key that is gone from the token; one in use that no backup has; one more zone, which takes both its keys now.
    dns.run(&format!("DELETE FROM hsmKey WHERE locator = '{}'", late[0]));
    dns.run(&format!("UPDATE hsmKey SET locator = 'ffff' WHERE locator = '{}'", zsks[1]));
    dns.run(&format!("UPDATE hsmKey SET locator = '{}' WHERE state = 2 AND role = 2", late[0]));
    dns.run("INSERT INTO zone VALUES (2,1,1,'b',0,'',0,0,0,0,0,0,0,'File','','File','',0,0,0)");
    let report = asked(&[], 1);
    assert_eq!(stocks(&report), [("default KSK", 1, 0, "short"), ("default ZSK", 2, 0, "short")]);
    noted(&report, "default ZSK: 1 unused key is of which OpenDNSSEC believes");
    noted(&report, "1 key is in use and in no backup that counts");
    let zsk = &report["stocks"][1];
    assert_eq!(zsk["taken"][0], serde_json::json!({ "at": "2100-01-01T00:00:00Z", "keys": 1 }));
    // Two zones: one takes on days 60 and 150, the other on days 0, 90 and 180.
    assert_eq!((&zsk["to_next"]["taken"], &zsk["make"]), (&5.into(), &3.into()));
    assert_eq!(
        zsk["remedy"],
        "make 3 more, and a backup before 2100-04-01: ods-enforcer key generate --policy default --duration P450D"
    );

    // What stands in the file and was never imported is told, and what is in force is reckoned with.
    demo_text(&demo, "kasp.xml", "<Lifetime>P90D", "<Lifetime>P30D");
    let report = asked(&[], 1);
    noted(&report, "is not what is in force (policies that differ: default)");
    assert_eq!(report["stocks"][1]["uses"][0]["lifetime_s"], 7_776_000);
    // By hand, and left out if so wished; another token's keys are no business of this one.
    dns.run("UPDATE policyKey SET manualRollover = 1 WHERE role = 1");
    assert_eq!(asked(&[], 1)["stocks"][0]["uses"][0]["manual"], true);
    let report = asked(&["--without-manual"], 1);
    assert_eq!(stocks(&report).len(), 1);
    noted(&report, "default KSK: its keys are replaced by hand: left out");
    dns.run("UPDATE policyKey SET repository = 'elsewhere'");
    let asked = [&["--opendnssec", &dns.conf], &DATES[..]].concat();
    refused(&demo, &asked, 1, "nothing needs keys of demo");
}

fn demo_text(demo: &Demo, name: &str, from: &str, to: &str) {
    let text = fs::read_to_string(demo.dir().join(name)).expect("a file");
    assert!(text.contains(from), "{name} has {from}");
    write(demo, name, &text.replace(from, to));
}

#[test]
fn policies_alone_are_enough_for_the_worst_case() {
    let (_folder, demo) = demo();
    let _dns = Dns::of(&demo);
    let path =
        |name: &str| -> String { PathBuf::from(demo.dir()).join(name).display().to_string() };
    make(&demo, "ec:p256", "zsk", 3);
    make(&demo, "rsa:2048", "ksk", 2);
    back_up(&demo, "one.bundle", &[]);
    make(&demo, "ec:p256", "zsk", 2);
    let (kasp, zones) = (path("kasp.xml"), path("zonelist.xml"));
    let files = [&["--kasp", &kasp, "--zonelist", &zones], &DATES[..]].concat();
    // Nobody knows when the zone took its keys: it may take one now, one in 90 days and one in 180.
    let report = runway(&demo, &files, 0);
    assert_eq!(stocks(&report), [("ec:p256", 3, 2, "lasts"), ("rsa:2048", 2, 0, "lasts")]);
    let zsk = &report["stocks"][0];
    assert_eq!((&zsk["to_next"]["taken"], &zsk["to_after"]["taken"]), (&3.into(), &2.into()));
    assert_eq!(zsk["uses"][0]["assumed"], true);
    // The same where conf.xml names a database that is not a file.
    demo_text(&demo, "conf.xml", "<SQLite>", "<MySQL><Host>");
    demo_text(&demo, "conf.xml", "</SQLite>", "</Host></MySQL>");
    let mysql = runway(&demo, &[&["--opendnssec", &path("conf.xml")], &DATES[..]].concat(), 0);
    assert_eq!(mysql["stocks"], report["stocks"]);

    demo_text(&demo, "zonelist.xml", ">default<", ">unknown<");
    refused(&demo, &files, 1, "a zone has the policy \"unknown\", which");
    demo_text(&demo, "zonelist.xml", ">unknown<", ">default<");
    demo_text(&demo, "kasp.xml", "<Lifetime>P90D", "<Lifetime>-P90D");
    refused(&demo, &files, 1, "kasp.xml:61: <Lifetime>: \"-P90D\" is negative");
    demo_text(&demo, "kasp.xml", "</KASP>", "");
    refused(&demo, &files, 1, "kasp.xml:1: is no well-formed XML");
    refused(&demo, &["--kasp", &kasp], 2, "--zonelist");
}

#[test]
fn opendnssecs_files_that_can_not_be_used_are_told_before_a_pin_is_asked_for() {
    let (_folder, demo) = demo();
    let dns = Dns::of(&demo);
    let files = [&["--opendnssec", &dns.conf], &DATES[..]].concat();
    demo_text(&demo, "conf.xml", "<TokenLabel>demo<", "<TokenLabel>other<");
    refused_at_once(&demo, &files, 1, "no repository has the TokenLabel demo; they have other");
    demo_text(&demo, "conf.xml", "<TokenLabel>other<", "<TokenLabel>demo<");
    let ids = write(&demo, "used", "");
    refused(&demo, &[&files[..], &["--used-ids", &ids]].concat(), 2, "leave it out");
    drop(dns.database);
    fs::write(demo.dir().join("kasp.db"), "no database at all, but some text").expect("a file");
    refused_at_once(
        &demo,
        &files,
        1,
        "kasp.db: is not the database of an enforcer of OpenDNSSEC 2",
    );
    fs::remove_file(demo.dir().join("kasp.db")).expect("a file");
    refused_at_once(&demo, &files, 1, "kasp.db: can't be read (No such file");
    demo_text(&demo, "conf.xml", "<PIN>4711-0815<", "<PIN>4711&0815;<");
    refused_at_once(&demo, &files, 1, "conf.xml:10: is no well-formed XML");
    refused_at_once(&demo, &["--opendnssec", "/nonexistent/conf.xml"], 1, "can't be read");
}
