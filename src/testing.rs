//! A test suite for your own implementations of [`Prunable`].
//!
//! [`check_model`] asks you to build a model from given arrays. It runs every function of [`prune`] on that model,
//! and compares masks, values, histories and errors with the expected ones. It panics if anything differs, so one
//! test is enough:
//!
//! ```
//! use secateurs::{ArrayModel, mask::FloatType, testing};
//!
//! // #[test]
//! fn an_array_model_can_be_pruned() {
//!     let types = [FloatType::F16, FloatType::BF16, FloatType::F32, FloatType::F64];
//!     testing::check_model(&types, |arrays| {
//!         let mut model = ArrayModel::new();
//!         for (name, array) in arrays {
//!             model.insert(*name, array.clone()).unwrap();
//!         }
//!         model
//!     });
//! }
//! # an_array_model_can_be_pruned();
//! ```

use std::sync::Arc;

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD, IxDyn, array};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::error::{AmountError, ListError, MaskError, ModelError, Result};
use crate::mask::{self, FloatType, FloatView, MergedMask, PruningType, Ranked};
use crate::prunable::WriteValues;
use crate::prune::{self, *};
use crate::{ArrayModel, Error, FloatArray, Prunable};

/// Checks every function of [`prune`] on models that `make` builds from named arrays of each of these float types.
///
/// `make` is called many times, with one to three arrays each time, named `fc.weight`, `head.weight` and `fc.bias`.
/// The model must list them under these names and with these values. The order is up to the model.
///
/// # Panics
///
/// If the model does not behave as [`Prunable`] requires. The message says what is wrong.
pub fn check_model<M: Prunable>(types: &[FloatType], make: impl Fn(&[(&str, FloatArray)]) -> M) {
    assert!(
        !types.is_empty(),
        "a model has parameters of at least one float type"
    );
    for &float_type in types {
        let suite = Suite {
            float_type,
            make: &make,
        };
        suite.views();
        suite.every_method();
        suite.scores();
        suite.history();
        suite.global();
        suite.ways_out();
        suite.set_mask();
        suite.own_method();
        suite.nothing_changes_on_errors();
    }
    if let [first, .., last] = *types {
        several_types(first, last, &make);
    }
}

/// Checks that a model which `make` builds from arrays of f32 gets the masks that an [`ArrayModel`] of them gets, bit
/// for bit: by every kind of method, on top of each other and together. Returns both models, pruned, so that you can
/// compare what they compute with.
///
/// The arrays are named `conv.weight` (8×4×3×3), `fc.weight` (12×32) and `head.weight` (6×12).
///
/// ```
/// use secateurs::{ArrayModel, testing};
///
/// let (model, expected) = testing::check_masks(|arrays| {
///     let mut model = ArrayModel::new();
///     for (name, array) in arrays {
///         model.insert(*name, array.clone()).unwrap();
///     }
///     model
/// });
/// assert_eq!(model.effective("fc.weight").unwrap(), expected.effective("fc.weight").unwrap());
/// ```
///
/// # Panics
///
/// If a mask differs, or pruning fails.
pub fn check_masks<M: Prunable>(make: impl FnOnce(&[(&str, FloatArray)]) -> M) -> (M, ArrayModel) {
    let array = |shape: &[usize], seed: usize| {
        let len: usize = shape.iter().product();
        let values = (0..len).map(|i| ((i * 7919 + seed * 104_729) % 10_007) as f32 / 5_000.0 - 1.0);
        let array = ArrayD::from_shape_vec(shape, values.collect());
        FloatArray::from(array.expect("there are as many values as the shape needs"))
    };
    let arrays = [
        ("conv.weight", array(&[8, 4, 3, 3], 1)),
        ("fc.weight", array(&[12, 32], 2)),
        ("head.weight", array(&[6, 12], 3)),
    ];
    let (mut model, mut expected) = (make(&arrays), ArrayModel::new());
    for (name, array) in &arrays {
        let inserted = expected.insert(*name, array.clone());
        inserted.expect("the names differ");
    }
    prune_in_many_ways(&mut model).expect("the model can be pruned");
    prune_in_many_ways(&mut expected).expect("arrays can be pruned");
    for (name, _) in &arrays {
        let mask = mask_of(&model, name);
        assert_eq!(mask, mask_of(&expected, name), "the mask of `{name}`");
        assert!(mask.count_pruned() > 0, "`{name}` is pruned");
    }
    (model, expected)
}

/// Prunes by every kind of method, on top of each other and together.
/// Checks that the values of models which `make` builds can be replaced, as [`WriteValues`] requires: all of them or
/// none, while masks stay.
///
/// `make` gets the arrays that [`check_model`] gives, of each of these float types.
///
/// # Panics
///
/// If the model does not behave so. The message says what is wrong.
pub fn check_write_values<M: WriteValues>(types: &[FloatType], make: impl Fn(&[(&str, FloatArray)]) -> M) {
    for &float_type in types {
        let arrays = values().map(|(name, array)| (name, cast(&array, float_type)));
        let mut model = make(&arrays);
        prune::l1_unstructured(&mut model, "fc.weight", 0.5).expect("the model can be pruned");
        let before = snapshot(&model);

        let new = values().map(|(name, array)| {
            let array = cast(&array.mapv(|x| 2.0 * x + 0.25), float_type);
            (name.to_owned(), array)
        });
        let shapeless = FloatArray::from(ArrayD::<f32>::zeros(vec![1, 1, 1, 1]));
        for bad in [
            ("head.weight", shapeless.clone()),
            ("missing", shapeless),
            ("fc.weight", new[0].1.clone()),
        ] {
            let mut list = vec![new[0].clone()];
            list.push((bad.0.to_owned(), bad.1));
            assert!(model.write_values(list).is_err(), "`{}` is refused", bad.0);
            assert_eq!(snapshot(&model), before, "an error changes nothing");
        }

        model.write_values(new.to_vec()).expect("the values fit");
        let mut expected = make(&new.clone().map(|(name, array)| (&*name.leak() as &str, array)));
        prune::set_mask(&mut expected, "fc.weight", mask_of(&model, "fc.weight")).expect("the mask fits");
        for (path, _) in values() {
            let bits = |model: &M| bits(&model.view(path).unwrap().values().unwrap());
            assert_eq!(bits(&model), bits(&expected), "new values of `{path}`");
        }
        let mask_before = before
            .iter()
            .find(|(path, ..)| path == "fc.weight")
            .and_then(|entry| entry.2.clone());
        assert_eq!(Some(mask_of(&model, "fc.weight")), mask_before, "masks stay");
        prune::remove(&mut model, "fc.weight").expect("it is pruned");
        prune::remove(&mut expected, "fc.weight").expect("it is pruned");
        let effective = |model: &M| bits(&model.view("fc.weight").unwrap().values().unwrap());
        assert_eq!(
            effective(&model),
            effective(&expected),
            "masks stay on new values"
        );
    }
}

fn prune_in_many_ways<M: Prunable>(model: &mut M) -> Result<()> {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    prune::random_unstructured(model, "conv.weight", 0.1, rng)?;
    prune::l1_unstructured(model, "conv.weight", 30)?;
    prune::random_structured(model, "conv.weight", 1, 1, rng)?;
    prune::ln_structured(model, "conv.weight", 0.25, 2, 0)?;
    prune::apply(model, "fc.weight", NmStructured::new(2, 4, 1)?)?;
    let blocks = BlockStructured::new(0.2, 2, 4, BlockRank::MeanSquare)?;
    prune::apply(model, "fc.weight", blocks)?;
    prune::identity(model, "head.weight")?;
    prune::apply(model, "head.weight", ScoreUnstructured::new(5)?)?;
    let options = GlobalOptions::new().max_sparsity(0.8)?;
    let all = ["conv.weight", "fc.weight", "head.weight"];
    prune::global_unstructured_with(model, all, L1Unstructured::new(0.3)?, &options)?;
    prune::global_unstructured(model, all, RandomUnstructured::new(20, rng)?)?;
    Ok(())
}

/// The values that models are made of; each is exact in every type.
fn values() -> [(&'static str, ArrayD<f64>); 3] {
    let weight = array![
        [0.5, -2.0, 0.25, 8.0],
        [-0.125, 4.0, 0.75, -1.0],
        [3.0, -0.5, 16.0, 0.0]
    ];
    let head = array![[1.0, -1.0, 6.0], [0.375, 2.0, -5.0]];
    let bias = array![7.0, -9.0, 0.0625];
    [
        ("fc.weight", weight.into_dyn()),
        ("head.weight", head.into_dyn()),
        ("fc.bias", bias.into_dyn()),
    ]
}

fn cast(values: &ArrayD<f64>, float_type: FloatType) -> FloatArray {
    match float_type {
        FloatType::F16 => FloatArray::F16(values.mapv(f16::from_f64)),
        FloatType::BF16 => FloatArray::BF16(values.mapv(bf16::from_f64)),
        FloatType::F32 => FloatArray::F32(values.mapv(|x| x as f32)),
        FloatType::F64 => FloatArray::F64(values.clone()),
    }
}

/// The entries of a view as bits of f64s, so that −0.0 is not +0.0 and NaN is NaN.
fn bits(view: &FloatView<'_>) -> Vec<u64> {
    let wide: Vec<f64> = match view {
        FloatView::F16(a) => a.iter().map(|x| x.to_f64()).collect(),
        FloatView::BF16(a) => a.iter().map(|x| x.to_f64()).collect(),
        FloatView::F32(a) => a.iter().map(|&x| x.into()).collect(),
        FloatView::F64(a) => a.iter().copied().collect(),
    };
    wide.into_iter().map(f64::to_bits).collect()
}

/// Everything that a model shows of itself.
fn snapshot<M: Prunable>(model: &M) -> Vec<(String, Vec<u64>, Option<Mask>, String)> {
    let parameters = model.paths().into_iter().map(|path| {
        let view = model.view(&path).expect("a listed path leads to a parameter");
        let values = bits(&view.values().expect("a parameter has values"));
        let history = format!("{:?}", view.pruning().map(|pruning| pruning.history()));
        (path, values, view.mask().cloned(), history)
    });
    parameters.collect()
}

fn mask_of<M: Prunable>(model: &M, path: &str) -> Mask {
    let mask = prune::mask(model, path).expect("the parameter is there");
    (*mask.expect("the parameter is pruned")).clone()
}

fn sorted(mut paths: Vec<String>) -> Vec<String> {
    paths.sort();
    paths
}

struct Suite<'a, F> {
    float_type: FloatType,
    make: &'a F,
}

impl<M: Prunable, F: Fn(&[(&str, FloatArray)]) -> M> Suite<'_, F> {
    fn arrays(&self) -> Vec<(&'static str, FloatArray)> {
        let cast = |(name, values)| (name, cast(&values, self.float_type));
        values().into_iter().map(cast).collect()
    }

    fn model(&self) -> M {
        (self.make)(&self.arrays())
    }

    fn views(&self) {
        let model = self.model();
        assert_eq!(sorted(model.paths()), ["fc.bias", "fc.weight", "head.weight"]);
        assert_eq!(
            model.paths(),
            self.model().paths(),
            "the order is always the same"
        );
        let mut ids = Vec::new();
        for (path, array) in self.arrays() {
            let view = model.view(path).expect("a listed path leads to a parameter");
            assert_eq!((view.path(), view.shape()), (path, array.view().shape()));
            assert_eq!(view.float_type(), self.float_type, "the type of `{path}`");
            assert!(view.pruning().is_none(), "`{path}` is not pruned yet");
            assert_eq!(
                bits(&view.values().unwrap()),
                bits(&array.view()),
                "the values of `{path}`"
            );
            ids.push(view.id());
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3, "different parameters have different ids");
        let error = model.view("fc.wieght").expect_err("there is no such parameter");
        assert!(
            matches!(&error, Error::Model(ModelError::UnknownParameter { nearest, .. }) if nearest[0] == "fc.weight"),
            "an unknown path names the nearest: {error:?}"
        );
        assert!(!prune::is_pruned(&model));
        assert_eq!(sorted(prune::weights(&model)), ["fc.weight", "head.weight"]);
    }

    fn every_method(&self) {
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let custom = Mask::from_bool(
            array![
                [true, false, true, true],
                [true, true, false, true],
                [false, true, true, true]
            ]
            .view(),
        );
        let methods: Vec<Arc<dyn PruningMethod>> = vec![
            Arc::new(Identity),
            Arc::new(L1Unstructured::new(0.5).unwrap()),
            Arc::new(ScoreUnstructured::new(4).unwrap()),
            Arc::new(RandomUnstructured::new(0.25, rng).unwrap()),
            Arc::new(RandomStructured::new(1, 0, rng).unwrap()),
            Arc::new(LnStructured::new(1, 2, 0).unwrap()),
            Arc::new(LnStructured::new(0.5, 1, -1).unwrap()),
            Arc::new(NmStructured::new(2, 4, 1).unwrap()),
            Arc::new(BlockStructured::new(2, 2, 2, BlockRank::MeanSquare).unwrap()),
            Arc::new(CustomFromMask::new(custom)),
        ];
        let arrays = self.arrays();
        for first in &methods {
            for second in &methods {
                // On top of each other, so that the second sees pruned entries.
                let mut model = self.model();
                let one = mask::compute(&**first, arrays[0].1.view(), None).unwrap();
                let report = prune::apply(&mut model, "fc.weight", first.clone()).unwrap();
                assert_eq!(mask_of(&model, "fc.weight"), one.mask, "{first:?}");
                assert_eq!(
                    (report.requested, report.pruned),
                    (one.requested, one.pruned),
                    "{first:?}"
                );

                // The second ranks what the model computes with: pruned entries are 0.
                let zero = FloatArray::F64(effective(&arrays[0].1.view(), &one.mask));
                let two = mask::compute(&**second, zero.view(), Some(&one.mask)).unwrap();
                let report = prune::apply(&mut model, "fc.weight", second.clone()).unwrap();
                assert_eq!(
                    mask_of(&model, "fc.weight"),
                    two.mask,
                    "{first:?}, then {second:?}"
                );
                assert_eq!(report.masked, two.mask.count_pruned());
                assert_eq!((report.entries, report.parameters.len()), (12, 1));
                // The originals stay.
                let view = model.view("fc.weight").unwrap();
                assert_eq!(bits(&view.values().unwrap()), bits(&arrays[0].1.view()));
            }
        }
        let mut model = self.model();
        prune::l1_unstructured(&mut model, "fc.weight", 0.5).unwrap();
        assert!(prune::is_pruned(&model));
        assert!(
            prune::mask(&model, "head.weight").unwrap().is_none(),
            "other parameters are not touched"
        );
    }

    fn scores(&self) {
        let scores = array![
            [12.0_f32, 1.0, 2.0, 3.0],
            [-11.0, 4.0, 5.0, 6.0],
            [10.0, 7.0, 8.0, 9.0]
        ];
        let mut model = self.model();
        prune::l1_unstructured_with_scores(&mut model, "fc.weight", 2, &scores).unwrap();
        assert_eq!(
            mask_of(&model, "fc.weight"),
            Mask::from_fn(scores.view(), |x| *x < 0.0 || *x > 2.0)
        );
        prune::apply_with_scores(
            &mut model,
            "fc.weight",
            ScoreUnstructured::new(1).unwrap(),
            &scores,
        )
        .unwrap();
        assert_eq!(
            mask_of(&model, "fc.weight"),
            Mask::from_fn(scores.view(), |x| *x > 2.0)
        );
        let mut model = self.model();
        prune::ln_structured_with_scores(
            &mut model,
            "fc.weight",
            1,
            f64::INFINITY,
            1,
            &scores.mapv(f64::from),
        )
        .unwrap();
        let mask = mask_of(&model, "fc.weight");
        assert_eq!(mask.count_pruned(), 3);
        assert_eq!(mask.get(&[0, 1]), Some(false), "the channel of lowest scores");
    }

    fn history(&self) {
        let mut model = self.model();
        prune::l1_unstructured(&mut model, "fc.weight", 2).unwrap();
        let hook = prune::hook(&model, "fc.weight")
            .unwrap()
            .expect("a pruned parameter has a hook");
        assert!(hook.is::<L1Unstructured>());
        assert!(
            prune::container(&model, "fc.weight").unwrap().is_none(),
            "one method is not a container"
        );

        // A call that prunes nothing leaves no trace.
        let report = prune::l1_unstructured(&mut model, "fc.weight", 0).unwrap();
        assert_eq!(report.pruned, 0);
        assert!(prune::container(&model, "fc.weight").unwrap().is_none());

        prune::ln_structured(&mut model, "fc.weight", 1, 2, 0).unwrap();
        for _ in 0..3 {
            prune::global_unstructured(&mut model, ["fc.weight"], L1Unstructured::new(1).unwrap()).unwrap();
        }
        let container = prune::container(&model, "fc.weight")
            .unwrap()
            .expect("several methods");
        assert_eq!((container.tensor_name(), container.len()), ("weight", 5));
        assert!(container[0].is::<L1Unstructured>() && container[1].is::<LnStructured>());
        assert!(
            container[2].is::<MergedMask>() && container[3].is::<MergedMask>(),
            "{container:?}"
        );
        let last = container
            .get(4)
            .and_then(|method| method.downcast_ref::<CustomFromMask>());
        assert_eq!(
            **last.expect("the last share is a mask").mask(),
            mask_of(&model, "fc.weight")
        );
    }

    fn global(&self) {
        let arrays = self.arrays();
        let paths = ["head.weight", "fc.weight"];
        let (head, fc) = (arrays[1].1.view(), arrays[0].1.view());
        let ranked = [
            Ranked::new(paths[0], head.view()),
            Ranked::new(paths[1], fc.view()),
        ];
        let scores = array![[0.0_f32, 1.0, 2.0], [3.0, 4.0, 50.0]];
        let options = [
            GlobalOptions::new(),
            GlobalOptions::new().max_sparsity(0.5).unwrap(),
            GlobalOptions::new().max_sparsity_of("fc.weight", 0.25).unwrap(),
            GlobalOptions::new().normalize(true),
            GlobalOptions::new().scores("head.weight", &scores),
        ];
        for options in &options {
            let method = L1Unstructured::new(6).unwrap();
            let expected = mask::compute_global_with(&method, &ranked, options).unwrap();
            let mut model = self.model();
            let report = prune::global_unstructured_with(&mut model, paths, method, options).unwrap();
            assert_eq!(
                (report.requested, report.pruned, report.entries),
                (Some(6), 6, 18),
                "{options:?}"
            );
            for (path, mask) in paths.iter().zip(&expected.masks) {
                assert_eq!(mask_of(&model, path), *mask, "{path} with {options:?}");
            }
        }
        let mut model = self.model();
        let random = RandomUnstructured::new(0.5, &mut ChaCha8Rng::seed_from_u64(5)).unwrap();
        let expected = mask::compute_global(&random, &ranked).unwrap();
        prune::global_unstructured(&mut model, paths, random).unwrap();
        assert_eq!(mask_of(&model, paths[0]), expected.masks[0]);
        assert_eq!(mask_of(&model, paths[1]), expected.masks[1]);
    }

    fn ways_out(&self) {
        // Whatever lies under a mask, what comes out is +0.0.
        let mut odd = values()[1].1.clone();
        odd[[0, 0]] = f64::NAN;
        odd[[0, 1]] = -0.0;
        odd[[1, 2]] = f64::NEG_INFINITY;
        let odd = cast(&odd, self.float_type);
        let keep = array![[false, false, true], [true, true, false]];
        let make = || {
            let mut model = (self.make)(&[("head.weight", odd.clone())]);
            prune::custom_from_mask(&mut model, "head.weight", keep.clone()).unwrap();
            model
        };
        let mut model = make();
        prune::discard(&mut model, "head.weight").unwrap();
        let view = model.view("head.weight").unwrap();
        assert_eq!(
            bits(&view.values().unwrap()),
            bits(&odd.view()),
            "discard gives the original back"
        );
        assert!(view.pruning().is_none());

        let mut model = make();
        prune::remove(&mut model, "head.weight").unwrap();
        let view = model.view("head.weight").unwrap();
        let expected = effective(&odd.view(), &Mask::from_bool(keep.view()));
        assert_eq!(
            bits(&view.values().unwrap()),
            bits(&(&expected).into()),
            "remove makes zeros"
        );
        assert!(view.pruning().is_none());
        drop(view);
        for error in [
            prune::remove(&mut model, "head.weight").unwrap_err(),
            prune::discard(&mut model, "head.weight").unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::Model(ModelError::NotPruned { .. })),
                "{error:?}"
            );
        }

        let mut model = self.model();
        prune::l1_unstructured(&mut model, "fc.bias", 1).unwrap();
        prune::l1_unstructured(&mut model, "fc.weight", 1).unwrap();
        assert_eq!(
            sorted(prune::remove_all(&mut model).unwrap()),
            ["fc.bias", "fc.weight"]
        );
        assert!(!prune::is_pruned(&model));
        assert_eq!(prune::remove_all(&mut model).unwrap(), [""; 0]);
    }

    fn set_mask(&self) {
        let mut model = self.model();
        prune::l1_unstructured(&mut model, "fc.bias", 2).unwrap();
        let report = prune::set_mask(&mut model, "fc.bias", array![false, true, true]).unwrap();
        assert_eq!(
            (report.requested, report.pruned, report.masked),
            (None, 0, 1),
            "entries may come back"
        );
        assert_eq!(
            mask_of(&model, "fc.bias"),
            Mask::from_bool(array![false, true, true].view())
        );
        let hook = prune::hook(&model, "fc.bias").unwrap().unwrap();
        assert!(
            hook.is::<CustomFromMask>(),
            "one mask is the whole history: {hook:?}"
        );
    }

    fn own_method(&self) {
        let mut model = self.model();
        prune::apply(&mut model, "fc.weight", BelowOne).unwrap();
        let array = &values()[0].1;
        assert_eq!(
            mask_of(&model, "fc.weight"),
            Mask::from_fn(array.view(), |x| x.abs() >= 1.0)
        );
        prune::global_unstructured(&mut model, ["fc.weight", "head.weight"], BelowOne).unwrap();
        let head = &values()[1].1;
        assert_eq!(
            mask_of(&model, "head.weight"),
            Mask::from_fn(head.view(), |x| x.abs() >= 1.0)
        );
    }

    fn nothing_changes_on_errors(&self) {
        let mut model = self.model();
        prune::l1_unstructured(&mut model, "fc.weight", 3).unwrap();
        let before = snapshot(&model);
        let l1 = |count: usize| L1Unstructured::new(count).unwrap();
        let wrong_scores = array![[1.0_f32]];
        let unlisted = GlobalOptions::new().scores("fc.bias", &wrong_scores);
        let misshaped = GlobalOptions::new().scores("head.weight", &wrong_scores);
        let both = ["fc.weight", "head.weight"];
        type Attempt<'a, M> = Box<dyn FnMut(&mut M) -> Result<()> + 'a>;
        let attempts: Vec<(&str, Attempt<'_, M>)> = vec![
            (
                "an unknown path",
                Box::new(|m| prune::l1_unstructured(m, "nowhere", 1).map(drop)),
            ),
            (
                "an empty path",
                Box::new(|m| prune::l1_unstructured(m, "", 1).map(drop)),
            ),
            (
                "a count too large",
                Box::new(|m| prune::l1_unstructured(m, "fc.weight", 10).map(drop)),
            ),
            (
                "a fraction too large",
                Box::new(|m| prune::l1_unstructured(m, "fc.weight", 1.5).map(drop)),
            ),
            (
                "a wrong dim",
                Box::new(|m| prune::ln_structured(m, "fc.weight", 1, 2, 2).map(drop)),
            ),
            (
                "channels of a vector",
                Box::new(|m| prune::ln_structured(m, "fc.bias", 1, 2, 0).map(drop)),
            ),
            (
                "groups that do not fit",
                Box::new(|m| prune::nm_structured(m, "fc.weight", 2, 4, 0).map(drop)),
            ),
            (
                "a mask of another shape",
                Box::new(|m| prune::set_mask(m, "fc.weight", array![true]).map(drop)),
            ),
            (
                "scores of another shape",
                Box::new(|m| prune::l1_unstructured_with_scores(m, "fc.weight", 1, &wrong_scores).map(drop)),
            ),
            (
                "a method that fails",
                Box::new(|m| prune::apply(m, "fc.weight", Fails).map(drop)),
            ),
            (
                "a mask that a method got wrong",
                Box::new(|m| prune::apply(m, "fc.weight", WrongShape).map(drop)),
            ),
            (
                "a container",
                Box::new(|m| prune::apply(m, "fc.weight", PruningContainer::new("weight")).map(drop)),
            ),
            (
                "no parameters",
                Box::new(|m| prune::global_unstructured(m, [""; 0], l1(1)).map(drop)),
            ),
            (
                "one listed twice",
                Box::new(|m| prune::global_unstructured(m, ["fc.weight", "fc.weight"], l1(1)).map(drop)),
            ),
            (
                "one unknown",
                Box::new(|m| prune::global_unstructured(m, ["fc.weight", "x"], l1(1)).map(drop)),
            ),
            (
                "too many globally",
                Box::new(|m| prune::global_unstructured(m, both, l1(16)).map(drop)),
            ),
            (
                "a structured method globally",
                Box::new(|m| {
                    prune::global_unstructured(m, both, LnStructured::new(1, 2, 0).unwrap()).map(drop)
                }),
            ),
            (
                "a failing method globally",
                Box::new(|m| prune::global_unstructured(m, both, Fails).map(drop)),
            ),
            (
                "scores that are not listed",
                Box::new(|m| prune::global_unstructured_with(m, both, l1(1), &unlisted).map(drop)),
            ),
            (
                "scores of another shape globally",
                Box::new(|m| prune::global_unstructured_with(m, both, l1(1), &misshaped).map(drop)),
            ),
            (
                "removal of what is not pruned",
                Box::new(|m| prune::remove(m, "head.weight")),
            ),
        ];
        for (what, mut attempt) in attempts {
            let error = attempt(&mut model).expect_err(what);
            assert_eq!(snapshot(&model), before, "{what}: {error}");
        }
        let error = prune::l1_unstructured(&mut model, "fc.weight", 10).unwrap_err();
        assert!(
            matches!(&error, Error::Parameter { path, error } if path == "fc.weight"
                && matches!(**error, Error::Amount(AmountError::TooLarge { requested: 10, remaining: 9 }))),
            "{error:?}"
        );
        let error = prune::global_unstructured(&mut model, [""; 0], l1(1)).unwrap_err();
        assert!(matches!(error, Error::List(ListError::NoParameters)), "{error:?}");

        // A NaN that would be ranked.
        let mut nan = values()[1].1.clone();
        nan[[1, 0]] = f64::NAN;
        let mut model = (self.make)(&[
            ("fc.weight", self.arrays()[0].1.clone()),
            ("head.weight", cast(&nan, self.float_type)),
        ]);
        let before = snapshot(&model);
        for error in [
            prune::l1_unstructured(&mut model, "head.weight", 1).unwrap_err(),
            prune::ln_structured(&mut model, "head.weight", 1, 2, 0).unwrap_err(),
            prune::global_unstructured(&mut model, both, l1(1)).unwrap_err(),
        ] {
            assert!(
                matches!(&error, Error::Mask(MaskError::NanScore { parameter: Some(path), index: 3 }) if path == "head.weight"),
                "{error:?}"
            );
            assert_eq!(snapshot(&model), before);
        }
        prune::random_unstructured(&mut model, "head.weight", 1, &mut ChaCha8Rng::seed_from_u64(1))
            .expect("a random method reads no scores");
    }
}

/// Parameters of two types, ranked together.
fn several_types<M: Prunable>(first: FloatType, last: FloatType, make: &impl Fn(&[(&str, FloatArray)]) -> M) {
    let [fc, head, _] = values();
    let arrays = [(fc.0, cast(&fc.1, first)), (head.0, cast(&head.1, last))];
    let wide = [Ranked::new("", &fc.1), Ranked::new("", &head.1)];
    for count in [1, 7, 13] {
        let method = L1Unstructured::new(count).unwrap();
        let expected = mask::compute_global(&method, &wide).unwrap();
        let mut model = make(&arrays);
        prune::global_unstructured(&mut model, ["fc.weight", "head.weight"], method).unwrap();
        assert_eq!(
            mask_of(&model, "fc.weight"),
            expected.masks[0],
            "{first} beside {last}"
        );
        assert_eq!(
            mask_of(&model, "head.weight"),
            expected.masks[1],
            "{last} beside {first}"
        );
    }
}

fn effective(view: &FloatView<'_>, mask: &Mask) -> ArrayD<f64> {
    let values = bits(view).into_iter().map(f64::from_bits).zip(mask);
    let values = values.map(|(x, kept)| if kept { x } else { 0.0 }).collect();
    ArrayD::from_shape_vec(IxDyn(mask.shape()), values).expect("a mask has its parameter's shape")
}

/// Prunes what is below 1: a method of a user's own.
#[derive(Debug, Serialize, Deserialize)]
struct BelowOne;

#[typetag::serde(name = "secateurs::testing::BelowOne")]
impl PruningMethod for BelowOne {
    fn pruning_type(&self) -> PruningType {
        PruningType::Unstructured
    }

    fn compute_mask(&self, scores: ArrayViewD<'_, f32>, _: &Mask) -> Result<Mask> {
        Ok(Mask::from_fn(scores, |x| x.abs() >= 1.0))
    }
}

/// A method that always fails.
#[derive(Debug, Serialize, Deserialize)]
struct Fails;

#[typetag::serde(name = "secateurs::testing::Fails")]
impl PruningMethod for Fails {
    fn pruning_type(&self) -> PruningType {
        PruningType::Unstructured
    }

    fn compute_mask(&self, _: ArrayViewD<'_, f32>, _: &Mask) -> Result<Mask> {
        Err(MaskError::Method("on purpose".into()).into())
    }
}

/// A method that answers with a mask of another shape.
#[derive(Debug, Serialize, Deserialize)]
struct WrongShape;

#[typetag::serde(name = "secateurs::testing::WrongShape")]
impl PruningMethod for WrongShape {
    fn pruning_type(&self) -> PruningType {
        PruningType::Whole
    }

    fn compute_mask(&self, _: ArrayViewD<'_, f32>, _: &Mask) -> Result<Mask> {
        Ok(Mask::ones(&[1, 1, 1]))
    }
}
