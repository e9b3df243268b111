"""A plan file's content as Python data (docs/plan_file.md). The bytes are those of a predictor, so nothing is checked."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy

__all__ = ["Plan", "read"]

Array: TypeAlias = "numpy.ndarray[Any, Any]"
STORAGE = {"float32": "<f4", "bfloat16": "<u2", "int8": "<i1", "int16": "<i2"}


@dataclass
class Plan:
    """The program and its numbers. `p` and `q` of an instruction are in `parameters` (instructions, 2)."""

    header: dict[str, Any]
    parameters: Array
    constants: list[Array]  # as they are stored: bfloat16 as the upper halves of float32
    x: Array  # of the self test: (rows, inputs)
    y: Array

    @property
    def width(self) -> list[int]:
        """Of each value; value 0 is the event."""
        found: list[int] = self.header["width"]
        return found

    @property
    def instructions(self) -> list[dict[str, Any]]:
        """In order; the last one's output is the answer."""
        found: list[dict[str, Any]] = self.header["instructions"]
        return found


def read(content: bytes) -> Plan:
    """The plan in the bytes of a file."""
    (length,) = struct.unpack_from("<I", content, 16)
    header = json.loads(content[32 : 32 + length])
    place = 32 + length

    def numbers(rows: int, columns: int, storage: str = "float32") -> Array:
        nonlocal place
        found = numpy.frombuffer(content, STORAGE[storage], rows * columns, place).reshape(rows, columns)
        place += -(-found.nbytes // 64) * 64
        return found

    width, instructions = header["width"], header["instructions"]
    parameters = numbers(len(instructions), 2)
    constants = [numbers(*described) for described in header["constants"]]
    events = header["self_test"]
    return Plan(
        header, parameters, constants, numbers(events, width[0]), numbers(events, width[instructions[-1]["out"]])
    )
