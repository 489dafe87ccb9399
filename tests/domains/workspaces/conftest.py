"""ann, ben, cleo  the ids of three users
clock           the store's clock, which stands still until the test moves it
team            the id of a workspace that Ann owns and Ben is a member of
talk            a thread of Ann's with one pending invite, and its token"""

from __future__ import annotations

import pytest
from support.clock import Clock

from datalayer.domains.workspaces import NewThread
from datalayer.store import Store
from datalayer.testing.strategies.workspaces import make_thread, make_workspace


def _user(store: Store, key: str) -> str:
    store.engine.write(f"INSERT INTO users (id, email) VALUES ('{key}', '{key}@example.org')")
    return key


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
def clock(store: Store) -> Clock:
    clock = Clock()
    store.engine.clock = clock
    return clock


@pytest.fixture
def team(store: Store, ann: str, ben: str) -> str:
    return make_workspace(store, owner_id=ann, members=[ben]).id


@pytest.fixture
def talk(store: Store, ann: str) -> NewThread:
    return make_thread(store, user_id=ann)
