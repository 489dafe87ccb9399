"""A database against what it should be: objects of its schema, numbers in its header, migrations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import history
from datalayer.schema.difference import Difference, differences
from datalayer.schema.finding import Finding
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.numbered.status import status
from datalayer.schema.snapshot import Schema, Table
from datalayer.schema.tokens import canonical_text, fold

__all__ = ["drift", "is_record", "migrations_out_of_step", "nothing_there", "of_difference"]

_STEPS = {
    "J001": ("DL-C032", "error", "manual"),
    "J002": ("DL-C033", "warning", "automatic"),
    "J006": ("DL-C033", "error", "manual"),
}


def drift(expected: Schema, found: Schema) -> list[Finding]:
    """Compare a SQLite schema with the expected one, named constraints too."""
    if not (found.tables or found.views):
        return [nothing_there()]
    findings: list[Finding] = []
    # the same texts mean the same; to compare meanings takes a hundred times as long
    for one in [] if _texts(expected) == _texts(found) else differences(expected, found):
        if is_record(one):
            continue
        findings.append(of_difference(one))
        mine, theirs = expected.table(one.name), found.table(one.name)
        if one.kind == "table" and one.change == "changed" and mine and theirs:
            findings += _constraints(mine, theirs)
    for name, wanted, there in (
        ("user_version", expected.user_version, found.user_version),
        ("application_id", expected.application_id, found.application_id),
    ):
        if wanted != there:
            message = f"PRAGMA {name} is {there}, expected {wanted}"
            findings.append(Finding("DL-C023", "warning", None, name, 1, message, "automatic"))
    return findings


def _texts(schema: Schema) -> set[tuple[str, str]]:
    objects = [*schema.tables, *schema.triggers, *schema.views]
    texts = {(one.name, one.sql) for one in objects}
    return texts | {(index.name, index.sql) for table in schema.tables for index in table.indexes}


def nothing_there() -> Finding:
    """Give the finding for a database without a table."""
    return Finding(
        "DL-C024", "error", None, None, 1, "the database is empty: run `datalayer migrate`", "automatic"
    )


def of_difference(difference: Difference) -> Finding:
    """Give the finding for one object that differs."""
    name = None if difference.kind == "table" else difference.name
    table = difference.table or None
    if difference.change == "extra":
        return Finding("DL-C022", "info", table, name, 1, str(difference), "none")
    if difference.change == "changed":
        repair = "automatic" if difference.kind in ("index", "trigger", "view") else "manual"
        return Finding("DL-C021", "error", table, name, 1, str(difference), repair)
    # an index, trigger or view can be made again without touching a row
    repair = "automatic" if difference.kind in ("index", "trigger", "view") else "manual"
    return Finding("DL-C020", "error", table, name, 1, str(difference), repair)


def is_record(difference: Difference) -> bool:
    """Whether this is only about how the record of migrations is kept: old programs made it otherwise."""
    return difference.table in JOURNAL_TABLES and difference.change != "missing"


def _constraints(expected: Table, found: Table) -> Iterator[Finding]:
    """Tell the named constraints of a changed table one by one."""
    wanted, there = _named(expected), _named(found)
    for name, (kind, shape) in wanted.items():
        other = there.get(name)
        if other is None:
            message = f"{kind} {name} of {expected.name} is missing"
            yield Finding("DL-C020", "error", expected.name, name, 1, message, "manual")
        elif other != (kind, shape):
            message = f"{kind} {name} of {expected.name} is changed"
            yield Finding("DL-C021", "error", expected.name, name, 1, message, "manual")
    for name, (kind, _) in there.items():
        if name not in wanted:
            message = f"{kind} {name} of {expected.name} is extra"
            yield Finding("DL-C022", "info", expected.name, name, 1, message, "none")


def _named(table: Table) -> dict[str, tuple[str, object]]:
    found: dict[str, tuple[str, object]] = {}
    names = frozenset(fold(column.name) for column in table.columns)
    for check in table.checks:
        if check.name:
            found[fold(check.name)] = ("CHECK", canonical_text(check.expression, names))
    for unique in (*table.uniques, *([table.primary_key] if table.primary_key else [])):
        if unique.name:
            found[fold(unique.name)] = ("key", tuple(fold(column) for column in unique.columns))
    for key in table.foreign_keys:
        if key.name:
            columns = tuple(map(fold, key.columns)), tuple(map(fold, key.parent_columns))
            shape = (columns, fold(key.parent), key.on_delete, key.on_update, key.is_deferred)
            found[fold(key.name)] = ("foreign key", shape)
    return found


# -- migrations -----------------------------------------------------------------------------------


def migrations_out_of_step(engine: Engine, names: Sequence[str], folder: Folder | None) -> Iterator[Finding]:
    """Compare the recorded migrations with those of the program: pending, unknown, changed, stopped."""
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
    if folder is not None and applied:
        yield from _journal(engine, folder)


def _journal(engine: Engine, folder: Folder) -> Iterator[Finding]:
    try:
        found = status(engine, folder)
    except MigrationRefused as exc:
        yield Finding("DL-C033", "error", "migrations", None, 1, str(exc), "manual")
        return
    for one in found.findings:
        step = _STEPS.get(str(one["id"]))
        if step is None or one["severity"] == "info":
            continue
        id_, severity, repair = step
        message = str(one["message"])
        severity = "error" if severity == "error" else "warning"
        how = "manual" if repair == "manual" else "automatic"
        name = str(one["file"]).replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
        yield Finding(id_, severity, "migrations", name, 1, message, how)
    for migration in found.migrations:
        if migration.state == "stopped":
            message = f"migration {migration.name} stopped half-way: run `datalayer migrate` to go on"
            yield Finding("DL-C034", "error", "migrations", migration.name, 1, message, "automatic")
