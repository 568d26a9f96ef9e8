//! [`Export`]: the nodes that each layer becomes.

use secateurs::nn::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm, Conv, Dropout, Flatten, Linear, MaxPool2d, Module, ParamStore,
    ParamTree, Relu, Sequential, Sigmoid, Tanh,
};
use secateurs::tensor::{PoolOptions, Tensor};

use super::file::Attribute::{Float, Int, Ints};
use super::{GraphFile, INPUT, OUTPUT, join, node_name};
use crate::error::{Error, Result};

/// A model on its way to a file.
pub struct Export {
    file: GraphFile,
    /// The value that the next layer takes.
    value: String,
    /// What a sample becomes on the way, which tells shapes.
    sample: Tensor,
}

impl Export {
    pub fn new(sample: Tensor) -> Self {
        Export {
            file: GraphFile::default(),
            value: INPUT.into(),
            sample,
        }
    }

    /// The model.
    pub fn finish(mut self, sample_shape: &[usize]) -> Vec<u8> {
        self.file.name_output(&self.value, OUTPUT);
        let output = self.sample.shape().get(1..).unwrap_or_default();
        self.file.finish((INPUT, sample_shape), (OUTPUT, output))
    }

    /// Appends what a module becomes.
    pub fn module(&mut self, path: &str, module: &dyn Module) -> Result<()> {
        if let Some(sequential) = module.downcast_ref::<Sequential>() {
            let mut children = sequential.iter();
            return children.try_for_each(|(name, child)| self.module(&join(path, name), child));
        }
        let own = node_name(path);
        let output = module
            .compute(&self.sample)
            .map_err(|error| failed(path, error.to_string()))?;
        let layer = Layer {
            path,
            name: own,
            from: self.sample.shape(),
            to: output.shape(),
            input: &self.value,
        };
        if module.downcast_ref::<Dropout>().is_none() {
            layer.write(module, &mut self.file)?;
            self.value = own.to_owned();
        }
        self.sample = output;
        Ok(())
    }
}

/// A layer, what it takes and what it makes.
struct Layer<'a> {
    path: &'a str,
    /// The name of its node and its output.
    name: &'a str,
    from: &'a [usize],
    to: &'a [usize],
    input: &'a str,
}

impl Layer<'_> {
    fn write(&self, module: &dyn Module, file: &mut GraphFile) -> Result<()> {
        let mut simple = |op, attributes| file.node(op, self.name, &[self.input], attributes);
        if module.downcast_ref::<Relu>().is_some() {
            simple("Relu", Vec::new());
        } else if module.downcast_ref::<Sigmoid>().is_some() {
            simple("Sigmoid", Vec::new());
        } else if module.downcast_ref::<Tanh>().is_some() {
            simple("Tanh", Vec::new());
        } else if let Some(pool) = module.downcast_ref::<MaxPool2d>() {
            self.batched(4)?;
            simple("MaxPool", pooling(pool.options()));
        } else if let Some(pool) = module.downcast_ref::<AvgPool2d>() {
            self.batched(4)?;
            let mut attributes = pooling(pool.options());
            attributes.push(("count_include_pad", Int(1)));
            simple("AveragePool", attributes);
        } else if let Some(pool) = module.downcast_ref::<AdaptiveAvgPool2d>() {
            self.batched(4)?;
            match self.even_windows(pool.size())? {
                None => simple("GlobalAveragePool", Vec::new()),
                Some(window) => simple("AveragePool", pooling(&PoolOptions::new(window))),
            }
        } else if let Some(flatten) = module.downcast_ref::<Flatten>() {
            self.flatten(flatten, file)?;
        } else if let Some(linear) = module.downcast_ref::<Linear>() {
            self.linear(linear, file);
        } else if let Some(conv) = module.downcast_ref::<Conv<1>>() {
            self.conv(conv, file);
        } else if let Some(conv) = module.downcast_ref::<Conv<2>>() {
            self.conv(conv, file);
        } else if let Some(conv) = module.downcast_ref::<Conv<3>>() {
            self.conv(conv, file);
        } else if let Some(norm) = module.downcast_ref::<BatchNorm<1>>() {
            self.batch_norm(norm, norm.eps(), file);
        } else if let Some(norm) = module.downcast_ref::<BatchNorm<2>>() {
            self.batch_norm(norm, norm.eps(), file);
        } else {
            let kind = module.typetag_name();
            return Err(failed(
                self.path,
                format!("modules of type `{kind}` cannot be exported to ONNX"),
            ));
        }
        Ok(())
    }

    /// Refuses an input without a batch.
    fn batched(&self, rank: usize) -> Result<()> {
        if self.from.len() == rank {
            return Ok(());
        }
        let reason = format!(
            "the input of this layer has to have {rank} dimensions with that of the batch, but has shape {:?}",
            self.from
        );
        Err(failed(self.path, reason))
    }

    /// The size of the windows of an adaptive pool, which are even in ONNX; `None` for one window.
    fn even_windows(&self, size: [usize; 2]) -> Result<Option<[usize; 2]>> {
        if size == [1, 1] {
            return Ok(None);
        }
        let image = &self.from[2..];
        if (0..2).all(|dim| size[dim] > 0 && image[dim].is_multiple_of(size[dim])) {
            return Ok(Some([image[0] / size[0], image[1] / size[1]]));
        }
        let reason =
            format!("windows of uneven sizes, of {image:?} to {size:?}, have no counterpart in ONNX");
        Err(failed(self.path, reason))
    }

    fn flatten(&self, flatten: &Flatten, file: &mut GraphFile) -> Result<()> {
        let rank = self.from.len() as isize;
        let from_begin = |dim: isize| if dim < 0 { dim + rank } else { dim };
        match (from_begin(flatten.start_dim()), from_begin(flatten.end_dim())) {
            (0, end) if end > 0 => Err(failed(self.path, "the batch is flattened, too".into())),
            (1, end) if end == rank - 1 => {
                let attributes = vec![("axis", Int(1))];
                file.node("Flatten", self.name, &[self.input], attributes);
                Ok(())
            }
            _ => {
                // 0 stands for the length of the batch.
                let lengths = self.to[1..].iter().map(|length| *length as i64);
                let target = join(self.path, "shape");
                file.ints(&target, &[0].into_iter().chain(lengths).collect::<Vec<_>>());
                file.node("Reshape", self.name, &[self.input, &target], Vec::new());
                Ok(())
            }
        }
    }

    fn linear(&self, linear: &Linear, file: &mut GraphFile) {
        let weight = self.parameter(linear, "weight", file).unwrap_or_default();
        let bias = self.parameter(linear, "bias", file);
        if self.from.len() == 2 {
            let inputs: Vec<&str> = [self.input, &weight].into_iter().chain(bias.as_deref()).collect();
            file.node("Gemm", self.name, &inputs, vec![("transB", Int(1))]);
            return;
        }
        let (transposed, product) = (join(self.name, "transposed"), join(self.name, "product"));
        let order = vec![("perm", Ints(vec![1, 0]))];
        file.node("Transpose", &transposed, &[&weight], order);
        match bias {
            None => file.node("MatMul", self.name, &[self.input, &transposed], Vec::new()),
            Some(bias) => {
                file.node("MatMul", &product, &[self.input, &transposed], Vec::new());
                file.node("Add", self.name, &[&product, &bias], Vec::new());
            }
        }
    }

    fn conv<const D: usize>(&self, conv: &Conv<D>, file: &mut GraphFile)
    where
        Conv<D>: ParamTree,
    {
        let weight = self.parameter(conv, "weight", file).unwrap_or_default();
        let bias = self.parameter(conv, "bias", file);
        let inputs: Vec<&str> = [self.input, &weight].into_iter().chain(bias.as_deref()).collect();
        let options = conv.options();
        let attributes = vec![
            ("strides", ints(&options.stride)),
            ("pads", both_ends(&options.padding)),
            ("dilations", ints(&options.dilation)),
            ("group", Int(options.groups as i64)),
        ];
        file.node("Conv", self.name, &inputs, attributes);
    }

    fn batch_norm(&self, norm: &dyn ParamTree, eps: f64, file: &mut GraphFile) {
        let channels = self.from[1];
        let mut inputs = vec![self.input.to_owned()];
        for (name, default) in [("weight", 1.0), ("bias", 0.0)] {
            let own = self.parameter(norm, name, file).unwrap_or_else(|| {
                let name = join(self.path, &format!("no_{name}"));
                file.floats(&name, &[channels], std::iter::repeat_n(default, channels));
                name
            });
            inputs.push(own);
        }
        for name in ["running_mean", "running_var"] {
            let path = join(self.path, name);
            if let Some(buffer) = norm.store().and_then(|store| store.buffer(name)) {
                file.floats(&path, buffer.shape(), buffer.iter().copied());
            }
            inputs.push(path);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![("epsilon", Float(eps as f32))];
        file.node("BatchNormalization", self.name, &inputs, attributes);
    }

    /// Writes a parameter, and returns its name, if the layer has it.
    fn parameter(&self, layer: &dyn ParamTree, name: &str, file: &mut GraphFile) -> Option<String> {
        let parameter = layer
            .store()
            .and_then(|store: &ParamStore| store.parameter(name))?;
        let (path, array) = (join(self.path, name), parameter.effective());
        file.floats(&path, array.shape(), array.iter().copied());
        Some(path)
    }
}

fn pooling(options: &PoolOptions) -> Vec<(&'static str, super::file::Attribute)> {
    vec![
        ("kernel_shape", ints(&options.kernel)),
        ("strides", ints(&options.stride)),
        ("pads", both_ends(&options.padding)),
    ]
}

fn ints(values: &[usize]) -> super::file::Attribute {
    Ints(values.iter().map(|value| *value as i64).collect())
}

/// Padding at the begin of all dimensions, then at the end of all.
fn both_ends(padding: &[usize]) -> super::file::Attribute {
    ints(&[padding, padding].concat())
}

fn failed(path: &str, reason: String) -> Error {
    Error::Export {
        path: path.to_owned(),
        reason,
    }
}
