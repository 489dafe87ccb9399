"""Eight processes at once: slugs stay unique, chats are made once and counted, no change is lost."""

from __future__ import annotations

import pytest
from support.processes import run_together

from datalayer.domains.sandboxes import CHECKS
from datalayer.schema.check.rule import broken_rules
from datalayer.store import connect

from .workers import CHANGES, CHATS, MESSAGES, SANDBOXES

PROCESSES = 8

pytestmark = pytest.mark.slow


# one test: starting eight processes costs more than all that they do
def test_eight_processes_lose_and_double_nothing(database: str) -> None:
    with connect(database, busy_timeout_s=30) as store:
        store.engine.write("INSERT INTO users (id) VALUES ('ada')")
        sandbox = store.sandboxes.create("ada", "Common")
        session = store.sandboxes.chats.create(sandbox.id, user_id="ada")

        arguments = [(database, f"process {n}", sandbox.id, session.id) for n in range(PROCESSES)]
        done = run_together("domains.sandboxes.workers", "do_everything", arguments)

        # one of all who start the sandbox does so
        assert sum(each["moved"] for each in done) == 1
        # slugs are unique and have no gap
        numbers = range(2, PROCESSES * SANDBOXES + 1)
        slugs = sorted(slug for each in done for slug in each["slugs"])
        assert slugs == sorted(["my-site", *(f"my-site-{number}" for number in numbers)])
        # a chat of another system's id is made once
        assert all(each["chats"] == done[0]["chats"] for each in done)
        assert store.sandboxes.chats.count() == len(set(done[0]["chats"])) + 1 == CHATS + 1
        # the counters are those of the messages
        counted = store.sandboxes.chats.get(session.id)
        left = sum(each["messages"] for each in done)
        assert counted.message_count == store.sandboxes.chats.messages.count() == left
        assert counted.total_output_tokens == PROCESSES * sum(range(MESSAGES))
        assert list(broken_rules(store.engine, CHECKS, tables=frozenset({"chat_sessions"}))) == []
        # no change of the preferences is lost
        versions = sorted(version for each in done for version in each["versions"])
        assert versions == list(range(1, PROCESSES * CHANGES + 1))
