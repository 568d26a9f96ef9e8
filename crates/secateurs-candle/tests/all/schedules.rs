//! Pruning by a schedule while candle trains.

use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, Optimizer, SGD, VarBuilder, VarMap, linear, loss};
use secateurs::train::{DynamicPruner, Pruner, PrunerState, Schedule, Snapshot};
use secateurs::{checkpoint, prune};
use secateurs_candle::{CandleModel, to_array};

const STEPS: u64 = 24;

struct Network(VarMap, Linear);

impl Network {
    fn new() -> Self {
        let vars = VarMap::new();
        let layer = linear(
            16,
            4,
            VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu).pp("fc"),
        )
        .unwrap();
        let data = vars.data().lock().unwrap();
        let values = (0..64).map(|i| ((i * 37 % 101) as f32 - 50.0) / 60.0);
        let values = Tensor::from_iter(values, &Device::Cpu).unwrap();
        data["fc.weight"].set(&values.reshape((4, 16)).unwrap()).unwrap();
        data["fc.bias"]
            .set(&Tensor::zeros(4, DType::F32, &Device::Cpu).unwrap())
            .unwrap();
        drop(data);
        Network(vars, layer)
    }

    fn loss(&self, step: u64) -> Tensor {
        let x = Tensor::from_iter(
            (0..96).map(|i| ((i * 29 + step * 7) % 31) as f32 / 10.0 - 1.5),
            &Device::Cpu,
        );
        let y = Tensor::new(&[0u32, 1, 2, 3, 0, (step % 4) as u32], &Device::Cpu).unwrap();
        let x = self.1.forward(&x.unwrap().reshape((6, 16)).unwrap()).unwrap();
        loss::cross_entropy(&x, &y).unwrap()
    }

    /// Trains from this step to that one, as one would who saves after each.
    fn train(&self, model: &mut CandleModel, pruner: &mut Pruner, steps: std::ops::Range<u64>) {
        let mut sgd = SGD::new(self.0.all_vars(), 0.1).unwrap();
        for step in steps {
            model.backward_step(&mut sgd, &self.loss(step)).unwrap();
            pruner.step(model, step).unwrap();
        }
    }

    fn bits(&self) -> Vec<u32> {
        let data = self.0.data().lock().unwrap();
        let values =
            ["fc.weight", "fc.bias"].map(|name| data[name].flatten_all().unwrap().to_vec1::<f32>().unwrap());
        values.into_iter().flatten().map(f32::to_bits).collect()
    }
}

fn pruner(model: &CandleModel) -> Pruner {
    let schedule = Schedule::cubic(0.0, 0.9, 2..=20).unwrap().every(3).unwrap();
    Pruner::new(model, prune::weights(model), schedule).unwrap()
}

#[test]
fn a_run_that_is_killed_at_any_step_and_resumed_ends_with_the_same_bits() {
    let unbroken = Network::new();
    let mut model = CandleModel::new(&unbroken.0);
    let mut whole = pruner(&model);
    unbroken.train(&mut model, &mut whole, 0..STEPS);
    let mask = prune::mask(&model, "fc.weight").unwrap().unwrap();
    assert_eq!(mask.count_pruned(), 58);

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for killed in 1..STEPS {
        let first = Network::new();
        let mut before = CandleModel::new(&first.0);
        let mut started = pruner(&before);
        first.train(&mut before, &mut started, 0..killed);
        before.save(path("weights.safetensors")).unwrap();
        checkpoint::save_masks(&before, path("masks.safetensors")).unwrap();
        let state = serde_json::to_string(&started.state()).unwrap();

        let mut second = Network::new();
        second.0.load(path("weights.safetensors")).unwrap();
        let mut after = CandleModel::new(&second.0);
        checkpoint::load_masks(&mut after, path("masks.safetensors")).unwrap();
        let mut resumed = pruner(&after);
        resumed.load_state(serde_json::from_str::<PrunerState>(&state).unwrap());
        second.train(&mut after, &mut resumed, killed..STEPS);
        assert_eq!(second.bits(), unbroken.bits(), "killed before step {killed}");
        assert_eq!(prune::mask(&after, "fc.weight").unwrap().unwrap(), mask);
        for name in ["weights.safetensors", "masks.safetensors"] {
            std::fs::remove_file(path(name)).unwrap();
        }
    }
}

#[test]
fn entries_grow_where_the_dense_gradient_is_largest() {
    let network = Network::new();
    let mut model = CandleModel::new(&network.0);
    let schedule = Schedule::cosine(0.3, 0.0, 0..=20).unwrap().every(5).unwrap();
    let mut rigl = DynamicPruner::new(&model, ["fc.weight"], schedule).unwrap();
    rigl.start(&mut model, &[0.75]).unwrap();
    let mut sgd = SGD::new(network.0.all_vars(), 0.1).unwrap();
    let weight = model.var("fc.weight").unwrap().clone();
    let mut grown = 0;
    for step in 0..STEPS {
        // The gradients before they are masked are those with respect to what the network computes with.
        let mut grads = network.loss(step).backward().unwrap();
        let dense = to_array(grads.get(&weight).unwrap()).unwrap();
        model.step(&mut sgd, &mut grads).unwrap();
        let before = prune::mask(&model, "fc.weight").unwrap().unwrap();
        let update = rigl
            .step_with_gradients(&mut model, step, |_| Ok(dense.clone()))
            .unwrap();
        let Some(update) = update else { continue };
        assert_eq!(update.masked(), 48);
        grown += update.regrown();
        let after = prune::mask(&model, "fc.weight").unwrap().unwrap();
        let values = weight.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for ((now, then), value) in after.iter().zip(before.iter()).zip(values) {
            assert!(
                (now && then) || value.to_bits() == 0,
                "what is pruned or has grown is +0.0"
            );
        }
    }
    assert!(grown > 0);
}

#[test]
fn variables_are_rewound_in_place() {
    let network = Network::new();
    let mut model = CandleModel::new(&network.0);
    let start = Snapshot::of(&model).unwrap();
    let id = model.var("fc.weight").unwrap().id();
    let mut pruner = pruner(&model);
    network.train(&mut model, &mut pruner, 0..STEPS);
    start.rewind(&mut model).unwrap();
    assert_eq!(model.var("fc.weight").unwrap().id(), id);
    assert_eq!(
        prune::mask(&model, "fc.weight").unwrap().unwrap().count_pruned(),
        58
    );
    assert_eq!(network.bits()[..64].iter().filter(|bits| **bits == 0).count(), 58);
    prune::discard(&mut model, "fc.weight").unwrap();
    assert_eq!(network.bits(), Network::new().bits());
}
