"""What AI calls cost and may cost."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import pytest
from support.clock import Clock

from datalayer import CheckViolation, ForeignKeyViolation, InvalidTransition, NotFound
from datalayer.domains.workspaces import AiCosts, BudgetExceeded
from datalayer.store import Store

# the file of SQLite behaves as the one in memory, and what a database decides is broken in the tests of rules
pytestmark = pytest.mark.parametrize(
    "store", ["memory", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)

CENT = Decimal("0.01")


@pytest.fixture
def costs(store: Store, clock: Clock) -> AiCosts:
    return store.workspaces.ai_costs


def test_what_runs_and_what_was_spent_count_against_the_budget(costs: AiCosts, ann: str) -> None:
    costs.set_budget(Decimal(1), user_id=ann)
    first = costs.reserve(ann, Decimal("0.6"), provider="openai", model="m", feature="chat")
    with pytest.raises(BudgetExceeded) as caught:
        costs.reserve(ann, Decimal("0.400001"), provider="openai")
    assert (caught.value.budget.remaining, caught.value.budget.reserved) == (Decimal("0.4"), Decimal("0.6"))
    second = costs.reserve(ann, Decimal("0.4"), provider="openai")
    assert costs.remaining(ann) == 0
    done = costs.settle(first, Decimal("0.123456"), input_tokens=10, output_tokens=2)
    costs.release(second.id)

    assert (done.cost, done.status, done.input_tokens, done.model) == (
        Decimal("0.123456"),
        "settled",
        10,
        "m",
    )
    assert costs.remaining(ann) == Decimal("0.876544")
    (budget,) = costs.find_budgets(ann)
    assert (budget.spent, budget.reserved, budget.limit) == (Decimal("0.123456"), 0, 1)


def test_a_call_ends_once(costs: AiCosts, ann: str) -> None:
    settled = costs.reserve(ann, CENT, provider="openai")
    released = costs.reserve(ann, CENT, provider="openai")
    costs.settle(settled, CENT)
    costs.release(released)
    for call in (settled, released):
        for again in (partial(costs.settle, call, CENT), partial(costs.release, call)):
            with pytest.raises(InvalidTransition):
                again()
    with pytest.raises(NotFound):
        costs.settle("nothing", CENT)

    assert sum(call.cost for call in costs.find()) == CENT


def test_a_call_that_cost_more_than_was_reserved_is_recorded_as_it_was(costs: AiCosts, ann: str) -> None:
    costs.set_budget(Decimal(1), user_id=ann)
    call = costs.reserve(ann, Decimal(1), provider="openai")
    costs.settle(call, Decimal("1.5"))

    assert costs.remaining(ann) == 0
    assert costs.find_budgets(ann)[0].remaining == Decimal("-0.5")
    with pytest.raises(BudgetExceeded):
        costs.reserve(ann, Decimal(0), provider="openai")


def test_a_call_of_unknown_cost_takes_all_that_is_left(costs: AiCosts, ann: str) -> None:
    costs.set_budget(Decimal(1), user_id=ann)
    costs.record(ann, Decimal("0.25"), provider="openai")
    call = costs.reserve(ann, None, provider="openai")
    assert call.reserved == Decimal("0.75")
    for max_cost in (None, CENT):
        with pytest.raises(BudgetExceeded):
            costs.reserve(ann, max_cost, provider="openai")
    costs.settle(call, Decimal("0.5"))

    assert costs.reserve(ann, None, provider="openai").reserved == Decimal("0.25")


def test_a_user_without_a_budget_has_that_of_the_settings(store: Store, costs: AiCosts, ann: str) -> None:
    assert costs.remaining(ann) == 10
    store.workspaces.settings.change(max_ai_cost_per_user_daily=Decimal("0.5"))
    costs.reserve(ann, Decimal("0.5"), provider="openai")
    with pytest.raises(BudgetExceeded):
        costs.reserve(ann, CENT, provider="openai")
    store.workspaces.settings.change(max_ai_cost_per_user_daily=None)

    assert costs.remaining(ann) is None
    assert costs.reserve(ann, Decimal(10**6), provider="openai").reserved == 10**6
    assert costs.reserve(ann, None, provider="openai").reserved == 0
    costs.set_budget(Decimal(1), user_id=ann)
    assert costs.remaining(ann) == 0
    assert costs.remove_budget(user_id=ann)
    assert not costs.remove_budget(user_id=ann)
    assert costs.remaining(ann) is None


def test_the_tightest_budget_decides(costs: AiCosts, ann: str, ben: str) -> None:
    costs.set_budget(Decimal(5), user_id=ann)
    costs.set_budget(Decimal(3), user_id=ann, period="monthly")
    costs.set_budget(Decimal(4), period="total")
    costs.record(ben, Decimal(2), provider="openai")
    assert costs.remaining(ann) == 2
    with pytest.raises(BudgetExceeded, match="of all users together"):
        costs.reserve(ann, Decimal("2.5"), provider="openai")
    costs.set_budget(Decimal(40), period="total")

    with pytest.raises(BudgetExceeded, match="monthly"):
        costs.reserve(ann, Decimal("3.5"), provider="openai")
    assert [(each.user_id, each.period) for each in costs.find_budgets(ann)] == [
        (ann, "daily"),
        (ann, "monthly"),
        (None, "total"),
    ]
    assert costs.budgets.count() == 3


def test_a_new_period_begins_with_nothing_spent(costs: AiCosts, clock: Clock, ann: str) -> None:
    costs.set_budget(Decimal(1), user_id=ann)
    costs.set_budget(Decimal("1.5"), user_id=ann, period="monthly")
    clock.now = datetime(2026, 3, 30, 23, 59, 59, tzinfo=UTC)
    call = costs.reserve(ann, Decimal(1), provider="openai")
    clock.move(1)
    assert costs.remaining(ann) == Decimal("0.5")
    costs.settle(call, Decimal(1))
    assert costs.remaining(ann) == Decimal("0.5")
    clock.now = datetime(2026, 4, 1, tzinfo=UTC)

    assert costs.remaining(ann) == 1


def test_what_a_lost_process_reserved_comes_back(costs: AiCosts, clock: Clock, ann: str) -> None:
    costs.set_budget(Decimal(1), user_id=ann)
    lost = costs.reserve(ann, Decimal(1), provider="openai", ttl_s=60)
    assert costs.find_unsettled() == []
    clock.move(60)

    assert costs.remaining(ann) == 1
    assert [call.id for call in costs.find_unsettled()] == [lost.id]
    assert costs.settle(lost, Decimal("0.5")).cost == Decimal("0.5")
    assert costs.find_unsettled() == []


def test_what_is_no_amount_is_refused(costs: AiCosts, ann: str) -> None:
    call = costs.reserve(ann, CENT, provider="openai")
    for refused in (
        lambda: costs.reserve(ann, Decimal(-1), provider="openai"),
        lambda: costs.reserve(ann, Decimal("0.0000001"), provider="openai"),
        lambda: costs.settle(call, Decimal(-1)),
        lambda: costs.settle(call, CENT, input_tokens=-1),
        lambda: costs.record(ann, Decimal(-1), provider="openai"),
        lambda: costs.record(ann, CENT, provider=""),
        lambda: costs.set_budget(Decimal(-1), user_id=ann),
        lambda: costs.set_budget(0.5, user_id=ann),  # pyright: ignore[reportArgumentType] - on purpose
    ):
        with pytest.raises(CheckViolation):
            refused()
    for refused in (
        lambda: costs.reserve("nobody", CENT, provider="openai"),
        lambda: costs.set_budget(CENT, user_id="nobody"),
    ):
        with pytest.raises(ForeignKeyViolation):
            refused()

    assert costs.count(status="reserved") == 1


def test_costs_are_summed_up_by_group(costs: AiCosts, clock: Clock, ann: str, ben: str) -> None:
    since = clock.now
    for provider, cost in (("openai", "0.1"), ("openai", "0.2"), ("gemini", "5")):
        costs.record(ann, Decimal(cost), provider=provider, feature="chat", input_tokens=3)
    costs.record(ben, Decimal("0.000001"), provider="gemini")
    costs.reserve(ben, Decimal(1), provider="gemini")
    until = clock.move(60)
    costs.record(ben, Decimal(7), provider="gemini")

    by_provider = costs.totals("provider", since, until)
    assert [(each.group, each.calls, each.cost) for each in by_provider] == [
        ("gemini", 2, Decimal("5.000001")),
        ("openai", 2, Decimal("0.3")),
    ]
    assert [(each.group, each.input_tokens) for each in costs.totals("user_id", since, until)] == [
        (ann, 9),
        (ben, 0),
    ]


def test_the_calls_of_a_user_come_by_pages(costs: AiCosts, clock: Clock, ann: str, ben: str) -> None:
    calls: list[str] = []
    for _ in range(3):
        calls.append(costs.record(ann, CENT, provider="openai").id)
        costs.record(ben, CENT, provider="openai")
        clock.move(1)

    first = costs.page_for_user(ann, size=2)
    second = costs.page_for_user(ann, size=2, after=first.next)
    assert [call.id for call in (*first.items, *second.items)] == calls[::-1]


def test_the_error_crosses_processes_whole(costs: AiCosts, ann: str) -> None:
    with pytest.raises(BudgetExceeded) as caught:
        costs.reserve(ann, Decimal(11), provider="openai")

    copied = pickle.loads(pickle.dumps(caught.value))
    assert (str(copied), copied.budget) == (str(caught.value), caught.value.budget)
    assert ann in str(copied)
