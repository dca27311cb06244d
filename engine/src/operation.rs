//! Operations: what the application asked, step by step, so that they can move to another member when one fails.
//!
//! Moving is replaying: the steps are asked again on another member, and whatever was handed out already must come out
//! again, byte for byte. Past a limit the steps are kept no longer: the operation runs on where it is, and says so if it
//! is lost.

use crate::backup::is_gated;
use crate::check;
use crate::error::{Error, Result};
use crate::fault::{Answer, Call, Class, Fault};
use crate::first_use::{self, Sought};
use crate::held::Held;
use crate::import::with_keys;
use crate::inquiry::Inquiry;
use crate::object::{Object, ObjectId};
use crate::session::Session;
use crate::station::{Lease, Station};
use crate::step::{Bytes, Output, Room, Step, Verb};
use crate::token::Token;
use crate::waking::LOST_MAX;
use smallvec::SmallVec;
use std::sync::Arc;
use tandem_values::{Handle, Mechanism, Parameter, Secret, ck::*};

/// The operations of one session: at most one of each kind, on one member.
#[derive(Default)]
pub(crate) struct Activity {
    /// One is the rule, two that go on together the exception.
    active: SmallVec<[Active; 2]>,
    asked: SmallVec<[Asked; 1]>,
    place: Option<Lease>,
    kept_bytes: usize,
    pinned: bool,
}

/// An operation that has begun and not ended.
struct Active {
    verb: Verb,
    mechanism: u64,
    /// The signature that it was begun with (C_VerifySignatureInit).
    signature: Option<Bytes>,
    /// True once it has been fed a part: then it doesn't end in a single one.
    in_parts: bool,
}

/// How operations were begun in a session, the last ones, and how long a member said that signatures made so are.
#[derive(Default)]
pub(crate) struct Begun(Vec<(Beginning, Option<usize>)>);

/// A key, what it was used for, and the mechanism, which has no parameter.
type Beginning = (ObjectId, Verb, u64);

/// So many are remembered: an application uses few keys in one session, or each once.
const BEGUN_MAX: usize = 16;

impl Begun {
    /// Nothing that a member might still refuse: a parameter, a second login.
    fn of(step: &Step<Held>) -> Option<Beginning> {
        let Step::Init { verb, mechanism, key: Some(Held::Token(entry)), signature: None } = step
        else {
            return None;
        };
        let plain = mechanism.parameter == Parameter::None
            && matches!(verb, Verb::Sign | Verb::Verify | Verb::Encrypt | Verb::Decrypt)
            && !entry.object.template.is(CKA_ALWAYS_AUTHENTICATE);
        plain.then_some((entry.object.id, *verb, mechanism.kind))
    }

    fn knows(&self, step: &Step<Held>) -> bool {
        Self::of(step).is_some_and(|beginning| self.0.iter().any(|(known, _)| *known == beginning))
    }

    fn note(&mut self, step: &Step<Held>) {
        if let Some(beginning) = Self::of(step)
            && !self.knows(step)
        {
            if self.0.len() >= BEGUN_MAX {
                self.0.remove(0);
            }
            self.0.push((beginning, None));
        }
    }

    /// Where the length is kept of the signature that an operation, begun by this step, makes: whatever is signed, it is the same.
    fn length(&mut self, began: &Step<Held>) -> Option<&mut Option<usize>> {
        let beginning = Self::of(began).filter(|(_, verb, _)| *verb == Verb::Sign)?;
        self.0.iter_mut().find(|(known, _)| *known == beginning).map(|(_, length)| length)
    }
}

/// A step that was asked, and what it put out.
struct Asked {
    step: Step<Held>,
    output: Output,
}

/// How a step changes what is active.
enum Effect {
    Begins(Verb, u64),
    Goes(Vec<Verb>),
    Ends(Verb),
}

impl Effect {
    fn of<K>(step: &Step<K>) -> Self {
        match step {
            Step::Init { verb, mechanism, .. } => Self::Begins(*verb, mechanism.kind),
            Step::Part(verb, _)
            | Step::Feed(verb, _)
            | Step::Message(verb, ..)
            | Step::MessageBegin(verb, ..)
            | Step::MessageNext(verb, ..)
            | Step::MessageCheck(verb, ..) => Self::Goes(vec![*verb]),
            Step::FeedKey(_) => Self::Goes(vec![Verb::Digest]),
            Step::Both(one, other, _) => Self::Goes(vec![*one, *other]),
            Step::Whole(verb, _)
            | Step::Last(verb)
            | Step::Check(verb, ..)
            | Step::CheckLast(verb, _)
            | Step::MessageFinal(verb) => Self::Ends(*verb),
            Step::Authenticate(_) => Self::Goes(Vec::new()),
        }
    }

    fn needs(&self) -> &[Verb] {
        match self {
            Self::Begins(..) => &[],
            Self::Goes(verbs) => verbs,
            Self::Ends(verb) => std::slice::from_ref(verb),
        }
    }
}

impl Activity {
    /// Is what the step needs active, and what it begins not?
    fn admits(&self, effect: &Effect) -> Result {
        match effect {
            Effect::Begins(verb, _) if self.mechanism(*verb).is_some() => {
                Err(CKR_OPERATION_ACTIVE.into())
            }
            effect if effect.needs().iter().any(|verb| self.mechanism(*verb).is_none()) => {
                Err(CKR_OPERATION_NOT_INITIALIZED.into())
            }
            _ => Ok(()),
        }
    }

    /// A step that ends a verification whose signature came first, with the signature: some members want it last.
    fn signed(&self, step: Step) -> Step {
        let known = |verb: Verb| {
            let active = self.active.iter().find(|active| active.verb == verb);
            active.and_then(|active| active.signature.clone()).unwrap_or_default()
        };
        match step {
            Step::Check(verb @ Verb::VerifySignature, data, _) => {
                Step::Check(verb, data, known(verb))
            }
            Step::CheckLast(verb @ Verb::VerifySignature, _) => Step::CheckLast(verb, known(verb)),
            step => step,
        }
    }

    /// Keeps a step that was answered.
    fn keep(&mut self, step: Step<Held>, output: &Output, effect: &Effect, limit: usize) {
        match effect {
            Effect::Begins(verb, mechanism) => {
                let signature = match &step {
                    Step::Init { signature, .. } => signature.clone(),
                    _ => None,
                };
                let (verb, mechanism) = (*verb, *mechanism);
                self.active.push(Active { verb, mechanism, signature, in_parts: false });
            }
            Effect::Goes(verbs) => {
                let fed = self.active.iter_mut().filter(|active| verbs.contains(&active.verb));
                fed.for_each(|active| active.in_parts = true);
            }
            Effect::Ends(_) => {}
        }
        if let Effect::Ends(verb) = effect {
            self.end(*verb);
            // Its steps are not replayed for the sake of another operation that goes on.
            self.asked.retain(|asked| !concerns(&asked.step, *verb));
            return;
        }
        self.kept_bytes =
            self.kept_bytes.saturating_add(weight(&step)).saturating_add(released(output).len());
        if self.kept_bytes > limit || matches!(output, Output::Message(..)) {
            self.pinned = true;
        }
        if self.pinned {
            // Dropping wipes them.
            self.asked.clear();
        } else {
            self.asked.push(Asked { step, output: output.clone() });
        }
    }

    /// An operation has ended. When none is left, the session with the member is lent to others.
    fn end(&mut self, verb: Verb) {
        self.active.retain(|active| active.verb != verb);
        if self.active.is_empty() {
            *self = Self::default();
        }
    }

    /// What is left in the session with the member is half-way: it is not lent to others.
    fn abandon(&mut self) {
        if let Some(place) = self.place.take() {
            place.spoil();
        }
    }

    /// Ends operations whose key was destroyed, but for the one that a step is about: they can't move, and keep none that can.
    fn forget_destroyed(&mut self, token: &Token, step: &Step<Held>) {
        let is_gone = |held: &Held| match held {
            Held::Token(entry) => matches!(token.shelf.by_id(entry.object.id), Ok(None)),
            Held::Transient(_) => false,
        };
        let gone = self.asked.iter().filter_map(|asked| match &asked.step {
            Step::Init { verb, key: Some(held), .. } if !concerns(step, *verb) && is_gone(held) => {
                Some(*verb)
            }
            _ => None,
        });
        for verb in gone.collect::<Vec<_>>() {
            self.asked.retain(|asked| !concerns(&asked.step, verb));
            self.end(verb);
        }
    }

    /// The mechanism of an active operation.
    fn mechanism(&self, verb: Verb) -> Option<u64> {
        self.active.iter().find(|active| active.verb == verb).map(|active| active.mechanism)
    }

    /// The step that began an active operation, if it is kept.
    fn began(&self, verb: Verb) -> Option<&Step<Held>> {
        let begins =
            |step: &&Step<Held>| matches!(step, Step::Init { verb: begun, .. } if *begun == verb);
        self.asked.iter().map(|asked| &asked.step).find(begins)
    }

    /// True if a step would end in a single part what was begun in parts (PKCS #11 3.2 section 5.8.2 and its like). Some members
    /// let it, so what comes of it would depend on where the operation stands.
    fn is_past(&self, step: &Step) -> bool {
        let (Step::Whole(verb, _) | Step::Check(verb, ..)) = step else { return false };
        self.active.iter().any(|active| active.verb == *verb && active.in_parts)
    }

    /// Every key that these steps and one more name.
    fn keys(&self, step: &Step<Held>) -> SmallVec<[Held; 2]> {
        let steps = self.asked.iter().map(|asked| &asked.step).chain([step]);
        steps.filter_map(key_of).cloned().collect()
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        if !self.active.is_empty() {
            self.abandon();
        }
    }
}

/// Bytes that a step keeps in memory of what the application has fed. How an operation begins doesn't count: it is asked
/// once, and an operation in one part keeps nothing else, so that it moves whatever the limit.
fn weight<K>(step: &Step<K>) -> usize {
    match step {
        Step::Init { .. } => 0,
        Step::Whole(_, data)
        | Step::Part(_, data)
        | Step::Feed(_, data)
        | Step::Both(_, _, data)
        | Step::MessageBegin(_, _, data)
        | Step::MessageNext(_, _, data, _)
        | Step::MessageCheck(_, _, data, ..) => data.len(),
        Step::Message(_, _, aad, data) => aad.len().saturating_add(data.len()),
        _ => 64,
    }
}

/// What the application got.
fn released(output: &Output) -> &[u8] {
    match output {
        Output::Bytes(bytes) | Output::Message(bytes, _) => bytes,
        Output::Nothing | Output::Length(_) | Output::Short(_) => &[],
    }
}

fn key_of(step: &Step<Held>) -> Option<&Held> {
    match step {
        Step::Init { key, .. } => key.as_ref(),
        Step::FeedKey(key) => Some(key),
        _ => None,
    }
}

/// The attribute that must be true of a key for an operation, and for a mechanism it must not name otherwise.
const fn usage(verb: Verb) -> Option<u64> {
    Some(match verb {
        Verb::Encrypt | Verb::MessageEncrypt => CKA_ENCRYPT,
        Verb::Decrypt | Verb::MessageDecrypt => CKA_DECRYPT,
        Verb::Sign | Verb::MessageSign => CKA_SIGN,
        Verb::SignRecover => CKA_SIGN_RECOVER,
        Verb::Verify | Verb::MessageVerify | Verb::VerifySignature => CKA_VERIFY,
        Verb::VerifyRecover => CKA_VERIFY_RECOVER,
        Verb::Digest => return None,
    })
}

/// The flag of a mechanism that is for such an operation.
const fn function(verb: Verb) -> u64 {
    match verb {
        Verb::Encrypt => CKF_ENCRYPT,
        Verb::Decrypt => CKF_DECRYPT,
        Verb::Digest => CKF_DIGEST,
        Verb::Sign => CKF_SIGN,
        Verb::SignRecover => CKF_SIGN_RECOVER,
        Verb::Verify | Verb::VerifySignature => CKF_VERIFY,
        Verb::VerifyRecover => CKF_VERIFY_RECOVER,
        Verb::MessageEncrypt => CKF_MESSAGE_ENCRYPT,
        Verb::MessageDecrypt => CKF_MESSAGE_DECRYPT,
        Verb::MessageSign => CKF_MESSAGE_SIGN,
        Verb::MessageVerify => CKF_MESSAGE_VERIFY,
    }
}

/// A key and a mechanism that don't go together: it is the mechanism's fault if that isn't for the operation at all (PKCS #11 3.2
/// section 5.1.6, CKR_MECHANISM_INVALID).
fn misfit(is_for_it: bool) -> Error {
    if is_for_it { CKR_KEY_TYPE_INCONSISTENT.into() } else { CKR_MECHANISM_INVALID.into() }
}

/// May a key be used so (PKCS #11 3.2 section 4.4 and CKA_ALLOWED_MECHANISMS)?
pub(crate) fn permitted(object: &Object, mechanism: u64, usage: u64) -> Result {
    if !object.template.is(usage) {
        return Err(CKR_KEY_FUNCTION_NOT_PERMITTED.into());
    }
    match object.template.numbers(CKA_ALLOWED_MECHANISMS) {
        Some(allowed) if !allowed.is_empty() && !allowed.contains(&mechanism) => {
            Err(CKR_MECHANISM_INVALID.into())
        }
        _ => Ok(()),
    }
}

/// Is a key of the type that the mechanism works with? Some members say so when an operation begins, others a call later.
/// What else is wrong with it is told after that (PKCS #11 3.2 section 5.1.7, CKR_KEY_FUNCTION_NOT_PERMITTED).
pub(crate) fn fits(object: &Object, mechanism: u64) -> bool {
    match (check::works_with(mechanism), object.template.key_type()) {
        (Some(wanted), Some(is)) => wanted == is,
        _ => true,
    }
}

impl Session {
    /// One step of an operation. [`Output::Short`] is CKR_BUFFER_TOO_SMALL.
    pub fn step(&self, step: Step, room: Room) -> Result<Output> {
        let mut activity = self.activity.lock();
        let effect = Effect::of(&step);
        activity.admits(&effect)?;
        if activity.is_past(&step) {
            end_failed(&mut activity, &effect);
            return Err(CKR_OPERATION_NOT_INITIALIZED.into());
        }
        let step = match self.resolve(activity.signed(step)) {
            Ok(step) => step,
            Err(error) => {
                end_failed(&mut activity, &effect);
                return Err(error);
            }
        };
        let answer = if self.can_wait(&activity, &step) {
            Ok(Output::Nothing)
        } else if room == Room::Query {
            self.ask_length(&mut activity, &step)
        } else {
            self.ask(&mut activity, &step, room)
        };
        match answer {
            Ok(output @ (Output::Length(_) | Output::Short(_))) => Ok(output),
            Ok(output) => {
                let limit = self.token().settings.replay_bytes_max;
                self.begun.lock().note(&step);
                activity.keep(step, &output, &effect, limit);
                Ok(output)
            }
            Err(error) => {
                if !is_of_one_message(&step, error.rv.0) {
                    end_failed(&mut activity, &effect);
                }
                // Everything else was checked before any member saw it.
                let parameter =
                    matches!(effect, Effect::Begins(..)) && error.rv.0 == CKR_ARGUMENTS_BAD;
                Err(if parameter { CKR_MECHANISM_PARAM_INVALID.into() } else { error })
            }
        }
    }

    /// Ends an operation without a result (C_…Init with a null mechanism, C_SessionCancel). Nothing if none is active.
    pub fn cancel(&self, verb: Verb) -> Result {
        let mut activity = self.activity.lock();
        if activity.mechanism(verb).is_some() {
            if activity.active.len() == 1 {
                *activity = Activity::default();
            } else {
                // Where it has no place it is not begun again.
                if let Some(place) = &activity.place {
                    place.station().member.cancel(place.session(), verb)?;
                }
                activity.active.retain(|active| active.verb != verb);
                activity.asked.retain(|asked| !concerns(&asked.step, verb));
            }
        }
        Ok(())
    }

    /// The mechanism of an active operation, whose message parameters it shapes.
    pub fn active(&self, verb: Verb) -> Option<u64> {
        self.activity.lock().mechanism(verb)
    }

    /// True if a step begins an operation exactly as one was begun in this session before, or as a key was proven before it was
    /// there: no member could answer otherwise, so it is asked together with the next step, in one call.
    fn can_wait(&self, activity: &Activity, step: &Step<Held>) -> bool {
        activity.active.is_empty()
            && self.token().settings.replay_bytes_max > 0
            && (self.begun.lock().knows(step) || first_use::provable(step).is_some())
    }

    /// How long the output of a step is. That of a signature a member has said before, where it was begun as one before.
    fn ask_length(&self, activity: &mut Activity, step: &Step<Held>) -> Result<Output> {
        let own = || first_use::length(activity.began(Verb::Sign)?, step);
        if let Some(length) = self.known_length(activity, step, None).or_else(own) {
            return Ok(Output::Length(length));
        }
        let answer = self.ask(activity, step, Room::Query)?;
        if let Output::Length(length) = answer {
            self.known_length(activity, step, Some(length));
        }
        Ok(answer)
    }

    /// How long the signature is that a step makes, if that is known, or has just been answered.
    fn known_length(
        &self,
        activity: &Activity,
        step: &Step<Held>,
        answer: Option<usize>,
    ) -> Option<usize> {
        let signs = matches!(step, Step::Whole(Verb::Sign, _) | Step::Last(Verb::Sign));
        let began = activity.began(Verb::Sign).filter(|_| signs)?;
        let mut begun = self.begun.lock();
        let length = begun.length(began)?;
        *length = answer.or(*length);
        *length
    }

    /// Names the keys of a step by what they are, and checks that they may be used so.
    fn resolve(&self, step: Step) -> Result<Step<Held>> {
        let token = self.token();
        if matches!(step, Step::Init { .. } | Step::FeedKey(_)) {
            token.look();
        }
        let about = match &step {
            Step::Init { verb, mechanism, .. } => {
                let flags = token.mechanism_as_seen(mechanism.kind)?.flags;
                self.keys_in(mechanism)?;
                let is_for_it = flags & function(*verb) != 0;
                usage(*verb).map(|usage| (mechanism.kind, usage, is_for_it))
            }
            _ => None,
        };
        let gated = matches!(&step, Step::Init { verb, .. } if is_gated(*verb));
        step.try_map(|handle| {
            let held = token.held_as_seen(handle).map_err(|error| match error.rv.0 {
                CKR_OBJECT_HANDLE_INVALID => Error::from(CKR_KEY_HANDLE_INVALID),
                _ => error,
            })?;
            if let Some((mechanism, usage, is_for_it)) = about {
                if !fits(held.object(), mechanism) {
                    return Err(misfit(is_for_it));
                }
                permitted(held.object(), mechanism, usage)?;
            }
            if gated {
                token.admit(&held)?;
            }
            Ok(held)
        })
    }

    /// Asks a step where the operation stands, moving it as often as there are members to move to.
    fn ask(&self, activity: &mut Activity, step: &Step<Held>, room: Room) -> Result<Output> {
        let mut inquiry = Inquiry::default();
        match self.ask_in_turn(activity, step, room, &mut inquiry) {
            Ok(output) => {
                inquiry.done();
                Ok(output)
            }
            Err(error) => match self.ask_again(activity, step, room, &inquiry)? {
                Some(output) => Ok(output),
                None => Err(inquiry.undone(error)),
            },
        }
    }

    /// Nobody could do it: a member that answered ill and is well is asked once more, since what ailed it may have passed
    /// while the others could do nothing. `None` if it still can't, or if the operation can't move.
    fn ask_again(
        &self,
        activity: &mut Activity,
        step: &Step<Held>,
        room: Room,
        inquiry: &Inquiry,
    ) -> Result<Option<Output>> {
        if activity.pinned {
            return Ok(None);
        }
        for station in inquiry.well() {
            let (mut again, mut last) = (Inquiry::default(), None);
            let output = self.try_on(activity, station, step, room, &mut again, &mut last)?;
            if output.is_some() {
                return Ok(output);
            }
        }
        Ok(None)
    }

    fn ask_in_turn(
        &self,
        activity: &mut Activity,
        step: &Step<Held>,
        room: Room,
        inquiry: &mut Inquiry,
    ) -> Result<Output> {
        let token = self.token();
        let mut last = None;
        if let Some(place) = &activity.place {
            place.station().attempt();
            match ask_on(place, token, step, room) {
                Ok(output) => return Ok(output),
                Err(fault) => {
                    let station = activity.place.as_ref().map(|place| Arc::clone(place.station()));
                    let class = station
                        .as_ref()
                        .map_or(fault.class, |station| token.judge(inquiry, station, fault));
                    if class == Class::Refused {
                        return Err(fault.into());
                    }
                    activity.abandon();
                    if activity.pinned {
                        return Err(Error::new(
                            CKR_FUNCTION_FAILED,
                            format!(
                                "an operation was lost with its member ({fault}): it had grown past replay_max, so it could \
                                 not move"
                            ),
                        ));
                    }
                    last = Some(fault.into());
                    activity.forget_destroyed(token, step);
                    if class == Class::Lost
                        && let Some(station) = station
                        && let Some(output) =
                            self.try_on(activity, &station, step, room, inquiry, &mut last)?
                    {
                        return Ok(output);
                    }
                }
            }
        }
        activity.forget_destroyed(token, step);
        let keys = activity.keys(step);
        for station in token.holders_in_turn(&keys) {
            if inquiry.has_asked(&station) {
                continue;
            }
            if let Some(output) = self.try_on(activity, &station, step, room, inquiry, &mut last)? {
                return Ok(output);
            }
        }
        Err(last.unwrap_or_else(|| token.nobody()))
    }

    /// Replays the operation on a member and asks the step there; once more if our session was lost. `None` if another
    /// member must be asked; an error if any would refuse.
    fn try_on(
        &self,
        activity: &mut Activity,
        station: &Arc<Station>,
        step: &Step<Held>,
        room: Room,
        inquiry: &mut Inquiry,
        last: &mut Option<Error>,
    ) -> Result<Option<Output>> {
        let _flight = station.load.begin();
        // A handle may be lost, and then the login with which it is found again.
        for _ in 0..LOST_MAX {
            let answer = match at_once(self.token(), activity, station, step, room) {
                Some(answer) => answer,
                None => replay(self.token(), activity, station, step)
                    .and_then(|()| ask_here(self.token(), activity, step, room)),
            };
            match answer {
                Ok(output) => return Ok(Some(output)),
                Err(fault) => {
                    *last = Some(fault.into());
                    match self.token().judge(inquiry, station, fault) {
                        Class::Refused => return Err(fault.into()),
                        Class::Lost => {
                            activity.abandon();
                            self.token().bring_back(station);
                            for held in &activity.keys(step) {
                                forget_place(station, held, fault);
                            }
                        }
                        Class::Ill => {
                            activity.abandon();
                            return Ok(None);
                        }
                        Class::Unable => {
                            activity.abandon();
                            let keys = activity.keys(step);
                            if !keys.iter().any(|held| self.token().has_moved(held)) {
                                return Ok(None);
                            }
                            // What failed may be only that it was being moved.
                            inquiry.forget(station);
                            for held in &keys {
                                forget_place(station, held, fault);
                            }
                        }
                    }
                }
            }
        }
        // Lost again and again: what is lost there is more than a session.
        Ok(None)
    }
}

/// True if a message is not what it should be, which says nothing of those after it: the operation of many goes on (PKCS #11 3.2
/// sections 5.11.2 and 5.16.2).
fn is_of_one_message<K>(step: &Step<K>, rv: u64) -> bool {
    let is_message = matches!(
        step,
        Step::Message(..) | Step::MessageNext(.., true) | Step::MessageCheck(.., Some(_), _)
    );
    let is_wrong = matches!(
        rv,
        CKR_AEAD_DECRYPT_FAILED
            | CKR_ENCRYPTED_DATA_INVALID
            | CKR_ENCRYPTED_DATA_LEN_RANGE
            | CKR_SIGNATURE_INVALID
            | CKR_SIGNATURE_LEN_RANGE
    );
    is_message && is_wrong
}

/// Ends what a failed step was about (PKCS #11 3.2 section 5.2: an error ends the operation).
fn end_failed(activity: &mut Activity, effect: &Effect) {
    match effect {
        Effect::Begins(..) => {
            // The member may or may not have begun; its session is not lent to others unless other operations need it.
            if activity.active.is_empty() {
                activity.abandon();
                *activity = Activity::default();
            }
        }
        Effect::Goes(verbs) if verbs.is_empty() => {}
        Effect::Goes(_) | Effect::Ends(_) => {
            for verb in effect.needs() {
                activity.abandon();
                activity.end(*verb);
                activity.asked.retain(|asked| !concerns(&asked.step, *verb));
            }
        }
    }
}

fn concerns<K>(step: &Step<K>, verb: Verb) -> bool {
    match Effect::of(step) {
        Effect::Begins(begun, _) => begun == verb,
        effect => effect.needs() == [verb],
    }
}

/// Forgets where an object is on a member that has answered so.
fn forget_place(station: &Station, held: &Held, fault: Fault) {
    match held {
        Held::Token(entry) => station.lose_replica(entry.object.id, fault),
        Held::Transient(transient) => transient.forget_place(station),
    }
}

/// Brings a member to where the operation stands. What the application already has must come out again.
fn replay(
    token: &Token,
    activity: &mut Activity,
    station: &Arc<Station>,
    next: &Step<Held>,
) -> Answer {
    activity.abandon();
    let place = station.lease()?;
    if !activity.asked.is_empty() {
        // Looking for a key is proving it, which can't be done beside operations of the same kind.
        for held in &activity.keys(next) {
            token.place(&place, held).inspect_err(|_| place.spoil())?;
        }
    }
    for asked in &activity.asked {
        let room = Room::Bytes(released(&asked.output).len().saturating_add(1_024));
        // Looking for a key is proving it, which may have been left half-way.
        let real = real_step(token, &place, &asked.step).inspect_err(|_| place.spoil())?;
        let output = place.station().member.step(place.session(), &real, room);
        match output {
            Ok(output) if released(&output) == released(&asked.output) => {}
            Ok(_) => {
                place.spoil();
                log::error!(
                    "member {} answers an operation otherwise than the member before it; it does not go on there",
                    station.name()
                );
                return Err(Fault::new(Call::Step, CKR_FUNCTION_NOT_SUPPORTED));
            }
            Err(fault) => {
                place.spoil();
                return Err(fault);
            }
        }
    }
    activity.place = Some(place);
    Ok(())
}

/// An operation that has only been begun, and not on any member yet: what begins it and the step in one call. `None` if it
/// is further than that.
fn at_once(
    token: &Token,
    activity: &mut Activity,
    station: &Arc<Station>,
    step: &Step<Held>,
    room: Room,
) -> Option<Answer<Output>> {
    let [Asked { step: first, output: Output::Nothing }] = activity.asked.as_slice() else {
        return None;
    };
    if activity.place.is_some() || matches!(step, Step::Init { .. }) {
        return None;
    }
    let asked = || {
        let place = station.lease()?;
        let real = |step| real_step(token, &place, step);
        let first = match token.sign_first(&place, first, step, room)? {
            Sought::Signed(output) => return Ok((place, output)),
            Sought::There(key) => first.clone().try_map(|_| Ok(key)),
            Sought::Otherwise => real(first),
        };
        // Looking for a key is proving it, which may have been left half-way.
        let steps = first.and_then(|first| Ok((first, real(step)?)));
        let (first, then) = match steps {
            Ok(steps) => steps,
            Err(fault) => {
                place.spoil();
                return Err(fault);
            }
        };
        let answer = station.timed(|member| member.steps(place.session(), &first, &then, room));
        if answer.is_err() {
            place.spoil();
        }
        Ok((place, answer?))
    };
    Some(asked().map(|(place, output)| {
        activity.place = Some(place);
        output
    }))
}

/// Asks a step where the operation stands, as one more call there.
fn ask_on(place: &Lease, token: &Token, step: &Step<Held>, room: Room) -> Answer<Output> {
    let _flight = place.station().load.begin();
    if let Some(held) = key_of(step) {
        // Looking for a key is proving it, which can't be done in a session where an operation of the same kind is active.
        let aside = place.station().lease()?;
        token.place(&aside, held).inspect_err(|_| aside.spoil())?;
    }
    ask_at(place, token, step, room)
}

/// The same as part of a call that is counted already.
fn ask_here(token: &Token, activity: &Activity, step: &Step<Held>, room: Room) -> Answer<Output> {
    let Some(place) = &activity.place else {
        return Err(Fault::new(Call::Session, CKR_SESSION_HANDLE_INVALID));
    };
    ask_at(place, token, step, room)
}

fn ask_at(place: &Lease, token: &Token, step: &Step<Held>, room: Room) -> Answer<Output> {
    if !place.is_current() {
        return Err(Fault::new(Call::Session, CKR_SESSION_CLOSED));
    }
    let real = real_step(token, place, step)?;
    place.station().timed(|member| member.step(place.session(), &real, room))
}

/// The step with the member's own handles, looked up at the moment of the call.
fn real_step(token: &Token, place: &Lease, step: &Step<Held>) -> Answer<Step<Handle>> {
    let step = match step.clone() {
        Step::Init { verb, mechanism, key, signature } => Step::Init {
            verb,
            mechanism: real_mechanism(token, place, &mechanism)?,
            key,
            signature,
        },
        Step::Authenticate(pin) => Step::Authenticate(own_pin(place, pin)),
        step => step,
    };
    step.try_map(|held| token.place(place, &held))
}

/// The PIN a member wants for a context-specific login: its own, where it has one.
fn own_pin(place: &Lease, pin: Option<Secret>) -> Option<Secret> {
    match &place.station().settings.pin {
        Some(source) => source.pin().ok().or(pin),
        None => pin,
    }
}

fn real_mechanism(token: &Token, place: &Lease, mechanism: &Mechanism) -> Answer<Mechanism> {
    let Parameter::Parts(parts) = &mechanism.parameter else {
        return Ok(mechanism.clone());
    };
    let mut handles = Vec::new();
    for part in parts {
        if let tandem_values::Part::Key(handle) = part
            && *handle != CK_INVALID_HANDLE
        {
            let held =
                token.held(*handle).map_err(|_| Fault::new(Call::Step, CKR_KEY_HANDLE_INVALID))?;
            handles.push(token.place(place, &held)?);
        }
    }
    Ok(with_keys(mechanism, &handles))
}
