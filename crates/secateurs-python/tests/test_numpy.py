"""Masks for NumPy arrays, against naive ones."""

import threading

import numpy as np
import pytest
import secateurs
import secateurs.numpy as sn

FLOATS = [np.float16, np.float32, np.float64]


def weights(shape=(6, 8), dtype=np.float64, seed=0):
    """Distinct magnitudes of both signs."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    values = rng.permutation(np.arange(1, size + 1)) * rng.choice([-1, 1], size)
    return values.reshape(shape).astype(dtype)


def lowest(scores, k, mask=None):
    """Without the k lowest of what remains: what `l1_unstructured` and `score_unstructured` should be."""
    keep = np.ones(scores.shape, bool) if mask is None else mask.copy()
    flat = np.where(keep, scores, np.inf).ravel()
    keep.ravel()[np.argsort(flat, kind="stable")[:k]] = False
    return keep


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("amount, k", [(0.5, 24), (0, 0), (48, 48), (1.0, 48), (7, 7), (1, 1), (0.26, 12)])
def test_l1(dtype, amount, k):
    array = weights(dtype=dtype)
    mask = sn.l1_unstructured(array, amount)
    assert mask.dtype == bool
    assert np.array_equal(mask, lowest(np.abs(array), k))


def test_amounts_are_of_what_remains():
    array = weights((100,))
    mask = None
    for kept in (50, 25, 13):
        mask = sn.l1_unstructured(array, 0.5, mask=mask)
        assert mask.sum() == kept
    assert sn.l1_unstructured(array, secateurs.until(0.9), mask=mask).sum() == 10
    assert sn.l1_unstructured(array, secateurs.until(0.2), mask=mask).sum() == 13


def test_exact_counts_on_ties():
    mask = sn.l1_unstructured(np.ones((4, 5), np.float32), 7)
    assert mask.ravel().tolist() == [False] * 7 + [True] * 13


@pytest.mark.parametrize("dtype", FLOATS)
def test_layouts_give_the_mask_of_their_copy(dtype):
    array = weights((6, 8, 4), dtype)
    views = [array.T, array[::2], array[:, ::-1], array[::-1, 1:, ::2], np.asfortranarray(array)]
    views.append(np.broadcast_to(array[:1], (3, 8, 4)))
    for view in views:
        assert np.array_equal(sn.l1_unstructured(view, 0.4), sn.l1_unstructured(view.copy(order="C"), 0.4))
        assert np.array_equal(
            sn.ln_structured(view, 1, 2, 0), sn.ln_structured(view.copy(order="C"), 1, 2, 0)
        )


def test_layouts_that_rust_cannot_read():
    array = weights((5, 7))
    swapped = array.astype(array.dtype.newbyteorder())
    record = np.zeros((5, 7), np.dtype([("a", "f8"), ("b", "i1")]))
    record["a"] = array
    for odd in (swapped, record["a"]):
        assert np.array_equal(sn.l1_unstructured(odd, 0.4), sn.l1_unstructured(array, 0.4))


def test_arrays_stay_as_they_are():
    array = weights((300, 300))
    array.flags.writeable = False
    before = array.copy()
    sn.l1_unstructured(array, 0.5)
    assert np.array_equal(array, before)


def test_scores_with_sign():
    array = weights()
    assert np.array_equal(sn.score_unstructured(array, 9), lowest(array, 9))


@pytest.mark.parametrize("n", [0.5, 1, 2, 3, np.inf, -np.inf, "fro"])
@pytest.mark.parametrize("dim", [0, 1, 2, -1, -3])
def test_channels(n, dim):
    array = weights((3, 4, 5))
    mask = sn.ln_structured(array, 2, n, dim)
    channels = np.moveaxis(array, dim, 0).reshape(array.shape[dim], -1)
    norms = [np.linalg.norm(channel, 2 if n == "fro" else n) for channel in channels]
    expected = np.ones_like(channels, bool)
    expected[np.argsort(norms, kind="stable")[:2]] = False
    assert np.array_equal(np.moveaxis(mask, dim, 0).reshape(channels.shape), expected)


def test_nm():
    array = weights((4, 8))
    groups = np.abs(array).reshape(-1, 4)
    expected = np.zeros_like(groups, bool)
    np.put_along_axis(expected, np.argsort(groups, axis=1)[:, 2:], True, axis=1)
    assert np.array_equal(sn.nm(array), expected.reshape(4, 8))
    assert np.array_equal(sn.nm(array.T, dim=0), expected.reshape(4, 8).T)


@pytest.mark.parametrize("by", ["mean_square", "max_abs"])
def test_blocks(by):
    array = weights((4, 6))
    mask = sn.blocks(array, 2, 2, 3, by=by)
    tiles = array.reshape(2, 2, 2, 3).transpose(0, 2, 1, 3).reshape(4, 6)
    scores = (tiles**2).mean(1) if by == "mean_square" else np.abs(tiles).max(1)
    kept = np.ones(4, bool)
    kept[np.argsort(scores)[:2]] = False
    assert np.array_equal(mask, np.kron(kept.reshape(2, 2), np.ones((2, 3), bool)))


def test_random():
    array = weights((40, 50), np.float32)
    mask = sn.random_unstructured(array, 0.3, seed=1)
    assert mask.sum() == 1400
    assert np.array_equal(mask, sn.random_unstructured(-array, 0.3, seed=1))
    assert not np.array_equal(mask, sn.random_unstructured(array, 0.3, seed=2))
    rows = sn.random_structured(array, 10, 0, seed=3).all(1)
    assert rows.sum() == 30


def test_global():
    a, b = weights((4, 5), np.float32, 1), weights((3, 7), np.float64, 2) / 3
    together = lowest(np.abs(np.concatenate([a.ravel(), b.ravel()])), 20)
    masks = sn.global_unstructured({"a": a, "b": b}, 20)
    assert list(masks) == ["a", "b"]
    assert np.array_equal(masks["a"].ravel(), together[:20])
    assert np.array_equal(masks["b"].ravel(), together[20:])
    listed = sn.global_unstructured([a, b], 20)
    assert all(np.array_equal(x, y) for x, y in zip(listed, masks.values()))
    further = sn.global_unstructured([a, b], secateurs.until(0.8), masks=listed)
    assert sum(mask.sum() for mask in further) == 41 - 33


def test_global_caps():
    a, b = np.arange(1.0, 11.0), np.arange(100.0, 110.0)
    masks = sn.global_unstructured([a, b], 10, max_sparsity=0.6)
    assert [int(mask.sum()) for mask in masks] == [4, 6]
    masks = sn.global_unstructured({"a": a, "b": b}, 10, max_sparsity={"a": 0.2})
    assert [int(mask.sum()) for mask in masks.values()] == [8, 2]
    assert sn.global_unstructured([a, b * 0 + 1], 10, normalize=True)[0].sum() < 10
    with pytest.raises(ValueError, match="0.1"):
        sn.global_unstructured([a, b], 10, max_sparsity=0.1)


def test_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = weights((12, 20))
    narrow = array.astype(ml_dtypes.bfloat16)
    for view, wide in [(narrow, array), (narrow.T, array.T), (narrow[:, ::2], array[:, ::2])]:
        assert np.array_equal(sn.l1_unstructured(view, 0.5), sn.l1_unstructured(wide, 0.5))


def test_apply():
    array = np.array([[np.nan, -1.0], [np.inf, 2.0]], np.float32)
    out = sn.apply(np.array([[0, 1], [0, 1]]), array)
    assert out.dtype == np.float32 and out.tolist() == [[0.0, -1.0], [0.0, 2.0]]
    assert np.isnan(array[0, 0])


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda a: sn.l1_unstructured(a, 1.5), ValueError, "1.5"),
        (lambda a: sn.l1_unstructured(a, -1), ValueError, "-1"),
        (lambda a: sn.l1_unstructured(a, 49), ValueError, "49"),
        (lambda a: sn.l1_unstructured(a, 10**30), ValueError, "remain"),
        (lambda a: sn.l1_unstructured(a, -(10**60)), ValueError, "negative"),
        (lambda a: sn.l1_unstructured(a, float("nan")), ValueError, "NaN"),
        (lambda a: sn.l1_unstructured(a, "0.5"), TypeError, "str"),
        (lambda a: sn.l1_unstructured(a, None), TypeError, "None"),
        (lambda a: sn.l1_unstructured(a, np.float32(0.1)), TypeError, "float32"),
        (lambda a: sn.l1_unstructured(a, True), TypeError, "bool"),
        (lambda a: sn.l1_unstructured(a.astype(int), 1), TypeError, "int64"),
        (lambda a: sn.l1_unstructured(a.astype(complex), 1), TypeError, "complex"),
        (lambda a: sn.l1_unstructured(a.astype(object), 1), TypeError, "object"),
        (lambda a: sn.l1_unstructured("text", 1), TypeError, "dtype"),
        (lambda a: sn.l1_unstructured(a, 1, mask=np.ones((2, 2))), ValueError, "shape"),
        (lambda a: sn.l1_unstructured(a, 1, mask=a), ValueError, "0 and 1"),
        (lambda a: sn.l1_unstructured(a, 1, mask=a.astype(str)), TypeError, "dtype"),
        (lambda a: sn.l1_unstructured(a * np.nan, 1), ValueError, "NaN"),
        (lambda a: sn.ln_structured(a, 1, 2, 2), IndexError, "2"),
        (lambda a: sn.ln_structured(a, 1, 2, -3), IndexError, "-3"),
        (lambda a: sn.ln_structured(a[0], 1, 2, 0), ValueError, "2 dimensions"),
        (lambda a: sn.ln_structured(a, 1, "other", 0), ValueError, "other"),
        (lambda a: sn.ln_structured(a, 1, np.nan, 0), ValueError, "NaN"),
        (lambda a: sn.nm(a, 5, 4), ValueError, "5"),
        (lambda a: sn.nm(a, 2, 5), ValueError, "5"),
        (lambda a: sn.blocks(a, 1, 0, 2), ValueError, "0"),
        (lambda a: sn.blocks(a, 1, 2, 2, by="size"), ValueError, "size"),
        (lambda a: sn.global_unstructured([], 1), ValueError, "no parameter"),
        (lambda a: sn.global_unstructured([a], 1, masks=[]), ValueError, "0 masks"),
        (lambda a: sn.global_unstructured({"a": a}, 1, masks={"b": a}), ValueError, "'b'"),
        (lambda a: sn.global_unstructured({"a": a}, 1, max_sparsity={"b": 0.5}), ValueError, "`b`"),
        (lambda a: sn.global_unstructured([a], 1, method="ln"), ValueError, "ln"),
        (lambda a: sn.global_unstructured([a], 1, method="random"), TypeError, "seed"),
        (lambda a: sn.apply(np.ones(3), a), ValueError, "shape"),
        (lambda a: secateurs.until(1.5), ValueError, "1.5"),
        (lambda a: secateurs.until("x"), TypeError, "x"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call(weights())


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4), ()])
def test_small_arrays(shape):
    array = np.zeros(shape, np.float32)
    assert sn.l1_unstructured(array, 0.0).shape == shape
    if array.size == 0:
        assert sn.l1_unstructured(array, 0.5).shape == shape
        with pytest.raises(ValueError):
            sn.l1_unstructured(array, 1)


def test_threads_run_meanwhile():
    array = np.random.default_rng(0).standard_normal((1024, 1024))
    expected = sn.l1_unstructured(array, 0.5)
    masks = [None] * 4

    def work(index):
        masks[index] = sn.l1_unstructured(array, 0.5)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert all(np.array_equal(mask, expected) for mask in masks)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_computes():
    import os
    import signal

    array = np.random.default_rng(0).standard_normal((1024, 1024))
    sn.l1_unstructured(array, 0.5)  # starts the threads
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(0 if sn.l1_unstructured(array, 0.5).sum() == array.size // 2 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_doctests():
    import doctest

    from secateurs import _amount

    for module in (sn, _amount):
        assert doctest.testmod(module).failed == 0
