//! `tandem demo` and what works on it, over real SoftHSM and Kryoptic tokens.
//!
//! They need SoftHSM's package and the module that `make members` builds; both are part of `make test`.

use crate::common::{Demo, Run};
use serde_json::Value;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

fn states(object: &Value) -> Vec<&str> {
    let replicas = object["replicas"].as_array().unwrap();
    replicas.iter().map(|replica| replica["state"].as_str().unwrap()).collect()
}

#[test]
fn a_demo_is_made_once() {
    let demo = Demo::of(&["--members", "softhsm,kryoptic", "--set", "member.serialize=true"]);
    let config = std::fs::read_to_string(demo.path("tandem.toml")).unwrap();
    assert_eq!(config.matches("serialize = true").count(), 2, "{config}");

    let again = demo.again(&["--members", "softhsm"]).ends(0).json();
    assert_eq!(again["changed"], false);
    assert_eq!(again["token"], "demo");
    assert_eq!(again["members"][0]["name"], "a");
    assert_eq!(again["members"][1]["name"], "b");
    assert_eq!(again["pairing"]["ring"]["threshold"], 3);
    assert_eq!(again["pairing"]["shares"].as_array().unwrap().len(), 0);
    assert_eq!(std::fs::read_to_string(demo.path("tandem.toml")).unwrap(), config);

    assert_eq!(demo.path("shares").metadata().unwrap().mode() & 0o777, 0o700);
    for number in 1..=5 {
        let share = demo.path(&format!("shares/share-{number}.txt"));
        assert_eq!(share.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(share).unwrap().lines().count() >= 3);
    }
    assert!(!demo.path("shares/share-6.txt").exists());
}

#[test]
fn each_member_can_be_used_directly() {
    let demo = Demo::new();
    for member in ["a", "b"] {
        let env = demo.path(&format!("members/{member}/env"));
        let lines =
            ". \"$0\" && echo \"$P11_MODULE\" && test -r \"${SOFTHSM2_CONF:-$KRYOPTIC_CONF}\"";
        let shell = Command::new("sh").arg("-c").arg(lines).arg(&env).output().unwrap();
        let shown = Run::of(&shell).ends(0);
        assert!(std::path::Path::new(shown.out.trim()).is_file(), "{}", shown.out);
        let list = ". \"$0\" && pkcs11-tool --module \"$P11_MODULE\" --token-label \"$1\" --login --pin 123456 -O";
        let tool = Command::new("sh").arg("-c").arg(list).arg(&env).arg(member).output().unwrap();
        if tool.status.code() == Some(127) {
            continue; // no pkcs11-tool on this host
        }
        Run::of(&tool).ends(0);
    }
}

#[test]
fn keys_are_made_listed_and_verified() {
    let demo = Demo::new();
    let made =
        demo.json(&["keys", "generate", "--type", "ec:p256", "--count", "2", "--label", "zsk"]);
    assert_eq!(made["made"].as_array().unwrap().len(), 2);
    assert_eq!(made["made"][1]["label"], "zsk-2");
    assert_eq!(made["error"], Value::Null);
    demo.json(&["keys", "generate", "--type", "rsa:2048"]);

    let keys = demo.json(&["keys"]);
    let objects = keys["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 6);
    for object in objects {
        assert_eq!(states(object), ["proven", "proven"], "{object}");
        assert_eq!(object["backed_up"], false);
    }
    let of = |class: &str, kind: &str| {
        objects.iter().filter(|it| it["class"] == class && it["key_type"] == kind).count()
    };
    assert_eq!((of("private", "ec:p256"), of("public", "ec:p256")), (2, 2));
    assert_eq!((of("private", "rsa:2048"), of("public", "rsa:2048")), (1, 1));
    let private = objects.iter().find(|it| it["label"] == "zsk-1" && it["class"] == "private");
    assert_eq!(private.unwrap()["id"], made["made"][0]["id"]);

    // Without a login private keys are not seen, and no PIN is asked for.
    let public = Run::of(&demo.command(&["keys", "--public", "--json"]).output().unwrap());
    assert_eq!(public.ends(0).json()["objects"].as_array().unwrap().len(), 3);

    let verified = demo.json(&["verify"]);
    assert_eq!(verified["verified"], true);
    assert_eq!(verified["objects"].as_array().unwrap().len(), 6);
}

#[test]
fn every_type_is_made_or_refused_by_name() {
    let demo = Demo::of(&["--members", "kryoptic,kryoptic"]);
    for kind in ["ec:p384", "ed25519", "aes:256", "generic:20", "rsa:2048"] {
        let made = demo.json(&["keys", "generate", "--type", kind]);
        assert_eq!(made["made"][0]["key_type"], kind);
        let keys = demo.json(&["keys"]);
        let objects = keys["objects"].as_array().unwrap();
        assert!(objects.iter().any(|object| object["key_type"] == kind), "{kind}: {keys}");
    }
}

#[test]
fn a_member_that_is_away_is_told_and_comes_back() {
    let demo = Demo::new();
    demo.json(&["keys", "generate", "--type", "ec:p256"]);
    demo.rename("members/a", "members/gone");

    let status = demo.json(&["status"]);
    let member = &status["tokens"][0]["members"][0];
    assert_eq!(member["name"], "a");
    assert_eq!(member["condition"], "down");
    assert_ne!(member["reason"], "");
    assert_eq!(status["tokens"][0]["members"][1]["condition"], "up");

    let doctor = demo.run(&["doctor", "--json"]).ends(1).json();
    let findings = doctor["findings"].as_array().unwrap();
    let wrong: Vec<_> = findings.iter().filter(|finding| finding["verdict"] == "wrong").collect();
    assert!(wrong.iter().all(|finding| finding["subject"] == "token demo, member a"), "{wrong:?}");
    assert!(wrong.iter().all(|finding| finding["remedy"] != ""), "{wrong:?}");

    demo.run(&["verify"]).ends(1);
    demo.json(&["keys", "generate", "--type", "ec:p256", "--label", "meanwhile"]);

    demo.rename("members/gone", "members/a");
    let verified = demo.json(&["verify"]);
    assert_eq!(verified["verified"], true, "{verified}");
    assert_eq!(verified["objects"].as_array().unwrap().len(), 4);
}

#[test]
fn doctor_finds_nothing_wrong_with_a_demo() {
    let demo = Demo::new();
    let doctor = demo.json(&["doctor"]);
    assert_eq!(doctor["healthy"], true);
    let text = demo.run(&["doctor"]).ends(0).out;
    for expected in [
        "is sound",
        "paired: the key ring is on a, b",
        "recovery: any 3 of 5 shares",
        "PKCS #11 2.40",
        "quirks: AES key wrap with padding as CKM_AES_KEY_WRAP_PAD",
        "shares of the recovery are still in",
        "Nothing is wrong.",
    ] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colour where nobody sees it");
}

#[test]
fn a_configuration_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let demo = Demo::of(&["--members", "softhsm,softhsm"]);
    let config = demo.path("tandem.toml");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o666)).unwrap();
    let error = demo.run(&["status"]).ends(1).err;
    assert!(error.contains("run: chmod o-w"), "{error}");
}

#[test]
fn pins_come_from_where_they_are_said_to() {
    use std::os::unix::fs::PermissionsExt;
    let demo = Demo::of(&["--members", "softhsm,softhsm"]);

    let none = demo.command(&["verify"]).stdin(Stdio::null()).output().unwrap();
    let error = Run::of(&none).ends(1).err;
    assert!(error.contains("give --pin-source, or set TANDEM_PIN"), "{error}");

    let file = demo.path("pin");
    std::fs::write(&file, "123456\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    for source in [format!("file:{}", file.display()), "command:/bin/echo 123456".to_owned()] {
        let run = demo.command(&["verify", "--pin-source", &source]).output().unwrap();
        Run::of(&run).ends(0);
    }
    let mut run = demo.command(&["verify", "--pin-source", "env:MY_PIN"]);
    Run::of(&run.env("MY_PIN", "123456").output().unwrap()).ends(0);

    let wrong = demo.command(&["verify"]).env("TANDEM_PIN", "87654321").output().unwrap();
    let wrong = Run::of(&wrong).ends(1);
    assert!(wrong.err.contains("CKR_PIN_INCORRECT"), "{}", wrong.err);
    assert!(!wrong.err.contains("87654321"), "{}", wrong.err);

    // The PIN itself where a source belongs is not repeated.
    let run = demo.command(&["verify", "--pin-source", "123456"]).output().unwrap();
    let run = Run::of(&run).ends(2);
    assert!(!run.err.contains("123456"), "{}", run.err);
}

#[test]
fn a_token_is_chosen_by_its_label() {
    let demo = Demo::of(&["--members", "softhsm,softhsm"]);
    assert_eq!(demo.json(&["status", "--token", "demo"])["tokens"][0]["label"], "demo");
    let error = demo.run(&["status", "--token", "other"]).ends(2).err;
    assert!(error.contains("has no such token; it has demo"), "{error}");
    let members = demo.json(&["member", "list"]);
    assert_eq!(members["tokens"][0]["members"][0]["selector"], "label=a");
    assert_eq!(members["tokens"][0]["members"][1]["condition"], "up");
}

#[test]
fn shares_are_never_lost_for_want_of_a_reader() {
    let demo = Demo::of(&["--members", "softhsm,softhsm"]);
    let config = demo.path("tandem.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    // Another virtual token over the same members, not paired, with nowhere to write shares to.
    let text = text.replace("/state\"", "/other\"");
    let lines =
        text.lines().filter(|line| !line.contains("shares_dir") && !line.contains("recovery"));
    std::fs::write(&config, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let error = demo.run(&["pair"]).ends(1).err;
    assert!(error.contains("name a folder for them with --shares-dir DIR"), "{error}");
    let status = demo.json(&["status"]);
    assert_eq!(status["tokens"][0]["paired"], false);
}

/// Every name in a report.
fn names(value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                found.insert(name.clone());
                names(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        _ => {}
    }
}

#[test]
fn every_name_in_a_report_is_documented() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("JSON.md");
    let page = std::fs::read_to_string(page).unwrap();
    let demo = Demo::new();
    let [bundle, old, new, newer] =
        ["one.bundle", "shares", "new", "newer"].map(|name| demo.path(name).display().to_string());
    let mut found = std::collections::BTreeSet::new();
    names(&demo.again(&[]).ends(0).json(), &mut found);
    for arguments in [
        &["keys", "generate", "--type", "ec:p256"][..],
        &["keys"],
        &["verify"],
        &["status"],
        &["member", "list"],
        &["pair"],
        &["doctor"],
        &["backup", "run", "--commit", "--out", &bundle],
        &["recovery", "show"],
        &["recovery", "split", "--shares-from", &old, "--shares-dir", &new],
        &["recovery", "show"],
        &["recovery", "combine"],
        &["kek", "rotate", "--shares", &new, "--shares-dir", &newer],
        &["kek", "list"],
        &["recovery", "show"],
        &["kek", "retire", "kek-1", "--yes"],
    ] {
        names(&demo.json(arguments), &mut found);
    }
    let config = demo.path("tandem.toml");
    let rollover = "\n[[token.rollover]]\nname = \"k\"\ntype = \"ec:p256\"\nlifetime = \"90d\"\n";
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + rollover).unwrap();
    // Nothing is backed up, so nothing lasts.
    let runway = demo.run(&["runway", "--every", "6mo", "--json"]).ends(1).json();
    names(&runway, &mut found);
    assert!(found.len() > 50, "{found:?}");
    for name in found {
        let written = [format!("`{name}`"), format!(".{name}`"), format!("{name}[]`")];
        assert!(written.iter().any(|written| page.contains(written)), "JSON.md lacks {name}");
    }
}
