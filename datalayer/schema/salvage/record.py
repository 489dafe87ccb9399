"""Varints and records: the smallest parts of the file format, read strictly and fast.

https://sqlite.org/fileformat2.html, "Record Format". Knows no pages and no tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan
from struct import Struct

from datalayer.schema.salvage.outcome import BadText, Value

__all__ = ["Decoder", "read_varint", "record_size", "serial_size", "serials", "varint"]

_FIXED = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
_FORMATS = ("0s", "b", "h", "3s", "i", "6s", "q", "d", "0s", "0s")
_MOST_PLANS = 60_000
_MOST_COLUMNS = 32_767

_Fix = tuple[int, Callable[..., Value]]
_Plan = tuple[int, Callable[..., tuple[Value, ...]], tuple[_Fix, ...]]


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Give the number at this place and the place behind it. Raises IndexError where the data ends."""
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for place in range(at + 1, at + 8):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9


def varint(value: int) -> bytes:
    """Write a number, signed in 64 bits, in the fewest bytes."""
    if value < 0 or value >> 56:
        value &= (1 << 64) - 1
        high = value >> 8
        return bytes(high >> shift & 0x7F | 0x80 for shift in range(49, -1, -7)) + bytes((value & 0xFF,))
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def serial_size(serial: int) -> int:
    """Give the bytes that a value of this serial type takes; -1 where there is no such type."""
    if serial >= 12:
        return (serial - 12) >> 1
    return _FIXED[serial] if 0 <= serial < 10 else -1


def serials(header: bytes, at: int = 0) -> list[int] | None:
    """Give the serial types of a record's header, or None where it is none."""
    try:
        size, place = read_varint(header, at)
        end = at + size
        found: list[int] = []
        while place < end:
            serial, place = read_varint(header, place)
            if serial < 0 or serial in (10, 11):
                return None
            found.append(serial)
    except IndexError:
        return None
    return found if place == end and len(found) <= _MOST_COLUMNS and size > 0 else None


def record_size(data: bytes, at: int, end: int) -> int:
    """Give the size that a record has by its header, or -1 where there is no header before `end`."""
    try:
        size, place = read_varint(data, at)
        stop = at + size
        total = size
        while place < stop <= end:
            serial, place = read_varint(data, place)
            body = serial_size(serial)
            if body < 0:
                return -1
            total += body
    except IndexError:
        return -1
    return total if place == stop <= end and size > 0 else -1


class Decoder:
    """Turns records into Python values; remembers how, as most rows of a table have few kinds of header."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self._plans: dict[bytes, _Plan | None] = {}

    def decode(self, data: bytes, at: int, end: int) -> list[Value] | None:
        """Give the values of the record between two places, or None where it does not fill them exactly."""
        size = data[at]
        if size >= 0x80:
            try:
                size, _ = read_varint(data, at)
            except IndexError:
                return None
        header = data[at : at + size]
        plan = self._plans.get(header)
        if plan is None:
            plan = self._plan(header)
        if plan is None or at + plan[0] != end:
            return None
        values = list(plan[1](data, at + size))
        for place, fix in plan[2]:
            values[place] = fix(values[place])
        return values

    def decode_part(self, data: bytes, at: int = 0) -> list[Value] | None:
        """Give the leading values of a record whose end is missing, or None where its header is no header."""
        kinds = serials(data, at)
        if kinds is None:
            return None
        place = at + read_varint(data, at)[0]
        values: list[Value] = []
        for kind in kinds:
            size = serial_size(kind)
            if place + size > len(data):
                break
            values.append(self.value(kind, data[place : place + size]))
            place += size
        return values

    def value(self, serial: int, body: bytes) -> Value:
        """Give one value from its serial type and its bytes."""
        fix = self._fix(serial)
        raw: Value = Struct(">" + _format(serial)).unpack(body)[0]
        return fix(raw) if fix is not None else raw

    def _plan(self, header: bytes) -> _Plan | None:
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        kinds = serials(header)
        plan = None if kinds is None or not kinds else self._compile(header, kinds)
        self._plans[header] = plan
        return plan

    def _compile(self, header: bytes, kinds: Sequence[int]) -> _Plan:
        body = sum(map(serial_size, kinds))
        shape = Struct(">" + "".join(map(_format, kinds)))
        fixes = tuple((place, fix) for place, kind in enumerate(kinds) if (fix := self._fix(kind)))
        return len(header) + body, shape.unpack_from, fixes

    def _fix(self, serial: int) -> Callable[..., Value] | None:
        if serial >= 13 and serial & 1:
            return self._text
        return _FIXES.get(serial)

    def _text(self, raw: bytes) -> Value:
        try:
            return raw.decode(self.encoding)
        except UnicodeDecodeError:
            return BadText(raw)


def _format(serial: int) -> str:
    return _FORMATS[serial] if serial < 10 else f"{(serial - 12) >> 1}s"


def _integer(raw: bytes) -> int:
    return int.from_bytes(raw, "big", signed=True)


def _null(raw: bytes) -> None:
    return None


def _zero(raw: bytes) -> int:
    return 0


def _one(raw: bytes) -> int:
    return 1


def _real(raw: float) -> float | None:
    # SQLite reads a stored NaN as NULL
    return None if isnan(raw) else raw


_FIXES: dict[int, Callable[..., Value]] = {
    0: _null, 3: _integer, 5: _integer, 7: _real, 8: _zero, 9: _one,
}  # fmt: skip
