"""Passwords: kept as a salted scrypt hash, compared in constant time.

Stored in PHC form, `$scrypt$ln=15,r=8,p=3$SALT$HASH`, so that the cost can be raised later: a password that
is right is then hashed anew.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import unicodedata
from dataclasses import dataclass

from datalayer.errors import CheckViolation

__all__ = ["PasswordCost", "hash_password", "is_outdated", "matches", "refuse_weak"]

SHORTEST = 8
LONGEST_BYTES = 1_024
_SALT_BYTES = 16
_HASH_BYTES = 32
_FORM = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")
_MOST_MEMORY_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PasswordCost:
    """How dear one guess is: 2**ln * 128 * r bytes of memory, p times over.

    The default takes 32 MiB and some 0.2 seconds, the cost that OWASP asks of scrypt
    (cheatsheetseries.owasp.org, Password Storage).
    """

    ln: int = 15
    r: int = 8
    p: int = 3


def refuse_weak(password: str) -> None:
    """Refuse a password that is too short to be one, or too long to be hashed.

    Raises:
        CheckViolation: fewer than 8 characters, or more than 1,024 bytes.
    """
    if len(_normal(password)) < SHORTEST or len(_bytes_of(password)) > LONGEST_BYTES:
        raise CheckViolation(
            f"a password has {SHORTEST} characters or more, and {LONGEST_BYTES} bytes at most",
            table="auth_accounts",
            columns=("password_hash",),
        )


def hash_password(password: str, cost: PasswordCost) -> str:
    """Give what is stored of a password; each call takes another salt."""
    salt = os.urandom(_SALT_BYTES)
    made = _scrypt(password, salt, cost, _HASH_BYTES)
    return f"$scrypt$ln={cost.ln},r={cost.r},p={cost.p}${_to_text(salt)}${_to_text(made)}"


def matches(password: str, stored: str) -> bool:
    """Say whether a password is the one that was stored; takes the time of one hash either way."""
    found = _FORM.fullmatch(stored)
    if found is None:
        return False
    cost = PasswordCost(*map(int, found.group(1, 2, 3)))
    salt, expected = (_to_bytes(text) for text in found.group(4, 5))
    return hmac.compare_digest(_scrypt(password, salt, cost, len(expected)), expected)


def is_outdated(stored: str, cost: PasswordCost) -> bool:
    """Say whether a stored hash was made at another cost."""
    return not stored.startswith(f"$scrypt$ln={cost.ln},r={cost.r},p={cost.p}$")


def _scrypt(password: str, salt: bytes, cost: PasswordCost, length: int) -> bytes:
    return hashlib.scrypt(
        _bytes_of(password),
        salt=salt,
        n=1 << cost.ln,
        r=cost.r,
        p=cost.p,
        maxmem=_MOST_MEMORY_BYTES,
        dklen=length,
    )


def _normal(password: str) -> str:
    """Give one spelling of what keyboards write differently (é as one character or two)."""
    return unicodedata.normalize("NFKC", password)


def _bytes_of(password: str) -> bytes:
    return _normal(password).encode("utf-8", "surrogatepass")


def _to_text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").rstrip("=")


def _to_bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
