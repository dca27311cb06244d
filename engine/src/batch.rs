//! Changes that several threads make at the same time are written in one transaction: what one takes is mostly the disk's
//! saying that it is there, and that is said once for all of them.
//!
//! Nobody waits for others to come. Who finds nobody writing writes what is there, his own and what others have put beside it;
//! what comes meanwhile is the next one's.

use crate::error::Result;
use crate::journal::Entry;
use crate::log::Position;
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::mem;
use tandem_values::ck::CKR_GENERAL_ERROR;

/// One thread's change.
struct Change {
    ticket: u64,
    entries: Vec<Entry>,
    erase: Vec<Position>,
}

#[derive(Default)]
struct Queue {
    tickets: u64,
    waiting: Vec<Change>,
    writing: bool,
    answers: BTreeMap<u64, Result<Position>>,
}

/// The changes of this process that are on their way to the log.
#[derive(Default)]
pub(crate) struct Batches {
    queue: Mutex<Queue>,
    written: Condvar,
}

/// Changes that are being written. However that ends, each of them is answered.
struct Writing<'a> {
    batches: &'a Batches,
    tickets: Vec<u64>,
    answers: BTreeMap<u64, Result<Position>>,
}

impl Queue {
    fn put(&mut self, entries: Vec<Entry>, erase: Vec<Position>) -> u64 {
        let ticket = self.tickets;
        self.tickets = ticket.wrapping_add(1);
        self.waiting.push(Change { ticket, entries, erase });
        ticket
    }
}

impl Batches {
    /// Has a change written by `append`, alone or with others', and answers the position of its first record. Each is written
    /// whole, its records one after the other; where one can't be written none of those beside it is.
    pub(crate) fn write(
        &self,
        entries: Vec<Entry>,
        erase: Vec<Position>,
        append: impl Fn(&[Entry], &[Position]) -> Result<Position>,
    ) -> Result<Position> {
        let mut queue = self.queue.lock();
        let ticket = queue.put(entries, erase);
        loop {
            if let Some(answer) = queue.answers.remove(&ticket) {
                return answer;
            }
            if queue.writing {
                self.written.wait(&mut queue);
                continue;
            }
            queue.writing = true;
            let batch = mem::take(&mut queue.waiting);
            drop(queue);
            self.write_all(batch, &append);
            queue = self.queue.lock();
        }
    }

    fn write_all(
        &self,
        batch: Vec<Change>,
        append: &impl Fn(&[Entry], &[Position]) -> Result<Position>,
    ) {
        let tickets = batch.iter().map(|change| change.ticket).collect();
        let mut writing = Writing { batches: self, tickets, answers: BTreeMap::new() };
        let (mut entries, mut erase, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for change in batch {
            places.push((change.ticket, u64::try_from(entries.len()).unwrap_or(0)));
            entries.extend(change.entries);
            erase.extend(change.erase);
        }
        let written = append(&entries, &erase);
        let answer = |(ticket, place): (u64, u64)| {
            (ticket, written.clone().map(|first| first.saturating_add(place)))
        };
        writing.answers = places.into_iter().map(answer).collect();
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut queue = self.batches.queue.lock();
        queue.writing = false;
        for ticket in &self.tickets {
            let answer = self.answers.remove(ticket);
            // None is there only where writing ended in a panic.
            queue.answers.insert(*ticket, answer.unwrap_or_else(|| Err(CKR_GENERAL_ERROR.into())));
        }
        self.batches.written.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::object::ObjectId;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn change(count: u8) -> Vec<Entry> {
        (0..count).map(|number| Event::Destroyed(ObjectId([number; 16])).into()).collect()
    }

    #[test]
    fn what_comes_meanwhile_is_written_at_once_and_each_is_told_where() {
        let batches = Batches::default();
        let others = Cell::new((0, 0));
        let first = batches.write(change(1), Vec::new(), |entries, _| {
            assert_eq!(entries.len(), 1, "nobody waits for others");
            let mut queue = batches.queue.lock();
            others.set((queue.put(change(3), vec![8]), queue.put(change(2), vec![9])));
            Ok(0)
        });
        assert_eq!(first.unwrap(), 0);
        let last = batches.write(change(4), Vec::new(), |entries, erase| {
            assert_eq!((entries.len(), erase), (9, &[8, 9][..]));
            Ok(1)
        });
        assert_eq!(last.unwrap(), 6);
        let answers = &mut batches.queue.lock().answers;
        let (three, two) = others.get();
        assert_eq!(answers.remove(&three).unwrap().unwrap(), 1);
        assert_eq!(answers.remove(&two).unwrap().unwrap(), 4);
        assert!(answers.is_empty());
    }

    #[test]
    fn what_fails_fails_for_all_beside_it_and_the_next_is_written() {
        let batches = Batches::default();
        let beside = batches.queue.lock().put(change(1), Vec::new());
        let full = |_: &[Entry], _: &[Position]| Err(tandem_values::ck::CKR_DEVICE_MEMORY.into());
        assert!(batches.write(change(1), Vec::new(), full).is_err());
        assert!(batches.queue.lock().answers.remove(&beside).unwrap().is_err());
        let panics = |_: &[Entry], _: &[Position]| panic!("as a test");
        let caught = catch_unwind(AssertUnwindSafe(|| batches.write(change(1), vec![3], panics)));
        assert!(caught.is_err());
        let fine = |entries: &[Entry], erase: &[Position]| {
            assert_eq!((entries.len(), erase), (2, &[7][..]));
            Ok(40)
        };
        assert_eq!(batches.write(change(2), vec![7], fine).unwrap(), 40);
    }
}
