"""Module: its tree, attributes, state, hooks, text and copies, as PyTorch's."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)
        self.out = nn.Linear(3, 1, bias=False)
        self.scale = nn.Parameter(tg.ones(1))
        self.register_buffer("count", tg.zeros(2))
        self.register_buffer("scratch", tg.zeros(4), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.out(tg.tanh(self.norm(self.hidden(x)))) * self.scale


def torch_net() -> Any:
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.hidden = torch.nn.Linear(2, 3)
            self.norm = torch.nn.BatchNorm1d(3)
            self.out = torch.nn.Linear(3, 1, bias=False)
            self.scale = torch.nn.Parameter(torch.ones(1))
            self.register_buffer("count", torch.zeros(2))
            self.register_buffer("scratch", torch.zeros(4), persistent=False)

    return Net()


def shapes(tensors: Any) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(t.shape)) for name, t in tensors]


def test_tree_is_that_of_torch() -> None:
    mine, other = Net(), torch_net()
    assert shapes(mine.named_parameters()) == shapes(other.named_parameters())
    assert shapes(mine.named_parameters(prefix="p", recurse=False)) == shapes(
        other.named_parameters(prefix="p", recurse=False)
    )
    assert shapes(mine.named_buffers()) == shapes(other.named_buffers())
    assert [n for n, _ in mine.named_modules()] == [n for n, _ in other.named_modules()]
    assert [n for n, _ in mine.named_children()] == [n for n, _ in other.named_children()]
    assert shapes(mine.state_dict().items()) == shapes(other.state_dict().items())
    assert repr(mine) == repr(other)


def test_shared_parts_are_listed_once() -> None:
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    assert len(list(net.parameters())) == 2
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert len(list(net.modules())) == 3
    assert len(list(net.children())) == 2
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


# ---- attributes


def test_attributes_change_their_kind() -> None:
    m = nn.Module()
    m.x = 3
    m.x = nn.Parameter(tg.zeros(2))
    assert "x" in m._parameters
    assert "x" not in m.__dict__
    m.x = None
    assert m.x is None
    assert "x" in m._parameters
    with pytest.raises(TypeError, match="cannot assign a Tensor as parameter 'x'"):
        m.x = tg.zeros(2)
    del m.x
    m.x = tg.zeros(2)  # a plain attribute
    assert not list(m.buffers())
    m.register_buffer("b", tg.zeros(2))
    m.b = tg.ones(3)
    assert shapes(m.named_buffers()) == [("b", (3,))]
    with pytest.raises(TypeError, match="as buffer 'b'"):
        m.b = 3
    m.c = nn.Buffer(tg.zeros(1), persistent=False)
    assert list(m.state_dict()) == ["b"]
    m.b = nn.Linear(1, 1)
    assert list(m._modules) == ["b"]
    with pytest.raises(TypeError, match="as module 'b'"):
        m.b = 3
    m.b = None
    assert m._modules == {"b": None}
    with pytest.raises(AttributeError, match="'Module' object has no attribute 'nothing'"):
        _ = m.nothing
    with pytest.raises(AttributeError):
        del m.nothing
    assert {"c", "b", "training", "forward"} <= set(dir(m))


def test_registering_is_checked() -> None:
    m = nn.Module()
    with pytest.raises(KeyError, match="no dot"):
        m.register_parameter("a.b", None)
    with pytest.raises(KeyError, match="empty"):
        m.register_buffer("", tg.zeros(1))
    with pytest.raises(KeyError, match="already exists"):
        m.register_parameter("training", nn.Parameter(tg.zeros(1)))
    with pytest.raises(TypeError, match="expected a Parameter"):
        m.register_parameter("a", tg.zeros(1))
    with pytest.raises(TypeError, match="expected a Tensor"):
        m.register_buffer("a", 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not a Module"):
        m.add_module("a", 3)  # type: ignore[arg-type]

    class Early(nn.Module):
        def __init__(self) -> None:
            self.p = nn.Parameter(tg.zeros(1))

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Early()
    with pytest.raises(TypeError, match="does not take"):
        nn.Module(3)
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)


def test_parameters_and_buffers_are_marked_tensors() -> None:
    p = nn.Parameter(tg.ones(2))
    assert isinstance(p, nn.Parameter)
    assert isinstance(p, tg.Tensor)
    assert not isinstance(p, nn.Buffer)
    assert not isinstance(tg.ones(2), nn.Parameter)
    assert not isinstance(p.detach(), nn.Parameter)
    assert p.requires_grad
    assert p.is_leaf
    assert not nn.Parameter(tg.ones(2), requires_grad=False).requires_grad
    assert repr(p) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    with pytest.raises(RuntimeError, match="floating"):
        nn.Parameter(tg.arange(2))
    with pytest.raises(TypeError, match="expected a Tensor"):
        nn.Parameter([1.0])  # type: ignore[arg-type]
    made = nn.Parameter(tg.ones(2)) * 2
    assert not isinstance(made, nn.Parameter)


def test_paths() -> None:
    net = nn.Sequential(nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)))
    assert net.get_submodule("") is net
    assert net.get_submodule("0.0") is net[0][0]
    assert net.get_parameter("0.0.weight") is net[0][0].weight
    assert net.get_buffer("0.1.running_mean") is net[0][1].running_mean
    for wrong, get in (
        ("0.7", net.get_submodule),
        ("0.0.weight", net.get_submodule),
        ("0.0.no", net.get_parameter),
        ("0.1.running_mean", net.get_parameter),
        ("0.0.weight", net.get_buffer),
    ):
        with pytest.raises(AttributeError):
            get(wrong)
    net.set_submodule("0.1", nn.Identity())
    assert isinstance(net[0][1], nn.Identity)
    with pytest.raises(ValueError, match="path"):
        net.set_submodule("", nn.Identity())


# ---- all at once


def test_train_apply_freeze() -> None:
    net, order = Net(), []
    net.apply(lambda m: order.append(type(m).__name__))
    assert order == ["Linear", "BatchNorm1d", "Linear", "Net"]
    assert not any(m.training for m in net.eval().modules())
    assert all(m.training for m in net.train().modules())
    with pytest.raises(ValueError, match="boolean"):
        net.train(1)  # type: ignore[arg-type]
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())


def test_zero_grad() -> None:
    net = nn.Linear(2, 1)
    net(tg.ones(3, 2)).sum().backward()
    kept = net.weight.grad
    net.zero_grad(set_to_none=False)
    assert net.weight.grad is not None
    assert net.weight.grad.tolist() == [[0.0, 0.0]]
    assert kept.tolist() == [[0.0, 0.0]]
    net.zero_grad()
    assert net.weight.grad is None


def test_to_another_dtype_keeps_the_objects() -> None:
    net = Net()
    net(tg.randn(4, 2)).sum().backward()
    before = list(net.parameters())
    net.to(tg.float64)
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {p.dtype for p in net.parameters()} == {tg.float64}
    assert {p.grad.dtype for p in net.parameters()} == {tg.float64}
    assert all(isinstance(p, nn.Parameter) and p.requires_grad and p.is_leaf for p in net.parameters())
    assert net.norm.num_batches_tracked.dtype is tg.int64
    assert net.norm.running_mean.dtype is tg.float64
    net.zero_grad()
    net(tg.randn(4, 2, dtype=tg.float64)).sum().backward()
    assert net.float().hidden.weight.dtype is tg.float32
    assert net.double().to(tg.zeros(1)).hidden.weight.dtype is tg.float32
    assert net.to("cpu").hidden.weight.dtype is tg.float32
    with pytest.raises(TypeError, match="only accepts floating point"):
        net.to(tg.int64)


# ---- state


def test_state_goes_both_ways() -> None:
    torch = pytest.importorskip("torch")
    mine, other = Net().eval(), torch_net().eval()
    keys = mine.load_state_dict({k: v.numpy() for k, v in other.state_dict().items()})
    assert repr(keys) == "<All keys matched successfully>"
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(mine.state_dict()[name].numpy(), value.numpy())
    other.load_state_dict({k: torch.tensor(v.numpy()) for k, v in mine.state_dict().items()})
    assert mine.load_state_dict(other.state_dict()).missing_keys == []  # torch's own tensors


def test_misfits_are_named_at_once_and_change_nothing() -> None:
    net = Net()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = {k: v + 1 for k, v in net.state_dict().items()}
    state["hidden.weight"] = tg.zeros(3, 3)
    state["norm.bias"] = "text"
    del state["out.weight"], state["count"]
    state["other.x"] = tg.zeros(1)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert 'Missing key(s) in state_dict: "count", "out.weight".' in text
    assert text.index("Missing") < text.index("Unexpected") < text.index("size mismatch")  # as PyTorch lists them
    assert 'Unexpected key(s) in state_dict: "other.x".' in text
    assert "size mismatch for hidden.weight" in text
    assert '"norm.bias"' in text
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict(state, strict=False)
    for name, value in net.state_dict().items():
        assert tg.equal(value, before[name])
    del state["hidden.weight"], state["norm.bias"]
    keys = net.load_state_dict(state, strict=False)
    assert sorted(keys.missing_keys) == ["count", "hidden.weight", "norm.bias", "out.weight"]
    assert keys.unexpected_keys == ["other.x"]
    assert tg.equal(net.scale, before["scale"] + 1)
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict([1])  # type: ignore[arg-type]


def test_state_shares_memory_and_keeps_vars() -> None:
    layer = nn.Linear(2, 1)
    state = layer.state_dict()
    assert not state["weight"].requires_grad
    with tg.no_grad():
        layer.weight.fill_(7.0)
    assert state["weight"].tolist() == [[7.0, 7.0]]
    assert layer.state_dict(keep_vars=True)["weight"] is layer.weight
    assert list(layer.state_dict(prefix="a.")) == ["a.weight", "a.bias"]


def test_assigning_state() -> None:
    layer = nn.Linear(2, 1)
    given = {"weight": tg.ones(1, 2, dtype=tg.float64), "bias": tg.ones(1, dtype=tg.float64)}
    layer.load_state_dict(given, assign=True)
    assert layer.weight.dtype is tg.float64
    assert isinstance(layer.weight, nn.Parameter)
    assert layer.weight.data_ptr() == given["weight"].data_ptr()


def test_extra_state_and_hooks_of_state() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n = 1

        def get_extra_state(self) -> Any:
            return {"n": self.n}

        def set_extra_state(self, state: Any) -> None:
            self.n = state["n"]

    a, b = nn.Sequential(Counting()), nn.Sequential(Counting())
    a[0].n = 5
    assert list(a.state_dict()) == ["0._extra_state"]
    b.load_state_dict(a.state_dict())
    assert b[0].n == 5

    layer, seen = nn.Linear(1, 1), []
    layer.register_state_dict_pre_hook(lambda module, prefix, keep: seen.append("pre"))
    layer.register_state_dict_post_hook(lambda module, state, prefix, _: state.pop("bias"))
    assert list(layer.state_dict()) == ["weight"]

    def rename(module: Any, state: Any, prefix: str, *rest: Any) -> None:
        state["bias"] = state.pop("b")

    layer.register_load_state_dict_pre_hook(rename)
    layer.register_load_state_dict_post_hook(lambda module, keys: seen.append("loaded"))
    given = {"weight": tg.ones(1, 1), "b": tg.ones(1)}
    layer.load_state_dict(given)
    assert seen == ["pre", "loaded"]
    assert layer.bias.tolist() == [1.0]
    assert list(given) == ["weight", "b"]


# ---- hooks


def test_forward_hooks() -> None:
    layer, order = nn.Linear(1, 1, bias=False), []
    with tg.no_grad():
        layer.weight.fill_(2.0)
    x = tg.ones(1, 1)
    pre = layer.register_forward_pre_hook(lambda m, args: order.append("pre") or (args[0] * 10,))
    post = layer.register_forward_hook(lambda m, args, y: order.append("post") or y + args[0])
    first = layer.register_forward_hook(lambda m, args, y: order.append("first"), prepend=True)
    assert layer(x).item() == 30.0
    assert order == ["pre", "first", "post"]
    first.remove()
    with post:
        pass
    assert layer(x).item() == 20.0
    pre.remove()
    assert layer(x).item() == 2.0


def test_hooks_with_kwargs_and_after_errors() -> None:
    class Scaled(nn.Module):
        def forward(self, x: Any, *, by: float = 1.0) -> Any:
            if by < 0:
                raise ValueError("negative")
            return x * by

    m, seen = Scaled(), []
    m.register_forward_pre_hook(lambda mod, args, kwargs: (args, {"by": kwargs["by"] + 1}), with_kwargs=True)
    m.register_forward_hook(lambda mod, args, kwargs, y: seen.append(kwargs["by"]), with_kwargs=True)
    m.register_forward_hook(lambda mod, args, y: seen.append(y), always_call=True)
    assert m(tg.ones(1), by=2.0).item() == 3.0
    assert seen[0] == 3.0
    with pytest.raises(ValueError, match="negative"):
        m(tg.ones(1), by=-5.0)
    assert seen[-1] is None
    m.register_forward_pre_hook(lambda mod, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="pre-hook"):
        m(tg.ones(1), by=2.0)


def run_backward_hooks(lib: Any) -> list[Any]:
    seen: list[Any] = []
    layer = lib.nn.Linear(2, 1, bias=False)
    with lib.no_grad():
        layer.weight.fill_(3.0)
    layer.register_full_backward_hook(lambda m, gi, go: seen.append(("full", gi[0].tolist(), go[0].tolist())))
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))
    layer.register_full_backward_pre_hook(lambda m, go: seen.append(("pre", go[0].tolist())))
    layer.register_full_backward_pre_hook(lambda m, go: (go[0] * 5,))
    x = lib.ones(1, 2).requires_grad_()
    (layer(x) * 7).sum().backward()
    seen.append((x.grad.tolist(), layer.weight.grad.tolist()))
    return seen


def test_backward_hooks_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    assert run_backward_hooks(tg) == run_backward_hooks(torch)


def test_backward_hook_without_learning_inputs_warns() -> None:
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].tolist())))
    y = layer(tg.ones(1, 2)).sum()
    with pytest.warns(UserWarning, match="no inputs require gradients"):
        y.backward()
    assert seen == [((None,), [[1.0]])]
    layer.register_full_backward_hook(lambda m, gi, go: (None, None))
    x = tg.ones(1, 2).requires_grad_()
    with pytest.raises(RuntimeError, match="invalid number"):
        layer(x).sum().backward()


def test_calls_with_hooks_leave_nothing_behind() -> None:
    import gc
    import weakref

    layer = nn.Linear(2, 2)
    layer.register_full_backward_hook(lambda m, gi, go: None)
    x = tg.ones(1, 2).requires_grad_()
    gc.disable()
    try:
        y = layer(x).sum()
        dies = weakref.ref(y)
        y.backward()
        del y
        assert dies() is None
    finally:
        gc.enable()


# ---- text and copies


def test_extra_lines_of_repr() -> None:
    class Noted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(1, 2))

        def extra_repr(self) -> str:
            return "a=1\nb=2"

    assert repr(Noted()) == (
        "Noted(\n  a=1\n  b=2\n  (inner): Sequential(\n"
        "    (0): Linear(in_features=1, out_features=2, bias=True)\n  )\n)"
    )


@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
def test_copies_are_whole_and_apart(how: str) -> None:
    net = Net().eval()
    net.out.weight.requires_grad_(False)
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    make = copy.deepcopy if how == "deepcopy" else lambda m: pickle.loads(pickle.dumps(m))
    other = make(net)
    x = tg.randn(4, 2)
    assert tg.equal(net(x), other(x))
    assert not other.training
    assert [p.requires_grad for p in net.parameters()] == [p.requires_grad for p in other.parameters()]
    assert all(isinstance(p, nn.Parameter) for p in other.parameters())
    assert list(other.state_dict()) == list(net.state_dict())
    with tg.no_grad():
        other.hidden.weight.add_(1)
    assert not tg.equal(net(x), other(x))
    again = make(tied)
    assert again[0].weight is again[1].weight


def test_copies_of_what_has_a_history() -> None:
    """As in PyTorch: deepcopy refuses it, a pickle holds a leaf."""
    y = nn.Parameter(tg.ones(2)) * 2
    with pytest.raises(RuntimeError, match="expected a leaf"):
        copy.deepcopy(y)
    z = pickle.loads(pickle.dumps(y))
    assert (z.tolist(), z.requires_grad, z.is_leaf) == ([2.0, 2.0], True, True)


def test_state_has_the_versions_of_layouts() -> None:
    torch = pytest.importorskip("torch")

    def made(lib: Any) -> Any:
        return lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.Sequential(lib.nn.BatchNorm1d(3)))

    state, other = made(tg).state_dict(), made(torch).state_dict()
    assert {k: dict(v) for k, v in state._metadata.items()} == {k: dict(v) for k, v in other._metadata.items()}
    assert pickle.loads(pickle.dumps(state))._metadata == copy.deepcopy(state)._metadata == state._metadata

    class Renamed(nn.Linear):
        _version = 3

    seen: list[Any] = []
    layer = nn.Sequential(Renamed(2, 3))
    layer[0].register_load_state_dict_pre_hook(lambda m, state, prefix, local, *rest: seen.append((prefix, local)))
    layer.load_state_dict(layer.state_dict())
    layer.load_state_dict(dict(layer.state_dict()))
    assert seen == [("0.", {"version": 3}), ("0.", {})]


def test_new_memory_for_all_numbers() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    held, names = list(net.parameters()), {k: (v.shape, v.dtype) for k, v in net.state_dict().items()}
    assert net.to_empty(device="cpu") is net
    assert {k: (v.shape, v.dtype) for k, v in net.state_dict().items()} == names
    assert all(p is q for p, q in zip(net.parameters(), held, strict=True))
    with pytest.raises(RuntimeError, match="device is 'cuda:63', "):
        net.to_empty(device="cuda:63")


def test_a_module_under_two_names_is_listed_twice_if_asked() -> None:
    inner = nn.ReLU()
    net = nn.Sequential(inner, inner)
    assert len(list(net.modules())) == 2
    assert len(list(net.modules(remove_duplicate=False))) == 3


def test_batches_need_not_be_counted_in_a_state_of_unknown_version() -> None:
    torch = pytest.importorskip("torch")
    for lib in (tg, torch):
        norm = lib.nn.Sequential(lib.nn.BatchNorm1d(2))
        norm(lib.ones(3, 2))
        state = {k: v.clone() + 1 for k, v in norm.state_dict().items() if "batches" not in k}
        assert norm.load_state_dict(state).missing_keys == []
        assert norm[0].num_batches_tracked.item() == 1
        assert norm[0].bias.tolist() == [1.0, 1.0]
        whole = norm.state_dict()
        del whole["0.num_batches_tracked"]  # its version says that it should be there
        with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: .0.num_batches_tracked"):
            norm.load_state_dict(whole)


def test_a_scalar_that_was_saved_with_an_axis_is_loaded() -> None:
    norm = nn.BatchNorm1d(2)
    state = dict(norm.state_dict())
    norm.load_state_dict({**state, "num_batches_tracked": tg.tensor([5])})
    assert norm.num_batches_tracked.item() == 5
    with pytest.raises(RuntimeError, match="size mismatch for num_batches_tracked"):
        norm.load_state_dict({**state, "num_batches_tracked": tg.tensor([5, 6])})


def test_ordered_dict_state_is_not_needed() -> None:
    layer = nn.Linear(1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer.load_state_dict(OrderedDict(layer.state_dict()))
        layer.load_state_dict(dict(layer.state_dict()))


def test_data_is_replaced_as_scripts_do() -> None:
    p = nn.Parameter(tg.ones(2))
    (p * 3).sum().backward()
    p.data -= 0.5 * p.grad
    assert p.tolist() == [-0.5, -0.5]
    p.data = tg.zeros(3)
    assert p.shape == (3,)
    assert p.is_leaf
    assert isinstance(p, nn.Parameter)
    for wrong, error in ((3, TypeError), (tg.arange(3), RuntimeError)):
        with pytest.raises(error, match=r"\[data\]"):
            p.data = wrong
    with pytest.raises(RuntimeError, match="expected a leaf"):
        (p * 2).data = tg.zeros(3)
