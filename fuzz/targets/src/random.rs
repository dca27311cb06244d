//! Numbers that look random and are a seed's (splitmix64), or a fuzzer's bytes.

/// A source of them.
pub struct Random<'a>(Source<'a>);

enum Source<'a> {
    Seed(u64),
    Bytes(&'a [u8]),
}

impl<'a> Random<'a> {
    /// As many as are wanted.
    pub const fn seeded(seed: u64) -> Self {
        Self(Source::Seed(seed))
    }

    /// What these bytes say, and zeroes after them. Small numbers take one byte each, so that a byte that is changed changes one
    /// choice and the others stay.
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self(Source::Bytes(bytes))
    }

    /// True if nothing is left to draw from.
    pub const fn is_spent(&self) -> bool {
        matches!(self.0, Source::Bytes([]))
    }

    /// The bytes that nobody has drawn; none of a seed.
    pub const fn rest(&self) -> &'a [u8] {
        match self.0 {
            Source::Bytes(bytes) => bytes,
            Source::Seed(_) => &[],
        }
    }

    /// A number of so many bytes.
    fn draw(&mut self, width: usize) -> u64 {
        match &mut self.0 {
            Source::Seed(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                scramble(*state)
            }
            Source::Bytes(bytes) => {
                let (drawn, rest) = bytes.split_at(width.min(bytes.len()));
                *bytes = rest;
                drawn.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
            }
        }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.draw(8)
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.draw(1).to_le_bytes()[0]
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        let width = match end {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 8,
        };
        usize::try_from(self.draw(width) % end as u64).expect("less than `end`")
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of some things.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// So many bytes. Of a fuzzer's bytes they take two, whatever their number: what they are matters less than what is done
    /// with them.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut of = Self::seeded(self.draw(2));
        (0..len).map(|_| of.byte()).collect()
    }
}

/// What a state of splitmix64 puts out.
const fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
