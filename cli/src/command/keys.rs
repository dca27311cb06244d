//! `tandem keys`: lists objects with their replicas, makes keys, and says where they live.

mod generate;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::progress::Bar;
use crate::report::{HeldReport, KeysReport, ObjectLine, hex};
use tandem_engine::object::{Hold, Object};
use tandem_engine::settings::HoldRule;
use tandem_values::ck::CKA_ID;
use tandem_values::keytype::KeyType;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// List what is seen without a login only: public keys and certificates
    #[arg(long)]
    public: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make keys, which every member then holds
    Generate(generate::Args),
    /// Say where keys live: on every member, or in the log, from which they are loaded when they are used
    Hold(Holding),
}

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true)))]
struct Holding {
    /// Where the keys live from now on
    #[arg(long)]
    to: Place,
    /// Keys of this type: ec:p256, rsa:2048, …
    #[arg(long = "type", value_name = "TYPE", group = "which")]
    kind: Option<KeyType>,
    /// Keys with this CKA_LABEL, in which * stands for anything
    #[arg(long, group = "which")]
    label: Option<String>,
    /// Keys with this CKA_ID, in hexadecimal
    #[arg(long, value_name = "HEX", group = "which")]
    id: Option<String>,
    /// All keys
    #[arg(long, group = "which", conflicts_with_all = ["kind", "label", "id"])]
    all: bool,
}

/// Where keys live.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Place {
    /// Every member has them as token objects
    Resident,
    /// Wrapped in the log; a member has them while they are used
    OnDemand,
}

impl From<Place> for Hold {
    fn from(place: Place) -> Self {
        match place {
            Place::Resident => Self::Resident,
            Place::OnDemand => Self::OnDemand,
        }
    }
}

impl Holding {
    /// True of a key that all of what was said is true of.
    fn is_for(&self, object: &Object) -> bool {
        let template = &object.template;
        let id = hex(template.bytes(CKA_ID).unwrap_or_default());
        let (kind, label) = (self.kind.clone(), self.label.clone());
        HoldRule { kind, label, hold: self.to.into() }.is_for(template)
            && self.id.as_ref().is_none_or(|wanted| id.eq_ignore_ascii_case(wanted))
    }
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match &args.command {
        None => list(context, args.public),
        Some(Command::Generate(_)) if args.public => {
            Err(Error::usage("--public is for listing; a key can't be made without a login"))
        }
        Some(Command::Generate(wanted)) => generate::run(context, wanted),
        Some(Command::Hold(_)) if args.public => {
            Err(Error::usage("--public is for listing; keys can't be moved without a login"))
        }
        Some(Command::Hold(wanted)) => hold(context, wanted),
    }
}

fn list(context: &mut Context<'_>, public: bool) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = if public { None } else { Some(context.login(live)?) };
    let objects = live.token.objects()?;
    if let Some(session) = session {
        session.close();
    }
    let report = KeysReport {
        token: live.token.label(),
        in_stock: objects.iter().filter(|object| object.stock.is_some()).count(),
        objects: objects
            .iter()
            .filter(|object| object.stock.is_none())
            .map(ObjectLine::of)
            .collect(),
    };
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}

fn hold(context: &mut Context<'_>, wanted: &Holding) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let bar = Bar::new(context.screen.json());
    let moved = live.token.hold(wanted.to.into(), &|object| wanted.is_for(object), &bar);
    bar.clear();
    session.close();
    let report = moved.map(|moved| HeldReport::of(live.token.label(), &moved));
    runtime.stop();
    let report = report?;
    context.screen.report(&report)?;
    Ok(report.is_done())
}
