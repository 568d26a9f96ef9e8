//! Every method gives a view of any memory layout the mask of its contiguous copy, on every float type, and ranks
//! tensors of several types together as their exact values say.

mod fixtures;

use fixtures::{by_json, rng};
use half::{bf16, f16};
use ndarray::{Array1, ArrayD, ArrayViewD, Axis, Ix2, IxDyn, Slice};
use rand::{Rng, RngExt};
use secateurs::mask::{
    self, BlockRank, BlockStructured, CustomFromMask, Float, GlobalOptions, Identity, L1Unstructured,
    LnStructured, Mask, NmStructured, Norm, PruningMethod, PruningType, RandomStructured, RandomUnstructured,
    Ranked, ScoreUnstructured,
};
use secateurs::{ArrayModel, Result, prune};
use serde::{Deserialize, Serialize};

/// A method of a user's own, which depends on the order in which it is handed entries.
#[derive(Debug, Serialize, Deserialize)]
struct Own(u8);
#[typetag::serde]
impl PruningMethod for Own {
    fn pruning_type(&self) -> PruningType {
        match self.0 {
            0 => PruningType::Unstructured,
            1 => PruningType::Structured { dim: -1 },
            _ => PruningType::Whole,
        }
    }
    fn compute_mask(&self, s: ArrayViewD<'_, f32>, _: &Mask) -> Result<Mask> {
        let n = s.len();
        let mut i = 0;
        Ok(Mask::from_fn(s, |x| {
            i += 1;
            *x > 0.2 || (i * 7) % (n + 1) > n / 2
        }))
    }
}

fn methods(r: &mut impl Rng, shape: &[usize]) -> Vec<Box<dyn PruningMethod>> {
    let mut all: Vec<Box<dyn PruningMethod>> = vec![
        Box::new(Identity),
        Box::new(L1Unstructured::new(0.37).unwrap()),
        Box::new(ScoreUnstructured::new(0.37).unwrap()),
        Box::new(RandomUnstructured::new(0.4, r).unwrap()),
        Box::new(Own(0)),
        Box::new(Own(1)),
        Box::new(Own(2)),
        Box::new(NmStructured::new(2, 4, 0).unwrap()),
        Box::new(NmStructured::new(1, 2, -1).unwrap()),
        Box::new(BlockStructured::new(0.4, 3, 2, BlockRank::MeanSquare).unwrap()),
        Box::new(BlockStructured::new(0.4, 2, 5, BlockRank::MaxAbs).unwrap()),
        Box::new(CustomFromMask::new(two_of_three(shape))),
    ];
    for d in [0, 1, -1] {
        all.push(Box::new(RandomStructured::new(0.4, d, r).unwrap()));
        for n in [1.0, 2.0, 0.0, f64::INFINITY, f64::NEG_INFINITY, 3.0] {
            all.push(Box::new(LnStructured::new(0.4, n, d).unwrap()));
        }
        all.push(Box::new(LnStructured::new(0.4, Norm::NUCLEAR, d).unwrap()));
    }
    all
}
fn two_of_three(shape: &[usize]) -> Mask {
    let mut i = 0;
    Mask::from_fn(ArrayD::<u8>::zeros(IxDyn(shape)).view(), |_| {
        i += 1;
        i % 3 != 0
    })
}

fn every_layout<T: Float + Default>(from: impl Fn(f64) -> T) {
    let r = &mut rng(9);
    let values = [
        0.0,
        -0.0,
        1e-45,
        -1e-42,
        6e-8,
        1.0,
        -1.0,
        0.5,
        0.25,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    let base = ArrayD::from_shape_simple_fn(IxDyn(&[8, 12, 16]), || {
        if r.random_range(0..4) == 0 {
            from(values[r.random_range(0..values.len())])
        } else {
            from(r.random_range(-1.0..1.0))
        }
    });
    let mut views: Vec<ArrayViewD<'_, T>> = vec![];
    let v = base.view();
    views.push(v.clone().permuted_axes(IxDyn(&[2, 0, 1])));
    views.push(v.clone().reversed_axes());
    for ax in 0..3 {
        let mut w = v.clone();
        w.invert_axis(Axis(ax));
        views.push(w);
    }
    {
        let mut w = v.clone();
        for ax in 0..3 {
            w.invert_axis(Axis(ax));
        }
        views.push(w.clone());
        views.push(w.reversed_axes());
    }
    views.push(base.slice_each_axis(|_| Slice::new(0, None, 2)));
    views.push(base.slice_each_axis(|a| Slice::new(0, None, if a.axis.index() == 1 { -3 } else { 1 })));
    let m = base.index_axis(Axis(0), 0).into_dimensionality::<Ix2>().unwrap();
    views.push(m.t().into_dyn());
    let cut = |rows: Slice, columns: Slice| {
        let mut v = m;
        v.slice_axis_inplace(Axis(0), rows);
        v.slice_axis_inplace(Axis(1), columns);
        v.into_dyn()
    };
    views.push(cut(Slice::new(0, None, -1), Slice::new(0, None, 2)));
    views.push(cut(Slice::new(2, Some(10), 1), Slice::new(4, None, 1)));
    views.push(cut(Slice::new(2, Some(10), 1), Slice::new(4, None, -1)).reversed_axes());
    let row = cut(Slice::new(0, Some(1), 1), Slice::new(0, None, 1));
    let wide = row.broadcast(IxDyn(&[8, 16])).unwrap();
    views.push(wide.view());
    views.push(wide.view().reversed_axes());
    for view in views {
        let copy = ArrayD::from_shape_vec(view.raw_dim(), view.iter().copied().collect()).unwrap();
        let shape = view.shape().to_vec();
        let prior = {
            let r = &mut rng(4);
            Mask::from_fn(copy.view(), |_| r.random_range(0..10) > 2)
        };
        for m in methods(&mut rng(5), &shape) {
            for p in [None, Some(&prior)] {
                let a = mask::compute(&*m, view.clone(), p);
                let b = mask::compute(&*m, &copy, p);
                match (a, b) {
                    (Ok(a), Ok(b)) => assert_eq!(
                        (a.mask, a.pruned, a.requested),
                        (b.mask, b.pruned, b.requested),
                        "{m:?} {shape:?}"
                    ),
                    (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string()),
                    (a, b) => panic!("{a:?} {b:?} {m:?}"),
                }
                if m.pruning_type() == PruningType::Unstructured {
                    for o in [
                        GlobalOptions::new(),
                        GlobalOptions::new()
                            .max_sparsity(0.3)
                            .unwrap()
                            .max_sparsity_of("b", 0.6)
                            .unwrap(),
                        GlobalOptions::new().normalize(true),
                        GlobalOptions::new().normalize(true).max_sparsity(0.4).unwrap(),
                    ] {
                        let go = |x: ArrayViewD<'_, T>| {
                            mask::compute_global_with(
                                &*m,
                                &[
                                    Ranked::new("a", x.view()).with_prior(p),
                                    Ranked::new("b", x.view()),
                                ],
                                &o,
                            )
                            .map(|g| g.masks)
                            .map_err(|e| e.to_string())
                        };
                        assert_eq!(go(view.view()), go(copy.view()), "{m:?} {o:?}");
                    }
                    // given scores
                    let mut model = ArrayModel::new();
                    model.insert("w", ArrayD::<f32>::ones(IxDyn(&shape))).unwrap();
                    let mut model2 = model.clone();
                    let x = prune::apply_with_scores(
                        &mut model,
                        "w",
                        by_json::<_, Box<dyn PruningMethod>>(&m),
                        view.view(),
                    );
                    let y = prune::apply_with_scores(
                        &mut model2,
                        "w",
                        by_json::<_, Box<dyn PruningMethod>>(&m),
                        &copy,
                    );
                    assert_eq!(x.is_ok(), y.is_ok());
                    assert_eq!(
                        prune::mask(&model, "w").unwrap(),
                        prune::mask(&model2, "w").unwrap()
                    );
                }
            }
        }
    }
}

#[test]
fn views_of_f32() {
    every_layout::<f32>(|x| x as f32);
}

#[test]
fn views_of_f64() {
    every_layout::<f64>(|x| x);
}

#[test]
fn views_of_f16() {
    every_layout::<f16>(f16::from_f64);
}

#[test]
fn views_of_bf16() {
    every_layout::<bf16>(bf16::from_f64);
}

#[test]
fn types_rank_together_by_value() {
    let levels = [
        0.0,
        -0.0,
        0.5,
        -0.5,
        1.0,
        2.0,
        0.25,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE,
        1e-310,
        5e-324,
        6e-8,
        1e-45,
        1e300,
        0.1,
        0.3,
        65504.0,
    ];
    for seed in 0..60 {
        let r = &mut rng(seed);
        let n = r.random_range(1..90);
        let mut draw = |_: usize| {
            if r.random::<bool>() {
                levels[r.random_range(0..levels.len())]
            } else {
                r.random_range(-1.0..1.0)
            }
        };
        let a: Vec<f64> = (0..n).map(&mut draw).collect();
        let (b, c, d): (Vec<f64>, Vec<f64>, Vec<f64>) = (
            (0..n + 5).map(&mut draw).collect(),
            (0..n + 70).map(&mut draw).collect(),
            (0..1).map(&mut draw).collect(),
        );
        let h: Vec<f16> = a.iter().map(|x| f16::from_f64(*x)).collect();
        let g: Vec<bf16> = b.iter().map(|x| bf16::from_f64(*x)).collect();
        let f: Vec<f32> = c.iter().map(|x| *x as f32).collect();
        let e: Vec<f64> = d
            .iter()
            .copied()
            .chain(f.iter().map(|x| *x as f64))
            .chain(h.iter().map(|x| x.to_f64()))
            .collect();
        let wide: Vec<Vec<f64>> = vec![
            e.clone(),
            h.iter().map(|x| x.to_f64()).collect(),
            f.iter().map(|x| *x as f64).collect(),
            g.iter().map(|x| x.to_f64()).collect(),
        ];
        let mut model = ArrayModel::new();
        model.insert("e", Array1::from(e)).unwrap();
        model.insert("h", Array1::from(h)).unwrap();
        model.insert("f", Array1::from(f)).unwrap();
        model.insert("g", Array1::from(g)).unwrap();
        let total: usize = wide.iter().map(Vec::len).sum();
        let names = ["e", "h", "f", "g"];
        for value in [false, true] {
            for cap in [1.0, 0.5] {
                let mut m = model.clone();
                let caps: Vec<f64> = vec![cap, cap, 0.25, cap];
                let rooms: Vec<usize> = wide
                    .iter()
                    .zip(&caps)
                    .map(|(w, c)| (w.len() as f64 * c).floor() as usize)
                    .collect();
                let k = rng(seed + 1).random_range(0..=rooms.iter().sum::<usize>().min(total));
                let o = GlobalOptions::new()
                    .max_sparsity(cap)
                    .unwrap()
                    .max_sparsity_of("f", 0.25)
                    .unwrap();
                let method: Box<dyn PruningMethod> = if value {
                    Box::new(ScoreUnstructured::new(k).unwrap())
                } else {
                    Box::new(L1Unstructured::new(k).unwrap())
                };
                let rep = prune::global_unstructured_with(&mut m, names, method, &o).unwrap();
                assert_eq!(rep.pruned, k);
                let key = |x: f64| if value { x + 0.0 } else { x.abs() };
                let mut all = vec![];
                for (t, w) in wide.iter().enumerate() {
                    let mut i: Vec<usize> = (0..w.len()).collect();
                    i.sort_by(|x, y| key(w[*x]).partial_cmp(&key(w[*y])).unwrap());
                    i.truncate(rooms[t]);
                    all.extend(i.into_iter().map(|i| (t, i)));
                }
                all.sort_by(|x, y| {
                    key(wide[x.0][x.1])
                        .partial_cmp(&key(wide[y.0][y.1]))
                        .unwrap()
                        .then(x.cmp(y))
                });
                all.truncate(k);
                let mut want: Vec<Vec<bool>> = wide.iter().map(|w| vec![true; w.len()]).collect();
                for (t, i) in all {
                    want[t][i] = false;
                }
                for (t, n) in names.iter().enumerate() {
                    let got: Vec<bool> = prune::mask(&m, n).unwrap().unwrap().iter().collect();
                    assert_eq!(got, want[t], "seed {seed} {n} value {value} cap {cap}");
                }
            }
        }
    }
}
