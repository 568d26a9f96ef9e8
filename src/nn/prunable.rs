//! Module trees as models that can be pruned.

use std::collections::HashSet;

use super::tree::{ParamTree, ParamTreeExt, walk};
use crate::error::Result;
use crate::prunable::{MaskAction, MaskChange, ParameterView, Prunable, check_changes};

impl<T: ParamTree + ?Sized> Prunable for T {
    fn paths(&self) -> Vec<String> {
        let (mut paths, mut seen) = (Vec::new(), HashSet::new());
        walk(self, "", &mut |prefix, store| {
            for (name, parameter) in store.parameters() {
                if seen.insert(parameter.id()) {
                    paths.push(format!("{prefix}{name}"));
                }
            }
        });
        paths
    }

    fn view(&self, path: &str) -> Result<ParameterView<'_>> {
        let parameter = self.parameter(path)?;
        Ok(ParameterView::new(
            path,
            parameter.id().number(),
            parameter.original(),
            parameter.pruning(),
        ))
    }

    fn commit(&mut self, changes: Vec<MaskChange>) -> Result<()> {
        check_changes(self, &changes)?;
        // A tree of a user's own may know a parameter only by shared reference: that has to show before any change.
        for change in &changes {
            self.parameter_mut(&change.path)?;
        }
        for MaskChange { path, action } in changes {
            let parameter = self.parameter_mut(&path)?;
            match action {
                MaskAction::Set(pruning) => parameter.set_pruning(pruning)?,
                MaskAction::Remove => parameter.bake(),
                MaskAction::Discard => parameter.discard(),
            }
        }
        Ok(())
    }
}
