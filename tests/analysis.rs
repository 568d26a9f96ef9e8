//! Reports of sparsity and of sensitivity.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ndarray::{Array2, array};
use proptest::prelude::*;
use secateurs::analysis::{CurvePoint, Sensitivity, SensitivityAnalysis, SparsityCurves, SparsityReport};
use secateurs::prune::{self, LnStructured};
use secateurs::{ArrayModel, Error, FloatArray};

fn model() -> ArrayModel {
    let mut model = ArrayModel::new();
    model
        .insert(
            "a",
            Array2::from_shape_fn((4, 10), |(i, j)| (10 * i + j + 1) as f32),
        )
        .unwrap();
    model.insert("b", array![[1.0_f64, 100.0], [2.0, 3.0]]).unwrap();
    model
}

/// The sum of all effective entries, which pruning lowers.
fn kept(model: &ArrayModel) -> f64 {
    let sum = |name| match model.effective(name).unwrap() {
        FloatArray::F32(array) => f64::from(array.sum()),
        FloatArray::F64(array) => array.sum(),
        _ => unreachable!(),
    };
    sum("a") + sum("b")
}

#[test]
fn sparsity_counts_masks_dead_channels_and_bytes() {
    let mut model = model();
    prune::ln_structured(&mut model, "a", 3, 2, 1).unwrap();
    prune::set_mask(&mut model, "b", array![[1, 0], [0, 0]]).unwrap();
    let report = SparsityReport::of(&model).unwrap();
    let [a, b] = &report.parameters[..] else { panic!() };
    assert_eq!((a.masked, a.entries, &a.dead_channels[..]), (12, 40, &[0, 3][..]));
    assert_eq!((b.masked, b.entries, &b.dead_channels[..]), (3, 4, &[1, 1][..]));
    assert_eq!((a.dense_bytes, a.packed_bytes), (160, 5 + 28 * 4));
    assert_eq!((b.dense_bytes, b.packed_bytes), (32, 1 + 8));
    assert_eq!(
        (report.masked(), report.entries(), report.sparsity()),
        (15, 44, 15.0 / 44.0)
    );
    assert_eq!(
        report.to_string(),
        "parameter    shape  entries  pruned  sparsity  dead, dim 0  dead, dim 1  dense  packed\n\
         a          [4, 10]       40      12   30.00 %       0 of 4      3 of 10  160 B   117 B\n\
         b           [2, 2]        4       3   75.00 %       1 of 2       1 of 2   32 B     9 B\n\
         total                    44      15   34.09 %                            192 B   126 B"
    );
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<SparsityReport>(&text).unwrap(), report);
    assert!(report.to_svg().unwrap().contains("34.09 % of 44 entries pruned"));
    assert_eq!(SparsityReport::of(&ArrayModel::new()).unwrap().sparsity(), 0.0);
    assert!(SparsityReport::of(&ArrayModel::new()).unwrap().to_svg().is_ok());
}

proptest! {
    #[test]
    fn dead_channels_are_those_of_a_naive_count(
        bits in proptest::collection::vec(any::<bool>(), 24),
        shape in prop::sample::select(vec![vec![24], vec![4, 6], vec![2, 3, 4], vec![1, 24, 1], vec![2, 2, 3, 2]]),
    ) {
        let kept = ndarray::ArrayD::from_shape_vec(shape.clone(), bits).unwrap();
        let mut model = ArrayModel::new();
        model.insert("w", ndarray::ArrayD::<f32>::zeros(shape.clone())).unwrap();
        prune::set_mask(&mut model, "w", kept.clone()).unwrap();
        let report = SparsityReport::of(&model).unwrap();
        for dim in 0..shape.len() {
            let channels = kept.axis_iter(ndarray::Axis(dim));
            let dead = channels.filter(|channel| channel.iter().all(|kept| !kept)).count();
            prop_assert_eq!(report.parameters[0].dead_channels[dim], dead);
        }
    }
}

#[test]
fn each_parameter_is_pruned_alone_and_given_back() {
    let mut model = model();
    prune::l1_unstructured(&mut model, "b", 1).unwrap();
    let before = format!("{model:?}");
    let told = RefCell::new(Vec::new());
    let analysis = SensitivityAnalysis::new(&[0.5, 1.0]).unwrap();
    let analysis = analysis.progress(|done, all| told.borrow_mut().push((done, all)));
    let sensitivity = analysis
        .run(&mut model, ["a", "b"], |model| Ok(-kept(model)))
        .unwrap();
    assert_eq!(format!("{model:?}"), before);
    assert_eq!(*told.borrow(), [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]);

    // a is 1 to 40, b is 100, 2 and 3 under its mask.
    assert_eq!(sensitivity.baseline, -925.0);
    assert_eq!(sensitivity.parameters[0].losses, [-(925.0 - 210.0), -105.0]);
    assert_eq!(sensitivity.parameters[1].losses, [-(925.0 - 2.0), -820.0]);
    assert_eq!(
        sensitivity.to_string(),
        "parameter  as it was       50 %      100 %\n\
         a          -925.0000  -715.0000  -105.0000\n\
         b          -925.0000  -923.0000  -820.0000"
    );
    let text = serde_json::to_string(&sensitivity).unwrap();
    assert_eq!(serde_json::from_str::<Sensitivity>(&text).unwrap(), sensitivity);
    assert!(sensitivity.to_svg().unwrap().contains("as it was"));

    let channels = SensitivityAnalysis::new(&[0.5]).unwrap();
    let channels = channels.method(|amount| LnStructured::new(amount, 1, 0));
    let sensitivity = channels.run(&mut model, ["a"], |model| Ok(-kept(model))).unwrap();
    assert_eq!(sensitivity.parameters[0].losses, [-(925.0 - 210.0)]);
}

#[test]
fn errors_and_panics_leave_the_model_as_it_was() {
    let mut model = model();
    prune::l1_unstructured(&mut model, "b", 1).unwrap();
    let before = format!("{model:?}");
    let analysis = SensitivityAnalysis::new(&[0.5]).unwrap();
    let failing = |limit: usize| {
        let mut calls = 0;
        move |_: &ArrayModel| {
            calls += 1;
            match calls > limit {
                true => Err(Error::Framework("no data".into())),
                false => Ok(0.0),
            }
        }
    };
    for limit in 0..3 {
        let error = analysis.run(&mut model, ["a", "b"], failing(limit)).unwrap_err();
        assert_eq!(error.to_string(), "no data");
        assert_eq!(format!("{model:?}"), before);
    }
    let mut calls = 0;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        analysis.run(&mut model, ["a"], |_| {
            calls += 1;
            assert!(calls < 2, "as a user's code may");
            Ok(0.0)
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(format!("{model:?}"), before);

    let unknown = analysis.run(&mut model, ["a", "c"], |_| {
        panic!("not before all paths are known")
    });
    assert!(unknown.unwrap_err().to_string().contains('c'));
    assert!(
        SensitivityAnalysis::new(&[])
            .unwrap_err()
            .to_string()
            .contains("at least one")
    );
    assert!(SensitivityAnalysis::new(&[0.5, f64::NAN]).is_err());
}

#[test]
fn curves_of_any_values_can_be_drawn() {
    let point = |sparsity, value| CurvePoint {
        sparsity,
        value,
        spread: 1.0,
    };
    let plot = || SparsityCurves::new("title & more", "loss");
    for plot in [
        plot(),
        plot().level("dense", f64::NAN),
        plot().curve("none", []),
        plot().curve("one", [point(0.5, 3.0)]),
        plot().curve("dense", [point(0.0, 3.0)]),
        plot().curve(
            "beyond",
            [point(1.0, 3.0), point(f64::NAN, 1.0), point(0.5, f64::INFINITY)],
        ),
        plot().curve("equal", [point(0.5, 0.0), point(0.9, 0.0)]),
        plot().curve("large", [point(0.5, 1e300), point(0.9, -1e300)]),
    ] {
        let svg = plot.to_svg().unwrap();
        assert!(
            svg.starts_with("<svg") && svg.contains("title &amp; more"),
            "{svg}"
        );
    }
}

#[test]
fn many_curves_have_their_legend_beside_the_plot_in_the_order_in_which_they_end() {
    let plot = |curves: usize, name: &str| {
        let plot = SparsityCurves::new("Losses", "loss").level("dense", 0.0);
        let curves = (0..curves).fold(plot, |plot, number| {
            let point = |sparsity, value| CurvePoint {
                sparsity,
                value,
                spread: 0.0,
            };
            let end = (3 * number % 7) as f64;
            plot.curve(format!("{name}{number}"), [point(0.5, 1.0), point(0.9, end)])
        });
        curves.to_svg().unwrap()
    };
    let within = r#"<svg width="760" height="460""#;
    assert!(plot(5, "layer").starts_with(within));
    assert!(!plot(2, &"a long name of a layer ".repeat(3)).starts_with(within));
    let svg = plot(7, "layer");
    assert!(!svg.starts_with(within));
    // They end at 0, 3, 6, 2, 5, 1, 4.
    let places = [2, 4, 6, 1, 3, 5, 0].map(|number| svg.find(&format!("layer{number}")).unwrap());
    assert!(places.is_sorted(), "{places:?}");
}
