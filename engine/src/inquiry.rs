//! Whose fault it was: a member that answers ill and is well a moment later may have been asked something that makes every
//! member answer so. That is known once another has been asked the same.

use crate::error::Error;
use crate::fault::{Class, Fault, Weight};
use crate::station::Station;
use crate::token::Token;
use std::sync::Arc;

/// Members that answered ill to one request and are well, until it is known what came of it elsewhere.
#[derive(Default)]
pub(crate) struct Inquiry {
    doubted: Vec<(Arc<Station>, Fault)>,
}

impl Inquiry {
    /// True if this member has answered already.
    pub(crate) fn has_asked(&self, station: &Arc<Station>) -> bool {
        self.doubted.iter().any(|(doubted, _)| Arc::ptr_eq(doubted, station))
    }

    /// A member is asked again.
    pub(crate) fn forget(&mut self, station: &Arc<Station>) {
        self.doubted.retain(|(doubted, _)| !Arc::ptr_eq(doubted, station));
    }

    /// The members that answered ill and are well.
    pub(crate) fn well(&self) -> impl Iterator<Item = &Arc<Station>> {
        self.doubted.iter().map(|(station, _)| station)
    }

    /// A member has done what was asked: whoever answered ill before was ill.
    pub(crate) fn done(self) {
        for (station, fault) in self.doubted {
            station.fail(fault);
        }
    }

    /// Nobody has done it: what the application hears. Where the last word was a member's that is well, it is the request
    /// that was wrong, and no member goes down for it.
    pub(crate) fn undone(self, last: Error) -> Error {
        match self.doubted.last() {
            Some((station, fault)) if fault.rv == last.rv => Error::new(
                fault.of_the_request(),
                format!(
                    "member {} answered {fault} and is well, and no other member could do it: the request is at fault",
                    station.name()
                ),
            ),
            _ => last,
        }
    }
}

impl Token {
    /// Judges a fault at a request that other members are asked as well.
    pub(crate) fn judge(
        &self,
        inquiry: &mut Inquiry,
        station: &Arc<Station>,
        fault: Fault,
    ) -> Class {
        // What was judged where it happened stays so.
        let may_be_either = fault.class == Class::Ill && fault.weight() == Weight::Either;
        if !may_be_either || !self.shows_well(station) {
            return station.judge(fault);
        }
        inquiry.doubted.push((Arc::clone(station), fault));
        Class::Unable
    }

    /// True if a member that has just failed says what its token is, and still shows the ring if it ever did. One that is down
    /// already was judged.
    fn shows_well(&self, station: &Arc<Station>) -> bool {
        station.is_up()
            && station.member.token().is_ok()
            && station.lease().is_ok_and(|lease| !station.has_ring() || self.is_well(&lease.desk()))
    }
}
