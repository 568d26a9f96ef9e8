//! [`Skipped`]: tensors that could be meant, and are not pruned.

use secateurs::checkpoint::{Checkpoint, TensorInfo};

use super::super::not_prunable;
use crate::args::PruneArgs;
use crate::commands::prune::args::Pattern;
use crate::text::{number_of, some_of};

/// Tensors that could be meant, and are not pruned.
pub struct Skipped<'a> {
    /// Those of which the type cannot be pruned: selected by a pattern, or weights by their names.
    pub dtype: Vec<&'a TensorInfo>,
    /// Those that groups do not divide.
    pub indivisible: Vec<&'a TensorInfo>,
}

impl<'a> Skipped<'a> {
    /// Takes out of the selected tensors those that are skipped. One that is named in full is not: it is refused.
    pub fn of(checkpoint: &'a Checkpoint, args: &PruneArgs, chosen: &mut Vec<&'a TensorInfo>) -> Self {
        let mut dtype = Vec::new();
        chosen.retain(|tensor| {
            let named = args.choose.include.iter().any(|name| name == tensor.name());
            let keep = tensor.is_float() || named;
            if !keep {
                dtype.push(*tensor);
            }
            keep
        });
        if args.choose.include.is_empty() {
            dtype = not_prunable(checkpoint.tensors().iter());
        }
        let mut indivisible = Vec::new();
        if let (Pattern::Groups { of, .. }, true) = (args.pattern, args.skip_indivisible) {
            let dim = args.dim.unwrap_or(1);
            chosen.retain(|tensor| {
                let len = tensor.shape().len() as isize;
                let dim = if dim < 0 { dim + len } else { dim };
                let size = usize::try_from(dim).ok().and_then(|dim| tensor.shape().get(dim));
                let keep = size.is_none_or(|size| of == 0 || size.is_multiple_of(of));
                if !keep {
                    indivisible.push(*tensor);
                }
                keep
            });
        }
        Skipped { dtype, indivisible }
    }

    /// A line for each reason.
    pub fn describe(&self) -> String {
        let mut lines = by_dtype(&self.dtype);
        if !self.indivisible.is_empty() {
            let names = some_of(self.indivisible.iter().map(|tensor| tensor.name()));
            lines += &format!(
                "skipped {} that groups do not divide: {names}\n",
                number_of(self.indivisible.len(), "tensor")
            );
        }
        lines
    }
}

/// A line for each type that cannot be pruned.
pub fn by_dtype(tensors: &[&TensorInfo]) -> String {
    let mut dtypes: Vec<String> = tensors.iter().map(|tensor| tensor.dtype().to_string()).collect();
    dtypes.sort();
    dtypes.dedup();
    let line = |dtype: &String| {
        let of = tensors
            .iter()
            .filter(|tensor| tensor.dtype().to_string() == *dtype);
        let names = some_of(of.clone().map(|tensor| tensor.name()));
        let tensors = number_of(of.count(), "tensor");
        format!("{tensors} of dtype {dtype}, which cannot be pruned: {names}\n")
    };
    dtypes.iter().map(line).collect()
}
