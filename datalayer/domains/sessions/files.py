"""The two lists of files of sessions: whole lists at a time, a statement for any number of paths.

Who calls holds a transaction with the session locked; that a path is never in both lists is a rule of the
database.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, DataLayerError
from datalayer.repository.fields import encode_json
from datalayer.repository.mismatch import explain_refusal

__all__ = ["FileList", "PathLike", "checked_paths", "refuse_both"]

PathLike = str | os.PathLike[str]


class FileList:
    """One of the two lists, of all sessions; the table has columns session_id, created_at and path."""

    def __init__(self, engine: Engine, table: str) -> None:
        dialect = engine.dialect
        each = dialect.each_text()
        self._engine = engine
        self._table = table
        # session ids as a JSON array
        self._find_sql = dialect.sql(
            f"SELECT session_id, path FROM {table} WHERE session_id IN ({each}) ORDER BY session_id, path"
        )
        # session id, paths as a JSON array
        self._keep_sql = dialect.sql(f"DELETE FROM {table} WHERE session_id = ? AND path NOT IN ({each})")
        self._remove_sql = dialect.sql(f"DELETE FROM {table} WHERE session_id = ? AND path IN ({each})")
        # session id, now, paths; WHERE keeps SQLite from reading ON as a join's
        self._add_sql = dialect.sql(
            f"INSERT INTO {table} (session_id, created_at, path)"
            f" SELECT ?, ?, given.path FROM ({dialect.each_text('path')}) AS given WHERE TRUE"
            " ON CONFLICT (session_id, path) DO NOTHING"
        )
        # new session id, now, session id
        self._copy_sql = dialect.sql(
            f"INSERT INTO {table} (session_id, created_at, path)"
            f" SELECT ?, ?, path FROM {table} WHERE session_id = ?"
        )

    def find(self, session_ids: Sequence[str]) -> dict[str, list[str]]:
        """Give the paths of many sessions, by session, in the order of their code points."""
        found: dict[str, list[str]] = defaultdict(list)
        try:
            rows = self._engine.fetch_all(self._find_sql, (encode_json(session_ids),)) if session_ids else []
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__
        for session_id, path in rows:
            found[session_id].append(path)
        return found

    def keep(self, session_id: str, paths: Sequence[str]) -> int:
        """Remove all paths but these; gives the number of those removed."""
        return self._write(self._keep_sql, session_id, encode_json(paths))

    def remove(self, session_id: str, paths: Sequence[str]) -> int:
        """Remove these paths; gives the number of those that were there."""
        return self._write(self._remove_sql, session_id, encode_json(paths))

    def add(self, session_id: str, now: str, paths: Sequence[str]) -> int:
        """Add the paths that are not there yet; gives their number."""
        return self._write(self._add_sql, session_id, now, encode_json(paths))

    def copy(self, source_id: str, goal_id: str, now: str) -> int:
        """Give a session the paths of another one."""
        return self._write(self._copy_sql, goal_id, now, source_id)

    def _write(self, sql: str, *params: Any) -> int:
        try:
            return int(self._engine.write(sql, params).rowcount)
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__

    def _explain(self, exc: DataLayerError) -> DataLayerError:
        columns = ("session_id", "created_at", "path")
        return explain_refusal(exc, self._engine, self._table, columns, needed_by="Sessions")


def checked_paths(paths: Iterable[PathLike]) -> list[str]:
    """Give the paths as texts, each once.

    Raises:
        CheckViolation: one is empty or has a NUL in it, or the paths are one text.
    """
    if isinstance(paths, str):
        raise CheckViolation(f"the paths are one text, {paths!r}", hint="give a list of paths")
    given = list(dict.fromkeys(os.fspath(path) for path in paths))
    for path in given:
        if not path or "\0" in path:
            raise CheckViolation(f"{path!r} cannot be the path of a file", columns=("path",))
    return given


def refuse_both(included: Sequence[str], excluded: Sequence[str]) -> None:
    """Refuse lists that have a path in common, as the database would.

    Raises:
        CheckViolation: with the rule's name, and the first such path.
    """
    both = set(included).intersection(excluded)
    if both:
        raise CheckViolation(
            f"{min(both)!r} is both included and excluded",
            table="included_files",
            columns=("session_id", "path"),
            constraint="included_files_not_excluded",
            why=f"{len(both)} paths are in both lists",
            hint="take them off one",
        )
