"""graph(): the recorded graph as text and for Graphviz, with values and partial derivatives."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn


def leaf(*values: Any) -> Any:
    return tg.tensor(values if len(values) > 1 else values[0], dtype=tg.float64).requires_grad_()


def test_text_has_each_quantity_once_with_value_and_partial() -> None:
    x = leaf(3.0)
    a = x * 2
    text = str(tg.graph(a * a + a, names={"x": x, "a": a}))
    assert text.splitlines() == [
        "    made by     value  partial",
        "x   leaf        3      26",
        "a   mul(x, 2)   6      13",
        "%2  mul(a, a)   36     1",
        "%3  add(%2, a)  42     1",
    ]


def test_values_and_partials_are_those_of_the_calls() -> None:
    """Everything in between, whether or not a gradient needs it: linear steps keep nothing."""
    x, w = leaf(0.3, -1.2, 0.8), leaf([[1.0, 2.0, -1.0], [0.5, -0.3, 0.7]])
    steps = {"u": x + 1, "v": 3 - x}
    steps["s"] = steps["u"] - steps["v"]
    steps["t"] = steps["s"].reshape(3, 1)
    steps["m"] = w @ steps["t"]
    steps["T"] = steps["m"].T
    steps["e"] = steps["T"].expand(4, 2)
    steps["c"] = tg.cat([steps["e"], steps["T"] / 2])
    steps["p"] = steps["c"][1:, :1]
    steps["k"] = steps["p"].clone()
    steps["y"] = steps["k"].sum()
    want = {name: t.detach().numpy() for name, t in steps.items()}
    grads = dict(zip(steps, tg.autograd.grad(steps["y"], list(steps.values()), retain_graph=True), strict=True))
    y, names = steps.pop("y"), dict(steps, x=x, w=w)
    found = tg.graph(y, names=names)
    for name, entry in ((n, found[n]) for n in names if n not in "xw"):
        np.testing.assert_array_equal(entry.value.numpy(), want[name], err_msg=name)
        np.testing.assert_array_equal(entry.partial.numpy(), grads[name].numpy(), err_msg=name)
    assert x.grad is None
    y.backward()
    np.testing.assert_array_equal(found["x"].partial.numpy(), x.grad.numpy())
    np.testing.assert_array_equal(found["w"].partial.numpy(), w.grad.numpy())


def test_values_of_what_is_held_by_nobody() -> None:
    x = leaf(0.5)
    found = tg.graph((((x + 1) * 2 - 3) / 4).exp())
    assert [e.value.item() for e in found] == [0.5, 1.5, 3.0, 0.0, 0.0, 1.0]
    assert [e.op for e in found] == [None, "add", "mul", "sub", "div", "exp"]
    assert found["%3"].expression() == "sub(%2, 3)"


def test_a_network_shows_its_parameters() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    loss = nn.functional.mse_loss(net(tg.ones(5, 2)), tg.zeros(5, 1))
    found = tg.graph(loss, names=dict(net.named_parameters()))
    loss.backward()
    for name, p in net.named_parameters():
        assert tg.equal(found[name].value, p)
        assert tg.equal(found[name].partial, p.grad)


def test_looking_leaves_running_statistics_alone() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    y = net(tg.randn(4, 3))
    want, before = y.tolist(), {k: v.clone() for k, v in net.state_dict().items()}
    z = (y * 2).sum()
    del y
    found = tg.graph(z, names=dict(net.named_parameters()))
    assert found.nodes[-3].value.tolist() == want
    assert found.nodes[-3].expression().startswith("native_batch_norm(%1, (2,), (2,), 1.weight, 1.bias")
    assert all(tg.equal(v, before[k]) for k, v in net.state_dict().items())


def test_overwritten_values_are_not_made_up() -> None:
    """After a step the leaf has other values: what was computed from the old ones cannot be computed again."""
    x = leaf(1.0)
    y = (x + 1) + 1
    with tg.no_grad():
        x.add_(10)
    found = tg.graph(y)
    assert (found["x1"].value.item(), found["%1"].value, found["%2"].value.item()) == (11.0, None, 3.0)
    z = x * 2
    z.add_(1)
    assert [e.value.item() for e in tg.graph(z)] == [11.0, 22.0, 23.0]


def test_writes_into_views() -> None:
    x, v = leaf(1.0, 2.0, 3.0), leaf(5.0)
    y = x * 1
    y[1] = v
    found = tg.graph(y.sum(), names={"x": x, "v": v})
    assert found["x"].partial.tolist() == [1.0, 0.0, 1.0]
    assert found["v"].partial.item() == 1.0
    assert found.nodes[-1].value.item() == 9.0


def test_several_outputs() -> None:
    x = leaf(3.0, 1.0, 2.0)
    values, _ = tg.sort(x)
    found = tg.graph((values * tg.tensor([1.0, 10.0, 100.0], dtype=tg.float64)).sum())
    assert found["x1"].partial.tolist() == [100.0, 1.0, 10.0]


def test_a_mask_is_drawn_again_as_it_was() -> None:
    x = tg.ones(6).requires_grad_()
    y = tg.nn.functional.dropout(x)
    kept = y.tolist()
    total = (y.reshape(2, 3) + 1).sum()
    del y
    entry = next(e for e in tg.graph(total) if "dropout" in str(e.op))
    assert entry.value.tolist() == kept


def test_gradient_weighs_an_output_of_several_elements() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    found = tg.graph(y)
    assert [e.partial for e in found] == [None, None]
    assert found.note == "no partials: y has shape (2,); pass the gradient of your loss with respect to it"
    found = tg.graph(y, gradient=tg.tensor([1.0, 10.0], dtype=tg.float64))
    assert found["x1"].partial.tolist() == [2.0, 40.0]
    with pytest.raises(RuntimeError, match=r"\[graph\] the gradient has shape \(3,\)"):
        tg.graph(y, gradient=tg.ones(3, dtype=tg.float64))


def test_after_a_backward_pass() -> None:
    x = leaf(2.0)
    y = (x * x).exp()
    y.backward(retain_graph=True)
    assert tg.graph(y)["%1"].partial.item() == pytest.approx(np.exp(4.0))
    y.backward()
    found = tg.graph(y)
    assert "a backward pass has freed the graph" in str(found)
    assert found["x1"].partial.item() == x.grad.item()
    assert found["%1"].partial is None


def test_what_hinders_the_backward_pass_is_said() -> None:
    x = leaf(1.0, 2.0)
    a = x * 2
    y = (a * a).sum()
    a.add_(1)
    found = tg.graph(y)
    assert found.note.startswith("no partials: [backward] input 0 of mul, shape (2,), was changed in place")
    assert found["%2"].value.tolist() == [4.0, 16.0]


def test_functions_of_python() -> None:
    class Cube(tg.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad * 3 * ctx.saved_tensors[0] ** 2

    x = leaf(2.0)
    found = tg.graph(Cube.apply(x) * 10)
    assert found["x1"].partial.item() == 120.0
    assert found.nodes[-1].value.item() == 80.0


def test_a_leaf_alone_and_what_has_no_graph() -> None:
    assert [(e.name, e.partial.item()) for e in tg.graph(leaf(2.0))] == [("x1", 1.0)]
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        tg.graph(tg.ones(2))
    with pytest.raises(TypeError, match="got a float"):
        tg.graph(2.0)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        tg.graph(leaf(2.0))["z"]


def test_large_tensors_are_elided() -> None:
    x = tg.arange(1000, dtype=tg.float64).reshape(10, 100).requires_grad_()
    text = str(tg.graph((x * 2).sum()))
    assert "(10, 100) 0 … 1998" in text
    assert "(20,) 1 … 1" in str(tg.graph(tg.ones(20, dtype=tg.float16).requires_grad_().float().sum()))
    assert "(20,) nan … nan" in str(tg.graph(tg.full((20,), np.nan).requires_grad_().sum()))
    assert "(0, 3)" in str(tg.graph(tg.zeros(0, 3).requires_grad_().sum()))
    assert max(map(len, text.splitlines())) < 100


def test_dot() -> None:
    x = leaf(3.0)
    a = x * 2
    drawing = tg.graph(a * a + a, names={"x": x, 'a "b" \\': a}).dot()
    assert drawing.startswith("digraph {\n")
    labels = dict(re.findall(r'^  (n\d+) \[label="(.*)"', drawing, re.MULTILINE))
    arrows = re.findall(r"^  (n\d+) -> (n\d+)$", drawing, re.MULTILINE)
    assert labels == {
        "n0": r"x\n3\n∂ 26",
        "n1": r"a \"b\" \\ = mul(x, 2)\n6\n∂ 13",
        "n2": r"%2 = mul(a \"b\" \\, a \"b\" \\)\n36\n∂ 1",
        "n3": r"%3 = add(%2, a \"b\" \\)\n42\n∂ 1",
    }
    assert arrows == [("n0", "n1"), ("n1", "n2"), ("n1", "n2"), ("n2", "n3"), ("n1", "n3")]
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=drawing.encode(), capture_output=True, check=True)


def test_a_chain_of_100000() -> None:
    limit = sys.getrecursionlimit()
    x = leaf(0.0)
    y = x
    for _ in range(100_000):
        y = y + 1
    found = tg.graph(y)
    assert len(found) == 100_001
    assert found["x1"].partial.item() == 1.0
    assert found["%50000"].value.item() == 50_000.0
    assert str(found).count("\n") == 100_001
    assert found.dot().count("->") == 100_000
    assert len(repr(found).splitlines()) == 62
    assert "... 99941 more" in repr(found)
    assert sys.getrecursionlimit() == limit
