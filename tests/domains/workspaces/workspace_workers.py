"""What the processes of these tests do; each opens the database itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support.waiting import wait_until

from datalayer import CheckViolation, ConstraintViolation, InvalidTransition, UniqueViolation, connect
from datalayer.store import Store

__all__ = ["PROCESSES", "work"]

PROCESSES = 8


def work(target: str, steps: list[tuple[str, list[Any]]]) -> dict[str, Any]:
    """Take the steps one after the other; give what each gave. To start a process costs more than they do."""
    done: dict[str, Any] = {}
    with connect(target, busy_timeout_s=30) as store:
        for name, arguments in steps:
            # all begin each step together, however long the one before took
            store.kv.increment(name)
            wait_until(lambda name=name: store.kv.get(name) == PROCESSES)
            done[name] = STEPS[name](store, *arguments)
    return done


@contextmanager
def slowly(store: Store) -> Iterator[None]:
    """Give a transaction that stays open for a while after its work, so that others meet it."""
    with store.transaction():
        yield
        for _ in range(10):
            store.engine.fetch_one("SELECT COUNT(*) FROM users")


def accept_all(store: Store, tokens: list[str], user_id: str) -> int:
    """Try to accept every invite; give the number of those that this process used."""
    used = 0
    for token in tokens:
        try:
            with slowly(store):
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
            with slowly(store):
                relationships.request(asking, asked)
            done["asked"] += 1
        except (UniqueViolation, CheckViolation):
            pass
        for request in relationships.incoming(asking).items:
            try:
                with slowly(store):
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
            sql = f"INSERT INTO {table} (id, user_id, related_user_id) VALUES (?, ?, ?)"
            with slowly(store):
                store.engine.write(store.engine.dialect.sql(sql), (f"{name}{number}", first, second))
            count += 1
        except ConstraintViolation:
            continue
    return count


def leave_together(store: Store, workspace_ids: list[str], user_id: str) -> int:
    """Leave each workspace; give the number of those that had to be kept."""
    kept = 0
    for workspace_id in workspace_ids:
        try:
            with slowly(store):
                store.workspaces.members.leave(workspace_id, user_id)
        except CheckViolation:
            kept += 1
    return kept


def move_deliveries(store: Store, delivery_ids: list[str], status: str) -> int:
    """Move every delivery to this status; give the number of those that were further already."""
    late = 0
    for delivery_id in delivery_ids:
        try:
            store.workspaces.messages.move(delivery_id, status)
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
