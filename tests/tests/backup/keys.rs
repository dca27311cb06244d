//! Keys of every kind that a backup must bring back, and their public halves as everybody knows them.

use super::argument;
use cryptoki::session::Session;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::openssl::PublicKey;
use tandem_tests::{Application, Demo, application};

pub(crate) const KINDS: [Kind; 4] = [Kind::Rsa(2048), Kind::P256, Kind::Generic(20), Kind::Aes(32)];

/// Makes keys, and answers the public halves as everybody knows them.
pub(crate) fn make(session: &Session) -> Vec<(Kind, PublicKey)> {
    let mut published = Vec::new();
    for kind in KINDS {
        let made = kind.make(session, &format!("{kind}")).expect("a key");
        published.extend(kind.public(session, made).map(|public| (kind, public)));
    }
    published
}

/// Works with every key, and has the published ones judge.
pub(crate) fn works(session: &Session, published: &[(Kind, PublicKey)]) {
    for kind in KINDS {
        let name = format!("{kind}");
        let made = kind.find(session, &name).unwrap_or_else(|| panic!("{name} is there"));
        let signature = kind.work(session, made).unwrap_or_else(|e| panic!("{name}: {e}"));
        if let Some((_, public)) = published.iter().find(|(known, _)| *known == kind) {
            assert!(public.verifies(&DIGEST, &signature), "{name} is another key");
        }
    }
}

/// An application with another configuration.
pub(crate) fn application_of(demo: &Demo) -> (Application, Session) {
    // SAFETY: no other thread of this program reads the environment now.
    unsafe { std::env::set_var("TANDEM_CONFIG", demo.config()) };
    application()
}

pub(crate) fn shares(demo: &Demo) -> String {
    argument(demo, "shares")
}
