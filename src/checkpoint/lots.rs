//! The random keys of entries and channels (S18), as a stream.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The key of the stream of one tensor, by its place in the list of pruned tensors: the mask layer's own definition,
/// for update 0. A test holds the two together.
pub(super) fn stream_key(seed: u64, place: usize) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(place as u64).to_le_bytes());
    key[24..].copy_from_slice(b"secateur");
    key
}

/// The stream of one tensor: unit i ranks by word i.
pub(super) struct Lots(ChaCha8Rng);

impl Lots {
    pub fn new(key: [u8; 32]) -> Self {
        Lots(ChaCha8Rng::from_seed(key))
    }

    /// The ranks of the next `count` units, as floats, which hold 32 bits exactly: so the one selection serves here too.
    pub fn ranks(&mut self, count: usize, ranks: &mut Vec<f64>) {
        ranks.clear();
        ranks.extend((0..count).map(|_| f64::from(self.0.next_u32())));
    }
}
