//! Someone who has a member's own module, its user PIN and a copy of the log tries to get at the keys. Nothing here goes
//! through Tandem but the making of what is to be stolen.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki_sys::*;
use std::ptr;
use tandem_tests::keys::Kind;
use tandem_tests::{Demo, Direct, Raw, Vendor, Wanted, alone, application, attribute, call};

/// CKA_ID of the keys with which Tandem wraps.
const RING_ID: &[u8] = b"tandem key ring";

#[test]
fn a_thief_with_softhsm_its_pin_and_the_log_gets_no_key() {
    alone(&Wanted::mixed(), |demo| steal_from(demo, "a"));
}

#[test]
fn a_thief_with_kryoptic_its_pin_and_the_log_gets_no_key() {
    alone(&Wanted::mixed(), |demo| steal_from(demo, "b"));
}

#[test]
fn the_doctor_says_of_each_member_what_a_thief_can_do() {
    alone(&Wanted::mixed(), |demo| {
        let report = demo.report(&["doctor"]);
        let findings = report["findings"].as_array().expect("findings");
        for (member, _) in demo.members() {
            let subject = format!("token demo, member {member}");
            let said: Vec<_> = findings
                .iter()
                .filter(|finding| finding["subject"] == subject.as_str())
                .map(|finding| finding["found"].as_str().expect("a text"))
                .filter(|found| found.contains("refuse"))
                .collect();
            assert!(!said.is_empty(), "nothing is said of attacks on {member}");
            // What both vendors were found to withstand: should one not, `steal_from` fails too.
            for attack in ["extractable", "class", "decrypt", "template", "copy"] {
                let broken =
                    said.iter().any(|found| found.contains("NOT") && found.contains(attack));
                assert!(!broken, "{member}: {said:?}");
            }
            println!("| {member} | {} |", said.join(" | "));
        }
    });
}

/// What a thief finds in the log: wrapped bytes, and what they are.
struct Loot {
    wrapped: Vec<u8>,
    class: ObjectClass,
    key_type: KeyType,
}

fn steal_from(demo: &Demo, member: &str) {
    let loot = make_loot(demo);
    let thief = Thief::at(demo, member);
    assert!(thief.keks.len() >= 3, "the thief finds the keys that wrap");
    for loot in &loot {
        let kek = thief.kek_of(loot);
        thief.unwraps_otherwise(kek, loot);
        thief.uses_otherwise(kek, loot);
        thief.changes(kek, loot);
        thief.copies(kek, loot);
        thief.carries_off(kek);
        // After all that, the key still opens the log, and only as it should.
        assert_eq!(thief.kek_of(loot), kek, "the KEK is as it was");
    }
    println!("| {} | {} attacks | all refused |", demo.vendor(member), thief.tried.get());
}

/// A private and a secret key of Tandem's, and their wrapped bytes as the log has them.
fn make_loot(demo: &Demo) -> Vec<Loot> {
    let (application, session) = application();
    for kind in [Kind::P256, Kind::Aes(32)] {
        kind.make(&session, "treasure").expect("a key");
    }
    drop(session);
    application.finalize();
    let log = rusqlite::Connection::open(demo.database()).expect("the log");
    let mut query = log
        .prepare("SELECT wrapped FROM records WHERE wrapped IS NOT NULL ORDER BY position")
        .expect("the log's records");
    let wrapped = query.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("wrapped bytes");
    let wrapped: Vec<_> = wrapped.map(|row| row.expect("wrapped bytes")).collect();
    let [private, secret] = wrapped.try_into().expect("two wrapped keys");
    vec![
        Loot { wrapped: private, class: ObjectClass::PRIVATE_KEY, key_type: KeyType::EC },
        Loot { wrapped: secret, class: ObjectClass::SECRET_KEY, key_type: KeyType::AES },
    ]
}

struct Thief {
    direct: Direct,
    raw: Raw,
    keks: Vec<ObjectHandle>,
    /// RFC 5649, under this vendor's number.
    unwraps: CK_MECHANISM_TYPE,
    tried: std::cell::Cell<usize>,
}

impl Thief {
    fn at(demo: &Demo, member: &str) -> Self {
        let direct = demo.direct(member);
        let ring = [Attribute::Id(RING_ID.to_vec()), Attribute::Unwrap(true)];
        let keks = direct.find_objects(&ring).expect("a search");
        let unwraps = match demo.vendor(member) {
            Vendor::SoftHsm => CKM_AES_KEY_WRAP_PAD,
            Vendor::Kryoptic => CKM_AES_KEY_WRAP_KWP,
        };
        Self { raw: direct.raw(), direct, keks, unwraps, tried: 0.into() }
    }

    fn unwrap_by(
        &self,
        mechanism: CK_MECHANISM_TYPE,
        kek: ObjectHandle,
        wrapped: &[u8],
        template: &[Attribute],
    ) -> Result<ObjectHandle, CK_RV> {
        let mut mechanism =
            CK_MECHANISM { mechanism, pParameter: ptr::null_mut(), ulParameterLen: 0 };
        let mut iv = [0xa5_u8; 16];
        if mechanism.mechanism == CKM_AES_CBC_PAD {
            (mechanism.pParameter, mechanism.ulParameterLen) = (iv.as_mut_ptr().cast(), 16);
        }
        let mut wrapped = wrapped.to_vec();
        let mut template: Vec<CK_ATTRIBUTE> = template.iter().map(Into::into).collect();
        let mut made = 0;
        let rv = call!(
            self.raw,
            C_UnwrapKey(
                self.direct.handle(),
                &raw mut mechanism,
                kek.handle(),
                wrapped.as_mut_ptr(),
                wrapped.len() as CK_ULONG,
                template.as_mut_ptr(),
                template.len() as CK_ULONG,
                &raw mut made,
            )
        );
        if rv != CKR_OK {
            return Err(rv);
        }
        // SAFETY: the module has just answered it.
        Ok(unsafe { ObjectHandle::new_from_raw(made) })
    }

    fn unwrap(
        &self,
        kek: ObjectHandle,
        wrapped: &[u8],
        template: &[Attribute],
    ) -> Result<ObjectHandle, CK_RV> {
        self.unwrap_by(self.unwraps, kek, wrapped, template)
    }

    /// The KEK that opens these bytes as they are meant to be opened. Without this no refusal would prove anything.
    fn kek_of(&self, loot: &Loot) -> ObjectHandle {
        let opens = |kek: &&ObjectHandle| {
            let Ok(key) = self.unwrap(**kek, &loot.wrapped, &locked(loot)) else { return false };
            self.is_useless(key)
        };
        *self.keks.iter().find(opens).expect("a KEK that opens what is in the log")
    }

    /// An attack that the module must refuse.
    fn refused<T, E>(&self, what: &str, answer: Result<T, E>) {
        self.tried.set(self.tried.get() + 1);
        assert!(answer.is_err(), "the module lets a thief {what}");
        drop(answer);
    }

    /// Unwraps differently than Tandem would. What comes out, if anything, must be of no use outside.
    fn unwraps_otherwise(&self, kek: ObjectHandle, loot: &Loot) {
        let base = [
            Attribute::Class(loot.class),
            Attribute::KeyType(loot.key_type),
            Attribute::Token(false),
        ];
        let with = |more: &[Attribute]| [&base[..], more].concat();
        let (sensitive, extractable) = (Attribute::Sensitive, Attribute::Extractable);
        let templates = [
            ("unwrap as extractable", with(&[sensitive(true), extractable(true)])),
            ("unwrap as not sensitive", with(&[sensitive(false), extractable(false)])),
            ("unwrap as both", with(&[sensitive(false), extractable(true)])),
            ("unwrap as extractable only", with(&[extractable(true)])),
            ("unwrap as not sensitive only", with(&[sensitive(false)])),
            (
                "unwrap with flags twice",
                with(&[sensitive(true), extractable(false), extractable(true), sensitive(false)]),
            ),
        ];
        for (what, template) in templates {
            self.refused(what, self.unwrap(kek, &loot.wrapped, &template));
        }
        // With nothing said, the KEK's own template must have said it.
        if let Ok(key) = self.unwrap(kek, &loot.wrapped, &base) {
            assert!(self.is_useless(key), "a key unwrapped without flags is open");
        }
        let other = match loot.class {
            ObjectClass::PRIVATE_KEY => (ObjectClass::SECRET_KEY, KeyType::GENERIC_SECRET),
            _ => (ObjectClass::PRIVATE_KEY, KeyType::EC),
        };
        for flags in [
            vec![],
            vec![sensitive(true), extractable(false)],
            vec![sensitive(false), extractable(true)],
        ] {
            let template =
                [&[Attribute::Class(other.0), Attribute::KeyType(other.1)][..], &flags].concat();
            self.refused("unwrap as another class", self.unwrap(kek, &loot.wrapped, &template));
        }
        let data = [Attribute::Class(ObjectClass::DATA), Attribute::Token(false)];
        self.refused("unwrap as data", self.unwrap(kek, &loot.wrapped, &data));
        for mechanism in [CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_PKCS7, CKM_AES_CBC_PAD, CKM_AES_ECB] {
            self.refused(
                "unwrap by another mechanism",
                self.unwrap_by(mechanism, kek, &loot.wrapped, &locked(loot)),
            );
        }
    }

    /// Uses a KEK for what it isn't for.
    fn uses_otherwise(&self, kek: ObjectHandle, loot: &Loot) {
        for (name, mechanism) in [
            ("ECB", Mechanism::AesEcb),
            ("CBC", Mechanism::AesCbc([0; 16])),
            ("key wrap", Mechanism::AesKeyWrap),
            ("key wrap with padding", Mechanism::AesKeyWrapPad),
        ] {
            self.refused(
                &format!("decrypt by {name}"),
                self.direct.decrypt(&mechanism, kek, &loot.wrapped),
            );
            self.refused(
                &format!("encrypt by {name}"),
                self.direct.encrypt(&mechanism, kek, &[0; 32]),
            );
        }
        self.refused("read a KEK", read_value(&self.direct, kek));
    }

    /// Changes a KEK so that it decrypts, or opens keys otherwise.
    fn changes(&self, kek: ObjectHandle, loot: &Loot) {
        let flags = [
            Attribute::Decrypt(true),
            Attribute::Encrypt(true),
            Attribute::Extractable(true),
            Attribute::Sensitive(false),
            Attribute::Copyable(true),
            Attribute::Modifiable(true),
            Attribute::Derive(true),
            Attribute::AllowedMechanisms(Vec::new()),
            Attribute::Label(b"mine".to_vec()),
        ];
        for flag in flags {
            let what = format!("set {flag:?} on a KEK");
            self.refused(&what, self.direct.update_attributes(kek, std::slice::from_ref(&flag)));
        }
        for mut open in [Vec::new(), open_template()] {
            self.refused("change a KEK's template", self.set_template(kek, &mut open));
        }
        self.refused("unwrap after all that", self.unwrap(kek, &loot.wrapped, &opened(loot)));
        self.refused(
            "decrypt after all that",
            self.direct.decrypt(&Mechanism::AesEcb, kek, &loot.wrapped),
        );
    }

    fn set_template(&self, kek: ObjectHandle, inner: &mut [CK_ATTRIBUTE]) -> Result<(), CK_RV> {
        let mut outer = CK_ATTRIBUTE {
            type_: CKA_UNWRAP_TEMPLATE,
            pValue: if inner.is_empty() { ptr::null_mut() } else { inner.as_mut_ptr().cast() },
            ulValueLen: size_of_val(inner) as CK_ULONG,
        };
        let rv = call!(
            self.raw,
            C_SetAttributeValue(self.direct.handle(), kek.handle(), &raw mut outer, 1)
        );
        if rv == CKR_OK { Ok(()) } else { Err(rv) }
    }

    /// Copies a KEK to one that does more.
    fn copies(&self, kek: ObjectHandle, loot: &Loot) {
        let flags = [
            vec![],
            vec![Attribute::Token(false)],
            vec![Attribute::Token(false), Attribute::Decrypt(true)],
            vec![
                Attribute::Token(false),
                Attribute::Extractable(true),
                Attribute::Sensitive(false),
            ],
            vec![Attribute::Token(false), Attribute::Modifiable(true), Attribute::Copyable(true)],
            vec![Attribute::Token(false), Attribute::AllowedMechanisms(Vec::new())],
        ];
        for template in flags {
            let copied = self.direct.copy_object(kek, &template);
            if let Ok(copy) = &copied {
                let opened = self.unwrap(*copy, &loot.wrapped, &opened(loot));
                assert!(opened.is_err(), "a copy of a KEK with {template:?} opens keys to a thief");
            }
            self.refused(&format!("copy a KEK with {template:?}"), copied);
        }
        for inner in [&mut [][..], &mut open_template()] {
            self.refused("copy a KEK with another template", self.copy_with_template(kek, inner));
        }
    }

    fn copy_with_template(
        &self,
        kek: ObjectHandle,
        inner: &mut [CK_ATTRIBUTE],
    ) -> Result<CK_OBJECT_HANDLE, CK_RV> {
        let mut token = CK_FALSE;
        let mut template = [
            attribute(CKA_TOKEN, &mut token),
            CK_ATTRIBUTE {
                type_: CKA_UNWRAP_TEMPLATE,
                pValue: if inner.is_empty() { ptr::null_mut() } else { inner.as_mut_ptr().cast() },
                ulValueLen: size_of_val(inner) as CK_ULONG,
            },
        ];
        let mut copy = 0;
        let rv = call!(
            self.raw,
            C_CopyObject(
                self.direct.handle(),
                kek.handle(),
                template.as_mut_ptr(),
                2,
                &raw mut copy,
            )
        );
        if rv == CKR_OK { Ok(copy) } else { Err(rv) }
    }

    /// Wraps a KEK under a key of the thief's own, or under another KEK.
    fn carries_off(&self, kek: ObjectHandle) {
        let own = [
            Attribute::Token(false),
            Attribute::ValueLen(32.into()),
            Attribute::Wrap(true),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ];
        let own =
            self.direct.generate_key(&Mechanism::AesKeyGen, &own).expect("a key of the thief's");
        for by in self.keks.iter().copied().chain([own]) {
            for mechanism in
                [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad, Mechanism::AesCbcPad([0; 16])]
            {
                self.refused("wrap a KEK", self.direct.wrap_key(&mechanism, by, kek));
            }
        }
    }

    /// True if nothing of a key can be had in the clear, now or by setting its flags or copying it.
    fn is_useless(&self, key: ObjectHandle) -> bool {
        let flags = self
            .direct
            .get_attributes(key, &[AttributeType::Sensitive, AttributeType::Extractable]);
        let locked = matches!(
            flags.as_deref(),
            Ok([Attribute::Sensitive(true), Attribute::Extractable(false)])
        );
        let open = [Attribute::Sensitive(false), Attribute::Extractable(true)];
        let opens = open.iter().any(|flag| {
            self.direct.update_attributes(key, std::slice::from_ref(flag)).is_ok()
                || self.direct.copy_object(key, &[Attribute::Token(false), flag.clone()]).is_ok()
        });
        locked && !opens && read_value(&self.direct, key).is_err()
    }
}

fn read_value(direct: &Direct, key: ObjectHandle) -> Result<Vec<u8>, Error> {
    match direct.get_attributes(key, &[AttributeType::Value])?.pop() {
        Some(Attribute::Value(value)) => Ok(value),
        _ => Err(Error::Pkcs11(
            RvError::AttributeSensitive,
            cryptoki::context::Function::GetAttributeValue,
        )),
    }
}

fn locked(loot: &Loot) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(loot.class),
        Attribute::KeyType(loot.key_type),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
    ];
    if loot.class == ObjectClass::SECRET_KEY {
        // What is derived from a secret key may show it, so its KEK opens none that may derive.
        template.extend([
            Attribute::Derive(false),
            Attribute::Copyable(false),
            Attribute::Modifiable(false),
        ]);
    }
    template
}

fn opened(loot: &Loot) -> Vec<Attribute> {
    vec![
        Attribute::Class(loot.class),
        Attribute::KeyType(loot.key_type),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]
}

/// What a thief would have a KEK's CKA_UNWRAP_TEMPLATE be.
fn open_template() -> Vec<CK_ATTRIBUTE> {
    let (yes, no) = (Box::leak(Box::new(CK_TRUE)), Box::leak(Box::new(CK_FALSE)));
    vec![attribute(CKA_EXTRACTABLE, yes), attribute(CKA_SENSITIVE, no)]
}
