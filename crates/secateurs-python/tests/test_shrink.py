"""Smaller ONNX models. Models are made by `onnx.helper`, and run by ONNX's reference evaluator."""

import pathlib

import numpy as np
import pytest
import secateurs

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


@pytest.fixture
def model(tmp_path):
    """Two convolutions and a linear layer: 32 channels, then 24, then 10 classes."""
    rng = np.random.default_rng(0)
    weights = {
        "first.weight": rng.standard_normal((32, 3, 3, 3)),
        "first.bias": rng.standard_normal(32),
        "second.weight": rng.standard_normal((24, 32, 3, 3)),
        "second.bias": rng.standard_normal(24),
        "head.weight": rng.standard_normal((10, 24)),
        "head.bias": rng.standard_normal(10),
    }
    nodes = [
        helper.make_node("Conv", ["x", "first.weight", "first.bias"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second.weight", "second.bias"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "head.weight", "head.bias"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def shapes(path):
    return {w.name: list(w.dims) for w in onnx.load(path).graph.initializer}


def run(path):
    from onnx.reference import ReferenceEvaluator

    x = np.random.default_rng(1).standard_normal((1, 3, 8, 8), dtype=np.float32)
    return ReferenceEvaluator(str(path)).run(None, {"x": x})[0]


def test_half_of_the_channels(model, tmp_path):
    output, masked = tmp_path / "small.onnx", tmp_path / "masked.onnx"
    report = secateurs.shrink(model, output, amount=0.5, round_to=8, masked=masked)
    assert shapes(output)["first.weight"] == [16, 3, 3, 3]
    assert shapes(output)["second.weight"] == [16, 16, 3, 3]  # 12 is as near to 8 as to 16
    assert shapes(output)["head.weight"] == [10, 16]
    onnx.checker.check_model(onnx.load(output))
    np.testing.assert_allclose(run(output), run(masked), rtol=1e-4, atol=1e-5)
    assert report["removed"] == 16 + 8
    assert report["after"]["parameters"] == sum(int(np.prod(s)) for s in shapes(output).values())
    assert report["before"]["bytes"] == model.stat().st_size
    assert report["after"]["bytes"] == output.stat().st_size
    assert report["after"]["macs"] < report["before"]["macs"]
    assert 0 < report["after"]["activations"] <= report["before"]["activations"]
    assert report["deviation"] < 1e-12
    groups = {group["channels"]: group for group in report["groups"]}
    assert groups[32]["removed"] == 16 and "first.weight" in groups[32]["parameters"]


def test_an_inexact_cut_is_a_choice(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"a.weight": (16, 3), "scale": (16,), "shift": (16,), "b.weight": (4, 16)}
    nodes = [
        helper.make_node("Gemm", ["x", "a.weight"], ["a"], transB=1),
        helper.make_node("LayerNormalization", ["a", "scale", "shift"], ["b"]),
        helper.make_node("Gemm", ["b", "b.weight"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), name) for name, s in shapes.items()],
    )
    path = tmp_path / "norm.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with pytest.raises(ValueError, match="LayerNormalization"):
        secateurs.shrink(path, tmp_path / "small.onnx")
    report = secateurs.shrink(path, tmp_path / "small.onnx", inexact=["layer_norm"])
    assert report["inexact"] == {"layer norms": 8}
    assert report["deviation"] < 1e-12 < report["accepted_deviation"]
    with pytest.raises(ValueError, match="inexact operator"):
        secateurs.shrink(path, None, inexact=["softmax"])


def test_budgets_and_rounding(model, tmp_path):
    report = secateurs.shrink(model, tmp_path / "small.onnx", macs=0.4, round_to=1)
    assert report["after"]["macs"] <= 0.4 * report["before"]["macs"]
    secateurs.shrink(model, tmp_path / "third.onnx", 0.25, round_to=3)
    assert shapes(tmp_path / "third.onnx")["first.weight"][0] == 24


def test_a_plan_writes_nothing(model, tmp_path):
    report = secateurs.shrink(model, None, 0.5)
    assert report["removed"] == 24 and report["deviation"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_scores_and_names(model, tmp_path):
    scores = {"first.weight": np.ones((32, 3, 3, 3))}
    scores["first.weight"][:8] = 0
    report = secateurs.shrink(model, tmp_path / "a.onnx", 8, importance=scores, include=["first.weight"])
    assert report["removed"] == 8
    kept = {w.name: numpy_helper.to_array(w) for w in onnx.load(tmp_path / "a.onnx").graph.initializer}
    before = {w.name: numpy_helper.to_array(w) for w in onnx.load(model).graph.initializer}
    np.testing.assert_array_equal(kept["first.weight"], before["first.weight"][8:])
    report = secateurs.shrink(model, tmp_path / "b.onnx", 0.5, exclude=["head.weight"], importance="l1")
    by_norm = secateurs.shrink(model, None, 0.5, exclude=["head.weight"], importance="norm", norm=1.0)
    assert by_norm["groups"] == report["groups"]
    assert shapes(tmp_path / "b.onnx")["first.weight"][0] == 16
    assert shapes(tmp_path / "b.onnx")["head.weight"] == [10, 24]
    assert report["removed"] == 16 and report["held"]["the choice of groups"] == 24


def test_a_function_of_scores(model, tmp_path):
    output, names = tmp_path / "small.onnx", []

    def scores(name, weight):
        names.append((name, weight.shape))
        return np.abs(weight) if weight.ndim > 1 else None

    secateurs.shrink(model, output, 0.5, importance=scores)
    assert ("first.weight", (32, 3, 3, 3)) in names and ("head.bias", (10,)) in names
    biases = {name: np.zeros(n) for name, n in (("first.bias", 32), ("second.bias", 24), ("head.bias", 10))}
    weights = {w.name: np.abs(numpy_helper.to_array(w)) for w in onnx.load(model).graph.initializer}
    secateurs.shrink(model, tmp_path / "same.onnx", 0.5, importance={**weights, **biases})
    assert output.read_bytes() == (tmp_path / "same.onnx").read_bytes()

    def fails(name, weight):
        raise KeyError(name)

    with pytest.raises(KeyError):
        secateurs.shrink(model, tmp_path / "none.onnx", 0.5, importance=fails)
    with pytest.raises(ValueError, match="shape"):
        secateurs.shrink(model, tmp_path / "none.onnx", 0.5, importance=lambda name, weight: weight[:1])
    assert not (tmp_path / "none.onnx").exists()


def test_query_heads_go_by_choice():
    path = pathlib.Path(__file__).parents[2] / "secateurs-onnx" / "tests" / "data" / "llama.onnx"
    reason = "the choice to keep keys and values"
    assert reason in secateurs.shrink(path, None, query_heads=True)["held"]
    assert reason not in secateurs.shrink(path, None, whole_heads=True)["held"]


def test_zeros_are_removed(model, tmp_path):
    with pytest.raises(ValueError, match="no channel is masked"):
        secateurs.shrink(model, tmp_path / "small.onnx", zeros=True)
    masked = onnx.load(model)
    for w in masked.graph.initializer:
        if w.name.startswith("first."):
            array = numpy_helper.to_array(w).copy()
            array[:5] = 0
            w.CopyFrom(numpy_helper.from_array(array, w.name))
    path = tmp_path / "masked.onnx"
    onnx.save(masked, path)
    report = secateurs.shrink(path, tmp_path / "small.onnx", zeros=True)
    assert report["removed"] == 5 and report["folded"] == 0
    assert shapes(tmp_path / "small.onnx")["first.weight"] == [27, 3, 3, 3]
    np.testing.assert_allclose(run(tmp_path / "small.onnx"), run(path), rtol=1e-4, atol=1e-5)
    with pytest.raises(TypeError, match="exclude each other"):
        secateurs.shrink(path, None, 0.5, zeros=True)


def test_bad_input(model, tmp_path):
    output = tmp_path / "small.onnx"
    for bad in (None, 3, [], open(model, "rb")):
        with pytest.raises(TypeError):
            secateurs.shrink(bad, output)
    with pytest.raises(FileNotFoundError):
        secateurs.shrink(tmp_path / "nowhere.onnx", output)
    with pytest.raises(TypeError, match="exclude each other"):
        secateurs.shrink(model, output, 0.5, macs=0.5)
    with pytest.raises(TypeError):
        secateurs.shrink(model, output, "half")
    with pytest.raises(TypeError, match="list of names"):
        secateurs.shrink(model, output, include="first.weight")
    for options in (
        {"amount": 1.5},
        {"macs": 0.0},
        {"macs": 1e-9},
        {"importance": "l3"},
        {"importance": "norm"},
        {"importance": "norm", "norm": 0.0},
        {"norm": 3.0},
        {"scope": "all"},
        {"reduction": "median"},
        {"importance": {"first.weight": np.ones(3)}},
    ):
        with pytest.raises(ValueError):
            secateurs.shrink(model, output, **options)
    (tmp_path / "no.onnx").write_bytes(b"this is not a model")
    with pytest.raises(ValueError):
        secateurs.shrink(tmp_path / "no.onnx", output)
    assert not output.exists()
    secateurs.shrink(model, output)
    small = output.read_bytes()
    with pytest.raises((ValueError, OSError), match="exists"):
        secateurs.shrink(model, output)
    assert output.read_bytes() == small
    secateurs.shrink(model, output, 0.25, overwrite=True)
    assert output.read_bytes() != small
