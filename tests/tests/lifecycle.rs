//! Loading, using and unloading, over and over: nothing is left behind.

use cryptoki::context::Function;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Holdings, Vendor, Wanted, alone, application, artefacts, skip};

/// How much more memory may be resident after four fifths of a hundred lives: vendors' libraries leak, and the heap has
/// holes.
const MEMORY_GROWTH_KIB_MAX: usize = 4_096;

/// How many lives a test lives: `TANDEM_CYCLES`, or so many.
fn lives(usual: usize) -> usize {
    std::env::var("TANDEM_CYCLES").map_or(usual, |told| told.parse().expect("a number"))
}

/// Has `tandem-test-lives` live so many lives, under a program that watches it or under none, and answers what it held
/// after each, and what was said on standard error.
fn lived(watcher: &[&str], lives: usize) -> (Vec<Holdings>, String) {
    {
        let (_application, session) = application();
        Kind::P256.make(&session, "key").expect("a key");
    }
    let (program, many) = (env!("CARGO_BIN_EXE_tandem-test-lives"), lives.to_string());
    let words = [watcher, &[program, &many]].concat();
    let output = Command::new(words[0])
        .args(&words[1..])
        .env("TANDEM_ARTIFACTS", artefacts::folder())
        .output()
        .expect("the program");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?}: {}\n{out}{err}", output.status);
    let held: Vec<Holdings> = out.lines().map(|line| line.parse().expect("holdings")).collect();
    assert_eq!(held.len(), lives, "{out}{err}");
    (held, err.into_owned())
}

/// After the first lives, which load what stays loaded, each life leaves what it found.
fn nothing_grows(held: &[Holdings]) {
    let first = held.get(1).expect("two lives");
    for (life, after) in held.iter().enumerate().skip(2) {
        let same = Holdings { resident_kib: first.resident_kib, ..after.clone() };
        assert_eq!(&same, first, "after life {}", life + 1);
    }
}

#[test]
fn a_module_that_is_loaded_a_hundred_times_leaves_nothing() {
    alone(&Wanted::mixed(), |demo| {
        let (held, _) = lived(&[], lives(100));
        nothing_grows(&held);
        // Threads, then: those of the program itself.
        assert_eq!(held.last().map(|last| last.threads), Some(1), "a thread is left");
        // libtandem.so is linked `nodelete` and the copies of vendors' modules stay: they are the same ones, used again.
        let (warm, last) = (&held[held.len() / 5], &held[held.len() - 1]);
        let grown = last.resident_kib.saturating_sub(warm.resident_kib);
        println!("| {} lives | {warm} | {last} |", held.len());
        assert!(grown < MEMORY_GROWTH_KIB_MAX, "{grown} KiB more than after the first fifth");
        assert!(!demo.log().contains("warn"), "{}", demo.log());
    });
}

/// How many lives are lived under valgrind, where all is some thirty times slower.
const LIVES_UNDER_VALGRIND: usize = 3;

/// What it is asked: every access that is wrong, and every block that nothing points to any more, is an error.
const MEMCHECK: [&str; 6] = [
    "valgrind",
    "--leak-check=full",
    "--show-leak-kinds=definite",
    "--errors-for-leak-kinds=definite",
    "--num-callers=40",
    "--error-exitcode=9",
];

#[test]
fn valgrind_sees_no_leak_and_no_wrong_access_in_the_lives_of_the_module() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        skip("valgrind is not installed");
        return;
    }
    alone(&Wanted::mixed(), |demo| {
        demo.configure(|text| {
            text.replace("[[token.member]]", "[[token.member]]\ndeadline_ms = 120000")
        });
        let (held, said) = lived(&MEMCHECK, lives(LIVES_UNDER_VALGRIND));
        assert!(said.contains("ERROR SUMMARY: 0 errors"), "{said}");
        nothing_grows(&held);
        println!("| {} lives under valgrind | {} |", held.len(), held[held.len() - 1]);
        assert!(!demo.log().contains("warn"), "{}", demo.log());
    });
}

#[test]
fn threads_that_sign_together_are_served_together() {
    alone(&Wanted::mixed(), |_| {
        let (application, session) = application();
        let made = Kind::P256.make(&session, "key").expect("a key");
        let public = Kind::P256.public(&session, made).expect("a public key");
        let sign = || {
            let session = application.open(false);
            (0..50).map(|_| Kind::P256.work(&session, made).expect("a signature")).next_back()
        };
        let last: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(sign)).collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
        });
        for signature in last.into_iter().flatten() {
            assert!(public.verifies(&DIGEST, &signature));
        }
        assert!(application.is_fn_supported(Function::SignMessage));
    });
}

/// An application that is linked against libtandem.so has its functions before anybody else's, and a vendor's module that
/// looks for its own by name must not find them.
#[test]
fn a_program_that_has_our_functions_as_its_own_still_reaches_the_vendors() {
    alone(&Wanted::over(&[Vendor::SoftHsm, Vendor::Kryoptic, Vendor::SoftHsm]), |demo| {
        let mut user = Command::new(env!("CARGO_BIN_EXE_tandem-test-user"))
            .env("LD_PRELOAD", artefacts::module())
            .env("TANDEM_ARTIFACTS", artefacts::folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the helper program");
        let mut told = user.stdin.take().expect("its input");
        told.write_all(b"make key\nlist\n").expect("its input");
        drop(told);
        let said = user.wait_with_output().expect("its output").stdout;
        assert_eq!(String::from_utf8_lossy(&said), "ready\nmade\nkey\n", "{}", demo.log());
        assert!(!demo.log().contains("warn"), "{}", demo.log());
        for (member, _) in demo.members() {
            assert!(Kind::P256.find(&demo.direct(member), "key").is_some(), "{member}");
        }
    });
}

#[test]
fn the_module_exports_the_104_functions_of_pkcs_11_and_nothing_else() {
    let exported = exported(&artefacts::module());
    let strange: Vec<_> = exported.iter().filter(|name| !name.starts_with("C_")).collect();
    assert!(strange.is_empty(), "{strange:?}");
    // docs/support.md has a row for each.
    let page = fs::read_to_string(artefacts::repository().join("docs/support.md"))
        .expect("docs/support.md");
    let mut documented: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| C_"))
        .filter_map(|line| line.split_whitespace().next())
        .map(|name| format!("C_{name}"))
        .collect();
    documented.sort();
    assert_eq!(exported, documented);
    assert_eq!(exported.len(), 104);
}

fn exported(module: &Path) -> Vec<String> {
    let nm = Command::new("nm").args(["-D", "--defined-only"]).arg(module).output().expect("nm");
    assert!(nm.status.success(), "{}", String::from_utf8_lossy(&nm.stderr));
    let text = String::from_utf8(nm.stdout).expect("text");
    let mut names: Vec<_> =
        text.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect();
    names.sort();
    names
}
