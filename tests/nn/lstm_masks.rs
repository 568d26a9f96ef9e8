//! The masks of an LSTM change what it computes.

use ndarray::ArrayD;
use rand::RngExt;
use secateurs::nn::{Lstm, LstmConfig, Module, ParamTreeExt};
use secateurs::prune;
use secateurs::tensor::Tensor;

use crate::fixtures::{bits, rng};

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The hidden states of an LSTM of one layer and one sample, from the equations, in f64.
fn by_hand(lstm: &Lstm, steps: &[[f64; 3]]) -> Vec<f64> {
    let read = |name: &str| lstm.parameter(name).unwrap().effective().mapv(f64::from);
    let (input, hidden) = (read("weight_ih_l0"), read("weight_hh_l0"));
    let (input_bias, hidden_bias) = (read("bias_ih_l0"), read("bias_hh_l0"));
    let size = hidden.shape()[1];
    let (mut h, mut c, mut all) = (vec![0.0; size], vec![0.0; size], Vec::new());
    for x in steps {
        let gate = |row: usize| {
            let from_input: f64 = (0..3).map(|i| input[[row, i]] * x[i]).sum();
            let from_hidden: f64 = (0..size).map(|i| hidden[[row, i]] * h[i]).sum();
            from_input + from_hidden + input_bias[[row]] + hidden_bias[[row]]
        };
        let gates: Vec<f64> = (0..4 * size).map(gate).collect();
        for i in 0..size {
            let (forget, new) = (sigmoid(gates[size + i]), gates[2 * size + i].tanh());
            c[i] = forget * c[i] + sigmoid(gates[i]) * new;
            h[i] = sigmoid(gates[3 * size + i]) * c[i].tanh();
        }
        all.extend(&h);
    }
    all
}

#[test]
fn each_weight_is_masked_in_forward() {
    let mut rng = rng(5);
    let lstm = Lstm::new(LstmConfig::new(3, 4), &mut rng).unwrap();
    let steps: Vec<[f64; 3]> = (0..5)
        .map(|_| std::array::from_fn(|_| f64::from(rng.random::<f32>()) - 0.5))
        .collect();
    let values = steps.iter().flatten().map(|&x| x as f32).collect();
    let input = Tensor::new(ArrayD::from_shape_vec(vec![5, 1, 3], values).unwrap());
    let dense = lstm.forward(&input).unwrap();
    let close = |lstm: &Lstm| {
        let output = lstm.forward(&input).unwrap();
        for (got, expected) in output.value().iter().zip(by_hand(lstm, &steps)) {
            assert!((f64::from(*got) - expected).abs() < 1e-6, "{got} {expected}");
        }
        output
    };
    close(&lstm);
    for name in ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"] {
        let mut pruned = lstm.clone();
        let report = prune::l1_unstructured(&mut pruned, name, 0.5).unwrap();
        assert!(report.pruned > 0);
        let output = close(&pruned);
        assert_ne!(
            bits(output.value()),
            bits(dense.value()),
            "the mask of {name} changes nothing"
        );
        // Pruned values of the original have no effect.
        let parameter = pruned.parameter_mut(name).unwrap();
        let kept = parameter.mask().unwrap().to_bool();
        parameter.original_mut().zip_mut_with(&kept, |x, &kept| {
            if !kept {
                *x = f32::NAN
            }
        });
        assert_eq!(
            bits(pruned.forward(&input).unwrap().value()),
            bits(output.value()),
            "{name}"
        );
    }
    // If their weights are wholly pruned, hidden states have no effect: each step gives what it gives as a first
    // step.
    let mut alone = lstm.clone();
    prune::set_mask(&mut alone, "weight_hh_l0", ArrayD::from_elem(vec![16, 4], false)).unwrap();
    let gate_bias = alone.parameter_mut("bias_ih_l0").unwrap();
    let mut bias = gate_bias.original_mut();
    (4..8).for_each(|row| bias[[row]] = -1e4); // forget everything
    let whole = close(&alone);
    for step in 0..5 {
        let one = alone.forward(&input.narrow(0, step, 1).unwrap()).unwrap();
        assert_eq!(bits(one.value()), bits(whole.narrow(0, step, 1).unwrap().value()));
    }
}
