"""What a PostgreSQL server says of the files, run in a schema of their own and rolled back.

Tables that are there already stay out of reach: the search path holds the new schema alone, and a statement
that names another one is passed over. So are those that reach beyond a schema, and calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError
from datalayer.schema.numbered.manner import manner_of
from datalayer.schema.tokens import Statement
from datalayer.schema.validate.postgres_change import name_of
from datalayer.schema.validate.source import Source

__all__ = ["Refusal", "refusals"]

_SCRATCH = "datalayer_validate"
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


class _Undo(Exception):
    """Leaves the block so that nothing of it is kept."""


def refusals(engine: Engine, sources: Sequence[Source]) -> list[Refusal]:
    """Run the files and give the statements that name unknown tables or columns.

    Changes nothing. Empty where the server gives no right to make a schema, and after a Python file.
    """
    found: list[Refusal] = []
    try:
        with engine.transaction():
            found += _run(engine, sources)
            raise _Undo
    except _Undo:
        return found
    except DataLayerError:
        return []


def _run(engine: Engine, sources: Sequence[Source]) -> Iterator[Refusal]:
    schemas = {str(row[0]) for row in engine.fetch_all("SELECT nspname FROM pg_namespace")}
    engine.execute(f"CREATE SCHEMA {_SCRATCH}")
    engine.execute(f"SET LOCAL search_path = {_SCRATCH}")
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
            error = _try(connection, _without_public(statement))
            if error is None:
                continue
            code, message, above = error
            # what a statement here should have made is missing further on
            if code in _UNKNOWN and not failed & _named(message):
                yield Refusal(source, statement.line + above, message)
            failed |= names if statement.verb in ("CREATE", "ALTER") else set()


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
