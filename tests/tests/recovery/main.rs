//! The recovery of real tokens: new shares from old ones, and the key ring back on new HSMs.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod combine;
mod refused;
mod rotation;
mod split;
mod terminal;

use cryptoki::session::Session;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tandem_tests::keys::{DIGEST, Kind};
use tandem_tests::openssl::PublicKey;
use tandem_tests::{Application, Demo, USER_PIN, Vendor, Wanted, application};

/// What is made, and must come back.
const KINDS: [Kind; 4] = [Kind::Rsa(2048), Kind::P256, Kind::Generic(20), Kind::Aes(32)];

/// So many words of a share in a row are not there by chance.
const TELLING: usize = 4;

/// Keys, as everybody knows them.
struct Published(Vec<(Kind, PublicKey)>);

impl Published {
    /// Makes a key of each kind.
    fn make(session: &Session) -> Self {
        let mut published = Vec::new();
        for kind in KINDS {
            let made = kind.make(session, &format!("{kind}")).expect("a key");
            published.extend(kind.public(session, made).map(|public| (kind, public)));
        }
        Self(published)
    }

    /// The same, by an application that ends.
    fn by_an_application() -> Self {
        let (_application, session) = application();
        Self::make(&session)
    }

    /// Every key works, and is the published one.
    fn work(&self, session: &Session) {
        for kind in KINDS {
            let name = format!("{kind}");
            let made = kind.find(session, &name).unwrap_or_else(|| panic!("{name} is there"));
            let signature = kind.work(session, made).unwrap_or_else(|e| panic!("{name}: {e}"));
            if let Some((_, public)) = self.0.iter().find(|(known, _)| *known == kind) {
                assert!(public.verifies(&DIGEST, &signature), "{name} is another key");
            }
        }
    }

    /// The same on a member alone, by its own vendor's module.
    fn work_on(&self, demo: &Demo, member: &str) {
        self.work(&demo.direct(member));
    }
}

/// An application with another configuration.
fn application_of(demo: &Demo) -> (Application, Session) {
    // SAFETY: no other thread of this program reads the environment now.
    unsafe { std::env::set_var("TANDEM_CONFIG", demo.config()) };
    application()
}

/// Something in the demo's folder, as an argument.
fn at(demo: &Demo, name: &str) -> String {
    demo.dir().join(name).display().to_string()
}

/// A folder with some of the shares of another.
fn some(demo: &Demo, from: &str, numbers: &[u8], to: &str) -> String {
    let folder = demo.dir().join(to);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("a folder");
    for number in numbers {
        add(demo, from, *number, to, &format!("share-{number}.txt"));
    }
    folder.display().to_string()
}

/// Puts a share among others.
fn add(demo: &Demo, from: &str, number: u8, to: &str, name: &str) {
    let share = demo.dir().join(from).join(format!("share-{number}.txt"));
    fs::copy(share, demo.dir().join(to).join(name)).expect("a share");
}

/// Splits the recovery: so many shares from these, into a new folder.
fn split(demo: &Demo, (threshold, shares): (u8, u8), from: &str, to: &str) -> Value {
    let (threshold, shares) = (threshold.to_string(), shares.to_string());
    let terms = ["recovery", "split", "--shares", &shares, "--threshold", &threshold];
    let folders = ["--shares-from", from, "--shares-dir", &at(demo, to)];
    done(demo, &[&terms[..], &folders].concat())
}

/// What `tandem recovery show` tells.
fn shown(demo: &Demo) -> Value {
    done(demo, &["recovery", "show"])
}

/// The set in force.
fn set_of(demo: &Demo) -> u64 {
    shown(demo)["recovery"]["set"].as_u64().expect("a set")
}

/// A committed backup of everything.
fn back_up(demo: &Demo, name: &str) -> String {
    let bundle = at(demo, name);
    done(demo, &["backup", "run", "--commit", "--out", &bundle]);
    bundle
}

/// Every replica of every key is proven.
fn is_whole(demo: &Demo) -> bool {
    done(demo, &["verify"])["verified"].as_bool().expect("a flag")
}

/// New tokens that nobody has paired, beside those of a demo.
fn new_tokens(demo: &Demo, members: &[Vendor], name: &str) -> Demo {
    Demo::unpaired(&Wanted::over(members), &demo.dir().join(name))
}

/// Puts an empty token in the place of a member's own, with the same PINs. Answers where the old one is.
fn replace_token(demo: &Demo, member: &str) -> Demo {
    let spare = format!("spare-{member}");
    let members: Vec<_> = demo.members().into_iter().map(|(_, vendor)| vendor).collect();
    let spare = new_tokens(demo, &members, &spare);
    put_token_back(demo, member, &spare);
    spare
}

/// Has a member and its spare change places.
fn put_token_back(demo: &Demo, member: &str, spare: &Demo) {
    for name in ["tokens", "token.sql"] {
        let (ours, theirs) = (demo.storage(member).join(name), spare.storage(member).join(name));
        let aside = demo.dir().join("aside");
        if theirs.exists() {
            fs::rename(&ours, &aside).expect("a token");
            fs::rename(&theirs, &ours).expect("a token in the place of another");
            fs::rename(&aside, &theirs).expect("a token in the place of another");
        }
    }
}

/// The command is done, and what it tells.
fn done(demo: &Demo, arguments: &[&str]) -> Value {
    let output = demo.tandem(&[arguments, &["--json"]].concat());
    let said = said(demo, &output);
    assert!(output.status.success(), "tandem {arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The command is not done, and says all of this.
fn refused(demo: &Demo, arguments: &[&str], says: &[&str]) -> String {
    refused_as(demo, arguments, 1, says)
}

/// The same with another exit code.
fn refused_as(demo: &Demo, arguments: &[&str], code: i32, says: &[&str]) -> String {
    let output = demo.tandem(arguments);
    let said = said(demo, &output);
    assert_eq!(output.status.code(), Some(code), "tandem {arguments:?}: {said}");
    for say in says {
        assert!(said.contains(say), "tandem {arguments:?}: {say:?} is not in: {said}");
    }
    said
}

/// What a command has said. It tells neither PIN nor share, and writes none to the log.
fn said(demo: &Demo, output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(!said.contains(USER_PIN), "a PIN is told");
    let told = format!("{said}{}", demo.log());
    for file in share_files(demo.dir()) {
        assert!(!tells(&told, &file), "words of {} are told", file.display());
    }
    said
}

/// True if a text tells a part of a share.
fn tells(text: &str, file: &Path) -> bool {
    let share = fs::read_to_string(file).expect("a share");
    let words: Vec<_> = share
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect();
    words.windows(TELLING).any(|some| text.contains(&some.join(" ")))
}

/// Every file of a share in a demo's folder.
fn share_files(dir: &Path) -> Vec<PathBuf> {
    let entries = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let folders = entries(dir).into_iter().filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| entries(&folder));
    let is_share = |file: &PathBuf| {
        file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("share-"))
    };
    files.filter(is_share).collect()
}
