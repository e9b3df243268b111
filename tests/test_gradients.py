"""The references of the gradients against finite differences, and ops and gradients against torch where it is installed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from door import FUNCTIONS, TABLE, call, run, tensor
from reference import REFERENCE, differentiate
from samples import OUTPUT, samples
from samples_base import SAMPLES
from samples_kernels import BCE
from values import Array, Sample, real

# ---------------------------------------------------------------- backward references by finite differences

Scalar = Callable[[Array], Any]


def gradient(loss: Scalar, x: Array) -> Array:
    """By central differences of a scalar function, element by element."""
    out = np.zeros(x.shape)
    for index in np.ndindex(x.shape):

        def along(v: Array, index: tuple[int, ...] = index) -> Array:
            moved = x.copy()
            moved[index] = v
            return np.asarray(loss(moved))

        out[index] = differentiate(along, (np.asarray(x[index]),), 0)
    return out


def check(name: str, loss: Scalar, x: Array, got: Array) -> None:
    np.testing.assert_allclose(got, gradient(loss, x), rtol=1e-8, atol=1e-9, err_msg=name)


def test_dense_gradients_by_differences() -> None:
    x, w, b = real((5, 4), "x", "float64"), real((3, 4), "w", "float64"), real(3, "b", "float64")
    g = real((5, 3), "g", "float64")
    dense = REFERENCE["dense"]
    check("x", lambda v: (g * dense(v, w, b)).sum(), x, REFERENCE["dense_grad_input"](g, w))
    check("w", lambda v: (g * dense(x, v, b)).sum(), w, REFERENCE["dense_grad_weight"](g, x))
    check("b", lambda v: (g * dense(x, w, v)).sum(), b, REFERENCE["dense_grad_bias"](g))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax_gradients_by_differences(name: str, dim: int) -> None:
    x, g = real((3, 4), "x", "float64"), real((3, 4), "g", "float64")
    got = REFERENCE[name + "_backward"](g, REFERENCE[name](x, dim), dim)
    check(name, lambda v: (g * REFERENCE[name](v, dim)).sum(), x, got)


@pytest.mark.parametrize(
    "sample",
    [s for s in SAMPLES["native_cross_entropy"]("float64") if s.tensors[0].shape[0] in (1, 7, 8, 65)],
    ids=lambda s: s.label,
)
def test_cross_entropy_gradient_by_differences(sample: Sample) -> None:
    x, target, weight = sample.tensors
    assert x is not None
    assert target is not None
    x, target = x[:9], target[:9]
    loss, lse, total = REFERENCE["native_cross_entropy"](x, target, weight, **sample.attrs)
    g = real(np.shape(loss), "g", "float64", 0.5, 1.5)
    got = REFERENCE["cross_entropy_backward"](g, x, target, lse, total, weight, **sample.attrs)
    check("x", lambda v: (g * REFERENCE["native_cross_entropy"](v, target, weight, **sample.attrs)[0]).sum(), x, got)


@pytest.mark.parametrize(
    "sample", [s for s in SAMPLES[BCE]("float64") if s.tensors[0].size in (1, 7, 231)], ids=lambda s: s.label
)
def test_bce_gradient_by_differences(sample: Sample) -> None:
    x, *rest = sample.tensors
    assert x is not None
    loss = REFERENCE[BCE](x, *rest, **sample.attrs)
    g = real(np.shape(loss), "g", "float64", 0.5, 1.5)
    got = REFERENCE[BCE + "_backward"](g, x, *rest, **sample.attrs)
    check("x", lambda v: (g * REFERENCE[BCE](v, *rest, **sample.attrs)).sum(), x, got)


@pytest.mark.parametrize("shape", [(3, 1), (7, 3), (3, 2, 4)])
def test_batch_norm_gradients_by_differences(shape: tuple[int, ...]) -> None:
    x, g = real(shape, "x", "float64"), real(shape, "g", "float64")
    w, b = real(shape[1], "w", "float64", 0.5, 2), real(shape[1], "b", "float64")

    def forward(x: Array, w: Array, b: Array) -> Any:
        return REFERENCE["native_batch_norm"](x, None, None, w, b, training=True)

    _, mean, invstd, _, _ = forward(x, w, b)
    dx, dw, db = REFERENCE["batch_norm_backward"](g, x, mean, invstd, w)
    check("x", lambda v: (g * forward(v, w, b)[0]).sum(), x, dx)
    check("weight", lambda v: (g * forward(x, v, b)[0]).sum(), w, dw)
    check("bias", lambda v: (g * forward(x, w, v)[0]).sum(), b, db)


# ---------------------------------------------------------------- against torch


def torch_function(torch: Any, name: str) -> Any:
    special = {
        "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
        "native_add": lambda a, b, alpha: torch.add(a, b, alpha=alpha),
        "native_lerp": torch.lerp,
        "native_div_trunc": lambda a, b: torch.div(a, b, rounding_mode="trunc"),
        "native_round": lambda x, times, over: torch.round(x * times / over) / times * over,
        "native_nan_to_num": lambda x, posinf, neginf: torch.nan_to_num(x, 0.0, posinf, neginf),
    }
    return special.get(name) or getattr(torch.nn.functional, name, None) or getattr(torch, name)


# Derivatives that torch does not have; that of hardsigmoid is 1/6 in float32 only.
NO_DERIVATIVE = ("remainder", "floor_divide", "hardsigmoid")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_pointwise_and_derivatives_against_torch(torch: Any, name: str) -> None:
    function = torch_function(torch, name)
    for sample in samples(TABLE[name], "float64"):
        values = [torch.from_numpy(np.array(t)).requires_grad_(t.dtype.kind == "f") for t in sample.tensors]
        y = function(*values, *sample.attrs.values())
        got = run(name, sample)[0]
        assert got is not None
        np.testing.assert_allclose(
            got, y.detach().numpy(force=True), rtol=1e-12, atol=1e-12, err_msg=f"{name} {sample.label}"
        )
        if not y.dtype.is_floating_point or not y.requires_grad or name in NO_DERIVATIVE:
            continue
        g = torch.from_numpy(real(tuple(y.shape), "grad", "float64", 0.5, 1.5))
        for k, which in enumerate(["a", "b"][: len(values)]):
            # The op's rows are elementwise; torch sums over what was broadcast, so both take full arrays.
            full = [
                torch.from_numpy(np.array(np.broadcast_to(t, tuple(y.shape)))).requires_grad_() for t in sample.tensors
            ]
            (want,) = torch.autograd.grad(function(*full, *sample.attrs.values()), full[k], g, create_graph=True)
            row = name + ("_backward" if len(values) == 1 else f"_backward_{which}")
            np.testing.assert_allclose(
                derivative_row(row, g.numpy(), sample),
                want.detach().numpy(force=True),
                rtol=1e-11,
                atol=1e-11,
                err_msg=f"{row} {sample.label}",
            )
            for j in range(k, len(values)):
                # torch may find no second derivative to take: then it is 0
                second = None
                if want.requires_grad:
                    (second,) = torch.autograd.grad(want.sum(), full[j], create_graph=True, allow_unused=True)
                row = name + ("_double_backward" if len(values) == 1 else f"_double_backward_{which}{'ab'[j]}")
                expect = np.zeros(tuple(y.shape)) if second is None else second.detach().numpy(force=True)
                np.testing.assert_allclose(
                    derivative_row(row, g.numpy(), sample),
                    expect,
                    rtol=1e-10,
                    atol=1e-10,
                    err_msg=f"{row} {sample.label}",
                )


def derivative_row(name: str, grad: Array, sample: Sample) -> Array:
    lead = (np.ones(()), grad) if "_double_backward" in name else (grad,)
    out = run(name, Sample(sample.label, (*lead, *sample.tensors, OUTPUT), sample.attrs))[0]
    assert out is not None
    return out


def leaf(torch: Any, a: Array | None) -> Any:
    return None if a is None else torch.from_numpy(np.array(a)).requires_grad_(a.dtype.kind == "f")


def test_cross_entropy_against_torch(torch: Any) -> None:
    for s in SAMPLES["native_cross_entropy"]("float64"):
        target, weight = (None if t is None else torch.from_numpy(np.array(t)) for t in s.tensors[1:])
        x = leaf(torch, s.tensors[0])
        loss = torch.nn.functional.cross_entropy(x, target.long(), weight, **s.attrs)
        got, lse, total = call("native_cross_entropy", [None if t is None else tensor(t) for t in s.tensors], s.attrs)
        np.testing.assert_allclose(
            got.numpy(), loss.detach().numpy(force=True), rtol=1e-12, atol=1e-13, err_msg=s.label
        )
        g = real(tuple(loss.shape), "g", "float64", 0.5, 1.5)
        (want,) = torch.autograd.grad(loss, x, torch.from_numpy(g))
        inputs = [tensor(g), tensor(s.tensors[0]), tensor(s.tensors[1]), lse, total]
        (dx,) = call("cross_entropy_backward", [*inputs, None if weight is None else tensor(s.tensors[2])], s.attrs)
        np.testing.assert_allclose(dx.numpy(), want.numpy(), rtol=1e-11, atol=1e-13, err_msg=s.label)


def test_bce_against_torch(torch: Any) -> None:
    for s in SAMPLES[BCE]("float64"):
        target, weight, positive = (None if t is None else torch.from_numpy(np.array(t)) for t in s.tensors[1:])
        x = leaf(torch, s.tensors[0])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(x, target, weight, pos_weight=positive, **s.attrs)
        np.testing.assert_allclose(
            run(BCE, s)[0], loss.detach().numpy(force=True), rtol=1e-12, atol=1e-13, err_msg=s.label
        )
        g = real(tuple(loss.shape), "g", "float64", 0.5, 1.5)
        (want,) = torch.autograd.grad(loss, x, torch.from_numpy(g))
        got = run(BCE + "_backward", Sample(s.label, (g, *s.tensors), s.attrs))[0]
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-11, atol=1e-13, err_msg=s.label)


def test_batch_norm_against_torch(torch: Any) -> None:
    for s in SAMPLES["native_batch_norm"]("float64"):
        if 0 in s.tensors[0].shape:
            continue
        x, w, b = (leaf(torch, s.tensors[k]) for k in (0, 3, 4))
        mean, var = (None if t is None else torch.from_numpy(np.array(t)) for t in s.tensors[1:3])
        y = torch.nn.functional.batch_norm(x, mean, var, w, b, **s.attrs)
        out = run("native_batch_norm", s)
        np.testing.assert_allclose(out[0], y.detach().numpy(force=True), rtol=1e-11, atol=1e-12, err_msg=s.label)
        if not s.attrs["training"]:
            continue
        if mean is not None:
            np.testing.assert_allclose(out[3], mean.numpy(), rtol=1e-12, atol=1e-13, err_msg=s.label)
            np.testing.assert_allclose(out[4], var.numpy(), rtol=1e-12, atol=1e-13, err_msg=s.label)
        g = real(tuple(y.shape), "g", "float64", 0.5, 1.5)
        leaves = [t for t in (x, w, b) if t is not None]
        want = torch.autograd.grad(y, leaves, torch.from_numpy(g))
        weight = None if w is None else s.tensors[3]
        got = run("batch_norm_backward", Sample(s.label, (g, s.tensors[0], out[1], out[2], weight)))
        for g_, w_ in zip(got, want, strict=False):
            np.testing.assert_allclose(g_, w_.numpy(), rtol=1e-10, atol=1e-10, err_msg=s.label)


@pytest.mark.parametrize(
    "name", ["sum", "mean", "prod", "amax", "amin", "var", "logsumexp", "argmax", "argmin", "softmax", "log_softmax"]
)
def test_rows_against_torch(torch: Any, name: str) -> None:
    for s in SAMPLES[name]("float64"):
        attrs = dict(s.attrs)
        if name in ("amax", "amin") and attrs["dim"] is None:
            attrs["dim"] = ()
        if name in ("argmax", "argmin") and isinstance(attrs["dim"], tuple):
            continue  # torch takes one dimension
        if name == "prod" and (isinstance(attrs["dim"], tuple) or attrs["dim"] is None):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # var of nothing
            want = getattr(torch, name)(torch.from_numpy(np.array(s.tensors[0])), **attrs)
        np.testing.assert_allclose(run(name, s)[0], want.numpy(), rtol=1e-11, atol=1e-12, err_msg=f"{name} {s.label}")
