//! Keys that are made ahead of need.

use super::{Check, Rule};
use crate::Error;
use crate::document::Path;
use crate::typed::{self, Hold};
use std::path::PathBuf;
use std::str::FromStr;
use tandem_values::keytype::KeyType;

/// The most keys of one kind that are kept in stock: a process that claims or fills has a hundred bytes of each in memory.
const COUNT_MAX: u64 = 100_000;

/// Keys that are made ahead of need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// The file in which the names of claimed keys are written; `None`: they are written when an operator says so.
    pub names: Option<PathBuf>,
    /// What is kept, each type and hold once.
    pub keys: Vec<StockKey>,
}

/// Keys of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockKey {
    /// Their type.
    pub kind: KeyType,
    /// How many there are to be that nobody has claimed.
    pub count: u64,
    /// Where they live.
    pub hold: Hold,
    /// Whether they may derive as well (CKA_DERIVE); key pairs only.
    pub derive: bool,
}

impl Check<'_> {
    /// `hold` and `rules` are the token's: they say where keys live of which the stock doesn't.
    pub(super) fn stock(
        &self,
        at: &Path,
        typed: typed::Stock,
        (hold, rules): (Hold, &[Rule]),
    ) -> Result<Stock, Error> {
        let names = typed.names.map(|names| self.absolute(&at.key("names"), &names)).transpose()?;
        let mut keys: Vec<StockKey> = Vec::new();
        for (index, key) in typed.key.into_iter().enumerate() {
            let at = at.key("key").item(index);
            let key = self.stock_key(&at, &key, (hold, rules))?;
            if keys.iter().any(|other| other.kind == key.kind && other.hold == key.hold) {
                return Err(self.error(
                    &at.key("type"),
                    format!("{} that live so are in the stock already", key.kind),
                    "write one count for them",
                ));
            }
            keys.push(key);
        }
        Ok(Stock { names, keys })
    }

    fn stock_key(
        &self,
        at: &Path,
        typed: &typed::StockKey,
        (hold, rules): (Hold, &[Rule]),
    ) -> Result<StockKey, Error> {
        let kind = self.required(&at.key("type"), typed.kind.as_deref(), "type = \"ec:p256\"")?;
        let kind = KeyType::from_str(kind)
            .map_err(|why| self.error(&at.key("type"), why, "or leave the table out"))?;
        let count = self.required(&at.key("count"), typed.count, "count = 100")?;
        let count = self.number(&at.key("count"), Some(count), 0, 0..=COUNT_MAX)?;
        let derive = typed.derive.unwrap_or(false);
        if derive && matches!(kind, KeyType::Aes(_) | KeyType::Generic(_)) {
            return Err(self.error(
                &at.key("derive"),
                "secret keys in stock derive nothing",
                "leave it out; such keys are made when they are asked for",
            ));
        }
        let is_for = |rule: &&Rule| {
            rule.label.is_none() && rule.kind.as_ref().is_none_or(|ruled| *ruled == kind)
        };
        let ruled = rules.iter().find(is_for).map_or(hold, |rule| rule.hold);
        Ok(StockKey { hold: typed.hold.unwrap_or(ruled), kind, count, derive })
    }
}
