//! User-defined methods, and containers of methods: what they receive, and what they cannot do.

use secateurs::error::{ListError, MaskError, PatternError};
mod common;

use std::sync::Arc;

use common::methods::{Answer, Expects, Failing, Ones, OutOfCheese, Part, Threshold};
use common::{array, bits, rng, uniform};
use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};
use proptest::prelude::*;
use rand::Rng;
use secateurs::mask::{
    self, Amount, CustomFromMask, EntryRank, Identity, IntoMethod, L1Unstructured, LnStructured, Mask, Plan,
    PruningContainer, PruningMethod, PruningType, RandomStructured, RandomUnstructured, Ranked,
    ScoreUnstructured,
};
use secateurs::{Error, Result};
use serde::{Deserialize, Serialize};

static_assertions::assert_impl_all!(dyn PruningMethod: Send, Sync);
static_assertions::assert_impl_all!(PruningContainer: Send, Sync, Clone);
static_assertions::assert_impl_all!(Mask: Send, Sync, Clone);
static_assertions::assert_impl_all!(Plan<'static>: Send, Sync, Copy);

fn grid(values: [f32; 12]) -> ArrayD<f32> {
    array(&[4, 3], values.to_vec())
}

/// A 4 × 3 mask whose row 1 is wholly pruned and whose rows 0 and 3 are in part.
fn prior() -> Mask {
    Mask::from_array(array(&[4, 3], vec![1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1]).view()).unwrap()
}

const VALUES: [f32; 12] = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.];

fn own_parts() -> [Part; 5] {
    [
        Part::Entries,
        Part::Channels(0),
        Part::Channels(1),
        Part::Channels(-1),
        Part::Whole,
    ]
}

// ---- what user-defined methods receive ----

#[test]
fn an_unstructured_method_receives_the_remaining_entries() {
    let scores = vec![0., 2., 6., 7., 8., 11.];
    let method = Expects {
        part: Part::Entries,
        scores,
        prior: Mask::ones(&[6]),
    };
    let outcome = mask::compute(&method, grid(VALUES).view(), Some(&prior())).unwrap();
    assert_eq!(
        (outcome.mask, outcome.requested, outcome.pruned),
        (prior(), None, 0)
    );
    // In row-major order of the view, not of memory.
    let scores = vec![0., 3., 6., 9., 1., 4., 7., 10., 2., 5., 8., 11.];
    let method = Expects {
        part: Part::Entries,
        scores,
        prior: Mask::ones(&[12]),
    };
    assert_eq!(
        mask::compute(&method, grid(VALUES).t(), None).unwrap().mask,
        Mask::ones(&[3, 4])
    );
}

#[test]
fn a_structured_method_receives_the_remaining_channels() {
    // Row 1 is gone; of the others the prior says which entries are kept.
    let part = Mask::from_array(array(&[3, 3], vec![1, 0, 1, 1, 1, 1, 0, 0, 1]).view()).unwrap();
    let scores = vec![0., 1., 2., 6., 7., 8., 9., 10., 11.];
    for dim in [0, -2] {
        let method = Expects {
            part: Part::Channels(dim),
            scores: scores.clone(),
            prior: part.clone(),
        };
        let outcome = mask::compute(&method, grid(VALUES).view(), Some(&prior())).unwrap();
        assert_eq!(
            (outcome.mask, outcome.requested, outcome.pruned),
            (prior(), None, 0)
        );
    }
    // Along the columns all remain.
    let method = Expects {
        part: Part::Channels(1),
        scores: VALUES.to_vec(),
        prior: prior(),
    };
    assert_eq!(
        mask::compute(&method, grid(VALUES).view(), Some(&prior()))
            .unwrap()
            .mask,
        prior()
    );
}

#[test]
fn a_whole_method_receives_everything() {
    let method = Expects {
        part: Part::Whole,
        scores: VALUES.to_vec(),
        prior: prior(),
    };
    assert_eq!(
        mask::compute(&method, grid(VALUES).view(), Some(&prior()))
            .unwrap()
            .mask,
        prior()
    );
    let method = Expects {
        part: Part::Whole,
        scores: VALUES.to_vec(),
        prior: Mask::ones(&[4, 3]),
    };
    assert_eq!(
        mask::compute(&method, grid(VALUES).view(), None).unwrap().mask,
        Mask::ones(&[4, 3])
    );
}

#[test]
fn a_method_in_a_global_call_receives_all_tensors_joined() {
    let (a, b, c) = (
        grid(VALUES),
        array(&[2], vec![-1.0, -2.0]),
        ArrayD::<f32>::zeros(vec![0]),
    );
    let ones = prior();
    let tensors = [
        Ranked {
            name: "a",
            scores: a.view().into(),
            prior: Some(&ones),
        },
        Ranked {
            name: "c",
            scores: c.view().into(),
            prior: None,
        },
        Ranked {
            name: "b",
            scores: b.view().into(),
            prior: None,
        },
    ];
    let scores = vec![0., 2., 6., 7., 8., 11., -1., -2.];
    let method = Expects {
        part: Part::Entries,
        scores,
        prior: Mask::ones(&[8]),
    };
    let outcome = mask::compute_global(&method, &tensors).unwrap();
    assert_eq!(outcome.masks, [prior(), Mask::ones(&[0]), Mask::ones(&[2])]);
    assert_eq!((outcome.requested, outcome.pruned), (None, 0));
    // Its answers go back to where the entries came from.
    let keep = Mask::from_array(array(&[8], vec![0, 1, 1, 1, 0, 1, 0, 1]).view()).unwrap();
    let outcome = mask::compute_global(&Answer(Part::Entries, keep), &tensors).unwrap();
    assert_eq!(
        bits(&outcome.masks[0])
            .iter()
            .map(|kept| u8::from(*kept))
            .collect::<Vec<_>>(),
        [0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1]
    );
    assert_eq!(bits(&outcome.masks[2]), [false, true]);
    assert_eq!((outcome.requested, outcome.pruned), (None, 3));
}

#[test]
fn a_structured_mask_is_applied_to_its_channels() {
    // The method wants its second channel pruned, and an entry of its third: that is rows 2 and 3.
    let keep = Mask::from_array(array(&[3, 3], vec![1, 1, 1, 0, 0, 0, 1, 0, 1]).view()).unwrap();
    let outcome = mask::compute(
        &Answer(Part::Channels(0), keep),
        grid(VALUES).view(),
        Some(&prior()),
    )
    .unwrap();
    let expected = array(&[4, 3], vec![1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(outcome.mask.to_array::<i32>(), expected);
    assert_eq!(
        (outcome.requested, outcome.pruned),
        (None, 1),
        "one channel is newly pruned"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    // S12, and a method that judges entries one by one does the same in every part that it can receive.
    #[test]
    fn thresholds_in_every_part(shape in prop::collection::vec(1_usize..5, 2..=4), seed in any::<u64>(), axis in any::<prop::sample::Index>(), threshold in 0.0_f32..1.0) {
        let mut data = rng(seed);
        let scores = ArrayD::from_shape_simple_fn(IxDyn(&shape), || uniform(&mut data) as f32);
        let axis = axis.index(shape.len());
        let mut kept = scores.mapv(|_| !data.next_u32().is_multiple_of(3));
        kept.index_axis_mut(Axis(axis), 0).fill(false);
        let prior = Mask::from_bool(kept.view());
        let expected = Mask::from_fn(scores.view(), |score| score.abs() >= threshold).and(&prior).unwrap();
        let dim = axis as isize;
        let alive = |mask: &Mask| mask.to_bool().axis_iter(Axis(axis)).filter(|c| c.iter().any(|k| *k)).count();
        let entries = prior.count_kept() - expected.count_kept();
        let channels = alive(&prior) - alive(&expected);
        for (part, pruned) in [
            (Part::Entries, entries),
            (Part::Whole, entries),
            (Part::Channels(dim), channels),
            (Part::Channels(dim - shape.len() as isize), channels),
        ] {
            let method = Threshold(part, threshold);
            let outcome = mask::compute(&method, scores.view(), Some(&prior)).unwrap();
            prop_assert_eq!((&outcome.mask, outcome.requested, outcome.pruned), (&expected, None, pruned), "{:?}", part);
            let pruned = method.prune(scores.view(), Some(&prior), None).unwrap();
            prop_assert_eq!(pruned, expected.apply(scores.view()).unwrap());
            // Layouts (S5).
            let reversed: Vec<usize> = (0..shape.len()).rev().collect();
            let stored = scores.t().as_standard_layout().into_owned();
            let view = stored.view().permuted_axes(reversed);
            prop_assert_eq!(mask::compute(&method, view, Some(&prior)).unwrap().mask, expected.clone());
        }
    }
}

// ---- what no method can do ----

#[test]
fn no_method_brings_an_entry_back() {
    // S12
    for part in own_parts() {
        let outcome = mask::compute(&Ones(part), grid(VALUES).view(), Some(&prior())).unwrap();
        assert_eq!((outcome.mask, outcome.pruned), (prior(), 0), "{part:?}");
        let gone = Mask::zeros(&[4, 3]);
        let outcome = mask::compute(&Ones(part), grid(VALUES).view(), Some(&gone)).unwrap();
        assert_eq!((outcome.mask, outcome.pruned), (gone, 0), "{part:?}");
        // Nor through a container or `prune`.
        let mut container = PruningContainer::new("weight");
        container.add("weight", Ones(part)).unwrap();
        assert_eq!(
            mask::compute(&container, grid(VALUES).view(), Some(&prior()))
                .unwrap()
                .mask,
            prior()
        );
        let pruned = Ones(part)
            .prune(grid(VALUES).view(), Some(&prior()), None)
            .unwrap();
        assert_eq!(pruned, prior().apply(grid(VALUES).view()).unwrap());
    }
    let whole = mask::compute(
        &Answer(Part::Whole, prior().not()),
        grid(VALUES).view(),
        Some(&prior()),
    )
    .unwrap();
    assert_eq!((whole.mask, whole.pruned), (Mask::zeros(&[4, 3]), 6));
    let custom = mask::compute(
        &CustomFromMask::new(prior().not()),
        grid(VALUES).view(),
        Some(&prior()),
    )
    .unwrap();
    assert_eq!(
        (custom.mask, custom.requested, custom.pruned),
        (Mask::zeros(&[4, 3]), None, 6)
    );
    let scores = grid(VALUES);
    let prior = prior();
    let tensors = [Ranked {
        name: "w",
        scores: scores.view().into(),
        prior: Some(&prior),
    }];
    assert_eq!(
        mask::compute_global(&Ones(Part::Entries), &tensors)
            .unwrap()
            .masks,
        std::slice::from_ref(&prior)
    );
}

#[test]
fn a_method_that_fails_fails_the_call() {
    for part in own_parts() {
        let mut container = PruningContainer::new("weight");
        container.add("weight", Failing(part)).unwrap();
        let scores = grid(VALUES);
        let methods: [&dyn PruningMethod; 2] = [&Failing(part), &container];
        for method in methods {
            for error in [
                mask::compute(method, scores.view(), Some(&prior())).unwrap_err(),
                mask::compute(method, scores.view(), None).unwrap_err(),
                method.prune(scores.view(), None, None).unwrap_err(),
            ] {
                assert!(error.to_string().contains("out of cheese"), "{error}");
                let Error::Mask(MaskError::Method(source)) = error else {
                    panic!("{error:?}")
                };
                assert!(source.is::<OutOfCheese>());
            }
        }
    }
    let scores = grid(VALUES);
    let tensors = [Ranked {
        name: "w",
        scores: scores.view().into(),
        prior: None,
    }];
    assert!(matches!(
        mask::compute_global(&Failing(Part::Entries), &tensors),
        Err(Error::Mask(MaskError::Method(_)))
    ));
}

#[test]
fn a_returned_mask_of_another_shape_fails_the_call() {
    for (part, expected, wrong) in [
        (
            Part::Entries,
            &[6][..],
            vec![vec![5], vec![7], vec![4, 3], vec![6, 1], vec![]],
        ),
        (
            Part::Channels(0),
            &[3, 3],
            vec![vec![4, 3], vec![3], vec![9], vec![3, 2]],
        ),
        (
            Part::Channels(1),
            &[4, 3],
            vec![vec![3, 4], vec![3], vec![4, 3, 1]],
        ),
        (Part::Whole, &[4, 3], vec![vec![3, 4], vec![12], vec![]]),
    ] {
        for shape in wrong {
            let answer = Answer(part, Mask::ones(&shape));
            let mut container = PruningContainer::new("weight");
            container.add("weight", answer.clone()).unwrap();
            let methods: [&dyn PruningMethod; 2] = [&answer, &container];
            for method in methods {
                let error = mask::compute(method, grid(VALUES).view(), Some(&prior())).unwrap_err();
                let named = matches!(&error, Error::Mask(MaskError::ShapeMismatch { what, expected: e, got })
                    if what.contains("method") && e == expected && *got == shape);
                assert!(named, "{part:?}: {error:?}");
            }
        }
        let fits = Answer(part, Mask::ones(expected));
        assert!(mask::compute(&fits, grid(VALUES).view(), Some(&prior())).is_ok());
    }
    let scores = grid(VALUES);
    let tensors = ["a", "b"].map(|name| Ranked {
        name,
        scores: scores.view().into(),
        prior: None,
    });
    let error = mask::compute_global(&Answer(Part::Entries, Mask::ones(&[12])), &tensors).unwrap_err();
    assert!(
        matches!(error, Error::Mask(MaskError::ShapeMismatch { expected, got, .. }) if expected == [24] && got == [12])
    );
}

#[test]
fn dimensions_of_a_users_own_structured_method() {
    for dim in [2, -3] {
        let error = mask::compute(&Ones(Part::Channels(dim)), grid(VALUES).view(), None).unwrap_err();
        assert!(
            matches!(error, Error::Pattern(PatternError::DimOutOfRange { .. })),
            "{error:?}"
        );
    }
    let line = array(&[3], vec![1.0, 2.0, 3.0]);
    let error = mask::compute(&Ones(Part::Channels(0)), line.view(), None).unwrap_err();
    assert!(
        matches!(error, Error::Pattern(PatternError::NoChannels { .. })),
        "{error:?}"
    );
}

#[test]
fn global_calls_take_unstructured_methods_only() {
    // S17
    let scores = grid(VALUES);
    let tensors = [Ranked {
        name: "w",
        scores: scores.view().into(),
        prior: None,
    }];
    for part in [Part::Channels(0), Part::Channels(-1), Part::Whole] {
        let error = mask::compute_global(&Ones(part), &tensors).unwrap_err();
        assert!(
            matches!(&error, Error::Mask(MaskError::Unsupported { method, .. }) if method.contains("Ones")),
            "{error:?}"
        );
    }
    assert!(matches!(
        mask::compute_global(&Ones(Part::Entries), &[]),
        Err(Error::List(ListError::NoParameters))
    ));
    let wrong = Mask::ones(&[3, 4]);
    let tensors = [Ranked {
        name: "w",
        scores: scores.view().into(),
        prior: Some(&wrong),
    }];
    let error = mask::compute_global(&Ones(Part::Entries), &tensors).unwrap_err();
    assert!(
        matches!(&error, Error::Parameter { path, .. } if path == "w"),
        "{error:?}"
    );
}

#[test]
fn a_method_of_a_users_own_may_read_nan_and_nothing() {
    // S8 speaks of methods that rank. A method of a user's own sees what there is.
    let scores = array(&[2, 2], vec![f32::NAN, 1.0, f32::NAN, 2.0]);
    let outcome = mask::compute(&Threshold(Part::Entries, 1.5), scores.view(), None).unwrap();
    assert_eq!(bits(&outcome.mask), [false, false, false, true]);
    for shape in [&[0, 3][..], &[3, 0]] {
        for part in own_parts() {
            let outcome = mask::compute(&Ones(part), ArrayD::<f32>::zeros(shape).view(), None).unwrap();
            assert_eq!((outcome.mask, outcome.pruned), (Mask::ones(shape), 0));
        }
    }
}

/// A method with a plan, whose `compute_mask` is never called.
#[derive(Debug, Serialize, Deserialize)]
struct Described;

#[typetag::serde]
impl PruningMethod for Described {
    fn pruning_type(&self) -> PruningType {
        PruningType::Unstructured
    }

    fn compute_mask(&self, _scores: ArrayViewD<'_, f32>, _prior: &Mask) -> Result<Mask> {
        unreachable!("the plan is carried out instead")
    }

    fn plan(&self) -> Option<Plan<'_>> {
        Some(Plan::Entries {
            amount: Amount::count(2),
            by: EntryRank::Value,
        })
    }
}

#[test]
fn a_plan_of_a_users_own() {
    let scores = array(&[4], vec![1.0, -9.0, 0.0, 5.0]);
    let outcome = mask::compute(&Described, scores.view(), None).unwrap();
    assert_eq!(bits(&outcome.mask), [true, false, false, true]);
    assert_eq!((outcome.requested, outcome.pruned), (Some(2), 2));
    let tensors = ["a", "b"].map(|name| Ranked {
        name,
        scores: scores.view().into(),
        prior: None,
    });
    let outcome = mask::compute_global(&Described, &tensors).unwrap();
    assert_eq!(
        outcome.masks.iter().map(Mask::count_pruned).collect::<Vec<_>>(),
        [1, 1]
    );
    assert_eq!(
        Described.prune(scores.view(), None, None).unwrap(),
        array(&[4], vec![1.0, 0.0, 0.0, 5.0])
    );
}

// ---- settings ----

#[test]
fn methods_say_what_they_are() {
    let mut data = rng(60);
    let half = Amount::fraction(0.5).unwrap();
    assert_eq!(L1Unstructured::new(0.5).unwrap().amount(), half);
    assert_eq!(ScoreUnstructured::new(half).unwrap().amount(), half);
    assert_eq!(RandomUnstructured::new(0.5, &mut data).unwrap().amount(), half);
    let ln = LnStructured::new(3_u8, -1, -2).unwrap();
    assert_eq!(
        (ln.amount(), ln.norm().to_string(), ln.dim()),
        (Amount::count(3), "-1".into(), -2)
    );
    let random = RandomStructured::new(half, 1, &mut data).unwrap();
    assert_eq!((random.amount(), random.dim()), (half, 1));
    assert_eq!(**CustomFromMask::new(prior()).mask(), prior());

    assert_eq!(Identity.pruning_type(), PruningType::Unstructured);
    assert_eq!(ln.pruning_type(), PruningType::Structured { dim: -2 });
    assert_eq!(random.pruning_type(), PruningType::Structured { dim: 1 });
    assert_eq!(CustomFromMask::new(prior()).pruning_type(), PruningType::Whole);
    assert_eq!(PruningContainer::new("weight").pruning_type(), PruningType::Whole);
}

#[test]
fn the_concrete_type_of_a_method() {
    let method: Arc<dyn PruningMethod> = L1Unstructured::new(3).unwrap().into_method();
    assert!(method.is::<L1Unstructured>() && !method.is::<Identity>());
    assert_eq!(
        method.downcast_ref::<L1Unstructured>().unwrap().amount(),
        Amount::count(3)
    );
    assert!(method.downcast_ref::<ScoreUnstructured>().is_none());
    // A method that is shared already stays the one that it is.
    assert!(Arc::ptr_eq(&method.clone().into_method(), &method));
}

// ---- containers ----

#[test]
fn containers_list_their_methods() {
    let mut container = PruningContainer::new("weight");
    assert_eq!((container.len(), container.is_empty()), (0, true));
    assert!(container.get(0).is_none());
    assert_eq!(container.tensor_name(), "weight");
    container.add("weight", Identity).unwrap();
    container.add("weight", L1Unstructured::new(1).unwrap()).unwrap();
    let shared: Arc<dyn PruningMethod> = Arc::new(Ones(Part::Whole));
    container.add("weight", shared.clone()).unwrap();
    assert_eq!((container.len(), container.is_empty()), (3, false));
    assert!(
        container[0].is::<Identity>() && container[1].is::<L1Unstructured>() && container[2].is::<Ones>()
    );
    assert!(Arc::ptr_eq(container.get(2).unwrap(), &shared));
    assert!(container.get(3).is_none());
    let types: Vec<_> = container.iter().map(|method| method.pruning_type()).collect();
    assert_eq!(
        types,
        [
            PruningType::Unstructured,
            PruningType::Unstructured,
            PruningType::Whole
        ]
    );
    assert_eq!((&container).into_iter().count(), 3);
}

#[test]
#[should_panic]
fn an_index_beyond_the_methods_panics() {
    let _ = &PruningContainer::new("weight")[0];
}

#[test]
fn an_empty_container_prunes_nothing() {
    let container = PruningContainer::new("weight");
    for prior in [None, Some(prior())] {
        let outcome = mask::compute(&container, grid(VALUES).view(), prior.as_ref()).unwrap();
        assert_eq!(outcome.mask, prior.unwrap_or(Mask::ones(&[4, 3])));
        assert_eq!(outcome.pruned, 0);
    }
    assert_eq!(
        container.compute_mask(grid(VALUES).view(), &prior()).unwrap(),
        prior()
    );
    assert!(mask::compute(&container, grid(VALUES).view(), Some(&Mask::ones(&[2]))).is_err());
}

#[test]
fn a_container_runs_its_last_method_on_top_of_the_prior_mask() {
    // S16. The zero in row 1 would be pruned first, but is masked already; 2 of the 6 that remain are pruned.
    let mut container = PruningContainer::new("weight");
    container.add("weight", Failing(Part::Entries)).unwrap();
    let last: [Arc<dyn PruningMethod>; 5] = [
        Arc::new(L1Unstructured::new(2).unwrap()),
        Arc::new(LnStructured::new(1, 1, 0).unwrap()),
        Arc::new(CustomFromMask::new(Mask::zeros(&[4, 3]))),
        Arc::new(Threshold(Part::Channels(0), 7.5)),
        Arc::new(Identity),
    ];
    for method in last {
        container.add("weight", method.clone()).unwrap();
        let expected = mask::compute(&*method, grid(VALUES).view(), Some(&prior()))
            .unwrap()
            .mask;
        assert_eq!(
            mask::compute(&container, grid(VALUES).view(), Some(&prior()))
                .unwrap()
                .mask,
            expected
        );
        assert_eq!(
            container.compute_mask(grid(VALUES).view(), &prior()).unwrap(),
            expected
        );
    }
}

#[test]
fn a_container_refuses_other_tensors() {
    let mut container = PruningContainer::new("weight");
    container.add("weight", Identity).unwrap();
    let mut other = PruningContainer::new("bias");
    other.add("bias", Identity).unwrap();
    for error in [
        container.add("bias", Identity).unwrap_err(),
        container.add("weight", other.clone()).unwrap_err(),
        container.add("bias", other).unwrap_err(),
    ] {
        assert!(
            matches!(&error, Error::Mask(MaskError::WrongTensor { expected, got }) if expected == "weight" && got == "bias")
        );
        assert!(
            error.to_string().contains("`weight`") && error.to_string().contains("`bias`"),
            "{error}"
        );
    }
    assert_eq!(container.len(), 1, "what was refused changed nothing");
    // A container of this tensor, but added under another name.
    assert!(container.add("bias", PruningContainer::new("weight")).is_err());
}

#[test]
fn no_container_holds_another() {
    let mut inner = PruningContainer::new("weight");
    inner.add("weight", Identity).unwrap();
    inner.add("weight", Ones(Part::Whole)).unwrap();
    let mut outer = PruningContainer::new("weight");
    outer.add("weight", L1Unstructured::new(1).unwrap()).unwrap();
    outer.add("weight", inner.clone()).unwrap();
    outer
        .add("weight", Arc::new(inner) as Arc<dyn PruningMethod>)
        .unwrap();
    outer.add("weight", PruningContainer::new("weight")).unwrap();
    assert_eq!(outer.len(), 5);
    assert!(outer[0].is::<L1Unstructured>());
    assert!(
        outer[1].is::<Identity>()
            && outer[2].is::<Ones>()
            && outer[3].is::<Identity>()
            && outer[4].is::<Ones>()
    );
    let copy = outer.clone();
    outer.add("weight", Identity).unwrap();
    assert_eq!((copy.len(), outer.len()), (5, 6));
}
