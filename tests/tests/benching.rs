//! Benchmarks over real tokens. `tandem bench` measures Tandem and each member, and leaves everything as it was; the project's own
//! benchmark writes a page, of which a part can be measured anew.

use cryptoki::object::{Attribute, AttributeType};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tandem_tests::{Demo, Wanted, alone, artefacts};

/// Enough to see that it works.
const QUICK: [&str; 5] = ["bench", "--rounds", "2", "--millis", "5"];

/// Puts a key on the members, which must stay as it is.
fn with_a_key(demo: &Demo) {
    demo.report(&["keys", "generate", "--type", "ec:p256", "--label", "kept"]);
}

fn bench(demo: &Demo, arguments: &[&str]) -> Command {
    let mut command = demo.command(QUICK.iter().chain(arguments));
    command.arg("--module").arg(artefacts::module());
    command
}

/// What it reports, with this exit code.
fn report(demo: &Demo, arguments: &[&str], code: i32) -> Value {
    let output = bench(demo, arguments).arg("--json").output().expect("tandem runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// What Tandem and the members hold, as nobody may change it.
fn held(demo: &Demo) -> (u64, Value, Vec<Vec<String>>) {
    let members = demo.members().into_iter().map(|(member, _)| {
        let direct = demo.direct(member);
        let session = direct.open();
        let kinds = [AttributeType::Class, AttributeType::Label, AttributeType::Id];
        let describe = |object| {
            let mut attributes: Vec<Attribute> =
                session.get_attributes(object, &kinds).expect("its attributes");
            attributes.sort_by_key(|attribute| format!("{attribute:?}"));
            format!("{attributes:?}")
        };
        let objects = session.find_objects(&[]).expect("objects");
        let mut objects: Vec<_> = objects.into_iter().map(describe).collect();
        objects.sort();
        objects
    });
    let members = members.collect();
    (demo.head(), demo.report(&["keys"]), members)
}

/// The names of the contenders of something measured; `None` is Tandem.
fn names(measured: &Value) -> Vec<Option<&str>> {
    let contenders = measured["contenders"].as_array().expect("contenders");
    contenders.iter().map(|contender| contender["member"].as_str()).collect()
}

#[test]
fn tandem_and_each_member_are_measured_and_nothing_is_left_behind() {
    alone(&Wanted::mixed(), |demo| {
        with_a_key(demo);
        let before = held(demo);
        assert!(before.2.iter().all(|objects| !objects.is_empty()), "{before:?}");
        let types = "ec:p256,rsa:2048,ed25519";
        let report = report(demo, &["--type", types, "--threads", "1,3"], 0);
        assert_eq!(held(demo), before);

        assert_eq!(report["token"], "demo");
        let measured = report["measured"].as_array().expect("what was measured");
        assert_eq!(measured.len(), 6, "{report}");
        for measured in measured {
            assert_eq!(names(measured), [None, Some("a"), Some("b")], "{report}");
            let contenders = measured["contenders"].as_array().expect("contenders");
            for contender in contenders {
                let number = |name: &str| contender[name].as_f64().expect("a number");
                let one = number("nanoseconds") * number("per_second");
                assert!((one / 1e9 - 1.0).abs() < 1e-6, "{contender}");
                // No signature takes less than a microsecond.
                assert!(number("nanoseconds") > 1e3, "{contender}");
            }
            assert!(contenders[0]["tandem_takes"].is_null(), "{report}");
            let takes = &contenders[1]["tandem_takes"];
            let [low, median, high] =
                ["low", "median", "high"].map(|name| takes[name].as_f64().expect("a ratio"));
            assert!(0.0 < low && low <= median && median <= high, "{takes}");
        }
        documented(&report);
        let told = bench(demo, &["--type", "ec:p256"]).output().expect("tandem runs");
        let told = String::from_utf8_lossy(&told.stdout);
        for wanted in ["Tandem takes, against it", "member a", "member b", "nothing is left"] {
            assert!(told.contains(wanted), "{wanted}: {told}");
        }
    });
}

/// Every name in a report.
fn names_in(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            found.insert(name.clone());
            names_in(value, found);
        }),
        Value::Array(items) => items.iter().for_each(|item| names_in(item, found)),
        _ => {}
    }
}

/// Every name in the report is in cli/JSON.md.
fn documented(report: &Value) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/JSON.md");
    let page = fs::read_to_string(page).expect("cli/JSON.md");
    let (_, section) = page.split_once("## `tandem bench`").expect("a section");
    let section = section.split("\n## ").next().expect("its text");
    let mut found = BTreeSet::new();
    names_in(report, &mut found);
    assert!(found.len() > 8, "{found:?}");
    for name in found {
        let written = [format!("`{name}`"), format!(".{name}`"), format!("{name}[]`")];
        assert!(written.iter().any(|it| section.contains(it)), "JSON.md lacks {name}");
    }
}

#[test]
fn a_member_that_is_away_is_told_and_the_others_are_measured() {
    alone(&Wanted::mixed(), |demo| {
        with_a_key(demo);
        demo.take_away("b");
        let report = report(demo, &["--type", "ec:p256", "--threads", "2"], 1);
        assert_eq!(names(&report["measured"][0]), [None, Some("a")], "{report}");
        assert_eq!(report["left_out"][0]["member"], "b", "{report}");
        assert!(report["left_out"][0]["reason"].as_str().is_some_and(|it| !it.is_empty()));
    });
}

#[test]
fn a_module_that_takes_one_call_at_a_time_is_not_asked_by_several_threads() {
    alone(&Wanted::mixed(), |demo| {
        with_a_key(demo);
        demo.configure(|text| {
            text.replacen("[[token.member]]", "[[token.member]]\nserialize = true", 1)
        });
        let report = report(demo, &["--type", "ec:p256", "--threads", "1,2"], 1);
        assert_eq!(names(&report["measured"][0]), [None, Some("a"), Some("b")], "{report}");
        assert_eq!(names(&report["measured"][1]), [None, Some("b")], "{report}");
        assert_eq!(report["measured"][1]["unable"][0]["member"], "a", "{report}");
    });
}

#[test]
fn a_wrong_pin_is_tried_once_and_by_tandem() {
    alone(&Wanted::mixed(), |demo| {
        with_a_key(demo);
        let output = bench(demo, &[]).env("TANDEM_PIN", "87654321").output().expect("tandem runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("CKR_PIN_INCORRECT") && !said.contains("87654321"), "{said}");
        assert!(output.stdout.is_empty());
        // Nor was it tried on any member by itself, which would say what C_Login answered there.
        assert!(!said.contains("C_Login"), "{said}");
    });
}

#[test]
fn a_module_that_is_not_there_is_named() {
    alone(&Wanted::mixed(), |demo| {
        let output = demo.tandem(&["bench", "--module", "/nowhere/libtandem.so"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("--module /nowhere/libtandem.so: there is no such file"), "{said}");
    });
}

#[test]
fn what_is_killed_in_the_middle_leaves_nothing_behind() {
    alone(&Wanted::mixed(), |demo| {
        with_a_key(demo);
        let before = held(demo);
        let long = ["bench", "--type", "ec:p256", "--threads", "2", "--rounds", "1000"];
        let mut command = demo.command(long);
        command.arg("--module").arg(artefacts::module());
        // Its processes have this folder's name in their environment.
        let mark = demo.config().display().to_string();
        let mut child =
            command.env("MARK", &mark).stdout(Stdio::null()).spawn().expect("tandem runs");
        // Itself, and one process for each contender.
        let until = Instant::now() + Duration::from_secs(60);
        while processes(&mark) < 4 {
            assert!(Instant::now() < until, "only {} processes", processes(&mark));
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(Duration::from_millis(500));
        child.kill().expect("it still runs");
        child.wait().expect("a child");
        let until = Instant::now() + Duration::from_secs(60);
        while processes(&mark) > 0 {
            assert!(Instant::now() < until, "{} processes are left", processes(&mark));
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(held(demo), before);
    });
}

/// How many processes have this in their environment.
fn processes(mark: &str) -> usize {
    let wanted = format!("MARK={mark}");
    let folders = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let has = |folder: &fs::DirEntry| {
        let environment = fs::read(folder.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    folders.filter(has).count()
}

#[test]
fn the_projects_benchmark_writes_a_page_part_by_part() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let page = dir.path().join("speed.md");
    let marks = "<!-- measured: written by `make bench` -->\n<!-- end of what was measured -->\n";
    fs::write(&page, format!("# Speed\n{marks}")).expect("a page");
    let measure = |parts: &str| {
        let mut command = Command::new(artefacts::folder().join("bench"));
        command.args(["--vendors", "softhsm", "--keys", "3", "--threads", "2", "--only", parts]);
        command.args(["--rounds", "1", "--millis", "1", "--artefacts"]).arg(artefacts::folder());
        command.arg("--dir").arg(dir.path().join("tokens")).arg("--write").arg(&page);
        let output = command.env_remove("TANDEM_CONFIG").output().expect("bench runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read_to_string(&page).expect("a page")
    };
    let section = |text: &str, name: &str| {
        let (_, after) = text.split_once(&format!("#### {name}, softhsm, 3 keys")).expect(name);
        after.split("\n###").next().expect("a section").trim_end().to_owned()
    };
    let first = measure("work,make,programs");
    for wanted in ["| sign, RSA-2048 | 2 |", "| ods-hsmutil list | 1 |", "| Tandem over two |"] {
        assert!(first.contains(wanted), "{wanted}: {first}");
    }
    // Its host's processor and day.
    assert!(section(&first, "make").contains(" core"), "{first}");
    let second = measure("reads");
    assert!(section(&second, "reads").contains("| find by id | 1 |"), "{second}");
    for part in ["work", "make"] {
        assert_eq!(section(&first, part), section(&second, part), "what was measured before stays");
    }
    for part in ["work", "make", "programs", "reads"] {
        let picture = format!("speed/{part}-softhsm-3.svg");
        assert!(second.contains(&picture), "{picture}: {second}");
        let drawn = fs::read_to_string(dir.path().join(&picture)).expect("a picture");
        assert!(drawn.trim_end().ends_with("</svg>"), "{drawn}");
    }
}
