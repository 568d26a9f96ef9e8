//! The settings of optimisers, and their checks.

use serde::{Deserialize, Serialize};

use crate::error::{Error, NnError, Result};

/// The settings of [`Sgd`](super::Sgd).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SgdSettings {
    pub(super) lr: f64,
    pub(super) momentum: f64,
    pub(super) dampening: f64,
    pub(super) weight_decay: f64,
    pub(super) nesterov: bool,
}

impl SgdSettings {
    /// Refuses settings that make no sense.
    pub(super) fn check(&self) -> Result<()> {
        for (setting, value) in [
            ("lr", self.lr),
            ("momentum", self.momentum),
            ("dampening", self.dampening),
            ("weight_decay", self.weight_decay),
        ] {
            non_negative("Sgd", setting, value)?;
        }
        if self.nesterov && (self.momentum <= 0.0 || self.dampening != 0.0) {
            return Err(Error::Nn(NnError::InvalidSetting {
                what: "Sgd",
                setting: "nesterov",
                value: "true".to_owned(),
                reason: "it needs momentum, set before, and no dampening",
            }));
        }
        Ok(())
    }
}

/// The settings of [`Adam`](super::Adam) and of [`AdamW`](super::AdamW).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamSettings {
    pub(super) lr: f64,
    pub(super) betas: (f64, f64),
    pub(super) eps: f64,
    pub(super) weight_decay: f64,
}

impl AdamSettings {
    /// Refuses settings that make no sense.
    pub(super) fn check(&self, what: &'static str) -> Result<()> {
        below_one(what, "betas", self.betas.0)?;
        below_one(what, "betas", self.betas.1)?;
        for (setting, value) in [
            ("lr", self.lr),
            ("eps", self.eps),
            ("weight_decay", self.weight_decay),
        ] {
            non_negative(what, setting, value)?;
        }
        Ok(())
    }
}

/// The settings of an optimiser of any kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OptimiserSettings {
    /// Of [`Sgd`](super::Sgd).
    Sgd(SgdSettings),
    /// Of [`Adam`](super::Adam).
    Adam(AdamSettings),
    /// Of [`AdamW`](super::AdamW).
    AdamW(AdamSettings),
}

impl OptimiserSettings {
    /// The error of settings that belong to another optimiser.
    pub(super) fn not(&self, expected: &'static str) -> Error {
        let got = match self {
            OptimiserSettings::Sgd(_) => "Sgd",
            OptimiserSettings::Adam(_) => "Adam",
            OptimiserSettings::AdamW(_) => "AdamW",
        };
        Error::Nn(NnError::OtherOptimiser { expected, got })
    }
}

/// A setting that is finite and not negative.
pub(super) fn non_negative(what: &'static str, setting: &'static str, value: f64) -> Result<f64> {
    if value >= 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(Error::Nn(NnError::InvalidSetting {
        what,
        setting,
        value: value.to_string(),
        reason: "it must be finite and not negative",
    }))
}

/// A setting in [0, 1).
fn below_one(what: &'static str, setting: &'static str, value: f64) -> Result<f64> {
    if (0.0..1.0).contains(&value) {
        return Ok(value);
    }
    Err(Error::Nn(NnError::InvalidSetting {
        what,
        setting,
        value: value.to_string(),
        reason: "it must be in [0, 1)",
    }))
}
