//! The keys: where they are, and which of them are on one member only.

use super::Findings;
use crate::context::Context;
use crate::report::ObjectLine;
use std::sync::Arc;
use tandem_engine::report::Status;
use tandem_engine::session::Session;
use tandem_runtime::Live;

/// Most objects that are named one by one.
const NAMED_MAX: usize = 20;

/// Logs in, if a PIN is at hand, so that what members and objects are after a login can be looked at.
pub(super) fn log_in(
    context: &mut Context<'_>,
    around: &str,
    live: Live<'_>,
    findings: &mut Findings,
) -> Option<Arc<Session>> {
    // A token without a ring lets nobody in, and says so elsewhere.
    if !live.token.status().is_ok_and(|status| status.ring.is_some()) {
        return None;
    }
    if !context.has_pin() {
        findings.note(
            around,
            "without a login only public objects were looked at",
            "give the user PIN with --pin-source or TANDEM_PIN",
        );
        return None;
    }
    match context.login(live) {
        Ok(session) => {
            // A login uses none of the KEKs, and so checks none.
            if let Err(error) = live.token.check_keks() {
                findings.wrong(around, error.to_string(), "mend what the message names");
            }
            Some(session)
        }
        Err(error) => {
            findings.wrong(
                around,
                format!("login: {error}"),
                "give the user PIN that the members have",
            );
            None
        }
    }
}

pub(super) fn look(around: &str, live: Live<'_>, status: &Status, findings: &mut Findings) {
    if status.ring.is_none() {
        return;
    }
    match live.token.objects() {
        Ok(objects) => {
            let objects: Vec<_> = objects.iter().map(ObjectLine::of).collect();
            judge(around, live.config.keepers().count(), &objects, findings);
        }
        Err(error) => findings.wrong(around, error.to_string(), "mend what the message names"),
    }
}

fn judge(around: &str, members: usize, objects: &[ObjectLine], findings: &mut Findings) {
    let whole = objects.iter().filter(|object| object.is_whole()).count();
    findings.ok(around, format!("{whole} of {} objects are where they should be", objects.len()));

    let holders = |object: &ObjectLine| {
        let held = object.replicas.iter().filter(|replica| replica.state != "not-held");
        held.map(|replica| replica.member.clone()).collect::<Vec<_>>()
    };
    let alone: Vec<_> = objects
        .iter()
        .filter(|object| object.adopted && members > 1 && holders(object).len() == 1)
        .collect();
    for object in alone.iter().take(NAMED_MAX) {
        findings.note(
            around,
            format!(
                "{} {} \"{}\" ({}) is on {} only and can't be copied: it is lost with that member",
                object.class,
                object.key_type.as_deref().unwrap_or_default(),
                object.label,
                object.object_id,
                holders(object).join(", ")
            ),
            "make a new key through Tandem in its place (roll it over), then destroy this one",
        );
    }
    if alone.len() > NAMED_MAX {
        findings.note(
            around,
            format!("{} more objects are on one member only", alone.len() - NAMED_MAX),
            "see: tandem keys",
        );
    }
}
