"""JSON documents as both engines compare and keep them.

Knows no database: it is what SQLite lacks beside PostgreSQL's jsonb.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

__all__ = ["same_json", "write_json"]

# json.dumps() with options makes an encoder for each call, which costs as much as a small document
_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
# a text in quotes, which stays as it is, or a number with an exponent, or negative zero
_ODD_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9.]+e\+[0-9]+|-0\.0\b')


def write_json(value: Any) -> str:
    """Give the text of a value, such that both engines give the same value back.

    jsonb keeps numbers as decimals: 1e16 would come back as an integer, and it has no negative zero. So
    floats from 1e16 on are written out with their `.0`, and -0.0 as 0.0. Tuples become lists; keys that are
    no texts, texts.

    Raises:
        TypeError, ValueError, RecursionError: JSON cannot hold it (NaN, a type that JSON lacks, a cycle).
    """
    text = _encode(value)
    if "e+" in text or "-0.0" in text:
        return _ODD_NUMBER.sub(_write_out, text)
    return text


def _write_out(found: re.Match[str]) -> str:
    token = found[0]
    if token[0] == '"':
        return token
    return "0.0" if token == "-0.0" else f"{Decimal(token):f}.0"


def same_json(left: str, right: str) -> bool:
    """Say whether two documents are equal as jsonb has it, of which this is SQLite's counterpart.

    The order of an object's keys does not matter, numbers are compared by their exact value, and true is no
    number.
    """
    return left == right or _read(left) == _read(right)


def _read(text: str) -> Any:
    return json.loads(text, parse_int=_number, parse_float=_number)


def _number(text: str) -> tuple[Decimal]:
    # in a tuple, which no document holds: a bare Decimal(1) would equal True
    return (Decimal(text),)
