//! What notes must do.

use super::Place;

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
