"""Eight processes at the same budgets, events, summaries, roles and imports."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from support.clock import Clock
from support.processes import run_together, worker
from support.waiting import wait_until

from datalayer.domains.workspaces import Workspaces
from datalayer.store import Store, connect
from datalayer.testing.strategies.administration import make_event

pytestmark = pytest.mark.slow

WORKERS = "domains.workspaces.administration_workers"
PROCESSES = 8
GUESTS = 3
LIMIT = Decimal(3)
MOST = Decimal("0.5")
SOURCE = "5" * 64


def add_users(store: Store, names: list[str]) -> None:
    store.engine.write("INSERT INTO users (id) VALUES " + ", ".join(f"('{name}')" for name in names))


# one test for three stories: starting the processes takes longer than what they do
def test_budgets_places_roles_and_summaries_are_right_whoever_is_at_them(database: str) -> None:
    names = [f"u{number}" for number in range(PROCESSES * GUESTS)]
    with connect(database, clock=Clock()) as store:
        spaces = store.workspaces
        add_users(store, ["careful", "careless", *names])
        for user in ("careful", "careless"):
            spaces.ai_costs.set_budget(LIMIT, user_id=user)
        event = make_event(store, host_id="u0", capacity=10)
        for name in names[:PROCESSES]:
            spaces.admins.grant(name, "superadmin")
        shares = [names[place::PROCESSES] for place in range(PROCESSES)]
        results = run_together(WORKERS, "work", [(database, event.id, share) for share in shares])

        for user, known in (("careful", True), ("careless", False)):
            assert_within_budget(spaces, user, [each[user] for each in results], known=known)
        found = spaces.events.attendance(event.id)
        refused = sum(each["refused"] for each in results)
        assert (found.going, found.going + found.waitlisted + refused) == (10, len(names))
        assert sum(each["kept"] for each in results) == len(spaces.admins.find_active()) == 1
        assert_summed_up(spaces)


def assert_within_budget(spaces: Workspaces, user: str, spent: list[list[str]], *, known: bool) -> None:
    amounts = [Decimal(cost) for each in spent for cost in each]
    total = sum(amounts)
    budget = next(each for each in spaces.ai_costs.find_budgets(user) if each.user_id)
    assert (budget.spent, budget.reserved) == (total, 0)
    if known:
        assert LIMIT - MOST <= total <= LIMIT
    else:
        # the last call alone went beyond
        assert LIMIT <= total < LIMIT + MOST


def assert_summed_up(spaces: Workspaces) -> None:
    rows = spaces.daily_summaries.recompute(date(2026, 3, 1))
    joins = next(row for row in rows if row.name == "join")
    assert (joins.entries, joins.users) == (PROCESSES * GUESTS, PROCESSES * GUESTS)
    assert rows[0].entries == sum(row.entries for row in rows[1:])
    assert rows[0].entries == spaces.audit.count() + spaces.ai_costs.count()


def test_an_import_takes_each_row_once_whoever_works_at_it(database: str) -> None:
    with connect(database, busy_timeout_s=30) as store:
        imports = store.workspaces.imports
        with worker(WORKERS, "import_all", database, SOURCE, 100_000) as one:
            # its rows are refused as too many later: what counts is that it is killed between two batches
            assert wait_until(lambda: imports.exists(kind="users"), 30)
            assert wait_until(lambda: imports.one(kind="users").processed_rows >= 20, 30)
            one.kill()
        done = imports.one(kind="users")
        assert_counted(store, done.processed_rows)
        count = done.processed_rows + 40
        run_together(WORKERS, "import_all", [(database, SOURCE, count)] * PROCESSES)

        session = imports.one(kind="users", source_digest=SOURCE)
        assert (session.status, session.total_rows) == ("completed", count)
        assert_counted(store, count)


def assert_counted(store: Store, count: int) -> None:
    """The counters are those of the rows: a kill leaves whole batches."""
    imports = store.workspaces.imports
    session = imports.one(kind="users")
    row = store.engine.fetch_one("SELECT COUNT(*) FROM users")
    assert (session.succeeded_rows, session.failed_rows) == (
        row[0] if row else None,
        imports.failures.count(),
    )
    numbers = [failure.row_number for failure in imports.failures.find(order_by="row_number")]
    assert numbers == list(range(1, count + 1, 10))
