//! What a corpus begins with, where no file in the repository is one already: what the engine itself has made.

use crate::random::Random;
use crate::records::Log;
use crate::scene::Scene;
use crate::shares;
use tandem_engine::event::Event;

/// Records, events, parts of a bundle, a checkpoint and shares, each with its target and a name.
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for record in Log::get().records() {
        let at = record.position;
        seeds.push(("records", format!("record-{at}"), raw(minicbor::to_vec(record))));
        seeds.push(("records", format!("event-{at}"), raw(Ok::<_, ()>(record.body.clone()))));
        if let Some(Event::Created(object)) = record.event() {
            seeds.push(("records", format!("object-{at}"), raw(minicbor::to_vec(&object))));
            seeds.push((
                "records",
                format!("template-{at}"),
                raw(minicbor::to_vec(&object.template)),
            ));
        }
    }
    for (number, part) in crate::bundle::frames(&Scene::get().bundle).into_iter().enumerate() {
        seeds.push(("records", format!("part-{number}"), raw(Ok::<_, ()>(part))));
    }
    let checkpoint = Scene::get().checkpoint();
    seeds.push(("store", "checkpoint".into(), [&[0, 0], checkpoint.as_slice()].concat()));
    seeds.extend(shares::texts().map(|(name, text)| ("shares", name, raw(Ok::<_, ()>(text)))));
    for (target, _) in crate::TARGETS {
        for number in 0..DRAWN {
            let bytes = Random::seeded(number).bytes(DRAWN_BYTES);
            seeds.push((target, format!("drawn-{number}"), bytes));
        }
    }
    seeds
}

/// How many inputs are drawn for each target.
const DRAWN: u64 = 16;
/// How long each of them is.
const DRAWN_BYTES: usize = 200;

/// As it is: the first choice of a target.
fn raw<E: std::fmt::Debug>(bytes: Result<Vec<u8>, E>) -> Vec<u8> {
    [&[0], bytes.expect("bytes").as_slice()].concat()
}
