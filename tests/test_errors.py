"""Errors of the Python surface: type, op, got, expected, remedy. A call that raises has changed nothing."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import _core

X = tg.ones(2, 3)
I = tg.arange(3)
ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)

CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # ---- arguments
    (lambda: tg.relu(), TypeError, "[relu] input is missing: relu(input)"),
    (
        lambda: tg.relu([1.0]),
        TypeError,
        "[relu] input is a list, expected a trigrad.Tensor; make one with trigrad.tensor(data)",
    ),
    (lambda: tg.relu(2.0), TypeError, "[relu] input is a float, expected a trigrad.Tensor"),
    (
        lambda: tg.exp(np.ones(2)),
        TypeError,
        "[exp] input is a numpy.ndarray, expected a trigrad.Tensor; make one with trigrad.from_numpy(array)",
    ),
    (lambda: tg.add(1, 2), TypeError, "[add] input is a int, expected a trigrad.Tensor"),
    (lambda: tg.relu(X, 1, 2), TypeError, "[relu] got 3 arguments, expected at most 1: relu(input)"),
    (
        lambda: X.sum(dims=0),
        TypeError,
        "[sum] has no parameter 'dims': sum(input, dim=None, keepdim=False, dtype=None)",
    ),
    (lambda: tg.sum(X, 0, dim=0), TypeError, "[sum] got dim twice"),
    (lambda: X.sum(1.5), TypeError, "[sum] dim is a float, expected an integer or a tuple of integers"),
    (lambda: X.sum("a"), TypeError, "[sum] dim is a str, expected an integer or a tuple of integers"),
    (lambda: X.sum(0, "yes"), TypeError, "[sum] keepdim is a str, expected True or False"),
    (lambda: X.sum(dtype="nonsense"), TypeError, "[sum] dtype is a str, expected a dtype such as trigrad.float32"),
    (lambda: tg.dense(X, X, None, 3), TypeError, "[dense] activation is a int, expected a string"),
    (lambda: X + 2**64, RuntimeError, "an integer does not fit: expected -2**63 to 2**63 - 1; pass a float"),
    (lambda: X.flatten(wrong=1), TypeError, "[flatten] has no parameter 'wrong'"),
    # ---- lists that hold themselves
    (lambda: X.reshape(ENDLESS), TypeError, "[reshape] shape is a list, expected an integer"),
    (lambda: tg.zeros(ENDLESS), TypeError, "size is a list, expected an integer"),
    (lambda: X.sum(ENDLESS), TypeError, "[sum] dim is a list, expected an integer"),
    # ---- rows that a Python function wraps speak under its name
    (lambda: tg.dropout(I), TypeError, "[dropout] input"),
    (lambda: tg.ops.native_bernoulli(I, 0, 0, 0), TypeError, "[bernoulli] input"),
    # ---- words
    (
        lambda: tg.dense(X, X, None, "sum"),
        ValueError,
        "[dense] activation is 'sum', expected 'identity' or a pointwise op",
    ),
    (lambda: tg.dense(X, X, None, "nonsense"), ValueError, "[dense] activation is 'nonsense', expected 'identity'"),
    # ---- operators
    (
        lambda: I**-1,
        RuntimeError,
        "[pow] got the exponent -1 for int64, expected 0 or more: "
        "Integers to negative integer powers are not allowed; cast to a float first, with .float()",
    ),
    (lambda: I.pow(-2), RuntimeError, "[pow] got the exponent -2 for int64"),
    (lambda: tg.ones(1, dtype=tg.uint8).pow_(-2), RuntimeError, "[pow] got the exponent -2 for uint8"),
    (lambda: operator.ipow(I, -2), RuntimeError, "[pow] got the exponent -2 for int64"),
    (lambda: tg.softmax(X, dim=0, axis=1), TypeError, "[softmax] got dim twice"),
    (lambda: X + "a", TypeError, "unsupported operand type(s) for +"),
    (lambda: X @ 2, TypeError, "unsupported operand type(s) for @"),
    (lambda: pow(X, 2, 3), TypeError, "[pow] a modulus is not supported; take the remainder afterwards"),
    (lambda: ~X, TypeError, "[invert] got float32, expected integers or bool; compare first"),
    (lambda: X & X, NotImplementedError, "[bitwise_and] got float32, expected integers or bool; cast them first"),
    (lambda: I & 1.5, NotImplementedError, "[bitwise_and] got float32, expected integers or bool"),
    (lambda: X << 1, NotImplementedError, "[bitwise_left_shift] got float32, expected integers; cast them first"),
    (lambda: (X > 0) >> True, TypeError, "[bitwise_right_shift] got bool, expected a number type"),
    # ---- elementwise
    (lambda: tg.add(I, I, alpha=0.5), RuntimeError, "[add] got alpha=0.5 for integers, expected an integer"),
    (lambda: tg.div(X, 2, rounding_mode="up"), RuntimeError, "[div] got rounding_mode='up', expected None, 'trunc' or"),
    (lambda: tg.div(I, 0, rounding_mode="trunc"), RuntimeError, "div_trunc] integer division by zero"),
    (lambda: tg.round(I, decimals=1), NotImplementedError, "[round] got decimals for trigrad.int64, expected floats"),
    (lambda: tg.lerp(X, X.double(), 0.5), RuntimeError, "[lerp] end is trigrad.float64, expected trigrad.float32"),
    (lambda: tg.clamp(X), RuntimeError, "[clamp] got neither min nor max, expected at least one"),
    (lambda: tg.addcdiv(X, I, I), RuntimeError, "[addcdiv] got two integer tensors, expected one of floats"),
    (lambda: tg.gelu(X, "erf"), RuntimeError, "[gelu] got approximate='erf', expected 'none' or 'tanh'"),
    (lambda: tg.celu(X, 0.0), RuntimeError, "[celu] alpha is 0, expected another number"),
    (lambda: tg.softshrink(X, -1.0), RuntimeError, "[softshrink] lambd is -1, expected 0 or more"),
    (
        lambda: tg.hardtanh(X, 1.0, -1.0),
        ValueError,
        "[hardtanh] min_val is 1 and max_val -1, expected min_val not above",
    ),
    (lambda: I.clamp_(0.5), RuntimeError, "[clamp_] result type trigrad.float32 can't be cast to the tensor's type"),
    (lambda: X.lerp_(tg.ones(4, 2, 3), 0.5), RuntimeError, "[lerp_] the result has shape (4, 2, 3)"),
    (
        lambda: tg.dense(X, X, None, "threshold"),
        TypeError,
        "[dense] activation 'threshold' needs a number for threshold",
    ),
    (lambda: bool(X), RuntimeError, "[bool] the truth of a tensor with more than one value is ambiguous: shape (2, 3)"),
    (lambda: bool(tg.zeros(0)), RuntimeError, "[bool] the truth of a tensor with no value is ambiguous"),
    (lambda: float(X), RuntimeError, "[float] got a tensor of shape (2, 3), expected exactly one element"),
    (
        lambda: X.item(),
        RuntimeError,
        "[item] got a tensor of shape (2, 3), expected exactly one element; index it or reduce it first, or use .tolist()",
    ),
    (
        lambda: [1, 2][tg.tensor(1.0)],
        TypeError,
        "[index] got float32 of shape (), expected an integer tensor of one element",
    ),
    (lambda: int(tg.tensor(float("nan"))), ValueError, "cannot convert float NaN to integer"),
    (lambda: X + tg.ones(2), RuntimeError, "[add] shapes (2, 3) and (2,) cannot be broadcast"),
    # ---- indexing
    (lambda: X[2], IndexError, "[getitem] index 2 is out of range for dimension 0 of length 2"),
    (lambda: X[0, 0, 0], IndexError, "[getitem] got 3 indices for a tensor of 2 dimensions, shape (2, 3)"),
    (lambda: tg.tensor(1.0)[0], IndexError, "[getitem] a 0-d tensor has no dimension to index; use .item()"),
    (lambda: X[..., ...], IndexError, "[getitem] got ... twice"),
    (lambda: X[tg.tensor([0, 2])], IndexError, "[getitem] index 2 is out of range for dimension 0 of length 2"),
    (
        lambda: X.__setitem__((0, [-4]), 1),
        IndexError,
        "[setitem] index -4 is out of range for dimension 0 of length 3, expected -3 to 2",
    ),
    (lambda: X[tg.zeros(0, 3) > 0], IndexError, "[getitem] the mask has shape (0, 3), expected that of the indexed"),
    (lambda: X[[True]], IndexError, "[getitem] the mask has shape (1,), expected that of the indexed dimensions"),
    (lambda: X[tg.ones(2)], IndexError, "[getitem] got an index of float32, expected integers or bool"),
    (
        lambda: X[tg.ones(2, dtype=tg.uint8)],
        IndexError,
        "[getitem] got an index of uint8, which may stand for a mask or for indices",
    ),
    (lambda: X[[0], [0], [0]], IndexError, "[getitem] got 3 indices for a tensor of 2 dimensions, shape (2, 3)"),
    (lambda: X[[0, 1], [0, 1, 2]], IndexError, "[getitem] shapes (2,) and (3,) cannot be broadcast"),
    (lambda: X[1.0], IndexError, "[getitem] got a float, expected integers, slices, None, ..., masks, or arrays"),
    (
        lambda: X.__setitem__([0], tg.ones(2)),
        RuntimeError,
        "[setitem] values (2,) do not broadcast to the places they are written to, (1, 3)",
    ),
    (
        lambda: X.__setitem__([0], tg.ones(3).double()),
        RuntimeError,
        "[setitem] values is float64, expected the dtype of the input, float32; cast it with .to(float32)",
    ),
    (lambda: X.index_put_(0, 1), TypeError, "[index_put_] indices is a int, expected a tuple of tensors"),
    (lambda: X.index_put_(([0],), 1), TypeError, "[index_put_] indices holds a list, expected tensors"),
    (lambda: X[::0], ValueError, "slice step cannot be zero"),
    (lambda: X.__setitem__(0, "a"), TypeError, "[setitem] got a str, expected a number, a Tensor or a numpy array"),
    (
        lambda: X.__setitem__(0, tg.ones(2)),
        RuntimeError,
        "[copy_] shapes (3,) and (2,) cannot be broadcast: at dimension -1 got 3 and 2",
    ),
    (lambda: X.__delitem__(0), TypeError, "[setitem] elements cannot be deleted"),
    (lambda: len(tg.tensor(1.0)), TypeError, "[len] a 0-d tensor has no length"),
    (lambda: iter(tg.tensor(1.0)), TypeError, "[iter] a 0-d tensor cannot be iterated over"),
    # ---- views
    (lambda: X.view(4), RuntimeError, "[view] shape (4,) does not fit the 6 elements of (2, 3)"),
    (
        lambda: X.T.view(6),
        RuntimeError,
        "[view] shape (6,) needs a copy: the tensor has shape (3, 2) and strides (1, 3), expected one whose axes lie behind each other; use .reshape()",
    ),
    (lambda: X.view(-1, -1), RuntimeError, "[view] only one length of (-1, -1) may be -1"),
    (lambda: X.permute(0, 0), RuntimeError, "[permute] dim 0 appears twice"),
    (lambda: X.transpose(0, 2), IndexError, "[transpose] dim 2 is out of range: expected -2 to 1"),
    (lambda: X.transpose(0), TypeError, "[transpose] expected two dimensions"),
    (lambda: tg.zeros(1, 1, 1).t(), RuntimeError, "[t] got shape (1, 1, 1), expected at most 2 dimensions"),
    (lambda: I.mT, RuntimeError, "[mT] got shape (3,), expected at least 2 dimensions"),
    (lambda: X.expand(4, 3), RuntimeError, "[expand] cannot expand (2, 3) to (4, 3)"),
    (lambda: X.flatten(1, 0), RuntimeError, "[flatten] start_dim 1 comes after end_dim 0"),
    (lambda: X.reshape(*[1] * 9), ValueError, "[reshape] shape has 9 entries, but a tensor has at most 8 dimensions"),
    # ---- creation
    (lambda: tg.tensor([[1], [2, 3]]), ValueError, "[tensor] expected sequence of length 1 at dim 1 (got 2)"),
    (lambda: tg.tensor([[1], 2]), TypeError, "[tensor] got a int at dim 1 where other rows have a sequence of 1"),
    (lambda: tg.tensor([1, [2]]), TypeError, "[tensor] got a list where other rows have a number"),
    (
        lambda: tg.tensor(["a"]),
        TypeError,
        "[tensor] got a str, expected a number, a numpy array, or nested lists of numbers",
    ),
    (lambda: tg.tensor([1j]), TypeError, "[tensor] got a complex"),
    (
        lambda: tg.tensor([300], dtype=tg.uint8),
        RuntimeError,
        "[tensor] 300 does not fit uint8, expected 0 to 2**8 - 1; choose a wider dtype",
    ),
    (
        lambda: tg.zeros(2, dtype=tg.uint8).fill_(300),
        RuntimeError,
        "[fill_] 300 does not fit uint8, expected 0 to 2**8",
    ),
    (
        lambda: tg.full((2,), -1, dtype=tg.uint32),
        RuntimeError,
        "[full] -1 does not fit uint32, expected 0 to 2**32 - 1",
    ),
    (
        lambda: I.__setitem__(0, float("nan")),
        RuntimeError,
        "[setitem] nan does not fit int64, expected -2**63 to 2**63",
    ),
    (lambda: I.copy_(1e30), RuntimeError, "[copy_] 1e+30 does not fit int64"),
    (lambda: tg.tensor([float("inf")], dtype=tg.int64), RuntimeError, "[tensor] inf does not fit int64"),
    (
        lambda: tg.Tensor(1.5),
        TypeError,
        "[Tensor] got a float, expected lengths, a sequence or an array; use tensor(data)",
    ),
    (
        lambda: tg.Tensor(tg.ones(2).double()),
        TypeError,
        "[Tensor] got a tensor of trigrad.float64, expected trigrad.float32",
    ),
    (lambda: tg.LongTensor(2, 1.5), TypeError, "[empty] size is a float, expected an integer"),
    (lambda: type(tg.float32)(), TypeError, "[dtype] the dtypes are fixed"),
    (lambda: tg.zeros(-1), RuntimeError, "a dimension cannot be negative: shape (-1,)"),
    (lambda: tg.zeros(2, 1.5), TypeError, "[zeros] size is a float, expected an integer"),
    (lambda: tg.empty(2**40, 2**40), MemoryError, "has more elements than a 64-bit integer can count"),
    (lambda: tg.empty(65, 2**63 - 1, 0), MemoryError, "has more elements than a 64-bit integer can count"),
    (lambda: tg.empty(0).expand(65, 2**63 - 1, 0), MemoryError, "has more elements than a 64-bit integer can count"),
    (lambda: tg.empty(0).reshape(0, 65, 2**63 - 1), MemoryError, "has more elements than a 64-bit integer can count"),
    (lambda: tg.empty(2**62, dtype=tg.float64), MemoryError, "needs more bytes than a 64-bit integer can count"),
    (lambda: tg.empty(2**50), MemoryError, "cannot allocate"),
    (lambda: tg.zeros(1, dtype=np.complex64), TypeError, "dtype is numpy's <c8, which trigrad does not have"),
    (lambda: tg.arange(3, 0), RuntimeError, "[arange] step 1 leads from 3 away from 0, expected the other sign"),
    (lambda: tg.arange(0, 1, 0), RuntimeError, "[arange] step is 0"),
    (lambda: tg.arange(float("nan")), RuntimeError, "expected a finite number"),
    (lambda: tg.linspace(0, 1, -1), RuntimeError, "[linspace] steps is -1"),
    # ---- devices
    (
        lambda: tg.zeros(1, device="cuda:99"),
        RuntimeError,
        "[zeros] device is 'cuda:99', ",
    ),
    (lambda: X.to("cuda:99"), RuntimeError, "[to] device is 'cuda:99'"),
    (lambda: tg.device("tpu"), RuntimeError, "[device] got 'tpu', expected 'cpu' or 'cuda'"),
    (lambda: setattr(tg.device("cpu"), "type", "cuda"), AttributeError, "[device] a device cannot be changed"),
    # ---- functions
    (
        lambda: tg.cross_entropy(X, tg.tensor([0, 1, 2])),
        ValueError,
        "[cross_entropy] target has shape (3,), expected (2,) for input (2, 3)",
    ),
    (lambda: tg.dropout(X, 1.5), ValueError, "[dropout] p is 1.5, expected a probability from 0 to 1"),
    (lambda: tg.var(X, unbiased=True, correction=1), TypeError, "[var] got unbiased and correction"),
    (lambda: tg.normal(0.0, 1.0), TypeError, "[normal] size is missing"),
    (lambda: tg.normal(X, -X), RuntimeError, "[normal] std has a negative element"),
    (lambda: tg.randint(3), TypeError, "[randint] size is missing"),
    (
        lambda: tg.manual_seed(2**64),
        RuntimeError,
        "[manual_seed] got 18446744073709551616, expected -2**63 to 2**64 - 1",
    ),
    (
        lambda: tg.Generator().set_state(X),
        RuntimeError,
        "[set_state] got trigrad.float32 of shape (2, 3), expected uint8 of shape (16,)",
    ),
    (
        lambda: tg.Generator().set_state(tg.tensor([255] * 16, dtype=tg.uint8)),
        RuntimeError,
        "[set_state] got step 18446744073709551615, expected 0 to 2**63 - 1",
    ),
    (lambda: tg.set_num_threads(0), ValueError, "[set_num_threads] got 0, expected 1 to"),
    (lambda: _core.set_isa("mmx"), ValueError, "is 'mmx', expected one of"),
    (lambda: _core.call("conv9d", []), ValueError, "[call] the op table has no row 'conv9d'"),
    (lambda: _core.call("relu", [X, X]), TypeError, "[relu] got 2 tensors and 0 attributes"),
    (lambda: _core.from_bytes(b"abc", tg.float32, (1,)), ValueError, "[from_bytes] got 3 bytes, expected 4"),
    # ---- in place
    (
        lambda: X.add_(tg.ones(4, 2, 3)),
        RuntimeError,
        "[add_] the result has shape (4, 2, 3) but the tensor it is to overwrite has (2, 3)",
    ),
    (lambda: I.add_(1.5), RuntimeError, "[add_] result type float32 can't be cast to the tensor's type int64"),
    (lambda: tg.ones(1).expand(3).add_(1), RuntimeError, "several elements share"),
    (lambda: tg.Tensor.add_(1.0, X), TypeError, "[add_] writes into a tensor, got a float"),
]


@pytest.mark.parametrize(("call", "kind", "text"), CASES, ids=[text[:50] for _, _, text in CASES])
def test_error(call: Callable[[], Any], kind: type[Exception], text: str) -> None:
    before = (X.tolist(), X._version, I.tolist(), I._version)
    with pytest.raises(kind, match=re.escape(text)) as caught:
        call()
    assert caught.type is kind
    assert (X.tolist(), X._version, I.tolist(), I._version) == before


def test_warnings_name_the_line_that_led_to_them() -> None:
    """Not one of the package's own, whether a function was called or a module, its __call__ and its hooks."""
    a, b = tg.ones(3, 1), tg.ones(3)
    layer = tg.nn.Sequential(tg.nn.Softmax())
    layer.register_forward_hook(lambda *_: None)
    optimizer = tg.optim.SGD([tg.ones(1)], lr=1.0)
    for call in (
        lambda: tg.nn.functional.mse_loss(a, b),
        lambda: tg.nn.MSELoss()(a, b),
        lambda: layer(a),
        lambda: tg.nn.init.kaiming_uniform_(tg.zeros(0, 2)),
        lambda: tg.optim.lr_scheduler.StepLR(optimizer, 2).step(),
        lambda: tg.ones(1, requires_grad=True).exp().backward(create_graph=True),
        lambda: tg.utils.data.random_split([1], [0.5, 0.5]),
    ):
        with pytest.warns(UserWarning, match=r"\w") as caught:
            call()
        assert {w.filename for w in caught} == {__file__}
        assert {w.lineno for w in caught} == {call.__code__.co_firstlineno}
