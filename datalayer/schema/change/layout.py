"""How SQLite stores the rows of a table: what may change in its text while every stored byte stays as it is.

Rules: https://sqlite.org/datatype3.html (affinity), https://sqlite.org/fileformat2.html (records),
https://sqlite.org/lang_altertable.html ("Making Other Kinds Of Table Schema Changes"). Knows no database.
"""

from __future__ import annotations

from collections.abc import Iterator

from datalayer.schema.change.pairing import Pair
from datalayer.schema.snapshot import Column, KeyIndex, Table, Term, Unique
from datalayer.schema.tokens import canonical, fold, plain, tokenize
from datalayer.schema.virtual import read_virtual

__all__ = ["affinity", "collation_of", "converts", "is_computed_anew", "mentions", "reasons_to_rebuild"]


def affinity(column: Column, table: Table) -> str:
    """Give the affinity of a column: INTEGER, TEXT, BLOB, REAL or NUMERIC."""
    name = fold(column.type)
    if table.is_strict and name == "any":
        return "BLOB"
    if "int" in name:
        return "INTEGER"
    if any(part in name for part in ("char", "clob", "text")):
        return "TEXT"
    if "blob" in name or not name:
        return "BLOB"
    if any(part in name for part in ("real", "floa", "doub")):
        return "REAL"
    return "NUMERIC"


def converts(pair: Pair, column: Column) -> bool:
    """Whether copying may turn a value of this wanted column into another storage class."""
    source = pair.source(column)
    if source is None or column.generated is not None:
        return False
    before, after = affinity(source, pair.found), affinity(column, pair.wanted)
    return after != "BLOB" and _storage(before) != _storage(after)


def collation_of(column: Column) -> str:
    """Give the collation by which a column is compared, folded."""
    return fold(column.collation or "binary")


def mentions(text: str, names: frozenset[str]) -> bool:
    """Whether an expression holds one of these folded names."""
    return not names.isdisjoint(plain(tokenize(text)))


def reasons_to_rebuild(pair: Pair) -> list[str]:
    """Say what keeps the rows of a pair from staying where they are; empty when only its text changes.

    Columns that are added behind the last one are not counted: ALTER TABLE ADD COLUMN can do that.
    """
    found, wanted = pair.found, pair.wanted
    if found.kind == wanted.kind == "virtual":
        # one of the hidden columns of a full-text table is called like the table
        return [] if _is_same_virtual(found, wanted) else ["a virtual table is declared otherwise"]
    return [*_column_reasons(pair), *_key_reasons(pair), *_table_reasons(found, wanted)]


def is_computed_anew(pair: Pair, column: Column) -> bool:
    """Whether a column that is computed, or was, has another computation: by its words or what they mean."""
    source = pair.source(column)
    if source is None or _generation(source) != _generation(column):
        return True
    # two columns may have swapped their names
    return column.generated is not None and mentions(column.generated, pair.new_names)


def _storage(name: str) -> str:
    # INTEGER and NUMERIC store alike: they differ in CAST only (datatype3.html, 3.0)
    return "NUMERIC" if name == "INTEGER" else name


def _column_reasons(pair: Pair) -> Iterator[str]:
    if pair.dropped:
        yield f"drops {', '.join(column.name for column in pair.dropped)}"
    kept = [column for column in pair.wanted.columns if pair.source(column) is not None]
    order = [fold(column.name) for column in pair.found.columns]
    places = [order.index(fold(source.name)) for source in (pair.source(column) for column in kept) if source]
    if places != sorted(places) or kept != list(pair.wanted.columns[: len(kept)]):
        yield "the order of the columns changes"
    for column in kept:
        source = pair.source(column)
        if source is not None:
            yield from _one_column(pair, source, column)


def _one_column(pair: Pair, source: Column, column: Column) -> Iterator[str]:
    before, after = affinity(source, pair.found), affinity(column, pair.wanted)
    if _storage(before) != _storage(after):
        yield f"{column.name} is stored as {after}, not {before}"
    if collation_of(source) != collation_of(column):
        yield f"{column.name} is compared by another collation"
    if is_computed_anew(pair, column):
        yield f"{column.name} is computed in another way"
    if source.is_hidden != column.is_hidden:
        yield f"{column.name} is hidden or not"


def _generation(column: Column) -> tuple[object, ...]:
    if column.generated is None:
        return ()
    return (canonical(tokenize(column.generated)), column.is_stored)


def _key_reasons(pair: Pair) -> Iterator[str]:
    found, wanted = pair.found, pair.wanted
    if _key_shape(found.primary_key, found, {}) != _key_shape(wanted.primary_key, wanted, pair.former_names):
        yield "the primary key changes"
    if _key_indexes(found, {}) != _key_indexes(wanted, pair.former_names):
        yield "the keys have other indexes"


def _key_indexes(table: Table, names: dict[str, str]) -> list[KeyIndex]:
    """Give the indexes of the keys, as they lie in the file, with columns as they were called before.

    The text of a table must not disagree with them: SQLite finds them by number.
    """
    return [
        (number, tuple((_before(part[0], names), *part[1:]) for part in parts))
        for number, parts in table.key_indexes
    ]


def _before(name: str | None, names: dict[str, str]) -> str | None:
    return None if name is None else names.get(fold(name), fold(name))


def _key_shape(key: Unique | None, table: Table, names: dict[str, str]) -> tuple[object, ...]:
    """Give a key with the columns as they were called before the renames."""
    if key is None:
        return ()
    rowid = table.rowid_column is not None and key is table.primary_key
    return (tuple(_term_shape(term, names) for term in key.terms), key.autoincrement, rowid)


def _term_shape(term: Term, names: dict[str, str]) -> tuple[object, ...]:
    name = fold(term.column or "")
    return (names.get(name, name), fold(term.collation or ""), term.descending)


def _table_reasons(found: Table, wanted: Table) -> Iterator[str]:
    if found.is_without_rowid != wanted.is_without_rowid:
        yield "WITHOUT ROWID changes"
    if found.kind != wanted.kind:
        yield "it becomes another kind of table"


def _is_same_virtual(found: Table, wanted: Table) -> bool:
    """Whether a virtual table differs in its name alone, and is one that can be renamed."""
    one, other = (canonical(tokenize(table.sql)) for table in (found, wanted))
    can_move = read_virtual(wanted.sql).module in ("fts3", "fts4", "fts5", "rtree", "rtree_i32")
    return can_move and one[one.index("using") :] == other[other.index("using") :]
