//! Tandem's own files, known without running them: libtandem.so as its own member would call itself without end.
//!
//! Whatever this crate is linked into carries a note, and linkers put notes near the beginning of a file. So the module and
//! the operator's tool know each other, under any name and wherever they were copied to.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// An ELF note (System V ABI, chapter 5): three numbers, then owner and text, each filled up to four bytes.
#[repr(C)]
struct Note {
    owner_bytes: u32,
    text_bytes: u32,
    kind: u32,
    owner: [u8; 8],
    text: [u8; 24],
}

/// What nobody else's note says.
const TEXT: [u8; 24] = *b"tandem-pkcs11-self-6f1b\0";

#[used]
// SAFETY: a note is read-only data; nothing in the program refers to the section by name.
#[unsafe(link_section = ".note.tandem")]
static NOTE: Note =
    Note { owner_bytes: 7, text_bytes: 24, kind: 1, owner: *b"Tandem\0\0", text: TEXT };

/// Where notes are in a file, in bytes from its beginning.
const NOTES_BYTES: usize = 64 << 10;

/// True if the file is Tandem's: module, tool, or another program that has this code in it.
pub(crate) fn is_tandem(file: &File) -> io::Result<bool> {
    let mut beginning = vec![0; NOTES_BYTES];
    let mut read = 0;
    while let Some(room) = beginning.get_mut(read..).filter(|room| !room.is_empty()) {
        match file.read_at(room, read as u64) {
            Ok(0) => break,
            Ok(more) => read = read.saturating_add(more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    beginning.truncate(read);
    // By the note itself, so that no linker finds that nobody needs it.
    let text = std::hint::black_box(&NOTE).text;
    Ok(beginning.windows(text.len()).any(|bytes| bytes == text))
}
