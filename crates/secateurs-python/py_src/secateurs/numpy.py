"""Masks for NumPy arrays, without PyTorch.

Every function takes an array of scores, mostly the weights themselves, and returns an array of bool of the
same shape: true where an entry is kept. Arrays are float16, float32, float64 or (from ``ml_dtypes``)
bfloat16, of any rank and memory layout. They are not copied, and other threads run meanwhile.

An amount is a fraction of what is not pruned yet (``float``), a count (``int``), or
``secateurs.until(share)``. Exactly as many entries are pruned as were requested. Of equal scores the first
is pruned first. NaN among the scores is an error.

>>> import numpy
>>> weight = numpy.array([[0.1, -3.0], [2.0, -0.2]])
>>> mask = l1_unstructured(weight, 0.5)
>>> mask
array([[False,  True],
       [ True, False]])
>>> apply(mask, weight)
array([[ 0., -3.],
       [ 2.,  0.]])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _arrays, _rust
from ._amount import Until

__all__ = [
    "apply",
    "blocks",
    "global_unstructured",
    "l1_unstructured",
    "ln_structured",
    "nm",
    "random_structured",
    "random_unstructured",
    "score_unstructured",
]

Amount = int | float | Until
BoolArray = NDArray[np.bool_]


def _mask(method: _rust.Method, array: Any, mask: Any) -> BoolArray:
    scores = _arrays.scores(array)
    return _arrays.dense(_rust.compute(method, scores, _arrays.prior(mask)), scores.shape)


def _amount(amount: Any) -> Any:
    """NumPy's own numbers as Python's. A float32 is refused, because 0.1 as float32 is not 0.1."""
    if isinstance(amount, np.integer):
        return int(amount)
    if isinstance(amount, (bool, np.bool_)):
        raise TypeError("an amount is an int (a count) or a float (a fraction), not a bool")
    return amount


def l1_unstructured(array: Any, amount: Amount, *, mask: Any = None) -> BoolArray:
    """Prunes the entries of least magnitude, of those that `mask` keeps."""
    return _mask(_rust.Method.l1(_amount(amount)), array, mask)


def score_unstructured(array: Any, amount: Amount, *, mask: Any = None) -> BoolArray:
    """Prunes the entries of least value, sign and all, of those that `mask` keeps."""
    return _mask(_rust.Method.score(_amount(amount)), array, mask)


def random_unstructured(array: Any, amount: Amount, *, seed: int, mask: Any = None) -> BoolArray:
    """Prunes entries at random. The same seed gives the same mask on every machine."""
    return _mask(_rust.Method.random(_amount(amount), seed), array, mask)


def ln_structured(array: Any, amount: Amount, n: float | str, dim: int, *, mask: Any = None) -> BoolArray:
    """Prunes the channels along `dim` of least norm. `n` is a number, ±inf, ``"fro"`` or ``"nuc"``."""
    return _mask(_rust.Method.ln(_amount(amount), n, dim), array, mask)


def random_structured(array: Any, amount: Amount, dim: int, *, seed: int, mask: Any = None) -> BoolArray:
    """Prunes channels along `dim` at random."""
    return _mask(_rust.Method.random_channels(_amount(amount), dim, seed), array, mask)


def nm(array: Any, keep: int = 2, of: int = 4, dim: int = -1, *, mask: Any = None) -> BoolArray:
    """Keeps the `keep` greatest magnitudes of each `of` consecutive entries along `dim`, as in 2:4."""
    return _mask(_rust.Method.nm(keep, of, dim), array, mask)


def blocks(
    array: Any, amount: Amount, height: int, width: int, *, by: str = "mean_square", mask: Any = None
) -> BoolArray:
    """Prunes tiles of the last two dimensions, by ``"mean_square"`` or ``"max_abs"``."""
    return _mask(_rust.Method.blocks(_amount(amount), height, width, by), array, mask)


def global_unstructured(
    arrays: Mapping[str, Any] | Sequence[Any],
    amount: Amount,
    *,
    method: str = "l1",
    masks: Mapping[str, Any] | Sequence[Any] | None = None,
    max_sparsity: float | Mapping[str, float] | None = None,
    normalize: bool = False,
    seed: int | None = None,
) -> dict[str, BoolArray] | list[BoolArray]:
    """Prunes entries of several arrays, all ranked together. The arrays may have different dtypes.

    Args:
        arrays: the scores, by name or as a list.
        amount: how much of all arrays together.
        method: ``"l1"``, ``"score"``, or ``"random"``, which needs a `seed`.
        masks: the masks so far, by name or as a list.
        max_sparsity: a cap on the sparsity of each array, or of single ones by name (for a list: ``"0"``,
            ``"1"``, …).
        normalize: rank by an entry's share of its array's norm.

    Returns:
        the masks: by name if the arrays came by name, else as a list.
    """
    named = arrays if isinstance(arrays, Mapping) else {str(i): array for i, array in enumerate(arrays)}
    if masks is None:
        masks = {}
    elif not isinstance(masks, Mapping):
        if len(masks) != len(named):
            raise ValueError(f"{len(masks)} masks were given for {len(named)} arrays")
        masks = {str(i): mask for i, mask in enumerate(masks)}
    for name in masks:
        if name not in named:
            raise ValueError(f"a mask was given for {name!r}, which is not among the arrays")
    if method == "l1":
        chosen = _rust.Method.l1(_amount(amount))
    elif method == "score":
        chosen = _rust.Method.score(_amount(amount))
    elif method == "random":
        if seed is None:
            raise TypeError("method 'random' needs a seed")
        chosen = _rust.Method.random(_amount(amount), seed)
    else:
        raise ValueError(f"method is 'l1', 'score' or 'random', not {method!r}")
    caps = list(max_sparsity.items()) if isinstance(max_sparsity, Mapping) else []
    scores = [_arrays.scores(array, f"array {name!r}") for name, array in named.items()]
    packed = _rust.compute_global(
        chosen,
        list(named),
        scores,
        [_arrays.prior(masks.get(name), f"mask {name!r}") for name in named],
        None if isinstance(max_sparsity, Mapping) else max_sparsity,
        caps,
        normalize,
    )
    dense = [_arrays.dense(mask, array.shape) for mask, array in zip(packed, scores)]
    return dict(zip(named, dense)) if isinstance(arrays, Mapping) else dense


def apply(mask: Any, array: Any) -> np.ndarray:
    """A copy of the array with +0.0 wherever the mask prunes, even in place of NaN."""
    mask, array = np.asarray(mask), np.asarray(array)
    if mask.shape != array.shape:
        raise ValueError(f"the mask has shape {mask.shape}, but the array has shape {array.shape}")
    return np.where(mask.astype(bool), array, np.zeros((), array.dtype))
