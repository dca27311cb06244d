//! Searching a token while other threads make objects there.

use crate::token::{Kind, TestToken, session};
use std::thread;
use tandem_engine::member::Member;
use tandem_values::{Template, ck::*};

const MAKERS: usize = 2;
const OBJECTS: usize = 60;

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
        thread::scope(|scope| {
            let make = || {
                let session = member.open(true).unwrap();
                for number in 0..OBJECTS {
                    let made = member.create(session, &object);
                    assert!(made.is_ok(), "{kind:?}, object {number}: {made:?}");
                }
            };
            let makers: Vec<_> = (0..MAKERS).map(|_| scope.spawn(make)).collect();
            while !makers.iter().all(thread::ScopedJoinHandle::is_finished) {
                member.find(first, &Template::new().with(CKA_LABEL, "made")).unwrap();
                thread::yield_now();
            }
        });
        let all = member.find(first, &Template::new().with(CKA_TOKEN, true)).unwrap();
        let whole = Template::new().with(CKA_LABEL, "made");
        let whole = member.find(first, &whole).unwrap();
        assert_eq!((whole.len(), all.len()), (MAKERS * OBJECTS, MAKERS * OBJECTS), "{kind:?}");
    }
}
