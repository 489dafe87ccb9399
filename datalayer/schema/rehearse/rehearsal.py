"""The rehearsal: what the pending files of a folder would do, tried on a copy with rows in every table.

The database itself is only read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from time import monotonic

from datalayer.engine.connection import Engine
from datalayer.errors import DatabaseUnavailable, MigrationRefused
from datalayer.schema.numbered.folder import Folder, Layout, MigrationFile
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.numbered.manner import opening
from datalayer.schema.numbered.pending import pending
from datalayer.schema.numbered.python_file import StoreOf
from datalayer.schema.pace import Progress
from datalayer.schema.rehearse import bed_postgres, bed_sqlite
from datalayer.schema.rehearse.copies import copy_of
from datalayer.schema.rehearse.facts import changes_between
from datalayer.schema.rehearse.filler import Filled, fill
from datalayer.schema.rehearse.judge import judge_effects, judge_failure, judge_rows, judge_rules
from datalayer.schema.rehearse.judge_locks import judge_locks, locks_of, rewrites_of, scans_of
from datalayer.schema.rehearse.replay import FileRun, Ran, replay
from datalayer.schema.rehearse.report import Rehearsal, Rows, StatementReport, Tool
from datalayer.schema.validate.finding import RuleFinding

__all__ = ["rehearse"]

_SYNTHETIC_ROWS = 3
# who runs a folder of such a layout, where nobody says so; prisma's files switch foreign keys off themselves,
# which holds there as it does in our own run
_TOOLS: Mapping[Layout, Tool] = {
    "numbered": "datalayer",
    "drizzle": "plain",
    "d1": "d1",
    "prisma": "datalayer",
    "flyway": "plain",
}


def rehearse(
    engine: Engine,
    folder: Folder,
    *,
    with_rows: Rows = "both",
    as_tool: Tool | None = None,
    to: str | None = None,
    progress: Progress | None = None,
    store_of: StoreOf | None = None,
) -> Rehearsal:
    """Run what is pending on a copy of the database, and tell what each statement did to rows and rules.

    `with_rows`: the database's own (real), made up ones in an empty copy (synthetic), or its own with made up
    ones in every table that has fewer than three (both). `as_tool` is who will run the files: datalayer's own
    run, most others with one transaction a file and foreign keys enforced (plain), Cloudflare (d1); by the
    folder's layout where it is left out. On PostgreSQL the locks, rewrites and scans are measured, within the
    transaction of each file.

    What reaches beyond a copy is left out and told (roles, other databases) or fails (ATTACH). Not held back
    is what acts outside from within: a write to a foreign table reaches the server behind it, and so may what
    a function of PostgreSQL's (dblink, an extension's) or a Python file does.

    The database is read and never written; the copy is removed however the rehearsal ends, and what a killed
    one left by the next. Nothing is locked for longer than one statement that reads. Cost: the database is
    copied once, twice where a statement fails; each statement that writes counts all rows again.

    Raises MigrationRefused (a folder that cannot be read; no right to make a copy), DatabaseUnavailable.

        rehearse(engine, Folder(Path("migrations"))).findings
    """
    started = monotonic()
    if engine.in_transaction:
        raise MigrationRefused(
            "a rehearsal cannot run inside a transaction", hint="leave the transaction() block first"
        )
    with engine.transaction(read=True):
        found = pending(engine, folder, to=to)
    tool = as_tool or _TOOLS[folder.layout]
    filled, runs, passes = Filled({}, {}), list[FileRun](), False
    if found.files:
        with copy_of(engine, with_rows=with_rows != "synthetic") as copy:
            if with_rows != "real":
                filled = _fill(copy)
            runs = replay(copy, found.files, tool, store_of=store_of, progress=progress)
        if runs and runs[-1].failed:
            passes = _passes_when_empty(engine, found.files[: len(runs)], tool, store_of)
    return Rehearsal(
        tool,
        with_rows,
        tuple(file.name for file in found.files),
        tuple(_report(run, ran) for run in runs for ran in run.ran),
        tuple(_findings(runs, passes_when_empty=passes, is_postgres=engine.dialect.name != "sqlite")),
        filled.rows,
        filled.unfilled,
        monotonic() - started,
    )


def _fill(copy: Engine) -> Filled:
    if copy.dialect.name == "sqlite":
        with bed_sqlite.filling(copy.connection()) as bed:
            return fill(bed, rows=_SYNTHETIC_ROWS, skip=JOURNAL_TABLES)
    with bed_postgres.filling(copy) as bed:
        return fill(bed, rows=_SYNTHETIC_ROWS, skip=JOURNAL_TABLES)


def _passes_when_empty(
    engine: Engine, files: Sequence[MigrationFile], tool: Tool, store_of: StoreOf | None
) -> bool:
    """Say whether the statement that failed works where no table has a row; not where none can be had."""
    try:
        with copy_of(engine, with_rows=False) as copy:
            return not any(run.failed for run in replay(copy, files, tool, store_of=store_of))
    except DatabaseUnavailable:
        return False


def _findings(
    runs: Sequence[FileRun], *, passes_when_empty: bool, is_postgres: bool
) -> Iterator[RuleFinding]:
    for run in runs:
        found = [
            *judge_rows(run),
            *judge_rules(run),
            *judge_effects(run),
            *(judge_locks(run) if is_postgres else ()),
            *judge_failure(run, passes_when_empty=passes_when_empty),
        ]
        yield from sorted(found, key=lambda one: (one.line, one.id, one.severity))


def _report(run: FileRun, ran: Ran) -> StatementReport:
    before, after = ran.before, ran.after
    counted = {**before.counts, **after.counts}
    return StatementReport(
        str(run.file.source),
        ran.line,
        opening(ran.statement) if ran.statement else "up(store)",
        ran.seconds * 1000,
        ran.error,
        {
            name: (before.counts.get(name), after.counts.get(name))
            for name in counted
            if before.counts.get(name) != after.counts.get(name)
        },
        {
            link: (count, after.links[link])
            for link, count in before.links.items()
            if after.links.get(link, count) != count
        },
        changes_between(before, after),
        ran.no_op,
        max(0, after.broken - before.broken),
        locks_of(run, ran),
        rewrites_of(run, ran),
        scans_of(run, ran),
    )
