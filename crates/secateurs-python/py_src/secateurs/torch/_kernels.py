"""Masks for tensors by the Rust library, where it can: floats on the CPU, binary masks.

Every function here returns None where it cannot, and PyTorch then computes the mask itself.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.utils import prune as theirs

from .. import _rust
from .._amount import Until

FLOATS = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})
MASKS = FLOATS | {torch.bool, torch.uint8, torch.int8}
HUGE = {torch.float32: np.float32, torch.float64: np.float64, torch.float16: np.float16}
BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Kernel(NamedTuple):
    """How Rust computes the mask of one of PyTorch's methods."""

    # Makes Rust's method; None if its settings are not for Rust.
    make: Callable[[Any], _rust.Method | None]
    structured: bool
    # PyTorch's class, and its own `compute_mask`. None for methods that PyTorch does not have.
    base: type | None = None
    original: Callable[..., Any] | None = None


def _entries(make: Callable[..., _rust.Method]) -> Callable[[Any], _rust.Method | None]:
    def with_amount(method: Any) -> _rust.Method | None:
        amount = _amount(method.amount)
        return None if amount is None else make(method, amount)

    return with_amount


def _ln(method: Any, amount: Any) -> _rust.Method | None:
    n = method.n
    if isinstance(n, numbers.Real):
        return _rust.Method.ln(amount, float(n), method.dim)
    return _rust.Method.ln(amount, n, method.dim) if n == "fro" else None


def _of(base: type, make: Callable[..., Any], structured: bool) -> Kernel:
    return Kernel(_entries(make), structured, base, base.__dict__["compute_mask"])


L1 = _of(theirs.L1Unstructured, lambda _, amount: _rust.Method.l1(amount), False)
RANDOM = _of(theirs.RandomUnstructured, lambda _, amount: _rust.Method.random(amount, _seed()), False)
LN = _of(theirs.LnStructured, _ln, True)
RANDOM_STRUCTURED = _of(
    theirs.RandomStructured, lambda m, amount: _rust.Method.random_channels(amount, m.dim, _seed()), True
)
NM = Kernel(lambda m: _rust.Method.nm(m.keep, m.of, m.dim), False)
BLOCKS = Kernel(_entries(lambda m, amount: _rust.Method.blocks(amount, m.height, m.width, m.by)), False)
SCORE = Kernel(_entries(lambda _, amount: _rust.Method.score(amount)), False)

# By the function that is a class's `compute_mask`. Whoever overrides or patches it is called, and not
# replaced.
KERNELS: dict[Any, Kernel] = {kernel.original: kernel for kernel in (L1, RANDOM, LN, RANDOM_STRUCTURED)}
# PyTorch's own functions, and ours in their place.
CONTAINER = theirs.PruningContainer.__dict__["compute_mask"]
CONTAINERS: set[Any] = {CONTAINER}


def kernel_of(method: Any) -> Kernel | None:
    """The kernel of a method, unless someone has replaced its computation."""
    if "compute_mask" in getattr(method, "__dict__", {}):
        return None
    try:
        kernel = KERNELS.get(type(method).compute_mask)
    except TypeError:  # not hashable
        return None
    return kernel if kernel is None or is_unpatched(kernel) else None


def is_unpatched(kernel: Kernel) -> bool:
    """Whether PyTorch's class still has PyTorch's computation, or ours. Tests patch it by name."""
    return kernel.base is None or KERNELS.get(kernel.base.__dict__.get("compute_mask")) is kernel


def fresh(method: Any, scores: Any, tensor: Any) -> torch.Tensor | None:
    """The mask of a tensor that is not pruned yet."""
    kernel = kernel_of(method)
    # Its mask lies where the tensor does, which may be elsewhere than its scores.
    new = None if kernel is None or not _is_plain(tensor) else _compute(kernel, method, scores, None)
    return None if new is None else dense(new, scores.shape, tensor.dtype)


def contained(method: Any, scores: Any, mask: Any, dtype: torch.dtype) -> torch.Tensor | None:
    """The mask of a tensor that is pruned already, of which `method` prunes what remains."""
    kernel = kernel_of(method)
    if kernel is None or array(scores) is None:
        return None
    if kernel.structured and not -scores.dim() <= method.dim < scores.dim():
        # Here PyTorch looks at the dimension before it looks for channels.
        raise IndexError(f"dimension {method.dim} is out of range for shape {tuple(scores.shape)}")
    prior = packed(mask, scores.shape)
    new = None if prior is None else _compute(kernel, method, scores, prior)
    return None if new is None else dense(new, scores.shape, dtype)


def standalone(kernel: Kernel, method: Any, scores: Any, mask: Any) -> torch.Tensor | None:
    """What PyTorch's `compute_mask` gives without a container: masked entries are ranked with the others.

    An amount that is a target, and methods that PyTorch does not have, rank only what remains.
    """
    if array(scores) is None or not _is_plain(mask) or mask.shape != scores.shape:
        return None
    if mask.requires_grad or mask.element_size() not in BITS:
        return None
    prior = None
    if kernel.base is None or isinstance(method.amount, Until):
        prior = packed(mask, scores.shape)
        if prior is None:
            return None
    new = _compute(kernel, method, scores, prior)
    if new is None:
        return None
    out = mask.to(scores.dtype) if kernel.structured else mask
    out = out.clone(memory_format=torch.contiguous_format)
    _zero(new, out)
    return out


def _compute(kernel: Kernel, method: Any, scores: Any, prior: _rust.Mask | None) -> _rust.Mask | None:
    values = array(scores)
    if values is None:
        return None
    if kernel.structured:
        theirs._validate_structured_pruning(scores)
        theirs._validate_pruning_dim(scores, method.dim)
    made = kernel.make(method)
    return None if made is None else _rust.compute(made, values, prior)


def array(tensor: Any) -> np.ndarray | None:
    """The tensor's own memory as an array, bf16 as int16; None if Rust cannot read it."""
    if not _is_plain(tensor) or tensor.dtype not in FLOATS or tensor.numel() == 0:
        return None
    return _view(tensor)


def packed(mask: Any, shape: torch.Size) -> _rust.Mask | None:
    """The packed form of a mask; None if it is not binary, or has another shape."""
    if not _is_plain(mask) or mask.dtype not in MASKS or mask.shape != shape:
        return None
    values = _view(mask)
    return None if values is None else _rust.Mask.from_dense(values)


def dense(mask: _rust.Mask, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
    """The mask as PyTorch keeps it: ones and zeros of the parameter's type."""
    out = _ones(shape, dtype)
    _zero(mask, out)
    return out


def _ones(shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
    out = _huge(shape, dtype)
    return torch.ones(shape, dtype=dtype, device="cpu") if out is None else out.fill_(1)


def _huge(shape: torch.Size, dtype: torch.dtype) -> torch.Tensor | None:
    # NumPy asks for huge pages where it allocates much, PyTorch does not. A new tensor is mostly the cost of
    # its pages.
    if dtype not in HUGE or shape.numel() < 1 << 20:
        return None
    return torch.from_numpy(np.empty(tuple(shape), HUGE[dtype]))


def product(orig: Any, mask: Any) -> torch.Tensor | None:
    """``mask * orig``, with its gradient, of a large tensor; None of any other."""
    tensors = (orig, mask)
    if not all(_is_plain(t) and t.is_contiguous() and t.dtype == orig.dtype for t in tensors):
        return None
    if mask.requires_grad or mask.shape != orig.shape:
        return None
    out = _huge(orig.shape, orig.dtype)
    return None if out is None else out.copy_(orig).mul_(mask)


def _zero(mask: _rust.Mask, out: torch.Tensor) -> None:
    # All bits of a zero are 0, whatever its type.
    mask.zero_pruned(out.view(BITS[out.element_size()]).numpy())


def _view(tensor: torch.Tensor) -> np.ndarray | None:
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.int16)
    try:
        return tensor.numpy()
    except (RuntimeError, TypeError):  # under a transformation, or with lazily conjugated values
        return None


def _is_plain(tensor: Any) -> bool:
    # A subclass may hold anything. `numpy` refuses what else has no memory of its own.
    return (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and not tensor.is_quantized
    )


def _amount(amount: Any) -> int | float | Until | None:
    """The amount for Rust; None for other numbers (fractions, float32), which PyTorch rounds its own way."""
    if isinstance(amount, numbers.Integral):
        return int(amount)
    return amount if isinstance(amount, (float, Until)) else None


def _seed() -> int:
    """A seed from PyTorch's generator, so that `torch.manual_seed` rules."""
    return int(torch.empty((), dtype=torch.int64, device="cpu").random_())
