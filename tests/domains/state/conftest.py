"""keys   the app's keys (key_value_store) or a project's (cached_state), on every engine"""

from __future__ import annotations

import pytest

from datalayer.repository.keyvalue import KeyValues
from datalayer.store import Store


@pytest.fixture(params=["kv", "cache"])
def keys(request: pytest.FixtureRequest, store: Store) -> KeyValues:
    return store.kv if request.param == "kv" else store.cache.project("/home/me/app")
