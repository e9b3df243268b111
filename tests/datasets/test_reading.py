"""Files of all kinds become the same table, and what is wrong with one is said with column and row."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trigrad.data import read

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
rng = np.random.default_rng(5)
PT = rng.exponential(20, 40).round(6)
ETA = rng.normal(size=40).round(6)
KIND = rng.integers(0, 2, 40)
WEIGHT = rng.normal(1, 1, 40).round(6)


def csv_text(separator: str = ",") -> str:
    rows = [separator.join(map(repr, row)) for row in zip(*(c.tolist() for c in (PT, ETA, KIND, WEIGHT)), strict=True)]
    return "\n".join([separator.join(("pt", "eta", "kind", "w")), *rows]) + "\n"


def write_csv(path: Path) -> None:
    path.write_text(csv_text())


def write_tsv(path: Path) -> None:
    path.write_text(csv_text("\t"))


def write_gz(path: Path) -> None:
    path.write_bytes(gzip.compress(csv_text(";").encode()))


def write_npz(path: Path) -> None:
    np.savez(path, pt=PT, eta=ETA, kind=KIND, w=WEIGHT)


def write_npy(path: Path) -> None:
    table = np.empty(40, [("pt", "f8"), ("eta", "f8"), ("kind", "i8"), ("w", "f8")])
    for name, column in zip(table.dtype.names or (), (PT, ETA, KIND, WEIGHT), strict=True):
        table[name] = column
    np.save(path, table)


def write_parquet(path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"pt": PT, "eta": ETA, "kind": KIND, "w": WEIGHT})
    pytest.importorskip("pyarrow.parquet").write_table(table, path)


def write_h5(path: Path) -> None:
    with pytest.importorskip("h5py").File(path, "w") as file:
        for name, column in (("pt", PT), ("eta", ETA), ("kind", KIND), ("w", WEIGHT)):
            file[name] = column


def write_root(path: Path) -> None:
    """A tree."""
    with pytest.importorskip("uproot").recreate(path) as file:
        file.mktree("Events", {"pt": "f8", "eta": "f8", "kind": "i8", "w": "f8"})
        file["Events"].extend({"pt": PT, "eta": ETA, "kind": KIND, "w": WEIGHT})


def write_ntuple(path: Path) -> None:
    with pytest.importorskip("uproot").recreate(path) as file:
        file.mkrntuple("Events", {"pt": PT, "eta": ETA, "kind": KIND, "w": WEIGHT})


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.csv": write_csv,
    "a.tsv": write_tsv,
    "a.csv.gz": write_gz,
    "a.npz": write_npz,
    "a.npy": write_npy,
    "a.parquet": write_parquet,
    "a.h5": write_h5,
    "a.root": write_root,
    "n.root": write_ntuple,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", WRITERS)
def test_the_same_events_from_any_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    WRITERS[name](file)
    t = read(file, target="kind", weight="w", features=["eta", "pt"])
    assert t.features == ("eta", "pt")
    np.testing.assert_array_equal(t.X, np.stack([ETA, PT], 1).astype(np.float32))
    np.testing.assert_array_equal(t.y, KIND)
    np.testing.assert_array_equal(t.weight, WEIGHT.astype(np.float32))
    assert t.classes == ("0", "1")
    assert t.name == name
    assert len(t.facts["file sha256"]) == 64
    unlabelled = read(file, features=["pt"])
    assert unlabelled.y is None
    assert sorted(read(file, target="kind", weight="w").features) == ["eta", "pt"]
    with pytest.raises(KeyError, match=r"has no column 'mass' \(target\); there are .*pt"):
        read(file, target="mass")


def write(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    file = tmp_path / name
    file.write_text(text)
    return file


# ---- targets


def test_what_a_target_is(tmp_path: Path) -> None:
    file = write(tmp_path, "x,text,whole,real,yes\n1,b,3,0.5,1.0\n2,a,7,1.5,0.0\n3,b,3,2.5,1.0\n")
    assert (read(file, "text", features=["x"]).classes, read(file, "text", features=["x"]).y.tolist()) == (
        ("a", "b"),
        [1, 0, 1],
    )
    assert (read(file, "whole", features=["x"]).classes, read(file, "whole", features=["x"]).y.tolist()) == (
        ("3", "7"),
        [0, 1, 0],
    )
    assert read(file, "yes", features=["x"]).classes == ("0", "1")
    real = read(file, "real", features=["x"])
    assert real.classes == ()
    assert real.y.dtype == np.float32
    numbers = read(file, "whole", features=["x"], task="numbers")
    assert numbers.y.tolist() == [3.0, 7.0, 3.0]
    assert read(file, "real", features=["x"], task="classes").classes == ("0.5", "1.5", "2.5")
    with pytest.raises(TypeError, match=r"column 'text' \(target\) holds text, which task='numbers' cannot learn"):
        read(file, "text", features=["x"], task="numbers")


def test_files_without_names(tmp_path: Path) -> None:
    file = write(tmp_path, "1,0.5,2\n0,0.25,3\n1,0.125,5\n")
    t = read(file, target=0)
    assert t.features == ("1", "2")
    assert t.y.tolist() == [1, 0, 1]
    np.save(tmp_path / "m.npy", np.arange(12.0).reshape(4, 3) ** 2)
    assert read(tmp_path / "m.npy", target=-1, features=["0"]).X[:, 0].tolist() == [0, 9, 36, 81]


def test_arrays_with_more_axes(tmp_path: Path) -> None:
    x = rng.normal(size=(6, 2, 2)).astype("float32")
    np.savez(tmp_path / "i.npz", x=x, y=np.arange(6) % 2)
    t = read(tmp_path / "i.npz", target="y")
    assert t.features == ("x[0]", "x[1]", "x[2]", "x[3]")
    np.testing.assert_array_equal(t.X, x.reshape(6, 4))
    np.savez(tmp_path / "n.npz", x=x[:, 0], y=np.arange(6) % 2, columns=np.array(["pt", "eta"]))
    assert read(tmp_path / "n.npz", target="y").features == ("pt", "eta")


# ---- what is refused, with names of column and row


BAD: dict[str, tuple[str, dict[str, Any], type[Exception], str]] = {
    "word": (
        "x,y\n1,0\nabc,1\n3,0\n",
        {},
        ValueError,
        r"column 'x' holds 'abc' in row 1 \(line 3\), expected a number",
    ),
    "empty": ("x,y\n1,0\n2,1\n,0\n", {}, ValueError, r"column 'x' is empty in row 2 \(line 4\)"),
    "nan": ("x,y\n1,0\nnan,1\nNaN,0\n", {}, ValueError, r"column 'x' is nan in row 1 \(line 3\) \(2 such rows\)"),
    "infinite": ("x,y\n1,0\n2,1\n-inf,0\n", {}, ValueError, r"column 'x' is -inf in row 2 \(line 4\)"),
    "huge": (
        "x,y\n1,0\n2,1\n1e300,0\n",
        {},
        ValueError,
        r"column 'x' is 1e\+300 in row 2 \(line 4\): too large for float32",
    ),
    "constant": ("x,z,y\n1,7,0\n2,7,1\n", {}, ValueError, r"column 'z' \(7\) is the same in all 2 rows"),
    "one class": (
        "x,y\n1,4\n2,4\n",
        {},
        ValueError,
        r"column 'y' \(target\) is 4 in all 2 rows; expected two classes",
    ),
    "one row": ("x,y\n1,4.5\n", {}, ValueError, "has 1 row, expected two or more"),
    "no rows": ("x,y\n", {}, ValueError, "has no rows"),
    "nothing": ("", {}, ValueError, "is empty"),
    "ragged": ("x,y\n1,0\n2\n3,1\n", {}, ValueError, "line 3 has 1 values, expected 2"),
    "text": (
        "x,s,y\n1,a,0\n2,b,1\n",
        {},
        TypeError,
        r"column 's' \(feature\) holds 'a' in row 0 \(line 2\), expected a number",
    ),
    "doubled": ("x,x,y\n1,2,0\n3,4,1\n", {}, ValueError, "names two columns 'x'"),
    "missing feature": (
        "x,y\n1,0\n2,1\n",
        {"features": ["pt"]},
        KeyError,
        r"no column 'pt' \(feature\); there are x, y",
    ),
    "target among features": ("x,y\n1,0\n2,1\n", {"features": ["x", "y"]}, ValueError, "column 'y' is asked for twice"),
    "only a target": ("y\n1\n2\n", {}, ValueError, "no columns to learn from"),
    "weights": ("x,w,y\n1,1,0\n2,nan,1\n", {"weight": "w", "nan": "keep"}, ValueError, r"column 'w' is nan in row 1"),
    "a text for a list": ("x,y\n1,0\n2,1\n", {"features": "x"}, TypeError, "expected a list of names"),
    "trees": ("x,y\n1,0\n2,1\n", {"tree": "Events"}, ValueError, "a .csv file has no trees"),
    "blanks": ("x y\n1 0\n", {}, ValueError, r"line 1 is 'x y', perhaps separated by blanks"),
    "too many": ("x,y\n1,0\n2,1,5\n3,1\n", {}, ValueError, "line 3 has 3 values, expected 2"),
    "no name": (",x,y\n0,1,0\n1,2,1\n", {}, ValueError, "column 0 has no name, perhaps it counts the rows"),
    "behind lines in quotes": ('x,y\n1,"a\nb"\n\n\nbad,c\n', {}, ValueError, r"'x' holds 'bad' in row 1 \(line 6\)"),
    "open quote": ('x,y\n1,0\n"2,1\n3,0\n', {}, ValueError, "line 3 has 1 values, expected 2"),
    "underscores": ("x,y\n1,0\n1_0,1\n", {}, ValueError, r"'x' holds '1_0' in row 1 \(line 3\)"),
    "long numbers of classes": (
        "x,y\n1,100000000000000001\n2,100000000000000002\n",
        {},
        ValueError,
        r"column 'y' \(target\) is 1e\+17 in row 0 \(line 2\): too large to tell classes apart",
    ),
    "too close": (
        "x,y\n16777216,0\n16777217,1\n",
        {},
        ValueError,
        "the numbers of x differ by less than float32 can tell",
    ),
    "large weights": ("x,w,y\n1,1,0\n2,1e300,1\n", {"weight": "w"}, ValueError, r"'w' is 1e\+300 in row 1 .*too large"),
    "small weights": ("x,w,y\n1,1e-60,0\n2,1,1\n", {"weight": "w"}, ValueError, r"'w' is 1e-60 in row 0 .*too small"),
    "weights are the target": ("x,y\n1,0\n2,1\n", {"weight": "y"}, ValueError, "'y' is target and weight"),
    "empty text": ("x,y\n1,a\n2,\n3,b\n", {}, ValueError, r"column 'y' is empty in row 1 \(line 3\); expected text"),
    "nothing is left": (
        "x,y\nnan,0\n,1\n",
        {"nan": "drop"},
        ValueError,
        "every row holds a number that is not finite, or none",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str, tmp_path: Path) -> None:
    text, options, kind, words = BAD[name]
    with pytest.raises(kind, match=words):
        read(write(tmp_path, text), target="y", **options)


def test_rows_that_are_not_finite(tmp_path: Path) -> None:
    file = write(tmp_path, "x,z,y\n1,2,0\nnan,3,1\n3,inf,0\n4,5,1\n")
    t = read(file, "y", nan="drop")
    assert t.X.tolist() == [[1, 2], [4, 5]]
    assert t.variant == "without 2 rows that are not finite"
    assert np.isnan(read(file, "y", nan="keep").X[1, 0])
    late = write(tmp_path, "x,y\n1,0.5\nnan,1.5\n2,nan\n3,0.25\n", "late.csv")
    assert read(late, "y", nan="drop").y.tolist() == [0.5, 0.25]
    with pytest.raises(ValueError, match=r"column 'y' is nan in row 2"):
        read(late, "y", features=["x"], nan="keep")
    with pytest.raises(ValueError, match=r"column 'y' \(target\) is 0 in all 2 rows"):
        read(write(tmp_path, "x,y\n1,0\nnan,1\n3,0\n", "c.csv"), "y", nan="drop")


def test_rows_without_a_value(tmp_path: Path) -> None:
    """Are like those whose number is not finite."""
    t = read(write(tmp_path, "x,y\n1,a\n,b\n3,\n4,b\n"), "y", nan="drop")
    assert (t.X.tolist(), t.y.tolist()) == ([[1], [4]], [0, 1])
    assert np.isnan(read(write(tmp_path, "x,y\n1,a\n,b\n"), nan="keep", features=["x"]).X[1, 0])


def test_odd_texts_that_are_whole(tmp_path: Path) -> None:
    t = read(write(tmp_path, '\ufeff\n"a\nb",y\r\n\r\n1,"si\ng"\r\n2,"b,g"\r\n3,"si\ng"\r\n'), "y")
    assert (t.features, t.classes, t.y.tolist()) == (("a\nb",), ("b,g", "si\ng"), [1, 0, 1])


def test_constant_columns_may_be_kept(tmp_path: Path) -> None:
    file = write(tmp_path, "x,z,y\n1,7,0\n2,7,1\n")
    assert read(file, "y", constant="keep").features == ("x", "z")
    assert read(file).features == ("x", "z", "y")  # nothing is learned from it


def test_files_that_are_none(tmp_path: Path) -> None:
    write(tmp_path, "x\n1\n", "there.csv")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*other.csv; there are there.csv"):
        read(tmp_path / "other.csv")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)
    with pytest.raises(ValueError, match=r"ends in .xlsx, expected one of .csv, .tsv"):
        read(write(tmp_path, "x", "a.xlsx"))
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(csv_text().encode())[:-20])
    with pytest.raises(ValueError, match="not a whole gzip file"):
        read(tmp_path / "cut.csv.gz", "kind")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00x\n")
    with pytest.raises(ValueError, match="no text in UTF-8"):
        read(tmp_path / "b.csv")
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read without running code"):
        read(tmp_path / "o.npy")
    np.savez(tmp_path / "l.npz", a=np.zeros(3), b=np.zeros(4))
    with pytest.raises(ValueError, match="'a' has 3 rows, but 'b' has 4"):
        read(tmp_path / "l.npz")
    np.savez(tmp_path / "o.npz", a=np.zeros(3), b=np.array([{}, 1, 2], dtype=object))
    with pytest.raises(ValueError, match=r"o.npz, 'b' holds objects, which cannot be read without running code"):
        read(tmp_path / "o.npz")
    np.save(tmp_path / "s.npy", 3.0)
    with pytest.raises(ValueError, match="holds no arrays"):
        read(tmp_path / "s.npy")
    np.savez(tmp_path / "two.npz", x=np.zeros((3, 1)), **{"x[0]": np.zeros(3)})
    with pytest.raises(ValueError, match=r"names two columns 'x\[0\]'"):
        read(tmp_path / "two.npz")
    for name in ("e.npz", "e.npy"):
        with pytest.raises(ValueError, match="is no NumPy file"):
            read(write(tmp_path, "", name))
    for name, package in (("p.parquet", "pyarrow"), ("h.h5", "h5py"), ("r.root", "uproot")):
        pytest.importorskip(package)
        with pytest.raises(ValueError, match=r"is no (Parquet|HDF5|ROOT) file"):
            read(write(tmp_path, "not at all", name))


def test_a_library_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, package in (("p.parquet", "pyarrow"), ("h.h5", "h5py"), ("r.root", "uproot")):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        with pytest.raises(ImportError, match=f"read by {package}: pip install 'trigrad\\[hep\\]'"):
            read(write(tmp_path, "x", name))


def test_parquet_with_holes_and_text(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "p.parquet"
    pq.write_table(
        pa.table({"x": [1.0, None, 3.0], "n": [1, 2, None], "l": [[1], [2], [3]], "k": ["b", "a", "b"]}), file
    )
    with pytest.raises(ValueError, match=r"column 'x' is empty in row 1"):
        read(file, "k", features=["x"])
    with pytest.raises(ValueError, match=r"column 'n' is empty in row 2"):
        read(file, "k", features=["n"])
    with pytest.raises(TypeError, match=r"l holds no single number per event"):
        read(file, "k")
    assert read(file, "n", features=["l[0]"], nan="drop").X.tolist() == [[1], [2]]
    with pytest.raises(TypeError, match=r"column 'l' has several values per event; name one: l\[0\]"):
        read(file, "k", features=["l"])
    inner = [{"a": 1.5, "b": {"c": n}} for n in (7, 8, 7)]
    odd = {
        "s": inner,
        "d": pa.array([1, 2, 3]).cast(pa.decimal128(21, 2)),
        "k": pa.array(["b", None, "a"]).dictionary_encode(),
    }
    pq.write_table(pa.table(odd), file)
    t = read(file, "k", nan="drop", features=["s.b.c", "d"], constant="keep")
    assert (t.X.tolist(), t.classes, t.y.tolist()) == ([[7, 1], [7, 3]], ("a", "b"), [1, 0])
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]), file)
    with pytest.raises(ValueError, match="names two columns 'x'"):
        read(file)


def test_groups_of_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["train/x"], file["train/y"] = np.arange(4.0), np.arange(4) % 2
        file["table"] = np.array([(1.0, 0), (2.0, 1)], [("pt", "f4"), ("y", "i4")])
    assert read(tmp_path / "g.h5", "y", tree="train").features == ("x",)
    assert read(tmp_path / "g.h5", "y", tree="table").X.tolist() == [[1.0], [2.0]]
    with pytest.raises(KeyError, match="has no 'test'; there are table, train"):
        read(tmp_path / "g.h5", "y", tree="test")
    events = np.zeros(2, [("v", "f4", (2,)), ("of", [("pt", "f8")])])
    events["v"], events["of"]["pt"] = [[1, 2], [3, 4]], [5, 6]
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["events"], file["version"], file["nothing"] = events, "a single text", h5py.Empty("f4")
    t = read(tmp_path / "c.h5")
    assert (t.features, t.X.tolist()) == (("v[0]", "v[1]", "of.pt"), [[1, 2, 5], [3, 4, 6]])
    with h5py.File(tmp_path / "c.h5", "a") as file:
        file["other"] = events
    with pytest.raises(ValueError, match=r"names two columns 'v\[0\]'"):
        read(tmp_path / "c.h5")
    with h5py.File(tmp_path / "l.h5", "w") as file:
        file["x"] = h5py.ExternalLink("gone.h5", "/x")
    with pytest.raises(ValueError, match="'x' is a link to what is not there"):
        read(tmp_path / "l.h5")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_jagged_branches_of_root(tmp_path: Path) -> None:
    uproot, ak = pytest.importorskip("uproot"), pytest.importorskip("awkward")
    jets = ak.Array([[3.0, 1.0], [5.0], [2.0, 4.0]])
    with uproot.recreate(tmp_path / "j.root") as file:
        file.mktree("Events", {"jet_pt": "var * float64", "y": "int32"})
        file["Events"].extend({"jet_pt": jets, "y": np.array([0, 1, 0], "int32")})
        file["Other"] = {"x": np.zeros(2)}
    file_name = tmp_path / "j.root"
    with pytest.raises(ValueError, match=r"has 2 trees; say tree=..., one of Events, Other"):
        read(file_name, "y")
    with pytest.raises(KeyError, match="has no tree 'events'"):
        read(file_name, "y", tree="events")
    with pytest.raises(
        TypeError, match=r"jet_pt holds no single number per event; say features=.* such as jet_pt\[0\]"
    ):
        read(file_name, "y", tree="Events")
    assert read(file_name, "y", tree="Events", features=["jet_pt[0]"]).X[:, 0].tolist() == [3, 5, 2]
    with pytest.raises(ValueError, match=r"column 'jet_pt\[1\]': row 1 has 1 values of 'jet_pt'"):
        read(file_name, "y", tree="Events", features=["jet_pt[1]"])


@pytest.mark.proof
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_are_read_or_refused(name: str, tmp_path: Path, full: bool) -> None:
    """Cut off, bytes changed, bytes in place of others: never another error than one of `read`, and no crash."""
    file, chance = tmp_path / name, np.random.default_rng(len(name))
    WRITERS[name](file)
    whole, refused = file.read_bytes(), []
    for k in range(300 if full else 9):
        at, to = sorted(chance.integers(0, len(whole), 2).tolist())
        some = chance.bytes(int(chance.integers(0, 200)))
        file.write_bytes(
            [whole[:at], whole[:at] + some + whole[at + len(some) :], whole[:at] + some + whole[to:]][k % 3]
        )
        try:
            read(file, "kind", "w")
        except (KeyError, TypeError, ValueError) as error:
            refused.append(str(error.args[0]))
    assert refused
    assert all(text.startswith("[read] ") for text in refused)


# ---- real files


def shared(*path: str) -> Path:
    file = SHARED.joinpath(*path)
    if not file.exists():
        pytest.skip(f"the data are not here: {'/'.join(path)} is expected in ../shared/data")
    return file


def test_higgs_subset() -> None:
    t = read(shared("higgs", "higgs_11k.npz"), target="y")
    assert t.X.shape == (10984, 28)
    assert abs(t.y.mean() - 0.530) < 0.001
    assert t.name == "higgs_11k.npz"


def test_electrons_of_z_bosons() -> None:
    file = shared("cms-z", "Zee_Run2011A.csv.gz")
    t = read(file, target="type1", features=["sigmaEtaEta1", "HoverE1"])
    assert t.classes == ("EB", "EE")
    assert np.bincount(t.y).tolist() == [14323, 4562]
    with pytest.raises(TypeError, match=r"column 'type1' \(feature\) holds 'E[BE]' in row 0 \(line 2\)"):
        read(file, target="pt1")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_root_files_of_scikit_hep() -> None:
    pytest.importorskip("uproot")
    t = read(shared("scikit-hep-root", "uproot-Zmumu.root"), target="M", features=["pt1", "pt2", "eta1", "eta2"])
    assert t.X.shape == (2304, 4)
    assert 60 < float(np.median(t.y)) < 95
    nano = shared("scikit-hep-root", "nanoAOD_2015_CMS_Open_Data_ttbar.root")
    assert read(nano, tree="Events", features=["MET_pt", "nJet"]).X.shape == (200, 2)
    with pytest.raises(TypeError, match="no single number per event"):
        read(nano, target="nJet", tree="Events")
