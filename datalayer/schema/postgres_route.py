"""Which way a folder goes to PostgreSQL: file by file as it is written, or as the schema derived from it.

SQLite takes any word for a type, so that it runs many a folder that was written for PostgreSQL. Knows what
the files and the journal say; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import history
from datalayer.schema.adopt.shape import by_shape, check_names
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder, MigrationFile
from datalayer.schema.plan import object_of
from datalayer.schema.reader import Unexpected
from datalayer.schema.tokens import Statement, fold
from datalayer.schema.validate.subject import guess_dialect
from datalayer.schema.writes import read_write

__all__ = ["goes_by_file", "refuse_row_work"]


def goes_by_file(engine: Engine, folder: Folder) -> bool:
    """Say whether a database gets a folder's files as they are written, not the schema derived from them.

    What was done before decides: files that were run here, by us or by the tool that the database was taken
    over from, against a baseline or a schema that was derived. Else the words of the files; where any engine
    may take them, the shape of a database that is not empty. Reads only; a shape costs a replay.
    """
    rows = journal.read(engine)
    if any(row.kind in ("sql", "python") or _is_of_tool(row.origin) for row in rows):
        return True
    if any(row.kind == "baseline" for row in rows):
        return False
    guess = guess_dialect(folder)
    if guess is not None:
        return guess == "postgresql"
    names = history.applied_names(engine)
    match = check_names(engine, folder, names) if names else by_shape(engine, folder)
    return match.exact and bool(match.names) and not match.is_derived


def refuse_row_work(engine: Engine, folder: Folder, names: Sequence[str]) -> None:
    """Refuse to pass over what files do to rows that are there.

    A schema that is derived from a folder brings the rows of tables that are new, and nothing else that files
    do. A database without a record is brought to the schema all the same: nobody knows what it had.

    Raises MigrationRefused with the file and line.
    """
    if not names or not history.applied_names(engine):
        return
    files = [file for file in folder.files() if file.name in names]
    statements = [(file, statement) for file in files for statement in file.statements()]
    made = {fold(thing[1]) for _, statement in statements if (thing := object_of(statement))}
    found = next(_row_work(files, statements, made), None)
    if found is not None:
        raise MigrationRefused(
            f"{found} changes rows, and was not run; nothing was changed",
            why="a folder in SQLite's words is brought to PostgreSQL by its schema alone",
            hint=f"run the files as they are: `datalayer migrate --dir {folder.root} --to {files[-1].name}`",
        )


def _is_of_tool(origin: str | None) -> bool:
    """Say whether somebody else ran a file; a shape and our own table of names do not tell who did."""
    return bool(origin) and str(origin).partition(" ")[0] not in ("shape", "migrations", "consolidated")


def _row_work(
    files: Sequence[MigrationFile], statements: Sequence[tuple[MigrationFile, Statement]], made: set[str]
) -> Iterator[str]:
    yield from (str(file.source) for file in files if file.kind == "python")
    for file, statement in statements:
        try:
            write = read_write(statement.text)
        except Unexpected:
            continue
        if write is None:
            continue
        words = {token.upper for token in statement.tokens}
        takes_rows = write.verb == "INSERT" and {"SELECT", "FROM"} <= words
        if takes_rows or fold(write.table) not in made:
            yield f"{file.source}:{statement.line}"
