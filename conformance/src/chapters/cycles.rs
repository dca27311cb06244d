//! Sections 5.4.1 and 5.4.2: C_Initialize, its arguments, C_Finalize, and both again and again.

use crate::answer::skip;
use crate::argument::{Arguments, Place};
use crate::case::{Cases, State};
use crate::function::FUNCTIONS;
use crate::module::Start;
use crate::token::Token;
use tandem_values::ck::*;

pub(super) fn add(cases: &mut Cases) {
    cases.begin(State::Finalised);
    not_initialised(cases);
    arguments(cases);
    cases.begin(State::Alone);
    cases.add("C_Initialize", "twice", &[], |token| {
        let answer = token.module.C_Initialize(&mut token.reach.start.arguments());
        answer.is(CKR_CRYPTOKI_ALREADY_INITIALIZED)
    });
    cases.add("C_Finalize", "something in pReserved", &[], |token| {
        token.module.C_Finalize(true).is(CKR_ARGUMENTS_BAD)
    });
    ends(cases);
    cases.add("C_Initialize", "ten times, with C_Finalize after each", &[], |token| {
        for _ in 0..10 {
            token.module.C_Finalize(false).ok()?;
            token.module.C_Initialize(&mut token.reach.start.arguments()).ok()?;
            let session = token.session()?;
            token.login(session.handle, CKU_USER).ok()?;
        }
        Ok(())
    });
}

/// CKR_CRYPTOKI_NOT_INITIALIZED of every function but those that bring lists.
fn not_initialised(cases: &mut Cases) {
    const ANY_TIME: [&str; 4] =
        ["C_Initialize", "C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface"];
    for function in FUNCTIONS.iter().filter(|function| !ANY_TIME.contains(&function.name)) {
        // The legacy functions of section 5.20 answer the same whatever there is.
        let legacy = function.section.starts_with("5.20");
        cases.add(function.name, "before C_Initialize", &[], move |token| {
            let answer = (function.plain)(token.module, 1);
            match answer.rv {
                CKR_FUNCTION_NOT_PARALLEL if legacy => Ok(()),
                _ => answer.is(CKR_CRYPTOKI_NOT_INITIALIZED),
            }
        });
    }
}

/// Arguments of the standard's own kind: a module that needs others can't be asked.
fn standard(
    token: &Token<'_>,
    mut arguments: Arguments,
    wanted: &[CK_RV],
) -> crate::answer::Verdict {
    if token.reach.start != Start::Standard {
        return skip("the module is initialised in a way of its own");
    }
    token.module.C_Initialize(&mut arguments).is_one_of(wanted)
}

fn arguments(cases: &mut Cases) {
    cases.add("C_Initialize", "a null pointer", &[], |token| {
        standard(token, Arguments::null(), &[CKR_OK])
    });
    cases.add("C_Initialize", "no flags and no functions for mutexes", &[], |token| {
        standard(token, Arguments::flags(0), &[CKR_OK])
    });
    cases.add("C_Initialize", "threads, by the operating system's locks", &[], |token| {
        standard(token, Arguments::flags(CKF_OS_LOCKING_OK), &[CKR_OK])
    });
    cases.add("C_Initialize", "no threads of the module's own", &[], |token| {
        let flags = CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS;
        standard(token, Arguments::flags(flags), &[CKR_OK, CKR_NEED_TO_CREATE_THREADS])
    });
    cases.add("C_Initialize", "some functions for mutexes and not the others", &[], |token| {
        standard(token, Arguments::some_mutexes(), &[CKR_ARGUMENTS_BAD])
    });
    cases.add("C_Initialize", "something in pReserved", &[], |token| {
        if token.reach.start != Start::Standard {
            return skip("the module is initialised in a way of its own");
        }
        let mut arguments = Arguments::reserved(c"something".to_owned());
        token.module.C_Initialize(&mut arguments).is(CKR_ARGUMENTS_BAD)
    });
}

fn ends(cases: &mut Cases) {
    cases.add("C_Finalize", "it ends every session", &[], |token| {
        let session = token.session()?;
        token.module.C_Finalize(false).ok()?;
        token.module.C_Initialize(&mut token.reach.start.arguments()).ok()?;
        let answer = token.module.C_GetSessionInfo(session.handle, &mut Place::new());
        answer.is(CKR_SESSION_HANDLE_INVALID)
    });
    cases.add("C_Finalize", "it ends the login", &[], |token| {
        let session = token.session()?;
        token.login(session.handle, CKU_USER).ok()?;
        token.module.C_Finalize(false).ok()?;
        token.module.C_Initialize(&mut token.reach.start.arguments()).ok()?;
        let (session, mut info) = (token.session()?, Place::new());
        token.module.C_GetSessionInfo(session.handle, &mut info).ok()?;
        crate::answer::ensure(info.value.state == CKS_RW_PUBLIC_SESSION, || {
            format!("the state is {}", info.value.state)
        })
    });
    cases.add("C_Finalize", "twice", &[], |token| {
        token.module.C_Finalize(false).ok()?;
        token.module.C_Finalize(false).is(CKR_CRYPTOKI_NOT_INITIALIZED)
    });
}
