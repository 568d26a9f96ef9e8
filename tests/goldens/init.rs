//! PyTorch's default initialisation: shapes and bounds.

use secateurs::nn::ParamTreeExt;

use crate::{layers, list, read, sizes, text};

#[test]
fn parameters_start_within_the_bounds_of_pytorch() {
    let file = read("init.json");
    for case in list(&file["cases"]) {
        let model = layers::build(text(&case["module"]), &case["settings"]).unwrap();
        let expected = case["tensors"].as_object().unwrap();
        let parameters = model.named_parameters();
        assert_eq!(parameters.len(), expected.len());
        for (key, parameter) in parameters {
            let (shape, bound) = (
                sizes(&expected[&key]["shape"]),
                expected[&key]["bound"].as_f64().unwrap(),
            );
            assert_eq!(parameter.shape(), shape, "{} {key}", case["module"]);
            let largest = parameter
                .original()
                .iter()
                .fold(0.0_f64, |m, x| m.max(x.abs().into()));
            assert!(
                largest <= bound * 1.000_001,
                "{} {key}: {largest} > {bound}",
                case["module"]
            );
            // Of n uniform numbers the largest stays below x × bound with probability xⁿ.
            if parameter.len() >= 100 {
                assert!(
                    largest > 0.9 * bound,
                    "{} {key}: {largest} of {bound}",
                    case["module"]
                );
            }
        }
    }
}
