//! Dynamic sparse training, step by step.

use ndarray::ArrayD;
use secateurs::train::{DynamicPruner, Schedule, erdos_renyi_kernel};
use secateurs::{FloatArray, prune};

use crate::{bits, model};

const WEIGHTS: [&str; 2] = ["0.weight", "1.weight"];

fn pruner(model: &secateurs::ArrayModel) -> DynamicPruner {
    let schedule = Schedule::cosine(0.3, 0.0, 0..=40).unwrap().every(10).unwrap();
    DynamicPruner::new(model, WEIGHTS, schedule).unwrap().seed(3)
}

#[test]
fn it_starts_at_the_listed_sparsities_with_masks_of_their_own() {
    let mut model = model();
    let sparsities = erdos_renyi_kernel(&[&[10, 20], &[10, 20]], 0.8).unwrap();
    let update = pruner(&model).start(&mut model, &sparsities).unwrap();
    assert_eq!((update.masked(), update.entries()), (320, 400));
    let masks = WEIGHTS.map(|path| prune::mask(&model, path).unwrap().unwrap());
    assert_ne!(masks[0], masks[1]);
    assert!(pruner(&model).start(&mut model, &[0.5]).is_err());
    assert!(pruner(&model).start(&mut model, &[0.5, f64::NAN]).is_err());
}

#[test]
fn sparsity_stays_and_what_grows_starts_at_zero() {
    for at_random in [false, true] {
        let mut model = model();
        let mut pruner = pruner(&model);
        pruner.start(&mut model, &[0.5, 0.8]).unwrap();
        for step in 0..60 {
            assert_eq!(pruner.is_update(step), step <= 40 && step % 10 == 0);
            let before = WEIGHTS.map(|path| prune::mask(&model, path).unwrap().unwrap());
            let update = match at_random {
                true => pruner.step_at_random(&mut model, step).unwrap(),
                false => pruner
                    .step_with_gradients(&mut model, step, |view| {
                        let mut gradient = ArrayD::<f32>::zeros(view.shape());
                        gradient
                            .iter_mut()
                            .enumerate()
                            .for_each(|(i, g)| *g = ((i * 37) % 101) as f32);
                        Ok(gradient.into())
                    })
                    .unwrap(),
            };
            let Some(update) = update else { continue };
            assert_eq!(update.masked(), 100 + 160);
            // 0.3 of 100 and of 40, less what grew again at once.
            assert!(step > 0 || (1..=42).contains(&update.pruned()), "{update}");
            assert_eq!(update.pruned(), update.regrown());
            for (path, before) in WEIGHTS.iter().zip(before) {
                let after = prune::mask(&model, path).unwrap().unwrap();
                let FloatArray::F32(values) = model.array(path).unwrap() else {
                    panic!()
                };
                for ((now, then), value) in after.iter().zip(before.iter()).zip(values) {
                    if now && !then {
                        assert_eq!(value.to_bits(), 0, "what grew starts at +0.0");
                    } else if now {
                        assert_ne!(*value, 0.0, "what stayed, or grew again at once, keeps its value");
                    }
                }
                // As if training had moved them.
                let FloatArray::F32(values) = model.array_mut(path).unwrap() else {
                    panic!()
                };
                values.iter_mut().filter(|x| **x == 0.0).for_each(|x| *x = 0.01);
            }
        }
    }
}

#[test]
fn an_error_changes_nothing() {
    let mut model = model();
    let mut pruner = pruner(&model);
    pruner.start(&mut model, &[0.5, 0.5]).unwrap();
    let (before, state) = (bits(&model), pruner.state());
    let result = pruner.step_with_gradients(&mut model, 0, |view| match view.path() {
        "0.weight" => Ok(ArrayD::<f32>::zeros(view.shape()).into()),
        _ => Ok(ArrayD::<f32>::zeros(vec![3]).into()),
    });
    assert!(result.unwrap_err().to_string().contains("1.weight"));
    assert_eq!((bits(&model), pruner.state()), (before, state));
}
