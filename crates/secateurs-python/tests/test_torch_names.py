"""Every public name of PyTorch's module is in ours, with its signature and as a subclass."""

import inspect

import pytest
import torch
from secateurs.torch import prune as ours
from torch.nn.utils import prune as theirs

NAMES = [
    name
    for name, value in vars(theirs).items()
    if not name.startswith("_") and getattr(value, "__module__", None) == theirs.__name__
]
HELPERS = [name for name, value in vars(theirs).items() if name.startswith("_") and inspect.isfunction(value)]


def test_the_names_are_found():
    assert len(NAMES) >= 17 and len(HELPERS) >= 6
    assert {"L1Unstructured", "global_unstructured", "remove"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES + HELPERS)
def test_name(name):
    one, other = getattr(theirs, name), getattr(ours, name)
    if name in NAMES:
        assert name in ours.__all__
    if inspect.isclass(one):
        assert issubclass(other, one)
        # A class without an `__init__` of its own has that of `object`.
        if one.__init__ is not object.__init__:
            same_signature(one.__init__, other.__init__)
        same_signature(one.apply, other.apply)
        same_signature(one.compute_mask, other.compute_mask)
        assert getattr(one, "PRUNING_TYPE", None) == getattr(other, "PRUNING_TYPE", None)
    else:
        same_signature(one, other)
    assert other.__doc__


def same_signature(one, other):
    """All parameters of the one in the same order; what the other has besides is by keyword only."""
    one, other = (list(inspect.signature(function).parameters.values()) for function in (one, other))
    shared = [parameter for parameter in other if parameter.name in {p.name for p in one}]
    assert [(p.name, p.default, p.kind) for p in one] == [(p.name, p.default, p.kind) for p in shared]
    for parameter in other:
        if parameter not in shared:
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY


def test_doctests():
    import doctest

    import secateurs.torch

    for module in (ours, secateurs.torch):
        result = doctest.testmod(module)
        assert result.failed == 0 and result.attempted > 0


def test_torch_has_not_changed():
    assert isinstance(torch.nn.utils.prune.BasePruningMethod.__dict__["apply"], classmethod)
    assert theirs.global_unstructured.__module__ == theirs.__name__
