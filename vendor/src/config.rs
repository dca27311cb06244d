//! What the operator says of a member's module, as plain values: `config` builds it, this crate acts on it.

use std::fmt;
use std::path::PathBuf;
use tandem_values::MechanismType;

/// Which token of a module is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSelector {
    /// The token with this label. Refused if two tokens have it.
    Label(String),
    /// The token with this serial number.
    Serial(String),
    /// The token in this slot (CK_SLOT_ID). Slot ids of some modules change when they start anew.
    Slot(u64),
    /// The first token that is not initialised yet: for whoever is about to initialise it.
    Uninitialised,
}

impl fmt::Display for TokenSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "label \"{label}\""),
            Self::Serial(serial) => write!(f, "serial \"{serial}\""),
            Self::Slot(slot) => write!(f, "slot {slot}"),
            Self::Uninitialised => f.write_str("no label yet"),
        }
    }
}

/// What a vendor's C_Initialize takes (PKCS #11 3.2 section 5.4.1). `pReserved` must be null by the
/// specification; two vendors read their configuration from it or from beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Initialise {
    /// CKF_OS_LOCKING_OK and a null `pReserved`.
    #[default]
    Standard,
    /// `pReserved` is this C string, as Kryoptic takes it: `kryoptic_conf=/path`.
    Reserved(String),
    /// NSS's structure, with this `LibraryParameters` before `pReserved`.
    Nss(String),
}

/// What a forked child does with a module that its parent had initialised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterFork {
    /// Loads a private copy of the file: works with any module that can be copied, and no login is inherited.
    #[default]
    FreshCopy,
    /// Calls C_Initialize again on the inherited instance, for a vendor who documents that this begins
    /// anew. If the module says that it is initialised already it is refused: it may still be logged in.
    Initialise,
}

/// Quirks that the configuration states; `None` leaves what is known of the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// See `tandem_engine::member::Quirks::kwp`.
    pub kwp: Option<MechanismType>,
    /// See `tandem_engine::member::Quirks::wraps_multiples_of_eight`.
    pub wraps_multiples_of_eight: Option<bool>,
    /// See `tandem_engine::member::Quirks::heals_by_restart`.
    pub heals_by_restart: Option<bool>,
    /// See `tandem_engine::member::Quirks::leaves_half_made`.
    pub leaves_half_made: Option<bool>,
    /// See [`crate::Known::private_copy`].
    pub private_copy: Option<bool>,
    /// See [`crate::Known::logs_in_alone`].
    pub logs_in_alone: Option<bool>,
    /// See [`crate::Known::searches_alone`].
    pub searches_alone: Option<bool>,
    /// See [`crate::Known::after_fork`].
    pub after_fork: Option<AfterFork>,
}

/// A member: its module, its token, and how the module is started.
#[derive(Clone, PartialEq, Eq)]
pub struct MemberConfig {
    /// The name the operator gave it.
    pub name: String,
    /// The vendor's module: an absolute path.
    pub module: PathBuf,
    /// Which of the module's tokens.
    pub token: TokenSelector,
    /// Environment variables that are set while the module is loaded and while C_Initialize runs. Other threads of
    /// the host may read the environment meanwhile; where a vendor takes its configuration through
    /// [`Initialise::Reserved`] or [`Initialise::Nss`], that is the better way.
    pub environment: Vec<(String, String)>,
    /// What C_Initialize takes.
    pub initialise: Initialise,
    /// One call at a time, for a module that is not thread-safe in spite of CKF_OS_LOCKING_OK.
    pub serialize: bool,
    /// The application forbids threads (CKF_LIBRARY_CANT_CREATE_OS_THREADS): passed on to the vendor.
    pub forbid_threads: bool,
    /// Group (gid) that may write to the module's file and folders, beside their owner and root's group.
    pub group: Option<u32>,
    /// Quirks as the configuration states them.
    pub quirks: Overrides,
}

impl MemberConfig {
    /// A member with nothing out of the ordinary.
    pub fn new(name: impl Into<String>, module: impl Into<PathBuf>, token: TokenSelector) -> Self {
        Self {
            name: name.into(),
            module: module.into(),
            token,
            environment: Vec::new(),
            initialise: Initialise::Standard,
            serialize: false,
            forbid_threads: false,
            group: None,
            quirks: Overrides::default(),
        }
    }
}

/// Leaves out what variables and start arguments hold: some vendors take passwords there.
impl fmt::Debug for MemberConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("MemberConfig")
            .field("name", &self.name)
            .field("module", &self.module)
            .field("token", &self.token)
            .field("environment", &names)
            .finish_non_exhaustive()
    }
}
