//! The first signature by a key that is held on demand proves the key: it is given out if it is good under the one public key, and
//! costs nothing beside itself. What the host can't judge is proven by a challenge first, like any other replica.

use crate::fault::{Answer, Class};
use crate::held::Held;
use crate::object::Object;
use crate::ports::Verifier;
use crate::prove;
use crate::shelf::Entry;
use crate::signature::Signature;
use crate::station::Lease;
use crate::step::{Bytes, Output, Room, Step, Verb};
use crate::token::Token;
use std::sync::Arc;
use tandem_values::{Handle, Parameter, ck::*, keytype};

/// What an application wants signed by a key that is not on the member yet.
pub(crate) struct FirstUse {
    data: Bytes,
    /// The signature, once it has proven the key.
    signature: Option<Bytes>,
}

impl FirstUse {
    /// Has the key sign. True if the signature is good: then there is nothing left to prove. False says nothing.
    pub(crate) fn proves(
        &mut self,
        lease: &Lease,
        key: Handle,
        object: &Object,
        verifier: &dyn Verifier,
    ) -> Answer<bool> {
        let (Some(method), Some(public)) =
            (prove::private_method(&object.template), &object.public)
        else {
            return Ok(false);
        };
        let (station, desk) = (lease.station(), lease.desk());
        let data = self.data.clone();
        let made = match station.timed(|_| Signature::over(&desk, key, &method, public, data)) {
            // It may be the data that it doesn't take, which is for the application to hear.
            Err(fault) if fault.class == Class::Refused => return Ok(false),
            made => made?,
        };
        let is_good = made.is_good(verifier);
        self.signature = is_good.then(|| made.into_bytes());
        Ok(is_good)
    }
}

/// The key of a step that begins what such a key is proven by, and nothing that a member could refuse.
pub(crate) fn provable(step: &Step<Held>) -> Option<&Arc<Entry>> {
    let Step::Init { verb: Verb::Sign, mechanism, key: Some(Held::Token(entry)), signature: None } =
        step
    else {
        return None;
    };
    let object = &entry.object;
    let is_ours = object.is_on_demand() && object.public.is_some();
    let method = prove::private_method(&object.template).filter(|_| is_ours)?;
    let is_its = mechanism.kind == method.mechanism.kind && mechanism.parameter == Parameter::None;
    is_its.then_some(entry)
}

/// How many bytes the signature has that ends what such a step begins, where the key alone tells: nothing is brought for the asking.
pub(crate) fn length(begins: &Step<Held>, step: &Step<Held>) -> Option<usize> {
    let public = provable(begins)?.object.public.as_ref()?;
    if !matches!(step, Step::Whole(Verb::Sign, _)) {
        return None;
    }
    match public.key_type()? {
        CKK_RSA => Some(public.bytes(CKA_MODULUS)?.iter().skip_while(|byte| **byte == 0).count()),
        CKK_EC | CKK_EC_EDWARDS => match keytype::of(public)?.as_str() {
            "ec:p256" | "ed25519" => Some(64),
            "ec:p384" => Some(96),
            "ec:p521" => Some(132),
            _ => None,
        },
        _ => None,
    }
}

/// What came of a signature that may be its key's first on a member.
pub(crate) enum Sought {
    /// The key had to be brought, and this has proven it.
    Signed(Output),
    /// The key is there, under this handle, as long as the lease.
    There(Handle),
    /// It is none by which such a key is proven.
    Otherwise,
}

impl Token {
    /// Makes a signature by a key that has to be brought to the member for it.
    pub(crate) fn sign_first(
        &self,
        lease: &Lease,
        begins: &Step<Held>,
        step: &Step<Held>,
        room: Room,
    ) -> Answer<Sought> {
        let (Some(entry), Step::Whole(Verb::Sign, data), Room::Bytes(most)) =
            (provable(begins), step, room)
        else {
            return Ok(Sought::Otherwise);
        };
        let now = self.as_it_is(entry);
        if !now.object.is_on_demand() {
            return Ok(Sought::Otherwise);
        }
        let mut first = FirstUse { data: data.clone(), signature: None };
        let key = self.place_for(lease, &now, Some(&mut first))?;
        // One that is too long is made again where the application has room for it.
        let signed = first.signature.filter(|made| made.len() <= most);
        Ok(signed.map_or(Sought::There(key), |made| Sought::Signed(Output::Bytes(made))))
    }
}
