"""One event at a time, from Python: trigrad's predictor beside ONNX Runtime, PyTorch and NumPy, in turns in one process.

    python benchmarks/latency.py [--nets jet,ecal] [--seconds 0.2] [--json latency.json]

Peers that are not installed are left out. Each turn is a burst of calls with input and, where the library takes one, output
given; a time is the median over the turns, a ratio the median of the ratios of neighbouring turns. All on one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import trigrad as tg
from trigrad import nn

NETS: dict[str, tuple[list[int], str]] = {
    "jet": ([16, 64, 32, 32, 5], "Softmax"),
    "ecal": ([12, 32, 16, 1], "Sigmoid"),
    "ae": ([57, 32, 16, 3, 16, 32, 57], ""),
    "higgs": ([28, 300, 300, 300, 300, 1], "Sigmoid"),
    "mnist": ([784, 512, 256, 10], "Softmax"),
}
Call = Callable[[], Any]
Array = np.ndarray[Any, Any]
TURNS = 15
PRECISIONS = ("float32", "bfloat16", "int16", "int8")
NARROW = [f"trigrad {p}" for p in PRECISIONS[1:]]


def weights(widths: list[int]) -> list[tuple[Array, Array]]:
    rng = np.random.default_rng(1)
    return [
        (
            rng.standard_normal((b, a)).astype("f") * np.float32((2 / a) ** 0.5),
            rng.standard_normal(b).astype("f") * np.float32(0.1),
        )
        for a, b in pairwise(widths)
    ]


def ours(layers: list[tuple[Array, Array]], last: str, framework: Any, tensor: Callable[[Array], Any]) -> Any:
    """The model in trigrad or torch: the same code."""
    parts: list[Any] = []
    for i, (w, b) in enumerate(layers):
        layer = framework.Linear(w.shape[1], w.shape[0])
        layer.weight, layer.bias = framework.Parameter(tensor(w)), framework.Parameter(tensor(b))
        parts += [layer] + [framework.ReLU()] * (i < len(layers) - 1)
    if last:
        parts.append(framework.Softmax(-1) if last == "Softmax" else framework.Sigmoid())
    return framework.Sequential(*parts).eval()


def trigrad_calls(layers: list[tuple[Array, Array]], last: str, x: Array) -> dict[str, Call]:
    model = ours(layers, last, nn, tg.tensor)
    made: dict[str, Call] = {}
    typical = np.random.default_rng(3).standard_normal((1000, len(x))).astype("f")
    for precision in PRECISIONS:
        p = tg.realtime.Predictor(model, precision=precision, calibration=typical)
        out = p(x)
        made[f"trigrad {precision}"] = lambda p=p, out=out: p(x, out)
    p = tg.realtime.Predictor(model)
    made["trigrad, new output"] = lambda: p(x)
    return made


def numpy_calls(layers: list[tuple[Array, Array]], last: str, x: Array) -> dict[str, Call]:
    def forward() -> Array:
        h = x
        for i, (w, b) in enumerate(layers):
            h = w @ h + b
            if i < len(layers) - 1:
                h = np.maximum(h, 0)
        if last == "Sigmoid":
            return 1 / (1 + np.exp(-h))
        if last == "Softmax":
            e = np.exp(h - h.max())
            return e / e.sum()
        return h

    return {"NumPy": forward}


def torch_calls(layers: list[tuple[Array, Array]], last: str, x: Array) -> dict[str, Call]:
    import torch

    torch.set_num_threads(1)
    model, event = ours(layers, last, torch.nn, torch.tensor), torch.tensor(x)[None]

    def forward() -> Any:
        with torch.inference_mode():
            return model(event)

    return {"PyTorch": forward}


def ort_calls(layers: list[tuple[Array, Array]], last: str, x: Array) -> dict[str, Call]:
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, value = [], [], "x"
    for i, (w, b) in enumerate(layers):
        constants += [numpy_helper.from_array(w, f"w{i}"), numpy_helper.from_array(b, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"h{i}"], transB=1))
        value = f"h{i}"
        if i < len(layers) - 1:
            nodes.append(helper.make_node("Relu", [value], [f"r{i}"]))
            value = f"r{i}"
    nodes.append(helper.make_node(last or "Identity", [value], ["y"]))
    shape = [1, len(layers[-1][1])]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, len(x)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    event, out = x[None], np.empty(shape, "f")
    binding = session.io_binding()
    binding.bind_cpu_input("x", event)
    binding.bind_output("y", "cpu", element_type=np.float32, shape=shape, buffer_ptr=out.ctypes.data)
    feed = {"x": event}

    def bound() -> Array:
        session.run_with_iobinding(binding)
        return out

    return {"ONNX Runtime, io_binding": bound, "ONNX Runtime, run": lambda: session.run(None, feed)[0]}


def burst(call: Call, count: int) -> float:
    repeat = range(count)
    begin = time.perf_counter()
    for _ in repeat:
        call()
    return (time.perf_counter() - begin) / count


def measure(net: str, seconds: float) -> dict[str, dict[str, float]]:
    widths, last = NETS[net]
    layers, x = weights(widths), np.random.default_rng(2).standard_normal(widths[0]).astype("f")
    calls: dict[str, Call] = {}
    for peer in (trigrad_calls, ort_calls, torch_calls, numpy_calls):
        try:
            calls |= peer(layers, last, x)
        except ImportError as missing:
            print(f"{peer.__name__}: {missing}")
    expected = np.asarray(calls["trigrad float32"]())
    for name, call in calls.items():
        np.testing.assert_allclose(
            np.asarray(call()).ravel(),
            expected,
            rtol=0.1 if name in NARROW else 1e-3,
            atol=0.1 if name in NARROW else 1e-4,
        )
    counts = {name: max(1, int(seconds / TURNS / max(burst(call, 20), 1e-7))) for name, call in calls.items()}
    turns: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS):
        for name, call in calls.items():
            turns[name].append(burst(call, counts[name]))
    empty = float(np.median([burst(lambda: None, 100_000) for _ in range(5)]))
    base = np.array(turns["trigrad float32"]) - empty
    return {
        name: {"ns": float(np.median(t) - empty) * 1e9, "ratio": float(np.median((np.array(t) - empty) / base))}
        for name, t in turns.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--seconds", type=float, default=0.2, help="per library and net")
    parser.add_argument("--json")
    given = parser.parse_args()
    tg.set_num_threads(1)
    found = {net: measure(net, given.seconds) for net in given.nets.split(",")}
    for net, rows in found.items():
        print(f"\n{net:<28}{'ns per event':>14}{'/ trigrad':>11}")
        for name, row in rows.items():
            print(f"{name:<28}{row['ns']:>14,.0f}{row['ratio']:>11.2f}")
    if given.json:
        with open(given.json, "w") as file:
            json.dump({"build": tg._core.build_info(), "ns": found}, file, indent=1)


if __name__ == "__main__":
    main()
