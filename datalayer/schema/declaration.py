"""What a CREATE text says that no PRAGMA tells: names of constraints, CHECKs, collations, generated columns.

Reads only texts that SQLite has accepted already. Grammar: https://sqlite.org/lang_createtable.html and
parse.y.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from datalayer.schema.reader import Reader, Unexpected, commas
from datalayer.schema.tokens import Token

__all__ = [
    "Check",
    "ColumnText",
    "ForeignKey",
    "IndexText",
    "TableText",
    "Term",
    "TriggerText",
    "Unique",
    "ViewText",
    "read_index",
    "read_table",
    "read_trigger",
    "read_view",
]


@dataclass(frozen=True, slots=True)
class Term:
    """One member of a key or an index: a column, or the text of an expression."""

    column: str | None
    expression: str | None = None
    collation: str | None = None
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Unique:
    """A PRIMARY KEY or UNIQUE constraint; `conflict` is its ON CONFLICT word.

    `is_at_column`: written at its column, and not as a rule of the table; what it means is the same but for
    one old mistake of SQLite's.
    """

    name: str | None
    terms: tuple[Term, ...]
    autoincrement: bool = False
    conflict: str | None = None
    is_at_column: bool = field(default=False, compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns, in order."""
        return tuple(term.column or "" for term in self.terms)


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK constraint: the text between its parentheses, and the column it was written at."""

    name: str | None
    expression: str
    column: str | None = None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference to another table; no `parent_columns` means the parent's primary key."""

    name: str | None
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...] = ()
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    is_deferrable: bool = False
    is_deferred: bool = False


@dataclass(frozen=True, slots=True)
class ColumnText:
    """What the text adds to a column.

    `generated` is the text of its expression, `conflict` that of its NOT NULL.
    """

    name: str
    collation: str | None = None
    generated: str | None = None
    is_stored: bool = False
    not_null_name: str | None = None
    conflict: str | None = None


@dataclass(frozen=True, slots=True)
class TableText:
    """A CREATE TABLE as read from its text."""

    columns: tuple[ColumnText, ...]
    primary_key: Unique | None
    uniques: tuple[Unique, ...]
    checks: tuple[Check, ...]
    foreign_keys: tuple[ForeignKey, ...]


@dataclass(frozen=True, slots=True)
class IndexText:
    """A CREATE INDEX as read from its text; `where` is the text of its condition."""

    terms: tuple[Term, ...]
    is_unique: bool
    where: str | None


@dataclass(frozen=True, slots=True)
class TriggerText:
    """A CREATE TRIGGER as read from its text: BEFORE, AFTER or INSTEAD OF; INSERT, UPDATE or DELETE."""

    timing: str
    event: str
    of_columns: tuple[str, ...]
    table: str
    when: str | None
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ViewText:
    """A CREATE VIEW as read from its text."""

    columns: tuple[str, ...]
    query: str


@dataclass(slots=True)
class _Draft:
    """A table while its text is being read.

    A constraint's name holds until the next comma, as in SQLite's parser.
    """

    columns: list[ColumnText] = field(default_factory=list[ColumnText])
    primary_key: Unique | None = None
    uniques: list[Unique] = field(default_factory=list[Unique])
    checks: list[Check] = field(default_factory=list[Check])
    foreign_keys: list[ForeignKey] = field(default_factory=list[ForeignKey])
    name: str | None = None


# a run of many migrations reads the schema once for each
@lru_cache(maxsize=4096)
def read_table(sql: str) -> TableText:
    """Read a CREATE TABLE text.

    Raises Unexpected where it is not one (CREATE TABLE ... AS is stored as a plain one).
    """
    reader = Reader(sql)
    _skip_head(reader, "TABLE")
    reader.name()
    draft = _Draft()
    for part in commas(reader.group()):
        draft.name = None
        inner = reader.inner(part)
        if not _is_constraint(inner):
            _read_column(inner, draft)
        while not inner.at_end:
            _read_table_constraint(inner, draft)
    return TableText(
        tuple(draft.columns),
        draft.primary_key,
        tuple(draft.uniques),
        tuple(draft.checks),
        tuple(draft.foreign_keys),
    )


@lru_cache(maxsize=4096)
def read_index(sql: str) -> IndexText:
    """Read a CREATE INDEX text. Raises Unexpected."""
    reader = Reader(sql)
    is_unique = any(token.upper == "UNIQUE" for token in reader.tokens[:2])
    _skip_head(reader, "INDEX")
    reader.name()
    reader.expect("ON")
    reader.name()
    terms = _terms(reader, reader.group())
    where = reader.text(reader.tokens[reader.place :]) if reader.accept("WHERE") else None
    return IndexText(terms, is_unique, where)


def read_view(sql: str) -> ViewText:
    """Read a CREATE VIEW text. Raises Unexpected."""
    reader = Reader(sql)
    _skip_head(reader, "VIEW")
    reader.name()
    columns = tuple(reader.inner(part).name() for part in commas(reader.group())) if reader.sees("(") else ()
    reader.expect("AS")
    return ViewText(columns, reader.text(reader.tokens[reader.place :]))


@lru_cache(maxsize=4096)
def read_trigger(sql: str) -> TriggerText:
    """Read a CREATE TRIGGER text. Raises Unexpected."""
    reader = Reader(sql)
    _skip_head(reader, "TRIGGER")
    reader.name()
    timing = reader.accept_one("BEFORE", "AFTER") or (
        "INSTEAD OF" if reader.accept("INSTEAD", "OF") else "BEFORE"
    )
    event = reader.accept_one("INSERT", "UPDATE", "DELETE")
    of_columns: list[str] = []
    if reader.accept("OF"):
        of_columns.append(reader.name())
        while reader.accept(","):
            of_columns.append(reader.name())
    reader.expect("ON")
    table = reader.name()
    if reader.accept("."):
        table = reader.name()
    reader.accept("FOR", "EACH", "ROW")
    when = reader.text(_until_body(reader)) if reader.accept("WHEN") else None
    reader.expect("BEGIN")
    statements: list[str] = []
    start = reader.place
    while not (reader.sees("END") and reader.place == len(reader.tokens) - 1):
        if reader.take().upper == ";":
            statements.append(reader.text(reader.tokens[start : reader.place - 1]))
            start = reader.place
    return TriggerText(timing, event, tuple(of_columns), table, when, tuple(statements))


def _until_body(reader: Reader) -> Sequence[Token]:
    """Go up to the BEGIN of a trigger: BEGIN may also be a column's name in its condition."""
    start = reader.place
    verbs = ("SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "VALUES")
    while not (reader.sees("BEGIN") and reader.peek(1).upper in verbs):
        reader.take()
    return reader.tokens[start : reader.place]


def _skip_head(reader: Reader, noun: str) -> None:
    """Go past CREATE ... noun [IF NOT EXISTS] [schema.]: the name comes next."""
    reader.expect("CREATE")
    while not reader.accept(noun):
        reader.take()
    reader.accept("IF", "NOT", "EXISTS")
    if reader.peek(1).upper == ".":
        reader.place += 2


def _is_constraint(reader: Reader) -> bool:
    return reader.peek().upper in ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN")


def _terms(reader: Reader, tokens: Sequence[Token]) -> tuple[Term, ...]:
    return tuple(_term(reader, list(part)) for part in commas(tokens))


def _term(reader: Reader, tokens: list[Token]) -> Term:
    if len(tokens) > 2 and tokens[-2].upper == "NULLS":
        del tokens[-2:]
    descending = False
    if len(tokens) > 1 and tokens[-1].upper in ("ASC", "DESC"):
        descending = tokens.pop().upper == "DESC"
    collation = None
    if len(tokens) > 2 and tokens[-2].upper == "COLLATE":
        collation = reader.inner(tokens[-1:]).name()
        del tokens[-2:]
    if len(tokens) == 1 and tokens[0].kind in ("word", "identifier", "string"):
        return Term(reader.inner(tokens).name(), None, collation, descending)
    return Term(None, reader.text(tokens), collation, descending)


_AFTER_TYPE_LIST = """
CONSTRAINT NULL NOT PRIMARY UNIQUE CHECK REFERENCES COLLATE DEFAULT AS DEFERRABLE FOREIGN
"""
_AFTER_TYPE = frozenset(_AFTER_TYPE_LIST.split())


def _read_column(reader: Reader, draft: _Draft) -> None:
    column = ColumnText(reader.name())
    while not reader.at_end and reader.peek().upper not in _AFTER_TYPE:
        if reader.sees("("):
            reader.group()
        else:
            reader.take()
    while not reader.at_end and not reader.sees("FOREIGN"):
        column = _read_column_constraint(reader, draft, column)
    draft.columns.append(column)


def _read_column_constraint(reader: Reader, draft: _Draft, column: ColumnText) -> ColumnText:
    """Read one constraint of a column.

    SQLite lets table constraints follow without a comma: they read the same.
    """
    word = reader.take().upper
    if word == "CONSTRAINT":
        draft.name = reader.name()
    elif word == "NOT" and reader.accept("NULL"):
        return replace(column, not_null_name=draft.name, conflict=_conflict(reader))
    elif word == "NULL":
        _conflict(reader)
    elif word in ("PRIMARY", "UNIQUE"):
        _read_key(reader, draft, column.name, word)
    elif word == "CHECK":
        draft.checks.append(Check(draft.name, reader.text(reader.group()), column.name))
        _conflict(reader)
    elif word == "REFERENCES":
        draft.foreign_keys.append(_reference(reader, draft.name, (column.name,)))
    elif word in ("DEFERRABLE", "NOT"):
        if word == "NOT":
            reader.expect("DEFERRABLE")
        draft.foreign_keys[-1] = _defer(reader, draft.foreign_keys[-1], is_deferrable=word == "DEFERRABLE")
    elif word == "COLLATE":
        return replace(column, collation=reader.name())
    elif word == "DEFAULT":
        _skip_default(reader)
    elif word == "AS":
        generated = reader.text(reader.group())
        is_stored = reader.peek().kind == "word" and reader.accept_one("STORED", "VIRTUAL") == "STORED"
        return replace(column, generated=generated, is_stored=is_stored)
    elif word not in ("GENERATED", "ALWAYS"):
        raise Unexpected(word, "a constraint of a column")
    return column


def _skip_default(reader: Reader) -> None:
    if reader.sees("("):
        reader.group()
        return
    while reader.accept_one("+", "-"):
        pass
    reader.take()


def _read_key(reader: Reader, draft: _Draft, column: str | None, word: str) -> None:
    """Read PRIMARY KEY or UNIQUE: at a column its sort order, in a table its list of terms."""
    if word == "PRIMARY":
        reader.expect("KEY")
    autoincrement = False
    is_at_column = not reader.sees("(")
    if not is_at_column:
        inner = list(reader.group())
        if inner and inner[-1].upper == "AUTOINCREMENT":
            autoincrement = True
            inner.pop()
        terms = _terms(reader, inner)
    else:
        terms = (Term(column, descending=reader.accept_one("ASC", "DESC") == "DESC"),)
    conflict = _conflict(reader)
    autoincrement = reader.accept("AUTOINCREMENT") or autoincrement
    key = Unique(draft.name, terms, autoincrement, conflict, is_at_column)
    if word == "PRIMARY":
        draft.primary_key = key
    else:
        draft.uniques.append(key)


def _read_table_constraint(reader: Reader, draft: _Draft) -> None:
    word = reader.take().upper
    if word == "CONSTRAINT":
        draft.name = reader.name()
    elif word in ("PRIMARY", "UNIQUE"):
        _read_key(reader, draft, None, word)
    elif word == "CHECK":
        draft.checks.append(Check(draft.name, reader.text(reader.group())))
        _conflict(reader)
    elif word == "FOREIGN":
        reader.expect("KEY")
        columns = tuple(reader.inner(part).name() for part in commas(reader.group()))
        reader.expect("REFERENCES")
        key = _reference(reader, draft.name, columns)
        if reader.accept("NOT", "DEFERRABLE"):
            key = _defer(reader, key, is_deferrable=False)
        elif reader.accept("DEFERRABLE"):
            key = _defer(reader, key, is_deferrable=True)
        draft.foreign_keys.append(key)
    else:
        raise Unexpected(word, "a constraint of a table")


def _reference(reader: Reader, name: str | None, columns: tuple[str, ...]) -> ForeignKey:
    key = ForeignKey(name, columns, reader.name())
    if reader.sees("("):
        key = replace(key, parent_columns=tuple(reader.inner(part).name() for part in commas(reader.group())))
    while True:
        if reader.accept("MATCH"):
            reader.name()
        elif reader.accept("ON", "DELETE"):
            key = replace(key, on_delete=_action(reader))
        elif reader.accept("ON", "UPDATE"):
            key = replace(key, on_update=_action(reader))
        elif reader.accept("ON", "INSERT"):
            _action(reader)
        else:
            return key


def _action(reader: Reader) -> str:
    first = reader.take().upper
    return f"{first} {reader.take().upper}" if first in ("SET", "NO") else first


def _defer(reader: Reader, key: ForeignKey, *, is_deferrable: bool) -> ForeignKey:
    is_deferred = reader.accept("INITIALLY") and reader.take().upper == "DEFERRED"
    return replace(key, is_deferrable=is_deferrable, is_deferred=is_deferrable and is_deferred)


def _conflict(reader: Reader) -> str | None:
    return reader.take().upper if reader.accept("ON", "CONFLICT") else None
