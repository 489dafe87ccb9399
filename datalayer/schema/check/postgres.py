"""What is wrong with a PostgreSQL schema: indexes, constraints, sequences, pages (amcheck), drift, upkeep.

Reads only, in read-only transactions. amcheck is used where it is installed, or can be made in a transaction
that is rolled back. https://www.postgresql.org/docs/current/amcheck.html
"""

from __future__ import annotations

from collections.abc import Iterator

from datalayer.engine.connection import Engine
from datalayer.errors import DatabaseUnavailable, DataLayerError
from datalayer.schema import catalog
from datalayer.schema.catalog import Catalog, CatalogConstraint, CatalogTable
from datalayer.schema.catalog_texts import compare_texts
from datalayer.schema.check.drift import is_record, nothing_there, of_difference
from datalayer.schema.check.rule import MOST_ROWS, shown
from datalayer.schema.finding import Finding
from datalayer.schema.postgres import derive
from datalayer.schema.snapshot import Schema
from datalayer.schema.tokens import quote

__all__ = ["inspect", "table_names"]

_DEAD_ROWS = 50_000
_DEAD_BYTES = 32 << 20
# the head of a row and the pointer to it: statistics may tell of more rows than there is room for
_LEAST_ROW = 28
_OLD, _VERY_OLD = 1_200_000_000, 1_800_000_000
_INDEXES = """
SELECT c.oid, c.relname, t.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_am a ON a.oid = c.relam
WHERE n.nspname = %s AND a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence = 'p'
AND i.indisvalid AND i.indisready ORDER BY 3, 2"""
_HEAPS = """
SELECT t.oid, t.relname FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = %s AND t.relkind IN ('r', 'm') AND t.relpersistence = 'p' ORDER BY 2"""


def table_names(engine: Engine) -> set[str]:
    """Give the names of the schema's tables, folded."""
    rows = engine.fetch_all(
        "SELECT lower(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind IN ('r', 'p')",
        (engine.schema_name,),
    )
    return {str(name) for (name,) in rows}


def inspect(engine: Engine, expected: Schema | None, *, quick: bool) -> list[Finding]:
    """Run all looks; `quick` leaves out those that read rows or pages."""
    with engine.transaction(read=True):
        found = catalog.read(engine)
        findings = [*_invalid_indexes(found), *_not_valid(engine, found, quick=quick)]
        findings += _sequences_behind(engine, found)
        findings += _upkeep(engine)
    if not quick:
        findings += _damage(engine)
    if expected is None:
        return findings
    if found.is_empty:
        return [nothing_there()]
    derived = derive(expected)
    wrong = catalog.compare(expected, derived, found)
    with engine.transaction(read=True):
        wrong += compare_texts(engine, expected, derived, found)
    return [*findings, *(of_difference(one) for one in wrong if not is_record(one))]


# -- rules and indexes ----------------------------------------------------------------------------


def _invalid_indexes(found: Catalog) -> Iterator[Finding]:
    for table in found.tables.values():
        for index in table.indexes.values():
            if not index.is_valid:
                message = f"index {index.name} of {table.name} is invalid, so no query uses it: REINDEX it"
                yield Finding("DL-C050", "error", table.name, index.name, 1, message, "automatic")


def _not_valid(engine: Engine, found: Catalog, *, quick: bool) -> Iterator[Finding]:
    """Tell the constraints that were never validated, with the rows that break them."""
    for table in found.tables.values():
        for constraint in table.constraints.values():
            if constraint.is_valid:
                continue
            head = f"constraint {constraint.name} of {table.name} was never validated"
            condition = None if quick else _breach(engine, constraint)
            if condition is None:
                message = f"{head}: rows may break it"
                yield Finding("DL-C051", "warning", table.name, constraint.name, 1, message, "automatic")
                continue
            yield _breaking(engine, table, constraint, condition)


def _breach(engine: Engine, constraint: CatalogConstraint) -> str | None:
    """Give the condition for a row, called t, that breaks a constraint."""
    if constraint.kind == "c" and constraint.expression is not None:
        return f"NOT ({constraint.expression})"
    if constraint.kind == "n":
        return " OR ".join(f"t.{quote(column)} IS NULL" for column in constraint.columns) or None
    if constraint.kind != "f" or constraint.parent is None:
        return None
    given = " AND ".join(f"t.{quote(column)} IS NOT NULL" for column in constraint.columns)
    same = " AND ".join(
        f"p.{quote(theirs)} = t.{quote(mine)}"
        for mine, theirs in zip(constraint.columns, constraint.parent_columns)
    )
    parent = f"{quote(engine.schema_name)}.{quote(constraint.parent)}"
    return f"{given} AND NOT EXISTS (SELECT FROM {parent} p WHERE {same})"


def _breaking(engine: Engine, table: CatalogTable, constraint: CatalogConstraint, condition: str) -> Finding:
    source = f"{quote(engine.schema_name)}.{quote(table.name)} AS t"
    count = int(engine.fetch_all(f"SELECT count(*) FROM {source} WHERE {condition}")[0][0])
    head = f"constraint {constraint.name} of {table.name} was never validated"
    if not count:
        message = f"{head}; no row breaks it, so ALTER TABLE ... VALIDATE CONSTRAINT will do"
        return Finding("DL-C051", "warning", table.name, constraint.name, 1, message, "automatic")
    keys = _keys(table)
    listed = ", ".join(f"t.{quote(key)}" for key in keys)
    rows = engine.fetch_all(f"SELECT {listed} FROM {source} WHERE {condition} LIMIT {MOST_ROWS}")
    told = [{key: shown(value) for key, value in zip(keys, row)} for row in rows]
    message = f"{head}, and {count} rows break it"
    return Finding("DL-C051", "error", table.name, constraint.name, count, message, "lossy", told)


def _keys(table: CatalogTable) -> list[str]:
    key = next((one for one in table.constraints.values() if one.kind == "p"), None)
    return list(key.columns) if key else list(table.columns)[:4]


def _sequences_behind(engine: Engine, found: Catalog) -> Iterator[Finding]:
    schema = quote(engine.schema_name)
    for table in found.tables.values():
        for column in table.columns.values():
            if column.sequence is None:
                continue
            name = f"{schema}.{quote(column.sequence)}"
            row = engine.fetch_all(
                f"SELECT (SELECT max({quote(column.name)}) FROM {schema}.{quote(table.name)}),"
                f" s.last_value, s.is_called, i.seqincrement FROM {name} s"
                " JOIN pg_sequence i ON i.seqrelid = %s::regclass",
                (name,),
            )[0]
            last, value, is_called, step = row
            upcoming = value + step if is_called else value
            if last is not None and step > 0 and upcoming <= last:
                message = (
                    f"the sequence {column.sequence} gives {upcoming} next, and {table.name}.{column.name}"
                    f" goes up to {last}: inserts will fail"
                )
                behind = int(last - upcoming + 1)
                yield Finding("DL-C011", "error", table.name, column.name, behind, message, "automatic")


# -- upkeep ---------------------------------------------------------------------------------------


def _upkeep(engine: Engine) -> Iterator[Finding]:
    rows = engine.fetch_all(
        "SELECT relname, n_live_tup, n_dead_tup, coalesce(pg_relation_size(relid), 0)"
        " FROM pg_stat_user_tables WHERE schemaname = %s AND n_dead_tup > greatest(%s, n_live_tup)"
        " ORDER BY relname",
        (engine.schema_name, _DEAD_ROWS),
    )
    for table, live, told, size in rows:
        # the statistics come late: the table may have been emptied, truncated or vacuumed since
        dead = min(told, size // _LEAST_ROW)
        wasted = size * dead // (dead + live) if dead else 0
        if dead <= max(_DEAD_ROWS, live) or wasted < _DEAD_BYTES:
            continue
        message = (
            f"{table} holds about {dead} dead rows beside {live} live ones, some {wasted >> 20} MiB:"
            " run VACUUM on it"
        )
        yield Finding("DL-C055", "warning", table, None, int(dead), message, "manual")
    age = int(
        engine.fetch_all("SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()")[0][0]
    )
    if age > _OLD:
        message = (
            f"the oldest row is {age} transactions old, and at 2,147,483,647 the server stops writing:"
            " see that autovacuum runs, or run VACUUM FREEZE"
        )
        severity = "error" if age > _VERY_OLD else "warning"
        yield Finding("DL-C056", severity, None, None, age, message, "manual")


# -- pages ----------------------------------------------------------------------------------------


class _RolledBack(Exception):
    """Ends the transaction in which an extension was made for the time of a check."""


def _damage(engine: Engine) -> list[Finding]:
    """Look at indexes and rows by amcheck, where that can be had; nothing where it cannot."""
    with engine.transaction(read=True):
        row = engine.fetch_one(
            "SELECT (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
            " WHERE e.extname = 'amcheck'),"
            " EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck')"
        )
    if row is None or not any(row):
        return []
    findings: list[Finding] = []
    try:
        with engine.transaction():
            if row[0] is None:
                # only what is rolled back is written
                engine.execute("SET TRANSACTION READ WRITE")
                engine.execute("CREATE EXTENSION amcheck SCHEMA pg_catalog")
            findings = _by_amcheck(engine, quote(str(row[0] or "pg_catalog")))
            raise _RolledBack
    except _RolledBack:
        return findings
    except DatabaseUnavailable:
        raise
    except DataLayerError:
        # not a superuser, or a standby: what others may do, this user may not
        return findings


def _by_amcheck(engine: Engine, place: str) -> list[Finding]:
    """Look at rows first: to compare an index with damaged rows has been seen to end the server process."""
    findings: list[Finding] = []
    damaged: set[str] = set()
    for oid, table in engine.fetch_all(_HEAPS, (engine.schema_name,)):
        rows = engine.fetch_all(f"SELECT blkno, offnum, msg FROM {place}.verify_heapam(%s::regclass)", (oid,))
        if rows:
            damaged.add(table)
            told = [{"block": block, "item": item, "problem": text} for block, item, text in rows[:MOST_ROWS]]
            message = f"{len(rows)} places in the rows of {table} are damaged: {rows[0][2]}"
            findings.append(Finding("DL-C053", "error", table, None, len(rows), message, "lossy", told))
    for oid, index, table in engine.fetch_all(_INDEXES, (engine.schema_name,)):
        try:
            with engine.transaction():
                # its order alone first: over damaged entries the comparison is what ends the process
                for with_rows in (False,) if table in damaged else (False, True):
                    engine.fetch_all(f"SELECT {place}.bt_index_check(%s::regclass, %s)", (oid, with_rows))
        except DatabaseUnavailable:
            raise
        except DataLayerError as exc:
            reason = str(exc.__cause__ or exc).partition("\n")[0]
            message = f"index {index} of {table} is damaged: {reason}"
            findings.append(Finding("DL-C052", "error", table, index, 1, message, "automatic"))
    return findings
