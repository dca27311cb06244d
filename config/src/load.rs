//! Finding the file, reading it, and turning it into what it means.

use crate::document::Document;
use crate::keys::instead_of;
use crate::meant::{self, Config};
use crate::typed::File;
use crate::{Error, permission};
use nix::unistd::{Uid, User, geteuid, getuid};
use std::path::{Path, PathBuf};

/// The environment variable that names the file.
pub const VARIABLE: &str = "TANDEM_CONFIG";
/// The user's own file, in the home folder.
pub const HOME_FILE: &str = ".config/tandem/tandem.toml";
/// The host's file.
pub const SYSTEM_FILE: &str = "/etc/tandem/tandem.toml";

/// The file to use: `TANDEM_CONFIG` if it is set, else the user's own, else the host's.
///
/// A program that runs with another's rights (set-user-ID) doesn't let its caller choose: only the host's file counts.
pub fn locate() -> Result<PathBuf, Error> {
    let borrowed_rights = getuid() != geteuid();
    if !borrowed_rights {
        if let Some(file) = variable(VARIABLE) {
            return Ok(file);
        }
        if let Some(file) = home(geteuid()).map(|home| home.join(HOME_FILE))
            && is_there(&file)
        {
            return Ok(file);
        }
    }
    let system = PathBuf::from(SYSTEM_FILE);
    if is_there(&system) {
        return Ok(system);
    }
    Err(Error::of_file(
        &system,
        format!(
            "there is no configuration: {VARIABLE} is not set, and neither ~/{HOME_FILE} nor this file exists"
        ),
        format!(
            "write one (docs/guide/configuration.md), or run `tandem demo --dir DIR` and set {VARIABLE}=DIR/tandem.toml"
        ),
    ))
}

/// A file that can't be looked at is there: passing it over would be another configuration than the operator's.
fn is_there(file: &Path) -> bool {
    file.try_exists().unwrap_or(true)
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The user's home folder: daemons often have no HOME.
fn home(user: Uid) -> Option<PathBuf> {
    variable("HOME").or_else(|| Some(User::from_uid(user).ok()??.dir))
}

/// Reads a file and checks it, its permissions included.
pub fn load(file: &Path) -> Result<Config, Error> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let text = std::fs::read_to_string(&file).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!(
                    "write it (docs/guide/configuration.md), or set {VARIABLE} to the right file"
                )
            }
            std::io::ErrorKind::PermissionDenied => {
                "let the user that runs this program read it".to_owned()
            }
            _ => "it must be a text file in UTF-8".to_owned(),
        };
        Error::of_file(&file, format!("the configuration can't be read ({error})"), remedy)
    })?;
    let config = parse(&file, &text)?;
    let groups: Vec<u32> =
        config.tokens.iter().filter_map(|token| Some(token.group.as_ref()?.gid)).collect();
    permission::changed_only_by(&file, &groups)
        .map_err(|refusal| Error::of_file(&file, refusal.problem, refusal.remedy))?;
    Ok(config)
}

/// Checks the text of a file. Touches nothing but the host's list of groups.
pub fn parse(file: &Path, text: &str) -> Result<Config, Error> {
    let document = Document::new(text);
    let typed: File =
        toml::from_str(text).map_err(|error| not_of_our_form(file, &document, &error))?;
    meant::meaning(file, &document, typed)
}

/// The key whose values are nobody's to read but a vendor's module.
const ENVIRONMENT: &str = "environment";

/// The text of a file, for one that Tandem writes itself.
pub fn text(file: &File) -> Result<String, String> {
    toml::to_string(file).map_err(|error| error.to_string())
}

/// What the TOML reader or a type says, in our own words where they are clearer.
fn not_of_our_form(file: &Path, document: &Document<'_>, error: &toml::de::Error) -> Error {
    let place = error.span();
    let path = place.as_ref().map(|place| document.path_at(place)).unwrap_or_default();
    let message = error.message();
    let (problem, remedy) = match quoted(message, "unknown field `") {
        // The reader's own message repeats the value, which may be a secret of a vendor's module.
        _ if path.is_in(ENVIRONMENT) => (
            "its type is wrong".to_owned(),
            "an environment is a table of texts: write, for example, environment = { SOFTHSM2_CONF = \"/etc/softhsm2.conf\" }".to_owned(),
        ),
        Some(key) => ("this key is unknown".to_owned(), instead_of(&path.table().dotted(), key)),
        None => (
            message.lines().collect::<Vec<_>>().join(", "),
            "see docs/guide/configuration.md".to_owned(),
        ),
    };
    Error {
        file: file.to_owned(),
        line: place.map(|place| document.line(place.start)),
        key: path.dotted(),
        problem,
        remedy,
    }
}

fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.strip_prefix(before)?.split('`').next()
}
