//! Members come and go while the token is in use: a third is added, one whose token is new is replaced, one is taken out.
//! What a member holds afterwards is seen by its own vendor's module, and it works alone.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::UserType;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::openssl::PublicKey;
use tandem_tests::{
    Demo, Direct, SO_PIN, USER_PIN, Vendor, Wanted, alone, application, kill_when, pin,
};

use Vendor::{Kryoptic, SoftHsm};

/// What is made before members come and go.
const KINDS: [Kind; 4] = [Kind::Rsa(2048), Kind::P256, Kind::Aes(32), Kind::Generic(32)];

#[test]
fn a_softhsm_token_is_added_to_one_of_each_and_works_alone() {
    alone(&Wanted::mixed(), |demo| add(demo, SoftHsm));
}

#[test]
fn a_kryoptic_token_is_added_to_two_of_softhsm_and_works_alone() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| add(demo, Kryoptic));
}

fn add(demo: &Demo, vendor: Vendor) {
    let keys = make(&KINDS);
    new_member(demo, "c", vendor);
    let line = listed(demo, "c");
    assert_eq!(
        (line["condition"].as_str(), line["ring"].as_bool()),
        (Some("outside"), Some(false))
    );
    // A member that nobody brought in is not in the way of anything.
    let before = make_one("before c");
    assert!(demo.tandem(&["verify"]).status.success(), "c is not waited for");

    let added = report(demo, &["member", "add", "c", "--shares", &shares(demo)]);
    assert_eq!(added["changed"], true, "{added}");
    assert!(added["exceptions"].as_array().expect("a list").is_empty(), "{added}");
    let attacks = added["attacks"].as_array().expect("attacks");
    assert!(attacks.len() > 100 && attacks.iter().all(|attack| attack["refused"] == true));
    for way in [("a", "c"), ("b", "c"), ("c", "a"), ("c", "b"), ("c", "c")] {
        let routes = added["routes"].as_array().expect("routes").iter();
        let tried = routes.filter(|route| route["from"] == way.0 && route["to"] == way.1).count();
        assert!(tried > 5, "{way:?} was tried: {added}");
    }
    let line = listed(demo, "c");
    assert_eq!(line["serial"], added["serial"]);
    assert_eq!((line["condition"].as_str(), line["ring"].as_bool()), (Some("up"), Some(true)));
    assert!(demo.tandem(&["verify"]).status.success());

    // Again it changes nothing.
    let again = report(demo, &["member", "add", "c"]);
    assert_eq!(again["changed"], false, "{again}");

    let direct = direct(demo, "c", vendor);
    for key in keys.iter().chain([&before]) {
        key.is_there(&direct, "c directly");
    }
    drop(direct);
    for other in ["a", "b"] {
        demo.take_away(other);
    }
    let (_application, session) = application();
    for key in keys.iter().chain([&before]) {
        key.is_there(&session, "Tandem with c alone");
    }
}

/// How many keys a replaced member gets, beside one of each kind; `TANDEM_REPLACE_KEYS` says otherwise.
fn keys_to_replace() -> usize {
    std::env::var("TANDEM_REPLACE_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

#[test]
fn a_replaced_member_gets_every_key_though_it_is_killed_twice_on_the_way() {
    alone(&Wanted::mixed(), |demo| {
        let keys = make(&KINDS);
        let count = keys_to_replace();
        many(demo, count);
        empty(demo, "a", SoftHsm);
        // Nobody takes the new token for the old one, and that is seen without a PIN.
        assert_eq!(listed(demo, "a")["ring"], true);
        let status = demo.report(&["status"])["tokens"][0]["members"][0].clone();
        assert_eq!(status["condition"], "suspect", "{status}");
        let reason = status["reason"].as_str().expect("a text");
        assert!(reason.contains("tandem member replace a"), "{reason}");
        let arguments = ["member", "replace", "a", "--shares", &shares(demo)];
        let before = head(demo);
        // Once when the log has said that the old token has left, once in the middle of catching up.
        kill_when(demo.command(arguments), || demo.head() > before);
        assert!(!ring_members(demo).contains(&"a".to_owned()), "nobody works with a now");
        assert_eq!(listed(demo, "a")["position"], 0, "nothing of the old token counts");
        let left = demo.head();
        kill_when(demo.command(arguments), || {
            let head = demo.head();
            head > left && (head / 3..head).contains(&demo.position("a"))
        });
        assert!(ring_members(demo).contains(&"a".to_owned()));
        let began = Instant::now();
        let replaced = report(demo, &arguments);
        assert!(replaced["exceptions"].as_array().expect("a list").is_empty(), "{replaced}");
        let after = began.elapsed().as_secs();
        assert!(demo.tandem(&["verify"]).status.success());
        let verified = began.elapsed().as_secs() - after;
        println!(
            "| {count} keys, killed twice | the rest was brought in {after} s | verified in {verified} s |"
        );
        let direct = demo.direct("a");
        for key in &keys {
            key.is_there(&direct, "a directly");
        }
        // The many, each once: what was half-done was found and not made again.
        let privates = direct.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]);
        assert_eq!(privates.expect("a search").len(), count + 2);
        drop(direct);

        let again = report(demo, &arguments);
        assert_eq!(again["changed"], false, "there is nothing to replace: {again}");
        let said = String::from_utf8(demo.tandem(&arguments).stdout).expect("a text");
        assert!(said.contains("tandem verify"), "{said}");
    });
}

#[test]
fn a_member_is_replaced_when_no_other_is_left() {
    alone(&Wanted::mixed(), |demo| {
        let keys = make(&KINDS);
        for (name, vendor) in [("a", SoftHsm), ("b", Kryoptic)] {
            empty(demo, name, vendor);
        }
        // All HSMs burnt: the log and the shares are enough.
        for name in ["a", "b"] {
            report(demo, &["member", "replace", name, "--shares", &shares(demo)]);
        }
        assert!(demo.tandem(&["verify"]).status.success());
        for name in ["a", "b"] {
            let direct = demo.direct(name);
            for key in &keys {
                key.is_there(&direct, name);
            }
        }
    });
}

#[test]
fn a_running_process_sees_members_come_and_go() {
    alone(&Wanted::mixed(), |demo| {
        let keys = make(&KINDS);
        new_member(demo, "c", SoftHsm);
        // Its configuration knows c, and its log doesn't yet.
        let (_application, session) = application();
        report(demo, &["member", "add", "c", "--shares", &shares(demo)]);
        within(20, || demo.log().contains("member c has joined"));
        let made = Kind::P256.make(&session, "made with c").expect("a key");
        Kind::P256.work(&session, made).expect("a signature");
        within(20, || position(demo, "c") == head(demo));
        assert!(Kind::P256.find(&direct(demo, "c", SoftHsm), "made with c").is_some());
        // It works with c alone, without a restart.
        for other in ["a", "b"] {
            demo.take_away(other);
        }
        within(30, || keys.iter().all(|key| key.kind.work(&session, key.found(&session)).is_ok()));
        for other in ["a", "b"] {
            demo.bring_back(other);
        }
        within(60, || demo.tandem(&["verify"]).status.success());

        report(demo, &["member", "remove", "c"]);
        within(20, || demo.log().contains("member c has left"));
        Kind::P256.make(&session, "made without c").expect("a key");
        assert!(Kind::P256.find(&direct(demo, "c", SoftHsm), "made without c").is_none());
    });
}

#[test]
fn a_member_that_is_taken_out_is_not_waited_for_and_comes_back_without_twins() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm, Kryoptic]), |demo| {
        let keys = make(&KINDS);
        let removed = report(demo, &["member", "remove", "b"]);
        assert_eq!(removed["members"], serde_json::json!(["a", "c"]));
        assert_eq!(removed["configured"], true);
        demo.take_away("b");
        let after = make_one("after");
        assert!(demo.tandem(&["verify"]).status.success(), "b is not waited for");
        let status = demo.report(&["status"]);
        assert_eq!(status["tokens"][0]["ring"]["members"], serde_json::json!(["a", "c"]));
        demo.bring_back("b");
        destroy(&keys[0]);

        // What was left there is found again, what was destroyed meanwhile goes, and nothing is there twice.
        let before = objects(&demo.direct("b"));
        report(demo, &["member", "add", "b"]);
        assert!(demo.tandem(&["verify"]).status.success());
        let direct = demo.direct("b");
        for key in keys[1..].iter().chain([&after]) {
            key.is_there(&direct, "b directly");
        }
        assert!(keys[0].kind.find(&direct, &keys[0].name).is_none(), "it was destroyed");
        assert_eq!(objects(&direct), before - 2 + 2, "one pair has gone, one has come");
        drop(direct);

        // One that rests before it leaves is wiped like any other.
        report(demo, &["member", "drain", "b"]);
        let wiped = report(demo, &["member", "remove", "b", "--wipe"]);
        assert!(wiped["wiped"].as_u64().expect("a number") > 5, "{wiped}");
        assert_eq!(objects(&demo.direct("b")), 0);
        report(demo, &["member", "remove", "a"]);
        refused(&demo.tandem(&["member", "remove", "c"]), &["c is its last member"]);
    });
}

#[test]
fn the_only_proven_copy_of_a_key_is_not_taken_out() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        demo.take_away("b");
        make_one("only on a");
        refused(&demo.tandem(&["member", "remove", "a"]), &["only on a", "catch up"]);
        demo.bring_back("b");
        report(demo, &["member", "remove", "a"]);
        let (_application, session) = application();
        assert!(Kind::P256.find(&session, "only on a").is_some());
    });
}

#[test]
fn shares_that_do_not_open_the_ring_are_named() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        new_member(demo, "c", SoftHsm);
        let dir = demo.dir().join("some");
        fs::create_dir(&dir).expect("a folder");
        let folder = dir.display().to_string();
        let add = || demo.tandem(&["member", "add", "c", "--shares", &folder]);
        let share = |number: u8| demo.dir().join(format!("shares/share-{number}.txt"));
        let copy = |number: u8| {
            fs::copy(share(number), dir.join(format!("share-{number}.txt"))).expect("a share");
        };
        refused(&demo.tandem(&["member", "add", "c"]), &["--shares DIR"]);
        refused(&add(), &[&folder, "holds no file"]);
        copy(1);
        copy(2);
        refused(&add(), &[&folder, "2 of 3 shares"]);

        // A word that is another.
        let text = fs::read_to_string(share(3)).expect("a share");
        let wrong = dir.join("share-3.txt");
        let (first, rest) = words(&text).split_once(' ').expect("words");
        let other = if first == "zoo" { "zebra" } else { "zoo" };
        fs::write(&wrong, format!("{other} {rest}")).expect("a share");
        let said = refused(&add(), &[&wrong.display().to_string(), "mistyped"]);
        assert!(!said.contains(other) && !said.contains(rest), "a word of a share is repeated");

        // A share of another ring.
        let theirs = tempfile::tempdir().expect("a folder");
        let theirs = Demo::make_with(&Wanted::over(&[SoftHsm]), theirs.path(), |_| {});
        fs::copy(theirs.dir().join("shares/share-3.txt"), &wrong).expect("a share");
        refused(&add(), &[&wrong.display().to_string(), "another ring"]);

        fs::remove_file(&wrong).expect("a file");
        copy(4);
        assert_eq!(report(demo, &["member", "add", "c", "--shares", &folder])["changed"], true);
        assert!(!demo.log().contains(words(&text)), "a share is in the log");
    });
}

#[test]
fn a_token_that_is_not_empty_is_refused() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        new_member(demo, "c", SoftHsm);
        let foreign = direct(demo, "c", SoftHsm);
        let key = key(&foreign, Kind::P256, "somebody's");
        drop(foreign);
        let add = ["member", "add", "c", "--shares", &shares(demo)];
        refused(&demo.tandem(&add), &["somebody's", "--keep-foreign"]);
        assert_eq!(listed(demo, "c")["ring"], false);
        report(demo, &[&add[..], &["--keep-foreign"]].concat());
        let (application, session) = application();
        assert!(Kind::P256.find(&session, "somebody's").is_none(), "it is not shown");
        drop(session);
        application.finalize();
        key.is_there(&direct(demo, "c", SoftHsm), "c directly");

        // A token of another pairing, and another member's.
        let other = tempfile::tempdir().expect("a folder");
        let other = Demo::make_with(&Wanted::over(&[SoftHsm]), other.path(), |_| {});
        point(demo, "c", &other.storage("a").join("softhsm2.conf"), "a");
        let replace = ["member", "replace", "c", "--shares", &shares(demo)];
        refused(&demo.tandem(&replace), &["key ring", "of another Tandem"]);
        point(demo, "c", &demo.storage("b").join("softhsm2.conf"), "b");
        refused(&demo.tandem(&replace), &["is already member"]);
    });
}

#[test]
fn a_member_is_not_replaced_by_a_token_with_keys_of_others() {
    alone(&Wanted::over(&[SoftHsm, SoftHsm]), |demo| {
        let keys = make(&[Kind::P256, Kind::Aes(32)]);
        empty(demo, "a", SoftHsm);
        let foreign = direct(demo, "a", SoftHsm);
        let theirs = key(&foreign, Kind::P256, "somebody's");
        drop(foreign);
        let replace = ["member", "replace", "a", "--shares", &shares(demo)];
        for _ in 0..2 {
            refused(&demo.tandem(&replace), &["somebody's", "--keep-foreign"]);
        }
        // Nothing of theirs was touched, and nothing of ours is lost.
        let there = direct(demo, "a", SoftHsm);
        theirs.is_there(&there, "a directly");
        assert_eq!(objects(&there), 2, "their pair, and nothing else");
        drop(there);
        let (application, session) = application();
        for key in &keys {
            key.is_there(&session, "Tandem with b alone");
        }
        drop(session);
        application.finalize();

        report(demo, &[&replace[..], &["--keep-foreign"]].concat());
        assert!(demo.tandem(&["verify"]).status.success());
        let there = direct(demo, "a", SoftHsm);
        for key in keys.iter().chain([&theirs]) {
            key.is_there(&there, "a directly");
        }
    });
}

#[test]
fn members_that_only_the_log_or_only_the_configuration_knows_are_told_to_people() {
    alone(&Wanted::mixed(), |demo| {
        let told = |arguments: &[&str]| said(&demo.tandem(arguments)).0;
        let everywhere: [&[&str]; 3] = [&["status"], &["member", "list"], &["doctor"]];
        let sound = fs::read_to_string(demo.config()).expect("tandem.toml");
        assert!(told(&["doctor"]).contains("Nothing is wrong."), "{}", told(&["doctor"]));

        // Configured, and nobody has brought it in.
        new_member(demo, "c", SoftHsm);
        for command in everywhere {
            let said = told(command);
            assert!(said.contains("outside"), "{command:?}: {said}");
            assert!(said.contains("tandem member add c"), "{command:?}: {said}");
        }
        assert!(!told(&["doctor"]).contains("Nothing is wrong."));

        // Brought in, and then its section is gone.
        report(demo, &["member", "add", "c", "--shares", &shares(demo)]);
        for command in everywhere {
            let said = told(command);
            assert!(!said.contains("outside"), "{command:?}: {said}");
            assert!(!said.contains("not in the configuration"), "{command:?}: {said}");
        }
        fs::write(demo.config(), sound).expect("tandem.toml");
        for command in everywhere {
            let said = told(command);
            assert!(said.contains("is not in the configuration"), "{command:?}: {said}");
            assert!(said.contains("tandem member remove c"), "{command:?}: {said}");
        }
        for command in [&["status"][..], &["member", "list"]] {
            let lines = report(demo, command)["tokens"][0]["not_configured"].clone();
            assert_eq!(lines[0]["name"], "c", "{lines}");
            assert!(lines[0]["serial"].as_str().is_some_and(|serial| !serial.is_empty()));
        }
        let doctor = demo.report(&["doctor"]);
        let about =
            |it: &&Value| it["subject"] == "token demo, member c" && it["verdict"] == "wrong";
        let findings = doctor["findings"].as_array().expect("findings").iter();
        assert_eq!(findings.filter(about).count(), 1, "{doctor}");

        // The remedy works without the section.
        report(demo, &["member", "remove", "c"]);
        for command in everywhere {
            let said = told(command);
            assert!(!said.contains("not in the configuration"), "{command:?}: {said}");
        }
        assert!(told(&["doctor"]).contains("Nothing is wrong."), "{}", told(&["doctor"]));
    });
}

/// A key and what is known of it.
struct Key {
    kind: Kind,
    name: String,
    public: Option<PublicKey>,
    result: Vec<u8>,
}

impl Key {
    fn found(&self, session: &cryptoki::session::Session) -> Made {
        self.kind.find(session, &self.name).unwrap_or_else(|| panic!("{} is not there", self.name))
    }

    /// The same key is there and does the same.
    fn is_there(&self, session: &cryptoki::session::Session, place: &str) {
        let made = self.found(session);
        let result = self.kind.work(session, made);
        let result = result.unwrap_or_else(|error| panic!("{} on {place}: {error}", self.kind));
        match &self.public {
            Some(public) => assert!(public.verifies(&DIGEST, &result), "{} on {place}", self.kind),
            None => assert_eq!(result, self.result, "{} on {place}", self.kind),
        }
    }
}

fn make(kinds: &[Kind]) -> Vec<Key> {
    let (_application, session) = application();
    kinds.iter().map(|kind| key(&session, *kind, &format!("key {kind}"))).collect()
}

fn make_one(name: &str) -> Key {
    let (_application, session) = application();
    key(&session, Kind::P256, name)
}

fn key(session: &cryptoki::session::Session, kind: Kind, name: &str) -> Key {
    let made = kind.make(session, name).unwrap_or_else(|error| panic!("{kind}: {error}"));
    let result = kind.work(session, made).unwrap_or_else(|error| panic!("{kind}: {error}"));
    Key { kind, name: name.to_owned(), public: kind.public(session, made), result }
}

fn destroy(key: &Key) {
    let (_application, session) = application();
    let made = key.found(&session);
    for object in made.public.into_iter().chain([made.key]) {
        session.destroy_object(object).expect("C_DestroyObject");
    }
}

fn many(demo: &Demo, count: usize) {
    let count = count.to_string();
    report(demo, &["keys", "generate", "--count", &count, "--type", "ec:p256", "--label", "many"]);
}

/// The command is done, and what it tells.
fn report(demo: &Demo, arguments: &[&str]) -> Value {
    let output = demo.tandem(&[arguments, &["--json"]].concat());
    let (out, err) = said(&output);
    assert!(output.status.success(), "tandem {arguments:?}: {out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"))
}

/// The command is not done, and its error says all of this. Answers the error.
fn refused(output: &Output, says: &[&str]) -> String {
    let (out, err) = said(output);
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    for say in says {
        assert!(err.contains(say), "{say:?} is not in: {err}");
    }
    err
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn shares(demo: &Demo) -> String {
    demo.dir().join("shares").display().to_string()
}

/// The words of a share's file.
fn words(text: &str) -> &str {
    text.lines().find(|line| !line.starts_with('#')).expect("words")
}

fn listed(demo: &Demo, name: &str) -> Value {
    let members = report(demo, &["member", "list"])["tokens"][0]["members"].clone();
    let found = members.as_array().expect("members").iter().find(|line| line["name"] == name);
    found.expect("a member of this name").clone()
}

fn ring_members(demo: &Demo) -> Vec<String> {
    let members = report(demo, &["status"])["tokens"][0]["ring"]["members"].clone();
    serde_json::from_value(members).expect("names")
}

fn position(demo: &Demo, name: &str) -> u64 {
    let members = report(demo, &["status"])["tokens"][0]["members"].clone();
    let found = members.as_array().expect("members").iter().find(|line| line["name"] == name);
    found.expect("a member of this name")["position"].as_u64().expect("a number")
}

fn head(demo: &Demo) -> u64 {
    report(demo, &["status"])["tokens"][0]["head"].as_u64().expect("a number")
}

fn objects(direct: &Direct) -> usize {
    direct.find_objects(&[]).expect("a search").len()
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

/// Makes a new token and adds a section for it to the configuration, with the PINs of the others.
fn new_member(demo: &Demo, name: &str, vendor: Vendor) {
    let folder = demo.storage(name);
    fs::create_dir(&folder).expect("a folder");
    let config = new_token(&folder, name, vendor);
    let own = match vendor {
        SoftHsm => format!("environment = {{ SOFTHSM2_CONF = \"{config}\" }}"),
        Kryoptic => format!("init = \"reserved:kryoptic_conf={config}\""),
    };
    let module = vendor.module();
    demo.configure(|text| {
        format!(
            "{text}\n[[token.member]]\nname = \"{name}\"\nmodule = \"{}\"\ntoken = {{ label = \"{name}\" }}\n{own}\n",
            module.display()
        )
    });
}

/// Has the section of the member that was added last name another SoftHSM token.
fn point(demo: &Demo, name: &str, config: &Path, label: &str) {
    let section = format!("name = \"{name}\"");
    demo.configure(|text| {
        // The section is the last one.
        let (before, _) = text.rsplit_once(&section).expect("a section");
        format!(
            "{before}{section}\nmodule = \"{}\"\ntoken = {{ label = \"{label}\" }}\nenvironment = {{ SOFTHSM2_CONF = \"{}\" }}\n",
            SoftHsm.module().display(),
            config.display(),
        )
    });
}

/// Puts an empty token in the place of a member's own.
fn empty(demo: &Demo, name: &str, vendor: Vendor) {
    let folder = demo.storage(name);
    for file in ["tokens", "token.sql"] {
        let file = folder.join(file);
        let _ = if file.is_dir() { fs::remove_dir_all(&file) } else { fs::remove_file(&file) };
    }
    new_token(&folder, name, vendor);
}

/// Makes a token of this label, with both PINs, by its vendor's module in a process of its own. Answers the vendor's
/// configuration.
fn new_token(folder: &Path, name: &str, vendor: Vendor) -> String {
    let (file, text) = match vendor {
        SoftHsm => {
            let tokens = folder.join("tokens");
            fs::create_dir_all(&tokens).expect("a folder");
            ("softhsm2.conf", format!("directories.tokendir = {}\n", tokens.display()))
        }
        Kryoptic => {
            let database = folder.join("token.sql");
            let slot = format!(
                "[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n",
                database.display()
            );
            ("kryoptic.conf", slot)
        }
    };
    let config = folder.join(file);
    fs::write(&config, text).expect("a configuration");
    let config = config.display().to_string();
    let mut inside = Command::new(std::env::current_exe().expect("a path of this program"));
    inside
        .args(["--exact", "make_token", "--include-ignored", "--nocapture"])
        .env(vendor.variable(), &config)
        .env(NEW_TOKEN, name)
        .env(NEW_MODULE, vendor.module());
    let output = inside.output().expect("a process");
    let (out, err) = said(&output);
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
    config
}

/// The label of a token to be made, and the module that makes it.
const NEW_TOKEN: &str = "TANDEM_TEST_NEW_TOKEN";
const NEW_MODULE: &str = "TANDEM_TEST_NEW_MODULE";

#[test]
#[ignore = "the part of other tests that makes a token"]
fn make_token() {
    let Some(label) = std::env::var_os(NEW_TOKEN) else { return };
    let label = label.into_string().expect("a label");
    let module = std::env::var_os(NEW_MODULE).expect("a module");
    let pkcs11 = Pkcs11::new(Path::new(&module)).expect("the vendor's module");
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).expect("C_Initialize");
    let slots = pkcs11.get_all_slots().expect("slots");
    let free = slots
        .into_iter()
        .find(|slot| pkcs11.get_token_info(*slot).is_ok_and(|token| !token.token_initialized()));
    pkcs11.init_token(free.expect("a free slot"), &pin(SO_PIN), &label).expect("C_InitToken");
    let slots = pkcs11.get_slots_with_token().expect("slots");
    let slot = slots
        .into_iter()
        .find(|slot| pkcs11.get_token_info(*slot).is_ok_and(|token| token.label() == label));
    let session = pkcs11.open_rw_session(slot.expect("the new token")).expect("a session");
    session.login(UserType::So, Some(&pin(SO_PIN))).expect("a login");
    session.init_pin(&pin(USER_PIN)).expect("C_InitPIN");
}

/// A member by its vendor's module, also one that was added.
fn direct(demo: &Demo, name: &str, vendor: Vendor) -> Direct {
    let file = match vendor {
        SoftHsm => "softhsm2.conf",
        Kryoptic => "kryoptic.conf",
    };
    let config = demo.storage(name).join(file).display().to_string();
    Direct::new(vendor, &config, name, USER_PIN)
}
