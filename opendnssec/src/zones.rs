//! `zonelist.xml`: how many zones each policy has. Since OpenDNSSEC 2 it is the database that counts: this file is only as new
//! as its last export.

use crate::Result;
use crate::xml::{self, Element};
use std::collections::BTreeMap;
use std::path::Path;

/// The zones of each policy, by its name.
pub type ZoneCount = BTreeMap<String, u64>;

/// The zones in a `zonelist.xml`.
pub fn zones(file: &Path) -> Result<ZoneCount> {
    zones_in(file, &xml::text(file)?)
}

/// The zones in the text of one. Errors name `file`.
pub fn zones_in(file: &Path, text: &str) -> Result<ZoneCount> {
    let document = xml::document(file, text)?;
    let root = Element::root(file, &document, "ZoneList")?;
    let mut found = ZoneCount::new();
    for zone in root.all("Zone") {
        zone.attribute("name")?;
        let count = found.entry(zone.one("Policy")?.text()?).or_default();
        *count = count.saturating_add(1);
    }
    Ok(found)
}
