/* tandem-pkcs11.h: Tandem's own attributes, for C programs. Include it after pkcs11.h.
 *
 * All of them are read with C_GetAttributeValue and work in the template of C_FindObjectsInit; none can be set: a template
 * that tries answers CKR_ATTRIBUTE_READ_ONLY. Other modules answer CKR_ATTRIBUTE_TYPE_INVALID for them.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef TANDEM_PKCS11_H
#define TANDEM_PKCS11_H

/* Clear of CKF_ARRAY_ATTRIBUTE (0x40000000): no value is an array of attributes. */
#define CKA_TANDEM_BASE (CKA_VENDOR_DEFINED | 0x14440000UL)

/* CK_BBOOL: a committed backup covers this object. */
#define CKA_TANDEM_BACKED_UP (CKA_TANDEM_BASE | 1UL)

/* RFC 3339 time in UTF-8, of that backup's commit; empty if the object is not backed up. */
#define CKA_TANDEM_BACKED_UP_AT (CKA_TANDEM_BASE | 2UL)

/* UTF-8: the name of that backup; empty if the object is not backed up. */
#define CKA_TANDEM_BACKUP_ID (CKA_TANDEM_BASE | 3UL)

/* RFC 3339 time in UTF-8, at which the object was made. */
#define CKA_TANDEM_CREATED_AT (CKA_TANDEM_BASE | 4UL)

/* 16 bytes, a UUID v7: the object's identity on every host and site. */
#define CKA_TANDEM_OBJECT_ID (CKA_TANDEM_BASE | 5UL)

/* CK_ULONG: the number of members on which this object is proven. */
#define CKA_TANDEM_REPLICAS (CKA_TANDEM_BASE | 6UL)

#endif /* TANDEM_PKCS11_H */
