//! Sessions and login (PKCS #11 3.2 section 5.6).

use crate::abi::OPERATIONS;
use crate::abi::wire::{Caller, Output, Place, Socket};
use crate::state::Open;
use tandem_engine::error::Result;
use tandem_engine::member::User;
use tandem_engine::step::Bytes;
use tandem_values::{Handle, Secret, ck::*};

/// C_OpenSession.
pub fn open(
    slot: Socket<'_>,
    flags: CK_FLAGS,
    (): (),
    (): (),
    handle: Place<'_, CK_SESSION_HANDLE>,
) -> Result {
    if flags & CKF_SERIAL_SESSION == 0 {
        return Err(CKR_SESSION_PARALLEL_NOT_SUPPORTED.into());
    }
    if flags & CKF_ASYNC_SESSION != 0 {
        return Err(CKR_SESSION_ASYNC_NOT_SUPPORTED.into());
    }
    let writes = flags & CKF_RW_SESSION != 0;
    let session = slot.token.open(writes)?;
    let open = Open { session, slot: slot.id, writes };
    match slot.running.sessions.add(open.clone()) {
        Ok(new) => {
            handle.set(new);
            Ok(())
        }
        Err(error) => {
            open.session.close();
            Err(error)
        }
    }
}

/// C_CloseSession.
pub fn close(session: Caller<'_>) -> Result {
    // Of two threads that close the same session, one finds it gone.
    session.running.sessions.remove(session.handle)?.session.close();
    Ok(())
}

/// C_CloseAllSessions.
pub fn close_all(slot: Socket<'_>) -> Result {
    for open in slot.running.sessions.remove_all(slot.id) {
        open.session.close();
    }
    Ok(())
}

/// C_GetSessionInfo.
pub fn info(session: Caller<'_>, info: Place<'_, CK_SESSION_INFO>) -> Result {
    let now = session.info();
    info.set(CK_SESSION_INFO {
        slotID: session.open.slot,
        state: now.state,
        flags: now.flags,
        ulDeviceError: 0,
    });
    Ok(())
}

/// C_Login.
pub fn login(session: Caller<'_>, user: User, pin: Option<Secret>) -> Result {
    session.login(user, pin.as_ref())
}

/// C_LoginUser. A token has one user, who has no name: with an empty one this is C_Login.
pub fn login_user(session: Caller<'_>, user: User, pin: Option<Secret>, name: Bytes) -> Result {
    if !name.is_empty() {
        return Err(CKR_FUNCTION_NOT_SUPPORTED.into());
    }
    login(session, user, pin)
}

/// C_Logout.
pub fn logout(session: Caller<'_>) -> Result {
    session.logout()
}

/// C_SessionCancel: ends the operations whose flags are given. CKR_OPERATION_CANCEL_FAILED if one goes on.
pub fn cancel(session: Caller<'_>, flags: CK_FLAGS) -> Result {
    let mut failed = false;
    for (verb, flag) in OPERATIONS {
        if flags & flag != 0 {
            failed |= session.cancel(*verb).is_err();
        }
    }
    if flags & CKF_FIND_OBJECTS != 0 {
        // Without a search there is nothing to end.
        let ended = session.find_final();
        failed |= ended.is_err_and(|error| error.rv.0 != CKR_OPERATION_NOT_INITIALIZED);
    }
    if failed { Err(CKR_OPERATION_CANCEL_FAILED.into()) } else { Ok(()) }
}

/// C_GetOperationState: the state of an operation is on one HSM, and means nothing to another.
pub fn save(session: Caller<'_>, _state: Output<'_>) -> Result {
    let is_active = OPERATIONS.iter().any(|(verb, _)| session.active(*verb).is_some());
    Err(if is_active { CKR_STATE_UNSAVEABLE } else { CKR_OPERATION_NOT_INITIALIZED }.into())
}

/// C_SetOperationState: no state was ever saved here.
pub fn restore(_session: Caller<'_>, _state: Bytes, _encrypts: Handle, _signs: Handle) -> Result {
    Err(CKR_SAVED_STATE_INVALID.into())
}

/// C_GetSessionValidationFlags: the virtual token has no validation objects to which a flag could point. Those of its members are
/// theirs, and which member works is nothing that an application sees.
pub fn validation(_session: Caller<'_>, kind: CK_ULONG, flags: Place<'_, CK_FLAGS>) -> Result {
    if kind != CKS_LAST_VALIDATION_OK {
        return Err(CKR_ARGUMENTS_BAD.into());
    }
    flags.set(0);
    Ok(())
}
