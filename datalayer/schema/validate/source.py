"""A migration file as the rules see it: its path, its text, its statements, and what its comments say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from datalayer.schema.numbered.folder import MigrationFile
from datalayer.schema.numbered.script import Dialect
from datalayer.schema.reader import Reader
from datalayer.schema.tokens import Statement, Token, fold

__all__ = ["Source", "line_at", "reader_of"]

_ALLOW = re.compile(r"--[ \t]*datalayer:allow[ \t]+(?P<ids>[A-Z]\d{3}(?:[ \t,]+[A-Z]\d{3})*)")
# goose, dbmate, sql-migrate, flyway
_NO_TRANSACTION = re.compile(
    r"^[ \t]*--[ \t]*(?:\+goose[ \t]+no[ \t]+transaction|migrate:up[ \t].*\btransaction:[ \t]*false"
    r"|\+migrate[ \t]+up[ \t].*\bnotransaction|flyway:executeInTransaction=false)\b",
    re.IGNORECASE | re.MULTILINE,
)
# lines of comment that follow each other are one comment
_COMMENT = re.compile(r"(?:--[^\n]*(?:\n[ \t]*)?)+|/\*.*?\*/", re.DOTALL)
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class Source:
    """One file of the folder; the rules of `dialect` cut it into statements."""

    file: MigrationFile
    path: str
    dialect: Dialect

    @property
    def name(self) -> str:
        """The name without ending, as journals hold it."""
        return self.file.name

    @cached_property
    def is_outside(self) -> bool:
        """Whether the file asks its tool to run it without a transaction around it."""
        return self.is_sql and bool(_NO_TRANSACTION.search(self.file.read()))

    @property
    def is_sql(self) -> bool:
        """Whether it holds SQL; a Python file may do anything."""
        return self.file.kind == "sql"

    @cached_property
    def text(self) -> str:
        """The text of the part that is run, on the lines where it stands."""
        return self.file.part_to_run()

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """Its statements; none of a Python file."""
        return tuple(self.file.statements(self.dialect))

    @cached_property
    def purposes(self) -> tuple[frozenset[str], ...]:
        """What it is meant to do: the folded words of its name, and of each of its comments."""
        comments = [match[0] for match in _COMMENT.finditer(self.text)] if self.is_sql else []
        said = [self.name, *(_ALLOW.sub("", comment) for comment in comments)]
        return tuple(frozenset(_WORD.findall(fold(words))) for words in said)

    def says(self, name: str, verbs: frozenset[str]) -> bool:
        """Say whether its name or one of its comments names a thing together with one of these verbs."""
        parts = set(_WORD.findall(fold(name)))
        return bool(parts) and any(parts <= words and bool(verbs & words) for words in self.purposes)

    @cached_property
    def allowed(self) -> tuple[tuple[str, int, int], ...]:
        """What `-- datalayer:allow ID` comments let pass, as (id, first line, last line)."""
        return tuple(self._allowances()) if self.is_sql else ()

    def _allowances(self) -> Iterator[tuple[str, int, int]]:
        first = self.statements[0].line if self.statements else 1
        for match in _ALLOW.finditer(self.text):
            line = self.text.count("\n", 0, match.start()) + 1
            span = (1, self.text.count("\n") + 1)
            if line >= first:
                inside = [one for one in self.statements if one.line <= line <= _last_line(one)]
                after = [one for one in self.statements if one.line > line]
                found = (inside or after)[:1]
                span = (found[0].line, _last_line(found[0])) if found else (line, line)
            for rule in re.findall(r"[A-Z]\d{3}", match["ids"]):
                yield rule, min(line, span[0]), max(line, span[1])


def _last_line(statement: Statement) -> int:
    return statement.line + statement.text.count("\n")


def line_at(statement: Statement, token: Token) -> int:
    """Give the line of a token of a statement."""
    return statement.line + statement.text.count("\n", 0, token.start - statement.tokens[0].start)


def reader_of(statement: Statement) -> Reader:
    """Give a reader over a statement; its text may be a part of a longer script."""
    start = statement.tokens[0].start
    moved = [
        Token(token.kind, token.text, token.start - start, token.end - start) for token in statement.tokens
    ]
    return Reader(statement.text, moved)
