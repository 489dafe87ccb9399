"""ada, eve  the ids of two users
clock     the store's clock, which stands still until the test moves it
thread    the id of a thread of Ada's"""

from __future__ import annotations

import pytest
from support.clock import Clock

from datalayer.store import Store


def _user(store: Store, key: str) -> str:
    store.engine.write(f"INSERT INTO users (id, email) VALUES ('{key}', '{key}@example.org')")
    return key


@pytest.fixture
def ada(store: Store) -> str:
    return _user(store, "ada")


@pytest.fixture
def eve(store: Store) -> str:
    return _user(store, "eve")


@pytest.fixture
def clock(store: Store) -> Clock:
    clock = Clock()
    store.engine.clock = clock
    return clock


@pytest.fixture
def thread(store: Store, ada: str) -> str:
    return store.builder.create_thread(ada, "Shop").id
