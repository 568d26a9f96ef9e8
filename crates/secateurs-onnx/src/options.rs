//! [`Options`]: how much to remove, and how.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD};
use secateurs::mask::Amount;

use crate::couple::Choice;
use crate::error::{Error, Result};

/// How much to remove, and how.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) target: Target,
    pub(crate) importance: Importance,
    pub(crate) reduction: Reduction,
    pub(crate) scope: Scope,
    pub(crate) normalize: bool,
    pub(crate) round_to: usize,
    pub(crate) keep_at_least: usize,
    pub(crate) chosen: Option<Chosen>,
    pub(crate) verify: bool,
    pub(crate) choice: Choice,
    #[cfg(feature = "runtime")]
    pub(crate) time: bool,
}

/// What is to be reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// This amount of the channels.
    Amount(Amount),
    /// At most this share of what the model takes now.
    Budget(Resource, f64),
    /// Channels that are masked already.
    Masked,
}

/// What a model takes of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// Entries of all weights.
    Parameters,
    /// Multiply-adds for one sample.
    MultiplyAdds,
    /// Bytes of the model and its weights.
    Bytes,
    /// The time of one sample on one thread, which is measured here. Whatever else the machine does disturbs it.
    #[cfg(feature = "runtime")]
    Latency,
}

/// How important a channel is: by default its Euclidean norm. The least important ones are removed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Importance {
    /// The sum of absolute values over all weights of the channel.
    L1,
    /// The Euclidean norm over all weights of the channel (Li et al. 2017; with all coupled weights, Fang et al. 2023).
    #[default]
    L2,
    /// The norm of this order over all weights of the channel: a number above 0, or infinity for the largest absolute
    /// value.
    Norm(f64),
    /// The absolute scale of the channel's batch norm (network slimming, Liu et al. 2017). Groups without batch norm are
    /// left alone.
    BatchNorm,
    /// Random, from a seed.
    Random(u64),
    /// Scores that were computed elsewhere, such as Taylor scores: for weights by name, arrays of the weights' shapes. The
    /// importance of a channel is the sum of absolute scores. Groups without scores are left alone.
    Scores(Arc<BTreeMap<String, ArrayD<f32>>>),
    /// Scores that a function computes from each weight, made by [`function`](Self::function).
    Function(ScoreFunction),
}

impl Importance {
    /// Scores that a function computes: it is given the name of a weight and the weight, and returns scores of the same
    /// shape, or `None` for a weight that does not count. The importance of a channel is the sum of absolute scores.
    /// Groups without scores are left alone.
    ///
    /// ```
    /// use secateurs_onnx::{Importance, Options};
    ///
    /// // Biases and scales do not count.
    /// let matrices = Importance::function(|_, weight| (weight.ndim() > 1).then(|| weight.mapv(f32::abs)));
    /// let options = Options::new(0.5)?.importance(matrices);
    /// # Ok::<(), secateurs_onnx::Error>(())
    /// ```
    pub fn function(
        scores: impl Fn(&str, ArrayViewD<'_, f32>) -> Option<ArrayD<f32>> + Send + Sync + 'static,
    ) -> Self {
        Self::try_function(move |name, weight| Ok(scores(name, weight)))
    }

    /// Scores that a function computes which can fail. Its first error ends the call: nothing is written, and the error is
    /// [`Error::Scores`].
    pub fn try_function(
        scores: impl Fn(&str, ArrayViewD<'_, f32>) -> Result<Option<ArrayD<f32>>, ScoreError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Importance::Function(ScoreFunction(Arc::new(scores)))
    }
}

/// Why scores cannot be computed.
pub type ScoreError = Box<dyn std::error::Error + Send + Sync>;

/// A function that computes scores of a weight.
#[derive(Clone)]
pub struct ScoreFunction(pub(crate) Arc<Scoring>);

type Scoring = dyn Fn(&str, ArrayViewD<'_, f32>) -> Result<Option<ArrayD<f32>>, ScoreError> + Send + Sync;

impl fmt::Debug for ScoreFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScoreFunction")
    }
}

/// How the norms of the weights that are coupled in one channel become its importance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reduction {
    /// One norm over all of them.
    #[default]
    Sum,
    /// The mean of the norms of each.
    Mean,
    /// The largest norm.
    Max,
}

/// Which channels rank against each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Those of each group.
    #[default]
    Group,
    /// Those of all groups whose channels are made by the same operator, relative to the mean of their group unless
    /// [`normalize`](Options::normalize) says otherwise.
    Global,
}

/// Operators that range over all channels together, so that removing some changes what they make of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Inexact {
    /// Layer norms, also where they are written out as means, differences and squares: mean and variance are then those of
    /// the channels that remain.
    LayerNorm,
    /// `ReduceMax` and `ReduceMin` over channels: the extreme of those that remain.
    Maximum,
}

/// Which groups may be cut, by the names of their weights.
#[derive(Clone)]
pub(crate) struct Chosen(pub Arc<Predicate>);

type Predicate = dyn Fn(&[String]) -> bool + Send + Sync;

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chosen")
    }
}

impl Options {
    /// Removes this amount of the channels of each group: a fraction, or a count. What is kept of a group is rounded to
    /// the nearest multiple of 8, because many processors compute other numbers more slowly.
    ///
    /// # Errors
    ///
    /// [`Error::Prune`] for an invalid amount.
    pub fn new(amount: impl TryInto<Amount, Error: Into<secateurs::Error>>) -> Result<Self> {
        Ok(Self::with(Target::Amount(amount.try_into().map_err(Into::into)?)))
    }

    /// Removes channels until the model takes at most this share, between 0 and 1, of what it takes now; the same share of
    /// each group.
    ///
    /// # Errors
    ///
    /// [`Error::Options`] for a share that is not between 0 and 1.
    pub fn budget(resource: Resource, share: f64) -> Result<Self> {
        match share > 0.0 && share <= 1.0 {
            true => Ok(Self::with(Target::Budget(resource, share))),
            false => Err(Error::Options {
                reason: format!("a budget is a share between 0 and 1, not {share}"),
            }),
        }
    }

    /// Removes the channels that are masked already: those of which all weights that make them are zero, as
    /// `ln_structured` leaves them. A channel whose bias or batch-norm shift is not zero still sends a constant. That becomes
    /// bias of what reads it: of a convolution without padding, or of a matrix product. Before padding, and wherever else the
    /// constant does not reach all outputs alike, the channel stays. So the smaller model computes what the model computes as
    /// it is; the new biases are rounded to their type, which the verification leaves out. Nothing is rounded to multiples.
    pub fn masked() -> Self {
        let mut options = Self::with(Target::Masked).round_to(1);
        options.choice.as_they_are = true;
        options
    }

    fn with(target: Target) -> Self {
        Options {
            target,
            importance: Importance::default(),
            reduction: Reduction::default(),
            scope: Scope::default(),
            normalize: true,
            round_to: 8,
            keep_at_least: 1,
            chosen: None,
            verify: true,
            choice: Choice::default(),
            #[cfg(feature = "runtime")]
            time: false,
        }
    }

    /// With another importance.
    pub fn importance(mut self, importance: Importance) -> Self {
        self.importance = importance;
        self
    }

    /// With another reduction over coupled weights.
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// With channels that rank in another scope.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Whether importances are divided by the mean of their group before groups rank against each other in
    /// [`Scope::Global`], which is the default. Without it, groups of small weights lose most.
    pub fn normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    /// With what is kept of each group rounded to the nearest multiple of this, a tie to the larger one; 1 rounds nothing.
    /// On processors with AVX-512, 16 is often faster than the default of 8.
    pub fn round_to(mut self, multiple: usize) -> Self {
        self.round_to = multiple.max(1);
        self
    }

    /// With at least this number of channels kept of each group; 1 by default.
    pub fn keep_at_least(mut self, channels: usize) -> Self {
        self.keep_at_least = channels.max(1);
        self
    }

    /// With only those groups cut that a predicate accepts. It is given the names of all weights that are cut together.
    pub fn only(mut self, predicate: impl Fn(&[String]) -> bool + Send + Sync + 'static) -> Self {
        self.chosen = Some(Chosen(Arc::new(predicate)));
        self
    }

    /// Whether attention loses whole heads, of grouped queries whole groups with their keys and values. By default, all heads
    /// stay, and each loses the same places.
    pub fn whole_heads(mut self, whole_heads: bool) -> Self {
        self.choice.whole_heads = whole_heads;
        self
    }

    /// Whether grouped queries lose as many whole heads of each group, while keys and values stay; other attention loses whole
    /// heads. A removed query head counts as masked where it is read, too, as without its query it would send the mean of
    /// all values: so not together with [`masked`](Self::masked).
    pub fn query_heads(mut self, query_heads: bool) -> Self {
        self.choice.query_heads = query_heads;
        self
    }

    /// Lets channels go over which operators of this kind range, though that changes what these compute: in the smaller
    /// model, they range over the channels that remain. By default such channels are held.
    ///
    /// The smaller model is still proven to compute the masked model, with these operators ranging over the channels that
    /// remain; how far that is from the plain masked model is [`Report::accepted_deviation`].
    ///
    /// [`Report::accepted_deviation`]: crate::Report::accepted_deviation
    pub fn inexact(mut self, kind: Inexact) -> Self {
        match kind {
            Inexact::LayerNorm => self.choice.layer_norm = true,
            Inexact::Maximum => self.choice.maximum = true,
        }
        self
    }

    /// Whether the smaller model is run beside the masked one before it is given out, which is the default. Without it,
    /// nothing proves that they compute the same.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Whether the latency of the masked and the smaller model is measured, which takes some seconds: the median time of
    /// one sample on one thread. By default it is not. It needs verification.
    #[cfg(feature = "runtime")]
    pub fn time(mut self, time: bool) -> Self {
        self.time = time;
        self
    }

    /// Whether latency is measured: it is what a budget of it was met by, too.
    #[cfg(feature = "runtime")]
    pub(crate) fn times(&self) -> bool {
        self.time || matches!(self.target, Target::Budget(Resource::Latency, _))
    }

    /// What was asked for, in words, by the names of the options.
    pub(crate) fn described(&self) -> BTreeMap<&'static str, String> {
        let target = match &self.target {
            Target::Amount(amount) => ("amount", amount.to_string()),
            Target::Budget(resource, share) => ("budget", format!("{resource:?}: {share}")),
            Target::Masked => ("amount", "what is masked already".into()),
        };
        let importance = match &self.importance {
            Importance::Scores(scores) => format!("scores for {} weights", scores.len()),
            Importance::Function(_) => "scores of a function".into(),
            other => format!("{other:?}"),
        };
        let kept = [
            target,
            ("importance", importance),
            ("reduction", format!("{:?}", self.reduction)),
            ("scope", format!("{:?}", self.scope)),
            ("normalize", self.normalize.to_string()),
            ("round_to", self.round_to.to_string()),
            ("keep_at_least", self.keep_at_least.to_string()),
            ("only_some_groups", self.chosen.is_some().to_string()),
            ("inexact_layer_norm", self.choice.layer_norm.to_string()),
            ("inexact_maximum", self.choice.maximum.to_string()),
            ("whole_heads", self.choice.whole_heads.to_string()),
            ("query_heads", self.choice.query_heads.to_string()),
        ];
        kept.into_iter().collect()
    }
}
