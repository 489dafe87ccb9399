"""Which way a folder goes to PostgreSQL: file by file as it is written, or as the schema derived from it.

SQLite takes any word for a type, so that it runs many a folder that was written for PostgreSQL. Knows what
the files and the journal say; changes nothing.
"""

from __future__ import annotations

from datalayer.engine.connection import Engine
from datalayer.schema import history
from datalayer.schema.adopt.shape import by_shape, check_names
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.words import guess_dialect
from datalayer.schema.numbered.work import DERIVED

__all__ = ["goes_by_file"]


def goes_by_file(engine: Engine, folder: Folder) -> bool:
    """Say whether a database gets a folder's files as they are written, not the schema derived from them.

    What was done before decides: files that were run here, by us or by the tool that the database was taken
    over from, against a baseline or a schema that was derived. Else the words of the files; where any engine
    may take them, the shape of a database that is not empty. Reads only; a shape costs a replay.
    """
    rows = journal.read(engine)
    derived = [row for row in rows if row.kind == "baseline" or str(row.origin).startswith(DERIVED)]
    if any(row.kind in ("sql", "python") or _is_of_tool(row.origin) for row in rows if row not in derived):
        return True
    if derived:
        return False
    guess = guess_dialect(folder)
    if guess is not None:
        return guess == "postgresql"
    names = history.applied_names(engine)
    match = check_names(engine, folder, names) if names else by_shape(engine, folder)
    return match.exact and bool(match.names) and not match.is_derived


def _is_of_tool(origin: str | None) -> bool:
    """Say whether somebody else ran a file; a shape and our own table of names do not tell who did."""
    return bool(origin) and str(origin).partition(" ")[0] not in ("shape", "migrations")
