"""jobs       the jobs of a store on every engine
session    the id of a session
"""

from __future__ import annotations

import pytest
from support.clock import Clock

from datalayer.domains.jobs import Jobs
from datalayer.repository.fields import new_id
from datalayer.store import Store


@pytest.fixture
def jobs(store: Store, clock: Clock) -> Jobs:
    return store.jobs


@pytest.fixture
def session(store: Store) -> str:
    return add_session(store)


@pytest.fixture
def other_session(store: Store) -> str:
    return add_session(store)


def add_session(store: Store) -> str:
    # jobs know sessions by their key only
    key = new_id()
    sql = "INSERT INTO sessions (id, name, project_directory, project_hash) VALUES (?, 'work', '/app', ?)"
    store.engine.write(store.engine.dialect.sql(sql), (key, "0" * 64))
    return key
