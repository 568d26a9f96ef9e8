//! Which rule an operator has.

use super::{Tracked, Walk};
use crate::graph::Node;
use crate::shapes::{ELEMENTWISE, Shape};

impl<'a> Walk<'a, '_> {
    /// The outputs of a node, or at least its first ones; `None` if it has no rule.
    pub(super) fn rule(
        &mut self,
        number: usize,
        node: &Node<'a>,
        shape: Option<Shape>,
    ) -> Option<Vec<Tracked>> {
        match node.op {
            "Split" => return self.split(number, node),
            "DynamicQuantizeLinear" => return Some(self.quantize_by_range(self.value(node.input(0)?))),
            "LSTM" | "GRU" | "RNN" => return self.recurrent(number, node),
            "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => {
                return self.skip_norm(number, node, shape?);
            }
            _ => {}
        }
        let shape = shape?;
        let first = self.value(node.input(0)?);
        let output = match node.op {
            "Clip" => self.clip(node, first),
            op if ELEMENTWISE.contains(&op) || op == "Cast" => self.activation(node, first),
            "PRelu" | "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Where" | "Min" | "Max" | "Sum" => {
                self.elementwise(node, shape)
            }
            "QuantizeLinear" | "DequantizeLinear" => self.quantize(node, first)?,
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "LpPool" => {
                self.hold_from(&first, 2, node.op);
                let mut labels = vec![None; shape.len()];
                labels[..2].clone_from_slice(first.labels.get(..2)?);
                Tracked::zero(shape, labels).zero_like(&first)
            }
            "BatchNormalization" => self.channel_norm(node, first, &[1, 2, 3, 4])?,
            "InstanceNormalization" => self.channel_norm(node, first, &[1, 2])?,
            "GroupNormalization" => self.group_norm(number, node, first)?,
            "LayerNormalization" => self.layer_norm(number, node, first)?,
            "RMSNormalization" | "SimplifiedLayerNormalization" => self.rms_norm(number, node, first)?,
            "BiasGelu" | "FastGelu" => self.gelu(node, first, shape),
            "Attention" => self.attention(number, node, shape)?,
            "RotaryEmbedding" => self.rotary(number, node, first)?,
            "Softmax" | "LogSoftmax" => self.softmax(node, first)?,
            "Conv" => self.conv(number, node, first, shape)?,
            "ConvTranspose" => self.conv_transpose(number, node, first, shape)?,
            "Gemm" => self.gemm(node, shape)?,
            "MatMul" => self.matmul(node, shape)?,
            "Einsum" => self.einsum(node, shape)?,
            "Concat" => self.concat(node, shape)?,
            "Slice" => self.slice(number, node, shape)?,
            "Gather" => self.gather(number, node, shape)?,
            "Expand" => self.expand(number, node, shape)?,
            "Pad" => self.pad(node, first, shape)?,
            "Resize" => self.resize(number, node, first, shape)?,
            "DepthToSpace" => self.depth_to_space(node, first, shape)?,
            "ReduceMean" | "ReduceSum" | "ReduceSumSquare" | "ReduceL1" | "ReduceL2" | "ReduceMax"
            | "ReduceMin" => self.reduce(number, node, first, shape)?,
            "Flatten" | "Reshape" | "Transpose" | "Squeeze" | "Unsqueeze" => {
                self.reshaped(number, node, shape)?
            }
            _ => return None,
        };
        Some(vec![output])
    }
}
