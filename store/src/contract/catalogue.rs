//! What a catalogue must do.

use super::{Place, append, at_once, erase, id};
use tandem_engine::log::{Row, Store};

pub(super) fn empty(place: &dyn Place) {
    let store = place.open();
    assert_eq!(store.position().unwrap(), 0);
    assert!(store.changed(0, u64::MAX).unwrap().is_empty());
    assert_eq!(store.row(id(1)).unwrap(), None);
}

#[expect(clippy::unnecessary_wraps, reason = "a row's body, as it is given")]
fn object(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

/// A change of any kind, with its name.
type Change = (&'static str, fn(&dyn Store));

pub(super) fn handles(place: &dyn Place) {
    let store = place.open();
    store.fold(0, 2, &[(id(1), 1, object("a")), (id(2), 2, object("b"))]).unwrap();
    let [a, b] = store.changed(0, u64::MAX).unwrap().try_into().unwrap();
    assert_eq!((a.id, a.position, &a.body), (id(1), 1, &object("a")));
    assert_eq!((b.id, b.position, &b.body), (id(2), 2, &object("b")));
    assert!(0 < a.handle && a.handle < b.handle);

    let rows = [(id(2), 3, object("b2")), (id(3), 4, object("c")), (id(1), 5, None)];
    place.open().fold(2, 5, &rows).unwrap();
    assert_eq!(store.position().unwrap(), 5);
    let changed = Row { position: 3, body: object("b2"), ..b };
    assert_eq!(store.row(id(2)).unwrap(), Some(changed.clone()));
    let destroyed = Row { position: 5, body: None, ..a };
    assert_eq!(store.row(id(1)).unwrap(), Some(destroyed.clone()));
    let c = store.row(id(3)).unwrap().unwrap();
    assert!(c.handle > changed.handle);
    assert_eq!(place.open().changed(0, u64::MAX).unwrap(), [destroyed, changed, c]);

    // The same object twice in one fold: the last counts. One that was never seen alive: a row all the same.
    store.fold(5, 7, &[(id(4), 6, object("d")), (id(4), 7, None), (id(5), 7, None)]).unwrap();
    assert_eq!(store.row(id(4)).unwrap().unwrap().body, None);
    assert_eq!(store.row(id(5)).unwrap().unwrap().body, None);
}

pub(super) fn never_reused(place: &dyn Place) {
    let store = place.open();
    let mut last = 0;
    for round in 1..=3 {
        store.fold(0, 9, &[(id(round), 1, object("a")), (id(round + 10), 2, None)]).unwrap();
        let rows = store.changed(0, u64::MAX).unwrap();
        assert!(rows.iter().all(|row| row.handle > last), "round {round}");
        last = rows.last().unwrap().handle;
        store.begin_anew().unwrap();
    }
}

pub(super) fn changed(place: &dyn Place) {
    let store = place.open();
    let rows: Vec<_> = (1..=20).map(|number| (id(number), number, object("x"))).collect();
    store.fold(0, 20, &rows).unwrap();
    store.fold(20, 22, &[(id(3), 22, object("y")), (id(15), 21, None)]).unwrap();
    let ids = |after, to| -> Vec<_> {
        let rows = store.changed(after, to).unwrap().into_iter();
        rows.map(|row| (row.id, row.position)).collect()
    };
    assert_eq!(ids(0, u64::MAX).len(), 20);
    let last = [(id(3), 22), (id(15), 21), (id(19), 19), (id(20), 20)];
    assert_eq!(ids(18, u64::MAX), last);
    assert_eq!(ids(18, 22), last);
    assert_eq!(ids(18, 20), last[2..]);
    assert_eq!(ids(21, 22), [(id(3), 22)]);
    assert_eq!(ids(22, u64::MAX), []);
    let rows = store.changed(0, 22).unwrap();
    let missing = u64::from(u32::MAX);
    let handles: Vec<_> = rows.iter().rev().flat_map(|row| [missing, row.handle]).collect();
    assert!(store.rows_at(&handles).unwrap().iter().eq(rows.iter().rev()));
    for row in rows {
        assert_eq!(store.rows_at(&[row.handle]).unwrap(), [row]);
    }
    assert_eq!(store.rows_at(&[missing]).unwrap(), []);
}

pub(super) fn once(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    one.fold(0, 2, &[(id(1), 2, object("new"))]).unwrap();
    let generation = one.generation();
    other.fold(0, 1, &[(id(1), 1, object("old")), (id(2), 1, object("late"))]).unwrap();
    other.fold(1, 3, &[(id(2), 3, object("late"))]).unwrap();
    assert_eq!(other.position().unwrap(), 2);
    assert_eq!(other.row(id(1)).unwrap().unwrap().body, object("new"));
    assert_eq!(other.row(id(2)).unwrap(), None);
    assert_eq!(one.generation(), generation, "nothing was written");
    // Nothing but the position.
    one.fold(2, 3, &[]).unwrap();
    assert_eq!(one.position().unwrap(), 3);
}

pub(super) fn threads(place: &dyn Place) {
    const TO: u64 = 60;
    at_once(place, 4, |_, store| {
        loop {
            let from = store.position().unwrap();
            if from == TO {
                break;
            }
            // Each event changes one of five objects, by adding a byte to what was there.
            let id = id(from % 5);
            let mut body = store.row(id).unwrap().and_then(|row| row.body).unwrap_or_default();
            body.push(0);
            store.fold(from, from + 1, &[(id, from + 1, Some(body))]).unwrap();
        }
    });
    let rows = place.open().changed(0, u64::MAX).unwrap();
    assert_eq!(rows.len(), 5);
    // What one thread read before another folded must not have been written.
    for row in rows {
        assert_eq!(row.body.unwrap().len() as u64, TO / 5);
    }
}

pub(super) fn generation(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    let mut last = other.generation();
    let mut seen = std::collections::HashSet::from([last]);
    assert_eq!(other.generation(), last, "nothing has changed");
    let changes: [Change; 4] = [
        ("append", |store| _ = append(store, b"one", Some(b"wrapped")).unwrap()),
        ("fold", |store| store.fold(0, 1, &[(id(1), 1, object("a"))]).unwrap()),
        ("erase", |store| _ = erase(store, 1).unwrap()),
        ("begin anew", |store| store.begin_anew().unwrap()),
    ];
    for (name, change) in changes {
        change(&*one);
        let now = other.generation();
        assert_ne!(now, last, "{name}");
        assert_eq!(other.generation(), now, "{name}: no more than once");
        assert!(seen.insert(now), "{name}: seen before");
        last = now;
    }
    other.head().unwrap();
    other.read(0, 10).unwrap();
    other.changed(0, u64::MAX).unwrap();
    assert_eq!(other.generation(), last, "reading changes nothing");
}
