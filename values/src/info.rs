//! What a token says of itself.

use minicbor::{Decode, Encode};

/// The parts of CK_TOKEN_INFO that Tandem uses (PKCS #11 3.2 section 3.2). Text is trimmed of its padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenInfo {
    /// Label, without its padding.
    pub label: String,
    /// Manufacturer, without its padding.
    pub manufacturer: String,
    /// Model, without its padding.
    pub model: String,
    /// Serial number, without its padding.
    pub serial: String,
    /// CKF_… flags.
    pub flags: u64,
    /// Shortest PIN in bytes.
    pub pin_len_min: u64,
    /// Longest PIN in bytes.
    pub pin_len_max: u64,
    /// Free public memory in bytes, or CK_UNAVAILABLE_INFORMATION.
    pub free_public_memory: u64,
    /// Free private memory in bytes, or CK_UNAVAILABLE_INFORMATION.
    pub free_private_memory: u64,
    /// Most sessions at once, 0 for no limit, or CK_UNAVAILABLE_INFORMATION.
    pub sessions_max: u64,
    /// Hardware version: major, minor.
    pub hardware_version: (u8, u8),
    /// Firmware version: major, minor.
    pub firmware_version: (u8, u8),
}

/// CK_MECHANISM_INFO: key sizes (in the unit of the mechanism) and CKF_… flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct MechanismInfo {
    /// Smallest key.
    #[n(0)]
    pub key_size_min: u64,
    /// Largest key.
    #[n(1)]
    pub key_size_max: u64,
    /// CKF_… flags.
    #[n(2)]
    pub flags: u64,
}

/// CK_INFO and the interface that was chosen: what a vendor's library says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LibraryInfo {
    /// Manufacturer, without its padding.
    pub manufacturer: String,
    /// Description, without its padding.
    pub description: String,
    /// The library's own version: major, minor.
    pub version: (u8, u8),
    /// The version of PKCS #11 that is spoken with it: major, minor.
    pub interface: (u8, u8),
}
