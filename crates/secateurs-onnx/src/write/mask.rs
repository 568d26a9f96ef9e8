//! Writes the model in which removed channels are masked, to compare the smaller one with.

use std::collections::{BTreeMap, HashSet};

use super::edit::Edit;
use super::quantized::place_entries;
use super::shared::{Renamed, settle};
use super::{Changes, NewTensor, Written, own_copies, write};
use crate::couple::Couplings;
use crate::entries::{Entries, Masked};
use crate::error::Result;
use crate::graph::Model;
use crate::tensor::{Constant, encode};

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
        let mut zeros = Vec::new();
        for (dim, labels) in axes.iter().enumerate() {
            for (index, unit) in labels.iter().flat_map(|labels| labels.iter().enumerate()) {
                if removed.contains(&couplings.units.root(*unit)) {
                    zeros.push((dim, index));
                }
            }
        }
        if !zeros.is_empty() {
            changes.tensors.insert(name, masked(constant, &zeros)?);
        }
    }
    let mut edits: BTreeMap<usize, Edit> = BTreeMap::new();
    for Renamed { node, place, name } in settle(&model.graph, couplings, &mut changes)? {
        let place = model.graph.nodes[node].place_in_file(place);
        edits
            .entry(node)
            .or_default()
            .inputs
            .insert(place, name.to_owned());
    }
    place_entries(&model.graph, &mut changes);
    for (number, edit) in edits {
        changes
            .nodes
            .insert(number, edit.messages(&model.graph.nodes[number])?);
    }
    own_copies(&model.graph, &mut changes)?;
    write(model, changes, location)
}

/// The tensor with these indices, each a dimension and an index, set to zero.
fn masked<'a>(constant: &Constant<'a>, zeros: &[(usize, usize)]) -> Result<NewTensor<'a>> {
    let NewTensor { dims, entries } = NewTensor::of(constant)?;
    let dtype = constant.dtype.number();
    let size = constant.dtype.size().unwrap_or(1);
    let zero = |index: usize| {
        let quantization = constant.quantization.as_ref();
        let zero = quantization.map_or(0.0, |quantization| quantization.zero_entry(index));
        encode(dtype, &[zero]).unwrap_or_else(|| vec![0; size])
    };
    let entries = match constant
        .quantization
        .as_ref()
        .filter(|own| !own.has_one_zero_entry())
    {
        None => Entries::Masked(Masked::new(entries, (&dims, size), zeros, zero(0)).into()),
        // Each index has another zero point: one after the other.
        Some(quantization) => {
            let mut bytes = entries.bytes()?.into_owned();
            let inner: Vec<usize> = (0..dims.len())
                .map(|dim| dims[dim + 1..].iter().product())
                .collect();
            let index = |place: usize, dim: usize| place / inner[dim] % dims[dim];
            for (place, entry) in bytes.chunks_exact_mut(size).enumerate() {
                if zeros.iter().any(|(dim, own)| index(place, *dim) == *own) {
                    entry.copy_from_slice(&zero(index(place, quantization.axis)));
                }
            }
            Entries::Own(bytes.into())
        }
    };
    Ok(NewTensor { dims, entries })
}
