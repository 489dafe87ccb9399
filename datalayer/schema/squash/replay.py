"""All files of a folder run one after the other in memory: the schema and rows that they lead to.

Foreign keys are off meanwhile, as in the run itself. A second replay with another clock and other random
numbers shows which values change from run to run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.errors import MigrationRefused
from datalayer.schema.numbered.folder import MigrationFile
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.numbered.manner import manner_of, opening
from datalayer.schema.numbered.python_file import StoreOf, call_up, load_up, no_store
from datalayer.schema.plan import object_of
from datalayer.schema.snapshot import Schema, Table, read
from datalayer.schema.squash.otherwise import run_otherwise
from datalayer.schema.tokens import Statement, fold, quote
from datalayer.schema.virtual import read_virtual

__all__ = ["Replayed", "indexed_rows", "replayed", "sequences", "stored_rows", "value_columns"]


@dataclass(slots=True)
class Replayed:
    """A replay that is still open.

    `comments` are the comment lines above the statement that made an object, for objects whose text is still
    what that statement said, by (kind, folded name). `order` are all objects in the order of sqlite_schema.
    """

    connection: sqlite3.Connection
    schema: Schema
    comments: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    @property
    def order(self) -> list[tuple[str, str, str, str]]:
        """All objects with a text, in order of creation, as (kind, name, table, text)."""
        rows = self.connection.execute(
            "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
        shadows = {fold(table.name) for table in self.schema.tables if table.kind == "shadow"}
        return [
            (str(kind), str(name), str(table), str(sql))
            for kind, name, table, sql in rows
            if fold(str(name)) not in shadows and not fold(str(name)).startswith("sqlite_")
        ]


@contextmanager
def replayed(
    files: Sequence[MigrationFile], *, store_of: StoreOf | None = None, is_moved: bool = False
) -> Generator[Replayed]:
    """Run the files in a new database in memory and give it, open.

    `is_moved` sets the clock and the random numbers to other ones than usual. Raises MigrationRefused with
    file and line where SQLite refuses a statement, for a Python file without `store_of`, and where a
    reference leads nowhere at the end.
    """
    with ExitStack() as stack:
        engine = stack.enter_context(closing(open_engine(":memory:")))
        connection: sqlite3.Connection = engine.connection()
        connection.execute("PRAGMA foreign_keys = OFF")
        if is_moved:
            stack.enter_context(run_otherwise(connection))
        comments: dict[tuple[str, str], tuple[str, str]] = {}
        for file in files:
            if file.kind == "python":
                _call(engine, file, store_of)
            else:
                _run(connection, file, comments)
        broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise MigrationRefused(
                f"after all files row {broken[1]} of {broken[0]} refers to nothing in {broken[2]}",
                hint="correct the rows in the file that makes them",
            )
        _forget_statistics(connection)
        found = Replayed(connection, read(connection))
        for kind, name, _, sql in found.order:
            text, comment = comments.get((kind, fold(name)), ("", ""))
            if text == sql and comment:
                found.comments[kind, fold(name)] = comment
        yield found


def _forget_statistics(connection: sqlite3.Connection) -> None:
    """Take away what ANALYZE found: it is of the rows of a moment, and steers what SQLite compiles."""
    rows = connection.execute(
        "SELECT name FROM main.sqlite_schema WHERE name LIKE 'sqlite!_stat_' ESCAPE '!'"
    )
    tables = [str(name) for (name,) in rows.fetchall()]
    for name in tables:
        connection.execute(f"DELETE FROM {name}")
    if tables:
        connection.execute("ANALYZE sqlite_schema")


def value_columns(table: Table) -> list[str]:
    """Give the columns that an INSERT may set; none of a virtual table that keeps no rows of its own."""
    if table.kind == "virtual":
        return _own_columns(table)
    return [column.name for column in table.columns if column.generated is None and not column.is_hidden]


def stored_rows(connection: sqlite3.Connection, table: Table) -> list[tuple[object, ...]]:
    """Give the rows of a table in the order of its key, as far as an INSERT may set them."""
    columns = ", ".join(quote(name) for name in value_columns(table))
    key = [quote(column.name) for column in table.columns if column.key_position]
    order = ", ".join(key) if table.is_without_rowid else "_rowid_"
    if fold(table.name) in JOURNAL_TABLES or not columns:
        return []
    if table.kind == "virtual":
        order = "rowid"
    connection.text_factory = _text
    try:
        return connection.execute(f"SELECT {columns} FROM {quote(table.name)} ORDER BY {order}").fetchall()
    finally:
        connection.text_factory = str


def _text(data: bytes) -> str:
    """Read a text that may be no valid UTF-8; each byte that is not stands for itself."""
    return data.decode("utf-8", "surrogateescape")


def _own_columns(table: Table) -> list[str]:
    kind = read_virtual(table.sql)
    if kind.only_tells or kind.content is not None:
        return []
    columns = [column.name for column in table.columns if not column.is_hidden]
    # the first column of an R*Tree is its rowid: sqlite.org/rtree.html
    return columns if kind.module.startswith("rtree") else ["rowid", *columns]


def indexed_rows(connection: sqlite3.Connection, table: Table) -> list[object] | None:
    """Give the rowids that a full-text table over another one has indexed; None where it does not tell.

    sqlite.org/fts5.html, "The Columnsize Option"; fts3.html, "Shadow Tables".
    """
    try:
        rows = connection.execute(f"SELECT * FROM {quote(f'{table.name}_docsize')}").fetchall()
    except sqlite3.OperationalError:
        return None
    return sorted((row[0] for row in rows), key=repr)


def sequences(connection: sqlite3.Connection) -> dict[str, int]:
    """Give how far each AUTOINCREMENT table has numbered its rows (sqlite.org/autoinc.html)."""
    if not connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence'").fetchone():
        return {}
    return {
        str(name): int(number)
        for name, number in connection.execute("SELECT name, seq FROM main.sqlite_sequence ORDER BY name")
        if fold(str(name)) not in JOURNAL_TABLES
    }


def _run(
    connection: sqlite3.Connection, file: MigrationFile, comments: dict[tuple[str, str], tuple[str, str]]
) -> None:
    lines = file.read().splitlines()
    connection.execute("BEGIN")
    for statement in file.statements("sqlite"):
        manner = manner_of(statement, "sqlite")
        if manner.how == "skip":
            continue
        place = f"{file.source}:{statement.line}: {opening(statement)}"
        if manner.how == "refuse":
            raise MigrationRefused(
                f"{place} cannot be part of a migration", why=manner.why, hint=manner.instead
            )
        try:
            connection.execute(statement.text).fetchall()
        except sqlite3.Error as exc:
            hint = "correct it; a folder in PostgreSQL's SQL has no consolidated file"
            raise MigrationRefused(f"{place} is refused", why=str(exc), hint=hint) from exc
        _note_comment(connection, statement, lines, comments)
    connection.execute("COMMIT")
    connection.execute("PRAGMA legacy_alter_table = OFF")


def _note_comment(
    connection: sqlite3.Connection,
    statement: Statement,
    lines: Sequence[str],
    comments: dict[tuple[str, str], tuple[str, str]],
) -> None:
    """Remember the comment lines right above a statement, with the text that it gave its object."""
    made = object_of(statement)
    if made is None:
        return
    row = connection.execute(
        "SELECT sql FROM main.sqlite_schema WHERE type = ? AND lower(name) = ?", (made[0], fold(made[1]))
    ).fetchone()
    if row is not None:
        above = "\n".join(_above(lines[: statement.line - 1]))
        comments[made[0], fold(made[1])] = (str(row[0]), above)


def _above(lines: Sequence[str]) -> list[str]:
    """Give the lines of comment that end right above a statement."""
    above: list[str] = []
    block: list[str] | None = None
    for line in reversed(lines):
        text = line.strip()
        if block is None and text.endswith("*/"):
            block = []
        if block is not None:
            block.insert(0, line.rstrip())
            if "/*" in text:
                if not text.startswith("/*"):
                    # it stands behind a statement
                    return above
                above, block = [*block, *above], None
        elif not text.startswith("--") or text.startswith("-->") or _is_marker(text):
            return above
        else:
            above.insert(0, text)
    return above


def _is_marker(line: str) -> bool:
    """Say whether a comment steers a tool, or is the heading of a file's part."""
    words = line.lstrip("- \t").lower()
    return words.startswith(("migrate:", "+goose", "+migrate", "up migration", "down migration"))


def _call(engine: Engine, file: MigrationFile, store_of: StoreOf | None) -> None:
    if store_of is None:
        raise no_store(str(file.source), "run it with `datalayer migrations squash`")
    call_up(file, load_up(file), store_of(engine))
