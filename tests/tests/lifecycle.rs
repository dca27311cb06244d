//! Loading, using and unloading, over and over: nothing is left behind.

use cryptoki::context::Function;
use std::path::Path;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::{Demo, Vendor, Wanted, alone, application, artefacts};

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// What this process has open, and how many threads.
fn held() -> (BTreeMap<String, usize>, usize) {
    let mut open = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").expect("/proc") {
        let target = fs::read_link(entry.expect("an entry").path());
        let target = target.map(|path| path.display().to_string()).unwrap_or_default();
        // The listing's own descriptor.
        if !target.contains("/proc/") {
            *open.entry(target).or_insert(0) += 1;
        }
    }
    (open, fs::read_dir("/proc/self/task").expect("/proc").count())
}

/// How many copies of vendors' modules this process has mapped.
fn mapped() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
    let mut inodes: Vec<_> = maps
        .lines()
        .filter(|line| {
            line.contains("softhsm") || line.contains("kryoptic") || line.contains("memfd:")
        })
        .filter_map(|line| line.split_whitespace().nth(4))
        .collect();
    inodes.sort_unstable();
    inodes.dedup();
    inodes.len()
}

fn a_hundred_times(demo: &Demo) {
    let life = || {
        let (application, session) = application();
        let made = Kind::P256.find(&session, "key").expect("the key");
        Kind::P256.work(&session, made).expect("a signature");
        drop(session);
        application.finalize();
        // The last reference to the library was the application's: dlclose.
    };
    {
        let (application, session) = application();
        Kind::P256.make(&session, "key").expect("a key");
        drop(session);
        application.finalize();
    }
    life();
    let (before, mapped_before) = (held(), mapped());
    for _ in 0..100 {
        life();
    }
    let after = held();
    assert_eq!(after.1, before.1, "threads");
    assert_eq!(after.0, before.0, "open files");
    assert!(
        mapped() <= mapped_before,
        "copies of modules: {} and then {}",
        mapped_before,
        mapped()
    );
    assert!(!demo.log().contains("warn"), "{}", demo.log());
}

#[test]
fn a_module_that_is_loaded_a_hundred_times_leaves_nothing() {
    alone(&Wanted::mixed(), |demo| a_hundred_times(demo));
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
