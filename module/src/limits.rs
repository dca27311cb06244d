//! How much the C face takes from an application. Each limit is checked before memory is asked for or read.

use std::time::Duration;

/// The most attributes in a template, those of templates inside it included.
pub const TEMPLATE_ATTRIBUTES_MAX: usize = 1024;

/// How deep templates may stand in templates (CKA_UNWRAP_TEMPLATE and its like).
pub const TEMPLATE_DEPTH_MAX: usize = 4;

/// The most bytes that all values of a template may have together.
pub const TEMPLATE_BYTES_MAX: usize = 64 << 20;

/// The most bytes of data in one call.
pub const DATA_BYTES_MAX: usize = 1 << 30;

/// The longest PIN that is looked at, in bytes. Tokens set narrower limits of their own.
pub const PIN_BYTES_MAX: usize = 4096;

/// The longest name of an interface that is looked at, in bytes, its closing zero included.
pub const INTERFACE_NAME_BYTES_MAX: usize = 64;

/// The most random bytes in one call.
pub const RANDOM_BYTES_MAX: usize = 256 << 20;

/// How many random bytes are asked of a member at once.
pub const RANDOM_CHUNK_BYTES: usize = 64 << 10;

/// How much longer than its input an output is expected to be, in bytes. A buffer that claims more room is taken at its
/// word only when a member says that it needs more, since the claim may be an uninitialised variable.
pub const OUTPUT_SLACK_BYTES: usize = 1 << 20;

/// The most sessions that an application has open at once.
pub const SESSIONS_MAX: usize = 65_536;

/// How long C_Finalize waits for calls of other threads. A call that takes longer keeps what it uses alive and ends by itself.
pub const FINALIZE_WAIT: Duration = Duration::from_secs(5);

/// How long C_Initialize and C_Finalize wait for one another.
pub const LIFECYCLE_WAIT: Duration = Duration::from_secs(60);
