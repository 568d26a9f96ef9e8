//! [`SensitivityAnalysis`]: how much the loss suffers if each parameter alone is pruned.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::AnalysisError;
use super::table::Table;
use crate::error::Result;
use crate::mask::{Amount, IntoMethod, L1Unstructured, PruningMethod};
use crate::prunable::{MaskAction, MaskChange, Prunable, Pruning};
use crate::prune;

/// Prunes each parameter alone to several sparsities, and records the loss of the model each time.
///
/// The model is left bit for bit as it was. The [module documentation](super) has an example.
///
/// Li et al. 2017, <https://arxiv.org/abs/1608.08710>, section 3.2, prune filters so; here it is any method.
#[derive(Clone)]
pub struct SensitivityAnalysis<'a> {
    levels: Vec<(f64, Amount)>,
    method: Arc<MakeMethod<'a>>,
    progress: Option<Arc<Progress<'a>>>,
}

type MakeMethod<'a> = dyn Fn(Amount) -> Result<Arc<dyn PruningMethod>> + 'a;
type Progress<'a> = dyn Fn(usize, usize) + 'a;

/// The loss of a model in which each parameter alone was pruned to several sparsities. It prints as a table, and can be
/// serialised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sensitivity {
    /// The loss of the model as it was.
    pub baseline: f64,
    /// The sparsities that were tried.
    pub levels: Vec<f64>,
    /// Each parameter, in the order in which they were listed.
    pub parameters: Vec<ParameterSensitivity>,
}

/// The losses of a model in which one parameter was pruned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ParameterSensitivity {
    /// Path of the parameter.
    pub path: String,
    /// The loss at each level.
    pub losses: Vec<f64>,
}

impl<'a> SensitivityAnalysis<'a> {
    /// An analysis that prunes entries of lowest magnitude, to these shares of all entries of a parameter.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::NoLevels`] for an empty list, and
    /// [`AmountError::FractionOutOfRange`](crate::error::AmountError::FractionOutOfRange) for a share that is NaN or
    /// outside [0, 1].
    pub fn new(levels: &[f64]) -> Result<Self> {
        if levels.is_empty() {
            return Err(AnalysisError::NoLevels.into());
        }
        let levels = levels.iter().map(|level| Ok((*level, Amount::until(*level)?)));
        Ok(SensitivityAnalysis {
            levels: levels.collect::<Result<_>>()?,
            method: Arc::new(|amount| Ok(L1Unstructured::new(amount)?.into_method())),
            progress: None,
        })
    }

    /// With another method, made from the amount for each level.
    ///
    /// ```
    /// use secateurs::analysis::SensitivityAnalysis;
    /// use secateurs::prune::LnStructured;
    ///
    /// let channels = SensitivityAnalysis::new(&[0.25, 0.5])?.method(|amount| LnStructured::new(amount, 2, 0));
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    pub fn method<T: IntoMethod>(mut self, make: impl Fn(Amount) -> Result<T> + 'a) -> Self {
        self.method = Arc::new(move |amount| Ok(make(amount)?.into_method()));
        self
    }

    /// Calls `progress` after each measurement, with the number of those that are done and of all.
    pub fn progress(mut self, progress: impl Fn(usize, usize) + 'a) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// Measures the loss with each of these parameters pruned alone, in addition to what is pruned already.
    ///
    /// `loss` may return anything that is lower for better models, such as the share of test images that are not
    /// recognised.
    ///
    /// # Errors
    ///
    /// Whatever `loss`, the method or the model returns. Also after an error, and if `loss` panics, the model is as it
    /// was.
    pub fn run<M: Prunable>(
        &self,
        model: &mut M,
        paths: impl IntoIterator<Item = impl AsRef<str>>,
        mut loss: impl FnMut(&M) -> Result<f64>,
    ) -> Result<Sensitivity> {
        let paths: Vec<String> = paths.into_iter().map(|path| path.as_ref().to_owned()).collect();
        for path in &paths {
            model.view(path)?; // before the long work begins
        }
        let all = 1 + paths.len() * self.levels.len();
        let mut done = 0;
        let mut measured = || {
            done += 1;
            if let Some(progress) = &self.progress {
                progress(done, all);
            }
        };
        let baseline = loss(model)?;
        measured();
        let mut parameters = Vec::with_capacity(paths.len());
        for path in paths {
            let mut losses = Vec::with_capacity(self.levels.len());
            for (_, amount) in &self.levels {
                let method = (self.method)(*amount)?;
                let mut pruned = Restored::new(model, &path)?;
                prune::apply(pruned.model, &path, method)?;
                losses.push(loss(pruned.model)?);
                pruned.restore()?;
                measured();
            }
            parameters.push(ParameterSensitivity { path, losses });
        }
        Ok(Sensitivity {
            baseline,
            levels: self.levels.iter().map(|level| level.0).collect(),
            parameters,
        })
    }
}

/// A model whose parameter gets its mask back, whatever happens.
struct Restored<'m, M: Prunable> {
    model: &'m mut M,
    path: String,
    /// The mask that it has to get back, or that it had none; `None` once that is done.
    before: Option<Option<Pruning>>,
}

impl<'m, M: Prunable> Restored<'m, M> {
    fn new(model: &'m mut M, path: &str) -> Result<Self> {
        let view = model.view(path)?;
        let (path, before) = (view.path().to_owned(), Some(view.pruning().cloned()));
        drop(view);
        Ok(Restored { model, path, before })
    }

    fn restore(&mut self) -> Result<()> {
        let action = match self.before.take() {
            Some(Some(pruning)) => MaskAction::Set(pruning),
            Some(None) if self.model.view(&self.path)?.pruning().is_some() => MaskAction::Discard,
            _ => return Ok(()),
        };
        let path = self.path.clone();
        self.model.commit(vec![MaskChange { path, action }])
    }
}

impl<M: Prunable> Drop for Restored<'_, M> {
    fn drop(&mut self) {
        // After an error or a panic there is nobody to tell.
        let _ = self.restore();
    }
}

impl fmt::Debug for SensitivityAnalysis<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels: Vec<f64> = self.levels.iter().map(|level| level.0).collect();
        f.debug_struct("SensitivityAnalysis")
            .field("levels", &levels)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Sensitivity {
    /// A line for each parameter, with the loss at each level.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: &f64| format!("{value:.4}");
        let mut table = Table::default();
        let levels = self.levels.iter().map(|level| format!("{} %", percent(*level)));
        table.row(
            ["parameter".to_owned(), "as it was".to_owned()]
                .into_iter()
                .chain(levels),
        );
        for parameter in &self.parameters {
            let cells = [parameter.path.clone(), number(&self.baseline)].into_iter();
            table.row(cells.chain(parameter.losses.iter().map(number)));
        }
        table.fmt(f)
    }
}

/// A share in percent, without digits that say nothing.
fn percent(share: f64) -> f64 {
    (share * 1e4).round() / 100.0
}
