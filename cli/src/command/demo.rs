//! `tandem demo`: a working set of real tokens in a folder.

use crate::command::handing::Handing;
use crate::command::pair;
use crate::context::Context;
use crate::demo::{self, Folder, Kind, Setting};
use crate::error::{Error, Result};
use crate::report::{DemoMember, DemoReport};
use std::path::PathBuf;
use tandem_runtime::{Runtime, harden, logging};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder; what is there stays as it is
    #[arg(long)]
    dir: PathBuf,
    /// The members, named a, b, … in this order; a module named twice makes two members of it
    #[arg(long, value_enum, value_delimiter = ',', default_value = "softhsm,kryoptic")]
    members: Vec<Kind>,
    /// A backup token of this module beside them: `backup`, not paired; `tandem backup run --to backup` fills it
    #[arg(long, value_enum, value_name = "MODULE")]
    backup_token: Option<Kind>,
    /// A key of tandem.toml: hold=on-demand, policy.min_replicas=2, member.deadline_ms=0, log.level=debug
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
    /// Make tokens and configuration only: to bring a token back there, or to pair it yourself
    #[arg(long)]
    unpaired: bool,
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    harden::no_core_dumps();
    let folder = Folder::at(&args.dir)?;
    let pins = demo::Pins::of_demo();
    let made = demo::make(&folder, (&args.members, args.backup_token), &args.settings, &pins)?;
    let config = tandem_config::load(&folder.config())?;
    logging::set_up(logging::Program::Tool, &config.log);

    let runtime = Runtime::open(config)?;
    // Somebody may have added tokens of their own: the demo's is the first.
    let live = runtime
        .live()
        .next()
        .ok_or_else(|| Error::failed(format!("{} has no token", folder.config().display())))?;
    let pairing = if args.unpaired {
        None
    } else {
        let handing = Handing::of(context.screen, live, Some(&folder.shares()));
        handing.prepare(context.screen)?;
        Some(pair::pair(context, live, &pins.user, &handing)?)
    };
    let report = DemoReport {
        dir: folder.dir().to_owned(),
        config: folder.config(),
        changed: made || pairing.as_ref().is_some_and(|pairing| pairing.changed),
        token: live.token.label(),
        members: live
            .config
            .members
            .iter()
            .map(|member| DemoMember {
                name: member.name.clone(),
                module: member.module.clone(),
                storage: folder.member(&member.name),
                env: folder.env(&member.name),
            })
            .collect(),
        pairing,
    };
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}
