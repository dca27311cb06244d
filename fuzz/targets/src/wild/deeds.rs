//! The calls: each would be right, were it not for what `arena` makes of its arguments.

use super::arena::{Arena, Shape};
use super::play::Play;
use crate::scene::P256;
use std::ptr;
use tandem::abi::*;
use tandem_values::ck::*;
use tandem_values::mechanism::message_layout;

const AES: usize = 0;
const SECRET: usize = 1;
const PUBLIC: usize = 2;
const PRIVATE: usize = 3;
const DATA: usize = 4;

/// One deed of the application, of one call or a few.
pub fn one(play: &mut Play<'_>) {
    match play.random.below(100) {
        0..14 => find(play),
        14..30 => read(play),
        30..36 => write(play),
        36..42 => create(play),
        42..46 => copy(play),
        46..50 => generate(play),
        50..52 => generate_pair(play),
        52..62 => sign(play),
        62..68 => verify(play),
        68..78 => encrypt(play),
        78..82 => digest(play),
        82..86 => wrap(play),
        86..88 => derive(play),
        88..91 => random(play),
        91..94 => message(play),
        94..96 => two_at_once(play),
        _ => about(play),
    }
    play.arena.clear();
    // Whatever was left open, the session works on.
    // SAFETY: no pointers.
    let rv = unsafe { C_SessionCancel(play.session, u64::MAX) };
    if play.hear("C_SessionCancel", rv) != CKR_OK {
        play.log_in();
    }
}

/// Room for output: none, some, or nowhere to tell its length.
struct Out {
    buffer: *mut u8,
    len: *mut u64,
    room: u64,
}

impl Out {
    fn new(play: &mut Play<'_>) -> Self {
        let room = play.random.pick(&[0, 1, 15, 16, 20, 32, 64, 71, 72, 256, 5000]);
        let claimed = if play.random.one_in(6) { play.random.below(room + 1) } else { room } as u64;
        let mut out = Self {
            buffer: play.arena.place(&mut play.random, &vec![0; room]),
            len: play.arena.number(&mut play.random, claimed),
            room: claimed,
        };
        match play.random.below(12) {
            0..3 => out.buffer = ptr::null_mut(),
            3 => out.len = ptr::null_mut(),
            _ => {}
        }
        out
    }

    /// What the module says of the length fits the room.
    fn check(&self, rv: CK_RV) {
        if self.len.is_null() || self.buffer.is_null() {
            return;
        }
        let told = Arena::read(self.len);
        assert!(rv != CKR_OK || told <= self.room, "{told} bytes in {}", self.room);
        assert!(rv != CKR_BUFFER_TOO_SMALL || told > self.room, "{told} fit in {}", self.room);
    }
}

/// Data: some, none, or a length that no memory has.
fn data(play: &mut Play<'_>) -> (*mut u8, u64) {
    let len = play.random.pick(&[0, 1, 15, 16, 32, 33, 64, 4096]);
    let bytes = play.random.bytes(len);
    let place = play.arena.place(&mut play.random, &bytes);
    match play.random.below(40) {
        0 => (ptr::null_mut(), len as u64),
        1 => (place, play.random.pick(&[u64::MAX, 1 << 40, (1 << 30) + 1])),
        _ => (place, len as u64),
    }
}

fn template(play: &mut Play<'_>, base: &[(u64, Shape)]) -> (*mut CK_ATTRIBUTE, u64) {
    play.arena.template(&mut play.random, base)
}

fn mechanism(play: &mut Play<'_>, kind: u64, good: &[u8]) -> *mut CK_MECHANISM {
    play.arena.mechanism(&mut play.random, kind, good)
}

/// Where a handle or a count goes, or nowhere.
fn place(play: &mut Play<'_>) -> *mut u64 {
    let place = play.arena.number(&mut play.random, 0);
    if play.random.one_in(60) { ptr::null_mut() } else { place }
}

/// Calls a function and notes its answer.
macro_rules! call {
    ($play:ident, $function:ident($($argument:expr),*)) => {{
        // SAFETY: every pointer is null or leads to what its length says, or to nothing that a module may read.
        let rv = unsafe { $function($($argument),*) };
        $play.note(stringify!($function), rv)
    }};
}

fn find(play: &mut Play<'_>) {
    let class = play.random.pick(&[CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY, CKO_DATA]);
    let base = [(CKA_CLASS, class.into()), (CKA_TOKEN, false.into()), (CKA_ID, "id".into())];
    let (asked, _) = base.split_at(play.random.below(4));
    let (rows, count) = template(play, asked);
    let session = play.session();
    call!(play, C_FindObjectsInit(session, rows, count));
    for _ in 0..play.random.below(3) {
        let room = play.random.below(20);
        let found = play.arena.place(&mut play.random, &vec![0; room * 8]).cast();
        let found = if play.random.one_in(20) { ptr::null_mut() } else { found };
        let told = place(play);
        let rv = call!(play, C_FindObjects(session, found, room as u64, told));
        assert!(rv != CKR_OK || Arena::read(told) <= room as u64);
    }
    if play.random.one_in(2) {
        call!(play, C_FindObjectsFinal(session));
    }
}

fn read(play: &mut Play<'_>) {
    let which = play.random.below(5);
    let object = play.object(which);
    let (rows, count) = play.arena.questions(&mut play.random);
    let session = play.session();
    call!(play, C_GetAttributeValue(session, object, rows, count));
}

fn write(play: &mut Play<'_>) {
    let (rows, count) = template(play, &[(CKA_LABEL, "new".into()), (CKA_ID, "id".into())]);
    let object = play.object(DATA);
    let session = play.session();
    call!(play, C_SetAttributeValue(session, object, rows, count));
}

fn create(play: &mut Play<'_>) {
    let data: &[(u64, Shape)] = &[
        (CKA_CLASS, CKO_DATA.into()),
        (CKA_LABEL, "data".into()),
        (CKA_VALUE, "value".into()),
        (CKA_APPLICATION, "mutations".into()),
    ];
    let secret: &[(u64, Shape)] = &[
        (CKA_CLASS, CKO_SECRET_KEY.into()),
        (CKA_KEY_TYPE, CKK_AES.into()),
        (CKA_VALUE, (&[1u8; 16][..]).into()),
        (CKA_ENCRYPT, true.into()),
    ];
    let certificate: &[(u64, Shape)] = &[
        (CKA_CLASS, CKO_CERTIFICATE.into()),
        (CKA_CERTIFICATE_TYPE, CKC_X_509.into()),
        (CKA_SUBJECT, "subject".into()),
        (CKA_VALUE, "certificate".into()),
    ];
    let base = play.random.pick(&[data, secret, certificate]);
    let (rows, count) = template(play, base);
    let (session, handle) = (play.session(), place(play));
    let rv = call!(play, C_CreateObject(session, rows, count, handle));
    keep(play, rv, handle);
}

fn keep(play: &mut Play<'_>, rv: CK_RV, handle: *mut u64) {
    if rv == CKR_OK {
        play.keep(rv, Arena::read(handle));
    }
}

fn copy(play: &mut Play<'_>) {
    let which = play.random.below(5);
    let from = play.object(which);
    let (rows, count) = template(play, &[(CKA_LABEL, "copy".into())]);
    let (session, handle) = (play.session(), place(play));
    let rv = call!(play, C_CopyObject(session, from, rows, count, handle));
    keep(play, rv, handle);
    let (size, object) = (place(play), play.object(which));
    call!(play, C_GetObjectSize(session, object, size));
}

fn generate(play: &mut Play<'_>) {
    let base: [(u64, Shape); 4] = [
        (CKA_VALUE_LEN, 32.into()),
        (CKA_TOKEN, false.into()),
        (CKA_LABEL, "made".into()),
        (CKA_SIGN, true.into()),
    ];
    let (rows, count) = template(play, &base);
    let kind = play.random.pick(&[CKM_AES_KEY_GEN, CKM_GENERIC_SECRET_KEY_GEN]);
    let m = mechanism(play, kind, &[]);
    let (session, handle) = (play.session(), place(play));
    let rv = call!(play, C_GenerateKey(session, m, rows, count, handle));
    keep(play, rv, handle);
}

fn generate_pair(play: &mut Play<'_>) {
    let public: [(u64, Shape); 2] = [(CKA_EC_PARAMS, P256.into()), (CKA_VERIFY, true.into())];
    let private: [(u64, Shape); 2] = [(CKA_SIGN, true.into()), (CKA_ID, "id".into())];
    let (rows, count) = template(play, &public);
    let (others, other_count) = template(play, &private);
    let m = mechanism(play, CKM_EC_KEY_PAIR_GEN, &[]);
    let (session, first, second) = (play.session(), place(play), place(play));
    let rv =
        call!(play, C_GenerateKeyPair(session, m, rows, count, others, other_count, first, second));
    keep(play, rv, first);
    keep(play, rv, second);
}

fn sign(play: &mut Play<'_>) {
    let (kind, key) = play.random.pick(&[(CKM_ECDSA, PRIVATE), (CKM_SHA256_HMAC, SECRET)]);
    let (m, key, session) = (mechanism(play, kind, &[]), play.object(key), play.session());
    call!(play, C_SignInit(session, m, key));
    if play.random.one_in(3) {
        let (part, len) = data(play);
        call!(play, C_SignUpdate(session, part, len));
    }
    for _ in 0..play.random.below(3) {
        let ((part, len), out) = (data(play), Out::new(play));
        let rv = if play.random.one_in(2) {
            call!(play, C_Sign(session, part, len, out.buffer, out.len))
        } else {
            call!(play, C_SignFinal(session, out.buffer, out.len))
        };
        out.check(rv);
    }
}

fn verify(play: &mut Play<'_>) {
    let (kind, key) = play.random.pick(&[(CKM_ECDSA, PUBLIC), (CKM_SHA256_HMAC, SECRET)]);
    let (m, key, session) = (mechanism(play, kind, &[]), play.object(key), play.session());
    let ((part, len), (signature, signature_len)) = (data(play), data(play));
    if play.random.one_in(4) {
        call!(play, C_VerifySignatureInit(session, m, key, signature, signature_len));
        call!(play, C_VerifySignature(session, part, len));
        return;
    }
    call!(play, C_VerifyInit(session, m, key));
    if play.random.one_in(2) {
        call!(play, C_VerifyUpdate(session, part, len));
        call!(play, C_VerifyFinal(session, signature, signature_len));
    } else {
        call!(play, C_Verify(session, part, len, signature, signature_len));
    }
}

fn encrypt(play: &mut Play<'_>) {
    let kind = play.random.pick(&[CKM_AES_CBC_PAD, CKM_AES_CBC, CKM_AES_ECB, CKM_AES_GCM]);
    let iv: &[u8] = if kind == CKM_AES_ECB { &[] } else { &[9; 16] };
    let (m, key, session) = (mechanism(play, kind, iv), play.object(AES), play.session());
    let decrypts = play.random.one_in(2);
    if decrypts {
        call!(play, C_DecryptInit(session, m, key));
    } else {
        call!(play, C_EncryptInit(session, m, key));
    }
    for _ in 0..play.random.below(4) {
        let ((part, len), out) = (data(play), Out::new(play));
        let rv = match (decrypts, play.random.below(3)) {
            (true, 0) => call!(play, C_Decrypt(session, part, len, out.buffer, out.len)),
            (true, 1) => call!(play, C_DecryptUpdate(session, part, len, out.buffer, out.len)),
            (true, _) => call!(play, C_DecryptFinal(session, out.buffer, out.len)),
            (false, 0) => call!(play, C_Encrypt(session, part, len, out.buffer, out.len)),
            (false, 1) => call!(play, C_EncryptUpdate(session, part, len, out.buffer, out.len)),
            (false, _) => call!(play, C_EncryptFinal(session, out.buffer, out.len)),
        };
        out.check(rv);
    }
}

fn digest(play: &mut Play<'_>) {
    let (m, session) = (mechanism(play, CKM_SHA256, &[]), play.session());
    call!(play, C_DigestInit(session, m));
    if play.random.one_in(2) {
        let (part, len) = data(play);
        call!(play, C_DigestUpdate(session, part, len));
        let key = play.object(SECRET);
        call!(play, C_DigestKey(session, key));
    }
    let ((part, len), out) = (data(play), Out::new(play));
    let rv = if play.random.one_in(2) {
        call!(play, C_Digest(session, part, len, out.buffer, out.len))
    } else {
        call!(play, C_DigestFinal(session, out.buffer, out.len))
    };
    out.check(rv);
}

fn wrap(play: &mut Play<'_>) {
    let m = mechanism(play, CKM_AES_KEY_WRAP_PAD, &[]);
    let (by, key, session) = (play.object(AES), play.object(SECRET), play.session());
    let out = Out::new(play);
    let rv = call!(play, C_WrapKey(session, m, by, key, out.buffer, out.len));
    out.check(rv);
    let base: [(u64, Shape); 3] = [
        (CKA_CLASS, CKO_SECRET_KEY.into()),
        (CKA_KEY_TYPE, CKK_GENERIC_SECRET.into()),
        (CKA_TOKEN, false.into()),
    ];
    let ((rows, count), handle) = (template(play, &base), place(play));
    let wrapped = rv == CKR_OK && !out.buffer.is_null();
    let (bytes, len) = if wrapped { (out.buffer, Arena::read(out.len)) } else { data(play) };
    let rv = call!(play, C_UnwrapKey(session, m, by, bytes, len, rows, count, handle));
    keep(play, rv, handle);
}

fn derive(play: &mut Play<'_>) {
    let base: [(u64, Shape); 3] = [
        (CKA_CLASS, CKO_SECRET_KEY.into()),
        (CKA_KEY_TYPE, CKK_GENERIC_SECRET.into()),
        (CKA_VALUE_LEN, 32.into()),
    ];
    let ((rows, count), handle) = (template(play, &base), place(play));
    let kind = play.random.pick(&[CKM_ECDH1_DERIVE, CKM_AES_ECB_ENCRYPT_DATA]);
    let key = if kind == CKM_ECDH1_DERIVE { PRIVATE } else { AES };
    let (m, key, session) = (mechanism(play, kind, &[]), play.object(key), play.session());
    let rv = call!(play, C_DeriveKey(session, m, key, rows, count, handle));
    keep(play, rv, handle);
}

fn random(play: &mut Play<'_>) {
    let len = play.random.pick(&[0, 1, 20, 4096, 100_000]);
    let room = play.arena.place(&mut play.random, &vec![0; len]);
    let session = play.session();
    match play.random.below(8) {
        0 => call!(play, C_GenerateRandom(session, ptr::null_mut(), len as u64)),
        1 => call!(play, C_GenerateRandom(session, room, u64::MAX)),
        2 => call!(play, C_SeedRandom(session, room, len as u64)),
        _ => call!(play, C_GenerateRandom(session, room, len as u64)),
    };
}

fn message(play: &mut Play<'_>) {
    let (m, key, session) = (mechanism(play, CKM_AES_GCM, &[]), play.object(AES), play.session());
    call!(play, C_MessageEncryptInit(session, m, key));
    let fields = message_layout(CKM_AES_GCM).unwrap();
    let parameter = play.arena.structure(&mut play.random, fields);
    let len = if play.random.one_in(4) { play.random.number() } else { parameter.len() as u64 };
    let parameter = play.arena.place(&mut play.random, &parameter).cast();
    let ((aad, aad_len), (part, part_len)) = (data(play), data(play));
    let out = Out::new(play);
    let rv = call!(
        play,
        C_EncryptMessage(
            session, parameter, len, aad, aad_len, part, part_len, out.buffer, out.len
        )
    );
    out.check(rv);
    call!(play, C_SignMessageNext(session, parameter, len, part, part_len, out.buffer, out.len));
    call!(play, C_VerifyMessageNext(session, parameter, len, part, part_len, aad, aad_len));
    call!(play, C_MessageEncryptFinal(session));
}

fn two_at_once(play: &mut Play<'_>) {
    let (digest, session) = (mechanism(play, CKM_SHA256, &[]), play.session());
    let (cipher, key) = (mechanism(play, CKM_AES_CBC, &[9; 16]), play.object(AES));
    call!(play, C_DigestInit(session, digest));
    call!(play, C_EncryptInit(session, cipher, key));
    let ((part, len), out) = (data(play), Out::new(play));
    let rv = call!(play, C_DigestEncryptUpdate(session, part, len, out.buffer, out.len));
    out.check(rv);
    call!(play, C_SignEncryptUpdate(session, part, len, out.buffer, out.len));
}

/// What an application asks of the module, of slots and sessions, with wrong numbers and nowhere to answer.
fn about(play: &mut Play<'_>) {
    let slot = play.random.pick(&[0, 0, 0, 1, u64::MAX]);
    let room = play.arena.place(&mut play.random, &[0; size_of::<CK_TOKEN_INFO>()]);
    let room = if play.random.one_in(10) { ptr::null_mut() } else { room };
    let session = play.session();
    let (out, number) = (Out::new(play), place(play));
    let (state, state_len) = data(play);
    match play.random.below(13) {
        0 => call!(play, C_GetTokenInfo(slot, room.cast())),
        1 => call!(play, C_GetSlotInfo(slot, room.cast())),
        2 => call!(play, C_GetInfo(room.cast())),
        3 => call!(play, C_GetSessionInfo(session, room.cast())),
        4 => call!(play, C_GetSlotList(CK_TRUE, out.buffer.cast(), counted(&out))),
        5 => call!(play, C_GetMechanismList(slot, out.buffer.cast(), counted(&out))),
        6 => call!(play, C_GetMechanismInfo(slot, play.random.number() % 0x2500, room.cast())),
        7 => call!(play, C_SetOperationState(session, state, state_len, 0, 0)),
        8 => call!(play, C_GetOperationState(session, out.buffer, out.len)),
        9 => call!(play, C_Login(session, CKU_USER, ptr::null_mut(), 6)),
        10 => call!(play, C_InitPIN(session, state, state_len)),
        11 => call!(play, C_AsyncJoin(session, ptr::null_mut(), 0, out.buffer, out.room)),
        _ => {
            let flags = play.random.number();
            let rv = call!(play, C_OpenSession(slot, flags, ptr::null_mut(), None, number));
            if rv == CKR_OK { call!(play, C_CloseSession(Arena::read(number))) } else { rv }
        }
    };
}

/// The length of a room in numbers, which are eight bytes each.
fn counted(out: &Out) -> *mut u64 {
    if !out.len.is_null() {
        // SAFETY: made by `Out::new`.
        unsafe { out.len.write_unaligned(out.room / 8) };
    }
    out.len
}
