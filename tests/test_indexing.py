"""Reading and writing by index, against PyTorch and NumPy: mixtures in x[...], the functions, order, overlap, threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trigrad as tg
from values import Array, real, truth, whole

torch = pytest.importorskip("torch", reason="compares with torch")
F = torch.nn.functional


def ours(a: Any) -> Any:
    return tg.from_numpy(np.array(a))


def theirs(a: Any) -> Any:
    return torch.from_numpy(np.array(a))


def same(got: Any, want: Any) -> None:
    """Shape, dtype and every element."""
    assert tuple(got.shape) == tuple(want.shape)
    assert repr(got.dtype).split(".")[-1] == str(want.dtype).split(".")[-1]
    np.testing.assert_array_equal(got.numpy(), want.numpy())


# ---------------------------------------------------------------- keys: the same index for trigrad and for torch

Key = tuple[Any, Any]  # an item of a key as trigrad and as torch take it


@st.composite
def items(draw: Callable[..., Any], length: int, after: int | None, broadcast: tuple[int, ...]) -> tuple[Key, int]:
    """An item for an axis of this length (followed by one of length `after`), and how many axes it consumes."""
    kinds = ["slice", "none", "truth", "indices", "list", "mask"]
    kinds += ["integer", "0-d"] * (length > 0) + ["mask of two"] * (after is not None)
    kind = draw(st.sampled_from(kinds))
    if kind == "none":
        return (None, None), 0
    if kind == "truth":
        value = draw(st.booleans())
        return draw(st.sampled_from([(value, value), (ours(value), theirs(value)), (np.bool_(value), value)])), 0
    if kind == "slice":
        bound = st.none() | st.integers(-length - 1, length + 1)
        item = slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2])))
        return (item, item), 1
    if kind in ("integer", "0-d"):
        i = draw(st.integers(-length, length - 1))
        return ((i, i) if kind == "integer" else (ours(i), theirs(i))), 1
    if kind.startswith("mask"):
        shape = (length,) if kind == "mask" else (length, after)
        mask = np.array(draw(st.lists(st.booleans(), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))), bool)
        mask = mask.reshape(shape)
        return (mask if draw(st.booleans()) else ours(mask), theirs(mask)), mask.ndim
    lead = draw(st.integers(0, len(broadcast)))
    shape = tuple(draw(st.sampled_from([1, n])) for n in broadcast[lead:]) if length else (0,)
    n = int(np.prod(shape))
    values = draw(st.lists(st.integers(-length, max(length - 1, 0)), min_size=n, max_size=n))
    indices = np.array(values, np.int64).reshape(shape)
    if kind == "list" and indices.ndim == 1 and n:
        return (values, values), 1
    narrow = indices.astype(draw(st.sampled_from([np.int64, np.int32, np.int16])))
    return (narrow if draw(st.booleans()) and narrow.ndim else ours(narrow), theirs(indices)), 1


@st.composite
def keyed(draw: Callable[..., Any]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[Key, ...]]:
    """A shape, an order of its axes, and the items of a key for the tensor so permuted."""
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    order = tuple(draw(st.permutations(range(len(shape)))))
    lengths = [shape[i] for i in order]
    broadcast = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    found: list[Key] = []
    axis = 0
    for _ in range(draw(st.integers(1, 5))):
        if axis >= len(lengths):
            break
        after = lengths[axis + 1] if axis + 1 < len(lengths) else None
        item, used = draw(items(lengths[axis], after, broadcast))
        found.append(item)
        axis += used
    if draw(st.booleans()):
        found.append((Ellipsis, Ellipsis))
    return shape, order, tuple(found)


def both(shape: tuple[int, ...], order: tuple[int, ...]) -> tuple[Any, Any]:
    a = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    return ours(a).permute(order), theirs(a).permute(order)


def split(key: tuple[Key, ...]) -> tuple[Any, Any]:
    """As a tuple, or bare where it is a single item that is no list."""
    mine, other = tuple(k[0] for k in key), tuple(k[1] for k in key)
    return (mine[0], other[0]) if len(key) == 1 else (mine, other)


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (IndexError, RuntimeError) as error:
        return error


@settings(max_examples=600)
@given(keyed())
def test_reading_as_torch(case: tuple[Any, Any, Any]) -> None:
    shape, order, key = case
    x, X = both(shape, order)
    k, K = split(key)
    got, want = outcome(lambda: x[k]), outcome(lambda: X[K])
    if isinstance(want, Exception):
        assert isinstance(got, IndexError)
    else:
        same(got, want)


@settings(max_examples=600)
@given(keyed(), st.sampled_from(["number", "0-d", "whole", "part", "ones", "long", "array"]), st.data())
def test_writing_as_torch(case: tuple[Any, Any, Any], kind: str, data: Any) -> None:
    shape, order, key = case
    x, X = both(shape, order)
    k, K = split(key)
    selected = outcome(lambda: X[K])
    if isinstance(selected, Exception):
        with pytest.raises(IndexError):
            x[k] = 1
        return
    target = tuple(selected.shape)
    if kind == "number":
        value = VALUE = 7.5
    else:
        of_value = target[data.draw(st.integers(0, len(target))) if kind == "part" else 0 :]
        of_value = () if kind == "0-d" else (1, *target)[: 8 if len(target) < 7 else 0] if kind == "long" else of_value
        if kind == "ones":
            of_value = tuple(1 for _ in target)
        a = np.asarray(real(of_value, "value", "float32"))
        value, VALUE = (a if kind == "array" else ours(a)), theirs(a)
    version = x._version
    x[k] = value
    X[K] = VALUE
    same(x, X)
    assert x._version == version + 1


def test_numbers_of_numpy_and_nested_lists() -> None:
    x = ours(np.arange(24.0).reshape(4, 6))
    a = x.numpy().copy()
    np.testing.assert_array_equal(x[[[0, 1], [3, 2]]].numpy(), a[[[0, 1], [3, 2]]])
    np.testing.assert_array_equal(x[np.int64(1), [0, 5]].numpy(), a[1, [0, 5]])
    np.testing.assert_array_equal(x[range(1, 3)].numpy(), a[1:3])
    np.testing.assert_array_equal(x[(0, 1), (2, 3)].numpy(), a[(0, 1), (2, 3)])
    np.testing.assert_array_equal(x[[]].numpy(), a[[]])
    assert x[np.array(1)].tolist() == a[1].tolist()


def test_a_read_by_arrays_copies_and_one_by_integers_does_not() -> None:
    x = tg.zeros(3, 4)
    x[tg.tensor([0, 1])].fill_(1)
    x[x == 0].fill_(1)
    assert x.sum().item() == 0
    x[1].fill_(1)
    x[tg.tensor(2)].fill_(1)
    assert x.sum().item() == 8


def test_adding_in_place_counts_each_place_once() -> None:
    x = tg.zeros(3)
    x[[0, 0, 2]] += 1
    assert x.tolist() == [1, 0, 1]
    x.index_put_((tg.tensor([0, 0, 2]),), tg.tensor([1.0, 2.0, 3.0]), accumulate=True)
    assert x.tolist() == [4, 0, 4]


# ---------------------------------------------------------------- overlap, read-only memory, refusals


def test_values_and_indices_that_share_memory_with_the_target() -> None:
    for make in (lambda a: ours(a), lambda a: ours(np.concatenate([a, a]))[:6]):
        x = make(np.arange(6))
        x[tg.tensor([5, 4, 3, 2, 1, 0])] = x
        assert x.tolist() == [5, 4, 3, 2, 1, 0]
        x = make(np.array([3, 0, 5, 1, 2, 4]))
        x[x] = x  # x is its own index and its own values
        assert x.tolist() == list(range(6))
        x = make(np.arange(6))
        x[tg.tensor([1, 2, 3])] = x[:3]
        assert x.tolist() == [0, 0, 1, 2, 4, 5]
        x[1:] = x[:-1]
        assert x.tolist() == [0, 0, 0, 1, 2, 4]
        x[x > 0] = x[:3]
        assert x.tolist() == [0, 0, 0, 0, 0, 0]
    y = tg.arange(6)
    y.scatter_(0, tg.tensor([5, 4, 3, 2, 1, 0]), y)
    assert y.tolist() == [5, 4, 3, 2, 1, 0]
    y.index_add_(0, tg.tensor([0, 0, 0, 0, 0, 0]), y)
    assert y.tolist() == [20, 4, 3, 2, 1, 0]


def test_read_only_and_expanded_memory_is_refused() -> None:
    a = np.zeros(3, np.float32)
    a.flags.writeable = False
    x, index = tg.from_numpy(a), tg.tensor([1])
    wide = tg.zeros(1).expand(3)
    for t, text in ((x, "read-only"), (wide, "several elements share")):
        before = t._version
        for write in (
            lambda t: t.__setitem__(index, 1),
            lambda t: t.__setitem__(tg.tensor([True, False, True]), 1),
            lambda t: t.scatter_(0, index, 1.0),
            lambda t: t.index_add_(0, index, tg.ones(1)),
            lambda t: t.masked_fill_(t == 0, 1),
        ):
            with pytest.raises(RuntimeError, match=text):
                write(t)
        assert t._version == before
    assert (a == 0).all()


WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "setitem": lambda x, i: x.__setitem__(i, 1.0),
    "index_put_": lambda x, i: x.index_put_((i,), tg.tensor(1.0), True),
    "scatter_": lambda x, i: x.scatter_(0, i, 1.0),
    "scatter_add_": lambda x, i: x.scatter_add_(0, i, tg.ones(i.shape)),
    "index_add_": lambda x, i: x.index_add_(0, i, tg.ones(i.shape)),
    "index_copy_": lambda x, i: x.index_copy_(0, i, tg.ones(i.shape)),
    "index_fill_": lambda x, i: x.index_fill_(0, i, 1.0),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("wrong", [7, -8, 2**62, -(2**63)])
def test_an_index_out_of_range_is_found_before_anything_is_written(name: str, wrong: int) -> None:
    index = np.zeros(100_003, np.int64)
    index[-1] = wrong
    x = tg.zeros(7)
    before = x._version
    with pytest.raises(
        IndexError, match=rf"^\[{name.rstrip('_')}_?\] index {wrong} is out of range for dimension 0 of length 7"
    ):
        WRITES[name](x, ours(index))
    assert x.sum().item() == 0
    assert x._version == before


READS: dict[str, Callable[[Any, Any], Any]] = {
    "getitem": lambda x, i: x[i],
    "gather": lambda x, i: x.gather(0, i),
    "index_select": lambda x, i: x.index_select(0, i),
    "take": tg.take,
    "embedding": lambda x, i: tg.embedding(i, x.reshape(-1, 1)),
    "take_along_dim": lambda x, i: tg.take_along_dim(x, i, 0),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("wrong", [7, -8, 2**62])
def test_reading_out_of_range(name: str, wrong: int) -> None:
    index = np.zeros(100_003, np.int64)
    index[77] = wrong
    with pytest.raises(IndexError, match=rf"^\[{name}\] index -?\d+ is out of range for dimension 0 of length 7"):
        READS[name](tg.zeros(7), ours(index))
    for length in (0, 1):
        with pytest.raises(IndexError, match="out of range"):
            READS[name](tg.zeros(length), ours(np.array([length])))


@pytest.mark.parametrize("name", ["gather", "index_select", "embedding"])
def test_negative_indices_are_refused_where_torch_refuses_them(name: str) -> None:
    with pytest.raises(IndexError, match="index -1 is out of range for dimension 0 of length 7, expected 0 to 6"):
        READS[name](tg.zeros(7), tg.tensor([-1]))


# ---------------------------------------------------------------- the functions

X = real((5, 7), "x", "float32")
ROWS = whole(9, "rows", "int64", 0, 5)
COLUMNS = whole(9, "columns", "int64", 0, 7)
INTEGERS = whole((5, 7), "integers", "int64", -9, 9)


def calls() -> Iterator[tuple[str, Callable[[Any, Callable[[Any], Any]], Any]]]:
    """A call of each function; `m` is trigrad or torch, `t` makes its tensors."""
    for dtype in ("float32", "float64", "int64", "int32", "uint8", "bool", "float16", "int8"):
        x = INTEGERS.astype(dtype)
        yield f"index_select {dtype}", lambda m, t, x=x: m.index_select(t(x), 1, t(COLUMNS))
        yield f"gather {dtype}", lambda m, t, x=x: m.gather(t(x), 0, t(whole((3, 6), "g", "int64", 0, 5)))
        yield f"rows {dtype}", lambda m, t, x=x: t(x)[t(ROWS)]
        yield f"masked {dtype}", lambda m, t, x=x: t(x)[t(X > 0)]
        yield f"index_copy {dtype}", lambda m, t, x=x: m.index_copy(t(x), 0, t(ROWS[:2]), t(x[3:]))
        if dtype in ("float32", "float64", "int64", "int32", "uint8", "bool"):
            yield f"index_put {dtype}", lambda m, t, x=x: m.index_put(t(x), (t(ROWS),), t(x[ROWS]), True)
            yield (
                f"scatter_add {dtype}",
                lambda m, t, x=x: m.scatter_add(t(x), 0, t(whole((5, 7), "s", "int64", 0, 5)), t(x)),
            )
            yield f"masked_fill {dtype}", lambda m, t, x=x: t(x).masked_fill(t(X > 0), 1)
    yield "index_select 0-d index", lambda m, t: m.index_select(t(X), 0, t(np.int64(3)))
    yield "index_select 0-d", lambda m, t: m.index_select(t(np.float32(3)), 0, t(np.int64(0)))
    yield "index_select int32", lambda m, t: m.index_select(t(X), -1, t(COLUMNS.astype("int32")))
    yield "index_add", lambda m, t: m.index_add(t(X), 0, t(ROWS), t(real((9, 7), "a", "float32")), alpha=2)
    yield "index_add 1", lambda m, t: m.index_add(t(X), 1, t(COLUMNS), t(real((5, 9), "a", "float32")))
    yield "index_fill", lambda m, t: m.index_fill(t(X), 1, t(np.array([0, -1])), 3.5)
    yield "index_fill 0-d", lambda m, t: m.index_fill(t(INTEGERS), 0, t(np.array([0, -1])), t(np.float32(3.5)))
    yield "scatter number", lambda m, t: m.scatter(t(X), 0, t(whole((2, 6), "s", "int64", 0, 5)), 1.5)
    yield "scatter value", lambda m, t: t(X).scatter_(0, t(whole((2, 6), "s", "int64", 0, 5)), value=1.5)
    yield "take", lambda m, t: m.take(t(X).T, t(np.array([[0, -1], [34, -35]])))
    yield "take_along_dim", lambda m, t: m.take_along_dim(t(X), t(whole((5, 1), "t", "int64", -7, 7)), 1)
    yield (
        "take_along_dim broadcast",
        lambda m, t: m.take_along_dim(t(X[:1]), t(whole((5, 9), "t", "int64", 0, 7)), dim=1),
    )
    yield "take_along_dim flat", lambda m, t: m.take_along_dim(t(X), t(whole((2, 3), "t", "int64", 0, 35)))
    yield "masked_select", lambda m, t: m.masked_select(t(X), t(truth(7, "m")))
    yield "masked_select wider", lambda m, t: m.masked_select(t(X[0]), t(truth((5, 7), "m")))
    yield "masked_scatter", lambda m, t: m.masked_scatter(t(X), t(truth(7, "m")), t(real(50, "s", "float32")))
    yield "masked_fill wider", lambda m, t: m.masked_fill(t(X[0]), t(truth((5, 7), "m")), -2)
    yield "masked_fill 0-d", lambda m, t: m.masked_fill(t(INTEGERS), t(X > 0), t(np.float64(2.5)))
    for x in (X, INTEGERS, X > 0, np.zeros((2, 0)), np.array(1.0), np.array(0), np.array([0, np.nan, -0.0])):
        yield f"nonzero {x.shape} {x.dtype}", lambda m, t, x=x: m.nonzero(t(x))
        yield f"nonzero tuple {x.shape} {x.dtype}", lambda m, t, x=x: m.nonzero(t(x), as_tuple=True)
        yield f"argwhere {x.shape} {x.dtype}", lambda m, t, x=x: m.argwhere(t(x))
        yield f"where {x.shape} {x.dtype}", lambda m, t, x=x: m.where(t(x))
        yield f"count_nonzero {x.shape} {x.dtype}", lambda m, t, x=x: m.count_nonzero(t(x))
    yield "count_nonzero dim", lambda m, t: m.count_nonzero(t(INTEGERS), dim=1)
    yield "count_nonzero dims", lambda m, t: m.count_nonzero(t(INTEGERS), dim=(0, 1))
    yield "bincount", lambda m, t: m.bincount(t(ROWS), minlength=3)
    yield "bincount uint8", lambda m, t: m.bincount(t(ROWS.astype("uint8")))
    yield "bincount empty", lambda m, t: m.bincount(t(np.zeros(0, np.int64)), minlength=2)
    for dtype in ("float32", "float64", "int64", "int32"):
        yield f"bincount weights {dtype}", lambda m, t, d=dtype: m.bincount(t(ROWS), t(COLUMNS.astype(d)))
    yield "tril_indices", lambda m, t: m.tril_indices(3, 5, 1)
    yield "triu_indices", lambda m, t: m.triu_indices(4, 3, -2, dtype=m.int32)
    row = np.sort(whole(20, "row", "int64", -9, 9))
    for right in (False, True):
        for dtype in ("float32", "float64", "int64", "int32", "uint8"):
            s, v = np.sort(np.abs(row).astype(dtype)), INTEGERS.astype(dtype)
            yield (
                f"searchsorted {dtype} {right}",
                lambda m, t, s=s, v=v, r=right: m.searchsorted(t(s), t(v), right=r),
            )
        yield (
            f"searchsorted side {right}",
            lambda m, t, r=right: m.searchsorted(t(row), t(INTEGERS), side="right" if r else "left", out_int32=True),
        )
        yield f"bucketize {right}", lambda m, t, r=right: m.bucketize(t(INTEGERS), t(row), right=r)
        yield (
            f"searchsorted number {right}",
            lambda m, t, r=right: m.searchsorted(t(row.astype("float32")), 0.1, right=r),
        )
    rows = np.sort(X, axis=1)
    yield "searchsorted rows", lambda m, t: m.searchsorted(t(rows), t(real((5, 3), "v", "float32")))
    yield "searchsorted sorter", lambda m, t: m.searchsorted(t(X), t(X[:, :2]), sorter=t(np.argsort(X, axis=1)))


CALLS = dict(calls())


@pytest.mark.parametrize("name", CALLS)
def test_as_torch(name: str) -> None:
    got, want = CALLS[name](tg, ours), CALLS[name](torch, theirs)
    if isinstance(want, tuple):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            same(g, w)
    else:
        same(got, want)


def test_embedding_and_one_hot_as_torch() -> None:
    weight = real((11, 6), "weight", "float32")
    index = whole((3, 4), "index", "int64", 0, 11)
    same(
        tg.embedding(ours(index), ours(weight), padding_idx=2),
        F.embedding(theirs(index), theirs(weight), padding_idx=2),
    )
    same(tg.one_hot(ours(index)), F.one_hot(theirs(index)))
    same(tg.one_hot(ours(index), 20), F.one_hot(theirs(index), 20))
    same(tg.one_hot(ours(np.zeros((0, 2), np.int64)), 3), F.one_hot(theirs(np.zeros((0, 2), np.int64)), 3))


IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "index_add_": lambda x, t: x.index_add_(1, t(COLUMNS), t(real((5, 9), "a", "float32")), alpha=0.5),
    "index_copy_": lambda x, t: x.index_copy_(0, t(np.array([4, 1])), t(X[:2])),
    "index_fill_": lambda x, t: x.index_fill_(-1, t(COLUMNS), 2),
    "scatter_": lambda x, t: x.scatter_(1, t(whole((5, 3), "s", "int64", 0, 7)), t(X[:, :3] * 2)),
    "scatter_add_": lambda x, t: x.scatter_add_(
        1, t(whole((5, 9), "s", "int64", 0, 7)), t(real((5, 9), "a", "float32"))
    ),
    "masked_fill_": lambda x, t: x.masked_fill_(t(truth((5, 1), "m")), 1),
    "masked_scatter_": lambda x, t: x.masked_scatter_(t(truth((5, 7), "m")), t(real(35, "s", "float32"))),
    "index_put_": lambda x, t: x.index_put_((t(ROWS), t(COLUMNS)), t(real(9, "v", "float32")), accumulate=True),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_as_torch(name: str) -> None:
    for view in (lambda x: x, lambda x: x.T.clone().T):
        x, y = view(ours(X)), view(theirs(X))
        assert IN_PLACE[name](x, ours) is x
        IN_PLACE[name](y, theirs)
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-6, atol=1e-6)
        assert x._version >= 1


REFUSALS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: tg.gather(ours(X), 2, ours(ROWS)), IndexError, "[gather] dim 2 is out of range"),
    (
        lambda: tg.gather(ours(X), 0, ours(ROWS)),
        RuntimeError,
        "[gather] index has shape (9,), expected as many dimensions",
    ),
    (
        lambda: tg.gather(ours(X), 0, ours(np.zeros((1, 8), np.int64))),
        RuntimeError,
        "[gather] index (1, 8) is longer than the input (5, 7) at dimension 1, expected at most as long except at dim",
    ),
    (
        lambda: tg.gather(ours(X), 0, ours(X)),
        IndexError,
        "[gather] index is float32, expected indices of an integer dtype",
    ),
    (
        lambda: tg.scatter(ours(X), 0, ours(INTEGERS), ours(X).double()),
        RuntimeError,
        "[scatter] src is float64, expected the dtype of the input, float32; cast it with .to(float32)",
    ),
    (
        lambda: tg.scatter_add(ours(X), 0, ours(INTEGERS), ours(X[:2])),
        RuntimeError,
        "[scatter_add] index (5, 7) is longer than src (2, 7) at dimension 0, expected at most as long",
    ),
    (lambda: tg.scatter(ours(X), 0, ours(INTEGERS)), TypeError, "[scatter] expected src or value, one of them"),
    (
        lambda: tg.index_add(ours(X), 0, ours(ROWS), ours(X)),
        RuntimeError,
        "[index_add] source has shape (5, 7), expected (9, 7)",
    ),
    (
        lambda: tg.index_select(ours(X), 0, ours(INTEGERS)),
        IndexError,
        "[index_select] index has shape (5, 7), expected one",
    ),
    (lambda: tg.masked_fill(ours(X), ours(X), 0), RuntimeError, "[masked_fill] mask is float32, expected bool"),
    (
        lambda: tg.masked_select(ours(X), ours(X)),
        RuntimeError,
        "[masked_select] mask is trigrad.float32, expected bool",
    ),
    (
        lambda: tg.masked_scatter(ours(X), ours(X) > -9, ours(X[0])),
        RuntimeError,
        "[masked_scatter] source has 7 elements, expected 35, one for each true of mask",
    ),
    (
        lambda: tg.embedding(ours(ROWS), ours(ROWS)),
        RuntimeError,
        "[embedding] weight has shape (9,), expected 2 dimensions",
    ),
    (lambda: tg.one_hot(ours(ROWS), 2), IndexError, "[one_hot] index "),
    (lambda: tg.one_hot(ours(-1 - ROWS)), RuntimeError, "[one_hot] num_classes is "),
    (lambda: tg.one_hot(ours(np.zeros(0, np.int64))), RuntimeError, "[one_hot] the tensor is empty"),
    (lambda: tg.bincount(ours(ROWS - 3)), IndexError, "[bincount] index "),
    (lambda: tg.bincount(ours(INTEGERS)), RuntimeError, "[bincount] input is trigrad.int64 of shape (5, 7)"),
    (lambda: tg.bincount(ours(ROWS), minlength=-1), RuntimeError, "[bincount] minlength is -1"),
    (
        lambda: tg.searchsorted(ours(X), ours(X[0])),
        RuntimeError,
        "[searchsorted] the sorted sequence (5, 7) and the values",
    ),
    (lambda: tg.searchsorted(ours(ROWS), 1, side="up"), RuntimeError, "[searchsorted] side is 'up'"),
    (
        lambda: tg.bucketize(1, ours(X)),
        RuntimeError,
        "[bucketize] boundaries have shape (5, 7), expected one dimension",
    ),
    (lambda: tg.ops.native_nonzero(ours(X), 3), ValueError, "[nonzero] n is 3, expected 35"),
    (lambda: tg.ops.native_index(ours(X), []), IndexError, "[index] got no index tensor, expected one or more"),
    (
        lambda: tg.ops.native_index(ours(X), [ours(ROWS)] * 2, 1),
        IndexError,
        "[index] got 2 index tensors from dim 1 on, expected at most 1 for an input of shape (5, 7)",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), REFUSALS, ids=[text[:60] for _, _, text in REFUSALS])
def test_refusals(call: Callable[[], Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).startswith(text)


# ---------------------------------------------------------------- order and threads


def in_order(x: Array, index: Array, values: Array) -> Array:
    """Sums added one after the other, each rounded to the dtype."""
    out = x.copy()
    for place, value in zip(index, values, strict=True):
        out[place] = out[place] + value
    return out


@pytest.mark.parametrize("columns", [1, 2, 70, 700])
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_sums_are_added_and_places_written_in_the_order_of_the_index(columns: int, threads: int) -> None:
    tg.set_num_threads(threads)
    rows = 200_000 // columns
    x, values = real((37, columns), "x", "float32"), real((rows, columns), "values", "float32")
    index = whole(rows, "index", "int64", -37, 37)
    want = in_order(x, index, values)
    added = ours(x).index_put_((ours(index),), ours(values), accumulate=True)
    assert added.numpy().tobytes() == want.tobytes()
    each = np.repeat(index % 37, columns).reshape(rows, columns)
    assert ours(x).scatter_add_(0, ours(each), ours(values)).numpy().tobytes() == want.tobytes()
    assert ours(x.T).scatter_add_(1, ours(each.T), ours(values.T)).numpy().T.tobytes() == want.tobytes()
    last = x.copy()
    for place, value in zip(index, values, strict=True):
        last[place] = value
    y = ours(x)
    y[ours(index)] = ours(values)
    np.testing.assert_array_equal(y.numpy(), last)
    np.testing.assert_array_equal(ours(x).scatter_(0, ours(each), ours(values)).numpy(), last)
    np.testing.assert_array_equal(ours(x)[ours(index)].numpy(), x[index])


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_long_masks(threads: int) -> None:
    tg.set_num_threads(threads)
    for density in (0.0, 0.001, 0.5, 1.0):
        mask = real((411, 1013), "mask", "float64", 0, 1) < density
        x = real(mask.shape, "x", "float32")
        np.testing.assert_array_equal(tg.nonzero(ours(mask)).numpy(), np.argwhere(mask))
        assert tg.count_nonzero(ours(mask)).item() == mask.sum()
        np.testing.assert_array_equal(ours(x)[ours(mask)].numpy(), x[mask])
        np.testing.assert_array_equal(ours(x.T)[ours(mask.T)].numpy(), x.T[mask.T])
        y = ours(x)
        y[ours(mask)] = 0.25
        np.testing.assert_array_equal(y.numpy(), np.where(mask, np.float32(0.25), x))


def test_bytes_of_a_mask_other_than_0_and_1_are_true() -> None:
    mask = tg.from_numpy(np.array([0, 2, 255, 1, 0, 128, 0, 0, 64] * 9, np.uint8).view(bool))
    assert tg.count_nonzero(mask).item() == 45
    assert len(tg.arange(81)[mask]) == 45


def test_nan_is_the_greatest_for_searches() -> None:
    a = np.array([-np.inf, 0, 1, np.inf, np.nan, np.nan])
    for side in ("left", "right"):
        got = tg.searchsorted(ours(a), ours(a), side=side)  # type: ignore[arg-type]
        np.testing.assert_array_equal(got.numpy(), np.searchsorted(a, a, side))  # type: ignore[call-overload]
