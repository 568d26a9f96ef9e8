"""A drop-in for ``torch.nn.utils.prune``, computed in Rust.

Every public name of PyTorch's module is here, with the same signature. Classes are subclasses of PyTorch's,
so that modules pruned by one can be gone on with by the other. Tensors of float32, float64, float16 and
bfloat16 on the CPU are ranked in place, without a copy; anything else is left to PyTorch's own code.

What differs from PyTorch:

- Of equal magnitudes the first are pruned, and exactly as many entries or channels as requested. PyTorch
  leaves the choice to ``topk``.
- NaN among the entries to be ranked raises ``ValueError``. PyTorch keeps them as the most important.
- A call that fails changes nothing, also where the parameter was pruned before or a later one of a global
  call fails.
- Masks have the parameter's dtype, also where importance scores have another.
- Weights in any memory layout can be pruned, such as ``channels_last``, by entries and globally, too.
- ``parameters`` of a global call may be a generator.
- Random masks are other ones than PyTorch's for the same seed. They depend on ``torch.manual_seed``, too.
- After a global call, hook and module share the mask instead of holding two.

What is here besides: :class:`NmStructured`, :class:`BlockStructured` and :class:`ScoreUnstructured` with
their functions, caps and norms in :func:`global_unstructured`, and ``secateurs.until`` wherever an amount is
taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from torch import Tensor
from torch.nn import Module
from torch.nn.utils import prune as _theirs
from torch.nn.utils.prune import (  # noqa: F401  (private ones are used by name)
    _compute_norm,
    _compute_nparams_toprune,
    _validate_pruning_amount,
    _validate_pruning_dim,
    _validate_structured_pruning,
    is_pruned,
    remove,
)

from .._amount import Until, until
from . import _apply, _kernels

Amount = int | float | Until
_Module = TypeVar("_Module", bound=Module)

__all__ = [
    "BasePruningMethod",
    "BlockStructured",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "NmStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "ScoreUnstructured",
    "Until",
    "block_structured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "nm_structured",
    "random_structured",
    "random_unstructured",
    "remove",
    "score_unstructured",
    "until",
]


def _validate_pruning_amount_init(amount: Any) -> None:
    """Refuses an amount that is neither a count, nor a fraction in [0, 1], nor a ``secateurs.until``."""
    if not isinstance(amount, Until):
        _theirs._validate_pruning_amount_init(amount)


class BasePruningMethod(_theirs.BasePruningMethod):
    """The base of methods of your own: define ``compute_mask`` and ``PRUNING_TYPE``, as in PyTorch."""

    @classmethod
    def apply(cls, module, name, *args, importance_scores=None, **kwargs):
        """Prunes a parameter of a module by this method, and returns the hook that keeps it pruned."""
        return _apply.apply(cls, PruningContainer, module, name, args, importance_scores, kwargs)

    def _compute(self, kernel: _kernels.Kernel, in_torch: Any, t: Any, default_mask: Any) -> Any:
        mask = None
        if _kernels.is_unpatched(kernel):
            mask = _kernels.standalone(kernel, self, t, default_mask)
        if mask is not None:
            return mask
        if isinstance(getattr(self, "amount", None), Until):
            raise TypeError("secateurs.until needs a binary mask and a float tensor on the CPU")
        return in_torch(t, default_mask=default_mask)


class PruningContainer(BasePruningMethod, _theirs.PruningContainer):
    """The methods that pruned one parameter, in order. Its mask is the last one's, on top of the others'."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of the last method on what ``default_mask`` keeps of ``t``."""
        mask = None
        if self._pruning_methods:
            mask = _kernels.contained(self._pruning_methods[-1], t, default_mask, t.dtype)
        return super().compute_mask(t, default_mask) if mask is None else mask


class Identity(BasePruningMethod, _theirs.Identity):
    """Prunes nothing, and puts a mask of ones on the parameter."""

    @classmethod
    def apply(cls, module, name):
        """Puts a mask of ones on a parameter."""
        return BasePruningMethod.apply.__func__(cls, module, name)


class _WithAmount(BasePruningMethod):
    def __init__(self, amount: Amount) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount


class RandomUnstructured(_WithAmount, _theirs.RandomUnstructured):
    """Prunes entries at random, of those that remain."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """A mask of random entries of ``t``, on top of ``default_mask``."""
        return self._compute(_kernels.RANDOM, super().compute_mask, t, default_mask)

    @classmethod
    def apply(cls, module, name, amount):
        """Prunes entries of a parameter at random."""
        return BasePruningMethod.apply.__func__(cls, module, name, amount=amount)


class L1Unstructured(_WithAmount, _theirs.L1Unstructured):
    """Prunes the entries of least magnitude, of those that remain."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """A mask without the entries of least magnitude of ``t``, on top of ``default_mask``."""
        return self._compute(_kernels.L1, super().compute_mask, t, default_mask)

    @classmethod
    def apply(cls, module, name, amount, importance_scores=None):
        """Prunes the entries of least magnitude of a parameter, or of its scores."""
        return BasePruningMethod.apply.__func__(
            cls, module, name, amount=amount, importance_scores=importance_scores
        )


class RandomStructured(BasePruningMethod, _theirs.RandomStructured):
    """Prunes channels along ``dim`` at random, of those that remain."""

    def __init__(self, amount: Amount, dim: int = -1) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """A mask of random channels of ``t``, on top of ``default_mask``."""
        return self._compute(_kernels.RANDOM_STRUCTURED, super().compute_mask, t, default_mask)

    @classmethod
    def apply(cls, module, name, amount, dim=-1):
        """Prunes channels of a parameter at random."""
        return BasePruningMethod.apply.__func__(cls, module, name, amount=amount, dim=dim)


class LnStructured(BasePruningMethod, _theirs.LnStructured):
    """Prunes the channels along ``dim`` of least ``n``-norm, of those that remain."""

    def __init__(self, amount: Amount, n: float | str, dim: int = -1) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount
        self.n = n
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """A mask without the channels of least norm of ``t``, on top of ``default_mask``."""
        return self._compute(_kernels.LN, super().compute_mask, t, default_mask)

    @classmethod
    def apply(cls, module, name, amount, n, dim, importance_scores=None):
        """Prunes the channels of least norm of a parameter, or of its scores."""
        return BasePruningMethod.apply.__func__(
            cls, module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores
        )


class CustomFromMask(BasePruningMethod, _theirs.CustomFromMask):
    """Prunes by a mask that is given."""

    @classmethod
    def apply(cls, module, name, mask):
        """Prunes a parameter by a mask."""
        return BasePruningMethod.apply.__func__(cls, module, name, mask=mask)


class _Only(BasePruningMethod):
    """Methods that PyTorch does not have, and so cannot compute in our place."""

    PRUNING_TYPE = "global"

    def _refuse(self, t, default_mask):
        raise TypeError(
            f"{type(self).__name__} needs a float tensor on the CPU and a binary mask of its shape, "
            "both not empty"
        )


class ScoreUnstructured(_Only, _WithAmount):
    """Prunes the entries of least value, sign and all: for importance scores."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """A mask without the entries of least value of ``t``, of those that ``default_mask`` keeps."""
        return self._compute(_kernels.SCORE, self._refuse, t, default_mask)


class NmStructured(_Only):
    """Keeps the ``keep`` entries of greatest magnitude of each ``of`` consecutive entries along ``dim``."""

    def __init__(self, keep: int = 2, of: int = 4, dim: int = -1) -> None:
        _kernels._rust.Method.nm(keep, of, dim)  # checks
        self.keep = keep
        self.of = of
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The N:M mask of ``t``, of what ``default_mask`` keeps."""
        return self._compute(_kernels.NM, self._refuse, t, default_mask)


class BlockStructured(_Only):
    """Prunes tiles of the last two dimensions, by ``"mean_square"`` or ``"max_abs"``."""

    def __init__(self, amount: Amount, height: int, width: int, by: str = "mean_square") -> None:
        _validate_pruning_amount_init(amount)
        _kernels._rust.Method.blocks(0, height, width, by)  # checks
        self.amount = amount
        self.height = height
        self.width = width
        self.by = by

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """A mask without the lowest tiles of ``t``, of those that ``default_mask`` keeps."""
        return self._compute(_kernels.BLOCKS, self._refuse, t, default_mask)


for _class, _kernel in (
    (L1Unstructured, _kernels.L1),
    (RandomUnstructured, _kernels.RANDOM),
    (LnStructured, _kernels.LN),
    (RandomStructured, _kernels.RANDOM_STRUCTURED),
    (ScoreUnstructured, _kernels.SCORE),
    (NmStructured, _kernels.NM),
    (BlockStructured, _kernels.BLOCKS),
):
    _kernels.KERNELS[_class.compute_mask] = _kernel
_kernels.CONTAINERS.add(PruningContainer.compute_mask)


def identity(module: _Module, name: str) -> _Module:
    """Puts a mask of ones on ``module``'s parameter ``name``."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: _Module, name: str, amount: Amount) -> _Module:
    """Prunes entries at random: a fraction (float) or a count (int) of those that remain."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: _Module, name: str, amount: Amount, importance_scores: Tensor | None = None
) -> _Module:
    """Prunes the entries of least magnitude: a fraction (float) or a count (int) of those that remain.

    >>> import torch
    >>> layer = torch.nn.Linear(3, 1)
    >>> _ = layer.weight.data.copy_(torch.tensor([[0.1, -3.0, 2.0]]))
    >>> l1_unstructured(layer, "weight", amount=2).weight_mask
    tensor([[0., 1., 0.]])
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: _Module, name: str, amount: Amount, dim: int) -> _Module:
    """Prunes channels along ``dim`` at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: _Module,
    name: str,
    amount: Amount,
    n: float | str,
    dim: int,
    importance_scores: Tensor | None = None,
) -> _Module:
    """Prunes the channels along ``dim`` of least ``n``-norm."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: Callable[..., Any],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    *,
    max_sparsity: float | None = None,
    normalize: bool = False,
    **kwargs: Any,
) -> None:
    """Prunes entries of several parameters, all ranked together.

    Args:
        parameters: pairs of a module and the name of its parameter.
        pruning_method: an unstructured method, such as :class:`L1Unstructured`.
        importance_scores: other scores for some of the pairs.
        max_sparsity: a cap on the sparsity of each parameter, in [0, 1].
        normalize: rank by an entry's share of its parameter's norm.
        kwargs: settings of the method, such as ``amount``.
    """
    types = (CustomFromMask, PruningContainer)
    _apply.global_unstructured(
        types, parameters, pruning_method, importance_scores, max_sparsity, normalize, kwargs
    )


def custom_from_mask(module: _Module, name: str, mask: Tensor) -> _Module:
    """Prunes by a mask."""
    CustomFromMask.apply(module, name, mask)
    return module


def score_unstructured(
    module: _Module, name: str, amount: Amount, importance_scores: Tensor | None = None
) -> _Module:
    """Prunes the entries of least value, sign and all."""
    ScoreUnstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def nm_structured(
    module: _Module,
    name: str,
    keep: int = 2,
    of: int = 4,
    dim: int = -1,
    importance_scores: Tensor | None = None,
) -> _Module:
    """Keeps ``keep`` of each ``of`` consecutive entries along ``dim``, as in 2:4."""
    NmStructured.apply(module, name, keep=keep, of=of, dim=dim, importance_scores=importance_scores)
    return module


def block_structured(
    module: _Module,
    name: str,
    amount: Amount,
    height: int,
    width: int,
    by: str = "mean_square",
    importance_scores: Tensor | None = None,
) -> _Module:
    """Prunes tiles of the last two dimensions."""
    BlockStructured.apply(module, name, amount, height, width, by=by, importance_scores=importance_scores)
    return module
