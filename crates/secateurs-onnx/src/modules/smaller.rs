//! Layers of other sizes.

use ndarray::{Array1, Array2, ArrayD, Ix1, Ix2};
use secateurs::nn::{BatchNorm, BatchNormConfig, Conv, Linear, Module, ParamTree, Sequential};

use super::{join, node_name};
use crate::error::{Error, Result};
use crate::graph::Graph;

/// Replaces all layers that have weights by layers of the weights in a graph, of the same names.
pub fn resize(path: &str, module: &mut dyn Module, graph: &Graph<'_>) -> Result<()> {
    if let Some(sequential) = module.downcast_mut::<Sequential>() {
        let names: Vec<String> = sequential.iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            if let Some(child) = sequential.get_mut(&name) {
                resize(&join(path, &name), child, graph)?;
            }
        }
        return Ok(());
    }
    let training = module.store().is_none_or(|store| store.is_training());
    let weights = Weights { path, graph };
    if let Some(linear) = module.downcast_mut::<Linear>() {
        *linear = Linear::from_arrays(weights.matrix("weight")?, weights.bias(linear)?)?;
    } else if let Some(conv) = module.downcast_mut::<Conv<1>>() {
        *conv = weights.conv(conv)?;
    } else if let Some(conv) = module.downcast_mut::<Conv<2>>() {
        *conv = weights.conv(conv)?;
    } else if let Some(conv) = module.downcast_mut::<Conv<3>>() {
        *conv = weights.conv(conv)?;
    } else if let Some(norm) = module.downcast_mut::<BatchNorm<1>>() {
        *norm = weights.batch_norm(norm)?;
    } else if let Some(norm) = module.downcast_mut::<BatchNorm<2>>() {
        *norm = weights.batch_norm(norm)?;
    }
    if let Some(store) = module.store_mut() {
        store.set_training(training);
    }
    Ok(())
}

/// The weights of one layer.
struct Weights<'g, 'a> {
    path: &'g str,
    graph: &'g Graph<'a>,
}

impl Weights<'_, '_> {
    fn array(&self, name: &str) -> Result<ArrayD<f32>> {
        let path = join(self.path, name);
        let constant = self.graph.constants.get(path.as_str());
        let array = constant.and_then(|constant| {
            let values = constant.floats()?.into_iter().map(|x| x as f32).collect();
            ArrayD::from_shape_vec(constant.dims.as_slice(), values).ok()
        });
        array.ok_or_else(|| Error::Inconsistent {
            at: path,
            reason: "the smaller model has no such weight".into(),
        })
    }

    fn vector(&self, name: &str) -> Result<Array1<f32>> {
        let array = self.array(name)?;
        array.into_dimensionality::<Ix1>().map_err(|_| self.rank(name))
    }

    fn matrix(&self, name: &str) -> Result<Array2<f32>> {
        let array = self.array(name)?;
        array.into_dimensionality::<Ix2>().map_err(|_| self.rank(name))
    }

    fn rank(&self, name: &str) -> Error {
        Error::Inconsistent {
            at: join(self.path, name),
            reason: "the smaller model has it with another number of dimensions".into(),
        }
    }

    fn bias(&self, layer: &dyn ParamTree) -> Result<Option<Array1<f32>>> {
        match has(layer, "bias") {
            true => self.vector("bias").map(Some),
            false => Ok(None),
        }
    }

    fn conv<const D: usize>(&self, conv: &Conv<D>) -> Result<Conv<D>>
    where
        Conv<D>: ParamTree,
    {
        let mut options = conv.options().clone();
        // A depthwise convolution has as many groups as channels.
        let node = self
            .graph
            .nodes
            .iter()
            .find(|node| node.name == node_name(self.path));
        if let Some(groups) = node.and_then(|node| node.int("group")) {
            options.groups = usize::try_from(groups).unwrap_or(0);
        }
        Ok(Conv::from_arrays(
            self.array("weight")?,
            self.bias(conv)?,
            options,
        )?)
    }

    fn batch_norm<const D: usize>(&self, norm: &BatchNorm<D>) -> Result<BatchNorm<D>>
    where
        BatchNorm<D>: ParamTree,
    {
        let mean = self.vector("running_mean")?;
        let config = BatchNormConfig::new(mean.len()).eps(norm.eps());
        let config = match norm.momentum() {
            Some(momentum) => config.momentum(momentum),
            None => config.cumulative(),
        };
        let affine = has(norm, "weight");
        let mut smaller = BatchNorm::new(if affine { config } else { config.without_affine() })?;
        let Some(store) = smaller.store_mut() else {
            return Ok(smaller);
        };
        if affine {
            for name in ["weight", "bias"] {
                let values = self.array(name)?;
                if let Some(parameter) = store.parameter_mut(name) {
                    parameter.original_mut().assign(&values);
                }
            }
        }
        store.set_buffer("running_mean", mean.into_dyn())?;
        store.set_buffer("running_var", self.array("running_var")?)?;
        let batches = norm.store().and_then(|store| store.buffer("num_batches_tracked"));
        if let Some(batches) = batches {
            store.set_buffer("num_batches_tracked", batches.to_owned().into_owned())?;
        }
        Ok(smaller)
    }
}

fn has(layer: &dyn ParamTree, name: &str) -> bool {
    layer.store().is_some_and(|store| store.parameter(name).is_some())
}
