"""thread    the id of a thread of Ada's"""

from __future__ import annotations

import pytest

from datalayer.store import Store


@pytest.fixture
def thread(store: Store, ada: str) -> str:
    return store.builder.create_thread(ada, "Shop").id
