"""The Python tensor: creation, attributes, operators, indexing, views, functions, and the doors for tests."""

from __future__ import annotations

import gc
import itertools
import math
import operator
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg

A = np.arange(24.0, dtype="f4").reshape(2, 3, 4)


def test_import_needs_nothing() -> None:
    code = "import sys, trigrad; print(sorted(m for m in ('numpy', 'torch', 'inspect', 'typing_extensions') if m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# ---- creation


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        (3, "int64"),
        (True, "bool"),
        ([1, 2.0], "float32"),
        ([True, 2], "int64"),
        ([], "float32"),
        ([[], []], "float32"),
        (((1, 2), (3, 4)), "int64"),
        (np.float32(1), "float32"),
        (np.arange(3), "int64"),
        (np.ones((2, 2)), "float64"),
        ([np.ones(2), np.zeros(2)], "float64"),
        ([np.int64(1), 2], "int64"),
    ],
)
def test_tensor_infers_as_torch(data: Any, dtype: str) -> None:
    t = tg.tensor(data)
    assert t.dtype is getattr(tg, dtype)
    assert np.array_equal(t.numpy(), np.array(data))
    assert tuple(t.shape) == np.array(data).shape


def test_tensor_copies_and_as_tensor_does_not() -> None:
    a = np.zeros(2, "f4")
    copied, shared = tg.tensor(a), tg.as_tensor(a)
    a += 1
    assert copied.tolist() == [0, 0]
    assert shared.tolist() == [1, 1]
    assert tg.as_tensor(shared) is shared
    assert tg.as_tensor(shared, dtype=tg.int64).tolist() == [1, 1]
    assert tg.tensor(shared).data_ptr() != shared.data_ptr()
    assert tg.tensor([tg.tensor(1.0), tg.tensor(2.0)]).tolist() == [1, 2]


def test_dtype_arguments() -> None:
    for given, dtype in (
        (tg.float64, tg.float64),
        (float, tg.float64),
        (int, tg.int64),
        (bool, tg.bool),
        (np.float32, tg.float32),
        (np.dtype("i4"), tg.int32),
        ("uint8", tg.uint8),
    ):
        assert tg.zeros(1, dtype=given).dtype is dtype
    assert repr(tg.float32) == "trigrad.float32"
    assert {tg.float32: 1}[tg.float] == 1
    assert tg.double is tg.float64
    assert (tg.int16.itemsize, tg.int16.is_signed, tg.int16.is_floating_point) == (2, True, False)
    assert (tg.uint8.is_signed, tg.bool.is_signed, tg.bfloat16.is_floating_point) == (False, False, True)


def test_fills() -> None:
    assert tg.zeros(2, 3).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert tg.ones((2,), dtype=tg.uint8).tolist() == [1, 1]
    assert tg.full((2,), 2.5).dtype is tg.float32
    assert tg.full((2,), True).dtype is tg.bool
    assert tg.full_like(tg.zeros(2, dtype=tg.int64), 3).tolist() == [3, 3]
    assert tg.zeros(()).item() == 0
    assert tg.empty(0, 3).shape == (0, 3)
    assert tg.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert tg.eye(3, 2).tolist() == [[1, 0], [0, 1], [0, 0]]
    assert tg.eye(0).shape == (0, 0)


@pytest.mark.parametrize(
    "args", [(5,), (0,), (2, 9), (9, 2, -3), (0, 1, 0.1), (1.0,), (-3, 3, 2), (0, 10, 3), (2, 2), (5, -1, -2)]
)
def test_arange(args: tuple[float, ...]) -> None:
    expected = np.arange(*args, dtype="f4" if any(isinstance(a, float) for a in args) else "i8")
    t = tg.arange(*args)
    assert t.numpy().dtype == expected.dtype
    np.testing.assert_allclose(t.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 100, 101])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_linspace(steps: int, dtype: str) -> None:
    t = tg.linspace(-1.5, 3, steps, dtype=getattr(tg, dtype)).numpy()
    np.testing.assert_allclose(t, np.linspace(-1.5, 3, steps, dtype=dtype), rtol=1e-6, atol=1e-6)
    if steps > 1:
        assert (t[0], t[-1]) == (-1.5, 3)


def test_device() -> None:
    x = tg.zeros(2, device="cpu")
    assert x.device == tg.device("cpu") == tg.device(x.device)
    assert repr(x.device) == "device(type='cpu')"
    assert str(tg.device("cuda:1")) == "cuda:1"
    assert {tg.device("cpu"): 1}[x.device] == 1
    assert not x.is_cuda
    assert x.to("cpu") is x
    assert x.cpu() is x


# ---- attributes


def test_attributes() -> None:
    t = tg.tensor(A)
    assert isinstance(t.shape, tuple)
    assert repr(t.shape) == "trigrad.Size([2, 3, 4])"
    assert repr(t.shape[1:]) == "trigrad.Size([3, 4])"
    assert isinstance(t.shape + (1,), tg.Size)  # noqa: RUF005
    assert (t.shape.numel(), t.size(), t.size(-1), t.dim(), t.ndim) == (24, (2, 3, 4), 4, 3, 3)
    assert (t.numel(), t.element_size(), t.itemsize, t.nbytes) == (24, 4, 4, 96)
    assert (t.stride(), t.stride(0), t.storage_offset(), t.is_contiguous()) == ((12, 4, 1), 12, 0, True)
    assert (t[1].storage_offset(), t.T.stride(), t.T.is_contiguous()) == (12, (1, 4, 12), False)
    assert t.mT.shape == (2, 4, 3)
    assert t.data_ptr() % 64 == 0
    assert t[1].data_ptr() == t.data_ptr() + 48
    assert t.type() == "trigrad.float32"
    assert not hasattr(t, "colour")


def test_identity_hash_and_weak_references() -> None:
    x, y = tg.zeros(1), tg.zeros(1)
    assert len({x, y, x}) == 2
    gone = weakref.ref(x)
    assert gone() is x
    del x
    gc.collect()
    assert gone() is None


def test_numbers_out() -> None:
    assert float(tg.tensor([[2.5]])) == 2.5
    assert int(tg.tensor(2.9)) == 2
    assert [10, 20][tg.tensor(1)] == 20
    assert bool(tg.tensor(0.0)) is False
    assert tg.tensor(True).item() is True
    assert tg.tensor(2**62).item() == 2**62
    assert math.isnan(tg.tensor(float("nan")).item())
    assert tg.tensor(5e-324, dtype=tg.float64).item() == 5e-324
    assert tg.tensor(A).tolist() == A.tolist()
    assert tg.tensor(A).T.tolist() == A.T.tolist()
    assert tg.zeros(2, 0).tolist() == [[], []]


# ---- operators

OPERATORS: list[Callable[[Any, Any], Any]] = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow),
    *(operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge),
]


@pytest.mark.parametrize("f", OPERATORS)
def test_operators(f: Callable[[Any, Any], Any]) -> None:
    a, b = np.array([1.5, -2.0, 3.0], "f4"), np.array([[2.0], [0.5]], "f4")
    x, y = tg.tensor(a), tg.tensor(b)
    with np.errstate(invalid="ignore"):
        for ours, numpys in ((f(x, y), f(a, b)), (f(x, 2), f(a, 2)), (f(2.5, x), f(np.float32(2.5), a))):
            assert ours.numpy().dtype == numpys.dtype
            np.testing.assert_allclose(ours.numpy(), numpys, rtol=1e-6)


@pytest.mark.parametrize(
    "f",
    [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod, operator.ipow],
)
def test_in_place_operators_keep_the_object(f: Callable[[Any, Any], Any]) -> None:
    a = np.array([1.0, 2.0, 5.0], "f4")
    x = tg.tensor(a)
    view = x[1:]
    version = x._version
    y = f(x, 2)
    assert y is x
    assert x._version > version
    np.testing.assert_array_equal(x.numpy(), f(a, np.float32(2)))
    assert view.tolist() == x.tolist()[1:]


def test_other_operators() -> None:
    x = tg.tensor([1.0, -2.0])
    assert (-x).tolist() == [-1, 2]
    assert abs(x).tolist() == [1, 2]
    assert +x is x
    assert (x @ x).item() == 5
    m = tg.tensor([True, True, False, False])
    n = tg.tensor([True, False, True, False])
    assert (~m).tolist() == [False, False, True, True]
    assert (m & n).tolist() == [True, False, False, False]
    assert (m | n).tolist() == [True, True, True, False]
    assert (m ^ n).tolist() == [False, True, True, False]
    assert (x == None) is False
    assert (x != "a") is True
    assert 1.0 in x
    assert 7 not in x


def test_promotion_as_torch() -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    names = ["float32", "float64", "int64", "int32", "uint8", "bool"]
    for first, second in itertools.product(names, repeat=2):
        for sa, sb in itertools.product([(), (2,)], repeat=2):
            ours = tg.ones(sa, dtype=getattr(tg, first)) * tg.ones(sb, dtype=getattr(tg, second))
            theirs = torch.ones(sa, dtype=getattr(torch, first)) * torch.ones(sb, dtype=getattr(torch, second))
            assert repr(ours.dtype) == str(theirs.dtype).replace("torch", "trigrad")
    for name, number in itertools.product(names, [True, 2, 2.5]):
        for shape in ((), (2,)):
            ours = tg.ones(shape, dtype=getattr(tg, name)) * number
            theirs = torch.ones(shape, dtype=getattr(torch, name)) * number
            assert repr(ours.dtype) == str(theirs.dtype).replace("torch", "trigrad")
            assert ours.tolist() == theirs.tolist()


# ---- indexing

INDICES: list[Any] = [
    *(0, -1, (0, 1), (1, -1, 2), slice(None), slice(1, None), (slice(None), 1), (slice(None), slice(0, 3, 2))),
    *(slice(None, None, -1), (0, slice(None, None, -2)), (Ellipsis, 1), (1, Ellipsis), Ellipsis, None, (None, 0, None)),
    *((Ellipsis, None), (slice(5, 9),), (slice(-2, None), slice(1, -1)), (np.int64(1), slice(None)), (), (0, 0, 0)),
]


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_indexing_gives_numpys_views(index: Any) -> None:
    t = tg.tensor(A)
    part = t[index]
    assert part.tolist() == A[index].tolist()
    assert tuple(part.shape) == A[index].shape
    a = A.copy()
    part += 100
    if A[index].size:
        view = a[index]
        if isinstance(view, np.ndarray):
            view += 100
        else:
            a[index] += 100
    assert t.tolist() == a.tolist()


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_assignment(index: Any) -> None:
    t, a = tg.tensor(A), A.copy()
    t[index] = 7
    a[index] = 7
    assert t.tolist() == a.tolist()
    value = np.asarray(A[index] * 2)
    for given in (tg.tensor(value), value, tg.tensor(value).double()[None]):
        t, a = tg.tensor(A), A.copy()
        t[index] = given
        a[index] = value
        assert t.tolist() == a.tolist()


def test_indexing_with_tensors_of_one_integer_and_iteration() -> None:
    t = tg.tensor(A)
    assert t[tg.tensor(1)].tolist() == A[1].tolist()
    assert [row.tolist() for row in t] == A.tolist()
    assert len(t) == 2
    overlapping = tg.arange(6)
    overlapping[1:] = overlapping[:-1]
    assert overlapping.tolist() == [0, 0, 1, 2, 3, 4]


# ---- views


def test_views_share_and_reshape_copies_where_it_must() -> None:
    t = tg.tensor(A)
    for view, expected in (
        (t.view(6, 4), A.reshape(6, 4)),
        (t.view(-1), A.reshape(-1)),
        (t.view((2, -1)), A.reshape(2, -1)),
        (t.reshape(4, 6), A.reshape(4, 6)),
        (t.permute(2, 0, 1), A.transpose(2, 0, 1)),
        (t.permute((-1, 0, 1)), A.transpose(2, 0, 1)),
        (t.transpose(0, -1), A.swapaxes(0, 2)),
        (t[0].t(), A[0].T),
        (t.T, A.T),
        (t.unsqueeze(1), A[:, None]),
        (t.unsqueeze(-1), A[..., None]),
        (t[:1].squeeze(), A[0]),
        (t[:1].squeeze(0), A[0]),
        (t[:1].squeeze((0, 1)), A[0]),
        (t[:1].expand(5, -1, -1), np.broadcast_to(A[:1], (5, 3, 4))),
        (t.flatten(), A.reshape(-1)),
        (t.flatten(1), A.reshape(2, 12)),
        (t.flatten(0, 1), A.reshape(6, 4)),
        (t.view_as(tg.zeros(24)), A.reshape(-1)),
        (t[:1].expand_as(t), np.broadcast_to(A[:1], A.shape)),
    ):
        assert view.tolist() == expected.tolist()
        assert tuple(view.shape) == expected.shape
        assert view.data_ptr() == t.data_ptr()
    copied = t.T.reshape(-1)
    assert copied.tolist() == A.T.reshape(-1).tolist()
    assert copied.data_ptr() != t.data_ptr()
    assert t.contiguous() is t
    assert t.T.contiguous().tolist() == A.T.tolist()
    assert tg.tensor(1.0).flatten().shape == (1,)
    assert t.clone().data_ptr() != t.data_ptr()


def test_conversions() -> None:
    t = tg.tensor([0.0, 1.7, -1.7])
    assert t.to(tg.float32) is t
    assert t.to(tg.float32, copy=True) is not t
    assert t.long().tolist() == [0, 1, -1]
    assert t.int().dtype is tg.int32
    assert t.bool().tolist() == [False, True, True]
    assert t.double().dtype is t.to("cpu", tg.float64).dtype is tg.float64
    assert t.to(tg.zeros(1, dtype=tg.int64)).dtype is t.type(tg.int64).dtype is tg.int64
    assert t.half().float().tolist() == np.array([0, 1.7, -1.7], "f2").astype("f4").tolist()
    assert t.bfloat16().float()[1].item() == 1.703125
    assert t.zero_() is t
    assert t.fill_(3) is t
    assert t.copy_(tg.ones(3, dtype=tg.int64)).tolist() == [1, 1, 1]


# ---- methods and functions of the table


def test_rows_are_methods_and_functions() -> None:
    x = tg.tensor([[1.0, -2.0], [3.0, 4.0]])
    assert x.relu().tolist() == tg.relu(x).tolist() == tg.ops.relu(x).tolist()
    assert x.sum(0).tolist() == tg.sum(x, dim=0).tolist() == x.sum(axis=0).tolist() == [4, 2]
    assert x.sum((0, 1), keepdims=True).shape == (1, 1)
    assert tg.sum(input=x, dim=[1]).tolist() == [-1, 7]
    assert x.clamp(min=0).tolist() == [[1, 0], [3, 4]]
    y = x.clone()
    assert y.relu_() is y
    assert y.tolist() == [[1, 0], [3, 4]]
    assert y.mul_(2) is y
    assert x.where(x > 0, 0.0).tolist() == [[1, 0], [3, 4]]
    assert not hasattr(x, "native_cross_entropy")
    assert not hasattr(x, "relu_backward")
    assert repr(tg.ops.relu) == "<trigrad op relu>"
    assert tg.Tensor.relu(x).tolist() == x.relu().tolist()
    assert tg.ops.sum.__text_signature__ == "(input, dim=None, keepdim=False, dtype=None)"


def test_extrema() -> None:
    a = np.array([[1.0, 5.0, 5.0], [7.0, 3.0, 7.0]], "f4")
    x = tg.tensor(a)
    assert x.max().item() == 7
    values, indices = x.max(1)
    assert (values.tolist(), indices.tolist()) == ([5, 7], [1, 0])
    assert x.min(dim=0, keepdim=True).values.tolist() == [[1, 3, 5]]
    assert tg.max(x, x.flatten()[3]).tolist() == np.maximum(a, 7).tolist()
    assert tg.min(x, tg.tensor(4.0)).tolist() == np.minimum(a, 4).tolist()
    assert x.argmax().item() == 3
    assert x.argmin(dim=1).tolist() == [0, 1]


def test_any_all_std_and_closeness() -> None:
    x = tg.tensor([[0.0, 1.0], [2.0, 4.0]])
    assert (x.any(1).tolist(), x.all(1).tolist(), x.all().item()) == ([True, True], [False, True], False)
    assert (tg.zeros(0).any().item(), tg.zeros(0).all().item()) == (False, True)
    np.testing.assert_allclose(x.std(0).numpy(), np.std(x.numpy(), 0, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(x.var(unbiased=False).item(), np.var(x.numpy()), rtol=1e-6)
    inf = tg.tensor([float("inf"), float("nan"), 1.0])
    assert tg.isclose(inf, inf).tolist() == [True, False, True]
    assert tg.isclose(inf, inf, equal_nan=True).all()
    assert not tg.equal(x, x[0])
    assert tg.allclose(x, x * (1 + 1e-6))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(5,), (4, 5), (3, 5, 2), (3, 5, 2, 4)])
def test_cross_entropy_of_all_shapes_as_torch(shape: tuple[int, ...], reduction: Any) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape).astype("f4")
    target = np.asarray(rng.integers(0, 5, shape[:1] + shape[2:] if len(shape) > 1 else ()))
    if target.ndim:
        target.flat[0] = 2
    weight = rng.random(5).astype("f4")
    for options in ({}, {"weight": weight}, {"label_smoothing": 0.1}, {"weight": weight, "ignore_index": 2}):
        if not target.ndim and "ignore_index" in options:
            continue

        def load(f: Any, options: dict[str, Any] = options) -> dict[str, Any]:
            return {k: f(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}

        ours = tg.cross_entropy(tg.tensor(x), tg.tensor(target), reduction=reduction, **load(tg.tensor))
        theirs = torch.nn.functional.cross_entropy(
            torch.tensor(x), torch.tensor(target), reduction=reduction, **load(torch.tensor)
        )
        assert tuple(ours.shape) == tuple(theirs.shape)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-6, atol=1e-6)


def test_losses_and_normalisation_as_torch() -> None:
    torch = pytest.importorskip("torch", reason="compares with torch")
    F = torch.nn.functional
    rng = np.random.default_rng(2)
    x, t, w, p = (rng.random((6, 3)).astype("f4") for _ in range(4))
    np.testing.assert_allclose(
        tg.binary_cross_entropy_with_logits(*map(tg.tensor, (x, t, w)), "sum", tg.tensor(p[0])).item(),
        F.binary_cross_entropy_with_logits(
            *map(torch.tensor, (x, t, w)), reduction="sum", pos_weight=torch.tensor(p[0])
        ).item(),
        rtol=1e-5,
    )
    ours, theirs = [], []
    for lib, norm, out in ((tg, tg.batch_norm, ours), (torch, F.batch_norm, theirs)):
        mean, var = lib.zeros(3), lib.ones(3)
        out.append(norm(lib.tensor(x), mean, var, lib.tensor(w[0]), lib.tensor(p[0]), True, 0.3))
        out += [mean, var, norm(lib.tensor(x), mean, var)]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        tg.softmax(tg.tensor([1, 2]), 0, dtype=tg.float64).numpy(),
        torch.softmax(torch.tensor([1, 2]), 0, dtype=torch.float64).numpy(),
    )


def test_rows_return_the_very_view_that_they_wrote() -> None:
    statistics = tg.zeros(2, 3)
    mean, var = statistics[0], statistics[1]
    out = tg.ops.native_batch_norm(tg.randn(5, 3), mean, var, training=True)
    assert out[3] is mean
    assert out[4] is var


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "argmin", "var", "std", "any", "all", "max", "min"])
def test_reductions_take_numpys_names(name: str) -> None:
    x = tg.tensor([[1.0, 5.0, 2.0], [7.0, 3.0, 0.0]])
    want, got = (getattr(tg, name)(x, **k) for k in ({"dim": 1, "keepdim": True}, {"axis": 1, "keepdims": True}))
    if name in ("max", "min"):
        want, got = want.values, got.values
    assert got.shape == (2, 1)
    assert got.tolist() == want.tolist()


@pytest.mark.parametrize("f", [tg.softmax, tg.log_softmax])
def test_softmax_takes_numpys_name(f: Callable[..., tg.Tensor]) -> None:
    x = tg.tensor([[1.0, 5.0, 2.0]])
    assert f(x, axis=1).tolist() == f(x, 1).tolist() != f(x, 0).tolist()
