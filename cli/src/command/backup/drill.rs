//! `tandem backup drill`: what if everything were lost? Restores the last backup onto a scratch token and proves every key
//! there under the public keys that everybody knows.
//!
//! The scratch token holds real keys while the drill lasts. A software token made here lies in memory where the host has
//! such a folder, has PINs that nobody knows, and goes with the drill.

use super::place::{self, Bundles};
use crate::context::Context;
use crate::demo::{self, Folder, Kind, Pins};
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::{DrillReport, LeftOutLine, RestoredReport};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tandem_config::Config;
use tandem_engine::backup::{Backup, Known, Medium, Source};
use tandem_engine::joining::Bringing;
use tandem_engine::object::ObjectId;
use tandem_engine::report::Replica;
use tandem_engine::token::Token;
use tandem_runtime::{Live, Runtime, shares};
use tandem_values::Secret;
use tempfile::TempDir;

/// A folder in memory, where the host has one.
const MEMORY: &str = "/dev/shm";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A complete bundle and those that build on it, oldest first; or the name of a backup token that is connected [default: the
    /// last that counts, where they were made]
    #[arg(long, value_name = "FILE|NAME")]
    from: Vec<PathBuf>,
    /// The folder with the files of the recovery's shares, or one of the files; may be given more than once
    #[arg(long, value_name = "DIR", required = true)]
    shares: Vec<PathBuf>,
    /// The module of the scratch token that is made in a temporary folder
    #[arg(long, value_enum, default_value = "softhsm")]
    module: Kind,
    /// Restore onto the empty tokens that this configuration names instead: spare HSMs, with a state folder of their own
    #[arg(long, value_name = "FILE", conflicts_with = "module")]
    into: Option<PathBuf>,
}

/// Where the drill takes place.
struct Scratch {
    config: Config,
    pin: Secret,
    /// The folder goes with it.
    _folder: Option<TempDir>,
}

/// What the drill is held against.
struct Published {
    keys: BTreeMap<ObjectId, Known>,
    bundles: Bundles,
}

pub(super) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let published = published(live, &args.from);
    session.close();
    let published = published?;
    // What is asked of people is asked before the clock starts.
    let scratch = scratch(context, args)?;
    let began = Instant::now();
    let bar = Bar::new(context.screen.json());
    let report = rehearse(live.token, &published, scratch, &args.shares, &bar, began);
    bar.clear();
    runtime.stop();
    let report = report?;
    context.screen.report(&report)?;
    Ok(report.recovered)
}

/// The keys that everybody knows, and the bundles that should bring them back.
fn published(live: Live<'_>, from: &[PathBuf]) -> Result<Published> {
    let keys = live.token.known_keys()?;
    let bundles = match from {
        [] => last(live)?,
        [only] if place::is_token(live, only) => {
            Bundles::on(live, None, &only.to_string_lossy(), None)?
        }
        files => Bundles::files(files),
    };
    Ok(Published { keys, bundles })
}

/// The last bundles that count, where they were made.
fn last(live: Live<'_>) -> Result<Bundles> {
    let Some((medium, chain)) = live.token.last_bundles()? else {
        return Err(Error::failed(format!(
            "no bundle of token {} counts, so there is nothing to restore: `tandem backup run --commit --out FILE`",
            live.token.label()
        )));
    };
    if let Medium::Token { name, .. } = &medium {
        return Bundles::on(live, None, name, chain.last().map(|backup| backup.id));
    }
    let place = |backup: &Backup| match live.token.bundle_place(backup.id)? {
        Some(place) if Path::new(&place).is_file() => Ok(PathBuf::from(place)),
        Some(place) => Err(Error::failed(format!(
            "the bundle of backup {} is not at {place} any more: say where it is with --from",
            backup.id
        ))),
        None => Err(Error::failed(format!(
            "where the bundle of backup {} is, this host was never told: say it with --from",
            backup.id
        ))),
    };
    Ok(Bundles::files(&chain.iter().map(place).collect::<Result<Vec<_>>>()?))
}

fn scratch(context: &mut Context<'_>, args: &Args) -> Result<Scratch> {
    if let Some(file) = &args.into {
        let config = tandem_config::load(file)?;
        let [token] = config.tokens.as_slice() else {
            return Err(Error::usage("--into: the configuration must have one token"));
        };
        let pin = context.pin(token)?;
        return Ok(Scratch { config, pin, _folder: None });
    }
    let within = Some(Path::new(MEMORY)).filter(|folder| folder.is_dir());
    let dir = match within {
        Some(folder) => TempDir::with_prefix_in("tandem-drill-", folder),
        None => TempDir::with_prefix("tandem-drill-"),
    };
    let dir = dir.map_err(|error| {
        Error::failed(format!("no temporary folder can be made for the drill: {error}"))
    })?;
    let (folder, pins) = (Folder::at(dir.path())?, Pins::of_nobody()?);
    demo::make(&folder, (&[args.module], None), &[], &pins)?;
    let config = tandem_config::load(&folder.config())?;
    Ok(Scratch { config, pin: pins.user, _folder: Some(dir) })
}

fn rehearse(
    token: &Token,
    published: &Published,
    scratch: Scratch,
    shares: &[PathBuf],
    bar: &Bar,
    began: Instant,
) -> Result<DrillReport> {
    let (header, artefact) = published.bundles.last()?;
    let words = shares::gather(shares, header.ring.recovery.as_ref()).map_err(Error::Failed)?;
    let Scratch { config, pin, _folder } = scratch;
    let runtime = Runtime::open(config)?;
    let there = runtime.live().next().ok_or_else(|| Error::usage("no token to restore onto"))?;
    let bringing = Bringing { shares: &words, keep_foreign: false, progress: bar };
    let sources = published.bundles.sources();
    let sources: Vec<&dyn Source> = sources.iter().map(|source| &**source).collect();
    let restored = there.token.restore(&pin, (&sources, None), artefact, &bringing)?;
    let restored_in = began.elapsed().as_secs_f64();
    let session = there.token.login(&pin)?;
    let found = there.token.known_keys()?;
    let proven = proven(there.token, bar)?;
    session.close();
    let judged = judge(&published.keys, &found, &proven, header.to);
    let report = DrillReport {
        token: token.label(),
        backup: restored.backup.to_string(),
        files: published.bundles.names(),
        recovered: judged.failed.is_empty(),
        proven: judged.proven,
        failed: LeftOutLine::all(&judged.failed, |id| name(&published.keys, id)),
        newer: LeftOutLine::all(&judged.newer, |id| name(&published.keys, id)),
        restored: RestoredReport::of(
            there.token.label(),
            there.token.status()?.objects,
            restored_in,
            &restored,
            |id| name(&published.keys, id),
        ),
        seconds: began.elapsed().as_secs_f64(),
    };
    runtime.stop();
    Ok(report)
}

/// The objects that the scratch token has just proven, each anew.
fn proven(token: &std::sync::Arc<Token>, bar: &Bar) -> Result<BTreeMap<ObjectId, bool>> {
    let objects = token.verify(bar)?;
    Ok(objects
        .iter()
        .map(|object| {
            let (proven, others): (Vec<_>, Vec<_>) =
                object.replicas.iter().partition(|(_, replica)| *replica == Replica::Proven);
            // One that some members are not to hold has come back if the others hold it.
            let here = !proven.is_empty()
                && others.iter().all(|(_, replica)| matches!(replica, Replica::Beyond(_)));
            (object.id, here)
        })
        .collect())
}

/// How the published keys came out.
#[derive(Default)]
struct Judged {
    proven: u64,
    failed: Vec<(ObjectId, String)>,
    newer: Vec<(ObjectId, String)>,
}

fn judge(
    published: &BTreeMap<ObjectId, Known>,
    found: &BTreeMap<ObjectId, Known>,
    proven: &BTreeMap<ObjectId, bool>,
    to: u64,
) -> Judged {
    let mut judged = Judged::default();
    for (id, known) in published {
        match found.get(id) {
            None if known.born > to => {
                judged.newer.push((*id, "it is newer than the backup".into()));
            }
            None => judged.failed.push((*id, "it did not come back".into())),
            Some(there) if !known.is_same(there) => {
                judged.failed.push((*id, "another key came back under its name".into()));
            }
            Some(_) if proven.get(id) != Some(&true) => {
                judged.failed.push((*id, "it came back and was not proven".into()));
            }
            Some(_) => judged.proven = judged.proven.saturating_add(1),
        }
    }
    judged
}

fn name(published: &BTreeMap<ObjectId, Known>, id: ObjectId) -> String {
    published.get(&id).map(|known| known.label.clone()).unwrap_or_default()
}
