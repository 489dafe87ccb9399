"""Passwords and their reset."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clock import Clock

from datalayer.domains.accounts import Accounts, PasswordCost
from datalayer.domains.accounts.passwords import hash_password, matches
from datalayer.errors import CheckViolation, NotFound

CHEAP = PasswordCost(ln=2, r=1, p=1)


@given(st.text(min_size=8, max_size=20), st.text(min_size=8, max_size=20))
@settings(max_examples=20)
def test_a_password_matches_its_own_hash_only(password: str, other: str) -> None:
    stored = hash_password(password, CHEAP)

    assert matches(password, stored)
    assert password not in stored or len(password) < 3
    assert matches(other, stored) == matches(password, hash_password(other, CHEAP))
    assert stored != hash_password(password, CHEAP)


@pytest.mark.parametrize("stored", ["", "$scrypt$", "plain text", "$argon2id$v=19$x$y"])
def test_what_is_no_hash_matches_nothing(stored: str) -> None:
    assert not matches(stored, stored)


@pytest.mark.slow
def test_the_default_cost_is_what_owasp_asks_of_scrypt() -> None:
    stored = hash_password("correct horse", PasswordCost())

    assert stored.startswith("$scrypt$ln=15,r=8,p=3$")
    assert matches("correct horse", stored)


def test_composed_and_decomposed_letters_are_the_same_password() -> None:
    assert matches("cafe\u0301-cafe", hash_password("caf\u00e9-cafe", CHEAP))


def test_a_wrong_password_and_an_unknown_email_are_told_alike(accounts: Accounts) -> None:
    user = accounts.sign_up("ada@example.org", "correct horse")
    without = accounts.sign_up("bob@example.org")
    said: list[str] = []
    for email, password in (("ada@example.org", "wrong horse"), ("eve@example.org", "correct horse")):
        with pytest.raises(NotFound) as caught:
            accounts.verify_password(email, password)
        said.append(str(caught.value))
    with pytest.raises(NotFound):
        accounts.verify_password(str(without.email), "correct horse")

    assert said[0] == said[1]
    assert accounts.verify_password("ADA@example.org", "correct horse").id == user.id


def test_a_short_password_is_refused_before_anything_is_written(accounts: Accounts) -> None:
    with pytest.raises(CheckViolation) as caught:
        accounts.sign_up("ada@example.org", "short12")

    assert "short12" not in str(caught.value)
    assert not accounts.exists()


def test_a_hash_of_another_cost_is_replaced_when_its_password_comes(accounts: Accounts) -> None:
    user = accounts.sign_up("ada@example.org", "correct horse")
    accounts.password_cost = PasswordCost(ln=5, r=1, p=1)
    accounts.verify_password("ada@example.org", "correct horse")

    link = accounts.links.one(user_id=user.id)
    assert str(link.password_hash).startswith("$scrypt$ln=5,r=1,p=1$")
    assert accounts.verify_password("ada@example.org", "correct horse").id == user.id


def test_a_new_password_ends_all_sessions_but_the_one_at_hand(accounts: Accounts) -> None:
    user = accounts.sign_up("ada@example.org")
    kept, other = accounts.sessions.open(user.id), accounts.sessions.open(user.id)
    accounts.set_password(user.id, "correct horse", keep_token=kept.token)
    accounts.set_password(user.id, "correct horse 2", keep_token=kept.token)

    assert accounts.sessions.get_by_token(kept.token)
    assert accounts.sessions.get_by_token_or_none(other.token) is None
    assert accounts.verify_password("ada@example.org", "correct horse 2").id == user.id
    with pytest.raises(NotFound):
        accounts.set_password("nobody", "correct horse")


def test_a_reset_is_good_once_and_for_an_hour(accounts: Accounts, clock: Clock) -> None:
    user = accounts.sign_up("ada@example.org", "correct horse")
    opened = accounts.sessions.open(user.id)
    token = accounts.request_password_reset(user.id)
    with pytest.raises(CheckViolation):
        accounts.reset_password(user.id, token, "short")
    accounts.reset_password(user.id, token, "battery staple")
    with pytest.raises(NotFound):
        accounts.reset_password(user.id, token, "another one")

    assert accounts.verify_password("ada@example.org", "battery staple").id == user.id
    assert accounts.sessions.get_by_token_or_none(opened.token) is None
    late = accounts.request_password_reset(user.id)
    clock.move(3_601)
    with pytest.raises(NotFound):
        accounts.reset_password(user.id, late, "another one")
