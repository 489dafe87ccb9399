"""What the processes of these tests do; each opens the database itself."""

from __future__ import annotations

from contextlib import suppress

from datalayer import connect
from datalayer.domains.accounts import OAuthTokens
from datalayer.errors import CheckViolation, NotFound, UniqueViolation
from datalayer.store import Store

__all__ = ["grab"]


def grab(target: str, tokens: list[str], user_id: str, suspect: str) -> list[int]:
    """Try to have every e-mail, token and account; give how many of each were had."""
    with connect(target, busy_timeout_s=30) as store:
        had = [
            _sign_up(store, len(tokens)),
            _consume(store, tokens),
            _link(store, user_id, len(tokens)),
        ]
        _open_sessions(store, suspect)
        return had


def _sign_up(store: Store, count: int) -> int:
    had = 0
    for number in range(count):
        with suppress(UniqueViolation):
            store.accounts.sign_up(f"u{number}@example.org")
            had += 1
    return had


def _consume(store: Store, tokens: list[str]) -> int:
    good = 0
    for number, token in enumerate(tokens):
        with suppress(NotFound):
            store.accounts.verifications.consume(f"v{number}", token)
            good += 1
    return good


def _link(store: Store, user_id: str, count: int) -> int:
    mine = 0
    for number in range(count):
        with suppress(UniqueViolation):
            store.accounts.links.link(user_id, "github", str(number), OAuthTokens(access_token=user_id))
            mine += 1
    return mine


def _open_sessions(store: Store, user_id: str) -> None:
    for number in range(10):
        with suppress(CheckViolation):
            store.accounts.sessions.open(user_id)
        if number == 5:
            store.accounts.suspend(user_id)
