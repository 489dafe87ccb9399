"""`datalayer restore`: the database made again from a backup; what it replaces is kept."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datalayer.cli.arguments import Parser, add_lock_timeout
from datalayer.cli.invocation import Command, Invocation
from datalayer.cli.output import Result
from datalayer.cli.progress import Progress

if TYPE_CHECKING:
    from datalayer.schema.restore import RestoreResult

__all__ = ["COMMANDS"]


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("path", metavar="PATH", help="the backup; `datalayer backups` lists them")
    parser.add_argument("--yes", action="store_true", help="replace what the database holds without asking")
    parser.add_argument(
        "--no-owner", action="store_true", help="PostgreSQL: leave out who owns what and who may do what"
    )
    add_lock_timeout(parser, "30")


def _run(call: Invocation) -> Result:
    from datalayer.schema.restore import present_rows, restore

    arguments = call.arguments
    target, path = call.choice.target, Path(arguments.path).absolute()
    rows = present_rows(target)
    if rows != 0:
        held = "its files, which cannot be read" if rows is None else f"its {rows} rows"
        call.confirm(f"replace {call.address.display}, {held}, by {path.name}?")
    if call.address.path is not None and call.choice.is_platform_default:
        call.address.path.parent.mkdir(parents=True, exist_ok=True)
    with Progress(call.terminal, "restore", None) as progress:
        done = restore(
            target,
            path,
            progress=progress.advance,
            lock_timeout_s=arguments.lock_timeout,
            keeps_owners=not arguments.no_owner,
        )
    return _result(call, done)


def _result(call: Invocation, done: RestoreResult) -> Result:
    facts = {
        "backup": str(done.backup),
        "kind": done.kind,
        "rows": done.rows,
        "schema_version": done.schema_version,
        "replaced": None if done.replaced is None else str(done.replaced),
        "replaced_is_damaged": done.replaced_is_damaged,
        "broken_references": done.broken_references,
        "seconds": round(done.seconds, 3),
    }
    count = sum(done.rows.values())
    lines = [f"{call.address.display}: {count} rows of {done.backup}, verified, in {done.seconds:.2f} s"]
    if done.replaced is not None and done.replaced_is_damaged:
        lines.append(f"the files that were there, as they were: {done.replaced}")
    elif done.replaced is not None:
        lines.append(f"what it replaces: {done.replaced}")
        lines.append(f"to take it back: datalayer restore {shlex.quote(str(done.replaced))}")
    if not done.broken_references:
        return Result(facts, lines, next=_migrate_if_older(done.schema_version))
    message = f"{done.broken_references} rows of the backup refer to rows that are not there"
    finding: dict[str, Any] = {
        "id": "DL-C010",
        "severity": "warning",
        "table": None,
        "object": str(done.backup),
        "count": done.broken_references,
        "message": message,
        "repair": "lossy",
    }
    return Result(facts, [*lines, message], [finding], "datalayer check-db", exit_code=1)


def _migrate_if_older(version: str) -> str | None:
    """Give the command to run where the package has migrations after this one."""
    from datalayer.schema.history import package_files

    names = [file.name for file in package_files()]
    return "datalayer migrate" if version in names[:-1] else None


COMMANDS = {"restore": Command(_add_arguments, _run)}
