#!/usr/bin/env python3
"""PyTorch's torch.nn.utils.prune and this crate, measured alternately, on the same data and threads.

    pip install torch==2.12.0 numpy
    python benches/vs_torch/compare.py              every case, at 1 and 2 threads; some minutes
    python benches/vs_torch/compare.py --only ln    cases whose name contains `ln`
    python benches/vs_torch/compare.py --rounds 3   3 rounds instead of 7

A round times PyTorch, then this crate, then goes on to the next: a machine that slows down slows down both. Both make
the same number of calls in a round. What is timed is the call that a user makes, on a module that was made before; what
is shown is the median of all rounds, and PyTorch's divided by this crate's.

PyTorch makes the pruned weight in the call, while this crate makes it when forward first needs it. So the cases that do
the same work are those marked "and weight" (it is made at once) and "then remove" (both sides make the pruning
permanent); the others say "deferred".

Masks are compared bit for bit. Where entries have the same magnitude, or channels the same norm up to rounding, either
choice is right, and the table says how many such entries were chosen differently. Random masks have to have the same
number of entries.

Extra memory is how much a fresh process grew at most during its first call, mask and results included.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils import prune

ROOT = Path(__file__).resolve().parents[2]
LAYER = [4096, 4096]
SIX = [2048, 2048]
CONV = [512, 512, 3, 3]

# name, call, shape, layers, settings, the target ratio
CASES = [
    ("l1 4096×4096, 0.5, then remove", "l1_unstructured", LAYER, 1, dict(amount=0.5, then="remove"), 60),
    ("l1 4096×4096, 0.9, then remove", "l1_unstructured", LAYER, 1, dict(amount=0.9, then="remove"), 60),
    ("l1 4096×4096, 0.5, and weight", "l1_unstructured", LAYER, 1, dict(amount=0.5, then="weight"), None),
    ("l1 4096×4096, 0.5, deferred", "l1_unstructured", LAYER, 1, dict(amount=0.5), 100),
    ("l1 4096×4096, 0.9, deferred", "l1_unstructured", LAYER, 1, dict(amount=0.9), 100),
    ("… 0.5, half pruned before, deferred", "l1_unstructured", LAYER, 1, dict(amount=0.5, prior=True), None),
    ("… 0.9, half pruned before, deferred", "l1_unstructured", LAYER, 1, dict(amount=0.9, prior=True), None),
    ("global L1, six 2048×2048, 0.8, then remove", "global_unstructured", SIX, 6, dict(amount=0.8, then="remove"), 80),
    ("global L1, six 2048×2048, 0.8, and weights", "global_unstructured", SIX, 6, dict(amount=0.8, then="weight"), None),
    ("global L1, six 2048×2048, 0.8, deferred", "global_unstructured", SIX, 6, dict(amount=0.8), 200),
    ("random 4096×4096, 0.5, deferred", "random_unstructured", LAYER, 1, dict(amount=0.5), None),
    ("ln n=2 4096×4096, 0.5, dim 0, deferred", "ln_structured", LAYER, 1, dict(amount=0.5, dim=0), None),
    ("ln n=2 4096×4096, 0.5, dim 1, deferred", "ln_structured", LAYER, 1, dict(amount=0.5, dim=1), None),
    ("ln n=2 512×512×3×3, 0.5, dim 0, deferred", "ln_structured", CONV, 1, dict(amount=0.5, dim=0), None),
    ("ln n=2 512×512×3×3, 0.5, dim 1, deferred", "ln_structured", CONV, 1, dict(amount=0.5, dim=1), None),
    ("l1 64×64, 0.5, then remove", "l1_unstructured", [64, 64], 1, dict(amount=0.5, then="remove"), None),
    ("l1 64×64, 0.5, deferred", "l1_unstructured", [64, 64], 1, dict(amount=0.5), None),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=7, help="number of rounds (7)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts (1 2)")
    parser.add_argument("--memory", help=argparse.SUPPRESS)  # how this script calls itself: one call of PyTorch
    args = parser.parse_args()
    if args.memory:
        job, weights, prior = prepare(json.loads(args.memory))
        return print(torch_side(job, weights, prior, 1)[1])
    program = build()
    print(f"{cpu()}, {os.cpu_count()} cores; {version('rustc', '--version')}; PyTorch {torch.__version__}, "
          f"NumPy {np.__version__}, Python {platform.python_version()}; medians of {args.rounds} rounds\n")
    print("| call | threads | PyTorch | secateurs | ratio | target | extra memory | masks |")
    print("|---|---|---|---|---|---|---|---|")
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        workers = {threads: start(program, threads) for threads in args.threads}
        for name, call, shape, layers, settings, wanted in CASES:
            if args.only not in name:
                continue
            job = dict(settings, call=call, shape=shape, layers=layers, folder=folder)
            job, weights, prior = prepare(job)
            memory = extra_memory(program, job)
            for threads, worker in workers.items():
                row = compare(worker, job, weights, prior, threads, args.rounds)
                missed += report(name, threads, row, memory, wanted)
    sys.exit(1 if missed else 0)


def build():
    """Builds this crate's side; gives its path."""
    command = ["cargo", "bench", "--bench", "vs_torch", "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = [json.loads(line) for line in lines if '"executable":"' in line]
    return next(m["executable"] for m in found if m["target"]["name"] == "vs_torch")


def start(program, threads):
    env = dict(os.environ, RAYON_NUM_THREADS=str(threads))
    return subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


def run_job(worker, job, calls):
    worker.stdin.write(json.dumps(dict(job, calls=calls)) + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def prepare(job):
    """The data of a case, and the job with the files that hold it; the same for the same case."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal([job["layers"], *job["shape"]], dtype=np.float32)
    prior = rng.random(job["shape"]) < 0.5 if job.get("prior") else None
    files = {name: str(Path(job["folder"]) / f"{name}-{'x'.join(map(str, weights.shape))}")
             for name in ("weights", "prior", "masks")}
    if not Path(files["weights"]).exists():
        weights.tofile(files["weights"])
    if prior is None:
        files["prior"] = None
    else:
        Path(files["prior"]).write_bytes(np.packbits(prior.ravel(), bitorder="little").tobytes())
    return dict(job, **files), weights, prior


def extra_memory(program, job):
    command = [sys.executable, __file__, "--memory", json.dumps(job)]
    theirs = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    worker = start(program, 1)
    ours = run_job(worker, job, 1)["grown"]
    worker.stdin.close()
    worker.wait()
    return int(theirs), ours


def compare(worker, job, weights, prior, threads, rounds):
    torch.set_num_threads(threads)
    # Small calls many times, so that a round is not a few microseconds.
    calls = 100 if weights.size < 1 << 16 else 1
    theirs, ours = [], []
    for number in range(rounds):
        seconds, _, masks = torch_side(job, weights, prior, calls)
        theirs += seconds
        ours += run_job(worker, job, calls)["seconds"]
        if number == 0:
            agreement = agree(job, weights, masks, np.fromfile(job["masks"], dtype=np.uint8))
    return statistics.median(theirs), statistics.median(ours), agreement


def report(name, threads, row, memory, wanted):
    """Prints a line of the table; returns whether it misses the target ratio."""
    theirs, ours, agreement = row
    ratio = theirs / ours
    missed = wanted is not None and ratio < wanted
    wish = "" if wanted is None else f"**≥ {wanted}**" if missed else f"≥ {wanted}"
    print(f"| {name} | {threads} | {time_of(theirs)} | {time_of(ours)} | {ratio:.{0 if ratio >= 20 else 1}f} | {wish} "
          f"| {size_of(memory[0])} : {size_of(memory[1])} | {agreement} |", flush=True)
    return missed


def torch_side(job, weights, prior, calls):
    times = []
    for number in range(calls):
        modules = [layer(w) for w in weights]
        if prior is not None:
            prune.custom_from_mask(modules[0], "weight", torch.from_numpy(prior))
        before = mark() if number == 0 else None
        start = time.perf_counter()
        if job["call"] == "global_unstructured":
            prune.global_unstructured([(m, "weight") for m in modules], prune.L1Unstructured, amount=job["amount"])
        elif job["call"] == "ln_structured":
            prune.ln_structured(modules[0], "weight", job["amount"], n=2, dim=job["dim"])
        else:
            getattr(prune, job["call"])(modules[0], "weight", job["amount"])
        made = [module.weight_mask for module in modules]
        if job.get("then") == "remove":
            for module in modules:
                prune.remove(module, "weight")
        times.append(time.perf_counter() - start)
        if before is not None:
            grown = peak() - before
            masks = np.stack([mask.numpy() != 0 for mask in made])
    return times, grown, masks


def layer(weight):
    if weight.ndim == 2:
        module = torch.nn.utils.skip_init(torch.nn.Linear, weight.shape[1], weight.shape[0], bias=False)
    else:
        module = torch.nn.utils.skip_init(torch.nn.Conv2d, weight.shape[1], weight.shape[0], weight.shape[2:], bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weight))
    return module


def agree(job, weights, theirs, ours):
    """How the masks compare, in words; ends the run where they differ by more than ties allow."""
    ours = np.unpackbits(ours, bitorder="little", count=None)[: weights.size].astype(bool).reshape(weights.shape)
    if ours.sum() != theirs.sum():
        sys.exit(f"{job['call']}: {ours.sum()} entries kept, but PyTorch keeps {theirs.sum()}")
    if job["call"] == "random_unstructured":
        return "same count"
    differ = ours != theirs
    if not differ.any():
        return "equal"
    if job["call"] == "ln_structured":
        axes = tuple(i for i in range(1, weights.ndim) if i != job["dim"] + 1)
        rank = np.sqrt((weights.astype(np.float64) ** 2).sum(axis=axes, keepdims=True)) + 0 * weights
        near = 1e-6 * rank.max()
    else:
        rank, near = np.abs(weights), 0
    if np.ptp(rank[differ]) > near:
        sys.exit(f"{job['call']}: masks differ in {differ.sum()} entries that are not ties")
    return f"equal but for {differ.sum()} ties"


def mark():
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS:")


def peak():
    return status("VmHWM:")


def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def cpu():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def version(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split("(")[0].strip()


def time_of(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def size_of(size):
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
