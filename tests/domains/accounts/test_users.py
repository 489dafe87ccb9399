"""Users: signing up, finding, suspending, deleting."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalayer.domains.accounts import Accounts, OAuthTokens
from datalayer.errors import CheckViolation, InvalidTransition, NotFound, UniqueViolation
from datalayer.store import Store
from datalayer.testing.strategies.accounts import (
    auth_accounts,
    auth_sessions,
    auth_verifications,
    make_user,
    users,
)


def test_a_user_is_found_by_email_in_any_case_of_a_to_z(accounts: Accounts) -> None:
    user = accounts.sign_up("Ada.Ünlü@Example.org", display_name="Ada")

    assert (
        accounts.get_by_email("ADA.ÜNLÜ@example.ORG".replace("Ü", "Ü")[:4] + "Ünlü@EXAMPLE.org").id == user.id
    )
    assert accounts.get_by_email("ada.Ünlü@example.org").email == "Ada.Ünlü@Example.org"
    assert accounts.get_by_email_or_none("ada.ünlü@example.org") is None
    with pytest.raises(NotFound):
        accounts.get_by_email("eve@example.org")


def test_an_email_is_one_users_whatever_its_case(accounts: Accounts) -> None:
    accounts.sign_up("ada@example.org", "correct horse")
    with pytest.raises(UniqueViolation) as caught:
        accounts.sign_up("ADA@example.org", "correct horse")

    error = caught.value
    assert (error.table, error.columns, error.constraint) == ("users", ("email",), "users_email")
    assert "example" not in str(error)
    assert accounts.count() == 1
    assert accounts.links.count() == 1


def test_users_without_email_are_as_many_as_you_like(accounts: Accounts) -> None:
    assert accounts.sign_up().id != accounts.sign_up().id


def test_the_search_by_email_uses_the_unique_index(store: Store, accounts: Accounts) -> None:
    engine = store.engine
    condition = engine.dialect.sql(f"{engine.dialect.folded(engine.dialect.quote('email'))} = ?")
    if engine.dialect.name == "sqlite":
        plan = engine.fetch_all(f"EXPLAIN QUERY PLAN SELECT id FROM users WHERE {condition}", ("a",))
    else:
        with engine.transaction():
            engine.execute("SET LOCAL enable_seqscan = off")
            plan = engine.fetch_all(f"EXPLAIN SELECT id FROM users WHERE {condition}", ("a",))

    assert "users_email" in str(plan)


def test_a_changed_email_must_be_verified_anew_but_not_for_its_case(accounts: Accounts) -> None:
    user = accounts.sign_up("ada@example.org")
    accounts.confirm_email(user.id, accounts.request_email_check(user.id))
    accounts.change_email(user.id, "Ada@Example.org")
    assert accounts.get(user.id).email_verified
    accounts.change_email(user.id, "lovelace@example.org")

    assert not accounts.get(user.id).email_verified
    accounts.change_email(user.id, None)
    with pytest.raises(NotFound):
        accounts.request_email_check(user.id)


def test_an_email_check_is_good_for_its_user_and_email_only(accounts: Accounts) -> None:
    ada, eve = accounts.sign_up("ada@example.org"), accounts.sign_up("eve@example.org")
    token = accounts.request_email_check(ada.id)
    with pytest.raises(NotFound):
        accounts.confirm_email(eve.id, token)
    accounts.change_email(ada.id, "other@example.org")
    with pytest.raises(NotFound):
        accounts.confirm_email(ada.id, token)
    assert not accounts.get(ada.id).email_verified

    accounts.confirm_email(ada.id, accounts.request_email_check(ada.id))
    assert accounts.get(ada.id).email_verified


def test_a_suspended_user_loses_all_sessions_and_opens_none(accounts: Accounts) -> None:
    user = accounts.sign_up("ada@example.org", "correct horse")
    opened = accounts.sessions.open(user.id)
    accounts.suspend(user.id, "spam")

    assert accounts.sessions.get_by_token_or_none(opened.token) is None
    with pytest.raises(CheckViolation) as caught:
        accounts.sessions.open(user.id)
    assert caught.value.constraint == "auth_sessions_user_not_suspended"
    with pytest.raises(InvalidTransition):
        accounts.verify_password("ada@example.org", "correct horse")
    with pytest.raises(NotFound):
        accounts.verify_password("ada@example.org", "wrong horse")

    accounts.reinstate(user.id)
    assert accounts.get(user.id).suspended_reason is None
    assert accounts.sessions.open(user.id).session.user_id == user.id


def test_deleting_a_user_takes_all_that_is_theirs_along(accounts: Accounts) -> None:
    ada, eve = accounts.sign_up("ada@example.org", "correct horse"), accounts.sign_up("eve@example.org")
    for user in (ada, eve):
        accounts.sessions.open(user.id)
        accounts.links.link(user.id, "github", user.id, OAuthTokens(access_token="t"))
    accounts.delete(ada.id)

    assert [one.user_id for one in accounts.sessions.find()] == [eve.id]
    assert [one.user_id for one in accounts.links.find()] == [eve.id]
    with pytest.raises(NotFound):
        accounts.delete(ada.id)


@given(data=st.data())
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_strategies_draw_the_database_accepts(store: Store, data: st.DataObject) -> None:
    accounts = store.accounts
    drawn = [accounts.add(data.draw(users())) for _ in range(3)]
    active = make_user(store)
    accounts.sessions.add(data.draw(auth_sessions(user_id=active.id)))
    accounts.links.add(data.draw(auth_accounts(user_id=active.id)))
    accounts.verifications.add(data.draw(auth_verifications()))

    assert [accounts.get(one.id).display_name for one in drawn] == [one.display_name for one in drawn]
