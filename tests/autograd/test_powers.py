"""Powers, roots and reciprocals are made of several rows: values, first and second gradients of all their forms against
PyTorch's, at 0 as well."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import trigrad as tg

EXPONENTS = (2, 3, 0.5, -0.5, -1, -2, 1, 0, 4, 1.5, -3, 2.5, True)
VALUES = {
    "positive": [0.3, 1.0, 2.5],
    "signed": [-1.7, -0.2, 0.9],
    "zeros": [2.0, 0.0],
    "large": [1e-30, 1e30, -1e25],
}


def written(make: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Into what was made of x, so that x stays a leaf."""

    def power(t: Any, x: Any, n: Any) -> Any:
        y = x * 1
        return make(y, n)

    return power


def raised(y: Any, n: Any) -> Any:
    y **= n
    return y


FORMS: dict[str, Callable[..., Any]] = {
    "operator": lambda t, x, n: x**n,
    "function": lambda t, x, n: t.pow(x, n),
    "method": lambda t, x, n: x.pow(n),
    "in place": written(lambda y, n: y.pow_(n)),
    "operator in place": written(raised),
    "of a view": lambda t, x, n: (x * 1).view(1, -1)[:, 1:] ** n,
    "view in place": lambda t, x, n: part_written(x * 1, n),
    "tensor exponent": lambda t, x, n: x ** t.tensor(float(n), dtype=x.dtype),
    "double exponent": lambda t, x, n: x ** t.tensor(float(n), dtype=t.float64),
    "reflected": lambda t, x, n: n**x,
    "broadcast": lambda t, x, n: x ** t.tensor([[float(n)], [2.0]], dtype=x.dtype),
}


def part_written(y: Any, n: Any) -> Any:
    y[1:].pow_(n)
    return y


OTHERS: dict[str, Callable[..., Any]] = {
    "reciprocal": lambda t, x: t.reciprocal(x),
    "1 / x": lambda t, x: 1 / x,
    "x / x": lambda t, x: x / x,
    "sqrt": lambda t, x: t.sqrt(x),
    "rsqrt": lambda t, x: x.rsqrt(),
    "square": lambda t, x: t.square(x),
    "x * x": lambda t, x: x * x,
    "x ** x": lambda t, x: x**x,
    "sqrt_": lambda t, x: (x * 1).sqrt_(),
    "reciprocal_": lambda t, x: (x * 1).reciprocal_(),
    "square_": lambda t, x: (x * 1).square_(),
    "float_power": lambda t, x: t.float_power(x, 2),
    "norm": lambda t, x: x.norm(),
    "hypot": lambda t, x: t.hypot(x, x * 2),
}


def derivatives(t: Any, f: Callable[..., Any], values: list[float], dtype: str, scalar: bool) -> list[Any]:
    """y, dy/dx and what follows from it, each for weights that differ."""
    x = t.tensor(values[-1] if scalar else values, dtype=getattr(t, dtype), requires_grad=True)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = f(t, x)
        found.append(y)
        for weight in (0.75, -1.5):
            if not y.requires_grad:
                break
            weights = weight + 0.25 * t.arange(y.numel(), dtype=y.dtype).reshape(y.shape)
            (y,) = t.autograd.grad((y * weights).sum(), x, create_graph=True, materialize_grads=True)
            found.append(y)
    return [(str(v.dtype).split(".")[1], tuple(v.shape), v.detach().numpy()) for v in found]


def agree(ours: list[Any], theirs: list[Any], rtol: float, what: str) -> None:
    """A second gradient that is not part of a graph is 0: one side may leave it out."""
    for order, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        assert a[:2] == b[:2], f"{what}, order {order}: {a[:2]}, expected {b[:2]}"
        compared = ~np.isnan(b[2]) | np.isnan(a[2])  # PyTorch has NaN, from 0 · ∞, where the limit exists
        mine, want = np.where(compared, a[2], 0), np.where(compared, b[2], 0)
        np.testing.assert_allclose(mine, want, rtol=rtol, atol=rtol / 3, err_msg=f"{what}, order {order}")
    for left in (*ours[len(theirs) :], *theirs[len(ours) :]):
        assert not left[2].any()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", FORMS)
def test_powers(torch: Any, form: str, dtype: str) -> None:
    rtol = 1e-12 if dtype == "float64" else 3e-6
    for kind, values in VALUES.items():
        for n in EXPONENTS:
            for scalar in (False, True):
                if scalar and form in ("of a view", "view in place"):
                    continue
                if (kind == "large" and dtype == "float32") or (form == "reflected" and n is True):
                    continue  # results leave the range; PyTorch has an internal error
                what = f"{values} {form} {n}"
                a, b = (
                    derivatives(t, lambda m, x, n=n: FORMS[form](m, x, n), values, dtype, scalar) for t in (tg, torch)
                )
                agree(a, b, rtol, what)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OTHERS)
def test_roots_and_reciprocals(torch: Any, name: str, dtype: str) -> None:
    rtol = 1e-12 if dtype == "float64" else 3e-6
    for kind, values in VALUES.items():
        if (name in ("x / x", "hypot", "norm") and (kind == "large" or dtype == "float32")) or (
            kind == "large" and dtype == "float32"
        ):
            continue  # terms of PyTorch leave the range, or do not cancel
        for scalar in (False, True):
            a, b = (derivatives(t, OTHERS[name], values, dtype, scalar) for t in (tg, torch))
            agree(a, b, rtol, f"{name} {values}")


@pytest.mark.parametrize("n", [2, 3, 0.5, -1, -2])
def test_integer_bases(torch: Any, n: Any) -> None:
    """No graph, PyTorch's dtype."""
    found = []
    for t in (tg, torch):
        try:
            y = t.tensor([1, 2]) ** n
        except RuntimeError as error:  # integers to negative powers
            found.append(type(error))
            continue
        assert not y.requires_grad
        with pytest.raises(RuntimeError):
            y.sum().backward()
        found.append((str(y.dtype).split(".")[1], y.tolist()))
    if found[0] is not found[1] and found[0][0] == "float32":
        np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-6)
    else:
        assert found[0] == found[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_xlogy_where_its_first_argument_is_0(torch: Any, dtype: str) -> None:
    """The gradient of x is log(y) there too; PyTorch's is 0 only where that is no number."""
    x, y = [0.0, 0.0, 0.0, -0.0, 2.0, -1.5], [0.5, 0.0, 3.0, -1.0, 0.25, 4.0]
    found = []
    for t in (tg, torch):
        a, b = (t.tensor(v, dtype=getattr(t, dtype), requires_grad=True) for v in (x, y))
        value = t.xlogy(a, b)
        (of_a,) = t.autograd.grad(value.sum(), a, create_graph=True)
        mixed = t.autograd.grad(of_a[4:].sum(), b)[0][4:]
        found.append([v.detach().numpy() for v in (value, of_a, mixed)])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
    assert not np.signbit(found[0][0][:4]).any()
    one = tg.tensor(0.0, requires_grad=True)
    assert tg.xlogy(one, float("inf")).item() == 0
    assert tg.isnan(tg.xlogy(one, float("nan")))
