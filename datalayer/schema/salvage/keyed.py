"""The rows of one table WITHOUT ROWID: they lie on inner pages too, and their keys stand for rowids.

Knows what belongs to the table; writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from datalayer.schema.salvage.carve import carve_leaf
from datalayer.schema.salvage.content import Content, Record
from datalayer.schema.salvage.indexes import known_keys
from datalayer.schema.salvage.keyorder import KeyOrder, Mark
from datalayer.schema.salvage.outcome import LostRow, Row, Value
from datalayer.schema.salvage.placing import is_suspect
from datalayer.schema.salvage.remains import STRANGE, beyond, known_only, remains_of, unread_page
from datalayer.schema.salvage.survey import Holding
from datalayer.schema.salvage.walk import Tree

__all__ = ["KeyedRows"]

Lost = Callable[[LostRow], None]


class KeyedRows:
    """Gives the rows of a table WITHOUT ROWID; may be asked again."""

    def __init__(self, content: Content, holding: Holding) -> None:
        self.content = content
        self.holding = holding
        self.shape = holding.shape
        self.order = KeyOrder(holding.table, holding.shape, content.decoder.encoding)

    def __call__(self, lost: Lost) -> Iterator[Row]:
        """Iterate over the rows in place; what has none goes to `lost`."""
        holding = self.holding
        tree = holding.tree
        if tree is not None and holding.is_complete and not holding.adopted and not is_suspect(holding):
            return self._sound(tree, lost)
        return self._mended(lost)

    def _sound(self, tree: Tree, lost: Lost) -> Iterator[Row]:
        """Every page is there; one whose keys are not of its place is a damaged one."""
        damaged: list[int] = []
        last: Mark | None = None
        for number in tree.leaves:
            records = self.content.keys(number)
            marks = self._marks(records)
            if not self._is_sound(records, marks, last):
                damaged.append(number)
                continue
            last = marks[-1] if marks else last
            yield from self._given(records, lost)
        for number in tree.inner:
            records = self.content.keys(number)
            if not self._is_sound(records, self._marks(records), None):
                damaged.append(number)
                continue
            yield from self._given(records, lost)
        if damaged:
            harmed = set(damaged)
            sound = (number for number in tree.pages if number not in harmed)
            seen = {mark for number in sound for mark in self._marks(self.content.keys(number))}
            yield from self._rest(damaged, seen, lost)

    def _mended(self, lost: Lost) -> Iterator[Row]:
        """Give what the tree still leads to, then damaged pages, then orphans, then what indexes know."""
        holding, seen = self.holding, set[Mark]()
        damaged: list[int] = []
        own = [] if holding.tree is None else [holding.tree]
        for tree in own:
            yield from self._pages(tree, seen, damaged, None, lost)
        alive = self._alive(seen)
        is_whole = holding.is_complete and not damaged and not holding.adopted
        yield from self._damaged(damaged, seen, alive, lost)
        damaged.clear()
        for tree in holding.adopted:
            yield from self._pages(tree, seen, damaged, alive, lost)
        yield from self._damaged(damaged, seen, alive, lost)
        yield from self._from_indexes(seen, alive, lost, is_whole=is_whole)

    def _rest(self, damaged: Sequence[int], seen: set[Mark], lost: Lost) -> Iterator[Row]:
        alive = self._alive(seen)
        yield from self._damaged(damaged, seen, alive, lost)
        yield from self._from_indexes(seen, alive, lost, is_whole=False)

    def _pages(
        self, tree: Tree, seen: set[Mark], damaged: list[int], alive: set[Mark] | None, lost: Lost
    ) -> Iterator[Row]:
        for number in dict.fromkeys((*tree.leaves, *tree.inner, *tree.broken)):
            records, spare = self.content.weighed_keys(number)
            if number in tree.broken or spare > 0 or any(record.values is None for record in records):
                damaged.append(number)
                continue
            fresh: list[Record] = []
            for record in records:
                values = record.values or []
                mark = self._mark(values)
                if not self.shape.fits(values):
                    lost(LostRow(self.shape.name, None, values, STRANGE, number))
                elif mark not in seen and (alive is None or mark in alive):
                    seen.add(mark)
                    fresh.append(record)
            yield from self._given(fresh, lost)

    def _damaged(
        self, pages: Iterable[int], seen: set[Mark], alive: set[Mark] | None, lost: Lost
    ) -> Iterator[Row]:
        """Give the rows of damaged pages that no index contradicts; `lost` gets those not whole."""
        for number in pages:
            whole = [one for one in self.content.keys(number) if self._is_row(one)]
            carved = carve_leaf(self.content, number, self.shape)
            if not whole and not carved and alive is None:
                lost(unread_page(self.shape, number))
            fresh: list[Record] = []
            for record in (*whole, *carved):
                if record.values is None:
                    lost(remains_of(self.content, self.shape, record))
                    continue
                mark = self._mark(record.values)
                if mark not in seen and (alive is None or mark in alive):
                    seen.add(mark)
                    fresh.append(record)
            yield from self._given(fresh, lost)

    def _from_indexes(
        self, seen: set[Mark], alive: set[Mark] | None, lost: Lost, *, is_whole: bool
    ) -> Iterator[Row]:
        """Rebuild the rows that only indexes still know; those they know in part go to `lost`."""
        shape, count = self.shape, self.order.count
        known: dict[Mark, dict[int, Value]] = {}
        for index in self.holding.indexes:
            tree = self.holding.index_trees.get(index.name)
            if tree is not None:
                for values in known_keys(self.content, index, tree, shape):
                    mark = tuple(values.get(place) for place in range(count))
                    if mark not in seen and (alive is None or mark in alive):
                        known.setdefault(mark, {}).update(values)
        for values in known.values():
            row = shape.finish(0, [values.get(place) for place in range(len(shape.columns))])[0]
            if len(values) == len(shape.columns) and not is_whole:
                yield Row(None, row)
            else:
                lost(known_only(shape, None, row, values, is_whole=is_whole))

    def _alive(self, seen: set[Mark]) -> set[Mark] | None:
        """Give the keys that a complete index names, if it names what is known to be there."""
        for index in self.holding.indexes:
            tree = self.holding.index_trees.get(index.name)
            if tree is None or index.is_partial or not tree.is_complete:
                continue
            alive = {
                tuple(values.get(place) for place in range(self.order.count))
                for values in known_keys(self.content, index, tree, self.shape)
            }
            if len(alive) == tree.cells and len(seen & alive) >= 0.9 * len(seen):
                return alive
        return None

    def _given(self, records: Iterable[Record], lost: Lost) -> Iterator[Row]:
        finish, columns = self.shape.finish, len(self.shape.columns)
        for record in records:
            values = record.values or []
            if len(values) > columns:
                lost(beyond(self.shape, None, values, record.page))
            yield Row(None, finish(0, values)[0])

    def _is_row(self, record: Record) -> bool:
        return record.values is not None and self.shape.fits(record.values)

    def _mark(self, values: Sequence[Value]) -> Mark:
        return tuple(values[: self.order.count])

    def _marks(self, records: Iterable[Record]) -> list[Mark]:
        return [self._mark(record.values) for record in records if record.values is not None]

    def _is_sound(self, records: Sequence[Record], marks: Sequence[Mark], last: Mark | None) -> bool:
        """Whether every record was read, no key stands twice and the page begins behind `last`."""
        if len(marks) < len(records) or len(set(marks)) < len(marks):
            return False
        return last is None or not marks or self.order.rises(last, marks[0])
