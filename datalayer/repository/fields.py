"""Fields that store a value in one form only: UTC times, JSON documents, amounts, ids that sort by creation.

The stored form is the same text for both drivers, so a value is converted once and compared rightly:
PostgreSQL reads the text as timestamptz or jsonb.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import peewee

from datalayer.engine.documents import write_json
from datalayer.errors import CheckViolation, DataLayerError

__all__ = [
    "IdField",
    "JSONField",
    "MicrosField",
    "UtcField",
    "decode_json",
    "decode_micros",
    "decode_utc",
    "encode_json",
    "encode_micros",
    "encode_utc",
    "new_id",
]

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_ZERO = timedelta(0)
_AMOUNT_DIGITS = 12


def encode_utc(value: Any) -> str:
    """Give an aware datetime's stored form: `2026-11-21T10:15:00.123456Z`, which sorts as time does.

    Raises:
        CheckViolation: not an aware datetime.
    """
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise CheckViolation(
            f"a time must be a datetime with its time zone, not {_kind(value)}",
            hint="use datetime.now(UTC), or .astimezone() a local time first",
        )
    if value.utcoffset() != _ZERO:
        value = value.astimezone(UTC)
    # the text ends in +00:00; taking the zone off first would make another datetime
    return value.isoformat(timespec="microseconds")[:-6] + "Z"


def decode_utc(value: str | datetime) -> datetime:
    """Give the aware UTC datetime of a stored value.

    Raises:
        DataLayerError: what is stored is not a time.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as exc:
            raise DataLayerError(
                "a stored time cannot be read", why=str(exc), hint="run `datalayer check-db`"
            ) from exc
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def encode_json(value: Any) -> str:
    """Give the stored form of a value that JSON can hold on both engines.

    Raises:
        CheckViolation: NaN, infinity, a NUL character or half a surrogate pair in it, or a type that JSON
        lacks.
    """
    try:
        text = write_json(value)
        text.encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise CheckViolation("the value cannot be stored as JSON", why=str(exc)) from exc
    if "\\u0000" in text and _NUL.search(text):
        raise CheckViolation(
            "the value cannot be stored as JSON", why="it holds a NUL character, which jsonb refuses"
        )
    return text


def decode_json(value: Any) -> Any:
    """Give the Python value of a stored document, which PostgreSQL's driver has decoded already."""
    if type(value) is str:
        return json.loads(value)
    return str(value) if isinstance(value, str) else value


def encode_micros(value: Any) -> int:
    """Give an amount's stored form: the number of millionths, which sums up exactly on both engines.

    Raises:
        CheckViolation: no Decimal or int, more than six decimals, or a million millions and more.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise CheckViolation(
            f"an amount must be a Decimal, not {type(value).__name__}",
            why="binary fractions are not exact" if isinstance(value, float) else None,
            hint='write Decimal("0.25")',
        )
    amount = Decimal(value)
    if not amount.is_finite() or (amount and amount.adjusted() >= _AMOUNT_DIGITS):
        raise CheckViolation(f"{value} is no amount below a million millions")
    if not amount:
        return 0
    # not by Decimal's own arithmetic, which rounds as the caller's context says
    if amount.adjusted() >= -6:
        numerator, denominator = amount.as_integer_ratio()
        micros, rest = divmod(numerator * 1_000_000, denominator)
        if not rest:
            return micros
    raise CheckViolation(
        f"{value} has more than six decimals", hint='round it first: amount.quantize(Decimal("0.000001"))'
    )


def decode_micros(value: Any) -> Decimal:
    """Give the amount of a number of millionths, exactly, with six decimals."""
    return Decimal(f"{int(value)}E-6")


def _kind(value: object) -> str:
    return "a datetime without one" if isinstance(value, datetime) else type(value).__name__


if TYPE_CHECKING:
    _TimeBase = peewee.Field[datetime]
    _AnyBase = peewee.Field[Any]
    _DecimalBase = peewee.Field[Decimal]
    _TextBase = peewee.Field[str]
else:
    _TimeBase = _AnyBase = _DecimalBase = peewee.Field
    _TextBase = peewee.TextField


class IdField(_TextBase):
    """A primary key that the library makes: a UUIDv7 as text, so that ids sort by creation."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"primary_key": True, "default": new_id, **options})


class UtcField(_TimeBase):
    """A moment, stored as UTC with microseconds; only aware datetimes are taken."""

    field_type = "UTC"

    def db_value(self, value: Any) -> Any:
        """Give the stored form."""
        return None if value is None else encode_utc(value)

    def python_value(self, value: Any) -> Any:
        """Give the aware UTC datetime."""
        return None if value is None else decode_utc(value)


class JSONField(_AnyBase):
    """A JSON document; the Python value is the decoded one.

    None is SQL's NULL where the field is `null=True`, else JSON's null. Decoded by the standard library only:
    a faster decoder that is there by chance would read a number of 65 bits differently.
    """

    field_type = "JSON"

    def db_value(self, value: Any) -> Any:
        """Give the stored form."""
        if value is None and self.null:
            return None
        return encode_json(value)

    def python_value(self, value: Any) -> Any:
        """Give the decoded document."""
        return None if value is None else decode_json(value)


class MicrosField(_DecimalBase):
    """An amount of money with six decimals, stored exactly: as an integer, the number of millionths."""

    field_type = "BIGINT"

    def db_value(self, value: Any) -> Any:
        """Give the stored form."""
        return None if value is None else encode_micros(value)

    def python_value(self, value: Any) -> Any:
        """Give the Decimal."""
        return None if value is None else decode_micros(value)


_id_lock = threading.Lock()
_last_id = 0


def new_id() -> str:
    """Give a new UUIDv7: its text sorts by creation, also within one millisecond of one process.

    Layout: rfc-editor.org/rfc/rfc9562 section 5.7, method 1 (the random bits count up inside a millisecond).
    """
    global _last_id
    stamp = time.time_ns() // 1_000_000
    fresh = (stamp << 74) | int.from_bytes(os.urandom(9), "big")
    with _id_lock:
        _last_id = fresh if fresh >> 74 > _last_id >> 74 else _last_id + 1
        value = _last_id
    high, low = value >> 62, value & ((1 << 62) - 1)
    return str(UUID(int=((high >> 12) << 80) | (0x7 << 76) | ((high & 0xFFF) << 64) | (0b10 << 62) | low))


def _forget_last_id() -> None:
    """Start anew in a forked child, whose ids would else go on from its parent's."""
    global _last_id, _id_lock
    _last_id = 0
    _id_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_last_id)
