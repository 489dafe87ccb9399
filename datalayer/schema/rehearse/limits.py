"""Statements that a copy cannot stand for: those that steer, reach beyond it, or D1 refuses."""

from __future__ import annotations

import re

from datalayer.schema.tokens import Statement, fold, unquote

__all__ = ["reaches_beyond", "refused_by_d1", "steers_transaction"]

# what belongs to the server and not to one database of it
_SHARED = frozenset(["ROLE", "USER", "GROUP", "DATABASE", "TABLESPACE", "SYSTEM", "SUBSCRIPTION"])
_IN_A_BODY = re.compile(
    r"\b(?:create|alter|drop)\s+(?:role|user|group|database|subscription)\b", re.IGNORECASE
)
# measured on workerd; allowed are the PRAGMAs that only read or defer
_D1_PRAGMAS = frozenset(
    ["journal_mode", "user_version", "writable_schema", "integrity_check", "cache_size", "page_size"]
)
_D1_VERBS = frozenset(["ATTACH", "DETACH", "VACUUM", "SAVEPOINT", "RELEASE"])


def steers_transaction(statement: Statement) -> bool:
    """Say whether a statement begins or ends a transaction; one to a savepoint does not."""
    words = [token.upper for token in statement.tokens[:4]]
    if words[0] in ("ROLLBACK", "ABORT"):
        return "TO" not in words
    return words[0] in ("BEGIN", "COMMIT", "END") or words[:2] == ["START", "TRANSACTION"]


def reaches_beyond(statement: Statement) -> bool:
    """Say whether a statement of PostgreSQL's changes what a copy shares with the original.

    Roles, databases and settings of the server, subscriptions, and files of COPY. What a function does is
    not known.
    """
    words = [token.upper for token in statement.tokens]
    if words[0] in ("CREATE", "ALTER", "DROP"):
        return words[1] in _SHARED and not (words[1] == "USER" and words[2:3] == ["MAPPING"])
    if words[0] in ("GRANT", "REVOKE"):
        # of a role, not of a right on something
        return "ON" not in words
    if words[0] == "COPY":
        return ("STDOUT" not in words and "TO" in words) or "PROGRAM" in words
    return words[0] == "DO" and _IN_A_BODY.search(statement.text) is not None


def refused_by_d1(statement: Statement) -> str:
    """Say why Cloudflare's D1 refuses a statement; an empty text where it takes it."""
    words = [token.upper for token in statement.tokens[:3]]
    if words[0] in _D1_VERBS:
        return f"D1 takes no {words[0]}"
    if words[0] == "CREATE" and words[1] in ("TEMP", "TEMPORARY"):
        return "D1 takes no temporary objects"
    if words[0] == "PRAGMA" and any(fold(unquote(token)) in _D1_PRAGMAS for token in statement.tokens[1:4]):
        return f"D1 takes no PRAGMA {unquote(statement.tokens[1])}"
    return ""
