"""optimisers.json: parameters after each of a few steps with given gradients.

    {"torch": "2.12.0", "cases": [{
        "name":       unique, for messages,
        "optimiser":  "SGD" | "Adam" | "AdamW",
        "settings":   lr, momentum, dampening, weight_decay, nesterov (SGD);
                      lr, betas, eps, weight_decay (Adam, AdamW),
        "masks":      {"p0": string of 0 and 1} of pruned parameters,
        "parameters": {"p0": tensor, "p1": tensor} at the start,
        "steps":      [{"grads": {"p0": tensor, ..}, "values": {"p0": tensor, ..} after it}, ..]
                      with masked gradients, and the effective values of pruned parameters
    }, ..]}

A tensor is {"shape": [..], "data": [.. row-major]}. All cases share parameters and gradients, f32; the steps
are computed in f64 without rounding in between, and written as f32. The first gradient entry of p0 is 0 in
every step.
"""

import numpy as np
import torch

from goldens import encoding

SEED = 20_262
STEPS = 3
SHAPES = {"p0": (3, 4), "p1": (5,)}

SGD = {"lr": 0.1, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False}
ADAM = {"lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}
ADAMW = ADAM | {"weight_decay": 0.01}

CASES = {
    "sgd": ("SGD", SGD),
    "sgd_weight_decay": ("SGD", SGD | {"lr": 0.05, "weight_decay": 0.1}),
    "sgd_momentum": ("SGD", SGD | {"momentum": 0.9}),
    "sgd_momentum_dampening": ("SGD", SGD | {"momentum": 0.8, "dampening": 0.3}),
    "sgd_momentum_weight_decay": ("SGD", SGD | {"momentum": 0.9, "weight_decay": 0.01}),
    "sgd_nesterov": ("SGD", SGD | {"momentum": 0.9, "nesterov": True}),
    "sgd_nesterov_weight_decay": ("SGD", SGD | {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1}),
    "adam": ("Adam", ADAM),
    "adam_lr": ("Adam", ADAM | {"lr": 0.1}),
    "adam_weight_decay": ("Adam", ADAM | {"lr": 0.01, "weight_decay": 0.1}),
    "adam_betas": ("Adam", ADAM | {"lr": 0.02, "betas": [0.8, 0.95]}),
    "adam_eps": ("Adam", ADAM | {"lr": 0.01, "eps": 0.1}),
    "adam_all": ("Adam", {"lr": 0.05, "betas": [0.5, 0.9], "eps": 1e-3, "weight_decay": 0.05}),
    "adamw": ("AdamW", ADAMW),
    "adamw_no_weight_decay": ("AdamW", ADAMW | {"lr": 0.01, "weight_decay": 0.0}),
    "adamw_all": ("AdamW", {"lr": 0.05, "betas": [0.5, 0.9], "eps": 1e-3, "weight_decay": 0.5}),
    "pruned_sgd": ("SGD", SGD | {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    "pruned_adam": ("Adam", ADAM | {"lr": 0.01, "weight_decay": 0.1}),
    "pruned_adamw": ("AdamW", ADAMW | {"lr": 0.05, "weight_decay": 0.5}),
}


def case(name, start, gradients, mask):
    """Takes all steps of one case. If it is a pruned one, `p0` has the mask."""
    optimiser, settings = CASES[name]
    masks = {"p0": mask} if name.startswith("pruned") else {}
    parameters = {
        key: torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))
        for key, values in start.items()
    }
    stepper = getattr(torch.optim, optimiser)(parameters.values(), foreach=False, **settings)
    steps = []
    for step in gradients:
        for key, gradient in step.items():
            parameters[key].grad = torch.tensor(gradient * masks.get(key, 1), dtype=torch.float64)
        stepper.step()
        values = {
            key: encoding.tensor(value.detach().numpy() * masks.get(key, 1))
            for key, value in parameters.items()
        }
        written = {key: encoding.tensor(gradient) for key, gradient in step.items()}
        steps.append({"grads": written, "values": values})
    return {
        "name": name,
        "optimiser": optimiser,
        "settings": settings,
        "masks": {key: encoding.bits(mask) for key, mask in masks.items()},
        "parameters": {key: encoding.tensor(values) for key, values in start.items()},
        "steps": steps,
    }


def write(folder, version):
    """Writes the file; returns lines that say what is in it."""
    rng = np.random.default_rng(SEED)

    def draw():
        return {key: rng.normal(size=shape).astype(np.float32) for key, shape in SHAPES.items()}

    start, gradients = draw(), [draw() for _ in range(STEPS)]
    for step in gradients:
        step["p0"].flat[0] = 0.0
    mask = rng.random(SHAPES["p0"]) < 0.5
    cases = [case(name, start, gradients, mask) for name in CASES]
    encoding.write(folder / "optimisers.json", {"torch": version}, "cases", cases)
    return [f"optimisers.json: {len(cases)} cases of {STEPS} steps"]
