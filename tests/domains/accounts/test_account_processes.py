"""Eight processes at the same e-mails, tokens and accounts."""

from __future__ import annotations

import pytest
from support.processes import run_together

from datalayer.store import connect
from datalayer.testing.strategies.accounts import make_user

PROCESSES = 8
COUNT = 12


@pytest.mark.slow
def test_each_email_token_and_account_is_had_once_and_the_suspended_have_no_session(database: str) -> None:
    with connect(database) as store:
        accounts = store.accounts
        suspect = make_user(store).id
        users = [make_user(store).id for _ in range(PROCESSES)]
        tokens = [accounts.verifications.create(f"v{number}") for number in range(COUNT)]
        had = run_together(
            "domains.accounts.workers", "grab", [(database, tokens, user, suspect) for user in users]
        )

        assert [sum(each) for each in zip(*had, strict=True)] == [COUNT] * 3
        assert accounts.count() == COUNT + PROCESSES + 1
        assert not accounts.verifications.exists()
        links = accounts.links.find()
        assert len(links) == COUNT
        assert all(accounts.links.tokens(one.user_id, one.id).access_token == one.user_id for one in links)
        assert not accounts.sessions.exists()
