//! [`Sequential`].

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::depth;
use crate::error::{Error, NnError, Result};
use crate::nn::store::check_name;
use crate::nn::{Module, ParamStore, ParamTree};
use crate::tensor::Tensor;

/// Modules one after the other, each fed with the output of the one before.
///
/// PyTorch's `nn.Sequential`. Children are named by their position (`0.weight`), or by a name of your choice.
///
/// ```
/// use ndarray::Array2;
/// use rand::SeedableRng;
/// use secateurs::nn::{Linear, Module, ParamTreeExt, Relu, Sequential};
/// use secateurs::tensor::Tensor;
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let model = Sequential::new()
///     .push(Linear::new(4, 8, &mut rng))
///     .push(Relu::new())
///     .push_named("head", Linear::new(8, 2, &mut rng))?;
/// assert_eq!(model.parameter_paths(), ["0.weight", "0.bias", "head.weight", "head.bias"]);
/// assert_eq!(model.forward(&Tensor::new(Array2::zeros((5, 4))))?.shape(), [5, 2]);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Default, Serialize)]
pub struct Sequential {
    store: ParamStore,
    /// Written as a list: not every format keeps the order of a map, and the order is what the module computes.
    #[serde(serialize_with = "in_order")]
    children: IndexMap<String, Box<dyn Module>>,
}

impl Sequential {
    /// A module without children, which gives back its input.
    pub fn new() -> Self {
        Sequential::default()
    }

    /// Appends a module under the number of its position (or the next number that is not taken).
    pub fn push(self, module: impl Module) -> Self {
        self.push_boxed(Box::new(module))
    }

    /// As [`push`](Self::push), for a module that is boxed already.
    pub fn push_boxed(mut self, module: Box<dyn Module>) -> Self {
        let mut position = self.children.len();
        while self.children.contains_key(&position.to_string()) {
            position += 1;
        }
        self.children.insert(position.to_string(), module);
        self
    }

    /// Appends a module under a name.
    ///
    /// # Errors
    ///
    /// [`NnError::BadName`](crate::error::NnError::BadName) if the name is empty, holds a dot or is taken.
    pub fn push_named(mut self, name: &str, module: impl Module) -> Result<Self> {
        self.insert(name.to_owned(), Box::new(module))?;
        Ok(self)
    }

    fn insert(&mut self, name: String, module: Box<dyn Module>) -> Result<()> {
        check_name("child", &name)?;
        if self.children.contains_key(&name) {
            return Err(Error::Nn(NnError::BadName {
                what: "child",
                name,
                reason: "it is taken",
            }));
        }
        self.children.insert(name, module);
        Ok(())
    }

    /// The child of this name.
    pub fn get(&self, name: &str) -> Option<&dyn Module> {
        self.children.get(name).map(|child| &**child)
    }

    /// The child of this name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut dyn Module> {
        self.children.get_mut(name).map(|child| &mut **child)
    }

    /// Number of children.
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether there are no children.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// The children, by name, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &dyn Module)> {
        self.children
            .iter()
            .map(|(name, child)| (name.as_str(), &**child))
    }
}

impl ParamTree for Sequential {
    fn store(&self) -> Option<&ParamStore> {
        Some(&self.store)
    }

    fn store_mut(&mut self) -> Option<&mut ParamStore> {
        Some(&mut self.store)
    }

    fn child_names(&self) -> Vec<String> {
        self.children.keys().cloned().collect()
    }

    fn child(&self, name: &str) -> Option<&dyn ParamTree> {
        self.children.get(name).map(|child| child as &dyn ParamTree)
    }

    fn child_mut(&mut self, name: &str) -> Option<&mut dyn ParamTree> {
        self.children
            .get_mut(name)
            .map(|child| child as &mut dyn ParamTree)
    }
}

#[typetag::serde(name = "secateurs::Sequential")]
impl Module for Sequential {
    fn compute(&self, input: &Tensor) -> Result<Tensor> {
        self.children
            .values()
            .try_fold(input.clone(), |input, child| child.forward(&input))
    }
}

fn in_order<S: Serializer>(
    children: &IndexMap<String, Box<dyn Module>>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(children)
}

impl<'de> Deserialize<'de> for Sequential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            store: ParamStore,
            children: Vec<(String, Box<dyn Module>)>,
        }

        let raw = depth::nested(|| Raw::deserialize(deserializer))?;
        let mut module = Sequential {
            store: raw.store,
            children: IndexMap::new(),
        };
        for (name, child) in raw.children {
            module.insert(name, child).map_err(serde::de::Error::custom)?;
        }
        Ok(module)
    }
}
