//! Objects of a toy HSM: made, found, read, changed, copied, destroyed.

use super::{Hsm, Life, Thing, template};
use tandem_engine::fault::{Answer, Call, Fault};
use tandem_engine::member::SessionId;
use tandem_values::template::Reading;
use tandem_values::{AttributeType, Handle, Template, Value, ck::*};

impl Hsm {
    /// Puts an object on the token or into a session.
    pub(super) fn put(
        &mut self,
        life: Life,
        session: SessionId,
        mut shown: Template,
        secret: Vec<u8>,
        call: Call,
    ) -> Answer<Handle> {
        let (full, can_hold) = (self.full, self.can_hold(&shown));
        let user = self.is_user(life);
        let sitting = self.sitting(life, session, call)?;
        template::complete(&mut shown);
        let token = shown.is(CKA_TOKEN);
        if shown.is(CKA_PRIVATE) && !user {
            return Err(Fault::new(call, CKR_USER_NOT_LOGGED_IN));
        }
        if token && !sitting.writes {
            return Err(Fault::new(call, CKR_SESSION_READ_ONLY));
        }
        if !can_hold {
            return Err(Fault::new(call, CKR_ATTRIBUTE_VALUE_INVALID));
        }
        if token && full {
            return Err(Fault::new(call, CKR_DEVICE_MEMORY));
        }
        self.objects_made += 1;
        self.written += u64::from(token);
        let session = (!token).then_some(session.0);
        self.objects.insert(self.objects_made, Thing { template: shown, secret, session });
        Ok(self.handle(self.objects_made))
    }

    /// C_CreateObject.
    pub fn create(&mut self, life: Life, session: SessionId, given: &Template) -> Answer<Handle> {
        let refuse = |rv| Fault::new(Call::Create, rv);
        let mut shown = template::once(given).map_err(refuse)?;
        let class = shown.class().ok_or_else(|| refuse(CKR_TEMPLATE_INCOMPLETE))?;
        let mut secret = Vec::new();
        match class {
            CKO_SECRET_KEY => {
                let value = shown.bytes(CKA_VALUE).map(<[u8]>::to_vec);
                secret = value.ok_or_else(|| refuse(CKR_TEMPLATE_INCOMPLETE))?;
                shown.remove(CKA_VALUE);
                shown.set(CKA_VALUE_LEN, u64::try_from(secret.len()).unwrap_or(0));
            }
            CKO_PUBLIC_KEY => {
                let whole = shown.has(CKA_MODULUS) || shown.has(CKA_EC_POINT);
                if !whole || !shown.has(CKA_KEY_TYPE) {
                    return Err(refuse(CKR_TEMPLATE_INCOMPLETE));
                }
            }
            CKO_DATA if self.keys_only => return Err(refuse(CKR_ATTRIBUTE_VALUE_INVALID)),
            CKO_DATA | CKO_CERTIFICATE => {}
            _ => return Err(refuse(CKR_ATTRIBUTE_VALUE_INVALID)),
        }
        self.put(life, session, shown, secret, Call::Create)
    }

    /// C_CopyObject.
    pub fn copy(
        &mut self,
        life: Life,
        session: SessionId,
        object: Handle,
        changes: &Template,
    ) -> Answer<Handle> {
        let refuse = |rv| Fault::new(Call::Create, rv);
        let thing =
            self.thing(life, session, object, Call::Create, CKR_OBJECT_HANDLE_INVALID)?.clone();
        if thing.template.flag(CKA_COPYABLE) == Some(false) {
            return Err(refuse(CKR_ACTION_PROHIBITED));
        }
        let changes = template::once(changes).map_err(refuse)?;
        template::may_change(&thing.template, &changes, true).map_err(refuse)?;
        let mut shown = thing.template;
        shown.merge(&changes);
        self.put(life, session, shown, thing.secret, Call::Create)
    }

    /// C_FindObjects: every object that a process may see and that matches.
    pub fn find(
        &mut self,
        life: Life,
        session: SessionId,
        wanted: &Template,
    ) -> Answer<Vec<Handle>> {
        self.sitting(life, session, Call::Find)?;
        let user = self.is_user(life);
        let own = |of: u64| self.sittings.get(&of).is_some_and(|sitting| sitting.life == life);
        Ok(self
            .objects
            .iter()
            .filter(|(_, thing)| thing.session.is_none_or(own))
            .filter(|(_, thing)| user || !thing.template.is(CKA_PRIVATE))
            .filter(|(_, thing)| thing.template.matches(wanted))
            .map(|(number, _)| self.handle(*number))
            .collect())
    }

    /// C_GetAttributeValue.
    pub fn read(
        &mut self,
        life: Life,
        session: SessionId,
        object: Handle,
        kinds: &[AttributeType],
    ) -> Answer<Vec<Reading>> {
        let thing = self.thing(life, session, object, Call::Read, CKR_OBJECT_HANDLE_INVALID)?;
        Ok(kinds.iter().map(|kind| reading(thing, *kind)).collect())
    }

    /// C_SetAttributeValue.
    pub fn write(
        &mut self,
        life: Life,
        session: SessionId,
        object: Handle,
        changes: &Template,
    ) -> Answer {
        let refuse = |rv| Fault::new(Call::Write, rv);
        let number = self.number(life, session, object, Call::Write, CKR_OBJECT_HANDLE_INVALID)?;
        let writes = self.sitting(life, session, Call::Write)?.writes;
        let Some(thing) = self.objects.get_mut(&number) else {
            return Err(refuse(CKR_OBJECT_HANDLE_INVALID));
        };
        if thing.session.is_none() && !writes {
            return Err(refuse(CKR_SESSION_READ_ONLY));
        }
        if thing.template.flag(CKA_MODIFIABLE) == Some(false) {
            return Err(refuse(CKR_ACTION_PROHIBITED));
        }
        let changes = template::once(changes).map_err(refuse)?;
        template::may_change(&thing.template, &changes, false).map_err(refuse)?;
        thing.template.merge(&changes);
        self.written += u64::from(thing.session.is_none());
        Ok(())
    }

    /// C_DestroyObject.
    pub fn destroy(&mut self, life: Life, session: SessionId, object: Handle) -> Answer {
        let number =
            self.number(life, session, object, Call::Destroy, CKR_OBJECT_HANDLE_INVALID)?;
        let writes = self.sitting(life, session, Call::Destroy)?.writes;
        let Some(thing) = self.objects.get(&number) else {
            return Err(Fault::new(Call::Destroy, CKR_OBJECT_HANDLE_INVALID));
        };
        if thing.session.is_none() && !writes {
            return Err(Fault::new(Call::Destroy, CKR_SESSION_READ_ONLY));
        }
        if thing.template.flag(CKA_DESTROYABLE) == Some(false) {
            return Err(Fault::new(Call::Destroy, CKR_ACTION_PROHIBITED));
        }
        self.written += u64::from(thing.session.is_none());
        self.objects.remove(&number);
        Ok(())
    }
}

fn reading(thing: &Thing, kind: AttributeType) -> Reading {
    let shown = &thing.template;
    let keyed = matches!(shown.class(), Some(CKO_PRIVATE_KEY | CKO_SECRET_KEY));
    if keyed && matches!(kind, CKA_VALUE | CKA_PRIVATE_EXPONENT) {
        if shown.is(CKA_SENSITIVE) || !shown.is(CKA_EXTRACTABLE) {
            return Reading::Sensitive;
        }
        return Reading::Value(Value::from(thing.secret.as_slice()));
    }
    shown.get(kind).map_or(Reading::Invalid, |value| Reading::Value(value.clone()))
}
