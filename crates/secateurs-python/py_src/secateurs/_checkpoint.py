"""Checkpoints: safetensors files and sharded folders of any size, pruned as streams."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from os import PathLike
from typing import Any

from . import _rust
from ._amount import Until

Progress = bool | None | Callable[[str, int, int], Any]


def prune_checkpoint(
    path: str | PathLike[str],
    output: str | PathLike[str] | None,
    amount: int | float | Until | None = None,
    *,
    method: str = "l1",
    scope: str | None = None,
    tensors: Iterable[str] | None = None,
    n: float | str = 2,
    dim: int | None = None,
    keep: int = 2,
    of: int = 4,
    block: tuple[int, int] = (4, 4),
    by: str = "mean_square",
    seed: int = 0,
    max_sparsity: float | Mapping[str, float] | None = None,
    normalize: bool = False,
    masks: str | PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress = None,
) -> dict[str, Any]:
    """Prunes a checkpoint into a new one, in little memory, and returns what was done.

    Args:
        path: a ``.safetensors`` file, or a folder of several with an index.
        output: where to write. It must not exist, unless `overwrite` is true. With None, nothing is written.
        amount: a fraction (float), a count (int) or ``secateurs.until(share)``; none for ``"nm"``.
        method: ``"l1"``, ``"random"``, ``"ln"`` (channels), ``"random_structured"``, ``"nm"`` or
            ``"blocks"``.
        scope: ``"global"`` ranks all tensors together, ``"local"`` each by itself. Global by default, where
            the method allows it.
        tensors: names of the tensors to prune; by default weights, but not embeddings, norms or ``lm_head``.
        n, dim: norm and dimension of ``"ln"``; `dim` is also that of ``"random_structured"`` and ``"nm"``.
        keep, of: how many of each so many entries ``"nm"`` keeps.
        block, by: height and width of ``"blocks"``, ranked by ``"mean_square"`` or ``"max_abs"``.
        seed: seed of the random methods.
        max_sparsity: a cap on the sparsity of every tensor, or of single ones by name; for global scope.
        normalize: rank by an entry's share of its tensor's norm; for global scope.
        masks: a file for the masks, if wanted.
        overwrite: replace an output that exists, once the new one is complete.
        progress: True shows progress (by ``tqdm`` if it is installed), False does not, None does so in
            terminals and notebooks. Or a function of the phase, the bytes that are done, and those in all.

    Raises:
        ValueError: settings, names or files that do not fit.
        OSError: files that cannot be read or written.
    """
    whole = scope == "global" if scope is not None else method in ("l1", "random")
    if scope not in (None, "global", "local"):
        raise ValueError(f"scope is 'global' or 'local', not {scope!r}")
    caps = list(max_sparsity.items()) if isinstance(max_sparsity, Mapping) else []
    with _shown(progress) as observer:
        return _rust.prune_checkpoint(
            path,
            output,
            _method(method, amount, n, dim, keep, of, block, by, seed),
            whole=whole,
            include=_names(tensors),
            max_sparsity=None if isinstance(max_sparsity, Mapping) else max_sparsity,
            caps=caps,
            normalize=normalize,
            masks=masks,
            overwrite=overwrite,
            progress=observer,
        )


def inspect(
    path: str | PathLike[str], *, tensors: Iterable[str] | None = None, progress: Progress = None
) -> dict[str, dict[str, Any]]:
    """What the tensors of a checkpoint hold: zeros, NaNs, sparsity, and N:M patterns with their dimension."""
    with _shown(progress) as observer:
        return _rust.inspect(path, include=_names(tensors), progress=observer)


def pack(
    path: str | PathLike[str],
    output: str | PathLike[str],
    *,
    canonical_zeros: bool = False,
    overwrite: bool = False,
    progress: Progress = None,
) -> dict[str, Any]:
    """Stores the zeros of a checkpoint as bits. :func:`unpack` restores every byte.

    With `canonical_zeros`, a −0.0 counts as a zero, too, and comes back as +0.0.
    """
    with _shown(progress) as observer:
        return _rust.pack(
            path, output, canonical_zeros=canonical_zeros, overwrite=overwrite, progress=observer
        )


def unpack(
    path: str | PathLike[str],
    output: str | PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress = None,
) -> dict[str, Any]:
    """Restores a checkpoint that :func:`pack` packed, bit for bit."""
    with _shown(progress) as observer:
        return _rust.unpack(path, output, overwrite=overwrite, progress=observer)


def _names(tensors: Iterable[str] | None) -> list[str] | None:
    if isinstance(tensors, str):
        raise TypeError("`tensors` is a list of names; for one tensor, write a list of one name")
    return None if tensors is None else list(tensors)


def _method(
    method: str,
    amount: Any,
    n: Any,
    dim: int | None,
    keep: int,
    of: int,
    block: tuple[int, int],
    by: str,
    seed: int,
) -> _rust.Method:
    if method == "nm":
        if amount is not None:
            raise TypeError("`nm` has no amount: `keep` and `of` say how much is kept")
        return _rust.Method.nm(keep, of, -1 if dim is None else dim)
    if amount is None:
        raise TypeError(f"`{method}` needs an amount")
    if method == "l1":
        return _rust.Method.l1(amount)
    if method == "random":
        return _rust.Method.random(amount, seed)
    if method == "blocks":
        height, width = block
        return _rust.Method.blocks(amount, height, width, by)
    if method == "ln":
        return _rust.Method.ln(amount, n, 0 if dim is None else dim)
    if method == "random_structured":
        return _rust.Method.random_channels(amount, 0 if dim is None else dim, seed)
    raise ValueError(f"method is 'l1', 'random', 'ln', 'random_structured', 'nm' or 'blocks', not {method!r}")


@contextmanager
def _shown(progress: Progress):
    """The function that is told of progress, for as long as a call lasts."""
    if callable(progress):
        yield progress
        return
    notebook = "ipykernel" in sys.modules
    if progress is None:
        progress = notebook or (sys.stderr is not None and sys.stderr.isatty())
    if not progress:
        yield None
        return
    display = _Display()
    try:
        yield display
    finally:
        display.close()


class _Display:
    """A bar of tqdm for each phase, or a line of text where tqdm is not installed."""

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            tqdm = None
        self.tqdm = tqdm
        self.bar: Any = None
        self.phase = ""
        self.percent = -1

    def __call__(self, phase: str, done: int, total: int) -> None:
        if self.tqdm is None:
            percent = 100 * done // total if total else 100
            if (phase, percent) != (self.phase, self.percent):
                self.phase, self.percent = phase, percent
                print(f"\r{phase} {percent:3} %", end="", file=sys.stderr, flush=True)
            return
        if phase != self.phase:
            self.close()
            self.phase = phase
            self.bar = self.tqdm(total=total, desc=phase, unit="B", unit_scale=True)
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        elif self.phase and self.tqdm is None:
            print(file=sys.stderr)
