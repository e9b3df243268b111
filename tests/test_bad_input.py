"""Bad input: the error says op, got, expected and remedy, and the call has changed nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg

ops = tg.ops


def f(*shape: int, dtype: str = "float32") -> Any:
    return tg.from_numpy((np.arange(np.prod(shape, dtype=int)) % 7 + 1).astype(dtype).reshape(shape))


def classes(*values: int) -> Any:
    return tg.from_numpy(np.array(values, dtype=np.int64))


KEY = {"seed": 1, "stream": 0, "step": 0}

# what is called, the exception, the whole text
CASES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    # ---- shapes
    "broadcast": (
        lambda: ops.add(f(2, 3), f(4, 3)),
        RuntimeError,
        "[add] shapes (2, 3) and (4, 3) cannot be broadcast: at dimension -2 got 2 and 4, expected equal lengths or 1; "
        "reshape or unsqueeze one of them",
    ),
    "dense features": (
        lambda: ops.dense(f(64, 12), f(32, 10)),
        RuntimeError,
        "[dense] x has 12 features but weight expects 10: x (64, 12), weight (32, 10); check the layer's in_features",
    ),
    "dense bias": (
        lambda: ops.dense(f(6, 3), f(4, 3), f(3)),
        RuntimeError,
        "[dense] bias has shape (3,), expected (4,) to match weight (4, 3)",
    ),
    "dense weight rank": (
        lambda: ops.dense(f(6, 3), f(3)),
        RuntimeError,
        "[dense] weight has shape (3,), expected 2 dimensions (out features, in features)",
    ),
    "dense activation": (
        lambda: ops.dense(f(6, 3), f(4, 3), None, "swoosh"),
        ValueError,
        "[dense] activation is 'swoosh', expected 'identity' or a pointwise op of one tensor, such as 'relu', 'tanh' or 'sigmoid'",
    ),
    "dense activation of two": (
        lambda: ops.dense(f(6, 3), f(4, 3), None, "add"),
        ValueError,
        "[dense] activation is 'add', expected 'identity' or a pointwise op of one tensor, such as 'relu', 'tanh' or 'sigmoid'",
    ),
    "matmul": (
        lambda: ops.matmul(f(2, 3), f(4, 3)),
        RuntimeError,
        "[matmul] the inner lengths differ: (2, 3) @ (4, 3) multiplies 3 by 4, expected equal; transpose one of them?",
    ),
    "matmul 0-d": (
        lambda: ops.matmul(f(), f(3)),
        RuntimeError,
        "[matmul] got shapes () and (3,), expected at least one dimension each",
    ),
    "softmax dim": (
        lambda: ops.softmax(f(2, 3), 2),
        IndexError,
        "[softmax] dim 2 is out of range: expected -2 to 1 for a tensor of 2 dimensions",
    ),
    "sum dim": (
        lambda: ops.sum(f(2, 3), -3),
        IndexError,
        "[sum] dim -3 is out of range: expected -2 to 1 for a tensor of 2 dimensions",
    ),
    "sum dim twice": (
        lambda: ops.sum(f(2, 3), (1, -1)),
        RuntimeError,
        "[sum] dim 1 appears twice in dim=(1, -1)",
    ),
    "cross entropy rows": (
        lambda: ops.native_cross_entropy(f(3, 4), classes(0, 1)),
        RuntimeError,
        "[cross_entropy] target has shape (2,), expected (3,) for input (3, 4)",
    ),
    "bce target": (
        lambda: ops.binary_cross_entropy_with_logits(f(3, 1), f(3)),
        ValueError,
        "[binary_cross_entropy_with_logits] target has shape (3,), expected that of the input, (3, 1)",
    ),
    "batch norm channels": (
        lambda: ops.native_batch_norm(f(5, 3), f(4), f(4)),
        RuntimeError,
        "[batch_norm] running_mean has shape (4,), expected (3,) for input (5, 3)",
    ),
    "batch norm one row": (
        lambda: ops.native_batch_norm(f(1, 3), training=True),
        ValueError,
        "[batch_norm] training needs more than 1 value per channel, got input (1, 3)",
    ),
    "batch norm without statistics": (
        lambda: ops.native_batch_norm(f(5, 3)),
        ValueError,
        "[batch_norm] evaluation needs running_mean and running_var; pass them, or training=True",
    ),
    "copy": (
        lambda: f(3).copy_(f(4)),
        RuntimeError,
        "[copy_] shapes (3,) and (4,) cannot be broadcast: at dimension -1 got 3 and 4, expected equal lengths or 1; "
        "reshape or unsqueeze one of them",
    ),
    "copy that would grow": (
        lambda: f(3).copy_(f(2, 3)),
        RuntimeError,
        "[copy_] source (2, 3) does not broadcast to the destination (3,)",
    ),
    "in place that would grow": (
        lambda: f(3).add_(f(2, 3)),
        RuntimeError,
        "[add_] the result has shape (2, 3) but the tensor it is to overwrite has (3,)",
    ),
    "view": (
        lambda: f(2, 3).view(4, 2),
        RuntimeError,
        "[view] shape (4, 2) does not fit the 6 elements of (2, 3)",
    ),
    "view that needs a copy": (
        lambda: f(2, 3).t().view(6),
        RuntimeError,
        "[view] shape (6,) needs a copy: the tensor has shape (3, 2) and strides (1, 3), expected one whose axes lie behind "
        "each other; use .reshape()",
    ),
    "expand": (
        lambda: f(2, 3).expand(4, 3),
        RuntimeError,
        "[expand] cannot expand (2, 3) to (4, 3): dimension 0 has length 2, expected 4 or 1",
    ),
    "too many dimensions": (
        lambda: tg.zeros(1, 1, 1, 1, 1, 1, 1, 1, 1),
        ValueError,
        "[zeros] size has 9 entries, but a tensor has at most 8 dimensions",
    ),
    "index": (
        lambda: f(2, 3)[2],
        IndexError,
        "[getitem] index 2 is out of range for dimension 0 of length 2",
    ),
    # ---- dtypes
    "mixed dtypes": (
        lambda: ops.dense(f(6, 3), f(4, 3, dtype="float64")),
        TypeError,
        "[dense] inputs 0 and 1 are float32 and float64, expected one dtype; cast one of them with .to()",
    ),
    "integers": (
        lambda: ops.softmax(f(6, 3, dtype="int64"), 1),
        TypeError,
        "[softmax] input 0 is int64, expected float32 or float64; cast it with .float()",
    ),
    "mean of integers": (
        lambda: ops.mean(f(3, dtype="int64")),
        RuntimeError,
        "[mean] got int64, expected a floating dtype; cast it with .float() or pass dtype=",
    ),
    "float targets": (
        lambda: ops.native_cross_entropy(f(3, 4), f(3)),
        TypeError,
        "[cross_entropy] target is float32, expected class indices of an integer dtype; cast it with .to(int64)",
    ),
    "storage dtype": (
        lambda: ops.add(f(3).to(tg.float16), f(3)),
        TypeError,
        "[add] got float16, which is storage only; expected a compute dtype: cast it first, for instance .to(float32)",
    ),
    "condition": (
        lambda: ops.where(f(3), f(3), f(3)),
        TypeError,
        "[where] condition is float32, expected bool; compare first, for instance condition != 0",
    ),
    "bool arithmetic": (
        lambda: ops.sub(f(3) > 1, f(3) > 2),
        TypeError,
        "[sub] got bool, expected a number type; cast it first, for instance .to(int64)",
    ),
    "in place down a category": (
        lambda: f(3, dtype="int64").add_(0.5),
        RuntimeError,
        "[add_] result type float32 can't be cast to the tensor's type int64; use the out-of-place op",
    ),
    # ---- values
    "class out of range": (
        lambda: ops.native_cross_entropy(f(3, 4), classes(0, 4, 1)),
        IndexError,
        "[cross_entropy] target[1] is 4, expected a class from 0 to 3, or ignore_index -100; check the labels against the "
        "number of outputs",
    ),
    "negative class": (
        lambda: ops.native_cross_entropy(f(3, 4), classes(0, -1, 1)),
        IndexError,
        "[cross_entropy] target[1] is -1, expected a class from 0 to 3, or ignore_index -100; check the labels against the "
        "number of outputs",
    ),
    "reduction": (
        lambda: ops.native_cross_entropy(f(3, 4), classes(0, 1, 2), reduction="average"),
        ValueError,
        "[cross_entropy] reduction is 'average', expected 'none', 'mean' or 'sum'",
    ),
    "label smoothing": (
        lambda: ops.native_cross_entropy(f(3, 4), classes(0, 1, 2), label_smoothing=1.5),
        ValueError,
        "[cross_entropy] label_smoothing is 1.5, expected 0 to 1",
    ),
    "empty max": (
        lambda: ops.amax(f(0, 3), 0),
        IndexError,
        "[amax] got an empty reduction: input (0, 3) has no element to choose from, expected at least one; check the shape before",
    ),
    "empty argmax": (
        lambda: ops.argmax(f(0)),
        IndexError,
        "[argmax] got an empty reduction: input (0,) has no element to choose from, expected at least one; check the shape before",
    ),
    "probability": (
        lambda: ops.native_dropout(f(3), p=1.5, **KEY),
        ValueError,
        "[dropout] p is 1.5, expected a probability from 0 to 1",
    ),
    "probability that is NaN": (
        lambda: ops.native_dropout(f(3), p=float("nan"), **KEY),
        ValueError,
        "[dropout] p is nan, expected a probability from 0 to 1",
    ),
    "uniform": (
        lambda: ops.uniform((3,), 2.0, 1.0, **KEY),
        RuntimeError,
        "[uniform] low 2 and high 1: expected low <= high, both finite",
    ),
    "integers low": (
        lambda: ops.integers((3,), 5, 5, **KEY),
        RuntimeError,
        "[integers] low 5 and high 5: expected low < high",
    ),
    "normal": (
        lambda: ops.normal((3,), 0.0, -1.0, **KEY),
        RuntimeError,
        "[normal] std is -1, expected 0 or more",
    ),
    "eps": (
        lambda: ops.native_batch_norm(f(5, 3), f(3), f(3), training=True, eps=0.0),
        ValueError,
        "[batch_norm] eps is 0, expected a positive number",
    ),
    "eps in evaluation": (
        lambda: ops.native_batch_norm(f(5, 3), f(3), f(3), eps=-1.0),
        ValueError,
        "[batch_norm] eps is -1, expected 0 or more",
    ),
    "integer division by zero": (
        lambda: ops.floor_divide(f(3, dtype="int64"), tg.zeros(3, dtype=tg.int64)),
        RuntimeError,
        "[floor_divide] integer division by zero: element 0 of other (3,) is 0, expected none; replace zeros with where(), or "
        "divide as floating point",
    ),
    # ---- arguments
    "missing argument": (lambda: ops.softmax(f(2, 3)), TypeError, "[softmax] dim is missing: softmax(input, dim)"),
    "unknown keyword": (
        lambda: ops.softmax(f(2, 3), dimension=1),
        TypeError,
        "[softmax] has no parameter 'dimension': softmax(input, dim)",
    ),
    "a list for a tensor": (
        lambda: ops.exp([1.0, 2.0]),
        TypeError,
        "[exp] input is a list, expected a trigrad.Tensor; make one with trigrad.tensor(data)",
    ),
    "an array for a tensor": (
        lambda: ops.exp(np.ones(3)),
        TypeError,
        "[exp] input is a numpy.ndarray, expected a trigrad.Tensor; make one with trigrad.from_numpy(array)",
    ),
    "a word for a number": (
        lambda: ops.softmax(f(2, 3), "rows"),
        TypeError,
        "[softmax] dim is a str, expected an integer",
    ),
    "a fraction for an integer": (
        lambda: ops.softmax(f(2, 3), 1.5),
        TypeError,
        "[softmax] dim is a float, expected an integer",
    ),
    # ---- arrays
    "objects": (
        lambda: tg.from_numpy(np.array([1, None], dtype=object)),
        TypeError,
        "[from_numpy] got an array of objects (format 'O'), expected bool, int8 to int64, uint8 to uint32 or float16 to float64; "
        "convert it with array.astype('float64')",
    ),
    "complex": (
        lambda: tg.from_numpy(np.ones(3, complex)),
        TypeError,
        "[from_numpy] got an array of complex numbers (format 'Zd'), expected bool, int8 to int64, uint8 to uint32 or float16 "
        "to float64; pass array.real and array.imag",
    ),
    "foreign byte order": (
        lambda: tg.from_numpy(np.ones(3, ">f4")),
        TypeError,
        "[from_numpy] got an array in foreign byte order ('>f'), expected the machine's own; convert it with "
        "array.astype(array.dtype.newbyteorder('='))",
    ),
    "uint64": (
        lambda: tg.from_numpy(np.ones(3, "uint64")),
        TypeError,
        "[from_numpy] got an array of uint64 (format 'L'), expected bool, int8 to int64, uint8 to uint32 or float16 to float64; "
        "convert it with array.astype('int64')",
    ),
    "records": (
        lambda: tg.from_numpy(np.ones(3, [("a", "f4"), ("b", "i1")])["a"]),
        ValueError,
        "[from_numpy] the array's strides 5 at dimension 0 are not a multiple of its 4-byte elements (a field of records?); pass "
        "numpy.ascontiguousarray(array)",
    ),
    "ragged lists": (
        lambda: tg.tensor([[1, 2], [3]]),
        ValueError,
        "[tensor] expected sequence of length 2 at dim 1 (got 1); pad the rows to one length",
    ),
    "strings": (
        lambda: tg.tensor(["a"]),
        TypeError,
        "[tensor] got a str, expected a number, a numpy array, or nested lists of numbers",
    ),
    "read-only": (
        lambda: tg.from_numpy(np.broadcast_to(np.float32(1), (3,))).fill_(2),
        RuntimeError,
        "[fill_] self is read-only (it shares the memory of a read-only array), expected a tensor that can be written; take a "
        ".clone() first",
    ),
    "expanded": (
        lambda: f(1).expand(3).fill_(2),
        RuntimeError,
        "[fill_] self of shape (3,) is an expanded view in which several elements share one memory location, expected one "
        "location each; take a .clone() first",
    ),
    # ---- sizes
    "more elements than an integer counts": (
        lambda: tg.empty(2**40, 2**40),
        MemoryError,
        f"shape ({2**40}, {2**40}) has more elements than a 64-bit integer can count",
    ),
    "more bytes than an integer counts": (
        lambda: tg.empty(2**62),
        MemoryError,
        f"shape ({2**62},) of float32 needs more bytes than a 64-bit integer can count",
    ),
    "more than the address space": (
        lambda: tg.empty(2**58),
        MemoryError,
        f"cannot allocate {2**60} bytes: more than the address space holds",
    ),
    "a result larger than memory": (
        lambda: ops.add(f(1).expand(2**40, 1), f(1).expand(1, 2**40)),
        MemoryError,
        f"shape ({2**40}, {2**40}) has more elements than a 64-bit integer can count",
    ),
    "random of absurd size": (
        lambda: ops.uniform((2**40, 2**40), 0.0, 1.0, **KEY),
        MemoryError,
        f"shape ({2**40}, {2**40}) has more elements than a 64-bit integer can count",
    ),
    "negative size": (lambda: tg.zeros(-1), RuntimeError, "a dimension cannot be negative: shape (-1,)"),
    # ---- devices, threads
    "device": (
        lambda: tg.zeros(3, device="gpu"),
        RuntimeError,
        "[device] got 'gpu', expected 'cpu' or 'cuda', or for instance 'cuda:1'",
    ),
    "no threads": (lambda: tg.set_num_threads(0), ValueError, "[set_num_threads] got 0, expected 1 to 256"),
    "unknown ISA": (
        lambda: tg._core.set_isa("sse9"),
        ValueError,
        f"[set_isa] the name is 'sse9', expected one of: {', '.join(tg._core.available_isas())}",
    ),
    "unknown op": (
        lambda: tg._core.call("sofmax", []),
        ValueError,
        "[call] the op table has no row 'sofmax'; trigrad._core.op_table() lists them",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_text(case: str) -> None:
    function, kind, text = CASES[case]
    with pytest.raises(kind) as caught:
        function()
    assert str(caught.value) == text
    assert type(caught.value) is kind


# ---------------------------------------------------------------- a call that raises has changed nothing


def version(t: Any) -> int:
    return int(t._version)


def refuse(function: Callable[[], Any], *tensors: Any) -> None:
    """The call raises; bytes and versions of the tensors stay."""
    before = [(t.numpy().tobytes(), version(t)) for t in tensors]
    with pytest.raises((RuntimeError, TypeError, ValueError, IndexError, MemoryError)):
        function()
    assert [(t.numpy().tobytes(), version(t)) for t in tensors] == before


def test_versions_do_rise() -> None:
    x = f(3)
    old = version(x)
    x.add_(1)
    assert version(x) > old
    old = version(x)
    x[1:].fill_(5)  # a view writes into the same storage
    assert version(x) > old
    old = version(x)
    x + 1
    assert version(x) == old


def test_in_place_refusals_change_nothing() -> None:
    x, wider, other = f(3), f(2, 3), f(4)
    refuse(lambda: x.add_(wider), x, wider)
    refuse(lambda: x.mul_(other), x, other)
    refuse(lambda: x.copy_(other), x, other)
    refuse(lambda: x.clamp_("a"), x)
    n = f(3, dtype="int64")
    refuse(lambda: n.add_(0.5), n)
    refuse(lambda: n.div_(2), n)
    refuse(lambda: x.__setitem__(slice(0, 2), other), x, other)
    refuse(lambda: x.__setitem__(5, 1.0), x)
    refuse(lambda: x.__setitem__(slice(0, 2), "a"), x)


def test_read_only_and_expanded_memory_is_left_alone() -> None:
    array = np.arange(3, dtype=np.float32)
    array.flags.writeable = False
    x = tg.from_numpy(array)
    refuse(lambda: x.fill_(9), x)
    refuse(lambda: x.add_(1), x)
    refuse(lambda: x.__setitem__(0, 1.0), x)
    base = f(1)
    refuse(lambda: base.expand(4).add_(1), base)
    refuse(lambda: base.expand(4).fill_(1), base)
    refuse(lambda: base.expand(4).copy_(f(4)), base)


def test_running_statistics_survive_a_refusal() -> None:
    mean, var = f(3), f(3)
    for bad in (
        lambda: ops.native_batch_norm(f(1, 3), mean, var, training=True),
        lambda: ops.native_batch_norm(f(5, 4), mean, var, training=True),
        lambda: ops.native_batch_norm(f(5, 3), mean, var, f(4), training=True),
        lambda: ops.native_batch_norm(f(5, 3, dtype="float64"), mean, var, training=True),
        lambda: ops.native_batch_norm(f(5, 3), mean, var, training=True, eps=-1.0),
        lambda: ops.native_batch_norm(f(5, 3), mean, f(1).expand(3), training=True),
        lambda: ops.native_batch_norm(f(5, 3), mean, None, training=True),
    ):
        refuse(bad, mean, var)


def test_classes_are_checked_before_anything_is_computed() -> None:
    x, target = f(200, 4), tg.from_numpy(np.r_[np.zeros(199), 7].astype(np.int64))
    refuse(lambda: ops.native_cross_entropy(x, target), x, target)
    with pytest.raises(IndexError, match="7"):
        ops.native_cross_entropy(x, target)
    with pytest.raises(IndexError, match="7"):
        ops.cross_entropy_backward(tg.tensor(1.0), x, target, f(200), tg.tensor(200.0))
    ops.native_cross_entropy(x, target, ignore_index=7)


def test_integer_division_by_zero_in_place_changes_nothing() -> None:
    x = f(300, dtype="int64")
    zero = tg.from_numpy(np.r_[np.ones(299), 0].astype(np.int64))
    refuse(lambda: x.floor_divide_(zero), x)
    refuse(lambda: x.remainder_(zero), x)


def test_failed_allocation_leaves_memory_as_it_was() -> None:
    in_use = tg._core.memory_stats()["in_use"]
    for _ in range(3):
        with pytest.raises(MemoryError):
            tg.empty(2**58)
        with pytest.raises(RuntimeError):
            ops.add(f(3), f(4))
    assert tg._core.memory_stats()["in_use"] == in_use


# ---------------------------------------------------------------- the environment


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_unknown_isa_is_refused() -> None:
    done = python("import trigrad as tg; tg.ones(3).exp()", TRIGRAD_ISA="mmx")
    names = ", ".join(tg._core.available_isas())
    assert f"ValueError: TRIGRAD_ISA is 'mmx', expected one of: {names}" in done.stderr


def test_an_isa_above_the_machine_is_refused() -> None:
    missing = [i for i in ("avx2", "avx512") if i not in tg._core.available_isas()]
    if not missing:
        pytest.skip("this machine has every instruction set of the build")
    done = python("import trigrad as tg; tg.ones(3).exp()", TRIGRAD_ISA=missing[-1])
    assert f"TRIGRAD_ISA asks for {missing[-1]}, which this machine does not have" in done.stderr


@pytest.mark.parametrize("text", ["0", "-3", "two", "1.5", "1000"])
def test_a_bad_number_of_threads_is_refused(text: str) -> None:
    done = python("import trigrad as tg; tg.get_num_threads()", TRIGRAD_NUM_THREADS=text)
    assert f"ValueError: TRIGRAD_NUM_THREADS is '{text}', expected a whole number from 1 to 256" in done.stderr
