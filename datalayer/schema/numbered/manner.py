"""How a statement of a migration file may be run: within the run's transaction, outside of one, not at all.

By its words alone; knows no database.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from datalayer.schema.numbered.script import Dialect
from datalayer.schema.tokens import Statement, unquote

__all__ = ["Manner", "foreign_keys_wish", "manner_of", "opening"]

# those that belong to the file and are undone with the transaction, or set back after the file
_KEPT_PRAGMAS = frozenset({"user_version", "application_id", "legacy_alter_table"})
_DANGEROUS_PRAGMAS = frozenset({"writable_schema", "ignore_check_constraints"})
_OUTSIDE = {
    "VACUUM": "",
    "REINDEX": "DATABASE SYSTEM CONCURRENTLY",
    "CREATE": "DATABASE TABLESPACE SUBSCRIPTION",
    "DROP": "DATABASE TABLESPACE SUBSCRIPTION",
    "ALTER": "SYSTEM",
}


@dataclass(frozen=True, slots=True)
class Manner:
    """`how` a statement is run, and for a refused one `why` not.

    outside: PostgreSQL takes it outside a transaction only. alone: a new enum value, which may not be used in
    the transaction that made it. skip: the run sees to it itself.
    """

    how: Literal["inside", "outside", "alone", "skip", "refuse"]
    why: str = ""
    instead: str = ""


_INSIDE = Manner("inside")
_SKIP = Manner("skip")


def manner_of(statement: Statement, dialect: Dialect) -> Manner:
    """Say how a statement of a file is run."""
    words = [token.upper for token in statement.tokens[:12]]
    verb = words[0]
    if verb in ("BEGIN", "COMMIT", "END") or words[:2] == ["START", "TRANSACTION"]:
        return _SKIP
    if verb in ("ROLLBACK", "ABORT") and "TO" not in words[:4]:
        return Manner("refuse", "it would undo the whole run", "remove it")
    return _on_sqlite(statement, words) if dialect == "sqlite" else _on_postgres(statement, words)


def foreign_keys_wish(statements: list[Statement]) -> bool | None:
    """Say what a file first sets PRAGMA foreign_keys to; None where it does not."""
    for statement in statements:
        tokens = statement.tokens
        if statement.verb != "PRAGMA" or _pragma(statement) != "foreign_keys" or len(tokens) < 4:
            continue
        value = unquote(tokens[-2] if tokens[-1].text == ")" else tokens[-1])
        return value.lower() in ("on", "1", "true", "yes")
    return None


def opening(statement: Statement) -> str:
    """Give a statement's first words, as errors name it."""
    text = " ".join(statement.text[:200].split())
    return text if len(text) <= 60 else f"{text[:59]}…"


def _on_sqlite(statement: Statement, words: list[str]) -> Manner:
    verb = words[0]
    if verb in ("VACUUM", "ATTACH", "DETACH"):
        return Manner(
            "refuse",
            f"{verb} cannot run in a transaction, and the run is one",
            "run it by hand, after the run",
        )
    if verb == "PRAGMA":
        name = _pragma(statement)
        if name in _DANGEROUS_PRAGMAS:
            return Manner(
                "refuse", f"PRAGMA {name} can damage the database", "change the schema by statements"
            )
        return _INSIDE if name in _KEPT_PRAGMAS else _SKIP
    return _INSIDE


def _pragma(statement: Statement) -> str:
    """Give the name of a PRAGMA, without its schema."""
    tokens = statement.tokens
    place = 3 if len(tokens) > 3 and tokens[2].text == "." else 1
    return unquote(tokens[place]).lower() if len(tokens) > place else ""


def _on_postgres(statement: Statement, words: list[str]) -> Manner:
    verb = words[0]
    if statement.text.startswith("\\"):
        return Manner("refuse", "it is a command of psql, not SQL", "write it as SQL")
    if verb == "COPY" and any(token.upper in ("STDIN", "STDOUT") for token in statement.tokens):
        return Manner("refuse", "COPY from the file itself is psql's", "write INSERT statements")
    if verb in _OUTSIDE and (not _OUTSIDE[verb] or set(words[1:4]) & {*_OUTSIDE[verb].split()}):
        return Manner("outside")
    if verb in ("CREATE", "DROP") and "INDEX" in words[1:3] and "CONCURRENTLY" in words[2:4]:
        return Manner("outside")
    if verb == "REINDEX" and "CONCURRENTLY" in words:
        return Manner("outside")
    if words[:2] == ["ALTER", "TABLE"] and _ends_concurrently(statement):
        return Manner("outside")
    if words[:2] == ["ALTER", "TYPE"] and _adds_value(words):
        return Manner("alone")
    return _INSIDE


def _ends_concurrently(statement: Statement) -> bool:
    """Say whether it is DETACH PARTITION ... CONCURRENTLY (or its FINALIZE)."""
    words = [token.upper for token in statement.tokens]
    return "DETACH" in words and words[-1] in ("CONCURRENTLY", "FINALIZE")


def _adds_value(words: list[str]) -> bool:
    return any(pair == ("ADD", "VALUE") for pair in pairwise(words))
