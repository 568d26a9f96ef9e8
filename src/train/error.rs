//! [`TrainError`].

/// A schedule, or a pruner for training, that was set up wrongly.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A share that is NaN or outside [0, 1].
    #[error(
        "{value} is not a share that a schedule can reach; give one in [0, 1], below 1 for an exponential schedule"
    )]
    ShareOutOfRange {
        /// The value that was given.
        value: f64,
    },
    /// A range or list of steps that is empty.
    #[error(
        "a schedule has no steps; give a range whose end is not before its start, or a list that is not empty"
    )]
    NoSteps,
    /// Milestones that do not ascend.
    #[error("milestone {step} is listed after milestone {after}; list each step once, so that they ascend")]
    StepsOutOfOrder {
        /// The step.
        step: u64,
        /// The step listed before it.
        after: u64,
    },
    /// A frequency of 0, or for a schedule that lists its steps.
    #[error(
        "{frequency} is not a valid frequency for this schedule; give 1 or more, and only to a curve over a range of steps"
    )]
    NoFrequency {
        /// The frequency that was given.
        frequency: u64,
    },
    /// Densities that no distribution over layers can reach.
    #[error(
        "a sparsity of {sparsity} over these layers cannot be reached; give a share in [0, 1] and layers with entries"
    )]
    Unreachable {
        /// The sparsity that was given.
        sparsity: f64,
    },
    /// More entries to exchange than there are.
    #[error("{requested} entries were to be exchanged, but only {kept} are kept")]
    TooManyExchanged {
        /// Entries to be dropped and grown.
        requested: usize,
        /// Entries that the mask keeps.
        kept: usize,
    },
    /// Values for a parameter that is not in a snapshot, or the other way round.
    #[error(
        "the snapshot does not fit the model: {path} {reason}; rewind the model that it was taken of, or one of the same structure"
    )]
    OtherModel {
        /// Path of the parameter.
        path: String,
        /// What does not fit.
        reason: &'static str,
    },
}
