#!/usr/bin/env python3
"""Checkpoints made and pruned by PyTorch, for the tests of the command `secateurs` to agree with.

Install, then run from the root of the repository:

    pip install torch==2.12.0 numpy safetensors
    python scripts/checkpoints.py                    write everything under crates/secateurs-cli/tests/data
    cargo build --release && python scripts/checkpoints.py --check target/release/secateurs
                                                     prune by the command, load what it wrote by Python's
                                                     safetensors and into a torch module, and compare

Every run writes the same bytes: all randomness is seeded. What is written:

    cases.json               [{"name": .., "input": a file or folder, "args": [..] of `secateurs prune`,
                               "expected": a file, "zeros": {name: how many, ..} of the weights}, ..]
    mixed.safetensors        weights in f32, f16, bf16 and f64, a convolution, a bias, whole numbers
    f32.safetensors          three layers in f32
    sharded/                 three layers in bf16, in two files with an index
    expected/NAME.safetensors   all tensors of the input after PyTorch's pruning, in one file

PyTorch multiplies by its masks, so that some of its zeros are -0.0; those of secateurs are +0.0.

No outcome hangs on a tie: the magnitudes of a tensor are distinct, and weights are drawn again where those of several
tensors meet at a cut, or where the norms of the channels at a cut are closer than NEAR_TIE.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn.utils import prune

DATA = Path(__file__).resolve().parent.parent / "crates" / "secateurs-cli" / "tests" / "data"
TORCH = "2.12.0"
SEED = 20_270
NEAR_TIE = 0.05
METADATA = {"format": "pt"}


def weights(rng, dtype, *shapes):
    """Tensors of these shapes, of which no two entries have the same magnitude."""
    count = sum(int(np.prod(shape)) for shape in shapes)
    if dtype in (torch.float16, torch.bfloat16):
        # Of so few numbers the distinct ones are chosen by their bits, those of 2^-9 to about 1.
        first, last = (0x1800, 0x3C00) if dtype == torch.float16 else (0x3B00, 0x3F80)
        bits = rng.permutation(np.arange(first, last))[:count].astype(np.int16)
        assert len(bits) == count, "there are not so many"
        values = torch.from_numpy(bits).view(dtype) * torch.from_numpy(rng.choice([-1.0, 1.0], count)).to(dtype)
    else:
        values = torch.from_numpy(rng.standard_normal(count)).to(dtype)
    assert len(values.abs().unique()) == count
    parts = values.split([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape).clone() for part, shape in zip(parts, shapes)]


def mixed(rng):
    (conv,) = weights(rng, torch.float32, (8, 4, 3, 3))
    (half,) = weights(rng, torch.float16, (12, 16))
    (brain,) = weights(rng, torch.bfloat16, (16, 12))
    (double,) = weights(rng, torch.float64, (8, 10))
    return {
        "conv.weight": conv,
        "conv.bias": torch.arange(8, dtype=torch.float32),
        "half.weight": half,
        "brain.weight": brain,
        "double.weight": double,
        "steps": torch.tensor([7], dtype=torch.int64),
    }


def layers(rng, dtype):
    first, second, third = weights(rng, dtype, (20, 16), (12, 20), (8, 12))
    # Of different scales, so that global pruning treats them differently.
    return {
        "layers.0.weight": first,
        "layers.0.bias": torch.ones(20, dtype=dtype),
        "layers.10.weight": second * 0.5,
        "layers.2.weight": third * 2,
    }


class Holder(torch.nn.Module):
    """A module whose parameter `weight` is a tensor."""

    def __init__(self, tensor):
        super().__init__()
        self.weight = torch.nn.Parameter(tensor, requires_grad=False)


def pruned(tensors, how):
    """The tensors after `how` has been done to a module for each weight, all else as it is."""
    names = sorted(name for name in tensors if name.endswith("weight"))
    modules = {name: Holder(tensors[name].clone()) for name in names}
    how(list(modules.values()))
    for module in modules.values():
        prune.remove(module, "weight")
    return {name: modules[name].weight.data if name in modules else t for name, t in tensors.items()}


def local_l1(amount):
    def how(modules):
        for module in modules:
            prune.l1_unstructured(module, "weight", amount)

    return how


def global_l1(amount):
    def how(modules):
        listed = [(module, "weight") for module in modules]
        prune.global_unstructured(listed, pruning_method=prune.L1Unstructured, amount=amount)

    return how


def channels(amount, n, dim):
    def how(modules):
        for module in modules:
            prune.ln_structured(module, "weight", amount, n=n, dim=dim)

    return how


CASES = [
    # name, input, args of the command, what PyTorch does
    ("local", "mixed.safetensors", ["--amount", "0.4"], local_l1(0.4)),
    ("local_count", "mixed.safetensors", ["--amount", "10"], local_l1(10)),
    ("global", "f32.safetensors", ["--amount", "60%", "--scope", "global"], global_l1(0.6)),
    ("global_sharded", "sharded", ["--amount", "0.5", "--scope", "global"], global_l1(0.5)),
    (
        "channels",
        "mixed.safetensors",
        ["--amount", "0.25", "--pattern", "channel"],
        channels(0.25, 2, 0),
    ),
    (
        "input_channels",
        "mixed.safetensors",
        ["--amount", "0.5", "--pattern", "channel", "--dim", "1", "--norm", "1"],
        channels(0.5, 1, 1),
    ),
    (
        "largest",
        "sharded",
        ["--amount", "3", "--pattern", "channel", "--norm", "inf"],
        channels(3, float("inf"), 0),
    ),
]


def near_tie(tensors, amount, n, dim):
    """Whether the norms at the cut between channels are so close that rounding may choose."""
    for name, tensor in tensors.items():
        if not name.endswith("weight"):
            continue
        rows = tensor.double().transpose(0, dim).flatten(1)
        norms = torch.linalg.vector_norm(rows, n, dim=1).sort().values
        cut = amount if isinstance(amount, int) else round(amount * len(norms))
        if norms[cut] - norms[cut - 1] < NEAR_TIE * norms[cut]:
            return True
    return False


def tie(tensors, share):
    """Whether the cut through the magnitudes of all weights together lies between equal ones."""
    weights = [tensor.flatten() for name, tensor in tensors.items() if name.endswith("weight")]
    magnitudes = torch.cat(weights).abs().sort().values
    cut = round(share * len(magnitudes))
    return bool(magnitudes[cut] == magnitudes[cut - 1])


def draw(make, *cuts, share=None):
    """The first tensors that are not near a tie at any of these cuts, nor at a cut through all of them."""
    for seed in range(SEED, SEED + 100_000):
        tensors = make(np.random.default_rng(seed))
        if any(near_tie(tensors, *cut) for cut in cuts) or (share and tie(tensors, share)):
            continue
        return tensors
    sys.exit("every draw is near a tie")


def generate():
    if torch.__version__.split("+")[0] != TORCH:
        sys.exit(f"these files are those of torch {TORCH}; this is torch {torch.__version__}")
    inputs = {
        "mixed.safetensors": draw(mixed, (0.25, 2, 0), (0.5, 1, 1)),
        "f32.safetensors": draw(lambda rng: layers(rng, torch.float32), share=0.6),
        "sharded": draw(lambda rng: layers(rng, torch.bfloat16), (3, float("inf"), 0), share=0.5),
    }
    (DATA / "expected").mkdir(parents=True, exist_ok=True)
    (DATA / "sharded").mkdir(exist_ok=True)
    for name in ("mixed.safetensors", "f32.safetensors"):
        save_file(inputs[name], DATA / name, METADATA)
    save_sharded(inputs["sharded"])
    cases = []
    for name, of, args, how in CASES:
        expected = pruned(inputs[of], how)
        save_file(expected, DATA / "expected" / f"{name}.safetensors", METADATA)
        zeros = {key: int((t == 0).sum()) for key, t in expected.items() if key.endswith("weight")}
        cases.append(
            {"name": name, "input": of, "args": args, "expected": f"expected/{name}.safetensors", "zeros": zeros}
        )
    (DATA / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    for path in sorted(path for path in DATA.rglob("*") if path.is_file()):
        print(f"{path.stat().st_size:>9,} bytes  {path.relative_to(DATA)}")


def save_sharded(tensors):
    names = list(tensors)
    shards = {
        "model-00001-of-00002.safetensors": names[:2],
        "model-00002-of-00002.safetensors": names[2:],
    }
    for shard, held in shards.items():
        save_file({name: tensors[name] for name in held}, DATA / "sharded" / shard, METADATA)
    placed = {name: shard for shard, held in shards.items() for name in held}
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": placed}
    (DATA / "sharded" / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    (DATA / "sharded" / "config.json").write_text('{"model_type": "three layers"}\n')


def check(command):
    """Prunes every case by the command; returns whether Python reads what PyTorch computed."""
    agreed = True
    with tempfile.TemporaryDirectory() as folder:
        for case in json.loads((DATA / "cases.json").read_text()):
            output = Path(folder) / case["name"]
            run = [command, "prune", DATA / case["input"], "-o", output, *case["args"]]
            subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
            wrong = disagreements(output, load_file(DATA / case["expected"]))
            agreed = agreed and not wrong
            print(f"{case['name']:16} {'; '.join(wrong) or 'agrees'}")
    return agreed


def disagreements(output, expected):
    files = sorted(output.glob("*.safetensors")) if output.is_dir() else [output]
    got, wrong = {}, []
    for file in files:
        got.update(load_file(file))
        with safe_open(file, "pt") as opened:
            if opened.metadata() != METADATA:
                wrong.append(f"metadata {opened.metadata()}")
    if got.keys() != expected.keys():
        return [f"tensors {sorted(got)}"]
    for name, tensor in expected.items():
        ours = got[name]
        if (ours.dtype, ours.shape) != (tensor.dtype, tensor.shape):
            wrong.append(f"{name} is {ours.dtype} {tuple(ours.shape)}")
        elif not torch.equal(ours, tensor):
            wrong.append(f"{name} differs in {int((ours != tensor).sum())} entries")
        elif torch.signbit(ours[ours == 0]).any():
            wrong.append(f"{name} holds -0.0")
        elif name.endswith("weight"):
            module = Holder(torch.empty_like(ours))
            module.load_state_dict({"weight": ours})
            if not torch.equal(module.weight, tensor):
                wrong.append(f"{name} does not load into a module")
    return wrong


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", metavar="COMMAND", type=Path, help="the built command to be checked")
    arguments = parser.parse_args()
    if arguments.check:
        sys.exit(0 if check(arguments.check.resolve()) else 1)
    generate()


if __name__ == "__main__":
    main()
