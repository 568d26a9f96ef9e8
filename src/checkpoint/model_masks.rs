//! The masks of a model in memory, saved to and loaded from a file of masks: [`save_masks`], [`load_masks`].

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use safetensors::{Dtype, View};

use super::Checkpoint;
use super::stream::Chunk;
use super::stream::values::Values;
use super::write::mask_tensor::{MaskTensorError, check_mask_dtype};
use super::write::save_tensors;
use crate::error::{MaskError, Result};
use crate::mask::Mask;
use crate::prunable::suffix::MASK;
use crate::prunable::{MaskAction, MaskChange, Prunable, Pruning};

/// Saves the masks of all pruned parameters of a model: a file of tensors named `NAME_mask`, of booleans.
///
/// It is the file that the command `secateurs masks` writes and `secateurs apply` reads. The file appears whole or not
/// at all, and an existing regular file is replaced.
///
/// ```
/// use ndarray::array;
/// use secateurs::checkpoint::{load_masks, save_masks};
/// use secateurs::{ArrayModel, prune};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("masks.safetensors");
/// let mut model = ArrayModel::new();
/// model.insert("fc.weight", array![[0.1_f32, -3.0], [2.0, -0.2]])?;
/// let mut other = model.clone();
///
/// prune::l1_unstructured(&mut model, "fc.weight", 0.5)?;
/// save_masks(&model, &path)?;
/// assert_eq!(load_masks(&mut other, &path)?, ["fc.weight"]);
/// assert_eq!(prune::mask(&other, "fc.weight")?, prune::mask(&model, "fc.weight")?);
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// Those of the model when its parameters are viewed, and those of [`save_tensors`].
pub fn save_masks<M: Prunable + ?Sized>(model: &M, path: impl AsRef<Path>) -> Result<()> {
    let mut masks = Vec::new();
    for name in model.paths() {
        if let Some(pruning) = model.view(&name)?.pruning() {
            masks.push((format!("{name}{MASK}"), Booleans(pruning.mask().clone())));
        }
    }
    save_tensors(path, masks)
}

/// Loads masks from a file into a model, and returns the paths of the parameters that got one. They replace masks that
/// these parameters have; the others stay as they are.
///
/// The file holds tensors of 0 and 1 named `NAME_mask`, of dtype BOOL, U8 or a floating-point one, and nothing else.
///
/// # Errors
///
/// As [`Checkpoint::open`]; [`MaskTensorError::NotMask`] for a tensor of another name or dtype;
/// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) for the mask of a parameter that the
/// model does not have; [`MaskError::ShapeMismatch`] and [`MaskError::NotBinary`] inside an
/// [`Error::Parameter`](crate::Error::Parameter). After an error, the model is as it was.
pub fn load_masks<M: Prunable + ?Sized>(model: &mut M, path: impl AsRef<Path>) -> Result<Vec<String>> {
    let file = Checkpoint::open(path)?;
    let mut changes = Vec::new();
    let mut entries = Values::default();
    for (number, info) in file.tensors().iter().enumerate() {
        let Some(name) = info.name().strip_suffix(MASK) else {
            return Err(MaskTensorError::NotMask {
                name: info.name().into(),
                reason: "masks are named `NAME_mask`",
            }
            .into());
        };
        check_mask_dtype(info)?;
        let view = model.view(name)?;
        if info.shape() != view.shape() {
            let mismatch = MaskError::ShapeMismatch {
                what: "the mask",
                expected: view.shape().to_vec(),
                got: info.shape().to_vec(),
            };
            return Err(crate::Error::from(mismatch).at(name));
        }
        let path = view.path().to_owned();
        drop(view);
        let mut words = Vec::new();
        if info.entries() > 0 {
            file.read_mask(Chunk::run(number, 0, info.entries()), &mut entries, &mut words)?;
        }
        changes.push(MaskChange {
            path,
            action: MaskAction::Set(Pruning::from_mask(Mask::from_words(info.shape(), words)?)),
        });
    }
    let paths = changes.iter().map(|change| change.path.clone()).collect();
    model.commit(changes)?;
    Ok(paths)
}

/// A mask as a tensor of booleans.
struct Booleans(Arc<Mask>);

impl View for Booleans {
    fn dtype(&self) -> Dtype {
        Dtype::BOOL
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.iter().map(u8::from).collect()
    }

    fn data_len(&self) -> usize {
        self.0.len()
    }
}
