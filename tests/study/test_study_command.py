"""`trigrad study` and what works on its files: the whole way from events to a report, and refusals that leave nothing."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import trigrad as tg
from trigrad import cli, metrics
from trigrad._study import Saved, Settings
from trigrad._study.progress import Log, Progress

FILES = {"events.jsonl", "metrics.json", "model.safetensors", "model.tgplan", "report.html"}  # and model.h
QUICK = ["--seconds", "0.002", "--epochs", "3"]


def page_of(folder: Path) -> ET.Element:
    text = (folder / "report.html").read_text()
    assert not re.search(r"(src|href|url\(|@import|<script|<link)", text), "the report needs nothing else"
    return ET.fromstring(text.removeprefix("<!DOCTYPE html>"))


def numbers_of(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def events(path: Path, n: int = 400, seed: int = 0) -> Path:
    """A signal that is 2 above the background in x, weights, a number 3 x - y."""
    rng = np.random.default_rng(seed)
    signal = rng.random(n) < 0.4
    x, y = rng.standard_normal(n) + 2 * signal, rng.standard_normal(n)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["x", "y", "kind", "w", "value"])
        for row in zip(x, y, np.where(signal, "sig", "bkg"), rng.choice([1.0, 1.0, -0.2], n), 3 * x - y, strict=True):
            writer.writerow(row)
    return path


@pytest.fixture(scope="module")
def jets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jets") / "study"
    assert cli.main(["study", "--events", "3000", "--seed", "5", "--output", str(folder), "--quiet", *QUICK]) == 0
    return folder


def test_without_a_file_it_studies_toy_jets(jets: Path) -> None:
    assert {f.name for f in jets.iterdir()} - {"model.h"} == FILES
    page = page_of(jets)
    titles = [h.text for h in page.iter("h2")]
    assert titles[:5] == ["Result", "Training", "Decisions", "First layer", "Latency"]
    # Loss, accuracy, rate of learning; ROC, confusion, five scores; weights; latencies.
    assert len(page.findall(".//figure")) == 3 + 7 + 1 + 1
    lines = [json.loads(line) for line in (jets / "events.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines[:2]] == ["start", "split"]
    assert [line["epoch"] for line in lines if line["event"] == "epoch"] == [1, 2, 3]
    assert lines[-1]["event"] == "end"


def test_its_numbers_are_those_of_events_it_has_not_seen(jets: Path) -> None:
    found = numbers_of(jets)
    test = tg.data.toy_jets(3000, seed=5).split(0.7, 0.1, 0.2, seed=5)[2]
    assert found["test"]["sha256"] == test.digest()
    saved = Saved.load(jets / "model.safetensors")
    answer = saved.answers(test.X)
    np.testing.assert_allclose(answer.sum(1), 1, atol=1e-6)
    assert found["accuracy"]["value"] == (answer.argmax(1) == test.y).mean()
    assert found["accuracy"]["value"] > 0.4, "five classes: chance is 0.2"
    for k, name in enumerate("gqwzt"):
        area = found["auc"][name]
        assert area["value"] == metrics.roc_auc_score(test.y == k, answer[:, k])
        assert area["low"] < area["value"] < area["high"]
    assert set(found["working_points"]) == {"w", "z", "t"}, "gluons and quarks make the rate"
    top = found["working_points"]["t"]
    rate = answer[np.isin(test.y, [0, 1]), 4]
    assert top["signal_efficiency"] == (answer[test.y == 4, 4] >= top["threshold"]).mean()
    assert 40_000 * (rate >= top["threshold"]).mean() == pytest.approx(top["rate_khz"])
    assert top["rate_khz"] <= 100
    assert np.sum(found["confusion"]) == len(test)
    # The file is the eager model on standardized features, and the plan is the file.
    eager = tg.softmax(saved.model(tg.from_numpy(saved.scaler.transform(test.X))), 1).detach().numpy()
    np.testing.assert_allclose(answer, eager, rtol=1e-5, atol=1e-7)
    plan = tg.realtime.Predictor.load(jets / "model.tgplan")
    assert all((plan(x) == a).all() for x, a in zip(test.X[:50], answer, strict=False))


def test_the_same_seed_gives_the_same_bits(jets: Path, tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    for folder, seed in ((again, "5"), (other, "6")):
        command = ["study", "--events", "3000", "--seed", seed, "--output", str(folder), "--quiet", *QUICK]
        assert cli.main(command) == 0
    assert (again / "model.tgplan").read_bytes() == (jets / "model.tgplan").read_bytes()
    assert (other / "model.tgplan").read_bytes() != (jets / "model.tgplan").read_bytes()
    same = ("accuracy", "auc", "working_points", "confusion", "history")
    assert {n: numbers_of(again)[n] for n in same} == {n: numbers_of(jets)[n] for n in same}


def test_a_gpu_learns_the_same_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = events(tmp_path / "d.csv")
    command = ["study", str(data), "--target", "kind", "--features", "x", "y", "--quiet", *QUICK]
    assert cli.main([*command, "--output", str(tmp_path / "here")]) == 0
    there = [*command, "--device", "cuda", "--output", str(tmp_path / "there")]
    if tg.cuda.is_available():
        before = tg.cuda.memory_stats()["allocation.all.allocated"]
        assert cli.main(there) == 0
        assert tg.cuda.memory_stats()["allocation.all.allocated"] > before
        plans = [(tmp_path / name / "model.tgplan").read_bytes() for name in ("here", "there")]
        assert plans[0] == plans[1]
        assert numbers_of(tmp_path / "there")["provenance"]["settings"]["device"] == "cuda"
    else:
        assert cli.main(there) == 2
        assert "[study] device is 'cuda:0', but CUDA is " in capsys.readouterr().err
        assert not (tmp_path / "there").exists()


def test_a_file_with_weights_and_a_model_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data, folder = tmp_path / "m.toml", events(tmp_path / "d.csv"), tmp_path / "o"
    model.write_text('[model]\nhidden = [8]\nactivation = "tanh"\nbatch_norm = true\n[training]\nlr = 0.02\n')
    folder.mkdir()
    (folder / "mine.txt").write_text("stays")
    (folder / "pictures.pdf").write_text("of the study before")
    columns = ["--target", "kind", "--weight", "w", "--features", "x", "y"]
    assert cli.main(["study", str(data), *columns, "--model", str(model), "--output", str(folder), *QUICK]) == 0
    said = capsys.readouterr().out
    assert re.search(r"epoch +3/3  loss \d\.\d+  validation \d\.\d+  accuracy \d\.\d+  .*/s  \d+\.\d s\n", said)
    assert re.search(r"AUC sig +0\.\d+ +0\.\d+ to [01]\.\d+\n", said)
    assert "negative weights" in said
    assert {f.name for f in folder.iterdir()} - {"model.h"} == {*FILES, "mine.txt"}
    assert (folder / "mine.txt").read_text() == "stays"
    found = numbers_of(folder)
    assert found["auc"]["sig"]["value"] > 0.75
    table = tg.data.read(data, "kind", "w", features=["x", "y"]).split(0.7, 0.1, 0.2, seed=0)[2]
    assert np.sum(found["confusion"]) == pytest.approx(table.weight.sum())
    saved = Saved.load(folder / "model.safetensors")
    assert (saved.features, saved.classes, saved.target) == (("x", "y"), ("bkg", "sig"), "kind")
    assert [type(m).__name__ for m in saved.model] == ["Linear", "Tanh", "BatchNorm1d", "Linear"] or [
        type(m).__name__ for m in saved.model
    ] == ["Linear", "Tanh", "Linear"]
    with pytest.warns(metrics.NegativeWeightWarning):
        area = metrics.roc_auc_score(table.y, saved.answers(table.X)[:, 1], sample_weight=table.weight)
    assert found["auc"]["sig"]["value"] == area


def test_the_unit_of_weights_does_not_matter(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x, y, w = rng.standard_normal((300, 2)), rng.random(300) < 0.5, rng.random(300)
    for name, unit in (("a", 1.0), ("b", 2.0**-14)):
        np.savez(tmp_path / f"{name}.npz", x=x + y[:, None], y=y, w=w * unit)
        columns = ["--target", "y", "--weight", "w", "--output", str(tmp_path / name)]
        assert cli.main(["study", str(tmp_path / f"{name}.npz"), *columns, "--quiet", *QUICK]) == 0
    plans = [(tmp_path / name / "model.tgplan").read_bytes() for name in "ab"]
    assert plans[0] == plans[1]


def test_a_number_is_learned_in_its_own_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, folder = events(tmp_path / "d.csv", 1000), tmp_path / "o"
    columns = ["--target", "value", "--features", "x", "y"]
    command = ["study", str(data), *columns, "--output", str(folder), "--quiet", "--seconds", "0.002", "--epochs", "40"]
    assert cli.main(command) == 0
    assert "R²" in capsys.readouterr().out
    assert numbers_of(folder)["R²"]["value"] > 0.97
    table = tg.data.read(data, "value", features=["x", "y"])
    assert np.abs(Saved.load(folder / "model.safetensors").answers(table.X)[:, 0] - table.y).mean() < 0.5
    page_of(folder)
    # Predictions, as CSV, as NumPy's file, and from the plan.
    files = [tmp_path / "p.csv", tmp_path / "p.npy", tmp_path / "q.npy"]
    for model, more, file in zip(
        ("model.safetensors", "model.safetensors", "model.tgplan"),
        ([], [], ["--features", "x", "y"]),
        files,
        strict=True,
    ):
        assert cli.main(["predict", str(folder / model), str(data), *more, "--output", str(file)]) == 0
    text, numbers = np.loadtxt(files[0], skiprows=1, dtype="f"), np.load(files[1])
    assert (text == numbers[:, 0]).all()
    assert (np.load(files[2]) == numbers).all()
    assert files[0].read_text().startswith("value\n")


def test_predictions_name_classes(jets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = tg.data.toy_jets(20, seed=9)
    named = {name: some.X[:, k] for k, name in enumerate(some.features)}
    np.savez(tmp_path / "jets.npz", **dict(reversed(named.items())))  # by name, not by place
    capsys.readouterr()
    assert cli.main(["predict", str(jets / "model.safetensors"), str(tmp_path / "jets.npz")]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    answer = Saved.load(jets / "model.safetensors").answers(some.X)
    assert list(rows[0]) == ["class", "p(g)", "p(q)", "p(w)", "p(z)", "p(t)"]
    assert [[np.float32(v) for v in list(row.values())[1:]] for row in rows] == answer.tolist()
    assert [row["class"] for row in rows] == ["gqwzt"[k] for k in answer.argmax(1)]


def test_predictions_of_rows_without_a_number(jets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = tg.data.toy_jets(3, seed=9)
    some.X[1, 4] = np.nan
    np.savez(tmp_path / "jets.npz", **{name: some.X[:, k] for k, name in enumerate(some.features)})
    command = ["predict", str(jets / "model.safetensors"), str(tmp_path / "jets.npz")]
    assert cli.main(command) == 2
    assert f"column {some.features[4]!r} is nan in row 1" in capsys.readouterr().err
    assert cli.main([*command, "--nan", "keep"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert rows[1] == ",nan,nan,nan,nan,nan"
    assert all(row[0] in "gqwzt" and "nan" not in row for row in (rows[0], rows[2]))


@pytest.mark.parametrize(
    "command", [["predict", "{}", "d.csv"], ["export", "{}", "--plan", "p.tgplan"], ["info", "{}"]]
)
def test_files_that_are_no_models_are_named(command: list[str], jets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([word.format(jets / "metrics.json") for word in command]) == 2
    assert f"{jets / 'metrics.json'}: [load] not a valid file" in capsys.readouterr().err


def test_a_constant_column_may_be_kept(tmp_path: Path) -> None:
    rows = "".join(f"{k % 7},1.5,{'uv'[k % 2]}\n" for k in range(60))
    (tmp_path / "d.csv").write_text(f"x,c,t\n{rows}")
    command = ["study", str(tmp_path / "d.csv"), "--target", "t", "--output", str(tmp_path / "o"), "--quiet", *QUICK]
    assert cli.main([*command, "--constant", "keep"]) == 0
    assert np.isfinite(Saved.load(tmp_path / "o" / "model.safetensors").answers(np.array([[3, 1.5]]))).all()


def test_export(jets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, plan = str(jets / "model.safetensors"), tmp_path / "m.tgplan"
    assert cli.main(["export", model, "--plan", str(plan), "--raw-logits"]) == 0
    assert "m.tgplan: 16 -> 5" in capsys.readouterr().out
    x = tg.data.toy_jets(10, seed=9).X
    saved = Saved.load(model)
    logits = tg.realtime.Predictor.load(plan)(x[0])
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(), saved.answers(x)[0], rtol=1e-5)
    assert cli.main(["export", model]) == 2
    assert "expected --plan FILE" in capsys.readouterr().err
    tg.save(tg.nn.Linear(3, 1), tmp_path / "bare.safetensors")
    assert cli.main(["export", str(tmp_path / "bare.safetensors"), "--plan", str(plan)]) == 0
    assert tg.realtime.Predictor.load(plan).inputs == 3
    capsys.readouterr()
    assert cli.main(["info", model]) == cli.main(["info", str(plan)]) == 0
    said = capsys.readouterr().out
    assert "made by trigrad.data.toy_jets" in said
    assert re.search(r"inputs +3\n", said)


def test_pictures_as_pdf(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    data = [str(events(tmp_path / "d.csv")), "--target", "kind", "--features", "x", "y"]
    assert cli.main(["study", *data, "--output", str(tmp_path / "o"), "--quiet", "--pdf", *QUICK]) == 0
    content = (tmp_path / "o" / "pictures.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b(?!s)", content)) == 3 + 3 + 1


def test_without_matplotlib_the_way_to_pdf_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["study", "--events", "1000", "--output", str(tmp_path / "o"), "--pdf", *QUICK]) == 2
    assert "pip install 'trigrad[plot]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_line_is_written_over(tmp_path: Path) -> None:
    log, out = Log(tmp_path / "log"), Terminal()
    model = tg.nn.Linear(2, 1)
    trainer = tg.Trainer(model, tg.nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.1))
    x = tg.ones(64, 2)
    trainer.fit(x, x[:, :1], epochs=12, batch_size=16, callbacks=[Progress(64, log, out)])
    log.close()
    said = out.getvalue()
    assert said.count("\n") == 1
    assert said.endswith(" s\x1b[K\n")
    shown = said.split("\r")[1:]
    assert len(shown) == 12 + 1
    assert all(re.match(r"epoch [ 1]\d/12  loss \d\.\d{4}  .*/s  ETA 0:0\d", line) for line in shown[:-1])
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["loss"] for line in lines] == trainer.history["loss"]
    assert all(line["events_per_second"] > 0 for line in lines)


WRONG = {
    "no target": (["d.csv"], "expected --target"),
    "no file": (["none.csv", "--target", "kind"], "there is no file none.csv"),
    "no column": (["d.csv", "--target", "kin"], "no column 'kin'"),
    "text": (["d.csv", "--target", "value"], "column 'kind' (feature) holds"),
    "NaN": (["nan.csv", "--target", "t"], "column 'a' is nan in row 2 (line 4)"),
    "constant": (["flat.csv", "--target", "t"], "leave it out of --features, or say --constant keep"),
    "no value": (
        ["gap.csv", "--target", "t"],
        "column 'a' is empty in row 1 (line 3); expected finite numbers. --nan drop",
    ),
    "weights": (
        ["weights.csv", "--target", "t", "--weight", "a"],
        "class 'v': the weights add up to -3, expected more than 0",
    ),
    "one class": (["one.csv", "--target", "t"], "is u in all 3 rows"),
    "too few": (["few.csv", "--target", "t"], "few.csv has 3 events of class 'u', expected 10 at least"),
    "no model file": (["d.csv", "--target", "kind", "--model", "m.toml"], "m.toml"),
    "odd model file": (["d.csv", "--target", "kind", "--model", "odd.toml"], "[model] has 'hiden'"),
    "no TOML": (["d.csv", "--target", "kind", "--model", "d.csv"], "d.csv is no TOML"),
    "class": (["--events", "200", "--background", "x"], "there is no class 'x' for the background"),
    "of a file": (["--target", "t"], "--target belongs to a file"),
    "epochs": (["--epochs", "0"], "epochs is 0"),
    "seed": (["--seed", "-1"], "seed is -1, expected a whole number from 0"),
    "folder": (["--events", "200", "--output", "no/such"], "there is no folder no"),
    "file": (["--events", "200", "--output", "d.csv"], "d.csv is a file"),
}


BROKEN = {  # numbers a; kinds of t are u and v in turn
    "nan": "1 2 nan 3",
    "flat": "1 1 1 1",
    "gap": "1  3 4",
    "one": "1 2 3",
    "few": "1 2 3 4 5",
}


@pytest.mark.parametrize("case", WRONG)
def test_refusals_leave_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    events(tmp_path / "d.csv", 60)
    for name, column in BROKEN.items():
        kinds = "uuu" if name == "one" else "uvuvuv"
        lines = [f"{a},{t}" for a, t in zip(column.split(" "), kinds, strict=False)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["a,t", *lines]) + "\n")
    rows = "".join(f"{k},{[2, -0.25][k % 2]},{'uv'[k % 2]}\n" for k in range(24))
    (tmp_path / "weights.csv").write_text(f"x,a,t\n{rows}")
    (tmp_path / "odd.toml").write_text("[model]\nhiden = [3]\n")
    before = {p.name for p in tmp_path.iterdir()}
    arguments, part = WRONG[case]
    assert cli.main(["study", *arguments]) == 2
    captured = capsys.readouterr()
    assert part in captured.err
    assert captured.err.startswith("trigrad study: ")
    assert captured.err.count("\n") == 1
    assert {p.name for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden", (0,)),
        ("activation", "rely"),
        ("optimizer", "adm"),
        ("dropout", 1.0),
        ("lr", float("nan")),
        ("device", "gpu"),
    ],
)
def test_settings_are_checked(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} is"):
        Settings(**{name: value})  # type: ignore[arg-type]


def test_bench_times_the_same_work(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    quick = ["--events", "512", "--batches", "128", "--turns", "1", "--hidden", "8", "--seconds", "0.002"]
    assert cli.main(["bench", *quick, "--json", str(file)]) == 0
    said, found = capsys.readouterr().out, json.loads(file.read_text())
    assert "trigrad, step by step" in said
    assert "C++ library, hot" in said
    rates = found["training"]["128"]
    for name in ("trigrad, compiled", "PyTorch", "scikit-learn"):
        assert (name in rates) != (name in found["missing"])
    assert all(v > 0 for row in rates.values() for v in row)
    for name, why in found["missing"].items():
        assert "is not installed" in why, f"{name} does not learn the same: {why}"
    assert cli.main(["bench", "--batches", "0"]) == 2
