"""The bits do not change between commits, compilers and machines; a deliberate change raises arithmetic_version."""

from __future__ import annotations

import json

import pytest

import golden
import trigrad as tg


@pytest.fixture(scope="module")
def frozen() -> dict[str, object]:
    return dict(json.loads(golden.PATH.read_text()))


def test_the_bits_are_those_of_the_golden_file(
    frozen: dict[str, object], here: golden.Hashes, record: dict[str, str]
) -> None:
    assert frozen["arithmetic_version"] == tg.arithmetic_version, "regenerate: python tests/golden.py --write"
    changed = golden.differences(here, frozen["hashes"])  # type: ignore[arg-type]
    assert not changed, (
        f"{len(changed)} results have other bits: {changed[:20]}. A deliberate change raises kArithmeticVersion in "
        "csrc/core/version.h, goes into CHANGELOG.md, and runs python tests/golden.py --write"
    )
    record["golden hashes"] = f"{sum(map(len, here.values()))} over {len(here)} ops x dtypes"


def test_a_changed_bit_would_be_seen() -> None:
    found = {"exp float32": {"(7,)": "aa", "(8,)": "bb"}}
    assert golden.differences(found, {"exp float32": {"(7,)": "aa", "(8,)": "bc"}}) == ["exp float32: (8,)"]
    assert golden.differences(found, {"exp float32": {"(7,)": "aa"}}) == ["exp float32: (8,)"]
    assert golden.differences({}, found) == ["exp float32: (7,)", "exp float32: (8,)"]
