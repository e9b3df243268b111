"""Files of whole models: each comes back as it was, or says why not; nothing else comes of a file that is not in order."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from trigrad import nn
from trigrad.nn import _architecture

MODULES = {name: cls for name, cls in vars(nn).items() if isinstance(cls, type) and issubclass(cls, nn.Module)}
ARGUMENTS: dict[str, Callable[[], Any]] = {
    "Module": nn.Module,
    "Sequential": lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU()),
    "ModuleList": lambda: nn.ModuleList([nn.Linear(4, 4), nn.Tanh()]),
    "ModuleDict": lambda: nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.ReLU()}),
    "ParameterList": lambda: nn.ParameterList([tg.randn(2), tg.randn(3), 5]),
    "ParameterDict": lambda: nn.ParameterDict({"low": tg.randn(1), "high": tg.randn(2)}),
    "Residual": lambda: nn.Residual(nn.Linear(4, 4), nn.ReLU(), shortcut=nn.Linear(4, 4)),
    "DenseConcat": lambda: nn.DenseConcat(nn.Linear(4, 3)),
    "Highway": lambda: nn.Highway(4, nn.Tanh(), gate_bias=-1.0),
    "Lambda": lambda: nn.Lambda(tg.tanh),
    "Unflatten": lambda: nn.Unflatten(1, (2, 2)),
    "Threshold": lambda: nn.Threshold(0.5, -1),
    "Hardtanh": lambda: nn.Hardtanh(-0.5, 2.0),
    "LayerNorm": lambda: nn.LayerNorm([3, 4], eps=1e-3),
    "BatchNorm1d": lambda: nn.BatchNorm1d(4, momentum=None, bias=False),
    "CrossEntropyLoss": lambda: nn.CrossEntropyLoss(tg.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1),
    "Embedding": lambda: nn.Embedding(7, 4, padding_idx=2),
    "Dropout": lambda: nn.Dropout(0.25),
    "PReLU": lambda: nn.PReLU(4, 0.1),
}


def instance(name: str) -> Any:
    tg.manual_seed(sum(map(ord, name)))
    if name in ARGUMENTS:
        return ARGUMENTS[name]()
    import inspect

    parameters = list(inspect.signature(MODULES[name].__init__).parameters.values())[1:]
    n = sum(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
    return MODULES[name](*(4,) * n)


def written(obj: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tg.save(obj, file, **options)
    return file.getvalue()


def back(obj: Any, **options: Any) -> Any:
    return tg.load(io.BytesIO(written(obj)), **options)


def assert_same(a: Any, b: Any) -> None:
    """Classes, settings, modes, requires_grad, and the bits of all tensors."""
    assert repr(a) == repr(b)
    pairs = list(zip(a.named_modules(), b.named_modules(), strict=True))
    for (path, m), (other, n) in pairs:
        assert path == other
        assert type(m) is type(n)
        assert m.training == n.training
        plain = [{k: v for k, v in x.__dict__.items() if k not in _architecture.BOOKKEEPING} for x in (m, n)]
        assert plain[0] == plain[1], path
        assert m._non_persistent_buffers_set == n._non_persistent_buffers_set
        for of_m, of_n in ((m._parameters, n._parameters), (m._buffers, n._buffers)):
            assert list(of_m) == list(of_n)
            for name, t in of_m.items():
                u = of_n[name]
                assert (t is None) == (u is None)
                if t is not None:
                    assert (t.dtype, t.shape, t.requires_grad) == (u.dtype, u.shape, u.requires_grad)
                    assert t._bytes() == u._bytes()
                    assert isinstance(u, nn.Parameter) == isinstance(t, nn.Parameter)


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


def deep() -> Any:
    tg.manual_seed(5)
    model = nn.Sequential(
        nn.Linear(4, 8),
        nn.BatchNorm1d(8),
        nn.Residual(nn.Linear(8, 8, bias=False), nn.Dropout(0.2), nn.Hardtanh(-1, float("inf"))),
        nn.ModuleDict({"out": nn.Highway(8)})["out"],
        nn.Linear(8, 3),
    )
    model[0].weight.requires_grad_(False)
    model[1].eval()
    model(tg.randn(16, 4))
    return model


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


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    n = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + n]), content[8 + n :]


def joined(header: Any, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_another_arithmetic() -> None:
    header, data = parts(written(nn.ReLU()))
    header["__metadata__"]["trigrad.arithmetic_version"] = "77"
    with pytest.warns(UserWarning, match=f"of arithmetic version 77, this trigrad of {tg.arithmetic_version}"):
        assert isinstance(tg.load(io.BytesIO(joined(header, data))), nn.ReLU)


# ---- files that are not in order


def edited(edit: Callable[[Any], Any], model: Any = None) -> bytes:
    """A file of a model whose architecture was changed by hand."""
    header, data = parts(written(nn.Sequential(nn.Linear(2, 3), nn.ReLU()) if model is None else model))
    metadata = header["__metadata__"]
    tree = json.loads(metadata["trigrad.tree"])
    edit(tree["module"])
    metadata["trigrad.tree"] = json.dumps(tree)
    return joined(header, data)


def first(node: Any) -> Any:
    return node["modules"]["0"]


def setting(**settings: Any) -> Callable[[Any], Any]:
    return lambda node: first(node)["settings"].update(settings)


BROKEN: dict[str, Callable[[Any], Any]] = {
    "is of class 'Linea', which trigrad.nn does not have": lambda n: first(n).update({"class": "Linea"}),
    "is of class 'os', which": lambda n: first(n).update({"class": "os"}),
    "is of class 3": lambda n: first(n).update({"class": 3}),
    r"has a weight of shape \(3, 2\), but its settings want \(3, 9\)": setting(in_features=9),
    "has in_features = 'x', expected int": setting(in_features="x"),
    "has in_features = True, expected int": setting(in_features=True),
    "has no out_features": lambda n: first(n)["settings"].pop("out_features"),
    "has no weight": lambda n: first(n)["parameters"].pop("weight"),
    "says that it has 9 entries, but has": lambda n: n["modules"].update(
        {"2": {"class": "ParameterList", "settings": {"_size": 9}}}
    ),
    r"says that it has \['a'\], but has": lambda n: n["modules"].update(
        {"2": {"class": "ParameterDict", "settings": {"_keys": {"dict": [["a", None]]}}}}
    ),
    r"\(Linear\) has no weight": lambda n: first(n)["parameters"].update(weight=None),
    "has settings with the name 'forward'": setting(forward=1),
    "has settings with the name '_parameters'": setting(_parameters={"dict": []}),
    "has settings with the name '__class__'": setting(__class__=1),
    "has settings with the name 'a.b'": setting(**{"a.b": 1}),
    "has weight = 'no', which is no tensor": lambda n: first(n)["parameters"].update(weight="no"),
    "has weight = 5, which is no tensor": lambda n: first(n)["parameters"].update(weight=5),
    "has one name for two things": setting(weight=1),
    "has parameters with the name 'forward'": lambda n: first(n)["parameters"].update(forward=None),
    "has modules that are no object": lambda n: n.update(modules=[]),
    "has modules with the name ''": lambda n: n["modules"].update({"": None}),
    "the module '0' is 3, expected an object": lambda n: n["modules"].update({"0": 3}),
    "expected an object with some of the keys": lambda n: first(n).update(more=1),
    "is said to be '7', which is no module": lambda n: n["modules"].update({"1": {"same": "7"}}),
    r"is said to be \[\], which is no module": lambda n: n["modules"].update({"1": {"same": []}}),
    "has training = 1": lambda n: n.update(training=1),
    r"has frozen \['x'\], expected some of": lambda n: first(n).update(frozen=["x"]),
    "is no function of trigrad": setting(in_features={"function": "open"}),
    "tensor or a module where plain values": setting(more={"tensor": "0.weight"}),
    "trigrad.tree has {'set'": setting(more={"set": []}),
    r"do not have the same tensors: \['0.bias'\]": lambda n: first(n)["parameters"].update(bias=None),
}


@pytest.mark.parametrize("words", BROKEN)
def test_an_architecture_that_is_not_in_order(words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        tg.load(io.BytesIO(edited(BROKEN[words])))
    assert str(caught.value).startswith("[load]")


def test_modules_that_double_at_each_level() -> None:
    """A small file that says 2**18 modules is read in no time."""
    node: Any = {"class": "Identity"}
    path = ".".join(["0"] * 18)
    for depth in range(18):
        below = ".".join(path.split(".")[: 18 - depth])
        node = {"class": "Sequential", "modules": {"0": node, "1": {"same": below}}}
    header, data = parts(written(nn.ReLU()))
    header["__metadata__"]["trigrad.tree"] = json.dumps({"module": node})
    assert len(list(tg.load(io.BytesIO(joined(header, data))).modules())) == 19


def test_integers_cannot_be_learned() -> None:
    model = nn.ParameterList([nn.Parameter(tg.arange(3), requires_grad=False)])
    assert_same(model, back(model))
    with pytest.raises(ValueError, match=r"has 0 of trigrad.int64, which cannot be learned"):
        tg.load(io.BytesIO(edited(lambda n: n.pop("frozen"), model)))
    header, data = parts(written(tg.arange(3)))
    header["__metadata__"]["trigrad.tree"] = '{"tensor": "tensor", "requires_grad": true}'
    with pytest.raises(ValueError, match="cannot require a gradient"):
        tg.load(io.BytesIO(joined(header, data)))


@pytest.mark.parametrize("name", ["../weights", "a/../../b", "/etc/passwd", "\\\\host\\x", "C:\\x", "a\0b", ".."])
def test_names_that_lead_elsewhere(name: str) -> None:
    header = {name: {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
    with pytest.raises(ValueError, match="expected no path out of a folder and no NUL"):
        tg.load(io.BytesIO(joined(header, b"x")))
    state = {name: tg.ones(2), "other": {name: 3}}
    again = back(state)  # keys may be anything: names of tensors are made to fit
    assert list(again) == list(state)
    assert tg.equal(again[name], tg.ones(2))


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Bytes replaced, removed, inserted, swapped and cut, in the header's text or anywhere; its length stays true or not."""
    raw = bytearray(content)
    length = int.from_bytes(raw[:8], "little")
    grown = 0
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(8, 8 + length) if draw.random() < 0.8 else draw.randrange(len(raw))
        kind = draw.randrange(6)
        before = len(raw)
        if kind == 0 and at < len(raw):
            raw[at] = draw.randrange(256)
        elif kind == 1:
            del raw[at : at + draw.randint(1, 9)]
        elif kind == 2:
            raw[at:at] = draw.choice(
                [b"0", b"[", b"}", b'"', b"\\", b"-1", b"9" * 30, b"null", b"\xff", b"1e999", b"\\u0000"]
            )
        elif kind == 3:
            other = draw.randrange(8, 8 + length)
            raw[at : at + 8], raw[other : other + 8] = raw[other : other + 8], raw[at : at + 8]
        elif kind == 4:
            word = draw.choice(
                [b"Linear", b"weight", b"tensor", b"module", b"float", b"settings", b"true", b"32", b"0", b"F32"]
            )
            with_it = draw.choice(
                [b"ReLU", b"bias", b"dict", b"tuple", b"same", b"false", b"64", b"1", b"I64", b"BOOL", b"-0"]
            )
            raw[:] = bytes(raw).replace(word, with_it, draw.randint(1, 3))
        else:
            del raw[at : None if draw.random() < 0.1 else at + 1]
        grown += len(raw) - before
    if draw.random() < 0.8 and len(raw) >= 8:
        raw[:8] = max(length + grown, 0).to_bytes(8, "little")
    return bytes(raw)


def test_mutated_files(full: bool) -> None:
    """A file is read, or refused with a ValueError that says so; memory is bounded by the file, and what was read does not
    crash."""
    models = {
        "deep": deep(),
        "tied": nn.Sequential(nn.Linear(4, 4), nn.Embedding(3, 4)),
        "scaler": tg.realtime.Scaler(),
    }
    models["tied"].append(models["tied"][0])
    content = written(models, provenance={"data": "x"})
    draw, read, largest = random.Random(11), 0, 0
    x = tg.ones(2, 4)
    for _ in range(100_000 if full else 3_000):
        raw = mutated(content, draw)
        tg.reset_peak_memory_stats()
        before = tg.memory_stats()["in_use"]
        try:
            found = tg.load(io.BytesIO(raw))
        except ValueError as error:
            assert str(error).startswith("[load]"), raw  # noqa: PT017
            continue
        finally:
            largest = max(largest, tg.memory_stats()["peak"] - before)
        read += 1
        for model in found.values() if isinstance(found, dict) else ():
            if isinstance(model, nn.Module):
                repr(model)
                with contextlib.suppress(RuntimeError, ValueError, TypeError, IndexError, AttributeError):
                    model(x)
    assert read > 0
    assert largest < 2 * len(content) + 4096


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is something in a tree of JSON."""
    yield path
    for key, below in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(below, (*path, key))


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


JUNK: list[Any] = [
    *(None, True, 0, -1, 2**63, 1.5, "", "x", "0.weight", [], {}, 10**12, {"tensor": "t.2.0"}, {"float": "nan"}),
    *(
        {"tuple": [1, 2]},
        {"dict": []},
        {"function": "tanh"},
        {"same": ""},
        {"same": "0"},
        [1, 2],
        {"class": "Identity"},
    ),
    {"module": {"class": "ReLU", "settings": {"inplace": True}}},
]
NAMES = [
    "forward",
    "_parameters",
    "x",
    "training",
    "weight",
    "0",
    "__class__",
    "class",
    "modules",
    "extra",
    "_hooks",
    "a.b",
]


def test_mutated_architectures(full: bool) -> None:
    """JSON in order, but with parts that are removed, exchanged or replaced: refused as any file, or a model that can be
    shown, called and saved."""
    others = nn.Sequential(
        nn.Lambda(tg.tanh), instance("ParameterList"), instance("ParameterDict"), instance("LayerNorm")
    )
    others.append(instance("LazyLinear")).append(instance("Unflatten")).append(others[0])
    models = {
        "deep": deep(),
        "others": others,
        "t": (1, 2.5, [tg.arange(3)]),
        "scaler": tg.realtime.Scaler(scale=[1.0]),
    }
    header, data = parts(written(models))
    metadata, tree = header["__metadata__"], json.loads(header["__metadata__"]["trigrad.tree"])
    everywhere, draw, read = list(places(tree))[1:], random.Random(3), 0
    for _ in range(20_000 if full else 700):
        changed = copy.deepcopy(tree)
        for _ in range(draw.randint(1, 2)):
            path = draw.choice(everywhere)
            with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError):  # of what is no more there
                parent, new = at(changed, path[:-1]), copy.deepcopy(draw.choice(JUNK))
                kind = draw.randrange(4)
                if kind == 0:
                    parent[path[-1]] = new
                elif kind == 1:
                    parent[path[-1]] = copy.deepcopy(at(tree, draw.choice(everywhere)))
                elif kind == 2:
                    del parent[path[-1]]
                else:
                    parent[draw.choice(NAMES)] = new
        metadata["trigrad.tree"] = json.dumps(changed)
        try:
            found = tg.load(io.BytesIO(joined(header, data)))
        except ValueError as error:
            assert str(error).startswith("[load]"), changed  # noqa: PT017
            continue
        read += 1
        for model in found.values() if isinstance(found, dict) else ():
            if isinstance(model, nn.Module):
                repr(model)
                written(model)
                with contextlib.suppress(RuntimeError, ValueError, TypeError, IndexError, AttributeError):
                    model(tg.ones(2, 4))
    assert read > 0


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
