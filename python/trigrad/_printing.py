"""How a tensor prints: PyTorch's layout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from trigrad import _core
from trigrad._core import Tensor

__all__ = ["set_printoptions"]

PARAMETER = 1  # the role of a Parameter (nn/parameter.py)


class _Options:
    precision = 4
    threshold = 1000
    edgeitems = 3
    linewidth = 80
    sci_mode: bool | None = None


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: Literal["default", "short", "full"] | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors print: digits, the size above which the middle is left out, how many items stay at each edge,
    characters in a line, and whether to use powers of ten (None: where the numbers ask for it).

    >>> import trigrad as tg
    >>> tg.set_printoptions(precision=2); tg.tensor(0.125)
    tensor(0.12)
    >>> tg.set_printoptions(profile="default"); tg.tensor(0.125)
    tensor(0.1250)
    """
    for name, count in (("precision", precision), ("edgeitems", edgeitems), ("linewidth", linewidth)):
        if count is not None and not isinstance(count, int):
            raise TypeError(f"[set_printoptions] {name} is a {type(count).__name__}, expected an integer")
    if profile is not None:
        if profile not in ("default", "short", "full"):
            raise ValueError(f"[set_printoptions] profile is {profile!r}, expected 'default', 'short' or 'full'")
        _Options.precision = 2 if profile == "short" else 4
        _Options.threshold = 2**63 if profile == "full" else 1000
        _Options.edgeitems = 2 if profile == "short" else 3
        _Options.linewidth = 80
    if precision is not None:
        _Options.precision = precision
    if threshold is not None:
        _Options.threshold = threshold
    if edgeitems is not None:
        _Options.edgeitems = edgeitems
    if linewidth is not None:
        _Options.linewidth = linewidth
    _Options.sci_mode = sci_mode


Format = Callable[[Any], str]


def _float_format(values: list[float]) -> tuple[Format, int]:
    """One format for all numbers: whole, fixed or with powers of ten, as wide as the widest finite one needs."""
    finite = [v for v in values if math.isfinite(v) and v != 0]
    precision = _Options.precision
    width = 1
    whole = all(v == math.ceil(v) for v in finite)
    scientific = False
    if finite:
        largest, smallest = max(map(abs, finite)), min(map(abs, finite))
        scientific = largest / smallest > 1000 or largest > 1e8 or (not whole and smallest < 1e-4)
    if finite and _Options.sci_mode is not None:
        scientific = _Options.sci_mode
    if scientific:
        spec = f".{precision}e"
        width = max([width, *(len(f"{v:{spec}}") for v in finite)])
        return (lambda v: f"{v:{spec}}".rjust(width)), width
    if whole:
        width = max([width, *(len(f"{v:.0f}") + 1 for v in finite)])
        return (lambda v: (f"{v:.0f}." if math.isfinite(v) else f"{v:.0f}").rjust(width)), width
    width = max([width, *(len(f"{v:.{precision}f}") for v in finite)])
    return (lambda v: f"{v:.{precision}f}".rjust(width)), width


def _format_of(values: list[Any], floating: bool) -> tuple[Format, int]:
    if floating:
        return _float_format(values)
    width = max([1, *(len(str(v)) for v in values)])
    return (lambda v: str(v).rjust(width)), width


_ELLIPSIS = object()  # stands for the left-out middle of an axis


def _leaves(data: Any) -> list[Any]:
    if data is _ELLIPSIS:
        return []
    return [leaf for row in data for leaf in _leaves(row)] if isinstance(data, list) else [data]


def _body(data: Any, depth: int, indent: int, format: Format, width: int) -> str:
    if depth == 0:
        return format(data)
    if depth == 1:
        items = [" ..." if v is _ELLIPSIS else format(v) for v in data]
        per_line = max(1, (_Options.linewidth - indent) // (width + 2))
        lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines or [""]) + "]"
    rows = ["..." if row is _ELLIPSIS else _body(row, depth - 1, indent + 1, format, width) for row in data]
    return "[" + ("," + "\n" * (depth - 1) + " " * (indent + 1)).join(rows) + "]"


def _edges(t: Tensor) -> Tensor | list[Any]:
    """What summarising leaves of `t`, without touching the rest: nested lists whose long axes keep their edges."""
    n, edge = t.shape[0], _Options.edgeitems
    chosen = range(n) if n <= 2 * edge else [*range(edge), *range(n - edge, n)]
    rows: list[Any] = [t[i].tolist() if t.ndim == 1 else _edges(t[i]) for i in chosen]
    return rows if n <= 2 * edge else [*rows[:edge], _ELLIPSIS, *rows[edge:]]


def tensor_repr(t: Tensor) -> str:
    """``repr(t)``"""
    prefix = "tensor("
    indent = len(prefix)
    suffixes = []
    if t._device_name != "cpu":
        suffixes.append(f"device='{t._device_name}'")
    if t.numel() == 0:
        text = "[]"
        if t.ndim != 1:
            suffixes.append(f"size={tuple(t.shape)}")
        if t.dtype is not _core.get_default_dtype():
            suffixes.append(f"dtype={t.dtype}")
    else:
        if not _Options.edgeitems:
            suffixes.append(f"size={tuple(t.shape)}")
        if t.dtype not in (_core.get_default_dtype(), _core.int64, _core.bool):
            suffixes.append(f"dtype={t.dtype}")
        summary = t.ndim > 0 and t.numel() > _Options.threshold
        if summary and not _Options.edgeitems:
            text = "[...]"
        else:
            data = _edges(t) if summary else t.tolist()
            format, width = _format_of(_leaves(data), t.is_floating_point())
            text = _body(data, t.ndim, indent, format, width)
    if t.grad_fn is not None:
        suffixes.append(f"grad_fn={t.grad_fn!r}")
    elif t.requires_grad:
        suffixes.append("requires_grad=True")
    text = prefix + text
    line = len(text) - text.rfind("\n") + 1  # PyTorch leaves room for two more
    for suffix in suffixes:
        width = len(suffix.replace("trigrad.", "torch."))  # the lines are broken where PyTorch's are
        if line + width + 2 > _Options.linewidth:
            text += ",\n" + " " * indent + suffix
            line = indent + width
        else:
            text += ", " + suffix
            line += width + 2
    return ("Parameter containing:\n" if t._role == PARAMETER else "") + text + ")"
