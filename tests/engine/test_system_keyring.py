"""The system's keyring as a source of keys, with a backend of the package `keyring` that holds one text."""

from __future__ import annotations

from collections.abc import Iterator

import keyring
import keyring.backend
import keyring.backends.fail
import pytest

from datalayer.engine.keys import KeyRing, KeySource
from datalayer.errors import DataLayerError


class Held(keyring.backend.KeyringBackend):
    """A keyring in this process's memory."""

    priority = 1  # type: ignore[assignment] - keyring's own backends set it so

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self._texts.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._texts[service, username] = password


@pytest.fixture(autouse=True)
def _backend() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(Held())
    yield
    keyring.set_keyring(before)


def test_the_systems_keyring_keeps_a_ring_by_service() -> None:
    source = KeySource.choose({"DATALAYER_KEYRING": "app"})
    assert source.read() is None
    source.write(KeyRing({"a": bytes(32)}))

    ring = source.read()
    assert ring is not None and ring.ids == ("a",)
    assert KeySource.keyring("other").read() is None


def test_a_machine_without_a_keyring_is_told_what_to_do() -> None:
    keyring.set_keyring(keyring.backends.fail.Keyring())

    with pytest.raises(DataLayerError, match="DATALAYER_KEYS_FILE"):
        KeySource.keyring("app").read()
