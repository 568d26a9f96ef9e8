//! Random histories of pruning calls: every mask equal, bit for bit.

use ndarray::ArrayD;
use secateurs::error::ModelError;
use secateurs::nn::{ParamStore, ParamTreeExt};
use secateurs::prune::{self, Amount, GlobalOptions, L1Unstructured, Mask, Norm, Report};
use secateurs::{Error, Result};
use serde_json::Value;

use crate::{floats, list, mask, read, sizes, text};

struct Parameters {
    store: ParamStore,
}

secateurs::param_tree!(Parameters { store: store });

impl Parameters {
    fn of(history: &Value) -> Self {
        let mut store = ParamStore::new();
        for parameter in list(&history["parameters"]) {
            let data =
                ArrayD::from_shape_vec(sizes(&parameter["shape"]), floats(&parameter["data"])).unwrap();
            store.insert_parameter(text(&parameter["name"]), data).unwrap();
        }
        Parameters { store }
    }

    fn shape(&self, name: &str) -> Vec<usize> {
        self.parameter(name).unwrap().shape().to_vec()
    }

    fn scores(&self, name: &str, scores: &Value) -> ArrayD<f32> {
        ArrayD::from_shape_vec(self.shape(name), floats(scores)).unwrap()
    }

    fn masks(&self) -> Vec<(String, Mask)> {
        let pruned = self
            .store
            .parameters()
            .filter_map(|(name, p)| Some((name.to_owned(), p.mask()?.clone())));
        pruned.collect()
    }
}

fn amount(call: &Value) -> Result<Amount> {
    match call["amount"]["fraction"].as_f64() {
        Some(fraction) => Amount::fraction(fraction),
        None => Ok(Amount::count(crate::size(&call["amount"]["count"]))),
    }
}

fn norm(call: &Value) -> Norm {
    match &call["n"] {
        Value::String(infinite) => infinite.parse().unwrap(),
        number => Norm::order(number.as_f64().unwrap()).unwrap(),
    }
}

fn run(module: &mut Parameters, call: &Value) -> Result<Report> {
    if let Some(names) = call["names"].as_array() {
        let names = names.iter().map(text);
        let scores = call["scores_by_name"].as_object().into_iter().flatten();
        let scores: Vec<_> = scores
            .map(|(name, scores)| (name, module.scores(name, scores)))
            .collect();
        let options = (scores.iter()).fold(GlobalOptions::new(), |options, (name, scores)| {
            options.scores(*name, scores)
        });
        let method = L1Unstructured::new(amount(call)?)?;
        return prune::global_unstructured_with(module, names, method, &options);
    }
    let name = text(&call["name"]);
    let scores = call["scores"]
        .is_array()
        .then(|| module.scores(name, &call["scores"]));
    match (text(&call["method"]), scores) {
        ("identity", None) => prune::identity(module, name),
        ("custom_from_mask", None) => {
            let mask = mask(&module.shape(name), &call["mask"]);
            prune::custom_from_mask(module, name, mask)
        }
        ("l1_unstructured", None) => prune::l1_unstructured(module, name, amount(call)?),
        ("l1_unstructured", Some(s)) => prune::l1_unstructured_with_scores(module, name, amount(call)?, &s),
        ("ln_structured", scores) => {
            let dim = call["dim"].as_i64().unwrap() as isize;
            match scores {
                None => prune::ln_structured(module, name, amount(call)?, norm(call), dim),
                Some(s) => prune::ln_structured_with_scores(module, name, amount(call)?, norm(call), dim, &s),
            }
        }
        (other, _) => panic!("no such call: {other}"),
    }
}

#[test]
fn every_mask_of_every_history_is_that_of_pytorch() {
    let file = read("histories.json");
    let (mut histories, mut masks, mut refused) = (0, 0, 0);
    for (number, history) in list(&file["histories"]).iter().enumerate() {
        let mut module = Parameters::of(history);
        for (step, call) in list(&history["calls"]).iter().enumerate() {
            let at = format!("history {number}, call {step}: {}", call["method"]);
            let result = run(&mut module, call);
            if call["error"].as_bool().unwrap() {
                let error = result.expect_err(&at);
                assert!(
                    !matches!(error, Error::Model(ModelError::UnknownParameter { .. })),
                    "{at}: refused for another reason: {error}"
                );
                refused += 1;
            } else {
                let report = result.unwrap_or_else(|error| panic!("{at}: {error}"));
                assert!(
                    report
                        .requested
                        .is_none_or(|requested| requested == report.pruned),
                    "{at}: {report:?}"
                );
            }
            let expected = call["masks"].as_object().unwrap();
            let got = module.masks();
            assert_eq!(got.len(), expected.len(), "{at}: other parameters are pruned");
            for (name, got) in got {
                assert_eq!(
                    got,
                    mask(&module.shape(&name), &expected[&name]),
                    "{at}: mask of {name}"
                );
                masks += 1;
            }
        }
        histories += 1;
    }
    println!("{histories} histories, {masks} masks equal, {refused} calls refused by both");
    assert!(
        histories >= 300 && masks >= 2000 && refused >= 20,
        "{histories} {masks} {refused}"
    );
}
