//! Pruning during training, on arrays and on modules.

mod dynamic;
mod growth;
mod pruner;
mod resumed;
mod snapshots;

use ndarray::Array2;
use secateurs::{ArrayModel, FloatArray};

/// Two matrices of equal shape and one bias. No two of their entries have the same magnitude.
fn model() -> ArrayModel {
    let mut model = ArrayModel::new();
    for (name, offset) in [("0.weight", 1_u32), ("1.weight", 2)] {
        let entry = |(i, j): (usize, usize)| {
            let number = (offset * 1000 + 20 * i as u32 + j as u32).wrapping_mul(2_654_435_761) >> 8;
            number as f32 / (1 << 23) as f32 - 1.0
        };
        model
            .insert(name, Array2::from_shape_fn((10, 20), entry))
            .unwrap();
    }
    model.insert("0.bias", ndarray::array![0.5_f32, -0.5]).unwrap();
    model
}

/// The bits of all effective values.
fn bits(model: &ArrayModel) -> Vec<u32> {
    let arrays = model.names().map(|name| match model.effective(name).unwrap() {
        FloatArray::F32(array) => array,
        other => panic!("{other:?}"),
    });
    let bits = arrays.flat_map(|array| array.into_iter().map(f32::to_bits));
    bits.collect()
}
