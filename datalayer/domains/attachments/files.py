"""The files that hold attachments' contents, each under the SHA-256 of what is in it.

Knows the folder and its rules, neither database nor attachments. A file is written whole under another name
first, so that a name of a content never has half of it.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from datalayer.engine.durable import sync_folder
from datalayer.errors import CheckViolation, DataLayerError

__all__ = ["ContentFiles", "StagedFile", "StoredFile"]

_FOLDER = "attachments"
_NAME = re.compile(r"[0-9a-f]{64}")
_HALF = re.compile(r"[0-9a-f]{16}\.half")
_CHUNK = 1 << 20
# a link in the place of a content would lead out of the folder
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A content that is written and has no name yet."""

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the folder; `sha256` is None for one that was never finished."""

    path: Path
    sha256: str | None
    size_bytes: int
    modified_at: float


class ContentFiles:
    """The folder `attachments` in a data directory; made when the first file is written."""

    def __init__(self, data_dir: Path | None) -> None:
        self._data_dir = data_dir

    @property
    def folder(self) -> Path:
        """The folder itself.

        Raises:
            DataLayerError: the repository was made without a data directory.
        """
        if self._data_dir is None:
            raise DataLayerError(
                "there is no place for attachments", hint="give data_dir= where the store is opened"
            )
        return self._data_dir / _FOLDER

    def place(self, sha256: str) -> Path:
        """Give the place of a content.

        Raises:
            DataLayerError: it is no digest, and might lead anywhere.
        """
        if not _NAME.fullmatch(sha256):
            raise DataLayerError(
                f"{sha256!r} is no digest of an attachment",
                why="it was not written by this library",
                hint="run `datalayer check-db`",
            )
        return self.folder / sha256[:2] / sha256

    def stage(self, source: BinaryIO, most_bytes: int) -> StagedFile:
        """Write what a stream gives to a file without a name, durably.

        Raises:
            CheckViolation: it gives more than `most_bytes`; nothing is left of it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{secrets.token_hex(8)}.half"
        digest, size = hashlib.sha256(), 0
        try:
            with path.open("xb") as file:
                while chunk := source.read(_CHUNK):
                    size += len(chunk)
                    if size > most_bytes:
                        raise CheckViolation(f"an attachment has {most_bytes} bytes at most")
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return StagedFile(path, digest.hexdigest(), size)

    def keep(self, staged: StagedFile) -> None:
        """Give a staged content its name, unless a whole file has it; the staged one is gone then."""
        place = self.place(staged.sha256)
        if self.size_of(staged.sha256) == staged.size_bytes:
            staged.path.unlink()
            return
        if not place.parent.is_dir():
            place.parent.mkdir(exist_ok=True)
            sync_folder(self.folder)
        staged.path.replace(place)
        sync_folder(place.parent)

    def drop(self, staged: StagedFile) -> None:
        """Forget a staged content that got no name."""
        staged.path.unlink(missing_ok=True)

    def remove(self, path: Path) -> None:
        """Remove a file; one that is gone already is well."""
        with suppress(FileNotFoundError):
            path.unlink()
            sync_folder(path.parent)

    def size_of(self, sha256: str) -> int | None:
        """Give the size of a content's file; None where there is none."""
        try:
            return self.place(sha256).stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            return None

    def open(self, sha256: str) -> BufferedReader:
        """Open a content's file. Raises OSError."""
        return os.fdopen(os.open(self.place(sha256), os.O_RDONLY | _NO_LINKS | _BINARY), "rb")

    def digest_of(self, sha256: str) -> str:
        """Compute the digest of what a content's file really holds. Raises OSError."""
        with self.open(sha256) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def found(self) -> Iterator[StoredFile]:
        """Yield the files that are there; what this library never writes is passed over."""
        if self._data_dir is None or not self.folder.is_dir():
            return
        folders = [self.folder, *(one for one in sorted(self.folder.iterdir()) if one.is_dir())]
        for folder in folders:
            for path in sorted(folder.iterdir()):
                is_content = _NAME.fullmatch(path.name) is not None and folder.name == path.name[:2]
                if is_content or (folder == self.folder and _HALF.fullmatch(path.name)):
                    with suppress(FileNotFoundError):
                        facts = path.stat(follow_symlinks=False)
                        name = path.name if is_content else None
                        yield StoredFile(path, name, facts.st_size, facts.st_mtime)
