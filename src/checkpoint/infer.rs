//! Masks read off the zeros of a checkpoint: [`Checkpoint::write_masks`].

use std::path::Path;

use super::Checkpoint;
use super::crew::crew;
use super::draft::Existing;
use super::erase::Tally;
use super::extent::whole;
use super::masking::{MaskedTensor, MaskingReport};
use super::masks::MaskFile;
use super::values::{Float, Values, count, with_floats};
use super::work::Phase;
use crate::error::Result;

/// What a worker has in its hands.
#[derive(Default)]
struct Hands {
    values: Values,
    kept: Vec<u64>,
}

impl Checkpoint {
    /// Writes the masks of tensors that were pruned before, to a safetensors file of its own: of each tensor `name` a
    /// BOOL tensor `name_mask` of its shape, false where the entry is +0.0 or −0.0.
    ///
    /// [`apply_masks`](Self::apply_masks) puts them on another checkpoint, such as one that was trained further.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::UnknownTensor`](crate::error::CheckpointError::UnknownTensor), [`CheckpointError::NotPrunable`](crate::error::CheckpointError::NotPrunable),
    /// [`ListError::ListedTwice`](crate::error::ListError::ListedTwice) and [`ListError::NoParameters`](crate::error::ListError::NoParameters) for
    /// the list; [`CheckpointError::OutputExists`](crate::error::CheckpointError::OutputExists), [`CheckpointError::BadOutput`](crate::error::CheckpointError::BadOutput),
    /// [`Error::Io`](crate::Error::Io), and [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn write_masks(
        &self,
        names: impl IntoIterator<Item: AsRef<str>>,
        path: impl AsRef<Path>,
        existing: Existing,
    ) -> Result<MaskingReport> {
        let tensors = self.numbers(names)?;
        let masks = MaskFile::begin(self, &tensors, path.as_ref(), existing)?;
        let mut tally = vec![Tally::default(); tensors.len()];
        let extents = tensors
            .iter()
            .flat_map(|&tensor| whole(tensor, &self.tensors()[tensor], 64));
        let mut told = self.meter(Phase::Writing, extents.clone());
        crew(
            &mut self.work.hire(extents.clone(), Hands::default),
            extents,
            |extent, hands| {
                self.read_extent(*extent, &mut hands.values)?;
                hands.kept.clear();
                with_floats!(&hands.values, values => not_zero(values, &mut hands.kept), raw => {});
                Ok(())
            },
            |extent, hands| {
                let place = tensors.binary_search(&extent.tensor).expect("it is in the list");
                let zeros = extent.len - count(&hands.kept);
                tally[place].fell += zeros;
                tally[place].zeros += zeros;
                told(*extent);
                Ok(())
            },
            |extent, hands| masks.write(extent, &hands.kept),
        )?;
        self.shards()
            .iter()
            .try_for_each(|shard| shard.check_unchanged())?;
        masks.commit()?;
        let masked = tensors.iter().zip(tally).map(|(&tensor, tally)| {
            let info = &self.tensors()[tensor];
            MaskedTensor::new(info.name(), info, tally)
        });
        Ok(MaskingReport {
            tensors: masked.collect(),
            copied: Vec::new(),
        })
    }
}

/// A bit for each entry, set where it is not zero.
fn not_zero<T: Float>(values: &[T], kept: &mut Vec<u64>) {
    kept.extend(values.chunks(64).map(|block| {
        let bits = block.iter().enumerate();
        bits.fold(0, |word, (i, x)| word | u64::from(*x != T::ZERO) << i)
    }));
}
