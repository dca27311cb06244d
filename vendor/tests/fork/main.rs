//! A forked child gets instances of its own: what its parent was logged in to, it is not.
//!
//! Alone in its program, so that no other thread holds a lock when it forks.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test stops at the first surprise, and the child can only say what it was"
)]

#[expect(dead_code, reason = "shared with other tests")]
#[path = "../real/token.rs"]
mod token;

use tandem_engine::fault::Class;
use tandem_engine::member::{Member, SessionId, User};
use tandem_values::ck::*;
use tandem_vendor::{AfterFork, LoadError, VendorMember, forget_after_fork};
use token::{Kind, TestToken, USER_PIN, pin, session};

/// Runs in a child, which ends with success or says what failed.
fn in_child(run: impl FnOnce() -> Result<(), String>) {
    // SAFETY: this is the only thread that does anything; the child runs on with what it has.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: a child that hangs is ended.
            unsafe { libc::alarm(60) };
            let code = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
                Ok(Ok(())) => 0,
                Ok(Err(reason)) => {
                    eprintln!("in the child: {reason}");
                    1
                }
                Err(_) => 2,
            };
            // SAFETY: without the exit handlers, which are the parent's.
            unsafe { libc::_exit(code) }
        }
        child => {
            let mut status = 0;
            // SAFETY: our own child, and a place for its status.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert!(libc::WIFEXITED(status), "the child was killed: {status}");
            assert_eq!(libc::WEXITSTATUS(status), 0);
        }
    }
}

fn expect(what: &str, is: bool) -> Result<(), String> {
    if is { Ok(()) } else { Err(what.to_owned()) }
}

/// What the child does with its parent's member, and with one of its own.
fn child(parents: VendorMember, inherited: SessionId, token: &TestToken) -> Result<(), String> {
    forget_after_fork();
    let state = parents.state(inherited).unwrap_err();
    expect("the parent's session is ours", state.rv.0 == CKR_CRYPTOKI_NOT_INITIALIZED)?;
    expect("the parent's member starts", *parents.try_start().unwrap_err() == LoadError::Forked)?;
    drop(parents);

    let own = token.member();
    expect("the child's copy is not its own", own.is_private())?;
    let session = own.open(true).map_err(|fault| format!("open: {fault}"))?;
    let state = own.state(session).unwrap();
    expect("the child is logged in by inheritance", state == CKS_RW_PUBLIC_SESSION)?;
    let wrong = own.login(session, User::User, Some(&pin("wrong")));
    let wrong = wrong.err().map(|fault| (fault.rv.0, fault.class));
    expect("a wrong PIN is let in", wrong == Some((CKR_PIN_INCORRECT, Class::Refused)))?;
    let right = own.login(session, User::User, Some(&pin(USER_PIN)));
    right.map_err(|fault| format!("the right PIN: {fault}"))?;
    own.stop().map_err(|fault| format!("stop: {fault}"))
}

#[test]
fn a_child_logs_in_for_itself() {
    for kind in Kind::all() {
        let token = TestToken::new(kind, "forked");
        let member = token.member();
        let open = session(&member);
        // Its own member would be dropped twice, once on each side.
        let inherited = VendorMember::new(token.config.clone());
        drop(inherited);
        let parents = std::mem::ManuallyDrop::new(member);
        in_child(|| {
            // SAFETY: the parent's, in the child's memory: used once, here.
            let parents = unsafe { std::ptr::read(&raw const *parents) };
            child(parents, open, &token)
        });
        // The parent goes on as if nothing had been.
        assert_eq!(parents.state(open).unwrap(), CKS_RW_USER_FUNCTIONS);
        let member = std::mem::ManuallyDrop::into_inner(parents);
        member.stop().unwrap();

        // A library that is shared is not shared with a child.
        let mut shared = TestToken::new(kind, "shared");
        shared.config.quirks.private_copy = Some(false);
        let member = shared.member();
        session(&member);
        in_child(|| {
            forget_after_fork();
            let own = shared.member();
            expect("a shared library is inherited", own.is_private())?;
            let session = own.open(true).unwrap();
            let wrong = own.login(session, User::User, Some(&pin("wrong")));
            expect(
                "a wrong PIN is let in",
                wrong.is_err_and(|fault| fault.rv.0 == CKR_PIN_INCORRECT),
            )
        });
        // Neither of these vendors begins anew by C_Initialize, which is found out and refused.
        shared.config.quirks.after_fork = Some(AfterFork::Initialise);
        in_child(|| {
            forget_after_fork();
            let own = VendorMember::new(shared.config.clone());
            let refused = own.try_start().expect_err("it starts on the parent's instance");
            let reason = refused.to_string();
            expect(&reason, matches!(*refused, LoadError::Inherited(_)))
        });
        member.stop().unwrap();
    }
}
