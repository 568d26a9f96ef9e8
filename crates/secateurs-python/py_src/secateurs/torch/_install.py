"""Our computation under PyTorch's own classes."""

from __future__ import annotations

from typing import Any

from torch.nn.utils import prune as theirs

from . import _apply, _kernels


def _apply_in_place(cls, module, name, *args, importance_scores=None, **kwargs):
    return _apply.apply(cls, theirs.PruningContainer, module, name, args, importance_scores, kwargs)


def _contained_in_place(self, t, default_mask):
    mask = None
    if self._pruning_methods:
        mask = _kernels.contained(self._pruning_methods[-1], t, default_mask, t.dtype)
    return _kernels.CONTAINER(self, t, default_mask) if mask is None else mask


def _global_in_place(
    parameters, pruning_method, importance_scores=None, *, max_sparsity=None, normalize=False, **kwargs
):
    types = (theirs.CustomFromMask, theirs.PruningContainer)
    _apply.global_unstructured(
        types, parameters, pruning_method, importance_scores, max_sparsity, normalize, kwargs
    )


def _standalone_in_place(kernel: _kernels.Kernel):
    def compute_mask(self, t, default_mask):
        mask = _kernels.standalone(kernel, self, t, default_mask)
        return kernel.original(self, t, default_mask) if mask is None else mask

    _kernels.KERNELS[compute_mask] = kernel
    return compute_mask


_kernels.CONTAINERS.add(_contained_in_place)

_REPLACED: list[tuple[Any, str, Any, Any]] = [
    (theirs, "global_unstructured", _apply.GLOBAL, _global_in_place),
    (
        theirs.BasePruningMethod,
        "apply",
        theirs.BasePruningMethod.__dict__["apply"],
        classmethod(_apply_in_place),
    ),
    (theirs.PruningContainer, "compute_mask", _kernels.CONTAINER, _contained_in_place),
    *(
        (kernel.base, "compute_mask", kernel.original, _standalone_in_place(kernel))
        for kernel in (_kernels.L1, _kernels.RANDOM, _kernels.LN, _kernels.RANDOM_STRUCTURED)
    ),
]


def install() -> None:
    """Puts this package's computation under the classes and functions of ``torch.nn.utils.prune``.

    Code that uses PyTorch's module then gets the speed and the exact counts without a change. Hooks are of
    PyTorch's own classes, so what is pickled needs only PyTorch. Calling it twice is calling it once.
    """
    for owner, name, original, ours in _REPLACED:
        if vars(owner)[name] is original:
            setattr(owner, name, ours)


def uninstall() -> None:
    """Undoes :func:`install`. What is pruned stays pruned."""
    for owner, name, original, ours in _REPLACED:
        if vars(owner)[name] is ours:
            setattr(owner, name, original)


def installed() -> bool:
    """Whether :func:`install` is in effect."""
    return any(vars(owner)[name] is ours for owner, name, _, ours in _REPLACED)
