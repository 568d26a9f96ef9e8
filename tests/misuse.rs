//! Wrong calls: each returns an error that says what was wrong and where, and changes nothing (S11).

#![allow(clippy::type_complexity)] // lists of wrong calls are lists of closures

use secateurs::error::{
    AmountError, CheckpointError, ListError, MaskError, ModelError, NnError, NormError, PatternError,
    TensorError,
};
mod fixtures;

use std::panic::{AssertUnwindSafe, catch_unwind};

use fixtures::{TempFile, from_bincode, mask, refused, rng, snapshot, to_bincode};
use ndarray::{Array1, Array2, Array3, Array4, ArrayD, ArrayViewD, IxDyn, array};
use secateurs::mask::{
    Amount, CustomFromMask, EntryRank, GlobalOptions, Identity, L1Unstructured, LnStructured, Mask, Norm,
    Plan, PruningContainer, PruningMethod, PruningType, RandomStructured, RandomUnstructured, Ranked,
};
use secateurs::nn::optim::{Adam, Sgd};
use secateurs::nn::{
    self, Conv1d, Conv2d, Conv3d, ConvConfig, Flatten, Group, Linear, Lstm, LstmConfig, LstmState, Module,
    ParamStore, ParamTree, ParamTreeExt, Relu, Sequential, StateDict, Tanh, loss,
};
use secateurs::prune;
use secateurs::tensor::{Backward, Tensor, no_grad};
use secateurs::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Asserts the variant of an error and all of its message.
macro_rules! says {
    ($error:expr, $pattern:pat $(if $guard:expr)?, $message:expr $(,)?) => {{
        let error: Error = $error;
        assert!(matches!(&error, $pattern $(if $guard)?), "another variant: {error:?}");
        assert_eq!(error.to_string(), $message);
    }};
}

/// As [`says`], of an error about a parameter: asserts what it wraps.
macro_rules! says_of {
    ($path:expr, $error:expr, $pattern:pat $(if $guard:expr)?, $message:expr $(,)?) => {{
        match $error {
            Error::Parameter { path, error: source } => {
                assert_eq!(path, $path);
                let whole = Error::Parameter { path, error: source };
                assert_eq!(whole.to_string(), format!("parameter `{}`: {}", $path, $message));
                let Error::Parameter { error: source, .. } = whole else { unreachable!() };
                says!(*source, $pattern $(if $guard)?, $message);
            }
            other => panic!("not about a parameter: {other:?}"),
        }
    }};
}

/// A partly pruned model: `0.weight` pruned by two methods, `3.weight` by one, the rest dense.
fn model() -> Sequential {
    let mut rng = rng(1);
    let conv = Conv2d::new(ConvConfig::new(1, 2, 2), &mut rng).unwrap();
    let mut model = Sequential::new()
        .push(conv)
        .push(Relu::new())
        .push(Flatten::new())
        .push(Linear::new(18, 4, &mut rng).unwrap())
        .push(Tanh::new())
        .push_named("head", Linear::new(4, 3, &mut rng).unwrap())
        .unwrap();
    prune::l1_unstructured(&mut model, "0.weight", 2).unwrap();
    prune::random_unstructured(&mut model, "0.weight", 1, &mut rng).unwrap();
    prune::l1_unstructured(&mut model, "3.weight", 0.5).unwrap();
    model
}

/// A linear layer 4 → 3, dense.
fn linear() -> Linear {
    Linear::new(4, 3, &mut rng(2)).unwrap()
}

fn tensor(shape: &[usize]) -> Tensor {
    Tensor::new(ArrayD::ones(shape))
}

// ---- amounts ----

#[test]
fn a_share_outside_0_to_1() {
    let mut model = model();
    for (wrong, shown) in [
        (1.5, "1.5"),
        (-0.1, "-0.1"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (90.0, "90"),
    ] {
        let message =
            format!("amount {shown} is not a fraction in [0, 1]; write a count of units as an integer");
        let of_call = refused(&mut model, |m| prune::l1_unstructured(m, "head.weight", wrong));
        says!(of_call, Error::Amount(AmountError::FractionOutOfRange { value }) if value.to_bits() == wrong.to_bits(), message);
        let of_call = refused(&mut model, |m| prune::ln_structured(m, "0.weight", wrong, 2.0, 0));
        says!(
            of_call,
            Error::Amount(AmountError::FractionOutOfRange { .. }),
            message
        );
        let mut rng = rng(0);
        let of_call = refused(&mut model, |m| {
            prune::random_structured(m, "3.weight", wrong, 0, &mut rng)
        });
        says!(
            of_call,
            Error::Amount(AmountError::FractionOutOfRange { .. }),
            message
        );
        says!(
            Amount::until(wrong).unwrap_err(),
            Error::Amount(AmountError::FractionOutOfRange { .. }),
            message
        );
    }
}

#[test]
fn a_negative_count() {
    let mut model = model();
    let error = refused(&mut model, |m| prune::l1_unstructured(m, "head.weight", -3));
    says!(
        error,
        Error::Amount(AmountError::NegativeCount { value: -3 }),
        "amount -3 is negative; a count of units is 0 or more"
    );
    let error = refused(&mut model, |m| {
        prune::random_unstructured(m, "head.weight", i64::MIN, &mut rng(0))
    });
    says!(
        error,
        Error::Amount(AmountError::NegativeCount { .. }),
        "amount -9223372036854775808 is negative; a count of units is 0 or more"
    );
}

#[test]
fn more_than_remains() {
    let mut model = model();
    let error = refused(&mut model, |m| prune::l1_unstructured(m, "head.weight", 13));
    says_of!(
        "head.weight",
        error,
        Error::Amount(AmountError::TooLarge {
            requested: 13,
            remaining: 12
        }),
        "13 units were requested, but only 12 remain unpruned; request at most that many"
    );
    // Three of the eight entries of the convolution are pruned already.
    let error = refused(&mut model, |m| prune::l1_unstructured(m, "0.weight", 6));
    says_of!(
        "0.weight",
        error,
        Error::Amount(AmountError::TooLarge {
            requested: 6,
            remaining: 5
        }),
        "6 units were requested, but only 5 remain unpruned; request at most that many"
    );
    // Channels are units too.
    let error = refused(&mut model, |m| prune::ln_structured(m, "head.weight", 4, 1.0, 0));
    says_of!(
        "head.weight",
        error,
        Error::Amount(AmountError::TooLarge {
            requested: 4,
            remaining: 3
        }),
        "4 units were requested, but only 3 remain unpruned; request at most that many"
    );
    // A number that is too large for a `usize`.
    let error = refused(&mut model, |m| {
        prune::random_unstructured(m, "0.bias", u128::MAX, &mut rng(0))
    });
    says_of!(
        "0.bias",
        error,
        Error::Amount(AmountError::TooLarge { remaining: 2, .. }),
        format!(
            "{} units were requested, but only 2 remain unpruned; request at most that many",
            usize::MAX
        )
    );
    // Of all parameters together.
    let error = refused(&mut model, |m| {
        prune::global_unstructured(m, ["0.bias", "head.bias"], L1Unstructured::new(6).unwrap())
    });
    says!(
        error,
        Error::Amount(AmountError::TooLarge {
            requested: 6,
            remaining: 5
        }),
        "6 units were requested, but only 5 remain unpruned; request at most that many"
    );
}

#[test]
fn invalid_amounts_as_text() {
    for text in ["", "half", "0.5 %%", "until", "until 5 units", "5 0", "0,5", "%"] {
        says!(
            text.parse::<Amount>().unwrap_err(),
            Error::Amount(AmountError::Syntax { text: shown }) if shown == text,
            format!(
                "`{text}` is not an amount; write a fraction (`0.5`), a percentage (`50%`), a count (`12`) or a target sparsity (`until 90%`)"
            )
        );
    }
    for (text, value) in [("1.5", 1.5), ("150%", 1.5), ("until 101%", 1.01), ("-0.5", -0.5)] {
        let error = text.parse::<Amount>().unwrap_err();
        assert!(
            matches!(error, Error::Amount(AmountError::FractionOutOfRange { value: v }) if v == value),
            "{error:?}"
        );
    }
    let error = "nan".parse::<Amount>().unwrap_err();
    assert!(matches!(
        error,
        Error::Amount(AmountError::FractionOutOfRange { .. })
    ));
    let error = "-5".parse::<Amount>().unwrap_err();
    assert!(matches!(
        error,
        Error::Amount(AmountError::NegativeCount { value: -5 })
    ));
}

// ---- norms and dimensions ----

#[test]
fn a_norm_that_is_none() {
    let mut model = model();
    let error = refused(&mut model, |m| {
        prune::ln_structured(m, "head.weight", 1, f64::NAN, 0)
    });
    says!(
        error,
        Error::Norm(NormError::Nan),
        "the order of a norm cannot be NaN"
    );
    says!(
        "L2".parse::<Norm>().unwrap_err(),
        Error::Norm(NormError::Syntax { text }) if text == "L2",
        "`L2` is not a norm; write a number, `inf`, `-inf`, `fro` or `nuc`"
    );
    says!(
        "nan".parse::<Norm>().unwrap_err(),
        Error::Norm(NormError::Nan),
        "the order of a norm cannot be NaN"
    );
    // The channels of a matrix are vectors.
    let error = refused(&mut model, |m| {
        prune::ln_structured(m, "head.weight", 1, Norm::NUCLEAR, 0)
    });
    says_of!(
        "head.weight",
        error,
        Error::Norm(NormError::NotMatrices { shape }) if *shape == [3, 4],
        "the nuclear norm needs channels that are matrices, so a tensor of 3 dimensions, but this one has shape [3, 4]; choose another norm"
    );
}

#[test]
fn a_dimension_that_is_not_there() {
    let mut model = model();
    for dim in [2, -3, isize::MAX, isize::MIN] {
        let message =
            format!("dimension {dim} is out of range for shape [3, 4], whose dimensions run from -2 to 1");
        let error = refused(&mut model, |m| prune::ln_structured(m, "head.weight", 1, 2, dim));
        says_of!("head.weight", error, Error::Pattern(PatternError::DimOutOfRange { dim: d, .. }) if *d == dim, message);
        let error = refused(&mut model, |m| {
            prune::random_structured(m, "head.weight", 1, dim, &mut rng(0))
        });
        says_of!(
            "head.weight",
            error,
            Error::Pattern(PatternError::DimOutOfRange { .. }),
            message
        );
    }
}

#[test]
fn channels_of_a_vector() {
    let mut model = model();
    let error = refused(&mut model, |m| {
        prune::random_structured(m, "0.bias", 1, 0, &mut rng(0))
    });
    says_of!(
        "0.bias",
        error,
        Error::Pattern(PatternError::NoChannels { shape }) if *shape == [2],
        "structured pruning needs a tensor of at least 2 dimensions, but this one has shape [2]; prune it by an unstructured method"
    );
    let error = refused(&mut model, |m| prune::ln_structured(m, "0.bias", 1, 2, 0));
    says_of!(
        "0.bias",
        error,
        Error::Pattern(PatternError::NoChannels { .. }),
        "structured pruning needs a tensor of at least 2 dimensions, but this one has shape [2]; prune it by an unstructured method"
    );
}

// ---- masks and scores ----

#[test]
fn scores_of_another_shape() {
    let mut model = model();
    let transposed = Array2::<f32>::ones((4, 3));
    let error = refused(&mut model, |m| {
        prune::l1_unstructured_with_scores(m, "head.weight", 1, &transposed)
    });
    let message = "the array of importance scores has shape [4, 3], but shape [3, 4] is needed";
    says_of!(
        "head.weight",
        error,
        Error::Mask(MaskError::ShapeMismatch { .. }),
        message
    );
    let flat = Array1::<f32>::ones(12);
    let error = refused(&mut model, |m| {
        prune::ln_structured_with_scores(m, "head.weight", 1, 2, 0, &flat)
    });
    let message = "the array of importance scores has shape [12], but shape [3, 4] is needed";
    says_of!(
        "head.weight",
        error,
        Error::Mask(MaskError::ShapeMismatch { .. }),
        message
    );
    let error = refused(&mut model, |m| {
        prune::apply_with_scores(m, "0.weight", Identity, &flat)
    });
    let message = "the array of importance scores has shape [12], but shape [2, 1, 2, 2] is needed";
    says_of!(
        "0.weight",
        error,
        Error::Mask(MaskError::ShapeMismatch { .. }),
        message
    );
}

#[test]
fn a_mask_of_another_shape() {
    let mut model = model();
    for path in ["head.weight", "3.weight"] {
        let error = refused(&mut model, |m| {
            prune::custom_from_mask(m, path, Mask::ones(&[4, 3]))
        });
        let expected = if path == "3.weight" { "[4, 18]" } else { "[3, 4]" };
        let message = format!("the custom mask has shape [4, 3], but shape {expected} is needed");
        says_of!(path, error, Error::Mask(MaskError::ShapeMismatch { .. }), message);

        let error = refused(&mut model, |m| prune::set_mask(m, path, Mask::ones(&[12])));
        let message = format!("the other mask has shape [12], but shape {expected} is needed");
        says_of!(path, error, Error::Mask(MaskError::ShapeMismatch { .. }), message);
    }
    let error = refused(&mut model, |m| {
        prune::set_mask(m, "0.bias", array![[true, false]])
    });
    let message = "the other mask has shape [1, 2], but shape [2] is needed";
    says_of!(
        "0.bias",
        error,
        Error::Mask(MaskError::ShapeMismatch { .. }),
        message
    );

    let method = L1Unstructured::new(1).unwrap();
    let error = method
        .prune(tensor(&[2, 2]).value(), Some(&Mask::ones(&[4])), None)
        .unwrap_err();
    let message = "the array of scores has shape [2, 2], but shape [4] is needed";
    says!(error, Error::Mask(MaskError::ShapeMismatch { .. }), message);
    let error = method
        .prune(tensor(&[2, 2]).value(), None, Some(tensor(&[4]).value()))
        .unwrap_err();
    assert!(
        matches!(error, Error::Mask(MaskError::ShapeMismatch { .. })),
        "{error:?}"
    );
}

#[test]
fn a_mask_that_is_not_binary() {
    let soft = array![[1.0_f32, 0.5, 0.0]];
    says!(
        Mask::from_array(soft.view()).unwrap_err(),
        Error::Mask(MaskError::NotBinary { index: 1, .. }),
        "a mask holds 0 and 1 only, but the entry at row-major index 1 is 0.5"
    );
    let nan = array![0.0, f64::NAN];
    says!(
        Mask::from_array(nan.view()).unwrap_err(),
        Error::Mask(MaskError::NotBinary { index: 1, .. }),
        "a mask holds 0 and 1 only, but the entry at row-major index 1 is NaN"
    );
    let counts = array![[0_i32, 1], [-1, 2]];
    says!(
        Mask::from_array(counts.t()).unwrap_err(), // column-major: the index is still that of the row-major order
        Error::Mask(MaskError::NotBinary { index: 1, .. }),
        "a mask holds 0 and 1 only, but the entry at row-major index 1 is -1"
    );
    says!(
        Mask::from_words(&[3], vec![0b1111]).unwrap_err(),
        Error::Mask(MaskError::NotBinary { index: 3, .. }),
        "a mask holds 0 and 1 only, but the entry at row-major index 3 is set, but past the last entry"
    );
    says!(
        Mask::from_words(&[65], vec![0]).unwrap_err(),
        Error::Mask(MaskError::ShapeMismatch { .. }),
        "a mask's list of words has shape [1], but shape [2] is needed"
    );
    assert!(Mask::from_words(&[usize::MAX, 2], vec![0]).is_err());
    assert!(Mask::from_words(&[0, usize::MAX, 2], vec![]).is_err());
}

#[test]
fn masks_that_do_not_combine() {
    let (a, b) = (Mask::ones(&[2, 3]), Mask::ones(&[3, 2]));
    let message = "the other mask has shape [3, 2], but shape [2, 3] is needed";
    says!(
        a.and(&b).unwrap_err(),
        Error::Mask(MaskError::ShapeMismatch { .. }),
        message
    );
    says!(
        a.or(&b).unwrap_err(),
        Error::Mask(MaskError::ShapeMismatch { .. }),
        message
    );
    let mut values = array![[1.0, 2.0]].into_dyn();
    let message = "the array has shape [1, 2], but shape [2, 3] is needed";
    says!(
        a.apply(values.view()).unwrap_err(),
        Error::Mask(MaskError::ShapeMismatch { .. }),
        message
    );
    says!(
        Mask::zeros(&[2, 3]).apply_inplace(values.view_mut()).unwrap_err(),
        Error::Mask(MaskError::ShapeMismatch { .. }),
        message
    );
    assert_eq!(values, array![[1.0, 2.0]].into_dyn());
    assert_eq!(
        (a.get(&[2, 0]), a.get(&[0]), a.get(&[0, 0, 0])),
        (None, None, None)
    );
}

#[test]
fn nan_where_it_would_be_ranked() {
    let mut model = model();
    let spoil = |model: &mut Sequential, value: f32| {
        let parameter = model.parameter_mut("head.weight").unwrap();
        parameter.original_mut()[[1, 2]] = value;
    };
    spoil(&mut model, f32::NAN);
    let message = "cannot rank NaN: in `head.weight` entry 6 (row-major) is NaN; NaN weights mostly come from a training run that \
    diverged, so check its loss, or give importance scores without NaN";
    let error = refused(&mut model, |m| prune::l1_unstructured(m, "head.weight", 1));
    says!(error, Error::Mask(MaskError::NanScore { parameter: Some(path), index: 6 }) if path == "head.weight", message);
    let error = refused(&mut model, |m| prune::ln_structured(m, "head.weight", 1, 2, 0));
    says!(error, Error::Mask(MaskError::NanScore { index: 6, .. }), message);
    // With one bad parameter, a global call does not change the good ones either.
    let paths = ["0.weight", "3.weight", "head.weight"];
    let error = refused(&mut model, |m| {
        prune::global_unstructured(m, paths, L1Unstructured::new(0.1).unwrap())
    });
    says!(error, Error::Mask(MaskError::NanScore { index: 6, .. }), message);

    // Given scores may be NaN as well.
    let mut scores = Array2::<f32>::zeros((4, 18));
    let left = prune::mask(&model, "3.weight").unwrap().unwrap().clone();
    let first_kept = left.iter().position(|kept| kept).unwrap();
    scores.as_slice_mut().unwrap()[first_kept] = -f32::NAN;
    let error = refused(&mut model, |m| {
        prune::l1_unstructured_with_scores(m, "3.weight", 1, &scores)
    });
    let message = format!(
        "cannot rank NaN: in `3.weight` entry {first_kept} (row-major) is NaN; NaN weights mostly come from a training run that \
    diverged, so check its loss, or give importance scores without NaN"
    );
    says!(error, Error::Mask(MaskError::NanScore { .. }), message);

    // Without ranking, NaN is accepted.
    prune::random_unstructured(&mut model, "head.weight", 0.5, &mut rng(0)).unwrap();
    prune::identity(&mut model, "head.weight").unwrap();
    spoil(&mut model, f32::INFINITY);
    prune::l1_unstructured(&mut model, "head.weight", 1).unwrap();
}

// ---- paths and names ----

#[test]
fn paths_that_lead_nowhere() {
    let mut model = model();
    // Each error names the three nearest paths.
    let wrong = [
        ("weight", ["0.weight", "3.weight", "head.weight"]),
        ("Weight", ["0.weight", "3.weight", "0.bias"]),
        ("head.wieght", ["head.weight", "head.bias", "0.weight"]),
        ("0.weight_orig", ["0.weight", "3.weight", "head.weight"]),
        ("0.weight_mask", ["0.weight", "3.weight", "0.bias"]),
        ("1.weight", ["0.weight", "3.weight", "head.weight"]),
        ("2", ["0.bias", "3.bias", "0.weight"]),
        ("head", ["0.bias", "3.bias", "head.bias"]),
        ("", ["0.bias", "3.bias", "0.weight"]),
        (".", ["0.bias", "3.bias", "0.weight"]),
        ("head.weight.x", ["head.weight", "0.weight", "3.weight"]),
        ("0/weight", ["0.weight", "3.weight", "head.weight"]),
        (" head.weight", ["head.weight", "0.weight", "3.weight"]),
        ("head..weight", ["head.weight", "0.weight", "3.weight"]),
        ("head.weight.", ["head.weight", "0.weight", "3.weight"]),
        (".head.weight", ["head.weight", "0.weight", "3.weight"]),
        ("..", ["0.bias", "3.bias", "0.weight"]),
    ];
    for (path, [a, b, c]) in wrong {
        let message = format!("there is no parameter `{path}`; the nearest are `{a}`, `{b}`, `{c}`");
        let calls: [&dyn Fn(&mut Sequential) -> Result<()>; 10] = [
            &|m| prune::l1_unstructured(m, path, 0.5).map(drop),
            &|m| prune::ln_structured(m, path, 1, 2, 0).map(drop),
            &|m| prune::identity(m, path).map(drop),
            &|m| prune::set_mask(m, path, Mask::ones(&[1])).map(drop),
            &|m| prune::apply_with_scores(m, path, Identity, &array![1.0]).map(drop),
            &|m| prune::remove(m, path),
            &|m| prune::discard(m, path),
            &|m| prune::mask(m, path).map(drop),
            // The names of `named_parameters` lead to parameters, not to what can be pruned.
            &|m| match path.strip_suffix("_orig") {
                Some(_) => prune::discard(m, path),
                None => m.parameter_mut(path).map(drop),
            },
            &|m| {
                let method = L1Unstructured::new(1).unwrap();
                prune::global_unstructured(m, ["0.weight", path], method).map(drop)
            },
        ];
        for call in calls {
            let error = refused(&mut model, call);
            says!(error, Error::Model(ModelError::UnknownParameter { path: p, .. }) if p == path, message);
        }
    }
    // A leaf has paths without a dot; a leading dot makes them invalid.
    let mut leaf = linear();
    let error = refused(&mut leaf, |m| prune::l1_unstructured(m, ".weight", 1));
    let message = "there is no parameter `.weight`; the nearest are `weight`, `bias`";
    says!(error, Error::Model(ModelError::UnknownParameter { .. }), message);
}

#[test]
fn a_model_without_parameters() {
    let mut nothing = Sequential::new().push(Relu::new());
    let error = refused(&mut nothing, |m| prune::l1_unstructured(m, "0.weight", 1));
    says!(
        error,
        Error::Model(ModelError::UnknownParameter { nearest, .. }) if nearest.is_empty(),
        "there is no parameter `0.weight`"
    );
    assert!(prune::weights(&nothing).is_empty());
    assert!(prune::remove_all(&mut nothing).unwrap().is_empty());
}

#[test]
fn names_of_parameters_that_cannot_be() {
    let mut store = ParamStore::new();
    store.insert_parameter("weight", array![1.0]).unwrap();
    store.insert_parameter("scale_mask", array![1.0]).unwrap();
    let names = |store: &ParamStore| -> Vec<String> {
        let own = store.parameters().map(|(name, _)| name.to_owned());
        own.chain(store.buffers().map(|(name, _)| name.to_owned()))
            .collect()
    };
    let before = names(&store);
    for (name, reason) in [
        ("", "it is empty; give at least one character"),
        ("a.b", "dots separate the names of a path; leave them out"),
        (".", "dots separate the names of a path; leave them out"),
        ("weight", "it is taken; choose another name"),
        (
            "weight_mask",
            "it collides with a name by which a pruned parameter is seen; choose another name",
        ),
        (
            "weight_orig",
            "it collides with a name by which a pruned parameter is seen; choose another name",
        ),
        (
            "scale",
            "it collides with a name by which a pruned parameter is seen; choose another name",
        ),
    ] {
        says!(
            store.insert_parameter(name, array![2.0]).unwrap_err(),
            Error::Nn(NnError::InvalidName { what: "parameter", name: n, .. }) if n == name,
            format!("`{name}` cannot be the name of a parameter: {reason}")
        );
        says!(
            store.insert_buffer(name, array![2.0]).unwrap_err(),
            Error::Nn(NnError::InvalidName { what: "buffer", .. }),
            format!("`{name}` cannot be the name of a buffer: {reason}")
        );
    }
    assert_eq!(names(&store), before);
    assert_eq!(
        store.parameter("weight").unwrap().original(),
        array![1.0].into_dyn()
    );

    says!(
        store.tensor("wieght").unwrap_err(),
        Error::Model(ModelError::UnknownParameter { .. }),
        "there is no parameter `wieght`; the nearest are `weight`, `scale_mask`"
    );
    says!(
        store.set_buffer("mean", array![1.0].into_dyn()).unwrap_err(),
        Error::Model(ModelError::UnknownParameter { path, .. }) if path == "mean",
        "there is no parameter `mean`; the nearest are `weight`, `scale_mask`"
    );
    store.insert_buffer("mean", array![1.0, 2.0]).unwrap();
    says!(
        store.set_buffer("mean", array![1.0].into_dyn()).unwrap_err(),
        Error::Mask(MaskError::ShapeMismatch { .. }),
        "the buffer has shape [1], but shape [2] is needed"
    );
    assert_eq!(store.buffer("mean").unwrap(), array![1.0, 2.0].into_dyn());
}

#[test]
fn names_of_children_that_cannot_be() {
    for (name, reason) in [
        ("", "it is empty; give at least one character"),
        ("a.b", "dots separate the names of a path; leave them out"),
        ("0", "it is taken; choose another name"),
    ] {
        let message = format!("`{name}` cannot be the name of a child: {reason}");
        let tree = Sequential::new().push(Relu::new());
        let error = tree.push_named(name, Relu::new()).map(drop).unwrap_err();
        says!(
            error,
            Error::Nn(NnError::InvalidName { what: "child", .. }),
            message
        );
        let (mut a, mut b) = (linear(), linear());
        let group = Group::new().with("0", &mut a).unwrap();
        let error = group.with(name, &mut b).map(drop).unwrap_err();
        says!(
            error,
            Error::Nn(NnError::InvalidName { what: "child", .. }),
            message
        );
    }
    // Numbers that are taken as names are skipped.
    let tree = Sequential::new().push_named("1", Relu::new()).unwrap();
    let tree = tree.push(Relu::new()).push(Relu::new());
    assert_eq!(tree.child_names(), ["1", "2", "3"]);
}

// ---- global pruning ----

#[test]
fn global_pruning_of_nothing() {
    let mut model = model();
    let error = refused(&mut model, |m| {
        prune::global_unstructured(m, [] as [&str; 0], L1Unstructured::new(1).unwrap())
    });
    says!(
        error,
        Error::List(ListError::NoParameters),
        "no parameter was listed; list at least one"
    );
}

#[test]
fn global_pruning_of_one_parameter_twice() {
    let mut model = model();
    let paths = ["head.weight", "0.weight", "head.weight"];
    let error = refused(&mut model, |m| {
        prune::global_unstructured(m, paths, L1Unstructured::new(1).unwrap())
    });
    let message = "parameter `head.weight` is listed twice; list each parameter once";
    says!(error, Error::List(ListError::ListedTwice { .. }), message);
}

#[test]
fn global_pruning_by_what_does_not_rank_entries() {
    let mut model = model();
    let methods: [std::sync::Arc<dyn PruningMethod>; 4] = [
        std::sync::Arc::new(LnStructured::new(1, 2, 0).unwrap()),
        std::sync::Arc::new(RandomStructured::new(1, 0, &mut rng(0)).unwrap()),
        std::sync::Arc::new(CustomFromMask::new(Mask::ones(&[3, 4]))),
        std::sync::Arc::new(PruningContainer::new("weight")),
    ];
    for method in methods {
        let name = format!("{method:?}");
        let error = refused(&mut model, |m| {
            prune::global_unstructured(m, ["head.weight"], method)
        });
        says!(
            error,
            Error::Mask(MaskError::Unsupported { .. }),
            format!(
                "{name} cannot be used here: global pruning ranks single entries, so only unstructured methods can"
            )
        );
    }
}

#[test]
fn global_scores_that_do_not_belong() {
    let mut model = model();
    let scores = Array2::<f32>::ones((3, 4)).into_dyn();
    let paths = ["0.weight", "3.weight"];
    let method = L1Unstructured::new(1).unwrap();
    let error = refused(&mut model, |m| {
        let options = GlobalOptions::new().scores("head.weight", &scores);
        prune::global_unstructured_with(m, paths, method, &options)
    });
    says!(
        error,
        Error::List(ListError::UnexpectedScores { path }) if path == "head.weight",
        "scores were given for `head.weight`, which is not in the list of parameters; list it, or drop the scores"
    );
    let error = refused(&mut model, |m| {
        let options = GlobalOptions::new().scores("3.weight", &scores);
        prune::global_unstructured_with(m, paths, method, &options)
    });
    let message = "the array of importance scores has shape [3, 4], but shape [4, 18] is needed";
    says_of!(
        "3.weight",
        error,
        Error::Mask(MaskError::ShapeMismatch { .. }),
        message
    );
}

#[test]
fn a_plan_carried_out_on_a_mask_of_another_shape() {
    let scores = array![1.0_f32, 2.0, 3.0].into_dyn();
    let prior = Mask::ones(&[70]);
    let tensors = [Ranked {
        name: "w",
        scores: scores.view().into(),
        prior: Some(&prior),
    }];
    let amount = Amount::count(1);
    let message = "the array of scores has shape [3], but shape [70] is needed";
    for by in [
        EntryRank::Magnitude,
        EntryRank::Value,
        EntryRank::Random { seed: 1 },
    ] {
        let plan = Plan::Entries { amount, by };
        let error = plan.compute_global(&tensors).unwrap_err();
        says_of!("w", error, Error::Mask(MaskError::ShapeMismatch { .. }), message);
        let error = plan.compute(scores.view(), Some(&prior)).unwrap_err();
        says!(error, Error::Mask(MaskError::ShapeMismatch { .. }), message);
        let error = plan.compute_global(&[]).unwrap_err();
        assert!(matches!(error, Error::List(ListError::NoParameters)));
    }
}

// ---- ways out ----

#[test]
fn removing_what_is_not_pruned() {
    let mut model = model();
    let message = "parameter `head.weight` is not pruned, so it has no mask to remove or discard";
    let error = refused(&mut model, |m| prune::remove(m, "head.weight"));
    says!(error, Error::Model(ModelError::NotPruned { path }) if path == "head.weight", message);
    let error = refused(&mut model, |m| prune::discard(m, "head.weight"));
    says!(error, Error::Model(ModelError::NotPruned { .. }), message);
    prune::remove(&mut model, "0.weight").unwrap();
    let error = refused(&mut model, |m| prune::remove(m, "0.weight"));
    says!(
        error,
        Error::Model(ModelError::NotPruned { .. }),
        "parameter `0.weight` is not pruned, so it has no mask to remove or discard"
    );
    let error = refused(&mut model, |m| prune::discard(m, "0.weight"));
    says!(
        error,
        Error::Model(ModelError::NotPruned { .. }),
        "parameter `0.weight` is not pruned, so it has no mask to remove or discard"
    );
}

// ---- containers ----

#[test]
fn containers_where_they_do_not_belong() {
    let mut container = PruningContainer::new("weight");
    container.add("weight", Identity).unwrap();
    let message = "this container prunes `weight`; a method for `bias` cannot be added to it";
    let error = container.add("bias", Identity).unwrap_err();
    says!(error, Error::Mask(MaskError::WrongTensor { expected, got }) if expected == "weight" && got == "bias", message);
    let error = container
        .add("weight", PruningContainer::new("bias"))
        .unwrap_err();
    says!(error, Error::Mask(MaskError::WrongTensor { .. }), message);
    let error = container
        .add("bias", PruningContainer::new("weight"))
        .unwrap_err();
    says!(error, Error::Mask(MaskError::WrongTensor { .. }), message);
    assert_eq!(container.len(), 1);
    assert!(container.get(1).is_none());
    assert!(
        catch_unwind(AssertUnwindSafe(|| drop(format!("{:?}", &container[1])))).is_err(),
        "documented"
    );

    // A container is a record, and cannot be applied as a method.
    let mut model = model();
    for path in ["0.weight", "3.weight", "head.weight"] {
        let container = container.clone();
        let error = refused(&mut model, |m| prune::apply(m, path, container));
        says!(
            error,
            Error::Mask(MaskError::Unsupported { .. }),
            "a PruningContainer cannot be used here: it records what has pruned a parameter; apply its methods one by one"
        );
    }
}

// ---- methods of one's own ----

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Handed {
    Entries,
    Channels,
    Whole,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Does {
    Fail,
    AnswerInAnotherShape,
    AnswerForTheWholeTensor,
    Panic,
}

/// A broken method.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Odd(Handed, Does);

#[typetag::serde]
impl PruningMethod for Odd {
    fn pruning_type(&self) -> PruningType {
        match self.0 {
            Handed::Entries => PruningType::Unstructured,
            Handed::Channels => PruningType::Structured { dim: 0 },
            Handed::Whole => PruningType::Whole,
        }
    }

    fn compute_mask(&self, _scores: ArrayViewD<'_, f32>, _prior: &Mask) -> Result<Mask> {
        match self.1 {
            Does::Fail => Err(Error::Mask(MaskError::Method("no idea".into()))),
            Does::AnswerInAnotherShape => Ok(Mask::ones(&[1, 2, 3])),
            Does::AnswerForTheWholeTensor => Ok(Mask::zeros(&[2, 1, 2, 2])),
            Does::Panic => panic!("not implemented"),
        }
    }
}

#[test]
fn a_method_that_fails() {
    let mut model = model();
    for handed in [Handed::Entries, Handed::Channels, Handed::Whole] {
        for path in ["0.weight", "head.weight"] {
            let error = refused(&mut model, |m| prune::apply(m, path, Odd(handed, Does::Fail)));
            let message = "the pruning method failed: no idea";
            says_of!(path, error, Error::Mask(MaskError::Method(_)), message);
        }
    }
    let error = refused(&mut model, |m| {
        let method = Odd(Handed::Entries, Does::Fail);
        prune::global_unstructured(m, ["0.weight", "head.weight"], method)
    });
    says!(
        error,
        Error::Mask(MaskError::Method(_)),
        "the pruning method failed: no idea"
    );
}

#[test]
fn a_method_that_answers_in_another_shape() {
    let mut model = model();
    for (handed, expected) in [
        (Handed::Entries, "[5]"),
        (Handed::Channels, "[2, 1, 2, 2]"),
        (Handed::Whole, "[2, 1, 2, 2]"),
    ] {
        let error = refused(&mut model, |m| {
            prune::apply(m, "0.weight", Odd(handed, Does::AnswerInAnotherShape))
        });
        let message =
            format!("the mask that the method returned has shape [1, 2, 3], but shape {expected} is needed");
        says_of!(
            "0.weight",
            error,
            Error::Mask(MaskError::ShapeMismatch { .. }),
            message
        );
    }
    // An unstructured method receives the remaining entries, not the tensor.
    let error = refused(&mut model, |m| {
        let method = Odd(Handed::Entries, Does::AnswerForTheWholeTensor);
        prune::apply(m, "0.weight", method)
    });
    let message = "the mask that the method returned has shape [2, 1, 2, 2], but shape [5] is needed";
    says_of!(
        "0.weight",
        error,
        Error::Mask(MaskError::ShapeMismatch { .. }),
        message
    );
    let error = refused(&mut model, |m| {
        let method = Odd(Handed::Entries, Does::AnswerInAnotherShape);
        prune::global_unstructured(m, ["0.weight", "head.weight"], method)
    });
    let message = "the mask that the method returned has shape [1, 2, 3], but shape [17] is needed";
    says!(error, Error::Mask(MaskError::ShapeMismatch { .. }), message);
    // Channels of a vector: refused before the method is called.
    let error = refused(&mut model, |m| {
        prune::apply(m, "0.bias", Odd(Handed::Channels, Does::Panic))
    });
    assert!(matches!(error, Error::Parameter { .. }));
}

#[test]
fn a_method_that_panics() {
    let mut model = model();
    let before = snapshot(&model);
    for handed in [Handed::Entries, Handed::Channels, Handed::Whole] {
        for path in ["0.weight", "head.weight"] {
            let method = Odd(handed, Does::Panic);
            let call = AssertUnwindSafe(|| prune::apply(&mut model, path, method).map(drop));
            assert!(catch_unwind(call).is_err());
            assert_eq!(snapshot(&model), before);
        }
    }
    let method = Odd(Handed::Entries, Does::Panic);
    let paths = ["head.weight", "0.weight"];
    let call = AssertUnwindSafe(|| prune::global_unstructured(&mut model, paths, method).map(drop));
    assert!(catch_unwind(call).is_err());
    assert_eq!(snapshot(&model), before);
    model.forward(&tensor(&[1, 1, 4, 4])).unwrap();
    prune::l1_unstructured(&mut model, "0.weight", 1).unwrap();
}

/// A tree whose parameters can be read, but not mutably borrowed.
struct ReadOnly(Linear);

impl ParamTree for ReadOnly {
    fn child_names(&self) -> Vec<String> {
        vec!["inner".to_owned(), "ghost".to_owned()]
    }

    fn child(&self, name: &str) -> Option<&dyn ParamTree> {
        (name == "inner").then_some(&self.0)
    }
}

#[test]
fn a_tree_that_cannot_be_changed() {
    let (mut fixed, mut free) = (ReadOnly(linear()), linear());
    let state = {
        let mut state = StateDict::new();
        state.insert("free.weight", ArrayD::zeros(IxDyn(&[3, 4])));
        state.insert("free.bias", ArrayD::zeros(IxDyn(&[3])));
        state.insert("fixed.inner.weight", ArrayD::zeros(IxDyn(&[3, 4])));
        state.insert("fixed.inner.bias", ArrayD::zeros(IxDyn(&[3])));
        state
    };
    let group = Group::new().with("free", &mut free).unwrap();
    let mut group = group.with("fixed", &mut fixed).unwrap();
    let path = "fixed.inner.weight";
    let calls: [&dyn Fn(&mut Group<'_>) -> Result<()>; 4] = [
        &|m| prune::l1_unstructured(m, path, 1).map(drop),
        &|m| prune::set_mask(m, path, Mask::ones(&[3, 4])).map(drop),
        &|m| {
            let method = L1Unstructured::new(3).unwrap();
            prune::global_unstructured(m, ["free.weight", path], method).map(drop)
        },
        &|m| nn::load_state_dict(m, &state),
    ];
    for call in calls {
        let error = refused(&mut group, call);
        assert!(
            matches!(&error, Error::Model(ModelError::Inconsistent { path: p, .. }) if p.starts_with("fixed")),
            "{error:?}"
        );
    }
}

// ---- state dicts ----

/// The state dict of a model, after a change.
fn state_with(model: &Sequential, change: impl FnOnce(&mut StateDict)) -> StateDict {
    let mut state = nn::state_dict(model);
    change(&mut state);
    state
}

#[test]
fn a_state_dict_with_other_keys() {
    let mut model = model();
    let state = state_with(&model, |state| {
        state.remove("head.weight");
        state.remove("3.weight_mask");
        state.remove("0.weight_orig");
        state.insert("head.wieght", ArrayD::zeros(IxDyn(&[3, 4])));
        state.insert("module.0.bias", ArrayD::zeros(IxDyn(&[2])));
    });
    let error = refused(&mut model, |m| nn::load_state_dict(m, &state));
    let Error::Nn(NnError::StateKeys { missing, unexpected }) = &error else {
        panic!("another variant: {error:?}");
    };
    assert_eq!(missing, &["0.weight_orig", "3.weight_mask", "head.weight"]);
    assert_eq!(unexpected, &["head.wieght", "module.0.bias"]);
    assert_eq!(
        error.to_string(),
        "the state does not fit the model: missing `0.weight_orig`, `3.weight_mask`, `head.weight`, unexpected `head.wieght`, `module.0.bias`; load the state of a model with the same parameters, or only what matches with `load_state_dict_partial`"
    );

    let error = refused(&mut model, |m| nn::load_state_dict(m, &StateDict::new()));
    let Error::Nn(NnError::StateKeys { missing, unexpected }) = &error else {
        panic!("another variant: {error:?}");
    };
    // Of what is pruned it misses what it would write.
    assert_eq!(missing.len(), 8);
    assert!(missing.contains(&"0.weight_mask".to_owned()));
    assert!(unexpected.is_empty());

    // Both forms of one parameter: which to take?
    let state = state_with(&model, |state| {
        state.insert("0.weight", ArrayD::zeros(IxDyn(&[2, 1, 2, 2])));
    });
    let error = refused(&mut model, |m| nn::load_state_dict(m, &state));
    let Error::Nn(NnError::StateKeys { missing, unexpected }) = &error else {
        panic!("another variant: {error:?}");
    };
    assert!(missing.is_empty());
    assert_eq!(unexpected, &["0.weight_orig", "0.weight_mask"]);
}

#[test]
fn a_state_dict_of_other_shapes() {
    let mut model = model();
    for (key, shape, expected) in [
        ("head.weight", vec![4, 3], "[3, 4]"),
        ("head.bias", vec![3, 1], "[3]"),
        ("0.weight_orig", vec![8], "[2, 1, 2, 2]"),
        ("0.weight_mask", vec![2, 2, 2], "[2, 1, 2, 2]"),
    ] {
        let state = state_with(&model, |state| {
            state.insert(key, ArrayD::zeros(IxDyn(&shape)));
        });
        let error = refused(&mut model, |m| nn::load_state_dict(m, &state));
        let message = format!("the loaded array has shape {shape:?}, but shape {expected} is needed");
        says_of!(key, error, Error::Mask(MaskError::ShapeMismatch { .. }), message);
    }
}

#[test]
fn a_state_dict_whose_mask_is_none() {
    let mut model = model();
    for (value, shown) in [
        (0.5, "0.5"),
        (f32::NAN, "NaN"),
        (2.0, "2.0"),
        (-1.0, "-1.0"),
        (f32::MIN_POSITIVE, "1.1754944e-38"),
    ] {
        let state = state_with(&model, |state| {
            let mut mask = ArrayD::ones(IxDyn(&[2, 1, 2, 2]));
            mask[[1, 0, 0, 1]] = value;
            state.insert("0.weight_mask", mask);
        });
        let error = refused(&mut model, |m| nn::load_state_dict(m, &state));
        let message = format!("a mask holds 0 and 1 only, but the entry at row-major index 5 is {shown}");
        says_of!(
            "0.weight_mask",
            error,
            Error::Mask(MaskError::NotBinary { index: 5, .. }),
            message
        );
    }
}

// ---- files ----

#[cfg(feature = "checkpoint")]
mod files {
    use super::*;

    fn header(json: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn files_that_are_not_there() {
        let error = StateDict::load_safetensors("/nowhere/at/all.safetensors").unwrap_err();
        says!(
            error,
            Error::Io { path, .. } if path.ends_with("all.safetensors"),
            "cannot read /nowhere/at/all.safetensors: No such file or directory (os error 2)"
        );
        let state = nn::state_dict(&model());
        let error = state.save_safetensors("/nowhere/at/all.safetensors").unwrap_err();
        says!(
            error,
            Error::Checkpoint(CheckpointError::Output(_)),
            "cannot write /nowhere/at/all.safetensors: the folder that it should be in does not exist; create it first"
        );
        for path in ["", "/", ".."] {
            let error = state.save_safetensors(path).unwrap_err();
            assert!(
                matches!(error, Error::Checkpoint(CheckpointError::Output(_))),
                "{error:?}"
            );
        }
        let error = StateDict::load_safetensors(std::env::temp_dir()).unwrap_err();
        assert!(
            matches!(error, Error::Checkpoint(CheckpointError::NotCheckpoint { .. })),
            "{error:?}"
        );
    }

    #[test]
    fn saving_over_a_folder_leaves_nothing_behind() {
        let folder = TempFile::new("folder");
        std::fs::create_dir_all(folder.0.join("model.safetensors")).unwrap();
        let error = nn::state_dict(&linear())
            .save_safetensors(folder.0.join("model.safetensors"))
            .unwrap_err();
        assert!(
            matches!(error, Error::Checkpoint(CheckpointError::Output(_))),
            "{error:?}"
        );
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
        std::fs::remove_dir_all(&folder.0).unwrap();
    }

    #[test]
    fn files_that_are_something_else() {
        let file = TempFile::new("garbage.safetensors");
        let good = {
            let good = TempFile::new("good.safetensors");
            nn::state_dict(&model()).save_safetensors(&good.0).unwrap();
            std::fs::read(&good.0).unwrap()
        };
        let hostile = [
            vec![],
            b"PK\x03\x04 a zip".to_vec(),
            vec![0xff; 64],
            u64::MAX.to_le_bytes().to_vec(),
            good[..good.len() - 1].to_vec(),
            good[..20].to_vec(),
            [&good[..], &[0]].concat(),
            header("{", &[]),
            header("[]", &[]),
            header(
                r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
                &[0; 8],
            ),
            header(
                r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
                &[0; 8],
            ),
            header(
                r#"{"w":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]}}"#,
                &[0; 8],
            ),
            header(
                r#"{"w":{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0]}}"#,
                &[],
            ),
            header(
                r#"{"w":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}}"#,
                &[],
            ),
        ];
        for (number, bytes) in hostile.iter().enumerate() {
            std::fs::write(&file.0, bytes).unwrap();
            match StateDict::load_safetensors(&file.0) {
                Err(Error::Checkpoint(
                    CheckpointError::Damaged { path, .. } | CheckpointError::NotCheckpoint { path, .. },
                )) => assert_eq!(path, file.0),
                other => panic!("file {number} gives {other:?}"),
            }
        }
    }

    #[test]
    fn numbers_that_are_no_weights() {
        let file = TempFile::new("dtype.safetensors");
        let load = |dtype: &str, bytes: &[u8]| {
            let size = bytes.len();
            let json = format!(r#"{{"w":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,{size}]}}}}"#);
            std::fs::write(&file.0, header(&json, bytes)).unwrap();
            StateDict::load_safetensors(&file.0)
        };
        for (dtype, size) in [("I64", 8), ("F64", 8), ("BOOL", 1), ("U8", 1)] {
            let state = load(dtype, &vec![0; size]).unwrap();
            assert_eq!(state.get("w").unwrap()[[0]], 0.0, "{dtype}");
        }
        says!(
            load("F8_E5M2", &[0]).unwrap_err(),
            Error::Checkpoint(CheckpointError::NotLoadable { name, .. }) if name == "w",
            "tensor `w` has dtype F8_E5M2, which a state dict cannot hold; \
             floats of 16 to 64 bits, integers and booleans can be loaded"
        );
        says!(
            load("I64", &(i64::MAX).to_le_bytes()).unwrap_err(),
            Error::Checkpoint(CheckpointError::InexactInteger { name, index: 0, .. }) if name == "w",
            "tensor `w` of dtype I64 holds 9223372036854775807 at index 0, which f32 cannot represent; \
             a state dict holds f32 only, so leave the tensor out of the file or store it as a float"
        );
    }
}

// ---- what is deserialised ----

fn as_json(module: impl Module) -> Value {
    let module: Box<dyn Module> = Box::new(module);
    serde_json::to_value(module).unwrap()
}

#[track_caller]
fn refused_json(json: Value) -> String {
    match serde_json::from_value::<Box<dyn Module>>(json) {
        Err(error) => error.to_string(),
        Ok(module) => panic!("loaded: {:?}", nn::state_dict(&module)),
    }
}

#[test]
fn models_that_were_tampered_with() {
    let mut pruned = linear();
    prune::l1_unstructured(&mut pruned, "weight", 0.5).unwrap();
    prune::ln_structured(&mut pruned, "weight", 1, 2, 0).unwrap();
    let good = as_json(pruned);
    assert!(serde_json::from_value::<Box<dyn Module>>(good.clone()).is_ok());
    let weight = "/secateurs::Linear/store/slots/0/1/pruned";
    let spoil = |at: &str, value: Value| {
        let mut json = good.clone();
        let place = json
            .pointer_mut(&format!("{weight}{at}"))
            .expect("the place is there");
        *place = value;
        refused_json(json)
    };
    // A mask of another shape than its parameter, with fitting and with other words.
    assert_eq!(
        spoil("/pruning/mask/shape", json!([4, 3])),
        "the mask has shape [4, 3], but shape [3, 4] is needed"
    );
    assert_eq!(
        spoil("/pruning/mask/shape", json!([300, 4])),
        "a mask's list of words has shape [1], but shape [19] is needed"
    );
    assert!(spoil("/pruning/mask/words", json!([u64::MAX])).contains("past the last entry"));
    assert!(spoil("/original/shape", json!([4, 4])).contains("hape"));
    assert!(spoil("/original/shape", json!([usize::MAX, 2])).contains("hape"));
    assert!(spoil("/original/entries/0", json!("much")).contains("invalid float"));
    let methods = "/pruning/history/secateurs::PruningContainer/methods";
    let l1 = format!("{methods}/0/secateurs::L1Unstructured/amount");
    assert!(spoil(&l1, json!("1.5")).contains("amount 1.5 is not a fraction in [0, 1]"));
    assert!(spoil(&l1, json!("-1")).contains("amount -1 is negative"));
    assert!(spoil(&l1, json!("some")).contains("`some` is not an amount"));
    let ln = format!("{methods}/1/secateurs::LnStructured/n");
    assert!(spoil(&ln, json!("NaN")).contains("cannot be NaN"));
    let unknown = json!({"secateurs::NoSuchMethod": {}});
    assert!(spoil("/pruning/history", unknown).contains("NoSuchMethod"));
    // A hook that belongs to another tensor could never be pruned again.
    let name = "/pruning/history/secateurs::PruningContainer/tensor_name";
    assert_eq!(
        spoil(name, json!("bias")),
        "this container prunes `bias`; a method for `weight` cannot be added to it"
    );
    let nested = json!({"secateurs::PruningContainer": {"tensor_name": "bias", "methods": []}});
    assert_eq!(
        spoil(&format!("{methods}/0"), nested),
        "this container prunes `weight`; a method for `bias` cannot be added to it"
    );
    // The masks that hooks keep have their parameter's shape too.
    let other = json!({"secateurs::CustomFromMask": {"mask": Mask::ones(&[2])}});
    assert_eq!(
        spoil("/pruning/history", other.clone()),
        "the custom mask has shape [2], but shape [3, 4] is needed"
    );
    assert_eq!(
        spoil(&format!("{methods}/1"), other),
        "the custom mask has shape [2], but shape [3, 4] is needed"
    );
}

#[test]
fn layers_that_were_tampered_with() {
    let spoil = |mut json: Value, at: &str, value: Value| {
        *json.pointer_mut(at).expect("the place is there") = value;
        refused_json(json)
    };
    let weight = |shape: &[usize]| json!({"parameter": {"shape": shape, "entries": vec![0.0; shape.iter().product()]}});
    let of_linear = "/secateurs::Linear/store/slots/0/1";
    assert_eq!(
        spoil(as_json(linear()), of_linear, weight(&[12])),
        "`weight` of a linear layer has shape [12], but shape [0, 0] is needed"
    );
    assert_eq!(
        spoil(as_json(linear()), of_linear, weight(&[4, 4])),
        "bias has shape [3], but shape [4] is needed"
    );
    let name = "/secateurs::Linear/store/slots/1/0";
    assert!(spoil(as_json(linear()), name, json!("weight_mask")).contains("collides"));
    assert!(spoil(as_json(linear()), name, json!("a.b")).contains("dots separate"));
    assert!(spoil(as_json(linear()), name, json!("weight")).contains("it is taken"));

    let conv = || as_json(Conv2d::new(ConvConfig::new(2, 4, 3), &mut rng(3)).unwrap());
    let option = |name: &str| format!("/secateurs::Conv2d/options/{name}");
    assert!(spoil(conv(), &option("stride"), json!([0, 1])).contains("stride = [0, 1]"));
    assert!(spoil(conv(), &option("dilation"), json!([1])).contains("dilation = [1]"));
    assert!(spoil(conv(), &option("padding"), json!([1, 1, 1])).contains("padding = [1, 1, 1]"));
    assert!(spoil(conv(), &option("groups"), json!(0)).contains("groups = 0"));
    assert!(spoil(conv(), &option("groups"), json!(3)).contains("groups = 3"));
    let conv_weight = "/secateurs::Conv2d/store/slots/0/1";
    assert!(spoil(conv(), conv_weight, weight(&[4, 2])).contains("`weight` of a convolution"));

    let lstm = || as_json(Lstm::new(LstmConfig::new(2, 3).layers(2), &mut rng(4)).unwrap());
    let setting = |name: &str| format!("/secateurs::Lstm/config/{name}");
    assert!(spoil(lstm(), &setting("layers"), json!(3)).contains("weight_ih_l2"));
    assert!(spoil(lstm(), &setting("layers"), json!(u64::MAX)).contains("weight_ih_l2"));
    assert!(spoil(lstm(), &setting("layers"), json!(0)).contains("layers = 0"));
    assert!(spoil(lstm(), &setting("hidden_size"), json!(u64::MAX)).contains("weight_ih_l0"));
    assert!(spoil(lstm(), &setting("input_size"), json!(7)).contains("weight_ih_l0"));

    let nest = as_json(Sequential::new().push(Relu::new()));
    let child = "/secateurs::Sequential/children/0";
    assert!(spoil(nest.clone(), child, json!(["a.b", as_json(Relu::new())])).contains("dots separate"));
    assert!(spoil(nest.clone(), child, json!(["0", {"secateurs::Rleu": {}}])).contains("Rleu"));
    let twice = json!([["0", as_json(Relu::new())], ["0", as_json(Relu::new())]]);
    assert!(spoil(nest, "/secateurs::Sequential/children", twice).contains("it is taken"));
}

/// The part of `outer` before `inner`, repeated `levels` times, and then `inner`: values nested that deeply.
fn tower(outer: &[u8], inner: &[u8], levels: usize) -> Vec<u8> {
    let prefix = outer.strip_suffix(inner).expect("the inner one comes last");
    [prefix.repeat(levels).as_slice(), inner].concat()
}

#[test]
fn modules_nested_without_end() {
    let inner: Box<dyn Module> = Box::new(Relu::new());
    let outer: Box<dyn Module> = Box::new(Sequential::new().push(Relu::new()));
    let (inner, outer) = (to_bincode(&inner), to_bincode(&outer));
    assert!(from_bincode::<Box<dyn Module>>(&tower(&outer, &inner, 16)).is_ok());
    for levels in [17, 200, 100_000] {
        let Err(error) = from_bincode::<Box<dyn Module>>(&tower(&outer, &inner, levels)) else {
            panic!("loaded");
        };
        // The text of an error is not quoted again at each level.
        let message = error.to_string();
        assert!(message.contains("nested too deeply"), "{message}");
        assert!(message.len() < 4000, "{} bytes", message.len());
    }
    // The failures have no lasting effect.
    assert!(from_bincode::<Box<dyn Module>>(&tower(&outer, &inner, 16)).is_ok());
}

#[test]
fn containers_nested_without_end() {
    let inner: Box<dyn PruningMethod> = Box::new(Identity);
    let mut container = PruningContainer::new("weight");
    container.add("weight", Identity).unwrap();
    let outer: Box<dyn PruningMethod> = Box::new(container);
    let (inner, outer) = (to_bincode(&inner), to_bincode(&outer));
    // One container inside another is flattened. Deep nesting is refused.
    for levels in [1, 2, 16] {
        let loaded: Box<dyn PruningMethod> = from_bincode(&tower(&outer, &inner, levels)).unwrap();
        assert_eq!(loaded.downcast_ref::<PruningContainer>().unwrap().len(), 1);
    }
    for levels in [17, 200, 100_000] {
        let Err(error) = from_bincode::<Box<dyn PruningMethod>>(&tower(&outer, &inner, levels)) else {
            panic!("loaded");
        };
        let message = error.to_string();
        assert!(message.contains("nested too deeply"), "{message}");
        assert!(message.len() < 4000, "{} bytes", message.len());
    }
}

// ---- layers ----

#[test]
fn convolutions_that_cannot_be() {
    let conv = |config: ConvConfig<2>| Conv2d::new(config, &mut rng(5)).unwrap_err();
    for groups in [0, 3] {
        says!(
            conv(ConvConfig::new(4, 6, 3).groups(groups)),
            Error::Nn(NnError::InvalidSetting {
                what: "Conv",
                setting: "groups",
                ..
            }),
            format!("Conv: groups = {groups}: it must divide the channels, in and out")
        );
    }
    says!(
        conv(ConvConfig::new(4, 6, 3).stride([1, 0])),
        Error::Nn(NnError::InvalidSetting {
            setting: "stride",
            ..
        }),
        "Conv: stride = [1, 0]: give one number for each dimension; only padding may be 0"
    );
    says!(
        conv(ConvConfig::new(4, 6, 3).dilation(0)),
        Error::Nn(NnError::InvalidSetting {
            setting: "dilation",
            ..
        }),
        "Conv: dilation = [0, 0]: give one number for each dimension; only padding may be 0"
    );
    // An empty kernel is an error when it is used.
    let empty = Conv2d::new(ConvConfig::new(1, 1, [2, 0]), &mut rng(5)).unwrap();
    says!(
        empty.forward(&tensor(&[1, 1, 4, 4])).unwrap_err(),
        Error::Tensor(TensorError { op: "conv", .. }),
        "conv of [1, 1, 4, 4], [1, 1, 2, 0] and [1]: the kernel is empty in spatial dimension 1; it needs at least one entry"
    );
    // Numbers that overflow.
    let wide = Conv2d::new(ConvConfig::new(1, 1, 2).padding(usize::MAX), &mut rng(5)).unwrap();
    assert!(matches!(
        wide.forward(&tensor(&[1, 1, 4, 4])),
        Err(Error::Tensor(TensorError { op: "conv", .. }))
    ));
    let wide = Conv2d::new(ConvConfig::new(1, 1, 2).padding(1 << 40), &mut rng(5)).unwrap();
    assert!(matches!(
        wide.forward(&tensor(&[1, 1, 4, 4])),
        Err(Error::Tensor(TensorError { op: "conv", .. }))
    ));
    let far = Conv2d::new(ConvConfig::new(1, 1, 3).dilation(usize::MAX), &mut rng(5)).unwrap();
    assert!(matches!(
        far.forward(&tensor(&[1, 1, 4, 4])),
        Err(Error::Tensor(TensorError { op: "conv", .. }))
    ));
}

#[test]
fn inputs_of_wrong_shapes() {
    let mut rng = rng(6);
    let layers: Vec<(Box<dyn Module>, &[usize])> = vec![
        (Box::new(linear()), &[2, 4]),
        (
            Box::new(Conv1d::new(ConvConfig::new(2, 3, 2), &mut rng).unwrap()),
            &[1, 2, 5],
        ),
        (
            Box::new(Conv2d::new(ConvConfig::new(2, 4, 2).groups(2), &mut rng).unwrap()),
            &[1, 2, 5, 5],
        ),
        (
            Box::new(Conv3d::new(ConvConfig::new(2, 3, 2), &mut rng).unwrap()),
            &[1, 2, 4, 4, 4],
        ),
        (
            Box::new(Lstm::new(LstmConfig::new(4, 3).layers(2), &mut rng).unwrap()),
            &[5, 2, 4],
        ),
        (
            Box::new(Lstm::new(LstmConfig::new(4, 3).batch_first(), &mut rng).unwrap()),
            &[2, 5, 4],
        ),
        (Box::new(model()), &[2, 1, 4, 4]),
    ];
    let shapes: [&[usize]; 14] = [
        &[],
        &[0],
        &[1],
        &[4],
        &[2, 3],
        &[0, 4],
        &[4, 2],
        &[1, 3, 5],
        &[1, 2, 1],
        &[0, 2, 4],
        &[1, 3, 5, 5],
        &[1, 2, 1, 5],
        &[1, 1, 4, 4, 4],
        &[1, 2, 0, 4, 4],
    ];
    for (layer, right) in &layers {
        layer.forward(&tensor(right)).unwrap();
        let mut errors = 0;
        for shape in shapes.iter().filter(|shape| *shape != right) {
            // Never a panic, and every error is about shapes.
            if let Err(error) = layer.forward(&tensor(shape)) {
                assert!(
                    matches!(
                        error,
                        Error::Tensor(TensorError { .. })
                            | Error::Pattern(PatternError::DimOutOfRange { .. })
                    ),
                    "{error:?}"
                );
                assert!(error.to_string().contains(&format!("{shape:?}")), "{error}");
                errors += 1;
            }
        }
        assert!(errors >= 9, "{errors}");
    }
    says!(
        linear().forward(&tensor(&[2, 3])).unwrap_err(),
        Error::Tensor(TensorError { op: "linear", .. }),
        "linear of [2, 3], [3, 4] and [3]: the last dimension of the input must be as long as that of the weight"
    );
    says!(
        layers[2].0.forward(&tensor(&[1, 4, 5, 5])).unwrap_err(),
        Error::Tensor(TensorError { op: "conv", .. }),
        "conv of [1, 4, 5, 5], [4, 1, 2, 2] and [4]: the weight is for 1 input channels in each of 2 groups; the input must have 2, and has 4"
    );
    says!(
        layers[1].0.forward(&tensor(&[1, 2, 1])).unwrap_err(),
        Error::Tensor(TensorError { op: "conv", .. }),
        "conv of [1, 2, 1], [3, 2, 2] and [3]: in spatial dimension 0 the kernel is longer than the padded input, 1; pad more, or use a smaller kernel"
    );
}

#[test]
fn flatten_of_dimensions_that_are_not_there() {
    says!(
        Flatten::dims(1, 3).forward(&tensor(&[2, 3])).unwrap_err(),
        Error::Pattern(PatternError::DimOutOfRange { dim: 3, .. }),
        "dimension 3 is out of range for shape [2, 3], whose dimensions run from -2 to 1"
    );
    says!(
        Flatten::dims(-1, 0).forward(&tensor(&[2, 3])).unwrap_err(),
        Error::Tensor(TensorError { op: "flatten", .. }),
        "flatten of [2, 3]: dimension -1 comes after dimension 0; name the first one first"
    );
    assert!(
        Flatten::dims(isize::MIN, isize::MAX)
            .forward(&tensor(&[2]))
            .is_err()
    );
}

#[test]
fn an_lstm_fed_wrongly() {
    says!(
        Lstm::new(LstmConfig::new(4, 0), &mut rng(7))
            .map(drop)
            .unwrap_err(),
        Error::Nn(NnError::InvalidSetting {
            what: "Lstm",
            setting: "hidden_size",
            ..
        }),
        "Lstm: hidden_size = 0: it must be at least 1"
    );
    says!(
        Lstm::new(LstmConfig::new(4, 3).layers(0), &mut rng(7))
            .map(drop)
            .unwrap_err(),
        Error::Nn(NnError::InvalidSetting {
            setting: "layers",
            ..
        }),
        "Lstm: layers = 0: it must be at least 1"
    );
    let lstm = Lstm::new(LstmConfig::new(4, 3).layers(2), &mut rng(7)).unwrap();
    says!(
        lstm.forward(&tensor(&[5, 4])).unwrap_err(),
        Error::Tensor(TensorError { op: "Lstm", .. }),
        "Lstm of [5, 4]: the input needs 3 dimensions: length, batch and features"
    );
    says!(
        lstm.forward(&tensor(&[0, 2, 4])).unwrap_err(),
        Error::Tensor(TensorError { op: "Lstm", .. }),
        "Lstm of [0, 2, 4]: the sequence has no steps; give at least one"
    );
    let input = tensor(&[5, 2, 4]);
    let state = |hidden: &[usize], cell: &[usize]| LstmState {
        hidden: tensor(hidden),
        cell: tensor(cell),
    };
    let right: &[usize] = &[2, 2, 3];
    assert!(
        lstm.forward_with_state(&input, Some(&state(right, right)))
            .is_ok()
    );
    // Of other layers, of another batch (which would broadcast), of other units, of other dimensions.
    for wrong in [
        &[1, 2, 3],
        &[3, 2, 3],
        &[2, 1, 3],
        &[2, 2, 4],
        &[2, 2, 1],
        &[2, 3][..],
        &[],
        &[2, 2, 3, 1],
    ] {
        for state in [state(wrong, right), state(right, wrong)] {
            let error = lstm.forward_with_state(&input, Some(&state)).unwrap_err();
            assert!(
                matches!(error, Error::Tensor(TensorError { op: "Lstm", .. })),
                "{error:?}"
            );
            let message = error.to_string();
            assert!(message.contains(&format!("{wrong:?}")), "{message}");
            assert!(message.contains("[2, 2, 3]"), "{message}");
        }
    }
}

// ---- losses and gradients ----

#[test]
fn losses_of_what_does_not_fit() {
    let logits = tensor(&[2, 3]);
    says!(
        loss::cross_entropy(&logits, &[0, 3]).unwrap_err(),
        Error::Tensor(TensorError {
            op: "cross_entropy",
            ..
        }),
        "cross_entropy of [2, 3] and [2]: target 3 of sample 1 is none of 3 classes; they are numbered from 0"
    );
    says!(
        loss::cross_entropy(&logits, &[0]).unwrap_err(),
        Error::Tensor(TensorError { .. }),
        "cross_entropy of [2, 3] and [1]: 1 targets for 2 samples; give one for each"
    );
    says!(
        loss::cross_entropy(&tensor(&[0, 3]), &[]).unwrap_err(),
        Error::Tensor(TensorError { .. }),
        "cross_entropy of [0, 3] and [0]: an empty batch has no mean loss; leave it out"
    );
    says!(
        loss::cross_entropy(&tensor(&[3]), &[0]).unwrap_err(),
        Error::Tensor(TensorError { .. }),
        "cross_entropy of [3] and [1]: the logits must have shape [samples, classes]"
    );
    says!(
        loss::mse(&logits, &tensor(&[3])).unwrap_err(),
        Error::Tensor(TensorError { op: "mse", .. }),
        "mse of [2, 3] and [3]: the shapes must be equal"
    );
    assert!(loss::mse(&tensor(&[0]), &tensor(&[0])).is_err());
}

#[test]
fn backward_from_where_there_is_no_way() {
    let layer = linear();
    let output = layer.forward(&tensor(&[2, 4])).unwrap();
    says!(
        output.backward().unwrap_err(),
        Error::Tensor(TensorError { op: "backward", .. }),
        "backward of [2, 3]: only a tensor of one element has a gradient without a cotangent; reduce it first, or use `backward_from`"
    );
    let cotangent = ArrayD::ones(IxDyn(&[3, 2]));
    says!(
        output.backward_from(cotangent.view()).unwrap_err(),
        Error::Tensor(TensorError { .. }),
        "backward of [2, 3] and [3, 2]: the cotangent must have the shape of the tensor"
    );
    let untracked = no_grad(|| layer.forward(&tensor(&[2, 4])).unwrap().sum());
    assert!(matches!(
        untracked.backward(),
        Err(Error::Tensor(TensorError { op: "backward", .. }))
    ));
    assert!(matches!(
        output.item(),
        Err(Error::Tensor(TensorError { op: "item", .. }))
    ));
}

#[test]
fn one_id_for_tensors_of_two_shapes() {
    let mut layer = linear();
    let id = layer.parameter("weight").unwrap().id();
    let impostor = Tensor::parameter(id, ArrayD::ones(IxDyn(&[5])).into_shared());
    // Together with the parameter itself: a gradient cannot have both shapes.
    let both = layer
        .forward(&tensor(&[1, 4]))
        .unwrap()
        .sum()
        .add(&impostor.sum())
        .unwrap();
    let error = both.backward().unwrap_err();
    assert!(
        matches!(error, Error::Tensor(TensorError { op: "backward", .. })),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("[3, 4]") && error.to_string().contains("[5]"),
        "{error}"
    );
    assert!(Backward::of(&both).dense().run().is_err());
    // In its place: an optimiser has nothing to do with such a gradient.
    let gradients = impostor.sum().backward().unwrap();
    let before = snapshot(&layer);
    let (mut sgd, mut adam) = (Sgd::new(0.1).unwrap(), Adam::new(0.1).unwrap());
    let mut heavy = Sgd::new(0.1).unwrap().momentum(0.9).unwrap();
    sgd.step(&mut layer, &gradients).unwrap();
    adam.step(&mut layer, &gradients).unwrap();
    heavy.step(&mut layer, &gradients).unwrap();
    assert_eq!(snapshot(&layer), before);
}

// ---- optimisers ----

#[test]
fn optimisers_set_up_wrongly() {
    let not_negative = "it must be finite and not negative";
    for wrong in [-0.1, f64::NAN, f64::INFINITY] {
        let says_setting = |error: Error, what: &str, setting: &str, reason: &str| {
            assert!(
                matches!(error, Error::Nn(NnError::InvalidSetting { .. })),
                "{error:?}"
            );
            assert_eq!(
                error.to_string(),
                format!("{what}: {setting} = {wrong}: {reason}")
            );
        };
        let (sgd, adam) = (|| Sgd::new(0.1).unwrap(), || Adam::new(0.1).unwrap());
        says_setting(Sgd::new(wrong).unwrap_err(), "Sgd", "lr", not_negative);
        says_setting(sgd().set_lr(wrong).unwrap_err(), "Sgd", "lr", not_negative);
        says_setting(
            sgd().momentum(wrong).unwrap_err(),
            "Sgd",
            "momentum",
            not_negative,
        );
        says_setting(
            sgd().dampening(wrong).unwrap_err(),
            "Sgd",
            "dampening",
            not_negative,
        );
        says_setting(
            sgd().weight_decay(wrong).unwrap_err(),
            "Sgd",
            "weight_decay",
            not_negative,
        );
        says_setting(Adam::new(wrong).unwrap_err(), "Adam", "lr", not_negative);
        says_setting(adam().set_lr(wrong).unwrap_err(), "Adam", "lr", not_negative);
        says_setting(adam().eps(wrong).unwrap_err(), "Adam", "eps", not_negative);
        says_setting(
            adam().weight_decay(wrong).unwrap_err(),
            "Adam",
            "weight_decay",
            not_negative,
        );
        let in_range = "it must be in [0, 1)";
        says_setting(adam().betas(wrong, 0.9).unwrap_err(), "Adam", "betas", in_range);
        says_setting(adam().betas(0.9, wrong).unwrap_err(), "Adam", "betas", in_range);
    }
    assert!(Adam::new(0.1).unwrap().betas(0.9, 1.0).is_err());
    let message = "Sgd: nesterov = true: it needs momentum, set before, and no dampening";
    let sgd = Sgd::new(0.1).unwrap();
    says!(
        sgd.clone().nesterov().unwrap_err(),
        Error::Nn(NnError::InvalidSetting { .. }),
        message
    );
    let sgd = sgd.momentum(0.9).unwrap();
    let error = sgd.clone().dampening(0.1).unwrap().nesterov().unwrap_err();
    says!(error, Error::Nn(NnError::InvalidSetting { .. }), message);
    let error = sgd.clone().nesterov().unwrap().dampening(0.1).unwrap_err();
    says!(error, Error::Nn(NnError::InvalidSetting { .. }), message);
    let error = sgd.nesterov().unwrap().momentum(0.0).unwrap_err();
    says!(error, Error::Nn(NnError::InvalidSetting { .. }), message);
    let mut sgd = Sgd::new(0.1).unwrap();
    assert!(sgd.set_lr(-1.0).is_err());
    assert_eq!(sgd.lr(), 0.1);
}

#[test]
fn optimiser_state_of_another_model() {
    let (mut layer, input) = (linear(), tensor(&[2, 4]));
    let gradients = layer.forward(&input).unwrap().sum().backward().unwrap();
    let mut adam = Adam::new(0.1).unwrap();
    adam.step(&mut layer, &gradients).unwrap();
    let mut sgd = Sgd::new(0.1).unwrap().momentum(0.9).unwrap();
    sgd.step(&mut layer, &gradients).unwrap();
    let before = serde_json::to_string(&adam.state(&layer)).unwrap();

    let other = model();
    let error = adam.load_state(&other, adam.state(&layer)).unwrap_err();
    let message = "there is no parameter `bias`; the nearest are `0.bias`, `3.bias`, `head.bias`";
    says!(error, Error::Model(ModelError::UnknownParameter { .. }), message);

    let error = adam.load_state(&layer, sgd.state(&layer)).unwrap_err();
    says!(
        error,
        Error::Nn(NnError::StateKeys { missing, .. }) if *missing == ["bias.exp_avg"],
        "the state does not fit the model: missing `bias.exp_avg`, unexpected none; load the state of a model with the same parameters, or only what matches with `load_state_dict_partial`"
    );

    let wider = Linear::new(5, 3, &mut rng(0)).unwrap();
    let error = adam.load_state(&wider, adam.state(&layer)).unwrap_err();
    let message = "the optimiser state has shape [3, 4], but shape [3, 5] is needed";
    says_of!(
        "weight.exp_avg",
        error,
        Error::Mask(MaskError::ShapeMismatch { .. }),
        message
    );
    assert_eq!(serde_json::to_string(&adam.state(&layer)).unwrap(), before);

    // A manipulated number of steps is accepted.
    let mut json: Value = serde_json::from_str(&before).unwrap();
    json["steps"] = json!({"weight": u64::MAX, "bias": u64::MAX});
    adam.load_state(&layer, serde_json::from_value(json).unwrap())
        .unwrap();
    adam.step(&mut layer, &gradients).unwrap();
    let weight = layer.parameter("weight").unwrap().original().to_owned();
    assert!(weight.iter().all(|x| x.is_finite()));
}

// ---- what can be done with public means to a model that stood ----

#[test]
fn parameters_that_were_swapped() {
    let input = tensor(&[2, 4]);
    let (mut a, mut b) = (linear(), Linear::new(5, 2, &mut rng(8)).unwrap());
    prune::l1_unstructured(&mut a, "weight", 0.5).unwrap();
    let mut optimiser = Sgd::new(0.1).unwrap().momentum(0.9).unwrap();
    let gradients = a.forward(&input).unwrap().sum().backward().unwrap();
    optimiser.step(&mut a, &gradients).unwrap();
    std::mem::swap(
        a.parameter_mut("weight").unwrap(),
        b.parameter_mut("bias").unwrap(),
    );
    assert!(matches!(
        a.forward(&input),
        Err(Error::Tensor(TensorError { op: "linear", .. }))
    ));
    assert!(matches!(
        b.forward(&tensor(&[2, 5])),
        Err(Error::Tensor(TensorError { .. }))
    ));
    optimiser.step(&mut a, &gradients).unwrap();
    prune::l1_unstructured(&mut a, "weight", 1).unwrap();
    *a.store_mut().unwrap() = ParamStore::new();
    let error = a.forward(&input).unwrap_err();
    says!(
        error,
        Error::Model(ModelError::UnknownParameter { .. }),
        "there is no parameter `weight`"
    );
}

#[test]
fn tensors_without_entries_or_dimensions() {
    let mut store = ParamStore::new();
    store.insert_parameter("point", ndarray::arr0(2.0)).unwrap();
    store.insert_parameter("none", Array3::zeros((0, 3, 2))).unwrap();
    store
        .insert_parameter("flat", Array4::zeros((2, 0, 1, 1)))
        .unwrap();
    let mut tree = Bare(store);
    let report = prune::l1_unstructured(&mut tree, "point", 1).unwrap();
    assert_eq!((report.pruned, report.masked, report.entries), (1, 1, 1));
    let error = refused(&mut tree, |m| prune::ln_structured(m, "point", 1, 2, 0));
    says_of!(
        "point",
        error,
        Error::Pattern(PatternError::NoChannels { .. }),
        "structured pruning needs a tensor of at least 2 dimensions, but this one has shape []; prune it by an unstructured method"
    );
    // Channels without entries have nothing to prune, in the first call and in every later one.
    for _ in 0..2 {
        for dim in 0..3 {
            let report = prune::ln_structured(&mut tree, "none", 0.5, 2, dim).unwrap();
            assert_eq!(
                (report.requested, report.pruned, report.masked),
                (Some(0), 0, 0),
                "{dim}"
            );
            let report = prune::random_structured(&mut tree, "flat", 1.0, dim, &mut rng(0)).unwrap();
            assert_eq!(
                (report.requested, report.pruned, report.masked),
                (Some(0), 0, 0),
                "{dim}"
            );
        }
        let report = prune::l1_unstructured(&mut tree, "none", 0.9).unwrap();
        assert_eq!(
            (report.requested, report.pruned, report.sparsity()),
            (Some(0), 0, 0.0)
        );
    }
    let error = refused(&mut tree, |m| prune::l1_unstructured(m, "none", 1));
    let message = "1 units were requested, but only 0 remain unpruned; request at most that many";
    says_of!(
        "none",
        error,
        Error::Amount(AmountError::TooLarge { .. }),
        message
    );
    prune::remove_all(&mut tree).unwrap();
    assert_eq!(
        tree.0.parameter("point").unwrap().original(),
        ndarray::arr0(0.0).into_dyn()
    );

    // Layers without features compute what there is to compute.
    let hollow = Linear::new(0, 2, &mut rng(0)).unwrap();
    assert_eq!(
        hollow.forward(&tensor(&[3, 0])).unwrap().to_array(),
        ArrayD::<f32>::zeros(IxDyn(&[3, 2]))
    );
    let silent = Linear::new(2, 0, &mut rng(0)).unwrap();
    assert_eq!(silent.forward(&tensor(&[3, 2])).unwrap().shape(), [3, 0]);
    let lstm = Lstm::new(LstmConfig::new(0, 2), &mut rng(0)).unwrap();
    assert_eq!(lstm.forward(&tensor(&[3, 1, 0])).unwrap().shape(), [3, 1, 2]);
    assert_eq!(lstm.forward(&tensor(&[3, 0, 0])).unwrap().shape(), [3, 0, 2]);
}

struct Bare(ParamStore);

impl ParamTree for Bare {
    fn store(&self) -> Option<&ParamStore> {
        Some(&self.0)
    }

    fn store_mut(&mut self) -> Option<&mut ParamStore> {
        Some(&mut self.0)
    }
}

#[test]
fn the_generator_is_not_drawn_from_by_a_wrong_amount() {
    use rand::Rng as _;
    let (mut used, mut fresh) = (rng(9), rng(9));
    assert!(RandomUnstructured::new(1.5, &mut used).is_err());
    assert!(RandomStructured::new(-1, 0, &mut used).is_err());
    assert_eq!(used.next_u64(), fresh.next_u64());
    let _ = mask(array![1, 0]);
}
