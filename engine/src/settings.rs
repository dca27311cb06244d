//! What the operator decided about a virtual token, as the engine needs it.

pub use crate::object::Hold;
use std::sync::Arc;
use tandem_values::keytype::KeyType;
use tandem_values::pattern::is_like;
use tandem_values::{Secret, Template, ck::*};

/// Which member does the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The member that would answer first: by its latency and the calls it has to answer.
    #[default]
    LeastLoaded,
    /// One after the other.
    RoundRobin,
    /// The first that is up, in the order of the configuration.
    Primary,
}

/// What a member is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Holds keys and does work.
    #[default]
    Active,
    /// Holds keys, works only when no active member can.
    Standby,
    /// Connected only while a backup runs.
    Backup,
    /// Makes keys that other members hold.
    Generator,
}

/// What a member does for applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It holds keys, and does all work with them.
    Keys,
    /// It makes keys, and holds none.
    Making,
}

impl Role {
    /// What a member in this role does for applications; nothing, if it is a backup token.
    pub const fn duty(self) -> Option<Duty> {
        match self {
            Self::Active | Self::Standby => Some(Duty::Keys),
            Self::Generator => Some(Duty::Making),
            Self::Backup => None,
        }
    }
}

/// Where a member's own PIN comes from, when it is not the application's.
pub trait PinSource: Send + Sync {
    /// The PIN; an error says where it was looked for and what to do.
    fn pin(&self) -> Result<Secret, String>;
}

/// What the operator decided about a member.
#[derive(Clone)]
pub struct MemberSettings {
    /// What it is for.
    pub role: Role,
    /// Its own user PIN; `None`: it takes the application's.
    pub pin: Option<Arc<dyn PinSource>>,
    /// The label its token gets from C_InitToken; `None`: the label the application gives.
    pub label: Option<String>,
    /// How many calls it works on at a time, if the operator knows.
    pub lanes: Option<usize>,
    /// The most keys held on demand that it is given at a time.
    pub loaded_max: usize,
}

/// Where keys of some kind live.
#[derive(Clone)]
pub struct HoldRule {
    /// Their type; `None`: any.
    pub kind: Option<KeyType>,
    /// A pattern of CKA_LABEL ([`is_like`]); `None`: any.
    pub label: Option<String>,
    /// Where they live.
    pub hold: Hold,
}

impl HoldRule {
    /// True of a key with these attributes.
    pub fn is_for(&self, template: &Template) -> bool {
        let label = String::from_utf8_lossy(template.bytes(CKA_LABEL).unwrap_or_default());
        self.kind.as_ref().is_none_or(|kind| kind.is_of(template))
            && self.label.as_ref().is_none_or(|pattern| is_like(&label, pattern))
    }
}

/// Keys that are made ahead of need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockSettings {
    /// Their type.
    pub kind: KeyType,
    /// How many there are to be that nobody has claimed.
    pub count: u64,
    /// Where they live.
    pub hold: Hold,
    /// Whether they may derive as well; key pairs only.
    pub derive: bool,
}

/// The rule about keys that are not backed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequireBackup {
    /// Keys are used whether backed up or not.
    #[default]
    Off,
    /// The use of a key that is not backed up is logged.
    Warn,
    /// A key that is not backed up does not sign, decrypt, derive or unwrap.
    Enforce,
}

/// How the recovery of the key ring is split, and where the shares go when no operator is there to be shown them.
#[derive(Clone)]
pub struct RecoverySettings {
    /// How many shares are made.
    pub shares: u8,
    /// How many of them open the ring.
    pub threshold: u8,
}

/// What becomes of session objects when their member fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionObjects {
    /// They are wrapped once when they are made, and go on elsewhere.
    #[default]
    Mirrored,
    /// They are never wrapped, and end with their member.
    Pinned,
}

/// Which mechanisms and types of keys a token offers whose members differ in what they can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offer {
    /// What every member can do: each key is on each of them.
    #[default]
    Common,
    /// What any member can do: a key lives on those that can hold it.
    Any,
}

/// So many changed objects are kept in memory, some 400 bytes each, before a checkpoint of the catalogue takes them.
pub const CHECKPOINT_AFTER: usize = 32_768;

/// What the operator decided about a virtual token.
#[derive(Clone)]
pub struct Settings {
    /// The token's label until C_InitToken gives it another.
    pub label: String,
    /// Where keys made from now on live that no rule is for.
    pub hold: Hold,
    /// Where others do: the first rule that is for a key.
    pub rules: Vec<HoldRule>,
    /// What is kept in stock, each type and hold once.
    pub stock: Vec<StockSettings>,
    /// Which member does the work.
    pub balance: Balance,
    /// What becomes of session objects when their member fails.
    pub session_objects: SessionObjects,
    /// Which mechanisms and types of keys are offered.
    pub mechanisms: Offer,
    /// The rule about keys that are not backed up.
    pub require_backup: RequireBackup,
    /// How many members must have proven a new key before its handle is returned. At least 1.
    pub min_replicas: usize,
    /// C_InitToken, C_InitPIN and C_SetPIN are allowed.
    pub allow_init: bool,
    /// The values of keys that members don't wrap may pass through the host's memory.
    pub allow_host_keygen: bool,
    /// How the recovery is split.
    pub recovery: RecoverySettings,
    /// The most bytes of an operation that are kept so that it can move to another member.
    pub replay_bytes_max: usize,
    /// How many changed objects are kept in memory before a checkpoint of the catalogue takes them.
    pub checkpoint_after: usize,
    /// How long a maker waits for another process that is writing to a member, in milliseconds.
    pub lease_wait_ms: u64,
}

impl Settings {
    /// Where a token key with these attributes lives; every other object is resident.
    pub(crate) fn hold_of(&self, template: &Template) -> Hold {
        let is_key =
            matches!(template.class(), Some(CKO_PRIVATE_KEY | CKO_SECRET_KEY | CKO_PUBLIC_KEY));
        if !is_key || !template.is(CKA_TOKEN) {
            return Hold::Resident;
        }
        let rule = self.rules.iter().find(|rule| rule.is_for(template));
        rule.map_or(self.hold, |rule| rule.hold)
    }
}
