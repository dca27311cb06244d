//! OpenSSL's word on what keys have done, by its command line.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The DER of DigestInfo for SHA-256, up to the 32 bytes of the digest (RFC 8017 section 9.2).
pub const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// A public key as everybody writes it: SubjectPublicKeyInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    der: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    Ec,
    Edwards,
}

impl PublicKey {
    /// From CKA_MODULUS and CKA_PUBLIC_EXPONENT.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        let algorithm = sequence(&[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0xd, 1, 1, 1], &[5, 0]]);
        let key = sequence(&[&integer(modulus), &integer(exponent)]);
        Self { der: info(&algorithm, &key), kind: Kind::Rsa }
    }

    /// From CKA_EC_PARAMS, a named curve, and CKA_EC_POINT.
    pub fn ec(params: &[u8], point: &[u8]) -> Self {
        let algorithm = sequence(&[&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], params]);
        Self { der: info(&algorithm, octets(point)), kind: Kind::Ec }
    }

    /// Ed25519, from CKA_EC_POINT.
    pub fn ed25519(point: &[u8]) -> Self {
        let point = if point.len() == 32 { point } else { octets(point) };
        Self { der: info(&sequence(&[&[6, 3, 0x2b, 0x65, 0x70]]), point), kind: Kind::Edwards }
    }

    /// Does OpenSSL verify this signature? Of RSA (PKCS #1 1.5) and ECDSA the data is a SHA-256 digest, of Ed25519 a message.
    pub fn verifies(&self, data: &[u8], signature: &[u8]) -> bool {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = |name: &str, bytes: &[u8]| {
            let file = folder.path().join(name);
            fs::write(&file, bytes).expect("a file");
            file
        };
        let signature = match self.kind {
            Kind::Ec => {
                let (r, s) = signature.split_at(signature.len() / 2);
                sequence(&[&integer(r), &integer(s)])
            }
            Kind::Rsa | Kind::Edwards => signature.to_vec(),
        };
        let mut command = Command::new("openssl");
        command.args(["pkeyutl", "-verify", "-pubin", "-keyform", "DER"]);
        command
            .arg("-inkey")
            .arg(file("key", &self.der))
            .arg("-sigfile")
            .arg(file("signature", &signature));
        command.arg("-in").arg(file("data", data));
        match self.kind {
            Kind::Rsa => command.args(["-pkeyopt", "digest:sha256"]),
            Kind::Edwards => command.arg("-rawin"),
            Kind::Ec => &mut command,
        };
        let output = command.output().expect("openssl");
        String::from_utf8_lossy(&output.stdout).contains("Verified Successfully")
            && output.status.success()
    }
}

/// HMAC with SHA-256 (RFC 2104) of a key that the test knows.
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    let option = format!("hexkey:{}", hex(key));
    filter(&["dgst", "-sha256", "-mac", "HMAC", "-macopt", &option, "-binary"], data)
}

/// SHA-256.
pub fn sha256(data: &[u8]) -> Vec<u8> {
    filter(&["dgst", "-sha256", "-binary"], data)
}

/// AES-256 in CBC mode without padding, of a key that the test knows.
pub fn aes_256_cbc(key: &[u8], iv: &[u8], data: &[u8]) -> Vec<u8> {
    filter(&["enc", "-aes-256-cbc", "-nopad", "-K", &hex(key), "-iv", &hex(iv)], data)
}

/// An RSA key that OpenSSL has made, number by number.
pub struct RsaKey {
    /// n
    pub modulus: Vec<u8>,
    /// e
    pub exponent: Vec<u8>,
    /// d
    pub private: Vec<u8>,
    /// p and q
    pub primes: [Vec<u8>; 2],
    /// d modulo p-1 and q-1
    pub exponents: [Vec<u8>; 2],
    /// q to the power of -1 modulo p
    pub coefficient: Vec<u8>,
}

impl RsaKey {
    /// A new one of 2048 bits.
    pub fn generate() -> Self {
        let pem = filter(&["genrsa", "-traditional", "2048"], &[]);
        let der = filter(&["rsa", "-traditional", "-outform", "DER"], &pem);
        // RFC 8017 section A.1.2: a sequence of nine integers, the first of which is the version.
        let mut rest = contents(&der, 0x30).0;
        let numbers: Vec<Vec<u8>> = std::iter::from_fn(|| {
            let (number, after) = (!rest.is_empty()).then(|| contents(rest, 2))?;
            rest = after;
            Some(number.iter().copied().skip_while(|byte| *byte == 0).collect())
        })
        .collect();
        let [_, modulus, exponent, private, p, q, dp, dq, coefficient] =
            numbers.try_into().expect("nine numbers");
        Self { modulus, exponent, private, primes: [p, q], exponents: [dp, dq], coefficient }
    }
}

/// An EC key that OpenSSL has made.
pub struct EcKey {
    /// The named curve, in DER.
    pub params: Vec<u8>,
    /// d
    pub scalar: Vec<u8>,
    /// Its public half.
    pub public: PublicKey,
}

impl EcKey {
    /// A new one on a curve that OpenSSL knows by this name.
    pub fn generate(curve: &str) -> Self {
        let der = filter(&["ecparam", "-name", curve, "-genkey", "-noout", "-outform", "DER"], &[]);
        // RFC 5915: version, scalar, [0] parameters, [1] public key.
        let (_version, rest) = contents(contents(&der, 0x30).0, 2);
        let (scalar, rest) = contents(rest, 4);
        let (params, rest) = contents(rest, 0xa0);
        let bits = contents(contents(rest, 0xa1).0, 3).0;
        // The first byte says how many bits of the last are unused: none.
        let public = PublicKey::ec(params, &element(4, &bits[1..]));
        Self { params: params.to_vec(), scalar: scalar.to_vec(), public }
    }
}

/// The contents of a DER element, and what follows it.
fn contents(der: &[u8], tag: u8) -> (&[u8], &[u8]) {
    assert_eq!(der[0], tag);
    let (len, from) = match der[1] {
        short @ 0..0x80 => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 0x7f);
            let len = der[2..2 + count].iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
            (len, 2 + count)
        }
    };
    der[from..].split_at(len)
}

/// Gives data to a command of OpenSSL and answers what it writes.
fn filter(arguments: &[&str], data: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("input");
    fs::write(&input, data).expect("a file");
    let output = run(arguments, &input);
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn run(arguments: &[&str], input: &Path) -> std::process::Output {
    let input = fs::File::open(input).expect("a file");
    Command::new("openssl").args(arguments).stdin(input).output().expect("openssl")
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    sequence(&[algorithm, &element(3, &[&[0], key].concat())])
}

fn sequence(elements: &[&[u8]]) -> Vec<u8> {
    element(0x30, &elements.concat())
}

/// A positive INTEGER of big-endian bytes.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    let sign = if digits.first().is_none_or(|byte| byte & 0x80 != 0) { &[0][..] } else { &[] };
    element(2, &[sign, &digits].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let mut element = vec![tag];
    if let 0..0x80 = len {
        element.push(u8::try_from(len).expect("a short length"));
    } else {
        let bytes: Vec<u8> = len.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        element.push(0x80 | u8::try_from(bytes.len()).expect("a few bytes"));
        element.extend(bytes);
    }
    element.extend(content);
    element
}

/// The content of a DER OCTET STRING of less than 256 bytes.
pub fn octets(der: &[u8]) -> &[u8] {
    match der {
        [4, 0x81, len, content @ ..] | [4, len, content @ ..]
            if content.len() == usize::from(*len) =>
        {
            content
        }
        _ => panic!("no OCTET STRING: {}", hex(der)),
    }
}
