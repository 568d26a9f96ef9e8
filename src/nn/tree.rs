//! [`ParamTree`]: the parameters of a module and its children, by name.

use super::store::ParamStore;

/// Named access to the parameters of a module and its children.
///
/// [`param_tree!`](crate::param_tree) implements it for a struct. A `Vec` and a tuple of trees have children `0`, `1`,
/// …; an `Option` is its tree, or one without parameters; a [`Group`](super::Group) borrows separate modules.
///
/// What callers use is [`ParamTreeExt`](super::ParamTreeExt).
///
/// The methods for shared and for exclusive access must agree: the same children, the same store. Whatever changes a
/// model checks that first, and that no child leads back to its parent, and fails with
/// [`ModelError::Inconsistent`](crate::error::ModelError::Inconsistent) before anything changes.
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
