"""The experiment of examples/gradual.rs, in PyTorch: the same images, initial weights, batches and schedule.

    cargo run --release --example gradual -- --export /tmp/gradual
    python scripts/gradual.py /tmp/gradual

First, from the weights that the example exported before each update, PyTorch's own method computes a mask, which has to
equal the exported one. Then PyTorch trains and prunes by itself, from the same start, and its accuracies are printed
beside those of the exported networks. Needs torch 2.12, numpy and safetensors.
"""

import statistics
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import prune

EPOCHS, EPOCH, BATCH, RATE = 40, 43, 32, 1e-3
FIRST, LAST = 5 * EPOCH, 30 * EPOCH
WEIGHTS = ["0.weight", "2.weight", "4.weight"]


def digits():
    """The images and labels, to train on and to test on: every fourth is a test image."""
    text = (Path(__file__).parent.parent / "examples/data/digits.txt").read_text()
    lines = [line.split(" ", 1) for line in text.splitlines()]
    labels = torch.tensor([int(label) for label, _ in lines])
    images = torch.tensor([[int(pixel, 17) / 16 for pixel in pixels] for _, pixels in lines])
    test = torch.arange(len(labels)) % 4 == 0
    return (images[~test], labels[~test]), (images[test], labels[test])


def target(step, final):
    """The sparsity at a step, or None where there is no update."""
    if not FIRST <= step <= LAST or ((step - FIRST) % EPOCH and step != LAST):
        return None
    left = 1 - (step - FIRST) / (LAST - FIRST)
    return final - final * left**3


def masks(originals, sparsity):
    """Masks of all tensors, ranked together from their original values, by PyTorch's own method."""
    flat = torch.cat([original.flatten() for original in originals])
    count = round(sparsity * flat.numel())
    mask = prune.L1Unstructured(count).compute_mask(flat, torch.ones_like(flat))
    parts = mask.split([original.numel() for original in originals])
    return [part.view_as(original) for part, original in zip(parts, originals)]


def compare_masks(folder, final):
    """How many masks were compared, of which none may differ."""
    compared = 0
    for step in range(EPOCHS * EPOCH):
        sparsity = target(step, final)
        if sparsity is None:
            continue
        before = load_file(folder / f"step-{step}-before.safetensors")
        after = load_file(folder / f"step-{step}-after.safetensors")
        originals = [before.get(f"{name}_orig", before.get(name)) for name in WEIGHTS]
        for name, mask in zip(WEIGHTS, masks(originals, sparsity)):
            ours = after.get(f"{name}_mask", torch.ones_like(mask))
            assert torch.equal(ours, mask), f"{folder}, step {step}, {name}"
            compared += 1
    return compared


def network():
    return nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))


def train(folder, final, images, labels):
    """Trains and prunes as the example does, by PyTorch alone."""
    model = network()
    model.load_state_dict(load_file(folder / "initial.safetensors"))
    layers = [model[0], model[2], model[4]]
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    step = 0
    for epoch, line in enumerate((folder / "order.txt").read_text().splitlines()):
        optimizer.param_groups[0]["lr"] = RATE * (1 - epoch / EPOCHS)
        for batch in torch.tensor([int(number) for number in line.split()]).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
            sparsity = target(step, final)
            if sparsity is not None:
                originals = [getattr(layer, "weight_orig", layer.weight).detach() for layer in layers]
                for layer, mask in zip(layers, masks(originals, sparsity)):
                    if not hasattr(layer, "weight_mask"):
                        prune.custom_from_mask(layer, "weight", mask)
                    layer.weight_mask.copy_(mask)
            step += 1
    return model


def accuracy(weights, images, labels):
    """The accuracy of a state dict, whose masks are applied."""
    plain = {}
    for name, value in weights.items():
        if name.endswith("_orig"):
            plain[name[:-5]] = value * weights[name[:-5] + "_mask"]
        elif not name.endswith("_mask"):
            plain[name] = value
    model = network()
    model.load_state_dict(plain)
    return 100 * (model(images).argmax(1) == labels).float().mean().item()


def main(folder):
    torch.set_num_threads(1)
    (images, labels), test = digits()
    runs = {}
    for each in sorted(Path(folder).iterdir()):
        seed, final = each.name.split("-")
        runs.setdefault(float(final), []).append((int(seed), each))
    print("masks compared, none of which differ; accuracy on test images, %: mean and standard deviation")
    print(" sparsity  networks   masks       secateurs         PyTorch  difference")
    for final, folders in sorted(runs.items()):
        compared, ours, theirs = 0, [], []
        for _, each in folders:
            compared += compare_masks(each, final)
            ours.append(accuracy(load_file(each / "final.safetensors"), *test))
            theirs.append(accuracy(train(each, final, images, labels).state_dict(), *test))
        both = [f"{statistics.mean(runs):.2f} ± {statistics.stdev(runs):.2f}" for runs in (ours, theirs)]
        difference = statistics.mean(ours) - statistics.mean(theirs)
        print(f"{100 * final:>7.0f} %{len(folders):>10}{compared:>8}{both[0]:>16}{both[1]:>16}{difference:>12.2f}")


if __name__ == "__main__":
    main(sys.argv[1])
