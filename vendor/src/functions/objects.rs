//! Objects and keys (PKCS #11 3.2 sections 5.7 and 5.18).

use super::{Functions, Sink, handle, have, input};
use crate::buffer::{len, ulong};
use crate::encode::Attributes;
use crate::parameter::CMechanism;
use crate::read::Ask;
use std::ptr;
use tandem_values::ck::*;
use tandem_values::template::Pair;
use tandem_values::{Rv, rv::Result};

type Session = CK_SESSION_HANDLE;
type Object = CK_OBJECT_HANDLE;

impl Functions {
    /// C_CreateObject.
    pub(crate) fn create(&self, session: Session, template: &mut Attributes) -> Result<Object> {
        let function = have(self.list.C_CreateObject)?;
        let mut made = CK_INVALID_HANDLE;
        // SAFETY: the template has that many attributes, and the answer a place to go.
        Rv::check(unsafe {
            function(session, template.as_mut_ptr(), template.count(), &raw mut made)
        })?;
        handle(made)
    }

    /// C_CopyObject.
    pub(crate) fn copy(
        &self,
        session: Session,
        object: Object,
        template: &mut Attributes,
    ) -> Result<Object> {
        let function = have(self.list.C_CopyObject)?;
        let mut made = CK_INVALID_HANDLE;
        // SAFETY: the template has that many attributes, and the answer a place to go.
        Rv::check(unsafe {
            function(session, object, template.as_mut_ptr(), template.count(), &raw mut made)
        })?;
        handle(made)
    }

    /// C_DestroyObject.
    pub(crate) fn destroy(&self, session: Session, object: Object) -> Result {
        let function = have(self.list.C_DestroyObject)?;
        // SAFETY: no pointers.
        Rv::check(unsafe { function(session, object) })
    }

    /// C_GetObjectSize, in bytes.
    pub(crate) fn size(&self, session: Session, object: Object) -> Result<CK_ULONG> {
        let function = have(self.list.C_GetObjectSize)?;
        let mut bytes = 0;
        // SAFETY: the answer has a place to go.
        Rv::check(unsafe { function(session, object, &raw mut bytes) })?;
        Ok(bytes)
    }

    /// C_GetAttributeValue. Several of its errors leave answers behind for the other attributes.
    pub(crate) fn read(&self, session: Session, object: Object, ask: &mut Ask) -> Result {
        let function = have(self.list.C_GetAttributeValue)?;
        let (array, count) = ask.array();
        // SAFETY: the array has that many attributes, each with a null pointer or room of its length.
        Rv::check(unsafe { function(session, object, array, count) })
    }

    /// C_SetAttributeValue.
    pub(crate) fn write(
        &self,
        session: Session,
        object: Object,
        template: &mut Attributes,
    ) -> Result {
        let function = have(self.list.C_SetAttributeValue)?;
        // SAFETY: the template has that many attributes.
        Rv::check(unsafe { function(session, object, template.as_mut_ptr(), template.count()) })
    }

    /// C_FindObjectsInit.
    pub(crate) fn find_init(&self, session: Session, template: &mut Attributes) -> Result {
        let function = have(self.list.C_FindObjectsInit)?;
        // SAFETY: the template has that many attributes.
        Rv::check(unsafe { function(session, template.as_mut_ptr(), template.count()) })
    }

    /// C_FindObjects: how many were found, at most as many as there is room for.
    pub(crate) fn find(&self, session: Session, found: &mut [Object]) -> Result<usize> {
        let function = have(self.list.C_FindObjects)?;
        let mut count = 0;
        // SAFETY: there is room for so many handles, and for their number.
        Rv::check(unsafe {
            function(session, found.as_mut_ptr(), ulong(found.len()), &raw mut count)
        })?;
        if len(count) > found.len() { Err(Rv(CKR_GENERAL_ERROR)) } else { Ok(len(count)) }
    }

    /// C_FindObjectsFinal.
    pub(crate) fn find_final(&self, session: Session) -> Result {
        let function = have(self.list.C_FindObjectsFinal)?;
        // SAFETY: no pointers.
        Rv::check(unsafe { function(session) })
    }

    /// C_GenerateKey.
    pub(crate) fn generate(
        &self,
        session: Session,
        mechanism: &mut CMechanism,
        template: &mut Attributes,
    ) -> Result<Object> {
        let function = have(self.list.C_GenerateKey)?;
        let mut made = CK_INVALID_HANDLE;
        let (array, count) = (template.as_mut_ptr(), template.count());
        // SAFETY: the mechanism is whole, the template has that many attributes, the answer a place to go.
        Rv::check(unsafe {
            function(session, mechanism.as_mut_ptr(), array, count, &raw mut made)
        })?;
        handle(made)
    }

    /// C_GenerateKeyPair.
    pub(crate) fn generate_pair(
        &self,
        session: Session,
        mechanism: &mut CMechanism,
        public: &mut Attributes,
        private: &mut Attributes,
    ) -> Result<Pair> {
        let function = have(self.list.C_GenerateKeyPair)?;
        let mut pair = Pair { public: CK_INVALID_HANDLE, private: CK_INVALID_HANDLE };
        // SAFETY: the mechanism is whole, the templates have so many attributes, the answers a place to go.
        Rv::check(unsafe {
            function(
                session,
                mechanism.as_mut_ptr(),
                public.as_mut_ptr(),
                public.count(),
                private.as_mut_ptr(),
                private.count(),
                &raw mut pair.public,
                &raw mut pair.private,
            )
        })?;
        Ok(Pair { public: handle(pair.public)?, private: handle(pair.private)? })
    }

    /// C_WrapKey.
    pub(crate) fn wrap(
        &self,
        session: Session,
        mechanism: &mut CMechanism,
        by: Object,
        key: Object,
        out: &mut Sink<'_>,
    ) -> Result {
        let function = have(self.list.C_WrapKey)?;
        let (pointer, len) = out.parts();
        // SAFETY: the mechanism is whole, and there is room for `len` bytes or none.
        Rv::check(unsafe { function(session, mechanism.as_mut_ptr(), by, key, pointer, len) })
    }

    /// C_UnwrapKey.
    pub(crate) fn unwrap(
        &self,
        session: Session,
        mechanism: &mut CMechanism,
        by: Object,
        wrapped: &[u8],
        template: &mut Attributes,
    ) -> Result<Object> {
        let function = have(self.list.C_UnwrapKey)?;
        let mut made = CK_INVALID_HANDLE;
        // SAFETY: the mechanism is whole, input and template are as long as they say, the answer has a place.
        Rv::check(unsafe {
            function(
                session,
                mechanism.as_mut_ptr(),
                by,
                input(wrapped),
                ulong(wrapped.len()),
                template.as_mut_ptr(),
                template.count(),
                &raw mut made,
            )
        })?;
        handle(made)
    }

    /// C_DeriveKey. Some mechanisms (CKM_SSL3_KEY_AND_MAC_DERIVE) answer in their parameter; none of those is
    /// carried, so a handle is always due.
    pub(crate) fn derive(
        &self,
        session: Session,
        mechanism: &mut CMechanism,
        base: Object,
        template: &mut Attributes,
    ) -> Result<Object> {
        let function = have(self.list.C_DeriveKey)?;
        let mut made = CK_INVALID_HANDLE;
        let (array, count) = (template.as_mut_ptr(), template.count());
        // SAFETY: the mechanism is whole, the template has that many attributes, the answer a place to go.
        Rv::check(unsafe {
            function(session, mechanism.as_mut_ptr(), base, array, count, &raw mut made)
        })?;
        handle(made)
    }

    /// C_EncapsulateKey. The handle means something only if there was room.
    pub(crate) fn encapsulate(
        &self,
        session: Session,
        mechanism: &mut CMechanism,
        public: Object,
        template: &mut Attributes,
        out: &mut Sink<'_>,
    ) -> Result<Object> {
        let function = have(self.list.C_EncapsulateKey)?;
        let mut made = CK_INVALID_HANDLE;
        let (array, count) = (template.as_mut_ptr(), template.count());
        let (pointer, len) = out.parts();
        // SAFETY: the mechanism is whole, the template has that many attributes, there is room for `len` bytes or none, the answer
        // has a place.
        Rv::check(unsafe {
            function(
                session,
                mechanism.as_mut_ptr(),
                public,
                array,
                count,
                pointer,
                len,
                &raw mut made,
            )
        })?;
        Ok(made)
    }

    /// C_DecapsulateKey.
    pub(crate) fn decapsulate(
        &self,
        session: Session,
        mechanism: &mut CMechanism,
        private: Object,
        ciphertext: &[u8],
        template: &mut Attributes,
    ) -> Result<Object> {
        let function = have(self.list.C_DecapsulateKey)?;
        let mut made = CK_INVALID_HANDLE;
        // SAFETY: the mechanism is whole, input and template are as long as they say, the answer has a place.
        Rv::check(unsafe {
            function(
                session,
                mechanism.as_mut_ptr(),
                private,
                template.as_mut_ptr(),
                template.count(),
                input(ciphertext),
                ulong(ciphertext.len()),
                &raw mut made,
            )
        })?;
        handle(made)
    }

    /// C_DigestKey.
    pub(crate) fn digest_key(&self, session: Session, key: Object) -> Result {
        let function = have(self.list.C_DigestKey)?;
        // SAFETY: no pointers.
        Rv::check(unsafe { function(session, key) })
    }

    /// C_…Init with a null mechanism: ends an operation since PKCS #11 3.0 (section 5.6.8).
    pub(super) fn null_mechanism() -> *mut CK_MECHANISM {
        ptr::null_mut()
    }
}
