//! One type for any model, so that the functions of this module are compiled once.

use crate::error::Result;
use crate::prunable::{MaskChange, ParameterView, Prunable};

/// A model by reference.
pub(crate) struct ByRef<'a, M: ?Sized>(pub &'a mut M);

impl<M: Prunable + ?Sized> Prunable for ByRef<'_, M> {
    fn paths(&self) -> Vec<String> {
        self.0.paths()
    }

    fn view(&self, path: &str) -> Result<ParameterView<'_>> {
        self.0.view(path)
    }

    fn commit(&mut self, changes: Vec<MaskChange>) -> Result<()> {
        self.0.commit(changes)
    }

    fn check_whole(&mut self) -> Result<()> {
        self.0.check_whole()
    }
}
