//! Who is measured: Tandem as an application loads it, and each member by its vendor's own module.

use super::failed;
use crate::context::{self, Context};
use crate::error::Result;
use crate::report::MissingLine;
use std::path::{Path, PathBuf};
use std::process::Command;
use tandem_bench::contender::{Contender, Reach, Running};
use tandem_bench::module::{Chosen, Initialise};
use tandem_config::meant::{self, Init, Selector};
use tandem_engine::report::{Condition, MemberStatus};
use tandem_runtime::pin::Pins;
use tandem_values::Secret;

/// The file that applications load.
const MODULE: &str = "libtandem.so";

/// Everybody who is to be measured, Tandem first.
pub(super) struct Field {
    /// The virtual token's label.
    pub(super) token: String,
    pub(super) contenders: Vec<Entry>,
    pub(super) left_out: Vec<MissingLine>,
}

/// A contender, and whether it can be asked by several threads.
pub(super) struct Entry {
    /// The member's name; `None` is Tandem.
    pub(super) member: Option<String>,
    pub(super) one_call_at_a_time: bool,
    contender: Contender,
}

/// Logs in through Tandem first: a PIN that is wrong is tried once, and not on every member by itself.
pub(super) fn of(context: &mut Context<'_>, module: Option<PathBuf>) -> Result<Field> {
    let module = found(module)?;
    let config_file =
        std::path::absolute(context.config_file()?).map_err(|error| failed(error.to_string()))?;
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let pin = context.pin(live.config)?;
    let session = live.token.login(&pin)?;
    let status = context::status(live);
    session.close();
    let status = status?;
    let environment = vec![(tandem_config::VARIABLE.to_owned(), config_file.display().to_string())];
    let token = Chosen::Serial(live.token.serial()?);
    let reach = reach(module, Initialise::Standard, token, &pin);
    let contender = Contender { name: "Tandem".into(), reach, environment };
    let mut contenders = vec![Entry { member: None, one_call_at_a_time: false, contender }];
    let mut left_out = Vec::new();
    for member in live.config.keepers() {
        let state = status.members.iter().find(|state| state.name == member.name);
        match entry(live.config, member, state, &pin) {
            Ok(entry) => contenders.push(entry),
            Err(reason) => left_out.push(MissingLine { member: Some(member.name.clone()), reason }),
        }
    }
    let label = live.token.label();
    // From here on nobody but the processes that are measured is connected to the members.
    runtime.stop();
    Ok(Field { token: label, contenders, left_out })
}

fn entry(
    token: &meant::Token,
    member: &meant::Member,
    state: Option<&MemberStatus>,
    pin: &Secret,
) -> Result<Entry, String> {
    // A member that refused the PIN must not be asked again: it may lock itself.
    if let Some(state) = state
        && !matches!(state.condition, Condition::Up | Condition::Recovering | Condition::Suspect)
    {
        return Err(format!("it does not work now ({}): see `tandem status`", state.reason));
    }
    tandem_vendor::check(&tandem_runtime::member_config(token, member, false))
        .map_err(|problem| format!("{problem}; {}", problem.remedy()))?;
    let own = match &member.pin_source {
        Some(source) => {
            let group = token.group.as_ref().map(|group| group.gid);
            Some(Pins::new(source.clone(), group).pin()?)
        }
        None => None,
    };
    let initialise = match &member.init {
        Init::Standard => Initialise::Standard,
        Init::Reserved(text) => Initialise::Reserved(text.clone()),
        Init::Nss(parameters) => Initialise::Nss(parameters.clone()),
    };
    let chosen = match &member.token {
        Selector::Label(label) => Chosen::Label(label.clone()),
        Selector::Serial(serial) => Chosen::Serial(serial.clone()),
        Selector::Slot(slot) => Chosen::Slot(*slot),
    };
    let reach = reach(member.module.clone(), initialise, chosen, own.as_ref().unwrap_or(pin));
    let name = format!("member {}", member.name);
    let environment = member.environment.clone().into_iter().collect();
    Ok(Entry {
        member: Some(member.name.clone()),
        one_call_at_a_time: member.serialize,
        contender: Contender { name, reach, environment },
    })
}

fn reach(module: PathBuf, initialise: Initialise, token: Chosen, pin: &Secret) -> Reach {
    Reach { module, initialise, token, pin: pin.expose().to_vec(), first: None }
}

/// libtandem.so: where the operator says, else in the usual places.
fn found(told: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(told) = told {
        return std::path::absolute(&told)
            .ok()
            .filter(|told| told.is_file())
            .ok_or_else(|| failed(format!("--module {}: there is no such file", told.display())));
    }
    let program = std::env::current_exe().and_then(|program| program.canonicalize());
    let folder = program.ok().and_then(|program| program.parent().map(Path::to_owned));
    let beside = folder.into_iter().flat_map(|folder| [folder.clone(), folder.join("../lib")]);
    let places: Vec<_> = beside
        .chain(["/usr/local/lib", "/usr/lib"].map(PathBuf::from))
        .map(|folder| folder.join(MODULE))
        .collect();
    places.iter().find(|place| place.is_file()).cloned().ok_or_else(|| {
        let looked: Vec<_> =
            places.iter().map(|place| place.with_file_name("").display().to_string()).collect();
        failed(format!("{MODULE} is in none of {}; name it with --module FILE", looked.join(", ")))
    })
}

/// A contender at work.
pub(super) struct Runner {
    pub(super) member: Option<String>,
    pub(super) one_call_at_a_time: bool,
    pub(super) running: Running,
}

/// Contenders at work.
pub(super) struct Racing(pub(super) Vec<Runner>);

impl Racing {
    /// Starts each in a process of its own. Who can't be started is left out; if it is Tandem there is nothing to measure.
    pub(super) fn start(entries: &[Entry], left_out: &mut Vec<MissingLine>) -> Result<Self> {
        let mut runners = Vec::new();
        let own = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        for entry in entries {
            let mut program = Command::new(&own);
            program.args(["bench", "serve"]);
            match (entry.contender.start(program), &entry.member) {
                (Ok(running), member) => runners.push(Runner {
                    member: member.clone(),
                    one_call_at_a_time: entry.one_call_at_a_time,
                    running,
                }),
                (Err(reason), None) => return Err(failed(reason)),
                (Err(reason), member) => {
                    left_out.push(MissingLine { member: member.clone(), reason });
                }
            }
        }
        Ok(Self(runners))
    }
}
