"""A statement that writes, as its text says it: verb, table, columns, and the pieces that give the values.

Reads only texts that SQLite has accepted already. Knows nothing of what is in the database. Grammar:
https://sqlite.org/lang_insert.html, lang_update.html, lang_delete.html and lang_upsert.html.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datalayer.schema.reader import Reader, commas
from datalayer.schema.tokens import Token, fold, significant, tokenize, unquote

__all__ = ["Piece", "Write", "read_write"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a statement's text, and which of the statement's parameters stand in it."""

    text: str = ""
    first: int = 0
    last: int = 0

    def values(self, params: Sequence[Any]) -> list[Any]:
        """Give the values bound to this piece."""
        return list(params[self.first : self.last])


@dataclass(frozen=True, slots=True)
class Write:
    """An INSERT, UPDATE or DELETE.

    `conflict` is the word after OR (REPLACE for a REPLACE). `prefix` is the WITH clause. INSERT: `columns` is
    its list or None, `source` what gives the rows (None: DEFAULT VALUES), `upserts` what each DO UPDATE sets,
    `may_skip` that DO NOTHING is there. UPDATE: `sets`. UPDATE and DELETE: `alias` is what follows the
    table's name, `tail` begins with WHERE, and `has_own_rows` says that these two alone choose the rows. A
    column is folded; None stands for a value that has no text of its own.
    """

    verb: str
    schema: str | None
    table: str
    conflict: str
    prefix: Piece
    columns: tuple[str, ...] | None = None
    source: Piece | None = None
    sets: Mapping[str, Piece | None] = field(default_factory=dict[str, "Piece | None"])
    upserts: tuple[Mapping[str, Piece | None], ...] = ()
    may_skip: bool = False
    alias: str = ""
    tail: Piece = Piece()
    has_own_rows: bool = True
    parameter_count: int = 0
    has_plain_parameters: bool = True
    calls: frozenset[str] = frozenset()


def read_write(sql: str) -> Write | None:
    """Read a statement; None where it is no INSERT, UPDATE or DELETE.

    Raises Unexpected where the text is no SQL that SQLite takes.
    """
    tokens = list(significant(tokenize(sql)))
    while tokens and tokens[-1].upper == ";":
        tokens.pop()
    reader = _Pieces(sql, tuple(tokens))
    if reader.accept("WITH"):
        _skip_tables(reader)
    prefix = reader.piece(0)
    verb = reader.accept_one("INSERT", "REPLACE", "UPDATE", "DELETE")
    if verb in ("INSERT", "REPLACE"):
        return _read_insert(reader, prefix, verb)
    if verb:
        return _read_change(reader, prefix, verb)
    return None


class _Pieces(Reader):
    """A reader that cuts pieces out of the whole statement."""

    def __init__(self, source: str, tokens: Sequence[Token]) -> None:
        super().__init__(source, tokens)
        self.marks = [token for token in tokens if token.kind == "parameter"]
        self._starts = [token.start for token in self.marks]

    def cut(self, tokens: Sequence[Token]) -> Piece:
        """Give a run of the tokens as a piece."""
        if not tokens:
            return Piece()
        first = bisect_left(self._starts, tokens[0].start)
        last = bisect_left(self._starts, tokens[-1].end)
        return Piece(self.text(tokens), first, last)

    def piece(self, start: int) -> Piece:
        """Give what was read since `start` as a piece."""
        return self.cut(self.tokens[start : self.place])

    def skip_to(self, *words: str) -> None:
        """Go up to the first of these words outside parentheses, or to the end.

        ON counts only before CONFLICT, and FROM not after DISTINCT (`a IS DISTINCT FROM b`).
        """
        while not self.at_end:
            word = self.peek().upper
            is_join = word == "ON" and not (self.sees("ON", "CONFLICT") and self.peek(2).upper in ("(", "DO"))
            is_test = word == "FROM" and self.tokens[self.place - 1].upper == "DISTINCT"
            if word and word in words and not is_join and not is_test:
                return
            if word == "(":
                self.group()
            else:
                self.take()

    def facts(self) -> dict[str, Any]:
        """Give what holds for the whole statement."""
        calls = (
            fold(unquote(token))
            for token, after in zip(self.tokens, self.tokens[1:])
            if token.kind in ("word", "identifier") and after.upper == "("
        )
        return {
            "parameter_count": len(self.marks),
            "has_plain_parameters": all(mark.text == "?" for mark in self.marks),
            "calls": frozenset(calls),
        }


def _skip_tables(reader: Reader) -> None:
    """Go past the tables of a WITH clause."""
    reader.accept("RECURSIVE")
    while True:
        reader.name()
        if reader.sees("("):
            reader.group()
        reader.expect("AS")
        reader.accept("NOT")
        reader.accept("MATERIALIZED")
        reader.group()
        if not reader.accept(","):
            return


def _qualified(reader: Reader) -> tuple[str | None, str]:
    name = reader.name()
    return (name, reader.name()) if reader.accept(".") else (None, name)


def _read_insert(reader: _Pieces, prefix: Piece, verb: str) -> Write:
    conflict = "REPLACE" if verb == "REPLACE" else reader.take().upper if reader.accept("OR") else ""
    reader.expect("INTO")
    schema, table = _qualified(reader)
    if reader.accept("AS"):
        reader.name()
    columns = None
    if reader.sees("("):
        columns = tuple(fold(reader.inner(part).name()) for part in commas(reader.group()))
    start = reader.place
    reader.skip_to("ON", "RETURNING")
    is_default = [token.upper for token in reader.tokens[start : reader.place]] == ["DEFAULT", "VALUES"]
    source = None if is_default else reader.piece(start)
    upserts, may_skip = _read_upserts(reader)
    return Write(
        "INSERT",
        schema,
        table,
        conflict,
        prefix,
        columns=columns,
        source=source,
        upserts=upserts,
        may_skip=may_skip,
        **reader.facts(),
    )


def _read_upserts(reader: _Pieces) -> tuple[tuple[Mapping[str, Piece | None], ...], bool]:
    """Read the ON CONFLICT clauses: what each DO UPDATE sets, and whether there is a DO NOTHING."""
    upserts: list[Mapping[str, Piece | None]] = []
    may_skip = False
    while reader.accept("ON", "CONFLICT"):
        reader.skip_to("DO")
        reader.expect("DO")
        if reader.accept("NOTHING"):
            may_skip = True
        else:
            reader.expect("UPDATE", "SET")
            upserts.append(_assignments(reader))
            reader.skip_to("ON", "RETURNING")
    return tuple(upserts), may_skip


def _read_change(reader: _Pieces, prefix: Piece, verb: str) -> Write:
    conflict = reader.take().upper if verb == "UPDATE" and reader.accept("OR") else ""
    if verb == "DELETE":
        reader.expect("FROM")
    schema, table = _qualified(reader)
    start = reader.place
    reader.skip_to("SET" if verb == "UPDATE" else "WHERE", "ORDER", "LIMIT", "RETURNING")
    alias = reader.text(reader.tokens[start : reader.place])
    sets: Mapping[str, Piece | None] = {}
    if verb == "UPDATE":
        reader.expect("SET")
        sets = _assignments(reader)
    has_from = reader.sees("FROM")
    reader.skip_to("WHERE", "ORDER", "LIMIT", "RETURNING")
    start = reader.place
    reader.skip_to("ORDER", "LIMIT", "RETURNING")
    tail = reader.piece(start)
    # with a LIMIT it is the plan that chooses the rows
    reader.skip_to("LIMIT")
    return Write(
        verb,
        schema,
        table,
        conflict,
        prefix,
        sets=sets,
        alias=alias,
        tail=tail,
        has_own_rows=not has_from and reader.at_end,
        **reader.facts(),
    )


def _assignments(reader: _Pieces) -> dict[str, Piece | None]:
    """Read what follows SET; of two values for one column the last counts, as in SQLite."""
    sets: dict[str, Piece | None] = {}
    while True:
        if reader.sees("("):
            names = [fold(reader.inner(part).name()) for part in commas(reader.group())]
        else:
            names = [fold(reader.name())]
        if not reader.accept_one("=", "=="):
            reader.expect("=")
        start = reader.place
        reader.skip_to(",", "FROM", "WHERE", "ORDER", "LIMIT", "RETURNING", "ON")
        sets.update(zip(names, _values(reader, reader.tokens[start : reader.place], len(names))))
        if not reader.accept(","):
            return sets


def _values(reader: _Pieces, tokens: Sequence[Token], count: int) -> Sequence[Piece | None]:
    """Give the pieces for the columns of one assignment: `(a, b) = (1, 2)` has two."""
    if count == 1:
        return [reader.cut(tokens)]
    row = reader.inner(tokens)
    parts = commas(row.group()) if row.sees("(") else []
    if not row.at_end or len(parts) != count or row.tokens[1].upper in ("SELECT", "WITH", "VALUES"):
        return [None] * count
    return [reader.cut(part) for part in parts]
