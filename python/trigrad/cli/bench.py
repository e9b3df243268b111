"""``trigrad bench``: trigrad and others that are installed, on this machine, in one run.

Everyone has the same events in the same order, the same Adam and as many threads, and (but for scikit-learn, which draws its
own) the same initial weights; they take turns, and each number is the median over the turns, with the least and the greatest.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from trigrad import _compile, _core, _random, _report, data, nn, optim, realtime
from trigrad._study.folder import whole_file

Turn: TypeAlias = Callable[[], float]  # an epoch; the mean loss

LR = 1e-3
TOLERANCE = {"scikit-learn": 0.5}  # of the loss: it draws weights of its own, the others begin with ours


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--hidden", type=int, nargs="+", default=[64, 32, 32], help="widths (default: 64 32 32)")
    command.add_argument("--batches", type=int, nargs="+", default=[128, 1024], help="rows of a training step")
    command.add_argument("--events", type=int, default=16_384, help="toy jets of an epoch (default: 16384)")
    command.add_argument("--turns", type=int, default=5, help="of everyone (default: 5)")
    command.add_argument("--seconds", type=float, default=0.3, help="for each row of the inference tables")
    command.add_argument("--threads", type=int, default=1, help="of everyone's training (default: 1)")
    command.add_argument("--json", metavar="FILE", help="write all numbers, with where and how they were taken")


def run(given: argparse.Namespace) -> str:
    for name in ("events", "turns", "threads", "batches", "hidden"):
        value = getattr(given, name)
        if min(value if isinstance(value, list) else [value]) < 1:
            raise ValueError(f"[bench] --{name} is {value}, expected 1 or more")
    if max(given.batches) > given.events:
        raise ValueError(f"[bench] a batch has {max(given.batches)} rows, expected at most the events, {given.events}")
    jets = data.toy_jets(given.events, seed=0)
    x = data.Standardizer().fit_transform(jets.X)
    assert jets.y is not None
    before = _core.get_num_threads()
    _core.set_num_threads(given.threads)
    try:
        missing: dict[str, str] = {}
        training = {batch: _training(given, x, jets.y, batch, missing) for batch in given.batches}
        inference = realtime.study(
            nn.Sequential(_network(given.hidden), nn.Softmax(-1)), x[:4096], seconds=given.seconds, header=False
        )
    finally:
        _core.set_num_threads(before)
    if given.json is not None:
        with whole_file(Path(given.json)) as part:
            held = {
                "provenance": _report.provenance(**_versions()),
                "threads": given.threads,
                "training": training,
                "inference": json.loads(inference.to_json()),
                "missing": missing,
            }
            part.write_text(json.dumps(held, indent=1) + "\n")
    widths = "-".join(map(str, (16, *given.hidden, 5)))
    lines = [
        f"Training {widths}, events per second (median of {given.turns} turns, least to greatest), {given.threads} thread(s)"
    ]
    for batch, rates in training.items():
        lines += ["", f"batch {batch}"]
        ours = float(np.median(rates["trigrad, compiled"]))
        for name, found in rates.items():
            middle = float(np.median(found))
            lines.append(
                f"  {name:24} {middle:12,.0f}  ({min(found):,.0f} to {max(found):,.0f})"
                + ("" if name == "trigrad, compiled" else f"  trigrad is {ours / middle:.2f} times as fast")
            )
    lines += ["", *(f"not timed: {name}: {why}" for name, why in missing.items()), "", "Inference", "", str(inference)]
    return "\n".join(lines)


def _versions() -> dict[str, Any]:
    found = {}
    for name in ("torch", "sklearn", "onnxruntime"):
        try:
            found[name] = str(importlib.import_module(name).__version__)
        except ImportError:
            continue
    return {"others": found}


def _network(hidden: list[int]) -> nn.Sequential:
    _random.manual_seed(0)
    layers: list[nn.Module] = []
    width = 16
    for n in hidden:
        layers += [nn.Linear(width, n), nn.ReLU()]
        width = n
    return nn.Sequential(*layers, nn.Linear(width, 5))


def _training(given: argparse.Namespace, x: Any, y: Any, batch: int, missing: dict[str, str]) -> dict[str, list[float]]:
    """Events per second of everyone's turns, warmed up by one."""
    n = len(x) // batch * batch
    x, y = x[:n], y[:n]
    everyone: dict[str, Turn] = {}
    for name, make in MAKERS.items():
        try:
            everyone[name] = make(given, x, y, batch)
        except ImportError as error:
            missing[name] = f"is not installed ({error})"
    losses = {name: turn() for name, turn in everyone.items()}
    rates: dict[str, list[float]] = {name: [] for name in everyone}
    for _ in range(given.turns):
        for name, turn in everyone.items():
            begin = time.perf_counter()
            losses[name] = turn()
            rates[name].append(n / (time.perf_counter() - begin))
    ours = losses["trigrad, compiled"]
    for name, loss in losses.items():  # who does not learn the same is not compared
        if not abs(loss - ours) <= TOLERANCE.get(name, 0.01) * abs(ours):
            missing[name] = f"its loss is {loss:.4f} where trigrad's is {ours:.4f}: not the same work"
            del rates[name]
    return rates


def _ours(given: argparse.Namespace, x: Any, y: Any, batch: int, compiled: bool) -> Turn:
    model = _network(given.hidden)
    optimizer = optim.Adam(model.parameters(), lr=LR)
    loss = nn.CrossEntropyLoss()

    def step(a: Any, b: Any) -> Any:
        optimizer.zero_grad()
        value = loss(model(a), b)
        value.backward()
        optimizer.step()
        return value

    call: Any = _compile.compile(step) if compiled else step
    a, b = _core.from_numpy(x), _core.from_numpy(y)

    def turn() -> float:
        found = [call(a[i : i + batch], b[i : i + batch]).detach() for i in range(0, len(x), batch)]
        return sum(map(float, found)) / len(found)

    return turn


def _torch(given: argparse.Namespace, x: Any, y: Any, batch: int, fused: bool) -> Turn:
    torch = importlib.import_module("torch")
    torch.set_num_threads(given.threads)
    layers: list[Any] = []
    for layer in _network(given.hidden):
        if isinstance(layer, nn.Linear):
            assert layer.bias is not None
            made = torch.nn.Linear(layer.in_features, layer.out_features)
            with torch.no_grad():
                made.weight.copy_(torch.from_numpy(layer.weight.detach().numpy().copy()))
                made.bias.copy_(torch.from_numpy(layer.bias.detach().numpy().copy()))
            layers.append(made)
        else:
            layers.append(torch.nn.ReLU())
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=fused)
    loss = torch.nn.CrossEntropyLoss()
    a, b = torch.from_numpy(x.copy()), torch.from_numpy(y.copy())

    def turn() -> float:
        found = []
        for i in range(0, len(x), batch):
            optimizer.zero_grad()
            value = loss(model(a[i : i + batch]), b[i : i + batch])
            value.backward()
            optimizer.step()
            found.append(value.detach())
        return sum(map(float, found)) / len(found)

    return turn


def _scikit(given: argparse.Namespace, x: Any, y: Any, batch: int) -> Turn:
    """Its own initial weights; loss and steps are the same."""
    kind = importlib.import_module("sklearn.neural_network").MLPClassifier
    limits = importlib.import_module("threadpoolctl").threadpool_limits
    model = kind(
        tuple(given.hidden), batch_size=batch, learning_rate_init=LR, alpha=0.0, random_state=0, max_iter=1,
        warm_start=True, shuffle=False,
    )  # fmt: skip

    def turn() -> float:
        with warnings.catch_warnings(), limits(given.threads):
            warnings.simplefilter("ignore")  # that one epoch is not the end
            model.fit(x, y)
        return float(model.loss_)

    return turn


MAKERS: dict[str, Callable[[argparse.Namespace, Any, Any, int], Turn]] = {
    "trigrad, compiled": partial(_ours, compiled=True),
    "trigrad, step by step": partial(_ours, compiled=False),
    "PyTorch": partial(_torch, fused=False),
    "PyTorch, fused Adam": partial(_torch, fused=True),
    "scikit-learn": _scikit,
}
