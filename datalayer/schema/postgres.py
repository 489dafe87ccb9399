"""PostgreSQL's DDL for a schema that is written for SQLite.

Everything is decided before anything is created: what has no sure translation is refused with the object,
the line and what to write instead. Knows no connection; catalog reads what is there, migrator runs what is
derived here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from datalayer.errors import MigrationRefused
from datalayer.schema.declaration import read_view
from datalayer.schema.plan import Step, object_of
from datalayer.schema.postgres_functions import Value, adapt, as_condition
from datalayer.schema.postgres_query import Source, Translator
from datalayer.schema.postgres_trigger import trigger_sql
from datalayer.schema.postgres_types import Kind, Layout, PgColumn, PgTable, Unsupported, layout_of
from datalayer.schema.postgres_words import is_word_index, with_word_indexes, word_index_sql
from datalayer.schema.snapshot import ForeignKey, Index, Schema, Table, Term, Trigger, Unique, View
from datalayer.schema.tokens import fold, line_of, quote, significant, split, tokenize, unquote

__all__ = ["Derived", "derive", "object_lines"]

_NAME_BYTES = 63


@dataclass(frozen=True, slots=True)
class Derived:
    """The DDL of a whole schema: `tables` come first, rows that the schema brings along next, then `rest`."""

    layout: Layout
    tables: tuple[Step, ...]
    rest: tuple[Step, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All statements in order."""
        return self.tables + self.rest


@dataclass(slots=True)
class _Work:
    """A derivation while it is made."""

    schema: Schema
    layout: Layout
    lines: Mapping[tuple[str, str], int]
    source: str
    tables: list[Step] = field(default_factory=list[Step])
    indexes: list[Step] = field(default_factory=list[Step])
    references: list[Step] = field(default_factory=list[Step])
    last: list[Step] = field(default_factory=list[Step])


def derive(
    schema: Schema, *, lines: Mapping[tuple[str, str], int] | None = None, source: str = "the schema"
) -> Derived:
    """Derive the DDL for PostgreSQL 14 and newer. Touches no database.

    `lines` gives the line of each object in `source`, as object_lines() reads them. Tables come in the
    order of their references; a reference that closes a circle, or whose parent is unique by an index, is
    added afterwards.

    Raises MigrationRefused with the object, the line, the construct and what to write instead.
    """
    schema = with_word_indexes(schema)
    work = _Work(schema, _layout(schema, lines or {}, source), lines or {}, source)
    _refuse_names(work)
    made: set[str] = set()
    for table in _by_dependency(schema):
        _of(work, "table", table.name, table.sql, lambda t=table: _table(work, t, made))
        made.add(fold(table.name))
        for index in table.indexes:
            _of(
                work,
                "index",
                index.name,
                index.sql,
                lambda t=table, i=index: work.indexes.append(_index(work, t, i)),
            )
    for view in schema.views:
        _of(work, "view", view.name, view.sql, lambda v=view: work.last.append(_view(work, v)))
    for trigger in schema.triggers:
        _of(work, "trigger", trigger.name, trigger.sql, lambda t=trigger: _trigger(work, t))
    return Derived(work.layout, tuple(work.tables), (*work.indexes, *work.references, *work.last))


def object_lines(script: str) -> dict[tuple[str, str], int]:
    """Give the line on which each object of a script is created, by (kind, folded name)."""
    made = ((object_of(statement), statement.line) for statement in split(script))
    return {(thing[0], fold(thing[1])): line for thing, line in made if thing}


# -- refusals -------------------------------------------------------------------------------------------


def _refuse(
    lines: Mapping[tuple[str, str], int], source: str, kind: str, name: str, sql: str, exc: Unsupported
) -> MigrationRefused:
    first = lines.get((kind, fold(name)))
    where = f"{source}, line {first + line_of(sql, exc.position) - 1}" if first else source
    return MigrationRefused(
        f"{where}: {kind} {name} cannot be made on PostgreSQL",
        why=f"{exc.construct} has no sure translation",
        hint=exc.instead,
    )


def _of(work: _Work, kind: str, name: str, sql: str, make: Callable[[], object]) -> None:
    try:
        make()
    except Unsupported as exc:
        raise _refuse(work.lines, work.source, kind, name, sql, exc) from exc


def _layout(schema: Schema, lines: Mapping[tuple[str, str], int], source: str) -> Layout:
    for table in schema.tables:
        if table.kind != "table":
            raise _refuse(
                lines,
                source,
                "table",
                table.name,
                table.sql,
                Unsupported("a virtual table", "use a plain table, or FTS5 over one (content=)"),
            )
        try:
            layout_of(Schema((table,), (), ()))
        except Unsupported as exc:
            raise _refuse(lines, source, "table", table.name, table.sql, exc) from exc
    return layout_of(schema)


def _refuse_names(work: _Work) -> None:
    """PostgreSQL cuts names at 63 bytes, and keeps the indexes of constraints among the tables' names."""
    taken: dict[str, str] = {}
    for kind, name, table, is_relation in _named(work.schema):
        label = f"{kind} {name}"
        if len(name.encode()) > _NAME_BYTES or "\0" in name:
            raise MigrationRefused(
                f"{work.source}: the {label} cannot be made on PostgreSQL",
                why=f"its name has more than {_NAME_BYTES} bytes",
                hint="give it a shorter name",
            )
        space = "" if is_relation else f"{kind} of {table}"
        if f"{space}\0{name}" in taken:
            raise MigrationRefused(
                f"{work.source}: the {label} cannot be made on PostgreSQL",
                why=f"the {taken[f'{space}{chr(0)}{name}']} has the same name",
                hint="give each a name of its own",
            )
        taken[f"{space}\0{name}"] = label


def _named(schema: Schema) -> Iterator[tuple[str, str, str, bool]]:
    for table in schema.tables:
        yield "table", table.name, "", True
        yield from (("column", column.name, table.name, False) for column in table.columns)
        yield from (("index", index.name, table.name, True) for index in table.indexes)
        for key in (table.primary_key, *table.uniques):
            if key is not None and key.name:
                yield "constraint", key.name, table.name, True
        for constraint in (*table.checks, *table.foreign_keys):
            if constraint.name:
                yield "rule", constraint.name, table.name, False
    yield from (("view", view.name, "", True) for view in schema.views)
    yield from (("trigger", trigger.name, "", False) for trigger in schema.triggers)


# -- tables ---------------------------------------------------------------------------------------------


def _by_dependency(schema: Schema) -> list[Table]:
    """Parents before children, else in the order of the schema.

    A circle is cut at the table with fewest debts.
    """
    left = list(schema.tables)
    known = {fold(table.name) for table in left}
    ordered: list[Table] = []
    made: set[str] = set()
    while left:
        debts = [
            len({fold(key.parent) for key in table.foreign_keys} & known - made - {fold(table.name)})
            for table in left
        ]
        table = left.pop(debts.index(min(debts)))
        ordered.append(table)
        made.add(fold(table.name))
    return ordered


def _table(work: _Work, table: Table, made: set[str]) -> None:
    mine = work.layout[fold(table.name)]
    lines = [_column(table, mine.columns[fold(column.name)]) for column in table.columns]
    if table.primary_key is not None:
        names = ", ".join(quote(name) for name in _key_columns(table.primary_key, mine))
        lines.append(f"{_named_as(table.primary_key.name)}PRIMARY KEY ({names})")
    for unique in table.uniques:
        if any(term.collation and term.collation.upper() != "BINARY" for term in unique.terms):
            work.indexes.append(_unique_index(table, mine, unique))
        else:
            names = ", ".join(quote(name) for name in _key_columns(unique, mine))
            lines.append(f"{_named_as(unique.name)}UNIQUE ({names})")
    for check in table.checks:
        if check not in mine.replaced:
            condition = as_condition(_expression(table, mine, check.expression, work.layout))
            lines.append(f"{_named_as(check.name)}CHECK ({condition})")
    for key in table.foreign_keys:
        parent = work.schema.table(key.parent)
        text = _reference(work, table, mine, key, parent)
        is_made = fold(key.parent) in made or fold(key.parent) == fold(table.name)
        if is_made and parent is not None and _is_constraint_key(parent, key):
            lines.append(text)
        else:
            name = key.name or f"{table.name}({', '.join(key.columns)})"
            work.references.append(Step("constraint", name, f"ALTER TABLE {quote(table.name)} ADD {text}"))
    body = ",\n".join(f"    {line}" for line in lines)
    work.tables.append(Step("table", table.name, f"CREATE TABLE {quote(table.name)} (\n{body}\n)"))


def _named_as(name: str | None) -> str:
    return f"CONSTRAINT {quote(name)} " if name else ""


def _column(table: Table, column: PgColumn) -> str:
    source = column.source
    if source.collation and source.collation.upper() != "BINARY" and column.kind == "text":
        raise Unsupported(
            f"COLLATE {source.collation} on the column {column.name}",
            "leave COLLATE out here and write CREATE UNIQUE INDEX ... (column COLLATE NOCASE);"
            " compare lower(column) in queries",
            _find(table.sql, "COLLATE"),
        )
    if source.conflict not in (None, "ABORT"):
        raise Unsupported(
            f"NOT NULL ON CONFLICT {source.conflict}", "leave ON CONFLICT out", _find(table.sql, "CONFLICT")
        )
    parts = [quote(column.name), column.type]
    if table.rowid_column is source:
        parts.append("GENERATED BY DEFAULT AS IDENTITY")
    if source.is_not_null:
        parts.append("NOT NULL")
    if source.generated is not None:
        own = PgTable(table.name, {}, ())
        own = layout_of(Schema((table,), (), ()))[fold(table.name)]
        value = _expression(table, own, source.generated, {})
        parts.append(f"GENERATED ALWAYS AS ({adapt(value, column.kind)}) STORED")
    elif source.default is not None and source.default.upper() != "NULL":
        parts.append(f"DEFAULT {_default(table, source.default, column.kind)}")
    return " ".join(parts)


def _default(table: Table, text: str, kind: Kind) -> str:
    tokens = significant(tokenize(text))
    words = ("TRUE", "FALSE", "NULL", "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME")
    if len(tokens) == 1 and tokens[0].kind in ("word", "identifier") and tokens[0].upper not in words:
        text = "'" + unquote(tokens[0]).replace("'", "''") + "'"  # a bare word is a text there
    try:
        return adapt(Translator(text, {}).whole(), kind)
    except Unsupported as exc:
        exc.position += max(table.sql.find(text), 0)
        raise


def _expression(table: Table, mine: PgTable, text: str, layout: Layout) -> Value:
    try:
        return Translator(text, layout, [Source(table.name, mine)]).whole()
    except Unsupported as exc:
        exc.position += max(table.sql.find(text), 0)
        raise


def _find(sql: str, word: str) -> int:
    return next((token.start for token in tokenize(sql) if token.upper == word), 0)


def _key_columns(key: Unique, mine: PgTable) -> list[str]:
    if key.conflict not in (None, "ABORT"):
        raise Unsupported(
            f"ON CONFLICT {key.conflict} at a key", "leave it out and write ON CONFLICT in the INSERT"
        )
    names: list[str] = []
    for term in key.terms:
        column = mine.column(term.column or "")
        if column is None:
            raise Unsupported(f"{term.expression or term.column} in a key", "name a column of the table")
        names.append(column.name)
    return names


def _unique_index(table: Table, mine: PgTable, key: Unique) -> Step:
    name = key.name or "_".join((table.name, *_key_columns(key, mine), "key"))
    terms = ", ".join(_index_term(table, mine, term, has_nulls=False) for term in key.terms)
    return Step("index", name, f"CREATE UNIQUE INDEX {quote(name)} ON {quote(table.name)} ({terms})")


# -- references -----------------------------------------------------------------------------------------


def _reference(work: _Work, table: Table, mine: PgTable, key: ForeignKey, parent: Table | None) -> str:
    if parent is None:
        raise Unsupported(f"a reference to {key.parent}, which does not exist", "name a table of this schema")
    theirs = work.layout[fold(parent.name)]
    parents = _parent_columns(parent, key)
    children = [mine.column(name) for name in key.columns]
    targets = [theirs.column(name) for name in parents]
    if len(children) != len(targets) or None in targets or not _is_unique(parent, parents):
        raise Unsupported(
            f"a reference to columns of {key.parent} that are no key", "refer to its primary or a unique key"
        )
    for child, target in zip(children, targets):
        if child is None or target is None or child.kind != target.kind:
            raise Unsupported(
                f"a reference between columns of two types ({key.parent})", "declare both the same type"
            )
    text = f"{_named_as(key.name)}FOREIGN KEY ({', '.join(quote(c.name) for c in children if c)})"
    text += f" REFERENCES {quote(parent.name)} ({', '.join(quote(c.name) for c in targets if c)})"
    for event, action in (("DELETE", key.on_delete), ("UPDATE", key.on_update)):
        text += f" ON {event} {action}" if action != "NO ACTION" else ""
    if key.is_deferrable:
        text += " DEFERRABLE" + (" INITIALLY DEFERRED" if key.is_deferred else "")
    return text


def _parent_columns(parent: Table, key: ForeignKey) -> tuple[str, ...]:
    if key.parent_columns:
        return key.parent_columns
    keys = sorted((column.key_position, column.name) for column in parent.columns if column.key_position)
    return tuple(name for _, name in keys)


def _is_constraint_key(parent: Table, key: ForeignKey) -> bool:
    """Whether the parent's columns are unique by a constraint, not only by an index that is made later."""
    wanted = {fold(name) for name in _parent_columns(parent, key)}
    plain = [
        k for k in (parent.primary_key, *parent.uniques) if k and not any(term.collation for term in k.terms)
    ]
    return any({fold(name) for name in candidate.columns} == wanted for candidate in plain)


def _is_unique(parent: Table, columns: Sequence[str]) -> bool:
    wanted = {fold(name) for name in columns}
    indexes = [i.terms for i in parent.indexes if i.is_unique and i.where is None]
    keys = [key.terms for key in (parent.primary_key, *parent.uniques) if key]
    return any(
        {fold(term.column or "") for term in terms} == wanted and not any(term.collation for term in terms)
        for terms in (*indexes, *keys)
    )


# -- indexes, views, triggers ---------------------------------------------------------------------------


def _index(work: _Work, table: Table, index: Index) -> Step:
    if is_word_index(index):
        return Step("index", index.name, word_index_sql(index))
    mine = work.layout[fold(table.name)]
    terms: list[str] = []
    for term in index.terms:
        column = mine.column(term.column or "")
        has_nulls = column is None or not (column.source.is_not_null or column.source.key_position)
        terms.append(_index_term(table, mine, term, has_nulls=has_nulls, base=index.sql))
    unique = "UNIQUE " if index.is_unique else ""
    sql = f"CREATE {unique}INDEX {quote(index.name)} ON {quote(table.name)} ({', '.join(terms)})"
    if index.where is not None:
        try:
            sql += f" WHERE {as_condition(_expression(table, mine, index.where, {}))}"
        except Unsupported as exc:
            exc.position += max(index.sql.find(index.where), 0)
            raise
    return Step("index", index.name, sql)


def _index_term(table: Table, mine: PgTable, term: Term, *, has_nulls: bool, base: str = "") -> str:
    column = mine.column(term.column or "")
    if column is not None:
        sql, kind = quote(column.name), column.kind
    else:
        value = _expression(table, mine, term.expression or quote(term.column or ""), {})
        sql, kind = f"({value.sql})", value.kind
    collation = (term.collation or "BINARY").upper()
    if collation == "NOCASE" and kind == "text":
        sql = f"lower({sql})"
    elif collation not in ("BINARY", "NOCASE"):
        raise Unsupported(f"COLLATE {collation} in an index", "use BINARY or NOCASE", _find(base, "COLLATE"))
    # NULL is the least value on SQLite; said only where NULL can stand, for the planner compares the words
    nulls = (" NULLS LAST" if term.descending else " NULLS FIRST") if has_nulls else ""
    return sql + (" DESC" if term.descending else "") + nulls


def _view(work: _Work, view: View) -> Step:
    text = read_view(view.sql)
    translator = Translator(text.query, work.layout)
    try:
        query = translator.query()
        translator.finish()
    except Unsupported as exc:
        exc.position += max(view.sql.find(text.query), 0)
        raise
    columns = f" ({', '.join(quote(name) for name in view.columns)})" if view.columns else ""
    return Step("view", view.name, f"CREATE VIEW {quote(view.name)}{columns} AS {query.sql}")


def _trigger(work: _Work, trigger: Trigger) -> None:
    function, sql = trigger_sql(trigger, work.layout, work.schema.table(trigger.table))
    work.last.append(Step("function", trigger.name, function))
    work.last.append(Step("trigger", trigger.name, sql))
