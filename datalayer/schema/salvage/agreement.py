"""Whether a tree of rows and a tree of index entries belong together: entries are looked up in the rows.

A look-up goes down by rowid, so that a few dozen of them say enough of tables of any size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from datalayer.schema.salvage.content import Content, Record
from datalayer.schema.salvage.indexes import IndexShape
from datalayer.schema.salvage.outcome import Value
from datalayer.schema.salvage.shape import Shape
from datalayer.schema.salvage.survey import Holding, Survey, span_of
from datalayer.schema.salvage.walk import Tree
from datalayer.schema.tokens import fold

__all__ = ["agreement", "exchange_roots"]

_LITTLE, _MUCH = 0.3, 0.7
_ENTRIES = 12


def exchange_roots(survey: Survey) -> None:
    """Give the tables whose indexes know other rows than their trees hold the trees that they know.

    Roots that were exchanged, or that two tables share, are found in this way where the tables look alike.
    """
    content = survey.content
    for holding in survey.holdings.values():
        if not holding.index_trees or not holding.shape.has_rowid:
            continue
        if holding.tree is not None:
            share = agreement(content, holding, holding.tree)
            if share is None or share >= _LITTLE:
                continue
        other = next((one for one in survey.holdings.values() if _is_other(survey, holding, one)), None)
        if other is None:
            _take_loose(survey, holding)
        else:
            holding.tree, other.tree = other.tree, holding.tree


def _is_other(survey: Survey, holding: Holding, other: Holding) -> bool:
    """Whether the tree of another table is this one's by its index, and not that one's."""
    tree, content = other.tree, survey.content
    if other is holding or tree is None or (agreement(content, holding, tree) or 0.0) < _MUCH:
        return False
    share = agreement(content, other, tree)
    if share is not None:
        return share < _LITTLE
    # without an index of its own it must at least be told of the same root
    names = (fold(holding.table.name), fold(other.table.name))
    return len({survey.catalog.roots.get(name) for name in names}) == 1


def _take_loose(survey: Survey, holding: Holding) -> None:
    for place, tree in enumerate(survey.loose):
        if tree.is_table and (agreement(survey.content, holding, tree) or 0.0) >= _MUCH:
            former, holding.tree = holding.tree, tree
            if former is None:
                del survey.loose[place]
            else:
                survey.loose[place] = former
            return


def agreement(content: Content, holding: Holding, tree: Tree) -> float | None:
    """Give the share of entries of a table's index that a tree has rows for, None where there are none."""
    for index in holding.indexes:
        entries = holding.index_trees.get(index.name)
        if entries is None or not entries.leaves or not index.has_rowid or not tree.is_table:
            continue
        if all(place in (-1, holding.shape.alias) for place in index.places):
            continue
        keys = [key for key in _sample(content, entries) if index.misfit(key, holding.shape) < 0.9]
        if keys and tree.leaves:
            spans = _Spans(content, tree)
            right = sum(_is_row_of(spans.find(int(str(key[-1]))), key, index, holding.shape) for key in keys)
            return right / len(keys)
    return None


def _sample(content: Content, entries: Tree) -> Iterator[Sequence[Value]]:
    """Iterate over one entry of each of a few pages, or over a few of the only page."""
    step = -(-len(entries.leaves) // _ENTRIES)
    pages = entries.leaves[::step]
    for number in pages:
        known = [one.values for one in content.keys(number) if one.values is not None]
        each = max(1, len(known) * len(pages) // _ENTRIES)
        yield from known[each // 2 :: each]


def _is_row_of(row: Record | None, key: Sequence[Value], index: IndexShape, shape: Shape) -> bool:
    values = None if row is None else row.values
    if row is None or values is None or not shape.fits(values, row.rowid):
        return False
    held = [*values, *shape.defaults[len(values) :]]
    return all(
        place < 0 or place == shape.alias or held[place] == value for place, value in zip(index.places, key)
    )


class _Spans:
    """Finds the rows of a tree by their rowid, by the first one of each leaf."""

    def __init__(self, content: Content, tree: Tree) -> None:
        self.content = content
        self.leaves = tree.leaves

    def find(self, rowid: int) -> Record | None:
        low, high = 0, len(self.leaves)
        while low < high:
            middle = (low + high) // 2
            span = span_of(self.content, self.leaves[middle])
            if span is None or span[0] <= rowid:
                low = middle + 1
            else:
                high = middle
        if not low:
            return None
        return next((one for one in self.content.leaf(self.leaves[low - 1]) if one.rowid == rowid), None)
