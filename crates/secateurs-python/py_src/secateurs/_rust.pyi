from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, final

import numpy as np

from ._amount import Until

__all__ = [
    "Counts",
    "Mask",
    "Method",
    "Search",
    "Selection",
    "Task",
    "__version__",
    "apply_selection",
    "compute",
    "compute_global",
    "count",
    "inspect",
    "merge",
    "pack",
    "prune_checkpoint",
    "search",
    "shrink",
    "summarize",
    "unpack",
]
__version__: str

_Amount = int | float | Until
_Path = str | PathLike[str]
_Observer = Callable[[str, int, int], Any] | None

@final
class Mask:
    @staticmethod
    def from_dense(array: np.ndarray) -> Mask | None: ...
    def zero_pruned(self, array: np.ndarray) -> None: ...

@final
class Method:
    @staticmethod
    def l1(amount: _Amount) -> Method: ...
    @staticmethod
    def score(amount: _Amount) -> Method: ...
    @staticmethod
    def random(amount: _Amount, seed: int) -> Method: ...
    @staticmethod
    def ln(amount: _Amount, n: float | str, dim: int) -> Method: ...
    @staticmethod
    def random_channels(amount: _Amount, dim: int, seed: int) -> Method: ...
    @staticmethod
    def nm(keep: int, of: int, dim: int) -> Method: ...
    @staticmethod
    def blocks(amount: _Amount, height: int, width: int, by: str) -> Method: ...

def compute(method: Method, scores: np.ndarray, prior: Mask | None = None) -> Mask: ...
def compute_global(
    method: Method,
    names: Sequence[str],
    scores: Sequence[np.ndarray],
    priors: Sequence[Mask | None],
    max_sparsity: float | None = None,
    caps: Sequence[tuple[str, float]] = ...,
    normalize: bool = False,
) -> list[Mask]: ...
def prune_checkpoint(
    path: _Path,
    output: _Path | None,
    method: Method,
    *,
    whole: bool,
    include: Sequence[str] | None = None,
    max_sparsity: float | None = None,
    caps: Sequence[tuple[str, float]] = ...,
    normalize: bool = False,
    masks: _Path | None = None,
    overwrite: bool = False,
    progress: _Observer = None,
) -> dict[str, Any]: ...
def inspect(
    path: _Path, *, include: Sequence[str] | None = None, progress: _Observer = None
) -> dict[str, dict[str, Any]]: ...
def pack(
    path: _Path,
    output: _Path,
    *,
    canonical_zeros: bool = False,
    overwrite: bool = False,
    progress: _Observer = None,
) -> dict[str, Any]: ...
def unpack(
    path: _Path, output: _Path, *, overwrite: bool = False, progress: _Observer = None
) -> dict[str, Any]: ...

_Summary = tuple[str, str, list[int]]

@final
class Task:
    def to_bytes(self) -> bytes: ...
    @classmethod
    def from_bytes(cls, bytes: bytes) -> Task: ...

@final
class Counts:
    def to_bytes(self) -> bytes: ...
    @classmethod
    def from_bytes(cls, bytes: bytes) -> Counts: ...

@final
class Selection:
    @property
    def pruned(self) -> dict[str, int]: ...
    def to_bytes(self) -> bytes: ...
    @classmethod
    def from_bytes(cls, bytes: bytes) -> Selection: ...

@final
class Search:
    @property
    def task(self) -> Task: ...
    def end_pass(self, counts: Counts) -> Selection | None: ...
    def to_bytes(self) -> bytes: ...
    @classmethod
    def from_bytes(cls, bytes: bytes) -> Search: ...

def summarize(path: _Path) -> list[_Summary]: ...
def search(
    tensors: Sequence[_Summary],
    method: Method,
    *,
    include: Sequence[str] | None = None,
    max_sparsity: float | None = None,
    caps: Sequence[tuple[str, float]] = ...,
    normalize: bool = False,
) -> Search: ...
def count(
    path: _Path, task: Task, *, threads: int | None = None, progress: _Observer = None
) -> Counts: ...
def merge(counts: Sequence[Counts]) -> Counts: ...
def apply_selection(
    path: _Path,
    selection: Selection,
    output: _Path | None,
    *,
    masks: _Path | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    progress: _Observer = None,
) -> dict[str, Any]: ...
def shrink(
    path: _Path,
    output: _Path | None,
    *,
    amount: _Amount | None = None,
    budget: tuple[str, float] | None = None,
    zeros: bool = False,
    importance: str = "l2",
    norm: float | None = None,
    scores: dict[str, np.ndarray] | None = None,
    function: Callable[[str, np.ndarray], np.ndarray | None] | None = None,
    reduction: str = "sum",
    scope: str = "group",
    normalize: bool = True,
    seed: int = 0,
    round_to: int = 8,
    keep_at_least: int = 1,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = ...,
    inexact: Sequence[str] = ...,
    whole_heads: bool = False,
    query_heads: bool = False,
    masked: _Path | None = None,
    certificate: _Path | None = None,
    verify: bool = True,
    overwrite: bool = False,
) -> dict[str, Any]: ...
