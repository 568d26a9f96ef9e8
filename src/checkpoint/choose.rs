//! Which tensors are pruned unless others are named.

/// Whether a tensor of this name is one of those that are pruned unless others are named: a weight, and neither an
/// embedding, nor a norm, nor the head of a language model.
///
/// The exact rule: the name ends in `weight`, and of its parts between dots, in lower case, none
///
/// - contains `embed`, or is `emb`, `shared`, `wte` or `wpe` (embeddings),
/// - contains `norm`, or is `ln` or `bn` with nothing, digits, or an underscore and more behind it (norms),
/// - is `lm_head`.
///
/// A tensor also has to be of a floating-point type and have two or more dimensions:
/// [`TensorInfo::is_weight`](super::TensorInfo::is_weight).
///
/// ```
/// use secateurs::checkpoint::is_weight;
///
/// for name in ["model.layers.0.mlp.up_proj.weight", "encoder.layer.3.attention.self.in_proj_weight"] {
///     assert!(is_weight(name));
/// }
/// for name in ["model.embed_tokens.weight", "transformer.wte.weight", "h.0.ln_1.weight", "lm_head.weight", "fc.bias"] {
///     assert!(!is_weight(name));
/// }
/// ```
pub fn is_weight(name: &str) -> bool {
    let left_out = |part: &str| {
        let part = part.to_ascii_lowercase();
        part.contains("embed")
            || part.contains("norm")
            || matches!(&part[..], "emb" | "shared" | "wte" | "wpe" | "lm_head")
            || is_short_norm(&part)
    };
    name.ends_with("weight") && !name.split('.').any(left_out)
}

/// `ln`, `ln1`, `ln_f`, `bn2` and the like.
fn is_short_norm(part: &str) -> bool {
    let rest = part.strip_prefix("ln").or_else(|| part.strip_prefix("bn"));
    rest.is_some_and(|rest| rest.starts_with('_') || rest.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::is_weight;

    #[test]
    fn weights_of_well_known_models() {
        for name in [
            "weight",
            "0.weight",
            "model.layers.0.self_attn.q_proj.weight",
            "transformer.h.0.attn.c_attn.weight",
            "bert.encoder.layer.0.output.dense.weight",
            "model.layers.0.block_sparse_moe.experts.7.w1.weight",
            "model.layers.0.mlp.shared_expert.up_proj.weight",
            "layer1.0.conv1.weight",
            "layer1.0.downsample.0.weight",
            "self_attn.in_proj_weight",
        ] {
            assert!(is_weight(name), "{name}");
        }
        for name in [
            "model.embed_tokens.weight",
            "bert.embeddings.word_embeddings.weight",
            "shared.weight",
            "transformer.wpe.weight",
            "emb.weight",
            "model.layers.0.input_layernorm.weight",
            "model.norm.weight",
            "visual.LayerNorm.weight",
            "transformer.ln_f.weight",
            "blocks.0.ln1.weight",
            "layer1.0.bn1.weight",
            "lm_head.weight",
            "fc.bias",
            "lstm.weight_ih_l0",
        ] {
            assert!(!is_weight(name), "{name}");
        }
    }
}
