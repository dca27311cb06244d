//! Which objects are chosen: `--key` and `--label`.

use crate::error::{Error, Result};
use tandem_engine::backup::Choice;
use tandem_engine::object::ObjectId;
use tandem_values::Template;
use tandem_values::ck::{CKA_ID, CKA_LABEL};
use uuid::Uuid;

#[derive(clap::Args)]
pub(crate) struct Chosen {
    /// Only this key: its identity (with hyphens) or its CKA_ID in hexadecimal digits; may be given more than once
    #[arg(long = "key", value_name = "ID")]
    keys: Vec<String>,
    /// Only keys of this CKA_LABEL; may be given more than once
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
}

impl Chosen {
    /// What was chosen; `None` if everything is meant.
    pub(crate) fn choices(&self) -> Result<Option<Vec<Choice>>> {
        if self.keys.is_empty() && self.labels.is_empty() {
            return Ok(None);
        }
        let keys = self.keys.iter().map(|text| key(text));
        let labels = self
            .labels
            .iter()
            .map(|label| Ok(Choice::Like(Template::new().with(CKA_LABEL, label.as_str()))));
        keys.chain(labels).collect::<Result<_>>().map(Some)
    }
}

fn key(text: &str) -> Result<Choice> {
    if text.contains('-')
        && let Ok(id) = Uuid::parse_str(text)
    {
        return Ok(Choice::Object(ObjectId(*id.as_bytes())));
    }
    let id = bytes(text).ok_or_else(|| {
        Error::usage(format!(
            "--key {text}: give the key's identity as `tandem keys --json` shows it, or its CKA_ID in hexadecimal digits"
        ))
    })?;
    Ok(Choice::Like(Template::new().with(CKA_ID, id)))
}

/// Hexadecimal digits as bytes.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_by_identity_or_by_id() {
        let id = "0192d3a0-7c1e-7abc-8def-001122334455";
        assert!(matches!(key(id), Ok(Choice::Object(_))));
        assert_eq!(
            key("0aFf").ok(),
            Some(Choice::Like(Template::new().with(CKA_ID, [0x0a, 0xff].as_slice())))
        );
        for bad in ["", "0", "xyz", "0g", "-"] {
            assert!(key(bad).is_err(), "{bad}");
        }
    }
}
