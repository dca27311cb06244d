//! What a token holds before it is brought in: objects of ours, which are found again and proven, and objects of somebody
//! else, which are not touched.

use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::fault::Answer;
use crate::joining::{Bringing, unwell};
use crate::object::Object;
use crate::replica::is_hidden;
use crate::station::Lease;
use crate::token::Token;
use std::collections::BTreeSet;
use tandem_values::template::Reading;
use tandem_values::{Handle, Template, Value, ck::*, names};

/// How many foreign objects are named before the others are only counted.
const NAMED_MAX: usize = 20;

impl Token {
    /// Looks at what a token holds. An error if some of it is not ours and the operator hasn't said that it may stay.
    /// Answers true if it holds objects of ours.
    pub(crate) fn examine(&self, lease: &Lease, bringing: &Bringing<'_>) -> Result<bool> {
        let desk = lease.desk();
        let all = everything(&desk).map_err(|fault| unwell(desk.name(), fault))?;
        if all.is_empty() {
            return Ok(false);
        }
        let strangers = self.strangers(&desk, &all, bringing)?;
        if strangers.is_empty() || bringing.keep_foreign {
            return Ok(strangers.len() < all.len());
        }
        let named = strangers.iter().take(NAMED_MAX).map(|handle| describe(&desk, *handle));
        let named: Vec<_> = named.collect();
        let more = match strangers.len().saturating_sub(named.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Err(Error::new(
            CKR_ARGUMENTS_BAD,
            format!(
                "member {0}: its token holds objects that are not Tandem's ({1}{more}): is it the right token? Empty it, or run this \
                 again with --keep-foreign; they are left as they are then, and not shown",
                desk.name(),
                named.join(", "),
            ),
        ))
    }

    /// What of this is no object of ours, and never was.
    fn strangers(
        &self,
        desk: &Desk<'_>,
        all: &BTreeSet<Handle>,
        bringing: &Bringing<'_>,
    ) -> Result<BTreeSet<Handle>> {
        let mut strangers = all.clone();
        let entries = self.shelf.find(&Template::new())?;
        bringing.progress.stage(
            &format!("looking at what {} holds", desk.name()),
            u64::try_from(entries.len()).unwrap_or(0),
        );
        for entry in &entries {
            self.strike_out(desk, &mut strangers, &self.forms_of(&entry.object)?)?;
            bringing.progress.step();
        }
        if !strangers.is_empty() {
            // What was destroyed while the token was away goes when it follows the log.
            for id in self.store.mentioned()? {
                if self.shelf.by_id(id)?.is_none() {
                    self.strike_out(desk, &mut strangers, &self.forms(id, u64::MAX)?)?;
                }
            }
        }
        Ok(strangers)
    }

    pub(crate) fn forms_of(&self, object: &Object) -> Result<Vec<Object>> {
        self.names_of(object).map_err(|failure| Error::new(CKR_DEVICE_ERROR, failure.to_string()))
    }

    /// Takes an object of ours out, under whichever of its names it stands there.
    fn strike_out(
        &self,
        desk: &Desk<'_>,
        strangers: &mut BTreeSet<Handle>,
        forms: &[Object],
    ) -> Result {
        let found = self.locate_first(desk, forms).map_err(|fault| unwell(desk.name(), fault))?;
        if let Some(handle) = found {
            strangers.remove(&handle);
        }
        Ok(())
    }
}

/// Every token object there but the keys of rings and their head records.
pub(crate) fn everything(desk: &Desk<'_>) -> Answer<BTreeSet<Handle>> {
    let mut all = BTreeSet::new();
    for handle in desk.member.find(desk.session, &Template::new().with(CKA_TOKEN, true))? {
        if !is_hidden(desk, handle)? {
            all.insert(handle);
        }
    }
    Ok(all)
}

/// An object as people know it again.
fn describe(desk: &Desk<'_>, handle: Handle) -> String {
    let kinds = [CKA_CLASS, CKA_LABEL, CKA_ID];
    let readings = desk.member.read(desk.session, handle, &kinds).unwrap_or_default();
    let (mut class, mut label, mut id) = (None, Vec::new(), Vec::new());
    for (kind, reading) in kinds.into_iter().zip(readings) {
        match (kind, reading) {
            (CKA_CLASS, Reading::Value(Value::Number(number))) => class = Some(number),
            (CKA_LABEL, Reading::Value(Value::Bytes(bytes))) => label = bytes.to_vec(),
            (CKA_ID, Reading::Value(Value::Bytes(bytes))) => id = bytes.to_vec(),
            _ => {}
        }
    }
    named(class, &label, &id)
}

/// Class, label and id in a sentence.
pub(crate) fn named(class: Option<u64>, label: &[u8], id: &[u8]) -> String {
    let class = class.map_or_else(|| "object".into(), names::class);
    let label = String::from_utf8_lossy(label);
    let id = id.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    format!("{class} \"{label}\" id {id}")
}
