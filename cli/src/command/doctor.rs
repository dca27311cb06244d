//! `tandem doctor`: checks everything that Tandem needs. Each finding comes with its remedy.
//!
//! It goes on where other commands give up, and looks at things one by one before it puts them together: what is
//! wrong with one member is no reason to say nothing of the others.

use crate::context::{self, Context};
use crate::error::Result;
use crate::report::{DoctorReport, Finding, Verdict};
use tandem_config::Config;
use tandem_runtime::Runtime;

mod backup;
mod config;
mod heads;
mod keys;
mod log;
mod members;
mod ring;
mod stock;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(context: &mut Context<'_>, _: &Args) -> Result<bool> {
    let mut findings = Findings::default();
    if let Some(config) = config::look(context, &mut findings) {
        look_live(context, &config, &mut findings)?;
    }
    let healthy = findings.0.iter().all(|finding| finding.verdict != Verdict::Wrong);
    context.screen.report(&DoctorReport { healthy, findings: findings.0 })?;
    Ok(healthy)
}

/// Everything that needs tokens at work.
fn look_live(context: &mut Context<'_>, config: &Config, findings: &mut Findings) -> Result {
    tandem_runtime::harden::no_core_dumps();
    let runtime = match Runtime::open_existing(config.clone()) {
        Ok(runtime) => runtime,
        Err(error) => {
            findings.wrong("state", error.to_string(), "mend what the message names");
            // The members have not been tried; what their files tell is known all the same.
            members::look_at_files(config, findings);
            return Ok(());
        }
    };
    for live in context.tokens(&runtime)? {
        let subject = format!("token {}", live.config.label);
        // First, since a member that refuses the PIN is known by a login only.
        let session = keys::log_in(context, &subject, live, findings);
        let status = match context::status(live) {
            Ok(status) => status,
            Err(error) => {
                findings.wrong(
                    &subject,
                    error.to_string(),
                    "mend what the message names, then run this again",
                );
                continue;
            }
        };
        findings.ok(
            &subject,
            format!("state in {}, log at {}", live.config.state.display(), status.head),
        );
        members::look(&subject, live, &status, findings);
        ring::look(&subject, &status, findings);
        if session.is_some() {
            ring::look_for_older(&subject, live, &status, findings);
        }
        heads::look(&subject, live, &status, session.is_some(), findings);
        keys::look(&subject, live, &status, findings);
        if let Some(session) = session {
            log::look(&subject, live, findings);
            backup::look(&subject, live, findings);
            stock::look(&subject, live, findings);
            session.close();
        }
    }
    runtime.stop();
    Ok(())
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, subject: &str, found: impl Into<String>) {
        self.add(Verdict::Ok, subject, found.into(), String::new());
    }

    fn note(&mut self, subject: &str, found: impl Into<String>, remedy: impl Into<String>) {
        self.add(Verdict::Note, subject, found.into(), remedy.into());
    }

    fn wrong(&mut self, subject: &str, found: impl Into<String>, remedy: impl Into<String>) {
        self.add(Verdict::Wrong, subject, found.into(), remedy.into());
    }

    fn add(&mut self, verdict: Verdict, subject: &str, found: String, remedy: String) {
        self.0.push(Finding { verdict, subject: subject.to_owned(), found, remedy });
    }
}
