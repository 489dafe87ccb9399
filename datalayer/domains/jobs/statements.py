"""The statements of the queue, composed once for an engine.

Jobs that may be claimed are found by a loose index scan: from one priority that occurs to the next lower
one by a seek each, and inside a priority by a seek to the due ones. So the cost grows with the number of
different priorities that are queued and with what is claimed, not with the backlog, the finished jobs or
those scheduled for later.
"""

from __future__ import annotations

from datalayer.domains.jobs.model import FINAL, STATUSES, Job
from datalayer.engine.dialect import Dialect
from datalayer.repository.shape import Shape

__all__ = ["ADDED", "CHANNEL", "DONE_CHANNEL", "Statements"]

# who waits for work, and who waits for its end
CHANNEL = "datalayer_jobs"
DONE_CHANNEL = "datalayer_jobs_done"

# the columns that a new job is given; the others begin as the table says
ADDED = (
    "id",
    "session_id",
    "status",
    "priority",
    "run_at",
    "max_attempts",
    "dedupe_key",
    "task_type",
    "api_type",
    "model_used",
    "max_output_tokens",
    "project_directory",
    "metadata",
    "prompt",
    "created_at",
    "updated_at",
)

_FINAL = ", ".join(f"'{status}'" for status in FINAL)
# a job that raw SQL queued with no attempt left would make every claim fail
_CLAIMABLE = "job.status = 'queued' AND job.attempt < job.max_attempts"
_MOST_TEXTS = 200
_ORDER = "job.priority DESC, job.run_at, job.id"
_RELEASED = "lease_owner = NULL, lease_expires_at = NULL"
_NO_RESPONSE = "response = NULL, output_file_path = NULL, chars_received = 0"
# nobody but the worker that holds this attempt changes a leased job
_FENCE = " WHERE id = ? AND attempt = ? AND lease_owner = ?"


class Statements:
    """The texts, with this engine's placeholders."""

    def __init__(self, dialect: Dialect, shape: Shape[Job]) -> None:
        self._dialect = dialect
        self._table = shape.table
        self._columns = shape.columns
        self._claims: dict[tuple[int, int], str] = {}
        self._next_dues: dict[int, str] = {}
        self._compose_adding()
        self._compose_rescue()
        self._compose_leases()
        self._compose_care()

    def _sql(self, text: str) -> str:
        return self._dialect.sql(text)

    def _announcing(self, channel: str) -> str:
        """Give a RETURNING clause that wakes listeners; nothing where commits do so by themselves."""
        expression = self._dialect.announce(channel)
        return f" RETURNING {expression}" if expression else ""

    # -- claiming ----------------------------------------------------------------------------------

    def claim(self, kinds: int, count: int) -> str:
        """Give the claim of up to `count` jobs among so many task types (0: all).

        Parameters: the types, now, owner, expiry, now. The count stands in the text: were it a parameter,
        PostgreSQL would plan each claim anew, which takes longer than the claim.
        """
        text = self._claims.get((kinds, count))
        if text is None:
            if len(self._claims) >= _MOST_TEXTS:
                self._claims.clear()
            picked = self._picked(kinds, int(count))
            text = self._claims[kinds, count] = self._sql(
                f"{self._levels(kinds)}"
                f", picked (id) AS ({picked})"
                f" UPDATE {self._table} SET status = 'acknowledged_by_worker', attempt = attempt + 1,"
                " lease_owner = ?, lease_expires_at = ?, updated_at = ?"
                f" WHERE {self._dialect.in_few('id', 'SELECT id FROM picked')}"
                f" RETURNING {self._columns}"
            )
        return text

    def next_due(self, kinds: int) -> str:
        """Give the query for the earliest run_at that is queued among so many task types (0: all)."""
        text = self._next_dues.get(kinds)
        if text is None:
            typed = " AND job.task_type = level.task_type" if kinds else ""
            first = self._first(kinds, "job.run_at", f"{typed} AND job.priority = level.priority")
            text = self._next_dues[kinds] = self._sql(
                f"{self._levels(kinds)} SELECT MIN({first}) FROM level WHERE level.priority IS NOT NULL"
            )
        return text

    def _levels(self, kinds: int) -> str:
        """Give the CTE `level`: the priorities of queued jobs, highest first, for each type apart."""
        highest = "job.priority DESC"
        lower = " AND job.priority < level.priority"
        if not kinds:
            return (
                f"WITH RECURSIVE level (priority) AS (SELECT {self._first(0, highest)}"
                f" UNION ALL SELECT {self._first(0, highest, lower)}"
                " FROM level WHERE level.priority IS NOT NULL)"
            )
        values = ", ".join(["(CAST(? AS TEXT))"] * kinds)
        in_kind = " AND job.task_type = kind.task_type"
        in_level = f" AND job.task_type = level.task_type{lower}"
        return (
            f"WITH RECURSIVE kind (task_type) AS MATERIALIZED (VALUES {values}),"
            f" level (task_type, priority) AS ("
            f"SELECT kind.task_type, {self._first(kinds, highest, in_kind)} FROM kind"
            f" UNION ALL SELECT level.task_type, {self._first(kinds, highest, in_level)}"
            " FROM level WHERE level.priority IS NOT NULL)"
        )

    def _first(self, kinds: int, order: str, condition: str = "") -> str:
        """Give the value that comes first in an order by one column; NULL where no queued job answers."""
        return (
            f"(SELECT {order.removesuffix(' DESC')} FROM {self._queued(kinds)}"
            f" WHERE {_CLAIMABLE}{condition} ORDER BY {order} LIMIT 1)"
        )

    def _queued(self, kinds: int) -> str:
        index = "background_jobs_claim_type" if kinds else "background_jobs_claim"
        return self._dialect.by_index(self._table, "job", index)

    def _picked(self, kinds: int, count: int) -> str:
        typed = "AND job.task_type = level.task_type " if kinds else ""
        due = f"{_CLAIMABLE} {typed}AND job.priority = level.priority AND job.run_at <= ?"
        first = f"job.run_at, job.id LIMIT {count}"
        source = self._dialect.first_of_each("level", "job", self._queued(kinds), due, first)
        # levels come highest first and each in order: taking no more than needed locks no more than needed
        order = "" if kinds <= 1 and self._dialect.picks_in_order else f" ORDER BY {_ORDER}"
        return f"SELECT job.id FROM {source}{order} LIMIT {count}"

    # -- the rest ----------------------------------------------------------------------------------

    def _compose_adding(self) -> None:
        marks = ", ".join("?" * len(ADDED))
        insert = f"INSERT INTO {self._table} ({', '.join(ADDED)}) VALUES ({marks})"
        same_key = f"(dedupe_key) WHERE dedupe_key IS NOT NULL AND status NOT IN ({_FINAL})"
        announce = self._announcing(CHANNEL)
        self.add = self._sql(f"{insert}{announce}")
        self.add_unless_active = self._sql(f"{insert} ON CONFLICT {same_key} DO NOTHING{announce}")
        self.add_many_unless_active = self._sql(f"{insert} ON CONFLICT {same_key} DO NOTHING")
        self.active_of_key = self._sql(
            f"SELECT {self._columns} FROM {self._table} WHERE dedupe_key = ? AND status NOT IN ({_FINAL})"
        )

    def _compose_rescue(self) -> None:
        expired = "job.lease_expires_at IS NOT NULL AND job.lease_expires_at < ?"
        leased = self._dialect.by_index(self._table, "job", "background_jobs_lease")
        order = "ORDER BY job.lease_expires_at NULLS FIRST, job.id"
        self.any_expired = self._sql(f"SELECT 1 FROM {leased} WHERE {expired} {order} LIMIT 1")
        self.count_expired = self._sql(f"SELECT COUNT(*) FROM {self._table} AS job WHERE {expired}")
        self.expired = self._sql(
            "SELECT job.id, job.attempt, job.max_attempts, job.lease_owner, job.output_file_path"
            f" FROM {leased} WHERE {expired} {order} LIMIT ?"
            f"{self._dialect.row_lock_skip}"
        )
        self.take_back = self._sql(
            f"UPDATE {self._table} SET status = 'queued', error_message = ?, updated_at = ?,"
            f" status_message = NULL, {_RELEASED}, {_NO_RESPONSE}{_FENCE}"
        )
        self.give_up = self._sql(
            f"UPDATE {self._table} SET status = 'failed', end_time = ?, error_message = ?, updated_at = ?,"
            f" {_RELEASED}{_FENCE}"
        )

    def _compose_leases(self) -> None:
        update = f"UPDATE {self._table} SET"
        done = self._announcing(DONE_CHANNEL)
        self.heartbeat = self._sql(f"{update} lease_expires_at = ?, updated_at = ?{_FENCE}")
        self.prepare = self._sql(
            f"{update} status = 'preparing', status_message = ?, updated_at = ?{_FENCE}"
            " AND status IN ('acknowledged_by_worker', 'preparing')"
        )
        self.start = self._sql(
            f"{update} status = 'running', start_time = COALESCE(start_time, ?), status_message = ?,"
            f" updated_at = ?{_FENCE}"
        )
        self.append = self._sql(
            f"{update} response = COALESCE(response, '') || ?, chars_received = ?, updated_at = ?{_FENCE}"
            " AND status = 'running' AND chars_received = ? AND output_file_path IS NULL"
        )
        self.point = self._sql(
            f"{update} response = NULL, output_file_path = ?, chars_received = ?, updated_at = ?{_FENCE}"
            " AND status = 'running' AND chars_received = ?"
        )
        ended = f"{update} status = ?, end_time = ?, error_message = ?, updated_at = ?, {_RELEASED}"
        self.finish = self._sql(f"{ended}{_FENCE}{done}")
        self.finish_with = self._sql(
            f"{ended}, response = ?, output_file_path = ?, chars_received = ?{_FENCE}{done}"
        )
        self.retry_later = self._sql(
            f"{update} status = 'queued', run_at = ?, error_message = ?, updated_at = ?, {_RELEASED},"
            f" {_NO_RESPONSE}, status_message = NULL{_FENCE}{self._announcing(CHANNEL)}"
        )
        self.record_usage = self._sql(
            f"{update} tokens_sent = tokens_sent + ?, tokens_received = tokens_received + ?,"
            f" model_used = COALESCE(?, model_used), updated_at = ?{_FENCE}"
        )

    def _compose_care(self) -> None:
        update = f"UPDATE {self._table} SET"
        canceled = (
            f"{update} status = 'canceled', end_time = ?, updated_at = ?, status_message = ?, {_RELEASED}"
        )
        done = self._announcing(DONE_CHANNEL)
        self.cancel = self._sql(f"{canceled} WHERE id = ? AND status NOT IN ({_FINAL}){done}")
        self.cancel_session = self._sql(f"{canceled} WHERE session_id = ? AND status NOT IN ({_FINAL}){done}")
        self.clear = self._sql(f"{update} cleared = ?, updated_at = ? WHERE id = ? AND status IN ({_FINAL})")
        self.clear_session = self._sql(
            f"{update} cleared = ?, updated_at = ?"
            f" WHERE session_id = ? AND status IN ({_FINAL}) AND NOT cleared"
        )
        by_status = self._dialect.by_index(self._table, "job", "background_jobs_status")
        # an equation would let PostgreSQL go back through all ids where it believes most to have the status
        newest = (
            f"SELECT * FROM (SELECT {self._columns} FROM {by_status}"
            " WHERE job.status BETWEEN '{0}' AND '{0}' AND NOT job.cleared"
            " ORDER BY job.status DESC, job.id DESC LIMIT ?) AS {0}"
        )
        self.visible = self._sql(" UNION ALL ".join(newest.format(status) for status in STATUSES))
        self.prune = self._sql(
            f"DELETE FROM {self._table} WHERE {self._dialect.in_few('id', self._old_ones())}"
            " RETURNING output_file_path"
        )
        self.counts = f"SELECT status, COUNT(*) FROM {self._table} GROUP BY status"
        self.status = self._sql(f"SELECT status FROM {self._table} WHERE id = ?")
        self.held = self._sql(f"SELECT 1 FROM {self._table}{_FENCE}")
        self.response = self._sql(
            f"SELECT response, output_file_path, chars_received FROM {self._table} WHERE id = ?"
        )
        self.with_files = self._sql(
            f"SELECT id, output_file_path, chars_received FROM {self._table}"
            " WHERE output_file_path IS NOT NULL AND id > ? ORDER BY id LIMIT ?"
        )

    def _old_ones(self) -> str:
        return (
            f"SELECT job.id FROM {self._dialect.by_index(self._table, 'job', 'background_jobs_end')}"
            " WHERE job.end_time IS NOT NULL AND job.end_time < ?"
            f" ORDER BY job.end_time NULLS FIRST, job.id LIMIT ?{self._dialect.row_lock_skip}"
        )
