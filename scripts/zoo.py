#!/usr/bin/env python3
"""Removes half of the channels of 46 models by `secateurs shrink`, Torch-Pruning and onnxsim, and compares the results.

    pip install torch==2.12.0 torchvision timm onnx onnxruntime onnxscript torch-pruning==1.6.1 onnxsim==0.8.1
    cargo build --release -p secateurs-cli
    python3 scripts/zoo.py run target/release/secateurs /tmp/zoo
    python3 scripts/zoo.py table /tmp/zoo BENCHMARKS.md

Every step of every model is a process of its own and leaves a file of results in the folder; a step that has one is not
run again unless `--again` names it, and `--only` names the models. The models and their exports take 8 GB, the results
10 GB. Nothing is downloaded: all weights are random.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback
import warnings

THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
RATIO = 0.5
# Seconds of processor time that a tool may take before its first result.
LIMIT = 60
# Kind of export: whether by the newer exporter.
KINDS = {"torchscript": False, "dynamo": True}
# Multiples that Torch-Pruning rounds channels to.
ROUNDED = {"8": 8, "1": None}

STEPS = [
    *(f"export-{kind}" for kind in KINDS),
    *(f"secateurs-{kind}" for kind in KINDS),
    *(f"inexact-{kind}" for kind in KINDS),
    *(f"torch_pruning-{rounded}" for rounded in ROUNDED),
    "onnxsim-torchscript",
    "latency",
    # As many multiply-adds as Torch-Pruning's model takes.
    *(f"equal_macs-{rounded}" for rounded in ROUNDED),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="export, prune and measure")
    run.add_argument("secateurs", type=pathlib.Path)
    run.add_argument("folder", type=pathlib.Path)
    run.add_argument("--only", nargs="+", metavar="MODEL", help="only these models")
    run.add_argument("--steps", nargs="+", metavar="STEP", choices=STEPS, default=STEPS, help=f"only these of: {' '.join(STEPS)}")
    run.add_argument("--again", nargs="+", metavar="STEP", choices=STEPS, default=[], help="these though they have results")
    one = commands.add_parser("step", help="one step of one model; `run` starts it")
    one.add_argument("secateurs", type=pathlib.Path)
    one.add_argument("folder", type=pathlib.Path)
    one.add_argument("model")
    one.add_argument("step", choices=STEPS)
    table = commands.add_parser("table", help="write the tables into a Markdown file")
    table.add_argument("folder", type=pathlib.Path)
    table.add_argument("file", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.command == "run":
        run_all(arguments)
    elif arguments.command == "step":
        step(arguments)
    else:
        import zoo_table

        zoo_table.write(arguments.folder, arguments.file)


def models():
    """Labels: names, and one model at a second ratio, where channels that are not aligned show."""
    import zoo_models

    return [*zoo_models.MODELS, "resnet50@0.45"]


def run_all(arguments):
    arguments.folder.mkdir(parents=True, exist_ok=True)
    command = arguments.secateurs.resolve()
    for label in arguments.only or models():
        for name in arguments.steps:
            results = arguments.folder / f"{label}.{name}.json"
            if results.exists() and name not in arguments.again:
                continue
            results.unlink(missing_ok=True)
            begun = time.perf_counter()
            line = [sys.executable, __file__, "step", command, arguments.folder, label, name]
            with open(arguments.folder / f"{label}.{name}.log", "w") as log:
                try:
                    subprocess.run(line, env={**os.environ, **THREADS}, stdout=log, stderr=log, timeout=1200)
                except subprocess.TimeoutExpired:
                    pass
            known = json.loads(results.read_text()) if results.exists() else {"error": "no result"}
            results.write_text(json.dumps(known))
            error = known.get("error", "")
            print(f"{label:18} {name:20} {time.perf_counter() - begun:6.1f} s  {error[:110]}", flush=True)


def step(arguments):
    """One step. Whatever it yields is written down at once; an exception ends it."""
    warnings.filterwarnings("ignore")
    results = arguments.folder / f"{arguments.model}.{arguments.step}.json"
    known = {}

    def late(*_):
        raise TimeoutError(f"no result within {LIMIT} s")

    signal.signal(signal.SIGPROF, late)
    try:
        for known in work(arguments):
            limit(0)
            results.write_text(json.dumps(known))
    except Exception as error:
        traceback.print_exc()
        limit(0)
        known["error"] = f"{type(error).__name__}: {error}"[:500]
    results.write_text(json.dumps(known))


def limit(seconds):
    """Interrupts this process after this number of seconds of processor time; 0 removes the limit."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def work(arguments):
    """The results of one step, growing. Only what needs PyTorch loads it, which takes longer than most steps."""
    name, _, ratio = arguments.model.partition("@")
    ratio = float(ratio or RATIO)
    tool, _, kind = arguments.step.partition("-")
    file = lambda *parts: arguments.folder / ".".join([*parts, "onnx"])
    source, output = file(name, kind), file(arguments.model, arguments.step)
    sample = arguments.folder / f"{name}.npy"
    if tool in ("export", "torch_pruning"):
        import torch

        import zoo_torch

        torch.set_num_threads(1)
        if tool == "export":
            yield zoo_torch.exported(name, source, sample, dynamo=KINDS[kind])
            return
        import torch_pruning  # not in the time

        limit(LIMIT)
        yield from zoo_torch.torch_pruning(name, output, ratio, ROUNDED[kind])
        return
    import numpy

    import zoo_files
    import zoo_tools

    x = numpy.load(sample)
    if tool == "secateurs":
        yield from zoo_files.secateurs(arguments.secateurs, source, output, ratio, x)
    elif tool == "inexact":
        yield from zoo_files.inexact(arguments.secateurs, source, output, ratio, x)
    elif tool == "equal_macs":
        other = arguments.folder / f"{arguments.model}.torch_pruning-{kind}.json"
        if not other.exists() or "macs" not in json.loads(other.read_text()):
            yield {"error": "no model of Torch-Pruning to compare with"}
            return
        source = file(name, "torchscript")
        yield from zoo_files.equal_macs(arguments.secateurs, source, output, file(arguments.model, f"torch_pruning-{kind}"), x)
    elif tool == "onnxsim":
        import onnxsim  # not in the time

        limit(LIMIT)
        yield from zoo_files.onnxsim(source, output, ratio, x)
    else:
        files = {"dense": file(name, "torchscript")}
        for step in (each for each in STEPS[2:] if "-" in each and not each.startswith("equal_macs")):
            results = arguments.folder / f"{arguments.model}.{step}.json"
            # Only what works takes part.
            if results.exists() and "macs" in json.loads(results.read_text()):
                files[step] = file(arguments.model, step)
        if "secateurs-dynamo" in files:
            files["dense-dynamo"] = file(name, "dynamo")
        yield zoo_tools.latencies(files, x)


if __name__ == "__main__":
    main()
