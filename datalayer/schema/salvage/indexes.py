"""What indexes know of their tables: which rows are alive, and the values of rows that are gone.

Knows shapes and records, not how trees were found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from datalayer.schema.salvage.content import Content
from datalayer.schema.salvage.entries import entries, entry_rowids
from datalayer.schema.salvage.outcome import BadText, Value
from datalayer.schema.salvage.shape import Shape
from datalayer.schema.salvage.walk import Tree
from datalayer.schema.snapshot import Index, Table
from datalayer.schema.tokens import fold

__all__ = ["IndexShape", "RowidSet", "index_shapes", "known_columns", "known_keys", "rowids_of"]


@dataclass(frozen=True, slots=True)
class IndexShape:
    """An index: places of its columns in the table's records, -1 an expression.

    The rowid stands behind them; in an index of a table WITHOUT ROWID the key does, and is counted here.
    """

    name: str
    table: str
    places: tuple[int, ...]
    is_partial: bool
    is_unique: bool
    has_rowid: bool = True

    def misfit(self, values: Sequence[Value], shape: Shape) -> float:
        """Say how little a record looks like an entry of this index."""
        if len(values) != len(self.places) + self.has_rowid:
            return 3.0
        rowid = values[-1] if self.has_rowid else None
        against = 0.0 if isinstance(rowid, int) or not self.has_rowid else 3.0
        for place, value in zip(self.places, values):
            if place < 0 or value is None:
                continue
            if place == shape.alias:
                against += 0.0 if value == rowid else 3.0
            else:
                probe: list[Value] = [None] * len(shape.columns)
                probe[place] = value
                loose = shape.misfit(probe) - _nulls(shape, place)
                against += max(loose, 0.0)
        return against


def _nulls(shape: Shape, place: int) -> float:
    return sum(
        1.0 for other, strict in enumerate(shape.not_null) if strict and other not in (place, shape.alias)
    )


def index_shapes(table: Table, shape: Shape) -> list[IndexShape]:
    """Give the shapes of all indexes of a table, those of its keys included."""
    places = {fold(name): place for place, name in enumerate(shape.columns)}
    if not shape.has_rowid:
        return _of_keyed(table, places)
    found = [_of_index(index, table, places) for index in table.indexes]
    for number, parts in table.key_indexes:
        columns = tuple(
            places.get(fold(str(column)), -1) for column, _, _, key in parts if key and column is not None
        )
        name = f"sqlite_autoindex_{table.name}_{number}"
        found.append(IndexShape(name, table.name, columns, is_partial=False, is_unique=True))
    return found


def _of_index(index: Index, table: Table, places: dict[str, int]) -> IndexShape:
    columns = tuple(-1 if term.column is None else places.get(fold(term.column), -1) for term in index.terms)
    return IndexShape(index.name, table.name, columns, index.where is not None, index.is_unique)


def _of_keyed(table: Table, places: dict[str, int]) -> list[IndexShape]:
    """Give the indexes of a table WITHOUT ROWID: behind their columns stands what they lack of the key."""
    found: list[IndexShape] = []
    collations = {fold(column.name): (column.collation or "BINARY").upper() for column in table.columns}
    key = [] if table.primary_key is None else list(table.primary_key.terms)
    for index in table.indexes:
        told = [(fold(term.column or ""), (term.collation or "").upper()) for term in index.terms]
        terms = [(name, collation or collations.get(name, "BINARY")) for name, collation in told]
        for term in key:
            name = fold(term.column or "")
            own = (name, (term.collation or collations.get(name, "BINARY")).upper())
            if own not in terms:
                terms.append(own)
        held = tuple(places.get(name, -1) for name, _ in terms)
        found.append(
            IndexShape(
                index.name, table.name, held, index.where is not None, index.is_unique, has_rowid=False
            )
        )
    for number, parts in table.key_indexes:
        columns = tuple(places.get(fold(str(column)), -1) for column, _, _, _ in parts if column is not None)
        # the key itself is the table's own tree: its columns are the first of the record, then all others
        if columns != tuple(range(len(places))):
            name = f"sqlite_autoindex_{table.name}_{number}"
            found.append(
                IndexShape(name, table.name, columns, is_partial=False, is_unique=True, has_rowid=False)
            )
    return found


class RowidSet:
    """A set of rowids that costs a bit each where they lie close together."""

    def __init__(self) -> None:
        self._blocks: dict[int, bytearray] = {}
        self._count = 0

    def add(self, rowid: int) -> bool:
        """Add a rowid; tell whether it is new."""
        block = self._blocks.get(rowid >> 9)
        if block is None:
            block = self._blocks[rowid >> 9] = bytearray(64)
        place, bit = rowid >> 3 & 63, 1 << (rowid & 7)
        if block[place] & bit:
            return False
        block[place] |= bit
        self._count += 1
        return True

    def __contains__(self, rowid: int) -> bool:
        block = self._blocks.get(rowid >> 9)
        return block is not None and bool(block[rowid >> 3 & 63] & 1 << (rowid & 7))

    def lacks(self, rowid: int) -> bool:
        """Whether a rowid is not in it."""
        return rowid not in self

    def overlap(self, other: RowidSet) -> int:
        """Count the rowids that are in both."""
        blocks = self._blocks.items()
        return sum(
            (int.from_bytes(block) & int.from_bytes(other._blocks.get(key, b""))).bit_count()
            for key, block in blocks
        )

    def beyond(self, other: RowidSet) -> Iterator[int]:
        """Iterate over the rowids that are here and not in the other set."""
        for key, block in self._blocks.items():
            more = int.from_bytes(block, "little") & ~int.from_bytes(other._blocks.get(key, b""), "little")
            while more:
                lowest = more & -more
                yield (key << 9) + lowest.bit_length() - 1
                more ^= lowest

    def __len__(self) -> int:
        return self._count


def rowids_of(content: Content, tree: Tree) -> RowidSet | None:
    """Give the rowids that a complete index names, or None where one of its records cannot be read."""
    found = RowidSet()
    for rowid in entry_rowids(content, tree):
        if rowid is None:
            return None
        found.add(rowid)
    return found


def known_columns(
    content: Content, index: IndexShape, tree: Tree, shape: Shape, wanted: Callable[[int], bool]
) -> Iterator[tuple[int, dict[int, Value]]]:
    """Iterate over the entries of an index for wanted rowids as (rowid, values by place in the record)."""
    for rowid, values in entries(content, tree, wanted):
        if values is None or index.misfit(values, shape) >= 0.9:
            continue
        if not any(isinstance(value, BadText) for value in values):
            yield rowid, {place: value for place, value in zip(index.places, values) if place >= 0}


def known_keys(content: Content, index: IndexShape, tree: Tree, shape: Shape) -> Iterator[dict[int, Value]]:
    """Iterate over the entries of an index of a table WITHOUT ROWID as values by place in its record."""
    for record in content.records(tree):
        values = record.values
        if values is None or index.misfit(values, shape) >= 0.9:
            continue
        if not any(isinstance(value, BadText) for value in values):
            yield {place: value for place, value in zip(index.places, values) if place >= 0}
