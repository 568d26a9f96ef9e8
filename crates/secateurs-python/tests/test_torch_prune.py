"""`secateurs.torch.prune` and `install`, beside PyTorch's own module."""

import copy
import gc
import io
import pickle
import warnings

import numpy as np
import pytest
import secateurs
import secateurs.torch
import torch
from histories import run
from secateurs.torch import _kernels
from secateurs.torch import prune as ours
from torch import nn
from torch.nn.utils import prune as theirs

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


@pytest.fixture
def in_place():
    secateurs.torch.install()
    yield
    secateurs.torch.uninstall()


@pytest.fixture
def rust(monkeypatch):
    """Counts how often Rust computes."""
    calls = []
    for name in ("compute", "compute_global"):
        original = getattr(_kernels._rust, name)

        def counted(*args, original=original, **kwargs):
            calls.append(original)
            return original(*args, **kwargs)

        monkeypatch.setattr(_kernels._rust, name, counted)
    return calls


def layer(dtype=torch.float32, seed=0, shape=(6, 8)):
    made = nn.Linear(shape[1], shape[0])
    size = shape[0] * shape[1]
    torch.manual_seed(seed)
    values = (torch.randperm(size) + 1) * (torch.randint(0, 2, (size,)) * 2 - 1)
    made.weight.data = values.reshape(shape).float()
    return made.to(dtype)


def snapshot(module):
    return (
        list(module._parameters.items()),
        list(module._buffers.items()),
        list(module._forward_pre_hooks.items()),
        [len(h) for h in module._forward_pre_hooks.values() if isinstance(h, theirs.PruningContainer)],
        [id(value) for value in module.__dict__.values()],
        {key: value.clone() for key, value in module.state_dict().items()},
    )


def unchanged(module, before):
    now = snapshot(module)
    assert [k for k, _ in now[0]] == [k for k, _ in before[0]]
    assert all(a is b for (_, a), (_, b) in zip(now[0], before[0]))
    assert all(a is b for (_, a), (_, b) in zip(now[1], before[1]))
    assert now[2:5] == before[2:5]
    assert all(torch.equal(now[5][key], before[5][key]) for key in before[5])


@pytest.mark.parametrize("seed", range(300))
def test_histories(seed):
    run(seed)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rust_computes(rust, dtype):
    module = layer(dtype)
    ours.l1_unstructured(module, "weight", 0.5)
    ours.ln_structured(module, "weight", 1, 2, 0)
    ours.random_unstructured(module, "weight", 3)
    ours.random_structured(module, "weight", 1, 1)
    ours.global_unstructured([(module, "weight"), (module, "bias")], ours.L1Unstructured, amount=2)
    assert len(rust) == 5
    assert module.weight_mask.dtype == module.weight_orig.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "view", [lambda t: t.t(), lambda t: t[:, ::2], lambda t: t[1:], lambda t: t[:1].expand(4, 8)]
)
def test_layouts(rust, dtype, view):
    strided = view(layer(dtype).weight.detach())
    mask = ours.L1Unstructured(5).compute_mask(strided, torch.ones_like(strided))
    copied = strided.clone(memory_format=torch.contiguous_format)
    assert torch.equal(mask, ours.L1Unstructured(5).compute_mask(copied, torch.ones_like(copied)))
    assert len(rust) == 2 and (mask == 0).sum() == 5


def test_channels_last():
    """Which PyTorch cannot prune by entries: it views the strided weights as a vector."""
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3)
    last = copy.deepcopy(conv).to(memory_format=torch.channels_last)
    for call in (
        lambda m: ours.l1_unstructured(m, "weight", 0.4),
        lambda m: ours.ln_structured(m, "weight", 2, 1, 1),
    ):
        call(conv), call(last)
        assert torch.equal(conv.weight_mask, last.weight_mask)


def test_exact_counts_on_ties():
    module = nn.Linear(8, 4)
    module.weight.data.fill_(1.0)
    ours.l1_unstructured(module, "weight", 5)
    assert module.weight_mask.flatten().tolist() == [0.0] * 5 + [1.0] * 27
    ours.ln_structured(module, "weight", 1, n=2, dim=0)
    assert (module.weight_mask.sum(1) == 0).sum() == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_masks(dtype):
    """Whose memory comes from NumPy."""
    torch.manual_seed(0)
    large = nn.Linear(1024, 1024, dtype=dtype)
    ours.l1_unstructured(large, "weight", 0.5)
    assert large.weight_mask.sum(dtype=torch.float64) == 1 << 19
    threshold = large.weight_orig.detach()[large.weight_mask == 0].abs().max()
    assert (large.weight_orig.detach()[large.weight_mask == 1].abs() >= threshold).all()
    again = pickle.loads(pickle.dumps(large))
    large.share_memory(), large.double()
    assert torch.equal(again.weight_mask.double(), large.weight_mask)


def test_gradients_and_training():
    module = layer()
    ours.l1_unstructured(module, "weight", 0.5)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        module(torch.ones(2, 8)).square().sum().backward()
        optimiser.step()
    assert (module.weight_orig.grad[module.weight_mask == 0] == 0).all()
    module(torch.ones(1, 8))
    assert torch.equal(module.weight, module.weight_orig * module.weight_mask)


def test_one_goes_on_where_the_other_stopped():
    for first, second in ((ours, theirs), (theirs, ours)):
        module, reference = layer(), layer()
        first.l1_unstructured(module, "weight", 0.3)
        second.ln_structured(module, "weight", 2, 2, 0)
        first.l1_unstructured(module, "weight", 0.3)
        for call in ("l1", "ln", "l1"):
            if call == "l1":
                theirs.l1_unstructured(reference, "weight", 0.3)
            else:
                theirs.ln_structured(reference, "weight", 2, 2, 0)
        assert torch.equal(module.weight_mask, reference.weight_mask)
        (hook,) = module._forward_pre_hooks.values()
        assert isinstance(hook, theirs.PruningContainer) and len(hook) == 3
        assert first.is_pruned(module) and second.is_pruned(module)
        second.remove(module, "weight")
        assert not first.is_pruned(module)


def test_copies():
    model = nn.Sequential(layer(), nn.ReLU(), layer(shape=(2, 6)))
    ours.l1_unstructured(model[0], "weight", 0.5)
    ours.ln_structured(model[0], "weight", 1, 2, 1)
    ours.global_unstructured([(model[0], "weight"), (model[2], "weight")], ours.L1Unstructured, amount=0.2)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    with torch.no_grad():  # PyTorch copies what autograd made only so
        model(torch.ones(1, 8))
        copied = copy.deepcopy(model)
    for other in (pickle.loads(pickle.dumps(model)), torch.load(file, weights_only=False), copied):
        assert torch.equal(other(torch.ones(1, 8)), model(torch.ones(1, 8)))
        ours.l1_unstructured(other[0], "weight", 0.1)
        ours.remove(other[0], "weight")
    fresh = nn.Sequential(layer(seed=5), nn.ReLU(), layer(shape=(2, 6), seed=6))
    ours.identity(fresh[0], "weight"), ours.identity(fresh[2], "weight")
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(torch.ones(1, 8)), model(torch.ones(1, 8)))


def test_what_is_pickled_is_plain_python(in_place):
    module = layer()
    theirs.l1_unstructured(module, "weight", 0.5)
    theirs.global_unstructured([(module, "weight")], theirs.L1Unstructured, amount=0.2)
    assert b"secateurs" not in pickle.dumps(module)


def test_random_is_seeded_by_torch():
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        module = nn.Linear(30, 30)
        ours.random_unstructured(module, "weight", 0.3)
        masks.append(module.weight_mask)
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])
    assert all((mask == 0).sum() == 270 for mask in masks)


def test_standalone_ranks_masked_entries_too():
    t = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    prior = torch.tensor([[0.0, 1.0, 1.0, 1.0]])
    for prune in (ours, theirs):
        assert prune.L1Unstructured(2).compute_mask(t, prior).tolist() == [[0.0, 0.0, 1.0, 1.0]]
        assert prune.L1Unstructured(1).compute_mask(t, prior).tolist() == [[0.0, 1.0, 1.0, 1.0]]
    assert ours.L1Unstructured(0.5).prune(t, prior).tolist() == [[0.0, 0.0, 3.0, 4.0]]


def test_a_method_of_ones_own():
    class Odd(ours.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            mask = default_mask.clone()
            mask.view(-1)[1::2] = 0
            return mask

    class Doubled(ours.L1Unstructured):
        def compute_mask(self, t, default_mask):
            self.amount *= 2
            return super().compute_mask(t, default_mask)

    module = layer()
    Odd.apply(module, "weight")
    assert (module.weight_mask == 0).sum() == 24
    ours.l1_unstructured(module, "weight", 4)
    Odd.apply(module, "weight")
    assert (module.weight_mask == 0).sum() == 24 + 4 + 10
    Doubled.apply(module, "weight", 2)
    assert (module.weight_mask == 0).sum() == 42
    ours.global_unstructured([(module, "weight")], Odd)
    assert (module.weight_mask == 0).sum() == 45


def test_nothing_is_lost_when_a_second_call_fails(in_place):
    class Failing(theirs.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def __init__(self, error=None):
            self.error = error

        def compute_mask(self, t, default_mask):
            if self.error:
                raise self.error
            return "no mask"

    class OursFailing(ours.BasePruningMethod):
        PRUNING_TYPE = "unstructured"
        __init__, compute_mask = Failing.__init__, Failing.compute_mask

    for prune, failing in ((ours, OursFailing), (theirs, Failing)):
        for pruned in (0, 1, 2):
            module, lstm = layer(), nn.LSTM(3, 2)
            for _ in range(pruned):
                prune.l1_unstructured(module, "weight", 0.2)
                prune.l1_unstructured(lstm, "weight_ih_l0", 0.2)
            for broken, name in ((module, "weight"), (lstm, "weight_ih_l0")):
                before = snapshot(broken)
                for call in (
                    lambda: failing.apply(broken, name, RuntimeError("no")),
                    lambda: failing.apply(broken, name, KeyboardInterrupt()),
                    lambda: failing.apply(broken, name),
                    lambda: prune.l1_unstructured(broken, name, 10_000),
                    lambda: prune.custom_from_mask(broken, name, torch.ones(3)),
                    lambda: prune.global_unstructured(
                        [(broken, name), (broken, "other")], prune.L1Unstructured, amount=1
                    ),
                    lambda: prune.global_unstructured([(broken, name)], failing, error=RuntimeError("no")),
                    lambda: prune.global_unstructured([(broken, name)], prune.LnStructured, amount=1, n=2),
                ):
                    with pytest.raises((Exception, KeyboardInterrupt)):
                        call()
                    unchanged(broken, before)


def test_a_global_call_is_all_or_nothing():
    good, bad = layer(), layer(seed=1)
    ours.l1_unstructured(good, "weight", 0.2)
    bad.register_buffer("weight_orig", torch.zeros(1))  # the name is taken
    before = snapshot(good), snapshot(bad)
    with pytest.raises(KeyError):
        ours.global_unstructured([(good, "weight"), (bad, "weight")], ours.L1Unstructured, amount=0.5)
    unchanged(good, before[0]), unchanged(bad, before[1])


def test_nan(in_place):
    for prune in (ours, theirs):
        module = layer()
        module.weight.data[1, 2] = float("nan")
        before = snapshot(module)
        for call in (
            lambda: prune.l1_unstructured(module, "weight", 1),
            lambda: prune.ln_structured(module, "weight", 1, 2, 0),
            lambda: prune.global_unstructured([(module, "weight")], prune.L1Unstructured, amount=1),
        ):
            with pytest.raises(ValueError, match="NaN"):
                call()
            assert list(module._parameters) == [key for key, _ in before[0]]
        mask = torch.ones(6, 8)
        mask[1, 2] = 0
        prune.custom_from_mask(module, "weight", mask)
        prune.l1_unstructured(module, "weight", 1)
        assert module.weight_mask.sum() == 46


def test_global_over_types_and_generators():
    modules = [layer(dtype, seed) for seed, dtype in enumerate(DTYPES)]
    ours.l1_unstructured(modules[0], "weight", 10)
    ours.global_unstructured(((m, "weight") for m in modules), ours.L1Unstructured, amount=0.5)
    assert sum(int((m.weight_mask == 0).sum()) for m in modules) == 10 + 91
    assert [m.weight_mask.dtype for m in modules] == DTYPES


def test_global_caps():
    small, large = layer(), layer(seed=1)
    small.weight.data /= 1000
    ours.global_unstructured(
        [(small, "weight"), (large, "weight")], ours.L1Unstructured, amount=0.5, max_sparsity=0.75
    )
    assert [(m.weight_mask == 0).sum() for m in (small, large)] == [36, 12]
    ours.remove(small, "weight"), ours.remove(large, "weight")
    small, large = layer(), layer(seed=1)
    small.weight.data /= 1000
    ours.global_unstructured(
        [(small, "weight"), (large, "weight")], ours.L1Unstructured, amount=0.5, normalize=True
    )
    assert [(m.weight_mask == 0).sum() for m in (small, large)] == [24, 24]
    with pytest.raises(ValueError, match="caps"):
        ours.global_unstructured(
            [(nn.Linear(2, 2, device="meta"), "weight")], ours.L1Unstructured, amount=0.5, max_sparsity=0.75
        )


def test_more_than_torch_has():
    module = layer(torch.bfloat16)
    ours.nm_structured(module, "weight")
    assert (module.weight_mask.reshape(-1, 4).sum(1) == 2).all()
    ours.block_structured(module, "weight", 1, 3, 4)
    assert (module.weight_mask.reshape(2, 3, 2, 4).sum((1, 3)) == 0).sum() == 1
    ours.l1_unstructured(module, "weight", secateurs.until(0.75))
    assert module.weight_mask.sum() == 12
    ours.l1_unstructured(module, "weight", ours.until(0.5))
    assert module.weight_mask.sum() == 12
    module = layer()
    ours.score_unstructured(module, "weight", 3)
    pruned = module.weight_orig.detach()[module.weight_mask == 0]
    assert torch.equal(pruned.sort().values, module.weight_orig.detach().flatten().sort().values[:3])
    method = pickle.loads(pickle.dumps(ours.LnStructured(secateurs.until(0.5), 2, 0)))
    t = torch.arange(1.0, 17.0).reshape(4, 4)
    assert method.compute_mask(t, torch.ones(4, 4)).sum(1).tolist() == [0, 0, 4, 4]


def test_install():
    original = {name: vars(theirs)[name] for name in ("global_unstructured",)}
    apply = theirs.BasePruningMethod.__dict__["apply"]
    assert not secateurs.torch.installed()
    secateurs.torch.install()
    secateurs.torch.install()
    try:
        assert secateurs.torch.installed()
        module = nn.Linear(8, 4)
        module.weight.data.fill_(1.0)
        theirs.l1_unstructured(module, "weight", 5)
        assert module.weight_mask.flatten().tolist() == [0.0] * 5 + [1.0] * 27  # ties: it is ours
        (hook,) = module._forward_pre_hooks.values()
        assert type(hook) is theirs.L1Unstructured
        theirs.global_unstructured([(module, "weight")], theirs.L1Unstructured, amount=3)
        (hook,) = module._forward_pre_hooks.values()
        assert type(hook) is theirs.PruningContainer and type(hook[1]) is theirs.CustomFromMask
        ours.l1_unstructured(module, "weight", 1)
        assert module.weight_mask.sum() == 23
    finally:
        secateurs.torch.uninstall()
    secateurs.torch.uninstall()
    assert not secateurs.torch.installed()
    assert theirs.BasePruningMethod.__dict__["apply"] is apply
    assert vars(theirs)["global_unstructured"] is original["global_unstructured"]


@pytest.mark.parametrize("seed", range(300, 350))
def test_histories_installed(in_place, seed):
    """PyTorch's names with our computation, against our names."""
    run(seed)


def odd_tensors():
    yield "integers", torch.arange(1, 13).reshape(3, 4)
    yield "meta", torch.empty(3, 4, device="meta")
    yield "sparse", torch.eye(3, 4).to_sparse()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield "csr", torch.eye(3, 4).to_sparse_csr()
    yield "complex", torch.ones(3, 4, dtype=torch.complex64)
    yield "empty", torch.empty(0, 4)
    yield "scalar", torch.tensor(3.0)
    yield "vector", torch.tensor([3.0, 1.0, 2.0])
    yield "expanded", torch.arange(1.0, 5.0).expand(3, 4)
    yield "strided", torch.arange(1.0, 49.0).reshape(6, 8)[::2, ::2]
    yield "with gradient", torch.arange(1.0, 13.0).reshape(3, 4).requires_grad_() * 1
    yield (
        "conjugate part",
        torch.complex(torch.zeros(3, 4), -torch.arange(1.0, 13.0).reshape(3, 4)).conj().imag,
    )
    yield "float8", torch.ones(3, 4).to(torch.float8_e4m3fn)
    yield "quantized", torch.quantize_per_tensor(torch.ones(3, 4), 0.1, 0, torch.qint8)

    class Sub(torch.Tensor):
        pass

    yield "subclass", torch.arange(1.0, 13.0).reshape(3, 4).as_subclass(Sub)
    yield "no tensor", [1.0, 2.0]
    yield "array", np.ones((3, 4))
    yield "none", None


def outcome(call):
    try:
        result = call()
        return type(result), (result.cpu().float().tolist() if result.device.type == "cpu" else None)
    except Exception as error:
        return type(error), None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, tensor", list(odd_tensors()), ids=lambda x: x if isinstance(x, str) else "")
@pytest.mark.parametrize("amount", [0, 2, 0.5, 100])
def test_odd_tensors_do_what_they_do_in_torch(name, tensor, amount):
    def mask_of(t):
        try:
            return torch.ones_like(t)
        except Exception:
            return torch.ones(3, 4)

    for make in (
        lambda prune: prune.L1Unstructured(amount),
        lambda prune: prune.LnStructured(amount, 2, 0),
        lambda prune: prune.LnStructured(amount, 1, -1),
    ):
        results = [outcome(lambda: make(p).compute_mask(tensor, mask_of(tensor))) for p in (theirs, ours)]
        if name == "expanded":  # of equal magnitudes
            assert results[0][0] == results[1][0]
        else:
            assert results[0] == results[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(3, 4) * 0.5,
        torch.ones(4, 3),
        torch.ones(1, 4),
        torch.ones(3, 4, dtype=torch.int64),
        None,
        "mask",
    ]
    + [
        torch.ones(3, 4, dtype=torch.bool),
        torch.ones(3, 4, dtype=torch.uint8),
        torch.ones(3, 4, device="meta"),
    ],
    ids=["soft", "other shape", "broadcast", "int64", "none", "text", "bool", "uint8", "meta"],
)
def test_odd_masks_do_what_they_do_in_torch(mask):
    t = torch.arange(1.0, 13.0).reshape(3, 4)
    for make in (lambda prune: prune.L1Unstructured(2), lambda prune: prune.LnStructured(1, 2, 0)):

        def in_container(prune):
            container = prune.PruningContainer()
            container._tensor_name = "t"
            method = make(prune)
            method._tensor_name = "t"
            container.add_pruning_method(method)
            return container.compute_mask(t, given())

        def given():  # PyTorch writes into it
            return mask.clone() if isinstance(mask, torch.Tensor) else mask

        for call in (lambda prune: make(prune).compute_mask(t, given()), in_container):
            one, other = outcome(lambda: call(theirs)), outcome(lambda: call(ours))
            assert one == other


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "call",
    [
        lambda prune, m: prune.l1_unstructured(m, "weight", 0.5),
        lambda prune, m: prune.l1_unstructured(m, "weight", 2),
        lambda prune, m: prune.l1_unstructured(m, "weight", 2, torch.arange(12.0).reshape(3, 4)),
        lambda prune, m: [prune.l1_unstructured(m, "weight", 1) for _ in range(2)],
        lambda prune, m: prune.ln_structured(m, "weight", 1, 2, 0),
        lambda prune, m: prune.random_unstructured(m, "weight", 1.0),
        lambda prune, m: prune.random_structured(m, "weight", 1.0, 0),
        lambda prune, m: prune.identity(m, "weight"),
        lambda prune, m: prune.custom_from_mask(m, "weight", torch.ones(3, 4)),
        lambda prune, m: prune.custom_from_mask(m, "weight", torch.eye(3, 4).to_sparse()),
        lambda prune, m: prune.global_unstructured([(m, "weight")], prune.L1Unstructured, amount=2),
        lambda prune, m: prune.remove(prune.l1_unstructured(m, "weight", 1), "weight"),
    ],
)
def test_modules_of_odd_tensors_do_what_they_do_in_torch(call):
    for name, tensor in odd_tensors():
        # Of ties, and of weights with gaps, PyTorch prunes others, or none.
        if not isinstance(tensor, torch.Tensor) or name in ("expanded", "strided"):
            continue
        outcomes = []
        for prune in (theirs, ours):
            module = nn.Module()
            values = tensor.detach() if tensor.layout is torch.strided else tensor.detach().clone()
            try:
                module.weight = nn.Parameter(values, requires_grad=tensor.is_floating_point())
            except Exception as error:  # cannot be a parameter
                outcomes.append(type(error))
                continue
            try:
                call(prune, module)
                state = module.state_dict()
                values = [v.to_dense().float().tolist() if v.device.type == "cpu" else None for v in state.values()]
                kinds = [(v.dtype, v.device, v.layout) for v in state.values()]
                outcomes.append((list(state), kinds, values))
            except Exception as error:
                outcomes.append(type(error))
        assert outcomes[0] == outcomes[1], name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("frozen", [False, True])
def test_large_weights_have_the_gradients_of_torch(dtype, frozen):
    modules = []
    for prune in (theirs, ours):
        torch.manual_seed(0)
        module = nn.Linear(1024, 1025, bias=False, dtype=dtype)
        module.weight.data[0, 0] = -0.0
        module.weight.requires_grad_(not frozen)
        prune.custom_from_mask(module, "weight", (torch.arange(1025 * 1024) % 3 != 0).reshape(1025, 1024))
        modules.append(module)
    one, other = modules
    assert torch.equal(one.weight, other.weight)
    assert (one.weight.requires_grad, one.weight.is_leaf) == (other.weight.requires_grad, other.weight.is_leaf)
    assert torch.equal(torch.signbit(one.weight), torch.signbit(other.weight))
    if frozen:
        return
    assert one.weight.grad_fn.name() == other.weight.grad_fn.name()
    for module in modules:  # before any forward, so that the weight is that of the call; and second order
        (grad,) = torch.autograd.grad(module.weight.pow(3).sum(), module.weight_orig, create_graph=True)
        grad.pow(2).sum().backward()
    assert torch.equal(one.weight_orig.grad, other.weight_orig.grad)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_grad_modes(mode):
    with mode():
        one, other = layer(), layer()
        theirs.l1_unstructured(one, "weight", 0.5)
        ours.l1_unstructured(other, "weight", 0.5)
        assert torch.equal(one.weight_mask, other.weight_mask)
        assert one.weight.requires_grad == other.weight.requires_grad
        assert not other.weight_mask.requires_grad


def test_frozen_parameters():
    module = layer()
    module.weight.requires_grad_(False)
    ours.l1_unstructured(module, "weight", 0.5)
    assert not module.weight.requires_grad and not module.weight_orig.requires_grad


def test_torch_functions_modes():
    module = layer()
    with torch.device("meta"):
        ours.l1_unstructured(module, "weight", 0.5)
        ours.random_unstructured(module, "weight", 2)
    assert module.weight_mask.device.type == "cpu" and module.weight_mask.sum() == 22


def test_under_a_transformation():
    def prune_row(row):
        return ours.L1Unstructured(2).compute_mask(row, torch.ones_like(row))

    rows = torch.arange(1.0, 13.0).reshape(3, 4)
    try:
        expected = torch.func.vmap(
            lambda row: theirs.L1Unstructured(2).compute_mask(row, torch.ones_like(row))
        )(rows)
    except Exception as error:
        with pytest.raises(type(error)):
            torch.func.vmap(prune_row)(rows)
    else:
        assert torch.equal(torch.func.vmap(prune_row)(rows), expected)


def test_modules_are_freed():
    import weakref

    module = layer()
    ours.l1_unstructured(module, "weight", 0.5)
    ours.global_unstructured([(module, "weight")], ours.L1Unstructured, amount=0.5)
    gone = weakref.ref(module)
    del module
    gc.collect()
    assert gone() is None


def test_hook_and_module_share_the_mask_of_a_global_call():
    module = layer()
    ours.global_unstructured([(module, "weight")], ours.L1Unstructured, amount=0.5)
    (hook,) = module._forward_pre_hooks.values()
    assert hook.mask is module.weight_mask
