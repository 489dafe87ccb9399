"""What stands in the cells of walked pages: payloads with their overflow, decoded.

Knows the walk's chains and the encoding; not which table a page belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from datalayer.schema.salvage.outcome import Value
from datalayer.schema.salvage.pages import (
    TABLE_LEAF,
    Cell,
    PageHeader,
    cell_at,
    header_of,
    recounted,
    unaccounted,
)
from datalayer.schema.salvage.reading import Reading
from datalayer.schema.salvage.record import Decoder, read_varint
from datalayer.schema.salvage.walk import Spill, Tree, Walk, start_of

__all__ = ["Content", "Record"]


class Record(NamedTuple):
    """A record as it was found: `values` None where it cannot be decoded; `at` is where its cell starts."""

    rowid: int
    values: list[Value] | None
    page: int
    at: int


class Content:
    """Reads the cells of a walked file."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.reading: Reading = walk.reading
        self.usable = walk.usable
        self.decoder = Decoder(self.reading.layout.encoding)
        self.tails: dict[bytes, tuple[int, int, int]] = {}

    def header(self, number: int, assume: int | None = None) -> PageHeader | None:
        """Read the b-tree header of a page."""
        return header_of(self.reading.page(number), start_of(number), assume)

    def end_of(self, number: int) -> int:
        """Give where the content of a page ends at the latest; the last page of a file may be cut."""
        if number != self.reading.page_count:
            return self.usable
        return min(self.usable, len(self.reading.part(number)))

    def payload(self, number: int, page: bytes, cell: Cell) -> bytes | None:
        """Give the whole payload of a cell, or None where its chain is broken."""
        local = page[cell.payload : cell.payload + cell.local]
        if cell.local == cell.size:
            return local
        key = number << 16 | cell.start
        pages = self.walk.chains.get(key)
        if pages is None and key not in self.walk.partial_chains:
            # the walk has not seen this cell: its page is damaged
            pages = self.walk.late_chain(Spill(number, cell.start, cell.overflow, cell.size - cell.local))
        return None if pages is None else self.joined(local, pages, cell.size)

    def joined(self, local: bytes, pages: list[int], size: int) -> bytes | None:
        """Put a payload together from its local part and its pages."""
        parts = [local, *(self.reading.part(number)[4 : self.usable] for number in pages)]
        whole = b"".join(parts)
        return whole[:size] if len(whole) >= size else None

    def decoded(self, number: int, page: bytes, cell: Cell) -> list[Value] | None:
        """Decode the record of a cell."""
        payload = self.payload(number, page, cell)
        if not payload:
            return None
        return self.decoder.decode(payload, 0, len(payload))

    def leaf(self, number: int) -> list[Record]:
        """Give the cells of a leaf of a table, in the order of their pointers."""
        return self.weighed_leaf(number)[0]

    def weighed_leaf(self, number: int) -> tuple[list[Record], int]:
        """Give the cells of a leaf of a table, and how many bytes of it are not accounted for.

        A count of cells that is too low is put right; -1 stands for a page that cannot be accounted for.
        """
        page = self.reading.page(number)
        header = header_of(page, start_of(number))
        if header is None or header.kind != TABLE_LEAF:
            return [], -1
        records, used = self._cells(number, page, header)
        spare = unaccounted(page, header, used, self.usable)
        if spare > 0:
            mended = recounted(page, header, spare, self.usable)
            if mended is not None:
                self.reading.mended[number] = mended
                header = header_of(mended, start_of(number)) or header
                return self._cells(number, mended, header)[0], 0
        return records, spare

    def _cells(self, number: int, page: bytes, header: PageHeader) -> tuple[list[Record], int]:
        """Give the records of a leaf, and the bytes that their cells take."""
        records: list[Record] = []
        used = 0
        decode, most, least = self.decoder.decode, self.usable - 35, header.pointers_end
        usable = self.end_of(number)
        for at in header.pointers:
            if not least <= at < usable - 2:
                records.append(Record(0, None, number, at))
                continue
            # the common case by hand: this loop is where a salvage spends its time
            size, place = page[at], at + 1
            if size >= 0x80:
                size, place = read_varint(page, at) if at < usable - 20 else (0, at)
            rowid = page[place]
            if rowid < 0x80:
                place += 1
            elif place < usable - 10:
                rowid, place = read_varint(page, place)
            else:
                size = 0
            end = place + size
            if 0 < size <= most and end <= usable:
                # a cell takes four bytes at least
                used += end - at if end - at > 3 else 4
                records.append(Record(rowid, decode(page, place, end), number, at))
            else:
                cell = cell_at(page, at, TABLE_LEAF, self.usable)
                used += 0 if cell is None else cell.end - at
                records.append(self._rare(number, page, at, cell))
        return records, used

    def _rare(self, number: int, page: bytes, at: int, cell: Cell | None) -> Record:
        if cell is None:
            return Record(0, None, number, at)
        return Record(cell.rowid, self.decoded(number, page, cell), number, at)

    def keys(self, number: int, assume: int | None = None) -> list[Record]:
        """Give the records of an index page, leaf or inner; an index's last value is the rowid."""
        return self.weighed_keys(number, assume)[0]

    def weighed_keys(self, number: int, assume: int | None = None) -> tuple[list[Record], int]:
        """Give the records of an index page, and how many bytes of it are not accounted for; see above."""
        page = self.reading.page(number)
        header = header_of(page, start_of(number), assume)
        if header is None or header.is_table:
            return [], -1
        records, used = self._key_cells(number, page, header)
        spare = unaccounted(page, header, used, self.usable)
        if spare > 0 and header.kind == page[header.start]:
            mended = recounted(page, header, spare, self.usable)
            if mended is not None:
                self.reading.mended[number] = mended
                header = header_of(mended, start_of(number)) or header
                return self._key_cells(number, mended, header)[0], 0
        return records, spare

    def _key_cells(self, number: int, page: bytes, header: PageHeader) -> tuple[list[Record], int]:
        records: list[Record] = []
        used = 0
        end, least, kind, usable = self.end_of(number), header.pointers_end, header.kind, self.usable
        for at in header.pointers:
            cell = cell_at(page, at, kind, usable) if at >= least else None
            values = None if cell is None or cell.end > end else self.decoded(number, page, cell)
            used += 0 if cell is None else max(4, cell.end - at)
            records.append(Record(0, values, number, at))
        return records, used

    def records(self, tree: Tree, most: int | None = None) -> Iterator[Record]:
        """Iterate over the records of a tree, leaves first; at most some of each page where told."""
        if tree.is_table:
            for number in tree.leaves:
                yield from self.leaf(number)
            return
        for number in tree.pages:
            yield from self.keys(number)

    def sample(self, tree: Tree, count: int = 60) -> list[Record]:
        """Give some readable records of a tree, spread over its pages."""
        pages = tree.leaves if tree.is_table else [*tree.leaves, *tree.inner]
        step = max(1, len(pages) // 12)
        found: list[Record] = []
        for number in pages[::step]:
            records = self.leaf(number) if tree.is_table else self.keys(number)
            good = [record for record in records if record.values is not None]
            found.extend(good[:: max(1, len(good) // 6)])
            if len(found) >= count:
                break
        return found[:count]
