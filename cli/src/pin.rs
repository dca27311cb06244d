//! The user PIN: from where the operator says, never from an argument.

use crate::context::Context;
use crate::error::{Error, Result};
use tandem_config::meant::{PIN_SOURCE_FORMS, PinSource, pin_source};
use tandem_runtime::pin::Pins;
use tandem_values::Secret;

/// The environment variable that may hold the PIN.
pub(crate) const VARIABLE: &str = "TANDEM_PIN";

/// The user PIN of a token. `group` may read a PIN file beside its owner.
pub(crate) fn user_pin(context: &Context<'_>, label: &str, group: Option<u32>) -> Result<Secret> {
    if let Some(source) = &context.common.pin_source {
        let source = pin_source(source).map_err(|problem| {
            Error::usage(format!("--pin-source: {problem}; {PIN_SOURCE_FORMS}"))
        })?;
        return Pins::new(source, group).pin().map_err(Error::Failed);
    }
    if in_environment() {
        return Pins::new(PinSource::Env(VARIABLE.to_owned()), group).pin().map_err(Error::Failed);
    }
    if context.screen.interactive() {
        let typed = rpassword::prompt_password(format!("User PIN of {label}: "))?;
        if !typed.is_empty() {
            return Ok(Secret::new(typed));
        }
    }
    Err(Error::failed(format!(
        "this needs the user PIN of {label}; give --pin-source, or set {VARIABLE}, or run it on a terminal"
    )))
}

/// True if the environment has the PIN.
pub(crate) fn in_environment() -> bool {
    std::env::var_os(VARIABLE).is_some()
}
