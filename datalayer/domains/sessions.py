"""Sessions: what a user works on in a project, with the files taken in and left out.

The active session of a project is a key of its own in key_value_store. Knows no other domain.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any, NamedTuple

import peewee

from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import IdField, UtcField, encode_json, encode_utc, new_id
from datalayer.repository.keytable import KeyTable
from datalayer.repository.keyvalue import KeyValues
from datalayer.repository.mixins import Model, Timestamps
from datalayer.repository.page import Page
from datalayer.repository.project import project_hash

__all__ = ["ExcludedFile", "IncludedFile", "Session", "SessionFiles", "Sessions"]

_NEWEST_FIRST = ("-updated_at", "-id")
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)

PathLike = str | os.PathLike[str]


class Session(Timestamps):
    """What a user works on in a project.

    `project_hash` follows `project_directory`, which is kept as it was given.
    """

    id = IdField()
    name = peewee.TextField()
    project_directory = peewee.TextField()
    project_hash = peewee.TextField()
    task_description = peewee.TextField(default="")
    search_term = peewee.TextField(default="")
    title_regex = peewee.TextField(default="")
    content_regex = peewee.TextField(default="")
    negative_title_regex = peewee.TextField(default="")
    negative_content_regex = peewee.TextField(default="")
    is_regex_active = peewee.BooleanField(default=False)
    codebase_structure = peewee.TextField(default="")
    search_selected_files_only = peewee.BooleanField(default=False)
    model_used = peewee.TextField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "sessions"


class IncludedFile(Model):
    """A file taken into a session; a path is never excluded at the same time, a rule of the database."""

    id = peewee.BigAutoField()
    session_id = peewee.TextField()
    path = peewee.TextField()
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "included_files"


class ExcludedFile(Model):
    """A file left out of a session."""

    id = peewee.BigAutoField()
    session_id = peewee.TextField()
    path = peewee.TextField()
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "excluded_files"


@dataclass(frozen=True, slots=True)
class SessionFiles:
    """A session with its files, whose paths are in the order of their code points."""

    session: Session
    included_files: tuple[str, ...] = ()
    excluded_files: tuple[str, ...] = ()


class _FileList(NamedTuple):
    """The statements over one of the two lists; `keep` and `remove` take paths as a JSON array."""

    name: str
    find: str
    keep: str
    remove: str
    add: str
    copy: str


class Sessions(Repository[Session]):
    """`store.sessions`: the sessions of all projects, with their two lists of files.

    A method that takes a project directory takes it however it is written (see repository.project). All that
    changes a session's files is one transaction that locks the session first, and counts as a change of the
    session: its `updated_at` is raised.

        kept = store.sessions.save(Session(name="Login", project_directory="/app"), ["a.py"], ["b.py"])
        store.sessions.set_active("/app", kept.session.id)
    """

    def __init__(
        self, engine: Engine, model: type[Session] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self._active = KeyValues(KeyTable(engine, "key_value_store"))
        self._included = _file_list(engine, "included_files")
        self._excluded = _file_list(engine, "excluded_files")
        sql = engine.dialect.sql
        self._touch_sql = sql("UPDATE sessions SET updated_at = ? WHERE id = ?")

    # -- a session with its files ------------------------------------------------------------------

    def save(
        self,
        session: Session,
        included_files: Iterable[PathLike] = (),
        excluded_files: Iterable[PathLike] = (),
    ) -> SessionFiles:
        """Insert a session, or update the one with its id, with exactly these files; gives it as it is now.

        Paths that stay keep their rows. Cost: six statements for any number of paths.

        Raises:
            CheckViolation: a path is in both lists, or empty; the project directory is empty.
            NotNullViolation: the name or the project directory is missing.
        """
        included, excluded = _paths(included_files), _paths(excluded_files)
        _refuse_both(included, excluded)
        with self.engine.transaction():
            values: dict[str, Any] = {**session.__data__, "updated_at": self.engine.clock()}
            saved = self.upsert(**values)
            self._write_files(saved.id, included, excluded)
        return SessionFiles(saved, tuple(sorted(included)), tuple(sorted(excluded)))

    def get_with_files(self, key: str) -> SessionFiles:
        """Give a session with its files as they are at one moment, in one query for each table.

        Raises:
            NotFound: there is no such session.
        """
        with self._one_moment():
            return self._with_files([self.get(key)])[0]

    def find_with_files(self, *where: Any, **options: Any) -> list[SessionFiles]:
        """Give sessions as `find` does, each with its files: three queries for any number of sessions."""
        with self._one_moment():
            return self._with_files(self.find(*where, **options))

    def replace_files(
        self, key: str, included_files: Iterable[PathLike], excluded_files: Iterable[PathLike]
    ) -> None:
        """Give a session exactly these files.

        Raises:
            NotFound: there is no such session.
            CheckViolation: a path is in both lists, or empty.
        """
        included, excluded = _paths(included_files), _paths(excluded_files)
        _refuse_both(included, excluded)
        with self.engine.transaction():
            self._touch(key)
            self._write_files(key, included, excluded)

    def include(self, key: str, paths: Iterable[PathLike]) -> int:
        """Add paths to the included files, taking them off the excluded ones; gives the number of new ones.

        Raises:
            NotFound: there is no such session.
            CheckViolation: a path is empty.
        """
        return self._move_to(self._included, self._excluded, key, _paths(paths))

    def exclude(self, key: str, paths: Iterable[PathLike]) -> int:
        """Add paths to the excluded files, taking them off the included ones; gives the number of new ones.

        Raises:
            NotFound: there is no such session.
            CheckViolation: a path is empty.
        """
        return self._move_to(self._excluded, self._included, key, _paths(paths))

    def forget_files(self, key: str, paths: Iterable[PathLike]) -> int:
        """Take paths off whichever list they are in; gives the number of those that were in one.

        Raises:
            NotFound: there is no such session.
        """
        given = encode_json(_paths(paths))
        with self.engine.transaction():
            self._touch(key)
            return sum(
                int(self.engine.write(files.remove, (key, given)).rowcount)
                for files in (self._included, self._excluded)
            )

    # -- finding -----------------------------------------------------------------------------------

    def find_by_project(self, project_directory: PathLike, *, limit: int | None = None) -> list[Session]:
        """Give the sessions of a project, the last changed first."""
        return self.find(project_hash=project_hash(project_directory), order_by=_NEWEST_FIRST, limit=limit)

    def page_by_project(
        self, project_directory: PathLike, *, size: int = 50, after: str | None = None
    ) -> Page[Session]:
        """Give one page of a project's sessions, the last changed first; see `page`."""
        return self.page(
            project_hash=project_hash(project_directory), order_by=_NEWEST_FIRST, size=size, after=after
        )

    def search(
        self, text: str, *, project_directory: PathLike | None = None, limit: int | None = None
    ) -> list[Session]:
        """Give the sessions whose name holds the text, the last changed first.

        Letters A to Z match in either case, all others as they are (`é` does not find `É`), on both
        engines. No character is special. Reads all names, or those of the project.
        """
        shape = self.shape
        needle = text.translate(_LOWER)
        condition = self.engine.dialect.contains(f"lower({shape.quoted['name']})")
        matches = peewee.SQL(self.engine.dialect.sql(condition), (needle,))
        if project_directory is None:
            return self.find(matches, order_by=_NEWEST_FIRST, limit=limit)
        digest = project_hash(project_directory)
        return self.find(matches, project_hash=digest, order_by=_NEWEST_FIRST, limit=limit)

    def count_by_project(self, project_directory: PathLike) -> int:
        """Count the sessions of a project."""
        return self.count(project_hash=project_hash(project_directory))

    # -- changing ----------------------------------------------------------------------------------

    def rename(self, key: str, name: str) -> None:
        """Give a session another name.

        Raises:
            NotFound: there is no such session.
        """
        self.update(key, name=name)

    def move(self, key: str, project_directory: PathLike) -> None:
        """Move a session to another project; where it was the active one of its old project, none is now.

        Raises:
            NotFound: there is no such session.
            CheckViolation: the directory is empty.
        """
        with self.engine.transaction():
            session = self.for_update().get(key)
            self.update(key, project_directory=os.fspath(project_directory))
            if project_hash(project_directory) != session.project_hash:
                self._active.compare_and_delete(_active_key(session.project_hash), key)

    def duplicate(self, key: str, *, name: str | None = None) -> SessionFiles:
        """Make a copy of a session with its files, under another name where one is given; not active.

        Raises:
            NotFound: there is no such session.
        """
        with self.engine.transaction():
            source = self.for_update().get(key)
            values = {field: value for field, value in source.__data__.items() if field not in _OWN_FIELDS}
            copied = self.add(**(values if name is None else {**values, "name": name}), id=new_id())
            now = encode_utc(self.engine.clock())
            for files in (self._included, self._excluded):
                self.engine.write(files.copy, (copied.id, now, key))
            return self._with_files([copied])[0]

    def delete(self, subject: Session | str, /) -> None:
        """Delete a session with its files and jobs; it is not active any more.

        Raises:
            NotFound: there is no such session.
        """
        key = subject.id if isinstance(subject, Session) else subject
        with self.engine.transaction():
            session = self.for_update().get(key)
            super().delete(key)
            self._active.compare_and_delete(_active_key(session.project_hash), key)

    def delete_project(self, project_directory: PathLike) -> int:
        """Delete all sessions of a project; gives their number."""
        digest = project_hash(project_directory)
        with self.engine.transaction():
            count = self.delete_where(project_hash=digest)
            self._active.delete(_active_key(digest))
        return count

    # -- the active session ------------------------------------------------------------------------

    def set_active(self, project_directory: PathLike, key: str) -> None:
        """Make a session the active one of its project.

        Raises:
            NotFound: the project has no such session.
        """
        digest = project_hash(project_directory)
        with self.engine.transaction():
            session = self.for_update().get_or_none(key)
            if session is None or session.project_hash != digest:
                raise NotFound(f"no Session of {os.fspath(project_directory)} answers to {key!r}")
            self._active.set(_active_key(digest), key)

    def get_active(self, project_directory: PathLike) -> Session | None:
        """Give the active session of a project, or None."""
        digest = project_hash(project_directory)
        key = self._active.get(_active_key(digest))
        session = None if key is None else self.get_or_none(key)
        return session if session is not None and session.project_hash == digest else None

    def clear_active(self, project_directory: PathLike) -> bool:
        """Let a project have no active session; False where it had none."""
        return self._active.delete(_active_key(project_hash(project_directory)))

    # -- the hash follows the directory ------------------------------------------------------------

    def add(self, row: Session | None = None, /, **values: Any) -> Session:
        """Insert a session without files; see `Repository.add`."""
        if row is not None:
            _follow(row.__data__)
            return super().add(row)
        return super().add(**_followed(values))

    def add_many(self, rows: Iterable[Session | Mapping[str, Any]]) -> int:
        """Insert many sessions without files; see `Repository.add_many`."""
        return super().add_many(map(_row_followed, rows))

    def upsert(self, row: Session | None = None, /, *, on: Sequence[str] = (), **values: Any) -> Session:
        """Insert or update a session, leaving its files as they are; see `Repository.upsert`."""
        if row is not None:
            _follow(row.__data__)
            return super().upsert(row, on=on)
        return super().upsert(on=on, **_followed(values))

    def upsert_many(self, rows: Iterable[Session | Mapping[str, Any]], *, on: Sequence[str] = ()) -> int:
        """Insert or update many sessions; see `Repository.upsert_many`."""
        return super().upsert_many(map(_row_followed, rows), on=on)

    def update_where(self, *where: Any, changes: Mapping[str, Any], **equals: Any) -> int:
        """Change all sessions that answer; see `Repository.update_where`."""
        return super().update_where(*where, changes=_followed(changes), **equals)

    def _update(self, key: Any, data: dict[str, Any], expected: int | None) -> None:
        _follow(data)
        super()._update(key, data, expected)

    # -- pieces ------------------------------------------------------------------------------------

    def _one_moment(self) -> AbstractContextManager[object]:
        return nullcontext() if self.engine.in_transaction else self.engine.transaction(read=True)

    def _with_files(self, sessions: Sequence[Session]) -> list[SessionFiles]:
        keys = encode_json([session.id for session in sessions])
        included, excluded = (
            self._find_files(files, keys) if sessions else {} for files in (self._included, self._excluded)
        )
        return [
            SessionFiles(session, tuple(included.get(session.id, ())), tuple(excluded.get(session.id, ())))
            for session in sessions
        ]

    def _find_files(self, files: _FileList, keys: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for session_id, path in self.engine.fetch_all(files.find, (keys,)):
            found[session_id].append(path)
        return found

    def _touch(self, key: str) -> None:
        """Raise `updated_at`, which locks the session too: whoever changes its files does so in turn."""
        if self.engine.write(self._touch_sql, (encode_utc(self.engine.clock()), key)).rowcount == 0:
            raise NotFound(f"no Session answers to {key!r}")

    def _write_files(self, key: str, included: list[str], excluded: list[str]) -> None:
        """Make the lists these in a locked session; what goes, goes first: a path may change lists."""
        now = encode_utc(self.engine.clock())
        wanted = ((self._included, encode_json(included)), (self._excluded, encode_json(excluded)))
        for files, paths in wanted:
            self.engine.write(files.keep, (key, paths))
        for files, paths in wanted:
            self.engine.write(files.add, (key, now, paths))

    def _move_to(self, goal: _FileList, other: _FileList, key: str, paths: list[str]) -> int:
        given = encode_json(paths)
        with self.engine.transaction():
            self._touch(key)
            self.engine.write(other.remove, (key, given))
            return int(self.engine.write(goal.add, (key, encode_utc(self.engine.clock()), given)).rowcount)


_OWN_FIELDS = frozenset({"id", "created_at", "updated_at"})


def _file_list(engine: Engine, table: str) -> _FileList:
    dialect = engine.dialect
    each = dialect.each_text()
    return _FileList(
        table,
        *map(
            dialect.sql,
            (
                # session ids as a JSON array
                f"SELECT session_id, path FROM {table}"
                f" WHERE session_id IN ({each}) ORDER BY session_id, path",
                # session id, paths
                f"DELETE FROM {table} WHERE session_id = ? AND path NOT IN ({each})",
                # session id, paths
                f"DELETE FROM {table} WHERE session_id = ? AND path IN ({each})",
                # session id, now, paths; WHERE keeps SQLite from reading ON as a join's
                f"INSERT INTO {table} (session_id, created_at, path)"
                f" SELECT ?, ?, given.path FROM ({dialect.each_text('path')}) AS given WHERE TRUE"
                " ON CONFLICT (session_id, path) DO NOTHING",
                # new session id, now, session id
                f"INSERT INTO {table} (session_id, created_at, path)"
                f" SELECT ?, ?, path FROM {table} WHERE session_id = ?",
            ),
        ),
    )


def _active_key(digest: str) -> str:
    return f"sessions.active:{digest}"


def _paths(paths: Iterable[PathLike]) -> list[str]:
    """Give the paths as texts, each once."""
    if isinstance(paths, str):
        raise CheckViolation(f"the paths are one text, {paths!r}", hint="give a list of paths")
    given = list(dict.fromkeys(os.fspath(path) for path in paths))
    for path in given:
        if not path or "\0" in path:
            raise CheckViolation(f"{path!r} cannot be the path of a file", columns=("path",))
    return given


def _refuse_both(included: list[str], excluded: list[str]) -> None:
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


def _follow(values: dict[str, Any]) -> None:
    """Put the hash beside a project directory."""
    directory: PathLike | None = values.get("project_directory")
    if directory is not None:
        values["project_directory"] = os.fspath(directory)
        values["project_hash"] = project_hash(directory)


def _followed(values: Mapping[str, Any]) -> dict[str, Any]:
    copied = dict(values)
    _follow(copied)
    return copied


def _row_followed(row: Session | Mapping[str, Any]) -> Mapping[str, Any]:
    return _followed(row.__data__ if isinstance(row, Session) else row)
