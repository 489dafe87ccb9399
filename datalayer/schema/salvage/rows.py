"""The rows of one table, from all the places where they lie, each once and in its newest version.

Knows what belongs to the table; writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import ne

from datalayer.schema.salvage.carve import carve_leaf
from datalayer.schema.salvage.content import Content, Record
from datalayer.schema.salvage.coverage import Coverage
from datalayer.schema.salvage.indexes import RowidSet, known_columns, rowids_of
from datalayer.schema.salvage.keyed import KeyedRows
from datalayer.schema.salvage.outcome import LostRow, Row, Value
from datalayer.schema.salvage.placing import is_suspect
from datalayer.schema.salvage.remains import (
    DISPUTED,
    STRANGE,
    beyond,
    known_only,
    remains_of,
    unread_page,
)
from datalayer.schema.salvage.survey import Holding
from datalayer.schema.salvage.walk import Range, Tree

__all__ = ["TableRows"]

_ALL: Range = (-(1 << 63), (1 << 63) - 1)
_PAGES = 400
_FLIPPED = 2
Lost = Callable[[LostRow], None]


class TableRows:
    """Gives the rows of a table; may be asked again."""

    def __init__(self, content: Content, holding: Holding) -> None:
        self.content = content
        self.holding = holding
        self.shape = holding.shape

    def __call__(self, lost: Lost) -> Iterator[Row]:
        """Iterate over the rows in place; what has none goes to `lost`."""
        holding = self.holding
        if not self.shape.has_rowid:
            return KeyedRows(self.content, holding)(lost)
        if (
            holding.tree is not None
            and holding.is_complete
            and not holding.adopted
            and not is_suspect(holding)
        ):
            return self._sound(holding.tree, lost)
        return self._mended(lost)

    def _sound(self, tree: Tree, lost: Lost) -> Iterator[Row]:
        """Every page is there; a record that cannot be read makes its page a damaged one."""
        finish, columns = self.shape.finish, len(self.shape.columns)
        damaged: list[int] = []
        last = _ALL[0] - 1
        for number in tree.leaves:
            records = self.content.leaf(number)
            if not _is_sound(records, last):
                damaged.append(number)
                continue
            last = records[-1].rowid if records else last
            for rowid, values, page, _ in records:
                if values is not None:
                    if len(values) > columns:
                        lost(beyond(self.shape, rowid, values, page))
                    yield Row(rowid, finish(rowid, values)[0])
        if damaged:
            yield from self._after(tree, damaged, lost)

    def _after(self, tree: Tree, damaged: Sequence[int], lost: Lost) -> Iterator[Row]:
        """Read damaged leaves of a tree whose other rows have been given."""
        seen = RowidSet()
        harmed = set(damaged)
        for number in tree.leaves:
            if number not in harmed:
                for record in self.content.leaf(number):
                    seen.add(record.rowid)
        alive = self._alive(seen)
        yield from self._damaged([(number, _ALL) for number in damaged], seen, alive, lost)
        yield from self._from_indexes(seen, alive, lost, is_whole=False)

    def _mended(self, lost: Lost) -> Iterator[Row]:
        """Give what the tree still leads to, then damaged pages, then orphans, then what indexes know."""
        holding, seen = self.holding, RowidSet()
        damaged: list[tuple[int, Range]] = []
        trees = holding.trees
        own = [] if holding.tree is None else [holding.tree]
        for tree in own:
            yield from self._leaves(tree, seen, damaged, lost, None)
        coverage = Coverage.of(self.content, own)
        alive = self._alive(seen)

        def lives(rowid: int) -> bool:
            return rowid in alive if alive is not None else rowid not in coverage

        is_whole = holding.is_complete and not damaged and not holding.adopted
        yield from self._damaged(damaged, seen, alive, lost)
        damaged.clear()
        for tree in trees[len(own) :]:
            yield from self._leaves(tree, seen, damaged, lost, lives)
        yield from self._damaged(damaged, seen, alive, lost)
        yield from self._from_indexes(seen, alive, lost, is_whole=is_whole)

    def _leaves(
        self,
        tree: Tree,
        seen: RowidSet,
        damaged: list[tuple[int, Range]],
        lost: Lost,
        lives: Callable[[int], bool] | None,
    ) -> Iterator[Row]:
        suspect = is_suspect(self.holding)
        finish, columns = self.shape.finish, len(self.shape.columns)
        for number in tree.leaves:
            records, spare = self.content.weighed_leaf(number)
            hides = suspect and spare != 0
            if hides or number in tree.broken or not _is_sound(records, None):
                damaged.append((number, tree.broken.get(number, _ALL)))
                continue
            for rowid, values, page, _ in records:
                if values is None or (lives is not None and not lives(rowid)):
                    continue
                if not self._belongs(rowid, values, is_orphan=lives is not None):
                    lost(LostRow(self.shape.name, rowid, values, STRANGE, page))
                    continue
                if not seen.add(rowid):
                    continue
                if len(values) > columns:
                    lost(beyond(self.shape, rowid, values, page))
                yield Row(rowid, finish(rowid, values)[0])
        known = set(tree.leaves)
        damaged.extend(pair for pair in tree.broken.items() if pair[0] not in known)

    def _belongs(self, rowid: int, values: Sequence[Value], *, is_orphan: bool) -> bool:
        """Whether a record can be a row here; what the schema leads to may have values too many."""
        if is_orphan:
            return self.shape.fits(values, rowid)
        return len(values) >= self.shape.least

    def _damaged(
        self, pages: Sequence[tuple[int, Range]], seen: RowidSet, alive: RowidSet | None, lost: Lost
    ) -> Iterator[Row]:
        """Give the rows of damaged leaves that no index contradicts; `lost` gets those not whole."""
        for start in range(0, len(pages), _PAGES):
            found: dict[int, list[Record]] = {}
            for number, bounds in pages[start : start + _PAGES]:
                records = carve_leaf(self.content, number, self.shape)
                if not records and alive is None:
                    lost(unread_page(self.shape, number))
                for record in records:
                    rowid = record.rowid
                    if record.values is None:
                        if (rowid not in seen) if alive is None else (rowid in alive and rowid not in seen):
                            lost(remains_of(self.content, self.shape, record))
                        continue
                    if not bounds[0] < rowid <= bounds[1] or (alive is not None and rowid not in alive):
                        continue
                    if rowid not in seen:
                        found.setdefault(rowid, []).append(record)
            for rowid, values in self._undisputed(found, lost):
                seen.add(rowid)
                yield Row(rowid, self.shape.finish(rowid, values)[0])

    def _undisputed(self, found: dict[int, list[Record]], lost: Lost) -> Iterator[tuple[int, list[Value]]]:
        """Leave out the rows whose values a sound index tells otherwise: their bytes were overwritten.

        Of several that claim one rowid the first that no index speaks against has it.
        """
        for index in self.holding.indexes:
            tree = self.holding.index_trees.get(index.name)
            if tree is None or not tree.is_complete or not found:
                continue
            for rowid, told in known_columns(self.content, index, tree, self.shape, found.__contains__):
                good = [one for one in found[rowid] if not self._differs(one.values or [], told)]
                if not good and found[rowid]:
                    first = found[rowid][0]
                    lost(LostRow(self.shape.name, rowid, first.values or [], DISPUTED, first.page))
                found[rowid] = good
        for rowid, records in found.items():
            if records:
                yield rowid, records[0].values or []

    def _differs(self, values: Sequence[Value], told: dict[int, Value]) -> bool:
        """Whether more differs than the few bytes that may just as well be wrong in the index."""
        return any(
            place != self.shape.alias and place < len(values) and not _is_near(values[place], value)
            for place, value in told.items()
        )

    def _alive(self, seen: RowidSet) -> RowidSet | None:
        """Give the rowids that a complete index names, if it names what is known to be there."""
        for index in self.holding.indexes:
            tree = self.holding.index_trees.get(index.name)
            if tree is None or index.is_partial or not tree.is_complete:
                continue
            alive = rowids_of(self.content, tree)
            if alive is not None and seen.overlap(alive) >= 0.9 * len(seen):
                return alive
        return None

    def _from_indexes(
        self, seen: RowidSet, alive: RowidSet | None, lost: Lost, *, is_whole: bool
    ) -> Iterator[Row]:
        """Rebuild the rows that only indexes still know; those they know in part go to `lost`."""
        known: dict[int, dict[int, Value]] = {}
        missing = None if alive is None else set(alive.beyond(seen))
        is_missing = seen.lacks if missing is None else missing.__contains__
        for index in self.holding.indexes if missing is None or missing else ():
            tree = self.holding.index_trees.get(index.name)
            if tree is not None:
                for rowid, values in known_columns(self.content, index, tree, self.shape, is_missing):
                    known.setdefault(rowid, {}).update(values)
        wanted = set(range(len(self.shape.columns))) - {self.shape.alias}
        for rowid, values in sorted(known.items()):
            record = [values.get(place) for place in range(len(self.shape.columns))]
            row = self.shape.finish(rowid, record)[0]
            if wanted <= values.keys() and not is_whole:
                yield Row(rowid, row)
            else:
                lost(known_only(self.shape, rowid, row, values, is_whole=is_whole))


def _is_near(one: Value, other: Value) -> bool:
    """Whether two values are the same, or texts or blobs of one length that differ in a few places."""
    if isinstance(one, str) and isinstance(other, str):
        return len(one) == len(other) and sum(map(ne, one, other)) <= _FLIPPED
    if isinstance(one, bytes) and isinstance(other, bytes):
        return len(one) == len(other) and sum(map(ne, one, other)) <= _FLIPPED
    return one == other


def _is_sound(records: Sequence[Record], last: int | None) -> bool:
    """Whether every record of a leaf was read and the rowids rise, from behind `last` on."""
    rowids = [record.rowid for record in records]
    if not rowids:
        return True
    if (last is not None and rowids[0] <= last) or len(set(rowids)) < len(rowids):
        return False
    return rowids == sorted(rowids) and not any(record.values is None for record in records)
