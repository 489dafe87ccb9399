"""Secrets in rows: sealed so that only their own row and owner opens them, or kept as a hash.

A sealed value is AES-256-GCM with associated data that name table, column, row and owner: changed by one bit,
or moved elsewhere, it does not open. Nothing here puts a value, or a piece of one, into an error or a log.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
import string
import weakref
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datalayer.engine.connection import Engine
from datalayer.engine.keys import MAKE_ONE, KeyRing, KeySource
from datalayer.errors import CheckViolation, DataLayerError, SecretUnreadable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = [
    "VERSION",
    "EncryptedColumn",
    "Secrets",
    "key_id_of",
    "masked",
    "new_token",
    "reload_keys",
    "ring_of",
    "token_hash",
    "using_keys",
]

VERSION = "dl1"
"""What a sealed value begins with: `dl1:KEY ID:nonce, ciphertext and tag in base64`."""

_ALPHABET = string.ascii_letters + string.digits
_NONCE_BYTES = 12
_SHORTEST_SEALED = _NONCE_BYTES + 16
_SHORTEST_SHOWN = 16


@dataclass(frozen=True, slots=True)
class EncryptedColumn:
    """A column of sealed values, for `datalayer keys rotate`.

    `owner_column` holds the owner they are sealed for (None: they have none), `key` the row's key.
    """

    table: str
    column: str
    owner_column: str | None
    key: str = "id"


class Secrets:
    """Seals and opens the values of one table.

        secrets = Secrets(engine, "webhooks")
        sealed = secrets.seal("whsec_...", column="secret", row="7", owner=user_id)
        secrets.open(sealed, column="secret", row="7", owner=user_id)

    Needs the extra `datalayer[crypto]` and a key, both when first used. Nonces are random: seal at most 2**32
    values with one key, then rotate.
    """

    def __init__(self, engine: Engine, table: str) -> None:
        self._engine = engine
        self._table = table

    def __repr__(self) -> str:
        return f"<Secrets of {self._table} in {self._engine.display_url}>"

    def seal(self, value: str, *, column: str, row: str, owner: str | None) -> str:
        """Give what is stored of a value; each call gives another text.

        Raises:
            CheckViolation: it is no text that can be encoded.
            DataLayerError: no key, or the extra is missing.
        """
        plain = _encoded(value)
        if plain is None:
            raise CheckViolation(
                f"the secret for {self._table}.{column} cannot be stored",
                why="it is no text, or holds half a surrogate pair",
                hint="give a str",
            )
        ring = ring_of(self._engine)
        name = ring.primary
        nonce = os.urandom(_NONCE_BYTES)
        box = _box(ring.primary_key)
        sealed = nonce + box.encrypt(nonce, plain, self._place(name, column, row, owner))
        return f"{VERSION}:{name}:{_to_text(sealed)}"

    def open(self, sealed: str, *, column: str, row: str, owner: str | None) -> str:
        """Give the value that was sealed for this column, row and owner.

        A key that is not in the ring is looked for once more where the ring came from.

        Raises:
            SecretUnreadable: changed, moved, of another form, or its key is not there.
            DataLayerError: no key at all, or the extra is missing.
        """
        name = key_id_of(sealed)
        data = None if name is None else _to_bytes(sealed.split(":", 2)[2])
        if name is None or data is None:
            raise self._unreadable(column, row, None, "it has not the form of a sealed value")
        key = ring_of(self._engine).key(name) or reload_keys(self._engine).key(name)
        if key is None:
            raise self._unreadable(column, row, name, f"the key {name} is not in the ring")
        plain = _decrypted(_box(key), data, self._place(name, column, row, owner))
        if plain is None:
            why = f"it was changed, moved to another row or owner, or {name} is another key now"
            raise self._unreadable(column, row, name, why)
        return plain

    def _place(self, name: str, column: str, row: str, owner: str | None) -> bytes:
        """Give the associated data: JSON, in which no two places are written alike."""
        return json.dumps([VERSION, name, self._table, column, row, owner]).encode()

    def _unreadable(self, column: str, row: str, name: str | None, why: str) -> SecretUnreadable:
        return SecretUnreadable(
            f"the secret in {self._table}.{column} of row {row!r} cannot be opened",
            key_id=name,
            why=why,
            hint="run `datalayer keys list`; if the value is lost, store it anew",
        )


# -- the ring of an engine ---------------------------------------------------------------------------

_rings: weakref.WeakKeyDictionary[Engine, KeyRing] = weakref.WeakKeyDictionary()
# rings that a caller gave after opening
_given: weakref.WeakKeyDictionary[Engine, KeyRing] = weakref.WeakKeyDictionary()


@contextmanager
def using_keys(engine: Engine, ring: KeyRing) -> Generator[None]:
    """Let an opened database use this ring inside the block, in all threads, instead of the one it has."""
    before = _given.get(engine)
    _given[engine] = _rings[engine] = ring
    try:
        yield
    finally:
        _rings.pop(engine, None)
        _given.pop(engine, None)
        if before is not None:
            _given[engine] = before


def ring_of(engine: Engine) -> KeyRing:
    """Give the ring of an opened database: that of its options, else what `KeySource.choose` finds.

    It is read once for each engine, when it is first needed.

    Raises:
        DataLayerError: there is none, or it cannot be read.
    """
    ring = _rings.get(engine)
    return reload_keys(engine) if ring is None else ring


def reload_keys(engine: Engine) -> KeyRing:
    """Read the ring of an engine anew, since another process may have added a key.

    Raises:
        DataLayerError: as `ring_of`.
    """
    ring = _given.get(engine) or engine.options.keys
    if ring is None:
        source = KeySource.choose()
        ring = source.read()
        if ring is None:
            raise DataLayerError(
                "no key to seal secrets with", why=f"{source.label} holds none", hint=MAKE_ONE
            )
    _rings[engine] = ring
    return ring


# -- tokens, hashes, previews ------------------------------------------------------------------------


def new_token(length: int = 32) -> str:
    """Give a token of letters and digits from the system's random source; 32 of them are 190 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def token_hash(token: str) -> str:
    """Give what is stored of a token: its SHA-256 in hexadecimal.

    Only for tokens of high entropy, such as `new_token` gives; a password needs a slow hash.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def masked(value: str) -> str:
    """Give a preview by which its owner knows a secret: `sk-...abcd`; nothing of one below 16 characters."""
    return f"{value[:3]}...{value[-4:]}" if len(value) >= _SHORTEST_SHOWN else "..."


def key_id_of(sealed: str) -> str | None:
    """Give the id of the key that a stored value names, or None where it has not the form of one."""
    version, _, rest = sealed.partition(":")
    name, mark, _ = rest.partition(":")
    return name if version == VERSION and mark and name else None


# -- pieces ------------------------------------------------------------------------------------------


def _encoded(value: object) -> bytes | None:
    """Encode a text; its error would quote it, so none is kept."""
    with suppress(UnicodeEncodeError):
        return value.encode() if isinstance(value, str) else None
    return None


def _to_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _to_bytes(text: str) -> bytes | None:
    """Decode base64 in its only spelling: else the last character could be changed unnoticed."""
    with suppress(binascii.Error, ValueError):
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if len(data) >= _SHORTEST_SEALED and _to_text(data) == text:
            return data
    return None


def _box(key: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as exc:
        raise DataLayerError(
            "sealing secrets needs the package cryptography", hint="pip install 'datalayer[crypto]'"
        ) from exc
    return AESGCM(key)


def _decrypted(box: AESGCM, data: bytes, place: bytes) -> str | None:
    """Decrypt and decode; None where it does not open."""
    from cryptography.exceptions import InvalidTag

    with suppress(InvalidTag, UnicodeDecodeError):
        return box.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place).decode()
    return None
