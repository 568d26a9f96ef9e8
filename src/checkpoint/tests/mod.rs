//! Tests of checkpoints, on files that they make themselves.

mod agreement;
mod bad_inputs;
mod differences;
mod distributed;
mod inspection;
mod masking;
mod mutations;
mod outputs;
mod packing;
mod progress;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

use super::Checkpoint;
use super::format::layout::{Layout, Planned};

/// A tensor to be put in a file, and what it should read as.
#[derive(Clone, Debug)]
struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    fn new(name: &str, dtype: Dtype, shape: &[usize], values: impl Fn(usize) -> f64) -> Self {
        let len = shape.iter().product();
        let bytes = (0..len).map(values).flat_map(|x| match dtype {
            Dtype::F16 => f16::from_f64(x).to_le_bytes().to_vec(),
            Dtype::BF16 => bf16::from_f64(x).to_le_bytes().to_vec(),
            Dtype::F32 => (x as f32).to_le_bytes().to_vec(),
            Dtype::F64 => x.to_le_bytes().to_vec(),
            Dtype::U8 | Dtype::BOOL => vec![x as u8],
            other => panic!("no test needs {other:?}"),
        });
        Tensor {
            name: name.into(),
            dtype,
            shape: shape.into(),
            bytes: bytes.collect(),
        }
    }

    /// The entries, widened exactly.
    fn values(&self) -> ArrayD<f64> {
        ArrayD::from_shape_vec(IxDyn(&self.shape), widen(self.dtype, &self.bytes)).unwrap()
    }
}

fn widen(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    let pairs = || bytes.as_chunks().0.iter();
    match dtype {
        Dtype::F16 => pairs().map(|b| f16::from_le_bytes(*b).to_f64()).collect(),
        Dtype::BF16 => pairs().map(|b| bf16::from_le_bytes(*b).to_f64()).collect(),
        Dtype::F32 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b).into())
            .collect(),
        Dtype::F64 => bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b))
            .collect(),
        other => panic!("no test needs {other:?}"),
    }
}

/// A file of these tensors, in this order.
fn file(tensors: &[Tensor]) -> Vec<u8> {
    file_with(tensors, &[("format", "pt")])
}

/// A file of these tensors, in this order, with these metadata.
fn file_with(tensors: &[Tensor], metadata: &[(&str, &str)]) -> Vec<u8> {
    let planned: Vec<_> = tensors
        .iter()
        .map(|tensor| Planned {
            name: tensor.name.clone(),
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
        })
        .collect();
    let metadata = metadata
        .iter()
        .map(|(key, text)| (key.to_string(), text.to_string()))
        .collect();
    let mut bytes = Layout::new(&planned, &metadata).unwrap().header;
    bytes.extend(tensors.iter().flat_map(|tensor| &tensor.bytes));
    bytes
}

/// A folder of shards with an index, and other files.
fn sharded(folder: &Path, shards: &[&[Tensor]]) -> PathBuf {
    let path = folder.join("model");
    fs::create_dir_all(path.join("inner")).unwrap();
    let mut placed = serde_json::Map::new();
    for (number, tensors) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        fs::write(path.join(&name), file(tensors)).unwrap();
        for tensor in *tensors {
            placed.insert(tensor.name.clone(), name.clone().into());
        }
    }
    let index = serde_json::json!({ "metadata": { "total_size": 1 }, "weight_map": placed });
    fs::write(path.join("model.safetensors.index.json"), index.to_string()).unwrap();
    fs::write(path.join("config.json"), "{}").unwrap();
    fs::write(path.join("inner/notes.txt"), "kept").unwrap();
    path
}

fn single(folder: &Path, tensors: &[Tensor]) -> PathBuf {
    let path = folder.join("model.safetensors");
    fs::write(&path, file(tensors)).unwrap();
    path
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (name, path) = (PathBuf::from(entry.file_name()), entry.path());
        if path.is_dir() {
            all.extend(
                files(&path)
                    .into_iter()
                    .map(|(inner, bytes)| (name.join(inner), bytes)),
            );
        } else {
            all.insert(name, fs::read(path).unwrap());
        }
    }
    all
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// All tensors of a checkpoint, as another reader sees them.
fn read(path: &Path) -> BTreeMap<String, Tensor> {
    let checkpoint = Checkpoint::open(path).unwrap();
    let mut all = BTreeMap::new();
    for shard in checkpoint.shards() {
        let bytes = fs::read(shard.path()).unwrap();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let tensor = Tensor {
                name: name.clone(),
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                bytes: view.data().to_vec(),
            };
            all.insert(name, tensor);
        }
    }
    all
}

/// Numbers that look random, in (-1, 1), with ties and zeros among them.
fn noise(seed: u64) -> impl Fn(usize) -> f64 + Copy {
    move |i| {
        let mut x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed;
        x = (x ^ x >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 29;
        match x % 11 {
            0 => 0.0,
            1 => -0.0,
            2 => 0.25,
            3 => -0.25,
            _ => (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0,
        }
    }
}
