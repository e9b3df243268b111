"""Arguments and results of compiled functions."""

from __future__ import annotations

import numpy as np
import pytest

import trigrad as tg
from compile.steps import after, assert_refused, assert_same, assert_twins, batches, net, twins, usual


def test_arrays_and_tensors_of_any_layout() -> None:
    t = twins()
    eager, compiled = usual(*t.eager), tg.compile(usual(*t.compiled))
    for bx, by in batches(4):
        assert_same(eager(bx, by), compiled(np.asfortranarray(bx.numpy()), by))
        both = tg.cat([bx, bx], 1)
        assert_same(eager(both[:, 6:], by), compiled(both[:, 6:], by))
    assert_twins(t)


def test_one_array_for_two_arguments() -> None:
    w = tg.tensor([2.0, 3.0])
    product = tg.compile(lambda a, b: (a * b + w).sum())
    x, y = tg.tensor([1.0, 2.0]), tg.tensor([5.0, 7.0])
    assert product(x, x).item() == 10.0
    assert product(x, y).item() == 24.0
    assert product(y, y).item() == 79.0


def test_python_numbers_as_arguments() -> None:
    scaled = tg.compile(lambda x, a, power=1: (x * a) ** power)
    x = tg.tensor([1.0, 2.0])
    assert scaled(x, 2.0).tolist() == [2.0, 4.0]
    assert scaled(x, 3.0).tolist() == [3.0, 6.0]
    assert scaled(x, 3.0, power=2).tolist() == [9.0, 36.0]
    assert scaled(x, 2.0).tolist() == [2.0, 4.0]
    assert scaled(x, 2).tolist() == [2.0, 4.0]


def test_nested_arguments_and_results() -> None:
    function = tg.compile(lambda batch, *rest: {"sum": batch["x"] + rest[0][1], "all": [batch["x"], rest, "text"]})
    for k in range(3):
        x, y, z = (tg.full((2,), float(10 * k + i)) for i in range(3))
        made = function({"x": x}, (z, y))
        assert made["sum"].tolist() == [20.0 * k + 1] * 2
        assert made["all"][0] is x
        assert made["all"][1][0][0] is z
        assert made["all"][2] == "text"


def test_result_that_is_a_view_of_an_argument_or_a_parameter() -> None:
    weight = tg.rand(3, 4)
    function = tg.compile(lambda x: (x[1:], x.T, weight, weight[0]))
    for k in range(3):
        x = tg.full((2, 2), float(k))
        tail, turned, whole, row = function(x)
        x.fill_(7.0)
        assert tail.tolist() == [[7.0, 7.0]]
        assert turned.tolist() == [[7.0, 7.0], [7.0, 7.0]]
        assert whole is weight
        assert_same(row, weight[0])


def test_arguments_written_in_place() -> None:
    function = tg.compile(lambda x: x.mul_(2).add_(1))
    for k in range(3):
        x = tg.full((3,), float(k))
        assert function(x) is x
        assert x.tolist() == [2.0 * k + 1] * 3


def test_gradient_of_an_argument() -> None:
    model = net()
    function = lambda x: model(x).sum().backward()
    compiled = tg.compile(function)
    for k in range(3):
        x = tg.full((4, 6), float(k)).requires_grad_()
        again = x.detach().clone().requires_grad_()
        function(x)
        model.zero_grad()
        compiled(again)
        model.zero_grad()
        assert_same(x.grad, again.grad)


def test_argument_that_is_part_of_a_graph() -> None:
    w = tg.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        tg.compile(lambda x: x.sum())(w * 2)


def test_arrays_that_are_no_arguments() -> None:
    array = np.ones((16, 6), np.float32)
    assert_refused(after(lambda loss, x, y: x + tg.from_numpy(array)), "expected the array as an argument")
    assert_refused(after(lambda loss, x, y: x * array), "expected the array as an argument")
