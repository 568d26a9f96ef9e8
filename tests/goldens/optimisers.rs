//! Three steps of each optimiser, from given gradients.

use secateurs::nn::optim::{Adam, AdamW, Sgd};
use secateurs::nn::{ParamStore, ParamTreeExt};
use secateurs::prune;
use secateurs::tensor::{Gradients, Tensor};
use serde_json::Value;

use crate::{assert_close, list, mask, read, tensor, text};

struct Model {
    store: ParamStore,
}

secateurs::param_tree!(Model { store: store });

impl Model {
    fn of(case: &Value) -> Self {
        let mut store = ParamStore::new();
        for (name, value) in case["parameters"].as_object().unwrap() {
            store.insert_parameter(name, tensor(value)).unwrap();
        }
        let mut model = Model { store };
        for (name, bits) in case["masks"].as_object().unwrap() {
            let mask = mask(model.parameter(name).unwrap().shape(), bits);
            prune::custom_from_mask(&mut model, name, mask).unwrap();
        }
        model
    }

    /// The gradients that are given, by way of a loss that has them: Σ parameter × gradient.
    fn gradients(&self, given: &Value) -> Gradients {
        let terms = given.as_object().unwrap().iter().map(|(name, gradient)| {
            self.store
                .tensor(name)
                .unwrap()
                .mul(&Tensor::new(tensor(gradient)))
                .unwrap()
                .sum()
        });
        terms
            .reduce(|a, b| a.add(&b).unwrap())
            .unwrap()
            .backward()
            .unwrap()
    }
}

macro_rules! adam {
    ($type:ident, $case:expr, $set:expr) => {{
        let beta = |number: usize| $case["settings"]["betas"][number].as_f64().unwrap();
        let mut adam = $type::new($set("lr")).unwrap().eps($set("eps")).unwrap();
        adam = adam.betas(beta(0), beta(1)).unwrap();
        adam = adam.weight_decay($set("weight_decay")).unwrap();
        Box::new(move |model, gradients| adam.step(model, gradients).unwrap())
    }};
}

/// The effective values: PyTorch decays the originals of pruned entries, which ours leave alone.
#[test]
fn steps_are_those_of_pytorch() {
    let file = read("optimisers.json");
    for case in list(&file["cases"]) {
        let name = text(&case["name"]);
        let set = |setting: &str| case["settings"][setting].as_f64().unwrap();
        let mut model = Model::of(case);
        #[allow(clippy::type_complexity)] // several optimisers, one call
        let mut step: Box<dyn FnMut(&mut Model, &Gradients)> = match text(&case["optimiser"]) {
            "SGD" => {
                let mut sgd = Sgd::new(set("lr")).unwrap().momentum(set("momentum")).unwrap();
                sgd = sgd
                    .dampening(set("dampening"))
                    .unwrap()
                    .weight_decay(set("weight_decay"))
                    .unwrap();
                if case["settings"]["nesterov"].as_bool().unwrap() {
                    sgd = sgd.nesterov().unwrap();
                }
                Box::new(move |model, gradients| sgd.step(model, gradients).unwrap())
            }
            "Adam" => adam!(Adam, case, set),
            "AdamW" => adam!(AdamW, case, set),
            other => panic!("no such optimiser: {other}"),
        };
        for (number, golden) in list(&case["steps"]).iter().enumerate() {
            let gradients = model.gradients(&golden["grads"]);
            step(&mut model, &gradients);
            for (key, parameter) in model.named_parameters() {
                let what = format!("{name}, step {number}, {key}");
                assert_close(
                    &what,
                    &parameter.effective().to_owned(),
                    &tensor(&golden["values"][key.strip_suffix("_orig").unwrap_or(&key)]),
                );
                let Some(mask) = parameter.mask() else { continue };
                let start = tensor(&case["parameters"][key.strip_suffix("_orig").unwrap()]);
                for ((now, before), kept) in parameter.original().iter().zip(&start).zip(mask) {
                    assert_eq!(!kept, now.to_bits() == before.to_bits(), "{what}");
                }
            }
        }
    }
}
