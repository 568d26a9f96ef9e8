"""ONNX models without the channels that matter least."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np

from . import _rust
from ._amount import Until
from ._checkpoint import _names

_Path = str | PathLike[str]
_Function = Callable[[str, np.ndarray], np.ndarray | None]


def shrink(
    input: _Path,
    output: _Path | None,
    amount: int | float | Until | None = None,
    *,
    macs: float | None = None,
    parameters: float | None = None,
    bytes: float | None = None,
    zeros: bool = False,
    importance: str | Mapping[str, Any] | _Function = "l2",
    norm: float | None = None,
    reduction: str = "sum",
    scope: str = "group",
    normalize: bool = True,
    seed: int = 0,
    round_to: int = 8,
    keep_at_least: int = 1,
    include: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    inexact: Iterable[str] = (),
    whole_heads: bool = False,
    query_heads: bool = False,
    masked: _Path | None = None,
    certificate: _Path | None = None,
    verify: bool = True,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Removes whole channels from an ONNX model, which makes it smaller and faster, and returns what was done.

    A channel is removed with everything that is coupled to it. The smaller model computes what the model
    computes with the same channels masked: both are run before anything is written. Channels that cannot be
    removed exactly are held, and the result says by what.

    Args:
        input: an ``.onnx`` file. Files of weights beside it are read with it.
        output: where to write the smaller model. With None, nothing is written.
        amount: how many channels of each group to remove: a fraction (float) or a count (int). 0.5 by default.
        macs, parameters, bytes: in place of an amount, the share of multiply-adds, of parameters, or of the
            file, that is to be left at most.
        zeros: in place of an amount, remove the channels whose weights are all zero, as ``ln_structured`` leaves
            them. The model then computes what it computes as it is.
        importance: ``"l1"``, ``"l2"``, ``"norm"``, ``"batch_norm"``, ``"random"``, or arrays of scores by the
            names of weights, or a function that is given the name of a weight and the weight, and returns its
            scores, or None if it does not count. The least important channels are removed.
        norm: the order of ``"norm"``: a number above 0, or ``math.inf`` for the largest absolute value.
        reduction: how the norms of coupled weights are combined: ``"sum"``, ``"mean"`` or ``"max"``.
        scope: ``"group"`` ranks the channels of each group, ``"global"`` those of all groups of a kind.
        normalize: with ``"global"``, rank importances relative to the mean of their group.
        seed: seed of ``"random"``.
        round_to: what is kept of a group is rounded to the nearest multiple of this; 1 rounds nothing.
        keep_at_least: the smallest number of channels of each group that is kept.
        include, exclude: names of weights; only groups with one, or without any, of these lose channels.
        inexact: kinds of operators whose channels are cut although it changes what they compute, as they then look
            at the channels that remain: any of ``"layer_norm"`` and ``"maximum"``.
        whole_heads: remove whole heads of attention; otherwise all stay, and each loses the same places.
        query_heads: the same, but of grouped queries as many heads of each group, and no keys or values.
        masked: where to write the model with the same channels masked, too, if wanted.
        certificate: where to write a certificate in JSON, if wanted: what was cut from which weights, by the rules of
            which operators, and what was verified.
        verify: run both models; without it, nothing shows that they compute the same.
        overwrite: replace outputs that exist.

    Returns:
        A dictionary with the keys ``before`` and ``after`` (each with ``parameters``, ``bytes``, ``macs`` and
        ``activations``), ``channels``, ``removed``, ``held`` (by reason), ``folded`` (with ``zeros``, the
        removed channels whose constants became bias of what reads them), ``deviation`` (the largest
        difference of outputs), ``inexact`` (the removed channels of such operators, by kind) and
        ``accepted_deviation`` (with ``inexact``, the largest difference from the plain masked model), and
        ``groups``, a list.

    Raises:
        ValueError: options that do not fit, or a model that cannot be read or run.
        OSError: files that cannot be read or written.
    """
    budgets = {"macs": macs, "parameters": parameters, "bytes": bytes}
    given = [(name, share) for name, share in budgets.items() if share is not None]
    if len(given) + (amount is not None) + zeros > 1:
        raise TypeError("`amount`, `macs`, `parameters`, `bytes` and `zeros` exclude each other; give one of them")
    scores = function = None
    if callable(importance):
        given_function, importance = importance, "l2"

        def function(name: str, weight: np.ndarray) -> np.ndarray | None:
            scores = given_function(name, weight)
            return None if scores is None else np.asarray(scores, np.float32)

    elif isinstance(importance, Mapping):
        scores = {name: np.asarray(array, np.float32) for name, array in importance.items()}
        importance = "l2"
    return _rust.shrink(
        input,
        output,
        amount=amount,
        budget=given[0] if given else None,
        zeros=zeros,
        importance=importance,
        norm=norm,
        scores=scores,
        function=function,
        reduction=reduction,
        scope=scope,
        normalize=normalize,
        seed=seed,
        round_to=round_to,
        keep_at_least=keep_at_least,
        include=_names(include),
        exclude=_names(exclude) or [],
        inexact=_names(inexact) or [],
        whole_heads=whole_heads,
        query_heads=query_heads,
        masked=masked,
        certificate=certificate,
        verify=verify,
        overwrite=overwrite,
    )
