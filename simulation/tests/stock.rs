//! Claims where something is amiss: a record that somebody has changed, wrapped bytes that are gone, and members that don't hold what is
//! in stock.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;
use tandem_engine::error::Result;
use tandem_engine::event::Event;
use tandem_engine::report::Quiet;
use tandem_engine::session::Session;
use tandem_engine::step::{Room, Step, Verb};
use tandem_engine::stock::Level;
use tandem_engine::token::Token;
use tandem_simulation::setup::{self, Options, PIN};
use tandem_simulation::world::World;
use tandem_values::{Handle, Mechanism, Secret, Template, ck::*};

/// How many secret keys are to be in stock, and as many pairs.
const STOCK: u64 = 3;
/// Longer than a member that failed is left alone, in milliseconds.
const LONG_MS: u64 = 400_000;

fn begin(world: &Arc<World>) -> (Arc<Token>, Arc<Session>) {
    let options = Options { stock: STOCK, ..Options::default() };
    let token = setup::token(world, &options, world.be_born());
    token.start();
    let session = token.login(&Secret::new(PIN)).expect("a login");
    (token, session)
}

/// A world with a full stock.
fn stocked() -> Arc<World> {
    let (snapshot, _) = setup::pair(2).expect("a pairing");
    let world = snapshot.world(3, None);
    let (token, _) = begin(&world);
    fill(&token);
    token.stop();
    world
}

fn fill(token: &Arc<Token>) {
    let (_, error) = token.fill_stock(1, &Quiet).expect("a stock");
    assert!(error.is_none(), "{error:?}");
}

fn make(session: &Session, label: &str) -> Result<Handle> {
    let wanted = Template::new().with(CKA_TOKEN, true).with(CKA_LABEL, label);
    let wanted = wanted.with(CKA_VALUE_LEN, 32).with(CKA_SIGN, true);
    session.generate(&Mechanism::plain(CKM_GENERIC_SECRET_KEY_GEN), &wanted)
}

fn sign(session: &Session, key: Handle) {
    let mechanism = Mechanism::plain(CKM_SHA256_HMAC);
    let init = Step::Init { verb: Verb::Sign, mechanism, key: Some(key), signature: None };
    session.step(init, Room::Query).expect("a beginning");
    let data: &[u8] = b"data";
    session.step(Step::Whole(Verb::Sign, data.into()), Room::Bytes(512)).expect("a MAC");
}

/// The secret keys in stock.
fn level(token: &Token) -> Level {
    let levels = token.stock().expect("what is in stock");
    levels.into_iter().find(|level| level.kind == "generic:32").expect("secret keys")
}

#[test]
fn a_claim_that_somebody_has_changed_gives_the_key_to_nobody_else() {
    let world = stocked();
    let (token, session) = begin(&world);
    let claimed = make(&session, "zone").expect("a key");
    token.stop();
    {
        let mut books = world.books.lock();
        let claim = |event| matches!(event, Event::Claimed { .. });
        let records = books.records_mut();
        let claim = records.iter_mut().find(|record| record.event().is_some_and(claim));
        let claim = claim.expect("a claim");
        let at = claim.body.windows(4).position(|bytes| bytes == b"zone").expect("a label");
        claim.body[at] = b'Z';
    }
    let (token, session) = begin(&world);
    let check = token.check_log().expect("a log");
    assert_eq!(check.broken.len(), 1, "{check:?}");
    let level_now = level(&token);
    assert_eq!(level_now.held_back, level_now.there, "{level_now:?}");
    for number in 0..=STOCK {
        let made = make(&session, &format!("other {number}")).expect("a key");
        assert_ne!(made, claimed, "one key for two zones");
    }
    assert_eq!(level(&token).there, level_now.there, "none of them was given out");
    token.stop();
}

#[test]
fn a_key_whose_wrapped_bytes_are_gone_is_not_given_out() {
    let world = stocked();
    let mut gone = Vec::new();
    for record in world.books.lock().records_mut() {
        if let Some(Event::Created(object)) = record.event()
            && object.class() == CKO_SECRET_KEY
            && gone.len() < 2
        {
            record.wrapped = None;
            gone.push(object.id);
        }
    }
    let (token, session) = begin(&world);
    for number in 0..STOCK {
        sign(&session, make(&session, &format!("zone {number}")).expect("a key"));
    }
    let left = level(&token);
    assert_eq!((left.there, left.claimed), (2, 1), "{left:?}");
    let named = token.objects().expect("objects");
    assert!(named.iter().filter(|object| gone.contains(&object.id)).all(|it| it.stock.is_some()));
    token.stop();
}

#[test]
fn a_key_that_no_member_holds_which_is_up_is_not_given_out() {
    let (snapshot, _) = setup::pair(2).expect("a pairing");
    let world = snapshot.world(3, None);
    let (token, session) = begin(&world);
    world.hsms[1].lock().away = true;
    fill(&token);
    // The one that holds the stock goes, and the other has no room for it.
    world.hsms[0].lock().away = true;
    world.hsms[1].lock().away = false;
    world.hsms[1].lock().full = true;
    world.pass(LONG_MS);
    token.tend();
    make(&session, "too early").expect_err("nobody could use it");
    assert_eq!((level(&token).there, level(&token).claimed), (STOCK, 0));
    world.hsms[0].lock().away = false;
    world.pass(LONG_MS);
    token.tend();
    // One of the two is enough: the other takes it when it has room.
    sign(&session, make(&session, "zone").expect("a key"));
    assert_eq!((level(&token).there, level(&token).claimed), (STOCK - 1, 1));
    token.stop();
}
