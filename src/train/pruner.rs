//! [`Pruner`]: prunes parameters of a model in a training loop, by a schedule.

use std::fmt;
use std::sync::Arc;

use ndarray::arr0;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::parameters;
use super::update::Masks;
use super::{PrunerState, Schedule, Update};
use crate::error::Result;
use crate::mask::random::stream_key;
use crate::mask::{
    self, Amount, FloatArray, FloatView, GlobalOptions, IntoMethod, L1Unstructured, Mask, Masked,
    PruningMethod, Tensor,
};
use crate::prunable::{ParameterView, Prunable};
use crate::prune::model::ByRef;
use crate::prune::{of_zeros, ranks_nothing};

/// Prunes parameters of a model in a training loop: a method, a scope and a [`Schedule`].
///
/// Call [`step`](Self::step) once in each step of training. Most calls return `None`. At the steps of the schedule, the
/// masks of all parameters are brought to the scheduled sparsity together, and the call returns what changed.
///
/// Unless something else is chosen, each parameter is pruned by itself to the scheduled sparsity, the entries of lowest
/// magnitude first, and what is pruned stays pruned.
///
/// ```
/// use ndarray::Array2;
/// use secateurs::prune::{self, GlobalOptions};
/// use secateurs::train::{Pruner, Schedule};
/// use secateurs::{ArrayModel, Result};
///
/// # fn train(_: &mut ArrayModel) {}
/// let mut model = ArrayModel::new();
/// model.insert("0.weight", Array2::from_shape_fn((8, 8), |(i, j)| (i * j) as f32 - 10.0))?;
/// model.insert("1.weight", Array2::from_shape_fn((8, 8), |(i, j)| (i + j) as f32 - 3.0))?;
///
/// // All weights ranked together, none above 95 %, and entries may come back.
/// let schedule = Schedule::cubic(0.0, 0.9, 0..=800)?.every(100)?;
/// let options = GlobalOptions::new().max_sparsity(0.95)?;
/// let mut pruner = Pruner::new(&model, prune::weights(&model), schedule)?.global_with(options).recompute(true);
/// for step in 0..1000 {
///     train(&mut model);
///     if let Some(update) = pruner.step(&mut model, step)? {
///         println!("{update}");
///     }
/// }
/// prune::remove_all(&mut model)?;
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// The history of a parameter does not grow with each update: it becomes one
/// [`CustomFromMask`](crate::mask::CustomFromMask).
///
/// Zhu and Gupta 2017, <https://arxiv.org/abs/1710.01878>, with [`Schedule::cubic`] and
/// [`recompute(true)`](Self::recompute).
#[derive(Clone)]
pub struct Pruner {
    paths: Vec<String>,
    schedule: Schedule,
    method: Arc<MakeMethod>,
    global: Option<GlobalOptions<'static>>,
    recompute: bool,
    seed: u64,
    state: PrunerState,
}

type MakeMethod = dyn Fn(Amount, &mut ChaCha8Rng) -> Result<Arc<dyn PruningMethod>> + Send + Sync;

impl Pruner {
    /// A pruner of the parameters at these paths.
    ///
    /// # Errors
    ///
    /// [`ListError::NoParameters`](crate::error::ListError::NoParameters) for an empty list,
    /// [`ListError::ListedTwice`](crate::error::ListError::ListedTwice), and
    /// [`ModelError::UnknownParameter`](crate::error::ModelError::UnknownParameter).
    pub fn new<M: Prunable + ?Sized>(
        model: &M,
        paths: impl IntoIterator<Item = impl AsRef<str>>,
        schedule: Schedule,
    ) -> Result<Self> {
        Ok(Pruner {
            paths: parameters::checked(model, paths)?,
            schedule,
            method: Arc::new(|amount, _| Ok(L1Unstructured::new(amount)?.into_method())),
            global: None,
            recompute: false,
            seed: 0,
            state: PrunerState::default(),
        })
    }

    /// A pruner of the parameters that a predicate chooses.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use secateurs::ArrayModel;
    /// use secateurs::train::{Pruner, Schedule};
    ///
    /// let mut model = ArrayModel::new();
    /// model.insert("fc.weight", Array2::<f32>::ones((3, 4)))?;
    /// let schedule = Schedule::milestones([(10, 0.5)])?;
    /// assert!(Pruner::matching(&model, |view| view.shape().len() == 2, schedule.clone()).is_ok());
    /// assert!(Pruner::matching(&model, |view| view.path().ends_with("kernel"), schedule).is_err());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ListError::NoParameters`](crate::error::ListError::NoParameters) if it chooses none.
    pub fn matching<M: Prunable + ?Sized>(
        model: &M,
        predicate: impl Fn(&ParameterView<'_>) -> bool,
        schedule: Schedule,
    ) -> Result<Self> {
        let mut paths = Vec::new();
        for path in model.paths() {
            if predicate(&model.view(&path)?) {
                paths.push(path);
            }
        }
        Pruner::new(model, paths, schedule)
    }

    /// With another method, made for each update from the amount to be pruned: the target of the schedule, as
    /// [`Amount::until`].
    ///
    /// A random method draws its seed from the generator. Each update of each parameter has a generator of its own,
    /// so that equal parameters and successive updates get different masks. Other methods leave it alone.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use secateurs::prune::{LnStructured, RandomUnstructured};
    /// use secateurs::ArrayModel;
    /// use secateurs::train::{Pruner, Schedule};
    ///
    /// let mut model = ArrayModel::new();
    /// model.insert("weight", Array2::<f32>::ones((8, 4)))?;
    /// let schedule = Schedule::linear(0.0, 0.5, 0..=10)?;
    /// let pruner = Pruner::new(&model, ["weight"], schedule)?;
    /// let channels = pruner.clone().method(|amount, _| LnStructured::new(amount, 2, 0));
    /// let at_random = pruner.seed(7).method(|amount, rng| RandomUnstructured::new(amount, rng));
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    pub fn method<T: IntoMethod>(
        mut self,
        make: impl Fn(Amount, &mut ChaCha8Rng) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        self.method = Arc::new(move |amount, rng| Ok(make(amount, rng)?.into_method()));
        self
    }

    /// With all parameters ranked together, in place of each by itself. The method has to be unstructured.
    pub fn global(self) -> Self {
        self.global_with(GlobalOptions::new())
    }

    /// With all parameters ranked together, with caps or by norms.
    pub fn global_with(mut self, options: GlobalOptions<'static>) -> Self {
        self.global = Some(options);
        self
    }

    /// Whether masks are computed anew at each update, from the original values under the masks, so that entries may
    /// come back with the values they had. Otherwise masks only ever become sparser.
    pub fn recompute(mut self, recompute: bool) -> Self {
        self.recompute = recompute;
        self
    }

    /// The seed of the generators that random methods draw from; 0 if none is given.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The paths of the parameters.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// The schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// How far it has come, to be saved.
    pub fn state(&self) -> PrunerState {
        self.state
    }

    /// Goes on from a saved state.
    pub fn load_state(&mut self, state: PrunerState) {
        self.state = state;
    }

    /// The step numbered `step` of training. Updates the masks if the schedule says so, and returns what changed.
    ///
    /// A step that is not after all those before, such as one that is repeated, changes nothing.
    ///
    /// # Errors
    ///
    /// Whatever the method returns, or the model. After an error, model and pruner are as they were.
    pub fn step<M: Prunable + ?Sized>(&mut self, model: &mut M, step: u64) -> Result<Option<Update>> {
        self.step_with_scores(model, step, |_| Ok(None))
    }

    /// As [`step`](Self::step), where entries are ranked by importance scores. `scores` is called for each parameter
    /// when there is an update, and returns an array of its shape, or `None` to rank by its values.
    ///
    /// ```
    /// use ndarray::array;
    /// use secateurs::ArrayModel;
    /// use secateurs::train::{Pruner, Schedule};
    ///
    /// let mut model = ArrayModel::new();
    /// model.insert("weight", array![[1.0, 2.0, 3.0, 4.0]])?;
    /// let gradient = array![[4.0, 0.1, 0.2, 1.0]].into_dyn();
    /// let mut pruner = Pruner::new(&model, ["weight"], Schedule::milestones([(5, 0.5)])?)?;
    /// for step in 0..10 {
    ///     pruner.step_with_scores(&mut model, step, |view| {
    ///         Ok(Some((view.values()?.to_f32() * &gradient).into())) // gradient times weight
    ///     })?;
    /// }
    /// assert_eq!(secateurs::prune::mask(&model, "weight")?.unwrap().to_array::<u8>(), array![[1, 0, 0, 1]].into_dyn());
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step), whatever `scores` returns, and
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) for scores of another shape.
    pub fn step_with_scores<M: Prunable + ?Sized>(
        &mut self,
        model: &mut M,
        step: u64,
        mut scores: impl FnMut(&ParameterView<'_>) -> Result<Option<FloatArray>>,
    ) -> Result<Option<Update>> {
        if !self.state.is_next(step) {
            return Ok(None);
        }
        let update = match self.schedule.at(step) {
            Some(sparsity) => Some(self.update(&mut ByRef(model), step, sparsity, &mut scores)?),
            None => None,
        };
        self.state.last_step = Some(step);
        self.state.updates += u64::from(update.is_some());
        Ok(update)
    }

    fn update(
        &self,
        model: &mut dyn Prunable,
        step: u64,
        sparsity: f64,
        scores: &mut dyn FnMut(&ParameterView<'_>) -> Result<Option<FloatArray>>,
    ) -> Result<Update> {
        let amount = Amount::until(sparsity)?;
        model.check_whole()?;
        let views = self.paths.iter().map(|path| model.view(path));
        let views: Vec<_> = views.collect::<Result<_>>()?;
        let scores = views.iter().map(scores).collect::<Result<Vec<_>>>()?;
        let ranked: Vec<_> = views.iter().zip(&scores).collect();
        let masks = match &self.global {
            Some(options) => self.together(&ranked, amount, options)?,
            None => {
                let each = ranked.iter().enumerate();
                let each = each
                    .map(|(number, (view, scores))| self.alone(number as u64, view, scores.as_ref(), amount));
                each.collect::<Result<_>>()?
            }
        };
        let mut new = Masks::default();
        for (view, mask) in views.iter().zip(masks) {
            new.add(view.path(), view.mask(), mask)?;
        }
        drop(views);
        new.commit(model, step, sparsity)
    }

    /// The method of this update, for a parameter by its number in the list.
    fn make(&self, parameter: u64, amount: Amount) -> Result<Arc<dyn PruningMethod>> {
        // S18
        let key = stream_key(self.seed, parameter, self.state.updates);
        (self.method)(amount, &mut ChaCha8Rng::from_seed(key))
    }

    /// The new mask of a parameter that is ranked by itself.
    fn alone(
        &self,
        number: u64,
        view: &ParameterView<'_>,
        scores: Option<&FloatArray>,
        amount: Amount,
    ) -> Result<Mask> {
        let method = self.make(number, amount)?;
        let zero = arr0(0.0_f32).into_dyn();
        let tensor = self.tensor(view, scores, ranks_nothing(&*method), &zero)?;
        let outcome = mask::compute_tensor(&method.as_ref(), &tensor);
        Ok(outcome.map_err(|error| error.at(view.path()))?.mask)
    }

    /// The new masks of parameters that are ranked together.
    fn together(
        &self,
        ranked: &[(&ParameterView<'_>, &Option<FloatArray>)],
        amount: Amount,
        options: &GlobalOptions<'_>,
    ) -> Result<Vec<Mask>> {
        let method = self.make(0, amount)?;
        let zero = arr0(0.0_f32).into_dyn();
        let ranks_nothing = ranks_nothing(&*method);
        let tensors = ranked
            .iter()
            .map(|(view, scores)| self.tensor(view, scores.as_ref(), ranks_nothing, &zero));
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        Ok(mask::compute_tensors(&method.as_ref(), &tensors, options)?.masks)
    }

    /// What is ranked of a parameter.
    fn tensor<'a>(
        &self,
        view: &'a ParameterView<'_>,
        scores: Option<&'a FloatArray>,
        ranks_nothing: bool,
        zero: &'a ndarray::ArrayD<f32>,
    ) -> Result<Tensor<'a>> {
        let prior = view.mask().filter(|_| !self.recompute);
        let (scores, masked): (FloatView<'a>, _) = match scores {
            Some(scores) => {
                let view = scores.view();
                (view, Masked::AsGiven)
            }
            None if ranks_nothing => (of_zeros(zero, view.shape()), Masked::AsGiven),
            None if self.recompute => (view.values()?, Masked::AsGiven),
            None => (view.kept_values()?, Masked::AsZero),
        };
        mask::check_scores(view.shape(), &scores).map_err(|error| error.at(view.path()))?;
        Ok(Tensor {
            name: view.path(),
            scores,
            prior,
            masked,
        })
    }
}

impl fmt::Debug for Pruner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pruner")
            .field("paths", &self.paths)
            .field("schedule", &self.schedule)
            .field("global", &self.global)
            .field("recompute", &self.recompute)
            .field("seed", &self.seed)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
