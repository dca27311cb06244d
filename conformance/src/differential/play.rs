//! Plays sequences on a module, in a process of its own: a line of calls in, a line of outcomes out.

use super::call::{Bytes, Call, Change, Flaw, Id, Made, Outcome, Room, Sort, What};
use super::made::{
    changed, created, derived, fixed, flawed, generated, mechanism, pair, unwrapped,
};
use crate::answer::Answer;
use crate::argument::{Data, Out, Place, Several};
use crate::case::State;
use crate::module::{Module, Result};
use crate::subject::Subject;
use crate::template;
use crate::token::{LABEL, Token};
use crate::value::{Mechanism, Template};
use crate::work::Work;
use crate::worker::{Identity, identity, tell};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Write};
use tandem_values::ck::*;

/// What a player tells.
#[derive(Debug, Serialize, Deserialize)]
pub enum Played {
    /// The module says that it is this.
    Ready(Identity),
    /// The module can't be used.
    Unusable {
        /// Why.
        reason: String,
    },
    /// What the calls of a sequence answered, one for each.
    Outcomes(Vec<Outcome>),
}

/// Plays what is said until nothing more is.
pub fn serve(subject: &Subject, input: &mut dyn BufRead, output: &mut dyn Write) -> Result<()> {
    let reach = subject.reach()?;
    let module = match Module::load(&subject.module) {
        Ok(module) => module,
        Err(reason) => return tell(output, &Played::Unusable { reason }),
    };
    let token = Token::new(&module, &reach);
    match token.sweep() {
        Ok(()) => tell(output, &Played::Ready(identity(&module)))?,
        Err(reason) => return tell(output, &Played::Unusable { reason }),
    }
    for line in input.lines() {
        let line = line.map_err(|error| error.to_string())?;
        let calls: Vec<Call> = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        let played = match sequence(&token, &calls) {
            Ok(outcomes) => Played::Outcomes(outcomes),
            Err(reason) => Played::Unusable { reason },
        };
        tell(output, &played)?;
    }
    Ok(())
}

/// Plays a sequence on a token with which nobody is at work, and leaves nothing of it there.
fn sequence(token: &Token<'_>, calls: &[Call]) -> Result<Vec<Outcome>> {
    token.bring(State::Alone)?;
    let mut player =
        Player { token, made: HashMap::new(), bytes: HashMap::new(), partly: HashSet::new() };
    let outcomes = calls.iter().map(|call| player.play(call)).collect();
    let keeps = |call: &Call| match call.what {
        What::Create { made, .. } | What::Generate { made, .. } => made.token,
        What::Copy { change, .. } | What::Write { change, .. } => change == Change::Token(true),
        _ => false,
    };
    token.bring(State::Alone)?;
    if calls.iter().any(keeps) {
        token.sweep()?;
    }
    Ok(outcomes)
}

/// A sequence that is being played.
struct Player<'a> {
    token: &'a Token<'a>,
    /// Sessions and objects by the calls that made them.
    made: HashMap<Id, CK_ULONG>,
    /// Bytes by the calls that answered them.
    bytes: HashMap<Id, Vec<u8>>,
    /// Sessions whose search has been answered in part.
    partly: HashSet<CK_SESSION_HANDLE>,
}

impl Player<'_> {
    fn handle(&self, id: Id) -> CK_ULONG {
        // A handle that there isn't, and that isn't 0.
        self.made.get(&id).copied().unwrap_or(0x7fff_ffff_ffff_0000)
    }

    fn data(&self, bytes: Bytes) -> Vec<u8> {
        match bytes {
            Bytes::Of(len) => fixed(len),
            Bytes::From(id) => self.bytes.get(&id).cloned().unwrap_or_default(),
            Bytes::Null(_) => Vec::new(),
        }
    }

    fn play(&mut self, call: &Call) -> Outcome {
        let session = self.handle(call.session);
        let module = self.token.module;
        match &call.what {
            What::Open { writes } => {
                let flags = CKF_SERIAL_SESSION | if *writes { CKF_RW_SESSION } else { 0 };
                let mut place = Place::new();
                let answer = module.C_OpenSession(self.token.slot(), flags, (), (), &mut place);
                self.keep(call.id, answer, &place)
            }
            What::Close => Outcome::of(module.C_CloseSession(session).rv),
            What::Login => Outcome::of(self.token.login(session, CKU_USER).rv),
            What::Logout => Outcome::of(module.C_Logout(session).rv),
            What::SessionInfo => {
                let mut info = Place::new();
                let answer = module.C_GetSessionInfo(session, &mut info);
                Outcome { number: ok(answer).then_some(info.value.state), ..Outcome::of(answer.rv) }
            }
            What::Destroy { object } => {
                Outcome::of(module.C_DestroyObject(session, self.handle(*object)).rv)
            }
            What::DigestKey { key } => {
                Outcome::of(module.C_DigestKey(session, self.handle(*key)).rv)
            }
            What::Random { len } => {
                let mut out = Out::room((*len).max(1));
                out.len = crate::argument::number(*len);
                Outcome::of(module.C_GenerateRandom(session, &mut out).rv)
            }
            What::FindInit { .. } | What::Find { .. } | What::FindFinal => self.find(call, session),
            What::Init { .. } | What::Whole { .. } | What::Update { .. } | What::Final { .. } => {
                self.operate(call, session)
            }
            _ => self.objects(call, session),
        }
    }

    fn keep(&mut self, id: Id, answer: Answer, place: &Place<CK_ULONG>) -> Outcome {
        if ok(answer) {
            self.made.insert(id, place.value);
        }
        Outcome::of(answer.rv)
    }

    fn output(&mut self, id: Id, answer: Answer, out: &Out) -> Outcome {
        let told = matches!(answer.rv, CKR_OK | CKR_BUFFER_TOO_SMALL);
        if ok(answer) {
            self.bytes.insert(id, out.bytes().to_vec());
        }
        Outcome {
            number: told.then_some(out.len),
            bytes: ok(answer).then(|| out.bytes().to_vec()),
            ..Outcome::of(answer.rv)
        }
    }

    fn objects(&mut self, call: &Call, session: CK_SESSION_HANDLE) -> Outcome {
        let (module, mut place) = (self.token.module, Place::new());
        let answer = match &call.what {
            What::Create { made, flaw } => {
                module.C_CreateObject(session, &mut flawed(created(*made), *flaw), &mut place)
            }
            What::Generate { made, flaw } if made.sort == Sort::Ec => {
                return self.pair(call.id, session, *made, *flaw);
            }
            What::Generate { made, flaw } => {
                let kind = if made.sort == Sort::Aes {
                    CKM_AES_KEY_GEN
                } else {
                    CKM_GENERIC_SECRET_KEY_GEN
                };
                let mut wanted = flawed(generated(*made), *flaw);
                module.C_GenerateKey(session, &mut Mechanism::plain(kind), &mut wanted, &mut place)
            }
            What::Copy { from, change } => {
                module.C_CopyObject(session, self.handle(*from), &mut changed(*change), &mut place)
            }
            What::Write { object, change } => {
                let answer = module.C_SetAttributeValue(
                    session,
                    self.handle(*object),
                    &mut changed(*change),
                );
                return Outcome::of(answer.rv);
            }
            What::Read { object, kinds, room } => return self.read(session, *object, kinds, *room),
            What::Wrap { by, key, out } => {
                let mut out = room(*out);
                let mut mechanism = Mechanism::plain(CKM_AES_KEY_WRAP);
                let answer = module.C_WrapKey(
                    session,
                    &mut mechanism,
                    self.handle(*by),
                    self.handle(*key),
                    &mut out,
                );
                return self.output(call.id, answer, &out);
            }
            What::Unwrap { by, data, flaw } => {
                let mut wanted = flawed(unwrapped(), *flaw);
                let (bytes, mut mechanism) = (self.data(*data), Mechanism::plain(CKM_AES_KEY_WRAP));
                let data = given(*data, &bytes);
                module.C_UnwrapKey(
                    session,
                    &mut mechanism,
                    self.handle(*by),
                    data,
                    &mut wanted,
                    &mut place,
                )
            }
            What::Derive { base } => {
                let mut wanted = derived();
                let mut mechanism = Mechanism::encrypt_data(&fixed(32));
                module.C_DeriveKey(
                    session,
                    &mut mechanism,
                    self.handle(*base),
                    &mut wanted,
                    &mut place,
                )
            }
            _ => Answer::new("", CKR_GENERAL_ERROR),
        };
        self.keep(call.id, answer, &place)
    }

    fn pair(&mut self, id: Id, session: CK_SESSION_HANDLE, made: Made, flaw: Flaw) -> Outcome {
        let (mut public, mut private) = (Place::new(), Place::new());
        let [one, mut other] = pair(made);
        let mut one = flawed(one, flaw);
        let mut mechanism = Mechanism::plain(CKM_EC_KEY_PAIR_GEN);
        let answer = self.token.module.C_GenerateKeyPair(
            session,
            &mut mechanism,
            &mut one,
            &mut other,
            &mut public,
            &mut private,
        );
        self.keep(id + 1, answer, &private);
        self.keep(id, answer, &public)
    }

    fn read(&self, session: CK_SESSION_HANDLE, object: Id, kinds: &[u64], room: usize) -> Outcome {
        let mut asked =
            if room == 0 { Template::lengths(kinds) } else { Template::ask(kinds, room) };
        let answer =
            self.token.module.C_GetAttributeValue(session, self.handle(object), &mut asked);
        // What stands there after other errors means nothing.
        let means = matches!(
            answer.rv,
            CKR_OK | CKR_ATTRIBUTE_SENSITIVE | CKR_ATTRIBUTE_TYPE_INVALID | CKR_BUFFER_TOO_SMALL
        );
        let told = |(at, kind): (usize, &u64)| {
            (*kind, asked.told(at), asked.value(at).unwrap_or_default().to_vec())
        };
        let attributes =
            if means { kinds.iter().enumerate().map(told).collect() } else { Vec::new() };
        Outcome { attributes, ..Outcome::of(answer.rv) }
    }

    fn find(&mut self, call: &Call, session: CK_SESSION_HANDLE) -> Outcome {
        let module = self.token.module;
        match &call.what {
            What::FindInit { class, token } => {
                let mut wanted = template! { CKA_LABEL: LABEL };
                if let Some(class) = class {
                    wanted = wanted.with(CKA_CLASS, *class);
                }
                if let Some(token) = token {
                    wanted = wanted.with(CKA_TOKEN, *token);
                }
                let answer = module.C_FindObjectsInit(session, &mut wanted);
                if ok(answer) {
                    self.partly.remove(&session);
                }
                Outcome::of(answer.rv)
            }
            What::Find { most } => {
                let room = usize::try_from(*most).unwrap_or(1);
                let (mut batch, mut count) = (Several::room(0, room), Place::new());
                let answer = module.C_FindObjects(session, &mut batch, &mut count);
                let known = |handle: &CK_ULONG| {
                    self.made
                        .iter()
                        .find(|(_, made)| *made == handle)
                        .map_or(Id::MAX, |(id, _)| *id)
                };
                let mut found: Vec<_> = batch.first(count.value).iter().map(known).collect();
                found.sort_unstable();
                // In which order objects are found isn't said: only all of them at once can be compared.
                // What nobody has made is told in any case.
                let whole = count.value < *most && !self.partly.contains(&session);
                let told = whole || found.contains(&Id::MAX);
                if count.value > 0 {
                    self.partly.insert(session);
                }
                Outcome { found: told.then_some(found), ..Outcome::of(answer.rv) }
            }
            _ => Outcome::of(module.C_FindObjectsFinal(session).rv),
        }
    }

    fn operate(&mut self, call: &Call, session: CK_SESSION_HANDLE) -> Outcome {
        let module = self.token.module;
        match &call.what {
            What::Init { work, method, key, wrong } => {
                let (mut mechanism, key) = (mechanism(*method, *wrong), self.handle(*key));
                let answer = match work {
                    Work::Encrypt => module.C_EncryptInit(session, &mut mechanism, key),
                    Work::Decrypt => module.C_DecryptInit(session, &mut mechanism, key),
                    Work::Digest => module.C_DigestInit(session, &mut mechanism),
                    Work::Sign => module.C_SignInit(session, &mut mechanism, key),
                    Work::Verify => module.C_VerifyInit(session, &mut mechanism, key),
                };
                Outcome::of(answer.rv)
            }
            What::Whole { work, data, out, signature } => {
                let (bytes, signed, mut out) =
                    (self.data(*data), self.data(*signature), room(*out));
                let data = given(*data, &bytes);
                let answer = match work {
                    Work::Encrypt => module.C_Encrypt(session, data, &mut out),
                    Work::Decrypt => module.C_Decrypt(session, data, &mut out),
                    Work::Digest => module.C_Digest(session, data, &mut out),
                    Work::Sign => module.C_Sign(session, data, &mut out),
                    Work::Verify => {
                        return Outcome::of(
                            module.C_Verify(session, data, given(*signature, &signed)).rv,
                        );
                    }
                };
                self.output(call.id, answer, &out)
            }
            What::Update { work, data, out } => {
                let (bytes, mut out) = (self.data(*data), room(*out));
                let data = given(*data, &bytes);
                let answer = match work {
                    Work::Encrypt => module.C_EncryptUpdate(session, data, &mut out),
                    Work::Decrypt => module.C_DecryptUpdate(session, data, &mut out),
                    Work::Digest => return Outcome::of(module.C_DigestUpdate(session, data).rv),
                    Work::Sign => return Outcome::of(module.C_SignUpdate(session, data).rv),
                    Work::Verify => return Outcome::of(module.C_VerifyUpdate(session, data).rv),
                };
                self.output(call.id, answer, &out)
            }
            What::Final { work, out, signature } => {
                let (signed, mut out) = (self.data(*signature), room(*out));
                let answer = match work {
                    Work::Encrypt => module.C_EncryptFinal(session, &mut out),
                    Work::Decrypt => module.C_DecryptFinal(session, &mut out),
                    Work::Digest => module.C_DigestFinal(session, &mut out),
                    Work::Sign => module.C_SignFinal(session, &mut out),
                    Work::Verify => {
                        return Outcome::of(
                            module.C_VerifyFinal(session, given(*signature, &signed)).rv,
                        );
                    }
                };
                self.output(call.id, answer, &out)
            }
            _ => Outcome::of(CKR_GENERAL_ERROR),
        }
    }
}

fn ok(answer: Answer) -> bool {
    answer.rv == CKR_OK
}

fn given(bytes: Bytes, held: &[u8]) -> Data<'_> {
    match bytes {
        Bytes::Null(len) => Data::null(len),
        _ => Data::of(held),
    }
}

fn room(room: Room) -> Out {
    match room {
        Room::For(len) => Out::room(len),
        Room::Query => Out::query(),
    }
}
