//! Library, slots, tokens, sessions, login (PKCS #11 3.2 sections 5.4 to 5.6), and random bytes (5.19).

use super::{Functions, handle, have, input};
use crate::buffer::{len, ulong};
use std::ffi::c_void;
use std::ptr;
use tandem_values::ck::*;
use tandem_values::{Rv, Secret, rv::Result};

/// A PIN as C takes it: null for the protected authentication path.
fn pin_of(pin: Option<&Secret>) -> (*mut CK_UTF8CHAR, CK_ULONG) {
    pin.map_or((ptr::null_mut(), 0), |pin| (input(pin.expose()), ulong(pin.expose().len())))
}

impl Functions {
    /// C_Initialize.
    ///
    /// # Safety
    /// `arguments` is null or leads to a structure that this vendor's C_Initialize takes, whose strings
    /// live until the library is finalised.
    pub(crate) unsafe fn initialise(&self, arguments: *mut c_void) -> Result {
        let function = have(self.list.C_Initialize)?;
        // SAFETY: the caller's promise.
        Rv::check(unsafe { function(arguments) })
    }

    /// C_Finalize.
    pub(crate) fn finalise(&self) -> Result {
        let function = have(self.list.C_Finalize)?;
        // SAFETY: its one argument must be null.
        Rv::check(unsafe { function(ptr::null_mut()) })
    }

    /// C_GetInfo.
    pub(crate) fn info(&self) -> Result<CK_INFO> {
        let function = have(self.list.C_GetInfo)?;
        let mut info = CK_INFO::default();
        // SAFETY: the answer has a place to go.
        Rv::check(unsafe { function(&raw mut info) })?;
        Ok(info)
    }

    /// C_GetSlotList, slots with a token only. `slots` is how many may be written; the answer how many there are.
    pub(crate) fn slots(&self, slots: Option<&mut [CK_SLOT_ID]>) -> Result<usize> {
        let function = have(self.list.C_GetSlotList)?;
        let (pointer, mut count) =
            slots.map_or((ptr::null_mut(), 0), |slots| (slots.as_mut_ptr(), ulong(slots.len())));
        // SAFETY: a null pointer asks for the count, otherwise there is room for `count` slots.
        Rv::check(unsafe { function(CK_TRUE, pointer, &raw mut count) })?;
        Ok(len(count))
    }

    /// C_GetTokenInfo.
    pub(crate) fn token_info(&self, slot: CK_SLOT_ID) -> Result<CK_TOKEN_INFO> {
        let function = have(self.list.C_GetTokenInfo)?;
        let mut info = CK_TOKEN_INFO::default();
        // SAFETY: the answer has a place to go.
        Rv::check(unsafe { function(slot, &raw mut info) })?;
        Ok(info)
    }

    /// C_GetMechanismList. As [`Functions::slots`].
    pub(crate) fn mechanisms(
        &self,
        slot: CK_SLOT_ID,
        list: Option<&mut [CK_MECHANISM_TYPE]>,
    ) -> Result<usize> {
        let function = have(self.list.C_GetMechanismList)?;
        let (pointer, mut count) =
            list.map_or((ptr::null_mut(), 0), |list| (list.as_mut_ptr(), ulong(list.len())));
        // SAFETY: a null pointer asks for the count, otherwise there is room for `count` mechanisms.
        Rv::check(unsafe { function(slot, pointer, &raw mut count) })?;
        Ok(len(count))
    }

    /// C_GetMechanismInfo.
    pub(crate) fn mechanism_info(
        &self,
        slot: CK_SLOT_ID,
        kind: CK_MECHANISM_TYPE,
    ) -> Result<CK_MECHANISM_INFO> {
        let function = have(self.list.C_GetMechanismInfo)?;
        let mut info = CK_MECHANISM_INFO::default();
        // SAFETY: the answer has a place to go.
        Rv::check(unsafe { function(slot, kind, &raw mut info) })?;
        Ok(info)
    }

    /// C_InitToken.
    pub(crate) fn init_token(
        &self,
        slot: CK_SLOT_ID,
        pin: Option<&Secret>,
        label: &[u8; 32],
    ) -> Result {
        let function = have(self.list.C_InitToken)?;
        let (pin, len) = pin_of(pin);
        // SAFETY: the PIN is null or of that length, the label has its 32 bytes.
        Rv::check(unsafe { function(slot, pin, len, input(label)) })
    }

    /// C_InitPIN.
    pub(crate) fn init_pin(&self, session: CK_SESSION_HANDLE, pin: Option<&Secret>) -> Result {
        let function = have(self.list.C_InitPIN)?;
        let (pin, len) = pin_of(pin);
        // SAFETY: the PIN is null or of that length.
        Rv::check(unsafe { function(session, pin, len) })
    }

    /// C_SetPIN.
    pub(crate) fn set_pin(
        &self,
        session: CK_SESSION_HANDLE,
        old: Option<&Secret>,
        new: Option<&Secret>,
    ) -> Result {
        let function = have(self.list.C_SetPIN)?;
        let ((old, old_len), (new, new_len)) = (pin_of(old), pin_of(new));
        // SAFETY: each PIN is null or of its length.
        Rv::check(unsafe { function(session, old, old_len, new, new_len) })
    }

    /// C_OpenSession, without a callback.
    pub(crate) fn open(&self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Result<CK_SESSION_HANDLE> {
        let function = have(self.list.C_OpenSession)?;
        let mut session = CK_INVALID_HANDLE;
        // SAFETY: no callback, nothing for it, and the answer has a place to go.
        Rv::check(unsafe { function(slot, flags, ptr::null_mut(), None, &raw mut session) })?;
        handle(session)
    }

    /// C_CloseSession.
    pub(crate) fn close(&self, session: CK_SESSION_HANDLE) -> Result {
        let function = have(self.list.C_CloseSession)?;
        // SAFETY: no pointers.
        Rv::check(unsafe { function(session) })
    }

    /// C_GetSessionInfo.
    pub(crate) fn session_info(&self, session: CK_SESSION_HANDLE) -> Result<CK_SESSION_INFO> {
        let function = have(self.list.C_GetSessionInfo)?;
        let mut info = CK_SESSION_INFO::default();
        // SAFETY: the answer has a place to go.
        Rv::check(unsafe { function(session, &raw mut info) })?;
        Ok(info)
    }

    /// C_Login.
    pub(crate) fn login(
        &self,
        session: CK_SESSION_HANDLE,
        user: CK_USER_TYPE,
        pin: Option<&Secret>,
    ) -> Result {
        let function = have(self.list.C_Login)?;
        let (pin, len) = pin_of(pin);
        // SAFETY: the PIN is null or of that length.
        Rv::check(unsafe { function(session, user, pin, len) })
    }

    /// C_Logout.
    pub(crate) fn logout(&self, session: CK_SESSION_HANDLE) -> Result {
        let function = have(self.list.C_Logout)?;
        // SAFETY: no pointers.
        Rv::check(unsafe { function(session) })
    }

    /// C_SessionCancel.
    pub(crate) fn cancel(&self, session: CK_SESSION_HANDLE, flags: CK_FLAGS) -> Result {
        let function = have(self.list.C_SessionCancel)?;
        // SAFETY: no pointers.
        Rv::check(unsafe { function(session, flags) })
    }

    /// C_GenerateRandom: fills the buffer.
    pub(crate) fn random(&self, session: CK_SESSION_HANDLE, bytes: &mut [u8]) -> Result {
        let function = have(self.list.C_GenerateRandom)?;
        // SAFETY: the buffer has that length.
        Rv::check(unsafe { function(session, bytes.as_mut_ptr(), ulong(bytes.len())) })
    }

    /// C_SeedRandom.
    pub(crate) fn seed(&self, session: CK_SESSION_HANDLE, seed: &[u8]) -> Result {
        let function = have(self.list.C_SeedRandom)?;
        // SAFETY: the seed has that length.
        Rv::check(unsafe { function(session, input(seed), ulong(seed.len())) })
    }
}
