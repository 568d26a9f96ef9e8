//! [`Ranks`]: what the entries of a tensor are ranked by.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::checkpoint::Checkpoint;
use crate::checkpoint::extent::Extent;
use crate::checkpoint::values::{Values, with_floats};
use crate::error::Result;
use crate::mask::normalize::normalized;
use crate::mask::random;

/// What the entries of one tensor are ranked by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::checkpoint) enum Ranks {
    /// The entries themselves.
    Values,
    /// Their share of the norm of the tensor.
    Shares { norm: f64 },
    /// The random stream of this key.
    Lots([u8; 32]),
}

impl Ranks {
    /// The stream of one tensor, by its place in the list of pruned tensors (S18).
    pub fn lots(seed: u64, place: usize) -> Self {
        Ranks::Lots(random::stream_key(seed, place as u64, 0))
    }

    /// What the entries of a chunk rank by: the entries, or what is put into `ranked`.
    pub fn of<'a>(&self, extent: Extent, values: &'a Values, ranked: &'a mut Values) -> &'a Values {
        match *self {
            Ranks::Values => values,
            Ranks::Shares { norm } => {
                let shares = ranked.doubles();
                with_floats!(values, values => {
                    shares.extend(values.iter().map(|x| normalized(num_traits::AsPrimitive::as_(*x), norm)));
                }, raw => {});
                ranked
            }
            Ranks::Lots(key) => {
                let lots = ranked.doubles();
                extent
                    .each_run()
                    .for_each(|(_, run)| draw(key, run.first, run.len, lots));
                ranked
            }
        }
    }
}

/// Appends the words of a stream from number `first` on, as floats, which hold 32 bits exactly: so the one selection
/// serves here too.
pub(super) fn draw(key: [u8; 32], first: usize, count: usize, lots: &mut Vec<f64>) {
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_word_pos(first as u128);
    lots.extend((0..count).map(|_| f64::from(rng.next_u32())));
}

impl Checkpoint {
    /// Reads a chunk, where there is anything in it to rank by.
    pub(super) fn read_to_rank(&self, ranks: &Ranks, extent: Extent, values: &mut Values) -> Result<()> {
        match ranks {
            Ranks::Lots(_) => Ok(()),
            Ranks::Values | Ranks::Shares { .. } => self.read_extent(extent, values),
        }
    }
}
