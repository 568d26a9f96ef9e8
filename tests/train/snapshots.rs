//! Rewinding.

use ndarray::{ArrayD, array};
use secateurs::prune;
use secateurs::train::Snapshot;
use secateurs::{ArrayModel, FloatArray};

use crate::{bits, model};

#[test]
fn values_are_rewound_and_masks_stay() {
    let mut model = model();
    let start = Snapshot::of(&model).unwrap();
    let untouched = bits(&model);
    prune::l1_unstructured(&mut model, "0.weight", 0.5).unwrap();
    let (mask, expected) = (prune::mask(&model, "0.weight").unwrap(), bits(&model));
    for path in ["0.weight", "1.weight", "0.bias"] {
        let FloatArray::F32(array) = model.array_mut(path).unwrap() else {
            panic!()
        };
        array.mapv_inplace(|x| 3.0 * x + 1.0);
    }
    assert_ne!(bits(&model), expected);
    start.rewind(&mut model).unwrap();
    assert_eq!(bits(&model), expected);
    assert_eq!(prune::mask(&model, "0.weight").unwrap(), mask);
    prune::discard(&mut model, "0.weight").unwrap();
    assert_eq!(bits(&model), untouched);
}

#[test]
fn a_snapshot_of_another_model_is_refused() {
    let mut model = model();
    let before = bits(&model);
    let mut other = ArrayModel::new();
    other
        .insert("0.weight", ArrayD::<f32>::zeros(vec![10, 20]))
        .unwrap();
    let message =
        |snapshot: &Snapshot, model: &mut ArrayModel| snapshot.rewind(model).unwrap_err().to_string();
    assert!(
        message(&Snapshot::of(&other).unwrap(), &mut model).contains("`1.weight` is not in the snapshot")
    );
    assert!(message(&Snapshot::of(&model).unwrap(), &mut other).contains("`1.weight` is not in the model"));
    other
        .insert("1.weight", ArrayD::<f32>::zeros(vec![20, 10]))
        .unwrap();
    other.insert("0.bias", array![0.0_f32, 0.0]).unwrap();
    assert!(message(&Snapshot::of(&other).unwrap(), &mut model).contains("[20, 10]"));
    let mut wide = ArrayModel::new();
    for name in ["0.weight", "1.weight"] {
        wide.insert(name, ArrayD::<f64>::zeros(vec![10, 20])).unwrap();
    }
    wide.insert("0.bias", array![0.0, 0.0]).unwrap();
    assert!(message(&Snapshot::of(&wide).unwrap(), &mut model).contains("f64"));
    assert_eq!(bits(&model), before);
}

#[cfg(feature = "nn")]
#[test]
fn modules_are_rewound_and_keep_their_identity() {
    use rand::SeedableRng;
    use secateurs::nn::{Linear, Sequential};

    let rng = &mut rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let network = |rng: &mut rand_chacha::ChaCha8Rng| {
        let model = Sequential::new().push(Linear::new(4, 6, rng).unwrap());
        model.push(Linear::new(6, 2, rng).unwrap())
    };
    let mut model = network(rng);
    let start = Snapshot::of(&model).unwrap();
    for path in ["0.weight", "1.weight"] {
        prune::l1_unstructured(&mut model, path, 0.5).unwrap();
    }
    let ids = |model: &Sequential| {
        ["0.weight", "1.bias"].map(|path| secateurs::Prunable::view(model, path).unwrap().id())
    };
    let before = ids(&model);
    // The control: other initial values under the same masks.
    let fresh = Snapshot::of(&network(rng)).unwrap();
    fresh.rewind(&mut model).unwrap();
    assert_eq!(Snapshot::of(&model).unwrap(), fresh);
    start.rewind(&mut model).unwrap();
    assert_eq!(Snapshot::of(&model).unwrap(), start);
    assert_eq!(ids(&model), before);
    assert_eq!(prune::mask(&model, "1.weight").unwrap().unwrap().shape(), [2, 6]);
}
