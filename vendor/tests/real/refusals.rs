//! What is refused, and that the reason says so.

use crate::token::{Kind, SO_PIN, TestToken, USER_PIN, pin, session};
use tandem_engine::fault::{Call, Class};
use tandem_engine::member::{Member, User};
use tandem_values::ck::*;
use tandem_vendor::{Initialise, LoadError, MemberConfig, TokenSelector, VendorMember};

/// Why a member doesn't start.
fn refusal(config: MemberConfig) -> LoadError {
    let member = VendorMember::new(config);
    let fault = member.start().unwrap_err();
    assert_eq!((fault.call, fault.class), (Call::Start, Class::Ill));
    let problem = member.problem().expect("a reason");
    assert_eq!(problem.rv(), fault.rv);
    assert!(!problem.remedy().is_empty());
    // Nothing can be asked of a member that isn't started, and the engine tries another.
    assert_eq!(member.open(false).unwrap_err().class, Class::Ill);
    LoadError::clone(&problem)
}

#[test]
fn two_members_on_one_token() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "only-one");
        let first = token.member();
        let twin = MemberConfig { name: "twin".into(), ..token.config.clone() };
        let error = refusal(twin.clone());
        assert!(
            matches!(&error, LoadError::SameToken { other, label, .. }
                if other == "only-one" && label == "only-one"),
            "{error}"
        );
        // The first goes on, and when it lets go the other may come.
        session(&first);
        first.stop().unwrap();
        let second = VendorMember::new(twin);
        second.try_start().unwrap();
        session(&second);
        // Members start at the same time: whoever comes first, the token is the first one's.
        first.try_start().unwrap();
        assert_eq!(second.token().unwrap_err().rv.0, CKR_DEVICE_REMOVED);
        assert!(matches!(*second.try_start().unwrap_err(), LoadError::SameToken { .. }));
        session(&first);
    }
}

#[test]
fn a_token_that_is_not_there() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "there");
        let wanted =
            |token_is: TokenSelector| MemberConfig { token: token_is, ..token.config.clone() };
        let error = refusal(wanted(TokenSelector::Label("elsewhere".into())));
        assert!(error.to_string().contains("label \"elsewhere\""), "{error}");
        assert!(error.to_string().contains("\"there\""), "it says what there is: {error}");
        let error = refusal(wanted(TokenSelector::Serial("0".into())));
        assert!(matches!(error, LoadError::NoToken { .. }), "{error}");
        let error = refusal(wanted(TokenSelector::Slot(0xdead_beef)));
        assert!(matches!(error, LoadError::Failed { .. }), "{error}");
    }
}

#[test]
fn a_token_is_found_by_serial_and_by_slot() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "found");
        let member = token.member();
        let (serial, slot) = (member.token().unwrap().serial, member.slot().unwrap());
        drop(member);
        for selector in [TokenSelector::Serial(serial), TokenSelector::Slot(slot)] {
            let config = MemberConfig { token: selector, ..token.config.clone() };
            let member = VendorMember::new(config);
            member.try_start().unwrap();
            assert_eq!(member.token().unwrap().label, "found");
        }
    }
}

#[test]
fn two_tokens_of_one_label() {
    let token = TestToken::new(Kind::SoftHsm, "twice");
    token.add_softhsm("twice");
    let error = refusal(token.config);
    assert!(matches!(error, LoadError::Ambiguous { .. }), "{error}");
}

#[test]
fn what_is_no_module() {
    let libm = "/lib/x86_64-linux-gnu/libm.so.6";
    let config = MemberConfig::new("a", libm, TokenSelector::Slot(0));
    let error = refusal(config);
    assert!(error.to_string().contains("no PKCS #11 module"), "{error}");
    assert!(error.to_string().contains("C_GetFunctionList"), "{error}");
}

#[test]
fn our_own_program() {
    let own = std::env::current_exe().unwrap();
    let config = MemberConfig::new("a", &own, TokenSelector::Slot(0));
    assert_eq!(tandem_vendor::check(&config), Err(LoadError::Own(own.clone())));
    assert_eq!(refusal(config), LoadError::Own(own));
}

#[test]
fn a_module_that_does_not_initialise() {
    let token = TestToken::new(Kind::SoftHsm, "no-start");
    let config = MemberConfig {
        initialise: Initialise::Reserved("SoftHSM takes no string".into()),
        ..token.config.clone()
    };
    let error = refusal(config);
    assert!(error.to_string().contains("CKR_ARGUMENTS_BAD to C_Initialize"), "{error}");
    // A refused start leaves nothing behind that the right one would stumble over.
    token.member();
}

#[test]
fn variables_that_can_not_be_set() {
    let token = TestToken::new(Kind::SoftHsm, "variables");
    let mut config = token.config;
    config.environment.push(("A=B".into(), "x".into()));
    assert_eq!(refusal(config), LoadError::Variable("A=B".into()));
}

#[test]
fn one_library_for_two_members_that_start_it_differently() {
    let tokens = ["one", "two"].map(|label| {
        let mut token = TestToken::new(Kind::SoftHsm, label);
        // A file of its own, so that no other test shares this library.
        token.config.quirks.private_copy = Some(false);
        token
    });
    let copy = tokens[0].folder.path().join("vendor-a.so");
    std::fs::copy(&tokens[0].config.module, &copy).unwrap();
    let configs = tokens
        .each_ref()
        .map(|token| MemberConfig { module: copy.clone(), ..token.config.clone() });
    let first = VendorMember::new(configs[0].clone());
    first.try_start().unwrap();
    assert!(!first.is_private());
    assert_eq!(refusal(configs[1].clone()), LoadError::Conflict(copy));
    session(&first);
}

#[test]
fn a_wrong_pin_is_refused_and_nothing_else_is_tried() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "pins");
        let member = token.member();
        let session = member.open(true).unwrap();
        let wrong = member.login(session, User::User, Some(&pin("wrong"))).unwrap_err();
        assert_eq!((wrong.rv.0, wrong.class), (CKR_PIN_INCORRECT, Class::Refused));
        member.login(session, User::User, Some(&pin(USER_PIN))).unwrap();
        let again = member.login(session, User::User, Some(&pin(USER_PIN))).unwrap_err();
        assert_eq!(again.rv.0, CKR_USER_ALREADY_LOGGED_IN);
        member.set_pin(session, Some(&pin(USER_PIN)), Some(&pin("654321"))).unwrap();
        member.logout(session).unwrap();
        let old = member.login(session, User::User, Some(&pin(USER_PIN))).unwrap_err();
        assert_eq!(old.rv.0, CKR_PIN_INCORRECT);
        member.login(session, User::User, Some(&pin("654321"))).unwrap();
    }
}

#[test]
fn a_token_is_initialised_with_nothing_but_the_members_calls() {
    for kind in Kind::all() {
        let token = TestToken::blank(kind, "fresh");
        assert!(matches!(refusal(token.config.clone()), LoadError::NoToken { .. }));
        token.add_by_module("fresh");
        let member = token.member();
        session(&member);
        let long = member.init_token(Some(&pin(SO_PIN)), &"x".repeat(33)).unwrap_err();
        assert_eq!(long.rv.0, CKR_ARGUMENTS_BAD);
        let in_use = member.init_token(Some(&pin(SO_PIN)), "fresh").unwrap_err();
        assert_eq!(in_use.rv.0, CKR_SESSION_EXISTS);
    }
}
