//! Module trees as models that can be pruned.

use std::collections::HashSet;

use super::tree::ParamTree;
use super::tree_ext::unknown_parameter;
use super::walk::{self, check, for_each_parameter};
use crate::error::Result;
use crate::mask::{ArrayElement, FloatArray};
use crate::prunable::{
    MaskAction, MaskChange, ParameterView, Prunable, WriteValues, check_changes, check_values,
};

impl<T: ParamTree + ?Sized> Prunable for T {
    fn paths(&self) -> Vec<String> {
        let (mut paths, mut seen) = (Vec::new(), HashSet::new());
        for_each_parameter(self, &mut |path, parameter| {
            if seen.insert(parameter.id()) {
                paths.push(path);
            }
        });
        paths
    }

    fn view(&self, path: &str) -> Result<ParameterView<'_>> {
        let parameter = walk::parameter(self, path).ok_or_else(|| unknown_parameter(self, path))?;
        Ok(ParameterView::new(
            path,
            parameter.id().number(),
            parameter.original(),
            parameter.pruning(),
        ))
    }

    fn commit(&mut self, changes: Vec<MaskChange>) -> Result<()> {
        check_changes(self, &changes)?;
        // A user's own tree may give different parameters mutably than by shared reference. That must be found before
        // any change. Only what is to be changed is compared, so that pruning one after another takes linear time.
        for change in &changes {
            walk::parameter_mut(self, &change.path)?;
        }
        for MaskChange { path, action } in changes {
            let parameter = walk::parameter_mut(self, &path)?;
            match action {
                MaskAction::Set(pruning) => parameter.set_pruning(pruning)?,
                MaskAction::Remove => parameter.bake(),
                MaskAction::Discard => parameter.discard(),
            }
        }
        Ok(())
    }

    fn check_whole(&mut self) -> Result<()> {
        check(self)
    }
}

impl<T: ParamTree + ?Sized> WriteValues for T {
    fn write_values(&mut self, values: Vec<(String, FloatArray)>) -> Result<()> {
        check_values(self, &values)?;
        for (path, _) in &values {
            walk::parameter_mut(self, path)?;
        }
        for (path, array) in values {
            let array = f32::of(&array).expect("the type was checked");
            walk::parameter_mut(self, &path)?.set_original(array.clone());
        }
        Ok(())
    }
}
