//! Where objects stand on a member, read off all of it at once: searching a member that holds thousands takes as long as
//! reading all of their names, so whoever looks for thousands reads them once.
//!
//! It is no proof, and is old the moment it is made: what it says is proven, or looked for afresh.

use crate::carry;
use crate::desk::Desk;
use crate::fault::Answer;
use crate::found::{Life, Spot};
use crate::object::Object;
use crate::report::Progress;
use std::collections::HashMap;
use tandem_values::template::Reading;
use tandem_values::{Attribute, Handle, Template, ck::*};

/// The attributes by which replicas are looked for ([`carry::search`]).
const NAMES: [u64; 6] =
    [CKA_CLASS, CKA_KEY_TYPE, CKA_ID, CKA_LABEL, CKA_APPLICATION, CKA_CERTIFICATE_TYPE];

/// Class, CKA_ID and CKA_LABEL.
type Name = (Option<u64>, Vec<u8>, Vec<u8>);

/// What stands on a member, by name.
#[derive(Default)]
pub(crate) struct Directory {
    life: Life,
    names: HashMap<Name, Vec<(Handle, Template)>>,
}

impl Directory {
    /// Reads the names of everything that stands there.
    pub(crate) fn read(desk: &Desk<'_>, progress: &dyn Progress) -> Answer<Self> {
        let handles = desk.member.find(desk.session, &Template::new().with(CKA_TOKEN, true))?;
        progress.stage(
            &format!("looking at what {} holds", desk.name()),
            u64::try_from(handles.len()).unwrap_or(0),
        );
        let mut directory = Self { life: desk.life, names: HashMap::new() };
        for handle in handles {
            let shown = shown(desk, handle)?;
            directory.names.entry(name(&shown)).or_default().push((handle, shown));
            progress.step();
        }
        Ok(directory)
    }

    /// The one object that bears the name of this one; `None` if there is none, or another of the same name.
    pub(crate) fn only(&self, object: &Object) -> Option<Spot> {
        let mut search = carry::search(object);
        search.remove(CKA_TOKEN);
        let namesakes = self.names.get(&name(&search))?;
        let mut fitting = namesakes.iter().filter(|(_, shown)| shown.matches(&search));
        match (fitting.next(), fitting.next()) {
            (Some((handle, _)), None) => Some(Spot { life: self.life, handle: *handle }),
            _ => None,
        }
    }
}

fn shown(desk: &Desk<'_>, handle: Handle) -> Answer<Template> {
    let readings = desk.member.read(desk.session, handle, &NAMES)?;
    let mut shown = Template::new();
    for (kind, reading) in NAMES.into_iter().zip(readings) {
        if let Reading::Value(value) = reading {
            shown.push(Attribute { kind, value });
        }
    }
    Ok(shown)
}

fn name(template: &Template) -> Name {
    let bytes = |kind| template.bytes(kind).unwrap_or_default().to_vec();
    (template.class(), bytes(CKA_ID), bytes(CKA_LABEL))
}
