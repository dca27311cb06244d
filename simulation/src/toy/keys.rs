//! Keys of a toy HSM: generated, wrapped, unwrapped.

use super::{Hsm, Life, crypto, template};
use crate::chance::Chance;
use tandem_engine::fault::{Answer, Call, Fault};
use tandem_engine::member::SessionId;
use tandem_values::template::Pair;
use tandem_values::{Handle, Mechanism, Template, ck::*};

/// The context of a wrapping, so that one mechanism doesn't open what another has wrapped.
const KWP: &[u8] = b"kwp";
const OAEP: &[u8] = b"oaep";

/// What the key behind a wrapping is, whichever object holds it: for the oracle.
pub fn open_wrapped(kek: &[u8], wrapped: &[u8]) -> Option<Vec<u8>> {
    crypto::open(kek, &[KWP], wrapped)
}

impl Hsm {
    /// C_GenerateKey.
    pub fn generate(
        &mut self,
        life: Life,
        session: SessionId,
        mechanism: &Mechanism,
        given: &Template,
        chance: &mut Chance,
    ) -> Answer<Handle> {
        let refuse = |rv| Fault::new(Call::Generate, rv);
        let key_type = match mechanism.kind {
            CKM_AES_KEY_GEN => CKK_AES,
            CKM_GENERIC_SECRET_KEY_GEN => CKK_GENERIC_SECRET,
            _ => return Err(refuse(CKR_MECHANISM_INVALID)),
        };
        let mut shown = template::once(given).map_err(refuse)?;
        let demanded = Template::new().with(CKA_CLASS, CKO_SECRET_KEY).with(CKA_KEY_TYPE, key_type);
        template::impose(&mut shown, &demanded).map_err(refuse)?;
        let len = shown.number(CKA_VALUE_LEN).and_then(|len| usize::try_from(len).ok());
        let len = len.ok_or_else(|| refuse(CKR_TEMPLATE_INCOMPLETE))?;
        fits(key_type, len).map_err(refuse)?;
        self.drawn += 1;
        let mut value = vec![0; len];
        chance.fill(&mut value);
        self.put(life, session, shown, value, Call::Generate)
    }

    /// C_GenerateKeyPair.
    pub fn generate_pair(
        &mut self,
        life: Life,
        session: SessionId,
        mechanism: &Mechanism,
        (public, private): (&Template, &Template),
        chance: &mut Chance,
    ) -> Answer<Pair> {
        let refuse = |rv| Fault::new(Call::Generate, rv);
        let mut public = template::once(public).map_err(refuse)?;
        let mut private = template::once(private).map_err(refuse)?;
        let key_type = match mechanism.kind {
            CKM_RSA_PKCS_KEY_PAIR_GEN => CKK_RSA,
            CKM_EC_KEY_PAIR_GEN => CKK_EC,
            _ => return Err(refuse(CKR_MECHANISM_INVALID)),
        };
        if !self.has_mechanism(mechanism.kind) {
            return Err(refuse(CKR_MECHANISM_INVALID));
        }
        let part = fresh_public(key_type, &public, chance).map_err(refuse)?;
        self.drawn += 1;
        for (half, class) in [(&mut public, CKO_PUBLIC_KEY), (&mut private, CKO_PRIVATE_KEY)] {
            let demanded = Template::new().with(CKA_CLASS, class).with(CKA_KEY_TYPE, key_type);
            template::impose(half, &demanded).map_err(refuse)?;
        }
        public.merge(&part);
        private.merge(&shown_of_private(&part));
        let material = crypto::private_material(&part);
        let public = self.put(life, session, public, Vec::new(), Call::Generate)?;
        match self.put(life, session, private, material, Call::Generate) {
            Ok(private) => Ok(Pair { public, private }),
            Err(fault) => {
                let _ = self.destroy(life, session, public);
                Err(fault)
            }
        }
    }

    /// C_WrapKey.
    pub fn wrap(
        &mut self,
        life: Life,
        session: SessionId,
        mechanism: &Mechanism,
        by: Handle,
        key: Handle,
    ) -> Answer<Vec<u8>> {
        let refuse = |rv| Fault::new(Call::Wrap, rv);
        let kek =
            self.thing(life, session, by, Call::Wrap, CKR_WRAPPING_KEY_HANDLE_INVALID)?.clone();
        template::may_use(&kek.template, CKA_WRAP, mechanism.kind).map_err(refuse)?;
        let thing = self.thing(life, session, key, Call::Wrap, CKR_KEY_HANDLE_INVALID)?;
        if !matches!(thing.template.class(), Some(CKO_PRIVATE_KEY | CKO_SECRET_KEY)) {
            return Err(refuse(CKR_KEY_NOT_WRAPPABLE));
        }
        if !thing.template.is(CKA_EXTRACTABLE) {
            return Err(refuse(CKR_KEY_UNEXTRACTABLE));
        }
        match (mechanism.kind, kek.template.class(), kek.template.key_type()) {
            (CKM_AES_KEY_WRAP_KWP, Some(CKO_SECRET_KEY), Some(CKK_AES)) => {
                Ok(crypto::seal(&kek.secret, &[KWP], &thing.secret))
            }
            (CKM_RSA_PKCS_OAEP, Some(CKO_PUBLIC_KEY), Some(CKK_RSA)) => {
                Ok(crypto::seal(&crypto::point(&kek.template), &[OAEP], &thing.secret))
            }
            (CKM_AES_KEY_WRAP_KWP | CKM_RSA_PKCS_OAEP, ..) => {
                Err(refuse(CKR_WRAPPING_KEY_TYPE_INCONSISTENT))
            }
            _ => Err(refuse(CKR_MECHANISM_INVALID)),
        }
    }

    /// C_UnwrapKey. `wrong` makes of the key another of its kind: a fault of the world's.
    pub fn unwrap(
        &mut self,
        life: Life,
        session: SessionId,
        (mechanism, by): (&Mechanism, Handle),
        wrapped: &[u8],
        given: &Template,
        wrong: bool,
    ) -> Answer<Handle> {
        let refuse = |rv| Fault::new(Call::Unwrap, rv);
        let kek =
            self.thing(life, session, by, Call::Unwrap, CKR_UNWRAPPING_KEY_HANDLE_INVALID)?.clone();
        template::may_use(&kek.template, CKA_UNWRAP, mechanism.kind).map_err(refuse)?;
        let mut shown = template::once(given).map_err(refuse)?;
        if let Some(demanded) = kek.template.template(CKA_UNWRAP_TEMPLATE) {
            template::impose(&mut shown, demanded).map_err(refuse)?;
        }
        let opened = match (mechanism.kind, kek.template.class(), kek.template.key_type()) {
            (CKM_AES_KEY_WRAP_KWP, Some(CKO_SECRET_KEY), Some(CKK_AES)) => {
                crypto::open(&kek.secret, &[KWP], wrapped)
            }
            (CKM_RSA_PKCS_OAEP, Some(CKO_PRIVATE_KEY), Some(CKK_RSA)) => {
                let public = crypto::public_of(&kek.secret).unwrap_or_default();
                crypto::open(&crypto::point(&public), &[OAEP], wrapped)
            }
            (CKM_AES_KEY_WRAP_KWP | CKM_RSA_PKCS_OAEP, ..) => {
                return Err(refuse(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT));
            }
            _ => return Err(refuse(CKR_MECHANISM_INVALID)),
        };
        let mut material = opened.ok_or_else(|| refuse(CKR_WRAPPED_KEY_INVALID))?;
        if wrong {
            material = another(&material);
        }
        let own = material_template(&shown, &material).map_err(refuse)?;
        shown.merge(&own);
        self.put(life, session, shown, material, Call::Unwrap)
    }
}

/// A key of the same kind that is another.
fn another(material: &[u8]) -> Vec<u8> {
    let Some(mut public) = crypto::public_of(material) else {
        return crypto::mix(&[b"another", material], material.len());
    };
    for kind in [CKA_MODULUS, CKA_EC_POINT] {
        if let Some(point) = public.bytes(kind).map(<[u8]>::to_vec) {
            let mut other = crypto::mix(&[b"another", &point], point.len());
            for (to, from) in other.iter_mut().zip(point.iter().take(3)) {
                *to = *from;
            }
            public.set(kind, other);
        }
    }
    crypto::private_material(&public)
}

/// What an unwrapped key shows of its own.
fn material_template(shown: &Template, material: &[u8]) -> Result<Template, u64> {
    match shown.class() {
        None => Err(CKR_TEMPLATE_INCOMPLETE),
        Some(CKO_PRIVATE_KEY) => {
            let public = crypto::public_of(material).ok_or(CKR_WRAPPED_KEY_INVALID)?;
            if shown.key_type().is_some_and(|given| Some(given) != public.key_type()) {
                return Err(CKR_TEMPLATE_INCONSISTENT);
            }
            Ok(shown_of_private(&public))
        }
        Some(CKO_SECRET_KEY) => {
            let key_type = shown.key_type().ok_or(CKR_TEMPLATE_INCOMPLETE)?;
            fits(key_type, material.len()).map_err(|_| CKR_WRAPPED_KEY_LEN_RANGE)?;
            let len = u64::try_from(material.len()).unwrap_or(0);
            Ok(Template::new().with(CKA_VALUE_LEN, len))
        }
        Some(_) => Err(CKR_ATTRIBUTE_VALUE_INVALID),
    }
}

/// A private RSA key shows its public half, an EC key only its curve.
fn shown_of_private(public: &Template) -> Template {
    public.filtered(|kind| kind != CKA_EC_POINT && kind != CKA_CLASS)
}

fn fits(key_type: u64, len: usize) -> Result<(), u64> {
    match key_type {
        CKK_AES if !matches!(len, 16 | 24 | 32) => Err(CKR_KEY_SIZE_RANGE),
        CKK_AES | CKK_GENERIC_SECRET if len > 0 => Ok(()),
        _ => Err(CKR_TEMPLATE_INCONSISTENT),
    }
}

fn fresh_public(key_type: u64, asked: &Template, chance: &mut Chance) -> Result<Template, u64> {
    let part = Template::new().with(CKA_KEY_TYPE, key_type);
    if key_type == CKK_RSA {
        let bits = asked.number(CKA_MODULUS_BITS).ok_or(CKR_TEMPLATE_INCOMPLETE)?;
        let mut modulus = vec![0; usize::try_from(bits / 8).unwrap_or(0)];
        chance.fill(&mut modulus);
        if let Some(first) = modulus.first_mut() {
            *first |= 0x80;
        }
        let exponent = asked.bytes(CKA_PUBLIC_EXPONENT).unwrap_or(&[1, 0, 1]).to_vec();
        return Ok(part.with(CKA_MODULUS, modulus).with(CKA_PUBLIC_EXPONENT, exponent));
    }
    let curve = asked.bytes(CKA_EC_PARAMS).ok_or(CKR_TEMPLATE_INCOMPLETE)?.to_vec();
    // DER octet string, uncompressed point.
    let mut point = vec![0x04, 0x41, 0x04];
    let mut coordinates = [0; 64];
    chance.fill(&mut coordinates);
    point.extend(coordinates);
    Ok(part.with(CKA_EC_PARAMS, curve).with(CKA_EC_POINT, point))
}
