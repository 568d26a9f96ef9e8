//! The command agrees, value for value, with PyTorch's pruning of the same checkpoints; `scripts/checkpoints.py` made
//! them, and checks the other direction: that Python reads what the command writes.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Place, read};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    input: String,
    args: Vec<String>,
    expected: String,
    zeros: BTreeMap<String, usize>,
}

#[test]
fn every_case_equals_pytorch() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let cases: Vec<Case> =
        serde_json::from_str(&std::fs::read_to_string(data.join("cases.json")).unwrap()).unwrap();
    assert!(cases.len() >= 7);
    let place = Place::new();
    for case in cases {
        let input = data.join(&case.input);
        let mut args = vec!["prune", input.to_str().unwrap(), "-o", &case.name];
        args.extend(case.args.iter().map(|arg| &arg[..]));
        place.done(&args);
        let output = place.path(&case.name);
        let mut ours = BTreeMap::new();
        if output.is_dir() {
            for entry in std::fs::read_dir(&output).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|end| end == "safetensors") {
                    ours.extend(read(&path));
                }
            }
        } else {
            ours = read(&output);
        }
        let theirs = read(&data.join(&case.expected));
        assert!(ours.keys().eq(theirs.keys()), "{}", case.name);
        for (name, theirs) in theirs {
            let ours = &ours[&name];
            assert_eq!((ours.dtype, &ours.shape), (theirs.dtype, &theirs.shape));
            let Some(zeros) = case.zeros.get(&name) else {
                assert_eq!(*ours, theirs, "{}: {name}", case.name);
                continue;
            };
            assert_eq!(ours.values(), theirs.values(), "{}: {name}", case.name);
            // S10: where PyTorch has -0.0, ours are +0.0.
            let positive = ours
                .values()
                .iter()
                .filter(|x| **x == 0.0 && x.is_sign_positive())
                .count();
            assert_eq!(positive, *zeros, "{}: {name}", case.name);
        }
    }
}
