"""The repository of sessions: saved with both lists, found by project or name, one of a project active.

The active session of a project is a key of its own in key_value_store. Knows no other domain.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import peewee

from datalayer.domains.sessions.files import FileList, PathLike, checked_paths, refuse_both
from datalayer.domains.sessions.model import Session, SessionFiles
from datalayer.engine.connection import Engine
from datalayer.errors import NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import encode_utc, new_id
from datalayer.repository.keytable import KeyTable
from datalayer.repository.keyvalue import KeyValues
from datalayer.repository.page import Page
from datalayer.repository.project import project_hash

__all__ = ["Sessions"]

_NEWEST_FIRST = ("-updated_at", "-id")
_OWN_FIELDS = frozenset({"id", "created_at", "updated_at"})
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


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
        self._included = FileList(engine, "included_files")
        self._excluded = FileList(engine, "excluded_files")

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
        included, excluded = checked_paths(included_files), checked_paths(excluded_files)
        refuse_both(included, excluded)
        with self.engine.transaction():
            saved = self.upsert(session)
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
        included, excluded = checked_paths(included_files), checked_paths(excluded_files)
        refuse_both(included, excluded)
        with self.engine.transaction():
            self._touch(key)
            self._write_files(key, included, excluded)

    def include(self, key: str, paths: Iterable[PathLike]) -> int:
        """Add paths to the included files, taking them off the excluded ones; gives the number of new ones.

        Raises:
            NotFound: there is no such session.
            CheckViolation: a path is empty.
        """
        return self._move_to(self._included, self._excluded, key, checked_paths(paths))

    def exclude(self, key: str, paths: Iterable[PathLike]) -> int:
        """Add paths to the excluded files, taking them off the included ones; gives the number of new ones.

        Raises:
            NotFound: there is no such session.
            CheckViolation: a path is empty.
        """
        return self._move_to(self._excluded, self._included, key, checked_paths(paths))

    def forget_files(self, key: str, paths: Iterable[PathLike]) -> int:
        """Take paths off whichever list they are in; gives the number of those that were in one.

        Raises:
            NotFound: there is no such session.
        """
        given = checked_paths(paths)
        with self.engine.transaction():
            self._touch(key)
            return self._included.remove(key, given) + self._excluded.remove(key, given)

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
                files.copy(key, copied.id, now)
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
        keys = [session.id for session in sessions]
        included, excluded = self._included.find(keys), self._excluded.find(keys)
        return [
            SessionFiles(session, tuple(included.get(session.id, ())), tuple(excluded.get(session.id, ())))
            for session in sessions
        ]

    def _touch(self, key: str) -> None:
        """Raise `updated_at`, which locks the session too: whoever changes its files does so in turn."""
        super()._update(key, {}, None)

    def _write_files(self, key: str, included: list[str], excluded: list[str]) -> None:
        """Make the lists these in a locked session; what goes, goes first: a path may change lists."""
        now = encode_utc(self.engine.clock())
        wanted = ((self._included, included), (self._excluded, excluded))
        for files, paths in wanted:
            files.keep(key, paths)
        for files, paths in wanted:
            files.add(key, now, paths)

    def _move_to(self, goal: FileList, other: FileList, key: str, paths: list[str]) -> int:
        with self.engine.transaction():
            self._touch(key)
            other.remove(key, paths)
            return goal.add(key, encode_utc(self.engine.clock()), paths)


def _active_key(digest: str) -> str:
    return f"sessions.active:{digest}"


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
