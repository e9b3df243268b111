"""Reports as one HTML file with nothing around it: no script, no link, pictures as SVG of our own.

A report is made of parts, each a piece of `Html`; text that is given to a function is escaped there.

>>> from trigrad import _report
>>> text = _report.page("Two lines", _report.paragraph("a < b"), _report.table(["n", "time"], [[1, 2.5], [2, None]]))
>>> "a &lt; b" in text, "<td>2.5</td>" in text
(True, True)
"""

from __future__ import annotations

import html
import math
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigrad import _core


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def _escaped(value: object) -> str:
    return value if isinstance(value, Html) else html.escape(str(value))


def number(value: object) -> str:
    """A number in four digits; nothing for None and NaN.

    >>> [number(v) for v in (1234567, 0.00012345, 45678.9, None)]
    ['1,234,567', '0.0001234', '45,679', '']
    """
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value)
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if not isinstance(value, (float, np.floating)):
        return str(value)
    size = abs(float(value))
    return "" if math.isnan(size) else f"{value:,.0f}" if 1e4 <= size < 1e9 else f"{value:.4g}"


# ---- what the numbers come from


def cpu() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def provenance(**more: Any) -> dict[str, Any]:
    """Versions, processor and instruction set of this process, and what `more` says: a seed, a model's hash.

    >>> from trigrad import _report
    >>> found = _report.provenance(seed=3)
    >>> found["versions"]["trigrad"], found["seed"]
    ('0.1.0', 3)
    """
    build = _core.build_info()
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": {
            "trigrad": build["version"],
            "arithmetic": build["arithmetic_version"],
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "compiler": build["compiler"],
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": cpu(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "isa": build["isa"],
        "threads": build["num_threads"],
        **more,
    }


# ---- parts of a page


def paragraph(text: str) -> Html:
    return Html(f"<p>{_escaped(text)}</p>\n")


def preformatted(text: str) -> Html:
    return Html(f"<pre>{_escaped(text)}</pre>\n")


def section(title: str, *parts: str) -> Html:
    return Html(f"<section>\n<h2>{_escaped(title)}</h2>\n{''.join(map(_escaped, parts))}</section>\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> Html:
    """Cells are text or numbers; those of None and NaN stay empty."""
    above = f"<caption>{_escaped(caption)}</caption>\n" if caption else ""
    head = "".join(f"<th>{_escaped(c)}</th>" for c in columns)

    def line(row: Sequence[object]) -> str:
        cells = (c if isinstance(c, str) else number(c) for c in row)
        return "<tr>" + "".join(f"<td>{_escaped(c)}</td>" for c in cells) + "</tr>\n"

    return Html(
        f"<table>\n{above}<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(map(line, rows))}</tbody>\n</table>\n"
    )


def listing(values: Mapping[str, object]) -> Html:
    """Names and values, of nested ones too, as of `provenance`."""

    def flat(values: Mapping[str, object], before: str = "") -> Iterable[tuple[str, str]]:
        for name, value in values.items():
            if isinstance(value, Mapping):
                yield from flat(value, f"{before}{name} ")
            else:
                yield before + name, str(value)

    lines = "".join(f"<dt>{_escaped(name)}</dt><dd>{_escaped(value)}</dd>\n" for name, value in flat(values))
    return Html(f"<dl>\n{lines}</dl>\n")


def figure(picture: Html, caption: str = "") -> Html:
    below = f"<figcaption>{_escaped(caption)}</figcaption>\n" if caption else ""
    return Html(f"<figure>\n{picture}{below}</figure>\n")


STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; }
caption { text-align: left; padding-bottom: .3rem; color: #555; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0; } figcaption { color: #555; } svg { max-width: 100%; height: auto; }
dl { display: grid; grid-template-columns: max-content auto; gap: .1rem 1rem; font-size: .9rem; } dd { margin: 0; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #161616; } caption, figcaption { color: #aaa; } th, td { border-color: #444; }
  figure > svg { filter: invert(.88) hue-rotate(180deg); }
}
"""


def page(title: str, *parts: str) -> str:
    """The whole file."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n<title>{_escaped(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{_escaped(title)}</h1>\n{''.join(map(_escaped, parts))}"
        "</body>\n</html>\n"
    )


# ---- pictures

Floats: TypeAlias = NDArray[np.float64]
# Told apart by any colour vision, after Okabe and Ito; all but black, the first, stand out from white and from black
# (tests/plot/test_looks.py measures both).
COLOURS = ("#000000", "#0072b2", "#d55e00", "#50a070", "#d078a8", "#a89040", "#08a0d0", "#706818")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Curve:
    """A line through (x, y), points, or the steps of a histogram, whose x are the bins' edges: one more than y. The band
    from `low` to `high` is drawn below it. Where a value is not finite (on a log scale: not positive) the curve is broken."""

    name: str
    x: ArrayLike
    y: ArrayLike
    style: Literal["line", "dashed", "points", "steps"] = "line"
    low: ArrayLike | None = None
    high: ArrayLike | None = None


class Mark(NamedTuple):
    """A dotted line across the picture, at one x or one y."""

    name: str
    x: float | None = None
    y: float | None = None


class Axis:
    """Numbers to pixels, from `start` to `end`."""

    def __init__(self, values: Iterable[ArrayLike], log: bool, limits: tuple[float, float] | None) -> None:
        self.log = log
        low, high = limits or self._range(values)
        if not (low < high and (low > 0 or not log)):
            raise ValueError(
                f"[chart] an axis goes from {low} to {high}, expected a range that grows{', above 0' * log}"
            )
        self.low, self.high = low, high

    def _range(self, values: Iterable[ArrayLike]) -> tuple[float, float]:
        everything = np.concatenate([np.ravel(np.asarray(v, dtype=np.float64)) for v in values] or [np.empty(0)])
        shown = everything[np.isfinite(everything) & ((everything > 0) | (not self.log))]
        low, high = (float(shown.min()), float(shown.max())) if shown.size else (1.0, 1.0)
        if self.log:
            pad = (high / low) ** 0.03 if low < high else 2.0
            return low / pad, high * pad
        pad = 0.04 * (high - low) if low < high else abs(low) or 1.0
        return low - pad * (low != 0), high + pad

    def place(self, values: ArrayLike, start: float, end: float) -> Floats:
        """Pixels; NaN where there is no place."""
        v = np.asarray(values, dtype=np.float64)
        low, high = self.low, self.high
        if self.log:
            v = np.log10(v, out=np.full(v.shape, np.nan), where=v > 0)
            low, high = math.log10(low), math.log10(high)
        share = (v - low) / (high - low)
        return np.where(np.isfinite(share), start + (end - start) * np.clip(share, -0.5, 1.5), np.nan)

    def ticks(self) -> list[float]:
        if not self.log:
            rough = (self.high - self.low) / 6
            unit = 10.0 ** math.floor(math.log10(rough))
            step = next(f * unit for f in (1, 2, 5, 10) if f * unit >= rough)
            return [k * step for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        every = max(1, (last - first) // 8)
        factors = (1, 2, 5) if last - first <= 3 else (1,)
        found = [f * 10.0**k for k in range(first, last + 1, every) for f in factors]
        return [t for t in found if self.low <= t <= self.high]


def tick_label(value: float) -> str:
    """A short number: 0.25, 20,000, 10⁻⁶."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:,.10g}"
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    power = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
    return power if float(mantissa) == 1 else f"{float(mantissa):g}·{power}"


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Of many points along rising x the least and greatest y of each pixel; of other ones those that are apart."""
    if len(x) < 4000:
        return x, y
    if np.isfinite(x).all() and np.isfinite(y).all() and (np.diff(x) >= 0).all():
        starts = np.flatnonzero(np.diff(np.floor(2 * x), prepend=np.nan) != 0)
        least, most = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
        return np.repeat(x[starts], 2), np.stack([least, most], 1).reshape(-1)
    apart = np.ones(len(x), dtype=np.bool_)
    apart[1:] = (np.diff(np.round(2 * x)) != 0) | (np.diff(np.round(2 * y)) != 0)
    return x[apart], y[apart]


def _path(x: Floats, y: Floats) -> str:
    """Straight lines through the points, anew behind each gap."""
    there = np.isfinite(x) & np.isfinite(y)
    pen = np.where(np.concatenate(([True], ~there[:-1])), "M", "L")
    return "".join(f"{p}{a:.1f},{b:.1f}" for p, a, b in zip(pen[there], x[there], y[there], strict=True))


def chart(
    curves: Sequence[Curve],
    *,
    title: str = "",
    x: str = "",
    y: str = "",
    log_x: bool = False,
    log_y: bool = False,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    marks: Sequence[Mark] = (),
    width: int = 760,
    height: int = 420,
) -> Html:
    """Curves over one pair of axes, with a legend beside them; the ranges are those of the values unless given.

    >>> from trigrad import _report
    >>> picture = _report.chart([_report.Curve("ROC", [0.0, 0.1, 1.0], [0.0, 0.8, 1.0])], x="ε(b)", y="ε(s)")
    >>> picture.startswith("<svg"), picture.count("<path")
    (True, 1)
    """
    for c in curves:
        n, m = np.size(np.asarray(c.x)), np.size(np.asarray(c.y))
        if n != m + (c.style == "steps"):
            raise ValueError(
                f"[chart] curve {c.name!r} has {n} x and {m} y, expected {'one more x' * (c.style == 'steps') or 'as many'}"
            )
    heights = [v for c in curves for v in (c.y, c.low, c.high) if v is not None]
    across = Axis([*(c.x for c in curves), *([m.x] for m in marks if m.x is not None)], log_x, x_range)
    up = Axis([*heights, *([m.y] for m in marks if m.y is not None)], log_y, y_range)
    names = [c.name for c in curves] + [m.name for m in marks]
    legend = min(12 + 7.2 * max(map(len, names), default=0) + 26, 0.4 * width) if any(names) else 0
    left, right, top, bottom = 74, width - 16 - legend, 34 if title else 14, height - 48

    def text(x: float, y: float, words: str, rest: str = "") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}"{rest}>{html.escape(words)}</text>\n'

    middle = ' text-anchor="middle"'
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="12" fill="none">\n',
        f'<title>{html.escape(title or " / ".join(filter(None, (y, x))))}</title>\n<g fill="#1a1a1a">\n',
        text((left + right) / 2, 20, title, middle + ' font-size="14"') if title else "",
        text((left + right) / 2, height - 10, x, middle),
        text(0, 0, y, f'{middle} transform="translate(15 {(top + bottom) / 2:.1f}) rotate(-90)"'),
        "</g>\n",
    ]
    for t in across.ticks():
        (place,) = across.place([t], left, right)
        out.append(f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{top}" y2="{bottom}" stroke="#e4e4e4"/>\n')
        out.append(text(place, bottom + 17, tick_label(t), middle + ' fill="#1a1a1a"'))
    for t in up.ticks():
        (place,) = up.place([t], bottom, top)
        out.append(f'<line x1="{left}" x2="{right:.1f}" y1="{place:.1f}" y2="{place:.1f}" stroke="#e4e4e4"/>\n')
        out.append(text(left - 7, place + 4, tick_label(t), ' text-anchor="end" fill="#1a1a1a"'))
    frame = f'x="{left}" y="{top}" width="{right - left:.1f}" height="{bottom - top}"'
    # Curves are cut at the frame by an inner picture of its size.
    out.append(f'<svg {frame} viewBox="{left} {top} {right - left:.1f} {bottom - top}">\n')
    keys: list[str] = []
    for i, c in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        xs, ys = (np.ravel(np.asarray(v, dtype=np.float64)) for v in (c.x, c.y))
        if c.style == "steps":
            xs = np.repeat(xs, 2)
            ys = np.concatenate(([0.0], np.repeat(ys, 2), [0.0]))
        px, py = across.place(xs, left, right), up.place(ys, bottom, top)
        if c.style == "steps":
            py = np.where(
                np.isnan(py) & np.isfinite(ys), bottom + 2.0, py
            )  # empty bins of a log scale: below the frame
        if c.low is not None and c.high is not None:
            edges = [up.place(np.ravel(np.asarray(v, dtype=np.float64)), bottom, top) for v in (c.low, c.high)]
            there = np.isfinite(px) & np.isfinite(edges[0]) & np.isfinite(edges[1])
            around = (
                np.concatenate([px[there], px[there][::-1]]),
                np.concatenate([edges[0][there], edges[1][there][::-1]]),
            )
            out.append(f'<path d="{_path(*around)}Z" fill="{colour}" fill-opacity="0.18"/>\n')
        if c.style == "points":
            shown = [(a, b) for a, b in zip(*_thinned(px, py), strict=True) if math.isfinite(a) and math.isfinite(b)]
            out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>\n' for a, b in shown]
            keys.append(f'<circle cx="13" cy="-4" r="3" fill="{colour}"/>')
        else:
            dashes = ' stroke-dasharray="6 4"' if c.style == "dashed" else ""
            stroke = f'stroke="{colour}" stroke-width="1.6"{dashes}'
            out.append(f'<path d="{_path(*_thinned(px, py))}" {stroke} stroke-linejoin="round"/>\n')
            keys.append(f'<line x1="2" x2="24" y1="-4" y2="-4" {stroke}/>')
    for i, mark in enumerate(marks):
        colour = COLOURS[(len(curves) + i) % len(COLOURS)]
        stroke = f'stroke="{colour}" stroke-width="1.4" stroke-dasharray="2 3"'
        if mark.x is not None:
            (place,) = across.place([mark.x], left, right)
            out.append(f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{top}" y2="{bottom}" {stroke}/>\n')
        if mark.y is not None:
            (place,) = up.place([mark.y], bottom, top)
            out.append(f'<line x1="{left}" x2="{right:.1f}" y1="{place:.1f}" y2="{place:.1f}" {stroke}/>\n')
        keys.append(f'<line x1="2" x2="24" y1="-4" y2="-4" {stroke}/>')
    out.append(f'</svg>\n<rect {frame} stroke="#1a1a1a"/>\n')
    for row, (name, key) in enumerate(zip(names, keys, strict=True)):
        if name:
            out.append(f'<g transform="translate({right + 10:.1f} {top + 14 + 20 * row})">{key}')
            out.append(text(30, 0, name, ' fill="#1a1a1a"').rstrip() + "</g>\n")
    return Html("".join(out) + "</svg>\n")


def shade(share: float) -> str:
    """The colour of a share of the way from blue (0) over white (½) to red (1); grey for NaN.

    >>> from trigrad import _report
    >>> [_report.shade(v) for v in (0.0, 0.5, 1.0, float("nan"))]
    ['#0072b2', '#ffffff', '#d55e00', '#bbbbbb']
    """
    if math.isnan(share):
        return "#bbbbbb"
    end = (0x00, 0x72, 0xB2) if share < 0.5 else (0xD5, 0x5E, 0x00)
    far = min(2 * abs(share - 0.5), 1.0)
    return "#" + "".join(f"{round(255 + far * (c - 255)):02x}" for c in end)


def grid(
    values: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    x: str = "",
    y: str = "",
    low: float,
    high: float,
    numbers: bool = False,
    width: int = 760,
) -> Html:
    """A matrix as coloured squares, from `low` to `high`: blue to red where low is negative, else white to red; with
    `numbers` in two digits. Names that are empty are left out.

    values (len(rows), len(columns))

    >>> from trigrad import _report
    >>> _report.grid([[0.9, 0.1], [0.2, 0.8]], "ab", "ab", low=0, high=1, numbers=True).count("<rect")
    4
    """
    v = np.asarray(values, dtype=np.float64)
    if v.shape != (len(rows), len(columns)) or not v.size or not low < high:
        raise ValueError(
            f"[grid] values have shape {v.shape}, from {low} to {high}, expected {len(rows), len(columns)}"
        )
    left, top = 30 + 7.2 * max(map(len, rows)), 10
    side = max(4.0, min((width - left - 16) / len(columns), 40.0))
    tall = max(side, 14.0) if any(rows) else side
    bottom, right = top + tall * len(rows), left + side * len(columns)
    shares = (v - low) / (high - low)
    shares = shares if low < 0 else 0.5 + shares / 2
    height = bottom + 44
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" '
        f'height="{height:.0f}" role="img" font-family="system-ui, sans-serif" font-size="12" fill="#1a1a1a">\n',
        f"<title>{html.escape(' / '.join(filter(None, (y, x))) or 'matrix')}</title>\n",
    ]
    for i, line in enumerate(shares.tolist()):
        for j, share in enumerate(line):
            place = f'x="{left + j * side:.1f}" y="{top + i * tall:.1f}" width="{side:.1f}" height="{tall:.1f}"'
            out.append(f'<rect {place} fill="{shade(share)}"><title>{v[i, j]:.4g}</title></rect>\n')
    middle = ' text-anchor="middle"'

    def text(a: float, b: float, words: str, rest: str) -> None:
        if words:
            out.append(f'<text x="{a:.1f}" y="{b:.1f}"{rest}>{html.escape(words)}</text>\n')

    for i, name in enumerate(rows):
        text(left - 6, top + (i + 0.5) * tall + 4, name, ' text-anchor="end"')
        if numbers:
            for j in range(len(columns)):
                text(left + (j + 0.5) * side, top + (i + 0.5) * tall + 4, f"{v[i, j]:.2f}", middle + ' font-size="11"')
    for j, name in enumerate(columns):
        text(left + (j + 0.5) * side, bottom + 16, name, middle)
    text((left + right) / 2, bottom + 36, x, middle)
    text(0, 0, y, f'{middle} transform="translate(14 {(top + bottom) / 2:.1f}) rotate(-90)"')
    return Html("".join(out) + "</svg>\n")
