//! OpenDNSSEC's files: understood, or refused with file and line and without a word of the PIN.

use std::path::Path;
use tandem_opendnssec::{Configuration, Error, Policy, differences, policies_in, zones_in};

/// Where the file is said to be.
const FILE: &str = "/etc/opendnssec/file.xml";
/// The shortest text that is taken for a PIN: one of fewer letters stands in the words of an error by chance.
const PIN_LEN_MIN: usize = 4;

/// Reads bytes as each of the files.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Path::new(FILE);
    match Configuration::parse(file, text) {
        Ok(configuration) => finds_its_own(&configuration),
        Err(error) => says_where(text, &error),
    }
    match policies_in(file, text) {
        Ok(policies) => are_whole(&policies),
        Err(error) => says_where(text, &error),
    }
    match zones_in(file, text) {
        Ok(zones) => assert!(zones.values().all(|count| *count > 0), "a policy of no zone"),
        Err(error) => says_where(text, &error),
    }
}

/// Each repository is found by its label.
fn finds_its_own(configuration: &Configuration) {
    for repository in &configuration.repositories {
        assert!(configuration.named(&repository.label).contains(&repository.name.as_str()));
    }
}

/// Names are unique, lifetimes such as the enforcer can count, and there is no difference to itself.
fn are_whole(policies: &[Policy]) {
    assert!(!policies.is_empty() && differences(policies, policies).is_empty());
    for (at, policy) in policies.iter().enumerate() {
        assert!(policies[..at].iter().all(|other| other.name != policy.name), "a name twice");
        for key in &policy.keys {
            assert!(key.lifetime_s <= u32::MAX.into(), "longer than the enforcer can count");
        }
    }
}

fn says_where(text: &str, error: &Error) {
    let said = error.to_string();
    let rest = said.strip_prefix(FILE).and_then(|rest| rest.strip_prefix(':'));
    let line = rest.and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
    let lines = text.split('\n').count();
    assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "no line of {lines}: {said}");
    // Its name is the file's own, whatever the PIN is.
    for pin in pins(text) {
        assert!(!rest.is_some_and(|rest| rest.contains(pin)), "the PIN is repeated: {said}");
    }
}

/// What stands in `<PIN>`, and nowhere else in the file.
fn pins(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split("<PIN>").skip(1);
    let inside = after.filter_map(|rest| rest.split_once('<').map(|(pin, _)| pin.trim()));
    inside.filter(move |pin| pin.len() >= PIN_LEN_MIN && text.matches(pin).count() == 1)
}
