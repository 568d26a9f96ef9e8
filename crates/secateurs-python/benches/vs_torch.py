"""PyTorch's torch.nn.utils.prune and secateurs.torch.prune, measured by turns in one process.

    pip install torch==2.12.0 crates/secateurs-python
    python crates/secateurs-python/benches/vs_torch.py              some minutes
    python crates/secateurs-python/benches/vs_torch.py --rounds 3

Both calls end with a dense mask and a dense pruned weight, because PyTorch's interface wants them. So the
bound is making
those: "fill" is the time in which PyTorch allocates and fills the two tensors of each parameter. A round
measures fill, PyTorch and secateurs one after the other. The table shows medians.

Extra memory is how much a fresh process grew at most during its first call, without the masks and weights
that it made.
"""

import argparse
import gc
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

import torch
from secateurs.torch import prune as ours
from torch import nn
from torch.nn.utils import prune as theirs

CASES = {
    "l1 4096×4096, 0.5": (1, 4096, 0.5),
    "l1 4096×4096, 0.9": (1, 4096, 0.9),
    "global L1, six 2048×2048, 0.8": (6, 2048, 0.8),
}


def layers(count, size):
    torch.manual_seed(0)
    made = [nn.Linear(size, size, bias=False, device="meta").to_empty(device="cpu") for _ in range(count)]
    for layer in made:
        layer.weight.data.normal_()
    return made


def call(prune, modules, amount):
    if len(modules) == 1:
        prune.l1_unstructured(modules[0], "weight", amount)
    else:
        prune.global_unstructured([(m, "weight") for m in modules], prune.L1Unstructured, amount=amount)


def fill(modules, amount):
    return [(torch.full_like(m.weight, 1.0), torch.full_like(m.weight, 2.0)) for m in modules]


def timed(work, modules, amount):
    gc.collect()
    start = time.perf_counter()
    kept = work(modules, amount)
    seconds = time.perf_counter() - start
    del kept
    return seconds


def measure(count, size, amount, rounds):
    works = {
        "fill": fill,
        "torch": lambda m, a: call(theirs, m, a),
        "ours": lambda m, a: call(ours, m, a),
    }
    times = {name: [] for name in works}
    masks = {}
    for _ in range(rounds):
        for name, work in works.items():
            modules = layers(count, size)
            times[name].append(timed(work, modules, amount))
            if name != "fill":
                masks[name] = [m.weight_mask for m in modules]
    different = sum(int((a != b).sum()) for a, b in zip(masks["torch"], masks["ours"]))
    return {name: statistics.median(seconds) for name, seconds in times.items()}, different


def grown(which, count, size, amount):
    """How many bytes this process grows during the call, at most, without masks and weights."""
    modules = layers(count, size)
    small = layers(count, 16)
    call({"torch": theirs, "ours": ours}[which], small, amount)  # what is loaded at the first use
    before = resident()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # resets the peak
    call({"torch": theirs, "ours": ours}[which], modules, amount)
    return peak() - before - 2 * sum(m.weight.nbytes for m in modules)


def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()


def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (5)")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)  # how this script calls itself
    args = parser.parse_args()
    if args.memory:
        return print(grown(args.memory[0], *CASES[args.memory[1]]))
    print(
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads; PyTorch {torch.__version__}, "
        f"Python {platform.python_version()}; medians of {args.rounds} rounds\n"
    )
    print("| call | fill | PyTorch | secateurs | PyTorch ÷ ours | ours ÷ fill | extra memory | masks |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (count, size, amount) in CASES.items():
        times, different = measure(count, size, amount, args.rounds)
        memory = [
            int(subprocess.check_output([sys.executable, __file__, "--memory", which, name]))
            for which in ("torch", "ours")
        ]
        shown = [f"{1000 * times[key]:.1f} ms" for key in ("fill", "torch", "ours")]
        print(
            f"| {name} | {' | '.join(shown)} | {times['torch'] / times['ours']:.0f} | "
            f"{times['ours'] / times['fill']:.2f} | {memory[0] / 1e6:.0f} MB : {memory[1] / 1e6:.1f} MB | "
            f"{'equal' if not different else f'{different} differ'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
