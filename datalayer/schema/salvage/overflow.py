"""Broken overflow chains, mended by the pages that nobody claims.

A pointer within a chain is mended only where one rest fits: as many pages as are missing, the last of them
ending its chain. Knows no tables.
"""

from __future__ import annotations

from collections import defaultdict

from datalayer.schema.salvage.pages import Cell, cell_at, header_of, is_plausible
from datalayer.schema.salvage.reading import Reading
from datalayer.schema.salvage.walk import Spill, Walk, start_of

__all__ = ["doubt_zeros", "mend_chains"]

_LEAST_ZEROS = 8


def doubt_zeros(walk: Walk) -> None:
    """Break the chains that lead to a page of zeros, as damage makes them.

    A value may well hold zeros. Where they begin right with a page, after other bytes, and in no value of the
    file earlier than that, they are damage; so they are where other pages were made zeros too.
    """
    doubtful: list[tuple[int, Cell, int]] = []
    for key, pages in walk.chains.items():
        at = next((place for place, number in enumerate(pages) if not any(walk.reading.page(number))), None)
        cell = None if at is None else _cell(walk, key)
        if at is None or cell is None:
            continue
        if _begins_with_page(walk, cell, key >> 16, pages, at):
            doubtful.append((key, cell, at))
        elif not walk.has_zeros:
            return
    for key, cell, at in doubtful:
        pages = walk.chains.pop(key)
        walk.partial_chains[key] = pages[:at]
        walk.broken_spills.append(Spill(key >> 16, key & 0xFFFF, cell.overflow, cell.size - cell.local))
        message = f"an overflow chain of page {key >> 16} leads to page {pages[at]}, which holds only zeros"
        walk.note("overflow", key >> 16, message)


def _cell(walk: Walk, key: int) -> Cell | None:
    page = walk.reading.page(key >> 16)
    header = header_of(page, start_of(key >> 16))
    return None if header is None else cell_at(page, key & 0xFFFF, header.kind, walk.usable)


def _begins_with_page(walk: Walk, cell: Cell, page: int, pages: list[int], at: int) -> bool:
    """Whether enough of a value lies on a page of zeros, and other bytes right before it."""
    reading, usable = walk.reading, walk.usable
    if cell.size - cell.local - at * (usable - 4) < _LEAST_ZEROS:
        return False
    if at:
        return any(reading.page(pages[at - 1])[usable - _LEAST_ZEROS : usable])
    end = cell.payload + cell.local
    return any(reading.page(page)[max(cell.payload, end - _LEAST_ZEROS) : end])


def mend_chains(walk: Walk) -> int:
    """Mend what can be mended of the chains that broke; give how many were."""
    broken, walk.broken_spills = walk.broken_spills, []
    if not broken:
        return 0
    rests = _rests(walk)
    mended = 0
    for spill in broken:
        key = spill.page << 16 | spill.at
        known = walk.partial_chains.get(key, [])
        needed = -(-spill.size // (walk.usable - 4)) - len(known)
        rest = _fitting(rests.get(needed, []), (known or [spill.page])[-1], spill, broken)
        if rest is None:
            walk.broken_spills.append(spill)
            continue
        rests[needed].remove(rest)
        walk.chains[key] = [*known, *rest]
        walk.mark_overflow(rest)
        mended += 1
    return mended


def _rests(walk: Walk) -> dict[int, list[list[int]]]:
    """Give the chains among the orphans, by length: each from a page that no other orphan leads to.

    A page that a tree leads to and that is none of its own may have changed places with one of a chain.
    """
    reading = walk.reading
    following: dict[int, int] = {}
    for number in (*walk.orphans(), *walk.unreadable()):
        after = _next_of(reading, number, walk)
        if after is not None:
            following[number] = after
    led_to = set(following.values())
    rests: dict[int, list[list[int]]] = defaultdict(list)
    for number, after in following.items():
        if number in led_to:
            continue
        chain, at = [number], after
        while at and at in following and at not in chain[-1:] and len(chain) <= len(following):
            chain.append(at)
            at = following[at]
        if not at:
            rests[len(chain)].append(chain)
    return rests


def _next_of(reading: Reading, number: int, walk: Walk) -> int | None:
    page = reading.page(number)
    if not any(page) or is_plausible(page, 0, walk.usable):
        return None
    after = int.from_bytes(page[:4], "big")
    return after if after == 0 or reading.exists(after) else None


def _fitting(rests: list[list[int]], before: int, spill: Spill, broken: list[Spill]) -> list[int] | None:
    beside = [rest for rest in rests if rest[0] == before + 1]
    if len(beside) == 1:
        return beside[0]
    alone = len(rests) == 1 and sum(other.size == spill.size for other in broken) == 1
    return rests[0] if alone else None
