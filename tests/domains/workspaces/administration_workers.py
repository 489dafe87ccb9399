"""What the processes of these tests do; each opens the database itself."""

from __future__ import annotations

import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from support.clock import Clock

from datalayer import CheckViolation, InvalidTransition, StaleVersion, connect
from datalayer.domains.workspaces import BudgetExceeded
from datalayer.store import Store

__all__ = ["import_all", "work"]


def work(target: str, event_id: str, users: list[str]) -> dict[str, Any]:
    """Spend two budgets, take places, sum the day up meanwhile, and give a role up."""
    # at noon: no test runs into midnight
    with connect(target, busy_timeout_s=30, clock=Clock()) as store:
        return {
            "careful": _spend(store, "careful", known=True),
            "refused": _take_places(store, event_id, users),
            "careless": _spend(store, "careless", known=False),
            "kept": _give_up(store, users[0]),
        }


def _spend(store: Store, user_id: str, *, known: bool) -> list[str]:
    """Reserve and settle calls of up to half a unit until the budget is spent; give what each cost."""
    costs = store.workspaces.ai_costs
    spent: list[str] = []
    while True:
        cost = Decimal(random.randrange(1, 500_000)).scaleb(-6)
        try:
            call = costs.reserve(user_id, cost if known else None, provider="openai")
        except BudgetExceeded as exc:
            if exc.budget.reserved == 0:
                return spent
            # a call that runs may cost less than was reserved for it
            continue
        costs.settle(call, cost)
        spent.append(str(cost))


def _take_places(store: Store, event_id: str, users: list[str]) -> int:
    """Take places by the library and by plain SQL; give how often the database refused."""
    spaces = store.workspaces
    raw = store.engine.dialect.sql("INSERT INTO event_participants (id, event_id, user_id) VALUES (?, ?, ?)")
    refused = 0
    for number, user in enumerate(users):
        if number % 2:
            spaces.events.join(event_id, user)
        else:
            try:
                store.engine.write(raw, (f"raw-{user}", event_id, user))
            except CheckViolation:
                refused += 1
        spaces.audit.append("join", actor_id=user)
        spaces.daily_summaries.recompute(store.engine.clock().date())
    return refused


def _give_up(store: Store, user_id: str) -> int:
    try:
        store.workspaces.admins.revoke(user_id)
    except InvalidTransition:
        return 1
    return 0


def import_all(target: str, source: str, count: int) -> list[int]:
    """Import users, with whoever else does; give how often somebody else was found at it."""
    with connect(target, busy_timeout_s=30) as store:
        imports = store.workspaces.imports
        sql = store.engine.dialect.sql("INSERT INTO users (id) VALUES (?)")

        def write(row: Mapping[str, Any]) -> None:
            if row["number"] % 10 == 0:
                raise ValueError("every tenth is refused")
            store.engine.write(sql, (f"imported-{row['number']}",))

        overtaken = 0
        while True:
            try:
                session = imports.begin("users", source)
                imports.run(session.id, ({"number": n} for n in range(count)), write, batch=5)
            except StaleVersion:
                overtaken += 1
            except InvalidTransition:
                return [overtaken]
