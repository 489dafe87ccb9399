"""clock  the store's clock, which stands still until the test moves it"""

from __future__ import annotations

import pytest
from support.clock import Clock

from datalayer.store import Store


@pytest.fixture
def clock(store: Store) -> Clock:
    clock = Clock()
    store.engine.clock = clock
    return clock
