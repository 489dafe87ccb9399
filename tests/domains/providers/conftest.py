"""providers  the store's providers, with a key ring in the environment
ada, eve   the ids of two users
"""

from __future__ import annotations

import pytest

from datalayer.domains.providers import Providers
from datalayer.store import Store
from datalayer.testing.strategies.accounts import make_user


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATALAYER_KEYS", "test:" + "QUJD" * 10 + "QUI=")


@pytest.fixture
def providers(store: Store) -> Providers:
    return store.providers


@pytest.fixture
def ada(store: Store) -> str:
    return make_user(store).id


@pytest.fixture
def eve(store: Store) -> str:
    return make_user(store).id
