"""The op table is the test list: no row without a reference, samples and a CPU kernel; the door's listeners and backends."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import reference
import samples
import samples_base
import trigrad as tg
from door import NAMES, PARAMS, TABLE, call, inputs, run, tensor
from samples import NO_FLOATS, derivative_of, large
from trigrad import _core
from values import FLOATS, Sample

testing = _core.testing


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize("name", NAMES)
def test_row_has_reference_and_samples(name: str) -> None:
    assert callable(reference.reference(name, derivative_of(name)))
    for dtype in FLOATS:
        made = list(samples.samples(TABLE[name], dtype))
        assert len(made) >= 5
        assert len({s.label for s in made}) == len(made)
        for s in [*made, large(TABLE[name], dtype)]:
            row = TABLE[name]
            assert len(s.tensors) >= row["n_tensors"] if row["variadic"] else len(s.tensors) == row["n_tensors"]


def test_a_new_row_without_reference_or_samples_is_noticed() -> None:
    row = {"name": "swish2", "signature": "swish2(Tensor input)", "pointwise": None}
    with pytest.raises(LookupError, match="no samples for the op swish2"):
        list(samples.samples(row, "float32"))
    for name in ("swish2", "swish2_backward"):
        with pytest.raises(LookupError, match=f"no row for the op {name}"):
            reference.reference(name, derivative_of(name))


def test_nothing_is_tested_that_is_not_in_the_table() -> None:
    assert set(samples_base.SAMPLES) == set(samples_base.LARGE)
    assert set(samples_base.SAMPLES) <= set(NAMES)
    assert set(reference.REFERENCE) <= set(NAMES)
    for table in (samples.DOMAIN, samples.PARAMETERS):
        assert set(table) <= set(NAMES)
    assert set(NAMES) >= samples.PIECEWISE | samples.TESTS | samples.QUOTIENTS | reference.BINARY


def test_binary_rows_are_known_to_the_references() -> None:
    two = {n for n in NAMES if TABLE[n]["pointwise"] and TABLE[n]["pointwise"]["arity"] == 2 and not derivative_of(n)}
    assert two == reference.BINARY


def test_every_differentiable_row_has_its_derivatives() -> None:
    for name in NAMES:
        info = TABLE[name]["pointwise"]
        if not info or derivative_of(name) or info["to_bool"] or info["dtypes"] in NO_FLOATS:
            continue
        suffixes = ("backward", "double_backward")
        if info["arity"] == 2:
            suffixes = ("backward_a", "backward_b", "double_backward_aa", "double_backward_ab", "double_backward_bb")
        for suffix in suffixes:
            assert f"{name}_{suffix}" in TABLE


@pytest.mark.parametrize("name", NAMES)
def test_row_is_a_function(name: str) -> None:
    row = TABLE[name]
    assert callable(getattr(tg.ops, name))
    assert row["signature"].startswith(name + "(")
    assert [p.name for p in PARAMS[name]] == [p["name"] for p in row["params"]]
    tensors = [p for p in PARAMS[name] if p.is_tensor]
    assert len(tensors) == row["n_tensors"]
    assert [p.kind == "Tensors" for p in tensors] == [False] * (len(tensors) - 1) + [row["variadic"]] * bool(tensors)


def test_ops_are_exactly_the_table() -> None:
    assert {n for n in dir(tg.ops) if not n.startswith("__")} == set(NAMES)


def test_kernel_ops_stay_few() -> None:
    assert len([n for n in NAMES if not TABLE[n]["pointwise"]]) <= 72


# ---------------------------------------------------------------- a second backend fits


@pytest.fixture
def counting() -> Iterator[None]:
    testing.install_counting_backend()
    yield
    testing.install_counting_backend()


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize("name", [n for n in NAMES if TABLE[n]["n_tensors"]])
def test_every_row_has_a_kernel_and_runs_on_a_second_backend(name: str) -> None:
    """The same call on the device `test`, whose kernels count and forward to the CPU's."""
    sample = next(
        s
        for s in samples.samples(TABLE[name], "float32")
        if all(t is samples.OUTPUT or t is None or t.size for t in s.tensors)
    )
    made = inputs(name, sample)
    moved = [None if t is None else testing.to_test(contiguous(t)) for t in made]
    before = testing.counted_calls().get(name, 0)
    out = call(name, moved, sample.attrs)
    assert testing.counted_calls().get(name, 0) == before + 1
    want = run(name, sample)
    for o, w in zip(out, want, strict=True):
        if w is None:
            assert o is None
            continue
        assert str(o.device) == "test"
        np.testing.assert_array_equal(testing.to_cpu(contiguous(o)).numpy(), w)


def contiguous(t: Any) -> Any:
    return t if t.is_contiguous() else t.contiguous()


def test_random_rows_have_kernels() -> None:
    for name in NAMES:
        if not TABLE[name]["n_tensors"]:
            assert run(name, next(iter(samples.samples(TABLE[name], "float32"))))[0] is not None


def test_an_empty_cell_is_one_generated_error() -> None:
    testing.install_counting_backend(["tanh", "dense"])
    try:
        x = testing.to_test(tg.tensor([[1.0, 2.0]]))
        for name, arguments in (("tanh", (x,)), ("dense", (x, x))):
            with pytest.raises(NotImplementedError, match=re.escape(f"[{name}] has no test kernel")):
                getattr(tg.ops, name)(*arguments)
        tg.ops.exp(x)
        tg.tanh(tg.tensor([1.0]))  # the CPU's cell is filled
    finally:
        testing.install_counting_backend()


@pytest.mark.usefixtures("counting")
def test_devices_do_not_mix() -> None:
    x = tg.tensor([1.0])
    message = "[add] tensors are on cpu and test, expected one device; move one with .to()"
    with pytest.raises(RuntimeError, match=re.escape(message)):
        tg.ops.add(x, testing.to_test(x))


def test_a_device_without_backend() -> None:
    """In a process where nothing was installed."""
    code = "import trigrad as tg; t = tg._core.testing.to_test(tg.tensor([1.0])); tg.ops.tanh(t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "NotImplementedError: [tanh] has no test kernel" in done.stderr


# ---------------------------------------------------------------- the recorder


@pytest.mark.parametrize("name", NAMES)
def test_the_recorder_sees_every_call(name: str) -> None:
    sample = next(iter(samples.samples(TABLE[name], "float64")))
    made = inputs(name, sample)
    with testing.Recorder() as recorder:
        out = call(name, made, sample.attrs)
    assert [c[0] for c in recorder.calls][-1] == name
    _, seen_in, seen_out = recorder.calls[-1]
    assert [tuple(s) for s in seen_in] == [tuple(t.shape) for t in made if t is not None]
    made = [] if TABLE[name]["updates"] else [t for t in out if t is not None]
    assert [tuple(s) for s in seen_out] == [tuple(t.shape) for t in made]


def test_the_recorder_sees_casts_and_in_place_calls_in_order() -> None:
    x = tg.tensor([1.0, 2.0, 3.0])
    n = tg.tensor([1, 2, 3])
    with testing.Recorder() as recorder:
        y = x + n  # the integers are cast by a call of their own
        y.mul_(2.0)
        y.sum()
    assert [c[0] for c in recorder.calls] == ["cast", "add", "mul", "sum"]


def test_a_refused_call_is_not_recorded() -> None:
    a, b = tg.ones(2), tg.ones(3)
    with testing.Recorder() as recorder, pytest.raises(RuntimeError):
        tg.ops.add(a, b)
    assert recorder.calls == []


def test_views_are_no_calls() -> None:
    x = tg.ones(4, 6)
    with testing.Recorder() as recorder:
        x.view(6, 4).transpose(0, 1)[1:3].expand(2, 6).unsqueeze(0)
    assert recorder.calls == []


def test_recorders_do_not_nest_and_stop() -> None:
    second = testing.Recorder()
    with testing.Recorder() as recorder, pytest.raises(RuntimeError, match="another recorder listens on this thread"):
        second.__enter__()
    tg.ones(2).exp()
    assert "exp" not in [c[0] for c in recorder.calls]


def test_samples_fit_the_signatures() -> None:
    assert Sample("x").tensors == ()
    assert tensor(np.ones(3)).shape == (3,)
