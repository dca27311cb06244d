//! The configuration of a demo, with what `--set` changes.

use super::{Folder, LABEL, Planned, member};
use crate::error::{Error, Result};
use std::str::FromStr;
use tandem_config::typed;
use toml::{Table, Value};

/// `--set KEY=VALUE`
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    key: String,
    value: Value,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or("write KEY=VALUE, for example member.deadline_ms=0")?;
        // What is no TOML value, such as round-robin, is text.
        let parsed = toml::from_str::<Table>(&format!("value = {value}"))
            .ok()
            .and_then(|mut table| table.remove("value"));
        Ok(Self {
            key: key.to_owned(),
            value: parsed.unwrap_or_else(|| Value::String(value.to_owned())),
        })
    }
}

/// The text of tandem.toml, which has been read back and checked.
pub(super) fn text(folder: &Folder, members: &[Planned], settings: &[Setting]) -> Result<String> {
    let file = typed::File { log: None, token: vec![token(folder, members)] };
    let unwritable = |error: &dyn std::fmt::Display| {
        Error::failed(format!("the configuration can't be written ({error})"))
    };
    let mut table = Table::try_from(&file).map_err(|error| unwritable(&error))?;
    for setting in settings {
        apply(&mut table, setting);
    }
    let text = toml::to_string(&table).map_err(|error| unwritable(&error))?;
    tandem_config::parse(&folder.config(), &text).map_err(|error| {
        Error::usage(format!("--set: {}: {}; {}", error.key, error.problem, error.remedy))
    })?;
    Ok(format!(
        "# Written by `tandem demo`. docs/guide/configuration.md explains each key.\n\n{text}"
    ))
}

fn token(folder: &Folder, members: &[Planned]) -> typed::Token {
    typed::Token {
        label: Some(LABEL.to_owned()),
        state: Some(folder.state().display().to_string()),
        allow_init: Some(true),
        recovery: Some(typed::Recovery {
            shares_dir: Some(folder.shares().display().to_string()),
            ..typed::Recovery::default()
        }),
        member: members.iter().map(|planned| member::typed(folder, planned)).collect(),
        ..typed::Token::default()
    }
}

/// Sets a key: in `[log]`, in every member, or else in the token.
fn apply(file: &mut Table, setting: &Setting) {
    let path: Vec<&str> = setting.key.split('.').collect();
    match path.as_slice() {
        ["log", ..] => set(file, &path, &setting.value),
        ["member", rest @ ..] => {
            for member in items(file, "token").flat_map(|token| items(token, "member")) {
                set(member, rest, &setting.value);
            }
        }
        ["token", rest @ ..] | rest => {
            for token in items(file, "token") {
                set(token, rest, &setting.value);
            }
        }
    }
}

/// The tables of a list.
fn items<'t>(table: &'t mut Table, list: &str) -> impl Iterator<Item = &'t mut Table> {
    let list = table.get_mut(list).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_table_mut)
}

/// Sets a key by its path; tables on the way are made.
fn set(table: &mut Table, path: &[&str], value: &Value) {
    match path {
        [] => {}
        [key] => {
            table.insert((*key).to_owned(), value.clone());
        }
        [key, rest @ ..] => {
            let inner =
                table.entry((*key).to_owned()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::Kind;

    fn written(settings: &[&str]) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::at(folder.path()).unwrap();
        let members = [("a", Kind::SoftHsm), ("b", Kind::Kryoptic)].map(|(name, kind)| Planned {
            name: name.to_owned(),
            kind,
            module: format!("/usr/lib/{name}.so").into(),
            role: typed::Role::Active,
        });
        let settings: Vec<Setting> = settings.iter().map(|text| text.parse().unwrap()).collect();
        text(&folder, &members, &settings)
    }

    #[test]
    fn settings_go_where_they_belong() {
        let text = written(&[
            "balance=round-robin",
            "policy.min_replicas=2",
            "member.deadline_ms=0",
            "token.lease_wait_ms=7",
            "log.level=debug",
        ])
        .unwrap();
        assert!(text.contains("balance = \"round-robin\""), "{text}");
        assert!(text.contains("min_replicas = 2"), "{text}");
        assert_eq!(text.matches("deadline_ms = 0").count(), 2, "{text}");
        assert!(text.contains("lease_wait_ms = 7"), "{text}");
        assert!(text.contains("level = \"debug\""), "{text}");
        assert!(text.contains("allow_init = true"), "{text}");
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let error = written(&["member.deadline=0"]).unwrap_err();
        assert_eq!(error.code(), crate::error::USAGE);
        assert_eq!(
            error.to_string(),
            "--set: token.member.deadline: this key is unknown; did you mean deadline_ms?"
        );
        assert!("hold".parse::<Setting>().is_err());
    }
}
