"""What a database's files say at a first look: header, write-ahead log, rollback journal. Microseconds.

Bytes only, never SQLite: opening a database whose log or journal is damaged can throw the evidence away
(a log with a broken header is deleted with every commit in it). https://sqlite.org/fileformat2.html,
https://sqlite.org/walformat.html
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from datalayer.schema.check.filebytes import read_at
from datalayer.schema.finding import Finding
from datalayer.schema.salvage.header import MAGIC, Stamps, read_stamps
from datalayer.schema.salvage.pages import is_plausible
from datalayer.schema.salvage.wal import wal_checksum

__all__ = ["SIZES", "Outline", "outline"]

SIZES = tuple(1 << power for power in range(9, 17))
"""The page sizes that there are."""

_WAL_HEADER = Struct(">8I")
_WAL_MAGIC = 0x377F0682
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_MOST_FRAMES = 20_000
_LEAST_WAL = 32 + 24 + 512
_RANDOM_BITS = 7.0
_MOST_CHANGES = 10_000_000
_OTHERS = (
    (b"\x1f\x8b", "compressed by gzip"),
    (b"(\xb5/\xfd", "compressed by zstd"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"PGDMP", "a dump of PostgreSQL"),
    (b"BEGIN TRANSACTION", "a dump in SQL"),
    (b"PRAGMA", "a dump in SQL"),
)


@dataclass(frozen=True, slots=True)
class Outline:
    """The three files at one moment; sizes are None where there is no such file.

    `state` changes whenever somebody wrote to the main file or began a new log.
    """

    path: Path
    size: int
    stamps: Stamps
    wal_size: int | None
    journal_size: int | None
    has_shm: bool
    findings: tuple[Finding, ...]
    state: tuple[object, ...]

    @property
    def has_damaged_companion(self) -> bool:
        """Whether opening the file with SQLite could destroy what its log or journal holds."""
        return any(one.id in ("DL-C079", "DL-C080", "DL-C082", "DL-C083") for one in self.findings)

    @property
    def is_wal(self) -> bool:
        """Whether the header says that the database is in WAL mode."""
        return self.stamps.read_version == 2

    @property
    def is_database(self) -> bool:
        """Whether SQLite would take the file for a database; a file without a byte is one."""
        return self.size == 0 or self.stamps.magic == MAGIC

    def beside(self, suffix: str) -> Path:
        """Give the path of a companion file."""
        return self.path.with_name(self.path.name + suffix)


def outline(path: Path, *, most_frames: int = _MOST_FRAMES) -> Outline:
    """Look at the files. Raises OSError where the main file cannot be read.

    Cost: a few reads; of a log the salts of its first frames, the checksums of its header and first frame.
    """
    status = path.stat()
    start = read_at(path, 0, 4096)
    stamps = read_stamps(start[:100])
    wal_size, journal_size = _size(path, "-wal"), _size(path, "-journal")
    findings = [*_main(path, status.st_size, start, stamps)]
    salts = b""
    if wal_size:
        header = _read(path, "-wal", 32)
        salts = header[12:24]
        findings += _wal(path, (status.st_size, wal_size), header, stamps, most_frames)
    if journal_size:
        findings += _journal(path, status.st_size, journal_size, stamps)
    has_shm = _size(path, "-shm") is not None
    if status.st_size and stamps.magic == MAGIC:
        findings += _leftovers(path, stamps, (wal_size, journal_size), has_shm=has_shm)
    state = (status.st_size, status.st_mtime_ns, salts, journal_size is None)
    return Outline(path, status.st_size, stamps, wal_size, journal_size, has_shm, tuple(findings), state)


def _size(path: Path, suffix: str) -> int | None:
    try:
        return path.with_name(path.name + suffix).stat().st_size
    except OSError:
        return None


def _read(path: Path, suffix: str, size: int) -> bytes:
    """Read the start of a companion file; there are no locks on log and journal that closing would drop."""
    try:
        with path.with_name(path.name + suffix).open("rb") as file:
            return file.read(size)
    except OSError:
        # gone since it was looked at
        return b""


# -- main file ------------------------------------------------------------------------------------


def _main(path: Path, size: int, start: bytes, stamps: Stamps) -> Iterator[Finding]:
    if size == 0:
        message = f"{path} is empty: run `datalayer migrate` to make the database, or restore a backup"
        yield Finding("DL-C071", "error", None, None, 1, message, "manual")
    elif stamps.magic != MAGIC:
        yield _no_database(path, size, start)
    else:
        yield from _header(path, size, start, stamps)


def _no_database(path: Path, size: int, start: bytes) -> Finding:
    """Tell a database whose header is damaged from an encrypted one and from any other file."""
    if _looks_like_pages(path, size):
        message = f"the header of {path.name} is damaged: its pages are a database's, its first bytes not"
        return Finding("DL-C084", "error", None, "header", 1, message, "automatic")
    if len(start) >= 512 and size % 512 == 0 and _bits(start) > _RANDOM_BITS:
        message = f"{path} seems to be encrypted: open it with its key (SQLCipher), or restore a backup"
        return Finding("DL-C073", "error", None, None, 1, message, "manual")
    if (before := start.find(MAGIC)) > 0:
        message = f"the header of {path.name} is damaged: {before} bytes stand before the database"
        return Finding("DL-C084", "error", None, "header", 1, message, "automatic")
    what = next((f": it is {what}" for sign, what in _OTHERS if start.startswith(sign)), "")
    if not any(start):
        what = ": it begins with zeros"
    return Finding("DL-C072", "error", None, None, 1, f"{path} is not a database{what}", "none")


def _bits(data: bytes) -> float:
    """Give the entropy of bytes: near 8 for what is encrypted or compressed."""
    total = len(data)
    return -sum(count / total * math.log2(count / total) for count in Counter(data).values())


def _looks_like_pages(path: Path, size: int) -> bool:
    """Whether a good part of the file parses as b-tree pages of one size."""
    for page_size in (4096, 1024, 8192, 512, 2048, 16384, 32768, 65536):
        count = size // page_size
        if count < 1:
            continue
        numbers = range(0, count, max(1, count // 24))
        good = 0
        for number in numbers:
            page = read_at(path, number * page_size, page_size)
            start = 100 if number == 0 else 0
            good += page[start] in (2, 5, 10, 13) and is_plausible(page, start, page_size)
        if good and good * 4 >= len(numbers):
            return True
    return False


def _header(path: Path, size: int, start: bytes, stamps: Stamps) -> Iterator[Finding]:
    wrong: list[str] = []
    if stamps.page_size not in SIZES:
        wrong.append(f"the page size is {stamps.page_size}")
    elif size % stamps.page_size:
        wrong.append(f"its {size} bytes are no whole number of pages of {stamps.page_size}")
    elif stamps.is_page_count_valid and stamps.page_count > size // stamps.page_size and not _lags(stamps):
        there = size // stamps.page_size
        wrong.append(f"it tells of {stamps.page_count} pages, and {there} are there: the file was cut short")
    if not (1 <= stamps.read_version <= 2 and 1 <= stamps.write_version <= 2):
        wrong.append("the version of the format is none that exists")
    if stamps.fractions != b"\x40\x20\x20":
        wrong.append("the payload fractions are not 64, 32 and 32")
    if stamps.encoding not in (1, 2, 3) and (stamps.encoding or stamps.schema_format):
        wrong.append(f"the text encoding is {stamps.encoding}")
    if stamps.schema_format > 4 or (stamps.schema_format == 0 and _has_objects(start)):
        wrong.append(f"the schema format is {stamps.schema_format}")
    if stamps.page_size in SIZES and stamps.page_size - stamps.reserved < 480:
        wrong.append(f"{stamps.reserved} bytes of each page are reserved")
    for reason in wrong:
        message = f"the header of {path.name} is damaged: {reason}"
        yield Finding("DL-C084", "error", None, "header", 1, message, "automatic")
    changes = int.from_bytes(start[40:44], "big")
    if changes > max(_MOST_CHANGES, stamps.change_counter) and not wrong:
        message = (
            f"the header of {path.name} counts {changes} changes of its schema: no program makes as many"
        )
        yield Finding("DL-C084", "info", None, "header", 1, message, "none")
    if not wrong and stamps.change_counter != stamps.valid_for:
        message = f"the change counter of {path.name} and the one its page count is valid for differ"
        yield Finding("DL-C084", "warning", None, "header", 1, message, "automatic")


def _has_objects(start: bytes) -> bool:
    """Whether the first page holds entries of a schema: only a file without any has the format 0."""
    return start[100:101] in (b"\x05", b"\x0d") and start[103:105] != b"\0\0"


def _lags(stamps: Stamps) -> bool:
    """Whether the newest page count may stand in a log, so that the main file's own says nothing."""
    return stamps.read_version == 2


# -- write-ahead log ------------------------------------------------------------------------------


def _wal(
    path: Path, sizes: tuple[int, int], header: bytes, stamps: Stamps, most_frames: int
) -> Iterator[Finding]:
    name, (main, size) = f"{path.name}-wal", sizes
    if size < _LEAST_WAL or len(header) < 32:
        # not even one frame: SQLite begins a new log over it
        return
    magic, _, page_size, _, _, _, *stored = _WAL_HEADER.unpack(header)
    reason: str | None = None
    if not any(header):
        if not any(_read(path, "-wal", 56)):
            # room that was made for a log, and nothing came of it
            return
        reason = "its header is zeros"
    elif magic & ~1 != _WAL_MAGIC or page_size not in SIZES:
        reason = "its header is none of a log"
    elif list(wal_checksum(header[:24], (0, 0), big=bool(magic & 1))) != stored:
        reason = "the checksum of its header is wrong"
    if reason is None:
        reason = _frames(path, size, page_size, header, most_frames)
    if reason is not None:
        message = (
            f"{name} is damaged ({reason}): do not open the database, or commits in it are lost;"
            " run `datalayer repair`"
        )
        yield Finding("DL-C082", "error", None, "-wal", 1, message, "automatic")
        return
    yield from _strangers(path, main, page_size, stamps, is_used=_has_frame(path, page_size, header))


def _leftovers(
    path: Path, stamps: Stamps, sizes: tuple[int | None, int | None], *, has_shm: bool
) -> Iterator[Finding]:
    """Tell what lies beside a database and holds nothing: it confuses who looks there."""
    wal_size, journal_size = sizes
    if journal_size and not any(_read(path, "-journal", 28)):
        message = f"{path.name}-journal is over: a transaction in journal_mode PERSIST left it"
        yield Finding("DL-C079", "info", None, "-journal", 1, message, "none")
    if stamps.read_version == 2 and wal_size == 0 and not has_shm:
        message = (
            f"{path.name}-wal is empty, and nobody uses it: commits that only it held, if there were any, are"
            " gone"
        )
        yield Finding("DL-C086", "info", None, "-wal", 1, message, "none")
    if stamps.read_version != 1:
        return
    too_small = wal_size is not None and wal_size < _LEAST_WAL
    for suffix, is_there in (("-wal", too_small), ("-shm", has_shm and (wal_size is None or too_small))):
        if is_there:
            message = f"{path.name}{suffix} lies beside a database that is not in WAL mode, and holds nothing"
            yield Finding("DL-C079", "warning", None, suffix, 1, message, "automatic")


def _strangers(path: Path, main: int, page_size: int, stamps: Stamps, *, is_used: bool) -> Iterator[Finding]:
    """Tell a log that belongs to another file."""
    name, why = f"{path.name}-wal", None
    if not is_used:
        return
    if main == 0:
        why = "the database is empty, and SQLite would delete the log"
    elif stamps.magic == MAGIC and stamps.page_size != page_size:
        why = f"its pages have {page_size} bytes, those of the database {stamps.page_size}"
    elif stamps.magic == MAGIC and stamps.read_version == 1:
        why = "the database is not in WAL mode, and SQLite would put the log's pages into it"
    if why is not None:
        message = f"{name} does not belong to {path.name}: {why}"
        yield Finding("DL-C079", "error", None, "-wal", 1, message, "manual")


def _has_frame(path: Path, page_size: int, header: bytes) -> bool:
    return _read(path, "-wal", 56)[40:48] == header[16:24]


def _frames(path: Path, size: int, page_size: int, header: bytes, most_frames: int) -> str | None:
    """Say what is wrong with the frames: the first one's checksum, and a gap among those that count."""
    step = 24 + page_size
    start = _read(path, "-wal", 32 + step + 24)
    first, second, mark = start[32 : 32 + step], start[32 + step :], header[16:24]
    # alone it may be half written, by a crash too; with another one behind it it was whole
    if first[8:16] == mark == second[8:16]:
        big = bool(header[3] & 1)
        seed = (int.from_bytes(header[24:28], "big"), int.from_bytes(header[28:32], "big"))
        found = wal_checksum(first[:8] + first[24:], seed, big=big)
        if found != (int.from_bytes(first[16:20], "big"), int.from_bytes(first[20:24], "big")):
            return "the checksum of its first frame is wrong"
    return _gap(path, range(32 + 8, size - step + 9, step)[:most_frames], mark)


def _gap(path: Path, places: range, mark: bytes) -> str | None:
    """Look at the salts of all frames: those of an older log may lie behind the newest one's, not between."""
    is_over = False
    try:
        with path.with_name(f"{path.name}-wal").open("rb", buffering=0) as file:
            for number, place in enumerate(places, 1):
                file.seek(place)
                counts = file.read(8) == mark
                if counts and is_over:
                    return f"frame {number} does not follow on those before it"
                is_over = is_over or not counts
    except OSError:
        # gone since it was looked at
        return None
    return None


# -- rollback journal -----------------------------------------------------------------------------


def _journal(path: Path, main: int, size: int, stamps: Stamps) -> Iterator[Finding]:
    name = f"{path.name}-journal"
    head = _read(path, "-journal", 28)
    if size < 512 or len(head) < 28 or not any(head[:12]):
        # journal_mode=PERSIST leaves a header of zeros behind every transaction; magic and number of records
        # come last, once the pages before them are on the disk, and before that no page of the database is
        # written (sqlite.org/fileformat2.html, 3)
        return
    if head[:8] != _JOURNAL_MAGIC:
        message = f"{name} is damaged: its header is none of a journal; run `datalayer repair`"
        yield Finding("DL-C083", "error", None, "-journal", 1, message, "automatic")
        return
    page_size = int.from_bytes(head[24:28], "big")
    sector = int.from_bytes(head[20:24], "big")
    if page_size not in SIZES or not 32 <= sector <= 65536 or sector & (sector - 1):
        message = f"{name} is damaged: its page size is {page_size}, its sector size {sector}"
        yield Finding("DL-C083", "error", None, "-journal", 1, message, "automatic")
    elif main and stamps.magic == MAGIC and stamps.page_size in SIZES and page_size != stamps.page_size:
        why = f"its pages have {page_size} bytes, those of the database {stamps.page_size}"
        message = f"{name} does not belong to {path.name}: {why}"
        yield Finding("DL-C079", "error", None, "-journal", 1, message, "manual")
    else:
        message = f"{name} is hot: a transaction did not end, and who next opens the database undoes it"
        yield Finding("DL-C080", "warning", None, "-journal", 1, message, "automatic")
