//! Section 5.4: what a module says of itself, and its lists of functions.

use crate::answer::{ensure, fail, skip};
use crate::argument::{Place, Several};
use crate::case::{Cases, Need, State};
use crate::function::{FUNCTIONS, Version};
use crate::module::{INTERFACE, Module};
use tandem_values::ck::*;

pub(super) fn add(cases: &mut Cases) {
    cases.begin(State::Finalised);
    lists(cases);
    interfaces(cases);
    cases.begin(State::LoggedIn);
    info(cases);
    wrong_sessions(cases);
}

fn lists(cases: &mut Cases) {
    cases.add("C_GetFunctionList", "before C_Initialize", &[], |token| {
        let mut list = Place::new();
        token.module.C_GetFunctionList(&mut list).ok()?;
        ensure(!list.value.is_null(), || "the list is a null pointer".into())
    });
    cases.add("C_GetFunctionList", "a null pointer", &[], |token| {
        token.module.C_GetFunctionList(&mut Place::null()).is(CKR_ARGUMENTS_BAD)
    });
    cases.add("C_GetFunctionList", "the list is of 2.40 or older and has no gaps", &[], |token| {
        let Some(list) = token.module.old_list() else {
            return skip("the module doesn't export C_GetFunctionList");
        };
        ensure(list.version.major == 2, || {
            format!("its version is {}.{}", list.version.major, list.version.minor)
        })?;
        ensure(list.C_WaitForSlotEvent.is_some() && list.C_GetFunctionStatus.is_some(), || {
            "functions at its end are null pointers: each must have a stub".into()
        })
    });
}

fn interfaces(cases: &mut Cases) {
    let needs = [Need::Function("C_GetInterface")];
    cases.add("C_GetInterfaceList", "how many, then all of them", &needs, |token| {
        let mut count = Several::query();
        token.module.C_GetInterfaceList(&mut count).ok()?;
        let room = usize::try_from(count.count).unwrap_or(0);
        let mut all = Several::room(crate::argument::NO_INTERFACE, room);
        token.module.C_GetInterfaceList(&mut all).ok()?;
        let names: Vec<_> = all.first(all.count).iter().map(Module::name_of).collect();
        ensure(names.iter().any(|name| name == "PKCS 11"), || {
            format!("\"PKCS 11\" is not among {names:?}")
        })
    });
    cases.add("C_GetInterfaceList", "too little room", &needs, |token| {
        let mut none = Several::room(crate::argument::NO_INTERFACE, 0);
        token.module.C_GetInterfaceList(&mut none).is(CKR_BUFFER_TOO_SMALL)?;
        ensure(none.count > 0, || "the count isn't told".into())
    });
    cases.add("C_GetInterfaceList", "a null pointer", &needs, |token| {
        token.module.C_GetInterfaceList(&mut Several::without_count()).is(CKR_ARGUMENTS_BAD)
    });
    cases.add("C_GetInterface", "the default interface", &needs, |token| {
        let mut interface = Place::new();
        token.module.C_GetInterface(None, &mut Place::null(), &mut interface, 0).ok()?;
        ensure(Module::list_of(interface.value).is_some(), || "it has no list".into())
    });
    cases.add("C_GetInterface", "every version of \"PKCS 11\" that is listed", &needs, |token| {
        let mut all = Several::room(crate::argument::NO_INTERFACE, 32);
        token.module.C_GetInterfaceList(&mut all).ok()?;
        for listed in all.first(all.count).iter().filter(|one| Module::name_of(one) == "PKCS 11") {
            let mut one = *listed;
            let Some(list) = Module::list_of(&raw mut one) else {
                return fail("an interface has no list");
            };
            let (mut version, mut found) = (Place::of(list.version), Place::new());
            token.module.C_GetInterface(Some(INTERFACE), &mut version, &mut found, 0).ok()?;
            let same = Module::list_of(found.value).is_some_and(|found| {
                (found.version.major, found.version.minor)
                    == (list.version.major, list.version.minor)
            });
            ensure(same, || {
                format!("{}.{} brings another version", list.version.major, list.version.minor)
            })?;
        }
        Ok(())
    });
    cases.add("C_GetInterface", "a name or a version that there isn't", &needs, |token| {
        let mut interface = Place::new();
        let module = token.module;
        module
            .C_GetInterface(Some(c"No such interface"), &mut Place::null(), &mut interface, 0)
            .is(CKR_ARGUMENTS_BAD)?;
        let mut version = Place::of(CK_VERSION { major: 9, minor: 9 });
        module
            .C_GetInterface(Some(INTERFACE), &mut version, &mut interface, 0)
            .is(CKR_ARGUMENTS_BAD)
    });
    cases.add("C_GetInterface", "a null pointer for the answer", &needs, |token| {
        let answer = token.module.C_GetInterface(None, &mut Place::null(), &mut Place::null(), 0);
        answer.is(CKR_ARGUMENTS_BAD)
    });
}

fn info(cases: &mut Cases) {
    cases.add("C_GetInfo", "names, versions and flags", &[], |token| {
        let mut info = Place::new();
        token.module.C_GetInfo(&mut info).ok()?;
        let info = info.value;
        ensure(info.flags == 0, || format!("the flags are {:#x}, and must be 0", info.flags))?;
        ensure(info.cryptokiVersion.major >= 2, || "the version is older than 2.0".into())?;
        for text in [&info.manufacturerID, &info.libraryDescription] {
            ensure(!text.contains(&0), || "a text is not padded with blanks".into())?;
        }
        Ok(())
    });
    cases.add("C_GetInfo", "a null pointer", &[], |token| {
        token.module.C_GetInfo(&mut Place::null()).is(CKR_ARGUMENTS_BAD)
    });
    cases.add("C_GetInfo", "every list of the module answers the same", &[], |token| {
        let Some(old) = token.module.old_list() else {
            return skip("the module doesn't export C_GetFunctionList");
        };
        let (mut one, mut other) = (CK_INFO::default(), CK_INFO::default());
        Module::info_of(&old, &mut one).ok()?;
        Module::info_of(token.module.list(), &mut other).ok()?;
        ensure(one.manufacturerID == other.manufacturerID, || "the manufacturers differ".into())
    });
}

/// CKR_SESSION_HANDLE_INVALID of every function that takes a session (section 5.1.2).
fn wrong_sessions(cases: &mut Cases) {
    for function in FUNCTIONS.iter().filter(|function| function.takes_session) {
        let needs = [Need::Function(function.name)];
        let needs = if function.version == Version::V2_40 { &[] } else { &needs[..] };
        // The legacy functions of section 5.20 answer the same whatever they are given.
        let legacy = function.section.starts_with("5.20");
        cases.add(function.name, "no such session", needs, move |token| {
            for session in [CK_INVALID_HANDLE, CK_UNAVAILABLE_INFORMATION] {
                let answer = (function.plain)(token.module, session);
                if legacy {
                    answer.is_one_of(&[CKR_SESSION_HANDLE_INVALID, CKR_FUNCTION_NOT_PARALLEL])?;
                } else {
                    answer.is(CKR_SESSION_HANDLE_INVALID)?;
                }
            }
            Ok(())
        });
    }
}
