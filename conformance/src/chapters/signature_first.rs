//! Section 5.15: C_VerifySignatureInit and what follows it, where the signature comes before the data.

use crate::answer::Verdict;
use crate::case::{Cases, Need};
use crate::token::Token;
use crate::value::Mechanism;
use crate::work::{Recipe, Task, Work};
use tandem_values::ck::*;

pub(super) fn add(cases: &mut Cases, recipe: Recipe) {
    let needs = [
        Need::Function("C_VerifySignatureInit"),
        Need::Mechanism(recipe.kind, CKF_SIGN | CKF_VERIFY),
    ];
    at_once(cases, recipe, &needs);
    states(cases, recipe, &needs);
    if recipe.parts {
        in_parts(cases, recipe, &needs);
    }
}

/// Data and its signature, by a key.
struct Signed {
    data: Vec<u8>,
    signature: Vec<u8>,
    key: CK_OBJECT_HANDLE,
}

/// Signs something, and begins to verify it.
fn begin(token: &Token<'_>, session: CK_SESSION_HANDLE, recipe: Recipe) -> Verdict<Signed> {
    let task = Task::of(token, session, Work::Verify, recipe)?;
    let signature = task.wanted.clone().unwrap_or_default();
    let mut mechanism = (recipe.mechanism)();
    let answer =
        token.module.C_VerifySignatureInit(session, &mut mechanism, task.key, (&signature).into());
    answer.ok()?;
    Ok(Signed { data: task.input, signature, key: task.key })
}

fn at_once(cases: &mut Cases, recipe: Recipe, needs: &[Need]) {
    let (function, kind) = ("C_VerifySignature", recipe.kind);
    cases.add_with(function, kind, "right data, and it ends the operation", needs, move |token| {
        let (session, module) = (token.session()?, token.module);
        let signed = begin(token, session.handle, recipe)?;
        module.C_VerifySignature(session.handle, (&signed.data).into()).ok()?;
        let again = module.C_VerifySignature(session.handle, (&signed.data).into());
        again.is(CKR_OPERATION_NOT_INITIALIZED)
    });
    cases.add_with(function, kind, "other data", needs, move |token| {
        let session = token.session()?;
        let mut data = begin(token, session.handle, recipe)?.data;
        if let Some(byte) = data.first_mut() {
            *byte ^= 1;
        }
        token.module.C_VerifySignature(session.handle, (&data).into()).is(CKR_SIGNATURE_INVALID)
    });
}

fn states(cases: &mut Cases, recipe: Recipe, needs: &[Need]) {
    let (function, kind) = ("C_VerifySignatureInit", recipe.kind);
    let what = "while one is active, and a null mechanism ends it";
    cases.add_with(function, kind, what, needs, move |token| {
        let (session, module) = (token.session()?, token.module);
        let (s, Signed { data, signature, key }) =
            (session.handle, begin(token, session.handle, recipe)?);
        let init = |mut mechanism: Mechanism| {
            module.C_VerifySignatureInit(s, &mut mechanism, key, (&signature).into())
        };
        init((recipe.mechanism)()).is(CKR_OPERATION_ACTIVE)?;
        init(Mechanism::null()).ok()?;
        module.C_VerifySignature(s, (&data).into()).is(CKR_OPERATION_NOT_INITIALIZED)
    });
}

fn in_parts(cases: &mut Cases, recipe: Recipe, needs: &[Need]) {
    let (update, last, kind) = ("C_VerifySignatureUpdate", "C_VerifySignatureFinal", recipe.kind);
    cases.add_with(update, kind, "right data in parts", needs, move |token| {
        let session = token.session()?;
        let signed = begin(token, session.handle, recipe)?;
        for part in signed.data.chunks(7) {
            token.module.C_VerifySignatureUpdate(session.handle, part.into()).ok()?;
        }
        token.module.C_VerifySignatureFinal(session.handle).ok()
    });
    cases.add_with(last, kind, "other data, then no operation", needs, move |token| {
        let (session, module) = (token.session()?, token.module);
        begin(token, session.handle, recipe)?;
        module.C_VerifySignatureUpdate(session.handle, b"other".into()).ok()?;
        module.C_VerifySignatureFinal(session.handle).is(CKR_SIGNATURE_INVALID)?;
        module.C_VerifySignatureFinal(session.handle).is(CKR_OPERATION_NOT_INITIALIZED)
    });
}
