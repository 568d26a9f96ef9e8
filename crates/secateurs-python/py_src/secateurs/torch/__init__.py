"""Pruning in PyTorch.

:mod:`secateurs.torch.prune` has every name of ``torch.nn.utils.prune``. Change the import, and nothing else:

>>> import torch
>>> from secateurs.torch import prune
>>> layer = prune.l1_unstructured(torch.nn.Linear(4, 2), "weight", amount=0.5)
>>> int(layer.weight_mask.sum())
4

Or change nothing: :func:`install` puts the same computation under PyTorch's own classes, for all code that
uses them, until :func:`uninstall`.
"""

from . import prune
from ._install import install, installed, uninstall

__all__ = ["install", "installed", "prune", "uninstall"]
