"""accounts  the store's users, with passwords that cost next to nothing and a key ring"""

from __future__ import annotations

import pytest

from datalayer.domains.accounts import Accounts, PasswordCost
from datalayer.store import Store


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATALAYER_KEYS", "test:" + "QUJD" * 10 + "QUI=")


@pytest.fixture
def accounts(store: Store) -> Accounts:
    store.accounts.password_cost = PasswordCost(ln=4, r=1, p=1)
    return store.accounts
