//! State dicts in safetensors files, with PyTorch's key names, shapes and dtypes.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use ndarray::{ArcArray, ArrayD, IxDyn};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, View};

use super::state::StateDict;
use crate::error::{CheckpointError, Error, Result};

impl StateDict {
    /// Writes the state dict as a safetensors file of f32 arrays. The file is written beside and renamed into
    /// place, so that a failure leaves what was there.
    ///
    /// ```
    /// use ndarray::array;
    /// use secateurs::nn::StateDict;
    ///
    /// let mut state = StateDict::new();
    /// state.insert("weight", array![[1.0, f32::INFINITY]].into_dyn());
    /// let path = std::env::temp_dir().join(format!("secateurs-doc-{}.safetensors", std::process::id()));
    /// state.save_safetensors(&path)?;
    /// let loaded = StateDict::load_safetensors(&path)?;
    /// assert_eq!(loaded.get("weight"), state.get("weight"));
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written.
    pub fn save_safetensors(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let io = |source| Error::Io {
            action: "read or write",
            path: path.to_owned(),
            error: source,
        };
        let tensors = self.iter().map(|(key, value)| (key, F32(value)));
        let bytes = safetensors::serialize(tensors, None).map_err(|error| {
            Error::Checkpoint(CheckpointError::Format {
                path: path.to_owned(),
                reason: error.to_string(),
            })
        })?;
        let beside = beside(path);
        let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            let _ = fs::remove_file(&beside); // the first failure is the one to tell
        }
        written.map_err(io)
    }

    /// Reads a safetensors file of f32, f16 or bf16 arrays, the narrower ones widened exactly.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read, [`CheckpointError::Format`](crate::error::CheckpointError::Format) if it is no safetensors file,
    /// [`CheckpointError::Dtype`](crate::error::CheckpointError::Dtype) names an array of another type.
    pub fn load_safetensors(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|source| Error::Io {
            action: "read or write",
            path: path.to_owned(),
            error: source,
        })?;
        let format = |reason: String| {
            Error::Checkpoint(CheckpointError::Format {
                path: path.to_owned(),
                reason,
            })
        };
        let file = SafeTensors::deserialize(&bytes).map_err(|error| format(error.to_string()))?;
        let mut state = StateDict::new();
        for (key, view) in file.iter() {
            let array = ArrayD::from_shape_vec(view.shape().to_vec(), entries(key, &view)?);
            state.insert(
                key,
                array.map_err(|error| format(format!("tensor `{key}`: {error}")))?,
            );
        }
        Ok(state)
    }
}

fn entries(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>> {
    let pairs = || view.data().chunks_exact(2).map(|b| [b[0], b[1]]);
    Ok(match view.dtype() {
        Dtype::F32 => view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::F16 => pairs().map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => pairs().map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
        other => {
            return Err(Error::Checkpoint(CheckpointError::Dtype {
                name: name.to_owned(),
                dtype: format!("{other:?}"),
            }));
        }
    })
}

/// A name in the same folder, so that renaming is one step of the file system.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// An array as safetensors wants to see it.
struct F32<'a>(&'a ArcArray<f32, IxDyn>);

impl View for F32<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.0.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    fn data_len(&self) -> usize {
        self.0.len() * size_of::<f32>()
    }
}
