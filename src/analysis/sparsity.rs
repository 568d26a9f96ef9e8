//! [`SparsityReport`]: how sparse a model is, and what that saves.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::table::{Table, bytes};
use crate::error::Result;
use crate::mask::{FloatType, Mask};
use crate::prunable::{ParameterView, Prunable};

/// How sparse each parameter of a model is, by its masks. It prints as a table, and can be serialised.
///
/// Only masks count. Zeros that pruning has made permanent are values like others; for those of a file, see
/// `checkpoint::Checkpoint::inspect`. The values of the model are not read.
///
/// ```
/// use ndarray::Array2;
/// use secateurs::analysis::SparsityReport;
/// use secateurs::{ArrayModel, prune};
///
/// let mut model = ArrayModel::new();
/// model.insert("fc.weight", Array2::from_shape_fn((16, 64), |(i, j)| (i * 64 + j) as f32))?;
/// prune::ln_structured(&mut model, "fc.weight", 4, 2, 0)?;
/// let report = SparsityReport::of(&model)?;
/// assert_eq!((report.masked(), report.sparsity(), report.parameters[0].dead_channels[0]), (256, 0.25, 4));
/// assert_eq!(
///     report.to_string(),
///     "parameter     shape  entries  pruned  sparsity  dead, dim 0  dead, dim 1    dense   packed\n\
///      fc.weight  [16, 64]     1024     256   25.00 %      4 of 16      0 of 64  4.10 kB  3.20 kB"
/// );
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SparsityReport {
    /// Each parameter, in the order of the model.
    pub parameters: Vec<ParameterSparsity>,
}

/// How sparse one parameter is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ParameterSparsity {
    /// Path of the parameter.
    pub path: String,
    /// The length of each dimension.
    pub shape: Vec<usize>,
    /// Entries in all.
    pub entries: usize,
    /// Entries that are masked.
    pub masked: usize,
    /// For each dimension, how many channels along it are wholly masked. Dimension 0 numbers output channels, and
    /// dimension 1 input channels, of weights that are stored as PyTorch stores them.
    pub dead_channels: Vec<usize>,
    /// Bytes of all values.
    pub dense_bytes: u64,
    /// Bytes of the kept values and of a mask with a bit for each entry, if that is less: what the command
    /// `secateurs pack` makes of it, without headers.
    pub packed_bytes: u64,
}

impl SparsityReport {
    /// The report of a model.
    ///
    /// # Errors
    ///
    /// Whatever keeps the model from showing its parameters.
    pub fn of<M: Prunable + ?Sized>(model: &M) -> Result<Self> {
        let parameters = model.paths().into_iter();
        let parameters = parameters.map(|path| Ok(ParameterSparsity::of(&model.view(&path)?)));
        Ok(SparsityReport {
            parameters: parameters.collect::<Result<_>>()?,
        })
    }

    /// Entries in all.
    pub fn entries(&self) -> usize {
        self.parameters.iter().map(|parameter| parameter.entries).sum()
    }

    /// Entries that are masked.
    pub fn masked(&self) -> usize {
        self.parameters.iter().map(|parameter| parameter.masked).sum()
    }

    /// The share of entries that are masked, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        share(self.masked(), self.entries())
    }

    /// Bytes of all values.
    pub fn dense_bytes(&self) -> u64 {
        self.parameters
            .iter()
            .map(|parameter| parameter.dense_bytes)
            .sum()
    }

    /// Bytes if each parameter is packed for which that is less.
    pub fn packed_bytes(&self) -> u64 {
        self.parameters
            .iter()
            .map(|parameter| parameter.packed_bytes)
            .sum()
    }
}

impl ParameterSparsity {
    fn of(view: &ParameterView<'_>) -> Self {
        let (entries, shape) = (view.len(), view.shape().to_vec());
        let masked = view.mask().map_or(0, Mask::count_pruned);
        let size = match view.float_type() {
            FloatType::F64 => 8,
            FloatType::F32 => 4,
            FloatType::F16 | FloatType::BF16 => 2,
        };
        let dense_bytes = (entries * size) as u64;
        let packed = (entries.div_ceil(8) + (entries - masked) * size) as u64;
        ParameterSparsity {
            path: view.path().to_owned(),
            dead_channels: view.mask().map_or_else(|| vec![0; shape.len()], dead_channels),
            shape,
            entries,
            masked,
            dense_bytes,
            packed_bytes: packed.min(dense_bytes),
        }
    }

    /// The share of entries that are masked, in [0, 1].
    pub fn sparsity(&self) -> f64 {
        share(self.masked, self.entries)
    }
}

/// For each dimension, how many channels along it have no kept entry.
fn dead_channels(mask: &Mask) -> Vec<usize> {
    let shape = mask.shape();
    let mut alive: Vec<Vec<bool>> = shape.iter().map(|len| vec![false; *len]).collect();
    for (number, &word) in mask.as_words().iter().enumerate() {
        let mut word = word;
        while word != 0 {
            let mut index = 64 * number + word.trailing_zeros() as usize;
            word &= word - 1;
            for (len, alive) in shape.iter().zip(&mut alive).rev() {
                alive[index % len] = true;
                index /= len;
            }
        }
    }
    let dead = alive
        .iter()
        .map(|alive| alive.iter().filter(|alive| !**alive).count());
    dead.collect()
}

fn share(masked: usize, entries: usize) -> f64 {
    match entries {
        0 => 0.0,
        _ => masked as f64 / entries as f64,
    }
}

impl fmt::Display for SparsityReport {
    /// A line for each parameter, and one for the total if there are several.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        table.row([
            "parameter",
            "shape",
            "entries",
            "pruned",
            "sparsity",
            "dead, dim 0",
            "dead, dim 1",
            "dense",
            "packed",
        ]);
        for parameter in &self.parameters {
            let dead = |dim: usize| match (parameter.dead_channels.get(dim), parameter.shape.len()) {
                (Some(dead), 2..) => format!("{dead} of {}", parameter.shape[dim]),
                _ => String::new(),
            };
            table.row([
                parameter.path.clone(),
                format!("{:?}", parameter.shape),
                parameter.entries.to_string(),
                parameter.masked.to_string(),
                format!("{:.2} %", 100.0 * parameter.sparsity()),
                dead(0),
                dead(1),
                bytes(parameter.dense_bytes),
                bytes(parameter.packed_bytes),
            ]);
        }
        if self.parameters.len() > 1 {
            table.row([
                "total".to_owned(),
                String::new(),
                self.entries().to_string(),
                self.masked().to_string(),
                format!("{:.2} %", 100.0 * self.sparsity()),
                String::new(),
                String::new(),
                bytes(self.dense_bytes()),
                bytes(self.packed_bytes()),
            ]);
        }
        table.fmt(f)
    }
}
