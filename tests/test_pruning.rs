//! The test suite of `torch.nn.utils.prune`, case by case: each test has the name of the one in PyTorch's
//! `test/nn/test_pruning.py` and asserts all that it does, in terms of this crate, and usually some more.
//!
//! Where the original replaces a method's `compute_mask`, a method of the test's own takes its place; where it
//! passes a value of a wrong type, the compiler refuses that here, which is asserted at compile time.

use secateurs::error::{AmountError, MaskError, ModelError};
mod fixtures;

use fixtures::{bits, buffer_names, by_bincode, by_json, mask, parameter_names, refused, rng};
use ndarray::{Array2, ArrayD, ArrayViewD, Axis, IxDyn, array};
use rand::RngExt;
use secateurs::Error;
use secateurs::mask::{
    Amount, CustomFromMask, GlobalOptions, IntoMethod, L1Unstructured, LnStructured, Mask, Norm,
    PruningContainer, PruningMethod, PruningType, RandomStructured,
};
use secateurs::nn::optim::Sgd;
use secateurs::nn::{
    self, Conv2d, Conv3d, ConvConfig, Group, Linear, Lstm, LstmConfig, Module, ParamTreeExt, Relu,
    Sequential, StateDict,
};
use secateurs::prune;
use secateurs::tensor::Tensor;
use serde::{Deserialize, Serialize};
use static_assertions::{assert_impl_all, assert_not_impl_any};

/// Gives a mask that the test has made: stands where the original replaces `compute_mask`.
#[derive(Debug, Serialize, Deserialize)]
struct Returns(Mask);

#[typetag::serde]
impl PruningMethod for Returns {
    fn pruning_type(&self) -> PruningType {
        PruningType::Whole
    }

    fn compute_mask(&self, _scores: ArrayViewD<'_, f32>, _prior: &Mask) -> secateurs::Result<Mask> {
        Ok(self.0.clone())
    }
}

/// Fails, as the original's `compute_mask` does by an exception.
#[derive(Debug, Serialize, Deserialize)]
struct Fails;

#[typetag::serde]
impl PruningMethod for Fails {
    fn pruning_type(&self) -> PruningType {
        PruningType::Unstructured
    }

    fn compute_mask(&self, _scores: ArrayViewD<'_, f32>, _prior: &Mask) -> secateurs::Result<Mask> {
        Err(Error::Mask(MaskError::Method("on purpose".into())))
    }
}

const NAMES: [&str; 2] = ["weight", "bias"];

/// The modules that the original goes through.
fn modules() -> Vec<Box<dyn Module>> {
    let mut rng = rng(1);
    let conv = Conv3d::new(ConvConfig::new(2, 2, 2), &mut rng).unwrap();
    vec![Box::new(Linear::new(5, 7, &mut rng).unwrap()), Box::new(conv)]
}

/// Original, mask as zeros and ones, and effective tensor of a pruned parameter.
fn parts(module: &dyn Module, name: &str) -> (ArrayD<f32>, ArrayD<f32>, ArrayD<f32>) {
    let parameter = module.parameter(name).unwrap();
    let mask = parameter.mask().unwrap().to_array();
    (
        parameter.original().to_owned(),
        mask,
        parameter.effective().to_owned(),
    )
}

fn ones_1x5() -> Tensor {
    Tensor::new(Array2::ones((1, 5)))
}

/// Output of a linear layer for ones, and the gradients of the sum of the output.
fn forward_backward(module: &Linear) -> (ArrayD<f32>, ArrayD<f32>, ArrayD<f32>) {
    let output = module.forward(&ones_1x5()).unwrap();
    let gradients = output.sum().backward().unwrap();
    let gradient = |name| {
        let id = module.parameter(name).unwrap().id();
        gradients.get(id).unwrap().to_owned()
    };
    (output.to_array(), gradient("weight"), gradient("bias"))
}

#[test]
fn test_validate_pruning_amount_init() {
    // Neither a fraction nor a count: not a value at run time but an error of the compiler. The same is shown, as
    // a caller would write it, by the examples of `Amount` that must not compile.
    assert_not_impl_any!(&'static str: TryInto<Amount>);
    assert_not_impl_any!(String: TryInto<Amount>);
    assert_not_impl_any!(f32: TryInto<Amount>);
    assert_not_impl_any!(bool: TryInto<Amount>);
    assert_not_impl_any!(char: TryInto<Amount>);
    assert_not_impl_any!((): TryInto<Amount>);
    assert_impl_all!(f64: TryInto<Amount>);
    assert_impl_all!(usize: TryInto<Amount>);
    assert_impl_all!(i32: TryInto<Amount>);
    // Text is parsed, and this is not an amount.
    let error = "I'm a string".parse::<Amount>().unwrap_err();
    assert!(matches!(&error, Error::Amount(AmountError::Syntax { text }) if text == "I'm a string"));

    for wrong in [1.1, 20.0] {
        let error = L1Unstructured::new(wrong).unwrap_err();
        assert!(matches!(error, Error::Amount(AmountError::FractionOutOfRange { value }) if value == wrong));
    }
    let error = L1Unstructured::new(-10).unwrap_err();
    assert!(matches!(
        error,
        Error::Amount(AmountError::NegativeCount { value: -10 })
    ));

    assert_eq!(Amount::try_from(0.34).unwrap(), Amount::fraction(0.34).unwrap());
    assert_eq!(Amount::try_from(1500).unwrap(), Amount::count(1500));
    assert_eq!(Amount::try_from(0).unwrap(), Amount::count(0));
    assert_eq!(Amount::try_from(0.0).unwrap(), Amount::fraction(0.0).unwrap());
    assert_eq!(Amount::try_from(1).unwrap(), Amount::count(1));
    assert_eq!(Amount::try_from(1.0).unwrap(), Amount::fraction(1.0).unwrap());
    assert_ne!(Amount::try_from(1).unwrap(), Amount::try_from(1.0).unwrap()); // S1
}

#[test]
fn test_validate_pruning_amount() {
    let units = |amount: Amount, size| amount.units(size, size);
    let error = units(Amount::count(20), 19).unwrap_err();
    assert!(matches!(
        error,
        Error::Amount(AmountError::TooLarge {
            requested: 20,
            remaining: 19
        })
    ));
    assert_eq!(units(Amount::fraction(0.3).unwrap(), 0).unwrap(), 0);
    assert_eq!(units(Amount::count(19), 20).unwrap(), 19);
    assert_eq!(units(Amount::count(0), 0).unwrap(), 0);
    assert_eq!(units(Amount::count(1), 1).unwrap(), 1);
}

#[test]
fn test_compute_nparams_to_prune() {
    let units = |amount: Amount, size| amount.units(size, size).unwrap();
    assert_eq!(units(Amount::count(0), 15), 0);
    assert_eq!(units(Amount::count(10), 15), 10);
    assert_eq!(units(Amount::try_from(1).unwrap(), 15), 1);
    assert_eq!(units(Amount::try_from(1.0).unwrap(), 15), 15);
    assert_eq!(units(Amount::fraction(0.4).unwrap(), 17), 7);
}

#[test]
fn test_random_pruning_sizes() {
    let mut rng = rng(2);
    for mut module in modules() {
        for name in NAMES {
            let shape = module.parameter(name).unwrap().shape().to_vec();
            prune::random_unstructured(&mut module, name, 0.1, &mut rng).unwrap();
            let (original, mask, effective) = parts(&*module, name);
            assert_eq!(mask.shape(), shape);
            assert_eq!(original.shape(), shape);
            assert_eq!(effective.shape(), shape);
            let state = nn::state_dict(&module);
            assert_eq!(state.get(&format!("{name}_mask")).unwrap().shape(), shape);
            assert_eq!(state.get(&format!("{name}_orig")).unwrap().shape(), shape);
        }
    }
}

#[test]
fn test_random_pruning_orig() {
    let mut rng = rng(3);
    for mut module in modules() {
        for name in NAMES {
            let before = module.parameter(name).unwrap().original().to_owned();
            prune::random_unstructured(&mut module, name, 0.1, &mut rng).unwrap();
            let state = nn::state_dict(&module);
            assert_eq!(bits(state.get(&format!("{name}_orig")).unwrap()), bits(&before));
        }
    }
}

#[test]
fn test_random_pruning_new_weight() {
    let mut rng = rng(4);
    for mut module in modules() {
        for name in NAMES {
            prune::random_unstructured(&mut module, name, 0.1, &mut rng).unwrap();
            let (original, mask, effective) = parts(&*module, name);
            assert_eq!(effective, original * mask);
        }
    }
}

#[test]
fn test_identity_pruning() {
    let mut module = Linear::new(5, 2, &mut rng(5)).unwrap();
    let (output, weight_gradient, bias_gradient) = forward_backward(&module);
    assert_eq!(weight_gradient, ArrayD::<f32>::ones(IxDyn(&[2, 5])));
    assert_eq!(bias_gradient, ArrayD::<f32>::ones(IxDyn(&[2])));

    // Gradients are values here, so there are none to be zeroed in between.
    prune::identity(&mut module, "weight").unwrap();
    check_unchanged_by_ones(&module, &output, &weight_gradient, &bias_gradient);
}

#[test]
fn test_random_pruning_0perc() {
    let mut module = Linear::new(5, 2, &mut rng(6)).unwrap();
    let (output, weight_gradient, bias_gradient) = forward_backward(&module);
    assert_eq!(weight_gradient, ArrayD::<f32>::ones(IxDyn(&[2, 5])));
    assert_eq!(bias_gradient, ArrayD::<f32>::ones(IxDyn(&[2])));

    prune::apply(&mut module, "weight", Returns(Mask::ones(&[2, 5]))).unwrap();
    check_unchanged_by_ones(&module, &output, &weight_gradient, &bias_gradient);

    // And by the method itself, which the original has to bypass.
    let mut module = Linear::new(5, 2, &mut rng(6)).unwrap();
    prune::random_unstructured(&mut module, "weight", 0.0, &mut rng(7)).unwrap();
    check_unchanged_by_ones(&module, &output, &weight_gradient, &bias_gradient);
}

/// A mask of ones changes neither output nor gradients, and forward is the same every time.
fn check_unchanged_by_ones(module: &Linear, output: &ArrayD<f32>, weight: &ArrayD<f32>, bias: &ArrayD<f32>) {
    assert_eq!(parameter_names(module), ["weight_orig", "bias"]);
    let after = forward_backward(module);
    assert_eq!(bits(&after.0), bits(output));
    assert_eq!(&after.1, weight, "the gradient belongs to `weight_orig`");
    assert_eq!(&after.2, bias);
    let [once, twice] = [(); 2].map(|()| module.forward(&ones_1x5()).unwrap().to_array());
    assert_eq!(bits(&once), bits(&twice));
}

/// Keeps all but two entries of a 2 × 5 matrix.
fn all_but_two() -> Mask {
    mask(array![[1, 1, 1, 0, 1], [0, 1, 1, 1, 1]])
}

#[test]
fn test_random_pruning() {
    let mut module = Linear::new(5, 2, &mut rng(8)).unwrap();
    prune::apply(&mut module, "weight", Returns(all_but_two())).unwrap();

    let (_, weight_gradient, bias_gradient) = forward_backward(&module);
    assert_eq!(weight_gradient, all_but_two().to_array::<f32>());
    assert_eq!(bias_gradient, ArrayD::<f32>::ones(IxDyn(&[2])));
    assert_eq!(weight_gradient[[0, 3]].to_bits(), 0, "+0.0, not −0.0"); // S10

    let before = module.parameter("weight").unwrap().original().to_owned();
    let gradients = module.forward(&ones_1x5()).unwrap().sum().backward().unwrap();
    Sgd::new(1.0).unwrap().step(&mut module, &gradients).unwrap();
    let after = module.parameter("weight").unwrap().original();
    assert_eq!(after[[1, 0]].to_bits(), before[[1, 0]].to_bits());
    assert_eq!(after[[0, 3]].to_bits(), before[[0, 3]].to_bits());
    assert_eq!(after[[0, 0]], before[[0, 0]] - 1.0, "what is kept is updated");
}

#[test]
fn test_random_pruning_forward() {
    let mut module = Linear::new(5, 2, &mut rng(9)).unwrap();
    prune::apply(&mut module, "weight", Returns(all_but_two().not())).unwrap();

    let output = module.forward(&ones_1x5()).unwrap().to_array();
    let (weight, bias) = (
        module.parameter("weight").unwrap().original(),
        module.parameter("bias").unwrap().original(),
    );
    assert_eq!(output[[0, 0]], weight[[0, 3]] + bias[[0]]);
    assert_eq!(output[[0, 1]], weight[[1, 0]] + bias[[1]]);
}

#[test]
fn test_remove_pruning_forward() {
    let mut module = Linear::new(5, 2, &mut rng(10)).unwrap();
    prune::apply(&mut module, "weight", Returns(all_but_two())).unwrap();
    let pruned = module.forward(&ones_1x5()).unwrap().to_array();
    prune::remove(&mut module, "weight").unwrap();
    let removed = module.forward(&ones_1x5()).unwrap().to_array();
    assert_eq!(bits(&pruned), bits(&removed));
}

#[test]
fn test_pruning_id_consistency() {
    let mut module = Linear::without_bias(5, 2, &mut rng(11)).unwrap();
    let first = |module: &Linear| module.named_parameters()[0].1.id();
    let id = first(&module);
    prune::random_unstructured(&mut module, "weight", 0.9, &mut rng(12)).unwrap();
    assert_eq!(first(&module), id);
    prune::remove(&mut module, "weight").unwrap();
    assert_eq!(first(&module), id);
}

#[test]
fn test_random_pruning_pickle() {
    let mut rng = rng(13);
    for mut module in modules() {
        for name in NAMES {
            prune::random_unstructured(&mut module, name, 0.1, &mut rng).unwrap();
            for copy in [by_bincode::<_, Box<dyn Module>>(&module), by_json(&module)] {
                assert_eq!(
                    copy.downcast_ref::<Linear>().is_some(),
                    module.downcast_ref::<Linear>().is_some()
                );
                assert_eq!(
                    copy.downcast_ref::<Conv3d>().is_some(),
                    module.downcast_ref::<Conv3d>().is_some()
                );
                assert_eq!(fixtures::portrait(&copy), fixtures::portrait(&module));
            }
        }
    }
}

#[test]
fn test_multiple_pruning_calls() {
    let mut module = Conv3d::new(ConvConfig::new(2, 2, 2), &mut rng(14)).unwrap();
    prune::l1_unstructured(&mut module, "weight", 0.1).unwrap();
    let first = prune::mask(&module, "weight").unwrap().unwrap();

    prune::ln_structured(&mut module, "weight", 0.3, 2, 0).unwrap();
    let hooks = module.forward_pre_hooks();
    assert_eq!(hooks.len(), 1);
    let container = hooks[0].1.downcast_ref::<PruningContainer>().unwrap();
    assert_eq!(hooks[0].0, "weight");
    assert_eq!(container.tensor_name(), "weight");
    assert_eq!(container.len(), 2);
    assert!(container[0].is::<L1Unstructured>());
    assert!(container[1].is::<LnStructured>());

    let second = prune::mask(&module, "weight").unwrap().unwrap();
    assert_eq!(
        second.and(&first).unwrap(),
        *second,
        "what was pruned stays pruned"
    );
    assert!(
        first
            .iter()
            .zip(second.iter())
            .all(|(before, after)| before || !after)
    );

    prune::ln_structured(&mut module, "weight", 0.1, f64::INFINITY, 1).unwrap();
    // The rule here, other than PyTorch's: a call that prunes nothing of a pruned parameter, as this one of 0.1 of two
    // channels, leaves the history as it is.
    assert_eq!(prune::container(&module, "weight").unwrap().unwrap().len(), 2);

    prune::ln_structured(&mut module, "weight", 0.5, f64::INFINITY, 1).unwrap();
    let container = prune::container(&module, "weight").unwrap().unwrap();
    assert_eq!(container.tensor_name(), "weight");
    assert_eq!(container.len(), 3);
    let last = container[2].downcast_ref::<LnStructured>().unwrap();
    assert_eq!(last.norm(), Norm::INFINITY);
}

#[test]
fn test_pruning_container() {
    let mut container = PruningContainer::new("test");
    assert_eq!(container.len(), 0);
    assert!(container.is_empty());
    container.add("test", L1Unstructured::new(2).unwrap()).unwrap();
    assert_eq!(container.len(), 1);

    let error = container
        .add("another_test", L1Unstructured::new(2).unwrap())
        .unwrap_err();
    assert!(
        matches!(&error, Error::Mask(MaskError::WrongTensor { expected, got }) if expected == "test" && got == "another_test")
    );
    assert_eq!(container.len(), 1);

    // Only methods can be added: the compiler checks that.
    assert_not_impl_any!(i32: IntoMethod);
    assert_not_impl_any!(&'static str: IntoMethod);
    assert_impl_all!(L1Unstructured: IntoMethod);
}

#[test]
fn test_pruning_container_compute_mask() {
    let mut container = PruningContainer::new("test");
    let t = array![[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]].into_dyn();
    let prior = mask(array![[1, 1, 1, 0], [1, 1, 0, 1]]);
    let compute = |container: &PruningContainer| container.compute_mask(t.view(), &prior).unwrap();

    // The two lowest of the remaining entries.
    container.add("test", L1Unstructured::new(2).unwrap()).unwrap();
    assert_eq!(compute(&container), mask(array![[0, 0, 1, 0], [1, 1, 0, 1]]));

    // The lower of two rows.
    container
        .add("test", LnStructured::new(1, 2, 0).unwrap())
        .unwrap();
    assert_eq!(compute(&container), mask(array![[0, 0, 0, 0], [1, 1, 0, 1]]));

    // The lowest of four columns.
    container
        .add("test", LnStructured::new(1, 2, 1).unwrap())
        .unwrap();
    assert_eq!(compute(&container), mask(array![[0, 1, 1, 0], [0, 1, 0, 1]]));
}

/// A linear layer 4 → 2 with the weights of the original's examples.
fn hand_made() -> Linear {
    let weight = array![[1.0, 2.0, 3.0, 4.0], [-4.0, -3.0, -2.0, -1.0]];
    Linear::from_arrays(weight, Some(array![0.5, -0.5])).unwrap()
}

fn weight(module: &Linear) -> ArrayD<f32> {
    module.parameter("weight").unwrap().effective().to_owned()
}

#[test]
fn test_l1_unstructured_pruning() {
    let mut module = hand_made();
    prune::l1_unstructured(&mut module, "weight", 2).unwrap();
    assert_eq!(
        weight(&module),
        array![[0.0, 2.0, 3.0, 4.0], [-4.0, -3.0, -2.0, 0.0]].into_dyn()
    );
    prune::l1_unstructured(&mut module, "weight", 2).unwrap();
    assert_eq!(
        weight(&module),
        array![[0.0, 0.0, 3.0, 4.0], [-4.0, -3.0, 0.0, 0.0]].into_dyn()
    );
}

#[test]
fn test_l1_unstructured_pruning_with_importance_scores() {
    let mut module = hand_made();
    let scores = array![[4.0, 2.0, 1.0, 3.0], [-3.0, -1.0, -2.0, -4.0]];
    prune::l1_unstructured_with_scores(&mut module, "weight", 2, &scores).unwrap();
    assert_eq!(
        weight(&module),
        array![[1.0, 2.0, 0.0, 4.0], [-4.0, 0.0, -2.0, -1.0]].into_dyn()
    );
    prune::l1_unstructured_with_scores(&mut module, "weight", 2, &scores).unwrap();
    assert_eq!(
        weight(&module),
        array![[1.0, 0.0, 0.0, 4.0], [-4.0, 0.0, 0.0, -1.0]].into_dyn()
    );
}

#[test]
fn test_unstructured_pruning_same_magnitude() {
    let mut rng = rng(15);
    let method = L1Unstructured::new(0.2).unwrap();
    let t = ArrayD::from_shape_simple_fn(vec![10, 7], || 2.0 * rng.random_range(-1..2) as f32);
    let requested = method.amount().units(t.len(), t.len()).unwrap();
    assert_eq!(requested, 14);
    let computed = method.compute_mask(t.view(), &Mask::ones(&[10, 7])).unwrap();
    assert_eq!(computed.count_pruned(), requested); // S4
}

#[test]
fn test_random_structured_pruning_amount() {
    let mut rng = rng(16);
    let method = RandomStructured::new(0.6, 2, &mut rng).unwrap();
    let t = ArrayD::from_shape_simple_fn(vec![5, 4, 2], || 2.0 * rng.random_range(-1..2) as f32);
    assert_eq!(method.amount().units(2, 2).unwrap(), 1);
    let computed = method.compute_mask(t.view(), &Mask::ones(&[5, 4, 2])).unwrap();
    let pruned: ArrayD<usize> = computed.not().to_array();
    let mut per_column = pruned
        .sum_axis(Axis(0))
        .sum_axis(Axis(0))
        .into_raw_vec_and_offset()
        .0;
    per_column.sort_unstable();
    assert_eq!(per_column, [0, 20]);
}

/// A convolution of 3 channels in and 1 out with the weights of the original's examples.
fn hand_made_conv() -> Conv2d {
    let mut module = Conv2d::new(ConvConfig::new(3, 1, 2), &mut rng(17)).unwrap();
    let weight = array![[
        [[1.0, 2.0], [1.0, 2.5]],
        [[0.5, 1.0], [0.1, 0.1]],
        [[-3.0, -5.0], [0.1, -1.0]],
    ]];
    let parameter = module.parameter_mut("weight").unwrap();
    parameter.original_mut().assign(&weight);
    module
}

#[test]
fn test_ln_structured_pruning() {
    let mut module = hand_made_conv();
    prune::ln_structured(&mut module, "weight", 1, 2, 1).unwrap();
    let expected = mask(array![[[[1, 1], [1, 1]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]]]);
    assert_eq!(
        prune::mask(&module, "weight").unwrap().as_deref(),
        Some(&expected)
    );

    prune::ln_structured(&mut module, "weight", 1, 1, -1).unwrap();
    let expected = mask(array![[[[0, 1], [0, 1]], [[0, 0], [0, 0]], [[0, 1], [0, 1]]]]);
    assert_eq!(
        prune::mask(&module, "weight").unwrap().as_deref(),
        Some(&expected)
    );
}

#[test]
fn test_ln_structured_pruning_importance_scores() {
    let mut module = hand_made_conv();
    let scores = array![[
        [[10.0, 1.0], [10.0, 1.0]],
        [[30.0, 3.0], [30.0, 3.0]],
        [[-20.0, -2.0], [-20.0, -2.0]],
    ]];
    prune::ln_structured_with_scores(&mut module, "weight", 1, 2, 1, &scores).unwrap();
    let expected = mask(array![[[[0, 0], [0, 0]], [[1, 1], [1, 1]], [[1, 1], [1, 1]]]]);
    assert_eq!(
        prune::mask(&module, "weight").unwrap().as_deref(),
        Some(&expected)
    );

    prune::ln_structured_with_scores(&mut module, "weight", 1, 1, -1, &scores).unwrap();
    let expected = mask(array![[[[0, 0], [0, 0]], [[1, 0], [1, 0]], [[1, 0], [1, 0]]]]);
    assert_eq!(
        prune::mask(&module, "weight").unwrap().as_deref(),
        Some(&expected)
    );
}

#[test]
fn test_remove_pruning() {
    let mut rng = rng(18);
    for mut module in modules() {
        for name in NAMES {
            let (orig, mask) = (format!("{name}_orig"), format!("{name}_mask"));
            prune::random_unstructured(&mut module, name, 0.5, &mut rng).unwrap();
            assert!(parameter_names(&module).contains(&orig));
            assert!(buffer_names(&module).contains(&mask));
            assert!(!parameter_names(&module).contains(&name.to_owned()));
            let pruned = module.parameter(name).unwrap().effective().to_owned();

            prune::remove(&mut module, name).unwrap();
            assert!(parameter_names(&module).contains(&name.to_owned()));
            assert!(!parameter_names(&module).contains(&orig));
            assert!(!buffer_names(&module).contains(&mask));
            let last = module.parameter(name).unwrap();
            assert_eq!(bits(last.original()), bits(&pruned));
            assert!(module.forward_pre_hooks().is_empty());
            // The order of parameters is what it was; the reference would put `weight` last.   S13, deviation
            assert_eq!(parameter_names(&module), NAMES);
        }
    }
}

#[test]
fn test_remove_pruning_exception() {
    for mut module in modules() {
        for name in NAMES {
            assert!(!prune::is_pruned(&module));
            let error = refused(&mut module, |module| prune::remove(module, name));
            assert!(matches!(&error, Error::Model(ModelError::NotPruned { path }) if path == name));
        }
    }
}

#[test]
fn test_global_pruning() {
    let mut m = hand_made();
    let mut n = Linear::from_arrays(array![[0.0, 0.1, -2.0]], Some(array![0.0])).unwrap();
    let mut both = Group::new().with("m", &mut m).unwrap().with("n", &mut n).unwrap();
    let method = L1Unstructured::new(4).unwrap();
    prune::global_unstructured(&mut both, ["m.weight", "n.weight"], method).unwrap();
    assert_eq!(
        weight(&m),
        array![[0.0, 2.0, 3.0, 4.0], [-4.0, -3.0, -2.0, 0.0]].into_dyn()
    );
    assert_eq!(weight(&n), array![[0.0, 0.0, -2.0]].into_dyn());
}

#[test]
fn test_global_pruning_importance_scores() {
    let mut m = hand_made();
    let mut n = Linear::from_arrays(array![[0.0, 0.1, -2.0]], Some(array![0.0])).unwrap();
    let m_scores = array![[4.0, 2.0, 1.0, 3.0], [-3.0, -1.0, -2.0, -4.0]].into_dyn();
    let n_scores = array![[0.0, 10.0, -0.2]].into_dyn();
    let mut both = Group::new().with("m", &mut m).unwrap().with("n", &mut n).unwrap();
    let options = GlobalOptions::new()
        .scores("m.weight", &m_scores)
        .scores("n.weight", &n_scores);
    let method = L1Unstructured::new(4).unwrap();
    prune::global_unstructured_with(&mut both, ["m.weight", "n.weight"], method, &options).unwrap();
    assert_eq!(
        weight(&m),
        array![[1.0, 2.0, 0.0, 4.0], [-4.0, 0.0, -2.0, -1.0]].into_dyn()
    );
    assert_eq!(weight(&n), array![[0.0, 0.1, 0.0]].into_dyn());
}

#[test]
fn test_custom_from_mask_pruning() {
    let mut rng = rng(19);
    let method = CustomFromMask::new(mask(array![[0, 1, 1, 0], [0, 0, 1, 1]]));
    let prior = mask(array![[0, 0, 0, 0], [1, 1, 1, 1]]);
    let t = ArrayD::from_shape_simple_fn(vec![2, 4], || rng.random());
    let computed = method.compute_mask(t.view(), &prior).unwrap();
    assert_eq!(computed, mask(array![[0, 0, 0, 0], [0, 0, 1, 1]]));
}

#[test]
fn test_pruning_rollback() {
    for mut module in modules() {
        for name in NAMES {
            let error = refused(&mut module, |module| prune::apply(module, name, Fails));
            assert_eq!(
                error.to_string(),
                format!("parameter `{name}`: the pruning method failed: on purpose")
            );
            assert!(parameter_names(&module).contains(&name.to_owned()));
            assert!(!buffer_names(&module).contains(&format!("{name}_mask")));
            assert!(!parameter_names(&module).contains(&format!("{name}_orig")));
        }
        // A later pruning that fails keeps mask and hook, which the reference loses.   S11, deviation
        prune::l1_unstructured(&mut module, "weight", 0.5).unwrap();
        refused(&mut module, |module| prune::apply(module, "weight", Fails));
        assert!(
            prune::hook(&module, "weight")
                .unwrap()
                .unwrap()
                .is::<L1Unstructured>()
        );
    }
}

/// The network of the original's serialisation tests.
fn network(seed: u64) -> Sequential {
    let mut rng = rng(seed);
    Sequential::new()
        .push(Linear::new(10, 10, &mut rng).unwrap())
        .push(Relu::new())
        .push(Linear::new(10, 1, &mut rng).unwrap())
}

/// Whether the state dict holds `0.weight_orig`, `0.weight_mask` and `0.weight`.
fn keys(model: &Sequential) -> [bool; 3] {
    let state = nn::state_dict(model);
    ["0.weight_orig", "0.weight_mask", "0.weight"].map(|key| state.get(key).is_some())
}

#[test]
fn test_pruning_serialization_model() {
    let mut model = network(20);
    assert_eq!(keys(&model), [false, false, true]);
    prune::l1_unstructured(model.get_mut("0").unwrap(), "weight", 0.9).unwrap();
    assert_eq!(keys(&model), [true, true, false]);
    let pruned = model.parameter("0.weight").unwrap().effective().to_owned();
    assert_eq!(pruned.iter().filter(|&&x| x == 0.0).count(), 90);

    let file = fixtures::TempFile::new("model.bin");
    std::fs::write(&file.0, fixtures::to_bincode(&model)).unwrap();
    let from_file: Sequential = fixtures::from_bincode(&std::fs::read(&file.0).unwrap()).unwrap();
    for copy in [from_file, by_json(&model)] {
        assert_eq!(keys(&copy), [true, true, false]);
        assert_eq!(
            bits(copy.parameter("0.weight").unwrap().effective()),
            bits(&pruned)
        );
        assert_eq!(fixtures::portrait(&copy), fixtures::portrait(&model));
    }
}

#[test]
fn test_pruning_serialization_state_dict() {
    let mut model = network(21);
    assert_eq!(keys(&model), [false, false, true]);
    prune::l1_unstructured(model.get_mut("0").unwrap(), "weight", 0.9).unwrap();
    assert_eq!(keys(&model), [true, true, false]);
    let pruned = model.parameter("0.weight").unwrap().effective().to_owned();

    prune::remove(model.get_mut("0").unwrap(), "weight").unwrap();
    assert_eq!(keys(&model), [false, false, true]);

    let state = nn::state_dict(&model);
    #[allow(unused_mut)] // without safetensors
    let mut states: Vec<StateDict> = vec![by_bincode(&state), by_json(&state)];
    #[cfg(feature = "checkpoint")]
    {
        let file = fixtures::TempFile::new("state.safetensors");
        state.save_safetensors(&file.0).unwrap();
        states.push(StateDict::load_safetensors(&file.0).unwrap());
    }
    for state in &states {
        let mut copy = network(22);
        assert_ne!(
            bits(copy.parameter("0.weight").unwrap().effective()),
            bits(&pruned)
        );
        nn::load_state_dict(&mut copy, state).unwrap();
        assert_eq!(keys(&copy), [false, false, true]);
        assert_eq!(
            bits(copy.parameter("0.weight").unwrap().effective()),
            bits(&pruned)
        );
    }
}

/// The tensor, the prior mask and the method of the original's tests of `prune`.
fn standalone() -> (ArrayD<f32>, Mask, L1Unstructured) {
    (
        array![[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]].into_dyn(),
        mask(array![[1, 1, 1, 0], [1, 1, 0, 1]]),
        L1Unstructured::new(2).unwrap(),
    )
}

#[test]
fn test_prune() {
    let (t, prior, method) = standalone();
    let pruned = method.prune(t.view(), Some(&prior), None).unwrap();
    let expected: ArrayD<f32> = mask(array![[0, 0, 1, 0], [1, 1, 0, 1]]).to_array();
    assert_eq!(pruned, t * expected);
}

#[test]
fn test_prune_importance_scores() {
    let (t, prior, method) = standalone();
    let scores = array![[1.0, 2.0, 3.0, 4.0], [1.5, 1.6, 1.7, 1.8]].into_dyn();
    let pruned = method.prune(t.view(), Some(&prior), Some(scores.view())).unwrap();
    let expected: ArrayD<f32> = mask(array![[0, 1, 1, 0], [0, 1, 0, 1]]).to_array();
    assert_eq!(pruned, t * expected);
}

#[test]
fn test_prune_importance_scores_mimic_default() {
    let (t, prior, method) = standalone();
    let without = method.prune(t.view(), Some(&prior), None).unwrap();
    let with = method.prune(t.view(), Some(&prior), Some(t.view())).unwrap();
    assert_eq!(with, without);
    let expected: ArrayD<f32> = mask(array![[0, 0, 1, 0], [1, 1, 0, 1]]).to_array();
    assert_eq!(without, t * expected);
}

#[test]
fn test_rnn_pruning() {
    let mut lstm = Lstm::new(LstmConfig::new(32, 32), &mut rng(23)).unwrap();
    let names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"];
    assert_eq!(parameter_names(&lstm), names);
    let plain = |lstm: &Lstm| lstm.flat_weights().iter().filter(|p| !p.is_pruned()).count();

    prune::l1_unstructured(&mut lstm, "weight_ih_l0", 0.5).unwrap();
    assert_eq!(lstm.flat_weights().len(), 4);
    assert_eq!(plain(&lstm), 3);
    assert_eq!(parameter_names(&lstm)[0], "weight_ih_l0_orig");

    prune::remove(&mut lstm, "weight_ih_l0").unwrap();
    assert_eq!(plain(&lstm), 4);
    // In PyTorch the parameter comes back last.   S13, deviation
    assert_eq!(parameter_names(&lstm), names);
    assert!(nn::state_dict(&lstm).get("weight_ih_l0_orig").is_none());
    assert!(nn::state_dict(&lstm).get("weight_ih_l0").is_some());

    // Pruned or not, the layer runs, and what is pruned takes part as zeros.
    let input = Tensor::new(ndarray::Array3::ones((3, 2, 32)));
    let baked = lstm.forward(&input).unwrap().to_array();
    prune::identity(&mut lstm, "weight_ih_l0").unwrap();
    assert_eq!(bits(&lstm.forward(&input).unwrap().to_array()), bits(&baked));
}
