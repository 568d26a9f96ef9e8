//! State dicts in safetensors files, with PyTorch's key names and shapes.

use std::borrow::Cow;
use std::path::Path;

use half::{bf16, f16};
use ndarray::{ArcArray, ArrayD, IxDyn};
use safetensors::View;

use super::state::StateDict;
use crate::checkpoint::format::{Shard, TensorInfo};
use crate::checkpoint::pack::check_unpacked;
use crate::checkpoint::{Dtype, save_tensors};
use crate::error::{CheckpointError, Error, Result};

impl StateDict {
    /// Writes the state dict as a safetensors file of f32 arrays, in the order of its keys, like
    /// `safetensors.torch.save_file`.
    ///
    /// The file is written under another name and renamed when it is complete. A failure leaves the existing file as
    /// it was. If two threads or processes save to one path at once, one of the files remains, complete.
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
    /// [`CheckpointError::ReservedName`] for a key called `__metadata__`, [`OutputError`](crate::error::OutputError)
    /// where the path cannot be replaced, and [`Error::Io`] if the file cannot be written.
    pub fn save_safetensors(&self, path: impl AsRef<Path>) -> Result<()> {
        save_tensors(path, self.iter().map(|(key, value)| (key, Floats(value))))
    }

    /// Reads a safetensors file, like `safetensors.torch.load_file`. Keys are in the order of their data in the file.
    ///
    /// A state dict holds f32. Narrower floats, integers and booleans are converted if that is exact. An f64 is
    /// rounded to the nearest f32, as PyTorch does when it copies one into a parameter.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`CheckpointError::NotCheckpoint`] and [`CheckpointError::Damaged`]
    /// if it is not a safetensors file, or its contents do not match its header; [`CheckpointError::InexactInteger`]
    /// and [`CheckpointError::NotLoadable`] name an array that cannot be held as f32;
    /// [`PackError::PackedAlready`](crate::error::PackError::PackedAlready) for a packed file, which has to be unpacked
    /// first.
    pub fn load_safetensors(path: impl AsRef<Path>) -> Result<Self> {
        let shard = Shard::open(path.as_ref())?;
        check_unpacked(&shard)?;
        let mut state = StateDict::new();
        for info in shard.tensors(0) {
            let mut bytes = vec![0; info.bytes() as usize];
            shard.read_at(&mut bytes, info.begin)?;
            let array = ArrayD::from_shape_vec(info.shape().to_vec(), entries(&info, &bytes)?);
            let array = array.expect("the header was checked: as many entries as the shape needs");
            state.insert(info.name(), array);
        }
        Ok(state)
    }
}

/// An array as a tensor of a file.
struct Floats<'a>(&'a ArcArray<f32, IxDyn>);

impl View for Floats<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        self.0.len() * size_of::<f32>()
    }
}

/// The entries of a tensor as f32.
fn entries(info: &TensorInfo, bytes: &[u8]) -> Result<Vec<f32>> {
    macro_rules! floats {
        ($type:ty, $to:expr) => {{
            let entries = bytes.as_chunks().0.iter();
            Ok(entries.map(|b| $to(<$type>::from_le_bytes(*b))).collect())
        }};
    }
    macro_rules! integers {
        ($type:ty) => {{
            let entries = bytes.as_chunks().0.iter().enumerate();
            entries
                .map(|(index, b)| integer(info, index, <$type>::from_le_bytes(*b).into()))
                .collect()
        }};
    }
    match info.dtype() {
        Dtype::F64 => floats!(f64, |x| x as f32),
        Dtype::F32 => floats!(f32, |x| x),
        Dtype::F16 => floats!(f16, f16::to_f32),
        Dtype::BF16 => floats!(bf16, bf16::to_f32),
        Dtype::BOOL | Dtype::U8 => integers!(u8),
        Dtype::I8 => integers!(i8),
        Dtype::I16 => integers!(i16),
        Dtype::U16 => integers!(u16),
        Dtype::I32 => integers!(i32),
        Dtype::U32 => integers!(u32),
        Dtype::I64 => integers!(i64),
        Dtype::U64 => integers!(u64),
        other => Err(Error::Checkpoint(CheckpointError::NotLoadable {
            name: info.name().to_owned(),
            dtype: other.to_string(),
        })),
    }
}

/// An integer as f32, if an f32 of the same value exists.
fn integer(info: &TensorInfo, index: usize, value: i128) -> Result<f32> {
    let float = value as f32;
    if float as i128 == value {
        return Ok(float);
    }
    Err(Error::Checkpoint(CheckpointError::InexactInteger {
        name: info.name().to_owned(),
        dtype: info.dtype().to_string(),
        index,
        value,
    }))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::checkpoint::Existing;
    use crate::checkpoint::format::layout::{Layout, Planned};
    use crate::checkpoint::{Checkpoint, Zeros};

    fn file(tensors: &[(&str, Dtype, &[u8])]) -> (tempfile::TempDir, std::path::PathBuf) {
        let planned: Vec<_> = tensors
            .iter()
            .map(|(name, dtype, bytes)| Planned {
                name: (*name).to_owned(),
                dtype: *dtype,
                shape: vec![bytes.len() * 8 / dtype.bitsize()],
            })
            .collect();
        let mut bytes = Layout::new(&planned, &BTreeMap::new()).unwrap().header;
        bytes.extend(tensors.iter().flat_map(|tensor| tensor.2));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn keys_come_in_the_order_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        let mut state = StateDict::new();
        let names = ["z", "b.weight", "a", "b.bias", "q", "c", "y", "d"];
        for (i, name) in names.into_iter().enumerate() {
            state.insert(name, array![i as f32].into_dyn());
        }
        state.save_safetensors(&path).unwrap();
        for _ in 0..5 {
            let loaded = StateDict::load_safetensors(&path).unwrap();
            assert!(loaded.iter().map(|(key, _)| key).eq(names));
            assert_eq!(loaded.get("q"), state.get("q"));
        }
    }

    #[test]
    fn integers_load_where_f32_has_an_equal() {
        let steps = 7_i64.to_le_bytes();
        let (_folder, path) = file(&[
            ("bn.num_batches_tracked", Dtype::I64, &steps),
            ("flags", Dtype::BOOL, &[0, 1]),
            ("low", Dtype::I32, &i32::MIN.to_le_bytes()),
        ]);
        let state = StateDict::load_safetensors(&path).unwrap();
        assert_eq!(
            state.get("bn.num_batches_tracked").unwrap(),
            array![7.0].into_dyn()
        );
        assert_eq!(state.get("flags").unwrap(), array![0.0, 1.0].into_dyn());
        assert_eq!(state.get("low").unwrap(), array![-(2.0_f32.powi(31))].into_dyn());

        let odd = [0_u64.to_le_bytes(), ((1_u64 << 24) + 1).to_le_bytes()].concat();
        let (_folder, path) = file(&[("counter", Dtype::U64, &odd)]);
        let error = StateDict::load_safetensors(&path).unwrap_err();
        assert!(
            matches!(
                &error,
                Error::Checkpoint(CheckpointError::InexactInteger { name, index: 1, value: 16_777_217, .. }) if name == "counter"
            ),
            "{error}"
        );
        let (_folder, path) = file(&[("w", Dtype::F8_E4M3, &[1])]);
        let error = StateDict::load_safetensors(&path).unwrap_err();
        assert!(error.to_string().contains("`w` has dtype F8_E4M3"), "{error}");
    }

    #[test]
    fn a_packed_file_has_to_be_unpacked_first() {
        let folder = tempfile::tempdir().unwrap();
        let [path, packed] = ["state", "packed"].map(|name| folder.path().join(name));
        let mut state = StateDict::new();
        state.insert("w", array![0.0, 1.0, 0.0, 0.0].into_dyn());
        state.save_safetensors(&path).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        checkpoint.pack(&packed, Existing::Refuse, Zeros::Exact).unwrap();
        let error = StateDict::load_safetensors(&packed).unwrap_err().to_string();
        assert!(error.contains("is packed already; unpack it first"), "{error}");
    }

    #[test]
    fn f64_are_rounded_to_the_nearest_f32() {
        let (_folder, path) = file(&[("w", Dtype::F64, &0.1_f64.to_le_bytes())]);
        let state = StateDict::load_safetensors(&path).unwrap();
        assert_eq!(state.get("w").unwrap(), array![0.1_f32].into_dyn());
    }

    #[test]
    fn a_reserved_name_is_refused_and_a_damaged_file_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        let mut state = StateDict::new();
        state.insert("__metadata__", array![1.0].into_dyn());
        let error = state.save_safetensors(&path).unwrap_err();
        assert!(
            matches!(error, Error::Checkpoint(CheckpointError::ReservedName { .. })),
            "{error}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::write(&path, [9, 0, 0]).unwrap();
        let error = StateDict::load_safetensors(&path).unwrap_err();
        assert!(
            matches!(error, Error::Checkpoint(CheckpointError::Damaged { .. })),
            "{error}"
        );
    }

    #[test]
    fn threads_that_save_to_one_path_do_not_collide() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        let mut state = StateDict::new();
                        state.insert("w", ndarray::Array::from_elem(1000, thread as f32).into_dyn());
                        state.save_safetensors(path).unwrap();
                    }
                });
            }
        });
        let state = StateDict::load_safetensors(&path).unwrap();
        let first = state.get("w").unwrap()[[0]];
        assert!(state.get("w").unwrap().iter().all(|x| *x == first));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
