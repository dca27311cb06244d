//! Text as C structures hold it: fixed length, padded with blanks, no zero at the end.

/// Pads text, or cuts it before the character that doesn't fit.
pub(super) fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    let mut rest = field.as_mut_slice();
    for character in text.chars() {
        let Some((place, after)) = rest.split_at_mut_checked(character.len_utf8()) else { break };
        character.encode_utf8(place);
        rest = after;
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_padded_with_blanks_and_cut_between_characters() {
        assert_eq!(&padded::<8>("dnssec"), b"dnssec  ");
        assert_eq!(&padded::<4>("dnssec"), b"dnss");
        assert_eq!(&padded::<4>(""), b"    ");
        // ü is two bytes and would be torn.
        assert_eq!(&padded::<4>("denü"), b"den ");
    }
}
