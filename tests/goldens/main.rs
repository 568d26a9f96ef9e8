//! Replays what PyTorch did. `scripts/goldens.py` wrote `tests/data`; PyTorch is not needed here.

mod histories;
mod init;
mod layers;
mod modules;
mod optimisers;
mod state_dicts;

use std::path::PathBuf;

use ndarray::ArrayD;
use secateurs::mask::Mask;
use serde_json::Value;

/// A file of `tests/data`.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(path(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn size(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn sizes(value: &Value) -> Vec<usize> {
    list(value).iter().map(size).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    list(value).iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

/// `{"shape": […], "data": […]}`, row-major.
fn tensor(value: &Value) -> ArrayD<f32> {
    ArrayD::from_shape_vec(sizes(&value["shape"]), floats(&value["data"])).unwrap()
}

/// A string of 0s and 1s, row-major.
fn mask(shape: &[usize], bits: &Value) -> Mask {
    let bits = text(bits).bytes().map(|bit| bit == b'1').collect();
    Mask::from_bool(ArrayD::from_shape_vec(shape.to_vec(), bits).unwrap().view())
}

/// Agreement of each entry to 1e-5 of itself, and to a floor of 1e-6 of the tensor's largest entry: an entry that
/// nearly cancels out carries the rounding of its terms, in PyTorch too.
#[track_caller]
fn assert_close(what: &str, got: &ArrayD<f32>, expected: &ArrayD<f32>) {
    assert_eq!(got.shape(), expected.shape(), "{what}");
    let floor = 1e-6 * expected.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let close = (got - expected).abs() <= floor.max(1e-5 * expected.abs());
        assert!(
            close,
            "{what}: entry {index} is {got}, PyTorch has {expected} (floor {floor})"
        );
    }
}
