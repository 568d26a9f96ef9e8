//! The graph itself: what is recorded, how it is walked, shared and dropped.

use secateurs::error::TensorError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use ndarray::{Array2, ArrayD, IxDyn, arr0, arr1, arr2};
use secateurs::Error;
use secateurs::tensor::{Backward, Gradients, ParamId, Tensor, is_grad_enabled, no_grad};

static_assertions::assert_impl_all!(Tensor: Send, Sync, Clone, std::fmt::Debug);
static_assertions::assert_impl_all!(Gradients: Send, Sync, Clone, Default);
static_assertions::assert_impl_all!(ParamId: Send, Sync, Copy, Ord, std::hash::Hash);

const LONG: usize = 200_000;

/// Far too small for anything that recurses along a long chain.
fn on_a_small_stack(f: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(64 * 1024).spawn(f).unwrap();
    thread.join().unwrap();
}

fn chain(from: &Tensor) -> Tensor {
    let mut t = from.clone();
    for _ in 0..LONG {
        t = t.add_scalar(1.0);
    }
    t
}

#[test]
fn a_long_chain_runs_backward_and_drops() {
    on_a_small_stack(|| {
        let x = Tensor::variable(arr0(1.0));
        let y = chain(&x);
        assert_eq!(y.item().unwrap(), 1.0 + LONG as f32);
        assert_eq!(y.backward().unwrap().wrt(&x).unwrap(), arr0(1.0).into_dyn());
        drop(y);
        assert_eq!(x.item().unwrap(), 1.0);
    });
}

#[test]
fn a_long_ladder_runs_backward_and_drops() {
    // Every rung doubles the number of paths: each node must be visited once, not once for each path.
    on_a_small_stack(|| {
        let x = Tensor::variable(arr0(1.0));
        let mut y = x.clone();
        for _ in 0..LONG / 4 {
            y = y.scale(0.25).add(&y.scale(0.75)).unwrap();
        }
        assert_eq!(y.backward().unwrap().wrt(&x).unwrap(), arr0(1.0).into_dyn());
    });
}

#[test]
fn a_shared_graph_is_dropped_by_the_last_holder() {
    on_a_small_stack(|| {
        let x = Tensor::variable(arr0(1.0));
        let trunk = chain(&x);
        let (left, right) = (chain(&trunk), trunk.square());
        drop(trunk);
        drop(left);
        assert!(right.backward().unwrap().wrt(&x).is_some());
        drop(right);
    });
    // Also by holders on several threads that drop it at the same time.
    for _ in 0..4 {
        let trunk = chain(&Tensor::variable(arr0(1.0)));
        let barrier = std::sync::Arc::new(std::sync::Barrier::new(2));
        let holders: Vec<_> = (0..2)
            .map(|_| {
                let (holder, barrier) = (trunk.neg(), barrier.clone());
                thread::Builder::new()
                    .stack_size(64 * 1024)
                    .spawn(move || {
                        barrier.wait();
                        drop(holder);
                    })
                    .unwrap()
            })
            .collect();
        drop(trunk);
        for holder in holders {
            holder.join().unwrap();
        }
    }
}

#[test]
fn threads_share_tensors() {
    let w = Tensor::variable(Array2::from_shape_fn((8, 5), |(i, j)| {
        (i as f32 - j as f32) / 7.0
    }));
    let x = Tensor::new(Array2::from_shape_fn((16, 5), |(i, j)| ((i * j) as f32).sin()));
    // Shared by both, so both walk through it.
    let trunk = x.linear(&w, None).unwrap().tanh();
    let step = || {
        let targets: Vec<usize> = (0..16).map(|i| i % 8).collect();
        let gradients = trunk.cross_entropy(&targets).unwrap().backward().unwrap();
        gradients.wrt(&w).unwrap().to_owned()
    };
    let expected = step();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert_eq!(step(), expected);
                }
            });
        }
    });
}

#[test]
fn leaves_of_one_id_add_up() {
    let id = ParamId::fresh();
    let value = arr1(&[2.0, 3.0]).into_dyn().into_shared();
    let (a, b) = (Tensor::parameter(id, value.clone()), Tensor::parameter(id, value));
    let y = a.mul(&b).unwrap().sum();
    let mut gradients = y.backward().unwrap();
    assert_eq!(gradients.len(), 1);
    assert_eq!(gradients.get(id).unwrap(), arr1(&[4.0, 6.0]).into_dyn());
    assert_eq!(gradients.wrt(&a), gradients.wrt(&b));
    assert_eq!(gradients.iter().count(), 1);
    *gradients.get_mut(id).unwrap() *= 0.5;
    assert_eq!(gradients.remove(id).unwrap(), arr1(&[2.0, 3.0]).into_dyn());
    assert!(gradients.is_empty() && gradients.get(id).is_none() && gradients.remove(id).is_none());
}

#[test]
fn only_what_takes_part_has_a_gradient() {
    let (a, b) = (Tensor::variable(arr0(2.0)), Tensor::variable(arr0(3.0)));
    let y = a.square().mul(&b.detach()).unwrap();
    let gradients = y.backward().unwrap();
    assert_eq!(gradients.wrt(&a).unwrap(), arr0(12.0).into_dyn());
    assert!(gradients.wrt(&b).is_none());
    assert!(gradients.wrt(&y).is_none(), "only leaves have one");
    assert!(gradients.wrt(&Tensor::scalar(1.0)).is_none());
    // A leaf is a result too.
    assert_eq!(a.backward().unwrap().wrt(&a).unwrap(), arr0(1.0).into_dyn());
    // The graph is still there.
    assert_eq!(y.backward().unwrap().wrt(&a), gradients.wrt(&a));
}

#[test]
fn a_gradient_that_is_shared_on_its_way_is_not_overwritten() {
    // `add` hands one array to both sides, `scale` works in place, and the leaf adds up what arrives.
    let (a, b) = (
        Tensor::variable(arr1(&[1.0, 1.0])),
        Tensor::variable(arr1(&[1.0, 1.0])),
    );
    let y = a.add(&b.scale(10.0)).unwrap();
    let y = y.add(&a.scale(100.0)).unwrap();
    let gradients = y.backward_from(arr1(&[1.0, 2.0]).view().into_dyn()).unwrap();
    assert_eq!(gradients.wrt(&a).unwrap(), arr1(&[101.0, 202.0]).into_dyn());
    assert_eq!(gradients.wrt(&b).unwrap(), arr1(&[10.0, 20.0]).into_dyn());
}

#[test]
fn values_are_not_overwritten() {
    let array = arr1(&[1.0, -2.0]).into_dyn().into_shared();
    let x = Tensor::from(array.clone());
    let y = x.scale(3.0);
    let _ = (y.relu(), y.neg(), x.add(&y).unwrap(), y.sub(&x).unwrap());
    assert_eq!(array, arr1(&[1.0, -2.0]).into_dyn());
    assert_eq!(y.to_array(), arr1(&[3.0, -6.0]).into_dyn());
    assert_eq!(y.to_shared().as_ptr(), y.value().as_ptr(), "no copy");
}

#[test]
fn no_grad_records_nothing() {
    let w = Tensor::variable(arr0(2.0));
    let y = no_grad(|| {
        assert!(!is_grad_enabled());
        let inner = no_grad(|| w.square());
        assert!(!is_grad_enabled(), "the inner call does not switch recording on");
        assert!(
            thread::scope(|s| s.spawn(is_grad_enabled).join().unwrap()),
            "other threads record"
        );
        assert!(Tensor::variable(arr0(1.0)).requires_grad(), "leaves stay leaves");
        inner
    });
    assert!(is_grad_enabled());
    assert!(!y.requires_grad() && y.id().is_none());
    assert!(matches!(
        y.backward(),
        Err(Error::Tensor(TensorError { op: "backward", .. }))
    ));

    let caught = catch_unwind(AssertUnwindSafe(|| no_grad(|| panic!("inside"))));
    assert!(caught.is_err());
    assert!(is_grad_enabled(), "a panic does not leave recording off");
}

#[test]
fn invalid_backward_passes_are_errors() {
    let w = Tensor::variable(arr2(&[[1.0, 2.0]]));
    let op = |result: secateurs::Result<Gradients>| match result {
        Err(Error::Tensor(TensorError { op, shapes, .. })) => (op, shapes),
        other => panic!("{other:?}"),
    };
    assert_eq!(op(w.square().backward()), ("backward", vec![vec![1, 2]]));
    let wrong = arr1(&[1.0, 2.0]).into_dyn();
    assert_eq!(
        op(w.square().backward_from(wrong.view())),
        ("backward", vec![vec![1, 2], vec![2]])
    );
    assert_eq!(op(Tensor::scalar(1.0).backward()), ("backward", vec![vec![]]));
}

#[test]
fn one_element_is_enough_whatever_the_shape() {
    let w = Tensor::variable(arr2(&[[3.0]]));
    assert_eq!(
        w.square().backward().unwrap().wrt(&w).unwrap(),
        arr2(&[[6.0]]).into_dyn()
    );
    assert_eq!(w.item().unwrap(), 3.0);
    assert!(Tensor::new(arr1(&[1.0, 2.0])).item().is_err());
    assert!(Tensor::new(arr1(&[])).item().is_err());
}

#[test]
fn a_cotangent_in_any_layout() {
    let w = Tensor::variable(arr2(&[[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]));
    let cotangent = arr2(&[[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
    let gradients = w.scale(1.0).backward_from(cotangent.t().into_dyn()).unwrap();
    assert_eq!(gradients.wrt(&w).unwrap(), cotangent.t().into_dyn());
    assert!(gradients.wrt(&w).unwrap().is_standard_layout());
    // And a leaf in any layout.
    let w = Tensor::variable(cotangent.clone().reversed_axes());
    assert_eq!(w.to_array(), cotangent.t().into_dyn());
    assert_eq!(
        w.flatten(0, -1).unwrap().to_array(),
        arr1(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).into_dyn()
    );
}

#[test]
fn a_dense_gradient_is_kept_on_request() {
    let (a, b) = (Tensor::variable(arr0(2.0)), Tensor::variable(arr0(3.0)));
    let y = a.mul(&b).unwrap();
    let (a, b) = (a.id().unwrap(), b.id().unwrap());
    assert!(y.backward().unwrap().dense(a).is_none());
    let some = Backward::of(&y).dense_for([a]).run().unwrap();
    assert!(some.dense(a).is_some() && some.dense(b).is_none());
    let all = y.backward_dense().unwrap();
    assert_eq!(all.dense(a), all.get(a));
    assert_eq!(all.dense(b), all.get(b));
}

#[test]
fn debug_is_short_however_long_the_graph() {
    let text = format!("{:?}", chain(&Tensor::variable(arr0(1.0))));
    assert!(
        text.contains("requires_grad: true") && text.len() < 1000,
        "{text}"
    );
}

#[test]
fn ids_are_fresh_on_every_thread() {
    let mut ids: Vec<ParamId> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..1000).map(|_| ParamId::fresh()).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4000);
}

#[test]
fn many_parts_of_one_tensor() {
    // Each part adds to its place in the whole: this takes no time, and would take minutes otherwise.
    let steps = 4000;
    let x = Tensor::variable(ArrayD::ones(IxDyn(&[steps, 256])));
    let mut sum = Tensor::scalar(0.0);
    for step in 0..steps {
        sum = sum
            .add(&x.select(0, step).unwrap().sum().scale(step as f32))
            .unwrap();
    }
    let gradients = sum.backward().unwrap();
    assert_eq!(gradients.wrt(&x).unwrap()[[steps - 1, 255]], steps as f32 - 1.0);
}
