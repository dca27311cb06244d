//! A sequence from a seed: mostly what a program would do, and now and then one thing that is wrong.

use super::call::{Bytes, Call, Change, Flaw, Id, Made, Method, Room, Sort, What};
use crate::work::Work;
use tandem_values::ck::*;

/// Numbers that look random and are the seed's (splitmix64).
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T], otherwise: T) -> T {
        let at = self.below(choices.len());
        choices.get(at).copied().unwrap_or(otherwise)
    }
}

/// The number of no call: a handle that there isn't.
const NOTHING: Id = Id::MAX;

/// A sequence that is being written.
struct Writer {
    random: Random,
    calls: Vec<Call>,
    next: Id,
    sessions: Vec<Id>,
    objects: Vec<(Id, Sort)>,
    outputs: Vec<Id>,
}

/// The sequence of a seed.
pub fn sequence(seed: u64) -> Vec<Call> {
    let mut writer = Writer {
        random: Random(seed),
        calls: Vec::new(),
        next: 0,
        sessions: Vec::new(),
        objects: Vec::new(),
        outputs: Vec::new(),
    };
    let writes = !writer.random.one_in(6);
    writer.open(writes);
    if !writer.random.one_in(8) {
        writer.push(What::Login);
        // Something to work with.
        for _ in 0..=writer.random.below(3) {
            if writer.random.one_in(2) {
                writer.create();
            } else {
                writer.generate();
            }
        }
    }
    let most = 10 + writer.random.below(30);
    while writer.calls.len() < most {
        writer.some();
    }
    writer.calls
}

impl Writer {
    fn push(&mut self, what: What) -> Id {
        let session = self.session();
        let id = self.next;
        // A pair takes two numbers.
        self.next += 2;
        self.calls.push(Call { id, session, what });
        id
    }

    fn open(&mut self, writes: bool) {
        let id = self.push(What::Open { writes });
        self.sessions.push(id);
    }

    fn session(&mut self) -> Id {
        if self.random.one_in(80) { NOTHING } else { self.random.pick(&self.sessions, NOTHING) }
    }

    /// One of these sorts; if there is none yet one is made, most often.
    fn object(&mut self, sorts: &[Sort]) -> Id {
        let fitting: Vec<_> = self
            .objects
            .iter()
            .filter(|(_, sort)| sorts.contains(sort))
            .map(|(id, _)| *id)
            .collect();
        if self.random.one_in(40) {
            return NOTHING;
        }
        if fitting.is_empty() && !sorts.is_empty() && !self.random.one_in(10) {
            let made = self.made(sorts);
            let id = self.push(What::Create { made, flaw: Flaw::None });
            self.objects.push((id, made.sort));
            return id;
        }
        self.random.pick(&fitting, NOTHING)
    }

    fn any_object(&mut self) -> Id {
        self.object(&[Sort::Data, Sort::Certificate, Sort::Aes, Sort::Secret, Sort::Ec])
    }

    fn some(&mut self) {
        match self.random.below(24) {
            0 => {
                let writes = !self.random.one_in(4);
                self.open(writes);
            }
            1 if self.random.one_in(3) => {
                self.push(What::Close);
            }
            2 if self.random.one_in(2) => {
                let what = if self.random.one_in(2) { What::Login } else { What::Logout };
                self.push(what);
            }
            3 => {
                self.push(What::SessionInfo);
            }
            4..=6 => self.create(),
            7 | 8 => self.generate(),
            9 => self.change(),
            10 | 11 => self.read(),
            12 | 13 => self.find(),
            14 => self.wrap(),
            15 => {
                let base = self.object(&[Sort::Aes]);
                let id = self.push(What::Derive { base });
                self.objects.push((id, Sort::Secret));
            }
            16 if self.random.one_in(3) => {
                let len = self.random.pick(&[0, 1, 16, 100], 16);
                self.push(What::Random { len });
            }
            _ => self.operate(),
        }
    }

    fn made(&mut self, sorts: &[Sort]) -> Made {
        Made {
            sort: self.random.pick(sorts, Sort::Data),
            token: self.random.one_in(8),
            private: !self.random.one_in(4),
            sensitive: self.random.one_in(2),
            extractable: !self.random.one_in(3),
            usable: !self.random.one_in(6),
        }
    }

    fn flaw(&mut self) -> Flaw {
        if self.random.one_in(10) {
            self.random.pick(&[Flaw::Missing, Flaw::Value, Flaw::Foreign], Flaw::None)
        } else {
            Flaw::None
        }
    }

    fn create(&mut self) {
        let made = self.made(&[
            Sort::Data,
            Sort::Certificate,
            Sort::Aes,
            Sort::Aes,
            Sort::Secret,
            Sort::Ec,
        ]);
        let flaw = self.flaw();
        let id = self.push(What::Create { made, flaw });
        self.objects.push((id, made.sort));
    }

    fn generate(&mut self) {
        let made = self.made(&[Sort::Aes, Sort::Secret, Sort::Ec]);
        let flaw = self.flaw();
        let id = self.push(What::Generate { made, flaw });
        self.objects.push((id, made.sort));
        if made.sort == Sort::Ec {
            self.objects.push((id + 1, made.sort));
        }
    }

    fn changed(&mut self) -> Change {
        let yes = self.random.one_in(2);
        self.random.pick(
            &[
                Change::Nothing,
                Change::Id,
                Change::Id,
                Change::Sensitive(yes),
                Change::Extractable(yes),
                Change::Sign(yes),
                Change::Encrypt(yes),
                Change::Token(yes),
                Change::Class,
                Change::Value,
            ],
            Change::Id,
        )
    }

    fn change(&mut self) {
        let (object, change) = (self.any_object(), self.changed());
        match self.random.below(3) {
            0 => {
                let id = self.push(What::Copy { from: object, change });
                let sort = self.objects.iter().find(|(known, _)| *known == object);
                let sort = sort.map_or(Sort::Data, |(_, sort)| *sort);
                self.objects.push((id, sort));
            }
            1 => {
                self.push(What::Write { object, change });
            }
            _ => {
                self.push(What::Destroy { object });
            }
        }
    }

    fn read(&mut self) {
        const KINDS: [u64; 28] = [
            CKA_CLASS,
            CKA_TOKEN,
            CKA_PRIVATE,
            CKA_LABEL,
            CKA_ID,
            CKA_KEY_TYPE,
            CKA_SENSITIVE,
            CKA_EXTRACTABLE,
            CKA_ALWAYS_SENSITIVE,
            CKA_NEVER_EXTRACTABLE,
            CKA_LOCAL,
            CKA_MODIFIABLE,
            CKA_ENCRYPT,
            CKA_DECRYPT,
            CKA_SIGN,
            CKA_VERIFY,
            CKA_WRAP,
            CKA_UNWRAP,
            CKA_DERIVE,
            CKA_VALUE_LEN,
            CKA_VALUE,
            CKA_EC_PARAMS,
            CKA_APPLICATION,
            CKA_KEY_GEN_MECHANISM,
            CKA_MODULUS,
            CKA_CERTIFICATE_TYPE,
            CKA_COPYABLE,
            CKA_DESTROYABLE,
        ];
        let object = self.any_object();
        let count = 1 + self.random.below(3);
        let kinds = (0..count).map(|_| self.random.pick(&KINDS, CKA_CLASS)).collect();
        let room = self.random.pick(&[64, 64, 64, 0, 4], 64);
        self.push(What::Read { object, kinds, room });
    }

    fn find(&mut self) {
        let class = self
            .random
            .pick(&[None, Some(CKO_DATA), Some(CKO_SECRET_KEY), Some(CKO_PUBLIC_KEY)], None);
        let token = self.random.pick(&[None, None, Some(true), Some(false)], None);
        self.push(What::FindInit { class, token });
        for _ in 0..self.random.below(3) {
            let most = self.random.pick(&[1, 50, 50], 50);
            self.push(What::Find { most });
        }
        if !self.random.one_in(5) {
            self.push(What::FindFinal);
        }
    }

    fn wrap(&mut self) {
        let (by, key) = (self.object(&[Sort::Aes]), self.object(&[Sort::Aes, Sort::Secret]));
        let out = self.room();
        let id = self.push(What::Wrap { by, key, out });
        if self.random.one_in(2) {
            let data = if self.random.one_in(6) { self.data() } else { Bytes::From(id) };
            let flaw = self.flaw();
            let id = self.push(What::Unwrap { by, data, flaw });
            self.objects.push((id, Sort::Aes));
        }
    }

    fn room(&mut self) -> Room {
        self.random.pick(
            &[Room::For(600), Room::For(600), Room::For(600), Room::Query, Room::For(3)],
            Room::Query,
        )
    }

    fn data(&mut self) -> Bytes {
        let output = self.random.pick(&self.outputs, NOTHING);
        let all = [
            Bytes::Of(0),
            Bytes::Of(1),
            Bytes::Of(16),
            Bytes::Of(32),
            Bytes::Of(32),
            Bytes::Of(45),
            Bytes::Of(160),
            Bytes::From(output),
        ];
        if self.random.one_in(60) { Bytes::Null(16) } else { self.random.pick(&all, Bytes::Of(16)) }
    }

    /// An operation, most often as it should be: begun, fed, ended.
    fn operate(&mut self) {
        let work = self.random.pick(
            &[Work::Encrypt, Work::Decrypt, Work::Digest, Work::Sign, Work::Verify],
            Work::Digest,
        );
        let (method, sorts): (Method, &[Sort]) = match work {
            Work::Digest => {
                (self.random.pick(&[Method::Sha256, Method::Sha512], Method::Sha256), &[])
            }
            Work::Sign | Work::Verify => match self.random.below(3) {
                0 => (
                    self.random.pick(&[Method::Ecdsa, Method::EcdsaSha256], Method::Ecdsa),
                    &[Sort::Ec],
                ),
                _ => (Method::Hmac, &[Sort::Secret]),
            },
            Work::Encrypt | Work::Decrypt => {
                let all = [
                    Method::Ecb,
                    Method::Cbc,
                    Method::CbcPad,
                    Method::CbcPad,
                    Method::Ctr,
                    Method::Gcm,
                ];
                (self.random.pick(&all, Method::Cbc), &[Sort::Aes])
            }
        };
        if !self.random.one_in(20) {
            let method = if self.random.one_in(40) { Method::NoSuch } else { method };
            let key = if self.random.one_in(20) { self.any_object() } else { self.object(sorts) };
            let wrong = self.random.one_in(25);
            self.push(What::Init { work, method, key, wrong });
        }
        let (data, signature) = (self.data(), self.data());
        if self.random.one_in(2) {
            let out = self.room();
            let id = self.push(What::Whole { work, data, out, signature });
            self.outputs.push(id);
            return;
        }
        for _ in 0..self.random.below(3) {
            let (data, out) = (self.data(), self.room());
            self.push(What::Update { work, data, out });
            if work == Work::Digest && self.random.one_in(6) {
                let key = self.object(&[Sort::Secret]);
                self.push(What::DigestKey { key });
            }
        }
        if !self.random.one_in(5) {
            let out = self.room();
            let id = self.push(What::Final { work, out, signature });
            self.outputs.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_makes_the_same_sequence() {
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
        assert!((1..200).all(|seed| sequence(seed).len() >= 10));
    }

    #[test]
    fn what_calls_name_was_made_before_or_never() {
        for seed in 0..100 {
            let calls = sequence(seed);
            for (at, call) in calls.iter().enumerate() {
                let made =
                    |id: Id| id == NOTHING || calls[..at].iter().any(|call| id - id % 2 == call.id);
                assert!(made(call.session), "{call:?}");
            }
        }
    }
}
