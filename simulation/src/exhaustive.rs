//! Every placement of up to so many troubles in every short script.

use crate::choices::Choices;
use crate::plan::{Moment, Plan};
use crate::planted::Bug;
use crate::run::Run;
use crate::script::{Action, KeyKind, Line};
use crate::setup::{Options, Snapshot};
use crate::trouble::Trouble;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tandem_engine::object::Hold;

/// A short script: what went before without trouble, what is tried, and what another process does in the middle.
pub struct Script {
    /// Its name.
    pub name: &'static str,
    /// What went before.
    pub before: &'static [Action],
    /// What is tried.
    pub tried: &'static [Action],
    /// What another process does in the middle of it, where something may come between.
    pub aside: &'static [Action],
    /// How many HSMs the configuration names beside the two members.
    pub spares: usize,
    /// Which of the members has no elliptic curves. The token then offers what any of them can do.
    pub lacking: Option<usize>,
    /// Where its keys live.
    pub hold: Hold,
    /// Which member makes them for the others.
    pub generator: Option<usize>,
    /// How many of each type that may be in stock are to be.
    pub stock: u64,
    /// The host can judge signatures.
    pub judging: bool,
}

impl Script {
    /// True where an operator's command is tried, which asks so much of members that all placements of two troubles would take
    /// weeks.
    pub fn is_long(&self) -> bool {
        self.tried.iter().any(|action| action.is_command())
    }

    /// The token that it begins with.
    pub fn scene(&self, pair: &Snapshot) -> Snapshot {
        pair.with_spares(self.spares).lacking(self.lacking)
    }

    const fn with_spares(self, spares: usize) -> Self {
        Self { spares, ..self }
    }

    const fn on_demand(self) -> Self {
        Self { hold: Hold::OnDemand, ..self }
    }

    const fn judging(self) -> Self {
        Self { judging: true, ..self }
    }

    const fn with_lacking(self, number: usize) -> Self {
        Self { lacking: Some(number), ..self }
    }

    const fn with_stock(self, stock: u64) -> Self {
        Self { stock, ..self }
    }

    const fn with_generator(self, number: usize) -> Self {
        Self { generator: Some(number), ..self }
    }
}

use Action::{
    Add, BeginEncrypt, BeginMac, ChangePin, Copy, Create, Destroy, Drop, End, Feed, Find, Kill,
    LogIn, LogInWrongly, LogOut, Make, Pass, PlugIn, Random, Read, Relabel, Remove, Replace,
    Rotate, Sign, Stock, Swap, Tighten, Unplug, Wipe,
};

const fn script(
    name: &'static str,
    before: &'static [Action],
    tried: &'static [Action],
    aside: &'static [Action],
) -> Script {
    Script {
        name,
        before,
        tried,
        aside,
        spares: 0,
        hold: Hold::Resident,
        generator: None,
        lacking: None,
        stock: 0,
        judging: false,
    }
}

/// Every short script.
pub const SCRIPTS: &[Script] = &[
    script("sign", &[Make(KeyKind::Ec)], &[Sign(0)], &[]),
    script("find and read", &[Make(KeyKind::Ec)], &[Find, Read(0)], &[Destroy(0)]),
    script("MAC in parts", &[Make(KeyKind::Hmac)], &[BeginMac(0), Feed(16), Feed(32), End], &[]),
    script(
        "encrypt in parts",
        &[Make(KeyKind::Aes)],
        &[BeginEncrypt(0), Feed(16), Feed(32), End],
        &[],
    ),
    script("sign while another destroys", &[Make(KeyKind::Ec)], &[Sign(0)], &[Destroy(0)]),
    script("log in", &[Make(KeyKind::Ec), LogOut], &[LogIn], &[]),
    script(
        "log out and in",
        &[Make(KeyKind::Ec)],
        &[LogOut, LogIn, Sign(0)],
        &[Make(KeyKind::Hmac)],
    ),
    script("log in wrongly", &[LogOut], &[LogInWrongly, LogIn], &[]),
    script("start anew and sign", &[Make(KeyKind::Ec), Kill], &[Sign(0)], &[]),
    script("log in with another PIN on a member", &[LogOut, ChangePin(1)], &[LogIn, Sign(0)], &[]),
    script("destroy", &[Make(KeyKind::Hmac)], &[Destroy(0)], &[]),
    script("relabel", &[Make(KeyKind::Hmac)], &[Relabel(0)], &[]),
    script("tighten", &[Make(KeyKind::OpenHmac)], &[Tighten(0)], &[]),
    script(
        "destroy while another tightens",
        &[Make(KeyKind::OpenHmac)],
        &[Destroy(0)],
        &[Tighten(0)],
    ),
    script(
        "tighten while another tightens",
        &[Make(KeyKind::OpenHmac)],
        &[Tighten(0)],
        &[Tighten(0)],
    ),
    script("create", &[Random], &[Create { private: false }], &[]),
    script("create private", &[Random], &[Create { private: true }], &[]),
    script(
        "create while another relabels it",
        &[Random],
        &[Create { private: true }],
        &[Relabel(0)],
    ),
    script("make a secret key", &[Random], &[Make(KeyKind::Hmac)], &[]),
    script("copy", &[Make(KeyKind::Aes)], &[Copy(0)], &[]),
    script("make a pair", &[Random], &[Make(KeyKind::Ec)], &[]),
    script(
        "make while another makes",
        &[Make(KeyKind::Hmac)],
        &[Make(KeyKind::Aes)],
        &[Make(KeyKind::Hmac)],
    ),
    script(
        "make while another destroys",
        &[Make(KeyKind::Hmac)],
        &[Make(KeyKind::Aes)],
        &[Destroy(0)],
    ),
    script(
        "catch up after an absence",
        &[
            Make(KeyKind::Ec),
            Make(KeyKind::Hmac),
            Unplug(1),
            Make(KeyKind::Ec),
            Destroy(0),
            Relabel(1),
            PlugIn(1),
            Pass(400_000),
        ],
        &[Sign(0)],
        &[],
    ),
    script(
        "catch up while another destroys",
        &[Make(KeyKind::Ec), Unplug(1), Make(KeyKind::Hmac), PlugIn(1), Pass(400_000)],
        &[Sign(0)],
        &[Destroy(2)],
    ),
    script("make a pair on a generator", &[Random], &[Make(KeyKind::Ec), Sign(0)], &[])
        .with_generator(1),
    script(
        "make on a generator while another makes",
        &[Make(KeyKind::Hmac)],
        &[Make(KeyKind::Aes)],
        &[Make(KeyKind::Hmac)],
    )
    .with_generator(0),
    script(
        "replace a generator",
        &[Make(KeyKind::Hmac), Swap(1)],
        &[Replace(1), Make(KeyKind::Aes)],
        &[Make(KeyKind::Hmac)],
    )
    .with_generator(1),
    script("add a member", &[Make(KeyKind::Hmac)], &[Add(2)], &[]).with_spares(1),
    script("replace a member", &[Make(KeyKind::Hmac), Destroy(0), Swap(1)], &[Replace(1)], &[]),
    script("remove a member", &[Make(KeyKind::Hmac)], &[Remove(1), Make(KeyKind::Hmac)], &[]),
    script(
        "wipe a member that was away",
        &[Make(KeyKind::Hmac), Make(KeyKind::Aes), Unplug(1), Destroy(0), PlugIn(1), Pass(400_000)],
        &[Wipe(1), Make(KeyKind::Hmac)],
        &[],
    ),
    script(
        "take a member back",
        &[Make(KeyKind::Hmac), Make(KeyKind::Aes), Remove(1), Destroy(0), Relabel(0)],
        &[Add(1)],
        &[],
    ),
    script("sign while another adds", &[Make(KeyKind::Ec)], &[Sign(0)], &[Add(2)]).with_spares(1),
    script(
        "make while another removes",
        &[Make(KeyKind::Hmac)],
        &[Make(KeyKind::Hmac)],
        &[Remove(1)],
    ),
    script("sign on demand", &[Make(KeyKind::Ec)], &[Sign(0)], &[]).on_demand(),
    // There is room for two.
    script(
        "sign with more keys than there is room for",
        &[Make(KeyKind::Ec), Make(KeyKind::Ec), Make(KeyKind::Ec)],
        &[Sign(0), Sign(1), Sign(2), Sign(0)],
        &[],
    )
    .on_demand(),
    script(
        "sign on demand while another destroys",
        &[Make(KeyKind::Ec)],
        &[Sign(0)],
        &[Destroy(0)],
    )
    .on_demand(),
    script("sign on demand, a proof", &[Make(KeyKind::Ec)], &[Sign(0)], &[]).on_demand().judging(),
    script(
        "sign with more keys than there is room for, a proof each",
        &[Make(KeyKind::Ec), Make(KeyKind::Ec), Make(KeyKind::Rsa)],
        &[Sign(0), Sign(1), Sign(2), Sign(0)],
        &[],
    )
    .on_demand()
    .judging(),
    script(
        "sign on demand, a proof, while another destroys",
        &[Make(KeyKind::Ec)],
        &[Sign(0)],
        &[Destroy(0)],
    )
    .on_demand()
    .judging(),
    script("MAC in parts on demand", &[Make(KeyKind::Hmac)], &[BeginMac(0), Feed(16), End], &[])
        .on_demand(),
    script("make a pair on demand", &[Random], &[Make(KeyKind::Ec)], &[]).on_demand(),
    script(
        "make on demand while another makes",
        &[Make(KeyKind::Hmac)],
        &[Make(KeyKind::Aes)],
        &[Make(KeyKind::Hmac)],
    )
    .on_demand(),
    script(
        "make on demand while another destroys",
        &[Make(KeyKind::Hmac)],
        &[Make(KeyKind::Aes)],
        &[Destroy(0)],
    )
    .on_demand(),
    script(
        "rotate",
        &[Make(KeyKind::Ec), Make(KeyKind::Hmac), Create { private: true }],
        &[Rotate],
        &[],
    ),
    script("rotate while another makes", &[Make(KeyKind::Hmac)], &[Rotate], &[Make(KeyKind::Aes)]),
    script(
        "rotate while another destroys",
        &[Make(KeyKind::Hmac), Make(KeyKind::Aes)],
        &[Rotate],
        &[Destroy(0)],
    ),
    script("rotate while another tightens", &[Make(KeyKind::OpenHmac)], &[Rotate], &[Tighten(0)]),
    script("make while another rotates", &[Make(KeyKind::Hmac)], &[Make(KeyKind::Aes)], &[Rotate]),
    script("sign while another rotates", &[Make(KeyKind::Ec)], &[Sign(0)], &[Rotate]).on_demand(),
    script(
        "rotate with a member away",
        &[Make(KeyKind::Ec), Unplug(1)],
        &[Rotate, Make(KeyKind::Hmac), PlugIn(1), Pass(400_000), Sign(0), Rotate],
        &[],
    ),
    script("rotate twice", &[Make(KeyKind::Hmac)], &[Rotate, Rotate, Make(KeyKind::Hmac)], &[]),
    script("rotate with a generator", &[Make(KeyKind::Hmac)], &[Rotate, Make(KeyKind::Aes)], &[])
        .with_generator(1),
    script("rotate while another claims", &[Stock], &[Rotate], &[Make(KeyKind::Hmac)])
        .with_stock(1),
    script("claim while another rotates", &[Stock], &[Make(KeyKind::Hmac), Sign(0)], &[Rotate])
        .with_stock(1),
    script("drop while another rotates", &[Stock], &[Drop], &[Rotate]).with_stock(1),
    script("fill the stock", &[Random], &[Stock, Find], &[]).with_stock(1),
    script("claim a pair and sign", &[Stock], &[Make(KeyKind::Ec), Sign(0)], &[]).with_stock(1),
    script(
        "two claim the last of a stock",
        &[Stock],
        &[Make(KeyKind::Hmac)],
        &[Make(KeyKind::Hmac)],
    )
    .with_stock(1),
    script(
        "claim while a member is away",
        &[Stock, Unplug(1)],
        &[Make(KeyKind::Ec), PlugIn(1), Pass(400_000), Unplug(0), Sign(0)],
        &[],
    )
    .with_stock(1),
    script("claim while another drops", &[Stock], &[Make(KeyKind::Hmac)], &[Drop]).with_stock(1),
    script("drop while another claims", &[Stock], &[Drop], &[Make(KeyKind::Hmac)]).with_stock(1),
    script("sign with what another claims", &[Stock], &[Make(KeyKind::Ec)], &[Sign(0)])
        .with_stock(1),
    script(
        "claim, destroy and start anew",
        &[Stock],
        &[Make(KeyKind::Hmac), Destroy(0), Kill, Find],
        &[],
    )
    .with_stock(1),
    script(
        "fill while another claims",
        &[Stock, Make(KeyKind::Hmac)],
        &[Stock],
        &[Make(KeyKind::Ec)],
    )
    .with_stock(1),
    script("fill while another fills", &[Random], &[Stock], &[Stock]).with_stock(1),
    script("claim on demand and sign", &[Stock], &[Make(KeyKind::Ec), Sign(0)], &[])
        .on_demand()
        .with_stock(1),
    script("fill on demand while another claims", &[Random], &[Stock], &[Make(KeyKind::Hmac)])
        .on_demand()
        .with_stock(1),
    // Elliptic curves are beyond one of the two.
    script("make a pair that is beyond a member", &[Random], &[Make(KeyKind::Ec), Sign(0)], &[])
        .with_lacking(1),
    script("make a pair beyond who is asked first", &[Random], &[Make(KeyKind::Ec), Sign(0)], &[])
        .with_lacking(0),
    script(
        "catch up with what is beyond a member",
        &[
            Make(KeyKind::Ec),
            Unplug(1),
            Make(KeyKind::Ec),
            Make(KeyKind::Hmac),
            PlugIn(1),
            Pass(400_000),
        ],
        &[Relabel(1), Destroy(0)],
        &[],
    )
    .with_lacking(1),
    script(
        "destroy while another makes what is beyond a member",
        &[Make(KeyKind::Ec)],
        &[Destroy(0)],
        &[Make(KeyKind::Ec)],
    )
    .with_lacking(1),
    script(
        "sign on demand beyond who is asked first",
        &[Make(KeyKind::Ec)],
        &[Sign(0), Make(KeyKind::Ec)],
        &[],
    )
    .on_demand()
    .with_lacking(0),
    script("fill the stock beyond a member and claim", &[Random], &[Stock, Make(KeyKind::Ec)], &[])
        .with_stock(1)
        .with_lacking(1),
    script(
        "replace a member by one that can hold all",
        &[Make(KeyKind::Ec), Make(KeyKind::Hmac), Swap(1)],
        &[Replace(1), Sign(0)],
        &[],
    )
    .with_lacking(1),
    script(
        "remove the one that holds a key alone",
        &[Make(KeyKind::Ec)],
        &[Remove(0), Sign(0)],
        &[],
    )
    .with_lacking(1),
    script("make while another wipes", &[Make(KeyKind::Hmac)], &[Make(KeyKind::Hmac)], &[Wipe(1)]),
];

/// What came of a script in all its placements.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many runs there were, the one without trouble included.
    pub runs: u64,
    /// How many calls the engine made in all of them.
    pub calls: u64,
    /// Lines that were answered, that failed with a reason, and in which a process died.
    pub tally: [u64; 3],
    /// Replicas left on a list of what a member could not take.
    pub excepted: u64,
    /// Violations, each with what went wrong before it; the first few.
    pub violations: Vec<Violation>,
    /// How many violations there were.
    pub violated: u64,
    /// How many placements a sample left out, each with all that could have followed it.
    pub skipped: u64,
}

/// A violation, and the plan that leads to it.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What was violated.
    pub what: String,
    /// What goes wrong, and where.
    pub plan: BTreeMap<Moment, Trouble>,
}

/// So many violations are kept.
const KEPT: usize = 20;

/// The first line in which something may go wrong.
const FIRST: u32 = 1;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// At most so many troubles in one run.
    pub troubles: u32,
    /// Of the places and kinds of each further trouble at most so many are tried, evenly spread. `None`: all.
    pub sample: Option<usize>,
    /// The bug that is switched on; the search ends when it is found.
    pub bug: Option<Bug>,
    /// So many threads share the runs, each of which is on one.
    pub threads: usize,
}

impl Search {
    /// Every placement of so many troubles.
    pub const fn all(troubles: u32, threads: usize) -> Self {
        Self { troubles, sample: None, bug: None, threads }
    }
}

impl Found {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.calls += other.calls;
        for (sum, count) in self.tally.iter_mut().zip(other.tally) {
            *sum += count;
        }
        self.excepted += other.excepted;
        self.violated += other.violated;
        self.skipped += other.skipped;
        self.violations.extend(other.violations);
        self.violations.sort_by(|a, b| a.plan.cmp(&b.plan));
        self.violations.truncate(KEPT);
    }
}

/// A search under way.
struct Explorer<'a> {
    snapshot: Snapshot,
    script: &'a Script,
    search: Search,
    /// The bug has been found.
    done: AtomicBool,
}

/// Runs a script with troubles at every place where one can be.
pub fn everywhere(snapshot: &Snapshot, script: &Script, search: Search) -> Found {
    let explorer =
        Explorer { snapshot: script.scene(snapshot), script, search, done: AtomicBool::new(false) };
    let mut found = Found::default();
    let made = explorer.run(Choices::default(), search.troubles, &mut found);
    let (jobs, skipped) = explorer.chosen(&made);
    found.skipped += skipped;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Found::default();
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            explorer.explore(job.clone(), search.troubles, &mut found);
        }
        found
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..search.threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            match thread.join() {
                Ok(part) => found.add(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    found
}

impl Explorer<'_> {
    /// Makes a run, and every run that begins where another choice could have been made in it.
    fn explore(&self, choices: Choices, left: u32, found: &mut Found) {
        if self.done.load(Ordering::Relaxed) {
            return;
        }
        let made = self.run(choices, left, found);
        let (others, skipped) = self.chosen(&made);
        found.skipped += skipped;
        for other in others {
            self.explore(other, left, found);
        }
    }

    /// What is tried of what else could have been chosen, and how much of it is not.
    fn chosen(&self, made: &Choices) -> (Vec<Choices>, u64) {
        let count = made.others().count();
        let step = self.search.sample.map_or(1, |sample| count.div_ceil(sample.max(1))).max(1);
        let chosen: Vec<_> = made.others().step_by(step).collect();
        let skipped = count.saturating_sub(chosen.len());
        (chosen, u64::try_from(skipped).unwrap_or(u64::MAX))
    }

    fn run(&self, choices: Choices, left: u32, found: &mut Found) -> Choices {
        let intruder = !self.script.aside.is_empty();
        let plan = Plan::Everywhere { choices, left, intruder };
        let (verdict, run, plan) = once(&self.snapshot, self.script, plan, self.search.bug, false);
        found.runs += 1;
        found.calls += run.world.calls();
        for (sum, count) in found.tally.iter_mut().zip(run.oracle.lock().tally) {
            *sum += count;
        }
        match verdict {
            Ok(excepted) => found.excepted += excepted,
            Err(what) => {
                found.violated += 1;
                self.done.fetch_or(self.search.bug.is_some(), Ordering::Relaxed);
                if found.violations.len() < KEPT {
                    let hits = run.world.hits().into_iter();
                    let plan = hits.map(|hit| (hit.moment, hit.trouble)).collect();
                    found.violations.push(Violation { what, plan });
                }
            }
        }
        match plan {
            Plan::Everywhere { choices, .. } => choices,
            _ => Choices::default(),
        }
    }
}

/// Runs a script once, by a plan. Answers the plan as it is then.
pub fn once(
    snapshot: &Snapshot,
    script: &Script,
    plan: Plan,
    bug: Option<Bug>,
    record: bool,
) -> (Result<u64, String>, std::sync::Arc<Run>, Plan) {
    let world = snapshot.world(11, bug);
    if record {
        world.record();
    }
    let options = Options {
        members: snapshot.hsms.len(),
        generator: script.generator,
        hold: script.hold,
        stock: script.stock,
        lacking: script.lacking,
        judging: script.judging,
        ..Options::default()
    };
    let processes = if script.aside.is_empty() { 1 } else { 2 };
    let mut lines = Line::of(FIRST, 0, script.tried);
    let next = FIRST + u32::try_from(lines.len()).unwrap_or(0);
    lines.extend(Line::of(next, 1, script.aside));
    let run = Run::new(&world, snapshot, &options, processes).with_script(lines, true);
    // What goes before has numbers too, from far above, so that its effects are told apart.
    for line in Line::of(1_000, 0, script.before) {
        run.line(line);
    }
    if !script.aside.is_empty() {
        run.line(Line { number: 2_000, process: 1, action: Random });
    }
    world.pass(400_000);
    world.set_plan(plan);
    let played = run.play();
    let plan = world.set_plan(Plan::Nothing);
    let verdict = played.and_then(|()| run.settle()).map(|settled| settled.excepted as u64);
    (verdict, run, plan)
}
