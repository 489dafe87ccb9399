"""What the sound leaves of a table cover: rowids or keys between which no other row can lie.

An orphaned leaf whose rows lie among those of sound leaves is an old copy. Knows holdings and their trees.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cmp_to_key

from datalayer.schema.salvage.content import Content
from datalayer.schema.salvage.keyorder import KeyOrder, Mark
from datalayer.schema.salvage.survey import Holding, span_of
from datalayer.schema.salvage.walk import Range, Tree

__all__ = ["Coverage", "Coverages"]

_MOST_LEAVES = 200
_KeySpan = tuple[Mark, Mark]


class Coverage:
    """The spans of rowids that the sound leaves of a table cover."""

    def __init__(self, spans: Iterable[Range]) -> None:
        self._lows: list[int] = []
        self._highs: list[int] = []
        for span in sorted(spans):
            self.add(span)

    @classmethod
    def of(cls, content: Content, trees: Iterable[Tree]) -> Coverage:
        """Read the spans of all sound leaves of some trees."""
        return cls(span for tree in trees for span in _spans(content, tree))

    def add(self, span: Range) -> None:
        """Cover a span too."""
        low, high = span
        first = bisect_left(self._highs, low)
        last = bisect_right(self._lows, high)
        if first < last:
            low, high = min(low, self._lows[first]), max(high, self._highs[last - 1])
        self._lows[first:last] = [low]
        self._highs[first:last] = [high]

    def __contains__(self, rowid: int) -> bool:
        at = bisect_right(self._lows, rowid) - 1
        return at >= 0 and rowid <= self._highs[at]


def _spans(content: Content, tree: Tree) -> Iterator[Range]:
    for number in tree.leaves:
        span = None if number in tree.broken else span_of(content, number)
        if span is not None:
            yield span


class Coverages:
    """What the trees of each table cover; of trees that come later only these are read."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._known: dict[str, tuple[Coverage, set[int]]] = {}
        self._keyed: dict[str, tuple[int, list[_KeySpan]]] = {}

    def of(self, holding: Holding) -> Coverage:
        """Give the coverage of a table with rowids."""
        name = holding.table.name
        coverage, roots = self._known.setdefault(name, (Coverage(()), set()))
        for tree in holding.trees:
            if tree.root not in roots:
                roots.add(tree.root)
                for span in _spans(self._content, tree):
                    coverage.add(span)
        return coverage

    def crosses(self, holding: Holding, tree: Tree) -> bool:
        """Whether most leaves of a tree lie among the sound leaves of a table WITHOUT ROWID, not between."""
        order = KeyOrder(holding.table, holding.shape, self._content.decoder.encoding)
        count, spans = self._keyed.get(holding.table.name, (-1, []))
        if count != len(holding.trees):
            spans = [span for one in holding.trees for span in self._key_spans(one, order)]
            spans.sort(key=cmp_to_key(lambda one, other: _compare(order, one[0], other[0])))
            self._keyed[holding.table.name] = (len(holding.trees), spans)
        pages = tree.leaves[:_MOST_LEAVES]
        own = [span for number in pages if (span := self._key_span(number, order)) is not None]
        return sum(_crosses(order, spans, span) for span in own) * 2 > len(own)

    def _key_spans(self, tree: Tree, order: KeyOrder) -> Iterator[_KeySpan]:
        for number in tree.leaves:
            span = None if number in tree.broken else self._key_span(number, order)
            if span is not None:
                yield span

    def _key_span(self, number: int, order: KeyOrder) -> _KeySpan | None:
        records = self._content.keys(number)
        known = [tuple(one.values[: order.count]) for one in records if one.values is not None]
        return (known[0], known[-1]) if known else None


def _crosses(order: KeyOrder, spans: Sequence[_KeySpan], own: _KeySpan) -> bool:
    """Whether a span meets the one that begins last before its end."""
    low, high = 0, len(spans)
    while low < high:
        middle = (low + high) // 2
        if order.rises(own[1], spans[middle][0]):
            high = middle
        else:
            low = middle + 1
    return low > 0 and not order.rises(spans[low - 1][1], own[0])


def _compare(order: KeyOrder, one: Mark, other: Mark) -> int:
    return -1 if order.rises(one, other) else int(order.rises(other, one))
