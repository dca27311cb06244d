//! Runs of which a seed decides everything: how many members and processes, what goes wrong and how often, and what the
//! applications do.

use crate::chance::{Chance, drawn_from};
use crate::plan::{Moment, Plan, Rates};
use crate::planted::Bug;
use crate::run::Run;
use crate::script::{Action, KeyKind, Line};
use crate::settle::Settled;
use crate::setup::{self, Options, Snapshot};
use crate::trouble::{Kind, Trouble};
use crate::world::Event;
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_engine::error::Result;
use tandem_engine::settings::{Balance, CHECKPOINT_AFTER, Hold};

/// How many changed objects a checkpoint of the catalogue waits for.
const CHECKPOINTS: [usize; 3] = [CHECKPOINT_AFTER, 1, 3];

/// How many lanes members are said to have.
const LANES: [Option<usize>; 4] = [None, Some(1), Some(2), Some(4)];

/// What a seed decides.
#[derive(Clone, Debug)]
pub struct Case {
    /// The seed.
    pub seed: u64,
    /// How many members it was paired with.
    pub paired: usize,
    /// How the token is set up: with as many members as the configuration names.
    pub options: Options,
    /// How many processes there are.
    pub processes: usize,
    /// What they do.
    pub script: Vec<Line>,
    /// How often what goes wrong.
    pub plan: Plan,
}

/// Paired tokens of two, three and four members.
pub struct Nests(Vec<Snapshot>);

impl Nests {
    /// Pairs them.
    pub fn new() -> Result<Self> {
        (2..=4)
            .map(|members| setup::pair(members).map(|(snapshot, _)| snapshot))
            .collect::<Result<_>>()
            .map(Self)
    }

    fn of(&self, members: usize) -> Option<&Snapshot> {
        self.0.get(members.checked_sub(2)?)
    }
}

/// What came of a run.
pub struct Played {
    /// What it came to in the end, or what was violated.
    pub verdict: std::result::Result<Settled, String>,
    /// What went wrong, and where.
    pub hits: BTreeMap<Moment, Trouble>,
    /// Lines that were answered, that failed with a reason, and in which a process died.
    pub tally: [u64; 3],
    /// How many calls the engine made.
    pub calls: u64,
    /// What happened, if it was written down.
    pub events: Vec<Event>,
}

impl Case {
    /// What a seed decides.
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::new(drawn_from(&[seed, 1]));
        let members = 2 + chance.index(3);
        let balances = [Balance::Primary, Balance::RoundRobin, Balance::LeastLoaded];
        let mut of_keys = Chance::new(drawn_from(&[seed, 5]));
        let options = Options {
            members,
            generator: None,
            hold: if of_keys.per_mille(300) { Hold::OnDemand } else { Hold::Resident },
            loaded_max: 1 + of_keys.index(3),
            lacking: None,
            judging: Chance::new(drawn_from(&[seed, 10])).per_mille(500),
            stock: 0,
            checkpoint_after: CHECKPOINTS
                .get(Chance::new(drawn_from(&[seed, 7])).index(CHECKPOINTS.len()))
                .copied()
                .unwrap_or(CHECKPOINT_AFTER),
            balance: balances.get(chance.index(3)).copied().unwrap_or_default(),
            min_replicas: if chance.per_mille(150) { 2 } else { 1 },
            replay_bytes_max: if chance.per_mille(200) { 100 } else { 4_096 },
            lanes: LANES
                .get(Chance::new(drawn_from(&[seed, 4])).index(LANES.len()))
                .copied()
                .flatten(),
        };
        let processes = 1 + chance.index(3);
        let paired = members;
        let members = paired + chance.index(2);
        let mut of_roles = Chance::new(drawn_from(&[seed, 6]));
        let generator = of_roles.per_mille(250).then(|| of_roles.index(members));
        let keepers = members - usize::from(generator.is_some());
        let min_replicas = options.min_replicas.min(keepers);
        let mut of_abilities = Chance::new(drawn_from(&[seed, 9]));
        let lacking = of_abilities.per_mille(200).then(|| of_abilities.index(members));
        let mut options = Options { members, generator, min_replicas, lacking, ..options };
        let plan = Plan::Chance(drawn_from(&[seed, 2]), rates(&mut chance));
        let mut script = script(&mut chance, members, processes);
        let mut of_stock = Chance::new(drawn_from(&[seed, 8]));
        if of_stock.per_mille(400) {
            options.stock = 1 + of_stock.below(3);
            keep_stock(&mut of_stock, &mut script, processes);
        }
        Self { seed, paired, options, processes, script, plan }
    }

    /// Plays it.
    pub fn play(&self, nests: &Nests, bug: Option<Bug>, record: bool) -> Option<Played> {
        let spares = self.options.members.checked_sub(self.paired)?;
        let snapshot = nests.of(self.paired)?.with_spares(spares);
        let snapshot = &snapshot.lacking(self.options.lacking);
        let world = snapshot.world(drawn_from(&[self.seed, 3]), bug);
        if record {
            world.record();
        }
        world.set_plan(self.plan.clone());
        let run: Arc<Run> = Run::new(&world, snapshot, &self.options, self.processes)
            .with_script(self.script.clone(), false);
        let verdict = run.play().and_then(|()| run.settle());
        let tally = run.oracle.lock().tally;
        let hits = world.hits().into_iter().map(|hit| (hit.moment, hit.trouble)).collect();
        Some(Played { verdict, hits, tally, calls: world.calls(), events: world.events() })
    }
}

fn rates(chance: &mut Chance) -> Rates {
    let member = [0, 3, 10, 30, 80].get(chance.index(5)).copied().unwrap_or(0);
    let store = [0, 3, 10, 40].get(chance.index(4)).copied().unwrap_or(0);
    let mut troubles: Vec<Trouble> = Vec::new();
    for kind in [Kind::Output, Kind::Unwrap, Kind::Begin, Kind::Write] {
        for trouble in kind.troubles() {
            if !troubles.contains(trouble) {
                troubles.push(*trouble);
            }
        }
    }
    // A part of what can go wrong, each with its own weight: what is rare among everything is frequent in some seed.
    let share = 200 + chance.below(800);
    troubles.retain(|_| chance.per_mille(share));
    let weights = troubles.into_iter().map(|trouble| (trouble, 1 + chance.below(10))).collect();
    Rates { member, store, weights }
}

/// So many lines at least, and so many more at most.
const LINES: (usize, usize) = (8, 32);

fn script(chance: &mut Chance, members: usize, processes: usize) -> Vec<Line> {
    let count = LINES.0 + chance.index(LINES.1);
    let outside = chance.below(250);
    let pause = [1, 500, 5_000, 400_000].get(chance.index(4)).copied().unwrap_or(1);
    let taste: Vec<_> = (0..ACTIONS).map(|_| chance.below(5)).collect();
    let mut script = Vec::new();
    let mut number = 0;
    while script.len() < count {
        number += 1;
        let process = chance.index(processes);
        let action = if chance.per_mille(100) {
            Action::Pass(pause)
        } else if chance.per_mille(outside) {
            around(chance, members)
        } else {
            asked(chance, &taste)
        };
        script.push(Line { number, process, action });
    }
    script
}

/// The first number of a line that is put between the others.
const BETWEEN: u32 = 10_000;

/// Has the stock filled, and reduced now and then, between other lines.
fn keep_stock(chance: &mut Chance, script: &mut Vec<Line>, processes: usize) {
    for number in (BETWEEN..).take(2 + chance.index(6)) {
        let action = if chance.per_mille(150) { Action::Drop } else { Action::Stock };
        let process = chance.index(processes);
        script.insert(chance.index(script.len()), Line { number, process, action });
    }
}

fn around(chance: &mut Chance, members: usize) -> Action {
    let member = chance.index(members);
    match chance.below(13) {
        0 | 1 => Action::Unplug(member),
        2 | 3 => Action::PlugIn(member),
        4 => Action::Reboot(member),
        5 => Action::Kill,
        6 => Action::FillUp(member),
        7 => Action::Add(member),
        8 => Action::Replace(member),
        9 => Action::Remove(member),
        10 => Action::Wipe(member),
        11 => Action::Rotate,
        12 if chance.per_mille(500) => Action::Swap(member),
        _ if chance.per_mille(200) => Action::ChangePin(member),
        _ => Action::MakeRoom(member),
    }
}

/// How many kinds of actions [`asked`] knows.
const ACTIONS: usize = 21;

fn asked(chance: &mut Chance, taste: &[u64]) -> Action {
    let n = chance.index(64);
    let private = chance.per_mille(500);
    let len = 16 * (1 + chance.index(4));
    let all: [Action; ACTIONS] = [
        Action::Make(KeyKind::Rsa),
        Action::Make(KeyKind::Ec),
        Action::Make(KeyKind::Aes),
        Action::Make(KeyKind::Hmac),
        Action::Make(KeyKind::OpenHmac),
        Action::Create { private },
        Action::Copy(n),
        Action::Relabel(n),
        Action::Tighten(n),
        Action::Destroy(n),
        Action::Sign(n),
        Action::Sign(n),
        Action::BeginMac(n),
        Action::BeginEncrypt(n),
        Action::Feed(len),
        Action::Feed(len),
        Action::End,
        Action::Find,
        Action::Read(n),
        Action::Random,
        if private { Action::LogOut } else { Action::LogInWrongly },
    ];
    let last = ACTIONS - 1;
    let weight =
        |at| taste.get(at).map_or(1, |taste| if at == last { *taste } else { 1 + 3 * taste });
    let weighted: Vec<_> =
        all.into_iter().enumerate().map(|(at, action)| (action, weight(at))).collect();
    chance.weighted(&weighted).unwrap_or(Action::Random)
}
