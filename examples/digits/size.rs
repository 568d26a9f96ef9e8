//! The size of a network.

use secateurs::nn::{ParamTreeExt, Sequential};

/// The size of a network, including biases.
pub struct Size {
    /// Parameters that are not zero.
    pub nonzero: usize,
    /// Bytes of the parameters: of each array as plain f32 or, where that is less, as one bit for each entry (zero
    /// or not) and the f32 of those that are not zero. Names and shapes are not counted.
    pub bytes: usize,
}

/// Counts the non-zero parameters, and the bytes that hold them.
pub fn size(model: &Sequential) -> Size {
    let mut size = Size { nonzero: 0, bytes: 0 };
    for (_, parameter) in model.named_parameters() {
        let nonzero = parameter.effective().iter().filter(|&&x| x != 0.0).count();
        let plain = parameter.len() * size_of::<f32>();
        let sparse = parameter.len().div_ceil(8) + nonzero * size_of::<f32>();
        size.nonzero += nonzero;
        size.bytes += plain.min(sparse);
    }
    size
}
