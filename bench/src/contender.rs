//! A module in the race, and the process in which it runs.

use crate::module::{Chosen, Initialise};
use crate::worker::{Answer, Ask, Done, Ready};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use zeroize::{Zeroize, Zeroizing};

/// How a token is reached. Its process reads it from its input, where nobody else sees it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Reach {
    /// The module.
    pub module: PathBuf,
    /// What its C_Initialize takes.
    pub initialise: Initialise,
    /// Which of its tokens.
    pub token: Chosen,
    /// The user's PIN.
    pub pin: Vec<u8>,
    /// The label of the key whose first signature is measured, if any.
    pub first: Option<String>,
}

impl Drop for Reach {
    fn drop(&mut self) {
        self.pin.zeroize();
    }
}

/// A module, and how it is reached.
#[derive(Clone)]
pub struct Contender {
    /// Its name for people.
    pub name: String,
    /// How it is reached.
    pub reach: Reach,
    /// What it needs in its environment.
    pub environment: Vec<(String, String)>,
}

/// A contender at work.
pub struct Running {
    /// The contender's name.
    pub name: String,
    /// How long it took to be ready.
    pub ready: Ready,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Contender {
    /// Starts its process: a program that calls [`crate::worker::serve`].
    pub fn start(&self, mut program: Command) -> Answer<Running> {
        let mut child = program
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.name))?;
        let mut input = child.stdin.take().ok_or("no pipe")?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let reach = serde_json::to_vec(&self.reach).map(Zeroizing::new);
        let mut reach = reach.map_err(|error| error.to_string())?;
        reach.push(b'\n');
        input.write_all(&reach).map_err(|error| format!("{}: {error}", self.name))?;
        let ready = match heard(&self.name, &mut output) {
            Ok(ready) => ready,
            Err(error) => {
                drop(input);
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Running { name: self.name.clone(), ready, child, input: Some(input), output })
    }
}

impl Running {
    /// Has it work for a while.
    pub fn ask(&mut self, ask: Ask) -> Answer<Done> {
        let line = serde_json::to_string(&ask).map_err(|error| error.to_string())?;
        let input = self.input.as_mut().ok_or("it has ended")?;
        writeln!(input, "{line}").map_err(|error| format!("{}: {error}", self.name))?;
        heard(&self.name, &mut self.output)
    }
}

/// It ends by itself when nobody asks any more.
impl Drop for Running {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// The next answer. A vendor's library may write lines of its own to the same output: they are passed over.
fn heard<T: DeserializeOwned>(name: &str, output: &mut impl BufRead) -> Answer<T> {
    let mut line = String::new();
    while output.read_line(&mut line).map_err(|error| format!("{name}: {error}"))? > 0 {
        if let Ok(answer) = serde_json::from_str::<Answer<T>>(&line) {
            return answer.map_err(|error| format!("{name}: {error}"));
        }
        line.clear();
    }
    Err(format!("{name}: its process has ended: see what it said above"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_vendor_writes_between_answers_is_passed_over() {
        let mut output = "HSM library 7.1 loaded\n\n{\"Ok\":5}\n{\"Err\":\"away\"}\n".as_bytes();
        assert_eq!(heard::<u64>("it", &mut output), Ok(5));
        assert_eq!(heard::<u64>("it", &mut output), Err("it: away".to_owned()));
        assert!(heard::<u64>("it", &mut output).unwrap_err().contains("has ended"));
    }
}
