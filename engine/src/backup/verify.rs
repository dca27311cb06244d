//! Verifying a bundle: read back whole, held against its seals, and every key in it opened by an HSM as a session object and
//! proven. Read twice, so that no more than a record is kept: the first time says what the second will meet.

use super::bundle::{Bundle, Header, Part, Written, broken};
use super::chain::Chain;
use super::source::Source;
use crate::data;
use crate::error::Result;
use crate::event::{Event, Hash, Record};
use crate::fault::Answer;
use crate::log::Position;
use crate::object::{Kek, Object, ObjectId};
use crate::prove::{Failure, Proof};
use crate::report::Progress;
use crate::station::Lease;
use crate::token::Token;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// What verifying a bundle came to.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it is a backup of.
    pub header: Header,
    /// Its length and SHA-256.
    pub written: Written,
    /// Records in it.
    pub records: u64,
    /// Keys and private values that an HSM opened and proved.
    pub proven: u64,
    /// Those that it did not, with the reason.
    pub failed: Vec<(ObjectId, String)>,
    /// How many are under keys of the ring that were rotated out since, which no member holds: only shares open them.
    pub sealed: u64,
}

/// How the log stands to something that knew it before, up to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It still is what it was.
    Holds(Position),
    /// It ends before: it was cut short, or replaced by an older copy.
    CutShort(Position),
    /// It is another: it was replaced, or written anew from some point.
    OtherHistory(Position),
}

/// What the first reading tells the second.
struct Survey {
    header: Header,
    written: Written,
    records: u64,
    wrapped: u64,
    /// Objects whose bytes were wrapped anew: what they are must be known when that is met.
    rewrapped: BTreeSet<ObjectId>,
}

impl Token {
    /// Verifies a bundle. An error says why it can't be used at all; keys
    /// that no HSM opened are listed.
    pub fn verify_bundle(&self, source: &dyn Source, progress: &dyn Progress) -> Result<Verified> {
        let survey = self.survey(&mut *source.open()?)?;
        progress.stage("opening every key in the bundle", survey.wrapped);
        let mut from = source.open()?;
        let mut bundle = Bundle::open(&mut *from)?;
        let mut known = BTreeMap::new();
        let (mut proven, mut failed, mut sealed) = (0_u64, Vec::new(), 0_u64);
        while let Some(part) = bundle.advance()? {
            let Part::Record(record) = part else { continue };
            self.know_before(&record, &mut known)?;
            let Some(object) = object_of(&record, &survey.rewrapped, &mut known) else { continue };
            let Some(wrapped) = &record.wrapped else { continue };
            if self.is_rotated_out(object.under().map(|under| under.generation)) {
                sealed = sealed.saturating_add(1);
                continue;
            }
            match self.prove_record(&object, wrapped)? {
                Ok(()) => proven = proven.saturating_add(1),
                Err(failure) => failed.push((object.id, failure.to_string())),
            }
            progress.step();
        }
        if bundle.written() != survey.written {
            return Err(broken("it changed while it was read"));
        }
        let Survey { header, written, records, .. } = survey;
        Ok(Verified { header, written, records, proven, failed, sealed })
    }

    /// Of an object that a bundle wraps anew and does not make, the token tells what it was.
    fn know_before(&self, record: &Record, known: &mut BTreeMap<ObjectId, Object>) -> Result {
        let changed = record.event().filter(|event| record.wrapped.is_some() && !event.is_whole());
        if let Some(id) = changed.and_then(|event| event.about())
            && !known.contains_key(&id)
            && let Some(before) = self.last_known(id, record.position)?
        {
            known.insert(id, before);
        }
        Ok(())
    }

    /// Reads a bundle through, and holds it against its seals.
    fn survey(&self, from: &mut dyn Read) -> Result<Survey> {
        let seal = self.seal()?;
        let mut bundle = Bundle::open(from)?;
        let header = bundle.header().clone();
        self.is_ours(&header)?;
        let mut chain = Chain::of(&header, &seal);
        let (mut records, mut wrapped, mut rewrapped) = (0_u64, 0_u64, BTreeSet::new());
        while let Some(part) = bundle.advance()? {
            chain.follow(&part)?;
            if let Part::Record(record) = part {
                records = records.saturating_add(1);
                if record.wrapped.is_some() {
                    wrapped = wrapped.saturating_add(1);
                    if let Some(Event::Changed { id, .. } | Event::Rewrapped { id, .. }) =
                        record.event()
                    {
                        rewrapped.insert(id);
                    }
                }
            }
        }
        chain.end()?;
        if !bundle.is_witnessed(&seal) {
            return Err(broken("its seal is not ours"));
        }
        Ok(Survey { header, written: bundle.written(), records, wrapped, rewrapped })
    }

    /// Holds the log against a bundle: what it held then it must hold now.
    pub fn check_against(&self, source: &dyn Source) -> Result<Anchor> {
        let seal = self.seal()?;
        let mut from = source.open()?;
        let mut bundle = Bundle::open(&mut *from)?;
        self.is_ours(bundle.header())?;
        let position = bundle.header().to;
        let mut chain = Chain::of(bundle.header(), &seal);
        let mut last = bundle.header().link;
        while let Some(part) = bundle.advance()? {
            last = chain.follow(&part)?.1;
        }
        chain.end()?;
        if !bundle.is_witnessed(&seal) {
            return Err(broken("its seal is not ours"));
        }
        self.anchored(position, &last)
    }

    /// Holds the log against a record that it had once, by its position and link.
    pub(crate) fn anchored(&self, position: Position, link: &Hash) -> Result<Anchor> {
        Ok(if self.store.head()?.position < position {
            Anchor::CutShort(position)
        } else if self.journal.link_at(position)? == *link {
            Anchor::Holds(position)
        } else {
            Anchor::OtherHistory(position)
        })
    }

    /// Refuses a bundle of another key ring.
    pub(super) fn is_ours(&self, header: &Header) -> Result {
        match self.known_ring()? {
            Some(ring) if ring.id == header.ring.id => Ok(()),
            Some(_) => Err(broken(&format!(
                "it is of another key ring, that of token {} (serial {})",
                header.label, header.serial
            ))),
            None => Err(broken("this token has no key ring that could open it")),
        }
    }

    /// Opens one record's key on a member and proves it.
    pub(crate) fn prove_record(&self, object: &Object, wrapped: &[u8]) -> Result<Proof> {
        self.on_makers_of(&object.template, |lease| {
            match self.prove_opened(lease, object, wrapped) {
                Err(Failure::Fault(fault)) if !crate::prove::is_refusal(fault) => Err(fault),
                proof => Ok(proof),
            }
        })
    }

    fn prove_opened(&self, lease: &Lease, object: &Object, wrapped: &[u8]) -> Proof {
        let desk = lease.desk();
        let under = object.under();
        let kek = under.map(|under| self.kek_at(&desk, lease.station(), under)).transpose()?;
        match (object.kek, kek) {
            (Some(Kek::Data), Some(key)) => {
                let value: Answer<_> = data::open(&desk, key, object.id, wrapped);
                let found = self.seal().ok().map(|seal| {
                    value.map(|value| Some(seal.fingerprint(&value)) == object.fingerprint)
                });
                match found {
                    Some(Ok(true)) => Ok(()),
                    Some(Err(fault)) => Err(fault.into()),
                    _ => Err(Failure::Different("its value comes out as another".into())),
                }
            }
            (_, Some(kek)) => self.prove_wrapped((&desk, &desk), object, kek, wrapped),
            (_, None) => Err(Failure::Different("nothing says what it is wrapped with".into())),
        }
    }
}

/// The object that a record with wrapped bytes is about, as it is after it. Objects that are wrapped anew later are kept.
fn object_of(
    record: &Record,
    rewrapped: &BTreeSet<ObjectId>,
    known: &mut BTreeMap<ObjectId, Object>,
) -> Option<Object> {
    let event = record.event()?;
    let id = event.about()?;
    let before = known.get(&id).cloned();
    let after = event.fold(before, record.position);
    match &after {
        Some(object) if rewrapped.contains(&id) => {
            known.insert(id, object.clone());
        }
        _ => {
            known.remove(&id);
        }
    }
    after
}
