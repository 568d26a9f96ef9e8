//! [`ParamTree`]: parameters by path, through modules and their children.

use std::sync::Arc;

use ndarray::{ArcArray, IxDyn};

use super::parameter::Parameter;
use super::store::{MASK, ORIG, ParamStore};
use crate::error::{Error, ModelError, Result};
use crate::mask::PruningMethod;
use crate::prunable::nearest;

/// Named access to the parameters of a module and its children: all that pruning needs.
///
/// Implement what applies; [`param_tree!`](crate::param_tree) writes it for a struct. A borrowed group of modules
/// ([`Group`](super::Group)) or a foreign model can be one without being a [`Module`](super::Module).
///
/// What callers use is [`ParamTreeExt`].
pub trait ParamTree {
    /// The module's own parameters and buffers.
    fn store(&self) -> Option<&ParamStore> {
        None
    }

    /// The module's own parameters and buffers, to be changed.
    fn store_mut(&mut self) -> Option<&mut ParamStore> {
        None
    }

    /// Names of the children, in order. A name is not empty and holds no dot.
    fn child_names(&self) -> Vec<String> {
        Vec::new()
    }

    /// The child of this name.
    fn child(&self, name: &str) -> Option<&dyn ParamTree> {
        let _ = name;
        None
    }

    /// The child of this name, to be changed.
    fn child_mut(&mut self, name: &str) -> Option<&mut dyn ParamTree> {
        let _ = name;
        None
    }
}

macro_rules! delegate {
    () => {
        fn store(&self) -> Option<&ParamStore> {
            (**self).store()
        }

        fn store_mut(&mut self) -> Option<&mut ParamStore> {
            (**self).store_mut()
        }

        fn child_names(&self) -> Vec<String> {
            (**self).child_names()
        }

        fn child(&self, name: &str) -> Option<&dyn ParamTree> {
            (**self).child(name)
        }

        fn child_mut(&mut self, name: &str) -> Option<&mut dyn ParamTree> {
            (**self).child_mut(name)
        }
    };
}

impl<T: ParamTree + ?Sized> ParamTree for Box<T> {
    delegate!();
}

impl<T: ParamTree + ?Sized> ParamTree for &mut T {
    delegate!();
}

/// What every [`ParamTree`] offers its callers.
pub trait ParamTreeExt: ParamTree {
    /// The parameters of the tree, by the names under which they are seen: a pruned `weight` as `weight_orig`.
    ///
    /// PyTorch's `named_parameters`.
    fn named_parameters(&self) -> Vec<(String, &Parameter)> {
        let mut all = Vec::new();
        walk(self, "", &mut |prefix, store| {
            all.extend(store.parameters().map(|(name, parameter)| {
                let suffix = if parameter.is_pruned() { ORIG } else { "" };
                (format!("{prefix}{name}{suffix}"), parameter)
            }));
        });
        all
    }

    /// The buffers of the tree: the mask of a pruned `weight` as `weight_mask`, of ones and zeros, and buffers of
    /// the modules' own.
    ///
    /// PyTorch's `named_buffers`.
    fn named_buffers(&self) -> Vec<(String, ArcArray<f32, IxDyn>)> {
        let mut all = Vec::new();
        walk(self, "", &mut |prefix, store| {
            all.extend(
                store
                    .buffers()
                    .map(|(name, buffer)| (format!("{prefix}{name}"), buffer)),
            );
            all.extend(store.parameters().filter_map(|(name, parameter)| {
                Some((
                    format!("{prefix}{name}{MASK}"),
                    parameter.mask()?.to_array().into_shared(),
                ))
            }));
        });
        all
    }

    /// The paths of the modules of the tree, in order; the tree itself is `""`.
    ///
    /// PyTorch's `named_modules`.
    fn named_modules(&self) -> Vec<(String, &dyn ParamTree)>
    where
        Self: Sized,
    {
        let mut all: Vec<(String, &dyn ParamTree)> = Vec::new();
        modules(self, "", &mut all);
        all
    }

    /// The paths of all parameters (`0.weight`, pruned or not), in order.
    fn parameter_paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        walk(self, "", &mut |prefix, store| {
            all.extend(store.parameters().map(|(name, _)| format!("{prefix}{name}")));
        });
        all
    }

    /// The parameter at a path, `weight` or `encoder.0.weight`.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) if there is none.
    fn parameter(&self, path: &str) -> Result<&Parameter> {
        let (module, name) = split(path);
        // No name is empty, so neither is one of a path: `.weight` is not another way to write `weight`.
        let store = path
            .split('.')
            .all(|name| !name.is_empty())
            .then(|| find(self, module));
        store
            .flatten()
            .and_then(|store| store.parameter(name))
            .ok_or_else(|| unknown(self, path))
    }

    /// The parameter at a path, to be changed.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter) if there is none.
    fn parameter_mut(&mut self, path: &str) -> Result<&mut Parameter> {
        self.parameter(path)?; // the list of known paths cannot be made while the tree is borrowed for change
        let (module, name) = split(path);
        let parameter = find_mut(self, module).and_then(|store| store.parameter_mut(name));
        parameter.ok_or_else(|| {
            Error::Model(ModelError::UnknownParameter {
                path: path.to_owned(),
                nearest: Vec::new(),
            })
        })
    }

    /// The pruning hooks of this module itself: the name of each pruned parameter, and its method or container.
    ///
    /// PyTorch's `_forward_pre_hooks`.
    fn forward_pre_hooks(&self) -> Vec<(&str, &Arc<dyn PruningMethod>)> {
        self.store()
            .map(|store| store.forward_pre_hooks().collect())
            .unwrap_or_default()
    }
}

impl<T: ParamTree + ?Sized> ParamTreeExt for T {}

/// Calls `visit` with the path prefix (`""` or `encoder.0.`) and the store of every module, depth first, in order.
pub(crate) fn walk<'a, T, F>(tree: &'a T, prefix: &str, visit: &mut F)
where
    T: ParamTree + ?Sized,
    F: FnMut(&str, &'a ParamStore),
{
    if let Some(store) = tree.store() {
        visit(prefix, store);
    }
    for name in tree.child_names() {
        if let Some(child) = tree.child(&name) {
            walk(child, &format!("{prefix}{name}."), visit);
        }
    }
}

/// As [`walk`], with stores to be changed.
pub(crate) fn walk_mut<T, F>(tree: &mut T, prefix: &str, visit: &mut F)
where
    T: ParamTree + ?Sized,
    F: FnMut(&str, &mut ParamStore),
{
    if let Some(store) = tree.store_mut() {
        visit(prefix, store);
    }
    for name in tree.child_names() {
        if let Some(child) = tree.child_mut(&name) {
            walk_mut(child, &format!("{prefix}{name}."), visit);
        }
    }
}

fn modules<'a>(tree: &'a dyn ParamTree, path: &str, all: &mut Vec<(String, &'a dyn ParamTree)>) {
    all.push((path.to_owned(), tree));
    for name in tree.child_names() {
        if let Some(child) = tree.child(&name) {
            let path = if path.is_empty() {
                name
            } else {
                format!("{path}.{name}")
            };
            modules(child, &path, all);
        }
    }
}

/// The store of the module at a path (`""` or `encoder.0`).
pub(crate) fn find<'a, T: ParamTree + ?Sized>(tree: &'a T, path: &str) -> Option<&'a ParamStore> {
    match path.split_once('.') {
        _ if path.is_empty() => tree.store(),
        Some((child, rest)) => find(tree.child(child)?, rest),
        None => tree.child(path)?.store(),
    }
}

/// As [`find`], to be changed.
pub(crate) fn find_mut<'a, T: ParamTree + ?Sized>(tree: &'a mut T, path: &str) -> Option<&'a mut ParamStore> {
    match path.split_once('.') {
        _ if path.is_empty() => tree.store_mut(),
        Some((child, rest)) => find_mut(tree.child_mut(child)?, rest),
        None => tree.child_mut(path)?.store_mut(),
    }
}

/// The path of the module and the name of the parameter that a path is made of.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

fn unknown<T: ParamTree + ?Sized>(tree: &T, path: &str) -> Error {
    Error::Model(ModelError::UnknownParameter {
        path: path.to_owned(),
        nearest: nearest(path, tree.parameter_paths().iter().map(String::as_str)),
    })
}

/// Implements [`ParamTree`](crate::nn::ParamTree) for a struct: from the field that holds its
/// [`ParamStore`](crate::nn::ParamStore), if any, and the fields that are children.
///
/// ```
/// use secateurs::nn::{Linear, ParamStore};
///
/// struct Residual {
///     own: ParamStore,
///     inner: Linear,
/// }
///
/// secateurs::param_tree!(Residual { store: own, children: [inner] });
/// ```
///
/// Either part may be left out: `param_tree!(Block { children: [a, b] })`, `param_tree!(Scale { store: params })`.
#[macro_export]
macro_rules! param_tree {
    ($type:ty { store: $store:ident $(, children: [$($child:ident),* $(,)?])? $(,)? }) => {
        impl $crate::nn::ParamTree for $type {
            fn store(&self) -> ::core::option::Option<&$crate::nn::ParamStore> {
                ::core::option::Option::Some(&self.$store)
            }

            fn store_mut(&mut self) -> ::core::option::Option<&mut $crate::nn::ParamStore> {
                ::core::option::Option::Some(&mut self.$store)
            }

            $($crate::param_tree!(@children $($child)*);)?
        }
    };
    ($type:ty { children: [$($child:ident),* $(,)?] $(,)? }) => {
        impl $crate::nn::ParamTree for $type {
            $crate::param_tree!(@children $($child)*);
        }
    };
    (@children $($child:ident)*) => {
        fn child_names(&self) -> ::std::vec::Vec<::std::string::String> {
            ::std::vec![$(::std::string::String::from(stringify!($child))),*]
        }

        fn child(&self, name: &str) -> ::core::option::Option<&dyn $crate::nn::ParamTree> {
            match name {
                $(stringify!($child) => ::core::option::Option::Some(&self.$child),)*
                _ => ::core::option::Option::None,
            }
        }

        fn child_mut(&mut self, name: &str) -> ::core::option::Option<&mut dyn $crate::nn::ParamTree> {
            match name {
                $(stringify!($child) => ::core::option::Option::Some(&mut self.$child),)*
                _ => ::core::option::Option::None,
            }
        }
    };
}
