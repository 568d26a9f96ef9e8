"""What scripts/zoo.py measures of an ONNX file, by ONNX Runtime on one thread: the same for every tool."""

import json
import math
import pathlib
import statistics
import tempfile
import time

import numpy
import onnx
import onnxruntime
from onnx import numpy_helper


def session(path, optimise=True, profile=None):
    """A session on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
        # Else the shapes of weights that it has packed are not told.
        options.add_session_config_entry("session.disable_prepacking", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(opened, x):
    """All outputs, flattened into one array."""
    outputs = opened.run(None, {opened.get_inputs()[0].name: x})
    return numpy.concatenate([numpy.asarray(output, dtype=numpy.float64).ravel() for output in outputs])


def deviation(one, two, x):
    """The largest difference of outputs of two files, relative to the largest output of the first."""
    a, b = run(session(one), x), run(session(two), x)
    if a.shape != b.shape:
        raise ValueError(f"outputs of {a.size} and of {b.size} numbers")
    return float(numpy.abs(a - b).max() / numpy.abs(a).max())


def parameters(path):
    """Numbers in all initializers of floats."""
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16}
    model = onnx.load(str(path), load_external_data=False)
    return sum(math.prod(each.dims) for each in model.graph.initializer if each.data_type in floats)


def measured(path, x):
    """Parameters and multiply-adds of a file, counted alike for every tool."""
    return {"parameters": parameters(path), "macs": multiply_adds(path, x)}


def kept_entries(source, masked):
    """Entries of floats that are not zero in the masked model. It must be the source with zeros, and nothing else."""
    before, after = onnx.load(str(source)).graph, onnx.load(str(masked)).graph
    known = {each.name: numpy_helper.to_array(each) for each in before.initializer}
    for node in before.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            known[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    kept = 0
    for each in after.initializer:
        array = numpy_helper.to_array(each)
        if array.shape != known[each.name].shape or not ((array == known[each.name]) | (array == 0)).all():
            raise ValueError(f"masked model: `{each.name}` is more than masked")
        kept += int(numpy.count_nonzero(array)) if array.dtype.kind == "f" else 0
    return kept


def multiply_adds(path, x):
    """Multiply-adds of all products, from the shapes that ONNX Runtime sees when it runs the file unoptimised."""
    with tempfile.TemporaryDirectory() as folder:
        opened = session(path, optimise=False, profile=pathlib.Path(folder) / "profile")
        run(opened, x)
        events = json.loads(pathlib.Path(opened.end_profiling()).read_text())
    attributes = {node.name: node for node in onnx.load(str(path), load_external_data=False).graph.node}
    total = 0
    for event in events:
        arguments = event.get("args", {})
        if not event.get("name", "").endswith("_kernel_time"):
            continue
        shapes = lambda key: [next(iter(each.values())) for each in arguments[key]]
        op = arguments["op_name"]
        if op not in ("Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "LSTM", "GRU"):
            continue
        takes, gives = shapes("input_type_shape"), shapes("output_type_shape")
        if op == "Conv":
            total += math.prod(gives[0]) * math.prod(takes[1][1:])
        elif op == "ConvTranspose":
            total += math.prod(takes[0]) * math.prod(takes[1][1:])
        elif op == "MatMul":
            total += math.prod(gives[0]) * takes[0][-1]
        elif op == "Gemm":
            total += math.prod(takes[1]) * gives[0][0]
        elif op == "Einsum":
            node = attributes[event["name"].removesuffix("_kernel_time")]
            equation = node.attribute[0].s.decode().replace(" ", "").split("->")[0].split(",")
            lengths = {}
            for letters, shape in zip(equation, takes):
                lengths.update(zip(letters, shape))
            total += math.prod(lengths.values())
        else:
            length, batch = takes[0][:2]
            total += length * batch * (math.prod(takes[1]) + math.prod(takes[2]))
    return total


def latencies(paths, x, seconds=1.0, least=7):
    """Median milliseconds of each file; all take turns.

    It is the thread's processor time, which is what a quiet machine takes: whatever else runs does not count.
    """
    opened = {name: session(path) for name, path in paths.items()}
    times = {name: [] for name in opened}
    for each in opened.values():
        run(each, x)
    end = time.perf_counter() + seconds * len(opened)
    while len(times[next(iter(times))]) < least or time.perf_counter() < end:
        for name, each in opened.items():
            begun = time.thread_time()
            each.run(None, {each.get_inputs()[0].name: x})
            times[name].append(time.thread_time() - begun)
    return {name: 1000 * statistics.median(taken) for name, taken in times.items()}
