"""histories.json: random sequences of pruning calls, and PyTorch's masks after each call.

    {"torch": "2.12.0", "histories": [{
        "parameters": [{"name": "p0", "shape": [2, 3], "data": [..]}, ..],
        "calls": [{
            "method": "l1_unstructured" | "ln_structured" | "custom_from_mask" | "identity"
                      | "global_unstructured",
            "name":   the parameter, or null (global),
            "names":  [the parameters, in the order in which they are listed] (global), or null,
            "amount": {"fraction": 0.3} | {"count": 3} | null,
            "n":      0.5 | 1.0 | 2.0 | 3.0 | "inf" | "-inf" (ln_structured), or null,
            "dim":    -2 (ln_structured), or null,
            "mask":   "0101.." row-major (custom_from_mask), or null,
            "scores": [..] row-major importance scores, or null for the effective tensor,
            "scores_by_name": {"p1": [..]} for all or some of "names" (global), or null,
            "error":  whether the call is refused,
            "masks":  {"p0": "0110..", ..} of every parameter that is pruned after this call
        }, ..]
    }, ..]}

All parameters of a history belong to one module. Global calls rank by L1. A refused call is the last of its
history, and the masks after it are those before it.

No outcome here hangs on a tie: a call whose cut falls between equal absolute values, or between channel norms
closer than 1e-5 (PyTorch sums in f32), is drawn again.
"""

import math

import numpy as np
import torch
from torch.nn.utils import prune

from goldens import encoding, mask_rules

ORDINARY = 440
REFUSED = 24
SEED = 20_260

NORMS = [0.5, 1.0, 2.0, 3.0, math.inf, -math.inf]
# Amounts that land on halves, on nothing and on everything, beside random ones.
FRACTIONS = [0.0, 0.1, 0.25, 0.3, 0.4, 0.5, 0.5, 0.5, 0.6, 0.75, 0.9, 1.0]
NEAR_TIE = 1e-5
METHODS = [
    "l1_unstructured",
    "ln_structured",
    "custom_from_mask",
    "identity",
    "global_unstructured",
]


class Parameters(torch.nn.Module):
    """A module with a parameter per array."""

    def __init__(self, tensors):
        super().__init__()
        for name, values in tensors.items():
            self.register_parameter(name, torch.nn.Parameter(torch.tensor(values)))

    def masks(self):
        """The masks of the parameters that are pruned now, as boolean arrays by name."""
        buffers = dict(self.named_buffers())
        return {
            name.removesuffix("_mask"): mask.numpy().astype(bool) for name, mask in buffers.items()
        }

    def call(self, call):
        """Carries one call out, through torch.nn.utils.prune alone."""

        def scores(name, values):
            return None if values is None else torch.tensor(values).view(getattr(self, name).shape)

        name = call["name"]
        amount = None if call["amount"] is None else next(iter(call["amount"].values()))
        if call["method"] == "identity":
            prune.identity(self, name)
        elif call["method"] == "custom_from_mask":
            mask = encoding.unbits(call["mask"], getattr(self, name).shape)
            prune.custom_from_mask(self, name, torch.tensor(mask, dtype=torch.float32))
        elif call["method"] == "l1_unstructured":
            prune.l1_unstructured(self, name, amount, importance_scores=scores(name, call["scores"]))
        elif call["method"] == "ln_structured":
            given = scores(name, call["scores"])
            prune.ln_structured(
                self, name, amount, float(call["n"]), call["dim"], importance_scores=given
            )
        else:
            given = (call["scores_by_name"] or {}).items()
            prune.global_unstructured(
                [(self, name) for name in call["names"]],
                pruning_method=prune.L1Unstructured,
                importance_scores={(self, name): scores(name, values) for name, values in given},
                amount=amount,
            )


def random_values(rng, size):
    """f32 values: normal, normal of another scale, or heavy-tailed."""
    kind = rng.choice(["normal", "scaled", "heavy"], p=[0.6, 0.15, 0.25])
    if kind == "heavy":
        values = rng.standard_t(1.5, size)
    else:
        values = rng.normal(size=size) * (1.0 if kind == "normal" else 10.0 ** rng.uniform(-4, 3))
    return values.astype(np.float32)


def random_shape(rng):
    """One to five dimensions, at most 300 entries; a dimension is now and then 1."""
    rank = int(rng.choice([1, 2, 3, 4, 5], p=[0.15, 0.3, 0.2, 0.2, 0.15]))
    longest = {1: 48, 2: 13, 3: 7, 4: 5, 5: 4}[rank]
    while True:
        shape = [int(length) for length in rng.integers(1 if rank > 1 else 3, longest + 1, rank)]
        if 2 <= math.prod(shape) <= 300:
            return shape


def random_amount(rng, units):
    """A fraction or a count, mostly small enough that later calls still find something."""
    if rng.random() < 0.6:
        drawn = rng.choice(FRACTIONS) if rng.random() < 0.5 else round(rng.uniform(0.0, 0.7), 3)
        return {"fraction": float(drawn)}
    most = units if rng.random() < 0.15 else (units + 1) // 2
    fewest = 0 if rng.random() < 0.1 else min(1, most)
    return {"count": int(rng.integers(fewest, most + 1))}


def random_mask(rng, shape):
    """A mask for custom_from_mask: scattered entries, and now and then whole channels."""
    mask = rng.random(shape) < rng.uniform(0.4, 0.98)
    if rng.random() < 0.4:
        dim = int(rng.integers(len(shape)))
        np.moveaxis(mask, dim, 0)[rng.random(shape[dim]) < 0.3] = False
    return mask


def blank(method, **settings):
    """A call with every field, null where it has no meaning."""
    fields = ["name", "names", "amount", "n", "dim", "mask", "scores", "scores_by_name"]
    return {"method": method, **{field: None for field in fields}, **settings}


def random_call(rng, tensors, masks):
    """Draws one call that PyTorch accepts and that may yet turn out to hang on a tie."""
    names = list(tensors)
    method = rng.choice(METHODS, p=[0.25, 0.34, 0.1, 0.05, 0.26])
    if method == "global_unstructured" and len(names) == 1 and rng.random() < 0.8:
        method = "l1_unstructured"
    if method == "global_unstructured":
        fewest = 1 if rng.random() < 0.1 else min(2, len(names))
        length = int(rng.integers(fewest, len(names) + 1))
        listed = [str(name) for name in rng.permutation(names)[:length]]
        units = sum(int(masks[name].sum()) for name in listed)
        call = blank("global_unstructured", names=listed, amount=random_amount(rng, units))
        if rng.random() < 0.4:  # scores for some of them, or for all
            scored = [name for name in listed if rng.random() < 0.7]
            call["scores_by_name"] = {
                name: encoding.numbers(random_values(rng, tensors[name].shape)) for name in scored
            }
        return call

    if method == "ln_structured":
        names = [name for name in names if tensors[name].ndim >= 2]
        if not names:
            return None
    name = str(rng.choice(names))
    shape = tensors[name].shape
    call = blank(str(method), name=name)
    if method == "custom_from_mask":
        call["mask"] = encoding.bits(random_mask(rng, shape))
    elif method == "ln_structured":
        n = float(rng.choice(NORMS))
        dim = int(rng.integers(-len(shape), len(shape)))
        call.update(n=str(n) if math.isinf(n) else n, dim=dim)
        others = tuple(axis for axis in range(len(shape)) if axis != dim % len(shape))
        call["amount"] = random_amount(rng, int(masks[name].any(axis=others).sum()))
    elif method == "l1_unstructured":
        call["amount"] = random_amount(rng, int(masks[name].sum()))
    if method in ("l1_unstructured", "ln_structured") and rng.random() < 0.35:
        call["scores"] = encoding.numbers(random_values(rng, shape))
    return call


def hangs_on_a_tie(call, tensors, masks):
    """Whether the last unit that falls and the first that stays are equal, or too close to tell apart."""
    if call["amount"] is None:
        return False
    _, importance, k = mask_rules.ranking(call, tensors, masks)
    if k == 0 or k == len(importance):
        return False
    falls, stays = np.sort(importance)[k - 1 : k + 1]
    if call["method"] == "ln_structured":
        return stays - falls < NEAR_TIE * stays or stays == falls
    return stays == falls


def refused_call(rng, kind, tensors, masks, pruned):
    """Draws a call that must fail, or None where these parameters cannot show that failure."""
    wide = [name for name in tensors if tensors[name].ndim >= 2]
    # PyTorch refuses these only while they are unpruned: a PruningContainer adds a dimension by accident.
    flat = [name for name in tensors if tensors[name].ndim == 1 and name not in pruned]
    name = str(rng.choice(list(tensors)))
    left = int(masks[name].sum())
    outside = float(rng.choice([1.0001, 1.5, -0.1, -1.0]))
    if kind == "count above the entries left":
        return blank("l1_unstructured", name=name, amount={"count": left + int(rng.integers(1, 4))})
    if kind == "count above the entries left, global":
        units = sum(int(mask.sum()) for mask in masks.values())
        return blank("global_unstructured", names=list(tensors), amount={"count": units + 1})
    if kind == "fraction outside [0, 1]":
        return blank("l1_unstructured", name=name, amount={"fraction": outside})
    if kind == "fraction outside [0, 1], global":
        return blank("global_unstructured", names=list(tensors), amount={"fraction": outside})
    if kind == "structured, one dimension":
        if not flat:
            return None
        settings = {"amount": {"count": 1}, "n": 2.0, "dim": 0}
        return blank("ln_structured", name=str(rng.choice(flat)), **settings)
    if not wide:
        return None
    name = str(rng.choice(wide))
    rank = tensors[name].ndim
    if kind in ("dim too high", "dim too low"):
        dim = rank if kind == "dim too high" else -rank - 1
        return blank("ln_structured", name=name, amount={"fraction": 0.5}, n=1.0, dim=dim)
    assert kind == "count above the channels left"
    dim = int(rng.integers(-rank, rank))
    others = tuple(axis for axis in range(rank) if axis != dim % rank)
    count = int(masks[name].any(axis=others).sum()) + 1
    return blank("ln_structured", name=name, amount={"count": count}, n=2.0, dim=dim)


REFUSALS = [
    "count above the entries left",
    "count above the entries left, global",
    "count above the channels left",
    "fraction outside [0, 1]",
    "fraction outside [0, 1], global",
    "dim too high",
    "dim too low",
    "structured, one dimension",
]


def history(rng, refusal=None):
    """Draws one history, and says how many calls were drawn again for ties.

    Where `refusal` names a kind, the last call is refused for it; None if these parameters cannot show that.
    """
    tensors = {
        f"p{index}": random_values(rng, random_shape(rng)) for index in range(rng.integers(1, 5))
    }
    module = Parameters(tensors)
    calls, redrawn = [], 0
    wanted = int(rng.integers(1, 6))
    while len(calls) < wanted:
        before = {name: np.ones(values.shape, bool) for name, values in tensors.items()}
        before |= module.masks()
        last = refusal is not None and len(calls) == wanted - 1
        if last:
            call = refused_call(rng, refusal, tensors, before, module.masks())
            if call is None:
                return None
        else:
            call = random_call(rng, tensors, before)
            if call is None:
                continue
            if hangs_on_a_tie(call, tensors, before):
                redrawn += 1
                continue
        refused = False
        try:
            module.call(call)
        except (ValueError, IndexError) as error:
            refused = True
            if not last:
                raise AssertionError(f"PyTorch refused {call}") from error
        assert refused == last, f"PyTorch did not refuse {call}"
        after = module.masks()
        if refused:
            assert all(np.array_equal(before[name], mask) for name, mask in after.items())
        masks = {name: encoding.bits(after[name]) for name in tensors if name in after}
        calls.append({**call, "error": refused, "masks": masks})
    parameters = [{"name": name, **encoding.tensor(values)} for name, values in tensors.items()]
    return {"parameters": parameters, "calls": calls}, redrawn


def write(folder, version):
    """Writes the file; returns lines that say what is in it."""
    histories, redrawn = [], 0
    # Each history has its own stream, so that a change to one leaves the others as they were.
    for index in range(ORDINARY + REFUSED):
        rng = np.random.default_rng([SEED, index])
        refusal = None
        if index >= ORDINARY:
            refusal = REFUSALS[(index - ORDINARY) % len(REFUSALS)]
        drawn = None
        while drawn is None:
            drawn = history(rng, refusal)
        histories.append(drawn[0])
        redrawn += drawn[1]
    encoding.write(folder / "histories.json", {"torch": version}, "histories", histories)

    calls = [call for one in histories for call in one["calls"]]

    def tally(field, order=None):
        values = [call[field] for call in calls if call[field] is not None]
        return ", ".join(f"{v}: {values.count(v)}" for v in sorted(set(values), key=order))

    scored = sum(call["scores"] is not None or bool(call["scores_by_name"]) for call in calls)
    fractions = sum("fraction" in (call["amount"] or {}) for call in calls)
    counts = sum("count" in (call["amount"] or {}) for call in calls)
    ranks = [len(p["shape"]) for one in histories for p in one["parameters"]]
    return [
        f"histories.json: {len(histories)} histories, {len(calls)} calls,"
        f" {sum(call['error'] for call in calls)} of them refused; {redrawn} drawn again for ties",
        f"  methods {tally('method')}",
        f"  n {tally('n', float)}",
        f"  dim {tally('dim')}",
        f"  amounts: {fractions} fractions, {counts} counts; {scored} calls with scores",
        f"  parameters: {len(ranks)}; of 1 to 5 dimensions: "
        + ", ".join(str(ranks.count(rank)) for rank in range(1, 6)),
    ]
