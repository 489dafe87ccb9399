"""Whether a migrated file is what it must be: rows, rowids, schema text, PRAGMAs, equal bytecode, behaviour.

Imports nothing of the package. What must be there comes from naive_copy; what SQLite would do with the file
is asked of SQLite itself, by EXPLAIN against a fresh database of the desired schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from support.live_schema import (
    Connect,
    LiveTable,
    Row,
    brief,
    cells,
    dump,
    live_tables,
    plain_connect,
    quoted,
    rows,
    side_table,
)
from support.naive_copy import Copy, is_contentless, is_numbering
from support.sql_words import condition_of, lower, normal, words

_WIDE = 12  # columns of which each is tried by itself
_MANY = 8  # tables of which each is written to by itself


def problems(path: str, copy: Copy, *, connect: Connect = plain_connect) -> list[str]:
    """Say in what the file at `path` differs from what it must be; empty where it is right.

    Whatever is tried in the file is taken back.
    """
    found = connect(path)
    try:
        found.execute("PRAGMA foreign_keys = ON")
        copy.connection.execute("PRAGMA foreign_keys = ON")
        checks = (_texts, _shapes, _rows, _numbering, _statistics, _soundness, _bytecode, _views, _behaviour)
        told: list[str] = []
        for check in checks:
            name = check.__name__.strip("_")
            try:
                told += [f"{name}: {line}" for line in check(found, copy, connect)]
            except Exception as exc:
                # a damaged file is a finding too
                told.append(f"{name}: {type(exc).__name__}: {exc}")
        return told
    finally:
        found.close()


def _objects(connection: Any) -> dict[tuple[str, str], Row]:
    asked = "SELECT type, name, tbl_name, sql FROM sqlite_schema"
    return {
        (str(kind), lower(str(name))): (
            lower(str(table)),
            # a renamed full-text table has its own tables' names in other quotes than a new one
            normal(re.sub("^CREATE TABLE '([^']*)'", r'CREATE TABLE "\1"', str(sql)))
            if sql is not None
            else (),
        )
        for kind, name, table, sql in rows(connection, asked)
        if not str(name).startswith(("sqlite_sequence", "sqlite_stat"))
    }


def _texts(found: Any, copy: Copy, _: Connect) -> Iterator[str]:
    mine, wanted = _objects(found), _objects(copy.connection)
    for key in sorted(mine.keys() | wanted.keys()):
        if key not in wanted:
            yield f"{key} was left behind"
        elif key not in mine:
            yield f"{key} is missing"
        elif mine[key] != wanted[key]:
            yield f"{key} says {brief(mine[key])}, not {brief(wanted[key])}"


def _shapes(found: Any, copy: Copy, _: Connect) -> Iterator[str]:
    mine, wanted = dict(_pragmas(found)), dict(_pragmas(copy.connection))
    for key in sorted(mine.keys() | wanted.keys()):
        if mine.get(key) != wanted.get(key):
            yield f"{key} gives {brief(mine.get(key))}, not {brief(wanted.get(key))}"


def _folded(answers: list[Row]) -> list[Row]:
    return [tuple(lower(value) if isinstance(value, str) else value for value in row) for row in answers]


def _is_broken(connection: Any, name: str) -> bool:
    """Say whether a view cannot be read: SQLite accepts one on a table that is not there."""
    try:
        connection.execute(f"SELECT * FROM {quoted(name)} LIMIT 0")
    except Exception as exc:
        return "no such" in str(exc)
    return False


def _pragmas(connection: Any) -> Iterator[tuple[str, object]]:
    listed = rows(
        connection, "SELECT name, type, ncol, wr, strict FROM pragma_table_list WHERE schema = 'main'"
    )
    for name, *facts in listed:
        if lower(str(name)).startswith("sqlite_") or _is_broken(connection, str(name)):
            continue
        yield f"table_list {lower(str(name))}", facts
        columns = rows(connection, "SELECT * FROM pragma_table_xinfo(?)", (name,))
        yield (
            f"table_xinfo {lower(str(name))}",
            [(*_folded([row])[0][:4], row[4] and tuple(words(str(row[4]))), *row[5:]) for row in columns],
        )
        keys: dict[object, list[Row]] = {}
        for row in rows(connection, "SELECT * FROM pragma_foreign_key_list(?)", (name,)):
            keys.setdefault(row[0], []).append(_folded([row])[0][1:])
        yield f"foreign_key_list {lower(str(name))}", sorted(map(repr, keys.values()))
        for index in rows(connection, "SELECT * FROM pragma_index_list(?)", (name,)):
            yield f"index_list {lower(str(index[1]))}", _folded([index[2:]])
            terms = rows(connection, "SELECT * FROM pragma_index_xinfo(?)", (index[1],))
            yield f"index_xinfo {lower(str(index[1]))}", _folded(terms)
    yield "user_version", rows(connection, "PRAGMA user_version")
    yield "application_id", rows(connection, "PRAGMA application_id")


def _rows(found: Any, copy: Copy, _: Connect) -> Iterator[str]:
    mine = live_tables(found)
    for name, table in live_tables(copy.connection).items():
        if table.kind == "shadow" or name not in mine:
            continue
        left, right = _all_cells(found, mine[name], copy), _all_cells(copy.connection, table, copy)
        if left != right:
            yield from _first_difference(name, left, right)


def _all_cells(connection: Any, table: LiveTable, copy: Copy) -> list[Row]:
    is_free = lower(table.name) in copy.free_rowids
    if table.kind == "virtual" and is_contentless(connection, table):
        return []
    if table.kind == "virtual":
        # one without content of its own answers with NULL, and an rtree has no name for its rowid but its id
        return sorted(rows(connection, f"SELECT * FROM {quoted(table.name)}"), key=repr)
    read = cells(connection, table, table.columns, with_rowid=not is_free or bool(table.rowid_column))
    return sorted(read, key=repr) if is_free or not table.rowid else read


def _first_difference(name: str, mine: list[Row], wanted: list[Row]) -> Iterator[str]:
    if len(mine) != len(wanted):
        yield f"{name} has {len(mine)} rows, not {len(wanted)}: {brief(mine)}, not {brief(wanted)}"
    for left, right in zip(mine, wanted, strict=False):
        if left != right:
            yield f"{name} has {brief(left)}, not {brief(right)}"
            return


def _numbering(found: Any, copy: Copy, _: Connect) -> Iterator[str]:
    mine = {lower(str(name)): seq for name, seq in side_table(found, "sqlite_sequence")}
    wanted = {lower(str(name)): seq for name, seq in side_table(copy.connection, "sqlite_sequence")}
    for name in mine.keys() | wanted.keys():
        if not is_numbering(copy.connection, name):
            if name in mine:
                yield f"sqlite_sequence has {name}, which does not number itself"
        elif (mine.get(name) or 0) != (wanted.get(name) or 0):
            yield f"sqlite_sequence of {name} is {mine.get(name)}, not {wanted.get(name)}"


def _statistics(found: Any, copy: Copy, _: Connect) -> Iterator[str]:
    for side in ("sqlite_stat1", "sqlite_stat4"):
        mine, wanted = side_table(found, side), side_table(copy.connection, side)
        lost = [row for row in wanted if row not in mine]
        if lost:
            yield f"{side} lost {brief(lost)} and has {brief(mine)}"
        present = {lower(str(name)) for _, name in _objects(copy.connection)}
        for row in mine:
            for name in row[:2]:
                if name is not None and lower(str(name)) not in present:
                    yield f"{side} speaks of {name}, which is not there"


def _soundness(found: Any, copy: Copy, _: Connect) -> Iterator[str]:
    told = rows(found, "PRAGMA integrity_check")
    if told != [("ok",)]:
        yield f"integrity_check says {brief(told)}"
    broken = rows(found, "PRAGMA foreign_key_check")
    if sorted(broken, key=repr) != sorted(rows(copy.connection, "PRAGMA foreign_key_check"), key=repr):
        yield f"foreign_key_check says {brief(broken)}"
    for name, table in live_tables(found).items():
        text = words(str(rows(found, "SELECT sql FROM sqlite_schema WHERE name = ?", (table.name,))[0][0]))
        if table.kind == "virtual" and "fts5" in text and not is_contentless(found, table):
            try:
                found.execute("SAVEPOINT looking")
                found.execute(
                    f"INSERT INTO {quoted(table.name)} ({quoted(table.name)}, rank) VALUES"
                    " ('integrity-check', 1)"
                )
            except Exception as exc:
                yield f"the index of {name} does not fit its content: {exc}"
            finally:
                found.execute("ROLLBACK TO looking")
                found.execute("RELEASE looking")


# -- bytecode --------------------------------------------------------------------------------------

_POINTER = re.compile(r"0x[0-9a-f]+|vtab:[0-9A-Fa-f]+")
_ROOTS = {"OpenRead": 1, "OpenWrite": 1, "ReopenIdx": 1, "Clear": 0, "TableLock": 1}


def _bytecode(found: Any, copy: Copy, connect: Connect) -> Iterator[str]:
    """Compare programs.

    The fresh database has its objects in the order of the file, for SQLite goes by that.
    """
    fresh = connect(":memory:")
    fresh.execute(f"PRAGMA encoding = '{rows(copy.connection, 'PRAGMA encoding')[0][0]}'")
    fresh.execute("PRAGMA foreign_keys = ON")
    wanted = {
        (str(kind), lower(str(name))): str(sql)
        for kind, name, sql in rows(
            copy.connection, "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
        )
    }
    shadows = {name for name, table in live_tables(copy.connection).items() if table.kind == "shadow"}
    for kind, name in rows(
        found, "SELECT type, name FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
    ):
        key = (str(kind), lower(str(name)))
        if key in wanted and key[1] not in shadows and not key[1].startswith("sqlite_"):
            fresh.execute(wanted[key])
    _give_statistics(found, fresh)
    mine, theirs = _names_of_roots(found), _names_of_roots(fresh)
    for statement in _statements(copy.connection):
        left, right = _program(found, statement, mine), _program(fresh, statement, theirs)
        if left != right:
            yield f"{statement!r} runs as {brief(_unlike(left, right))}"
    fresh.close()


def _give_statistics(found: Any, fresh: Any) -> None:
    statistics = side_table(found, "sqlite_stat1")
    if statistics:
        fresh.execute("ANALYZE")
        fresh.execute("DELETE FROM sqlite_stat1")
        for row in statistics:
            fresh.execute("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", row)
        fresh.execute("ANALYZE sqlite_schema")


def _names_of_roots(connection: Any) -> dict[object, str]:
    listed = rows(connection, "SELECT rootpage, name FROM sqlite_schema WHERE rootpage > 0")
    return {1: "sqlite_schema", **{root: lower(str(name)) for root, name in listed}}


def _program(connection: Any, statement: str, roots: dict[object, str]) -> list[Row] | str:
    try:
        answer = rows(connection, f"EXPLAIN {statement}")
    except Exception as exc:
        return lower(str(exc))
    program: list[Row] = []
    for _, opcode, p1, p2, p3, p4, p5, *_rest in answer:
        if opcode in _ROOTS and not (p5 and int(str(p5)) & 0x10):
            p2 = roots.get(p2, "?") if _ROOTS[str(opcode)] else p2
            p1 = p1 if _ROOTS[str(opcode)] else roots.get(p1, "?")
        if opcode == "Transaction":
            p3 = p4 = 0
        program.append((opcode, p1, p2, p3, _POINTER.sub("*", lower(str(p4))), p5))
    return program


def _unlike(mine: list[Row] | str, wanted: list[Row] | str) -> object:
    if isinstance(mine, str) or isinstance(wanted, str):
        return mine, wanted
    pairs = zip([*mine, None], [*wanted, None], strict=False)
    return next(((left, right) for left, right in pairs if left != right), "another length")


def _statements(connection: Any) -> Iterator[str]:
    """Give one statement for each use of each object: read, write, delete, and each index."""
    for table in live_tables(connection).values():
        if table.kind == "shadow":
            continue
        name = quoted(table.name)
        plain = [column for column in table.columns if lower(column) not in table.generated]
        yield f"SELECT * FROM {name}"
        yield f"SELECT count(*) FROM {name}"
        yield f"DELETE FROM {name}"
        if plain:
            marks = ", ".join("?" * len(plain))
            for verb in ("INSERT", "REPLACE"):
                yield f"{verb} INTO {name} ({', '.join(map(quoted, plain))}) VALUES ({marks})"
        for column in plain[:_WIDE]:
            yield f"UPDATE {name} SET {quoted(column)} = ?1"
        for column in table.columns[:_WIDE]:
            yield f"SELECT * FROM {name} WHERE {quoted(column)} = ?1 ORDER BY {quoted(column)}"
            yield f"SELECT * FROM {name} WHERE {quoted(column)} > ?1 ORDER BY {quoted(column)} DESC"
    for index, table, sql in rows(
        connection, "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
    ):
        condition = condition_of(str(sql)) or "1"
        yield f"SELECT * FROM {quoted(str(table))} INDEXED BY {quoted(str(index))} WHERE {condition}"
    for (view,) in rows(connection, "SELECT name FROM sqlite_schema WHERE type = 'view'"):
        yield f"SELECT * FROM {quoted(str(view))}"
        yield f"DELETE FROM {quoted(str(view))}"
        yield f"INSERT INTO {quoted(str(view))} DEFAULT VALUES"


# -- behaviour -------------------------------------------------------------------------------------


def _views(found: Any, copy: Copy, _: Connect) -> Iterator[str]:
    for (view,) in rows(copy.connection, "SELECT name FROM sqlite_schema WHERE type = 'view'"):
        asked = f"SELECT * FROM {quoted(str(view))}"
        left, right = _answer(found, asked), _answer(copy.connection, asked)
        if left != right:
            yield f"{view} gives {brief(left)}, not {brief(right)}"


def _answer(connection: Any, sql: str) -> object:
    try:
        return sorted(rows(connection, sql), key=repr)
    except Exception as exc:
        return lower(str(exc))


def _behaviour(found: Any, copy: Copy, _: Connect) -> Iterator[str]:
    """Write to each table in both databases, take it back, and compare what came of it, triggers included."""
    mine, wanted = live_tables(found), live_tables(copy.connection)
    tables = [table for table in wanted.values() if table.kind != "shadow"]
    for table in tables[:_MANY]:
        # a rowid behind the highest one possible is chosen at random
        if lower(table.name) in copy.free_rowids or _is_full(copy.connection, table):
            continue
        if table.kind == "virtual" and is_contentless(copy.connection, table):
            continue
        for statement in _writes(table):
            left = _outcome(found, mine, copy, statement)
            right = _outcome(copy.connection, wanted, copy, statement)
            if left != right:
                yield f"{statement!r}: {brief(_unlike_parts(left, right))}"


def _is_full(connection: Any, table: LiveTable) -> bool:
    if table.rowid is None or table.kind == "virtual":
        return False
    return rows(connection, f"SELECT max({quoted(table.rowid)}) FROM {quoted(table.name)}") == [(2**63 - 1,)]


def _writes(table: LiveTable) -> Iterator[str]:
    name = quoted(table.name)
    plain = [column for column in table.columns if lower(column) not in table.generated]
    if table.kind == "table":
        yield f"INSERT INTO {name} DEFAULT VALUES"
        if table.rowid:
            yield f"INSERT OR REPLACE INTO {name} SELECT * FROM {name} ORDER BY {quoted(table.rowid)} LIMIT 1"
    if plain:
        yield f"UPDATE {name} SET " + ", ".join(f"{quoted(one)} = {quoted(one)}" for one in plain[:_WIDE])
        yield f"UPDATE OR IGNORE {name} SET {quoted(plain[-1])} = 77"
    yield f"DELETE FROM {name}"


def _outcome(connection: Any, tables: dict[str, LiveTable], copy: Copy, statement: str) -> dict[str, object]:
    connection.execute("SAVEPOINT trying")
    try:
        said = "done"
        try:
            connection.execute(statement)
            if rows(connection, "PRAGMA foreign_key_check"):
                said = "left broken references"
        except Exception as exc:
            said = lower(str(exc))
        state: dict[str, object] = {"said": said}
        for name, table in tables.items():
            if table.kind != "shadow":
                state[name] = _all_cells(connection, table, copy)
        return state
    finally:
        # RAISE(ROLLBACK) has ended everything already
        if _in_transaction(connection):
            connection.execute("ROLLBACK TO trying")
            connection.execute("RELEASE trying")


def _in_transaction(connection: Any) -> bool:
    return bool(connection.in_transaction)


def _unlike_parts(mine: dict[str, object], wanted: dict[str, object]) -> dict[str, object]:
    keys = mine.keys() | wanted.keys()
    return {key: (mine.get(key), wanted.get(key)) for key in keys if mine.get(key) != wanted.get(key)}


def kept_header(before: str, after: str, *, connect: Connect = plain_connect) -> list[str]:
    """Say what of the file itself changed: page size, encoding, auto_vacuum."""
    told: list[str] = []
    old, new = connect(before), connect(after)
    for name in ("auto_vacuum", "page_size", "encoding"):
        was, now = (rows(one, f"PRAGMA {name}")[0][0] for one in (old, new))
        if was != now:
            told.append(f"{name} was {was} and is {now}")
    old.close()
    new.close()
    return told


def touched_indexes(before: str, after: str, *, connect: Connect = plain_connect) -> list[str]:
    """Name the tables behind a virtual table that changed although the virtual table did not."""
    old, new = connect(before), connect(after)
    try:
        was, now = _virtual_texts(old), _virtual_texts(new)
        same = [name for name in was if now.get(name) == was[name]]
        tables = live_tables(old)
        return [
            f"{name} is another"
            for name, table in tables.items()
            if table.kind == "shadow"
            and any(name.startswith(f"{owner}_") for owner in same)
            and cells(old, table, table.columns) != _cells_of(new, name)
        ]
    finally:
        old.close()
        new.close()


def _virtual_texts(connection: Any) -> dict[str, object]:
    kinds = live_tables(connection)
    return {
        name: text
        for (kind, name), text in _objects(connection).items()
        if kind == "table" and name in kinds and kinds[name].kind == "virtual"
    }


def _cells_of(connection: Any, name: str) -> list[Row]:
    table = live_tables(connection).get(name)
    return [] if table is None else cells(connection, table, table.columns)


def whole(path: str, *, connect: Connect = plain_connect) -> dict[str, object]:
    """Give the logical dump of a file."""
    connection = connect(path)
    try:
        return dump(connection)
    finally:
        connection.close()
