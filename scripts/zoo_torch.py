"""What scripts/zoo.py does in PyTorch: exports, and Torch-Pruning.

`torch_pruning` yields what is known so far, so that a failure of a later step keeps what the steps before it have shown.
"""

import copy
import os
import statistics
import time

import numpy
import torch
from torch import nn

import zoo_models
import zoo_tools


def export(model, x, path, dynamo=False):
    """Exports a model as either of PyTorch's exporters does by default, all in one file."""
    staged = f"{path}.part"
    names = dict(input_names=["input"], output_names=["output"])
    if dynamo:
        torch.onnx.export(model, (x,), staged, dynamo=True, opset_version=18, external_data=False, verbose=False, **names)
    else:
        torch.onnx.export(model, (x,), staged, dynamo=False, opset_version=17, **names)
    os.replace(staged, path)


def exported(name, path, sample, dynamo):
    """Exports a model and its input, unless they are there, and measures it."""
    x = zoo_models.inputs(name)
    if not path.exists():
        export(zoo_models.build(name), x, path, dynamo)
    numpy.save(sample, x.numpy())
    return zoo_tools.measured(path, x.numpy())


def last_layer(model):
    """The layer that makes the outputs, which Torch-Pruning has to be told to keep."""
    layers = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    return layers[-1]


def heads(model):
    """Layers that make queries, keys and values, with their numbers of heads, as Torch-Pruning's examples give them."""
    found = {}
    for module in model.modules():
        if isinstance(getattr(module, "qkv", None), nn.Linear) and hasattr(module, "num_heads"):
            found[module.qkv] = module.num_heads
        if all(isinstance(getattr(module, name, None), nn.Linear) for name in "qkv"):
            of_queries = getattr(module, "num_heads", None) or module.heads
            found.update({module.q: of_queries, module.k: getattr(module, "groups", of_queries)})
            found[module.v] = found[module.k]
    return found


def whole_heads(model, ratio):
    """Language models have heads of a fixed size, so whole heads go; elsewhere a part of each."""
    if isinstance(model, (zoo_models.Bert, zoo_models.Llama)):
        return dict(prune_num_heads=True, prune_head_dims=False, head_pruning_ratio=ratio)
    return {}


def prune(dense, x, ratio, round_to):
    """Torch-Pruning on a copy of a model: the copy, the pruner, and processor time."""
    import torch_pruning

    model = copy.deepcopy(dense)
    begun = time.process_time()
    pruner = torch_pruning.pruner.BasePruner(
        model, x, importance=torch_pruning.importance.GroupMagnitudeImportance(p=2), pruning_ratio=ratio,
        round_to=round_to, ignored_layers=[last_layer(model)], num_heads=heads(model), **whole_heads(model, ratio))
    pruner.step()
    return model, pruner, time.process_time() - begun


def torch_pruning(name, output, ratio, round_to):
    """Torch-Pruning on the model in PyTorch, whether the result equals the masked model, and its export."""
    dense, x, result = zoo_models.build(name), zoo_models.inputs(name), {}
    seconds = []
    # The first run also warms up, and is the only one where it takes long.
    while len(seconds) < 3 and sum(seconds) < 3:
        model, pruner, taken = prune(dense, x, ratio, round_to)
        seconds.append(taken)
    result["seconds"] = statistics.median(seconds)
    for module in model.modules():
        if getattr(module, "qkv", None) in pruner.num_heads:
            module.head_dim = module.qkv.out_features // (3 * module.num_heads)
            if hasattr(module, "attn_dim"):
                module.attn_dim = module.head_dim * module.num_heads
    result["parameters_torch"] = sum(each.numel() for each in model.parameters())
    with torch.no_grad():
        small = model(x)  # raises if layers do not fit
    yield result
    masked = masked_by_history(dense, x, pruner.pruning_history(), model)
    if masked is None:
        result["masked"] = "cannot be built"
    else:
        with torch.no_grad():
            wide, small = masked.double()(real(x)), model.double()(real(x))
        result["deviation_f64"] = float((wide - small).abs().max() / wide.abs().max())
        model.float()
    yield result
    export(model, x, output)
    result.update(zoo_tools.measured(output, x.numpy()))
    yield result


def real(x):
    """Double precision, except of tokens."""
    return x.double() if x.is_floating_point() else x


def masked_by_history(dense, x, history, pruned):
    """The dense model with zeros in place of whatever the pruned one lacks.

    A copy whose parameters hold their own indices is pruned in the same way; what is left in it tells what was kept.
    """
    import torch_pruning

    indices = copy.deepcopy(dense).double()
    with torch.no_grad():
        for parameter in indices.parameters():
            parameter.copy_(torch.arange(1, parameter.numel() + 1).view(parameter.shape))
    graph = torch_pruning.DependencyGraph().build_dependency(indices, example_inputs=real(x))
    graph.load_pruning_history(history)
    kept = dict(indices.named_parameters())
    with torch.no_grad():
        for name, parameter in dense.named_parameters():
            if kept[name].shape != dict(pruned.named_parameters())[name].shape:
                return None
            places = kept[name].reshape(-1).round().long() - 1
            # Whatever was not only moved, but computed, cannot be told.
            if places.numel() and (places.min() < 0 or places.max() >= parameter.numel()):
                return None
            mask = torch.zeros(parameter.numel(), dtype=parameter.dtype)
            mask[places] = 1
            parameter.mul_(mask.view(parameter.shape))
    return dense
