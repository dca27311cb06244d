//! `tandem`, the operator's tool.
//!
//! A command decides what there is to say and answers a report ([`report`]); [`show`] makes tables of it for
//! people, or serde makes JSON of it for scripts. Exit codes: 0 done, 1 not done, 2 wrong usage.

#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "the tool is the outside world: it reads the environment"
)]

mod args;
mod command;
mod context;
mod demo;
mod error;
mod page;
mod pin;
mod progress;
mod report;
mod screen;
mod show;

use clap::Parser;
use error::Error;
use screen::Screen;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version come this way too, and are no errors.
            let code = u8::try_from(error.exit_code()).unwrap_or(error::USAGE);
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let mut screen = Screen::new(args.common.json);
    let outcome = command::run(args, &mut screen).and_then(|done| {
        screen.flush()?;
        Ok(done)
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(error::NOT_DONE),
        // Whoever reads us has read enough: `tandem keys | head`.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            screen.complain(&error);
            ExitCode::from(error.code())
        }
    }
}
