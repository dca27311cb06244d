//! Bad configurations, each with the exact words an operator reads.

#![expect(clippy::panic, reason = "what the tests share may fail as tests do")]

use std::path::Path;

/// A sound token with one member, to which a case adds or from which it takes.
const SOUND: &str = r#"[[token]]
label = "dnssec"
state = "/var/lib/tandem/dnssec"

[[token.member]]
name = "ams"
module = "/usr/lib/softhsm/libsofthsm2.so"
token = { label = "ams" }
"#;

fn error(text: &str) -> String {
    match tandem_config::parse(Path::new("/t.toml"), text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string(),
    }
}

/// The sound text with one piece replaced.
fn broken(piece: &str, by: &str) -> String {
    assert_eq!(SOUND.matches(piece).count(), 1, "{piece} must stand there once");
    error(&SOUND.replace(piece, by))
}

/// The sound text with lines after it, which belong to the member.
fn member(lines: &str) -> String {
    error(&format!("{SOUND}{lines}\n"))
}

/// The sound text with lines in the token's own table.
fn token(lines: &str) -> String {
    error(&SOUND.replace("\n\n", &format!("\n{lines}\n\n")))
}

#[test]
fn sound_is_accepted() {
    let config = tandem_config::parse(Path::new("/t.toml"), SOUND).unwrap();
    assert_eq!(config.tokens[0].label, "dnssec");
    assert_eq!(config.tokens[0].members[0].deadline_ms, 5_000);
    assert!(!config.tokens[0].allow_init);
    assert!(config.warnings.is_empty());
}

#[test]
fn unknown_keys() {
    assert_eq!(
        member("deadline = 5000"),
        "/t.toml:9: token.member.deadline: this key is unknown; did you mean deadline_ms?"
    );
    assert_eq!(
        broken("label = \"dnssec\"", "lable = \"dnssec\""),
        "/t.toml:2: token.lable: this key is unknown; did you mean label?"
    );
    assert_eq!(
        token("require_backup = \"warn\""),
        "/t.toml:4: token.require_backup: this key is unknown; require_backup belongs under [token.policy]"
    );
    assert_eq!(
        token("colour = \"blue\""),
        "/t.toml:4: token.colour: this key is unknown; known here are label, state, group, hold, rule, stock, balance, \
         session_objects, mechanisms, allow_init, allow_host_keygen, replay_max, lease_wait_ms, policy, backup, rollover, recovery, member"
    );
    assert_eq!(
        error(&format!("tokens = 1\n{SOUND}")),
        "/t.toml:1: tokens: this key is unknown; did you mean token?"
    );
    // The second member's own line, not the first's.
    assert_eq!(
        member("\n[[token.member]]\nname = \"rtm\"\nmodul = \"/x.so\""),
        "/t.toml:12: token.member.modul: this key is unknown; did you mean module?"
    );
    assert_eq!(
        broken("{ label = \"ams\" }", "{ labl = \"ams\" }"),
        "/t.toml:8: token.member.token.labl: this key is unknown; did you mean label?"
    );
}

#[test]
fn keys_of_later_versions_are_unknown() {
    assert_eq!(
        token("[token.replication]\npeer = \"rtm\""),
        "/t.toml:4: token.replication: this key is unknown; known here are label, state, group, hold, rule, stock, balance, \
         session_objects, mechanisms, allow_init, allow_host_keygen, replay_max, lease_wait_ms, policy, backup, rollover, recovery, member"
    );
}

#[test]
fn missing_keys() {
    assert_eq!(
        broken("label = \"dnssec\"\n", ""),
        "/t.toml:1: token.label: this key is missing; write, for example, label = \"dnssec\""
    );
    assert_eq!(
        broken("state = \"/var/lib/tandem/dnssec\"\n", ""),
        "/t.toml:1: token.state: this key is missing; write, for example, state = \"/var/lib/tandem/dnssec\""
    );
    assert_eq!(
        broken("name = \"ams\"\n", ""),
        "/t.toml:5: token.member.name: this key is missing; write, for example, name = \"ams\""
    );
    assert_eq!(
        broken("token = { label = \"ams\" }\n", ""),
        "/t.toml:5: token.member.token: this key is missing; write, for example, token = { label = \"ams\" }"
    );
    assert_eq!(error(""), "/t.toml: token: there is no virtual token; add [[token]]");
    assert_eq!(
        error("[[token]]\nlabel = \"a\"\nstate = \"/s\"\n"),
        "/t.toml:1: token.member: the token has no members; add [[token.member]]"
    );
}

#[test]
fn wrong_forms() {
    assert_eq!(
        member("deadline_ms = \"5 s\""),
        "/t.toml:9: token.member.deadline_ms: invalid type: string \"5 s\", expected u64; \
         see docs/guide/configuration.md"
    );
    assert_eq!(
        token("hold = \"residential\""),
        "/t.toml:4: token.hold: unknown variant `residential`, expected `resident` or `on-demand`; \
         see docs/guide/configuration.md"
    );
    assert_eq!(
        error("[[token]\n"),
        "/t.toml:1: unclosed array table, expected `]`; see docs/guide/configuration.md"
    );
    assert_eq!(
        broken("label = \"dnssec\"", "label = \"dnssec\"\nlabel = \"tls\""),
        "/t.toml:3: duplicate key; see docs/guide/configuration.md"
    );
}

#[test]
fn rules_for_keys() {
    let rule =
        |lines: &str| {
            error(&SOUND.replace(
                "[[token.member]]",
                &format!("[[token.rule]]\n{lines}\n\n[[token.member]]"),
            ))
        };
    assert_eq!(
        rule("label = \"zsk-*\""),
        "/t.toml:5: token.rule.hold: this key is missing; write, for example, hold = \"on-demand\""
    );
    assert_eq!(
        rule("hold = \"on-demand\""),
        "/t.toml:5: token.rule: it says for no key what it is for; write type, label or both; for all keys, hold in [[token]]"
    );
    assert_eq!(
        rule("type = \"ec:p257\"\nhold = \"on-demand\""),
        "/t.toml:6: token.rule.type: \"ec:p257\" is no type of key; write ec:p256, ec:p384, ec:p521, ed25519, ed448, rsa:BITS, \
         ml-dsa:44|65|87, slh-dsa:sha2-128s (and the like), ml-kem:512|768|1024, aes:128|192|256 or generic:BYTES; or leave it out, for keys of any type"
    );
    assert_eq!(
        member("loaded_max = 0"),
        "/t.toml:9: token.member.loaded_max: 0 is out of bounds; write a number from 1 to 10000000"
    );
}

#[test]
fn keys_in_stock() {
    let stock = |lines: &str| {
        let text = format!("[token.stock]\n{lines}\n\n[[token.member]]");
        error(&SOUND.replace("[[token.member]]", &text))
    };
    let key = |lines: &str| stock(&format!("[[token.stock.key]]\n{lines}"));
    assert_eq!(
        stock("names = \"names\""),
        "/t.toml:6: token.stock.names: \"names\" is no absolute path; write, for example, \"/names\""
    );
    assert_eq!(
        key("count = 5"),
        "/t.toml:6: token.stock.key.type: this key is missing; write, for example, type = \"ec:p256\""
    );
    assert_eq!(
        key("type = \"ec:p256\""),
        "/t.toml:6: token.stock.key.count: this key is missing; write, for example, count = 100"
    );
    assert_eq!(
        key("type = \"ec:p257\"\ncount = 5"),
        "/t.toml:7: token.stock.key.type: \"ec:p257\" is no type of key; write ec:p256, ec:p384, ec:p521, ed25519, ed448, \
         rsa:BITS, ml-dsa:44|65|87, slh-dsa:sha2-128s (and the like), ml-kem:512|768|1024, aes:128|192|256 or generic:BYTES; \
         or leave the table out"
    );
    assert_eq!(
        key("type = \"ec:p256\"\ncount = 100001"),
        "/t.toml:8: token.stock.key.count: 100001 is out of bounds; write a number from 0 to 100000"
    );
    assert_eq!(
        key("type = \"aes:256\"\ncount = 5\nderive = true"),
        "/t.toml:9: token.stock.key.derive: secret keys in stock derive nothing; leave it out; such keys are made when they are \
         asked for"
    );
    assert_eq!(
        key("type = \"ec:p256\"\ncount = 5\n[[token.stock.key]]\ntype = \"ec:p256\"\ncount = 9"),
        "/t.toml:10: token.stock.key.type: ec:p256 that live so are in the stock already; write one count for them"
    );
    assert_eq!(
        key("type = \"ec:p256\"\ncount = 5\nlabel = \"zsk\""),
        "/t.toml:9: token.stock.key.label: this key is unknown; label belongs under [[token]]"
    );
}

#[test]
fn keys_in_stock_live_where_the_rules_for_their_type_say() {
    use tandem_config::meant::Hold::{OnDemand, Resident};
    let text = SOUND.replace(
        "[[token.member]]",
        "[[token.rule]]\nlabel = \"zsk-*\"\nhold = \"resident\"\n[[token.rule]]\ntype = \"ec:p256\"\nhold = \"on-demand\"\n\
         [[token.stock.key]]\ntype = \"ec:p256\"\ncount = 5\n[[token.stock.key]]\ntype = \"ec:p256\"\ncount = 2\n\
         hold = \"resident\"\n[[token.stock.key]]\ntype = \"rsa:2048\"\ncount = 1\n[[token.member]]",
    );
    let config = tandem_config::parse(Path::new("/t.toml"), &text).unwrap();
    let keys: Vec<_> =
        config.tokens[0].stock.keys.iter().map(|key| (key.count, key.hold)).collect();
    assert_eq!(keys, [(5, OnDemand), (2, Resident), (1, Resident)]);
}

#[test]
fn paths() {
    assert_eq!(
        broken("/var/lib/tandem/dnssec", "state"),
        "/t.toml:3: token.state: \"state\" is no absolute path; write, for example, \"/state\""
    );
    assert_eq!(
        broken("/usr/lib/softhsm/libsofthsm2.so", "libsofthsm2.so"),
        "/t.toml:7: token.member.module: \"libsofthsm2.so\" is no absolute path; write, for example, \
         \"/libsofthsm2.so\""
    );
    assert_eq!(
        broken("/var/lib/tandem/dnssec", "~/state"),
        "/t.toml:3: token.state: \"~/state\" is no absolute path; write the home folder out: \"/home/NAME/state\""
    );
    assert_eq!(
        broken("/var/lib/tandem/dnssec", "/var/../etc"),
        "/t.toml:3: token.state: \"/var/../etc\" is no absolute path; write the path without \"..\""
    );
}

#[test]
fn names_and_labels() {
    assert_eq!(
        broken("\"dnssec\"", "\"0123456789012345678901234567890ß\""),
        "/t.toml:2: token.label: \"0123456789012345678901234567890ß\" has 33 bytes; \
         write 1 to 32 bytes of text without blanks at its ends"
    );
    assert_eq!(
        broken("name = \"ams\"", "name = \"../ams\""),
        "/t.toml:6: token.member.name: \"../ams\" is no name; \
         write 1 to 32 letters, digits, \"-\", \"_\" and \".\", the first a letter or digit"
    );
    assert_eq!(
        member("\n[[token.member]]\nname = \"ams\"\nmodule = \"/x.so\"\ntoken = { slot = 1 }"),
        "/t.toml:11: token.member.name: another member has \"ams\"; each needs its own"
    );
    assert_eq!(
        member(
            "\n[[token.member]]\nname = \"rtm\"\nmodule = \"/usr/lib/softhsm/libsofthsm2.so\"\ntoken = { label = \"ams\" }"
        ),
        "/t.toml:13: token.member.token: the member \"ams\" is this very token; \
         two copies of a key on one token protect nothing: name another token"
    );
    assert_eq!(
        error(&format!("{SOUND}{SOUND}")),
        "/t.toml:10: token.label: another token has \"dnssec\"; each needs its own"
    );
    assert_eq!(
        error(&format!("{SOUND}{}", SOUND.replace("label = \"dnssec\"", "label = \"tls\""))),
        "/t.toml:11: token.state: another token has \"/var/lib/tandem/dnssec\"; each needs its own"
    );
    assert_eq!(
        broken("{ label = \"ams\" }", "{ label = \"ams\", slot = 1 }"),
        "/t.toml:8: token.member.token: a token is chosen by exactly one of label, serial and slot; \
         write, for example, token = { label = \"ams\" }"
    );
}

#[test]
fn members_together() {
    assert_eq!(
        member("role = \"standby\""),
        "/t.toml:5: token.member: no member is active; give at least one member role = \"active\""
    );
    assert_eq!(
        member("pin_source = \"env:PIN\""),
        "/t.toml:5: token.member: every member that holds keys has a pin_source, so nothing would check the \
         application's PIN; leave pin_source out of at least one of them"
    );
    assert_eq!(
        member("role = \"backup\""),
        "/t.toml:5: token.member: no member is active; give at least one member role = \"active\""
    );
    assert_eq!(
        member("role = \"generator\""),
        "/t.toml:5: token.member: no member is active; give at least one member role = \"active\""
    );
}

/// A backup token is not there when a key is made, or an application logs in; a generator holds no key, and need not be there.
#[test]
fn backup_tokens_and_generators_hold_no_keys() {
    for (role, working) in [("backup", 1), ("generator", 2)] {
        let other = format!(
            "[[token.member]]\nname = \"other\"\nmodule = \"/lib/s.so\"\ntoken = {{ label = \"other\" }}\nrole = \"{role}\""
        );
        let text = |more: &str| format!("{SOUND}\n{more}\n{other}");
        let config = tandem_config::parse(Path::new("/t.toml"), &text("")).unwrap();
        let token = &config.tokens[0];
        assert_eq!((token.working().count(), token.keepers().count()), (working, 1));
        let told = |text: &str| {
            tandem_config::parse(Path::new("/t.toml"), text).err().unwrap().to_string()
        };
        assert!(told(&text("pin_source = \"env:PIN\"")).contains("has a pin_source"));
        let two = text("").replacen(
            "[[token.member]]",
            "[token.policy]\nmin_replicas = 2\n[[token.member]]",
            1,
        );
        assert!(told(&two).contains("write a number from 1 to 1"));
    }
}

#[test]
fn numbers() {
    assert_eq!(
        member("deadline_ms = 6000\nlong_deadline_ms = 5999"),
        "/t.toml:10: token.member.long_deadline_ms: 5999 is out of bounds; write a number from 6000 to 3600000"
    );
    assert_eq!(
        member("stuck_max = 0"),
        "/t.toml:9: token.member.stuck_max: 0 is out of bounds; write a number from 1 to 1024"
    );
    assert_eq!(
        member("lanes = 0"),
        "/t.toml:9: token.member.lanes: 0 is out of bounds; write a number from 1 to 1024",
    );
    assert_eq!(
        member("deadline_ms = 3600001"),
        "/t.toml:9: token.member.deadline_ms: 3600001 is out of bounds; write a number from 0 to 3600000"
    );
    assert_eq!(
        token("replay_max = 1073741825"),
        "/t.toml:4: token.replay_max: 1073741825 is out of bounds; write a number from 0 to 1073741824"
    );
    for huge in ["replay_max = -1", "replay_max = 99999999999999999999"] {
        let told = token(huge);
        assert!(told.starts_with("/t.toml:4: "), "{told}");
    }
    assert_eq!(
        token("[token.policy]\nmin_replicas = 2"),
        "/t.toml:5: token.policy.min_replicas: 2 is out of bounds; write a number from 1 to 1"
    );
    assert_eq!(
        token("[token.policy]\nmin_replicas = 0"),
        "/t.toml:5: token.policy.min_replicas: 0 is out of bounds; write a number from 1 to 1"
    );
    assert_eq!(
        token("[token.recovery]\nshares = 3\nthreshold = 4"),
        "/t.toml:6: token.recovery.threshold: 4 is out of bounds; write a number from 2 to 3"
    );
    assert_eq!(
        token("[token.recovery]\nthreshold = 1"),
        "/t.toml:5: token.recovery.threshold: 1 is out of bounds; write a number from 2 to 5"
    );
}

#[test]
fn texts_with_a_form() {
    assert_eq!(
        error(&format!("[log]\ndestination = \"file:x.log\"\n{SOUND}")),
        "/t.toml:2: log.destination: \"x.log\" is no absolute path; write, for example, \"/x.log\""
    );
    assert_eq!(
        error(&format!("[log]\ndestination = \"journal\"\n{SOUND}")),
        "/t.toml:2: log.destination: \"journal\" is no destination; \
         write \"syslog\", \"stderr\", \"off\" or \"file:/absolute/path\""
    );
    assert_eq!(
        member("init = \"nss\""),
        "/t.toml:9: token.member.init: \"nss\" is no way to initialise a module; \
         write \"standard\", \"reserved:STRING\" or \"nss:PARAMETERS\""
    );
    // What was typed may be the PIN itself: it isn't repeated.
    assert_eq!(
        member("pin_source = \"123456\""),
        "/t.toml:9: token.member.pin_source: this is no source of a PIN; \
         write \"file:/absolute/path\", \"env:NAME\" or \"command:/absolute/path [argument]…\""
    );
    assert_eq!(
        member("environment = { \"A=B\" = \"c\" }"),
        "/t.toml:9: token.member.environment.A: an environment variable's name is not empty and has no \"=\", \
         and neither name nor value has a zero byte; \
         write, for example, environment = { SOFTHSM2_CONF = \"/etc/softhsm2.conf\" }"
    );
    assert_eq!(
        token("group = \"no-such-group\""),
        "/t.toml:4: token.group: this host has no group \"no-such-group\"; \
         write a group of this host, or make this one: groupadd --system no-such-group"
    );
}

#[test]
fn what_is_accepted_with_a_warning() {
    let text = format!("{SOUND}deadline_ms = 1\n");
    let config = tandem_config::parse(Path::new("/t.toml"), &text).unwrap();
    assert_eq!(config.tokens[0].members[0].deadline_ms, 1);
    assert_eq!(
        config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "/t.toml:9: token.member.deadline_ms: 1 ms is less than many HSMs take for a login or a signature: a member \
             that needs longer is taken for one that hangs; write 5000 unless you have measured yours",
        ]
    );
    for sound in ["deadline_ms = 0", "deadline_ms = 100"] {
        let text = format!("{SOUND}{sound}\n");
        let config = tandem_config::parse(Path::new("/t.toml"), &text).unwrap();
        assert!(config.warnings.is_empty(), "{sound}");
    }
}

/// The sound text with a rollover of these lines.
fn rollover(lines: &str) -> String {
    error(&format!("{SOUND}\n[[token.rollover]]\n{lines}\n"))
}

/// The same with a sound one, of which a piece is replaced.
fn broken_rollover(piece: &str, by: &str) -> String {
    let sound = "name = \"zsk\"\ntype = \"ec:p256\"\nlifetime = \"90d\"\nlead = \"14d\"\nsince = \"2026-10-01\"";
    assert_eq!(sound.matches(piece).count(), 1, "{piece} must stand there once");
    rollover(&sound.replace(piece, by))
}

#[test]
fn backups_and_rollovers() {
    let every = |typed: &str| token(&format!("backup = {{ every = \"{typed}\" }}"));
    assert_eq!(
        every("half-yearly"),
        "/t.toml:4: token.backup.every: \"half-yearly\" is no length of time; \
         write, for example, \"6mo\" (months), \"180d\", \"26w\" or \"P6M\""
    );
    assert!(every("6m").contains("is shorter than an hour"));
    assert!(every("-6mo").contains("is negative"));
    assert_eq!(
        rollover("name = \"zsk\""),
        "/t.toml:10: token.rollover.type: this key is missing; write, for example, type = \"ec:p256\""
    );
    assert_eq!(
        broken_rollover("\"90d\"", "\"3mo\""),
        "/t.toml:13: token.rollover.lifetime: \"3mo\" has years or months, which differ; \
         write, for example, \"90d\", \"13w\" or \"P90D\""
    );
    assert_eq!(
        broken_rollover("\"14d\"", "\"90d\""),
        "/t.toml:14: token.rollover.lead: it is not shorter than the lifetime; \
         a key is taken while the one before it is in use"
    );
    assert_eq!(
        broken_rollover("2026-10-01", "2026-10-32"),
        "/t.toml:15: token.rollover.since: \"2026-10-32\" is no date after 1970; \
         write, for example, \"2027-01-15\" or \"2027-01-15T09:30:00Z\""
    );
    assert!(rollover("name = \"\"").contains("it is empty"));
    assert!(broken_rollover("lead = \"14d\"", "count = 0").contains("0 is out of bounds"));
    assert!(broken_rollover("lead = \"14d\"", "keys = 2").contains("this key is unknown"));
    let twice = "name = \"zsk\"\ntype = \"ec:p256\"\nlifetime = \"90d\"";
    let twice = rollover(&format!("{twice}\n[[token.rollover]]\n{twice}"));
    assert!(twice.contains("another rollover has \"zsk\""), "{twice}");
}

#[test]
fn a_rollover_is_meant_as_it_was_typed() {
    let text = format!(
        "{SOUND}\n[token.backup]\nevery = \"6mo\"\n[[token.rollover]]\nname = \"zsk\"\ntype = \"ec:p256\"\n\
         count = 3\nlifetime = \"90d\"\nstandby = 2\nlead = \"14d\"\nsince = \"2026-10-01\"\nlabel = \"zsk-*\"\n"
    );
    let config = tandem_config::parse(Path::new("/t.toml"), &text).unwrap();
    let token = &config.tokens[0];
    assert_eq!(token.backup_every.as_ref().unwrap().to_string(), "6mo");
    let [zsk] = token.rollovers.as_slice() else { panic!("one rollover") };
    assert_eq!((zsk.name.as_str(), zsk.kind.as_str()), ("zsk", "ec:p256"));
    assert_eq!((zsk.count, zsk.standby), (3, 6), "two for each");
    assert_eq!((zsk.lifetime_s, zsk.lead_s), (90 * 86_400, 14 * 86_400));
    assert_eq!(zsk.since_ms, Some(1_790_812_800_000));
    assert_eq!(zsk.label.as_deref(), Some("zsk-*"));
}

#[test]
fn an_error_is_one_line_whatever_was_typed() {
    let said = broken("/usr/lib/softhsm/libsofthsm2.so", "a\\nb");
    assert!(said.contains("write, for example, \"/a\\nb\""), "{said}");
    assert!(
        member("\"a\\nb\" = 1").starts_with("/t.toml:9: token.member.a\\nb: this key is unknown")
    );
}

#[test]
fn what_stands_in_an_environment_is_not_repeated() {
    for (line, says) in [
        (
            "environment = { PIN = 4711 }",
            "/t.toml:9: token.member.environment.PIN: its type is wrong",
        ),
        (
            "environment = { PIN = { x = \"4711\" } }",
            "/t.toml:9: token.member.environment.PIN: its type is wrong",
        ),
        ("environment = \"PIN=4711\"", "/t.toml:9: token.member.environment: its type is wrong"),
        ("environment = { \"PIN=4711\" = \"\" }", "/t.toml:9: token.member.environment.PIN: "),
        ("environment = [\"4711\"]", "/t.toml:9: token.member.environment: its type is wrong"),
    ] {
        let said = member(line);
        assert!(said.starts_with(says) && !said.contains("4711"), "{line}: {said}");
    }
}
