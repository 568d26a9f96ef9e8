//! What a network takes.

use secateurs::nn::{ParamTreeExt, Sequential};

/// What a network takes, biases and all.
#[derive(Clone, Copy)]
pub struct Size {
    /// Parameters that are not zero.
    pub nonzero: usize,
    /// Bytes of the parameters as plain f32.
    pub dense: usize,
    /// Bytes of the parameters, each array either as plain f32 or, where that is less, as one bit for each entry
    /// (zero or not) and the f32 of those that are not zero.
    pub sparse: usize,
}

/// Counts the non-zero parameters, and the bytes that would hold them.
pub fn size(model: &Sequential) -> Size {
    let mut size = Size {
        nonzero: 0,
        dense: 0,
        sparse: 0,
    };
    for (_, parameter) in model.named_parameters() {
        let nonzero = parameter.effective().iter().filter(|&&x| x != 0.0).count();
        let dense = parameter.len() * size_of::<f32>();
        let bitmap = parameter.len().div_ceil(8) + nonzero * size_of::<f32>();
        size.nonzero += nonzero;
        size.dense += dense;
        size.sparse += dense.min(bitmap);
    }
    size
}
