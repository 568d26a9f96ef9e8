//! User-defined pruning methods, which several test files use.

use ndarray::ArrayViewD;
use secateurs::error::MaskError;
use secateurs::mask::{Mask, PruningMethod, PruningType};
use secateurs::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which part of a tensor a test's method receives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Part {
    Entries,
    Channels(isize),
    Whole,
}

impl Part {
    pub fn pruning_type(self) -> PruningType {
        match self {
            Part::Entries => PruningType::Unstructured,
            Part::Channels(dim) => PruningType::Structured { dim },
            Part::Whole => PruningType::Whole,
        }
    }
}

/// Keeps the entries of its part that are not below a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold(pub Part, pub f32);

#[typetag::serde]
impl PruningMethod for Threshold {
    fn pruning_type(&self) -> PruningType {
        self.0.pruning_type()
    }

    fn compute_mask(&self, scores: ArrayViewD<'_, f32>, _prior: &Mask) -> Result<Mask> {
        Ok(Mask::from_fn(scores, |score| score.abs() >= self.1))
    }
}

/// Wants everything kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ones(pub Part);

#[typetag::serde]
impl PruningMethod for Ones {
    fn pruning_type(&self) -> PruningType {
        self.0.pruning_type()
    }

    fn compute_mask(&self, scores: ArrayViewD<'_, f32>, _prior: &Mask) -> Result<Mask> {
        Ok(Mask::ones(scores.shape()))
    }
}

/// Fails, with an error of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failing(pub Part);

#[derive(Debug, thiserror::Error)]
#[error("out of cheese")]
pub struct OutOfCheese;

#[typetag::serde]
impl PruningMethod for Failing {
    fn pruning_type(&self) -> PruningType {
        self.0.pruning_type()
    }

    fn compute_mask(&self, _scores: ArrayViewD<'_, f32>, _prior: &Mask) -> Result<Mask> {
        Err(Error::Mask(MaskError::Method(Box::new(OutOfCheese))))
    }
}

/// Returns a given mask, whatever it receives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer(pub Part, pub Mask);

#[typetag::serde]
impl PruningMethod for Answer {
    fn pruning_type(&self) -> PruningType {
        self.0.pruning_type()
    }

    fn compute_mask(&self, _scores: ArrayViewD<'_, f32>, _prior: &Mask) -> Result<Mask> {
        Ok(self.1.clone())
    }
}

/// Fails unless it receives exactly these scores and this prior mask; keeps everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expects {
    pub part: Part,
    pub scores: Vec<f32>,
    pub prior: Mask,
}

#[typetag::serde]
impl PruningMethod for Expects {
    fn pruning_type(&self) -> PruningType {
        self.part.pruning_type()
    }

    fn compute_mask(&self, scores: ArrayViewD<'_, f32>, prior: &Mask) -> Result<Mask> {
        let values: Vec<f32> = scores.iter().copied().collect();
        if values != self.scores || scores.shape() != self.prior.shape() || *prior != self.prior {
            return Err(Error::Mask(MaskError::Method(
                format!("handed {scores:?} and {:?}", prior.to_bool()).into(),
            )));
        }
        Ok(Mask::ones(scores.shape()))
    }
}
