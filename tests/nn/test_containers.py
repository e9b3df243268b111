"""Sequential, lists and dicts, as PyTorch's."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

import trigrad as tg
from trigrad import nn

torch = pytest.importorskip("torch")


def each(build: Any) -> tuple[Any, Any]:
    return build(tg), build(torch)


def names(module: Any) -> list[str]:
    return list(module.state_dict())


def test_sequential_is_edited_as_torchs() -> None:
    def build(lib: Any) -> Any:
        L, R = lib.nn.Linear, lib.nn.ReLU
        net = lib.nn.Sequential(L(1, 2), R(), L(2, 3))
        net.append(R())
        net.insert(1, L(2, 2))
        net.extend([L(3, 4), L(4, 5)])
        net[-1] = L(4, 6)
        del net[1]
        net.pop(1)
        net += lib.nn.Sequential(R())
        return (net + lib.nn.Sequential(L(6, 1))) * 2

    mine, other = each(build)
    assert repr(mine) == repr(other)
    assert repr(mine[1:3]) == repr(other[1:3])
    assert repr(mine[-1]) == repr(other[-1])
    assert len(mine) == len(other)
    assert [type(m).__name__ for m in mine] == [type(m).__name__ for m in other]


def test_sequential_with_names() -> None:
    def build(lib: Any) -> Any:
        return lib.nn.Sequential(OrderedDict(a=lib.nn.Linear(1, 2), b=lib.nn.ReLU(), c=lib.nn.Linear(2, 1)))

    mine, other = each(build)
    assert repr(mine) == repr(other)
    assert repr(mine[:1]) == repr(other[:1])
    assert mine.a is mine[0]
    assert names(mine) == names(other)
    del mine[1], other[1]  # which takes the names away
    assert repr(mine) == repr(other)
    assert mine(tg.zeros(4, 1)).shape == (4, 1)


def test_places_are_checked() -> None:
    net = nn.Sequential(nn.ReLU())
    for wrong in (1, -2):
        with pytest.raises(IndexError, match="out of range"):
            net[wrong]
    with pytest.raises(TypeError, match="not a Module"):
        nn.Sequential(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not a Module"):
        net.append(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="add operator"):
        net + [nn.ReLU()]  # noqa: RUF005
    with pytest.raises(TypeError, match="extend"):
        nn.ModuleList().extend(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="factor"):
        net * 0
    with pytest.raises(NotImplementedError):
        nn.ModuleList()(1)


def test_module_list() -> None:
    def build(lib: Any) -> Any:
        L = lib.nn.Linear
        found = lib.nn.ModuleList([L(1, 1), L(1, 1)])
        found.append(lib.nn.ReLU())
        found.insert(1, L(1, 1))
        found.extend([L(2, 2)])
        found[0] = L(1, 1)
        del found[-2]
        found += [L(3, 3), L(3, 3)]
        return found

    mine, other = each(build)
    assert repr(mine) == repr(other)
    assert repr(mine[1:]) == repr(other[1:])
    assert names(mine) == names(other)
    assert repr(nn.ModuleList()) == repr(torch.nn.ModuleList())


def test_module_dict() -> None:
    def build(lib: Any) -> Any:
        found = lib.nn.ModuleDict({"a": lib.nn.Linear(1, 1), "b": lib.nn.ReLU()})
        found.update([("c", lib.nn.Linear(2, 2))])
        found["d"] = lib.nn.Tanh()
        del found["b"]
        found.pop("d")
        return found

    mine, other = each(build)
    assert repr(mine) == repr(other)
    assert list(mine.keys()) == list(mine) == ["a", "c"]
    assert "a" in mine
    assert len(mine) == 2
    assert [type(m).__name__ for m in mine.values()] == ["Linear", "Linear"]
    assert names(mine) == names(other)
    with pytest.raises(ValueError, match="length 1"):
        mine.update([("x",)])
    mine.clear()
    assert len(mine) == 0


def test_parameter_list() -> None:
    def build(lib: Any) -> Any:
        found = lib.nn.ParameterList([lib.zeros(2), lib.nn.Parameter(lib.zeros(2, 3))])
        found.append(lib.zeros(1))
        found.extend([lib.ones(4)])
        found += [lib.ones(5)]
        found[0] = lib.ones(7)
        return found

    mine, other = each(build)
    assert repr(mine).replace("trigrad", "torch") == repr(other)
    assert names(mine) == names(other)
    assert all(isinstance(p, nn.Parameter) for p in mine)
    assert len(mine[1:3]) == 2
    assert mine[-1].shape == (5,)
    with pytest.raises(IndexError):
        mine[9]


def test_parameter_dict() -> None:
    def build(lib: Any) -> Any:
        found = lib.nn.ParameterDict({"a": lib.zeros(2)})
        found["b"] = lib.ones(3)
        found.update({"c": lib.zeros(1)})
        found.setdefault("d", lib.zeros(4))
        found.pop("b")
        return found

    mine, other = each(build)
    assert names(mine) == names(other)
    assert list(mine) == list(other)
    assert isinstance(mine["a"], nn.Parameter)
    assert (mine | nn.ParameterDict({"z": tg.zeros(1)})).keys() == {"a": 0, "c": 0, "d": 0, "z": 0}.keys()
    assert mine.get("nothing") is None
    assert mine.popitem()[0] == "d"
    with pytest.raises(KeyError):
        mine["nothing"]
    with pytest.raises(KeyError, match="already exists"):
        mine["forward"] = tg.zeros(1)
    assert "(a): Parameter containing: [trigrad.float32 of size 2]" in repr(mine)
    with pytest.raises(RuntimeError, match="should not be called"):
        mine(1)


def test_lists_are_trained() -> None:
    weights = nn.ParameterList([tg.ones(2), tg.ones(2)])
    (weights[0] * 3 + weights[1]).sum().backward()
    assert [p.grad.tolist() for p in weights.parameters()] == [[3.0, 3.0], [1.0, 1.0]]
