//! `tandem keys`: lists objects with their replicas, and makes keys.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::keytype::{KeyType, Recipe};
use crate::progress::Bar;
use crate::report::{GeneratedReport, KeysReport, MadeLine, ObjectLine, hex};
use tandem_engine::report::Progress;
use tandem_engine::session::Session;

/// Bytes of a new key's CKA_ID: enough that chance never makes two alike.
const ID_BYTES: usize = 16;

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
    Generate(Generate),
}

#[derive(clap::Args)]
struct Generate {
    /// How many
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// ec:p256, ec:p384, ec:p521, ed25519, ed448, rsa:BITS, aes:128|192|256 or generic:BYTES
    #[arg(long = "type", value_name = "TYPE")]
    kind: KeyType,
    /// CKA_LABEL of the key; of more than one, each with its number
    #[arg(long, default_value = "")]
    label: String,
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    match &args.command {
        None => list(context, args.public),
        Some(Command::Generate(_)) if args.public => {
            Err(Error::usage("--public is for listing; a key can't be made without a login"))
        }
        Some(Command::Generate(wanted)) => generate(context, wanted),
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
        objects: objects.iter().map(ObjectLine::of).collect(),
    };
    runtime.stop();
    context.screen.report(&report)?;
    Ok(true)
}

fn generate(context: &mut Context<'_>, wanted: &Generate) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;

    let bar = Bar::new(context.screen.json());
    bar.stage(&format!("making {}", wanted.kind), wanted.count);
    let mut made = Vec::new();
    let mut error = None;
    for number in 1..=wanted.count {
        let label = match wanted.count {
            1 => wanted.label.clone(),
            _ if wanted.label.is_empty() => String::new(),
            _ => format!("{}-{number}", wanted.label),
        };
        // What was made before stays made, so it is reported however this ends.
        match make(&session, &wanted.kind, label) {
            Ok(key) => made.push(key),
            Err(failed) => {
                error = Some(failed.to_string());
                break;
            }
        }
        bar.step();
    }
    bar.clear();
    session.close();

    let report = GeneratedReport { token: live.token.label(), count: wanted.count, made, error };
    runtime.stop();
    context.screen.report(&report)?;
    Ok(report.error.is_none())
}

fn make(session: &Session, kind: &KeyType, label: String) -> Result<MadeLine> {
    let mut id = [0; ID_BYTES];
    getrandom::fill(&mut id).map_err(|error| {
        Error::failed(format!("the operating system gives no random bytes ({error})"))
    })?;
    let (handle, public_handle) = match kind.recipe(&id, &label) {
        Recipe::Secret(mechanism, template) => (session.generate(&mechanism, &template)?, None),
        Recipe::Pair(mechanism, public, private) => {
            let pair = session.generate_pair(&mechanism, &public, &private)?;
            (pair.private, Some(pair.public))
        }
    };
    Ok(MadeLine { key_type: kind.to_string(), id: hex(&id), label, handle, public_handle })
}
