"""The same statements on SQLite and PostgreSQL, and what each of them answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, ConstraintViolation, DataLayerError

__all__ = ["Outcome", "Pair", "plain"]


@dataclass(frozen=True)
class Outcome:
    """What a statement did: its rows, or the class of its error and the rule that it names."""

    rows: tuple[tuple[Any, ...], ...] = ()
    error: str | None = None
    rule: str | None = None


@dataclass(frozen=True)
class Pair:
    """One schema on both engines."""

    sqlite: Engine
    postgres: Engine

    @property
    def engines(self) -> tuple[Engine, Engine]:
        return (self.sqlite, self.postgres)

    def run(self, sql: str) -> Outcome:
        """Execute a statement on both and give what they agree on."""
        first, second = outcome(self.sqlite, sql), outcome(self.postgres, sql)
        assert first == second, sql
        return first

    def run_refused(self, sql: str) -> str | None:
        """Execute a statement that both refuse, and give the rule that SQLite names."""
        first, second = outcome(self.sqlite, sql), outcome(self.postgres, sql)
        assert (first.error, second.error) == ("CheckViolation", "CheckViolation"), (sql, first, second)
        return first.rule

    def postgres_rule(self, sql: str) -> str | None:
        """Execute a statement that PostgreSQL refuses, and give the constraint that it names."""
        with pytest.raises(ConstraintViolation) as caught, self.postgres.transaction():
            self.postgres.execute(sql)
        return caught.value.constraint

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Give the rows that both answer; a statement that fails fails the test."""
        found = self.run(sql)
        assert found.error is None, found
        return list(found.rows)


def outcome(engine: Engine, sql: str) -> Outcome:
    try:
        with engine.transaction():
            cursor = engine.execute(sql)
            rows = cursor.fetchall() if cursor.description else []
    except DataLayerError as exc:
        # SQLite names neither keys nor references
        rule = exc.constraint if isinstance(exc, CheckViolation) else None
        return Outcome(error=type(exc).__name__, rule=rule)
    return Outcome(tuple(tuple(plain(value) for value in row) for row in rows))


def plain(value: Any) -> Any:
    """Bring a value to what SQLite would hold for it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, memoryview):
        return bytes(value)
    return value
