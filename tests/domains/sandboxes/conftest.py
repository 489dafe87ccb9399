"""sandboxes     the sandboxes of a store on every engine
user, other   the ids of two users
sandbox       a sandbox of the first
"""

from __future__ import annotations

import pytest
from support.clock import Clock

from datalayer.domains.sandboxes import Sandbox, Sandboxes
from datalayer.store import Store


@pytest.fixture
def sandboxes(store: Store) -> Sandboxes:
    store.engine.clock = Clock()
    # sandboxes know users by their key only
    store.engine.write("INSERT INTO users (id) VALUES ('ada'), ('bob')")
    return store.sandboxes


@pytest.fixture
def user(sandboxes: Sandboxes) -> str:
    return "ada"


@pytest.fixture
def other(sandboxes: Sandboxes) -> str:
    return "bob"


@pytest.fixture
def sandbox(sandboxes: Sandboxes, user: str) -> Sandbox:
    return sandboxes.create(user, "Site")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Leave the SQLite file to the slow tests: what the fast ones ask of it, memory answers just so."""
    test = metafunc.definition
    if "store" in metafunc.fixturenames and test.get_closest_marker("slow") is None:
        test.add_marker(pytest.mark.parametrize("store", ["memory", "postgresql"], indirect=True))
