"""A migration file's text: its statements in SQLite's or PostgreSQL's lexical rules, and its normal form.

Knows no file and no database. PostgreSQL's rules:
https://www.postgresql.org/docs/current/sql-syntax-lexical.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from datalayer.schema.tokens import Kind, Statement, Token, fold, line_of, split, tokenize

__all__ = ["Dialect", "normal_form", "part_to_run", "statements"]

Dialect = Literal["sqlite", "postgresql"]

# characters from which on the statements of a text take much room
_LARGE = 100_000

# the markers of dbmate, goose, sql-migrate and node-pg-migrate
_SECTION = re.compile(
    r"^[ \t]*--[ \t]*(?:migrate:(?P<dbmate>up|down)\b|\+(?:goose|migrate)[ \t]+(?P<plus>up|down)\b"
    r"|(?P<node>up|down)[ \t]+migration\b).*$",
    re.IGNORECASE | re.MULTILINE,
)
_BREAKPOINT = re.compile(r"-->[ \t]*statement-breakpoint\b")

_TEXTS = r"""
      (?P<space>\s+)
    | (?P<line>--[^\n]*)
    | (?P<block>/\*)
    | (?P<escape>[eE]'[^'\\]*(?:(?:''|\\.)[^'\\]*)*'?)
    | (?P<prefixed>(?:[uU]&|[bBxXnN])'[^']*(?:''[^']*)*'?)
    | (?P<string>'[^']*(?:''[^']*)*'?)
    | (?P<double>(?:[uU]&)?"[^"]*(?:""[^"]*)*"?)
    | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$)
"""
_WORDS = r"""
    | (?P<parameter>\$[0-9]+)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<number>(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?:(?<=0)[xXoObB][0-9a-fA-F_]+)?)
    | (?P<operator>->>|->|<=|<>|<<|>=|>>|==|!=|\|\||::|:=|[-+*/%&|~<>=(),;.:\[\]!@\#^?])
    | (?P<illegal>.)
"""
_POSTGRES = re.compile(_TEXTS + _WORDS, re.VERBOSE | re.DOTALL)
# what SQLite quotes names with besides
_EITHER = re.compile(
    _TEXTS + r"| (?P<quoted>`[^`]*(?:``[^`]*)*`|\[[A-Za-z_][^\]\[\n'\"]*\])" + _WORDS, re.VERBOSE | re.DOTALL
)
_KINDS: dict[str, Kind] = {
    "space": "space",
    "line": "comment",
    "escape": "string",
    "prefixed": "string",
    "string": "string",
    "double": "identifier",
    "quoted": "identifier",
    "parameter": "parameter",
    "word": "word",
    "number": "number",
    "operator": "operator",
}
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def part_to_run(text: str) -> str:
    """Give the part of a file that brings a database up, on the lines where it stands.

    A file without the markers of dbmate, goose, sql-migrate or node-pg-migrate is that part as a whole.
    """
    marks = list(_SECTION.finditer(text))
    if not marks:
        return text
    kept, end = [_blank(text[: marks[0].end()])], marks[0].end()
    for place, mark in enumerate(marks):
        end = marks[place + 1].end() if place + 1 < len(marks) else len(text)
        body = text[mark.end() : end]
        word = next(group for group in mark.groups() if group)
        kept.append(body if word.lower() == "up" else _blank(body))
    return "".join(kept)


def statements(text: str, dialect: Dialect) -> list[Statement]:
    """Split a script into statements, each with the line on which it begins.

    Cuts at semicolons and at drizzle's breakpoints. A trigger's body (SQLite), a quoted body and BEGIN ATOMIC
    ... END (PostgreSQL) are one statement. The last texts are remembered: a run asks several times.
    """
    remembered = _large_statements if len(text) > _LARGE else _small_statements
    return list(remembered(text, dialect))


def _statements(text: str, dialect: Dialect) -> list[Statement]:
    cut = split if dialect == "sqlite" else _split_postgres
    lex = tokenize if dialect == "sqlite" else _lex_postgres
    if not _BREAKPOINT.search(text):
        return cut(text)
    found: list[Statement] = []
    start = 0
    ends = [token.start for token in lex(text) if token.kind == "comment" and _BREAKPOINT.match(token.text)]
    for end in (*ends, len(text)):
        above = line_of(text, start) - 1
        found += [Statement(one.text, one.line + above, one.tokens) for one in cut(text[start:end])]
        start = end
    return found


_small_statements = lru_cache(maxsize=64)(_statements)
# tokens take some forty times the room of their text
_large_statements = lru_cache(maxsize=1)(_statements)


def normal_form(text: str) -> tuple[str, ...]:
    """Give the tokens of a script in one form: layout, comments and the case of words make no difference.

    The same for both engines, so that a file has one checksum.
    """
    return tuple(
        fold(token.text) if token.kind == "word" else token.text
        for token in _lex(text, _EITHER)
        if token.kind not in ("space", "comment")
    )


def _blank(text: str) -> str:
    return "\n" * text.count("\n")


def _lex_postgres(text: str) -> Iterator[Token]:
    return _lex(text, _POSTGRES)


def _lex(text: str, pattern: re.Pattern[str]) -> Iterator[Token]:
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        # the last alternative takes any character
        assert match is not None
        end, group = match.end(), match.lastgroup or "illegal"
        kind = _KINDS.get(group, "illegal")
        if group == "block":
            end, kind = _comment_end(text, position), "comment"
            if pattern is _POSTGRES and not text.endswith("*/", position + 2, end):
                # never closed: SQLite lets it end with the text, PostgreSQL is to say what it thinks of it
                kind = "illegal"
        elif group == "dollar":
            close = text.find(match[0], end)
            end, kind = (close + len(match[0]), "string") if close >= 0 else (len(text), "illegal")
        yield Token(kind, text[position:end], position, end)
        position = end


def _comment_end(text: str, start: int) -> int:
    """Find the end of a comment, which may hold others; one that they leave open ends as SQLite has it."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    first = text.find("*/", start + 2)
    return first + 2 if first >= 0 else len(text)


def _split_postgres(script: str) -> list[Statement]:
    found: list[Statement] = []
    current: list[Token] = []
    nesting = _Nesting()
    for token in _lex_postgres(script):
        if token.kind in ("space", "comment"):
            continue
        if token.text == ";" and nesting.is_closed:
            if current:
                found.append(_statement(script, current))
            current, nesting = [], _Nesting()
            continue
        nesting.take(token, current)
        current.append(token)
    if current:
        found.append(_statement(script, current))
    return found


def _statement(script: str, tokens: list[Token]) -> Statement:
    text = script[tokens[0].start : tokens[-1].end]
    return Statement(text, line_of(script, tokens[0].start), tuple(tokens))


class _Nesting:
    """How deep a token stands in parentheses and in the BEGIN ATOMIC of a routine, as psql counts it."""

    def __init__(self) -> None:
        self.parentheses = 0
        self.blocks = 0

    @property
    def is_closed(self) -> bool:
        return self.parentheses <= 0 and self.blocks <= 0

    def take(self, token: Token, before: list[Token]) -> None:
        word = token.upper
        if word in ("(", ")"):
            self.parentheses += 1 if word == "(" else -1
        elif word == "ATOMIC":
            self.blocks += len(before) > 1 and (before[0].upper, before[-1].upper) == ("CREATE", "BEGIN")
        elif self.blocks and word in ("CASE", "BEGIN", "END"):
            self.blocks += -1 if word == "END" else 1
