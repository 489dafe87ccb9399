"""X004: defaults that their own CHECK or enum refuses."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence

from datalayer.schema.declaration import Check
from datalayer.schema.snapshot import Column
from datalayer.schema.tokens import Token, fold, quote, tokenize, unquote
from datalayer.schema.validate.postgres_change import Constraint
from datalayer.schema.validate.postgres_model import Event
from datalayer.schema.validate.references import line_of_name
from datalayer.schema.validate.replay import open_memory
from datalayer.schema.validate.rule import Hit, Rule
from datalayer.schema.validate.subject import Subject

__all__ = ["RULES", "checks_of", "first_failing"]

_ANY_OF = re.compile(r"= ANY \( (?:\( )?ARRAY \[(?P<values>[^\[\]]*)\](?: \))? (?:\[ \] )?\)", re.IGNORECASE)


def _refused_default(subject: Subject) -> Iterator[Hit]:
    for step in subject.replay.steps:
        if not step.changed_schema:
            continue
        earlier = {fold(table.name): table for table in step.before.tables}
        for table in step.after.tables:
            before = earlier.get(fold(table.name))
            if table.kind != "table" or (before is not None and before.sql == table.sql):
                continue
            old = {fold(column.name) for column in before.columns} if before else set[str]()
            names = [one.name for one in table.columns]
            for column in table.columns:
                if column.default is None or fold(column.name) in old:
                    continue
                check = first_failing(table.checks, column.name, column.default, names, _manner(column))
                if check is not None:
                    line = line_of_name(step, column.name)
                    yield Hit(step.source.path, line, _default_message(table.name, column.name, check))
    yield from _refused_default_of_events(subject)


def _default_message(table: str, column: str, check: str) -> str:
    return f"the default of {table}.{column} breaks CHECK ({' '.join(check.split())})"


def _manner(column: Column) -> str:
    """Give what makes SQLite keep and compare a value in another way: type and collation."""
    collation = f" COLLATE {quote(column.collation)}" if column.collation else ""
    return f"{column.type}{collation}"


def first_failing(
    checks: Sequence[Check], column: str, default: str, columns: Sequence[str], manner: str = ""
) -> str | None:
    """Give the first CHECK over this column alone that its default breaks."""
    names = {fold(one) for one in columns}
    for check in checks:
        used = {
            fold(unquote(token))
            for token in tokenize(check.expression)
            if token.kind in ("word", "identifier") and fold(unquote(token)) in names
        }
        if used == {fold(column)} and _is_false(check.expression, column, default, manner):
            return check.expression
    return None


def _is_false(expression: str, column: str, default: str, manner: str) -> bool:
    connection = open_memory()
    try:
        connection.execute(f"CREATE TABLE probe ({quote(column)} {manner})")
        connection.execute(f"INSERT INTO probe VALUES ({default})")
        return connection.execute(f"SELECT ({expression}) FROM probe").fetchone()[0] == 0
    except sqlite3.Error:
        return False
    finally:
        connection.close()


def _refused_default_of_events(subject: Subject) -> Iterator[Hit]:
    for place, event in enumerate(subject.model.events):
        change = event.change
        if change.kind == "add constraint":
            yield from _refused_by_new_check(subject, place, event)
        columns = change.inner if change.kind == "create table" else (change,)
        for column in columns:
            if not column.default or column.kind not in ("add column", "set default"):
                continue
            there = column if column.kind == "add column" else event.columns.get(column.name)
            labels = event.enums.get(there.other) if there else None
            if labels is not None and column.default[0].kind == "string":
                label = _label(column.default[0])
                if label not in labels:
                    message = f"the default '{label}' of {column.table}.{column.name} is no label of its enum"
                    yield Hit(event.source.path, column.line, message)
            checks = checks_of([*change.constraints, *event.constraints])
            known = [*event.columns, *(one.name for one in columns)]
            failing = first_failing(checks, column.name, _sql_of(column.default), known)
            if failing is not None:
                message = _default_message(column.table, column.name, failing)
                yield Hit(event.source.path, column.line, message)


def _label(token: Token) -> str:
    # an escape string has its letter before it
    return unquote(token._replace(text=token.text.lstrip("eE")))


def _refused_by_new_check(subject: Subject, place: int, event: Event) -> Iterator[Hit]:
    """Look at the defaults that are there already, unless the same file changes them further on."""
    change = event.change
    changed = {
        later.change.name
        for later in subject.model.events[place:]
        if later.source is event.source
        and later.change.table == change.table
        and later.change.kind in ("set default", "drop default", "drop column")
    }
    for name, column in event.columns.items():
        if column.default and name not in changed:
            default = _sql_of(column.default)
            failing = first_failing(checks_of(change.constraints), name, default, [*event.columns])
            if failing is not None:
                yield Hit(event.source.path, change.line, _default_message(change.table, name, failing))


def checks_of(constraints: Sequence[Constraint]) -> list[Check]:
    """Give the CHECKs among constraints as SQLite may compute them."""
    return [Check(one.name, _sql_of(one.tokens)) for one in constraints if one.kind == "CHECK"]


def _sql_of(tokens: Sequence[Token]) -> str:
    """Write tokens as SQL that SQLite may compute: casts are left out."""
    parts: list[str] = []
    skip = False
    for token in tokens:
        if token.text == "::":
            skip = True
        elif skip and token.kind == "word":
            skip = False
        else:
            parts.append(token.text)
    return _ANY_OF.sub(r"IN (\g<values>)", " ".join(parts))


RULES = (
    Rule(
        "X004",
        "error",
        "a default that its own rule refuses",
        "correct the default or the rule",
        _refused_default,
    ),
)
