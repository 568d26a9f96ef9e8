//! Writes the smaller model: initializers without what is removed, and everything that follows from it.

use std::collections::{BTreeMap, HashSet};

use super::edit::Edit;
use super::names::Names;
use super::quantized::{cut_parameters, place_entries};
use super::shared::{Renamed, settle};
use super::unused::leave_out;
use super::{Changes, NewTensor, Written, new_tensor, own_copies, write};
use crate::bias::{NewBias, Shifts, dimension};
use crate::couple::{Change, Couplings, Labels, epsilon_of_fewer, factor_of_fewer};
use crate::entries::{Entries, Kept};
use crate::error::Result;
use crate::graph::{Model, contradiction};
use crate::tensor::{Constant, INT64, decode, encode};

/// The model without these units.
pub fn cut<'a>(
    model: &Model<'a>,
    couplings: &Couplings<'a>,
    removed: &HashSet<u32>,
    shifts: &Shifts,
    location: &str,
) -> Result<Written<'a>> {
    let graph = &model.graph;
    let kept = |labels: &Labels| couplings.kept(labels, removed);
    let mut changes = Changes::default();
    for (name, axes) in &couplings.parameters {
        let constant = &graph.constants[name];
        let kept: Vec<Option<Vec<usize>>> = axes.iter().map(|labels| labels.as_ref().map(kept)).collect();
        let all =
            |(kept, dim): (&Option<Vec<usize>>, &usize)| kept.as_ref().is_none_or(|kept| kept.len() == *dim);
        if !kept.iter().zip(&constant.dims).all(all) {
            changes.tensors.insert(name, without(constant, kept)?);
        }
    }
    let mut names = Names::of(graph);
    let mut edits: BTreeMap<usize, Edit> = BTreeMap::new();
    for follow in &couplings.follows {
        let node = &graph.nodes[follow.node];
        let is_cut = |labels: &Labels| kept(labels).len() < labels.len();
        if !follow.change.labels().any(is_cut) {
            continue;
        }
        let edit = edits.entry(follow.node).or_default();
        let replaced = |base: &[i64], entries: &[(usize, Labels)]| {
            let mut list = base.to_vec();
            entries
                .iter()
                .for_each(|(entry, labels)| list[*entry] = kept(labels).len() as i64);
            list
        };
        match &follow.change {
            Change::Attribute { name, labels } => {
                edit.ints.insert(name, vec![kept(labels).len() as i64]);
            }
            Change::AttributeList { name, base, entries } => {
                edit.ints.insert(name, replaced(base, entries));
            }
            Change::Input {
                place,
                base,
                entries,
                drop,
                ..
            } => {
                let place = node.place_in_file(*place);
                let name = names.fresh(node.name);
                let list: Vec<f64> = replaced(base, entries).iter().map(|int| *int as f64).collect();
                changes
                    .added
                    .push(new_tensor(&name, &[list.len()], INT64, &list)?);
                edit.inputs.insert(place, name);
                edit.dropped.extend(drop);
            }
            Change::Table {
                place,
                table,
                source,
                parts,
            } => {
                let (dims, list) = kept_table(table, &kept(source), parts, kept);
                let name = names.fresh(node.name);
                changes.added.push(new_tensor(&name, &dims, INT64, &list)?);
                edit.inputs.insert(node.place_in_file(*place), name);
            }
            Change::Missing { place, .. } => {
                edit.inputs.insert(node.place_in_file(*place), String::new());
            }
            Change::Mean { labels, dtype } => {
                let (full, factor) = (names.fresh(node.outputs[0]), names.fresh(node.name));
                let share = kept(labels).len() as f64 / labels.len() as f64;
                changes.added.push(new_tensor(&factor, &[], *dtype, &[share])?);
                edit.scale_output(node, full, &factor);
            }
            Change::Rms {
                labels,
                scale,
                epsilon,
            } => {
                let (all, kept) = (labels.len(), kept(labels).len());
                edit.floats
                    .insert("epsilon", epsilon_of_fewer(*epsilon, all, kept));
                if let Some(name) = node.input(*scale)
                    && let Some(tensor) = changes.tensors.get_mut(name)
                {
                    let dtype = graph.constants[name].dtype;
                    let mut values = decode(dtype, &tensor.entries.bytes()?);
                    values.iter_mut().for_each(|x| *x *= factor_of_fewer(all, kept));
                    let raw = encode(dtype.number(), &values).unwrap_or_default();
                    tensor.entries = Entries::Own(raw.into());
                }
            }
            Change::Float { name, value, .. } => {
                edit.floats.insert(name, *value);
            }
            Change::Frozen { place, value, .. } => {
                let name = names.fresh(node.name);
                let values: Vec<f64> = value.array.iter().copied().collect();
                changes
                    .added
                    .push(new_tensor(&name, value.array.shape(), value.dtype, &values)?);
                edit.inputs.insert(node.place_in_file(*place), name);
            }
        }
    }
    for (number, shift) in shifts {
        let node = &graph.nodes[*number];
        let (Some(output), Some(new)) = (node.output(), NewBias::of(graph, node, shift)) else {
            continue;
        };
        let axes = couplings.labels.get(output).map_or(&[][..], |axes| axes);
        let labels = axes.get(dimension(node, axes.len())).and_then(Option::as_ref);
        let values: Vec<f64> = match labels {
            Some(labels) => {
                let values = new.values();
                kept(labels).into_iter().map(|index| values[index]).collect()
            }
            None => new.values(),
        };
        let edit = edits.entry(*number).or_default();
        if let Some(name) = new.name {
            let raw = encode(new.dtype, &values).unwrap_or_default();
            let (dims, entries) = (vec![values.len()], Entries::Own(raw.into()));
            changes.tensors.insert(name, NewTensor { dims, entries });
            continue;
        }
        let name = names.fresh(node.name);
        changes
            .added
            .push(new_tensor(&name, &[values.len()], new.dtype, &values)?);
        if node.op == "MatMul" {
            edit.shift_output(node, names.fresh(output), &name);
        } else {
            edit.inputs.insert(2, name);
        }
    }
    for Renamed { node, place, name } in settle(graph, couplings, &mut changes)? {
        let inputs = &mut edits.entry(node).or_default().inputs;
        let place = graph.nodes[node].place_in_file(place);
        inputs.entry(place).or_insert_with(|| name.to_owned());
    }
    let of_axis = |name: &str, axis: usize| {
        let labels = couplings.parameters.get(name)?.get(axis)?.as_ref()?;
        Some(kept(labels)).filter(|kept| kept.len() < labels.len())
    };
    cut_parameters(graph, of_axis, (&mut changes, &mut edits), &mut names)?;
    place_entries(graph, &mut changes);
    for (number, edit) in edits {
        changes.nodes.insert(number, edit.messages(&graph.nodes[number])?);
    }
    own_copies(graph, &mut changes)?;
    leave_out(graph, &mut changes)?;
    write(model, changes, location)
}

/// What is left of a table of indices of an axis, of which these are kept: its shape, and where its indices are then.
fn kept_table(
    table: &[usize],
    source: &[usize],
    parts: &[(usize, Option<Labels>)],
    kept: impl Fn(&Labels) -> Vec<usize>,
) -> (Vec<usize>, Vec<f64>) {
    let mut places = vec![0];
    let mut dims = Vec::new();
    for (length, labels) in parts {
        let own = labels.as_ref().map_or_else(|| (0..*length).collect(), &kept);
        let inner = |place: usize| own.iter().map(move |index| place * length + index);
        places = places.into_iter().flat_map(inner).collect();
        dims.push(own.len());
    }
    let moved = |place: usize| source.partition_point(|index| *index < table[place]) as f64;
    (dims, places.into_iter().map(moved).collect())
}

/// The tensor with only these indices of each dimension.
pub fn without<'a>(constant: &Constant<'a>, kept: Vec<Option<Vec<usize>>>) -> Result<NewTensor<'a>> {
    let (Some(entries), Some(size)) = (constant.raw(), constant.dtype.size()) else {
        return Err(contradiction(constant.name, "its entries cannot be cut"));
    };
    let kept = Kept::new(entries, &constant.dims, size, kept)?;
    Ok(NewTensor {
        dims: kept.dims(),
        entries: Entries::Kept(kept.into()),
    })
}
