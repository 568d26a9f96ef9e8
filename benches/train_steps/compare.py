#!/usr/bin/env python3
"""Training steps of PyTorch and of this crate, measured alternately, with the same weights, data and threads.

    pip install torch==2.12.0 numpy
    python benches/train_steps/compare.py               every case, at 1 and 2 threads; a few minutes
    python benches/train_steps/compare.py --only LSTM   cases whose name contains `LSTM`
    python benches/train_steps/compare.py --rounds 3    3 rounds instead of 9

A round times PyTorch, then this crate, then goes on to the next: a machine that slows down slows down both. Both make
the same number of calls in a round, and before the first one some that are not timed. What is shown is the median of
all calls of all rounds, and this crate's divided by PyTorch's. "Fastest" divides the medians of each round's fastest
calls, which other programs on the machine disturb less: with two threads, each of PyTorch's loops waits for a thread
that has lost its core.

"Forward" records no gradients. "Step" is forward, cross-entropy, backward, and Adam, in PyTorch the fused one, which is
its fastest. Before, both sides free 31 MB at once. From then on glibc keeps what a step frees. Otherwise, times depend on
whether some allocation happens to lie behind what is freed: if none does, the memory of each step goes back to the
system, which takes up to a third of a step. Losses of the first steps have to agree; the greatest relative difference is shown. Later ones drift apart
as sums are rounded in another order.
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
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
# About as many seconds does a side take in a round.
ROUND = 0.15
# Losses are compared after as many steps.
COMPARED = 5


class Classifier(nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden)
        self.head = nn.Linear(hidden, 10)

    def forward(self, x):
        return self.head(self.lstm(x)[0][-1])


def mlp():
    return nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def lstm(inputs, hidden, batch):
    name = f"LSTM {inputs}-{hidden}, 28 steps, batch {batch}"
    return name, {"lstm": {"hidden": hidden}}, lambda: Classifier(inputs, hidden), [28, batch, inputs], batch, 1.2


# name, this crate's model, PyTorch's model, shape of the input, size of a batch, the target of a step
CASES = [
    ("MLP 64-300-100-10, batch 32", "mlp", mlp, [32, 64], 32, 0.9),
    ("MLP 64-300-100-10, batch 256", "mlp", mlp, [256, 64], 256, 0.9),
    ("LeNet-5 28×28, batch 32", "lenet", lenet, [32, 1, 28, 28], 32, 1.0),
    ("LeNet-5 28×28, batch 128", "lenet", lenet, [128, 1, 28, 28], 128, 1.0),
    lstm(8, 64, 32),
    lstm(28, 128, 32),
    lstm(64, 128, 64),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name contains this")
    parser.add_argument("--rounds", type=int, default=9, help="number of rounds (9)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts (1 2)")
    args = parser.parse_args()
    program = build()
    print(f"{cpu()}, {os.cpu_count()} cores; {version('rustc', '--version')}; PyTorch {torch.__version__}, "
          f"Python {platform.python_version()}; medians of {args.rounds} rounds\n")
    print("| model | threads | forward: PyTorch | secateurs | ratio | fastest | step: PyTorch | secateurs | ratio "
          "| fastest | target | losses differ by |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    missed = 0
    torch.empty(31 << 20, dtype=torch.uint8)  # and freed
    with tempfile.TemporaryDirectory() as folder:
        for threads in args.threads:
            torch.set_num_threads(threads)
            worker = start(program, threads)
            for number, (name, model, make, shape, batch, target) in enumerate(CASES):
                if args.only not in name:
                    continue
                torch.manual_seed(number)
                training = Training(make(), torch.randn(shape), torch.arange(batch) * 7 % 10)
                job = dict(name=name, model=model, shape=shape, floats=training.write(Path(folder) / str(number)),
                           targets=training.targets.tolist())
                missed += compare(worker, training, job, threads, target, args.rounds)
            worker.stdin.close()
            worker.wait()
    sys.exit(1 if missed else 0)


class Training:
    """A model, its optimiser, and the batch on which it is trained."""

    def __init__(self, model, inputs, targets):
        self.model, self.inputs, self.targets = model, inputs, targets
        self.optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        self.loss = nn.CrossEntropyLoss()

    def write(self, path):
        """Every parameter and the input, as floats in a file."""
        with open(path, "wb") as file:
            for tensor in [*self.model.parameters(), self.inputs]:
                file.write(tensor.detach().numpy().astype("<f4").tobytes())
        return str(path)

    def forward(self):
        with torch.no_grad():
            self.model(self.inputs)

    def step(self):
        loss = self.loss(self.model(self.inputs), self.targets)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss

    def run(self, what, calls):
        """The seconds of every call, and what the calls gave."""
        call, times, results = getattr(self, what), [], []
        for _ in range(calls):
            begin = time.perf_counter()
            results.append(call())
            times.append(time.perf_counter() - begin)
        return times, results


def compare(worker, training, job, threads, target, rounds):
    """Prints a line of the table; returns whether it misses the target."""
    theirs = [loss.item() for loss in training.run("step", COMPARED)[1]]
    ours = run_job(worker, job, "step", COMPARED)["losses"]
    differ = max(abs(a - b) / a for a, b in zip(theirs, ours))
    if differ > 1e-3:
        sys.exit(f"{job['name']}: losses {theirs} and {ours}")
    cells, ratio = [], None
    for what in ("forward", "step"):
        probe = statistics.median(training.run(what, 5)[0])
        calls = max(3, round(ROUND / probe))
        run_job(worker, job, what, calls), training.run(what, calls)
        theirs, ours = [], []
        for _ in range(rounds):
            theirs.append(training.run(what, calls)[0])
            ours.append(run_job(worker, job, what, calls)["seconds"])
        fastest = median_of_fastest(ours) / median_of_fastest(theirs)
        theirs, ours = (statistics.median(sum(rounds, [])) for rounds in (theirs, ours))
        ratio = ours / theirs
        cells += [time_of(theirs), time_of(ours), f"{ratio:.2f}", f"{fastest:.2f}"]
    missed = ratio > target
    wish = f"**≤ {target}**" if missed else f"≤ {target}"
    print(f"| {job['name']} | {threads} | {' | '.join(cells)} | {wish} | {differ:.0e} |", flush=True)
    return missed


def median_of_fastest(rounds):
    return statistics.median(min(times) for times in rounds)


def build():
    """Builds this crate's side; gives its path."""
    command = ["cargo", "bench", "--bench", "train_steps", "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = [json.loads(line) for line in lines if '"executable":"' in line]
    return next(m["executable"] for m in found if m["target"]["name"] == "train_steps")


def start(program, threads):
    env = dict(os.environ, RAYON_NUM_THREADS=str(threads))
    return subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


def run_job(worker, job, what, calls):
    worker.stdin.write(json.dumps(dict(job, what=what, calls=calls)) + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def cpu():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def version(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split("(")[0].strip()


def time_of(seconds):
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


if __name__ == "__main__":
    main()
