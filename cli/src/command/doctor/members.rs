//! The members: their modules, and how they are.

use super::Findings;
use crate::context;
use crate::report::time;
use tandem_config::Config;
use tandem_engine::member::Member;
use tandem_engine::report::{BackupToken, Condition, MemberStatus, Status};
use tandem_engine::settings::Role;
use tandem_runtime::{Live, member_config};
use tandem_values::ck::CKM_AES_KEY_WRAP_PAD;
use tandem_vendor::VendorMember;

/// What can be said of the modules' files without running their code.
pub(super) fn look_at_files(config: &Config, findings: &mut Findings) {
    for token in &config.tokens {
        // A backup token's module need not be there either.
        for member in token.working() {
            if let Err(problem) = tandem_vendor::check(&member_config(token, member, false)) {
                let subject = subject(&format!("token {}", token.label), &member.name);
                findings.wrong(&subject, format!("refused: {problem}"), problem.remedy());
            }
        }
    }
}

/// How the members are.
pub(super) fn look(around: &str, live: Live<'_>, status: &Status, findings: &mut Findings) {
    for member in &status.members {
        let subject = subject(around, &member.name);
        if let Some(vendor) = context::vendor(live, &member.name) {
            look_at(&subject, vendor, member, findings);
        }
        look_at_followed(&subject, member, status.head, findings);
    }
    for backup_token in &status.backup_tokens {
        look_at_backup_token(&subject(around, &backup_token.name), backup_token, findings);
    }
    look_at_generators(around, status, findings);
    look_at_apart(around, live.config.min_replicas, status, findings);
    let keepers = status.members.iter().filter(|member| member.role != Role::Generator);
    let up = keepers.clone().filter(|member| member.condition == Condition::Up).count();
    if keepers.count() == 1 {
        findings.note(
            around,
            "one member only holds its keys: nothing can take over",
            "add a second member",
        );
    } else if up < live.config.min_replicas {
        findings.wrong(
            around,
            format!(
                "{up} members work and min_replicas = {}: no key can be made",
                live.config.min_replicas
            ),
            "bring members back, or lower min_replicas",
        );
    }
}

/// Keys that not every member can hold are what the operator has asked for, and the fewer members have them the less there
/// is to take over.
fn look_at_apart(around: &str, min_replicas: usize, status: &Status, findings: &mut Findings) {
    for ((kind, holders), objects) in &status.apart {
        let lacking: Vec<_> = status
            .members
            .iter()
            .filter(|member| !member.beyond.is_empty() && !holders.contains(&member.name))
            .map(|member| member.name.as_str())
            .collect();
        let (lacking, who) = (lacking.join(" and "), holders.join(", "));
        let remedy = format!(
            "for more copies bring in a member that holds such keys (`tandem member add NAME --shares DIR`), or one in the place of \
             {lacking} (`tandem member replace NAME --shares DIR`): it is brought them when it follows the log"
        );
        let told = format!("objects of type {kind} that are beyond {lacking}: {objects}, on ");
        match holders.as_slice() {
            some if some.len() < min_replicas => findings.wrong(
                around,
                format!("{told}{} members, and min_replicas = {min_replicas}", some.len()),
                remedy,
            ),
            [only] => findings.note(
                around,
                format!("{told}{only} alone: nothing takes over their work when {only} fails"),
                remedy,
            ),
            _ => findings.note(around, format!("{told}{who}"), remedy),
        }
    }
}

/// Keys are made by generators that count, and by nobody else while there are any.
fn look_at_generators(around: &str, status: &Status, findings: &mut Findings) {
    let is_left_to = |member: &&MemberStatus| {
        let counts = !matches!(member.condition, Condition::Drained | Condition::Outside);
        member.role == Role::Generator && counts
    };
    let (up, down): (Vec<_>, Vec<_>) = status
        .members
        .iter()
        .filter(is_left_to)
        .partition(|member| matches!(member.condition, Condition::Up | Condition::Suspect));
    let Some(first) = down.first().filter(|_| up.is_empty()) else { return };
    findings.wrong(
        around,
        "new keys are left to its generator, which is not up: no key can be made",
        format!(
            "bring it back; or `tandem member drain {}`: then the other members make keys",
            first.name
        ),
    );
}

/// A backup token is not asked: it lies in a safe.
fn look_at_backup_token(subject: &str, backup_token: &BackupToken, findings: &mut Findings) {
    match (&backup_token.filled, &backup_token.serial) {
        (Some((backup, moment)), serial) => findings.ok(
            subject,
            format!(
                "a backup token (serial {}): filled at {} with backup {backup}",
                serial.as_deref().unwrap_or("not known"),
                time(moment.at_ms)
            ),
        ),
        (None, _) => findings.note(
            subject,
            "a backup token that was never filled",
            format!("run: tandem backup run --commit --to {} --shares DIR", backup_token.name),
        ),
    }
}

fn subject(around: &str, member: &str) -> String {
    format!("{around}, member {member}")
}

fn look_at(subject: &str, vendor: &VendorMember, member: &MemberStatus, findings: &mut Findings) {
    match member.condition {
        Condition::Up | Condition::Recovering => {}
        Condition::Suspect => findings.wrong(
            subject,
            format!("something there is not as it should be: {}", member.reason),
            "run `tandem verify`, which says what",
        ),
        Condition::Drained => findings.wrong(
            subject,
            "it is drained: it gets no work and takes over nothing",
            format!("when it may work again: `tandem member enable {}`", member.name),
        ),
        Condition::Down => {
            let remedy = match vendor.problem() {
                Some(problem) => problem.remedy(),
                None => "see the vendor's own log and tools; the member is tried again by itself"
                    .to_owned(),
            };
            let reason = vendor
                .problem()
                .map_or_else(|| member.reason.clone(), |problem| problem.to_string());
            findings.wrong(subject, format!("down: {reason}"), remedy);
        }
        Condition::WrongPin => findings.wrong(
            subject,
            format!("it refused the PIN: {}", member.reason),
            "give all members one PIN, or give this one a pin_source of its own; \
             it is tried again when the application brings another PIN",
        ),
        Condition::Fenced => findings.wrong(
            subject,
            format!("it is kept out: {}", member.reason),
            "mend what the reason names",
        ),
        Condition::Outside => findings.wrong(
            subject,
            "outside: it is in the configuration, and does not hold the key ring: it is not used",
            format!(
                "`tandem member add {} --shares DIR` brings it in; or delete its section",
                member.name
            ),
        ),
    }
    if let (Some(library), Some(token)) = (&member.library, &member.token) {
        findings.ok(
            subject,
            format!(
                "{} {} {}.{}, PKCS #11 {}.{}; token {} ({}, serial {})",
                library.manufacturer,
                library.description,
                library.version.0,
                library.version.1,
                library.interface.0,
                library.interface.1,
                token.label,
                token.model,
                token.serial
            ),
        );
        findings.ok(subject, format!("quirks: {}", quirks(vendor)));
    }
}

/// How the module departs from the others, as it is treated now.
fn quirks(vendor: &VendorMember) -> String {
    let quirks = vendor.quirks();
    let mut said = Vec::new();
    if quirks.kwp == CKM_AES_KEY_WRAP_PAD {
        said.push("AES key wrap with padding as CKM_AES_KEY_WRAP_PAD");
    }
    if quirks.wraps_multiples_of_eight {
        said.push("wraps secrets of multiples of eight bytes only");
    }
    if quirks.heals_by_restart {
        said.push("finalised and initialised anew to recover");
    }
    if vendor.logs_in_alone() {
        said.push("no other call while it logs in or out");
    }
    if vendor.searches_alone() {
        said.push("nothing is made there while it is searched");
    }
    if vendor.is_private() {
        said.push("a copy of the library of its own");
    }
    if said.is_empty() { "none".to_owned() } else { said.join(", ") }
}

fn look_at_followed(subject: &str, member: &MemberStatus, head: u64, findings: &mut Findings) {
    let behind = head.saturating_sub(member.position);
    if behind > 0 {
        findings.note(
            subject,
            format!(
                "{behind} records of the log are not on it yet (it is at {} of {head})",
                member.position
            ),
            "it catches up at the next login, `tandem verify` for example",
        );
    }
    for (object, reason) in &member.exceptions {
        findings.wrong(
            subject,
            format!("it could not take object {object}: {reason}"),
            "the object is on the other members only: mend the reason, or accept that this member can't serve it",
        );
    }
}
