"""The repository of attachments: files taken in, read back and let go, each content kept once."""

from __future__ import annotations

import hashlib
import io
import mimetypes
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from datalayer.domains.attachments.files import ContentFiles, StagedFile, StoredFile
from datalayer.domains.attachments.model import Attachment, Collected
from datalayer.engine.connection import Engine
from datalayer.errors import DatabaseCorrupt, NotFound
from datalayer.repository.fields import encode_utc
from datalayer.repository.owned import Owned
from datalayer.repository.page import Page

__all__ = ["Attachments"]

_NEWEST = ("-created_at", "-id")
_BATCH = 100
_MOST_BYTES = 1 << 30
_HOUR = timedelta(hours=1)

Owner = tuple[str, str]


class Attachments(Owned[Attachment]):
    """`store.attachments`: files of users, attached to anything that has a kind and a key.

    A content is a file in the data directory, named by its SHA-256 and shared by all attachments that hold
    the same. It is there, durably, before its row is; `collect` removes what nothing refers to any more.
    Processes that share a database share the data directory.

        photo = store.attachments.attach(user.id, "cat.png", b"...", owner=("draft", "7"))
        with store.attachments.open(photo.id, user_id=user.id) as file:
            print(len(file.read()))
    """

    most_bytes = _MOST_BYTES
    """The largest attachment that is taken; set it on the repository."""

    def __init__(
        self, engine: Engine, model: type[Attachment] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self._files = ContentFiles(data_dir)
        dialect = engine.dialect
        self._lock_content = dialect.sql(
            "INSERT INTO attachment_contents (sha256, size_bytes, created_at) VALUES (?, ?, ?)"
            " ON CONFLICT (sha256) DO UPDATE SET size_bytes = excluded.size_bytes"
        )
        unused = (
            "SELECT sha256 FROM attachment_contents WHERE reference_count = 0 AND created_at < ?"
            f" ORDER BY sha256 LIMIT {_BATCH}{dialect.row_lock_skip}"
        )
        self._delete_unused = dialect.sql(
            f"DELETE FROM attachment_contents WHERE {dialect.in_few('sha256', unused)} RETURNING sha256"
        )
        self._claim_orphan = dialect.sql(
            "INSERT INTO attachment_contents (sha256, size_bytes, created_at) VALUES (?, ?, ?)"
            " ON CONFLICT (sha256) DO NOTHING RETURNING sha256"
        )

    # -- taking in ---------------------------------------------------------------------------------

    def attach(
        self,
        user_id: str,
        name: str,
        content: bytes | BinaryIO | os.PathLike[str],
        *,
        owner: Owner | None = None,
        media_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Attachment:
        """Take in a content as a user's attachment, and give it.

        `owner` is what it is attached to, as ("draft", key). Without `media_type` the name tells it. The
        content is written outside of the transaction, in constant memory, and synced to disk.

        Raises:
            ForeignKeyViolation: there is no such user.
            CheckViolation: no name, or more than `most_bytes`.
            OSError: the content cannot be read, or the disk is full.
        """
        staged = self._staged(content)
        owner_type, owner_id = owner or (None, None)
        guessed = media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        try:
            with self.engine.transaction():
                self._keep(staged)
                return self.add(
                    user_id=user_id,
                    name=name,
                    owner_type=owner_type,
                    owner_id=owner_id,
                    media_type=guessed,
                    sha256=staged.sha256,
                    metadata=dict(metadata or {}),
                )
        finally:
            self._files.drop(staged)

    def _staged(self, content: bytes | BinaryIO | os.PathLike[str]) -> StagedFile:
        if isinstance(content, bytes):
            return self._files.stage(io.BytesIO(content), self.most_bytes)
        if isinstance(content, os.PathLike):
            with Path(content).open("rb") as file:
                return self._files.stage(file, self.most_bytes)
        return self._files.stage(content, self.most_bytes)

    def _keep(self, staged: StagedFile) -> None:
        """Make the content's row and file sure, in the caller's transaction.

        The row is locked first: whoever removes an unused content holds that lock until its file is gone.
        """
        now = encode_utc(self.engine.clock())
        self.engine.write(self._lock_content, (staged.sha256, staged.size_bytes, now))
        self._files.keep(staged)

    # -- reading -----------------------------------------------------------------------------------

    def page_for_user(
        self, user_id: str, *, size: int = 50, after: str | None = None, **equals: Any
    ) -> Page[Attachment]:
        """Give a page of a user's attachments, the newest first."""
        return self.page(user_id=user_id, order_by=_NEWEST, size=size, after=after, **equals)

    def attached_to(self, owner_type: str, owner_id: str, *, user_id: str | None = None) -> list[Attachment]:
        """Give what is attached to a thing, the oldest first: of one user, or of all."""
        own: Any = (Attachment.owner_type == owner_type) & (Attachment.owner_id == owner_id)
        if user_id is not None:
            own &= Attachment.user_id == user_id
        return self.find(own, order_by=("created_at", "id"))

    def open(self, key: str, *, user_id: str) -> BinaryIO:
        """Open what a user's attachment holds, for reading; close it, or `with` it.

        Raises:
            NotFound: there is no such attachment, it is another user's, or its file is gone.
        """
        return self._opened(self.get_own(key, user_id=user_id))

    def _opened(self, attachment: Attachment) -> BinaryIO:
        try:
            return self._files.open(attachment.sha256)
        except OSError as exc:
            raise NotFound(
                f"the file of attachment {attachment.id!r} cannot be opened",
                why=exc.strerror,
                hint="run `datalayer check-db`, or restore the data directory from a backup",
            ) from exc

    def read(self, key: str, *, user_id: str) -> bytes:
        """Give what a user's attachment holds, whole and proved by its digest.

        Raises:
            NotFound: as for `open`.
            DatabaseCorrupt: the file holds something else.
        """
        attachment = self.get_own(key, user_id=user_id)
        with self._opened(attachment) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != attachment.sha256:
            raise DatabaseCorrupt(
                f"the file of attachment {key!r} is not what was attached",
                why="its digest is another",
                hint="restore the data directory from a backup",
            )
        return data

    # -- changing ----------------------------------------------------------------------------------

    def move(self, key: str, owner: Owner | None, *, user_id: str) -> None:
        """Attach a user's attachment to another thing, or to nothing.

        Raises:
            NotFound: there is none, or it is another user's.
        """
        owner_type, owner_id = owner or (None, None)
        self._change(key, user_id, {"owner_type": owner_type, "owner_id": owner_id})

    def rename(self, key: str, name: str, *, user_id: str) -> None:
        """Give a user's attachment another name.

        Raises:
            NotFound: there is none, or it is another user's.
            CheckViolation: the name is empty.
        """
        self._change(key, user_id, {"name": name})

    def _change(self, key: str, user_id: str, changes: Mapping[str, Any]) -> None:
        if not self.update_where(id=key, user_id=user_id, changes=changes):
            raise self._not_found(key)

    def delete_own(self, key: str, *, user_id: str) -> None:
        """Delete a user's attachment; its content goes with the next `collect` if nothing else holds it.

        Raises:
            NotFound: there is none, or it is another user's.
        """
        super().delete_own(key, user_id=user_id)

    def collect(self, *, older_than: timedelta = _HOUR) -> Collected:
        """Remove contents that nothing refers to, and files that no row knows of, if they are that old.

        Files that are half written go after an hour in any case, and not before.
        Safe beside writers and other collectors, in batches of 100. A crash leaves a row without file, which
        nothing refers to, and which the next attachment of that content, or `collect`, puts right.
        """
        before = self.engine.clock() - older_than
        contents = 0
        while removed := self._remove_unused(encode_utc(before)):
            contents += removed
        orphans = 0
        for file in self._files.found():
            limit = before if file.sha256 is not None else self.engine.clock() - _HOUR
            if file.modified_at < limit.timestamp() and self._remove_orphan(file):
                orphans += 1
        return Collected(contents, orphans)

    def _remove_unused(self, before: str) -> int:
        with self.engine.transaction():
            rows = self.engine.write_all(self._delete_unused, (before,))
            for (sha256,) in rows:
                self._files.remove(self._files.place(sha256))
        return len(rows)

    def _remove_orphan(self, file: StoredFile) -> bool:
        """Remove a file that no content has; a row of it stands meanwhile, so that nobody takes it."""
        if file.sha256 is None:
            self._files.remove(file.path)
            return True
        now = encode_utc(self.engine.clock())
        with self.engine.transaction():
            claim = (file.sha256, file.size_bytes, now)
            if self.engine.write_one(self._claim_orphan, claim) is None:
                return False
            self._files.remove(file.path)
            sql = self.engine.dialect.sql("DELETE FROM attachment_contents WHERE sha256 = ?")
            self.engine.write(sql, (file.sha256,))
        return True
