//! [`Group`]: separately owned modules as one tree.

use super::store::check_name;
use super::tree::ParamTree;
use crate::error::{Error, NnError, Result};

/// Separately owned modules, borrowed and named, as one tree: so that they can be pruned globally together.
///
/// ```
/// use rand::SeedableRng;
/// use secateurs::mask::L1Unstructured;
/// use secateurs::nn::{Group, Linear};
/// use secateurs::prune;
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let (mut encoder, mut head) = (Linear::new(8, 4, &mut rng), Linear::new(4, 2, &mut rng));
///
/// let mut group = Group::new().with("encoder", &mut encoder)?.with("head", &mut head)?;
/// let report = prune::global_unstructured(&mut group, ["encoder.weight", "head.weight"], L1Unstructured::new(0.5)?)?;
/// assert_eq!(report.pruned, 20);
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Default)]
pub struct Group<'a> {
    members: Vec<(String, &'a mut dyn ParamTree)>,
}

impl<'a> Group<'a> {
    /// An empty group.
    pub fn new() -> Self {
        Group::default()
    }

    /// The group with one more module, whose parameters have paths `name.…`.
    ///
    /// # Errors
    ///
    /// [`NnError::BadName`](crate::error::NnError::BadName) if the name is empty, holds a dot or is taken.
    pub fn with(mut self, name: &str, module: &'a mut dyn ParamTree) -> Result<Self> {
        check_name("child", name)?;
        if self.child(name).is_some() {
            return Err(Error::Nn(NnError::BadName {
                what: "child",
                name: name.to_owned(),
                reason: "it is taken",
            }));
        }
        self.members.push((name.to_owned(), module));
        Ok(self)
    }
}

impl ParamTree for Group<'_> {
    fn child_names(&self) -> Vec<String> {
        self.members.iter().map(|(name, _)| name.clone()).collect()
    }

    fn child(&self, name: &str) -> Option<&dyn ParamTree> {
        self.members
            .iter()
            .find(|(each, _)| each == name)
            .map(|(_, module)| &**module as &dyn ParamTree)
    }

    fn child_mut(&mut self, name: &str) -> Option<&mut dyn ParamTree> {
        let member = self.members.iter_mut().find(|(each, _)| each == name);
        member.map(|(_, module)| &mut **module as &mut dyn ParamTree)
    }
}
