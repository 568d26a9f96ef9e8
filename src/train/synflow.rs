//! [`synflow`].

use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};

use super::error::TrainError;
use super::parameters;
use crate::error::Result;
use crate::mask::{Amount, CustomFromMask, FloatArray, GlobalOptions, IntoMethod, L1Unstructured};
use crate::nn::{Module, ParamTreeExt};
use crate::prunable::{MaskAction, MaskChange, Prunable, Pruning, WriteValues};
use crate::prune::{self, Report};
use crate::tensor::Tensor;

/// Prunes a network before it is trained, without data, by synaptic flow: each weight's share in the output of a network
/// of absolute weights, θ ⊙ ∂R/∂θ, where R is the sum of the outputs for an input of ones.
///
/// It prunes in `iterations` steps with all listed parameters ranked together, so that equal fractions of what remains
/// are pruned in each, until the given share of all entries is pruned. As flow is conserved from layer to layer, no layer
/// is pruned away before the others are; with one iteration that does not hold. 100 iterations are usual.
///
/// `input_shape` is that of a batch, such as `[1, 1, 8, 8]`. The network is meant to be of layers whose output grows with
/// their input: linear layers, convolutions, pooling, ReLU. Biases do not count. Each weight is scaled by a power of two
/// while flow is computed, so that deep networks do not overflow; that changes no ranking.
///
/// The model gets masks, and is otherwise left bit for bit as it was. A dropout layer belongs in evaluation mode.
///
/// Tanaka et al. 2020, <https://arxiv.org/abs/2006.05467>.
///
/// ```
/// use rand::SeedableRng;
/// use secateurs::nn::{Linear, Relu, Sequential};
/// use secateurs::{prune, train};
///
/// let rng = &mut rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let mut model = Sequential::new().push(Linear::new(16, 100, rng)?).push(Relu::new()).push(Linear::new(100, 4, rng)?);
/// let paths = prune::weights(&model);
/// let report = train::synflow(&mut model, paths, 0.95, &[1, 16], 100)?;
/// assert_eq!((report.masked, report.entries), (1900, 2000));
/// assert!(report.parameters.iter().all(|parameter| parameter.masked < parameter.entries));
/// # Ok::<(), secateurs::Error>(())
/// ```
///
/// # Errors
///
/// [`ListError`](crate::error::ListError) for a bad list of paths; [`TrainError::NoSteps`] for 0 iterations;
/// [`AmountError::FractionOutOfRange`](crate::error::AmountError::FractionOutOfRange) for a sparsity that is NaN or
/// outside [0, 1]; whatever the network returns for such an input;
/// [`MaskError::NanScore`](crate::error::MaskError::NanScore) if a weight is NaN. After an error, the model is as it was.
pub fn synflow<M: Module + Clone>(
    model: &mut M,
    paths: impl IntoIterator<Item = impl AsRef<str>>,
    sparsity: f64,
    input_shape: &[usize],
    iterations: u32,
) -> Result<Report> {
    let paths = parameters::checked(model, paths)?;
    if iterations == 0 {
        return Err(TrainError::NoSteps.into());
    }
    Amount::until(sparsity)?;
    model.check_whole()?;
    let mut flow = model.clone();
    flow.write_values(absolute(&flow)?)?;
    let input = Tensor::new(ArrayD::ones(IxDyn(input_shape)));
    for iteration in 1..=iterations {
        let scores = scores(&flow, &paths, &input)?;
        let pairs = paths.iter().zip(&scores);
        let options = pairs.fold(GlobalOptions::new(), |options, (path, scores)| {
            options.scores(path, scores)
        });
        let until = match iteration == iterations {
            true => sparsity,
            false => 1.0 - libm::pow(1.0 - sparsity, f64::from(iteration) / f64::from(iterations)),
        };
        let method = L1Unstructured::new(Amount::until(until)?)?;
        prune::global_unstructured_with(&mut flow, &paths, method, &options)?;
    }
    commit(model, &flow, &paths, sparsity)
}

/// The absolute values of all parameters, and 0 for biases. Each weight is scaled by a power of two, such that the sum
/// over the inputs of an output is about 1.
fn absolute<M: Module>(model: &M) -> Result<Vec<(String, FloatArray)>> {
    let paths = model.paths().into_iter();
    let values = paths.map(|path| {
        let view = model.view(&path)?;
        let mut values = view.values()?.to_f32().mapv(f32::abs);
        if view.name().contains("bias") {
            values.fill(0.0);
        } else if values.ndim() >= 2 {
            let sum: f64 = values.iter().map(|x| f64::from(*x)).sum();
            let exponent = libm::log2(sum / values.shape()[0] as f64).round();
            if exponent.is_finite() {
                let scale = libm::exp2(-exponent);
                values.mapv_inplace(|x| (f64::from(x) * scale) as f32);
            }
        }
        Ok((path, values.into()))
    });
    values.collect()
}

/// θ ⊙ ∂R/∂θ of each parameter.
fn scores<M: Module>(flow: &M, paths: &[String], input: &Tensor) -> Result<Vec<ArrayD<f64>>> {
    let gradients = flow.forward(input)?.sum().backward()?;
    let scores = paths.iter().map(|path| {
        let parameter = flow.parameter(path)?;
        let weights = parameter.effective().mapv(f64::from);
        // What takes no part in the output has no flow.
        Ok(match gradients.get(parameter.id()) {
            Some(gradient) => weights * gradient.mapv(f64::from),
            None => weights * 0.0,
        })
    });
    scores.collect()
}

/// Gives the model the masks of its copy.
fn commit<M: Module>(model: &mut M, flow: &M, paths: &[String], sparsity: f64) -> Result<Report> {
    let (mut masks, mut changes, mut before) = (Vec::new(), Vec::new(), 0);
    for path in paths {
        let view = model.view(path)?;
        before += view.mask().map_or(0, |mask| mask.count_pruned());
        // A copy that nothing was pruned of has no mask.
        let Some(mask) = prune::mask(flow, path)? else {
            continue;
        };
        let method = CustomFromMask::new(mask.clone()).into_method();
        let pruning = Pruning::after(view.pruning(), view.name(), Arc::clone(&mask), method)?;
        changes.push(MaskChange {
            path: path.clone(),
            action: MaskAction::Set(pruning),
        });
        masks.push((path.as_str(), mask));
    }
    let report = |requested, pruned| {
        Report::new(
            requested,
            pruned,
            masks.iter().map(|(path, mask)| (*path, &**mask)),
        )
    };
    let after = report(None, 0);
    let requested = Amount::until(sparsity)?.units(after.entries - before, after.entries)?;
    model.commit(changes)?;
    Ok(report(Some(requested), after.masked - before))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::nn::{Linear, Relu, Sequential, state_dict};

    fn network(sizes: &[usize]) -> Sequential {
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        sizes.windows(2).fold(Sequential::new(), |model, size| {
            model
                .push(Linear::new(size[0], size[1], rng).unwrap())
                .push(Relu::new())
        })
    }

    #[test]
    fn one_iteration_is_the_closed_form() {
        let mut model = network(&[5, 7, 3]);
        let matrix = |model: &Sequential, path: &str| -> Array2<f64> {
            let weight = model
                .parameter(path)
                .unwrap()
                .original()
                .mapv(|x| f64::from(x.abs()));
            weight.into_dimensionality().unwrap()
        };
        let (first, second) = (matrix(&model, "0.weight"), matrix(&model, "2.weight"));
        let (into, out) = (
            first.sum_axis(ndarray::Axis(1)),
            second.sum_axis(ndarray::Axis(0)),
        );
        let flow_first = &first * &out.view().insert_axis(ndarray::Axis(1));
        let flow_second = &second * &into.view().insert_axis(ndarray::Axis(0));
        let all: Array1<f64> = flow_first.iter().chain(&flow_second).copied().collect();
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by(|a, b| all[*a].total_cmp(&all[*b]));

        let before = state_dict(&model);
        let report = synflow(&mut model, ["0.weight", "2.weight"], 0.5, &[1, 5], 1).unwrap();
        assert_eq!(
            (report.requested, report.pruned, report.masked, report.entries),
            (Some(28), 28, 28, 56)
        );
        let masks = ["0.weight", "2.weight"].map(|path| prune::mask(&model, path).unwrap().unwrap());
        let kept: Vec<bool> = masks.iter().flat_map(|mask| mask.iter()).collect();
        assert!(order[..28].iter().all(|index| !kept[*index]));
        prune::discard(&mut model, "0.weight").unwrap();
        prune::discard(&mut model, "2.weight").unwrap();
        assert!(
            before.iter().eq(state_dict(&model).iter()),
            "weights are left alone"
        );
    }

    #[test]
    fn deep_networks_neither_overflow_nor_lose_a_layer() {
        let mut model = network(&[20; 41]);
        // Weights such that flow through forty layers is beyond f32 either way.
        for scale in [1e5_f32, 1e-5] {
            for path in prune::weights(&model) {
                let values = model.view(&path).unwrap().values().unwrap().to_f32() * scale;
                model.write_values(vec![(path, values.into())]).unwrap();
            }
            let mut model = model.clone();
            let paths = prune::weights(&model);
            let report = synflow(&mut model, &paths, 0.95, &[1, 20], 50).unwrap();
            assert_eq!(report.masked, 40 * 380);
            assert!(
                report.parameters.iter().all(|parameter| parameter.masked < 400),
                "{report}"
            );
        }
    }

    #[test]
    fn masks_from_before_stay_and_bad_input_changes_nothing() {
        let mut model = network(&[6, 6, 2]);
        prune::ln_structured(&mut model, "0.weight", 2, 1, 0).unwrap();
        let before = prune::mask(&model, "0.weight").unwrap().unwrap();
        let paths = ["0.weight", "2.weight"];
        let state = format!("{:?}", state_dict(&model));
        assert!(synflow(&mut model, paths, 0.5, &[1, 5], 10).is_err());
        assert!(synflow(&mut model, paths, 0.5, &[1, 6], 0).is_err());
        assert!(synflow(&mut model, paths, f64::NAN, &[1, 6], 10).is_err());
        assert!(synflow(&mut model, [""; 0], 0.5, &[1, 6], 10).is_err());
        assert_eq!(format!("{:?}", state_dict(&model)), state);
        let report = synflow(&mut model, paths, 0.5, &[1, 6], 10).unwrap();
        assert_eq!((report.masked, report.pruned), (24, 12));
        let after = prune::mask(&model, "0.weight").unwrap().unwrap();
        assert_eq!(after.and(&before).unwrap(), *after);
    }
}
