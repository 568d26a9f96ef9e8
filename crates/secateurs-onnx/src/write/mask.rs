//! Writes the model in which removed channels are masked, to compare the smaller one with.

use std::collections::HashSet;

use super::{Changes, NewTensor, Written, write};
use crate::couple::Couplings;
use crate::error::Result;
use crate::graph::Model;

/// The model with all weights of these units set to zero, and nothing removed.
pub fn mask<'a>(
    model: &Model<'a>,
    couplings: &Couplings<'a>,
    removed: &HashSet<u32>,
    location: &str,
) -> Result<Written<'a>> {
    let mut changes = Changes::default();
    for (name, axes) in &couplings.parameters {
        let constant = &model.graph.constants[name];
        let mut new = None;
        for (dim, labels) in axes.iter().enumerate() {
            for (index, unit) in labels.iter().flat_map(|labels| labels.iter().enumerate()) {
                if !removed.contains(&couplings.units.root(*unit)) {
                    continue;
                }
                let new: &mut NewTensor = match &mut new {
                    Some(new) => new,
                    none => none.insert(NewTensor::of(constant)?),
                };
                let size = constant.dtype.size().unwrap_or(1);
                let inner = new.dims[dim + 1..].iter().product::<usize>() * size;
                for outer in new.raw.chunks_mut((new.dims[dim] * inner).max(1)) {
                    outer[index * inner..][..inner].fill(0);
                }
            }
        }
        if let Some(new) = new {
            changes.tensors.insert(name, new);
        }
    }
    write(model, changes, location)
}
