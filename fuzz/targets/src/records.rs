//! Records of the log: what decodes is encoded as the same again, and no record holds under its seal but those that were sealed.

use crate::edits;
use crate::random::Random;
use crate::scene::Scene;
use minicbor::{Decode, Encode};
use std::sync::OnceLock;
use tandem_engine::backup::{Header, Part};
use tandem_engine::event::{Event, Head, Record};
use tandem_engine::object::Object;
use tandem_engine::seal::{Seal, Site};
use tandem_values::Template;

/// A log whose seal is known.
pub(crate) struct Log {
    seal: Seal,
    records: Vec<Record>,
}

impl Log {
    /// The same for all who ask.
    pub(crate) fn get() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(Self::new)
    }

    /// The events of a real one, sealed anew.
    fn new() -> Self {
        let seal = Seal::of(&[7; 32]).expect("a key of 32 bytes");
        let site = Site { id: [1; 16], epoch: 1 };
        let mut head = Head::default();
        let sealed = Scene::get().books.records().iter().map(|record| {
            let event = record.event().expect("an event");
            let record = seal.record(&head, site, record.at_ms, &event, record.wrapped.clone());
            let record = record.expect("a record");
            head = Head { position: record.position, counter: record.counter, link: record.link };
            record
        });
        let records = sealed.collect();
        Self { seal, records }
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// What the record at an index follows from.
    fn link_before(&self, index: usize) -> [u8; 32] {
        index.checked_sub(1).map_or([0; 32], |before| self.records[before].link)
    }
}

/// Decodes bytes as what the log, a bundle or a row may hold, or changes a record.
pub(crate) fn run(data: &[u8]) {
    let mut random = Random::of(data);
    match random.below(4) {
        0 => {
            let bytes = random.rest();
            comes_back::<Record>(bytes);
            comes_back::<Event>(bytes);
            comes_back::<Object>(bytes);
            comes_back::<Template>(bytes);
            comes_back::<Header>(bytes);
            comes_back::<Part>(bytes);
        }
        _ => is_not_believed(&mut random),
    }
}

/// What decodes is encoded as bytes that decode to the same.
fn comes_back<T>(bytes: &[u8])
where
    T: for<'b> Decode<'b, ()> + Encode<()> + PartialEq,
{
    let Ok(value) = minicbor::decode::<T>(bytes) else { return };
    let again = minicbor::to_vec(&value).expect("what was decoded can be encoded");
    let same = minicbor::decode::<T>(&again).is_ok_and(|same| same == value);
    assert!(same, "{} comes back as another", std::any::type_name::<T>());
}

/// A record that was changed, or stands elsewhere, doesn't hold.
fn is_not_believed(random: &mut Random<'_>) {
    let log = Log::get();
    let (from, at) = (random.below(log.records.len()), random.below(log.records.len()));
    let mut bytes = minicbor::to_vec(&log.records[from]).expect("a record can be encoded");
    edits::edit(random, &mut bytes);
    let Ok(changed) = minicbor::decode::<Record>(&bytes) else { return };
    knows_what_it_is_about(&changed);
    for place in [from, at] {
        if log.seal.holds(&changed, &log.link_before(place)) {
            assert!(is_that(&changed, &log.records[place]), "record {from} is believed at {place}");
        }
    }
}

/// The same record, or without its wrapped bytes, which may be erased.
fn is_that(changed: &Record, sound: &Record) -> bool {
    let wrapped = changed.wrapped.as_ref().or(sound.wrapped.as_ref()).cloned();
    Record { wrapped, ..changed.clone() } == *sound
}

/// Those who look for some events only find no others.
fn knows_what_it_is_about(record: &Record) {
    let event = record.event();
    for some in [record.event_for_roll(), record.event_of_claim()] {
        assert!(some.is_none() || some == event, "an event is read as another");
    }
    assert_eq!(record.about(), event.and_then(|event| event.about()));
}
