//! Bytes for one write in whole blocks, which stand in memory as they will in the file: what a write past the page
//! cache asks for.

/// What offset, length and place in memory of such a write are multiples of. Disks ask for their sector (512 bytes,
/// or 4096); file systems for their block at most.
pub const BLOCK_BYTES: usize = 4096;

/// Bytes from a block's beginning on.
#[derive(Default)]
pub struct Blocks {
    /// `start` bytes of no meaning, then the content.
    bytes: Vec<u8>,
    start: usize,
}

impl Blocks {
    /// So many zeros.
    pub fn zeros(count: usize) -> Blocks {
        let mut blocks = Blocks::default();
        blocks.begin(&[], count);
        blocks.bytes.resize(blocks.start + count, 0);
        blocks
    }

    /// Empties it, puts in `head`, and makes room for so many bytes in all.
    pub fn begin(&mut self, head: &[u8], room: usize) {
        self.bytes.clear();
        self.bytes.reserve(BLOCK_BYTES + room.max(head.len()));
        self.start = self.misaligned(0);
        self.bytes.resize(self.start, 0);
        self.bytes.extend_from_slice(head);
    }

    /// To append to.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The content, aligned in memory.
    pub fn aligned(&mut self) -> &[u8] {
        // It is somewhere else since it grew.
        if self.misaligned(self.start) != 0 {
            let grown = std::mem::take(&mut self.bytes);
            let content = &grown[self.start..];
            self.begin(content, content.len());
        }
        &self.bytes[self.start..]
    }

    /// The memory that it keeps.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many bytes are missing to a multiple of a block at this index.
    fn misaligned(&self, at: usize) -> usize {
        (self.bytes.as_ptr().addr() + at).wrapping_neg() % BLOCK_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_aligned_however_it_grows() {
        let mut blocks = Blocks::default();
        for (head, more) in [(0, 0), (0, 1), (16, 5000), (4095, 100_000), (1, 3_000_000), (7, 10)] {
            let expected: Vec<u8> = (0..head + more).map(|n| (n % 251) as u8).collect();
            blocks.begin(&expected[..head], 64);
            for byte in &expected[head..] {
                blocks.out().push(*byte);
            }
            assert_eq!(blocks.len(), expected.len());
            assert_eq!(blocks.aligned(), expected);
            assert_eq!(blocks.aligned().as_ptr().addr() % BLOCK_BYTES, 0);
        }
        let mut zeros = Blocks::zeros(10_000);
        assert_eq!(zeros.aligned(), [0; 10_000]);
        assert_eq!(zeros.aligned().as_ptr().addr() % BLOCK_BYTES, 0);
    }
}
