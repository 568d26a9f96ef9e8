//! [`Dropout`].

use std::sync::atomic::{AtomicU64, Ordering};

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, NnError, Result};
use crate::mask::Mask;
use crate::mask::random::append_words;
use crate::nn::{Module, ParamStore};
use crate::tensor::Tensor;

/// In training mode, makes each entry 0 with probability `p`, and multiplies the others by `1 / (1 − p)`. In evaluation
/// mode, returns its input; see [`ParamTreeExt::eval`](crate::nn::ParamTreeExt::eval).
///
/// PyTorch's `nn.Dropout`, except for its random numbers: the layer keeps a seed drawn from the caller's generator, and
/// counts its calls. The mask of a call depends on these two and on nothing else. Both are saved with the layer, so that
/// a resumed run drops the same entries as one that never stopped. A clone, too, has the seed and the count of the
/// original. If several threads call it at once, each call has a mask of its own.
///
/// Dropped entries are +0.0, even where the input is NaN or infinite.
///
/// ```
/// use ndarray::Array1;
/// use rand::SeedableRng;
/// use secateurs::nn::{Dropout, Module};
/// use secateurs::tensor::Tensor;
///
/// let layer = Dropout::new(0.5, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0))?;
/// let output = layer.forward(&Tensor::new(Array1::ones(1000)))?;
/// assert!(output.value().iter().all(|&x| x == 0.0 || x == 2.0));
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Dropout {
    store: ParamStore,
    p: f64,
    seed: u64,
    /// Changed by forward, and shared by threads that run it.
    calls: AtomicU64,
}

#[derive(Deserialize)]
struct Raw {
    store: ParamStore,
    p: f64,
    seed: u64,
    calls: u64,
}

impl TryFrom<Raw> for Dropout {
    type Error = Error;

    fn try_from(
        Raw {
            store,
            p,
            seed,
            calls,
        }: Raw,
    ) -> Result<Self> {
        if !(0.0..=1.0).contains(&p) {
            return Err(Error::Nn(NnError::InvalidSetting {
                what: "Dropout",
                setting: "p",
                value: p.to_string(),
                reason: "it must be in [0, 1]",
            }));
        }
        let calls = calls.into();
        Ok(Dropout {
            store,
            p,
            seed,
            calls,
        })
    }
}

impl Clone for Dropout {
    fn clone(&self) -> Self {
        Dropout {
            store: self.store.clone(),
            p: self.p,
            seed: self.seed,
            calls: self.calls.load(Ordering::Relaxed).into(),
        }
    }
}

impl Dropout {
    /// A layer that drops each entry with probability `p`. Draws one number from the generator.
    ///
    /// # Errors
    ///
    /// [`NnError::InvalidSetting`](crate::error::NnError::InvalidSetting) if `p` is outside [0, 1].
    pub fn new(p: f64, rng: &mut (impl Rng + ?Sized)) -> Result<Self> {
        let store = ParamStore::new();
        let raw = Raw {
            store,
            p,
            seed: 0,
            calls: 0,
        };
        let layer = Dropout::try_from(raw)?;
        let seed = rng.next_u64();
        Ok(Dropout { seed, ..layer })
    }

    /// Which entries the present call keeps. Entry `i` is dropped if word `i` of the stream of this call is below
    /// `p × 2³²`.
    fn mask(&self, shape: &[usize]) -> Mask {
        let call = self.calls.fetch_add(1, Ordering::Relaxed); // wraps around
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&call.to_le_bytes());
        key[24..].copy_from_slice(b"dropout.");
        let least = self.p * 4_294_967_296.0;
        let len = shape.iter().product();
        let mut words = Vec::with_capacity(len);
        append_words(key, 0, len, &mut words);
        Mask::collect(shape, words.into_iter().map(|word| word >= least))
    }
}

crate::param_tree!(Dropout { store: store });

#[typetag::serde(name = "secateurs::Dropout")]
impl Module for Dropout {
    fn compute(&self, input: &Tensor) -> Result<Tensor> {
        if !self.store.is_training() || self.p == 0.0 {
            return Ok(input.clone());
        }
        let mask = self.mask(input.shape());
        // Where everything is dropped, any factor will do.
        let factor = if self.p == 1.0 { 1.0 } else { 1.0 / (1.0 - self.p) };
        input.keep(mask, factor as f32)
    }
}
