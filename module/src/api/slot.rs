//! Slots and tokens (PKCS #11 3.2 section 5.5).

use super::general::{MANUFACTURER, VERSION};
use super::text::padded;
use crate::abi::wire::{Output, Place, Socket};
use crate::state::Running;
use tandem_engine::error::Result;
use tandem_values::{Secret, ck::*};

/// C_GetSlotList.
pub fn list(running: &Running, slots: Output<'_, CK_SLOT_ID>) -> Result {
    let ids: Vec<CK_SLOT_ID> = (0..).take(running.tokens().len()).collect();
    slots.put(&ids)
}

/// C_GetSlotInfo.
pub fn info(slot: Socket<'_>, info: Place<'_, CK_SLOT_INFO>) -> Result {
    info.set(CK_SLOT_INFO {
        slotDescription: padded(&format!("Tandem slot {}", slot.id)),
        manufacturerID: padded(MANUFACTURER),
        flags: CKF_TOKEN_PRESENT,
        hardwareVersion: VERSION,
        firmwareVersion: VERSION,
    });
    Ok(())
}

/// C_GetTokenInfo.
pub fn token(slot: Socket<'_>, info: Place<'_, CK_TOKEN_INFO>) -> Result {
    let token = slot.token.info();
    let sessions = slot.running.sessions.count(slot.id);
    info.set(CK_TOKEN_INFO {
        label: padded(&token.label),
        manufacturerID: padded(&token.manufacturer),
        model: padded(&token.model),
        serialNumber: padded(&token.serial),
        flags: token.flags,
        ulMaxSessionCount: token.sessions_max,
        ulSessionCount: sessions.all,
        ulMaxRwSessionCount: token.sessions_max,
        ulRwSessionCount: sessions.writing,
        ulMaxPinLen: token.pin_len_max,
        ulMinPinLen: token.pin_len_min,
        ulTotalPublicMemory: CK_UNAVAILABLE_INFORMATION,
        ulFreePublicMemory: token.free_public_memory,
        ulTotalPrivateMemory: CK_UNAVAILABLE_INFORMATION,
        ulFreePrivateMemory: token.free_private_memory,
        hardwareVersion: version(token.hardware_version),
        firmwareVersion: version(token.firmware_version),
        utcTime: padded(""),
    });
    Ok(())
}

const fn version((major, minor): (u8, u8)) -> CK_VERSION {
    CK_VERSION { major, minor }
}

/// C_GetMechanismList.
pub fn mechanisms(slot: Socket<'_>, kinds: Output<'_, CK_MECHANISM_TYPE>) -> Result {
    kinds.put(&slot.token.mechanisms())
}

/// C_GetMechanismInfo.
pub fn mechanism(
    slot: Socket<'_>,
    kind: CK_MECHANISM_TYPE,
    info: Place<'_, CK_MECHANISM_INFO>,
) -> Result {
    let mechanism = slot.token.mechanism(kind)?;
    info.set(CK_MECHANISM_INFO {
        ulMinKeySize: mechanism.key_size_min,
        ulMaxKeySize: mechanism.key_size_max,
        flags: mechanism.flags,
    });
    Ok(())
}

/// C_InitToken: CKR_SESSION_EXISTS while the application has sessions with the token.
pub fn init(slot: Socket<'_>, pin: Option<Secret>, label: String) -> Result {
    if slot.running.sessions.count(slot.id).all > 0 {
        return Err(CKR_SESSION_EXISTS.into());
    }
    slot.token.init_token(pin.as_ref(), &label)
}

/// C_WaitForSlotEvent: tokens neither come nor go, so there is never an event; whoever waits is woken by C_Finalize.
pub fn wait((wait, running): (bool, &Running), _slot: Place<'_, CK_SLOT_ID>, (): ()) -> Result {
    if !wait {
        return Err(CKR_NO_EVENT.into());
    }
    running.wait_for_end();
    Err(CKR_CRYPTOKI_NOT_INITIALIZED.into())
}
