"""Users with their sessions, linked accounts and verifications, as the database accepts them."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from datalayer.domains.accounts import AuthAccount, AuthSession, AuthVerification, User
from datalayer.repository.fields import new_id
from datalayer.repository.secrets import token_hash
from datalayer.store import Store
from datalayer.testing.strategies.values import moments, texts

__all__ = ["auth_accounts", "auth_sessions", "auth_verifications", "emails", "make_user", "users"]


def emails() -> SearchStrategy[str]:
    """Give e-mails, no two of which are alike, whatever their case."""
    names = st.text("abcdefABCDEF0123.+-_éÉß", min_size=1, max_size=12)
    return st.builds(_email, names)


def _email(name: str) -> str:
    return f"{name}.{new_id()}@Example.org"


@st.composite
def users(draw: st.DrawFn) -> User:
    """Give users with or without e-mail, suspended or not."""
    email = draw(st.none() | emails())
    suspended = draw(st.booleans())
    return User(
        id=new_id(),
        email=email,
        display_name=draw(texts(max_size=50)),
        avatar_url=draw(st.none() | texts(max_size=50)),
        email_verified=email is not None and draw(st.booleans()),
        suspended=suspended,
        suspended_reason=draw(st.none() | texts(max_size=50)) if suspended else None,
        locale=draw(st.sampled_from(["en", "de-CH", "pt-BR"])),
        timezone=draw(st.sampled_from(["UTC", "Europe/Zurich", "America/Sao_Paulo"])),
        last_seen_at=draw(st.none() | moments()),
    )


def auth_sessions(*, user_id: str) -> SearchStrategy[AuthSession]:
    """Give sessions of a user who is not suspended; expired ones are among them."""
    return st.builds(
        AuthSession,
        id=st.builds(new_id),
        token=st.builds(lambda: token_hash(new_id())),
        user_id=st.just(user_id),
        expires_at=moments(),
        ip_address=st.none() | st.sampled_from(["192.0.2.7", "2001:db8::1"]),
        user_agent=st.none() | texts(max_size=50),
    )


def auth_accounts(*, user_id: str) -> SearchStrategy[AuthAccount]:
    """Give linked accounts without tokens; `store.accounts.links.link` seals some."""
    return st.builds(
        AuthAccount,
        id=st.builds(new_id),
        provider_id=st.sampled_from(["github", "google", "keycloak"]),
        account_id=st.builds(new_id),
        user_id=st.just(user_id),
        access_token_expires_at=st.none() | moments(),
        refresh_token_expires_at=st.none() | moments(),
        scope=st.none() | texts(max_size=50),
    )


def auth_verifications() -> SearchStrategy[AuthVerification]:
    """Give verifications; expired ones are among them."""
    return st.builds(
        AuthVerification,
        id=st.builds(new_id),
        identifier=texts(min_size=1, max_size=50),
        value=st.builds(lambda: token_hash(new_id())),
        expires_at=moments(),
    )


def make_user(store: Store, **fields: object) -> User:
    """Make a user; the e-mail is one of its own, and verified, unless fields say otherwise."""
    key = new_id()
    values = {"email": f"user-{key}@example.org", "display_name": "User", "email_verified": True, **fields}
    if values["email"] is None:
        values["email_verified"] = False
    return store.accounts.add(id=key, last_seen_at=datetime.now(UTC), **values)
