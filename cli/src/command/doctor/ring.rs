//! The key ring: pairing, recovery, and what the modules don't enforce.

use super::Findings;
use crate::report::attacks;
use tandem_engine::report::Status;
use tandem_runtime::Live;

pub(super) fn look(around: &str, live: Live<'_>, status: &Status, findings: &mut Findings) {
    let Some(ring) = &status.ring else {
        findings.wrong(around, "it is not paired: no key can be made", "run: tandem pair");
        return;
    };
    let holders: Vec<&str> = ring.members.iter().map(|member| member.name.as_str()).collect();
    findings.ok(around, format!("paired: the key ring is on {}", holders.join(", ")));
    for member in &live.config.members {
        if !holders.contains(&member.name.as_str()) {
            findings.wrong(
                &format!("{around}, member {}", member.name),
                "it has no key ring, so it holds no keys and does no work",
                "take it out of the configuration; this version pairs all members of a token at once",
            );
        }
    }
    match &ring.recovery {
        Some(recovery) => findings.ok(
            around,
            format!("recovery: any {} of {} shares", recovery.threshold, recovery.shares),
        ),
        None => findings.wrong(
            around,
            "the key ring has no recovery: it can't be brought to a new HSM",
            "move to a token that is paired with one",
        ),
    }
    for attack in attacks(ring) {
        let subject = format!("{around}, member {}", attack.member);
        if attack.refused {
            findings.ok(&subject, format!("refuses: {} ({})", attack.attack, attack.answer));
        } else {
            // No operator can mend a module, so this must not hide what can be mended behind a lasting alarm.
            findings.note(
                &subject,
                format!("does NOT refuse: {} ({})", attack.attack, attack.answer),
                "keep this member's user PIN from everyone who may read the log (docs/threat-model.md), or use \
                 a module that refuses",
            );
        }
    }
    let unproven = ring.routes.iter().filter_map(|route| Some((route, route.failure.as_ref()?)));
    for (route, failure) in unproven {
        findings.note(
            around,
            format!("{} can't go from {} to {}: {failure}", route.kind, route.from, route.to),
            "such keys are refused when an application asks for them",
        );
    }
}
