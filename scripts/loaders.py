#!/usr/bin/env python3
"""Shows that transformers loads a folder that `secateurs prune` wrote, and refuses one that `secateurs pack` wrote.

    cargo build --release -p secateurs-cli
    python3 scripts/loaders.py target/release/secateurs

Needs torch and transformers. The model is a small Llama with random weights; nothing is fetched.
"""

import pathlib
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM


def main():
    command = pathlib.Path(sys.argv[1]).resolve()
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=256, hidden_size=64, intermediate_size=160, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2)
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        model.save_pretrained(place / "model", max_shard_size="100KB")
        run = lambda *args: subprocess.run([command, *args], cwd=place, check=True, capture_output=True)
        run("prune", "model", "-o", "pruned", "--amount", "50%", "--scope", "global")
        run("pack", "pruned", "-o", "packed")
        run("unpack", "packed", "-o", "unpacked")

        loaded, info = AutoModelForCausalLM.from_pretrained(place / "pruned", dtype=torch.bfloat16, output_loading_info=True)
        assert not any(info.values()), f"something was not loaded: {info}"
        original = dict(model.named_parameters())
        zeros = entries = 0
        for name, weight in loaded.named_parameters():
            kept = weight != 0
            assert torch.equal(weight[kept], original[name][kept]), f"{name}: a kept weight is another one"
            zeros, entries = zeros + int((~kept).sum()), entries + weight.numel()
        print(f"pruned: loaded; {zeros:,} of {entries:,} parameters are 0, all others those of the model")

        again = AutoModelForCausalLM.from_pretrained(place / "unpacked", dtype=torch.bfloat16)
        same = all(torch.equal(a, b) for a, b in zip(loaded.parameters(), again.parameters(), strict=True))
        assert same, "unpacking gave another model"
        print("unpacked: loaded; the same")

        try:
            AutoModelForCausalLM.from_pretrained(place / "packed", dtype=torch.bfloat16)
        except Exception as error:
            print(f"packed: refused; {type(error).__name__}: {str(error).splitlines()[0][:100]}")
        else:
            sys.exit("packed: loaded, though it is not a model")


if __name__ == "__main__":
    main()
