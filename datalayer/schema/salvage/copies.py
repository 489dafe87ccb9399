"""Leaves that stand in a file twice: a page that was written over another one.

Knows holdings and their trees. Two tables may rightly hold the same rows, so that a copy is told only where
pages have lost their way.
"""

from __future__ import annotations

from collections import defaultdict

from datalayer.schema.salvage.survey import Holding, Survey
from datalayer.schema.salvage.walk import WHOLE

__all__ = ["drop_copies"]


def drop_copies(survey: Survey) -> None:
    """Take the only leaf of a table away that is a copy of one of another table's, if pages are orphaned."""
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
