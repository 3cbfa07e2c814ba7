//! An input as a run of choices. Where it ends, every choice is the first one.

/// The bytes that are left.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Whether all was used.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte, 0 at the end.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// One of `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        usize::from(self.byte()) % sides
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    /// Up to `count` bytes.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Two bytes as a number.
    pub fn short(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    /// A number as they stand in records: mostly one on an edge.
    pub fn long(&mut self) -> i64 {
        match self.byte() {
            0 => 0,
            1 => -1,
            2 => i64::MAX,
            3 => i64::MIN,
            4 => i64::from(i32::MAX),
            5 => i64::from(i32::MIN),
            6 => 1 << 32,
            7 => 0xffff_ffff,
            8..64 => self.take(8).iter().fold(0, |n, byte| n << 8 | i64::from(*byte)),
            small => i64::from(small) - 64,
        }
    }

    /// The rest in pieces that a byte separates.
    pub fn pieces(self, separator: u8) -> impl Iterator<Item = &'a [u8]> {
        self.0.split(move |byte| *byte == separator)
    }
}
