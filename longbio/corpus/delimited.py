"""Rows of CSV and TSV out of lines: quoted cells over many lines, and what a lost quote does.

A quote that isn't closed swallows the rows behind it, up to the next one. Such a row is reported, and the
lines behind it are read again as rows of their own where all of them look like rows of this table: as many
cells, and names or numbers where the rows before have them. Where they don't, they may be a note's lines:
they are counted as lost with it.

In TSV a quote may be a plain character: a line that isn't quoted as it should be is cut at its tabs, where
that gives as many cells as the header has.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_ROW_CHARS = 50_000_000
"""Of a row; what is longer is no row, but a quote that isn't closed."""

LEARNED_ROWS = 1_000
"""From which it is learned what rows look like."""

MAX_VALUES, MAX_SHAPES = 20, 3
"""Different cells, or shapes of cells, of a column by which a row is known."""

SEEN = 3
"""How often each of a few values was seen, on the average, where any other is none of the column's."""

SURE_LINES = 3
"""Lines of a cell that have to look like rows of two cells, until they are taken for such."""

NUMBER, LETTERS = re.compile(r"[0-9]+"), re.compile(r"[^\W0-9_]+")


@dataclass(frozen=True, slots=True)
class Cells:
    """A row that was read: its cells, and the number of its last line, from 1."""

    cells: list[str]
    last_line: int


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that can't be read: what is wrong, its line from 1, and how many behind it are lost."""

    what: str
    line: int
    lost: int = 0


def rows_of(lines: Iterator[str], delimiter: str) -> Iterator[Cells | Broken]:
    """The rows of a table, the header first; lines (with their ends) without a character are none. One row is
    in memory at a time."""
    source = _Lines(lines)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    shape: _Shape | None = None
    while True:
        source.begin()
        fault, cells = None, []
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = str(error)
        if fault is None and not cells:
            continue
        if shape is None:
            yield Broken(fault, 1) if fault else Cells(cells, source.number)
            if fault:
                return
            shape = _Shape(len(cells), delimiter)
            continue
        yield _row(source, shape, cells, fault)


def _row(source: _Lines, shape: _Shape, cells: list[str], fault: str | None) -> Cells | Broken:
    first, behind = source.taken[0], source.taken[1:]
    line = source.number - len(behind)
    if fault is None and len(cells) != shape.width:
        fault = "it has not as many cells as the header"
    if shape.delimiter == "\t" and _is_unquoted(first, behind, source, shape, fault):
        source.give_back(len(behind))
        cells = shape.cut(first)
        shape.learn(cells)
        return Cells(cells, line)
    if fault is None and not shape.has_swallowed(first, behind):
        shape.learn(cells)
        return Cells(cells, source.number)
    again = shape.rows_at_end(first, behind)
    if again:
        source.give_back(again)
        return Broken("a quote in it isn't closed", line, len(behind) - again)
    lost = len(behind)
    if '"' in "".join(source.taken):
        # The rest of its cell may follow, up to what is a row beyond doubt.
        lost += sum(1 for _ in _take_rest(source, shape))
    return Broken(fault or "a quote in it isn't closed", line, lost)


def _take_rest(source: _Lines, shape: _Shape) -> Iterator[str]:
    while shape.is_known() and (line := source.peek()) and not shape.are_rows(line, [line]):
        source.begin()
        yield next(source)


def _is_unquoted(first: str, behind: list[str], source: _Lines, shape: _Shape, fault: str | None) -> bool:
    """Whether a line of TSV is what its tabs say, and its quotes are characters."""
    if '"' not in first or len(shape.cut(first)) != shape.width:
        return False
    if fault is None:
        return bool(behind) and shape.are_rows(first, behind)
    following = behind[0] if behind else source.peek()
    return not following.strip("\r\n") or shape.may_be_row(first, following)


class _Lines:
    """Lines that can be given back, counted; those that were taken since a row began."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._again = lines, deque[str]()
        self.number, self.taken, self._chars = 0, list[str](), 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.number += 1
        self.taken.append(line)
        self._chars += len(line)
        if self._chars > MAX_ROW_CHARS:
            raise csv.Error(f"it has more than {MAX_ROW_CHARS:,} characters")
        return line

    def begin(self) -> None:
        self.taken, self._chars = [], 0

    def peek(self) -> str:
        """The next line, which stays there; nothing behind the last."""
        if not self._again and (line := next(self._lines, None)) is not None:
            self._again.append(line)
        return self._again[0] if self._again else ""

    def give_back(self, count: int) -> None:
        """Put back the last lines that were taken."""
        if count:
            self._again.extendleft(reversed(self.taken[-count:]))
            self.number -= count


@dataclass
class _Column:
    """What the cells of a column have in common."""

    values: set[str] = field(default_factory=set)
    shapes: set[str] = field(default_factory=set)
    count: int = 0

    def learn(self, cell: str) -> None:
        self.count += 1
        if len(self.values) <= MAX_VALUES:
            self.values.add(cell)
        if len(self.shapes) <= MAX_SHAPES:
            self.shapes.add(_shape_of(cell))

    def is_known(self) -> bool:
        """Whether cells are like each other."""
        return self._is_shaped() or self._is_of_few()

    def fits(self, cell: str) -> bool | None:
        """Whether a cell is like the others; None where they are not like each other."""
        if self._is_shaped():
            return _shape_of(cell) in self.shapes
        return cell in self.values if self._is_of_few() else None

    def _is_shaped(self) -> bool:
        return 0 < len(self.shapes) <= MAX_SHAPES and all("9" in shape for shape in self.shapes)

    def _is_of_few(self) -> bool:
        return len(self.values) <= min(MAX_VALUES, self.count / SEEN) and any(self.values)


def _shape_of(cell: str) -> str:
    """Of a name or a number: `a9` of n12, `9-9-9` of a date. Nothing of what has white space or is long."""
    if len(cell) > 40 or any(character.isspace() for character in cell):
        return ""
    return LETTERS.sub("a", NUMBER.sub("9", cell))


class _Shape:
    """What the rows of a table look like."""

    def __init__(self, width: int, delimiter: str) -> None:
        self.width, self.delimiter = width, delimiter
        self._columns = [_Column() for _ in range(width)]
        self._rows, self._begins_with_space = 0, False

    def learn(self, cells: list[str]) -> None:
        if self._rows < LEARNED_ROWS:
            self._rows += 1
            self._begins_with_space |= any(cell[:1] == " " for cell in cells)
            for column, cell in zip(self._columns, cells, strict=True):
                column.learn(cell)

    def is_known(self) -> bool:
        """Whether there is a column by which rows are told from other lines."""
        return any(column.is_known() for column in self._columns)

    def cut(self, line: str) -> list[str]:
        """The cells of a line whose quotes are characters."""
        return line.rstrip("\r\n").split(self.delimiter)

    def has_swallowed(self, first: str, behind: list[str]) -> bool:
        """Whether the lines of a cell are so much like rows that they will be some."""
        enough = len(behind) >= (1 if self.width > 2 else SURE_LINES)
        return enough and self.are_rows(first, behind)

    def are_rows(self, first: str, behind: list[str]) -> bool:
        """Whether lines, those without a character apart, are rows beyond doubt; see `rows_at_end`."""
        return any(line.strip("\r\n") for line in behind) and self.rows_at_end(first, behind) == len(behind)

    def rows_at_end(self, first: str, behind: list[str]) -> int:
        """How many lines up to the last are rows beyond doubt; of the last it is enough that it begins one.
        The cells of the line before them, up to its quote, are like theirs."""
        if self.width == 1:
            return 0
        known, count, is_last = self._with(first), 0, True
        for number, line in enumerate(reversed(behind), start=1):
            if line.strip("\r\n"):
                if not self._looks_like_row(line, known, is_last):
                    break
                is_last = False
            count = number
        return 0 if is_last else count

    def may_be_row(self, first: str, line: str) -> bool:
        """Whether a line can be a row by its number of cells, and nothing speaks against it."""
        cells = self.cut(line)
        pairs = zip(self._with(first), cells, strict=False)
        return len(cells) == self.width and not any(column.fits(cell) is False for column, cell in pairs)

    def _with(self, first: str) -> list[_Column]:
        """What rows look like, with what comes before the quote of a line."""
        if self._rows:
            return self._columns
        before = first.partition('"')[0].split(self.delimiter)[:-1]
        known = [_Column() for _ in range(self.width)]
        for column, cell in zip(known, before, strict=False):
            column.shapes.add(_shape_of(cell))
        return known

    def _looks_like_row(self, line: str, known: list[_Column], is_last: bool) -> bool:
        cells = self._cells(line)
        if cells is None and is_last:
            # Its last cell may go on behind it.
            cells = line.partition('"')[0].split(self.delimiter)[:-1]
            if not cells or len(cells) >= self.width:
                return False
        elif cells is None or len(cells) != self.width:
            return False
        if not self._begins_with_space and any(cell[:1] == " " for cell in cells):
            return False
        fitting = [column.fits(cell) for column, cell in zip(known, cells, strict=False)]
        is_named = any(fits and cell for fits, cell in zip(fitting, cells, strict=False))
        return is_named and False not in fitting

    def _cells(self, line: str) -> list[str] | None:
        """Of a line that stands alone; None where its quotes aren't closed."""
        try:
            rows = list(csv.reader([line], delimiter=self.delimiter, strict=True))
        except csv.Error:
            return None
        return rows[0] if rows and line.count('"') % 2 == 0 else None
