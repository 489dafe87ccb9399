"""Rules that a query can tell: of a domain, or of an app (`--rules FILE`). Each gives the rows that break it.

Run where nothing can be written, and not for ever.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, cast

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError
from datalayer.schema.finding import Finding, Repair, Severity

__all__ = ["MOST_ROWS", "Inspection", "Rule", "broken_rules", "read_rules", "shown"]

MOST_ROWS = 10
_SEVERITIES = ("error", "warning", "info")
_TICKS = 20_000
# what a query that only reads needs: SQLITE_RECURSIVE has no name in Python
_ALLOWED = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, 33)

Inspection = Callable[[Engine], Iterable[Finding]]
"""What a domain looks at besides: files that its rows name."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A query that gives the rows which break the rule: none where all is well.

    `{now}` in it stands for the time now, as a literal that compares with stored times. `message` may hold
    `{count}`. A rule with a `table` is passed over where the database lacks that table.

        CHECKS = {"DL-C221": Rule("SELECT key FROM key_value_store WHERE expires_at <= {now}", "{count} keys
            have expired", severity="info", table="key_value_store")}
    """

    sql: str
    message: str = "{count} rows break the rule"
    severity: Severity = "error"
    table: str | None = None
    repair: Repair = "manual"


def read_rules(path: str | os.PathLike[str]) -> dict[str, Rule]:
    """Read a file of rules: JSON {id: {"sql": query, "severity": error/warning/info, "message": text}}.

    Raises:
        DataLayerError: it cannot be read, or is not of this form.
    """
    try:
        document: object = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise _unreadable(path, str(exc)) from exc
    if not isinstance(document, dict):
        raise _unreadable(path, "it holds no object")
    entries = cast("dict[str, object]", document)
    return {name: _rule(path, name, entry) for name, entry in entries.items()}


def _rule(path: str | os.PathLike[str], name: str, entry: object) -> Rule:
    facts = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    sql, severity = facts.get("sql"), facts.get("severity", "error")
    if not isinstance(sql, str) or severity not in _SEVERITIES:
        raise _unreadable(path, f"the rule {name} needs a text `sql`, and a severity error, warning or info")
    message, table = facts.get("message"), facts.get("table")
    return Rule(
        sql,
        message if isinstance(message, str) else f"{{count}} rows break the rule {name}",
        severity,
        table if isinstance(table, str) else None,
    )


def _unreadable(path: str | os.PathLike[str], why: str) -> DataLayerError:
    return DataLayerError(
        f"the rules in {os.fspath(path)} cannot be read",
        why=why,
        hint='write {"id": {"sql": "SELECT ... rows that break it", "severity": "error"}}',
    )


def broken_rules(
    engine: Engine, rules: Mapping[str, Rule], *, tables: frozenset[str], time_limit_s: float = 30.0
) -> Iterator[Finding]:
    """Run each rule and tell which are broken, with a count and the first ten rows.

    `tables` are those that the database has, folded. A rule that fails, writes, or takes longer than the
    limit is a finding (DL-C012).
    """
    now = f"'{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'"
    for name, rule in rules.items():
        if rule.table is not None and rule.table.lower() not in tables:
            continue
        sql = rule.sql.replace("{now}", now).strip().rstrip(";")
        run = _run_sqlite if engine.dialect.name == "sqlite" else _run_postgres
        try:
            count, rows = run(engine, sql, time_limit_s)
        except (*engine.driver_errors, DataLayerError) as exc:
            reason = str(exc.__cause__ or exc).partition("\n")[0]
            if reason == "interrupted":
                reason = f"it took longer than {time_limit_s:g} s"
            message = f"the rule {name} could not be run: {reason}"
            yield Finding("DL-C012", "warning", rule.table, name, 1, message, "none")
            continue
        if count:
            told = rule.message.replace("{count}", str(count))
            yield Finding(name, rule.severity, rule.table, None, count, told, rule.repair, rows)


Told = tuple[int, tuple[Mapping[str, object], ...]]


def _run_sqlite(engine: Engine, sql: str, time_limit_s: float) -> Told:
    connection: sqlite3.Connection = engine.connection()
    until = monotonic() + time_limit_s
    before = connection.text_factory
    connection.text_factory = _readable
    connection.set_authorizer(_only_reading)
    connection.set_progress_handler(lambda: monotonic() > until, _TICKS)
    try:
        return _count(connection.execute(sql))
    finally:
        connection.set_progress_handler(None, 0)
        connection.set_authorizer(None)
        connection.text_factory = before


def _only_reading(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _run_postgres(engine: Engine, sql: str, time_limit_s: float) -> Told:
    with engine.transaction(read=True):
        engine.execute(f"SET LOCAL statement_timeout = {int(time_limit_s * 1000)}")
        # binary: the extended protocol takes one statement, so none can end this transaction and write
        with engine.connection().cursor(binary=True) as cursor:
            cursor.execute(sql)
            return _count(cursor)


def _count(cursor: Any) -> Told:
    """Count the rows of a query without keeping them."""
    if cursor.description is None:
        raise DataLayerError("it is no query that gives rows")
    names = [str(column[0]) for column in cursor.description]
    first = cursor.fetchmany(MOST_ROWS)
    count = len(first)
    while more := len(cursor.fetchmany(10_000)):
        count += more
    return count, tuple({name: shown(value) for name, value in zip(names, row)} for row in first)


def shown(value: object) -> object:
    """Give a stored value as it can be shown and written as JSON."""
    if isinstance(value, bytes):
        return f"x'{value[:32].hex()}'" + ("..." if len(value) > 32 else "")
    if isinstance(value, str) and len(value) > 200:
        return f"{value[:200]}..."
    return value if value is None or isinstance(value, int | float | str) else str(value)


def _readable(value: bytes) -> str:
    return value.decode("utf-8", "replace")
