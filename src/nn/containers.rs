//! [`ParamTree`] for references, boxes, options, vectors and tuples of trees.

use super::store::ParamStore;
use super::tree::ParamTree;

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

/// The tree itself, or a tree without parameters.
impl<T: ParamTree> ParamTree for Option<T> {
    fn store(&self) -> Option<&ParamStore> {
        self.as_ref()?.store()
    }

    fn store_mut(&mut self) -> Option<&mut ParamStore> {
        self.as_mut()?.store_mut()
    }

    fn child_names(&self) -> Vec<String> {
        self.as_ref().map(ParamTree::child_names).unwrap_or_default()
    }

    fn child(&self, name: &str) -> Option<&dyn ParamTree> {
        self.as_ref()?.child(name)
    }

    fn child_mut(&mut self, name: &str) -> Option<&mut dyn ParamTree> {
        self.as_mut()?.child_mut(name)
    }
}

/// Children `0`, `1`, …: PyTorch's `ModuleList`.
impl<T: ParamTree> ParamTree for Vec<T> {
    fn child_names(&self) -> Vec<String> {
        (0..self.len()).map(|index| index.to_string()).collect()
    }

    fn child(&self, name: &str) -> Option<&dyn ParamTree> {
        self.get(index(name)?).map(|tree| tree as &dyn ParamTree)
    }

    fn child_mut(&mut self, name: &str) -> Option<&mut dyn ParamTree> {
        self.get_mut(index(name)?).map(|tree| tree as &mut dyn ParamTree)
    }
}

/// The index that a name stands for, as `child_names` writes it: not `01` or `+1`.
fn index(name: &str) -> Option<usize> {
    let index: usize = name.parse().ok()?;
    (index.to_string() == name).then_some(index)
}

macro_rules! tuple {
    ($($type:ident $index:tt),*) => {
        /// Children `0`, `1`, ….
        impl<$($type: ParamTree),*> ParamTree for ($($type,)*) {
            $crate::param_tree!(@children $($index)*);
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
