//! Walks through a [`ParamTree`], and the check that a tree is consistent.

use super::parameter::Parameter;
use super::store::ParamStore;
use super::tree::ParamTree;
use crate::error::{Error, ModelError, Result};

/// How deeply children may nest. A deeper tree is taken for a cycle.
pub(crate) const MAX_DEPTH: usize = 256;

/// Calls `visit` with the path prefix (`""` or `encoder.0.`) and the store of every module, depth first, in order.
///
/// Skips a child that is listed but missing, and ends at a cycle. [`check`] makes either an error.
pub(crate) fn walk<'a, T, F>(tree: &'a T, visit: &mut F)
where
    T: ParamTree + ?Sized,
    F: FnMut(&str, &'a ParamStore),
{
    let mut each = |prefix: &str, store: Option<&'a ParamStore>| {
        if let Some(store) = store {
            visit(prefix, store);
        }
        Ok(())
    };
    // The only error is that of a cycle, where the walk ends.
    let _ = descend(tree, &mut String::new(), 0, &mut |_| Ok(()), &mut each);
}

/// As [`walk`], with mutable stores. To change all of a tree or nothing, [`check`] it first.
pub(crate) fn walk_mut<T, F>(tree: &mut T, visit: &mut F)
where
    T: ParamTree + ?Sized,
    F: FnMut(&str, &mut ParamStore),
{
    let mut each = |prefix: &str, store: Option<&mut ParamStore>| {
        if let Some(store) = store {
            visit(prefix, store);
        }
        Ok(())
    };
    let _ = descend_mut(tree, &mut String::new(), 0, &mut |_| Ok(()), &mut each);
}

/// The parameters of a tree, by path and in order.
pub(crate) fn for_each_parameter<'a, T: ParamTree + ?Sized>(
    tree: &'a T,
    visit: &mut impl FnMut(String, &'a Parameter),
) {
    walk(tree, &mut |prefix, store| {
        for (name, parameter) in store.parameters() {
            visit(format!("{prefix}{name}"), parameter);
        }
    });
}

/// Checks that a tree can be changed as a whole: every listed child is there, shared and mutable access agree on
/// children and stores, and no child leads back to its parent.
///
/// # Errors
///
/// [`ModelError::Inconsistent`] names the first module that contradicts itself.
pub(crate) fn check<T: ParamTree + ?Sized>(tree: &mut T) -> Result<()> {
    let missing = "`child_names` lists it, but `child` does not return it";
    let missing_mut = "`child` returns it, but `child_mut` does not";
    // Each module's path, and the address of its store, which identifies it.
    let mut modules: Vec<(String, Option<usize>)> = Vec::new();
    let mut note = |prefix: &str, store: Option<&ParamStore>| {
        modules.push((
            prefix.to_owned(),
            store.map(|store| std::ptr::from_ref(store).addr()),
        ));
        Ok(())
    };
    descend(
        &*tree,
        &mut String::new(),
        0,
        &mut |path| Err(inconsistent(path, missing)),
        &mut note,
    )?;
    let mut expected = modules.into_iter();
    let mut compare = |prefix: &str, store: Option<&mut ParamStore>| {
        let store = store.map(|store| std::ptr::from_ref(store).addr());
        let reason = match (expected.next(), store) {
            (Some((path, _)), _) if path != prefix => "`child_names` changes from call to call",
            (None, _) => "`child_names` changes from call to call",
            (Some((_, Some(_))), None) => "`store` returns a store, but `store_mut` does not",
            (Some((_, None)), Some(_)) => "`store_mut` returns a store, but `store` does not",
            (Some((_, before)), _) if before != store => "`store` and `store_mut` return different stores",
            _ => return Ok(()),
        };
        Err(inconsistent(prefix.trim_end_matches('.'), reason))
    };
    descend_mut(
        tree,
        &mut String::new(),
        0,
        &mut |path| Err(inconsistent(path, missing_mut)),
        &mut compare,
    )
}

/// Calls `visit` with the path prefix and the store, if any, of every module, and `missing` with the path of every
/// child that is listed but missing. A cycle, or an error of either, ends the walk.
fn descend<'a, T: ParamTree + ?Sized>(
    tree: &'a T,
    prefix: &mut String,
    depth: usize,
    missing: &mut dyn FnMut(&str) -> Result<()>,
    visit: &mut dyn FnMut(&str, Option<&'a ParamStore>) -> Result<()>,
) -> Result<()> {
    visit(prefix, tree.store())?;
    for name in tree.child_names() {
        let end = prefix.len();
        prefix.push_str(&name);
        check_depth(prefix, depth)?;
        match tree.child(&name) {
            Some(child) => {
                prefix.push('.');
                descend(child, prefix, depth + 1, missing, visit)?;
            }
            None => missing(prefix)?,
        }
        prefix.truncate(end);
    }
    Ok(())
}

/// As [`descend`], with mutable stores.
fn descend_mut<T: ParamTree + ?Sized>(
    tree: &mut T,
    prefix: &mut String,
    depth: usize,
    missing: &mut dyn FnMut(&str) -> Result<()>,
    visit: &mut dyn FnMut(&str, Option<&mut ParamStore>) -> Result<()>,
) -> Result<()> {
    visit(prefix, tree.store_mut())?;
    for name in tree.child_names() {
        let end = prefix.len();
        prefix.push_str(&name);
        check_depth(prefix, depth)?;
        match tree.child_mut(&name) {
            Some(child) => {
                prefix.push('.');
                descend_mut(child, prefix, depth + 1, missing, visit)?;
            }
            None => missing(prefix)?,
        }
        prefix.truncate(end);
    }
    Ok(())
}

/// The error of a cycle, where a child would be too deep to be anything else.
pub(crate) fn check_depth(path: &str, depth: usize) -> Result<()> {
    if depth < MAX_DEPTH {
        return Ok(());
    }
    Err(inconsistent(
        path,
        "children nest without end; a child must not lead back to its parent",
    ))
}

fn inconsistent(path: &str, reason: &'static str) -> Error {
    /// The beginning of a cycle's path is enough.
    const LONGEST: usize = 64;
    let mut path = path.to_owned();
    if path.chars().count() > LONGEST {
        path = path.chars().take(LONGEST).chain(['…']).collect();
    }
    Error::Model(ModelError::Inconsistent { path, reason })
}

/// The store of the module at a path (`""` or `encoder.0`).
pub(crate) fn find<'a, T: ParamTree + ?Sized>(tree: &'a T, path: &str) -> Option<&'a ParamStore> {
    if path.is_empty() {
        return tree.store();
    }
    let mut names = path.split('.');
    let child = tree.child(names.next()?)?;
    names.try_fold(child, |module, name| module.child(name))?.store()
}

/// As [`find`], mutably.
pub(crate) fn find_mut<'a, T: ParamTree + ?Sized>(tree: &'a mut T, path: &str) -> Option<&'a mut ParamStore> {
    if path.is_empty() {
        return tree.store_mut();
    }
    let mut names = path.split('.');
    let child = tree.child_mut(names.next()?)?;
    names
        .try_fold(child, |module, name| module.child_mut(name))?
        .store_mut()
}

/// The parameter of exactly this path.
pub(crate) fn parameter<'a, T: ParamTree + ?Sized>(tree: &'a T, path: &str) -> Option<&'a Parameter> {
    let (module, name) = split(path)?;
    find(tree, module)?.parameter(name)
}

/// As [`parameter`], mutably.
///
/// # Errors
///
/// [`ModelError::Inconsistent`] if it is not the parameter that shared access finds.
pub(crate) fn parameter_mut<'a, T: ParamTree + ?Sized>(
    tree: &'a mut T,
    path: &str,
) -> Result<&'a mut Parameter> {
    let other = || inconsistent(path, "shared and exclusive access find different parameters");
    let expected = parameter(tree, path).map(Parameter::id);
    let found = split(path).and_then(|(module, name)| find_mut(tree, module)?.parameter_mut(name));
    found
        .filter(|found| Some(found.id()) == expected)
        .ok_or_else(other)
}

/// The path of the module and the name of the parameter that a path is made of.
///
/// Names in a path are not empty: `.weight` is not another way to write `weight`.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    if path.split('.').any(str::is_empty) {
        return None;
    }
    Some(path.rsplit_once('.').unwrap_or(("", path)))
}
