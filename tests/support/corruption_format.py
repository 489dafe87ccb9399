"""A small reader of the SQLite file format for the corruption laboratory: where each cell of a file lies.

https://sqlite.org/fileformat2.html. Written for the oracle alone and on purpose without a line of the
package's own page reader: two readers that share a mistake would agree on it. It reads sound files only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = [
    "Cell",
    "Place",
    "Role",
    "Store",
    "decode_record",
    "journal_records",
    "journal_seal",
    "log_frames",
    "log_seal",
    "log_sum",
    "varint",
]

TABLE_LEAF, TABLE_INNER, INDEX_LEAF, INDEX_INNER = 13, 5, 10, 2
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class Place(NamedTuple):
    """A run of bytes of one file ("main", "wal" or "journal")."""

    file: str
    start: int
    length: int


class Cell(NamedTuple):
    """A row or an index entry: its rowid (None in an index), its record, and the places of its bytes."""

    pages: tuple[int, ...]
    number: int
    rowid: int | None
    record: bytes
    places: tuple[Place, ...]
    header_bytes: int

    @property
    def page(self) -> int:
        """The page that the cell itself stands on; overflow pages follow."""
        return self.pages[0]


class Role(NamedTuple):
    """What a page is: table-leaf, table-inner, index-leaf, index-inner, overflow, trunk, free or map."""

    kind: str
    root: int
    parent: int


@dataclass(slots=True)
class Store:
    """The pages of one state of a database. `where` says in which file a page stands, and at which byte."""

    files: Mapping[str, bytes]
    where: dict[int, tuple[str, int]]
    size: int
    usable: int
    encoding: str
    count: int
    roles: dict[int, Role] = field(default_factory=dict[int, Role])

    @classmethod
    def of(
        cls, files: Mapping[str, bytes], *, commits: int | None = None, rolled_back: bool = False
    ) -> Store:
        """Read the state after so many commits of the log (None: all), or with the journal rolled back."""
        main = files["main"]
        raw = int.from_bytes(main[16:18], "big")
        size = 65536 if raw == 1 else raw
        where = {number + 1: ("main", number * size) for number in range(len(main) // size)}
        count = len(where)
        if rolled_back:
            for number, at in journal_records(files["journal"], size):
                where[number] = ("journal", at)
            count = int.from_bytes(files["journal"][16:20], "big")
        for number, at, after in _committed(files.get("wal", b""), commits):
            where[number] = ("wal", at)
            count = after or count
        file, start = where[1]
        head = files[file][start : start + 100]
        encoding = {1: "utf-8", 2: "utf-16-le", 3: "utf-16-be"}[int.from_bytes(head[56:60], "big")]
        kept = {number: place for number, place in where.items() if number <= count}
        return cls(files, kept, size, size - head[20], encoding, count)

    def page(self, number: int) -> bytes:
        """Give the bytes of a page."""
        file, start = self.where[number]
        return self.files[file][start : start + self.size]

    def place(self, number: int, start: int, length: int) -> Place:
        """Say where a run of bytes of a page lies."""
        file, offset = self.where[number]
        return Place(file, offset + start, length)

    def cells(self, root: int) -> Iterator[Cell]:
        """Iterate over the rows of a table, or the entries of an index, and note the roles of its pages."""
        waiting = [(root, 0)]
        while waiting:
            number, parent = waiting.pop()
            page, base = self.page(number), 100 if number == 1 else 0
            kind = page[base]
            names = {13: "table-leaf", 5: "table-inner", 10: "index-leaf", 2: "index-inner"}
            self.roles[number] = Role(names[kind], root, parent)
            if kind in (TABLE_INNER, INDEX_INNER):
                waiting.append((int.from_bytes(page[base + 8 : base + 12], "big"), number))
            for place, at in enumerate(pointers(page, base)):
                if kind in (TABLE_INNER, INDEX_INNER):
                    waiting.append((int.from_bytes(page[at : at + 4], "big"), number))
                if kind != TABLE_INNER:
                    yield self._cell(number, place, page, at + (4 if kind == INDEX_INNER else 0), kind)

    def _cell(self, number: int, place: int, page: bytes, at: int, kind: int) -> Cell:
        length, after = varint(page, at)
        rowid = None
        if kind == TABLE_LEAF:
            rowid, after = varint(page, after)
            rowid -= (rowid >> 63) << 64
        local = self.local(length, kind)
        record, stop = bytearray(page[after : after + local]), after + local
        places = [self.place(number, at, stop - at + (4 if local < length else 0))]
        following = int.from_bytes(page[stop : stop + 4], "big") if local < length else 0
        pages = [number]
        while following:
            held = self.page(following)
            taken = min(self.usable - 4, length - len(record))
            record += held[4 : 4 + taken]
            places.append(self.place(following, 0, 4 + taken))
            pages.append(following)
            self.roles[following] = Role("overflow", self.roles[number].root, number)
            following = int.from_bytes(held[:4], "big")
        return Cell(tuple(pages), place, rowid, bytes(record), tuple(places), after - at)

    def local(self, length: int, kind: int) -> int:
        """Give how many bytes of a payload stand in the cell itself."""
        least = (self.usable - 12) * 32 // 255 - 23
        most = self.usable - 35 if kind == TABLE_LEAF else (self.usable - 12) * 64 // 255 - 23
        if length <= most:
            return length
        kept = least + (length - least) % (self.usable - 4)
        return kept if kept <= most else least

    def note_free_pages(self) -> None:
        """Note the roles of the free pages and of the pointer map."""
        head = self.page(1)
        trunk = int.from_bytes(head[32:36], "big")
        while trunk:
            self.roles[trunk] = Role("trunk", 0, 0)
            page = self.page(trunk)
            held = int.from_bytes(page[4:8], "big")
            for leaf in struct.unpack_from(f">{held}I", page, 8):
                self.roles[leaf] = Role("free", 0, trunk)
            trunk = int.from_bytes(page[:4], "big")
        if int.from_bytes(head[52:56], "big"):
            for number in range(2, self.count + 1, self.usable // 5 + 1):
                self.roles[number] = Role("map", 0, 0)


def pointers(page: bytes, base: int) -> list[int]:
    """Give the offsets of a page's cells."""
    inner = page[base] in (TABLE_INNER, INDEX_INNER)
    held = int.from_bytes(page[base + 3 : base + 5], "big")
    return list(struct.unpack_from(f">{held}H", page, base + (12 if inner else 8)))


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a varint; give it and where it ends."""
    value = 0
    for place in range(8):
        byte = data[at + place]
        value = value << 7 | byte & 127
        if byte < 128:
            return value, at + place + 1
    return value << 8 | data[at + 8], at + 9


def decode_record(record: bytes, encoding: str) -> list[object]:
    """Give the values of a record; a text that does not decode is given as its bytes."""
    stop, at = varint(record, 0)
    values: list[object] = []
    body = stop
    while at < stop:
        serial, at = varint(record, at)
        if serial in _INTEGER_BYTES:
            width = _INTEGER_BYTES[serial]
            values.append(int.from_bytes(record[body : body + width], "big", signed=True))
        elif serial == 7:
            width = 8
            values.append(struct.unpack_from(">d", record, body)[0])
        elif serial >= 12:
            width = (serial - 12) // 2
            held = record[body : body + width]
            values.append(_text(held, encoding) if serial % 2 else held)
        else:
            width = 0
            values.append({0: None, 8: 0, 9: 1}[serial])
        body += width
    return values


def _text(held: bytes, encoding: str) -> object:
    try:
        return held.decode(encoding)
    except UnicodeDecodeError:
        return held


def log_frames(log: bytes) -> Iterator[tuple[int, int, int]]:
    """Give of each frame of these salts: page number, offset of the page, page count after a commit or 0."""
    if len(log) < 32:
        return
    size = int.from_bytes(log[8:12], "big")
    for at in range(32, len(log) - size - 23, size + 24):
        number, after = struct.unpack_from(">II", log, at)
        if log[at + 8 : at + 16] != log[16:24]:
            return
        yield number, at + 24, after


def _committed(log: bytes, commits: int | None) -> Iterator[tuple[int, int, int]]:
    frames = list(log_frames(log))
    ends = [place for place, frame in enumerate(frames) if frame[2]]
    if commits is not None:
        ends = ends[:commits]
    yield from frames[: ends[-1] + 1] if ends else []


def log_sum(data: bytes, seed: tuple[int, int], *, big: bool) -> tuple[int, int]:
    """Go on with the running checksum of a log, https://sqlite.org/fileformat2.html#checksum_algorithm."""
    one, two = seed
    for first, second in struct.iter_unpack(">II" if big else "<II", data):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def log_seal(log: bytes, salts: bytes) -> bytes:
    """Give the log with other salts and with checksums that are right: a seed gives the same bytes."""
    sealed = bytearray(log)
    big = bool(log[3] & 1)
    sealed[16:24] = salts
    seed = log_sum(bytes(sealed[:24]), (0, 0), big=big)
    sealed[24:32] = struct.pack(">II", *seed)
    size = int.from_bytes(log[8:12], "big")
    for _, at, _ in log_frames(log):
        sealed[at - 16 : at - 8] = salts
        seed = log_sum(bytes(sealed[at - 24 : at - 16] + sealed[at : at + size]), seed, big=big)
        sealed[at - 8 : at] = struct.pack(">II", *seed)
    return bytes(sealed)


def journal_records(journal: bytes, size: int) -> Iterator[tuple[int, int]]:
    """Give page number and offset of the page of each record of a journal."""
    sector = int.from_bytes(journal[20:24], "big")
    at = 0
    while at + sector <= len(journal) and journal[at : at + 8] == journal[:8]:
        held = int.from_bytes(journal[at + 8 : at + 12], "big")
        at += sector
        possible = (len(journal) - at) // (size + 8)
        for _ in range(min(held, possible) if held != 0xFFFFFFFF else possible):
            yield int.from_bytes(journal[at : at + 4], "big"), at + 4
            at += size + 8
        at = -(-at // sector) * sector


def journal_seal(journal: bytes, size: int, nonce: int) -> bytes:
    """Give the journal with another nonce and with checksums that are right."""
    sealed = bytearray(journal)
    sector = int.from_bytes(journal[20:24], "big")
    for at in range(0, len(journal), sector):
        if journal[at : at + 8] == journal[:8]:
            sealed[at + 12 : at + 16] = struct.pack(">I", nonce)
    for _, at in journal_records(journal, size):
        page = journal[at : at + size]
        total = nonce + sum(page[place] for place in range(size - 200, 0, -200))
        sealed[at + size : at + size + 4] = struct.pack(">I", total & 0xFFFFFFFF)
    return bytes(sealed)
