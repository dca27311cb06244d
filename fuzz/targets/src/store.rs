//! A store that somebody has changed behind Tandem's back: the log, or the catalogue's checkpoint. A process that starts on it shows
//! what was there and nothing else, and a log that was changed is noticed.

use crate::edits;
use crate::random::Random;
use crate::scene::{Process, Scene};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use tandem_engine::event::{Event, Record};
use tandem_engine::object::ObjectId;
use tandem_engine::report::ObjectReport;
use tandem_simulation::store::Books;
use tandem_values::ck::*;
use tandem_values::{AttributeType, Template};

/// Changes the store as bytes say, and begins a process on it.
pub(crate) fn run(data: &[u8]) {
    let mut random = Random::of(data);
    if random.one_in(2) { changed_checkpoint(&mut random) } else { changed_log(&mut random) }
}

/// From a checkpoint that was changed nothing is taken: the log says all.
fn changed_checkpoint(random: &mut Random<'_>) {
    let scene = Scene::get();
    let world = scene.world();
    let mut bytes = scene.checkpoint();
    match random.below(5) {
        0 => bytes = random.rest().to_vec(),
        1 => pages_swapped(random, &mut bytes),
        _ => edits::edit(random, &mut bytes),
    }
    *world.books.lock().checkpoint_mut() = Some(Arc::new(bytes));
    let process = Process::begin(&world, usize::MAX).expect("a login, whatever the checkpoint is");
    let shown = shown(&process);
    process.token.stop();
    assert!(shown == *truth(), "a changed checkpoint is believed");
}

/// A page of a checkpoint is so many bytes.
const PAGE: usize = 4096;

fn pages_swapped(random: &mut Random<'_>, bytes: &mut [u8]) {
    let pages = bytes.len() / PAGE;
    let (one, other) = (random.below(pages.max(1)), random.below(pages.max(1)));
    for at in 0..PAGE.min(bytes.len()) {
        bytes.swap(one * PAGE + at, other * PAGE + at);
    }
}

type Shown = BTreeMap<ObjectId, Template>;

fn shown(process: &Process) -> Shown {
    let objects = process.token.objects().expect("objects");
    let counted = objects.len();
    let shown: Shown =
        objects.into_iter().map(|ObjectReport { id, template, .. }| (id, template)).collect();
    assert_eq!(shown.len(), counted, "an object twice");
    // By its label too, which is another way of looking.
    process.session.find_init(&Template::new().with(CKA_LABEL, "key")).expect("a search");
    let found = process.session.find_next(usize::MAX).expect("what was found").len();
    process.session.find_final().expect("its end");
    let labelled = |template: &&Template| template.bytes(CKA_LABEL) == Some(b"key");
    assert_eq!(found, shown.values().filter(labelled).count(), "a search finds others");
    shown
}

/// What is shown while nothing is changed.
fn truth() -> &'static Shown {
    static TRUTH: OnceLock<Shown> = OnceLock::new();
    TRUTH.get_or_init(|| {
        let process = Process::begin(&Scene::get().world(), usize::MAX).expect("a login");
        let shown = shown(&process);
        process.token.stop();
        shown
    })
}

fn changed_log(random: &mut Random<'_>) {
    let scene = Scene::get();
    let world = scene.world();
    {
        let mut books = world.books.lock();
        if random.one_in(2) {
            *books.checkpoint_mut() = None;
        }
        tamper(random, books.records_mut());
        if books.records() == scene.books.records() {
            return;
        }
    }
    // Where the ring can't be read nobody logs in, which is noticed.
    let Ok(process) = Process::begin(&world, usize::MAX) else { return };
    let broken = process.token.check_log().expect("a log that can be read");
    let doubt = process.token.doubt().expect("a log that can be read");
    let objects = process.token.objects().expect("objects");
    process.token.stop();
    let was_erased_only = is_erased_only(&world.books.lock(), &scene.books);
    assert!(!broken.is_sound() || doubt.is_some() || was_erased_only, "it went unnoticed");
    for object in objects {
        is_made_of_what_was(&object);
    }
}

/// Wrapped bytes of what is gone may be erased.
fn is_erased_only(books: &Books, sound: &Books) -> bool {
    let with = |(one, other): (&Record, &Record)| {
        let wrapped = one.wrapped.as_ref().or(other.wrapped.as_ref()).cloned();
        Record { wrapped, ..one.clone() } == *other
    };
    let same = books.records().len() == sound.records().len();
    same && books.records().iter().zip(sound.records()).all(with)
}

fn tamper(random: &mut Random<'_>, records: &mut Vec<Record>) {
    for _ in 0..=random.below(3) {
        let (one, other) = (random.below(records.len().max(1)), random.below(records.len().max(1)));
        if records.is_empty() {
            return;
        }
        match random.below(7) {
            0 => drop(records.remove(one)),
            1 => records.truncate(one),
            2 => records[one].wrapped = records[other].wrapped.clone(),
            3 => records[one].body = records[other].body.clone(),
            4 => {
                let position = records[one].position;
                records[one] = Record { position, ..records[other].clone() };
            }
            _ => {
                let position = records[one].position;
                let mut bytes = minicbor::to_vec(&records[one]).expect("a record can be encoded");
                edits::edit(random, &mut bytes);
                // The store finds records by their positions.
                if let Ok(record) = minicbor::decode::<Record>(&bytes) {
                    records[one] = Record { position, ..record };
                }
            }
        }
    }
}

/// Every value that an object shows was its own at some time.
fn is_made_of_what_was(object: &ObjectReport) {
    let history = history().get(&object.id).expect("an object that nobody made is shown");
    for attribute in &object.template {
        let bytes = minicbor::to_vec(&attribute.value).expect("a value can be encoded");
        let known = history.contains(&(attribute.kind, bytes));
        assert!(known, "{:?} of {} was never so", attribute, object.id);
    }
}

type History = BTreeMap<ObjectId, BTreeSet<(AttributeType, Vec<u8>)>>;

/// Every value that any object had, by the log as it was written.
fn history() -> &'static History {
    static HISTORY: OnceLock<History> = OnceLock::new();
    HISTORY.get_or_init(|| {
        let mut history = History::new();
        for record in Scene::get().books.records() {
            let Some(event) = record.event() else { continue };
            let (Some(id), set) = (event.about(), set_by(&event)) else { continue };
            for attribute in &set {
                let bytes = minicbor::to_vec(&attribute.value).expect("a value can be encoded");
                history.entry(id).or_default().insert((attribute.kind, bytes));
            }
        }
        history
    })
}

fn set_by(event: &Event) -> Template {
    match event {
        Event::Created(object) => object.template.clone(),
        other => other.sets().cloned().unwrap_or_default(),
    }
}
