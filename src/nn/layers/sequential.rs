//! [`Sequential`].

use std::collections::HashSet;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, NnError, Result};
use crate::nn::store::{TAKEN, check_name};
use crate::nn::{BoxedModule, Module, ParamStore, ParamTree};
use crate::prunable::nearest;
use crate::tensor::Tensor;

/// A chain of modules, each fed with the output of the one before.
///
/// PyTorch's `nn.Sequential`. Children are named by their position (`0.weight`), or by a name of your choice. They
/// can be replaced, inserted and removed.
///
/// ```
/// use ndarray::Array2;
/// use rand::SeedableRng;
/// use secateurs::nn::{Linear, Module, ParamTreeExt, Relu, Sequential};
/// use secateurs::tensor::Tensor;
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let model = Sequential::new()
///     .push(Linear::new(4, 8, &mut rng)?)
///     .push(Relu::new())
///     .push_named("head", Linear::new(8, 2, &mut rng)?)?;
/// assert_eq!(model.parameter_paths(), ["0.weight", "0.bias", "head.weight", "head.bias"]);
/// assert_eq!(model.forward(&Tensor::new(Array2::zeros((5, 4))))?.shape(), [5, 2]);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sequential {
    store: ParamStore,
    /// Serialised as a list, because not every format keeps the order of a map.
    #[serde(serialize_with = "in_order")]
    children: IndexMap<String, BoxedModule>,
}

impl Sequential {
    /// A module without children, which returns its input.
    pub fn new() -> Self {
        Sequential::default()
    }

    /// Appends a module under the number of its position (or the next number that is not taken).
    pub fn push(self, module: impl Module) -> Self {
        self.push_boxed(Box::new(module))
    }

    /// As [`push`](Self::push), for a module that is boxed already.
    pub fn push_boxed(mut self, module: Box<dyn Module>) -> Self {
        let name = free_number(self.children.len(), |name| self.children.contains_key(name));
        self.children.insert(name, module.into());
        self
    }

    /// Appends a module under a name.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidName`] if the name is empty, holds a dot or is taken.
    pub fn push_named(mut self, name: &str, module: impl Module) -> Result<Self> {
        self.check_new(name)?;
        self.children.insert(name.to_owned(), BoxedModule::new(module));
        Ok(self)
    }

    /// Inserts a module before the child at `index`, or at the end where `index` is the number of children.
    ///
    /// The module is named by its position. Later children that are named by position are renamed, so `0, 1, head`
    /// becomes `0, 1, 2, head`. PyTorch's `Sequential.insert`.
    ///
    /// ```
    /// use rand::SeedableRng;
    /// use secateurs::nn::{Linear, ParamTreeExt, Relu, Sequential};
    ///
    /// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    /// let mut model = Sequential::new().push(Linear::new(4, 8, &mut rng)?).push(Linear::without_bias(8, 2, &mut rng)?);
    /// model.insert(1, Relu::new())?;
    /// assert_eq!(model.parameter_paths(), ["0.weight", "0.bias", "2.weight"]);
    /// model.remove("1")?;
    /// model.replace("0", Linear::without_bias(4, 8, &mut rng)?)?;
    /// assert_eq!(model.parameter_paths(), ["0.weight", "1.weight"]);
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`] if there are fewer than `index` children.
    pub fn insert(&mut self, index: usize, module: impl Module) -> Result<()> {
        self.check_index(index)?;
        let mut entries = self.take_unnamed();
        entries.insert(index, (None, BoxedModule::new(module)));
        self.name(entries);
        Ok(())
    }

    /// As [`insert`](Self::insert), under a name.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert), and [`NnError::InvalidName`] if the name is empty, holds a dot or is taken.
    pub fn insert_named(&mut self, index: usize, name: &str, module: impl Module) -> Result<()> {
        self.check_index(index)?;
        self.check_new(name)?;
        let mut entries = self.take_unnamed();
        entries.insert(index, (Some(name.to_owned()), BoxedModule::new(module)));
        self.name(entries);
        Ok(())
    }

    /// Replaces a child by a module, under the same name. Returns the child.
    ///
    /// # Errors
    ///
    /// [`NnError::UnknownChild`] if there is no child of this name.
    pub fn replace(&mut self, name: &str, module: impl Module) -> Result<Box<dyn Module>> {
        match self.children.get_mut(name) {
            Some(child) => Ok(std::mem::replace(child, BoxedModule::new(module)).into_inner()),
            None => Err(self.unknown(name)),
        }
    }

    /// Removes a child and returns it. Later children that are named by position are renamed.
    ///
    /// # Errors
    ///
    /// [`NnError::UnknownChild`] if there is no child of this name.
    pub fn remove(&mut self, name: &str) -> Result<Box<dyn Module>> {
        let Some(index) = self.children.get_index_of(name) else {
            return Err(self.unknown(name));
        };
        let mut entries = self.take_unnamed();
        let (_, child) = entries.remove(index);
        self.name(entries);
        Ok(child.into_inner())
    }

    /// Takes all children out, each with its name unless that is the number of its position.
    fn take_unnamed(&mut self) -> Vec<(Option<String>, BoxedModule)> {
        let children = std::mem::take(&mut self.children).into_iter().enumerate();
        children
            .map(|(position, (name, child))| ((name != position.to_string()).then_some(name), child))
            .collect()
    }

    /// Puts children back, naming those without a name by their position.
    fn name(&mut self, entries: Vec<(Option<String>, BoxedModule)>) {
        let mut names: HashSet<String> = entries.iter().filter_map(|(name, _)| name.clone()).collect();
        for (position, (name, child)) in entries.into_iter().enumerate() {
            let name = name.unwrap_or_else(|| free_number(position, |name| names.contains(name)));
            names.insert(name.clone());
            self.children.insert(name, child);
        }
    }

    fn check_index(&self, index: usize) -> Result<()> {
        if index <= self.len() {
            return Ok(());
        }
        Err(Error::Nn(NnError::InvalidSetting {
            what: "Sequential",
            setting: "index",
            value: index.to_string(),
            reason: "it must be at most the number of children",
        }))
    }

    /// Refuses a name that a new child cannot have.
    fn check_new(&self, name: &str) -> Result<()> {
        check_name("child", name)?;
        if !self.children.contains_key(name) {
            return Ok(());
        }
        Err(Error::Nn(NnError::InvalidName {
            what: "child",
            name: name.to_owned(),
            reason: TAKEN,
        }))
    }

    fn unknown(&self, name: &str) -> Error {
        Error::Nn(NnError::UnknownChild {
            name: name.to_owned(),
            nearest: nearest(name, self.children.keys().map(String::as_str)),
        })
    }

    /// The child of this name.
    pub fn get(&self, name: &str) -> Option<&dyn Module> {
        self.children.get(name).map(|child| &**child)
    }

    /// The child of this name, mutably.
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

/// The first number from `position` on that is not a name yet.
fn free_number(position: usize, taken: impl Fn(&str) -> bool) -> String {
    let mut numbers = (position..).map(|number| number.to_string());
    numbers
        .find(|name| !taken(name))
        .expect("there are more numbers than children")
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
    children: &IndexMap<String, BoxedModule>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(children)
}

impl<'de> Deserialize<'de> for Sequential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            store: ParamStore,
            children: Vec<(String, BoxedModule)>,
        }

        let raw = Raw::deserialize(deserializer)?;
        let mut module = Sequential {
            store: raw.store,
            children: IndexMap::new(),
        };
        for (name, child) in raw.children {
            module.check_new(&name).map_err(serde::de::Error::custom)?;
            module.children.insert(name, child);
        }
        Ok(module)
    }
}
