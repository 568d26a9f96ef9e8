//! Models that are too large for one file.

use super::Written;
use crate::error::Result;
use crate::graph::field::{GRAPH_INITIALIZER, MODEL_GRAPH};
use crate::proto::{bytes_field, fields, varint_field};
use crate::skeleton::part;
use crate::tensor::field::{DATA_LOCATION, EXTERNAL_DATA, RAW_DATA};

/// Bytes of the largest message that protobuf allows.
pub const MOST: u64 = i32::MAX as u64;

/// `TensorProto.DataLocation.EXTERNAL`
const EXTERNAL: u64 = 1;

/// Moves large weights to the file beside the model, if the model would be larger than `most` bytes with them.
pub fn beside(written: Written<'_>, most: u64) -> Result<Written<'_>> {
    if written.model.len()? <= most {
        return Ok(written);
    }
    let Written { mut model, mut data } = written;
    let mut bytes = Vec::with_capacity(model.bytes.len());
    for each in fields(&model.bytes)? {
        let Some(graph) = each.bytes().filter(|_| each.number == MODEL_GRAPH) else {
            bytes.extend_from_slice(each.raw);
            continue;
        };
        let mut new = Vec::with_capacity(graph.len());
        for each in fields(graph)? {
            let tensor = each.bytes().filter(|_| each.number == GRAPH_INITIALIZER);
            let tensor = fields(tensor.unwrap_or(&[]))?;
            let Some(entries) = tensor.iter().find_map(|each| part(&model.parts, each)) else {
                new.extend_from_slice(each.raw);
                continue;
            };
            let mut message = Vec::new();
            for each in &tensor {
                match each.number {
                    RAW_DATA | DATA_LOCATION | EXTERNAL_DATA => {}
                    _ => message.extend_from_slice(each.raw),
                }
            }
            varint_field(&mut message, DATA_LOCATION, EXTERNAL);
            data.add(entries.clone(), &mut message);
            bytes_field(&mut new, GRAPH_INITIALIZER, &message);
        }
        bytes_field(&mut bytes, MODEL_GRAPH, &new);
    }
    model.bytes = bytes;
    Ok(Written { model, data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::external::External;
    use crate::graph::Model;
    use crate::skeleton::Skeleton;
    use crate::write::NewData;

    #[test]
    fn weights_of_a_model_that_is_too_large_are_beside_it() {
        let model = include_bytes!("../../tests/data/resnet.onnx");
        let skeleton = Skeleton::of_bytes(model).unwrap();
        assert!(!skeleton.parts.is_empty());
        let whole = Model::read(&skeleton, &External::default()).unwrap();
        let written = || Written {
            model: skeleton.clone(),
            data: NewData::new("w.data"),
        };
        let unchanged = beside(written(), model.len() as u64).unwrap();
        assert_eq!(
            (unchanged.model.bytes, unchanged.data.len()),
            (skeleton.bytes.clone(), 0)
        );

        let moved = beside(written(), model.len() as u64 - 1).unwrap();
        let large: usize = skeleton.parts.iter().map(|part| part.len()).sum();
        assert!(moved.model.len().unwrap() < (model.len() - large + 100 * skeleton.parts.len()) as u64);
        assert!(moved.data.len() >= large);
        let external = External::of("w.data", moved.data.pieces().iter());
        let again = Model::read(&moved.model, &external).unwrap();
        assert_eq!(again.graph.constants.len(), whole.graph.constants.len());
        let mut beside = 0;
        for (name, constant) in &whole.graph.constants {
            assert_eq!(again.graph.constants[name].floats(), constant.floats(), "{name}");
            beside += usize::from(again.graph.constants[name].is_external);
        }
        assert_eq!(beside, skeleton.parts.len());
    }
}
