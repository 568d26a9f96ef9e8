//! What several test files need: seeded generators, bit-for-bit pictures of models, round trips.
#![allow(dead_code)] // each test binary uses its own share

use std::fmt::Debug;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use secateurs::mask::Mask;
use secateurs::nn::{self, ParamTree, ParamTreeExt};
use secateurs::tensor::ParamId;
use secateurs::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn bits<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u32> {
    values.into_iter().map(|value| value.to_bits()).collect()
}

/// A mask from rows of zeros and ones.
pub fn mask<D: ndarray::Dimension>(zeros_and_ones: ndarray::Array<u8, D>) -> Mask {
    Mask::from_array(zeros_and_ones.view()).unwrap()
}

/// Everything that can be seen of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub path: String,
    pub id: ParamId,
    pub original: Vec<u32>,
    pub effective: Vec<u32>,
    pub mask: Option<Mask>,
    /// The hook, written out.
    pub hook: Option<String>,
}

/// Everything that can be seen of a model, bit for bit and in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub parameters: Vec<Seen>,
    pub parameter_names: Vec<String>,
    pub buffers: Vec<(String, Vec<usize>, Vec<u32>)>,
    pub state: Vec<(String, Vec<usize>, Vec<u32>)>,
    pub own_hooks: Vec<String>,
}

pub fn snapshot<T: ParamTree + ?Sized>(model: &T) -> Snapshot {
    let parameters = model.parameter_paths().into_iter().map(|path| {
        let parameter = model.parameter(&path).unwrap();
        Seen {
            id: parameter.id(),
            original: bits(parameter.original()),
            effective: bits(parameter.effective()),
            mask: parameter.mask().cloned(),
            hook: parameter.hook().map(|hook| serde_json::to_string(hook).unwrap()),
            path,
        }
    });
    Snapshot {
        parameters: parameters.collect(),
        parameter_names: parameter_names(model),
        buffers: (model.named_buffers().iter())
            .map(|(name, value)| (name.clone(), value.shape().to_vec(), bits(value)))
            .collect(),
        state: (nn::state_dict(model).iter())
            .map(|(key, value)| (key.to_owned(), value.shape().to_vec(), bits(value)))
            .collect(),
        own_hooks: (model.forward_pre_hooks().into_iter())
            .map(|(name, _)| name.to_owned())
            .collect(),
    }
}

/// As [`snapshot`], without what a copy of the model has of its own.
pub fn portrait<T: ParamTree + ?Sized>(model: &T) -> Snapshot {
    static ANY: std::sync::OnceLock<ParamId> = std::sync::OnceLock::new();
    let mut seen = snapshot(model);
    for parameter in &mut seen.parameters {
        parameter.id = *ANY.get_or_init(ParamId::fresh);
    }
    seen
}

pub fn parameter_names<T: ParamTree + ?Sized>(model: &T) -> Vec<String> {
    model
        .named_parameters()
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

pub fn buffer_names<T: ParamTree + ?Sized>(model: &T) -> Vec<String> {
    model.named_buffers().into_iter().map(|(name, _)| name).collect()
}

/// Makes a call that has to fail, and sees to it that it changed nothing (S11).
#[track_caller]
pub fn refused<T: ParamTree + ?Sized, R: Debug>(
    model: &mut T,
    call: impl FnOnce(&mut T) -> Result<R>,
) -> Error {
    let before = snapshot(model);
    let error = call(model).expect_err("this call has to fail");
    assert_eq!(snapshot(model), before, "the call that failed changed something");
    error
}

/// Through bincode and back.
pub fn by_bincode<T: Serialize, U: DeserializeOwned>(value: &T) -> U {
    from_bincode(&to_bincode(value)).unwrap()
}

pub fn to_bincode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard()).unwrap()
}

pub fn from_bincode<U: DeserializeOwned>(bytes: &[u8]) -> Result<U, bincode::error::DecodeError> {
    bincode::serde::decode_from_slice(bytes, bincode::config::standard()).map(|(value, _)| value)
}

/// Through JSON and back.
pub fn by_json<T: Serialize, U: DeserializeOwned>(value: &T) -> U {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

/// A file of this test alone, gone when dropped.
pub struct TempFile(pub std::path::PathBuf);

impl TempFile {
    pub fn new(name: &str) -> Self {
        TempFile(std::env::temp_dir().join(format!("secateurs-{}-{name}", std::process::id())))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
