"""A sharded checkpoint to try things on: `make(folder, files, layers, size)`."""

import json
import struct

import numpy as np


def make(folder, files, layers, size):
    """A checkpoint of float32 weights, of which some are tied."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    placed = {}
    for number in range(files):
        name = f"model-{number + 1:05}-of-{files:05}.safetensors"
        header, position = {}, 0
        # Layers are dealt out like cards, so that ties of one file lie between those of others.
        mine = [f"layers.{layer:03}.weight" for layer in range(number, layers, files)]
        for weight in mine:
            end = position + 4 * size * size
            header[weight] = {"dtype": "F32", "shape": [size, size], "data_offsets": [position, end]}
            placed[weight], position = name, end
        text = json.dumps(header).encode()
        with open(folder / name, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for _ in mine:
                weight = rng.standard_normal((size, size), dtype=np.float32)
                weight[rng.random(weight.shape) < 0.05] = 0.5
                file.write(weight.tobytes())
    index = {"metadata": {"total_size": 4 * size * size * layers}, "weight_map": placed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text("{}")
