"""Accounts elsewhere, with their tokens sealed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from datalayer.domains.accounts import Accounts, OAuthTokens
from datalayer.errors import CheckViolation, NotFound, SecretUnreadable, UniqueViolation
from datalayer.store import Store
from datalayer.testing.strategies.accounts import make_user

TOKENS = OAuthTokens(
    access_token="gho_secret_access",
    refresh_token="ghr_secret_refresh",
    id_token="eyJ.secret.id",
    access_token_expires_at=datetime(2027, 1, 1, tzinfo=UTC),
    scope="repo",
)


def test_tokens_are_stored_sealed_and_opened_for_their_user_only(store: Store, accounts: Accounts) -> None:
    ada, eve = make_user(store), make_user(store)
    link = accounts.links.link(ada.id, "github", "1", TOKENS)
    stored = str(store.engine.fetch_all("SELECT * FROM auth_accounts"))

    assert "secret" not in stored + repr(link) + repr(TOKENS) + str(link.__data__)
    assert accounts.links.tokens(ada.id, link.id) == TOKENS
    assert accounts.get_by_link("github", "1").id == ada.id
    for call in (accounts.links.tokens, accounts.links.unlink):
        with pytest.raises(NotFound):
            call(eve.id, link.id)
    with pytest.raises(NotFound):
        accounts.links.set_tokens(eve.id, link.id, TOKENS)


def test_an_account_is_linked_to_one_user(store: Store, accounts: Accounts) -> None:
    ada, eve = make_user(store), make_user(store)
    first = accounts.links.link(ada.id, "github", "1", TOKENS)
    again = accounts.links.link(ada.id, "github", "1", OAuthTokens(access_token="newer"))
    assert again.id == first.id == accounts.links.link(ada.id, "github", "1").id
    assert accounts.links.tokens(ada.id, first.id) == OAuthTokens(access_token="newer")
    with pytest.raises(UniqueViolation) as caught:
        accounts.links.link(eve.id, "github", "1", TOKENS)

    assert caught.value.constraint == "auth_accounts_provider_account_unique"
    assert [one.id for one in accounts.links.find_of(ada.id)] == [first.id]
    accounts.links.unlink(ada.id, first.id)
    with pytest.raises(NotFound):
        accounts.get_by_link("github", "1")
    with pytest.raises(NotFound):
        accounts.links.link("nobody", "github", "2")
    with pytest.raises(CheckViolation):
        accounts.links.link(ada.id, "password", "x")


def test_a_row_or_value_that_is_moved_does_not_open(store: Store, accounts: Accounts) -> None:
    ada, eve = make_user(store), make_user(store)
    mine = accounts.links.link(ada.id, "github", "1", TOKENS)
    hers = accounts.links.link(eve.id, "github", "2", OAuthTokens(access_token="a", refresh_token="b"))
    copy = "(SELECT access_token FROM auth_accounts WHERE account_id = '1')"
    for change in (
        f"UPDATE auth_accounts SET access_token = {copy} WHERE account_id = '2'",
        "UPDATE auth_accounts SET access_token = refresh_token WHERE account_id = '2'",
        "UPDATE auth_accounts SET access_token = 'dl9:test:QUJD' WHERE account_id = '2'",
    ):
        store.engine.write(change)
        with pytest.raises(SecretUnreadable) as caught:
            accounts.links.tokens(eve.id, hers.id)
        assert hers.id in str(caught.value)

    store.engine.write(
        store.engine.dialect.sql("UPDATE auth_accounts SET user_id = ? WHERE id = ?"), (eve.id, mine.id)
    )
    with pytest.raises(SecretUnreadable):
        accounts.links.tokens(eve.id, mine.id)
