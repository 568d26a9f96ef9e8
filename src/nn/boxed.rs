//! [`BoxedModule`]: a module of any type, owned.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::module::Module;
use super::store::ParamStore;
use super::tree::ParamTree;
use crate::{depth, type_names};

/// An owned module of any type. [`Sequential`](super::Sequential) holds these, and a field of your own module that
/// may hold any module should have this type.
///
/// It behaves like a `Box<dyn Module>`, but is safe to load from untrusted files. A deeply nested `Box<dyn Module>`
/// overflows the stack; boxed modules load at most 16 levels and report an error beyond. Saving has the same limit,
/// so what is saved can be loaded. Saving is also an error if two types have registered the module's name with
/// `typetag`, because loading could not tell them apart.
///
/// ```
/// use secateurs::nn::{BoxedModule, Linear, Module};
/// use secateurs::tensor::Tensor;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Twice {
///     inner: BoxedModule,
/// }
///
/// secateurs::param_tree!(Twice { children: [inner] });
///
/// #[typetag::serde]
/// impl Module for Twice {
///     fn compute(&self, input: &Tensor) -> secateurs::Result<Tensor> {
///         self.inner.forward(&self.inner.forward(input)?)
///     }
/// }
///
/// # use rand::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let module = Twice { inner: BoxedModule::new(Linear::new(3, 3, &mut rng)?) };
/// let loaded: Twice = serde_json::from_str(&serde_json::to_string(&module).unwrap()).unwrap();
/// assert!(loaded.inner.downcast_ref::<Linear>().is_some());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone)]
pub struct BoxedModule(Box<dyn Module>);

impl BoxedModule {
    /// Boxes a module.
    pub fn new(module: impl Module) -> Self {
        BoxedModule(Box::new(module))
    }

    /// The box itself.
    pub fn into_inner(self) -> Box<dyn Module> {
        self.0
    }
}

impl From<Box<dyn Module>> for BoxedModule {
    fn from(module: Box<dyn Module>) -> Self {
        BoxedModule(module)
    }
}

impl Deref for BoxedModule {
    type Target = dyn Module;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl DerefMut for BoxedModule {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.0
    }
}

impl fmt::Debug for BoxedModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ParamTree for BoxedModule {
    fn store(&self) -> Option<&ParamStore> {
        self.0.store()
    }

    fn store_mut(&mut self) -> Option<&mut ParamStore> {
        self.0.store_mut()
    }

    fn child_names(&self) -> Vec<String> {
        self.0.child_names()
    }

    fn child(&self, name: &str) -> Option<&dyn ParamTree> {
        self.0.child(name)
    }

    fn child_mut(&mut self, name: &str) -> Option<&mut dyn ParamTree> {
        self.0.child_mut(name)
    }
}

impl Serialize for BoxedModule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        type_names::check::<dyn Module, _>("modules", self.0.typetag_name())?;
        depth::nested_writing(depth::Boxed::Modules, || self.0.serialize(serializer))
    }
}

impl<'de> Deserialize<'de> for BoxedModule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        depth::nested(depth::Boxed::Modules, || {
            Box::<dyn Module>::deserialize(deserializer)
        })
        .map(BoxedModule)
    }
}
