//! Keys of the ring that are replaced, opened by the recovery's shares on one member for as long as it takes to wrap again what
//! they wrap. They are session objects, and may open keys so that these can be wrapped: what the same keys on the token never do.

use super::scratch::Scratch;
use super::{find, install, recipe, recovery};
use crate::carry;
use crate::data;
use crate::desk::Desk;
use crate::error::Result;
use crate::fault::{Answer, Call, Fault};
use crate::object::{Kek, Object, Wrapped};
use crate::ring::{Generation, Keks, Ring, RingEntry, lacking};
use std::collections::BTreeSet;
use tandem_values::{Secret, ck::*};

/// A member where keys are wrapped anew.
pub struct Bench<'a> {
    scratch: Scratch<'a>,
    older: Vec<Keks>,
    newest: Keks,
}

impl<'a> Bench<'a> {
    /// Opens older keys of a ring, of the generations that are wanted, at a desk that holds the newest. `told` tells of them and is
    /// what the shares are of: the ring as it is, or as it was, or as a bundle has it.
    pub fn open(
        desk: &Desk<'a>,
        newest: Keks,
        told: &Ring,
        shares: &[Secret],
        wanted: impl Fn(Generation) -> bool,
    ) -> Result<Self> {
        let scratch = Scratch::at(desk);
        let private = recovery::open(&scratch, told, shares)?;
        let unwrap =
            |entry: &RingEntry| install::unwrap_as(&scratch, private, entry, recipe::Place::Bench);
        let generations: BTreeSet<_> = told.keys.iter().map(|entry| entry.generation).collect();
        let mut older = Vec::new();
        for generation in generations.into_iter().filter(|generation| wanted(*generation)) {
            // The log key is of the first generation, whose other keys need not be there any more.
            let known = find::entries(told, generation);
            if let Some([private, secret, open, data]) = known {
                older.push(Keks {
                    generation,
                    private: unwrap(private)?,
                    secret: unwrap(secret)?,
                    open: unwrap(open)?,
                    data: unwrap(data)?,
                });
            }
        }
        Ok(Self { scratch, older, newest })
    }

    /// Wraps an object's secret part under the newest keys. The key is a session object for that moment; the value of a private
    /// data object passes through the host, as it does when it is read.
    pub fn rewrap(&self, object: &Object, old: &Wrapped, nonce: &[u8; 12]) -> Answer<Vec<u8>> {
        let desk = &self.scratch.desk;
        let keks = self.older.iter().find(|keks| keks.generation == old.under.generation);
        let (from, to) = match (keks, old.under.kek) {
            (Some(keks), kek) => (keks.get(kek), self.newest.get(kek)),
            (None, _) => return Err(lacking()),
        };
        if old.under.kek == Kek::Data {
            let value = data::open(desk, from, object.id, &old.bytes)?;
            return data::seal(desk, to, object.id, nonce, &value);
        }
        let odd = object.template.number(CKA_VALUE_LEN).is_some_and(|len| len % 8 != 0);
        let pads = desk.member.quirks().wraps_multiples_of_eight;
        if object.class() == CKO_SECRET_KEY && odd && pads {
            return Err(Fault::new(Call::Wrap, CKR_KEY_NOT_WRAPPABLE));
        }
        let key = carry::unwrap(desk, from, &old.bytes, &carry::passing(object))?;
        let wrapped = carry::wrap(desk, to, key);
        desk.discard(key);
        wrapped
    }
}
