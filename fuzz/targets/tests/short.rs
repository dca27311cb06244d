//! A short run of every target: what is in its corpus, and changes of that at random.
//!
//! * `TANDEM_FUZZ_SECONDS`: for how long each target is tried after its corpus.
//! * `TANDEM_SEED`: the seed of the changes; without it the same every time.
//!
//! What fails is written to a file that is named, to become part of the corpus when it is mended.

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tandem_fuzz::random::Random;
use tandem_fuzz::{TARGETS, Target, target};

/// For how long each target is tried, in seconds, where nobody says.
const SECONDS: u64 = 3;
/// The longest input that is made, in bytes.
const BYTES_MAX: usize = 8192;

/// Something has panicked, be it that somebody caught it.
static PANICKED: AtomicBool = AtomicBool::new(false);

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What is kept for a target, in order of name.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a file")).collect()
}

/// Tries an input. What fails is kept.
fn attempt(name: &str, target: Target, input: &[u8]) {
    let tried = panic::catch_unwind(AssertUnwindSafe(|| target(input)));
    if tried.is_err() || PANICKED.load(Ordering::Relaxed) {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-failed"));
        std::fs::write(&file, input).expect("a file");
        panic!("target {name} fails with what is in {}", file.display());
    }
}

/// An input made of others.
fn changed(random: &mut Random<'_>, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = random.pick(corpus);
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        match random.below(6) {
            0 => input.truncate(at),
            1 => {
                let other = random.pick(corpus);
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend(&other[from..]);
            }
            2 => {
                let len = random.below(9);
                let more = random.bytes(len);
                input.splice(at..at, more);
            }
            3 => {
                let end = (at + random.below(9)).min(input.len());
                input.drain(at..end);
            }
            _ => {
                let byte = random.byte();
                if let Some(old) = input.get_mut(at) {
                    *old = byte;
                }
            }
        }
    }
    input.truncate(BYTES_MAX);
    input
}

fn run(name: &str) {
    let target = target(name).expect("a target of this name");
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "nothing is kept for {name}");
    for input in &corpus {
        attempt(name, target, input);
    }
    let seed = number("TANDEM_SEED", 20_261_123);
    let time = Duration::from_secs(number("TANDEM_FUZZ_SECONDS", SECONDS));
    let (mut random, begun, mut tried) = (Random::seeded(seed), Instant::now(), 0_u64);
    while begun.elapsed() < time {
        attempt(name, target, &changed(&mut random, &corpus));
        tried += 1;
    }
    println!("{name}: {} of the corpus, {tried} changes of it, TANDEM_SEED={seed}", corpus.len());
}

/// One after the other, as the C face is one for the process.
#[test]
fn no_target_fails_with_its_corpus_or_with_changes_of_it() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        PANICKED.store(true, Ordering::Relaxed);
        before(panic);
    }));
    for (name, _) in TARGETS {
        run(name);
    }
}

/// Each target has a program for the fuzzer, and nothing else has one.
#[test]
fn every_target_has_a_program_and_a_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let names = |folder: &str| {
        let entries = fuzz.join(folder).read_dir().expect("a folder");
        let stem = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
        let mut names: Vec<_> =
            entries.map(|entry| stem(entry.expect("an entry").path())).collect();
        names.sort();
        names
    };
    let targets: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("fuzz/Cargo.toml");
    for name in &targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}
