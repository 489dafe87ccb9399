"""Does the actions of a plan: short transactions that give way, batches, indexes beside the traffic.

A failure leaves what is done so far; the same migration goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from time import monotonic

from datalayer.engine.translate import StatementRefused
from datalayer.errors import (
    CheckViolation,
    ConstraintViolation,
    DatabaseBusy,
    DataLayerError,
    MigrationRefused,
    NotNullViolation,
)
from datalayer.schema.pace import Progress
from datalayer.schema.pgchange.action import Action, Fill, Size
from datalayer.schema.pgchange.keepsakes import makes_again, read_keepsakes
from datalayer.schema.pgchange.session import Session
from datalayer.schema.tokens import quote

__all__ = ["Runner"]

_FIRST_PAGES = 128
_MOST_PAGES = 8192
_BATCH_S = 0.25
_PAGE_BYTES = 8192


class Runner:
    """Does actions on a session until `deadline`, by which every lock must have come."""

    def __init__(
        self,
        session: Session,
        sizes: Mapping[str, Size],
        *,
        lock_timeout_s: float,
        can_silence_triggers: bool,
        progress: Progress | None = None,
    ) -> None:
        self.session = session
        self.sizes = sizes
        self.lock_timeout_s = lock_timeout_s
        self.can_silence_triggers = can_silence_triggers
        self.progress = progress
        self._fills: list[Fill] = []

    def run(self, actions: Iterable[Action]) -> None:
        """Do the actions in order.

        Raises MigrationRefused where rows that came meanwhile break a rule, DatabaseBusy where others held a
        lock for too long: what is done stays, and the same command goes on.
        """
        numbered = enumerate(actions)
        for _, part in groupby(numbered, lambda each: each[1].group or str(each[0])):
            together = [action for _, action in part]
            try:
                self._run_group(together)
            except (ConstraintViolation, StatementRefused) as exc:
                # PostgreSQL's own words name what depends on it; those of a violation would have values
                told = exc.__cause__ if isinstance(exc, StatementRefused) else None
                raise _interrupted(self.session, together[0], " ".join(str(told or exc).split())) from exc
            except DatabaseBusy as exc:
                raise self._who_is_in_the_way(together, exc) from exc

    def _run_group(self, actions: Sequence[Action]) -> None:
        first = actions[0]
        if first.fill is not None:
            self._fills.append(first.fill)
            self._fill(first.fill)
        elif not first.is_transactional:
            self._run_alone(first)
        else:
            try:
                self._run_together(actions)
            except (NotNullViolation, CheckViolation):
                # a program wrote a NULL between the filling and the rule, which is a CHECK before PostgreSQL
                # 18; now the rule is there
                for fill in self._fills:
                    self._fill(fill)
                self._run_together(actions)

    def _run_together(self, actions: Sequence[Action]) -> None:
        statements = [statement for action in actions for statement in action.statements]
        keeps = makes_again(statements)
        tables = {name for action in actions for name in (action.table, *action.locks)}

        def work() -> None:
            before = read_keepsakes(self.session, tables) if keeps else None
            for statement in statements:
                self.session.execute(statement)
            if before is not None:
                for statement in before.missing_from(read_keepsakes(self.session, tables)):
                    self.session.execute(statement)

        self.session.run_patiently(work, monotonic() + self.lock_timeout_s)

    # -- indexes -----------------------------------------------------------------------------------

    def _run_alone(self, action: Action) -> None:
        with self.session.waiting_at_most(self.lock_timeout_s):
            try:
                for statement in action.statements:
                    self.session.execute(statement)
                if action.makes and not self._is_valid(action.makes):
                    raise _interrupted(self.session, action, "the index is not valid")
            except BaseException:
                if not action.makes:
                    raise
                # a failed CREATE INDEX CONCURRENTLY leaves an index that costs writes and serves nobody;
                # where even this fails, the next migration removes it
                with suppress(DataLayerError):
                    self.session.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quote(action.makes)}")
                raise

    def _is_valid(self, index: str) -> bool:
        sql = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s))"
        return self.session.fetch_all(sql, (index,)) == [(True,)]

    # -- filling -----------------------------------------------------------------------------------

    def _fill(self, fill: Fill) -> None:
        """Write values page by page, each batch a transaction of about a quarter of a second.

        Rows written meanwhile get theirs from the trigger or default, wherever they land, so one pass over
        the pages that there were at its beginning is enough.
        """
        size_sql = "SELECT pg_relation_size(quote_ident(%s)::regclass)"
        pages = int(self.session.fetch_all(size_sql, (fill.table,))[0][0]) // _PAGE_BYTES + 1
        rows = self.sizes[fill.table].rows if fill.table in self.sizes else 0
        start, step = 0, _FIRST_PAGES
        while start < pages:
            began = monotonic()
            self._fill_pages(fill, start, start + step)
            start += step
            step = _next_step(step, monotonic() - began)
            if self.progress is not None:
                self.progress(min(rows, rows * start // pages), rows)

    def _fill_pages(self, fill: Fill, start: int, end: int) -> None:
        sets = ", ".join(f"{quote(name)} = {value}" for name, value in fill.sets)
        where = " OR ".join(f"({condition})" for condition in fill.conditions)
        sql = (
            f"UPDATE {quote(fill.table)} SET {sets}"
            f" WHERE ctid >= '({start},0)'::tid AND ctid < '({end},0)'::tid AND ({where})"
        )

        def work() -> None:
            if self.can_silence_triggers:
                self.session.execute("SET LOCAL session_replication_role = replica")
            self.session.execute(sql)

        self.session.run_patiently(work, monotonic() + self.lock_timeout_s)

    # -- others ------------------------------------------------------------------------------------

    def _who_is_in_the_way(self, actions: Sequence[Action], error: DatabaseBusy) -> DatabaseBusy:
        tables = sorted({table for action in actions for table in action.locks})
        rows = self.session.fetch_all(
            "SELECT DISTINCT l.pid, coalesce(nullif(a.application_name, ''), a.usename, '?'), a.state,"
            " extract(epoch FROM clock_timestamp() - a.xact_start)::integer"
            " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_class c ON c.oid = l.relation"
            " WHERE l.granted AND l.pid <> pg_backend_pid() AND a.datname = current_database()"
            " AND c.relnamespace = quote_ident(%s)::regnamespace AND c.relname = ANY(%s) ORDER BY 1 LIMIT 5",
            (self.session.schema_name, tables),
        )
        holders = ", ".join(
            f"process {pid} ({name}{f', {state} for {seconds} s' if state and seconds is not None else ''})"
            for pid, name, state, seconds in rows
        )
        return DatabaseBusy(
            f"{self.session.display_url}: no lock on {', '.join(tables)} within {self.lock_timeout_s:.3g} s",
            why=f"held by {holders}" if holders else error.why,
            hint="run the same command again: it goes on where it stopped",
        )


def _next_step(step: int, seconds: float) -> int:
    if seconds > 2 * _BATCH_S:
        return max(1, step // 2)
    return min(_MOST_PAGES, step * 2) if seconds < _BATCH_S / 2 else step


def _interrupted(session: Session, action: Action, why: str) -> MigrationRefused:
    return MigrationRefused(
        f"{session.display_url}: {action.kind} {action.name} of {action.table} cannot be made",
        why=why,
        hint="the steps before it are done and harmless; correct the rows and run the same command again",
        findings=[
            {
                "id": "rule",
                "severity": "error",
                "table": action.table,
                "object": action.name,
                "count": 1,
                "message": why,
                "rows": [],
            }
        ],
    )
