//! Three steps of each optimiser, from given gradients.

use secateurs::nn::optim::{Adam, Sgd};
use secateurs::nn::{ParamStore, ParamTreeExt};
use secateurs::tensor::{Gradients, Tensor};
use serde_json::Value;

use crate::{assert_close, list, read, tensor, text};

struct Model {
    store: ParamStore,
}

secateurs::param_tree!(Model { store: store });

impl Model {
    fn of(parameters: &Value) -> Self {
        let mut store = ParamStore::new();
        for (name, value) in parameters.as_object().unwrap() {
            store.insert_parameter(name, tensor(value)).unwrap();
        }
        Model { store }
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

#[test]
fn steps_are_those_of_pytorch() {
    let file = read("optimisers.json");
    for case in list(&file["cases"]) {
        let name = text(&case["name"]);
        let set = |setting: &str| case["settings"][setting].as_f64().unwrap();
        let mut model = Model::of(&case["parameters"]);
        #[allow(clippy::type_complexity)] // two optimisers, one call
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
            _ => {
                let betas = &case["settings"]["betas"];
                let mut adam = Adam::new(set("lr")).unwrap().eps(set("eps")).unwrap();
                adam = adam
                    .betas(betas[0].as_f64().unwrap(), betas[1].as_f64().unwrap())
                    .unwrap();
                adam = adam.weight_decay(set("weight_decay")).unwrap();
                Box::new(move |model, gradients| adam.step(model, gradients).unwrap())
            }
        };
        for (number, golden) in list(&case["steps"]).iter().enumerate() {
            let gradients = model.gradients(&golden["grads"]);
            step(&mut model, &gradients);
            for (key, parameter) in model.named_parameters() {
                let what = format!("{name}, step {number}, {key}");
                assert_close(
                    &what,
                    &parameter.original().to_owned(),
                    &tensor(&golden["values"][&key]),
                );
            }
        }
    }
}
