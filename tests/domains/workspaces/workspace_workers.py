"""What the processes of these tests do; each opens the database itself."""

from __future__ import annotations

from typing import Any

from datalayer import CheckViolation, ConstraintViolation, InvalidTransition, UniqueViolation, connect
from datalayer.store import Store

__all__ = ["work"]


def work(target: str, steps: list[tuple[str, list[Any]]]) -> dict[str, Any]:
    """Take the steps one after the other; give what each gave. To start a process costs more than they do."""
    with connect(target, busy_timeout_s=30) as store:
        return {name: STEPS[name](store, *arguments) for name, arguments in steps}


def accept_all(store: Store, tokens: list[str], user_id: str) -> int:
    """Try to accept every invite; give the number of those that this process used."""
    used = 0
    for token in tokens:
        try:
            store.workspaces.invites.accept(token, user_id=user_id)
        except InvalidTransition:
            continue
        used += 1
    return used


def expire(store: Store, batch: int) -> int:
    """Expire what is due, in small batches; give the number."""
    return store.workspaces.invites.expire_due(batch=batch)


def ask_turned(store: Store, pairs: list[list[str]]) -> dict[str, int]:
    """Ask for and accept relationships again and again; give how often which step came through."""
    done = {"asked": 0, "accepted": 0}
    relationships = store.workspaces.relationships
    for asking, asked in pairs:
        try:
            relationships.request(asking, asked)
            done["asked"] += 1
        except (UniqueViolation, CheckViolation):
            pass
        for request in relationships.incoming(asking).items:
            try:
                relationships.accept(asking, request.id)
                done["accepted"] += 1
            except InvalidTransition:
                continue
    return done


def ask_raw(store: Store, name: str, pairs: list[list[str]]) -> int:
    """Insert requests and relationships by plain SQL, as other programs do; give the number of rows."""
    count = 0
    for number, (first, second) in enumerate(pairs):
        table = ("relationships", "relationship_requests")[number % 2]
        try:
            store.engine.write(
                store.engine.dialect.sql(
                    f"INSERT INTO {table} (id, user_id, related_user_id) VALUES (?, ?, ?)"
                ),
                (f"{name}{number}", first, second),
            )
            count += 1
        except ConstraintViolation:
            continue
    return count


def leave_together(store: Store, workspace_ids: list[str], user_id: str) -> int:
    """Leave each workspace; give the number of those that had to be kept."""
    kept = 0
    for workspace_id in workspace_ids:
        try:
            store.workspaces.members.leave(workspace_id, user_id)
        except CheckViolation:
            kept += 1
    return kept


def move_deliveries(store: Store, delivery_ids: list[str], status: str) -> int:
    """Move every delivery to this status; give the number of those that were further already."""
    late = 0
    for delivery_id in delivery_ids:
        try:
            store.workspaces.messages.move(delivery_id, status)  # pyright: ignore[reportArgumentType]
        except InvalidTransition:
            late += 1
    return late


def post(store: Store, participant_id: str, times: int) -> int:
    """Post messages; give the number of deliveries."""
    posted = [store.workspaces.messages.post(participant_id, str(n)) for n in range(times)]
    return sum(len(one.deliveries) for one in posted)


STEPS = {
    step.__name__: step
    for step in (accept_all, expire, ask_turned, ask_raw, leave_together, move_deliveries, post)
}
