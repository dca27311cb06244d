//! What a module leaves on its token when its process is killed while it makes an object there.
//!
//! SoftHSM writes the file of an object many times before the object is whole: first it has neither name nor material, then a
//! name and no value. One that was killed in between leaves such an object for ever: no search by name finds the first,
//! and the second stands in the way of the copy that it was to be, or is taken for it where nothing can be proven by it.

use crate::carry;
use crate::desk::Desk;
use crate::fault::{Answer, Class};
use crate::object::Object;
use crate::prove::{self, Failure};
use crate::replica::{is_hidden, may_do_the_same};
use crate::station::Station;
use crate::step::Verb;
use crate::token::Token;
use sha2::{Digest, Sha256};
use tandem_values::template::Reading;
use tandem_values::{Handle, Template, Value, ck::*};

/// Class and type, name, and what a key pair or data can't be without; the value last.
const TELLING: [u64; 10] = [
    CKA_CLASS,
    CKA_KEY_TYPE,
    CKA_ID,
    CKA_LABEL,
    CKA_MODULUS,
    CKA_EC_PARAMS,
    CKA_EC_POINT,
    CKA_APPLICATION,
    CKA_OBJECT_ID,
    CKA_VALUE,
];

impl Token {
    /// Removes nameless objects that a process that is no more had begun to make. Only for the one process that writes to
    /// the member, and before it makes anything there.
    pub(crate) fn remove_nameless(desk: &Desk<'_>, station: &Station) -> Answer {
        if !desk.member.quirks().leaves_half_made {
            return Ok(());
        }
        for candidate in desk.member.find(desk.session, &Template::new())? {
            if station.is_replica(desk.spot(candidate)) {
                continue;
            }
            match desk.member.read(desk.session, candidate, &TELLING) {
                Ok(readings) if is_empty_shell(&readings) => {
                    say_removed(desk, "an object with neither name nor material");
                    desk.member.destroy(desk.session, candidate)?;
                }
                Ok(readings)
                    if let Some(key_type) = nameless_secret(&readings)
                        && has_no_value(desk, candidate, key_type)? =>
                {
                    say_removed(desk, "a secret key with neither name nor value");
                    desk.member.destroy(desk.session, candidate)?;
                }
                // Not even what it is can be read of it.
                Err(fault) if fault.rv.0 == CKR_ATTRIBUTE_VALUE_INVALID => {
                    say_removed(desk, "an object without anything");
                    desk.member.destroy(desk.session, candidate)?;
                }
                Err(fault) if matches!(fault.class, Class::Ill | Class::Lost) => return Err(fault),
                // It is somebody's, or it can't be told whose it is.
                _ => {}
            }
        }
        Ok(())
    }

    /// What a search finds, once what a process that is no more left half-made in its way is removed. Only for the one process
    /// that writes to the member.
    pub(crate) fn beyond_half_made(
        &self,
        desk: &Desk<'_>,
        object: &Object,
        search: &dyn Fn() -> Answer<Option<Handle>>,
    ) -> Answer<Option<Handle>> {
        let found = search();
        let may_be = desk.member.quirks().leaves_half_made
            && !object.stood_on(desk.name())
            && object.holders.is_none();
        let in_doubt = match found {
            Ok(None) => may_be,
            Ok(Some(handle)) => may_be && !Self::proves_itself(object) && is_begun(desk, handle)?,
            Err(fault) => may_be && (fault.may_be_the_request() || fault.class == Class::Unable),
        };
        if in_doubt && self.remove_valueless(desk, object)? { search() } else { found }
    }

    /// Removes what bears an object's name and class and has no value to be used by: a key that merely may not be used so is
    /// somebody's. Answers whether there was any.
    fn remove_valueless(&self, desk: &Desk<'_>, object: &Object) -> Answer<bool> {
        let search = carry::search(object);
        let found = self.shelf.find(&search);
        if found.map_or(true, |found| found.iter().any(|it| it.object.id != object.id)) {
            // What fails as this one may be the other of that name.
            return Ok(false);
        }
        let mut removed = false;
        for candidate in desk.member.find(desk.session, &search)? {
            if !is_hidden(desk, candidate)? && self.is_valueless(desk, candidate, object)? {
                say_removed(desk, &format!("a copy of object {} without a value", object.id));
                desk.member.destroy(desk.session, candidate)?;
                removed = true;
            }
        }
        Ok(removed)
    }

    /// True if what bears an object's name can't have a value.
    fn is_valueless(&self, desk: &Desk<'_>, candidate: Handle, object: &Object) -> Answer<bool> {
        let was_begun = || -> Answer<bool> {
            Ok(is_begun(desk, candidate)? && may_do_the_same(desk, candidate, object)?)
        };
        match self.prove_in_place(desk, candidate, object) {
            // Nothing was proven: it is the copy that was begun if it is meant for the same and was never whole.
            Ok(()) => Ok(!Self::proves_itself(object) && was_begun()?),
            // What SoftHSM says of a key for a cipher.
            Err(Failure::Fault(fault)) if fault.rv.0 == CKR_MECHANISM_INVALID => {
                Ok(was_begun()? && self.is_well(desk))
            }
            Err(Failure::Fault(fault)) => Ok((fault.rv.0 == CKR_KEY_SIZE_RANGE
                || fault.may_be_the_request())
                && self.is_well(desk)),
            Err(_) => Ok(false),
        }
    }
}

/// True if a key was begun and is not whole. It gets its value and what it has been at once, at the end: until then it was
/// never extractable and yet not made there, which a key that was unwrapped can't be (PKCS #11 3.2 section 4.9). One that was
/// derived can.
fn is_begun(desk: &Desk<'_>, key: Handle) -> Answer<bool> {
    let readings = desk.member.read(desk.session, key, &[CKA_LOCAL, CKA_NEVER_EXTRACTABLE])?;
    let flag = |at: usize| match readings.get(at) {
        Some(Reading::Value(Value::Flag(flag))) => Some(*flag),
        _ => None,
    };
    Ok((flag(0), flag(1)) == (Some(false), Some(true)))
}

/// The type of a secret key without a name, if these attributes, [`TELLING`], are of one.
fn nameless_secret(readings: &[Reading]) -> Option<u64> {
    let [class, key_type, told @ .., _] = readings else { return None };
    let is_secret = number(class) == Some(CKO_SECRET_KEY);
    number(key_type).filter(|_| is_secret && told.iter().all(says_nothing))
}

/// What every secret key has, if only as false (PKCS #11 3.2 section 4.10).
const OF_EACH: [u64; 6] = [
    CKA_ENCRYPT,
    CKA_SENSITIVE,
    CKA_EXTRACTABLE,
    CKA_ALWAYS_SENSITIVE,
    CKA_NEVER_EXTRACTABLE,
    CKA_LOCAL,
];

/// A generic secret's length is not known: of any other than none a digest tells.
const ANY_LEN: u64 = 1;

/// True if a secret key was never whole: it lacks what each has, or it has no value to answer with. One that merely may not be
/// used, or is of a type of which that can't be told, is somebody's.
fn has_no_value(desk: &Desk<'_>, key: Handle, key_type: u64) -> Answer<bool> {
    let readings = desk.member.read(desk.session, key, &OF_EACH)?;
    if readings.iter().any(|reading| matches!(reading, Reading::Invalid)) {
        return Ok(true);
    }
    let known = matches!(key_type, CKK_AES | CKK_GENERIC_SECRET);
    let Some(method) = prove::secret_method(key_type, ANY_LEN).filter(|_| known) else {
        return Ok(false);
    };
    let data = vec![0; method.len];
    match (method.verb, prove::run(desk, &method, key, &data)) {
        // Nothing was added to the data.
        (Verb::Digest, Ok(digest)) => Ok(*digest == *Sha256::digest(&data)),
        (Verb::Encrypt, Err(fault)) if !matches!(fault.class, Class::Lost) => {
            let may = matches!(
                fault.rv.0,
                CKR_KEY_FUNCTION_NOT_PERMITTED | CKR_USER_NOT_LOGGED_IN | CKR_DEVICE_MEMORY
            );
            Ok(!may && is_free(desk, key)? && works_with_another(desk, &method, &data)?)
        }
        _ => Ok(false),
    }
}

/// True unless a key says that it is for certain mechanisms only.
fn is_free(desk: &Desk<'_>, key: Handle) -> Answer<bool> {
    let readings = desk.member.read(desk.session, key, &[CKA_ALLOWED_MECHANISMS])?;
    Ok(match readings.first() {
        Some(Reading::Value(Value::Numbers(allowed))) => allowed.is_empty(),
        reading => matches!(reading, Some(Reading::Invalid)),
    })
}

/// True if what a key could not do another can, one of the session that is whole: then it is the key.
fn works_with_another(desk: &Desk<'_>, method: &prove::Method, data: &[u8]) -> Answer<bool> {
    let whole = Template::new()
        .with(CKA_CLASS, CKO_SECRET_KEY)
        .with(CKA_KEY_TYPE, CKK_AES)
        .with(CKA_TOKEN, false)
        .with(CKA_ENCRYPT, true)
        .with(CKA_VALUE, [0; 32].as_slice());
    let key = desk.member.create(desk.session, &whole)?;
    let answer = prove::run(desk, method, key, data);
    desk.discard(key);
    Ok(answer.is_ok())
}

fn say_removed(desk: &Desk<'_>, what: &str) {
    log::warn!(
        "member {}: {what} is removed, which a process that ended had begun to make",
        desk.name()
    );
}

/// True if these attributes, [`TELLING`], are of an object that is nobody's: a key pair shows what it is made of whatever
/// its name, and data is what it says. A secret key shows nothing, so of that it is not known.
fn is_empty_shell(readings: &[Reading]) -> bool {
    let [class, key_type, told @ .., value] = readings else { return false };
    let known = match (number(class), number(key_type)) {
        // The value of a private key is not shown, whether it has one or not.
        (Some(CKO_PRIVATE_KEY | CKO_PUBLIC_KEY), Some(CKK_RSA | CKK_EC)) => true,
        (None | Some(CKO_DATA), None) => says_nothing(value),
        _ => false,
    };
    known && told.iter().all(says_nothing)
}

const fn number(reading: &Reading) -> Option<u64> {
    match reading {
        Reading::Value(Value::Number(number)) => Some(*number),
        _ => None,
    }
}

fn says_nothing(reading: &Reading) -> bool {
    match reading {
        Reading::Value(Value::Bytes(bytes)) => bytes.is_empty(),
        Reading::Value(_) | Reading::Sensitive => false,
        Reading::Invalid => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(class: Reading, key_type: Reading, told: &[Reading]) -> bool {
        let mut readings = vec![class, key_type];
        readings.extend_from_slice(told);
        readings.resize(TELLING.len(), Reading::Invalid);
        is_empty_shell(&readings)
    }

    fn of(number: u64) -> Reading {
        Reading::Value(Value::Number(number))
    }

    fn bytes(bytes: &[u8]) -> Reading {
        Reading::Value(Value::Bytes(bytes.to_vec().into()))
    }

    #[test]
    fn only_what_nobody_can_use_is_a_shell() {
        assert!(shell(of(CKO_PUBLIC_KEY), of(CKK_EC), &[bytes(b""), bytes(b"")]));
        assert!(shell(Reading::Invalid, Reading::Invalid, &[]));
        assert!(shell(of(CKO_DATA), Reading::Invalid, &[bytes(b""), bytes(b"")]));
        assert!(!shell(of(CKO_PUBLIC_KEY), of(CKK_EC), &[bytes(b"id")]), "it has a name");
        let point = [bytes(b""), bytes(b""), Reading::Invalid, Reading::Invalid, bytes(b"point")];
        assert!(!shell(of(CKO_PUBLIC_KEY), of(CKK_EC), &point), "it has a point");
        assert!(!shell(of(CKO_SECRET_KEY), of(CKK_AES), &[bytes(b""), bytes(b"")]));
        assert!(!shell(of(CKO_PRIVATE_KEY), of(CKK_ML_DSA), &[bytes(b"")]), "not known");
        assert!(!shell(of(CKO_PRIVATE_KEY), of(CKK_RSA), &[Reading::Sensitive]));
    }

    #[test]
    fn a_secret_key_without_a_name_is_asked() {
        let mut readings = vec![of(CKO_SECRET_KEY), of(CKK_AES), bytes(b""), bytes(b"")];
        readings.resize(TELLING.len(), Reading::Invalid);
        assert_eq!(nameless_secret(&readings), Some(CKK_AES));
        readings[2] = bytes(b"id");
        assert_eq!(nameless_secret(&readings), None);
        assert_eq!(nameless_secret(&[of(CKO_PRIVATE_KEY), of(CKK_EC), Reading::Invalid]), None);
    }
}
