"""What a migration does, as an ordered list of statements with the object each one makes."""

from __future__ import annotations

from dataclasses import dataclass

from datalayer.schema.tokens import Statement, fold, unquote

__all__ = ["Step", "object_of", "step_of"]

_NOUNS = ("TABLE", "INDEX", "TRIGGER", "VIEW")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the kind and name of the object it is about, and its SQL.

    `kind` is table, column, index, trigger, view, function, constraint, or the statement's own verb in lower
    case. What it costs is told for changes of existing tables: `cost` is the way it is done (on SQLite
    nothing, alter, scan, rebuild; on PostgreSQL free, weak, stops writes, scan, rewrite), `rows` and
    `size_bytes` what it reads or writes, `seconds` an estimate, `risk` in words what could be lost or waits.
    """

    kind: str
    name: str
    sql: str
    cost: str = ""
    rows: int | None = None
    size_bytes: int | None = None
    seconds: float | None = None
    risk: str = ""


def object_of(statement: Statement) -> tuple[str, str] | None:
    """Give the (kind, name) that a CREATE statement makes; None for any other statement."""
    words = [token.upper for token in statement.tokens[:9]]
    noun = next((word for word in words[1:4] if word in _NOUNS), None)
    if words[0] != "CREATE" or noun is None:
        return None
    place = words.index(noun) + 1
    place += 3 * (words[place : place + 3] == ["IF", "NOT", "EXISTS"])
    place += 2 * (words[place + 1 : place + 2] == ["."])
    if place >= len(statement.tokens):
        return None
    return noun.lower(), unquote(statement.tokens[place])


def step_of(statement: Statement) -> Step:
    """Give a statement of a schema file as a step."""
    kind, name = object_of(statement) or (fold(statement.verb), "")
    return Step(kind, name, statement.text)
