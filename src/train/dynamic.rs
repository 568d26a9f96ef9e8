//! [`DynamicPruner`]: dynamic sparse training in a training loop.

use ndarray::arr0;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::drop_and_grow::{Growth, drop_and_grow};
use super::update::Masks;
use super::{PrunerState, Schedule, Update, parameters};
use crate::error::Result;
use crate::mask::random::stream_key;
use crate::mask::{self, Amount, FloatArray, Mask, RandomUnstructured};
use crate::prunable::{MaskAction, MaskChange, ParameterView, Prunable, check_changes};
use crate::prune::model::ByRef;
use crate::prune::of_zeros;

/// Trains sparse from start to end: exchanges the weakest entries for the most promising others, at constant sparsity.
///
/// At the steps of the schedule, the kept entries of lowest magnitude are dropped, and as many others grow:
/// at random ([`step_at_random`](Self::step_at_random), SET) or those with the largest gradients
/// ([`step_with_gradients`](Self::step_with_gradients), RigL). The share that the schedule gives is the fraction of kept
/// entries to exchange; RigL's is `Schedule::cosine(0.3, 0.0, …)`. An entry that grows starts at zero; one that is
/// dropped and grows again at once keeps its value.
///
/// ```
/// use ndarray::{Array2, ArrayD};
/// use secateurs::train::{DynamicPruner, Schedule, erdos_renyi_kernel};
/// use secateurs::{ArrayModel, prune};
///
/// let mut model = ArrayModel::new();
/// model.insert("0.weight", Array2::from_shape_fn((30, 20), |(i, j)| ((i * 20 + j) % 37) as f32 - 18.0))?;
/// model.insert("1.weight", Array2::from_shape_fn((10, 30), |(i, j)| ((i * 30 + j) % 29) as f32 - 14.0))?;
///
/// let schedule = Schedule::cosine(0.3, 0.0, 100..=750)?.every(100)?;
/// let mut pruner = DynamicPruner::new(&model, prune::weights(&model), schedule)?.seed(1);
/// pruner.start(&mut model, &erdos_renyi_kernel(&[&[30, 20], &[10, 30]], 0.8)?)?;
/// for step in 0..1000 {
///     // … forward, backward, and a step of the optimiser
///     pruner.step_with_gradients(&mut model, step, |view| {
///         Ok(ArrayD::<f32>::ones(view.shape()).into()) // the dense gradient of the effective weight
///     })?;
/// }
/// let pruned: usize = ["0.weight", "1.weight"].iter().map(|path| prune::mask(&model, path).unwrap().unwrap().count_pruned()).sum();
/// assert_eq!(pruned, 720);
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// SET, Mocanu et al. 2018, <https://arxiv.org/abs/1707.04780>; RigL, Evci et al. 2020,
/// <https://arxiv.org/abs/1911.11134>.
#[derive(Clone, Debug)]
pub struct DynamicPruner {
    paths: Vec<String>,
    schedule: Schedule,
    seed: u64,
    state: PrunerState,
}

/// Gives the growth scores of a parameter.
type Scores<'a> = &'a mut dyn FnMut(&ParameterView<'_>) -> Result<FloatArray>;

impl DynamicPruner {
    /// Exchanges entries of the parameters at these paths. The share of the schedule is the fraction of kept entries
    /// that are exchanged.
    ///
    /// # Errors
    ///
    /// As [`Pruner::new`](super::Pruner::new).
    pub fn new<M: Prunable + ?Sized>(
        model: &M,
        paths: impl IntoIterator<Item = impl AsRef<str>>,
        schedule: Schedule,
    ) -> Result<Self> {
        Ok(DynamicPruner {
            paths: parameters::checked(model, paths)?,
            schedule,
            seed: 0,
            state: PrunerState::default(),
        })
    }

    /// The seed of what happens at random; 0 if none is given.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The paths of the parameters.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// How far it has come, to be saved.
    pub fn state(&self) -> PrunerState {
        self.state
    }

    /// Goes on from a saved state.
    pub fn load_state(&mut self, state: PrunerState) {
        self.state = state;
    }

    /// Gives each parameter a random mask of the sparsity listed for it, in the order of [`paths`](Self::paths). It is
    /// how sparse training starts; [`erdos_renyi_kernel`](super::erdos_renyi_kernel) makes such a list.
    ///
    /// Masks that the parameters have are replaced. Original values stay, so that those of kept entries are the initial
    /// weights.
    ///
    /// # Errors
    ///
    /// [`ListError::OtherLength`](crate::error::ListError::OtherLength) for a list of another length, and
    /// [`AmountError::FractionOutOfRange`](crate::error::AmountError::FractionOutOfRange).
    pub fn start<M: Prunable + ?Sized>(&self, model: &mut M, sparsities: &[f64]) -> Result<Update> {
        self.mask_at_random(&mut ByRef(model), sparsities)
    }

    fn mask_at_random(&self, model: &mut dyn Prunable, sparsities: &[f64]) -> Result<Update> {
        if sparsities.len() != self.paths.len() {
            return Err(crate::error::ListError::OtherLength {
                expected: self.paths.len(),
                got: sparsities.len(),
            }
            .into());
        }
        let zero = arr0(0.0_f32).into_dyn();
        let mut new = Masks::default();
        for (number, (path, sparsity)) in self.paths.iter().zip(sparsities).enumerate() {
            let view = model.view(path)?;
            let method = RandomUnstructured::new(Amount::fraction(*sparsity)?, &mut self.rng(number, 0))?;
            let mask = mask::compute(&method, of_zeros(&zero, view.shape()), None)?.mask;
            new.add(path, view.mask(), mask)?;
        }
        new.commit(model, 0, 0.0)
    }

    /// Whether a call with this step would exchange entries, so that gradients are needed.
    pub fn is_update(&self, step: u64) -> bool {
        self.state.is_next(step) && self.schedule.at(step).is_some()
    }

    /// The step numbered `step` of training, where entries grow at random: SET. Returns what changed, if the schedule
    /// has an update here.
    ///
    /// A step that is not after all those before, such as one that is repeated, changes nothing.
    ///
    /// # Errors
    ///
    /// [`MaskError::NanScore`](crate::error::MaskError::NanScore) if a kept weight is NaN, and whatever the model
    /// returns. After an error, model and pruner are as they were.
    pub fn step_at_random<M: Prunable + ?Sized>(
        &mut self,
        model: &mut M,
        step: u64,
    ) -> Result<Option<Update>> {
        self.step(&mut ByRef(model), step, None)
    }

    /// The step numbered `step` of training, where those entries grow whose gradients have the highest absolute values:
    /// RigL.
    ///
    /// `gradients` is called for each parameter when there is an update. It returns the dense gradient of the loss with
    /// respect to the *effective* weight, which is not zero under the mask; any scores of the parameter's shape will do.
    /// [`is_update`](Self::is_update) says beforehand whether they are needed.
    ///
    /// # Errors
    ///
    /// As [`step_at_random`](Self::step_at_random), whatever `gradients` returns, and
    /// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) for gradients of another shape.
    pub fn step_with_gradients<M: Prunable + ?Sized>(
        &mut self,
        model: &mut M,
        step: u64,
        mut gradients: impl FnMut(&ParameterView<'_>) -> Result<FloatArray>,
    ) -> Result<Option<Update>> {
        self.step(&mut ByRef(model), step, Some(&mut gradients))
    }

    fn step(
        &mut self,
        model: &mut dyn Prunable,
        step: u64,
        gradients: Option<Scores<'_>>,
    ) -> Result<Option<Update>> {
        if !self.state.is_next(step) {
            return Ok(None);
        }
        let update = match self.schedule.at(step) {
            Some(fraction) => Some(self.exchange(model, step, fraction, gradients)?),
            None => None,
        };
        self.state.last_step = Some(step);
        self.state.updates += u64::from(update.is_some());
        Ok(update)
    }

    fn exchange(
        &self,
        model: &mut dyn Prunable,
        step: u64,
        fraction: f64,
        mut gradients: Option<Scores<'_>>,
    ) -> Result<Update> {
        let amount = Amount::fraction(fraction)?;
        model.check_whole()?;
        let mut new = Masks::default();
        for (number, path) in self.paths.iter().enumerate() {
            let view = model.view(path)?;
            let all = Mask::ones(view.shape());
            let before = view.mask().unwrap_or(&all);
            let kept = before.count_kept();
            let scores = gradients.as_mut().map(|gradients| gradients(&view)).transpose()?;
            let growth = match &scores {
                Some(scores) => Growth::Scores(scores.view()),
                // The first update is number 1: number 0 is the start.
                None => Growth::Random {
                    seed: self.rng(number, 1 + self.state.updates).next_u64(),
                },
            };
            let exchange = drop_and_grow(view.kept_values()?, growth, before, amount.units(kept, kept)?);
            new.add(path, view.mask(), exchange.map_err(|error| error.at(path))?.mask)?;
        }
        check_changes(model, new.changes())?;
        // What grows starts at zero: what was pruned until now is made permanent first, and then the new masks are set.
        // Both have been checked.
        let mut zeros = Vec::new();
        for MaskChange { path, .. } in new.changes() {
            if model.view(path)?.pruning().is_some() {
                let (path, action) = (path.clone(), MaskAction::Remove);
                zeros.push(MaskChange { path, action });
            }
        }
        model.commit(zeros)?;
        new.commit(model, step, fraction)
    }

    /// The generator of an update of a parameter. S18
    fn rng(&self, parameter: usize, update: u64) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(stream_key(self.seed, parameter as u64, update))
    }
}
