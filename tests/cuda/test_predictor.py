"""Predictors on a GPU: the bits of those on the CPU, by a CUDA graph and by a kernel that stays; how they end, and what they refuse."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import trigrad as tg
from realtime_models import ACTIVATIONS, build, chain, with_activation
from trigrad import nn
from trigrad.realtime import Predictor, Scaler

pytestmark = pytest.mark.usefixtures("gpu")

MODES = pytest.mark.parametrize("persistent", [False, True], ids=["graph", "persistent"])


def events(features: int, n: int = 20) -> np.ndarray:
    rng = np.random.default_rng(features)
    x = (rng.standard_normal((n, features)) * 10.0 ** rng.uniform(-3, 1, (n, 1))).astype("f")
    x[1] = 0
    x[2, 0] = np.inf
    x[3, -1] = np.nan
    x[4] *= 1e-41
    return x


def assert_same(p: Predictor, reference: Predictor) -> None:
    for x in events(p.inputs):
        got, want = p(x), reference(x)
        assert np.array_equal(got, want, equal_nan=True)
        assert np.array_equal(np.signbit(got) | np.isnan(got), np.signbit(want) | np.isnan(want))  # -0 is not 0


@MODES
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_bits_of_every_activation(name: str, persistent: bool) -> None:
    tg.manual_seed(1)
    model = with_activation(name).eval()
    with Predictor(model, device="cuda", persistent=persistent) as p:
        assert_same(p, Predictor(model))


def test_a_model_that_was_trained_on_the_gpu_is_taken_as_it_is(tmp_path: Path) -> None:
    model, scaler = build("jet"), Scaler(tg.randn(16), tg.rand(16) + 0.5)
    there = copy.deepcopy(model).to("cuda")
    scaler_there = Scaler(scaler.offset.to("cuda"), scaler.scale.to("cuda"))
    for device in ("cpu", "cuda"):
        assert_same(Predictor(there, scaler=scaler_there, device=device), Predictor(model, scaler=scaler))
    tg.export.cpp_header(there, tmp_path / "there.h", name="jet")
    tg.export.cpp_header(model, tmp_path / "here.h", name="jet")
    assert (tmp_path / "there.h").read_text() == (tmp_path / "here.h").read_text()
    assert next(there.parameters()).device.type == "cuda"  # and is where it was


@MODES
@pytest.mark.parametrize("name", ["jet", "ecal", "autoencoder"])
def test_bits_of_the_models_of_physics(name: str, persistent: bool) -> None:
    model = build(name)
    reference = Predictor(model)
    with Predictor(model, device="cuda", persistent=persistent) as p:
        assert_same(p, reference)
        assert (p.device, p.persistent, p.inputs, p.outputs) == (
            "cuda:0",
            persistent,
            reference.inputs,
            reference.outputs,
        )
        x, out = events(p.inputs)[0], np.empty(p.outputs, "f")
        assert p(x, out) is out
        assert np.array_equal(out, reference(x))
        assert p.decide(x, 0.3, 0) is reference.decide(x, 0.3, 0)
        assert Predictor.from_bytes(p.to_bytes(), device="cuda:0", persistent=persistent)(x).tolist() == out.tolist()


@MODES
def test_a_copy_answers_where_the_predictor_does(persistent: bool) -> None:
    with Predictor(build("jet"), device="cuda", persistent=persistent) as p:
        with pickle.loads(pickle.dumps(p)) as q:
            assert (q.device, q.persistent) == ("cuda:0", persistent)
            assert_same(q, p)
        assert_same(p, Predictor(build("jet")))


@MODES
def test_bits_of_bfloat16_and_of_a_scaler(persistent: bool) -> None:
    model = chain(9, 33, 4, last=nn.Softmax(-1))
    options = {
        "precision": "bfloat16",
        "scaler": Scaler(np.arange(9.0), np.full(9, 0.5), low=-3.0, high=3.0, nan="refuse"),
    }
    reference = Predictor(model, **options)
    with Predictor(model, device="cuda", persistent=persistent, **options) as p:
        x = np.linspace(-5, 5, 9, dtype="f")
        assert np.array_equal(p(x), reference(x))
        x[2] = np.nan
        with pytest.raises(ValueError, match="x has a NaN, which this predictor refuses"):
            p(x)
        assert np.array_equal(p(np.zeros(9, "f")), reference(np.zeros(9, "f")))


def test_a_net_that_does_not_fit_on_the_chip() -> None:
    model = chain(28, 300, 300, 2)
    with Predictor(model, device="cuda") as p:
        assert_same(p, Predictor(model))
    with pytest.raises(ValueError, match=r"the net takes .* on the chip, .*; leave persistent off"):
        Predictor(chain(784, 512, 512, 10), device="cuda", persistent=True)


def test_what_is_refused() -> None:
    model = chain(4, 8, 2)
    with pytest.raises(ValueError, match="persistent is True on cpu"):
        Predictor(model, persistent=True)
    with pytest.raises(ValueError, match=r"batch is 64 on cuda, expected 1: .* model.to\('cuda'\)"):
        Predictor(model, 64, device="cuda")
    with pytest.raises(ValueError, match="flush_denormals is True on cuda"):
        Predictor(model, device="cuda", flush_denormals=True)
    with pytest.raises(RuntimeError, match=r"device is 'cuda:99', expected cuda:0 to"):
        Predictor(model, device="cuda:99")
    with pytest.raises(
        ValueError, match="precision is 'int8' on cuda, expected 'float32' or 'bfloat16'; or use device='cpu'"
    ):
        Predictor(model, 1, "int8", calibration=np.ones((5, 4), "f"), device="cuda")
    with Predictor(model, device="cuda") as p, pytest.raises(ValueError, match=r"x has shape \(5,\)"):
        p(np.zeros(5, "f"))


@MODES
def test_a_closed_one_answers_nothing(persistent: bool) -> None:
    p = Predictor(chain(4, 8, 2), device="cuda", persistent=persistent)
    assert repr(p) == f"Predictor(4 -> 2, cuda:0{', persistent' if persistent else ''})"
    p.close()
    p.close()
    with pytest.raises(RuntimeError, match=r"\[Predictor\] it is closed; make another"):
        p(np.zeros(4, "f"))
    with pytest.raises(RuntimeError, match="it is closed"):
        p.decide(np.zeros(4, "f"), 0.5, 0)


def test_on_the_cpu_there_is_nothing_to_close() -> None:
    with Predictor(chain(4, 8, 2)) as p:
        assert (p.device, p.persistent) == ("cpu", False)
    assert p(np.zeros(4, "f")).shape == (2,)


@pytest.fixture
def several() -> Iterator[list[Predictor]]:
    models = [chain(5, width, 3) for width in (8, 33)]
    all = [Predictor(m, device="cuda", persistent=True) for m in models]
    yield [*all, *map(Predictor, models)]
    for p in all:
        p.close()


def test_several_at_once_beside_other_work(several: list[Predictor]) -> None:
    first, second, *reference = several
    a = tg.ones(100, 100).to("cuda")
    for x in events(5, 50):
        assert np.array_equal(first(x), reference[0](x), equal_nan=True)
        assert np.array_equal(second(x), reference[1](x), equal_nan=True)
        a = a * 0.5
    tg.cuda.synchronize()
    tg.cuda.empty_cache()
    assert float(a.sum()) >= 0
    assert np.array_equal(first(x), reference[0](x), equal_nan=True)


def test_threads_share_one(several: list[Predictor]) -> None:
    p, _, reference, _ = several
    x = events(5, 30)
    want, wrong = [reference(v) for v in x], []

    def work() -> None:
        wrong.extend(
            1 for _ in range(5) for v, y in zip(x, want, strict=True) if not np.array_equal(p(v), y, equal_nan=True)
        )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_it_begins_again_after_a_pause(several: list[Predictor]) -> None:
    p, _, reference, _ = several
    time.sleep(1.3)  # longer than a kernel waits for an event
    assert np.array_equal(p(np.ones(5, "f")), reference(np.ones(5, "f")))


END = """
import os, sys
import numpy as np
import trigrad as tg
net = tg.nn.Sequential(tg.nn.Linear(4, 8), tg.nn.Tanh(), tg.nn.Linear(8, 2))
p = tg.realtime.Predictor(net, device="cuda", persistent=True)
want = tg.realtime.Predictor(net)(np.ones(4, "f"))
assert np.array_equal(p(np.ones(4, "f")), want)
"""


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ("", 0),
        ("sys.modules['kept'] = p", 0),
        ("raise SystemExit(3)", 3),
        ("del p", 0),
    ],
    ids=["at the end", "held to the end", "at an error", "deleted"],
)
def test_no_kernel_outlives_the_interpreter(more: str, status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", END + more], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == status, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_leaves_it_alone() -> None:
    script = END + (
        "import warnings; warnings.simplefilter('ignore')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try:\n"
        "        p(np.ones(4, 'f'))\n"
        "    except RuntimeError as e:\n"
        "        os._exit(7 if 'before the process forked' in str(e) else 8)\n"
        "    os._exit(9)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "assert np.array_equal(p(np.ones(4, 'f')), want)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_study_has_its_latencies() -> None:
    model = chain(6, 8, 1, last=nn.Sigmoid())
    found = tg.realtime.study(model, events(6)[5:], seconds=0.02, batches=(1,), header=False, others=False)
    names = {each.name for each in found.latencies}
    assert {"CUDA graph, C++", "CUDA persistent, C++", "CUDA graph, p(x, out)", "CUDA persistent, p(x, out)"} <= names
    assert "CUDA" not in found.missing
