//! `tandem reconcile`: holds what members really have against the log, and puts it in order.

use crate::context::Context;
use crate::error::Result;
use crate::progress::Bar;
use crate::report::{ReconcileReport, StepLine};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Show what is to be done, and do nothing
    #[arg(long)]
    plan: bool,
}

pub(crate) fn run(context: &mut Context<'_>, args: &Args) -> Result<bool> {
    let runtime = context.look()?;
    let live = context.token(&runtime)?;
    let session = context.login(live)?;
    let bar = Bar::new(context.screen.json());
    let found = live.token.plan(&bar);
    bar.clear();
    let found = found?;
    let mut report = ReconcileReport::of(live.token.label(), &found);
    if !args.plan && !found.is_in_order() {
        // The plan is read before it is followed; in JSON both are one report.
        if !context.screen.json() {
            context.screen.report(&report)?;
            context.screen.flush()?;
        }
        let outcomes = live.token.reconcile(&found.steps, &bar);
        bar.clear();
        report.executed = true;
        report.steps.iter_mut().zip(&outcomes?).for_each(StepLine::came_to);
    }
    session.close();
    runtime.stop();
    context.screen.report(&report)?;
    Ok(args.plan || report.steps.iter().all(|step| step.outcome == "done"))
}
