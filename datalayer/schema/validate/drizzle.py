"""J010: drizzle's snapshots: one an entry, each the child of the one before, telling what the files make."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from datalayer.schema.tokens import fold
from datalayer.schema.validate.replay import Replay
from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.source import Source
from datalayer.schema.validate.subject import Subject

__all__ = ["RULES", "table_of"]


def table_of(subject: Subject, source: Source, name: str) -> dict[str, Any] | None:
    """Give what the snapshot of a file says of a table: what was meant; None where there is none."""
    if subject.layout != "drizzle":
        return None
    _, found = _snapshot_of(subject, source)
    tables = cast("dict[str, Any]", (found or {}).get("tables") or {})
    table = tables.get(name)
    return cast("dict[str, Any]", table) if isinstance(table, dict) else None


def _snapshots(subject: Subject) -> Iterator[tuple[Source, str, dict[str, Any] | None]]:
    """Yield each file with the path and content of its snapshot."""
    for source in subject.sources:
        path, found = _snapshot_of(subject, source)
        yield source, path, found


def _snapshot_of(subject: Subject, source: Source) -> tuple[str, dict[str, Any] | None]:
    """Give the path and content of a file's snapshot; None where there is none."""
    number = source.name.partition("_")[0]
    path = subject.folder.root / "meta" / f"{number}_snapshot.json"
    document: object = None
    if path.is_file():
        try:
            document = json.loads(path.read_text(encoding="utf-8-sig"))
        except ValueError:
            document = {}
    return str(path), cast("dict[str, Any]", document) if isinstance(document, dict) else None


def _breaches(subject: Subject) -> Iterator[Hit]:
    if subject.layout != "drizzle":
        return
    before: dict[str, Any] | None = None
    has_any = (subject.folder.root / "meta").is_dir()
    for source, path, snapshot in _snapshots(subject) if has_any else ():
        if snapshot is None:
            yield Hit(source.path, 1, f"{source.name} has no snapshot: {path} is missing", _GENERATE)
        elif before is not None and snapshot.get("prevId") != before.get("id"):
            message = f"prevId is not the id of the snapshot before {source.name}: two branches made one each"
            yield Hit(path, _line_of(subject, path, '"prevId"'), message)
        before = snapshot
    yield from _differing(subject)


def _differing(subject: Subject) -> Iterator[Hit]:
    for source, path, snapshot in _snapshots(subject):
        tables = snapshot.get("tables") if snapshot else None
        if not isinstance(tables, dict):
            continue
        made = _made(subject, source)
        if made is None:
            continue
        told = _told(cast("dict[str, Any]", tables))
        for name in sorted(told.keys() | made.keys()):
            if name not in made:
                message = (
                    f"the snapshot has the table {name}, which the files up to {source.name} do not make"
                )
                yield Hit(path, _line_of(subject, path, f'"{name}"'), message)
            elif name not in told:
                message = f"the files up to {source.name} make the table {name}, which the snapshot lacks"
                yield Hit(path, 1, message)
            elif told[name] != made[name]:
                columns = ", ".join(sorted(told[name] ^ made[name]))
                message = (
                    f"{name} differs in {columns} between the snapshot and the files up to {source.name}"
                )
                yield Hit(path, _line_of(subject, path, f'"{name}"'), message)


def _told(tables: dict[str, Any]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for key, value in tables.items():
        if not isinstance(value, dict):
            continue
        table = cast("dict[str, Any]", value)
        schema = table.get("schema") or ""
        name = str(table.get("name") or key)
        name = f"{schema}.{name}" if schema and schema != "public" else name
        columns = table.get("columns")
        names = cast("dict[str, Any]", columns).keys() if isinstance(columns, dict) else ()
        found[name] = frozenset(names)
    return found


def _made(subject: Subject, source: Source) -> dict[str, frozenset[str]] | None:
    """Give tables and columns after a file; None where a statement failed, which is told elsewhere."""
    if not subject.is_sqlite:
        if source is not subject.sources[-1]:
            return None
        tables = subject.model.known.tables
        return {name: frozenset(table.columns) for name, table in tables.items()}
    if _failed_before(subject.replay, source):
        return None
    schema = subject.replay.end_of(source)
    return {
        table.name: frozenset(column.name for column in table.columns)
        for table in schema.tables
        if table.kind == "table" and not fold(table.name).startswith(("sqlite_", "_cf_"))
    }


def _failed_before(replay: Replay, source: Source) -> bool:
    return any(step.error for step in replay.steps) or not source.is_sql


def _line_of(subject: Subject, path: str, text: str) -> int:
    name = path.replace("\\", "/").rpartition("/")[2]
    content = (subject.folder.root / "meta" / name).read_text(encoding="utf-8-sig")
    place = content.find(text)
    return content.count("\n", 0, max(place, 0)) + 1


_GENERATE = "generate it again with drizzle-kit; the next one would repeat what this file does"

RULES = (
    Rule(
        "J010",
        "warning",
        "a drizzle snapshot that is missing, out of line, or other than the files",
        "generate the snapshot again with drizzle-kit; the next migration is made from it",
        _breaches,
    ),
)
