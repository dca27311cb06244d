//! The key ring: pairing, recovery, and what the modules don't enforce.

use super::Findings;
use crate::report::{NotConfigured, RotationLine};
use tandem_engine::report::Status;
use tandem_engine::ring::Ring;
use tandem_engine::settings::Role;
use tandem_runtime::Live;

pub(super) fn look(around: &str, status: &Status, findings: &mut Findings) {
    let Some(ring) = &status.ring else {
        findings.wrong(around, "it is not paired: no key can be made", "run: tandem pair");
        return;
    };
    let holders: Vec<&str> = ring.members.iter().map(|member| member.name.as_str()).collect();
    findings.ok(around, format!("paired: the key ring is on {}", holders.join(", ")));
    for member in NotConfigured::all(status) {
        let subject = format!("{around}, member {}", member.name);
        findings.wrong(&subject, NotConfigured::FOUND, member.remedy());
    }
    match &ring.recovery {
        Some(recovery) => findings.ok(
            around,
            format!(
                "recovery: any {} of {} shares of set {}",
                recovery.threshold, recovery.shares, recovery.set
            ),
        ),
        None => findings.wrong(
            around,
            "the key ring has no recovery: it can't be brought to a new HSM",
            "move to a token that is paired with one",
        ),
    }
    if let Some(rotation) = RotationLine::of(ring, status) {
        findings.note(around, rotation.found(), RotationLine::REMEDY);
    }
    look_at_attacks(around, ring, findings);
    look_at_routes(around, ring, status, findings);
}

/// KEKs that should be gone from members. Needs a login.
pub(super) fn look_for_older(
    around: &str,
    live: Live<'_>,
    status: &Status,
    findings: &mut Findings,
) {
    for member in &status.members {
        let left: Vec<_> = match live.token.rotated_out_on(&member.name) {
            Ok(left) => left.iter().map(ToString::to_string).collect(),
            // How it is was told.
            Err(_) => continue,
        };
        if !left.is_empty() {
            findings.wrong(
                &format!("{around}, member {}", member.name),
                format!("still holds keys of {}, which nothing needs", left.join(", ")),
                "it removes them when it follows the log; if they stay, its module does not destroy them: remove them with its \
                 vendor's tools",
            );
        }
    }
}

fn look_at_attacks(around: &str, ring: &Ring, findings: &mut Findings) {
    for member in &ring.members {
        let subject = format!("{around}, member {}", member.name);
        let broken: Vec<_> = member.attacks.iter().filter(|attack| !attack.refused).collect();
        if broken.is_empty() && !member.attacks.is_empty() {
            let tried = member.attacks.len();
            findings.ok(&subject, format!("refuses all {tried} known attacks on its locked keys"));
        }
        for attack in broken {
            // No operator can mend a module, so this must not hide what can be mended behind a lasting alarm.
            findings.note(
                &subject,
                format!("does NOT refuse: {} ({})", attack.name, attack.answer),
                "keep this member's user PIN from everyone who may read the log \
                 (docs/threat-model.md), or use a module that refuses",
            );
        }
    }
}

/// One finding for each type of key that can't go everywhere.
fn look_at_routes(around: &str, ring: &Ring, status: &Status, findings: &mut Findings) {
    let generators: Vec<_> =
        status.members.iter().filter(|member| member.role == Role::Generator).collect();
    let mut told: Vec<&str> = Vec::new();
    for route in &ring.routes {
        let Some(failure) = &route.failure else { continue };
        // No key is to go to a generator.
        let in_vain = generators.iter().any(|generator| generator.name == route.to);
        if in_vain || told.contains(&route.kind.as_str()) {
            continue;
        }
        told.push(&route.kind);
        findings.note(
            around,
            format!("{} can't go from {} to {}: {failure}", route.kind, route.from, route.to),
            "where no member can make such a key for all, it is refused when it is asked for",
        );
    }
}
