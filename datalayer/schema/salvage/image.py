"""The private image of a database's files: main file, write-ahead log, rollback journal.

Files are opened read-only and never by SQLite: opening a damaged database can roll back a journal or throw
away a log. Up to 32 MB the bytes are copied, beyond that read when needed; hold a lock or
work on a copy where others write. Knows no tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from datalayer.errors import DatabaseCorrupt, DatabaseUnavailable
from datalayer.schema.salvage.filebytes import FileBytes
from datalayer.schema.salvage.header import MAGIC, Stamps, find_layout, read_stamps, stamp_problems
from datalayer.schema.salvage.journal import JournalContent, placed, read_journal
from datalayer.schema.salvage.outcome import Problem
from datalayer.schema.salvage.pages import is_plausible
from datalayer.schema.salvage.reading import Layout, Reading, Segment
from datalayer.schema.salvage.wal import WalContent, read_wal, wal_page_size

__all__ = ["Image"]

_COPIED = 32 << 20


@dataclass(frozen=True, slots=True)
class Image:
    """The bytes of a database's files and what they say of themselves; `close` it, or use it as a block.

    `page_size`, `reserved`, `encoding`, `auto_vacuum` and `page_count` are as the pages bear them out, not as
    the header says; where the two differ, `problems` says so.
    """

    path: Path
    data: bytes | FileBytes
    stamps: Stamps
    layout: Layout
    page_count: int
    wal: WalContent | None
    journal: JournalContent | None
    problems: tuple[Problem, ...]

    @classmethod
    def read(cls, path: str | Path) -> Image:
        """Read the files.

        Raises DatabaseUnavailable where they cannot be read, DatabaseCorrupt when nothing is in them.
        """
        path = Path(path)
        data, wal, journal = _read(path), _beside(path, "-wal"), _beside(path, "-journal")
        if not len(data) and len(wal) <= 32:
            raise DatabaseCorrupt(f"{path} is empty", hint="restore a backup")
        data, cut = _from_magic(data)
        stamps = read_stamps(data[:100])
        layout = find_layout(data, stamps, wal_page_size(wal))
        count = -(-len(data) // layout.page_size)

        def judge(number: int, page: bytes) -> bool:
            return is_plausible(page, 100 if number == 1 else 0, layout.usable)

        frames = read_wal(wal, layout.page_size, judge) if wal else None
        undo = read_journal(journal, layout.page_size, count, judge) if journal else None
        problems = [*stamp_problems(stamps, layout, max(count, 1))]
        if cut:
            problems.append(Problem("shift", 1, f"{cut} bytes stand before the database"))
        if frames is not None and frames.page_count != count:
            # in WAL mode the main file lags behind, and so does the count in its header
            problems = [problem for problem in problems if problem.kind != "page-count"]
        if len(data) % layout.page_size:
            problems.append(Problem("file-size", None, f"the file ends within page {count}"))
        return cls(path, data, stamps, layout, count, frames, undo, tuple(problems))

    @staticmethod
    def opened(path: Path) -> BinaryIO:
        """Open a file for reading. Raises DatabaseUnavailable where that cannot be."""
        try:
            return path.open("rb")
        except OSError as exc:
            raise _unreadable(path, exc) from exc

    @property
    def page_size(self) -> int:
        """The bytes of a page."""
        return self.layout.page_size

    @property
    def reserved(self) -> int:
        """The bytes at the end of each page that SQLite leaves alone."""
        return self.layout.reserved

    @property
    def encoding(self) -> str:
        """The encoding of texts, as Python calls it."""
        return self.layout.encoding

    @property
    def auto_vacuum(self) -> bool:
        """Whether the file has pointer-map pages."""
        return self.layout.auto_vacuum

    def readings(self) -> list[Reading]:
        """Give what the database may be: with the log replayed, the journal rolled back, or as it stands.

        In the order in which SQLite would have it; recover.choose() takes the physically cleanest.
        """
        main = Reading("main", self.layout, self.page_count, self.data, {}, (Segment(1, 0),), self.problems)
        found: list[Reading] = []
        wal, journal = self.wal, self.journal
        if wal is not None:
            found.append(self._replayed("main+wal", wal.pages, wal.page_count, wal.problems))
        if journal is not None:
            pages = {**journal.pages, **placed(journal, self.data, self.page_count, self.page_size)}
            found += [
                self._replayed("main+journal", pages, count, journal.problems)
                for count in self._counts_before(journal)
            ]
            if not journal.is_intact:
                return [main, *found]
        return [*found, main]

    def _counts_before(self, journal: JournalContent) -> list[int]:
        """Give how many pages the database may have had before the transaction: by the journal, by page 1."""
        told = [journal.page_count or 0]
        if 1 in journal.pages:
            stamps = read_stamps(journal.pages[1])
            told += [stamps.page_count] * stamps.is_page_count_valid
        # pages behind the old end of the file are never kept in a journal, and are cut off when it is played
        least, most = max(journal.pages), max(8 * self.page_count, *journal.pages)
        return [count for count in dict.fromkeys(told) if least <= count <= most] or [self.page_count]

    def _replayed(
        self, name: str, pages: dict[int, bytes], count: int, problems: tuple[Problem, ...]
    ) -> Reading:
        every = (*self.problems, *problems)
        if 1 in pages:
            stamps = read_stamps(pages[1])
            every = (*stamp_problems(stamps, self.layout, count), *problems)
        # a number far beyond what the files hold is no page's
        count = min(count, 8 * (self.page_count + len(pages)) + 1)
        kept = {number: page for number, page in pages.items() if number <= count}
        return Reading(name, self.layout, count, self.data, kept, (Segment(1, 0),), every)

    def close(self) -> None:
        """Let go of the file. Every Reading of it ends with it."""
        if isinstance(self.data, FileBytes):
            self.data.close()

    def __enter__(self) -> Image:
        """Use it as a block that closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _from_magic(data: bytes | FileBytes) -> tuple[bytes | FileBytes, int]:
    """Give a file from where its database begins, and how many bytes stand before it."""
    start = data[: 1 << 20]
    at = start.find(MAGIC)
    if at <= 0 or read_stamps(start[at : at + 100]).fractions != b"\x40\x20\x20":
        return data, 0
    if isinstance(data, FileBytes):
        data.skip(at)
        return data, at
    return data[at:], at


def _read(path: Path) -> bytes | FileBytes:
    try:
        return path.read_bytes() if path.stat().st_size <= _COPIED else FileBytes(path)
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, exc: OSError) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"{path} cannot be read", why=exc.strerror, hint="check the path and the permissions"
    )


def _beside(path: Path, suffix: str) -> bytes:
    other = path.with_name(path.name + suffix)
    try:
        return other.read_bytes()
    except OSError:
        return b""
