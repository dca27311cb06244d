//! What holds for every kind of operation, as a table: each row becomes a case for each mechanism that it applies to.

use crate::answer::{Verdict, ensure};
use crate::argument::{Data, Out};
use crate::case::{Cases, Need};
use crate::key::{Sort, Usage};
use crate::token::Token;
use crate::value::Mechanism;
use crate::work::{ROOM, Recipe, Task, Work};
use tandem_values::ck::*;

/// A mechanism that nobody has.
const NO_SUCH: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x7fff_fff0;

/// Which of C_XInit, C_X, C_XUpdate and C_XFinal a row is about.
#[derive(Clone, Copy)]
enum About {
    Init = 0,
    Whole = 1,
    Update = 2,
    Last = 3,
}

/// A row.
struct Aspect {
    about: About,
    what: &'static str,
    applies: fn(Work, &Recipe) -> bool,
    run: fn(&Token<'_>, &Task<'_>) -> Verdict,
}

const fn row(
    about: About,
    what: &'static str,
    applies: fn(Work, &Recipe) -> bool,
    run: fn(&Token<'_>, &Task<'_>) -> Verdict,
) -> Aspect {
    Aspect { about, what, applies, run }
}

const fn always(_: Work, _: &Recipe) -> bool {
    true
}

fn has_output(work: Work, _: &Recipe) -> bool {
    work != Work::Verify
}

const fn in_parts(_: Work, recipe: &Recipe) -> bool {
    recipe.parts
}

fn output_in_parts(work: Work, recipe: &Recipe) -> bool {
    work != Work::Verify && recipe.parts
}

fn with_key(work: Work, _: &Recipe) -> bool {
    work != Work::Digest
}

const ASPECTS: &[Aspect] = &[
    row(About::Whole, "a single part", always, |token, task| {
        let mut out = Out::room(ROOM);
        task.init().ok()?;
        task.whole(&mut out).ok()?;
        if is_verify(task) { Ok(()) } else { task.accept(token, out.bytes()) }
    }),
    row(About::Update, "parts come to the same as a single part", in_parts, |token, task| {
        for size in [1, 16, 29] {
            let got = task.in_parts(size)?;
            if !is_verify(task) {
                task.accept(token, &got)?;
            }
        }
        Ok(())
    }),
    row(
        About::Whole,
        "a null pointer asks for the length and leaves the operation active",
        has_output,
        length_query,
    ),
    row(About::Whole, "a short buffer leaves the operation active", has_output, short_buffer),
    row(
        About::Last,
        "a null pointer asks for the length and leaves the operation active",
        output_in_parts,
        last_query,
    ),
    row(About::Last, "a short buffer leaves the operation active", output_in_parts, last_short),
    row(About::Whole, "no data", |_, recipe| recipe.parts, no_data),
    row(About::Whole, "it ends the operation", always, |_, task| {
        task.init().ok()?;
        task.whole(&mut Out::room(ROOM)).ok()?;
        task.whole(&mut Out::room(ROOM)).is(CKR_OPERATION_NOT_INITIALIZED)
    }),
    row(About::Whole, "without C_…Init", always, |_, task| {
        task.whole(&mut Out::room(ROOM)).is(CKR_OPERATION_NOT_INITIALIZED)
    }),
    row(About::Update, "without C_…Init", in_parts, |_, task| {
        let data = Data::from(&task.input);
        task.update(data, &mut Out::room(ROOM)).is(CKR_OPERATION_NOT_INITIALIZED)
    }),
    row(About::Last, "without C_…Init", in_parts, |_, task| {
        task.last(&mut Out::room(ROOM)).is(CKR_OPERATION_NOT_INITIALIZED)
    }),
    row(About::Init, "while the same kind of operation is active", always, |_, task| {
        task.init().ok()?;
        task.init().is(CKR_OPERATION_ACTIVE)
    }),
    row(About::Whole, "it can't end what was begun in parts", in_parts, |_, task| {
        task.init().ok()?;
        task.update((&task.input).into(), &mut Out::room(ROOM)).ok()?;
        task.whole(&mut Out::room(ROOM)).refused()
    }),
    row(About::Init, "no such mechanism", always, |_, task| {
        task.init_with(&mut Mechanism::plain(NO_SUCH), task.key).is(CKR_MECHANISM_INVALID)?;
        is_over(task)
    }),
    row(About::Init, "no such key", with_key, |_, task| {
        for handle in [CK_INVALID_HANDLE, CK_UNAVAILABLE_INFORMATION] {
            task.init_with(&mut (task.recipe.mechanism)(), handle).is(CKR_KEY_HANDLE_INVALID)?;
        }
        is_over(task)
    }),
    row(About::Init, "a key of another type", with_key, |token, task| {
        let other = token.key(task.recipe.sort.other(), Usage::All)?;
        let key = task.half(other);
        task.init_with(&mut (task.recipe.mechanism)(), key).is(CKR_KEY_TYPE_INCONSISTENT)
    }),
    row(About::Init, "a key that must not be used for it", with_key, |token, task| {
        let key = task.half(token.key(task.recipe.sort, Usage::None)?);
        task.init_with(&mut (task.recipe.mechanism)(), key).is(CKR_KEY_FUNCTION_NOT_PERMITTED)
    }),
    row(
        About::Init,
        "a wrong parameter",
        |_, recipe| recipe.wrong.is_some(),
        |_, task| {
            let Some(wrong) = task.recipe.wrong else { return Ok(()) };
            task.init_with(&mut wrong(), task.key).is(CKR_MECHANISM_PARAM_INVALID)?;
            is_over(task)
        },
    ),
    row(
        About::Whole,
        "data of a length that it can't take ends the operation",
        |_, recipe| recipe.bad_len.is_some(),
        bad_length,
    ),
    row(About::Whole, "null pointers where something must be", always, nulls),
    row(About::Init, "operations of two sessions are apart", always, |token, task| {
        let other = token.session()?;
        let second = Task::of(token, other.handle, task.work(), task.recipe)?;
        task.init().ok()?;
        second.init().ok()?;
        task.whole(&mut Out::room(ROOM)).ok()?;
        second.whole(&mut Out::room(ROOM)).ok()
    }),
];

/// Adds the cases of a mechanism.
pub(crate) fn add(cases: &mut Cases, work: Work, recipe: Recipe) {
    for aspect in ASPECTS.iter().filter(|aspect| (aspect.applies)(work, &recipe)) {
        let needs = [Need::Mechanism(recipe.kind, work.flag())];
        let functions = work.functions();
        let function = functions.get(aspect.about as usize).copied().unwrap_or_default();
        cases.add_with(function, recipe.kind, aspect.what, &needs, move |token| {
            let session = token.session()?;
            let task = Task::of(token, session.handle, work, recipe)?;
            (aspect.run)(token, &task)
        });
    }
    let [init, ..] = work.functions();
    let needs = [Need::Mechanism(recipe.kind, work.flag()), Need::Since(3, 0)];
    cases.add_with(
        init,
        recipe.kind,
        "a null mechanism ends the operation",
        &needs,
        move |token| {
            let session = token.session()?;
            let task = Task::of(token, session.handle, work, recipe)?;
            cancels(token, &task, |task| task.init_with(&mut Mechanism::null(), task.key).ok())
        },
    );
    let needs = [Need::Mechanism(recipe.kind, work.flag()), Need::Function("C_SessionCancel")];
    cases.add_with(
        "C_SessionCancel",
        recipe.kind,
        &format!("it ends {init}"),
        &needs,
        move |token| {
            let session = token.session()?;
            let task = Task::of(token, session.handle, work, recipe)?;
            cancels(token, &task, |_| {
                token.module.C_SessionCancel(session.handle, work.flag()).ok()
            })
        },
    );
}

fn is_verify(task: &Task<'_>) -> bool {
    task.work() == Work::Verify
}

/// There must be no active operation.
fn is_over(task: &Task<'_>) -> Verdict {
    task.whole(&mut Out::room(ROOM)).is(CKR_OPERATION_NOT_INITIALIZED)
}

/// An active operation is ended; another can be begun, and comes to its end.
fn cancels(token: &Token<'_>, task: &Task<'_>, cancel: impl Fn(&Task<'_>) -> Verdict) -> Verdict {
    task.init().ok()?;
    if task.recipe.parts {
        task.update((&task.input).into(), &mut Out::room(ROOM)).ok()?;
    }
    cancel(task)?;
    is_over(task)?;
    let mut out = Out::room(ROOM);
    task.init().ok()?;
    task.whole(&mut out).ok()?;
    if is_verify(task) { Ok(()) } else { task.accept(token, out.bytes()) }
}

/// The length that is told may be more than what comes (section 5.2).
fn enough(asked: &Out, got: &Out) -> Verdict {
    ensure(asked.len >= got.len, || {
        format!("the length told was {}, and {} bytes came", asked.len, got.len)
    })
}

fn length_query(token: &Token<'_>, task: &Task<'_>) -> Verdict {
    let mut asked = Out::query();
    task.init().ok()?;
    task.whole(&mut asked).ok()?;
    let mut out = Out::room(usize::try_from(asked.len).unwrap_or(0));
    task.whole(&mut out).ok()?;
    enough(&asked, &out)?;
    task.accept(token, out.bytes())
}

fn short_buffer(token: &Token<'_>, task: &Task<'_>) -> Verdict {
    let mut short = Out::room(1);
    task.init().ok()?;
    task.whole(&mut short).is(CKR_BUFFER_TOO_SMALL)?;
    let mut out = Out::room(usize::try_from(short.len).unwrap_or(0));
    task.whole(&mut out).ok()?;
    enough(&short, &out)?;
    task.accept(token, out.bytes())
}

/// Feeds all of the data; answers what came.
fn fed(task: &Task<'_>) -> Verdict<Vec<u8>> {
    let mut out = Out::room(ROOM);
    task.init().ok()?;
    task.update((&task.input).into(), &mut out).ok()?;
    Ok(out.bytes().to_vec())
}

fn last_query(token: &Token<'_>, task: &Task<'_>) -> Verdict {
    let mut all = fed(task)?;
    let mut asked = Out::query();
    task.last(&mut asked).ok()?;
    let mut out = Out::room(usize::try_from(asked.len).unwrap_or(0));
    task.last(&mut out).ok()?;
    enough(&asked, &out)?;
    all.extend_from_slice(out.bytes());
    task.accept(token, &all)
}

fn last_short(token: &Token<'_>, task: &Task<'_>) -> Verdict {
    let mut all = fed(task)?;
    let mut short = Out::room(0);
    let answer = task.last(&mut short);
    if answer.rv == CKR_OK {
        // Nothing was left to come: then nothing is too short.
        return task.accept(token, &all);
    }
    answer.is(CKR_BUFFER_TOO_SMALL)?;
    let mut out = Out::room(usize::try_from(short.len).unwrap_or(0));
    task.last(&mut out).ok()?;
    enough(&short, &out)?;
    all.extend_from_slice(out.bytes());
    task.accept(token, &all)
}

/// Nothing is data, too. What comes of it is undone by the other function, where there is one.
fn no_data(token: &Token<'_>, task: &Task<'_>) -> Verdict {
    let nothing = task.emptied(token)?;
    let mut out = Out::room(ROOM);
    nothing.init().ok()?;
    nothing.whole(&mut out).ok()?;
    if is_verify(&nothing) { Ok(()) } else { nothing.accept(token, out.bytes()) }
}

fn bad_length(_: &Token<'_>, task: &Task<'_>) -> Verdict {
    let Some(len) = task.recipe.bad_len else { return Ok(()) };
    let wanted: &[CK_RV] = match task.work() {
        Work::Decrypt => &[CKR_ENCRYPTED_DATA_LEN_RANGE],
        // A signature of such data can't be right, and its length is seen to be wrong, too.
        Work::Verify => &[CKR_DATA_LEN_RANGE, CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE],
        _ => &[CKR_DATA_LEN_RANGE],
    };
    task.init().ok()?;
    let data = vec![7; len];
    task.whole_of((&data).into(), &mut Out::room(ROOM)).is_one_of(wanted)?;
    is_over(task)
}

/// Which of several null pointers is told of first isn't said, nor whether the operation ends.
fn nulls(_: &Token<'_>, task: &Task<'_>) -> Verdict {
    task.init().ok()?;
    task.whole_of(Data::null(16), &mut Out::room(ROOM)).is(CKR_ARGUMENTS_BAD)?;
    if !is_verify(task) {
        let answer = task.init();
        answer.is_one_of(&[CKR_OK, CKR_OPERATION_ACTIVE])?;
        task.whole(&mut Out::without_length()).is(CKR_ARGUMENTS_BAD)?;
    }
    Ok(())
}

impl Task<'_> {
    /// The same sort of work with no data.
    fn emptied<'a>(&self, token: &Token<'a>) -> Verdict<Task<'a>> {
        let mut recipe = self.recipe;
        recipe.len = 0;
        Task::of(token, self.session(), self.work(), recipe)
    }

    /// The half of another key.
    fn half(&self, key: crate::key::Key) -> CK_OBJECT_HANDLE {
        // Of a key that isn't a pair both halves are the same.
        if self.recipe.sort == Sort::None { CK_INVALID_HANDLE } else { self.work().half(key) }
    }
}
