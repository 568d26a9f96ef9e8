//! State dicts of pruned PyTorch models, in safetensors files.

use secateurs::nn::{Module, ParamTreeExt, StateDict, load_state_dict, state_dict};
use secateurs::prune::{self, CustomFromMask};
use secateurs::tensor::Tensor;
use serde_json::Value;

use crate::{assert_close, layers, list, mask, path, read, tensor, text};

fn check(model: &impl Module, golden: &Value) {
    for (path, bits) in golden["masks"].as_object().unwrap() {
        let parameter = model.parameter(path).unwrap();
        assert_eq!(parameter.mask(), Some(&mask(parameter.shape(), bits)), "{path}");
        assert!(parameter.hook().unwrap().is::<CustomFromMask>(), "{path}");
    }
    let output = model.forward(&Tensor::new(tensor(&golden["input"]))).unwrap();
    assert_close(
        text(&golden["file"]),
        &output.to_array(),
        &tensor(&golden["output"]),
    );
}

#[test]
fn a_pruned_model_of_pytorch_loads_with_its_masks_and_its_output() {
    for golden in list(&read("pruned_model.json")["models"]) {
        let mut model = layers::sequential(&golden["layers"]);
        let state = StateDict::load_safetensors(path(text(&golden["file"]))).unwrap();
        load_state_dict(&mut model, &state).unwrap();
        let pruned: Vec<_> = list(&golden["pruned"]).iter().map(text).collect();
        let paths = model.parameter_paths();
        let masked = paths
            .iter()
            .filter(|path| prune::mask(&model, path).unwrap().is_some());
        assert_eq!(masked.collect::<Vec<_>>(), pruned);
        check(&model, golden);

        // What we write has PyTorch's keys and bytes, and loads again.
        let written = std::env::temp_dir().join(format!(
            "secateurs-{}-{}",
            std::process::id(),
            text(&golden["file"])
        ));
        state_dict(&model).save_safetensors(&written).unwrap();
        let again = StateDict::load_safetensors(&written).unwrap();
        std::fs::remove_file(&written).unwrap();
        assert_eq!(again.len(), state.len());
        for (key, value) in state.iter() {
            assert_eq!(again.get(key), Some(value), "{key}");
        }
        let mut other = layers::sequential(&golden["layers"]);
        load_state_dict(&mut other, &again).unwrap();
        check(&other, golden);
    }
}

/// Writes ours for `scripts/goldens.py --load`, which loads it into the pruned PyTorch model:
/// `SECATEURS_WRITE=model.safetensors cargo test --test goldens write_a_state_dict -- --ignored`
#[test]
#[ignore = "writes a file for PyTorch to load"]
fn write_a_state_dict_for_pytorch() {
    let golden = &read("pruned_model.json")["models"][0];
    let mut model = layers::sequential(&golden["layers"]);
    load_state_dict(
        &mut model,
        &StateDict::load_safetensors(path(text(&golden["file"]))).unwrap(),
    )
    .unwrap();
    let to = std::env::var_os("SECATEURS_WRITE").expect("the file to write, in SECATEURS_WRITE");
    state_dict(&model).save_safetensors(to).unwrap();
}
