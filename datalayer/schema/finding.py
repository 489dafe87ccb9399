"""One thing that a check found, with what it means for the data and who can put it right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Repair", "Severity"]

Severity = Literal["error", "warning", "info"]
Repair = Literal["automatic", "lossy", "manual", "none"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `id` never changes its meaning; `object` is an index, constraint, column or migration.

    `rows` are the keys of the first ten rows in question, where there are such. A rule of an app's own
    (`--rules`) is told under the id that the app gave it.

    | id | what |
    |---|---|
    | DL-C001 | damaged pages |
    | DL-C002 | an index that disagrees with its table |
    | DL-C003 | stored values that break a CHECK |
    | DL-C004 | a rule that this SQLite cannot compute |
    | DL-C005 | NULL where there must be a value |
    | DL-C006 | values of another storage class than the column's type |
    | DL-C007 | text that is not valid UTF-8 |
    | DL-C008 | JSON that is not valid |
    | DL-C009 | rows that a unique key does not tell apart |
    | DL-C010 | references without the row referred to |
    | DL-C011 | a sequence behind the numbers that are used |
    | DL-C012 | a rule that could not be run |
    | DL-C013 | the schema cannot be read, so nothing behind it was checked |
    | DL-C020 to C022 | an object that is missing, changed, extra |
    | DL-C023 | another number in the header (user_version, application_id) |
    | DL-C024 | a database without any table |
    | DL-C030, C031 | a pending, an unknown migration |
    | DL-C032 to C034 | a migration that was changed since, out of order, or stopped half-way |
    | DL-C040 | foreign keys are not enforced on this connection |
    | DL-C100 | a file that is empty or holds nothing of a database |
    | DL-C101 to C104 | a file: it ends within a page, is shifted, has another page count, a wrong header |
    | DL-C110 to C113 | a page: damaged, led to wrongly, used twice, an overflow chain that breaks |
    | DL-C114 to C116 | the freelist, the pointer map, pages that nothing leads to |
    | DL-C117, C118 | an index with another number of entries than its table, a statement that is no SQL |
    | DL-C120 to C123 | the log: damaged, stale; the journal: damaged, hot |
    | DL-C050, C051 | PostgreSQL: an invalid index, a constraint that was never validated |
    | DL-C052, C053 | PostgreSQL: a damaged index, damaged rows (amcheck) |
    | DL-C055, C056 | PostgreSQL: many dead rows; transaction numbers near their end |
    | DL-C060 to C062 | a job's response file that nobody refers to, that is gone, that was cut short |
    | DL-C070, C071 | no such file; a file without a byte |
    | DL-C072, C073 | not a database; one that seems encrypted |
    | DL-C074 | a folder, or another thing that is no file |
    | DL-C075 | the file may not be read, or not be written |
    | DL-C076 | somebody holds a lock, and who |
    | DL-C077 | the folder may not be written, so the database cannot be |
    | DL-C078 | the disk is almost full |
    | DL-C079 | a -wal, -journal or -shm that does not belong to the file |
    | DL-C080 | a hot journal: a transaction that did not end is to be undone |
    | DL-C081 | the file is on a network file system |
    | DL-C082, C083 | a damaged write-ahead log, a damaged journal |
    | DL-C084 | a damaged header |
    | DL-C085 | the root page of a table or index cannot be one |
    | DL-C086 | harmless remains: an open transaction in a log, bytes of no log, an empty log |
    | DL-C201, C202 | a path in both lists of a session; a project whose hash is not its directory's |
    | DL-C211 to C216 | jobs: no end, no owner of a lease, a lease that ran out, attempts, order of times |
    | DL-C221, C222 | expired keys of key_value_store, of cached_state |
    | DL-C230 to C235 | accounts: expired, of the suspended; an e-mail of several; a token in the clear |
    | DL-C241 to C244 | drafts: gaps in numbers, a current version or a parent that may not be, none current |
    | DL-C251, C252 | builder: a thread older than its last message; a path that leads out of its thread |
    | DL-C260 to C269 | workspaces: no owner, who sees what, pairs twice, invites, owners, deliveries |
    | DL-C270 to C277 | administration: places, refused rows, calls, sums, settings, ticks, admins, keys |
    | DL-C280 to C285 | sandboxes: a chat's counters or user, an embedding, an addon; underway for too long |
    | DL-C290 to C294 | providers: a key in the clear, a sign-in that ran out or keeps secrets, the default |
    | DL-C300 to C302 | activity: logged and archived, anonymous though not bare, times in the wrong order |
    """

    id: str
    severity: Severity
    table: str | None
    object: str | None
    count: int
    message: str
    repair: Repair
    rows: Sequence[Mapping[str, object]] = ()
