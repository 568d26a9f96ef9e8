//! [`Group`]: separately owned modules as one tree.

use indexmap::IndexMap;

use super::store::{TAKEN, check_name};
use super::tree::ParamTree;
use crate::error::{Error, NnError, Result};

/// Separately owned modules, borrowed and named, as one tree. Prune them globally together through it.
///
/// ```
/// use rand::SeedableRng;
/// use secateurs::mask::L1Unstructured;
/// use secateurs::nn::{Group, Linear};
/// use secateurs::prune;
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let (mut encoder, mut head) = (Linear::new(8, 4, &mut rng)?, Linear::new(4, 2, &mut rng)?);
///
/// let mut group = Group::new().with("encoder", &mut encoder)?.with("head", &mut head)?;
/// let report = prune::global_unstructured(&mut group, ["encoder.weight", "head.weight"], L1Unstructured::new(0.5)?)?;
/// assert_eq!(report.pruned, 20);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Default)]
pub struct Group<'a> {
    members: IndexMap<String, &'a mut dyn ParamTree>,
}

impl<'a> Group<'a> {
    /// An empty group.
    pub fn new() -> Self {
        Group::default()
    }

    /// Adds a module, whose parameters get the paths `name.…`.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidName`](crate::error::NnError::InvalidName) if the name is empty, holds a dot or is taken.
    pub fn with(mut self, name: &str, module: &'a mut dyn ParamTree) -> Result<Self> {
        check_name("child", name)?;
        if self.members.contains_key(name) {
            return Err(Error::Nn(NnError::InvalidName {
                what: "child",
                name: name.to_owned(),
                reason: TAKEN,
            }));
        }
        self.members.insert(name.to_owned(), module);
        Ok(self)
    }
}

impl ParamTree for Group<'_> {
    fn child_names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    fn child(&self, name: &str) -> Option<&dyn ParamTree> {
        self.members.get(name).map(|module| &**module as &dyn ParamTree)
    }

    fn child_mut(&mut self, name: &str) -> Option<&mut dyn ParamTree> {
        self.members
            .get_mut(name)
            .map(|module| &mut **module as &mut dyn ParamTree)
    }
}
