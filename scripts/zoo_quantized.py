#!/usr/bin/env python3
"""Removes half of the channels of quantized models by `secateurs shrink`, and measures what that saves.

    pip install torch==2.12.0 torchvision onnx onnxruntime onnxscript
    cargo build --release -p secateurs-cli
    python3 scripts/zoo_quantized.py target/release/secateurs /tmp/quantized BENCHMARKS.md

Models of scripts/zoo_models.py are quantized to 8 bits by ONNX Runtime's tools, in three ways: with pairs of nodes that
quantize and dequantize, with operators on integers, and dynamically, with scales that are found when the model runs. The
folder keeps models and results: what has a result is not run again. The table goes between two marks of the Markdown file.
"""

import json
import logging
import os
import pathlib
import subprocess
import sys

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

import zoo_files
import zoo_models
import zoo_tools
import zoo_torch

CONVOLUTIONAL = ["resnet50", "mobilenet_v2", "densenet121", "unet"]
SEQUENCES = ["vit_b_32", "bert-like", "llama-like"]
PRODUCTS = ["Conv", "MatMul", "Gemm", "Gather"]
WAYS = {"pairs": QuantFormat.QDQ, "operators": QuantFormat.QOperator, "dynamic": None}
MARKS = "<!-- scripts/zoo_quantized.py: begin -->\n", "<!-- scripts/zoo_quantized.py: end -->\n"


class Samples(CalibrationDataReader):
    """A few random inputs to find ranges by."""

    def __init__(self, name):
        self.batches = iter([{"input": zoo_models.inputs(name, seed=seed).numpy()} for seed in range(10, 14)])

    def get_next(self):
        return next(self.batches, None)


def quantize(name, source, output, way):
    if way == "dynamic":
        quantize_dynamic(source, output, weight_type=QuantType.QInt8, per_channel=True)
        return
    # Bytes without a sign for activations, which are what processors multiply fastest with signed weights.
    options = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
    if name in SEQUENCES:
        options["op_types_to_quantize"] = PRODUCTS
    quantize_static(source, output, Samples(name), quant_format=WAYS[way], **options)


def measure(command, folder, name, way):
    floats, source = folder / f"{name}.onnx", folder / f"{name}_{way}.onnx"
    x = zoo_models.inputs(name)
    if not floats.exists():
        zoo_torch.export(zoo_models.build(name), x, floats)
        half(command, floats, folder / f"{name}_small.onnx")
    if not source.exists():
        quantize(name, floats, source, way)
    x = x.numpy()
    small, masked = folder / f"{name}_{way}_small.onnx", folder / f"{name}_{way}_masked.onnx"
    result = {"report": half(command, source, small, "--masked", masked)}
    onnx.checker.check_model(str(small))
    begun = zoo_files.spent()
    half(command, source, small, "--no-verify")
    result["seconds"] = zoo_files.spent() - begun
    result["deviation"] = zoo_tools.deviation(masked, small, x)
    os.remove(masked)
    files = {"floats": floats, "fewer floats": folder / f"{name}_small.onnx", "before": source, "after": small}
    result["latency"] = zoo_tools.latencies(files, x)
    return result


def half(command, source, output, *options):
    """Removes half of the channels, and returns what the command says."""
    arguments = [command, "shrink", source, "-o", output, "--amount", "0.5", "--force", "--json", *options]
    return json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


def row(name, way, result):
    report, times = result["report"], result["latency"]
    before, after = report["before"], report["after"]
    shares = [f"{100 * after[key] / before[key]:.1f} %" for key in ("parameters", "macs")]
    sizes = f"{before['bytes'] / 1e6:.2f} → {after['bytes'] / 1e6:.2f}"
    speeds = [f"{times[a]:.2f} → {times[b]:.2f}" for a, b in (("floats", "fewer floats"), ("before", "after"))]
    proofs = [f"{value:.0e}" if value else "0" for value in (report["deviation"], result["deviation"])]
    cells = [f"{name}, {way}", *shares, sizes, *speeds, *proofs, f"{result['seconds']:.2f}"]
    return f"| {' | '.join(cells)} |"


def main(command, folder, file):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.WARNING)
    lines = [
        "| model | parameters | multiply-adds | MB | ms in f32 | ms quantized | deviation in f64 | in ONNX Runtime | s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in [*CONVOLUTIONAL, *SEQUENCES]:
        for way in WAYS:
            path = folder / f"{name}_{way}.json"
            if not path.exists():
                path.write_text(json.dumps(measure(command, folder, name, way)))
            lines.append(row(name, way, json.loads(path.read_text())))
            print(lines[-1], flush=True)
    file = pathlib.Path(file)
    before, rest = file.read_text().split(MARKS[0])
    _, after = rest.split(MARKS[1])
    file.write_text(before + MARKS[0] + "\n" + "\n".join(lines) + "\n\n" + MARKS[1] + after)


if __name__ == "__main__":
    main(*sys.argv[1:])
