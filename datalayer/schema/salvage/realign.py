"""Bytes or pages that were inserted into a file or are missing from it: the pages behind them put back.

What lies behind the place is shifted by one distance. Each page that makes sense where it should be, and each
link that leads to what it should, speaks for one side; the place is where both sides together say most.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from datalayer.schema.salvage.header import Stamps
from datalayer.schema.salvage.outcome import Problem
from datalayer.schema.salvage.pages import (
    TABLE_INNER,
    TABLE_LEAF,
    PageHeader,
    cell_at,
    header_of,
    is_cell,
    is_plausible,
)
from datalayer.schema.salvage.reading import Reading, Segment
from datalayer.schema.salvage.walk import start_of

__all__ = ["realign", "realign_within"]

_LEAST_GAIN = 2.5
_HINT = 0.02  # nearly any page can be one of overflow: this only decides between equals
_MOST_SUSPECTS = 60
_LEAST_VOTES = 3
# the kind of page, and no more bytes in fragments than SQLite leaves
_PAGE_START = re.compile(rb"(?=[\x02\x05\x0a\x0d].{6}[\x00-\x3c])", re.DOTALL)


def realign(reading: Reading, stamps: Stamps) -> Reading:
    """Give the reading with its pages where they belong; itself where nothing is shifted."""
    best: tuple[float, int, int] = (_LEAST_GAIN, 0, 0)
    for distance in _distances(reading, stamps):
        gain, first = _Evidence(reading, distance).split()
        if gain > best[0]:
            best = (gain, distance, first)
    _, distance, first = best
    if not distance:
        return reading
    size = reading.layout.page_size
    count = max(-(-(len(reading.data) - distance) // size), first)
    # where pages are missing those before the place are cut off at it, and the missing ones read as nothing
    gone = -(distance // size) if distance < 0 and distance % size == 0 else 0
    segments = (
        Segment(1, 0, first - 1 - gone),
        Segment(first, (first - 1) * size + distance),
    )
    mended = {} if distance % size == 0 else _mended(reading, first - 1, distance)
    what = "too many" if distance > 0 else "missing"
    problem = Problem("shift", first - 1, f"{abs(distance)} bytes are {what} before page {first}")
    return reading.shifted(segments, count, mended, problem)


def realign_within(reading: Reading, suspects: Sequence[int]) -> Reading:
    """Give the reading with a run of pages put back that is shifted though the file's length is right.

    That is what bytes inserted in one place and missing in another leave. `suspects` are pages that cannot be
    read where they should be; the distance is the one at which most of them can.
    """
    distance = _voted_distance(reading, suspects)
    if not distance:
        return reading
    gain, first, end = _Evidence(reading, distance).run()
    if gain <= _LEAST_GAIN:
        return reading
    size = reading.layout.page_size
    segments = (
        Segment(1, 0),
        Segment(first, (first - 1) * size + distance),
        Segment(end, (end - 1) * size),
    )
    mended = _mended(reading, first - 1, distance)
    mended |= _mended(reading, end - 1, -distance, distance)
    problem = Problem("shift", first, f"pages {first} to {end - 1} are shifted by {distance} bytes")
    return reading.shifted(segments, reading.page_count, mended, problem)


def _voted_distance(reading: Reading, suspects: Sequence[int]) -> int:
    size, usable = reading.layout.page_size, reading.layout.usable
    votes = Counter[int]()
    for number in suspects[:: max(1, len(suspects) // _MOST_SUSPECTS)]:
        start = max(0, (number - 2) * size)
        around = reading.data[start : start + 3 * size]
        for match in _PAGE_START.finditer(around, 0, max(0, len(around) - size)):
            distance = start + match.start() - (number - 1) * size
            if 0 < abs(distance) < size and is_plausible(around[match.start() :][:size], 0, usable):
                header = header_of(around[match.start() :][:size])
                votes[distance] += 1 if header is not None and len(header.pointers) > 1 else 0
    most = max(votes.values(), default=0)
    # the page before or behind is found too, one page size farther away
    near = [distance for distance, count in votes.items() if count * 5 >= most * 4]
    return min(near, key=abs) if most >= _LEAST_VOTES else 0


def _distances(reading: Reading, stamps: Stamps) -> list[int]:
    """Give the distances by which the file's length can be explained."""
    size, length = reading.layout.page_size, len(reading.data)
    found: list[int] = []
    if stamps.page_count and abs(length - stamps.page_count * size) < length:
        found.append(length - stamps.page_count * size)
    if length % size:
        found += [length % size, length % size - size]
    return [distance for distance in dict.fromkeys(found) if distance]


@dataclass(frozen=True, slots=True)
class _Link:
    child: int
    is_table: bool
    low: int
    high: int


class _Evidence:
    """What speaks, page by page, for where it stands and for where it would stand when shifted."""

    def __init__(self, reading: Reading, distance: int) -> None:
        self.reading = reading
        self.size = reading.layout.page_size
        self.usable = reading.layout.usable
        self.distance = distance
        self.count = max(1, (len(reading.data) - distance) // self.size)
        self.here = [0.0] * (self.count + 2)
        self.there = [0.0] * (self.count + 2)

    def at(self, number: int, shift: int) -> bytes:
        start = (number - 1) * self.size + shift
        page = self.reading.data[start : start + self.size] if start >= 0 else b""
        return page.ljust(self.size, b"\0")

    def split(self) -> tuple[float, int]:
        """Give how much more is explained when the pages from some number on are shifted, and that number."""
        aligned = self.distance % self.size == 0
        for number in range(1, self.count + 1):
            for shift in (0, self.distance):
                if aligned and shift and (number - 1) * self.size + shift < len(self.reading.data) - shift:
                    continue
                page = self.at(number, shift)
                if not is_plausible(page, start_of(number), self.usable):
                    continue
                if not aligned:
                    (self.there if shift else self.here)[number] += 1.0
                self._weigh_links(page, number)
        return self._best()

    def _weigh_links(self, page: bytes, number: int) -> None:
        header = header_of(page, start_of(number))
        if header is None:
            return
        links = _overflows(page, header, self.usable) if header.is_leaf else ()
        for first in links:
            if 1 <= first <= self.count:
                self.here[first] += _HINT * self._is_overflow(first, 0)
                self.there[first] += _HINT * self._is_overflow(first, self.distance)
        for link in () if header.is_leaf else _links(page, header, self.usable):
            if 1 <= link.child <= self.count:
                self.here[link.child] += self._holds(link, 0)
                self.there[link.child] += self._holds(link, self.distance)

    def _is_overflow(self, number: int, shift: int) -> bool:
        page = self.at(number, shift)
        after = int.from_bytes(page[:4], "big")
        return after <= self.count and any(page) and not is_plausible(page, 0, self.usable)

    def _holds(self, link: _Link, shift: int) -> float:
        """Say how well a page fits to a link: 1 where its rowids lie in the range, less for an index."""
        page = self.at(link.child, shift)
        if not is_plausible(page, start_of(link.child), self.usable):
            return 0.0
        header = header_of(page, start_of(link.child))
        if header is None or header.is_table != link.is_table or not header.pointers:
            return 0.0
        if not link.is_table:
            return 0.6
        ends = [cell_at(page, header.pointers[at], header.kind, self.usable) for at in (0, -1)]
        inside = [cell is not None and link.low < cell.rowid <= link.high for cell in ends]
        return 1.0 if all(inside) else 0.0

    def run(self) -> tuple[float, int, int]:
        """Give the run of pages that gains most by being shifted: gain, first page, page behind it."""
        self.split()
        best, gain, first = (0.0, 0, 0), 0.0, 2
        for number in range(2, self.count + 1):
            if gain <= 0:
                gain, first = 0.0, number
            gain += self.there[number] - self.here[number]
            if gain > best[0]:
                best = (gain, first, number + 1)
        return best

    def _best(self) -> tuple[float, int]:
        """Weigh every place; what speaks for pages that would be missing there counts against it."""
        aligned = self.distance < 0 and self.distance % self.size == 0
        gone = -self.distance // self.size if aligned else 0
        here = list(accumulate(reversed(self.here)))[::-1]
        there = list(accumulate(reversed(self.there)))[::-1]
        gains = [(there[first] - here[first - gone], first) for first in range(2 + gone, self.count + 2)]
        # of equals the first place
        return max(gains, key=lambda pair: (pair[0], -pair[1])) if gains else (0.0, 2)


def _links(page: bytes, header: PageHeader, usable: int) -> Iterator[_Link]:
    low, is_table = -(1 << 63), header.kind == TABLE_INNER
    for at in header.pointers:
        cell = cell_at(page, at, header.kind, usable)
        if cell is None:
            return
        yield _Link(cell.child, is_table, low, cell.rowid)
        low = cell.rowid
    yield _Link(header.child, is_table, low, (1 << 63) - 1)


def _overflows(page: bytes, header: PageHeader, usable: int) -> Iterator[int]:
    for at in header.pointers if header.kind == TABLE_LEAF else ():
        cell = cell_at(page, at, header.kind, usable)
        if cell is not None and cell.overflow:
            yield cell.overflow


def _mended(reading: Reading, number: int, distance: int, shift: int = 0) -> dict[int, bytes]:
    """Put together the page that the place lies in: its start from here, its end from there."""
    size, usable = reading.layout.page_size, reading.layout.usable
    start = (number - 1) * size + shift
    here = reading.data[max(start, 0) : start + size].ljust(size, b"\0")
    there = reading.data[max(start + distance, 0) : start + distance + size].ljust(size, b"\0")
    header = header_of(here, start_of(number))
    if header is None or not header.pointers:
        return {}
    cut = usable
    for at in sorted(header.pointers, reverse=True):
        if not (start_of(number) + 8 < at < usable and is_cell(there, at, header.kind, usable)):
            break
        cut = at
    return {number: here[:cut] + there[cut:]}
