"""The rules of _vjp against finite differences of the rows that they belong to, and against torch where it is installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from door import NAMES, TABLE, attributes, call, inputs
from samples import samples
from samples_kernels import BCE
from smooth import CONSTANTS, dependents, floating, small_samples
from trigrad import _core, _vjp
from values import Array, Sample, real


def poisoned(tensor: Any) -> Any:
    """A tensor of the same shape and dtype that no formula could use without being noticed."""
    if tensor is None:
        return None
    return tg.full(
        tensor.shape,
        float("nan") if tensor.is_floating_point() else True if tensor.dtype is tg.bool else -77,
        dtype=tensor.dtype,
    )


def gradients(name: str, sample: Sample, weights: list[Any], k: int) -> Any:
    """What the rule says about input k, given only what it says it reads."""
    rule = _vjp.RULES[name]
    given = inputs(name, sample)
    outputs = call(name, inputs(name, sample), sample.attrs)
    n = TABLE[name]["n_tensors"]
    reads = rule.reads[min(k, n - 1)].split()
    seen_in = [t if f"i{min(i, n - 1)}" in reads else poisoned(t) for i, t in enumerate(given)]
    seen_out = [t if f"o{i}" in reads else poisoned(t) for i, t in enumerate(outputs)]
    wanted = [i == k for i in range(len(given))]
    found = rule.function(weights, seen_in, seen_out, attributes(name, sample.attrs), wanted)
    assert len(found) == len(given)
    assert all(g is None for i, g in enumerate(found) if i != k)
    return found[k]


def test_every_row_has_a_rule_or_none_by_intent() -> None:
    rows = {n for n in NAMES if not TABLE[n]["updates"]}  # which overwrite what is no function of anything
    assert set(_vjp.RULES) | _vjp.NOT_DIFFERENTIABLE == rows
    assert not set(_vjp.RULES) & _vjp.NOT_DIFFERENTIABLE
    for name, rule in _vjp.RULES.items():
        assert len(rule.reads) == TABLE[name]["n_tensors"]
        assert all(re.fullmatch(r"o\d|i\d\??", word) for text in rule.reads for word in text.split())
        assert all(k < TABLE[name]["n_outputs"] for k in rule.carries)


def test_rows_without_rule_give_integers_masks_or_random_numbers() -> None:
    for name in _vjp.NOT_DIFFERENTIABLE:
        row = TABLE[name]
        if row["random"] or not row["n_tensors"] or row["pointwise"]:
            assert (
                not row["pointwise"]
                or row["pointwise"]["to_bool"]
                or row["pointwise"]["dtypes"] in ("bits", "integers")
            )
            continue
        sample = next(iter(samples(row, "float64")))
        assert not any(t.is_floating_point() for t in call(name, inputs(name, sample), sample.attrs))


@pytest.mark.parametrize("name", sorted(_vjp.RULES))
def test_rule_against_differences(name: str) -> None:
    found = small_samples(name)
    assert found, f"no small sample of {name}"
    for sample in found:
        outputs = call(name, inputs(name, sample), sample.attrs)
        carried = [
            k in _vjp.RULES[name].carries and t is not None and t.dtype is tg.float64 for k, t in enumerate(outputs)
        ]
        if not any(carried):
            continue
        weights = [
            tg.from_numpy(real(tuple(t.shape), f"weights{k}", "float64")) if yes else None
            for k, (t, yes) in enumerate(zip(outputs, carried, strict=True))
        ]

        def value(tensors: list[Any], weights: list[Any] = weights, sample: Sample = sample) -> float:
            moved = dependents(name, Sample(sample.label, tuple(tensors), sample.attrs))
            made = call(name, inputs(name, moved), sample.attrs)
            return float(
                sum((w.numpy() * t.numpy()).sum() for w, t in zip(weights, made, strict=True) if w is not None)
            )

        for k, x in enumerate(sample.tensors):
            if not floating(x) or k in CONSTANTS.get(name, ()):
                continue
            assert x is not None
            direction = real(x.shape, f"direction{k}", "float64", -1, 1)

            def along(
                step: float, k: int = k, x: Array = x, all_: Any = sample.tensors, direction: Array = direction
            ) -> float:
                tensors = list(all_)
                tensors[k] = x + step * direction
                return value(tensors)

            if x.size == 0:
                grad = gradients(name, sample, weights, k)
                assert grad is None or grad.shape == x.shape
                continue
            h = 2.0**-14
            wide, narrow = ((along(s) - along(-s)) / (2 * s) for s in (h, h / 2))
            want = (4 * narrow - wide) / 3
            grad = gradients(name, sample, weights, k)
            got = 0.0
            if grad is not None:
                assert grad.shape == x.shape, f"{name} {sample.label} input {k}"
                assert grad.dtype is tg.float64
                got = float((grad.numpy() * direction).sum())
            size = 1 + abs(want) + float(np.abs(direction).sum())
            assert abs(got - want) < 2e-8 * size, f"{name} {sample.label} input {k}: {got}, by differences {want}"


def one(name: str, tensors: list[Any], attrs: dict[str, Any], grad: Any, k: int = 0) -> Any:
    """The gradient of input k of a row's call."""
    outputs = call(name, tensors, attrs)
    grads = [grad, *([None] * (len(outputs) - 1))]
    return _vjp.RULES[name].function(
        grads, tensors, outputs, attributes(name, attrs), [i == k for i in range(len(tensors))]
    )[k]


def test_gradients_have_the_dtype_and_shape_of_what_was_given() -> None:
    a, b = tg.ones(3, 1), tg.ones(4, dtype=tg.float64)
    for name in ("add", "mul", "div", "pow", "maximum", "where"):
        lead = [tg.ones(3, 4, dtype=tg.bool)] if name == "where" else []
        grad = tg.ones(3, 4, dtype=tg.float64)
        for k, x in enumerate((a, b), len(lead)):
            got = one(name, [*lead, a, b], {}, grad, k)
            assert got.dtype is x.dtype
            assert got.shape == x.shape
    n = tg.tensor([2, 3])
    assert one("mul", [n, tg.ones(2)], {}, tg.ones(2), 1).tolist() == [2, 3]
    assert one("sum", [tg.ones(2)], {"dtype": "float64"}, tg.ones((), dtype=tg.float64)).dtype is tg.float32
    assert one("cast", [tg.ones(2)], {"dtype": "float64"}, tg.ones(2, dtype=tg.float64)).dtype is tg.float32


def test_what_is_not_wanted_is_not_computed() -> None:
    x, w, b, g = tg.ones(5, 3), tg.ones(2, 3), tg.ones(2), tg.ones(5, 2)
    with _core.testing.Recorder() as recorder:
        _vjp.RULES["dense"].function([g], [x, w, b], [g], ("identity", None, None), [False, True, True])
    assert [c[0] for c in recorder.calls] == ["dense_grad_weight", "dense_grad_bias"]


# ---------------------------------------------------------------- views


BASE = tg.arange(2 * 3 * 4, dtype=tg.float64).reshape(2, 3, 4)
VIEWS: list[tuple[str, Any]] = [
    ("reshape", lambda x: x.view(6, 4)),
    ("reshape", lambda x: x.unsqueeze(1)),
    ("expand", lambda x: x[:, :1].expand(2, 5, 4)),
    ("strided", lambda x: x.permute(2, 0, 1)),
    ("strided", lambda x: x.transpose(0, 2)),
    ("strided", lambda x: x[1]),
    ("strided", lambda x: x[:, 1:, ::2]),
    ("strided", lambda x: x[..., ::-1]),
    ("strided", lambda x: x[:, 0, 3]),
    ("strided", lambda x: x[:0]),
    ("strided", lambda x: x.diagonal(1, 1, 2)),
    ("strided", lambda x: x.unfold(2, 3, 1)),
    ("strided", lambda x: x.as_strided((2, 2), (5, 3), 4)),
    ("strided", lambda x: x.as_strided((3, 3), (1, 1), 2)),
]


@pytest.mark.parametrize("case", range(len(VIEWS)))
@pytest.mark.parametrize("layout", ["plain", "turned", "part"])
def test_gradient_of_a_view_is_its_transpose(case: int, layout: str) -> None:
    """<view(x), w> = <x, gradient(w)> for all x."""
    kind, view = VIEWS[case]
    x = {
        "plain": lambda: BASE,
        "turned": lambda: BASE.permute(1, 2, 0).contiguous().permute(2, 0, 1),
        "part": lambda: tg.cat([BASE, BASE, BASE])[1:3],
    }[layout]()
    if layout != "plain" and case in (0, 12, 13):
        pytest.skip("this view is one of contiguous memory")
    if kind == "expand":
        x, view = x[:, :1], lambda x: x.expand(2, 5, 4)
    y = view(x)
    w = tg.from_numpy(real(tuple(y.shape), "w", "float64"))
    (got,) = _vjp.VIEWS[kind]([w], [x], [y], (), (True,))
    assert got.shape == x.shape
    places = tg.arange(x.numel(), dtype=tg.float64).reshape(x.shape)
    want = np.zeros(x.numel())
    np.add.at(want, view(places).numpy().astype("int64").reshape(-1), w.numpy().reshape(-1))
    np.testing.assert_allclose(got.numpy().reshape(-1), want, rtol=1e-15)


# ---------------------------------------------------------------- against torch


def both(torch: Any, array: Array) -> tuple[Any, Any]:
    return tg.from_numpy(array), torch.from_numpy(array.copy()).requires_grad_()


@pytest.mark.parametrize("zeros", [(), (2,), (0,), (1, 4), (5,), (0, 1, 2, 3, 4, 5)])
@pytest.mark.parametrize("name", ["prod", "cumprod"])
def test_products_with_zeros(torch: Any, name: str, zeros: tuple[int, ...]) -> None:
    array = real((3, 6), "zeros", "float64")
    array = array.copy()
    array[1, list(zeros)] = 0
    x, x_ = both(torch, array)
    y = getattr(torch, name)(x_, 1)
    g = real(tuple(y.shape), "g", "float64")
    (want,) = torch.autograd.grad(y, x_, torch.from_numpy(g))
    got = one(name, [x], {"dim": 1}, tg.from_numpy(g))
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["amax", "amin"])
def test_ties_share(torch: Any, name: str) -> None:
    x, x_ = both(torch, np.array([[1.0, 2, 2, 1], [3, 3, 3, 3]]))
    g = torch.tensor([0.5, 2.0], dtype=torch.float64)
    (want,) = torch.autograd.grad(getattr(torch, name)(x_, 1), x_, g)
    np.testing.assert_array_equal(one(name, [x], {"dim": 1}, tg.from_numpy(g.numpy())).numpy(), want.numpy())


# row -> how torch computes it, what else it takes, and the rule's way back: the second derivative of Σ v dx with dx the
# first gradient of Σ g y
def second_by_torch(torch: Any, f: Any, x_: Any, g: Array, v: Array) -> Array:
    (dx,) = torch.autograd.grad(f(x_), x_, torch.from_numpy(g), create_graph=True)
    (ddx,) = torch.autograd.grad(dx, x_, torch.from_numpy(v))
    return ddx.numpy()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_second_order_softmax(torch: Any, name: str) -> None:
    x, x_ = both(torch, real((4, 5), "x", "float64"))
    g, v = real((4, 5), "g", "float64"), real((4, 5), "v", "float64")
    (y,) = call(name, [x], {"dim": 1})
    through = one(name + "_backward", [tg.from_numpy(g), y], {"dim": 1}, tg.from_numpy(v), 1)
    got = one(name, [x], {"dim": 1}, through)
    np.testing.assert_allclose(
        got.numpy(), second_by_torch(torch, lambda t: getattr(torch, name)(t, 1), x_, g, v), rtol=1e-11, atol=1e-12
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_second_order_losses(torch: Any, reduction: str) -> None:
    functional = torch.nn.functional
    x, x_ = both(torch, real((6, 4), "x", "float64", -3, 3))
    v = real((6, 4), "v", "float64")
    labels = np.array([0, 3, 2, -100, 1, 1])
    weight = real(4, "w", "float64", 0.5, 2)
    attrs = {"reduction": reduction, "label_smoothing": 0.25}
    g = real((6,) if reduction == "none" else (), "g", "float64")
    target, w = tg.from_numpy(labels), tg.from_numpy(weight)
    _, lse, total = call("native_cross_entropy", [x, target, w], attrs)
    got = one("cross_entropy_backward", [tg.from_numpy(g), x, target, lse, total, w], attrs, tg.from_numpy(v), 1)
    want = second_by_torch(
        torch,
        lambda t: functional.cross_entropy(t, torch.from_numpy(labels), torch.from_numpy(weight), **attrs),
        x_,
        g,
        v,
    )
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-11, atol=1e-12)

    truth, positive = real((6, 4), "t", "float64", 0, 1), real(4, "p", "float64", 0.5, 2)
    g = real((6, 4) if reduction == "none" else (), "g", "float64")
    t, p = tg.from_numpy(truth), tg.from_numpy(positive)
    got = one(BCE + "_backward", [tg.from_numpy(g), x, t, w, p], {"reduction": reduction}, tg.from_numpy(v), 1)
    want = second_by_torch(
        torch,
        lambda z: functional.binary_cross_entropy_with_logits(
            z,
            torch.from_numpy(truth),
            torch.from_numpy(weight),
            reduction=reduction,
            pos_weight=torch.from_numpy(positive),
        ),
        x_,
        g,
        v,
    )
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-11, atol=1e-12)


def test_second_order_batch_norm(torch: Any) -> None:
    x, x_ = both(torch, real((6, 3, 2), "x", "float64"))
    g, v, w = real((6, 3, 2), "g", "float64"), real((6, 3, 2), "v", "float64"), real(3, "w", "float64")
    _, mean, invstd, _, _ = call("native_batch_norm", [x, None, None, None, None], {"training": True})
    weight = tg.from_numpy(w)
    inputs_ = [tg.from_numpy(g), x, mean, invstd, weight]
    outputs = call("batch_norm_backward", inputs_, {})
    got = _vjp.RULES["batch_norm_backward"].function(
        [tg.from_numpy(v), None, None], inputs_, outputs, (), [False, True, False, False, False]
    )[1]
    want = second_by_torch(
        torch, lambda t: torch.nn.functional.batch_norm(t, None, None, torch.from_numpy(w), training=True), x_, g, v
    )
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-9, atol=1e-10)


def test_rules_are_made_of_rows_alone() -> None:
    """Nothing of a rule leaves the table, or a tape would not see it: no numpy, no Python numbers taken from tensors."""
    for path in sorted(Path(_vjp.__file__).parent.glob("*.py")):
        text = path.read_text()
        for word in ("numpy", ".item(", ".tolist(", "float(g", "bool("):
            assert word not in text, f"{path.name} has {word}"


def test_the_gradient_of_a_number_has_its_dtype() -> None:
    """x[index] = number casts the number; its gradient is cast back."""
    number, indices = tg.tensor(2.0, dtype=tg.float64), tg.tensor([0, 2])
    found = _vjp.RULES["native_index_put"].function(
        (tg.ones(3),), (tg.zeros(3), number, indices), (None,), (0, False, True), (False, True, False)
    )
    assert found[1] is not None
    assert found[1].dtype is tg.float64
    assert found[1].item() == 2
