"""Files of models that are not in order: each is read, or refused with a ValueError that says why, and costs no more memory
than it has bytes."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import trigrad as tg
from model_files import assert_same, back, deep, instance, joined, parts, written
from trigrad import nn


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
        at = draw.randrange(8, 8 + length) if draw.random() < 0.8 else draw.randrange(len(raw) + 1)
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
