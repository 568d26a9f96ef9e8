# %% [markdown]
# # Pruning a small network
#
# The cells of this script run one after the other, in an editor that knows `# %%`, or all at once:
# `python examples/notebook.py`. It prunes, fine-tunes and saves a network; without PyTorch, only arrays.

# %%
import tempfile
from pathlib import Path

import numpy as np
import secateurs
import secateurs.numpy as sn

# %% [markdown]
# ## Arrays
# A mask says what is kept. Exactly half of what remains is pruned.

# %%
weight = np.random.default_rng(0).standard_normal((64, 32), dtype=np.float32)
mask = sn.l1_unstructured(weight, 0.5)
mask = sn.l1_unstructured(weight, secateurs.until(0.9), mask=mask)
pruned = sn.apply(mask, weight)
print(f"{mask.sum()} of {mask.size} entries are kept; {np.count_nonzero(pruned)} are not zero")
print(f"2:4 keeps {sn.nm(weight).mean():.0%}")

# %% [markdown]
# ## PyTorch
# Instead of `from torch.nn.utils import prune`:

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed: this was all")
    raise SystemExit from None
from secateurs.torch import prune
from torch import nn

torch.manual_seed(0)
inputs = torch.randn(512, 32)
classes = (inputs[:, 0] * inputs[:, 1] > 0).long()
model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 2))


def train(steps):
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(inputs), classes).backward()
        optimiser.step()


def accuracy():
    return (model(inputs).argmax(1) == classes).float().mean().item()


train(100)
print(f"trained: {accuracy():.1%}")

# %% [markdown]
# Prune 80 % of all weights, ranked together, but no more than 95 % of any layer. Then fine-tune with the
# masks on.

# %%
layers = [(model[0], "weight"), (model[2], "weight")]
prune.global_unstructured(layers, prune.L1Unstructured, amount=prune.until(0.8), max_sparsity=0.95)
print(f"pruned: {accuracy():.1%}")
train(100)
print(f"fine-tuned: {accuracy():.1%}")
for module, name in layers:
    prune.remove(module, name)
zeros = sum(int((module.weight == 0).sum()) for module, _ in layers)
print(f"{zeros} of {sum(module.weight.numel() for module, _ in layers)} weights are zero")

# %% [markdown]
# ## Files
# What is in a checkpoint, and what it takes when its zeros are packed:

# %%
try:
    from safetensors.torch import save_file
except ImportError:
    print("safetensors is not installed: this was all")
    raise SystemExit from None

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    for name, stats in secateurs.inspect(path).items():
        print(f"{name:10} {stats['shape']!s:10} {stats['sparsity']:6.1%} zero")
    packed = secateurs.pack(path, Path(folder) / "model.packed.safetensors")
    print(f"packed: {packed['bytes_before']} → {packed['bytes_after']} bytes")
