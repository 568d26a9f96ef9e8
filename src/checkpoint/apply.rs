//! Masks of a file put on a checkpoint: [`Checkpoint::apply_masks`].

use std::path::Path;

use super::draft::{Draft, Existing, check_apart};
use super::files::{Copied, Files, join};
use super::given::{SUFFIX, check_mask};
use super::masking::{MaskedTensor, MaskingReport};
use super::overlay::{Masked, Overlay};
use super::{Checkpoint, Shard};
use crate::error::{CheckpointError, Error, Result};

impl Checkpoint {
    /// Writes a new checkpoint in which the entries that masks do not keep are +0.0 (S10), and everything else is as
    /// it is, byte for byte.
    ///
    /// `masks` holds tensors of 0 and 1 named `NAME_mask`, each of the shape of the tensor `NAME` of this checkpoint,
    /// and nothing else: what [`Pruning::with_masks`](super::Pruning::with_masks) and
    /// [`write_masks`](Self::write_masks) write. Their dtype is BOOL, U8 or a floating-point one. Tensors without a
    /// mask stay as they are.
    ///
    /// ```
    /// use secateurs::checkpoint::{Checkpoint, Dtype, Existing};
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let write = |name: &str, tensor: &str, dtype, bytes: &[u8]| {
    /// #     let view = safetensors::tensor::TensorView::new(dtype, vec![1, 4], bytes).unwrap();
    /// #     let path = folder.path().join(name);
    /// #     safetensors::serialize_to_file([(tensor, view)], None, &path).unwrap();
    /// #     path
    /// # };
    /// # let bytes: Vec<u8> = [1_f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    /// # let model = write("model.safetensors", "fc.weight", Dtype::F32, &bytes);
    /// # let masks = write("masks.safetensors", "fc.weight_mask", Dtype::BOOL, &[1, 0, 0, 1]);
    /// # let output = folder.path().join("pruned.safetensors");
    /// let masks = Checkpoint::open(masks)?;
    /// let report = Checkpoint::open(model)?.apply_masks(&masks, output, Existing::Refuse)?;
    /// assert_eq!((report.masked(), report.entries()), (2, 4));
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NoMasks`](crate::error::CheckpointError::NoMasks) where there are none; [`CheckpointError::NotMask`](crate::error::CheckpointError::NotMask) for a tensor of another name or dtype, or whose
    /// tensor this checkpoint does not hold; [`CheckpointError::NotPrunable`](crate::error::CheckpointError::NotPrunable); [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) and
    /// [`MaskError::NotBinary`](crate::error::MaskError::NotBinary), inside an [`Error::Parameter`] that names the tensor; [`CheckpointError::OutputExists`](crate::error::CheckpointError::OutputExists),
    /// [`CheckpointError::BadOutput`](crate::error::CheckpointError::BadOutput) where the output would be the input or the masks, [`Error::Io`], and
    /// [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn apply_masks(
        &self,
        masks: &Checkpoint,
        path: impl AsRef<Path>,
        existing: Existing,
    ) -> Result<MaskingReport> {
        let path = path.as_ref();
        check_apart(masks, path, self.is_folder())?;
        let draft = Draft::begin(self, path, self.is_folder(), existing)?;
        let overlay = Overlay {
            tensors: self,
            masks,
            pairs: self.masked_by(masks)?,
        };
        let headers = self.shards().iter().map(Shard::header_bytes);
        let headers = headers.collect::<Result<Vec<_>>>()?;
        let shards = headers.iter().zip(self.shards());
        let outputs: Vec<_> = shards
            .map(|(header, shard)| Some((&header[..], shard.bytes())))
            .collect();
        let files = Files::begin(self, draft, &outputs)?;
        let of_mask = |number: &usize| {
            overlay
                .pairs
                .binary_search_by_key(number, |pair| pair.tensor)
                .is_ok()
        };
        let stay = (0..self.tensors().len()).filter(|number| !of_mask(number));
        let copied = stay.map(|number| {
            let info = &self.tensors()[number];
            Copied {
                shard: info.shard,
                from: info.begin,
                to: info.begin,
                len: info.bytes(),
            }
        });
        let total = self.shards().iter().map(Shard::bytes).sum();
        let tallies = overlay.write(&files, &join(copied.collect()), total)?;
        masks.shards().iter().try_for_each(Shard::check_unchanged)?;
        let copied = files.finish(None, |_| Ok(()))?;
        let masked = overlay.pairs.iter().zip(tallies).map(|(pair, tally)| {
            let info = &self.tensors()[pair.tensor];
            MaskedTensor::new(info.name(), info, tally)
        });
        Ok(MaskingReport {
            tensors: masked.collect(),
            copied,
        })
    }

    /// The tensors that masks are for, and their masks, in the order of the tensors.
    fn masked_by(&self, masks: &Checkpoint) -> Result<Vec<Masked>> {
        let mut pairs = Vec::new();
        for (number, mask) in masks.tensors().iter().enumerate() {
            let not_mask = |reason| {
                Error::Checkpoint(CheckpointError::NotMask {
                    name: mask.name().to_owned(),
                    reason,
                })
            };
            let Some(name) = mask.name().strip_suffix(SUFFIX) else {
                return Err(not_mask("masks are named `NAME_mask`"));
            };
            let Ok(tensor) = self.number(name) else {
                return Err(not_mask(
                    "the checkpoint holds no tensor that it could be the mask of",
                ));
            };
            let info = &self.tensors()[tensor];
            if !info.is_float() {
                return Err(Error::Checkpoint(CheckpointError::NotPrunable {
                    name: name.into(),
                    dtype: info.dtype().to_string(),
                }));
            }
            check_mask(mask, info)?;
            let begin = info.begin;
            pairs.push(Masked {
                tensor,
                mask: number,
                begin,
            });
        }
        if pairs.is_empty() {
            return Err(Error::Checkpoint(CheckpointError::NoMasks {
                path: masks.path().to_owned(),
            }));
        }
        pairs.sort_by_key(|pair| pair.tensor);
        Ok(pairs)
    }
}
