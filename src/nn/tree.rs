//! [`ParamTree`]: the parameters of a module and its children, by name.

use super::store::ParamStore;

/// Named access to the parameters of a module and its children.
///
/// [`param_tree!`](crate::param_tree) implements it for a struct. Trees in a `Vec` or a tuple are children `0`, `1`,
/// …. An `Option` is its tree, or a tree without parameters. A [`Group`](super::Group) borrows separate modules.
///
/// Callers use [`ParamTreeExt`](super::ParamTreeExt).
///
/// The shared and the mutable methods must agree: they must give the same children and the same store. Also, no child
/// may lead back to its parent. Functions that change a model check this first, and fail with
/// [`ModelError::Inconsistent`](crate::error::ModelError::Inconsistent) before anything changes.
pub trait ParamTree {
    /// The module's own parameters and buffers.
    fn store(&self) -> Option<&ParamStore> {
        None
    }

    /// The module's own parameters and buffers, mutably.
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

    /// The child of this name, mutably.
    fn child_mut(&mut self, name: &str) -> Option<&mut dyn ParamTree> {
        let _ = name;
        None
    }
}
