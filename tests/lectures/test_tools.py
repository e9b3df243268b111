"""PyTorch beside us: row 160 of the catalogue."""

from __future__ import annotations

import io
import socket
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import trigrad as tg
from values import real, whole


@pytest.fixture(scope="module")
def torch() -> Iterator[ModuleType]:
    module = pytest.importorskip("torch")
    threads = module.get_num_threads()
    module.set_num_threads(1)  # nets so small only wait for each other
    yield module
    module.set_num_threads(threads)


def network(lib: Any) -> Any:
    """The same lines for both libraries."""
    nn = lib.nn

    class Net(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.PReLU(), nn.LayerNorm(16))
            self.table = nn.Embedding(7, 16)
            self.pairs = nn.Bilinear(16, 16, 8)
            self.head = nn.Linear(8, 3, bias=False)

        def forward(self, x: Any, i: Any) -> Any:
            return self.head(lib.tanh(self.pairs(self.features(x), self.table(i))))

    return Net()


def arrays(state: Any) -> dict[str, Any]:
    return {name: np.array(t.detach().numpy()) for name, t in state.items()}


X = real((32, 6), "lectures.tools", "float32")
I = whole(32, "lectures.tools.i", "int64", 0, 7)
Y = whole(32, "lectures.tools.y", "int64", 0, 3)


def train(lib: Any, net: Any, optimizer: Any, steps: int = 5) -> list[float]:
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = lib.nn.functional.cross_entropy(net(lib.tensor(X), lib.tensor(I)), lib.tensor(Y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("way", ["from PyTorch", "to PyTorch"])
def test_row_160_weights_go_both_ways(way: str, torch: Any) -> None:
    ours, theirs = network(tg), network(torch)
    train(tg, ours, tg.optim.SGD(ours.parameters(), lr=0.1))
    train(torch, theirs, torch.optim.SGD(theirs.parameters(), lr=0.1))
    assert {k: (v.shape, v.dtype) for k, v in arrays(ours.state_dict()).items()} == {
        k: (v.shape, v.dtype) for k, v in arrays(theirs.state_dict()).items()
    }
    if way == "from PyTorch":
        message = ours.load_state_dict({k: tg.from_numpy(v) for k, v in arrays(theirs.state_dict()).items()})
    else:
        message = theirs.load_state_dict({k: torch.from_numpy(v) for k, v in arrays(ours.state_dict()).items()})
    assert repr(message) == "<All keys matched successfully>"
    for name, value in arrays(ours.state_dict()).items():
        np.testing.assert_array_equal(value, arrays(theirs.state_dict())[name])
    ours.eval(), theirs.eval()
    np.testing.assert_allclose(
        ours(tg.tensor(X), tg.tensor(I)).detach().numpy(),
        theirs(torch.tensor(X), torch.tensor(I)).detach().numpy(),
        rtol=1e-4,
        atol=1e-6,
    )


def test_row_160_numpy_arrays_are_a_state(torch: Any) -> None:
    """load_state_dict takes what np.savez keeps, without a word about tensors; so weights travel through a file."""
    theirs, ours = network(torch), network(tg)
    file = io.BytesIO()
    np.savez(file, **arrays(theirs.state_dict()))
    file.seek(0)
    ours.load_state_dict(dict(np.load(file)))
    for name, value in arrays(theirs.state_dict()).items():
        np.testing.assert_array_equal(ours.state_dict()[name].numpy(), value)


def test_row_160_optimizer_states_go_both_ways(torch: Any) -> None:
    """Training goes on in the other library as it would have here."""

    def moved(state: Any, tensor: Any) -> Any:
        if isinstance(state, dict):
            return {k: moved(v, tensor) for k, v in state.items()}
        if isinstance(state, list):
            return [moved(v, tensor) for v in state]
        return tensor(np.array(state.detach().numpy())) if hasattr(state, "detach") else state

    ours, theirs = network(tg), network(torch)
    optimizer = tg.optim.Adam(ours.parameters(), lr=0.01)
    train(tg, ours, optimizer)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in arrays(ours.state_dict()).items()})
    other = torch.optim.Adam(theirs.parameters(), lr=0.5)
    other.load_state_dict(moved(optimizer.state_dict(), torch.tensor))
    np.testing.assert_allclose(train(tg, ours, optimizer), train(torch, theirs, other), rtol=1e-4)

    back = tg.optim.Adam(ours.parameters(), lr=0.5)
    back.load_state_dict(moved(other.state_dict(), tg.from_numpy))
    ours.load_state_dict({k: tg.from_numpy(v) for k, v in arrays(theirs.state_dict()).items()})
    np.testing.assert_allclose(train(tg, ours, back), train(torch, theirs, other), rtol=1e-4)


SNIPPETS = {
    "a regression": """
x = torch.linspace(-1, 1, 50).unsqueeze(1)
y = 3 * x + 0.5
model = nn.Linear(1, 1)
nn.init.zeros_(model.weight); nn.init.zeros_(model.bias)
optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5)
for epoch in range(40):
    optimizer.zero_grad()
    loss = nn.MSELoss()(model(x), y)
    loss.backward()
    optimizer.step()
result = [loss, model.weight, model.bias]
""",
    "a classifier with a schedule": """
x = torch.tensor(X)
target = torch.tensor(Y)
model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
with torch.no_grad():
    for k, p in enumerate(model.parameters()):
        p.copy_(torch.cos(torch.arange(p.numel(), dtype=torch.float32) + k).reshape(p.shape) / 2)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.5)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, target), batch_size=8)
criterion = nn.CrossEntropyLoss()
for epoch in range(10):
    model.train()
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    scheduler.step()
model.eval()
with torch.no_grad():
    out = model(x)
    accuracy = (out.argmax(dim=1) == target).float().mean()
result = [loss, out.softmax(dim=1), accuracy, torch.tensor(scheduler.get_last_lr())]
""",
    "gradients by hand": """
w = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
x = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]])
y = torch.sigmoid(x @ w).log().sum() + (w ** 2).sum()
(g,) = torch.autograd.grad(y, w, create_graph=True)
g.norm().backward()
result = [y, g, w.grad, torch.autograd.functional.hessian(lambda w: torch.sigmoid(x @ w).sum(), w.detach())]
""",
}


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_row_160_snippets_give_what_torch_gives(snippet: str, torch: Any) -> None:
    results = []
    for lib in (torch, tg):
        scope: dict[str, Any] = {"torch": lib, "nn": lib.nn, "X": X, "Y": Y}
        exec(SNIPPETS[snippet], scope)  # noqa: S102
        results.append([np.array(t.detach().numpy()) for t in scope["result"]])
    for theirs, ours in zip(*results, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-5)


def test_row_160_a_wrong_state_is_refused_whole(torch: Any) -> None:
    """All keys that do not fit are named at once, and nothing is loaded."""
    ours = network(tg)
    before = arrays(ours.state_dict())
    state = OrderedDict((k, tg.from_numpy(v)) for k, v in arrays(network(torch).state_dict()).items())
    state["head.weight"] = tg.zeros(4, 8)
    del state["table.weight"]
    state["extra"] = tg.zeros(1)
    with pytest.raises(RuntimeError, match=r"(?s)table\.weight.*extra.*size mismatch for head\.weight"):
        ours.load_state_dict(state)
    for name, value in arrays(ours.state_dict()).items():
        np.testing.assert_array_equal(value, before[name])


class Recorded:
    """A service with the methods of Comet's `Experiment`, which keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def log_parameters(self, parameters: Any) -> None:
        self.told += [("parameter", name, value) for name, value in parameters.items()]

    def log_metrics(self, metrics: Any, step: int) -> None:
        self.told += [("metric", name, value, step) for name, value in metrics.items()]

    def end(self) -> None:
        self.told.append(("end",))


def test_row_166_runs_are_tracked_in_a_file_unless_a_service_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("a run left the machine"))
    X = tg.randn(64, 3, generator=tg.Generator().manual_seed(1))
    service = Recorded()
    for run in (
        tg.train.RunLogger(parameters={"data": "toy"}),
        tg.train.RunLogger(service, parameters={"data": "toy"}),
    ):
        tg.manual_seed(2)
        model = tg.nn.Linear(3, 1)
        trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.1), metrics=["r2"])
        history = trainer.fit(X, X[:, :1], epochs=3, batch_size=16, validation_split=0.25, callbacks=[run])
    lines = tg.train.OfflineRun.read("run.jsonl")
    found = [(line["kind"], line["name"], line["value"], *([line["step"]] if "step" in line else [])) for line in lines]
    assert [line for line in found if line[0] == "metric"] == [
        ("metric", name, numbers[k], k + 1) for k in range(3) for name, numbers in history.items()
    ]
    assert {("parameter", "data", "toy"), ("parameter", "optimizer.lr", 0.1), ("parameter", "seed", 2)} <= set(found)
    assert [line[:1] if line[0] == "end" else line for line in found] == service.told
    assert list(history) == ["loss", "val_loss", "val_r2"]
