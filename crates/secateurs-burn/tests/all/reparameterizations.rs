//! How masks get on with burn's own reparameterizations, and with burn's rules for them.

use burn::module::{Lora, LoraAdapter, Module, Param, ParamGroup, Reparameterization, Reparameterizer};
use burn::tensor::{Bool, Device, Tensor};
use secateurs::{Error as Pruning, Prunable, prune};
use secateurs_burn::{BurnModel, Error, PruneMask};

use crate::common::{Network, bits, zeros};

fn device() -> Device {
    Device::flex().autodiff()
}

fn framework(error: Pruning) -> Error {
    let Pruning::Framework(error) = error else {
        panic!("{error:?}")
    };
    *error.downcast().expect("it is an error of this crate")
}

/// A mask as burn's documentation suggests it, to show why ours is updated in place.
#[derive(Module, Debug)]
struct Naive {
    pruned: Param<Tensor<1, Bool>>,
}

impl Reparameterization for Naive {
    const NAME: &'static str = "naive";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let pruned = self.pruned.val().reshape(base.shape());
        base.mask_fill(pruned, 0.0)
    }
}

struct First(usize);

impl Reparameterizer for First {
    type Reparam = Naive;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<Naive>) {
        let pruned: Vec<bool> = (0..param.shape().num_elements()).map(|i| i < self.0).collect();
        let mask = Tensor::from_bool(&pruned[..], &param.device());
        let naive = Naive {
            pruned: Param::initialized(Default::default(), mask),
        };
        (param, (path == "fc.weight").then_some(naive))
    }
}

#[test]
fn a_second_mask_replaces_the_first() {
    let naive = Network::new(0, &device())
        .apply_reparameterization(First(3))
        .apply_reparameterization(First(9));
    assert_eq!(
        zeros(&naive.fc.weight.val()),
        3,
        "burn keeps the first reparameterization"
    );

    let mut model = BurnModel::new(Network::new(0, &device()));
    prune::l1_unstructured(&mut model, "fc.weight", 3).unwrap();
    prune::l1_unstructured(&mut model, "fc.weight", 6).unwrap();
    assert_eq!(zeros(&model.module.fc.weight.val()), 9);
    prune::set_mask(&mut model, "fc.weight", ndarray::Array2::<u8>::ones((16, 12))).unwrap();
    assert_eq!(zeros(&model.module.fc.weight.val()), 0, "entries may come back");
    let mask = model.module.fc.weight.reparameterization::<PruneMask>().unwrap();
    assert!(!mask.pruned().any().into_scalar::<bool>());
}

fn lora_on(path: &str) -> Lora {
    Lora::new(2, 4.0).set_param_group(ParamGroup::from_path(path))
}

#[test]
fn a_mask_stands_beside_the_adapter_of_another_parameter() {
    let mut model = BurnModel::new(Network::new(0, &device()).apply_lora(lora_on("head.weight")));
    let paths = model.paths();
    assert!(!paths.iter().any(|path| path.contains("lora")), "{paths:?}");
    prune::l1_unstructured(&mut model, "fc.weight", 3).unwrap();
    prune::l1_unstructured(&mut model, "fc.weight", 6).unwrap();
    assert_eq!(zeros(&model.module.fc.weight.val()), 9);

    // Masks cannot be taken off without the adapter, and nothing is, neither.
    for result in [
        prune::remove(&mut model, "fc.weight"),
        prune::discard(&mut model, "fc.weight"),
    ] {
        let error = framework(result.unwrap_err());
        assert!(
            matches!(&error, Error::NotAlone { path, other, name } if (&path[..], &other[..], &name[..])
                == ("fc.weight", "head.weight", "lora")),
            "{error}"
        );
    }
    assert_eq!(zeros(&model.module.fc.weight.val()), 9);
    assert!(
        model
            .module
            .head
            .weight
            .reparameterization::<LoraAdapter>()
            .is_some()
    );

    // The way out that the error names.
    model.module = model.module.materialize();
    assert!(!prune::is_pruned(&model));
    assert_eq!(zeros(&model.module.fc.weight.base()), 9);
}

#[test]
fn a_parameter_with_an_adapter_has_no_room_for_a_mask() {
    let mut model = BurnModel::new(Network::new(0, &device()).apply_lora(lora_on("fc.weight")));
    let before = bits(&model.module.conv.weight.val());
    let method = prune::L1Unstructured::new(0.5).unwrap();
    let error = prune::global_unstructured(&mut model, ["conv.weight", "fc.weight"], method).unwrap_err();
    let error = framework(error);
    assert!(
        matches!(&error, Error::Reparameterized { path, name } if path == "fc.weight" && name == "lora"),
        "{error}"
    );
    assert!(!prune::is_pruned(&model));
    assert_eq!(bits(&model.module.conv.weight.val()), before);
}

#[test]
fn removed_masks_leave_room_for_adapters() {
    let mut model = BurnModel::new(Network::new(0, &device()));
    prune::l1_unstructured(&mut model, "fc.weight", 9).unwrap();
    prune::remove_all(&mut model).unwrap();
    let adapted = model.module.apply_lora(lora_on("fc.weight"));
    assert!(adapted.fc.weight.reparameterization::<LoraAdapter>().is_some());
}

#[test]
fn one_mask_goes_and_the_others_stay() {
    let mut model = BurnModel::new(Network::new(0, &device()));
    let weights = prune::weights(&model);
    prune::global_unstructured(&mut model, &weights, prune::L1Unstructured::new(0.5).unwrap()).unwrap();
    let original = bits(&model.module.conv.weight.base());
    let (masked_fc, masked_head) = (
        bits(&model.module.fc.weight.val()),
        bits(&model.module.head.weight.val()),
    );
    let (stored_head, mask) = (
        bits(&model.module.head.weight.base()),
        prune::mask(&model, "head.weight").unwrap(),
    );

    prune::discard(&mut model, "conv.weight").unwrap();
    prune::remove(&mut model, "fc.weight").unwrap();
    assert_eq!(bits(&model.module.conv.weight.val()), original);
    assert_eq!(bits(&model.module.fc.weight.base()), masked_fc);
    assert_eq!(bits(&model.module.head.weight.val()), masked_head);
    assert_eq!(
        bits(&model.module.head.weight.base()),
        stored_head,
        "originals under other masks stay"
    );
    assert_eq!(prune::mask(&model, "head.weight").unwrap(), mask);
    assert!(model.module.conv.weight.is_require_grad() && model.module.head.weight.is_require_grad());
}
