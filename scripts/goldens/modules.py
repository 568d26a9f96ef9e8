"""modules.json: outputs and gradients of modules and losses.

    {"torch": "2.12.0", "cases": [{
        "name":      unique, for messages,
        "module":    "Linear" | "Conv1d" | "Conv2d" | "Conv3d" | "LSTM" | "ReLU" | "Sigmoid" | "Tanh"
                     | "Flatten" | "Embedding" | "MaxPool2d" | "AvgPool2d" | "AdaptiveAvgPool2d"
                     | "BatchNorm1d" | "BatchNorm2d" | "CrossEntropyLoss" | "MSELoss",
        "settings":  PyTorch's constructor arguments; those of a convolution with a value per dimension are
                     lists,
        "pruned":    [parameters that carry a mask],
        "state":     {"weight": tensor, ..} the state dict, with "weight_orig" and "weight_mask" if pruned,
        "input":     tensor,
        "target":    losses only: class indices (CrossEntropyLoss) or a tensor (MSELoss), else null,
        "cotangent": tensor, of the output's shape,
        "output":    tensor,
        "h_n", "c_n": LSTM only, else null,
        "grads":     {"input": tensor, "weight": tensor, ..} of (output * cotangent).sum(), by the names of
                     the state dict ("weight_orig" if pruned),
        "dense_grads": {"weight": tensor} of the effective tensor of each pruned parameter,
        "training":  batch normalisation only: whether it was in training mode,
        "state_after": batch normalisation only: the state dict after the forward pass
    }, ..]}

A tensor is {"shape": [..], "data": [.. row-major]}. Parameters and inputs are f32; PyTorch computes from them
in f64, and the results are rounded to f32, so that they carry nobody's rounding errors. An implementation in
f32, PyTorch's own included, errs by up to 1e-5 of a tensor's largest entry; a small entry may be further off
in relation to itself. The input of an embedding holds whole numbers, and has no gradient.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.utils import prune

from goldens import encoding

SEED = 20_261


def linear(features_in, features_out, bias, *batch):
    settings = {"in_features": features_in, "out_features": features_out, "bias": bias}
    return nn.Linear, settings, (*batch, features_in)


def conv(kind, channels, kernel, size, stride=1, padding=0, dilation=1, groups=1, bias=True, batch=2):
    """A convolution; a number stands for the same number in every dimension."""
    rank = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}[kind]

    def each(value):
        return [value] * rank if isinstance(value, int) else list(value)

    settings = {
        "in_channels": channels[0],
        "out_channels": channels[1],
        "kernel_size": each(kernel),
        "stride": each(stride),
        "padding": each(padding),
        "dilation": each(dilation),
        "groups": groups,
        "bias": bias,
    }
    return kind, settings, (batch, channels[0], *each(size))


def lstm(size_in, hidden, layers, bias, batch_first, length=4, batch=3):
    settings = {
        "input_size": size_in,
        "hidden_size": hidden,
        "num_layers": layers,
        "bias": bias,
        "batch_first": batch_first,
    }
    shape = (batch, length) if batch_first else (length, batch)
    return nn.LSTM, settings, (*shape, size_in)


def pool(kind, kernel, stride, padding, *shape):
    return kind, {"kernel_size": kernel, "stride": stride, "padding": padding}, shape


def batch_norm(kind, *shape, eps=1e-5, momentum=0.1, affine=True):
    """Evaluated if the name of the case ends in `eval`."""
    settings = {"num_features": shape[1], "eps": eps, "momentum": momentum, "affine": affine}
    return kind, settings, shape


# name: (class, settings, shape of the input[, parameters to prune])
CASES = {
    "linear": linear(5, 3, True, 4),
    "linear_no_bias": linear(5, 3, False, 4),
    "linear_3d": linear(4, 6, True, 2, 3),
    "linear_3d_no_bias": linear(4, 2, False, 3, 2),
    "linear_one": linear(1, 1, True, 1),
    "conv1d": conv(nn.Conv1d, (2, 3), 3, 8),
    "conv1d_stride_padding": conv(nn.Conv1d, (2, 4), 3, 9, stride=2, padding=2),
    "conv1d_dilation_no_bias": conv(nn.Conv1d, (3, 2), 3, 10, dilation=3, bias=False),
    "conv1d_groups": conv(nn.Conv1d, (4, 6), 2, 7, groups=2, padding=1),
    "conv1d_depthwise": conv(nn.Conv1d, (3, 6), 3, 8, groups=3, stride=3, dilation=2, padding=1),
    "conv1d_unread_end": conv(nn.Conv1d, (1, 2), 2, 6, stride=3),
    "conv1d_pointwise": conv(nn.Conv1d, (3, 4), 1, 5),
    "conv2d": conv(nn.Conv2d, (2, 3), 3, (6, 5)),
    "conv2d_no_bias": conv(nn.Conv2d, (1, 2), 2, 4, bias=False, batch=1),
    "conv2d_same_padding": conv(nn.Conv2d, (2, 4), 3, 5, padding=1),
    "conv2d_uneven": conv(
        nn.Conv2d, (2, 3), (3, 2), (8, 7), stride=(2, 1), padding=(1, 2), dilation=(1, 3)
    ),
    "conv2d_stride": conv(nn.Conv2d, (3, 2), 3, 8, stride=2),
    "conv2d_dilation": conv(nn.Conv2d, (2, 2), 3, 9, dilation=2, padding=2, bias=False),
    "conv2d_groups": conv(nn.Conv2d, (4, 6), 3, 5, groups=2, padding=1),
    "conv2d_depthwise": conv(nn.Conv2d, (4, 4), 3, 6, groups=4, stride=2, padding=1, bias=False),
    "conv2d_pointwise": conv(nn.Conv2d, (3, 5), 1, (3, 4)),
    "conv3d": conv(nn.Conv3d, (2, 2), 2, (4, 3, 4)),
    "conv3d_uneven": conv(
        nn.Conv3d, (1, 2), (2, 3, 1), (5, 6, 4), stride=(2, 1, 3), padding=(1, 0, 1), dilation=(1, 2, 1)
    ),
    "conv3d_stride_padding_no_bias": conv(nn.Conv3d, (2, 3), 3, 4, stride=2, padding=1, bias=False),
    "conv3d_groups": conv(nn.Conv3d, (4, 4), 2, 3, groups=2),
    "relu": (nn.ReLU, {}, (3, 4)),
    "sigmoid": (nn.Sigmoid, {}, (3, 4)),
    "tanh": (nn.Tanh, {}, (2, 3, 2)),
    "flatten": (nn.Flatten, {"start_dim": 1, "end_dim": -1}, (2, 3, 2, 2)),
    "flatten_middle": (nn.Flatten, {"start_dim": 1, "end_dim": 2}, (2, 3, 2, 2)),
    "flatten_all": (nn.Flatten, {"start_dim": 0, "end_dim": -1}, (2, 3, 2)),
    "cross_entropy": (nn.CrossEntropyLoss, {}, (6, 4)),
    "cross_entropy_one": (nn.CrossEntropyLoss, {}, (1, 10)),
    "mse": (nn.MSELoss, {}, (5, 3)),
    "mse_3d": (nn.MSELoss, {}, (2, 3, 2)),
    "lstm": lstm(3, 4, 1, True, False),
    "lstm_no_bias": lstm(3, 4, 1, False, False),
    "lstm_batch_first": lstm(5, 3, 1, True, True),
    "lstm_two_layers": lstm(3, 4, 2, True, False),
    "lstm_two_layers_no_bias_batch_first": lstm(2, 3, 2, False, True),
    "lstm_three_layers_batch_first": lstm(3, 2, 3, True, True, length=5, batch=2),
    "lstm_one_step": lstm(2, 2, 1, True, False, length=1, batch=1),
    "pruned_linear": (*linear(6, 4, True, 3), ["weight"]),
    "pruned_linear_and_bias": (*linear(4, 5, True, 2, 2), ["weight", "bias"]),
    "pruned_conv2d": (*conv(nn.Conv2d, (2, 4), 3, 5, stride=2, padding=1), ["weight"]),
    "pruned_conv2d_groups": (*conv(nn.Conv2d, (4, 4), 2, 4, groups=2, bias=False), ["weight"]),
    "embedding": (nn.Embedding, {"num_embeddings": 5, "embedding_dim": 3}, (2, 4)),
    "embedding_flat": (nn.Embedding, {"num_embeddings": 3, "embedding_dim": 2}, (6,)),
    "max_pool2d": pool(nn.MaxPool2d, [2, 2], [2, 2], [0, 0], 2, 3, 6, 7),
    "max_pool2d_uneven": pool(nn.MaxPool2d, [3, 2], [2, 1], [1, 1], 2, 2, 5, 4),
    "max_pool2d_no_batch": pool(nn.MaxPool2d, [3, 3], [2, 2], [1, 1], 2, 5, 5),
    "avg_pool2d": pool(nn.AvgPool2d, [2, 2], [2, 2], [0, 0], 2, 3, 5, 6),
    "avg_pool2d_uneven": pool(nn.AvgPool2d, [3, 2], [1, 2], [1, 0], 1, 2, 4, 6),
    "avg_pool2d_no_batch": pool(nn.AvgPool2d, [2, 4], [1, 1], [1, 2], 2, 3, 4),
    "adaptive_avg_pool2d": (nn.AdaptiveAvgPool2d, {"output_size": [1, 1]}, (2, 3, 4, 5)),
    "adaptive_avg_pool2d_uneven": (nn.AdaptiveAvgPool2d, {"output_size": [3, 4]}, (2, 2, 7, 6)),
    "adaptive_avg_pool2d_larger": (nn.AdaptiveAvgPool2d, {"output_size": [4, 3]}, (2, 3, 2)),
    "batch_norm1d": batch_norm(nn.BatchNorm1d, 5, 3),
    "batch_norm1d_length": batch_norm(nn.BatchNorm1d, 2, 3, 4, eps=0.1, momentum=0.3),
    "batch_norm1d_eval": batch_norm(nn.BatchNorm1d, 4, 3),
    "batch_norm2d": batch_norm(nn.BatchNorm2d, 2, 3, 3, 4),
    "batch_norm2d_plain_cumulative": batch_norm(nn.BatchNorm2d, 3, 2, 2, 2, momentum=None, affine=False),
    "batch_norm2d_eval": batch_norm(nn.BatchNorm2d, 2, 3, 2, 3, eps=1e-3),
    "batch_norm2d_plain_eval": batch_norm(nn.BatchNorm2d, 2, 2, 3, 2, affine=False),
    "pruned_embedding": (nn.Embedding, {"num_embeddings": 4, "embedding_dim": 3}, (5,), ["weight"]),
    "pruned_batch_norm2d": (*batch_norm(nn.BatchNorm2d, 2, 4, 2, 3), ["weight", "bias"]),
    "pruned_lstm": (*lstm(3, 3, 2, True, False), ["weight_ih_l0", "weight_hh_l1"]),
}


NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def draw_input(rng, kind, shape, settings):
    if kind is nn.Embedding:
        return rng.integers(0, settings["num_embeddings"], shape)
    values = rng.normal(size=shape)
    if kind in (nn.Sigmoid, nn.Tanh):
        values = np.clip(values, -2.0, 2.0)  # where f32 does not yet lose the slope
    if kind is nn.ReLU:
        values.flat[0] = 0.0  # the slope at 0 is 0
    return values.astype(np.float32)


def draw_target(rng, kind, shape):
    if kind is nn.CrossEntropyLoss:
        return rng.integers(0, shape[1], shape[0])
    if kind is nn.MSELoss:
        return rng.normal(size=shape).astype(np.float32)
    return None


def build(rng, kind, settings, pruned):
    """The module in f64 with random f32 parameters, pruned by random masks."""
    module = kind(**settings)
    with torch.no_grad():
        for parameter in module.parameters():
            values = rng.normal(scale=0.5, size=parameter.shape).astype(np.float32)
            parameter.copy_(torch.tensor(values))
        if kind in NORMS:
            channels = settings["num_features"]
            module.running_mean.copy_(torch.tensor(rng.normal(size=channels).astype(np.float32)))
            module.running_var.copy_(torch.tensor(rng.uniform(0.5, 2.0, channels).astype(np.float32)))
            module.num_batches_tracked.fill_(3)
    for name in pruned:
        mask = rng.random(getattr(module, name).shape) < 0.5
        prune.custom_from_mask(module, name, torch.tensor(mask, dtype=torch.float32))
    return module.double()


def case(name, rng):
    """Runs one case forward and backward."""
    kind, settings, shape, *rest = CASES[name]
    pruned = rest[0] if rest else []
    module = build(rng, kind, settings, pruned)
    values = draw_input(rng, kind, shape, settings)
    target = draw_target(rng, kind, shape)

    def tensor(value):
        return None if value is None else encoding.tensor(value.detach().numpy())

    def state():
        return {key: tensor(value) for key, value in module.state_dict().items()}

    before = state()
    module.train(not name.endswith("eval"))
    if kind is nn.Embedding:
        x = torch.tensor(values)
    else:
        x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    arguments = [x]
    if target is not None:
        arguments.append(torch.tensor(target, dtype=None if target.dtype == np.int64 else torch.float64))
    output = module(*arguments)
    h_n = c_n = None
    if kind is nn.LSTM:
        output, (h_n, c_n) = output
    for parameter in pruned:
        getattr(module, parameter).retain_grad()
    cotangent = rng.normal(size=tuple(output.shape)).astype(np.float32) if output.dim() else np.float32(0.75)
    (output * torch.tensor(cotangent, dtype=torch.float64)).sum().backward()

    written_target = None
    if target is not None:
        written_target = (encoding.integers if target.dtype == np.int64 else encoding.tensor)(target)
    grads = {} if x.grad is None else {"input": tensor(x.grad)}
    grads |= {parameter: tensor(value.grad) for parameter, value in module.named_parameters()}
    of_norms = {"training": module.training, "state_after": state()} if kind in NORMS else {}
    return {
        "name": name,
        "module": kind.__name__,
        "settings": settings,
        "pruned": pruned,
        "state": before,
        "input": encoding.tensor(values),
        "target": written_target,
        "cotangent": encoding.tensor(cotangent),
        "output": tensor(output),
        "h_n": tensor(h_n),
        "c_n": tensor(c_n),
        "grads": grads,
        "dense_grads": {parameter: tensor(getattr(module, parameter).grad) for parameter in pruned},
        **of_norms,
    }


def write(folder, version):
    """Writes the file; returns lines that say what is in it."""
    cases = [case(name, np.random.default_rng([SEED, *name.encode()])) for name in CASES]
    encoding.write(folder / "modules.json", {"torch": version}, "cases", cases)
    kinds = [one["module"] for one in cases]
    tally = ", ".join(f"{kind}: {kinds.count(kind)}" for kind in dict.fromkeys(kinds))
    pruned = sum(bool(one["pruned"]) for one in cases)
    return [f"modules.json: {len(cases)} cases, {pruned} of them pruned", f"  {tally}"]
