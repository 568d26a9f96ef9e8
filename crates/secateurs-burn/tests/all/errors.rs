//! Bad input: a clear error, and nothing changed.

use burn::module::{Module, ParamGroup, Quantizer};
use burn::tensor::quantization::{Calibration, QuantScheme, QuantValue};
use burn::tensor::{Device, TensorData};
use secateurs::error::{MaskError, ModelError};
use secateurs::mask::Mask;
use secateurs::prunable::{MaskAction, MaskChange, Pruning};
use secateurs::{Error, Prunable, prune};
use secateurs_burn::BurnModel;

use crate::common::{Network, bits};

fn model() -> BurnModel<Network> {
    let mut model = BurnModel::new(Network::new(0, &Device::flex()));
    prune::l1_unstructured(&mut model, "fc.weight", 9).unwrap();
    model
}

fn seen(model: &BurnModel<Network>) -> (Vec<u32>, Vec<u32>, Vec<TensorData>) {
    let module = &model.module;
    (
        bits(&module.fc.weight.val()),
        bits(&module.fc.weight.base()),
        vec![
            module.conv.weight.val().to_data(),
            module.head.weight.val().to_data(),
        ],
    )
}

#[test]
fn unknown_names_suggest_the_nearest() {
    let mut model = model();
    let before = seen(&model);
    for path in ["fc.wieght", "fc", "", "fc.weight.secateurs.pruned", "fc.weight."] {
        let error = prune::l1_unstructured(&mut model, path, 1).unwrap_err();
        assert!(
            matches!(error, Error::Model(ModelError::UnknownParameter { .. })),
            "{path}: {error}"
        );
    }
    let error = prune::l1_unstructured(&mut model, "fc.wieght", 1)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`fc.weight`"), "{error}");
    assert_eq!(seen(&model), before);
}

#[test]
fn masks_of_another_shape_are_refused() {
    let mut model = model();
    let before = seen(&model);
    // [out, in], as in PyTorch.
    for shape in [&[12, 16][..], &[16, 11], &[192]] {
        let good = Pruning::from_mask(Mask::ones(&[4, 1, 3, 3]));
        let bad = Pruning::from_mask(Mask::ones(shape));
        let change = |path: &str, pruning| MaskChange {
            path: path.into(),
            action: MaskAction::Set(pruning),
        };
        let error = model
            .commit(vec![change("conv.weight", good), change("fc.weight", bad)])
            .unwrap_err();
        let Error::Parameter { path, error } = error else {
            panic!("{error}")
        };
        assert!(
            path == "fc.weight" && matches!(*error, Error::Mask(MaskError::ShapeMismatch { .. })),
            "{error}"
        );
    }
    assert_eq!(seen(&model), before);
    assert!(prune::mask(&model, "conv.weight").unwrap().is_none());
}

#[test]
fn quantized_weights_are_refused() {
    let mut model = model();
    prune::remove_all(&mut model).unwrap();
    let scheme = QuantScheme::default().with_value(QuantValue::Q8S);
    let mut quantizer = Quantizer::new(Calibration::MinMax, scheme);
    quantizer.set_param_group(ParamGroup::from_path("fc.weight"));
    model.module = model.module.quantize_weights(&mut quantizer);
    assert!(!model.paths().contains(&"fc.weight".to_owned()));
    let error = prune::l1_unstructured(&mut model, "fc.weight", 1)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`fc.weight` has type QFloat"), "{error}");
}
