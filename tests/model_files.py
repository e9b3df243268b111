"""Models of every kind, and their files."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Callable
from typing import Any

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


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    n = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + n]), content[8 + n :]


def joined(header: Any, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data
