"""The demo's work in accounts: two users sign up, one signs in, one is suspended and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datalayer.domains.accounts import Accounts, PasswordCost
from datalayer.repository.secrets import new_token

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["work"]


def work(store: Store) -> tuple[str, dict[str, Any]]:
    """Sign up, verify, sign in, suspend, delete."""
    # a cost that does not make the demo wait
    accounts = Accounts(store.engine, password_cost=PasswordCost(ln=10, r=8, p=1))
    name = new_token(8)
    password = new_token()
    ada = accounts.sign_up(f"ada.{name}@example.org", password, display_name="Ada")
    bob = accounts.sign_up(f"bob.{name}@example.org", display_name="Bob")
    accounts.confirm_email(ada.id, accounts.request_email_check(ada.id))
    signed_in = accounts.verify_password(f"ADA.{name}@EXAMPLE.ORG", password)
    opened = accounts.sessions.open(signed_in.id, user_agent="demo")
    accounts.sessions.open(bob.id)
    accounts.suspend(bob.id, "demo")
    ended = accounts.sessions.count(user_id=bob.id) == 0
    accounts.delete(bob.id)
    found = accounts.sessions.get_by_token(opened.token)
    facts = {"users": accounts.count(), "signed_in": found.user_id, "suspended_sessions_ended": ended}
    return "two users signed up; one signed in, one was suspended and deleted with all that was theirs", facts
