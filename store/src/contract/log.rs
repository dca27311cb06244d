//! What a log must do.

use super::{Place, append, at_once, erase, id, record_after, whole_log};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tandem_engine::event::{Event, Head, Record};
use tandem_engine::log::{Append, Following, StoreError};
use tandem_engine::object::Hold;

pub(super) fn empty(place: &dyn Place) {
    let store = place.open();
    assert_eq!(store.head().unwrap(), Head::default());
    assert!(store.read(0, 10).unwrap().is_empty());
}

pub(super) fn round_trip(place: &dyn Place) {
    let store = place.open();
    let large = vec![0xa5; 1 << 20];
    let written = std::cell::RefCell::new(Vec::<Record>::new());
    let head = store
        .append(&mut |head| {
            let mut records = vec![record_after(head, b"first", None)];
            for (body, wrapped) in [(&b""[..], Some(&b""[..])), (&large, Some(&large))] {
                let last = &records[records.len() - 1];
                let head = Head { position: last.position, counter: last.counter, link: last.link };
                let mut record = record_after(&head, body, wrapped);
                record.site = [0xff; 16];
                record.counter = u64::MAX;
                record.epoch = u64::MAX - 1;
                record.at_ms = u64::MAX - 2;
                record.link = record.link_after(&head.link);
                records.push(record);
            }
            written.borrow_mut().clone_from(&records);
            Ok(Append { records, erase: vec![] })
        })
        .unwrap();
    let written = written.into_inner();
    assert_eq!(head, Head { position: 3, counter: u64::MAX, link: written[2].link });
    for store in [store, place.open()] {
        assert_eq!(whole_log(&*store), written);
        assert_eq!(store.head().unwrap(), head);
    }
}

pub(super) fn pages(place: &dyn Place) {
    let store = place.open();
    for number in 0..10_u8 {
        append(&*store, &[number], Some(&[number; 40])).unwrap();
    }
    let all = whole_log(&*store);
    assert_eq!(store.read(0, 0).unwrap(), []);
    assert_eq!(store.read(0, 4).unwrap(), all[..4]);
    assert_eq!(store.read(4, 4).unwrap(), all[4..8]);
    assert_eq!(store.read(8, 4).unwrap(), all[8..]);
    assert_eq!(store.read(10, 4).unwrap(), []);
    assert_eq!(store.read(1000, usize::MAX).unwrap(), []);
}

pub(super) fn nothing(place: &dyn Place) {
    let store = place.open();
    let head = append(&*store, b"one", None).unwrap();
    let generation = store.generation();
    assert_eq!(store.append(&mut |_| Ok(Append::default())).unwrap(), head);
    assert_eq!(store.generation(), generation);
}

pub(super) fn decided(place: &dyn Place) {
    let store = place.open();
    append(&*store, b"one", Some(b"wrapped")).unwrap();
    append(&*place.open(), b"two", None).unwrap();
    let all = whole_log(&*store);
    let mut told = Vec::new();
    for seen in [0, 1, 2, 7] {
        let head = store.append_after(seen, &mut |head, news| {
            told.push((head.position, news.to_vec()));
            Ok(Append::default())
        });
        assert_eq!(head.unwrap().position, 2);
    }
    let expected = [all.clone(), all[1..].to_vec(), Vec::new(), Vec::new()].map(|news| (2, news));
    assert_eq!(told, expected, "build is given what came after");
    let decided = store.append_after(1, &mut |head, news| {
        let body = format!("after {}", news.len());
        Ok(Append { records: vec![record_after(head, body.as_bytes(), None)], erase: vec![] })
    });
    assert_eq!(decided.unwrap().position, 3);
    assert_eq!(whole_log(&*place.open())[2].body, b"after 1");
}

pub(super) fn failed_build(place: &dyn Place) {
    let store = place.open();
    let first = append(&*store, b"one", Some(b"wrapped")).unwrap();
    let generation = store.generation();
    let mut seen = None;
    let failed = store.append(&mut |head| {
        seen = Some(*head);
        Err(StoreError::Full("as the test has it".into()))
    });
    assert_eq!(failed.unwrap_err().to_string(), "the store is full: as the test has it");
    assert_eq!(seen, Some(first), "build is given the head");
    assert_eq!((store.head().unwrap(), store.generation()), (first, generation));
    assert_eq!(append(&*place.open(), b"two", None).unwrap().position, 2);
}

pub(super) fn panic_in_build(place: &dyn Place) {
    let store = place.open();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.append(&mut |_| std::panic::resume_unwind(Box::new("as the test has it")))
    }));
    assert!(panicked.is_err());
    assert_eq!(append(&*place.open(), b"other", None).unwrap().position, 1);
    assert_eq!(append(&*store, b"same", None).unwrap().position, 2);
}

pub(super) fn follows(place: &dyn Place) {
    let store = place.open();
    append(&*store, b"one", Some(b"wrapped")).unwrap();
    let spoilers: [fn(&mut Record); 5] = [
        |record| record.position += 1,
        |record| record.position -= 1,
        |record| record.link[0] ^= 1,
        |record| record.body.push(0),
        |record| record.wrapped = Some(b"others".to_vec()),
    ];
    for (number, spoil) in spoilers.iter().enumerate() {
        let appended = store.append(&mut |head| {
            let good = record_after(head, b"two", Some(b"wrapped"));
            let after = Head { position: good.position, counter: good.counter, link: good.link };
            let mut bad = record_after(&after, b"three", Some(b"wrapped"));
            spoil(&mut bad);
            Ok(Append { records: vec![good, bad], erase: vec![1] })
        });
        assert!(appended.is_err(), "spoiler {number}");
        let log = whole_log(&*store);
        assert_eq!((log.len(), log[0].wrapped.as_deref()), (1, Some(&b"wrapped"[..])));
    }
}

pub(super) fn erased(place: &dyn Place) {
    let store = place.open();
    for body in [b"one", b"two"] {
        append(&*store, body, Some(&[body[0]; 100])).unwrap();
    }
    let before = whole_log(&*store);
    let head = store
        .append(&mut |head| {
            Ok(Append { records: vec![record_after(head, b"gone", None)], erase: vec![1] })
        })
        .unwrap();
    for store in [place.open(), store] {
        let after = whole_log(&*store);
        assert_eq!(after[0], Record { wrapped: None, ..before[0].clone() });
        assert_eq!(after[1], before[1], "its neighbour keeps its own");
        assert_eq!(after[2].body, b"gone");
        // Once more, and one that never had any: nothing to do.
        assert_eq!(erase(&*store, 1).unwrap(), head);
        assert_eq!(erase(&*store, 3).unwrap(), head);
        // What isn't there can't have been erased.
        erase(&*store, 4).unwrap_err();
        assert_eq!(whole_log(&*store), after);
    }
}

pub(super) fn threads(place: &dyn Place) {
    const THREADS: usize = 4;
    const EACH: usize = 25;
    at_once(place, THREADS, |number, store| {
        for count in 0..EACH {
            append(store, &[u8::try_from(number).unwrap(), u8::try_from(count).unwrap()], None)
                .unwrap();
        }
    });
    let log = whole_log(&*place.open());
    assert_eq!(log.len(), THREADS * EACH);
    for number in 0..THREADS {
        let counts = log.iter().filter(|record| usize::from(record.body[0]) == number);
        assert!(counts.map(|record| usize::from(record.body[1])).eq(0..EACH));
    }
}

pub(super) fn mentions(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    let events = [
        Event::Left("a".into()),
        Event::Destroyed(id(2)),
        Event::Destroyed(id(1)),
        Event::Held { id: id(2), hold: Hold::OnDemand },
    ];
    for event in &events {
        append(&*one, &minicbor::to_vec(event).unwrap(), None).unwrap();
    }
    // Whatever this program doesn't know is about nothing that it knows of.
    append(&*one, b"no event", None).unwrap();
    for store in [&one, &other] {
        for _ in 0..2 {
            assert_eq!(store.mentions(Some(id(2)), 0).unwrap(), [2, 4]);
            assert_eq!(store.mentions(Some(id(2)), 2).unwrap(), [4]);
            assert_eq!(store.mentions(Some(id(3)), 0).unwrap(), []);
            assert_eq!(store.mentions(None, 0).unwrap(), [1, 5]);
            assert_eq!(store.mentioned().unwrap(), [id(1), id(2)]);
            store.mend_index().unwrap();
        }
    }
    one.begin_anew().unwrap();
    assert_eq!(other.mentions(None, 0).unwrap(), []);
    assert_eq!(other.mentioned().unwrap(), []);
}

pub(super) fn anew(place: &dyn Place) {
    let store = place.open();
    append(&*store, b"one", Some(b"wrapped")).unwrap();
    store.fold(0, 1, &[(id(1), 1, Some(b"object".to_vec()))]).unwrap();
    store.set_note("note", Some(b"text")).unwrap();
    let mut lease = store.lease("member", 0).unwrap().unwrap();
    lease.advance(1).unwrap();
    lease.except(id(1), "reason").unwrap();
    let generation = store.generation();

    place.open().begin_anew().unwrap();

    assert_ne!(store.generation(), generation);
    assert_eq!(store.head().unwrap(), Head::default());
    assert!(store.read(0, 10).unwrap().is_empty());
    assert_eq!(store.position().unwrap(), 0);
    assert!(store.changed(0, u64::MAX).unwrap().is_empty());
    assert_eq!(store.note("note").unwrap(), None);
    assert_eq!(store.following("member").unwrap(), Following::default());
    assert!(matches!(lease.advance(1), Err(StoreError::Fenced(name)) if name == "member"));
    drop(lease);
    store.lease("member", 0).unwrap().unwrap().advance(0).unwrap();
    assert_eq!(append(&*store, b"first", None).unwrap().position, 1);
}
