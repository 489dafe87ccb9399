"""The rowids at the ends of index entries, read without the rest of them.

A salvage asks millions of entries which row they are of, and few of them for more. Knows records and pages,
not what an index is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from datalayer.schema.salvage.content import Content
from datalayer.schema.salvage.outcome import Value
from datalayer.schema.salvage.pages import INDEX_INNER, PageHeader, cell_at
from datalayer.schema.salvage.record import serial_size, serials
from datalayer.schema.salvage.walk import Tree

__all__ = ["entries", "entry_rowids"]

_Tail = tuple[int, int, int]
_MOST_HEADERS = 60_000


def entry_rowids(content: Content, tree: Tree) -> Iterator[int | None]:
    """Iterate over the rowids of all entries of an index, None for what cannot be read as one."""
    for number in tree.pages:
        for _, rowid in _on_page(content, number):
            yield rowid


def entries(
    content: Content, tree: Tree, wanted: Callable[[int], bool]
) -> Iterator[tuple[int, list[Value] | None]]:
    """Iterate over the entries of an index whose rowid is wanted, as (rowid, all values)."""
    for number in tree.pages:
        page, header = content.reading.page(number), content.header(number)
        if header is None:
            continue
        for at, rowid in _on_page(content, number):
            if rowid is not None and wanted(rowid):
                cell = cell_at(page, at, header.kind, content.usable)
                yield rowid, None if cell is None else content.decoded(number, page, cell)


def _on_page(content: Content, number: int) -> Iterator[tuple[int, int | None]]:
    """Give the place and the rowid of each entry of a page of an index."""
    page, header = content.reading.page(number), content.header(number)
    if header is None or header.is_table:
        return
    tails, usable, least = content.tails, content.end_of(number), header.pointers_end
    most = min((content.usable - 12) * 64 // 255 - 23, 0x7F)
    skip = 5 if header.kind == INDEX_INNER else 1
    for at in header.pointers:
        if not least <= at < usable - skip:
            yield at, None
            continue
        # the common case by hand: a record that is all here and whose sizes take a byte each
        size, start = page[at + skip - 1], at + skip
        tail = None
        if size <= most and start + size <= usable:
            head = page[start : start + page[start]]
            tail = tails.get(head)
            if tail is None and head:
                if len(tails) >= _MOST_HEADERS:
                    tails.clear()
                tail = tails[head] = _tail(head)
        if tail is None or tail[0] != size:
            yield at, _rare(content, number, page, at, header)
        elif tail[1]:
            end = start + size
            yield at, int.from_bytes(page[end - tail[1] : end], "big", signed=True)
        else:
            yield at, tail[2] if tail[2] >= 0 else None


def _tail(head: bytes) -> _Tail:
    """Give, for the header of a record, its size, the bytes of its last number, or that number itself."""
    kinds = serials(head)
    if not kinds:
        return -1, 0, -1
    last = kinds[-1]
    size = len(head) + sum(map(serial_size, kinds))
    if 1 <= last <= 6:
        return size, serial_size(last), -1
    return size, 0, last - 8 if last in (8, 9) else -1


def _rare(content: Content, number: int, page: bytes, at: int, header: PageHeader) -> int | None:
    cell = cell_at(page, at, header.kind, content.usable)
    if cell is None or cell.end > content.end_of(number):
        return None
    values = content.decoded(number, page, cell)
    return values[-1] if values and type(values[-1]) is int else None
