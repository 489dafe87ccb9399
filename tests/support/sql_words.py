"""SQL text as words, for an oracle that must not trust the tokenizer which it judges.

Written from sqlite.org/lang.html alone; knows only where a word, a name, a literal and a comment end.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

_PIECE = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<literal>[xX]?'(?:[^']|'')*')
    |(?P<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    |(?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))
    |(?P<word>[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*)
    |(?P<sign>\|\||<<|>>|<=|>=|==|!=|<>|->>|->|.)
    """,
    re.VERBOSE | re.DOTALL,
)


_SMALL = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def lower(name: str) -> str:
    """Fold the letters that SQLite folds: those of ASCII."""
    return name.translate(_SMALL)


def words(sql: str) -> list[str]:
    """Give what a text says: names bare and in lower case, literals as written, no comments."""
    return [word for word, _ in _pieces(sql)]


def _pieces(sql: str) -> Iterator[tuple[str, int]]:
    for match in _PIECE.finditer(sql):
        kind, text = match.lastgroup, match.group()
        if kind == "space":
            continue
        if kind == "name":
            mark = text[-1]
            yield lower(text[1:-1].replace(mark * 2, mark)), match.end()
        else:
            yield text if kind == "literal" else lower(text), match.end()


def statements(script: str) -> list[str]:
    """Cut a script into its statements; SQLite says where the body of a trigger ends."""
    found: list[str] = []
    start = 0
    for word, end in _pieces(script):
        if word == ";" and sqlite3.complete_statement(script[start:end]):
            found.append(script[start:end])
            start = end
    if words(script[start:]):
        found.append(script[start:])
    return [statement for statement in found if words(statement) != [";"]]


_RULES = {"constraint", "primary", "unique", "check", "foreign"}


def normal(sql: str) -> tuple[object, ...]:
    """Give the text of one CREATE statement so that texts which mean the same are equal.

    Of a table the columns come first, in order, then its rules, sorted: ALTER TABLE puts a new column behind
    the rules.
    """
    said = [word for word in words(sql) if word != ";"]
    if said[:2] != ["create", "table"] or "(" not in said:
        return tuple(said)
    opening = said.index("(")
    closing = len(said) - 1 - said[::-1].index(")")
    parts = split(said[opening + 1 : closing])
    columns = [part for part in parts if not is_rule(part)]
    rules = sorted(part for part in parts if is_rule(part))
    return (*said[:opening], tuple(columns), tuple(rules), *sorted(said[closing + 1 :]))


def is_rule(part: tuple[str, ...]) -> bool:
    """Say whether a part of CREATE TABLE is a rule of the table: a column may be called "check" too."""
    if not part or part[0] not in _RULES:
        return False
    following = part[1] if len(part) > 1 else ""
    if part[0] in ("check", "unique"):
        return following == "("
    return following == "key" if part[0] in ("primary", "foreign") else len(part) > 2


def split(said: list[str]) -> list[tuple[str, ...]]:
    """Cut at the commas that stand in no parenthesis."""
    parts: list[list[str]] = [[]]
    depth = 0
    for word in said:
        depth += (word == "(") - (word == ")")
        if word == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(word)
    return [tuple(part) for part in parts]


def condition_of(index_sql: str) -> str:
    """Give the text behind WHERE of a CREATE INDEX, or ""."""
    depth = 0
    for word, end in _pieces(index_sql):
        depth += (word == "(") - (word == ")")
        if word == "where" and depth == 0:
            return index_sql[end:].rstrip().rstrip(";")
    return ""
