"""Comma-, tab- or semicolon-separated values."""

from __future__ import annotations

import csv
import gzip
import itertools
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from trigrad.data._columns import Array, Columns

__all__ = ["Text"]


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python allows within numbers


class Text(Columns):
    """A text file, gzipped or not; a first line without numbers names the columns."""

    def __init__(self, file: Path) -> None:
        self._file, self._separator = file, ","
        try:
            number, first = 0, ""
            with self._opened() as text:
                for part in text:
                    number += 0 if first else 1
                    first += part if first or part.strip() else ""
                    if first and first.count('"') % 2 == 0:
                        break
            self._separator = max("\t;,", key=first.count)  # the last of those that are equally frequent
            if not first.count(self._separator) and len(first.split()) > 1:
                raise ValueError(
                    f"[read] {file}, line {number} is {first.strip()[:60]!r}, perhaps separated by blanks, expected columns separated "
                    "by commas, semicolons or tabs"
                )
            records = self._records()
            _, head = next(records, (0, []))
            if not head:
                raise ValueError(f"[read] {file} is empty")
            names = [name.strip() for name in head]
            self._headed = not any(_number(name) for name in names if name)
            if not self._headed:
                names, records = [str(k) for k in range(len(names))], itertools.chain([(number, head)], records)
            rows, sample = 0, [""] * len(names)
            for line, values in records:
                if len(values) != len(names):
                    raise ValueError(f"[read] {file}, line {line} has {len(values)} values, expected {len(names)}")
                if not rows:
                    sample = values
                rows += 1
        except UnicodeDecodeError as error:
            raise ValueError(f"[read] {file} is no text in UTF-8: {error}") from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"[read] {file} is not a whole gzip file: {error}") from None
        super().__init__(str(file), rows, names)
        self._text = {n for n, v in zip(names, sample, strict=True) if v.strip() and not _number(v)}

    def _opened(self) -> TextIO:
        if self._file.suffix == ".gz":
            return gzip.open(self._file, "rt", encoding="utf-8-sig", newline="")
        return self._file.open(encoding="utf-8-sig", newline="")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The line where it begins and the values of each record that is not blank, that of the names among them."""
        line = 1
        with self._opened() as text:
            reader = csv.reader(text, delimiter=self._separator)
            try:
                for values in reader:
                    if len(values) > 1 or (values and values[0].strip()):
                        yield line, values
                    line = reader.line_num + 1
            except csv.Error as error:
                raise ValueError(f"[read] {self._file}, line {line}: {error}") from None

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        return itertools.islice(self._records(), int(self._headed), None)

    def place(self, row: int) -> str:
        return f"row {row} (line {next(itertools.islice(self._rows(), row, None))[0]})"

    def read(self, names: list[str]) -> dict[str, Array]:
        numbers = [name for name in names if name not in self._text]
        words = [name for name in names if name in self._text]
        try:
            made = dict(zip(numbers, self._loaded(numbers, np.float64).T, strict=True)) if numbers else {}
            if words:
                made |= dict(zip(words, np.char.strip(self._loaded(words, str)).T, strict=True))
        except ValueError:
            made = self._slowly(names)
        self._gaps |= {name: values == "" for name, values in made.items() if values.dtype.kind == "U"}
        return made

    def _loaded(self, names: list[str], kind: Any) -> Array:
        with self._opened() as text, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that blank lines are no rows
            if self._headed:
                reader = csv.reader(text, delimiter=self._separator)
                while not any(value.strip() for value in next(reader)):
                    pass
            values: Array = np.loadtxt(
                text,
                kind,
                delimiter=self._separator,
                usecols=[self.names.index(name) for name in names],
                ndmin=2,
                comments=None,
                quotechar='"',
            )
        if len(values) != self.rows:
            raise ValueError("rows are missing")
        return values

    def _slowly(self, names: list[str]) -> dict[str, Array]:
        """Value by value: what is wrong is found here, or a column turns out to be text further down."""
        places = [self.names.index(name) for name in names]
        texts: list[list[str]] = [[] for _ in names]
        for _, values in self._rows():
            for column, k in zip(texts, places, strict=True):
                column.append(values[k].strip())
        made: dict[str, Array] = {}
        for name, column in zip(names, texts, strict=True):
            if name in self._text or not any(map(_number, column)):
                made[name] = np.array(column)
                continue
            wrong = next((k for k, text in enumerate(column) if text and not _number(text)), None)
            if wrong is not None:
                raise ValueError(
                    f"[read] {self.where}, column {name!r} holds {column[wrong]!r} in {self.place(wrong)}, expected a number"
                )
            made[name] = np.array([float(text or "nan") for text in column])
            self._gaps[name] = np.array([not text for text in column])
        return made
