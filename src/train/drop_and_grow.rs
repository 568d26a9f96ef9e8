//! [`drop_and_grow`]: exchanges the weakest entries of a mask for the most promising others.

use ndarray::arr0;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::error::TrainError;
use crate::error::Result;
use crate::mask::{self, FloatView, L1Unstructured, Mask, RandomUnstructured};
use crate::prune::of_zeros;

/// Which entries grow.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Growth<'a> {
    /// Those whose scores have the highest absolute value, such as gradients with respect to the effective weights: the
    /// rule of RigL.
    Scores(FloatView<'a>),
    /// Entries at random, from this seed: the rule of SET.
    Random {
        /// The seed.
        seed: u64,
    },
}

/// A mask of the same sparsity, and what it changes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Exchange {
    /// The new mask.
    pub mask: Mask,
    /// Row-major indices of the entries that were kept before and are pruned now, ascending.
    pub dropped: Vec<usize>,
    /// Row-major indices of the entries that were pruned before and are kept now, ascending.
    pub grown: Vec<usize>,
}

/// Drops `count` kept entries of lowest magnitude, and grows as many of those that are not kept: one update of dynamic
/// sparse training, as a pure function of weights, growth scores and mask.
///
/// Entries that are dropped take part in the growth at once. Those that grow again are kept as they were, and are
/// neither among the `dropped` nor among the `grown`. Of equal weights, the first ones are dropped; of equal growth
/// scores, the last ones grow.
///
/// SET, Mocanu et al. 2018, <https://arxiv.org/abs/1707.04780>, with [`Growth::Random`]; RigL, Evci et al. 2020,
/// <https://arxiv.org/abs/1911.11134>, with the gradient as [`Growth::Scores`].
///
/// ```
/// use ndarray::array;
/// use secateurs::mask::Mask;
/// use secateurs::train::{Growth, drop_and_grow};
///
/// let weights = array![[0.9, 0.1, 0.0], [0.0, -0.5, 0.0]];
/// let gradient = array![[0.0, 0.2, 0.3], [-0.7, 0.0, 0.1]];
/// let mask = Mask::from_array(array![[1, 1, 0], [0, 1, 0]].view())?;
///
/// let exchange = drop_and_grow(&weights, Growth::Scores((&gradient).into()), &mask, 1)?;
/// assert_eq!(exchange.mask.to_array::<u8>(), array![[1, 0, 0], [1, 1, 0]].into_dyn());
/// assert_eq!((exchange.dropped, exchange.grown), (vec![1], vec![3]));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`TrainError::TooManyExchanged`] for more entries than are kept;
/// [`MaskError::ShapeMismatch`](crate::error::MaskError::ShapeMismatch) if the shapes differ;
/// [`MaskError::NanScore`](crate::error::MaskError::NanScore) for a NaN among kept weights, or among the scores of
/// entries that may grow.
pub fn drop_and_grow<'a>(
    weights: impl Into<FloatView<'a>>,
    growth: Growth<'_>,
    mask: &Mask,
    count: usize,
) -> Result<Exchange> {
    let weights = weights.into();
    mask.check_shape("the array of weights", weights.shape())?;
    let kept = mask.count_kept();
    if count > kept {
        let requested = count;
        return Err(TrainError::TooManyExchanged { requested, kept }.into());
    }
    let rest = mask::compute(&L1Unstructured::new(count)?, weights, Some(mask))?.mask;
    let candidates = rest.not();
    // Growing the highest is the same as pruning all but these.
    let others = candidates.count_kept() - count;
    let grown = match growth {
        Growth::Scores(scores) => {
            mask::check_scores(mask.shape(), &scores)?;
            mask::compute(&L1Unstructured::new(others)?, scores, Some(&candidates))?
        }
        Growth::Random { seed } => {
            let zero = arr0(0.0_f32).into_dyn();
            let method = RandomUnstructured::new(others, &mut ChaCha8Rng::seed_from_u64(seed))?;
            mask::compute(&method, of_zeros(&zero, mask.shape()), Some(&candidates))?
        }
    };
    let new = rest.or(&grown.mask)?;
    Ok(Exchange {
        dropped: indices(&mask.and(&new.not())?),
        grown: indices(&new.and(&mask.not())?),
        mask: new,
    })
}

/// The indices of the entries that a mask keeps.
fn indices(mask: &Mask) -> Vec<usize> {
    let mut indices = Vec::with_capacity(mask.count_kept());
    for (number, &word) in mask.as_words().iter().enumerate() {
        let mut word = word;
        while word != 0 {
            indices.push(64 * number + word.trailing_zeros() as usize);
            word &= word - 1;
        }
    }
    indices
}
