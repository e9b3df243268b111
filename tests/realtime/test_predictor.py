"""A predictor answers with the bits of the model in evaluation, whatever the model is made of and however it is asked."""

from __future__ import annotations

import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from realtime_models import ACTIVATIONS, MODELS, build, chain, eager, events, rounded, same_bits, trained_norm
from trigrad import _core, nn
from trigrad.realtime import Predictor, Scaler

ALL = [*MODELS, *ACTIVATIONS]


def features(model: nn.Module) -> int:
    return Predictor(model).inputs


# ---- the model's bits


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("name", ALL)
def test_bits_of_the_model(name: str, isa: str) -> None:
    model = build(name)
    _core.set_isa(isa)
    p = Predictor(model, batch=200)
    assert p.isa == isa
    x = events(p.inputs, 200)
    expected = eager(model, x)
    assert np.isfinite(expected).any()
    one_by_one = np.stack([p(row) for row in x])
    assert same_bits(one_by_one, expected)
    for rows in (1, 3, 16, 33, 200):
        assert same_bits(p(x[:rows]), expected[:rows]), f"{rows} rows"


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_is_the_model_with_rounded_weights(name: str, isa: str) -> None:
    """Only the storage is narrow: the sums are those of float32."""
    model = build(name)
    _core.set_isa(isa)
    p = Predictor(model, 60, "bfloat16")
    x = events(p.inputs, 60)
    expected = eager(rounded(model), x)
    assert same_bits(np.stack([p(row) for row in x]), expected)
    assert same_bits(p(x), expected)
    q = Predictor.from_bytes(p.to_bytes(), 60)
    assert (q.to_bytes(), q.nbytes) == (p.to_bytes(), p.nbytes)
    assert same_bits(q(x), expected)


def test_bfloat16_halves_the_weights() -> None:
    model = chain(28, 300, 300, 1)
    assert 0.5 < Predictor(model, precision="bfloat16").nbytes / Predictor(model).nbytes < 0.54


def test_bits_with_threads() -> None:
    model = build("jet")
    x = events(16, 20_000)
    expected = eager(model, x)
    p = Predictor(model, batch=20_000)
    for threads in (1, 2, 3):
        tg.set_num_threads(threads)
        assert same_bits(p(x), expected)


@pytest.mark.parametrize("isa", _core.available_isas())
def test_bits_of_answers_that_go_past_the_caches(isa: str) -> None:
    """From 32 MiB of answers on. None is left out, and nothing beside them is written, wherever they begin."""
    model = chain(2, 3, 161)
    _core.set_isa(isa)
    rows = (8 << 20) // 161 + 43
    x = events(2, rows)
    p = Predictor(model, batch=rows)
    expected = np.concatenate([p(x[i : i + 5000]) for i in range(0, rows, 5000)])
    room = np.empty(rows * 161 + 32, "f")
    for threads, begin in ((1, 0), (1, 3), (2, 13)):
        tg.set_num_threads(threads)
        room.fill(7)
        out = room[begin : begin + rows * 161].reshape(rows, 161)
        p(x, out)
        assert same_bits(out, expected)
        assert (room[:begin] == 7).all()
        assert (room[begin + rows * 161 :] == 7).all()


@pytest.mark.parametrize("width", [1, 3, 5, 7, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 97, 129, 193, 400])
def test_odd_widths(width: int) -> None:
    tg.manual_seed(width)
    model = chain(width, width, width, 1 + width % 5)
    x = events(width, 40)
    p = Predictor(model, batch=40)
    assert same_bits(p(x), eager(model, x))
    assert same_bits(np.stack([p(row) for row in x]), eager(model, x))


def test_model_in_training_is_taken_as_in_evaluation() -> None:
    model = nn.Sequential(nn.Linear(4, 6), trained_norm(6), nn.Dropout(0.5), nn.Linear(6, 2)).train()
    x = events(4, 30)
    p = Predictor(model, batch=30)
    assert model.training
    assert same_bits(p(x), eager(model.eval(), x))


def test_weights_are_a_copy() -> None:
    model = build("ecal")
    p, x = Predictor(model), events(12, 1)[0]
    before = p(x)
    with tg.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert same_bits(p(x), before)


def test_lines_of_strided_weights() -> None:
    model = nn.Sequential(nn.Linear(6, 6))
    model[0].weight = nn.Parameter(tg.tensor(np.arange(36, dtype="f").reshape(6, 6)).T)
    x = events(6, 9)
    assert same_bits(Predictor(model, batch=9)(x), eager(model, x))


# ---- how it is called


def test_answers_in_kind() -> None:
    p = Predictor(build("jet"), batch=4)
    assert p(np.zeros(16, "f")).shape == (5,)
    assert p(np.zeros((1, 16), "f")).shape == (1, 5)
    assert p(np.zeros((3, 16), "f")).shape == (3, 5)
    assert p(np.zeros((3, 16), "f")).dtype == np.float32
    assert (p.inputs, p.outputs, p.batch) == (16, 5, 4)
    assert repr(p).startswith("Predictor(16 -> 5, batch=4, ")


def test_writes_into_out_and_returns_it() -> None:
    p, x = Predictor(build("jet"), batch=4), events(16, 4)
    whole = np.full((6, 5), 9, "f")
    out = whole[1:5]
    assert p(x, out) is out
    assert same_bits(out, p(x))
    assert (whole[0] == 9).all()
    assert (whole[5] == 9).all()
    one = np.zeros(5, "f")
    assert p(x[0], out=one) is one
    assert same_bits(one, out[0])


def strided(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.zeros((*shape[:-1], 2 * shape[-1]), "f")[..., ::2]


def read_only() -> np.ndarray[Any, Any]:
    a = np.zeros(5, "f")
    a.flags.writeable = False
    return a


BAD: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "wrong length": (np.zeros(15, "f"), None, ValueError, r"x has shape \(15,\), expected \(16,\) or \(rows, 16\)"),
    "wrong columns": (np.zeros((2, 15), "f"), None, ValueError, r"x has shape \(2, 15\)"),
    "no axis": (np.zeros((), "f"), None, ValueError, r"x has shape \(\)"),
    "three axes": (np.zeros((1, 1, 16), "f"), None, ValueError, "x has shape"),
    "too many rows": (np.zeros((5, 16), "f"), None, ValueError, "x has 5 rows, expected 1 to 4"),
    "no rows": (np.zeros((0, 16), "f"), None, ValueError, "x has 0 rows, expected 1 to 4"),
    "float64": (np.zeros(16), None, TypeError, r"x has dtype float64, expected float32.*astype\('float32'\)"),
    "integers": (np.zeros(16, int), None, TypeError, "x has dtype int64"),
    "other byte order": (np.zeros(16, ">f4"), None, TypeError, "x has dtype >f4"),
    "a list": ([0.0] * 16, None, TypeError, "x is a list, expected a float32 numpy array"),
    "a tensor": (
        tg.zeros(16),
        None,
        TypeError,
        r"x is a .*Tensor, expected a float32 numpy array; for a Tensor pass x.numpy\(\)",
    ),
    "not contiguous": (strided((16,)), None, ValueError, "x is not C-contiguous"),
    "every other row": (np.zeros((6, 16), "f")[::2], None, ValueError, r"its strides are \(128, 4\) bytes"),
    "transposed": (np.zeros((16, 4), "f").T, None, ValueError, "x is not C-contiguous"),
    "out too short": (
        np.zeros(16, "f"),
        np.zeros(4, "f"),
        ValueError,
        r"out has shape \(4,\), expected \(5,\) for x \(16,\)",
    ),
    "out of another kind": (
        np.zeros(16, "f"),
        np.zeros((1, 5), "f"),
        ValueError,
        r"out has shape \(1, 5\), expected \(5,\)",
    ),
    "out of too few rows": (
        np.zeros((3, 16), "f"),
        np.zeros((2, 5), "f"),
        ValueError,
        r"out has shape \(2, 5\), expected \(3, 5\)",
    ),
    "out of float64": (np.zeros(16, "f"), np.zeros(5), TypeError, "out has dtype float64"),
    "out strided": (
        np.zeros(16, "f"),
        strided((5,)),
        ValueError,
        r"out is not C-contiguous.*make it with numpy\.empty",
    ),
    "out read-only": (np.zeros(16, "f"), read_only(), ValueError, "out is read-only"),
    "out a list": (np.zeros(16, "f"), [0.0] * 5, TypeError, r"out is a list.*; make it with numpy\.empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arrays_are_refused(name: str) -> None:
    x, out, error, text = BAD[name]
    p = Predictor(build("jet"), batch=4)
    with pytest.raises(error, match=text):
        p(x, out)


def test_unaligned_array_is_refused() -> None:
    x = np.zeros(16 * 4 + 1, np.uint8)[1:].view(np.float32)
    with pytest.raises(ValueError, match="x is not aligned"):
        Predictor(build("jet"))(x)


def test_out_may_not_share_memory() -> None:
    p, memory = Predictor(build("jet"), batch=4), np.zeros(64, "f")
    with pytest.raises(ValueError, match="out shares memory with x"):
        p(memory[:16], memory[15:20])
    p(memory[:16], memory[16:21])


def test_wrong_arguments() -> None:
    p, x = Predictor(build("jet")), np.zeros(16, "f")
    for call in (lambda: p(), lambda: p(x, None, None), lambda: p(x, into=x), lambda: p(x, x, out=x)):
        with pytest.raises(TypeError, match=r"expected p\(x\) or p\(x, out\)"):
            call()


def test_a_call_keeps_nothing() -> None:
    p, x = Predictor(build("jet"), batch=2), events(16, 2)
    out = np.zeros((2, 5), "f")
    for _ in range(100):
        p(x, out)
    tracemalloc.start()
    try:
        for _ in range(1000):
            p(x, out)
            p(x)
        assert tracemalloc.get_traced_memory()[0] < 2000
    finally:
        tracemalloc.stop()


def test_one_predictor_in_many_threads() -> None:
    model = build("jet")
    p, x = Predictor(model, batch=64), events(16, 64)
    expected = eager(model, x)
    wrong: list[int] = []

    def work() -> None:
        for i in range(300):
            if not same_bits(p(x[i % 64]), expected[i % 64]) or not same_bits(p(x), expected):
                wrong.append(i)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def highway(gate: nn.Module, layer: nn.Module, activation: nn.Module) -> nn.Highway:
    made = nn.Highway(6, activation)
    made.gate, made.layer = gate, layer
    return made


@pytest.mark.parametrize(
    ("gate", "layer", "activation"),
    [
        (nn.Sequential(nn.ReLU(inplace=True), nn.Linear(6, 6)), nn.Linear(6, 6), nn.Tanh()),
        (nn.Linear(6, 6), nn.Identity(), nn.ELU(inplace=True)),
        (nn.ReLU(inplace=True), nn.Linear(6, 6), nn.ReLU(inplace=True)),
        (nn.Identity(), nn.Identity(), nn.Identity()),
    ],
)
def test_highways_of_layers_in_place(gate: nn.Module, layer: nn.Module, activation: nn.Module) -> None:
    """What a layer overwrites is what the rest of the block sees."""
    model = nn.Sequential(nn.Linear(6, 6), highway(gate, layer, activation))
    x = events(6, 50)
    assert same_bits(Predictor(model, batch=50)(x), eager(model, x))


# ---- what it cannot take


class Custom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, input: tg.Tensor) -> tg.Tensor:
        return self.layer(input) * 2


class Named(nn.Linear):
    """A subclass that changes nothing."""


def test_unknown_layers_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"1\.body is a LayerNorm, which a predictor does not know\. It takes Linear"):
        Predictor(nn.Sequential(nn.Linear(3, 4), nn.Residual(nn.LayerNorm(4))))
    with pytest.raises(TypeError, match="the model is a Custom, which a predictor does not know"):
        Predictor(Custom())
    with pytest.raises(TypeError, match="0 is a Lambda"):
        Predictor(nn.Sequential(nn.Lambda(lambda x: x), nn.Linear(3, 4)))
    assert Predictor(Named(3, 4)).outputs == 4


def test_other_refusals() -> None:
    with pytest.raises(TypeError, match="got a int, expected a model"):
        Predictor(3)
    with pytest.raises(
        TypeError, match=r"0\.bias is .*float64, expected float32; convert the model with model\.float\(\)"
    ):
        Predictor(nn.Sequential(nn.Linear(2, 2, dtype=tg.float64)))
    with pytest.raises(TypeError, match="1 is a BatchNorm1d, without running statistics"):
        Predictor(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)))
    with pytest.raises(TypeError, match="1 is a Softmax, along dim=0"):
        Predictor(nn.Sequential(nn.Linear(2, 2), nn.Softmax(0)))
    with pytest.raises(ValueError, match=r"1 \(Linear\) takes 3 features, but gets 2"):
        Predictor(nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 2)))
    with pytest.raises(ValueError, match="no layer says how many features"):
        Predictor(nn.Sequential(nn.ReLU()))
    with pytest.raises(ValueError, match="the model does nothing"):
        Predictor(nn.Identity(), inputs=3)
    with pytest.raises(ValueError, match="batch is 0, expected 1 to 262144"):
        Predictor(nn.Linear(2, 2), batch=0)
    with pytest.raises(ValueError, match="batch is 262145"):
        Predictor(nn.Linear(2, 2), batch=262_145)
    with pytest.raises(TypeError, match="batch is a float"):
        Predictor(nn.Linear(2, 2), batch=1.0)
    for inputs in (3.0, "3", True):
        with pytest.raises(TypeError, match="inputs is a "):
            Predictor(nn.ReLU(), inputs=inputs)
    with pytest.raises(ValueError, match="an event has 0 features"):
        Predictor(nn.ReLU(), inputs=0)
    with pytest.raises(TypeError, match="scaler is a float, expected a trigrad"):
        Predictor(nn.Linear(2, 2), scaler=2.0)
    with pytest.raises(TypeError, match="precision is a NoneType"):
        Predictor(nn.Linear(2, 2), precision=None)
    with pytest.raises(ValueError, match="precision is 'float8'"):
        Predictor(nn.Linear(2, 2), precision="float8")
    hooked = nn.Linear(2, 2)
    hooked.register_forward_hook(lambda module, args, output: output + 1)
    with pytest.raises(TypeError, match="with hooks"):
        Predictor(hooked)
    with pytest.raises(ValueError, match="bytes of activations, expected at most"):
        Predictor(nn.Sequential(nn.Linear(1, 70_000), nn.ReLU(), nn.Linear(70_000, 1)))
    with pytest.raises(ValueError, match="bytes of activations, expected at most"):
        Predictor(nn.Linear(1, 70_000), batch=100)


# ---- logits and decisions


def test_raw_logits() -> None:
    for name in ("jet", "ecal", "softmax of 17"):
        model = build(name)
        x = events(features(model), 50)
        assert same_bits(Predictor(model, batch=50, raw_logits=True)(x), eager(model[:-1], x))
    with pytest.raises(ValueError, match="does not end in a softmax or sigmoid"):
        Predictor(build("autoencoder"), raw_logits=True)


def test_decisions_are_comparisons() -> None:
    model = build("ecal")
    p, x = Predictor(model, batch=300), events(12, 300)
    y = p(x)[:, 0]
    for threshold in (-1, 0, 1e-40, 1e-20, 0.1, 0.5, 0.9, 1 - 2.0**-24, 1, 2, np.nan, np.inf, np.float64(0.1)):
        expected = y >= threshold
        assert (p.decide(x, threshold) == expected).all()
        assert [p.decide(row, threshold) for row in x] == expected.tolist()


@pytest.mark.parametrize("threshold", [1e-6, 0.02, 0.5, 0.75, 0.999])
def test_decisions_next_to_the_threshold(threshold: float) -> None:
    """Events whose logits are neighbouring floats around that of the threshold, and thresholds next to answers."""
    model = nn.Sequential(nn.Linear(1, 1), nn.Sigmoid())
    with tg.no_grad():
        model[0].weight.fill_(1)
        model[0].bias.fill_(0)
    p = Predictor(model)
    middle = np.float32(np.log(threshold / (1 - threshold)))
    step = 1 if middle == 0 else np.spacing(middle)
    z = (middle + step * np.arange(-400, 401)).astype("f") if middle else np.linspace(-1e-4, 1e-4, 801, dtype="f")
    t = np.float32(threshold)
    for near in (t, np.nextafter(t, np.float32(0)), np.nextafter(t, np.float32(1))):
        decided = np.array([p.decide(v[None], float(near)) for v in z])
        expected = np.array([p(v[None])[0] >= near for v in z])
        assert (decided == expected).all()
        assert expected.any()
        assert not expected.all()


def test_decisions_of_several_outputs() -> None:
    p, x = Predictor(build("jet"), batch=40), events(16, 40)
    y = p(x)
    with pytest.raises(ValueError, match="the model has 5 outputs; say which one decides"):
        p.decide(x, 0.5)
    for output in (0, 3, -1):
        assert (p.decide(x, 0.2, output) == (y[:, output] >= np.float32(0.2))).all()
        assert [p.decide(row, 0.2, output=output) for row in x] == (y[:, output] >= np.float32(0.2)).tolist()
    with pytest.raises(IndexError, match="output is 5, expected one of the 5 outputs"):
        p.decide(x, 0.5, 5)


# ---- scaler


def scaled(x: np.ndarray[Any, Any], s: Scaler) -> np.ndarray[Any, Any]:
    """In numpy's float32, which rounds after each operation as well."""
    fill, low, high, offset, scale = s.constants(x.shape[1])
    x = np.where(np.isnan(x), fill, x)
    return (np.minimum(np.maximum(x, low), high) - offset) * scale


@pytest.mark.parametrize(
    "scaler",
    [
        Scaler(offset=np.linspace(-1, 1, 12), scale=np.linspace(0.1, 3, 12)),
        Scaler(offset=0.3, scale=2, low=-3, high=np.full(12, 3.0), nan=0.25),
        Scaler(nan=-1.0),
        Scaler(low=0.5, high=0.5),
    ],
)
def test_scaler(scaler: Scaler) -> None:
    model = build("ecal")
    p, x = Predictor(model, batch=90, scaler=scaler), events(12, 90)
    with np.errstate(all="ignore"):
        expected = eager(model, scaled(x, scaler).astype("f"))
    assert same_bits(p(x), expected)
    assert same_bits(np.stack([p(row) for row in x]), expected)


def test_nan_policies() -> None:
    model = build("ecal")
    p = Predictor(model, batch=40, scaler=Scaler(nan="refuse"))
    x = np.nan_to_num(events(12, 40))
    out = np.full((40, 1), 7, "f")
    assert same_bits(p(x), eager(model, x))
    x[23, 11] = np.nan
    with pytest.raises(ValueError, match="row 23 of x has a NaN, which this predictor refuses"):
        p(x, out)
    assert (out == 7).all()
    with pytest.raises(ValueError, match="x has a NaN, which this predictor refuses"):
        p(x[23], out[0])
    assert (out == 7).all()
    with pytest.raises(ValueError, match="x has a NaN"):
        p.decide(x[23], 0.5)
    assert np.isnan(Predictor(model)(x[23])).all()


def test_bad_scalers() -> None:
    for scaler, text in (
        (Scaler(offset=[1.0, 2.0]), r"offset has shape \(2,\), expected one number or one for each of 12 features"),
        (Scaler(low=1.0, high=0.0), "low is above high"),
        (Scaler(nan="drop"), "nan is 'drop'"),
        (Scaler(nan=None), "nan is None"),
        (Scaler(scale=[1.0] * 11 + [np.inf]), "scale is inf for a feature, expected finite numbers"),
        (Scaler(offset=np.nan), "offset is nan for a feature"),
    ):
        with pytest.raises(ValueError, match=text):
            Predictor(build("ecal"), scaler=scaler)


# ---- denormals


@pytest.mark.parametrize("last", [nn.ReLU(), nn.Sigmoid()])
def test_a_denormal_threshold_is_not_zero(last: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), last)
    with tg.no_grad():
        model[0].weight.fill_(1.0)
    p, x = Predictor(model, flush_denormals=True), np.array([-200.0], "f")
    assert p(x)[0] == 0
    assert p.decide(x, 0.0)
    assert not p.decide(x, 1e-45)


def test_denormals_are_kept_unless_flushed() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False))
    with tg.no_grad():
        model[0].weight.fill_(0.5)
    x = np.array([3e-39], "f")
    assert Predictor(model)(x)[0] == np.float32(1.5e-39)
    assert Predictor(model, flush_denormals=True)(x)[0] == 0
    assert x[0] * np.float32(0.5) == np.float32(1.5e-39), "the caller's setting came back"
