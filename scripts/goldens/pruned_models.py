"""Pruned models that cross over: what PyTorch saves, secateurs loads, and the other way round.

pruned_model.json, of the two architectures of `MODELS`:

    {"torch": "2.12.0", "models": [{
        "file":   "pruned_model.safetensors", the state dict, in the same folder,
        "layers": [{"module": "Linear", "settings": {..}}, ..] of the Sequential, settings as in modules.json,
        "calls":  how it was pruned, in words of torch.nn.utils.prune,
        "pruned": ["0.weight", ..],
        "masks":  {"0.weight": "0110..", ..} row-major,
        "input":  tensor,
        "output": tensor
    }, ..]}

A tensor is {"shape": [..], "data": [.. row-major]}. Outputs are computed in f64 from the f32 state, written
as f32. Masks are f32 tensors in the safetensors files, as PyTorch keeps them.
"""

import json

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import prune

from goldens import encoding
from goldens.modules import conv, linear

SEED = 20_264
TOLERANCE = 1e-5


def prune_linear(model):
    """Two calls on 0.weight (so its hook is a container), one on the others."""
    prune.l1_unstructured(model[0], "weight", 0.4)
    prune.global_unstructured(
        [(model[0], "weight"), (model[2], "weight")], pruning_method=prune.L1Unstructured, amount=0.5
    )
    return [
        "l1_unstructured(model[0], 'weight', 0.4)",
        "global_unstructured([(model[0], 'weight'), (model[2], 'weight')], L1Unstructured, amount=0.5)",
    ]


def prune_conv(model):
    """Whole filters, single weights, a bias."""
    prune.ln_structured(model[0], "weight", 2, n=2, dim=0)
    prune.l1_unstructured(model[2], "weight", 0.3)
    prune.l1_unstructured(model[2], "bias", 1)
    return [
        "ln_structured(model[0], 'weight', 2, n=2, dim=0)",
        "l1_unstructured(model[2], 'weight', 0.3)",
        "l1_unstructured(model[2], 'bias', 1)",
    ]


RELU = (nn.ReLU, {}, ())
# file: (layers, the shape of an input, how to prune)
MODELS = {
    "pruned_model.safetensors": (
        [linear(12, 16, True), RELU, linear(16, 4, True)],
        (5, 12),
        prune_linear,
    ),
    "pruned_conv.safetensors": (
        [
            conv(nn.Conv2d, (3, 6), 3, 0, padding=1),
            RELU,
            conv(nn.Conv2d, (6, 4), (3, 2), 0, stride=2, groups=2),
            (nn.Flatten, {"start_dim": 1, "end_dim": -1}, ()),
            linear(36, 5, False),
        ],
        (2, 3, 8, 6),
        prune_conv,
    ),
}


def build(layers):
    """The Sequential, with PyTorch's default initialisation."""
    return nn.Sequential(*(kind(**settings) for kind, settings, _ in layers))


def masks(model):
    """Each pruned parameter's mask, by the path of the parameter."""
    return {
        name.removesuffix("_mask"): encoding.bits(mask.numpy())
        for name, mask in model.named_buffers()
        if name.endswith("_mask")
    }


def forward(model, values):
    """The output, computed in f64. Leaves the model in f64: call this last."""
    with torch.no_grad():
        return model.double()(torch.tensor(values, dtype=torch.float64)).numpy()


def write(folder, version):
    """Writes the files; returns lines that say what is in them."""
    models, lines = [], []
    for number, (file, (layers, shape, prune_it)) in enumerate(MODELS.items()):
        torch.manual_seed(SEED + number)
        model = build(layers)
        calls = prune_it(model)
        state = model.state_dict()
        save_file(state, folder / file)
        values = np.random.default_rng([SEED, number]).normal(size=shape).astype(np.float32)
        held = masks(model)
        models.append(
            {
                "file": file,
                "layers": [
                    {"module": kind.__name__, "settings": settings} for kind, settings, _ in layers
                ],
                "calls": calls,
                "pruned": list(held),
                "masks": held,
                "input": encoding.tensor(values),
                "output": encoding.tensor(forward(model, values)),
            }
        )
        entries = sum(map(len, held.values()))
        zeros = sum(mask.count("0") for mask in held.values())
        lines.append(f"{file}: {len(state)} tensors, {zeros} of {entries} entries masked")
    encoding.write(folder / "pruned_model.json", {"torch": version}, "models", models)
    return [f"pruned_model.json: {len(models)} models", *("  " + line for line in lines)]


def load(folder, file):
    """Loads a file into a model pruned in the same places; returns whether masks and outputs agree."""
    given = load_file(file)
    # The architecture is the one with these keys; failing that, the first, to name what differs.
    expected = {
        one["file"]: one for one in json.loads((folder / "pruned_model.json").read_text())["models"]
    }
    matching = (name for name in MODELS if load_file(folder / name).keys() == given.keys())
    chosen = next(matching, next(iter(MODELS)))
    golden = expected[chosen]
    print(f"{file}: {len(given)} tensors, compared with {chosen}")

    model = build(MODELS[chosen][0])
    for path in golden["pruned"]:
        layer, name = path.rsplit(".", 1)
        prune.identity(model.get_submodule(layer), name)
    try:
        model.load_state_dict(given, strict=True)
    except RuntimeError as error:
        print(f"  load_state_dict(strict=True): {error}")
        return False
    print("  load_state_dict(strict=True): every key matched")

    held = masks(model)
    differing = [name for name in golden["masks"] if held[name] != golden["masks"][name]]
    for name in differing:
        print(f"  mask of {name}: differs")
    print(f"  masks: {len(held) - len(differing)} of {len(held)} agree")

    values = np.array(golden["input"]["data"], np.float32).reshape(golden["input"]["shape"])
    wanted = np.array(golden["output"]["data"]).reshape(golden["output"]["shape"])
    got = forward(model, values)
    furthest = np.abs(got - wanted).max()
    agree = bool(furthest <= TOLERANCE * np.abs(wanted).max())
    print(f"  outputs: {'agree' if agree else 'differ'}, by at most {furthest:.2e}")
    return agree and not differing
