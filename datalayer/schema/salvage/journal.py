"""The rollback journal: the pages as they were before a transaction that did not end.

https://sqlite.org/fileformat2.html, "The Rollback Journal". Each record bears a checksum that starts from a
nonce in the header; where the header is gone, the nonce is what most records agree on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct

from datalayer.schema.salvage.filebytes import FileBytes
from datalayer.schema.salvage.outcome import Problem

__all__ = ["JournalContent", "page_sum", "placed", "read_journal"]

_MAGIC = bytes.fromhex("d9d505f920a163d7")
_HEADER = Struct(">8s5I")
_LONG = Struct(">I")
_TIMES, _SPARE = 4, 1000
_MOST_STRAYS, _PART, _LEAST_PARTS = 20, 16, 3
_Record = tuple[int, bytes, int]
Judge = Callable[[int, bytes], bool]
_SECTORS = (512, 4096, 1024, 2048, 8192, 16384, 32768, 65536)


@dataclass(frozen=True, slots=True)
class JournalContent:
    """The pages to put back, the first record of a page counting, and the pages the database had before.

    `is_intact` says that SQLite itself would roll it back; one whose header is zeros it would not.
    `strays` are kept pages whose number is none that the database can have.
    """

    pages: dict[int, bytes]
    page_count: int | None
    problems: tuple[Problem, ...]
    is_intact: bool
    strays: tuple[bytes, ...] = ()


@dataclass(slots=True)
class _Kept:
    """What the records tell: pages by number, in doubt where a checksum is wrong, and how many are bad."""

    most: int
    judge: Judge
    pages: dict[int, bytes] = field(default_factory=dict[int, bytes])
    doubtful: dict[int, bytes] = field(default_factory=dict[int, bytes])
    strays: list[bytes] = field(default_factory=list[bytes])
    bad: int = 0

    def take(self, record: _Record, nonce: int, *, is_counted: bool) -> None:
        """Take one record; `is_counted` where the header says that it belongs to the transaction."""
        number, page, own = record
        if own == nonce and 0 < number <= self.most:
            self.pages.setdefault(number, page)
        elif own == nonce and number:
            self.bad += 1
            self.strays.append(page)
        elif is_counted and number:
            self.bad += 1
            if number <= self.most and self.judge(number, page):
                self.doubtful.setdefault(number, page)

    def all_pages(self) -> dict[int, bytes]:
        """Give all pages; a doubtful one only where there is no other."""
        return {**self.doubtful, **self.pages}


def page_sum(page: bytes) -> int:
    """Give the sum that a record's checksum adds to the nonce."""
    return sum(page[at] for at in range(len(page) - 200, 0, -200))


def read_journal(data: bytes, page_size: int, page_count: int, judge: Judge) -> JournalContent | None:
    """Read a journal; None where it holds no record that could be put back.

    `page_count` is the file's now; `judge` says whether bytes make sense as a page of a number, which decides
    where a checksum is wrong.
    """
    if len(data) < 512 + 8 + page_size:
        return None
    magic, _, _, before, sector, size = _HEADER.unpack_from(data)
    kept = _Kept(_TIMES * page_count + _SPARE, judge)
    if magic == _MAGIC and size == page_size and sector in _SECTORS:
        return _with_header(data, page_size, (before, sector), 0, kept)
    return _without_header(data, page_size, kept)


def _with_header(
    data: bytes, page_size: int, head: tuple[int, int], at: int, kept: _Kept
) -> JournalContent | None:
    """Read the headers from a place on, each with its records; a long transaction has several."""
    before, sector = head
    unsynced = False
    while at + sector <= len(data):
        magic, count, nonce, _, _, _ = _HEADER.unpack_from(data, at)
        if magic != _MAGIC:
            break
        # 0 stands there until the journal is synced, and so before the file changes
        unsynced = unsynced or count == 0
        end = _next_header(data, at, sector)
        records = _records(data, at + sector, end, page_size)
        nonce = _agreed(records, nonce)
        for place, record in enumerate(records):
            kept.take(record, nonce, is_counted=place < count != 0xFFFFFFFF)
        at = end
    if not kept.pages:
        return None
    bad = kept.bad
    problems = (Problem("journal-record", None, f"{bad} records of the journal are damaged"),) if bad else ()
    is_intact = not bad and not unsynced
    return JournalContent(kept.all_pages(), before or None, problems, is_intact, tuple(kept.strays))


def _next_header(data: bytes, at: int, sector: int) -> int:
    found = data.find(_MAGIC, at + sector)
    while found >= 0 and found % sector:
        found = data.find(_MAGIC, found + 1)
    return found if found >= 0 else len(data)


def _records(data: bytes, start: int, end: int, page_size: int) -> list[_Record]:
    """Give the records between two places as (page number, page, nonce by its checksum)."""
    found: list[_Record] = []
    for at in range(start, end - page_size - 7, page_size + 8):
        page = data[at + 4 : at + 4 + page_size]
        nonce = (_LONG.unpack_from(data, at + 4 + page_size)[0] - page_sum(page)) & 0xFFFFFFFF
        found.append((_LONG.unpack_from(data, at)[0], page, nonce))
    return found


def _agreed(records: list[_Record], nonce: int) -> int:
    """Give the nonce of a header, or the one that the records agree on where that is no record's."""
    votes = Counter(own for _, _, own in records)
    if not records or votes[nonce]:
        return nonce
    voted, count = votes.most_common(1)[0]
    return voted if count > 1 and records[0][2] == voted else nonce


def _without_header(data: bytes, page_size: int, kept: _Kept) -> JournalContent | None:
    """Try each sector size: the records lie where their checksums agree on one nonce."""
    later, before = None, None
    at = data.find(_MAGIC, 1)
    sector = 0
    if at > 0 and at + _HEADER.size <= len(data):
        _, _, _, before, sector, size = _HEADER.unpack_from(data, at)
        if size == page_size and sector in _SECTORS and at % sector == 0:
            later = _with_header(data, page_size, (before, sector), at, kept)
    tried = [_first_records(data, page_size, size) for size in ([sector] if later else _SECTORS)]
    pages = max(tried, key=len)
    if len(pages) < 2 and later is None:
        return None
    pages = {**(later.pages if later is not None else {}), **pages}
    problem = Problem("journal-header", None, "the header of the rollback journal is gone or damaged")
    return JournalContent(
        pages, before if later else None, (problem,), is_intact=False, strays=tuple(kept.strays)
    )


def _first_records(data: bytes, page_size: int, sector: int) -> dict[int, bytes]:
    """Give the pages of the records behind the first header, by the nonce that most of them agree on."""
    records = _records(data, sector, _next_header(data, 0, sector), page_size)
    if not records:
        return {}
    voted, votes = Counter(nonce for _, _, nonce in records).most_common(1)[0]
    # the first record always has the nonce; where the sector size is wrong it is no record
    votes = votes if records[0][2] == voted else 0
    pages: dict[int, bytes] = {}
    for number, page, nonce in records if votes > 1 else ():
        if nonce == voted and number:
            pages.setdefault(number, page)
    return pages


def placed(
    journal: JournalContent, data: bytes | FileBytes, page_count: int, page_size: int
) -> dict[int, bytes]:
    """Give the pages whose number is lost the one of the page in the file that they are most like.

    That page is what the transaction made of them; only one that the journal does not name can be it.
    """
    found: dict[int, bytes] = {}
    for page in journal.strays[:_MOST_STRAYS]:
        parts = {page[at : at + _PART] for at in range(page_size - _PART + 1)}
        parts = {part for part in parts if part.count(0) < _PART // 2}
        best, most, second = 0, 0, 0
        for number in range(1, page_count + 1):
            if number in journal.pages or number in found:
                continue
            other = data[(number - 1) * page_size : number * page_size]
            if other[:1] != page[:1]:
                continue
            same = sum(other[at : at + _PART] in parts for at in range(0, page_size, _PART))
            if same > most:
                best, most, second = number, same, most
            elif same > second:
                second = same
        if most >= _LEAST_PARTS and most > 2 * second:
            found[best] = page
    return found
