"""activity   the activity of a store on every engine, with the users ada and bob"""

from __future__ import annotations

import pytest
from support.clock import Clock

from datalayer.domains.activity import Activity
from datalayer.store import Store


@pytest.fixture
def activity(store: Store, clock: Clock) -> Activity:
    # activity knows users by their key only
    store.engine.write("INSERT INTO users (id) VALUES ('ada'), ('bob')")
    return store.activity
