"""Pruning of modules: all or nothing. Masks are computed first; modules change when all is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn.utils import prune as theirs

from .. import _rust
from . import _kernels

# What pruning changes in a module.
_CHANGED = (
    "_parameters",
    "_buffers",
    "_non_persistent_buffers_set",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_flat_weights",
)

GLOBAL = theirs.global_unstructured
APPLY_MASK = theirs.BasePruningMethod.apply_mask


class Undo:
    """Puts modules and hooks back as they were if anything fails."""

    def __init__(self) -> None:
        self.modules: dict[int, tuple[Any, dict, list]] = {}
        self.containers: dict[int, tuple[Any, tuple]] = {}

    def keep(self, module: Any) -> None:
        """Remembers a module, and the containers among its hooks."""
        if id(module) in self.modules:
            return
        parts = [module.__dict__[key] for key in _CHANGED if key in module.__dict__]
        self.modules[id(module)] = (module, dict(module.__dict__), [(part, part.copy()) for part in parts])
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, theirs.PruningContainer):
                self.containers.setdefault(id(hook), (hook, hook._pruning_methods))

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            return
        for module, attributes, parts in self.modules.values():
            for part, content in parts:
                if isinstance(part, list):
                    part[:] = content
                else:
                    part.clear()
                    part.update(content)
            module.__dict__.clear()
            module.__dict__.update(attributes)
        for container, methods in self.containers.values():
            container._pruning_methods = methods


def apply(
    cls: Any, container_type: Any, module: Any, name: str, args: tuple, scores: Any, kwargs: dict
) -> Any:
    """What `cls.apply` does; the hook is the result."""
    hooks = _hooks(module, name)
    method = cls(*args, **kwargs)
    method._tensor_name = name
    orig = getattr(module, name)
    if scores is None:
        scores = orig
    elif scores.shape != orig.shape:
        raise AssertionError(
            f"importance scores need the shape of parameter {name} of {module}, {tuple(orig.shape)}, "
            f"but have {tuple(scores.shape)}"
        )
    with Undo() as undo:
        undo.keep(module)
        hook = _combined(container_type, hooks, method)
        if isinstance(hook, theirs.PruningContainer):
            mask = _next_mask(hook, method, scores, getattr(module, name + "_mask"), orig.dtype)
        else:
            mask = _kernels.fresh(method, scores, orig)
            if mask is None:
                mask = method.compute_mask(scores, default_mask=torch.ones_like(orig))
        _commit(module, name, hooks, hook, mask)
    return hook


def _hooks(module: Any, name: str) -> dict[int, Any]:
    """The pruning hook of a parameter and its key, if there is one."""
    hooks = {
        key: hook
        for key, hook in module._forward_pre_hooks.items()
        if isinstance(hook, theirs.BasePruningMethod) and hook._tensor_name == name
    }
    if len(hooks) > 1:
        raise AssertionError(
            f"{name} of {module} has {len(hooks)} pruning hooks; "
            "use one PruningContainer instead of several hooks"
        )
    return hooks


def _combined(container_type: Any, hooks: dict[int, Any], method: Any) -> Any:
    for old in hooks.values():
        container = old if isinstance(old, theirs.PruningContainer) else container_type(old)
        container.add_pruning_method(method)
        return container
    return method


def _next_mask(container: Any, method: Any, scores: Any, prior: Any, dtype: torch.dtype) -> Any:
    if type(container).compute_mask in _kernels.CONTAINERS:
        mask = _kernels.contained(method, scores, prior, dtype)
        if mask is not None:
            return mask
    prior = prior.detach().clone(memory_format=torch.contiguous_format)
    return container.compute_mask(scores, default_mask=prior)


def _commit(module: Any, name: str, hooks: dict[int, Any], hook: Any, mask: Any) -> None:
    """Carries the new mask into the module, in PyTorch's order."""
    for key in hooks:
        del module._forward_pre_hooks[key]
    if not isinstance(hook, theirs.PruningContainer):
        module.register_parameter(name + "_orig", getattr(module, name))
        del module._parameters[name]
    module.register_buffer(name + "_mask", mask)
    setattr(module, name, _pruned(module, name, hook))
    module.register_forward_pre_hook(hook)


def _pruned(module: Any, name: str, hook: Any) -> Any:
    """What `hook.apply_mask` gives, in less time where that is PyTorch's."""
    if type(hook).apply_mask is APPLY_MASK and "apply_mask" not in vars(hook):
        pruned = _kernels.product(getattr(module, name + "_orig"), getattr(module, name + "_mask"))
        if pruned is not None:
            return pruned
    return hook.apply_mask(module)


def global_unstructured(
    types: tuple[Any, Any],
    parameters: Any,
    pruning_method: Any,
    importance_scores: Any,
    max_sparsity: float | None,
    normalize: bool,
    kwargs: dict,
) -> None:
    """What PyTorch's function of this name does. `types` are those of hooks: custom mask, container."""
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    if importance_scores is not None and not isinstance(importance_scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    parameters = list(parameters)
    with Undo() as undo:
        for module, _ in parameters:
            undo.keep(module)
        method = pruning_method(**kwargs)
        if method.PRUNING_TYPE != "unstructured":
            raise TypeError(
                f"global pruning ranks single entries, so the PRUNING_TYPE must be 'unstructured'; "
                f"{pruning_method} is of type {method.PRUNING_TYPE}"
            )
        masks = _global_masks(method, parameters, importance_scores or {}, max_sparsity, normalize)
        if masks is not None:
            for (module, name), mask in zip(parameters, masks):
                _set_mask(types, module, name, mask)
        elif max_sparsity is not None or normalize:
            raise ValueError(
                "caps and norms are for a method of this package, and for binary masks and float tensors "
                "on the CPU, each listed once"
            )
        else:
            GLOBAL(parameters, pruning_method, importance_scores, **kwargs)


def _global_masks(
    method: Any, parameters: list, importance_scores: dict, max_sparsity: float | None, normalize: bool
) -> list[torch.Tensor] | None:
    kernel = _kernels.kernel_of(method)
    made = None if kernel is None else kernel.make(method)
    once = len({(id(module), name) for module, name in parameters}) == len(parameters)
    if made is None or not parameters or not once:
        return None
    tensors, arrays, priors = [], [], []
    for module, name in parameters:
        tensor = getattr(module, name)
        scores = importance_scores.get((module, name), tensor)
        values = _kernels.array(scores)
        mask = getattr(module, name + "_mask", None)
        prior = None if mask is None else _kernels.packed(mask, tensor.shape)
        if values is None or _kernels.array(tensor) is None or scores.shape != tensor.shape:
            return None
        if mask is not None and prior is None:
            return None
        tensors.append(tensor)
        arrays.append(values)
        priors.append(prior)
    names = [f"{index}: {name}" for index, (_, name) in enumerate(parameters)]
    packed = _rust.compute_global(made, names, arrays, priors, max_sparsity, [], normalize)
    return [_kernels.dense(mask, tensor.shape, tensor.dtype) for mask, tensor in zip(packed, tensors)]


def _set_mask(types: tuple[Any, Any], module: Any, name: str, mask: torch.Tensor) -> None:
    """Prunes by a mask that holds what was pruned before. The hook and the module share it."""
    custom, container = types
    hooks = _hooks(module, name)
    method = custom(mask)
    method._tensor_name = name
    _commit(module, name, hooks, _combined(container, hooks, method), mask)
