"""What a migration must arrive at: the desired schema, filled row by row from the old file by plain INSERTs.

A second way to the same result, too slow and too simple for use: every value is bound as it is, SQLite's
own affinity applies, no trigger is there yet, no rule is softened. What it cannot insert, a migration must
refuse.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from support.live_schema import Connect, LiveTable, Row, cells, live_tables, plain_connect, quoted, rows
from support.sql_words import lower, normal, statements, words


class CannotHold(Exception):
    """A row of the old file does not fit into the desired schema."""


@dataclass(frozen=True, slots=True)
class Renames:
    """Declared renames by old name, folded."""

    tables: dict[str, str]
    columns: dict[tuple[str, str], str]

    @classmethod
    def of(cls, declared: Mapping[str, str], tables: Mapping[str, LiveTable]) -> Renames:
        """Read `t` and `t.c`: a name with dots is a table's where there is such a table."""
        found = cls({}, {})
        for before, after in declared.items():
            if lower(before) in tables:
                found.tables[lower(before)] = lower(after)
                continue
            dots = [place for place, letter in enumerate(before) if letter == "."]
            owners = [place for place in dots if lower(before[:place]) in tables] or dots[-1:]
            for place in owners:
                found.columns[lower(before[:place]), lower(before[place + 1 :])] = lower(after)
        return found

    def old_table(self, new: str) -> str | None:
        """Give the old name of a table: the declared one, or the same unless that one went elsewhere."""
        for before, after in self.tables.items():
            if after == lower(new):
                return before
        return None if lower(new) in self.tables else lower(new)

    def old_column(self, old_table: str, new: str) -> str | None:
        for (table, before), after in self.columns.items():
            if table == old_table and after == lower(new):
                return before
        return None if (old_table, lower(new)) in self.columns else lower(new)


@dataclass(slots=True)
class Copy:
    """The desired database.

    `free_rowids` are the tables whose rowids nothing decides, `sources` the old names of tables by the new.
    """

    connection: Any
    free_rowids: set[str] = field(default_factory=set[str])
    sources: dict[str, str] = field(default_factory=dict[str, str])


def naive_copy(
    path: str, script: str, *, renames: Mapping[str, str], connect: Connect = plain_connect
) -> Copy:
    """Make the database, in memory, that a migration of the file at `path` must arrive at.

    Raises CannotHold where a row breaks a rule.
    """
    old = connect(path)
    try:
        fresh, late = _fresh(old, script, connect)
        copy = Copy(fresh)
        fresh.execute("CREATE TEMP TABLE carried (bytes)")
        tables = live_tables(old)
        names = Renames.of(renames, tables)
        for name, table in live_tables(fresh).items():
            source = tables.get(names.old_table(name) or "")
            if table.kind == "table" and source is not None and source.kind == "table":
                copy.sources[name] = lower(source.name)
                _fill(copy, old, source, table, names)
        _fill_virtual(fresh, old, tables, names)
        _number(copy, old)
        _carry_statistics(copy, old)
        _refuse_broken_references(copy, old)
        fresh.execute("DROP TABLE temp.carried")
        for statement in late:
            fresh.execute(statement)
    finally:
        old.close()
    return copy


def _fresh(old: Any, script: str, connect: Connect) -> tuple[Any, list[str]]:
    """Give the empty desired database, and the texts of its triggers, which come last."""
    fresh = connect(":memory:")
    header = {
        name: rows(old, f"PRAGMA {name}")[0][0] for name in ("encoding", "user_version", "application_id")
    }
    for name, value in header.items():
        fresh.execute(f"PRAGMA {name} = '{value}'")
    late: list[str] = []
    for statement in statements(script):
        said = words(statement)
        if said[:2] == ["create", "trigger"]:
            late.append(statement)
        elif said[0] in ("create", "alter", "drop") or _is_number_of_header(said):
            fresh.execute(statement)
    return fresh, late


def _is_number_of_header(said: list[str]) -> bool:
    return said[0] == "pragma" and said[1] in ("user_version", "application_id")


def _fill(copy: Copy, old: Any, source: LiveTable, table: LiveTable, names: Renames) -> None:
    pairs: list[tuple[str, str]] = []
    there = source.folded
    for column in table.columns:
        before = names.old_column(lower(source.name), column)
        if before is not None and before in there and lower(column) not in table.generated:
            pairs.append((column, before))
    mapped = {lower(column) for column, _ in pairs}
    key = table.rowid_column
    keeps_rowid = bool(source.rowid and table.rowid and (key is None or lower(key) not in mapped))
    if not keeps_rowid and not (key and lower(key) in mapped):
        copy.free_rowids.add(lower(table.name))
    found = cells(old, source, [before for _, before in pairs])
    for row in found:
        values = dict(zip([column for column, _ in pairs], row[1 if source.rowid else 0 :], strict=True))
        # cells() gives (typeof, value) pairs; the rowid is the first where it can be read
        target: dict[str, object] = {}
        for column, pair in values.items():
            if pair[0] == "null" and _takes_default(table, column):
                continue
            if pair[0] == "null" and key is not None and lower(column) == lower(key):
                raise CannotHold(f"{table.name}.{column} is the rowid and would be NULL")
            target[column] = pair
        if keeps_rowid and table.rowid:
            target[table.rowid] = row[0]
        _insert(copy.connection, table, target)


def _takes_default(table: LiveTable, column: str) -> bool:
    return lower(column) in table.not_null and lower(column) in table.defaults


def _insert(connection: Any, table: LiveTable, values: Mapping[str, Any]) -> None:
    marks: list[str] = []
    bound: list[object] = []
    for kind, value in values.values():
        if kind == "text":
            # only a blob that comes out of a table is cast by the file's encoding, be it valid or not
            connection.execute("INSERT INTO temp.carried VALUES (?)", (value,))
            marks.append("(SELECT CAST(bytes AS TEXT) FROM temp.carried WHERE rowid = ?)")
            bound.append(rows(connection, "SELECT max(rowid) FROM temp.carried")[0][0])
        else:
            marks.append("?")
            bound.append(struct.unpack(">d", value)[0] if kind == "real" else value)
    into = ", ".join(map(quoted, values))
    sql = f"INSERT OR ABORT INTO {quoted(table.name)} " + (
        f"({into}) VALUES ({', '.join(marks)})" if values else "DEFAULT VALUES"
    )
    try:
        connection.execute(sql, tuple(bound))
    except Exception as exc:
        raise CannotHold(f"{table.name}: {exc}") from exc


def is_contentless(connection: Any, table: LiveTable) -> bool:
    """Say whether a full-text table keeps no text, so that only its index can be compared."""
    return "content=''" in _text_of(connection, table)


def _text_of(connection: Any, table: LiveTable) -> str:
    found = rows(connection, "SELECT sql FROM sqlite_schema WHERE name = ?", (table.name,))
    return "".join(words(str(found[0][0])))


def _fill_virtual(fresh: Any, old: Any, tables: Mapping[str, LiveTable], names: Renames) -> None:
    for name, table in live_tables(fresh).items():
        if table.kind != "virtual" or is_contentless(fresh, table):
            continue
        text = _text_of(fresh, table)
        source = tables.get(names.old_table(name) or "")
        if "content=" in text:
            fresh.execute(f"INSERT INTO {quoted(table.name)} ({quoted(table.name)}) VALUES ('rebuild')")
        elif source is not None and source.kind == "virtual":
            pairs = [("rowid", "rowid")] if "fts" in text else []
            for column in table.columns:
                before = names.old_column(lower(source.name), column)
                pairs += [(column, before)] if before in source.folded else []
            asked = ", ".join(quoted(before) for _, before in pairs)
            into = ", ".join(quoted(column) for column, _ in pairs)
            marks = ", ".join("?" * len(pairs))
            for row in rows(old, f"SELECT {asked} FROM {quoted(source.name)}"):
                fresh.execute(f"INSERT INTO {quoted(table.name)} ({into}) VALUES ({marks})", row)


def _number(copy: Copy, old: Any) -> None:
    """Let AUTOINCREMENT go on where it stood, or behind the highest rowid."""
    fresh = copy.connection
    if not _is_there(fresh, "sqlite_sequence"):
        return
    stood: dict[str, Any] = {}
    if _is_there(old, "sqlite_sequence"):
        stood = {lower(str(name)): seq for name, seq in rows(old, "SELECT name, seq FROM sqlite_sequence")}
    for name, source in copy.sources.items():
        if source not in stood or not is_numbering(fresh, name):
            continue
        spelled = rows(fresh, "SELECT name FROM sqlite_schema WHERE lower(name) = ?", (name,))[0][0]
        at = rows(fresh, "SELECT seq FROM sqlite_sequence WHERE name = ?", (spelled,))
        fresh.execute("DELETE FROM sqlite_sequence WHERE name = ?", (spelled,))
        seq = max([stood[source], *(row[0] for row in at)])
        fresh.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (spelled, seq))


def is_numbering(connection: Any, table: str) -> bool:
    """Say whether a table is declared AUTOINCREMENT."""
    found = rows(
        connection, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND lower(name) = ?", (table,)
    )
    return bool(found) and "autoincrement" in words(str(found[0][0]))


def _is_there(connection: Any, name: str) -> bool:
    return bool(rows(connection, "SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)))


def _carry_statistics(copy: Copy, old: Any) -> None:
    """Keep what ANALYZE found of tables and indexes that are still what they were."""
    fresh = copy.connection
    present = [side for side in ("sqlite_stat1", "sqlite_stat4") if _is_there(old, side)]
    if present:
        fresh.execute("ANALYZE")
    tables = live_tables(fresh)
    new_names = {source: name for name, source in copy.sources.items()}
    for side in present:
        if not _is_there(fresh, side):
            continue
        fresh.execute(f"DELETE FROM {side}")
        for row in rows(old, f"SELECT * FROM {side}"):
            new = new_names.get(lower(str(row[0])))
            if new is None:
                continue
            name = tables[new].name
            index = None if row[1] is None else _same_index(fresh, old, str(row[1]), name)
            if row[1] is None or index is not None:
                kept = (name, index, *row[2:])
                fresh.execute(f"INSERT INTO {side} VALUES ({', '.join('?' * len(kept))})", kept)


def _same_index(fresh: Any, old: Any, index: str, table: str) -> str | None:
    """Give the index's name in the desired schema where it is declared the same, else None."""
    prefix = "sqlite_autoindex_"
    if lower(index).startswith(prefix):
        index_now = f"{prefix}{table}_{index.rpartition('_')[2]}"
        return index_now if _terms(old, index) == _terms(fresh, index_now) else None
    if _terms(old, index) != _terms(fresh, index) or not _terms(old, index):
        return None
    asked = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND lower(name) = ?"
    mine, theirs = rows(old, asked, (lower(index),)), rows(fresh, asked, (lower(index),))
    # the names of renamed tables and columns may differ, not the shape
    return index if len(normal(str(mine[0][0]))) == len(normal(str(theirs[0][0]))) else None


def _terms(connection: Any, index: str) -> list[Row]:
    return rows(connection, 'SELECT name, "desc", coll FROM pragma_index_xinfo(?) WHERE key', (index,))


def _refuse_broken_references(copy: Copy, old: Any) -> None:
    broken = rows(copy.connection, "PRAGMA foreign_key_check")
    before = {(lower(str(row[0])), row[1]) for row in rows(old, "PRAGMA foreign_key_check")}
    new = [row for row in broken if (copy.sources.get(lower(str(row[0])), ""), row[1]) not in before]
    if new:
        raise CannotHold(f"row {new[0][1]} of {new[0][0]} refers to no row of {new[0][2]}")
