//! What people do to shares, and the arithmetic against values published elsewhere.

use super::*;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};

/// Unpredictable enough, and the same every time.
struct Counted(AtomicU64);

impl Counted {
    fn from(seed: u64) -> Self {
        Self(AtomicU64::new(seed << 32))
    }

    fn below(&self, limit: usize) -> usize {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % limit as u64).unwrap()
    }
}

impl Entropy for Counted {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let block = Sha256::digest(self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

/// Always the same byte.
struct Constant(u8);

impl Entropy for Constant {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0);
    }
}

const SECRET: [u8; SECRET_LEN] = *b"the thirty-two bytes of a secret";

fn made(set: u16, shares: u8, threshold: u8, seed: u64) -> Vec<Secret> {
    let terms = Split { set, shares, threshold };
    let shares = split(&Zeroizing::new(SECRET), terms, &Counted::from(seed)).unwrap();
    shares.into_iter().map(|share| share.words).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn text(share: &Secret) -> String {
    String::from_utf8(share.expose().to_vec()).unwrap()
}

fn edited(share: &Secret, edit: impl FnOnce(&mut Vec<String>)) -> Secret {
    let mut words: Vec<String> = text(share).split(' ').map(String::from).collect();
    edit(&mut words);
    Secret::new(words.join(" "))
}

fn fails(shares: &[Secret]) -> ShareError {
    combine(shares).err().expect("these shares should not make a secret")
}

/// Multiplication in GF(2^8) modulo 0x11d, bit by bit: nothing in common with the tables of `blahaj`.
fn times(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 != 0 {
            product ^= a;
        }
        a = if a & 0x80 == 0 { a << 1 } else { (a << 1) ^ 0x1d };
        b >>= 1;
    }
    product
}

/// Shares that secrets.js has promised since version 0.1.8 to open: same field, same scheme (its test "version 0.1.8
/// *known* good shares", github.com/grempe/secrets.js). It writes a 1 before the secret.
#[test]
fn opens_the_known_shares_of_another_implementation() {
    let known = [
        "0111001e523b02029c58aceebead70329000",
        "02eeb362b5be82beae3499f09bd7f9f19b1c",
        "03d5f7e5216d716a172ebe0af46ca81684f4",
        "04e1fa5670ee4c919ffd9f8c71f32a7bfbb0",
        "050bd6ac05ceb3eeffcbbe251932ece37657",
        "064bb52a3db02b1962ff879d32bc56de4455",
        "078a5f11d20cbf8d907c1d295bbda1ee900a",
        "08808ff7fae45529eb13b1e9d78faeab435f",
    ];
    let secret = "0182585c749a3db7f73009d0d6107dd650";
    let shares: Vec<_> =
        known.iter().map(|share| blahaj::Share::try_from(hex(share).as_slice()).unwrap()).collect();
    for five in [&shares[..5], &shares[1..6], &shares[2..7], &shares[..]] {
        assert_eq!(blahaj::Sharks(5).recover(five).unwrap(), hex(secret));
    }
    assert_ne!(blahaj::Sharks(4).recover(&shares[..4]).unwrap(), hex(secret));
}

#[test]
fn shares_are_points_of_the_polynomials_that_our_entropy_draws() {
    // `blahaj` draws a number of 32 bits for each coefficient and takes its lowest byte.
    for coefficient in [0, 1, 0x53, 0xff] {
        let terms = Split { set: 1, shares: 5, threshold: 3 };
        let shares = split(&Zeroizing::new(SECRET), terms, &Constant(coefficient)).unwrap();
        for share in shares {
            let fields = text::read(&share.words, 1).unwrap();
            let x = share.number;
            for (value, byte) in fields.value.iter().zip(SECRET) {
                assert_eq!(*value, times(coefficient, times(x, x)) ^ times(coefficient, x) ^ byte);
            }
        }
    }
}

/// A coefficient that is never zero gives a secret away by exclusion (RUSTSEC-2024-0398): over all draws, one share of
/// two takes every value equally often, whatever the secret.
#[test]
fn one_share_of_two_says_nothing() {
    let mut seen = [0; 256];
    for draw in 0..=255 {
        let terms = Split { set: 1, shares: 2, threshold: 2 };
        let shares = split(&Zeroizing::new(SECRET), terms, &Constant(draw)).unwrap();
        seen[usize::from(text::read(&shares[1].words, 1).unwrap().value[0])] += 1;
    }
    assert_eq!(seen, [1; 256]);
}

#[test]
fn the_list_is_the_published_one() {
    let list = include_bytes!("english.txt");
    let published = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda";
    assert_eq!(Sha256::digest(list).as_slice(), hex(published));
}

#[test]
fn words_stay_as_they_are() {
    // Shares lie in safes for years: whatever changes here needs a new version.
    let share = &made(0x7a2e, 3, 2, 1)[1];
    assert_eq!(
        text(share),
        "accident sphere letter album wise diet lecture forget catalog circle exercise item husband mobile diagram \
         stone expect wagon address project fox harbor round base lawsuit result jungle swap gun raw"
    );
    let fields = text::read(share, 1).unwrap();
    assert_eq!((fields.set, fields.threshold, fields.number), (0x7a2e, 2, 2));
}

#[test]
fn any_threshold_of_shares_opens_and_fewer_do_not() {
    for (shares, threshold, seed) in [(1, 1, 1), (3, 2, 2), (5, 3, 3), (7, 7, 4), (6, 1, 5)] {
        let made = made(9, shares, threshold, seed);
        for chosen in 0_u32..1 << shares {
            let some: Vec<_> = (0..)
                .zip(&made)
                .filter(|(at, _)| chosen >> at & 1 == 1)
                .map(|(_, share)| share.clone())
                .collect();
            let given = u8::try_from(some.len()).unwrap();
            if given >= threshold {
                let combined = combine(&some).unwrap();
                assert_eq!(combined.secret.expose(), SECRET);
                assert_eq!(combined.set, 9);
            } else if given == 0 {
                assert_eq!(fails(&some), ShareError::Nothing);
            } else {
                assert_eq!(fails(&some), ShareError::TooFew { given, needed: threshold, set: 9 });
            }
        }
    }
}

#[test]
fn the_order_the_case_and_the_spaces_do_not_matter_and_four_letters_do() {
    let mut shares = made(3, 4, 3, 6);
    shares.swap(0, 2);
    shares[0] = Secret::new(text(&shares[0]).to_uppercase());
    shares[1] = Secret::new(format!("\n {}\t\r\n", text(&shares[1]).replace(' ', "  \n")));
    shares[2] = edited(&shares[2], |words| words.iter_mut().for_each(|word| word.truncate(4)));
    assert_eq!(combine(&shares[..3]).unwrap().secret.expose(), SECRET);
    shares[2] = edited(&shares[2], |words| words[5].truncate(2));
    assert_eq!(fails(&shares), ShareError::Unknown { place: 3, word: 6 });
}

#[test]
fn a_mistyped_word_is_named() {
    let shares = made(3, 3, 2, 7);
    let random = Counted::from(8);
    let list: Vec<&str> = include_str!("english.txt").lines().collect();
    for at in 0..WORDS {
        let other = list[random.below(list.len())];
        let wrong = edited(&shares[1], |words| words[at] = other.into());
        if text(&wrong) == text(&shares[1]) {
            continue;
        }
        let error = fails(&[shares[0].clone(), wrong]);
        assert_eq!(error, ShareError::Mistyped { place: 2, word: at + 1 });
        assert!(!error.to_string().contains(other), "an error must not repeat a word of a share");
    }
}

#[test]
fn swapped_words_are_named() {
    let shares = made(3, 3, 2, 9);
    for first in 0..WORDS {
        for second in first + 1..WORDS {
            let wrong = edited(&shares[2], |words| words.swap(first, second));
            if text(&wrong) != text(&shares[2]) {
                let error = ShareError::Swapped { place: 1, first: first + 1, second: second + 1 };
                assert_eq!(fails(&[wrong]), error);
            }
        }
    }
}

#[test]
fn more_than_one_wrong_word_is_never_taken_for_a_share() {
    let shares = made(3, 3, 2, 10);
    let list: Vec<&str> = include_str!("english.txt").lines().collect();
    let random = Counted::from(11);
    for _ in 0..20 {
        let wrong = edited(&shares[0], |words| {
            words[random.below(15)] = list[random.below(list.len())].into();
            words[15 + random.below(15)] = list[random.below(list.len())].into();
        });
        if text(&wrong) != text(&shares[0]) {
            assert!(matches!(
                fails(&[wrong]),
                ShareError::Damaged { place: 1 } | ShareError::Mistyped { .. }
            ));
        }
    }
}

#[test]
fn other_mistakes_are_told_apart() {
    let shares = made(3, 3, 2, 12);
    let other = made(4, 3, 2, 12);
    let two = |first: &Secret, second: &Secret| fails(&[first.clone(), second.clone()]);
    assert_eq!(two(&shares[0], &other[1]), ShareError::Foreign { place: 2, set: 4, expected: 3 });
    assert_eq!(
        two(&shares[1], &shares[1]),
        ShareError::Duplicate { first: 1, second: 2, number: 2 }
    );
    let split_again = made(3, 3, 2, 13);
    let conflict = ShareError::Conflict { first: 1, second: 2, number: 1, set: 3 };
    assert_eq!(two(&shares[0], &split_again[0]), conflict);
    let misspelt = edited(&shares[0], |words| words[29] = "abandonned".into());
    assert_eq!(two(&shares[1], &misspelt), ShareError::Unknown { place: 2, word: 30 });
    let short = edited(&shares[0], |words| words.truncate(29));
    assert_eq!(fails(&[short]), ShareError::Length { place: 1, words: 29 });
    assert_eq!(fails(&[Secret::new("")]), ShareError::Length { place: 1, words: 0 });
    assert_eq!(fails(&[Secret::new(vec![0xff; 9])]), ShareError::Damaged { place: 1 });
    let terms = |shares, threshold| {
        split(&Zeroizing::new(SECRET), Split { set: 1, shares, threshold }, &Constant(1))
    };
    assert_eq!(terms(3, 0), Err(ShareError::Terms { shares: 3, threshold: 0 }));
    assert_eq!(terms(2, 3), Err(ShareError::Terms { shares: 2, threshold: 3 }));
}

#[test]
fn of_two_sets_the_one_that_is_not_known_is_named() {
    let (ours, theirs) = (made(3, 3, 2, 21), made(4, 3, 2, 22));
    let of_another = |place| Err(ShareError::OfAnother { place, set: 4, expected: 3 });
    assert_eq!(check(&[ours[0].clone(), theirs[1].clone()], Some(3)), of_another(2));
    assert_eq!(check(&[theirs[1].clone(), ours[0].clone()], Some(3)), of_another(1));
    // Where neither is known, or nothing, the second is held against the first.
    let foreign = Err(ShareError::Foreign { place: 2, set: 4, expected: 3 });
    for known in [None, Some(9)] {
        assert_eq!(check(&[ours[0].clone(), theirs[1].clone()], known), foreign);
    }
    // One whole set is sound, whichever is known: only an HSM can tell what it opens.
    for known in [None, Some(3), Some(4)] {
        assert_eq!(check(&ours[..2], known), Ok(()));
    }
    let too_few = Err(ShareError::TooFew { given: 1, needed: 2, set: 4 });
    assert_eq!(check(&theirs[..1], Some(3)), too_few);
    assert_eq!(check(&[], Some(3)), Err(ShareError::Nothing));
}

#[test]
fn many_splits_open() {
    let random = Counted::from(14);
    for _ in 0..200 {
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        random.fill(secret.as_mut_slice());
        let shares = u8::try_from(1 + random.below(12)).unwrap();
        let threshold = u8::try_from(1 + random.below(usize::from(shares))).unwrap();
        let set = u16::try_from(random.below(1 << 16)).unwrap();
        let mut made = split(&secret, Split { set, shares, threshold }, &random).unwrap();
        while made.len() > usize::from(threshold) {
            made.swap_remove(random.below(made.len()));
        }
        let words: Vec<_> = made.into_iter().map(|share| share.words).collect();
        let combined = combine(&words).unwrap();
        assert_eq!((combined.set, combined.secret.expose()), (set, secret.as_slice()));
    }
    let all =
        split(&Zeroizing::new(SECRET), Split { set: 0, shares: 255, threshold: 255 }, &random)
            .unwrap();
    assert_eq!(all.len(), 255);
    let words: Vec<_> = all.into_iter().map(|share| share.words).collect();
    assert_eq!(combine(&words).unwrap().secret.expose(), SECRET);
}

#[test]
fn a_later_version_is_not_guessed_at() {
    let share = &made(3, 2, 2, 15)[0];
    let fields = text::read(share, 1).unwrap();
    let later = text::write(&Fields { version: 2, ..fields });
    assert_eq!(fails(&[later]), ShareError::Version { place: 1, version: 2 });
}
