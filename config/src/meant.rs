//! tandem.toml as it is meant: values that nobody after this has to doubt.

mod schedule;
mod stock;

pub use schedule::{Day, Interval, Rollover, day, interval};
pub use stock::{Stock, StockKey};

use crate::document::{Document, Path};
use crate::typed;
pub use crate::typed::{
    AfterFork, Balance, Hold, Kwp, Level, Offer, RequireBackup, Role, SessionObjects,
};
use crate::{Error, Warning};
use std::collections::BTreeMap;
use std::path::{Path as File, PathBuf};
use std::str::FromStr;
use tandem_values::keytype::KeyType;

/// Most bytes of a token's label (CK_TOKEN_INFO).
pub const LABEL_BYTES_MAX: usize = 32;
/// Most bytes of a token's serial number (CK_TOKEN_INFO).
pub const SERIAL_BYTES_MAX: usize = 16;
/// Most bytes of a member's name, which becomes part of file names.
pub const NAME_BYTES_MAX: usize = 32;
/// The longest deadline of a call: an hour. A longer one is a mistake of units.
pub const DEADLINE_MS_MAX: u64 = 3_600_000;
/// A deadline under this is shorter than what many HSMs take for an ordinary call.
pub const DEADLINE_MS_SHORT: u64 = 100;
/// The deadline of a call where the file names none.
pub const DEADLINE_MS: u64 = 5_000;
/// The deadline of a long call where the file names none.
pub const LONG_DEADLINE_MS: u64 = 120_000;
/// The most calls that may hang in one module: each keeps a thread.
pub const STUCK_MAX_MAX: u64 = 1_024;
/// How many calls may hang in one module where the file doesn't say.
pub const STUCK_MAX: u64 = 64;
/// The most calls that an HSM is believed to work on at a time.
pub const LANES_MAX: u64 = 1_024;
/// The keys held on demand that a member is given at a time, unless stated; many HSMs have room for a thousand.
pub const LOADED_MAX: u64 = 1_000;
/// The most that may be stated.
pub const LOADED_MAX_MAX: u64 = 10_000_000;
/// The longest wait for another process that writes to a member: ten minutes.
pub const LEASE_WAIT_MS_MAX: u64 = 600_000;
/// The wait for another process that writes to a member where the file names none.
pub const LEASE_WAIT_MS: u64 = 30_000;
/// The most bytes that may be kept of one operation: 1 GiB.
pub const REPLAY_BYTES_MAX: u64 = 1 << 30;
/// The bytes that are kept of one operation where the file doesn't say.
pub const REPLAY_BYTES: u64 = 16 << 20;
/// Most shares of a recovery: each is a person.
pub const SHARES_MAX: u64 = 32;
/// Shares of a recovery where the file doesn't say.
pub const SHARES: u8 = 5;
/// Shares that open a recovery where the file doesn't say.
pub const THRESHOLD: u8 = 3;

/// The whole file.
#[derive(Clone)]
pub struct Config {
    /// The file, an absolute path.
    pub file: PathBuf,
    /// Where messages go.
    pub log: Log,
    /// The virtual tokens, at least one, with labels of their own.
    pub tokens: Vec<Token>,
    /// What this version doesn't do quite as it was typed.
    pub warnings: Vec<Warning>,
}

/// Where messages go, as far as the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Where to; `None`: as fits the program.
    pub destination: Option<Destination>,
    /// The least important messages that are written; `None`: as fits the program.
    pub level: Option<Level>,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The host's log, if it has one.
    Syslog,
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// Where keys of some kind live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Their type; `None`: any.
    pub kind: Option<KeyType>,
    /// A pattern of their label, with `*` for anything; `None`: any.
    pub label: Option<String>,
    /// Where they live.
    pub hold: Hold,
}

/// A virtual token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Its label until C_InitToken gives it another; at most 32 bytes.
    pub label: String,
    /// The folder of its log and catalogue.
    pub state: PathBuf,
    /// Who shares the state.
    pub group: Option<Group>,
    /// Where keys made from now on live that no rule is for.
    pub hold: Hold,
    /// Where others do: the first rule that is for a key.
    pub rules: Vec<Rule>,
    /// Keys that are made ahead of need.
    pub stock: Stock,
    /// Which member does the work.
    pub balance: Balance,
    /// What becomes of session objects when their member fails.
    pub session_objects: SessionObjects,
    /// Which mechanisms and types of keys are offered.
    pub mechanisms: Offer,
    /// What becomes of keys that are not backed up.
    pub require_backup: RequireBackup,
    /// How many members must have proven a new key; at least 1, at most the members that hold keys.
    pub min_replicas: usize,
    /// Whether applications may initialise the token and set PINs.
    pub allow_init: bool,
    /// Whether the values of keys that members don't wrap may pass through this host's memory.
    pub allow_host_keygen: bool,
    /// How long after a backup the next one is made.
    pub backup_every: Option<Interval>,
    /// Keys that are replaced in time, with names of their own.
    pub rollovers: Vec<Rollover>,
    /// How the key ring can be brought back.
    pub recovery: Recovery,
    /// The most bytes of one operation that are kept.
    pub replay_bytes_max: usize,
    /// How long a maker of keys waits for another process that writes to a member, in milliseconds.
    pub lease_wait_ms: u64,
    /// The HSMs, at least one of them active, with names of their own.
    pub members: Vec<Member>,
}

impl Token {
    /// The members that are there all the time: all but the backup tokens.
    pub fn working(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_working())
    }

    /// Those of them that hold keys: all but the generators.
    pub fn keepers(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.keeps_keys())
    }
}

impl Member {
    /// False for a backup token, which is connected only while a backup runs.
    pub fn is_working(&self) -> bool {
        self.role != Role::Backup
    }

    /// True if it holds keys all the time, and works with them.
    pub fn keeps_keys(&self) -> bool {
        matches!(self.role, Role::Active | Role::Standby)
    }
}

/// A group of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number.
    pub gid: u32,
}

/// How the key ring can be brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How many shares are made.
    pub shares: u8,
    /// How many of them bring the key ring back: at least 2, at most all.
    pub threshold: u8,
    /// Where shares are written where nobody can be shown them.
    pub shares_dir: Option<PathBuf>,
}

/// One HSM.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    /// The name by which people and the log call it. Fit to be part of a file name.
    pub name: String,
    /// The vendor's module.
    pub module: PathBuf,
    /// Which of the module's tokens.
    pub token: Selector,
    /// How long a call may take, in milliseconds; 0: calls are inline and may take as long as they like.
    pub deadline_ms: u64,
    /// The same for making keys and initialising tokens; never shorter.
    pub long_deadline_ms: u64,
    /// How many calls may hang in the module at once before no other is risked.
    pub stuck_max: usize,
    /// How many calls the HSM works on at a time; `None`: nobody has said.
    pub lanes: Option<usize>,
    /// The most keys held on demand that it is given at a time.
    pub loaded_max: usize,
    /// What it is for.
    pub role: Role,
    /// One call at a time.
    pub serialize: bool,
    /// Where its own user PIN comes from; `None`: it takes the application's.
    pub pin_source: Option<PinSource>,
    /// How C_Initialize is called.
    pub init: Init,
    /// Environment variables that the module reads.
    pub environment: BTreeMap<String, String>,
    /// What the operator knows of the module that Tandem doesn't.
    pub quirks: Quirks,
}

/// Which of a module's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The one with this label.
    Label(String),
    /// The one with this serial number.
    Serial(String),
    /// The one in the slot with this number.
    Slot(u64),
}

/// How a module's C_Initialize is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Init {
    /// As the specification has it.
    #[default]
    Standard,
    /// With a C string in pReserved.
    Reserved(String),
    /// With NSS's own structure and these parameters.
    Nss(String),
}

/// Where a PIN comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinSource {
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// The first line that a program writes: an absolute path, and its arguments.
    Command(Vec<String>),
}

/// What the operator knows of a module that Tandem doesn't: `None` leaves it to Tandem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// The number under which it does RFC 5649.
    pub kwp: Option<Kwp>,
    /// It pads secrets whose length is no multiple of eight when it wraps them.
    pub wraps_multiples_of_eight: Option<bool>,
    /// It recovers only when finalised and initialised anew.
    pub heals_by_restart: Option<bool>,
    /// Each member gets a copy of the library of its own.
    pub private_copy: Option<bool>,
    /// A process that is killed while it makes a key may leave an object without name and material.
    pub leaves_half_made: Option<bool>,
    /// Login and logout wait until no other call is in the library.
    pub logs_in_alone: Option<bool>,
    /// Searches wait until nothing is being made on the token.
    pub searches_alone: Option<bool>,
    /// What a forked child does with a library that its parent had initialised.
    pub after_fork: Option<AfterFork>,
}

/// What was typed, checked.
pub(crate) fn meaning(
    file: &File,
    document: &Document<'_>,
    typed: typed::File,
) -> Result<Config, Error> {
    let mut check = Check { file, document, warnings: Vec::new() };
    let top = Path::default();
    let log = check.log(&top.key("log"), &typed.log.unwrap_or_default())?;
    if typed.token.is_empty() {
        return Err(check.error(&top.key("token"), "there is no virtual token", "add [[token]]"));
    }
    let mut tokens: Vec<Token> = Vec::new();
    for (index, token) in typed.token.into_iter().enumerate() {
        let at = top.key("token").item(index);
        let token = check.token(&at, token)?;
        for other in &tokens {
            if other.label == token.label {
                return Err(check.taken(&at.key("label"), "token", &token.label));
            }
            if other.state == token.state {
                return Err(check.taken(
                    &at.key("state"),
                    "token",
                    &token.state.display().to_string(),
                ));
            }
        }
        tokens.push(token);
    }
    Ok(Config { file: file.to_owned(), log, tokens, warnings: check.warnings })
}

/// Where we are, to say so in errors.
struct Check<'a> {
    file: &'a File,
    document: &'a Document<'a>,
    warnings: Vec<Warning>,
}

impl Check<'_> {
    fn error(&self, at: &Path, problem: impl Into<String>, remedy: impl Into<String>) -> Error {
        Error {
            file: self.file.to_owned(),
            line: self.document.line_of(at),
            key: at.dotted(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    fn warn(&mut self, at: &Path, message: impl Into<String>) {
        self.warnings.push(Warning {
            file: self.file.to_owned(),
            line: self.document.line_of(at),
            key: at.dotted(),
            message: message.into(),
        });
    }

    fn taken(&self, at: &Path, what: &str, value: &str) -> Error {
        self.error(at, format!("another {what} has {value:?}"), "each needs its own")
    }

    /// A key that must be there.
    fn required<T>(&self, at: &Path, value: Option<T>, example: &str) -> Result<T, Error> {
        value.ok_or_else(|| {
            self.error(at, "this key is missing", format!("write, for example, {example}"))
        })
    }

    /// A number within bounds, or what it is where none was typed.
    fn number(
        &self,
        at: &Path,
        value: Option<u64>,
        or: u64,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, Error> {
        let value = value.unwrap_or(or);
        if bounds.contains(&value) {
            return Ok(value);
        }
        let remedy = format!("write a number from {} to {}", bounds.start(), bounds.end());
        Err(self.error(at, format!("{value} is out of bounds"), remedy))
    }

    fn absolute(&self, at: &Path, typed: &str) -> Result<PathBuf, Error> {
        let path = File::new(typed);
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        if path.is_absolute() && !climbs {
            return Ok(path.to_owned());
        }
        let from = self.file.parent().unwrap_or_else(|| File::new("/"));
        let instead = match (climbs, typed.strip_prefix("~/")) {
            (true, _) => "write the path without \"..\"".to_owned(),
            (false, Some(rest)) => format!("write the home folder out: \"/home/NAME/{rest}\""),
            (false, None) => format!("write, for example, \"{}\"", from.join(path).display()),
        };
        Err(self.error(at, format!("{typed:?} is no absolute path"), instead))
    }

    fn log(&self, at: &Path, typed: &typed::Log) -> Result<Log, Error> {
        let destination = match typed.destination.as_deref() {
            None => None,
            Some("syslog") => Some(Destination::Syslog),
            Some("stderr") => Some(Destination::Stderr),
            Some("off") => Some(Destination::Off),
            Some(other) => {
                let at = at.key("destination");
                let Some(file) = other.strip_prefix("file:") else {
                    return Err(self.error(
                        &at,
                        format!("{other:?} is no destination"),
                        "write \"syslog\", \"stderr\", \"off\" or \"file:/absolute/path\"",
                    ));
                };
                Some(Destination::File(self.absolute(&at, file)?))
            }
        };
        Ok(Log { destination, level: typed.level })
    }

    fn token(&mut self, at: &Path, typed: typed::Token) -> Result<Token, Error> {
        let label = self.required(&at.key("label"), typed.label, "label = \"dnssec\"")?;
        self.text(&at.key("label"), &label, LABEL_BYTES_MAX)?;
        let state = self.required(
            &at.key("state"),
            typed.state,
            &format!("state = \"/var/lib/tandem/{label}\""),
        )?;
        let state = self.absolute(&at.key("state"), &state)?;
        let group = typed.group.map(|name| self.group(&at.key("group"), name)).transpose()?;

        let members = self.each_member(at, typed.member)?;
        self.members(&at.key("member"), &members)?;

        let policy = typed.policy.unwrap_or_default();
        let at_policy = at.key("policy");
        let min_replicas = self.number(
            &at_policy.key("min_replicas"),
            policy.min_replicas,
            1,
            1..=members.iter().filter(|member| member.keeps_keys()).count() as u64,
        )?;
        let require_backup = policy.require_backup.unwrap_or_default();
        let hold = typed.hold.unwrap_or_default();
        let rules = self.rules(&at.key("rule"), typed.rule)?;
        let stock = typed.stock.unwrap_or_default();

        Ok(Token {
            label,
            state,
            group,
            stock: self.stock(&at.key("stock"), stock, (hold, &rules))?,
            hold,
            rules,
            balance: typed.balance.unwrap_or_default(),
            session_objects: typed.session_objects.unwrap_or_default(),
            mechanisms: typed.mechanisms.unwrap_or_default(),
            require_backup,
            min_replicas: usize::try_from(min_replicas).unwrap_or(usize::MAX),
            allow_init: typed.allow_init.unwrap_or(false),
            allow_host_keygen: typed.allow_host_keygen.unwrap_or(false),
            backup_every: self.backup_every(&at.key("backup"), typed.backup)?,
            rollovers: self.rollovers(&at.key("rollover"), typed.rollover)?,
            recovery: self.recovery(&at.key("recovery"), &typed.recovery.unwrap_or_default())?,
            replay_bytes_max: usize::try_from(self.number(
                &at.key("replay_max"),
                typed.replay_max,
                REPLAY_BYTES,
                0..=REPLAY_BYTES_MAX,
            )?)
            .unwrap_or(usize::MAX),
            lease_wait_ms: self.number(
                &at.key("lease_wait_ms"),
                typed.lease_wait_ms,
                LEASE_WAIT_MS,
                0..=LEASE_WAIT_MS_MAX,
            )?,
            members,
        })
    }

    /// The members, none of them twice.
    fn each_member(&mut self, at: &Path, typed: Vec<typed::Member>) -> Result<Vec<Member>, Error> {
        let mut members: Vec<Member> = Vec::new();
        for (index, member) in typed.into_iter().enumerate() {
            let at = at.key("member").item(index);
            let member = self.member(&at, member)?;
            for other in &members {
                if other.name == member.name {
                    return Err(self.taken(&at.key("name"), "member", &member.name));
                }
                if other.same_token(&member) {
                    return Err(self.error(
                        &at.key("token"),
                        format!("the member {:?} is this very token", other.name),
                        "two copies of a key on one token protect nothing: name another token",
                    ));
                }
            }
            members.push(member);
        }
        Ok(members)
    }

    /// What must hold for the members together.
    fn members(&self, at: &Path, members: &[Member]) -> Result<(), Error> {
        if members.is_empty() {
            return Err(self.error(at, "the token has no members", "add [[token.member]]"));
        }
        if members.iter().all(|member| member.role != Role::Active) {
            return Err(self.error(
                at,
                "no member is active",
                "give at least one member role = \"active\"",
            ));
        }
        // A backup token is not there when an application logs in, and a generator need not be.
        if members.iter().filter(|it| it.keeps_keys()).all(|member| member.pin_source.is_some()) {
            return Err(self.error(
                at,
                "every member that holds keys has a pin_source, so nothing would check the application's PIN",
                "leave pin_source out of at least one of them",
            ));
        }
        Ok(())
    }

    fn recovery(&self, at: &Path, typed: &typed::Recovery) -> Result<Recovery, Error> {
        let shares =
            self.number(&at.key("shares"), typed.shares, u64::from(SHARES), 2..=SHARES_MAX)?;
        // Where only the number of shares was typed, the usual threshold may be more than there are.
        let usual = u64::from(THRESHOLD).min(shares);
        let threshold = self.number(&at.key("threshold"), typed.threshold, usual, 2..=shares)?;
        let shares_dir = typed.shares_dir.as_deref();
        Ok(Recovery {
            shares: u8::try_from(shares).unwrap_or(SHARES),
            threshold: u8::try_from(threshold).unwrap_or(THRESHOLD),
            shares_dir: shares_dir
                .map(|folder| self.absolute(&at.key("shares_dir"), folder))
                .transpose()?,
        })
    }

    fn member(&mut self, at: &Path, typed: typed::Member) -> Result<Member, Error> {
        let name = self.required(&at.key("name"), typed.name, "name = \"ams\"")?;
        self.name(&at.key("name"), &name)?;
        let module = self.required(
            &at.key("module"),
            typed.module,
            "module = \"/usr/lib/softhsm/libsofthsm2.so\"",
        )?;
        let module = self.absolute(&at.key("module"), &module)?;
        let token = self.selector(&at.key("token"), &name, typed.token)?;
        let deadline_ms = self.number(
            &at.key("deadline_ms"),
            typed.deadline_ms,
            DEADLINE_MS,
            0..=DEADLINE_MS_MAX,
        )?;
        if (1..DEADLINE_MS_SHORT).contains(&deadline_ms) {
            self.warn(
                &at.key("deadline_ms"),
                format!(
                    "{deadline_ms} ms is less than many HSMs take for a login or a signature: a member that needs longer is \
                     taken for one that hangs; write {DEADLINE_MS} unless you have measured yours"
                ),
            );
        }
        let long_deadline_ms = self.number(
            &at.key("long_deadline_ms"),
            typed.long_deadline_ms,
            LONG_DEADLINE_MS.max(deadline_ms),
            deadline_ms..=DEADLINE_MS_MAX,
        )?;
        let stuck_max =
            self.number(&at.key("stuck_max"), typed.stuck_max, STUCK_MAX, 1..=STUCK_MAX_MAX)?;
        let lanes = match typed.lanes {
            Some(_) => Some(self.number(&at.key("lanes"), typed.lanes, 1, 1..=LANES_MAX)?),
            None => None,
        };
        let loaded_max =
            self.number(&at.key("loaded_max"), typed.loaded_max, LOADED_MAX, 1..=LOADED_MAX_MAX)?;
        let pin_source = typed
            .pin_source
            .map(|source| self.pin_source(&at.key("pin_source"), &source))
            .transpose()?;
        let init = self.init(&at.key("init"), typed.init.as_deref())?;
        self.environment(&at.key("environment"), &typed.environment)?;
        let quirks = typed.quirks.unwrap_or_default();
        Ok(Member {
            name,
            module,
            token,
            deadline_ms,
            long_deadline_ms,
            stuck_max: usize::try_from(stuck_max).unwrap_or(usize::MAX),
            lanes: lanes.and_then(|lanes| usize::try_from(lanes).ok()),
            loaded_max: usize::try_from(loaded_max).unwrap_or(usize::MAX),
            role: typed.role.unwrap_or_default(),
            serialize: typed.serialize.unwrap_or(false),
            pin_source,
            init,
            environment: typed.environment,
            quirks: Quirks::stated(&quirks),
        })
    }

    fn rules(&self, at: &Path, typed: Vec<typed::Rule>) -> Result<Vec<Rule>, Error> {
        typed
            .into_iter()
            .enumerate()
            .map(|(index, rule)| self.rule(&at.item(index), rule))
            .collect()
    }

    fn rule(&self, at: &Path, typed: typed::Rule) -> Result<Rule, Error> {
        let hold = self.required(&at.key("hold"), typed.hold, "hold = \"on-demand\"")?;
        let kind = typed.kind.as_deref().map(KeyType::from_str).transpose();
        let kind = kind.map_err(|why| {
            self.error(&at.key("type"), why, "or leave it out, for keys of any type")
        })?;
        if let Some(label) = &typed.label {
            self.text(&at.key("label"), label, schedule::TEXT_BYTES_MAX)?;
        }
        if kind.is_none() && typed.label.is_none() {
            let remedy = "write type, label or both; for all keys, hold in [[token]]";
            return Err(self.error(at, "it says for no key what it is for", remedy));
        }
        Ok(Rule { kind, label: typed.label, hold })
    }

    fn selector(
        &self,
        at: &Path,
        name: &str,
        typed: Option<typed::Selector>,
    ) -> Result<Selector, Error> {
        let example = format!("token = {{ label = \"{name}\" }}");
        let typed = self.required(at, typed, &example)?;
        match (typed.label, typed.serial, typed.slot) {
            (Some(label), None, None) => {
                self.text(&at.key("label"), &label, LABEL_BYTES_MAX)?;
                Ok(Selector::Label(label))
            }
            (None, Some(serial), None) => {
                self.text(&at.key("serial"), &serial, SERIAL_BYTES_MAX)?;
                Ok(Selector::Serial(serial))
            }
            (None, None, Some(slot)) => Ok(Selector::Slot(slot)),
            _ => Err(self.error(
                at,
                "a token is chosen by exactly one of label, serial and slot",
                format!("write, for example, {example}"),
            )),
        }
    }

    fn pin_source(&self, at: &Path, typed: &str) -> Result<PinSource, Error> {
        pin_source(typed).map_err(|problem| self.error(at, problem, PIN_SOURCE_FORMS))
    }

    fn init(&self, at: &Path, typed: Option<&str>) -> Result<Init, Error> {
        let (form, text) = match typed {
            None | Some("standard") => return Ok(Init::Standard),
            Some(typed) => typed.split_once(':').unwrap_or((typed, "")),
        };
        let form = match form {
            "reserved" if !text.is_empty() => Init::Reserved,
            "nss" if !text.is_empty() => Init::Nss,
            _ => {
                return Err(self.error(
                    at,
                    format!("{:?} is no way to initialise a module", typed.unwrap_or_default()),
                    "write \"standard\", \"reserved:STRING\" or \"nss:PARAMETERS\"",
                ));
            }
        };
        if text.contains('\0') {
            return Err(self.error(at, "a C string can't hold a zero byte", "leave it out"));
        }
        Ok(form(text.to_owned()))
    }

    fn environment(&self, at: &Path, typed: &BTreeMap<String, String>) -> Result<(), Error> {
        let unfit = |text: &str| text.contains('\0');
        match typed
            .iter()
            .find(|(name, value)| name.is_empty() || name.contains('=') || unfit(name) || unfit(value))
        {
            None => Ok(()),
            // What follows a "=" may be what nobody is to read.
            Some((name, _)) => Err(self.error(
                &at.key(name.split('=').next().unwrap_or_default()),
                "an environment variable's name is not empty and has no \"=\", and neither name nor value has a zero byte",
                "write, for example, environment = { SOFTHSM2_CONF = \"/etc/softhsm2.conf\" }",
            )),
        }
    }

    /// Text that goes into a blank-padded field.
    fn text(&self, at: &Path, text: &str, bytes_max: usize) -> Result<(), Error> {
        let problem = if text.is_empty() {
            "it is empty".to_owned()
        } else if text.len() > bytes_max {
            format!("{text:?} has {} bytes", text.len())
        } else if text.trim() != text || text.chars().any(char::is_control) {
            format!("{text:?} begins or ends with a blank or holds a control character")
        } else {
            return Ok(());
        };
        Err(self.error(
            at,
            problem,
            format!("write 1 to {bytes_max} bytes of text without blanks at its ends"),
        ))
    }

    /// A name that becomes part of file names.
    fn name(&self, at: &Path, name: &str) -> Result<(), Error> {
        let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let begins = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if begins && name.len() <= NAME_BYTES_MAX && name.bytes().all(fit) {
            return Ok(());
        }
        Err(self.error(
            at,
            format!("{name:?} is no name"),
            format!(
                "write 1 to {NAME_BYTES_MAX} letters, digits, \"-\", \"_\" and \".\", the first a letter or digit"
            ),
        ))
    }

    fn group(&self, at: &Path, name: String) -> Result<Group, Error> {
        match nix::unistd::Group::from_name(&name) {
            Ok(Some(group)) => Ok(Group { gid: group.gid.as_raw(), name }),
            Ok(None) => Err(self.error(
                at,
                format!("this host has no group {name:?}"),
                format!("write a group of this host, or make this one: groupadd --system {name}"),
            )),
            Err(error) => Err(self.error(
                at,
                format!("the host's groups can't be read ({error})"),
                "check /etc/nsswitch.conf and the services that it names",
            )),
        }
    }
}

impl Quirks {
    fn stated(typed: &typed::Quirks) -> Self {
        Self {
            kwp: typed.kwp,
            wraps_multiples_of_eight: typed.wraps_multiples_of_eight,
            heals_by_restart: typed.heals_by_restart,
            private_copy: typed.private_copy,
            leaves_half_made: typed.leaves_half_made,
            logs_in_alone: typed.logs_in_alone,
            searches_alone: typed.searches_alone,
            after_fork: typed.after_fork,
        }
    }
}

impl Member {
    /// True if another member is the same token of the same library in the same surroundings.
    fn same_token(&self, other: &Self) -> bool {
        self.module == other.module
            && self.token == other.token
            && self.environment == other.environment
            && self.init == other.init
    }
}

/// The forms of a PIN source, for whoever typed none of them.
pub const PIN_SOURCE_FORMS: &str =
    "write \"file:/absolute/path\", \"env:NAME\" or \"command:/absolute/path [argument]…\"";

/// Reads a PIN source. The error says what is wrong with it.
pub fn pin_source(typed: &str) -> Result<PinSource, String> {
    let (form, rest) = typed.split_once(':').unwrap_or((typed, ""));
    match form {
        "file" if File::new(rest).is_absolute() => Ok(PinSource::File(PathBuf::from(rest))),
        "env" if !rest.is_empty() && !rest.contains(['=', '\0']) => {
            Ok(PinSource::Env(rest.to_owned()))
        }
        "command" if rest.starts_with('/') => {
            // No shell: what it would make of a file name is nobody's intention here.
            Ok(PinSource::Command(rest.split_whitespace().map(str::to_owned).collect()))
        }
        // What was typed may be the PIN itself, so it isn't repeated.
        _ => Err("this is no source of a PIN".to_owned()),
    }
}
