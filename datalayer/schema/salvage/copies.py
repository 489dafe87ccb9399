"""Leaves that stand in a file twice: a page that was written over another one.

Knows holdings and their trees. Two tables may rightly hold the same rows, so that a copy is told only where
pages have lost their way, or where its rowids are not those of its place.
"""

from __future__ import annotations

from collections import defaultdict

from datalayer.schema.salvage.survey import Holding, Survey
from datalayer.schema.salvage.walk import WHOLE

__all__ = ["drop_copies"]


def drop_copies(survey: Survey) -> None:
    """Take leaves away that are copies of another table's, and that do not stand in their place."""
    _drop_strays(survey)
    _drop_roots(survey)


def _drop_strays(survey: Survey) -> None:
    page = survey.content.reading.page
    strays: dict[bytes, tuple[Holding, int]] = {}
    for holding in survey.holdings.values():
        tree = holding.tree
        if tree is not None and len(tree.leaves) > 1:
            for number in survey.walk.strays.intersection(tree.leaves):
                strays[page(number)] = (holding, number)
    for holding in survey.holdings.values() if strays else ():
        for number in () if holding.tree is None else list(holding.tree.leaves):
            other, copy = strays.get(page(number), (holding, number))
            if other is not holding and other.tree is not None and copy in other.tree.leaves:
                other.tree.leaves.remove(copy)
                other.tree.holes.append(WHOLE)


def _drop_roots(survey: Survey) -> None:
    """Take the only leaf of a table away that is a copy, if pages are orphaned."""
    if not any(tree.is_table for tree in survey.loose):
        return
    alone: dict[bytes, list[Holding]] = defaultdict(list)
    for holding in survey.holdings.values():
        tree = holding.tree
        if tree is not None and tree.is_table and list(tree.leaves) == [tree.root] and tree.cells:
            alone[survey.content.reading.page(tree.root)].append(holding)
    if not alone:
        return
    for holding in survey.holdings.values():
        tree = holding.tree
        if tree is None or not tree.is_table or len(tree.leaves) < 2:
            continue
        for number in tree.leaves:
            for other in alone.pop(survey.content.reading.page(number), []):
                if other.tree is not None:
                    other.tree.leaves.pop()
                    other.tree.holes.append(WHOLE)
