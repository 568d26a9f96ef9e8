"""Global pruning of a checkpoint by many machines, exactly as one machine does it.

A global selection is found by counting, and counts can be added up. So every machine counts in the files
that it can read, one process merges the counts, and every machine prunes its files by what was found. The
pruned files are equal to those of ``secateurs.prune_checkpoint(..., scope="global")``, byte by byte, for any
number of machines and any assignment of files. What is sent is some hundred kilobytes a file and pass.

:func:`prune_checkpoint` does all of it, by a `map` of an engine such as Ray, Dask or ``concurrent.futures``:

    with concurrent.futures.ProcessPoolExecutor() as pool:
        secateurs.distributed.prune_checkpoint("model/", "pruned/", 0.5, map=pool.map)

Its parts, for what that does not cover, such as files that only some machines can read:

    tensors = [tensor for path in paths for tensor in summarize(path)]        # on the machines
    search = begin(tensors, 0.5)
    selection = None
    while selection is None:
        counts = [count(path, search.task) for path in paths]                 # on the machines
        selection = search.end_pass(merge(counts))
    for path in paths:
        apply(path, selection, output_of(path), overwrite=True)               # on the machines

:func:`count` and :func:`apply` depend on their arguments and on the file only. If a machine fails, run them
again, anywhere. Tasks, counts, selections and searches can be pickled.
"""

from __future__ import annotations

import builtins
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from . import _rust
from ._amount import Until
from ._checkpoint import Progress, _method, _names, _shown
from ._rust import Counts, Search, Selection, Task

__all__ = [
    "Counts",
    "Search",
    "Selection",
    "Task",
    "apply",
    "begin",
    "count",
    "merge",
    "prune_checkpoint",
    "summarize",
]

_Path = str | os.PathLike[str]
#: Name, dtype and shape of a tensor.
Summary = tuple[str, str, list[int]]


def summarize(path: _Path) -> list[Summary]:
    """Name, dtype and shape of each tensor of a file, from its header."""
    return _rust.summarize(path)


def begin(
    tensors: Iterable[Summary],
    amount: int | float | Until,
    *,
    method: str = "l1",
    names: Iterable[str] | None = None,
    seed: int = 0,
    max_sparsity: float | Mapping[str, float] | None = None,
    normalize: bool = False,
) -> Search:
    """Begins a search for what is pruned of all `tensors`, which are those of all files.

    Args:
        tensors: what :func:`summarize` returned for each file, in any order.
        amount: a fraction (float), a count (int) or ``secateurs.until(share)``.
        method: ``"l1"`` or ``"random"``, which rank single entries.
        names: names of the tensors to prune; by default weights, but not embeddings, norms or ``lm_head``.
        seed, max_sparsity, normalize: as in ``secateurs.prune_checkpoint``.
    """
    if method not in ("l1", "random"):
        raise ValueError(f"tensors are ranked together by 'l1' or 'random', not {method!r}")
    caps = list(max_sparsity.items()) if isinstance(max_sparsity, Mapping) else []
    return _rust.search(
        list(tensors),
        _method(method, amount, 2, None, 2, 4, (4, 4), "mean_square", seed),
        include=_names(names),
        max_sparsity=None if isinstance(max_sparsity, Mapping) else max_sparsity,
        caps=caps,
        normalize=normalize,
    )


def count(
    path: _Path, task: Task, *, threads: int | None = None, progress: Progress = False
) -> Counts:
    """Counts in one file, by the `task` of a search. Tensors that are not in the file are left to others.

    `threads` is how many threads may work; as many as the machine has by default.
    """
    with _shown(progress) as observer:
        return _rust.count(path, task, threads=threads, progress=observer)


def merge(counts: Iterable[Counts]) -> Counts:
    """Adds the counts of different files, in any order."""
    return _rust.merge(list(counts))


def apply(
    path: _Path,
    selection: Selection,
    output: _Path | None,
    *,
    masks: _Path | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    progress: Progress = False,
) -> dict[str, Any]:
    """Prunes one file by what a search found, and returns what was done.

    The output is written under another name, and renamed when it is complete. With `overwrite`, a call that
    is repeated replaces the file by an equal one. With None as `output`, nothing is written.
    """
    with _shown(progress) as observer:
        return _rust.apply_selection(
            path,
            selection,
            output,
            masks=masks,
            overwrite=overwrite,
            threads=threads,
            progress=observer,
        )


def prune_checkpoint(
    path: _Path,
    output: _Path,
    amount: int | float | Until,
    *,
    map: Callable[..., Iterable[Any]] = builtins.map,
    method: str = "l1",
    tensors: Iterable[str] | None = None,
    seed: int = 0,
    max_sparsity: float | Mapping[str, float] | None = None,
    normalize: bool = False,
    threads: int | None = None,
) -> dict[str, Any]:
    """Prunes all tensors of a sharded checkpoint, ranked together, by the workers behind `map`.

    Args:
        path: a folder of ``.safetensors`` files with an index, or one file; every worker can read it.
        output: a folder that is new or empty, or for one file the new file; every worker can write there.
        map: a function like ``map``, that calls a function with each of some values, anywhere, and returns
            the results in order. The functions and values can be pickled, and the calls can be repeated.
        amount, method, tensors, seed, max_sparsity, normalize: as in ``secateurs.prune_checkpoint``.
        threads: how many threads each call may use; as many as the machine has by default.

    Returns:
        What ``secateurs.prune_checkpoint`` returns.
    """
    path, output = Path(path), Path(output)
    files, others = _files(path)
    if path.is_dir() and output.resolve().is_relative_to(path.resolve()):
        raise ValueError(f"{output} lies inside the input {path}; name another output")
    if output.exists() and not (path.is_dir() and output.is_dir() and not any(output.iterdir())):
        raise FileExistsError(f"{output} exists already; name another output, or remove it")
    summaries = [tensor for of_file in map(summarize, files) for tensor in of_file]
    search = begin(
        summaries,
        amount,
        method=method,
        names=tensors,
        seed=seed,
        max_sparsity=max_sparsity,
        normalize=normalize,
    )
    selection = None
    while selection is None:
        selection = search.end_pass(merge(map(partial(count, task=search.task, threads=threads), files)))
    if path.is_dir():
        output.mkdir(exist_ok=True)
        outputs = {str(file): str(output / file.name) for file in files}
    else:
        outputs = {str(path): str(output)}
    write = partial(_apply_one, selection=selection, outputs=outputs, threads=threads)
    reports = list(map(write, files))
    # The index comes last: a folder without it is not a checkpoint.
    for other in others:
        (output / other).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path / other, output / other)
    return _together(reports)


def _apply_one(
    file: Path, *, selection: Selection, outputs: dict[str, str], threads: int | None
) -> dict[str, Any]:
    return apply(file, selection, outputs[str(file)], overwrite=True, threads=threads)


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    """The files that hold tensors; and all others, with the index at the end, by their paths in the folder."""
    if not path.is_dir():
        return [path], []
    found = sorted(path.glob("*.safetensors.index.json"))
    if len(found) > 1:
        raise ValueError(f"{path} holds several indexes")
    if found:
        names = sorted(set(json.loads(found[0].read_text())["weight_map"].values()))
        files = [path / name for name in names]
    else:
        files = sorted(path.glob("*.safetensors"))
    if not files or (len(files) > 1 and not found):
        raise ValueError(f"{path} is neither one safetensors file nor several with an index")
    others = [file for file in sorted(path.rglob("*")) if file.is_file() and file not in files + found]
    return files, [file.relative_to(path) for file in others + found]


def _together(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """The report of all files from those of each."""
    whole: dict[str, Any] = {"unit": "entries"}
    for key in ("requested", "achieved", "units", "pruned", "newly_pruned", "zeros", "entries"):
        whole[key] = sum(report[key] for report in reports)
    whole["sparsity"] = whole["pruned"] / whole["entries"] if whole["entries"] else 0.0
    tensors = {name: entry for report in reports for name, entry in report["tensors"].items()}
    whole["tensors"] = dict(sorted(tensors.items()))
    return whole
