//! Runs the command on checkpoints that the tests make.
#![allow(dead_code)] // no test uses all of it

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

/// A folder for one test, gone when it is over.
pub struct Place(TempDir);

/// What the command said.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A tensor to be put in a file, or read from one.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// The command, which is built before the tests are.
pub fn secateurs() -> Command {
    Command::new(env!("CARGO_BIN_EXE_secateurs"))
}

impl Place {
    pub fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the command in this folder.
    pub fn run(&self, args: &[&str]) -> Ran {
        let output = secateurs().args(args).current_dir(&self.0).output().unwrap();
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the command, which has to do it.
    pub fn done(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, &ran.err[..]), (Some(0), ""), "{args:?}");
        ran.out
    }

    /// Runs the command, which has to refuse it, and to leave everything as it was.
    pub fn refused(&self, args: &[&str]) -> String {
        let before = self.files();
        let ran = self.run(args);
        assert_eq!((ran.code, &ran.out[..]), (Some(2), ""), "{args:?}: {}", ran.err);
        assert!(ran.err.starts_with("error: "), "{args:?}: {}", ran.err);
        assert_eq!(self.files(), before, "{args:?}");
        ran.err
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A checkpoint of one file.
    pub fn single(&self, name: &str, tensors: &[Tensor]) {
        self.write(name, file(tensors));
    }

    /// A folder of shards with an index, and a configuration.
    pub fn sharded(&self, name: &str, shards: &[&[Tensor]]) {
        let mut placed = serde_json::Map::new();
        for (number, tensors) in shards.iter().enumerate() {
            let shard = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
            self.single(&format!("{name}/{shard}"), tensors);
            for tensor in *tensors {
                placed.insert(tensor.name.clone(), shard.clone().into());
            }
        }
        let index = serde_json::json!({ "metadata": {}, "weight_map": placed });
        self.write(&format!("{name}/model.safetensors.index.json"), index.to_string());
        self.write(&format!("{name}/config.json"), "{}");
    }

    /// All tensors of a file, by name.
    pub fn read(&self, name: &str) -> BTreeMap<String, Tensor> {
        read(&self.path(name))
    }

    /// The names in this folder.
    pub fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Everything that lies in this folder.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).unwrap();
                    files.insert(path, bytes);
                }
            }
        }
        files
    }
}

impl Tensor {
    pub fn new(name: &str, dtype: Dtype, shape: &[usize], value: impl Fn(usize) -> f64) -> Self {
        let entries = 0..shape.iter().product();
        let bytes = entries.map(value).flat_map(|x| match dtype {
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
    pub fn values(&self) -> Vec<f64> {
        let size = self.dtype.bitsize() / 8;
        let entry = |bytes: &[u8]| match self.dtype {
            Dtype::F16 => f16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
            Dtype::BF16 => bf16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
            Dtype::F32 => f32::from_le_bytes(bytes.try_into().unwrap()).into(),
            Dtype::F64 => f64::from_le_bytes(bytes.try_into().unwrap()),
            Dtype::U8 | Dtype::BOOL => bytes[0].into(),
            other => panic!("no test needs {other:?}"),
        };
        self.bytes.chunks_exact(size).map(entry).collect()
    }

    pub fn zeros(&self) -> usize {
        self.values().iter().filter(|x| **x == 0.0).count()
    }
}

/// Numbers without order, in [-1, 1), of which none is 0 and no two are equal in magnitude.
pub fn noise(i: usize) -> f64 {
    let step = (i * 7919 + 13) % 10007;
    (step as f64 + 0.5) / 10007.0 * if i.is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// A linear layer, its bias, an embedding, a norm and some whole numbers.
pub fn model() -> Vec<Tensor> {
    vec![
        Tensor::new("embed.weight", Dtype::F32, &[8, 8], noise),
        Tensor::new("fc.bias", Dtype::F32, &[8], noise),
        Tensor::new("fc.weight", Dtype::F32, &[8, 16], noise),
        Tensor::new("ids", Dtype::U8, &[4], |i| i as f64),
        Tensor::new("norm.weight", Dtype::F32, &[2, 4], noise),
        Tensor::new("out.weight", Dtype::BF16, &[4, 8], |i| noise(i) / 4.0),
    ]
}

/// The bytes of a file of these tensors, in this order.
pub fn file(tensors: &[Tensor]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let (mut data, mut text) = (Vec::new(), String::from("{\"__metadata__\":{\"format\":\"pt\"}"));
    for tensor in tensors {
        let begin = data.len();
        data.extend(&tensor.bytes);
        header.insert("dtype".into(), tensor.dtype.to_string().into());
        header.insert("shape".into(), tensor.shape.clone().into());
        header.insert("data_offsets".into(), vec![begin, data.len()].into());
        text += &format!(",{:?}:{}", tensor.name, serde_json::to_string(&header).unwrap());
    }
    text.push('}');
    raw(&text, &data)
}

/// A file of this header and data, whatever they say.
pub fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// All tensors of a file, by name, as another reader sees them.
pub fn read(path: &Path) -> BTreeMap<String, Tensor> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter();
    tensors
        .map(|(name, view)| {
            let tensor = Tensor {
                name: name.clone(),
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                bytes: view.data().to_vec(),
            };
            (name, tensor)
        })
        .collect()
}
