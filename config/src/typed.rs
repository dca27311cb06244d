//! tandem.toml as it was typed: every key, nothing checked but its form.
//!
//! `docs/guide/configuration.md` explains each key; a test holds the two together. A key that is not here is
//! refused, since an operator who typed it expects something of it.
//!
//! There is no `Debug`: an `environment` may hold what a vendor's module takes for a secret.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole file.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where messages go. (Not the log of keys, which is the token's.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,
    /// The virtual tokens.
    #[serde(default)]
    pub token: Vec<Token>,
}

/// `[log]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `syslog`, `stderr`, `off` or `file:/absolute/path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The least important messages that are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
}

/// How important a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something failed that an operator must mend.
    Error,
    /// Something is not as it should be, and Tandem goes on.
    Warn,
    /// What was done.
    Info,
    /// Every refusal.
    Debug,
    /// Every call.
    Trace,
}

/// `[[token]]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The virtual token's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The folder of its log and catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The group that shares the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Where keys made from now on live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Where keys of some kind live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<Rule>,
    /// Keys that are made ahead of need.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<Stock>,
    /// Which member does the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// What becomes of session objects when their member fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_objects: Option<SessionObjects>,
    /// Which mechanisms and types of keys are offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanisms: Option<Offer>,
    /// Whether applications may initialise the token and set PINs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_init: Option<bool>,
    /// Whether keys may be made in the host's memory for members that can't unwrap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_host_keygen: Option<bool>,
    /// The most bytes of one operation that are kept, so that it can move to another member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_max: Option<u64>,
    /// How long a maker of keys waits for another process that writes to a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_wait_ms: Option<u64>,
    /// Rules about keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// When backups are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Keys that are replaced in time, where OpenDNSSEC's own files don't say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollover: Vec<Rollover>,
    /// How the key ring can be brought back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// The HSMs.
    #[serde(default)]
    pub member: Vec<Member>,
}

/// Where keys live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// Every member has every key as a token object.
    #[default]
    Resident,
    /// Keys live wrapped in the log and visit a member when used.
    OnDemand,
}

/// `[[token.rule]]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Their type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Their label, with `*` for anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Where they live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

/// `[token.stock]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Stock {
    /// The file in which the names of claimed keys are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<String>,
    /// What is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<StockKey>,
}

/// `[[token.stock.key]]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StockKey {
    /// Their type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Where they live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Whether they may agree on keys with others as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derive: Option<bool>,
}

/// Which member does the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// The member that would answer first: by its latency and the calls it has to answer.
    #[default]
    LeastLoaded,
    /// One after the other.
    RoundRobin,
    /// The first that is up, in the order of the file.
    Primary,
}

/// What becomes of session objects when their member fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionObjects {
    /// They are wrapped once when they are made, and go on elsewhere.
    #[default]
    Mirrored,
    /// They are never wrapped, and end with their member.
    Pinned,
}

/// Which mechanisms and types of keys a token offers whose members differ in what they can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offer {
    /// What every member can do.
    #[default]
    Common,
    /// What any member can do: a key lives on those that can hold it.
    Any,
}

/// `[token.policy]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What becomes of keys that are not backed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_backup: Option<RequireBackup>,
    /// How many members must have proven a new key before its handle is returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<u64>,
}

/// What becomes of keys that are not backed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RequireBackup {
    /// They are used.
    #[default]
    Off,
    /// They are used, and a message says so.
    Warn,
    /// They are not used.
    Enforce,
}

/// `[token.backup]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// How long after a backup the next one is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
}

/// `[[token.rollover]]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rollover {
    /// What people call these keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Their labels; `*` stands for anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How many of them are in use at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How long each is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<String>,
    /// How many unused ones must always be left over for each that is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby: Option<u64>,
    /// How long before its use a key is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lead: Option<String>,
    /// When those that are in use, or any before them, were first used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// `[token.recovery]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// How many shares are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<u64>,
    /// How many of them bring the key ring back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u64>,
    /// The folder in which shares are written where nobody can be shown them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares_dir: Option<String>,
}

/// `[[token.member]]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The name by which people and the log call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The vendor's PKCS #11 module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Which of the module's tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Selector>,
    /// How long a call may take; 0: calls are made inline and may take as long as they like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// The same for making keys and initialising tokens, which may take their time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_deadline_ms: Option<u64>,
    /// How many calls may hang in the module at once before no other is risked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck_max: Option<u64>,
    /// How many calls the HSM works on at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lanes: Option<u64>,
    /// The most keys held on demand that it is given at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded_max: Option<u64>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// One call at a time: for modules that are not thread-safe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serialize: Option<bool>,
    /// Where its own user PIN comes from; without it, it takes the application's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_source: Option<String>,
    /// How C_Initialize is called: `standard`, `reserved:STRING` or `nss:PARAMETERS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Environment variables that the module reads.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// How the module departs from the others, where Tandem doesn't know it or knows it wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quirks: Option<Quirks>,
}

/// `token = { … }` of a member: exactly one of the keys.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// The token with this label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The token with this serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The token in the slot with this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u64>,
}

/// What a member is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Holds keys and does work.
    #[default]
    Active,
    /// Holds keys, and works when no active member can.
    Standby,
    /// Connected only while a backup runs.
    Backup,
    /// Makes keys that other members hold.
    Generator,
}

/// `[token.member.quirks]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Quirks {
    /// The number under which the module does RFC 5649.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kwp: Option<Kwp>,
    /// Secret keys whose length is no multiple of eight come back padded when this module wraps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wraps_multiples_of_eight: Option<bool>,
    /// After its storage vanished it works again only when finalised and initialised anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heals_by_restart: Option<bool>,
    /// A process that is killed while it makes a key may leave an object without name and material.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaves_half_made: Option<bool>,
    /// Each member gets a copy of the library of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_copy: Option<bool>,
    /// Login and logout wait until no other call is in the library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs_in_alone: Option<bool>,
    /// Searches wait until nothing is being made on the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searches_alone: Option<bool>,
    /// What a forked child does with a library that its parent had initialised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_fork: Option<AfterFork>,
}

/// What a forked child does with a library that its parent had initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterFork {
    /// Loads a copy of it.
    FreshCopy,
    /// Initialises it again, where the vendor documents that this begins anew.
    Initialise,
}

/// The number under which a module does RFC 5649 (AES key wrap with padding).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kwp {
    /// CKM_AES_KEY_WRAP_KWP, as the standard has it.
    Kwp,
    /// CKM_AES_KEY_WRAP_PAD, as SoftHSM has it.
    Pad,
}
