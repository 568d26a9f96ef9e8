//! [`ArrayModel`]: an ordered map of arrays as a model.

use std::collections::HashMap;

use ndarray::ArrayD;

use crate::error::{ModelError, Result};
use crate::mask::{ArrayElement, FloatArray};
use crate::prunable::{
    MaskAction, MaskChange, ParameterView, Prunable, Pruning, WriteValues, check_changes, check_values,
    unknown_parameter,
};

/// Named arrays of any float type, in order: the simplest model that can be pruned.
///
/// It is for those who have only arrays, and for tests. The arrays keep their original values until pruning is made
/// permanent by [`prune::remove`](crate::prune::remove). [`effective`](Self::effective) returns them with the mask
/// applied.
///
/// ```
/// use half::bf16;
/// use ndarray::array;
/// use secateurs::{ArrayModel, prune};
///
/// let mut model = ArrayModel::new();
/// model.insert("fc.weight", array![[0.1_f32, -3.0], [2.0, -0.2]])?;
/// model.insert("head.weight", array![[0.5, 1.0]].mapv(bf16::from_f64))?;
///
/// let report = prune::global_unstructured(&mut model, ["fc.weight", "head.weight"], prune::L1Unstructured::new(0.5)?)?;
/// assert_eq!(report.pruned, 3);
///
/// prune::remove_all(&mut model)?;
/// assert_eq!(model.get::<f32>("fc.weight"), Some(&array![[0.0, -3.0], [2.0, 0.0]].into_dyn()));
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ArrayModel {
    entries: Vec<Entry>,
    numbers: HashMap<String, usize>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    array: FloatArray,
    pruning: Option<Pruning>,
}

impl ArrayModel {
    /// A model without arrays.
    pub fn new() -> Self {
        ArrayModel::default()
    }

    /// Adds an array.
    ///
    /// # Errors
    ///
    /// [`ModelError::NameTaken`] if an array of this name exists.
    pub fn insert(&mut self, name: impl Into<String>, array: impl Into<FloatArray>) -> Result<()> {
        let name = name.into();
        if self.numbers.contains_key(&name) {
            return Err(ModelError::NameTaken { name }.into());
        }
        self.numbers.insert(name.clone(), self.entries.len());
        self.entries.push(Entry {
            name,
            array: array.into(),
            pruning: None,
        });
        Ok(())
    }

    /// The names of the arrays, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.name)
    }

    /// The array of this name, if it exists and has type `T`. It holds the original values, whether it is pruned or
    /// not.
    pub fn get<T: ArrayElement>(&self, name: &str) -> Option<&ArrayD<T>> {
        T::of(&self.entry(name)?.array)
    }

    /// The array of this name, of any type. It holds the original values, whether it is pruned or not.
    pub fn array(&self, name: &str) -> Option<&FloatArray> {
        Some(&self.entry(name)?.array)
    }

    /// The array of this name, mutably. Mask and history stay.
    pub fn array_mut(&mut self, name: &str) -> Option<&mut FloatArray> {
        let number = *self.numbers.get(name)?;
        Some(&mut self.entries[number].array)
    }

    /// The array of this name with +0.0 wherever its mask prunes.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownParameter`] for an unknown name, and
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError) if a pruned array was replaced by one of another shape.
    pub fn effective(&self, name: &str) -> Result<FloatArray> {
        let entry = self.entry(name).ok_or_else(|| unknown_parameter(self, name))?;
        match &entry.pruning {
            Some(pruning) => {
                let mut array = entry.array.clone();
                array.apply_mask(pruning.mask())?;
                Ok(array)
            }
            None => Ok(entry.array.clone()),
        }
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.numbers.get(name).map(|number| &self.entries[*number])
    }
}

impl Prunable for ArrayModel {
    fn paths(&self) -> Vec<String> {
        self.names().map(str::to_owned).collect()
    }

    fn view(&self, path: &str) -> Result<ParameterView<'_>> {
        let number = *self
            .numbers
            .get(path)
            .ok_or_else(|| unknown_parameter(self, path))?;
        let entry = &self.entries[number];
        Ok(ParameterView::new(
            path,
            number as u64,
            entry.array.view(),
            entry.pruning.as_ref(),
        ))
    }

    fn commit(&mut self, changes: Vec<MaskChange>) -> Result<()> {
        check_changes(self, &changes)?;
        for MaskChange { path, action } in changes {
            let entry = &mut self.entries[self.numbers[&path]];
            match action {
                MaskAction::Set(pruning) => entry.pruning = Some(pruning),
                MaskAction::Discard => entry.pruning = None,
                MaskAction::Remove => {
                    let pruning = entry.pruning.take();
                    let mask = pruning
                        .as_ref()
                        .map(Pruning::mask)
                        .expect("the changes were checked");
                    entry.array.apply_mask(mask)?;
                }
            }
        }
        Ok(())
    }
}

impl WriteValues for ArrayModel {
    fn write_values(&mut self, values: Vec<(String, FloatArray)>) -> Result<()> {
        check_values(self, &values)?;
        for (path, array) in values {
            self.entries[self.numbers[&path]].array = array;
        }
        Ok(())
    }
}
