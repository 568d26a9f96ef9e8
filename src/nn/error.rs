//! [`NnError`]: what is wrong with the set-up of a module, an optimiser or a state dict.

/// A module, an optimiser or a state dict that was set up wrongly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NnError {
    /// A name that cannot be used.
    #[error("`{name}` cannot be the name of a {what}: {reason}")]
    BadName {
        /// What was to be named.
        what: &'static str,
        /// The name.
        name: String,
        /// Why it cannot be used.
        reason: &'static str,
    },
    /// A setting of a layer, loss or optimiser that makes no sense.
    #[error("{what}: {setting} = {value}: {reason}")]
    Setting {
        /// The layer, loss or optimiser.
        what: &'static str,
        /// The setting.
        setting: &'static str,
        /// The value given.
        value: String,
        /// What it has to be.
        reason: &'static str,
    },
    /// A state dict whose keys are not those of the model.
    #[error("the state dict does not fit: missing {missing:?}, unexpected {unexpected:?}")]
    StateKeys {
        /// Keys that the model needs and the state lacks.
        missing: Vec<String>,
        /// Keys that the state has and the model does not know.
        unexpected: Vec<String>,
    },
}
