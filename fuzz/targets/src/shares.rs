//! Shares of the recovery: mistyped ones never make another secret, and what is said of them names the share and repeats no words.

use crate::edits;
use crate::random::Random;
use std::sync::OnceLock;
use tandem_engine::ports::Entropy;
use tandem_engine::shares::{SECRET_LEN, Share, ShareError, Split, check, combine, split};
use tandem_values::Secret;
use zeroize::Zeroizing;

/// The secret that is shared.
const SECRET: [u8; SECRET_LEN] = [0x5a; SECRET_LEN];
/// How it is shared.
const SPLIT: Split = Split { set: 7, shares: 5, threshold: 3 };
/// The most shares that are read from bytes as they are.
const RAW_MAX: usize = 6;

/// Coefficients that are the same each time.
struct Same;

impl Entropy for Same {
    fn fill(&self, buffer: &mut [u8]) {
        let len = buffer.len();
        buffer.copy_from_slice(&Random::seeded(len as u64).bytes(len));
    }
}

fn shares() -> &'static [Share] {
    static SHARES: OnceLock<Vec<Share>> = OnceLock::new();
    SHARES.get_or_init(|| split(&Zeroizing::new(SECRET), SPLIT, &Same).expect("five shares"))
}

/// One share, as many as are needed, all of them, and some that are too few: as a target reads them.
pub(crate) fn texts() -> impl Iterator<Item = (String, Vec<u8>)> {
    [1, 2, 3, 5].into_iter().map(|count| {
        let words = shares().iter().take(count).map(|share| share.words.expose());
        (format!("of-{count}"), words.collect::<Vec<_>>().join(&0))
    })
}

/// Reads bytes as shares, or mistypes some.
pub(crate) fn run(data: &[u8]) {
    let mut random = Random::of(data);
    if random.one_in(4) {
        let texts: Vec<_> = random.rest().split(|byte| *byte == 0).take(RAW_MAX).collect();
        let texts: Vec<_> = texts.into_iter().map(Secret::new).collect();
        match combine(&texts) {
            Ok(combined) => assert_eq!(combined.secret.expose().len(), SECRET_LEN),
            Err(error) => names_a_share(&texts, &error),
        }
    } else {
        mistyped(&mut random);
    }
}

/// Some of the shares, in any order, of which one or the other is not as it was.
fn mistyped(random: &mut Random<'_>) {
    let mut texts: Vec<Vec<u8>> =
        (0..random.below(RAW_MAX)).map(|_| random.pick(shares()).words.expose().to_vec()).collect();
    let touched = random.below(RAW_MAX);
    let mut is_harmless = true;
    if let Some(text) = texts.get_mut(touched) {
        is_harmless = mistype(random, text);
    }
    let texts: Vec<_> = texts.into_iter().map(Secret::new).collect();
    match combine(&texts) {
        Ok(combined) => {
            assert!(combined.secret.expose() == SECRET, "mistyped shares make another secret");
            assert_eq!(combined.set, SPLIT.set);
            assert!(check(&texts, Some(SPLIT.set)).is_ok(), "what makes a secret is refused");
        }
        Err(error) => {
            names_a_share(&texts, &error);
            let about_words = !matches!(
                error,
                ShareError::Duplicate { .. } | ShareError::TooFew { .. } | ShareError::Nothing
            );
            assert!(!(is_harmless && about_words), "nothing is mistyped: {error}");
            assert!(!about_words || error.places() == [touched + 1], "another is: {error}");
        }
    }
}

/// Changes the words of a share. True if it says the same as before.
fn mistype(random: &mut Random<'_>, text: &mut Vec<u8>) -> bool {
    let before = text.clone();
    let words: Vec<_> = before.split(|byte| *byte == b' ').collect();
    let (one, other) = (random.below(words.len()), random.below(words.len()));
    let mut changed = words.clone();
    match random.below(5) {
        0 => changed.swap(one, other),
        1 => changed[one] = words[other],
        2 => drop(changed.remove(one)),
        3 => {
            // As people write them: four letters of each, in capitals, on lines of their own.
            let short = |word: &&[u8]| word[..word.len().min(4)].to_ascii_uppercase();
            *text = changed.iter().map(short).collect::<Vec<_>>().join(&b"\n\t"[..]);
            return true;
        }
        _ => {
            edits::edit(random, text);
            return *text == before;
        }
    }
    *text = changed.join(&b' ');
    *text == before
}

/// The shares that it is about are there, and no two words of any stand in it.
fn names_a_share(texts: &[Secret], error: &ShareError) {
    let places = error.places();
    assert!(places.iter().all(|place| (1..=texts.len()).contains(place)), "{error}");
    let said = error.to_string();
    for text in texts.iter().filter_map(|text| std::str::from_utf8(text.expose()).ok()) {
        let words: Vec<_> = text.split_whitespace().filter(|word| word.len() >= 3).collect();
        for pair in words.windows(2) {
            assert!(!said.contains(&pair.join(" ")), "words of a share are repeated: {said}");
        }
    }
}
