"""Embeddings as they are stored: 32-bit floats one after the other, least significant byte first."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import peewee

from datalayer.errors import CheckViolation

__all__ = ["EmbeddingField", "decode_embedding", "encode_embedding"]

if TYPE_CHECKING:
    _Base = peewee.Field[tuple[float, ...] | None]
else:
    _Base = peewee.Field


def encode_embedding(values: Iterable[float]) -> bytes:
    """Give the stored form of a vector.

    Raises:
        CheckViolation: it is empty, or holds what no 32-bit number can: NaN, an infinity, more than 3.4e38.
    """
    numbers = [float(value) for value in values]
    if not numbers or not all(map(math.isfinite, numbers)):
        raise CheckViolation("an embedding holds finite numbers, at least one", columns=("embedding",))
    try:
        return struct.pack(f"<{len(numbers)}f", *numbers)
    except OverflowError as exc:
        raise CheckViolation(
            "an embedding holds 32-bit numbers", why=str(exc), columns=("embedding",)
        ) from exc


def decode_embedding(stored: bytes) -> tuple[float, ...]:
    """Give the vector of a stored embedding."""
    return struct.unpack(f"<{len(stored) // 4}f", stored[: len(stored) // 4 * 4])


class EmbeddingField(_Base):
    """A vector: any sequence of numbers goes in, a tuple of floats of 32 bits' precision comes out."""

    field_type = "BLOB"

    def db_value(self, value: Any) -> Any:
        """Give the stored form; bytes are taken for it already."""
        return value if value is None or isinstance(value, bytes) else encode_embedding(value)

    def python_value(self, value: Any) -> Any:
        """Give the vector."""
        return None if value is None else decode_embedding(bytes(value))
