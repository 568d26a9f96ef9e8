//! Writes the model in which removed channels are masked, to compare the smaller one with.

use std::collections::{BTreeMap, HashSet};

use super::edit::Edit;
use super::shared::{Renamed, settle};
use super::{Changes, NewTensor, Written, write};
use crate::couple::Couplings;
use crate::entries::{Entries, Masked};
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
        let mut zeros = Vec::new();
        for (dim, labels) in axes.iter().enumerate() {
            for (index, unit) in labels.iter().flat_map(|labels| labels.iter().enumerate()) {
                if removed.contains(&couplings.units.root(*unit)) {
                    zeros.push((dim, index));
                }
            }
        }
        if !zeros.is_empty() {
            let NewTensor { dims, entries } = NewTensor::of(constant)?;
            let size = constant.dtype.size().unwrap_or(1);
            let masked = Masked::new(entries, &dims, size, &zeros);
            let entries = Entries::Masked(masked.into());
            changes.tensors.insert(name, NewTensor { dims, entries });
        }
    }
    let mut edits: BTreeMap<usize, Edit> = BTreeMap::new();
    for Renamed { node, place, name } in settle(&model.graph, couplings, &mut changes)? {
        edits
            .entry(node)
            .or_default()
            .inputs
            .insert(place, name.to_owned());
    }
    for (number, edit) in edits {
        changes
            .nodes
            .insert(number, edit.messages(&model.graph.nodes[number])?);
    }
    write(model, changes, location)
}
