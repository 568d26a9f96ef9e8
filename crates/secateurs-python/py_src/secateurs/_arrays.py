"""NumPy arrays in the form in which Rust reads them in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _rust


def scores(array: Any, what: str = "the array") -> np.ndarray:
    """The array itself, or where Rust cannot read it in place (not aligned, bytes swapped), a copy."""
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        array = array.view(np.int16)
    elif array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        raise TypeError(
            f"{what} has dtype {array.dtype}, but float16, float32, float64 or bfloat16 is needed; "
            "convert it by astype"
        )
    return readable(array)


def readable(array: np.ndarray) -> np.ndarray:
    steps = all(step % array.itemsize == 0 for step in array.strides)
    if array.dtype.isnative and array.flags.aligned and steps:
        return array
    return array.astype(array.dtype.newbyteorder("="), order="C", copy=True)


def prior(mask: Any, what: str = "the mask") -> _rust.Mask | None:
    """The packed form of a mask of booleans, or of zeros and ones."""
    if mask is None or isinstance(mask, _rust.Mask):
        return mask
    mask = np.asarray(mask)
    if mask.dtype.name == "bfloat16":
        mask = mask.astype(np.float32)
    if mask.dtype.kind in "iu" and mask.dtype.itemsize > 1:
        if not ((mask == 0) | (mask == 1)).all():
            raise ValueError(f"{what} holds other values than 0 and 1")
        mask = mask.astype(np.uint8)
    if mask.dtype.kind not in "biuf" or mask.dtype.itemsize > 8:
        raise TypeError(
            f"{what} has dtype {mask.dtype}, but bool, or a number type with only 0 and 1, is needed"
        )
    packed = _rust.Mask.from_dense(readable(mask))
    if packed is None:
        raise ValueError(f"{what} holds other values than 0 and 1")
    return packed


def dense(mask: _rust.Mask, shape: tuple[int, ...]) -> np.ndarray:
    """The mask as an array of bool."""
    out = np.ones(shape, np.int8)
    mask.zero_pruned(out)
    return out.view(np.bool_)
