//! The configuration, and the files that it names.

use super::Findings;
use crate::context::Context;
use tandem_config::{Config, meant, permission};
use tandem_runtime::logging::{self, Program};

/// The configuration, if it can be used.
pub(super) fn look(context: &Context<'_>, findings: &mut Findings) -> Option<Config> {
    findings.ok("tandem", format!("version {}", env!("CARGO_PKG_VERSION")));
    let file = match &context.common.config {
        Some(file) => Ok(file.clone()),
        None => tandem_config::locate(),
    };
    let config = match file.and_then(|file| tandem_config::load(&file)) {
        Ok(config) => config,
        Err(error) => {
            let place = tandem_config::Error { remedy: String::new(), ..error.clone() };
            findings.wrong("config", place.to_string().trim_end_matches("; "), error.remedy);
            return None;
        }
    };
    logging::set_up(Program::Tool, &config.log);
    findings.ok("config", format!("{} is sound", config.file.display()));
    for warning in &config.warnings {
        findings.note("config", warning.to_string(), "");
    }
    for token in &config.tokens {
        look_at_token(token, findings);
    }
    Some(config)
}

fn look_at_token(token: &meant::Token, findings: &mut Findings) {
    let subject = format!("token {}", token.label);
    let group = token.group.as_ref().map(|group| group.gid);
    for member in &token.members {
        let subject = format!("{subject}, member {}", member.name);
        if let Some(meant::PinSource::File(file)) = &member.pin_source {
            match permission::read_only_by(file, group) {
                Ok(()) => {
                    findings.ok(&subject, format!("the PIN file {} is private", file.display()));
                }
                Err(refusal) => findings.wrong(&subject, refusal.problem, refusal.remedy),
            }
        }
    }
    if let Some(folder) = &token.recovery.shares_dir
        && tandem_runtime::shares::left_in(folder)
    {
        findings.note(
            &subject,
            format!("shares of the recovery are still in {}", folder.display()),
            "give each to one person and erase the files: together they open the key ring",
        );
    }
    if token.allow_init {
        findings.note(
            &subject,
            "applications may initialise the token, which destroys every key on every member",
            "set allow_init = false once the token is in use",
        );
    }
}
