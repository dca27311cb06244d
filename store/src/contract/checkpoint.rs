//! What a keeper of checkpoints must do.

use super::{Place, append};
use tandem_engine::log::{Pages, Store, StoreError};

fn set(store: &dyn Store, pieces: &[&[u8]]) {
    store.set_checkpoint(&mut |sink| pieces.iter().try_for_each(|piece| sink(piece))).unwrap();
}

fn whole(pages: &dyn Pages) -> Vec<u8> {
    let len = pages.size().unwrap();
    pages.read(0, usize::try_from(len).unwrap()).unwrap()
}

pub(super) fn kept(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    assert!(one.checkpoint().unwrap().is_none());
    set(&*one, &[b"first ", b"", b"checkpoint"]);
    let pages = other.checkpoint().unwrap().unwrap();
    assert_eq!(whole(&*pages), b"first checkpoint");
    assert_eq!(pages.read(6, 5).unwrap(), b"check");
    assert_eq!(pages.read(10, 100).unwrap(), b"kpoint");
    assert_eq!(pages.read(100, 5).unwrap(), b"");
    // What was opened stays what it was.
    set(&*other, &[b"second"]);
    assert_eq!(whole(&*pages), b"first checkpoint");
    assert_eq!(whole(&*one.checkpoint().unwrap().unwrap()), b"second");
    one.drop_checkpoint().unwrap();
    one.drop_checkpoint().unwrap();
    assert!(other.checkpoint().unwrap().is_none());
    assert_eq!(whole(&*pages), b"first checkpoint");
}

pub(super) fn whole_or_not_at_all(place: &dyn Place) {
    let store = place.open();
    set(&*store, &[b"good"]);
    let failed = store.set_checkpoint(&mut |sink| {
        sink(b"half")?;
        assert_eq!(whole(&*store.checkpoint().unwrap().unwrap()), b"good");
        Err(StoreError::Unavailable("it was not to be".into()))
    });
    assert!(matches!(failed, Err(StoreError::Unavailable(_))));
    assert_eq!(whole(&*store.checkpoint().unwrap().unwrap()), b"good");
}

pub(super) fn of_its_log(place: &dyn Place) {
    let store = place.open();
    append(&*store, b"one", None).unwrap();
    set(&*store, &[b"of this log"]);
    store.begin_anew().unwrap();
    assert!(store.checkpoint().unwrap().is_none());
}
