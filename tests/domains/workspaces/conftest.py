"""team            the id of a workspace that Ann owns and Ben is a member of
talk            a thread of Ann's with one pending invite, and its token
"""

from __future__ import annotations

import pytest

from datalayer.domains.workspaces import NewThread
from datalayer.store import Store
from datalayer.testing.strategies.workspaces import make_thread, make_workspace


@pytest.fixture
def team(store: Store, ann: str, ben: str) -> str:
    return make_workspace(store, owner_id=ann, members=[ben]).id


@pytest.fixture
def talk(store: Store, ann: str) -> NewThread:
    return make_thread(store, user_id=ann)
