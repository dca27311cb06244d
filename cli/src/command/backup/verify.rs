//! `tandem backup verify`: reads back what is in a file, or on a backup token. What fails counts no more.

use super::place::{self, From};
use super::{file, label};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::{BundleReport, TokenBundlesReport, UnusableLine};
use std::path::Path;
use tandem_engine::backup::{BackupId, Bundle, Source, Verified};
use tandem_engine::error;
use tandem_engine::token::Token;
use tandem_values::ck::CKR_DATA_INVALID;

/// A bundle file.
pub(super) fn file(context: &mut Context<'_>, path: &Path) -> Result<bool> {
    // Before a PIN is asked for.
    file::open(path)?;
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let bar = Bar::new(context.screen.json());
    let source = file::BundleFile(path.to_owned());
    let verified = read_back(live.token, &source, || named(path), &bar);
    bar.clear();
    let report = verified.map(|verified| {
        BundleReport::of(path.display().to_string(), &verified, |id| label(live.token, id))
    });
    session.close();
    runtime.stop();
    let report = report?;
    context.screen.report(&report)?;
    Ok(report.verified)
}

/// Every bundle on a backup token that should be there, or one of them.
pub(super) fn token(context: &mut Context<'_>, from: &From) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let vault = place::open(live, None, from.name.as_deref().unwrap_or_default())?;
    let ids = from.wanted().map_or_else(|| vault.expected(), |id| Ok(vec![id]))?;
    let bar = Bar::new(context.screen.json());
    let (mut bundles, mut unusable) = (Vec::new(), Vec::new());
    for id in ids {
        match read_back(live.token, &vault.bundle(id), || Some(id), &bar) {
            Ok(verified) => {
                bundles.push(BundleReport::on(vault.name(), &verified, |id| label(live.token, id)));
            }
            Err(error) if error.rv.0 == CKR_DATA_INVALID => unusable
                .push(UnusableLine { backup: id.to_string(), reason: error.message.into_owned() }),
            Err(error) => return Err(Error::from(error)),
        }
    }
    bar.clear();
    let report = TokenBundlesReport {
        token: live.token.label(),
        member: vault.name().to_owned(),
        verified: unusable.is_empty()
            && !bundles.is_empty()
            && bundles.iter().all(|bundle| bundle.verified),
        bundles,
        unusable,
    };
    drop(vault);
    session.close();
    runtime.stop();
    context.screen.report(&report)?;
    Ok(report.verified)
}

/// Reads a bundle back. The backup of one that fails counts no more, if it is known which.
fn read_back(
    token: &Token,
    source: &dyn Source,
    id: impl Fn() -> Option<BackupId>,
    bar: &Bar,
) -> Result<Verified, error::Error> {
    let verified = token.verify_bundle(source, bar);
    let why = match &verified {
        Ok(verified) if verified.failed.is_empty() => None,
        Ok(verified) => Some(format!("{} of its keys were not proven", verified.failed.len())),
        // What can't be asked now says nothing of the bundle.
        Err(error) => (error.rv.0 == CKR_DATA_INVALID).then(|| error.to_string()),
    };
    if let Some((id, why)) = id().zip(why) {
        withdraw(token, id, &why);
    }
    verified
}

/// The backup that a file says it is of.
fn named(path: &Path) -> Option<BackupId> {
    let mut from = file::open(path).ok()?;
    Bundle::open(&mut from).ok().map(|bundle| bundle.header().id)
}

/// A committed backup whose bundle failed counts no more.
fn withdraw(token: &Token, id: BackupId, why: &str) {
    let reason = format!("its bundle failed verification: {why}");
    let ended = token.backup_turn().and_then(|turn| token.withdraw_backup(&turn, id, &reason));
    if ended.is_ok() {
        log::error!("backup {id} counts no more: {reason}; make another, now");
    }
}
