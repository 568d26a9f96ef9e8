"""How arrays become JSON.

A tensor is `{"shape": [2, 3], "data": [six numbers, row-major]}`; a scalar has the shape `[]` and one number.
Numbers are the shortest decimals that give the same f32 back. A mask is a string of 0 and 1, row-major.
"""

import json

import numpy as np


def numbers(array):
    """The entries as a flat list whose JSON is the shortest that round-trips through f32."""
    flat = np.asarray(array, dtype=np.float32).ravel()
    assert np.isfinite(flat).all(), "JSON has no NaN and no infinity"
    written = [float(str(value)) for value in flat]
    # Readers often parse an f64 and narrow it: that must come to the same f32.
    assert np.array_equal(np.array(written, dtype=np.float64).astype(np.float32), flat)
    return written


def tensor(array):
    """`{"shape", "data"}` of anything numpy can read, f32."""
    array = np.asarray(array)
    return {"shape": list(array.shape), "data": numbers(array)}


def integers(array):
    """`{"shape", "data"}` with whole numbers, for class indices."""
    array = np.asarray(array)
    return {"shape": list(array.shape), "data": [int(value) for value in array.ravel()]}


def bits(mask):
    """A mask as a string of 0 and 1, row-major."""
    mask = np.asarray(mask)
    assert ((mask == 0) | (mask == 1)).all(), "a mask holds only 0 and 1"
    return "".join("1" if value else "0" for value in mask.ravel())


def unbits(string, shape):
    """The boolean array of such a string."""
    return np.array([digit == "1" for digit in string]).reshape(shape)


def write(path, head, key, items):
    """Writes `{**head, key: [items]}` with one item per line, so that a diff shows what changed."""
    lines = ",\n".join(json.dumps(item, separators=(",", ":"), allow_nan=False) for item in items)
    opening = json.dumps(head)[:-1]
    path.write_text(f"{opening}, {json.dumps(key)}: [\n{lines}\n]}}\n", encoding="ascii")
