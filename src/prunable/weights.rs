//! Which parameters are usually pruned.

/// Whether a parameter of this name is pruned by default: whether it is a weight, but not an embedding, a norm, or
/// the head of a language model.
///
/// The exact rule: the last part between dots starts or ends with `weight`, and no part, in lower case,
///
/// - contains `embed`, or is `emb`, `shared`, `wte` or `wpe` (embeddings),
/// - contains `norm`, or is `ln` or `bn` followed by nothing, by digits, or by an underscore and more (norms),
/// - is `lm_head`.
///
/// To be pruned by default, a parameter must also have a floating-point type and two or more dimensions.
///
/// ```
/// use secateurs::prunable::is_weight;
///
/// for name in ["0.weight", "model.layers.0.mlp.up_proj.weight", "self_attn.in_proj_weight", "lstm.weight_ih_l0"] {
///     assert!(is_weight(name));
/// }
/// for name in ["model.embed_tokens.weight", "transformer.wte.weight", "h.0.ln_1.weight", "lm_head.weight", "fc.bias"] {
///     assert!(!is_weight(name));
/// }
/// ```
pub fn is_weight(name: &str) -> bool {
    let is_other = |part: &str| {
        let part = part.to_ascii_lowercase();
        part.contains("embed")
            || part.contains("norm")
            || matches!(&part[..], "emb" | "shared" | "wte" | "wpe" | "lm_head")
            || is_short_norm(&part)
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    (last.starts_with("weight") || last.ends_with("weight")) && !name.split('.').any(is_other)
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
            "lstm.weight_ih_l0",
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
        ] {
            assert!(!is_weight(name), "{name}");
        }
    }
}
