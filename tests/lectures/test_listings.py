"""Row 67 of the catalogue: PyTorch's scripts run with only the import changed.

The listings are taken from the lectures' text, where that lies beside the project. `scripts/` holds others in the same
style, which run with PyTorch, too, where it is installed.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trigrad import _losses

HERE = Path(__file__).resolve().parent
LECTURES = HERE.parents[2] / "shared" / "lectures"
LECTURE = "Machine Learning for Physicists"  # the first line of the text that has the listings
SCRIPTS = sorted((HERE / "scripts").glob("*.py"))


@pytest.fixture(autouse=True)
def _first_warnings() -> Iterator[None]:
    """Of targets outside of a loss's domain a process is told once."""
    before = set(_losses.base.warned)
    _losses.base.warned.clear()
    yield
    _losses.base.warned.clear()
    _losses.base.warned.update(before)


def with_ours(script: str) -> str:
    """The script with the import changed, and nothing else."""
    script = re.sub(r"(?m)^import torch$", "import trigrad as torch", script)
    return re.sub(r"(?m)^(import|from) torch(?=[. ])", r"\1 trigrad", script)


def run(script: str, name: str) -> tuple[dict[str, Any], str]:
    """What it leaves behind, and what it printed."""
    left: dict[str, Any] = {"__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(script, name, "exec"), left)  # noqa: S102
    return left, printed.getvalue()


def test_row_067_only_the_import_is_changed() -> None:
    before = "import torch\nimport torch.nn as nn\nfrom torch import optim\nfrom torch.utils.data import DataLoader\nx = torch.e"
    after = (
        "import trigrad as torch\nimport trigrad.nn as nn\nfrom trigrad import optim\n"
        "from trigrad.utils.data import DataLoader\nx = torch.e"
    )
    assert with_ours(before) == after


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_row_067_scripts(path: Path) -> None:
    """They assert for themselves that they did what they should."""
    script = path.read_text()
    assert "trigrad" not in script
    _, printed = run(with_ours(script), str(path))
    assert printed


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_row_067_the_scripts_are_pytorchs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cudnn, threads = torch.backends.cudnn, torch.get_num_threads()
    switches = cudnn.deterministic, cudnn.benchmark
    torch.set_num_threads(1)
    try:
        _, printed = run(path.read_text(), str(path))
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
        cudnn.deterministic, cudnn.benchmark = switches
    assert printed


# ---- the lectures' own


def listings() -> list[str]:
    """The blocks of code that call PyTorch, without what they print."""
    if not LECTURES.is_dir():
        pytest.skip("the lectures' texts are not here: they lie in ../shared/lectures")
    (text,) = (t for p in sorted(LECTURES.glob("*.txt")) if (t := p.read_text()).lstrip().startswith(LECTURE))
    blocks = re.findall(r"(?ms)^```\n(.*?)^```", text)
    return [re.sub(r"(?m)^output: .*$", "", block) for block in blocks if "torch." in block]


def listing(words: str) -> str:
    (found,) = (block for block in listings() if words in block)
    return found


def normalised(x: Any) -> Any:
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def arrays(left: dict[str, Any], *names: str) -> list[Any]:
    return [
        left[name].detach().numpy().astype("float64" if left[name].dtype.is_floating_point else "int64")
        for name in names
    ]


def test_row_067_lecture_has_eight_listings() -> None:
    assert len(listings()) == 8


def test_row_067_lecture_backpropagation() -> None:
    """It is the one that does not import PyTorch itself."""
    _, printed = run("import trigrad as torch\n" + listing("f.backward()"), "backpropagation")
    assert printed.splitlines() == [
        f"Gradient of {name} is: tensor({value}.)" for name, value in zip("xyz", (5, 5, 1), strict=True)
    ]


LOSSES: dict[str, tuple[tuple[str, ...], Callable[..., Any], str | None]] = {
    "MAE Loss": (("input", "target"), lambda x, y: np.abs(x - y).mean(), None),
    "MSE Loss": (("input", "target"), lambda x, y: ((x - y) ** 2).mean(), None),
    "NLL Loss": (("input", "target"), lambda x, y: -normalised(x)[np.arange(3), y].mean(), None),
    "Cross Entropy Loss": (("input", "target"), lambda x, y: -normalised(x)[np.arange(3), y].mean(), None),
    "Hinge Embedding Loss": (
        ("input", "target"),
        # what PyTorch computes of targets that are neither 1 nor -1: both terms
        lambda x, y: (np.where(y != 1, np.maximum(0, 1 - x), 0) + np.where(y != -1, x, 0)).mean(),
        "targets are expected to be 1 or -1",
    ),
    "Margin Ranking Loss": (
        ("input_one", "input_two", "target"),
        lambda a, b, y: np.maximum(0, -y * (a - b)).mean(),
        None,
    ),
    "Kullback-Leibler Divergence Loss": (
        ("input", "target"),
        lambda x, y: (y * (np.log(y) - x)).sum() / 2,
        "input is expected to hold log-probabilities, and target probabilities",
    ),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", range(3))
def test_row_067_lecture_losses(name: str, seed: int) -> None:
    import trigrad

    inputs, formula, words = LOSSES[name]
    script = listing(f"# {name}\n")
    trigrad.manual_seed(seed)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        left, printed = run(with_ours(script), name)
    if words is None:
        assert told == []
    else:
        (only,) = told
        assert words in str(only.message)
    with np.errstate(invalid="ignore"):
        expected = formula(*arrays(left, *inputs))
    np.testing.assert_allclose(left["output"].item(), expected, rtol=1e-5)
    assert printed.startswith(f"output:  tensor({left['output'].item():.4f}, grad_fn=<")
    learned = [left[n] for n in inputs if left[n].requires_grad]
    assert learned
    assert all(t.grad is not None and t.grad.shape == t.shape for t in learned)
    assert math.isnan(expected) or any(bool((t.grad != 0).any()) for t in learned)
