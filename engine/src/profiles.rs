//! Profile objects: they say which profiles the virtual token implements (PKCS #11 3.2 section 4.14). They are its own: in no log, on
//! no member, and for nobody to change. Those of members say what members are.

use crate::abilities::Mechanisms;
use crate::check;
use crate::fault::{Answer, Call, Class, Fault};
use crate::held::Held;
use crate::object::{Object, ObjectId};
use crate::shelf::Entry;
use crate::token::Token;
use std::sync::Arc;
use tandem_values::{Handle, Template, ck::*};

/// Handles of profile objects begin here, above any row number of the catalogue and below those of session objects.
const PROFILE_BASE: Handle = 1 << 39;

/// A profile, its name, and whether it is implemented by a token that offers these mechanisms (PKCS #11 Profiles 3.2 section 5).
type Profile = (u64, &'static str, fn(&Mechanisms) -> bool);

/// Every profile that the virtual token may implement. Its functions are all there; what else is asked is asked here.
///
/// It is no public certificates token: whether certificates are seen without a login is for applications to say.
const PROFILES: [Profile; 3] = [
    (CKP_BASELINE_PROVIDER, "Baseline Provider", |_| true),
    (CKP_EXTENDED_PROVIDER, "Extended Provider", |_| true),
    (CKP_AUTHENTICATION_TOKEN, "Authentication Token", signs),
];

/// True if a private key can sign by some mechanism.
fn signs(offered: &Mechanisms) -> bool {
    let by_pair = |kind: u64| check::works_with(kind).is_some_and(|key_type| key_type != CKK_AES);
    offered.iter().any(|(kind, info)| info.flags & CKF_SIGN != 0 && by_pair(*kind))
}

/// True for a search that asks for profile objects. Others find none, as they find no mechanism objects and no hardware features:
/// programs that destroy what they find, or count it, were written before there were any.
fn asks(wanted: &Template) -> bool {
    wanted.class() == Some(CKO_PROFILE) || wanted.has(CKA_PROFILE_ID) || wanted.has(CKA_UNIQUE_ID)
}

/// Nothing is done with a profile object on a member.
pub(crate) fn is_no_profile(handle: Handle) -> Answer {
    if PROFILES.iter().any(|(id, ..)| PROFILE_BASE.saturating_add(*id) == handle) {
        let none = Fault::new(Call::Find, CKR_KEY_HANDLE_INVALID);
        return Err(Fault { class: Class::Refused, ..none });
    }
    Ok(())
}

/// What a profile object shows.
fn shown(id: u64, name: &str) -> Template {
    let flags = [CKA_PRIVATE, CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE];
    let shown = Template::new()
        .with(CKA_CLASS, CKO_PROFILE)
        .with(CKA_TOKEN, true)
        .with(CKA_LABEL, name)
        .with(CKA_PROFILE_ID, id);
    flags.into_iter().fold(shown, |shown, kind| shown.with(kind, false))
}

/// The same identity on every token: it is what the profile is.
fn identity(id: u64) -> ObjectId {
    let mut bytes = *b"tandem-profile\0\0";
    let [.., last] = &mut bytes;
    *last = u8::try_from(id).unwrap_or_default();
    ObjectId(bytes)
}

impl Token {
    /// Profile objects with these attributes. What makes each unique is looked at by whoever asks.
    pub(crate) fn find_profiles(&self, asked: &Template, plain: &Template) -> Vec<Handle> {
        if !asks(asked) {
            return Vec::new();
        }
        let offered = self.offered();
        PROFILES
            .iter()
            .filter(|(id, name, implemented)| {
                implemented(&offered) && shown(*id, name).matches(plain)
            })
            .map(|(id, ..)| PROFILE_BASE.saturating_add(*id))
            .collect()
    }

    /// The profile object of a handle.
    pub(crate) fn profile(&self, handle: Handle) -> Option<Held> {
        let id = handle.checked_sub(PROFILE_BASE)?;
        let (id, name, _) = PROFILES.iter().find(|(known, ..)| *known == id)?;
        let object =
            Object { id: identity(*id), created_at_ms: 0, ..self.new_object(shown(*id, name)) };
        Some(Held::Token(Arc::new(Entry { handle, position: 0, object })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_values::info::MechanismInfo;

    fn offering(kind: u64, flags: u64) -> Mechanisms {
        Mechanisms::from([(kind, MechanismInfo { flags, ..MechanismInfo::default() })])
    }

    #[test]
    fn a_token_on_which_no_private_key_signs_authenticates_nobody() {
        assert!(!signs(&offering(CKM_AES_CMAC, CKF_SIGN)));
        assert!(!signs(&offering(CKM_ECDSA, CKF_VERIFY)));
        assert!(signs(&offering(CKM_ECDSA, CKF_SIGN)));
    }

    #[test]
    fn programs_of_before_find_what_they_know() {
        assert!(!asks(&Template::new()));
        assert!(!asks(&Template::new().with(CKA_TOKEN, true)));
        assert!(!asks(&Template::new().with(CKA_CLASS, CKO_DATA)));
        assert!(asks(&Template::new().with(CKA_CLASS, CKO_PROFILE)));
    }
}
