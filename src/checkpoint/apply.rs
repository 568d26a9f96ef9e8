//! Applying the masks of a file to a checkpoint: [`Checkpoint::apply_masks`].

use std::path::Path;

use super::report::{MaskedTensor, MaskingReport};
use super::write::mask_tensor::{MaskTensorError, check_mask};
use super::write::masked::{MaskedTensors, Pair};
use super::write::{NewFiles, OutputPlan};
use super::{Checkpoint, Existing};
use crate::error::{CheckpointError, Error, Result};
use crate::prunable::suffix::MASK;

impl Checkpoint {
    /// Writes a new checkpoint in which the entries that masks do not keep are +0.0, and everything else is copied
    /// byte for byte.
    ///
    /// `masks` holds tensors of 0 and 1 named `NAME_mask`, each of the shape of the tensor `NAME` of this checkpoint,
    /// and nothing else: what [`PruneJob::with_masks`](super::PruneJob::with_masks) and
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
    /// [`MaskTensorError::NoMasks`](crate::error::MaskTensorError::NoMasks) where there are none; [`MaskTensorError::NotMask`](crate::error::MaskTensorError::NotMask) for a tensor of another name or dtype, or whose
    /// tensor this checkpoint does not hold; [`CheckpointError::NotPrunable`](crate::error::CheckpointError::NotPrunable); [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) and
    /// [`MaskError::NotBinary`](crate::error::MaskError::NotBinary), inside an [`Error::Parameter`] that names the tensor; [`OutputError`](crate::error::OutputError) where the output
    /// exists, or would be, replace or lie inside an input, [`Error::Io`], and
    /// [`CheckpointError::ChangedMeanwhile`](crate::error::CheckpointError::ChangedMeanwhile).
    pub fn apply_masks(
        &self,
        masks: &Checkpoint,
        path: impl AsRef<Path>,
        existing: Existing,
    ) -> Result<MaskingReport> {
        let mut files = NewFiles::stage(self, path.as_ref(), existing, Some(masks))?;
        let masked = MaskedTensors {
            tensors: self,
            masks,
            pairs: self.masked_by(masks)?,
        };
        let written: Vec<usize> = masked.pairs.iter().map(|pair| pair.tensor).collect();
        let plan = OutputPlan::same_layout(self, &written);
        files.create(&plan)?;
        let counts = masked.write(&files, &plan)?;
        masks.check_unchanged()?;
        let copied = files.finish(&plan, None, |_| Ok(()))?;
        let tensors = written.iter().zip(counts).map(|(&tensor, counts)| {
            let info = &self.tensors()[tensor];
            MaskedTensor::new(info.name(), info, counts)
        });
        Ok(MaskingReport {
            tensors: tensors.collect(),
            copied,
        })
    }

    /// The tensors that masks are for, and their masks, in the order of the tensors.
    fn masked_by(&self, masks: &Checkpoint) -> Result<Vec<Pair>> {
        let mut pairs = Vec::new();
        for (number, mask) in masks.tensors().iter().enumerate() {
            let not_mask = |reason| {
                let name = mask.name().to_owned();
                Error::from(MaskTensorError::NotMask { name, reason })
            };
            let Some(name) = mask.name().strip_suffix(MASK) else {
                return Err(not_mask("masks are named `NAME_mask`"));
            };
            let Some(tensor) = self.lookup(name) else {
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
            pairs.push(Pair {
                tensor,
                mask: number,
                begin,
            });
        }
        if pairs.is_empty() {
            return Err(MaskTensorError::NoMasks {
                path: masks.path().to_owned(),
            }
            .into());
        }
        pairs.sort_by_key(|pair| pair.tensor);
        Ok(pairs)
    }
}
