//! [`Amount`]: how much to prune.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// An amount that is invalid, or more than there is to prune.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AmountError {
    /// A fraction that is NaN or outside [0, 1].
    #[error("amount {value} is not a fraction in [0, 1]; write a count of units as an integer")]
    FractionOutOfRange {
        /// The value that was given.
        value: f64,
    },
    /// A negative count of units.
    #[error("amount {value} is negative; a count of units is 0 or more")]
    NegativeCount {
        /// The value that was given.
        value: i128,
    },
    /// Text that is not an amount.
    #[error(
        "`{text}` is not an amount; write a fraction (`0.5`), a percentage (`50%`), a count (`12`) or a target \
         sparsity (`until 90%`)"
    )]
    Syntax {
        /// The text that was given.
        text: String,
    },
    /// A count above the units that remain to be pruned.
    #[error(
        "{requested} units were requested, but only {remaining} remain unpruned; request at most that many"
    )]
    TooLarge {
        /// Units requested.
        requested: usize,
        /// Units not yet pruned.
        remaining: usize,
    },
    /// A cap on the sparsity of each parameter that is NaN or outside [0, 1].
    #[error(
        "the cap {value} on the sparsity of each parameter is not in [0, 1]; write the share of entries that may be pruned"
    )]
    CapOutOfRange {
        /// The value that was given.
        value: f64,
    },
    /// Caps that leave less to prune than was requested.
    #[error(
        "{requested} entries were requested, but a cap of {max_sparsity} on the sparsity of each parameter leaves only \
         {achievable} to prune; raise the cap or request less"
    )]
    Capped {
        /// Entries requested.
        requested: usize,
        /// Entries that can still be pruned under the caps.
        achievable: usize,
        /// The cap: the share of a parameter's entries that may be pruned at most.
        max_sparsity: f64,
    },
}

/// How much to prune: a fraction of the units that remain, a count of units, or a target share of all units.
///
/// A unit is an entry for unstructured methods, and a channel or a block for methods that prune these. Every pruning
/// function takes `impl TryInto<Amount>`. An `f64` in [0, 1] is a fraction and an integer is a count, so `1` is one
/// unit and `1.0` is everything.
///
/// PyTorch's `amount`, with [`Amount::until`] added.
///
/// ```
/// use secateurs::mask::Amount;
///
/// assert_eq!(Amount::try_from(0.4)?.units(17, 17)?, 7); // halves go to the even neighbour
/// assert_eq!(Amount::try_from(3)?.units(17, 17)?, 3);
/// // 60 of 100 units remain: 30 more bring the share of pruned ones to 70 %.
/// assert_eq!(Amount::until(0.7)?.units(60, 100)?, 30);
/// assert_eq!("50%".parse::<Amount>()?, Amount::fraction(0.5)?);
///
/// assert!(Amount::try_from(1.5).is_err());
/// assert!(Amount::try_from(-1).is_err());
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// An `f32` does not compile, because `0.1_f32` and `0.1` are different numbers:
///
/// ```compile_fail,E0277
/// secateurs::mask::Amount::try_from(0.1_f32);
/// ```
///
/// Text does not compile either. Commands parse it with [`FromStr`]:
///
/// ```compile_fail,E0277
/// secateurs::mask::Amount::try_from("0.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amount(Kind);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Fraction(f64),
    Count(usize),
    Until(f64),
}

impl Amount {
    /// A fraction of the units that remain.
    ///
    /// # Errors
    ///
    /// [`AmountError::FractionOutOfRange`](crate::error::AmountError::FractionOutOfRange) for NaN and for anything outside [0, 1].
    pub fn fraction(fraction: f64) -> Result<Self> {
        share(fraction).map(|fraction| Amount(Kind::Fraction(fraction)))
    }

    /// A count of units.
    pub fn count(count: usize) -> Self {
        Amount(Kind::Count(count))
    }

    /// A target: prune until this share of *all* units is pruned, counting those pruned before. Prunes nothing if the
    /// share is reached already. This is what "90 % sparse" means, and what a schedule sets step by step.
    ///
    /// # Errors
    ///
    /// [`AmountError::FractionOutOfRange`](crate::error::AmountError::FractionOutOfRange) for NaN and for anything outside [0, 1].
    pub fn until(sparsity: f64) -> Result<Self> {
        share(sparsity).map(|sparsity| Amount(Kind::Until(sparsity)))
    }

    /// The number of units to prune where `remaining` of `total` units are still unpruned.
    ///
    /// A fraction becomes a count by rounding to the nearest integer in f64. Halves round to the even integer.
    ///
    /// # Errors
    ///
    /// [`AmountError::TooLarge`](crate::error::AmountError::TooLarge) if a count is above `remaining`.
    pub fn units(&self, remaining: usize, total: usize) -> Result<usize> {
        let requested = match self.0 {
            Kind::Fraction(fraction) => round(fraction, remaining).min(remaining),
            Kind::Count(count) => count,
            Kind::Until(sparsity) => round(sparsity, total)
                .min(total)
                .saturating_sub(total.saturating_sub(remaining)),
        };
        if requested > remaining {
            return Err(AmountError::TooLarge { requested, remaining }.into());
        }
        Ok(requested)
    }
}

fn share(value: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&value) {
        return Err(Error::Amount(AmountError::FractionOutOfRange { value }));
    }
    Ok(value.abs()) // −0.0 is in the range
}

fn round(fraction: f64, units: usize) -> usize {
    (fraction * units as f64).round_ties_even() as usize
}

impl Serialize for Amount {
    /// As text, because some parsers get the last digit of a number wrong; serde_json's is one.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl TryFrom<f64> for Amount {
    type Error = Error;

    fn try_from(fraction: f64) -> Result<Self> {
        Amount::fraction(fraction)
    }
}

macro_rules! amount_from_integer {
    ($($integer:ty)*) => {$(
        impl TryFrom<$integer> for Amount {
            type Error = Error;

            fn try_from(count: $integer) -> Result<Self> {
                match usize::try_from(count) {
                    Ok(count) => Ok(Amount::count(count)),
                    #[allow(unused_comparisons)]
                    Err(_) if count < 0 => Err(Error::Amount(AmountError::NegativeCount { value: count as i128 })),
                    // No array has that many units, so the largest count is refused as soon as it is used.
                    Err(_) => Ok(Amount::count(usize::MAX)),
                }
            }
        }
    )*};
}

amount_from_integer!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

impl FromStr for Amount {
    type Err = Error;

    /// Parses a fraction (`0.5`), a percentage (`50%`), a count (`12`) or a target sparsity (`until 90%`).
    fn from_str(text: &str) -> Result<Self> {
        let syntax = || {
            Error::Amount(AmountError::Syntax {
                text: text.to_owned(),
            })
        };
        let trimmed = text.trim();
        if let Some(sparsity) = trimmed.strip_prefix("until ") {
            return Amount::until(parse_share(sparsity.trim()).ok_or_else(syntax)?);
        }
        if let Ok(count) = trimmed.parse::<i128>() {
            return Amount::try_from(count);
        }
        Amount::fraction(parse_share(trimmed).ok_or_else(syntax)?)
    }
}

fn parse_share(text: &str) -> Option<f64> {
    match text.strip_suffix('%') {
        Some(percent) => Some(percent.trim_end().parse::<f64>().ok()? / 100.0),
        None => text.parse().ok(),
    }
}

impl fmt::Display for Amount {
    /// Writes what [`FromStr`] reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Fraction(fraction) => write!(f, "{fraction:?}"),
            Kind::Count(count) => write!(f, "{count}"),
            Kind::Until(sparsity) => write!(f, "until {sparsity:?}"),
        }
    }
}
