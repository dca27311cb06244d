//! The project's judge of PKCS #11 modules (`conformance/`): members alone, Tandem over them, and modules that die or hang under it.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use tandem_tests::{Demo, SO_PIN, USER_PIN, Vendor, Wanted, artefacts};
use tempfile::TempDir;

/// How a case ended, and why.
type Rows = BTreeMap<String, (String, String)>;

/// The judge, with the PINs at hand.
fn judge() -> Command {
    let mut command = Command::new(artefacts::judge());
    command.env("P11_PIN", USER_PIN).env("P11_SO_PIN", SO_PIN);
    command
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// Runs the cases and reads what came of them.
fn rows(command: &mut Command) -> Rows {
    let output = command.arg("--json").output().expect("the judge runs");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no JSON ({error}): {}", text(&output)));
    let cases = report["cases"].as_array().expect("cases");
    let word = |case: &Value, key: &str| case[key].as_str().expect("a text").to_owned();
    let row = |case: &Value| (word(case, "name"), (word(case, "outcome"), word(case, "reason")));
    let rows: Rows = cases.iter().map(row).collect();
    assert_eq!(rows.len(), cases.len(), "every case has a name of its own");
    rows
}

/// Members as their vendors' modules show them, on tokens of their own.
fn members() -> (TempDir, Demo) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let demo = Demo::unpaired(&Wanted::mixed(), &dir.path().join("members"));
    (dir, demo)
}

/// What the judge is told of a member.
fn alone(demo: &Demo, name: &str) -> Command {
    let (mut command, vendor) = (judge(), demo.vendor(name));
    command.args(["--token", name, "--may-wipe"]).arg("--module").arg(vendor.module());
    command.env(vendor.variable(), demo.vendor_config(name));
    command
}

/// What the judge is told of Tandem.
fn over(demo: &Demo) -> Command {
    let mut command = judge();
    command.args(["--token", "demo", "--may-wipe"]).arg("--module").arg(artefacts::module());
    command.env("TANDEM_CONFIG", demo.config());
    command
}

/// Functions of 3.2 that Tandem doesn't serve (docs/support.md).
const NOT_SERVED: [&str; 3] = ["C_AsyncComplete", "C_AsyncGetID", "C_AsyncJoin"];

/// What PKCS #11 3 has, over SoftHSM, which speaks 2.40.
const EMULATED: [&str; 4] = [
    "C_VerifySignature with CKM_SHA256_RSA_PKCS: right data, and it ends the operation",
    "C_VerifySignature with CKM_ECDSA: other data",
    "C_VerifySignatureUpdate with CKM_SHA256_RSA_PKCS: right data in parts",
    "C_VerifySignatureFinal with CKM_SHA256_RSA_PKCS: other data, then no operation",
];

/// What Tandem doesn't pass though each of its members does.
fn worse(tandem: &Rows, members: &[&Rows]) -> Vec<String> {
    let passed = |rows: &Rows, name: &str| rows.get(name).is_some_and(|row| row.0 == "passed");
    let is_known = |row: &(String, String)| {
        let function = row.1.strip_prefix("the module has no ");
        row.0 == "skipped" && function.is_some_and(|function| NOT_SERVED.contains(&function))
    };
    let worse = tandem.iter().filter(|(name, row)| {
        row.0 != "passed" && !is_known(row) && members.iter().all(|rows| passed(rows, name))
    });
    worse.map(|(name, row)| format!("{name}: {}: {}", row.0, row.1)).collect()
}

/// Nothing of the cases is on the token.
fn is_empty(demo: &Demo) {
    let report = demo.report(&["keys"]);
    assert_eq!(report["objects"].as_array().map(Vec::len), Some(0), "{report}");
}

#[test]
fn tandem_fails_nothing_that_its_members_pass() {
    let (_dir, alone_demo) = members();
    let (_one_dir, one) = Demo::make(&Wanted::over(&[Vendor::SoftHsm]));
    let (_other_dir, other) = Demo::make(&Wanted::over(&[Vendor::Kryoptic]));
    let (_both_dir, both) = Demo::make(&Wanted::mixed());
    let [softhsm, kryoptic, over_one, over_other, over_both] = thread::scope(|scope| {
        let run = |command: fn(&Demo, &str) -> Command, demo, name| {
            scope.spawn(move || rows(&mut command(demo, name)))
        };
        let through: fn(&Demo, &str) -> Command = |demo, _| over(demo);
        let runs = [
            run(alone, &alone_demo, "a"),
            run(alone, &alone_demo, "b"),
            run(through, &one, "demo"),
            run(through, &other, "demo"),
            run(through, &both, "demo"),
        ];
        runs.map(|run| run.join().expect("a run"))
    });
    let names = ["SoftHSM", "Kryoptic", "over SoftHSM", "over Kryoptic", "over both"];
    for (name, rows) in
        names.into_iter().zip([&softhsm, &kryoptic, &over_one, &over_other, &over_both])
    {
        let passed = rows.values().filter(|row| row.0 == "passed").count();
        assert!(passed > 800, "only {passed} of {} cases passed", rows.len());
        let unknown = |(_, row): &(&String, &(String, String))| {
            row.0 == "failed" && !row.1.starts_with("known deviation: ")
        };
        let unknown: Vec<_> = rows.iter().filter(unknown).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:#?}");
    }
    let found = [
        worse(&over_one, &[&softhsm]),
        worse(&over_other, &[&kryoptic]),
        worse(&over_both, &[&softhsm, &kryoptic]),
    ];
    assert!(found.iter().all(Vec::is_empty), "{found:#?}");
    for name in EMULATED {
        assert_eq!(softhsm[name].0, "skipped", "{name}");
        assert_eq!(over_one[name].0, "passed", "{name}: {}", over_one[name].1);
    }
    for demo in [&one, &other, &both] {
        is_empty(demo);
    }
}

/// SoftHSM behind a module that fails as a script says.
fn faulty(demo: &Demo, dir: &Path, script: &str) -> Command {
    let file = dir.join("script");
    fs::write(&file, script).expect("a script");
    let mut command = judge();
    command.args(["--token", "a"]).arg("--module").arg(artefacts::fault());
    command.env("SOFTHSM2_CONF", demo.vendor_config("a"));
    command.env("TANDEM_FAULT_MODULE", artefacts::softhsm()).env("TANDEM_FAULT_SCRIPT", file);
    command
}

#[test]
fn a_module_that_dies_or_hangs_fails_the_case_and_nothing_more() {
    let (dir, demo) = members();
    let cases = ["--chapter", "digest", "--case", "C_Digest* with CKM_SHA256: *", "--limit", "2"];
    let run = |script: &str| rows(faulty(&demo, dir.path(), script).args(cases));
    let well = run("");
    let is_good = |rows: &Rows, name: &str| rows[name].0 != "failed";
    for (script, told) in [
        ("every C_DigestKey kill\nevery C_DigestFinal kill\n", "signal 9"),
        ("every C_DigestFinal hang\n", "nothing came of it within 2 s"),
    ] {
        let ill = run(script);
        assert_eq!(well.len(), ill.len(), "every case was run");
        let fallen: Vec<_> =
            ill.keys().filter(|name| is_good(&well, name) && !is_good(&ill, name)).collect();
        assert!(!fallen.is_empty() && fallen.len() < well.len() / 2, "{fallen:?}");
        for name in fallen {
            assert!(ill[name].1.contains(told), "{name}: {:?}", ill[name]);
        }
    }
}

/// The judge's random sequences on two modules.
fn differential(seeds: &str) -> Command {
    let mut command = judge();
    command.args(["differential", "--seeds", seeds]);
    command
}

/// Sequences that Tandem once played otherwise than Kryoptic alone: operations that stayed active though they were refused beside another
/// whose session was lost, one whose key was destroyed, and two keys of one name that may do different things.
const FOUND: [&str; 5] = ["1065164", "1087973", "1023039", "1064420", "1005494"];

#[test]
fn random_sequences_come_to_the_same_through_tandem() {
    let (_dir, alone_demo) = members();
    let wanted = [("a", Vendor::SoftHsm), ("b", Vendor::Kryoptic)];
    thread::scope(|scope| {
        for (name, vendor) in wanted {
            let alone_demo = &alone_demo;
            scope.spawn(move || {
                let (_dir, demo) = Demo::make(&Wanted::over(&[vendor]));
                let compare = |seed: &str, seeds: &str| {
                    let mut command = differential(seeds);
                    command.args(["--seed", seed, "--token", name, "--against-token", "demo"]);
                    command.arg("--module").arg(vendor.module());
                    command.arg("--against").arg(artefacts::module());
                    command.env("TANDEM_CONFIG", demo.config());
                    // Tandem's own member is told by its configuration where its token is.
                    command.env(vendor.variable(), alone_demo.vendor_config(name));
                    let output = command.output().expect("the judge runs");
                    assert!(output.status.success(), "{vendor:?}: {}", text(&output));
                    is_empty(&demo);
                };
                compare("1", "100");
                if vendor == Vendor::Kryoptic {
                    for seed in FOUND {
                        compare(seed, "1");
                    }
                }
            });
        }
    });
}

#[test]
fn a_difference_is_found_and_told_in_as_few_calls_as_it_takes() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let wanted = Wanted::over(&[Vendor::SoftHsm, Vendor::SoftHsm]);
    let demo = Demo::unpaired(&wanted, &dir.path().join("members"));
    // Both tokens in one storage, for one configuration.
    let tokens = |member: &str| demo.storage(member).join("tokens");
    for token in fs::read_dir(tokens("b")).expect("the second token") {
        let token = token.expect("a token");
        fs::rename(token.path(), tokens("a").join(token.file_name())).expect("a folder");
    }
    let file = dir.path().join("script");
    fs::write(&file, "every C_Digest wrong-output\n").expect("a script");
    let run = |seed: &str, seeds: &str| {
        let mut command = differential(seeds);
        command.args(["--seed", seed, "--token", "a", "--against-token", "b", "--most", "1"]);
        command.arg("--module").arg(artefacts::softhsm()).arg("--against").arg(artefacts::fault());
        command.env("SOFTHSM2_CONF", demo.vendor_config("a"));
        command.env("TANDEM_FAULT_MODULE", artefacts::softhsm());
        command.env("TANDEM_FAULT_SCRIPT", &file);
        let output = command.output().expect("the judge runs");
        assert!(!output.status.success(), "{}", text(&output));
        text(&output)
    };
    let told = run("1", "400");
    assert!(told.contains("DIFFERENCE: C_Digest: bytes"), "{told}");
    let is_call = |line: &&str| line.contains(" in ") && line.contains(" C_");
    let shown = told.lines().filter(is_call).count();
    assert!(shown <= 3, "{shown} calls: {told}");
    let seed =
        told.split("--seed ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a seed");
    assert!(run(seed, "1").contains("DIFFERENCE: C_Digest: bytes"), "the seed shows it again");
}
