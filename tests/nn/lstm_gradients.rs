//! An LSTM against one that is put together from operations on tensors, step by step.

use ndarray::{ArrayD, IxDyn};
use rand::RngExt;
use secateurs::Result;
use secateurs::nn::{Lstm, LstmConfig, LstmState, ParamTreeExt};
use secateurs::tensor::Tensor;

use crate::fixtures::rng;

fn variable(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = rng(seed);
    Tensor::variable(ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        rng.random_range(-1.0f32..1.0)
    }))
}

/// Hidden states of all steps, and the last cell state.
fn step_by_step(parameters: &[Tensor], x: &Tensor, state: [&Tensor; 2]) -> Result<[Tensor; 2]> {
    let [w, u] = [&parameters[0], &parameters[1]];
    let [mut h, mut c] = state.map(Tensor::clone);
    let width = h.shape()[1];
    let mut hidden = Vec::new();
    for step in 0..x.shape()[0] {
        let of_input = x.select(0, step)?.linear(w, parameters.get(2))?;
        let gates = of_input.add(&h.linear(u, parameters.get(3))?)?;
        let gate = |number: usize| gates.narrow(1, number * width, width);
        let kept = gate(1)?.sigmoid().mul(&c)?;
        c = kept.add(&gate(0)?.sigmoid().mul(&gate(2)?.tanh())?)?;
        h = gate(3)?.sigmoid().mul(&c.tanh())?;
        hidden.push(h.clone());
    }
    Ok([Tensor::stack(&hidden, 0)?, c])
}

#[track_caller]
fn close(what: &str, got: &Tensor, expected: &Tensor) {
    let pairs = got
        .value()
        .to_owned()
        .into_iter()
        .zip(expected.value().to_owned());
    assert_eq!(got.shape(), expected.shape(), "{what}");
    let worst = pairs.fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs() / (1.0 + b.abs())));
    assert!(worst < 2e-5, "{what}: {worst}");
}

#[test]
fn states_and_gradients_of_all_operands() {
    // Widths around the sixteen entries that are computed together, and a batch of whole and broken tiles.
    for (steps, batch, inputs, width, bias) in [
        (3, 2, 3, 2, true),
        (1, 1, 1, 1, true),
        (4, 7, 5, 16, true),
        (5, 3, 4, 19, false),
        (2, 0, 2, 3, true),
        (2, 13, 0, 33, true),
    ] {
        let config = LstmConfig::new(inputs, width);
        let config = if bias { config } else { config.without_bias() };
        let lstm = Lstm::new(config, &mut rng(1)).unwrap();
        let parameters: Vec<Tensor> = lstm.flat_weights().iter().map(|p| p.tensor()).collect();
        let x = variable(&[steps, batch, inputs], 2);
        let state = LstmState {
            hidden: variable(&[1, batch, width], 3),
            cell: variable(&[1, batch, width], 4),
        };
        let (output, last) = lstm.forward_with_state(&x, Some(&state)).unwrap();
        let of_layer = [&state.hidden, &state.cell].map(|state| state.select(0, 0).unwrap());
        let [expected, cell] = step_by_step(&parameters, &x, of_layer.each_ref()).unwrap();
        close("output", &output, &expected);
        close("last cell", &last.cell.select(0, 0).unwrap(), &cell);
        close(
            "last hidden",
            &last.hidden.select(0, 0).unwrap(),
            &expected.select(0, steps - 1).unwrap(),
        );

        // A loss in which every output counts, each by another factor.
        let factors = [
            variable(output.shape(), 5).detach(),
            variable(cell.shape(), 6).detach(),
        ];
        let loss = |output: &Tensor, cell: &Tensor| {
            let output = output.mul(&factors[0]).unwrap().sum();
            output.add(&cell.mul(&factors[1]).unwrap().sum()).unwrap()
        };
        let got = loss(&output, &last.cell.select(0, 0).unwrap())
            .backward()
            .unwrap();
        let expected = loss(&expected, &cell).backward().unwrap();
        let names = lstm.parameter_paths();
        let operands = parameters.iter().chain([&x, &state.hidden, &state.cell]);
        let names = names
            .iter()
            .map(String::as_str)
            .chain(["input", "hidden", "cell"]);
        for (name, operand) in names.zip(operands) {
            let gradients = [&got, &expected].map(|g| Tensor::new(g.wrt(operand).unwrap().to_owned()));
            close(name, &gradients[0], &gradients[1]);
        }
    }
}
