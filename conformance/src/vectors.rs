//! Published answers: what must come of known keys and data, and what must verify.

use crate::value::Mechanism;
use tandem_values::ck::*;

/// The digest that SHA-256 makes of "abc" (FIPS 180-4).
pub const SHA256_ABC: [u8; 32] = [
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
];

/// A digest or a MAC. Keys and results are in hexadecimal.
pub struct Vector {
    /// CKM_…
    pub kind: CK_MECHANISM_TYPE,
    /// Who has published it.
    pub source: &'static str,
    /// The key; empty for a digest.
    pub key: &'static str,
    /// The data.
    pub data: &'static [u8],
    /// What comes of it.
    pub result: &'static str,
}

/// A cipher's key, plaintext and ciphertext, in hexadecimal.
pub struct Cipher {
    /// CKM_…
    pub kind: CK_MECHANISM_TYPE,
    /// Who has published it.
    pub source: &'static str,
    /// The mechanism with its parameter.
    pub mechanism: fn() -> Mechanism,
    /// The key.
    pub key: &'static str,
    /// The plaintext.
    pub plain: &'static str,
    /// The ciphertext, with the tag if there is one.
    pub encrypted: &'static str,
}

/// A signature by a public key, in hexadecimal.
pub struct Signed {
    /// CKM_…
    pub kind: CK_MECHANISM_TYPE,
    /// Who has published it.
    pub source: &'static str,
    /// The public key: the modulus, or the point.
    pub key: &'static str,
    /// The data.
    pub data: &'static [u8],
    /// The signature.
    pub signature: &'static str,
}

/// Bytes of hexadecimal digits.
pub fn unhex(digits: &str) -> Vec<u8> {
    let pairs =
        digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap_or_default());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

/// Digests.
#[rustfmt::skip]
pub const DIGESTS: &[Vector] = &[
    Vector { kind: CKM_SHA_1, source: "FIPS 180-4", key: "", data: b"", result: "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
    Vector { kind: CKM_SHA_1, source: "FIPS 180-4", key: "", data: b"abc", result: "a9993e364706816aba3e25717850c26c9cd0d89d" },
    Vector { kind: CKM_SHA_1, source: "FIPS 180-4", key: "", data: b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", result: "84983e441c3bd26ebaae4aa1f95129e5e54670f1" },
    Vector { kind: CKM_SHA224, source: "FIPS 180-4", key: "", data: b"", result: "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f" },
    Vector { kind: CKM_SHA224, source: "FIPS 180-4", key: "", data: b"abc", result: "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7" },
    Vector { kind: CKM_SHA224, source: "FIPS 180-4", key: "", data: b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", result: "75388b16512776cc5dba5da1fd890150b0c6455cb4f58b1952522525" },
    Vector { kind: CKM_SHA256, source: "FIPS 180-4", key: "", data: b"", result: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    Vector { kind: CKM_SHA256, source: "FIPS 180-4", key: "", data: b"abc", result: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    Vector { kind: CKM_SHA256, source: "FIPS 180-4", key: "", data: b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", result: "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    Vector { kind: CKM_SHA384, source: "FIPS 180-4", key: "", data: b"", result: "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b" },
    Vector { kind: CKM_SHA384, source: "FIPS 180-4", key: "", data: b"abc", result: "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7" },
    Vector { kind: CKM_SHA384, source: "FIPS 180-4", key: "", data: b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", result: "3391fdddfc8dc7393707a65b1b4709397cf8b1d162af05abfe8f450de5f36bc6b0455a8520bc4e6f5fe95b1fe3c8452b" },
    Vector { kind: CKM_SHA512, source: "FIPS 180-4", key: "", data: b"", result: "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e" },
    Vector { kind: CKM_SHA512, source: "FIPS 180-4", key: "", data: b"abc", result: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
    Vector { kind: CKM_SHA512, source: "FIPS 180-4", key: "", data: b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", result: "204a8fc6dda82f0a0ced7beb8e08a41657c16ef468b228a8279be331a703c33596fd15c13b1b07f9aa1d3bea57789ca031ad85c7a71dd70354ec631238ca3445" },
    Vector { kind: CKM_SHA3_256, source: "FIPS 202", key: "", data: b"", result: "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a" },
    Vector { kind: CKM_SHA3_256, source: "FIPS 202", key: "", data: b"abc", result: "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532" },
    Vector { kind: CKM_SHA3_256, source: "FIPS 202", key: "", data: b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", result: "41c0dba2a9d6240849100376a8235e2c82e1b9998a999e21db32dd97496d3376" },
];

/// MACs.
#[rustfmt::skip]
pub const MACS: &[Vector] = &[
    Vector { kind: CKM_SHA256_HMAC, source: "RFC 4231, case 1", key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", data: b"Hi There", result: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    Vector { kind: CKM_SHA384_HMAC, source: "RFC 4231, case 1", key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", data: b"Hi There", result: "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6" },
    Vector { kind: CKM_SHA512_HMAC, source: "RFC 4231, case 1", key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", data: b"Hi There", result: "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854" },
    Vector { kind: CKM_SHA256_HMAC, source: "RFC 4231, case 2", key: "4a656665", data: b"what do ya want for nothing?", result: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    Vector { kind: CKM_SHA384_HMAC, source: "RFC 4231, case 2", key: "4a656665", data: b"what do ya want for nothing?", result: "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649" },
    Vector { kind: CKM_SHA512_HMAC, source: "RFC 4231, case 2", key: "4a656665", data: b"what do ya want for nothing?", result: "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737" },
    Vector { kind: CKM_SHA256_HMAC, source: "RFC 4231, case 6", key: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", data: b"Test Using Larger Than Block-Size Key - Hash Key First", result: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
    Vector { kind: CKM_SHA384_HMAC, source: "RFC 4231, case 6", key: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", data: b"Test Using Larger Than Block-Size Key - Hash Key First", result: "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952" },
    Vector { kind: CKM_SHA512_HMAC, source: "RFC 4231, case 6", key: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", data: b"Test Using Larger Than Block-Size Key - Hash Key First", result: "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598" },
    Vector { kind: CKM_AES_CMAC, source: "RFC 4493, example 2", key: "2b7e151628aed2a6abf7158809cf4f3c", data: b"\x6b\xc1\xbe\xe2\x2e\x40\x9f\x96\xe9\x3d\x7e\x11\x73\x93\x17\x2a", result: "070a16b46b4d4144f79bdd9dd04a287c" },
];

const SP800_38A_KEY: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
const SP800_38A_PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

/// AES.
#[rustfmt::skip]
pub const AES: &[Cipher] = &[
    Cipher {
        kind: CKM_AES_ECB, source: "NIST SP 800-38A, F.1.5", mechanism: || Mechanism::plain(CKM_AES_ECB),
        key: SP800_38A_KEY, plain: SP800_38A_PLAIN,
        encrypted: "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7",
    },
    Cipher {
        kind: CKM_AES_CBC, source: "NIST SP 800-38A, F.2.5",
        mechanism: || Mechanism::with_iv(CKM_AES_CBC, &unhex("000102030405060708090a0b0c0d0e0f")),
        key: SP800_38A_KEY, plain: SP800_38A_PLAIN,
        encrypted: "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
    },
    Cipher {
        kind: CKM_AES_CTR, source: "NIST SP 800-38A, F.5.5",
        mechanism: || Mechanism::ctr(128, [0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff]),
        key: SP800_38A_KEY, plain: SP800_38A_PLAIN,
        encrypted: "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
    },
    Cipher {
        kind: CKM_AES_GCM, source: "McGrew and Viega, test case 16",
        mechanism: || Mechanism::gcm(&unhex("cafebabefacedbaddecaf888"), &unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"), 128),
        key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        plain: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        encrypted: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
    },
];

const RFC6979_POINT: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
const RFC6979_SIGNATURE: &str = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";

/// Signatures that verify.
#[rustfmt::skip]
pub const SIGNED: &[Signed] = &[
    Signed {
        kind: CKM_ECDSA, source: "RFC 6979, A.2.5", key: RFC6979_POINT, signature: RFC6979_SIGNATURE,
        // SHA-256 of "sample".
        data: b"\xaf\x2b\xdb\xe1\xaa\x9b\x6e\xc1\xe2\xad\xe1\xd6\x94\xf4\x1f\xc7\x1a\x83\x1d\x02\x68\xe9\x89\x15\x62\x11\x3d\x8a\x62\xad\xd1\xbf",
    },
    Signed {
        kind: CKM_ECDSA_SHA256, source: "RFC 6979, A.2.5", key: RFC6979_POINT, signature: RFC6979_SIGNATURE, data: b"sample",
    },
    Signed {
        kind: CKM_EDDSA, source: "RFC 8032, 7.1, test 2",
        key: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", data: b"\x72",
        signature: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    },
    Signed {
        kind: CKM_SHA256_RSA_PKCS, source: "RFC 7515, A.2",
        key: "a1f8160ae2e3c9b465ce8d2d656263362b927dbe29e1f02477fc1625cc90a136e38bd93497c5b6ea63dd7711e67c7429f956b0fb8a8f089adc4b69893cc1333f53edd019b87784252fec914fe4857769594bea4280d32c0f55bf62944f130396bc6e9bdf6ebdd2bda3678eeca0c668f701b38dbffb38c8342ce2fe6d27fade4a5a4874979dd4b9cf9adec4c75b05852c2c0f5ef8a5c1750392f944e8ed64c110c6b647609aa4783aeb9c6c9ad755313050638b83665c6f6f7a82a396702a1f641b82d3ebf2392219491fb686872c5716f50af8358d9a8b9d17c340728f7f87d89a18d8fcab67ad84590c2ecf759339363c07034d6f606f9e21e05456cae5e9a1",
        data: b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        signature: "702e218943e88fd11eb5d82dbf7845f34106ae1b81fff7731116add1717d83656d420afd3c96eedd73a2663e5166687b000b87226e0187ed1073f945e582adfcef16d85a798ee8c66ddb3db8975b17d09402beedd5d9d97007108db28160d5f8040ca7445762b81fbe7ff9d92e0ae76f24f25b33bbe6f44ae61eb1040acb20044d3ef9128ed40130795bd4bd3b41eecad066ab651981fde48df77f372dc38b9fafdd3befb18b5da3cc3c2eb02f9e3a41d612caad15911273a05f23b9e838faaf849d698429ef5a1e88798236c3d40e604522a544c8f27a7a2db80663d16cf7caea56de405cb2215a45b2c25566b55ac1a748a070dfc8a32a469543d019eefb47",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_become_bytes() {
        assert_eq!(unhex("00ff7f"), [0, 255, 127]);
        assert_eq!(
            unhex(
                DIGESTS
                    .iter()
                    .find(|one| one.kind == CKM_SHA256 && one.data == b"abc")
                    .unwrap()
                    .result
            ),
            SHA256_ABC
        );
    }
}
