"""The files that hold long responses: written whole or appended to, read back, listed.

Knows the folder and its rules, neither database nor jobs. A stored path is `jobs/NAME` relative to the data
directory, NAME is `ID.ATTEMPT.TOKEN.txt`; nothing else is opened or removed here. Each file has one writer,
the object that made it, so that nobody who lost a job can write into what its next worker wrote.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from datalayer.engine.durable import sync_folder
from datalayer.errors import CheckViolation, DatabaseCorrupt, DataLayerError, NotFound

__all__ = ["FoundFile", "ResponseFiles", "Stream"]

_log = logging.getLogger("datalayer.jobs")

_FOLDER = "jobs"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NAME = re.compile(r"(?P<id>[A-Za-z0-9_-]{1,128})\.(?P<attempt>\d{1,19})\.[0-9a-f]{16}\.txt(?P<half>\.tmp)?")
# a link in the place of a response would lead out of the folder
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


@dataclass(slots=True)
class Stream:
    """A file that is being appended to: its stored path, and how many of its bytes the database knows of."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A response file that is there, or a half of one that a crash left behind (`is_half`)."""

    path: str
    job_id: str
    size_bytes: int
    modified_at: float
    is_half: bool


class ResponseFiles:
    """The folder `jobs` in a data directory; made when the first file is written."""

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
                "there is no place for response files", hint="give data_dir= where the store is opened"
            )
        return self._data_dir / _FOLDER

    def place(self, stored: str) -> Path:
        """Give the place of a stored path.

        Raises:
            DataLayerError: it is not the path of a response file, and might lead anywhere.
        """
        folder, _, name = stored.partition("/")
        found = _NAME.fullmatch(name)
        if folder != _FOLDER or found is None or found["half"]:
            raise DataLayerError(
                f"{stored!r} is no path of a response file",
                why="it was not written by this library",
                hint="run `datalayer check-db`",
            )
        return self.folder / name

    def write(self, job_id: str, attempt: int, data: bytes) -> str:
        """Write a new file and give its stored path; after a power cut it is there whole or not at all.

        Raises:
            CheckViolation: the job's id cannot be part of a file's name.
        """
        if not _ID.fullmatch(job_id):
            raise CheckViolation(
                f"the response of job {job_id!r} cannot be kept in a file",
                why="an id that names a file has letters, digits, - and _ only",
                hint="let the library make the ids",
            )
        folder = self.folder
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
        path = folder / f"{job_id}.{attempt}.{secrets.token_hex(8)}.txt"
        half = path.with_name(path.name + ".tmp")
        try:
            with half.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
        except BaseException:
            half.unlink(missing_ok=True)
            raise
        sync_folder(folder)
        return f"{_FOLDER}/{path.name}"

    def append(self, stream: Stream, data: bytes) -> None:
        """Put data behind the bytes that the database knows of, over what a failed call left there."""
        fd = os.open(self.place(stream.path), os.O_RDWR | _NO_LINKS | _BINARY)
        with os.fdopen(fd, "r+b") as file:
            file.truncate(stream.size_bytes)
            file.seek(stream.size_bytes)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def read(self, stored: str, chars: int) -> str:
        """Give the first `chars` characters: what is behind them was never acknowledged.

        Raises:
            NotFound: the file is gone.
            DatabaseCorrupt: it holds less than that.
        """
        try:
            fd = os.open(self.place(stored), os.O_RDONLY | _NO_LINKS | _BINARY)
        except OSError as exc:
            raise NotFound(
                f"the response file {stored} cannot be opened",
                why=exc.strerror,
                hint="run `datalayer check-db`, or restore the data directory from a backup",
            ) from exc
        with os.fdopen(fd, "rb") as file:
            data = file.read()
        try:
            text = data.decode()
        except UnicodeDecodeError as exc:
            # half a character at the end of what was not acknowledged
            text = data[: exc.start].decode()
        if len(text) < chars:
            raise DatabaseCorrupt(
                f"the response file {stored} holds {len(text)} of {chars} characters",
                why="it was cut short or changed by something else",
                hint="restore the data directory from a backup, or retry the job",
            )
        return text[:chars]

    def remove(self, stored: str) -> None:
        """Remove a file; one that is gone is no error, one that cannot be removed is left to check-db."""
        try:
            self.place(stored).unlink(missing_ok=True)
        except (OSError, DataLayerError) as exc:
            _log.warning("the response file %s stays: %s", stored, exc)

    def remove_half_or_whole(self, path: str) -> None:
        """Remove a file that `scan` gave, which may be the half of one."""
        self.place(path.removesuffix(".tmp"))
        (self.folder / Path(path).name).unlink(missing_ok=True)

    def size_bytes(self, stored: str) -> int | None:
        """Give the size of a file; None where there is none."""
        with suppress(OSError, DataLayerError):
            return self.place(stored).lstat().st_size
        return None

    def scan(self) -> Iterator[FoundFile]:
        """Give every response file that is in the folder; whatever else lies there is not ours."""
        try:
            entries = os.scandir(self.folder)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                name = _NAME.fullmatch(entry.name)
                if name is None or not entry.is_file(follow_symlinks=False):
                    continue
                with suppress(FileNotFoundError):
                    facts = entry.stat(follow_symlinks=False)
                    path = f"{_FOLDER}/{entry.name}"
                    yield FoundFile(path, name["id"], facts.st_size, facts.st_mtime, bool(name["half"]))
