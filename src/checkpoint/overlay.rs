//! [`Overlay`]: tensors written anew under the masks that belong to them.

use super::Checkpoint;
use super::erase::Tally;
use super::extent::{Extent, whole};
use super::files::{Copied, Desk, Files, Piece};
use super::values::{Values, count, select, with_floats};
use crate::error::Result;

/// Tensors of a checkpoint, and their masks, which may be in another one.
pub(super) struct Overlay<'a> {
    pub tensors: &'a Checkpoint,
    pub masks: &'a Checkpoint,
    /// In the order of the tensors.
    pub pairs: Vec<Masked>,
}

/// A tensor and its mask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Masked {
    /// Number of the tensor.
    pub tensor: usize,
    /// Number of the mask.
    pub mask: usize,
    /// Where the tensor begins in the new file.
    pub begin: u64,
}

/// What a worker has of its own.
#[derive(Default)]
struct Hands {
    values: Values,
    mask: Values,
    kept: Vec<u64>,
    tally: Tally,
}

impl Overlay<'_> {
    /// Writes the tensors, with +0.0 where their masks are 0 (S10), and what is only copied; says what was counted of
    /// each tensor.
    pub fn write(&self, files: &Files<'_>, copied: &[Copied], total: u64) -> Result<Vec<Tally>> {
        let place = |extent: &Extent| {
            let found = self
                .pairs
                .binary_search_by_key(&extent.tensor, |pair| pair.tensor);
            found.expect("only tensors with masks are masked")
        };
        let infos = self.tensors.tensors();
        let jobs = self
            .pairs
            .iter()
            .flat_map(|pair| whole(pair.tensor, &infos[pair.tensor], 64));
        let mut tallies = vec![Tally::default(); self.pairs.len()];
        files.run(
            copied,
            jobs,
            total,
            |extent, desk: &mut Desk<Hands>| {
                let pair = &self.pairs[place(extent)];
                desk.bytes = self.tensors.bytes_of(*extent);
                let Hands {
                    values,
                    mask,
                    kept,
                    tally,
                } = &mut desk.own;
                let of_mask = Extent::run(pair.mask, extent.first, extent.len);
                self.masks.read_mask(of_mask, mask, kept)?;
                self.tensors.read_extent(*extent, values)?;
                *tally = Tally {
                    fell: extent.len - count(kept),
                    zeros: with_floats!(values, values => select(values, kept), raw => 0),
                };
                Ok(())
            },
            |extent, desk| {
                let tally = &mut tallies[place(extent)];
                tally.fell += desk.own.tally.fell;
                tally.zeros += desk.own.tally.zeros;
                Ok(())
            },
            |extent, desk| {
                let info = &infos[extent.tensor];
                desk.pieces.push(Piece {
                    shard: info.shard,
                    position: self.pairs[place(extent)].begin
                        + (extent.first * info.dtype().bitsize() / 8) as u64,
                    bytes: desk.own.values.stored().to_vec(),
                });
                Ok(())
            },
        )?;
        Ok(tallies)
    }
}
