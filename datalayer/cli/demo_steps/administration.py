"""The demo's work in the administration: a list, an event, AI calls within a budget, an import, a summary."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from datalayer.domains.workspaces import BudgetExceeded, ImportSession, source_digest
from datalayer.repository.fields import new_id

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["work"]


def work(store: Store) -> tuple[str, dict[str, Any]]:
    """Let three users share a list and meet, spend a budget, and import what was written down on paper."""
    with store.transaction():
        spaces = store.workspaces
        ann, ben, cleo = (store.accounts.sign_up(display_name=name).id for name in ("Ann", "Ben", "Cleo"))
        shopping = spaces.lists.create(ann, "Shopping")
        spaces.lists.add_member(shopping.id, ben, user_id=ann, delivery_preference="daily_digest")
        tea, *_ = spaces.lists.add_items(shopping.id, ["Tea", "Bread", "Paint"], user_id=ben)
        spaces.lists.complete_item(tea.id, user_id=ann)
        party = spaces.events.host(ann, "Launch", store.engine.clock() + timedelta(days=7), capacity=2)
        answers = [spaces.events.join(party.id, user).status for user in (ann, ben, cleo)]
        moved_up = spaces.events.decline(party.id, ben).status == "declined"
        cost, refused = _spend(store, cleo)
        imported = _import(store, shopping.id, ann)
        spaces.audit.append("demo", actor_id=ann, entity_type="list", entity_id=shopping.id)
        total = spaces.daily_summaries.recompute(store.engine.clock().date())[0]
    facts = {
        "answers": answers,
        "moved_up": moved_up,
        "ai_cost": str(cost),
        "refused_calls": refused,
        "imported": imported.succeeded_rows,
        "import_errors": imported.failed_rows,
        "entries_today": total.entries,
    }
    return (
        f"an event of 2 places took 3 people in turn; AI calls cost {cost} of 1, {refused} more were"
        f" refused; an import took {imported.succeeded_rows} rows and recorded {imported.failed_rows} error",
        facts,
    )


def _spend(store: Store, user_id: str) -> tuple[Decimal, int]:
    """Call an AI within a budget of 1; give what it cost, and how many calls were refused."""
    costs = store.workspaces.ai_costs
    costs.set_budget(Decimal(1), user_id=user_id)
    cost = Decimal(0)
    refused = 0
    for _ in range(4):
        try:
            call = costs.reserve(user_id, Decimal("0.4"), provider="openai", feature="demo")
        except BudgetExceeded:
            refused += 1
            continue
        cost += costs.settle(call, Decimal("0.312345"), input_tokens=900, output_tokens=70).cost
    return cost.normalize(), refused


def _import(store: Store, list_id: str, user_id: str) -> ImportSession:
    """Import items, of which one is blank; the source has a name of its own in each run."""
    spaces = store.workspaces
    rows = [{"content": content} for content in ("Nails", " ", "Glue")]

    def write(row: Mapping[str, Any]) -> None:
        spaces.lists.add_items(list_id, [row["content"]], user_id=user_id)

    session = spaces.imports.begin("list_items", source_digest(new_id().encode()), started_by=user_id)
    return spaces.imports.run(session.id, rows, write)
