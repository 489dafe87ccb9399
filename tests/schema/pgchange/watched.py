"""A session that looks, at the end of each transaction, at what it has locked and rewritten."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from datalayer.schema.pgchange.session import Session

__all__ = ["Seen", "Watched"]

STRENGTH = (
    "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
    "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip
_LOCKS = (
    "SELECT relation, mode FROM pg_locks WHERE pid = pg_backend_pid() AND granted AND relation IS NOT NULL"
)
_RELATIONS = """
SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'v')"""
_FILES = """
SELECT c.relname, c.relfilenode FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'r'"""


@dataclass
class Seen:
    """What one transaction did to tables and views that were there when the session began."""

    locks: dict[str, str] = field(default_factory=dict)
    rewritten: set[str] = field(default_factory=set)
    scanned: set[str] = field(default_factory=set)


class Watched(Session):
    """Records what each transaction of run_patiently() did."""

    def __enter__(self) -> Watched:
        super().__enter__()
        self.seen: list[Seen] = []
        self.notices: list[str] = []
        self._connection.add_notice_handler(lambda notice: self.notices.append(notice.message_primary))
        self.execute("SET client_min_messages = debug1")
        self.known: dict[int, str] = dict(self.fetch_all(_RELATIONS, (self.schema_name,)))
        return self

    def run_patiently(self, work: Callable[[], None], deadline: float) -> None:
        def watched() -> None:
            self.notices.clear()
            before: dict[str, Any] = dict(self.fetch_all(_FILES, (self.schema_name,)))
            work()
            told = list(self.notices)
            seen = Seen()
            after = dict(self.fetch_all(_FILES, (self.schema_name,)))
            for oid, mode in self.fetch_all(_LOCKS):
                if oid in self.known:
                    name = self.known[oid]
                    seen.locks[name] = max(mode, seen.locks.get(name, mode), key=STRENGTH.index)
            seen.rewritten = {name for name in before if name in after and after[name] != before[name]}
            for text in told:
                match = re.search(r'verifying table "(.*?)"|building index ".*?" on table "(.*?)"', text)
                if match:
                    seen.scanned.add(match[1] or match[2])
            self.seen.append(seen)

        super().run_patiently(watched, deadline)
