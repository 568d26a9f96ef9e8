//! [`within`]: the smallest amount that meets a budget.

use secateurs::mask::Amount;

use crate::cost::Cost;
use crate::couple::Couplings;
use crate::error::{Error, Result};
use crate::external::External;
use crate::graph::Model;
use crate::options::Resource;
use crate::select::Selection;
use crate::write::Written;

/// Steps in which the amount is searched.
const STEPS: usize = 12;
/// The same where each model has to be timed.
#[cfg(feature = "runtime")]
const TIMED_STEPS: usize = 7;

/// What is removed by an amount, and the model without it.
pub trait ByAmount<'a>: Fn(Amount) -> Result<(Selection, Written<'a>)> {}
impl<'a, F: Fn(Amount) -> Result<(Selection, Written<'a>)>> ByAmount<'a> for F {}

/// What the smallest amount removes that leaves at most this share of a resource. The model takes `before`; weights in a
/// file of their own are at `location`.
#[cfg_attr(
    not(feature = "runtime"),
    expect(unused_variables, reason = "the model is run where it is timed")
)]
pub fn within<'a>(
    (resource, budget): (Resource, f64),
    read: &Model<'a>,
    couplings: &Couplings<'a>,
    before: &Cost,
    location: &str,
    with: impl ByAmount<'a>,
) -> Result<(Selection, Written<'a>)> {
    let of = |cost: &Cost| match resource {
        Resource::Parameters => Some(cost.parameters),
        Resource::MultiplyAdds => cost.macs,
        Resource::Bytes => Some(cost.bytes),
        #[cfg(feature = "runtime")]
        Resource::Latency => None,
    };
    #[cfg(feature = "runtime")]
    if resource == Resource::Latency {
        let stopwatch = crate::runtime::Stopwatch::of(read, couplings, location)?;
        return least(budget, TIMED_STEPS, |smaller| stopwatch.share(smaller), with);
    }
    let unknown = || Error::Options {
        reason: "the multiply-adds of this model are not known, because shapes are computed at run time; \
                 give an amount, or a budget of parameters or bytes"
            .into(),
    };
    let all = of(before).ok_or_else(unknown)? as f64;
    let share = |smaller: &Written<'a>| {
        let external = External::of(location, smaller.data.pieces().iter());
        let again = Model::read(&smaller.model, &external)?;
        Ok(of(&Cost::of_written(&again, smaller)?).ok_or_else(unknown)? as f64 / all)
    };
    least(budget, STEPS, share, with)
}

/// What the smallest amount removes that leaves at most this share.
fn least<'a>(
    budget: f64,
    steps: usize,
    share: impl Fn(&Written<'a>) -> Result<f64>,
    with: impl ByAmount<'a>,
) -> Result<(Selection, Written<'a>)> {
    let mut best = with(Amount::fraction(1.0)?)?;
    let least = share(&best.1)?;
    if least > budget {
        return Err(Error::Budget {
            requested: 100.0 * budget,
            least: 100.0 * least,
        });
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..steps {
        let middle = (low + high) / 2.0;
        let next = with(Amount::fraction(middle)?)?;
        // Rounding makes many amounts one, which need not be measured again.
        if next.0.removed == best.0.removed || share(&next.1)? <= budget {
            (best, high) = (next, middle);
        } else {
            low = middle;
        }
    }
    Ok(best)
}
