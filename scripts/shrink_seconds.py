#!/usr/bin/env python3
"""Time and memory of `secateurs shrink --no-verify` from file to file, as a Markdown table.

    pip install torch torchvision onnx onnxscript
    cargo build --release -p secateurs-cli
    python3 scripts/shrink_seconds.py target/release/secateurs /tmp/models

ResNet-50, densenet121 and swin_t with random weights are exported into the folder by both of PyTorch's exporters, unless
they are there; with `--large`, a model of 2.9 GB is written, too. Files are read from the system's cache, and runs take
turns. Elapsed time includes waiting for the disk, which every output is flushed to.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

MODELS = ["resnet50", "densenet121", "swin_t"]
KINDS = {"torchscript": False, "dynamo": True}
# Of the large model: length of the residual stream, of hidden layers, number of blocks, tokens.
LARGE = (2048, 8192, 12, 32_000)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("secateurs", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--large", action="store_true", help="a model of 2.9 GB, too")
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    files = [arguments.folder / f"{name}.{kind}.onnx" for name in MODELS for kind in KINDS]
    if arguments.large:
        files.append(arguments.folder / "large.onnx")
    missing = [file for file in files if not file.exists()]
    if missing:
        for file in missing:
            write_large(file, *LARGE) if file.stem == "large" else export(file)
        # What a process has had in memory counts for those that it starts.
        os.execv(sys.executable, [sys.executable, *sys.argv])
    runs = {file: [] for file in files}
    for _ in range(arguments.runs):
        for file in files:
            runs[file].append(run(arguments.secateurs, file))
    print("| model | MB | user s | system s | processor s | elapsed s | peak MB of memory |\n|---|---|---|---|---|---|---|")
    for file, results in runs.items():
        bytes = sum(each.stat().st_size for each in (file, data(file)) if each.exists())
        user, system, elapsed, peak = (statistics.median(each) for each in zip(*results))
        processor = statistics.median(each[0] + each[1] for each in results)
        print(f"| {file.stem} | {bytes / 1e6:.0f} | {user:.3f} | {system:.3f} | {processor:.3f} | {elapsed:.3f} | {peak:.0f} |")


def run(command, file):
    """Seconds of user, of system, and elapsed; megabytes of memory at most."""
    output = file.parent / "small.out"
    line = [command, "shrink", file, "-o", output, "--amount", "0.5", "--no-verify", "--force"]
    begun = time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - begun
    if status != 0:
        raise SystemExit(f"{file} was not shrunk")
    for each in (output, data(output)):
        each.unlink(missing_ok=True)
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return usage.ru_utime, usage.ru_stime, elapsed, usage.ru_maxrss * kilobyte / 1e6


def data(file):
    """The file of weights beside a model."""
    return file.with_name(f"{file.name}.data")


def export(file):
    """Exports a model of torchvision."""
    import torch
    import torchvision

    name, kind = file.name.split(".")[:2]
    model = torchvision.models.get_model(name, weights=None).eval()
    staged = f"{file}.part"
    settings = {"external_data": False, "opset_version": 18} if KINDS[kind] else {"opset_version": 17}
    torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), staged, dynamo=KINDS[kind], **settings)
    os.replace(staged, file)


def write_large(file, stream, hidden, blocks, tokens):
    """Gated blocks on a residual stream that layer norms hold, with weights beside the model."""
    import numpy
    from onnx import TensorProto, helper

    random, weights, offset = numpy.random.default_rng(0), [], 0

    def weight(name, *shape):
        weights.append((name, shape))
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    nodes = []
    x = node("Gather", [weight("embedding", tokens, stream), "tokens"], "x")
    for block in range(blocks):
        name = f"block{block}"
        norm = [weight(f"{name}.norm.weight", stream), weight(f"{name}.norm.bias", stream)]
        normal = node("LayerNormalization", [x, *norm], f"{name}.norm", axis=-1)
        gate = node("MatMul", [normal, weight(f"{name}.gate.weight", stream, hidden)], f"{name}.gate")
        gate = node("Mul", [gate, node("Sigmoid", [gate], f"{name}.sigmoid")], f"{name}.silu")
        up = node("MatMul", [normal, weight(f"{name}.up.weight", stream, hidden)], f"{name}.up")
        gated = node("Mul", [gate, up], f"{name}.gated")
        down = node("MatMul", [gated, weight(f"{name}.down.weight", hidden, stream)], f"{name}.down")
        x = node("Add", [x, down], f"{name}.out")
    node("MatMul", [x, weight("head", stream, tokens)], "logits")

    tensors = []
    with open(data(file), "wb") as out:
        for name, shape in weights:
            array = random.standard_normal(shape, dtype=numpy.float32)
            array.tofile(out)
            place = {"location": data(file).name, "offset": offset, "length": array.nbytes}
            tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
            tensors.append(tensor)
            offset += array.nbytes
    inputs = [helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, 8])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 8, tokens])]
    graph = helper.make_graph(nodes, "large", inputs, outputs, tensors)
    file.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())


if __name__ == "__main__":
    main()
