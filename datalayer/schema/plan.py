"""What a migration does, as an ordered list of statements with the object each one makes."""

from __future__ import annotations

from dataclasses import dataclass

from datalayer.schema.tokens import Statement, fold, unquote

__all__ = ["Step", "object_of", "step_of"]

_NOUNS = ("TABLE", "INDEX", "TRIGGER", "VIEW")


@dataclass(frozen=True, slots=True)
class Step:
    """One statement: the kind and name of the object it makes, and its SQL.

    `kind` is table, index, trigger, view, function, constraint, or the statement's own verb in lower case.
    """

    kind: str
    name: str
    sql: str


def object_of(statement: Statement) -> tuple[str, str] | None:
    """Give the (kind, name) that a CREATE statement makes; None for any other statement."""
    words = [token.upper for token in statement.tokens[:9]]
    noun = next((word for word in words[1:4] if word in _NOUNS), None)
    if words[0] != "CREATE" or noun is None:
        return None
    place = words.index(noun) + 1
    place += 3 * (words[place : place + 3] == ["IF", "NOT", "EXISTS"])
    place += 2 * (words[place + 1 : place + 2] == ["."])
    return noun.lower(), unquote(statement.tokens[place])


def step_of(statement: Statement) -> Step:
    """Give a statement of a schema file as a step."""
    kind, name = object_of(statement) or (fold(statement.verb), "")
    return Step(kind, name, statement.text)
