//! [`Checksums`]: CRC-32 of whole tensors, from chunks that are summed in any order.

use std::collections::BTreeMap;

use crc32fast::Hasher;

/// The checksums of the chunks that one worker saw.
#[derive(Default)]
pub(super) struct Checksums(BTreeMap<(usize, u64), Hasher>);

impl Checksums {
    /// Adds a chunk of a tensor, which begins at this entry or byte.
    pub fn add(&mut self, tensor: usize, first: u64, bytes: &[u8]) {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        self.0.insert((tensor, first), hasher);
    }

    /// The checksums of this number of tensors, each chunk of which was seen once. The checksum of no bytes is 0.
    pub fn of_tensors(workers: impl IntoIterator<Item = Checksums>, tensors: usize) -> Vec<u32> {
        let mut chunks = BTreeMap::new();
        for Checksums(mut seen) in workers {
            chunks.append(&mut seen);
        }
        let mut whole = vec![Hasher::new(); tensors];
        for ((tensor, _), hasher) in chunks {
            whole[tensor].combine(&hasher);
        }
        whole.into_iter().map(Hasher::finalize).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_add_up_to_the_checksum_of_the_whole() {
        let bytes: Vec<u8> = (0..1000_u32).map(|i| (i * i % 251) as u8).collect();
        let mut workers = [Checksums::default(), Checksums::default()];
        for first in [600, 0, 300, 900] {
            let chunk = &bytes[first..(first + 300).min(1000)];
            workers[first / 300 % 2].add(1, first as u64, chunk);
        }
        let sums = Checksums::of_tensors(workers, 3);
        assert_eq!(sums, [0, crc32fast::hash(&bytes), 0]);
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926); // the check value of CRC-32
    }
}
