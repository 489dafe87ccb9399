"""Look for what is wrong with a database, and write nothing.

Physical state, references, schema against the expected one, migrations. Domain rules belong to the domains.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from datalayer.engine.connection import Engine
from datalayer.schema import catalog, history, physical
from datalayer.schema.catalog_texts import compare_texts
from datalayer.schema.difference import Difference, differences
from datalayer.schema.finding import Finding
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.postgres import derive
from datalayer.schema.snapshot import Schema
from datalayer.schema.target import target_of

__all__ = ["Finding", "check"]


def check(
    engine: Engine, *, quick: bool = False, expected: Schema | None = None, with_schema: bool = True
) -> list[Finding]:
    """Look for damage, broken references, differences from the expected schema and pending migrations.

    `expected` is the package's own schema unless another is given; `with_schema=False` leaves it and the
    migrations out. `quick` leaves out what reads every row: references, and the agreement of indexes with
    their tables.

    Writes nothing: a SQLite file is read through a connection of its own that is opened read-only,
    PostgreSQL in a read-only transaction. One snapshot for the whole check; on SQLite it keeps the WAL from
    being reset meanwhile. Cost: every page is read (PRAGMA integrity_check,
    https://sqlite.org/pragma.html#pragma_integrity_check).

    Raises DatabaseCorrupt for a file that is not a database. Damage within one comes as findings.

        [finding.message for finding in check(engine) if finding.severity == "error"]
    """
    names: Sequence[str] = ()
    if with_schema and expected is None:
        target = target_of()
        expected, names = target.schema, target.names
    if not with_schema:
        expected = None
    if engine.dialect.name == "sqlite":
        findings = physical.inspect(engine, quick=quick, schema=lambda found: _sqlite_schema(expected, found))
    else:
        findings = _postgres(engine, expected)
    if expected is not None and not any(finding.id in ("DL-C001", "DL-C024") for finding in findings):
        findings += _migrations(engine, names)
    return findings


def _sqlite_schema(expected: Schema | None, found: Schema) -> list[Finding]:
    if expected is None:
        return []
    if not (found.tables or found.views):
        return [_nothing_there()]
    findings = [_finding(one) for one in differences(expected, found) if not _is_record(one)]
    for name, mine, theirs in (
        ("user_version", expected.user_version, found.user_version),
        ("application_id", expected.application_id, found.application_id),
    ):
        if mine != theirs:
            message = f"PRAGMA {name} is {theirs}, expected {mine}"
            findings.append(Finding("DL-C023", "warning", None, name, 1, message, "automatic"))
    return findings


def _nothing_there() -> Finding:
    return Finding(
        "DL-C024", "error", None, None, 1, "the database is empty: run `datalayer migrate`", "automatic"
    )


def _finding(difference: Difference) -> Finding:
    name = None if difference.kind == "table" else difference.name
    table = difference.table or None
    if difference.change == "extra":
        return Finding("DL-C022", "info", table, name, 1, str(difference), "none")
    if difference.change == "changed":
        return Finding("DL-C021", "error", table, name, 1, str(difference), "manual")
    # an index, trigger or view can be made again without touching a row
    repair = "automatic" if difference.kind in ("index", "trigger", "view") else "manual"
    return Finding("DL-C020", "error", table, name, 1, str(difference), repair)


def _migrations(engine: Engine, names: Sequence[str]) -> Iterator[Finding]:
    if not names:
        return
    applied = history.applied_names(engine)
    for name in names:
        if name not in applied:
            message = f"migration {name} is not applied: run `datalayer migrate`"
            yield Finding("DL-C030", "warning", "migrations", name, 1, message, "automatic")
    for name in applied:
        if name not in names:
            message = f"migration {name} is applied, but this version of the program does not know it"
            yield Finding("DL-C031", "warning", "migrations", name, 1, message, "none")


def _postgres(engine: Engine, expected: Schema | None) -> list[Finding]:
    with engine.transaction(read=True):
        found = catalog.read(engine)
    findings = list(_not_valid(found))
    if expected is None:
        return findings
    if found.is_empty:
        return [_nothing_there()]
    derived = derive(expected)
    wrong = catalog.compare(expected, derived, found)
    with engine.transaction(read=True):
        wrong += compare_texts(engine, expected, derived, found)
    return [*findings, *(_finding(one) for one in wrong if not _is_record(one))]


def _is_record(difference: Difference) -> bool:
    """Whether this is only about how the record of migrations is kept: old programs made it otherwise."""
    return difference.table in JOURNAL_TABLES and difference.change != "missing"


def _not_valid(found: catalog.Catalog) -> Iterator[Finding]:
    for table in found.tables.values():
        for index in table.indexes.values():
            if not index.is_valid:
                message = f"index {index.name} of {table.name} is invalid, so no query uses it: REINDEX it"
                yield Finding("DL-C050", "error", table.name, index.name, 1, message, "automatic")
        for constraint in table.constraints.values():
            if not constraint.is_valid:
                message = (
                    f"constraint {constraint.name} of {table.name} was never validated: rows may break it"
                )
                yield Finding("DL-C051", "warning", table.name, constraint.name, 1, message, "automatic")
