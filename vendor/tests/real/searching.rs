//! Searching a token while other threads make objects there.

use crate::token::{Kind, TestToken, session};
use std::thread;
use tandem_engine::member::Member;
use tandem_values::{Template, ck::*};

const MAKERS: usize = 2;
const OBJECTS: usize = 60;
/// SoftHSM refuses one of some thousand C_CreateObject (CKR_GENERAL_ERROR) even where searches are kept apart from them.
const REFUSED_MAX: usize = 2;

/// A search once made fail what SoftHSM was making, and left half of it there.
#[test]
fn what_is_made_while_others_search_is_made_whole() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "searched");
        let member = token.member();
        let object = Template::new()
            .with(CKA_CLASS, CKO_SECRET_KEY)
            .with(CKA_KEY_TYPE, CKK_AES)
            .with(CKA_TOKEN, true)
            .with(CKA_PRIVATE, true)
            .with(CKA_LABEL, "made")
            .with(CKA_VALUE, vec![7_u8; 32]);
        let first = session(&member);
        let refused = thread::scope(|scope| {
            let make = || {
                let session = member.open(true).unwrap();
                (0..OBJECTS).filter(|_| member.create(session, &object).is_err()).count()
            };
            let makers: Vec<_> = (0..MAKERS).map(|_| scope.spawn(make)).collect();
            while !makers.iter().all(thread::ScopedJoinHandle::is_finished) {
                member.find(first, &Template::new().with(CKA_LABEL, "made")).unwrap();
                thread::yield_now();
            }
            makers.into_iter().map(|maker| maker.join().unwrap()).sum::<usize>()
        });
        let all = member.find(first, &Template::new().with(CKA_TOKEN, true)).unwrap();
        let whole = Template::new().with(CKA_LABEL, "made");
        let whole = member.find(first, &whole).unwrap();
        let made = MAKERS * OBJECTS - refused;
        assert!(refused <= REFUSED_MAX, "{kind:?} refused {refused}");
        let (whole, all) = (whole.len(), all.len());
        assert!((made..=made + refused).contains(&whole), "{kind:?}: {whole} of {made} are whole");
        assert!(
            (made..=made + refused).contains(&all),
            "{kind:?}: {all} are there, {made} were made"
        );
    }
}
