//! The application's memory. Nothing of it is trusted to be aligned, and no reference into it outlives a call.

use tandem_engine::error::Result;
use tandem_values::{ck::*, spare};

/// Reads a value.
///
/// # Safety
/// `place` points at a `T` of the application, aligned or not. `T` is plain data: any bytes are one.
pub(super) unsafe fn read<T: Copy>(place: *const T) -> T {
    // SAFETY: as above.
    unsafe { place.read_unaligned() }
}

/// Writes a value.
///
/// # Safety
/// `place` points at room for a `T` of the application, aligned or not.
pub(super) unsafe fn write<T: Copy>(place: *mut T, value: T) {
    // SAFETY: as above.
    unsafe { place.write_unaligned(value) };
}

/// Copies bytes out. CKR_HOST_MEMORY if there is no room for them.
///
/// # Safety
/// `place` points at `len` bytes of the application; it may be null if there are none.
pub(super) unsafe fn copy(place: *const u8, len: usize) -> Result<Vec<u8>> {
    let mut bytes = spare::room(len).map_err(|_| CKR_HOST_MEMORY)?;
    if len > 0 {
        // SAFETY: `place` has `len` bytes by the caller's word, `bytes` by the line before; they are apart.
        unsafe { place.copy_to_nonoverlapping(bytes.as_mut_ptr(), len) };
        // SAFETY: so many bytes were just written.
        unsafe { bytes.set_len(len) };
    }
    Ok(bytes)
}

/// Copies bytes, or values of another plain type, into the application's memory.
///
/// # Safety
/// `place` points at room for the values; it may be null if there are none.
pub(super) unsafe fn fill<T: Copy>(place: *mut T, values: &[T]) {
    if !values.is_empty() {
        let bytes = size_of_val(values);
        // SAFETY: as above; copied as bytes, so alignment doesn't matter.
        unsafe { values.as_ptr().cast::<u8>().copy_to_nonoverlapping(place.cast(), bytes) };
    }
}
