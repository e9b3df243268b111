"""No row of the lectures that should work is without a test."""

from __future__ import annotations

import re
from pathlib import Path

ROWS = {*range(1, 168)} - {75, 140, 153, 154, 158, 159, 163, 164}  # numbers that are not used
# What is no dense network, and what stands outside of it.
WAITING = {
    "convolutions, and the images that want them": {104, 105, 106, 152},
    "sequences, graphs, attention": {107, 108, 109, 110, 111},
    "generators and other machines": {113, 114, 115, 116, 117, 118, 119},
    "files of Keras and ONNX, a page to play with": {161, 162, 165, 167},
}
NAME = re.compile(r"^def test_row((?:_\d{3})+)_[a-z]", re.MULTILINE)  # test_row_070_071_... is of two rows
TESTS = Path(__file__).resolve().parents[1]


def test_each_row_has_a_test_or_waits() -> None:
    found = {
        int(number)
        for path in (*TESTS.glob("lectures/test_*.py"), *TESTS.glob("cuda/test_*.py"))
        for numbers in NAME.findall(path.read_text())
        for number in numbers.split("_")[1:]
    }
    assert sorted(ROWS - found) == sorted(set().union(*WAITING.values()))
    assert sorted(found - ROWS) == []
