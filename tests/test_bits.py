"""One arithmetic: a result depends on the numbers that go in and on nothing else. Every floating op, bit for bit."""

from __future__ import annotations

import ctypes
import itertools
import json
import math
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import golden
import trigrad as tg
from door import NAMES, TABLE, attributes, bits, call, inputs, overwrites, run, tensor
from samples import ARGUMENTS, NO_FLOATS, large, pointwise, samples
from samples_kernels import BCE
from trigrad import _core
from values import FLOATS, Array, Sample, real, truth, whole

ISAS = _core.available_isas()
THREADS = (1, 2, 3, 4, 8)
WITH_TENSORS = [n for n in NAMES if TABLE[n]["n_tensors"]]


# ---------------------------------------------------------------- instruction sets, threads, processes


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", THREADS)
def test_another_process(isa: str, threads: int, here: golden.Hashes, record: dict[str, str]) -> None:
    """TRIGRAD_ISA and TRIGRAD_NUM_THREADS of a fresh process against this one."""
    found = hashes_of_process({"TRIGRAD_ISA": isa, "TRIGRAD_NUM_THREADS": str(threads)})
    assert not golden.differences(found, here)
    record["bit contract"] = (
        f"{len(TABLE)} ops x {len(FLOATS)} dtypes x {len(ISAS)} ISAs x {len(THREADS)} thread counts x 2 processes = "
        f"{len(TABLE) * len(FLOATS) * len(ISAS) * len(THREADS) * 2} cases, "
        f"each of {sum(map(len, here.values())) / len(here):.0f} calls on average"
    )


@pytest.mark.parametrize("isa", ISAS)
def test_the_same_process(isa: str, here: golden.Hashes) -> None:
    """set_isa and set_num_threads, and back."""
    _core.set_isa(isa)
    for threads in THREADS:
        tg.set_num_threads(threads)
        assert not golden.differences(golden.hashes(), here), f"{threads} threads"


def hashes_of_process(environment: dict[str, str]) -> golden.Hashes:
    done = subprocess.run(
        [sys.executable, golden.__file__, "--print"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def test_the_isa_tables_are_different_code() -> None:
    codes = {isa: _core.testing.kernel_code(isa) for isa in ISAS}
    assert ISAS[0] == "baseline"
    for a, b in itertools.pairwise(ISAS):
        assert codes[a].keys() == codes[b].keys()
        for kernel in codes[a]:
            assert codes[a][kernel] != codes[b][kernel], f"{kernel} of {a} and {b} is the same code"


# ---------------------------------------------------------------- layouts


def strided(a: Array) -> Array:
    """Every second element of an array twice as long in each direction."""
    big = np.zeros([2 * n for n in a.shape], a.dtype)
    view = big[(..., *(slice(None, None, 2) for _ in a.shape))]
    view[...] = a
    return view


def transposed(a: Array) -> Array:
    return np.array(a.T, order="C").T


def swapped(a: Array) -> Array:
    """The last two axes in the other order, the leading ones as they were."""
    return np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2) if a.ndim > 1 else a


def reversed_(a: Array) -> Array:
    flip = (..., *(slice(None, None, -1) for _ in a.shape))
    return np.array(a[flip], order="C")[flip]


def padded(a: Array) -> Array:
    """Rows that lie further apart than they are long, and start in the middle."""
    if a.ndim == 0:
        return a
    big = np.zeros((*a.shape[:-1], a.shape[-1] + 5), a.dtype)
    view = big[..., 3 : 3 + a.shape[-1]]
    view[...] = a
    return view


def misaligned(a: Array) -> Array:
    """Contiguous, but one element past a multiple of 64 bytes."""
    raw = np.zeros(a.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + a.itemsize
    view = raw[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


LAYOUTS = {f.__name__.strip("_"): f for f in (strided, transposed, swapped, reversed_, padded, misaligned)}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", WITH_TENSORS)
def test_layouts(name: str, isa: str) -> None:
    """Each input in each layout, and all inputs in it together, against contiguous copies."""
    _core.set_isa(isa)
    tested = 0
    for dtype in FLOATS:
        picked = [
            s for s in samples(TABLE[name], dtype) if sum(t.size for t in s.tensors if isinstance(t, np.ndarray)) > 4
        ]
        for sample in thinned(picked):
            want = [bits(o) for o in run(name, sample)]
            arrays = [k for k, t in enumerate(sample.tensors) if isinstance(t, np.ndarray)]
            for layout, change in LAYOUTS.items():
                for chosen in [*([k] for k in arrays), arrays] if len(arrays) > 1 else [arrays]:
                    tensors = list(sample.tensors)
                    for k in chosen:
                        tensors[k] = change(tensors[k])
                        np.testing.assert_array_equal(tensors[k], sample.tensors[k])
                    got = run_views(name, Sample(sample.label, tuple(tensors), sample.attrs))
                    assert got == want, f"{name} {dtype} {sample.label}: input {chosen} {layout}"
                    tested += 1
    assert tested > 10


def thinned(picked: list[Sample]) -> list[Sample]:
    """At most 12 samples: the last (they have the ranks and attributes) and some between."""
    return picked if len(picked) <= 12 else picked[-6:] + picked[: -6 : max(1, (len(picked) - 6) // 6)]


def run_views(name: str, sample: Sample) -> list[bytes]:
    """Unlike door.run, what is overwritten keeps its layout."""
    made = inputs(name, sample)
    if overwrites(name):
        made = [t if a is None else tensor(layout_copy(a)) for t, a in zip(made, sample.tensors, strict=True)]
    return [bits(None if t is None else t.numpy()) for t in call(name, made, sample.attrs)]


def layout_copy(a: Array) -> Array:
    """A copy with the same strides."""
    low = sum(min(0, s * (n - 1)) for s, n in zip(a.strides, a.shape, strict=True))
    high = sum(max(0, s * (n - 1)) for s, n in zip(a.strides, a.shape, strict=True))
    if a.size == 0:
        return a.copy()
    raw = np.zeros(high - low + a.itemsize, np.uint8)
    view = np.ndarray(a.shape, a.dtype, raw, -low, a.strides)
    view[...] = a
    return view


# fill_ reads no input, and the attribute n of native_nonzero follows from the values.
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", [n for n in WITH_TENSORS if n not in ("fill_", "native_nonzero")])
def test_broadcast_inputs(name: str, isa: str) -> None:
    """An input expanded along an axis (stride 0) gives the bits of its copy."""
    _core.set_isa(isa)
    row = TABLE[name]["pointwise"]
    kind = "i" if row and row["dtypes"] in NO_FLOATS else "f"
    tested = 0
    for dtype in FLOATS:
        for sample in thinned([s for s in samples(TABLE[name], dtype) if s.tensors]):
            for k, t in enumerate(sample.tensors):
                if not isinstance(t, np.ndarray) or t.dtype.kind != kind or t.size < 2 or (overwrites(name) and k == 0):
                    continue
                for axis in range(t.ndim):
                    expanded = np.broadcast_to(t.take([0], axis), t.shape)
                    if expanded.size == 0:
                        continue
                    as_view, as_copy = list(sample.tensors), list(sample.tensors)
                    as_view[k], as_copy[k] = expanded, np.array(expanded)
                    got, want = (
                        [bits(o) for o in run(name, Sample("", tuple(v), sample.attrs))] for v in (as_view, as_copy)
                    )
                    assert got == want, f"{name} {dtype} {sample.label}: input {k} expanded along {axis}"
                    tested += 1
    assert tested


# ---------------------------------------------------------------- rows

ROWS = 1000
BATCHES = (*range(1, 66), 127, 128, 129, ROWS)
FEATURES = 13


# label, tensors (a tensor of ROWS rows has one per event, others are shared), attributes
RowCase = tuple[str, list[Any], dict[str, Any]]
WIDTHS = (1, 5, 10, 16, 17, 33, 100)


def row_wise(name: str, t: str) -> list[RowCase]:
    """The cases of an op whose output has one row per row of its inputs; none for other ops."""
    if TABLE[name]["pointwise"]:
        arity = sum(p["name"] in ARGUMENTS for p in TABLE[name]["params"])
        shape: Any = (ROWS, FEATURES)
        sample = next(pointwise(TABLE[name], t, [shape if arity == 1 else (shape, shape)]))
        return [("", list(sample.tensors), sample.attrs)]

    def rows(*shape: int, key: str = "x", low: float = -8, high: float = 8) -> Array:
        return real((ROWS, *shape), f"rows.{key}", t, low, high)

    def shared(*shape: int, key: str = "w") -> Array:
        return real(shape, f"rows.{key}", t, 0.5, 2)

    kept = {"reduction": "none"}
    sizes = ((1, 7), (5, 18), (13, 5), (16, 33), (33, 65), (65, 130))
    cases: dict[str, Callable[[], list[RowCase]]] = {
        "where": lambda: [("", [truth((ROWS, 13), "rows.c"), rows(13), rows(13, key="y")], {})],
        "cast": lambda: [("", [rows(13)], {"dtype": "float64" if t == "float32" else "float32"})],
        "dense": lambda: [
            (f"{k}x{n}", [rows(k), shared(n, k), shared(n, key="b")], {"activation": "tanh"})
            for n in (1, 2, 5, 10, 18, 33, 65, 130)
            for k in (13, 40)
        ],
        "dense_grad_input": lambda: [(f"{k}x{n}", [rows(n), shared(n, k)], {}) for n, k in sizes],
        "matmul": lambda: (
            [(f"{k}x{n}", [rows(k), shared(k, n)], {}) for k, n in sizes]
            + [("batched", [rows(3, 5), rows(5, 2, key="y")], {})]
        ),
        "native_cross_entropy": lambda: [
            (f"{n}", [rows(n), whole(ROWS, "rows.t", "int64", 0, n), None], kept) for n in WIDTHS
        ],
        BCE: lambda: [("", [rows(), rows(key="t", low=0, high=1), None, None], kept)],
        "native_batch_norm": lambda: [("", [rows(13), *(shared(13, key=k) for k in "mvwb")], {"training": False})],
    }
    for softmax in ("softmax", "log_softmax"):
        cases[softmax] = lambda: [(f"{n}", [rows(n)], {"dim": 1}) for n in WIDTHS]
        cases[softmax + "_backward"] = lambda: [
            (f"{n}", [rows(n), rows(n, key="y", low=-3, high=0)], {"dim": 1}) for n in WIDTHS
        ]
    for ordering, attrs in (
        ("native_sort", {}),
        ("native_topk", {"k": 1}),
        ("native_kthvalue", {"k": 1}),
        ("cumsum", {"dim": 1}),
        ("cumprod", {"dim": 1}),
    ):
        cases[ordering] = lambda attrs=attrs: [(f"{n}", [rows(n)], attrs) for n in (1, 5, 17, 70)]
    cases["native_layer_norm"] = lambda: [
        (f"{n}", [rows(n), shared(n), shared(n, key="b")], {"normalized_shape": (n,)}) for n in WIDTHS[1:]
    ]
    for reduction in (
        "any",
        "all",
        "nansum",
        "native_norm",
        "sum",
        "mean",
        "prod",
        "amax",
        "amin",
        "var",
        "logsumexp",
        "argmax",
        "argmin",
    ):
        cases[reduction] = lambda: [(f"{n}", [rows(n, low=0.5, high=1.5)], {"dim": 1}) for n in (2, 5, 16, 17, 40, 130)]
    return cases[name]() if name in cases else []


ROW_WISE = [n for n in NAMES if row_wise(n, "float32")]


def first_output(name: str, tensors: list[Any], attrs: tuple[Any, ...]) -> Array:
    out = _core.call(name, tensors, attrs)
    return np.asarray((out[0] if isinstance(out, tuple) else out).numpy())


def test_which_ops_are_row_wise() -> None:
    kernel_ops = {n for n in ROW_WISE if not TABLE[n]["pointwise"]}
    assert kernel_ops >= {
        "where", "dense", "dense_grad_input", "matmul", "softmax", "log_softmax", "softmax_backward", "log_softmax_backward",
        "native_cross_entropy", BCE, "native_batch_norm", "sum",
    }  # fmt: skip
    assert {n for n in NAMES if TABLE[n]["pointwise"]} <= set(ROW_WISE)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ROW_WISE)
def test_rows_alone(name: str, isa: str) -> None:
    """Each row of batches of 1 to 65, 127 to 129 and 1000 has the bits that it has alone."""
    _core.set_isa(isa)
    for dtype in FLOATS:
        for label, tensors, attrs in row_wise(name, dtype):
            given = attributes(name, attrs)
            made = inputs(name, Sample(label, tuple(tensors), attrs))  # computes `output` where the row has one
            per_row = [t is not None and t.ndim > 0 and t.shape[0] == ROWS for t in made]

            def part(start: int, stop: int) -> Array:
                cut = [t[start:stop] if p else t for t, p in zip(made, per_row, strict=True)]  # noqa: B023
                return first_output(name, cut, given)  # noqa: B023

            alone = np.concatenate([part(i, i + 1) for i in range(ROWS)])
            nan = np.isnan(alone) if alone.dtype.kind == "f" else np.zeros(alone.shape, bool)
            view = np.dtype(f"u{alone.itemsize}")
            for rows in BATCHES:
                start = 3 if rows + 3 <= ROWS else 0
                got, want = part(start, start + rows), alone[start : start + rows]
                both_nan = nan[start : start + rows] & np.isnan(got) if nan.any() else False
                same = (got.view(view) == want.view(view)) | both_nan
                assert same.all(), (
                    f"{name} {dtype} {label}: batch of {rows}, rows {np.unique(np.nonzero(~same)[0])[:9]}"
                )


# ---------------------------------------------------------------- a foreign control word


class Control:
    """The floating-point control word of this thread, through glibc's fegetenv and fesetenv."""

    def __init__(self) -> None:
        self.libm = ctypes.CDLL("libm.so.6")
        self.x86 = platform.machine() in ("x86_64", "AMD64")
        self.at = 28 if self.x86 else 0  # fenv_t: __mxcsr, or __fpcr

    def get(self) -> int:
        env = (ctypes.c_ubyte * 64)()
        assert self.libm.fegetenv(env) == 0
        return int.from_bytes(bytes(env[self.at : self.at + 4]), "little")

    def set(self, word: int) -> None:
        env = (ctypes.c_ubyte * 64)()
        assert self.libm.fegetenv(env) == 0
        env[self.at : self.at + 4] = list(word.to_bytes(4, "little"))
        assert self.libm.fesetenv(env) == 0

    @property
    def foreign(self) -> dict[str, int]:
        if self.x86:
            return {"flush to zero": 0x8040, "up": 0x4000, "down": 0x2000, "to zero, flushed": 0xE040}
        return {"flush to zero": 1 << 24, "up": 1 << 22, "down": 2 << 22, "to zero, flushed": 1 << 24 | 3 << 22}

    @contextmanager
    def mode(self, bits: int) -> Iterator[None]:
        old = self.get()
        self.set(old | bits)
        try:
            yield
        finally:
            self.set(old)


@pytest.fixture
def control() -> Control:
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("the layout of fenv_t is known for glibc on x86-64 and arm64")
    return Control()


MODES = ("flush to zero", "up", "down", "to zero, flushed")


def test_the_helper_does_change_the_arithmetic(control: Control) -> None:
    tiny = np.array([1e-310])
    with control.mode(control.foreign["flush to zero"]):
        assert (tiny * 1.0)[0] == 0
    with control.mode(control.foreign["up"]):
        up = (np.array([1.0]) / 3)[0]
    assert (np.array([1.0]) / 3)[0] < up


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("mode", "threads"), [(m, 1) for m in MODES] + [("to zero, flushed", 2)])
def test_a_foreign_control_word_changes_nothing(isa: str, mode: str, threads: int, control: Control) -> None:
    """Not in this thread, nor in a pool thread that starts while it is on; and the caller keeps it."""
    _core.set_isa(isa)
    tg.set_num_threads(threads)
    for name in NAMES:
        for dtype in FLOATS:
            cases = [large(TABLE[name], dtype)] if threads > 1 else thinned(list(samples(TABLE[name], dtype)))[:4]
            made = [inputs(name, s) for s in cases]
            if TABLE[name]["pointwise"]:
                made = [shrink(t) for t in made]
            given = [attributes(name, s.attrs) for s in cases]  # Python reads "0.1" by the control word, too
            want = [raw(name, t, g) for t, g in zip(made, given, strict=True)]
            if overwrites(name):
                made = [inputs(name, s) for s in cases]
            with control.mode(control.foreign[mode]):
                before = control.get()
                tg.set_num_threads(2 * threads - 1)  # a thread more, which starts under the foreign mode
                results = [raw(name, t, g) for t, g in zip(made, given, strict=True)]
                after = control.get()
            tg.set_num_threads(threads)
            same = [[bits(a) for a in r] == [bits(a) for a in w] for r, w in zip(results, want, strict=True)]
            assert all(same), (
                f"{name} {dtype} under {mode}: {[s.label for s, ok in zip(cases, same, strict=True) if not ok]}"
            )
            exceptions = 0x3F
            assert before & ~exceptions == after & ~exceptions, f"{name} left another control word"


def raw(name: str, tensors: list[Any], attrs: tuple[Any, ...]) -> list[Array | None]:
    out = _core.call(name, tensors, attrs)
    if TABLE[name]["updates"]:
        return [t.numpy() for t in tensors]
    return [None if t is None else t.numpy() for t in (out if isinstance(out, tuple) else (out,))]


def shrink(tensors: list[Any]) -> list[Any]:
    """The same tensors, half of their elements made denormal."""
    made = []
    for t in tensors:
        a = np.array(t.numpy())
        if a.dtype.kind == "f":
            flat = a.reshape(-1)
            flat[::2] *= np.finfo(a.dtype).tiny / 8
        made.append(tensor(a))
    return made


# ---------------------------------------------------------------- alone among others


def test_bits_do_not_depend_on_a_second_caller() -> None:
    """Two Python threads in the pool at once."""
    tg.set_num_threads(2)
    sample = large(TABLE["dense"], "float32")
    want = [bits(o) for o in run("dense", sample)]
    wrong: list[int] = []

    def work() -> None:
        for i in range(20):
            if [bits(o) for o in run("dense", sample)] != want:
                wrong.append(i)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong


def test_a_number_beside_rows_cut_in_two() -> None:
    """Rows of 1501 are worked on in pieces of 751 and 750: the operand that all pieces share is as long as the longer one,
    whichever of them a thread meets first."""
    tg.set_num_threads(2)
    exponents = tg.tensor(2.5), tg.tensor(-1.25)
    wide = tg.rand(64, 2 * 1501 + 7)
    for rows in range(32, 64):
        x = wide[:rows, : 2 * 1501 : 2]
        want = [bits((x.clone() ** e).numpy()) for e in exponents]
        for _ in range(3):
            assert [bits((x**e).numpy()) for e in exponents] == want


@pytest.mark.parametrize("isa", ISAS)
def test_casts_beyond_the_integers(isa: str) -> None:
    """NaN is 0, what lies beyond int64 becomes its last value, and NaN is true."""
    values = [0.0, -0.0, 1.5, -1.5, math.nan, math.inf, -math.inf, 2.0**63, -(2.0**63), -(2.0**64), 2.0**62, 1e-45] * 7
    last = 2**63 - 1
    whole = [0, 0, 1, -1, 0, last, -last - 1, last, -last - 1, -last - 1, 2**62, 0] * 7
    _core.set_isa(isa)
    x = tg.tensor(values)
    assert x.to(tg.int64).tolist() == whole
    assert x.to(tg.bool).tolist() == [v != 0 for v in values]
