"""Many processes write the files that one process writes."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import secateurs
import secateurs.distributed as sd
from test_checkpoint import load, save


def sharded(folder, seed=0, shards=3):
    """A folder of files with an index; a third of all weights are tied."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    arrays = {}
    for layer in range(7):
        kind = (np.float32, np.float64, np.float16)[layer % 3]
        weight = rng.standard_normal((17, 40)).astype(kind)
        weight[rng.random(weight.shape) < 0.3] = 0.25
        arrays[f"layers.{layer}.weight"] = weight
        arrays[f"layers.{layer}.bias"] = rng.standard_normal(17).astype(np.float32)
    placed = {name: f"model-{rng.integers(shards):05}.safetensors" for name in arrays}
    for file in set(placed.values()):
        save(folder / file, {name: array for name, array in arrays.items() if placed[name] == file})
    index = {"metadata": {"total_size": 1}, "weight_map": placed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.txt").write_text("a")
    return folder


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalize": True},
        {"max_sparsity": 0.55},
        {"max_sparsity": {"layers.2.weight": 0.1}, "normalize": True},
        {"method": "random", "seed": 7},
        {"tensors": ["layers.6.weight", "layers.0.weight"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("shards", [1, 4])
def test_files_and_report_are_those_of_one_process(tmp_path, options, shards):
    path = sharded(tmp_path / "model", shards=shards)
    one = secateurs.prune_checkpoint(path, tmp_path / "one", 0.5, scope="global", **options)
    many = sd.prune_checkpoint(path, tmp_path / "many", 0.5, **options)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")
    assert one == many


def test_in_processes_of_their_own(tmp_path):
    path = sharded(tmp_path / "model")
    secateurs.prune_checkpoint(path, tmp_path / "one", secateurs.until(0.7), scope="global")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        sd.prune_checkpoint(path, tmp_path / "many", secateurs.until(0.7), map=pool.map)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def once(marker):
    """Whether this is the first call, of all processes."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


class Unreliable:
    """A `map` whose workers are killed: each call runs in a process, and once more where that died."""

    def __init__(self, folder):
        self.folder = folder
        self.killed = 0

    def __call__(self, function, values):
        return [self.run(function, value) for value in values]

    def run(self, function, value):
        task, result = self.folder / "task", self.folder / "result"
        task.write_bytes(pickle.dumps((function, value)))
        code = (
            "import os, pickle, signal, sys; function, value = pickle.load(open(sys.argv[1], 'rb'))\n"
            "result = pickle.dumps(function(value))\n"
            "sys.argv[3] == 'killed' and os.kill(os.getpid(), signal.SIGKILL)\n"
            "open(sys.argv[2], 'wb').write(result)"
        )
        result.unlink(missing_ok=True)
        for fate in ("killed", "lives"):
            done = subprocess.run([sys.executable, "-c", code, str(task), str(result), fate])
            self.killed += done.returncode == -signal.SIGKILL
        return pickle.loads(result.read_bytes())


@pytest.mark.skipif(os.name != "posix", reason="workers are killed by a signal")
def test_when_every_worker_dies_once(tmp_path):
    path = sharded(tmp_path / "model", shards=2)
    secateurs.prune_checkpoint(path, tmp_path / "one", 0.3, scope="global")
    workers = Unreliable(tmp_path)
    sd.prune_checkpoint(path, tmp_path / "many", 0.3, map=workers)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")
    # Headers, five passes of float64 (with one for ties), and writing; of each file.
    assert workers.killed >= 2 * 6


def test_single_file(tmp_path):
    path = sharded(tmp_path / "model", shards=1) / "model-00000.safetensors"
    one = secateurs.prune_checkpoint(path, tmp_path / "one.safetensors", 0.5)
    many = sd.prune_checkpoint(path, tmp_path / "many.safetensors", 0.5)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "many.safetensors").read_bytes()
    assert one == many


def test_by_hand_with_any_assignment(tmp_path):
    """Workers merge what they counted, in any order; everything is pickled on the way."""
    path = sharded(tmp_path / "model", shards=5)
    secateurs.prune_checkpoint(path, tmp_path / "one", 1234, scope="global", masks=tmp_path / "masks")
    dice = random.Random(1)
    files = sorted(path.glob("*.safetensors"))

    def sent(value):
        return pickle.loads(pickle.dumps(value))

    search = sd.begin([t for file in files for t in sent(sd.summarize(file))], 1234)
    selection, passes = None, 0
    while selection is None:
        workers = [[] for _ in range(3)]
        for file in files:
            dice.choice(workers).append(sent(sd.count(file, sent(search.task))))
        merged = [sd.merge(counts) for counts in workers if counts]
        dice.shuffle(merged)
        search = sent(search)
        selection = search.end_pass(sd.merge(sent(merged)))
        passes += 1
    assert passes == 5  # four for float64, and one for ties
    assert sum(selection.pruned.values()) == 1234
    masks = {}
    for file in files:
        done = sd.apply(file, sent(selection), tmp_path / file.name, masks=tmp_path / f"{file.name}.masks")
        assert (tmp_path / file.name).read_bytes() == (tmp_path / "one" / file.name).read_bytes()
        assert {name: entry["pruned"] for name, entry in done["tensors"].items()} == {
            name: count for name, count in selection.pruned.items() if name in done["tensors"]
        }
        measured = sd.apply(file, selection, None)
        assert measured == done
        masks.update(masks_of(tmp_path / f"{file.name}.masks"))
    assert masks == masks_of(tmp_path / "masks")


def masks_of(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body = data[8 + length :]
    return {name: body[slice(*entry["data_offsets"])] for name, entry in header.items()}


def test_what_is_sent_is_small(tmp_path):
    """It does not grow with the weights."""
    sizes = []
    for rows in (500, 4000):
        rng = np.random.default_rng(0)
        path = tmp_path / f"{rows}.safetensors"
        save(path, {"a.weight": rng.standard_normal((rows, 1000), dtype=np.float32)})
        search = sd.begin(sd.summarize(path), 0.5)
        selection = None
        while selection is None:
            counts = sd.count(path, search.task)
            sizes.append((len(pickle.dumps(search.task)), len(pickle.dumps(counts))))
            selection = search.end_pass(counts)
        assert len(pickle.dumps(selection)) < 1000
    small, large = sizes[:3], sizes[3:]
    assert len(small) == len(large) == 3
    for task, counts in sizes:
        assert task < 1000 and counts < 300_000
    # Eight times the weights, and no more than the digits of the counts.
    assert sum(c for _, c in large) < 2 * sum(c for _, c in small)


def test_bad_input(tmp_path):
    path = sharded(tmp_path / "model")
    files = sorted(path.glob("*.safetensors"))
    tensors = [tensor for file in files for tensor in sd.summarize(file)]
    with pytest.raises(ValueError, match="'l1' or 'random'"):
        sd.begin(tensors, 0.5, method="ln")
    with pytest.raises(ValueError, match="there is no tensor `layers.9.weight`"):
        sd.begin(tensors, 0.5, names=["layers.9.weight"])
    with pytest.raises(TypeError, match="list of names"):
        sd.begin(tensors, 0.5, names="layers.0.weight")
    with pytest.raises(TypeError):
        sd.begin(tensors, "half")
    with pytest.raises(TypeError):
        sd.begin(path, 0.5)
    with pytest.raises(ValueError):
        sd.begin([("a.weight", "F17", [2, 2])], 0.5)
    with pytest.raises(ValueError, match="in two of the files"):
        sd.begin(tensors + tensors, 0.5)
    with pytest.raises((TypeError, OverflowError)):
        sd.begin([("a.weight", "F32", [-2, 2])], 0.5)
    search = sd.begin(tensors, 0.5)
    counts = [sd.count(file, search.task) for file in files]
    with pytest.raises(ValueError, match="was not counted"):
        search.end_pass(counts[0])
    with pytest.raises(ValueError, match="counted twice"):
        sd.merge(counts + counts[:1])
    with pytest.raises(ValueError, match="no counts"):
        sd.merge([])
    with pytest.raises(TypeError):
        sd.merge([1])
    with pytest.raises(TypeError):
        search.end_pass(None)
    with pytest.raises(FileNotFoundError):
        sd.count(tmp_path / "nowhere.safetensors", search.task)
    with pytest.raises(TypeError):
        sd.count(files[0], counts[0])
    for kind in (sd.Task, sd.Counts, sd.Selection, sd.Search):
        for bad in (b"", b"{}", b"null", b"\xff\xfe", counts[0].to_bytes()[:-2]):
            with pytest.raises(ValueError, match="bad bytes"):
                kind.from_bytes(bad)
    assert search.end_pass(sd.merge(counts)) is None
    with pytest.raises(ValueError, match="another pass"):
        search.end_pass(sd.merge(counts))


def test_bad_places(tmp_path):
    path = sharded(tmp_path / "model")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("kept")
    with pytest.raises(FileExistsError, match="exists already"):
        sd.prune_checkpoint(path, tmp_path / "taken", 0.5)
    with pytest.raises(ValueError, match="inside the input"):
        sd.prune_checkpoint(path, path / "pruned", 0.5)
    with pytest.raises(ValueError, match="neither one safetensors file"):
        sd.prune_checkpoint(tmp_path / "taken", tmp_path / "out", 0.5)
    with pytest.raises(FileNotFoundError):
        sd.prune_checkpoint(tmp_path / "nowhere.safetensors", tmp_path / "out.safetensors", 0.5)
    assert contents(tmp_path / "taken") == {"file": b"kept"}
    assert not (tmp_path / "out").exists()


def test_zeros_are_written(tmp_path):
    path = sharded(tmp_path / "model", shards=2)
    report = sd.prune_checkpoint(path, tmp_path / "out", 0.9)
    arrays = {name: a for file in (tmp_path / "out").glob("*.safetensors") for name, a in load(file).items()}
    zeros = sum(int((arrays[name] == 0).sum()) for name in report["tensors"])
    assert zeros == report["zeros"] == report["pruned"] == round(0.9 * 7 * 17 * 40)


def test_help():
    for name in sd.__all__:
        assert getattr(sd, name).__doc__, name
