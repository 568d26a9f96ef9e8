"""Neural-network pruning: exact counts, the same masks everywhere, and fast.

- ``secateurs.torch.prune`` takes the place of ``torch.nn.utils.prune``;
- ``secateurs.numpy`` computes masks for NumPy arrays, without PyTorch;
- :func:`prune_checkpoint`, :func:`inspect`, :func:`pack` and :func:`unpack` work on safetensors files of any
  size, and :mod:`secateurs.distributed` by many machines;
- :func:`shrink` removes whole channels from ONNX models.

The computing is done by the Rust library of the same name.
"""

from . import distributed
from ._amount import Until, until
from ._checkpoint import inspect, pack, prune_checkpoint, unpack
from ._rust import __version__
from ._shrink import shrink

__all__ = [
    "Until",
    "distributed",
    "inspect",
    "pack",
    "prune_checkpoint",
    "shrink",
    "unpack",
    "until",
    "__version__",
]
