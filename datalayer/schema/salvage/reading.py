"""One reading of a damaged file: which bytes stand for which page, with a log replayed or not.

Pages are copied out of the file when asked for, so a file of any size costs little memory. Knows nothing of
what stands on a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from datalayer.schema.salvage.filebytes import FileBytes
from datalayer.schema.salvage.outcome import Problem

__all__ = ["PENDING_BYTE", "Layout", "Reading", "Segment"]

PENDING_BYTE = 0x40000000
"""The page that holds this byte is never used: it is where SQLite locks the file."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file's header says of every page, as far as the pages bear it out."""

    page_size: int
    reserved: int
    encoding: str
    auto_vacuum: bool

    @property
    def usable(self) -> int:
        """The bytes of a page that SQLite uses."""
        return self.page_size - self.reserved

    @property
    def locked_page(self) -> int:
        """The number of the page that holds the locks."""
        return PENDING_BYTE // self.page_size + 1


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of pages from `first` on that starts at `offset` of the file; `last` where it ends early."""

    first: int
    offset: int
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The pages of a database as one reading of its files gives them.

    `name` is "main", "main+wal" or "main+journal"; `overlay` are the pages that the log gives; `mended` are
    pages of which a damaged field was put right while they were read.
    """

    name: str
    layout: Layout
    page_count: int
    data: bytes | FileBytes
    overlay: Mapping[int, bytes]
    segments: Sequence[Segment]
    problems: Sequence[Problem] = ()
    mended: dict[int, bytes] = field(default_factory=dict[int, bytes], compare=False)

    def page(self, number: int) -> bytes:
        """Give the bytes of a page, filled up with zeros where the file ends within it."""
        found = self.part(number)
        size = self.layout.page_size
        return found if len(found) == size else found.ljust(size, b"\0")

    def part(self, number: int) -> bytes:
        """Give what there is of a page: less than a page where the file ends within it."""
        found = self.mended.get(number)
        if found is None:
            found = self.overlay.get(number)
        return self.main_page(number) if found is None else found

    def main_page(self, number: int) -> bytes:
        """Give what the main file itself has of a page, whatever the log says."""
        size = self.layout.page_size
        segment = self.segments[0]
        for later in self.segments[1:]:
            if later.first <= number:
                segment = later
        if segment.last is not None and number > segment.last:
            return b""
        start = segment.offset + (number - segment.first) * size
        return self.data[start : start + size] if start >= 0 else b""

    def exists(self, number: int) -> bool:
        """Whether a page of this number can hold content."""
        return 1 <= number <= self.page_count and number != self.layout.locked_page

    def shifted(
        self, segments: Sequence[Segment], page_count: int, mended: Mapping[int, bytes], problem: Problem
    ) -> Reading:
        """Give the reading with other places for its pages; pages of the log count before `mended` ones."""
        return replace(
            self,
            segments=tuple(segments),
            page_count=page_count,
            overlay={**mended, **self.overlay},
            problems=(*self.problems, problem),
            mended={},
        )
