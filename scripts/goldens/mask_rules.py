"""The mask rules in plain numpy: which entries one pruning call takes. Knows nothing of torch.

`histories.py` asks `ranking` whether a tie would decide a call; `check` replays a whole file of histories
from its JSON alone and compares every mask with what PyTorch answered.
"""

import json
import math

import numpy as np

from goldens import encoding


class Refused(Exception):
    """The call is an error: nothing may change."""


def units_to_prune(amount, units):
    """How many of the `units` that are left an amount asks for. Python's `round` is half-to-even."""
    if "fraction" in amount:
        if not 0.0 <= amount["fraction"] <= 1.0:
            raise Refused("a fraction outside [0, 1]")
        return round(amount["fraction"] * units)
    if not 0 <= amount["count"] <= units:
        raise Refused("a count that is negative or above the units left")
    return amount["count"]


def norm(values, n):
    """The n-norm of one channel, in f64."""
    values = np.abs(values.astype(np.float64)).ravel()
    if n == math.inf:
        return values.max()
    if n == -math.inf:
        return values.min()
    return (values**n).sum() ** (1.0 / n)


def ranking(call, tensors, masks):
    """What the call ranks: `(units, importance, k)`.

    `units` lists what may still fall, as `(name, index)`: the index of an entry in the flat tensor, or of a
    channel along `dim`. `importance` goes with it, and the `k` lowest fall.
    """

    def scores(name):
        given = (call["scores_by_name"] or {}).get(name) if call["names"] else call["scores"]
        if given is not None:
            return np.array(given, dtype=np.float32).reshape(tensors[name].shape)
        return np.where(masks[name], tensors[name], np.float32(0.0))  # the effective tensor

    if call["method"] == "ln_structured":
        name, dim = call["name"], call["dim"]
        rank = tensors[name].ndim
        if rank < 2 or not -rank <= dim < rank:
            raise Refused("no such channels")
        kept = np.moveaxis(masks[name], dim, 0)
        ranked = np.moveaxis(scores(name), dim, 0)
        alive = [channel for channel in range(len(kept)) if kept[channel].any()]
        importance = [norm(ranked[channel], float(call["n"])) for channel in alive]
        units = [(name, channel) for channel in alive]
    else:  # l1_unstructured, of one parameter or of several together
        units, importance = [], []
        for name in call["names"] or [call["name"]]:
            entries = np.flatnonzero(masks[name].ravel())
            units += [(name, int(entry)) for entry in entries]
            importance += list(np.abs(scores(name)).ravel()[entries])
    return units, np.array(importance), units_to_prune(call["amount"], len(units))


def apply(call, tensors, masks):
    """The masks of the parameters that the call touches, as they are after it."""
    if call["method"] == "identity":
        return {call["name"]: masks[call["name"]]}
    if call["method"] == "custom_from_mask":
        name = call["name"]
        return {name: masks[name] & encoding.unbits(call["mask"], tensors[name].shape)}

    units, importance, k = ranking(call, tensors, masks)
    after = {name: masks[name].copy() for name in call["names"] or [call["name"]]}
    for unit in np.argsort(importance, kind="stable")[:k]:
        name, index = units[unit]
        if call["method"] == "ln_structured":
            np.moveaxis(after[name], call["dim"], 0)[index] = False
        else:
            after[name].reshape(-1)[index] = False
    return after


def replay(history):
    """Yields `(call, agreed)` for every call of a history."""
    tensors = {
        p["name"]: np.array(p["data"], dtype=np.float32).reshape(p["shape"])
        for p in history["parameters"]
    }
    masks = {name: np.ones(values.shape, dtype=bool) for name, values in tensors.items()}
    pruned = set()
    for call in history["calls"]:
        try:
            after, refused = apply(call, tensors, masks), False
        except Refused:
            after, refused = {}, True
        masks.update(after)
        pruned.update(after)
        ours = {name: encoding.bits(masks[name]) for name in pruned}
        yield call, refused == call["error"] and ours == call["masks"]


def check(path):
    """Replays every history of a file, prints the counts, and returns whether all agreed."""
    histories = json.loads(path.read_text())["histories"]
    calls = errors = masks = mismatches = 0
    for number, history in enumerate(histories):
        for step, (call, agreed) in enumerate(replay(history)):
            calls += 1
            errors += call["error"]
            masks += len(call["masks"])
            if not agreed:
                mismatches += 1
                print(f"history {number}, call {step} ({call['method']}): disagrees")
    print(
        f"{len(histories)} histories, {calls} calls ({errors} errors), {masks} masks compared:"
        f" {mismatches} mismatches"
    )
    return mismatches == 0
