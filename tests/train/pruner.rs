//! The pruner of a training loop.

use secateurs::prune::{
    self, Amount, GlobalOptions, L1Unstructured, LnStructured, NmStructured, RandomUnstructured,
};
use secateurs::train::{Pruner, Schedule};
use secateurs::{ArrayModel, FloatArray};

use crate::{bits, model};

const WEIGHTS: [&str; 2] = ["0.weight", "1.weight"];

fn cubic() -> Schedule {
    Schedule::cubic(0.0, 0.9, 10..=50).unwrap().every(10).unwrap()
}

/// The masks of both weights, as words.
fn masks(model: &ArrayModel) -> Vec<Vec<u64>> {
    let words = WEIGHTS.map(|path| prune::mask(model, path).unwrap().unwrap().as_words().to_vec());
    words.to_vec()
}

#[test]
fn it_does_what_the_functions_of_prune_do_at_the_steps_of_the_schedule() {
    let (mut ours, mut by_hand) = (model(), model());
    let mut pruner = Pruner::new(&ours, WEIGHTS, cubic()).unwrap();
    let mut updates = 0;
    for step in 0..100 {
        let update = pruner.step(&mut ours, step).unwrap();
        assert_eq!(update.is_some(), cubic().at(step).is_some(), "{step}");
        let Some(sparsity) = cubic().at(step) else {
            continue;
        };
        updates += 1;
        for path in WEIGHTS {
            prune::l1_unstructured(&mut by_hand, path, Amount::until(sparsity).unwrap()).unwrap();
        }
        assert_eq!(bits(&ours), bits(&by_hand), "{step}");
        let update = update.unwrap();
        assert_eq!(
            (update.step, update.share, update.entries()),
            (step, sparsity, 400)
        );
        assert_eq!(update.masked(), 2 * (200.0 * sparsity).round_ties_even() as usize);
    }
    assert_eq!(
        (updates, pruner.state().updates(), pruner.state().last_step()),
        (5, 5, Some(99))
    );
    assert!(prune::mask(&ours, "0.bias").unwrap().is_none());
}

#[test]
fn all_parameters_can_be_ranked_together_with_caps() {
    let (mut ours, mut by_hand) = (model(), model());
    let options = GlobalOptions::new().max_sparsity_of("1.weight", 0.3).unwrap();
    let schedule = Schedule::milestones([(3, 0.5), (7, 0.6)]).unwrap();
    let mut pruner = Pruner::new(&ours, WEIGHTS, schedule)
        .unwrap()
        .global_with(options.clone());
    for step in 0..10 {
        pruner.step(&mut ours, step).unwrap();
    }
    for sparsity in [0.5, 0.6] {
        let method = L1Unstructured::new(Amount::until(sparsity).unwrap()).unwrap();
        prune::global_unstructured_with(&mut by_hand, WEIGHTS, method, &options).unwrap();
    }
    assert_eq!(bits(&ours), bits(&by_hand));
    assert_eq!(
        prune::mask(&ours, "1.weight").unwrap().unwrap().count_pruned(),
        60
    );
    assert_eq!(
        prune::mask(&ours, "0.weight").unwrap().unwrap().count_pruned(),
        180
    );
}

#[test]
fn masks_are_recomputed_from_the_originals_or_only_become_sparser() {
    for recompute in [false, true] {
        let mut model = ArrayModel::new();
        model
            .insert("weight", ndarray::array![[1.0_f32, 2.0, 3.0, 4.0]])
            .unwrap();
        let schedule = Schedule::constant(0.5, 0..=1).unwrap();
        let pruner = Pruner::new(&model, ["weight"], schedule).unwrap();
        let mut pruner = pruner.recompute(recompute);
        pruner.step(&mut model, 0).unwrap();
        // The kept entries shrink in training, and the hidden ones stay.
        let FloatArray::F32(array) = model.array_mut("weight").unwrap() else {
            panic!()
        };
        array[[0, 3]] = 0.1;
        let update = pruner.step(&mut model, 1).unwrap().unwrap();
        let mask = prune::mask(&model, "weight").unwrap().unwrap();
        let (expected, exchanged) = match recompute {
            true => ([0, 1, 1, 0], 1),
            false => ([0, 0, 1, 1], 0),
        };
        assert_eq!(mask.to_array::<u8>(), ndarray::arr2(&[expected]).into_dyn());
        assert_eq!((update.pruned(), update.regrown()), (exchanged, exchanged));
    }
}

#[test]
fn a_step_that_is_repeated_or_out_of_order_changes_nothing() {
    let mut model = model();
    let schedule = Schedule::milestones([(5, 0.3), (6, 0.9)]).unwrap();
    let mut pruner = Pruner::new(&model, WEIGHTS, schedule).unwrap();
    assert!(pruner.step(&mut model, 5).unwrap().is_some());
    let (before, state) = (bits(&model), pruner.state());
    for step in [5, 4, 0] {
        assert_eq!(pruner.step(&mut model, step).unwrap(), None);
    }
    assert_eq!((bits(&model), pruner.state()), (before, state));
    assert!(pruner.step(&mut model, 6).unwrap().is_some());
}

#[test]
fn an_error_leaves_model_and_pruner_as_they_were() {
    let mut model = model();
    let FloatArray::F32(array) = model.array_mut("1.weight").unwrap() else {
        panic!()
    };
    array[[3, 3]] = f32::NAN;
    let mut pruner = Pruner::new(&model, WEIGHTS, cubic()).unwrap();
    let error = pruner.step(&mut model, 20).unwrap_err().to_string();
    assert!(error.contains("1.weight") && error.contains("NaN"), "{error}");
    assert!(!prune::is_pruned(&model));
    assert_eq!(pruner.state(), Default::default());

    // A share that is none, of a schedule of one's own; channels, ranked together; scores of another shape.
    let custom = Schedule::custom(|_| Some(1.5));
    assert!(
        Pruner::new(&model, ["0.weight"], custom)
            .unwrap()
            .step(&mut model, 0)
            .is_err()
    );
    let channels = Pruner::new(&model, ["0.weight"], cubic()).unwrap().global();
    let mut channels = channels.method(|amount, _| LnStructured::new(amount, 2, 0));
    assert!(channels.step(&mut model, 20).is_err());
    let mut scored = Pruner::new(&model, ["0.weight"], cubic()).unwrap();
    let scores = ndarray::array![1.0_f32];
    let error = scored.step_with_scores(&mut model, 20, |_| Ok(Some(scores.clone().into())));
    assert!(error.unwrap_err().to_string().contains("0.weight"));
    assert!(!prune::is_pruned(&model));
}

#[test]
fn bad_lists_are_refused() {
    let model = model();
    let message = |paths: &[&str]| Pruner::new(&model, paths, cubic()).unwrap_err().to_string();
    assert!(message(&[]).contains("no parameter was listed"));
    assert!(message(&["0.weight", "0.weight"]).contains("twice"));
    assert!(message(&["0.wieght"]).contains("`0.weight`"));
    assert!(Pruner::matching(&model, |_| false, cubic()).is_err());
    let all = Pruner::matching(&model, |view| view.name() == "weight", cubic()).unwrap();
    assert_eq!(all.paths(), WEIGHTS);
}

// S18
#[test]
fn equal_parameters_and_successive_updates_get_different_random_masks_that_never_change() {
    let schedule = || Schedule::constant(0.5, 0..=1).unwrap();
    let run = |seed, recompute| {
        let mut model = model();
        let pruner = Pruner::new(&model, WEIGHTS, schedule()).unwrap().seed(seed);
        let mut pruner = pruner.recompute(recompute).method(RandomUnstructured::new);
        pruner.step(&mut model, 0).unwrap();
        let first = masks(&model);
        pruner.step(&mut model, 1).unwrap();
        (first, masks(&model))
    };
    let (first, second) = run(7, true);
    assert_ne!(first[0], first[1]);
    assert_ne!(first[0], second[0]);
    assert_eq!((first.clone(), second.clone()), run(7, true));
    assert_ne!(first, run(8, true).0);
    // Until half are pruned: the second update has nothing to do.
    assert_eq!(run(7, false), (first.clone(), first.clone()));
    assert_eq!((first[0][0], second[1][0]), (PINNED_FIRST, PINNED_SECOND));
}

const PINNED_FIRST: u64 = 14_301_907_150_359_407_331;
const PINNED_SECOND: u64 = 4_523_275_081_531_959_859;

#[test]
fn any_method_and_any_scores_can_be_scheduled() {
    let mut model = model();
    let schedule = Schedule::milestones([(0, 0.5)]).unwrap();
    let groups = Pruner::new(&model, ["0.weight"], schedule.clone()).unwrap();
    let update = groups
        .method(|_, _| NmStructured::new(2, 4, 1))
        .step(&mut model, 0);
    assert_eq!(update.unwrap().unwrap().masked(), 100);

    let mut scored = Pruner::new(&model, ["1.weight"], schedule).unwrap();
    let update = scored.step_with_scores(&mut model, 0, |view| {
        let mut scores = view.values()?.to_f32();
        scores
            .iter_mut()
            .enumerate()
            .for_each(|(i, score)| *score = i as f32);
        Ok(Some(scores.into()))
    });
    assert_eq!(
        update.unwrap().unwrap().to_string(),
        "step 0: 100 of 200 entries pruned, 50.00 % (100 newly, 0 regrown)"
    );
    let mask = prune::mask(&model, "1.weight").unwrap().unwrap();
    assert!((0..200).all(|i| mask[[i / 20, i % 20]] == (i >= 100)));
}
