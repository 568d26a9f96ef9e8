//! S10: gradients under a mask.

use secateurs::error::MaskError;
use std::sync::Arc;

use ndarray::{ArrayD, arr1, arr2};
use secateurs::Error;
use secateurs::mask::Mask;
use secateurs::tensor::{Backward, ParamId, Tensor};

fn mask(zeros_and_ones: ArrayD<f32>) -> Arc<Mask> {
    Arc::new(Mask::from_array(zeros_and_ones.view()).unwrap())
}

fn bits<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<u32> {
    values.into_iter().map(|v| v.to_bits()).collect()
}

#[test]
fn the_gradient_is_exactly_zero_under_the_mask() {
    let id = ParamId::fresh();
    let effective = arr1(&[1.0, 0.0, 0.0, 0.0, 2.0]).into_dyn().into_shared();
    let w = Tensor::pruned_parameter(id, effective, mask(arr1(&[1.0, 0.0, 0.0, 0.0, 1.0]).into_dyn()));
    let arriving = [5.0, f32::NAN, f32::NEG_INFINITY, -7.0, f32::INFINITY];
    let cotangent = arr1(&arriving).into_dyn();

    let gradients = w.scale(1.0).backward_from(cotangent.view()).unwrap();
    assert_eq!(
        bits(gradients.get(id).unwrap()),
        bits(&[5.0, 0.0, 0.0, 0.0, f32::INFINITY])
    );
    assert!(gradients.dense(id).is_none(), "it was not requested");

    for backward in [Backward::of(&w).dense(), Backward::of(&w).dense_for([id])] {
        let gradients = backward.cotangent(cotangent.view()).run().unwrap();
        assert_eq!(
            bits(gradients.get(id).unwrap()),
            bits(&[5.0, 0.0, 0.0, 0.0, f32::INFINITY])
        );
        assert_eq!(bits(gradients.dense(id).unwrap()), bits(&arriving));
    }
}

#[test]
fn every_use_of_a_pruned_parameter_counts_and_none_leaks() {
    let id = ParamId::fresh();
    let effective = arr2(&[[1.0, 0.0], [0.0, 2.0]]).into_dyn().into_shared();
    let mask = mask(arr2(&[[1.0, 0.0], [0.0, 1.0]]).into_dyn());
    let leaf = || Tensor::pruned_parameter(id, effective.clone(), mask.clone());
    let x = Tensor::new(arr2(&[[1.0, f32::INFINITY]]));
    let h = x.linear(&leaf(), None).unwrap();
    let y = h.relu().linear(&leaf(), None).unwrap().sum();
    let gradients = y.backward_dense().unwrap();
    let got = gradients.get(id).unwrap();
    assert_eq!(got[[0, 1]].to_bits(), 0.0f32.to_bits());
    assert_eq!(got[[1, 0]].to_bits(), 0.0f32.to_bits());
    assert_eq!(gradients.len(), 1);
    assert!(!gradients.dense(id).unwrap()[[0, 1]].is_finite());
}

#[test]
fn a_mask_of_another_shape_is_an_error() {
    let effective = arr1(&[1.0, 2.0]).into_dyn().into_shared();
    let w = Tensor::pruned_parameter(ParamId::fresh(), effective, mask(arr1(&[1.0]).into_dyn()));
    assert!(matches!(
        w.sum().backward(),
        Err(Error::Mask(MaskError::ShapeMismatch { .. }))
    ));
}
