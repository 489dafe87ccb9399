"""The keys that secrets in a database are sealed with: where they come from, and which one is the first.

A ring holds one or several keys of 256 bits, each under an id that stands in what it sealed. New values are
sealed with the first one; the others are kept for what was sealed before. Knows no table, and shows no key.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs

from datalayer.engine.durable import sync_folder
from datalayer.errors import DataLayerError

try:
    import fcntl
except ImportError:
    fcntl = None  # Windows

__all__ = ["KEY_VARIABLES", "MAKE_ONE", "KeyRing", "KeySource", "default_key_file", "new_key"]

MAKE_ONE = "run `datalayer keys new`, or give connect(..., keys=KeyRing(...))"
"""What to do where there is no key."""

KEY_VARIABLES = ("DATALAYER_KEYS", "DATALAYER_KEYS_FILE", "DATALAYER_KEYRING")
"""What names a source of keys, the first one that is set before the others."""

_KEY_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_FORM = "write ID:BASE64, one key of 32 bytes after the other, the first one first"
_ACCOUNT = "datalayer"


class KeyRing:
    """Keys of 32 bytes by their ids, the first of which seals; shows only the ids.

        ring = KeyRing({"2026-11": os.urandom(32)})  # for connect("app.db", keys=ring)

    Raises:
        DataLayerError: no key, one of another length, or an id of other characters than letters, digits and
        `-_.`.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise DataLayerError("a key ring holds at least one key", hint=MAKE_ONE)
        for name, key in keys.items():
            _check(name, key)
        self._keys = dict(keys)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    @property
    def primary(self) -> str:
        """The id of the key that new values are sealed with."""
        return next(iter(self._keys))

    @property
    def primary_key(self) -> bytes:
        """The key that new values are sealed with: secret."""
        return self._keys[self.primary]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys, the one that seals first."""
        return tuple(self._keys)

    def key(self, name: str) -> bytes | None:
        """Give the key of this id, or None."""
        return self._keys.get(name)

    def with_primary(self, name: str, key: bytes) -> KeyRing:
        """Give a ring that seals with this key and still knows the others.

        Raises:
            DataLayerError: the id is taken.
        """
        if name in self._keys:
            raise DataLayerError(f"the ring has a key {name} already", hint="choose another id")
        return KeyRing({name: key, **self._keys})

    @classmethod
    def parse(cls, text: str, *, source: str = "the text") -> KeyRing:
        """Read `ID:BASE64`, separated by commas or line breaks; lines that begin with # are passed over.

        Raises:
            DataLayerError: it is not of that form; what stands there is not quoted.
        """
        keys: dict[str, bytes] = {}
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        for number, entry in enumerate(filter(None, re.split(r"[,\s]+", "\n".join(lines))), 1):
            name, _, coded = entry.partition(":")
            if name in keys:
                raise DataLayerError(f"{source} names key {number} like one before it", hint=_FORM)
            keys[name] = _decode(coded, f"{source}: key {number} cannot be read")
            if not _ID.fullmatch(name):
                raise DataLayerError(f"{source}: the id of key {number} cannot be read", hint=_FORM)
        if not keys:
            raise DataLayerError(f"{source} holds no key", hint=MAKE_ONE)
        return cls(keys)

    def text(self) -> str:
        """Give all keys in the form that `parse` reads: secret."""
        return "".join(f"{name}:{_encode(key)}\n" for name, key in self._keys.items())


def new_key() -> tuple[str, bytes]:
    """Make a key from the system's random source, with an id that tells its day."""
    return f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(3)}", os.urandom(_KEY_BYTES)


def default_key_file() -> Path:
    """Give where keys are looked for last: in the platform's folder for settings, not beside the data."""
    return Path(platformdirs.user_config_dir("datalayer", appauthor=False)) / "keys"


class KeySource(ABC):
    """A place that a ring is read from, and may be written to: a file, the system's keyring, a variable.

    `label` names it for people. `KeySource.choose` finds the one that is meant.
    """

    label = "nowhere"
    is_writable = False

    @staticmethod
    def choose(environment: Mapping[str, str] | None = None) -> KeySource:
        """Give the source that is meant.

        In this order: DATALAYER_KEYS (the keys themselves), DATALAYER_KEYS_FILE (a path), DATALAYER_KEYRING
        (the name of a service in the system's keyring), the default file. Empty variables count as absent.
        """
        variables = os.environ if environment is None else environment
        text, path, service = map(variables.get, KEY_VARIABLES)
        if text:
            return _Variable(text)
        if path:
            return KeySource.file(path)
        if service:
            return KeySource.keyring(service)
        return _File(default_key_file())

    @staticmethod
    def file(path: str | os.PathLike[str]) -> KeySource:
        """Give a file as a source; it must be readable by its owner alone (mode 0600)."""
        return _File(Path(path).expanduser().absolute())

    @staticmethod
    def keyring(service: str) -> KeySource:
        """Give the system's keyring as a source; needs the package `keyring`."""
        return _Keyring(service)

    @abstractmethod
    def read(self) -> KeyRing | None:
        """Give the ring, or None where there is none yet.

        Raises:
            DataLayerError: it cannot be read, is not of the right form, or is open to others.
        """

    def add(self, name: str, key: bytes) -> KeyRing:
        """Put a key first and give the ring as it is then; several that do so at once lose none of a file.

        Raises:
            DataLayerError: as `read` and `write`, or the id is taken.
        """
        before = self.read()
        ring = KeyRing({name: key}) if before is None else before.with_primary(name, key)
        self.write(ring)
        return ring

    def write(self, ring: KeyRing) -> None:
        """Replace the ring; what was there is kept until the new one is safe.

        Raises:
            DataLayerError: it cannot be written here.
        """
        raise DataLayerError(f"{self.label} cannot be written", hint="change it yourself")


class _Variable(KeySource):
    label = "environment DATALAYER_KEYS"

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self) -> KeyRing:
        return KeyRing.parse(self._text, source=self.label)


class _File(KeySource):
    is_writable = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.label = str(path)

    def read(self) -> KeyRing | None:
        try:
            with self.path.open("rb") as file:
                _refuse_open_mode(self.path, os.fstat(file.fileno()))
                data = file.read()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise DataLayerError(
                f"cannot read the keys in {self.path}", why=exc.strerror, hint="check its owner and mode"
            ) from exc
        return KeyRing.parse(data.decode("utf-8", "replace"), source=self.label)

    def add(self, name: str, key: bytes) -> KeyRing:
        with self._lock():
            return super().add(name, key)

    @contextmanager
    def _lock(self) -> Generator[None]:
        """Hold a lock of the folder, which goes with the process; Windows locks no folders."""
        if fcntl is None:
            yield
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def write(self, ring: KeyRing) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # a link is kept, and what it leads to is replaced
            _write_safely(self.path.resolve(), ring.text().encode())
        except OSError as exc:
            raise DataLayerError(
                f"cannot write the keys to {self.path}", why=exc.strerror, hint="check its folder's mode"
            ) from exc


class _Keyring(KeySource):
    is_writable = True

    def __init__(self, service: str) -> None:
        self._service = service
        self.label = f"the system's keyring, service {service}"

    def read(self) -> KeyRing | None:
        text = self._ask("get_password", self._service, _ACCOUNT)
        return None if text is None else KeyRing.parse(str(text), source=self.label)

    def write(self, ring: KeyRing) -> None:
        self._ask("set_password", self._service, _ACCOUNT, ring.text())

    def _ask(self, verb: str, *words: str) -> Any:
        try:
            import keyring
            import keyring.errors
        except ImportError as exc:
            raise DataLayerError(
                f"{self.label} needs the package keyring",
                hint="pip install 'datalayer[keyring]', or name a file in DATALAYER_KEYS_FILE",
            ) from exc
        try:
            return getattr(keyring, verb)(*words)
        except keyring.errors.KeyringError as exc:
            raise DataLayerError(
                f"{self.label} cannot be used",
                why=type(exc).__name__,
                hint="on a machine without one name a file in DATALAYER_KEYS_FILE",
            ) from exc


# -- pieces ------------------------------------------------------------------------------------------


def _check(name: str, key: bytes) -> None:
    if not _ID.fullmatch(name):
        raise DataLayerError(
            "the id of a key is of other characters", hint="use letters, digits and -_. , at most 40"
        )
    if len(key) != _KEY_BYTES:
        raise DataLayerError(f"key {name} is not of 32 bytes", hint="make one with `datalayer keys new`")


def _encode(key: bytes) -> str:
    return base64.b64encode(key).decode("ascii")


def _decode(coded: str, what: str) -> bytes:
    """Decode base64, of either alphabet; never quotes it, and keeps no error that does."""
    key = b""
    with suppress(binascii.Error, ValueError):
        plain = coded.rstrip("=").replace("-", "+").replace("_", "/")
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    if len(key) != _KEY_BYTES:
        raise DataLayerError(what, why="it is not 32 bytes in base64", hint=_FORM)
    return key


def _refuse_open_mode(path: Path, facts: os.stat_result) -> None:
    mode = stat.S_IMODE(facts.st_mode)
    if os.name == "posix" and mode & 0o177:
        raise DataLayerError(
            f"the keys in {path} are open to others",
            why=f"its mode is {mode:04o}",
            hint=f"run `chmod 600 {path}`; if others could read it, make a new key and rotate",
        )


def _write_safely(path: Path, data: bytes) -> None:
    """Replace a file whole or not at all, readable by its owner alone from its first byte on."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    # a key that a power cut takes along takes all that it sealed
    sync_folder(path.parent)
