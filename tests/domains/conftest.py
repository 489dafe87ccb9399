"""clock                     the store's clock, which stands still until the test moves it
ada, ann, ben, cleo, eve  the ids of users, made when a test asks for them
"""

from __future__ import annotations

import pytest
from support.clock import Clock

from datalayer.store import Store


@pytest.fixture
def clock(store: Store) -> Clock:
    clock = Clock()
    store.engine.clock = clock
    return clock


def _user(store: Store, key: str) -> str:
    store.engine.write(f"INSERT INTO users (id, email) VALUES ('{key}', '{key}@example.org')")
    return key


@pytest.fixture
def ada(store: Store) -> str:
    return _user(store, "ada")


@pytest.fixture
def ann(store: Store) -> str:
    return _user(store, "ann")


@pytest.fixture
def ben(store: Store) -> str:
    return _user(store, "ben")


@pytest.fixture
def cleo(store: Store) -> str:
    return _user(store, "cleo")


@pytest.fixture
def eve(store: Store) -> str:
    return _user(store, "eve")
