"""Random SQLite schemas over a small grammar, a second one not far from the first, and rows for them.

Two schemas that come as a pair know which table and column of one is which of the other, so renames can be
declared: also swaps and chains of names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

_TABLES = ("t1", "t2", "T 3", "order")
_COLUMNS = ("a", "b", "c", "group", "d e")
_TYPES = ("", "INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB")
_STRICT = {"": "ANY", "NUMERIC": "ANY"}
_DEFAULTS = ("", "5", "'x'", "-1", "('a' || 'b')", "NULL", "1.5")
_CHECKS = ("", "{c} IS NOT 3", "typeof({c}) <> 'blob'", "{c} IS NULL OR length({c}) < 4")
_ACTIONS = ("CASCADE", "SET NULL", "RESTRICT", "NO ACTION")
_KEYS = (
    "none",
    "INTEGER PRIMARY KEY",
    "INTEGER PRIMARY KEY AUTOINCREMENT",
    "TEXT PRIMARY KEY",
    "INT PRIMARY KEY",
)

VALUES = st.one_of(
    st.none(),
    st.sampled_from(
        (0, 1, 2, 3, 5, -1, 2**53 + 1, "x", "X", "007", "12", "abc", "", "3.0", 1.5, 2.0, b"\x00b", b"")
    ),
)


@dataclass(frozen=True, slots=True)
class Column:
    """`refers` is the number of a table."""

    number: int
    name: str
    type: str = ""
    is_not_null: bool = False
    default: str = ""
    check: str = ""
    is_unique: bool = False
    is_nocase: bool = False
    refers: int | None = None
    action: str = "CASCADE"


@dataclass(frozen=True, slots=True)
class Index:
    """`columns` are numbers."""

    number: int
    columns: tuple[int, ...]
    is_unique: bool = False
    is_descending: bool = False
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """`key` declares its column id; "none" has no such column."""

    number: int
    name: str
    key: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...] = ()
    is_strict: bool = False
    is_without_rowid: bool = False
    has_trigger: bool = False
    has_view: bool = False


Schema = tuple[Table, ...]


def quoted(name: str) -> str:
    return f'"{name}"'


LOG = "CREATE TABLE log (n INTEGER PRIMARY KEY, what TEXT);"


def script(schema: Schema) -> str:
    """Give the SQL of a schema, with a table that its triggers write to."""
    return "\n".join((LOG, *(table_sql(table, schema) for table in schema), *surroundings(schema)))


def surroundings(schema: Schema) -> list[str]:
    """Give the statements that make what stands on tables."""
    parts = [_index(index, table) for table in schema for index in table.indexes]
    parts += [
        f"CREATE VIEW view_{table.number} AS SELECT count(*) AS n, max({quoted(table.columns[0].name)}) AS m"
        f" FROM {quoted(table.name)};"
        for table in schema
        if table.has_view
    ]
    parts += [
        f"CREATE TRIGGER trigger_{table.number}_{verb} AFTER {verb} ON {quoted(table.name)} BEGIN"
        f" INSERT INTO log (what) SELECT '{verb}' || count(*) FROM {quoted(schema[0].name)}; END;"
        for table in schema
        if table.has_trigger
        for verb in ("INSERT", "UPDATE", "DELETE")
    ]
    return parts


def added_sql(table: Table, schema: Schema) -> str:
    """Give the statement that adds the last column to a table made without it; not every column can be."""
    column = _column(table.columns[-1], {one.number: one for one in schema}, is_strict=is_strict(table))
    return f"ALTER TABLE {quoted(table.name)} ADD COLUMN {column}"


def table_sql(table: Table, schema: Schema) -> str:
    tables = {one.number: one for one in schema}
    rows = [_column(column, tables, is_strict=is_strict(table)) for column in table.columns]
    if table.key != "none":
        key = table.key
        if is_without_rowid(table):
            key = key.replace(" AUTOINCREMENT", "")
        rows.insert(0, f"id {key}")
    options = ["WITHOUT ROWID"] * is_without_rowid(table) + ["STRICT"] * is_strict(table)
    return f"CREATE TABLE {quoted(table.name)} ({', '.join(rows)}) {', '.join(options)};"


def is_strict(table: Table) -> bool:
    return table.is_strict and table.key != "none"


def is_without_rowid(table: Table) -> bool:
    return table.is_without_rowid and table.key != "none"


def _column(column: Column, tables: dict[int, Table], *, is_strict: bool) -> str:
    name = quoted(column.name)
    words = [name, _STRICT.get(column.type, column.type) if is_strict else column.type]
    words += ["COLLATE NOCASE"] * column.is_nocase
    words += ["NOT NULL"] * column.is_not_null
    words += ["UNIQUE"] * column.is_unique
    if column.default:
        words.append(f"DEFAULT {column.default}")
    if column.check:
        words.append(f"CHECK ({column.check.format(c=name)})")
    parent = tables.get(column.refers) if column.refers is not None else None
    if parent is not None and parent.key != "none":
        words.append(f"REFERENCES {quoted(parent.name)} (id) ON DELETE {column.action}")
    return " ".join(word for word in words if word)


def _index(index: Index, table: Table) -> str:
    names = [quoted(column.name) for column in table.columns if column.number in index.columns]
    if not names:
        names = [quoted(table.columns[0].name)]
    if index.is_descending:
        names[0] += " DESC"
    where = f" WHERE {quoted(table.columns[0].name)} > 1" if index.is_partial else ""
    kind = "UNIQUE INDEX" if index.is_unique else "INDEX"
    name = f"index_{table.number}_{index.number}"
    return f"CREATE {kind} {name} ON {quoted(table.name)} ({', '.join(names)}){where};"


def renames(before: Schema, after: Schema) -> dict[str, str]:
    """Give the renames that lead from one schema to the other."""
    found: dict[str, str] = {}
    later = {table.number: table for table in after}
    for table in before:
        now = later.get(table.number)
        if now is None:
            continue
        if now.name != table.name:
            found[table.name] = now.name
        names = {column.number: column.name for column in now.columns}
        for column in table.columns:
            if names.get(column.number, column.name) != column.name:
                found[f"{table.name}.{column.name}"] = names[column.number]
    return found


# -- strategies ------------------------------------------------------------------------------------


@st.composite
def columns(draw: st.DrawFn, number: int, name: str, count: int) -> Column:
    return Column(
        number,
        name,
        draw(st.sampled_from(_TYPES)),
        draw(st.sampled_from((False, False, True))),
        draw(st.sampled_from(_DEFAULTS)),
        draw(st.sampled_from((*_CHECKS, "", ""))),
        draw(st.sampled_from((False, False, False, True))),
        draw(st.booleans()),
        draw(st.one_of(st.none(), st.none(), st.integers(0, count - 1))),
        draw(st.sampled_from(_ACTIONS)),
    )


@st.composite
def tables(draw: st.DrawFn, number: int, name: str, count: int) -> Table:
    numbers = draw(st.lists(st.integers(0, 6), min_size=1, max_size=5, unique=True))
    names = draw(st.permutations(_COLUMNS))
    made = tuple(draw(columns(one, names[place], count)) for place, one in enumerate(numbers))
    indexes = draw(
        st.lists(
            st.builds(
                Index,
                st.integers(0, 2),
                st.lists(st.sampled_from(numbers), min_size=1, max_size=2, unique=True).map(tuple),
                st.sampled_from((False, False, True)),
                st.booleans(),
                st.booleans(),
            ),
            max_size=2,
            unique_by=lambda index: index.number,
        )
    )
    flags = [draw(st.booleans()) for _ in range(4)]
    return Table(number, name, draw(st.sampled_from(_KEYS)), made, tuple(indexes), *flags)


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    count = draw(st.integers(1, 3))
    names = draw(st.permutations(_TABLES))
    return tuple(draw(tables(number, names[number], count)) for number in range(count))


@st.composite
def neighbours(draw: st.DrawFn, schema: Schema) -> Schema:
    """Give a schema that differs from another in a few places."""
    changed = list(schema)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(changed) - 1))
        changed[place] = draw(_edited(changed[place], len(schema)))
    names = draw(st.permutations(_TABLES)) if draw(st.sampled_from((False, False, True))) else None
    if names is not None:
        changed = [replace(table, name=names[place]) for place, table in enumerate(changed)]
    return tuple(changed)


@st.composite
def _edited(draw: st.DrawFn, table: Table, count: int) -> Table:
    edits = ("columns", "order", "names", "column", "key", "indexes", "strict", "rowid", "trigger", "view")
    edit = draw(st.sampled_from(edits))
    other = draw(tables(table.number, table.name, count))
    if edit == "order":
        return replace(table, columns=tuple(draw(st.permutations(table.columns))))
    if edit == "names":
        names = draw(st.permutations(_COLUMNS))
        renamed = (replace(column, name=names[place]) for place, column in enumerate(table.columns))
        return replace(table, columns=tuple(renamed))
    if edit == "column":
        place = draw(st.integers(0, len(table.columns) - 1))
        old = table.columns[place]
        new = draw(columns(old.number, old.name, count))
        return replace(table, columns=(*table.columns[:place], new, *table.columns[place + 1 :]))
    changes = {
        "columns": {"columns": other.columns},
        "key": {"key": other.key},
        "indexes": {"indexes": other.indexes},
        "strict": {"is_strict": not table.is_strict},
        "rowid": {"is_without_rowid": not table.is_without_rowid},
        "trigger": {"has_trigger": not table.has_trigger},
        "view": {"has_view": not table.has_view},
    }
    return replace(table, **changes[edit])
