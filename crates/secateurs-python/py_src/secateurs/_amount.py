"""Amounts beyond int and float."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Until:
    """An amount: prune until this share of *all* units is pruned, counting those that are pruned already."""

    share: float

    def __post_init__(self) -> None:
        if isinstance(self.share, bool) or not isinstance(self.share, (int, float)):
            raise TypeError(f"a share is a float in [0, 1], not {self.share!r}")
        object.__setattr__(self, "share", float(self.share))
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"a share is a float in [0, 1], not {self.share!r}")

    def units(self, remaining: int, total: int) -> int:
        """How many more units are to be pruned, where `remaining` of `total` are not pruned yet."""
        return max(0, min(round(self.share * total), total) - (total - remaining))


def until(share: float) -> Until:
    """An amount: prune until this share of *all* units is pruned. Prunes nothing where it is reached already.

    >>> import numpy, secateurs.numpy
    >>> weight = numpy.arange(1.0, 11.0)
    >>> mask = secateurs.numpy.l1_unstructured(weight, 0.5)
    >>> int(secateurs.numpy.l1_unstructured(weight, until(0.8), mask=mask).sum())
    2
    """
    return Until(share)
