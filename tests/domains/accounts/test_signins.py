"""Sessions by token, and verifications."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.clock import Clock

from datalayer.domains.accounts import Accounts
from datalayer.errors import NotFound
from datalayer.store import Store
from datalayer.testing.strategies.accounts import make_user


def test_only_the_hash_of_a_token_is_stored_and_nothing_shows_the_token(
    store: Store, accounts: Accounts
) -> None:
    opened = accounts.sessions.open(make_user(store).id, ip_address="192.0.2.7", user_agent="test")
    row = store.engine.fetch_one("SELECT token FROM auth_sessions")

    assert row is not None and len(row[0]) == 64
    assert opened.token not in repr(opened) + repr(opened.session) + str(row)
    assert len(opened.token) == 32 and opened.token.isalnum()
    assert accounts.sessions.get_by_token(opened.token).id == opened.session.id
    assert accounts.sessions.get_by_token_or_none(row[0]) is None


def test_a_session_ends_with_its_time_and_can_be_extended(
    store: Store, accounts: Accounts, clock: Clock
) -> None:
    opened = accounts.sessions.open(make_user(store).id, ttl=timedelta(seconds=10))
    clock.move(9)
    end = accounts.sessions.extend(opened.token, ttl=timedelta(seconds=20))
    clock.move(19)
    assert accounts.sessions.get_by_token(opened.token).expires_at == end
    clock.move(1)

    with pytest.raises(NotFound):
        accounts.sessions.get_by_token(opened.token)
    with pytest.raises(NotFound):
        accounts.sessions.extend(opened.token)


def test_opening_a_session_counts_as_seen(store: Store, accounts: Accounts, clock: Clock) -> None:
    user = make_user(store)
    accounts.sessions.open(user.id)

    assert accounts.get(user.id).last_seen_at == clock()
    with pytest.raises(NotFound):
        accounts.sessions.open("nobody")


def test_a_user_ends_own_sessions_only(store: Store, accounts: Accounts) -> None:
    ada, eve = make_user(store), make_user(store)
    opened = [accounts.sessions.open(ada.id) for _ in range(3)]
    with pytest.raises(NotFound):
        accounts.sessions.revoke_one(eve.id, opened[0].session.id)
    assert accounts.sessions.revoke_all(eve.id) == 0
    assert len(accounts.sessions.page_of(ada.id, size=2).items) == 2
    accounts.sessions.revoke_one(ada.id, opened[0].session.id)

    assert accounts.sessions.revoke(opened[1].token)
    assert not accounts.sessions.revoke(opened[1].token)
    assert accounts.sessions.revoke_all(ada.id, keep_token=opened[2].token) == 0
    assert accounts.sessions.revoke_all(ada.id) == 1


def test_what_has_expired_is_deleted_in_batches(store: Store, accounts: Accounts, clock: Clock) -> None:
    user = make_user(store)
    for number in range(5):
        accounts.sessions.open(user.id, ttl=timedelta(seconds=number + 1))
        accounts.verifications.create(f"v{number}", ttl=timedelta(seconds=number + 1))
    clock.move(4)

    assert accounts.sessions.delete_expired(batch=2, limit=3) == 3
    assert accounts.sessions.delete_expired(batch=2) == 1
    assert accounts.verifications.delete_expired(batch=2) == 4
    assert (accounts.sessions.count(), accounts.verifications.count()) == (1, 1)


def test_a_verification_is_good_once_for_its_identifier_and_replaces_earlier_ones(
    accounts: Accounts, clock: Clock
) -> None:
    first = accounts.verifications.create("login:ada")
    second = accounts.verifications.create("login:ada")
    for identifier, token in (("login:ada", first), ("login:eve", second), ("login:ada", "")):
        with pytest.raises(NotFound):
            accounts.verifications.consume(identifier, token)
    accounts.verifications.consume("login:ada", second)
    with pytest.raises(NotFound):
        accounts.verifications.consume("login:ada", second)

    third = accounts.verifications.create("login:ada", ttl=timedelta(seconds=5))
    clock.move(5)
    with pytest.raises(NotFound):
        accounts.verifications.consume("login:ada", third)
