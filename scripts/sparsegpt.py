#!/usr/bin/env python3
"""SparseGPT and Wanda of this crate beside their authors' code, and goldens from an implementation in PyTorch.

    pip install torch==2.12.0 numpy
    git clone https://github.com/IST-DASLab/sparsegpt SPARSEGPT
    git clone https://github.com/locuslab/wanda WANDA
    python scripts/sparsegpt.py SPARSEGPT WANDA               masks, errors of the output and times; some minutes
    python scripts/sparsegpt.py SPARSEGPT WANDA --rounds 3    3 rounds instead of 5
    python scripts/sparsegpt.py --goldens                     writes tests/data/sparse_gpt.json

The authors' classes are run as they are, on the CPU in f32; of Wanda, that is the one that sums norms, since choosing
is part of a function for whole language models, and is repeated here. Inputs are the same random numbers on both sides:
weights are normal, inputs are correlated, with a spectrum that falls as a power of the rank. A round times the authors,
then this crate; shown are medians. "Inputs" is the time to sum XᵀX, or norms, and "prune" that of everything after it.

A row says how many entries of the masks agree, and by how much the squared error of the output, ‖(W − Ŵ) × Xᵀ‖², of
this crate is larger than the authors' (negative where it is smaller), computed in f64. Of a block, SparseGPT's authors
prune what is less than or equal to a threshold, which is one entry more than requested. To compare the same amount,
half an entry less is requested of them: the threshold's index is rounded down, so that the count is that of this crate.
"As released" is the agreement with an amount of 0.5. "f64" is that with the implementation below, which is in double
precision and counts as this crate does.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import numpy as np
import torch

sys.dont_write_bytecode = True

ROOT = Path(__file__).resolve().parents[1]

# Outputs, inputs, samples.
LAYERS = [(256, 512, 2048), (768, 768, 4096), (1024, 4096, 8192)]
PATTERNS = [("50 %", dict(amount=0.5)), ("2:4", dict(pattern=[2, 4]))]


def sparse_gpt(weight, hessian, amount=0.5, pattern=None, block=128, dampening=0.01, prior=None):
    """SparseGPT as the paper has it, with the factor of the inverse; returns what is kept, the weight and the loss.

    Blocks lose shares of what is requested that add up to it. Of ties, the first in row-major order is pruned.
    """
    kept = torch.ones_like(weight, dtype=torch.bool) if prior is None else prior.clone()
    weight = torch.where(kept, weight, torch.zeros_like(weight))
    matrix = hessian.clone()
    diagonal = matrix.diagonal()
    dead = diagonal == 0
    added = dampening * diagonal[~dead].mean()
    diagonal += torch.where(dead, 1.0, added)
    weight[:, dead] = 0
    original = weight.clone()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix))
    upper = torch.linalg.cholesky(inverse, upper=True)
    remaining, seen, given = int(kept.sum()), 0, 0
    requested = round(amount * remaining)
    for start in range(0, weight.shape[1], block):
        columns = range(start, min(start + block, weight.shape[1]))
        inside = slice(columns.start, columns.stop)
        if pattern is None:
            cost = (weight[:, inside] / upper.diagonal()[inside]) ** 2
            seen += int(kept[:, inside].sum())
            due = (2 * requested * seen + remaining) // (2 * max(remaining, 1))
            order = torch.where(kept[:, inside], cost, torch.inf).flatten().sort(stable=True).indices
            chosen = torch.zeros(cost.numel(), dtype=torch.bool)
            chosen[order[: due - given]] = True
            kept[:, inside] &= ~chosen.reshape(cost.shape)
            given = due
        errors = torch.zeros_like(weight[:, inside])
        for column in columns:
            if pattern is not None and column % pattern[1] == 0:
                choose_group(weight, upper, kept, column, *pattern)
            error = torch.where(kept[:, column], 0, weight[:, column] / upper[column, column])
            weight[:, column : columns.stop] -= torch.outer(error, upper[column, column : columns.stop])
            errors[:, column - start] = error
        weight[:, columns.stop :] -= errors @ upper[inside, columns.stop :]
    weight = torch.where(kept, weight, torch.zeros_like(weight))
    return kept, weight, output_error(original - weight, hessian)


def choose_group(weight, upper, kept, column, keep, of):
    """Prunes the cheapest entries of each row in the group that begins at a column, those of the prior included."""
    group = slice(column, column + of)
    cost = (weight[:, group] / upper.diagonal()[group]) ** 2
    order = torch.where(kept[:, group], cost, -torch.inf).sort(dim=1, stable=True).indices
    kept[:, group] &= ~torch.zeros_like(kept[:, group]).scatter(1, order[:, : of - keep], True)


def output_error(change, hessian):
    """‖change × Xᵀ‖² in f64."""
    change = change.double()
    return float(((change @ hessian.double()) * change).sum())


def load(file):
    """A Python file of the authors as a module."""
    spec = importlib.util.spec_from_file_location(f"authors_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class SparseGpt:
    """The authors' class, on the CPU. It needs `transformers` only to ask whether a layer is of one type."""

    name, method = "SparseGPT", "sparse_gpt"

    def __init__(self, folder):
        stub = types.ModuleType("transformers")
        stub.Conv1D = type("Conv1D", (), {})
        sys.modules.setdefault("transformers", stub)
        sys.path.insert(0, str(folder))
        torch.cuda.synchronize = lambda: None
        self.type = load(folder / "sparsegpt.py").SparseGPT

    def same_count(self, shape):
        return 0.5 - 0.5 / (shape[0] * 128)

    def in_double(self, weight, inputs, **settings):
        return sparse_gpt(weight.double(), inputs.double().T @ inputs.double(), **settings)[0]

    def run(self, weight, inputs, amount=0.5, pattern=None):
        """Seconds of both steps, and the updated weight."""
        layer = linear(weight)
        with torch.no_grad(), Silence():
            start = time.perf_counter()
            method = self.type(layer)
            method.add_batch(inputs, None)
            summed = time.perf_counter()
            n, m = (0, 0) if pattern is None else (pattern[1] - pattern[0], pattern[1])
            method.fasterprune(amount, n, m)
            return summed - start, time.perf_counter() - summed, layer.weight.detach()


class Wanda:
    """The authors' norms of inputs, and the choice as they make it: a stable sort of each row, or the lowest of groups."""

    name, method = "Wanda", "wanda"

    def __init__(self, folder):
        self.type = load(folder / "lib" / "layerwrapper.py").WrappedGPT

    def same_count(self, shape):
        return 0.5

    def in_double(self, weight, inputs, **settings):
        return self.choose(weight.double(), inputs.double().square().sum(0).sqrt(), **settings)

    def run(self, weight, inputs, **settings):
        layer = linear(weight)
        with torch.no_grad():
            start = time.perf_counter()
            norms = self.type(layer)
            norms.add_batch(inputs, None)
            summed = time.perf_counter()
            layer.weight *= self.choose(layer.weight, norms.scaler_row.sqrt(), **settings)
            return summed - start, time.perf_counter() - summed, layer.weight.detach()

    def choose(self, weight, norms, amount=0.5, pattern=None):
        scores = weight.abs() * norms
        if pattern is None:
            order = scores.sort(dim=1, stable=True).indices[:, : int(weight.shape[1] * amount)]
            return torch.ones_like(weight, dtype=torch.bool).scatter(1, order, False)
        keep, of = pattern
        groups = scores.reshape(len(scores), -1, of)
        lowest = groups.topk(of - keep, dim=2, largest=False).indices
        return torch.ones_like(groups, dtype=torch.bool).scatter(2, lowest, False).reshape(weight.shape)


def linear(weight):
    layer = torch.nn.utils.skip_init(torch.nn.Linear, weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


class Silence:
    """The authors' code prints its times."""

    def __enter__(self):
        self.stdout, sys.stdout = sys.stdout, open(os.devnull, "w")

    def __exit__(self, *_):
        sys.stdout.close()
        sys.stdout = self.stdout


def random_layer(outputs, inputs, samples):
    """A weight and correlated inputs, in f32."""
    rng = np.random.default_rng(inputs)
    weight = rng.standard_normal((outputs, inputs), dtype=np.float32)
    directions, _ = np.linalg.qr(rng.standard_normal((inputs, inputs)))
    spectrum = np.arange(1, inputs + 1) ** -0.4
    mixed = rng.standard_normal((samples, inputs)) @ (spectrum[:, None] * directions)
    return weight, np.ascontiguousarray(mixed, dtype=np.float32)


def compare(arguments):
    program = arguments.program or build()
    methods = [SparseGpt(arguments.authors[0]), Wanda(arguments.authors[1])]
    print(f"{cpu()}, {os.cpu_count()} cores; PyTorch {torch.__version__}, NumPy {np.__version__}; "
          f"medians of {arguments.rounds} rounds\n")
    print("| method | layer, samples | pattern | threads | authors: inputs, prune | secateurs: inputs, prune | ratios "
          "| masks agree | error | as released | f64 |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for shape in LAYERS:
            weight, inputs = random_layer(*shape)
            files = {name: str(Path(folder) / name) for name in ("weight", "inputs", "updated")}
            weight.tofile(files["weight"])
            inputs.tofile(files["inputs"])
            weight, inputs = torch.from_numpy(weight), torch.from_numpy(inputs)
            hessian = inputs.double().T @ inputs.double()
            for method in methods:
                for pattern, settings in PATTERNS:
                    job = dict(dict(amount=0.5, pattern=None), **settings, method=method.method, shape=shape[:2], **files)
                    same = dict(settings, amount=method.same_count(shape))
                    torch.set_num_threads(os.cpu_count())
                    others = [method.run(weight, inputs, **settings)[2] != 0,
                              method.in_double(weight, inputs, **settings)]
                    for threads in arguments.threads:
                        torch.set_num_threads(threads)
                        worker = start(program, threads)
                        times = []
                        for _ in range(arguments.rounds):
                            *seconds, theirs = method.run(weight, inputs, **same)
                            answer = run_job(worker, job)
                            times.append([*seconds, answer["inputs"], answer["prune"]])
                        worker.stdin.close()
                        worker.wait()
                        ours = torch.from_numpy(np.fromfile(files["updated"], dtype=np.float32).reshape(weight.shape))
                        errors = [output_error(weight - updated, hessian) for updated in (theirs, ours)]
                        if method.method == "sparse_gpt":
                            assert abs(answer["loss"] / errors[1] - 1) < 1e-4, "the loss is the error of the output"
                        assert (theirs == 0).sum() == (ours == 0).sum(), "as many entries are pruned"
                        agree = [float((other == (ours != 0)).double().mean()) for other in (theirs != 0, *others)]
                        error = errors[1] / errors[0] - 1
                        head = f"| {method.name} | {shape[0]}×{shape[1]}, {shape[2]} | {pattern} | {threads} "
                        print(head + row(times, agree, error), flush=True)
                        failed |= agree[0] < 0.999 or error > 0.001
    sys.exit(1 if failed else 0)


def row(times, agree, error):
    """The figures of a row of the table."""
    theirs, pruned, ours, own = [statistics.median(column) for column in zip(*times)]
    return (f"| {time_of(theirs)}, {time_of(pruned)} | {time_of(ours)}, {time_of(own)} | {theirs / ours:.1f}, "
            f"{pruned / own:.1f} | {agree[0]:.4%} | {error:+.4%} | {agree[1]:.4%} | {agree[2]:.4%} |")


def time_of(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def build():
    """Builds this crate's side; gives its path."""
    command = ["cargo", "bench", "--bench", "sparse_gpt", "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = [json.loads(line) for line in lines if '"executable":"' in line]
    return next(m["executable"] for m in found if m["target"]["name"] == "sparse_gpt")


def start(program, threads):
    env = dict(os.environ, RAYON_NUM_THREADS=str(threads))
    return subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


def run_job(worker, job):
    worker.stdin.write(json.dumps(job) + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def cpu():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def goldens():
    """One layer of 32 × 48, of small whole numbers, whose Hessian is exact; input 5 is always zero."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-99, 100, (32, 48))
    inputs = rng.integers(-4, 5, (64, 12)) @ rng.integers(-1, 2, (12, 48)) + rng.integers(-3, 4, (64, 48))
    inputs[:, 5] = 0
    prior = rng.random((32, 48)) < 0.8
    matrix = torch.from_numpy(inputs).double()
    cases = []
    for settings in [
        dict(amount=0.5, block=16),
        dict(amount=0.7, block=128, dampening=0.1),
        dict(amount=0.5, block=20, prior=True),
        dict(pattern=[2, 4]),
        dict(pattern=[4, 8], block=16, prior=True),
    ]:
        given = dict(settings, prior=torch.from_numpy(prior) if "prior" in settings else None)
        kept, updated, loss = sparse_gpt(torch.from_numpy(weight).double(), matrix.T @ matrix, **given)
        cases.append(dict(
            dict(amount=None, pattern=None, block=128, dampening=0.01, prior=False), **settings,
            kept=bits(kept), loss=loss,
            updated=[float(f"{x:.10g}") for x in updated[kept].tolist()],
        ))
    golden = dict(weight=weight.tolist(), inputs=inputs.tolist(), prior=bits(prior), cases=cases)
    lines = [f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in golden.items()]
    (ROOT / "tests" / "data" / "sparse_gpt.json").write_text("{" + ",\n".join(lines) + "}\n", encoding="ascii")


def bits(mask):
    return "".join(str(int(x)) for x in mask.ravel().tolist())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("authors", nargs="*", type=Path, help="clones of the repositories of SparseGPT and Wanda")
    parser.add_argument("--goldens", action="store_true", help="write the data of tests")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (5)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts (1 2)")
    parser.add_argument("--program", help=argparse.SUPPRESS)  # this crate's side, where it is built already
    arguments = parser.parse_args()
    if arguments.goldens:
        return goldens()
    if len(arguments.authors) != 2:
        parser.error("clones of both authors' repositories are needed")
    compare(arguments)


if __name__ == "__main__":
    main()
