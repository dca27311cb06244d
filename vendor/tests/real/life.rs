//! Starting, restarting, stopping; storage that goes and comes back; threads.

use crate::key::{pair, sign, verify};
use crate::token::{Kind, TestToken, session};
use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use tandem_engine::fault::Class;
use tandem_engine::member::Member;
use tandem_values::{Template, ck::*};
use tandem_vendor::{MemberConfig, TokenSelector, VendorMember};

const DIGEST: [u8; 32] = [3; 32];

#[test]
fn restarting_one_member_leaves_the_other_alone() {
    for kind in Kind::all() {
        let (a, b) = (TestToken::new(kind, "a"), TestToken::new(kind, "b"));
        let (a, b) = (a.member(), b.member());
        assert!(a.is_private() && b.is_private());
        let (at_a, at_b) = (session(&a), session(&b));
        let (key_a, key_b) = (pair(&a, at_a, true), pair(&b, at_b, false));
        a.restart().unwrap();
        // The other's session, login and session key are still there.
        let signature = sign(&b, at_b, key_b.private, &DIGEST).unwrap();
        verify(&b, at_b, key_b.public, &DIGEST, &signature).unwrap();
        // Ours are gone, although the vendor gives the same handles again.
        let again = session(&a);
        let stale = sign(&a, at_a, key_a.private, &DIGEST).unwrap_err();
        assert_eq!((stale.rv.0, stale.class), (CKR_SESSION_HANDLE_INVALID, Class::Lost));
        let found = a.find(again, &Template::new().with(CKA_CLASS, CKO_PRIVATE_KEY)).unwrap();
        sign(&a, again, found[0], &DIGEST).unwrap();
    }
}

/// Two tokens of one library that is loaded once: a restart concerns both, and both find that out.
#[test]
fn members_that_share_a_library_share_its_restart() {
    let mut token = TestToken::new(Kind::SoftHsm, "left");
    token.add_softhsm("right");
    token.config.quirks.private_copy = Some(false);
    // A file of its own, so that no other test shares this library.
    let copy = token.folder.path().join("vendor-b.so");
    fs::copy(&token.config.module, &copy).unwrap();
    token.config.module = copy;
    let right = MemberConfig {
        name: "right".into(),
        token: TokenSelector::Label("right".into()),
        ..token.config.clone()
    };
    let (left, right) = (token.member(), VendorMember::new(right));
    right.try_start().unwrap();
    assert!(!left.is_private() && !right.is_private());
    let (at_left, at_right) = (session(&left), session(&right));
    left.restart().unwrap();
    for (member, stale) in [(&left, at_left), (&right, at_right)] {
        assert_eq!(member.state(stale).unwrap_err().class, Class::Lost);
        let again = session(member);
        assert_eq!(member.state(again).unwrap(), CKS_RW_USER_FUNCTIONS);
        assert_eq!(member.token().unwrap().label, member.name());
    }
    // One stops, and the other's sessions go on.
    let again = session_of_logged_in(&right);
    left.stop().unwrap();
    assert_eq!(right.state(again).unwrap(), CKS_RW_USER_FUNCTIONS);
    right.stop().unwrap();
    assert_eq!(right.state(again).unwrap_err().rv.0, CKR_SESSION_HANDLE_INVALID);
    left.try_start().unwrap();
    session(&left);
}

fn session_of_logged_in(member: &VendorMember) -> tandem_engine::member::SessionId {
    member.open(true).unwrap()
}

#[test]
fn storage_that_was_away_heals_by_a_restart() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "mobile");
        let member = token.member();
        let before = session(&member);
        let key = pair(&member, before, true);
        let signature = sign(&member, before, key.private, &DIGEST).unwrap();
        let (here, away) = token.storage();
        fs::rename(&here, &away).unwrap();
        let gone = member.restart().unwrap_err();
        assert_eq!(gone.class, Class::Ill, "{kind:?}: {gone}");
        assert_eq!(member.open(true).unwrap_err().class, Class::Ill);
        // Trying while it is away changes nothing.
        assert_eq!(member.start().unwrap_err().class, Class::Ill);
        assert_eq!(member.restart().unwrap_err().class, Class::Ill);
        fs::remove_dir_all(&here).ok();
        fs::rename(&away, &here).unwrap();
        member.restart().unwrap();
        assert!(member.problem().is_none());
        let after = session(&member);
        let public = Template::new().with(CKA_CLASS, CKO_PUBLIC_KEY);
        let found = member.find(after, &public).unwrap();
        verify(&member, after, found[0], &DIGEST, &signature).unwrap();
    }
}

/// What SoftHSM does without its storage, and that its declared quirk is true.
#[test]
fn softhsm_without_its_storage_needs_the_restart() {
    let token = TestToken::new(Kind::SoftHsm, "needs");
    let member = token.member();
    assert!(member.quirks().heals_by_restart);
    let before = session(&member);
    let key = pair(&member, before, true);
    let (here, away) = token.storage();
    fs::rename(&here, &away).unwrap();
    assert!(sign(&member, before, key.private, &DIGEST).is_err());
    fs::rename(&away, &here).unwrap();
    assert!(sign(&member, before, key.private, &DIGEST).is_err(), "it heals by itself now");
    member.restart().unwrap();
    let after = session(&member);
    let private = Template::new().with(CKA_CLASS, CKO_PRIVATE_KEY);
    let found = member.find(after, &private).unwrap();
    sign(&member, after, found[0], &DIGEST).unwrap();
}

#[test]
fn starting_is_done_once_and_stopping_too() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "once");
        let member = token.member();
        let open = session(&member);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| member.try_start().unwrap());
            }
        });
        assert_eq!(member.state(open).unwrap(), CKS_RW_USER_FUNCTIONS);
        member.stop().unwrap();
        member.stop().unwrap();
        assert_eq!(member.state(open).unwrap_err().rv.0, CKR_SESSION_HANDLE_INVALID);
        assert_eq!(member.token().unwrap_err().rv.0, CKR_DEVICE_REMOVED);
        member.try_start().unwrap();
        session(&member);
    }
}

#[test]
fn a_hundred_starts_map_one_copy() {
    for kind in Kind::all() {
        let mut token = TestToken::new(kind, "hundred");
        // A name of its own, to be told from the copies of other tests.
        let name = format!("hundred-{kind:?}.so");
        let module = token.folder.path().join(&name);
        fs::copy(&token.config.module, &module).unwrap();
        token.config.module = module;
        token.config.quirks.private_copy = Some(true);
        for _ in 0..100 {
            let member = token.member();
            session(&member);
        }
        assert_eq!(copies(&name).len(), 1, "{kind:?}");
        // Another member has a copy of its own.
        let mut other = TestToken::new(kind, "other");
        other.config.module.clone_from(&token.config.module);
        other.config.quirks.private_copy = Some(true);
        let (_one, _two) = (token.member(), other.member());
        assert_eq!(copies(&name).len(), 2, "{kind:?}");
    }
}

/// The inodes of the memory files of this name that are mapped.
fn copies(name: &str) -> HashSet<String> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let ours = maps.lines().filter(|line| line.contains(&format!("memfd:tandem:{name}")));
    ours.filter_map(|line| line.split_whitespace().nth(4).map(str::to_owned)).collect()
}

/// A library that goes by another name is known once it says who made it.
#[test]
fn a_renamed_library_gets_its_private_copy_after_all() {
    let mut token = TestToken::new(Kind::SoftHsm, "renamed");
    let module = token.folder.path().join("acme.so");
    fs::copy(&token.config.module, &module).unwrap();
    token.config.module = module;
    let member = token.member();
    assert!(member.is_private());
    assert_eq!(member.quirks().kwp, CKM_AES_KEY_WRAP_PAD);
    session(&member);
}

#[test]
fn the_environment_is_as_it_was() {
    let token = TestToken::new(Kind::SoftHsm, "environment");
    let _member = token.member();
    assert!(std::env::var_os("SOFTHSM2_CONF").is_none());
}

/// Finalising waits for calls, and calls on a session of an earlier life never reach the vendor.
#[test]
fn restarts_among_calls() {
    for kind in Kind::all() {
        let (token, other) = (TestToken::new(kind, "busy"), TestToken::new(kind, "calm"));
        let (member, calm) = (token.member(), other.member());
        pair(&member, session(&member), true);
        let at_calm = session(&calm);
        let key = pair(&calm, at_calm, false);
        let (stop, signed) = (AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        work(&member, &stop, &signed);
                    }
                });
            }
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    sign(&calm, at_calm, key.private, &DIGEST).unwrap();
                }
            });
            // Twenty, and on until some work was done in between, however busy the machine.
            let restarted: Vec<_> = (0..1000)
                .take_while(|done| *done < 20 || signed.load(Ordering::Relaxed) == 0)
                .map(|_| {
                    thread::sleep(std::time::Duration::from_millis(10));
                    member.restart()
                })
                .collect();
            stop.store(true, Ordering::Relaxed);
            assert!(restarted.iter().all(Result::is_ok), "{kind:?}: {restarted:?}");
        });
        assert!(signed.load(Ordering::Relaxed) > 0, "{kind:?}");
    }
}

/// Opens, logs in, finds and signs until something is in the way, which must be a session or login that has gone.
fn work(member: &VendorMember, stop: &AtomicBool, signed: &AtomicU32) {
    let try_work = || -> tandem_engine::fault::Answer {
        let session = member.open(true)?;
        let pin = crate::token::pin(crate::token::USER_PIN);
        match member.login(session, tandem_engine::member::User::User, Some(&pin)) {
            Err(fault) if fault.rv.0 == CKR_USER_ALREADY_LOGGED_IN => {}
            login => login?,
        }
        let private = Template::new().with(CKA_CLASS, CKO_PRIVATE_KEY);
        while !stop.load(Ordering::Relaxed) {
            for key in member.find(session, &private)? {
                sign(member, session, key, &DIGEST)?;
                signed.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    if let Err(fault) = try_work() {
        assert_eq!(fault.class, Class::Lost, "{fault}");
    }
}
