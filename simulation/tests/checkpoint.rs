//! Processes that go on from a checkpoint see what those see that read the whole log, and what somebody has changed in it is not used.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tandem_engine::object::Hold;
use tandem_engine::report::{Progress, Quiet};
use tandem_engine::session::Session;
use tandem_engine::settings::RecoverySettings;
use tandem_engine::step::{Room, Step, Verb};
use tandem_engine::token::Token;
use tandem_simulation::chance::Chance;
use tandem_simulation::setup::{self, Options, PIN};
use tandem_simulation::world::World;
use tandem_values::{Handle, Mechanism, Secret, Template, ck::*};

/// How many changes of a checkpoint are tried.
const CHANGES: u64 = 500;
/// How many secret keys there are.
const KEYS: u8 = 40;
/// How many there are where KEKs are rotated: more than are put into the log at once.
const ROTATED: u8 = 150;
/// How many records a rotation has come by when somebody else looks.
const STEPS: usize = 40;

fn begin(world: &Arc<World>, checkpoint_after: usize) -> (Arc<Token>, Arc<Session>) {
    begin_with(world, &Options { checkpoint_after, ..Options::default() })
}

fn begin_with(world: &Arc<World>, options: &Options) -> (Arc<Token>, Arc<Session>) {
    let token = setup::token(world, options, world.be_born());
    token.start();
    let session = token.login(&Secret::new(PIN)).expect("a login");
    (token, session)
}

fn named(number: u8) -> Template {
    Template::new().with(CKA_ID, [number].as_slice()).with(CKA_LABEL, "key")
}

fn make(session: &Session, number: u8) -> Handle {
    let mechanism = Mechanism::plain(CKM_GENERIC_SECRET_KEY_GEN);
    let wanted = named(number).with(CKA_TOKEN, true).with(CKA_VALUE_LEN, 32).with(CKA_SIGN, true);
    session.generate(&mechanism, &wanted).expect("a secret")
}

fn find(session: &Session, wanted: &Template) -> Vec<Handle> {
    session.find_init(wanted).expect("a search");
    let found = session.find_next(usize::MAX).expect("what was found");
    session.find_final().expect("its end");
    found
}

fn sign(session: &Session, key: Handle) {
    let mechanism = Mechanism::plain(CKM_SHA256_HMAC);
    let init = Step::Init { verb: Verb::Sign, mechanism, key: Some(key), signature: None };
    session.step(init, Room::Query).expect("a beginning");
    let data: &[u8] = b"data";
    session.step(Step::Whole(Verb::Sign, data.into()), Room::Bytes(512)).expect("a MAC");
}

/// Keeps so many secret keys in stock, and as many pairs.
fn fill(world: &Arc<World>, stock: u64) {
    let options = Options { stock, checkpoint_after: usize::MAX, ..Options::default() };
    let (token, _) = begin_with(world, &options);
    let (made, error) = token.fill_stock(1, &Quiet).expect("a stock");
    assert!(made == 2 * stock && error.is_none(), "{made}: {error:?}");
    token.stop();
}

/// How many secret keys are in stock, and were claimed from it.
fn levels(token: &Token) -> [u64; 2] {
    let levels = token.stock().expect("what is in stock");
    let level = levels.iter().find(|level| level.kind == "generic:32").expect("secret keys");
    [level.there, level.claimed]
}

/// Keys, some of them changed and some destroyed, some in stock, and a checkpoint that knows about half of that.
fn scene() -> (Arc<World>, Vec<u8>) {
    let (snapshot, _) = setup::pair(2).expect("a pairing");
    let world = snapshot.world(5, None);
    let (token, session) = begin(&world, usize::MAX);
    let handles: Vec<_> = (0..KEYS).map(|number| make(&session, number)).collect();
    token.stop();
    fill(&world, 3);
    let (token, _) = begin(&world, 1);
    token.stop();
    assert!(world.books.lock().checkpoint_mut().is_some(), "a checkpoint was written");
    let (token, session) = begin(&world, usize::MAX);
    for number in (0..KEYS).step_by(5) {
        session.destroy(handles[usize::from(number)]).expect("destroyed");
    }
    for number in (1..KEYS).step_by(5) {
        let label = Template::new().with(CKA_LABEL, "other");
        session.write(handles[usize::from(number)], &label).expect("changed");
    }
    make(&session, KEYS);
    token.stop();
    let checkpoint = world.books.lock().checkpoint_mut().clone().expect("it is there still");
    (world, checkpoint.to_vec())
}

/// What a process that has just logged in sees, by every way of looking.
fn seen(session: &Session) -> Vec<Vec<Handle>> {
    let mut searches = vec![
        Template::new(),
        Template::new().with(CKA_LABEL, "key"),
        Template::new().with(CKA_LABEL, "other"),
        Template::new().with(CKA_CLASS, CKO_SECRET_KEY).with(CKA_TOKEN, true),
        Template::new().with(CKA_LABEL, "key").with(CKA_VERIFY, true),
    ];
    searches.extend((0..=KEYS).map(|number| Template::new().with(CKA_ID, [number].as_slice())));
    searches.iter().map(|wanted| find(session, wanted)).collect()
}

#[test]
fn from_a_checkpoint_the_same_is_seen_as_from_the_log() {
    let (world, checkpoint) = scene();
    let (token, session) = begin(&world, usize::MAX);
    let from_checkpoint = seen(&session);
    assert_eq!(levels(&token), [2, 1]);
    token.stop();
    *world.books.lock().checkpoint_mut() = None;
    let (token, session) = begin(&world, usize::MAX);
    assert_eq!((seen(&session), levels(&token)), (from_checkpoint.clone(), [2, 1]));
    token.stop();
    assert_eq!(from_checkpoint[0].len(), usize::from(KEYS) - 8 + 1);
    assert_eq!(from_checkpoint[2].len(), 8);
    // One over the other, again and again, and with what happens meanwhile.
    *world.books.lock().checkpoint_mut() = Some(Arc::new(checkpoint));
    for number in KEYS + 1..=KEYS + 5 {
        let (token, session) = begin(&world, 1);
        let key = make(&session, number);
        token.tend();
        assert_eq!(find(&session, &named(number)), [key]);
        let (other, theirs) = begin(&world, 1);
        assert_eq!(seen(&session), seen(&theirs));
        sign(&theirs, key);
        theirs.destroy(key).expect("destroyed");
        assert_eq!(find(&session, &named(number)), []);
        other.stop();
        token.stop();
    }
}

#[test]
fn what_somebody_changed_in_a_checkpoint_is_not_used() {
    let (world, good) = scene();
    let (token, session) = begin(&world, usize::MAX);
    let truth = seen(&session);
    token.stop();
    let mut chance = Chance::new(7);
    for number in 0..CHANGES {
        let mut changed = good.clone();
        let at = chance.index(changed.len());
        let how = match chance.below(5) {
            0 => {
                changed.truncate(at);
                format!("cut at {at}")
            }
            1 => {
                let pages = changed.len() / 4_096;
                let (one, other) = (chance.index(pages) * 4_096, chance.index(pages) * 4_096);
                let theirs = changed[other..other + 4_096].to_vec();
                changed[one..one + 4_096].copy_from_slice(&theirs);
                format!("page at {other} in the place of that at {one}")
            }
            _ => {
                changed[at] ^= 1 << chance.index(8);
                format!("a bit at {at}")
            }
        };
        *world.books.lock().checkpoint_mut() = Some(Arc::new(changed));
        let (token, session) = begin(&world, usize::MAX);
        assert_eq!(seen(&session), truth, "change {number}: {how}");
        assert_eq!(levels(&token), [2, 1], "change {number}: {how}");
        sign(&session, *truth[1].last().expect("a key"));
        token.stop();
    }
}

/// A checkpoint that is written before a claim, between the claims of two keys, after all of them, and none.
#[test]
fn what_is_claimed_stays_so_wherever_the_checkpoint_is() {
    let (snapshot, _) = setup::pair(2).expect("a pairing");
    let world = snapshot.world(8, None);
    fill(&world, 5);
    let mut given = BTreeSet::new();
    for (number, after) in (1..).zip([1, usize::MAX, 1, usize::MAX, 3]) {
        let (token, session) = begin(&world, after);
        assert!(given.insert(make(&session, number)), "key {number} was given before");
        let claimed = u64::try_from(given.len()).expect("a number");
        let is_as_it_should_be = |token: &Token, session: &Session| {
            assert_eq!(levels(token), [5 - claimed, claimed]);
            for handle in &given {
                sign(session, *handle);
            }
            assert_eq!(find(session, &Template::new().with(CKA_LABEL, "key")).len(), given.len());
            let in_stock = Template::new().with(CKA_LABEL, "tandem stock generic:32");
            assert_eq!(find(session, &in_stock), []);
        };
        is_as_it_should_be(&token, &session);
        token.stop();
        let written = world.books.lock().checkpoint_mut().clone();
        assert!(written.is_some());
        for checkpoint in [written.clone(), None, written] {
            *world.books.lock().checkpoint_mut() = checkpoint;
            let (token, session) = begin(&world, usize::MAX);
            is_as_it_should_be(&token, &session);
            assert!(token.check_log().expect("a log").is_sound());
            is_as_it_should_be(&token, &session);
            token.stop();
        }
    }
    let (token, session) = begin(&world, 1);
    assert!(given.insert(make(&session, 6)), "a key that was made");
    assert_eq!(levels(&token), [0, 5]);
    token.stop();
}

#[test]
fn before_a_login_a_changed_checkpoint_does_no_harm() {
    let (world, good) = scene();
    let mut chance = Chance::new(9);
    for _ in 0..CHANGES {
        let mut changed = good.clone();
        for _ in 0..=chance.index(40) {
            let at = chance.index(changed.len());
            changed[at] = chance.below(256).try_into().expect("a byte");
        }
        *world.books.lock().checkpoint_mut() = Some(Arc::new(changed));
        let token = setup::token(&world, &Options::default(), world.be_born());
        token.start();
        let session = token.open(false).expect("a session");
        // What is found is whatever it is: nobody is logged in, and rows could have been changed as well.
        if session.find_init(&Template::new()).is_ok() {
            session.find_next(usize::MAX).expect("what was found");
        }
        token.stop();
    }
}

#[test]
fn a_checkpoint_of_another_log_is_not_used() {
    let (_, theirs) = scene();
    let (snapshot, _) = setup::pair(2).expect("a pairing");
    let world = snapshot.world(6, None);
    let (token, session) = begin(&world, usize::MAX);
    let key = make(&session, 1);
    token.stop();
    *world.books.lock().checkpoint_mut() = Some(Arc::new(theirs));
    let (token, session) = begin(&world, usize::MAX);
    assert_eq!(find(&session, &Template::new()), [key]);
    token.stop();
}

/// Another process that logs in while KEKs are rotated, works with every key, and leaves a checkpoint.
struct Onlooker {
    world: Arc<World>,
    steps: AtomicUsize,
    left: std::sync::Mutex<Vec<Arc<Vec<u8>>>>,
}

impl Onlooker {
    /// Every key is opened from the log, and is the one that it was.
    fn works(&self) {
        let options = Options { checkpoint_after: 1, hold: Hold::OnDemand, ..Options::default() };
        let token = setup::token(&self.world, &options, self.world.be_born());
        token.start();
        let session = token.login(&Secret::new(PIN)).expect("a login");
        for number in 0..ROTATED {
            let found = find(&session, &named(number));
            assert_eq!(found.len(), 1, "key {number}");
            sign(&session, found[0]);
        }
        session.logout().expect("C_Logout");
        token.stop();
        self.left.lock().expect("a lock").extend(self.world.books.lock().checkpoint_mut().clone());
    }
}

impl Progress for Onlooker {
    fn stage(&self, _: &str, _: u64) {}

    fn step(&self) {
        if self.steps.fetch_add(1, Ordering::Relaxed).is_multiple_of(STEPS) {
            self.works();
        }
    }
}

/// What a checkpoint tells of a key is where its wrapped bytes were when it was written, and the log tells what became of them since.
#[test]
fn from_a_checkpoint_of_any_point_of_a_rotation_every_key_is_opened() {
    let (snapshot, _) = setup::pair(2).expect("a pairing");
    let world = snapshot.world(5, None);
    let options = Options { hold: Hold::OnDemand, ..Options::default() };
    let token = setup::token(&world, &options, world.be_born());
    token.start();
    let session = token.login(&Secret::new(PIN)).expect("a login");
    (0..ROTATED).for_each(|number| _ = make(&session, number));
    let (steps, left) = (AtomicUsize::new(0), std::sync::Mutex::default());
    let onlooker = Onlooker { world: Arc::clone(&world), steps, left };
    onlooker.works();
    let settings = RecoverySettings { shares: 3, threshold: 2 };
    let rotated = token.rotate_keks(&snapshot.shares, &settings, &onlooker, &mut |_| Ok(()));
    let rotated = rotated.expect("a rotation");
    assert!(rotated.finished && rotated.rewrapped == u64::from(ROTATED), "{rotated:?}");
    token.stop();
    onlooker.works();
    let written = std::mem::take(&mut *onlooker.left.lock().expect("a lock"));
    let mut others = written.clone();
    others.dedup();
    assert!(
        others.len() > 3,
        "they were written before, in the middle and after: {}",
        others.len()
    );
    for checkpoint in written {
        *world.books.lock().checkpoint_mut() = Some(checkpoint);
        onlooker.works();
    }
    // And as the log itself tells.
    *world.books.lock().checkpoint_mut() = None;
    onlooker.works();
}
