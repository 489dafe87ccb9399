"""accounts  the store's users, with passwords that cost next to nothing and a key ring
clock     the store's clock, which stands still until the test moves it"""

from __future__ import annotations

import pytest
from support.clock import Clock

from datalayer.domains.accounts import Accounts, PasswordCost
from datalayer.store import Store


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATALAYER_KEYS", "test:" + "QUJD" * 10 + "QUI=")


@pytest.fixture
def accounts(store: Store) -> Accounts:
    store.accounts.password_cost = PasswordCost(ln=4, r=1, p=1)
    return store.accounts


@pytest.fixture
def clock(store: Store) -> Clock:
    clock = Clock()
    store.engine.clock = clock
    return clock
