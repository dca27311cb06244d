//! What followers and their leases must do.

use super::{Place, at_once, id};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tandem_engine::log::{Following, StoreError};

pub(super) fn unknown(place: &dyn Place) {
    let store = place.open();
    assert_eq!(store.following("nobody").unwrap(), Following::default());
    store.forget("nobody").unwrap();
}

pub(super) fn writes(place: &dyn Place) {
    let store = place.open();
    let mut lease = store.lease("member", 0).unwrap().unwrap();
    assert_eq!(lease.following().unwrap(), Following::default());
    lease.advance(7).unwrap();
    lease.except(id(2), "no room").unwrap();
    lease.except(id(1), "too long").unwrap();
    lease.except(id(2), "no such mechanism").unwrap();
    let exceptions = vec![(id(1), "too long".into()), (id(2), "no such mechanism".into())];
    let expected = Following { position: 7, exceptions };
    assert_eq!(lease.following().unwrap(), expected);
    assert_eq!(place.open().following("member").unwrap(), expected);
    lease.resolve(id(1)).unwrap();
    lease.resolve(id(1)).unwrap();
    lease.advance(8).unwrap();
    lease.advance(8).unwrap();
    drop(lease);
    let following = store.following("member").unwrap();
    assert_eq!((following.position, following.exceptions.len()), (8, 1));
    let lease = store.lease("member", 0).unwrap().unwrap();
    assert_eq!(lease.following().unwrap(), following);
}

pub(super) fn exclusive(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    let lease = one.lease("member", 0).unwrap().unwrap();
    assert!(one.lease("member", 0).unwrap().is_none());
    assert!(other.lease("member", 0).unwrap().is_none());
    let began = Instant::now();
    assert!(other.lease("member", 60).unwrap().is_none());
    assert!(began.elapsed() >= Duration::from_millis(60));
    drop(lease);
    assert!(other.lease("member", 0).unwrap().is_some());
    assert!(one.lease("member", 0).unwrap().is_some());
}

pub(super) fn waits(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    let lease = one.lease("member", 0).unwrap().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let began = Instant::now();
            let got = other.lease("member", 20_000).unwrap().is_some();
            (got, began.elapsed())
        });
        std::thread::sleep(Duration::from_millis(100));
        drop(lease);
        let (got, waited) = waiting.join().unwrap();
        assert!(got && waited >= Duration::from_millis(50), "{waited:?}");
        assert!(waited < Duration::from_secs(10), "{waited:?}");
    });
}

pub(super) fn epochs(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    let first = one.lease("member", 0).unwrap().unwrap().epoch();
    let second = other.lease("member", 0).unwrap().unwrap().epoch();
    assert_eq!(second, first + 1);
    one.forget("member").unwrap();
    assert!(one.lease("member", 0).unwrap().unwrap().epoch() > second);
    one.begin_anew().unwrap();
    assert!(one.lease("member", 0).unwrap().unwrap().epoch() > second + 1);
}

pub(super) fn apart(place: &dyn Place) {
    let store = place.open();
    let names = ["", "a", "a/b", "a_2fb", "a b", "../x", "ä", "A", ".", "member:ams", "member-ams"];
    let mut leases: Vec<_> =
        names.iter().map(|name| store.lease(name, 0).unwrap().unwrap()).collect();
    for (number, lease) in leases.iter_mut().enumerate() {
        lease.advance(number as u64 + 1).unwrap();
        lease.except(id(number as u64), "reason").unwrap();
    }
    for (number, name) in names.iter().enumerate() {
        let expected = Following {
            position: number as u64 + 1,
            exceptions: vec![(id(number as u64), "reason".into())],
        };
        assert_eq!(store.following(name).unwrap(), expected, "{name}");
    }
}

pub(super) fn forgotten(place: &dyn Place) {
    let store = place.open();
    let mut lease = store.lease("member", 0).unwrap().unwrap();
    lease.advance(7).unwrap();
    lease.except(id(1), "reason").unwrap();
    place.open().forget("member").unwrap();
    assert_eq!(store.following("member").unwrap(), Following::default());
    for refused in [lease.advance(8), lease.except(id(1), "reason"), lease.resolve(id(1))] {
        assert!(matches!(refused, Err(StoreError::Fenced(name)) if name == "member"));
    }
    assert_eq!(store.following("member").unwrap(), Following::default());
    drop(lease);
    let mut lease = store.lease("member", 0).unwrap().unwrap();
    lease.advance(1).unwrap();
    assert_eq!(store.following("member").unwrap().position, 1);
}

pub(super) fn threads(place: &dyn Place) {
    const THREADS: usize = 4;
    const EACH: usize = 20;
    let inside = AtomicU32::new(0);
    at_once(place, THREADS, |_, store| {
        for _ in 0..EACH {
            let mut lease = store.lease("member", 60_000).unwrap().unwrap();
            assert_eq!(inside.fetch_add(1, SeqCst), 0, "two leases at once");
            let position = lease.following().unwrap().position;
            lease.advance(position + 1).unwrap();
            inside.fetch_sub(1, SeqCst);
        }
    });
    assert_eq!(place.open().following("member").unwrap().position, (THREADS * EACH) as u64);
}
