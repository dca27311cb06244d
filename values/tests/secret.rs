//! Where secrets are in memory.

#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use tandem_values::Secret;

/// What the kernel says of the memory at an address, in letters of two.
fn flags(address: usize) -> String {
    let text =
        std::fs::read_to_string("/proc/self/smaps").expect("what the kernel tells of memory");
    let mut is_there = false;
    for line in text.lines() {
        let ends = line.split(' ').next().and_then(|range| range.split_once('-'));
        let ends = ends.map(|(from, to)| [from, to].map(|end| usize::from_str_radix(end, 16)));
        if let Some([Ok(from), Ok(to)]) = ends {
            is_there = (from..to).contains(&address);
        } else if is_there && let Some(flags) = line.strip_prefix("VmFlags:") {
            return flags.to_owned();
        }
    }
    panic!("{address:x} is nowhere in {text}");
}

#[test]
fn a_secret_is_in_memory_that_no_core_dump_shows() {
    let secret = Secret::new("1234");
    let there = |bytes: &[u8]| flags(bytes.as_ptr().addr()).contains(" dd");
    assert!(there(secret.expose()));
    let other = b"1234".to_vec();
    assert!(!there(&other), "other memory is");
    assert_eq!(secret.expose(), b"1234");
    assert!(secret == Secret::new(*b"1234") && secret != Secret::new("12345"));
}

#[test]
fn one_without_bytes_is_one_too() {
    assert_eq!(Secret::new(Vec::new()).expose(), b"");
    let long = vec![7; 10_000];
    assert_eq!(Secret::new(long.clone()).expose(), long);
}
