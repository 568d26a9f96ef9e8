"""How long a product with a pruned matrix takes, dense and sparse (CSR), on one thread. Needs torch."""

import statistics
import time

import torch


def median(f, rounds=15):
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        f()
        times.append(time.process_time() - begun)
    return statistics.median(times) * 1000


torch.set_num_threads(1)
torch.manual_seed(0)
weight, input = torch.randn(2048, 2048), torch.randn(2048, 64)
dense = median(lambda: weight @ input)
print(f"dense {dense:.2f} ms")
for sparsity in (0.5, 0.8, 0.9, 0.95, 0.98):
    sparse = (weight * (torch.rand_like(weight) >= sparsity)).to_sparse_csr()
    took = median(lambda: sparse @ input)
    print(f"{sparsity:.0%} zeros: {took:.2f} ms, {took / dense:.2f} x dense")
