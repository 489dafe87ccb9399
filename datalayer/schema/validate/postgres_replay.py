"""What a PostgreSQL server says of the files, run in a schema of their own and rolled back.

Tables that are there already stay out of reach: the search path holds the new schema alone, and a statement
that names another one is passed over. So are those that reach beyond a schema, and calls.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError
from datalayer.schema.numbered.manner import manner_of
from datalayer.schema.numbered.noop import NoOp, no_op
from datalayer.schema.numbered.script import statements
from datalayer.schema.scratch import Scratch, scratch_schema
from datalayer.schema.tokens import Statement
from datalayer.schema.validate.postgres_type import name_of
from datalayer.schema.validate.source import Source

__all__ = ["Answer", "Refusal", "ask"]

_NOUNS = frozenset(["TABLE", "INDEX", "VIEW", "TYPE", "DOMAIN", "SEQUENCE", "TRIGGER", "FUNCTION", "POLICY"])
_WRITES = ("INSERT", "UPDATE", "DELETE", "COMMENT")
# undefined_table, undefined_column
_UNKNOWN = ("42P01", "42703")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A statement that names what is not there, in the server's words."""

    source: Source
    line: int
    message: str


@dataclass(slots=True)
class Answer:
    """What a server said of the files; `tried` are the (path, line) of the statements that it was given.

    `no_ops` are the statements with IF [NOT] EXISTS that did nothing.
    """

    refusals: list[Refusal] = field(default_factory=list[Refusal])
    no_ops: list[tuple[Source, NoOp]] = field(default_factory=list["tuple[Source, NoOp]"])
    tried: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])


def ask(engine: Engine, sources: Sequence[Source]) -> Answer:
    """Run the files on a server, up to a Python file, and keep nothing of it.

    Empty where the server gives no right to make a schema.
    """
    answer = Answer()
    try:
        with scratch_schema(engine) as scratch:
            _run(scratch, sources, answer)
    except DataLayerError:
        return Answer()
    return answer


def _run(scratch: Scratch, sources: Sequence[Source], answer: Answer) -> None:
    engine = scratch.engine
    schemas = {str(row[0]) for row in engine.fetch_all("SELECT nspname FROM pg_namespace")}
    engine.execute("SET LOCAL lock_timeout = '2s'")
    engine.execute("SET LOCAL statement_timeout = '30s'")
    connection = engine.connection()
    failed: set[str] = set()
    for source in sources:
        if not source.is_sql:
            return
        for statement in source.statements:
            names = {name_of(token) for token in statement.tokens if token.kind in ("word", "identifier")}
            if not _may_run(statement) or _names_other_schema(statement, schemas):
                failed |= names
                continue
            sql = _without_public(statement)
            nothing = _no_op(scratch, sql, statement.line)
            error = _try(connection, sql)
            if error is None:
                answer.tried.add((source.path, statement.line))
                answer.no_ops += [(source, nothing)] if nothing else []
                continue
            code, message, above = error
            # what a statement here should have made is missing further on
            if code in _UNKNOWN and not failed & _named(message):
                answer.refusals.append(Refusal(source, statement.line + above, message))
            failed |= names if statement.verb in ("CREATE", "ALTER") else set()


def _no_op(scratch: Scratch, sql: str, line: int) -> NoOp | None:
    (moved,) = statements(sql, "postgresql")
    return no_op(scratch.engine, replace(moved, line=line), schema=scratch.schema_name)


def _named(message: str) -> set[str]:
    """Give the names in a message of the server, those of a qualified one apart."""
    return {
        part
        for name in re.findall(r'"([^"]+)"|column (\S+) does', message)
        for part in ".".join(name).split(".")
    }


def _may_run(statement: Statement) -> bool:
    words = [token.upper for token in statement.tokens[:5]]
    if manner_of(statement, "postgresql").how != "inside":
        return False
    if words[0] in _WRITES:
        return True
    return words[0] in ("CREATE", "ALTER", "DROP") and bool(_NOUNS & {*words[1:]}) and "FOREIGN" not in words


def _names_other_schema(statement: Statement, schemas: set[str]) -> bool:
    pairs = zip(statement.tokens, statement.tokens[1:])
    return any(
        after.text == "." and name_of(token) in schemas - {"public"}
        for token, after in pairs
        if token.kind in ("word", "identifier")
    )


def _without_public(statement: Statement) -> str:
    """Give the statement with `public.` left out, which would lead to the tables that are there."""
    text, start, parts, end = statement.text, statement.tokens[0].start, list[str](), 0
    for token, after in zip(statement.tokens, statement.tokens[1:]):
        if after.text == "." and token.kind in ("word", "identifier") and name_of(token) == "public":
            parts.append(text[end : token.start - start])
            end = after.end - start
    return "".join([*parts, text[end:]])


def _try(connection: Any, sql: str) -> tuple[str, str, int] | None:
    """Run a statement; give code, message and the line within it where the server refuses it."""
    import psycopg

    try:
        with connection.transaction():
            connection.execute(sql)
    except psycopg.Error as exc:
        place = int(exc.diag.statement_position or 1) - 1
        return exc.sqlstate or "", exc.diag.message_primary or "", sql.count("\n", 0, place)
    return None
