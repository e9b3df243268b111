"""No row of the lectures that should work is without a test."""

from __future__ import annotations

import re
from pathlib import Path

# Models, activations, losses, autograd, training practice, initialisation, blocks, diagnostics, data and physics tasks, real
# time, PyTorch.
PROMISED = {*range(1, 20), *range(24, 75), 76, 84, 85, 86, *range(88, 102), 112, *range(120, 125), *range(141, 145)}
PROMISED |= {146, 147, 148, 150, 156, 157, 160, 166}
PROMISED |= {21, 22, 23, 149, 151, 155}  # fits, and what is fitted with networks
PROMISED |= {77, 78, 79, 80, 81, 102, 103, 127, 128, 129, 137}  # landscapes of the loss, and what keeps noise out
PROMISED |= {20, 125, 126, 130, 131, 132, 135}  # ensembles, what goes on in a network, what it remembers
PROMISED |= {82, 83, 145}  # grids, recipes, the Ising model
PROMISED |= {133, 134, 136, 138, 139}  # what boundaries, features and curves look like
NAME = re.compile(r"^def test_row((?:_\d{3})+)_[a-z]", re.MULTILINE)  # test_row_070_071_... is of two rows


def test_each_promised_row_has_a_test() -> None:
    found = {
        int(number)
        for path in Path(__file__).parent.glob("test_*.py")
        for numbers in NAME.findall(path.read_text())
        for number in numbers.split("_")[1:]
    }
    assert sorted(PROMISED - found) == []
