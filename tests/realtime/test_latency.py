"""Summaries of call times: quantiles, histograms, and their table, picture and JSON."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from trigrad import _report
from trigrad.realtime import _latency
from trigrad.realtime._latency import histogram, summarize


def times(n: int = 100_000) -> np.ndarray:
    rng = np.random.default_rng(1)
    return 140 + rng.exponential(20, n) + (rng.random(n) < 1e-3) * rng.exponential(2000, n)


@pytest.mark.parametrize("n", [1, 2, 9, 10, 11, 100, 999, 1000, 1_000_000])
def test_quantiles_are_times_of_calls(n: int) -> None:
    """The least time that a share of the calls does not exceed, found here by counting."""
    values = np.random.default_rng(n).permutation(np.arange(n)) + 0.5
    found = summarize("x", values)
    fewest = {"median": 1, "p90": 10, "p99": 100, "p99.9": 1000, "p99.99": 10**6}
    for name, share in {"median": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}.items():
        if n < fewest[name]:
            assert found.quantiles[name] is None
        else:
            value = found.quantiles[name]
            assert value in values
            assert (values <= value).sum() >= share * n - 1e-6 > (values < value).sum() - 1e-6
    assert (found.calls, found.maximum, found.mean) == (n, n - 0.5, n / 2)


def test_the_last_quantile_stays_blank_below_a_million_calls() -> None:
    assert summarize("x", np.ones(999_999)).quantiles["p99.99"] is None
    assert summarize("x", np.ones(1_000_000)).quantiles["p99.99"] == 1.0


def test_overhead_is_taken_off_everything() -> None:
    plain, less = summarize("x", times()), summarize("x", times() + 30.0, overhead=30.0)
    np.testing.assert_allclose(
        list(filter(None, plain.quantiles.values())), list(filter(None, less.quantiles.values()))
    )
    assert less.overhead == 30.0
    assert sum(less.histogram.counts) == 100_000


def test_every_call_is_in_the_histogram() -> None:
    values = times()
    found = histogram(values)
    edges = np.array(found.edges)
    assert (np.diff(np.log10(edges)) <= 1 / 20 + 1e-9).all()
    inside = [int(((values >= a) & (values < b)).sum()) for a, b in itertools.pairwise(edges)]
    assert list(found.counts) == inside
    assert found.counts[0] > 0
    assert found.counts[-1] > 0
    assert sum(found.counts) == len(values)


@pytest.mark.parametrize("values", [[0.0], [-3.0, 0.2], [1.0], [10.0], [1e9], [9.9999999999], [100.0, 100.0]])
@pytest.mark.parametrize("resolution", [0.0, 0.3, 10.0, 41.7])
def test_no_value_falls_out(values: list[float], resolution: float) -> None:
    assert sum(histogram(values, resolution).counts) == len(values)


def test_a_clock_of_coarse_steps_leaves_no_comb() -> None:
    """An even distribution, read in steps of 10 ns, stays even: every bin holds whole steps, in their middle."""
    ticks = np.repeat(np.arange(3, 200), 50) * 10.0
    found = histogram(ticks, 10.0)
    widths = np.diff(found.edges) / 10.0
    np.testing.assert_allclose(widths, np.round(widths), atol=1e-9)
    np.testing.assert_allclose(found.counts[1:-1], 50 * widths[1:-1])


def test_histograms_share_their_edges() -> None:
    short, long = histogram([55.0, 70.0]), histogram([60.0, 5000.0])
    common = set(short.edges) & set(long.edges)
    assert set(short.edges) - common == {e for e in short.edges if e < min(long.edges)}


def test_refusals() -> None:
    for bad in ([], [[1.0]], [np.nan], [-1.0]):
        with pytest.raises(ValueError, match=r"^\[summarize\]"):
            summarize("x", bad)
    with pytest.raises(ValueError, match="overhead is -1"):
        summarize("x", [1.0], overhead=-1)


def test_document_tells_all_and_is_read_again() -> None:
    found = [summarize("hot", times(), overhead=12.5, resolution=10.0), summarize("cold", [5.0])]
    text = _latency.document(found, _report.provenance(seed=7, model="abc"), weight_bytes=1234)
    told = json.loads(text)
    assert told["unit"] == "ns"
    assert told["weight_bytes"] == 1234
    assert {"versions", "cpu", "isa", "seed", "model"} <= told["provenance"].keys()
    assert told["latencies"][1]["quantiles"]["p99.99"] is None
    assert _latency.read(text) == found


def test_picture_shows_each_and_the_deadline() -> None:
    svg = _latency.picture([summarize("hot", times()), summarize("<cold>", times() * 9)], deadline=1000.0)
    root = ET.fromstring(svg)
    words = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"hot", "<cold>", "deadline", "time of one call, ns"} <= set(words)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) == 2


def test_table_for_a_page_has_blank_cells() -> None:
    rows = ET.fromstring(_latency.table([summarize("a & b", [50.0, 60.0])])).findall("tbody/tr")
    assert [cell.text for cell in rows[0]] == ["a & b", "2", "50.0", None, None, None, None, "60.0"]
