"""B-tree pages and cells: their headers, pointers and payloads, and how plausible a page is.

https://sqlite.org/fileformat2.html, "B-tree Pages". A page is bytes of the full page size. Knows no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError

from datalayer.schema.salvage.record import read_varint, record_size

__all__ = [
    "INDEX_INNER",
    "INDEX_LEAF",
    "TABLE_INNER",
    "TABLE_LEAF",
    "Cell",
    "PageHeader",
    "cell_at",
    "free_blocks",
    "header_of",
    "is_cell",
    "is_plausible",
    "local_size",
    "may_spill",
    "recounted",
    "trunk_leaves",
    "unaccounted",
]

INDEX_INNER, TABLE_INNER, INDEX_LEAF, TABLE_LEAF = 2, 5, 10, 13
_HEAD = Struct(">BHHHB")
_LONG = Struct(">I")


@dataclass(frozen=True, slots=True)
class PageHeader:
    """The header of a b-tree page: `pointers` are offsets of cells, `child` the right one of inner pages."""

    kind: int
    first_free: int
    content: int
    fragmented: int
    child: int
    pointers: Sequence[int]
    start: int

    @property
    def is_leaf(self) -> bool:
        """Whether it has no children."""
        return self.kind >= INDEX_LEAF

    @property
    def is_table(self) -> bool:
        """Whether its keys are rowids."""
        return self.kind in (TABLE_INNER, TABLE_LEAF)

    @property
    def pointers_end(self) -> int:
        """The place behind the array of pointers."""
        return self.start + (8 if self.is_leaf else 12) + 2 * len(self.pointers)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: `child` of inner pages, `rowid` of tables, `size` of the payload, `local` of it here."""

    start: int
    end: int
    child: int
    rowid: int
    size: int
    payload: int
    local: int
    overflow: int


def header_of(page: bytes, start: int = 0, assume: int | None = None) -> PageHeader | None:
    """Read the header of a b-tree page, or None where the page cannot be one; `assume` a kind to try."""
    kind, first_free, count, content, fragmented = _HEAD.unpack_from(page, start)
    kind = kind if assume is None else assume
    if kind not in (INDEX_INNER, TABLE_INNER, INDEX_LEAF, TABLE_LEAF):
        return None
    leaf = kind >= INDEX_LEAF
    array = start + (8 if leaf else 12)
    if array + 2 * count > len(page):
        return None
    pointers = _pointers(count).unpack_from(page, array)
    child = 0 if leaf else _LONG.unpack_from(page, start + 8)[0]
    return PageHeader(kind, first_free, content or 65536, fragmented, child, pointers, start)


_structs: dict[int, Struct] = {}


def _pointers(count: int) -> Struct:
    found = _structs.get(count)
    if found is None:
        found = _structs[count] = Struct(f">{count}H")
    return found


def local_size(size: int, usable: int, *, table: bool) -> int:
    """Give how many bytes of a payload lie on its page; the rest is on overflow pages."""
    most = usable - 35 if table else (usable - 12) * 64 // 255 - 23
    if size <= most:
        return size
    least = (usable - 12) * 32 // 255 - 23
    kept = least + (size - least) % (usable - 4)
    return kept if kept <= most else least


def cell_at(page: bytes, at: int, kind: int, usable: int) -> Cell | None:
    """Read the cell at this place, or None where it does not fit into the page."""
    try:
        start, child, rowid = at, 0, 0
        if kind in (INDEX_INNER, TABLE_INNER):
            child = _LONG.unpack_from(page, at)[0]
            at += 4
        if kind == TABLE_INNER:
            rowid, at = read_varint(page, at)
            return Cell(start, at, child, rowid, 0, at, 0, 0) if at <= usable else None
        size, at = read_varint(page, at)
        if kind == TABLE_LEAF:
            rowid, at = read_varint(page, at)
    except (IndexError, StructError):
        return None
    if size < 0:
        return None
    local = local_size(size, usable, table=kind == TABLE_LEAF)
    end = at + local
    if local == size:
        return Cell(start, end, child, rowid, size, at, local, 0) if end <= usable else None
    if end + 4 > usable:
        return None
    return Cell(start, end + 4, child, rowid, size, at, local, _LONG.unpack_from(page, end)[0])


def free_blocks(page: bytes, header: PageHeader, usable: int) -> list[tuple[int, int]] | None:
    """Give the free blocks between the cells as (start, end), or None where their chain is damaged."""
    blocks: list[tuple[int, int]] = []
    at, least = header.first_free, header.pointers_end
    while at:
        if at < least or at + 4 > usable:
            return None
        following = page[at] << 8 | page[at + 1]
        end = at + (page[at + 2] << 8 | page[at + 3])
        if end > usable or end < at + 4 or (following and following < end):
            return None
        blocks.append((at, end))
        at, least = following, end
    return blocks


def is_plausible(page: bytes, start: int, usable: int) -> bool:
    """Whether the header, the pointers and (some of) the cells of a page make sense together."""
    header = header_of(page, start)
    if header is None or not header.pointers_end <= header.content <= usable or header.fragmented > 250:
        return False
    pointers = header.pointers
    if not pointers:
        # an empty leaf is all zeros behind its header or has been emptied; an inner page is never empty
        return header.is_leaf and header.first_free <= usable and (start > 0 or header.content == usable)
    if min(pointers) < header.content or max(pointers) > usable - 3:
        return False
    sample = {pointers[0], pointers[-1], pointers[len(pointers) // 2]}
    return all(is_cell(page, at, header.kind, usable) for at in sample)


def is_cell(page: bytes, at: int, kind: int, usable: int) -> bool:
    """Whether there is a cell whose record has the size that the cell tells."""
    cell = cell_at(page, at, kind, usable)
    if cell is None:
        return False
    return kind == TABLE_INNER or record_size(page, cell.payload, cell.payload + cell.local) == cell.size


def unaccounted(page: bytes, header: PageHeader, used: int, usable: int) -> int:
    """Give the bytes of the content that are neither `used` by cells nor free; -1 where they are too few.

    0 on every sound page. Where there are more, the page's count of cells may be too low.
    """
    free = 0
    if header.first_free:
        blocks = free_blocks(page, header, usable)
        if blocks is None:
            return -1
        free = sum(end - start for start, end in blocks)
    return max(-1, usable - header.content - used - free - header.fragmented)


def recounted(page: bytes, header: PageHeader, spare: int, usable: int) -> bytes | None:
    """Give a page whose count of cells was too low with the right one, None where that is not what it lacks.

    The pointers behind the counted ones are still there: they are believed where their cells, to the byte,
    take what is not accounted for.
    """
    at, count = header.pointers_end, len(header.pointers)
    known = set(header.pointers)
    while spare > 0 and at + 2 <= min(header.content, usable):
        place = page[at] << 8 | page[at + 1]
        if place in known or not header.content <= place < usable:
            return None
        cell = cell_at(page, place, header.kind, usable)
        if cell is None or not is_cell(page, place, header.kind, usable):
            return None
        known.add(place)
        spare -= max(4, cell.end - cell.start)
        count, at = count + 1, at + 2
    if spare or count == len(header.pointers):
        return None
    place = header.start + 3
    return page[:place] + count.to_bytes(2, "big") + page[place + 2 :]


def may_spill(page: bytes, header: PageHeader, pointers: Sequence[int], usable: int) -> bool:
    """Whether a payload may be too large for the page, told by the first bytes of its size alone."""
    most = usable - 35 if header.is_table else (usable - 12) * 64 // 255 - 23
    skip = 4 if header.kind == INDEX_INNER else 0
    if most < 0x80:
        return any(page[at + skip] > most for at in pointers)
    if most >= 1 << 14:
        return any(page[at + skip] >= 0x80 and page[at + skip + 1] >= 0x80 for at in pointers)
    least = 0x80 | most >> 7
    return any(
        page[at + skip] >= 0x80 and (page[at + skip] >= least or page[at + skip + 1] >= 0x80)
        for at in pointers
    )


def trunk_leaves(page: bytes, usable: int) -> list[int] | None:
    """Give the pages that a trunk of the freelist names, or None where it cannot be one."""
    count = int.from_bytes(page[4:8], "big")
    if count > usable // 4 - 2:
        return None
    return [int.from_bytes(page[at : at + 4], "big") for at in range(8, 8 + 4 * count, 4)]
