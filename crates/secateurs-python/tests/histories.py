"""Random histories of pruning calls on small modules, by PyTorch and by this package, which have to agree.

    python tests/histories.py 10000

Ties are excluded: weights are distinct, and drawn anew after `remove`, which leaves zeros. Random masks are
other ones by design, so that only their counts are compared, and PyTorch's is then put in place of ours.
"""

import pickle
import random
import sys

import torch
from secateurs.torch import prune as ours
from torch import nn
from torch.nn.utils import prune as theirs

KINDS = [
    lambda: nn.Linear(6, 5),
    lambda: nn.Conv2d(3, 4, 2),
    lambda: nn.Conv1d(4, 3, 3, bias=False),
    lambda: nn.LSTM(3, 2),
    lambda: nn.Bilinear(2, 3, 4),
]
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


def distinct(shape, dtype, generator):
    """Distinct magnitudes of both signs, exact in every type."""
    size = torch.Size(shape).numel()
    signs = torch.randint(0, 2, (size,), generator=generator) * 2 - 1
    values = (torch.randperm(size, generator=generator) + 1) * signs
    if dtype in (torch.float32, torch.float64):
        values = values + torch.rand(size, generator=generator, dtype=torch.float64) / 2 - 0.25
    return (values / 64).to(dtype).reshape(shape)


class History:
    """One model twice, and calls on both."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.dtype = self.dice.choice(DTYPES)
        layers = [self.dice.choice(KINDS)() for _ in range(self.dice.randint(1, 3))]
        self.theirs = nn.ModuleList(layers).to(self.dtype)
        for parameter in self.theirs.parameters():
            parameter.data = distinct(parameter.shape, self.dtype, self.generator)
        self.ours = pickle.loads(pickle.dumps(self.theirs))
        self.log = []

    def pairs(self):
        """The parameters that can be pruned: number of the layer, and name."""
        names = []
        for index, layer in enumerate(self.theirs):
            for name, _ in layer.named_parameters():
                names.append((index, name.removesuffix("_orig")))
        return names

    def amount(self, remaining):
        kind = self.dice.randrange(4)
        if kind == 0:
            return self.dice.randint(0, remaining)
        if kind == 1:
            return self.dice.choice([0.0, 0.1, 0.25, 0.5])
        return self.dice.random() * 0.6

    def step(self):
        index, name = self.dice.choice(self.pairs())
        tensor = getattr(self.theirs[index], name)
        mask = getattr(self.theirs[index], name + "_mask", torch.ones_like(tensor))
        remaining = int((mask == 1).sum())
        calls = [
            "l1",
            "l1",
            "l1_scores",
            "random",
            "identity",
            "custom",
            "remove",
            "global",
            "global_scores",
            "error",
        ]
        # The norms of half-precision channels are rounded to ties by PyTorch.
        if tensor.dim() > 1 and self.dtype in (torch.float32, torch.float64):
            calls += ["ln", "ln", "ln_scores", "random_structured"]
        call = self.dice.choice(calls)
        self.log.append((call, index, name))
        getattr(self, "_" + call.removesuffix("_scores"))(index, name, tensor, mask, remaining, call)

    def both(self, call):
        call(theirs, self.theirs)
        call(ours, self.ours)

    def _scores(self, call, tensor):
        return distinct(tensor.shape, self.dtype, self.generator) if call.endswith("_scores") else None

    def _l1(self, index, name, tensor, mask, remaining, call):
        amount, scores = self.amount(remaining), self._scores(call, tensor)
        self.both(
            lambda prune, model: prune.l1_unstructured(model[index], name, amount, importance_scores=scores)
        )

    def _ln(self, index, name, tensor, mask, remaining, call):
        dim = self.dice.randrange(-tensor.dim(), tensor.dim())
        others = [d for d in range(tensor.dim()) if d != dim % tensor.dim()]
        channels = int((mask.sum(others) != 0).sum())
        if channels == 0:
            return
        amount = self.amount(channels)
        norms = [1, 2, 3, 0.5, float("inf")]
        # PyTorch has the Frobenius norm of vectors and matrices only.
        n = self.dice.choice([*norms, "fro"] if tensor.dim() < 4 else norms)
        scores = self._scores(call, tensor)
        self.both(
            lambda prune, model: prune.ln_structured(
                model[index], name, amount, n, dim, importance_scores=scores
            )
        )

    def _identity(self, index, name, tensor, mask, remaining, call):
        self.both(lambda prune, model: prune.identity(model[index], name))

    def _custom(self, index, name, tensor, mask, remaining, call):
        custom = (torch.rand(tensor.shape, generator=self.generator) < 0.8).to(self.dtype)
        self.both(lambda prune, model: prune.custom_from_mask(model[index], name, custom))

    def _remove(self, index, name, tensor, mask, remaining, call):
        if not hasattr(self.theirs[index], name + "_mask"):
            return
        self.both(lambda prune, model: prune.remove(model[index], name))
        self.check()
        values = distinct(tensor.shape, self.dtype, self.generator)
        for model in (self.theirs, self.ours):
            getattr(model[index], name).data.copy_(values)

    def _global(self, index, name, tensor, mask, remaining, call):
        pairs = self.dice.sample(self.pairs(), self.dice.randint(1, len(self.pairs())))
        remaining = sum(
            int(
                (getattr(self.theirs[i], n + "_mask", torch.ones_like(getattr(self.theirs[i], n))) == 1).sum()
            )
            for i, n in pairs
        )
        amount = self.amount(remaining)
        # Values over all tensors at once: those of single tensors are equal to each other's.
        size = sum(getattr(self.theirs[i], n).numel() for i, n in pairs)
        values = distinct((size,), self.dtype, self.generator)
        if values.abs().unique().numel() < size:  # too many for a half-precision type
            return
        chunks = values.split([getattr(self.theirs[i], n).numel() for i, n in pairs])

        def prune_all(prune, model):
            scores = {
                (model[i], n): chunk.reshape(getattr(model[i], n).shape)
                for (i, n), chunk in zip(pairs, chunks)
            }
            prune.global_unstructured(
                [(model[i], n) for i, n in pairs],
                prune.L1Unstructured,
                importance_scores=scores,
                amount=amount,
            )

        self.both(prune_all)

    def _random(self, index, name, tensor, mask, remaining, call):
        amount = self.amount(remaining)
        self.both(lambda prune, model: prune.random_unstructured(model[index], name, amount))
        self.same_mask(index, name, mask)

    def _random_structured(self, index, name, tensor, mask, remaining, call):
        dim = self.dice.randrange(-tensor.dim(), tensor.dim())
        others = [d for d in range(tensor.dim()) if d != dim % tensor.dim()]
        channels = int((mask.sum(others) != 0).sum())
        if channels == 0:
            return
        amount = self.amount(channels)
        self.both(lambda prune, model: prune.random_structured(model[index], name, amount, dim))
        # Channels may be pruned in part before, so that the number of entries is up to chance.
        left = [
            int((getattr(model[index], name + "_mask").sum(others) != 0).sum())
            for model in (self.theirs, self.ours)
        ]
        assert left[0] == left[1], left
        self.same_mask(index, name, mask, counts=False)

    def same_mask(self, index, name, before, counts=True):
        one, other = (getattr(model[index], name + "_mask") for model in (self.theirs, self.ours))
        assert not ((before == 0) & (other != 0)).any(), "an entry came back"
        if counts:
            assert one.sum() == other.sum(), "another count"
        other.copy_(one)
        for hook in self.ours[index]._forward_pre_hooks.values():
            if hook._tensor_name == name:
                hook(self.ours[index], None)

    def _error(self, index, name, tensor, mask, remaining, call):
        """The same exception; and PyTorch's model, unlike ours, may be broken by it."""
        wrong = self.dice.choice(
            [
                lambda prune, model: prune.l1_unstructured(model[index], name, remaining + 1),
                lambda prune, model: prune.l1_unstructured(model[index], name, -1),
                lambda prune, model: prune.l1_unstructured(model[index], name, 1.5),
                lambda prune, model: prune.l1_unstructured(model[index], name, "half"),
                lambda prune, model: prune.l1_unstructured(model[index], "other", 1),
                lambda prune, model: prune.ln_structured(model[index], name, 0.5, 2, dim=7),
                lambda prune, model: prune.ln_structured(model[index], name, 0.5, 2, dim=-7),
                lambda prune, model: prune.l1_unstructured(
                    model[index], name, 1, importance_scores=torch.ones(99)
                ),
                lambda prune, model: prune.remove(model[index], "other"),
                lambda prune, model: prune.global_unstructured(
                    [(model[index], name)], prune.LnStructured, amount=1, n=2
                ),
                lambda prune, model: prune.custom_from_mask(model[index], name, torch.ones(99)),
            ]
        )
        raised = []
        for prune, model in ((theirs, pickle.loads(pickle.dumps(self.theirs))), (ours, self.ours)):
            try:
                wrong(prune, model)
                raised.append(None)
            except Exception as error:
                raised.append(type(error))
        assert raised[0] == raised[1] is not None, raised

    def check(self):
        for one, other in zip(self.theirs.modules(), self.ours.modules(), strict=True):
            assert list(one._parameters) == list(other._parameters)
            assert list(one._buffers) == list(other._buffers)
            hooks = [list(module._forward_pre_hooks.values()) for module in (one, other)]
            for hook, our_hook in zip(*hooks, strict=True):
                same_hooks(hook, our_hook)
                same(getattr(one, hook._tensor_name), getattr(other, hook._tensor_name))
        states = self.theirs.state_dict(), self.ours.state_dict()
        assert list(states[0]) == list(states[1])
        for key in states[0]:
            same(states[0][key], states[1][key])


def same(one, other):
    assert one.dtype == other.dtype and one.shape == other.shape
    assert torch.equal(one, other)


def same_hooks(one, other):
    assert type(one).__name__ == type(other).__name__
    assert isinstance(other, type(one))
    assert one._tensor_name == other._tensor_name
    if isinstance(one, theirs.PruningContainer):
        assert len(one) == len(other)
        for inner, our_inner in zip(one, other):
            same_hooks(inner, our_inner)


def run(seed):
    history = History(seed)
    try:
        for _ in range(history.dice.randint(1, 8)):
            history.step()
            history.check()
    except Exception as error:
        raise AssertionError(f"history {seed}, {history.dtype}: {history.log}") from error
    return len(history.log)


if __name__ == "__main__":
    histories = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    calls, differences = 0, 0
    for seed in range(histories):
        try:
            calls += run(seed)
        except AssertionError as error:
            differences += 1
            print(error, "←", repr(error.__cause__))
    print(f"{histories} histories, {calls} calls, {differences} differences")
    sys.exit(1 if differences else 0)
