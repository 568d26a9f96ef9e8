//! [`ArrayModel`]: an ordered map of arrays as a model.

use std::collections::HashMap;

use half::{bf16, f16};
use ndarray::{Array, ArrayD, Dimension};

use crate::error::{ModelError, Result};
use crate::mask::{Float, FloatView, Mask};
use crate::prunable::{
    MaskAction, MaskChange, ParameterView, Prunable, Pruning, check_changes, unknown_parameter,
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

/// An array of any float type that can be pruned.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FloatArray {
    /// Of `f16`.
    F16(ArrayD<f16>),
    /// Of `bf16`.
    BF16(ArrayD<bf16>),
    /// Of `f32`.
    F32(ArrayD<f32>),
    /// Of `f64`.
    F64(ArrayD<f64>),
}

macro_rules! for_each_type {
    ($array:expr, $values:ident => $body:expr) => {
        match $array {
            FloatArray::F16($values) => $body,
            FloatArray::BF16($values) => $body,
            FloatArray::F32($values) => $body,
            FloatArray::F64($values) => $body,
        }
    };
}

impl FloatArray {
    /// A view of the array.
    pub fn view(&self) -> FloatView<'_> {
        for_each_type!(self, values => values.into())
    }

    /// Puts +0.0 wherever the mask prunes.
    ///
    /// # Errors
    ///
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the mask has another shape.
    pub fn apply_mask(&mut self, mask: &Mask) -> Result<()> {
        for_each_type!(self, values => mask.apply_inplace(values.view_mut()))
    }
}

impl<'a> From<&'a FloatArray> for FloatView<'a> {
    fn from(array: &'a FloatArray) -> Self {
        array.view()
    }
}

/// A float type whose arrays an [`ArrayModel`] can hold.
pub trait ArrayElement: Float {
    /// The array, its type known at run time.
    fn float_array(array: ArrayD<Self>) -> FloatArray;
    /// The array, if it has this type.
    fn of(array: &FloatArray) -> Option<&ArrayD<Self>>;
}

macro_rules! array_element {
    ($($float:ty => $variant:ident),*) => {$(
        impl ArrayElement for $float {
            fn float_array(array: ArrayD<Self>) -> FloatArray {
                FloatArray::$variant(array)
            }

            fn of(array: &FloatArray) -> Option<&ArrayD<Self>> {
                match array {
                    FloatArray::$variant(array) => Some(array),
                    _ => None,
                }
            }
        }

        impl<D: Dimension> From<Array<$float, D>> for FloatArray {
            fn from(array: Array<$float, D>) -> Self {
                FloatArray::$variant(array.into_dyn())
            }
        }
    )*};
}

array_element!(f16 => F16, bf16 => BF16, f32 => F32, f64 => F64);

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
