//! What a line asks of the engine.

use crate::planted::Bug;
use crate::process::{Asked, Begun, Running};
use crate::run::Run;
use crate::script::{Action, KeyKind, Line};
use crate::setup::PIN;
use crate::toy::crypto::mix;
use crate::truth::{Real, Truth};
use std::sync::Arc;
use tandem_engine::error::Result;
use tandem_engine::member::User;
use tandem_engine::object::Kek;
use tandem_engine::report::Quiet;
use tandem_engine::step::{Output, Room, Step, Verb};
use tandem_values::template::Reading;
use tandem_values::{Handle, Mechanism, Secret, Template, ck::*};

/// What the engine answered.
pub enum Said {
    /// Nothing but that it is done.
    Nothing,
    /// Handles of what was made.
    Made(Vec<Handle>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Handles of what was found.
    Found(Vec<Handle>),
    /// An attribute.
    Shown(Reading),
    /// An operator's command is done.
    Commanded,
    /// There was nothing to ask.
    Skipped,
}

/// A wrong PIN.
pub const WRONG: &[u8] = b"wrong";

/// 1.2.840.10045.3.1.7 (secp256r1).
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Whether an action is about such an object.
fn is_fair(action: Action, real: &Real) -> bool {
    let (class, key_type) = (real.object.class(), real.object.template.key_type());
    match action {
        Action::Sign(_) => class == CKO_PRIVATE_KEY,
        Action::BeginMac(_) => key_type == Some(CKK_GENERIC_SECRET),
        Action::BeginEncrypt(_) => key_type == Some(CKK_AES),
        Action::Copy(_) => class == CKO_SECRET_KEY || class == CKO_PRIVATE_KEY,
        Action::Tighten(_) => real.object.kek == Some(Kek::Open),
        _ => true,
    }
}

/// The object that a line is about.
pub fn object_of(truth: &Truth, action: Action, begun: Option<&Begun>) -> Option<Real> {
    let n = match action {
        Action::Sign(n)
        | Action::BeginMac(n)
        | Action::BeginEncrypt(n)
        | Action::Copy(n)
        | Action::Tighten(n)
        | Action::Relabel(n)
        | Action::Destroy(n)
        | Action::Read(n) => n,
        Action::Feed(_) | Action::End => return truth.objects.get(&begun?.key).cloned(),
        _ => return None,
    };
    let seen = truth.living().filter(|real| !real.object.is_in_stock());
    let fair: Vec<_> = seen.filter(|real| is_fair(action, real)).collect();
    fair.get(n.checked_rem(fair.len())?).map(|real| (*real).clone())
}

/// Bytes that no two lines share.
fn data_of(line: Line, len: usize) -> Vec<u8> {
    mix(&[b"data", &line.number.to_be_bytes()], len)
}

/// The label that a line gives.
pub fn label_of(line: Line) -> String {
    format!("line {}", line.number)
}

/// The data that a line signs.
pub fn signed_by(line: Line) -> Vec<u8> {
    data_of(line, 32)
}

/// The mechanism with which a private key signs here.
pub fn signing(object: &Real) -> u64 {
    if object.object.template.key_type() == Some(CKK_RSA) { CKM_RSA_PKCS } else { CKM_ECDSA }
}

/// Asks what a line asks.
pub fn act(run: &Arc<Run>, line: Line, running: &Running, asked: &Asked) -> Result<Said> {
    let session = &running.session;
    let skip = Ok(Said::Skipped);
    let about = || run.handle(asked);
    match line.action {
        Action::LogIn | Action::LogInWrongly => {
            let pin = if line.action == Action::LogIn { PIN } else { WRONG };
            run.oracle.lock().note_pin(pin);
            session.login(User::User, Some(&Secret::new(pin))).map(|()| Said::Nothing)
        }
        Action::LogOut => session.logout().map(|()| Said::Nothing),
        Action::Random => session.random(16).map(Said::Bytes),
        Action::Find => find(running).map(Said::Found),
        Action::Make(kind) => {
            let made = make(running, line, kind);
            if made.is_err() && run.world.bug == Some(Bug::MakesAgain) {
                return make(running, line, kind).map(Said::Made);
            }
            made.map(Said::Made)
        }
        Action::Stock => match running.token.fill_stock(1, &Quiet)? {
            (_, None) => Ok(Said::Nothing),
            (_, Some(error)) => Err(error),
        },
        Action::Drop => {
            let secret = run.options.stocks().pop().map(|stock| stock.name()).unwrap_or_default();
            running.token.reduce_stock(&secret, 0, &Quiet).map(|_| Said::Nothing)
        }
        Action::Create { private } => {
            let template = Template::new()
                .with(CKA_CLASS, CKO_DATA)
                .with(CKA_TOKEN, true)
                .with(CKA_PRIVATE, private)
                .with(CKA_LABEL, label_of(line).as_str())
                .with(CKA_VALUE, data_of(line, 40));
            session.create(&template).map(|handle| Said::Made(vec![handle]))
        }
        Action::Feed(len) => feed(run, line, running, len),
        Action::End => end(run, line, running),
        // What is in the log and not yet in the catalogue has no handle.
        _ if run.handle(asked).is_err() || is_taken(run, line) => skip,
        Action::Copy(_) => {
            let template = Template::new().with(CKA_LABEL, label_of(line).as_str());
            session.copy(about()?, &template).map(|handle| Said::Made(vec![handle]))
        }
        Action::Relabel(_) => {
            let template = Template::new().with(CKA_LABEL, label_of(line).as_str());
            session.write(about()?, &template).map(|()| Said::Nothing)
        }
        Action::Tighten(_) => {
            let template = Template::new().with(CKA_EXTRACTABLE, false).with(CKA_SENSITIVE, true);
            session.write(about()?, &template).map(|()| Said::Nothing)
        }
        Action::Destroy(_) => session.destroy(about()?).map(|()| Said::Nothing),
        Action::Read(_) => {
            let mut readings = session.read(about()?, &[CKA_LABEL])?;
            Ok(readings.pop().map_or(Said::Skipped, Said::Shown))
        }
        Action::Sign(_) => sign(running, line, asked, about()?).map(Said::Bytes),
        Action::BeginMac(_) | Action::BeginEncrypt(_) => begin(run, line, running, asked, about()?),
        _ => skip,
    }
}

/// True where the session signs already: a second operation of the kind is refused.
fn is_taken(run: &Run, line: Line) -> bool {
    let process = run.processes.get(line.process);
    matches!(line.action, Action::Sign(_))
        && process.is_some_and(|process| {
            process.lock().begun.as_ref().is_some_and(|begun| begun.verb == Verb::Sign)
        })
}

fn make(running: &Running, line: Line, kind: KeyKind) -> Result<Vec<Handle>> {
    let label = label_of(line);
    let own = Template::new().with(CKA_TOKEN, true).with(CKA_LABEL, label.as_str());
    let session = &running.session;
    match kind {
        KeyKind::Rsa | KeyKind::Ec => {
            let (mechanism, public) = if kind == KeyKind::Rsa {
                (CKM_RSA_PKCS_KEY_PAIR_GEN, own.clone().with(CKA_MODULUS_BITS, 2048))
            } else {
                (CKM_EC_KEY_PAIR_GEN, own.clone().with(CKA_EC_PARAMS, P256))
            };
            let pair = session.generate_pair(&Mechanism::plain(mechanism), &public, &own)?;
            Ok(vec![pair.public, pair.private])
        }
        KeyKind::Aes => {
            let template = own.with(CKA_VALUE_LEN, 32);
            Ok(vec![session.generate(&Mechanism::plain(CKM_AES_KEY_GEN), &template)?])
        }
        KeyKind::Hmac | KeyKind::OpenHmac => {
            let template =
                own.with(CKA_VALUE_LEN, 32).with(CKA_EXTRACTABLE, kind == KeyKind::OpenHmac);
            let mechanism = Mechanism::plain(CKM_GENERIC_SECRET_KEY_GEN);
            Ok(vec![session.generate(&mechanism, &template)?])
        }
    }
}

fn find(running: &Running) -> Result<Vec<Handle>> {
    running.session.find_init(&Template::new())?;
    let found = running.session.find_next(10_000);
    running.session.find_final()?;
    found
}

fn bytes_of(output: Output) -> Vec<u8> {
    match output {
        Output::Bytes(bytes) => bytes.to_vec(),
        _ => Vec::new(),
    }
}

/// Enough for whatever comes out.
const ROOM: Room = Room::Bytes(4_096);

fn sign(running: &Running, line: Line, asked: &Asked, key: Handle) -> Result<Vec<u8>> {
    let mechanism = Mechanism::plain(asked.object.as_ref().map_or(CKM_ECDSA, signing));
    let init = Step::Init { verb: Verb::Sign, mechanism, key: Some(key), signature: None };
    running.session.step(init, Room::Query)?;
    let whole = Step::Whole(Verb::Sign, signed_by(line).into());
    running.session.step(whole, ROOM).map(bytes_of)
}

fn begin(run: &Run, line: Line, running: &Running, asked: &Asked, key: Handle) -> Result<Said> {
    let (Some(real), Some(process)) = (&asked.object, run.processes.get(line.process)) else {
        return Ok(Said::Skipped);
    };
    if process.lock().begun.is_some() {
        return Ok(Said::Skipped);
    }
    let iv = data_of(line, 16);
    let (verb, mechanism) = match line.action {
        Action::BeginMac(_) => (Verb::Sign, Mechanism::plain(CKM_SHA256_HMAC)),
        _ => (Verb::Encrypt, Mechanism::flat(CKM_AES_CBC, &iv)),
    };
    let kind = mechanism.kind;
    let init = Step::Init { verb, mechanism, key: Some(key), signature: None };
    running.session.step(init, Room::Query)?;
    process.lock().begun = Some(Begun {
        verb,
        mechanism: kind,
        key: real.object.id,
        value: asked.secret.clone().unwrap_or_default(),
        iv,
        fed: Vec::new(),
        released: Vec::new(),
        may_be: [true, false],
        tainted: false,
    });
    Ok(Said::Nothing)
}

fn feed(run: &Run, line: Line, running: &Running, len: usize) -> Result<Said> {
    let Some(process) = run.processes.get(line.process) else { return Ok(Said::Skipped) };
    let Some(begun) = process.lock().begun.clone() else { return Ok(Said::Skipped) };
    let data = data_of(line, len.next_multiple_of(16));
    let bytes = tandem_values::Bytes::from(data.clone());
    let (step, room) = match begun.verb {
        Verb::Encrypt => (Step::Part(Verb::Encrypt, bytes), ROOM),
        verb => (Step::Feed(verb, bytes), Room::Query),
    };
    let answer = running.session.step(step, room);
    let mut process = process.lock();
    match answer {
        Ok(output) => {
            let output = bytes_of(output);
            if let Some(begun) = &mut process.begun {
                begun.fed.extend(&data);
                begun.released.extend(&output);
            }
            Ok(Said::Bytes(output))
        }
        Err(error) => {
            process.begun = None;
            Err(error)
        }
    }
}

fn end(run: &Run, line: Line, running: &Running) -> Result<Said> {
    let Some(process) = run.processes.get(line.process) else { return Ok(Said::Skipped) };
    let Some(begun) = process.lock().begun.clone() else { return Ok(Said::Skipped) };
    let answer = running.session.step(Step::Last(begun.verb), ROOM);
    process.lock().begun = None;
    answer.map(bytes_of).map(Said::Bytes)
}
