"""What each of the processes of these tests does; it opens the database itself."""

from __future__ import annotations

from decimal import Decimal
from typing import TypedDict

from datalayer import CheckViolation, StaleVersion, connect
from datalayer.store import Store

__all__ = ["Keys", "Outcome", "work"]


class Keys(TypedDict):
    """What all processes work at."""

    user: str
    versioned: str
    autosaved: str
    conversation: str


class Outcome(TypedDict):
    """What one process did: the numbers of its versions, refusals of its guesses, whether it saved."""

    numbers: list[int]
    refused: int
    saved: bool


def work(target: str, keys: Keys, name: str, times: int) -> Outcome:
    """Save upon the first version; then add versions, guess numbers by plain SQL and record usage."""
    with connect(target, busy_timeout_s=30) as store:
        outcome = Outcome(numbers=[], refused=0, saved=_autosave(store, keys, name))
        for turn in range(times):
            parent = 1 if turn % 3 else None
            added = store.drafts.add_version(keys["versioned"], name, user_id=keys["user"], parent=parent)
            outcome["numbers"].append(added.version_number)
            outcome["refused"] += not _guess(store, keys["versioned"], f"{name}-{turn}")
            store.drafts.record_usage(
                keys["conversation"], user_id=keys["user"], tokens=1, cost=Decimal("0.001")
            )
        return outcome


def _autosave(store: Store, keys: Keys, content: str) -> bool:
    try:
        store.drafts.autosave(keys["autosaved"], content, user_id=keys["user"], base=1)
    except StaleVersion:
        return False
    return True


def _guess(store: Store, draft: str, key: str) -> bool:
    """Insert a version with the number that was next a moment ago; say whether it was taken."""
    dialect = store.engine.dialect
    row = store.engine.fetch_one(
        dialect.sql("SELECT MAX(version_number) + 1 FROM version WHERE draft_id = ?"), (draft,)
    )
    insert = "INSERT INTO version (id, draft_id, content, version_number) VALUES (?, ?, '', ?)"
    try:
        store.engine.write(dialect.sql(insert), (key, draft, *(row or ())))
    except CheckViolation as exc:
        assert exc.constraint == "version_number_next", exc
        return False
    return True
