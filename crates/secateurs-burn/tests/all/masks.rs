//! The same weights get the same masks, wherever they live.

use burn::tensor::Device;
use secateurs::testing;
use secateurs_burn::{BurnModel, to_array};

use crate::common::Given;

#[test]
fn masks_are_those_of_arrays() {
    let make = |arrays: &[(&str, _)]| BurnModel::new(Given::new(arrays, &Device::flex()));
    let (burn, arrays) = testing::check_masks(make);
    let Given { conv, fc, head } = &burn.module;
    for (name, computed) in [
        ("conv.weight", to_array(&conv.weight.as_ref().unwrap().val())),
        ("fc.weight", to_array(&fc.weight.as_ref().unwrap().val())),
        ("head.weight", to_array(&head.weight.as_ref().unwrap().val())),
    ] {
        // The module computes with what an array model computes with.
        assert_eq!(computed.unwrap(), arrays.effective(name).unwrap(), "{name}");
    }
}
