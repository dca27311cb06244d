//! What a handle names: an object of the token, or one of a session.

use crate::desk::Desk;
use crate::fault::Answer;
use crate::found::{Life, Spot};
use crate::member::SessionId;
use crate::object::{Object, ObjectId, Under};
use crate::ring::Generation;
use crate::shelf::Entry;
use crate::station::Station;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tandem_values::{Handle, Template};

/// Handles of session objects begin here, far above any row number of the catalogue.
const TRANSIENT_BASE: Handle = 1 << 40;

/// A session object: it lives in this process and on the member where it was made, and was wrapped once, so that it can
/// be copied to the token and unwrapped elsewhere.
#[derive(Debug)]
pub struct Transient {
    /// Its handle.
    pub handle: Handle,
    /// The session that made it, and with which it goes.
    pub owner: u64,
    /// The object.
    pub object: Object,
    /// Its secret part, wrapped; `None` if it has none, or it could not be wrapped and stays where it is.
    pub wrapped: Option<Vec<u8>>,
    /// The newest keys of the ring under which it was to be wrapped anew.
    tried: AtomicU32,
    /// Where it is: per member.
    places: Mutex<HashMap<String, Spot>>,
}

impl Transient {
    /// Its handle on a member, if it is there now.
    pub fn place(&self, station: &Station) -> Option<Handle> {
        self.places.lock().get(station.name())?.within(station.life())
    }

    /// Remembers where it is on a member.
    pub fn set_place(&self, station: &Station, spot: Spot) {
        self.places.lock().insert(station.name().to_owned(), spot);
    }

    /// Forgets where it is on a member.
    pub fn forget_place(&self, station: &Station) {
        self.places.lock().remove(station.name());
    }

    /// True if it can be used on a member: it is there, or can be unwrapped or created there.
    pub fn can_go(&self, station: &Station) -> bool {
        self.place(station).is_some()
            || self.object.kek.is_none()
            || (self.wrapped.is_some() && self.opens_on(station))
    }
}

impl Transient {
    fn new(
        (handle, owner): (Handle, u64),
        object: Object,
        wrapped: Option<Vec<u8>>,
        places: HashMap<String, Spot>,
    ) -> Self {
        let (tried, places) = (AtomicU32::new(0), Mutex::new(places));
        Self { handle, owner, object, wrapped, tried, places }
    }

    /// True if it is wrapped under keys before these, the first time that is asked for these.
    pub(crate) fn is_behind(&self, newest: Generation) -> bool {
        self.wrapped.is_some()
            && self.object.generation < newest
            && self.tried.swap(newest.0, Ordering::Relaxed) != newest.0
    }

    /// True if a member holds the key that wraps it.
    fn opens_on(&self, station: &Station) -> bool {
        station.holds(self.object.generation)
    }
}

/// A session on a member in which session objects live.
#[derive(Clone, Copy)]
struct Home {
    life: Life,
    session: SessionId,
}

impl Home {
    fn desk(self, station: &Station) -> Desk<'_> {
        Desk::new(&*station.member, self.session).in_life(self.life)
    }

    /// Closes the session, if it may still be there.
    fn leave(self, station: &Station) {
        if self.life == station.life() {
            self.desk(station).leave();
        }
    }
}

/// The session objects of one token.
#[derive(Default)]
pub struct Transients {
    objects: RwLock<BTreeMap<Handle, Arc<Transient>>>,
    issued: AtomicU64,
    /// Sessions on members in which the objects of our sessions live: they close together.
    homes: Mutex<HashMap<(u64, String), Home>>,
}

impl Transients {
    /// Takes in a session object and gives it a handle.
    pub fn add(&self, owner: u64, object: Object, wrapped: Option<Vec<u8>>) -> Arc<Transient> {
        let handle = TRANSIENT_BASE.saturating_add(self.issued.fetch_add(1, Ordering::Relaxed));
        let transient = Arc::new(Transient::new((handle, owner), object, wrapped, HashMap::new()));
        self.objects.write().insert(handle, Arc::clone(&transient));
        transient
    }

    /// Puts an object with other attributes in its own place.
    pub fn replace(&self, old: &Transient, object: Object, wrapped: Option<Vec<u8>>) {
        let places = old.places.lock().clone();
        let new = Transient::new((old.handle, old.owner), object, wrapped, places);
        self.objects.write().insert(old.handle, Arc::new(new));
    }

    /// An object was wrapped anew. Nothing happens if it is gone, or was changed meanwhile.
    pub(crate) fn rewrap(&self, old: &Arc<Transient>, under: Under, wrapped: Vec<u8>) {
        let mut objects = self.objects.write();
        if objects.get(&old.handle).is_some_and(|now| Arc::ptr_eq(now, old)) {
            let mut object = old.object.clone();
            object.set_under(Some(under));
            let places = old.places.lock().clone();
            let new = Transient::new((old.handle, old.owner), object, Some(wrapped), places);
            objects.insert(old.handle, Arc::new(new));
        }
    }

    /// The object of a handle.
    pub fn get(&self, handle: Handle) -> Option<Arc<Transient>> {
        self.objects.read().get(&handle).cloned()
    }

    /// Every object that has these attributes, in order of handle.
    pub fn find(&self, wanted: &Template) -> Vec<Arc<Transient>> {
        self.objects
            .read()
            .values()
            .filter(|t| t.object.template.matches(wanted))
            .cloned()
            .collect()
    }

    /// Takes an object out.
    pub fn remove(&self, handle: Handle) -> Option<Arc<Transient>> {
        self.objects.write().remove(&handle)
    }

    /// Takes out private objects, whose login has ended.
    pub fn remove_private(&self) -> Vec<Arc<Transient>> {
        let mut objects = self.objects.write();
        let gone: Vec<_> = objects.values().filter(|t| t.object.is_private()).cloned().collect();
        objects.retain(|_, transient| !transient.object.is_private());
        gone
    }

    /// The session on a member in which a session's objects live; opened on first need.
    pub fn home<'a>(&self, owner: u64, station: &'a Station) -> Answer<Desk<'a>> {
        let key = (owner, station.name().to_owned());
        let life = station.life();
        if let Some(home) = self.homes.lock().get(&key)
            && home.life == life
            && station.member.has(home.session)
        {
            return Ok(home.desk(station));
        }
        let home = Home { life, session: station.member.open(true)? };
        // A session belongs to one thread at a time, so two opens for one owner don't meet; were it so, none leaks.
        if let Some(old) = self.homes.lock().insert(key, home) {
            self.forget_places(owner, station);
            old.leave(station);
        }
        Ok(home.desk(station))
    }

    /// Forgets what was in a home that is gone.
    fn forget_places(&self, owner: u64, station: &Station) {
        for transient in self.objects.read().values().filter(|t| t.owner == owner) {
            transient.forget_place(station);
        }
    }

    /// A session has closed: its objects go, and so do its sessions on members.
    pub fn close(&self, owner: u64, stations: &[Arc<Station>]) {
        self.objects.write().retain(|_, transient| transient.owner != owner);
        for station in stations {
            let home = self.homes.lock().remove(&(owner, station.name().to_owned()));
            if let Some(home) = home {
                home.leave(station);
            }
        }
    }
}

/// What a handle names.
#[derive(Clone, Debug)]
pub enum Held {
    /// An object of the token.
    Token(Arc<Entry>),
    /// An object of a session.
    Transient(Arc<Transient>),
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.handle() == other.handle()
    }
}
impl Eq for Held {}

impl Held {
    /// The object.
    pub fn object(&self) -> &Object {
        match self {
            Self::Token(entry) => &entry.object,
            Self::Transient(transient) => &transient.object,
        }
    }

    /// Its handle.
    pub fn handle(&self) -> Handle {
        match self {
            Self::Token(entry) => entry.handle,
            Self::Transient(transient) => transient.handle,
        }
    }

    /// Its identity.
    pub fn id(&self) -> ObjectId {
        self.object().id
    }
}
