//! Tandem's own attributes (`pkcs11-headers/tandem-pkcs11.h`).

use crate::AttributeType;
use cryptoki_sys::CKA_VENDOR_DEFINED;

const BASE: AttributeType = CKA_VENDOR_DEFINED | 0x1444_0000;

/// CK_BBOOL: a committed backup covers this object.
pub const CKA_TANDEM_BACKED_UP: AttributeType = BASE | 1;
/// RFC 3339 time in UTF-8 of the backup's commit; empty if not backed up.
pub const CKA_TANDEM_BACKED_UP_AT: AttributeType = BASE | 2;
/// The backup's name in UTF-8; empty if not backed up.
pub const CKA_TANDEM_BACKUP_ID: AttributeType = BASE | 3;
/// RFC 3339 time in UTF-8 at which the object was made.
pub const CKA_TANDEM_CREATED_AT: AttributeType = BASE | 4;
/// 16 bytes, UUID v7: the object's identity on every host and site.
pub const CKA_TANDEM_OBJECT_ID: AttributeType = BASE | 5;
/// CK_ULONG: members on which this object is proven.
pub const CKA_TANDEM_REPLICAS: AttributeType = BASE | 6;

/// True for an attribute that only Tandem may set.
pub const fn is_tandem(kind: AttributeType) -> bool {
    matches!(kind, CKA_TANDEM_BACKED_UP..=CKA_TANDEM_REPLICAS)
}
