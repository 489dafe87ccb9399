"""keys   the app's keys (key_value_store) or a project's (cached_state), on every engine
clock  the store's clock, which stands still until the test moves it
"""

from __future__ import annotations

import pytest
from support.clock import Clock

from datalayer.repository.keyvalue import KeyValues
from datalayer.store import Store


@pytest.fixture
def clock(store: Store) -> Clock:
    clock = Clock()
    store.engine.clock = clock
    return clock


@pytest.fixture(params=["kv", "cache"])
def keys(request: pytest.FixtureRequest, store: Store) -> KeyValues:
    return store.kv if request.param == "kv" else store.cache.project("/home/me/app")
