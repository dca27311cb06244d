//! One member of a demo: its storage, its token, and how it is configured.

use super::{Folder, Kind, Pins, Planned, quoted, write};
use crate::error::{Error, Result};
use std::fs;
use std::path::PathBuf;
use tandem_config::typed;
use tandem_engine::fault::Fault;
use tandem_engine::member::{Member, User};
use tandem_values::ck::CKF_USER_PIN_INITIALIZED;
use tandem_vendor::{Initialise, MemberConfig, TokenSelector, VendorMember};

/// The vendor's own configuration of a member.
fn own_config(folder: &Folder, planned: &Planned) -> PathBuf {
    folder.member(&planned.name).join(match planned.kind {
        Kind::SoftHsm => "softhsm2.conf",
        Kind::Kryoptic => "kryoptic.conf",
    })
}

/// What Kryoptic takes in `pReserved`, so that no environment variable is needed.
fn kryoptic_conf(folder: &Folder, planned: &Planned) -> String {
    format!("kryoptic_conf={}", own_config(folder, planned).display())
}

/// The environment variable that a module reads its configuration from.
const fn variable(kind: Kind) -> &'static str {
    match kind {
        Kind::SoftHsm => "SOFTHSM2_CONF",
        Kind::Kryoptic => "KRYOPTIC_CONF",
    }
}

/// The member as tandem.toml has it.
pub(super) fn typed(folder: &Folder, planned: &Planned) -> typed::Member {
    let mut member = typed::Member {
        name: Some(planned.name.clone()),
        module: Some(planned.module.display().to_string()),
        token: Some(typed::Selector {
            label: Some(planned.name.clone()),
            ..typed::Selector::default()
        }),
        role: (planned.role != typed::Role::Active).then_some(planned.role),
        ..typed::Member::default()
    };
    match planned.kind {
        Kind::SoftHsm => {
            let config = own_config(folder, planned).display().to_string();
            member.environment.insert(variable(planned.kind).to_owned(), config);
        }
        Kind::Kryoptic => {
            member.init = Some(format!("reserved:{}", kryoptic_conf(folder, planned)));
        }
    }
    member
}

/// The member as the vendor's module is started.
fn started(folder: &Folder, planned: &Planned, token: TokenSelector) -> MemberConfig {
    let mut config = MemberConfig::new(&planned.name, &planned.module, token);
    match planned.kind {
        Kind::SoftHsm => {
            let file = own_config(folder, planned).display().to_string();
            config.environment = vec![(variable(planned.kind).to_owned(), file)];
        }
        Kind::Kryoptic => config.initialise = Initialise::Reserved(kryoptic_conf(folder, planned)),
    }
    config
}

/// Makes a member's storage and its token, with both PINs. What an interrupted run has made is taken as it is.
pub(super) fn make(folder: &Folder, planned: &Planned, pins: &Pins) -> Result {
    let storage = folder.member(&planned.name);
    let unwritable = |error: std::io::Error| {
        Error::failed(format!("the storage {} can't be made ({error})", storage.display()))
    };
    fs::create_dir_all(&storage).map_err(unwritable)?;
    match planned.kind {
        Kind::SoftHsm => {
            let tokens = storage.join("tokens");
            fs::create_dir_all(&tokens).map_err(unwritable)?;
            write(
                &own_config(folder, planned),
                &format!(
                    "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
                    tokens.display()
                ),
            )?;
        }
        Kind::Kryoptic => {
            let database = toml::Value::String(storage.join("token.sql").display().to_string());
            write(
                &own_config(folder, planned),
                &format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = {database}\n"),
            )?;
        }
    }
    write(
        &folder.env(&planned.name),
        &format!(
            "export {}={}\nexport P11_MODULE={}\n",
            variable(planned.kind),
            quoted(&own_config(folder, planned)),
            quoted(&planned.module)
        ),
    )?;
    initialise(folder, planned, pins)
}

fn initialise(folder: &Folder, planned: &Planned, pins: &Pins) -> Result {
    let labelled = TokenSelector::Label(planned.name.clone());
    let ready = on(folder, planned, labelled.clone(), |member| {
        Ok(member.token()?.flags & CKF_USER_PIN_INITIALIZED != 0)
    });
    if matches!(ready, Ok(true)) {
        return Ok(());
    }
    // There is a token without a user PIN, or none at all.
    if ready.is_err() {
        on(folder, planned, TokenSelector::Uninitialised, |member| {
            member.init_token(Some(&pins.so), &planned.name)
        })?;
    }
    // Modules may give a token another slot when it is initialised, so it is looked for anew.
    on(folder, planned, labelled, |member| {
        let session = member.open(true)?;
        member.login(session, User::So, Some(&pins.so))?;
        member.init_pin(session, Some(&pins.user))?;
        member.logout(session)?;
        member.close(session)
    })
}

/// Starts a member, does something with it, and stops it.
fn on<T>(
    folder: &Folder,
    planned: &Planned,
    token: TokenSelector,
    act: impl FnOnce(&VendorMember) -> Result<T, Fault>,
) -> Result<T> {
    let config = started(folder, planned, token);
    let member = VendorMember::new(config);
    let done = member.start().and_then(|()| act(&member));
    let stopped = member.stop();
    done.and_then(|done| stopped.map(|()| done)).map_err(|fault| {
        let reason = match member.problem() {
            Some(problem) => format!("{problem}; {}", problem.remedy()),
            None => format!("its module {} answers {fault}", planned.module.display()),
        };
        Error::failed(format!("member {}: {reason}", planned.name))
    })
}
