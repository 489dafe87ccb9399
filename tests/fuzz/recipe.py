"""An input of the fuzzer: a seed's name and changes to its files, in few bytes.

Four bytes of head (seed, flags, number for random bytes, parts to try), then eight for each change: what
to do, where to aim, three numbers of two bytes. Any bytes are a recipe, so any mutation of one is another;
changes aim at headers, pointers, cells and frames, which gets deeper than bytes at random.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from struct import unpack_from

from fuzz.resealing import reseal_journal, reseal_wal
from fuzz.seeds import SEEDS, Files, read_seed

__all__ = ["CHANGE", "HEAD", "Input", "cook", "mutate", "new_recipe"]

HEAD, CHANGE, MOST_CHANGES = 4, 8, 16
EXPECTED, RESEAL_WAL, RESEAL_JOURNAL, NO_COMPANION = 1, 2, 4, 8
_MAIN, _WAL, _JOURNAL = 0, 1, 2
_LARGEST = 192 << 10
_FIELDS = (0, 15, 16, 17, 18, 19, 20, 21, 24, 28, 32, 36, 40, 44, 47, 52, 56, 59, 60, 64, 68, 92, 96)
_PAGE_FIELDS = (0, 1, 3, 5, 7, 8, 10, 12)
_SHORTS = (
    0,
    1,
    2,
    3,
    7,
    8,
    0x0D,
    0x64,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x1FF,
    0x200,
    0x7FFF,
    0x8000,
    0xFFFE,
    0xFFFF,
)
_LONGS = (0, 1, 2, 3, 0x7F, 0xFF, 0xFFFF, 0x10000, 0x40000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_VARINTS = (
    b"\0", b"\1", b"\x7f", b"\x81\0", b"\x80\1", b"\xff\x7f", b"\x84\x80\0", b"\x88\x80\x80\x80\0",
    b"\x8f\xff\xff\xff\x7f", b"\x80" * 8 + b"\0", b"\xff" * 9, b"\xbf" + b"\xff" * 8, b"\x80" * 9,
    b"\xc0\x80\x80\x80\x80\x80\x80\x80\0", b"\x0a", b"\x0b", b"\x0c", b"\x0d", b"\x7e", b"\x82\x2c",
)  # fmt: skip
_TEXTS = (
    b"CREATE ", b"\x07table", b"sqlite_", b"\xff\xfe\xfd", b"\0\0", b"\xed\xa0\x80", b"SQLite format 3\0",
    b" WITHOUT ROWID", b"PRIMARY KEY", b"-- ", b"/*", b"'", b'"', b"((((", b"CREATE INDEX", b"INTEGER",
    b"\xd8\0",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Input:
    """The files that a recipe makes.

    `expected` says that the reader is told the seed's schema, `is_inspected` that all findings are asked for,
    `is_comparable` that SQLite can judge it: not with a log or journal of another database, nor one with
    right checksums over wrong bytes, which no damage makes.
    """

    seed: str
    files: Files
    expected: bool
    is_inspected: bool
    is_comparable: bool = True


def cook(recipe: bytes) -> Input:
    """Make the files."""
    head = recipe[:HEAD].ljust(HEAD, b"\0")
    seed = SEEDS[head[0] % len(SEEDS)]
    kitchen = _Kitchen(read_seed(seed.name), seed.page_size, head[2])
    for at in range(HEAD, len(recipe) - CHANGE + 1, CHANGE)[:MOST_CHANGES]:
        kitchen.change(*unpack_from(">2B3H", recipe, at))
    main, wal, journal = (bytes(data) for data in kitchen.files)
    if head[1] & NO_COMPANION:
        wal = journal = b""
    if head[1] & RESEAL_WAL:
        wal = reseal_wal(wal)
    if head[1] & RESEAL_JOURNAL:
        journal = reseal_journal(journal)
    is_comparable = not kitchen.is_mixed and not (head[1] & (RESEAL_WAL | RESEAL_JOURNAL) and wal + journal)
    return Input(seed.name, (main, wal, journal), bool(head[1] & EXPECTED), not head[3] & 1, is_comparable)


class _Kitchen:
    """The files while they are changed."""

    def __init__(self, files: Files, size: int, number: int) -> None:
        self.files = [bytearray(data) for data in files]
        self.size = size
        self.random = random.Random(number)
        self.is_mixed = False
        self.aims = (
            self._anywhere, self._field, self._page_field, self._pointer, self._cell, self._on_page,
            self._in_schema, self._in_log, self._log_field, self._log_page, self._journal_field, self._record,
        )  # fmt: skip
        self.changes: tuple[Callable[[int, int, int], None], ...] = (
            self._byte, self._flip, self._short, self._long, self._raw_short, self._raw_long, self._varint,
            self._fill, self._noise, self._insert, self._cut, self._truncate, self._copy_page,
            self._swap_pages, self._copy_run, self._foreign_page, self._append, self._text, self._add,
            self._foreign_file, self._zero_page,
        )  # fmt: skip

    def change(self, kind: int, aim: int, p: int, q: int, r: int) -> None:
        file, at = self.aims[aim % len(self.aims)](p, q)
        if not self.files[file]:
            file, at = self._anywhere(p, q)
        if self.files[_MAIN] or file:
            self.changes[kind % len(self.changes)](file, at % len(self.files[file]), r)

    @property
    def count(self) -> int:
        return max(len(self.files[_MAIN]) // self.size, 1)

    def _anywhere(self, p: int, q: int) -> tuple[int, int]:
        return _MAIN, (p * len(self.files[_MAIN]) >> 16) + q % 64

    def _field(self, p: int, q: int) -> tuple[int, int]:
        return _MAIN, _FIELDS[p % len(_FIELDS)]

    def _start(self, number: int) -> int:
        return number * self.size + (0 if number else 100)

    def _page_field(self, p: int, q: int) -> tuple[int, int]:
        return _MAIN, self._start(p % self.count) + _PAGE_FIELDS[q % len(_PAGE_FIELDS)]

    def _array(self, number: int) -> tuple[int, int]:
        """Give the place of a page's pointers, and how many there are."""
        data, start = self.files[_MAIN], self._start(number)
        if start + 12 > len(data):
            return 0, 1
        array = start + (12 if data[start] in (2, 5) else 8)
        return array, max(1, min(int.from_bytes(data[start + 3 : start + 5], "big"), self.size // 4))

    def _pointer(self, p: int, q: int) -> tuple[int, int]:
        array, entries = self._array(p % self.count)
        return _MAIN, array + 2 * (q % entries)

    def _cell(self, p: int, q: int) -> tuple[int, int]:
        array, entries = self._array(p % self.count)
        at = array + 2 * ((q & 0xFF) % entries)
        cell = int.from_bytes(self.files[_MAIN][at : at + 2], "big")
        return _MAIN, p % self.count * self.size + cell + (q >> 8) % 24

    def _on_page(self, p: int, q: int) -> tuple[int, int]:
        return _MAIN, p % self.count * self.size + q % self.size

    def _in_schema(self, p: int, q: int) -> tuple[int, int]:
        return _MAIN, 100 + q % (self.size - 100)

    def _in_log(self, p: int, q: int) -> tuple[int, int]:
        return _WAL, (p * len(self.files[_WAL]) >> 16) + q % 64

    def _log_field(self, p: int, q: int) -> tuple[int, int]:
        frames = max((len(self.files[_WAL]) - 32) // (self.size + 24), 1)
        frame = p % (frames + 1)
        return _WAL, q % 8 * 4 if not frame else 32 + (frame - 1) * (self.size + 24) + q % 6 * 4

    def _log_page(self, p: int, q: int) -> tuple[int, int]:
        frames = max((len(self.files[_WAL]) - 32) // (self.size + 24), 1)
        return _WAL, 56 + p % frames * (self.size + 24) + (q % 24 if q & 0x100 else q % self.size)

    def _journal_field(self, p: int, q: int) -> tuple[int, int]:
        return _JOURNAL, p % 7 * 4

    def _record(self, p: int, q: int) -> tuple[int, int]:
        records = max((len(self.files[_JOURNAL]) - 512) // (self.size + 8), 1)
        return _JOURNAL, 512 + p % records * (self.size + 8) + (q % 24 if q & 0x100 else q % (self.size + 8))

    def _put(self, file: int, at: int, new: bytes) -> None:
        data = self.files[file]
        data[at : at + len(new)] = new[: len(data) - at]

    def _byte(self, file: int, at: int, r: int) -> None:
        self._put(file, at, bytes([r & 0xFF]))

    def _flip(self, file: int, at: int, r: int) -> None:
        self.files[file][at] ^= 1 << r % 8

    def _short(self, file: int, at: int, r: int) -> None:
        self._put(file, at, _SHORTS[r % len(_SHORTS)].to_bytes(2, "big"))

    def _long(self, file: int, at: int, r: int) -> None:
        longs = (*_LONGS, self.count, self.count + 1, at // self.size + 1, len(self.files[file]))
        self._put(file, at, longs[r % len(longs)].to_bytes(4, "big"))

    def _raw_short(self, file: int, at: int, r: int) -> None:
        self._put(file, at, r.to_bytes(2, "big"))

    def _raw_long(self, file: int, at: int, r: int) -> None:
        self._put(file, at, (r % (self.count + 3)).to_bytes(4, "big"))

    def _varint(self, file: int, at: int, r: int) -> None:
        self._put(file, at, _VARINTS[r % len(_VARINTS)])

    def _fill(self, file: int, at: int, r: int) -> None:
        self._put(file, at, bytes([r & 0xFF]) * ((r >> 8) * 4 + 1))

    def _noise(self, file: int, at: int, r: int) -> None:
        self._put(file, at, self.random.randbytes((r >> 6) + 1))

    def _insert(self, file: int, at: int, r: int) -> None:
        length = (r >> 1) % (3 * self.size) + 1
        new = bytes(length) if r & 1 else self.random.randbytes(length)
        if len(self.files[file]) < _LARGEST:
            self.files[file][at:at] = new

    def _cut(self, file: int, at: int, r: int) -> None:
        del self.files[file][at : at + r % (3 * self.size) + 1]

    def _truncate(self, file: int, at: int, r: int) -> None:
        del self.files[file][at:]

    def _copy_page(self, file: int, at: int, r: int) -> None:
        source = r % self.count * self.size
        self._put(_MAIN, at // self.size * self.size, bytes(self.files[_MAIN][source : source + self.size]))

    def _swap_pages(self, file: int, at: int, r: int) -> None:
        here, there = at // self.size * self.size, r % self.count * self.size
        data = self.files[_MAIN]
        one, other = bytes(data[here : here + self.size]), bytes(data[there : there + self.size])
        if len(one) == len(other):
            data[here : here + self.size], data[there : there + self.size] = other, one

    def _copy_run(self, file: int, at: int, r: int) -> None:
        data = self.files[file]
        source = (r >> 5) * len(data) >> 11
        self._put(file, at, bytes(data[source : source + (1 << (r & 15) % 11)]))

    def _foreign_page(self, file: int, at: int, r: int) -> None:
        seed = SEEDS[(r >> 8) % len(SEEDS)]
        data = read_seed(seed.name)[_MAIN]
        source = (r & 0xFF) * seed.page_size % max(len(data), 1)
        self._put(file, at // self.size * self.size, data[source : source + self.size])

    def _append(self, file: int, at: int, r: int) -> None:
        if len(self.files[file]) < _LARGEST:
            self.files[file] += bytes(r % 4000) if r & 0x8000 else self.random.randbytes(r % 4000)

    def _text(self, file: int, at: int, r: int) -> None:
        self._put(file, at, _TEXTS[r % len(_TEXTS)])

    def _add(self, file: int, at: int, r: int) -> None:
        old = int.from_bytes(self.files[file][at : at + 2], "big")
        self._put(file, at, (old + (r % 33) - 16 & 0xFFFF).to_bytes(2, "big"))

    def _foreign_file(self, file: int, at: int, r: int) -> None:
        self.is_mixed = True
        other = _WAL if file == _JOURNAL else file or 1 + r % 2
        self.files[other] = bytearray(read_seed(SEEDS[(r >> 8) % len(SEEDS)].name)[other])

    def _zero_page(self, file: int, at: int, r: int) -> None:
        start = at // self.size * self.size
        self._put(file, start, bytes(self.size))


def new_recipe(chance: random.Random) -> bytes:
    """Make a recipe of a few changes at random."""
    head = bytes(
        [chance.randrange(len(SEEDS)), chance.randrange(16), chance.randrange(256), chance.randrange(2)]
    )
    return head + b"".join(_new_change(chance) for _ in range(1 + int(chance.expovariate(0.5))))


def _new_change(chance: random.Random) -> bytes:
    return bytes([chance.randrange(21), chance.randrange(12)]) + chance.randbytes(6)


def mutate(recipe: bytes, other: bytes, chance: random.Random) -> bytes:
    """Make another recipe of one, or of two."""
    head = bytearray(recipe[:HEAD].ljust(HEAD, b"\0"))
    steps = [recipe[at : at + CHANGE] for at in range(HEAD, len(recipe) - CHANGE + 1, CHANGE)]
    for _ in range(1 + int(chance.expovariate(1))):
        choice = chance.randrange(8)
        if choice == 0:
            head[chance.randrange(HEAD)] = chance.randrange(256)
        elif choice == 1 and steps:
            del steps[chance.randrange(len(steps))]
        elif choice == 2:
            steps += [other[at : at + CHANGE] for at in range(HEAD, len(other) - CHANGE + 1, CHANGE)]
        elif choice < 5 and steps:
            place = chance.randrange(len(steps))
            step = bytearray(steps[place])
            step[chance.randrange(CHANGE)] = chance.randrange(256)
            steps[place] = bytes(step)
        else:
            steps.insert(chance.randint(0, len(steps)), _new_change(chance))
    return bytes(head) + b"".join(steps[:MOST_CHANGES])
