//! A virtual token: members, log and catalogue under one label. The other files of this crate add its methods by what
//! they are about: `login`, `make`, `follow`, `replica`, `admin`, `inspect`.

use crate::abilities::{AsSeen, Mechanisms};
use crate::batch::Batches;
use crate::error::{Error, Result};
use crate::held::{Held, Transients};
use crate::journal::Journal;
use crate::log::Store;
use crate::login::Login;
use crate::member::Member;
use crate::object::ObjectId;
use crate::ports::{Clock, Entropy, Hands, Task, Verifier};
use crate::resting::Resting;
use crate::roll::Roll;
use crate::seal::{Seal, Site};
use crate::session::Session;
use crate::settings::{MemberSettings, Role, Settings};
use crate::shelf::Shelf;
use crate::station::Station;
use crate::waking::Waking;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use tandem_values::info::TokenInfo;
use tandem_values::{Handle, ck::*};
use uuid::Uuid;

/// What a token is made of. The world outside puts it together.
pub struct Parts {
    /// What the operator decided.
    pub settings: Settings,
    /// The members in the order of the configuration, each with what the operator decided about it.
    pub members: Vec<(Arc<dyn Member>, MemberSettings)>,
    /// The log, its followers and the catalogue.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes of the operating system.
    pub entropy: Arc<dyn Entropy>,
    /// Judges signatures beside the members.
    pub verifier: Arc<dyn Verifier>,
    /// Brings several members up at once.
    pub hands: Arc<dyn Hands>,
    /// Takes the recovery's shares when a token is paired by its first login (after C_InitToken), where no operator looks on.
    pub shares: Option<Arc<dyn ShareSink>>,
    /// Takes the names of claimed keys whenever there are new ones.
    pub names: Option<Arc<dyn NameSink>>,
}

/// Takes the names of claimed keys, so that they can be brought back with an older backup.
pub trait NameSink: Send + Sync {
    /// Puts a bundle of names where the operator wants it, in the place of the one before; an error says where and why not.
    fn keep(&self, bundle: &[u8]) -> std::result::Result<(), String>;
}

/// Takes the recovery's shares when nobody is there to be shown them.
pub trait ShareSink: Send + Sync {
    /// Writes the shares where the operator wants them; an error says where and why not.
    fn keep(&self, shares: &[crate::shares::Share]) -> std::result::Result<(), String>;
}

/// A virtual token.
pub struct Token {
    pub(crate) settings: Settings,
    /// The members that work.
    pub(crate) stations: Vec<Arc<Station>>,
    /// The backup tokens, which nothing but a backup, a restore or an operator's command about one touches.
    pub(crate) vaults: Vec<Arc<Station>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) hands: Arc<dyn Hands>,
    pub(crate) share_sink: Option<Arc<dyn ShareSink>>,
    pub(crate) journal: Journal,
    pub(crate) shelf: Shelf,
    pub(crate) login: RwLock<Login>,
    /// One login, logout or pairing at a time.
    pub(crate) login_turn: Mutex<()>,
    /// The last login, for a moment after its end.
    pub(crate) resting: Mutex<Option<Resting>>,
    pub(crate) seal: Arc<RwLock<Option<Seal>>>,
    pub(crate) roll: Mutex<Roll>,
    pub(crate) gate: crate::backup::Gate,
    pub(crate) doubts: crate::heads::Doubts,
    /// The key ring, known from the first login on.
    pub(crate) ring: RwLock<Option<Arc<crate::ring::Ring>>>,
    pub(crate) transients: Transients,
    sessions: Mutex<BTreeMap<u64, Weak<Session>>>,
    sessions_opened: AtomicU64,
    pub(crate) turn: AtomicUsize,
    /// The member that got the last work, by its place among `stations`.
    pub(crate) last: AtomicUsize,
    pub(crate) makers: crate::lanes::Makers,
    /// Members that are being brought back just now.
    pub(crate) waking: Waking,
    /// Somebody tends the members in the background, so that calls need not.
    pub(crate) tended: AtomicBool,
    /// The store's generation at which the operator's notes were last read.
    pub(crate) heeded: AtomicU64,
    /// Changes on their way to the log.
    pub(crate) batches: Batches,
    /// What the shelf had lost when keys held on demand were last evicted for it.
    pub(crate) unloaded: AtomicU64,
    pub(crate) offered: AsSeen<Mechanisms>,
    pub(crate) name_sink: Option<Arc<dyn NameSink>>,
    pub(crate) stocking: crate::stock::Stocking,
}

/// Names of notes kept beside the log.
pub(crate) mod note {
    /// The token's serial number.
    pub(crate) const SERIAL: &str = "serial";
    /// The site's identity.
    pub(crate) const SITE: &str = "site";
    /// The label that C_InitToken gave.
    pub(crate) const LABEL: &str = "label";
    /// Set while the operator wants no work for a member.
    pub(crate) const DRAINED: &str = "drained";
    /// Changed whenever the operator lets a member in again.
    pub(crate) const ENABLED: &str = "enabled";
    /// A mark of the PIN that a member refused while others took it.
    pub(crate) const REFUSED_PIN: &str = "refused-pin";
    /// Set while the log is filled from a backup: until it is whole nobody may write to it.
    pub(crate) const RESTORING: &str = "restoring";
    /// Set while a token is initialised and not yet paired.
    pub(crate) const FRESH: &str = "fresh";

    /// The identity of a ring whose making was begun.
    pub(crate) const BEGUN: &str = "begun";

    /// Set while a member follows whose token held objects of ours before it was brought in.
    pub(crate) const LOOK: &str = "look";

    /// Every note about a member that a new one of its name has no use for.
    pub(crate) const OF_MEMBER: [&str; 8] =
        [ABILITIES, DRAINED, ENABLED, FENCED, HEADLESS, LOOK, OLDER, REFUSED_PIN];

    /// Set while keys of the ring that were rotated out are to be removed from a member that did not come to that, or refused.
    pub(crate) const OLDER: &str = "older-keys";

    /// Why a member can't hold a head record.
    pub(crate) const HEADLESS: &str = "headless";

    /// What a member knew of the log that the log does not bear out.
    pub(crate) const DOUBT: &str = "doubt";

    /// Up to where the log was restored from a backup, where it is not known which keys of the stock were claimed since.
    pub(crate) const UNNAMED: &str = "stock-unnamed";

    /// What a member can do.
    pub(crate) const ABILITIES: &str = "abilities";

    /// Why a member is kept out.
    pub(crate) const FENCED: &str = "fenced";

    /// A note about one member.
    pub(crate) fn member(name: &str, what: &str) -> String {
        format!("member/{name}/{what}")
    }
}

impl Token {
    /// Puts a token together. Touches nothing yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        let is_vault =
            |(_, settings): &(Arc<dyn Member>, MemberSettings)| settings.role == Role::Backup;
        let (vaults, members): (Vec<_>, Vec<_>) = parts.members.into_iter().partition(is_vault);
        let others = members.len().saturating_sub(1);
        let station = |others: usize| {
            let (clock, entropy) = (Arc::clone(&parts.clock), Arc::clone(&parts.entropy));
            move |(member, settings): (Arc<dyn Member>, MemberSettings)| {
                let station =
                    Station::new(member, settings, Arc::clone(&clock), Arc::clone(&entropy));
                station.set_others(others);
                Arc::new(station)
            }
        };
        let stations = members.into_iter().map(station(others)).collect();
        let vaults: Vec<_> = vaults.into_iter().map(station(0)).collect();
        for vault in &vaults {
            Self::set_aside(vault);
        }
        let seal = Arc::<RwLock<Option<Seal>>>::default();
        Arc::new(Self {
            journal: Journal::new(Arc::clone(&parts.store), Arc::clone(&parts.clock)),
            shelf: Shelf::new(
                Arc::clone(&parts.store),
                Arc::clone(&seal),
                parts.settings.checkpoint_after,
            ),
            settings: parts.settings,
            stations,
            vaults,
            store: parts.store,
            clock: parts.clock,
            entropy: parts.entropy,
            verifier: parts.verifier,
            hands: parts.hands,
            share_sink: parts.shares,
            login: RwLock::default(),
            login_turn: Mutex::new(()),
            resting: Mutex::new(None),
            seal,
            roll: Mutex::default(),
            gate: crate::backup::Gate::default(),
            doubts: crate::heads::Doubts::default(),
            ring: RwLock::new(None),
            transients: Transients::default(),
            sessions: Mutex::default(),
            sessions_opened: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
            last: AtomicUsize::new(0),
            makers: crate::lanes::Makers::default(),
            waking: Waking::default(),
            tended: AtomicBool::new(false),
            heeded: AtomicU64::new(0),
            unloaded: AtomicU64::new(0),
            batches: Batches::default(),
            offered: AsSeen::default(),
            name_sink: parts.names,
            stocking: crate::stock::Stocking::default(),
        })
    }

    /// Closes every session and stops the members, one after the other: vendors' modules share libraries, and what these do when
    /// two are finalised at the same time is nobody's promise.
    pub fn stop(&self) {
        for session in self.open_sessions() {
            session.close();
        }
        let _turn = self.login_turn.lock();
        self.end_login();
        self.end_rest();
        for station in self.stations.iter().chain(&self.vaults) {
            station.stop();
        }
    }

    /// Does something with each of these members, with all at once where that may be. Nobody waits longer than for the
    /// slowest.
    pub(crate) fn at_once<'a>(
        &'a self,
        stations: impl Iterator<Item = &'a Arc<Station>>,
        work: impl Fn(&'a Arc<Station>) + Sync,
    ) {
        let work = &work;
        self.hands
            .all(stations.map(|station| Box::new(move || work(station)) as Task<'_>).collect());
    }

    /// The label: what C_InitToken gave, else what the configuration says.
    pub fn label(&self) -> String {
        let given = self.store.note(note::LABEL).ok().flatten();
        given
            .and_then(|label| String::from_utf8(label).ok())
            .unwrap_or_else(|| self.settings.label.clone())
    }

    /// The serial number: made once for a state folder, 16 characters.
    pub fn serial(&self) -> Result<String> {
        let id = self.identity(note::SERIAL)?;
        // The last eight bytes of a UUID v7 are random.
        Ok(show_uuid(&id).chars().filter(char::is_ascii_hexdigit).skip(16).collect())
    }

    /// The site, whose identity new records carry.
    pub(crate) fn site(&self) -> Result<Site> {
        Ok(Site { id: self.identity(note::SITE)?, epoch: 1 })
    }

    pub(crate) fn identity(&self, name: &str) -> Result<[u8; 16]> {
        if let Some(id) = self.store.note(name)?.and_then(|id| id.try_into().ok()) {
            return Ok(id);
        }
        let id = self.new_uuid();
        self.store.set_note(name, Some(&id))?;
        // Two processes may do this at once: what is in the store then is right for both.
        Ok(self.store.note(name)?.and_then(|id| id.try_into().ok()).unwrap_or(id))
    }

    /// A fresh UUID v7 from the injected time and random bytes.
    pub(crate) fn new_uuid(&self) -> [u8; 16] {
        let mut random = [0; 10];
        self.entropy.fill(&mut random);
        *uuid::Builder::from_unix_timestamp_millis(self.clock.wall_ms(), &random)
            .into_uuid()
            .as_bytes()
    }

    /// A fresh identity for an object.
    pub(crate) fn new_object_id(&self) -> ObjectId {
        ObjectId(self.new_uuid())
    }

    /// What the token says of itself: the same whichever members are up.
    pub fn info(&self) -> TokenInfo {
        let mut info = TokenInfo {
            label: self.label(),
            manufacturer: "Tandem".into(),
            model: "Tandem".into(),
            serial: self.serial().unwrap_or_default(),
            flags: CKF_RNG | CKF_LOGIN_REQUIRED | CKF_TOKEN_INITIALIZED,
            pin_len_min: 0,
            pin_len_max: 255,
            free_public_memory: CK_UNAVAILABLE_INFORMATION,
            free_private_memory: CK_UNAVAILABLE_INFORMATION,
            sessions_max: CK_EFFECTIVELY_INFINITE,
            hardware_version: (0, 1),
            firmware_version: (0, 1),
        };
        // A token with a ring has a user PIN on every member; one without is asked.
        let paired = self.store.head().is_ok_and(|head| head.position > 0);
        if paired || self.has_user_pin() {
            info.flags |= CKF_USER_PIN_INITIALIZED;
        }
        for (min, max) in self.members().filter_map(|station| self.noted_pin_lengths(station)) {
            info.pin_len_min = info.pin_len_min.max(min);
            // Zero is a module's way of saying that it has no limit.
            if max != 0 {
                info.pin_len_max = info.pin_len_max.min(max);
            }
        }
        info
    }

    /// C_OpenSession.
    pub fn open(self: &Arc<Self>, writes: bool) -> Result<Arc<Session>> {
        if !writes && self.login.read().is_so() {
            return Err(CKR_SESSION_READ_WRITE_SO_EXISTS.into());
        }
        self.end_long_rest();
        let number = self.sessions_opened.fetch_add(1, Ordering::Relaxed);
        let session = Arc::new(Session::new(Arc::clone(self), number, writes));
        self.sessions.lock().insert(number, Arc::downgrade(&session));
        Ok(session)
    }

    /// A session that no application has: keys are made in it, and its end is no logout.
    pub(crate) fn backstage(self: &Arc<Self>) -> Session {
        let number = self.sessions_opened.fetch_add(1, Ordering::Relaxed);
        Session::new(Arc::clone(self), number, true)
    }

    /// The sessions that are open now.
    pub(crate) fn open_sessions(&self) -> Vec<Arc<Session>> {
        self.sessions.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// A session has closed. The last one's end is a logout (PKCS #11 3.2 section 5.6.7).
    pub(crate) fn forget_session(&self, number: u64) {
        self.transients.close(number, &self.stations);
        let last = {
            let mut sessions = self.sessions.lock();
            sessions.remove(&number);
            sessions.is_empty()
        };
        if last {
            let _turn = self.login_turn.lock();
            if self.sessions.lock().is_empty() {
                self.end_login();
            }
        }
    }

    /// True if a session that only reads is open.
    pub(crate) fn has_read_only_session(&self) -> bool {
        self.open_sessions().iter().any(|session| !session.writes())
    }

    /// What a handle names, for the application: private objects are there after login only.
    pub(crate) fn held(&self, handle: Handle) -> Result<Held> {
        self.for_application(self.named(handle)?)
    }

    /// The same as of when the shelf was last brought up.
    pub(crate) fn held_as_seen(&self, handle: Handle) -> Result<Held> {
        self.for_application(self.named_as_seen(handle)?)
    }

    fn for_application(&self, held: Option<Held>) -> Result<Held> {
        let held = held.ok_or_else(|| Error::from(CKR_OBJECT_HANDLE_INVALID))?;
        if held.object().is_private() && !self.login.read().is_user() {
            return Err(CKR_OBJECT_HANDLE_INVALID.into());
        }
        Ok(held)
    }

    /// What a handle names, seen by whoever is logged in.
    pub(crate) fn named(&self, handle: Handle) -> Result<Option<Held>> {
        if self.transients.get(handle).is_none() {
            self.look();
        }
        self.named_as_seen(handle)
    }

    fn named_as_seen(&self, handle: Handle) -> Result<Option<Held>> {
        if let Some(transient) = self.transients.get(handle) {
            return Ok(Some(Held::Transient(transient)));
        }
        if let Some(profile) = self.profile(handle) {
            return Ok(Some(profile));
        }
        // Nobody's yet: to applications it is not there.
        let entry = self.shelf.get(handle)?.filter(|entry| !entry.object.is_in_stock());
        Ok(entry.map(Held::Token))
    }

    /// Brings the shelf up. A store that can't be read now says nothing against what is there.
    pub(crate) fn look(&self) {
        if let Err(error) = self.shelf.refresh() {
            log::warn!(
                "token {}: {error}; answering from what this process knows",
                self.settings.label
            );
        }
    }

    /// The seal on the log, which a login opens.
    pub(crate) fn seal(&self) -> Result<Seal> {
        self.seal.read().clone().ok_or_else(|| CKR_USER_NOT_LOGGED_IN.into())
    }

    /// A fresh challenge of 32 bytes.
    pub(crate) fn challenge(&self) -> [u8; 32] {
        let mut challenge = [0; 32];
        self.entropy.fill(&mut challenge);
        challenge
    }
}

/// Shows an identity the way people write UUIDs.
pub fn show_uuid(id: &[u8; 16]) -> String {
    Uuid::from_bytes(*id).as_hyphenated().to_string()
}
