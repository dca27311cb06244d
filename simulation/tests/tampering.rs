//! Whoever may write to the state folder or to a bundle, and is not logged in: a thousand changes at random, and each is
//! noticed, named, and never counted as backed up.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::io::Read;
use std::sync::Arc;
use tandem_engine::backup::{Artefact, Plan, Source};
use tandem_engine::error::Result;
use tandem_engine::event::{Event, Record};
use tandem_engine::heads::Head;
use tandem_engine::joining::Bringing;
use tandem_engine::object::ObjectId;
use tandem_engine::report::{ObjectReport, Quiet, Replica};
use tandem_engine::session::Session;
use tandem_engine::step::{Room, Step, Verb};
use tandem_engine::token::Token;
use tandem_simulation::chance::Chance;
use tandem_simulation::setup::{self, Options, PIN, Snapshot};
use tandem_simulation::store::Books;
use tandem_simulation::world::World;
use tandem_values::{Mechanism, Secret, Template, ck::*};

/// How many changes are tried of each.
const CHANGES: u64 = 1_000;

/// P-256, named.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Bytes that are a bundle, or look like one.
struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.0))
    }
}

/// A process that is logged in.
struct Process {
    token: Arc<Token>,
    session: Arc<Session>,
}

impl Process {
    fn begin(world: &Arc<World>) -> Self {
        let token = setup::token(world, &Options::default(), world.be_born());
        token.start();
        let session = token.login(&Secret::new(PIN)).expect("a login");
        Self { token, session }
    }

    fn objects(&self) -> Vec<ObjectReport> {
        self.token.objects().expect("objects")
    }
}

/// A token with keys, of which all but the last are in a committed backup, and the bundle.
struct Scene {
    snapshot: Snapshot,
    books: Books,
    hsms: Vec<tandem_simulation::toy::Hsm>,
    bundle: Vec<u8>,
    late: Vec<ObjectId>,
}

fn make(session: &Session, number: u8) {
    let named = |template: Template| {
        template.with(CKA_TOKEN, true).with(CKA_ID, [number].as_slice()).with(CKA_LABEL, "key")
    };
    let mechanism = Mechanism::plain(CKM_EC_KEY_PAIR_GEN);
    let public = named(Template::new().with(CKA_EC_PARAMS, P256).with(CKA_VERIFY, true));
    session
        .generate_pair(&mechanism, &public, &named(Template::new().with(CKA_SIGN, true)))
        .expect("a pair");
    let secret = named(Template::new().with(CKA_VALUE_LEN, 32).with(CKA_SIGN, true));
    session.generate(&Mechanism::plain(CKM_GENERIC_SECRET_KEY_GEN), &secret).expect("a secret");
}

fn scene() -> Scene {
    let (snapshot, _) = setup::pair(2).expect("a pairing");
    let world = snapshot.world(3, None);
    let process = Process::begin(&world);
    for number in 0..3 {
        make(&process.session, number);
    }
    let bundle = back_up(&process.token);
    let before: Vec<_> = process.objects().iter().map(|object| object.id).collect();
    make(&process.session, 9);
    let mut late: Vec<_> = process.objects().iter().map(|object| object.id).collect();
    late.retain(|id| !before.contains(id));
    process.token.stop();
    let hsms = world.hsms.iter().map(|hsm| hsm.lock().clone()).collect();
    let books = world.books.lock().clone();
    Scene { snapshot, books, hsms, bundle, late }
}

fn back_up(token: &Token) -> Vec<u8> {
    let turn = token.backup_turn().expect("nobody else is at it");
    let backup = token.prepare_backup(&turn).expect("a backup");
    let plan = token.plan_backup(&backup, None, None).expect("a plan");
    let mut bundle = Vec::new();
    let written = token.write_bundle(&backup, &plan, &mut bundle, &Quiet).expect("a bundle");
    let artefact =
        Artefact::Bundle { name: "one".into(), bytes: written.bytes, digest: written.digest };
    token.note_made(&turn, &backup, Plan { ..plan }, artefact, true).expect("noted");
    token.commit_backup(&turn).expect("committed");
    bundle
}

#[test]
fn a_thousand_changes_of_a_bundle_are_noticed() {
    let scene = scene();
    let world = scene.snapshot.world(4, None);
    *world.books.lock() = scene.books.clone();
    for (hsm, then) in world.hsms.iter().zip(&scene.hsms) {
        *hsm.lock() = then.clone();
    }
    let process = Process::begin(&world);
    let verify = |bytes: &[u8]| process.token.verify_bundle(&Bytes(bytes), &Quiet);
    let sound = verify(&scene.bundle).expect("it is sound");
    assert!(sound.failed.is_empty() && sound.proven == 6, "{sound:?}");
    let mut chance = Chance::new(11);
    for number in 0..CHANGES {
        let (changed, how) = spoilt(&scene.bundle, &mut chance);
        if changed == scene.bundle {
            continue;
        }
        let noticed = verify(&changed).map_or(true, |verified| !verified.failed.is_empty());
        assert!(noticed, "change {number} ({how}) went unnoticed");
    }
}

#[test]
fn bytes_hidden_behind_a_part_of_a_bundle_are_noticed() {
    let scene = scene();
    let world = world_with(&scene, scene.books.clone(), 4);
    let process = Process::begin(&world);
    let sound = frames(&scene.bundle);
    for at in 0..sound.len() {
        let mut longer = sound.clone();
        let body = &sound[at][4..];
        let len = u32::try_from(body.len() + 1).expect("a short one").to_be_bytes();
        longer[at] = [&len, body, &[0]].concat();
        let refused = process.token.check_against(&Bytes(&joined(&scene.bundle, &longer)));
        assert_eq!(refused.expect_err("a byte too many").rv.0, CKR_DATA_INVALID, "frame {at}");
    }
}

/// The bundle with something changed, and what.
fn spoilt(sound: &[u8], chance: &mut Chance) -> (Vec<u8>, String) {
    let frames = frames(sound);
    match chance.below(5) {
        0 | 1 => {
            let (at, bit) = (chance.index(sound.len()), chance.below(8));
            let mut bytes = sound.to_vec();
            bytes[at] ^= 1 << bit;
            (bytes, format!("bit {bit} of byte {at}"))
        }
        2 => {
            let len = chance.index(sound.len());
            (sound[..len].to_vec(), format!("cut at {len}"))
        }
        3 => {
            let (one, other) = (chance.index(frames.len()), chance.index(frames.len()));
            let mut swapped = frames;
            swapped.swap(one, other);
            (joined(sound, &swapped), format!("frames {one} and {other} swapped"))
        }
        _ => {
            let one = chance.index(frames.len());
            let mut fewer = frames;
            fewer.remove(one);
            (joined(sound, &fewer), format!("frame {one} removed"))
        }
    }
}

/// The frames after the first line.
fn frames(bundle: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &bundle[16..];
    let mut frames = Vec::new();
    while let Some((len, _)) = rest.split_first_chunk::<4>() {
        let len = 4 + usize::try_from(u32::from_be_bytes(*len)).expect("a length");
        frames.push(rest[..len].to_vec());
        rest = &rest[len..];
    }
    frames
}

fn joined(bundle: &[u8], frames: &[Vec<u8>]) -> Vec<u8> {
    [&bundle[..16], &frames.concat()].concat()
}

#[test]
fn a_thousand_changes_of_the_log_are_noticed_and_count_for_nothing() {
    let scene = scene();
    let committed = scene
        .books
        .records()
        .iter()
        .find(|record| matches!(record.event(), Some(Event::BackupCommitted(_))))
        .expect("a commit")
        .position;
    let mut chance = Chance::new(12);
    for number in 0..CHANGES {
        let mut books = scene.books.clone();
        let (touched, how) = tamper(&mut books, &mut chance);
        if books.records() == scene.books.records() {
            continue;
        }
        let world = scene.snapshot.world(number, None);
        *world.books.lock() = books;
        for (hsm, then) in world.hsms.iter().zip(&scene.hsms) {
            *hsm.lock() = then.clone();
        }
        let token = setup::token(&world, &Options::default(), world.be_born());
        token.start();
        // The first record names the ring: without it nobody can log in at all, which is noticed.
        let Ok(session) = token.login(&Secret::new(PIN)) else { continue };
        let process = Process { token, session };
        let broken = process.token.check_log().expect("a log that can be read");
        let doubt = process.token.doubt().expect("a log that can be read");
        let noticed = !broken.is_sound() || doubt.is_some();
        assert!(noticed, "change {number} ({how}) went unnoticed");
        // A key that was only taken out of the log is in the bundle all the same.
        let is_gone = |id| broken.gone.iter().any(|(gone, _)| *gone == id);
        for object in process.objects().iter().filter(|object| object.backed_up) {
            assert!(!scene.late.contains(&object.id), "change {number} ({how}): {object:?}");
            assert!(
                broken.broken.iter().all(|position| *position < committed),
                "change {number} ({how}): what came after the commit may have withdrawn it"
            );
            let same = scene.books.records().iter().any(|record| {
                matches!(record.event(), Some(Event::Created(made)) if made.id == object.id)
                    && (!touched.contains(&record.position) || is_gone(object.id))
            });
            assert!(same, "change {number} ({how}): {} was changed and counts", object.id);
        }
        process.token.stop();
    }
}

/// Changes the log as somebody would who can write to it. Answers which records were touched, and how.
fn tamper(books: &mut Books, chance: &mut Chance) -> (Vec<u64>, String) {
    let records = books.records_mut();
    let at = chance.index(records.len());
    let position = records[at].position;
    match chance.below(6) {
        0..=2 => {
            let field = flip(&mut records[at], chance);
            (vec![position], format!("{field} of record {position}"))
        }
        3 => {
            let other = chance.index(records.len());
            let theirs = records[other].position;
            let wrapped = records[other].wrapped.clone();
            records[at].wrapped = wrapped;
            (vec![position], format!("record {position} has the wrapped key of {theirs}"))
        }
        4 => {
            let other = chance.index(records.len());
            let theirs = records[other].position;
            // Their places are changed, not their numbers.
            let (one, two) = (records[at].clone(), records[other].clone());
            records[at] = Record { position, ..two };
            records[other] = Record { position: theirs, ..one };
            (vec![position, theirs], format!("records {position} and {theirs} swapped"))
        }
        _ => {
            // That the last one is gone the members tell, who were told of it.
            records.remove(at);
            (vec![position, position + 1], format!("record {position} removed"))
        }
    }
}

/// A world whose members have been told of the whole scene, over this log.
fn world_with(scene: &Scene, books: Books, number: u64) -> Arc<World> {
    let world = scene.snapshot.world(number, None);
    *world.books.lock() = books;
    for (hsm, then) in world.hsms.iter().zip(&scene.hsms) {
        *hsm.lock() = then.clone();
    }
    world
}

/// Everything of a process in doubt: it says so, counts nothing as backed up, changes nothing, and signs.
fn is_in_doubt(process: &Process, how: &str) {
    let doubt = process.token.doubt().expect("a log that can be read");
    assert!(doubt.is_some(), "{how} went unnoticed");
    let heads = process.token.heads().expect("heads");
    assert!(heads.iter().any(|report| report.head.is_against()), "{how}: {heads:?}");
    let objects = process.objects();
    assert!(objects.iter().all(|object| !object.backed_up), "{how}: {objects:?}");
    let made = try_to_make(&process.session);
    assert_eq!(made.expect_err("a second history").rv.0, CKR_DEVICE_ERROR, "{how}");
    let Some(key) = objects.iter().find(|o| o.template.class() == Some(CKO_PRIVATE_KEY)) else {
        return;
    };
    let init = Step::Init {
        verb: Verb::Sign,
        mechanism: Mechanism::plain(CKM_ECDSA),
        key: Some(key.handle),
        signature: None,
    };
    process.session.step(init, Room::Query).expect("a key that works");
    let data = Step::Whole(Verb::Sign, vec![1; 32].into());
    process.session.step(data, Room::Bytes(512)).expect("a signature");
}

fn try_to_make(session: &Session) -> Result<()> {
    let secret = Template::new()
        .with(CKA_TOKEN, true)
        .with(CKA_LABEL, "new")
        .with(CKA_VALUE_LEN, 32)
        .with(CKA_SIGN, true);
    let mechanism = Mechanism::plain(CKM_GENERIC_SECRET_KEY_GEN);
    session.generate(&mechanism, &secret).map(drop)
}

#[test]
fn a_key_works_whose_change_was_cut_off_the_log() {
    let scene = scene();
    let world = world_with(&scene, scene.books.clone(), 1);
    let process = Process::begin(&world);
    let objects = process.objects();
    for object in &objects {
        let fixed = Template::new().with(CKA_COPYABLE, false);
        process.session.write(object.handle, &fixed).expect("changed");
    }
    process.token.stop();
    let whole = world.books.lock().records().len();
    world.books.lock().records_mut().truncate(whole - objects.len());
    let process = Process::begin(&world);
    is_in_doubt(&process, "cut before the changes");
    let objects = process.objects();
    assert!(objects.iter().all(|object| object.template.is(CKA_COPYABLE)), "{objects:?}");
    process.token.stop();
}

#[test]
fn a_log_cut_short_anywhere_is_noticed_and_goes_on_once_it_is_accepted() {
    let scene = scene();
    let whole = scene.books.records().len();
    for left in 1..whole {
        let mut books = scene.books.clone();
        books.records_mut().truncate(left);
        let how = format!("cut after {left} of {whole}");
        let world = world_with(&scene, books, u64::try_from(left).expect("a number"));
        let process = Process::begin(&world);
        is_in_doubt(&process, &how);
        assert_eq!(world.books.lock().records().len(), left, "{how}: nothing is put into it");
        process.token.stop();
        // The next process needs no member to know.
        let next = Process::begin(&world);
        is_in_doubt(&next, &how);
        let accepted = next.token.accept_log().expect("accepted");
        assert!(accepted.changed, "{how}");
        assert!(accepted.heads.iter().all(|head| head.head == Head::Holds), "{how}: {accepted:?}");
        try_to_make(&next.session).expect("a key");
        let proven = next.token.verify(&Quiet).expect("a verification");
        let new = proven.iter().find(|o| o.template.bytes(CKA_LABEL) == Some(b"new"));
        let new = new.expect("the new one");
        assert!(new.replicas.iter().all(|(_, it)| *it == Replica::Proven), "{how}: {new:?}");
        next.token.stop();
        let last = Process::begin(&world);
        assert_eq!(last.token.doubt().expect("a log"), None, "{how}");
        last.token.stop();
    }
}

#[test]
fn an_older_copy_of_the_store_is_noticed_while_a_member_is_away_and_by_one_that_comes_back() {
    let (snapshot, _) = setup::pair(2).expect("a pairing");
    let world = snapshot.world(5, None);
    let process = Process::begin(&world);
    make(&process.session, 1);
    back_up(&process.token);
    process.token.stop();
    let older = world.books.lock().clone();
    let process = Process::begin(&world);
    // One of them is not told any more.
    world.hsms[1].lock().away = true;
    make(&process.session, 2);
    process.token.stop();
    world.hsms[1].lock().away = false;
    *world.books.lock() = older;

    // The one that was not told bears out the older copy.
    world.hsms[0].lock().away = true;
    let process = Process::begin(&world);
    assert_eq!(process.token.doubt().expect("a log"), None);
    assert!(process.objects().iter().any(|object| object.backed_up));
    // The other one comes back, and knows better.
    world.hsms[0].lock().away = false;
    world.pass(tandem_simulation::run::QUIET_MS);
    process.token.tend();
    is_in_doubt(&process, "an older copy");
    // From now on everybody knows, whoever is away.
    world.hsms[0].lock().away = true;
    process.token.stop();
    let next = Process::begin(&world);
    is_in_doubt_by_note(&next);
    next.token.stop();
}

/// What another process has found is not forgotten while the member is away that told it.
fn is_in_doubt_by_note(process: &Process) {
    let doubt = process.token.doubt().expect("a log").expect("a doubt");
    assert_eq!(doubt.member, "a");
    assert!(process.objects().iter().all(|object| !object.backed_up));
    assert_eq!(try_to_make(&process.session).expect_err("no change").rv.0, CKR_DEVICE_ERROR);
}

#[test]
fn a_member_that_holds_no_data_goes_without_and_the_others_know() {
    let (snapshot, _) = setup::pair(2).expect("a pairing");
    let world = snapshot.world(8, None);
    world.hsms[1].lock().hold_keys_only();
    let older = world.books.lock().clone();
    for number in 1..4 {
        let process = Process::begin(&world);
        make(&process.session, number);
        process.token.stop();
    }
    let process = Process::begin(&world);
    let heads = process.token.heads().expect("heads");
    assert_eq!(heads[0].head, Head::Holds);
    assert!(matches!(&heads[1].head, Head::Unable(why) if !why.is_empty()), "{heads:?}");
    let proven = process.token.verify(&Quiet).expect("a verification");
    let all = |o: &ObjectReport| o.replicas.iter().all(|(_, it)| *it == Replica::Proven);
    assert!(proven.iter().all(all), "it holds keys as before: {proven:?}");
    process.token.stop();
    *world.books.lock() = older;
    let process = Process::begin(&world);
    is_in_doubt(&process, "an older copy");
    process.token.stop();
}

#[test]
fn an_older_copy_is_healed_by_a_bundle_and_nothing_stands_twice_on_a_member() {
    let (snapshot, _) = setup::pair(2).expect("a pairing");
    let world = snapshot.world(6, None);
    let process = Process::begin(&world);
    make(&process.session, 1);
    back_up(&process.token);
    process.token.stop();
    let older = world.books.lock().clone();
    let process = Process::begin(&world);
    // More than a follower takes at once.
    for number in 2..40 {
        make(&process.session, number);
    }
    let bundle = back_up(&process.token);
    process.token.stop();
    let held = |world: &World| {
        world.hsms.iter().map(|hsm| hsm.lock().token_objects().count()).collect::<Vec<_>>()
    };
    let before = held(&world);
    *world.books.lock() = older;
    let process = Process::begin(&world);
    is_in_doubt(&process, "an older copy");
    process.token.stop();

    let token = setup::token(&world, &Options::default(), world.be_born());
    token.start();
    let artefact = Artefact::Bundle { name: "one".into(), bytes: 0, digest: [0; 32] };
    let bringing = Bringing { shares: &[], keep_foreign: false, progress: &Quiet };
    let source = Bytes(&bundle);
    let restored = token.restore(&Secret::new(PIN), (&[&source], None), artefact, &bringing);
    let restored = restored.expect("a restore");
    assert!(restored.records > 64 && restored.newer.is_empty(), "{restored:?}");
    token.stop();
    let process = Process::begin(&world);
    assert_eq!(process.token.doubt().expect("a log"), None);
    let heads = process.token.heads().expect("heads");
    assert!(heads.iter().all(|report| report.head == Head::Holds), "{heads:?}");
    let proven = process.token.verify(&Quiet).expect("a verification");
    let all = |o: &ObjectReport| o.replicas.iter().all(|(_, it)| *it == Replica::Proven);
    assert!(proven.iter().all(all), "{proven:?}");
    assert!(proven.iter().all(|object| object.backed_up));
    process.token.stop();
    assert_eq!(held(&world), before, "nothing is twice on a member");
    process_over_nothing(&world, &bundle);
    assert_eq!(held(&world), before, "nor when the whole store was lost");
}

/// Restores a store that is lost altogether, with the members as they are.
fn process_over_nothing(world: &Arc<World>, bundle: &[u8]) {
    *world.books.lock() = Books::default();
    let token = setup::token(world, &Options::default(), world.be_born());
    token.start();
    let artefact = Artefact::Bundle { name: "one".into(), bytes: 0, digest: [0; 32] };
    let bringing = Bringing { shares: &[], keep_foreign: false, progress: &Quiet };
    let restored = token.restore(&Secret::new(PIN), (&[&Bytes(bundle)], None), artefact, &bringing);
    assert!(restored.expect("a restore").newer.is_empty());
    token.stop();
    let process = Process::begin(world);
    let doubt = process.token.doubt().expect("a log");
    assert_eq!(doubt, None, "the members knew an earlier era");
    process.token.stop();
}

fn flip(record: &mut Record, chance: &mut Chance) -> &'static str {
    let bit = 1_u8 << chance.below(8);
    let mut any = |bytes: &mut [u8]| {
        let at = chance.index(bytes.len());
        bytes[at] ^= bit;
    };
    match (record.mac[0] ^ bit) % 5 {
        0 => {
            any(&mut record.mac);
            "the MAC"
        }
        1 => {
            any(&mut record.link);
            "the link"
        }
        2 => {
            record.at_ms ^= u64::from(bit);
            "the time"
        }
        3 if record.wrapped.is_some() => {
            any(record.wrapped.as_mut().expect("bytes"));
            "the wrapped key"
        }
        _ => {
            any(&mut record.body);
            "the event"
        }
    }
}
