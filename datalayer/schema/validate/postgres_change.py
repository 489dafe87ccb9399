"""What a PostgreSQL statement changes, read from its tokens: tables, columns, constraints, indexes, types.

Reads what the rules ask for and goes past the rest; a statement that it does not know changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from datalayer.schema.reader import Reader, Unexpected, commas
from datalayer.schema.tokens import Statement, Token, unquote
from datalayer.schema.validate.postgres_type import name_of, type_text
from datalayer.schema.validate.source import line_at, reader_of

__all__ = ["Change", "Constraint", "changes_of", "words_of"]

_CONSTRAINTS = ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "EXCLUDE", "NOT")
_AFTER_TYPE_LIST = "CONSTRAINT NULL NOT PRIMARY UNIQUE CHECK REFERENCES COLLATE DEFAULT GENERATED STORAGE"
_AFTER_TYPE = frozenset(_AFTER_TYPE_LIST.split())


@dataclass(frozen=True, slots=True)
class Constraint:
    """A PRIMARY KEY, UNIQUE, CHECK, FOREIGN KEY, EXCLUDE or NOT NULL; `tokens` are those of a CHECK."""

    kind: str
    name: str = ""
    columns: tuple[str, ...] = ()
    parent: str = ""
    parent_columns: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = ()
    is_not_valid: bool = False
    uses_index: bool = False
    actions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `kind` is "create table", "add column", "set type" and so on.

    `name` is the column, index, constraint or type, `other` a new name, the type of a column or an index's
    method and WHERE, `labels` the labels of an enum or what an index includes. `is_open`: the table has
    columns of others too.
    """

    kind: str
    line: int
    table: str = ""
    name: str = ""
    other: str = ""
    columns: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    labels: tuple[str, ...] = ()
    default: tuple[Token, ...] = ()
    inner: tuple[Change, ...] = ()
    is_conditional: bool = False
    is_concurrent: bool = False
    is_unique: bool = False
    is_not_null: bool = False
    is_rewriting: bool = False
    is_open: bool = False


def words_of(tokens: Sequence[Token]) -> str:
    """Give the keywords and operators of some tokens with one space between, for looking at."""
    return " ".join(token.upper or token.text for token in tokens)


def changes_of(statement: Statement) -> list[Change]:
    """Give the changes of a statement; none where it changes no schema or cannot be read."""
    try:
        return list(_Parser(statement).read())
    except Unexpected:
        return []


class _Parser:
    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.reader = reader_of(statement)

    def line(self, reader: Reader | None = None) -> int:
        token = (reader or self.reader).peek()
        if not token.text:
            return self.statement.line
        start = self.statement.tokens[0].start
        return line_at(self.statement, _moved_back(token, start))

    def read(self) -> Iterator[Change]:
        reader = self.reader
        verb = reader.take().upper
        if verb == "CREATE":
            yield from self._create()
        elif verb == "ALTER":
            yield from self._alter()
        elif verb == "DROP":
            yield from self._drop()
        elif verb in ("INSERT", "UPDATE", "DELETE", "MERGE"):
            yield self._write(verb)
        elif verb == "TRUNCATE":
            reader.accept("TABLE")
            yield from self._listed("truncate")
        elif verb == "COMMENT" and reader.accept("ON"):
            yield from self._comment()
        elif verb == "SELECT" and (made := self._made_by_query()):
            yield Change("create relation", self.statement.line, name=made)

    def _listed(self, kind: str) -> Iterator[Change]:
        """Read a list of tables."""
        reader = self.reader
        while True:
            reader.accept("ONLY")
            line = self.line()
            yield Change(kind, line, self._qualified(reader))
            reader.accept("*")
            if not reader.accept(","):
                return

    def _comment(self) -> Iterator[Change]:
        reader = self.reader
        noun = reader.accept_one("TABLE", "COLUMN")
        if noun:
            line = self.line()
            table, _, column = self._qualified(reader).rpartition(".")
            is_column = noun == "COLUMN"
            yield Change("comment", line, table if is_column else column, column if is_column else "")

    def _made_by_query(self) -> str:
        """Give the table that SELECT ... INTO makes; empty where it makes none."""
        reader, depth = self.reader, 0
        while not reader.at_end:
            token = reader.take()
            depth += (token.text == "(") - (token.text == ")")
            if depth == 0 and token.upper == "INTO":
                while reader.accept_one("TEMP", "TEMPORARY", "UNLOGGED", "TABLE"):
                    continue
                return self._qualified(reader)
        return ""

    def _qualified(self, reader: Reader) -> str:
        name = self._name(reader)
        while reader.accept("."):
            last = self._name(reader)
            name = last if name == "public" else f"{name}.{last}"
        return name

    def _name(self, reader: Reader) -> str:
        if reader.peek().kind not in ("word", "identifier"):
            raise Unexpected(reader.peek().text, "a name")
        return name_of(reader.take())

    def _names(self, reader: Reader) -> tuple[str, ...]:
        return tuple(name_of(part[0]) if len(part) else "" for part in commas(reader.group()))

    def _create(self) -> Iterator[Change]:
        reader = self.reader
        line = self.statement.line
        while reader.accept_one("OR", "REPLACE", "GLOBAL", "LOCAL", "UNLOGGED", "RECURSIVE"):
            continue
        if reader.accept_one("TEMP", "TEMPORARY"):
            reader.accept_one("TABLE", "VIEW", "SEQUENCE")
            reader.accept("IF", "NOT", "EXISTS")
            yield Change("create relation", line, name=self._qualified(reader))
            return
        is_unique = reader.accept("UNIQUE")
        if reader.accept("TABLE"):
            yield self._table(line)
        elif reader.accept("INDEX"):
            yield self._index(line, is_unique=is_unique)
        elif reader.accept("TYPE"):
            name = self._qualified(reader)
            if reader.accept("AS", "ENUM"):
                labels = tuple(unquote(token) for token in reader.group() if token.kind == "string")
                yield Change("create enum", line, name=name, labels=labels)
            else:
                yield Change("create type", line, name=name)
        elif noun := reader.accept_one("VIEW", "MATERIALIZED", "SCHEMA", "SEQUENCE", "DOMAIN", "FOREIGN"):
            reader.accept_one("VIEW", "TABLE")
            conditional = reader.accept("IF", "NOT", "EXISTS")
            kind = "relation" if noun in ("VIEW", "MATERIALIZED", "FOREIGN", "SEQUENCE") else noun.lower()
            yield Change(f"create {kind}", line, name=self._qualified(reader), is_conditional=conditional)
        elif reader.accept("TRIGGER") or reader.accept("CONSTRAINT", "TRIGGER"):
            name = self._name(reader)
            while not reader.at_end and not reader.accept("ON"):
                reader.take()
            line = self.line()
            yield Change("create trigger", line, self._qualified(reader), name)

    def _table(self, line: int) -> Change:
        reader = self.reader
        conditional = reader.accept("IF", "NOT", "EXISTS")
        table = self._qualified(reader)
        if not reader.sees("("):
            kind = "create relation" if reader.sees("AS") else "create part"
            return Change(kind, line, name=table, table=table, is_conditional=conditional)
        columns: list[Change] = []
        constraints: list[Constraint] = []
        is_open = False
        for part in commas(reader.group()):
            inner = reader.inner(part)
            is_open = is_open or inner.sees("LIKE")
            if inner.peek().upper in _CONSTRAINTS and inner.peek(1).upper != ",":
                constraints.append(self._constraint(inner))
            elif not inner.sees("LIKE"):
                column = self._column(inner, table)
                columns.append(column)
                constraints.extend(column.constraints)
        return Change(
            "create table",
            line,
            table,
            table,
            inner=tuple(columns),
            constraints=tuple(constraints),
            is_conditional=conditional,
            is_open=is_open or reader.sees("INHERITS"),
        )

    def _column(self, reader: Reader, table: str) -> Change:
        line = self.line(reader)
        name = self._name(reader)
        start = reader.place
        while not reader.at_end and reader.peek().upper not in _AFTER_TYPE:
            if reader.sees("("):
                reader.group()
            else:
                reader.take()
        change = Change("add column", line, table, name, type_text(reader.tokens[start : reader.place]))
        constraints: list[Constraint] = []
        title = ""
        while not reader.at_end:
            word = reader.take().upper
            if word == "CONSTRAINT":
                title = self._name(reader)
            elif word == "NOT" and reader.accept("NULL"):
                change = replace(change, is_not_null=True)
            elif word == "DEFAULT":
                change = replace(change, default=_default(reader))
            elif word == "GENERATED":
                stored = any(token.upper in ("STORED", "IDENTITY") for token in reader.tokens[reader.place :])
                change = replace(change, is_rewriting=stored)
                _until_group(reader)
            elif word in ("PRIMARY", "UNIQUE"):
                reader.accept("KEY")
                constraints.append(Constraint(word, title, (name,)))
                title = ""
            elif word == "CHECK":
                constraints.append(Constraint("CHECK", title, (name,), tokens=reader.group()))
                title = ""
            elif word == "REFERENCES":
                constraints.append(self._reference(reader, title, (name,)))
                title = ""
        return replace(change, constraints=tuple(constraints))

    def _reference(self, reader: Reader, title: str, columns: tuple[str, ...]) -> Constraint:
        parent = self._qualified(reader)
        named = self._names(reader) if reader.sees("(") else ()
        actions: list[tuple[str, str]] = []
        if reader.accept("MATCH"):
            reader.take()
        while reader.sees("ON", "DELETE") or reader.sees("ON", "UPDATE"):
            reader.take()
            event, action = reader.take().upper, reader.take().upper
            if action in ("SET", "NO"):
                action = f"{action} {reader.take().upper}"
            if reader.sees("("):
                reader.group()
            actions += [] if action == "NO ACTION" else [(event, action)]
        return Constraint("FOREIGN", title, columns, parent, named, actions=tuple(sorted(actions)))

    def _constraint(self, reader: Reader) -> Constraint:
        title = self._name(reader) if reader.accept("CONSTRAINT") else ""
        word = reader.take().upper
        if word == "FOREIGN":
            reader.expect("KEY")
            columns = self._names(reader)
            reader.expect("REFERENCES")
            found = self._reference(reader, title, columns)
        elif word == "CHECK":
            found = Constraint("CHECK", title, tokens=reader.group())
        elif word in ("PRIMARY", "UNIQUE"):
            reader.accept("KEY")
            reader.accept("NULLS", "NOT", "DISTINCT")
            uses_index = reader.accept("USING", "INDEX")
            columns = self._names(reader) if reader.sees("(") else ()
            found = Constraint(word, title, columns, uses_index=uses_index)
        else:
            found = Constraint(word, title, tokens=tuple(reader.tokens[reader.place :]))
        rest = words_of(reader.tokens[reader.place :])
        return replace(found, is_not_valid="NOT VALID" in rest)

    def _index(self, line: int, *, is_unique: bool) -> Change:
        reader = self.reader
        is_concurrent = reader.accept("CONCURRENTLY")
        conditional = reader.accept("IF", "NOT", "EXISTS")
        name = "" if reader.sees("ON") else self._qualified(reader)
        reader.expect("ON")
        reader.accept("ONLY")
        table = self._qualified(reader)
        method = name_of(reader.take()) if reader.accept("USING") else "btree"
        terms = tuple(_term(reader, part) for part in commas(reader.group()))
        rest = words_of(reader.tokens[reader.place :])
        where = rest.partition("WHERE ")[2]
        include = f"INCLUDE {' '.join(self._names(reader))}" if reader.accept("INCLUDE") else ""
        name = name or f"{table}_{'_'.join(terms)}_idx"
        return Change(
            "create index",
            line,
            table,
            name,
            f"{method} {where}".strip(),
            columns=terms,
            labels=(include,) if include else (),
            is_conditional=conditional,
            is_concurrent=is_concurrent,
            is_unique=is_unique,
        )

    def _alter(self) -> Iterator[Change]:
        reader = self.reader
        line = self.statement.line
        if reader.accept("TYPE"):
            yield from self._alter_type(line)
            return
        if reader.accept("INDEX"):
            conditional = reader.accept("IF", "EXISTS")
            name = self._qualified(reader)
            if reader.accept("RENAME", "TO"):
                other = self._name(reader)
                yield Change("rename index", line, name=name, other=other, is_conditional=conditional)
            return
        if not reader.accept("TABLE"):
            return
        conditional = reader.accept("IF", "EXISTS")
        reader.accept("ONLY")
        table = self._qualified(reader)
        yield Change("alter table", line, table, table, is_conditional=conditional)
        for part in commas(reader.tokens[reader.place :]):
            inner = reader.inner(part)
            yield from self._action(inner, table, self.line(inner))

    def _alter_type(self, line: int) -> Iterator[Change]:
        reader = self.reader
        name = self._qualified(reader)
        if reader.accept("ADD", "VALUE"):
            conditional = reader.accept("IF", "NOT", "EXISTS")
            label = unquote(reader.take())
            yield Change("add value", line, name=name, labels=(label,), is_conditional=conditional)
        elif reader.accept("RENAME", "TO"):
            yield Change("rename type", line, name=name, other=self._name(reader))
        elif reader.accept("RENAME", "VALUE"):
            old = unquote(reader.take())
            reader.expect("TO")
            yield Change("rename value", line, name=name, labels=(old, unquote(reader.take())))

    def _action(self, reader: Reader, table: str, line: int) -> Iterator[Change]:
        verb = reader.take().upper
        if verb == "ADD":
            if reader.peek().upper in _CONSTRAINTS:
                found = self._constraint(reader)
                yield Change("add constraint", line, table, found.name, constraints=(found,))
                return
            reader.accept("COLUMN")
            conditional = reader.accept("IF", "NOT", "EXISTS")
            yield replace(self._column(reader, table), line=line, is_conditional=conditional)
        elif verb == "DROP":
            kind = "drop constraint" if reader.accept("CONSTRAINT") else "drop column"
            reader.accept("COLUMN")
            conditional = reader.accept("IF", "EXISTS")
            yield Change(kind, line, table, self._name(reader), is_conditional=conditional)
        elif verb == "RENAME":
            yield self._rename(reader, table, line)
        elif verb == "ALTER":
            yield from self._alter_column(reader, table, line)
        elif verb == "VALIDATE":
            reader.expect("CONSTRAINT")
            yield Change("validate", line, table, self._name(reader))
        elif verb == "SET" and reader.peek().upper in ("LOGGED", "UNLOGGED", "TABLESPACE", "ACCESS"):
            yield Change("rewrite", line, table, other=f"SET {reader.take().upper}")

    def _rename(self, reader: Reader, table: str, line: int) -> Change:
        if reader.accept("TO"):
            return Change("rename table", line, table, table, self._name(reader))
        kind = "rename constraint" if reader.accept("CONSTRAINT") else "rename column"
        reader.accept("COLUMN")
        old = self._name(reader)
        reader.expect("TO")
        return Change(kind, line, table, old, self._name(reader))

    def _alter_column(self, reader: Reader, table: str, line: int) -> Iterator[Change]:
        if reader.accept("CONSTRAINT"):
            return
        reader.accept("COLUMN")
        name = self._name(reader)
        if reader.accept("SET", "NOT", "NULL"):
            yield Change("set not null", line, table, name)
        elif reader.accept("DROP", "NOT", "NULL"):
            yield Change("drop not null", line, table, name)
        elif reader.accept("SET", "DEFAULT"):
            yield Change("set default", line, table, name, default=_default(reader))
        elif reader.accept("DROP", "DEFAULT"):
            yield Change("drop default", line, table, name)
        elif reader.accept("ADD", "GENERATED"):
            yield Change("rewrite", line, table, name, "ADD GENERATED ... AS IDENTITY")
        elif reader.accept("TYPE") or reader.accept("SET", "DATA", "TYPE"):
            start = reader.place
            while not reader.at_end and reader.peek().upper not in ("USING", "COLLATE"):
                reader.take()
            text = type_text(reader.tokens[start : reader.place])
            yield Change("set type", line, table, name, text)

    def _drop(self) -> Iterator[Change]:
        reader = self.reader
        reader.accept("MATERIALIZED")
        noun = reader.take().upper
        if noun == "TRIGGER":
            conditional = reader.accept("IF", "EXISTS")
            name = self._name(reader)
            reader.expect("ON")
            yield Change("drop trigger", self.statement.line, self._qualified(reader), name)
            return
        if noun not in ("TABLE", "INDEX", "TYPE", "VIEW", "SEQUENCE", "SCHEMA", "DOMAIN"):
            return
        is_concurrent = reader.accept("CONCURRENTLY")
        conditional = reader.accept("IF", "EXISTS")
        kind = "relation" if noun in ("VIEW", "SEQUENCE") else noun.lower()
        while True:
            line = self.line()
            name = self._qualified(reader)
            table = name if noun == "TABLE" else ""
            yield Change(
                f"drop {kind}", line, table, name, is_conditional=conditional, is_concurrent=is_concurrent
            )
            if not reader.accept(","):
                return

    def _write(self, verb: str) -> Change:
        reader = self.reader
        reader.accept_one("INTO", "FROM")
        reader.accept("ONLY")
        table = self._qualified(reader)
        if reader.accept("AS"):
            self._name(reader)
        columns: tuple[str, ...] = ()
        if verb == "INSERT" and reader.sees("("):
            columns = self._names(reader)
        elif verb == "UPDATE":
            while not reader.at_end and not reader.accept("SET"):
                reader.take()
            columns = tuple(_assigned(reader.tokens[reader.place :]))
        return Change(verb.lower(), self.statement.line, table, columns=columns)


def _moved_back(token: Token, start: int) -> Token:
    """Move a token of a statement's own text back to where it stands in the script."""
    return Token(token.kind, token.text, token.start + start, token.end + start)


def _assigned(tokens: Sequence[Token]) -> Iterator[str]:
    stop = next((place for place, token in enumerate(tokens) if token.upper in ("FROM", "WHERE")), None)
    for part in commas(tokens[:stop]):
        if len(part) > 1 and part[1].upper == "=" and part[0].kind in ("word", "identifier"):
            yield name_of(part[0])


def _default(reader: Reader) -> tuple[Token, ...]:
    """Read a default up to the next constraint of the column."""
    start = reader.place
    stops = _AFTER_TYPE - {"NULL", "NOT"}
    while not reader.at_end and reader.peek().upper not in stops:
        is_not_null = reader.sees("NOT", "NULL") or (reader.sees("NULL") and reader.place > start)
        if is_not_null:
            break
        if reader.sees("("):
            reader.group()
        else:
            reader.take()
    return tuple(reader.tokens[start : reader.place])


def _until_group(reader: Reader) -> None:
    while not reader.at_end and not reader.sees("("):
        if reader.take().upper == "IDENTITY":
            break
    if reader.sees("("):
        reader.group()
    reader.accept("STORED")


def _term(reader: Reader, part: Sequence[Token]) -> str:
    if part[0].kind in ("word", "identifier") and (len(part) == 1 or part[1].upper != "("):
        rest = [token.upper for token in part[1:]]
        # the sort order belongs to the term, a class of operators does too
        return " ".join([name_of(part[0]), *rest]).removesuffix(" ASC")
    return reader.text(part)
