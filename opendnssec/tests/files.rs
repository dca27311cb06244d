//! OpenDNSSEC's files, whole and broken.

#![expect(clippy::panic, clippy::unwrap_used, reason = "what the tests share may fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tandem_opendnssec::{
    Configuration, Database, Datastore, PolicyKey, Role, differences, policies, zones,
};
use tempfile::TempDir;

/// What the PIN in conf.xml is: it must be nowhere else.
const PIN: &str = "secret-4711";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(shipped(name)).unwrap()
}

/// A file of this content, gone when the folder is dropped.
fn file(content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, content).unwrap();
    (folder, file)
}

/// The database of `kasp.sql`, and what is done to it.
fn database(more: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kasp.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch(&text("kasp.sql")).unwrap();
    connection.execute_batch(more).unwrap();
    (folder, file)
}

fn key(role: Role, algorithm: u8, bits: u32, days: u64) -> PolicyKey {
    PolicyKey {
        role,
        algorithm,
        bits,
        lifetime_s: days * 86_400,
        repository: "hsm".to_owned(),
        standby: 0,
        manual: false,
    }
}

#[test]
fn a_policy_is_read_as_it_is_meant() {
    let found = policies(&shipped("kasp.xml")).unwrap();
    let names: Vec<_> = found.iter().map(|policy| (policy.name.as_str(), policy.shared)).collect();
    assert_eq!(names, [("registry", false), ("parked", true), ("as-it-is", false)]);
    let ksk = PolicyKey { manual: true, ..key(Role::Ksk, 8, 2048, 365) };
    let zsk = PolicyKey { standby: 1, ..key(Role::Zsk, 13, 256, 90) };
    assert_eq!(found[0].keys, [ksk, zsk]);
    let csk = key(Role::Csk, 14, 384, 730);
    assert_eq!(found[1].keys, [PolicyKey { repository: "elsewhere".to_owned(), ..csk }]);
    assert_eq!(found[2].keys, []);
    let kinds: Vec<_> =
        found.iter().flat_map(|policy| &policy.keys).map(PolicyKey::key_type).collect();
    assert_eq!(kinds, ["rsa:2048", "ec:p256", "ec:p384"]);
    assert_eq!(key(Role::Zsk, 12, 512, 1).key_type(), "algorithm 12");
}

#[test]
fn a_configuration_is_read_but_for_its_pins() {
    let conf = Configuration::read(&shipped("conf.xml")).unwrap();
    assert_eq!(conf.named("dnssec"), ["hsm"]);
    assert_eq!(conf.named("hsm"), [""; 0], "a repository's name is not a token's label");
    assert_eq!(conf.datastore, Datastore::Sqlite("/var/lib/opendnssec/kasp.db".into()));
    assert_eq!(conf.policies, Path::new("/etc/opendnssec/kasp.xml"));
    assert_eq!(conf.zones, Path::new("/etc/opendnssec/zonelist.xml"));
    assert!(!format!("{conf:?}").contains(PIN));
    // What 2.1.12 was seen to keep: five for ZSKs of 90 days, one for KSKs of a year.
    let zsk = key(Role::Zsk, 13, 256, 90);
    assert_eq!(conf.kept(&zsk), 5);
    assert_eq!(conf.kept(&key(Role::Ksk, 13, 256, 365)), 1);
    assert_eq!(conf.kept(&key(Role::Ksk, 13, 256, 0)), 0, "a key that is never replaced");

    let of = |from: &str, to: &str| {
        let (_folder, file) = file(text("conf.xml").replace(from, to));
        Configuration::read(&file).unwrap()
    };
    let period = "<AutomaticKeyGenerationPeriod>P1Y</AutomaticKeyGenerationPeriod>";
    assert_eq!(of(period, "").kept(&zsk), 5, "a year where nothing is said");
    assert_eq!(of("P1Y", "P2Y").kept(&zsk), 9);
    assert_eq!(of("P1Y", "P60000D").kept(&zsk), 667, "as 2.1.12 has it");
    assert_eq!(of("<!-- <ManualKeyGeneration/> -->", "<ManualKeyGeneration/>").kept(&zsk), 0);
    let mysql = "<MySQL><Host>db</Host><Database>kasp</Database><Username>u</Username></MySQL>";
    let conf = of("<SQLite>/var/lib/opendnssec/kasp.db</SQLite>", mysql);
    assert_eq!(conf.datastore, Datastore::MySql);
}

#[test]
fn zones_are_counted_by_policy() {
    let expected = BTreeMap::from([("parked".to_owned(), 1), ("registry".to_owned(), 2)]);
    assert_eq!(zones(&shipped("zonelist.xml")).unwrap(), expected);
    let (_folder, empty) = file("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ZoneList/>");
    assert_eq!(zones(&empty).unwrap(), BTreeMap::new());
}

/// A file is refused, and the refusal says this and not the PIN.
fn refused<T>(found: tandem_opendnssec::Result<T>, says: &str) {
    let error = found.err().unwrap_or_else(|| panic!("it is taken: {says}")).to_string();
    assert!(error.contains(says), "{says:?} is not in: {error}");
    assert!(!error.contains("4711"), "{error}");
}

#[test]
fn a_broken_or_foreign_policy_says_where_and_what() {
    let of = |from: &str, to: &str, says: &str| {
        assert!(text("kasp.xml").contains(from), "{from}");
        let (_folder, file) = file(text("kasp.xml").replacen(from, to, 1));
        refused(policies(&file), says);
    };
    of("</KASP>", "", "is no well-formed XML");
    of("<KASP>", "<Zones>", "is no well-formed XML");
    of("<Algorithm length=\"256\">13</Algorithm>", "", ":39: <ZSK> has no <Algorithm>");
    of("<Algorithm length=\"256\">", "<Algorithm>", ":40: <Algorithm> has no length=\"…\"");
    of(">13<", ">256<", ":40: <Algorithm>: \"256\" is no number that fits here");
    of(">13<", ">-13<", "\"-13\" is no number that fits here");
    of("length=\"256\"", "length=\"99999999999\"", "is no number that fits here");
    of("> P90D <", "> -P90D <", ":41: <Lifetime>: \"-P90D\" is negative");
    of("> P90D <", "> 90 <", ":41: <Lifetime>: \"90\" is no duration; write, for example, P90D");
    of("> P90D <", "> P999Y <", "is longer than OpenDNSSEC can count");
    of("> P90D <", "><", ":41: <Lifetime> is empty");
    of(">1</Standby>", ">-1</Standby>", "<Standby>: \"-1\" is no number");
    of("<Repository>hsm</Repository>", "", "<KSK> has no <Repository>");
    of(" name=\"parked\"", "", "<Policy> has no name=\"…\"");
    of("name=\"parked\"", "name=\"registry\"", "there is another policy \"registry\"");
}

#[test]
fn files_that_are_something_else_are_told_by_their_name() {
    let (_a, foreign) = file("<html><body>404</body></html>");
    refused(policies(&foreign), "it has no <KASP>");
    refused(zones(&foreign), "it has no <ZoneList>");
    refused(Configuration::read(&foreign), "it has no <Configuration>");
    refused(policies(&shipped("zonelist.xml")), "it has no <KASP>");
    for bytes in [&b""[..], b"\0\0\0", b"\xff\xfe<", b"<KASP", b"<KASP/><KASP/>"] {
        let (_folder, file) = file(bytes);
        assert!(policies(&file).is_err() && zones(&file).is_err(), "{bytes:?}");
        refused(Database::read(&file), "is not the database of an enforcer");
    }
    let (_b, none) = file("<KASP/>");
    refused(policies(&none), "has no policy");
    let nowhere = Path::new("/nonexistent/kasp.xml");
    refused(policies(nowhere), "/nonexistent/kasp.xml: can't be read (No such file");
    refused(Database::read(nowhere), "can't be read (No such file");
    refused(policies(Path::new("/")), "can't be read");
}

#[test]
fn a_configuration_that_is_broken_keeps_its_pin_to_itself() {
    let of = |from: &str, to: &str, says: &str| {
        assert!(text("conf.xml").contains(from), "{from}");
        let (_folder, file) = file(text("conf.xml").replacen(from, to, 1));
        refused(Configuration::read(&file), says);
    };
    of("<PIN>secret-4711</PIN>", "<PIN>secret&4711;</PIN>", "is no well-formed XML");
    of("<PIN>secret-4711</PIN>", "<PIN>se<secret-4711</PIN>", "is no well-formed XML");
    of("<PIN>secret-4711</PIN>", "<secret-4711>", "is no well-formed XML");
    of("<TokenLabel>dnssec</TokenLabel>", "", "<Repository> has no <TokenLabel>");
    of("<SQLite>/var/lib/opendnssec/kasp.db</SQLite>", "", "has neither <SQLite> nor <MySQL>");
    of(">P1Y<", ">1 year<", "\"1 year\" is no duration");
    of("<PolicyFile>/etc/opendnssec/kasp.xml</PolicyFile>", "", "<Common> has no <PolicyFile>");
}

#[test]
fn bombs_of_entities_and_towers_of_elements_do_no_harm() {
    let bomb = "<!DOCTYPE k [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><KASP>&b;</KASP>";
    let (_a, bomb) = file(bomb);
    refused(policies(&bomb), "is no well-formed XML");
    let high = 200_000;
    let tower = format!("<KASP>{}{}</KASP>", "<a>".repeat(high), "</a>".repeat(high));
    let (_b, tower) = file(tower);
    refused(policies(&tower), "has no policy");
}

#[test]
fn the_database_tells_when_zones_take_their_next_keys() {
    let (_folder, file) = database("");
    let database = Database::read(&file).unwrap();
    let used = ["aa01", "aa02", "bb01", "bb02", "bb03", "cc01", "cc02"];
    assert_eq!(database.used, used.map(str::to_owned).into());
    let demands = database.demands(9_000_000);
    let names: Vec<_> =
        demands.iter().map(|it| (it.policy.as_str(), it.key.role, it.keys)).collect();
    let expected =
        [("registry", Role::Ksk, 3), ("registry", Role::Zsk, 3), ("shared", Role::Csk, 1)];
    assert_eq!(names, expected, "a policy without a zone needs nothing");

    // The youngest key of each zone, and its lifetime. The new zone takes one at once.
    let taken = |index: usize| demands[index].taken_s.clone().into_iter().collect::<Vec<_>>();
    assert_eq!(taken(0), [(9_000_000, 1), (32_536_000, 1), (33_036_000, 1)]);
    assert_eq!(taken(1), [(9_000_000, 1), (9_776_000, 1), (16_552_000, 1)]);
    assert!(demands[0].key.manual && demands[1].key.standby == 1);
    assert_eq!(demands[1].unused, ["bb11", "bb12", "bb13"]);
    assert_eq!(demands[0].unused, [""; 0]);
    // One for all: when the first of those that have it replaces it.
    assert_eq!(taken(2), [(5_001_000, 1)]);
}

#[test]
fn what_somebody_wants_replaced_now_is_due_now() {
    let roll = "UPDATE zone SET rollZskNow = 1 WHERE name = 'a.example';
                UPDATE zone SET rollCskNow = 1 WHERE name = 'd.example';
                DELETE FROM keyData WHERE zoneId = 3;";
    let (_folder, file) = database(roll);
    let demands = Database::read(&file).unwrap().demands(9_000_000);
    let zsk: Vec<_> = demands[1].taken_s.iter().map(|(at, keys)| (*at, *keys)).collect();
    assert_eq!(zsk, [(9_000_000, 2), (9_776_000, 1)]);
    assert_eq!(demands[0].taken_s.len(), 3, "the KSK stays");
    assert_eq!(demands[2].taken_s, BTreeMap::from([(5_001_000, 1)]), "or later, never earlier");
    let (_folder, file) =
        database("DELETE FROM keyData; UPDATE policyKey SET lifetime = 0 WHERE id = 2");
    let demands = Database::read(&file).unwrap().demands(7);
    assert_eq!(demands[0].taken_s, BTreeMap::from([(7, 3)]));
    assert_eq!(demands[1].taken_s, BTreeMap::new(), "the enforcer takes no key without a lifetime");
    assert_eq!(demands[2].taken_s, BTreeMap::from([(7, 1)]));
}

#[test]
fn a_database_of_another_version_or_with_nonsense_is_refused() {
    for nonsense in [
        "UPDATE databaseVersion SET version = 2",
        "DELETE FROM databaseVersion",
        "DROP TABLE hsmKey",
        "DROP TABLE databaseVersion",
        "UPDATE policyKey SET lifetime = -1",
        "UPDATE policyKey SET lifetime = 'long'",
        "UPDATE policyKey SET lifetime = 99999999999",
        "UPDATE keyData SET inception = -5",
        "UPDATE policyKey SET role = 4",
        "UPDATE hsmKey SET algorithm = 300",
    ] {
        let (_folder, file) = database(nonsense);
        refused(Database::read(&file), "is not the database of an enforcer of OpenDNSSEC 2");
    }
}

#[test]
fn reading_leaves_the_database_as_it_was() {
    let (_folder, file) = database("");
    let before = std::fs::read(&file).unwrap();
    let writer = rusqlite::Connection::open(&file).unwrap();
    // The enforcer is about to write, and has not committed yet.
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM zone;").unwrap();
    assert_eq!(Database::read(&file).unwrap().zones.len(), 6);
    writer.execute_batch("ROLLBACK").unwrap();
    drop(writer);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let names = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let names: BTreeSet<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn what_the_file_and_the_database_say_is_compared() {
    let here = policies(&shipped("kasp.xml")).unwrap();
    assert_eq!(differences(&here, &here), [""; 0]);
    let mut there = here.clone();
    there[0].keys[1].lifetime_s += 1;
    there.pop();
    assert_eq!(differences(&here, &there), ["as-it-is", "registry"]);
    assert_eq!(differences(&there, &here), ["as-it-is", "registry"]);
}
