//! A thief with a member's own module, its user PIN and the log (`facts.md` m).

use crate::tokens::{Fixture, Vendor};
use crate::world::{Paired, objects};
use Vendor::{Kryoptic, SoftHsm};
use tandem_engine::desk::Desk;
use tandem_engine::pair;
use tandem_engine::ring::{Attack, Generation, Keks, RingHandles, RingKey};
use tandem_values::{Handle, Mechanism, Template, ck::*};

fn open(attacks: &[Attack]) -> Vec<&str> {
    attacks.iter().filter(|attack| !attack.refused).map(|attack| attack.name.as_str()).collect()
}

/// The attacks that the issue names, by what they are called here.
const NAMED: [&str; 15] = [
    "unwrap as extractable",
    "unwrap as not sensitive",
    "unwrap as another class",
    "unwrap without CKA_EXTRACTABLE",
    "unwrap by CKM_AES_KEY_WRAP",
    "Decrypt by CKM_AES_ECB",
    "set CKA_DECRYPT",
    "set CKA_ENCRYPT",
    "set CKA_EXTRACTABLE",
    "set CKA_UNWRAP_TEMPLATE",
    "set CKA_ALLOWED_MECHANISMS",
    "copy",
    "copy with another unwrap template",
    "wrap it under a key of one's own",
    "read CKA_VALUE",
];

#[test]
fn each_known_attack_is_refused_by_both_vendors() {
    let paired = Paired::new(&[SoftHsm, Kryoptic]);
    for member in &paired.ring.members {
        assert_eq!(open(&member.attacks), [""; 0], "on member {}", member.name);
        for key in ["private", "secret"] {
            for what in NAMED {
                let name = format!("{key} key: {what}");
                assert!(member.attacks.iter().any(|attack| attack.name == name), "{name} is tried");
            }
        }
        for key in RingKey::ALL {
            let name = format!("{} key: read CKA_VALUE", key.name());
            assert!(member.attacks.iter().any(|attack| attack.name == name), "{name} is tried");
        }
    }
}

#[test]
fn attacks_leave_nothing_behind_and_can_be_made_again() {
    let paired = Paired::new(&[SoftHsm, Kryoptic]);
    for (fixture, member) in paired.members.iter().zip(&paired.ring.members) {
        let desk = fixture.desk();
        let handles = pair::find(&desk, &paired.ring).unwrap();
        assert_eq!(pair::attack(&desk, &handles).unwrap(), member.attacks);
        assert_eq!(objects(&desk).len(), RingKey::ALL.len());
        pair::verify(&desk, &paired.ring, &handles).unwrap();
        desk.leave();
    }
}

/// A KEK with an unwrap template and no other lock, as one might make it who reads the specification only.
fn weak(desk: &Desk<'_>, template: &Template) -> Handle {
    let mut weak = Template::new()
        .with(CKA_ENCRYPT, false)
        .with(CKA_DECRYPT, false)
        .with(CKA_SIGN, false)
        .with(CKA_VALUE_LEN, 32)
        .with(CKA_TOKEN, true)
        .with(CKA_PRIVATE, true)
        .with(CKA_SENSITIVE, true)
        .with(CKA_EXTRACTABLE, false)
        .with(CKA_WRAP, true)
        .with(CKA_UNWRAP, true);
    weak.merge(template);
    desk.member.generate(desk.session, &Mechanism::plain(CKM_AES_KEY_GEN), &weak).unwrap()
}

fn closed(class: u64) -> Template {
    let opens = Template::new()
        .with(CKA_CLASS, class)
        .with(CKA_SENSITIVE, true)
        .with(CKA_EXTRACTABLE, false);
    Template::new().with(CKA_UNWRAP_TEMPLATE, opens)
}

/// The attacks are real: on keys without the lock they succeed, and pairing would say so.
#[test]
fn a_key_without_the_lock_falls_to_the_attacks() {
    for vendor in [SoftHsm, Kryoptic] {
        let fixture = Fixture::new(vendor, "a");
        let desk = fixture.desk();
        let newest = Keks {
            generation: Generation::FIRST,
            private: weak(&desk, &closed(CKO_PRIVATE_KEY)),
            secret: weak(&desk, &Template::new()),
            open: weak(&desk, &Template::new()),
            data: weak(&desk, &Template::new().with(CKA_ENCRYPT, true)),
        };
        let log = weak(&desk, &Template::new().with(CKA_SIGN, true));
        let handles = RingHandles { newest, older: None, log };
        let kept = objects(&desk).len();
        let attacks = pair::attack(&desk, &handles).unwrap();
        let open = open(&attacks);
        let mut falls = vec![
            "private key: set CKA_DECRYPT",
            "private key: set CKA_ENCRYPT",
            "private key: set CKA_LABEL",
            "private key: copy",
            "private key: wrap by CKM_AES_KEY_WRAP",
            "secret key: unwrap as extractable",
            "secret key: unwrap as not sensitive",
            "secret key: unwrap as extractable and not sensitive",
            "secret key: unwrap as another class",
            "data key: Encrypt by CKM_AES_ECB",
        ];
        if vendor == Kryoptic {
            falls.push("private key: set CKA_UNWRAP_TEMPLATE");
            falls.push("private key: copy with another unwrap template");
            falls.extend([
                "secret key: unwrap, and derive by CKM_CONCATENATE_BASE_AND_DATA",
                "secret key: unwrap, and derive by CKM_CONCATENATE_DATA_AND_BASE",
                "secret key: unwrap, and derive by CKM_XOR_BASE_AND_DATA",
                "secret key: unwrap, and derive by CKM_EXTRACT_KEY_FROM_KEY",
            ]);
        }
        for name in falls {
            assert!(
                open.contains(&name),
                "{vendor:?}: {name} should succeed; these did: {open:#?}"
            );
        }
        assert_eq!(objects(&desk).len(), kept, "what an attack makes is destroyed again");
    }
}

/// A refusal of what could not work proves nothing, and a fault of another kind is no refusal.
#[test]
fn a_ring_that_does_not_work_is_an_error_and_a_gone_key_is_no_refusal() {
    let paired = Paired::new(&[Kryoptic]);
    let desk = paired.members[0].desk();
    let handles = pair::find(&desk, &paired.ring).unwrap();
    let newest = Keks { private: handles.log, ..handles.newest };
    let nothing = RingHandles { newest, ..handles };
    assert!(pair::attack(&desk, &nothing).is_err());
    desk.member.destroy(desk.session, handles.newest.data).unwrap();
    let attacks = pair::attack(&desk, &handles).unwrap();
    let data: Vec<_> =
        attacks.iter().filter(|attack| attack.name.starts_with("data key")).collect();
    assert!(!data.is_empty());
    for attack in data {
        assert!(!attack.refused, "{attack:?}: the key is gone, so nothing was refused");
    }
}
