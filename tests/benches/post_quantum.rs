//! Post-quantum signatures of what DNSSEC signs, against the member's own module with the same key, in turns: how long they take
//! and how large keys and signatures are. Prints them and judges nothing.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark")]

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::object::{
    Attribute, AttributeType, MlDsaParameterSetType, ObjectClass, ObjectHandle, ParameterSetType,
    SlhDsaParameterSetType,
};
use cryptoki::session::Session;
use std::time::Instant;
use tandem_tests::{Demo, Rounds, Vendor, Wanted, initialised, value};

/// How many rounds there are.
const ROUNDS: usize = 7;
/// How long a round is, in milliseconds.
const ROUND_MS: u128 = 150;
/// What a signature over a small RRset covers (RFC 4034 section 3.1.8.1), in bytes.
const SIGNED: [u8; 200] = [7; 200];
/// What an answer over UDP has room for without being cut into fragments, as resolvers ask for it, in bytes.
const UDP: usize = 1_232;

fn main() {
    let wanted = Wanted::over(&[Vendor::Kryoptic, Vendor::Kryoptic]).with("allow_host_keygen=true");
    let (_dir, demo) = Demo::make(&wanted);
    demo.configure(|text| {
        text.replace("[[token.member]]\n", "[[token.member]]\ndeadline_ms = 0\n")
    });
    // SAFETY: no other thread of this program reads the environment now.
    unsafe { std::env::set_var("TANDEM_CONFIG", demo.config()) };
    let direct = demo.direct("a");
    let application = initialised();
    let session = application.log_in();
    println!(
        "| Kryoptic | key, bytes | signature, bytes | of {UDP} | Tandem, µs | alone, µs | ratio | of the rounds |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    for kind in kinds() {
        kind.measure(&session, &direct);
    }
    drop(session);
    application.finalize();
}

/// A kind of key that signs.
struct Kind {
    name: &'static str,
    set: ParameterSetType,
    generate: Mechanism<'static>,
    sign: Mechanism<'static>,
}

fn kinds() -> Vec<Kind> {
    let plain = SignAdditionalContext::new(HedgeType::Preferred, None);
    let ml_dsa = |name, set: MlDsaParameterSetType| Kind {
        name,
        set: set.into(),
        generate: Mechanism::MlDsaKeyPairGen,
        sign: Mechanism::MlDsa(plain),
    };
    vec![
        ml_dsa("ML-DSA-44", MlDsaParameterSetType::ML_DSA_44),
        ml_dsa("ML-DSA-65", MlDsaParameterSetType::ML_DSA_65),
        ml_dsa("ML-DSA-87", MlDsaParameterSetType::ML_DSA_87),
        Kind {
            name: "SLH-DSA-SHA2-128s",
            set: SlhDsaParameterSetType::SHA2_128S.into(),
            generate: Mechanism::SlhDsaKeyPairGen,
            sign: Mechanism::SlhDsa(plain),
        },
    ]
}

impl Kind {
    fn measure(&self, ours: &Session, direct: &Session) {
        let (public, key) = self.make(ours);
        let replica = self.find(direct);
        let key_len = value(ours, public, AttributeType::Value).len();
        let signature = ours.sign(&self.sign, key, &SIGNED).expect("a signature");
        direct.sign(&self.sign, replica, &SIGNED).expect("a signature of the member's");
        let round = |_| [self.timed(ours, key), self.timed(direct, replica)];
        let rounds = Rounds((0..ROUNDS).map(round).collect());
        let ([least, ratio, most], [ours, alone]) = (rounds.ratios(), rounds.medians());
        println!(
            "| {} | {key_len} | {} | {}.{} | {ours:.0} | {alone:.0} | {ratio:.2} | {least:.2} to {most:.2} |",
            self.name,
            signature.len(),
            signature.len() / UDP,
            signature.len() % UDP * 10 / UDP,
        );
    }

    fn make(&self, session: &Session) -> (ObjectHandle, ObjectHandle) {
        let named = [Attribute::Token(true), Attribute::Label(self.name.into())];
        let public = [&named[..], &[Attribute::ParameterSet(self.set), Attribute::Verify(true)]];
        let locked = [
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        let (public, private) = (public.concat(), [&named[..], &locked].concat());
        session.generate_key_pair(&self.generate, &public, &private).expect("a pair")
    }

    fn find(&self, session: &Session) -> ObjectHandle {
        let wanted =
            [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(self.name.into())];
        *session.find_objects(&wanted).expect("a search").first().expect("the replica")
    }

    /// Microseconds that a signature takes.
    fn timed(&self, session: &Session, key: ObjectHandle) -> f64 {
        let (began, mut count) = (Instant::now(), 0_u32);
        while began.elapsed().as_millis() < ROUND_MS {
            session.sign(&self.sign, key, &SIGNED).expect("a signature");
            count += 1;
        }
        began.elapsed().as_secs_f64() * 1e6 / f64::from(count)
    }
}
