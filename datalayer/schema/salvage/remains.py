"""What is left of rows that cannot be given: the part of a record that can be read, with the reason.

Knows cells and shapes; which rows are alive is for others to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datalayer.schema.salvage.content import Content, Record
from datalayer.schema.salvage.outcome import LostRow, Value
from datalayer.schema.salvage.pages import cell_at
from datalayer.schema.salvage.record import record_size
from datalayer.schema.salvage.shape import Shape

__all__ = ["DISPUTED", "STRANGE", "beyond", "known_only", "remains_of", "unread_page"]

DISPUTED = "an index tells other values; the page is damaged"
STRANGE = "it does not look like a row of the table"
_CHAIN = "the pages that hold the rest of it are gone"
_RECORD = "its record cannot be read to the end"
_NOTHING = "nothing of it can be read"
_BEYOND = "values beyond the columns of the table; the row itself is in place"
_DEAD = "only an index has it, and its table is whole: it was deleted, or the index is wrong"


def beyond(shape: Shape, rowid: int | None, values: Sequence[Value], page: int) -> LostRow:
    """Give the values that a row in place has too many."""
    return LostRow(shape.name, rowid, values[len(shape.columns) :], _BEYOND, page)


def remains_of(content: Content, shape: Shape, record: Record) -> LostRow:
    """Give what can be read of a cell whose record cannot be decoded; no values where that is nothing."""
    page = content.reading.page(record.page)
    header = content.header(record.page)
    cell = None if header is None else cell_at(page, record.at, header.kind, content.usable)
    if cell is None:
        return LostRow(shape.name, None, (), _NOTHING, record.page)
    rowid = cell.rowid if shape.has_rowid else None
    values = content.decoder.decode_part(page[cell.payload : cell.payload + cell.local])
    if not values:
        return LostRow(shape.name, rowid, (), _NOTHING, record.page)
    is_whole = record_size(page, cell.payload, cell.payload + cell.local) == cell.size
    return LostRow(shape.name, rowid, values, _CHAIN if is_whole else _RECORD, record.page)


def unread_page(shape: Shape, number: int) -> LostRow:
    """Stand for the rows of a page of which nothing can be read: how many there were is not known."""
    return LostRow(shape.name, None, (), _NOTHING, number)


def known_only(
    shape: Shape, rowid: int | None, row: Sequence[Value], known: Mapping[int, Value], *, is_whole: bool
) -> LostRow:
    """Give a row of which only indexes know, in part or, where the table is whole, too late."""
    names = ", ".join(shape.columns[place] for place in sorted(known))
    reason = _DEAD if is_whole else f"only indexes still know of it: {names}"
    return LostRow(shape.name, rowid, row, reason, None)
