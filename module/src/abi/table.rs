//! Every function of PKCS #11, once: its name, its arguments in order, and the code that serves it.
//!
//! The arguments name kinds of `wire`; `pointer + length: Kind` is one argument of two C parameters. The C signature
//! follows from them and is checked by the compiler against `CK_FUNCTION_LIST*`, whose fields are typed function
//! pointers: a wrong kind or a missing row doesn't compile.

#[rustfmt::skip]
macro_rules! table {
    ($with:ident) => { $with! {
        v2_40 {
            C_Initialize(args: InitArgs) => general::initialize;
            C_Finalize(reserved: Reserved) => general::finalize;
            C_GetInfo(info: Put<CK_INFO>) => general::info;
            C_GetFunctionList(list: Put<*mut CK_FUNCTION_LIST>) => general::function_list;
            C_GetSlotList(present: Present, slots + count: Out<CK_SLOT_ID>) => slot::list;
            C_GetSlotInfo(slot: Slot, info: Put<CK_SLOT_INFO>) => slot::info;
            C_GetTokenInfo(slot: Slot, info: Put<CK_TOKEN_INFO>) => slot::token;
            C_GetMechanismList(slot: Slot, types + count: Out<CK_MECHANISM_TYPE>) => slot::mechanisms;
            C_GetMechanismInfo(slot: Slot, kind: MechanismType, info: Put<CK_MECHANISM_INFO>) => slot::mechanism;
            C_InitToken(slot: Slot, pin + pin_len: Pin, label: Label) => slot::init;
            C_InitPIN(s: Session, pin + pin_len: NewPin) => pin::init;
            C_SetPIN(s: Session, old + old_len: Pin, new + new_len: NewPin) => pin::set;
            C_OpenSession(slot: Slot, flags: Flags, app: Unread<*mut c_void>, notify: Unread<CK_NOTIFY>, s: Put<CK_SESSION_HANDLE>) => session::open;
            C_CloseSession(s: Session) => session::close;
            C_CloseAllSessions(slot: Slot) => session::close_all;
            C_GetSessionInfo(s: Session, info: Put<CK_SESSION_INFO>) => session::info;
            C_GetOperationState(s: Session, state + len: Out) => session::save;
            C_SetOperationState(s: Session, state + len: Other, k1: Object, k2: Object) => session::restore;
            C_Login(s: Session, user: User, pin + pin_len: Pin) => session::login;
            C_Logout(s: Session) => session::logout;
            C_CreateObject(s: Session, t + n: Template, o: Put<CK_OBJECT_HANDLE>) => object::create;
            C_CopyObject(s: Session, from: Object, t + n: Template, o: Put<CK_OBJECT_HANDLE>) => object::copy;
            C_DestroyObject(s: Session, o: Object) => object::destroy;
            C_GetObjectSize(s: Session, o: Object, size: Put<CK_ULONG>) => object::size;
            C_GetAttributeValue(s: Session, o: Object, t + n: Ask) => object::get;
            C_SetAttributeValue(s: Session, o: Object, t + n: Template) => object::set;
            C_FindObjectsInit(s: Session, t + n: Template) => find::init;
            C_FindObjects(s: Session, found + room: Fill<CK_OBJECT_HANDLE>, count: Put<CK_ULONG>) => find::next;
            C_FindObjectsFinal(s: Session) => find::finish;
            C_EncryptInit(s: Session, m: MechanismMaybe, k: Object) => crypto::init[Encrypt];
            C_Encrypt(s: Session, data + n: Data, out + len: Out) => crypto::whole[Encrypt];
            C_EncryptUpdate(s: Session, part + n: Data, out + len: Out) => crypto::part[Encrypt];
            C_EncryptFinal(s: Session, out + len: Out) => crypto::last[Encrypt];
            C_DecryptInit(s: Session, m: MechanismMaybe, k: Object) => crypto::init[Decrypt];
            C_Decrypt(s: Session, data + n: Encrypted, out + len: Out) => crypto::whole[Decrypt];
            C_DecryptUpdate(s: Session, part + n: Encrypted, out + len: Out) => crypto::part[Decrypt];
            C_DecryptFinal(s: Session, out + len: Out) => crypto::last[Decrypt];
            C_DigestInit(s: Session, m: MechanismMaybe) => crypto::init_digest;
            C_Digest(s: Session, data + n: Data, out + len: Out) => crypto::whole[Digest];
            C_DigestUpdate(s: Session, part + n: Data) => crypto::feed[Digest];
            C_DigestKey(s: Session, k: Object) => crypto::feed_key;
            C_DigestFinal(s: Session, out + len: Out) => crypto::last[Digest];
            C_SignInit(s: Session, m: MechanismMaybe, k: Object) => crypto::init[Sign];
            C_Sign(s: Session, data + n: Data, out + len: Out) => crypto::whole[Sign];
            C_SignUpdate(s: Session, part + n: Data) => crypto::feed[Sign];
            C_SignFinal(s: Session, out + len: Out) => crypto::last[Sign];
            C_SignRecoverInit(s: Session, m: MechanismMaybe, k: Object) => crypto::init[SignRecover];
            C_SignRecover(s: Session, data + n: Data, out + len: Out) => crypto::whole[SignRecover];
            C_VerifyInit(s: Session, m: MechanismMaybe, k: Object) => crypto::init[Verify];
            C_Verify(s: Session, data + n: Data, signature + len: Signature) => crypto::check[Verify];
            C_VerifyUpdate(s: Session, part + n: Data) => crypto::feed[Verify];
            C_VerifyFinal(s: Session, signature + len: Signature) => crypto::check_last[Verify];
            C_VerifyRecoverInit(s: Session, m: MechanismMaybe, k: Object) => crypto::init[VerifyRecover];
            C_VerifyRecover(s: Session, data + n: Signature, out + len: Out) => crypto::whole[VerifyRecover];
            C_DigestEncryptUpdate(s: Session, part + n: Data, out + len: Out) => crypto::both[Digest, Encrypt];
            C_DecryptDigestUpdate(s: Session, part + n: Encrypted, out + len: Out) => crypto::both[Decrypt, Digest];
            C_SignEncryptUpdate(s: Session, part + n: Data, out + len: Out) => crypto::both[Sign, Encrypt];
            C_DecryptVerifyUpdate(s: Session, part + n: Encrypted, out + len: Out) => crypto::both[Decrypt, Verify];
            C_GenerateKey(s: Session, m: Mechanism, t + n: Template, k: Put<CK_OBJECT_HANDLE>) => key::generate;
            C_GenerateKeyPair(s: Session, m: Mechanism, t1 + n1: Template, t2 + n2: Template, public: Put<CK_OBJECT_HANDLE>, private: Put<CK_OBJECT_HANDLE>) => key::generate_pair;
            C_WrapKey(s: Session, m: Mechanism, by: Object, k: Object, out + len: Out) => key::wrap;
            C_UnwrapKey(s: Session, m: Mechanism, by: Object, wrapped + len: Wrapped, t + n: Template, k: Put<CK_OBJECT_HANDLE>) => key::unwrap;
            C_DeriveKey(s: Session, m: Mechanism, base: Object, t + n: Template, k: Put<CK_OBJECT_HANDLE>) => key::derive;
            C_SeedRandom(s: Session, seed + len: Other) => random::seed;
            C_GenerateRandom(s: Session, out + len: Fill) => random::fill;
            C_GetFunctionStatus(s: Session) => legacy::not_parallel;
            C_CancelFunction(s: Session) => legacy::not_parallel;
            C_WaitForSlotEvent(flags: Wait, slot: Put<CK_SLOT_ID>, reserved: Reserved) => slot::wait;
        }
        v3_0 {
            C_GetInterfaceList(list + count: Out<CK_INTERFACE>) => general::interfaces;
            C_GetInterface(name: InterfaceName, version: Version, interface: Put<*mut CK_INTERFACE>, flags: Flags) => general::interface;
            C_LoginUser(s: Session, user: User, pin + pin_len: Pin, name + name_len: Other) => session::login_user;
            C_SessionCancel(s: Session, flags: Flags) => session::cancel;
            C_MessageEncryptInit(s: Session, m: MechanismOfMessages, k: Object) => crypto::init[MessageEncrypt];
            C_EncryptMessage(s: Session, p + pn: Param, aad + aad_len: Other, data + n: Data, out + len: Out) => message::whole[MessageEncrypt];
            C_EncryptMessageBegin(s: Session, p + pn: Param, aad + aad_len: Other) => message::begin[MessageEncrypt];
            C_EncryptMessageNext(s: Session, p + pn: Param, part + n: Data, out + len: Out, flags: Flags) => message::next[MessageEncrypt];
            C_MessageEncryptFinal(s: Session) => message::finish[MessageEncrypt];
            C_MessageDecryptInit(s: Session, m: MechanismOfMessages, k: Object) => crypto::init[MessageDecrypt];
            C_DecryptMessage(s: Session, p + pn: Param, aad + aad_len: Other, data + n: Encrypted, out + len: Out) => message::whole[MessageDecrypt];
            C_DecryptMessageBegin(s: Session, p + pn: Param, aad + aad_len: Other) => message::begin[MessageDecrypt];
            C_DecryptMessageNext(s: Session, p + pn: Param, part + n: Encrypted, out + len: Out, flags: Flags) => message::next[MessageDecrypt];
            C_MessageDecryptFinal(s: Session) => message::finish[MessageDecrypt];
            C_MessageSignInit(s: Session, m: MechanismOfMessages, k: Object) => crypto::init[MessageSign];
            C_SignMessage(s: Session, p + pn: Param, data + n: Data, out + len: Out) => message::sign;
            C_SignMessageBegin(s: Session, p + pn: Param) => message::begin_plain[MessageSign];
            C_SignMessageNext(s: Session, p + pn: Param, part + n: Data, out + len: OutMaybe) => message::sign_next;
            C_MessageSignFinal(s: Session) => message::finish[MessageSign];
            C_MessageVerifyInit(s: Session, m: MechanismOfMessages, k: Object) => crypto::init[MessageVerify];
            C_VerifyMessage(s: Session, p + pn: Param, data + n: Data, signature + len: Signature) => message::verify;
            C_VerifyMessageBegin(s: Session, p + pn: Param) => message::begin_plain[MessageVerify];
            C_VerifyMessageNext(s: Session, p + pn: Param, part + n: Data, signature + len: SignatureMaybe) => message::verify_next;
            C_MessageVerifyFinal(s: Session) => message::finish[MessageVerify];
        }
        v3_2 {
            C_EncapsulateKey(s: Session, m: Mechanism, public: Object, t + n: Template, out + len: Out, k: Put<CK_OBJECT_HANDLE>) => key::encapsulate;
            C_DecapsulateKey(s: Session, m: Mechanism, private: Object, t + n: Template, data + len: Encrypted, k: Put<CK_OBJECT_HANDLE>) => key::decapsulate;
            C_VerifySignatureInit(s: Session, m: MechanismMaybe, k: Object, signature + len: Signature) => crypto::init_verify;
            C_VerifySignature(s: Session, data + n: Data) => crypto::check_whole;
            C_VerifySignatureUpdate(s: Session, part + n: Data) => crypto::feed[VerifySignature];
            C_VerifySignatureFinal(s: Session) => crypto::check_end;
            C_GetSessionValidationFlags(s: Session, kind: Number, flags: Put<CK_FLAGS>) => session::validation;
            C_AsyncComplete(s: Session, name: Unread<*mut CK_UTF8CHAR>, result: Put<CK_ASYNC_DATA>) => legacy::async_complete;
            C_AsyncGetID(s: Session, name: Unread<*mut CK_UTF8CHAR>, id: Put<CK_ULONG>) => legacy::async_id;
            C_AsyncJoin(s: Session, name: Unread<*mut CK_UTF8CHAR>, id: Number, data + len: Fill) => legacy::async_join;
            C_WrapKeyAuthenticated(s: Session, m: MechanismWithMessage, by: Object, k: Object, aad + aad_len: Other, out + len: Out) => key::wrap_authenticated;
            C_UnwrapKeyAuthenticated(s: Session, m: MechanismWithMessage, by: Object, wrapped + len: Wrapped, t + n: Template, aad + aad_len: Other, k: Put<CK_OBJECT_HANDLE>) => key::unwrap_authenticated;
        }
    }};
}
pub(crate) use table;
