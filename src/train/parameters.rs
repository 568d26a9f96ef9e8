//! The parameters that a pruner was given, checked.

use std::collections::HashSet;

use crate::error::{ListError, Result};
use crate::prunable::Prunable;

/// The paths, each of which leads to a parameter of its own.
pub(super) fn checked<M: Prunable + ?Sized>(
    model: &M,
    paths: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<Vec<String>> {
    let mut seen = HashSet::new();
    let mut checked = Vec::new();
    for path in paths {
        let view = model.view(path.as_ref())?;
        let path = view.path().to_owned();
        if !seen.insert(view.id()) {
            return Err(ListError::ListedTwice { path }.into());
        }
        checked.push(path);
    }
    match checked.is_empty() {
        true => Err(ListError::NoParameters.into()),
        false => Ok(checked),
    }
}
