"""The header of a database file, and what the pages themselves say where it is wrong.

https://sqlite.org/fileformat2.html, "The Database Header". A field is believed when the pages bear it out;
else the value with which most of them make sense is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from datalayer.schema.salvage.filebytes import FileBytes
from datalayer.schema.salvage.outcome import Problem
from datalayer.schema.salvage.pages import TABLE_LEAF, PageHeader, cell_at, header_of, is_plausible
from datalayer.schema.salvage.reading import Layout
from datalayer.schema.salvage.record import read_varint, serial_size, serials

__all__ = ["MAGIC", "Stamps", "find_layout", "read_stamps", "stamp_problems"]

MAGIC = b"SQLite format 3\0"
_SIZES = tuple(1 << power for power in range(9, 17))
_SAMPLE = 120
_ENCODINGS = {1: "utf-8", 2: "utf-16-le", 3: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Stamps:
    """The numbers of the header as they stand in the file, right or wrong."""

    magic: bytes
    page_size: int
    write_version: int
    read_version: int
    reserved: int
    fractions: bytes
    change_counter: int
    page_count: int
    freelist_trunk: int
    freelist_count: int
    schema_format: int
    largest_root: int
    encoding: int
    user_version: int
    incremental: int
    application_id: int
    valid_for: int

    @property
    def is_page_count_valid(self) -> bool:
        """Whether SQLite believes the page count, as the last writer knew of that field."""
        return self.page_count > 0 and self.valid_for == self.change_counter


def read_stamps(page: bytes) -> Stamps:
    """Read the header at the start of the first page."""
    page = page[:100].ljust(100, b"\0")

    def long(at: int) -> int:
        return int.from_bytes(page[at : at + 4], "big")

    size = int.from_bytes(page[16:18], "big")
    return Stamps(
        page[:16],
        65536 if size == 1 else size,
        page[18],
        page[19],
        page[20],
        page[21:24],
        long(24),
        long(28),
        long(32),
        long(36),
        long(44),
        long(52),
        long(56),
        int.from_bytes(page[60:64], "big", signed=True),
        long(64),
        int.from_bytes(page[68:72], "big", signed=True),
        long(92),
    )


def stamp_problems(stamps: Stamps, layout: Layout, page_count: int) -> list[Problem]:
    """Say which fields of the header are wrong, given what the pages say."""
    wrong: list[tuple[str, str]] = []
    if stamps.magic != MAGIC:
        wrong.append(("header-magic", "the file does not begin with the words of a SQLite database"))
    if stamps.page_size != layout.page_size:
        wrong.append(("header-page-size", f"the page size is {layout.page_size}, not {stamps.page_size}"))
    if stamps.reserved != layout.reserved:
        wrong.append(("header-reserved", f"a page reserves {layout.reserved} bytes, not {stamps.reserved}"))
    if stamps.write_version not in (1, 2) or stamps.read_version not in (1, 2):
        wrong.append(("header-version", "the version of the file format is none that exists"))
    if stamps.fractions != b"\x40\x20\x20":
        wrong.append(("header-fractions", "the payload fractions are not 64, 32 and 32"))
    if stamps.schema_format > 4:
        wrong.append(("header-schema-format", f"the schema format is {stamps.schema_format}"))
    if stamps.encoding not in _ENCODINGS and not (stamps.encoding == 0 and stamps.schema_format == 0):
        wrong.append(("header-encoding", f"the text encoding is {stamps.encoding}"))
    elif _ENCODINGS.get(stamps.encoding, layout.encoding) != layout.encoding:
        wrong.append(("header-encoding", f"texts are {layout.encoding}, not what the header says"))
    if layout.auto_vacuum != (stamps.largest_root > 0):
        wrong.append(("header-auto-vacuum", "the header and the pointer-map pages disagree on auto-vacuum"))
    if stamps.is_page_count_valid and stamps.page_count != page_count:
        wrong.append(
            ("page-count", f"the header tells of {stamps.page_count} pages, the file holds {page_count}")
        )
    return [Problem(kind, 1, message) for kind, message in wrong]


def find_layout(data: bytes | FileBytes, stamps: Stamps, hint: int | None = None) -> Layout:
    """Find the layout with which the pages make sense; `hint` is the page size that a log tells."""
    size, reserved = _page_size(data, stamps, hint)
    count = -(-len(data) // size)
    encoding = _encoding(data, stamps, size, size - reserved)
    auto_vacuum = _is_auto_vacuum(data, stamps, size, size - reserved, count)
    return Layout(size, reserved, encoding, auto_vacuum)


def _page_size(data: bytes | FileBytes, stamps: Stamps, hint: int | None) -> tuple[int, int]:
    claimed = (stamps.page_size, stamps.reserved)
    scores: dict[tuple[int, int], float] = {}
    if stamps.page_size in _SIZES and stamps.page_size - stamps.reserved >= 480:
        scores[claimed] = _borne_out(data, *claimed)
        if scores[claimed] >= 0.5:
            return claimed
    for size in _SIZES:
        for reserved, share in _votes(data, size).items():
            if size - reserved >= 480:
                scores[size, reserved] = max(scores.get((size, reserved), 0.0), share)
    if hint is not None and hint not in {size for size, _ in scores}:
        scores[hint, stamps.reserved if stamps.reserved <= 64 else 0] = 0.01
    if not scores:
        return (4096, 0)
    best = max(scores.values())
    if best > 0 and scores.get(claimed, 0.0) >= best * 0.8:
        return claimed
    # of equal shares the larger page: half of a page never looks like a page more often than the whole
    return max(scores, key=lambda pair: (scores[pair], pair[0]))


def _sampled(data: bytes | FileBytes, size: int) -> Iterator[bytes]:
    count = len(data) // size
    for number in range(0, count, max(1, count // _SAMPLE)):
        page = data[number * size : (number + 1) * size]
        yield page


def _borne_out(data: bytes | FileBytes, size: int, reserved: int) -> float:
    """Give the share of b-tree pages whose content ends where the usable part of a page ends."""
    votes = _votes(data, size)
    return votes.get(reserved, 0.0)


def _votes(data: bytes | FileBytes, size: int) -> dict[int, float]:
    """Give, by reserved bytes, the share of sampled pages whose last cell ends there."""
    votes = Counter[int]()
    pages = 0
    for place, page in enumerate(_sampled(data, size)):
        if not any(page):
            continue
        pages += 1
        end = _content_end(page, 100 if place == 0 else 0, size)
        if end is not None and size - 255 <= end <= size:
            votes[size - end] += 1
    return {reserved: count / max(pages, 1) for reserved, count in votes.items()}


def _content_end(page: bytes, start: int, size: int) -> int | None:
    """Give the place behind the last cell of a page, or None where it is no page of this size."""
    for usable in (size, size - 255):
        if not is_plausible(page, start, usable):
            continue
        header = header_of(page, start)
        if header is None or not header.pointers:
            return None
        end = _last_end(page, header, size)
        return None if end is None else max(end, _free_end(page, start, size))
    return None


def _last_end(page: bytes, header: PageHeader, size: int) -> int | None:
    cell = cell_at(page, max(header.pointers), header.kind, size)
    if cell is None or cell.overflow:
        # where a payload spills, its local part depends on the reserved bytes that are looked for
        return next(
            (
                size - reserved
                for reserved in (0, 4, 8, 12, 16, 20, 24, 28, 32, 48, 64)
                if (found := cell_at(page, max(header.pointers), header.kind, size - reserved))
                and found.end == size - reserved
            ),
            None,
        )
    return cell.end


def _free_end(page: bytes, start: int, size: int) -> int:
    """Give the place behind the last free block, where a cell stood that was deleted; 0 without one."""
    place, end = int.from_bytes(page[start + 1 : start + 3]), 0
    while end < place <= size - 4:
        end = place + int.from_bytes(page[place + 2 : place + 4])
        if end > size:
            return 0
        place = int.from_bytes(page[place : place + 2])
    return end


def _encoding(data: bytes | FileBytes, stamps: Stamps, size: int, usable: int) -> str:
    votes = Counter[str]()
    for page in (data[:size], *_sampled(data, size)):
        votes["utf-8"] += page.count(b"CREATE ") + page.count(b"\x07table")
        votes["utf-16-le"] += page.count("CREATE ".encode("utf-16-le"))
        votes["utf-16-be"] += page.count("CREATE ".encode("utf-16-be"))
    claimed = _ENCODINGS.get(stamps.encoding)
    if votes["utf-8"] and votes["utf-8"] == max(votes.values()):
        return "utf-8"
    # both orders of UTF-16 look alike within a text: only where a text starts tells them apart
    votes.clear()
    for place, page in enumerate(_sampled(data, size)):
        votes.update(_text_votes(page, 100 if place == 0 else 0, usable))
    if not votes.total():
        return claimed or "utf-8"
    best = votes.most_common(1)[0][0]
    return claimed if claimed and votes[claimed] * 2 >= votes[best] else best


def _text_votes(page: bytes, start: int, usable: int) -> Counter[str]:
    """Tell the encoding of the texts on a leaf of a table by where their zeros stand."""
    votes = Counter[str]()
    header = header_of(page, start)
    if header is None or header.kind != TABLE_LEAF:
        return votes
    for at in header.pointers[:20]:
        cell = cell_at(page, at, header.kind, usable)
        kinds = None if cell is None else serials(page, cell.payload)
        if cell is None or kinds is None:
            continue
        place = cell.payload + read_varint(page, cell.payload)[0]
        for kind in kinds:
            size = max(serial_size(kind), 0)
            text = page[place : min(place + size, cell.payload + cell.local)]
            place += size
            if kind >= 13 and kind & 1 and len(text) >= 4:
                votes[_encoding_of(text)] += 1
    return votes


def _encoding_of(text: bytes) -> str:
    if len(text) % 2 == 0 and text[1::2].count(0) * 2 > len(text[1::2]):
        return "utf-16-le"
    if len(text) % 2 == 0 and text[::2].count(0) * 2 > len(text[::2]):
        return "utf-16-be"
    return "utf-8"


def _is_auto_vacuum(data: bytes | FileBytes, stamps: Stamps, size: int, usable: int, count: int) -> bool:
    claimed = stamps.largest_root > 0
    if count < 3:
        return claimed and stamps.largest_root <= count
    page = data[size : 2 * size]
    if page[0] in (2, 5, 10, 13) and is_plausible(page, 0, usable):
        return False
    entries = min(usable // 5, count - 2)
    good = sum(
        1 <= page[at] <= 5 and int.from_bytes(page[at + 1 : at + 5], "big") <= count
        for at in range(0, entries * 5, 5)
    )
    if good == 0 and claimed and not any(page):
        return True
    return good >= max(1, entries * 0.8)
