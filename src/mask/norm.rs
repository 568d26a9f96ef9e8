//! [`Norm`]: the size of a channel, by which structured methods rank.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A norm that is invalid, or does not fit a tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NormError {
    /// A norm order that is NaN.
    #[error("the order of a norm cannot be NaN")]
    Nan,
    /// Text that is not a norm.
    #[error("`{text}` is not a norm; write a number, `inf`, `-inf`, `fro` or `nuc`")]
    Syntax {
        /// The text that was given.
        text: String,
    },
    /// The nuclear norm of channels that are not matrices.
    #[error(
        "the nuclear norm needs channels that are matrices, so a tensor of 3 dimensions, but this one has shape \
         {shape:?}; choose another norm"
    )]
    NotMatrices {
        /// Shape of the tensor.
        shape: Vec<usize>,
    },
}

/// The norm by which a channel is ranked: of any real order, ±∞, Frobenius or nuclear.
///
/// The order-`n` norm of entries `x` is `(Σ |x|ⁿ)^(1/n)`; Order 0 is the number of non-zero entries, order ∞ the
/// largest absolute value, and order −∞ the smallest. Pruned entries count as 0. So a partly pruned channel ranks low
/// under `n = −∞` and `n = 0`, and has norm 0 under every negative order.
///
/// The `n` of PyTorch's `ln_structured`, after `torch.norm`'s `p`.
///
/// ```
/// use secateurs::mask::Norm;
///
/// assert_eq!(Norm::try_from(2.0)?, Norm::L2);
/// assert_eq!(Norm::try_from(1)?, Norm::L1);
/// assert_eq!("-inf".parse::<Norm>()?, Norm::NEG_INFINITY);
/// assert_eq!("fro".parse::<Norm>()?, Norm::FROBENIUS);
/// assert!(Norm::try_from(f64::NAN).is_err());
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")] // text carries ±∞ through formats whose numbers cannot
pub struct Norm(Kind);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Order(f64),
    Frobenius,
    Nuclear,
}

impl Norm {
    /// The number of non-zero entries.
    pub const L0: Norm = Norm(Kind::Order(0.0));
    /// The sum of absolute values.
    pub const L1: Norm = Norm(Kind::Order(1.0));
    /// The Euclidean norm.
    pub const L2: Norm = Norm(Kind::Order(2.0));
    /// The largest absolute value.
    pub const INFINITY: Norm = Norm(Kind::Order(f64::INFINITY));
    /// The smallest absolute value.
    pub const NEG_INFINITY: Norm = Norm(Kind::Order(f64::NEG_INFINITY));
    /// The Frobenius norm: the root of the sum of squares, of a channel of any rank.
    pub const FROBENIUS: Norm = Norm(Kind::Frobenius);
    /// The sum of singular values, for tensors of 3 dimensions, whose channels are matrices.
    pub const NUCLEAR: Norm = Norm(Kind::Nuclear);

    /// The norm of order `n`.
    ///
    /// # Errors
    ///
    /// [`NormError::Nan`](crate::error::NormError::Nan) if `n` is NaN.
    pub fn order(n: f64) -> Result<Self> {
        if n.is_nan() {
            return Err(Error::Norm(NormError::Nan));
        }
        Ok(Norm(Kind::Order(n + 0.0))) // −0.0 is 0.0
    }

    pub(crate) fn kind(&self) -> Kind {
        self.0
    }
}

impl TryFrom<f64> for Norm {
    type Error = Error;

    fn try_from(n: f64) -> Result<Self> {
        Norm::order(n)
    }
}

impl From<i32> for Norm {
    fn from(n: i32) -> Self {
        Norm(Kind::Order(n.into()))
    }
}

impl FromStr for Norm {
    type Err = Error;

    /// Parses a number, `inf`, `-inf`, `fro` or `nuc`, PyTorch's spellings.
    fn from_str(text: &str) -> Result<Self> {
        match text.trim() {
            "fro" => Ok(Norm::FROBENIUS),
            "nuc" => Ok(Norm::NUCLEAR),
            number => match number.parse::<f64>() {
                Ok(n) => Norm::order(n),
                Err(_) => Err(Error::Norm(NormError::Syntax {
                    text: text.to_owned(),
                })),
            },
        }
    }
}

impl fmt::Display for Norm {
    /// Writes what [`FromStr`] reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Order(n) => write!(f, "{n}"),
            Kind::Frobenius => f.write_str("fro"),
            Kind::Nuclear => f.write_str("nuc"),
        }
    }
}

impl TryFrom<String> for Norm {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Norm> for String {
    fn from(norm: Norm) -> Self {
        norm.to_string()
    }
}
