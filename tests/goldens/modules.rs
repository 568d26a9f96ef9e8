//! Forward outputs and gradients of layers and losses, with and without masks.

use secateurs::nn::{ParamTreeExt, load_state_dict, loss, state_dict};
use secateurs::tensor::{Backward, Tensor};
use serde_json::Value;

use crate::{assert_close, layers, list, read, sizes, tensor, text};

fn loss_of(case: &Value, input: &Tensor) -> Tensor {
    let target = &case["target"];
    match text(&case["module"]) {
        "CrossEntropyLoss" => loss::cross_entropy(input, &sizes(&target["data"])).unwrap(),
        _ => loss::mse(input, &Tensor::new(tensor(target))).unwrap(),
    }
}

#[test]
fn outputs_and_gradients_are_those_of_pytorch() {
    let file = read("modules.json");
    let mut gradients = 0;
    for case in list(&file["cases"]) {
        let name = text(&case["name"]);
        let input = Tensor::variable(tensor(&case["input"]));
        let mut model = layers::build(text(&case["module"]), &case["settings"]);
        if let Some(model) = &mut model {
            load_state_dict(model, &layers::state(&case["state"])).unwrap();
            if case["training"] == false {
                model.eval().unwrap();
            }
        }
        let output = match &model {
            Some(model) => model.forward(&input).unwrap(),
            None => loss_of(case, &input),
        };
        assert_close(name, &output.to_array(), &tensor(&case["output"]));

        let cotangent = tensor(&case["cotangent"]);
        let found = Backward::of(&output)
            .cotangent(cotangent.view())
            .dense()
            .run()
            .unwrap();
        let expected = case["grads"].as_object().unwrap();
        if let Some(expected) = expected.get("input") {
            assert_close(name, &found.wrt(&input).unwrap().to_owned(), &tensor(expected));
        }
        let parameters = model
            .as_ref()
            .map(|model| model.named_parameters())
            .unwrap_or_default();
        let names = expected.keys().filter(|name| *name != "input");
        assert_eq!(parameters.len(), names.count(), "{name}: other parameters");
        for (key, parameter) in parameters {
            let gradient = found.get(parameter.id()).unwrap();
            assert_close(
                &format!("{name}.{key}"),
                &gradient.to_owned(),
                &tensor(&expected[&key]),
            );
            if let Some(mask) = parameter.mask() {
                // S10: not −0.0, which PyTorch has here.
                let pruned = gradient.iter().zip(mask).filter(|(_, kept)| !kept);
                assert!(pruned.into_iter().all(|(g, _)| g.to_bits() == 0), "{name}.{key}");
                let dense = found.dense(parameter.id()).unwrap();
                let expected = &case["dense_grads"][key.strip_suffix("_orig").unwrap()];
                assert_close(
                    &format!("{name}.{key}, dense"),
                    &dense.to_owned(),
                    &tensor(expected),
                );
            }
            gradients += 1;
        }
        if let (Some(model), Some(after)) = (&model, case["state_after"].as_object()) {
            let state = state_dict(model);
            assert_eq!(state.len(), after.len(), "{name}: {state:?}");
            for (key, value) in state.iter() {
                assert_close(
                    &format!("{name}.{key}, after"),
                    &value.to_owned().into_owned(),
                    &tensor(&after[key]),
                );
            }
        }
    }
    println!(
        "{} cases, {gradients} gradients of parameters",
        list(&file["cases"]).len()
    );
    assert!(gradients >= 80);
}

#[test]
fn final_states_of_an_lstm_are_those_of_pytorch() {
    let file = read("modules.json");
    let cases: Vec<_> = list(&file["cases"])
        .iter()
        .filter(|case| case["module"] == "LSTM")
        .collect();
    assert!(cases.len() >= 5);
    for case in cases {
        let mut lstm = layers::lstm(&case["settings"]);
        load_state_dict(&mut lstm, &layers::state(&case["state"])).unwrap();
        let input = Tensor::new(tensor(&case["input"]));
        let (output, state) = lstm.forward_with_state(&input, None).unwrap();
        let name = text(&case["name"]);
        assert_close(name, &output.to_array(), &tensor(&case["output"]));
        assert_close(name, &state.hidden.to_array(), &tensor(&case["h_n"]));
        assert_close(name, &state.cell.to_array(), &tensor(&case["c_n"]));
        // With explicit initial states of zeros: the same.
        let zeros = secateurs::nn::LstmState {
            hidden: state.hidden.scale(0.0),
            cell: state.cell.scale(0.0),
        };
        let (again, _) = lstm.forward_with_state(&input, Some(&zeros)).unwrap();
        assert_eq!(again.to_array(), output.to_array(), "{name}");
    }
}
