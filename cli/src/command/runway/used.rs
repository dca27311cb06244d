//! The list of keys in use: `--used-ids`.

use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

/// The longest list that is read, in bytes: a hundred thousand ids and more.
const BYTES_MAX: u64 = 16 << 20;

/// CKA_IDs in lower-case digits, from a file or, for `-`, standard input.
pub(super) fn read(file: &Path) -> Result<BTreeSet<String>> {
    let unread = |error: std::io::Error| {
        Error::failed(format!("--used-ids: {} can't be read ({error})", file.display()))
    };
    let mut text = String::new();
    let from: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(unread)?)
    };
    from.take(BYTES_MAX).read_to_string(&mut text).map_err(unread)?;
    ids(&text).map_err(|(line, found)| {
        Error::failed(format!(
            "--used-ids: {}:{line}: {found:?} is no CKA_ID; write one a line, in hexadecimal digits",
            file.display()
        ))
    })
}

/// The ids in a text; or the line that is none, and what it says.
fn ids(text: &str) -> Result<BTreeSet<String>, (usize, String)> {
    let mut found = BTreeSet::new();
    for (line, typed) in (1..).zip(text.lines()) {
        let typed = typed.split('#').next().unwrap_or_default().trim();
        let digits = typed.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits || !typed.len().is_multiple_of(2) {
            return Err((line, typed.to_owned()));
        }
        if !typed.is_empty() {
            found.insert(typed.to_ascii_lowercase());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn ids_are_one_a_line() {
        let found = ids("# used on 1 May\n0aFF\n\n 0b  # ksk\n0aff\n").unwrap();
        assert_eq!(found, ["0aff", "0b"].map(str::to_owned).into());
        assert_eq!(ids("").unwrap().len(), 0);
        assert_eq!(ids("0a\n0a 0b\n"), Err((2, "0a 0b".to_owned())));
        assert_eq!(ids("0a\n\nabc\n"), Err((3, "abc".to_owned())));
        assert_eq!(ids("KSK;0a\n"), Err((1, "KSK;0a".to_owned())));
    }
}
