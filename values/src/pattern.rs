//! Patterns in which `*` stands for anything.

/// True if a text is like a pattern, in which `*` stands for anything.
pub fn is_like(text: &str, pattern: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(mut left) = text.strip_prefix(begin) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_like_patterns() {
        for (text, pattern, expected) in [
            ("zsk-1", "zsk-*", true),
            ("zsk-", "zsk-*", true),
            ("zsk", "zsk-*", false),
            ("a-zsk-1", "zsk-*", false),
            ("a-zsk-1", "*zsk*", true),
            ("zsk", "zsk", true),
            ("zsk2", "zsk", false),
            ("", "*", true),
            ("ab", "a*b", true),
            ("a", "a*a", false),
            ("axbxc", "a*x*c", true),
            ("axc", "a*x*x*c", false),
            ("abab", "*ab", true),
        ] {
            assert_eq!(is_like(text, pattern), expected, "{text} {pattern}");
        }
    }
}
