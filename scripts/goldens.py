#!/usr/bin/env python3
"""Golden data: what PyTorch itself computes, written down for the Rust tests to replay.

Install, then run from the root of the repository:

    pip install torch==2.12.0 numpy safetensors
    python scripts/goldens.py               write everything under tests/data
    python scripts/goldens.py --check       replay histories.json by rules in plain numpy; needs no torch
    python scripts/goldens.py --load FILE   does a safetensors file that secateurs wrote load into PyTorch,
                                            and agree there with tests/data/pruned_model.json?

Every run writes the same bytes: all randomness is seeded. What is written, each by the file of
`scripts/goldens/` that describes its format:

    tests/data/histories.json             histories.py       masks after random sequences of pruning calls
    tests/data/modules.json               modules.py         outputs and gradients of modules and losses
    tests/data/optimisers.json            optimisers.py      parameters after each step of optimisers
    tests/data/init.json                  initialisation.py  bounds of the default initialisation
    tests/data/pruned_model.json          pruned_models.py   input, output and masks of two pruned models,
    tests/data/pruned_model.safetensors                      and the state dict of each
    tests/data/pruned_conv.safetensors
"""

import argparse
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leave no __pycache__ in the repository

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
TORCH = "2.12.0"


def generate():
    """Writes every file and prints what is in it. Importing torch is left until it is needed."""
    import torch

    from goldens import histories, initialisation, modules, optimisers, pruned_models

    if torch.__version__.split("+")[0] != TORCH:
        sys.exit(f"these goldens are those of torch {TORCH}; this is torch {torch.__version__}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    DATA.mkdir(parents=True, exist_ok=True)
    for part in (histories, modules, optimisers, initialisation, pruned_models):
        for line in part.write(DATA, TORCH):
            print(line)
    for path in sorted(DATA.iterdir()):
        print(f"{path.stat().st_size:>9,} bytes  {path.name}")


def check():
    """Replays the histories by the rules in numpy; returns whether every mask agreed."""
    from goldens import mask_rules

    return mask_rules.check(DATA / "histories.json")


def load(file):
    """Loads a file that secateurs wrote; returns whether masks and outputs agreed."""
    from goldens import pruned_models

    return pruned_models.load(DATA, file)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="replay histories.json in numpy")
    mode.add_argument("--load", metavar="FILE", type=Path, help="a safetensors file from secateurs")
    arguments = parser.parse_args()
    if arguments.check:
        sys.exit(0 if check() else 1)
    if arguments.load:
        sys.exit(0 if load(arguments.load) else 1)
    generate()


if __name__ == "__main__":
    main()
