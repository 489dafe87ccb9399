"""`datalayer stats`: how large the database is, what is in it, and how it is set."""

from __future__ import annotations

from dataclasses import asdict

from datalayer.cli.arguments import Parser
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result, Table, bytes_text

__all__ = ["COMMANDS"]


def _add_arguments(parser: Parser) -> None:
    """Add nothing: it has the common options only."""


def _run(call: Invocation) -> Result:
    from datalayer.engine.figures import measure
    from datalayer.errors import SchemaMismatch

    with call.look() as store:
        figures = measure(store.engine)
        try:
            jobs = {status: count for status, count in store.jobs.stats().by_status.items() if count}
        except SchemaMismatch:
            # any database has figures; only ours has jobs
            jobs = {}
    tables = [[table.name, table.rows, bytes_text(table.size_bytes)] for table in figures.tables]
    version = f"{figures.engine} {figures.settings['version']}"
    size = f"{call.address.display}: {version}, {bytes_text(figures.size_bytes)}"
    shown: list[str | Table] = [
        f"{size}, write-ahead log {bytes_text(figures.wal_bytes)}" if call.address.path else size,
        Table(["table", "rows", "size"], tables, frozenset({"rows", "size"})),
    ]
    if jobs:
        shown.append(Table(["jobs", "count"], list(jobs.items()), frozenset({"count"})))
    shown.append(Table(["setting", "value"], list(figures.settings.items())))
    return Result({**asdict(figures), "jobs": jobs}, shown)


COMMANDS = {"stats": Command(_add_arguments, _run)}
