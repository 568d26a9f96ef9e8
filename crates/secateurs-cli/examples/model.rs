//! Writes the small checkpoints that the recipes are about, into the folder that it is run in or the one it is given:
//!
//! - `model.safetensors`, a model of one file,
//! - `sharded/`, the same in two files with an index and a configuration,
//! - `tuned.safetensors`, the model after some more training,
//! - `state.safetensors`, the state of a module that PyTorch is pruning.
//!
//! ```console
//! $ cargo run -p secateurs-cli --example model
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use half::bf16;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// A tensor: its name, type, shape and bytes.
type Tensor = (&'static str, Dtype, Vec<usize>, Vec<u8>);

// The test of the recipes has a `main` of its own.
#[allow(dead_code)]
fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or(".".into());
    write(folder.as_ref())
}

/// Writes all of them.
pub fn write(folder: &Path) -> Result<(), Box<dyn Error>> {
    let model = model(0.0);
    save(&model, &folder.join("model.safetensors"))?;
    save(&self::model(0.02), &folder.join("tuned.safetensors"))?;
    save(&state(), &folder.join("state.safetensors"))?;
    let sharded = folder.join("sharded");
    fs::create_dir_all(&sharded)?;
    let mut placed = BTreeMap::new();
    for (number, tensors) in model.chunks(4).enumerate() {
        let name = format!("model-{:05}-of-00002.safetensors", number + 1);
        save(tensors, &sharded.join(&name))?;
        placed.extend(tensors.iter().map(|tensor| (tensor.0, name.clone())));
    }
    let size: usize = model.iter().map(|tensor| tensor.3.len()).sum();
    let index = serde_json::json!({ "metadata": { "total_size": size }, "weight_map": placed });
    fs::write(
        sharded.join("model.safetensors.index.json"),
        serde_json::to_string_pretty(&index)?,
    )?;
    fs::write(sharded.join("config.json"), "{ \"hidden_size\": 64 }\n")?;
    Ok(())
}

/// A model with a bit of everything; `further` is how far training moved it.
fn model(further: f64) -> Vec<Tensor> {
    let f32s = |name, shape: &[usize], seed| tensor(name, Dtype::F32, shape, normal(seed, further));
    let bf16s = |name, shape: &[usize], seed| tensor(name, Dtype::BF16, shape, normal(seed, further));
    vec![
        f32s("conv.weight", &[16, 4, 3, 3], 1),
        f32s("conv.bias", &[16], 2),
        bf16s("embed.weight", &[100, 64], 3),
        bf16s("layers.0.attn.weight", &[64, 64], 4),
        bf16s("layers.0.mlp.weight", &[64, 512], 5),
        f32s("layers.0.norm.weight", &[64], 6),
        f32s("layers.1.mlp.weight", &[64, 512], 7),
        f32s("lm_head.weight", &[100, 64], 8),
    ]
}

/// What `module.state_dict()` holds after `torch.nn.utils.prune.l1_unstructured(module, "weight", 0.5)`.
fn state() -> Vec<Tensor> {
    let weight = normal(9, 0.0);
    let kept = |i: usize| if weight(i).abs() < 0.67 { 0.0 } else { 1.0 };
    vec![
        tensor("fc.bias", Dtype::F32, &[8], normal(10, 0.0)),
        tensor("fc.weight_mask", Dtype::F32, &[8, 32], kept),
        tensor("fc.weight_orig", Dtype::F32, &[8, 32], &weight),
    ]
}

fn tensor(name: &'static str, dtype: Dtype, shape: &[usize], value: impl Fn(usize) -> f64) -> Tensor {
    let entries = 0..shape.iter().product();
    let bytes = entries.map(value).flat_map(|x| match dtype {
        Dtype::BF16 => bf16::from_f64(x).to_le_bytes().to_vec(),
        _ => (x as f32).to_le_bytes().to_vec(),
    });
    (name, dtype, shape.to_vec(), bytes.collect())
}

/// Numbers that are nearly normally distributed, with a standard deviation of 1: sums of four uniform ones, whose own
/// deviation is √(4/12).
fn normal(seed: u64, further: f64) -> impl Fn(usize) -> f64 {
    let uniform = |mut x: u64| {
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ x >> 31) as f64 / 2_f64.powi(64)
    };
    move |i| {
        let at = (seed << 32 | i as u64) * 8;
        let sum = |from: u64| -> f64 {
            let four = (1..5).map(|k| uniform((at + from + k).wrapping_mul(0x9e37_79b9_7f4a_7c15)) - 0.5);
            four.sum::<f64>() * 3_f64.sqrt()
        };
        sum(0) + further * sum(4)
    }
}

fn save(tensors: &[Tensor], path: &Path) -> Result<(), Box<dyn Error>> {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    fs::write(path, safetensors::serialize(views, Some(metadata))?)?;
    Ok(())
}
