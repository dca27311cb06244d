//! Answers made wrong: outputs with a bit changed or a byte short, and other keys in place of the ones that are unwrapped.

use crate::face::{Word, size};
use crate::table::Function;
use std::collections::VecDeque;
use tandem_values::ck::*;

/// Which arguments are the output and its length.
const fn output(function: Function) -> Option<(usize, usize)> {
    use Function::{
        C_Decrypt, C_DecryptDigestUpdate, C_DecryptFinal, C_DecryptMessage, C_DecryptUpdate,
        C_DecryptVerifyUpdate, C_Digest, C_DigestEncryptUpdate, C_DigestFinal, C_Encrypt,
        C_EncryptFinal, C_EncryptMessage, C_EncryptUpdate, C_GetOperationState, C_Sign,
        C_SignEncryptUpdate, C_SignFinal, C_SignMessage, C_SignMessageNext, C_SignRecover,
        C_VerifyRecover, C_WrapKey, C_WrapKeyAuthenticated,
    };
    Some(match function {
        C_SignFinal | C_DigestFinal | C_EncryptFinal | C_DecryptFinal | C_GetOperationState => {
            (1, 2)
        }
        C_Sign
        | C_SignRecover
        | C_VerifyRecover
        | C_Digest
        | C_Encrypt
        | C_EncryptUpdate
        | C_Decrypt
        | C_DecryptUpdate
        | C_DigestEncryptUpdate
        | C_DecryptDigestUpdate
        | C_SignEncryptUpdate
        | C_DecryptVerifyUpdate => (3, 4),
        C_WrapKey => (4, 5),
        C_SignMessage | C_SignMessageNext => (5, 6),
        C_EncryptMessage | C_DecryptMessage => (7, 8),
        C_WrapKeyAuthenticated => (6, 7),
        _ => return None,
    })
}

/// The output of a call that has succeeded, and its length: nothing if only the length was asked.
fn output_of(function: Function, words: &[CK_ULONG]) -> Option<(*mut CK_BYTE, *mut CK_ULONG)> {
    let (out, len) = output(function)?;
    let (out, len) =
        (<*mut CK_BYTE>::argument(*words.get(out)?), <*mut CK_ULONG>::argument(*words.get(len)?));
    // SAFETY: the module has just written the length there.
    (!out.is_null() && !len.is_null() && unsafe { len.read() } > 0).then_some((out, len))
}

/// Changes the lowest bit of the last byte.
pub(crate) fn change_bit(function: Function, words: &[CK_ULONG]) {
    let Some((out, len)) = output_of(function, words) else { return };
    // SAFETY: as `output_of` has seen.
    let last = size(unsafe { len.read() }).saturating_sub(1);
    let last = out.wrapping_add(last);
    // SAFETY: the module has just written so many bytes there.
    let byte = unsafe { last.read() };
    // SAFETY: as above.
    unsafe { last.write(byte ^ 1) };
}

/// Makes the output a byte shorter.
pub(crate) fn shorten(function: Function, words: &[CK_ULONG]) {
    let Some((_, len)) = output_of(function, words) else { return };
    // SAFETY: as `output_of` has seen.
    let bytes = unsafe { len.read() };
    // SAFETY: as above.
    unsafe { len.write(bytes.saturating_sub(1)) };
}

/// Wrapped keys that were unwrapped before: any of them is a wrong key later.
#[derive(Default)]
pub(crate) struct Unwrapped(VecDeque<(CK_ULONG, Vec<u8>)>);

const REMEMBERED_MAX: usize = 64;

impl Unwrapped {
    /// Remembers what a call of C_UnwrapKey has unwrapped.
    pub(crate) fn remember(&mut self, words: &[CK_ULONG]) {
        let Some((kek, bytes)) = wrapped(words) else { return };
        if self.0.iter().all(|(other, known)| *other != kek || *known != bytes) {
            self.0.push_back((kek, bytes));
            self.0.truncate(REMEMBERED_MAX);
        }
    }

    /// Another key in place of the one to be unwrapped, by the same wrapping key. The bytes must live as long as the words.
    pub(crate) fn replace(&self, words: &mut [CK_ULONG]) -> Option<Vec<u8>> {
        let (kek, bytes) = wrapped(words)?;
        let same_length = |known: &Vec<u8>| known.len() == bytes.len();
        let others = || {
            self.0
                .iter()
                .filter(|(other, known)| *other == kek && *known != bytes)
                .map(|(_, known)| known)
        };
        let mut other =
            others().find(|known| same_length(known)).or_else(|| others().next())?.clone();
        *words.get_mut(3)? = other.as_mut_ptr().word();
        *words.get_mut(4)? = CK_ULONG::try_from(other.len()).ok()?;
        Some(other)
    }
}

/// The wrapping key and the wrapped bytes of a call of C_UnwrapKey.
fn wrapped(words: &[CK_ULONG]) -> Option<(CK_ULONG, Vec<u8>)> {
    let [_, _, kek, bytes, len, ..] = *words else { return None };
    let bytes = <*mut CK_BYTE>::argument(bytes);
    if bytes.is_null() {
        return None;
    }
    // SAFETY: the application says that so many bytes are there.
    Some((kek, unsafe { std::slice::from_raw_parts(bytes, size(len)) }.to_vec()))
}
