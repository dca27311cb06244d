//! From what the configuration says to what the engine and the vendors' modules take.

use crate::pin::Pins;
use std::sync::Arc;
use std::time::Duration;
use tandem_config::meant::{
    self, AfterFork, Balance, Hold, Init, Kwp, Offer, RequireBackup, Role, Selector, SessionObjects,
};
use tandem_engine::settings;
use tandem_values::ck::{CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PAD};
use tandem_vendor as vendor;

/// What the engine needs to know of a token.
pub(crate) fn settings(token: &meant::Token) -> settings::Settings {
    settings::Settings {
        label: token.label.clone(),
        hold: hold(token.hold),
        rules: token.rules.iter().map(rule).collect(),
        stock: token.stock.keys.iter().map(stock).collect(),
        balance: match token.balance {
            Balance::LeastLoaded => settings::Balance::LeastLoaded,
            Balance::RoundRobin => settings::Balance::RoundRobin,
            Balance::Primary => settings::Balance::Primary,
        },
        session_objects: match token.session_objects {
            SessionObjects::Mirrored => settings::SessionObjects::Mirrored,
            SessionObjects::Pinned => settings::SessionObjects::Pinned,
        },
        mechanisms: match token.mechanisms {
            Offer::Common => settings::Offer::Common,
            Offer::Any => settings::Offer::Any,
        },
        require_backup: match token.require_backup {
            RequireBackup::Off => settings::RequireBackup::Off,
            RequireBackup::Warn => settings::RequireBackup::Warn,
            RequireBackup::Enforce => settings::RequireBackup::Enforce,
        },
        min_replicas: token.min_replicas,
        allow_init: token.allow_init,
        allow_host_keygen: token.allow_host_keygen,
        recovery: settings::RecoverySettings {
            shares: token.recovery.shares,
            threshold: token.recovery.threshold,
        },
        replay_bytes_max: token.replay_bytes_max,
        checkpoint_after: settings::CHECKPOINT_AFTER,
        lease_wait_ms: token.lease_wait_ms,
    }
}

const fn hold(hold: Hold) -> settings::Hold {
    match hold {
        Hold::Resident => settings::Hold::Resident,
        Hold::OnDemand => settings::Hold::OnDemand,
    }
}

fn rule(rule: &meant::Rule) -> settings::HoldRule {
    settings::HoldRule { kind: rule.kind.clone(), label: rule.label.clone(), hold: hold(rule.hold) }
}

fn stock(key: &meant::StockKey) -> settings::StockSettings {
    settings::StockSettings {
        kind: key.kind.clone(),
        count: key.count,
        hold: hold(key.hold),
        derive: key.derive,
    }
}

/// What the engine needs to know of a member.
pub(crate) fn member_settings(
    token: &meant::Token,
    member: &meant::Member,
) -> settings::MemberSettings {
    let group = token.group.as_ref().map(|group| group.gid);
    let pins = |source: &meant::PinSource| -> Arc<dyn settings::PinSource> {
        Arc::new(Pins::new(source.clone(), group))
    };
    settings::MemberSettings {
        role: match member.role {
            Role::Active => settings::Role::Active,
            Role::Standby => settings::Role::Standby,
            Role::Backup => settings::Role::Backup,
            Role::Generator => settings::Role::Generator,
        },
        pin: member.pin_source.as_ref().map(pins),
        // A token that is found by its label must keep it.
        label: match &member.token {
            Selector::Label(label) => Some(label.clone()),
            Selector::Serial(_) | Selector::Slot(_) => None,
        },
        lanes: member.lanes,
        loaded_max: member.loaded_max,
    }
}

/// How long a member's calls may take; `None`: as long as they like, on the caller's own thread.
pub(crate) fn deadlines(member: &meant::Member, forbid_threads: bool) -> Option<vendor::Deadlines> {
    let inline = member.deadline_ms == 0 || forbid_threads;
    (!inline).then(|| vendor::Deadlines {
        call: Duration::from_millis(member.deadline_ms),
        long: Duration::from_millis(member.long_deadline_ms),
        stuck_max: member.stuck_max,
    })
}

/// How a member's module is loaded and started.
pub fn member_config(
    token: &meant::Token,
    member: &meant::Member,
    forbid_threads: bool,
) -> vendor::MemberConfig {
    let selector = match &member.token {
        Selector::Label(label) => vendor::TokenSelector::Label(label.clone()),
        Selector::Serial(serial) => vendor::TokenSelector::Serial(serial.clone()),
        Selector::Slot(slot) => vendor::TokenSelector::Slot(*slot),
    };
    vendor::MemberConfig {
        environment: member.environment.clone().into_iter().collect(),
        initialise: match &member.init {
            Init::Standard => vendor::Initialise::Standard,
            Init::Reserved(text) => vendor::Initialise::Reserved(text.clone()),
            Init::Nss(parameters) => vendor::Initialise::Nss(parameters.clone()),
        },
        serialize: member.serialize,
        forbid_threads,
        group: token.group.as_ref().map(|group| group.gid),
        quirks: vendor::Overrides {
            kwp: member.quirks.kwp.map(|kwp| match kwp {
                Kwp::Kwp => CKM_AES_KEY_WRAP_KWP,
                Kwp::Pad => CKM_AES_KEY_WRAP_PAD,
            }),
            wraps_multiples_of_eight: member.quirks.wraps_multiples_of_eight,
            heals_by_restart: member.quirks.heals_by_restart,
            private_copy: member.quirks.private_copy,
            leaves_half_made: member.quirks.leaves_half_made,
            logs_in_alone: member.quirks.logs_in_alone,
            searches_alone: member.quirks.searches_alone,
            after_fork: member.quirks.after_fork.map(|after| match after {
                AfterFork::FreshCopy => vendor::AfterFork::FreshCopy,
                AfterFork::Initialise => vendor::AfterFork::Initialise,
            }),
        },
        ..vendor::MemberConfig::new(&member.name, &member.module, selector)
    }
}
