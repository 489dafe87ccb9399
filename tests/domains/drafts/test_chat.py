"""The chat about a draft, by pages; what conversations cost, to the last decimal."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clock import Clock

from datalayer import CheckViolation
from datalayer.domains.drafts import Usage
from datalayer.store import Store, connect
from datalayer.testing.strategies.values import amounts


def said(store: Store, draft: str, user: str, size: int) -> list[str]:
    """Give the whole chat from the newest message on, page by page."""
    found: list[str] = []
    cursor = None
    while True:
        page = store.drafts.chat_history(draft, user_id=user, size=size, before=cursor)
        assert len(page.items) <= size
        found += [one.content for one in page.items]
        cursor = page.next
        if cursor is None:
            return found


def test_messages_come_newest_first_by_pages(store: Store, ada: str, draft: str, clock: Clock) -> None:
    for number in range(7):
        if number % 3:
            clock.move(1)
        store.drafts.add_message(draft, "user" if number % 2 else "assistant", str(number), user_id=ada)

    for size in (1, 2, 3, 7, 8):
        assert said(store, draft, ada, size) == ["6", "5", "4", "3", "2", "1", "0"]


def test_a_message_that_comes_meanwhile_is_not_on_the_next_page(store: Store, ada: str, draft: str) -> None:
    for number in range(4):
        store.drafts.add_message(draft, "user", str(number), user_id=ada)
    first = store.drafts.chat_history(draft, user_id=ada, size=2)
    store.drafts.add_message(draft, "user", "new", user_id=ada)

    second = store.drafts.chat_history(draft, user_id=ada, size=2, before=first.next)
    assert [one.content for one in (*first.items, *second.items)] == ["3", "2", "1", "0"]


def test_a_message_keeps_what_is_known_of_it(store: Store, ada: str, draft: str, clock: Clock) -> None:
    facts = {"model": "m", "nested": [1, None, {"a": 0.5}]}
    added = store.drafts.add_message(draft, "assistant", "hi", user_id=ada, metadata=facts)
    plain = store.drafts.add_message(draft, "user", "", user_id=ada)

    assert (added.role, added.content, added.metadata, added.created_at) == (
        "assistant",
        "hi",
        facts,
        clock.now,
    )
    assert plain.metadata is None
    assert store.drafts.messages.get(added.id).metadata == facts


def test_an_unknown_role_is_refused(store: Store, ada: str, draft: str) -> None:
    with pytest.raises(CheckViolation) as caught:
        store.drafts.add_message(draft, "system", "hi", user_id=ada)

    assert caught.value.constraint == "chat_message_role_known"


def test_usage_adds_up(store: Store, ada: str, eve: str, draft: str) -> None:
    opened = store.drafts.open_conversation(draft, "p", "m", user_id=ada, system_prompt="be kind")
    assert (opened.total_tokens, opened.total_cost, opened.system_prompt) == (0, Decimal(0), "be kind")
    for _ in range(3):
        total = store.drafts.record_usage(opened.id, user_id=ada, tokens=10, cost=Decimal("0.1"))
    assert (total.total_tokens, total.total_cost) == (30, Decimal("0.3"))
    other = store.drafts.create(ada).draft.id
    second = store.drafts.open_conversation(other, "p", "m", user_id=ada)
    store.drafts.record_usage(second.id, user_id=ada, cost=Decimal("0.000001"))
    store.drafts.open_conversation(store.drafts.create(eve).draft.id, "p", "m", user_id=eve)

    assert store.drafts.usage(ada) == Usage(2, 30, Decimal("0.300001"))
    assert store.drafts.usage(ada, draft_id=other) == Usage(1, 0, Decimal("0.000001"))
    assert store.drafts.usage(eve) == Usage(1, 0, Decimal(0))
    assert store.drafts.usage("nobody") == Usage(0, 0, Decimal(0))
    listed = store.drafts.conversations_of(draft, user_id=ada).items
    assert [(one.id, one.total_cost) for one in listed] == [(opened.id, Decimal("0.3"))]


def test_what_cannot_have_been_used_is_refused(store: Store, ada: str, draft: str) -> None:
    opened = store.drafts.open_conversation(draft, "p", "m", user_id=ada)
    for tokens, cost in (
        (-1, 0),
        (0, Decimal("-0.5")),
        (0, Decimal("0.0000001")),
        (2**63, 0),
        (0, 10_000),
    ):
        with pytest.raises(CheckViolation):
            store.drafts.record_usage(opened.id, user_id=ada, tokens=tokens, cost=cost)

    assert store.drafts.usage(ada) == Usage(1, 0, Decimal(0))


def test_a_total_of_ten_thousand_is_refused_and_the_total_stays(store: Store, ada: str, draft: str) -> None:
    opened = store.drafts.open_conversation(draft, "p", "m", user_id=ada)
    store.drafts.record_usage(opened.id, user_id=ada, cost=Decimal("9999.999998"))
    with pytest.raises(CheckViolation) as caught:
        store.drafts.record_usage(opened.id, user_id=ada, cost=Decimal("0.000002"))
    assert caught.value.constraint == "ai_conversation_total_cost_range"

    last = store.drafts.record_usage(opened.id, user_id=ada, cost=Decimal("0.000001"))
    assert last.total_cost == Decimal("9999.999999")


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    """A store for many examples, each of which makes its own draft."""
    with connect(":memory:") as store:
        store.migrate()
        store.engine.write("INSERT INTO users (id) VALUES ('ada')")
        yield store


@given(costs=st.lists(amounts(0, 100), max_size=8))
def test_any_costs_add_up_exactly(shared: Store, costs: list[Decimal]) -> None:
    key = shared.drafts.create("ada").draft.id
    conversation = shared.drafts.open_conversation(key, "p", "m", user_id="ada")
    for cost in costs:
        shared.drafts.record_usage(conversation.id, user_id="ada", cost=cost, tokens=1)

    assert shared.drafts.usage("ada", draft_id=key) == Usage(1, len(costs), sum(costs, Decimal(0)))
