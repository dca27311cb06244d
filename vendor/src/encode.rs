//! Templates as the CK_ATTRIBUTE arrays that a vendor takes (PKCS #11 3.2 section 3.3.1).

use crate::buffer::{Buffer, ulong};
use tandem_values::ck::*;
use tandem_values::{Template, Value};

/// A template in C: the array, and the memory it points into, wiped when dropped.
#[derive(Default)]
pub(crate) struct Attributes {
    array: Vec<CK_ATTRIBUTE>,
    // Both only keep alive what the array points at. Moving the vectors moves no value.
    _values: Vec<Buffer>,
    _nested: Vec<Self>,
}

impl Attributes {
    /// A template in C, attributes in the same order.
    pub(crate) fn new(template: &Template) -> Self {
        let mut array = Vec::with_capacity(template.len());
        let mut values = Vec::with_capacity(template.len());
        let mut nested = Vec::new();
        for attribute in template {
            let mut bytes = match &attribute.value {
                Value::Flag(flag) => Buffer::from_bytes(&[if *flag { CK_TRUE } else { CK_FALSE }]),
                Value::Number(number) => Buffer::from_bytes(&number.to_ne_bytes()),
                Value::Bytes(bytes) => Buffer::from_bytes(bytes),
                Value::Numbers(numbers) => {
                    let bytes: Vec<u8> =
                        numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
                    Buffer::from_bytes(&bytes)
                }
                Value::Template(inner) => {
                    let mut inner = Self::new(inner);
                    array.push(CK_ATTRIBUTE {
                        type_: attribute.kind,
                        pValue: inner.array.as_mut_ptr().cast(),
                        ulValueLen: ulong(size_of_val(inner.array.as_slice())),
                    });
                    nested.push(inner);
                    continue;
                }
            };
            array.push(CK_ATTRIBUTE {
                type_: attribute.kind,
                pValue: bytes.as_mut_ptr().cast(),
                ulValueLen: ulong(bytes.len()),
            });
            values.push(bytes);
        }
        Self { array, _values: values, _nested: nested }
    }

    /// Where the array begins; never null.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut CK_ATTRIBUTE {
        self.array.as_mut_ptr()
    }

    /// How many attributes it has.
    pub(crate) fn count(&self) -> CK_ULONG {
        ulong(self.array.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    /// Reads an encoded template as a vendor would.
    fn read(encoded: &mut Attributes) -> Vec<(CK_ATTRIBUTE_TYPE, Vec<u8>)> {
        // SAFETY: the array is as long as it says, and each value as long as it says.
        unsafe { walk(encoded.as_mut_ptr(), encoded.count()) }
    }

    unsafe fn walk(
        array: *const CK_ATTRIBUTE,
        count: CK_ULONG,
    ) -> Vec<(CK_ATTRIBUTE_TYPE, Vec<u8>)> {
        // SAFETY: the caller's promise.
        let array = unsafe { slice::from_raw_parts(array, crate::buffer::len(count)) };
        array
            .iter()
            .map(|attribute| {
                assert!(!attribute.pValue.is_null());
                assert_eq!(attribute.pValue as usize % 8, 0);
                let len = crate::buffer::len(attribute.ulValueLen);
                // SAFETY: the caller's promise.
                let bytes = unsafe { slice::from_raw_parts(attribute.pValue.cast::<u8>(), len) };
                (attribute.type_, bytes.to_vec())
            })
            .collect()
    }

    #[test]
    fn every_form_is_where_a_vendor_looks_for_it() {
        let template = Template::new()
            .with(CKA_TOKEN, true)
            .with(CKA_CLASS, CKO_SECRET_KEY)
            .with(CKA_LABEL, "a label")
            .with(CKA_ID, Vec::<u8>::new())
            .with(CKA_ALLOWED_MECHANISMS, vec![CKM_AES_ECB, CKM_AES_CBC])
            .with(CKA_PRIVATE, false);
        // Moved after it was made: the values must not move with it.
        let mut encoded = Box::new(Attributes::new(&template));
        let mechanisms: Vec<u8> =
            [CKM_AES_ECB, CKM_AES_CBC].iter().flat_map(|n| n.to_ne_bytes()).collect();
        assert_eq!(
            read(&mut encoded),
            [
                (CKA_TOKEN, vec![1]),
                (CKA_CLASS, CKO_SECRET_KEY.to_ne_bytes().to_vec()),
                (CKA_LABEL, b"a label".to_vec()),
                (CKA_ID, vec![]),
                (CKA_ALLOWED_MECHANISMS, mechanisms),
                (CKA_PRIVATE, vec![0]),
            ]
        );
    }

    #[test]
    fn a_template_in_a_template_is_an_array_of_attributes() {
        let inner = Template::new().with(CKA_SENSITIVE, true).with(CKA_LABEL, "inner");
        let template = Template::new().with(CKA_UNWRAP_TEMPLATE, inner);
        let mut encoded = Attributes::new(&template);
        // SAFETY: one attribute.
        let outer = unsafe { *encoded.as_mut_ptr() };
        assert_eq!(outer.type_, CKA_UNWRAP_TEMPLATE);
        assert_eq!(outer.ulValueLen, 48);
        // SAFETY: the value is an array of two attributes.
        let inner = unsafe { walk(outer.pValue.cast(), 2) };
        assert_eq!(inner, [(CKA_SENSITIVE, vec![1]), (CKA_LABEL, b"inner".to_vec())]);
    }

    #[test]
    fn an_attribute_named_twice_stays_twice() {
        let mut template = Template::new();
        template.push(tandem_values::Attribute::new(CKA_LABEL, "one"));
        template.push(tandem_values::Attribute::new(CKA_LABEL, "two"));
        assert_eq!(read(&mut Attributes::new(&template)).len(), 2);
    }
}
