"""Broken overflow chains, mended by the pages that nobody claims.

A pointer within a chain is mended only where one rest fits: as many pages as are missing, the last of them
ending its chain. Knows no tables.
"""

from __future__ import annotations

from collections import defaultdict

from datalayer.schema.salvage.pages import is_plausible
from datalayer.schema.salvage.reading import Reading
from datalayer.schema.salvage.walk import Spill, Walk

__all__ = ["mend_chains"]


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
    """Give the chains among the orphans, by length: each from a page that no other orphan leads to."""
    reading = walk.reading
    following: dict[int, int] = {}
    for number in walk.orphans():
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
