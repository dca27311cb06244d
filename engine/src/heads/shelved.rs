//! A head record as it stands on a member: a private data object, found by its label.

use super::record::{HeadRecord, label};
use crate::desk::Desk;
use crate::fault::{Answer, Class};
use crate::pair::RingId;
use crate::seal::Seal;
use tandem_values::template::Reading;
use tandem_values::{Handle, Template, Value, ck::*};

/// What a member holds under the label of a ring's head record.
#[derive(Debug, Default)]
pub(super) struct Shelved {
    /// Those whose seal is whole, the latest first. A process that died while it changed one may have left two.
    pub(super) sound: Vec<(Handle, HeadRecord)>,
    /// Those that somebody has changed.
    pub(super) broken: Vec<Handle>,
}

impl Shelved {
    /// Reads what is there.
    pub(super) fn read(desk: &Desk<'_>, seal: &Seal, ring: &RingId) -> Answer<Self> {
        let (mut shelved, there) = (Self::default(), find(desk, ring)?);
        if there.is_empty() {
            // A member that has forgotten our login shows nothing private, as if there were none.
            desk.check_login()?;
        }
        for handle in there {
            let readings = desk.member.read(desk.session, handle, &[CKA_VALUE])?;
            let record = match readings.first() {
                Some(Reading::Value(Value::Bytes(bytes))) => HeadRecord::open(bytes, seal, ring),
                _ => None,
            };
            match record {
                Some(record) => shelved.sound.push((handle, record)),
                None => shelved.broken.push(handle),
            }
        }
        shelved.sound.sort_by_key(|(handle, record)| (std::cmp::Reverse(record.age()), *handle));
        Ok(shelved)
    }

    /// True if nothing but one sound record stands there.
    pub(super) fn is_tidy(&self) -> bool {
        self.sound.len() == 1 && self.broken.is_empty()
    }

    /// The one that counts.
    pub(super) fn last(&self) -> Option<HeadRecord> {
        self.sound.first().map(|(_, record)| *record)
    }

    /// Puts a record in the place of all that is there: in place where the module changes values, otherwise the new one
    /// stands before the old one goes.
    pub(super) fn put(self, desk: &Desk<'_>, ring: &RingId, sealed: Vec<u8>) -> Answer {
        let mut doomed: Vec<_> = self.sound.iter().map(|(handle, _)| *handle).collect();
        let value = Template::new().with(CKA_VALUE, sealed.clone());
        match doomed.first().map(|first| desk.member.write(desk.session, *first, &value)) {
            Some(Ok(())) => drop(doomed.remove(0)),
            Some(Err(fault)) if matches!(fault.class, Class::Ill | Class::Lost) => {
                return Err(fault);
            }
            Some(Err(_)) | None => create(desk, ring, sealed)?,
        }
        for handle in doomed.into_iter().chain(self.broken) {
            desk.member.destroy(desk.session, handle)?;
        }
        Ok(())
    }
}

fn find(desk: &Desk<'_>, ring: &RingId) -> Answer<Vec<Handle>> {
    let template = Template::new()
        .with(CKA_CLASS, CKO_DATA)
        .with(CKA_TOKEN, true)
        .with(CKA_LABEL, label(ring).as_str());
    desk.member.find(desk.session, &template)
}

fn create(desk: &Desk<'_>, ring: &RingId, sealed: Vec<u8>) -> Answer {
    let template = Template::new()
        .with(CKA_CLASS, CKO_DATA)
        .with(CKA_TOKEN, true)
        .with(CKA_PRIVATE, true)
        .with(CKA_MODIFIABLE, true)
        .with(CKA_LABEL, label(ring).as_str())
        .with(CKA_APPLICATION, "Tandem")
        .with(CKA_VALUE, sealed);
    desk.member.create(desk.session, &template).map(drop)
}

/// Removes a ring's head records from a member.
pub(crate) fn remove(desk: &Desk<'_>, ring: &RingId) -> Answer {
    for handle in find(desk, ring)? {
        desk.member.destroy(desk.session, handle)?;
    }
    Ok(())
}
