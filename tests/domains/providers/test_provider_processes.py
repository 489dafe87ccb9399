"""Eight processes at the same credentials, some of which rotate; and a rotation that is killed."""

from __future__ import annotations

import pytest
from domains.providers.workers import OLD, RING
from support.processes import run_together, worker

from datalayer.store import connect
from datalayer.testing.strategies.accounts import make_user
from datalayer.testing.strategies.providers import make_credential

pytestmark = pytest.mark.slow

WORKERS = "domains.providers.workers"
PROCESSES = 8


def test_rotation_never_overwrites_what_is_newer_and_all_is_had_once(database: str) -> None:
    with connect(database, keys=RING) as store:
        users = [make_user(store).id for _ in range(12)]
        states = [store.providers.sign_ins.start_redirect(users[0], "openai").state for _ in users]
        had = run_together(
            WORKERS, "write_or_rotate", [(database, number, users, states) for number in range(PROCESSES)]
        )
        store.rotate_keys()
        credentials = store.providers.credentials

        assert sum(taken for taken, _ in had) == len(states)
        assert [credentials.open(user, "openai").api_key for user in users] == [
            f"{user}-key-4" for user in users
        ]
        assert str(credentials.open(users[0], "google").api_key).startswith("shared-key-of-")
        assert credentials.count() == len(users) + 1
        assert store.providers.count(is_default=True) == 1
        assert store.rotate_keys().total == 0


def test_a_rotation_that_is_killed_leaves_every_value_readable_and_goes_on(database: str) -> None:
    with connect(database, keys=OLD) as store:
        users = [make_user(store).id for _ in range(300)]
        for user in users:
            make_credential(store, user_id=user, api_key=f"key-of-{user}")
    with worker(WORKERS, "rotate_slowly", database) as rotating:
        assert rotating.line() == "under way"
        rotating.kill()

    with connect(database, keys=RING) as store:
        keys = [store.providers.credentials.open(user, "openai").api_key for user in users]
        assert keys == [f"key-of-{user}" for user in users]
        done = store.rotate_keys()
        assert 0 < done.resealed < 300 and done.is_complete
        assert store.providers.credentials.open(users[-1], "openai").api_key == f"key-of-{users[-1]}"
