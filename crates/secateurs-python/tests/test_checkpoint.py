"""Checkpoints: files that are written by hand, so that no other package is needed."""

import json
import struct

import numpy as np
import pytest
import secateurs
import secateurs.numpy as sn

TYPES = {"F32": np.float32, "F64": np.float64, "F16": np.float16}


def save(path, arrays):
    header, data = {}, b""
    for name, array in arrays.items():
        kind = next(key for key, value in TYPES.items() if value == array.dtype)
        header[name] = {
            "dtype": kind,
            "shape": array.shape,
            "data_offsets": [len(data), len(data) + array.nbytes],
        }
        data += array.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def load(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, data = json.loads(data[8 : 8 + length]), data[8 + length :]
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], TYPES[entry["dtype"]]).reshape(
            entry["shape"]
        )
        for name, entry in header.items()
    }


@pytest.fixture
def model(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "a.weight": rng.standard_normal((8, 12), dtype=np.float32),
        "b.weight": rng.standard_normal((6, 8)),
        "b.bias": rng.standard_normal(6, dtype=np.float32),
        "embed_tokens.weight": rng.standard_normal((4, 4), dtype=np.float32),
    }
    save(tmp_path / "model.safetensors", arrays)
    return tmp_path, arrays


def test_global(model):
    folder, arrays = model
    report = secateurs.prune_checkpoint(folder / "model.safetensors", folder / "out.safetensors", 0.5)
    assert report["pruned"] == report["requested"] == 72 and report["entries"] == 144
    assert report["unit"] == "entries" and set(report["tensors"]) == {"a.weight", "b.weight"}
    out = load(folder / "out.safetensors")
    masks = sn.global_unstructured({name: arrays[name] for name in report["tensors"]}, 0.5)
    for name, array in arrays.items():
        assert np.array_equal(out[name], sn.apply(masks[name], array) if name in masks else array)


def test_methods(model):
    folder, arrays = model
    path, a = folder / "model.safetensors", arrays["a.weight"]
    cases = [
        (dict(amount=0.25, scope="local"), sn.l1_unstructured(a, 0.25)),
        (dict(amount=2, method="ln"), sn.ln_structured(a, 2, 2, 0)),
        (dict(amount=2, method="ln", n=1, dim=1), sn.ln_structured(a, 2, 1, 1)),
        (dict(method="nm"), sn.nm(a)),
        (dict(amount=2, method="blocks"), sn.blocks(a, 2, 4, 4)),
        (dict(amount=secateurs.until(0.5), method="blocks", block=(2, 3)), sn.blocks(a, 0.5, 2, 3)),
    ]
    for settings, mask in cases:
        secateurs.prune_checkpoint(
            path, folder / "out.safetensors", tensors=["a.weight"], overwrite=True, **settings
        )
        assert np.array_equal(load(folder / "out.safetensors")["a.weight"], sn.apply(mask, a)), settings


def test_random_and_caps(model):
    folder, _ = model
    path = folder / "model.safetensors"
    reports = [secateurs.prune_checkpoint(path, None, 0.5, method="random", seed=seed) for seed in (1, 1, 2)]
    assert reports[0] == reports[1] != reports[2]
    report = secateurs.prune_checkpoint(path, None, 0.5, max_sparsity={"a.weight": 0.3}, normalize=True)
    assert report["tensors"]["a.weight"]["pruned"] == 28 and report["pruned"] == 72
    assert not (folder / "out.safetensors").exists()


def test_inspect_and_pack(model):
    folder, arrays = model
    out, packed, again = (folder / f"{name}.safetensors" for name in ("out", "packed", "again"))
    secateurs.prune_checkpoint(
        folder / "model.safetensors", out, method="nm", masks=folder / "masks.safetensors"
    )
    stats = secateurs.inspect(out)
    assert stats["a.weight"]["zeros"] == 48 and stats["a.weight"]["sparsity"] == 0.5
    assert ("2:4", 1) in stats["a.weight"]["patterns"]
    assert stats["b.bias"]["shape"] == [6] and list(secateurs.inspect(out, tensors=["b.bias"])) == ["b.bias"]
    assert (folder / "masks.safetensors").exists()
    # The file is too small for packing to pay, but it comes back.
    secateurs.pack(out, packed)
    assert secateurs.unpack(packed, again)["bytes_after"] == out.stat().st_size
    assert again.read_bytes() == out.read_bytes()


def test_progress(model, capsys):
    folder, _ = model
    seen = []
    secateurs.prune_checkpoint(
        folder / "model.safetensors", folder / "out.safetensors", 0.5, progress=lambda *now: seen.append(now)
    )
    assert {phase for phase, _, _ in seen} >= {"ranking", "writing"}
    assert all(done <= total for _, done, total in seen)
    secateurs.inspect(folder / "model.safetensors", progress=True)
    assert "100" in capsys.readouterr().err
    secateurs.inspect(folder / "model.safetensors")
    assert capsys.readouterr().err == ""


def test_bad_input(model):
    folder, _ = model
    path, out = folder / "model.safetensors", folder / "out.safetensors"
    (folder / "broken.safetensors").write_bytes(b"no header")
    out.write_bytes(b"mine")
    cases = [
        (lambda: secateurs.inspect(folder / "none.safetensors"), FileNotFoundError, "none.safetensors"),
        (lambda: secateurs.inspect(folder / "broken.safetensors"), ValueError, "broken.safetensors"),
        (lambda: secateurs.inspect(path, tensors=["c"]), ValueError, "c"),
        (lambda: secateurs.inspect(path, tensors="a.weight"), TypeError, "list"),
        (lambda: secateurs.inspect(3), TypeError, "."),
        (lambda: secateurs.inspect(open(path, "rb")), TypeError, "."),
        (lambda: secateurs.prune_checkpoint(path, out, 0.5), (ValueError, OSError), "out.safetensors"),
        (
            lambda: secateurs.prune_checkpoint(path, path, 0.5, overwrite=True),
            ValueError,
            "model.safetensors",
        ),
        (lambda: secateurs.prune_checkpoint(path, None, 1.5), ValueError, "1.5"),
        (lambda: secateurs.prune_checkpoint(path, None, 1000), ValueError, "1000"),
        (lambda: secateurs.prune_checkpoint(path, None), TypeError, "amount"),
        (lambda: secateurs.prune_checkpoint(path, None, 0.5, method="nm"), TypeError, "amount"),
        (lambda: secateurs.prune_checkpoint(path, None, 0.5, method="best"), ValueError, "best"),
        (lambda: secateurs.prune_checkpoint(path, None, 0.5, scope="all"), ValueError, "all"),
        (
            lambda: secateurs.prune_checkpoint(path, None, 0.5, method="ln", scope="global"),
            ValueError,
            "global",
        ),
        (
            lambda: secateurs.prune_checkpoint(path, None, 0.5, scope="local", max_sparsity=0.5),
            ValueError,
            "global",
        ),
        (lambda: secateurs.prune_checkpoint(path, None, 0.5, tensors=[]), ValueError, "no parameter"),
        (lambda: secateurs.unpack(path, folder / "x.safetensors"), ValueError, "."),
    ]
    for index, (call, error, words) in enumerate(cases):
        with pytest.raises(error, match=words):
            call()
            print("no error in case", index)
    assert out.read_bytes() == b"mine" and not (folder / "x.safetensors").exists()


@pytest.mark.parametrize(
    "call",
    [
        lambda bad, out: secateurs.prune_checkpoint(bad, out, 0.5),
        lambda bad, out: secateurs.inspect(bad),
        lambda bad, out: secateurs.pack(bad, out),
        lambda bad, out: secateurs.unpack(bad, out),
        lambda bad, out: secateurs.distributed.summarize(bad),
    ],
    ids=["prune", "inspect", "pack", "unpack", "summarize"],
)
def test_what_is_no_file(call, tmp_path):
    closed = open(tmp_path / "closed.safetensors", "w")
    closed.close()
    out = tmp_path / "out"
    for bad in (closed, None, 3, b"model.safetensors", [], {}):
        with pytest.raises(TypeError):
            call(bad, out)
    for bad in ("", tmp_path / "nowhere", tmp_path / "nowhere.safetensors", "a\0b"):
        with pytest.raises(OSError, match="cannot read"):
            call(bad, out)
    for bad in (tmp_path, closed.name):
        with pytest.raises(ValueError):
            call(bad, out)
    assert not out.exists()
