"""Cells of a damaged page, found by what they look like rather than by the page's header and pointers.

Knows the shape of the table that the page belongs to; whether a row is still alive is for others to say.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from datalayer.schema.salvage.content import Content, Record
from datalayer.schema.salvage.pages import (
    INDEX_LEAF,
    TABLE_LEAF,
    Cell,
    PageHeader,
    cell_at,
    free_blocks,
    header_of,
)
from datalayer.schema.salvage.record import record_size
from datalayer.schema.salvage.shape import Shape
from datalayer.schema.salvage.walk import start_of

__all__ = ["carve_leaf"]

_LEAST = 4


def carve_leaf(content: Content, number: int, shape: Shape) -> list[Record]:
    """Give the rows of a damaged leaf: those its pointers still lead to, then what lies between them.

    Cells that pointers lead to and that cannot be read come last, without values. Free blocks, and what lies
    before the content where the header is sound, hold what was deleted and are left out. Every record fits
    the shape and lies on the page without overlapping another.
    """
    page = content.reading.page(number)
    kind = TABLE_LEAF if shape.has_rowid else INDEX_LEAF
    header = header_of(page, start_of(number), kind)
    found = [] if header is None else _pointed(content, number, page, header, shape)
    unread = [] if header is None else _unread(content, number, page, header, found)
    missing = header is None or len(found) < len(header.pointers) or header.kind != page[start_of(number)]
    if missing or not found:
        taken = [(cell.start, cell.end) for cell, _ in found]
        # a header whose pointers lead nowhere is none, and says nothing of what is dead
        is_header = header is not None and (
            header.kind == page[header.start] or len(found) * 2 > len(header.pointers)
        )
        taken += _dead(page, header if is_header else None, content.usable, found)
        cells = _matches(content, number, page, shape, kind)
        fresh = [pair for pair in cells if not _touches(pair[0], taken)]
        found += _packed(fresh)
    found.sort(key=lambda pair: pair[1].rowid)
    # a pointer that was wrong led elsewhere, and its cell was found all the same
    lacking = 0 if header is None else len(header.pointers) - len(found)
    return [*(record for _, record in found), *unread[: max(0, lacking)]]


def _unread(
    content: Content,
    number: int,
    page: bytes,
    header: PageHeader,
    found: Sequence[tuple[Cell, Record]],
) -> list[Record]:
    """Give the cells that pointers lead to and that cannot be read, on a page whose header makes sense."""
    if not found or not header.pointers_end <= header.content <= content.usable:
        return []
    known = {cell.start for cell, _ in found}
    records: list[Record] = []
    for at in dict.fromkeys(header.pointers):
        if at not in known and header.content <= at < content.usable:
            cell = cell_at(page, at, header.kind, content.usable)
            records.append(Record(0 if cell is None else cell.rowid, None, number, at))
    return records


def _pointed(
    content: Content, number: int, page: bytes, header: PageHeader, shape: Shape
) -> list[tuple[Cell, Record]]:
    found: list[tuple[Cell, Record]] = []
    for at in dict.fromkeys(header.pointers):
        if header.start + 8 <= at < content.usable - 2:
            pair = _read(content, number, page, at, shape, header.kind)
            if pair is not None:
                found.append(pair)
    return _packed(found)


def _read(
    content: Content, number: int, page: bytes, at: int, shape: Shape, kind: int
) -> tuple[Cell, Record] | None:
    cell = cell_at(page, at, kind, content.usable)
    if cell is None or cell.end > content.end_of(number):
        return None
    if record_size(page, cell.payload, cell.payload + cell.local) != cell.size:
        return None
    values = content.decoded(number, page, cell)
    if values is not None and not shape.fits(values, cell.rowid):
        return None
    return cell, Record(cell.rowid, values, number, at)


def _dead(
    page: bytes, header: PageHeader | None, usable: int, found: Sequence[tuple[Cell, Record]]
) -> list[tuple[int, int]]:
    """Give the places of a page that hold nothing alive, as far as its header can be trusted."""
    if header is None:
        return []
    dead: list[tuple[int, int]] = []
    if header.pointers_end <= header.content <= usable and header.pointers:
        first = min((cell.start for cell, _ in found), default=header.content)
        dead.append((0, min(header.content, first)))
    blocks = free_blocks(page, header, usable)
    return dead + (blocks or [])


def _matches(
    content: Content, number: int, page: bytes, shape: Shape, kind: int
) -> list[tuple[Cell, Record]]:
    found: list[tuple[Cell, Record]] = []
    end = content.usable
    for match in shape.pattern.finditer(page, start_of(number) + 8, end):
        at, head = match.start(1), match.end(1)
        size = page[head]
        # most matches die here: the header's own size must be that of the serial types
        if size < 0x80 and head + size > end:
            continue
        pair = _read(content, number, page, at, shape, kind)
        if pair is not None and pair[0].size >= _LEAST and pair[0].payload == head:
            found.append(pair)
    return found


def _touches(cell: Cell, taken: Iterable[tuple[int, int]]) -> bool:
    return any(cell.start < end and start < cell.end for start, end in taken)


def _packed(cells: list[tuple[Cell, Record]]) -> list[tuple[Cell, Record]]:
    """Choose cells that do not overlap and cover the most bytes; cells that touch each other weigh more."""
    cells = sorted(cells, key=lambda pair: pair[0].end)
    ends = [cell.end for cell, _ in cells]
    starts = {cell.start for cell, _ in cells}
    best: list[tuple[int, int, bool]] = [(0, -1, False)]
    for place, (cell, _) in enumerate(cells):
        before = bisect_right(ends, cell.start, 0, place)
        weight = cell.end - cell.start - 3 + (3 if cell.end in starts else 0)
        with_it = best[before][0] + weight
        best.append((with_it, before, True) if with_it > best[-1][0] else (best[-1][0], place, False))
    chosen: list[tuple[Cell, Record]] = []
    place = len(cells)
    while place > 0:
        _, before, taken = best[place]
        if taken:
            chosen.append(cells[place - 1])
        place = before
    return chosen[::-1]
