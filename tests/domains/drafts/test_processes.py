"""Eight processes at the same drafts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from domains.drafts.workers import Keys, Outcome
from support.processes import run_together

from datalayer.domains.drafts import Usage
from datalayer.store import Store, connect

pytestmark = pytest.mark.slow

PROCESSES = 8
TIMES = 8


def test_no_number_is_lost_or_taken_twice_and_no_save_or_cost_is_lost(database: str) -> None:
    with connect(database) as store:
        store.engine.write("INSERT INTO users (id) VALUES ('ada')")
        versioned, autosaved = (store.drafts.create("ada").draft.id for _ in range(2))
        conversation = store.drafts.open_conversation(versioned, "p", "m", user_id="ada").id
        keys = Keys(user="ada", versioned=versioned, autosaved=autosaved, conversation=conversation)
        arguments = [(database, keys, f"p{number}", TIMES) for number in range(PROCESSES)]
        outcomes: list[Outcome] = run_together("domains.drafts.workers", "work", arguments)

        numbers_follow_each_other(store, versioned, outcomes)
        one_save_got_through(store, autosaved, [one["saved"] for one in outcomes])
        expected = Usage(1, PROCESSES * TIMES, Decimal("0.001") * PROCESSES * TIMES)
        assert store.drafts.usage("ada") == expected


def numbers_follow_each_other(store: Store, draft: str, outcomes: list[Outcome]) -> None:
    versions = store.drafts.versions.find(draft_id=draft, order_by="version_number")
    guessed = PROCESSES * TIMES - sum(one["refused"] for one in outcomes)
    assert [one.version_number for one in versions] == [*range(1, 2 + PROCESSES * TIMES + guessed)]
    given = [number for one in outcomes for number in one["numbers"]]
    assert len(set(given)) == len(given) == PROCESSES * TIMES
    current = store.drafts.get_current(draft, user_id="ada").current
    assert current is not None
    assert current.version_number == max(given)


def one_save_got_through(store: Store, draft: str, saved: list[bool]) -> None:
    found = store.drafts.get_current(draft, user_id="ada")
    assert found.current is not None
    assert (saved.count(True), found.version_count) == (1, 2)
    assert found.current.content == f"p{saved.index(True)}"
