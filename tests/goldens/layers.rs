//! Modules from the settings that the goldens give in PyTorch's words.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use secateurs::nn::{
    AdaptiveAvgPool2d, AvgPool2d, BatchNorm1d, BatchNorm2d, BatchNormConfig, Conv1d, Conv2d, Conv3d,
    ConvConfig, Embedding, Flatten, Linear, Lstm, LstmConfig, MaxPool2d, Module, PoolConfig, Relu, Sigmoid,
    StateDict, Tanh,
};
use serde_json::Value;

use crate::{list, size, sizes, tensor, text};

fn conv<const D: usize>(settings: &Value) -> ConvConfig<D> {
    let per_dim = |name: &str| -> [usize; D] { sizes(&settings[name]).try_into().unwrap() };
    let (inputs, outputs) = (size(&settings["in_channels"]), size(&settings["out_channels"]));
    let config = ConvConfig::new(inputs, outputs, per_dim("kernel_size"))
        .stride(per_dim("stride"))
        .padding(per_dim("padding"))
        .dilation(per_dim("dilation"))
        .groups(size(&settings["groups"]));
    if settings["bias"].as_bool().unwrap() {
        config
    } else {
        config.without_bias()
    }
}

fn pool(settings: &Value) -> PoolConfig {
    let per_dim = |name: &str| -> [usize; 2] { sizes(&settings[name]).try_into().unwrap() };
    PoolConfig::new(per_dim("kernel_size"))
        .stride(per_dim("stride"))
        .padding(per_dim("padding"))
}

fn batch_norm(settings: &Value) -> BatchNormConfig {
    let config = BatchNormConfig::new(size(&settings["num_features"])).eps(settings["eps"].as_f64().unwrap());
    let config = match settings["momentum"].as_f64() {
        Some(momentum) => config.momentum(momentum),
        None => config.cumulative(),
    };
    match settings["affine"].as_bool().unwrap() {
        true => config,
        false => config.without_affine(),
    }
}

pub fn lstm(settings: &Value) -> Lstm {
    let mut config = LstmConfig::new(size(&settings["input_size"]), size(&settings["hidden_size"]))
        .layers(size(&settings["num_layers"]));
    if !settings["bias"].as_bool().unwrap() {
        config = config.without_bias();
    }
    if settings["batch_first"].as_bool().unwrap() {
        config = config.batch_first();
    }
    Lstm::new(config, &mut ChaCha8Rng::seed_from_u64(1)).unwrap()
}

/// The module of a name and settings, initialised by its default; `None` for losses.
pub fn build(module: &str, settings: &Value) -> Option<Box<dyn Module>> {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    Some(match module {
        "Linear" => {
            let (inputs, outputs) = (size(&settings["in_features"]), size(&settings["out_features"]));
            match settings["bias"].as_bool().unwrap() {
                true => Box::new(Linear::new(inputs, outputs, rng).unwrap()),
                false => Box::new(Linear::without_bias(inputs, outputs, rng).unwrap()),
            }
        }
        "Conv1d" => Box::new(Conv1d::new(conv(settings), rng).unwrap()),
        "Conv2d" => Box::new(Conv2d::new(conv(settings), rng).unwrap()),
        "Conv3d" => Box::new(Conv3d::new(conv(settings), rng).unwrap()),
        "LSTM" => Box::new(lstm(settings)),
        "ReLU" => Box::new(Relu::new()),
        "Sigmoid" => Box::new(Sigmoid::new()),
        "Tanh" => Box::new(Tanh::new()),
        "Flatten" => {
            let dim = |name: &str| settings[name].as_i64().unwrap() as isize;
            Box::new(Flatten::dims(dim("start_dim"), dim("end_dim")))
        }
        "Embedding" => {
            let (tokens, dim) = (
                size(&settings["num_embeddings"]),
                size(&settings["embedding_dim"]),
            );
            Box::new(Embedding::new(tokens, dim, rng).unwrap())
        }
        "MaxPool2d" => Box::new(MaxPool2d::new(pool(settings)).unwrap()),
        "AvgPool2d" => Box::new(AvgPool2d::new(pool(settings)).unwrap()),
        "AdaptiveAvgPool2d" => {
            let output: [usize; 2] = sizes(&settings["output_size"]).try_into().unwrap();
            Box::new(AdaptiveAvgPool2d::new(output))
        }
        "BatchNorm1d" => Box::new(BatchNorm1d::new(batch_norm(settings)).unwrap()),
        "BatchNorm2d" => Box::new(BatchNorm2d::new(batch_norm(settings)).unwrap()),
        "CrossEntropyLoss" | "MSELoss" => return None,
        other => panic!("no such module: {other}"),
    })
}

/// A sequence of modules.
pub fn sequential(layers: &Value) -> secateurs::nn::Sequential {
    list(layers)
        .iter()
        .fold(secateurs::nn::Sequential::new(), |model, layer| {
            let boxed = build(text(&layer["module"]), &layer["settings"]).unwrap();
            model.push_boxed(boxed)
        })
}

pub fn state(value: &Value) -> StateDict {
    let mut state = StateDict::new();
    for (key, value) in value.as_object().unwrap() {
        state.insert(key, tensor(value));
    }
    state
}
