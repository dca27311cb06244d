//! What notes must do.

use super::{Place, append};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

pub(super) fn kept(place: &dyn Place) {
    let store = place.open();
    assert_eq!(store.note("a").unwrap(), None);
    store.set_note("a", Some(b"first")).unwrap();
    store.set_note("", Some(b"")).unwrap();
    store.set_note("a b/ü", Some(&vec![0; 100_000])).unwrap();
    store.set_note("a", Some(b"second")).unwrap();
    for store in [&place.open(), &store] {
        assert_eq!(store.note("a").unwrap().as_deref(), Some(&b"second"[..]));
        assert_eq!(store.note("").unwrap().as_deref(), Some(&b""[..]));
        assert_eq!(store.note("a b/ü").unwrap().unwrap().len(), 100_000);
        assert_eq!(store.note("A").unwrap(), None);
    }
    place.open().set_note("a", None).unwrap();
    store.set_note("never", None).unwrap();
    assert_eq!(store.note("a").unwrap(), None);
    assert!(store.note("").unwrap().is_some());
}

/// Whoever has read a note sees the next writer's as soon as that is done, and never an older one again.
pub(super) fn seen_by_all(place: &dyn Place) {
    const TIMES: u64 = 200;
    let (reader, writer) = (place.open(), place.open());
    let written = AtomicU64::new(0);
    thread::scope(|scope| {
        let (written, writer) = (&written, &writer);
        scope.spawn(move || {
            for number in 1..=TIMES {
                writer.set_note("number", Some(&number.to_be_bytes())).unwrap();
                written.store(number, Ordering::Release);
                // What changes no note is no reason to see an old one.
                append(&**writer, b"body", None).unwrap();
            }
        });
        let mut last = 0;
        while last < TIMES {
            let at_least = written.load(Ordering::Acquire).max(last);
            let note = reader.note("number").unwrap();
            let seen = note.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
            assert!(seen >= at_least, "{seen} is seen where {at_least} was written");
            last = seen;
        }
    });
}
