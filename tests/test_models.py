"""Files of whole models: each comes back as it was, or says why not."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from model_files import MODULES, assert_same, back, deep, instance, joined, parts, written
from trigrad import nn
from trigrad.nn import _architecture

# ---- all that trigrad.nn has


@pytest.mark.parametrize("name", MODULES)
def test_every_module(name: str) -> None:
    model = instance(name)
    state = tg.get_rng_state()
    again = back(model)
    assert_same(model, again)
    assert tg.equal(tg.get_rng_state(), state)


@pytest.mark.parametrize("name", MODULES)
def test_annotations_say_what_a_module_holds(name: str) -> None:
    model, of = instance(name), _architecture.fields(MODULES[name])
    held = {k for k in model.__dict__ if k not in _architecture.BOOKKEEPING}
    if name not in ("Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"):
        held |= {*model._parameters, *model._buffers, *model._modules}
        assert held == {*of.settings, *of.tensors, *of.modules}
    else:
        assert {k for k in held if not k.isdigit()} == set(of.settings)


@pytest.mark.parametrize("name", MODULES)
def test_shapes_follow_from_settings(name: str) -> None:
    model = instance(name)
    for parameter, shape in model._shapes().items():
        held = getattr(model, parameter)
        assert held is None or held.shape == shape
    own = {*model._parameters, *model._buffers}
    if own and name not in ("ParameterList", "ParameterDict") and not issubclass(MODULES[name], nn.losses._Loss):
        assert own <= set(model._shapes()) or name.startswith("Lazy")


def test_a_model() -> None:
    model = deep()
    again = back(model)
    assert_same(model, again)
    x = tg.randn(7, 4)
    assert tg.equal(model.eval()(x), again.eval()(x))
    optimizer = tg.optim.SGD([p for p in again.parameters() if p.requires_grad], lr=0.1)
    again(x).sum().backward()
    optimizer.step()
    assert not tg.equal(model[4].weight, again[4].weight)


def test_a_model_in_float64_among_other_things() -> None:
    model = deep().double()
    state = {
        "model": model,
        "others": [nn.ReLU(), (nn.Linear(2, 2), 3)],
        "scaler": tg.realtime.Scaler(scale=[1.0, 2.0]),
    }
    again = back(state)
    assert_same(model, again["model"])
    assert_same(state["others"][1][0], again["others"][1][0])
    assert again["scaler"].scale.tolist() == [1.0, 2.0]
    assert again["scaler"].low == -np.inf


def test_what_is_in_two_places_stays_one() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    model.append(model[0])
    again = back(model)
    assert again[2].weight is again[0].weight
    assert again[3] is again[0]
    assert len(list(again.parameters())) == len(list(model.parameters())) == 3
    assert_same(model, again)
    fresh = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    fresh[2].weight = fresh[0].weight
    fresh.append(fresh[0])
    assert_same(model, back(model, model=fresh))


def test_requires_grad_of_tensors() -> None:
    leaf, frozen = tg.ones(2, requires_grad=True), nn.Parameter(tg.ones(1), requires_grad=False)
    state = [leaf, leaf * 2, nn.Parameter(tg.zeros(3)), frozen, tg.zeros(1)]
    again = back(state)
    assert [t.requires_grad for t in again] == [True, True, True, False, False]
    assert [isinstance(t, nn.Parameter) for t in again] == [False, False, True, True, False]
    assert all(t.is_leaf for t in again)
    assert not any(t.requires_grad for t in back(nn.Linear(2, 2).state_dict()).values())


def test_values_beside_settings() -> None:
    model = nn.Linear(2, 2)
    model.note = "of run 7"
    model.range = (1, 2.5, float("nan"))
    again = back(model)
    assert again.note == "of run 7"
    assert repr(again.range) == repr(model.range)


def test_a_state_dict_is_what_other_libraries_see(tmp_path: Path) -> None:
    torch_like = pytest.importorskip("safetensors.numpy", reason="compares with the safetensors library")
    model = deep()
    tg.save(model, tmp_path / "model.safetensors")
    theirs = torch_like.load_file(tmp_path / "model.safetensors")
    assert set(theirs) == set(model.state_dict())
    for name, t in model.state_dict().items():
        assert theirs[name].tobytes() == t.numpy().tobytes()
    torch_like.save_file(theirs, tmp_path / "theirs.safetensors")
    fresh = deep()
    with tg.no_grad():
        for p in fresh.parameters():
            p.zero_()
    assert tg.load(tmp_path / "theirs.safetensors", model=fresh) is fresh
    for name, t in model.state_dict().items():
        assert tg.equal(t, fresh.state_dict()[name])


def test_pytorch_reads_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    files = pytest.importorskip("safetensors.torch", reason="compares with the safetensors library")
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    tg.save(model, tmp_path / "ours")
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    assert files.load_model(theirs, tmp_path / "ours") == (set(), [])
    assert theirs[2].weight.detach().numpy().tobytes() == model[2].weight.detach().numpy().tobytes()
    with torch.no_grad():
        theirs[2].weight.mul_(3)
    files.save_model(theirs, str(tmp_path / "theirs"))
    tg.load(tmp_path / "theirs", model=model)
    assert theirs[2].weight.detach().numpy().tobytes() == model[2].weight.detach().numpy().tobytes()


# ---- classes of the user's own


class Net(nn.Module):
    """One layer of its own class inside, a buffer that is not saved in state dicts, extra state."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, width), nn.Tanh())
        self.scale = nn.Parameter(tg.ones(width), requires_grad=False)
        self.register_buffer("steps", tg.zeros(1), persistent=False)
        self.notes: Any = ["one"]

    def forward(self, x: Any) -> Any:
        return self.body(x) * self.scale

    def get_extra_state(self) -> Any:
        return {"notes": self.notes, "numbers": tg.arange(3)}

    def set_extra_state(self, state: Any) -> None:
        self.notes = state["notes"]


def test_a_class_of_ones_own() -> None:
    model = Net()
    model.notes, model.body[0].bias = ["two"], None
    model.steps.fill_(7)
    model.body.eval()
    with pytest.raises(ValueError, match=r"holds a Net \(.*Net\), which is a class of your own: give the model"):
        back(model)
    with pytest.raises(ValueError, match=r"holds a Net \(.*Net at '1'\)"):
        back(nn.Sequential(nn.ReLU(), model))
    fresh = Net()
    fresh.body[0].bias = None
    again = back(model, model=fresh)
    assert again is fresh
    assert again.notes == ["two"]
    assert again.steps.item() == 7
    assert not again.scale.requires_grad
    assert_same(model.body, again.body)
    net = Net()
    assert_same(net, back(net, model=Net))
    assert back({"model": Net(3), "epoch": 2}, model=lambda: Net(3))["epoch"] == 2


def changed(change: Callable[[Any], Any]) -> Any:
    model = deep()
    made = change(model)
    return model if made is None or not isinstance(made, nn.Module) else made


MISFITS: dict[str, Callable[[Any], Any]] = {
    "0 is a DropConnect, but a Linear in the file": lambda m: m.__setitem__(0, nn.DropConnect(4, 8)),
    r"4 \(Linear\) has out_features = 5, but 3 in the file": lambda m: m.__setitem__(4, nn.Linear(8, 5)),
    r"4 \(Linear\) has the parameters \['weight'\], but \['bias', 'weight'\]": lambda m: m.__setitem__(
        4, nn.Linear(8, 3, False)
    ),
    r"\(Sequential\) has the modules \['0', '1', '2', '3', '4', '5'\], but": lambda m: m.append(nn.ReLU()),
    r"has a weight \(8, 4\) of trigrad.float64, but \(8, 4\) of trigrad.float32": lambda m: m.double(),
    "2.body.1 .Dropout. has p = 0.3, but 0.2 in the file": lambda m: setattr(m[2].body[1], "p", 0.3),
    "the model is a Linear, but a Sequential in the file": lambda m: nn.Linear(4, 3),
}


@pytest.mark.parametrize("words", MISFITS)
def test_a_model_that_does_not_fit(words: str) -> None:
    content, model = written(deep()), changed(MISFITS[words])
    before = {name: t.clone() for name, t in model.state_dict().items()}
    with pytest.raises(ValueError, match=words):
        tg.load(io.BytesIO(content), model=model)
    assert all(tg.equal(before[name], t) for name, t in model.state_dict().items())


def test_refusals_of_load() -> None:
    with pytest.raises(TypeError, match="model is a int, expected a module"):
        back(nn.ReLU(), model=3)
    with pytest.raises(TypeError, match="model is a int, expected a module"):
        back(nn.ReLU(), model=lambda: 3)
    with pytest.raises(ValueError, match="has 2 models, and model= can stand for one"):
        back([nn.ReLU(), nn.ReLU()], model=nn.ReLU())
    with pytest.raises(ValueError, match="holds a list, expected a model or a dict of tensors"):
        back([1], model=nn.ReLU())
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\) in state_dict"):
        back({"weight": tg.ones(1)}, model=nn.ReLU())


def with_hook() -> Any:
    model = nn.Sequential(nn.ReLU())
    model[0].register_forward_hook(lambda *_: None)
    return model


def with_attribute(value: Any) -> Any:
    model = nn.Linear(2, 2)
    model.more = value
    return model


def misshapen() -> Any:
    model = nn.Linear(2, 2)
    model.weight = nn.Parameter(tg.zeros(3, 2))
    return model


def within_itself() -> Any:
    model = nn.Sequential(nn.ReLU())
    model.append(model)
    return model


UNSAVABLE: dict[str, tuple[type[Exception], Callable[[], Any]]] = {
    r"model\.0 \(ReLU\) has a hook \(forward\)": (TypeError, with_hook),
    r"model \(Linear\) has the attribute more, a object": (TypeError, lambda: with_attribute(object())),
    r"model \(Linear\) has the attribute more, a Tensor": (TypeError, lambda: with_attribute(tg.ones(1))),
    r"got a Tensor at '.*more.0'": (TypeError, lambda: with_attribute([tg.ones(1)])),
    r"has a weight of shape \(3, 2\), but its settings want \(2, 2\)": (ValueError, misshapen),
    "does it contain itself": (ValueError, within_itself),
}


@pytest.mark.parametrize("words", UNSAVABLE)
def test_what_cannot_be_saved(words: str) -> None:
    error, make = UNSAVABLE[words]
    with pytest.raises(error, match=words) as caught:
        written({"model": make()})
    assert str(caught.value).startswith("[save]")


@pytest.mark.parametrize("name", ["a\0b", "type", "a.b", ""])
def test_what_could_not_be_read_again_is_not_saved(name: str) -> None:
    layer = nn.Linear(2, 2)
    layer.__dict__[name] = 3
    with pytest.raises(
        ValueError, match=r"\[save\] it could not be read again: the module '' has settings with the name"
    ):
        tg.save(layer, io.BytesIO())


def test_code_in_an_instance_is_not_saved() -> None:
    layer = nn.Linear(2, 2)
    layer.forward = lambda x: x  # type: ignore[method-assign,assignment]
    with pytest.raises(TypeError, match="has the attribute forward, a function"):
        tg.save(nn.Sequential(layer), io.BytesIO())


def test_a_class_of_ones_own_with_the_name_of_ours() -> None:
    """Neither takes the place of the other."""
    mine = type("ReLU", (nn.Module,), {"forward": lambda self, x: x})
    assert_same(back(mine(), model=mine), mine())
    with pytest.raises(ValueError, match=r"the model is a ReLU, but a .*test_models\.ReLU in the file"):
        back(mine(), model=nn.ReLU)
    with pytest.raises(ValueError, match=r"is a .*test_models\.ReLU, but a ReLU in the file"):
        back(nn.ReLU(), model=mine)


def test_a_file_of_pytorchs_own_form() -> None:
    with pytest.raises(ValueError, match="it is a zip archive, as PyTorch writes"):
        tg.load(io.BytesIO(b"PK\3\4" + bytes(100)))
    with pytest.raises(ValueError, match="it is a pickle, which reading would execute"):
        tg.load(io.BytesIO(pickle.dumps({"w": [1.0] * 10})))


def test_a_function_of_ones_own() -> None:
    model = nn.Sequential(nn.Lambda(lambda x: x * x), nn.Linear(2, 1))
    with pytest.raises(ValueError, match="holds a Lambda"):
        back(model)
    again = back(model, model=nn.Sequential(nn.Lambda(lambda x: x * x), nn.Linear(2, 1)))
    assert tg.equal(again(tg.ones(2)), model(tg.ones(2)))


# ---- where it comes from


def test_a_compiled_model() -> None:
    model = deep().eval()
    compiled = tg.compile(model)
    compiled(tg.ones(2, 4))
    assert_same(model, back(compiled))
    assert_same(model, back(model, model=deep()))


def test_provenance(tmp_path: Path) -> None:
    tg.manual_seed(42)
    path = tmp_path / "m.safetensors"
    tg.save(nn.ReLU(), path, provenance={"data": "sha256:ab", "epochs": [1, 2], "numpy": "mine"})
    found = tg.provenance(path)
    assert found["seed"] == 42
    assert found["data"] == "sha256:ab"
    assert found["numpy"] == "mine"
    assert found["trigrad"] == tg.__version__
    assert found["arithmetic_version"] == tg.arithmetic_version
    assert written(nn.ReLU()) == written(nn.ReLU())
    for wrong in ({"a": tg.ones(1)}, {"a": float("nan")}):
        with pytest.raises((TypeError, ValueError), match=r"^\[save\] provenance is expected to hold JSON's values"):
            tg.save(1, path, provenance=wrong)
    with pytest.raises(TypeError, match="provenance is a list"):
        tg.save(1, path, provenance=[])  # type: ignore[arg-type]


def test_another_arithmetic() -> None:
    header, data = parts(written(nn.ReLU()))
    header["__metadata__"]["trigrad.arithmetic_version"] = "77"
    with pytest.warns(UserWarning, match=f"of arithmetic version 77, this trigrad of {tg.arithmetic_version}"):
        assert isinstance(tg.load(io.BytesIO(joined(header, data))), nn.ReLU)


def test_without_the_code_that_made_it(tmp_path: Path) -> None:
    """A process that never saw the model's constructor computes the same bits."""
    model = deep().eval()
    x = tg.randn(5, 4)
    tg.save({"model": model, "x": x, "y": model(x).detach()}, tmp_path / "f")
    code = """if True:
        import sys, trigrad as tg
        found = tg.load(sys.argv[1])
        assert found["model"](found["x"]).detach()._bytes() == found["y"]._bytes()
    """
    subprocess.run([sys.executable, "-c", code, tmp_path / "f"], check=True)


def test_copies_are_files_too() -> None:
    """deepcopy and file agree."""
    assert_same(copy.deepcopy(deep()), back(deep()))
