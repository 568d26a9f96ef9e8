//! [`NnError`]: an invalid module, optimiser or state dict.

use std::fmt;

use crate::prunable::hint;

/// An invalid module, optimiser or state dict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NnError {
    /// A name that cannot be used.
    #[error("`{name}` cannot be the name of a {what}: {reason}")]
    InvalidName {
        /// What the name is for.
        what: &'static str,
        /// The name.
        name: String,
        /// Why it cannot be used.
        reason: &'static str,
    },
    /// A child that a module does not have.
    #[error("there is no child `{name}`{}", hint(nearest))]
    UnknownChild {
        /// The name that was given.
        name: String,
        /// The most similar names of children, at most three.
        nearest: Vec<String>,
    },
    /// An invalid setting of a layer, loss or optimiser.
    #[error("{what}: {setting} = {value}: {reason}")]
    InvalidSetting {
        /// The layer, loss or optimiser.
        what: &'static str,
        /// The setting.
        setting: &'static str,
        /// The value given.
        value: String,
        /// What it has to be.
        reason: &'static str,
    },
    /// The state of another optimiser.
    #[error("the state is that of {got}; load it into {got}, not into {expected}")]
    OtherOptimiser {
        /// The optimiser that was to be restored.
        expected: &'static str,
        /// The optimiser that the state is of.
        got: &'static str,
    },
    /// A state dict whose keys do not match those of the model.
    #[error(
        "the state does not fit the model: missing {}, unexpected {}; load the state of a model with the same \
         parameters, or only what matches with `load_state_dict_partial`",
        Keys(missing),
        Keys(unexpected)
    )]
    StateKeys {
        /// Keys that the model needs and the state dict lacks.
        missing: Vec<String>,
        /// Keys that the state dict has and the model does not.
        unexpected: Vec<String>,
    },
}

/// Keys for a message. Of many keys, only the first.
struct Keys<'a>(&'a [String]);

impl fmt::Display for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 8;
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (number, key) in self.0.iter().take(MOST).enumerate() {
            write!(f, "{}`{key}`", if number == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
