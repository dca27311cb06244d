//! Where the log speaks of an object: so that what a destroyed object was can be read from its own records, and not from
//! all of them. Made from the log when it is first asked, kept up from there, and never written down: the log is the truth.

use crate::error::Result;
use crate::log::{Log, Position};
use crate::object::ObjectId;
use std::collections::BTreeMap;

/// How many records are read at once.
const BATCH: usize = 256;

/// The positions of every object's records, up to where the log has been read.
#[derive(Default)]
pub(crate) struct Mentions {
    read_to: Position,
    of: BTreeMap<ObjectId, Vec<Position>>,
}

impl Mentions {
    /// The positions of an object's records, in order.
    pub(crate) fn of(&mut self, log: &(impl Log + ?Sized), id: ObjectId) -> Result<Vec<Position>> {
        self.catch_up(log)?;
        Ok(self.of.get(&id).cloned().unwrap_or_default())
    }

    /// Every object that the log ever spoke of, in the order of their identities.
    pub(crate) fn all(&mut self, log: &(impl Log + ?Sized)) -> Result<Vec<ObjectId>> {
        self.catch_up(log)?;
        Ok(self.of.keys().copied().collect())
    }

    fn catch_up(&mut self, log: &(impl Log + ?Sized)) -> Result {
        let head = log.head()?.position;
        if head < self.read_to {
            // Another process has begun a new log.
            *self = Self::default();
        }
        while self.read_to < head {
            let records = log.read(self.read_to, BATCH)?;
            let Some(last) = records.last() else { break };
            for record in &records {
                if let Some(id) = record.event().and_then(|event| event.about()) {
                    self.of.entry(id).or_default().push(record.position);
                }
            }
            self.read_to = last.position;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Head, Record};
    use crate::log::{Decide, StoreError, Stored};
    use crate::seal::Site;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tandem_values::Template;

    /// A log in memory that counts the records which are read from it.
    #[derive(Default)]
    struct Counted {
        records: Mutex<Vec<Record>>,
        read: AtomicUsize,
    }

    impl Counted {
        fn add(&self, event: &Event) {
            let mut records = self.records.lock().unwrap();
            let position = records.len() as u64 + 1;
            records.push(Record {
                position,
                site: Site { id: [7; 16], epoch: 1 }.id,
                counter: position,
                epoch: 1,
                at_ms: 0,
                body: minicbor::to_vec(event).unwrap(),
                wrapped: None,
                wrapped_hash: [0; 32],
                link: [0; 32],
                mac: [0; 32],
            });
        }
    }

    impl Log for Counted {
        fn head(&self) -> Stored<Head> {
            let position = self.records.lock().unwrap().len() as u64;
            Ok(Head { position, ..Head::default() })
        }

        fn append_after(&self, _: Position, _: &mut Decide<'_>) -> Stored<Head> {
            Err(StoreError::Unavailable("it is only read".into()))
        }

        fn read(&self, after: Position, limit: usize) -> Stored<Vec<Record>> {
            let records = self.records.lock().unwrap();
            let read: Vec<_> =
                records.iter().filter(|r| r.position > after).take(limit).cloned().collect();
            self.read.fetch_add(read.len(), Ordering::Relaxed);
            Ok(read)
        }

        fn begin_anew(&self) -> Stored {
            self.records.lock().unwrap().clear();
            Ok(())
        }
    }

    const fn id(number: u8) -> ObjectId {
        ObjectId([number; 16])
    }

    #[test]
    fn each_record_is_read_once_however_many_objects_are_asked_for() {
        let log = Counted::default();
        for number in 0..200 {
            let template = Template::new();
            log.add(&Event::Changed { id: id(number), template, kek: None, fingerprint: None });
        }
        let mut mentions = Mentions::default();
        for number in 0..200 {
            log.add(&Event::Destroyed(id(number)));
            let born = u64::from(number) + 1;
            assert_eq!(mentions.of(&log, id(number)).unwrap(), [born, 200 + born]);
        }
        assert_eq!(log.read.load(Ordering::Relaxed), 400);
    }

    #[test]
    fn a_new_log_is_read_from_its_beginning() {
        let log = Counted::default();
        log.add(&Event::Destroyed(id(1)));
        log.add(&Event::Destroyed(id(2)));
        let mut mentions = Mentions::default();
        assert_eq!(mentions.of(&log, id(2)).unwrap(), [2]);
        log.begin_anew().unwrap();
        log.add(&Event::Destroyed(id(2)));
        assert_eq!(mentions.of(&log, id(2)).unwrap(), [1]);
        assert!(mentions.of(&log, id(1)).unwrap().is_empty());
    }
}
