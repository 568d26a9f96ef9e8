"""init.json: the bounds of PyTorch's default initialisation.

    {"torch": "2.12.0", "cases": [{
        "module":   "Linear" | "Conv1d" | "Conv2d" | "Conv3d" | "LSTM",
        "settings": constructor arguments, as in modules.json,
        "tensors":  {"weight": {"shape": [..], "bound": 0.5}, "bias": ..} in the order of the state dict
    }, ..]}

Every parameter is uniform in [-bound, bound). Linear and convolutions draw the weight by
`kaiming_uniform_(a=sqrt(5))`: gain = sqrt(2 / (1 + 5)), std = gain / sqrt(fan_in), bound = sqrt(3) * std,
which is 1 / sqrt(fan_in); and the bias within 1 / sqrt(fan_in) too, where fan_in = in_features, or
in_channels / groups * entries of the kernel. An LSTM draws everything within 1 / sqrt(hidden_size).

That is derived here and not read from PyTorch, so `sample` holds it against what PyTorch draws.
"""

import math

import torch
from torch import nn

from goldens import encoding
from goldens.modules import conv, linear, lstm

SEED = 20_263
SAMPLES = 4_000

CASES = [
    linear(5, 3, True),
    linear(196, 10, True),
    linear(64, 300, False),
    conv(nn.Conv1d, (2, 3), 3, 0),
    conv(nn.Conv1d, (6, 4), 5, 0, groups=2, bias=False),
    conv(nn.Conv2d, (3, 8), (3, 2), 0, stride=2, padding=1),
    conv(nn.Conv2d, (8, 8), 3, 0, groups=8),
    conv(nn.Conv2d, (4, 6), 1, 0, groups=2, bias=False),
    conv(nn.Conv3d, (2, 4), (2, 3, 2), 0),
    lstm(3, 5, 1, True, False),
    lstm(4, 16, 3, True, True),
    lstm(7, 6, 2, False, False),
]


def bound(kind, settings):
    """The bound that all parameters of a module share."""
    if kind is nn.LSTM:
        return 1.0 / math.sqrt(settings["hidden_size"])
    if kind is nn.Linear:
        return 1.0 / math.sqrt(settings["in_features"])
    taps = math.prod(settings["kernel_size"])
    return 1.0 / math.sqrt(settings["in_channels"] // settings["groups"] * taps)


def sample(module, limit):
    """Draws each parameter until there are enough entries: all within the bound, and some close to it."""
    drawn = {name: [] for name, _ in module.named_parameters()}
    while any(sum(map(len, values)) < SAMPLES for values in drawn.values()):
        module.reset_parameters()
        for name, parameter in module.named_parameters():
            drawn[name].append(parameter.detach().clone().flatten())
    for name, values in drawn.items():
        values = torch.cat(values).double()
        assert values.abs().max() <= limit * (1 + 1e-6), f"{module}: {name} leaves the bound"
        assert values.max() > 0.99 * limit and values.min() < -0.99 * limit, f"{module}: {name}"
        # A uniform distribution in [-b, b] has the standard deviation b / sqrt(3).
        assert abs(values.std() * math.sqrt(3) / limit - 1) < 0.05, f"{module}: {name} is not uniform"
    return sum(sum(map(len, values)) for values in drawn.values())


def write(folder, version):
    """Writes the file; returns lines that say what is in it."""
    torch.manual_seed(SEED)
    cases, samples = [], 0
    for kind, settings, _ in CASES:
        module, limit = kind(**settings), bound(kind, settings)
        samples += sample(module, limit)
        tensors = {
            name: {"shape": list(parameter.shape), "bound": limit}
            for name, parameter in module.named_parameters()
        }
        cases.append({"module": kind.__name__, "settings": settings, "tensors": tensors})
    encoding.write(folder / "init.json", {"torch": version}, "cases", cases)
    return [f"init.json: {len(cases)} cases, {samples:,} entries drawn, all within their bounds"]
