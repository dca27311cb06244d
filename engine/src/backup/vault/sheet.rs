//! A bundle on a token: the same bytes as in a file, cut into sheets, each a private data object that no application sees. An
//! index says how many there are. It is made last, when the sheets were read back, and without it they are no bundle: so
//! one object decides, whenever a run is interrupted.

use super::super::bundle::broken;
use super::super::words::BackupId;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::fault::{Answer, Call, Fault};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::vec::IntoIter;
use tandem_values::template::Reading;
use tandem_values::{Handle, Template, Value, ck::*};

/// The most bytes of a sheet. HSMs take far more in one object, smart cards not much more.
const SHEET_BYTES: usize = 8 << 10;
/// CKA_APPLICATION of sheets and indexes, by which they are found.
const APPLICATION: &str = "tandem backup";
/// How their labels begin.
const PREFIX: &str = "tandem:bundle:";

/// What an object of a bundle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// It says that the bundle is there, and how long it is.
    Index,
    /// Bytes of it; counted from zero.
    Sheet(u32),
}

/// What makes sheets a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Index {
    /// How many sheets there are.
    #[n(0)]
    sheets: u32,
}

/// The objects of one bundle on a token.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    index: Vec<Handle>,
    sheets: BTreeMap<u32, Vec<Handle>>,
}

impl Pieces {
    /// True if it was written to its end and read back.
    pub(super) fn has_index(&self) -> bool {
        !self.index.is_empty()
    }

    /// The sheets in their order. CKR_DATA_INVALID if one is missing, or there twice.
    pub(super) fn in_order(&self) -> Result<Vec<Handle>> {
        let mut handles = Vec::with_capacity(self.sheets.len());
        for (expected, (number, held)) in (0_u32..).zip(&self.sheets) {
            match held.as_slice() {
                [only] if *number == expected => handles.push(*only),
                [_] => return Err(broken(&format!("sheet {expected} of it is missing"))),
                _ => return Err(broken(&format!("sheet {number} of it is there twice"))),
            }
        }
        Ok(handles)
    }

    /// The same of a bundle that is bound: the index says how many there must be.
    pub(super) fn bound(&self, desk: &Desk<'_>) -> Result<Vec<Handle>> {
        let [index] = self.index.as_slice() else {
            return Err(broken("it was not written to its end"));
        };
        let value = value(desk, *index).map_err(|fault| unanswered(desk, fault))?;
        let index: Index =
            minicbor::decode(&value).map_err(|_| broken("its index makes no sense"))?;
        let sheets = self.in_order()?;
        if u32::try_from(sheets.len()).ok() != Some(index.sheets) {
            let (held, meant) = (sheets.len(), index.sheets);
            return Err(broken(&format!("{held} of its {meant} sheets are there")));
        }
        Ok(sheets)
    }

    /// Every object of it, the index first: what is removed by half is no bundle any more.
    fn all(&self) -> impl Iterator<Item = Handle> + '_ {
        self.index.iter().chain(self.sheets.values().flatten()).copied()
    }
}

fn label(id: BackupId, piece: Piece) -> String {
    let id = uuid::Uuid::from_bytes(id.0);
    match piece {
        Piece::Index => format!("{PREFIX}{}:index", id.as_simple()),
        Piece::Sheet(number) => format!("{PREFIX}{}:{number}", id.as_simple()),
    }
}

/// What [`label`] says.
fn parse(bytes: &[u8]) -> Option<(BackupId, Piece)> {
    let (id, piece) = std::str::from_utf8(bytes).ok()?.strip_prefix(PREFIX)?.split_once(':')?;
    let id = BackupId(*uuid::Uuid::try_parse(id).ok()?.as_bytes());
    let piece = match piece {
        "index" => Piece::Index,
        number => Piece::Sheet(number.parse().ok()?),
    };
    // What can be written in several ways is ours in one.
    (label(id, piece).as_bytes() == bytes).then_some((id, piece))
}

/// True for the label of a part of a bundle: applications never see what bears one.
pub fn is_sheet_label(label: &[u8]) -> bool {
    parse(label).is_some()
}

/// Every bundle on a token, whole or not.
pub(super) fn bundles(desk: &Desk<'_>) -> Answer<BTreeMap<BackupId, Pieces>> {
    let wanted = Template::new()
        .with(CKA_CLASS, CKO_DATA)
        .with(CKA_TOKEN, true)
        .with(CKA_APPLICATION, APPLICATION);
    let mut found: BTreeMap<BackupId, Pieces> = BTreeMap::new();
    for handle in desk.member.find(desk.session, &wanted)? {
        let readings = desk.member.read(desk.session, handle, &[CKA_LABEL])?;
        let Some(Reading::Value(Value::Bytes(label))) = readings.first() else { continue };
        match parse(label) {
            Some((id, Piece::Index)) => found.entry(id).or_default().index.push(handle),
            Some((id, Piece::Sheet(number))) => {
                found.entry(id).or_default().sheets.entry(number).or_default().push(handle);
            }
            None => {}
        }
    }
    Ok(found)
}

/// Removes a bundle from a token, and answers how many objects that were.
pub(super) fn remove(desk: &Desk<'_>, pieces: &Pieces) -> Answer<u64> {
    let mut gone = 0_u64;
    for handle in pieces.all() {
        desk.member.destroy(desk.session, handle)?;
        gone = gone.saturating_add(1);
    }
    Ok(gone)
}

/// Removes every bundle from a token.
pub(crate) fn remove_bundles(desk: &Desk<'_>) -> Result<u64> {
    let all = bundles(desk).map_err(|fault| unanswered(desk, fault))?;
    all.values().try_fold(0_u64, |gone, pieces| {
        let removed = remove(desk, pieces).map_err(|fault| unanswered(desk, fault))?;
        Ok(gone.saturating_add(removed))
    })
}

fn value(desk: &Desk<'_>, handle: Handle) -> Answer<Vec<u8>> {
    match desk.member.read(desk.session, handle, &[CKA_VALUE])?.into_iter().next() {
        Some(Reading::Value(Value::Bytes(bytes))) => Ok(bytes.to_vec()),
        _ => Err(Fault::new(Call::Read, CKR_ATTRIBUTE_SENSITIVE)),
    }
}

fn put(desk: &Desk<'_>, id: BackupId, piece: Piece, value: &[u8]) -> Answer<Handle> {
    let template = Template::new()
        .with(CKA_CLASS, CKO_DATA)
        .with(CKA_TOKEN, true)
        .with(CKA_PRIVATE, true)
        .with(CKA_APPLICATION, APPLICATION)
        .with(CKA_LABEL, label(id, piece).as_str())
        .with(CKA_VALUE, value.to_vec());
    desk.member.create(desk.session, &template)
}

/// Makes the sheets of a bundle that is written.
pub(super) struct Sheets<'a> {
    desk: Desk<'a>,
    id: BackupId,
    next: u32,
    held: Vec<u8>,
}

impl<'a> Sheets<'a> {
    pub(super) fn new(desk: Desk<'a>, id: BackupId) -> Self {
        Self { desk, id, next: 0, held: Vec::with_capacity(SHEET_BYTES) }
    }

    /// How many were made.
    pub(super) fn made(&self) -> u32 {
        self.next
    }

    fn put(&mut self) -> io::Result<()> {
        let put = put(&self.desk, self.id, Piece::Sheet(self.next), &self.held);
        put.map_err(|fault| io::Error::other(refused(&self.desk, fault)))?;
        self.next = self.next.saturating_add(1);
        self.held.clear();
        Ok(())
    }
}

impl Write for Sheets<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.held.len() >= SHEET_BYTES {
            self.put()?;
        }
        let room = SHEET_BYTES.saturating_sub(self.held.len()).min(bytes.len());
        self.held.extend(bytes.iter().take(room));
        Ok(room)
    }

    /// The last sheet may be shorter than the others.
    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() { Ok(()) } else { self.put() }
    }
}

/// Makes so many sheets a bundle.
pub(super) fn bind(desk: &Desk<'_>, id: BackupId, sheets: u32) -> Result {
    let index = minicbor::to_vec(Index { sheets }).map_err(|_| Error::from(CKR_GENERAL_ERROR))?;
    put(desk, id, Piece::Index, &index).map(drop).map_err(|fault| refused(desk, fault))
}

/// Reads the bytes of a bundle, a sheet at a time.
pub(super) struct Reader<'a> {
    desk: Desk<'a>,
    sheets: IntoIter<Handle>,
    held: io::Cursor<Vec<u8>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(desk: Desk<'a>, sheets: Vec<Handle>) -> Self {
        Self { desk, sheets: sheets.into_iter(), held: io::Cursor::default() }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.held.read(to)?;
            if read > 0 || to.is_empty() {
                return Ok(read);
            }
            let Some(handle) = self.sheets.next() else { return Ok(0) };
            let value = value(&self.desk, handle);
            let value = value.map_err(|fault| io::Error::other(unanswered(&self.desk, fault)))?;
            self.held = io::Cursor::new(value);
        }
    }
}

/// The token did not take part of a bundle.
fn refused(desk: &Desk<'_>, fault: Fault) -> Error {
    let name = desk.name();
    let message = if fault.rv.0 == CKR_DEVICE_MEMORY {
        format!(
            "the backup token {name} is full ({fault}): the bundle does not fit. Nothing of it counts, and what was on the token before \
             still does; take one with more room, or empty this one with `tandem member remove {name} --wipe` and fill it anew"
        )
    } else {
        format!(
            "the backup token {name} does not take the bundle ({fault}). Nothing of it counts, and what was on the token before still \
             does; look after it and run this again"
        )
    };
    Error::new(fault.rv.0, message)
}

/// The token does not say what is on it. That is no word of the bundle: CKR_DATA_INVALID would be one.
pub(super) fn unanswered(desk: &Desk<'_>, fault: Fault) -> Error {
    let rv = if fault.rv.0 == CKR_DATA_INVALID { CKR_DEVICE_ERROR } else { fault.rv.0 };
    let message = format!(
        "the backup token {} does not let its bundles be read ({fault}): is it still connected? Nothing was changed; run this again",
        desk.name()
    );
    Error::new(rv, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_sheets_are_known_and_no_others() {
        let id = BackupId([0xab; 16]);
        for piece in [Piece::Index, Piece::Sheet(0), Piece::Sheet(7), Piece::Sheet(u32::MAX)] {
            let label = label(id, piece);
            assert_eq!(parse(label.as_bytes()), Some((id, piece)));
            assert!(is_sheet_label(label.as_bytes()));
        }
        let hex = "abababababababababababababababab";
        for label in [
            String::new(),
            PREFIX.to_owned(),
            format!("{PREFIX}{hex}"),
            format!("{PREFIX}{hex}:"),
            format!("{PREFIX}{hex}:07"),
            format!("{PREFIX}{hex}:+7"),
            format!("{PREFIX}{hex}:4294967296"),
            format!("{PREFIX}{hex}:index "),
            format!("{PREFIX}{}:1", hex.to_uppercase()),
            format!("tandem:{hex}:private"),
        ] {
            assert!(!is_sheet_label(label.as_bytes()), "{label}");
        }
    }

    #[test]
    fn sheets_that_are_missing_or_there_twice_are_noticed() {
        let pieces = |sheets: &[(u32, &[Handle])]| Pieces {
            index: vec![1],
            sheets: sheets.iter().map(|(number, held)| (*number, held.to_vec())).collect(),
        };
        assert_eq!(pieces(&[(0, &[5]), (1, &[4]), (2, &[9])]).in_order().unwrap(), [5, 4, 9]);
        for bad in [
            pieces(&[(1, &[5])]),
            pieces(&[(0, &[5]), (2, &[9])]),
            pieces(&[(0, &[5]), (1, &[6, 7])]),
        ] {
            assert_eq!(bad.in_order().unwrap_err().rv.0, CKR_DATA_INVALID);
        }
    }
}
