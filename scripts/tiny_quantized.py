"""Quantizes the models that crates/secateurs-onnx/tests/quantized.rs shrinks, in the ways that ONNX Runtime's tools have.

    python scripts/tiny_quantized.py crates/secateurs-onnx/tests/data

Needs onnx and onnxruntime, and the models that scripts/tiny_models.py writes into the folder. The files are committed, so
that the tests need neither.
"""

import logging
import pathlib
import sys

import numpy
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

PAIRS = {"quant_format": QuantFormat.QDQ, "activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
OPERATORS = {"quant_format": QuantFormat.QOperator, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}

BYTES = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8}

# Of each model, the ways in which it is quantized.
MODELS = {
    "densenet": {"operators": OPERATORS},
    "groupnorm": {"pairs": PAIRS},
    "llama": {"dynamic": {"weight_type": QuantType.QInt8, "per_channel": True}},
    "lstm": {"operators": OPERATORS},
    "mobilenet": {
        "dynamic": {"weight_type": QuantType.QUInt8},
        "operators": {**OPERATORS, "per_channel": True},
    },
    "resnet": {
        "pairs": {**PAIRS, "per_channel": True},
        # As after training with simulated quantization: weights are floats in the file.
        "simulated": {**PAIRS, "per_channel": True, "extra_options": {"AddQDQPairToWeight": True, "QuantizeBias": False}},
    },
    # A zero point for each channel.
    "resnext": {"pairs": {**PAIRS, **BYTES, "per_channel": True, "extra_options": {"WeightSymmetric": False}}},
    "unet": {"operators": {**OPERATORS, **BYTES}},
    "vit": {"dynamic": {"weight_type": QuantType.QInt8, "per_channel": True}},
}


class Noise(CalibrationDataReader):
    """A few random inputs."""

    def __init__(self, path):
        random = numpy.random.default_rng(0)
        inputs = onnx.load(path).graph.input
        self.batches = iter([{value.name: sample(random, value) for value in inputs} for _ in range(4)])

    def get_next(self):
        return next(self.batches, None)


def sample(random, value):
    tensor = value.type.tensor_type
    shape = [dim.dim_value or 2 for dim in tensor.shape.dim]
    if tensor.elem_type == onnx.TensorProto.FLOAT:
        return random.uniform(-1, 1, shape).astype(numpy.float32)
    return random.integers(0, 2, shape).astype(numpy.int64)


def main(folder):
    folder = pathlib.Path(folder)
    (folder / "quantized").mkdir(exist_ok=True)
    logging.disable(logging.WARNING)
    for name, ways in MODELS.items():
        for way, options in ways.items():
            path, output = folder / f"{name}.onnx", folder / "quantized" / f"{name}_{way}.onnx"
            if way == "dynamic":
                quantize_dynamic(path, output, **options)
            else:
                quantize_static(path, output, Noise(path), **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
