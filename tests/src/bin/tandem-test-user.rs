//! An application in a process of its own, perhaps of another user, that does what it is told on standard input, a line
//! each, and answers a line each. `tests/processes.rs` tells it.

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use std::collections::HashMap;
use std::io::{BufRead, Write};
use tandem_tests::keys::{DIGEST, Kind, Made};
use tandem_tests::openssl::hex;
use tandem_tests::{application, value};

fn main() {
    let (_application, session) = application();
    let mut user = User { session, handles: HashMap::new() };
    answer("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let (what, label) = line.split_once(' ').unwrap_or((&line, ""));
        match user.act(what, label) {
            Ok(done) => answer(&done),
            Err(Error::Pkcs11(rv, _)) => answer(&format!("{rv:?}")),
            Err(error) => answer(&format!("{error}")),
        }
    }
}

fn answer(text: &str) {
    println!("{text}");
    std::io::stdout().flush().expect("standard output");
}

struct User {
    session: Session,
    /// Handles are kept, as signers keep them.
    handles: HashMap<String, ObjectHandle>,
}

impl User {
    fn act(&mut self, what: &str, label: &str) -> Result<String, Error> {
        match what {
            "make" => {
                let made = Kind::P256.make(&self.session, label)?;
                self.handles.insert(label.to_owned(), made.key);
                Ok("made".to_owned())
            }
            "sign" => {
                let made = Made { key: self.handle(label)?, public: None };
                Kind::P256.work(&self.session, made).map(|signature| hex(&signature))
            }
            "public" => {
                let made = Kind::P256.find(&self.session, label).expect("a key");
                let public = made.public.expect("a public key");
                Ok(hex(&value(&self.session, public, AttributeType::EcPoint)))
            }
            "list" => self.list(),
            "destroy" => {
                for object in self.session.find_objects(&[Attribute::Label(label.into())])? {
                    self.session.destroy_object(object)?;
                }
                self.handles.remove(label);
                Ok("destroyed".to_owned())
            }
            "note" => self.note(label),
            other => panic!("{other:?} is nothing to do with {}", hex(&DIGEST)),
        }
    }

    /// Gives a data object another value: `label=value`.
    fn note(&self, told: &str) -> Result<String, Error> {
        let (label, value) = told.split_once('=').expect("a label and a value");
        let wanted = [Attribute::Class(ObjectClass::DATA), Attribute::Label(label.into())];
        for object in self.session.find_objects(&wanted)? {
            self.session.update_attributes(object, &[Attribute::Value(value.into())])?;
        }
        Ok("noted".to_owned())
    }

    /// The handle that was made or found first.
    fn handle(&mut self, label: &str) -> Result<ObjectHandle, Error> {
        if let Some(known) = self.handles.get(label) {
            return Ok(*known);
        }
        let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.into())];
        let found =
            self.session.find_objects(&wanted)?.first().copied().ok_or(Error::InvalidValue)?;
        self.handles.insert(label.to_owned(), found);
        Ok(found)
    }

    fn list(&self) -> Result<String, Error> {
        let found = self.session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])?;
        let label = |key| String::from_utf8(value(&self.session, key, AttributeType::Label));
        let mut labels: Vec<_> = found.into_iter().map(|key| label(key).expect("a text")).collect();
        labels.sort();
        Ok(labels.join(" "))
    }
}
