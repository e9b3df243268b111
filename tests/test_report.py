"""Reports are one well-formed file with nothing from elsewhere, and pictures show what they are given."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from trigrad import _report
from trigrad._report import Curve, Mark, chart

SVG = "{http://www.w3.org/2000/svg}"


def points(svg: str, which: int = 0) -> np.ndarray:
    """The corners of a path, (n, 2)."""
    path = list(ET.fromstring(svg).iter(f"{SVG}path"))[which].attrib["d"]
    return np.array([[float(v) for v in pair] for pair in re.findall(r"[ML]([-\d.]+),([-\d.]+)", path)])


def words(svg: str) -> list[str | None]:
    return [t.text for t in ET.fromstring(svg).iter(f"{SVG}text")]


def frame(svg: str) -> tuple[float, float, float, float]:
    (rect,) = ET.fromstring(svg).findall(f"{SVG}rect")
    x, y, width, height = (float(rect.attrib[k]) for k in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def test_a_page_is_well_formed_and_needs_nothing() -> None:
    text = _report.page(
        "A <title> & more",
        _report.section("One", _report.paragraph("x < y & z"), "plain <text>"),
        _report.figure(chart([Curve("a", [1, 2], [3, 4])]), "cap < tion"),
        _report.table(["name", "value"], [["a<b", 0.5], ["c", None], ["d", float("nan")], ["e", 12345678]], "cap"),
        _report.listing(_report.provenance(seed=3, versions={"x": "1"})),
    )
    page = ET.fromstring(text.removeprefix("<!DOCTYPE html>"))
    assert page.findtext("head/title") == "A <title> & more"
    assert "plain <text>" in "".join(page.find("body/section").itertext())  # type: ignore[union-attr]
    cells = [cell.text for cell in page.findall(".//td")]
    assert cells == ["a<b", "0.5", "c", None, "d", None, "e", "12,345,678"]
    assert not re.search(r"(src|href|url\(|@import|<script|<link)", text)
    assert set(re.findall(r"https?://[^\"'\s]+", text)) == {"http://www.w3.org/2000/svg"}


def test_places_are_linear_or_logarithmic() -> None:
    curve = Curve("", [1, 10, 1000], [0.0, 0.5, 1.0])
    svg = chart([curve], x_range=(1, 1000), y_range=(0, 1), log_x=True)
    left, top, right, bottom = frame(svg)
    np.testing.assert_allclose(points(svg)[:, 0], left + (right - left) * np.array([0, 1 / 3, 1]), atol=0.06)
    np.testing.assert_allclose(points(svg)[:, 1], bottom - (bottom - top) * np.array([0, 0.5, 1]), atol=0.06)
    svg = chart([curve], x_range=(1, 1000), y_range=(0, 1))
    np.testing.assert_allclose(points(svg)[:, 0], left + (right - left) * np.array([0, 9 / 999, 1]), atol=0.06)


def test_ticks_are_round_and_cover_the_range() -> None:
    for low, high in ((0, 1), (-3.7, 12), (0.00012, 0.00019), (1e6, 5e6), (-1e-9, 1e-9)):
        ticks = _report.Axis([], False, (low, high)).ticks()
        assert 3 <= len(ticks) <= 8
        assert all(low <= t <= high for t in ticks)
        step = np.diff(ticks)
        np.testing.assert_allclose(step, step[0])
        assert round(float(f"{step[0]:e}".partition("e")[0]), 6) in (1, 2, 5)
    for low, high in ((1, 1000), (0.5, 30), (1e-9, 1e9)):
        ticks = _report.Axis([], True, (low, high)).ticks()
        assert 2 <= len(ticks) <= 12
        assert all(low <= t <= high for t in ticks)
    assert [_report.tick_label(v) for v in (0, 0.25, 20000, 1e-6, 5e5, -3e7)] == [
        "0",
        "0.25",
        "20,000",
        "10⁻⁶",
        "5·10⁵",
        "-3·10⁷",
    ]


def test_a_histogram_is_drawn_as_steps() -> None:
    svg = chart([Curve("h", [0, 1, 2], [5, 10], "steps")], x_range=(0, 2), y_range=(0, 10))
    left, top, right, bottom = frame(svg)
    middle = (left + right) / 2
    expected = [
        (left, bottom),
        (left, (top + bottom) / 2),
        (middle, (top + bottom) / 2),
        (middle, top),
        (right, top),
        (right, bottom),
    ]
    np.testing.assert_allclose(points(svg), expected, atol=0.06)


def test_a_gap_breaks_the_line() -> None:
    svg = chart([Curve("g", [0, 1, 2, 3], [1, np.nan, 2, 3])])
    assert next(iter(ET.fromstring(svg).iter(f"{SVG}path"))).attrib["d"].count("M") == 2
    assert len(points(svg)) == 3
    assert len(points(chart([Curve("g", [0, 1, 2, 3], [1, 0, 2, -3])], log_y=True))) == 2  # no place on a log scale


def test_bands_points_marks_and_names() -> None:
    x = np.linspace(0, 1, 20)
    svg = chart(
        [Curve("band & co", x, x, low=x - 0.1, high=x + 0.1), Curve("dots", x, 1 - x, "points")],
        title="T",
        x="X",
        y="Y",
        marks=[Mark("<cut>", x=0.5), Mark("limit", y=0.2)],
    )
    assert {"T", "X", "Y", "band & co", "dots", "<cut>", "limit"} <= set(words(svg))
    assert len(points(svg, 0)) == 40
    assert len(points(svg, 1)) == 20
    assert svg.count("<circle") == 21
    assert svg.count('stroke-dasharray="2 3"') == 4


@pytest.mark.parametrize("shuffled", [False, True])
def test_many_points_are_thinned_without_losing_extremes(shuffled: bool) -> None:
    rng = np.random.default_rng(0)
    x, y = np.linspace(0, 1, 200_000), rng.normal(size=200_000)
    y[77_777] = 50.0
    if shuffled:
        order = rng.permutation(len(x))
        x, y = x[order], np.round(y[order])
    svg = chart([Curve("n", x, y)], y_range=(-60, 60))
    _, top, _, bottom = frame(svg)
    assert len(svg) < (100_000 if not shuffled else 5_000_000)
    assert abs(points(svg)[:, 1].min() - (bottom - (bottom - top) * 110 / 120)) < 0.1


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[], [3.0], [0.0], [5.0, 5.0], [np.nan], [np.inf, 1.0], [-2.0]])
def test_any_values_make_a_picture(values: list[Any], log: bool) -> None:
    svg = chart([Curve("v", np.arange(len(values)), values)], log_x=log, log_y=log)
    assert "nan" not in svg
    assert "inf" not in svg
    ET.fromstring(svg)


def test_a_grid_shows_each_value_in_its_place() -> None:
    values = np.array([[-2.0, 0.0, 2.0], [1.0, np.nan, -1.0]])
    svg = _report.grid(values, ["a<b", "c"], ["", "y", "z"], x="X", y="Y", low=-2, high=2)
    cells = list(ET.fromstring(svg).iter(f"{SVG}rect"))
    assert [c.attrib["fill"] for c in cells] == ["#0072b2", "#ffffff", "#d55e00", "#eaae80", "#bbbbbb", "#80b8d8"]
    assert [c.findtext(f"{SVG}title") for c in cells] == ["-2", "0", "2", "1", "nan", "-1"]
    places = np.array([[float(c.attrib[k]) for k in ("x", "y", "width", "height")] for c in cells])
    np.testing.assert_allclose(np.diff(places[:3, 0]), places[0, 2], atol=0.11)
    assert (places[:3, 1] == places[0, 1]).all()
    assert abs(places[3, 1] - places[0, 1] - places[0, 3]) < 0.11
    assert {"a<b", "c", "y", "z", "X", "Y"} == set(words(svg))
    shares = _report.grid([[0.25]], ["a"], ["a"], low=0, high=1, numbers=True)
    assert "0.25" in words(shares)
    assert _report.shade(0.5 + 0.25 / 2) in shares, "from white up where nothing is negative"


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"\[grid\] values have shape \(1, 2\)"):
        _report.grid([[1, 2]], "ab", "ab", low=0, high=1)
    with pytest.raises(ValueError, match="3 x and 2 y"):
        chart([Curve("c", [1, 2, 3], [1, 2])])
    with pytest.raises(ValueError, match="one more x"):
        chart([Curve("c", [1, 2], [1, 2], "steps")])
    with pytest.raises(ValueError, match="a range that grows"):
        chart([Curve("c", [1, 2], [1, 2])], x_range=(2, 1))
    with pytest.raises(ValueError, match="above 0"):
        chart([Curve("c", [1, 2], [1, 2])], x_range=(0, 1), log_x=True)
