//! A model of your own, pruned in place: how to implement `Prunable`.
//!
//! ```console
//! $ cargo run --release --example custom_model
//! ```

use ndarray::{Array2, ArrayView1, array};
use secateurs::prunable::{
    MaskAction, MaskChange, ParameterView, Prunable, Pruning, check_changes, unknown_parameter,
};
use secateurs::prune;

/// A dense layer as somebody else's program might have it: weights in f64, and a name.
struct Dense {
    name: &'static str,
    weight: Array2<f64>,
    /// Added for pruning: the mask and the history.
    pruning: Option<Pruning>,
}

/// A network of such layers.
struct Network(Vec<Dense>);

impl Network {
    fn layer(&self, path: &str) -> Option<usize> {
        self.0
            .iter()
            .position(|layer| path.strip_suffix(".weight") == Some(layer.name))
    }

    /// The masks take effect here: a pruned weight does not contribute.
    fn forward(&self, input: ArrayView1<'_, f64>) -> ndarray::Array1<f64> {
        self.0.iter().fold(input.to_owned(), |x, layer| {
            let mut weight = layer.weight.clone();
            if let Some(pruning) = &layer.pruning {
                let masked = pruning.mask().apply_inplace(weight.view_mut().into_dyn());
                masked.expect("a mask has the shape of its weight");
            }
            weight.dot(&x).mapv(f64::tanh)
        })
    }
}

// All that pruning needs: about thirty lines.
impl Prunable for Network {
    fn paths(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|layer| format!("{}.weight", layer.name))
            .collect()
    }

    fn view(&self, path: &str) -> secateurs::Result<ParameterView<'_>> {
        let number = self.layer(path).ok_or_else(|| unknown_parameter(self, path))?;
        let layer = &self.0[number];
        Ok(ParameterView::new(
            path,
            number as u64,
            &layer.weight,
            layer.pruning.as_ref(),
        ))
    }

    fn commit(&mut self, changes: Vec<MaskChange>) -> secateurs::Result<()> {
        check_changes(self, &changes)?; // from here on, nothing fails
        for MaskChange { path, action } in changes {
            let number = self.layer(&path).expect("the path was checked");
            let layer = &mut self.0[number];
            match action {
                MaskAction::Set(pruning) => layer.pruning = Some(pruning),
                MaskAction::Discard => layer.pruning = None,
                MaskAction::Remove => {
                    let pruning = layer.pruning.take().expect("a pruned layer was checked for");
                    let weight = layer.weight.view_mut().into_dyn();
                    pruning.mask().apply_inplace(weight)?;
                }
            }
        }
        Ok(())
    }
}

fn main() -> secateurs::Result<()> {
    let dense = |name, weight| Dense {
        name,
        weight,
        pruning: None,
    };
    let mut network = Network(vec![
        dense("hidden", array![[0.9, -0.1, 0.4], [0.05, -0.7, 0.2]]),
        dense("output", array![[0.3, -0.8]]),
    ]);

    let paths = prune::weights(&network);
    let report = prune::global_unstructured(&mut network, paths, prune::L1Unstructured::new(0.5)?)?;
    println!("{report}");
    let masked = network.forward(array![1.0, 2.0, 3.0].view());

    prune::remove_all(&mut network)?;
    println!("\nhidden, with zeros baked in:\n{}", network.0[0].weight);
    assert_eq!(network.forward(array![1.0, 2.0, 3.0].view()), masked);
    Ok(())
}
