//! Cryptography that hides nothing: what comes out is a function of what goes in and of nothing else, on every member
//! alike, so that the oracle can say beforehand what it must be.

use crate::chance::scramble;
use tandem_values::{Template, ck::*};

/// Bytes that hang on all of some texts, on their order and on where one ends and the next begins.
pub fn mix(parts: &[&[u8]], len: usize) -> Vec<u8> {
    let mut state = 0x7461_6e64_656d_u64;
    for part in parts {
        state = scramble(state ^ u64::try_from(part.len()).unwrap_or(0));
        for chunk in part.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            state = scramble(state ^ u64::from_le_bytes(word));
        }
    }
    let mut out = Vec::with_capacity(len.saturating_add(8));
    while out.len() < len {
        state = scramble(state);
        out.extend(state.to_le_bytes());
    }
    out.truncate(len);
    out
}

fn xor(data: &[u8], stream: &[u8]) -> Vec<u8> {
    data.iter().zip(stream).map(|(a, b)| a ^ b).collect()
}

/// What a private key is inside a member: a mark and its public half, which for a toy is all of it.
pub fn private_material(public: &Template) -> Vec<u8> {
    let mut bytes = b"P8".to_vec();
    bytes.extend(minicbor::to_vec(public).unwrap_or_default());
    bytes
}

/// The public half of a private key; `None` if the bytes are no private key.
pub fn public_of(material: &[u8]) -> Option<Template> {
    minicbor::decode(material.strip_prefix(b"P8")?).ok()
}

/// What tells one public key from another.
pub fn point(public: &Template) -> Vec<u8> {
    public.bytes(CKA_MODULUS).or_else(|| public.bytes(CKA_EC_POINT)).unwrap_or_default().to_vec()
}

/// Added to what a member computes that has lost its mind.
const SKEW: &[u8] = b"skew";

fn mark(skewed: bool) -> &'static [u8] {
    if skewed { SKEW } else { b"" }
}

/// The signature of a key pair: of its public half, the mechanism and the data.
pub fn sign(public: &Template, mechanism: u64, data: &[u8], skewed: bool) -> Vec<u8> {
    let len = public.bytes(CKA_MODULUS).map_or(64, <[u8]>::len);
    mix(&[b"sign", &point(public), &mechanism.to_be_bytes(), data, mark(skewed)], len)
}

/// The MAC of a secret key.
pub fn mac(key: &[u8], mechanism: u64, data: &[u8], skewed: bool) -> Vec<u8> {
    let len = match mechanism {
        CKM_MD5_HMAC => 16,
        CKM_SHA_1_HMAC => 20,
        CKM_SHA512_HMAC => 64,
        _ => 32,
    };
    mix(&[b"mac", key, &mechanism.to_be_bytes(), data, mark(skewed)], len)
}

/// A digest.
pub fn digest(mechanism: u64, data: &[u8], skewed: bool) -> Vec<u8> {
    mix(&[b"digest", &mechanism.to_be_bytes(), data, mark(skewed)], 32)
}

/// Bytes of a block.
pub const BLOCK: usize = 16;

/// Encrypts whole blocks, each changed by the one before it; without an IV each by itself.
pub fn encrypt_blocks(key: &[u8], iv: Option<&[u8]>, data: &[u8], skewed: bool) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(data.len());
    let mut before = iv.map(<[u8]>::to_vec);
    for block in data.chunks_exact(BLOCK) {
        let pad = mix(&[b"block", key, before.as_deref().unwrap_or(b"ecb"), mark(skewed)], BLOCK);
        let sealed = xor(block, &pad);
        if before.is_some() {
            before = Some(sealed.clone());
        }
        out.extend(sealed);
    }
    out
}

/// The other way round.
pub fn decrypt_blocks(key: &[u8], iv: Option<&[u8]>, data: &[u8], skewed: bool) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(data.len());
    let mut before = iv;
    for block in data.chunks_exact(BLOCK) {
        let pad = mix(&[b"block", key, before.unwrap_or(b"ecb"), mark(skewed)], BLOCK);
        out.extend(xor(block, &pad));
        if before.is_some() {
            before = Some(block);
        }
    }
    out
}

/// Bytes of a tag.
pub const TAG: usize = 16;

/// Encrypts and authenticates; also how keys are wrapped: only the same key opens it.
pub fn seal(key: &[u8], context: &[&[u8]], data: &[u8]) -> Vec<u8> {
    let context = mix(context, BLOCK);
    let mut out = xor(data, &mix(&[b"stream", key, &context], data.len()));
    out.extend(mix(&[b"tag", key, &context, data], TAG));
    out
}

/// Opens what [`seal`] made; `None` if it is another's.
pub fn open(key: &[u8], context: &[&[u8]], sealed: &[u8]) -> Option<Vec<u8>> {
    let (body, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG)?)?;
    let hashed = mix(context, BLOCK);
    let data = xor(body, &mix(&[b"stream", key, &hashed], body.len()));
    (mix(&[b"tag", key, &hashed, &data], TAG) == tag).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_and_context_only() {
        let sealed = seal(b"key", &[b"iv", b"aad"], b"some text");
        assert_eq!(open(b"key", &[b"iv", b"aad"], &sealed).unwrap(), b"some text");
        assert!(open(b"kez", &[b"iv", b"aad"], &sealed).is_none());
        assert!(open(b"key", &[b"iva", b"ad"], &sealed).is_none());
        assert!(open(b"key", &[b"iv", b"aad"], &sealed[1..]).is_none());
        assert!(open(b"key", &[], b"short").is_none());
    }

    #[test]
    fn blocks_come_back_and_hang_together() {
        let data = [7; 48];
        let sealed = encrypt_blocks(b"key", Some(&[1; 16]), &data, false);
        assert_ne!(sealed[..16], sealed[16..32]);
        assert_eq!(decrypt_blocks(b"key", Some(&[1; 16]), &sealed, false), data);
        assert_ne!(sealed, encrypt_blocks(b"key", Some(&[1; 16]), &data, true));
    }
}
