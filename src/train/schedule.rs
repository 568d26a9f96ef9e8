//! [`Schedule`]: when to update masks, and to which sparsity.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::TrainError;
use super::share::Share;
use crate::error::Result;

/// When to update during training, and to which share: a pure function of the step.
///
/// [`at`](Self::at) says whether there is an update at a step and with which share. The share is a target sparsity
/// for a [`Pruner`](super::Pruner), or the fraction of entries to exchange for a
/// [`DynamicPruner`](super::DynamicPruner). A training loop may also call any function of [`prune`](crate::prune)
/// itself:
///
/// ```
/// use ndarray::Array2;
/// use secateurs::prune::{self, Amount};
/// use secateurs::{ArrayModel, train::Schedule};
///
/// let mut model = ArrayModel::new();
/// model.insert("weight", Array2::from_shape_fn((10, 10), |(i, j)| (10 * i + j) as f32))?;
///
/// let schedule = Schedule::cubic(0.0, 0.8, 0..=1000)?.every(100)?;
/// for step in 0..=1000 {
///     if let Some(sparsity) = schedule.at(step) {
///         prune::l1_unstructured(&mut model, "weight", Amount::until(sparsity)?)?;
///     }
///     // … a step of training
/// }
/// assert_eq!(prune::mask(&model, "weight")?.unwrap().count_pruned(), 80);
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// Curves over a range of steps begin with its first step and end with its last one. There is an update at every step
/// unless [`every`](Self::every) says otherwise, and always one at the last step. With p the part of the range that is
/// done, in [0, 1], the share goes from a to b as follows:
///
/// | schedule | share | |
/// |---|---|---|
/// | [`constant`](Self::constant) | b | |
/// | [`linear`](Self::linear) | a + (b − a)·p | |
/// | [`cubic`](Self::cubic) | b + (a − b)·(1 − p)³ | Zhu and Gupta 2017, <https://arxiv.org/abs/1710.01878> |
/// | [`exponential`](Self::exponential) | 1 − (1 − a)·((1 − b)/(1 − a))ᵖ | an equal fraction of what remains, each time |
/// | [`cosine`](Self::cosine) | b + (a − b)·(1 + cos(π·p))/2 | the drop fraction of RigL, Evci et al. 2020, <https://arxiv.org/abs/1911.11134> |
/// | [`milestones`](Self::milestones) | as listed | |
/// | [`custom`](Self::custom) | a function of your own | |
///
/// A schedule can be serialised, unless it is [`custom`](Self::custom).
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Schedule(Kind);

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Curve(Curve),
    Milestones(Vec<(u64, Share)>),
    #[serde(skip)]
    Custom(Arc<dyn Fn(u64) -> Option<f64> + Send + Sync>),
}

/// What is read, before it is checked.
#[derive(Serialize, Deserialize)]
struct Unchecked(Kind);

/// A share that changes between two steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Curve {
    shape: Shape,
    from: Share,
    to: Share,
    first: u64,
    last: u64,
    every: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Shape {
    Linear,
    Cubic,
    Exponential,
    Cosine,
}

impl Schedule {
    /// The same share at each update.
    ///
    /// # Errors
    ///
    /// As [`linear`](Self::linear).
    pub fn constant(share: f64, steps: RangeInclusive<u64>) -> Result<Self> {
        Schedule::linear(share, share, steps)
    }

    /// From one share to another, by equal amounts.
    ///
    /// # Errors
    ///
    /// [`TrainError::ShareOutOfRange`] for a share that is NaN or outside [0, 1]; [`TrainError::NoSteps`] for a range
    /// that is empty.
    pub fn linear(from: f64, to: f64, steps: RangeInclusive<u64>) -> Result<Self> {
        Schedule::curve(Shape::Linear, from, to, steps)
    }

    /// From one share to another, fast at first and slowly at the end: the schedule of Zhu and Gupta 2017,
    /// <https://arxiv.org/abs/1710.01878>.
    ///
    /// ```
    /// let schedule = secateurs::train::Schedule::cubic(0.0, 0.8, 100..=500)?.every(100)?;
    /// assert_eq!(schedule.at(99), None);
    /// assert_eq!(schedule.at(100), Some(0.0));
    /// assert_eq!(schedule.at(150), None);
    /// assert!((schedule.at(300).unwrap() - 0.7).abs() < 1e-12);
    /// assert_eq!(schedule.at(500), Some(0.8));
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`linear`](Self::linear).
    pub fn cubic(from: f64, to: f64, steps: RangeInclusive<u64>) -> Result<Self> {
        Schedule::curve(Shape::Cubic, from, to, steps)
    }

    /// From one sparsity to another, so that equal numbers of steps prune equal fractions of what remains.
    ///
    /// # Errors
    ///
    /// As [`linear`](Self::linear), and [`TrainError::ShareOutOfRange`] for a share of 1, which would never be reached.
    pub fn exponential(from: f64, to: f64, steps: RangeInclusive<u64>) -> Result<Self> {
        Schedule::curve(Shape::Exponential, from, to, steps)
    }

    /// From one share to another along half a wave of the cosine, slowly at both ends.
    ///
    /// Its use is as the drop fraction of RigL, `cosine(0.3, 0.0, …)`.
    ///
    /// # Errors
    ///
    /// As [`linear`](Self::linear).
    pub fn cosine(from: f64, to: f64, steps: RangeInclusive<u64>) -> Result<Self> {
        Schedule::curve(Shape::Cosine, from, to, steps)
    }

    /// Updates at the listed steps, with the share listed for each. One milestone is pruning in one shot.
    ///
    /// ```
    /// let schedule = secateurs::train::Schedule::milestones([(0, 0.5), (1000, 0.75)])?;
    /// assert_eq!((schedule.at(0), schedule.at(1), schedule.at(1000)), (Some(0.5), None, Some(0.75)));
    /// # Ok::<(), secateurs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TrainError::ShareOutOfRange`] for a share that is NaN or outside [0, 1]; [`TrainError::NoSteps`] for an empty
    /// list, and [`TrainError::StepsOutOfOrder`] if the steps do not ascend.
    pub fn milestones(milestones: impl IntoIterator<Item = (u64, f64)>) -> Result<Self> {
        let milestones = milestones.into_iter().map(|(step, share)| (step, Share(share)));
        Schedule(Kind::Milestones(milestones.collect())).checked()
    }

    /// A function of your own: the share of the update at a step, or `None` if there is none.
    ///
    /// The shares are checked when they are used. Such a schedule cannot be serialised.
    pub fn custom(at: impl Fn(u64) -> Option<f64> + Send + Sync + 'static) -> Self {
        Schedule(Kind::Custom(Arc::new(at)))
    }

    fn curve(shape: Shape, from: f64, to: f64, steps: RangeInclusive<u64>) -> Result<Self> {
        let curve = Curve {
            shape,
            from: Share(from),
            to: Share(to),
            first: *steps.start(),
            last: *steps.end(),
            every: 1,
        };
        Schedule(Kind::Curve(curve)).checked()
    }

    /// The same curve, updated only at every `frequency`-th step from the first one on, and at the last one.
    ///
    /// # Errors
    ///
    /// [`TrainError::NoFrequency`] for 0, and for schedules that list their steps.
    pub fn every(mut self, frequency: u64) -> Result<Self> {
        match &mut self.0 {
            Kind::Curve(curve) if frequency > 0 => curve.every = frequency,
            _ => return Err(TrainError::NoFrequency { frequency }.into()),
        }
        Ok(self)
    }

    /// Whether there is an update at this step, and with which share.
    pub fn at(&self, step: u64) -> Option<f64> {
        match &self.0 {
            Kind::Curve(curve) => curve.is_update(step).then(|| curve.share(step)),
            Kind::Milestones(milestones) => {
                let place = milestones.binary_search_by_key(&step, |milestone| milestone.0);
                Some(milestones[place.ok()?].1.0)
            }
            Kind::Custom(at) => at(step),
        }
    }

    /// The step after which there are no more updates, if it is known.
    pub fn last_step(&self) -> Option<u64> {
        match &self.0 {
            Kind::Curve(curve) => Some(curve.last),
            Kind::Milestones(milestones) => milestones.last().map(|milestone| milestone.0),
            Kind::Custom(_) => None,
        }
    }

    fn checked(self) -> Result<Self> {
        match &self.0 {
            Kind::Curve(curve) => curve.check()?,
            Kind::Milestones(milestones) => {
                milestones.iter().try_for_each(|milestone| milestone.1.check())?;
                if milestones.is_empty() {
                    return Err(TrainError::NoSteps.into());
                }
                if let Some(pair) = milestones.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
                    let (step, after) = (pair[1].0, pair[0].0);
                    return Err(TrainError::StepsOutOfOrder { step, after }.into());
                }
            }
            Kind::Custom(_) => {}
        }
        Ok(self)
    }
}

impl Curve {
    fn check(&self) -> Result<()> {
        self.from.check()?;
        self.to.check()?;
        let full = |share: &&Share| share.0 == 1.0;
        if self.shape == Shape::Exponential
            && let Some(share) = [&self.from, &self.to].into_iter().find(full)
        {
            return Err(TrainError::ShareOutOfRange { value: share.0 }.into());
        }
        if self.first > self.last {
            return Err(TrainError::NoSteps.into());
        }
        match self.every {
            0 => Err(TrainError::NoFrequency { frequency: 0 }.into()),
            _ => Ok(()),
        }
    }

    fn is_update(&self, step: u64) -> bool {
        let within = (self.first..=self.last).contains(&step);
        within && ((step - self.first).is_multiple_of(self.every) || step == self.last)
    }

    /// The share at a step of the range.
    fn share(&self, step: u64) -> f64 {
        let (a, b) = (self.from.0, self.to.0);
        // The ends are met exactly, also where rounding would miss them by a bit.
        if step == self.last {
            return b;
        }
        let p = (step - self.first) as f64 / (self.last - self.first) as f64;
        let share = match self.shape {
            Shape::Linear => a + (b - a) * p,
            Shape::Cubic => b + (a - b) * ((1.0 - p) * (1.0 - p) * (1.0 - p)),
            Shape::Exponential => 1.0 - (1.0 - a) * libm::pow((1.0 - b) / (1.0 - a), p),
            Shape::Cosine => b + (a - b) * (0.5 * (1.0 + libm::cos(std::f64::consts::PI * p))),
        };
        share.clamp(a.min(b), a.max(b))
    }
}

impl TryFrom<Unchecked> for Schedule {
    type Error = crate::Error;

    fn try_from(unchecked: Unchecked) -> Result<Self> {
        Schedule(unchecked.0).checked()
    }
}

impl From<Schedule> for Unchecked {
    fn from(schedule: Schedule) -> Self {
        Unchecked(schedule.0)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Curve(curve) => curve.fmt(f),
            Kind::Milestones(milestones) => f.debug_tuple("Milestones").field(milestones).finish(),
            Kind::Custom(_) => f.write_str("Custom(…)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shares at quarters of the range, as decimals.
    fn quarters(schedule: Schedule) -> Vec<String> {
        let at = |step| schedule.at(step).unwrap();
        (0..=4)
            .map(|quarter| format!("{:.6}", at(10 + quarter * 250)))
            .collect()
    }

    #[test]
    fn shares_are_those_of_the_published_formulas() {
        let steps = 10..=1010;
        let cubic = Schedule::cubic(0.0, 0.8, steps.clone()).unwrap();
        for (step, share) in [(110, 0.2168), (260, 0.4625), (510, 0.7), (760, 0.7875)] {
            assert!((cubic.at(step).unwrap() - share).abs() < 1e-12, "{step}");
        }
        for (schedule, table) in [
            (
                Schedule::linear(0.2, 1.0, steps.clone()),
                ["0.200000", "0.400000", "0.600000", "0.800000", "1.000000"],
            ),
            (Schedule::constant(0.5, steps.clone()), ["0.500000"; 5]),
            // 1 − (1/16)^p
            (
                Schedule::exponential(0.0, 0.9375, steps.clone()),
                ["0.000000", "0.500000", "0.750000", "0.875000", "0.937500"],
            ),
            (
                Schedule::cosine(0.3, 0.0, steps),
                ["0.300000", "0.256066", "0.150000", "0.043934", "0.000000"],
            ),
        ] {
            assert_eq!(quarters(schedule.unwrap()), table);
        }
    }

    #[test]
    fn updates_lie_on_the_grid_from_the_first_step_and_at_the_last_one() {
        let schedule = Schedule::linear(0.0, 1.0, 3..=10).unwrap().every(3).unwrap();
        let updates: Vec<u64> = (0..20).filter(|step| schedule.at(*step).is_some()).collect();
        assert_eq!(updates, [3, 6, 9, 10]);
        assert_eq!(schedule.last_step(), Some(10));
        let one = Schedule::cubic(0.1, 0.9, 5..=5).unwrap();
        assert_eq!((one.at(4), one.at(5), one.at(6)), (None, Some(0.9), None));
        let all = Schedule::constant(0.5, 0..=u64::MAX).unwrap();
        assert_eq!(all.at(u64::MAX), Some(0.5));
    }

    #[test]
    fn impossible_schedules_are_refused() {
        let message = |schedule: Result<Schedule>| schedule.unwrap_err().to_string();
        for share in [f64::NAN, -0.1, 1.5, f64::INFINITY] {
            assert!(message(Schedule::linear(share, 0.5, 0..=1)).contains("is not a share"));
            assert!(message(Schedule::milestones([(1, share)])).contains("is not a share"));
        }
        assert!(Schedule::exponential(0.0, 1.0, 0..=9).is_err());
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 9..=3;
        assert!(message(Schedule::cubic(0.0, 0.5, reversed)).contains("no steps"));
        assert!(message(Schedule::milestones([])).contains("no steps"));
        assert!(message(Schedule::milestones([(2, 0.1), (2, 0.2)])).contains("ascend"));
        let every = |frequency| Schedule::linear(0.0, 0.5, 0..=9).unwrap().every(frequency);
        assert!(message(every(0)).contains("frequency"));
        let listed = Schedule::milestones([(2, 0.1)]).unwrap();
        assert!(message(listed.every(2)).contains("frequency"));
    }

    #[test]
    fn a_schedule_survives_serde_bit_for_bit_and_is_checked_when_it_is_read() {
        let schedule = Schedule::cubic(0.1, 0.1 + 0.2, 7..=900)
            .unwrap()
            .every(13)
            .unwrap();
        let text = serde_json::to_string(&schedule).unwrap();
        let read: Schedule = serde_json::from_str(&text).unwrap();
        let bits = |schedule: &Schedule| {
            let all = (0..1000).map(|step| schedule.at(step).map(f64::to_bits));
            all.collect::<Vec<_>>()
        };
        assert_eq!(bits(&schedule), bits(&read));
        for (from, to) in [("\"0.1\"", "\"7\""), ("13", "0"), ("900", "3")] {
            assert!(text.contains(from), "{text}");
            assert!(serde_json::from_str::<Schedule>(&text.replacen(from, to, 1)).is_err());
        }
        let custom = Schedule::custom(|step| (step == 3).then_some(0.5));
        assert_eq!((custom.at(2), custom.at(3)), (None, Some(0.5)));
        assert!(serde_json::to_string(&custom).is_err());
    }
}
