//! [`Snapshot`]: the values of a model at one moment, to which it can be rewound.

use std::collections::HashSet;

use super::error::TrainError;
use crate::error::{ModelError, Result};
use crate::mask::FloatArray;
use crate::prunable::{Prunable, WriteValues};

/// The values of all floating-point parameters of a model at one moment.
///
/// The lottery ticket hypothesis (Frankle and Carbin 2019, <https://arxiv.org/abs/1803.03635>): train, prune, rewind what
/// remains to its first values, and train again. Later work rewinds to an early step instead of the first one (Frankle
/// et al. 2020, <https://arxiv.org/abs/1912.05671>). The control is a rewind to a snapshot of a newly initialised model,
/// under the same mask.
///
/// ```
/// use ndarray::array;
/// use secateurs::prune::{self, L1Unstructured};
/// use secateurs::train::Snapshot;
/// use secateurs::{ArrayModel, Result};
///
/// # fn train(model: &mut ArrayModel) -> Result<()> {
/// #     *model.array_mut("fc.weight").unwrap() = array![[0.3, -0.1], [0.4, 0.9]].into();
/// #     Ok(())
/// # }
/// let mut model = ArrayModel::new();
/// model.insert("fc.weight", array![[0.1, -0.2], [0.3, 0.4]])?;
///
/// let start = Snapshot::of(&model)?;
/// for round in 0..2 {
///     train(&mut model)?;
///     let paths = prune::weights(&model);
///     prune::global_unstructured(&mut model, paths, L1Unstructured::new(0.25)?)?; // of what remains
///     start.rewind(&mut model)?; // the masks stay
/// }
/// assert_eq!(model.effective("fc.weight")?, array![[0.0, 0.0], [0.3, 0.4]].into());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// Only parameters are rewound. What else a model holds, such as running statistics, and the moments of an optimiser
/// are not: make a new optimiser, and restore buffers from a state dict.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    values: Vec<(String, FloatArray)>,
}

impl Snapshot {
    /// The values that the parameters of a model have now. They are copied.
    ///
    /// # Errors
    ///
    /// Whatever keeps the model from giving them.
    pub fn of<M: Prunable + ?Sized>(model: &M) -> Result<Self> {
        let paths = model.paths().into_iter();
        let values = paths.map(|path| {
            let values = model.view(&path)?.values()?.into();
            Ok((path, values))
        });
        Ok(Snapshot {
            values: values.collect::<Result<_>>()?,
        })
    }

    /// Gives each parameter the value that it had, or that of the same path in another model of the same structure.
    /// Masks and histories stay.
    ///
    /// # Errors
    ///
    /// [`TrainError::OtherModel`] if a parameter is in only one of the two, and as
    /// [`WriteValues::write_values`]. After an error, the model is unchanged.
    pub fn rewind<M: WriteValues + ?Sized>(&self, model: &mut M) -> Result<()> {
        let other = |path: &str, reason| {
            let path = format!("`{path}`");
            Err(TrainError::OtherModel { path, reason }.into())
        };
        let known: HashSet<&str> = self.values().map(|(path, _)| path).collect();
        if let Some(path) = model.paths().iter().find(|path| !known.contains(&***path)) {
            return other(path, "is not in the snapshot");
        }
        for (path, _) in &self.values {
            match model.view(path) {
                Err(crate::Error::Model(ModelError::UnknownParameter { .. })) => {
                    return other(path, "is not in the model");
                }
                view => drop(view?),
            }
        }
        model.write_values(self.values.clone())
    }

    /// The paths and values.
    pub fn values(&self) -> impl Iterator<Item = (&str, &FloatArray)> {
        self.values.iter().map(|(path, values)| (&**path, values))
    }

    /// The value at a path.
    pub fn get(&self, path: &str) -> Option<&FloatArray> {
        self.values()
            .find(|(other, _)| *other == path)
            .map(|(_, values)| values)
    }
}
