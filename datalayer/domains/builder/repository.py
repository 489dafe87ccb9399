"""The repository of threads: found by recency, with messages behind each other and files by path.

Knows no other domain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from datalayer.domains.builder.model import BuilderFile, BuilderMessage, BuilderThread
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, DataLayerError, ForeignKeyViolation, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import encode_json, new_id
from datalayer.repository.page import Page

__all__ = ["Builder"]

_RECENT_FIRST = ("-updated_at", "-id")
_NEWEST_FIRST = ("-created_at", "-id")
_PLACE = ("thread_id", "file_path")


class Builder(Repository[BuilderThread]):
    """`store.builder`: the threads of all users; `.messages` and `.files` are the tables beside them.

    A method that takes a `user_id` finds threads of this user only. What changes the files of a thread locks
    the thread first and raises its recency, all in one transaction.

        thread = store.builder.create_thread(user.id, "Shop", template="nextjs")
        store.builder.post_message(thread.id, "user", "A page with a basket", user_id=user.id)
        store.builder.write_file(thread.id, "src/page.tsx", "...", user_id=user.id)
    """

    def __init__(
        self, engine: Engine, model: type[BuilderThread] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.messages: Repository[BuilderMessage] = Repository(engine, BuilderMessage)
        self.files: Repository[BuilderFile] = Repository(engine, BuilderFile)
        self._compose()

    # -- threads -----------------------------------------------------------------------------------

    def create_thread(
        self,
        user_id: str,
        title: str,
        *,
        template: str = "react",
        files: Mapping[str, str] | None = None,
    ) -> BuilderThread:
        """Make a thread, with its first files where they are given by path.

        Raises:
            ForeignKeyViolation: there is no such user.
            CheckViolation: an unknown template, a title of more than 255 characters, an impossible path.
        """
        given = _checked(files or {})
        with self.engine.transaction():
            thread = self.add(user_id=user_id, title=title, template=template)
            self._put(thread.id, given)
        return thread

    def get_thread(self, key: str, *, user_id: str) -> BuilderThread:
        """Give a thread of a user.

        Raises:
            NotFound: the user has no such thread.
        """
        thread = self.one_or_none(id=key, user_id=user_id)
        if thread is None:
            raise self._not_found(key)
        return thread

    def page_for_user(
        self, user_id: str, *, template: str | None = None, size: int = 50, after: str | None = None
    ) -> Page[BuilderThread]:
        """Give one page of a user's threads, the last worked on first; see `page`."""
        chosen = () if template is None else (BuilderThread.template == template,)
        return self.page(*chosen, user_id=user_id, order_by=_RECENT_FIRST, size=size, after=after)

    def rename_thread(self, key: str, title: str, *, user_id: str) -> None:
        """Give a thread another title.

        Raises:
            NotFound: the user has no such thread.
            CheckViolation: the title has more than 255 characters.
        """
        if not self.update_where(id=key, user_id=user_id, changes={"title": title}):
            raise self._not_found(key)

    def duplicate(
        self, key: str, *, user_id: str, title: str | None = None, with_messages: bool = True
    ) -> BuilderThread:
        """Make a copy of a thread with its files, and its messages too unless told otherwise.

        The messages keep their times and their order. Cost: constant memory, one transaction.

        Raises:
            NotFound: the user has no such thread.
            CheckViolation: the title has more than 255 characters.
        """
        with self.engine.transaction():
            source = self.for_update().one_or_none(id=key, user_id=user_id)
            if source is None:
                raise self._not_found(key)
            chosen = source.title if title is None else title
            copied = self.add(user_id=user_id, title=chosen, template=source.template)
            self.files.add_many(_moved(self.files.iterate(thread_id=key), copied.id))
            if with_messages:
                said = self.messages.iterate(thread_id=key, order_by=("created_at", "id"))
                self.messages.add_many(_moved(said, copied.id))
            return copied

    def delete_thread(self, key: str, *, user_id: str) -> None:
        """Delete a thread with its messages and files.

        Raises:
            NotFound: the user has no such thread.
        """
        if not self.delete_where(id=key, user_id=user_id):
            raise self._not_found(key)

    # -- messages ----------------------------------------------------------------------------------

    def post_message(
        self, key: str, role: str, content: str, *, user_id: str, mentions: Iterable[Any] = ()
    ) -> BuilderMessage:
        """Add a message of the `user`, the `assistant` or the `system`, which raises the thread's recency.

        One statement; the recency is raised by the database, never lowered.

        Raises:
            NotFound: the user has no such thread.
            CheckViolation: an unknown role, or mentions that JSON cannot hold.
        """
        now = self.messages.shape.encode_one("created_at", self.engine.clock())
        params = (new_id(), role, content, encode_json(list(mentions)), now, key, user_id)
        try:
            row = self.engine.write_one(self._post_sql, params)
        except ForeignKeyViolation as exc:
            # the thread went while the statement ran
            raise self._not_found(key) from exc
        except DataLayerError as exc:
            raise self.messages.explain(exc) from exc.__cause__
        if row is None:
            raise self._not_found(key)
        return self.messages.shape.build(row, self.messages)

    def history(
        self, key: str, *, user_id: str, size: int = 50, before: str | None = None
    ) -> Page[BuilderMessage]:
        """Give one page of a thread's messages, the newest first; `before` is the `next` of the page before.

        Raises:
            NotFound: the user has no such thread.
        """
        self.get_thread(key, user_id=user_id)
        return self.messages.page(thread_id=key, order_by=_NEWEST_FIRST, size=size, after=before)

    # -- files -------------------------------------------------------------------------------------

    def write_file(self, key: str, path: str, content: str, *, user_id: str) -> BuilderFile:
        """Write a file, whether it is there or not, and give it.

        Raises:
            NotFound: the user has no such thread.
            CheckViolation: the path is empty, holds a NUL, or leads upwards (`..`).
        """
        _check_path(path)
        with self.engine.transaction():
            self._touch(key, user_id)
            return self.files.upsert(thread_id=key, file_path=path, file_content=content, on=_PLACE)

    def write_files(self, key: str, files: Mapping[str, str], *, user_id: str, replace: bool = False) -> int:
        """Write many files by path, all or none, and give their number.

        With `replace` the thread has exactly these files then: a snapshot that is put back.

        Raises:
            NotFound: the user has no such thread.
            CheckViolation: a path is empty, holds a NUL, or leads upwards.
        """
        given = _checked(files)
        with self.engine.transaction():
            self._touch(key, user_id)
            if replace:
                self._write(self._keep_sql, (key, encode_json(list(given))))
            return self._put(key, given)

    def read_file(self, key: str, path: str, *, user_id: str) -> BuilderFile:
        """Give a file.

        Raises:
            NotFound: the user has no such thread, or the thread no such file.
        """
        self.get_thread(key, user_id=user_id)
        found = self.files.one_or_none(thread_id=key, file_path=path)
        if found is None:
            raise _no_file(key, path)
        return found

    def rename_file(
        self, key: str, path: str, new_path: str, *, user_id: str, overwrite: bool = False
    ) -> BuilderFile:
        """Give a file another path, and give it; with `overwrite` the one that is there goes.

        Raises:
            NotFound: the user has no such thread, or the thread no such file.
            UniqueViolation: there is a file of the new path; nothing was changed.
            CheckViolation: the new path is empty, holds a NUL, or leads upwards.
        """
        _check_path(new_path)
        with self.engine.transaction():
            self._touch(key, user_id)
            found = self.files.one_or_none(thread_id=key, file_path=path)
            if found is None:
                raise _no_file(key, path)
            if new_path != path:
                if overwrite:
                    self.files.delete_where(thread_id=key, file_path=new_path)
                self.files.update(found, file_path=new_path)
            return found

    def delete_file(self, key: str, path: str, *, user_id: str) -> None:
        """Delete a file.

        Raises:
            NotFound: the user has no such thread, or the thread no such file.
        """
        with self.engine.transaction():
            self._touch(key, user_id)
            if not self.files.delete_where(thread_id=key, file_path=path):
                raise _no_file(key, path)

    def snapshot(self, key: str, *, user_id: str) -> dict[str, str]:
        """Give the contents of all files of a thread at one moment, by path, in the order of code points.

        Raises:
            NotFound: the user has no such thread.
        """
        try:
            rows = self.engine.fetch_all(self._snapshot_sql, (key, user_id))
        except DataLayerError as exc:
            raise self.files.explain(exc) from exc.__cause__
        if not rows:
            raise self._not_found(key)
        return {path: content for path, content in rows if path is not None}

    # -- pieces ------------------------------------------------------------------------------------

    def _compose(self) -> None:
        dialect = self.engine.dialect
        self._post_sql = dialect.sql(
            "INSERT INTO builder_messages (id, thread_id, role, content, mentions, created_at)"
            " SELECT ?, id, ?, ?, ?, ? FROM builder_threads WHERE id = ? AND user_id = ?"
            f" RETURNING {self.messages.shape.columns}"
        )
        # thread id, paths as a JSON array
        self._keep_sql = dialect.sql(
            f"DELETE FROM builder_files WHERE thread_id = ? AND file_path NOT IN ({dialect.each_text()})"
        )
        self._snapshot_sql = dialect.sql(
            "SELECT f.file_path, f.file_content FROM builder_threads AS t"
            " LEFT JOIN builder_files AS f ON f.thread_id = t.id"
            " WHERE t.id = ? AND t.user_id = ? ORDER BY f.file_path"
        )

    def _touch(self, key: str, user_id: str) -> None:
        """Raise the recency of a user's thread, which locks it too; a later one of another writer stays."""
        thread = self.for_update().one_or_none(id=key, user_id=user_id)
        if thread is None:
            raise self._not_found(key)
        now = self.engine.clock()
        if thread.updated_at < now:
            self.update_where(id=key, changes={"updated_at": now})

    def _put(self, key: str, files: Mapping[str, str]) -> int:
        rows = ({"thread_id": key, "file_path": path, "file_content": files[path]} for path in files)
        return self.files.upsert_many(rows, on=_PLACE) if files else 0


def _moved(
    rows: Iterable[BuilderFile] | Iterable[BuilderMessage], thread_id: str
) -> Iterator[dict[str, Any]]:
    """Give the values of rows for another thread."""
    for row in rows:
        yield {**row.__data__, "id": new_id(), "thread_id": thread_id}


def _checked(files: Mapping[str, str]) -> dict[str, str]:
    given = dict(files)
    for path in given:
        _check_path(path)
    return given


def _check_path(path: str) -> None:
    if not path or "\0" in path or ".." in path.replace("\\", "/").split("/"):
        raise CheckViolation(
            f"{path!r} cannot be the path of a file of a thread",
            table="builder_files",
            columns=("file_path",),
            why=None if not path or "\0" in path else "it leads upwards, out of the thread",
        )


def _no_file(key: str, path: str) -> NotFound:
    return NotFound(f"no BuilderFile of thread {key!r} answers to {path!r}")
