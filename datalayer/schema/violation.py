"""What SQLite leaves unsaid when a rule is broken: the table, the columns and the name of the constraint.

Called by the engine after a statement was refused, never else. Reads only, on the connection that failed.
What cannot be told for sure stays empty: a wrong table in an error is worse than none.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from datalayer.engine.translate import sentence
from datalayer.errors import (
    CheckViolation,
    ConstraintViolation,
    ForeignKeyViolation,
    NotNullViolation,
    UniqueViolation,
)
from datalayer.schema.broken_reference import find_broken_reference
from datalayer.schema.declaration import Check
from datalayer.schema.effects import all_effects
from datalayer.schema.reader import Unexpected
from datalayer.schema.rules import Rules, TableRules, mentioned
from datalayer.schema.tokens import fold, tokenize, unquote
from datalayer.schema.writes import Write, read_write

__all__ = ["complete"]

T = TypeVar("T")
_log = logging.getLogger("datalayer.schema")


def complete(conn: sqlite3.Connection, error: ConstraintViolation, sql: str, params: Sequence[Any]) -> None:
    """Fill in the table, columns and constraint of a violation, and say them in its message.

    `error.__cause__` is the driver's error; without the values (`params` empty) only what needs none is
    found. Never raises: where something goes wrong the error stays as it was. Leaves the transaction as it
    is. A deferred key that COMMIT finds broken is not told: that would take a scan of every table.

    Cost: two queries for a key; one over the texts of all tables for a CHECK, trigger or foreign key, which
    are kept once they were read; and for a key among several one more each, over the rows that the statement
    chose.
    """
    try:
        refusal = _Refusal(conn, error, sql, params)
        facts = _FINDERS.get(type(error), _nothing)(refusal)
        if facts is not None:
            error.table, error.columns, error.constraint = facts.table, facts.columns, facts.constraint
            error.what = sentence(error)
            error.args = (error.what,)
    except Exception as exc:
        # whatever it is (a lock, no memory, a text that is read wrongly here), it must not hide the error
        _log.debug("the facts of a violation were not found: %s", exc)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is now known; it replaces what was."""

    table: str | None
    columns: tuple[str, ...]
    constraint: str | None


class _Refusal:
    """A statement that broke a rule."""

    def __init__(
        self, conn: sqlite3.Connection, error: ConstraintViolation, sql: str, params: Sequence[Any]
    ) -> None:
        self.conn = conn
        self.error = error
        self.params = params
        self.message = str(error.__cause__)
        self.detail = self.message.partition(": ")[2]
        self._sql = sql

    @cached_property
    def write(self) -> Write | None:
        """What the statement says; None where it is none that writes, or cannot be read."""
        try:
            return read_write(self._sql)
        except Unexpected:
            return None

    @property
    def schema(self) -> str:
        """The schema in which the statement writes; an unqualified name is looked for in temp first."""
        names = [row[1] for row in self.conn.execute("PRAGMA database_list").fetchall()]
        if len(names) == 1 or self.write is None:
            return "main"
        if self.write.schema is not None:
            return self.write.schema
        for name in sorted(names, key=lambda name: name != "temp"):
            if Rules(self.conn, name, self.write.table).has_objects:
                return name
        return "main"

    def rules(self) -> Rules:
        """Give all rules where the statement writes."""
        return Rules(self.conn, self.schema)


def _nothing(_: _Refusal) -> None:
    return None


def _find_key(refusal: _Refusal) -> _Facts | None:
    """Find the key whose columns SQLite names, or the index that it names in their place."""
    detail, error = refusal.detail, refusal.error
    if detail.startswith("index '"):
        for table in refusal.rules().tables.values():
            index = table.indexes.get(detail[7:-1])
            if index is not None:
                return _Facts(table.name, table.index_columns(index), detail[7:-1])
        return None
    # a dot or comma within a name makes the split of `t.a, t.b` ambiguous
    is_plain = error.table is not None and detail.count(".") == len(error.columns)
    rules = Rules(refusal.conn, refusal.schema, error.table if is_plain else None)
    found = [
        (table.name, key.columns, key.name)
        for table in rules.tables.values()
        for key in table.unique_keys()
        if _dotted(table, key.columns) == fold(detail)
    ]
    if len({place[:2] for place in found}) != 1:
        return None
    names = {name for _, _, name in found}
    return _Facts(found[0][0], found[0][1], names.pop() if len(names) == 1 else None)


def _find_column(refusal: _Refusal) -> _Facts | None:
    """Find the column of a NOT NULL or of a STRICT table, where SQLite's text can be split in two ways."""
    is_type = isinstance(refusal.error, CheckViolation)
    detail = refusal.message.partition(" column ")[2] if is_type else refusal.detail
    if refusal.error.table is not None and detail.count(".") == 1:
        return None
    found = [
        (table.name, column.name)
        for table in refusal.rules().tables.values()
        for column in table.columns.values()
        if _dotted(table, (column.name,)) == fold(detail)
    ]
    return _Facts(found[0][0], (found[0][1],), None) if len(found) == 1 else None


def _dotted(table: TableRules, columns: Iterable[str]) -> str:
    return fold(", ".join(f"{table.name}.{column}" for column in columns))


def _find_rule(refusal: _Refusal) -> _Facts | None:
    """Find a CHECK or the trigger that raised; the code tells which of them it was."""
    code = getattr(refusal.error.__cause__, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_CONSTRAINT_CHECK:
        return _find_check(refusal)
    if code == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
        return _find_trigger(refusal)
    return _find_column(refusal) if refusal.message.startswith("cannot store ") else None


def _find_check(refusal: _Refusal) -> _Facts | None:
    rules = refusal.rules()
    detail = refusal.detail
    checks = [(name, check) for name, table in rules.tables.items() for check in table.text.checks]
    found = [(name, check) for name, check in checks if check.name == detail] or [
        (name, check) for name, check in checks if check.name is None and _shown(check) == detail
    ]
    found = _in_one_table(refusal, rules, found)
    if not found:
        return None
    table = rules.tables[found[0][0]]
    columns = {mentioned(check.expression, table) for _, check in found}
    return _Facts(table.name, columns.pop() if len(columns) == 1 else (), found[0][1].name)


def _shown(check: Check) -> str:
    """Give the name that SQLite gives a CHECK without one.

    Its text, of which it takes a leading quote off.
    """
    text = check.expression
    first = next(iter(tokenize(text)), None)
    return unquote(first) if first is not None and text[:1] in ('"', "'", "`", "[") else text


def _find_trigger(refusal: _Refusal) -> _Facts | None:
    """Find the trigger whose text holds the message, or another message of the same rule."""
    rules = refusal.rules()
    rule = refusal.error.constraint
    said = [
        (name, trigger, {unquote(token) for token in tokenize(sql) if token.kind in ("string", "identifier")})
        for name, trigger, sql in rules.triggers
    ]
    found = [(name, trigger) for name, trigger, texts in said if refusal.message in texts]
    if not found and rule is not None:
        found = [
            (name, trigger)
            for name, trigger, texts in said
            if any(text.startswith(f"{rule}: ") for text in texts)
        ]
    found = _in_one_table(refusal, rules, found)
    if not found:
        return None
    name, trigger = found[0]
    table = rules.tables.get(name)
    return _Facts(table.name if table else trigger.table, (), rule)


def _in_one_table(refusal: _Refusal, rules: Rules, found: list[tuple[str, T]]) -> list[tuple[str, T]]:
    """Keep what is of the one table that it can be: where several have such a rule, the one written to."""
    if len({name for name, _ in found}) > 1 and refusal.write is not None:
        reached = {effect.table for effect in all_effects(rules, refusal.write)}
        found = [(name, rule) for name, rule in found if name in reached]
    return found if len({name for name, _ in found}) == 1 else []


def _find_reference(refusal: _Refusal) -> _Facts | None:
    if refusal.write is None:
        return None
    is_in_block = refusal.conn.in_transaction
    found = find_broken_reference(refusal.rules(), refusal.write, refusal.params, is_in_block=is_in_block)
    if found is None:
        return None
    table, key = found
    return _Facts(table.name, table.declared(key.columns), key.name)


_FINDERS: dict[type[ConstraintViolation], Callable[[_Refusal], _Facts | None]] = {
    UniqueViolation: _find_key,
    NotNullViolation: _find_column,
    CheckViolation: _find_rule,
    ForeignKeyViolation: _find_reference,
}
