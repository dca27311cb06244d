//! The public point of a private EC key that came without one: PKCS #11 lets an application create or unwrap a key from
//! its scalar alone, and no module in common says the point then.
//!
//! A member is asked to agree with the curve's own base point: what comes out is the x-coordinate of the public point,
//! which is no secret. Two points have it, and a signature tells which is the key's.

use crate::carry;
use crate::desk::Desk;
use crate::fault::{Answer, Call, Fault};
use crate::object::Object;
use crate::prove::{self, Failure};
use crate::signature;
use num_bigint::BigUint;
use tandem_values::{Handle, Template, ck::*};

/// A curve y² = x³ − 3x + b over a prime field whose prime is 3 modulo 4, in hexadecimal.
struct Curve {
    /// CKA_EC_PARAMS: its object identifier in DER.
    parameters: &'static [u8],
    /// Bytes of a coordinate.
    len: usize,
    prime: &'static str,
    b: &'static str,
    /// The base point.
    x: &'static str,
    y: &'static str,
}

/// The curves that members have in common (FIPS 186-4, appendix D.1.2).
const CURVES: &[Curve] = &[
    Curve {
        parameters: &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        len: 32,
        prime: "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
        b: "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
        x: "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        y: "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    },
    Curve {
        parameters: &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
        len: 48,
        prime: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
        b: "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
        x: "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
        y: "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
    },
    Curve {
        parameters: &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23],
        len: 66,
        prime: "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        b: "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
        x: "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
        y: "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
    },
];

fn number(hex: &str) -> BigUint {
    BigUint::parse_bytes(hex.as_bytes(), 16).unwrap_or_default()
}

impl Curve {
    fn of(template: &Template) -> Option<&'static Self> {
        let parameters = template.bytes(CKA_EC_PARAMS)?;
        CURVES.iter().find(|curve| curve.parameters == parameters)
    }

    fn base(&self) -> Vec<u8> {
        self.point(&number(self.x), &number(self.y))
    }

    /// A point as CKA_EC_POINT has it: uncompressed (SEC 1, 2.3.3), in a DER octet string.
    fn point(&self, x: &BigUint, y: &BigUint) -> Vec<u8> {
        let mut point = vec![0x04];
        for coordinate in [x, y] {
            let bytes = coordinate.to_bytes_be();
            point.resize(point.len().saturating_add(self.len.saturating_sub(bytes.len())), 0);
            point.extend_from_slice(&bytes);
        }
        let mut der = vec![0x04];
        let len = u8::try_from(point.len()).unwrap_or(u8::MAX);
        // The long form of a length of one byte, from 128 on.
        der.extend((len >= 0x80).then_some(0x81));
        der.push(len);
        der.append(&mut point);
        der
    }

    /// The two points with this x-coordinate; none if it is of no point.
    fn lift(&self, x: &[u8]) -> Vec<Vec<u8>> {
        let (prime, x) = (number(self.prime), BigUint::from_bytes_be(x));
        let three = BigUint::from(3_u8);
        // −3x as (p − 3)x: no number here goes below zero.
        let square = (x.modpow(&three, &prime) + (&prime - &three) * &x + number(self.b)) % &prime;
        let y = square.modpow(&((&prime + 1_u8) >> 2), &prime);
        if x >= prime || &y * &y % &prime != square {
            return Vec::new();
        }
        vec![self.point(&x, &y), self.point(&x, &((&prime - &y) % &prime))]
    }
}

/// True for a private EC key of which nothing public is known.
pub(crate) fn is_missing(object: &Object) -> bool {
    let template = &object.template;
    object.class() == CKO_PRIVATE_KEY
        && template.key_type() == Some(CKK_EC)
        && object.public.is_none()
}

/// The public part of a private EC key whose bytes a key of the ring wraps, found and proven at a member.
/// CKR_KEY_NOT_WRAPPABLE if there is no way to it.
pub(crate) fn find(
    desk: &Desk<'_>,
    kek: Handle,
    object: &Object,
    wrapped: &[u8],
    challenge: &[u8; 32],
) -> Answer<Template> {
    let no_way = || Fault::new(Call::Wrap, CKR_KEY_NOT_WRAPPABLE);
    let curve = Curve::of(&object.template).ok_or_else(|| {
        log::warn!(
            "a private EC key without its public point can be proven on P-256, P-384 and P-521 only; this one is on another curve"
        );
        no_way()
    })?;
    let template = carry::twin(object, &[(CKA_SIGN, true), (CKA_DERIVE, true)]);
    let method = prove::private_method(&template).ok_or_else(no_way)?;
    let twin = carry::unwrap(desk, kek, wrapped, &template)?;
    let found =
        prove::agreed(desk, twin, CKM_ECDH1_DERIVE, &curve.base(), curve.len).and_then(|x| {
            for point in curve.lift(&x) {
                let public = Template::new()
                    .with(CKA_CLASS, CKO_PUBLIC_KEY)
                    .with(CKA_KEY_TYPE, CKK_EC)
                    .with(CKA_EC_PARAMS, curve.parameters)
                    .with(CKA_EC_POINT, point);
                match signature::prove(desk, desk, twin, &method, &public, challenge) {
                    Ok(()) => return Ok(public),
                    Err(Failure::Fault(fault)) => return Err(fault),
                    // Nothing was made that could be left.
                    Err(Failure::Different(_) | Failure::Beyond(_) | Failure::Left(..)) => {}
                }
            }
            Err(no_way())
        });
    desk.discard(twin);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_point_is_one_of_the_two_points_with_its_coordinate() {
        for curve in CURVES {
            let x = number(curve.x).to_bytes_be();
            let points = curve.lift(&x);
            assert_eq!(points.len(), 2, "{} bytes", curve.len);
            assert!(points.contains(&curve.base()));
            assert_ne!(points[0], points[1]);
            let header = if curve.len > 63 { 3 } else { 2 };
            assert!(points.iter().all(|point| point.len() == header + 1 + 2 * curve.len));
        }
    }

    #[test]
    fn what_is_no_coordinate_lifts_to_no_point() {
        for curve in CURVES {
            assert!(curve.lift(&number(curve.prime).to_bytes_be()).is_empty());
            // About half of all numbers are of no point.
            let none = (1_u8..64).filter(|x| curve.lift(&[*x]).is_empty()).count();
            assert!((8..56).contains(&none), "{none}");
        }
    }
}
