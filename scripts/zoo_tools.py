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
    """A session on one thread, of a file or of the bytes of a model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
        # Else the shapes of weights that it has packed are not told.
        options.add_session_config_entry("session.disable_prepacking", "1")
    model = path if isinstance(path, bytes) else str(path)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


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
    """Entries of floats that are not zero in the masked model. It must be the source with zeros, and nothing else.

    Where uses of one weight are masked differently, or a value that is computed from weights is masked, the masked model
    has an initializer that the source lacks. It is compared with what the same inputs of the same nodes are there.
    """
    whole, after = onnx.load(str(source)), onnx.load(str(masked)).graph
    before = whole.graph
    known = {each.name: numpy_helper.to_array(each) for each in before.initializer}
    for node in before.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            known[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    new = {each.name for each in after.initializer} - known.keys()
    original = replaced(before, after, new)
    values = computed(whole, set(original.values()) - known.keys())
    known.update(values)
    kept = 0
    for each in after.initializer:
        if each.name in new and each.name not in original:
            raise ValueError(f"masked model: `{each.name}` is not in the original")
        name = original.get(each.name, each.name)
        array, of = numpy_helper.to_array(each), known[name]
        # ONNX Runtime may round what it computes otherwise.
        same = (lambda a, b: numpy.isclose(a, b, rtol=1e-5, atol=1e-6)) if name in values else numpy.equal
        if array.shape != of.shape or not (same(array, of) | (array == 0)).all():
            raise ValueError(f"masked model: `{each.name}` is more than masked")
        kept += int(numpy.count_nonzero(array)) if array.dtype.kind == "f" else 0
    return kept


def replaced(before, after, new):
    """For each new initializer, the value that its uses take in the graph before. Nodes are known by their outputs."""
    nodes, original = {tuple(node.output): node for node in before.node}, {}
    for node in after.node:
        was = nodes.get(tuple(node.output))
        for place, name in enumerate(node.input):
            if name not in new:
                continue
            if was is None or was.op_type != node.op_type or place >= len(was.input):
                raise ValueError(f"masked model: `{name}` goes where the original has nothing")
            if original.setdefault(name, was.input[place]) != was.input[place]:
                raise ValueError(f"masked model: `{name}` stands for more than one value")
    return original


def computed(model, names):
    """Values that are computed from weights alone, by ONNX Runtime."""
    if not names:
        return {}
    makers = {output: node for node in model.graph.node for output in node.output}
    wanted, needed = list(names), set()
    while wanted:
        name = wanted.pop()
        if name in makers and name not in needed:
            needed.add(name)
            wanted += makers[name].input
    names = sorted(names)
    nodes = [node for node in model.graph.node if needed.intersection(node.output)]
    read = {name for node in nodes for name in node.input}
    weights = [each for each in model.graph.initializer if each.name in read]
    graph = onnx.helper.make_graph(nodes, "part", [], [onnx.ValueInfoProto(name=name) for name in names], weights)
    part = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return dict(zip(names, session(part.SerializeToString(), optimise=False).run(None, {})))


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
