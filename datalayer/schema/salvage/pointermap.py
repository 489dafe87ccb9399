"""The pointer map of an auto-vacuum file: what it says of each page, against what the page is.

https://sqlite.org/fileformat2.html, "Pointer Map or Ptrmap Pages". Knows the walk, not tables.
"""

from __future__ import annotations

from collections.abc import Iterator

from datalayer.schema.salvage.outcome import Problem
from datalayer.schema.salvage.pages import TABLE_INNER, cell_at, header_of
from datalayer.schema.salvage.walk import Walk, start_of

__all__ = ["map_entry", "map_problems"]

_ROOT, _FREE, _FIRST, _LATER, _NODE = 1, 2, 3, 4, 5


def map_entry(walk: Walk, number: int) -> tuple[int, int]:
    """Give the kind and the parent that the map tells of a page."""
    step = walk.usable // 5 + 1
    place = (number - 2) // step * step + 2
    if place == walk.reading.layout.locked_page:
        place += 1
    at = 5 * (number - place - 1)
    page = walk.reading.page(place)
    return (page[at], int.from_bytes(page[at + 1 : at + 5], "big")) if at >= 0 else (0, 0)


def map_problems(walk: Walk) -> list[Problem]:
    """Say of which pages the map is wrong; empty for a file without one."""
    if not walk.reading.layout.auto_vacuum:
        return []
    return [
        Problem("pointer-map", number, f"the pointer map is wrong about page {number}")
        for number, kind, parent in _facts(walk)
        if walk.reading.exists(number) and not _agrees(map_entry(walk, number), kind, parent)
    ]


def _agrees(entry: tuple[int, int], kind: int, parent: int) -> bool:
    # the parent of a root and of a free page is 0 by the documentation, but SQLite reads neither
    return entry[0] == kind and (kind in (_ROOT, _FREE) or entry[1] == parent)


def _facts(walk: Walk) -> Iterator[tuple[int, int, int]]:
    for root, tree in walk.trees.items():
        if root > 1:
            yield root, _ROOT, 0
        for number in tree.inner:
            yield from ((child, _NODE, number) for child in _children(walk, number))
    for key, pages in walk.chains.items():
        for place, number in enumerate(pages):
            yield number, _FIRST if place == 0 else _LATER, key >> 16 if place == 0 else pages[place - 1]
    for number in range(2, walk.reading.page_count + 1):
        if walk.role(number).startswith("freelist"):
            yield number, _FREE, 0


def _children(walk: Walk, number: int) -> Iterator[int]:
    page = walk.reading.page(number)
    header = header_of(page, start_of(number))
    if header is None or header.is_leaf:
        return
    for at in header.pointers:
        cell = cell_at(page, at, header.kind, walk.usable)
        if cell is not None and (header.kind == TABLE_INNER or cell.size):
            yield cell.child
    yield header.child
