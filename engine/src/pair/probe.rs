//! What can be carried from where to where: every kind of key, from every member to every other and to itself, made,
//! wrapped, unwrapped and proven as Tandem does it.

use super::chance::Chance;
use super::kind::{self, Kind};
use super::recipe;
use super::scratch::Scratch;
use crate::carry;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::ports::Entropy;
use crate::prove::{self, Failure, Method, Proof};
use crate::report::Progress;
use crate::ring::{RingHandles, RingKey, Route};
use crate::signature;
use tandem_values::template::Reading;
use tandem_values::{Handle, Template, Value, ck::*};

/// A member and the ring on it.
pub type Place<'a> = (Desk<'a>, RingHandles);

/// Tries every kind of key on the ways that are wanted. What doesn't go is a route with a reason, not an error.
pub fn probe(
    places: &[Place<'_>],
    wanted: impl Fn(&Desk<'_>, &Desk<'_>) -> bool,
    entropy: &dyn Entropy,
    progress: &dyn Progress,
) -> Vec<Route> {
    let ways: Vec<(_, Vec<_>)> = places
        .iter()
        .map(|from| (from, places.iter().filter(|to| wanted(&from.0, &to.0)).collect()))
        .collect();
    let count: usize = ways.iter().map(|(_, to)| to.len()).sum();
    let cells = count.saturating_mul(kind::ALL.len());
    progress.stage("trying what can be carried where", u64::try_from(cells).unwrap_or(0));
    let mut routes = Vec::with_capacity(cells);
    for (from, ways) in ways {
        for kind in kind::ALL {
            // One key goes all ways: making RSA keys takes the longest.
            let sample = Sample::make(from, kind, kind.kek());
            for to in &ways {
                let gone = match &sample {
                    Ok(sample) => sample.arrive(from, to, entropy),
                    Err(reason) => Err(reason.clone()),
                };
                routes.push(Route {
                    from: from.0.name().to_owned(),
                    to: to.0.name().to_owned(),
                    kind: kind.name.to_owned(),
                    failure: gone.err(),
                });
                progress.step();
            }
        }
    }
    routes
}

/// Wraps some key under a KEK here and unwraps and proves it there. An error if no kind of key goes this way.
pub(super) fn link(
    from: &Place<'_>,
    to: &Place<'_>,
    kek: RingKey,
    chance: &Chance<'_>,
) -> Result<()> {
    let mut reasons = String::new();
    let fits = |kind: &&Kind| kek == RingKey::Open || kind.kek() == kek;
    for kind in kind::quick_first().into_iter().filter(fits) {
        match Sample::make(from, kind, kek).and_then(|sample| sample.arrive(from, to, chance)) {
            Ok(()) => return Ok(()),
            Err(reason) => reasons = format!("{reasons}; {}: {reason}", kind.name),
        }
    }
    let message = format!(
        "no key goes from member {} to member {} under the {} key{reasons}",
        from.0.name(),
        to.0.name(),
        kek.name()
    );
    Err(Error::new(CKR_DEVICE_ERROR, message))
}

/// A key on its way, and how it is known when it arrives.
struct Sample {
    kind: &'static Kind,
    kek: RingKey,
    method: Method,
    wrapped: Vec<u8>,
    mark: Mark,
}

enum Mark {
    /// The public half that judges its signatures.
    Public(Template),
    /// A secret key.
    Secret(Secret),
}

struct Secret {
    /// What it makes of a fixed text.
    answer: tandem_values::Bytes,
    /// Its length in bytes.
    len: u64,
    /// The key wrapped under the open KEK too, to measure it where its length isn't shown.
    open: Vec<u8>,
}

/// What a secret key is asked.
const QUESTION: [u8; 32] = *b"tandem: is it you that I wrapped";

impl Sample {
    /// Makes a key and wraps it.
    fn make(from: &Place<'_>, kind: &'static Kind, kek: RingKey) -> Result<Self, String> {
        let (desk, handles) = from;
        if let Some(len) = kind.len()
            && desk.member.quirks().wraps_multiples_of_eight
            && !len.is_multiple_of(8)
        {
            return Err(format!(
                "member {} pads such a length when it wraps, so it never wraps it",
                desk.name()
            ));
        }
        let method = method(kind).ok_or("no way is known to prove it")?;
        let scratch = Scratch::at(desk);
        let fresh = kind.generate(&scratch, method.usage).map_err(told(desk, "generating it"))?;
        let wrapped =
            carry::wrap(desk, handles.get(kek), fresh.key).map_err(told(desk, "wrapping it"))?;
        let mark = match (fresh.public, kind.len()) {
            (Some(public), _) => Mark::Public(public_half(desk, kind, public)?),
            (None, len) => {
                let answer = prove::run(desk, &method, fresh.key, question(&method))
                    .map_err(told(desk, "using it"))?;
                let open = carry::wrap(desk, handles.newest.open, fresh.key)
                    .map_err(told(desk, "wrapping it under the open key"))?;
                Mark::Secret(Secret { answer, len: len.unwrap_or(0), open })
            }
        };
        Ok(Self { kind, kek, method, wrapped, mark })
    }

    /// Unwraps it elsewhere, and proves that it is the same key.
    fn arrive(
        &self,
        from: &Place<'_>,
        to: &Place<'_>,
        entropy: &dyn Entropy,
    ) -> Result<(), String> {
        let (desk, handles) = to;
        let scratch = Scratch::at(desk);
        let template = self.kind.closed(self.method.usage);
        let key = carry::unwrap(desk, handles.get(self.kek), &self.wrapped, &template)
            .map(|key| scratch.keep(key))
            .map_err(told(desk, "unwrapping it"))?;
        let proven = match &self.mark {
            Mark::Public(public) => {
                let mut challenge = [0; 32];
                entropy.fill(&mut challenge);
                signature::prove(desk, &from.0, key, &self.method, public, &challenge)
            }
            Mark::Secret(secret) => self.proves_secret(to, key, secret),
        };
        proven.map_err(|failure| format!("on member {}: {failure}", desk.name()))
    }

    /// A MAC pads short keys with zeroes, so a key that grew by some gives the same answer: its length is asked as well.
    fn proves_secret(&self, to: &Place<'_>, key: Handle, secret: &Secret) -> Proof {
        let (desk, _) = to;
        let shown = desk.member.read(desk.session, key, &[CKA_VALUE_LEN])?;
        let len = match shown.first() {
            // SoftHSM says 0 of every secret key that it unwrapped (its issue 628).
            Some(Reading::Value(Value::Number(len))) if *len != 0 => *len,
            _ => length(to, &secret.open)?,
        };
        if len != secret.len {
            let what = format!("it has {len} bytes, and {} were wrapped", secret.len);
            return Err(Failure::Different(what));
        }
        if prove::run(desk, &self.method, key, question(&self.method))? == secret.answer {
            Ok(())
        } else {
            Err(Failure::Different("it answers otherwise".into()))
        }
    }
}

/// The length of a key in bytes, by reading its value: a throwaway key may be opened under the open KEK.
fn length((desk, handles): &Place<'_>, wrapped: &[u8]) -> Result<u64, Failure> {
    let scratch = Scratch::at(desk);
    let template = recipe::closed(CKO_SECRET_KEY, CKK_GENERIC_SECRET, &[])
        .with(CKA_SENSITIVE, false)
        .with(CKA_EXTRACTABLE, true);
    let key = scratch.keep(carry::unwrap(desk, handles.newest.open, wrapped, &template)?);
    match desk.member.read(desk.session, key, &[CKA_VALUE])?.first() {
        Some(Reading::Value(Value::Bytes(value))) => Ok(u64::try_from(value.len()).unwrap_or(0)),
        _ => Err(Failure::Different("neither its length nor its value is shown".into())),
    }
}

/// How a key of this kind shows which it is.
fn method(kind: &Kind) -> Option<Method> {
    match kind.len() {
        Some(len) => prove::secret_method(kind.key_type, len),
        None => prove::private_method(
            &Template::new().with(CKA_KEY_TYPE, kind.key_type).with(CKA_SIGN, true),
        ),
    }
}

fn question(method: &Method) -> &[u8] {
    QUESTION.get(..method.len).unwrap_or(&QUESTION)
}

/// The template that makes the public half of a pair elsewhere.
fn public_half(desk: &Desk<'_>, kind: &Kind, public: Handle) -> Result<Template, String> {
    let kinds = kind.public_part();
    let readings = desk
        .member
        .read(desk.session, public, kinds)
        .map_err(told(desk, "reading its public half"))?;
    let mut template =
        Template::new().with(CKA_CLASS, CKO_PUBLIC_KEY).with(CKA_KEY_TYPE, kind.key_type);
    for (attribute, reading) in kinds.iter().zip(readings) {
        match reading {
            Reading::Value(value) => template.set(*attribute, value),
            Reading::Sensitive | Reading::Invalid => {
                return Err(format!("member {} doesn't show its public half", desk.name()));
            }
        }
    }
    Ok(template)
}

/// A fault as the reason in a table.
fn told<'a>(desk: &'a Desk<'_>, doing: &'a str) -> impl FnOnce(Fault) -> String + 'a {
    move |fault| format!("{doing} on member {}: {fault}", desk.name())
}
