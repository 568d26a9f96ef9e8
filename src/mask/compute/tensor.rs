//! [`Ranked`]: a tensor that a method ranks.

use crate::error::Result;
use crate::mask::Mask;
use crate::mask::float_view::FloatView;
use crate::mask::patterns::read::{Entries, Masked};

/// One tensor of a [`compute_global`](crate::mask::compute_global) call.
#[derive(Clone, Debug)]
pub struct Ranked<'a> {
    /// The name of the tensor in errors and options. It may be empty.
    pub name: &'a str,
    /// The scores, of the tensor's shape.
    pub scores: FloatView<'a>,
    /// The mask so far; `None` keeps everything.
    pub prior: Option<&'a Mask>,
}

impl<'a> Ranked<'a> {
    /// A tensor without a prior mask.
    pub fn new(name: &'a str, scores: impl Into<FloatView<'a>>) -> Self {
        Ranked {
            name,
            scores: scores.into(),
            prior: None,
        }
    }

    /// The same tensor with a prior mask.
    pub fn with_prior(mut self, prior: Option<&'a Mask>) -> Self {
        self.prior = prior;
        self
    }
}

/// A tensor to be ranked, with the value that its pruned entries count as.
#[derive(Clone, Debug)]
pub(crate) struct Tensor<'a> {
    pub name: &'a str,
    pub scores: FloatView<'a>,
    pub prior: Option<&'a Mask>,
    pub masked: Masked,
}

impl<'a> Tensor<'a> {
    /// Given scores, so that pruned entries count as given.
    pub fn given(name: &'a str, scores: &'a FloatView<'_>, prior: Option<&'a Mask>) -> Self {
        Tensor {
            name,
            scores: scores.view(),
            prior,
            masked: Masked::AsGiven,
        }
    }

    /// The tensors of a public call.
    pub fn all_given(tensors: &'a [Ranked<'_>]) -> Vec<Self> {
        let given = tensors.iter().map(|t| Tensor::given(t.name, &t.scores, t.prior));
        given.collect()
    }

    /// Number of entries that remain to be pruned.
    pub fn remaining(&self) -> usize {
        self.prior.map_or(self.scores.len(), Mask::count_kept)
    }

    /// The entries, as they count in scores.
    pub fn entries(&self) -> Entries<'_> {
        Entries::new(self.scores.view(), self.prior, self.masked)
    }

    /// The mask so far.
    pub fn mask(&self) -> Mask {
        self.prior
            .cloned()
            .unwrap_or_else(|| Mask::ones(self.scores.shape()))
    }

    /// Refuses a prior mask of another shape.
    pub fn check(&self) -> Result<()> {
        self.prior.map_or(Ok(()), |prior| {
            prior.check_shape("the array of scores", self.scores.shape())
        })
    }
}
